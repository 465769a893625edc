//! What the scripted model says, before it is put into the form of an endpoint. The same question gives the same answer.

use proveil_core::wire::json::Json;

use super::models::Model;
use crate::sim::text::{self, tokens};
use crate::sim::tools;

/// Most choices of one request.
const MAX_CHOICES: u64 = 8;
pub use crate::sim::tools::TOOL_PHRASE;
/// A question that starts with this is answered with the rest of it.
pub const ECHO_PHRASE: &str = "echo: ";

/// A call of a tool.
#[derive(Clone, Debug)]
pub(super) struct ToolCall {
    /// Name of the function.
    pub(super) name: String,
    /// Its arguments.
    pub(super) arguments: Json,
}

/// One choice of an answer.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    /// What a reasoning model thinks first.
    pub(super) reasoning: Option<String>,
    /// The answer; empty when a tool is called.
    pub(super) content: String,
    /// A call of a tool.
    pub(super) call: Option<ToolCall>,
    /// True when the answer was cut at the caller's limit.
    pub(super) cut: bool,
}

/// A number of tokens or bytes.
pub(super) fn count(n: usize) -> Json {
    Json::Number(u64::try_from(n).unwrap_or(u64::MAX).into())
}

/// Text of a message's content, parts joined by line breaks.
pub(super) fn content_text(content: Option<&Json>) -> String {
    match content {
        Some(Json::String(text)) => text.clone(),
        Some(Json::Array(parts)) => {
            let texts = parts.iter().filter_map(|part| part.get("text").and_then(Json::as_str));
            texts.collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}

/// Role and content of each message.
pub(super) fn messages(request: &Json) -> Vec<(String, String)> {
    let messages = request.get("messages").and_then(Json::as_array).unwrap_or_default();
    let role = |message: &Json| message.get("role").and_then(Json::as_str).unwrap_or_default().to_owned();
    messages.iter().map(|message| (role(message), content_text(message.get("content")))).collect()
}

/// Text of the last message from the user.
pub(super) fn question(request: &Json) -> String {
    let all = messages(request);
    let last = all.into_iter().rev().find(|(role, _)| role == "user");
    last.map(|(_, content)| content).unwrap_or_default()
}

/// Tokens of everything asked.
pub(super) fn prompt_tokens(request: &Json) -> usize {
    messages(request).iter().map(|(_, content)| tokens(content).len()).sum()
}

/// One choice per `n`.
pub(super) fn choices(model: &Model, request: &Json, question: &str) -> Vec<Choice> {
    let asked = request.get("n").and_then(Json::as_u64).unwrap_or(1).clamp(1, MAX_CHOICES);
    let limit = ["max_completion_tokens", "max_tokens"]
        .iter()
        .find_map(|name| request.get(name).and_then(Json::as_u64))
        .and_then(|limit| usize::try_from(limit).ok());
    (0..asked).map(|index| choice(model, request, question, index, limit)).collect()
}

fn choice(model: &Model, request: &Json, question: &str, index: u64, limit: Option<usize>) -> Choice {
    let answer = text::answer(question, model.reasoning, u8::try_from(index).unwrap_or(0), true);
    let call = call(request, question);
    let content = match (&call, question.strip_prefix(ECHO_PHRASE)) {
        (Some(_), _) => String::new(),
        (None, Some(echo)) => echo.to_owned(),
        (None, None) => answer.content,
    };
    let pieces = tokens(&content);
    let cut = limit.is_some_and(|limit| pieces.len() > limit);
    let content = if cut { pieces.into_iter().take(limit.unwrap_or(0)).collect() } else { content };
    Choice { reasoning: answer.reasoning, content, call, cut }
}

/// The call of the first tool, when the request has one and asks for it.
fn call(request: &Json, question: &str) -> Option<ToolCall> {
    let tool = request.get("tools").and_then(Json::as_array)?.first()?;
    let choice = request
        .get("tool_choice")
        .and_then(|choice| choice.as_str().or_else(|| choice.get("type")?.as_str()));
    let asked = question.to_lowercase().contains(TOOL_PHRASE);
    if choice == Some("none") || !(asked || matches!(choice, Some("required" | "any" | "tool" | "function")))
    {
        return None;
    }
    // The OpenAI form nests the function; the messages API has it at the top, with another name for the schema.
    let function = tool.get("function").unwrap_or(tool);
    let schema = function.get("parameters").or_else(|| function.get("input_schema"));
    Some(ToolCall {
        name: function.get("name").and_then(Json::as_str)?.to_owned(),
        arguments: tools::arguments(schema),
    })
}

/// Tokens of an answer.
pub(super) fn completion_tokens(choice: &Choice) -> usize {
    let reasoning = choice.reasoning.as_deref().map_or(0, |text| tokens(text).len());
    let call = choice.call.as_ref().map_or(0, |call| tokens(&call.arguments.to_compact()).len());
    reasoning.saturating_add(tokens(&choice.content).len()).saturating_add(call)
}
