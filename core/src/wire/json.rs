//! Strict JSON: duplicate members refused, depth and counts of members and values bounded, order kept; canonical form (RFC 8785) for what
//! protocols hash.
//!
//! Numbers keep the value that `serde_json` gives them (64-bit integers or doubles).

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::limits::{JSON_MAX_DEPTH, JSON_MAX_MEMBERS, JSON_MAX_VALUES};

/// A parsed JSON value. Members keep their order; names are unique.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number.
    Number(serde_json::Number),
    /// A text.
    String(String),
    /// An array.
    Array(Vec<Json>),
    /// An object in member order.
    Object(Vec<(String, Json)>),
}

/// Why a text was not accepted as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonError {
    /// Not one JSON value in UTF-8, nested too deeply, or of too many values.
    Malformed,
    /// An object names a member twice (threats T10, T44).
    DuplicateMember,
}

impl Json {
    /// Parses one value that takes up all of `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Json, JsonError> {
        let text = std::str::from_utf8(bytes).map_err(|_| JsonError::Malformed)?;
        let mut parser = serde_json::Deserializer::from_str(text);
        let left = Cell::new(JSON_MAX_VALUES);
        let value = Seed { depth: 0, left: &left }.deserialize(&mut parser).map_err(classify)?;
        parser.end().map_err(|_| JsonError::Malformed)?;
        Ok(value)
    }

    /// Member of an object.
    pub fn get(&self, name: &str) -> Option<&Json> {
        match self {
            Json::Object(members) => {
                members.iter().find(|(member, _)| member == name).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// Text of a string value.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Json::String(text) => Some(text),
            _ => None,
        }
    }

    /// Value of a boolean.
    pub const fn as_bool(&self) -> Option<bool> {
        match self {
            Json::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// Value of a non-negative integer.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Json::Number(number) => number.as_u64(),
            _ => None,
        }
    }

    /// Elements of an array.
    pub fn as_array(&self) -> Option<&[Json]> {
        match self {
            Json::Array(elements) => Some(elements),
            _ => None,
        }
    }

    /// Members of an object.
    pub fn as_object(&self) -> Option<&[(String, Json)]> {
        match self {
            Json::Object(members) => Some(members),
            _ => None,
        }
    }

    /// True for `null`.
    pub const fn is_null(&self) -> bool {
        matches!(self, Json::Null)
    }

    /// Compact text: no spaces, members in order, raw UTF-8.
    pub fn to_compact(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, false);
        out
    }

    /// Canonical text (RFC 8785) for values without fractional numbers: members sorted by UTF-16 code units, no spaces.
    pub fn to_canonical(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, true);
        out
    }

    /// The same for people: members in order, two spaces for each level, no line end after the value.
    pub fn to_pretty(&self) -> String {
        let mut out = String::new();
        self.write_pretty(&mut out, 0);
        out
    }

    fn write_pretty(&self, out: &mut String, depth: usize) {
        let inner = depth.saturating_add(1);
        let line = |out: &mut String, depth: usize| {
            out.push('\n');
            out.push_str(&"  ".repeat(depth));
        };
        match self {
            Json::Array(elements) if !elements.is_empty() => {
                out.push('[');
                for (i, element) in elements.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    line(out, inner);
                    element.write_pretty(out, inner);
                }
                line(out, depth);
                out.push(']');
            }
            Json::Object(members) if !members.is_empty() => {
                out.push('{');
                for (i, (name, value)) in members.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    line(out, inner);
                    write_string(name, out);
                    out.push_str(": ");
                    value.write_pretty(out, inner);
                }
                line(out, depth);
                out.push('}');
            }
            _ => self.write(out, false),
        }
    }

    fn write(&self, out: &mut String, sorted: bool) {
        match self {
            Json::Null => out.push_str("null"),
            Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Json::Number(number) => out.push_str(&number.to_string()),
            Json::String(text) => write_string(text, out),
            Json::Array(elements) => {
                out.push('[');
                for (i, element) in elements.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    element.write(out, sorted);
                }
                out.push(']');
            }
            Json::Object(members) => {
                let mut order: Vec<&(String, Json)> = members.iter().collect();
                if sorted {
                    order.sort_by(|a, b| a.0.encode_utf16().cmp(b.0.encode_utf16()));
                }
                out.push('{');
                for (i, (name, value)) in order.into_iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    write_string(name, out);
                    out.push(':');
                    value.write(out, sorted);
                }
                out.push('}');
            }
        }
    }
}

