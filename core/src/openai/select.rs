//! The top level of a JSON body: its members as written, the order in which they are sealed or opened, and the body again with some
//! values replaced (protocols/privatemode.md 6.2).
//!
//! A value is never decoded, copied or looked into. The order is that of the names, bytewise, where `.`, `?` and `*` count as two
//! bytes each (a backslash and themselves), and of array indices as text. Does not know which members are replaced, nor with what.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Range;

use zeroize::Zeroizing;

use crate::error::{Code, Error, Result, cleaned};
use crate::limits::{JSON_MAX_MEMBERS, JSON_MAX_VALUES};
use crate::secret::wipe;
use crate::wire::json::write_string;
use crate::wire::scan::{self, ScanError};

/// Longest name of a member that an error shows, in bytes.
const SHOWN_NAME_BYTES: usize = 64;

/// The name of a member as an error may show it: at most 64 printable characters.
pub fn shown_name(name: &str) -> String {
    cleaned(name, SHOWN_NAME_BYTES)
}

/// What a body is at its top level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// No bytes, or white space only.
    Empty,
    /// An object.
    Object,
    /// An array; its members are named by their index.
    Array,
    /// Any other value.
    Scalar,
}

/// Why a body was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// Not one JSON value, or a name with half a surrogate pair.
    Malformed,
    /// More containers in each other, members or elements than the named limit.
    Limit(&'static str),
    /// Two members of this name.
    Duplicate(String),
}

impl BodyError {
    /// As a mistake of the caller: `malformed_request`, `limit_exceeded`, `duplicate_member`.
    pub fn in_request(self) -> Error {
        match self {
            BodyError::Malformed => Error::new(Code::MalformedRequest),
            BodyError::Limit(limit) => Error::new(Code::LimitExceeded).at(limit),
            BodyError::Duplicate(name) => Error::new(Code::DuplicateMember).at(shown_name(&name)),
        }
    }

    /// As a fault of an answer: `malformed_response`, `limit_exceeded`.
    pub fn in_answer(self) -> Error {
        match self {
            BodyError::Malformed => Error::new(Code::MalformedResponse),
            BodyError::Limit(limit) => Error::new(Code::LimitExceeded).at(limit),
            BodyError::Duplicate(name) => {
                Error::new(Code::MalformedResponse).at(shown_name(&name)).found("the same member twice")
            }
        }
    }
}

impl From<ScanError> for BodyError {
    fn from(error: ScanError) -> BodyError {
        match error {
            ScanError::Malformed => BodyError::Malformed,
            ScanError::TooDeep => BodyError::Limit("depth of nesting"),
        }
    }
}

/// A member of the top level, or an element of a top-level array.
#[derive(Debug)]
struct Member<'a> {
    name: Cow<'a, str>,
    /// Where the value is in the text; empty for an added member.
    span: Range<usize>,
    /// The value that takes its place before anything is sealed.
    set: Option<Zeroizing<String>>,
}

/// A JSON body that stays text.
#[derive(Debug)]
pub struct Document<'a> {
    text: &'a str,
    shape: Shape,
    members: Vec<Member<'a>>,
    /// Members that are in the text; those behind them were added.
    written: usize,
    /// Place of the closing bracket.
    close: usize,
}

