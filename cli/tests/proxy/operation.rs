//! Running it: readiness, draining, reloading, counting, and many callers at once.

use std::io::{Read, Write};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::stage::{KEY, PROMPT, Privatemode, Venice, both, chat, parse};

#[cfg(unix)]
fn signal(id: u32, signal: rustix::process::Signal) {
    let process = rustix::process::Pid::from_raw(i32::try_from(id).unwrap()).unwrap();
    rustix::process::kill_process(process, signal).unwrap();
}

#[test]
fn readiness_and_reports() {
    assert!(both().comes_to(|| both().get("/readyz").status == 200));
    let status = both().get("/status.json").json();
    assert_eq!(status["ready"], true);
    let endpoints = status["endpoints"].as_array().unwrap();
    for endpoint in endpoints {
        assert!(
            endpoint["line"].as_str().unwrap().starts_with("VERIFIED against CUSTOM roots, L2"),
            "{endpoint}"
        );
        let place = endpoint["report"].as_str().unwrap();
        let report = both().get(&format!("{place}.json")).json();
        assert_eq!(report["schema"], "proveil.report/v1");
        assert!(both().get(place).body.starts_with("<!"));
    }
    let page = both().get("/report");
    assert_eq!(page.status, 200);
    assert!(page.headers["content-security-policy"].contains("default-src 'none'"));
    assert_eq!(both().get("/report.json").json()["schema"], "proveil.proxy-reports/v1");
}

