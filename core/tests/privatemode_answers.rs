//! Answers of Privatemode as a worker seals them (privatemode.md 6.4), in forms that the vectors do not have.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use proveil_core::Code;
use proveil_core::crypto::SecureRandom;
use proveil_core::endpoint::{Event, Receipt};
use proveil_core::error::{Error, Result};
use proveil_core::http::ResponseHead;
use proveil_core::openai::ApiEndpoint;
use proveil_core::provider::privatemode::{
    AnswerOpener, AnswerPart, Direction, MessageSize, Output, StreamUsage, open_document, plain_members,
};
use proveil_core::seal::gcm_stream::{FieldCipher, MessageKey};
use proveil_core::secret::Secret;
use serde_json::{Value, json};

const KEY: [u8; 32] = [7; 32];
const ID: &str = "secret-id";

/// Never the same bytes twice.
struct Counter(u64);

impl SecureRandom for Counter {
    fn fill(&mut self, out: &mut [u8]) -> Result<()> {
        self.0 += 1;
        out.fill(0);
        let (number, length) = (self.0.to_be_bytes(), out.len().min(8));
        out[..length].copy_from_slice(&number[8 - length..]);
        Ok(())
    }
}

/// Both ends of one exchange.
struct Exchange {
    endpoint: ApiEndpoint,
    key: MessageKey,
    sealed: u32,
    random: Counter,
    cipher: FieldCipher,
}

impl Exchange {
    fn new(endpoint: ApiEndpoint) -> Exchange {
        let cipher = FieldCipher::new(&Secret::take(&mut { KEY }), ID, &mut Counter(0)).unwrap();
        let key = MessageKey::new(&KEY, ID, *cipher.nonce()).unwrap();
        Exchange { endpoint, key, sealed: 0, random: Counter(100), cipher }
    }

    fn seal(&mut self, plaintext: &str) -> String {
        let mut out = Vec::new();
        self.key.seal_at(self.sealed, plaintext.as_bytes(), &mut self.random, &mut out).unwrap();
        self.sealed += 1;
        String::from_utf8(out).unwrap()
    }

    /// A document with everything sealed that is not plain.
    fn document(&mut self, document: &Value) -> String {
        let plain = plain_members(&self.endpoint, Direction::Response).unwrap();
        let mut members = Vec::new();
        let mut sorted: Vec<(&String, &Value)> = document.as_object().unwrap().iter().collect();
        // The order of the counters.
        sorted.sort_by_key(|(name, _)| *name);
        for (name, value) in sorted {
            let value = value.to_string();
            let value = if plain.contains(&name.as_str()) { value } else { self.seal(&value) };
            members.push(format!("\"{name}\":{value}"));
        }
        format!("{{{}}}", members.join(","))
    }

    fn event(&mut self, document: &Value) -> String {
        format!("data: {}\n\n", self.document(document))
    }

    fn open_failure(self, status: u16, headers: &[(&str, &str)], body: &[u8]) -> Error {
        let mut opener = AnswerOpener::new(self.cipher, self.endpoint, Output::Texts, None, [0; 32]);
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        opener.head(&ResponseHead::new(status, headers)).unwrap();
        body.chunks(1000).for_each(|piece| opener.push(piece, &mut Vec::new()).unwrap());
        opener.finish(&mut Vec::new()).unwrap_err()
    }

    fn open_with_usage(self, usage: StreamUsage, output: Output, body: &str) -> Vec<Event> {
        let opener = AnswerOpener::new(self.cipher, self.endpoint, output, None, [0; 32]);
        let (mut opener, mut out) = (opener.with_usage(usage), Vec::new());
        let headers = [("content-type".to_owned(), "text/event-stream".to_owned())];
        opener.head(&ResponseHead::new(200, headers)).unwrap();
        opener.push(body.as_bytes(), &mut out).unwrap();
        opener.finish(&mut out).unwrap();
        out
    }

    fn open(self, output: Output, kind: &str, body: &[u8]) -> (Vec<Event>, Result<Receipt>) {
        let mut opener = AnswerOpener::new(self.cipher, self.endpoint, output, None, [0; 32]);
        let mut out = Vec::new();
        let mut run = || {
            opener.head(&ResponseHead::new(200, [("content-type".to_owned(), kind.to_owned())]))?;
            opener.push(body, &mut out)?;
            opener.finish(&mut out)
        };
        let result = run();
        (out, result)
    }
}

