//! Reads the body of a request to its end, within a size, a time, and a sum over all requests (threats section 5, T54).

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http_body_util::BodyExt;
use proveil::core::limits::REQUEST_MAX_BYTES;
use proveil::{Code, Error, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};
use zeroize::Zeroizing;

/// Time for every mebibyte that was begun.
const PER_MEBIBYTE: Duration = Duration::from_secs(30);
const MEBIBYTE: usize = 1024 * 1024;
/// Memory that is taken on the caller's word.
const TRUSTED_LENGTH: usize = MEBIBYTE;
/// How many times what came of a longer body may be made room for on the caller's word.
const TRUSTED_FACTOR: usize = 8;
/// A body up to here is a small one.
const SMALL_BYTES: usize = 256 * 1024;
/// The part of all memory that is for small bodies alone, so that those still go through when large ones fill the rest: an eighth.
const SMALL_SHARE: usize = 8;
/// What memory is counted in.
const UNIT_BYTES: usize = 4 * 1024;

/// Memory for the bodies of all requests: each takes from it what was received of it, until it was answered.
pub(super) struct Memory {
    small: Arc<Semaphore>,
    large: Arc<Semaphore>,
    total: usize,
}

impl Memory {
    /// So many bytes.
    pub(super) fn new(total: usize) -> Memory {
        let small = total.div_euclid(SMALL_SHARE);
        let semaphore = |bytes: usize| Arc::new(Semaphore::new(bytes.div_euclid(UNIT_BYTES)));
        Memory { small: semaphore(small), large: semaphore(total.saturating_sub(small)), total }
    }

    /// A share for `bytes`, or none. It never waits: who holds a part and waits for the rest would keep others from theirs.
    fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit> {
        let busy =
            || Error::new(Code::ProxyBusy).at("request bodies").expected(format!("{} bytes", self.total));
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).map_err(|_| busy())?;
        let small = (bytes <= SMALL_BYTES).then(|| self.small.clone().try_acquire_many_owned(units).ok());
        let share = small.flatten().or_else(|| self.large.clone().try_acquire_many_owned(units).ok());
        share.ok_or_else(busy)
    }
}

/// A body with its share of the memory. Dropping it wipes the one and gives the other back.
pub(super) struct Held {
    bytes: Zeroizing<Vec<u8>>,
    /// Bytes that the share is for.
    paid: usize,
    share: Option<OwnedSemaphorePermit>,
}

impl Held {
    fn new(announced: usize) -> Held {
        let bytes = Zeroizing::new(Vec::with_capacity(announced.min(TRUSTED_LENGTH)));
        Held { bytes, paid: 0, share: None }
    }

    /// Adds a piece, once there is memory for it.
    fn add(&mut self, data: &[u8], announced: usize, memory: &Memory) -> Result<()> {
        let length = self.bytes.len().saturating_add(data.len());
        if length > self.paid {
            // By doubling, so that a share is not exchanged for a larger one at every piece.
            let wanted = length.max(self.paid.saturating_mul(2)).clamp(UNIT_BYTES, REQUEST_MAX_BYTES);
            // The one that was had goes back first: a body never stands in its own way.
            self.share = None;
            let taken = memory.take(wanted).map(|share| (share, wanted));
            let (share, paid) = taken.or_else(|_| memory.take(length).map(|share| (share, length)))?;
            (self.share, self.paid) = (Some(share), paid);
        }
        self.grow(length, announced);
        self.bytes.extend_from_slice(data);
        Ok(())
    }

    /// Makes room, and wipes what is left behind when the bytes have to move. A length that was announced is believed as far as a part of
    /// it came.
    fn grow(&mut self, needed: usize, announced: usize) {
        if needed <= self.bytes.capacity() {
            return;
        }
        let capacity = needed
            .max(self.bytes.capacity().saturating_mul(2))
            .max(announced.min(needed.saturating_mul(TRUSTED_FACTOR)));
        let mut larger = Zeroizing::new(Vec::with_capacity(capacity.min(REQUEST_MAX_BYTES)));
        larger.extend_from_slice(&self.bytes);
        self.bytes = larger;
    }
}

