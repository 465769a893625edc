//! Tool calls for a provider that cannot carry tools sealed: the tools are described in the prompt, which is sealed, and calls are read
//! from the text of the answer. Off unless asked for (issue 5): how well it works is up to the model.
//!
//! A call is taken only if its tool was offered and its arguments fit the tool's schema. Everything else is an error, never a call.

use std::collections::BTreeMap;

use proveil::{Code, Error, Event, Result, TextField};
use serde_json::{Map, Value, json};

use super::chat::finish_reason;
use super::{ChatChunks, ChatWhole, Chunks, Whole, history, random_id};

pub(super) const OPEN: &str = "<tool_call>";
pub(super) const CLOSE: &str = "</tool_call>";
/// Tools of one request, and calls of one answer.
const TOOLS_MAX: usize = 128;
/// Text of the calls of one answer.
const CALLS_MAX_BYTES: usize = 1024 * 1024;

/// A tool that was offered.
struct Tool {
    name: String,
    schema: Option<jsonschema::Validator>,
}

/// The tools of a request.
pub(crate) struct Toolbox {
    tools: Vec<Tool>,
    /// The answer has to call one.
    required: bool,
    /// It may call more than one.
    several: bool,
}

pub(super) fn refuse(place: &str, expected: &str) -> Error {
    Error::new(Code::InvalidArgument).at(place).expected(expected)
}

/// What `tool_choice` says.
enum Choice {
    None,
    Auto,
    Required,
    One(String),
}

impl Choice {
    fn read(value: Option<Value>) -> Result<Choice> {
        let named =
            |value: &Value| value.pointer("/function/name").and_then(Value::as_str).map(str::to_owned);
        match value {
            None | Some(Value::Null) => Ok(Choice::Auto),
            Some(Value::String(text)) if text == "auto" => Ok(Choice::Auto),
            Some(Value::String(text)) if text == "none" => Ok(Choice::None),
            Some(Value::String(text)) if text == "required" => Ok(Choice::Required),
            Some(value) => named(&value)
                .map(Choice::One)
                .ok_or_else(|| refuse("tool_choice", "none, auto, required or a function")),
        }
    }
}

/// Rewrites a chat request so that it carries its tools in the prompt. `None` when it has none to offer; what was called before is
/// rewritten in any case. Fails with `invalid_argument`, naming the member.
pub(crate) fn into_prompt(body: &mut Value) -> Result<Option<Toolbox>> {
    let members = body.as_object_mut().ok_or_else(|| Error::new(Code::MalformedRequest))?;
    let tools = members.remove("tools").filter(|tools| !tools.is_null());
    let choice = Choice::read(members.remove("tool_choice"))?;
    let several = match members.remove("parallel_tool_calls") {
        None | Some(Value::Null) => true,
        Some(Value::Bool(several)) => several,
        Some(_) => return Err(refuse("parallel_tool_calls", "true or false")),
    };
    if let Some(Value::Array(messages)) = members.get_mut("messages") {
        for (place, message) in messages.iter_mut().enumerate() {
            history::rewrite(message, place)?;
        }
    }
    let Some(tools) = tools.filter(|_| !matches!(choice, Choice::None)) else { return Ok(None) };
    let tools = tools.as_array().ok_or_else(|| refuse("tools", "an array"))?;
    if tools.is_empty() {
        return Ok(None);
    }
    let mut toolbox = Toolbox { tools: Vec::new(), required: !matches!(choice, Choice::Auto), several };
    let mut described = Vec::new();
    for (place, tool) in tools.iter().enumerate().take(TOOLS_MAX.saturating_add(1)) {
        if place >= TOOLS_MAX {
            return Err(Error::new(Code::LimitExceeded).at("tools").expected(format!("{TOOLS_MAX}")));
        }
        let (tool, description) = read_tool(tool, place)?;
        let wanted = !matches!(&choice, Choice::One(name) if *name != tool.name);
        if wanted {
            described.push(description);
            toolbox.tools.push(tool);
        }
    }
    if toolbox.tools.is_empty() {
        return Err(refuse("tool_choice", "one of the tools"));
    }
    let text = instructions(&described, &toolbox);
    put_first(members, text)?;
    Ok(Some(toolbox))
}

