//! Callers that read slowly or send too much, and providers that send without end: memory stays bounded and everybody else is served
//! (threats T43, T54).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use proveil_testkit::sim::{Flood, Flooded};
use serde_json::Value;

use crate::stage::{Proxy, Venice, chat, parse};

const MODEL: &str = "e2ee-sim-27b";
const HEAD: &str = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\n";
const MEBIBYTE: usize = 1024 * 1024;

/// Asks for a stream and reads nothing of it.
fn ask(proxy: &Proxy) -> TcpStream {
    let mut socket = proxy.connect();
    let body = chat(MODEL, true).to_string();
    socket.write_all(format!("{HEAD}content-length: {}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
    socket
}

/// Pieces that were sent when no more come: while somebody else got several whole answers, nothing was sent.
fn at_rest(proxy: &Proxy, flooded: &Flooded) -> usize {
    let mut last = flooded.pieces();
    let mut same = 0;
    for _ in 0..1_000 {
        let other = proxy.chat(MODEL, true);
        assert_eq!(other.events().last().map(String::as_str), Some("[DONE]"), "{other:?}");
        let now = flooded.pieces();
        same = if now == last { same + 1 } else { 0 };
        last = now;
        if same == 8 {
            return now;
        }
    }
    panic!("the provider is never slowed down: {last} pieces");
}

/// Nobody reads, and the provider waits: what it could not send yet is nowhere in the proxy.
#[test]
fn t43_slow_readers() {
    const READERS: usize = 64;
    const PIECES: usize = 200;
    const BYTES: usize = 128 * 1024;
    let venice = Venice::new(&[], &["--streams-per-client", "100"]);
    assert_eq!(venice.proxy.chat(MODEL, true).status, 200);
    let flooded = venice.sim.flood(Some(Flood::Long { pieces: PIECES, bytes: BYTES }));
    let mut readers: Vec<TcpStream> = (0..READERS).map(|_| ask(&venice.proxy)).collect();
    assert!(venice.proxy.comes_to(|| flooded.open() == READERS));
    venice.sim.flood(None);
    let sent = at_rest(&venice.proxy, &flooded);
    assert_eq!(flooded.open(), READERS, "every answer is still under way");
    assert!(sent < READERS * PIECES * 3 / 4, "{sent} pieces were sent");
    // All answers together have 1,600 MiB, and twice that as they travel.
    #[cfg(target_os = "linux")]
    assert!(venice.proxy.peak_mib() < 150, "{} MiB", venice.proxy.peak_mib());
    // One goes on and gets everything in order.
    let mut answer = Vec::new();
    readers.pop().unwrap().read_to_end(&mut answer).unwrap();
    let answer = parse(&String::from_utf8(answer).unwrap());
    let events = answer.events();
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
    let texts = events.iter().filter_map(|event| serde_json::from_str::<Value>(event).ok());
    let texts: String = texts
        .filter_map(|event| Some(event["choices"][0]["delta"]["content"].as_str()?.to_owned()))
        .collect();
    assert_eq!(texts.len(), PIECES * (8 + BYTES));
    for (number, piece) in texts.as_bytes().chunks(8 + BYTES).enumerate() {
        assert!(piece.starts_with(format!("{number:08}x").as_bytes()), "{number}");
    }
    // The others go away, and their answers end at the provider.
    assert_eq!(flooded.open(), READERS - 1);
    drop(readers);
    assert!(venice.proxy.comes_to(|| flooded.open() == 0));
    assert!(venice.proxy.comes_to(|| venice.proxy.counter("proveil_answers_open") == 0));
    assert!(flooded.pieces() < READERS * PIECES);
    #[cfg(target_os = "linux")]
    assert!(venice.proxy.peak_mib() < 150, "{} MiB", venice.proxy.peak_mib());
}

/// T43: what never ends is cut at the bound of an answer, compressed or not, whatever it pretends to be.
#[test]
fn t43_answers_without_end() {
    let venice = Venice::new(&[], &[]);
    assert_eq!(venice.proxy.chat(MODEL, true).status, 200);
    for (flood, streams, expected) in [
        (Flood::Comments, true, "PV-601"),
        (Flood::Line, true, "PV-601"),
        (Flood::Pieces, false, "PV-601"),
        (Flood::Compressed, true, "PV-511"),
        (Flood::Compressed, false, "PV-511"),
        (Flood::ErrorPage, true, "PV-508"),
        (Flood::Redirect, false, "PV-510"),
    ] {
        let flooded: Arc<Flooded> = venice.sim.flood(Some(flood));
        let answer = venice.proxy.chat(MODEL, streams);
        let code = if answer.status == 200 {
            let last: Value = serde_json::from_str(answer.events().last().unwrap()).unwrap();
            last["error"]["code"].as_str().unwrap().to_owned()
        } else {
            answer.code()
        };
        assert_eq!(code, expected, "{flood:?}");
        assert!(!answer.body.contains("[DONE]"), "{flood:?}");
        assert!(venice.proxy.comes_to(|| flooded.open() == 0), "{flood:?}: the connection is closed");
        // The bound, and what was in the buffers of two sockets by then.
        assert!(flooded.bytes() < 100 * MEBIBYTE, "{flood:?}: {} bytes", flooded.bytes());
        #[cfg(target_os = "linux")]
        assert!(venice.proxy.peak_mib() < 150, "{flood:?}: {} MiB", venice.proxy.peak_mib());
    }
    venice.sim.flood(None);
    assert_eq!(venice.proxy.chat(MODEL, true).status, 200);
}

/// T54: what a body takes while it is sealed and sent, which the set-ups in `deploy/` leave room for: at most ten times its size, also where
/// many small values make it up.
#[cfg(target_os = "linux")]
#[test]
fn t54_sealing_takes_a_bounded_multiple() {
    const MIB: usize = 3;
    const FACTOR: u64 = 10;
    // What parsing of as many values as there may be takes, whatever the size of the text.
    const VALUES_MIB: u64 = 64;
    let part = serde_json::json!({ "type": "text", "text": "a" });
    let long = serde_json::json!("x".repeat(MIB * MEBIBYTE));
    let parts = serde_json::json!(vec![part; MIB * MEBIBYTE / 26]);
    for (path, content, status, most) in [
        ("/v1/chat/completions", &long, 200, 0),
        ("/v1/messages", &long, 200, 0),
        ("/v1/chat/completions", &parts, 400, VALUES_MIB),
        ("/v1/messages", &parts, 400, VALUES_MIB),
    ] {
        let venice = Venice::new(&[], &["--emulate-tools"]);
        let model = format!("venice/{MODEL}");
        assert_eq!(venice.proxy.chat(&model, false).status, 200);
        let before = venice.proxy.peak_mib();
        let mut body = chat(&model, false);
        body["messages"][0]["content"] = content.clone();
        if path == "/v1/messages" {
            body["max_tokens"] = 9.into();
        } else {
            body["tools"] = serde_json::json!([{ "type": "function", "function": { "name": "a" } }]);
        }
        let answer = venice.proxy.post(path, &body);
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        let taken = venice.proxy.peak_mib() - before;
        let allowed = FACTOR * (MIB as u64) + most;
        assert!(taken <= allowed, "{path}: {taken} MiB of {allowed}");
    }
    let privatemode = crate::stage::Privatemode::new(&[], &[]);
    let mut body = chat("privatemode/sim-kimi-2", false);
    assert_eq!(privatemode.proxy.post("/v1/chat/completions", &body).status, 200);
    let before = privatemode.proxy.peak_mib();
    body["messages"][0]["content"] = long;
    assert_eq!(privatemode.proxy.post("/v1/chat/completions", &body).status, 200);
    let taken = privatemode.proxy.peak_mib() - before;
    assert!(taken <= FACTOR * (MIB as u64), "{taken} MiB");
}

/// A request whose body begins with so many spaces, of which the first ones are sent.
fn begin(proxy: &Proxy, spaces: usize, sent: usize) -> TcpStream {
    let mut socket = proxy.connect();
    let length = spaces + chat(MODEL, false).to_string().len();
    socket.write_all(format!("{HEAD}content-length: {length}\r\n\r\n").as_bytes()).unwrap();
    socket.write_all(&vec![b' '; sent]).unwrap();
    socket
}

/// Sends the rest of such a request, and reads the answer.
fn end(mut socket: TcpStream, left: usize) -> crate::stage::Answer {
    socket.write_all(&vec![b' '; left]).unwrap();
    socket.write_all(chat(MODEL, false).to_string().as_bytes()).unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    parse(&String::from_utf8(answer).unwrap())
}

/// T54: all bodies together are bounded. Who comes too late is told to come again, and small requests go through meanwhile.
#[test]
fn t54_bodies_of_all_callers() {
    let venice = Venice::new(&[], &["--body-memory-mib", "64"]);
    let large = 40 * MEBIBYTE;
    let held = begin(&venice.proxy, large, large);
    // As soon as the first one has its memory the others are turned away; until then they may get through.
    let refused = || {
        let answer = end(begin(&venice.proxy, large, 0), large);
        assert!(matches!(answer.status, 200 | 503), "{answer:?}");
        (answer.status == 503).then_some(answer)
    };
    let refused = (0..100).find_map(|_| refused()).unwrap();
    assert_eq!(refused.code(), "PV-809");
    assert_eq!(refused.headers["x-should-retry"], "true");
    assert!(refused.headers["retry-after"].parse::<u32>().unwrap() > 0);
    let messages = "POST /v1/messages HTTP/1.1";
    let anthropic = HEAD.replace("POST /v1/chat/completions HTTP/1.1", messages);
    let mut socket = venice.proxy.connect();
    socket.write_all(format!("{anthropic}content-length: {large}\r\n\r\n").as_bytes()).unwrap();
    socket.write_all(&vec![b' '; large]).unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    let answer = parse(&String::from_utf8(answer).unwrap());
    assert_eq!((answer.status, answer.json()["error"]["type"].as_str()), (503, Some("overloaded_error")));
    for _ in 0..3 {
        assert_eq!(venice.proxy.chat(MODEL, false).status, 200);
    }
    assert_eq!(venice.sim.recorded().requests().filter(|request| request.status >= 400).count(), 0);
    // The one that was first is answered, and makes room.
    assert_eq!(end(held, 0).status, 200);
    assert_eq!(end(begin(&venice.proxy, large, 0), large).status, 200);
}
