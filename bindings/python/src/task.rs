//! One path for calls that wait: the blocking form drives the future on the caller's thread in slices, so that signals are seen; the
//! asyncio form runs it on the shared runtime and wakes the caller's event loop. No event loop is made here.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::task::Poll;
use std::time::Duration;

use proveil_bindings_support::core::bundle::EvidenceBundle as CoreBundle;
use proveil_bindings_support::core::endpoint::VerifiedEndpoint as CoreEndpoint;
use proveil_bindings_support::core::report::Report as CoreReport;
use proveil_bindings_support::core::{Code, Error, Result};
use proveil_bindings_support::{FlatEvent, client, guard, runtime};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyString;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::client::{StreamHandle, drop_at_home};
use crate::endpoint::VerifiedEndpoint;
use crate::error::{guarded, to_py};
use crate::evidence::EvidenceBundle;
use crate::opener::to_list;
use crate::report::Report;

/// Longest time that a blocked call does not look for signals; users.md 4 asks for 200 ms.
const SLICE: Duration = Duration::from_millis(100);
const _: () = assert!(SLICE.as_millis() <= 200);

/// What a waiting call ends with.
pub enum Value {
    /// A verification.
    Report(Box<CoreReport>),
    /// A verification with what it used.
    Bundle(Box<CoreBundle>),
    /// A proven endpoint.
    Endpoint(Arc<CoreEndpoint>),
    /// A started answer.
    Stream(Box<client::Stream>),
    /// The next events of an answer; `None` after its end.
    Events(Option<Vec<FlatEvent>>),
    /// A JSON text or a name.
    Text(String),
}

impl Value {
    fn into_py(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(match self {
            Value::Report(report) => Py::new(py, Report(*report))?.into_any(),
            Value::Bundle(bundle) => Py::new(py, EvidenceBundle(*bundle))?.into_any(),
            Value::Endpoint(endpoint) => Py::new(py, VerifiedEndpoint(endpoint))?.into_any(),
            Value::Stream(stream) => Py::new(py, StreamHandle::new(*stream))?.into_any(),
            Value::Events(None) => py.None(),
            Value::Events(Some(events)) => to_list(py, events)?.into_any().unbind(),
            Value::Text(text) => PyString::new(py, &text).into_any().unbind(),
        })
    }
}

/// A call that waits.
pub type Job = Pin<Box<dyn Future<Output = Result<Value>> + Send>>;

/// Runs a call: to its end, or with `wake` in the background, which gives a [`Pending`].
pub fn run(py: Python<'_>, job: Job, wake: Option<Py<PyAny>>) -> PyResult<Py<PyAny>> {
    match wake {
        None => wait(py, job)?.into_py(py),
        Some(wake) => Ok(Py::new(py, Pending::start(py, job, wake)?)?.into_any()),
    }
}

fn wait(py: Python<'_>, mut job: Job) -> PyResult<Value> {
    // The runtime is started while the interpreter lock is held, so that no fork can fall between (threats T63).
    let runtime = guarded(py, || match Handle::try_current() {
        Ok(_) => Err(Error::new(Code::OutOfOrder).context("A blocking call was made from an async thread.")),
        Err(_) => runtime(),
    })?;
    loop {
        let slice = py.detach(|| {
            guard(|| Ok(runtime.block_on(async { tokio::time::timeout(SLICE, job.as_mut()).await })))
        });
        match slice {
            Ok(Ok(result)) => return result.map_err(|error| to_py(py, &error)),
            Ok(Err(_)) => {}
            Err(error) => return Err(to_py(py, &error)),
        }
        if let Err(interrupt) = py.check_signals() {
            // Dropping the call closes its connection and wipes its keys.
            py.detach(|| {
                let _entered = runtime.enter();
                drop(job);
            });
            return Err(interrupt);
        }
    }
}

/// A call in the background. Its `wake` callable is called once, from another thread, when `take` has something to give; dropping or
/// aborting it drops the call.
#[pyclass(frozen, module = "proveil._core")]
pub struct Pending {
    process: u32,
    slot: Arc<Mutex<Parcel>>,
    task: AbortHandle,
}

/// The result of a call in the background.
enum Parcel {
    /// Not there yet.
    Awaited,
    /// To be taken.
    Here(Result<Value>),
    /// Taken, or wanted by nobody any more.
    Done,
}

