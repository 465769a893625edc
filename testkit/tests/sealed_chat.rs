//! A request and its answer through a proven endpoint against the simulator: what the enclave gets, what everybody else sees, what is
//! made of odd answers, and what a response signature shows (threats.md I2, I7, I8, T25, T32, T33, T38, T39, T41, T42, T46-T49, T58).

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used
)]

mod drive;

use drive::loopback::{self, Loopback};
use drive::{
    API_KEY, CANARY, Host, MODEL, PROMPT, Setup, Texts, body, body_of, chat_once, endpoint, expected,
    no_secrets, shown, use_it,
};
use proveil_core::endpoint::{Event, Opener, Receipt, SignatureVerdict, VerifiedEndpoint};
use proveil_core::http::{HttpRequest, HttpResponse, ResponseHead, TransportFailure};
use proveil_core::policy::Policy;
use proveil_core::{Code, Error};
use proveil_testkit::forge::Random;
use proveil_testkit::sim::models::{E2EE, E2EE_REASONING};
use proveil_testkit::sim::{
    ATTESTATION_PATH, CHAT_PATH, Defect, RecordedRequest, Shape, SignatureHash, SignatureText, Simulator,
};
use serde_json::json;

fn proven(sim: &Simulator) -> (Loopback, Setup, VerifiedEndpoint) {
    let (mut host, mut setup) = (Loopback::new(), loopback::setup(sim));
    let proven = endpoint(&mut host, &mut setup).unwrap();
    (host, setup, proven)
}

/// The enclave gets exactly the prompt, its answer arrives, and nothing of either is seen on the way: both kinds of enclave.
#[test]
fn sealed_both_ways() {
    let messages = [
        ("system", "Answer briefly. canary-system"),
        ("developer", "canary-developer"),
        ("user", "canary-first [1, 2]"),
        ("assistant", "canary-assistant \u{1f512} \u{e9}\n\t\"quoted\" \\ \u{2028}"),
        ("user", ""),
        ("user", PROMPT),
    ];
    for (shape, version, model) in [(Shape::Near, 4, E2EE), (Shape::Aci, 5, E2EE_REASONING)] {
        let sim = loopback::simulator(|config| (config.shape, config.quote_version) = (shape, version));
        let (mut host, mut setup) = (Loopback::new(), loopback::setup(&sim));
        setup.model = model.to_owned();
        let used = use_it(&mut host, &mut setup, &body_of(model, &messages));
        assert_eq!(used.error, None);
        let wanted = proveil_testkit::sim::text::answer(PROMPT, model == E2EE_REASONING, 0, true);
        assert_eq!(used.texts.first(), wanted.content);
        assert_eq!(used.texts.reasoning.get(&0).cloned(), wanted.reasoning);
        assert_eq!(used.texts.finish[&0], "stop");
        assert!(used.texts.usage);
        assert!(used.receipt.unwrap().sealed_fields > 10);

        let recorded = sim.recorded();
        let opened = recorded.last_chat().unwrap().opened.clone().unwrap();
        let opened: Vec<(&str, &str)> =
            opened.iter().map(|message| (message.role.as_str(), message.content.as_str())).collect();
        assert_eq!(opened, messages);
        assert!(!recorded.saw_in_clear(CANARY) && !recorded.saw_in_clear(&wanted.content[..24]));
        let wire = String::from_utf8(host.last_body.clone()).unwrap();
        assert!(!wire.contains(CANARY) && !wire.contains(&wanted.content[..12]), "{wire}");
    }
}