fn read_tool(tool: &Value, place: usize) -> Result<(Tool, String)> {
    let at = format!("tools/{place}");
    let function =
        tool.get("function").filter(|_| tool.get("type").and_then(Value::as_str) == Some("function"));
    let function = function.and_then(Value::as_object).ok_or_else(|| refuse(&at, "a function"))?;
    tool.as_object().map_or(Ok(()), |members| history::only(members, &["type", "function"], &at))?;
    // Strict or not, a call is taken only if it fits the schema.
    let known = ["name", "description", "parameters", "strict"];
    history::only(function, &known, &format!("{at}/function"))?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let name = function.get("name").and_then(Value::as_str);
    let name = name.filter(|name| (1..=64).contains(&name.len()) && name.chars().all(plain));
    let name =
        name.ok_or_else(|| refuse(&format!("{at}/function/name"), "1 to 64 letters, digits, _, - or ."))?;
    let parameters = function.get("parameters").filter(|parameters| !parameters.is_null());
    let schema = match parameters {
        None => None,
        // References to other documents are not followed: there is nothing that could fetch them.
        Some(schema) => Some(
            jsonschema::validator_for(schema)
                .map_err(|_| refuse(&format!("{at}/function/parameters"), "a JSON schema of its own"))?,
        ),
    };
    let description =
        json!({ "name": name, "description": function.get("description"), "parameters": parameters });
    Ok((Tool { name: name.to_owned(), schema }, description.to_string()))
}

fn instructions(described: &[String], toolbox: &Toolbox) -> String {
    let wanted =
        if toolbox.required { "You must call a tool now." } else { "Call a tool only when it helps." };
    let number = if toolbox.several {
        "You may make several calls, one after the other."
    } else {
        "Make one call at most."
    };
    format!(
        "You can call these tools, each given as JSON with the schema of its arguments:\n{}\n\nTo call a tool, end your answer with\n\
         {OPEN}{{\"name\": \"NAME\", \"arguments\": {{...}}}}{CLOSE}\nand write nothing after it. {wanted} {number} Results come back as \
         <tool_result>.",
        described.join("\n")
    )
}

/// Puts a text before everything else: into the first system message, or into a new one.
fn put_first(members: &mut Map<String, Value>, text: String) -> Result<()> {
    let messages = members
        .get_mut("messages")
        .and_then(Value::as_array_mut)
        .ok_or_else(|| Error::new(Code::NoMessages))?;
    let system =
        messages.first_mut().filter(|message| message.get("role").and_then(Value::as_str) == Some("system"));
    let content = system.and_then(|message| message.get_mut("content"));
    match content {
        Some(Value::String(existing)) => existing.insert_str(0, &format!("{text}\n\n")),
        Some(Value::Array(parts)) => {
            parts.insert(0, json!({ "type": "text", "text": format!("{text}\n\n") }))
        }
        _ => messages.insert(0, json!({ "role": "system", "content": text })),
    }
    Ok(())
}

/// Splits the text of one choice into what is said and what is called.
#[derive(Default)]
struct Splitter {
    /// Text that may be the beginning of a call.
    held: String,
    calls: String,
    in_calls: bool,
    finish: Option<&'static str>,
}

