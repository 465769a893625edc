//! Carries out the core's HTTP requests and obeys their [`TlsRule`]; never adds a header of its own, follows a redirect, decodes a
//! compressed body or repeats a request (threats T42, T47, T49).
//!
//! `Accept: */*` is the one header that the HTTP library adds where a request names no other.

mod payload;
mod proxy;
mod tls;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::{Mutex, PoisonError};
use std::task::{Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use proveil_core::http::{HttpRequest, HttpResponse, Method, ResponseHead, TlsRule, TransportFailure};
use proveil_core::{Code, Error, Result};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use crate::config::Proxy;

pub(crate) use payload::Payload;

/// Fields of a response head (threats section 5).
const HEADERS_MAX: usize = 100;
/// All header bytes of a response over HTTP/2 (threats section 5); over HTTP/1.1 the library's own bound holds.
const HEADERS_MAX_BYTES: u32 = 64 * 1024;
/// How long an idle connection is kept.
const POOL_IDLE: Duration = Duration::from_secs(90);
/// Sets of pinned keys for which connections are kept; more start anew.
const PINNED_MAX: usize = 16;

/// A request as this module needs it.
pub(crate) struct Outgoing<'a> {
    pub(crate) method: Method,
    pub(crate) url: &'a str,
    /// Name, value, whether the value is secret.
    pub(crate) headers: Vec<(&'a str, &'a str, bool)>,
    pub(crate) body: Payload,
    pub(crate) tls: &'a TlsRule,
    pub(crate) max_response_bytes: usize,
}

impl<'a> From<&'a HttpRequest> for Outgoing<'a> {
    fn from(request: &'a HttpRequest) -> Outgoing<'a> {
        let headers = request.headers().iter();
        Outgoing {
            method: request.method(),
            url: request.url(),
            headers: headers.map(|header| (header.name(), header.value(), header.is_sensitive())).collect(),
            body: Payload::Whole(Bytes::copy_from_slice(request.body())),
            tls: request.tls(),
            max_response_bytes: request.max_response_bytes(),
        }
    }
}

impl<'a> Outgoing<'a> {
    /// A request whose body is not needed any more: it is sent without a copy, which counts for large ones.
    pub(crate) fn moving(request: &'a mut HttpRequest) -> Outgoing<'a> {
        let body = match request.take_chunks() {
            Some(chunks) => Payload::chunks(chunks),
            None => Payload::Whole(request.take_body().into()),
        };
        Outgoing { body, ..Outgoing::from(&*request) }
    }
}

/// Status and headers of an answer, and its body as it comes. Dropping it closes the connection unless the body was read to its end.
pub(crate) struct Incoming {
    pub(crate) head: ResponseHead,
    pub(crate) body: Body,
}

/// Why there is no head of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unopened {
    pub(crate) failure: TransportFailure,
    /// The peer closed the connection by a reset, without any byte of an answer.
    pub(crate) reset: bool,
}

impl From<TransportFailure> for Unopened {
    fn from(failure: TransportFailure) -> Unopened {
        Unopened { failure, reset: false }
    }
}

impl From<Unopened> for TransportFailure {
    fn from(unopened: Unopened) -> TransportFailure {
        unopened.failure
    }
}

/// The body of an answer.
pub(crate) struct Body {
    response: reqwest::Response,
    left: usize,
    /// When the last piece was asked for.
    asked: Instant,
    /// One timer for all pieces, set anew only when it ends; `None` as long as nothing had to be waited for.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Body {
    fn new(response: reqwest::Response, longest: usize) -> Body {
        Body { response, left: longest, asked: Instant::now(), timer: None }
    }

    /// The next piece; `None` at the end. Waits for at most `idle`.
    pub(crate) async fn next(&mut self, idle: Duration) -> Result<Option<Bytes>, TransportFailure> {
        self.asked = Instant::now();
        let end = self.asked.checked_add(idle).ok_or(TransportFailure::Timeout)?;
        let Body { response, timer, .. } = self;
        // Another caller may have waited longer.
        timer.take_if(|timer| timer.deadline() > end);
        let piece = {
            let mut chunk = pin!(response.chunk());
            poll_fn(|context| {
                if let Poll::Ready(piece) = chunk.as_mut().poll(context) {
                    return Poll::Ready(Ok(piece));
                }
                let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(end)));
                loop {
                    ready!(timer.as_mut().poll(context));
                    if timer.deadline() >= end {
                        return Poll::Ready(Err(TransportFailure::Timeout));
                    }
                    // It was set for an earlier piece.
                    timer.as_mut().reset(end);
                }
            })
            .await?
        };
        self.count(piece)
    }

    /// Time since the last piece was asked for.
    pub(crate) fn waited(&self) -> Duration {
        self.asked.elapsed()
    }

    /// The next piece if it is there already.
    pub(crate) fn waiting(&mut self) -> Option<Result<Option<Bytes>, TransportFailure>> {
        let piece = self.response.chunk().now_or_never()?;
        Some(self.count(piece))
    }

    fn count(
        &mut self,
        piece: Result<Option<Bytes>, reqwest::Error>,
    ) -> Result<Option<Bytes>, TransportFailure> {
        let piece = piece.map_err(|error| failure(&error))?;
        let length = piece.as_ref().map_or(0, Bytes::len);
        self.left = self.left.checked_sub(length).ok_or(TransportFailure::TooLarge)?;
        Ok(piece)
    }
}

/// Everything needed to make connections. Opens none by itself.
pub(crate) struct Transport {
    settings: Settings,
    public: reqwest::Client,
    pinned: Mutex<HashMap<Vec<[u8; 32]>, reqwest::Client>>,
}

