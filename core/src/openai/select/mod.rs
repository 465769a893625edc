//! The top level of a JSON body: its members as written, the order in which they are sealed or opened, and the body again with some
//! values replaced (protocols/privatemode.md 6.2).
//!
//! A value is never decoded, copied or looked into. The order is that of the names, bytewise, where `.`, `?` and `*` count as two
//! bytes each (a backslash and themselves), and of array indices as text. Does not know which members are replaced, nor with what.

mod rewrite;
#[cfg(test)]
mod tests;

pub use rewrite::Rewritten;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Range;

use zeroize::Zeroizing;

use crate::error::{Code, Error, Result, cleaned};
use crate::limits::{JSON_MAX_MEMBERS, JSON_MAX_VALUES};
use crate::wire::scan::{self, ScanError};

/// Longest name of a member that an error shows, in bytes.
const SHOWN_NAME_BYTES: usize = 64;

/// Most bodies have no more members.
const USUAL_MEMBERS: usize = 8;

/// So few names are compared with each other; more are sorted.
const FEW_MEMBERS: usize = 16;

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
struct Member<'a> {
    name: Cow<'a, str>,
    /// Where the value is in the text; empty for an added member.
    span: Range<usize>,
    /// The value that takes its place before anything is sealed.
    set: Option<Zeroizing<String>>,
}

/// A JSON body that stays text.
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
        self.members.reserve(USUAL_MEMBERS);
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
        if self.members.len() <= FEW_MEMBERS {
            let mut rest = self.members.as_slice();
            while let Some((member, others)) = rest.split_first() {
                if others.iter().any(|other| other.name == member.name) {
                    return Err(BodyError::Duplicate(member.name.to_string()));
                }
                rest = others;
            }
            return Ok(());
        }
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
        let mut order = Vec::with_capacity(self.members.len());
        order.extend(self.members.iter().enumerate().filter(|(_, member)| !is_plain(member)).map(|(i, _)| i));
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

    /// The body as it is, with the values that were set.
    pub fn to_text(&self) -> Result<Zeroizing<String>> {
        let mut out = Vec::new();
        self.rewrite_members(Vec::new(), |_| 0, |_, _, _| Ok(()), &mut out)?;
        String::from_utf8(out).map(Zeroizing::new).map_err(|_| Error::new(Code::Internal))
    }
}

impl std::fmt::Debug for Document<'_> {
    /// Nothing of a prompt.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let members = self.members.len();
        f.debug_struct("Document")
            .field("shape", &self.shape)
            .field("members", &members)
            .finish_non_exhaustive()
    }
}

/// Order of the counters: bytewise, where `.`, `?` and `*` count as a backslash and themselves.
fn compare_names(a: &str, b: &str) -> Ordering {
    const BACKSLASH: u8 = b'\\';
    let common = a.bytes().zip(b.bytes()).take_while(|(x, y)| x == y).count();
    let (Some(x), Some(y)) = (a.as_bytes().get(common), b.as_bytes().get(common)) else {
        // One begins with the other.
        return a.len().cmp(&b.len());
    };
    match (is_escaped(*x), is_escaped(*y)) {
        (false, true) if *x != BACKSLASH => x.cmp(&BACKSLASH),
        (true, false) if *y != BACKSLASH => BACKSLASH.cmp(y),
        (false, false) | (true, true) => x.cmp(y),
        // An escaped character against a backslash of the name's own: what follows decides.
        _ => escaped(a).cmp(escaped(b)),
    }
}

const fn is_escaped(byte: u8) -> bool {
    matches!(byte, b'.' | b'?' | b'*')
}

fn escaped(name: &str) -> impl Iterator<Item = u8> {
    name.bytes().flat_map(|byte| is_escaped(byte).then_some(b'\\').into_iter().chain([byte]))
}
