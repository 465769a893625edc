//! The shape of one event of a streamed chat answer, borrowed from its text (protocols/venice.md 3.5, 4).
//!
//! Strict where it matters: duplicate members are refused at every level that is read, known members must have their type, and
//! what a text field holds when it is no text is kept as [`Field::Other`] instead of being lost. Unknown members are skipped and
//! never shown. Which fields must be sealed is not decided here.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::value::{Field, Integer, Name, Scalar, Text};
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

/// What a server says about a failure, in any of its forms (protocols/venice.md 6.1). Not authenticated: show it as the server's
/// words only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerError {
    /// The message; empty when there is none.
    pub message: String,
    /// `type`, or else `code`; empty when there is none.
    pub kind: String,
}

/// Reads one event. Fails with `malformed_event`.
pub fn parse_chunk(data: &[u8]) -> Result<Chunk<'_>> {
    read::<ChunkDraft<'_>>(data).ok_or_else(|| Error::new(Code::MalformedEvent))
}

/// Reads an error body or event: `{"error":"text"}`, `{"error":{...}}`, `{"object":"error","message":...}`, `{"detail":...}`.
/// `None` when it is none of these.
pub fn parse_error(body: &[u8]) -> Option<ServerError> {
    read::<ErrorDraft<'_>>(body).filter(|error| !error.message.is_empty() || !error.kind.is_empty())
}

fn read<'a, T: Object<'a>>(data: &'a [u8]) -> Option<T::Output> {
    let text = std::str::from_utf8(data).ok()?;
    let mut parser = serde_json::Deserializer::from_str(text);
    let value = Of::<T>::seed().deserialize(&mut parser).ok()?;
    parser.end().ok()?;
    value
}

/// A member of an object: its place among the known names, or its name.
#[derive(Clone, Copy)]
enum Member<'n> {
    Known(usize),
    Other(&'n str),
}

/// An object that is read member by member.
trait Object<'de>: Default {
    /// Known member names, at most 32.
    const NAMES: &'static [&'static str];
    /// What the object reads as.
    type Output;

    /// Takes the value of a member out of `map`.
    fn member<A: MapAccess<'de>>(&mut self, member: Member<'_>, map: &mut A) -> Result<(), A::Error>;

    /// All members have been read; a text is the reason why they do not fit together.
    fn finish(self) -> Result<Self::Output, &'static str>;
}

/// Reads an object of kind `T`; `null` reads as `None`.
struct Of<T>(PhantomData<T>);

impl<T> Of<T> {
    const fn seed() -> Of<T> {
        Of(PhantomData)
    }
}

impl<'de, T: Object<'de>> DeserializeSeed<'de> for Of<T> {
    type Value = Option<T::Output>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Object<'de>> Visitor<'de> for Of<T> {
    type Value = Option<T::Output>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut object = T::default();
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
        object.finish().map(Some).map_err(A::Error::custom)
    }
}

fn skip<'de, A: MapAccess<'de>>(map: &mut A) -> Result<(), A::Error> {
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
    type Output = Chunk<'de>;

    fn member<A: MapAccess<'de>>(&mut self, member: Member<'_>, map: &mut A) -> Result<(), A::Error> {
        match member {
            Member::Known(0) => self.chunk.id = text_or_null(map)?,
            Member::Known(1) => self.chunk.choices = map.next_value_seed(ChoicesSeed)?,
            Member::Known(2) => self.chunk.usage = map.next_value_seed(Of::<UsageDraft>::seed())?,
            Member::Known(3) => self.chunk.error = map.next_value_seed(ErrorSeed)?,
            Member::Known(4) => {
                self.is_error = matches!(map.next_value_seed(Text)?, Field::Text(text) if text == "error");
            }
            Member::Known(5) => self.message = map.next_value_seed(Text)?,
            _ => skip(map)?,
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Chunk<'de>, &'static str> {
        if self.is_error && self.chunk.error.is_none() {
            self.chunk.error = Some(ServerError { message: into_string(self.message), kind: String::new() });
        }
        Ok(self.chunk)
    }
}

struct ChoicesSeed;

impl<'de> DeserializeSeed<'de> for ChoicesSeed {
    type Value = Choices<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ChoicesSeed {
    type Value = Choices<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Choices::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut choices = Choices::default();
        let mut position = 0u32;
        while let Some(element) = seq.next_element_seed(Of::<ChoiceDraft<'de>>::seed())? {
            let (index, mut choice) = element.ok_or_else(|| A::Error::custom("a choice is null"))?;
            choice.index = index.unwrap_or(position);
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
        Ok(choices)
    }
}

#[derive(Default)]
struct ChoiceDraft<'a> {
    index: Option<u32>,
    delta: Option<Delta<'a>>,
    message: Option<Delta<'a>>,
    choice: Choice<'a>,
}

impl<'de> Object<'de> for ChoiceDraft<'de> {
    const NAMES: &'static [&'static str] = &["index", "delta", "finish_reason", "logprobs", "message"];
    type Output = (Option<u32>, Choice<'de>);

    fn member<A: MapAccess<'de>>(&mut self, member: Member<'_>, map: &mut A) -> Result<(), A::Error> {
        match member {
            Member::Known(0) => self.index = map.next_value()?,
            Member::Known(1) => self.delta = map.next_value_seed(Of::<Delta<'de>>::seed())?,
            Member::Known(2) => {
                self.choice.finish_reason = text_or_null(map)?.filter(|reason| !reason.is_empty());
            }
            Member::Known(3) => self.choice.has_logprobs = is_present(map)?,
            Member::Known(4) => self.message = map.next_value_seed(Of::<Delta<'de>>::seed())?,
            _ => skip(map)?,
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Self::Output, &'static str> {
        if self.delta.is_some() && self.message.is_some() {
            return Err("delta and message in one choice");
        }
        self.choice.delta = self.delta.or(self.message).unwrap_or_default();
        Ok((self.index, self.choice))
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
    type Output = Delta<'de>;

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

    fn finish(self) -> Result<Delta<'de>, &'static str> {
        Ok(self)
    }
}

/// The integer members of a usage object.
#[derive(Default)]
struct UsageDraft(Vec<(String, u64)>);

impl<'de> Object<'de> for UsageDraft {
    const NAMES: &'static [&'static str] = &[];
    type Output = String;

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

    fn finish(self) -> Result<String, &'static str> {
        let mut json = String::from("{");
        for (name, value) in &self.0 {
            if json.len() > 1 {
                json.push(',');
            }
            // The names are letters, digits and underscores, so they need no escapes.
            json.push_str(&format!("\"{name}\":{value}"));
        }
        json.push('}');
        Ok(json)
    }
}

#[derive(Default)]
struct ErrorDraft<'a> {
    nested: Option<ServerError>,
    is_error: bool,
    message: Field<'a>,
    detail: Field<'a>,
    kind: Kind,
}

