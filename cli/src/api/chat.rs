//! Chat completions in OpenAI's shape from the texts of a provider that only streams sealed texts (venice.md 4).

use proveil::core::wire::json::write_string;
use proveil::{Code, Error, Event, Result, TextField};
use serde_json::{Map, Value, json};

use super::dialect::Dialect;
use super::{Chunks, Marks, Whole};

/// Choices that an answer can have; the core has the same bound.
const CHOICES_MAX: u32 = 128;
/// Counts of a usage.
const USAGE: [&str; 3] = ["prompt_tokens", "completion_tokens", "total_tokens"];

const fn member(field: TextField) -> &'static str {
    match field {
        TextField::Content => "content",
        TextField::Reasoning => "reasoning_content",
    }
}

/// Why a choice ended, as the API knows it. The provider says so in clear: words of somebody on the way do not become part of an answer
/// (threats I2, T36), and a tool call is one only where [`super::ToolChunks`] read it.
pub(super) fn finish_reason(said: &str) -> &'static str {
    match said {
        "length" => "length",
        "content_filter" => "content_filter",
        _ => "stop",
    }
}

/// The counts of a usage that the API has, which travels in clear: other names could say anything.
fn usage_of(json: &str) -> Option<Value> {
    let mut usage: Map<String, Value> = serde_json::from_str(json).ok()?;
    usage.retain(|name, count| USAGE.contains(&name.as_str()) && count.is_u64());
    Some(Value::Object(usage))
}

/// What an event says: a member of the delta as a text or as JSON.
#[derive(Clone, Copy)]
enum Delta<'a> {
    Text(&'a str, &'a str),
    Json(&'a str, &'a str),
}

/// `chat.completion.chunk` events.
pub(crate) struct ChatChunks {
    /// What every event begins with.
    head: String,
    /// Choices whose first event, with the role, was written.
    started: Vec<u32>,
    wants_usage: bool,
    usage: Option<Value>,
    /// Reused for one event.
    line: String,
}

impl ChatChunks {
    pub(crate) fn new(marks: &Marks, wants_usage: bool) -> ChatChunks {
        let mut head = String::from("data: {\"id\":");
        write_string(&marks.id, &mut head);
        head.push_str(&format!(
            ",\"object\":\"chat.completion.chunk\",\"created\":{},\"model\":",
            marks.created
        ));
        write_string(&marks.model, &mut head);
        head.push_str(",\"choices\":[");
        ChatChunks { head, started: Vec::new(), wants_usage, usage: None, line: String::new() }
    }

    /// One event with a member of a choice that is no text.
    pub(super) fn member(&mut self, choice: u32, name: &str, json: &str, out: &mut Vec<u8>) {
        self.choice(choice, Some(Delta::Json(name, json)), None, out);
    }

    /// The event with which a choice ends.
    pub(super) fn finish(&mut self, choice: u32, reason: &'static str, out: &mut Vec<u8>) {
        self.choice(choice, None, Some(reason), out);
    }

    /// One event of one choice.
    fn choice(
        &mut self,
        choice: u32,
        delta: Option<Delta<'_>>,
        finish: Option<&'static str>,
        out: &mut Vec<u8>,
    ) {
        let line = &mut self.line;
        line.clear();
        line.push_str(&self.head);
        line.push_str("{\"index\":");
        line.push_str(&choice.to_string());
        line.push_str(",\"delta\":{");
        let first = !self.started.contains(&choice);
        if first {
            self.started.push(choice);
            line.push_str("\"role\":\"assistant\"");
        }
        if let Some(delta) = delta {
            let (Delta::Text(name, _) | Delta::Json(name, _)) = delta;
            line.push_str(if first { ",\"" } else { "\"" });
            line.push_str(name);
            line.push_str("\":");
            match delta {
                Delta::Text(_, text) => write_string(text, line),
                Delta::Json(_, json) => line.push_str(json),
            }
        }
        line.push_str("},\"finish_reason\":");
        match finish {
            Some(reason) => write_string(reason, line),
            None => line.push_str("null"),
        }
        line.push_str("}]}\n\n");
        out.extend_from_slice(line.as_bytes());
    }
}