impl Splitter {
    /// What can be shown of the next piece.
    fn push(&mut self, text: &str) -> Result<String> {
        if !self.in_calls {
            self.held.push_str(text);
            if let Some(start) = self.held.find(OPEN) {
                self.in_calls = true;
                self.calls = self.held.split_off(start);
                return Ok(std::mem::take(&mut self.held));
            }
            let keep = longest_beginning(&self.held);
            let rest = self.held.split_off(self.held.len().saturating_sub(keep));
            return Ok(std::mem::replace(&mut self.held, rest));
        }
        if self.calls.len().saturating_add(text.len()) > CALLS_MAX_BYTES {
            return Err(Error::new(Code::LimitExceeded)
                .at("tool calls")
                .expected(format!("{CALLS_MAX_BYTES} bytes")));
        }
        self.calls.push_str(text);
        Ok(String::new())
    }
}

/// How much of the end of a text could be the beginning of [`OPEN`].
fn longest_beginning(text: &str) -> usize {
    (1..OPEN.len())
        .rev()
        .find(|length| OPEN.get(..*length).is_some_and(|part| text.ends_with(part)))
        .unwrap_or(0)
}

impl Toolbox {
    /// The calls of a text that begins with the first one, each as name and arguments.
    fn read_calls(&self, text: &str) -> Result<Vec<(String, String)>> {
        let invalid = |what: &str| Error::new(Code::ToolCallInvalid).found(what.to_owned());
        let mut calls = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let body = rest.strip_prefix(OPEN).ok_or_else(|| invalid("text after a call"))?;
            let (call, after) = body.split_once(CLOSE).ok_or_else(|| invalid("a call without end"))?;
            calls.push(self.read_call(call)?);
            rest = after.trim_start();
        }
        match calls.len() {
            0 if self.required => Err(invalid("no call")),
            count if count > 1 && !self.several => Err(invalid("several calls")),
            count if count > TOOLS_MAX => Err(invalid("too many calls")),
            _ => Ok(calls),
        }
    }

    fn read_call(&self, text: &str) -> Result<(String, String)> {
        let invalid = |what: &str| Error::new(Code::ToolCallInvalid).found(what.to_owned());
        let call: Value = serde_json::from_str(text.trim()).map_err(|_| invalid("a call that is no JSON"))?;
        let name = call.get("name").and_then(Value::as_str).unwrap_or_default();
        let tool =
            self.tools.iter().find(|tool| tool.name == name).ok_or_else(|| invalid("an unknown tool"))?;
        let arguments = call.get("arguments").cloned().unwrap_or_else(|| json!({}));
        let fits =
            arguments.is_object() && tool.schema.as_ref().is_none_or(|schema| schema.is_valid(&arguments));
        if fits {
            Ok((tool.name.clone(), arguments.to_string()))
        } else {
            Err(invalid("arguments that do not fit the tool"))
        }
    }

    /// The member `tool_calls`; empty when nothing is called.
    fn members(&self, text: &str, indexed: bool) -> Result<Vec<Value>> {
        let mut members = Vec::new();
        for ((name, arguments), index) in self.read_calls(text)?.into_iter().zip(0_u32..) {
            let id = format!("call_{}", random_id()?);
            let mut member =
                json!({ "id": id, "type": "function", "function": { "name": name, "arguments": arguments } });
            if let Some(members) = member.as_object_mut().filter(|_| indexed) {
                members.insert("index".to_owned(), json!(index));
            }
            members.push(member);
        }
        Ok(members)
    }
}

/// A stream whose texts may call tools.
pub(crate) struct ToolChunks {
    toolbox: Toolbox,
    inner: ChatChunks,
    choices: BTreeMap<u32, Splitter>,
    failed: Option<Error>,
}

impl ToolChunks {
    pub(crate) const fn new(toolbox: Toolbox, inner: ChatChunks) -> ToolChunks {
        ToolChunks { toolbox, inner, choices: BTreeMap::new(), failed: None }
    }
}

