//! The recorded answer opened from Rust in whole network pieces, as `bench/c`, `bench/python` and `bench/node` do it.

use std::fs;
use std::io;
use std::path::Path;

use memchr::memmem;
use proveil_core::endpoint::Event;
use proveil_core::http::ResponseHead;
use proveil_core::provider::opener_for_key;
use proveil_core::secret::Secret;

use crate::measure::time;
use crate::recording::EVENTS_PER_PIECE;

/// Opens the answer of a directory over and over. The work of a pass: a new opener, the head, every piece, the contents counted,
/// the end.
pub fn nanoseconds_per_chunk(dir: &Path) -> io::Result<f64> {
    let stream = fs::read(dir.join("stream.sse"))?;
    let key = fs::read(dir.join("stream.key"))?;
    let key = const_hex::decode_to_array(key).map_err(|error| io::Error::other(error.to_string()))?;
    let pieces = cut(&stream);
    let chunks = open(&key, &pieces).map_err(io::Error::other)?;
    Ok(time(|| open(&key, &pieces)) / chunks as f64)
}

/// Cuts after every 32nd blank line.
fn cut(stream: &[u8]) -> Vec<&[u8]> {
    let ends: Vec<usize> = memmem::find_iter(stream, b"\n\n").map(|at| at + 2).collect();
    let mut pieces = Vec::new();
    let mut start = 0;
    for end in ends.chunks(EVENTS_PER_PIECE).filter_map(|ends| ends.last()) {
        pieces.push(&stream[start..*end]);
        start = *end;
    }
    pieces
}

fn open(key: &[u8; 32], pieces: &[&[u8]]) -> proveil_core::Result<usize> {
    let mut opener = opener_for_key(Secret::take(&mut key.clone()), false)?;
    let headers = [("content-type".to_owned(), "text/event-stream".to_owned())];
    opener.head(&ResponseHead::new(200, headers))?;
    let mut texts = 0;
    for piece in pieces {
        let mut events = Vec::new();
        opener.push(piece, &mut events)?;
        texts += events.iter().filter(|event| matches!(event, Event::Text { .. })).count();
    }
    opener.finish(&mut Vec::new())?;
    Ok(texts)
}
