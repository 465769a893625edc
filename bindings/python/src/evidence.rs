//! `EvidenceBundle`.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use proveil_bindings_support::HardwareOptions;
use proveil_bindings_support::core::bundle::EvidenceBundle as CoreBundle;
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};

use crate::convert::{Bytes, Document, datetime, raw_or_hex, unix_s};
use crate::error::{detached, guarded};
use crate::policy::{Policy, TrustRoots};
use crate::report::Report;

/// Everything that an appraisal used: evidence, what the vendors say, policy, trust roots, time. Judged again it gives the same report,
/// byte for byte, without network. Immutable; equal contents are equal, hash alike and survive pickling.
#[pyclass(frozen, module = "proveil")]
pub struct EvidenceBundle(pub CoreBundle);

#[pymethods]
impl EvidenceBundle {
    /// Reads a `proveil.evidence/v1` document (text, bytes, or a dict). Raises `ConfigError` (`evidence_invalid`), naming the member,
    /// or `LimitError`.
    #[classmethod]
    fn from_json(_class: &Bound<'_, PyType>, py: Python<'_>, json: Document) -> PyResult<EvidenceBundle> {
        detached(py, || CoreBundle::from_json(&json).map(EvidenceBundle))
    }

    /// An SEV-SNP report (1184 bytes) with certificates and revocation list, in any order. `at` is now by default.
    #[classmethod]
    #[pyo3(signature = (files, *, report_data = None, measurement = None, host_data = None, policy = None, trust_roots = None, at = None))]
    #[allow(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn snp(
        _class: &Bound<'_, PyType>,
        py: Python<'_>,
        files: &Bound<'_, PyAny>,
        report_data: Option<&Bound<'_, PyAny>>,
        measurement: Option<&Bound<'_, PyAny>>,
        host_data: Option<&Bound<'_, PyAny>>,
        policy: Option<&Bound<'_, Policy>>,
        trust_roots: Option<&Bound<'_, TrustRoots>>,
        at: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<EvidenceBundle> {
        let options = HardwareOptions {
            report_data: value("report_data", report_data)?,
            measurement: value("measurement", measurement)?,
            host_data: value("host_data", host_data)?,
            ..rules(files, policy, trust_roots, at)?
        };
        detached(py, || options.snp().map(EvidenceBundle))
    }

