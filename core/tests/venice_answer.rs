//! Answers of Venice, honest and not: cut, forged, mixed, in clear, in any chunking and on any number of threads
//! (protocols/venice.md 3.5, 3.8, 4; threats "Answer path").

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used)]

mod support;

use proptest::prelude::*;
use proveil_core::crypto::{secp256k1_public_key, sha256};
use proveil_core::endpoint::{Event, Receipt, TextField};
use proveil_core::http::ResponseHead;
use proveil_core::limits::{ANSWER_MAX_BYTES, ANSWER_MAX_CHOICES};
use proveil_core::provider::venice::{AnswerOpener, AnswerOptions};
use proveil_core::seal::ecies::seal_field;
use proveil_core::secret::Secret;
use proveil_core::{Code, Error};
use support::{TestRandom, event_stream_head};

const DONE: &str = "data: [DONE]\n\n";

fn opener() -> AnswerOpener {
    AnswerOpener::for_key(Secret::take(&mut [0x33; 32]), AnswerOptions::default())
}

/// A server that seals to the client's key.
struct Server {
    random: TestRandom,
    client: [u8; 65],
}

impl Server {
    fn new(seed: u64) -> Server {
        let client = secp256k1_public_key(&Secret::take(&mut [0x33; 32])).unwrap();
        Server { random: TestRandom(seed, 0), client }
    }

    fn seal(&mut self, text: impl AsRef<[u8]>) -> String {
        let mut field = String::new();
        seal_field(&self.client, text.as_ref(), &mut self.random, &mut field).unwrap();
        field
    }