impl<'a> Document<'a> {
    /// Reads a body. The grammar of all of it is checked; duplicates are looked for at the top level only, because nothing below it
    /// is ever treated by its name.
    pub fn parse(text: &'a str) -> Result<Document<'a>, BodyError> {
        let mut document =
            Document { text, shape: Shape::Empty, members: Vec::new(), written: 0, close: text.len() };
        match text.bytes().find(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r')) {
            None => {}
            Some(b'{') => document.read_object()?,
            Some(b'[') => document.read_array()?,
            Some(_) => {
                scan::check(text, 0)?;
                document.shape = Shape::Scalar;
            }
        }
        document.written = document.members.len();
        Ok(document)
    }

    fn read_object(&mut self) -> Result<(), BodyError> {
        self.shape = Shape::Object;
        let (members, mut excess, mut fault) = (&mut self.members, false, false);
        self.close = scan::each_member(self.text, 0, |name, span| {
            // The rest is still checked, but nothing more is kept.
            if members.len() >= JSON_MAX_MEMBERS {
                excess = true;
                return;
            }
            match scan::string_text(name) {
                Some(name) => members.push(Member { name, span, set: None }),
                None => fault = true,
            }
        })?;
        match (fault, excess) {
            (true, _) => Err(BodyError::Malformed),
            (_, true) => Err(BodyError::Limit("members of an object")),
            _ => self.refuse_duplicates(),
        }
    }

    fn read_array(&mut self) -> Result<(), BodyError> {
        self.shape = Shape::Array;
        let mut spans = Vec::new();
        let mut excess = false;
        self.close = scan::each_element(self.text, 0, |span| {
            if spans.len() < JSON_MAX_VALUES { spans.push(span) } else { excess = true }
        })?;
        if excess {
            return Err(BodyError::Limit("elements of an array"));
        }
        let member = |(index, span): (usize, Range<usize>)| Member {
            name: Cow::Owned(index.to_string()),
            span,
            set: None,
        };
        self.members = spans.into_iter().enumerate().map(member).collect();
        Ok(())
    }

    fn refuse_duplicates(&self) -> Result<(), BodyError> {
        let mut names: Vec<&str> = self.members.iter().map(|member| member.name.as_ref()).collect();
        names.sort_unstable();
        let twice = names.windows(2).find_map(|pair| match pair {
            [a, b] if a == b => Some((*a).to_owned()),
            _ => None,
        });
        twice.map_or(Ok(()), |name| Err(BodyError::Duplicate(name)))
    }

    /// What the body is.
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// Names in the order of the text; indices of an array.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|member| member.name.as_ref())
    }

    /// The same, given away.
    pub fn into_names(self) -> impl Iterator<Item = Cow<'a, str>> {
        self.members.into_iter().map(|member| member.name)
    }

    /// The value of a member of an object as it will be used.
    pub fn get(&self, name: &str) -> Option<&str> {
        if self.shape != Shape::Object {
            return None;
        }
        self.members.iter().find(|member| member.name == name).map(|member| self.value(member))
    }

    fn value<'s>(&'s self, member: &'s Member<'a>) -> &'s str {
        match &member.set {
            Some(value) => value,
            None => self.text.get(member.span.clone()).unwrap_or_default(),
        }
    }

    /// Gives a member of an object another value, a JSON text; adds it behind the others if there is none.
    pub fn set(&mut self, name: &'static str, value: Zeroizing<String>) {
        if self.shape != Shape::Object {
            return;
        }
        if let Some(member) = self.members.iter_mut().find(|member| member.name == name) {
            member.set = Some(value);
        } else {
            let span = self.close..self.close;
            self.members.push(Member { name: Cow::Borrowed(name), span, set: Some(value) });
        }
    }

    /// The members whose names are not in `plain`, by their place in the text, in the order of their counters.
    fn selected(&self, plain: &[&str]) -> Vec<usize> {
        let is_plain =
            |member: &Member<'_>| self.shape == Shape::Object && plain.contains(&member.name.as_ref());
        let mut order: Vec<usize> =
            self.members.iter().enumerate().filter(|(_, member)| !is_plain(member)).map(|(i, _)| i).collect();
        let name = |place: &usize| self.members.get(*place).map_or("", |member| member.name.as_ref());
        order.sort_by(|a, b| compare_names(name(a), name(b)));
        order
    }

    /// Names of the members that are not in `plain`, in the order of their counters.
    pub fn selected_names(&self, plain: &[&str]) -> Vec<&str> {
        self.selected(plain)
            .into_iter()
            .filter_map(|place| self.members.get(place))
            .map(|m| m.name.as_ref())
            .collect()
    }

    /// Appends the body to `out` with every value whose name is not in `plain` replaced, in place: all else stays as it is written.
    ///
    /// `replace` is called once for each such value, in the order of the counters, with the name and the raw text of the value, and
    /// appends what takes its place. `size` says how many bytes that will be for a raw text of so many; a wrong size is `internal`.
    /// The largest value is written to where it belongs; the others pass through a buffer.
    pub fn rewrite(
        &self,
        plain: &[&str],
        size: impl Fn(usize) -> usize,
        mut replace: impl FnMut(&str, &str, &mut Vec<u8>) -> Result<()>,
        out: &mut Vec<u8>,
    ) -> Result<Rewritten> {
        let order = self.selected(plain);
        let mut places: Vec<Place> = vec![Place::AsWritten; self.members.len()];
        let mut total = self.text.len();
        for place in &order {
            let Some(member) = self.members.get(*place) else { continue };
            if let Some(kept) = places.get_mut(*place) {
                *kept = Place::Awaited(size(self.value(member).len()));
            }
            total = total.saturating_add(size(self.value(member).len())).saturating_add(member.name.len());
        }
        out.reserve(total.saturating_sub(self.replaced_bytes(&order)));

        let mut work = Rewrite {
            document: self,
            out,
            places,
            spans: vec![0..0; self.members.len()],
            gaps: Vec::new(),
            buffer: Buffer::default(),
        };
        let largest =
            order.iter().enumerate().max_by_key(|(_, place)| self.len_at(**place)).map(|(at, _)| at);
        let (before, rest) = order.split_at_checked(largest.unwrap_or(0)).unwrap_or_default();
        for place in before {
            work.make_early(*place, &mut replace)?;
        }
        let mut next = 0;
        if let Some((largest, after)) = rest.split_first() {
            next = work.write_up_to(next, *largest)?;
            work.in_place(*largest, &mut replace)?;
            next = next.saturating_add(1);
            for place in after {
                work.make_early(*place, &mut replace)?;
            }
        }
        work.write_up_to(next, self.members.len())?;
        work.fill_gaps()?;
        work.write_end();
        Ok(Rewritten { replaced: order, spans: work.spans })
    }

    fn len_at(&self, place: usize) -> usize {
        self.members.get(place).map_or(0, |member| self.value(member).len())
    }

    /// Bytes of the text that do not appear in the result.
    fn replaced_bytes(&self, order: &[usize]) -> usize {
        order
            .iter()
            .filter_map(|place| self.members.get(*place))
            .fold(0, |sum, m| sum.saturating_add(m.span.len()))
    }

    /// The body as it is, with the values that were set.
    pub fn to_text(&self) -> Result<Zeroizing<String>> {
        let mut out = Vec::new();
        let names: Vec<&str> = self.names().collect();
        if self.shape == Shape::Object {
            self.rewrite(&names, |_| 0, |_, _, _| Ok(()), &mut out)?;
        } else {
            out.extend_from_slice(self.text.as_bytes());
        }
        String::from_utf8(out).map(Zeroizing::new).map_err(|_| Error::new(Code::Internal))
    }
}

