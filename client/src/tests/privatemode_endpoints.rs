//! Every endpoint that Privatemode has besides plain chats: answers, calls of tools, and defects of every stream.

use proveil_core::endpoint::{ApiRequest, Event};
use proveil_core::openai::ApiEndpoint;
use proveil_core::{Code, Error, Result};
use proveil_testkit::sim::Outcome;
use proveil_testkit::sim::privatemode::models::{EMBEDDER, TRANSCRIBER, VISION};
use proveil_testkit::sim::privatemode::{Defect, Stage, caption, embedding};
use serde_json::{Value, json};

use super::privatemode::{desk, documents, expected, simulator};
use super::{Desk, PROMPT};

const RECORDING: &[u8] = b"RIFF\x24\0\0\0WAVEfmt canary-recording";

#[tokio::test]
async fn every_other_endpoint() {
    let sim = simulator(&[]);
    let desk = desk(&sim);
    let input = "canary-input to embed";
    let body = json!({ "model": EMBEDDER, "input": input, "dimensions": 8 }).to_string();
    let answer = documents(&desk, ApiRequest::new(ApiEndpoint::Embeddings, None, body.as_bytes())).await;
    let numbers = answer[0].1["data"][0]["embedding"].as_array().unwrap().iter().map(|n| n.as_f64().unwrap());
    let expected = embedding(input, 8).into_iter().map(f64::from);
    assert!(answer.len() == 1 && numbers.clone().count() == 8);
    assert!(numbers.zip(expected).all(|(got, wanted)| (got - wanted).abs() < 1e-9));

    // More than 65,536 numbers.
    let many = vec![input; 17];
    let body = json!({ "model": EMBEDDER, "input": many, "dimensions": 4096 }).to_string();
    let answer = desk.client.embeddings(body.as_bytes()).await.unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["data"][16]["embedding"].as_array().unwrap().len(), 4096);

    let recording = RECORDING;
    for stream in [false, true] {
        let form = recording_form(stream);
        let kind = "multipart/form-data; boundary=edge";
        let answer = documents(&desk, ApiRequest::new(ApiEndpoint::Transcriptions, Some(kind), &form)).await;
        let text: String = if stream {
            let pieces = answer.iter().map(|(_, json)| &json["choices"][0]["delta"]["content"]);
            pieces.filter_map(Value::as_str).collect()
        } else {
            answer[0].1["text"].as_str().unwrap().to_owned()
        };
        assert_eq!((text, answer.len() > 1), (caption(recording), stream));
    }

    for stream in [false, true] {
        let body = json!({ "model": VISION, "stream": stream, "max_tokens": 4096,
            "messages": [{ "role": "user", "content": PROMPT }] })
        .to_string();
        let answer = documents(&desk, ApiRequest::new(ApiEndpoint::Messages, None, body.as_bytes())).await;
        let text: String = if stream {
            assert_eq!(
                (answer[0].0.as_str(), answer.last().unwrap().0.as_str()),
                ("message_start", "message_stop")
            );
            answer.iter().filter_map(|(_, json)| json["delta"]["text"].as_str()).collect()
        } else {
            answer[0].1["content"][0]["text"].as_str().unwrap().to_owned()
        };
        assert_eq!(text, self::expected(PROMPT), "{stream}");
    }

    // A large file becomes hexadecimal while it is sent.
    let recording = [recording, vec![b'-'; 1 << 20].as_slice()].concat();
    let head = format!(
        "--edge\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\n{TRANSCRIBER}\r\n--edge\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n"
    );
    let form = [head.as_bytes(), &recording, b"\r\n--edge--\r\n"].concat();
    let kind = "multipart/form-data; boundary=edge";
    let answer = documents(&desk, ApiRequest::new(ApiEndpoint::Transcriptions, Some(kind), &form)).await;
    assert_eq!(answer[0].1["text"], caption(&recording));
    let sent = sim.recorded().to_path("/v1/audio/transcriptions").last().map(|sent| sent.body.len()).unwrap();
    assert!(sent > 2 << 20, "{sent}");

    let place = ApiEndpoint::parse("/unstructured/general/v0/general").unwrap();
    let document = b"canary-document".as_slice();
    let answer = documents(&desk, ApiRequest::new(place, Some("application/pdf"), document)).await;
    let elements = answer[0].1.as_array().unwrap();
    assert_eq!(elements.len(), 12);
    assert!(elements[11]["text"].as_str().unwrap().starts_with("Part 11 of a request of 15 bytes"));
    assert!(!sim.recorded().saw_in_clear("canary"));
}

