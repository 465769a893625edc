//! What an opened document says (protocols/privatemode.md 6.4): texts and ends of choices, and whether the answer is complete. The end mark
//! of a stream is in clear and proves nothing, so an answer is complete only when its sealed parts say so (threats T31).

use super::answer::{OpenedDocument, is_same_model};
use crate::endpoint::{Event, TextField};
use crate::error::{Code, Error, Result, cleaned};
use crate::limits::{ANSWER_MAX_CHOICES, JSON_MAX_VALUES};
use crate::openai::ApiEndpoint;
use crate::wire::json::{Json, JsonError};

/// Longest finish reason that is repeated.
const FINISH_REASON_MAX_BYTES: usize = 64;

/// How an answer is handed out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// Texts, ends and usage of choices.
    #[default]
    Texts,
    /// Every opened document as it is.
    Documents,
}

/// Reads the opened documents of one answer in order.
#[derive(Debug)]
pub(super) struct Progress {
    endpoint: ApiEndpoint,
    output: Output,
    model: Option<String>,
    /// Index of each choice, and whether it ended.
    choices: Vec<(u32, bool)>,
    /// A sealed reason to stop was seen (messages).
    stopped: bool,
    /// The clear sign of the end was seen.
    end_sign: bool,
    id: Option<String>,
}

impl Progress {
    pub fn new(endpoint: ApiEndpoint, output: Output, model: Option<String>) -> Progress {
        Progress { endpoint, output, model, choices: Vec::new(), stopped: false, end_sign: false, id: None }
    }

    /// The id that the answer stated in clear.
    pub fn take_id(&mut self) -> Option<String> {
        self.id.take()
    }

    /// True after the end mark of the endpoint's streams.
    pub const fn has_ended(&self) -> bool {
        self.end_sign
    }

    /// `[DONE]` came.
    pub const fn done(&mut self) {
        self.end_sign = true;
    }

    /// Takes the next opened document; `streamed` when it is an event. Nothing is in `out` when this fails.
    pub fn take(
        &mut self,
        name: &str,
        document: OpenedDocument<'_>,
        streamed: bool,
        out: &mut Vec<Event>,
    ) -> Result<()> {
        let malformed = || Error::new(if streamed { Code::MalformedEvent } else { Code::MalformedResponse });
        let mut read = Known::read(&document).map_err(|_| malformed())?;
        if let Some(error) = read.error.as_ref().filter(|error| !error.is_null()) {
            let message = error.get("message").and_then(Json::as_str).unwrap_or_default();
            return Err(Error::new(Code::UpstreamError).at("answer").found(message));
        }
        self.check_model(&read)?;
        self.check_id(&read)?;
        let before = out.len();
        let result = match self.endpoint {
            // The gateway can rename members (5.3), which is not noticed by opening them.
            ApiEndpoint::ChatCompletions | ApiEndpoint::Completions if !document.is_sealed("choices") => {
                Err(malformed().at("choices"))
            }
            ApiEndpoint::ChatCompletions | ApiEndpoint::Completions => {
                let choices = read.choices.take();
                self.choices(choices, streamed, out)
            }
            ApiEndpoint::Messages if streamed => {
                self.message_event(&read);
                Ok(())
            }
            _ => Ok(()),
        };
        if let Err(error) = result {
            out.truncate(before);
            return Err(error);
        }
        match self.output {
            Output::Documents => {
                out.truncate(before);
                out.push(Event::Document { name: cleaned(name, 64), json: document.into_text() });
            }
            Output::Texts => {
                if let Some(usage) = document.member("usage").filter(|usage| usage.starts_with('{')) {
                    out.push(Event::Usage { json: usage.to_owned() });
                }
            }
        }
        Ok(())
    }

    /// Whether the answer may end here. Fails with `truncated`.
    pub fn check_complete(&self, streamed: bool) -> Result<()> {
        let ended = !self.choices.is_empty() && self.choices.iter().all(|(_, ended)| *ended);
        let missing = match self.endpoint {
            ApiEndpoint::ChatCompletions | ApiEndpoint::Completions if !ended => Some("finish_reason"),
            ApiEndpoint::Messages if streamed && !self.stopped => Some("stop_reason"),
            _ if streamed && !self.end_sign => Some("the end of the stream"),
            _ => None,
        };
        missing.map_or(Ok(()), |what| Err(Error::new(Code::Truncated).at(what)))
    }

