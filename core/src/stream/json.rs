//! The shape of one event of a streamed chat answer, borrowed from its text (protocols/venice.md 3.5, 4).
//!
//! Strict where it matters: duplicate members are refused at every level that is read, known members must have their type, and
//! what a text field holds when it is no text is kept as [`Field::Other`] instead of being lost. Unknown members are skipped and
//! never shown. Which fields must be sealed is not decided here.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::server_error::{ErrorSeed, ServerError};
use super::value::{Field, Integer, Name, Text};
use crate::error::{Code, Error, Result};
use crate::limits::{ANSWER_MAX_CHOICES, JSON_MAX_MEMBERS};

/// Members of a usage object that are kept, and the longest name of one.
const USAGE_MAX_MEMBERS: usize = 32;
const USAGE_NAME_MAX_BYTES: usize = 64;

/// One event.
#[derive(Debug, Default)]
pub struct Chunk<'a> {
    /// `id`.
    pub id: Option<Cow<'a, str>>,
    /// `choices`; empty when absent or `null`.
    pub choices: Choices<'a>,
    /// `usage` as compact JSON with integer members only.
    pub usage: Option<String>,
    /// `error`, when it is not `null`, or the whole event when `object` is `error`.
    pub error: Option<ServerError>,
}

/// `choices`, at most [`ANSWER_MAX_CHOICES`], without an allocation for a single one.
#[derive(Debug, Default)]
pub struct Choices<'a> {
    first: Option<Choice<'a>>,
    more: Vec<Choice<'a>>,
}

impl<'a> Choices<'a> {
    /// The choices in order.
    pub fn iter(&self) -> impl Iterator<Item = &Choice<'a>> {
        self.first.iter().chain(&self.more)
    }
}

/// One element of `choices`.
#[derive(Debug, Default)]
pub struct Choice<'a> {
    /// `index`, or the position when it is absent. Unique within an event.
    pub index: u32,
    /// `delta`, or `message` in its place.
    pub delta: Delta<'a>,
    /// `finish_reason` when it is a string that is not empty.
    pub finish_reason: Option<Cow<'a, str>>,
    /// `logprobs` is not `null`.
    pub has_logprobs: bool,
}

/// What a choice adds.
#[derive(Debug, Default)]
pub struct Delta<'a> {
    /// `content`.
    pub content: Field<'a>,
    /// `reasoning_content`.
    pub reasoning_content: Field<'a>,
    /// `reasoning`.
    pub reasoning: Field<'a>,
    /// The first of `tool_calls`, `function_call`, `refusal`, `audio` and `logprobs` that is not `null`.
    pub clear: Option<&'static str>,
}

/// Reads one event. Fails with `malformed_event`.
pub fn parse_chunk(data: &[u8]) -> Result<Chunk<'_>> {
    let mut draft = ChunkDraft::default();
    if read(data, &mut draft) { Ok(draft.chunk) } else { Err(Error::new(Code::MalformedEvent)) }
}

/// Reads an object; false when the data is anything else.
pub(super) fn read<'a, T: Object<'a>>(data: &'a [u8], object: &mut T) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let mut parser = serde_json::Deserializer::from_str(text);
    let present = Within(object).deserialize(&mut parser);
    parser.end().is_ok() && matches!(present, Ok(true))
}

/// A member of an object: its place among the known names, or its name.
#[derive(Clone, Copy)]
pub(super) enum Member<'n> {
    Known(usize),
    Other(&'n str),
}

/// An object that is read member by member, in place: to hand what was read from one level to the next would cost a good part of
/// reading it.
pub(super) trait Object<'de> {
    /// Known member names, at most 32.
    const NAMES: &'static [&'static str];

    /// Takes the value of a member out of `map`.
    fn member<A: MapAccess<'de>>(&mut self, member: Member<'_>, map: &mut A) -> Result<(), A::Error>;

    /// All members have been read; a text is the reason why they do not fit together.
    fn finish(&mut self) -> Result<(), &'static str> {
        Ok(())
    }
}

/// Reads an object in place; false for `null`, which leaves it as it was.
pub(super) struct Within<'t, T>(pub &'t mut T);

