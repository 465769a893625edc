//! Certificate revocation lists (RFC 5280 section 5). Read value by value, so that a list of the maximal size costs its serial
//! numbers in memory and no more.

use x509_parser::prelude::{ASN1Time, FromDer};

use super::certificate::Signed;
use super::{Authority, Problem, Serial};
use crate::limits::{CRL_MAX_BYTES, CRL_MAX_ENTRIES};
use crate::wire::der::{self, Der};

/// id-ce-cRLNumber, 2.5.29.20.
const CRL_NUMBER: &[u8] = &[0x55, 0x1d, 0x14];
/// id-ce-authorityKeyIdentifier, 2.5.29.35.
const AUTHORITY_KEY_ID: &[u8] = &[0x55, 0x1d, 0x23];
/// Tags of UTCTime and GeneralizedTime.
const TIME_TAGS: [u8; 2] = [0x17, 0x18];
/// Tag `[0]` constructed, which holds the extensions.
const EXTENSIONS: u8 = 0xa0;
/// Tag `[0]` primitive, the key identifier inside authorityKeyIdentifier.
const KEY_ID: u8 = 0x80;

/// A complete revocation list whose signature is good. Whether it is current is asked separately.
#[derive(Clone, Debug)]
pub struct RevocationList {
    this_update: u64,
    next_update: u64,
    number: Vec<u8>,
    serials: Vec<Serial>,
}

impl RevocationList {
    /// Parses a list of at most 4 MiB and 200,000 entries and checks that `issuer` signed it and may do so. The list must be
    /// complete and direct: no critical extension, a next update. RFC 5280 5.2.3 makes its issuer number it and asks nothing of its
    /// reader; a list without a number counts as older than any that has one.
    pub fn verify(bytes: &[u8], issuer: &Authority) -> Result<RevocationList, Problem> {
        if bytes.len() > CRL_MAX_BYTES {
            return Err(Problem::Malformed);
        }
        let signed = Signed::split(bytes).ok_or(Problem::Malformed)?;
        let mut tbs = Der::new(signed.content);
        // Version 2 is encoded as 1; version 1 cannot say that it is complete and is not accepted.
        if tbs.unsigned(der::INTEGER) != Some(1) {
            return Err(Problem::Malformed);
        }
        if tbs.value().ok_or(Problem::Malformed)?.encoded != signed.algorithm {
            return Err(Problem::Algorithm);
        }
        if tbs.value().ok_or(Problem::Malformed)?.encoded != issuer.subject() {
            return Err(Problem::Name);
        }
        if !issuer.may_sign_crls() {
            return Err(Problem::Usage);
        }
        issuer.key().verify(signed.algorithm, signed.tbs, signed.signature)?;
        let this_update = time(&mut tbs).ok_or(Problem::Malformed)?;
        let next_update = time(&mut tbs).ok_or(Problem::Malformed)?;
        let mut serials = Vec::new();
        if tbs.peek() == Some(der::SEQUENCE) {
            let mut entries = tbs.inside(der::SEQUENCE).ok_or(Problem::Malformed)?;
            while !entries.is_empty() {
                if serials.len() >= CRL_MAX_ENTRIES {
                    return Err(Problem::Malformed);
                }
                let mut entry = entries.inside(der::SEQUENCE).ok_or(Problem::Malformed)?;
                let serial = entry.expect(der::INTEGER).and_then(Serial::new).ok_or(Problem::Malformed)?;
                serials.push(serial);
            }
        }
        let number = if tbs.is_empty() { Vec::new() } else { extensions(&mut tbs, issuer)? };
        if !tbs.is_empty() {
            return Err(Problem::Malformed);
        }
        serials.sort_unstable();
        Ok(RevocationList { this_update, next_update, number, serials })
    }

    /// Checks thisUpdate <= `at` < nextUpdate.
    pub const fn current_at(&self, at: u64) -> Result<(), Problem> {
        if at < self.this_update {
            Err(Problem::NotYetValid)
        } else if at >= self.next_update {
            Err(Problem::Expired)
        } else {
            Ok(())
        }
    }

    /// True when the certificate with this serial number of the list's issuer is revoked, for whatever reason.
    pub fn revokes(&self, serial: Serial) -> bool {
        self.serials.binary_search(&serial).is_ok()
    }

    /// When the list was issued.
    pub const fn this_update(&self) -> u64 {
        self.this_update
    }

    /// When the next list is due; from then on this one is not to be used.
    pub const fn next_update(&self) -> u64 {
        self.next_update
    }

    /// CRL number, big-endian, at most 20 bytes, for comparison with a number seen earlier; empty when it has none.
    pub fn number(&self) -> &[u8] {
        &self.number
    }
}

fn time(tbs: &mut Der<'_>) -> Option<u64> {
    let value = tbs.value().filter(|value| TIME_TAGS.contains(&value.tag))?;
    let (rest, time) = ASN1Time::from_der(value.encoded).ok()?;
    if rest.is_empty() { u64::try_from(time.timestamp()).ok() } else { None }
}

/// Reads the extensions; gives the list's number, empty when it has none.
fn extensions(tbs: &mut Der<'_>, issuer: &Authority) -> Result<Vec<u8>, Problem> {
    let mut wrapper = tbs.inside(EXTENSIONS).ok_or(Problem::Malformed)?;
    let mut list = wrapper.inside(der::SEQUENCE).ok_or(Problem::Malformed)?;
    if list.is_empty() {
        return Err(Problem::Malformed);
    }
    let mut seen: Vec<&[u8]> = Vec::new();
    let mut number = None;
    while !list.is_empty() {
        let mut extension = list.inside(der::SEQUENCE).ok_or(Problem::Malformed)?;
        let oid = extension.expect(der::OID).ok_or(Problem::Malformed)?;
        // A critical extension narrows the list (deltas, other issuers); none is understood, so none is accepted. DER leaves
        // out the default FALSE, so a BOOLEAN here means TRUE.
        if seen.contains(&oid) || extension.peek() == Some(der::BOOLEAN) {
            return Err(Problem::Extension);
        }
        seen.push(oid);
        let content = extension.expect(der::OCTET_STRING).ok_or(Problem::Malformed)?;
        if !extension.is_empty() {
            return Err(Problem::Malformed);
        }
        if oid == CRL_NUMBER {
            let digits = Der::new(content).expect(der::INTEGER).ok_or(Problem::Malformed)?;
            number = Some(Serial::new(digits).ok_or(Problem::Malformed)?.0.to_vec());
        } else if oid == AUTHORITY_KEY_ID {
            let id = Der::new(content).inside(der::SEQUENCE).and_then(|mut id| id.expect(KEY_ID));
            if id.is_some() && issuer.key_id().is_some() && id != issuer.key_id() {
                return Err(Problem::Name);
            }
        }
    }
    if !wrapper.is_empty() {
        return Err(Problem::Malformed);
    }
    Ok(number.unwrap_or_default())
}
