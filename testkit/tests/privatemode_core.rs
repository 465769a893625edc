//! The whole way through the core against the simulated service: verify, seal, open. Honest it works on every endpoint; every defect
//! ends with the code that it promises and delivers nothing that was not sealed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod drive;

use drive::loopback::Loopback;
use drive::{API_KEY, NOW, Setup, Use, body_of, endpoint, run_exchange, use_it};
use proveil_core::Code;
use proveil_core::attest::TrustRoots;
use proveil_core::bundle::EvidenceBundle;
use proveil_core::endpoint::{ApiRequest, Event, Outcome as Verified};
use proveil_core::http::BaseUrl;
use proveil_core::openai::ApiEndpoint;
use proveil_core::policy::Policy;
use proveil_core::provider::Provider;
use proveil_core::report::{Level, Verdict};
use proveil_testkit::forge::Random;
use proveil_testkit::sim::Outcome;
use proveil_testkit::sim::privatemode::{Defect, SimConfig, Simulator, Stage};

const MODEL: &str = "openai/sim-oss-120b";
const PROMPT: &str = "echo: What is remote attestation? canary-prompt-83d0";

fn start(defects: &[Defect]) -> Simulator {
    let config = SimConfig {
        seed: Some([6; 32]),
        now: Some(NOW),
        slow_start_ms: 1,
        api_key: Some(API_KEY.to_owned()),
        defects: defects.to_vec(),
        ..SimConfig::default()
    };
    Simulator::start(config).unwrap()
}

fn setup(sim: &Simulator) -> Setup {
    let roots = TrustRoots::from_json(sim.trust_roots_json().as_bytes()).unwrap();
    let mut setup = Setup::new(&sim.base_url(), None, roots);
    setup.provider = Provider::Privatemode;
    setup.model = MODEL.to_owned();
    setup.privatemode.amd_url = Some(BaseUrl::parse(&sim.kds_url()).unwrap());
    setup
}

fn streamed() -> String {
    body_of(MODEL, &[("user", PROMPT)]).replacen('{', "{\"stream\":true,", 1)
}

fn ask(defects: &[Defect]) -> Use {
    let sim = start(defects);
    let used = use_it(&mut Loopback::new(), &mut setup(&sim), &streamed());
    for request in sim.recorded().requests() {
        let shown = String::from_utf8_lossy(&request.body).into_owned();
        assert!(!shown.contains("canary"), "a prompt left in clear");
    }
    used
}

/// What an honest service answers.
fn honest() -> String {
    let used = ask(&[]);
    assert!(used.error.is_none(), "{:?}", used.error);
    used.texts.first().to_owned()
}

#[test]
fn verified_sealed_opened() {
    let used = ask(&[]);
    let report = used.endpoint.as_ref().unwrap().report();
    assert_eq!(
        (report.verdict(), report.level()),
        (Verdict::Verified, Some(Level::L2)),
        "{}",
        report.to_text()
    );
    assert!(used.texts.first().contains("remote attestation"), "{:?}", used.texts);
    assert_eq!(used.texts.finish.get(&0).map(String::as_str), Some("stop"));
    assert!(used.receipt.unwrap().sealed_fields > 0);
}

/// A manifest that somebody else than the provider named is a reference for the software.
#[test]
fn a_given_manifest_is_a_reference() {
    let sim = start(&[]);
    let mut setup = setup(&sim);
    setup.policy = Policy::preset("privatemode/strict").unwrap();
    let refused = endpoint(&mut Loopback::new(), &mut setup).unwrap_err();
    assert_eq!(refused.code(), Code::RequiredCheckNotMade, "{refused}");
    setup.privatemode.manifest = Some(sim.manifest());
    let strict = endpoint(&mut Loopback::new(), &mut setup);
    assert!(strict.is_ok(), "{}", strict.unwrap_err());
    setup.policy = Policy::standard();
    let proven = endpoint(&mut Loopback::new(), &mut setup).unwrap();
    assert_eq!(proven.report().level(), Some(Level::L3), "{}", proven.report().to_text());
    // T27: another manifest than the given one.
    setup.privatemode.manifest = Some([&sim.manifest()[..], b" "].concat());
    let refused = endpoint(&mut Loopback::new(), &mut setup).unwrap_err();
    assert_eq!(refused.code(), Code::ManifestMismatch);
}