/// Opens a stream of these documents.
fn stream(endpoint: &ApiEndpoint, documents: &[Value], tail: &str) -> (Vec<Event>, Result<Receipt>) {
    let mut exchange = Exchange::new(endpoint.clone());
    let mut body: String = documents.iter().map(|document| exchange.event(document)).collect();
    body.push_str(tail);
    exchange.open(Output::Documents, "text/event-stream", body.as_bytes())
}

/// Opens a whole answer.
fn whole(endpoint: &ApiEndpoint, document: &Value) -> (Vec<Event>, Result<Receipt>) {
    let mut exchange = Exchange::new(endpoint.clone());
    let body = exchange.document(document);
    exchange.open(Output::Documents, "application/json", body.as_bytes())
}

/// How opening ended: an error with its place.
type Ending = Option<(Code, Option<String>)>;

fn end(result: &(Vec<Event>, Result<Receipt>)) -> Ending {
    result.1.as_ref().err().map(|error| (error.code(), error.check().map(str::to_owned)))
}

const DONE: &str = "data: [DONE]\n\n";

/// T31, T39: the end mark is in clear. A transcription is complete only when a sealed part says so, in either of its forms.
#[test]
fn transcriptions_end_sealed() {
    let piece = |text: &str, finish: Value| json!({ "choices": [{ "delta": { "content": text }, "finish_reason": finish }] });
    let more = || piece("a", Value::Null);
    let last = || piece("b", json!("stop"));
    let usage = || json!({ "choices": [], "usage": { "total_tokens": 3 } });
    let delta = || json!({ "type": "transcript.text.delta", "delta": "a" });
    let done = || json!({ "type": "transcript.text.done", "text": "ab" });
    let truncated = |what: &str| Some((Code::Truncated, Some(what.to_owned())));
    let renamed = |what: &str| Some((Code::MalformedEvent, Some(what.to_owned())));
    let cases: [(Vec<Value>, &str, Ending); 18] = [
        (vec![more(), last()], DONE, None),
        (vec![more(), last(), usage()], DONE, None),
        (vec![more(), last()], "", truncated("the end of the stream")),
        (vec![], DONE, truncated("finish_reason")),
        (vec![more()], DONE, truncated("finish_reason")),
        (vec![more(), usage()], DONE, truncated("finish_reason")),
        // A long recording is heard in sections; a cut inside a later one is seen.
        (vec![more(), last(), more(), last()], DONE, None),
        (vec![more(), last(), more()], DONE, truncated("finish_reason")),
        (vec![delta(), done()], DONE, None),
        (vec![delta(), done()], "", None),
        (vec![delta()], DONE, truncated("finish_reason")),
        (vec![json!({ "type": "transcript.text.segment", "text": "a" })], DONE, truncated("finish_reason")),
        // Members can be renamed by who does not read them.
        (vec![json!({ "type": "transcript.text.segment" })], DONE, renamed("text")),
        (vec![json!({ "type": "transcript.text.delta", "text": "a" }), done()], DONE, renamed("delta")),
        (vec![json!({ "type": "transcription.chunk", "choice": [] }), last()], DONE, renamed("choices")),
        (vec![more(), delta(), last()], DONE, renamed("choices")),
        (vec![delta(), last()], DONE, renamed("type")),
        (vec![json!({ "text": "a" })], DONE, renamed("choices")),
    ];
    for (documents, tail, expected) in cases {
        let result = stream(&ApiEndpoint::Transcriptions, &documents, tail);
        assert_eq!(end(&result), expected, "{documents:?}{tail}");
        if expected.is_none() {
            assert_eq!(result.0.len(), documents.len());
        }
    }
}

/// T39: these endpoints have no streams, so that a stream of them has no end either.
#[test]
fn endpoints_without_streams() {
    for path in ["/v1/embeddings", "/unstructured/general/v0/general"] {
        let result = stream(&ApiEndpoint::parse(path).unwrap(), &[], DONE);
        assert_eq!(end(&result), Some((Code::UnexpectedContentType, None)), "{path}");
    }
}

