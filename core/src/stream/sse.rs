//! Server-sent events out of a byte stream (protocols/venice.md 4; the WHATWG HTML standard, "Server-sent events").
//!
//! Lines end in LF, CR or CRLF, split anywhere between reads. An event that lies within one read is borrowed from it; only what
//! crosses a read is kept. Every line counts against bounds on bytes and on lines per event, comments and empty `data:` lines
//! too (threats T43). What the data says is not looked at.

use std::ops::{ControlFlow, Range};

use crate::error::{Code, Error, Result};
use crate::limits::{SSE_EVENT_MAX_BYTES, SSE_EVENT_MAX_LINES, SSE_LINE_MAX_BYTES};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// Capacity that the buffers keep between events; what one large event needed is given back.
const KEPT_CAPACITY: usize = 8 * 1024;

/// One event. `id` and `retry` fields are legal and ignored: a sealed answer is never resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// Value of the last `event` field; empty when there was none.
    pub name: &'a [u8],
    /// Values of the `data` fields, joined by LF. Any bytes.
    pub data: &'a [u8],
}

/// The framer. Give it every read in order; it calls back once per complete event.
#[derive(Debug, Default)]
pub struct Framer {
    /// The line that is not complete yet.
    partial: Vec<u8>,
    /// Data of the event that is not complete yet, when it is not borrowed.
    data: Vec<u8>,
    has_data: bool,
    name: Vec<u8>,
    /// The last line ended in CR: an LF that follows belongs to it.
    after_cr: bool,
    /// The first line has been seen, so a byte order mark is no longer dropped.
    started: bool,
    event_bytes: usize,
    event_lines: usize,
}

impl Framer {
    /// Nothing read yet.
    pub fn new() -> Framer {
        Framer::default()
    }

    /// Takes the next bytes and calls `each` for every event that they complete. Gives the number of bytes used: all of them,
    /// unless `each` breaks, in which case the rest is left to the caller.
    ///
    /// Errors: `limit_exceeded` (a line, an event's bytes or an event's lines); the framer must not be used afterwards.
    pub fn push<F>(&mut self, bytes: &[u8], mut each: F) -> Result<usize>
    where
        F: FnMut(Event<'_>) -> ControlFlow<()>,
    {
        // Where the data of the current event lies in `bytes`, while it is one line that need not be kept.
        let mut borrowed: Option<Range<usize>> = None;
        let mut at = 0;
        if self.after_cr && !bytes.is_empty() {
            self.after_cr = false;
            at = self.line_feed_len(bytes, at);
        }
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let Some(length) = memchr::memchr2(b'\n', b'\r', rest) else {
                self.keep_partial(rest)?;
                break;
            };
            let line = at..at.saturating_add(length);
            at = line.end.saturating_add(1);
            if bytes.get(line.end) == Some(&b'\r') {
                if at == bytes.len() {
                    self.after_cr = true;
                } else {
                    at = at.saturating_add(self.line_feed_len(bytes, at));
                }
            }
            if self.line(bytes, line, &mut borrowed)?
                && self.dispatch(bytes, &mut borrowed, &mut each).is_break()
            {
                return Ok(at);
            }
        }
        if let Some(value) = borrowed.take().and_then(|range| bytes.get(range)) {
            self.data.extend_from_slice(value);
        }
        Ok(bytes.len())
    }

    /// Data of the event that has not been completed by a blank line; `None` when there is none. For end marks that a server
    /// sends without their last line ends.
    pub fn unfinished_data(&self) -> Option<Vec<u8>> {
        let mut data = self.data.clone();
        let (name, value) = split_field(self.strip_mark(&self.partial));
        let partial_is_data = name == b"data";
        if partial_is_data {
            if self.has_data {
                data.push(b'\n');
            }
            data.extend_from_slice(value);
        }
        (self.has_data || partial_is_data).then_some(data)
    }

    /// Number of bytes (0 or 1) at the start of the next read that still belong to the last line: the LF of a CRLF. For callers
    /// that have stopped calling [`Framer::push`].
    pub fn end_line(&mut self, bytes: &[u8]) -> usize {
        let after_cr = self.after_cr && !bytes.is_empty();
        self.after_cr &= bytes.is_empty();
        if after_cr { self.line_feed_len(bytes, 0) } else { 0 }
    }

