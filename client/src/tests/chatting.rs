//! Chats: what goes over the wire, how often, and that answers cannot be mixed up.

use futures_util::FutureExt;
use proveil_core::Code;
use proveil_core::endpoint::{Event, TextField};
use proveil_core::http::BaseUrl;
use proveil_testkit::sim::{
    ATTESTATION_PATH, CHAT_PATH, Defect, RecordedRequest, SignatureHash, SimConfig, Simulator, models,
};

use super::{API_KEY, Desk, MODEL, PROMPT, body, config, content, count, expected, simulator};
use crate::{SignatureVerdict, blocking};

#[tokio::test]
async fn a_chat_is_sealed_both_ways() {
    let sim = simulator(&[]);
    let desk = Desk::new(&sim);
    for _ in 0..2 {
        assert_eq!(desk.chat(PROMPT).await.unwrap(), expected(PROMPT));
    }
    let recorded = sim.recorded();
    assert!(!recorded.saw_in_clear("canary"), "neither prompt nor key in clear");
    assert_eq!(recorded.prompts(), [PROMPT, PROMPT]);
    assert_eq!(count(&sim, ATTESTATION_PATH), 1);
    let bodies: Vec<&[u8]> = recorded.to_path(CHAT_PATH).map(|request| request.body.as_slice()).collect();
    assert_ne!(bodies[0], bodies[1], "fresh keys each time");
}

/// A host that answers is reachable, whatever it says, and is told no key; one that does not is not.
#[tokio::test]
async fn probes_send_nothing() {
    let sim = simulator(&[]);
    let desk = Desk::new(&sim);
    let url = |text: &str| BaseUrl::parse(text).unwrap();
    let status = desk.client.probe(&url(&sim.base_url())).await.unwrap();
    assert!((200..600).contains(&status), "{status}");
    let recorded = sim.recorded();
    assert_eq!(recorded.requests().count(), 1);
    let names =
        |request: &RecordedRequest| request.headers.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let sent: Vec<String> = recorded.requests().flat_map(names).collect();
    assert!(sent.iter().all(|name| ["accept", "host"].contains(&name.to_lowercase().as_str())), "{sent:?}");
    // Bound, so that nobody else comes to listen there.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind((std::net::Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let nobody = url(&format!("http://{}", socket.local_addr().unwrap()));
    let error = desk.client.probe(&nobody).await.unwrap_err();
    assert_eq!(error.code(), Code::ConnectionFailed);
}

/// Threats T47: the key goes to the provider only, and no request says more than it must.
#[tokio::test]
async fn headers_are_on_the_list() {
    let sim = simulator(&[]);
    let desk = Desk::new(&sim);
    desk.chat(PROMPT).await.unwrap();
    let allowed = [
        "accept",
        "accept-encoding",
        "authorization",
        "content-length",
        "content-type",
        "host",
        "x-venice-tee-client-pub-key",
        "x-venice-tee-model-pub-key",
        "x-venice-tee-signing-algo",
    ];
    for request in sim.recorded().requests() {
        let names: Vec<&str> = request.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert!(names.iter().all(|name| allowed.contains(name)), "{}: {names:?}", request.target);
        let to_provider = request.target.starts_with("/api/v1/");
        assert_eq!(names.contains(&"authorization"), to_provider, "{}", request.target);
    }
}