impl<'de, T: Object<'de>> DeserializeSeed<'de> for Within<'_, T> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Object<'de>> Visitor<'de> for Within<'_, T> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let Within(object) = self;
        let mut seen = 0u32;
        let mut others: Vec<Cow<'de, str>> = Vec::new();
        while let Some(name) = map.next_key_seed(Name)? {
            if let Some(place) = T::NAMES.iter().position(|known| *known == name) {
                let bit = u32::try_from(place).ok().and_then(|place| 1u32.checked_shl(place)).unwrap_or(0);
                if bit == 0 || seen & bit != 0 {
                    return Err(A::Error::custom("duplicate member"));
                }
                seen |= bit;
                object.member(Member::Known(place), &mut map)?;
            } else {
                if others.len() >= JSON_MAX_MEMBERS {
                    return Err(A::Error::custom("too many members"));
                }
                object.member(Member::Other(&name), &mut map)?;
                others.push(name);
            }
        }
        others.sort_unstable();
        if others.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
            return Err(A::Error::custom("duplicate member"));
        }
        object.finish().map(|()| true).map_err(A::Error::custom)
    }
}

pub(super) fn skip<'de, A: MapAccess<'de>>(map: &mut A) -> Result<(), A::Error> {
    map.next_value::<IgnoredAny>().map(|_| ())
}

/// Takes a value and says whether it is other than `null`.
fn is_present<'de, A: MapAccess<'de>>(map: &mut A) -> Result<bool, A::Error> {
    map.next_value::<Option<IgnoredAny>>().map(|value| value.is_some())
}

fn text_or_null<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Option<Cow<'de, str>>, A::Error> {
    match map.next_value_seed(Text)? {
        Field::Absent => Ok(None),
        Field::Text(text) => Ok(Some(text)),
        Field::Other => Err(A::Error::custom("a member that must be text is not")),
    }
}

#[derive(Default)]
struct ChunkDraft<'a> {
    chunk: Chunk<'a>,
    is_error: bool,
    message: Field<'a>,
}

impl<'de> Object<'de> for ChunkDraft<'de> {
    // The last ones are only here because every event has them.
    const NAMES: &'static [&'static str] =
        &["id", "choices", "usage", "error", "object", "message", "created", "model", "system_fingerprint"];

    fn member<A: MapAccess<'de>>(&mut self, member: Member<'_>, map: &mut A) -> Result<(), A::Error> {
        match member {
            Member::Known(0) => self.chunk.id = text_or_null(map)?,
            Member::Known(1) => map.next_value_seed(ChoicesWithin(&mut self.chunk.choices))?,
            Member::Known(2) => {
                let mut usage = UsageDraft::default();
                self.chunk.usage = map.next_value_seed(Within(&mut usage))?.then(|| usage.to_json());
            }
            Member::Known(3) => self.chunk.error = map.next_value_seed(ErrorSeed)?,
            Member::Known(4) => {
                self.is_error = matches!(map.next_value_seed(Text)?, Field::Text(text) if text == "error");
            }
            Member::Known(5) => self.message = map.next_value_seed(Text)?,
            _ => skip(map)?,
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), &'static str> {
        if self.is_error && self.chunk.error.is_none() {
            let message = into_string(std::mem::take(&mut self.message));
            self.chunk.error = Some(ServerError { message, kind: String::new() });
        }
        Ok(())
    }
}

/// Reads `choices` in place; `null` leaves them empty.
struct ChoicesWithin<'t, 'de>(&'t mut Choices<'de>);

impl<'de> DeserializeSeed<'de> for ChoicesWithin<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ChoicesWithin<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let ChoicesWithin(choices) = self;
        let mut position = 0u32;
        loop {
            let mut draft = ChoiceDraft::default();
            match seq.next_element_seed(Within(&mut draft))? {
                None => return Ok(()),
                Some(true) => {}
                Some(false) => return Err(A::Error::custom("a choice is null")),
            }
            let mut choice = draft.choice;
            choice.index = draft.index.unwrap_or(position);
            position = position.saturating_add(1);
            if usize::try_from(position).unwrap_or(usize::MAX) > ANSWER_MAX_CHOICES {
                return Err(A::Error::custom("too many choices"));
            }
            if choices.iter().any(|other| other.index == choice.index) {
                return Err(A::Error::custom("two choices with one index"));
            }
            if choices.first.is_none() {
                choices.first = Some(choice);
            } else {
                choices.more.push(choice);
            }
        }
    }
}

#[derive(Default)]
struct ChoiceDraft<'a> {
    index: Option<u32>,
    has_delta: bool,
    has_message: bool,
    choice: Choice<'a>,
}

