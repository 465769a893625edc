use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proveil_core::{Code, Error, Result};
use tokio::runtime::{Builder, Runtime};

/// The runtime and the process that started it.
static SHARED: Mutex<Shared> = Mutex::new(None);

type Shared = Option<(u32, Arc<Runtime>)>;

/// Threads of the shared runtime: one for sockets, one so that a busy one does not stall the other.
const WORKERS: usize = 2;

/// The shared runtime, started on first use. A forked child has none of its parent's threads, so it leaves the parent's runtime
/// alone, without joining, and starts its own (threats T63).
pub fn runtime() -> Result<Arc<Runtime>> {
    let mut shared = lock();
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

/// While it is there, no other thread is about to start the shared runtime. For languages whose programs may fork while several threads
/// make their first call: a child would find the lock taken for ever by a thread that it does not have (threats T63).
pub struct RuntimeHold(#[allow(dead_code, reason = "held, not read")] MutexGuard<'static, Shared>);

/// Waits for a start that is under way, and keeps others off. Not to be held while anything else of this library is called.
pub fn hold_runtime() -> RuntimeHold {
    RuntimeHold(lock())
}

fn lock() -> MutexGuard<'static, Shared> {
    SHARED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a future to its end on the shared runtime, from a thread that is not one of its own.
pub fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    if tokio::runtime::Handle::try_current().is_ok() {
        return Err(Error::new(Code::OutOfOrder).context("A blocking call was made from an async thread."));
    }
    runtime()?.block_on(future)
}
