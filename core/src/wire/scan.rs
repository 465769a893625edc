//! One pass over JSON text that checks its grammar and says where values begin and end. Nothing is copied, decoded or kept.
//!
//! For bodies of many megabytes of which only the top level matters: a string is looked at in blocks of 64 bytes, containers are one bit
//! each. Duplicates inside nested objects are not looked for, and escapes of half a surrogate pair pass, as in RFC 8259.

use std::borrow::Cow;
use std::ops::Range;

use super::raw::decode_string;
use crate::limits::JSON_MAX_DEPTH;

/// Why a text was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanError {
    /// Not one JSON value.
    Malformed,
    /// Nested deeper than [`JSON_MAX_DEPTH`].
    TooDeep,
}

/// Checks that `text` is one JSON value, white space around it allowed, when it stands inside `outer` containers.
pub fn check(text: &str, outer: usize) -> Result<(), ScanError> {
    let mut scanner = Scanner::new(text, 0);
    scanner.skip_space();
    scanner.value(outer)?;
    scanner.end()
}

/// Gives the name (with its quotes) and the value of each member of the object that `text` is, as written. Returns where its closing
/// brace is, in bytes.
pub fn each_member<'a>(
    text: &'a str,
    outer: usize,
    mut member: impl FnMut(&'a str, Range<usize>),
) -> Result<usize, ScanError> {
    let inner = deeper(outer)?;
    let mut scanner = Scanner::new(text, 0);
    scanner.skip_space();
    scanner.take(b'{')?;
    scanner.skip_space();
    if scanner.peek() != Some(b'}') {
        loop {
            let name = scanner.name()?;
            let value = scanner.value(inner)?;
            member(text.get(name).ok_or(ScanError::Malformed)?, value);
            scanner.skip_space();
            if scanner.take(b',').is_err() {
                break;
            }
            scanner.skip_space();
        }
    }
    let close = scanner.at;
    scanner.take(b'}')?;
    scanner.end().map(|()| close)
}

/// Gives each element of the array that `text` is, as written. Returns where its closing bracket is, in bytes.
pub fn each_element(
    text: &str,
    outer: usize,
    mut element: impl FnMut(Range<usize>),
) -> Result<usize, ScanError> {
    let inner = deeper(outer)?;
    let mut scanner = Scanner::new(text, 0);
    scanner.skip_space();
    scanner.take(b'[')?;
    scanner.skip_space();
    if scanner.peek() != Some(b']') {
        loop {
            element(scanner.value(inner)?);
            scanner.skip_space();
            if scanner.take(b',').is_err() {
                break;
            }
            scanner.skip_space();
        }
    }
    let close = scanner.at;
    scanner.take(b']')?;
    scanner.end().map(|()| close)
}

/// What a name or string with its quotes stands for; borrowed when it has no escapes. `None` for half a surrogate pair.
pub fn string_text(quoted: &str) -> Option<Cow<'_, str>> {
    let inner = quoted.strip_prefix('"')?.strip_suffix('"')?;
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Some(Cow::Borrowed(inner));
    }
    decode_string(quoted).ok().map(|text| Cow::Owned(text.as_str().to_owned()))
}

fn deeper(outer: usize) -> Result<usize, ScanError> {
    let inner = outer.saturating_add(1);
    if inner > JSON_MAX_DEPTH { Err(ScanError::TooDeep) } else { Ok(inner) }
}

// One bit for each open container.
const _: () = assert!(JSON_MAX_DEPTH <= 64);

/// The containers that are open inside a value.
#[derive(Default)]
struct Open {
    /// The innermost is the lowest bit: 1 for an object.
    objects: u64,
    count: usize,
}

impl Open {
    fn push(&mut self, is_object: bool, outer: usize) -> Result<(), ScanError> {
        self.count = self.count.saturating_add(1);
        if outer.saturating_add(self.count) > JSON_MAX_DEPTH {
            return Err(ScanError::TooDeep);
        }
        self.objects = (self.objects << 1) | u64::from(is_object);
        Ok(())
    }

    fn pop(&mut self) {
        self.count = self.count.saturating_sub(1);
        self.objects >>= 1;
    }

    fn in_object(&self) -> bool {
        self.objects & 1 == 1
    }
}

/// Escapes in a string.
#[derive(Clone, Copy, Default)]
pub(super) struct Escapes {
    /// There are some.
    pub any: bool,
    /// One may be half a surrogate pair.
    pub surrogates: bool,
}