/// How often the provider is asked, and that a second try is sealed anew (threats T33, T49).
#[tokio::test]
async fn retries_are_counted() {
    let cases = [
        (Defect::RotateKeyOnce, None, 2, 2),
        (Defect::RotateKeyAlways, Some(Code::StaleKey), 2, 2),
        (Defect::RateLimited, Some(Code::UpstreamRateLimited), 2, 1),
        (Defect::Unavailable, Some(Code::UpstreamUnavailable), 2, 1),
        (Defect::PaymentRequired, Some(Code::UpstreamPayment), 1, 1),
        (Defect::Redirect, Some(Code::RedirectRefused), 1, 1),
        (Defect::GzipBody, Some(Code::ContentEncoding), 1, 1),
        (Defect::StreamCut, Some(Code::Truncated), 1, 1),
        (Defect::ErrorEvent, Some(Code::UpstreamError), 1, 1),
    ];
    for (defect, code, chats, attestations) in cases {
        let sim = simulator(&[defect]);
        let desk = Desk::new(&sim);
        let result = desk.chat(PROMPT).await;
        assert_eq!(result.map_err(|error| error.code()).err(), code, "{}", defect.name());
        assert_eq!(
            (count(&sim, CHAT_PATH), count(&sim, ATTESTATION_PATH)),
            (chats, attestations),
            "{}",
            defect.name()
        );
        let recorded = sim.recorded();
        let mut bodies: Vec<&[u8]> =
            recorded.to_path(CHAT_PATH).map(|request| request.body.as_slice()).collect();
        bodies.sort_unstable();
        bodies.dedup();
        assert_eq!(bodies.len(), chats, "{}: sealed anew", defect.name());
    }
}

/// A caller may drop the future of `next` at any time, as `select!` does: the next call goes on where that one was.
#[tokio::test]
async fn a_dropped_next_loses_nothing() {
    let sim = simulator(&[]);
    let mut stream = Desk::new(&sim).client.chat(body(PROMPT).as_bytes()).await.unwrap();
    let (mut content, mut dropped) = (String::new(), 0);
    loop {
        match stream.next().now_or_never() {
            None => {
                dropped += 1;
                tokio::task::yield_now().await;
            }
            Some(Some(Ok(Event::Text { choice: 0, field: TextField::Content, text }))) => {
                content.push_str(&text);
            }
            Some(Some(event)) => drop(event.unwrap()),
            Some(None) => break,
        }
    }
    assert_eq!(content, expected(PROMPT), "{dropped} times");
    assert!(dropped > 0 && stream.receipt().is_some());
}

/// A key that changes in mid-use: all callers that meet the old one share one new verification.
#[tokio::test]
async fn a_rotation_is_noticed_once_by_many() {
    let sim = simulator(&[]);
    let desk = Desk::new(&sim);
    desk.client.ready(MODEL).await.unwrap();
    sim.rotate_key(MODEL);
    let prompts: Vec<String> = (0..12).map(|i| format!("question {i}")).collect();
    let answers = futures_util::future::join_all(prompts.iter().map(|prompt| desk.chat(prompt))).await;
    for (prompt, answer) in prompts.iter().zip(answers) {
        assert_eq!(answer.unwrap(), expected(prompt));
    }
    assert_eq!(count(&sim, ATTESTATION_PATH), 2);

    // If the new evidence does not hold, that is the error.
    sim.rotate_key(MODEL);
    sim.set_defects(&[Defect::TamperedQuote]);
    assert_eq!(desk.chat(PROMPT).await.unwrap_err().code(), Code::QuoteSignature);
}

/// Threats T32: interleaved answers open under their own request's key only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_streams_do_not_mix() {
    let sim = simulator(&[]);
    let desk = Desk::new(&sim);
    let prompts: Vec<String> = (0..100).map(|i| format!("Tell me about canary-{i:03}-subject")).collect();
    let answers = futures_util::future::join_all(prompts.iter().map(|prompt| desk.chat(prompt))).await;
    for (prompt, answer) in prompts.iter().zip(answers) {
        assert_eq!(answer.unwrap(), expected(prompt), "{prompt}");
    }
    assert!(!sim.recorded().saw_in_clear("canary-"));
}

