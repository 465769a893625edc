//! A streamed answer that a language holds by reference and lends to one operation at a time (users.md 2.7; threats T62). Owns who has the
//! stream; knows nothing of what is in it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proveil::Stream;
use proveil_core::endpoint::Receipt;
use proveil_core::report::Report;
use proveil_core::{Code, Error, Result};

use crate::{CancelToken, FlatEvent};

/// A [`Stream`] that languages can hold by reference. One operation has it at a time, a second one is `busy` (T62); an operation that
/// is dropped or fails before its result was handed over takes the stream with it, because what had arrived by then could be lost.
pub struct StreamCell {
    slot: Arc<Mutex<Slot>>,
    report: Report,
    closed: CancelToken,
}

/// Where the stream is.
enum Slot {
    /// Here.
    Idle(Box<Stream>),
    /// With an operation.
    Lent,
    /// Closed.
    Gone,
}

impl StreamCell {
    /// Wraps a stream. Operations on it are to run under `closed`, which [`StreamCell::close`] triggers.
    pub fn new(stream: Stream, closed: CancelToken) -> StreamCell {
        let report = stream.report().clone();
        StreamCell { slot: Arc::new(Mutex::new(Slot::Idle(Box::new(stream)))), report, closed }
    }

    /// Triggered when the stream is closed.
    pub fn closed(&self) -> CancelToken {
        self.closed.clone()
    }

    /// The report of the endpoint that answers.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// What is known about the answer, once it reached its end. Fails with `busy` or `already_finished`.
    pub fn receipt(&self) -> Result<Option<Receipt>> {
        match &*lock(&self.slot) {
            Slot::Idle(stream) => Ok(stream.receipt().cloned()),
            Slot::Lent => Err(Error::new(Code::Busy)),
            Slot::Gone => Err(Error::new(Code::AlreadyFinished)),
        }
    }

    /// The stream, for one operation. Fails with `busy` or `already_finished`.
    pub fn lend(&self) -> Result<StreamLease> {
        let mut slot = lock(&self.slot);
        match std::mem::replace(&mut *slot, Slot::Lent) {
            Slot::Idle(stream) => Ok(StreamLease { slot: self.slot.clone(), stream: Some(stream) }),
            Slot::Lent => Err(Error::new(Code::Busy)),
            Slot::Gone => {
                *slot = Slot::Gone;
                Err(Error::new(Code::AlreadyFinished))
            }
        }
    }

    /// Closes the connection and wipes the keys; an operation under way ends as `cancelled`, and takes the stream with it.
    pub fn close(&self) {
        self.closed.trigger();
        let before = std::mem::replace(&mut *lock(&self.slot), Slot::Gone);
        drop(before);
    }
}

/// The stream while an operation has it. Dropped without [`StreamLease::give_back`], it closes the stream.
pub struct StreamLease {
    slot: Arc<Mutex<Slot>>,
    /// `None` only when given back.
    stream: Option<Box<Stream>>,
}

impl StreamLease {
    /// The stream itself.
    pub fn stream(&mut self) -> Result<&mut Stream> {
        self.stream.as_deref_mut().ok_or_else(|| Error::new(Code::Internal).at("stream"))
    }

    /// Waits for one event and takes along those that are there already, at most `most` together; `None` after the last.
    pub async fn next_events(&mut self, most: usize) -> Result<Option<Vec<FlatEvent>>> {
        let stream = self.stream()?;
        let Some(first) = stream.next().await else { return Ok(None) };
        let mut events = vec![FlatEvent::from(first?)];
        while events.len() < most {
            let Some(event) = stream.next_buffered() else { break };
            events.push(event.into());
        }
        Ok(Some(events))
    }

    /// Ends the operation: its result is with the caller. A stream that was closed meanwhile is dropped.
    pub fn give_back(mut self) {
        let Some(stream) = self.stream.take() else { return };
        let mut slot = lock(&self.slot);
        if matches!(*slot, Slot::Lent) {
            *slot = Slot::Idle(stream);
        }
    }
}

impl Drop for StreamLease {
    fn drop(&mut self) {
        // Whoever sees the connection end must find it closed here.
        if let Some(stream) = self.stream.take() {
            *lock(&self.slot) = Slot::Gone;
            drop(stream);
        }
    }
}

fn lock(slot: &Mutex<Slot>) -> MutexGuard<'_, Slot> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}