/// T38: in a stream of the messages API the type is in clear; an event has the sealed member that it is about.
#[test]
fn messages_with_a_renamed_member() {
    let start = json!({ "type": "message_start", "message": { "model": "m" } });
    let block = json!({ "type": "content_block_start", "index": 0, "content_block": {} });
    let delta = json!({ "type": "content_block_delta", "index": 0, "delta": { "text": "a" } });
    let last = json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn" } });
    let stop = "data: {\"type\":\"message_stop\"}\n\n";
    let all = [start, block, delta, last];
    assert_eq!(end(&stream(&ApiEndpoint::Messages, &all, stop)), None);
    for (index, name) in ["message", "content_block", "delta", "delta"].into_iter().enumerate() {
        let mut renamed = all.clone();
        let members = renamed[index].as_object_mut().unwrap();
        let value = members.remove(name).unwrap();
        members.insert(format!("{name}_"), value);
        let result = stream(&ApiEndpoint::Messages, &renamed, stop);
        assert_eq!(end(&result), Some((Code::MalformedEvent, Some(name.to_owned()))));
    }
    // Or called by another type, or by another name of the event.
    for (index, kind) in [
        (2, "ping"),
        (2, "message_delta"),
        (2, "content_block_start"),
        (3, "content_block_delta"),
        (0, "ping"),
    ] {
        let mut other = all.clone();
        other[index]["type"] = json!(kind);
        let result = stream(&ApiEndpoint::Messages, &other, stop);
        assert_eq!(end(&result).map(|(code, _)| code), Some(Code::MalformedEvent), "{index} {kind}");
    }
    for (name, expected) in [("content_block_delta", None), ("", None), ("ping", Some(Code::MalformedEvent))]
    {
        let mut exchange = Exchange::new(ApiEndpoint::Messages);
        let mut body = String::new();
        for document in &all {
            if document["type"] == "content_block_delta" && !name.is_empty() {
                body.push_str(&format!("event: {name}\n"));
            }
            body.push_str(&exchange.event(document));
        }
        let (_, result) = exchange.open(Output::Documents, "text/event-stream", (body + stop).as_bytes());
        assert_eq!(result.err().map(|error| error.code()), expected, "{name}");
    }
    // Members that are not there can be written as null.
    let nulls = json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn" }, "index": null, "message": null });
    let whole = [all[0].clone(), all[1].clone(), all[2].clone(), nulls];
    assert_eq!(end(&stream(&ApiEndpoint::Messages, &whole, stop)), None);
}

/// T44: an answer is bounded by its bytes, its depth and the members of its objects. How many values it has is the caller's business: these
/// were paid for.
#[test]
fn large_answers() {
    let vector =
        |index: usize| json!({ "object": "embedding", "index": index, "embedding": vec![0.123_456_7; 4096] });
    let embeddings =
        json!({ "object": "list", "model": "m", "data": (0..100).map(vector).collect::<Vec<_>>() });
    let (events, result) = whole(&ApiEndpoint::Embeddings, &embeddings);
    assert_eq!(result.unwrap().sealed_fields, 3);
    let [Event::Document { json, .. }] = events.as_slice() else { panic!("{} events", events.len()) };
    assert_eq!(serde_json::from_str::<Value>(json).unwrap(), embeddings);

    let top = json!({ "token": "a", "logprob": -0.5, "bytes": [97, 98, 99] });
    let token = json!({ "token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": vec![top; 20] });
    let choice = json!({ "index": 0, "message": { "content": "a" }, "finish_reason": "length",
        "logprobs": { "content": vec![token; 1000] } });
    let chat = json!({ "id": "c", "choices": [choice], "usage": { "total_tokens": 1000 } });
    assert_eq!(end(&whole(&ApiEndpoint::ChatCompletions, &chat)), None);
}