/// Local refusals: nothing is sent at all.
#[tokio::test]
async fn what_cannot_be_sealed_is_not_sent() {
    let sim = simulator(&[]);
    let desk = Desk::new(&sim);
    let message = r#""messages":[{"role":"user","content":"canary-prompt"}]"#;
    let cases = [
        (r#""tools":[{"type":"function","function":{"name":"canary"}}]"#, Code::Tools),
        (r#""user":"canary-user""#, Code::UnknownField),
        (r#""response_format":{"type":"json_object"}"#, Code::ResponseFormat),
        (r#""venice_parameters":{"enable_e2ee":false}"#, Code::E2eeDisabled),
        (r#""stop":["canary"]"#, Code::StopInClear),
    ];
    for (member, code) in cases {
        let body = format!(r#"{{"model":"{MODEL}",{message},{member}}}"#);
        let error = desk.client.chat(body.as_bytes()).await.map(drop).unwrap_err();
        assert_eq!(error.code(), code, "{member}");
        assert!(!error.to_string().contains("canary"), "{error}");
    }
    assert_eq!(count(&sim, CHAT_PATH), 0);
    assert!(!sim.recorded().saw_in_clear("canary"));
}

#[tokio::test]
async fn signatures_say_no_more_than_they_show() {
    let cases = [
        (SignatureHash::Exact, SignatureVerdict::BodyMatches),
        (SignatureHash::Reserialized, SignatureVerdict::SignedBodyNotVerifiable),
    ];
    for (signature_hash, expected) in cases {
        let config = SimConfig {
            now: Some(1_790_000_000),
            gpus: 1,
            signature_hash,
            api_key: Some(API_KEY.to_owned()),
            ..SimConfig::default()
        };
        let sim = Simulator::start(config).unwrap();
        let desk = Desk::new(&sim);
        let mut stream = desk.client.chat(body(PROMPT).as_bytes()).await.unwrap();
        assert_eq!(stream.verify_signature().await.unwrap_err().code(), Code::OutOfOrder);
        content(&mut stream).await.unwrap();
        assert_eq!(stream.verify_signature().await.unwrap(), expected);
        assert!(stream.receipt().unwrap().sealed_fields > 1);
    }
}

/// Reasoning comes as its own kind of text.
#[tokio::test]
async fn reasoning_is_told_apart() {
    use proveil_core::endpoint::{Event, TextField};
    let sim = simulator(&[]);
    let desk = Desk::new(&sim);
    let body = body(PROMPT).replace(MODEL, models::E2EE_REASONING);
    let mut stream = desk.client.chat(body.as_bytes()).await.unwrap();
    let (mut reasoning, mut answer) = (String::new(), String::new());
    while let Some(event) = stream.next().await {
        if let Event::Text { field, text, .. } = event.unwrap() {
            match field {
                TextField::Content => answer.push_str(&text),
                TextField::Reasoning => reasoning.push_str(&text),
            }
        }
    }
    let expected = proveil_testkit::sim::text::answer(PROMPT, true, 0, true);
    assert_eq!((Some(reasoning), answer), (expected.reasoning, expected.content));
}

/// The blocking form, from a thread without any runtime. It uses the system's clock, hence a world that is valid now.
#[test]
fn the_blocking_client_does_the_same() {
    let sim = Simulator::start(SimConfig { gpus: 1, ..SimConfig::default() }).unwrap();
    let client = blocking::Client::new(config(&sim)).unwrap();
    assert!(client.models_json().unwrap().contains(MODEL));
    assert!(client.verify(MODEL).unwrap().headline().contains("CUSTOM"));
    assert!(client.ready(MODEL).is_ok());
    let mut stream = client.chat(body(PROMPT).as_bytes()).unwrap();
    let mut text = String::new();
    for event in stream.by_ref() {
        if let crate::Event::Text { text: piece, .. } = event.unwrap() {
            text.push_str(&piece);
        }
    }
    assert_eq!(text, expected(PROMPT));
    assert!(stream.receipt().is_some());
    assert!(stream.verify_signature().is_ok());
    drop(client);
    drop(stream);
}

/// Dropping a half-read answer leaves the client usable.
#[tokio::test]
async fn a_dropped_stream_is_no_trouble() {
    let sim = simulator(&[]);
    let desk = Desk::new(&sim);
    for _ in 0..5 {
        let mut stream = desk.client.chat(body(PROMPT).as_bytes()).await.unwrap();
        assert!(stream.next().await.unwrap().is_ok());
        assert!(stream.receipt().is_none());
    }
    assert_eq!(desk.chat(PROMPT).await.unwrap(), expected(PROMPT));
}
