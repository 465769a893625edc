//! Reads the body of a request to its end, within a size and a time (threats section 5, T54).

use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http_body_util::BodyExt;
use proveil::core::limits::REQUEST_MAX_BYTES;
use proveil::{Code, Error, Result};
use tokio::time::{Instant, timeout_at};
use zeroize::Zeroizing;

/// Time for every mebibyte that was begun.
const PER_MEBIBYTE: Duration = Duration::from_secs(30);
const MEBIBYTE: usize = 1024 * 1024;
/// Memory that is taken on the caller's word.
const TRUSTED_LENGTH: usize = MEBIBYTE;

/// The whole body. Fails with `limit_exceeded`, `timeout`, `content_encoding` and `malformed_request`.
pub(super) async fn read(mut body: Body, headers: &HeaderMap) -> Result<Zeroizing<Vec<u8>>> {
    if headers.contains_key(CONTENT_ENCODING) {
        return Err(Error::new(Code::ContentTypeNotAllowed).at("Content-Encoding").expected("none"));
    }
    let too_large =
        || Error::new(Code::LimitExceeded).at("request body").expected(format!("{REQUEST_MAX_BYTES} bytes"));
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > REQUEST_MAX_BYTES) {
        return Err(too_large());
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(announced.unwrap_or(0).min(TRUSTED_LENGTH)));
    let start = Instant::now();
    loop {
        let begun = u32::try_from(bytes.len() / MEBIBYTE).unwrap_or(u32::MAX).saturating_add(1);
        let late = || Error::new(Code::Timeout).at("request body").expected("1 MiB in 30 s");
        let deadline = start.checked_add(PER_MEBIBYTE.saturating_mul(begun)).ok_or_else(late)?;
        match timeout_at(deadline, body.frame()).await {
            Err(_) => return Err(late()),
            Ok(None) => return Ok(bytes),
            Ok(Some(Err(_))) => {
                return Err(Error::new(Code::MalformedRequest).found("a body that was cut off"));
            }
            Ok(Some(Ok(frame))) => {
                let Ok(data) = frame.into_data() else { continue };
                if bytes.len().saturating_add(data.len()) > REQUEST_MAX_BYTES {
                    return Err(too_large());
                }
                grow(&mut bytes, data.len());
                bytes.extend_from_slice(&data);
            }
        }
    }
}

/// Makes room, and wipes what is left behind when the bytes have to move.
fn grow(bytes: &mut Zeroizing<Vec<u8>>, more: usize) {
    let needed = bytes.len().saturating_add(more);
    if needed <= bytes.capacity() {
        return;
    }
    let mut larger = Zeroizing::new(Vec::with_capacity(needed.max(bytes.capacity().saturating_mul(2))));
    larger.extend_from_slice(bytes);
    *bytes = larger;
}
