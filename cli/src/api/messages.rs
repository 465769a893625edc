//! Anthropic's messages in front of a provider that seals chat completions only: the request becomes a chat completion, the texts of its
//! answer become content blocks. What has no counterpart is refused, not left out.

use proveil::core::wire::json::write_string;
use proveil::{Code, Error, Event, Result, TextField};
use serde_json::{Map, Value, json};

use super::dialect::Dialect;
use super::{Chunks, Marks, Whole};

/// Members that mean the same in both APIs.
const SAME: [&str; 5] = ["max_tokens", "temperature", "top_p", "top_k", "stream"];
/// Longest name of a member that an error repeats.
const SHOWN: usize = 64;

fn refuse(code: Code, member: &str) -> Error {
    Error::new(code).at(member.chars().take(SHOWN).collect::<String>())
}

/// The body of a chat completion that asks the same. Fails with the input family, naming the member.
pub(crate) fn chat_body(body: &Value, model: &str) -> Result<Value> {
    let members = body.as_object().ok_or_else(|| Error::new(Code::MalformedRequest))?;
    let mut chat = Map::new();
    let mut messages = Vec::new();
    chat.insert("model".to_owned(), json!(model));
    if let Some(system) = members.get("system") {
        messages.push(json!({ "role": "system", "content": text_of(system, "system")? }));
    }
    for (name, value) in members {
        match name.as_str() {
            "model" | "system" | "messages" | "thinking" => {}
            "stop_sequences" => {
                chat.insert("stop".to_owned(), value.clone());
            }
            "tools" | "tool_choice" => return Err(refuse(Code::Tools, name)),
            same if SAME.contains(&same) => {
                chat.insert(name.clone(), value.clone());
            }
            _ => return Err(refuse(Code::UnknownField, name)),
        }
    }
    let turns = members.get("messages").and_then(Value::as_array);
    for (place, turn) in turns.into_iter().flatten().enumerate() {
        messages.push(message(turn, &format!("messages/{place}"))?);
    }
    if turns.is_none_or(Vec::is_empty) {
        return Err(Error::new(Code::NoMessages));
    }
    chat.insert("messages".to_owned(), Value::Array(messages));
    // Anthropic's answers always say what they cost.
    chat.insert("stream_options".to_owned(), json!({ "include_usage": true }));
    Ok(Value::Object(chat))
}

fn message(turn: &Value, place: &str) -> Result<Value> {
    let members = turn.as_object().ok_or_else(|| refuse(Code::InvalidArgument, place))?;
    if let Some(other) = members.keys().find(|name| !matches!(name.as_str(), "role" | "content")) {
        return Err(refuse(Code::UnencryptableField, &format!("{place}/{other}")));
    }
    let role = members.get("role").and_then(Value::as_str);
    let role = role.filter(|role| matches!(*role, "user" | "assistant"));
    let role = role.ok_or_else(|| refuse(Code::InvalidArgument, &format!("{place}/role")))?;
    let content = members.get("content").unwrap_or(&Value::Null);
    Ok(json!({ "role": role, "content": text_of(content, &format!("{place}/content"))? }))
}

/// A text, or the text blocks joined. Blocks of other kinds cannot be sealed.
fn text_of(content: &Value, place: &str) -> Result<String> {
    if let Some(text) = content.as_str() {
        return Ok(text.to_owned());
    }
    let blocks = content.as_array().ok_or_else(|| refuse(Code::UnencryptableContent, place))?;
    let mut texts = Vec::new();
    for block in blocks {
        match block.get("type").and_then(Value::as_str) {
            Some("text") => {
                let text = block.get("text").and_then(Value::as_str);
                texts.push(text.ok_or_else(|| refuse(Code::UnencryptableContent, place))?);
            }
            // Its own thinking, sent back; models are not asked about it again.
            Some("thinking" | "redacted_thinking") => {}
            Some("tool_use" | "tool_result") => return Err(refuse(Code::Tools, place)),
            Some("image" | "document") => return Err(refuse(Code::MediaPart, place)),
            _ => return Err(refuse(Code::UnencryptableContent, place)),
        }
    }
    Ok(texts.join("\n\n"))
}

fn stop_reason(finish: Option<&str>) -> &'static str {
    match finish {
        Some("length") => "max_tokens",
        Some("content_filter") => "refusal",
        _ => "end_turn",
    }
}

/// Both counts, as far as the provider gave them.
fn usage_of(json: Option<&str>) -> (u64, u64) {
    let usage: Option<Value> = json.and_then(|json| serde_json::from_str(json).ok());
    let count =
        |name: &str| usage.as_ref().and_then(|usage| usage.get(name)).and_then(Value::as_u64).unwrap_or(0);
    (count("prompt_tokens"), count("completion_tokens"))
}

/// The events of a streamed message.
pub(crate) struct MessageEvents {
    marks: Marks,
    shows_thinking: bool,
    started: bool,
    /// The open block's number and what it holds.
    block: Option<(u32, TextField)>,
    blocks: u32,
    finish: Option<String>,
    usage: Option<String>,
}

