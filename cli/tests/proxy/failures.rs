//! Providers that cannot be proven, that cheat or that break off: the caller gets a code, in its own shape and in one attempt.

use proveil_testkit::sim::{Defect, Outcome, privatemode};
use serde_json::{Value, json};

use crate::stage::{Answer, Privatemode, Proxy, Venice};

const VENICE: &str = "e2ee-sim-27b";
const PRIVATEMODE: &str = "sim-kimi-2";

/// The only thing that a stream may end with besides its end mark.
fn last_error(answer: &Answer) -> Option<Value> {
    let events = answer.events();
    let last: Value = serde_json::from_str(events.last()?).ok()?;
    last.get("error").cloned()
}

/// The statuses and codes of evidence that says no, and of evidence that cannot be had.
#[test]
fn refusals_reach_the_caller_once() {
    for (defect, status, kind, again) in [
        (Defect::TamperedQuote, 403, "verification_error", "false"),
        (Defect::KeySwap, 403, "verification_error", "false"),
        (Defect::CollateralExpired, 503, "verification_unavailable", "true"),
    ] {
        let venice = Venice::new(&[defect], &[]);
        for stream in [false, true] {
            let answer = venice.proxy.chat(VENICE, stream);
            assert_eq!(answer.status, status, "{answer:?}");
            assert_eq!(answer.headers["x-should-retry"], again);
            assert_eq!(answer.headers.contains_key("retry-after"), again == "true");
            let error = &answer.json()["error"];
            assert_eq!(error["type"], kind);
            let Outcome::Fails(code) = defect.outcome() else { panic!("{}", defect.name()) };
            assert_eq!(error["code"], code.text());
            let report = venice.proxy.get(&format!("{}.json", answer.headers["x-proveil-report"]));
            assert_ne!(report.json()["verdict"], "verified");
        }
        let messages =
            json!({ "model": VENICE, "max_tokens": 9, "messages": [{ "role": "user", "content": "a" }] });
        let answer = venice.proxy.post("/v1/messages", &messages);
        assert_eq!((answer.status, &answer.json()["type"]), (status, &json!("error")));
        assert_eq!(venice.sim.recorded().to_path("/chat/completions").count(), 0, "{}", defect.name());
        let alone = venice.proxy.get("/metrics").body;
        assert!(!alone.contains("proveil_failovers_total{"), "{alone}");
        let ready = venice.proxy.get("/readyz");
        assert_eq!((ready.status, &ready.json()["ready"]), (503, &json!(false)));
        assert_eq!(venice.proxy.get("/healthz").status, 200);
    }
}

/// T36, T39 to T44: an answer that is not what the enclave sent ends with its code, never with the mark of a regular end.
fn check(proxy: &Proxy, model: &str, name: &str, outcome: Outcome) {
    let whole = proxy.chat(model, false);
    let stream = proxy.chat(model, true);
    match outcome {
        Outcome::Fails(code) => {
            assert_ne!(whole.status, 200, "{name}");
            assert_eq!(whole.code(), code.text(), "{name}: {whole:?}");
            let found = match stream.status {
                200 => last_error(&stream).unwrap_or_else(|| panic!("{name}: {stream:?}"))["code"].clone(),
                _ => stream.json()["error"]["code"].clone(),
            };
            assert_eq!(found, code.text(), "{name}: {stream:?}");
            assert!(!stream.body.contains("[DONE]"), "{name}");
        }
        _ => {
            assert_eq!(whole.status, 200, "{name}: {whole:?}");
            assert_eq!(stream.events().last().map(String::as_str), Some("[DONE]"), "{name}");
        }
    }
}

#[test]
fn every_wrong_answer_of_venice() {
    let venice = Venice::new(&[], &[]);
    let wrong = Defect::all().iter().filter(|defect| defect.stage() == proveil_testkit::sim::Stage::Answer);
    let mut count = 0;
    for defect in wrong {
        venice.sim.set_defects(&[*defect]);
        check(&venice.proxy, VENICE, defect.name(), defect.outcome());
        count += 1;
    }
    assert!(count > 20, "{count}");
}

#[test]
fn every_wrong_answer_of_privatemode() {
    let privatemode = Privatemode::new(&[], &[]);
    let stage = privatemode::Stage::Answer;
    let wrong = privatemode::Defect::all().iter().filter(|defect| defect.stage() == stage);
    let mut count = 0;
    for defect in wrong {
        privatemode.sim.set_defects(&[*defect]);
        let stream = privatemode.proxy.chat(PRIVATEMODE, true);
        if let Outcome::Fails(_) = defect.outcome() {
            let failed = stream.status != 200 || last_error(&stream).is_some();
            assert!(failed && !stream.body.contains("[DONE]"), "{}: {stream:?}", defect.name());
        }
        count += 1;
    }
    assert!(count > 15, "{count}");
}

/// What stands between: redirects, compression, foreign types, limits, markup.
#[test]
fn t42_trouble_on_the_way() {
    let venice = Venice::new(&[], &[]);
    for defect in [
        Defect::Redirect,
        Defect::GzipBody,
        Defect::WrongContentType,
        Defect::PaymentRequired,
        Defect::HttpErrorHtml,
        Defect::RotateKeyOnce,
        Defect::SlowStart,
    ] {
        venice.sim.set_defects(&[defect]);
        check(&venice.proxy, VENICE, defect.name(), defect.outcome());
    }
}

