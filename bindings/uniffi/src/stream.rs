//! The answer to one chat, event by event.

use std::sync::Arc;

use proveil_bindings_support::{CancelToken, FlatEvent, StreamCell, client, run};

use crate::endpoint::SignatureVerdict;
use crate::error::{Outcome, guarded};
use crate::opener::Receipt;
use crate::report::Report;
use crate::values::Event;

/// An answer that is being received, pulled event by event. One operation at a time: a second one is `busy`. `close`, an error, and
/// cancelling the task of a call that waits close the connection and wipe the keys; later calls are `already_finished`.
///
/// Call `close` after cancelling: a Swift task that is cancelled goes on waiting for its call, and a Kotlin one that is cancelled in the
/// moment in which its event arrives loses that event without closing the stream.
#[derive(uniffi::Object)]
pub struct Stream {
    cell: StreamCell,
    report: Arc<Report>,
}

impl From<client::Stream> for Stream {
    fn from(stream: client::Stream) -> Stream {
        let cell = StreamCell::new(stream, CancelToken::new());
        Stream { report: Arc::new(cell.report().clone().into()), cell }
    }
}

/// Closes a stream whose call is dropped, at once: the task that has the stream ends a moment later.
struct Closing<'s>(Option<&'s StreamCell>);

impl Closing<'_> {
    /// The call ended as it should.
    fn not(mut self) {
        self.0 = None;
    }
}

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        if let Some(cell) = self.0 {
            cell.close();
        }
    }
}

#[uniffi::export]
impl Stream {
    /// The next event; nothing after the last.
    pub async fn next(&self) -> Outcome<Option<Event>> {
        let mut lease = self.cell.lend()?;
        let closing = Closing(Some(&self.cell));
        // The stream comes back with the event and not before it: when nobody takes the event, both go.
        let (event, lease) = run(self.cell.closed(), async move {
            let event = lease.stream()?.next().await.transpose()?;
            Ok((event, lease))
        })
        .await?;
        lease.give_back();
        closing.not();
        Ok(event.map(|event| FlatEvent::from(event).into()))
    }

    /// Asks the provider for the signature of the finished answer and judges it against the proven key.
    pub async fn verify_signature(&self) -> Outcome<SignatureVerdict> {
        let mut lease = self.cell.lend()?;
        let closing = Closing(Some(&self.cell));
        let (verdict, lease) = run(self.cell.closed(), async move {
            let verdict = lease.stream()?.verify_signature().await;
            Ok((verdict, lease))
        })
        .await?;
        lease.give_back();
        closing.not();
        Ok(verdict?.into())
    }

    /// The report of the endpoint that answers.
    pub fn report(&self) -> Arc<Report> {
        self.report.clone()
    }

    /// What is known about the answer, once it reached its end.
    pub fn receipt(&self) -> Outcome<Option<Arc<Receipt>>> {
        guarded(|| Ok(self.cell.receipt()?.map(|receipt| Arc::new(receipt.into()))))
    }

    /// Closes the connection and wipes the keys, also while a `next` waits, which then ends as `cancelled`. Idempotent.
    pub fn close(&self) -> Outcome<()> {
        guarded(|| {
            self.cell.close();
            Ok(())
        })
    }
}