    /// 1 if an LF stands at `at`, which a CR right before it makes part of the same line end.
    fn line_feed_len(&self, bytes: &[u8], at: usize) -> usize {
        usize::from(bytes.get(at) == Some(&b'\n'))
    }

    fn keep_partial(&mut self, rest: &[u8]) -> Result<()> {
        check("SSE line", self.partial.len().saturating_add(rest.len()), SSE_LINE_MAX_BYTES)?;
        self.partial.extend_from_slice(rest);
        Ok(())
    }

    /// Takes one complete line; true when it is the blank line that ends an event.
    fn line(
        &mut self,
        bytes: &[u8],
        range: Range<usize>,
        borrowed: &mut Option<Range<usize>>,
    ) -> Result<bool> {
        let length = self.partial.len().saturating_add(range.len());
        check("SSE line", length, SSE_LINE_MAX_BYTES)?;
        self.event_lines = self.event_lines.saturating_add(1);
        check("SSE lines of one event", self.event_lines, SSE_EVENT_MAX_LINES)?;
        self.event_bytes = self.event_bytes.saturating_add(length).saturating_add(1);
        check("SSE event", self.event_bytes, SSE_EVENT_MAX_BYTES)?;

        let piece = bytes.get(range.clone()).unwrap_or_default();
        if self.partial.is_empty() {
            let line = self.strip_mark(piece);
            self.started = true;
            let (name, value) = split_field(line);
            match name {
                b"data" => {
                    let end = range.end;
                    self.add_data(bytes, end.saturating_sub(value.len())..end, borrowed);
                }
                b"event" => replace(&mut self.name, value),
                _ => {}
            }
            return Ok(line.is_empty());
        }
        let mut whole = std::mem::take(&mut self.partial);
        whole.extend_from_slice(piece);
        let line = self.strip_mark(&whole);
        self.started = true;
        let (name, value) = split_field(line);
        match name {
            b"data" => {
                self.own_data(bytes, borrowed);
                self.data.extend_from_slice(value);
            }
            b"event" => replace(&mut self.name, value),
            _ => {}
        }
        let blank = line.is_empty();
        whole.clear();
        whole.shrink_to(KEPT_CAPACITY);
        self.partial = whole;
        Ok(blank)
    }

    /// Adds a `data` value that lies in `bytes`.
    fn add_data(&mut self, bytes: &[u8], value: Range<usize>, borrowed: &mut Option<Range<usize>>) {
        if self.has_data {
            self.own_data(bytes, borrowed);
            self.data.extend_from_slice(bytes.get(value).unwrap_or_default());
        } else {
            self.has_data = true;
            *borrowed = Some(value);
        }
    }

    /// Makes room for another `data` value: what is borrowed becomes owned, and a second value is parted by LF.
    fn own_data(&mut self, bytes: &[u8], borrowed: &mut Option<Range<usize>>) {
        if let Some(value) = borrowed.take().and_then(|range| bytes.get(range)) {
            self.data.extend_from_slice(value);
        }
        if self.has_data {
            self.data.push(b'\n');
        }
        self.has_data = true;
    }

    fn dispatch<F>(
        &mut self,
        bytes: &[u8],
        borrowed: &mut Option<Range<usize>>,
        each: &mut F,
    ) -> ControlFlow<()>
    where
        F: FnMut(Event<'_>) -> ControlFlow<()>,
    {
        let flow = if self.has_data {
            let data = match borrowed.take() {
                Some(range) => bytes.get(range).unwrap_or_default(),
                None => &self.data,
            };
            each(Event { name: &self.name, data })
        } else {
            ControlFlow::Continue(())
        };
        self.data.clear();
        self.data.shrink_to(KEPT_CAPACITY);
        self.name.clear();
        self.has_data = false;
        self.event_bytes = 0;
        self.event_lines = 0;
        flow
    }

    /// The line without a byte order mark, if it is the first.
    fn strip_mark<'a>(&self, line: &'a [u8]) -> &'a [u8] {
        if self.started { line } else { line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line) }
    }
}

