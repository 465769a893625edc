//! `Exchange`: a verification over your own transport, and its `Outcome`.

use std::sync::Arc;

use proveil_bindings_support::core::Error;
use proveil_bindings_support::core::endpoint::Outcome as CoreOutcome;
use proveil_bindings_support::core::evidence::TdxCollateral;
use proveil_bindings_support::core::http::HttpResponse;
use proveil_bindings_support::core::provider::Step;
use proveil_bindings_support::core::report::Report as CoreReport;
use proveil_bindings_support::core::secret::SecretText;
use proveil_bindings_support::{
    ExchangeCell, ExchangeOptions, PrivatemodeFields, fetched_endorsements, transport_failure,
};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::convert::{Bytes, Document, TextOrBytes, head, unix_s};
use crate::endpoint::VerifiedEndpoint;
use crate::error::{detached, guarded, to_py};
use crate::http::HttpRequest;
use crate::policy::{Policy, TrustRoots};
use crate::report::Report;

/// One verification of one endpoint without I/O: `next` gives a request or the outcome, `feed` or `fail` takes what came of it.
#[pyclass(frozen, module = "proveil")]
pub struct Exchange(ExchangeCell);

#[pymethods]
impl Exchange {
    /// Prepares a verification; nothing is sent.
    #[new]
    #[pyo3(signature = (provider, model, api_key, *, base_url = None, collateral_url = None, nvidia_url = None, policy = None,
                        trust_roots = None, collateral = None, endorsements = None, model_list = None, manifest = None,
                        manifest_url = None, amd_url = None, gpu_revocation_grace_s = None, cache_salt = None,
                        key_service_name = None))]
    #[allow(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn new(
        py: Python<'_>,
        provider: String,
        model: String,
        api_key: String,
        base_url: Option<String>,
        collateral_url: Option<String>,
        nvidia_url: Option<String>,
        policy: Option<&Bound<'_, Policy>>,
        trust_roots: Option<&Bound<'_, TrustRoots>>,
        collateral: Option<&Bound<'_, PyAny>>,
        endorsements: Option<&Bound<'_, PyAny>>,
        model_list: Option<Bytes>,
        manifest: Option<TextOrBytes>,
        manifest_url: Option<String>,
        amd_url: Option<String>,
        gpu_revocation_grace_s: Option<u64>,
        cache_salt: Option<String>,
        key_service_name: Option<String>,
    ) -> PyResult<Exchange> {
        let options = ExchangeOptions {
            provider,
            model,
            api_key: SecretText::new(api_key),
            base_url,
            collateral_url,
            nvidia_url,
            policy: policy.map(|policy| policy.get().0.clone()),
            trust_roots: trust_roots.map(|roots| roots.get().roots.clone()),
            collateral: read_collateral(collateral)?,
            endorsements: read_collateral(endorsements)?,
            model_list: model_list.map(|list| list.to_vec()),
            privatemode: PrivatemodeFields {
                manifest: manifest.map(|manifest| manifest.to_vec()),
                manifest_url,
                amd_url,
                gpu_revocation_grace_s,
                cache_salt: cache_salt.map(SecretText::new),
                key_service_name,
            },
        };
        detached(py, || ExchangeCell::new(options.config()?).map(Exchange))
    }

    /// The next request, or the outcome. `at` is the current time; `None` reads the clock.
    #[pyo3(signature = (at = None))]
    fn next<'py>(&self, py: Python<'py>, at: Option<&Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyAny>> {
        let at = unix_s(at)?;
        match detached(py, || self.0.next(at))? {
            Step::Send(request) => Ok(Bound::new(py, HttpRequest(request))?.into_any()),
            Step::Done(outcome) => Ok(Bound::new(py, Outcome::new(*outcome))?.into_any()),
        }
    }

    /// Hands in the answer to the last request. `headers` is a mapping or pairs.
    fn feed(&self, py: Python<'_>, status: u16, headers: &Bound<'_, PyAny>, body: Bytes) -> PyResult<()> {
        let head = head(status, headers)?;
        detached(py, || self.0.feed(HttpResponse::new(head, body.to_vec())))
    }

    /// Reports that the last request could not be carried out: `connect`, `timeout`, `tls_rule`, `too_large`, `broken` or
    /// `cancelled`.
    fn fail(&self, py: Python<'_>, kind: &str) -> PyResult<()> {
        guarded(py, || self.0.fail(transport_failure(kind)?))
    }

    /// Collateral that was fetched on the way, as JSON documents for your cache.
    fn fetched_collateral(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        detached(py, || {
            self.0.with(|exchange| exchange.fetched_collateral().iter().map(TdxCollateral::to_json).collect())
        })
    }

    /// What NVIDIA said on the way, as a JSON document for your cache, or `None`. It names the GPUs.
    fn fetched_endorsements(&self, py: Python<'_>) -> PyResult<Option<String>> {
        detached(py, || self.0.with(fetched_endorsements))
    }

    /// The model list that was fetched on the way, or `None`.
    fn fetched_model_list<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let list = guarded(py, || self.0.with(|exchange| exchange.fetched_model_list().map(<[u8]>::to_vec)))?;
        Ok(list.map(|list| PyBytes::new(py, &list)))
    }

    /// What an offline re-check needs: the provider's answer and our 32-byte challenge; `None` before there is an answer.
    fn evidence<'py>(&self, py: Python<'py>) -> PyResult<Option<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)>> {
        let evidence = guarded(py, || {
            self.0.with(|exchange| exchange.evidence().map(|(answer, nonce)| (answer.to_vec(), *nonce)))
        })?;
        Ok(evidence.map(|(answer, nonce)| (PyBytes::new(py, &answer), PyBytes::new(py, &nonce))))
    }

    fn __repr__(&self) -> &'static str {
        "<proveil.Exchange>"
    }
}

