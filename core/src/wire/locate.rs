//! Where in a JSON text something is, for messages about documents that people write: line and column.
//!
//! Nothing is decided here. A place is looked for only after a strict reader refused the text.

use std::borrow::Cow;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::limits::JSON_MAX_DEPTH;

/// A place in a text. Both count from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// Where and why a text is not one strict JSON value; without a place for a cause that has none, such as deep nesting.
pub fn fault(bytes: &[u8]) -> (Option<Place>, &'static str) {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
            return (place(&String::from_utf8_lossy(good), good.len()), "It is not UTF-8.");
        }
    };
    if let Err(error) = serde_json::from_str::<IgnoredAny>(text) {
        let before = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len);
        let start = before.fold(0, usize::saturating_add);
        let mut offset = start.saturating_add(error.column().saturating_sub(1)).min(text.len());
        while !text.is_char_boundary(offset) {
            offset = offset.saturating_sub(1);
        }
        let why = if error.is_eof() { "It ends too early." } else { "It is not JSON." };
        return (place(text, offset), why);
    }
    match duplicate(text, text, JSON_MAX_DEPTH) {
        Some(offset) => (place(text, offset), "A member is named twice."),
        None => (None, "It is nested too deeply or too large."),
    }
}

/// The place of a member in a JSON text, by a path such as `tdx.accepted_advisories[2]`; the name of a member, or the element.
/// Where a part of the path is not there, the place of what would hold it.
pub fn member(bytes: &[u8], path: &str) -> Option<Place> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (mut found, mut inside) = (None, text);
    for part in path.split('.') {
        let (name, indexes) = part.split_once('[').unwrap_or((part, ""));
        let members = members(inside)?;
        let Some((written, value)) = members.iter().find(|(written, _)| written == name) else { break };
        found = match written {
            // The name without its opening quote.
            Cow::Borrowed(name) => offset_in(text, name).and_then(|offset| offset.checked_sub(1)),
            Cow::Owned(_) => offset_in(text, value.get()),
        };
        inside = value.get();
        for index in indexes.split('[').filter_map(|index| index.strip_suffix(']')?.parse::<usize>().ok()) {
            let elements: Vec<&RawValue> = serde_json::from_str(inside).ok()?;
            let Some(element) = elements.get(index) else { break };
            inside = element.get();
            found = offset_in(text, inside);
        }
    }
    place(text, found?)
}

/// Offset of the second name of two equal ones, anywhere in `inside`.
fn duplicate(text: &str, inside: &str, depth: usize) -> Option<usize> {
    let depth = depth.checked_sub(1)?;
    if let Some(members) = members(inside) {
        let mut names: Vec<(&str, usize)> = Vec::with_capacity(members.len());
        for (name, value) in &members {
            let offset = match name {
                Cow::Borrowed(name) => offset_in(text, name).and_then(|offset| offset.checked_sub(1)),
                Cow::Owned(_) => offset_in(text, value.get()),
            };
            names.push((name, offset?));
        }
        names.sort_unstable();
        let twice = names.windows(2).filter_map(|pair| match pair {
            [(a, _), (b, offset)] if a == b => Some(*offset),
            _ => None,
        });
        return twice
            .min()
            .or_else(|| members.iter().find_map(|(_, value)| duplicate(text, value.get(), depth)));
    }
    let elements: Vec<&RawValue> = serde_json::from_str(inside).ok()?;
    elements.into_iter().find_map(|element| duplicate(text, element.get(), depth))
}

/// Offset of a part of a text that borrows from it.
fn offset_in(text: &str, part: &str) -> Option<usize> {
    let offset = (part.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    (offset <= text.len()).then_some(offset)
}

fn place(text: &str, offset: usize) -> Option<Place> {
    let before = text.get(..offset)?;
    let line_start = before.rfind('\n').map_or(0, |end| end.saturating_add(1));
    Some(Place {
        line: before.matches('\n').count().saturating_add(1),
        column: before.get(line_start..)?.chars().count().saturating_add(1),
    })
}

/// A name as written, borrowed where it has no escapes, and its value.
type Member<'a> = (Cow<'a, str>, &'a RawValue);

/// Members of an object, also repeated ones.
fn members(text: &str) -> Option<Vec<Member<'_>>> {
    struct All;
    impl<'de> Visitor<'de> for All {
        type Value = Vec<Member<'de>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(name) = map.next_key_seed(super::json::Name)? {
                members.push((name, map.next_value()?));
            }
            Ok(members)
        }
    }
    let mut parser = serde_json::Deserializer::from_str(text);
    serde::Deserializer::deserialize_map(&mut parser, All).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(place: Option<Place>) -> Option<(usize, usize)> {
        place.map(|place| (place.line, place.column))
    }

    #[test]
    fn members_are_found() {
        let text = "{\n  \"a\": {\"ü\": 1, \"b\":\n    [10, [20, \"x\"], {\"c\": 1}]},\n\t\"\\u0064\": 7 }";
        for (path, expected) in [
            ("a", Some((2, 3))),
            ("a.ü", Some((2, 9))),
            ("a.b", Some((2, 17))),
            ("a.b[0]", Some((3, 6))),
            ("a.b[1][1]", Some((3, 15))),
            ("a.b[7]", Some((2, 17))),
            ("a.b[2].c", Some((3, 22))),
            ("a.z", Some((2, 3))),
            ("a.b.c", None),
            ("d", Some((4, 12))),
            ("z", None),
            ("", None),
        ] {
            assert_eq!(at(member(text.as_bytes(), path)), expected, "{path}");
        }
        assert_eq!(member(b"\xff", "a"), None);
        assert_eq!(member(b"[1]", "a"), None);
    }

    #[test]
    fn faults_are_found() {
        let deep = "[".repeat(70) + &"]".repeat(70);
        for (text, expected, why) in [
            (&b"{\n \"a\": 1,\n \"b\" 2}"[..], Some((3, 6)), "not JSON"),
            (b"{\"a\": 1", Some((1, 7)), "too early"),
            (b"", Some((1, 1)), "too early"),
            (b"{} x", Some((1, 4)), "not JSON"),
            (b"{\"a\": \"\xc3\xa4\", \"b\": x}", Some((1, 17)), "not JSON"),
            (b"{\"a\":\n \"\xff\"}", Some((2, 3)), "UTF-8"),
            (b"{\"a\": 1,\n \"b\": [{\"c\": 1, \"c\": 2}]}", Some((2, 17)), "twice"),
            (b"{\"a\": 1,\n \"a\": {\"c\": 1, \"c\": 2}}", Some((2, 2)), "twice"),
            (deep.as_bytes(), None, "too deeply"),
        ] {
            let (place, said) = fault(text);
            assert_eq!(at(place), expected, "{}", String::from_utf8_lossy(text));
            assert!(said.contains(why), "{said}");
        }
    }
}