/// Appends `text` as a JSON string with the shortest escapes (those of RFC 8785).
pub fn write_string(text: &str, out: &mut String) {
    out.push('"');
    let needs_escape = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    if !text.bytes().any(needs_escape) {
        out.push_str(text);
        out.push('"');
        return;
    }
    let mut start = 0;
    for (i, byte) in text.bytes().enumerate() {
        let escape: Cow<'static, str> = match byte {
            b'"' => "\\\"".into(),
            b'\\' => "\\\\".into(),
            0x08 => "\\b".into(),
            0x09 => "\\t".into(),
            0x0a => "\\n".into(),
            0x0c => "\\f".into(),
            0x0d => "\\r".into(),
            0x00..=0x1f => format!("\\u{byte:04x}").into(),
            _ => continue,
        };
        out.push_str(text.get(start..i).unwrap_or_default());
        out.push_str(&escape);
        start = i.saturating_add(1);
    }
    out.push_str(text.get(start..).unwrap_or_default());
    out.push('"');
}

/// The members of an object with the exact text of each value, in order. The values are checked to be JSON, duplicates inside
/// them are not looked for.
pub fn raw_members(text: &str) -> Result<Vec<(Cow<'_, str>, &RawValue)>, JsonError> {
    struct Members;
    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members: Vec<(Cow<'de, str>, &'de RawValue)> = Vec::new();
            while let Some(name) = map.next_key_seed(Name)? {
                check_new_member(members.iter().map(|(member, _)| member.as_ref()), members.len(), &name)?;
                members.push((name, map.next_value()?));
            }
            check_large(members.iter().map(|(member, _)| member.as_ref()), members.len())?;
            Ok(members)
        }
    }
    let mut parser = serde_json::Deserializer::from_str(text);
    let members = serde::Deserializer::deserialize_map(&mut parser, Members).map_err(classify)?;
    parser.end().map_err(|_| JsonError::Malformed)?;
    Ok(members)
}

const DUPLICATE: &str = "duplicate member";

fn classify(error: serde_json::Error) -> JsonError {
    if error.to_string().starts_with(DUPLICATE) { JsonError::DuplicateMember } else { JsonError::Malformed }
}

/// Names of small objects are compared one by one; larger ones go through a sorted set, so that work stays bounded (T44).
const LINEAR_SEARCH_MAX: usize = 64;

fn check_new_member<'a, E: serde::de::Error>(
    names: impl Iterator<Item = &'a str>,
    count: usize,
    name: &str,
) -> Result<(), E> {
    if count >= JSON_MAX_MEMBERS {
        return Err(E::custom("too many members"));
    }
    if count < LINEAR_SEARCH_MAX {
        for other in names {
            if other == name {
                return Err(E::custom(DUPLICATE));
            }
        }
    }
    Ok(())
}

fn check_large<'a, E: serde::de::Error>(names: impl Iterator<Item = &'a str>, count: usize) -> Result<(), E> {
    if count > LINEAR_SEARCH_MAX {
        let mut sorted: Vec<&str> = names.collect();
        sorted.sort_unstable();
        if sorted.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
            return Err(E::custom(DUPLICATE));
        }
    }
    Ok(())
}

/// A member's name, borrowed where it has no escapes.
pub(super) struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Cow<'de, str>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member name")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Cow<'de, str>, E> {
                Ok(Cow::Borrowed(text))
            }

            fn visit_str<E>(self, text: &str) -> Result<Cow<'de, str>, E> {
                Ok(Cow::Owned(text.to_owned()))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[derive(Clone, Copy)]
struct Seed<'a> {
    depth: usize,
    /// How many more values the document may have.
    left: &'a Cell<usize>,
}

