//! Online certificate status (OCSP, RFC 6960 with the nonce of RFC 8954): requests in DER, and answers judged at a given time.
//!
//! An answer counts when the certificate's own issuer signed it, or a responder whose certificate that issuer issued for the purpose,
//! and when it is about exactly this certificate. There is no other path: a status about one certificate never speaks for another.

use x509_parser::prelude::{ASN1Time, FromDer};

use super::certificate::Signed;
use super::{Authority, Certificate, Problem, PublicKey, Serial};
use crate::crypto;
use crate::limits::{CERTIFICATE_MAX_BYTES, OCSP_MAX_BYTES};
use crate::wire::der::{self, Der};

/// id-pkix-ocsp-basic, 1.3.6.1.5.5.7.48.1.1.
const BASIC: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01];
/// id-pkix-ocsp-nonce, 1.3.6.1.5.5.7.48.1.2.
const NONCE: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x02];
/// SHA-384, 2.16.840.1.101.3.4.2.2.
const SHA384: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02];
/// Tag of GeneralizedTime.
const GENERALIZED_TIME: u8 = 0x18;
/// Tags `[0]`, `[1]`, `[2]`, constructed and primitive.
const CONTEXT_0: u8 = 0xa0;
const CONTEXT_1: u8 = 0xa1;
const CONTEXT_2: u8 = 0xa2;
const GOOD: u8 = 0x80;
const UNKNOWN: u8 = 0x82;
/// Reason "certificate hold" of a revocation (RFC 5280, 5.3.1).
pub const CERTIFICATE_HOLD: u8 = 6;
/// Statements and responder certificates in one answer.
const STATEMENTS_MAX: usize = 16;
const RESPONDERS_MAX: usize = 4;

/// A certificate whose status is asked for: by its issuer and its serial number.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    issuer: &'a Authority,
    serial: Serial,
}

/// What a responder says of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Not revoked. A responder may say so of certificates that it has never seen.
    Good,
    /// Revoked.
    Revoked {
        /// When, in seconds.
        at: u64,
        /// CRL reason, if stated; see [`CERTIFICATE_HOLD`].
        reason: Option<u8>,
    },
    /// The responder does not know it.
    Unknown,
}

/// A statement whose signature is good and that is in its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The status.
    pub status: Status,
    /// When it was known to be right, in seconds.
    pub this_update: u64,
    /// From this second on it may not be used.
    pub until: u64,
}

/// Why an answer does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OcspProblem {
    /// Not an OCSP answer in DER, or over a size limit.
    Malformed,
    /// The responder reports trouble; the number is its response status (3 try later, 6 unauthorized).
    Unsuccessful(u8),
    /// It is about other certificates only.
    OtherCertificate,
    /// Nobody who may speak for the issuer signed it.
    Responder(Problem),
    /// The signature is wrong.
    Signature,
    /// It does not repeat our nonce.
    Nonce,
    /// It is not valid yet.
    NotYetValid,
    /// It is too old.
    Expired,
}