impl<'de> Object<'de> for ChoiceDraft<'de> {
    // The last ones are only here because most choices have them.
    const NAMES: &'static [&'static str] =
        &["index", "delta", "finish_reason", "logprobs", "message", "stop_reason", "token_ids"];

    fn member<A: MapAccess<'de>>(&mut self, member: Member<'_>, map: &mut A) -> Result<(), A::Error> {
        match member {
            Member::Known(0) => self.index = map.next_value()?,
            Member::Known(1) => self.has_delta = map.next_value_seed(Within(&mut self.choice.delta))?,
            Member::Known(2) => {
                self.choice.finish_reason = text_or_null(map)?.filter(|reason| !reason.is_empty());
            }
            Member::Known(3) => self.choice.has_logprobs = is_present(map)?,
            Member::Known(4) => self.has_message = map.next_value_seed(Within(&mut self.choice.delta))?,
            _ => skip(map)?,
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), &'static str> {
        if self.has_delta && self.has_message { Err("delta and message in one choice") } else { Ok(()) }
    }
}

/// Place of the first member of a delta that must be `null`.
const FIRST_CLEAR: usize = 4;

impl<'de> Object<'de> for Delta<'de> {
    const NAMES: &'static [&'static str] = &[
        "content",
        "reasoning_content",
        "reasoning",
        "role",
        "tool_calls",
        "function_call",
        "refusal",
        "audio",
        "logprobs",
    ];

    fn member<A: MapAccess<'de>>(&mut self, member: Member<'_>, map: &mut A) -> Result<(), A::Error> {
        match member {
            Member::Known(0) => self.content = map.next_value_seed(Text)?,
            Member::Known(1) => self.reasoning_content = map.next_value_seed(Text)?,
            Member::Known(2) => self.reasoning = map.next_value_seed(Text)?,
            Member::Known(place) if place >= FIRST_CLEAR => {
                if is_present(map)? && self.clear.is_none() {
                    self.clear = Self::NAMES.get(place).copied();
                }
            }
            _ => skip(map)?,
        }
        Ok(())
    }
}

/// The integer members of a usage object.
#[derive(Default)]
struct UsageDraft(Vec<(String, u64)>);

impl<'de> Object<'de> for UsageDraft {
    const NAMES: &'static [&'static str] = &[];

    fn member<A: MapAccess<'de>>(&mut self, member: Member<'_>, map: &mut A) -> Result<(), A::Error> {
        let value = map.next_value_seed(Integer)?;
        if let (Member::Other(name), Some(value)) = (member, value)
            && self.0.len() < USAGE_MAX_MEMBERS
            && name.len() <= USAGE_NAME_MAX_BYTES
            && name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
        {
            self.0.push((name.to_owned(), value));
        }
        Ok(())
    }
}

impl UsageDraft {
    fn to_json(&self) -> String {
        let mut json = String::from("{");
        for (name, value) in &self.0 {
            if json.len() > 1 {
                json.push(',');
            }
            // The names are letters, digits and underscores, so they need no escapes.
            json.push_str(&format!("\"{name}\":{value}"));
        }
        json.push('}');
        json
    }
}

