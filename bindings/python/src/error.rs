//! Errors of the core as exceptions of `proveil.errors`.

use proveil_bindings_support::core::{Code, Error, Result};
use proveil_bindings_support::{ErrorFields, guard};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList};

/// The exception for an error.
pub fn to_py(py: Python<'_>, error: &Error) -> PyErr {
    with_events(py, error, None)
}

/// The exception for an error that came after `events` (threats I2: what opened before it is valid).
pub fn with_events(py: Python<'_>, error: &Error, events: Option<Bound<'_, PyList>>) -> PyErr {
    match exception(py, error, events) {
        Ok(exception) => PyErr::from_value(exception),
        Err(failure) => failure,
    }
}

/// The exception object for an error.
pub fn exception<'py>(
    py: Python<'py>,
    error: &Error,
    events: Option<Bound<'py, PyList>>,
) -> PyResult<Bound<'py, PyAny>> {
    static MAKE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let make = MAKE.import(py, "proveil.errors", "make")?;
    let fields = ErrorFields::from(error);
    let named = PyDict::new(py);
    named.set_item("message", fields.message)?;
    named.set_item("check", fields.check)?;
    named.set_item("expected", fields.expected)?;
    named.set_item("found", fields.found)?;
    named.set_item("report_json", fields.report_json)?;
    if let Some(events) = events {
        named.set_item("events", events)?;
    }
    make.call((fields.slug,), Some(&named))
}

/// Runs short work inside the unwind guard, with the interpreter lock held.
pub fn guarded<T>(py: Python<'_>, work: impl FnOnce() -> Result<T>) -> PyResult<T> {
    guard(work).map_err(|error| to_py(py, &error))
}

/// Runs work inside the unwind guard, without the interpreter lock.
pub fn detached<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T> + Send) -> PyResult<T> {
    py.detach(|| guard(work)).map_err(|error| to_py(py, &error))
}

/// `invalid_argument`, naming the argument.
pub fn invalid(py: Python<'_>, argument: &str, expected: &str) -> PyErr {
    to_py(py, &Error::new(Code::InvalidArgument).at(argument).expected(expected))
}
