//! TDX quotes, versions 4 and 5 (attestation.md 2.1). Every field is a knob; [`QuoteSpec::sign`] signs whatever it is given.

use sha2::{Digest, Sha256};

use super::collateral::QE_MRSIGNER;
use super::intel::Platform;
use super::keys::EcKey;
use super::random::Random;

/// Vendor of the quoting enclave: Intel (public; attestation.md 2.1).
pub const QE_VENDOR_INTEL: [u8; 16] =
    [0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07];
/// TEE type of a TDX quote.
pub const TEE_TDX: u32 = 0x81;
/// TD attributes of every production deployment seen: only SEPT_VE_DISABLE (bit 28).
pub const TD_ATTRIBUTES: [u8; 8] = [0, 0, 0, 0x10, 0, 0, 0, 0];
/// XFAM of every production deployment seen.
pub const XFAM: [u8; 8] = [0xe7, 0x02, 0x06, 0, 0, 0, 0, 0];

/// The measured part of a quote: the report of one trust domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TdBody {
    /// TEE_TCB_SVN: module SVN, module major version, late microcode, ...
    pub tee_tcb_svn: [u8; 16],
    /// MRSEAM.
    pub mr_seam: [u8; 48],
    /// MRSIGNERSEAM; zero for Intel's module.
    pub mr_signer_seam: [u8; 48],
    /// SEAM attributes; zero.
    pub seam_attributes: [u8; 8],
    /// TD attributes; bit 0 is DEBUG.
    pub td_attributes: [u8; 8],
    /// XFAM.
    pub xfam: [u8; 8],
    /// MRTD.
    pub mr_td: [u8; 48],
    /// MR_CONFIG_ID.
    pub mr_config_id: [u8; 48],
    /// MR_OWNER.
    pub mr_owner: [u8; 48],
    /// MR_OWNER_CONFIG.
    pub mr_owner_config: [u8; 48],
    /// RTMR0 to RTMR3.
    pub rtmr: [[u8; 48]; 4],
    /// REPORTDATA.
    pub report_data: [u8; 64],
    /// TEE_TCB_SVN2, only in body type 3.
    pub tee_tcb_svn2: [u8; 16],
    /// MR_SERVICE_TD, only in body type 3.
    pub mr_service_td: [u8; 48],
}

impl TdBody {
    /// A production TD with the given report data; measurements are zero.
    pub fn new(report_data: [u8; 64]) -> TdBody {
        let svn = [0x0b, 0x01, 0x04, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        TdBody {
            tee_tcb_svn: svn,
            mr_seam: [0; 48],
            mr_signer_seam: [0; 48],
            seam_attributes: [0; 8],
            td_attributes: TD_ATTRIBUTES,
            xfam: XFAM,
            mr_td: [0; 48],
            mr_config_id: [0; 48],
            mr_owner: [0; 48],
            mr_owner_config: [0; 48],
            rtmr: [[0; 48]; 4],
            report_data,
            tee_tcb_svn2: svn,
            mr_service_td: [0; 48],
        }
    }

    fn encode(&self, with_15_fields: bool) -> Vec<u8> {
        let mut out = [
            self.tee_tcb_svn.as_slice(),
            &self.mr_seam,
            &self.mr_signer_seam,
            &self.seam_attributes,
            &self.td_attributes,
            &self.xfam,
            &self.mr_td,
            &self.mr_config_id,
            &self.mr_owner,
            &self.mr_owner_config,
            &self.rtmr.concat(),
            &self.report_data,
        ]
        .concat();
        if with_15_fields {
            out.extend_from_slice(&self.tee_tcb_svn2);
            out.extend_from_slice(&self.mr_service_td);
        }
        out
    }
}

/// The quoting enclave's report and what it binds.
#[derive(Clone, Debug)]
pub struct QeSpec {
    /// CPUSVN.
    pub cpu_svn: [u8; 16],
    /// MISCSELECT.
    pub misc_select: [u8; 4],
    /// ATTRIBUTES; bit 1 is DEBUG.
    pub attributes: [u8; 16],
    /// MRENCLAVE.
    pub mr_enclave: [u8; 32],
    /// MRSIGNER.
    pub mr_signer: [u8; 32],
    /// ISVPRODID.
    pub isv_prod_id: u16,
    /// ISVSVN.
    pub isv_svn: u16,
    /// REPORTDATA; `None` binds the attestation key as it must be.
    pub report_data: Option<[u8; 64]>,
    /// Authentication data.
    pub auth_data: Vec<u8>,
}

impl QeSpec {
    /// Intel's TD quoting enclave at a current version.
    pub fn current(random: &mut Random) -> QeSpec {
        let mut attributes = [0; 16];
        attributes[0] = 0x15;
        attributes[8] = 0xe7;
        QeSpec {
            cpu_svn: [4, 4, 25, 27, 4, 255, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0],
            misc_select: [0; 4],
            attributes,
            mr_enclave: random.bytes(),
            mr_signer: QE_MRSIGNER,
            isv_prod_id: 2,
            isv_svn: 6,
            report_data: None,
            auth_data: (0..32).collect(),
        }
    }