/// Puts a result where it is awaited. One that nobody wants any more goes at once: a stream nobody reads must not stay open.
fn deliver(slot: &Mutex<Parcel>, result: Result<Value>) {
    let mut parcel = lock(slot);
    if matches!(*parcel, Parcel::Awaited) {
        *parcel = Parcel::Here(result);
    } else {
        drop(parcel);
        drop(result);
    }
}

impl Pending {
    fn start(py: Python<'_>, job: Job, wake: Py<PyAny>) -> PyResult<Pending> {
        let gate = gate(py)?;
        let runtime = guarded(py, runtime)?;
        let slot = Arc::new(Mutex::new(Parcel::Awaited));
        let end = End { slot: slot.clone(), wake, gate };
        let task = runtime.spawn(async move {
            let result = caught(job).await;
            deliver(&end.slot, result);
            drop(end);
        });
        Ok(Pending { process: std::process::id(), slot, task: task.abort_handle() })
    }

    /// Drops the call, or its result when it has ended already.
    fn give_up(&self) {
        if self.process == std::process::id() {
            self.task.abort();
            let parcel = std::mem::replace(&mut *lock(&self.slot), Parcel::Done);
            drop_at_home(Some((self.process, parcel)));
        } else {
            std::mem::forget(self.slot.clone());
        }
    }
}

#[pymethods]
impl Pending {
    /// The result, or the exception; only once, and only after `wake` was called.
    fn take(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let taken = {
            let mut parcel = lock(&self.slot);
            match *parcel {
                Parcel::Here(_) => std::mem::replace(&mut *parcel, Parcel::Done),
                Parcel::Awaited | Parcel::Done => Parcel::Done,
            }
        };
        match taken {
            Parcel::Here(Ok(value)) => value.into_py(py),
            Parcel::Here(Err(error)) => Err(to_py(py, &error)),
            Parcel::Awaited | Parcel::Done => Err(to_py(py, &Error::new(Code::OutOfOrder))),
        }
    }

    /// Drops the call, or its result when it has ended already: its connection is closed and its keys are wiped.
    fn abort(&self, py: Python<'_>) {
        py.detach(|| self.give_up());
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.give_up();
    }
}

/// Runs when the call ends in any way, also when it is aborted.
struct End {
    slot: Arc<Mutex<Parcel>>,
    wake: Py<PyAny>,
    gate: Gate,
}

impl Drop for End {
    fn drop(&mut self) {
        deliver(&self.slot, Err(Error::new(Code::Cancelled)));
        let open = self.gate.read().unwrap_or_else(PoisonError::into_inner);
        if *open {
            // A closed event loop raises, which concerns nobody any more.
            Python::try_attach(|py| drop(self.wake.call0(py)));
        }
    }
}

/// Whether threads of the runtime may still call into Python. Readers are inside a call.
type Gate = Arc<RwLock<bool>>;

/// The gate of this process, open. It closes when the interpreter begins to end, and that waits for the calls which are inside: a
/// thread that is in Python while the interpreter is torn down would take the process with it (threats T62).
fn gate(py: Python<'_>) -> PyResult<Gate> {
    static REGISTERED: PyOnceLock<()> = PyOnceLock::new();
    REGISTERED.get_or_try_init(py, || {
        let close = wrap_pyfunction!(close_gate, py)?;
        py.import("atexit")?.call_method1("register", (close,)).map(drop)
    })?;
    let gate = own_gate();
    let open = *gate.read().unwrap_or_else(PoisonError::into_inner);
    if open {
        Ok(gate)
    } else {
        Err(to_py(py, &Error::new(Code::Cancelled).context("The interpreter is ending.")))
    }
}

/// A forked child has a gate of its own: nobody can leave the parent's there.
fn own_gate() -> Gate {
    static GATE: Mutex<Option<(u32, Gate)>> = Mutex::new(None);
    let mut slot = lock(&GATE);
    let process = std::process::id();
    match slot.as_ref() {
        Some((owner, gate)) if *owner == process => gate.clone(),
        _ => {
            let gate = Gate::new(RwLock::new(true));
            if let Some(old) = slot.replace((process, gate.clone())) {
                std::mem::forget(old);
            }
            gate
        }
    }
}

/// Registered with `atexit`.
#[pyfunction]
fn close_gate(py: Python<'_>) {
    let gate = own_gate();
    py.detach(|| *gate.write().unwrap_or_else(PoisonError::into_inner) = false);
}

/// The call with the unwind guard around each step.
async fn caught(mut job: Job) -> Result<Value> {
    poll_fn(|context| {
        guard(|| Ok(job.as_mut().poll(context))).unwrap_or_else(|error| Poll::Ready(Err(error)))
    })
    .await
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