impl Deref for Held {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The whole body. Fails with `limit_exceeded`, `upload_too_slow`, `content_type_not_allowed`, `malformed_request` and `proxy_busy`.
pub(super) async fn read(body: Body, headers: &HeaderMap, memory: &Memory) -> Result<Held> {
    read_within(PER_MEBIBYTE, body, headers, memory).await
}

async fn read_within(
    per_mebibyte: Duration,
    mut body: Body,
    headers: &HeaderMap,
    memory: &Memory,
) -> Result<Held> {
    if headers.contains_key(CONTENT_ENCODING) {
        return Err(Error::new(Code::ContentTypeNotAllowed).at("Content-Encoding").expected("none"));
    }
    let too_large =
        || Error::new(Code::LimitExceeded).at("request body").expected(format!("{REQUEST_MAX_BYTES} bytes"));
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > REQUEST_MAX_BYTES) {
        return Err(too_large());
    }
    let announced = announced.unwrap_or(0);
    let mut held = Ok(Held::new(announced));
    let mut received: usize = 0;
    let start = Instant::now();
    loop {
        let begun = u32::try_from(received.div_euclid(MEBIBYTE)).unwrap_or(u32::MAX).saturating_add(1);
        let late = || Error::new(Code::UploadTooSlow).at("request body").expected("1 MiB in 30 s");
        let deadline = start.checked_add(per_mebibyte.saturating_mul(begun)).ok_or_else(late)?;
        match timeout_at(deadline, body.frame()).await {
            Err(_) => return Err(late()),
            Ok(None) => return held,
            Ok(Some(Err(_))) => {
                return Err(Error::new(Code::MalformedRequest).found("a body that was cut off"));
            }
            Ok(Some(Ok(frame))) => {
                let Ok(data) = frame.into_data() else { continue };
                received = received.saturating_add(data.len());
                if received > REQUEST_MAX_BYTES {
                    return Err(too_large());
                }
                // Without memory for it the rest is read and dropped: who still sends would not see the answer that says so.
                held = held.and_then(|mut held| held.add(&data, announced, memory).map(|()| held));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOTAL: usize = 64 * MEBIBYTE;

    fn filled(memory: &Memory, bytes: usize) -> Result<Held> {
        let mut held = Held::new(0);
        let piece = vec![7; 64 * 1024];
        for _ in 0..bytes.div_euclid(piece.len()) {
            held.add(&piece, 0, memory)?;
        }
        Ok(held)
    }

    /// T54: a caller that sends its body too slowly has made a mistake that it would make again.
    #[test]
    fn t54_slow_bodies() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let never = futures_util::stream::pending::<std::io::Result<Vec<u8>>>();
        let (headers, memory) = (HeaderMap::new(), Memory::new(TOTAL));
        let read = read_within(Duration::ZERO, Body::from_stream(never), &headers, &memory);
        let error = runtime.block_on(read).err().unwrap();
        assert_eq!((error.code(), error.retryable()), (Code::UploadTooSlow, false));
        let response = crate::api::Dialect::OpenAi.response(&error);
        assert_eq!(
            (response.status().as_u16(), &response.headers()["x-should-retry"]),
            (408, &"false".parse().unwrap())
        );
    }

    /// T54: the sum is bounded, the largest body fits, and small ones go through beside large ones.
    #[test]
    fn t54_all_bodies_together() {
        let memory = Memory::new(TOTAL);
        let large = filled(&memory, REQUEST_MAX_BYTES).unwrap();
        assert_eq!(large.len(), REQUEST_MAX_BYTES);
        let refused = filled(&memory, 20 * MEBIBYTE).err().unwrap();
        assert_eq!((refused.code(), refused.retryable()), (Code::ProxyBusy, true));
        let small: Vec<Held> = (0..8).map(|_| filled(&memory, SMALL_BYTES).unwrap()).collect();
        drop(large);
        let again = filled(&memory, REQUEST_MAX_BYTES).unwrap();
        drop((small, again));
        assert_eq!(memory.small.available_permits() + memory.large.available_permits(), TOTAL / UNIT_BYTES);
        let held: Vec<Held> = std::iter::from_fn(|| filled(&memory, SMALL_BYTES).ok()).collect();
        assert_eq!(held.iter().map(|held| held.len()).sum::<usize>(), TOTAL);
    }
}