fn check(what: &str, found: usize, limit: usize) -> Result<()> {
    if found <= limit {
        return Ok(());
    }
    Err(Error::new(Code::LimitExceeded).at(what).expected(format!("at most {limit}")))
}

fn replace(buffer: &mut Vec<u8>, value: &[u8]) {
    buffer.clear();
    buffer.extend_from_slice(value);
}

/// Name and value of a line. A comment has an empty name, a line without colon is a name with an empty value.
fn split_field(line: &[u8]) -> (&[u8], &[u8]) {
    // The common case, without a search through the whole line.
    if let Some(value) = line.strip_prefix(b"data:") {
        return (b"data", value.strip_prefix(b" ").unwrap_or(value));
    }
    let Some((name, value)) =
        memchr::memchr(b':', line).and_then(|colon| Some((line.get(..colon)?, line.get(colon..)?)))
    else {
        return (line, &[]);
    };
    let value = value.strip_prefix(b":").unwrap_or(value);
    (name, value.strip_prefix(b" ").unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Owned = (String, String);

    fn run(pieces: &[&[u8]]) -> Result<(Vec<Owned>, Option<Vec<u8>>)> {
        let mut framer = Framer::new();
        let mut events = Vec::new();
        for piece in pieces {
            let used = framer.push(piece, |event| {
                events.push((
                    String::from_utf8_lossy(event.name).into_owned(),
                    String::from_utf8_lossy(event.data).into_owned(),
                ));
                ControlFlow::Continue(())
            })?;
            assert_eq!(used, piece.len());
        }
        Ok((events, framer.unfinished_data()))
    }

    /// Bytes, events as name and data, data of the unfinished event.
    type Case = (&'static str, &'static [(&'static str, &'static str)], Option<&'static str>);

    const CASES: &[Case] = &[
        ("data: a\n\ndata: b\n\n", &[("", "a"), ("", "b")], None),
        ("data: a\r\n\r\ndata: b\r\rdata:c\n\r\n", &[("", "a"), ("", "b"), ("", "c")], None),
        ("\u{feff}data: a\n\n\u{feff}data: b\n\n", &[("", "a")], None),
        ("\u{feff}\ndata: a\n\n", &[("", "a")], None),
        ("data:  two spaces\n\n", &[("", " two spaces")], None),
        ("data: a\ndata: b\ndata\n\n", &[("", "a\nb\n")], None),
        ("data:\n\n", &[("", "")], None),
        ("data\n\n", &[("", "")], None),
        ("\n\n: comment\n\n:\n\ndata: x\n\n", &[("", "x")], None),
        (
            "event: message\nid: 7\nretry: 10\nother: x\ndata: a\n\ndata: b\n\n",
            &[("message", "a"), ("", "b")],
            None,
        ),
        ("event: error\n\ndata: a\n\n", &[("", "a")], None),
        ("event: a\nevent: b\ndata: x\n\n", &[("b", "x")], None),
        ("dataset: a\ndat: b\n data: c\nDATA: d\n\n", &[], None),
        ("data: nul \u{0} \u{e9}\n\n", &[("", "nul \u{0} \u{e9}")], None),
        ("data: a\n\ndata: [DONE]", &[("", "a")], Some("[DONE]")),
        ("data: a\n\ndata: [DONE]\n", &[("", "a")], Some("[DONE]")),
        ("data: a\r\n\r\ndata:[DONE]\r", &[("", "a")], Some("[DONE]")),
        ("data: a\ndata: b", &[], Some("a\nb")),
        ("data: a\n: comment", &[], Some("a")),
        ("\u{feff}data: a", &[], Some("a")),
        ("", &[], None),
        ("\r\n", &[], None),
    ];

    #[test]
    fn cases_in_every_chunking() {
        for (text, events, unfinished) in CASES {
            let bytes = text.as_bytes();
            let expected: Vec<Owned> =
                events.iter().map(|(name, data)| ((*name).to_owned(), (*data).to_owned())).collect();
            let unfinished = unfinished.map(|text| text.as_bytes().to_vec());
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(run(&single).unwrap(), (expected.clone(), unfinished.clone()), "{text:?} by bytes");
            for cut in 0..=bytes.len() {
                let (head, tail) = bytes.split_at(cut);
                let found = run(&[head, &[], tail]).unwrap();
                assert_eq!(found, (expected.clone(), unfinished.clone()), "{text:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn breaking_leaves_the_rest() {
        for (text, rest) in
            [("data: 1\n\nrest", "rest"), ("data: 1\r\n\r\nrest", "rest"), ("data: 1\r\r", "")]
        {
            let mut framer = Framer::new();
            let used = framer.push(text.as_bytes(), |_| ControlFlow::Break(())).unwrap();
            assert_eq!(&text[used..], rest);
            assert_eq!(framer.end_line(b""), 0);
            assert_eq!(framer.end_line(b"\n"), usize::from(text.ends_with('\r')));
            assert_eq!(framer.end_line(b"\n"), 0);
        }
    }

    /// The same error, after the same events, however the bytes arrive.
    #[test]
    fn limits() {
        let good = "data: first\n\n";
        let line_max = SSE_LINE_MAX_BYTES;
        let long_line = format!("data: {}\n\n", "x".repeat(line_max - 6));
        let data_lines = |count: usize| format!("{}\n", "data:\n".repeat(count));
        let big_event =
            |lines: usize| format!("{}\n", format!(":{}\n", "x".repeat(line_max - 2)).repeat(lines));
        let cases: Vec<(String, Option<&str>)> = vec![
            (long_line.clone(), None),
            (format!("x{long_line}"), Some("SSE line")),
            ("y".repeat(line_max), None),
            ("y".repeat(line_max + 1), Some("SSE line")),
            (data_lines(SSE_EVENT_MAX_LINES - 1), None),
            (data_lines(SSE_EVENT_MAX_LINES), Some("SSE lines of one event")),
            (":\n".repeat(SSE_EVENT_MAX_LINES + 1), Some("SSE lines of one event")),
            (":\n\n".repeat(SSE_EVENT_MAX_LINES + 1), None),
            ("\n".repeat(100_000), None),
            (big_event(3), None),
            (big_event(5), Some("SSE event")),
        ];
        for (text, limit) in &cases {
            let text = format!("{good}{text}");
            for size in [text.len(), 4_099] {
                let mut framer = Framer::new();
                let mut count = 0;
                let mut result = Ok(0);
                for piece in text.as_bytes().chunks(size) {
                    result = framer.push(piece, |_| {
                        count += 1;
                        ControlFlow::Continue(())
                    });
                    if result.is_err() {
                        break;
                    }
                }
                assert!(count >= 1);
                let found = result.map_err(|error| (error.code(), error.check().map(str::to_owned)));
                match limit {
                    None => assert!(found.is_ok()),
                    Some(limit) => {
                        assert_eq!(found.unwrap_err(), (Code::LimitExceeded, Some((*limit).to_owned())));
                    }
                }
            }
        }
    }

    #[test]
    fn buffers_shrink_after_a_large_event() {
        let mut framer = Framer::new();
        let event = format!("data: {}\n\n", "x".repeat(SSE_LINE_MAX_BYTES - 6));
        for piece in event.as_bytes().chunks(1000) {
            framer.push(piece, |_| ControlFlow::Continue(())).unwrap();
        }
        assert!(framer.partial.capacity() + framer.data.capacity() <= 2 * KEPT_CAPACITY);
    }

    proptest::proptest! {
        /// Any bytes in any chunking give the same events (threats section 6, property).
        #[test]
        fn chunking_does_not_matter(
            lines in proptest::collection::vec("(data|data:|data: |event: |: |id|x)?[a-c\u{feff}\u{e9} :]{0,4}(\n|\r|\r\n|\n\n|\r\n\r\n)?", 0..12),
            sizes in proptest::collection::vec(1usize..9, 1..20),
        ) {
            let text = lines.concat();
            let bytes = text.as_bytes();
            let mut pieces = Vec::new();
            let mut rest = bytes;
            for size in sizes.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (head, tail) = rest.split_at((*size).min(rest.len()));
                pieces.push(head);
                rest = tail;
            }
            proptest::prop_assert_eq!(run(&pieces).unwrap(), run(&[bytes]).unwrap());
        }
    }
}