#[test]
fn counters_say_what_happened_and_name_nobody() {
    let venice = Venice::new(&[], &[]);
    venice.proxy.chat("e2ee-sim-27b", true);
    venice.proxy.chat("e2ee-sim-72b", true);
    venice.proxy.get("/nothing");
    let count = |name: &str| venice.proxy.counter(name);
    assert_eq!(count(r#"proveil_requests_total{route="chat_completions",status="200"}"#), 1);
    assert_eq!(count(r#"proveil_requests_total{route="chat_completions",status="400"}"#), 1);
    assert_eq!(count(r#"proveil_requests_total{route="other",status="404"}"#), 1);
    assert_eq!(
        count(r#"proveil_answers_total{provider="venice",route="chat_completions",end="complete"}"#),
        1
    );
    assert_eq!(count("proveil_answers_open"), 0);
    let text = venice.proxy.get("/metrics").body;
    for secret in [KEY, PROMPT, "e2ee-sim-72b", "127.0.0.1"] {
        assert!(!text.contains(secret), "{secret}");
    }
    assert!(!venice.proxy.log().contains(KEY) && !venice.proxy.log().contains("canary-prompt"));
}

/// An answer under way ends as it should; nobody new is let in; then the process ends by itself.
#[cfg(unix)]
#[test]
fn draining() {
    let mut venice = Venice::new(&[], &[]);
    let held = venice.sim.hold_next(5);
    let mut socket = venice.proxy.connect();
    let body = chat("e2ee-sim-27b", true).to_string();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    socket.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
    let mut first = [0; 512];
    let count = socket.read(&mut first).unwrap();
    assert!(first.starts_with(b"HTTP/1.1 200"));
    signal(venice.proxy.id(), rustix::process::Signal::TERM);
    // It has a minute, and the answer that is held keeps it from ending meanwhile.
    while std::net::TcpStream::connect(("127.0.0.1", venice.proxy.port)).is_ok() {
        std::thread::yield_now();
    }
    drop(held);
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).unwrap();
    let answer = parse(&String::from_utf8([&first[..count], &rest].concat()).unwrap());
    assert_eq!(answer.events().last().map(String::as_str), Some("[DONE]"));
    assert_eq!(venice.proxy.wait(), Some(0));
}

/// A caller that goes away takes its request along: the connection to the provider closes.
#[test]
fn leaving_callers() {
    let venice = Venice::new(&[], &[]);
    let held = venice.sim.hold_next(5);
    let mut socket = venice.proxy.connect();
    let body = chat("e2ee-sim-27b", true).to_string();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    socket.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
    let mut first = [0; 64];
    assert!(socket.read(&mut first).unwrap() > 0);
    drop(socket);
    held.wait_until_abandoned();
    assert!(venice.proxy.comes_to(|| venice.proxy.counter("proveil_answers_open") == 0));
}

/// T56: one caller's many answers leave room for others.
#[test]
fn answers_per_caller() {
    let home = tempfile::tempdir().unwrap();
    let tokens = home.path().join("tokens");
    std::fs::write(&tokens, "token-number-one-aaaa\ntoken-number-two-bbbb\n").unwrap();
    let args = ["--client-tokens-file", tokens.to_str().unwrap(), "--streams-per-client", "1"];
    let venice = Venice::new(&[], &args);
    let held = venice.sim.hold_next(3);
    let body = chat("e2ee-sim-27b", true).to_string();
    let ask = |token: &str| {
        let bearer = format!("Bearer {token}");
        let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
        venice.proxy.send("POST", "/v1/chat/completions", &headers, body.as_bytes())
    };
    let mut socket = venice.proxy.connect();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer token-number-one-aaaa\r\n\
                content-type: application/json\r\n";
    socket.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
    assert!(socket.read(&mut [0; 64]).unwrap() > 0);
    let second = ask("token-number-one-aaaa");
    assert_eq!(
        (second.status, second.code().as_str(), second.headers["x-should-retry"].as_str()),
        (429, "PV-806", "true")
    );
    assert_eq!(ask("token-number-two-bbbb").status, 200);
    drop(held);
}

/// New tokens, and a policy that says more, are in force without a restart; what cannot be read changes nothing.
#[cfg(unix)]
#[test]
fn reloading() {
    let home = tempfile::tempdir().unwrap();
    let (tokens, policy) = (home.path().join("tokens"), home.path().join("policy.json"));
    std::fs::write(&tokens, "token-number-one-aaaa\n").unwrap();
    std::fs::write(&policy, r#"{"schema":"proveil.policy/v1","name":"first"}"#).unwrap();
    let args = ["--client-tokens-file", tokens.to_str().unwrap(), "--policy", policy.to_str().unwrap()];
    let venice = Venice::new(&[], &args);
    let body = chat("e2ee-sim-27b", false).to_string();
    let ask = |token: &str| {
        let bearer = format!("Bearer {token}");
        let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
        venice.proxy.send("POST", "/v1/chat/completions", &headers, body.as_bytes())
    };
    assert_eq!(ask("token-number-one-aaaa").status, 200);
    std::fs::write(&tokens, "token-number-two-bbbb\n").unwrap();
    signal(venice.proxy.id(), rustix::process::Signal::HUP);
    assert!(venice.proxy.comes_to(|| ask("token-number-two-bbbb").status == 200));
    assert_eq!(ask("token-number-one-aaaa").status, 401);
    std::fs::write(&tokens, "x\n").unwrap();
    std::fs::write(&policy, "{").unwrap();
    signal(venice.proxy.id(), rustix::process::Signal::HUP);
    assert!(venice.proxy.comes_to(|| venice.proxy.log().matches("not read again").count() >= 2));
    assert_eq!(ask("token-number-two-bbbb").status, 200);
    std::fs::write(
        &policy,
        r#"{"schema":"proveil.policy/v1","name":"more","software":{"mr_td":["00"]}}"#
            .replace("\"00\"", &format!("\"{}\"", "00".repeat(48))),
    )
    .unwrap();
    signal(venice.proxy.id(), rustix::process::Signal::HUP);
    assert!(venice.proxy.comes_to(|| ask("token-number-two-bbbb").status == 403), "{}", venice.proxy.log());
}

/// T32: many streams at once, each with a word of its own in its answer; memory stays where it was.
#[cfg(target_os = "linux")]
#[test]
fn t32_a_thousand_streams() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most }).unwrap();
    const STREAMS: usize = 1000;
    let privatemode = Arc::new(Privatemode::new(&[], &["--streams-per-client", "1000"]));
    assert_eq!(privatemode.proxy.chat("sim-kimi-2", false).status, 200);
    let mut sockets = Vec::new();
    for number in 0..STREAMS {
        let mut socket = privatemode.proxy.connect();
        let body = json!({ "model": "sim-kimi-2", "stream": true,
            "messages": [{ "role": "user", "content": format!("canary{number:04}x") }] })
        .to_string();
        let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\n";
        socket.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
        sockets.push(socket);
    }
    for (number, mut socket) in sockets.into_iter().enumerate() {
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).unwrap();
        let answer = parse(&String::from_utf8(answer).unwrap());
        assert_eq!(answer.status, 200, "{number}: {answer:?}");
        let events = answer.events();
        assert_eq!(events.last().map(String::as_str), Some("[DONE]"), "{number}");
        let text: String = events
            .iter()
            .filter_map(|event| serde_json::from_str::<Value>(event).ok())
            .filter_map(|event| Some(event["choices"][0]["delta"]["content"].as_str()?.to_owned()))
            .collect();
        assert!(text.contains(&format!("canary{number:04}x")), "{number}: {text}");
        assert_eq!(text.matches("canary").count(), 1, "{number}: {text}");
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", privatemode.proxy.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak_kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak_kib < 200 * 1024, "{peak_kib} KiB");
}