/// How a verification ended: verified, refused or indeterminate. Only a verified one has an endpoint.
#[pyclass(frozen, module = "proveil")]
pub struct Outcome {
    report: CoreReport,
    result: Result<Arc<proveil_bindings_support::core::endpoint::VerifiedEndpoint>, Error>,
}

impl Outcome {
    fn new(outcome: CoreOutcome) -> Outcome {
        Outcome { report: outcome.report().clone(), result: outcome.into_result().map(Arc::new) }
    }
}

#[pymethods]
impl Outcome {
    /// `verified`, `refused` or `indeterminate`.
    #[getter]
    fn verdict(&self) -> &'static str {
        self.report.verdict().name()
    }

    /// The report, whatever the outcome.
    #[getter]
    fn report(&self) -> Report {
        Report(self.report.clone())
    }

    /// The endpoint; raises `VerificationError` or `IndeterminateError`, with the report, when there is none.
    fn endpoint(&self, py: Python<'_>) -> PyResult<VerifiedEndpoint> {
        self.result
            .as_ref()
            .map(|endpoint| VerifiedEndpoint(endpoint.clone()))
            .map_err(|error| to_py(py, error))
    }

    fn __bool__(&self) -> PyResult<bool> {
        Err(pyo3::exceptions::PyTypeError::new_err(
            "an Outcome has three values: compare outcome.verdict with \"verified\", or call outcome.endpoint()",
        ))
    }

    fn __repr__(&self) -> String {
        format!("<proveil.Outcome {}>", self.verdict())
    }
}

/// Collateral and endorsement arguments: one JSON document or several, each as text, bytes or dict.
pub fn read_collateral(value: Option<&Bound<'_, PyAny>>) -> PyResult<Vec<Vec<u8>>> {
    let Some(value) = value else { return Ok(Vec::new()) };
    let single =
        value.is_instance_of::<PyString>() || value.hasattr("keys")? || value.extract::<Bytes>().is_ok();
    let document = |value: &Bound<'_, PyAny>| Ok(value.extract::<Document>()?.to_vec());
    if single { Ok(vec![document(value)?]) } else { value.try_iter()?.map(|item| document(&item?)).collect() }
}