impl<'a> Query<'a> {
    /// Asks about the certificate that `issuer` issued under this serial number.
    pub const fn new(issuer: &'a Authority, serial: Serial) -> Query<'a> {
        Query { issuer, serial }
    }

    /// The request, for `POST` with type `application/ocsp-request`. The nonce is fresh for each round of requests.
    pub fn request(&self, nonce: &[u8; 32]) -> Vec<u8> {
        let certificate = der::encode(der::SEQUENCE, &self.certificate_id());
        let list = der::encode(der::SEQUENCE, &certificate);
        let value = der::encode(der::OCTET_STRING, nonce);
        let extension = [der::encode(der::OID, NONCE), der::encode(der::OCTET_STRING, &value)].concat();
        let extensions = der::encode(der::SEQUENCE, &der::encode(der::SEQUENCE, &extension));
        let content = [list, der::encode(CONTEXT_2, &extensions)].concat();
        der::encode(der::SEQUENCE, &der::encode(der::SEQUENCE, &content))
    }

    /// CertID: hash algorithm, hashes of the issuer's name and key, serial number.
    fn certificate_id(&self) -> Vec<u8> {
        let algorithm = [der::encode(der::OID, SHA384), vec![0x05, 0x00]].concat();
        let content = [
            der::encode(der::SEQUENCE, &algorithm),
            der::encode(der::OCTET_STRING, &crypto::sha384(&[self.issuer.subject()])),
            der::encode(der::OCTET_STRING, &self.issuer_key_hash()),
            der::encode(der::INTEGER, &self.serial.to_integer()),
        ];
        der::encode(der::SEQUENCE, &content.concat())
    }

    /// Hash of the issuer's public key: the BIT STRING without tag, length and unused bits.
    fn issuer_key_hash(&self) -> [u8; 48] {
        crypto::sha384(&[self.issuer.key().point()])
    }

    /// True when a CertID names this certificate. The algorithm's parameters may be absent or NULL.
    fn is_named_by(&self, id: &mut Der<'_>) -> Option<bool> {
        let mut algorithm = id.inside(der::SEQUENCE)?;
        let known = algorithm.expect(der::OID)? == SHA384;
        let plain = algorithm.is_empty() || algorithm.expect(0x05)?.is_empty();
        let name = id.expect(der::OCTET_STRING)?;
        let key = id.expect(der::OCTET_STRING)?;
        let serial = Serial::new(id.expect(der::INTEGER)?)?;
        if !id.is_empty() || !algorithm.is_empty() {
            return None;
        }
        Some(
            known
                && plain
                && serial == self.serial
                && name == crypto::sha384(&[self.issuer.subject()])
                && key == self.issuer_key_hash(),
        )
    }
}

/// An answer taken apart. Nothing in it is verified.
#[derive(Clone, Debug)]
pub struct Answer<'a> {
    tbs: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
    responder: Responder<'a>,
    statements: Vec<RawStatement<'a>>,
    nonce: Option<&'a [u8]>,
    certificates: Vec<&'a [u8]>,
}

#[derive(Clone, Copy, Debug)]
enum Responder<'a> {
    /// Encoded name.
    Name(&'a [u8]),
    /// SHA-1 of its key. Which certificate signed is shown by the signature; this is a hint that is not needed.
    Key,
}

#[derive(Clone, Debug)]
struct RawStatement<'a> {
    id: Der<'a>,
    status: Status,
    this_update: u64,
    next_update: Option<u64>,
}

