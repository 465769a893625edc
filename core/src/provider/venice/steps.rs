//! From framed events to what is to be done, without a look at any plaintext.

use std::ops::{ControlFlow, Range};

use zeroize::Zeroizing;

use super::answer::AnswerOptions;
use super::failure::error_in_stream;
use super::template::Template;
use crate::endpoint::TextField;
use crate::error::{Code, Error, Result, cleaned};
use crate::limits::ANSWER_MAX_CHOICES;
use crate::seal::ecies::decode_envelope;
use crate::stream::json::{Choice, parse_chunk};
use crate::stream::{Field, ServerError, parse_error, sse};

/// Longest `finish_reason` that is repeated.
const FINISH_REASON_MAX_BYTES: usize = 64;
/// Longest answer id.
const ID_MAX_BYTES: usize = 256;
/// Data of the event that ends a stream.
pub(super) const END_MARK: &[u8] = b"[DONE]";

/// What is to be done for an event, in order.
pub(super) enum Step {
    /// An envelope in the arena. `opened` is the plaintext's length, once known. `same_as` is where the envelope lies that may hold
    /// the same text under another name.
    Sealed {
        choice: u32,
        field: TextField,
        envelope: Range<usize>,
        opened: Option<Result<usize>>,
        same_as: Option<Range<usize>>,
    },
    /// White space in clear, where that is allowed.
    Clear {
        choice: u32,
        field: TextField,
        text: String,
    },
    Finish {
        choice: u32,
        reason: String,
    },
    Usage(String),
    Done,
    Fail(Error),
    /// The event is complete: what it said is delivered.
    EventEnd,
}

/// Turns events into steps. Knows no plaintext.
pub(super) struct Reader {
    pub(super) options: AnswerOptions,
    pub(super) id: Option<String>,
    /// Index of each choice and whether it has ended.
    choices: Vec<(u32, bool)>,
    /// The bytes of all envelopes in `steps`, one after the other; plaintext in their place once they are open.
    pub(super) arena: Zeroizing<Vec<u8>>,
    pub(super) steps: Vec<Step>,
    /// What the last event looked like, if it was one of many alike.
    template: Option<Template>,
}

impl Reader {
    pub(super) fn new(options: AnswerOptions) -> Reader {
        Reader {
            options,
            id: None,
            choices: Vec::new(),
            arena: Zeroizing::default(),
            steps: Vec::new(),
            template: None,
        }
    }

    /// True when the steps end the stream, one way or the other.
    pub(super) fn stopped(&self) -> bool {
        matches!(self.steps.last(), Some(Step::Done | Step::Fail(_)))
    }

    pub(super) fn event(&mut self, event: &sse::Event<'_>) -> ControlFlow<()> {
        let data = event.data.trim_ascii();
        if data == END_MARK {
            self.steps.push(Step::Done);
            return ControlFlow::Break(());
        }
        if data.is_empty() {
            return ControlFlow::Continue(());
        }
        let event_start = self.steps.len();
        let result = if event.name == b"error" {
            Err(error_in_stream(&parse_error(data).unwrap_or_else(|| ServerError {
                message: String::from_utf8_lossy(data).into_owned(),
                kind: String::new(),
            })))
        } else if self.repeats(data) {
            Ok(())
        } else {
            self.chunk(data)
        };
        match result {
            Ok(()) => {
                self.steps.push(Step::EventEnd);
                ControlFlow::Continue(())
            }
            Err(error) => {
                self.steps.truncate(event_start);
                self.steps.push(Step::Fail(error));
                ControlFlow::Break(())
            }
        }
    }

    /// Takes an event that differs from the one before in its sealed text only. False, and nothing done, when it is another one or
    /// its text is no envelope.
    fn repeats(&mut self, data: &[u8]) -> bool {
        let Some(template) = &self.template else { return false };
        let Some(text) = template.text_of(data) else { return false };
        let (choice, field) = (template.choice, template.field);
        if self.choices.iter().any(|(index, ended)| *index == choice && *ended) {
            return false;
        }
        let start = self.arena.len();
        let Ok(bytes) = decode_envelope(text, &mut self.arena) else { return false };
        let envelope = start..start.saturating_add(bytes);
        self.steps.push(Step::Sealed { choice, field, envelope, opened: None, same_as: None });
        true
    }

