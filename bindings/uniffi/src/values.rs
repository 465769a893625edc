//! HTTP values and events.

use std::sync::Arc;

use proveil_bindings_support::core::http::{self, HttpResponse, ResponseHead, TlsRule};
use proveil_bindings_support::{EventKind as Kind, FlatEvent};

/// What an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum EventKind {
    /// Decrypted answer text.
    Content,
    /// Decrypted reasoning text.
    Reasoning,
    /// The choice ended; `text` is the reason (unauthenticated).
    Finish,
    /// `text` is token usage as JSON (unauthenticated).
    Usage,
    /// `text` is an opened JSON document: a whole answer, or the data of one event of a stream.
    Document,
}

/// One thing that an answer says.
#[derive(Clone, Debug, uniffi::Record)]
pub struct Event {
    /// What it is.
    pub kind: EventKind,
    /// `choices[].index`; 0 for usage.
    pub choice: u32,
    /// Text, reason or JSON.
    pub text: String,
    /// Of a document that is the data of a named event of a stream: that name (unauthenticated); else empty.
    pub name: String,
}

impl From<FlatEvent> for Event {
    fn from(event: FlatEvent) -> Event {
        let kind = match event.kind {
            Kind::Content => EventKind::Content,
            Kind::Reasoning => EventKind::Reasoning,
            Kind::Finish => EventKind::Finish,
            Kind::Usage => EventKind::Usage,
            Kind::Document => EventKind::Document,
        };
        Event { kind, choice: event.choice, text: event.text, name: event.name }
    }
}

/// One header of a request. An object, so that printing a request never prints an API key.
#[derive(uniffi::Object)]
pub struct Header(http::Header);

#[uniffi::export]
impl Header {
    /// Lowercase name.
    pub fn name(&self) -> String {
        self.0.name().to_owned()
    }

    /// Value as sent.
    pub fn value(&self) -> String {
        self.0.value().to_owned()
    }

    /// The value is a secret: never log it.
    pub fn is_sensitive(&self) -> bool {
        self.0.is_sensitive()
    }
}

/// A request for the caller's transport. Do not follow redirects, do not accept compressed bodies, add no header but those that HTTP
/// itself needs. Whoever cannot obey `pinned_spki` must not send.
#[derive(uniffi::Object)]
pub struct HttpRequest(http::HttpRequest);

impl From<http::HttpRequest> for HttpRequest {
    fn from(request: http::HttpRequest) -> HttpRequest {
        HttpRequest(request)
    }
}

#[uniffi::export]
impl HttpRequest {
    /// `GET` or `POST`.
    pub fn method(&self) -> String {
        self.0.method().as_str().to_owned()
    }

    /// Absolute URL.
    pub fn url(&self) -> String {
        self.0.url().to_owned()
    }

    /// Headers in order.
    pub fn headers(&self) -> Vec<Arc<Header>> {
        self.0.headers().iter().map(|header| Arc::new(Header(header.clone()))).collect()
    }

    /// Body; empty for `GET`.
    pub fn body(&self) -> Vec<u8> {
        self.0.body().to_vec()
    }

    /// When present, the SHA-256 of the server's public key (SubjectPublicKeyInfo) must be one of these, besides a valid certificate.
    pub fn pinned_spki(&self) -> Option<Vec<Vec<u8>>> {
        match self.0.tls() {
            TlsRule::PublicCa => None,
            TlsRule::PinnedSpki(pins) => Some(pins.iter().map(|pin| pin.to_vec()).collect()),
        }
    }

    /// Stop reading there and report `TooLarge`.
    pub fn max_response_bytes(&self) -> u64 {
        self.0.max_response_bytes() as u64
    }

    /// For progress lines: `attestation`, `chat`, ...
    pub fn purpose(&self) -> String {
        self.0.purpose().to_owned()
    }
}

/// One header of a response.
#[derive(Clone, Debug, uniffi::Record)]
pub struct ResponseHeader {
    /// Name in any case.
    pub name: String,
    /// Value as received.
    pub value: String,
}

/// Status and headers as the core takes them.
pub fn head(status: u16, headers: Vec<ResponseHeader>) -> ResponseHead {
    ResponseHead::new(status, headers.into_iter().map(|header| (header.name, header.value)))
}

/// A whole response.
pub fn response(status: u16, headers: Vec<ResponseHeader>, body: Vec<u8>) -> HttpResponse {
    HttpResponse::new(head(status, headers), body)
}
