use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use proveil_core::{Code, Error, Result};
use tokio::runtime::{Builder, Runtime};

/// The runtime and the process that started it.
static SHARED: Mutex<Option<(u32, Arc<Runtime>)>> = Mutex::new(None);

/// Threads of the shared runtime: one for sockets, one so that a busy one does not stall the other.
const WORKERS: usize = 2;

/// The shared runtime, started on first use. A forked child has none of its parent's threads, so it leaves the parent's runtime
/// alone, without joining, and starts its own (threats T63).
pub fn runtime() -> Result<Arc<Runtime>> {
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    let process = std::process::id();
    if let Some((owner, runtime)) = shared.as_ref() {
        if *owner == process {
            return Ok(runtime.clone());
        }
        std::mem::forget(shared.take());
    }
    let runtime = Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .thread_name("proveil")
        .enable_all()
        .build()
        .map_err(|_| Error::new(Code::Internal).at("runtime"))?;
    let runtime = Arc::new(runtime);
    *shared = Some((process, runtime.clone()));
    Ok(runtime)
}

/// Runs a future to its end on the shared runtime, from a thread that is not one of its own.
pub fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    if tokio::runtime::Handle::try_current().is_ok() {
        return Err(Error::new(Code::OutOfOrder).context("A blocking call was made from an async thread."));
    }
    runtime()?.block_on(future)
}