impl Chunks for ToolChunks {
    fn event(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Text { choice, field: TextField::Content, text } => {
                match self.choices.entry(*choice).or_default().push(text) {
                    Ok(shown) if shown.is_empty() => {}
                    Ok(text) => {
                        let event = Event::Text { choice: *choice, field: TextField::Content, text };
                        self.inner.event(&event, out);
                    }
                    Err(error) => self.failed = Some(error),
                }
            }
            Event::Finish { choice, reason } => {
                self.choices.entry(*choice).or_default().finish = Some(finish_reason(reason));
            }
            other => self.inner.event(other, out),
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<()> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        for (choice, splitter) in std::mem::take(&mut self.choices) {
            if !splitter.held.is_empty() {
                let event = Event::Text { choice, field: TextField::Content, text: splitter.held };
                self.inner.event(&event, out);
            }
            let calls = self.toolbox.members(&splitter.calls, true)?;
            if calls.is_empty() {
                self.inner.finish(choice, splitter.finish.unwrap_or("stop"), out);
            } else {
                self.inner.member(choice, "tool_calls", &Value::Array(calls).to_string(), out);
                self.inner.finish(choice, "tool_calls", out);
            }
        }
        self.inner.end(out)
    }

    fn fail(&mut self, error: &Error, out: &mut Vec<u8>) {
        self.inner.fail(error, out);
    }
}

/// One answer whose texts may call tools.
pub(crate) struct ToolWhole {
    toolbox: Toolbox,
    inner: ChatWhole,
    choices: BTreeMap<u32, Splitter>,
}

impl ToolWhole {
    pub(crate) const fn new(toolbox: Toolbox, inner: ChatWhole) -> ToolWhole {
        ToolWhole { toolbox, inner, choices: BTreeMap::new() }
    }
}