/// A limit is named, and is not called a fault of form.
#[test]
fn limits_of_an_answer() {
    let nested = (0..64).fold(json!(0), |inner, _| json!([inner]));
    let members: serde_json::Map<String, Value> = (0..10_001).map(|i| (i.to_string(), json!(0))).collect();
    let choices: Vec<Value> =
        (0..200).map(|i| json!({ "index": i, "delta": {}, "finish_reason": "stop" })).collect();
    let cases = [
        (json!({ "choices": nested }), "depth of nesting"),
        (json!({ "choices": [], "x": members }), "members of an object"),
        (json!({ "choices": choices }), "choices"),
    ];
    for (document, limit) in cases {
        let expected = Some((Code::LimitExceeded, Some(limit.to_owned())));
        assert_eq!(end(&whole(&ApiEndpoint::ChatCompletions, &document)), expected);
        assert_eq!(end(&stream(&ApiEndpoint::ChatCompletions, &[document], DONE)), expected);
    }
}

/// What an answer says besides texts does not vanish from a chat that is read as texts.
#[test]
fn more_than_texts() {
    let call = json!([{ "index": 0, "id": "call_0", "type": "function", "function": { "name": "f", "arguments": "{}" } }]);
    let more = [
        json!({ "tool_calls": call }),
        json!({ "content": null, "function_call": { "name": "f" } }),
        json!({ "content": "", "refusal": "I will not." }),
        json!({ "audio": { "id": "a" } }),
        json!({ "content": [{ "type": "text", "text": "a" }] }),
    ];
    let nothing = [
        json!({}),
        json!({ "role": "assistant", "content": "", "tool_calls": [], "refusal": null, "annotations": [], "audio": null }),
        json!({ "content": null, "reasoning": null, "function_call": null, "extra": {} }),
    ];
    let all = more.iter().map(|part| (part, true)).chain(nothing.iter().map(|part| (part, false)));
    for (part, is_more) in all {
        for name in ["delta", "message"] {
            let last = |part: &Value| json!({ "id": "c", "choices": [{ "index": 0, name: part, "finish_reason": "tool_calls" }] });
            let (streamed, document) = (name == "delta", last(part));
            let mut exchange = Exchange::new(ApiEndpoint::ChatCompletions);
            let (events, result) = if streamed {
                let body = exchange.event(&document) + DONE;
                exchange.open(Output::Texts, "text/event-stream", body.as_bytes())
            } else {
                let body = exchange.document(&document);
                exchange.open(Output::Texts, "application/json", body.as_bytes())
            };
            result.unwrap();
            let finish = Event::Finish { choice: 0, reason: "tool_calls".to_owned() };
            match events.as_slice() {
                [Event::Document { json, .. }, end] if is_more => {
                    assert_eq!((serde_json::from_str::<Value>(json).unwrap(), end), (document, &finish));
                }
                [end] if !is_more => assert_eq!(end, &finish),
                other => panic!("{part}: {other:?}"),
            }
        }
    }
    // Texts of the same part come as ever; log probabilities stand beside them.
    let choice = json!({ "index": 0, "delta": { "content": "a" }, "logprobs": { "content": [] }, "finish_reason": "stop" });
    let mut exchange = Exchange::new(ApiEndpoint::ChatCompletions);
    let body = exchange.event(&json!({ "choices": [choice] })) + DONE;
    let (events, _) = exchange.open(Output::Texts, "text/event-stream", body.as_bytes());
    assert!(
        matches!(events.as_slice(), [Event::Document { .. }, Event::Text { .. }, Event::Finish { .. }]),
        "{events:?}"
    );
    // After its end a choice says nothing more.
    let ended = json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }] });
    let late = json!({ "choices": [{ "index": 0, "delta": { "tool_calls": call }, "finish_reason": null }] });
    let result = stream(&ApiEndpoint::ChatCompletions, &[ended, late], DONE);
    assert_eq!(end(&result).map(|(code, _)| code), Some(Code::MalformedEvent));
}

