//! The simulated Privatemode over HTTP: every endpoint goes round honestly, its rules answer as the real service's.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod privatemode;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use privatemode::{Call, Exchanged, NOW, Raw, SALT, config, exchange, get, plain, post, send, start, text};
use proveil_core::wire::json::Json;
use proveil_testkit::sim::privatemode::fields::{self, Document};
use proveil_testkit::sim::privatemode::models::{EMBEDDER, REASONER, TRANSCRIBER, VISION};
use proveil_testkit::sim::privatemode::ocsp::{GpuStatus, Status, header_mac};
use proveil_testkit::sim::privatemode::{Defect, SimConfig, Simulator, caption, embedding};

fn chat_body(model: &str, question: &str, more: &str) -> String {
    format!(
        "{{\"model\":\"{model}\",\"messages\":[{{\"role\":\"user\",\"content\":\"{question}\"}}],\"cache_salt\":\"{SALT}\"{more}}}"
    )
}

/// Seals and sends a JSON request; the answer and what opens it.
async fn ask(sim: &Simulator, exchanged: &Exchanged, path: &str, kind: &str, body: &str) -> (Raw, Call) {
    let mut call = Call::new(exchanged, 9);
    let sealed = call.seal_json(body, plain(kind));
    (send(post(sim, path, sealed)).await.unwrap(), call)
}

#[tokio::test]
async fn chats() {
    let sim = start(&[]);
    let exchanged = exchange(&sim, 1).await;
    for (model, stream) in [(REASONER, false), (VISION, false), (REASONER, true), (VISION, true)] {
        let question = "What is remote attestation? CANARY-7f3a";
        let body = chat_body(model, question, &format!(",\"stream\":{stream},\"n\":2"));
        let (raw, mut call) = ask(&sim, &exchanged, "/v1/chat/completions", "chat_request", &body).await;
        assert_eq!(raw.status, 200, "{}", raw.text());
        let mut texts = [String::new(), String::new()];
        let mut thoughts = String::new();
        if stream {
            assert_eq!(raw.header("content-type"), "text/event-stream");
            let (events, done) = call.open_stream(&raw.body, fields::CHAT_RESPONSE).unwrap();
            assert!(done);
            // Usage in every event, a last one without choices (privatemode.md 6.4).
            assert!(events.iter().all(|event| event.get("usage").unwrap().get("total_tokens").is_some()));
            assert!(events.last().unwrap().get("choices").unwrap().as_array().unwrap().is_empty());
            let mut ends = 0;
            for choice in events.iter().flat_map(|event| event.get("choices").unwrap().as_array().unwrap()) {
                let delta = choice.get("delta").unwrap();
                let index = usize::try_from(choice.get("index").unwrap().as_u64().unwrap()).unwrap();
                texts[index].push_str(delta.get("content").and_then(Json::as_str).unwrap_or_default());
                thoughts.push_str(delta.get("reasoning").and_then(Json::as_str).unwrap_or_default());
                assert_eq!(delta.get("reasoning"), delta.get("reasoning_content"));
                ends += usize::from(choice.get("finish_reason").unwrap().as_str() == Some("stop"));
            }
            assert_eq!(ends, 2);
        } else {
            let answer = call.open_json(&raw.text(), fields::CHAT_RESPONSE).unwrap();
            assert_eq!(text(&answer, "model"), model);
            for (index, choice) in answer.get("choices").unwrap().as_array().unwrap().iter().enumerate() {
                let message = choice.get("message").unwrap();
                texts[index] = text(message, "content").to_owned();
                thoughts.push_str(message.get("reasoning").and_then(Json::as_str).unwrap_or_default());
                assert_eq!(message.get("reasoning"), message.get("reasoning_content"));
            }
        }
        assert!(texts.iter().all(|text| text.contains("remote attestation")), "{texts:?}");
        assert_ne!(texts[0], texts[1]);
        assert_eq!(thoughts.is_empty(), model == VISION);
    }
    let recorded = sim.recorded();
    let last = recorded.to_path("/v1/chat/completions").next_back().unwrap();
    let names: Vec<&str> = last.sealed.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["cache_salt", "messages"]);
    assert_eq!(recorded.prompts().len(), 4);
    assert!(recorded.prompts().iter().all(|prompt| prompt.contains("CANARY-7f3a")));
    assert!(!recorded.saw_in_clear("CANARY-7f3a") && !recorded.saw_in_clear(SALT));
    assert!(!recorded.saw_in_clear("test-key"));
}

