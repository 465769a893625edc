//! OCSP answers (RFC 6960) with every field a knob.

use sha2::{Digest, Sha384};

use super::der;
use super::intel::Certified;
use super::keys::EcKey;
use super::random::Random;
use super::x509::{Attribute, CertificateSpec, Extension, name};

const OID_BASIC: &[u32] = &[1, 3, 6, 1, 5, 5, 7, 48, 1, 1];
const OID_NONCE: &[u32] = &[1, 3, 6, 1, 5, 5, 7, 48, 1, 2];
const OID_OCSP_SIGNING: &[u32] = &[1, 3, 6, 1, 5, 5, 7, 3, 9];
const OID_EXTENDED_KEY_USAGE: &[u32] = &[2, 5, 29, 37];
const OID_SHA384: &[u32] = &[2, 16, 840, 1, 101, 3, 4, 2, 2];

/// Status of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertStatus {
    /// good
    Good,
    /// revoked, with a CRL reason
    Revoked(Option<u8>),
    /// unknown
    Unknown,
}

/// A responder that an authority has appointed.
pub fn responder(issuer: &Certified, random: &mut Random, now: u64) -> Certified {
    let key = EcKey::p384(random);
    let spec = CertificateSpec {
        serial: random.bytes::<16>().to_vec(),
        issuer: issuer.spec.subject.clone(),
        subject: name(&[(Attribute::CommonName, "NVIDIA OCSP Responder")]),
        not_before: now.saturating_sub(super::DAY_S),
        not_after: now.saturating_add(super::DAY_S.saturating_mul(30)),
        spki: key.spki(),
        extensions: vec![Extension::key_usage_leaf(false), ocsp_signing(true)],
    };
    Certified::issue(key, spec, &issuer.key)
}

/// extendedKeyUsage for OCSP signing.
pub fn ocsp_signing(critical: bool) -> Extension {
    Extension {
        oid: der::oid(OID_EXTENDED_KEY_USAGE),
        critical,
        value: der::sequence(&[&der::oid(OID_OCSP_SIGNING)]),
    }
}

/// Every field of an answer about one certificate.
#[derive(Clone, Debug)]
pub struct OcspSpec {
    /// responseStatus.
    pub response_status: u8,
    /// Subject of the certificate's issuer, DER.
    pub issuer_name: Vec<u8>,
    /// Public point of the certificate's issuer.
    pub issuer_point: Vec<u8>,
    /// Serial number of the certificate.
    pub serial: Vec<u8>,
    /// Its status.
    pub status: CertStatus,
    /// thisUpdate, Unix seconds; also producedAt and, if revoked, revocationTime.
    pub this_update: u64,
    /// nextUpdate.
    pub next_update: Option<u64>,
    /// Nonce, if the answer has one.
    pub nonce: Option<Vec<u8>>,
    /// Name of the responder; `None` names it by its key.
    pub responder_name: Option<Vec<u8>>,
    /// Certificates in the answer, DER.
    pub certificates: Vec<Vec<u8>>,
    /// How many times the statement is in the answer.
    pub statements: usize,
    /// A critical extension that nobody knows.
    pub unknown_critical: bool,
}

impl OcspSpec {
    /// An honest answer: `subject` is good by word of `issuer`'s responder.
    pub fn new(
        subject: &Certified,
        issuer: &Certified,
        responder: &Certified,
        nonce: &[u8; 32],
        now: u64,
    ) -> OcspSpec {
        OcspSpec {
            response_status: 0,
            issuer_name: issuer.spec.subject.clone(),
            issuer_point: issuer.key.public_point(),
            serial: subject.spec.serial.clone(),
            status: CertStatus::Good,
            this_update: now.saturating_sub(3_600),
            next_update: Some(now.saturating_add(super::DAY_S)),
            nonce: Some(nonce.to_vec()),
            responder_name: Some(responder.spec.subject.clone()),
            certificates: vec![responder.der.clone()],
            statements: 1,
            unknown_critical: false,
        }
    }

    /// The answer, DER, signed by `key`.
    pub fn sign(&self, key: &EcKey) -> Vec<u8> {
        let algorithm = der::sequence(&[&der::oid(OID_SHA384), &der::null()]);
        let id = der::sequence(&[
            &algorithm,
            &der::octets(&Sha384::digest(&self.issuer_name)),
            &der::octets(&Sha384::digest(&self.issuer_point)),
            &der::integer(&self.serial),
        ]);
        let status = match self.status {
            CertStatus::Good => der::tagged(0x80, &[]),
            CertStatus::Unknown => der::tagged(0x82, &[]),
            CertStatus::Revoked(reason) => {
                let reason =
                    reason.map(|reason| der::context(0, &der::enumerated(reason))).unwrap_or_default();
                der::context(1, &[time(self.this_update), reason].concat())
            }
        };
        let next = self.next_update.map(|end| der::context(0, &time(end))).unwrap_or_default();
        let single = der::sequence(&[&id, &status, &time(self.this_update), &next]);
        let mut extensions = Vec::new();
        if let Some(nonce) = &self.nonce {
            extensions.push(der::sequence(&[&der::oid(OID_NONCE), &der::octets(&der::octets(nonce))]));
        }
        if self.unknown_critical {
            let oid = der::oid(&[1, 3, 6, 1, 4, 1, 99_999, 1]);
            extensions.push(der::sequence(&[&oid, &der::boolean(true), &der::octets(&der::null())]));
        }
        let extensions = if extensions.is_empty() {
            Vec::new()
        } else {
            der::context(1, &der::tagged(0x30, &extensions.concat()))
        };
        let responder = match &self.responder_name {
            Some(name) => der::context(1, name),
            None => der::context(2, &der::octets(&[7; 20])),
        };
        let tbs = der::sequence(&[
            &responder,
            &time(self.this_update),
            &der::tagged(0x30, &single.repeat(self.statements)),
            &extensions,
        ]);
        let certificates = if self.certificates.is_empty() {
            Vec::new()
        } else {
            der::context(0, &der::tagged(0x30, &self.certificates.concat()))
        };
        let signature = der::bits(&key.sign_der(&tbs));
        let basic = der::sequence(&[&tbs, &key.signature_algorithm(), &signature, &certificates]);
        if self.response_status != 0 {
            return der::sequence(&[&der::enumerated(self.response_status)]);
        }
        let bytes = der::sequence(&[&der::oid(OID_BASIC), &der::octets(&basic)]);
        der::sequence(&[&der::enumerated(0), &der::context(0, &bytes)])
    }
}

/// GeneralizedTime, which OCSP uses for every year.
fn time(unix_s: u64) -> Vec<u8> {
    let digits: String = super::rfc3339(unix_s).chars().filter(char::is_ascii_digit).collect();
    der::tagged(0x18, format!("{digits}Z").as_bytes())
}
