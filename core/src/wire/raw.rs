//! JSON that stays text: values borrowed as written, texts decoded into memory that is wiped.
//!
//! For request bodies, whose texts are secrets: a parsed tree would leave copies of them behind. Everything here takes text that
//! has passed [`check`].

use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::json::{JsonError, raw_members, write_string};
use super::scan::plain_len;
use crate::limits::JSON_MAX_DEPTH;

/// Checks that `text` is one JSON value without duplicate members and not nested too deeply, at any level. Nothing is copied.
pub fn check(text: &str) -> Result<(), JsonError> {
    check_at(text.trim_matches(is_space), 0)
}

fn check_at(text: &str, depth: usize) -> Result<(), JsonError> {
    let depth = if text.starts_with(['{', '[']) { depth.saturating_add(1) } else { depth };
    if depth > JSON_MAX_DEPTH {
        return Err(JsonError::Malformed);
    }
    match text.as_bytes().first() {
        Some(b'{') => raw_members(text)?.iter().try_for_each(|(_, value)| check_at(value.get(), depth)),
        Some(b'[') => elements(text)?.iter().try_for_each(|value| check_at(value.get(), depth)),
        Some(b'"') => decode_string(text).map(|_| ()),
        _ => serde_json::from_str::<&RawValue>(text).map(|_| ()).map_err(|_| JsonError::Malformed),
    }
}

/// The elements of an array with the exact text of each.
pub fn elements(text: &str) -> Result<Vec<&RawValue>, JsonError> {
    struct Elements;
    impl<'de> Visitor<'de> for Elements {
        type Value = Vec<&'de RawValue>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut elements = Vec::new();
            while let Some(element) = seq.next_element()? {
                elements.push(element);
            }
            Ok(elements)
        }
    }
    let mut parser = serde_json::Deserializer::from_str(text);
    let elements =
        serde::Deserializer::deserialize_seq(&mut parser, Elements).map_err(|_| JsonError::Malformed)?;
    parser.end().map_err(|_| JsonError::Malformed)?;
    Ok(elements)
}

/// The text that a JSON string stands for. Lone surrogates are refused. The memory is allocated once and wiped on drop.
pub fn decode_string(text: &str) -> Result<Zeroizing<String>, JsonError> {
    let inner = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).ok_or(JsonError::Malformed)?;
    // A decoded text is never longer than its JSON form, so the buffer does not move.
    let mut out = Zeroizing::new(String::with_capacity(inner.len()));
    let mut rest = inner;
    loop {
        let (plain, escape) =
            rest.split_at_checked(plain_len(rest.as_bytes())).ok_or(JsonError::Malformed)?;
        out.push_str(plain);
        if escape.is_empty() {
            return Ok(out);
        }
        // A quote or a control character is no escape.
        rest = decode_escape(escape, &mut out).ok_or(JsonError::Malformed)?;
    }
}

/// Gives the text that a JSON string stands for in pieces, without putting it together. Lone surrogates are refused.
pub fn decode_pieces(text: &str, mut piece: impl FnMut(&str)) -> Result<(), JsonError> {
    let inner = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).ok_or(JsonError::Malformed)?;
    let mut escaped = Zeroizing::new(String::with_capacity(8));
    let mut rest = inner;
    while let Some(at) = memchr::memchr2(b'\\', b'"', rest.as_bytes()) {
        let (plain, escape) = rest.split_at_checked(at).ok_or(JsonError::Malformed)?;
        piece(plain);
        escaped.clear();
        rest = decode_escape(escape, &mut escaped).ok_or(JsonError::Malformed)?;
        piece(&escaped);
    }
    piece(rest);
    Ok(())
}

/// Decodes the escape at the start of `text`; gives what follows it.
fn decode_escape<'a>(text: &'a str, out: &mut String) -> Option<&'a str> {
    let [b'\\', kind, ..] = text.as_bytes() else { return None };
    // `None` inside a character of several bytes, which is no escape.
    let after = text.get(2..)?;
    let simple = match kind {
        b'"' | b'\\' | b'/' => char::from(*kind),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let (unit, after) = code_unit(after)?;
            if !(0xd800..0xe000).contains(&unit) {
                out.push(char::from_u32(u32::from(unit))?);
                return Some(after);
            }
            let (second, after) = code_unit(after.strip_prefix("\\u")?)?;
            out.push(char::decode_utf16([unit, second]).next()?.ok()?);
            return Some(after);
        }
        _ => return None,
    };
    out.push(simple);
    Some(after)
}

