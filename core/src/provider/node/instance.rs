//! Chutes: one instance's evidence (attestation.md 4.1). REPORTDATA begins with the hash of challenge and encryption key, both as the texts
//! that were exchanged, and ends with the hash of the instance's TLS key. The GPUs answered the first hash, so that they vouch for the key.

use super::NodeInput;
use super::binding::check_tls_key;
use crate::crypto;
use crate::error::{Code, Error, Result};
use crate::policy::Appraisal;
use crate::provider::node::identity::optional_text;
use crate::secret::constant_time_eq;
use crate::wire::json::Json;
use crate::wire::{base64, hex};

/// The hash that must be in REPORTDATA, once the instance's key is known.
pub(super) fn read(
    appraisal: &mut Appraisal<'_>,
    input: &NodeInput<'_>,
    key: &Result<&str>,
) -> Option<[u8; 32]> {
    let key = appraisal.record(input.scope, "instance.unknown", key.clone())?;
    Some(crypto::sha256(&[hex::encode(input.nonce).as_bytes(), key.as_bytes()]))
}

/// Compares REPORTDATA with the hash and with the TLS key of the instance's certificate.
pub(super) fn check(
    appraisal: &mut Appraisal<'_>,
    input: &NodeInput<'_>,
    hash: Option<&[u8; 32]>,
    report_data: &[u8; 64],
) {
    let scope = input.scope;
    let (head, tail) = report_data.split_at(32);
    match hash {
        None => {
            for id in ["binding.key", "nonce.cpu"] {
                appraisal.not_checked(scope, id, "the instance's key is not known");
            }
        }
        Some(hash) if constant_time_eq(hash, head) => {
            appraisal.pass_with(scope, "binding.key", "sha256_nonce_key");
            appraisal.pass(scope, "nonce.cpu");
        }
        Some(hash) => {
            let error = Error::new(Code::ReportDataIdentityMismatch).at("binding.key");
            appraisal.fail(scope, "binding.key", error.expected(hex::short(hash)).found(hex::short(head)));
            appraisal.not_checked(scope, "nonce.cpu", "one hash holds key and challenge, and it differs");
        }
    }
    let certificate = certificate(input.answer).and_then(|certificate| check_tls_key(&certificate, tail));
    appraisal.record(scope, "binding.tls", certificate);
}

/// The instance's TLS certificate, DER in base64.
fn certificate(answer: &Json) -> Result<Vec<u8>> {
    optional_text(answer, "certificate")?
        .and_then(base64::decode)
        .ok_or_else(|| Error::new(Code::MalformedField).at("binding.tls").expected("a certificate in base64"))
}

/// The encryption key that the instance list gives for the instance of one piece of evidence. Each instance has one entry and gives one
/// piece of evidence. Fails with `no_signing_key` or `conflicting_fields`.
pub(crate) fn key_of<'a>(list: &'a Json, evidence: &[Json], which: &Json) -> Result<&'a str> {
    let unknown = || Error::new(Code::NoSigningKey).at("instance.unknown");
    let conflict = || Error::new(Code::ConflictingFields).at("instance.unknown");
    let id = optional_text(which, "instance_id")?.ok_or_else(unknown)?;
    let has_id = |entry: &&Json| entry.get("instance_id").and_then(Json::as_str) == Some(id);
    if evidence.iter().filter(has_id).count() > 1 {
        return Err(conflict().found(id));
    }
    let entries = list.get("instances").and_then(Json::as_array).unwrap_or_default();
    let mut entries = entries.iter().filter(has_id);
    let entry = entries.next().ok_or_else(|| unknown().found(id))?;
    if entries.next().is_some() {
        return Err(conflict().found(id));
    }
    optional_text(entry, "e2e_pubkey")?.filter(|key| !key.is_empty()).ok_or_else(|| unknown().found(id))
}