pub(super) fn into_string(field: Field<'_>) -> String {
    match field {
        Field::Text(text) => text.into_owned(),
        Field::Absent | Field::Other => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Option<Code> {
        parse_chunk(text.as_bytes()).err().map(|error| error.code())
    }

    #[test]
    fn a_chunk_borrows_its_texts() {
        let text = r#"{"id":"c1","object":"chat.completion.chunk","created":1e999,"choices":[{"index":3,"delta":
            {"role":"assistant","content":"abc","reasoning":"\u0061","x":[{}]},"logprobs":null,"finish_reason":"stop"}],
            "usage":{"prompt_tokens":3,"cost":0.5,"details":{"a":1},"bad name":1,"total_tokens":5},"extra":{"a":[1]}}"#;
        let chunk = parse_chunk(text.as_bytes()).unwrap();
        assert!(matches!(chunk.id, Some(Cow::Borrowed("c1"))));
        assert_eq!(chunk.usage.as_deref(), Some(r#"{"prompt_tokens":3,"total_tokens":5}"#));
        let choices: Vec<&Choice<'_>> = chunk.choices.iter().collect();
        let [choice] = choices.as_slice() else { panic!("{choices:?}") };
        assert!(matches!(choice.delta.content, Field::Text(Cow::Borrowed("abc"))));
        assert_eq!(choice.delta.reasoning, Field::Text("a".into()));
        assert_eq!(choice.delta.reasoning_content, Field::Absent);
        assert_eq!((choice.index, choice.finish_reason.as_deref()), (3, Some("stop")));
        assert!(!choice.has_logprobs && choice.delta.clear.is_none());
    }

    #[test]
    fn forms_that_are_accepted() {
        for text in [
            "{}",
            " {\"choices\":null} ",
            "{\"choices\":[],\"usage\":null,\"error\":null,\"id\":null}",
            "{\"choices\":[{}]}",
            "{\"choices\":[{\"delta\":null,\"index\":null}]}",
            "{\"choices\":[{\"message\":{\"content\":null}}]}",
            "{\"model\":5,\"object\":5,\"message\":[]}",
            "{\"x\":1,\"y\":1}",
        ] {
            assert_eq!(code(text), None, "{text}");
        }
        let positions = parse_chunk(b"{\"choices\":[{},{}]}").unwrap();
        assert_eq!(positions.choices.iter().map(|choice| choice.index).collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn forms_that_are_refused() {
        let many = format!("{{\"choices\":[{}{{}}]}}", "{},".repeat(ANSWER_MAX_CHOICES));
        for text in [
            "",
            "null",
            "[]",
            "\"text\"",
            "{\"a\":1",
            "{} {}",
            "{\"id\":5}",
            "{\"choices\":{}}",
            "{\"choices\":[null]}",
            "{\"choices\":[5]}",
            "{\"choices\":[{\"index\":-1}]}",
            "{\"choices\":[{\"index\":4294967296}]}",
            "{\"choices\":[{\"index\":\"0\"}]}",
            "{\"choices\":[{\"index\":1},{\"index\":1}]}",
            "{\"choices\":[{\"index\":1},{}]}",
            "{\"choices\":[{\"delta\":\"text\"}]}",
            "{\"choices\":[{\"delta\":{},\"message\":{}}]}",
            "{\"choices\":[{\"finish_reason\":1}]}",
            "{\"usage\":5}",
            // Duplicate members, at every level (threats T44).
            "{\"id\":\"a\",\"id\":\"a\"}",
            "{\"choices\":[],\"\\u0063hoices\":[]}",
            "{\"x\":1,\"y\":1,\"x\":1}",
            "{\"choices\":[{\"delta\":{},\"delta\":{}}]}",
            "{\"choices\":[{\"x\":1,\"x\":1}]}",
            "{\"choices\":[{\"delta\":{\"content\":null,\"content\":\"x\"}}]}",
            "{\"choices\":[{\"delta\":{\"z\":1,\"z\":1}}]}",
            "{\"usage\":{\"a\":1,\"a\":1}}",
            "{\"error\":{\"message\":\"a\",\"message\":\"b\"}}",
            // Texts that are none.
            "{\"choices\":[{\"delta\":{\"content\":\"\\ud800\"}}]}",
            "{\"choices\":[{\"delta\":{\"content\":\"a\nb\"}}]}",
            &many,
        ] {
            assert_eq!(code(text), Some(Code::MalformedEvent), "{text}");
        }
        assert!(parse_chunk(b"{\"id\":\"\xff\"}").is_err());
    }

    #[test]
    fn what_is_no_text_is_noticed() {
        for value in ["5", "-1.5", "true", "[]", "[{\"text\":\"x\"}]", "{}", "{\"a\":[1]}"] {
            let text = format!("{{\"choices\":[{{\"delta\":{{\"content\":{value}}}}}]}}");
            let chunk = parse_chunk(text.as_bytes()).unwrap();
            assert!(chunk.choices.iter().all(|choice| choice.delta.content == Field::Other), "{text}");
        }
        for name in ["tool_calls", "function_call", "refusal", "audio", "logprobs"] {
            for (value, clear) in
                [("null", None), ("[]", Some(name)), ("\"\"", Some(name)), ("false", Some(name))]
            {
                let text = format!("{{\"choices\":[{{\"delta\":{{\"{name}\":{value}}}}}]}}");
                let chunk = parse_chunk(text.as_bytes()).unwrap();
                assert!(chunk.choices.iter().all(|choice| choice.delta.clear == clear), "{text}");
            }
        }
    }

    #[test]
    fn errors_in_a_chunk() {
        for (text, is_error) in [
            ("{\"error\":null}", false),
            ("{\"error\":{}}", true),
            ("{\"error\":[]}", true),
            ("{\"error\":false}", true),
            ("{\"error\":1}", true),
            ("{\"object\":\"error\",\"message\":\"m\"}", true),
            ("{\"object\":\"chat.completion.chunk\",\"message\":\"m\"}", false),
        ] {
            assert_eq!(parse_chunk(text.as_bytes()).unwrap().error.is_some(), is_error, "{text}");
        }
    }
}
