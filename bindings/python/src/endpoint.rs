//! `VerifiedEndpoint` and `SealedRequest`.

use std::sync::Arc;

use proveil_bindings_support::core::endpoint::{
    SealedRequest as CoreSealed, VerifiedEndpoint as CoreEndpoint,
};
use proveil_bindings_support::core::http::HttpResponse;
use proveil_bindings_support::{OsRandom, OwnedRequest, now_unix_s};
use pyo3::prelude::*;

use crate::convert::{Bytes, Document, datetime, head, unix_s};
use crate::error::{detached, guarded};
use crate::http::HttpRequest;
use crate::opener::{Opener, Receipt};
use crate::report::Report;

/// An endpoint whose key was proven. Only a verification makes one; it cannot be constructed, copied or pickled.
#[pyclass(frozen, module = "proveil")]
pub struct VerifiedEndpoint(pub Arc<CoreEndpoint>);

#[pymethods]
impl VerifiedEndpoint {
    /// Provider name.
    #[getter]
    fn provider(&self) -> &str {
        self.0.provider()
    }

    /// Model id.
    #[getter]
    fn model(&self) -> &str {
        self.0.model()
    }

    /// The report that led here.
    #[getter]
    fn report(&self) -> Report {
        Report(self.0.report().clone())
    }

    /// When the proof ends.
    #[getter]
    fn not_after<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        datetime(py, self.0.not_after())
    }

    /// Seals a chat request (JSON text, bytes or dict) for this endpoint's model under fresh keys. What cannot be encrypted is
    /// refused with `InputError`; from `not_after` on this raises `IndeterminateError` (`proof_expired`). A retry seals anew.
    #[pyo3(signature = (body, at = None))]
    fn seal(
        &self,
        py: Python<'_>,
        body: Document,
        at: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<(SealedRequest, Opener)> {
        let at = unix_s(at)?;
        let (sealed, opener) = detached(py, || {
            let at = at.map_or_else(now_unix_s, Ok)?;
            self.0.seal(&body, at, &mut OsRandom)
        })?;
        Ok((SealedRequest(sealed), Opener::new(opener)))
    }

    /// The same for any endpoint of the API, by its path (`/v1/embeddings`); the answer opens as `document` events. Forms need their
    /// `content_type`. What the provider does not carry sealed is refused with `InputError` (`unsupported_endpoint`).
    #[pyo3(signature = (endpoint_path, body, content_type = None, at = None))]
    fn seal_request(
        &self,
        py: Python<'_>,
        endpoint_path: &str,
        body: Document,
        content_type: Option<String>,
        at: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<(SealedRequest, Opener)> {
        let at = unix_s(at)?;
        let (sealed, opener) = detached(py, || {
            let at = at.map_or_else(now_unix_s, Ok)?;
            let request = OwnedRequest::new(endpoint_path, &body, content_type)?;
            self.0.seal_request(&request.request(), at, &mut OsRandom)
        })?;
        Ok((SealedRequest(sealed), Opener::new(opener)))
    }

    /// The request that asks the provider for the signature of a finished answer.
    fn signature_request(&self, py: Python<'_>, receipt: &Bound<'_, Receipt>) -> PyResult<HttpRequest> {
        guarded(py, || self.0.signature_request(&receipt.get().receipt).map(HttpRequest))
    }

    /// Judges the answer to that request: `body_matches` or `signed_body_not_verifiable`.
    fn check_signature(
        &self,
        py: Python<'_>,
        receipt: &Bound<'_, Receipt>,
        status: u16,
        headers: &Bound<'_, PyAny>,
        body: Bytes,
    ) -> PyResult<&'static str> {
        let response = HttpResponse::new(head(status, headers)?, body.to_vec());
        let receipt = &receipt.get().receipt;
        detached(py, || self.0.check_signature(receipt, &response).map(|verdict| verdict.name()))
    }

    fn __repr__(&self) -> String {
        format!("<proveil.VerifiedEndpoint {} {}>", self.0.provider(), self.0.model())
    }
}

/// A request whose prompt is sealed to the proven key.
#[pyclass(frozen, module = "proveil")]
pub struct SealedRequest(CoreSealed);

#[pymethods]
impl SealedRequest {
    /// The request as it must be sent.
    #[getter]
    fn request(&self) -> HttpRequest {
        HttpRequest(self.0.request().clone())
    }

    fn __repr__(&self) -> String {
        format!("<proveil.SealedRequest {}>", self.0.request().url())
    }
}
