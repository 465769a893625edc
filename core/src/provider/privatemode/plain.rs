//! What stays readable for the gateway (protocols/privatemode.md 6.1), and the checks without which it would be a way to leak or to
//! forge (6.5, threats T36, T46).

use std::borrow::Cow;

use zeroize::Zeroizing;

use crate::error::{Code, Error, Result};
use crate::openai::ApiEndpoint;
use crate::openai::forms::Form;
use crate::openai::select::{Document, Shape, shown_name};
use crate::wire::{raw, scan};

/// Which way a body goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the enclave.
    Request,
    /// From the enclave, as a whole or as one event.
    Response,
}

/// Names of the members, or parts of a form, that are not sealed; `None` where nothing is.
pub const fn plain_members(endpoint: &ApiEndpoint, direction: Direction) -> Option<&'static [&'static str]> {
    use ApiEndpoint::{
        ChatCompletions, Completions, Embeddings, Messages, Models, Transcriptions, Unstructured,
    };
    use Direction::{Request, Response};
    Some(match (endpoint, direction) {
        (ChatCompletions | Completions, Request) => {
            &["model", "stream_options", "max_tokens", "max_completion_tokens", "n", "stream"]
        }
        (ChatCompletions | Completions | Embeddings, Response) => &["id", "usage"],
        (Embeddings, Request) => &["model"],
        (Messages, Request) => &["model", "stream"],
        (Messages, Response) => &["id", "type", "usage"],
        (Transcriptions, Request) => {
            &["model", "stream", "stream_include_usage", "stream_continuous_usage_stats"]
        }
        (Transcriptions, Response) => &["duration", "usage"],
        (Unstructured(_), _) => &[],
        (Models, _) => return None,
    })
}

/// What a checked request says in clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClearRequest {
    /// `model`: 1 to 256 printable ASCII characters, none of them a space at an end.
    pub model: String,
    /// `stream`.
    pub streams: bool,
    /// The caller asked for usage at the end of the stream; the service adds it in any case.
    pub wants_usage: bool,
    /// And with every event.
    pub wants_usage_always: bool,
}

/// Longest name of a model.
const MODEL_MAX_BYTES: usize = 256;

fn argument(member: &str, expected: &'static str) -> Error {
    Error::new(Code::InvalidArgument).at(shown_name(member)).expected(expected)
}

/// Checks the clear members of a JSON request. `null` says nothing and passes, except for `model`.
///
/// Fails with `malformed_request` (no object), `invalid_argument`, `unknown_field` (inside `stream_options`).
pub fn check_clear_request(document: &Document<'_>, endpoint: &ApiEndpoint) -> Result<ClearRequest> {
    if document.shape() != Shape::Object {
        return Err(Error::new(Code::MalformedRequest));
    }
    check_names(document, endpoint)?;
    let mut clear =
        ClearRequest { model: String::new(), streams: false, wants_usage: false, wants_usage_always: false };
    clear.model = check_model(document.get("model").and_then(|value| raw::decode_string(value).ok()))?;
    let plain = plain_members(endpoint, Direction::Request).unwrap_or_default();
    for name in plain.iter().filter(|name| **name != "model") {
        let Some(value) = document.get(name).filter(|value| *value != "null") else { continue };
        match *name {
            "stream" => clear.streams = boolean(value).ok_or_else(|| argument(name, "true or false"))?,
            "stream_options" => {
                (clear.wants_usage, clear.wants_usage_always) = check_stream_options(value)?;
            }
            _ => {
                let number = value.bytes().all(|byte| byte.is_ascii_digit()) && value.parse::<u64>().is_ok();
                number.then_some(()).ok_or_else(|| argument(name, "a non-negative integer"))?;
            }
        }
    }
    Ok(clear)
}

/// Refuses names that the enclave could not find again: its selector gives these characters a meaning, or cannot name the member at all.
fn check_names(document: &Document<'_>, endpoint: &ApiEndpoint) -> Result<()> {
    let plain = plain_members(endpoint, Direction::Request).unwrap_or_default();
    if !document.names().any(|name| is_unfit(name) && !plain.contains(&name)) {
        return Ok(());
    }
    // The first in the order of the counters.
    match document.selected_names(plain).into_iter().find(|name| is_unfit(name)) {
        None => Ok(()),
        Some(name) => Err(Error::new(Code::UnencryptableField)
            .at(shown_name(name))
            .expected("a name without # @ | ! \\ and not beginning with : [ {")),
    }
}

fn is_unfit(name: &str) -> bool {
    let is_special = |byte: u8| matches!(byte, b'#' | b'@' | b'|' | b'!' | b'\\' | 0);
    matches!(name.as_bytes(), [] | [b':' | b'[' | b'{', ..]) || name.bytes().any(is_special)
}

