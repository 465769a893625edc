//! What the proxy says of its endpoints: those that it keeps verified, those that requests had verified, and models that are named at the
//! start.

use proveil_testkit::sim::Defect;
use serde_json::{Value, json};

use crate::stage::{Answer, KEY, Privatemode, Proxy, Venice, chat, command};

/// Model and outcome of every endpoint.
fn endpoints(proxy: &Proxy) -> Vec<(String, String)> {
    let status = proxy.get("/status.json");
    assert_eq!(status.status, 200, "{status:?}");
    let status = status.json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let all = status["endpoints"].as_array().unwrap();
    all.iter().map(|it| (text(&it["model"]), text(&it["outcome"]))).collect()
}

fn pair(model: &str, outcome: &str) -> (String, String) {
    (model.to_owned(), outcome.to_owned())
}

fn with_key(proxy: &Proxy, model: &str, key: &str) -> Answer {
    let bearer = format!("Bearer {key}");
    let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
    proxy.send("POST", "/v1/chat/completions", &headers, chat(model, false).to_string().as_bytes())
}

/// T56: without a key of its own the proxy is ready for callers, says what their requests proved, and wants no key for saying so.
#[test]
fn t56_verified_for_callers() {
    let privatemode = Privatemode::with_environment(&[], &[], &[]);
    let proxy = &privatemode.proxy;
    assert_eq!((proxy.get("/readyz").status, &proxy.get("/readyz").json()["ready"]), (200, &json!(true)));
    assert_eq!((endpoints(proxy), proxy.get("/report").status), (Vec::new(), 404));
    assert_eq!((proxy.counter("proveil_ready"), proxy.counter("proveil_endpoints_verified")), (1, 0));
    assert_eq!(with_key(proxy, "sim-kimi-2", "canary-key-other").status, 401);
    assert_eq!(endpoints(proxy), [], "a bad key says nothing about the endpoint");
    let answer = with_key(proxy, "sim-kimi-2", KEY);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(with_key(proxy, "sim-kimi-2", KEY).status, 200);
    assert_eq!(endpoints(proxy), [pair("sim-kimi-2", "verified")]);
    assert_eq!(proxy.counter("proveil_endpoints_verified"), 1);
    assert_eq!(proxy.counter(r#"proveil_verifications_total{provider="privatemode",outcome="verified"}"#), 1);
    assert_eq!(proxy.get(&answer.headers["x-proveil-report"]).status, 200);
    for (path, status) in
        [("/report.json", 200), ("/nothing", 404), ("/v1/models", 401), ("/v1/models/a", 401)]
    {
        assert_eq!(proxy.get(path).status, status, "{path}");
    }
}

/// With a key of its own, too, every verification counts, whoever caused it; and so does what was refused later.
#[test]
fn requests_are_seen_beside_the_kept_model() {
    let venice = Venice::new(&[], &["--model", "venice/e2ee-sim-27b"]);
    let kept = pair("e2ee-sim-27b", "verified");
    assert!(venice.proxy.comes_to(|| endpoints(&venice.proxy) == [kept.clone()]));
    assert_eq!(venice.proxy.chat("e2ee-sim-reasoner-p", false).status, 200);
    assert_eq!(endpoints(&venice.proxy), [kept, pair("e2ee-sim-reasoner-p", "verified")]);

    let refused = Venice::new(&[Defect::TamperedQuote], &[]);
    assert_eq!(refused.proxy.chat("e2ee-sim-reasoner-p", false).status, 403);
    assert!(endpoints(&refused.proxy).contains(&pair("e2ee-sim-reasoner-p", "refused")));
    assert_eq!(refused.proxy.get("/readyz").status, 503);
    refused.sim.set_defects(&[]);
    assert_eq!(refused.proxy.chat("e2ee-sim-reasoner-p", false).status, 200);
    assert!(endpoints(&refused.proxy).contains(&pair("e2ee-sim-reasoner-p", "verified")));
    assert_eq!(refused.proxy.get("/readyz").status, 200);
}

/// A list of models that cannot be had is not an endpoint for ever.
#[cfg(unix)]
#[test]
fn a_failed_model_list_is_forgotten() {
    let home = tempfile::tempdir().unwrap();
    let key = home.path().join("key");
    std::fs::write(&key, "canary-key-other\n").unwrap();
    let environment = [("PRIVATEMODE_API_KEY_FILE", key.to_str().unwrap())];
    let privatemode = Privatemode::with_environment(&[], &[], &environment);
    let proxy = &privatemode.proxy;
    assert!(
        proxy.comes_to(|| endpoints(proxy) == [pair("(none)", "indeterminate")]),
        "{:?}",
        endpoints(proxy)
    );
    std::fs::write(&key, KEY).unwrap();
    let id = rustix::process::Pid::from_raw(i32::try_from(proxy.id()).unwrap()).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::HUP).unwrap();
    assert!(proxy.comes_to(|| proxy.get("/readyz").status == 200), "{}", proxy.log());
    assert!(
        proxy.comes_to(|| matches!(endpoints(proxy).as_slice(), [(_, outcome)] if outcome == "verified")),
        "{:?}",
        endpoints(proxy)
    );
}

#[test]
fn models_that_are_named_at_the_start() {
    let home = tempfile::tempdir().unwrap();
    let key = [("VENICE_API_KEY", KEY)];
    for (model, says) in [
        ("vennice/e2ee-sim-27b", "Did you mean `venice/e2ee-sim-27b`?"),
        ("privatemode/e2ee-sim-27b", "Served: venice."),
        ("venice/", "is not usable"),
    ] {
        let output = command(home.path(), &["--model", model], &key).output().unwrap();
        let error: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((output.status.code(), &error["code"]), (Some(2), &json!("PV-130")), "{model}: {error}");
        assert!(says == "is not usable" || error["message"].as_str().unwrap().contains(says), "{error}");
    }
    for model in ["e2ee-sim-27b", "venice/e2ee-sim-27b"] {
        let venice = Venice::new(&[], &["--model", model]);
        assert!(
            venice.proxy.comes_to(|| endpoints(&venice.proxy) == [pair("e2ee-sim-27b", "verified")]),
            "{model}"
        );
    }
    // The model list says whether there is such a model.
    for model in ["e2ee-sim-72b", "venice/e2ee-sim-72b"] {
        let venice = Venice::new(&[], &["--model", model]);
        assert!(venice.proxy.comes_to(|| !endpoints(&venice.proxy).is_empty()), "{model}");
        let status = venice.proxy.get("/status.json").json();
        assert_eq!(status["endpoints"][0]["code"], "PV-105", "{status}");
        assert!(status["endpoints"][0]["line"].as_str().unwrap().contains("Did you mean `"), "{status}");
        assert!(venice.proxy.log().contains("Did you mean `"), "{}", venice.proxy.log());
    }
}