/// Calls of tools reach who asks for a chat, streamed and whole; and who asks for documents.
#[tokio::test]
async fn tools_are_called() {
    let sim = simulator(&[]);
    let desk = desk(&sim);
    for stream in [true, false] {
        let body = json!({ "model": VISION, "stream": stream,
            "messages": [{ "role": "user", "content": "Please use the tool. canary" }],
            "tools": [{ "type": "function", "function": { "name": "weather", "parameters": {
                "type": "object", "properties": { "city": { "type": "string" } } } } }] })
        .to_string();
        let mut answer = desk.client.chat(body.as_bytes()).await.unwrap();
        let (mut name, mut arguments, mut finish) = (String::new(), String::new(), None);
        while let Some(event) = answer.next().await {
            match event.unwrap() {
                Event::Document { json, .. } => {
                    assert_eq!(finish, None, "before the end");
                    let json: Value = serde_json::from_str(&json).unwrap();
                    let part = if stream { "delta" } else { "message" };
                    let function = &json["choices"][0][part]["tool_calls"][0]["function"];
                    name.push_str(function["name"].as_str().unwrap_or_default());
                    arguments.push_str(function["arguments"].as_str().unwrap());
                }
                Event::Text { text, .. } => panic!("{text}"),
                Event::Finish { reason, .. } => finish = Some(reason),
                Event::Usage { .. } => {}
            }
        }
        assert_eq!((name.as_str(), finish.as_deref()), ("weather", Some("tool_calls")), "{stream}");
        assert_eq!(serde_json::from_str::<Value>(&arguments).unwrap(), json!({ "city": "Berlin" }));
    }
    assert!(!sim.recorded().saw_in_clear("canary") && !sim.recorded().saw_in_clear("weather"));
}

/// A form with the recording of a transcription.
fn recording_form(stream: bool) -> Vec<u8> {
    let head = format!(
        "--edge\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\n{TRANSCRIBER}\r\n\
         --edge\r\ncontent-disposition: form-data; name=\"stream\"\r\n\r\n{stream}\r\n\
         --edge\r\ncontent-disposition: form-data; name=\"file\"; filename=\"canary-name.wav\"\r\n\r\n"
    );
    [head.as_bytes(), RECORDING, b"\r\n--edge--\r\n"].concat()
}

/// The text that came of a streamed answer, and how it ended.
async fn streamed(desk: &Desk, request: &ApiRequest<'_>) -> (String, Result<()>) {
    let mut text = String::new();
    let mut stream = match desk.client.send(request).await {
        Ok(stream) => stream,
        Err(error) => return (text, Err(error)),
    };
    while let Some(event) = stream.next().await {
        match event {
            Ok(Event::Document { json, .. }) => {
                let json: Value = serde_json::from_str(&json).unwrap();
                let choice = &json["choices"][0];
                let pieces = [&choice["text"], &choice["delta"]["content"], &json["delta"]["text"]];
                text.extend(pieces.into_iter().filter_map(Value::as_str));
            }
            Ok(other) => panic!("{other:?}"),
            Err(error) => return (text, Err(error)),
        }
    }
    assert!(stream.receipt().unwrap().sealed_fields > 0);
    (text, Ok(()))
}

/// T31, T38, T39: what may not become a complete answer of a chat may not become one of any other endpoint that streams.
#[tokio::test]
async fn every_defect_of_every_stream() {
    let sim = simulator(&[]);
    let desk = desk(&sim);
    let completion = json!({ "model": VISION, "stream": true, "prompt": PROMPT }).to_string();
    let messages = json!({ "model": VISION, "stream": true, "max_tokens": 4096,
        "messages": [{ "role": "user", "content": PROMPT }] })
    .to_string();
    let form = recording_form(true);
    let kind = "multipart/form-data; boundary=edge";
    let cases = [
        (ApiRequest::new(ApiEndpoint::Completions, None, completion.as_bytes()), expected(PROMPT)),
        (ApiRequest::new(ApiEndpoint::Messages, None, messages.as_bytes()), expected(PROMPT)),
        (ApiRequest::new(ApiEndpoint::Transcriptions, Some(kind), &form), caption(RECORDING)),
    ];
    let mut wrong = Vec::new();
    for (request, whole) in &cases {
        for defect in Defect::all() {
            if !matches!(defect.stage(), Stage::Answer | Stage::Stream) {
                continue;
            }
            sim.set_defects(&[*defect]);
            let (text, end) = streamed(&desk, request).await;
            let code = end.as_ref().map_err(Error::code).err();
            let wanted = match (defect, &request.endpoint) {
                // The only sealed member of that event, which must have one.
                (Defect::TrailingFieldDropped, ApiEndpoint::Messages) => Some(Code::PlaintextDowngrade),
                // Here the id is sealed like everything else.
                (Defect::IdText, ApiEndpoint::Transcriptions) => Some(Code::NotCiphertext),
                _ => match defect.outcome() {
                    Outcome::Works | Outcome::NotDetectable => None,
                    Outcome::Fails(code) => Some(code),
                },
            };
            let delivered = if wanted.is_none() { text == *whole } else { whole.starts_with(&text) };
            if code != wanted || !delivered {
                let (name, endpoint) = (defect.name(), &request.endpoint);
                wrong.push(format!("{name} {endpoint:?}: wanted {wanted:?}, got {end:?} after {text:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
