//! What an opened document says (protocols/privatemode.md 6.4): texts and ends of choices, and whether the answer is complete. The end mark
//! of a stream is in clear and proves nothing, so an answer is complete only when its sealed parts say so (threats T31).

use super::answer::{AnswerPart, OpenedDocument, is_same_model};
use super::failure::SEALED_WORDS;
use super::plain::ClearRequest;
use crate::endpoint::{Event, TextField};
use crate::error::{Code, Error, Result, cleaned};
use crate::limits::ANSWER_MAX_CHOICES;
use crate::openai::ApiEndpoint;
use crate::wire::json::Json;
use crate::wire::walk::{Text, WalkError, Walker};

/// Longest finish reason that is repeated.
const FINISH_REASON_MAX_BYTES: usize = 64;

/// What events of the messages API are about: a sealed member, and the types that have it. The two that have a `delta` are told apart by
/// the `index` of what it belongs to.
const MESSAGE_MEMBERS: [(&str, &[&str]); 4] = [
    ("message", &["message_start"]),
    ("content_block", &["content_block_start"]),
    ("delta", &["content_block_delta", "message_delta"]),
    ("index", &["content_block_start", "content_block_delta", "content_block_stop"]),
];

/// How an answer is handed out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// Texts, ends and usage of choices; and as documents those parts that say something which these have no place for: calls of tools,
    /// refusals, audio, log probabilities.
    #[default]
    Texts,
    /// Every opened document as it is.
    Documents,
}

/// Which usage of a stream is handed out. The enclave makes the model count with every event, whatever was asked for (6.4); who asked
/// for none expects no event without choices, and who asked for the whole sums up what every event says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StreamUsage {
    /// None of it.
    Never,
    /// That of the last event, which has no choices.
    Last,
    /// All that came.
    #[default]
    Always,
}

impl StreamUsage {
    /// What a request asked for.
    pub const fn of(clear: &ClearRequest) -> StreamUsage {
        match (clear.wants_usage, clear.wants_usage_always) {
            (false, _) => StreamUsage::Never,
            (true, false) => StreamUsage::Last,
            (true, true) => StreamUsage::Always,
        }
    }
}

/// Reads the opened documents of one answer in order.
#[derive(Debug)]
pub(super) struct Progress {
    endpoint: ApiEndpoint,
    output: Output,
    usage: StreamUsage,
    model: Option<String>,
    /// Index of each choice, and whether it ended.
    choices: Vec<(u32, bool)>,
    /// A sealed end of the whole was seen: a reason to stop (messages), the event that ends OpenAI's own transcriptions.
    stopped: bool,
    /// Events of OpenAI's own transcriptions were seen.
    typed: bool,
    /// The clear sign of the end was seen.
    end_sign: bool,
    id: Option<String>,
}

impl Progress {
    pub fn new(endpoint: ApiEndpoint, output: Output, model: Option<String>) -> Progress {
        let usage = StreamUsage::Always;
        Progress {
            endpoint,
            output,
            usage,
            model,
            choices: Vec::new(),
            stopped: false,
            typed: false,
            end_sign: false,
            id: None,
        }
    }

