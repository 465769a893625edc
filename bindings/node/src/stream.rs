//! The answer to one chat, event by event.

use std::sync::Arc;

use napi::Env;
use napi::bindgen_prelude::Object;
use napi_derive::napi;
use proveil_bindings_support::client;
use proveil_bindings_support::core::{Code, Error, Result};
use proveil_bindings_support::{CancelToken, FlatEvent};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::answer::{Answer, answer, promise};
use crate::opener::Receipt;
use crate::report::Report;
use crate::values::Event;

/// An answer that is being received. One operation at a time: a second one is `busy`.
#[napi]
pub struct Stream {
    cell: Arc<Mutex<Option<client::Stream>>>,
    cancel: CancelToken,
}

impl Stream {
    /// Wraps a stream that ends when `cancel` is triggered.
    pub fn new(stream: client::Stream, cancel: CancelToken) -> Stream {
        Stream { cell: Arc::new(Mutex::new(Some(stream))), cancel }
    }
}

#[napi]
impl Stream {
    /// The next event; nothing after the last.
    #[napi]
    pub fn next<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        let locked = lock(&self.cell);
        promise(env, self.cancel.clone(), async move {
            match open(&mut locked?)?.next().await {
                Some(event) => Ok(Some(Event(FlatEvent::from(event?)))),
                None => Ok(None),
            }
        })
    }

    /// Asks for the signature of the finished answer and judges it: the verdict's name.
    #[napi]
    pub fn verify_signature<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        let locked = lock(&self.cell);
        promise(env, self.cancel.clone(), async move {
            open(&mut locked?)?.verify_signature().await.map(|verdict| verdict.name())
        })
    }

    /// The report of the endpoint that answers.
    #[napi]
    pub fn report(&self) -> Answer<Report> {
        answer(|| Ok(open(&mut lock(&self.cell)?)?.report().clone().into()))
    }

    /// What is known about the answer, once it reached its end.
    #[napi]
    pub fn receipt(&self) -> Answer<Option<Receipt>> {
        answer(|| Ok(open(&mut lock(&self.cell)?)?.receipt().cloned().map(Receipt::from)))
    }

    /// Closes the connection and wipes the keys, also under a pending operation, which then ends as `cancelled`.
    #[napi]
    pub fn close(&self) -> Answer<()> {
        answer(|| {
            self.cancel.trigger();
            if let Ok(mut locked) = lock(&self.cell) {
                drop(locked.take());
            }
            Ok(())
        })
    }
}

type Locked = OwnedMutexGuard<Option<client::Stream>>;

fn lock(cell: &Arc<Mutex<Option<client::Stream>>>) -> Result<Locked> {
    cell.clone().try_lock_owned().map_err(|_| Error::new(Code::Busy))
}

fn open(locked: &mut Locked) -> Result<&mut client::Stream> {
    locked.as_mut().ok_or_else(|| Error::new(Code::AlreadyFinished))
}