    /// A TDX quote with Intel's collateral (the form of nine texts), in any order. `report_data` of fewer than 64 bytes is its
    /// beginning. `at` is now by default.
    #[classmethod]
    #[pyo3(signature = (files, *, report_data = None, mr_td = None, mr_seam = None, mr_config_id = None, mr_owner = None,
                        mr_owner_config = None, rtmr0 = None, rtmr1 = None, rtmr2 = None, rtmr3 = None, policy = None,
                        trust_roots = None, at = None))]
    #[allow(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn tdx(
        _class: &Bound<'_, PyType>,
        py: Python<'_>,
        files: &Bound<'_, PyAny>,
        report_data: Option<&Bound<'_, PyAny>>,
        mr_td: Option<&Bound<'_, PyAny>>,
        mr_seam: Option<&Bound<'_, PyAny>>,
        mr_config_id: Option<&Bound<'_, PyAny>>,
        mr_owner: Option<&Bound<'_, PyAny>>,
        mr_owner_config: Option<&Bound<'_, PyAny>>,
        rtmr0: Option<&Bound<'_, PyAny>>,
        rtmr1: Option<&Bound<'_, PyAny>>,
        rtmr2: Option<&Bound<'_, PyAny>>,
        rtmr3: Option<&Bound<'_, PyAny>>,
        policy: Option<&Bound<'_, Policy>>,
        trust_roots: Option<&Bound<'_, TrustRoots>>,
        at: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<EvidenceBundle> {
        let options = HardwareOptions {
            report_data: value("report_data", report_data)?,
            mr_td: value("mr_td", mr_td)?,
            mr_seam: value("mr_seam", mr_seam)?,
            mr_config_id: value("mr_config_id", mr_config_id)?,
            mr_owner: value("mr_owner", mr_owner)?,
            mr_owner_config: value("mr_owner_config", mr_owner_config)?,
            rtmr0: value("rtmr0", rtmr0)?,
            rtmr1: value("rtmr1", rtmr1)?,
            rtmr2: value("rtmr2", rtmr2)?,
            rtmr3: value("rtmr3", rtmr3)?,
            ..rules(files, policy, trust_roots, at)?
        };
        detached(py, || options.tdx().map(EvidenceBundle))
    }

    /// GPUs and switches of one system that were asked with `nonce` (32 bytes): reports and chains, manifests, OCSP answers, tokens and
    /// key list of NVIDIA's attestation service, in any order. `at` is now by default.
    #[classmethod]
    #[pyo3(signature = (files, nonce, *, policy = None, trust_roots = None, at = None))]
    fn nvidia(
        _class: &Bound<'_, PyType>,
        py: Python<'_>,
        files: &Bound<'_, PyAny>,
        nonce: &Bound<'_, PyAny>,
        policy: Option<&Bound<'_, Policy>>,
        trust_roots: Option<&Bound<'_, TrustRoots>>,
        at: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<EvidenceBundle> {
        let nonce = raw_or_hex("nonce", nonce)?;
        let options = rules(files, policy, trust_roots, at)?;
        detached(py, || options.nvidia(&nonce).map(EvidenceBundle))
    }

    /// Judges the evidence, by default by the bundle's own policy and at its own time. Trust roots that a document names are not used
    /// unless they are handed in: see `custom_roots`. All three verdicts are a report.
    #[pyo3(signature = (*, policy = None, trust_roots = None, at = None))]
    fn appraise(
        &self,
        py: Python<'_>,
        policy: Option<&Bound<'_, Policy>>,
        trust_roots: Option<&Bound<'_, TrustRoots>>,
        at: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Report> {
        let at = unix_s(at)?;
        let (policy, roots) = (policy.map(|policy| policy.get()), trust_roots.map(|roots| roots.get()));
        detached(py, || {
            let (report, _) =
                self.0.appraise(policy.map(|policy| &policy.0), roots.map(|roots| &roots.roots), at);
            Ok(Report(report))
        })
    }

    /// The `proveil.evidence/v1` document, deterministic.
    fn to_json(&self, py: Python<'_>) -> PyResult<String> {
        guarded(py, || Ok(self.0.to_json()))
    }

    /// `provider`, `snp`, `tdx` or `nvidia`.
    #[getter]
    fn kind(&self) -> &'static str {
        self.0.kind()
    }

    /// When it was captured or is to be judged.
    #[getter]
    fn at<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        datetime(py, self.0.at())
    }

    /// The policy that was used.
    #[getter]
    fn policy(&self) -> Policy {
        Policy(self.0.policy().clone())
    }

    /// Trust roots other than the vendors' that were used, or that the document says were; `None` for the vendors'.
    #[getter]
    fn custom_roots(&self) -> Option<TrustRoots> {
        self.0.custom_roots().and_then(TrustRoots::of)
    }

    fn __eq__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> PyResult<bool> {
        let Ok(other) = other.cast::<EvidenceBundle>() else { return Ok(false) };
        Ok(other.get().to_json(py)? == self.to_json(py)?)
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<u64> {
        let mut hasher = DefaultHasher::new();
        self.to_json(py)?.hash(&mut hasher);
        Ok(hasher.finish())
    }

    fn __repr__(&self) -> String {
        format!("<proveil.EvidenceBundle {} at={}>", self.0.kind(), self.0.at())
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let json = self.to_json(py)?;
        Ok((py.get_type::<EvidenceBundle>().getattr("from_json")?, PyTuple::new(py, [json])?))
    }
}

fn value(name: &str, given: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Vec<u8>>> {
    given.map(|given| raw_or_hex(name, given).map(|bytes| bytes.to_vec())).transpose()
}

fn rules(
    files: &Bound<'_, PyAny>,
    policy: Option<&Bound<'_, Policy>>,
    trust_roots: Option<&Bound<'_, TrustRoots>>,
    at: Option<&Bound<'_, PyAny>>,
) -> PyResult<HardwareOptions> {
    let files: PyResult<Vec<Vec<u8>>> =
        files.try_iter()?.map(|file| Ok(file?.extract::<Bytes>()?.to_vec())).collect();
    Ok(HardwareOptions {
        files: files?,
        policy: policy.map(|policy| policy.get().0.clone()),
        trust_roots: trust_roots.map(|roots| roots.get().roots.clone()),
        at: unix_s(at)?,
        ..HardwareOptions::default()
    })
}