    /// The model is sealed, so another one was really used: the gateway can route a request anywhere (privatemode.md 5.3).
    fn check_model(&self, read: &Known<'_>) -> Result<()> {
        let (Some(asked), Some(served)) = (&self.model, read.model.as_ref().and_then(Value::as_str)) else {
            return Ok(());
        };
        if is_same_model(asked, served) {
            return Ok(());
        }
        Err(Error::new(Code::AnswerMixed).at("model").expected(asked.as_str()).found(served))
    }

    /// One answer has one id (threats T32, T38). It is in clear, so this keeps mistakes apart, not attackers.
    fn check_id(&mut self, read: &Known<'_>) -> Result<()> {
        match (read.id.as_ref().and_then(Value::as_str), &self.id) {
            (Some(id), Some(known)) if id != known => Err(Error::new(Code::AnswerMixed).at("id")),
            (Some(id), None) => {
                self.id = Some(id.to_owned());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn choices(&mut self, choices: Option<Value<'_>>, streamed: bool, out: &mut Vec<Event>) -> Result<()> {
        let malformed = || {
            Error::new(if streamed { Code::MalformedEvent } else { Code::MalformedResponse }).at("choices")
        };
        let Some(Value::Other(Json::Array(choices))) = choices else { return Err(malformed()) };
        let is_only = choices.len() == 1;
        for mut choice in choices {
            let index = match choice.get("index") {
                None if !streamed && is_only => 0,
                index => index
                    .and_then(Json::as_u64)
                    .and_then(|index| u32::try_from(index).ok())
                    .ok_or_else(malformed)?,
            };
            let mut part = member_mut(&mut choice, if streamed { "delta" } else { "message" });
            let mut text_of = |name: &str| part.as_mut().and_then(|part| take_text(part, name));
            let reasoning = text_of("reasoning_content").or_else(|| text_of("reasoning"));
            let content = text_of("content");
            let content = content.or_else(|| take_text(&mut choice, "text"));
            let ended = self.ended(index)?;
            for (field, text) in [(TextField::Reasoning, reasoning), (TextField::Content, content)] {
                let Some(text) = text.filter(|text| !text.is_empty()) else { continue };
                if ended {
                    return Err(Error::new(Code::MalformedEvent).at("text after finish_reason"));
                }
                out.push(Event::Text { choice: index, field, text });
            }
            if let Some(reason) = choice.get("finish_reason").and_then(Json::as_str).filter(|_| !ended) {
                let reason = cleaned(reason, FINISH_REASON_MAX_BYTES);
                out.push(Event::Finish { choice: index, reason });
                if let Some((_, ended)) = self.choices.iter_mut().find(|(known, _)| *known == index) {
                    *ended = true;
                }
            }
        }
        Ok(())
    }

    fn ended(&mut self, index: u32) -> Result<bool> {
        if let Some((_, ended)) = self.choices.iter().find(|(known, _)| *known == index) {
            return Ok(*ended);
        }
        if self.choices.len() >= ANSWER_MAX_CHOICES {
            return Err(Error::new(Code::LimitExceeded).at("choices"));
        }
        self.choices.push((index, false));
        Ok(false)
    }

    /// An event of the messages API. The `type` is in clear: an end counts only after the sealed reason for it.
    fn message_event(&mut self, read: &Known<'_>) {
        let reason = read.delta.as_ref().and_then(|delta| delta.get("stop_reason")).and_then(Json::as_str);
        self.stopped |= reason.is_some();
        self.end_sign |= read.kind.as_ref().and_then(Value::as_str) == Some("message_stop");
    }
}

/// The members of a document that are looked into. All others are checked in the same way and not kept.
#[derive(Default)]
struct Known<'d> {
    error: Option<Value<'d>>,
    model: Option<Value<'d>>,
    id: Option<Value<'d>>,
    choices: Option<Value<'d>>,
    delta: Option<Value<'d>>,
    kind: Option<Value<'d>>,
}

/// A value; a text without escapes stays where it is.
enum Value<'d> {
    Text(&'d str),
    Other(Json),
}

impl Value<'_> {
    fn as_str(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            Value::Other(json) => json.as_str(),
        }
    }

    fn get(&self, name: &str) -> Option<&Json> {
        match self {
            Value::Text(_) => None,
            Value::Other(json) => json.get(name),
        }
    }

    const fn is_null(&self) -> bool {
        matches!(self, Value::Other(Json::Null))
    }
}