#[tokio::test]
async fn tools_echoes_and_completions() {
    let sim = start(&[]);
    let exchanged = exchange(&sim, 1).await;
    let tools = ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"weather\",\"parameters\":{\"type\":\"object\",\
                 \"properties\":{\"city\":{\"type\":\"string\"},\"days\":{\"type\":\"integer\"}}}}}]";
    for stream in [false, true] {
        let body = chat_body(VISION, "Please use the tool.", &format!("{tools},\"stream\":{stream}"));
        let (raw, mut call) = ask(&sim, &exchanged, "/v1/chat/completions", "chat_request", &body).await;
        let mut arguments = String::new();
        if stream {
            let (events, done) = call.open_stream(&raw.body, fields::CHAT_RESPONSE).unwrap();
            assert!(done);
            let choices = events.iter().flat_map(|event| event.get("choices").unwrap().as_array().unwrap());
            for delta in choices.map(|choice| choice.get("delta").unwrap()) {
                let calls = delta.get("tool_calls").and_then(Json::as_array).unwrap_or_default();
                calls
                    .iter()
                    .for_each(|call| arguments.push_str(text(call.get("function").unwrap(), "arguments")));
            }
        } else {
            let answer = call.open_json(&raw.text(), fields::CHAT_RESPONSE).unwrap();
            let choice = &answer.get("choices").unwrap().as_array().unwrap()[0];
            assert_eq!(text(choice, "finish_reason"), "tool_calls");
            let function = choice.get("message").unwrap().get("tool_calls").unwrap().as_array().unwrap()[0]
                .get("function")
                .unwrap();
            assert_eq!(text(function, "name"), "weather");
            arguments = text(function, "arguments").to_owned();
        }
        assert_eq!(arguments, "{\"city\":\"Berlin\",\"days\":1}");
    }
    let body = chat_body(VISION, "echo: one two three four", ",\"max_tokens\":2");
    let (raw, mut call) = ask(&sim, &exchanged, "/v1/chat/completions", "chat_request", &body).await;
    let answer = call.open_json(&raw.text(), fields::CHAT_RESPONSE).unwrap();
    let choice = &answer.get("choices").unwrap().as_array().unwrap()[0];
    assert_eq!(
        (text(choice, "finish_reason"), text(choice.get("message").unwrap(), "content")),
        ("length", "one two")
    );
    let body =
        format!("{{\"model\":\"{VISION}\",\"prompt\":[\"echo: a\",\"echo: b\"],\"cache_salt\":\"{SALT}\"}}");
    let (raw, mut call) = ask(&sim, &exchanged, "/v1/completions", "chat_request", &body).await;
    let answer = call.open_json(&raw.text(), fields::CHAT_RESPONSE).unwrap();
    let texts: Vec<&str> = answer
        .get("choices")
        .unwrap()
        .as_array()
        .unwrap()
        .iter()
        .map(|choice| text(choice, "text"))
        .collect();
    assert_eq!(texts, ["a", "b"]);
}

#[tokio::test]
async fn messages_with_and_without_stream() {
    let sim = start(&[]);
    let exchanged = exchange(&sim, 1).await;
    for stream in [false, true] {
        let body =
            chat_body(REASONER, "echo: Grüß dich 👋", &format!(",\"max_tokens\":100,\"stream\":{stream}"));
        let (raw, mut call) = ask(&sim, &exchanged, "/v1/messages", "messages_request", &body).await;
        let mut content = String::new();
        if stream {
            let (events, done) = call.open_stream(&raw.body, fields::MESSAGES_RESPONSE).unwrap();
            assert!(done && raw.text().starts_with("event: message_start\ndata: {"));
            for event in &events {
                let delta = event.get("delta");
                content.push_str(
                    delta.and_then(|delta| delta.get("text")).and_then(Json::as_str).unwrap_or_default(),
                );
            }
            let last = &events[events.len() - 2];
            assert_eq!(text(last.get("delta").unwrap(), "stop_reason"), "end_turn");
        } else {
            let answer = call.open_json(&raw.text(), fields::MESSAGES_RESPONSE).unwrap();
            let blocks = answer.get("content").unwrap().as_array().unwrap();
            assert_eq!(text(&blocks[0], "type"), "thinking");
            content = text(&blocks[1], "text").to_owned();
        }
        assert_eq!(content, "Grüß dich 👋");
    }
}

