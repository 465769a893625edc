//! Moves the events of an answer into the body of a response, as fast as the caller reads and no faster.

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream::unfold;
use proveil::{Result, Stream};

use super::metrics::Answering;
use crate::api::{Chunks, Whole};

/// Bytes that are joined into one write; more wait for the next.
const JOIN_BYTES: usize = 64 * 1024;

struct Moving {
    stream: Stream,
    chunks: Box<dyn Chunks>,
    answering: Answering,
    ready: Option<Bytes>,
    ended: bool,
}

/// The body of a stream. Waits for the first event: what fails before it is an error with a status of its own.
pub(super) async fn streamed(
    mut stream: Stream,
    mut chunks: Box<dyn Chunks>,
    mut answering: Answering,
) -> Result<Body> {
    let mut out = Vec::new();
    let mut ended = false;
    match stream.next().await {
        Some(Err(error)) => {
            answering.failed(&error);
            return Err(error);
        }
        Some(Ok(event)) => {
            answering.event();
            chunks.event(&event, &mut out);
            join(&mut stream, chunks.as_mut(), &mut answering, &mut out);
        }
        None => {
            if let Err(error) = chunks.end(&mut out) {
                answering.failed(&error);
                return Err(error);
            }
            answering.complete();
            ended = true;
        }
    }
    // In a box, since it moves with every piece.
    let moving = Box::new(Moving { stream, chunks, answering, ready: Some(out.into()), ended });
    Ok(Body::from_stream(unfold(moving, |mut moving| async move {
        let bytes = moving.next().await?;
        Some((Ok::<Bytes, std::convert::Infallible>(bytes), moving))
    })))
}

impl Moving {
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(ready) = self.ready.take().filter(|ready| !ready.is_empty()) {
            return Some(ready);
        }
        let mut out = Vec::new();
        // Not every event is written, and an empty piece would end some encodings.
        while out.is_empty() && !self.ended {
            self.advance(&mut out).await;
        }
        (!out.is_empty()).then(|| out.into())
    }

    async fn advance(&mut self, out: &mut Vec<u8>) {
        match self.stream.next().await {
            Some(Ok(event)) => {
                self.answering.event();
                self.chunks.event(&event, out);
                join(&mut self.stream, self.chunks.as_mut(), &mut self.answering, out);
            }
            Some(Err(error)) => {
                self.answering.failed(&error);
                self.chunks.fail(&error, out);
                self.ended = true;
            }
            None => {
                self.ended = true;
                match self.chunks.end(out) {
                    Ok(()) => self.answering.complete(),
                    Err(error) => {
                        self.answering.failed(&error);
                        self.chunks.fail(&error, out);
                    }
                }
            }
        }
    }
}

/// Adds the events that are there already.
fn join(stream: &mut Stream, chunks: &mut dyn Chunks, answering: &mut Answering, out: &mut Vec<u8>) {
    while out.len() < JOIN_BYTES {
        let Some(event) = stream.next_buffered() else { break };
        answering.event();
        chunks.event(&event, out);
    }
}

/// The whole answer as one document.
pub(super) async fn whole(
    mut stream: Stream,
    whole: &mut dyn Whole,
    mut answering: Answering,
) -> Result<String> {
    let result = collect(&mut stream, whole, &mut answering).await;
    match &result {
        Ok(_) => answering.complete(),
        Err(error) => answering.failed(error),
    }
    result
}

async fn collect(stream: &mut Stream, whole: &mut dyn Whole, answering: &mut Answering) -> Result<String> {
    while let Some(event) = stream.next().await {
        answering.event();
        whole.event(event?)?;
    }
    whole.document()
}
