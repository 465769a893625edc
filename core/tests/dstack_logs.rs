//! dstack event logs: the committed vectors, rules that they do not show, captured answers (threats T09, T10).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod common;

use common::{captured, read_json, text, vectors};
use proveil_core::attest::TrustRoots;
use proveil_core::attest::dstack::{self, DstackClaims, EventLog, Evidence, MrConfig};
use proveil_core::attest::tdx::{decode_quote_text, verify_with_raw_collateral};
use proveil_core::crypto::{sha256, sha384};
use proveil_core::error::{Code, Error};
use proveil_core::evidence::TdxCollateral;
use proveil_core::wire::hex;
use proveil_core::wire::json::Json;

fn register(case: &Json, name: &str) -> [u8; 48] {
    hex::decode_array(text(case, name)).expect("48 bytes of hex")
}

fn judge(case: &Json) -> Result<DstackClaims, Error> {
    let log = EventLog::read(case.get("event_log").expect("a log"))?;
    let evidence =
        Evidence { log: &log, app_compose: Some(text(case, "app_compose")), config_document: None };
    dstack::check(&evidence, &register(case, "rtmr3"), &register(case, "mr_config_id"))
}

#[test]
fn vectors_are_judged_as_listed() {
    let cases = vectors("venice/dstack.json");
    assert!(!cases.is_empty());
    for case in &cases {
        let id = text(case, "id");
        match (judge(case), text(case, "expect")) {
            (Ok(claims), "ok") => {
                assert_eq!(hex::encode(&claims.compose_hash), text(case, "compose_hash"), "{id}");
                assert_eq!(hex::encode(&claims.app_id), text(case, "app_id"), "{id}");
                assert_eq!(hex::encode(&claims.instance_id.unwrap()), text(case, "instance_id"), "{id}");
                assert_eq!(hex::encode(&claims.os_image_hash.unwrap()), text(case, "os_image_hash"), "{id}");
                assert!(claims.compose_matches && !claims.all_registers, "{id}");
                assert_eq!(claims.mr_config, MrConfig::Compose, "{id}");
                assert!(claims.key_provider.is_some_and(|provider| provider.name == "kms"), "{id}");
            }
            (Err(error), "error") => assert_eq!(error.slug(), text(case, "error_class"), "{id}: {error}"),
            (result, _) => panic!("{id}: {result:?}"),
        }
    }
}

const COMPOSE: &str = "{\"runner\":\"docker-compose\"}";

/// A small log with the named events, all of register 3.
struct Log {
    events: Vec<(String, Vec<u8>)>,
    register: [u8; 48],
}

impl Log {
    fn new(events: &[(&str, &[u8])]) -> Log {
        let events: Vec<_> =
            events.iter().map(|(name, payload)| ((*name).to_owned(), payload.to_vec())).collect();
        let digest = |name: &str, payload: &[u8]| {
            sha384(&[&0x0800_0001u32.to_le_bytes(), b":", name.as_bytes(), b":", payload])
        };
        let register =
            events.iter().fold([0; 48], |value, (name, payload)| sha384(&[&value, &digest(name, payload)]));
        Log { events, register }
    }

    fn text(&self) -> String {
        let events: Vec<String> = self
            .events
            .iter()
            .map(|(name, payload)| {
                format!(
                    "{{\"imr\":3,\"event_type\":134217729,\"digest\":\"\",\"event\":\"{name}\",\"event_payload\":\"{}\"}}",
                    hex::encode(payload)
                )
            })
            .collect();
        format!("[{}]", events.join(","))
    }

    fn judge(&self, compose: Option<&str>) -> Result<DstackClaims, Error> {
        let log = EventLog::read_text(&self.text())?;
        let evidence = Evidence { log: &log, app_compose: compose, config_document: None };
        dstack::check(&evidence, &self.register, &[0; 48])
    }
}