struct Settings {
    roots: rustls::RootCertStore,
    proxy: Option<reqwest::Proxy>,
    connect: Duration,
}

impl Transport {
    /// Fails with `config_invalid` when the authorities or the proxy cannot be used.
    pub(crate) fn new(ca_bundle_pem: Option<&[u8]>, proxy: &Proxy, connect_s: u64) -> Result<Transport> {
        let settings = Settings {
            roots: tls::roots(ca_bundle_pem)?,
            proxy: proxy::resolve(proxy, |name| std::env::var(name).ok())?,
            connect: Duration::from_secs(connect_s),
        };
        let public = settings.client(None)?;
        Ok(Transport { settings, public, pinned: Mutex::new(HashMap::new()) })
    }

    /// Sends a request and waits for the head of its answer for at most `first_byte`.
    pub(crate) async fn open(&self, out: &Outgoing<'_>, first_byte: Duration) -> Result<Incoming, Unopened> {
        let request = build(out)?;
        let client = self.client(out.tls)?;
        let response = timeout(first_byte, client.execute(request))
            .await
            .map_err(|_| TransportFailure::Timeout)?
            .map_err(|error| Unopened { failure: failure(&error), reset: is_reset(&error) })?;
        let longest = u64::try_from(out.max_response_bytes).unwrap_or(u64::MAX);
        if response.content_length().is_some_and(|length| length > longest) {
            return Err(TransportFailure::TooLarge.into());
        }
        let head = head(&response);
        Ok(Incoming { head, body: Body::new(response, out.max_response_bytes) })
    }

    /// Sends a request and reads the whole answer within `total`.
    pub(crate) async fn fetch(
        &self,
        out: &Outgoing<'_>,
        total: Duration,
    ) -> Result<HttpResponse, TransportFailure> {
        let whole = async {
            let mut incoming = self.open(out, total).await?;
            let mut body = Vec::new();
            while let Some(piece) = incoming.body.next(total).await? {
                body.extend_from_slice(&piece);
            }
            Ok(HttpResponse::new(incoming.head, body))
        };
        timeout(total, whole).await.map_err(|_| TransportFailure::Timeout)?
    }

    /// Connections are shared only between requests with the same rule, so a pooled one has always been checked against it.
    fn client(&self, rule: &TlsRule) -> Result<reqwest::Client, TransportFailure> {
        let TlsRule::PinnedSpki(pins) = rule else { return Ok(self.public.clone()) };
        let mut pinned = self.pinned.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = pinned.get(pins) {
            return Ok(client.clone());
        }
        let client = self.settings.client(Some(pins)).map_err(|_| TransportFailure::TlsRule)?;
        if pinned.len() >= PINNED_MAX {
            pinned.clear();
        }
        pinned.insert(pins.clone(), client.clone());
        Ok(client)
    }
}

impl Settings {
    fn client(&self, pins: Option<&[[u8; 32]]>) -> Result<reqwest::Client> {
        let loopback = [
            SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 0),
        ];
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::config(&self.roots, pins)?)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .tcp_nodelay(true)
            .connect_timeout(self.connect)
            .pool_idle_timeout(POOL_IDLE)
            .http1_max_headers(HEADERS_MAX)
            .http2_max_header_list_size(HEADERS_MAX_BYTES)
            .resolve_to_addrs("localhost", &loopback)
            .no_proxy();
        if let Some(proxy) = &self.proxy {
            builder = builder.proxy(proxy.clone());
        }
        builder.build().map_err(|_| Error::new(Code::ConfigInvalid).at("HTTP client"))
    }
}

fn build(out: &Outgoing<'_>) -> Result<reqwest::Request, TransportFailure> {
    let url = reqwest::Url::parse(out.url).map_err(|_| TransportFailure::Connect)?;
    match url.scheme() {
        "https" => {}
        // Only the rule for public authorities knows plain http, and only to this machine.
        "http" if is_loopback(&url) && *out.tls == TlsRule::PublicCa => {}
        _ => return Err(TransportFailure::TlsRule),
    }
    let method = match out.method {
        Method::Get => reqwest::Method::GET,
        Method::Post => reqwest::Method::POST,
    };
    let mut request = reqwest::Request::new(method, url);
    *request.headers_mut() = headers(&out.headers).ok_or(TransportFailure::Connect)?;
    *request.body_mut() = out.body.to_reqwest();
    Ok(request)
}

fn headers(given: &[(&str, &str, bool)]) -> Option<HeaderMap> {
    let mut map = HeaderMap::with_capacity(given.len());
    for (name, value, sensitive) in given {
        let mut value = HeaderValue::from_str(value).ok()?;
        value.set_sensitive(*sensitive);
        map.append(HeaderName::from_bytes(name.as_bytes()).ok()?, value);
    }
    Some(map)
}

fn is_loopback(url: &reqwest::Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn head(response: &reqwest::Response) -> ResponseHead {
    // Values that are not text are kept in altered form: dropping a `content-encoding`, say, would hide it from the core.
    let pairs = response.headers().iter().map(|(name, value)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    ResponseHead::new(response.status().as_u16(), pairs)
}

fn failure(error: &reqwest::Error) -> TransportFailure {
    if tls::is_pin_mismatch(error) {
        TransportFailure::TlsRule
    } else if error.is_connect() {
        // Also when it took too long: nothing was sent, so another try does no harm.
        TransportFailure::Connect
    } else if error.is_timeout() {
        TransportFailure::Timeout
    } else {
        TransportFailure::Broken
    }
}

/// True when the system says that the peer ended the connection by a reset.
fn is_reset(error: &reqwest::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            return matches!(error.kind(), ConnectionReset | ConnectionAborted | BrokenPipe);
        }
        cause = error.source();
    }
    false
}
