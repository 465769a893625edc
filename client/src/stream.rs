//! One answer as it comes in: pulled, one event at a time.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
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
///
/// Dropping the future of [`Stream::next`] loses nothing: the next call goes on where that one was, so it can stand in `select!`.
///
/// In a forked child, which has none of its parent's connections, only events that had been opened before the fork are given; what
/// needs the connection fails with `out_of_order`, and dropping the stream leaves the parent's connection alone (threats T63).
pub struct Stream {
    process: u32,
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
    /// Bytes that were read and not opened yet: they are here and not in a future, which a caller may drop.
    gathered: Vec<u8>,
}

impl Stream {
    pub(crate) fn new(
        inner: Arc<Inner>,
        endpoint: Arc<VerifiedEndpoint>,
        incoming: Incoming,
        mut opener: Opener,
    ) -> Stream {
        opener.set_workers(workers());
        let open = Some(Open { body: incoming.body, opener, gathered: Vec::new() });
        Stream {
            process: std::process::id(),
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
            if let Err(error) = self.check_process() {
                return Some(Err(error));
            }
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
        self.check_process()?;
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

    fn check_process(&self) -> Result<()> {
        if self.process == std::process::id() {
            return Ok(());
        }
        Err(Error::new(Code::OutOfOrder)
            .context("The stream belongs to the process that started it; start a new one in this process."))
    }

    /// Reads once and opens what came.
    async fn receive(&mut self) {
        let idle = Duration::from_secs(self.inner.verifier.config.timeouts.idle_s);
        let Some(open) = &mut self.open else { return };
        let read = open.read(idle).await;
        // From here on nothing waits, so nothing can be dropped half way.
        let mut events = std::mem::take(&mut self.fresh);
        let step = match read {
            Read::Alone(piece) => {
                open.opener.push(&piece, &mut events).map_or_else(Step::Failed, |()| Step::Go)
            }
            Read::Gathered(end) => {
                let bytes = std::mem::take(&mut open.gathered);
                let opened = if bytes.is_empty() { Ok(()) } else { open.opener.push(&bytes, &mut events) };
                match opened {
                    Ok(()) => end.map_or(Step::Go, Step::Ended),
                    Err(error) => Step::Failed(error),
                }
            }
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

/// What one reading gave.
enum Read {
    /// A piece that had to be waited for.
    Alone(Bytes),
    /// What is in `gathered`, and whether the body ended after it.
    Gathered(Option<Result<(), TransportFailure>>),
}

impl Open {
    /// Waits for a piece, and takes along what is there already. Can be dropped at any time: what it had read is in `gathered`, and
    /// the next call hands that over first.
    async fn read(&mut self, idle: Duration) -> Read {
        if !self.gathered.is_empty() {
            return Read::Gathered(None);
        }
        match self.body.next(idle).await {
            Ok(Some(alone)) if alone.len() < BURST_BYTES && self.body.waited() >= BURST_GAP => {
                Read::Alone(alone)
            }
            Ok(Some(first)) => {
                self.gathered.extend_from_slice(&first);
                Read::Gathered(self.join_waiting().await)
            }
            Ok(None) => Read::Gathered(Some(Ok(()))),
            Err(failure) => Read::Gathered(Some(Err(failure))),
        }
    }

    /// Adds the pieces that are there already, so that a burst is opened in one go. Says whether the body ended meanwhile.
    async fn join_waiting(&mut self) -> Option<Result<(), TransportFailure>> {
        while self.gathered.len() < JOIN_MAX_BYTES {
            // The task that reads the socket hands over one piece at a time and needs a turn for the next.
            tokio::task::yield_now().await;
            match self.body.waiting()? {
                Ok(Some(piece)) => self.gathered.extend_from_slice(&piece),
                Ok(None) => return Some(Ok(())),
                Err(failure) => return Some(Err(failure)),
            }
        }
        None
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.process != std::process::id() {
            std::mem::forget((self.open.take(), self.inner.clone()));
        }
    }
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
