//! `Report` and `Check`.

use proveil_bindings_support::core::report::{
    Check as CoreCheck, Enforcement, Group, Outcome, Report as CoreReport, Roots, Standing,
};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::convert::{datetime, loads};
use crate::error::guarded;

/// What an appraisal found. A record for people and archives: nothing reads one to decide.
#[pyclass(frozen, module = "proveil")]
pub struct Report(pub CoreReport);

#[pymethods]
impl Report {
    /// `verified`, `refused` or `indeterminate`.
    #[getter]
    fn verdict(&self) -> &'static str {
        self.0.verdict().name()
    }

    /// `L0` to `L4` when verified, else `None`.
    #[getter]
    fn level(&self) -> Option<&'static str> {
        self.0.level().map(|level| level.name())
    }

    /// `vendor` or `custom`: whose signatures were accepted.
    #[getter]
    fn roots(&self) -> &'static str {
        match self.0.roots() {
            Roots::Vendor => "vendor",
            Roots::Custom => "custom",
        }
    }

    /// The verdict in one line of words.
    #[getter]
    fn headline(&self) -> &str {
        self.0.headline()
    }

    /// Code of the first enforced check that did not pass, else `None`.
    #[getter]
    fn code(&self) -> Option<&str> {
        self.0.code()
    }

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

    /// When the evidence was appraised.
    #[getter]
    fn checked_at<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        datetime(py, self.0.checked_at())
    }

    /// When the proof ends; `None` unless verified.
    #[getter]
    fn valid_until<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.0.valid_until().map(|at| datetime(py, at)).transpose()
    }

    /// Name of the policy that was applied.
    #[getter]
    fn policy_name(&self) -> &str {
        &self.0.policy().name
    }

    /// SHA-256 of that policy's rules, lowercase hex.
    #[getter]
    fn policy_sha256(&self) -> &str {
        &self.0.policy().sha256
    }

    /// Every relaxation against the preset `standard`, in words.
    #[getter]
    fn relaxations(&self) -> Vec<String> {
        self.0.policy().relaxations.clone()
    }

    /// Every check in the order in which it was made.
    #[getter]
    fn checks(&self) -> Vec<Check> {
        self.0.checks().iter().cloned().map(Check).collect()
    }

    /// Facts from authenticated evidence, by name.
    #[getter]
    fn facts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let facts = PyDict::new(py);
        for fact in self.0.facts() {
            facts.set_item(&fact.name, &fact.value)?;
        }
        Ok(facts)
    }

    /// Every place that sees the prompt in clear: dicts with `name`, `standing` (`proven`, `asserted`, `unknown`) and `note`.
    #[getter]
    fn who_can_read<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let hops = self.0.who_can_read().iter().map(|hop| {
            let standing = match hop.standing {
                Standing::Proven => "proven",
                Standing::Asserted => "asserted",
                Standing::Unknown => "unknown",
            };
            let shown = PyDict::new(py);
            for (name, value) in [("name", hop.name.as_str()), ("standing", standing), ("note", &hop.note)] {
                shown.set_item(name, value)?;
            }
            Ok(shown)
        });
        hops.collect()
    }

    /// What nothing in this appraisal shows, in plain words.
    #[getter]
    fn not_proven(&self) -> Vec<String> {
        self.0.not_proven().to_vec()
    }

    /// What is missing to the next level; `None` unless verified.
    #[getter]
    fn missing_to_next_level(&self) -> Option<&str> {
        self.0.missing_to_next_level()
    }

    /// The `proveil.report/v1` document as a dict.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        loads(py, &self.to_json(py)?)
    }

    /// The `proveil.report/v1` document, deterministic.
    fn to_json(&self, py: Python<'_>) -> PyResult<String> {
        guarded(py, || Ok(self.0.to_json()))
    }

    /// For a terminal of 80 columns.
    fn to_text(&self, py: Python<'_>) -> PyResult<String> {
        guarded(py, || Ok(self.0.to_text()))
    }

    /// One HTML page that needs nothing else: no network, no script, dark and light, for screen and print.
    fn to_html(&self, py: Python<'_>) -> PyResult<String> {
        guarded(py, || Ok(self.0.to_html()))
    }

    /// A card as one SVG image.
    fn to_svg(&self, py: Python<'_>) -> PyResult<String> {
        guarded(py, || Ok(self.0.to_svg()))
    }

    /// An EAT attestation result (draft-ietf-rats-ear-04), compact JSON.
    fn to_ear_json(&self, py: Python<'_>) -> PyResult<String> {
        guarded(py, || Ok(self.0.to_ear_json()))
    }

    fn __repr__(&self) -> String {
        format!("<proveil.Report {} {} {}>", self.verdict(), self.0.provider(), self.0.model())
    }

    fn __bool__(&self) -> PyResult<bool> {
        // A refusal that counts as true would be a trap.
        Err(PyTypeError::new_err("a Report has three outcomes: compare report.verdict with \"verified\""))
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err("a Report cannot be pickled: keep report.to_json()"))
    }
}

/// One line of the check table.
#[pyclass(frozen, module = "proveil")]
pub struct Check(CoreCheck);

#[pymethods]
impl Check {
    /// Stable id, with a scope in front where an answer holds several enclaves.
    #[getter]
    fn id(&self) -> &str {
        self.0.id()
    }

    /// `hardware`, `freshness`, `key_binding`, `software`, `gpu` or `transport`.
    #[getter]
    fn group(&self) -> &'static str {
        match self.0.group() {
            Group::Hardware => "hardware",
            Group::Freshness => "freshness",
            Group::KeyBinding => "key_binding",
            Group::Software => "software",
            Group::Gpu => "gpu",
            Group::Transport => "transport",
        }
    }

    /// What is checked, in words.
    #[getter]
    fn title(&self) -> &str {
        self.0.title()
    }

    /// `pass`, `fail` or `not_checked`.
    #[getter]
    fn outcome(&self) -> &'static str {
        match self.0.outcome() {
            Outcome::Pass => "pass",
            Outcome::Fail => "fail",
            Outcome::NotChecked => "not_checked",
        }
    }

    /// `enforced` or `advisory`.
    #[getter]
    fn enforcement(&self) -> &'static str {
        match self.0.enforcement() {
            Enforcement::Enforced => "enforced",
            Enforcement::Advisory => "advisory",
        }
    }

    /// Error code when it did not pass.
    #[getter]
    fn code(&self) -> Option<&str> {
        self.0.code()
    }

    /// Machine reason, or why it was not made.
    #[getter]
    fn reason(&self) -> Option<&str> {
        self.0.reason()
    }

    /// What was expected.
    #[getter]
    fn expected(&self) -> Option<&str> {
        self.0.expected()
    }

    /// What was there.
    #[getter]
    fn found(&self) -> Option<&str> {
        self.0.found_value()
    }

    /// Where the value comes from that was compared with.
    #[getter]
    fn reference(&self) -> Option<&str> {
        self.0.reference()
    }

    fn __repr__(&self) -> String {
        format!("<proveil.Check {} {} ({})>", self.0.id(), self.outcome(), self.enforcement())
    }
}
