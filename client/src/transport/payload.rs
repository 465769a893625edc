//! The body of a request on its way to the network.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use proveil_core::http::ChunkedBody;

/// What a request carries.
#[derive(Clone)]
pub(crate) enum Payload {
    /// Bytes as they are sent; none for a request without a body.
    Whole(Bytes),
    /// A large upload, made while it is sent.
    Chunks(Arc<ChunkedBody>),
}

impl Payload {
    pub(crate) fn chunks(body: ChunkedBody) -> Payload {
        Payload::Chunks(Arc::new(body))
    }

    /// As the HTTP library wants it; from the start each time.
    pub(crate) fn to_reqwest(&self) -> Option<reqwest::Body> {
        match self {
            Payload::Whole(bytes) if bytes.is_empty() => None,
            Payload::Whole(bytes) => Some(bytes.clone().into()),
            Payload::Chunks(body) => Some(reqwest::Body::wrap(Chunks::new(body.clone()))),
        }
    }
}

/// Chunks in order. Its exact size becomes the content length.
struct Chunks {
    body: Arc<ChunkedBody>,
    place: usize,
    left: u64,
}

impl Chunks {
    fn new(body: Arc<ChunkedBody>) -> Chunks {
        let left = u64::try_from(body.wire_len()).unwrap_or(u64::MAX);
        Chunks { body, place: 0, left }
    }
}

impl http_body::Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Chunks { body, place, left } = &mut *self;
        let piece = body.next(place).map(Bytes::from);
        let count = piece.as_ref().map_or(0, Bytes::len);
        *left = left.saturating_sub(u64::try_from(count).unwrap_or(u64::MAX));
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
