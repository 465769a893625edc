//! Arguments and results: bytes in any form, JSON documents, times, headers.

use std::ops::Deref;

use proveil_bindings_support::core::http::ResponseHead;
use proveil_bindings_support::core::secret::Secret;
use proveil_bindings_support::core::wire::hex;
use proveil_bindings_support::core::{Code, Error};
use proveil_bindings_support::private_key;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyBytes, PyDict, PyMemoryView, PyString};
use zeroize::Zeroizing;

use crate::error::{guarded, invalid, to_py};

/// Bytes of any object with a buffer. `bytes` are borrowed; everything else could change while the lock is released and is copied.
pub struct Bytes(PyBackedBytes);

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl<'py> FromPyObject<'_, 'py> for Bytes {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Bytes> {
        if let Ok(bytes) = object.cast::<PyBytes>() {
            return Ok(Bytes(PyBackedBytes::from(bytes.to_owned())));
        }
        let copy = PyMemoryView::from(&object)?.call_method0("tobytes")?;
        Ok(Bytes(PyBackedBytes::from(copy.cast_into::<PyBytes>()?)))
    }
}

/// Text or bytes, as given.
pub enum TextOrBytes {
    /// UTF-8.
    Text(PyBackedStr),
    /// Bytes.
    Bytes(Bytes),
}

impl Deref for TextOrBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            TextOrBytes::Text(text) => text.as_bytes(),
            TextOrBytes::Bytes(bytes) => bytes,
        }
    }
}

impl<'py> FromPyObject<'_, 'py> for TextOrBytes {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<TextOrBytes> {
        match object.cast::<PyString>() {
            Ok(text) => text_of(object.py(), text.to_owned()).map(TextOrBytes::Text),
            Err(_) => object.extract::<Bytes>().map(TextOrBytes::Bytes),
        }
    }
}

/// A JSON document: text, bytes, or a value for `json.dumps`.
pub enum Document {
    /// Text as given or as serialised.
    Text(PyBackedStr),
    /// Bytes as given.
    Bytes(Bytes),
}

impl Deref for Document {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Document::Text(text) => text.as_bytes(),
            Document::Bytes(bytes) => bytes,
        }
    }
}

impl<'py> FromPyObject<'_, 'py> for Document {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Document> {
        let py = object.py();
        if let Ok(text) = object.cast::<PyString>() {
            return text_of(py, text.to_owned()).map(Document::Text);
        }
        if let Ok(bytes) = object.extract::<Bytes>() {
            return Ok(Document::Bytes(bytes));
        }
        let text = dumps(py, &object)?;
        text_of(py, text.cast_into::<PyString>()?).map(Document::Text)
    }
}

/// The UTF-8 form of a text. Python's own exception would carry the whole text (threats I7), so it is replaced.
fn text_of(py: Python<'_>, text: Bound<'_, PyString>) -> PyResult<PyBackedStr> {
    PyBackedStr::try_from(text)
        .map_err(|_| to_py(py, &Error::new(Code::MalformedRequest).found("a lone surrogate")))
}

fn dumps<'py>(py: Python<'py>, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    static DUMPS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let options = PyDict::new(py);
    options.set_item("ensure_ascii", false)?;
    options.set_item("allow_nan", false)?;
    options.set_item("separators", (",", ":"))?;
    DUMPS.import(py, "json", "dumps")?.call((value,), Some(&options)).map_err(|failure| {
        let error = Error::new(Code::MalformedRequest);
        // A TypeError names types only; the other exceptions can quote values.
        let error = if failure.is_instance_of::<PyTypeError>(py) {
            error.found(failure.value(py).to_string())
        } else {
            error
        };
        to_py(py, &error)
    })
}

/// Parses JSON text that this library wrote.
pub fn loads<'py>(py: Python<'py>, json: &str) -> PyResult<Bound<'py, PyAny>> {
    static LOADS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    LOADS.import(py, "json", "loads")?.call1((json,))
}

/// A time argument: an aware `datetime`, whole seconds since 1970-01-01T00:00:00Z, or `None`.
pub fn unix_s(at: Option<&Bound<'_, PyAny>>) -> PyResult<Option<u64>> {
    let Some(at) = at else { return Ok(None) };
    let py = at.py();
    let expected = || invalid(py, "at", "an aware datetime, or seconds since 1970 as an int");
    if at.is_instance_of::<PyBool>() {
        return Err(expected());
    }
    if let Ok(seconds) = at.extract::<u64>() {
        return Ok(Some(seconds));
    }
    let Ok(zone) = at.getattr("tzinfo") else { return Err(expected()) };
    if zone.is_none() {
        return Err(expected());
    }
    let seconds = at.call_method0("timestamp")?.extract::<f64>()?;
    if !(0.0..1e12).contains(&seconds) {
        return Err(expected());
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was just checked")]
    Ok(Some(seconds.floor() as u64))
}

/// An aware `datetime` in UTC.
pub fn datetime(py: Python<'_>, unix_s: u64) -> PyResult<Bound<'_, PyAny>> {
    static FROM: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    static UTC: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let class = FROM.import(py, "datetime", "datetime")?;
    let zone = UTC.import(py, "datetime", "timezone")?.getattr("utc")?;
    class.call_method1("fromtimestamp", (unix_s, zone))
}

/// Status and headers of an answer; headers are a mapping or pairs, names and values `str` or `bytes` (Latin-1).
pub fn head(status: u16, headers: &Bound<'_, PyAny>) -> PyResult<ResponseHead> {
    let pairs = if headers.hasattr("items")? { headers.call_method0("items")? } else { headers.clone() };
    let mut read = Vec::new();
    for pair in pairs.try_iter()? {
        let (name, value) = pair?.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>()?;
        read.push((header_text(&name)?, header_text(&value)?));
    }
    Ok(ResponseHead::new(status, read))
}

fn header_text(value: &Bound<'_, PyAny>) -> PyResult<String> {
    if let Ok(text) = value.extract::<String>() {
        return Ok(text);
    }
    match value.extract::<Bytes>() {
        Ok(bytes) => Ok(bytes.iter().copied().map(char::from).collect()),
        Err(_) => Err(invalid(value.py(), "headers", "str or bytes")),
    }
}

/// Bytes: raw, or as hex text.
pub fn raw_or_hex(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Zeroizing<Vec<u8>>> {
    let expected = || invalid(value.py(), name, "bytes, raw or as hex text");
    let bytes = match value.cast::<PyString>() {
        Ok(text) => hex::decode(text.to_str().map_err(|_| expected())?).ok_or_else(expected)?,
        Err(_) => value.extract::<Bytes>()?.to_vec(),
    };
    Ok(Zeroizing::new(bytes))
}

/// A private key.
pub fn secret(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Secret<32>> {
    let bytes = raw_or_hex(name, value)?;
    guarded(value.py(), || private_key(&bytes))
}
