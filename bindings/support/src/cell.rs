use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use proveil_core::endpoint::{Event, Opener, Receipt};
use proveil_core::http::{HttpResponse, ResponseHead, TransportFailure};
use proveil_core::provider::{Exchange, Step};
use proveil_core::{Code, Error, Result};

use crate::{FlatEvent, OsRandom, now_unix_s};

/// An [`Exchange`] that languages can hold by reference. Use from two threads at once is `busy`, never a data race (T62).
#[derive(Debug)]
pub struct ExchangeCell(Mutex<Exchange>);

impl ExchangeCell {
    /// Starts a verification with the operating system's random source.
    pub fn new(config: proveil_core::provider::ExchangeConfig) -> Result<ExchangeCell> {
        Exchange::new(config, &mut OsRandom).map(|exchange| ExchangeCell(Mutex::new(exchange)))
    }

    /// The next step, by the system's clock unless `at` is given (seconds since 1970-01-01T00:00:00Z).
    pub fn next(&self, at: Option<u64>) -> Result<Step> {
        let at = at.map_or_else(now_unix_s, Ok)?;
        self.lock()?.next(at)
    }

    /// Hands in the answer to the last request.
    pub fn feed(&self, response: HttpResponse) -> Result<()> {
        self.lock()?.feed(response)
    }

    /// Reports that the last request could not be carried out.
    pub fn fail(&self, failure: TransportFailure) -> Result<()> {
        self.lock()?.fail(failure)
    }

    /// Runs `read` over the exchange, for its accessors.
    pub fn with<T>(&self, read: impl FnOnce(&Exchange) -> T) -> Result<T> {
        Ok(read(&*self.lock()?))
    }

    fn lock(&self) -> Result<MutexGuard<'_, Exchange>> {
        match self.0.try_lock() {
            Ok(guard) => Ok(guard),
            Err(TryLockError::WouldBlock) => Err(Error::new(Code::Busy)),
            Err(TryLockError::Poisoned(_)) => Err(Error::new(Code::Panic)),
        }
    }
}

/// An [`Opener`] that languages can hold by reference and that ends once. Use from two threads at once is `busy` (T62).
#[derive(Debug)]
pub struct OpenerCell(Mutex<Option<Opener>>);

impl OpenerCell {
    /// Wraps an opener.
    pub fn new(opener: Opener) -> OpenerCell {
        OpenerCell(Mutex::new(Some(opener)))
    }

    /// Takes status and headers of the answer.
    pub fn head(&self, head: &ResponseHead) -> Result<()> {
        self.with(|opener| opener.head(head))
    }

    /// Takes the next piece of the body. The events came out of valid fields even when an error is given beside them.
    pub fn push(&self, bytes: &[u8]) -> (Vec<FlatEvent>, Result<()>) {
        let mut events = Vec::new();
        let result = self.with(|opener| opener.push(bytes, &mut events));
        (flatten(events), result)
    }

    /// Ends the answer; afterwards every call is `already_finished`.
    pub fn finish(&self) -> (Vec<FlatEvent>, Result<Receipt>) {
        let mut events = Vec::new();
        let taken = match self.0.try_lock() {
            Ok(mut slot) => slot.take().ok_or_else(|| Error::new(Code::AlreadyFinished)),
            Err(TryLockError::WouldBlock) => Err(Error::new(Code::Busy)),
            Err(TryLockError::Poisoned(_)) => Err(Error::new(Code::Panic)),
        };
        let result = taken.and_then(|opener| opener.finish(&mut events));
        (flatten(events), result)
    }

    /// Drops the opener and wipes its keys; an unfinished answer stays incomplete.
    pub fn close(&self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn with<T>(&self, work: impl FnOnce(&mut Opener) -> Result<T>) -> Result<T> {
        match self.0.try_lock() {
            Ok(mut slot) => work(slot.as_mut().ok_or_else(|| Error::new(Code::AlreadyFinished))?),
            Err(TryLockError::WouldBlock) => Err(Error::new(Code::Busy)),
            Err(TryLockError::Poisoned(_)) => Err(Error::new(Code::Panic)),
        }
    }
}

fn flatten(events: Vec<Event>) -> Vec<FlatEvent> {
    events.into_iter().map(FlatEvent::from).collect()
}