/// T41: an error inside a stream is opened where it was sealed, by whatever name its event goes; in clear it is nobody's word, however it is
/// written; and only what was not sealed at all is taken for it.
#[test]
fn errors_in_streams() {
    let sealed = "The words were sealed by a worker.";
    let clear = "The words are not authenticated.";
    let error = json!({ "type": "error", "error": { "type": "overloaded_error", "message": "Overloaded" } });
    for (endpoint, name) in [
        (ApiEndpoint::Messages, "event: error\n"),
        (ApiEndpoint::Messages, ""),
        (ApiEndpoint::ChatCompletions, ""),
    ] {
        let mut exchange = Exchange::new(endpoint);
        let body = format!("{name}{}", exchange.event(&error));
        let (_, result) = exchange.open(Output::Texts, "text/event-stream", body.as_bytes());
        let error = result.unwrap_err();
        assert_eq!((error.code(), error.found_value()), (Code::UpstreamError, Some("Overloaded")), "{error}");
        assert!(error.message().contains(sealed) && !error.message().contains(clear), "{error}");
    }
    let cases = [
        ("event: error\ndata: {\"error\":{\"message\":\"m\"}}\n\n", Some(Code::UpstreamError)),
        ("data: {\"error\":{\"message\":\"m\"}}\n\n", Some(Code::UpstreamError)),
        ("data: { \"error\" : { \"message\" : \"m\" } }\n\n", Some(Code::UpstreamError)),
        ("data: {\"code\":5,\"error\": {\"message\":\"m\"}}\n\n", Some(Code::UpstreamError)),
        ("event: error\ndata: {\"detail\":\"m\"}\n\n", Some(Code::UpstreamError)),
        ("data: {\"detail\":\"m\"}\n\n", Some(Code::NotCiphertext)),
        ("data: {\"error\":\"m\"}\n\n", Some(Code::NotCiphertext)),
        ("event: error\ndata: {\"error\":\n\n", Some(Code::MalformedEvent)),
    ];
    for (body, code) in cases {
        for endpoint in [ApiEndpoint::Messages, ApiEndpoint::ChatCompletions, ApiEndpoint::Transcriptions] {
            let (events, result) =
                Exchange::new(endpoint).open(Output::Texts, "text/event-stream", body.as_bytes());
            let error = result.unwrap_err();
            assert_eq!((Some(error.code()), events.len()), (code, 0), "{body}: {error}");
            assert!(!error.message().contains(sealed), "{error}");
            if error.code() == Code::UpstreamError {
                assert!(error.message().contains(clear) && error.found_value() == Some("m"), "{error}");
            }
        }
    }
    // A member in another's place is no error of the provider's.
    let mut exchange = Exchange::new(ApiEndpoint::Messages);
    exchange.sealed = 1;
    let body = format!("event: error\n{}", exchange.event(&error));
    let (_, result) = exchange.open(Output::Texts, "text/event-stream", body.as_bytes());
    assert_eq!(result.unwrap_err().code(), Code::AuthFailed);
}

/// T41: who said what. Sealed words are a worker's, and are opened however long they are; what is shown of them is not.
#[test]
fn failures() {
    let long = "x".repeat(40_000);
    for message in ["The prompt is too long.", long.as_str()] {
        let mut exchange = Exchange::new(ApiEndpoint::ChatCompletions);
        let body = exchange.document(&json!({ "error": { "message": message, "type": "BadRequestError" } }));
        let error = exchange.open_failure(400, &[], body.as_bytes());
        assert_eq!((error.code(), error.retryable()), (Code::UpstreamError, false));
        let shown = error.found_value().unwrap();
        assert!(message.starts_with(shown.trim_end_matches('\u{2026}')) && shown.len() <= 256, "{shown}");
        assert!(
            error.message().contains("sealed by a worker") && !error.hint().contains("not authenticated")
        );
    }
    let gpu = |component: &str, status: &str| {
        format!(
            "GPU attestation returned a {component} OCSP status that is not accepted by the client: {status}"
        )
    };
    let cases = [
        (500, gpu("driver", "UNKNOWN"), Code::GpuStatusRefused),
        (500, gpu("GPU", "REVOKED"), Code::GpuStatusRefused),
        (500, "no secret for ID \"a\"".to_owned(), Code::StaleKey),
        (500, "mutating request: invalid JSON".to_owned(), Code::UpstreamUnavailable),
        (400, gpu("VBIOS", "UNKNOWN"), Code::UpstreamError),
    ];
    for (status, message, code) in cases {
        let body = json!({ "error": { "message": message, "type": "" } }).to_string();
        let headers = [("Privatemode-Encrypted", "false"), ("Content-Type", "application/json")];
        let exchange = Exchange::new(ApiEndpoint::ChatCompletions);
        let error = exchange.open_failure(status, &headers, body.as_bytes());
        assert_eq!(error.code(), code, "{error}");
        assert!(error.message().contains("not authenticated"), "{error}");
        if code == Code::GpuStatusRefused {
            assert!(!error.retryable() && error.hint().contains("--gpu-revocation-grace"), "{error}");
        }
    }
}