/// How long the provider wants to be left alone reaches the caller, who decides; this proxy has tried again by then.
#[test]
fn t49_waits_that_the_provider_asks_for() {
    let venice = Venice::new(&[Defect::RateLimited], &[]);
    for stream in [false, true] {
        venice.sim.clear_recorded();
        let answer = venice.proxy.chat(VENICE, stream);
        assert_eq!((answer.status, answer.code().as_str()), (502, "PV-507"), "{answer:?}");
        assert_eq!(answer.headers["retry-after"], "1");
        assert_eq!(answer.headers["x-should-retry"], "false");
        assert_eq!(venice.sim.recorded().to_path(proveil_testkit::sim::CHAT_PATH).count(), 2);
    }
    venice.sim.set_defects(&[Defect::PaymentRequired]);
    assert!(!venice.proxy.chat(VENICE, false).headers.contains_key("retry-after"));
}

/// A cut stream in Anthropic's shape.
#[test]
fn t39_a_cut_message() {
    let venice = Venice::new(&[Defect::StreamCut], &[]);
    let body = json!({ "model": VENICE, "max_tokens": 99, "stream": true, "messages": [{ "role": "user", "content": "a" }] });
    let answer = venice.proxy.post("/v1/messages", &body);
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains("event: error\n") && !answer.body.contains("message_stop"), "{answer:?}");
    assert_eq!(last_error(&answer).unwrap()["code"], "PV-502");
}

/// An alias goes on to the next endpoint that can be proven, and only to such a one.
#[test]
fn failover_among_verified_endpoints() {
    let refused = crate::stage::simulated_venice(&[Defect::TamperedQuote]);
    let config = privatemode::SimConfig::default();
    let good = privatemode::Simulator::start(config).unwrap();
    let home = tempfile::tempdir().unwrap();
    // Both simulators' roots in one file: each signs with its own vendors' keys.
    let mut roots: Value = serde_json::from_str(&good.trust_roots_json()).unwrap();
    let venice: Value = serde_json::from_str(&refused.trust_roots_json()).unwrap();
    for (name, value) in venice.as_object().unwrap() {
        let members = roots.as_object_mut().unwrap();
        match members.get_mut(name) {
            Some(Value::Array(known)) => known.extend(value.as_array().cloned().unwrap_or_default()),
            _ => drop(members.insert(name.clone(), value.clone())),
        }
    }
    std::fs::write(home.path().join("roots.json"), roots.to_string()).unwrap();
    let file = home.path().join("proveil.toml");
    let text = format!(
        "[provider.venice]\nbase_url = \"{}\"\ncollateral_url = \"{}\"\n[provider.privatemode]\nbase_url = \"{}\"\nmanifest_url = \"{}\"\namd_url = \"{}\"\n\
         [models]\nbest = [\"venice/{VENICE}\", \"privatemode/{PRIVATEMODE}\"]\n",
        refused.base_url(),
        refused.collateral_url(),
        good.base_url(),
        good.base_url(),
        good.kds_url(),
    );
    std::fs::write(&file, text).unwrap();
    let environment = [("VENICE_API_KEY", crate::stage::KEY), ("PRIVATEMODE_API_KEY", crate::stage::KEY)];
    // Without roots neither is proven: nothing is sent to either, and the last refusal is what the caller sees.
    let proxy = Proxy::start(home, &["--config", file.to_str().unwrap()], &environment);
    let answer = proxy.chat("best", false);
    assert_eq!((answer.status, answer.headers["x-should-retry"].as_str()), (403, "false"), "{answer:?}");
    assert_eq!(refused.recorded().to_path("/chat/completions").count(), 0);
    assert_eq!(good.recorded().to_path("/v1/chat/completions").count(), 0);
    let asked = good.recorded().requests().filter(|request| request.target.contains("attest")).count();
    assert!(asked > 0, "the second one was tried");
    // With them the second one is proven, and answers.
    let trusting = tempfile::tempdir().unwrap();
    let roots = proxy.home.path().join("roots.json");
    let flags = ["--config", file.to_str().unwrap(), "--trust-roots", roots.to_str().unwrap()];
    let trusting = Proxy::start(trusting, &flags, &environment);
    for stream in [false, true] {
        let answer = trusting.chat("best", stream);
        assert_eq!(
            (answer.status, answer.headers["x-proveil-provider"].as_str()),
            (200, "privatemode"),
            "{answer:?}"
        );
    }
    assert_eq!(refused.recorded().to_path("/chat/completions").count(), 0);
    assert_eq!(trusting.counter("proveil_failovers_total{provider=\"venice\",code=\"PV-225\"}"), 2);
    // Where nothing is left to go on to, nothing went on.
    assert_eq!(trusting.chat(&format!("venice/{VENICE}"), false).status, 403);
    assert_eq!(trusting.counter("proveil_failovers_total{provider=\"venice\",code=\"PV-225\"}"), 2);
    let last = proxy.get("/metrics").body;
    let counted: Vec<&str> =
        last.lines().filter(|line| line.starts_with("proveil_failovers_total{")).collect();
    assert!(
        matches!(counted.as_slice(), [one] if one.contains("venice") && one.ends_with(" 1")),
        "{counted:?}"
    );
    // What begins to answer is not asked again elsewhere.
    refused.set_defects(&[Defect::StreamCut]);
    good.clear_recorded();
    let cut = trusting.chat("best", false);
    assert_eq!((cut.status, cut.code().as_str()), (502, "PV-502"), "{cut:?}");
    assert_eq!(good.recorded().to_path("/v1/chat/completions").count(), 0);
    assert!(
        proxy.get("/v1/models").json()["data"].as_array().unwrap().iter().any(|entry| entry["id"] == "best")
    );
    // Aliases that lead nowhere are a mistake of the configuration, found before anything starts.
    let bad = proxy.home.path().join("bad.toml");
    std::fs::write(&bad, "[models]\nbest = [\"venus/a\"]\n").unwrap();
    let output = crate::stage::command(proxy.home.path(), &["--config", bad.to_str().unwrap()], &environment)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
}