#[test]
fn rules_about_events() {
    let hash = sha256(&[COMPOSE.as_bytes()]);
    let (app, compose) = (("app-id", &[1; 20][..]), ("compose-hash", &hash[..]));
    let (image, ready) = (("os-image-hash", &[2; 32][..]), ("system-ready", &[][..]));
    let no_instance = ("instance-id", &[][..]);
    type Events<'a> = &'a [(&'a str, &'a [u8])];
    let cases: &[(&str, Events<'_>, Result<(), Code>)] = &[
        ("complete", &[app, compose, image, no_instance, ready], Ok(())),
        ("without image", &[app, compose, ready], Ok(())),
        ("application repeats names", &[app, compose, ready, compose, image, app], Ok(())),
        ("never ready", &[app, compose, image], Err(Code::MissingEvent)),
        ("no app", &[compose, ready], Err(Code::MissingEvent)),
        ("app after ready", &[compose, ready, app], Err(Code::MissingEvent)),
        ("two apps", &[app, compose, app, ready], Err(Code::DuplicateEvent)),
        ("two images", &[app, compose, image, image, ready], Err(Code::DuplicateEvent)),
        ("short app", &[("app-id", &[1; 19]), compose, ready], Err(Code::EventLogMalformed)),
        ("colon in a name", &[app, compose, ("a:b", &[]), ready], Err(Code::EventLogMalformed)),
        ("colon after ready", &[app, compose, ready, ("a:b", &[])], Err(Code::EventLogMalformed)),
        (
            "key provider",
            &[app, compose, ("key-provider", b"{\"id\":1}"), ready],
            Err(Code::EventLogMalformed),
        ),
        ("empty", &[], Err(Code::Rtmr3Mismatch)),
    ];
    for (name, events, expected) in cases {
        let result = Log::new(events).judge(Some(COMPOSE));
        assert_eq!(result.map(|_| ()).map_err(|error| error.code()), *expected, "{name}");
    }
    let claims = Log::new(&[app, compose, ready, image]).judge(None).unwrap();
    assert_eq!(
        (claims.os_image_hash, claims.compose_matches),
        (None, false),
        "an application cannot state it"
    );
    assert_eq!(claims.mr_config, MrConfig::Unused);
    assert_eq!(claims.events.iter().filter(|event| event.by_application).count(), 2);
}

/// T09: a host cannot hide the system's events behind their digests, so that an application's own ones take their place.
#[test]
fn hidden_events_are_refused() {
    let (real, pretended) = (sha256(&[b"what runs"]), sha256(&[COMPOSE.as_bytes()]));
    let log = Log::new(&[
        ("app-id", &[1; 20]),
        ("compose-hash", &real),
        ("system-ready", &[]),
        ("app-id", &[2; 20]),
        ("compose-hash", &pretended),
        ("system-ready", &[]),
    ]);
    let honest = log.judge(None).unwrap();
    assert_eq!(honest.compose_hash, real);
    let hidden: Vec<String> = log
        .events
        .iter()
        .enumerate()
        .map(|(i, (name, payload))| {
            let kind = if i < 3 { 1 } else { 0x0800_0001u32 };
            let digest = sha384(&[&0x0800_0001u32.to_le_bytes(), b":", name.as_bytes(), b":", payload]);
            format!(
                "{{\"imr\":3,\"event_type\":{kind},\"digest\":\"{}\",\"event\":\"{name}\",\"event_payload\":\"{}\"}}",
                hex::encode(&digest),
                hex::encode(payload)
            )
        })
        .collect();
    let served = EventLog::read_text(&format!("[{}]", hidden.join(","))).unwrap();
    let evidence = Evidence { log: &served, app_compose: Some(COMPOSE), config_document: None };
    let error = dstack::check(&evidence, &log.register, &[0; 48]).unwrap_err();
    assert_eq!((error.code(), error.check()), (Code::MissingEvent, Some("eventlog.events")), "{error}");
}

/// T10: a description that two parsers read differently is refused even when its hash is measured.
#[test]
fn ambiguous_compose_is_refused() {
    for text in ["{\"a\":1,\"a\":2}", "[]", "not json", "{\"a\":1} "] {
        let hash = sha256(&[text.as_bytes()]);
        let log = Log::new(&[("app-id", &[1; 20]), ("compose-hash", &hash), ("system-ready", &[])]);
        let result = log.judge(Some(text)).map(|_| ()).map_err(|error| error.code());
        let expected = if text.ends_with(' ') { Ok(()) } else { Err(Code::MalformedField) };
        assert_eq!(result, expected, "{text}");
    }
}

#[test]
fn logs_of_another_form() {
    let event = "{\"imr\":3,\"event_type\":134217729,\"digest\":\"\",\"event\":\"x\",\"event_payload\":\"\"}";
    for bad in [
        String::new(),
        "{}".into(),
        "[1]".into(),
        "[{}]".into(),
        format!("[{}]", event.replace("\"imr\":3", "\"imr\":4")),
        format!("[{}]", event.replace("\"imr\":3", "\"imr\":3,\"imr\":3")),
        format!("[{}]", event.replace("134217729", "1")),
        format!("[{}]", event.replace("\"digest\":\"\"", "\"digest\":\"0\"")),
        format!("[{}]", event.replace("\"digest\":\"\"", &format!("\"digest\":\"{}\"", "00".repeat(49)))),
        format!("[{}]", event.replace("\"event_payload\":\"\"", "\"event_payload\":\"zz\"")),
        format!("[{}]", event.replace("\"event\":\"x\"", "\"event\":\"x\",\"version\":3")),
        format!("[{event}"),
    ] {
        assert_eq!(EventLog::read_text(&bad).unwrap_err().code(), Code::EventLogMalformed, "{bad}");
    }
    let many = format!("[{}]", vec![event; 1025].join(","));
    assert_eq!(EventLog::read_text(&many).unwrap_err().code(), Code::LimitExceeded);
    let long = Json::Array(vec![
        Json::parse(event.replace("\"\"}", &format!("\"{}\"}}", "00".repeat(600_000))).as_bytes()).unwrap(),
    ]);
    assert_eq!(EventLog::read(&long).unwrap_err().code(), Code::LimitExceeded);
    assert_eq!(EventLog::read(&Json::Bool(true)).unwrap_err().code(), Code::EventLogMalformed);
}

/// Logs of captured answers lead to all four registers of their verified quotes; without any one event they do not.
#[test]
fn captured_logs_lead_to_all_registers() {
    let Some(dir) = captured("composite") else { return };
    // Id, member that holds the answer, member of the quote, collateral, time, form of MR_CONFIG_ID.
    let samples = [
        ("venice-20260610", None, "intel_quote", "venice-20260610-90c06f", 1_781_056_027, MrConfig::Compose),
        ("nanogpt-20260610", None, "intel_quote", "venice-20260610-90c06f", 1_781_056_145, MrConfig::Compose),
        (
            "near-gateway-20260629",
            Some("gateway_attestation"),
            "intel_quote",
            "near-gateway-20260629-b0c06f",
            1_782_698_817,
            MrConfig::Compose,
        ),
        ("dstack-quote-report", None, "quote", "dstack-quote-report-90c06f", 1_777_016_126, MrConfig::Unused),
    ];
    for (id, path, quote, collateral, at, mr_config) in samples {
        let answer = read_json(&dir.join(format!("{id}.response.json")));
        let response = path.map_or(&answer, |name| answer.get(name).unwrap());
        let collateral = std::fs::read(dir.join(format!("collateral-{collateral}000000.json"))).unwrap();
        let collateral = TdxCollateral::from_json(&collateral).unwrap();
        let quote = decode_quote_text(text(response, quote)).unwrap();
        let claims = verify_with_raw_collateral(&quote, &collateral, &TrustRoots::default(), at).unwrap();
        let log = EventLog::read(response.get("event_log").unwrap()).unwrap();
        let info = response.get("info");
        let app_compose =
            info.and_then(|info| info.get("tcb_info")?.get("app_compose")).and_then(Json::as_str);
        let evidence = Evidence { log: &log, app_compose, config_document: None };
        let found = dstack::verify(&evidence, &claims).unwrap();
        assert!(found.all_registers, "{id}");
        assert_eq!(found.compose_matches, app_compose.is_some(), "{id}");
        assert_eq!(found.mr_config, mr_config, "{id}");
        if let Some(expected) = info.and_then(|info| info.get("app_id")) {
            assert_eq!(Some(hex::encode(&found.app_id).as_str()), expected.as_str(), "{id}");
        }
        let events = match response.get("event_log").unwrap() {
            Json::String(text) => Json::parse(text.as_bytes()).unwrap(),
            other => other.clone(),
        };
        let Json::Array(events) = events else { panic!("{id}: not a list") };
        for removed in 0..events.len() {
            let mut fewer = events.clone();
            fewer.remove(removed);
            let log = EventLog::read(&Json::Array(fewer)).unwrap();
            let error = dstack::verify(&Evidence { log: &log, ..evidence }, &claims).unwrap_err();
            assert_eq!(error.check(), Some("eventlog.replay"), "{id} without event {removed}");
        }
    }
}
