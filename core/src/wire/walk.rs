//! Strict reading of JSON text without a tree: one pass by the rules of [`Json::parse`], in which the caller takes what it looks for.
//!
//! Depth and members of one object are bounded as there. Values are not counted: nothing is kept of them, so a long list of numbers costs
//! time in proportion to its bytes, which the caller bounds, and no memory.
//!
//! For answers, of which a few members are wanted and all must be sound: an event of a stream is read in less time than its parts take to
//! decrypt, and a text of megabytes is not copied unless it is kept.

use std::borrow::Cow;
use std::ops::Range;

use super::json::{Json, JsonError};
use super::raw::{decode_pieces, decode_string};
use super::scan::{ScanError, Scanner, string_text};
use crate::limits::{JSON_MAX_DEPTH, JSON_MAX_MEMBERS};

/// Names of so many members are compared with each other; more are sorted at the end, so that work stays bounded (threats T44).
const FEW_MEMBERS: usize = 64;
/// So many names are usual in all objects that are open at once.
const USUAL_NAMES: usize = 16;
/// Digits of a number that is in range without being computed.
const SMALL_NUMBER_DIGITS: usize = 300;

/// Why a text was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalkError {
    /// Not one JSON value.
    Malformed,
    /// An object names a member twice (threats T10, T44).
    DuplicateMember,
    /// Beyond the limit of this name.
    Limit(&'static str),
}

/// A string that was read: valid, with whole surrogate pairs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Text<'a> {
    quoted: &'a str,
    escaped: bool,
}

impl<'a> Text<'a> {
    /// True for a string of no characters.
    pub const fn is_empty(self) -> bool {
        self.quoted.len() <= 2
    }

    /// What it stands for; borrowed without escapes.
    pub fn decode(self) -> Cow<'a, str> {
        if !self.escaped {
            let inner = self.quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            return Cow::Borrowed(inner.unwrap_or_default());
        }
        // It was checked; half a pair is not in it.
        Cow::Owned(decode_string(self.quoted).map(|mut text| std::mem::take(&mut *text)).unwrap_or_default())
    }
}

/// Reads one JSON value after the other out of a text.
pub struct Walker<'a> {
    text: &'a str,
    scanner: Scanner<'a>,
    depth: usize,
    /// Of all objects that are open.
    names: Vec<Cow<'a, str>>,
}

impl<'a> Walker<'a> {
    /// Starts at the first value, which stands inside `outer` containers.
    pub fn inside(outer: usize, text: &'a str) -> Walker<'a> {
        let mut scanner = Scanner::new(text, 0);
        scanner.skip_space();
        Walker { text, scanner, depth: outer, names: Vec::new() }
    }

    /// First byte of the value that is next.
    pub fn peek(&self) -> Option<u8> {
        self.scanner.peek()
    }

    /// Nothing but space may follow.
    pub fn end(mut self) -> Result<(), WalkError> {
        Ok(self.scanner.end()?)
    }

    fn enter(&mut self, bracket: u8) -> Result<(), WalkError> {
        self.depth = self.depth.saturating_add(1);
        if self.depth > JSON_MAX_DEPTH {
            return Err(WalkError::Limit("depth of nesting"));
        }
        self.scanner.take(bracket)?;
        self.scanner.skip_space();
        Ok(())
    }

    fn leave(&mut self, bracket: u8) -> Result<(), WalkError> {
        self.scanner.take(bracket)?;
        self.depth = self.depth.saturating_sub(1);
        Ok(())
    }

    /// True when another value follows in this container.
    fn follows(&mut self) -> bool {
        self.scanner.skip_space();
        let follows = self.scanner.take(b',').is_ok();
        self.scanner.skip_space();
        follows
    }

    fn slice(&self, span: Range<usize>) -> Result<&'a str, WalkError> {
        self.text.get(span).ok_or(WalkError::Malformed)
    }

