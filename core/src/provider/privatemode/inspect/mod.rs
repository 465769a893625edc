//! The kinds of `inspect` for Privatemode (docs/inspect.md): they run what an exchange runs, with keys, nonces and ivs that the caller
//! gives. For comparing implementations and for tools; nothing here makes a proof, and nothing comes from a random source.

mod attest;
mod bodies;
mod request;
mod seal;

use crate::crypto::SecureRandom;
use crate::error::{Code, Error, Result};
use crate::openai::ApiEndpoint;
use crate::provider::inspect_input::{Input, Members};

/// Runs one check; `None` for a kind that is not Privatemode's.
pub(in crate::provider) fn inspect(kind: &str, input: &Input<'_>) -> Option<Result<Members>> {
    Some(match kind.strip_prefix("privatemode.")? {
        "field" => seal::field(input),
        "session" => seal::session(input),
        "oae" => seal::oae(input),
        "secret_exchange" => seal::secret_exchange(input),
        "json_body" => bodies::json_body(input),
        "form_body" => bodies::form_body(input),
        "raw_body" => bodies::raw_body(input),
        "stream" => bodies::stream(input),
        "shard_key" => request::shard_key(input),
        "cache_salt" => request::cache_salt(input),
        "media" => request::media(input),
        "ocsp_policy" => request::ocsp_policy(input),
        "ocsp_status" => request::ocsp_status(input),
        "version" => request::version(input),
        "secret_answer" => attest::secret_answer(input),
        "report_data" => attest::report_data(input),
        "id_key" => attest::id_key(input),
        "manifest" => attest::manifest(input),
        "document" => attest::document(input),
        _ => return None,
    })
}

/// Bytes of the caller's in place of random ones, each used once. Fails with `random_failed` when there are too few.
struct Given<'a>(&'a [u8]);

impl SecureRandom for Given<'_> {
    fn fill(&mut self, out: &mut [u8]) -> Result<()> {
        let (bytes, rest) =
            self.0.split_at_checked(out.len()).ok_or_else(|| Error::new(Code::RandomFailed))?;
        out.copy_from_slice(bytes);
        self.0 = rest;
        Ok(())
    }
}

/// The endpoint that the member `endpoint` names by its path. Fails with `unsupported_endpoint`.
fn endpoint(input: &Input<'_>) -> Result<ApiEndpoint> {
    ApiEndpoint::parse(input.text("endpoint")?)
}