pub(super) struct Scanner<'a> {
    bytes: &'a [u8],
    /// Only ever grows.
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str, at: usize) -> Scanner<'a> {
        Scanner { bytes: text.as_bytes(), at }
    }

    /// Bytes that were read.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    fn step(&mut self, count: usize) {
        work::add(count);
        self.at = self.at.saturating_add(count);
    }

    pub(super) fn take(&mut self, byte: u8) -> Result<(), ScanError> {
        if self.peek() != Some(byte) {
            return Err(ScanError::Malformed);
        }
        self.step(1);
        Ok(())
    }

    #[inline]
    pub(super) fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.step(1);
        }
    }

    pub(super) fn end(&mut self) -> Result<(), ScanError> {
        self.skip_space();
        if self.peek().is_none() { Ok(()) } else { Err(ScanError::Malformed) }
    }

    /// Skips a member's name, the colon after it and the space around that; gives the name with its quotes.
    pub(super) fn name(&mut self) -> Result<Range<usize>, ScanError> {
        let start = self.at;
        self.string()?;
        let name = start..self.at;
        self.skip_space();
        self.take(b':')?;
        self.skip_space();
        Ok(name)
    }

    /// Skips one value that stands inside `outer` containers.
    pub(super) fn value(&mut self, outer: usize) -> Result<Range<usize>, ScanError> {
        let start = self.at;
        let mut open = Open::default();
        loop {
            if self.begins(&mut open, outer)? {
                continue;
            }
            loop {
                if open.count == 0 {
                    return Ok(start..self.at);
                }
                self.skip_space();
                match self.peek() {
                    Some(b',') => {
                        self.step(1);
                        self.skip_space();
                        if open.in_object() {
                            self.name()?;
                        }
                        break;
                    }
                    Some(b'}') if open.in_object() => {}
                    Some(b']') if !open.in_object() => {}
                    _ => return Err(ScanError::Malformed),
                }
                self.step(1);
                open.pop();
            }
        }
    }

    /// Skips a scalar or an empty container, or enters a container (true): then its first value is next.
    #[inline]
    fn begins(&mut self, open: &mut Open, outer: usize) -> Result<bool, ScanError> {
        match self.peek() {
            Some(b'{') => {
                open.push(true, outer)?;
                self.step(1);
                self.skip_space();
                if self.peek() != Some(b'}') {
                    return self.name().map(|_| true);
                }
                self.step(1);
                open.pop();
            }
            Some(b'[') => {
                open.push(false, outer)?;
                self.step(1);
                self.skip_space();
                if self.peek() != Some(b']') {
                    return Ok(true);
                }
                self.step(1);
                open.pop();
            }
            Some(b'"') => self.string()?,
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.literal(b"true")?,
            Some(b'f') => self.literal(b"false")?,
            Some(b'n') => self.literal(b"null")?,
            _ => return Err(ScanError::Malformed),
        }
        Ok(false)
    }

    fn literal(&mut self, literal: &[u8]) -> Result<(), ScanError> {
        if !self.rest().starts_with(literal) {
            return Err(ScanError::Malformed);
        }
        self.step(literal.len());
        Ok(())
    }

    #[inline]
    fn string(&mut self) -> Result<(), ScanError> {
        self.take(b'"')?;
        loop {
            self.step(plain_len(self.rest()));
            match self.peek() {
                Some(b'"') => {
                    self.step(1);
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                _ => return Err(ScanError::Malformed),
            }
        }
    }

    /// Skips a string; says what escapes it has.
    pub(super) fn string_escapes(&mut self) -> Result<Escapes, ScanError> {
        let mut escapes = Escapes::default();
        self.take(b'"')?;
        loop {
            self.step(plain_len(self.rest()));
            match self.rest() {
                [b'"', ..] => {
                    self.step(1);
                    return Ok(escapes);
                }
                [b'\\', rest @ ..] => {
                    escapes.any = true;
                    escapes.surrogates |= matches!(rest, [b'u', b'd' | b'D', ..]);
                    self.escape()?;
                }
                _ => return Err(ScanError::Malformed),
            }
        }
    }

    fn escape(&mut self) -> Result<(), ScanError> {
        match self.rest() {
            [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => self.step(2),
            [b'\\', b'u', a, b, c, d, ..] if [a, b, c, d].iter().all(|digit| digit.is_ascii_hexdigit()) => {
                self.step(6);
            }
            _ => return Err(ScanError::Malformed),
        }
        Ok(())
    }

    #[inline]
    fn number(&mut self) -> Result<(), ScanError> {
        if self.peek() == Some(b'-') {
            self.step(1);
        }
        if self.peek() == Some(b'0') {
            self.step(1);
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.step(1);
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.step(1);
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.step(1);
            }
            self.digits()?;
        }
        Ok(())
    }

    /// Skips one digit or more.
    #[inline]
    fn digits(&mut self) -> Result<(), ScanError> {
        let mut at = self.at;
        while self.bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at = at.saturating_add(1);
        }
        let count = at.saturating_sub(self.at);
        self.step(count);
        if count == 0 { Err(ScanError::Malformed) } else { Ok(()) }
    }
}