    fn content(&mut self, text: &str) -> String {
        let field = self.seal(text);
        chunk(&format!(r#"{{"index":0,"delta":{{"content":"{field}"}},"finish_reason":null}}"#))
    }
}

fn chunk(choices: &str) -> String {
    event(&format!(
        r#"{{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1790000000,"model":"e2ee-m","choices":[{choices}]}}"#
    ))
}

fn event(data: &str) -> String {
    format!("data: {data}\n\n")
}

fn finish(index: u32) -> String {
    chunk(&format!(r#"{{"index":{index},"delta":{{}},"finish_reason":"stop"}}"#))
}

type Outcome = (Vec<Event>, Result<Receipt, Error>);

fn run(pieces: &[&[u8]], workers: usize) -> Outcome {
    run_with(opener(), pieces, workers)
}

fn run_with(mut opener: AnswerOpener, pieces: &[&[u8]], workers: usize) -> Outcome {
    let mut events = Vec::new();
    let mut work = || {
        opener.head(&event_stream_head(200, "text/event-stream; charset=utf-8"))?;
        for piece in pieces {
            opener.push(piece, workers, &mut events)?;
        }
        opener.finish(&mut events)
    };
    let result = work();
    (events, result)
}

fn text_of(events: &[Event]) -> String {
    let texts = events.iter().filter_map(|event| match event {
        Event::Text { text, .. } => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}

/// A stream cut at every byte: `truncated`, and exactly the texts of the events that had arrived (T39).
#[test]
fn cut_at_every_byte() {
    let mut server = Server::new(1);
    let reasoning = server.seal("th\u{ef}nking ");
    let pieces = [
        (chunk(r#"{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}"#), ""),
        (chunk(&format!(r#"{{"index":0,"delta":{{"reasoning_content":"{reasoning}"}}}}"#)), "th\u{ef}nking "),
        (": keep-alive\n\n".to_owned(), ""),
        (server.content("one "), "one "),
        (server.content("\u{1f600} "), "\u{1f600} "),
        (server.content("three").replace("\n\n", "\r\n\r\n"), "three"),
        (finish(0), ""),
        (event(r#"{"id":"chatcmpl-1","choices":[],"usage":{"prompt_tokens":3}}"#), ""),
        (DONE.to_owned(), ""),
    ];
    let stream: String = pieces.iter().map(|(bytes, _)| bytes.as_str()).collect();
    let end_mark = stream.len() - DONE.len() + "data: [DONE]".len();
    for cut in 0..=stream.len() {
        let (events, result) = run(&[&stream.as_bytes()[..cut]], 1);
        let mut at = 0;
        let mut expected = String::new();
        for (bytes, text) in &pieces {
            at += bytes.len();
            // The blank line is complete with its CR.
            let complete = at - usize::from(bytes.ends_with("\r\n"));
            if complete <= cut {
                expected.push_str(text);
            }
        }
        assert_eq!(text_of(&events), expected, "cut at {cut}");
        match result {
            Ok(receipt) => {
                assert!(cut >= end_mark, "cut at {cut} was taken for complete");
                assert_eq!(receipt.response_sha256, sha256(&[&stream.as_bytes()[..cut]]));
                assert_eq!((receipt.sealed_fields, receipt.ignored_bytes), (4, 0));
            }
            Err(error) => {
                assert!(cut < end_mark);
                assert_eq!(error.code(), Code::Truncated, "cut at {cut}");
                let delivered = format!("{} bytes of text had been delivered.", expected.len());
                assert!(error.message().ends_with(&delivered), "{error}");
            }
        }
    }
}

/// What must kill the stream, with the code; nothing of the bad event is delivered, everything before it is (T36, T38, T44).
#[test]
fn bad_events() {
    let mut server = Server::new(2);
    let good = server.seal("MARK");
    let mut flipped = server.seal("MARK").into_bytes();
    *flipped.last_mut().unwrap() ^= 1;
    let flipped = String::from_utf8(flipped).unwrap();
    let off_curve = format!("04{}{}", "11".repeat(64), &good[130..]);
    let other_key = {
        let mut field = String::new();
        let other = secp256k1_public_key(&Secret::take(&mut [0x34; 32])).unwrap();
        seal_field(&other, b"MARK", &mut server.random, &mut field).unwrap();
        field
    };
    let not_text = server.seal([b'M', 0xff]);
    let delta = |members: &str| chunk(&format!(r#"{{"index":0,"delta":{{{members}}}}}"#));
    let content = |text: &str| delta(&format!(r#""content":"{text}""#));
    let mut cases: Vec<(String, Code, &str)> = vec![
        // In clear.
        (content("MARK in clear"), Code::PlaintextDowngrade, "content"),
        (content("rm -rf /"), Code::PlaintextDowngrade, "content"),
        (content(" "), Code::PlaintextDowngrade, "content"),
        (content("\\n"), Code::PlaintextDowngrade, "content"),
        (content("deadbeef"), Code::PlaintextDowngrade, "content"),
        (content(&"ab".repeat(93)), Code::PlaintextDowngrade, "content"),
        (content(&"04".repeat(92)), Code::PlaintextDowngrade, "content"),
        (content(&format!("0x{good}")), Code::PlaintextDowngrade, "content"),
        (content(&format!("{good}0")), Code::PlaintextDowngrade, "content"),
        (content(&format!("{good} ")), Code::PlaintextDowngrade, "content"),
        (delta(r#""reasoning_content":"MARK""#), Code::PlaintextDowngrade, "reasoning_content"),
        (delta(r#""reasoning":"MARK""#), Code::PlaintextDowngrade, "reasoning"),
        (delta(r#""content":["MARK"]"#), Code::PlaintextDowngrade, "content"),
        (delta(r#""content":[{"type":"text","text":"MARK"}]"#), Code::PlaintextDowngrade, "content"),
        (delta(r#""content":5"#), Code::PlaintextDowngrade, "content"),
        (delta(r#""content":false"#), Code::PlaintextDowngrade, "content"),
        // A good field does not save the event that has a bad one, wherever it stands.
        (delta(&format!(r#""content":"{good}","reasoning":"MARK""#)), Code::PlaintextDowngrade, "reasoning"),
        (
            delta(&format!(r#""content":"{good}","tool_calls":[{{"function":{{"name":"MARK"}}}}]"#)),
            Code::PlaintextDowngrade,
            "tool_calls",
        ),
        (
            chunk(&format!(
                r#"{{"index":0,"delta":{{"content":"{good}"}}}},{{"index":1,"delta":{{"content":"MARK"}}}}"#
            )),
            Code::PlaintextDowngrade,
            "content",
        ),
        (
            chunk(&format!(
                r#"{{"index":0,"delta":{{"content":"{good}"}}}},{{"index":1,"delta":{{"content":"{flipped}"}}}}"#
            )),
            Code::AuthFailed,
            "",
        ),
        (
            chunk(&format!(r#"{{"index":0,"delta":{{"content":"{good}"}},"logprobs":{{"content":[]}}}}"#)),
            Code::PlaintextDowngrade,
            "logprobs",
        ),
        (chunk(r#"{"index":0,"message":{"content":"MARK"}}"#), Code::PlaintextDowngrade, "content"),
        // Envelopes that do not open.
        (content(&flipped), Code::AuthFailed, ""),
        (content(&other_key), Code::AuthFailed, ""),
        (content(&off_curve), Code::InvalidPoint, ""),
        (content(&not_text), Code::InvalidUtf8, ""),
        // Not this answer, or no answer.
        (
            event(&format!(r#"{{"id":"chatcmpl-2","choices":[{{"delta":{{"content":"{good}"}}}}]}}"#)),
            Code::AnswerMixed,
            "id",
        ),
        (event(r#"{"id":7,"choices":[]}"#), Code::MalformedEvent, ""),
        (event("{not json}"), Code::MalformedEvent, ""),
        (event("MARK"), Code::MalformedEvent, ""),
        (event("[]"), Code::MalformedEvent, ""),
        (delta(&format!(r#""content":"{good}","content":"{good}""#)), Code::MalformedEvent, ""),
        (event(r#"{"choices":[{"index":0,"delta":{}},{"index":0,"delta":{}}]}"#), Code::MalformedEvent, ""),
        // The server's errors.
        (
            event(r#"{"error":{"message":"MARK it down","type":"overloaded","code":503}}"#),
            Code::UpstreamError,
            "event stream overloaded",
        ),
        (event(r#"{"error":"busy"}"#), Code::UpstreamError, "event stream"),
        (
            event(&format!(r#"{{"error":{{}},"choices":[{{"delta":{{"content":"{good}"}}}}]}}"#)),
            Code::UpstreamError,
            "event stream",
        ),
        (event(r#"{"object":"error","message":"busy"}"#), Code::UpstreamError, "event stream"),
        ("event: error\ndata: {\"message\":\"busy\"}\n\n".to_owned(), Code::UpstreamError, "event stream"),
        (format!("event: error\n{}", content(&good)), Code::UpstreamError, "event stream"),
        // Limits.
        (format!("data: {}\n\n", "x".repeat(1024 * 1024)), Code::LimitExceeded, "SSE line"),
        ("data:\n".repeat(5000), Code::LimitExceeded, "SSE lines of one event"),
    ];
    for name in ["tool_calls", "function_call", "refusal", "audio", "logprobs"] {
        cases.push((delta(&format!(r#""{name}":"MARK""#)), Code::PlaintextDowngrade, name));
        cases.push((delta(&format!(r#""{name}":[]"#)), Code::PlaintextDowngrade, name));
    }
    for (bad, code, at) in &cases {
        let before = server.content("before ");
        let stream = format!("{before}{bad}{}{}{DONE}", server.content("after"), finish(0));
        for workers in [1, 3] {
            let whole = run(&[stream.as_bytes()], workers);
            let single: Vec<&[u8]> = stream.as_bytes().chunks(997).collect();
            for (events, result) in [whole, run(&single, workers)] {
                let shown = &bad[..bad.len().min(200)];
                assert_eq!(text_of(&events), "before ", "{shown}");
                assert_eq!(events.len(), 1, "{shown}");
                let error = result.unwrap_err();
                assert_eq!((error.code(), error.check().unwrap_or_default()), (*code, *at), "{shown}");
                let may_quote = *code == Code::UpstreamError;
                assert!(may_quote || !error.to_string().contains("MARK"), "{error}");
            }
        }
    }
}

#[test]
fn a_dead_opener_stays_dead() {
    let mut server = Server::new(3);
    let mut opener = opener();
    let mut events = Vec::new();
    opener.head(&event_stream_head(200, "text/event-stream")).unwrap();
    let bad = chunk(r#"{"index":0,"delta":{"content":"clear"}}"#);
    let error = opener.push(bad.as_bytes(), 1, &mut events).unwrap_err();
    let good = format!("{}{DONE}", server.content("x"));
    assert_eq!(opener.push(good.as_bytes(), 1, &mut events), Err(error.clone()));
    assert_eq!(opener.finish(&mut events).unwrap_err(), error);
    assert_eq!(opener.finish(&mut events).unwrap_err(), error);
    assert!(events.is_empty());
}

#[test]
fn order_of_calls() {
    let mut events = Vec::new();
    let mut unopened = opener();
    assert_eq!(unopened.push(b"x", 1, &mut events).unwrap_err().code(), Code::OutOfOrder);
    assert_eq!(unopened.finish(&mut events).unwrap_err().code(), Code::OutOfOrder);
    let mut opener = opener();
    let head = event_stream_head(200, "text/event-stream");
    opener.head(&head).unwrap();
    assert_eq!(opener.head(&head).unwrap_err().code(), Code::OutOfOrder);
    opener.push(DONE.as_bytes(), 1, &mut events).unwrap();
    opener.finish(&mut events).unwrap();
    assert_eq!(opener.finish(&mut events).unwrap_err().code(), Code::AlreadyFinished);
    assert_eq!(opener.push(b"x", 1, &mut events).unwrap_err().code(), Code::AlreadyFinished);
}

/// Heads that are no sealed stream (T42), and failures whose body says why (T41).
#[test]
fn heads() {
    let with = |status: u16, headers: &[(&str, &str)]| {
        ResponseHead::new(
            status,
            headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        )
    };
    let cases = [
        (with(200, &[("content-type", "TEXT/Event-Stream;charset=utf-8")]), None),
        (with(200, &[("content-type", "text/event-stream"), ("content-encoding", "identity")]), None),
        (with(200, &[("content-type", "application/json")]), Some(Code::UnexpectedContentType)),
        (with(200, &[]), Some(Code::UnexpectedContentType)),
        (with(204, &[]), Some(Code::UnexpectedContentType)),
        (
            with(200, &[("content-type", "text/event-stream"), ("content-encoding", "gzip")]),
            Some(Code::ContentEncoding),
        ),
        (with(302, &[("location", "https://elsewhere.example")]), Some(Code::RedirectRefused)),
        (with(401, &[("content-type", "application/json")]), None),
        (with(503, &[("content-encoding", "br")]), None),
    ];
    for (head, code) in &cases {
        let found = opener().head(head).err().map(|error| error.code());
        assert_eq!(found, *code, "{head:?}");
    }
    for (status, body, code) in [
        (400, r#"{"error":"Failed to decrypt field"}"#, Code::StaleKey),
        (401, "", Code::UpstreamUnauthorized),
        (402, "", Code::UpstreamPayment),
        (404, "", Code::UpstreamError),
        (429, "", Code::UpstreamRateLimited),
        (503, "", Code::UpstreamUnavailable),
        // A failed response is never read as an answer, whatever it contains.
        (500, DONE, Code::UpstreamUnavailable),
    ] {
        let mut opener = opener();
        let mut events = Vec::new();
        opener.head(&with(status, &[("content-type", "text/event-stream")])).unwrap();
        opener.push(body.as_bytes(), 1, &mut events).unwrap();
        assert_eq!(opener.finish(&mut events).unwrap_err().code(), code, "{status}");
        assert!(events.is_empty());
    }
}

/// T40: what comes behind the end is counted and not read.
#[test]
fn t40_after_the_end_nothing_counts() {
    let mut server = Server::new(4);
    let body = server.content("text");
    let late = server.content("late");
    let cases = [
        (DONE.to_owned(), 0),
        ("data:[DONE]\r\n\r\n".to_owned(), 0),
        ("data: [DONE]".to_owned(), 0),
        ("data: [DONE]\n".to_owned(), 0),
        (format!("{DONE}\n"), 1),
        (format!("{DONE}{late}"), late.len()),
        (format!("{DONE}{DONE}"), DONE.len()),
        (format!("{DONE}event: error\ndata: x\n\n"), 22),
    ];
    for (end, ignored) in &cases {
        let stream = format!("{body}{end}");
        for pieces in [vec![stream.as_bytes()], stream.as_bytes().chunks(1).collect()] {
            let (events, result) = run(&pieces, 1);
            let receipt = result.unwrap();
            assert_eq!(text_of(&events), "text");
            assert_eq!(receipt.ignored_bytes, *ignored as u64, "{end:?}");
            assert_eq!(receipt.body_bytes, stream.len() as u64);
            assert_eq!(receipt.response_sha256, sha256(&[stream.as_bytes()]));
            assert_eq!(receipt.id.as_deref(), Some("chatcmpl-1"));
        }
    }
}

#[test]
fn an_empty_answer_is_complete_and_says_so() {
    let (events, result) = run(&[DONE.as_bytes()], 1);
    assert!(events.is_empty());
    let receipt = result.unwrap();
    assert_eq!((receipt.sealed_fields, receipt.id), (0, None));
}

/// What is legal and must not end a stream.
#[test]
fn harmless_events() {
    let mut server = Server::new(5);
    let upper = server.seal("upper").to_uppercase();
    let stream = [
        "data:\n\n".to_owned(),
        event(r#"{"venice_parameters":{"x":"secret"},"id":""}"#),
        event(r#"{"id":null,"choices":null,"cost":0.1}"#),
        chunk(&format!(r#"{{"index":0,"delta":{{"content":"{upper}","note":"never shown","role":"assistant"}}}}"#)),
        chunk(r#"{"index":0,"delta":{"content":null,"tool_calls":null,"refusal":null},"logprobs":null,"finish_reason":""}"#),
        chunk(r#"{"index":0,"delta":{"content":""},"finish_reason":"stop"}"#),
        chunk(r#"{"index":0,"delta":{"content":""},"finish_reason":"stop"}"#),
        format!("event: message\nid: 1\nretry: 5\n{DONE}"),
    ]
    .concat();
    let (events, result) = run(&[stream.as_bytes()], 1);
    assert_eq!(result.unwrap().sealed_fields, 1);
    assert_eq!(
        events,
        [
            Event::Text { choice: 0, field: TextField::Content, text: "upper".into() },
            Event::Finish { choice: 0, reason: "stop".into() },
        ]
    );
}

#[test]
fn reasoning_under_two_names_is_one_text() {
    let mut server = Server::new(6);
    let mut both = |first: &str, second: &str| {
        let (first, second) = (server.seal(first), server.seal(second));
        chunk(&format!(r#"{{"index":0,"delta":{{"reasoning":"{second}","reasoning_content":"{first}"}}}}"#))
    };
    let stream = [both("same ", "same "), both("abc ", "ab"), both("x", "y"), DONE.to_owned()].concat();
    for workers in [1, 2] {
        let (events, result) = run(&[stream.as_bytes()], workers);
        assert_eq!(text_of(&events), "same abc abxy");
        assert_eq!(result.unwrap().sealed_fields, 6);
    }
}

#[test]
fn characters_may_be_cut_between_fields_but_not_at_the_end() {
    let mut server = Server::new(7);
    let mut piece = |choice: u32, bytes: &[u8]| {
        let field = server.seal(bytes);
        chunk(&format!(r#"{{"index":{choice},"delta":{{"content":"{field}"}}}}"#))
    };
    let euro = "\u{20ac}".as_bytes();
    // Two choices cut at the same time do not mix.
    let woven =
        [piece(0, &euro[..1]), piece(1, &euro[..2]), piece(0, &euro[1..]), piece(1, &euro[2..])].concat();
    let (events, result) = run(&[format!("{woven}{DONE}").as_bytes()], 1);
    assert_eq!(text_of(&events), "\u{20ac}\u{20ac}");
    result.unwrap();
    for end in [DONE.to_owned(), finish(0), piece(0, b"a"), "data: [DONE]".to_owned()] {
        let stream = format!("{}{}{end}", piece(0, b"ok"), piece(0, &euro[..2]));
        let (events, result) = run(&[stream.as_bytes()], 1);
        assert_eq!(
            (text_of(&events).as_str(), result.unwrap_err().code()),
            ("ok", Code::InvalidUtf8),
            "{end}"
        );
    }
}

#[test]
fn text_after_finish_reason_is_refused() {
    let mut server = Server::new(8);
    let stream = format!("{}{}{}", server.content("a"), finish(0), server.content("b"));
    let (events, result) = run(&[stream.as_bytes()], 1);
    assert_eq!(text_of(&events), "a");
    assert_eq!(result.unwrap_err().code(), Code::MalformedEvent);
}

#[test]
fn bounds() {
    // Choices.
    let stream: String = (0..=u32::try_from(ANSWER_MAX_CHOICES).unwrap()).map(finish).collect();
    let (events, result) = run(&[stream.as_bytes()], 1);
    assert_eq!((events.len(), result.unwrap_err().code()), (ANSWER_MAX_CHOICES, Code::LimitExceeded));
    // The whole answer, in comments that ask for nothing.
    let filler = ": keep-alive\n\n".repeat(64 * 1024);
    let mut pieces: Vec<&[u8]> = Vec::new();
    while pieces.len() * filler.len() <= ANSWER_MAX_BYTES {
        pieces.push(filler.as_bytes());
    }
    let (events, result) = run(&pieces, 1);
    let error = result.unwrap_err();
    assert_eq!((events.len(), error.code(), error.check()), (0, Code::LimitExceeded, Some("answer")));
    // A reason that floods or steers a terminal.
    let reason = format!(r#"{{"index":0,"delta":{{}},"finish_reason":"\u001b[31m{}"}}"#, "r".repeat(9999));
    let (events, _) = run(&[chunk(&reason).as_bytes()], 1);
    let [Event::Finish { reason, .. }] = events.as_slice() else { panic!("{events:?}") };
    assert!(reason.len() <= 70 && !reason.contains('\u{1b}'));
}

#[test]
fn white_space_in_clear_only_where_allowed() {
    let mut server = Server::new(9);
    let stream = |text: &str, server: &mut Server| {
        format!(
            "{}{}{}{DONE}",
            server.content("a"),
            chunk(&format!(r#"{{"index":0,"delta":{{"content":"{text}"}}}}"#)),
            server.content("b")
        )
    };
    let options = AnswerOptions { allow_whitespace_plaintext: true, ..AnswerOptions::default() };
    for (text, allowed) in
        [(" ", true), ("\\n\\t \\r", true), ("\u{a0}", false), (" x", false), ("\\u0000", false)]
    {
        let stream = stream(text, &mut server);
        let opener = AnswerOpener::for_key(Secret::take(&mut [0x33; 32]), options);
        let (events, result) = run_with(opener, &[stream.as_bytes()], 1);
        assert_eq!(result.is_ok(), allowed, "{text}");
        assert!(allowed || text_of(&events) == "a");
        assert_eq!(run(&[stream.as_bytes()], 1).1.unwrap_err().code(), Code::PlaintextDowngrade);
    }
}

/// One event of a random stream.
fn any_event() -> impl Strategy<Value = (u8, u32, String)> {
    let kind = prop_oneof![30 => 0u8..3, 3 => 3u8..6, 1 => 6u8..11];
    (kind, 0u32..3, "[a-z\u{e9}\u{20ac}]{0,6}")
}

fn build(events: &[(u8, u32, String)], seed: u64) -> Vec<u8> {
    let mut server = Server::new(seed);
    let mut last = server.seal("first");
    let mut stream = String::new();
    for (kind, choice, text) in events {
        let field = match kind {
            // A field under the ephemeral key of the one before.
            1 => last.clone(),
            7 => last.replacen(&last[150..152], "zz", 1),
            8 => format!("{}00", server.seal(text)),
            9 => text.clone(),
            _ => server.seal(text),
        };
        stream += &match kind {
            3 => finish(*choice),
            4 => ": comment\r\n\r\n".to_owned(),
            5 => event(r#"{"choices":[],"usage":{"total_tokens":5}}"#),
            6 => event("{"),
            10 => DONE.to_owned(),
            2 => chunk(&format!(
                r#"{{"index":{choice},"delta":{{"reasoning":"{field}","content":"{last}"}}}}"#
            )),
            _ => chunk(&format!(r#"{{"index":{choice},"delta":{{"content":"{field}"}}}}"#)),
        };
        if field.len() >= 186 && *kind < 3 {
            last = field;
        }
    }
    (stream + DONE).into_bytes()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Any chunking and any number of threads give what one piece and one thread give, also when the stream is bad.
    #[test]
    fn chunks_and_threads_do_not_matter(
        events in proptest::collection::vec(any_event(), 0..40),
        sizes in proptest::collection::vec(1usize..9000, 1..12),
        workers in 2usize..5,
        seed: u64,
    ) {
        let stream = build(&events, seed);
        let expected = run(&[&stream], 1);
        let mut pieces = Vec::new();
        let mut rest = stream.as_slice();
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (head, tail) = rest.split_at((*size).min(rest.len()));
            pieces.push(head);
            rest = tail;
        }
        prop_assert_eq!(&run(&pieces, 1), &expected);
        prop_assert_eq!(&run(&pieces, workers), &expected);
        prop_assert_eq!(&run(&[&stream], workers), &expected);
    }
}

/// An event that looks like the one before is judged as it would be on its own.
#[test]
fn alike_events() {
    let mut server = Server::new(31);
    let (first, second) = (server.content("one"), server.content(" two"));
    // The same event for a reader, in another form: what is remembered of it does not fit what follows.
    let spaced = first.replace("\"index\":0", "\"index\": 0");
    let with_text = |text: &str| {
        let start = second.find("\"content\":\"").unwrap() + 11;
        let end = start + second[start..].find('"').unwrap();
        format!("{}{text}{}", &second[..start], &second[end..])
    };
    let envelope = server.seal(" two");
    let mut flipped = envelope.clone().into_bytes();
    *flipped.last_mut().unwrap() ^= 1;
    let followers = [
        with_text(&envelope),
        with_text(&envelope.to_uppercase()),
        with_text(&server.seal("")),
        with_text(&server.seal("\u{e9}".as_bytes().first_chunk::<1>().unwrap())),
        with_text(&String::from_utf8(flipped).unwrap()),
        with_text(""),
        with_text(" "),
        with_text("in clear"),
        with_text(&envelope[..184]),
        with_text(&envelope[1..]),
        with_text(&format!("0x{envelope}")),
        with_text(&format!("\\u0030{}", &envelope[1..])),
        with_text("\",\"tool_calls\":[{}],\"x\":\""),
        with_text(&format!("{envelope}\",\"content\":\"{envelope}")),
        with_text(&format!("{envelope}\"}},\"delta\":{{\"content\":\"{envelope}")),
        second.replace("chatcmpl-1", "chatcmpl-2"),
        second.replace("\"content\"", "\"reasoning\""),
        second.replace("null", "\"stop\""),
        second.replace("data: ", "event: error\ndata: "),
        second.replace("data: ", "event: message\ndata: "),
        second.replace('}', " }"),
        second.replace("]}", "],\"usage\":{\"total_tokens\":1}}"),
        second.replace("]}", "]"),
        format!("{}{second}", finish(0)),
        format!("{}{second}", finish(1)),
        format!("{}{second}", chunk("{\"index\":0,\"delta\":{}}")),
    ];
    for follower in &followers {
        for end in [DONE, ""] {
            let alike = run(&[first.as_bytes(), follower.as_bytes(), second.as_bytes(), end.as_bytes()], 1);
            let apart = run(&[spaced.as_bytes(), follower.as_bytes(), second.as_bytes(), end.as_bytes()], 1);
            assert_eq!(alike.0, apart.0, "{follower}");
            let without_hash = |result: Result<Receipt, Error>| {
                result.map(|receipt| Receipt { response_sha256: [0; 32], body_bytes: 0, ..receipt })
            };
            assert_eq!(without_hash(alike.1), without_hash(apart.1), "{follower}");
        }
    }
}
