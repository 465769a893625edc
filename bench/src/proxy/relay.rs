//! What both sides have as upstream. For the proxy it stands before the simulator and hands over an answer only when it has the whole of
//! it, at a chosen pace: so it is known when the proxy could begin, and what the simulator takes counts for nobody. For the bare
//! pass-through it gives the last such answer again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Request, Response};
use axum::serve::ListenerExt;
use futures_util::stream::unfold;
use tokio::sync::watch;

use super::forward::{client, drop_framing, listener, send};

/// Answers to this path are kept and paced; all others pass.
const ANSWERS: &str = "/chat/completions";

/// How the events of a stream are handed over.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Pace {
    /// All in one write.
    AtOnce,
    /// Each in a write of its own, with a pause before it, as a model makes them.
    Each(Duration),
    /// So many; the others when the pace is changed.
    Held(usize),
}

/// The last answer: its head, and its events or the whole document.
#[derive(Clone, Default)]
pub(super) struct Answer {
    headers: HeaderMap,
    pub(super) parts: Vec<Bytes>,
}

impl Answer {
    pub(super) fn bytes(&self) -> usize {
        self.parts.iter().map(Bytes::len).sum()
    }
}

/// What both servers know.
pub(super) struct Relay {
    /// Where the proxy finds it.
    pub(super) sealed_url: String,
    /// Where the pass-through does.
    pub(super) plain_url: String,
    shared: Arc<Shared>,
    // Ends the servers.
    _runtime: tokio::runtime::Runtime,
}

struct Shared {
    client: reqwest::Client,
    simulator: String,
    pace: watch::Sender<Pace>,
    last: Mutex<Answer>,
    /// When the last request was here, and when its answer could leave.
    times: Mutex<Option<(Instant, Instant)>>,
}

impl Relay {
    /// Two servers on loopback, in threads of their own. `simulator` is a base URL without path.
    pub(super) fn start(simulator: String) -> Relay {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("threads");
        let shared = Arc::new(Shared {
            client: client(),
            simulator,
            pace: watch::Sender::new(Pace::AtOnce),
            last: Mutex::default(),
            times: Mutex::default(),
        });
        let start = |app: Router| {
            let listener = runtime.block_on(listener()).expect("a free port");
            let url = format!("http://{}", listener.local_addr().expect("an address"));
            let listener = listener.tap_io(|socket| drop(socket.set_nodelay(true)));
            runtime.spawn(async move { axum::serve(listener, app).await });
            url
        };
        let sealed_url = start(Router::new().fallback(sealed).with_state(shared.clone()));
        let plain_url = start(Router::new().fallback(plain).with_state(shared.clone()));
        Relay { sealed_url, plain_url, shared, _runtime: runtime }
    }

    pub(super) fn set_pace(&self, pace: Pace) {
        self.shared.pace.send_replace(pace);
    }

    /// The last answer of the simulator.
    pub(super) fn last(&self) -> Answer {
        self.shared.last.lock().expect("no panic").clone()
    }

    /// When the last request arrived here and when its answer was handed over.
    pub(super) fn times(&self) -> (Instant, Instant) {
        self.shared.times.lock().expect("no panic").expect("a request before")
    }
}

async fn sealed(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response<Body> {
    let arrived = Instant::now();
    let keeps = request.uri().path().ends_with(ANSWERS);
    let response = send(&shared.client, &shared.simulator, request).await;
    let (mut head, body) = axum::http::Response::<reqwest::Body>::from(response).into_parts();
    drop_framing(&mut head.headers);
    if !keeps || !head.status.is_success() {
        return Response::from_parts(head, Body::new(body));
    }
    let whole = to_bytes(Body::new(body), usize::MAX).await.expect("a whole answer");
    let stream =
        head.headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    let parts = if stream { events(&whole) } else { vec![whole] };
    let answer = Answer { headers: head.headers, parts };
    *shared.last.lock().expect("no panic") = answer.clone();
    hand_over(&shared, answer, arrived)
}

async fn plain(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response<Body> {
    let arrived = Instant::now();
    to_bytes(request.into_body(), usize::MAX).await.expect("a body");
    let answer = shared.last.lock().expect("no panic").clone();
    hand_over(&shared, answer, arrived)
}

fn hand_over(shared: &Shared, answer: Answer, arrived: Instant) -> Response<Body> {
    let mut pace = shared.pace.subscribe();
    let now = *pace.borrow_and_update();
    let body = if now == Pace::AtOnce || answer.parts.len() == 1 {
        Body::from(answer.parts.concat())
    } else {
        let parts: VecDeque<Bytes> = answer.parts.into();
        Body::from_stream(unfold((parts, 0, pace), |(mut parts, sent, mut pace)| async move {
            let part = parts.pop_front()?;
            let now = *pace.borrow();
            match now {
                Pace::Each(pause) => tokio::time::sleep(pause).await,
                Pace::Held(most) if sent >= most => drop(pace.changed().await),
                Pace::Held(_) | Pace::AtOnce => {}
            }
            Some((Ok::<Bytes, std::convert::Infallible>(part), (parts, sent + 1, pace)))
        }))
    };
    let mut response = Response::new(body);
    *response.headers_mut() = answer.headers;
    *shared.times.lock().expect("no panic") = Some((arrived, Instant::now()));
    response
}

/// The events of a stream with their blank lines.
fn events(stream: &Bytes) -> Vec<Bytes> {
    let mut events = Vec::new();
    let mut from = 0;
    for end in memchr::memmem::find_iter(stream, b"\n\n") {
        events.push(stream.slice(from..end + 2));
        from = end + 2;
    }
    if from < stream.len() {
        events.push(stream.slice(from..));
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_keep_every_byte() {
        for (stream, parts) in [("a\n\nb\n\n", 2), ("a\n\nb", 2), ("a", 1), ("", 0)] {
            let events = events(&Bytes::from_static(stream.as_bytes()));
            assert_eq!(events.len(), parts, "{stream:?}");
            assert_eq!(events.concat(), stream.as_bytes());
        }
    }
}
