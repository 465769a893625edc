//! One answer as it comes in: pulled, one event at a time.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use proveil_core::endpoint::{Event, Opener, Receipt, SignatureVerdict, VerifiedEndpoint};
use proveil_core::http::TransportFailure;
use proveil_core::report::Report;
use proveil_core::{Code, Error, Result};

use crate::client::Inner;
use crate::notice::Notice;
use crate::transport::{Body, Incoming, Outgoing};

/// Bytes that are joined at most before they are opened: some hundred sealed pieces, a few milliseconds of work.
const JOIN_MAX_BYTES: usize = 64 * 1024;
/// A piece that came sooner than this after it was asked for may have others right behind it. A model needs longer for a token, and looking
/// for more takes a turn of the scheduler.
const BURST_GAP: Duration = Duration::from_micros(250);
/// So does a piece of this length: an event is shorter.
const BURST_BYTES: usize = 4096;
/// Threads that open one burst at most.
const WORKERS_MAX: usize = 4;
/// Events for which memory is kept between two readings.
const EVENTS_KEPT: usize = 16;
/// For the signature of an answer.
const SIGNATURE_WAIT: Duration = Duration::from_secs(20);
/// Requests for it; the provider may need a moment before it has one.
const SIGNATURE_ATTEMPTS: u64 = 3;

/// An answer that is being received. Dropping it closes its connection and wipes its keys at once.
pub struct Stream {
    inner: Arc<Inner>,
    endpoint: Arc<VerifiedEndpoint>,
    /// `None` when the answer ended or failed.
    open: Option<Open>,
    events: VecDeque<Event>,
    /// Memory of what one reading gives; empty in between.
    fresh: Vec<Event>,
    failure: Option<Error>,
    receipt: Option<Receipt>,
}

struct Open {
    body: Body,
    opener: Opener,
}

impl Stream {
    pub(crate) fn new(
        inner: Arc<Inner>,
        endpoint: Arc<VerifiedEndpoint>,
        incoming: Incoming,
        mut opener: Opener,
    ) -> Stream {
        opener.set_workers(workers());
        let open = Some(Open { body: incoming.body, opener });
        Stream {
            inner,
            endpoint,
            open,
            events: VecDeque::new(),
            fresh: Vec::new(),
            failure: None,
            receipt: None,
        }
    }