impl Chunks for ChatChunks {
    fn event(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Text { choice, field, text } => {
                self.choice(*choice, Some(Delta::Text(member(*field), text)), None, out)
            }
            Event::Finish { choice, reason } => self.finish(*choice, finish_reason(reason), out),
            Event::Usage { json } => self.usage = usage_of(json),
            Event::Document { .. } => {}
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<()> {
        if let Some(usage) = self.usage.take().filter(|_| self.wants_usage) {
            out.extend_from_slice(self.head.as_bytes());
            out.extend_from_slice(b"],\"usage\":");
            out.extend_from_slice(usage.to_string().as_bytes());
            out.extend_from_slice(b"}\n\n");
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
        Ok(())
    }

    fn fail(&mut self, error: &Error, out: &mut Vec<u8>) {
        out.extend_from_slice(Dialect::OpenAi.event(error).as_bytes());
    }
}

#[derive(Default)]
struct Choice {
    content: String,
    reasoning: String,
    finish: Option<&'static str>,
    calls: Vec<Value>,
}

/// One `chat.completion`.
pub(crate) struct ChatWhole {
    marks: Marks,
    choices: Vec<Choice>,
    usage: Option<Value>,
}

impl ChatWhole {
    pub(crate) fn new(marks: Marks) -> ChatWhole {
        ChatWhole { marks, choices: vec![Choice::default()], usage: None }
    }

    /// What a choice calls.
    pub(super) fn call(&mut self, index: u32, calls: Vec<Value>) -> Result<()> {
        let choice = self.choice(index)?;
        choice.calls = calls;
        choice.finish = Some("tool_calls");
        Ok(())
    }

    fn choice(&mut self, index: u32) -> Result<&mut Choice> {
        if index >= CHOICES_MAX {
            return Err(Error::new(Code::LimitExceeded).at("choices"));
        }
        let place = usize::try_from(index).unwrap_or(usize::MAX);
        if self.choices.len() <= place {
            self.choices.resize_with(place.saturating_add(1), Choice::default);
        }
        self.choices.get_mut(place).ok_or_else(|| Error::new(Code::Internal).at("choices"))
    }
}

impl Whole for ChatWhole {
    fn event(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Text { choice, field: TextField::Content, text } => {
                self.choice(choice)?.content.push_str(&text);
            }
            Event::Text { choice, field: TextField::Reasoning, text } => {
                self.choice(choice)?.reasoning.push_str(&text);
            }
            Event::Finish { choice, reason } => self.choice(choice)?.finish = Some(finish_reason(&reason)),
            Event::Usage { json } => self.usage = usage_of(&json),
            Event::Document { .. } => {}
        }
        Ok(())
    }

    fn document(&mut self) -> Result<String> {
        let choices: Vec<Value> = std::mem::take(&mut self.choices)
            .into_iter()
            .zip(0_u32..)
            .map(|(choice, index)| {
                let mut message = Map::new();
                message.insert("role".to_owned(), json!("assistant"));
                let silent = choice.content.is_empty() && !choice.calls.is_empty();
                message
                    .insert("content".to_owned(), if silent { Value::Null } else { json!(choice.content) });
                message.insert("refusal".to_owned(), Value::Null);
                if !choice.reasoning.is_empty() {
                    message.insert("reasoning_content".to_owned(), json!(choice.reasoning));
                }
                if !choice.calls.is_empty() {
                    message.insert("tool_calls".to_owned(), Value::Array(choice.calls));
                }
                json!({ "index": index, "message": message, "logprobs": null,
                        "finish_reason": choice.finish.unwrap_or("stop") })
            })
            .collect();
        let mut document = json!({
            "id": self.marks.id, "object": "chat.completion", "created": self.marks.created,
            "model": self.marks.model, "choices": choices,
        });
        if let (Some(usage), Some(members)) = (self.usage.take(), document.as_object_mut()) {
            members.insert("usage".to_owned(), usage);
        }
        Ok(document.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks() -> Marks {
        Marks { id: "chatcmpl-1".to_owned(), created: 7, model: "m".to_owned() }
    }

    fn events() -> Vec<Event> {
        let text = |field, text: &str| Event::Text { choice: 0, field, text: text.to_owned() };
        vec![
            text(TextField::Reasoning, "hm"),
            text(TextField::Content, "a\n\"b\""),
            text(TextField::Content, "\u{e4}"),
            Event::Finish { choice: 0, reason: "length".to_owned() },
            Event::Usage { json: r#"{"total_tokens":3,"CANARY run this":1}"#.to_owned() },
        ]
    }

    fn data(out: &[u8]) -> Vec<String> {
        let text = std::str::from_utf8(out).unwrap();
        assert!(text.ends_with("\n\n"));
        text.trim_end().split("\n\n").map(|event| event.strip_prefix("data: ").unwrap().to_owned()).collect()
    }

    #[test]
    fn chunks() {
        let mut chunks = ChatChunks::new(&marks(), true);
        let mut out = Vec::new();
        for event in events() {
            chunks.event(&event, &mut out);
        }
        chunks.end(&mut out).unwrap();
        let mut lines = data(&out);
        assert_eq!(lines.pop().as_deref(), Some("[DONE]"));
        let documents: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let deltas: Vec<&Value> = documents.iter().map(|document| &document["choices"][0]["delta"]).collect();
        assert_eq!(*deltas[0], json!({ "role": "assistant", "reasoning_content": "hm" }));
        assert_eq!(*deltas[1], json!({ "content": "a\n\"b\"" }));
        assert_eq!(*deltas[2], json!({ "content": "\u{e4}" }));
        assert_eq!(documents[3]["choices"][0]["finish_reason"], "length");
        assert_eq!(
            documents[4],
            json!({ "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 7,
            "model": "m", "choices": [], "usage": { "total_tokens": 3 } })
        );
    }

    /// T36: the reason travels in clear, so only words of the API come out of it.
    #[test]
    fn t36_reasons_are_words_of_the_api() {
        for (said, shown) in [
            ("stop", "stop"),
            ("length", "length"),
            ("content_filter", "content_filter"),
            ("tool_calls", "stop"),
            ("function_call", "stop"),
            ("CANARY run this", "stop"),
            ("", "stop"),
        ] {
            let event = Event::Finish { choice: 0, reason: said.to_owned() };
            let mut out = Vec::new();
            ChatChunks::new(&marks(), false).event(&event, &mut out);
            let streamed: Value = serde_json::from_str(&data(&out)[0]).unwrap();
            let mut whole = ChatWhole::new(marks());
            whole.event(event).unwrap();
            let whole: Value = serde_json::from_str(&whole.document().unwrap()).unwrap();
            for document in [streamed, whole] {
                assert_eq!(document["choices"][0]["finish_reason"], shown, "{said}");
            }
        }
    }

    #[test]
    fn usage_only_where_asked_for() {
        let mut chunks = ChatChunks::new(&marks(), false);
        let mut out = Vec::new();
        chunks.event(&Event::Usage { json: "{}".to_owned() }, &mut out);
        chunks.end(&mut out).unwrap();
        assert_eq!(out, b"data: [DONE]\n\n");
    }

    #[test]
    fn t39_an_error_is_no_end() {
        let mut chunks = ChatChunks::new(&marks(), false);
        let mut out = Vec::new();
        chunks.fail(&Error::new(Code::Truncated), &mut out);
        let lines = data(&out);
        assert_eq!(lines.len(), 1);
        let document: Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!(document["error"]["code"], "PV-502");
        assert_eq!(document["error"]["type"], "integrity_error");
    }

    #[test]
    fn whole() {
        let mut whole = ChatWhole::new(marks());
        for event in events() {
            whole.event(event).unwrap();
        }
        let document: Value = serde_json::from_str(&whole.document().unwrap()).unwrap();
        assert_eq!(document["object"], "chat.completion");
        let choice = &document["choices"][0];
        assert_eq!(choice["message"]["content"], "a\n\"b\"\u{e4}");
        assert_eq!(choice["message"]["reasoning_content"], "hm");
        assert_eq!(choice["finish_reason"], "length");
        assert_eq!(document["usage"], json!({ "total_tokens": 3 }));
        let beyond = Event::Finish { choice: 128, reason: String::new() };
        assert_eq!(ChatWhole::new(marks()).event(beyond).unwrap_err().code(), Code::LimitExceeded);
    }
}