    fn report(&self, attestation_key: &EcKey) -> Vec<u8> {
        let report_data = self.report_data.unwrap_or_else(|| {
            let mut bound = [0; 64];
            let digest =
                Sha256::new().chain_update(attestation_key.public_xy()).chain_update(&self.auth_data);
            bound.iter_mut().zip(digest.finalize()).for_each(|(to, from)| *to = from);
            bound
        });
        [
            self.cpu_svn.as_slice(),
            &self.misc_select,
            &[0; 28],
            &self.attributes,
            &self.mr_enclave,
            &[0; 32],
            &self.mr_signer,
            &[0; 96],
            &self.isv_prod_id.to_le_bytes(),
            &self.isv_svn.to_le_bytes(),
            &[0; 60],
            &report_data,
        ]
        .concat()
    }
}

/// Every field of a quote.
#[derive(Clone, Debug)]
pub struct QuoteSpec {
    /// 4 or 5 (anything else is written with the layout of 5).
    pub version: u16,
    /// 2 = ECDSA P-256.
    pub attestation_key_type: u16,
    /// 0x81 = TDX.
    pub tee_type: u32,
    /// Four header bytes that are zero in all samples.
    pub reserved: [u8; 4],
    /// Quoting enclave vendor.
    pub qe_vendor: [u8; 16],
    /// Header user data.
    pub user_data: [u8; 20],
    /// Version 5 only: 2 = TD 1.0, 3 = TD 1.5.
    pub body_type: u16,
    /// The TD's report.
    pub body: TdBody,
    /// The quoting enclave.
    pub qe: QeSpec,
    /// Outer certification data type (6).
    pub outer_cert_type: u16,
    /// Inner certification data type (5).
    pub inner_cert_type: u16,
    /// Zero bytes after the signature data (70 in the captured Venice quotes).
    pub padding: usize,
}

impl QuoteSpec {
    /// A well-formed quote of the given version (5 has a TD 1.5 body).
    pub fn new(version: u16, body: TdBody, random: &mut Random) -> QuoteSpec {
        let mut user_data = [0; 20];
        user_data.iter_mut().zip(random.bytes::<16>()).for_each(|(to, from)| *to = from);
        QuoteSpec {
            version,
            attestation_key_type: 2,
            tee_type: TEE_TDX,
            reserved: [0; 4],
            qe_vendor: QE_VENDOR_INTEL,
            user_data,
            body_type: 3,
            body,
            qe: QeSpec::current(random),
            outer_cert_type: 6,
            inner_cert_type: 5,
            padding: 0,
        }
    }

    /// The bytes that the attestation key signs: header, version 5's type and size, body.
    pub fn signed_bytes(&self) -> Vec<u8> {
        let mut out = [
            self.version.to_le_bytes().as_slice(),
            &self.attestation_key_type.to_le_bytes(),
            &self.tee_type.to_le_bytes(),
            &self.reserved,
            &self.qe_vendor,
            &self.user_data,
        ]
        .concat();
        if self.version == 4 {
            out.extend(self.body.encode(false));
        } else {
            let body = self.body.encode(self.body_type == 3);
            out.extend_from_slice(&self.body_type.to_le_bytes());
            out.extend_from_slice(&length(&body));
            out.extend(body);
        }
        out
    }

    /// The quote, made on `platform` with `attestation_key`.
    pub fn sign(&self, platform: &Platform, attestation_key: &EcKey) -> Vec<u8> {
        let mut out = self.signed_bytes();
        let quote_signature = attestation_key.sign_fixed(&out);
        let qe_report = self.qe.report(attestation_key);
        let qe_signature = platform.pck.key.sign_fixed(&qe_report);
        // Real quotes end the chain with a NUL that belongs to the certification data.
        let chain = [platform.chain_pem.as_bytes(), &[0]].concat();
        let auth_length = u16::try_from(self.qe.auth_data.len()).unwrap_or(u16::MAX);
        let inner = [
            qe_report.as_slice(),
            &qe_signature,
            &auth_length.to_le_bytes(),
            &self.qe.auth_data,
            &self.inner_cert_type.to_le_bytes(),
            &length(&chain),
            &chain,
        ]
        .concat();
        let signature_data = [
            quote_signature.as_slice(),
            &attestation_key.public_xy(),
            &self.outer_cert_type.to_le_bytes(),
            &length(&inner),
            &inner,
        ]
        .concat();
        out.extend_from_slice(&length(&signature_data));
        out.extend(signature_data);
        out.extend(std::iter::repeat_n(0, self.padding));
        out
    }
}

fn length(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes()
}
