//! The streamed answer of a client.

use std::sync::{Mutex, MutexGuard, TryLockError};

use proveil_bindings_support::FlatEvent;
use proveil_bindings_support::client::Stream;
use proveil_bindings_support::core::report::Report;
use proveil_bindings_support::core::{Code, Error, Result};

use crate::boundary::{Out, call, handle_out, release};
use crate::cancel::{CancelObject, blocking, switch};
use crate::endpoint::{ReceiptObject, signature_number};
use crate::handle;
use crate::opener::EventsObject;
use crate::report::ReportObject;
use crate::types::{pv_cancel, pv_error, pv_events, pv_receipt, pv_report, pv_status, pv_stream};

/// An answer on its way. `None` once it was cancelled or freed.
pub struct StreamObject {
    stream: Mutex<Option<Stream>>,
    report: Report,
    abandoned: CancelObject,
}

impl StreamObject {
    /// Takes a stream.
    pub fn new(stream: Stream) -> StreamObject {
        StreamObject {
            report: stream.report().clone(),
            stream: Mutex::new(Some(stream)),
            abandoned: CancelObject::new(),
        }
    }

    /// The handle was freed: ends a call that is waiting in another thread, so that the
    /// connection closes now.
    pub fn abandon(&self) {
        self.abandoned.trigger();
    }

    fn lock(&self) -> Result<MutexGuard<'_, Option<Stream>>> {
        match self.stream.try_lock() {
            Ok(guard) => Ok(guard),
            Err(TryLockError::WouldBlock) => Err(Error::new(Code::Busy)),
            Err(TryLockError::Poisoned(_)) => Err(Error::new(Code::Panic)),
        }
    }

    /// Waits for what `ask` wants of the stream. With `closes`, a call that fails takes the stream
    /// with it: what had arrived by then could be lost otherwise, and the end of what is left be
    /// taken for the end of the answer.
    fn wait<T>(
        &self,
        timeout_ms: u32,
        cancel: *const pv_cancel,
        closes: bool,
        ask: impl AsyncFnOnce(&mut Stream) -> Result<T>,
    ) -> Result<T> {
        let cancel = switch(cancel)?;
        let mut slot = self.lock()?;
        let stream = slot.as_mut().ok_or_else(|| Error::new(Code::AlreadyFinished))?;
        let result = blocking(timeout_ms, [cancel.as_deref(), Some(&self.abandoned)], ask(stream));
        if closes && result.is_err() {
            *slot = None;
        }
        result
    }
}

/// Waits for the next events of the answer. A call that fails, times out or is cancelled closes
/// the stream: the connection ends, the keys are wiped, the answer stays incomplete, and later calls
/// give PV-704. In a forked child, which has not got its parent's connections, PV-708.
///
/// @param timeout_ms   bound of this call in milliseconds; 0 for the client's own bounds
/// @param cancel       ends the call from another thread; may be NULL
/// @param[out] events  at least one event, to be freed with pv_events_free(); NULL (with PV_OK)
///                     at the end of a complete answer
/// @param[out] error   may be NULL
///
/// Blocks. Threads: one at a time, otherwise PV-707; pv_stream_free() in another thread ends the
/// call with PV-709. Codes: PV-4xx, PV-5xx, PV-602, PV-701 to PV-704, PV-707 to PV-709.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_stream_next(
    stream: *mut pv_stream,
    timeout_ms: u32,
    cancel: *const pv_cancel,
    events: *mut *mut pv_events,
    error: *mut *mut pv_error,
) -> pv_status {
    let work = || {
        // SAFETY: the caller keeps the promise of the header about outputs.
        let events = unsafe { handle_out(events, "events") }?;
        let stream = handle::find(stream)?;
        let next = stream.wait(timeout_ms, cancel, true, async |stream| stream.next().await.transpose())?;
        next.map_or(Ok(()), |event| events.give(EventsObject::new(vec![FlatEvent::from(event)])))
    };
    // SAFETY: the caller keeps the promise of the header about `error`.
    unsafe { call(error, work) }
}

/// The report of the endpoint that answers.
///
/// @param[out] report  to be freed with pv_report_free()
/// @param[out] error   may be NULL
///
/// Threads: any. Codes: PV-701 to PV-703.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_stream_report(
    stream: *const pv_stream,
    report: *mut *mut pv_report,
    error: *mut *mut pv_error,
) -> pv_status {
    let work = || {
        // SAFETY: the caller keeps the promise of the header about outputs.
        let report = unsafe { handle_out(report, "report") }?;
        report.give(ReportObject::new(handle::find(stream)?.report.clone()))
    };
    // SAFETY: the caller keeps the promise of the header about `error`.
    unsafe { call(error, work) }
}

/// The receipt of an answer that has reached its end.
///
/// @param[out] receipt  to be freed with pv_receipt_free()
/// @param[out] error    may be NULL
///
/// Threads: one at a time, otherwise PV-707. Codes: PV-701 to PV-704, PV-707, PV-708 before the
/// end.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_stream_receipt(
    stream: *const pv_stream,
    receipt: *mut *mut pv_receipt,
    error: *mut *mut pv_error,
) -> pv_status {
    let work = || {
        // SAFETY: the caller keeps the promise of the header about outputs.
        let receipt = unsafe { handle_out(receipt, "receipt") }?;
        let stream = handle::find(stream)?;
        let slot = stream.lock()?;
        let finished = slot.as_ref().ok_or_else(|| Error::new(Code::AlreadyFinished))?.receipt().cloned();
        let finished =
            finished.ok_or_else(|| Error::new(Code::OutOfOrder).expected("the end of the answer"))?;
        receipt.give(ReceiptObject::new(finished))
    };
    // SAFETY: the caller keeps the promise of the header about `error`.
    unsafe { call(error, work) }
}

/// Fetches and judges the provider's signature of an answer that has reached its end.
///
/// @param timeout_ms    bound of this call in milliseconds; 0 for the client's own bounds
/// @param cancel        ends the call from another thread; may be NULL
/// @param[out] verdict  one of PV_SIGNATURE_
/// @param[out] error    may be NULL
///
/// Blocks. Threads: one at a time, otherwise PV-707. Codes: PV-406 to PV-408, PV-5xx, PV-602,
/// PV-701 to PV-704, PV-707 to PV-709.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_stream_verify_signature(
    stream: *mut pv_stream,
    timeout_ms: u32,
    cancel: *const pv_cancel,
    verdict: *mut i32,
    error: *mut *mut pv_error,
) -> pv_status {
    let work = || {
        // SAFETY: the caller keeps the promise of the header about outputs.
        let verdict = unsafe { Out::new(verdict, 0) }.required("verdict")?;
        let stream = handle::find(stream)?;
        let found = stream.wait(timeout_ms, cancel, false, async |stream| stream.verify_signature().await)?;
        verdict.set(signature_number(found));
        Ok(())
    };
    // SAFETY: the caller keeps the promise of the header about `error`.
    unsafe { call(error, work) }
}

/// Frees a stream: closes its connection and wipes its keys, also while another thread waits in
/// pv_stream_next(). In a forked child the parent's connection stays as it is. NULL is accepted.
///
/// Threads: any. Codes: PV-702, PV-703.
#[unsafe(no_mangle)]
pub extern "C" fn pv_stream_free(stream: *mut pv_stream) -> pv_status {
    release(stream)
}
