//! Reads the heads of the requests on a connection beside the HTTP library, for what readers before or behind this proxy could understand
//! differently: two lengths of a body, or lines that end in LF alone (threats T54; RFC 9112 sections 2.2 and 6.3). The library would take one
//! of two lengths and leave the other out, so that nothing of it is left to be seen in the request.
//!
//! Heads are found by the lengths of the bodies before them. The end of a body in chunks is not looked for: such a request has to be the last one
//! of its connection, for which the server sees.

use super::server::HEAD_MAX_BYTES;

/// All heads of one connection, as far as they came.
#[derive(Debug, Default)]
pub(super) struct Heads {
    place: Place,
    /// What came of the head's current line.
    line: Vec<u8>,
    /// Bytes of the head.
    bytes: usize,
    /// The request line was there.
    begun: bool,
    /// Fields that say how long the body is.
    lengths: u32,
    /// What they say.
    body: Body,
    doubtful: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Place {
    #[default]
    Head,
    /// So many bytes before the next head.
    Body(u64),
    /// Nothing that comes is a head.
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Body {
    Bytes(u64),
    Chunks,
}

impl Default for Body {
    fn default() -> Body {
        Body::Bytes(0)
    }
}

impl Heads {
    /// True once a head could be understood in two ways. It stays true.
    pub(super) const fn is_doubtful(&self) -> bool {
        self.doubtful
    }

    /// Takes the next bytes of the connection, cut anywhere.
    pub(super) fn look(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.place {
                Place::Over => return,
                Place::Body(left) => {
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    bytes = bytes.get(here..).unwrap_or_default();
                    let left = left.saturating_sub(u64::try_from(here).unwrap_or(u64::MAX));
                    self.place = if left == 0 { Place::Head } else { Place::Body(left) };
                }
                Place::Head => bytes = self.take_line(bytes),
            }
        }
    }

    /// Takes bytes of a head up to the end of a line, and gives the rest.
    fn take_line<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let (here, rest) = match end.and_then(|end| bytes.split_at_checked(end.saturating_add(1))) {
            Some(parts) => parts,
            None => (bytes, &[][..]),
        };
        self.bytes = self.bytes.saturating_add(here.len());
        if self.bytes > HEAD_MAX_BYTES {
            self.doubt();
            return &[];
        }
        self.line.extend_from_slice(here);
        if end.is_some() {
            let line = std::mem::take(&mut self.line);
            match line.strip_suffix(b"\r\n") {
                Some(line) => self.end_line(line),
                None => self.doubt(),
            }
            self.line = line;
            self.line.clear();
        }
        rest
    }

    fn end_line(&mut self, line: &[u8]) {
        match (line.is_empty(), self.begun) {
            // The library skips empty lines before a request.
            (true, false) => {}
            (true, true) => self.end_head(),
            (false, false) => self.begun = true,
            (false, true) => self.field(line),
        }
    }

    fn field(&mut self, line: &[u8]) {
        let end = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let Some((name, value)) = line.split_at_checked(end) else { return };
        let named = |wanted: &[u8]| name.trim_ascii().eq_ignore_ascii_case(wanted);
        if named(b"transfer-encoding") {
            self.lengths = self.lengths.saturating_add(1);
            self.body = Body::Chunks;
        } else if named(b"content-length") {
            self.lengths = self.lengths.saturating_add(1);
            match decimal(value.get(1..).unwrap_or_default().trim_ascii()) {
                Some(length) => self.body = Body::Bytes(length),
                None => self.doubt(),
            }
        }
    }

    fn end_head(&mut self) {
        if self.lengths > 1 {
            self.doubt();
            return;
        }
        self.place = match self.body {
            Body::Bytes(0) => Place::Head,
            Body::Bytes(length) => Place::Body(length),
            Body::Chunks => Place::Over,
        };
        (self.bytes, self.begun, self.lengths, self.body) = (0, false, 0, Body::default());
    }

    fn doubt(&mut self) {
        self.doubtful = true;
        self.place = Place::Over;
    }
}

/// Digits and nothing else, as the library reads a length.
fn decimal(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether these bytes hold a doubtful head, read at once; reading them in any two pieces, and byte by byte, has to say the same.
    fn doubtful(bytes: &[u8]) -> bool {
        let read = |pieces: &[&[u8]]| {
            let mut heads = Heads::default();
            pieces.iter().for_each(|piece| heads.look(piece));
            heads.is_doubtful()
        };
        let whole = read(&[bytes]);
        for cut in 0..bytes.len() {
            assert_eq!(read(&[&bytes[..cut], &bytes[cut..]]), whole, "cut at {cut}");
        }
        assert_eq!(read(&bytes.chunks(1).collect::<Vec<_>>()), whole);
        whole
    }

    /// T54: two lengths in one head, in any order and spelling, and lines that not everybody takes for lines.
    #[test]
    fn t54_heads() {
        for (head, expected) in [
            ("Content-Length: 1", false),
            ("Transfer-Encoding: chunked", false),
            ("Content-Length: 1\r\nTransfer-Encoding: chunked", true),
            ("transfer-encoding : chunked\r\nHost: a\r\nCONTENT-LENGTH:1", true),
            ("Content-Length: 1\r\nContent-Length: 1", true),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", true),
            ("Content-Length: 1, 1", true),
            ("Content-Length: +1", true),
            ("Content-Length:", true),
            ("Content-Length", true),
            ("Content-Length: 99999999999999999999", true),
            ("X-Content-Length: 1\r\nContent-Length: 1", false),
            ("Host: a\nContent-Length: 1", true),
            ("Host: a", false),
        ] {
            for before in ["", "\r\n", "\r\n\r\n"] {
                let text = format!("{before}POST /content-length: HTTP/1.1\r\n{head}\r\n\r\n");
                assert_eq!(doubtful(text.as_bytes()), expected, "{text:?}");
            }
            for (before, line_end) in [("\n", "\r\n"), ("\n\n", "\r\n"), ("", "\n")] {
                let text = format!("{before}POST / HTTP/1.1{line_end}{head}{line_end}{line_end}");
                assert!(doubtful(text.as_bytes()), "{text:?}");
            }
        }
    }

    /// T54: heads are found behind other requests, and not in their bodies.
    #[test]
    fn t54_requests_one_after_the_other() {
        const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        const BAD: &str =
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
        let post = |body: &str| format!("POST / HTTP/1.1\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        for (bytes, expected) in [
            (format!("{GET}{GET}{}", post("abc")), false),
            (format!("{GET}{BAD}"), true),
            (format!("{}{BAD}", post("abc")), true),
            (format!("{}\r\n{BAD}", post("")), true),
            (format!("{}{}{GET}{BAD}", post("a"), post("\n\n")), true),
            (post(BAD), false),
            (format!("{}{GET}", post(BAD)), false),
        ] {
            assert_eq!(doubtful(bytes.as_bytes()), expected, "{bytes:?}");
        }
    }

    /// A head that does not end takes no more memory than the longest one.
    #[test]
    fn t54_a_head_without_end() {
        for piece in [&b"a"[..], b"\r\n", b"a: b\r\n"] {
            let mut heads = Heads::default();
            heads.look(b"GET / HTTP/1.1\r\n");
            if piece == b"\r\n" {
                heads = Heads::default();
            }
            for _ in 0..=HEAD_MAX_BYTES {
                heads.look(piece);
            }
            assert!(heads.is_doubtful() && heads.line.capacity() <= 2 * HEAD_MAX_BYTES);
        }
    }
}