#[tokio::test]
async fn embeddings_in_both_forms() {
    let sim = start(&[]);
    let exchanged = exchange(&sim, 1).await;
    let expected = embedding("hello", 64);
    let length: f32 = expected.iter().map(|value| value * value).sum();
    assert!((length - 1.0).abs() < 1e-5);
    for format in ["float", "base64"] {
        let body = format!(
            "{{\"model\":\"{EMBEDDER}\",\"input\":[\"hello\",\"world\"],\"dimensions\":64,\"encoding_format\":\"{format}\"}}"
        );
        let (raw, mut call) = ask(&sim, &exchanged, "/v1/embeddings", "embeddings_request", &body).await;
        let answer = call.open_json(&raw.text(), fields::EMBEDDINGS_RESPONSE).unwrap();
        let data = answer.get("data").unwrap().as_array().unwrap();
        assert_eq!(data.len(), 2);
        let values: Vec<f32> = match data[0].get("embedding").unwrap() {
            Json::String(text) => STANDARD
                .decode(text)
                .unwrap()
                .as_chunks::<4>()
                .0
                .iter()
                .map(|bytes| f32::from_le_bytes(*bytes))
                .collect(),
            list => list
                .to_compact()
                .trim_matches(['[', ']'])
                .split(',')
                .map(|value| value.parse().unwrap())
                .collect(),
        };
        assert_eq!(values, expected, "{format}");
        assert_ne!(data[0].get("embedding"), data[1].get("embedding"));
    }
}

#[tokio::test]
async fn transcriptions_and_documents() {
    let sim = start(&[]);
    let exchanged = exchange(&sim, 1).await;
    let recording =
        [b"RIFF\x2c\x3e\0\0WAVEfmt ".as_slice(), &[0; 12], &8_000_u32.to_le_bytes(), &[7; 16_012]].concat();
    for (stream, format) in [(false, "json"), (false, "verbose_json"), (true, "json")] {
        let mut call = Call::new(&exchanged, 3);
        let parts = [
            ("language", "", call.seal(b"de")),
            ("model", "", TRANSCRIBER.to_owned()),
            ("response_format", "", call.seal(format.as_bytes())),
            ("stream", "", stream.to_string()),
            ("file", "; filename=\"file.bin\"", call.seal(&recording)),
        ];
        let part = |(name, filename, value): (&str, &str, String)| {
            format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"{filename}\r\n\r\n{value}\r\n")
        };
        let body = parts.map(part).concat() + "--XX--\r\n";
        let request = post(&sim, "/v1/audio/transcriptions", body)
            .header("content-type", "multipart/form-data; boundary=XX");
        let raw = send(request).await.unwrap();
        assert_eq!(raw.status, 200, "{}", raw.text());
        let plain = fields::TRANSCRIPTION_RESPONSE;
        if stream {
            let (events, done) = call.open_stream(&raw.body, plain).unwrap();
            let pieces = events
                .iter()
                .map(|event| event.get("choices").unwrap().as_array().unwrap()[0].get("delta").unwrap());
            let said: String =
                pieces.filter_map(|delta| delta.get("content")?.as_str().map(str::to_owned)).collect();
            assert!(done && said == caption(&recording));
        } else {
            let answer = call.open_json(&raw.text(), plain).unwrap();
            assert_eq!(text(&answer, "text"), caption(&recording));
            assert!(caption(&recording).contains("16044 bytes"));
            if format == "verbose_json" {
                assert_eq!(answer.get("duration").unwrap().as_u64(), Some(2));
            }
        }
    }
    let mut call = Call::new(&exchanged, 4);
    let sealed = call.seal(b"--B\r\nanything at all\r\n--B--\r\n");
    let raw = send(post(&sim, "/unstructured/general/v0/general", sealed)).await.unwrap();
    let answer = call.open_json(&raw.text(), fields::UNSTRUCTURED_RESPONSE).unwrap();
    let elements = answer.as_array().unwrap();
    assert_eq!(elements.len(), 12);
    for (index, element) in elements.iter().enumerate() {
        assert!(text(element, "text").starts_with(&format!("Part {index} of a request of 29 bytes")));
    }
    assert_eq!(get(&sim, "/unstructured/healthcheck").await.status, 200);
}

