//! `Policy` and `TrustRoots`.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use proveil_bindings_support::core::attest::TrustRoots as CoreRoots;
use proveil_bindings_support::core::policy::Policy as CorePolicy;
use proveil_bindings_support::core::wire::hex;
use proveil_bindings_support::core::{Code, Error};
use pyo3::PyTypeInfo;
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};

use crate::convert::Document;
use crate::error::{detached, guarded};

/// What must hold before anything is sent. Immutable; equal rules and name are equal, hash alike and survive pickling.
#[pyclass(frozen, module = "proveil")]
pub struct Policy(pub CorePolicy);

#[pymethods]
impl Policy {
    /// The strongest policy that the honest deployments known today meet. The default.
    #[classmethod]
    fn standard(_class: &Bound<'_, PyType>, py: Python<'_>) -> PyResult<Policy> {
        guarded(py, || Ok(Policy(CorePolicy::standard())))
    }

    /// `standard`, and reference values for software and GPU measurements are required.
    #[classmethod]
    fn strict(_class: &Bound<'_, PyType>, py: Python<'_>) -> PyResult<Policy> {
        guarded(py, || Ok(Policy(CorePolicy::strict())))
    }

    /// Reads a `proveil.policy/v1` document (text, bytes, or a dict). Raises `ConfigError` (`policy_invalid`), naming the member.
    #[classmethod]
    fn from_json(_class: &Bound<'_, PyType>, py: Python<'_>, json: Document) -> PyResult<Policy> {
        detached(py, || CorePolicy::from_json(&json).map(Policy))
    }

    /// The complete document, canonical JSON.
    fn to_json(&self, py: Python<'_>) -> PyResult<String> {
        guarded(py, || Ok(self.0.to_json()))
    }

    /// Name of the preset or document.
    #[getter]
    fn name(&self) -> &str {
        self.0.name()
    }

    /// SHA-256 of the rules without the name, lowercase hex.
    #[getter]
    fn sha256(&self, py: Python<'_>) -> PyResult<String> {
        guarded(py, || Ok(hex::encode(&self.0.sha256())))
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<Policy>().is_ok_and(|other| other.get().0 == self.0)
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<u64> {
        guarded(py, || Ok(hash(&self.0.to_json())))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let sha256 = self.sha256(py)?;
        Ok(format!("<proveil.Policy {:?} sha256={}>", self.0.name(), sha256.get(..16).unwrap_or_default()))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        rebuild::<Policy>(py, &self.to_json(py)?)
    }
}

/// Whose signatures count when they are not the hardware vendors': for labs and simulators. Every verdict then says CUSTOM.
#[pyclass(frozen, module = "proveil")]
pub struct TrustRoots {
    pub roots: CoreRoots,
    json: String,
}

impl TrustRoots {
    /// Roots that are not the vendors'.
    pub fn of(roots: &CoreRoots) -> Option<TrustRoots> {
        roots.to_json().map(|json| TrustRoots { roots: roots.clone(), json: json.to_owned() })
    }
}

#[pymethods]
impl TrustRoots {
    /// Reads a `proveil.trust-roots/v1` document. Raises `ConfigError` (`trust_roots_invalid`).
    #[classmethod]
    fn from_json(_class: &Bound<'_, PyType>, py: Python<'_>, json: Document) -> PyResult<TrustRoots> {
        detached(py, || {
            let roots = CoreRoots::from_json(&json)?;
            let json =
                std::str::from_utf8(&json).map_err(|_| Error::new(Code::TrustRootsInvalid))?.to_owned();
            Ok(TrustRoots { roots, json })
        })
    }

    /// The document as it was given.
    fn to_json(&self) -> &str {
        &self.json
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<TrustRoots>().is_ok_and(|other| other.get().json == self.json)
    }

    fn __hash__(&self) -> u64 {
        hash(&self.json)
    }

    fn __repr__(&self) -> &'static str {
        "<proveil.TrustRoots CUSTOM>"
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        rebuild::<TrustRoots>(py, &self.json)
    }
}

fn hash(json: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    json.hash(&mut hasher);
    hasher.finish()
}

/// What pickle calls to get the value back: `T.from_json(json)`.
fn rebuild<'py, T: PyTypeInfo>(
    py: Python<'py>,
    json: &str,
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
    Ok((py.get_type::<T>().getattr("from_json")?, PyTuple::new(py, [json])?))
}