    /// Reads an array; `element` must read one value each time.
    pub fn array(
        &mut self,
        mut element: impl FnMut(&mut Walker<'a>) -> Result<(), WalkError>,
    ) -> Result<(), WalkError> {
        self.enter(b'[')?;
        if self.peek() != Some(b']') {
            loop {
                element(self)?;
                if !self.follows() {
                    break;
                }
            }
        }
        self.leave(b']')
    }

    /// Reads an object; `member` is given each name and must read one value.
    pub fn object(
        &mut self,
        mut member: impl FnMut(&mut Walker<'a>, &str) -> Result<(), WalkError>,
    ) -> Result<(), WalkError> {
        self.enter(b'{')?;
        let base = self.names.len();
        if self.peek() != Some(b'}') {
            if self.names.capacity() == 0 {
                self.names.reserve(USUAL_NAMES);
            }
            loop {
                let span = self.scanner.name()?;
                let name = string_text(self.slice(span)?).ok_or(WalkError::Malformed)?;
                self.note(base, name.clone())?;
                member(self, &name)?;
                if !self.follows() {
                    break;
                }
            }
            self.check_many(base)?;
            self.names.truncate(base);
        }
        self.leave(b'}')
    }

    fn note(&mut self, base: usize, name: Cow<'a, str>) -> Result<(), WalkError> {
        let others = self.names.get(base..).unwrap_or_default();
        if others.len() >= JSON_MAX_MEMBERS {
            return Err(WalkError::Limit("members of an object"));
        }
        if others.len() < FEW_MEMBERS && others.contains(&name) {
            return Err(WalkError::DuplicateMember);
        }
        self.names.push(name);
        Ok(())
    }

    fn check_many(&mut self, base: usize) -> Result<(), WalkError> {
        let names = self.names.get_mut(base..).unwrap_or_default();
        if names.len() > FEW_MEMBERS {
            names.sort_unstable();
            if names.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
                return Err(WalkError::DuplicateMember);
            }
        }
        Ok(())
    }

    /// Reads any value; gives it if it is a string.
    pub fn text(&mut self) -> Result<Option<Text<'a>>, WalkError> {
        if self.peek() == Some(b'"') { self.string().map(Some) } else { self.skip().map(|()| None) }
    }

    fn string(&mut self) -> Result<Text<'a>, WalkError> {
        let start = self.scanner.at();
        let escapes = self.scanner.string_escapes()?;
        let quoted = self.slice(start..self.scanner.at())?;
        if escapes.surrogates {
            decode_pieces(quoted, |_| {})?;
        }
        Ok(Text { quoted, escaped: escapes.any })
    }

    /// Reads any value; gives it if it is a non-negative integer of 64 bits without fraction and exponent.
    pub fn integer(&mut self) -> Result<Option<u64>, WalkError> {
        let start = self.scanner.at();
        let is_number = self.peek().is_some_and(|first| first.is_ascii_digit());
        self.skip()?;
        let raw = self.slice(start..self.scanner.at())?;
        Ok(raw.parse().ok().filter(|_| is_number))
    }

    /// Reads any value.
    pub fn skip(&mut self) -> Result<(), WalkError> {
        match self.peek() {
            Some(b'{') => self.object(|walker, _| walker.skip()),
            Some(b'[') => self.array(Walker::skip),
            Some(b'"') => self.string().map(|_| ()),
            _ => self.scalar(),
        }
    }

    fn scalar(&mut self) -> Result<(), WalkError> {
        let span = self.scanner.value(0)?;
        let raw = self.slice(span)?;
        let is_number = raw.starts_with(|c: char| c == '-' || c.is_ascii_digit());
        if is_number && (raw.len() > SMALL_NUMBER_DIGITS || raw.contains(['e', 'E'])) {
            // It can be out of range.
            Json::parse(raw.as_bytes())?;
        }
        Ok(())
    }
}

impl From<ScanError> for WalkError {
    fn from(error: ScanError) -> WalkError {
        match error {
            ScanError::Malformed => WalkError::Malformed,
            ScanError::TooDeep => WalkError::Limit("depth of nesting"),
        }
    }
}