impl MessageEvents {
    pub(crate) const fn new(marks: Marks, shows_thinking: bool) -> MessageEvents {
        MessageEvents {
            marks,
            shows_thinking,
            started: false,
            block: None,
            blocks: 0,
            finish: None,
            usage: None,
        }
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let message = json!({ "type": "message_start", "message": {
            "id": self.marks.id, "type": "message", "role": "assistant", "model": self.marks.model, "content": [],
            "stop_reason": null, "stop_sequence": null, "usage": { "input_tokens": 0, "output_tokens": 0 },
        }});
        write_event("message_start", &message.to_string(), out);
    }

    fn close_block(&mut self, out: &mut Vec<u8>) {
        if let Some((index, _)) = self.block.take() {
            write_event(
                "content_block_stop",
                &format!("{{\"type\":\"content_block_stop\",\"index\":{index}}}"),
                out,
            );
        }
    }

    /// The number of the open block for a field; another one is closed before.
    fn open_block(&mut self, field: TextField, out: &mut Vec<u8>) -> u32 {
        if let Some((index, open)) = self.block
            && open == field
        {
            return index;
        }
        self.close_block(out);
        let index = self.blocks;
        self.blocks = self.blocks.saturating_add(1);
        self.block = Some((index, field));
        let block = match field {
            TextField::Content => json!({ "type": "text", "text": "" }),
            TextField::Reasoning => json!({ "type": "thinking", "thinking": "", "signature": "" }),
        };
        let start = json!({ "type": "content_block_start", "index": index, "content_block": block });
        write_event("content_block_start", &start.to_string(), out);
        index
    }
}