/// One in each byte of a word.
const ONES: u64 = 0x0101_0101_0101_0101;
/// The highest bit of each byte of a word.
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Sets the highest bit of each byte of a word that ends a run of plain text inside a string: a quote, a backslash, a control character.
/// Exact up to and including the first such byte; behind it a borrow can set more.
const fn special_bits(word: u64) -> u64 {
    let quote = word ^ ONES.wrapping_mul(b'"' as u64);
    let backslash = word ^ ONES.wrapping_mul(b'\\' as u64);
    let below = word.wrapping_sub(ONES.wrapping_mul(0x20)) & !word;
    let equal = (quote.wrapping_sub(ONES) & !quote) | (backslash.wrapping_sub(ONES) & !backslash);
    (below | equal) & HIGH
}

/// Bytes looked at one by one: most strings of an event are shorter.
const FEW_BYTES: usize = 8;
/// Words looked at one by one before blocks pay: prose has an escape every few dozen bytes.
const FEW_WORDS: usize = 16;

const fn is_special(byte: u8) -> bool {
    byte == b'"' || byte == b'\\' || byte < 0x20
}

/// Length of the run of plain text at the start of `bytes`.
#[inline]
pub(super) fn plain_len(bytes: &[u8]) -> usize {
    let few = bytes.iter().take(FEW_BYTES).take_while(|byte| !is_special(**byte)).count();
    if few < FEW_BYTES {
        return few;
    }
    few.saturating_add(plain_run(bytes.get(FEW_BYTES..).unwrap_or_default()))
}

/// The same for longer runs: by words, then by blocks, then by words again.
fn plain_run(bytes: &[u8]) -> usize {
    let (start, rest) = bytes.split_at_checked(FEW_WORDS.saturating_mul(8)).unwrap_or((bytes, &[]));
    let first = plain_words(start);
    if first < start.len() || rest.is_empty() {
        return first;
    }
    let (blocks, _) = rest.as_chunks::<64>();
    // Without branches inside a block, so that the comparisons become vector instructions.
    let hit = |byte: u8| u8::from(byte == b'"') | u8::from(byte == b'\\') | u8::from(byte < 0x20);
    let is_plain = |block: &&[u8; 64]| block.iter().fold(0, |hits, byte| hits | hit(*byte)) == 0;
    let whole = blocks.iter().take_while(is_plain).count().saturating_mul(64);
    let tail = rest.get(whole..).unwrap_or_default();
    first.saturating_add(whole).saturating_add(plain_words(tail))
}

/// The same, eight bytes at a time.
fn plain_words(bytes: &[u8]) -> usize {
    let (words, tail) = bytes.as_chunks::<8>();
    let mut len = 0_usize;
    for word in words {
        let bits = special_bits(u64::from_le_bytes(*word));
        if bits != 0 {
            // At most 7.
            return len.saturating_add(usize::try_from(bits.trailing_zeros() / 8).unwrap_or(0));
        }
        len = len.saturating_add(8);
    }
    len.saturating_add(tail.iter().position(|byte| is_special(*byte)).unwrap_or(tail.len()))
}

/// Counts bytes in the tests of this crate: cost is asserted without a clock.
pub(crate) mod work {
    #[cfg(test)]
    std::thread_local! {
        static BYTES: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
    }

    #[cfg(test)]
    pub(crate) fn add(count: usize) {
        BYTES.with(|bytes| bytes.set(bytes.get().saturating_add(count)));
    }

    #[cfg(not(test))]
    pub(crate) const fn add(_: usize) {}