fn boolean(value: &str) -> Option<bool> {
    match value {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

fn check_model(model: Option<Zeroizing<String>>) -> Result<String> {
    let fits = |model: &Zeroizing<String>| {
        (1..=MODEL_MAX_BYTES).contains(&model.len())
            && model.bytes().all(|byte| (b' '..=b'~').contains(&byte))
            && !model.starts_with(' ')
            && !model.ends_with(' ')
    };
    match model.filter(fits) {
        Some(mut model) => Ok(std::mem::take(&mut *model)),
        None => Err(argument("model", "a string of 1 to 256 printable ASCII characters")),
    }
}

/// `stream_options`: nothing but two switches, because it goes out in clear. Gives whether usage was asked for, and
/// with every event.
fn check_stream_options(value: &str) -> Result<(bool, bool)> {
    let expected = "an object of true and false";
    let options = Document::parse(value).map_err(|error| error.in_request().at("stream_options"))?;
    if options.shape() != Shape::Object {
        return Err(argument("stream_options", expected));
    }
    for name in options.names() {
        if !["include_usage", "continuous_usage_stats"].contains(&name) {
            let at = format!("stream_options.{}", shown_name(name));
            return Err(Error::new(Code::UnknownField).at(at));
        }
        if options.get(name).is_some_and(|value| value != "null" && boolean(value).is_none()) {
            return Err(argument("stream_options", expected));
        }
    }
    let is_on = |name| options.get(name) == Some("true");
    Ok((is_on("include_usage"), is_on("continuous_usage_stats")))
}

/// Checks the clear parts of a form. Fails with `invalid_argument`.
pub fn check_clear_form(form: &Form<'_>) -> Result<ClearRequest> {
    let text = |name| form.first_value(name).and_then(|value| std::str::from_utf8(value).ok());
    let model = text("model").map(|model| Zeroizing::new(model.to_owned()));
    let mut clear = ClearRequest {
        model: check_model(model)?,
        streams: false,
        wants_usage: false,
        wants_usage_always: false,
    };
    for name in ["stream", "stream_include_usage", "stream_continuous_usage_stats"] {
        if form.first_value(name).is_none() {
            continue;
        }
        let value = match text(name).map(str::to_ascii_lowercase).as_deref() {
            Some("true" | "1") => true,
            Some("false" | "0") => false,
            _ => return Err(argument(name, "true or false")),
        };
        match name {
            "stream" => clear.streams = value,
            "stream_include_usage" => clear.wants_usage = value,
            _ => clear.wants_usage_always = value,
        }
    }
    Ok(clear)
}

/// Types that an object of the messages API can have.
const MESSAGE_TYPES: &[&str] = &[
    "message",
    "message_start",
    "message_delta",
    "message_stop",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "ping",
    "error",
];
/// Levels of objects in `usage`, itself included.
const USAGE_MAX_DEPTH: usize = 3;
/// Members of one object in `usage`, and bytes of their names, of a number and of the whole.
const USAGE_MAX_MEMBERS: usize = 64;
/// So many are usual.
const USAGE_MEMBERS: usize = 4;
const USAGE_NAME_MAX_BYTES: usize = 64;
const NUMBER_MAX_BYTES: usize = 32;
const USAGE_MAX_BYTES: usize = 16 * 1024;

/// Checks one clear member of an answer by its raw value: it must be what can carry no text. Fails with `plaintext_downgrade`.
pub fn check_clear_response(name: &str, value: &str, endpoint: &ApiEndpoint) -> Result<()> {
    let passes = match name {
        "id" => value == "null" || is_id(value),
        "type" => MESSAGE_TYPES.iter().any(|known| quoted_is(value, known)),
        "duration" => value == "null" || is_duration(value),
        "usage" => is_usage(value, matches!(endpoint, ApiEndpoint::Transcriptions)),
        _ => false,
    };
    if passes {
        return Ok(());
    }
    Err(Error::new(Code::PlaintextDowngrade).at(shown_name(name)).expected(match name {
        "id" => "1 to 128 letters, digits and . _ : -",
        "type" => "a known type",
        "duration" => "a number",
        _ => "integers only",
    }))
}

/// True when a raw value is this string, however it is written.
fn quoted_is(value: &str, expected: &str) -> bool {
    value.len() <= NUMBER_MAX_BYTES.saturating_mul(8)
        && raw::decode_string(value).is_ok_and(|text| text.as_str() == expected)
}

fn is_id(value: &str) -> bool {
    // Without escapes, so that what is shown is what was checked.
    let id = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'-');
    (1..=128).contains(&id.len()) && id.bytes().all(plain)
}

fn is_duration(value: &str) -> bool {
    let number = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
    let starts = number.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    starts
        && number.len() <= NUMBER_MAX_BYTES
        && number
            .bytes()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e' | b'E'))
        && number.parse::<f64>().is_ok_and(f64::is_finite)
}

fn is_usage(value: &str, is_transcription: bool) -> bool {
    value.len() <= USAGE_MAX_BYTES && (value == "null" || is_usage_object(value, is_transcription, 1))
}

/// Read from the text: every event of a stream has such a value, and a tree of it would cost more than opening a field.
fn is_usage_object(text: &str, is_transcription: bool, depth: usize) -> bool {
    let mut names: Vec<Cow<'_, str>> = Vec::with_capacity(USAGE_MEMBERS);
    let mut passes = depth <= USAGE_MAX_DEPTH;
    let read = scan::each_member(text, 0, |name, span| {
        let value = text.get(span).unwrap_or_default();
        let Some(name) = scan::string_text(name).filter(|_| passes) else {
            passes = false;
            return;
        };
        let named = name.len() <= USAGE_NAME_MAX_BYTES
            && name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric());
        let is_kind = is_transcription && depth == 1 && name == "type";
        passes = named
            && names.len() < USAGE_MAX_MEMBERS
            && !names.contains(&name)
            && match value.as_bytes().first() {
                Some(b'{') => is_usage_object(value, false, depth.saturating_add(1)),
                Some(b'"') => is_kind && (quoted_is(value, "duration") || quoted_is(value, "tokens")),
                _ => value == "null" || is_integer(value),
            };
        names.push(name);
    });
    passes && read.is_ok()
}