impl Seed<'_> {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        let depth = self.depth.saturating_add(1);
        if depth > JSON_MAX_DEPTH { Err(E::custom("nested too deeply")) } else { Ok(Seed { depth, ..self }) }
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Json;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        let left = self.left.get().checked_sub(1);
        self.left.set(left.ok_or_else(|| <D::Error as serde::de::Error>::custom("too many values"))?);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Json, E> {
        serde_json::Number::from_f64(value).map(Json::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Json, E> {
        Ok(Json::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let seed = self.deeper()?;
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element_seed(seed)? {
            elements.push(element);
        }
        Ok(Json::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let seed = self.deeper()?;
        let mut members: Vec<(String, Json)> = Vec::new();
        while let Some(name) = map.next_key_seed(Name)? {
            check_new_member(members.iter().map(|(member, _)| member.as_str()), members.len(), &name)?;
            members.push((name.into_owned(), map.next_value_seed(seed)?));
        }
        check_large(members.iter().map(|(member, _)| member.as_str()), members.len())?;
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_of_values() {
        // The array is a value too.
        let parse = |count: usize| Json::parse(format!("[0{}]", ",0".repeat(count - 2)).as_bytes());
        assert!(parse(JSON_MAX_VALUES).is_ok());
        assert_eq!(parse(JSON_MAX_VALUES + 1).unwrap_err(), JsonError::Malformed);
    }

    #[test]
    fn accepts_and_refuses() {
        let deep = format!("{}1{}", "[".repeat(JSON_MAX_DEPTH), "]".repeat(JSON_MAX_DEPTH));
        let too_deep = format!("[{deep}]");
        let many: String = (0..100).map(|i| format!("\"{i}\":0,")).collect();
        let cases: &[(&str, Result<(), JsonError>)] = &[
            ("{}", Ok(())),
            ("  [1, -2, 0.5, \"a\\u00e4\"] ", Ok(())),
            (&deep, Ok(())),
            (&too_deep, Err(JsonError::Malformed)),
            ("{\"a\":1,\"a\":1}", Err(JsonError::DuplicateMember)),
            ("{\"a\":1,\"\\u0061\":1}", Err(JsonError::DuplicateMember)),
            ("[{\"b\":{\"a\":1,\"a\":2}}]", Err(JsonError::DuplicateMember)),
            (&format!("{{{many}\"99\":1}}"), Err(JsonError::DuplicateMember)),
            (&format!("{{{many}\"100\":1}}"), Ok(())),
            ("{} {}", Err(JsonError::Malformed)),
            ("\"\\ud800\"", Err(JsonError::Malformed)),
            ("1e999", Err(JsonError::Malformed)),
            ("", Err(JsonError::Malformed)),
        ];
        for (text, expected) in cases {
            assert_eq!(
                Json::parse(text.as_bytes()).map(|_| ()),
                *expected,
                "{}",
                &text[..text.len().min(60)]
            );
        }
        assert_eq!(Json::parse(b"\"\xff\""), Err(JsonError::Malformed));
    }

    #[test]
    fn forms() {
        let value = Json::parse(b"{\"b\": [1, true, null], \"a\": \"x\\n\\u0001\\u00e4/\"}").unwrap();
        assert_eq!(value.to_compact(), "{\"b\":[1,true,null],\"a\":\"x\\n\\u0001\u{e4}/\"}");
        assert_eq!(
            value.to_pretty(),
            "{\n  \"b\": [\n    1,\n    true,\n    null\n  ],\n  \"a\": \"x\\n\\u0001\u{e4}/\"\n}"
        );
        assert_eq!(Json::parse(b"[{}, []]").unwrap().to_pretty(), "[\n  {},\n  []\n]");
        assert_eq!(value.to_canonical(), "{\"a\":\"x\\n\\u0001\u{e4}/\",\"b\":[1,true,null]}");
    }

    #[test]
    fn raw_members_keep_the_text() {
        let members = raw_members("{\"a\": 1.50, \"b\\u0031\": [ 1 ]}").unwrap();
        let seen: Vec<_> = members.iter().map(|(name, value)| (name.as_ref(), value.get())).collect();
        assert_eq!(seen, [("a", "1.50"), ("b1", "[ 1 ]")]);
        assert_eq!(raw_members("{\"a\":1,\"a\":2}").unwrap_err(), JsonError::DuplicateMember);
        assert_eq!(raw_members("[1]").unwrap_err(), JsonError::Malformed);
    }
}
