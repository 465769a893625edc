//! Calls of tools by a simulated model: what it calls with, and, for a provider that cannot carry tools, calls as text in the form that a
//! prompt describes.

use proveil_core::wire::json::Json;

use super::record::OpenedMessage;
use crate::forge::{object, string};

/// A question with this in it (and tools) is answered with a call of the first tool.
pub const TOOL_PHRASE: &str = "use the tool";
/// What a simulated model says before a call that is text.
const BEFORE: &str = "Let me look that up. ";

/// Arguments that fit a simple schema.
pub(super) fn arguments(schema: Option<&Json>) -> Json {
    let properties = schema.and_then(|schema| schema.get("properties")).and_then(Json::as_object);
    let value = |property: &Json| match property.get("type").and_then(Json::as_str) {
        Some("integer" | "number") => Json::Number(1_u64.into()),
        Some("boolean") => Json::Bool(true),
        Some("array") => Json::Array(Vec::new()),
        Some("object") => object([]),
        _ => string("Berlin"),
    };
    let all = properties.unwrap_or_default().iter().map(|(name, schema)| (name.clone(), value(schema)));
    Json::Object(all.collect())
}

/// The call of the first tool that a system message describes, when the question asks for it and the message says how calls look.
pub(super) fn call(messages: &[OpenedMessage], question: &str) -> Option<String> {
    if !question.to_lowercase().contains(TOOL_PHRASE) {
        return None;
    }
    let system = messages
        .iter()
        .find(|message| message.role == "system" && message.content.contains("<tool_call>"))?;
    let described = system.content.lines().filter_map(|line| Json::parse(line.as_bytes()).ok());
    let tool = described.into_iter().find(|line| line.get("parameters").is_some())?;
    let name = tool.get("name").and_then(Json::as_str)?;
    let call = object([("name", string(name)), ("arguments", arguments(tool.get("parameters")))]);
    Some(format!("{BEFORE}<tool_call>{}</tool_call>", call.to_compact()))
}

/// What a tool said, when this is its result as text.
pub(super) fn result(question: &str) -> Option<&str> {
    let (_, rest) = question.strip_prefix("<tool_result")?.split_once('>')?;
    rest.trim_end().strip_suffix("</tool_result>").map(str::trim)
}
