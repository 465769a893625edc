//! AMD-shaped evidence: root, issuers, chip and provider keys, attestation reports, certificate tables (attestation.md 1.1 to 1.6).
//!
//! A report is written field by field at the offsets of attestation.md 1.1, not in the order in which the core reads it.

mod defect;
mod pki;
mod report;
mod rsa;

pub use defect::SnpDefect;
pub use pki::{HwidForm, LeafSpec, Role, Signer, amd_extension, amd_name};
pub use report::SnpReportSpec;
pub use rsa::{Padding, RsaKey, ec_key};

use proveil_core::claims::{Product, SigningKey, TcbParts};
use proveil_core::evidence::SnpEndorsements;

use super::keys::EcKey;
use super::random::Random;
use super::text::{object, pem, string};
use super::x509::{CertificateSpec, CrlSpec};

/// Everything that makes up one piece of evidence, before anything is signed. Every field is a knob.
#[derive(Clone)]
pub struct SnpSpec {
    /// Unix seconds that everything is valid around.
    pub now: u64,
    /// The report.
    pub report: SnpReportSpec,
    /// Bytes of the report that are changed before it is signed: offset and mask.
    pub changed_before: Vec<(usize, u8)>,
    /// Bytes of the report that are changed after it is signed.
    pub changed_after: Vec<(usize, u8)>,
    /// The key that signs the report.
    pub key: EcKey,
    /// Certificate of that key.
    pub leaf: LeafSpec,
    /// Who signs it.
    pub leaf_signer: Signer,
    /// Certificate of the issuer (ASK or ASVK).
    pub issuer: CertificateSpec,
    /// Who signs it.
    pub issuer_signer: Signer,
    /// Certificate of the root (ARK).
    pub root: CertificateSpec,
    /// Who signs it.
    pub root_signer: Signer,
    /// Revocation list.
    pub crl: Option<CrlSpec>,
    /// Who signs it.
    pub crl_signer: Signer,
    /// What is handed over.
    pub given: Given,
    /// Whether the issuer is in the trusted roots beside the root.
    pub pin_issuer: bool,
}

/// Which parts are handed over with the report.
#[derive(Clone, Copy, Debug)]
pub struct Given {
    /// Certificate of the signing key.
    pub leaf: bool,
    /// Certificate of the issuer.
    pub issuer: bool,
    /// Certificate of the root.
    pub root: bool,
}

/// Signed evidence.
#[derive(Clone, Debug)]
pub struct SnpEvidence {
    /// 1184 bytes.
    pub report: Vec<u8>,
    /// What is handed over with it.
    pub endorsements: SnpEndorsements,
    /// `proveil.trust-roots/v1`: what a verifier has to be told to trust the root.
    pub trust_roots_json: String,
}

impl SnpSpec {
    /// Honest evidence of a current machine of this product, signed by its chip's key, with a pinned issuer and nothing but the key's
    /// certificate handed over.
    pub fn new(product: Product, random: &mut Random, now: u64) -> SnpSpec {
        SnpSpec::of_kind(product, SigningKey::Vcek, random, now)
    }

    /// The same by a cloud provider's key.
    pub fn by_provider(product: Product, random: &mut Random, now: u64) -> SnpSpec {
        SnpSpec::of_kind(product, SigningKey::Vlek, random, now)
    }

    fn of_kind(product: Product, kind: SigningKey, random: &mut Random, now: u64) -> SnpSpec {
        let tcb = current_tcb(product);
        let key = EcKey::p384(random);
        let mut chip_id = [0; 64];
        random.fill(chip_id.get_mut(..product.hwid_len()).unwrap_or_default());
        let report = SnpReportSpec::new(product, kind, tcb, chip_id, random);
        SnpSpec {
            now,
            leaf: LeafSpec::new(product, kind, tcb, &chip_id, &key, now),
            report,
            changed_before: Vec::new(),
            changed_after: Vec::new(),
            key,
            leaf_signer: Signer::new(Role::issuer(kind)),
            issuer: pki::issuer(product, kind, now),
            issuer_signer: Signer::new(Role::Ark),
            root: pki::root(product, now),
            root_signer: Signer::new(Role::Ark),
            crl: None,
            crl_signer: Signer::new(Role::Ark),
            given: Given { leaf: true, issuer: false, root: false },
            pin_issuer: true,
        }
    }