impl<'d> Known<'d> {
    /// Reads an opened document by the rules of [`Json::parse`]: no name twice in any object, no half of a surrogate pair, no number
    /// that is out of range, bounded numbers of values. Grammar, depth and the names of the top level were checked when it was opened,
    /// members in clear by their own rules; so what is a plain scalar needs no parser.
    fn read(document: &'d OpenedDocument<'_>) -> std::result::Result<Known<'d>, JsonError> {
        // What is shorter cannot have more values in all its members together.
        if document.text().len() > JSON_MAX_VALUES {
            return Ok(Known::of_object(Json::parse(document.text().as_bytes())?));
        }
        let mut known = Known::default();
        for (name, raw, sealed) in document.members() {
            let place = known.place(name);
            if place.is_none() && (!sealed || is_plain_scalar(raw)) {
                continue;
            }
            let value = match plain_string(raw) {
                Some(text) => Value::Text(text),
                None => Value::Other(Json::parse(raw.as_bytes())?),
            };
            if let Some(place) = place {
                *place = Some(value);
            }
        }
        Ok(known)
    }

    fn of_object(json: Json) -> Known<'d> {
        let mut known = Known::default();
        if let Json::Object(members) = json {
            for (name, value) in members {
                if let Some(place) = known.place(&name) {
                    *place = Some(Value::Other(value));
                }
            }
        }
        known
    }

    fn place(&mut self, name: &str) -> Option<&mut Option<Value<'d>>> {
        match name {
            "error" => Some(&mut self.error),
            "model" => Some(&mut self.model),
            "id" => Some(&mut self.id),
            "choices" => Some(&mut self.choices),
            "delta" => Some(&mut self.delta),
            "type" => Some(&mut self.kind),
            _ => None,
        }
    }
}

/// The text of a string without escapes, given by its checked raw form.
fn plain_string(raw: &str) -> Option<&str> {
    let text = raw.strip_prefix('"')?.strip_suffix('"')?;
    memchr::memchr(b'\\', text.as_bytes()).is_none().then_some(text)
}

/// True for a checked raw value that no further rule can refuse.
fn is_plain_scalar(raw: &str) -> bool {
    let is_small_integer = raw.len() <= 18 && raw.bytes().all(|byte| byte.is_ascii_digit());
    matches!(raw, "null" | "true" | "false") || is_small_integer || plain_string(raw).is_some()
}

fn member_mut<'j>(object: &'j mut Json, name: &str) -> Option<&'j mut Json> {
    match object {
        Json::Object(members) => {
            members.iter_mut().find(|(member, _)| member == name).map(|(_, value)| value)
        }
        _ => None,
    }
}

/// Takes a text out of an object: an answer can be large.
fn take_text(object: &mut Json, name: &str) -> Option<String> {
    match member_mut(object, name) {
        Some(Json::String(text)) => Some(std::mem::take(text)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::answer::{AnswerPart, open_document};
    use super::super::plan::MessageSize;
    use super::*;

    /// Reading by member refuses what a parser refuses that takes the whole document (threats T10, T44).
    #[test]
    fn as_strict_as_a_parser() {
        for (value, accepted) in [
            ("1", true),
            ("-0.5e3", true),
            ("123456789012345678901234567890", true),
            ("1e999", false),
            ("\"plain\"", true),
            ("\"\\ud83d\\ude00\"", true),
            ("\"\\ud800\"", false),
            ("[\"\\udc00\"]", false),
            ("null", true),
            (" [ 1 ] ", true),
            ("{\"a\":{\"b\":1,\"c\":2}}", true),
            ("{\"a\":{\"b\":1,\"b\":2}}", false),
            ("[{\"a\":1,\"\\u0061\":2}]", false),
        ] {
            assert_eq!(Json::parse(value.as_bytes()).is_ok(), accepted, "{value}");
            for name in ["x", "id_2", "model", "choices", "error"] {
                let text = format!("{{\"{name}\":\"sealed\"}}");
                let open = |_: &str, out: &mut Vec<u8>| {
                    out.extend_from_slice(value.as_bytes());
                    Ok(())
                };
                let (endpoint, size) = (ApiEndpoint::ChatCompletions, MessageSize { id_bytes: 44 });
                let document = open_document(&text, &endpoint, AnswerPart::Event, size, open).unwrap();
                assert_eq!(Known::read(&document).is_ok(), accepted, "{name}: {value}");
            }
        }
    }
}