fn code_unit(text: &str) -> Option<(u16, &str)> {
    let (digits, after) = text.split_at_checked(4)?;
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    Some((u16::from_str_radix(digits, 16).ok()?, after))
}

/// Appends a value without spaces: strings with the shortest escapes and otherwise raw UTF-8, numbers and order as written. Never
/// longer than `text`.
pub fn write_compact(text: &str, out: &mut String) -> Result<(), JsonError> {
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if first == '"' {
            let (string, after) = rest.split_at_checked(string_len(rest)).ok_or(JsonError::Malformed)?;
            write_string(&decode_string(string)?, out);
            rest = after;
        } else {
            if !is_space(first) {
                out.push(first);
            }
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
        }
    }
    Ok(())
}

/// Length of the JSON string at the start of `text`, quotes included.
fn string_len(text: &str) -> usize {
    let mut escaped = true; // the opening quote does not end the string
    for (i, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return i.saturating_add(1),
            _ => {}
        }
    }
    text.len()
}

/// True when `text`, apart from white space around it, would parse as a JSON array. Errs on the side of "yes": only the grammar is
/// looked at.
pub fn is_array(text: &str) -> bool {
    let text = text.trim();
    text.starts_with('[') && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

const fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_decode_like_serde_json() {
        let cases = [
            r#""""#,
            r#""plain \u00e4 é""#,
            r#""\"\\\/\b\f\n\r\t""#,
            r#""\ud83d\ude00\u0000""#,
            r#""\uD83D""#,
            r#""\uDE00\uD83D""#,
            r#""\ud83d\u0041""#,
            r#""\u12""#,
            r#""\u+123""#,
            r#""\x""#,
            r#""\é""#,
            "\"tab\tinside\"",
            "\"\u{7f}\u{feff}\"",
            "\"open",
            "open\"",
            "\"",
            "\"a\"b\"",
            "\"a\\\"",
        ];
        for text in cases {
            let expected = serde_json::from_str::<String>(text).ok();
            assert_eq!(decode_string(text).ok().map(|text| text.to_string()), expected, "{text}");
        }
    }

    #[test]
    fn compact_form() {
        let cases = [
            (
                r#" [ { "b" : 1.50 , "a" : "x \u00e4\n\/ \" [ , ]" } , null , "" ] "#,
                "[{\"b\":1.50,\"a\":\"x ä\\n/ \\\" [ , ]\"},null,\"\"]",
            ),
            ("\"\\u0001\\u001f\"", "\"\\u0001\\u001f\""),
        ];
        for (text, expected) in cases {
            let mut out = String::new();
            write_compact(text, &mut out).unwrap();
            assert_eq!(out, expected);
            assert!(out.len() <= text.len());
        }
    }

    #[test]
    fn arrays_in_texts() {
        for (text, expected) in [
            ("[1, 2]", true),
            (" \n[]\t", true),
            ("\u{a0}[{}]", true),
            ("[", false),
            ("[1] and more", false),
            ("{\"a\":[1]}", false),
            ("[not json]", false),
            ("", false),
        ] {
            assert_eq!(is_array(text), expected, "{text:?}");
        }
    }

    #[test]
    fn check_is_as_strict_as_the_parser() {
        let deep = format!("{}1{}", "[".repeat(JSON_MAX_DEPTH), "]".repeat(JSON_MAX_DEPTH));
        let too_deep = format!("[{deep}]");
        let cases = [
            "{}",
            " [1, {\"a\": [true, null, -1.5e3, \"x\"]}] ",
            &deep,
            &too_deep,
            "{\"a\":1,\"a\":2}",
            "[{\"b\":{\"a\":1,\"\\u0061\":2}}]",
            "[\"\\ud800\"]",
            "[01]",
            "[1,]",
            "{\"a\"}",
            "",
            "nul",
            "[1] 2",
            "\"a\nb\"",
        ];
        for text in cases {
            let expected = super::super::json::Json::parse(text.as_bytes()).map(|_| ());
            assert_eq!(check(text), expected, "{text}");
        }
    }
}
