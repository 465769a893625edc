//! What a request's body says about where it goes and how its answer is written. The core reads it again, strictly, when it seals.

use proveil::core::openai::forms::Form;
use proveil::core::openai::{ApiEndpoint, BodyKind};
use proveil::core::wire::json::{JsonError, raw_members, write_string};
use proveil::{Code, Error, Result};
use serde_json::Value;
use zeroize::Zeroizing;

/// What is read of a body.
#[derive(Default)]
pub(crate) struct Outline {
    pub(crate) model: Option<String>,
    pub(crate) streams: bool,
    pub(crate) wants_usage: bool,
    pub(crate) wants_thinking: bool,
    /// Tools are offered, or were used before.
    pub(crate) has_tools: bool,
}

impl Outline {
    /// Fails with the input family: no JSON, a member twice, no model.
    pub(crate) fn of(endpoint: &ApiEndpoint, content_type: Option<&str>, body: &[u8]) -> Result<Outline> {
        match endpoint.body() {
            BodyKind::Json => Outline::of_json(body),
            BodyKind::Form => {
                let form = Form::parse(content_type.unwrap_or_default(), body)?;
                let text =
                    |name: &str| form.first_value(name).and_then(|value| std::str::from_utf8(value).ok());
                let model = text("model").map(str::to_owned).ok_or_else(no_model)?;
                Ok(Outline {
                    model: Some(model),
                    // As the provider reads it.
                    streams: text("stream")
                        .is_some_and(|value| value == "1" || value.eq_ignore_ascii_case("true")),
                    ..Outline::default()
                })
            }
            BodyKind::Raw | BodyKind::None => Ok(Outline::default()),
        }
    }

    fn of_json(body: &[u8]) -> Result<Outline> {
        let text = std::str::from_utf8(body).map_err(|_| Error::new(Code::MalformedRequest))?;
        let mut outline = Outline::default();
        for (name, value) in raw_members(text).map_err(cause)? {
            match name.as_ref() {
                "model" => outline.model = serde_json::from_str(value.get()).map_err(|_| no_model())?,
                "stream" => outline.streams = value.get() == "true",
                "stream_options" => {
                    let options: Option<Value> = serde_json::from_str(value.get()).ok();
                    outline.wants_usage =
                        options.and_then(|options| options.get("include_usage")?.as_bool()).unwrap_or(false);
                }
                "thinking" => {
                    let thinking: Option<Value> = serde_json::from_str(value.get()).ok();
                    let kind = thinking.as_ref().and_then(|it| it.get("type")).and_then(Value::as_str);
                    outline.wants_thinking = matches!(kind, Some("enabled" | "adaptive"));
                }
                "tools" => outline.has_tools |= value.get() != "null",
                // Said again by the reader below, which looks at every message.
                "messages" => outline.has_tools |= value.get().contains("\"tool"),
                _ => {}
            }
        }
        if outline.model.is_none() {
            return Err(no_model());
        }
        Ok(outline)
    }
}

fn no_model() -> Error {
    Error::new(Code::InvalidArgument).at("model").expected("a text")
}

fn cause(error: JsonError) -> Error {
    match error {
        JsonError::Malformed => Error::new(Code::MalformedRequest),
        JsonError::DuplicateMember => Error::new(Code::DuplicateMember),
    }
}

/// The body with another `model`; everything else stays byte for byte.
pub(super) fn json_with_model(body: &[u8], model: &str) -> Result<Zeroizing<Vec<u8>>> {
    let text = std::str::from_utf8(body).map_err(|_| Error::new(Code::MalformedRequest))?;
    let members = raw_members(text).map_err(cause)?;
    let value = members
        .iter()
        .find(|(name, _)| name == "model")
        .map(|(_, value)| value.get())
        .ok_or_else(no_model)?;
    // The value is a part of the text.
    let start = value.as_ptr().addr().checked_sub(text.as_ptr().addr());
    let (before, rest) = start.and_then(|start| text.split_at_checked(start)).ok_or_else(no_model)?;
    let after = rest.get(value.len()..).ok_or_else(no_model)?;
    let mut out = String::with_capacity(text.len().saturating_add(model.len()).saturating_add(2));
    out.push_str(before);
    write_string(model, &mut out);
    out.push_str(after);
    Ok(Zeroizing::new(out.into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_model_changes() {
        let body = r#"{ "a": 1.0, "model" : "p/m" ,"messages":[ {"content":"\u00e4"} ]}"#;
        let expected = r#"{ "a": 1.0, "model" : "m" ,"messages":[ {"content":"\u00e4"} ]}"#;
        assert_eq!(json_with_model(body.as_bytes(), "m").unwrap().as_slice(), expected.as_bytes());
        assert_eq!(json_with_model(br#"{"a":1}"#, "m").unwrap_err().code(), Code::InvalidArgument);
    }

    #[test]
    fn outlines() {
        let outline = |body: &str| Outline::of(&ApiEndpoint::ChatCompletions, None, body.as_bytes());
        let full = outline(
            r#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"thinking":{"type":"enabled"}}"#,
        );
        let full = full.unwrap();
        assert_eq!(full.model.as_deref(), Some("m"));
        assert!(full.streams && full.wants_usage && full.wants_thinking);
        for (body, code) in [
            ("", Code::MalformedRequest),
            ("[]", Code::MalformedRequest),
            ("{}", Code::InvalidArgument),
            (r#"{"model":1}"#, Code::InvalidArgument),
            (r#"{"model":null}"#, Code::InvalidArgument),
            (r#"{"model":"m","model":"n"}"#, Code::DuplicateMember),
        ] {
            assert_eq!(outline(body).err().map(|error| error.code()), Some(code), "{body}");
        }
    }
}
