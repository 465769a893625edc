//! Answers of `/v1/chat/completions` and `/v1/completions` in clear, as the model server gives them to the proxy inside the enclave.

use proveil_core::wire::json::Json;

use super::generate::{Choice, choices, completion_tokens, content_text, count, prompt_tokens, question};
use super::models::Model;
use super::wire::{Answer, Event};
use crate::forge::{object, string};
use crate::sim::text::tokens;

/// What all parts of an answer have in common.
pub(super) struct Head<'a> {
    /// Identifier of the answer.
    pub(super) id: &'a str,
    /// Unix seconds.
    pub(super) created: u64,
    /// The model that answers.
    pub(super) model: &'a Model,
}

impl Head<'_> {
    fn body(&self, kind: &str, choices: Vec<Json>, usage: Json) -> Json {
        object([
            ("id", string(self.id)),
            ("object", string(kind)),
            ("created", Json::Number(self.created.into())),
            ("model", string(self.model.id)),
            ("choices", Json::Array(choices)),
            ("usage", usage),
        ])
    }
}

fn usage(prompt: usize, completion: usize) -> Json {
    object([
        ("prompt_tokens", count(prompt)),
        ("total_tokens", count(prompt.saturating_add(completion))),
        ("completion_tokens", count(completion)),
    ])
}

fn wants_stream(request: &Json) -> bool {
    request.get("stream").and_then(Json::as_bool) == Some(true)
}

fn finish_reason(choice: &Choice) -> Json {
    string(match choice {
        Choice { call: Some(_), .. } => "tool_calls",
        Choice { cut: true, .. } => "length",
        _ => "stop",
    })
}

/// `reasoning` and the copy that the proxy makes of it.
fn thought(text: &str) -> [(&'static str, Json); 2] {
    [("reasoning", string(text)), ("reasoning_content", string(text))]
}

fn owned(members: impl IntoIterator<Item = (&'static str, Json)>) -> Json {
    Json::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// `/v1/chat/completions`
pub(super) fn chat(head: &Head<'_>, request: &Json) -> Answer {
    let answers = choices(head.model, request, &question(request));
    let prompt = prompt_tokens(request);
    if wants_stream(request) {
        return Answer::Stream(stream(head, "chat.completion.chunk", prompt, &answers, chat_deltas));
    }
    let message = |answer: &Choice| {
        let mut members = vec![("role", string("assistant"))];
        members.push(("content", if answer.call.is_some() { Json::Null } else { string(&*answer.content) }));
        members.extend(answer.reasoning.iter().flat_map(|text| thought(text)));
        members
            .extend(answer.call.as_ref().map(|_| ("tool_calls", Json::Array(vec![tool_call(answer, None)]))));
        owned(members)
    };
    let choices = (0..).zip(&answers).map(|(index, answer)| {
        object([
            ("index", count(index)),
            ("message", message(answer)),
            ("logprobs", Json::Null),
            ("finish_reason", finish_reason(answer)),
        ])
    });
    let completion = answers.iter().map(completion_tokens).sum();
    Answer::Whole(head.body("chat.completion", choices.collect(), usage(prompt, completion)))
}

/// The call of a tool; in a stream with an index and, after the first piece, only a piece of the arguments.
fn tool_call(answer: &Choice, piece: Option<&str>) -> Json {
    let (name, arguments) = match &answer.call {
        Some(call) => (call.name.as_str(), call.arguments.to_compact()),
        None => ("", String::new()),
    };
    match piece {
        None => object([
            ("id", string("call_0")),
            ("type", string("function")),
            ("function", object([("name", string(name)), ("arguments", string(arguments))])),
        ]),
        Some("") => object([
            ("index", count(0)),
            ("id", string("call_0")),
            ("type", string("function")),
            ("function", object([("name", string(name)), ("arguments", string(""))])),
        ]),
        Some(piece) => object([("index", count(0)), ("function", object([("arguments", string(piece))]))]),
    }
}

/// The pieces of one choice, each a member of its event's choice.
fn chat_deltas(answer: &Choice) -> Vec<(&'static str, Json)> {
    let mut deltas = vec![object([("role", string("assistant")), ("content", string(""))])];
    let thoughts = answer.reasoning.iter().flat_map(|text| tokens(text));
    deltas.extend(thoughts.map(|piece| owned(thought(&piece))));
    deltas.extend(tokens(&answer.content).iter().map(|piece| object([("content", string(&**piece))])));
    if let Some(call) = &answer.call {
        let pieces = [String::new()].into_iter().chain(tokens(&call.arguments.to_compact()));
        let calls = pieces.map(|piece| Json::Array(vec![tool_call(answer, Some(&piece))]));
        deltas.extend(calls.map(|calls| object([("tool_calls", calls)])));
    }
    deltas.into_iter().map(|delta| ("delta", delta)).collect()
}

/// All events: pieces of all choices in turn, their ends, a last one without choices. Each carries the usage so far, as the proxy
/// makes the model server count.
fn stream(
    head: &Head<'_>,
    kind: &str,
    prompt: usize,
    answers: &[Choice],
    deltas: fn(&Choice) -> Vec<(&'static str, Json)>,
) -> Vec<Event> {
    let mut per_choice: Vec<_> = answers.iter().map(|answer| deltas(answer).into_iter()).collect();
    let mut events = Vec::new();
    let mut done: usize = 0;
    let choice = |index: usize, (name, value), finish| {
        object([("index", count(index)), (name, value), ("logprobs", Json::Null), ("finish_reason", finish)])
    };
    loop {
        let before = events.len();
        for (index, pieces) in per_choice.iter_mut().enumerate() {
            let Some(piece) = pieces.next() else { continue };
            let choices = vec![choice(index, piece, Json::Null)];
            events.push(Event::unnamed(head.body(kind, choices, usage(prompt, done))));
            done = done.saturating_add(1);
        }
        if events.len() == before {
            break;
        }
    }
    let last_piece = if kind == "text_completion" { ("text", string("")) } else { ("delta", object([])) };
    for (index, answer) in answers.iter().enumerate() {
        let choices = vec![choice(index, last_piece.clone(), finish_reason(answer))];
        events.push(Event::unnamed(head.body(kind, choices, usage(prompt, done))).final_of_choice());
    }
    events.push(Event::unnamed(head.body(kind, Vec::new(), usage(prompt, done))));
    events
}

/// `/v1/completions`
pub(super) fn completion(head: &Head<'_>, request: &Json) -> Answer {
    let prompts: Vec<String> = match request.get("prompt") {
        Some(Json::Array(prompts)) => {
            prompts.iter().map(|prompt| prompt.as_str().unwrap_or_default().to_owned()).collect()
        }
        prompt => vec![content_text(prompt)],
    };
    let answers: Vec<Choice> =
        prompts.iter().flat_map(|prompt| choices(head.model, request, prompt)).collect();
    let prompt = prompts.iter().map(|prompt| tokens(prompt).len()).sum();
    if wants_stream(request) {
        let deltas = |answer: &Choice| {
            tokens(&answer.content).into_iter().map(|piece| ("text", string(piece))).collect()
        };
        return Answer::Stream(stream(head, "text_completion", prompt, &answers, deltas));
    }
    let choices = (0..).zip(&answers).map(|(index, answer)| {
        object([
            ("index", count(index)),
            ("text", string(&*answer.content)),
            ("logprobs", Json::Null),
            ("finish_reason", finish_reason(answer)),
        ])
    });
    let completion = answers.iter().map(completion_tokens).sum();
    Answer::Whole(head.body("text_completion", choices.collect(), usage(prompt, completion)))
}
