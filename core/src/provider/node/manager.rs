//! The compose manager's own quote and the OHTTP key configuration (attestation.md 4.2 items 3 and 6): side statements of a node that must
//! hold when they are made.

use super::{NodeInput, optional_text};
use crate::appraise::collateral::CollateralPool;
use crate::attest::tdx;
use crate::claims::TdxClaims;
use crate::crypto;
use crate::error::{Code, Error, Result};
use crate::policy::Appraisal;
use crate::wire::hex;
use crate::wire::json::Json;

/// Checks `compose_manager_attestation`, if there is one: its quote verifies, binds the action list's hash and our nonce, and is from the
/// same TD. The hash is bound; the list itself reproduces it on some servers only and is not relied on.
pub(super) fn check(
    appraisal: &mut Appraisal<'_>,
    pool: &CollateralPool<'_>,
    input: &NodeInput<'_>,
    claims: &TdxClaims,
) {
    let Some(manager) = input.answer.get("compose_manager_attestation").filter(|manager| !manager.is_null())
    else {
        return;
    };
    let scope = input.scope;
    let verified = manager_quote(manager).and_then(|quote| pool.verify(&quote));
    let verified = match verified {
        Ok(verified) => {
            appraisal.pass(scope, "cm.quote");
            verified
        }
        Err(error) => {
            appraisal.fail(scope, "cm.quote", error);
            appraisal.not_checked(scope, "cm.binding", "needs a verified quote");
            appraisal.not_checked(scope, "cm.same_td", "needs a verified quote");
            return;
        }
    };
    appraisal.record(scope, "cm.binding", check_binding(manager, &verified, input.nonce));
    appraisal.record(scope, "cm.same_td", check_same_td(&verified, claims));
}

fn manager_quote(manager: &Json) -> Result<Vec<u8>> {
    let text =
        optional_text(manager, "quote")?.ok_or_else(|| Error::new(Code::QuoteMissing).at("cm.quote"))?;
    tdx::decode_quote_text(text)
}

fn check_binding(manager: &Json, claims: &TdxClaims, nonce: &[u8; 32]) -> Result<()> {
    let fail = || Error::new(Code::ComposeManagerBinding).at("cm.binding");
    let hash = optional_text(manager, "actions_hash")?
        .and_then(hex::decode_array::<32>)
        .ok_or_else(|| fail().expected("actions_hash, 32 bytes in hex"))?;
    let expected = [hash, *nonce].concat();
    if claims.body.report_data.as_slice() == expected {
        Ok(())
    } else {
        Err(fail().expected(hex::short(&expected)).found(hex::short(&claims.body.report_data)))
    }
}

fn check_same_td(manager: &TdxClaims, main: &TdxClaims) -> Result<()> {
    let (a, b) = (&manager.body, &main.body);
    let same = a.mr_td == b.mr_td
        && a.rtmr == b.rtmr
        && a.mr_config_id == b.mr_config_id
        && manager.pck.ppid == main.pck.ppid;
    if same { Ok(()) } else { Err(Error::new(Code::ComposeManagerBinding).at("cm.same_td")) }
}

/// Checks `ohttp_key_config` and `ohttp_attestation`, if they are there. Their Ed25519 key is not bound by the node's quote, so
/// passing proves consistency only, and nothing is encrypted to it.
pub(super) fn check_ohttp(appraisal: &mut Appraisal<'_>, input: &NodeInput<'_>) {
    let Some(attestation) = input.answer.get("ohttp_attestation").filter(|value| !value.is_null()) else {
        return;
    };
    let scope = input.scope;
    let Some(config) = appraisal.record(scope, "ohttp.key_config", ohttp_config(input.answer, attestation))
    else {
        return;
    };
    appraisal.record(scope, "ohttp.signature", check_ohttp_signature(attestation, &config));
}

fn ohttp_config(answer: &Json, attestation: &Json) -> Result<Vec<u8>> {
    let fail = || Error::new(Code::OhttpKeyConfig).at("ohttp.key_config");
    let inner = optional_text(attestation, "key_config")?.and_then(hex::decode_prefixed).ok_or_else(fail)?;
    match optional_text(answer, "ohttp_key_config")? {
        Some(outer) if hex::decode_prefixed(outer).as_deref() != Some(&inner) => Err(fail()),
        _ => Ok(inner),
    }
}

fn check_ohttp_signature(attestation: &Json, config: &[u8]) -> Result<()> {
    let fail = || Error::new(Code::OhttpKeyConfig).at("ohttp.signature");
    let algorithm = optional_text(attestation, "signing_algo")?;
    let key = optional_text(attestation, "signing_key")?.and_then(hex::decode_prefixed).ok_or_else(fail)?;
    let signature =
        optional_text(attestation, "signature")?.and_then(hex::decode_prefixed).ok_or_else(fail)?;
    if algorithm == Some("ed25519") && crypto::ed25519_verify(&key, config, &signature) {
        Ok(())
    } else {
        Err(fail())
    }
}