impl<'de> Object<'de> for ErrorDraft<'de> {
    const NAMES: &'static [&'static str] = &["error", "object", "message", "detail", "type", "code"];
    type Output = ServerError;

    fn member<A: MapAccess<'de>>(&mut self, member: Member<'_>, map: &mut A) -> Result<(), A::Error> {
        match member {
            Member::Known(0) => self.nested = map.next_value_seed(ErrorSeed)?,
            Member::Known(1) => {
                self.is_error = matches!(map.next_value_seed(Text)?, Field::Text(text) if text == "error");
            }
            Member::Known(2) => self.message = map.next_value_seed(Text)?,
            Member::Known(3) => self.detail = map.next_value_seed(Text)?,
            Member::Known(4) => self.kind.of_type = into_string(map.next_value_seed(Text)?),
            Member::Known(5) => self.kind.of_code = map.next_value_seed(Scalar)?,
            _ => skip(map)?,
        }
        Ok(())
    }

    fn finish(self) -> Result<ServerError, &'static str> {
        if let Some(nested) = self.nested {
            return Ok(nested);
        }
        let message = if self.is_error { into_string(self.message) } else { into_string(self.detail) };
        let kind = if self.is_error { self.kind.text() } else { String::new() };
        Ok(ServerError { message, kind })
    }
}

#[derive(Default)]
struct Kind {
    of_type: String,
    of_code: String,
}

impl Kind {
    fn text(self) -> String {
        if self.of_type.is_empty() { self.of_code } else { self.of_type }
    }
}

/// The object inside `error`.
#[derive(Default)]
struct InnerError<'a> {
    message: Field<'a>,
    kind: Kind,
}

impl<'de> Object<'de> for InnerError<'de> {
    const NAMES: &'static [&'static str] = &["message", "type", "code"];
    type Output = ServerError;

    fn member<A: MapAccess<'de>>(&mut self, member: Member<'_>, map: &mut A) -> Result<(), A::Error> {
        match member {
            Member::Known(0) => self.message = map.next_value_seed(Text)?,
            Member::Known(1) => self.kind.of_type = into_string(map.next_value_seed(Text)?),
            Member::Known(2) => self.kind.of_code = map.next_value_seed(Scalar)?,
            _ => skip(map)?,
        }
        Ok(())
    }

    fn finish(self) -> Result<ServerError, &'static str> {
        Ok(ServerError { message: into_string(self.message), kind: self.kind.text() })
    }
}

/// The value of `error`: a text, an object, `null` for none; anything else is an error without words.
struct ErrorSeed;

impl<'de> DeserializeSeed<'de> for ErrorSeed {
    type Value = Option<ServerError>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ErrorSeed {
    type Value = Option<ServerError>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an error")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(ServerError { message: text.to_owned(), kind: String::new() }))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Some(ServerError::default()))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Some(ServerError::default()))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Some(ServerError::default()))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Some(ServerError::default()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Some(ServerError::default()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Of::<InnerError<'de>>::seed().visit_map(map)
    }
}

fn into_string(field: Field<'_>) -> String {
    match field {
        Field::Text(text) => text.into_owned(),
        Field::Absent | Field::Other => String::new(),
    }
}