/// Content parts arrive as one sealed JSON text, and a text that looks like parts stays a text (venice.md 3.4).
#[test]
fn parts_are_sealed_whole() {
    let sim = loopback::simulator(|_| ());
    let (mut host, mut setup, proven) = proven(&sim);
    let parts = json!([{ "type": "text", "text": "canary-part one" }, { "type": "text", "text": "two" }]);
    for (content, opened) in [
        (parts, r#"[{"type":"text","text":"canary-part one"},{"type":"text","text":"two"}]"#),
        (json!(" [1, 2] "), r#"[{"type":"text","text":" [1, 2] "}]"#),
        (json!("{\"a\": 1}"), "{\"a\": 1}"),
    ] {
        let request = json!({ "model": MODEL, "messages": [{ "role": "user", "content": content }] });
        let (_, result) = chat_once(&mut host, &mut setup, &proven, &request.to_string());
        result.unwrap();
        assert_eq!(sim.recorded().prompts().last(), Some(&opened));
    }
    assert!(!sim.recorded().saw_in_clear(CANARY));
}

/// T47: the key goes to the configured base URL and nowhere else; no request has a header that was not planned.
#[test]
fn the_key_goes_to_its_provider_only() {
    const PLANNED: [&str; 9] = [
        "host",
        "content-length",
        "content-type",
        "accept",
        "accept-encoding",
        "authorization",
        "x-venice-tee-signing-algo",
        "x-venice-tee-client-pub-key",
        "x-venice-tee-model-pub-key",
    ];
    let (sim, mirror) = (loopback::simulator(|_| ()), loopback::simulator(|_| ()));
    let mut setup = loopback::setup(&sim);
    setup.collateral_url = Some(mirror.collateral_url());
    let used = use_it(&mut Loopback::new(), &mut setup, &body(PROMPT));
    assert_eq!(used.error, None);
    let names = |request: &RecordedRequest| -> Vec<String> {
        request.headers.iter().map(|(name, _)| name.clone()).collect()
    };
    let (at_provider, at_mirror) = (sim.recorded(), mirror.recorded());
    for request in at_provider.requests() {
        assert!(request.target.starts_with("/api/v1/"), "{}", request.target);
        assert!(names(request).contains(&"authorization".to_owned()), "{}", request.target);
    }
    let paths: Vec<&str> =
        at_mirror.requests().map(|request| request.target.split('?').next().unwrap()).collect();
    assert_eq!(
        paths,
        [
            "/tdx/certification/v4/tcb",
            "/tdx/certification/v4/qe/identity",
            "/sgx/certification/v4/pckcrl",
            "/sgx/certification/v4/rootcacrl",
        ]
    );
    for request in at_mirror.requests() {
        assert!(!names(request).contains(&"authorization".to_owned()), "{}", request.target);
        assert!(request.body.is_empty() && !request.target.contains(MODEL));
    }
    for request in at_provider.requests().chain(at_mirror.requests()) {
        let unplanned: Vec<String> =
            names(request).into_iter().filter(|name| !PLANNED.contains(&name.as_str())).collect();
        assert!(unplanned.is_empty(), "{}: {unplanned:?}", request.target);
        let encoding = request.headers.iter().find(|(name, _)| name == "accept-encoding");
        assert_eq!(encoding.map(|(_, value)| value.as_str()), Some("identity"));
    }
    assert!(!at_provider.saw_in_clear(CANARY) && !at_mirror.saw_in_clear(CANARY));
}

/// Alters attestation answers on their way, and notes where requests go.
struct Altering {
    host: Loopback,
    visited: Vec<String>,
}

impl Host for Altering {
    fn send(&mut self, request: &HttpRequest) -> Result<HttpResponse, TransportFailure> {
        self.visited.push(request.url().to_owned());
        let answer = self.host.send(request)?;
        if !request.url().contains(ATTESTATION_PATH) {
            return Ok(answer);
        }
        let mut value: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
        for member in ["collateral_url", "pccs_url", "pcs_url", "nras_url", "verification_url", "$ref", "jku"]
        {
            value[member] = json!("http://127.0.0.1:9/attacker");
        }
        Ok(HttpResponse::new(answer.head().clone(), serde_json::to_vec(&value).unwrap()))
    }

    fn stream(
        &mut self,
        request: &HttpRequest,
        opener: &mut Opener,
        out: &mut Vec<Event>,
    ) -> Result<(), Error> {
        self.visited.push(request.url().to_owned());
        self.host.stream(request, opener, out)
    }
}

/// T25: addresses in an answer, and those of revocation lists in its certificates, are never visited.
#[test]
fn addresses_in_evidence_are_not_visited() {
    let sim = loopback::simulator(|_| ());
    let mut setup = loopback::setup(&sim);
    setup.policy = Policy::from_json(Defect::ENDORSED_POLICY.as_bytes()).unwrap();
    let mut host = Altering { host: Loopback::new(), visited: Vec::new() };
    assert_eq!(use_it(&mut host, &mut setup, &body(PROMPT)).error, None);
    assert!(host.visited.len() > 5, "{:?}", host.visited);
    for url in host.visited {
        assert!(url.starts_with(&sim.base_url()) || url.starts_with(&sim.collateral_url()), "{url}");
    }
}

/// T46, T48: what cannot be sealed is refused before anything is sent, and the refusal does not repeat it.
#[test]
fn refusals_before_anything_is_sent() {
    let sim = loopback::simulator(|_| ());
    let (_, mut setup, proven) = proven(&sim);
    sim.clear_recorded();
    let with = |member: &str| {
        format!(r#"{{"model":"{MODEL}","messages":[{{"role":"user","content":"canary-x"}}],{member}}}"#)
    };
    let message = |message: &str| {
        format!(r#"{{"model":"{MODEL}","messages":[{{"role":"user","content":"hi"}},{message}]}}"#)
    };
    for (request, code) in [
        (body_of(E2EE_REASONING, &[("user", "canary-x")]), Code::ModelNotE2ee),
        (body_of("tee-sim-9b", &[("user", "canary-x")]), Code::ModelNotE2ee),
        (body_of("E2EE-SIM-27B", &[("user", "canary-x")]), Code::ModelNotE2ee),
        (body_of(&format!("{MODEL}:enable_web_search=on"), &[("user", "canary-x")]), Code::ModelSuffix),
        (with(r#""venice_parameters":{"enable_e2ee":false}"#), Code::E2eeDisabled),
        (with(r#""venice_parameters":{"enable_web_search":"on"}"#), Code::WebSearch),
        (with(r#""venice_parameters":{"character_slug":"canary-y"}"#), Code::Character),
        (with(r#""tools":[{"type":"function","function":{"name":"canary-y"}}]"#), Code::Tools),
        (
            with(r#""response_format":{"type":"json_schema","json_schema":{"name":"canary-y"}}"#),
            Code::ResponseFormat,
        ),
        (with(r#""logprobs":true"#), Code::Logprobs),
        (with(r#""stop":["canary-y"]"#), Code::StopInClear),
        (with(r#""user":"canary-y""#), Code::UnknownField),
        (with(r#""metadata":{"a":"canary-y"}"#), Code::UnknownField),
        (with(r#""model":"canary-y""#), Code::DuplicateMember),
        (message(r#"{"role":"tool","content":"canary-y","tool_call_id":"1"}"#), Code::Tools),
        (message(r#"{"role":"user","content":"hi","name":"canary-y"}"#), Code::UnencryptableField),
        (message(r#"{"role":"user","content":7}"#), Code::UnencryptableContent),
        (
            message(
                r#"{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:canary-y"}}]}"#,
            ),
            Code::MediaPart,
        ),
        (format!(r#"{{"model":"{MODEL}","messages":[]}}"#), Code::NoMessages),
        ("canary-y".to_owned(), Code::MalformedRequest),
    ] {
        let error = proven.seal(request.as_bytes(), setup.at, &mut setup.random).map(|_| ()).unwrap_err();
        assert_eq!(error.code(), code, "{request}: {error}");
        no_secrets(&shown(&error));
    }
    assert_eq!(sim.recorded().requests().count(), 0);
}

/// I8, T49: nothing of a request is used again by the next one, not even for the same text.
#[test]
fn every_request_has_keys_of_its_own() {
    let sim = loopback::simulator(|_| ());
    let (mut host, mut setup, proven) = proven(&sim);
    for _ in 0..2 {
        chat_once(&mut host, &mut setup, &proven, &body(PROMPT)).1.unwrap();
    }
    let recorded = sim.recorded();
    let chats: Vec<&RecordedRequest> = recorded.to_path(CHAT_PATH).collect();
    let client_key = |request: &RecordedRequest| {
        let header = request.headers.iter().find(|(name, _)| name == "x-venice-tee-client-pub-key");
        header.unwrap().1.clone()
    };
    let field = |request: &RecordedRequest| {
        let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        body["messages"][0]["content"].as_str().unwrap().to_owned()
    };
    assert_ne!(client_key(chats[0]), client_key(chats[1]));
    let (first, second) = (field(chats[0]), field(chats[1]));
    // Ephemeral key, nonce.
    assert_ne!(first[..130], second[..130]);
    assert_ne!(first[130..154], second[130..154]);
    let model_keys: Vec<Option<&str>> = chats
        .iter()
        .map(|request| {
            let header = request.headers.iter().find(|(name, _)| name == "x-venice-tee-model-pub-key");
            header.map(|(_, value)| value.as_str())
        })
        .collect();
    let enclave = const_hex::encode(sim.enclave_key(MODEL).unwrap());
    assert_eq!(model_keys, [Some(enclave.as_str()); 2]);
}

/// T33: a key that changed once is verified anew with another challenge, and the request is sealed anew; then no more.
#[test]
fn a_rotated_key_is_verified_again_once() {
    let sim = loopback::simulator(|_| ());
    for (defect, error) in [(Defect::RotateKeyOnce, None), (Defect::RotateKeyAlways, Some(Code::StaleKey))] {
        sim.set_defects(&[defect]);
        sim.clear_recorded();
        let used = use_it(&mut Loopback::new(), &mut loopback::setup(&sim), &body(PROMPT));
        assert_eq!(used.error.map(|error| error.code()), error);
        let recorded = sim.recorded();
        let mut challenges: Vec<&str> =
            recorded.to_path(ATTESTATION_PATH).map(|request| request.target.as_str()).collect();
        challenges.dedup();
        let bodies: Vec<&[u8]> = recorded.to_path(CHAT_PATH).map(|request| request.body.as_slice()).collect();
        assert_eq!((challenges.len(), bodies.len()), (2, 2), "{}", defect.name());
        assert_ne!(bodies[0], bodies[1]);
    }
}

/// T41, T42, T49: answers that are none say what they are, in the provider's cut and cleaned words, and are asked for once.
#[test]
fn answers_that_are_none() {
    let sim = loopback::simulator(|_| ());
    let (mut host, mut setup, proven) = proven(&sim);
    for (defect, code, found, message) in [
        (Defect::RateLimited, Code::UpstreamRateLimited, Some("Rate limit exceeded"), "asks to wait 1 s"),
        (Defect::PaymentRequired, Code::UpstreamPayment, Some("Insufficient USD or Diem balance"), "payment"),
        (Defect::Unavailable, Code::UpstreamUnavailable, Some("The model is at capacity"), "not available"),
        // Markup and terminal escapes are not the provider's words.
        (Defect::HttpErrorHtml, Code::UpstreamUnavailable, None, "not available"),
        (Defect::Redirect, Code::RedirectRefused, Some("307"), "never followed"),
        (Defect::GzipBody, Code::ContentEncoding, Some("gzip"), "compressed"),
        (
            Defect::WrongContentType,
            Code::UnexpectedContentType,
            Some("application/json"),
            "not an event stream",
        ),
    ] {
        sim.set_defects(&[defect]);
        sim.clear_recorded();
        let (events, result) = chat_once(&mut host, &mut setup, &proven, &body(PROMPT));
        let error = result.unwrap_err();
        println!("{}: {error}", defect.name());
        assert_eq!((events.len(), error.code()), (0, code), "{error}");
        match found {
            Some(words) => {
                assert!(error.found_value().is_some_and(|found| found.starts_with(words)), "{error}")
            }
            None => assert_eq!(error.found_value(), None),
        }
        assert!(error.message().contains(message), "{error}");
        let shown = shown(&error);
        no_secrets(&shown);
        assert!(!shown.contains(['\u{1b}', '\u{7}', '<']), "{shown:?}");
        assert_eq!(sim.recorded().requests().count(), 1, "{}", defect.name());
    }
}

/// A recorded answer, with what makes openers for it again: the same seed seals the same request.
struct Recording {
    proven: VerifiedEndpoint,
    request: String,
    at: u64,
    seed: [u8; 32],
    bytes: Vec<u8>,
}

impl Recording {
    fn make(sim: &Simulator, request: &str) -> Recording {
        let (mut host, setup, proven) = proven(sim);
        let recording = Recording {
            proven,
            request: request.to_owned(),
            at: setup.at,
            seed: [99; 32],
            bytes: Vec::new(),
        };
        let (sealed, mut opener) = recording
            .proven
            .seal(request.as_bytes(), setup.at, &mut Random::from_seed(recording.seed))
            .unwrap();
        let mut events = Vec::new();
        host.stream(sealed.request(), &mut opener, &mut events).unwrap();
        opener.finish(&mut events).unwrap();
        Recording { bytes: host.last_body, ..recording }
    }

    fn opener(&self) -> Opener {
        let mut random = Random::from_seed(self.seed);
        let (_, mut opener) = self.proven.seal(self.request.as_bytes(), self.at, &mut random).unwrap();
        opener.head(&event_stream()).unwrap();
        opener
    }

    fn open<'a>(
        &self,
        pieces: impl IntoIterator<Item = &'a [u8]>,
        workers: usize,
    ) -> (Vec<Event>, Result<Receipt, Error>) {
        let (mut opener, mut events) = (self.opener(), Vec::new());
        opener.set_workers(workers);
        let fed = pieces.into_iter().try_for_each(|piece| opener.push(piece, &mut events));
        let result = fed.and_then(|()| opener.finish(&mut events));
        (events, result)
    }
}

fn event_stream() -> ResponseHead {
    ResponseHead::new(200, [("content-type".to_owned(), "text/event-stream".to_owned())])
}

fn short_request(tokens: u32) -> String {
    json!({
        "model": MODEL,
        "messages": [{ "role": "user", "content": PROMPT }],
        "max_tokens": tokens,
        "stream_options": { "include_usage": true },
    })
    .to_string()
}

/// T39: a real answer cut at every byte is `truncated`, and everything before the cut was delivered, nothing after it.
#[test]
fn a_recorded_answer_cut_at_every_byte() {
    let sim = loopback::simulator(|_| ());
    let recording = Recording::make(&sim, &short_request(4));
    let whole = recording.open([recording.bytes.as_slice()], 1);
    let (all, receipt) = (Texts::of(&whole.0), whole.1.unwrap());
    assert_eq!(receipt.sealed_fields, 4);
    assert!(expected(PROMPT, 0).starts_with(all.first()) && all.finish[&0] == "length");
    let end = recording.bytes.len() - "\n\n".len();
    assert!(recording.bytes[..end].ends_with(b"data: [DONE]"));
    let mut delivered = 0;
    for cut in 0..recording.bytes.len() {
        let (events, result) = recording.open([&recording.bytes[..cut]], 1);
        let texts = Texts::of(&events);
        assert!(all.first().starts_with(texts.first()) && events.len() >= delivered, "cut at {cut}");
        delivered = events.len();
        match result {
            Ok(_) => assert!(cut >= end && texts == all, "cut at {cut} is no whole answer"),
            Err(error) => {
                assert!(cut < end, "cut at {cut}: {error}");
                assert_eq!(error.code(), Code::Truncated, "cut at {cut}");
                no_secrets(&shown(&error));
            }
        }
    }
    println!("{} cuts", recording.bytes.len());
}

/// Any division into reads, on any number of threads, gives what one read gives.
#[test]
fn any_reads_give_the_same() {
    let sim = loopback::simulator(|_| ());
    let recording = Recording::make(&sim, &short_request(40));
    let (events, receipt) = recording.open([recording.bytes.as_slice()], 1);
    let (texts, receipt) = (Texts::of(&events), receipt.unwrap());
    let mut random = Random::from_seed([3; 32]);
    for round in 0..24 {
        let mut rest = recording.bytes.as_slice();
        let mut pieces = Vec::new();
        while !rest.is_empty() {
            let [low, high] = random.bytes::<2>();
            let limit = if round % 2 == 0 {
                1 + usize::from(low & 15)
            } else {
                1 + usize::from(low) * (1 + usize::from(high & 31))
            };
            let (piece, tail) = rest.split_at(limit.min(rest.len()));
            pieces.push(piece);
            rest = tail;
        }
        for workers in [1, 4] {
            let (events, result) = recording.open(pieces.iter().copied(), workers);
            assert_eq!((Texts::of(&events), result.unwrap()), (texts.clone(), receipt.clone()));
        }
    }
}

/// T32: answers arrive interleaved; each opens under its own request only.
#[test]
fn interleaved_answers_do_not_mix() {
    const STREAMS: u8 = 24;
    let sim = loopback::simulator(|_| ());
    let (mut host, mut setup, proven) = proven(&sim);
    let mut bodies = Vec::new();
    let mut openers = Vec::new();
    for i in 0..STREAMS {
        let seed = [i; 32];
        let prompt = format!("Explain topic number {i} please canary-{i}");
        let (sealed, mut unused) =
            proven.seal(body(&prompt).as_bytes(), setup.at, &mut Random::from_seed(seed)).unwrap();
        host.stream(sealed.request(), &mut unused, &mut Vec::new()).unwrap();
        bodies.push((prompt.clone(), host.last_body.clone()));
        let (_, mut opener) =
            proven.seal(body(&prompt).as_bytes(), setup.at, &mut Random::from_seed(seed)).unwrap();
        opener.head(&event_stream()).unwrap();
        openers.push((opener, Vec::new(), 0));
    }
    while openers.iter().zip(&bodies).any(|((_, _, at), (_, bytes))| *at < bytes.len()) {
        for ((opener, events, at), (_, bytes)) in openers.iter_mut().zip(&bodies) {
            let until = (*at + 97 + usize::from(setup.random.bytes::<1>()[0])).min(bytes.len());
            opener.push(&bytes[*at..until], events).unwrap();
            *at = until;
        }
    }
    for ((opener, mut events, _), (prompt, _)) in openers.into_iter().zip(&bodies) {
        opener.finish(&mut events).unwrap();
        assert_eq!(Texts::of(&events).first(), expected(prompt, 0));
    }
    // Another request's answer, byte for byte, does not open.
    let (_, mut opener) = proven.seal(body("hello").as_bytes(), setup.at, &mut setup.random).unwrap();
    opener.head(&event_stream()).unwrap();
    let mut events = Vec::new();
    let error = opener.push(&bodies[0].1, &mut events).unwrap_err();
    assert_eq!((error.code(), Texts::of(&events).first()), (Code::AuthFailed, ""));
}

/// venice.md 5.5, 5.6: what a signature shows depends on whether the signer saw the bytes that were exchanged.
#[test]
fn response_signatures() {
    for (hash, text, verdict) in [
        (SignatureHash::Exact, SignatureText::ThreePart, SignatureVerdict::BodyMatches),
        (SignatureHash::Exact, SignatureText::TwoPart, SignatureVerdict::BodyMatches),
        (SignatureHash::Reserialized, SignatureText::ThreePart, SignatureVerdict::SignedBodyNotVerifiable),
        (SignatureHash::Reserialized, SignatureText::TwoPart, SignatureVerdict::SignedBodyNotVerifiable),
    ] {
        let sim = loopback::simulator(|config| (config.signature_hash, config.signature_text) = (hash, text));
        let (mut host, mut setup, proven) = proven(&sim);
        let (_, first) = chat_once(&mut host, &mut setup, &proven, &body(PROMPT));
        let (_, second) = chat_once(&mut host, &mut setup, &proven, &body("another question"));
        let (first, second) = (first.unwrap(), second.unwrap());
        let request = proven.signature_request(&first).unwrap();
        assert!(request.url().contains(first.id.as_deref().unwrap()) && request.body().is_empty());
        let signature = host.send(&request).unwrap();
        assert_eq!(proven.check_signature(&first, &signature).unwrap(), verdict);
        // Of another answer, or of bytes that were changed on the way, it shows no more than who signed.
        let mut altered = first.clone();
        altered.response_sha256[0] ^= 1;
        for receipt in [second, altered] {
            let shown = proven.check_signature(&receipt, &signature).unwrap();
            assert_eq!(shown, SignatureVerdict::SignedBodyNotVerifiable);
        }
        // An enclave that restarted meanwhile signed with the old key; a new proof does not cover that.
        sim.rotate_key(MODEL);
        let renewed = endpoint(&mut host, &mut setup).unwrap();
        let error = renewed.check_signature(&first, &signature).unwrap_err();
        assert_eq!(error.code(), Code::SignerMismatch);
    }
}

/// T58: what an exchange hands out for an offline re-check is public: the provider's answer and the challenge.
#[test]
fn evidence_for_later_holds_no_secret() {
    let sim = loopback::simulator(|_| ());
    let (mut host, mut setup) = (Loopback::new(), loopback::setup(&sim));
    let mut exchange = setup.exchange().unwrap();
    assert_eq!(exchange.evidence(), None);
    drive::run_exchange(&mut host, &mut exchange, setup.at).unwrap();
    let (answer, nonce) = exchange.evidence().unwrap();
    let text = String::from_utf8(answer.to_vec()).unwrap();
    assert!(text.contains(&const_hex::encode(nonce)) && !text.contains(API_KEY));
    let kept: String = exchange.fetched_collateral().iter().map(|collateral| collateral.to_json()).collect();
    no_secrets(&kept);
    no_secrets(&String::from_utf8_lossy(exchange.fetched_model_list().unwrap()));
    // The outcome is given once.
    assert_eq!(exchange.next(setup.at).unwrap_err().code(), Code::OutOfOrder);
}
