//! The answer to one chat, event by event.

use std::sync::Arc;

use proveil_bindings_support::core::{Code, Error, Result};
use proveil_bindings_support::{CancelToken, FlatEvent, client, run};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::endpoint::SignatureVerdict;
use crate::error::{Outcome, guarded};
use crate::opener::Receipt;
use crate::report::Report;
use crate::values::Event;

/// An answer that is being received, pulled event by event. One operation at a time: a second one is `busy`. Cancelling the task of
/// `next` or calling `close` closes the connection and wipes the keys.
#[derive(uniffi::Object)]
pub struct Stream {
    cell: Arc<Mutex<Option<client::Stream>>>,
    report: Arc<Report>,
    cancel: CancelToken,
}

impl From<client::Stream> for Stream {
    fn from(stream: client::Stream) -> Stream {
        let report = Arc::new(stream.report().clone().into());
        Stream { cell: Arc::new(Mutex::new(Some(stream))), report, cancel: CancelToken::new() }
    }
}

#[uniffi::export]
impl Stream {
    /// The next event; nothing after the last.
    pub async fn next(&self) -> Outcome<Option<Event>> {
        let locked = self.lock();
        let event =
            run(self.cancel.clone(), async move { open(&mut locked?)?.next().await.transpose() }).await?;
        Ok(event.map(|event| FlatEvent::from(event).into()))
    }

    /// Asks the provider for the signature of the finished answer and judges it against the proven key.
    pub async fn verify_signature(&self) -> Outcome<SignatureVerdict> {
        let locked = self.lock();
        let verdict =
            run(self.cancel.clone(), async move { open(&mut locked?)?.verify_signature().await }).await?;
        Ok(verdict.into())
    }

    /// The report of the endpoint that answers.
    pub fn report(&self) -> Arc<Report> {
        self.report.clone()
    }

    /// What is known about the answer, once it reached its end.
    pub fn receipt(&self) -> Outcome<Option<Arc<Receipt>>> {
        guarded(|| {
            let mut locked = self.lock()?;
            Ok(open(&mut locked)?.receipt().cloned().map(|receipt| Arc::new(receipt.into())))
        })
    }

    /// Closes the connection and wipes the keys; a pending `next` ends as `cancelled`. Idempotent.
    pub fn close(&self) -> Outcome<()> {
        guarded(|| {
            self.cancel.trigger();
            if let Ok(mut locked) = self.lock() {
                drop(locked.take());
            }
            Ok(())
        })
    }
}

type Locked = OwnedMutexGuard<Option<client::Stream>>;

impl Stream {
    fn lock(&self) -> Result<Locked> {
        self.cell.clone().try_lock_owned().map_err(|_| Error::new(Code::Busy))
    }
}

fn open(locked: &mut Locked) -> Result<&mut client::Stream> {
    locked.as_mut().ok_or_else(|| Error::new(Code::AlreadyFinished))
}