    /// Bytes that were stepped over since the last call, in this thread.
    #[cfg(test)]
    pub(crate) fn take() -> usize {
        BYTES.with(|bytes| bytes.replace(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_another_parser_accepts() {
        let long = format!("\"{}\"", "x".repeat(100));
        let cut = format!("\"{}\n\"", "x".repeat(50));
        let cases = [
            "{}",
            "[]",
            "0",
            "-0",
            "-1.5e+30",
            "1E5",
            "\"\"",
            "null",
            "true",
            "false",
            " [ 1 , 2 ] ",
            "{\"a\":{\"b\":[{}]},\"c\":[[],[1]]}",
            "\"\\u00e4\\n\\\"\\\\\\/\"",
            "\"\\ud800\"",
            "{\"a\":1,\"a\":2}",
            &long,
            &cut,
            "",
            " ",
            "01",
            "-",
            "+1",
            "1.",
            ".5",
            "1e",
            "1e+",
            "nul",
            "nulll",
            "truefalse",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{\"a\"}",
            "{\"a\":}",
            "{a:1}",
            "{\"a\":1,}",
            "{,}",
            "{\"a\" 1}",
            "[",
            "]",
            "{",
            "}",
            "[}",
            "{]",
            "[1}",
            "{\"a\":1]",
            "\"",
            "\"a",
            "\"\\\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u12g4\"",
            "\"a\tb\"",
            "\"a\u{0}b\"",
            "\u{feff}{}",
            "\u{a0}1",
            "1 2",
            "{} {}",
            "[1]]",
            "//",
            "[1//\n]",
            "'a'",
            "NaN",
            "\"\u{7f}\"",
        ];
        for text in cases {
            let expected = serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok();
            assert_eq!(check(text, 0).is_ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn runs_of_plain_text_end_where_they_should() {
        let special = |byte: u8| byte == b'"' || byte == b'\\' || byte < 0x20;
        for length in [1, 7, 8, 31, 32, 33, 95, 96, 97, 200] {
            for at in 0..length {
                for byte in 0..=255 {
                    let mut bytes = vec![b'a'; length];
                    bytes[at] = byte;
                    let expected = if special(byte) { at } else { length };
                    assert_eq!(plain_len(&bytes), expected, "{byte} at {at} of {length}");
                }
            }
        }
        // What follows the first hit does not matter.
        for pair in [b"\"!", b"\x01!", b"\\]", b"\x1f "] {
            assert_eq!(plain_len(&[b"aa".as_slice(), pair, b"aaaaaaaa"].concat()), 2);
        }
    }

    #[test]
    fn depth_is_bounded() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")] {
            let per = open.matches(['[', '{']).count();
            for depth in [JSON_MAX_DEPTH / per, JSON_MAX_DEPTH / per + 1] {
                let text = format!("{}1{}", open.repeat(depth), close.repeat(depth));
                let expected = if depth * per <= JSON_MAX_DEPTH { Ok(()) } else { Err(ScanError::TooDeep) };
                assert_eq!(check(&text, 0), expected, "{depth} {open}");
            }
        }
        // A bomb is refused where the bound is passed, not at its end.
        work::take();
        assert_eq!(check(&"[".repeat(1 << 20), 0), Err(ScanError::TooDeep));
        assert!(work::take() <= JSON_MAX_DEPTH);
        assert_eq!(check("[1]", JSON_MAX_DEPTH), Err(ScanError::TooDeep));
    }

    #[test]
    fn every_byte_is_stepped_over_once() {
        let escapes = format!("[{}]", vec!["\"\\n\\\"\\u0041\""; 3000].join(","));
        let nested = format!("{{\"a\":{}1{}}}", "[".repeat(60), "]".repeat(60));
        for text in [escapes, nested, format!("{{\"a\":\"{}\"}}", "y".repeat(1 << 20)), "9".repeat(1 << 20)] {
            work::take();
            assert_eq!(check(&text, 0), Ok(()));
            assert_eq!(work::take(), text.len());
        }
    }

    #[test]
    fn members_and_elements_as_written() {
        let text = " { \"a\" : [ 1 ] , \"\\u0062\":\"x\" } ";
        let mut seen = Vec::new();
        let close = each_member(text, 0, |name, value| seen.push((name, &text[value]))).unwrap();
        assert_eq!(
            (seen.as_slice(), &text[close..]),
            ([("\"a\"", "[ 1 ]"), ("\"\\u0062\"", "\"x\"")].as_slice(), "} ")
        );
        let text = "[ {} ,\"a\", 3 ]";
        let mut seen = Vec::new();
        let close = each_element(text, 0, |value| seen.push(&text[value])).unwrap();
        assert_eq!((seen.as_slice(), &text[close..]), (["{}", "\"a\"", "3"].as_slice(), "]"));
        for text in ["[1]", "{\"a\":1,}", "{\"a\":1", "{\"a\":1}}", "1"] {
            assert_eq!(each_member(text, 0, |_, _| {}), Err(ScanError::Malformed), "{text}");
        }
        for text in ["{}", "[1,]", "[1", "[1]]", "1"] {
            assert_eq!(each_element(text, 0, |_| {}), Err(ScanError::Malformed), "{text}");
        }
    }

    #[test]
    fn names_are_decoded() {
        assert!(matches!(string_text("\"a\""), Some(Cow::Borrowed("a"))));
        assert_eq!(string_text("\"\\u006dodel\"").as_deref(), Some("model"));
        assert_eq!(string_text("\"\\ud800\""), None);
    }
}
