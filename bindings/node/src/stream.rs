//! The answer to one chat, event by event.

use napi::Env;
use napi::bindgen_prelude::Object;
use napi_derive::napi;
use proveil_bindings_support::{CancelToken, StreamCell, client};

use crate::answer::{Answer, answer, promise};
use crate::opener::Receipt;
use crate::report::Report;
use crate::values::Events;

/// Events that cross together at most.
const BATCH: usize = 256;

/// An answer that is being received. One operation at a time: a second one is `busy`.
#[napi]
pub struct Stream(StreamCell);

impl Stream {
    /// Wraps a stream that ends when `cancel` is triggered.
    pub fn new(stream: client::Stream, cancel: CancelToken) -> Stream {
        Stream(StreamCell::new(stream, cancel))
    }
}

#[napi]
impl Stream {
    /// The next events, at least one; nothing after the last. A promise costs more than opening a field, so what one network piece
    /// brought crosses together.
    #[napi]
    pub fn next_events<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        let lease = self.0.lend();
        promise(env, self.0.closed(), async move {
            let mut lease = lease?;
            let events = lease.next_events(BATCH).await?;
            lease.give_back();
            Ok(events.map(Events))
        })
    }

    /// Asks for the signature of the finished answer and judges it: the verdict's name.
    #[napi]
    pub fn verify_signature<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        let lease = self.0.lend();
        promise(env, self.0.closed(), async move {
            let mut lease = lease?;
            let verdict = lease.stream()?.verify_signature().await;
            lease.give_back();
            verdict.map(|verdict| verdict.name())
        })
    }

    /// The report of the endpoint that answers.
    #[napi]
    pub fn report(&self) -> Answer<Report> {
        answer(|| Ok(self.0.report().clone().into()))
    }

    /// What is known about the answer, once it reached its end.
    #[napi]
    pub fn receipt(&self) -> Answer<Option<Receipt>> {
        answer(|| Ok(self.0.receipt()?.map(Receipt::from)))
    }

    /// Closes the connection and wipes the keys, also under a pending operation, which then ends as `cancelled`.
    #[napi]
    pub fn close(&self) -> Answer<()> {
        answer(|| {
            self.0.close();
            Ok(())
        })
    }
}