/// What [`Document::rewrite`] did.
#[derive(Debug)]
pub struct Rewritten {
    replaced: Vec<usize>,
    /// Of each member's value in the output, from the start of the buffer.
    spans: Vec<Range<usize>>,
}

impl Rewritten {
    /// How many values were replaced.
    pub fn replaced(&self) -> usize {
        self.replaced.len()
    }

    /// Where each replaced value now is in the output, with its place among the members, in the order of the counters.
    pub fn replaced_spans(&self) -> impl Iterator<Item = (usize, Range<usize>)> {
        self.replaced.iter().filter_map(|place| Some((*place, self.spans.get(*place)?.clone())))
    }

    /// Where each member's value now is in the output, in the order of the text.
    pub fn spans(&self) -> &[Range<usize>] {
        &self.spans
    }
}

/// Where the new value of a member is.
#[derive(Clone, Debug)]
enum Place {
    /// It is not replaced.
    AsWritten,
    /// Not made yet; the bytes that it will have.
    Awaited(usize),
    /// In the buffer.
    Buffered(Range<usize>),
}

/// Values that were made before their turn. Wiped, because they can be opened ones.
#[derive(Default)]
struct Buffer(Vec<u8>);

impl Drop for Buffer {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

struct Rewrite<'w, 'a> {
    document: &'w Document<'a>,
    out: &'w mut Vec<u8>,
    places: Vec<Place>,
    spans: Vec<Range<usize>>,
    /// Members whose space was left free.
    gaps: Vec<usize>,
    buffer: Buffer,
}

impl<'w> Rewrite<'w, '_> {
    fn member(&self, place: usize) -> Option<(&'w str, &'w str)> {
        let document = self.document;
        document.members.get(place).map(|member| (member.name.as_ref(), document.value(member)))
    }

