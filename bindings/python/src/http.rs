//! `HttpRequest`.

use proveil_bindings_support::core::http::{HttpRequest as CoreRequest, TlsRule};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// A request for your own transport: send it as it is, follow no redirect, stop reading at `max_response_bytes`, and check
/// `pinned_spki` before sending when there is one. Values of `sensitive` headers are secrets.
#[pyclass(frozen, module = "proveil")]
pub struct HttpRequest(pub CoreRequest);

#[pymethods]
impl HttpRequest {
    /// `GET` or `POST`.
    #[getter]
    fn method(&self) -> &'static str {
        self.0.method().as_str()
    }

    /// Absolute URL.
    #[getter]
    fn url(&self) -> &str {
        self.0.url()
    }

    /// Names (lowercase) and values in order.
    #[getter]
    fn headers(&self) -> Vec<(&'static str, &str)> {
        self.0.headers().iter().map(|header| (header.name(), header.value())).collect()
    }

    /// Names of the headers whose values must not be logged.
    #[getter]
    fn sensitive(&self) -> Vec<&'static str> {
        let headers = self.0.headers().iter();
        headers.filter(|header| header.is_sensitive()).map(|header| header.name()).collect()
    }

    /// Body; empty for `GET`.
    #[getter]
    fn body<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.body())
    }

    /// SHA-256 values (32 bytes each) of which the peer's SubjectPublicKeyInfo must have one; empty: a public authority suffices.
    #[getter]
    fn pinned_spki<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        match self.0.tls() {
            TlsRule::PublicCa => Vec::new(),
            TlsRule::PinnedSpki(pins) => pins.iter().map(|pin| PyBytes::new(py, pin)).collect(),
        }
    }

    /// Longest response that is accepted.
    #[getter]
    fn max_response_bytes(&self) -> usize {
        self.0.max_response_bytes()
    }

    /// For progress lines: `model list`, `attestation`, `chat`, ...
    #[getter]
    fn purpose(&self) -> &'static str {
        self.0.purpose()
    }

    fn __repr__(&self) -> String {
        format!("<proveil.HttpRequest {} {} ({} bytes)>", self.method(), self.0.url(), self.0.body().len())
    }
}
