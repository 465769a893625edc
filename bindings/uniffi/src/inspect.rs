//! Single checks and single fields, for tools, tests and SDKs that keep their own sealing.

use std::sync::Arc;

use proveil_bindings_support::core::provider;
use proveil_bindings_support::{OpenerCell, OsRandom, VERSION, private_key};

use crate::error::{Outcome, guarded};
use crate::opener::Opener;

/// Library version, `major.minor.patch`.
#[uniffi::export]
pub fn version() -> String {
    VERSION.to_owned()
}

/// The kinds that `inspect` knows.
#[uniffi::export]
pub fn inspect_kinds() -> Vec<String> {
    provider::INSPECT_KINDS.iter().map(|kind| (*kind).to_owned()).collect()
}

/// The names of all providers.
#[uniffi::export]
pub fn providers() -> Vec<String> {
    provider::Provider::ALL.iter().map(|provider| provider.name().to_owned()).collect()
}

/// Runs one pure check over provider data (`venice.key`, `tdx.quote`, ...): JSON in, JSON out, never a proof.
#[uniffi::export]
pub fn inspect(kind: String, json: String) -> Outcome<String> {
    guarded(|| provider::inspect(&kind, json.as_bytes()))
}

/// Seals one field to a public key (65 bytes): lowercase hex.
#[uniffi::export]
pub fn seal_field(recipient: Vec<u8>, plaintext: Vec<u8>) -> Outcome<String> {
    guarded(|| provider::seal_field(&recipient, &plaintext, &mut OsRandom))
}

/// Opens one sealed field with a private key (32 bytes).
#[uniffi::export]
pub fn open_field(key: Vec<u8>, field_hex: String) -> Outcome<String> {
    guarded(|| provider::open_field(private_key(&key)?, &field_hex))
}

/// An opener for an answer to a request that was sealed elsewhere, by the private key whose public half was sent.
#[uniffi::export(default(allow_whitespace_plaintext = false))]
pub fn opener_for_key(key: Vec<u8>, allow_whitespace_plaintext: bool) -> Outcome<Arc<Opener>> {
    guarded(|| {
        let opener = provider::opener_for_key(private_key(&key)?, allow_whitespace_plaintext)?;
        Ok(Arc::new(OpenerCell::new(opener).into()))
    })
}