/// An integer of 64 bits; minus zero is a number with a fraction for everybody who reads it.
fn is_integer(number: &str) -> bool {
    let is_short =
        number.len() <= 18 && number.bytes().all(|byte| byte.is_ascii_digit()) && !number.is_empty();
    is_short || (number != "-0" && (number.parse::<u64>().is_ok() || number.parse::<i64>().is_ok()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::json::Json;

    /// What a strict parser makes of the same text.
    fn by_tree(value: &str, is_transcription: bool) -> bool {
        fn object(value: &Json, is_transcription: bool, depth: usize) -> bool {
            let Some(members) = value.as_object() else { return false };
            let passes = |name: &str, value: &Json| match value {
                Json::Null => true,
                Json::Number(number) => number.is_i64() || number.is_u64(),
                Json::String(text) => {
                    is_transcription
                        && depth == 1
                        && name == "type"
                        && ["duration", "tokens"].contains(&&**text)
                }
                Json::Object(_) => object(value, false, depth.saturating_add(1)),
                _ => false,
            };
            let plain = |name: &str| name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric());
            depth <= USAGE_MAX_DEPTH
                && members.len() <= USAGE_MAX_MEMBERS
                && members.iter().all(|(name, value)| name.len() <= 64 && plain(name) && passes(name, value))
        }
        Json::parse(value.as_bytes())
            .is_ok_and(|usage| usage.is_null() || object(&usage, is_transcription, 1))
    }

    /// Threats T36: reading from the text accepts what a tree of it would.
    #[test]
    fn usage_from_the_text() {
        let members =
            |count: usize| (0..count).map(|i| format!("\"m{i}\":{i}")).collect::<Vec<_>>().join(",");
        let name = |bytes: usize| format!("{{\"{}\":1}}", "n".repeat(bytes));
        let (most, excess, long, longer) =
            (format!("{{{}}}", members(64)), format!("{{{}}}", members(65)), name(64), name(65));
        let accepted = [
            "null",
            "{}",
            "{ \"a\" : 1 , \"b\":null}",
            "{\"a\":{\"b\":{\"c\":-5}}}",
            "{\"a\":18446744073709551615,\"b\":-9223372036854775808}",
            "{\"\\u0061\":1}",
            &most,
            &long,
        ];
        let refused = [
            "",
            "1",
            "\"x\"",
            "[]",
            "{\"a\":1,\"a\":2}",
            "{\"a\":1,\"\\u0061\":2}",
            "{\"a\":{\"b\":1,\"b\":1}}",
            "{\"a\":\"text\"}",
            "{\"a\":[1]}",
            "{\"a\":true}",
            "{\"a\":1.5}",
            "{\"a\":1e2}",
            "{\"a\":-0}",
            "{\"a\":18446744073709551616}",
            "{\"a\":-9223372036854775809}",
            "{\"a b\":1}",
            "{\"\\ud800\":1}",
            "{\"a\":{\"b\":{\"c\":{}}}}",
            "{\"a\":{\"type\":\"tokens\"}}",
            "{\"a\":1",
            "{\"a\":1}x",
            &excess,
            &longer,
        ];
        for (values, expected) in [(accepted.as_slice(), true), (refused.as_slice(), false)] {
            for value in values {
                for is_transcription in [false, true] {
                    assert_eq!(is_usage(value, is_transcription), expected, "{value}");
                    assert_eq!(by_tree(value, is_transcription), expected, "{value}");
                }
            }
        }
        for (value, expected) in
            [("\"tokens\"", true), ("\"dur\\u0061tion\"", true), ("\"Tokens\"", false), ("\"\"", false)]
        {
            let usage = format!("{{\"type\":{value},\"seconds\":3}}");
            assert_eq!((is_usage(&usage, true), by_tree(&usage, true)), (expected, expected), "{usage}");
            assert!(!is_usage(&usage, false));
        }
    }
}
