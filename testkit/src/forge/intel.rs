//! Intel-shaped certificates: root, PCK Platform CA, PCK leaf with the SGX extension, TCB Signing (attestation.md 2.2, 2.3).

use super::DAY_S;
use super::der;
use super::keys::EcKey;
use super::random::Random;
use super::text::pem_chain;
use super::x509::{Attribute, CertificateSpec, CrlSpec, Extension, name};

/// Common name of the root.
pub const ROOT_CN: &str = "Intel SGX Root CA";
/// Common name of the intermediate that issues PCK certificates.
pub const PCK_CA_CN: &str = "Intel SGX PCK Platform CA";
/// Common name of a PCK certificate.
pub const PCK_CN: &str = "Intel SGX PCK Certificate";
/// Common name of the certificate that signs TCB info and QE identity.
pub const TCB_SIGNING_CN: &str = "Intel SGX TCB Signing";

const ROOT_CRL_URL: &str = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der";
const PCK_CRL_URL: &str =
    "https://api.trustedservices.intel.com/sgx/certification/v4/pckcrl?ca=platform&encoding=der";
/// Arc of the SGX extension and its members.
const SGX_ARC: [u32; 7] = [1, 2, 840, 113_741, 1, 13, 1];

/// Distinguished name with the common tail of Intel's certificates, DER.
pub fn intel_name(common_name: &str) -> Vec<u8> {
    name(&[
        (Attribute::CommonName, common_name),
        (Attribute::Organization, "Intel Corporation"),
        (Attribute::Locality, "Santa Clara"),
        (Attribute::State, "CA"),
        (Attribute::Country, "US"),
    ])
}

/// A certificate with the key it certifies.
#[derive(Clone)]
pub struct Certified {
    /// Private key.
    pub key: EcKey,
    /// Every field of the certificate.
    pub spec: CertificateSpec,
    /// The certificate, DER.
    pub der: Vec<u8>,
}

impl Certified {
    /// Signs `spec` for `key` with the issuer's key.
    pub fn issue(key: EcKey, spec: CertificateSpec, issuer_key: &EcKey) -> Certified {
        let der = spec.sign(issuer_key);
        Certified { key, spec, der }
    }
}

/// A throw-away public key infrastructure in Intel's form.
#[derive(Clone)]
pub struct IntelPki {
    /// Self-signed root.
    pub root: Certified,
    /// PCK Platform CA, issued by the root.
    pub pck_ca: Certified,
    /// TCB Signing, issued by the root, not a CA.
    pub tcb_signing: Certified,
}

impl IntelPki {
    /// A fresh one whose certificates are valid around `now` (Unix seconds).
    pub fn generate(random: &mut Random, now: u64) -> IntelPki {
        let started = now.saturating_sub(DAY_S.saturating_mul(2_900));
        let root_end = now.saturating_add(DAY_S.saturating_mul(8_500));
        let authority_end = now.saturating_add(DAY_S.saturating_mul(2_400));
        let root_key = EcKey::p256(random);
        let root_id = root_key.identifier();
        let from_root = |key: &EcKey, common_name: &str, from: u64, to: u64, last: [Extension; 2]| {
            let identifier = key.identifier();
            let [usage, constraints] = last;
            CertificateSpec {
                serial: identifier.to_vec(),
                issuer: intel_name(ROOT_CN),
                subject: intel_name(common_name),
                not_before: from,
                not_after: to,
                spki: key.spki(),
                extensions: vec![
                    Extension::authority_key_id(&root_id),
                    Extension::crl_distribution(ROOT_CRL_URL),
                    Extension::subject_key_id(&identifier),
                    usage,
                    constraints,
                ],
            }
        };
        let ca = |length| [Extension::key_usage_ca(true), Extension::basic_constraints(true, Some(length))];
        let leaf = [Extension::key_usage_leaf(true), Extension::basic_constraints(false, None)];
        let pck_ca_key = EcKey::p256(random);
        let tcb_key = EcKey::p256(random);
        let recently = now.saturating_sub(DAY_S.saturating_mul(400));
        let root_spec = from_root(&root_key, ROOT_CN, started, root_end, ca(1));
        let pck_ca_spec = from_root(&pck_ca_key, PCK_CA_CN, started, authority_end, ca(0));
        let tcb_spec = from_root(&tcb_key, TCB_SIGNING_CN, recently, authority_end, leaf);
        IntelPki {
            pck_ca: Certified::issue(pck_ca_key, pck_ca_spec, &root_key),
            tcb_signing: Certified::issue(tcb_key, tcb_spec, &root_key),
            root: Certified::issue(root_key.clone(), root_spec, &root_key),
        }
    }

    /// A platform whose PCK certificate is issued by the PCK Platform CA.
    pub fn platform(&self, random: &mut Random, spec: PlatformSpec) -> Platform {
        let key = EcKey::p256(random);
        let certificate = self.pck_certificate(&key, &random.bytes::<20>(), &spec);
        self.platform_with(spec, Certified::issue(key, certificate, &self.pck_ca.key))
    }

