//! Functions without an object: the offline check, inspection, single fields.

use proveil_bindings_support::core::provider::{self, INSPECT_KINDS, Provider};
use proveil_bindings_support::{EvidenceOptions, OsRandom};
use pyo3::prelude::*;
use pyo3::types::PyString;
use zeroize::Zeroizing;

use crate::convert::{Bytes, Document, loads, raw_or_hex, secret, unix_s};
use crate::error::{detached, invalid};
use crate::exchange::read_collateral;
use crate::opener::Opener;
use crate::policy::{Policy, TrustRoots};
use crate::report::Report;

/// Judges a recorded attestation answer without network, as of `at`. All three verdicts are a report; a recorded answer proves the
/// past, so there is no endpoint.
#[pyfunction]
#[pyo3(signature = (provider, response, nonce, collateral, at, model = None, policy = None, trust_roots = None))]
#[allow(clippy::too_many_arguments, reason = "they are keywords in Python")]
pub fn verify_evidence(
    py: Python<'_>,
    provider: String,
    response: Document,
    nonce: &Bound<'_, PyAny>,
    collateral: &Bound<'_, PyAny>,
    at: &Bound<'_, PyAny>,
    model: Option<String>,
    policy: Option<&Bound<'_, Policy>>,
    trust_roots: Option<&Bound<'_, TrustRoots>>,
) -> PyResult<Report> {
    // The shared form reads the clock when no time is given; here a forgotten time would judge a recorded answer as of now.
    let at = unix_s((!at.is_none()).then_some(at))?;
    let options = EvidenceOptions {
        provider,
        response: response.to_vec(),
        nonce: raw_or_hex("nonce", nonce)?.to_vec(),
        collateral: read_collateral((!collateral.is_none()).then_some(collateral))?,
        at: Some(at.ok_or_else(|| invalid(py, "at", "the time of the check"))?),
        model,
        policy: policy.map(|policy| policy.get().0.clone()),
        trust_roots: trust_roots.map(|roots| roots.get().roots.clone()),
    };
    detached(py, || options.appraise().map(Report))
}

/// Runs one pure check over provider data and gives what it shows, never a proof. `json` is text, bytes or a dict.
#[pyfunction]
pub fn inspect<'py>(py: Python<'py>, kind: &str, json: Document) -> PyResult<Bound<'py, PyAny>> {
    let shown = detached(py, || provider::inspect(kind, &json))?;
    loads(py, &shown)
}

/// The kinds that `inspect` knows.
#[pyfunction]
pub fn inspect_kinds() -> Vec<&'static str> {
    INSPECT_KINDS.to_vec()
}

/// Names of all providers.
#[pyfunction]
pub fn providers() -> Vec<&'static str> {
    Provider::ALL.iter().map(|provider| provider.name()).collect()
}

/// The environment variable that holds the provider's API key. Raises `InputError` (`unknown_provider`), naming the nearest.
#[pyfunction]
pub fn default_api_key_variable(py: Python<'_>, provider: &str) -> PyResult<&'static str> {
    detached(py, || Provider::parse(provider).map(|provider| provider.api_key_variable()))
}

/// Seals one field to a public key (SEC1: 33, 64 or 65 bytes, raw or as hex text) under a fresh ephemeral key: lowercase hex.
#[pyfunction]
pub fn seal_field(
    py: Python<'_>,
    public_key: &Bound<'_, PyAny>,
    plaintext: &Bound<'_, PyAny>,
) -> PyResult<String> {
    let recipient = raw_or_hex("public_key", public_key)?;
    let plaintext = if let Ok(text) = plaintext.cast::<PyString>() {
        text.to_str().map_err(|_| invalid(py, "plaintext", "UTF-8"))?.as_bytes().to_vec()
    } else {
        plaintext.extract::<Bytes>()?.to_vec()
    };
    let plaintext = Zeroizing::new(plaintext);
    detached(py, || provider::seal_field(&recipient, &plaintext, &mut OsRandom))
}

/// Opens one sealed field with a private key (32 bytes, raw or as hex text).
#[pyfunction]
pub fn open_field<'py>(
    py: Python<'py>,
    private_key: &Bound<'py, PyAny>,
    field: &str,
) -> PyResult<Bound<'py, PyString>> {
    let key = secret("private_key", private_key)?;
    let plaintext = Zeroizing::new(detached(py, || provider::open_field(key, field))?);
    Ok(PyString::new(py, &plaintext))
}

/// An opener for callers that keep their own sealing: opens an answer with the private key whose public half was sent.
#[pyfunction]
#[pyo3(signature = (private_key, allow_whitespace_plaintext = false))]
pub fn opener_for_key(
    py: Python<'_>,
    private_key: &Bound<'_, PyAny>,
    allow_whitespace_plaintext: bool,
) -> PyResult<Opener> {
    let key = secret("private_key", private_key)?;
    detached(py, || provider::opener_for_key(key, allow_whitespace_plaintext).map(Opener::new))
}

/// Panics inside the guard, for the test of the guard.
#[cfg(feature = "test-entry")]
#[pyfunction]
pub fn _test_panic(py: Python<'_>) -> PyResult<()> {
    detached(py, proveil_bindings_support::test_panic)
}
