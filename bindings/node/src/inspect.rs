//! Single checks and single fields.

use napi::bindgen_prelude::AsyncTask;
use napi_derive::napi;
use proveil_bindings_support::core::provider;
use proveil_bindings_support::{OpenerCell, OsRandom, VERSION, private_key};

use crate::answer::{Answer, Work, answer, work};
use crate::opener::Opener;

/// Library version.
#[napi]
pub fn version() -> &'static str {
    VERSION
}

/// The kinds of checks.
#[napi]
pub fn inspect_kinds() -> Vec<&'static str> {
    provider::INSPECT_KINDS.to_vec()
}

/// The providers' names.
#[napi]
pub fn providers() -> Vec<&'static str> {
    provider::Provider::ALL.iter().map(|provider| provider.name()).collect()
}

/// Runs one check: JSON in, JSON out.
#[napi]
pub fn inspect(kind: String, json: String) -> AsyncTask<Work<String>> {
    work(move || provider::inspect(&kind, json.as_bytes()))
}

/// Seals one field to a public key.
#[napi]
pub fn seal_field(recipient: &[u8], plaintext: &[u8]) -> Answer<String> {
    answer(|| provider::seal_field(recipient, plaintext, &mut OsRandom))
}

/// Opens one field with a private key.
#[napi]
pub fn open_field(key: &[u8], field_hex: String) -> Answer<String> {
    answer(|| provider::open_field(private_key(key)?, &field_hex))
}

/// An opener for SDKs that keep their own sealing.
#[napi]
pub fn opener_for_key(key: &[u8], allow_whitespace_plaintext: bool) -> Answer<Opener> {
    answer(|| {
        let opener = provider::opener_for_key(private_key(key)?, allow_whitespace_plaintext)?;
        Ok(OpenerCell::new(opener).into())
    })
}
