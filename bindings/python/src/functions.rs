//! Functions without an object: the offline check, inspection, single fields.

use proveil_bindings_support::OsRandom;
use proveil_bindings_support::core::provider::{self, EvidenceInput, INSPECT_KINDS, Provider};
use pyo3::prelude::*;
use pyo3::types::PyString;
use zeroize::Zeroizing;

use crate::convert::{Bytes, Document, exact, loads, raw_or_hex, secret, unix_s};
use crate::error::{detached, invalid};
use crate::exchange::{parse_collateral, read_collateral};
use crate::opener::Opener;
use crate::policy::{Policy, TrustRoots, policy_or_standard, roots_or_vendor};
use crate::report::Report;

/// Judges a recorded attestation answer without network, as of `at`. All three verdicts are a report; a recorded answer proves the
/// past, so there is no endpoint.
#[pyfunction]
#[pyo3(signature = (provider, response, nonce, collateral, at, model = None, policy = None, trust_roots = None))]
#[allow(clippy::too_many_arguments, reason = "they are keywords in Python")]
pub fn verify_evidence(
    py: Python<'_>,
    provider: &str,
    response: Document,
    nonce: &Bound<'_, PyAny>,
    collateral: &Bound<'_, PyAny>,
    at: &Bound<'_, PyAny>,
    model: Option<&str>,
    policy: Option<&Bound<'_, Policy>>,
    trust_roots: Option<&Bound<'_, TrustRoots>>,
) -> PyResult<Report> {
    let nonce = exact::<32>("nonce", nonce)?;
    let collateral = read_collateral((!collateral.is_none()).then_some(collateral))?;
    let at =
        unix_s((!at.is_none()).then_some(at))?.ok_or_else(|| invalid(py, "at", "the time of the check"))?;
    let policy = policy_or_standard(policy);
    let roots = roots_or_vendor(trust_roots);
    detached(py, || {
        let provider = Provider::parse(provider)?;
        let collateral = parse_collateral(&collateral)?;
        let input = EvidenceInput { provider, model, response: &response, nonce, collateral: &collateral };
        let (report, _) = provider::appraise(&input, &policy, &roots, at);
        Ok(Report(report))
    })
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
