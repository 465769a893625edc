//! `Exchange`: a verification over your own transport, and its `Outcome`.

use std::sync::Arc;

use proveil_bindings_support::ExchangeCell;
use proveil_bindings_support::core::Error;
use proveil_bindings_support::core::endpoint::Outcome as CoreOutcome;
use proveil_bindings_support::core::evidence::TdxCollateral;
use proveil_bindings_support::core::http::{BaseUrl, HttpResponse, TransportFailure};
use proveil_bindings_support::core::provider::{ExchangeConfig, Provider, Step};
use proveil_bindings_support::core::report::Report as CoreReport;
use proveil_bindings_support::core::secret::SecretText;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::convert::{Bytes, Document, head, unix_s};
use crate::endpoint::VerifiedEndpoint;
use crate::error::{detached, guarded, invalid, to_py};
use crate::http::HttpRequest;
use crate::policy::{Policy, TrustRoots, policy_or_standard, roots_or_vendor};
use crate::report::Report;

/// One verification of one endpoint without I/O: `next` gives a request or the outcome, `feed` or `fail` takes what came of it.
#[pyclass(frozen, module = "proveil")]
pub struct Exchange(ExchangeCell);

#[pymethods]
impl Exchange {
    /// Prepares a verification; nothing is sent.
    #[new]
    #[pyo3(signature = (provider, model, api_key, *, base_url = None, collateral_url = None, policy = None, trust_roots = None,
                        collateral = None, model_list = None))]
    #[allow(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn new(
        py: Python<'_>,
        provider: &str,
        model: String,
        api_key: String,
        base_url: Option<&str>,
        collateral_url: Option<&str>,
        policy: Option<&Bound<'_, Policy>>,
        trust_roots: Option<&Bound<'_, TrustRoots>>,
        collateral: Option<&Bound<'_, PyAny>>,
        model_list: Option<Bytes>,
    ) -> PyResult<Exchange> {
        let api_key = SecretText::new(api_key);
        let collateral = read_collateral(collateral)?;
        let policy = policy_or_standard(policy);
        let roots = roots_or_vendor(trust_roots);
        detached(py, || {
            let config = ExchangeConfig {
                provider: Provider::parse(provider)?,
                model,
                base_url: base_url.map(BaseUrl::parse).transpose()?,
                collateral_url: collateral_url.map(BaseUrl::parse).transpose()?,
                api_key,
                policy,
                roots,
                collateral: parse_collateral(&collateral)?,
                model_list: model_list.as_deref().map(<[u8]>::to_vec),
            };
            ExchangeCell::new(config).map(Exchange)
        })
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
        let failure = match kind {
            "connect" => TransportFailure::Connect,
            "timeout" => TransportFailure::Timeout,
            "tls_rule" => TransportFailure::TlsRule,
            "too_large" => TransportFailure::TooLarge,
            "broken" => TransportFailure::Broken,
            "cancelled" => TransportFailure::Cancelled,
            _ => return Err(invalid(py, "kind", "connect, timeout, tls_rule, too_large, broken, cancelled")),
        };
        guarded(py, || self.0.fail(failure))
    }

    /// Collateral that was fetched on the way, as JSON documents for your cache.
    fn fetched_collateral(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        detached(py, || {
            self.0.with(|exchange| exchange.fetched_collateral().iter().map(TdxCollateral::to_json).collect())
        })
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

/// Collateral arguments: one document or several.
pub fn read_collateral(value: Option<&Bound<'_, PyAny>>) -> PyResult<Vec<Document>> {
    let Some(value) = value else { return Ok(Vec::new()) };
    let single =
        value.is_instance_of::<PyString>() || value.hasattr("keys")? || value.extract::<Bytes>().is_ok();
    if single {
        return Ok(vec![value.extract()?]);
    }
    value.try_iter()?.map(|item| item?.extract()).collect()
}

/// The documents, read strictly.
pub fn parse_collateral(documents: &[Document]) -> Result<Vec<TdxCollateral>, Error> {
    documents.iter().map(|document| TdxCollateral::from_json(document)).collect()
}