fn write_event(name: &str, data: &str, out: &mut Vec<u8>) {
    for part in ["event: ", name, "\ndata: ", data, "\n\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

impl Chunks for MessageEvents {
    fn event(&mut self, event: &Event, out: &mut Vec<u8>) {
        self.start(out);
        match event {
            // There is one message only.
            Event::Text { choice: 0, field, text } => {
                if *field == TextField::Reasoning && !self.shows_thinking {
                    return;
                }
                let index = self.open_block(*field, out);
                let (kind, member) = match field {
                    TextField::Content => ("text_delta", "text"),
                    TextField::Reasoning => ("thinking_delta", "thinking"),
                };
                let mut data = format!(
                    "{{\"type\":\"content_block_delta\",\"index\":{index},\"delta\":{{\"type\":\"{kind}\",\"{member}\":"
                );
                write_string(text, &mut data);
                data.push_str("}}");
                write_event("content_block_delta", &data, out);
            }
            Event::Finish { choice: 0, reason } => self.finish = Some(reason.clone()),
            Event::Usage { json } => self.usage = Some(json.clone()),
            _ => {}
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<()> {
        self.start(out);
        self.close_block(out);
        let (input, output) = usage_of(self.usage.as_deref());
        let delta = json!({ "type": "message_delta",
            "delta": { "stop_reason": stop_reason(self.finish.as_deref()), "stop_sequence": null },
            "usage": { "input_tokens": input, "output_tokens": output } });
        write_event("message_delta", &delta.to_string(), out);
        write_event("message_stop", "{\"type\":\"message_stop\"}", out);
        Ok(())
    }

    fn fail(&mut self, error: &Error, out: &mut Vec<u8>) {
        out.extend_from_slice(Dialect::Anthropic.event(error).as_bytes());
    }
}

/// One message.
pub(crate) struct MessageWhole {
    marks: Marks,
    shows_thinking: bool,
    content: String,
    reasoning: String,
    finish: Option<String>,
    usage: Option<String>,
}

impl MessageWhole {
    pub(crate) const fn new(marks: Marks, shows_thinking: bool) -> MessageWhole {
        MessageWhole {
            marks,
            shows_thinking,
            content: String::new(),
            reasoning: String::new(),
            finish: None,
            usage: None,
        }
    }
}

impl Whole for MessageWhole {
    fn event(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Text { choice: 0, field: TextField::Content, text } => self.content.push_str(&text),
            Event::Text { choice: 0, field: TextField::Reasoning, text } => self.reasoning.push_str(&text),
            Event::Finish { choice: 0, reason } => self.finish = Some(reason),
            Event::Usage { json } => self.usage = Some(json),
            _ => {}
        }
        Ok(())
    }

    fn document(&mut self) -> Result<String> {
        let mut content = Vec::new();
        if self.shows_thinking && !self.reasoning.is_empty() {
            content.push(json!({ "type": "thinking", "thinking": self.reasoning, "signature": "" }));
        }
        content.push(json!({ "type": "text", "text": self.content }));
        let (input, output) = usage_of(self.usage.as_deref());
        let message = json!({
            "id": self.marks.id, "type": "message", "role": "assistant", "model": self.marks.model, "content": content,
            "stop_reason": stop_reason(self.finish.as_deref()), "stop_sequence": null,
            "usage": { "input_tokens": input, "output_tokens": output },
        });
        Ok(message.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_as_chat() {
        let body = json!({ "model": "x", "max_tokens": 9, "system": [{ "type": "text", "text": "s" }], "stream": true,
        "stop_sequences": ["e"], "thinking": { "type": "enabled", "budget_tokens": 2000 },
        "messages": [
            { "role": "user", "content": "a" },
            { "role": "assistant", "content": [{ "type": "thinking", "thinking": "t" }, { "type": "text", "text": "b" }] },
            { "role": "user", "content": [{ "type": "text", "text": "c" }, { "type": "text", "text": "d" }] },
        ]});
        let expected = json!({ "model": "m", "max_tokens": 9, "stream": true, "stop": ["e"],
            "stream_options": { "include_usage": true }, "messages": [
            { "role": "system", "content": "s" }, { "role": "user", "content": "a" },
            { "role": "assistant", "content": "b" }, { "role": "user", "content": "c\n\nd" },
        ]});
        assert_eq!(chat_body(&body, "m").unwrap(), expected);
    }

    /// T46: what cannot be carried is refused by its name.
    #[test]
    fn t46_what_has_no_counterpart_is_refused() {
        let user =
            |content: Value| json!({ "max_tokens": 1, "messages": [{ "role": "user", "content": content }] });
        let with = |name: &str, value: Value| {
            let mut body = user(json!("a"));
            body[name] = value;
            body
        };
        let cases = [
            (json!([]), Code::MalformedRequest),
            (json!({ "messages": [] }), Code::NoMessages),
            (json!({}), Code::NoMessages),
            (with("metadata", json!({ "user_id": "u" })), Code::UnknownField),
            (with("tools", json!([])), Code::Tools),
            (with("mcp_servers", json!([])), Code::UnknownField),
            (user(json!([{ "type": "image", "source": {} }])), Code::MediaPart),
            (user(json!([{ "type": "tool_result" }])), Code::Tools),
            (user(json!([{ "type": "new" }])), Code::UnencryptableContent),
            (user(json!(1)), Code::UnencryptableContent),
            (json!({ "messages": [{ "role": "system", "content": "a" }] }), Code::InvalidArgument),
            (json!({ "messages": [{ "role": "user", "content": "a", "x": 1 }] }), Code::UnencryptableField),
            (json!({ "messages": [1] }), Code::InvalidArgument),
        ];
        for (body, code) in cases {
            assert_eq!(chat_body(&body, "m").unwrap_err().code(), code, "{body}");
        }
    }

    fn marks() -> Marks {
        Marks { id: "msg_1".to_owned(), created: 7, model: "m".to_owned() }
    }

    fn answer() -> Vec<Event> {
        let text = |field, text: &str| Event::Text { choice: 0, field, text: text.to_owned() };
        vec![
            text(TextField::Reasoning, "hm"),
            text(TextField::Content, "a"),
            text(TextField::Content, "b"),
            Event::Finish { choice: 0, reason: "length".to_owned() },
            Event::Usage { json: r#"{"prompt_tokens":3,"completion_tokens":4}"#.to_owned() },
        ]
    }

    fn names(out: &[u8]) -> Vec<String> {
        let text = std::str::from_utf8(out).unwrap();
        text.lines().filter_map(|line| line.strip_prefix("event: ").map(str::to_owned)).collect()
    }

    #[test]
    fn streamed() {
        let mut out = Vec::new();
        let mut events = MessageEvents::new(marks(), true);
        for event in answer() {
            events.event(&event, &mut out);
        }
        events.end(&mut out).unwrap();
        let block = ["content_block_start", "content_block_delta"];
        let expected = [
            &["message_start"][..],
            &block,
            &["content_block_stop"],
            &block,
            &["content_block_delta", "content_block_stop", "message_delta", "message_stop"],
        ];
        assert_eq!(names(&out), expected.concat());
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains(r#"{"type":"thinking_delta","thinking":"hm"}"#));
        assert!(text.contains(r#""stop_reason":"max_tokens""#) && text.contains(r#""output_tokens":4"#));
    }

    #[test]
    fn t39_an_error_ends_without_message_stop() {
        let mut out = Vec::new();
        let mut events = MessageEvents::new(marks(), false);
        for event in answer().iter().take(2) {
            events.event(event, &mut out);
        }
        events.fail(&Error::new(Code::Truncated), &mut out);
        assert_eq!(names(&out), ["message_start", "content_block_start", "content_block_delta", "error"]);
    }

    #[test]
    fn whole() {
        let mut whole = MessageWhole::new(marks(), false);
        for event in answer() {
            whole.event(event).unwrap();
        }
        let document: Value = serde_json::from_str(&whole.document().unwrap()).unwrap();
        assert_eq!(document["content"], json!([{ "type": "text", "text": "ab" }]));
        assert_eq!(document["usage"], json!({ "input_tokens": 3, "output_tokens": 4 }));
    }
}