/// The enclave counts for everybody; a caller sees what was asked for, and no event without choices that was not.
#[test]
fn usage_of_a_stream() {
    let usage = |count: u64| json!({ "total_tokens": count });
    let event = |text: &str, finish: Value, count: u64| {
        json!({ "id": "c", "usage": usage(count), "model": "m",
            "choices": [{ "index": 0, "delta": { "content": text }, "finish_reason": finish }] })
    };
    let last = json!({ "id": "c", "usage": usage(3), "model": "m", "choices": [] });
    let documents = [event("a", Value::Null, 1), event("b", json!("stop"), 2), last];
    for endpoint in [ApiEndpoint::ChatCompletions, ApiEndpoint::Transcriptions] {
        for (wanted, counts, length) in [
            (StreamUsage::Never, vec![], 2),
            (StreamUsage::Last, vec![3], 3),
            (StreamUsage::Always, vec![1, 2, 3], 3),
        ] {
            let sealed = || {
                let mut exchange = Exchange::new(endpoint.clone());
                let body: String = documents.iter().map(|document| exchange.event(document)).collect();
                (exchange, body + DONE)
            };
            let (exchange, body) = sealed();
            let events = exchange.open_with_usage(wanted, Output::Documents, &body);
            let json = |event: &Event| match event {
                Event::Document { json, .. } => serde_json::from_str::<Value>(json).unwrap(),
                other => panic!("{other:?}"),
            };
            let opened: Vec<Value> = events.iter().map(json).collect();
            let seen = opened.iter().filter_map(|event| event["usage"]["total_tokens"].as_u64());
            assert_eq!((seen.collect::<Vec<_>>(), opened.len()), (counts.clone(), length), "{wanted:?}");
            for (event, whole) in opened.iter().zip(&documents) {
                let mut whole = whole.clone();
                if event.get("usage").is_none() {
                    whole.as_object_mut().unwrap().remove("usage");
                }
                assert_eq!(*event, whole);
            }
            if endpoint == ApiEndpoint::ChatCompletions {
                let (exchange, body) = sealed();
                let events = exchange.open_with_usage(wanted, Output::Texts, &body);
                let usages = events.iter().filter(|event| matches!(event, Event::Usage { .. })).count();
                let shown = counts.len().max(1);
                assert_eq!((usages, events.len()), (shown, shown + 3), "{events:?}");
            }
        }
    }
}

/// Wherever a member stands, the text without it is the same object.
#[test]
fn one_member_less() {
    for text in [
        "{\"usage\":{\"a\":1},\"id\":\"c\"}",
        "{ \"id\" : \"c\" , \"usage\" : { \"a\" : 1 } }",
        " { \"usage\" : { \"a\" : 1 } , \"id\" : \"c\" } ",
        "{\"id\":\"c\",\"usage\":null}",
    ] {
        let endpoint = ApiEndpoint::ChatCompletions;
        let open = || {
            let size = MessageSize { id_bytes: 44 };
            open_document(text, &endpoint, AnswerPart::Failure, size, |_, _| Ok(())).unwrap()
        };
        let shorter: Value = serde_json::from_str(&open().into_text_without("usage")).unwrap();
        assert_eq!(shorter, json!({ "id": "c" }), "{text}");
        assert_eq!(open().into_text_without("other"), open().into_text());
    }
    let alone = open_document(
        "{\"usage\":{}}",
        &ApiEndpoint::ChatCompletions,
        AnswerPart::Failure,
        MessageSize { id_bytes: 44 },
        |_, _| Ok(()),
    );
    assert_eq!(alone.unwrap().into_text_without("usage"), "{}");
}