impl From<JsonError> for WalkError {
    fn from(error: JsonError) -> WalkError {
        match error {
            JsonError::Malformed => WalkError::Malformed,
            JsonError::DuplicateMember => WalkError::DuplicateMember,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::JSON_MAX_VALUES;

    fn walk(text: &str) -> Result<(), WalkError> {
        let mut walker = Walker::inside(0, text);
        walker.skip()?;
        walker.end()
    }

    fn agrees(text: &str) {
        let (ours, theirs) = (walk(text), Json::parse(text.as_bytes()));
        assert_eq!(ours.is_ok(), theirs.is_ok(), "{text:.200}");
    }

    /// Threats T10, T44: accepts what the parser accepts and nothing else, also when any byte is another one.
    #[test]
    fn as_strict_as_the_parser() {
        let deep = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        let members = |count: usize, last: usize| {
            let members: Vec<String> = (0..count).map(|i| format!("\"{i}\":0")).collect();
            format!("{{{},\"{last}\":1}}", members.join(","))
        };
        let values = |count: usize| format!("[0{}]", ",0".repeat(count - 2));
        let texts = [
            deep(JSON_MAX_DEPTH),
            deep(JSON_MAX_DEPTH + 1),
            members(63, 63),
            members(63, 62),
            members(64, 0),
            members(200, 200),
            members(200, 77),
            members(JSON_MAX_MEMBERS - 1, JSON_MAX_MEMBERS),
            members(JSON_MAX_MEMBERS, JSON_MAX_MEMBERS),
            values(JSON_MAX_VALUES),
            "9".repeat(308),
            "9".repeat(309),
            "9".repeat(310),
            format!("0.{}", "1".repeat(1000)),
        ];
        texts.iter().for_each(|text| agrees(text));
        let seeds = [
            "[{\"index\":0,\"delta\":{\"content\":\" caf\\u00e9 \\ud83d\\ude00\"},\"finish_reason\":null}]",
            " { \"a\" : [ 1 , -0.5e3, true,false ,null,\"x\\n\\\"\" ] , \"b\" : { } ,\"\\u0063\":[ ] } ",
            "{\"a\":{\"b\":1,\"c\":2},\"b\":{\"b\":1,\"a\":2}}",
            "[1e308,1E309,-1e-999,-0,0.0,10,\"\\ud800\"]",
        ];
        for seed in seeds {
            agrees(seed);
            for at in 0..seed.len() {
                agrees(&seed[..at]);
                for byte in b"\0 \t\"\\/{}[],:-+.0159aAbBcdDeEfnlrtuU" {
                    let mut bytes = seed.as_bytes().to_vec();
                    bytes[at] = *byte;
                    agrees(std::str::from_utf8(&bytes).unwrap());
                }
            }
        }
    }

    /// Threats T44: what is bounded is named; the number of values is not, because nothing is kept of them.
    #[test]
    fn limits_by_name() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let members = |count: usize| {
            let members: Vec<String> = (0..count).map(|i| format!("\"{i}\":0")).collect();
            format!("{{{}}}", members.join(","))
        };
        let cases = [
            (nested(JSON_MAX_DEPTH), Ok(())),
            (nested(JSON_MAX_DEPTH + 1), Err(WalkError::Limit("depth of nesting"))),
            (members(JSON_MAX_MEMBERS), Ok(())),
            (members(JSON_MAX_MEMBERS + 1), Err(WalkError::Limit("members of an object"))),
            (format!("[0{}]", ",0".repeat(JSON_MAX_VALUES * 4)), Ok(())),
        ];
        for (text, expected) in cases {
            assert_eq!(walk(&text), expected, "{text:.60}");
        }
    }

    #[test]
    fn values_are_handed_out() {
        let text = " {\"a\":\"x\\n\",\"b\":7,\"c\":[\"y\",1.0,-1,{}],\"d\":18446744073709551616} ";
        let (mut texts, mut integers) = (Vec::new(), Vec::new());
        let mut walker = Walker::inside(0, text);
        let read = walker.object(|walker, name| {
            match name {
                "a" => texts.push(walker.text()?.unwrap().decode().into_owned()),
                "c" => walker.array(|walker| {
                    texts.extend(walker.text()?.map(|text| text.decode().into_owned()));
                    Ok(())
                })?,
                _ => integers.push(walker.integer()?),
            }
            Ok(())
        });
        assert_eq!(read, Ok(()));
        assert_eq!(walker.end(), Ok(()));
        assert_eq!((texts.join("|").as_str(), integers.as_slice()), ("x\n|y", [Some(7), None].as_slice()));
    }
}