/// Rules of the gateway and of the workers, each with its status and text.
#[tokio::test]
async fn refusals() {
    let sim = Simulator::start(SimConfig { api_key: Some("test-key".to_owned()), ..config(&[]) }).unwrap();
    let exchanged = exchange(&sim, 1).await;
    let list = get(&sim, "/v1/models").await.json();
    let models = list.get("data").unwrap().as_array().unwrap();
    assert!(
        models.len() == 4
            && models.iter().all(|model| !model.get("tasks").unwrap().as_array().unwrap().is_empty())
    );
    assert_eq!(text(&get(&sim, &format!("/v1/models/{VISION}")).await.json(), "id"), VISION);
    for (path, status) in [("/v1/models/none", 404), ("/v1/unknown", 501), ("/v1/chat/completions", 501)] {
        assert_eq!(get(&sim, path).await.status, status, "{path}");
    }
    let url = |path: &str| format!("{}{path}", sim.base_url());
    let other = privatemode::http().get(url("/v1/models")).header("authorization", "Bearer other");
    assert_eq!(send(other).await.unwrap().status, 401);
    for (version, status) in [("v1.41.2-rc.1", 200), ("v1.39.0", 400), ("1.40.0", 400)] {
        let request = privatemode::http().get(url("/v1/models")).header("authorization", "Bearer test-key");
        assert_eq!(
            send(request.header("privatemode-version", version)).await.unwrap().status,
            status,
            "{version}"
        );
    }
    for body in ["{}", "{\"Nonce\":\"AAAA\"}", "x"] {
        assert_eq!(send(post(&sim, "/privatemode/v1/attest", body)).await.unwrap().status, 400);
        assert_eq!(send(post(&sim, "/privatemode/v1/secret", body)).await.unwrap().status, 400);
    }
    let cases = [
        (
            "chat/completions",
            "chat_request",
            format!("{{\"model\":\"{VISION}\",\"messages\":[]}}"),
            500,
            "missing field 'cache_salt'",
        ),
        (
            "chat/completions",
            "chat_request",
            format!("{{\"model\":\"{VISION}\",\"messages\":[],\"cache_salt\":\"short\"}}"),
            500,
            "cache_salt must be at least 32 characters long",
        ),
        (
            "chat/completions",
            "chat_request",
            format!(
                "{{\"model\":\"{VISION}\",\"cache_salt\":\"{SALT}\",\"messages\":[{{\"role\":\"user\",\"content\":[{{\"type\":\"image_url\",\
                 \"image_url\":{{\"url\":\"http://a.example/b.png\"}}}}]}}]}}"
            ),
            500,
            "is insecure",
        ),
        (
            "embeddings",
            "embeddings_request",
            format!("{{\"model\":\"{EMBEDDER}\"}}"),
            500,
            "nothing was sealed in the request",
        ),
    ];
    for (path, kind, body, status, needle) in &cases {
        let (raw, _) = ask(&sim, &exchanged, &format!("/v1/{path}"), kind, body).await;
        assert_eq!(raw.status, *status, "{body}");
        assert!(raw.text().contains(needle), "{}", raw.text());
        assert_eq!(raw.header("privatemode-encrypted"), "false");
        assert_eq!(raw.header("x-content-type-options"), "nosniff");
    }
    let (raw, mut call) =
        ask(&sim, &exchanged, "/v1/chat/completions", "chat_request", &chat_body("none", "x", "")).await;
    let error = call.open_json(&raw.text(), fields::CHAT_RESPONSE).unwrap();
    assert_eq!((raw.status, text(error.get("error").unwrap(), "type")), (404, "NotFoundError"));
    assert_eq!(raw.header("privatemode-encrypted"), "");
    let huge = post(&sim, "/unstructured/general/v0/general", vec![b'x'; 50 * 1024 * 1024 + 1]);
    let raw = send(huge).await.unwrap();
    assert!(raw.status == 413 && raw.text().contains("file too large (max 25MB)"), "{}", raw.text());
    // The other form of errors, with its stray blank line.
    let mut call = Call::new(&exchanged, 2);
    let body = call.seal_json(&cases[0].2, fields::CHAT_REQUEST);
    let request = post(&sim, "/v1/chat/completions", body).header("accept", "text/event-stream");
    let raw = send(request.header("privatemode-user-request-id", "sdk_1")).await.unwrap();
    assert!(raw.text().starts_with("event: error\n\ndata: {\"error\":"), "{}", raw.text());
    assert_eq!((raw.header("content-type"), raw.header("x-request-id")), ("text/event-stream", "sdk_1"));
}