    fn make_early(
        &mut self,
        place: usize,
        replace: &mut impl FnMut(&str, &str, &mut Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        let Some((name, value)) = self.member(place) else { return Ok(()) };
        let Some(slot) = self.places.get_mut(place) else { return Ok(()) };
        // All at once: growing would leave pieces behind that are not wiped.
        let wanted = if let Place::Awaited(bytes) = slot { *bytes } else { 0 };
        grow(&mut self.buffer.0, wanted);
        let start = self.buffer.0.len();
        replace(name, value, &mut self.buffer.0)?;
        *slot = Place::Buffered(start..self.buffer.0.len());
        Ok(())
    }

    fn in_place(
        &mut self,
        place: usize,
        replace: &mut impl FnMut(&str, &str, &mut Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        let Some((name, value)) = self.member(place) else { return Ok(()) };
        self.write_lead(place);
        let start = self.out.len();
        replace(name, value, self.out)?;
        self.note(place, start);
        Ok(())
    }

    /// Writes the members from `next` to the one before `end`, with what stands before each.
    fn write_up_to(&mut self, next: usize, end: usize) -> Result<usize> {
        for place in next..end {
            self.write_lead(place);
            let start = self.out.len();
            match self.places.get(place) {
                Some(Place::Buffered(range)) => {
                    self.out.extend_from_slice(self.buffer.0.get(range.clone()).unwrap_or_default());
                }
                Some(Place::Awaited(bytes)) => {
                    self.gaps.push(place);
                    self.out.resize(start.saturating_add(*bytes), 0);
                }
                _ => {
                    let value = self.member(place).map_or("", |(_, value)| value);
                    self.out.extend_from_slice(value.as_bytes());
                }
            }
            self.note(place, start);
        }
        Ok(end)
    }

    fn note(&mut self, place: usize, start: usize) {
        let end = self.out.len();
        if let Some(span) = self.spans.get_mut(place) {
            *span = start..end;
        }
    }

    /// Writes what stands between the value before this one and this value.
    fn write_lead(&mut self, place: usize) {
        let document = self.document;
        let ends_at = |place: usize| document.members.get(place).map_or(0, |member| member.span.end);
        let start = place.checked_sub(1).map_or(0, ends_at);
        let Some(member) = document.members.get(place) else { return };
        let lead = document.text.get(start..member.span.start).unwrap_or_default();
        self.out.extend_from_slice(lead.as_bytes());
        if place >= document.written {
            let mut name = String::new();
            if place > 0 {
                name.push(',');
            }
            write_string(&member.name, &mut name);
            name.push(':');
            self.out.extend_from_slice(name.as_bytes());
        }
    }

    fn fill_gaps(&mut self) -> Result<()> {
        for place in &self.gaps {
            let (Some(Place::Buffered(range)), Some(span)) =
                (self.places.get(*place), self.spans.get(*place))
            else {
                return Err(Error::new(Code::Internal).at("order of members"));
            };
            let value = self.buffer.0.get(range.clone()).unwrap_or_default();
            match self.out.get_mut(span.clone()) {
                Some(gap) if gap.len() == value.len() => gap.copy_from_slice(value),
                _ => return Err(Error::new(Code::Internal).at("size of a replaced value")),
            }
        }
        Ok(())
    }

    fn write_end(&mut self) {
        let start = self.document.members.last().map_or(0, |member| member.span.end);
        self.out.extend_from_slice(self.document.text.get(start..).unwrap_or_default().as_bytes());
    }
}

/// Makes room for `more` bytes in a buffer whose old memory must not keep what was in it.
fn grow(buffer: &mut Vec<u8>, more: usize) {
    let wanted = buffer.len().saturating_add(more);
    if wanted > buffer.capacity() {
        let mut larger = Vec::with_capacity(wanted.max(buffer.capacity().saturating_mul(2)));
        larger.extend_from_slice(buffer);
        wipe(buffer);
        *buffer = larger;
    }
}

/// Order of the counters: bytewise, where `.`, `?` and `*` count as a backslash and themselves.
fn compare_names(a: &str, b: &str) -> Ordering {
    fn escaped(name: &str) -> impl Iterator<Item = u8> {
        name.bytes().flat_map(|byte| {
            let backslash = matches!(byte, b'.' | b'?' | b'*').then_some(b'\\');
            backslash.into_iter().chain([byte])
        })
    }
    escaped(a).cmp(escaped(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::scan::work;

    /// Marks each value with its counter, so that order and place can both be seen.
    fn marked(text: &str, plain: &[&str]) -> Result<String> {
        let document = Document::parse(text).map_err(BodyError::in_request)?;
        let (mut out, mut counter) = (b"kept".to_vec(), 0);
        let rewritten = document.rewrite(
            plain,
            |len| len.saturating_add(4),
            |_, raw, out| {
                out.extend_from_slice(format!("<{counter:02}{raw}>").as_bytes());
                counter = usize::saturating_add(counter, 1);
                Ok(())
            },
            &mut out,
        )?;
        assert_eq!(rewritten.replaced(), counter);
        for (place, span) in rewritten.replaced_spans() {
            assert!(out[span.clone()].starts_with(b"<") && out[span.clone()].ends_with(b">"));
            assert_eq!(rewritten.spans()[place], span);
        }
        Ok(String::from_utf8(out).unwrap().split_off(4))
    }

    #[test]
    fn values_change_in_place_in_the_order_of_their_names() {
        let plain = ["model", "n"];
        let cases = [
            ("", ""),
            (" \n", " \n"),
            ("{}", "{}"),
            ("{\"model\":\"m\"}", "{\"model\":\"m\"}"),
            (
                " { \"z\" : 1 ,\"a\":[ 2 ],\"model\" : 3 , \"b\":null } ",
                " { \"z\" : <021> ,\"a\":<00[ 2 ]>,\"model\" : 3 , \"b\":<01null> } ",
            ),
            // The largest first, in the middle and last, with smaller ones on both sides.
            (
                "{\"c\":\"xxxxxxxx\",\"a\":1,\"d\":2,\"b\":3}",
                "{\"c\":<02\"xxxxxxxx\">,\"a\":<001>,\"d\":<032>,\"b\":<013>}",
            ),
            (
                "{\"d\":1,\"a\":2,\"b\":\"xxxxxxxx\",\"c\":3,\"0\":4}",
                "{\"d\":<041>,\"a\":<012>,\"b\":<02\"xxxxxxxx\">,\"c\":<033>,\"0\":<004>}",
            ),
            ("{\"b\":1,\"c\":2,\"a\":\"xxxxxxxx\"}", "{\"b\":<011>,\"c\":<022>,\"a\":<00\"xxxxxxxx\">}"),
            // Escaped names count as what they stand for and stay as they are.
            ("{\"\\u0062\":1,\"a\":2}", "{\"\\u0062\":<011>,\"a\":<002>}"),
            ("{\"\\u006dodel\":1,\"a\":2}", "{\"\\u006dodel\":1,\"a\":<002>}"),
            (
                "{\"a.b\":1,\"aZ\":2,\"ab\":3,\"a\":4}",
                "{\"a.b\":<021>,\"aZ\":<012>,\"ab\":<033>,\"a\":<004>}",
            ),
            (
                "{\"a*\":1,\"a?\":2,\"a]\":3,\"a[\":4}",
                "{\"a*\":<011>,\"a?\":<022>,\"a]\":<033>,\"a[\":<004>}",
            ),
            (
                "{\"\u{e4}\":1,\"z\":2,\"\u{1f600}\":3,\"\u{ffee}\":4}",
                "{\"\u{e4}\":<011>,\"z\":<002>,\"\u{1f600}\":<033>,\"\u{ffee}\":<024>}",
            ),
            (
                "[0,1,2,3,4,5,6,7,8,9,10]",
                "[<000>,<011>,<032>,<043>,<054>,<065>,<076>,<087>,<098>,<109>,<0210>]",
            ),
            ("[]", "[]"),
            ("\"a\"", "\"a\""),
        ];
        for (text, expected) in cases {
            assert_eq!(marked(text, &plain).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn members_can_be_set_and_added() {
        for (text, expected) in [
            ("{}", "{\"s\":\"x\"}"),
            ("{\"a\":1 }", "{\"a\":1 ,\"s\":\"x\"}"),
            ("{ \"s\" : null , \"a\":1}", "{ \"s\" : \"x\" , \"a\":1}"),
            ("{\"\\u0073\":\"\"}", "{\"\\u0073\":\"x\"}"),
            ("[1]", "[1]"),
            ("", ""),
        ] {
            let mut document = Document::parse(text).unwrap();
            document.set("s", Zeroizing::new("\"x\"".to_owned()));
            assert_eq!(document.to_text().unwrap().as_str(), expected);
        }
        let mut document = Document::parse("{\"t\":1,\"b\":2}").unwrap();
        document.set("s", Zeroizing::new("\"x\"".to_owned()));
        assert_eq!(document.selected_names(&[]), ["b", "s", "t"]);
        assert_eq!(document.get("s"), Some("\"x\""));
    }

    #[test]
    fn hostile_bodies() {
        let many = |count: usize| {
            let members: Vec<String> = (0..count).map(|i| format!("\"m{i}\":{i}")).collect();
            format!("{{{}}}", members.join(","))
        };
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(64), "]".repeat(64));
        let (at_most, too_many) = (many(JSON_MAX_MEMBERS), many(100_000));
        let cases = [
            (at_most.as_str(), None),
            (too_many.as_str(), Some(BodyError::Limit("members of an object"))),
            (deep.as_str(), Some(BodyError::Limit("depth of nesting"))),
            ("{\"model\":1,\"\\u006dodel\":2}", Some(BodyError::Duplicate("model".to_owned()))),
            ("{\"\\u0000\":1,\"\\u0000\":2}", Some(BodyError::Duplicate("\u{0}".to_owned()))),
            ("{\"a\":{\"b\":1,\"b\":2}}", None),
            ("{\"\\ud800\":1}", Some(BodyError::Malformed)),
            ("{\"a\":\"\\ud800\"}", None),
            ("{\"a\":1e999999999}", None),
            ("{\"a\":1", Some(BodyError::Malformed)),
            ("{\"a\":1}x", Some(BodyError::Malformed)),
            ("\u{feff}{}", Some(BodyError::Malformed)),
        ];
        for (text, expected) in cases {
            assert_eq!(Document::parse(text).err(), expected, "{}", &text[..text.len().min(40)]);
        }
        // T44: reading costs each byte once, whatever the body; an error shows a name, shortened, and no value.
        for text in [&at_most, &too_many] {
            work::take();
            let _ = Document::parse(text);
            assert_eq!(work::take(), text.len());
        }
        let long =
            format!("{{\"{0}\":\"CANARY\",\"{0}\":1}}", "n\u{1b}".replace('\u{1b}', "\\u001b").repeat(50));
        let error = Document::parse(&long).unwrap_err().in_request();
        assert!(
            error.check().unwrap().len() <= SHOWN_NAME_BYTES + 3 && !error.to_string().contains("CANARY")
        );
        assert!(!error.to_string().contains('\u{1b}'));
    }

    #[test]
    fn work_is_linear_in_members() {
        let text: String = (0..5000).map(|i| format!(",\"m{}\":\"{i:064}\"", i * 7919 % 5000)).collect();
        let text = format!("{{\"z\":0{text}}}");
        let document = Document::parse(&text).unwrap();
        let (mut calls, mut bytes, mut out) = (0, 0, Vec::new());
        document
            .rewrite(
                &[],
                |len| len,
                |_, raw, out| {
                    (calls, bytes) = (calls + 1, bytes + raw.len());
                    out.extend_from_slice(raw.as_bytes());
                    Ok(())
                },
                &mut out,
            )
            .unwrap();
        assert_eq!(out, text.as_bytes());
        assert_eq!((calls, bytes), (5001, 5000 * 66 + 1));
        assert!(out.capacity() <= text.len() * 2);
    }

    #[test]
    fn a_wrong_size_is_noticed() {
        let document = Document::parse("{\"b\":1,\"a\":\"long value\"}").unwrap();
        let result = document.rewrite(
            &[],
            |len| len,
            |_, _, out| {
                out.extend_from_slice(b"xxxxxxxxxxxxxxx");
                Ok(())
            },
            &mut Vec::new(),
        );
        assert_eq!(result.unwrap_err().code(), Code::Internal);
    }
}
