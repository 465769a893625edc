//! Streams of Privatemode (privatemode.md 6.4) through [`AnswerOpener`]: every case of the vectors whole and cut at every kind of place; a
//! stream that ends anywhere else is not complete (threats T30, T31, T36, T38, T39, T43).

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use proveil_core::Code;
use proveil_core::crypto::SecureRandom;
use proveil_core::endpoint::{Event, Receipt, TextField};
use proveil_core::error::{Error, Result};
use proveil_core::http::ResponseHead;
use proveil_core::openai::ApiEndpoint;
use proveil_core::provider::privatemode::{AnswerOpener, Output};
use proveil_core::seal::gcm_stream::FieldCipher;
use proveil_core::secret::Secret;
use proveil_core::wire::hex;
use serde_json::Value;

struct Fixed(Vec<u8>);

impl SecureRandom for Fixed {
    fn fill(&mut self, out: &mut [u8]) -> Result<()> {
        out.copy_from_slice(&self.0);
        Ok(())
    }
}

fn cases() -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/privatemode/sse.json");
    let set: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    set["cases"].as_array().unwrap().clone()
}

fn text<'a>(case: &'a Value, name: &str) -> &'a str {
    case[name].as_str().unwrap()
}

fn opener(case: &Value, output: Output) -> AnswerOpener {
    let mut key: [u8; 32] = hex::decode(text(case, "key_hex")).unwrap().try_into().unwrap();
    let nonce = hex::decode(text(case, "nonce_hex")).unwrap();
    let cipher =
        FieldCipher::new(&Secret::take(&mut key), text(case, "secret_id"), &mut Fixed(nonce)).unwrap();
    let endpoint = match text(case, "kind") {
        "chat_response" => ApiEndpoint::ChatCompletions,
        "messages_response" => ApiEndpoint::Messages,
        other => panic!("{other}"),
    };
    AnswerOpener::new(cipher, endpoint, output, None, [0; 32])
}

fn open(case: &Value, output: Output, pieces: &[&[u8]]) -> (Vec<Event>, Result<Receipt>) {
    let mut out = Vec::new();
    let headers = case["response_headers"].as_object().unwrap();
    let headers = headers.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()));
    let mut opener = opener(case, output);
    let run = |out: &mut Vec<Event>| {
        opener.head(&ResponseHead::new(200, headers))?;
        pieces.iter().try_for_each(|piece| opener.push(piece, out))?;
        opener.finish(out)
    };
    let result = run(&mut out);
    (out, result)
}

/// The events as a proxy writes them.
fn written(case: &Value, events: &[Event]) -> String {
    let mut out = String::new();
    for event in events {
        let Event::Document { name, json } = event else { panic!("{event:?}") };
        if !name.is_empty() {
            out += &format!("event: {name}\n");
        }
        out += &format!("data: {json}\n\n");
    }
    if text(case, "kind") == "chat_response" {
        out += "data: [DONE]\n\n";
    }
    out
}

/// What each kind of refusal of the vectors is here.
fn codes(class: &str) -> &'static [Code] {
    match class {
        "authentication" => &[Code::AuthFailed],
        "truncated" => &[Code::Truncated],
        "unencrypted" | "plaintext-check" => &[Code::PlaintextDowngrade],
        "unauthenticated-error" => &[Code::UpstreamError],
        other => panic!("{other}"),
    }
}

#[test]
fn every_case() {
    for case in cases() {
        let id = text(&case, "id");
        let wire = text(&case, "wire").as_bytes();
        let (events, result) = open(&case, Output::Documents, &[wire]);
        match case["strict_error"].as_str() {
            None => {
                let receipt = result.unwrap_or_else(|error| panic!("{id}: {error}"));
                assert!(receipt.sealed_fields > 0, "{id}");
                // The end mark can be written in small letters; its form is ours.
                let expected = text(&case, "strict_output").replace("[done]", "[DONE]");
                assert_eq!(written(&case, &events), expected, "{id}");
            }
            Some(class) => {
                let error = result.unwrap_err();
                assert!(codes(class).contains(&error.code()), "{id}: {class}: {error}");
                assert!(case["strict_output"].is_null(), "{id}");
            }
        }
    }
}

/// The same outcome however the bytes are cut, and the texts are those of the documents.
#[test]
fn any_cut_gives_the_same() {
    let same = |a: &Result<Receipt>, b: &Result<Receipt>| match (a, b) {
        (Ok(a), Ok(b)) => a == b,
        (Err(a), Err(b)) => Error::code(a) == b.code() && a.check() == b.check(),
        _ => false,
    };
    for case in cases() {
        let wire = text(&case, "wire").as_bytes();
        let whole = open(&case, Output::Texts, &[wire]);
        for size in [1, 7, 64, 1000] {
            if wire.len() / size > 20_000 {
                continue;
            }
            let pieces: Vec<&[u8]> = wire.chunks(size).collect();
            let cut = open(&case, Output::Texts, &pieces);
            assert_eq!(cut.0, whole.0, "{} {size}", text(&case, "id"));
            assert!(same(&cut.1, &whole.1), "{} {size}: {:?} {:?}", text(&case, "id"), cut.1, whole.1);
        }
    }
}

/// T39: a stream that stops before its last event is never complete, wherever it stops.
#[test]
fn cut_at_every_byte() {
    for case in cases().iter().filter(|case| case["strict_error"].is_null()) {
        let wire = text(case, "wire").as_bytes();
        if wire.len() > 10_000 {
            continue;
        }
        // The line ends behind the end mark say nothing.
        let end = wire.trim_ascii_end().len();
        for at in 0..end {
            let (_, result) = open(case, Output::Texts, &[&wire[..at]]);
            let error = result.expect_err(&format!("{} at {at}", text(case, "id")));
            assert!(
                matches!(error.code(), Code::Truncated | Code::MalformedEvent),
                "{} at {at}: {error}",
                text(case, "id")
            );
        }
    }
}

#[test]
fn texts_of_a_chat() {
    let case = &cases()[0];
    let (events, result) = open(case, Output::Texts, &[text(case, "wire").as_bytes()]);
    assert_eq!(result.unwrap().id.as_deref(), Some("chatcmpl-9"));
    let content: String = events
        .iter()
        .filter_map(|event| match event {
            Event::Text { choice: 0, field: TextField::Content, text } => Some(text.as_str()),
            _ => None,
        })
        .collect();
    let expected: String = text(case, "strict_output")
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .filter_map(|data| serde_json::from_str::<Value>(data).ok())
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
        .collect();
    assert!(!content.is_empty());
    assert_eq!(content, expected);
    assert!(events.iter().any(|event| matches!(event, Event::Finish { choice: 0, .. })));
    assert!(events.iter().any(|event| matches!(event, Event::Usage { .. })));
}
