//! Answers that are longer than anybody wants, made piece by piece as they are taken: an honest one, to see whether those who read
//! slowly are waited for, and such as never end, to see where a client stops reading (threats T43).

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use super::reply::{Piece, Reply};
use super::stream::Streamed;
use crate::forge::Random;

/// Bytes of a piece of what never ends.
const ENDLESS_PIECE: usize = 64 * 1024;
/// A gzip header, and blocks that are no compressed data: nobody who obeys the protocol looks at them.
const GZIP_HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// What chats are answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flood {
    /// A sealed stream of so many pieces. Each is its number in eight digits, from 0, and then so many letters `x`, which are sealed once
    /// and sent again and again.
    Long {
        /// Number of pieces.
        pieces: usize,
        /// Letters of each.
        bytes: usize,
    },
    /// A stream of comments without end.
    Comments,
    /// A stream whose first line does not end.
    Line,
    /// As [`Flood::Long`] with 64 KiB each, without end.
    Pieces,
    /// A compressed body without end.
    Compressed,
    /// An error (502) with a page without end.
    ErrorPage,
    /// A redirect with a body without end.
    Redirect,
}

/// Counts what was sent.
#[derive(Debug, Default)]
pub struct Flooded {
    pieces: AtomicUsize,
    bytes: AtomicUsize,
    open: AtomicUsize,
}

impl Flooded {
    /// Pieces of all answers.
    pub fn pieces(&self) -> usize {
        self.pieces.load(Ordering::SeqCst)
    }

    /// Bytes of all answers.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::SeqCst)
    }

    /// Answers whose connection is open and that have not ended.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

/// What the events of an answer have in common.
pub(super) struct Head {
    pub(super) id: String,
    pub(super) model: &'static str,
    pub(super) created: u64,
    /// The client's.
    pub(super) key: Option<Vec<u8>>,
}

impl Head {
    fn streamed<'a>(&'a self, defects: &'a BTreeSet<super::Defect>) -> Streamed<'a> {
        Streamed {
            id: &self.id,
            model: self.model,
            created: self.created,
            client_key: self.key.as_deref(),
            answers: &[],
            usage: None,
            max_tokens: None,
            pace_ms: 0,
            defects,
        }
    }

    fn pieces(
        self,
        count: usize,
        bytes: usize,
        mut random: Random,
    ) -> Box<dyn FnMut(usize) -> Option<Bytes> + Send> {
        let none = BTreeSet::new();
        let letters = self.streamed(&none).event("x".repeat(bytes), &mut random);
        Box::new(move |number| match number {
            number if number < count => {
                let first = self.streamed(&none).event(format!("{number:08}"), &mut random);
                Some([first, letters.clone()].concat().into())
            }
            number if number == count => Some(self.streamed(&none).ending()),
            _ => None,
        })
    }
}

impl Flood {
    pub(super) fn answer(self, head: Head, random: Random, flooded: &Arc<Flooded>) -> Reply {
        let make: Box<dyn FnMut(usize) -> Option<Bytes> + Send> = match self {
            Flood::Long { pieces, bytes } => head.pieces(pieces, bytes, random),
            Flood::Pieces => head.pieces(usize::MAX, ENDLESS_PIECE, random),
            Flood::Comments => endless(Vec::new(), ": nothing to say\n\n"),
            Flood::Line => endless(b"data: {\"id\":\"".to_vec(), "a"),
            Flood::Compressed => endless(GZIP_HEAD.to_vec(), "\0"),
            Flood::ErrorPage | Flood::Redirect => endless(Vec::new(), "<p>no end</p>"),
        };
        flooded.open.fetch_add(1, Ordering::SeqCst);
        let source = Source { make, made: 0, flooded: Arc::clone(flooded) };
        let pieces = vec![Piece::Source(source)];
        match self {
            Flood::ErrorPage => Reply::pieces(502, "text/html", pieces),
            Flood::Redirect => Reply::pieces(307, "text/html", pieces).header("location", "/elsewhere"),
            Flood::Compressed => Reply::stream(pieces).header("content-encoding", "gzip"),
            _ => Reply::stream(pieces),
        }
    }
}

/// The start once, then the same again and again.
fn endless(start: Vec<u8>, text: &str) -> Box<dyn FnMut(usize) -> Option<Bytes> + Send> {
    let piece = Bytes::from(text.repeat(ENDLESS_PIECE.div_ceil(text.len().max(1))));
    let start = Bytes::from(start);
    Box::new(move |number| Some(if number == 0 && !start.is_empty() { start.clone() } else { piece.clone() }))
}

/// Makes the pieces of one answer. It is dropped when the answer ends or its connection closes.
pub(super) struct Source {
    make: Box<dyn FnMut(usize) -> Option<Bytes> + Send>,
    made: usize,
    flooded: Arc<Flooded>,
}

impl Source {
    pub(super) fn next(&mut self) -> Option<Bytes> {
        let piece = (self.make)(self.made)?;
        self.made = self.made.saturating_add(1);
        self.flooded.pieces.fetch_add(1, Ordering::SeqCst);
        self.flooded.bytes.fetch_add(piece.len(), Ordering::SeqCst);
        Some(piece)
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.flooded.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("made", &self.made).finish_non_exhaustive()
    }
}
