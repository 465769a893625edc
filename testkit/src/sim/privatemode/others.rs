//! Answers of the other endpoints in clear: embeddings, transcriptions, documents.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proveil_core::wire::json::Json;
use sha2::{Digest, Sha256};

use super::chat::Head;
use super::forms::Part;
use super::generate::count;
use super::wire::{Answer, Event};
use crate::forge::{object, string};
use crate::sim::text::tokens;

/// Length of a vector when the caller asks for none.
const DIMENSIONS: usize = 256;
/// Longest vector.
const DIMENSIONS_MAX: usize = 4096;
/// Elements of a document: enough for their order as texts (0, 1, 10, 11, 2) to differ from that of their numbers.
const ELEMENTS: usize = 12;

/// The vector of a text: SHA-256 of the text and the number of each sixteen values, as 16-bit numbers scaled to length 1.
pub fn embedding(input: &str, dimensions: usize) -> Vec<f32> {
    let mut values: Vec<f32> = Vec::with_capacity(dimensions);
    for block in 0_u32.. {
        if values.len() >= dimensions {
            break;
        }
        let digest = Sha256::new().chain_update(input).chain_update(block.to_be_bytes()).finalize();
        let words = digest.as_chunks::<2>().0.iter().map(|word| i16::from_be_bytes(*word));
        values.extend(words.map(|word| f32::from(word) / 32_768.0));
    }
    values.truncate(dimensions);
    let length = values.iter().map(|value| value * value).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    values.into_iter().map(|value| value / length).collect()
}

/// `/v1/embeddings`; `None` without any input.
pub(super) fn embeddings(head: &Head<'_>, request: &Json) -> Option<Answer> {
    let inputs: Vec<String> = match request.get("input")? {
        Json::String(text) => vec![text.clone()],
        // A list of tokens is one input; lists of texts or tokens are several.
        list @ Json::Array(items) if items.iter().all(|item| item.as_u64().is_some()) => {
            vec![list.to_compact()]
        }
        Json::Array(items) => {
            items.iter().map(|item| item.as_str().map_or_else(|| item.to_compact(), str::to_owned)).collect()
        }
        _ => return None,
    };
    let asked = request.get("dimensions").and_then(Json::as_u64).and_then(|n| usize::try_from(n).ok());
    let dimensions = asked.unwrap_or(DIMENSIONS).clamp(1, DIMENSIONS_MAX);
    let is_base64 = request.get("encoding_format").and_then(Json::as_str) == Some("base64");
    let entry = |(index, input): (usize, &String)| {
        let values = embedding(input, dimensions);
        let vector = if is_base64 {
            string(STANDARD.encode(values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>()))
        } else {
            Json::Array(values.into_iter().map(|value| float(f64::from(value))).collect())
        };
        object([("object", string("embedding")), ("index", count(index)), ("embedding", vector)])
    };
    let prompt: usize = inputs.iter().map(|input| tokens(input).len()).sum();
    Some(Answer::Whole(object([
        ("id", string(head.id)),
        ("object", string("list")),
        ("created", Json::Number(head.created.into())),
        ("model", string(head.model.id)),
        ("data", Json::Array(inputs.iter().enumerate().map(entry).collect())),
        ("usage", object([("prompt_tokens", count(prompt)), ("total_tokens", count(prompt))])),
    ])))
}

fn float(value: f64) -> Json {
    serde_json::Number::from_f64(value).map_or(Json::Null, Json::Number)
}

/// What the model hears in any recording: how long it is, and its checksum.
pub fn caption(recording: &[u8]) -> String {
    let checksum = const_hex::encode(Sha256::digest(recording));
    format!(
        "A recording of {} bytes with the checksum {}.",
        recording.len(),
        checksum.get(..16).unwrap_or_default()
    )
}

/// Seconds of a WAV file by its header; 0 for anything else.
fn duration_s(recording: &[u8]) -> u64 {
    let word = |at: usize| {
        let bytes = recording.get(at..)?.first_chunk::<4>()?;
        Some(u64::from(u32::from_le_bytes(*bytes)))
    };
    let is_wav = recording.starts_with(b"RIFF") && recording.get(8..12) == Some(b"WAVE");
    let length = u64::try_from(recording.len()).unwrap_or(0).saturating_sub(44);
    if is_wav { word(28).and_then(|rate| length.checked_div(rate)).unwrap_or(0) } else { 0 }
}

/// `/v1/audio/transcriptions`; `None` without a file, or for a form of answer that cannot be sealed.
pub(super) fn transcription(head: &Head<'_>, parts: &[Part]) -> Option<Answer> {
    let text = |name: &str| {
        let part = parts.iter().find(|part| part.name == name && part.filename.is_none());
        part.and_then(|part| std::str::from_utf8(&part.data).ok())
    };
    let file = parts.iter().find(|part| part.name == "file" && part.filename.is_some())?;
    let caption = caption(&file.data);
    let seconds = duration_s(&file.data);
    if text("stream") == Some("true") {
        return Some(Answer::Stream(transcription_events(head, &caption)));
    }
    let usage = object([("type", string("duration")), ("seconds", Json::Number(seconds.into()))]);
    match text("response_format").unwrap_or("json") {
        "json" => Some(Answer::Whole(object([("text", string(caption)), ("usage", usage)]))),
        "verbose_json" => {
            let segment = object([
                ("id", count(0)),
                ("start", float(0.0)),
                ("end", Json::Number(seconds.into())),
                ("text", string(&*caption)),
            ]);
            Some(Answer::Whole(object([
                ("task", string("transcribe")),
                ("language", string(text("language").unwrap_or("en"))),
                ("duration", Json::Number(seconds.into())),
                ("text", string(caption)),
                ("segments", Json::Array(vec![segment])),
            ])))
        }
        _ => None,
    }
}

fn transcription_events(head: &Head<'_>, caption: &str) -> Vec<Event> {
    let event = |delta, finish| {
        let choice = object([("delta", delta), ("finish_reason", finish), ("stop_reason", Json::Null)]);
        Event::unnamed(object([
            ("id", string(head.id)),
            ("object", string("transcription.chunk")),
            ("created", Json::Number(head.created.into())),
            ("model", string(head.model.id)),
            ("choices", Json::Array(vec![choice])),
        ]))
    };
    let pieces =
        tokens(caption).into_iter().map(|piece| event(object([("content", string(piece))]), Json::Null));
    pieces.chain([event(object([]), string("stop")).final_of_choice()]).collect()
}

/// `/unstructured/...`: elements of a document that say how long it is, and its checksum.
pub(super) fn elements(document: &[u8]) -> Answer {
    let checksum = const_hex::encode(Sha256::digest(document));
    let element = |index: usize| {
        let text =
            format!("Part {index} of a request of {} bytes with the checksum {checksum}.", document.len());
        let metadata = object([("filetype", string("application/octet-stream")), ("page_number", count(1))]);
        object([
            ("type", string(if index == 0 { "Title" } else { "NarrativeText" })),
            ("element_id", string(const_hex::encode(Sha256::digest(&text).get(..16).unwrap_or_default()))),
            ("text", string(text)),
            ("metadata", metadata),
        ])
    };
    Answer::Whole(Json::Array((0..ELEMENTS).map(element).collect()))
}