impl<'a> Answer<'a> {
    /// Takes an answer of at most 64 KiB apart.
    pub fn parse(bytes: &'a [u8]) -> Result<Answer<'a>, OcspProblem> {
        if bytes.len() > OCSP_MAX_BYTES {
            return Err(OcspProblem::Malformed);
        }
        let mut outer = Der::new(bytes);
        let mut response = outer.inside(der::SEQUENCE).ok_or(OcspProblem::Malformed)?;
        let status = response.unsigned(der::ENUMERATED).and_then(|status| u8::try_from(status).ok());
        match status {
            Some(0) => {}
            Some(status) => return Err(OcspProblem::Unsuccessful(status)),
            None => return Err(OcspProblem::Malformed),
        }
        let complete = outer.is_empty();
        Answer::read(&mut response).filter(|_| complete && response.is_empty()).ok_or(OcspProblem::Malformed)
    }

    fn read(response: &mut Der<'a>) -> Option<Answer<'a>> {
        let mut wrapper = response.inside(CONTEXT_0)?;
        let mut bytes = wrapper.inside(der::SEQUENCE)?;
        if bytes.expect(der::OID)? != BASIC || !wrapper.is_empty() {
            return None;
        }
        let basic = bytes.expect(der::OCTET_STRING)?;
        if !bytes.is_empty() {
            return None;
        }
        let (signed, certificates) = split(basic)?;
        let mut tbs = Der::new(signed.content);
        let responder = match tbs.peek()? {
            CONTEXT_1 => Responder::Name(tbs.expect(CONTEXT_1)?),
            CONTEXT_2 => tbs.expect(CONTEXT_2).map(|_| Responder::Key)?,
            _ => return None,
        };
        let _produced_at = time(&mut tbs)?;
        let mut list = tbs.inside(der::SEQUENCE)?;
        let mut statements = Vec::new();
        while !list.is_empty() {
            if statements.len() >= STATEMENTS_MAX {
                return None;
            }
            statements.push(statement(&mut list)?);
        }
        let mut nonce = None;
        if !tbs.is_empty() {
            nonce = extensions(&mut tbs, CONTEXT_1)?;
        }
        tbs.is_empty().then_some(Answer {
            tbs: signed.tbs,
            algorithm: signed.algorithm,
            signature: signed.signature,
            responder,
            statements,
            nonce,
            certificates,
        })
    }

    /// True when it has a statement about this certificate.
    pub fn is_about(&self, query: &Query<'_>) -> bool {
        self.statement(query).is_some()
    }

    fn statement(&self, query: &Query<'_>) -> Option<&RawStatement<'a>> {
        let mut named =
            self.statements.iter().filter(|raw| query.is_named_by(&mut raw.id.clone()) == Some(true));
        // Two statements about one certificate contradict each other or mean nothing.
        named.next().filter(|_| named.next().is_none())
    }

    /// Verifies the answer for one certificate at the time `at`: signed for its issuer, repeating `nonce` when one was sent, and not
    /// older than `max_age_s` seconds nor past its own end.
    pub fn verify(
        &self,
        query: &Query<'_>,
        nonce: Option<&[u8; 32]>,
        at: u64,
        max_age_s: u64,
    ) -> Result<Statement, OcspProblem> {
        let raw = self.statement(query).ok_or(OcspProblem::OtherCertificate)?;
        self.check_signature(query.issuer, at)?;
        if let Some(nonce) = nonce
            && self.nonce != Some(nonce.as_slice())
        {
            return Err(OcspProblem::Nonce);
        }
        let oldest = raw.this_update.saturating_add(max_age_s);
        let until = raw.next_update.map_or(oldest, |end| end.min(oldest));
        if at < raw.this_update {
            return Err(OcspProblem::NotYetValid);
        }
        if at >= until {
            return Err(OcspProblem::Expired);
        }
        Ok(Statement { status: raw.status, this_update: raw.this_update, until })
    }

    /// The issuer itself signed, or a responder that it appointed.
    fn check_signature(&self, issuer: &Authority, at: u64) -> Result<(), OcspProblem> {
        let by = |key: &PublicKey| match key.verify(self.algorithm, self.tbs, self.signature) {
            Ok(()) => Ok(()),
            Err(Problem::Signature) => Err(OcspProblem::Signature),
            Err(problem) => Err(OcspProblem::Responder(problem)),
        };
        let is_named = |subject: &[u8]| match self.responder {
            Responder::Name(name) => name == subject,
            Responder::Key => true,
        };
        let mut problem = OcspProblem::Responder(Problem::Name);
        for der in &self.certificates {
            let appointed = || {
                let certificate = Certificate::parse(der)?;
                if !is_named(certificate.subject()) {
                    return Err(Problem::Name);
                }
                certificate.ocsp_signer()?;
                certificate.valid_at(at)?;
                certificate.issued_by(issuer)?;
                Ok(certificate.key().clone())
            };
            match appointed().map_err(OcspProblem::Responder).and_then(|key| by(&key)) {
                Ok(()) => return Ok(()),
                Err(found) => problem = found,
            }
        }
        if !is_named(issuer.subject()) {
            return Err(problem);
        }
        // With certificates in the answer, their problem says more than that the issuer itself did not sign.
        by(issuer.key()).map_err(|own| if self.certificates.is_empty() { own } else { problem })
    }
}

/// `BasicOCSPResponse` into its signed parts and its certificates.
fn split(basic: &[u8]) -> Option<(Signed<'_>, Vec<&[u8]>)> {
    let mut outer = Der::new(basic);
    let mut parts = outer.inside(der::SEQUENCE)?;
    let tbs = parts.value().filter(|value| value.tag == der::SEQUENCE)?;
    let algorithm = parts.value().filter(|value| value.tag == der::SEQUENCE)?;
    let (unused_bits, signature) = parts.expect(der::BIT_STRING)?.split_first()?;
    let mut certificates = Vec::new();
    if !parts.is_empty() {
        let mut wrapper = parts.inside(CONTEXT_0)?;
        let mut list = wrapper.inside(der::SEQUENCE)?;
        while !list.is_empty() {
            let certificate = list.value()?.encoded;
            if certificates.len() >= RESPONDERS_MAX || certificate.len() > CERTIFICATE_MAX_BYTES {
                return None;
            }
            certificates.push(certificate);
        }
        if !wrapper.is_empty() {
            return None;
        }
    }
    let complete = outer.is_empty() && parts.is_empty() && *unused_bits == 0;
    let signed = Signed { content: tbs.content, tbs: tbs.encoded, algorithm: algorithm.encoded, signature };
    complete.then_some((signed, certificates))
}

/// One `SingleResponse`.
fn statement<'a>(list: &mut Der<'a>) -> Option<RawStatement<'a>> {
    let mut single = list.inside(der::SEQUENCE)?;
    let id = single.inside(der::SEQUENCE)?;
    let status = single.value()?;
    let status = match status.tag {
        GOOD if status.content.is_empty() => Status::Good,
        UNKNOWN if status.content.is_empty() => Status::Unknown,
        CONTEXT_1 => revoked(&mut Der::new(status.content))?,
        _ => return None,
    };
    let this_update = time(&mut single)?;
    let mut next_update = None;
    if single.peek() == Some(CONTEXT_0) {
        let mut wrapper = single.inside(CONTEXT_0)?;
        next_update = Some(time(&mut wrapper).filter(|_| wrapper.is_empty())?);
    }
    if single.peek() == Some(CONTEXT_1) {
        extensions(&mut single, CONTEXT_1)?;
    }
    single.is_empty().then_some(RawStatement { id, status, this_update, next_update })
}

/// `RevokedInfo`: time and, if stated, reason.
fn revoked(info: &mut Der<'_>) -> Option<Status> {
    let at = time(info)?;
    let mut reason = None;
    if !info.is_empty() {
        let mut wrapper = info.inside(CONTEXT_0)?;
        reason = Some(u8::try_from(wrapper.unsigned(der::ENUMERATED)?).ok().filter(|_| wrapper.is_empty())?);
    }
    info.is_empty().then_some(Status::Revoked { at, reason })
}

fn time(reader: &mut Der<'_>) -> Option<u64> {
    let value = reader.value().filter(|value| value.tag == GENERALIZED_TIME)?;
    let (rest, time) = ASN1Time::from_der(value.encoded).ok()?;
    if rest.is_empty() { u64::try_from(time.timestamp()).ok() } else { None }
}

/// Reads extensions under an explicit tag; gives the nonce. A critical one that is not understood is refused, and so is a repeated
/// one. The inner `None` means that there is no nonce.
#[allow(clippy::option_option, reason = "absent and malformed are different things")]
fn extensions<'a>(reader: &mut Der<'a>, tag: u8) -> Option<Option<&'a [u8]>> {
    let mut wrapper = reader.inside(tag)?;
    let mut list = wrapper.inside(der::SEQUENCE)?;
    let mut seen: Vec<&[u8]> = Vec::new();
    let mut nonce = None;
    while !list.is_empty() {
        let mut extension = list.inside(der::SEQUENCE)?;
        let oid = extension.expect(der::OID)?;
        let critical = extension.peek() == Some(der::BOOLEAN);
        if critical && extension.expect(der::BOOLEAN)? != [0xff] {
            return None;
        }
        let content = extension.expect(der::OCTET_STRING)?;
        if !extension.is_empty() || seen.contains(&oid) || (critical && oid != NONCE) {
            return None;
        }
        seen.push(oid);
        if oid == NONCE {
            let mut value = Der::new(content);
            nonce = Some(value.expect(der::OCTET_STRING).filter(|_| value.is_empty())?);
        }
    }
    wrapper.is_empty().then_some(nonce)
}
