//! Ending a blocking call from outside: cancel handles and timeouts.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use proveil_bindings_support::core::{Code, Error, Result};
use proveil_bindings_support::{block_on, guard};
use tokio::sync::watch;

use crate::boundary::{call, handle_out, release};
use crate::handle;
use crate::types::{PV_OK, pv_cancel, pv_error, pv_status};

/// A switch that is thrown once.
pub struct CancelObject(watch::Sender<bool>);

impl CancelObject {
    /// A switch that is not thrown.
    pub fn new() -> CancelObject {
        CancelObject(watch::Sender::new(false))
    }

    /// Throws it.
    pub fn trigger(&self) {
        self.0.send_replace(true);
    }

    async fn wait(&self) {
        // The sender lives as long as `self`, so waiting ends only when the switch is thrown.
        let _ = self.0.subscribe().wait_for(|thrown| *thrown).await;
    }
}

/// Runs `work` to its end, to `timeout_ms` (0: no bound but the client's own), or until one of
/// the switches is thrown.
pub fn blocking<T>(
    timeout_ms: u32,
    switches: [Option<&CancelObject>; 2],
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let [first, second] = switches;
    block_on(async move {
        tokio::select! {
            biased;
            () = thrown(first) => Err(Error::new(Code::Cancelled)),
            () = thrown(second) => Err(Error::new(Code::Cancelled)),
            result = work => result,
            () = elapsed(timeout_ms) => {
                Err(Error::new(Code::Timeout).at("timeout_ms").expected(format!("at most {timeout_ms} ms")))
            }
        }
    })
}

async fn thrown(switch: Option<&CancelObject>) {
    match switch {
        Some(switch) => switch.wait().await,
        None => std::future::pending().await,
    }
}

async fn elapsed(timeout_ms: u32) {
    if timeout_ms == 0 {
        std::future::pending().await
    } else {
        tokio::time::sleep(Duration::from_millis(timeout_ms.into())).await;
    }
}

/// The object of a cancel handle that may be NULL.
pub fn switch(cancel: *const pv_cancel) -> Result<Option<Arc<CancelObject>>> {
    handle::find_optional(cancel)
}

/// Makes a handle by which another thread can end blocking calls.
///
/// @param[out] cancel  to be freed with pv_cancel_free()
/// @param[out] error   may be NULL
///
/// Threads: any. Codes: PV-701.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_cancel_new(cancel: *mut *mut pv_cancel, error: *mut *mut pv_error) -> pv_status {
    let work = || {
        // SAFETY: the caller keeps the promise of the header about outputs.
        unsafe { handle_out(cancel, "cancel") }?.give(CancelObject::new())
    };
    // SAFETY: the caller keeps the promise of the header about `error`.
    unsafe { call(error, work) }
}

/// Ends every blocking call that was given this handle, now and later, with PV-709. Not to be
/// called from a signal handler: it takes a lock.
///
/// Threads: any. Codes: PV-701 to PV-703.
#[unsafe(no_mangle)]
pub extern "C" fn pv_cancel_trigger(cancel: *const pv_cancel) -> pv_status {
    match guard(|| handle::find(cancel).map(|switch| switch.trigger())) {
        Ok(()) => PV_OK,
        Err(error) => pv_status::from(error.code().number()),
    }
}

/// Frees a cancel handle. NULL is accepted. Calls that wait with it go on.
///
/// Threads: any. Codes: PV-702, PV-703.
#[unsafe(no_mangle)]
pub extern "C" fn pv_cancel_free(cancel: *mut pv_cancel) -> pv_status {
    release(cancel)
}
