//! `Opener` and what comes out of it: `Event`, `Receipt`.

use proveil_bindings_support::core::endpoint::{Opener as CoreOpener, Receipt as CoreReceipt};
use proveil_bindings_support::core::wire::hex;
use proveil_bindings_support::{EventKind, FlatEvent, OpenerCell, guard};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};
use zeroize::Zeroize;

use crate::convert::{Bytes, head};
use crate::error::{detached, guarded, to_py, with_events};

/// One thing that an answer says. Only `content` and `reasoning` came out of a sealed field.
#[pyclass(frozen, module = "proveil")]
pub struct Event {
    kind: EventKind,
    choice: u32,
    text: Py<PyString>,
    name: String,
}

impl Event {
    /// Moves an event to Python; the Rust copy of the text is wiped.
    fn new(py: Python<'_>, mut event: FlatEvent) -> Event {
        let text = PyString::new(py, &event.text).unbind();
        event.text.zeroize();
        Event { kind: event.kind, choice: event.choice, text, name: event.name }
    }
}

#[pymethods]
impl Event {
    #[classattr]
    #[pyo3(name = "__match_args__")]
    const MATCH_ARGS: (&'static str, &'static str, &'static str) = ("kind", "choice", "text");

    /// `content`, `reasoning`, `finish`, `usage` or `document`.
    #[getter]
    fn kind(&self) -> &'static str {
        self.kind.name()
    }

    /// `choices[].index`; 0 for usage.
    #[getter]
    fn choice(&self) -> u32 {
        self.choice
    }

    /// Text; for `finish` the reason and for `usage` a JSON object, both unauthenticated.
    #[getter]
    fn text(&self, py: Python<'_>) -> Py<PyString> {
        self.text.clone_ref(py)
    }

    /// Of a `document` that is the data of a named event of a stream: that name, unauthenticated; else empty.
    #[getter]
    fn name(&self) -> &str {
        &self.name
    }

    fn __eq__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> PyResult<bool> {
        let Ok(other) = other.cast::<Event>() else { return Ok(false) };
        let other = other.get();
        Ok(self.kind == other.kind
            && self.choice == other.choice
            && self.name == other.name
            && self.text.bind(py).as_any().eq(other.text.bind(py))?)
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        self.text.bind(py).hash()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        // Answers are as secret as prompts: they are shown when they are asked for, not by a debugger or a log line.
        let length = self.text.bind(py).len()?;
        Ok(format!("<proveil.Event {} choice={} text of {length} characters>", self.kind.name(), self.choice))
    }
}

/// The events as a list.
pub fn to_list(py: Python<'_>, events: Vec<FlatEvent>) -> PyResult<Bound<'_, PyList>> {
    let list = PyList::empty(py);
    for event in events {
        list.append(Event::new(py, event))?;
    }
    Ok(list)
}

/// What is known about an answer that reached its end.
#[pyclass(frozen, module = "proveil")]
pub struct Receipt {
    pub receipt: CoreReceipt,
    events: Py<PyList>,
}

impl Receipt {
    /// Wraps a receipt, with the events that only the end brought out.
    pub fn new(receipt: CoreReceipt, events: Bound<'_, PyList>) -> Receipt {
        Receipt { receipt, events: events.unbind() }
    }
}

#[pymethods]
impl Receipt {
    /// The provider's id of the answer (unauthenticated), or `None`.
    #[getter]
    fn id(&self) -> Option<&str> {
        self.receipt.id.as_deref()
    }

    /// Number of sealed fields that opened.
    #[getter]
    fn sealed_fields(&self) -> u64 {
        self.receipt.sealed_fields
    }

    /// Raw bytes of the body.
    #[getter]
    fn body_bytes(&self) -> u64 {
        self.receipt.body_bytes
    }

    /// Bytes after the end mark, which were ignored.
    #[getter]
    fn ignored_bytes(&self) -> u64 {
        self.receipt.ignored_bytes
    }

    /// SHA-256 of the request body as sent, lowercase hex.
    #[getter]
    fn request_sha256(&self) -> String {
        hex::encode(&self.receipt.request_sha256)
    }

    /// SHA-256 of the response body up to its end, lowercase hex.
    #[getter]
    fn response_sha256(&self) -> String {
        hex::encode(&self.receipt.response_sha256)
    }

    /// Events that only the end of the body brought out; normally none.
    #[getter]
    fn events(&self, py: Python<'_>) -> Py<PyList> {
        self.events.clone_ref(py)
    }

    fn __repr__(&self) -> String {
        format!(
            "<proveil.Receipt sealed_fields={} body_bytes={}>",
            self.receipt.sealed_fields, self.receipt.body_bytes
        )
    }
}

/// Opens one answer as its bytes arrive: `head`, every piece of the body in order through `push` or `push_text`, then `finish`.
/// One that is closed or dropped before `finish` stands for an incomplete answer.
#[pyclass(frozen, module = "proveil")]
pub struct Opener(OpenerCell);

impl Opener {
    /// Wraps an opener.
    pub fn new(opener: CoreOpener) -> Opener {
        Opener(OpenerCell::new(opener))
    }

    fn open(&self, py: Python<'_>, data: &[u8]) -> PyResult<Vec<FlatEvent>> {
        let pushed = py.detach(|| guard(|| Ok(self.0.push(data))));
        let (events, result) = pushed.map_err(|error| to_py(py, &error))?;
        match result {
            Ok(()) => Ok(events),
            Err(error) => Err(with_events(py, &error, Some(to_list(py, events)?))),
        }
    }
}

#[pymethods]
impl Opener {
    /// Takes status and headers of the answer, once and first. `headers` is a mapping or pairs.
    fn head(&self, py: Python<'_>, status: u16, headers: &Bound<'_, PyAny>) -> PyResult<()> {
        let head = head(status, headers)?;
        guarded(py, || self.0.head(&head))
    }

    /// Takes the next piece of the body, cut anywhere: its events. An error carries the events that came before it.
    fn push<'py>(&self, py: Python<'py>, data: Bytes) -> PyResult<Bound<'py, PyList>> {
        let events = self.open(py, &data)?;
        to_list(py, events)
    }

    /// As `push`, but gives only the content texts: the fast path.
    fn push_text<'py>(&self, py: Python<'py>, data: Bytes) -> PyResult<Bound<'py, PyList>> {
        let events = self.open(py, &data)?;
        let texts = PyList::empty(py);
        for mut event in events {
            if event.kind == EventKind::Content {
                texts.append(PyString::new(py, &event.text))?;
            }
            event.text.zeroize();
        }
        Ok(texts)
    }

    /// Ends the answer. Without the protocol's end mark this raises `ProtocolError` (`truncated`).
    fn finish(&self, py: Python<'_>) -> PyResult<Receipt> {
        let (events, result) = detached(py, || Ok(self.0.finish()))?;
        let events = to_list(py, events)?;
        match result {
            Ok(receipt) => Ok(Receipt::new(receipt, events)),
            Err(error) => Err(with_events(py, &error, Some(events))),
        }
    }

    /// Drops the opener and wipes its keys.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        detached(py, || {
            self.0.close();
            Ok(())
        })
    }

    fn __repr__(&self) -> &'static str {
        "<proveil.Opener>"
    }
}