#[tokio::test]
async fn sessions_and_secrets() {
    let sim = start(&[]);
    let exchanged = exchange(&sim, 1).await;
    let body = chat_body(VISION, "echo: hi", "");
    // A field of another secret in the same request, fields in the wrong order, another secret in all.
    let other = exchange(&sim, 2).await;
    let mut call = Call::new(&exchanged, 1);
    let mut document = Document::parse(&call.seal_json(&body, fields::CHAT_REQUEST)).unwrap();
    let foreign = Call::new(&other, 1).seal(b"[]");
    document
        .members
        .iter_mut()
        .filter(|member| member.name == "messages")
        .for_each(|member| member.value = foreign.clone());
    let raw = send(post(&sim, "/v1/chat/completions", document.to_text())).await.unwrap();
    assert!(raw.status == 500 && raw.text().contains("secret ID differs"), "{}", raw.text());
    let mut call = Call::new(&exchanged, 1);
    let (messages, salt) = (call.seal(b"[]"), call.seal(b"\"x\""));
    let swapped = format!("{{\"model\":\"m\",\"messages\":{messages},\"cache_salt\":{salt}}}");
    let raw = send(post(&sim, "/v1/chat/completions", swapped)).await.unwrap();
    assert!(raw.status == 500 && raw.text().contains("authentication failed"), "{}", raw.text());
    // The lease, by the simulator's clock.
    assert_eq!(sim.now(), NOW);
    sim.advance(3_599);
    assert_eq!(ask(&sim, &exchanged, "/v1/chat/completions", "chat_request", &body).await.0.status, 200);
    sim.advance(1);
    let (raw, _) = ask(&sim, &exchanged, "/v1/chat/completions", "chat_request", &body).await;
    let needle = format!("no secret for ID \"{}\"", exchanged.id);
    let message = text(raw.json().get("error").unwrap(), "message").to_owned();
    assert!(raw.status == 500 && message.contains(&needle), "{message}");
    let renewed = exchange(&sim, 1).await;
    assert_eq!(ask(&sim, &renewed, "/v1/chat/completions", "chat_request", &body).await.0.status, 200);
    sim.forget_secrets();
    assert_eq!(ask(&sim, &renewed, "/v1/chat/completions", "chat_request", &body).await.0.status, 500);
    for (defect, statuses) in [(Defect::UnknownSecretOnce, [500, 200]), (Defect::UnknownSecret, [500, 500])] {
        sim.set_defects(&[defect]);
        for status in statuses {
            let fresh = exchange(&sim, 1).await;
            assert_eq!(
                ask(&sim, &fresh, "/v1/chat/completions", "chat_request", &body).await.0.status,
                status,
                "{defect:?}"
            );
        }
    }
}

#[tokio::test]
async fn policy_on_revoked_gpus() {
    let sim = start(&[]);
    let exchanged = exchange(&sim, 1).await;
    let body = format!("{{\"model\":\"{EMBEDDER}\",\"input\":\"x\"}}");
    let good = "rules=allow-good; revocation-time-not-before=0";
    let grace = "rules=allow-good,allow-revoked; revocation-time-not-before=1000";
    let all = "rules=allow-good,allow-unknown; revocation-time-not-before=0";
    let mac = |header: &str| header_mac(&exchanged.secret, header);
    let revoked = |at| GpuStatus { vbios: Status::Revoked(at), ..GpuStatus::GOOD };
    let unknown = GpuStatus { driver: Status::Unknown, ..GpuStatus::GOOD };
    let cases = [
        (GpuStatus::GOOD, None, ""),
        (GpuStatus::GOOD, Some((good, mac(good))), ""),
        (GpuStatus::GOOD, Some((good, mac(grace))), "MAC mismatch"),
        (unknown, None, "driver OCSP status that is not accepted by the client: UNKNOWN"),
        (unknown, Some((all, mac(all))), ""),
        (revoked(1000), Some((grace, mac(grace))), ""),
        (
            revoked(999),
            Some((grace, mac(grace))),
            "VBIOS OCSP status that is not accepted by the client: REVOKED",
        ),
    ];
    for (gpu, policy, needle) in cases {
        sim.set_gpus(&[GpuStatus::GOOD, gpu]);
        let mut call = Call::new(&exchanged, 9);
        let mut request = post(&sim, "/v1/embeddings", call.seal_json(&body, fields::EMBEDDINGS_REQUEST));
        if let Some((header, mac)) = &policy {
            request = request
                .header("privatemode-secret-id", &exchanged.id)
                .header("privatemode-nvidia-ocsp-policy", *header)
                .header("privatemode-nvidia-ocsp-policy-mac", mac);
        }
        let raw = send(request).await.unwrap();
        assert_eq!(
            raw.status,
            if needle.is_empty() { 200 } else { 500 },
            "{gpu:?} {policy:?} {}",
            raw.text()
        );
        assert!(needle.is_empty() || raw.text().contains(needle), "{}", raw.text());
    }
}