/// Every defect, streamed chat: its code, and never a text that the honest service would not have begun with.
#[test]
fn every_defect() {
    let honest = honest();
    let mut wrong = Vec::new();
    for defect in Defect::all() {
        let name = defect.name();
        // Connections that a client makes again are the client's own tests.
        if name.starts_with("reset-") || *defect == Defect::AttestFailsOnce {
            continue;
        }
        let used = ask(&[*defect]);
        let delivered = used.texts.first();
        if !honest.starts_with(delivered) {
            wrong.push(format!("{name}: delivered {delivered:?}"));
        }
        let code = used.error.as_ref().map(proveil_core::Error::code);
        let right = match defect.outcome() {
            Outcome::Works => code.is_none() && delivered == honest,
            Outcome::Fails(expected) => code == Some(expected),
            Outcome::NotDetectable => true,
        };
        if !right {
            wrong.push(format!("{name}: {:?}, expected {:?}", used.error, defect.outcome()));
        }
        let early = matches!(
            defect.stage(),
            Stage::Manifest | Stage::Attestation | Stage::Collateral | Stage::Exchange
        );
        if early && code.is_some() && used.receipt.is_some() {
            wrong.push(format!("{name}: something was sent"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// T05, T32: what was captured gives the same report again, and an answer of one exchange opens in no other.
#[test]
fn captures_and_exchanges() {
    let sim = start(&[]);
    let mut setup = setup(&sim);
    let mut host = Loopback::new();
    let mut exchange = setup.exchange().unwrap();
    let outcome = run_exchange(&mut host, &mut exchange, NOW).unwrap();
    let Verified::Verified(proven) = outcome else { panic!("{}", outcome.report().to_text()) };
    let bundle = EvidenceBundle::of_exchange(&exchange).unwrap();
    let text = bundle.to_json();
    assert!(!text.contains(API_KEY));
    let read = EvidenceBundle::from_json(text.as_bytes()).unwrap();
    assert_eq!(read.to_json(), text);
    let (again, accepted) = read.appraise(None, Some(&setup.roots), None);
    assert_eq!(again.to_json(), proven.report().to_json());
    accepted.unwrap();
    let files = bundle.to_files();
    let mut find = |name: &str, _: usize| {
        Ok(files.iter().find(|file| file.name == name).expect("a file of the bundle").bytes.clone())
    };
    let from_files = EvidenceBundle::from_files(&mut find).unwrap();
    assert_eq!(from_files.to_json(), text);
    // Later the proof has ended.
    let (later, refused) = read.appraise(None, Some(&setup.roots), Some(NOW + 46 * 60));
    assert_ne!(later.verdict(), Verdict::Verified);
    refused.unwrap_err();

    let mut ask = || proven.seal(streamed().as_bytes(), NOW, &mut setup.random).unwrap();
    let (first, mut opener) = ask();
    let (_, mut other) = ask();
    let mut events = Vec::new();
    drive::Host::stream(&mut host, first.request(), &mut opener, &mut events).unwrap();
    let recorded = host.last_body.clone();
    let head = proveil_core::http::ResponseHead::new(
        200,
        [("content-type".to_owned(), "text/event-stream".to_owned())],
    );
    other.head(&head).unwrap();
    let mut out = Vec::new();
    assert_eq!(other.push(&recorded, &mut out).unwrap_err().code(), Code::ForeignField);
    assert!(out.is_empty());
}

/// Endpoints other than chat, answered as documents.
#[test]
fn other_endpoints() {
    let sim = start(&[]);
    let form = concat!(
        "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nopenai/sim-whisper-3\r\n",
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"canary.wav\"\r\n",
        "Content-Type: audio/wav\r\n\r\nRIFF\x10\x00\x00\x00WAVEcanary\r\n--b--\r\n",
    );
    let form_type = "multipart/form-data; boundary=b";
    let cases = [
        (
            "/v1/embeddings",
            "sim-embedding-4b",
            None,
            r#"{"model":"sim-embedding-4b","input":"canary"}"#,
            "\"data\"",
        ),
        (
            "/v1/completions",
            MODEL,
            None,
            r#"{"model":"openai/sim-oss-120b","prompt":"canary"}"#,
            "\"choices\"",
        ),
        (
            "/v1/messages",
            MODEL,
            None,
            r#"{"model":"openai/sim-oss-120b","max_tokens":64,"messages":[{"role":"user","content":"canary"}]}"#,
            "\"content\"",
        ),
        ("/v1/audio/transcriptions", "openai/sim-whisper-3", Some(form_type), form, "\"text\""),
        ("/unstructured/general/v0/general", "(none)", Some(form_type), form, "["),
    ];
    let mut host = Loopback::new();
    for (path, model, content_type, body, expected) in cases {
        let mut setup = setup(&sim);
        setup.model = model.to_owned();
        let proven = endpoint(&mut host, &mut setup).unwrap();
        let request = ApiRequest::new(ApiEndpoint::parse(path).unwrap(), content_type, body.as_bytes());
        let (sealed, mut opener) = proven.seal_request(&request, NOW, &mut setup.random).unwrap();
        assert!(!String::from_utf8_lossy(sealed.request().body()).contains("canary"), "{path}");
        let mut events = Vec::new();
        drive::Host::stream(&mut host, sealed.request(), &mut opener, &mut events).unwrap();
        opener.finish(&mut events).unwrap_or_else(|error| panic!("{path}: {error}"));
        let [Event::Document { json, .. }] = events.as_slice() else { panic!("{path}: {events:?}") };
        assert!(json.contains(expected), "{path}: {json}");
    }
    // A large file is sealed to the same bytes when its hex is made while it is sent.
    let large = format!(
        "--B\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nopenai/sim-whisper-3\r\n--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n{}\r\n--B--\r\n",
        "canary".repeat(99_999)
    );
    let random = || Random::from_seed([5; 32]);
    for (path, model, content_type, body, in_chunks) in [
        (
            "/v1/audio/transcriptions",
            "openai/sim-whisper-3",
            Some("multipart/form-data; boundary=B"),
            large.as_str(),
            true,
        ),
        ("/unstructured/general/v0/general", "(none)", Some("text/plain"), large.as_str(), true),
        ("/unstructured/general/v0/general", "(none)", Some("text/plain"), "canary", false),
    ] {
        let request = ApiRequest::new(ApiEndpoint::parse(path).unwrap(), content_type, body.as_bytes());
        let mut setup = setup(&sim);
        setup.model = model.to_owned();
        let proven = endpoint(&mut host, &mut setup).unwrap();
        let whole = proven.seal_request(&request, NOW, &mut random()).unwrap().0.into_request().take_body();
        let mut request = proven.seal_in_chunks(&request, NOW, &mut random()).unwrap().0.into_request();
        let Some(chunks) = request.take_chunks() else {
            assert_eq!((request.take_body(), in_chunks), (whole, false), "{path}");
            continue;
        };
        assert!(in_chunks && request.body().is_empty(), "{path}");
        assert_eq!(
            (chunks.wire_len(), chunks.pieces().collect::<Vec<_>>().concat()),
            (whole.len(), whole),
            "{path}"
        );
    }
    // T48: nothing else is carried, and never under another model than the proven one.
    let mut setup = setup(&sim);
    let proven = endpoint(&mut host, &mut setup).unwrap();
    let models = ApiRequest::new(ApiEndpoint::Models, None, b"");
    let refused = proven.seal_request(&models, NOW, &mut setup.random).unwrap_err();
    assert_eq!(refused.code(), Code::UnsupportedEndpoint);
    let other = body_of("sim-kimi-2", &[("user", "x")]);
    let refused = proven.seal(other.as_bytes(), NOW, &mut setup.random).unwrap_err();
    assert_eq!(refused.code(), Code::UnknownModel);
}