    /// Hands everything over, trusts the root alone, and adds a current revocation list that names another issuer.
    pub fn with_list(mut self) -> SnpSpec {
        self.given = Given { leaf: true, issuer: true, root: true };
        self.pin_issuer = false;
        self.crl = Some(pki::revocation_list(&self.root, self.now));
        self
    }

    /// The same with a change.
    pub fn with(mut self, change: impl FnOnce(&mut SnpSpec)) -> SnpSpec {
        change(&mut self);
        self
    }

    /// Signs the report alone.
    pub fn sign_report(&self) -> Vec<u8> {
        self.report.sign(&self.key, &self.changed_before, &self.changed_after)
    }

    /// Signs everything.
    pub fn sign(&self) -> SnpEvidence {
        let root = self.root.sign(&self.root_signer);
        let issuer = self.issuer.sign(&self.issuer_signer);
        let leaf = self.given.leaf.then(|| self.leaf.certificate(&self.issuer).sign(&self.leaf_signer));
        let is_vlek = self.leaf.common_name == "SEV-VLEK";
        let (vcek, vlek) = if is_vlek { (None, leaf) } else { (leaf, None) };
        let pinned = if self.pin_issuer { pem("CERTIFICATE", &issuer) } else { String::new() };
        let trusted = format!("{}{pinned}", pem("CERTIFICATE", &root));
        SnpEvidence {
            report: self.sign_report(),
            trust_roots_json: object([
                ("schema", string("proveil.trust-roots/v1")),
                ("amd_roots_pem", string(trusted)),
            ])
            .to_compact(),
            endorsements: SnpEndorsements {
                vcek,
                vlek,
                issuer: self.given.issuer.then_some(issuer),
                root: self.given.root.then_some(root),
                crl: self.crl.as_ref().map(|crl| crl.sign(&self.crl_signer)),
            },
        }
    }
}

impl SnpEvidence {
    /// The certificates as the table that comes with an extended report, in a page as hosts hand it over.
    pub fn certificate_table(&self) -> Vec<u8> {
        let SnpEndorsements { vcek, vlek, issuer, root, .. } = &self.endorsements;
        let entries: Vec<(&str, &Vec<u8>)> = [
            ("63da758de6644564adc5f4b93be8accd", vcek),
            ("a8074bc2a25a483eaae639c045a0b8a1", vlek),
            ("4ab7b379bbac4fe4a02f05aef327c782", issuer),
            ("c0b406a4a803495297433fb6014cd0ae", root),
        ]
        .into_iter()
        .filter_map(|(guid, certificate)| certificate.as_ref().map(|certificate| (guid, certificate)))
        .collect();
        let header = entries.len().saturating_add(1).saturating_mul(24);
        let mut table = Vec::new();
        let mut data = Vec::new();
        for (guid, certificate) in entries {
            table.extend(const_hex::decode(guid).unwrap_or_default());
            for number in [header.saturating_add(data.len()), certificate.len()] {
                table.extend(u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
            }
            data.extend_from_slice(certificate);
        }
        table.extend([0; 24]);
        table.extend(data);
        table.resize(table.len().next_multiple_of(4096), 0);
        table
    }
}

/// Levels of a current machine, as in captured reports.
fn current_tcb(product: Product) -> TcbParts {
    match product {
        Product::Milan => TcbParts { fmc: 0, bootloader: 4, tee: 0, snp: 27, microcode: 222 },
        Product::Genoa => TcbParts { fmc: 0, bootloader: 10, tee: 0, snp: 23, microcode: 84 },
        Product::Turin => TcbParts { fmc: 1, bootloader: 1, tee: 1, snp: 4, microcode: 81 },
    }
}

/// TCB_VERSION in the layout of a product.
pub fn tcb_bytes(product: Product, tcb: TcbParts) -> [u8; 8] {
    let TcbParts { fmc, bootloader, tee, snp, microcode } = tcb;
    match product {
        Product::Milan | Product::Genoa => [bootloader, tee, 0, 0, 0, 0, snp, microcode],
        Product::Turin => [fmc, bootloader, tee, snp, 0, 0, 0, microcode],
    }
}
