//! HTTP answers of the simulator: whole bodies, or pieces written one by one with pauses and a cut.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};
use bytes::Bytes;
use http_body::Frame;
use proveil_core::wire::json::Json;

use super::flood::Source;
use super::hold::Hold;
use crate::forge::{object, string};

/// A step of a streamed body.
#[derive(Debug)]
pub(super) enum Piece {
    /// Bytes that go out in a write of their own.
    Data(Bytes),
    /// More of it, made when it is asked for, until there is none.
    Source(Source),
    /// A pause in milliseconds.
    Pause(u64),
    /// A stop until a test lets it go on.
    Hold(Hold),
    /// The connection is torn down here.
    Drop,
}

enum Payload {
    Whole(Vec<u8>),
    Pieces(Vec<Piece>),
}

/// An answer that is being made.
pub(super) struct Reply {
    pub(super) status: u16,
    headers: Vec<(&'static str, String)>,
    payload: Payload,
}

impl Reply {
    pub(super) fn new(status: u16, content_type: &'static str, body: Vec<u8>) -> Reply {
        let headers = vec![("content-type", content_type.to_owned())];
        Reply { status, headers, payload: Payload::Whole(body) }
    }

    pub(super) fn json(status: u16, body: &str) -> Reply {
        Reply::new(status, "application/json", body.as_bytes().to_vec())
    }

    /// Venice's own form of an error.
    pub(super) fn error(status: u16, text: &str) -> Reply {
        Reply::json(status, &object([("error", string(text))]).to_compact())
    }

    /// The OpenAI form of an error, as the Phala gateway sends it.
    pub(super) fn typed_error(status: u16, kind: &str, text: &str) -> Reply {
        let error = object([
            ("message", string(text)),
            ("type", string(kind)),
            ("param", Json::Null),
            ("code", string(kind)),
        ]);
        Reply::json(status, &object([("error", error)]).to_compact())
    }

    pub(super) fn stream(pieces: Vec<Piece>) -> Reply {
        Reply::pieces(200, "text/event-stream", pieces)
    }

    /// A body that is written piece by piece.
    pub(super) fn pieces(status: u16, content_type: &'static str, pieces: Vec<Piece>) -> Reply {
        let headers = vec![("content-type", content_type.to_owned())];
        Reply { status, headers, payload: Payload::Pieces(pieces) }
    }

    /// Adds a header, or replaces the one of the same name.
    pub(super) fn header(mut self, name: &'static str, value: &str) -> Reply {
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value.to_owned()));
        self
    }

    /// Makes a streamed answer stop after so many pieces of data.
    pub(super) fn hold_after(mut self, after: usize, hold: Hold) -> Reply {
        if let Payload::Pieces(pieces) = &mut self.payload {
            let mut data = pieces.iter().enumerate().filter(|(_, piece)| matches!(piece, Piece::Data(_)));
            let at = data.nth(after).map_or(pieces.len(), |(at, _)| at);
            pieces.insert(at, Piece::Hold(hold));
        }
        self
    }

    /// Whether it is written piece by piece.
    pub(super) const fn is_stream(&self) -> bool {
        matches!(self.payload, Payload::Pieces(_))
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let body = match self.payload {
            Payload::Whole(bytes) => Body::from(bytes),
            Payload::Pieces(pieces) => Body::new(Pieces { left: pieces.into(), wait: None, flush: false }),
        };
        let mut response = Response::new(body);
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
        }
        response
    }
}

/// Body that hands out one piece at a time and lets each be written before the next.
struct Pieces {
    left: VecDeque<Piece>,
    wait: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    flush: bool,
}

/// The reason that hyper is given for tearing down a connection.
#[derive(Debug)]
struct Dropped;

impl std::fmt::Display for Dropped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("dropped on purpose")
    }
}

impl std::error::Error for Dropped {}

impl From<Infallible> for Dropped {
    fn from(never: Infallible) -> Dropped {
        match never {}
    }
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Dropped;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Dropped>>> {
        if let Some(wait) = &mut self.wait {
            if wait.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            self.wait = None;
        }
        if self.flush {
            // Saying "not ready" once makes the connection write out what it has.
            self.flush = false;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        match self.left.pop_front() {
            None => Poll::Ready(None),
            Some(Piece::Drop) => Poll::Ready(Some(Err(Dropped))),
            Some(Piece::Data(bytes)) => {
                self.flush = true;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Some(Piece::Source(mut source)) => match source.next() {
                None => self.poll_frame(context),
                Some(bytes) => {
                    self.left.push_front(Piece::Source(source));
                    self.flush = true;
                    Poll::Ready(Some(Ok(Frame::data(bytes))))
                }
            },
            Some(Piece::Pause(ms)) => {
                self.wait = Some(Box::pin(tokio::time::sleep(Duration::from_millis(ms))));
                self.poll_frame(context)
            }
            Some(Piece::Hold(hold)) => {
                self.wait = Some(Box::pin(hold.wait()));
                self.poll_frame(context)
            }
        }
    }
}

/// Percent-decoded value of a query parameter.
pub(super) fn query_value(query: &str, name: &str) -> Option<String> {
    let pair = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    let mut out = Vec::new();
    let mut bytes = pair.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next()?, bytes.next()?];
            out.extend(const_hex::decode(digits).ok()?);
        } else {
            out.push(if byte == b'+' { b' ' } else { byte });
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query() {
        assert_eq!(query_value("a=1&model=x%3Ay+z&b", "model").as_deref(), Some("x:y z"));
        assert_eq!(query_value("modelx=1", "model"), None);
        assert_eq!(query_value("m=%f", "m"), None);
    }
}