    fn chunk(&mut self, data: &[u8]) -> Result<()> {
        let start = self.steps.len();
        let chunk = parse_chunk(data)?;
        if let Some(error) = &chunk.error {
            return Err(error_in_stream(error));
        }
        if let Some(id) = chunk.id.as_deref().filter(|id| !id.is_empty()) {
            self.check_id(id)?;
        }
        for choice in chunk.choices.iter() {
            self.choice(choice)?;
        }
        if let Some(usage) = &chunk.usage {
            self.steps.push(Step::Usage(usage.clone()));
        }
        if let Some([Step::Sealed { choice, field, .. }]) = self.steps.get(start..) {
            Template::remember(&mut self.template, data, &chunk, *choice, *field);
        }
        Ok(())
    }

    /// One answer has one id (threats T32, T38).
    fn check_id(&mut self, id: &str) -> Result<()> {
        match &self.id {
            Some(known) if known == id => Ok(()),
            Some(_) => Err(Error::new(Code::AnswerMixed).at("id")),
            None if id.len() > ID_MAX_BYTES || id.chars().any(char::is_control) => {
                Err(Error::new(Code::MalformedEvent).at("id"))
            }
            None => {
                self.id = Some(id.to_owned());
                Ok(())
            }
        }
    }

    fn choice(&mut self, choice: &Choice<'_>) -> Result<()> {
        let delta = &choice.delta;
        if let Some(name) = delta.clear.or(choice.has_logprobs.then_some("logprobs")) {
            return Err(Error::new(Code::PlaintextDowngrade).at(name));
        }
        let ended = self.has_ended(choice.index)?;
        let before = self.steps.len();
        self.field(choice.index, TextField::Reasoning, "reasoning_content", &delta.reasoning_content, None)?;
        let twin = match self.steps.get(before..) {
            Some([Step::Sealed { envelope, .. }]) => Some(envelope.clone()),
            _ => None,
        };
        self.field(choice.index, TextField::Reasoning, "reasoning", &delta.reasoning, twin)?;
        self.field(choice.index, TextField::Content, "content", &delta.content, None)?;
        if ended && self.steps.len() > before {
            return Err(Error::new(Code::MalformedEvent).at("text after finish_reason"));
        }
        if let Some(reason) = choice.finish_reason.as_deref().filter(|_| !ended) {
            self.steps.push(Step::Finish {
                choice: choice.index,
                reason: cleaned(reason, FINISH_REASON_MAX_BYTES),
            });
            if let Some((_, ended)) = self.choices.iter_mut().find(|(index, _)| *index == choice.index) {
                *ended = true;
            }
        }
        Ok(())
    }

    fn has_ended(&mut self, index: u32) -> Result<bool> {
        if let Some((_, ended)) = self.choices.iter().find(|(known, _)| *known == index) {
            return Ok(*ended);
        }
        if self.choices.len() >= ANSWER_MAX_CHOICES {
            return Err(Error::new(Code::LimitExceeded).at("choices"));
        }
        self.choices.push((index, false));
        Ok(false)
    }

    /// Takes a field that must be absent, empty or an envelope.
    pub(super) fn field(
        &mut self,
        choice: u32,
        field: TextField,
        name: &str,
        value: &Field<'_>,
        same_as: Option<Range<usize>>,
    ) -> Result<()> {
        let downgrade = || Error::new(Code::PlaintextDowngrade).at(name);
        let text = match value {
            Field::Absent => return Ok(()),
            Field::Text(text) if text.is_empty() => return Ok(()),
            Field::Text(text) => text,
            Field::Other => return Err(downgrade()),
        };
        let start = self.arena.len();
        match decode_envelope(text.as_bytes(), &mut self.arena) {
            Ok(bytes) => {
                let envelope = start..start.saturating_add(bytes);
                self.steps.push(Step::Sealed { choice, field, envelope, opened: None, same_as });
                Ok(())
            }
            Err(error) if error.code() != Code::NotCiphertext => Err(error),
            Err(_) if self.options.allow_whitespace_plaintext && is_white_space(text) => {
                self.steps.push(Step::Clear { choice, field, text: text.clone().into_owned() });
                Ok(())
            }
            Err(_) => Err(downgrade()),
        }
    }
}

fn is_white_space(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
}
