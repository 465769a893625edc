//! HTTP values without I/O: what a host's transport is asked to send, and what it hands back.
//!
//! Only the core builds an [`HttpRequest`]; a host can read it and send it, not change it. The [`TlsRule`] it carries is part of the
//! proof: a transport that cannot obey it must report a failure instead of sending (style.md B4).

mod chunks;

use std::fmt;

pub use chunks::ChunkedBody;

use crate::error::{Code, Error, Result};

/// Request method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`
    Get,
    /// `POST`
    Post,
}

impl Method {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
        }
    }
}

/// What the connection must prove before the request is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsRule {
    /// A certificate chain to a public authority (or one the host configured) for the URL's host name. Plain `http` is allowed for
    /// loopback addresses only.
    PublicCa,
    /// Besides that, the SHA-256 of the peer's SubjectPublicKeyInfo must be one of these.
    PinnedSpki(Vec<[u8; 32]>),
}

/// One header of a request.
#[derive(Clone)]
pub struct Header {
    name: &'static str,
    value: String,
    sensitive: bool,
}

impl Header {
    /// Lowercase name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Value as sent.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// True when the value is a secret: never log it, and mark it so in the HTTP library.
    pub const fn is_sensitive(&self) -> bool {
        self.sensitive
    }
}

impl Drop for Header {
    fn drop(&mut self) {
        if self.sensitive {
            zeroize::Zeroize::zeroize(&mut self.value);
        }
    }
}

/// A request for the host's transport. Redirects must not be followed, bodies must not be compressed, no header may be added
/// except the ones HTTP itself needs.
#[derive(Clone)]
pub struct HttpRequest {
    method: Method,
    url: String,
    headers: Vec<Header>,
    body: Vec<u8>,
    chunks: Option<ChunkedBody>,
    tls: TlsRule,
    max_response_bytes: usize,
    purpose: &'static str,
}

impl HttpRequest {
    pub(crate) fn new(
        method: Method,
        url: String,
        purpose: &'static str,
        max_response_bytes: usize,
    ) -> HttpRequest {
        HttpRequest {
            method,
            url,
            headers: Vec::new(),
            body: Vec::new(),
            chunks: None,
            tls: TlsRule::PublicCa,
            max_response_bytes,
            purpose,
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> HttpRequest {
        self.headers.push(Header { name, value: value.into(), sensitive: false });
        self
    }

    pub(crate) fn secret_header(mut self, name: &'static str, value: String) -> HttpRequest {
        self.headers.push(Header { name, value, sensitive: true });
        self
    }

    pub(crate) fn with_body(mut self, body: Vec<u8>) -> HttpRequest {
        self.body = body;
        self
    }

    pub(crate) fn with_chunks(mut self, chunks: ChunkedBody) -> HttpRequest {
        self.chunks = Some(chunks);
        self
    }

    /// Method.
    pub const fn method(&self) -> Method {
        self.method
    }

    /// Absolute URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Headers in order.
    pub fn headers(&self) -> &[Header] {
        &self.headers
    }

    /// Body; empty for `GET`, and for what [`HttpRequest::take_chunks`] gives.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body given away, for a transport that sends it without a copy; it is empty afterwards.
    pub fn take_body(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.body)
    }

    /// The body of a request that was sealed to be sent in chunks, given away; `None` for every other one and afterwards.
    pub fn take_chunks(&mut self) -> Option<ChunkedBody> {
        self.chunks.take()
    }

    /// What the connection must prove.
    pub const fn tls(&self) -> &TlsRule {
        &self.tls
    }

    /// A longer response is `limit_exceeded`; the transport stops reading there.
    pub const fn max_response_bytes(&self) -> usize {
        self.max_response_bytes
    }

    /// For progress lines: `model list`, `attestation`, `Intel TCB info`, `chat`, ...
    pub const fn purpose(&self) -> &'static str {
        self.purpose
    }
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRequest")
            .field("method", &self.method.as_str())
            .field("url", &self.url)
            .field("headers", &self.headers.iter().map(Header::name).collect::<Vec<_>>())
            .field("body_bytes", &self.chunks.as_ref().map_or(self.body.len(), ChunkedBody::wire_len))
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

/// Status and headers of a response.
#[derive(Clone, Debug, Default)]
pub struct ResponseHead {
    status: u16,
    headers: Vec<(String, String)>,
}

impl ResponseHead {
    /// Status code and headers as received; names in any case.
    pub fn new(status: u16, headers: impl IntoIterator<Item = (String, String)>) -> ResponseHead {
        ResponseHead { status, headers: headers.into_iter().collect() }
    }

    /// Status code.
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// First value of a header; the name is compared without case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Media type without parameters, lowercase; empty when absent.
    pub fn media_type(&self) -> String {
        let value = self.header("content-type").unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// Refuses redirects and compressed bodies (threats T42).
    pub(crate) fn check_plain(&self) -> Result<()> {
        if (300..400).contains(&self.status) {
            return Err(Error::new(Code::RedirectRefused).found(self.status.to_string()));
        }
        match self.header("content-encoding") {
            None => Ok(()),
            Some(value) if value.eq_ignore_ascii_case("identity") => Ok(()),
            Some(value) => Err(Error::new(Code::ContentEncoding).found(value)),
        }
    }
}

/// A whole response.
#[derive(Clone, Debug, Default)]
pub struct HttpResponse {
    head: ResponseHead,
    body: Vec<u8>,
}

impl HttpResponse {
    /// Head and complete body.
    pub const fn new(head: ResponseHead, body: Vec<u8>) -> HttpResponse {
        HttpResponse { head, body }
    }

