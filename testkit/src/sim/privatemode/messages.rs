//! Answers of `/v1/messages` in clear, in the form of Anthropic's API.

use proveil_core::wire::json::Json;

use super::chat::Head;
use super::generate::{Choice, choices, completion_tokens, count, prompt_tokens, question};
use super::wire::{Answer, Event};
use crate::forge::{object, string};
use crate::sim::text::tokens;

fn usage(prompt: usize, completion: usize) -> Json {
    object([("input_tokens", count(prompt)), ("output_tokens", count(completion))])
}

fn stop_reason(answer: &Choice) -> Json {
    string(match answer {
        Choice { call: Some(_), .. } => "tool_use",
        Choice { cut: true, .. } => "max_tokens",
        _ => "end_turn",
    })
}

/// The blocks of an answer: what stands at their start, and their pieces.
fn blocks(answer: &Choice) -> Vec<(Json, Vec<Json>)> {
    let delta = |kind, member: &'static str, pieces: Vec<String>| {
        pieces.into_iter().map(|piece| object([("type", string(kind)), (member, string(piece))])).collect()
    };
    let mut blocks = Vec::new();
    if let Some(text) = &answer.reasoning {
        let start = object([("type", string("thinking")), ("thinking", string(""))]);
        blocks.push((start, delta("thinking_delta", "thinking", tokens(text))));
    }
    match &answer.call {
        Some(call) => {
            let start = object([
                ("type", string("tool_use")),
                ("id", string("toolu_0")),
                ("name", string(&*call.name)),
                ("input", object([])),
            ]);
            let pieces = tokens(&call.arguments.to_compact());
            blocks.push((start, delta("input_json_delta", "partial_json", pieces)));
        }
        None => {
            let start = object([("type", string("text")), ("text", string(""))]);
            blocks.push((start, delta("text_delta", "text", tokens(&answer.content))));
        }
    }
    blocks
}

fn whole_blocks(answer: &Choice) -> Vec<Json> {
    let thinking = answer.reasoning.as_deref();
    let thinking = thinking.map(|text| object([("type", string("thinking")), ("thinking", string(text))]));
    let main = match &answer.call {
        Some(call) => object([
            ("type", string("tool_use")),
            ("id", string("toolu_0")),
            ("name", string(&*call.name)),
            ("input", call.arguments.clone()),
        ]),
        None => object([("type", string("text")), ("text", string(&*answer.content))]),
    };
    thinking.into_iter().chain([main]).collect()
}

fn message(head: &Head<'_>, content: Vec<Json>, stop: Json, usage: Json) -> Json {
    object([
        ("id", string(head.id)),
        ("type", string("message")),
        ("role", string("assistant")),
        ("content", Json::Array(content)),
        ("model", string(head.model.id)),
        ("stop_reason", stop),
        ("stop_sequence", Json::Null),
        ("usage", usage),
    ])
}

/// `/v1/messages`
pub(super) fn messages(head: &Head<'_>, request: &Json) -> Answer {
    let Some(answer) = choices(head.model, request, &question(request)).into_iter().next() else {
        return Answer::Whole(object([]));
    };
    let prompt = prompt_tokens(request);
    let completion = completion_tokens(&answer);
    if request.get("stream").and_then(Json::as_bool) != Some(true) {
        let content = whole_blocks(&answer);
        return Answer::Whole(message(head, content, stop_reason(&answer), usage(prompt, completion)));
    }
    let typed = |name: &'static str, members: Vec<(&str, Json)>| {
        let kind = ("type".to_owned(), string(name));
        let members = members.into_iter().map(|(name, value)| (name.to_owned(), value));
        Event::named(name, Json::Object([kind].into_iter().chain(members).collect()))
    };
    let start = message(head, Vec::new(), Json::Null, usage(prompt, 0));
    let mut events = vec![typed("message_start", vec![("message", start)]), typed("ping", Vec::new())];
    for (index, (start, pieces)) in blocks(&answer).into_iter().enumerate() {
        events.push(typed("content_block_start", vec![("index", count(index)), ("content_block", start)]));
        let delta = |piece| typed("content_block_delta", vec![("index", count(index)), ("delta", piece)]);
        events.extend(pieces.into_iter().map(delta));
        events.push(typed("content_block_stop", vec![("index", count(index))]));
    }
    let end = object([("stop_reason", stop_reason(&answer)), ("stop_sequence", Json::Null)]);
    let last = vec![("delta", end), ("usage", usage(prompt, completion))];
    events.push(typed("message_delta", last).final_of_choice());
    events.push(typed("message_stop", Vec::new()));
    Answer::Stream(events)
}
