//! What an opened document says (protocols/privatemode.md 6.4): texts and ends of choices, and whether the answer is complete. The end mark
//! of a stream is in clear and proves nothing, so an answer is complete only when its sealed parts say so (threats T31).

use super::answer::{OpenedDocument, is_same_model};
use crate::endpoint::{Event, TextField};
use crate::error::{Code, Error, Result, cleaned};
use crate::limits::ANSWER_MAX_CHOICES;
use crate::openai::ApiEndpoint;
use crate::wire::json::Json;

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
        let json = Json::parse(document.text().as_bytes()).map_err(|_| malformed())?;
        if let Some(error) = json.get("error").filter(|error| **error != Json::Null) {
            let message = error.get("message").and_then(Json::as_str).unwrap_or_default();
            return Err(Error::new(Code::UpstreamError).at("answer").found(message));
        }
        self.check_model(&json)?;
        self.check_id(&json)?;
        let before = out.len();
        let read = match self.endpoint {
            // The gateway can rename members (5.3), which is not noticed by opening them.
            ApiEndpoint::ChatCompletions | ApiEndpoint::Completions if !document.is_sealed("choices") => {
                Err(malformed().at("choices"))
            }
            ApiEndpoint::ChatCompletions | ApiEndpoint::Completions => self.choices(&json, streamed, out),
            ApiEndpoint::Messages if streamed => {
                self.message_event(&json);
                Ok(())
            }
            _ => Ok(()),
        };
        if let Err(error) = read {
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
    fn check_model(&self, json: &Json) -> Result<()> {
        let (Some(asked), Some(served)) = (&self.model, json.get("model").and_then(Json::as_str)) else {
            return Ok(());
        };
        if is_same_model(asked, served) {
            return Ok(());
        }
        Err(Error::new(Code::AnswerMixed).at("model").expected(asked.as_str()).found(served))
    }

    /// One answer has one id (threats T32, T38). It is in clear, so this keeps mistakes apart, not attackers.
    fn check_id(&mut self, json: &Json) -> Result<()> {
        match (json.get("id").and_then(Json::as_str), &self.id) {
            (Some(id), Some(known)) if id != known => Err(Error::new(Code::AnswerMixed).at("id")),
            (Some(id), None) => {
                self.id = Some(id.to_owned());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn choices(&mut self, json: &Json, streamed: bool, out: &mut Vec<Event>) -> Result<()> {
        let malformed = || {
            Error::new(if streamed { Code::MalformedEvent } else { Code::MalformedResponse }).at("choices")
        };
        let choices = json.get("choices").and_then(Json::as_array).ok_or_else(malformed)?;
        for choice in choices {
            let index = match choice.get("index") {
                None if !streamed && choices.len() == 1 => 0,
                index => index
                    .and_then(Json::as_u64)
                    .and_then(|index| u32::try_from(index).ok())
                    .ok_or_else(malformed)?,
            };
            let part = choice.get(if streamed { "delta" } else { "message" });
            let text_of = |name: &str| part.and_then(|part| part.get(name)).and_then(Json::as_str);
            let reasoning = text_of("reasoning_content").or_else(|| text_of("reasoning"));
            let content = text_of("content").or_else(|| choice.get("text").and_then(Json::as_str));
            let ended = self.ended(index)?;
            for (field, text) in [(TextField::Reasoning, reasoning), (TextField::Content, content)] {
                let Some(text) = text.filter(|text| !text.is_empty()) else { continue };
                if ended {
                    return Err(Error::new(Code::MalformedEvent).at("text after finish_reason"));
                }
                out.push(Event::Text { choice: index, field, text: text.to_owned() });
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
    fn message_event(&mut self, json: &Json) {
        let reason = json.get("delta").and_then(|delta| delta.get("stop_reason")).and_then(Json::as_str);
        self.stopped |= reason.is_some();
        self.end_sign |= json.get("type").and_then(Json::as_str) == Some("message_stop");
    }
}
