//! `GET /tee/signature`: the enclave's signature of an answer (venice.md 5).

use std::collections::BTreeSet;

use super::config::SignatureText;
use super::defect::Defect;
use super::models::Model;
use super::reply::Reply;
use crate::forge::{EnclaveKey, object, string};

/// What is kept of an answer for its signature.
#[derive(Clone)]
pub(super) struct Signed {
    pub(super) id: String,
    pub(super) model: &'static Model,
    /// The enclave's key when the answer was made.
    pub(super) key: EnclaveKey,
    pub(super) request_hash: [u8; 32],
    pub(super) response_hash: [u8; 32],
}

/// The answer for one completion.
pub(super) fn respond(
    signed: Option<&Signed>,
    layout: SignatureText,
    defects: &BTreeSet<Defect>,
    relay: &EnclaveKey,
) -> Reply {
    let Some(signed) = signed.filter(|_| !defects.contains(&Defect::SignatureMissing)) else {
        return Reply::error(404, "Signature not found or expired");
    };
    let hashes =
        format!("{}:{}", const_hex::encode(signed.request_hash), const_hex::encode(signed.response_hash));
    let mut text = match layout {
        SignatureText::ThreePart => format!("{}:{hashes}", signed.model.upstream),
        SignatureText::TwoPart => hashes,
    };
    let key = if defects.contains(&Defect::SignatureOtherKey) { relay } else { &signed.key };
    let signature = key.sign_eip191(&text);
    if defects.contains(&Defect::SignatureAltered) {
        let last = if text.ends_with('0') { '1' } else { '0' };
        text.pop();
        text.push(last);
    }
    let body = object([
        ("text", string(text)),
        ("signature", string(const_hex::encode_prefixed(signature))),
        ("signing_address", string(const_hex::encode_prefixed(key.address()))),
        ("signing_algo", string("ecdsa")),
    ]);
    Reply::json(200, &body.to_compact())
}