    /// What a stream says of usage is handed out only as far as this.
    pub const fn set_usage(&mut self, usage: StreamUsage) {
        self.usage = usage;
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
        let part = if streamed { AnswerPart::Event } else { AnswerPart::Whole };
        let read = document.check_read(Known::read(&document), &self.endpoint, part)?;
        let read = read.map_err(|error| match error {
            WalkError::Limit(limit) => Error::new(Code::LimitExceeded).at(limit),
            WalkError::Malformed | WalkError::DuplicateMember => malformed(),
        })?;
        if let Some(error) = read.error.as_ref().filter(|error| !error.is_null()) {
            let message = error.get("message").unwrap_or(error).as_str().unwrap_or_default();
            let error = Error::new(Code::UpstreamError).at("answer").found(message);
            return Err(error.context(SEALED_WORDS));
        }
        self.check_model(&read)?;
        self.check_id(&read)?;
        let before = out.len();
        let mut says_more = false;
        let result = match self.endpoint {
            // The gateway can rename members (5.3), which is not noticed by opening them.
            ApiEndpoint::ChatCompletions | ApiEndpoint::Completions if !document.is_sealed("choices") => {
                Err(malformed().at("choices"))
            }
            ApiEndpoint::ChatCompletions | ApiEndpoint::Completions => {
                self.choices(read.choices.as_ref(), streamed, out).map(|more| says_more = more)
            }
            ApiEndpoint::Messages if streamed => self.message_event(name, &read, &document),
            ApiEndpoint::Transcriptions if streamed => self.transcription_event(&read, &document),
            _ => Ok(()),
        };
        if let Err(error) = result {
            out.truncate(before);
            return Err(error);
        }
        let usage = document.member("usage").filter(|usage| usage.starts_with('{'));
        let only_usage =
            usage.is_some() && read.choices.as_ref().is_some_and(|choices| choices.first.is_none());
        // The messages API has usage in its events by itself.
        let hides = streamed
            && read.choices.is_some()
            && match self.usage {
                StreamUsage::Never => true,
                StreamUsage::Last => !only_usage,
                StreamUsage::Always => false,
            };
        let into_text = |document: OpenedDocument<'_>| {
            if hides { document.into_text_without("usage") } else { document.into_text() }
        };
        match self.output {
            Output::Documents if hides && only_usage => {}
            Output::Documents => {
                out.push(Event::Document { name: cleaned(name, 64), json: into_text(document) });
            }
            Output::Texts => {
                // By itself it disturbs nobody.
                if let Some(usage) = usage.filter(|_| only_usage || !hides) {
                    out.push(Event::Usage { json: usage.to_owned() });
                }
                if says_more {
                    // Before the texts and ends that it holds too: behind an end nobody looks for more.
                    out.insert(
                        before,
                        Event::Document { name: cleaned(name, 64), json: into_text(document) },
                    );
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
            ApiEndpoint::Transcriptions if streamed && !ended && !self.stopped => Some("finish_reason"),
            ApiEndpoint::Messages if streamed && !self.stopped => Some("stop_reason"),
            _ if streamed && !self.end_sign => Some("the end of the stream"),
            _ => None,
        };
        missing.map_or(Ok(()), |what| Err(Error::new(Code::Truncated).at(what)))
    }

    /// The model is sealed, so another one was really used: the gateway can route a request anywhere (privatemode.md 5.3).
    fn check_model(&self, read: &Known<'_>) -> Result<()> {
        let (Some(asked), Some(served)) = (&self.model, read.model.map(Text::decode)) else {
            return Ok(());
        };
        if is_same_model(asked, &served) {
            return Ok(());
        }
        Err(Error::new(Code::AnswerMixed).at("model").expected(asked.as_str()).found(served))
    }

    /// One answer has one id (threats T32, T38). It is in clear, so this keeps mistakes apart, not attackers.
    fn check_id(&mut self, read: &Known<'_>) -> Result<()> {
        match (read.id.map(Text::decode), &self.id) {
            (Some(id), Some(known)) if id != *known => Err(Error::new(Code::AnswerMixed).at("id")),
            (Some(id), None) => {
                self.id = Some(id.into_owned());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Gives whether something is said that no event but the document has a place for.
    fn choices(
        &mut self,
        choices: Option<&Choices<'_>>,
        streamed: bool,
        out: &mut Vec<Event>,
    ) -> Result<bool> {
        let mut says_more = false;
        let malformed = || {
            Error::new(if streamed { Code::MalformedEvent } else { Code::MalformedResponse }).at("choices")
        };
        let choices = choices.ok_or_else(malformed)?;
        let is_only = choices.more.is_empty();
        for choice in choices.first.iter().chain(&choices.more) {
            let index = match choice.index {
                None if !streamed && is_only => 0,
                index => index.flatten().and_then(|index| u32::try_from(index).ok()).ok_or_else(malformed)?,
            };
            let part = if streamed { &choice.delta } else { &choice.message };
            let reasoning = part.reasoning_content.or(part.reasoning);
            let content = part.content.or(choice.text);
            let ended = self.ended(index)?;
            if ended && part.more {
                return Err(Error::new(Code::MalformedEvent).at("more after finish_reason"));
            }
            says_more |= part.more || choice.more;
            for (field, text) in [(TextField::Reasoning, reasoning), (TextField::Content, content)] {
                let Some(text) = text.filter(|text| !text.is_empty()) else { continue };
                if ended {
                    return Err(Error::new(Code::MalformedEvent).at("text after finish_reason"));
                }
                if self.output == Output::Texts {
                    out.push(Event::Text { choice: index, field, text: text.decode().into_owned() });
                }
            }
            if let Some(reason) = choice.finish_reason.filter(|_| !ended) {
                if self.output == Output::Texts {
                    let reason = cleaned(&reason.decode(), FINISH_REASON_MAX_BYTES);
                    out.push(Event::Finish { choice: index, reason });
                }
                if let Some((_, ended)) = self.choices.iter_mut().find(|(known, _)| *known == index) {
                    *ended = true;
                }
            }
        }
        Ok(says_more)
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

    /// An event of the messages API. Its type and its name are in clear, and the gateway can rename members (5.3): an end counts only after
    /// the sealed reason for it, and an event must have the sealed members that its type is about, and none that another type is about.
    fn message_event(&mut self, name: &str, read: &Known<'_>, document: &OpenedDocument<'_>) -> Result<()> {
        let kind = read.kind.map(Text::decode).unwrap_or_default();
        let malformed = |place| Err(Error::new(Code::MalformedEvent).at(place));
        if !name.is_empty() && name != kind {
            return malformed("event");
        }
        for (member, kinds) in MESSAGE_MEMBERS {
            let is_about = kinds.contains(&kind.as_ref());
            let says = document.member(member).is_some_and(|value| value != "null");
            if is_about && !document.is_sealed(member) {
                return malformed(member);
            }
            if says && !is_about {
                return malformed("type");
            }
        }
        self.stopped |= read.stops;
        self.end_sign |= kind == "message_stop";
        Ok(())
    }

    /// An event of a transcription, in one of two forms. All of it but usage and duration is sealed.
    ///
    /// With `choices`: a model hears a long recording in sections, and each has an end of its own, so what was said last counts. With a
    /// `type`: OpenAI's own form, which has an event for the end. The gateway can rename members (5.3), so an answer has one of the forms.
    fn transcription_event(&mut self, read: &Known<'_>, document: &OpenedDocument<'_>) -> Result<()> {
        let malformed = |place| Err(Error::new(Code::MalformedEvent).at(place));
        let Some(choices) = &read.choices else {
            let kind = read.kind.map(Text::decode).unwrap_or_default();
            let content = match kind.as_ref() {
                "transcript.text.delta" => "delta",
                "transcript.text.segment" | "transcript.text.done" => "text",
                _ => return malformed("choices"),
            };
            if !document.is_sealed(content) {
                return malformed(content);
            }
            if !self.choices.is_empty() {
                return malformed("choices");
            }
            self.typed = true;
            if kind == "transcript.text.done" {
                (self.stopped, self.end_sign) = (true, true);
            }
            return Ok(());
        };
        if self.typed {
            return malformed("type");
        }
        for choice in choices.first.iter().chain(&choices.more) {
            let index = choice.index.flatten().and_then(|index| u32::try_from(index).ok()).unwrap_or(0);
            self.ended(index)?;
            if let Some((_, ended)) = self.choices.iter_mut().find(|(known, _)| *known == index) {
                *ended = choice.finish_reason.is_some();
            }
        }
        Ok(())
    }
}

/// The members of a document that are looked into. All others are checked in the same way and not kept.
#[derive(Default)]
struct Known<'d> {
    error: Option<Json>,
    model: Option<Text<'d>>,
    id: Option<Text<'d>>,
    kind: Option<Text<'d>>,
    /// When it is an array.
    choices: Option<Choices<'d>>,
    /// `delta` has a reason to stop.
    stops: bool,
}

/// Elements of `choices`, without an allocation for a single one.
#[derive(Default)]
struct Choices<'d> {
    first: Option<Choice<'d>>,
    more: Vec<Choice<'d>>,
}

#[derive(Default)]
struct Choice<'d> {
    /// Whether it is there; its value if that is an integer.
    index: Option<Option<u64>>,
    delta: Part<'d>,
    message: Part<'d>,
    text: Option<Text<'d>>,
    finish_reason: Option<Text<'d>>,
    /// Log probabilities.
    more: bool,
}

/// Texts of a `delta` or `message`.
#[derive(Default)]
struct Part<'d> {
    reasoning_content: Option<Text<'d>>,
    reasoning: Option<Text<'d>>,
    content: Option<Text<'d>>,
    /// Anything else that is neither `null` nor empty: `tool_calls`, `function_call`, `refusal`, `audio`, ...
    more: bool,
}

type Read<T> = std::result::Result<T, WalkError>;

impl<'d> Known<'d> {
    /// Reads an opened document by the rules of [`Json::parse`]: no name twice in any object, no half of a surrogate pair, no number
    /// that is out of range, bounded depth and members. Each opened value is one JSON value by itself: only then does the text around it
    /// mean what it meant before. Members in clear were checked by their own rules, and names of the top level.
    fn read(document: &'d OpenedDocument<'_>) -> Read<Known<'d>> {
        let mut known = Known::default();
        for (name, raw, sealed) in document.members() {
            if !sealed && !is_known(name) {
                continue;
            }
            let mut walker = Walker::inside(1, raw);
            known.member(name, raw, &mut walker)?;
            walker.end()?;
        }
        Ok(known)
    }