    /// The fields of a PCK certificate for `key`, to be changed before signing.
    pub fn pck_certificate(&self, key: &EcKey, serial: &[u8], spec: &PlatformSpec) -> CertificateSpec {
        CertificateSpec {
            serial: serial.to_vec(),
            issuer: intel_name(PCK_CA_CN),
            subject: intel_name(PCK_CN),
            not_before: spec.not_before,
            not_after: spec.not_after,
            spki: key.spki(),
            extensions: vec![
                Extension::authority_key_id(&self.pck_ca.key.identifier()),
                Extension::crl_distribution(PCK_CRL_URL),
                Extension::subject_key_id(&key.identifier()),
                Extension::key_usage_leaf(true),
                Extension::basic_constraints(false, None),
                spec.sgx_extension(),
            ],
        }
    }

    /// A platform with a PCK certificate of the caller's making and this infrastructure's chain above it.
    pub fn platform_with(&self, spec: PlatformSpec, pck: Certified) -> Platform {
        let chain = [pck.der.as_slice(), self.pck_ca.der.as_slice(), self.root.der.as_slice()];
        Platform { spec, chain_pem: pem_chain(chain), pck }
    }

    /// Fields of the list of revoked PCK certificates.
    pub fn pck_crl(&self, this_update: u64, next_update: u64) -> CrlSpec {
        crl(&self.pck_ca, this_update, next_update)
    }

    /// Fields of the root's list.
    pub fn root_crl(&self, this_update: u64, next_update: u64) -> CrlSpec {
        crl(&self.root, this_update, next_update)
    }
}

fn crl(issuer: &Certified, this_update: u64, next_update: u64) -> CrlSpec {
    CrlSpec {
        issuer: issuer.spec.subject.clone(),
        authority_key_id: issuer.key.identifier().to_vec(),
        this_update,
        next_update: Some(next_update),
        number: 1,
        revoked: Vec::new(),
    }
}

/// What a PCK certificate says about a machine.
#[derive(Clone, Debug)]
pub struct PlatformSpec {
    /// Platform provisioning identifier.
    pub ppid: [u8; 16],
    /// SVN of each SGX TCB component.
    pub components: [u8; 16],
    /// PCESVN.
    pub pce_svn: u16,
    /// CPUSVN; equal to the components unless a test wants them to disagree.
    pub cpu_svn: [u8; 16],
    /// PCEID.
    pub pce_id: [u8; 2],
    /// Family, model, stepping, platform type, custom SKU.
    pub fmspc: [u8; 6],
    /// 0 standard, 1 scalable, 2 scalable with integrity.
    pub sgx_type: u8,
    /// Platform instance identifier.
    pub instance_id: [u8; 16],
    /// Dynamic platform, cached keys, SMT.
    pub configuration: [bool; 3],
    /// Start of validity, Unix seconds.
    pub not_before: u64,
    /// End of validity, Unix seconds.
    pub not_after: u64,
}

impl PlatformSpec {
    /// A current platform with random identity, valid around `now`.
    ///
    /// The FMSPC is random: what a client remembers about a real platform type is not touched by a simulated one.
    pub fn current(random: &mut Random, now: u64) -> PlatformSpec {
        let components = [3, 3, 2, 2, 4, 1, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0];
        PlatformSpec {
            ppid: random.bytes(),
            components,
            pce_svn: 13,
            cpu_svn: components,
            pce_id: [0, 0],
            fmspc: random.bytes(),
            sgx_type: 1,
            instance_id: random.bytes(),
            configuration: [true, true, true],
            not_before: now.saturating_sub(DAY_S.saturating_mul(180)),
            not_after: now.saturating_add(DAY_S.saturating_mul(2_300)),
        }
    }

    /// The extension 1.2.840.113741.1.13.1 with all its members.
    pub fn sgx_extension(&self) -> Extension {
        let member =
            |tail: &[u32], value: Vec<u8>| der::sequence(&[&der::oid(&[&SGX_ARC, tail].concat()), &value]);
        let mut tcb: Vec<Vec<u8>> =
            (1u32..).zip(self.components).map(|(i, svn)| member(&[2, i], der::integer(&[svn]))).collect();
        tcb.push(member(&[2, 17], der::integer(&self.pce_svn.to_be_bytes())));
        tcb.push(member(&[2, 18], der::octets(&self.cpu_svn)));
        let configuration: Vec<Vec<u8>> =
            (1u32..).zip(self.configuration).map(|(i, flag)| member(&[7, i], der::boolean(flag))).collect();
        let value = der::sequence(&[
            &member(&[1], der::octets(&self.ppid)),
            &member(&[2], der::tagged(0x30, &tcb.concat())),
            &member(&[3], der::octets(&self.pce_id)),
            &member(&[4], der::octets(&self.fmspc)),
            &member(&[5], der::enumerated(self.sgx_type)),
            &member(&[6], der::octets(&self.instance_id)),
            &member(&[7], der::tagged(0x30, &configuration.concat())),
        ]);
        Extension { oid: der::oid(&SGX_ARC), critical: false, value }
    }
}

/// A machine that can make quotes: its PCK key and the chain that a quote carries.
#[derive(Clone)]
pub struct Platform {
    /// What its certificate says.
    pub spec: PlatformSpec,
    /// PCK certificate and key.
    pub pck: Certified,
    /// Leaf, intermediate and root as PEM, in the order a quote carries them.
    pub chain_pem: String,
}