    /// The next event; `None` after the end. An error comes after all events that were valid before it, once, and ends the stream:
    /// an answer without an error is complete.
    pub async fn next(&mut self) -> Option<Result<Event>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(Ok(event));
            }
            if let Some(error) = self.failure.take() {
                return Some(Err(error));
            }
            self.open.as_ref()?;
            self.receive().await;
        }
    }

    /// The whole answer as the one JSON document that it is, for endpoints whose answer is no text. Fails as the stream fails, and with
    /// `malformed_response` for an answer of several documents: what asked for a stream has to be read as one.
    pub async fn document(mut self) -> Result<String> {
        let several = || Error::new(Code::MalformedResponse).at("answer").expected("one JSON document");
        let mut whole = None;
        while let Some(event) = self.next().await {
            if let Event::Document { json, .. } = event?
                && whole.replace(json).is_some()
            {
                return Err(several());
            }
        }
        whole.ok_or_else(several)
    }

    /// An event that is here already, without waiting and without reading on; `None` says nothing about the answer.
    pub fn next_buffered(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The report of the verification that this request relied on.
    pub fn report(&self) -> &Report {
        self.endpoint.report()
    }

    /// What is known about the answer; only after its regular end, when all events were taken.
    pub fn receipt(&self) -> Option<&Receipt> {
        self.receipt.as_ref().filter(|_| self.events.is_empty())
    }

    /// Asks the provider for the signature of this answer and checks it against the proven key. Only after the regular end.
    pub async fn verify_signature(&mut self) -> Result<SignatureVerdict> {
        let receipt =
            self.receipt().ok_or_else(|| Error::new(Code::OutOfOrder).expected("the whole answer"))?;
        let request = self.endpoint.signature_request(receipt)?;
        let verifier = &self.inner.verifier;
        let mut attempt: u64 = 1;
        loop {
            (verifier.observer)(&Notice::Sending(request.purpose()));
            let response = verifier
                .transport
                .fetch(&Outgoing::from(&request), SIGNATURE_WAIT)
                .await
                .map_err(|failure| failure.error(Code::SignatureUnavailable, request.purpose()))?;
            let result = self.endpoint.check_signature(receipt, &response);
            let again = matches!(&result, Err(error) if error.code() == Code::SignatureUnavailable);
            if !again || attempt >= SIGNATURE_ATTEMPTS {
                return result;
            }
            verifier.pace.pause(attempt).await;
            attempt = attempt.saturating_add(1);
        }
    }

    /// Reads once and opens what came.
    async fn receive(&mut self) {
        let idle = Duration::from_secs(self.inner.verifier.config.timeouts.idle_s);
        let mut events = std::mem::take(&mut self.fresh);
        let Some(open) = &mut self.open else { return };
        let step = match open.body.next(idle).await {
            Ok(Some(alone)) if alone.len() < BURST_BYTES && open.body.waited() >= BURST_GAP => {
                open.opener.push(&alone, &mut events).map_or_else(Step::Failed, |()| Step::Go)
            }
            Ok(Some(first)) => {
                let (bytes, end) = join_waiting(&mut open.body, first.to_vec()).await;
                match open.opener.push(&bytes, &mut events) {
                    Ok(()) => end.map_or(Step::Go, Step::Ended),
                    Err(error) => Step::Failed(error),
                }
            }
            Ok(None) => Step::Ended(Ok(())),
            Err(failure) => Step::Ended(Err(failure)),
        };
        match step {
            Step::Go => {}
            Step::Failed(error) => self.fail(error),
            Step::Ended(end) => self.end(end, idle, &mut events),
        }
        self.events.extend(events.drain(..));
        events.shrink_to(EVENTS_KEPT);
        self.fresh = events;
    }

    /// The body ended, in whatever way. The core says whether the answer was complete by then.
    fn end(&mut self, end: Result<(), TransportFailure>, idle: Duration, events: &mut Vec<Event>) {
        let Some(open) = self.open.take() else { return };
        // The connection is not needed any more, whatever comes out.
        drop(open.body);
        match end {
            Ok(()) | Err(TransportFailure::Broken | TransportFailure::Connect) => {
                match open.opener.finish(events) {
                    Ok(receipt) => self.receipt = Some(receipt),
                    Err(error) => self.failure = Some(error),
                }
            }
            Err(TransportFailure::Timeout) => {
                let waited = format!("the next piece within {idle:?}");
                self.fail(Error::new(Code::Timeout).at("answer").expected(waited));
            }
            Err(failure) => self.fail(failure.error(Code::ConnectionFailed, "answer")),
        }
    }

    fn fail(&mut self, error: Error) {
        self.open = None;
        self.failure = Some(error);
    }
}

/// Threads that may open one burst. Asked for once: the system answers by reading files.
fn workers() -> usize {
    static WORKERS: OnceLock<usize> = OnceLock::new();
    *WORKERS.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from).min(WORKERS_MAX))
}

enum Step {
    Go,
    Failed(Error),
    Ended(Result<(), TransportFailure>),
}

/// Adds the pieces that are there already, so that a burst is opened in one go. Also says whether the body ended meanwhile.
async fn join_waiting(
    body: &mut Body,
    mut bytes: Vec<u8>,
) -> (Vec<u8>, Option<Result<(), TransportFailure>>) {
    while bytes.len() < JOIN_MAX_BYTES {
        // The task that reads the socket hands over one piece at a time and needs a turn for the next.
        tokio::task::yield_now().await;
        match body.waiting() {
            None => break,
            Some(Ok(Some(piece))) => bytes.extend_from_slice(&piece),
            Some(Ok(None)) => return (bytes, Some(Ok(()))),
            Some(Err(failure)) => return (bytes, Some(Err(failure))),
        }
    }
    (bytes, None)
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("endpoint", &self.endpoint)
            .field("open", &self.open.is_some())
            .field("complete", &self.receipt.is_some())
            .finish_non_exhaustive()
    }
}