    fn member(&mut self, name: &str, raw: &'d str, walker: &mut Walker<'d>) -> Read<()> {
        match name {
            "model" => self.model = walker.text()?,
            "id" => self.id = walker.text()?,
            "type" => self.kind = walker.text()?,
            "choices" if walker.peek() == Some(b'[') => self.choices = Some(Choices::read(walker)?),
            // A stream of the messages API names the model in its first event only.
            "message" if walker.peek() == Some(b'{') => walker.object(|walker, name| {
                match name {
                    "model" => self.model = walker.text()?,
                    _ => walker.skip()?,
                }
                Ok(())
            })?,
            "delta" if walker.peek() == Some(b'{') => walker.object(|walker, name| {
                match name {
                    "stop_reason" => self.stops = walker.text()?.is_some(),
                    _ => walker.skip()?,
                }
                Ok(())
            })?,
            "error" => {
                walker.skip()?;
                self.error = Some(Json::parse(raw.as_bytes())?);
            }
            _ => walker.skip()?,
        }
        Ok(())
    }
}

fn is_known(name: &str) -> bool {
    matches!(name, "model" | "id" | "type" | "choices" | "message" | "delta" | "error")
}

impl<'d> Choices<'d> {
    fn read(walker: &mut Walker<'d>) -> Read<Choices<'d>> {
        let mut choices = Choices::default();
        walker.array(|walker| {
            let choice = Choice::read(walker)?;
            if choices.first.is_none() {
                choices.first = Some(choice);
            } else if choices.more.len() >= ANSWER_MAX_CHOICES {
                return Err(WalkError::Limit("choices"));
            } else {
                choices.more.push(choice);
            }
            Ok(())
        })?;
        Ok(choices)
    }
}

impl<'d> Choice<'d> {
    fn read(walker: &mut Walker<'d>) -> Read<Choice<'d>> {
        let mut choice = Choice::default();
        if walker.peek() != Some(b'{') {
            walker.skip()?;
            return Ok(choice);
        }
        walker.object(|walker, name| {
            match name {
                "index" => choice.index = Some(walker.integer()?),
                "delta" => choice.delta = Part::read(walker)?,
                "message" => choice.message = Part::read(walker)?,
                "text" => choice.text = walker.text()?,
                "finish_reason" => choice.finish_reason = walker.text()?,
                "logprobs" => choice.more = says_something(walker)?,
                _ => walker.skip()?,
            }
            Ok(())
        })?;
        Ok(choice)
    }
}

impl<'d> Part<'d> {
    fn read(walker: &mut Walker<'d>) -> Read<Part<'d>> {
        let mut part = Part::default();
        if walker.peek() != Some(b'{') {
            walker.skip()?;
            return Ok(part);
        }
        walker.object(|walker, name| {
            match name {
                "role" => walker.skip()?,
                "reasoning_content" => part.reasoning_content = part.text(walker)?,
                "reasoning" => part.reasoning = part.text(walker)?,
                "content" => part.content = part.text(walker)?,
                _ => part.more |= says_something(walker)?,
            }
            Ok(())
        })?;
        Ok(part)
    }

    /// A text; what stands in its place instead is more than a text.
    fn text(&mut self, walker: &mut Walker<'d>) -> Read<Option<Text<'d>>> {
        if walker.peek() == Some(b'"') {
            return walker.text();
        }
        self.more |= says_something(walker)?;
        Ok(None)
    }
}

/// Reads any value; false for `null`, an empty text, array or object.
fn says_something(walker: &mut Walker<'_>) -> Read<bool> {
    let mut holds = false;
    match walker.peek() {
        Some(b'"') => return Ok(walker.text()?.is_some_and(|text| !text.is_empty())),
        Some(b'[') => walker.array(|walker| {
            holds = true;
            walker.skip()
        })?,
        Some(b'{') => walker.object(|walker, _| {
            holds = true;
            walker.skip()
        })?,
        first => {
            walker.skip()?;
            holds = first != Some(b'n');
        }
    }
    Ok(holds)
}

#[cfg(test)]
mod tests {
    use super::super::answer::{AnswerPart, open_members};
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
                let document = open_members(&text, &endpoint, AnswerPart::Event, size, open).unwrap();
                assert_eq!(Known::read(&document).is_ok(), accepted, "{name}: {value}");
            }
        }
    }
}