    /// Status and headers.
    pub const fn head(&self) -> &ResponseHead {
        &self.head
    }

    /// Body bytes.
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

/// Why a transport could not carry out a request. It decides between "unreachable" and "refused" outcomes, never between
/// verified and not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportFailure {
    /// Name resolution, connection or TLS handshake failed.
    Connect,
    /// A timeout passed.
    Timeout,
    /// The peer's key is not one that [`TlsRule::PinnedSpki`] names.
    TlsRule,
    /// The response is longer than allowed.
    TooLarge,
    /// The connection broke while the response was read.
    Broken,
    /// The caller gave up.
    Cancelled,
}

impl TransportFailure {
    /// The error for a request of the given `unreachable` cause.
    pub fn error(self, unreachable: Code, purpose: &str) -> Error {
        let (code, what) = match self {
            TransportFailure::Connect => (unreachable, "connection failed"),
            TransportFailure::Timeout => (unreachable, "timed out"),
            TransportFailure::TlsRule => (Code::TlsKeyMismatch, "peer key differs"),
            TransportFailure::TooLarge => (Code::LimitExceeded, "response too large"),
            TransportFailure::Broken => (unreachable, "connection broke"),
            TransportFailure::Cancelled => (Code::Cancelled, "cancelled"),
        };
        Error::new(code).at(purpose).found(what)
    }
}

/// A base URL that may carry secrets: `https`, or `http` to a loopback address; no user, query or fragment; no trailing slash.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BaseUrl(String);

impl BaseUrl {
    /// Checks a URL. Fails with `invalid_url`.
    pub fn parse(text: &str) -> Result<BaseUrl> {
        let refuse = || Error::new(Code::InvalidUrl).found(text);
        let (scheme, rest) = text.split_once("://").ok_or_else(refuse)?;
        let authority = rest.split('/').next().unwrap_or_default();
        let plain = |c: char| {
            c.is_ascii_graphic() && !matches!(c, '?' | '#' | '@' | '\\' | '<' | '>' | '"' | '`' | '{' | '}')
        };
        if authority.is_empty() || !rest.chars().all(plain) || rest.contains("/../") || rest.ends_with("/..")
        {
            return Err(refuse());
        }
        let host = match authority.strip_prefix('[') {
            Some(v6) => v6.split(']').next().unwrap_or_default(),
            None => authority.split(':').next().unwrap_or_default(),
        };
        match scheme.to_ascii_lowercase().as_str() {
            "https" => {}
            "http" if is_loopback(host) => {}
            _ => return Err(refuse().expected("https, or http to a loopback address")),
        }
        Ok(BaseUrl(format!("{}://{}", scheme.to_ascii_lowercase(), rest.trim_end_matches('/'))))
    }

    /// The text without trailing slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True for `http` to a loopback address.
    pub fn is_plain_http(&self) -> bool {
        self.0.starts_with("http://")
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<core::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Percent-encodes a query value: everything but unreserved characters (RFC 3986 section 2.3).
pub(crate) fn encode_query(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls() {
        let cases = [
            ("https://api.venice.ai/api/v1/", Some("https://api.venice.ai/api/v1")),
            ("HTTPS://x.example", Some("https://x.example")),
            ("http://127.0.0.1:8080", Some("http://127.0.0.1:8080")),
            ("http://[::1]:8080/a", Some("http://[::1]:8080/a")),
            ("http://localhost:1", Some("http://localhost:1")),
            ("http://api.venice.ai", None),
            ("http://localhost.evil.example", None),
            ("https://user@host.example", None),
            ("https://host.example/?a=b", None),
            ("https://host.example/a b", None),
            ("https://host.example/../x", None),
            ("https://", None),
            ("ftp://host.example", None),
            ("host.example", None),
            ("https://host.example/\r\nX: y", None),
        ];
        for (text, expected) in cases {
            assert_eq!(BaseUrl::parse(text).ok().as_ref().map(BaseUrl::as_str), expected, "{text}");
        }
    }

    #[test]
    fn secrets_stay_out_of_debug() {
        let request = HttpRequest::new(Method::Get, "https://x.example/".to_owned(), "test", 1)
            .secret_header("authorization", "Bearer canary-key".to_owned());
        assert!(!format!("{request:?}").contains("canary"));
    }

    /// A file of many megabytes is in memory once.
    #[test]
    fn bodies_are_given_away_without_a_copy() {
        let body = vec![7; 1000];
        let place = body.as_ptr();
        let mut request =
            HttpRequest::new(Method::Post, "https://x.example/".to_owned(), "test", 1).with_body(body);
        let taken = request.take_body();
        assert_eq!((taken.as_ptr(), taken.len()), (place, 1000));
        assert!(request.body().is_empty());
    }

    #[test]
    fn queries_are_encoded() {
        assert_eq!(encode_query("a b&c=\u{e4}/~"), "a%20b%26c%3D%C3%A4%2F~");
    }
}