impl Whole for ToolWhole {
    fn event(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Text { choice, field: TextField::Content, text } => {
                let text = self.choices.entry(choice).or_default().push(&text)?;
                self.inner.event(Event::Text { choice, field: TextField::Content, text })
            }
            other => self.inner.event(other),
        }
    }

    fn document(&mut self) -> Result<String> {
        for (choice, splitter) in std::mem::take(&mut self.choices) {
            self.inner.event(Event::Text { choice, field: TextField::Content, text: splitter.held })?;
            let calls = self.toolbox.members(&splitter.calls, false)?;
            if !calls.is_empty() {
                self.inner.call(choice, calls)?;
            }
        }
        self.inner.document()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Marks;

    fn request() -> Value {
        json!({ "model": "m", "messages": [{ "role": "user", "content": "weather?" }], "tools": [{ "type": "function", "function": {
            "name": "weather", "description": "d",
            "parameters": { "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] } } }] })
    }

    fn toolbox() -> Toolbox {
        into_prompt(&mut request()).unwrap().unwrap()
    }

    fn marks() -> Marks {
        Marks { id: "c".to_owned(), created: 1, model: "m".to_owned() }
    }

    #[test]
    fn tools_move_into_the_prompt() {
        let mut body = request();
        into_prompt(&mut body).unwrap().unwrap();
        assert!(body.get("tools").is_none());
        let system = body["messages"][0]["content"].as_str().unwrap();
        assert!(system.contains("weather") && system.contains("\"city\""));
        assert_eq!(body["messages"][1]["content"], "weather?");
        let mut none = request();
        none["tool_choice"] = json!("none");
        assert!(into_prompt(&mut none).unwrap().is_none());
        assert_eq!(none["messages"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn bad_tools_are_the_callers_mistake() {
        for tools in [
            json!(1),
            json!([1]),
            json!([{ "type": "x" }]),
            json!([{ "type": "function", "function": { "name": "" } }]),
            json!([{ "type": "function", "function": { "name": "a b" } }]),
            json!([{ "type": "function", "function": { "name": "a", "parameters": { "type": 7 } } }]),
            json!([{ "type": "function", "function": { "name": "a", "parameters": { "$ref": "https://example.com/s" } } }]),
        ] {
            let mut body = json!({ "messages": [], "tools": tools.clone() });
            assert_eq!(
                into_prompt(&mut body).err().map(|it| it.code()),
                Some(Code::InvalidArgument),
                "{tools}"
            );
        }
        for (tool, at) in [
            (json!({ "type": "function", "x": 1, "function": { "name": "a" } }), "tools/0/x"),
            (json!({ "type": "function", "function": { "name": "a", "x": 1 } }), "tools/0/function/x"),
        ] {
            let error = into_prompt(&mut json!({ "messages": [], "tools": [tool] })).err().unwrap();
            assert_eq!((error.code(), error.check()), (Code::UnencryptableField, Some(at)));
        }
        let mut several = request();
        several["parallel_tool_calls"] = json!("no");
        assert_eq!(into_prompt(&mut several).err().map(|it| it.code()), Some(Code::InvalidArgument));
        let mut other = request();
        other["tool_choice"] = json!({ "type": "function", "function": { "name": "other" } });
        assert_eq!(into_prompt(&mut other).err().map(|it| it.code()), Some(Code::InvalidArgument));
    }

    #[test]
    fn only_calls_that_fit_are_calls() {
        let call = |text: &str| format!("{OPEN}{text}{CLOSE}");
        let toolbox = toolbox();
        let good = call(r#"{"name":"weather","arguments":{"city":"x"}}"#);
        assert_eq!(
            toolbox.read_calls(&good).unwrap(),
            [("weather".to_owned(), r#"{"city":"x"}"#.to_owned())]
        );
        assert_eq!(toolbox.read_calls(&format!("{good}\n{good}")).unwrap().len(), 2);
        assert!(toolbox.read_calls("").unwrap().is_empty());
        for text in [
            call(r#"{"name":"weather","arguments":{}}"#),
            call(r#"{"name":"weather","arguments":{"city":1}}"#),
            call(r#"{"name":"weather","arguments":"x"}"#),
            call(r#"{"name":"rm","arguments":{}}"#),
            call("{"),
            format!("{good} and more"),
            format!("{OPEN}{{}}"),
        ] {
            assert_eq!(toolbox.read_calls(&text).unwrap_err().code(), Code::ToolCallInvalid, "{text}");
        }
        let one = Toolbox { several: false, required: true, ..toolbox };
        assert!(one.read_calls(&good).is_ok());
        assert!(one.read_calls(&format!("{good}{good}")).is_err() && one.read_calls("").is_err());
    }

    /// Cut anywhere, the text says the same.
    #[test]
    fn any_cut_gives_the_same() {
        let text =
            "Let me <look>. <tool_call>{\"name\":\"weather\",\"arguments\":{\"city\":\"x\"}}</tool_call>";
        for cut in 0..=text.len() {
            let mut whole = ToolWhole::new(toolbox(), ChatWhole::new(marks()));
            let mut chunks = ToolChunks::new(toolbox(), ChatChunks::new(&marks(), false));
            let mut out = Vec::new();
            for part in [&text[..cut], &text[cut..]] {
                let event = Event::Text { choice: 0, field: TextField::Content, text: part.to_owned() };
                chunks.event(&event, &mut out);
                whole.event(event).unwrap();
            }
            let finish = Event::Finish { choice: 0, reason: "stop".to_owned() };
            chunks.event(&finish, &mut out);
            whole.event(finish).unwrap();
            chunks.end(&mut out).unwrap();
            let document: Value = serde_json::from_str(&whole.document().unwrap()).unwrap();
            let choice = &document["choices"][0];
            assert_eq!(choice["message"]["content"], "Let me <look>. ");
            assert_eq!(choice["message"]["tool_calls"][0]["function"]["name"], "weather");
            assert_eq!(choice["finish_reason"], "tool_calls");
            let events = String::from_utf8(out).unwrap();
            let said: String = events
                .lines()
                .filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok())
                .filter_map(|event| Some(event["choices"][0]["delta"]["content"].as_str()?.to_owned()))
                .collect();
            assert_eq!(said, "Let me <look>. ", "{cut}");
            assert!(events.contains("\"tool_calls\":[{") && events.ends_with("data: [DONE]\n\n"));
        }
    }
}
