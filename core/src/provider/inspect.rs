//! Pure checks over provider data for tools and tests: JSON in, JSON out, never a proof.
//!
//! They need no collateral and no time, so they show whether data is consistent, not whether it is genuine.

use crate::crypto::SecureRandom;
use crate::endpoint::Opener;
use crate::error::Result;
use crate::secret::Secret;

/// The kinds that [`inspect`] knows.
pub const INSPECT_KINDS: &[&str] = &[
    "venice.models",
    "venice.key",
    "venice.report_data",
    "venice.attestation",
    "venice.request",
    "venice.signature",
    "tdx.quote",
    "dstack.event_log",
];

/// Runs one check. `input` and the answer are JSON objects whose members `docs/inspect.md` lists per kind. Fails with the error of
/// the first check that did not hold, or `invalid_argument` for an unknown kind or malformed input.
pub fn inspect(_kind: &str, _input: &[u8]) -> Result<String> {
    unimplemented!("draft")
}

/// Seals one field to a public key (SEC1, 65 bytes): lowercase hex (venice.md 3.2). Fresh ephemeral key and nonce from `rng`.
pub fn seal_field(_recipient: &[u8], _plaintext: &[u8], _rng: &mut dyn SecureRandom) -> Result<String> {
    unimplemented!("draft")
}

/// Opens one sealed field with a private key: the plaintext.
pub fn open_field(_key: &Secret<32>, _field_hex: &str) -> Result<String> {
    unimplemented!("draft")
}

/// An opener for SDKs that keep their own sealing: opens a Venice answer with the private key whose public half was sent.
pub fn opener_for_key(_key: Secret<32>, _allow_whitespace_plaintext: bool) -> Opener {
    unimplemented!("draft")
}
