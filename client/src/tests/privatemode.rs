//! Privatemode through the whole client: chats, lost secrets, reset connections, renewal, changed manifests, many streams at
//! once, and every defect of the simulator.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::StreamExt;
use proveil_core::endpoint::ApiRequest;
use proveil_core::openai::ApiEndpoint;
use proveil_core::policy::Policy;
use proveil_core::report::{Level, Outcome as CheckOutcome, Verdict};
use proveil_core::{Code, Error, Result};
use proveil_testkit::sim::privatemode::models::{EMBEDDER, REASONER, VISION};
use proveil_testkit::sim::privatemode::{
    ATTEST_PATH, Defect, MANIFEST_PATH, SECRET_PATH, SimConfig, Simulator, Stage,
};
use proveil_testkit::sim::{Outcome, text};
use serde_json::{Value, json};

use super::{API_KEY, Desk, PROMPT, content};
use crate::{BaseUrl, ClientConfig, Event, MemoryPins, Provider, SecretText, TextField, TrustRoots};

const CHAT_PATH: &str = "/v1/chat/completions";
const NOW: u64 = 1_790_000_000;

pub(super) fn simulator(defects: &[Defect]) -> Simulator {
    Simulator::start(SimConfig {
        now: Some(NOW),
        api_key: Some(API_KEY.to_owned()),
        defects: defects.to_vec(),
        slow_start_ms: 1,
        ..SimConfig::default()
    })
    .unwrap()
}

pub(super) fn desk(sim: &Simulator) -> Desk {
    desk_with(sim, |_| ())
}

pub(super) fn desk_with(sim: &Simulator, change: impl FnOnce(&mut ClientConfig)) -> Desk {
    let mut config = ClientConfig::new(Provider::Privatemode, SecretText::new(API_KEY.to_owned()));
    config.base_url = Some(BaseUrl::parse(&sim.base_url()).unwrap());
    config.privatemode.amd_url = Some(BaseUrl::parse(&sim.kds_url()).unwrap());
    config.roots = TrustRoots::from_json(sim.trust_roots_json().as_bytes()).unwrap();
    change(&mut config);
    Desk::of(config, sim.now())
}

fn chat_body(model: &str, prompt: &str, stream: bool) -> String {
    json!({ "model": model, "stream": stream, "messages": [{ "role": "user", "content": prompt }] })
        .to_string()
}

async fn chat(desk: &Desk, prompt: &str) -> Result<String> {
    let mut stream = desk.client.chat(chat_body(VISION, prompt, true).as_bytes()).await?;
    content(&mut stream).await.map_err(|(_, error)| error)
}

pub(super) fn expected(prompt: &str) -> String {
    text::answer(prompt, false, 0, true).content
}

fn count(sim: &Simulator, path: &str) -> usize {
    sim.recorded().to_path(path).count()
}

/// The secret that each chat named.
fn secret_ids(sim: &Simulator) -> Vec<String> {
    let recorded = sim.recorded();
    let id = |headers: &[(String, String)]| {
        let header = headers.iter().find(|(name, _)| name == "privatemode-secret-id");
        header.map(|(_, id)| id.clone()).unwrap()
    };
    recorded.to_path(CHAT_PATH).map(|request| id(&request.headers)).collect()
}

/// Every sealed field of every chat that was sent, as it went over the wire.
fn sealed_fields(sim: &Simulator) -> Vec<String> {
    let mut fields = Vec::new();
    for request in sim.recorded().to_path(CHAT_PATH) {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let texts = body.as_object().unwrap().iter().filter(|(name, _)| *name != "model");
        fields.extend(texts.filter_map(|(_, value)| value.as_str()).map(str::to_owned));
    }
    fields
}

/// Nonces, ivs and ciphertexts of all fields: each ciphertext and iv once, each nonce in one request only.
fn assert_sealed_anew(sim: &Simulator, chats: usize) {
    let fields = sealed_fields(sim);
    let parts: Vec<Vec<&str>> = fields.iter().map(|field| field.split(':').collect()).collect();
    assert!(parts.len() > chats && parts.iter().all(|parts| parts.len() == 4), "{fields:?}");
    let distinct = |place: usize| parts.iter().map(|parts| parts[place]).collect::<BTreeSet<_>>().len();
    assert_eq!((distinct(1), distinct(2), distinct(3)), (chats, parts.len(), parts.len()));
}

/// All documents of an answer.
pub(super) async fn documents(desk: &Desk, request: ApiRequest<'_>) -> Vec<(String, Value)> {
    let mut stream = desk.client.send(&request).await.unwrap();
    let mut documents = Vec::new();
    while let Some(event) = stream.next().await {
        match event.unwrap() {
            Event::Document { name, json } => documents.push((name, serde_json::from_str(&json).unwrap())),
            other => panic!("{other:?}"),
        }
    }
    assert!(stream.receipt().unwrap().sealed_fields > 0);
    documents
}

#[tokio::test]
async fn chats_streamed_and_whole() {
    let sim = simulator(&[]);
    let desk = desk(&sim);
    for stream in [true, false] {
        let mut answer = desk.client.chat(chat_body(VISION, PROMPT, stream).as_bytes()).await.unwrap();
        assert_eq!(answer.report().verdict(), Verdict::Verified);
        assert_eq!(content(&mut answer).await.unwrap(), expected(PROMPT), "{stream}");
        let body = chat_body(VISION, PROMPT, stream);
        let request = ApiRequest::new(ApiEndpoint::ChatCompletions, None, body.as_bytes());
        let documents = documents(&desk, request).await;
        assert_eq!(documents.len() > 1, stream);
        if !stream {
            assert_eq!(documents[0].1["choices"][0]["message"]["content"], expected(PROMPT));
        }
    }
    // Reasoning is told apart.
    let mut stream = desk.client.chat(chat_body(REASONER, PROMPT, true).as_bytes()).await.unwrap();
    let (mut reasoning, mut answer) = (String::new(), String::new());
    while let Some(event) = stream.next().await {
        match event.unwrap() {
            Event::Text { field: TextField::Content, text, .. } => answer.push_str(&text),
            Event::Text { field: TextField::Reasoning, text, .. } => reasoning.push_str(&text),
            _ => {}
        }
    }
    let scripted = text::answer(PROMPT, true, 0, true);
    assert_eq!((Some(reasoning), answer), (scripted.reasoning, scripted.content));
    assert!(stream.verify_signature().await.is_err_and(|error| error.code() == Code::SignatureUnavailable));
    assert!(!sim.recorded().saw_in_clear("canary"), "neither prompt nor key in clear");
    assert_eq!((count(&sim, SECRET_PATH), count(&sim, ATTEST_PATH)), (2, 2), "one exchange for each model");
    let prompts = sim.recorded().prompts().iter().map(|prompt| (*prompt).to_owned()).collect::<Vec<_>>();
    assert_eq!(prompts, vec![PROMPT; 5]);
}

/// Input errors, before anything is sent to a model; and what the provider has no sealed form for.
#[tokio::test]
async fn what_cannot_be_sealed_is_not_sent() {
    let sim = simulator(&[]);
    let desk = desk(&sim);
    let plain = chat_body(VISION, PROMPT, true);
    let cases = [
        (
            ApiEndpoint::ChatCompletions,
            plain.replacen('{', r#"{"max_tokens":"canary","#, 1),
            Code::InvalidArgument,
        ),
        (ApiEndpoint::ChatCompletions, plain.replacen('{', r#"{"model":"m","#, 1), Code::DuplicateMember),
        (ApiEndpoint::ChatCompletions, plain.replacen('{', r#"{"cache_salt":"short","#, 1), Code::CacheSalt),
        (ApiEndpoint::Transcriptions, plain.clone(), Code::MalformedForm),
        (ApiEndpoint::Unstructured("/unstructured/a".to_owned()), plain.clone(), Code::InvalidArgument),
        (ApiEndpoint::Embeddings, format!(r#"{{"model":"{EMBEDDER}"}}"#), Code::InvalidArgument),
        (ApiEndpoint::Models, String::new(), Code::UnsupportedEndpoint),
    ];
    for (endpoint, body, code) in &cases {
        let request = ApiRequest::new(endpoint.clone(), None, body.as_bytes());
        let error = desk.client.send(&request).await.map(drop).unwrap_err();
        assert_eq!(error.code(), *code, "{endpoint:?} {body}: {error}");
        assert!(!error.to_string().contains("canary"), "{error}");
    }
    assert_eq!(sim.recorded().requests().filter(|request| request.opened.is_some()).count(), 0);
    assert!(!sim.recorded().saw_in_clear("canary"));
}

/// The workers lost the secret: one new exchange, shared by all who met it, and everything sealed anew (threats T33, T49).
#[tokio::test]
async fn a_lost_secret_is_exchanged_anew() {
    let sim = simulator(&[]);
    let desk = desk(&sim);
    chat(&desk, PROMPT).await.unwrap();
    sim.forget_secrets();
    assert_eq!(chat(&desk, PROMPT).await.unwrap(), expected(PROMPT));
    assert_eq!((count(&sim, CHAT_PATH), count(&sim, SECRET_PATH), count(&sim, ATTEST_PATH)), (3, 2, 2));
    assert_sealed_anew(&sim, 3);
    let ids = secret_ids(&sim);
    assert!(ids[0] == ids[1] && ids[1] != ids[2], "{ids:?}");

    sim.forget_secrets();
    let prompts: Vec<String> = (0..12).map(|i| format!("question {i}")).collect();
    let answers = futures_util::future::join_all(prompts.iter().map(|prompt| chat(&desk, prompt))).await;
    for (prompt, answer) in prompts.iter().zip(answers) {
        assert_eq!(answer.unwrap(), expected(prompt));
    }
    assert_eq!(count(&sim, SECRET_PATH), 3);
    assert_sealed_anew(&sim, 27);

    // Only once for each request.
    sim.clear_recorded();
    sim.set_defects(&[Defect::UnknownSecret]);
    assert_eq!(chat(&desk, PROMPT).await.unwrap_err().code(), Code::StaleKey);
    assert_eq!((count(&sim, CHAT_PATH), count(&sim, SECRET_PATH)), (2, 1));
    // If the new evidence does not hold, that is the error.
    sim.set_defects(&[Defect::UnknownSecret, Defect::ReportTampered]);
    assert_eq!(chat(&desk, PROMPT).await.unwrap_err().code(), Code::SnpSignature);
}

/// How often the provider is asked, and that a second try is sealed anew under the same secret.
#[tokio::test]
async fn retries_are_counted() {
    let cases = [
        (Defect::ResetOnce, None, 2),
        (Defect::ResetAlways, Some(Code::ConnectionFailed), 2),
        (Defect::RateLimited, Some(Code::UpstreamRateLimited), 2),
        (Defect::Unavailable, Some(Code::UpstreamUnavailable), 2),
        (Defect::PaymentRequired, Some(Code::UpstreamPayment), 1),
        (Defect::SealedError, Some(Code::UpstreamError), 1),
        (Defect::GpuRevoked, Some(Code::GpuStatusRefused), 1),
        (Defect::StreamCut, Some(Code::Truncated), 1),
        (Defect::ConnectionDrop, Some(Code::Truncated), 1),
    ];
    let sim = simulator(&[]);
    for (defect, code, chats) in cases {
        sim.set_defects(&[defect]);
        sim.clear_recorded();
        let result = chat(&desk(&sim), PROMPT).await;
        assert_eq!(result.map_err(|error| error.code()).err(), code, "{}", defect.name());
        assert_eq!((count(&sim, CHAT_PATH), count(&sim, SECRET_PATH)), (chats, 1), "{}", defect.name());
        assert_sealed_anew(&sim, chats);
    }
    for (defect, path) in [
        (Defect::ManifestDown, MANIFEST_PATH),
        (Defect::AttestDown, ATTEST_PATH),
        (Defect::SecretDown, SECRET_PATH),
    ] {
        sim.set_defects(&[defect]);
        sim.clear_recorded();
        assert!(chat(&desk(&sim), PROMPT).await.is_err());
        assert_eq!((count(&sim, path), count(&sim, CHAT_PATH)), (3, 0), "{}", defect.name());
    }
}

/// Gives the tasks behind the caller their turns until something is so.
async fn until(what: impl Fn() -> bool) {
    for _ in 0..2_000_000 {
        if what() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("it did not come about");
}

/// Renewed behind the caller before it ends, and never used after (threats T03, T22). The most that a policy gives a proof is 30 minutes.
#[tokio::test]
async fn a_secret_is_renewed_in_time() {
    let short = Policy::from_json(br#"{"schema":"proveil.policy/v1","max_age_s":1500}"#).unwrap();
    for (policy, life) in [(Policy::standard(), 1_800), (short, 1_500)] {
        let sim = simulator(&[]);
        let desk = desk_with(&sim, |config| config.policy = policy.clone());
        let advance = |seconds| {
            sim.advance(seconds);
            desk.clock.advance(seconds);
        };
        let first = desk.client.ready(VISION).await.unwrap();
        assert_eq!(first.not_after(), NOW + life);
        advance(life - 301);
        chat(&desk, PROMPT).await.unwrap();
        assert_eq!(count(&sim, SECRET_PATH), 1);

        // The renewal fails three times: nobody notices.
        advance(1);
        sim.set_defects(&[Defect::SecretDown]);
        chat(&desk, PROMPT).await.unwrap();
        until(|| count(&sim, SECRET_PATH) == 4).await;
        sim.set_defects(&[]);
        chat(&desk, PROMPT).await.unwrap();
        assert_eq!(count(&sim, SECRET_PATH), 4, "a pause after a failure");
        advance(30);
        chat(&desk, PROMPT).await.unwrap();
        until(|| count(&sim, SECRET_PATH) == 5).await;
        let mut renewed = desk.client.ready(VISION).await.unwrap();
        while Arc::ptr_eq(&first, &renewed) {
            tokio::task::yield_now().await;
            renewed = desk.client.ready(VISION).await.unwrap();
        }
        assert_eq!(renewed.not_after(), sim.now() + life);
        chat(&desk, PROMPT).await.unwrap();
        let ids = secret_ids(&sim);
        assert!(ids.len() == 5 && ids[..4].iter().all(|id| *id == ids[0]) && ids[4] != ids[0], "{ids:?}");

        // At its end it is not used any more, whether or not there is another.
        let request = chat_body(VISION, PROMPT, true);
        let stale = renewed.seal(request.as_bytes(), renewed.not_after(), &mut crate::random::OsRandom);
        assert_eq!(stale.map(drop).unwrap_err().code(), Code::ProofExpired);
        advance(life);
        sim.set_defects(&[Defect::SecretDown]);
        sim.clear_recorded();
        assert_eq!(chat(&desk, PROMPT).await.unwrap_err().code(), Code::SecretUnreachable);
        assert_eq!(count(&sim, CHAT_PATH), 0);
        sim.set_defects(&[]);
        chat(&desk, PROMPT).await.unwrap();
        assert_eq!(count(&sim, CHAT_PATH), 1);
    }
}

/// However long a policy believes evidence, an exchange is good for 45 minutes: the service forgets its secret after an hour.
#[tokio::test]
async fn a_secret_has_an_end_of_its_own() {
    let sim = simulator(&[]);
    let capture = desk(&sim).client.capture(VISION).await.unwrap();
    let roots = capture.bundle.custom_roots().cloned();
    for (age, verdict) in
        [(0, Verdict::Verified), (2_699, Verdict::Verified), (2_700, Verdict::Indeterminate)]
    {
        let (report, _) = capture.bundle.appraise(None, roots.as_ref(), Some(NOW + age));
        assert_eq!(report.verdict(), verdict, "{age}");
    }
}

/// T27: a manifest that is given, or a pin, refuses another release; without either it is followed, and the report says so.
#[tokio::test]
async fn a_changed_manifest() {
    let sim = simulator(&[]);
    let pins = Arc::new(MemoryPins::new());
    let given = sim.manifest();
    let following = desk(&sim);
    let pinned = desk_with(&sim, |config| config.pins = Some(pins.clone()));
    let expecting = desk_with(&sim, |config| config.privatemode.manifest = Some(given.clone()));
    pinned.client.pin(VISION).await.unwrap();

    let report = following.client.verify(VISION).await.unwrap();
    let open = |text: &&str| text.starts_with("Software identity");
    assert!(
        report.level() == Some(Level::L2)
            && report.not_proven().iter().map(|text| &**text).any(|text| open(&text))
    );
    sim.clear_recorded();
    let report = expecting.client.verify(VISION).await.unwrap();
    let reference = report.checks().iter().find(|check| check.id() == "software.reference").unwrap();
    assert_eq!((reference.outcome(), report.level()), (CheckOutcome::Pass, Some(Level::L3)));
    assert!(!report.not_proven().iter().map(|text| &**text).any(|text| open(&text)));
    assert_eq!(count(&sim, MANIFEST_PATH), 0, "nobody is asked for a manifest that is given");

    sim.set_defects(&[Defect::ManifestChanged]);
    sim.clear_recorded();
    assert_eq!(following.client.verify(VISION).await.unwrap().verdict(), Verdict::Verified);
    let cases = [
        (&expecting, Code::ManifestMismatch, "ReferenceValues.snp[0]"),
        (&pinned, Code::SoftwareChanged, "manifest"),
    ];
    for (desk, code, text) in cases {
        // The newest evidence says no: an older proof does not count any more.
        assert_eq!(desk.client.verify(VISION).await.unwrap().verdict(), Verdict::Refused);
        let error = chat(desk, PROMPT).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(error.message().contains(text), "{error}");
        assert!(error.report_json().unwrap().contains("refused"));
    }
    assert_eq!(count(&sim, CHAT_PATH), 0);
    // What is accepted by its digest works.
    let measured = pinned.client.measure(VISION).await.unwrap();
    let places: Vec<&str> = measured.differences.iter().map(crate::Difference::place).collect();
    for place in ["manifest", "launch measurement", "manifest ReferenceValues.snp[0].TrustedMeasurement"] {
        assert!(places.contains(&place), "{place} in {places:?}");
    }
    pinned.client.accept_pin(VISION, &measured.software.unwrap().sha256()).await.unwrap();
    assert_eq!(chat(&pinned, PROMPT).await.unwrap(), expected(PROMPT));
}

/// T32: interleaved answers of two clients open under their own request's session only, also while the secret changes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_streams_do_not_mix() {
    let sim = simulator(&[]);
    let desks = [desk(&sim), desk(&sim)];
    let run = |i: usize| {
        let desk = &desks[i % 2];
        let sim = &sim;
        async move {
            if i == 400 {
                sim.forget_secrets();
            }
            let canary = format!("canary-{i:04} is all that client {} may see", i % 2);
            assert_eq!(chat(desk, &format!("echo: {canary}")).await.unwrap(), canary);
        }
    };
    let finished = futures_util::stream::iter((0..1_000).map(run)).buffer_unordered(50).count().await;
    assert_eq!(finished, 1_000);
    let recorded = sim.recorded();
    assert!(!recorded.saw_in_clear("canary-"));
    let ids: BTreeSet<String> = secret_ids(&sim).into_iter().collect();
    assert_eq!(ids.len(), 4, "each client met one change");
}

/// A whole use of the client, and the text that came before an error.
async fn use_it(desk: &Desk, stream: bool) -> Result<String, (String, Error)> {
    let body = chat_body(VISION, PROMPT, stream);
    let mut answer = desk.client.chat(body.as_bytes()).await.map_err(|error| (String::new(), error))?;
    assert_eq!(answer.report().verdict(), Verdict::Verified);
    assert!(!answer.report().not_proven().is_empty(), "a report says what the protocol cannot show");
    let content = content(&mut answer).await?;
    assert!(answer.receipt().is_some());
    Ok(content)
}

#[tokio::test]
async fn every_defect_ends_as_it_should() {
    let sim = simulator(&[]);
    let mut wrong = Vec::new();
    for defect in Defect::all() {
        for stream in [true, false] {
            if !stream && defect.stage() != Stage::Answer {
                continue;
            }
            sim.set_defects(&[*defect]);
            sim.clear_recorded();
            let desk = desk(&sim);
            let got = use_it(&desk, stream).await;
            let code = got.as_ref().err().map(|(_, error)| error.code());
            let agrees = match defect.outcome() {
                Outcome::Works | Outcome::NotDetectable => {
                    got.as_ref().is_ok_and(|text| *text == expected(PROMPT))
                }
                // A whole answer has no events; without the member that every answer has it is cut.
                Outcome::Fails(Code::MalformedEvent) if !stream => {
                    let renamed = *defect == Defect::FieldRenamed;
                    code == Some(if renamed { Code::Truncated } else { Code::MalformedResponse })
                }
                Outcome::Fails(wanted) => code == Some(wanted),
            };
            if !agrees {
                wrong.push(format!("{} ({stream}): {:?}, got {got:?}", defect.name(), defect.outcome()));
            }
            assert!(!sim.recorded().saw_in_clear("canary-prompt"), "{}", defect.name());
            let proves = [Stage::Manifest, Stage::Attestation, Stage::Collateral, Stage::Exchange];
            if proves.contains(&defect.stage()) && code.is_some() {
                assert_eq!(count(&sim, CHAT_PATH), 0, "{}: nothing is sent without a proof", defect.name());
            }
            let Err((before, error)) = got else { continue };
            assert!(expected(PROMPT).starts_with(&before) && (stream || before.is_empty()), "{before}");
            let report = error.report_json().unwrap_or_default();
            let shown = format!("{error} {error:?} {:?} {report}", desk.client);
            assert!(!report.contains("without a catalogue entry"), "{}: {report}", defect.name());
            assert!(!shown.contains("canary-prompt") && !shown.contains(API_KEY), "{shown}");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// T58: whatever the verdict, a capture has everything that led to it, and no key.
#[tokio::test]
async fn every_verdict_can_be_kept_and_made_again() {
    for (defect, verdict) in [
        (None, Verdict::Verified),
        (Some(Defect::ReportTampered), Verdict::Refused),
        (Some(Defect::SecretSwapped), Verdict::Refused),
        (Some(Defect::VcekMissing), Verdict::Verified),
        (Some(Defect::KdsDown), Verdict::Indeterminate),
    ] {
        let sim = simulator(defect.as_slice());
        let capture = desk(&sim).client.capture(VISION).await.unwrap();
        assert_eq!(capture.report.verdict(), verdict, "{defect:?}");
        let text = capture.bundle.to_json();
        assert!(!text.contains(API_KEY));
        let read = crate::EvidenceBundle::from_json(text.as_bytes()).unwrap();
        let roots = read.custom_roots().cloned();
        let (again, result) = read.appraise(None, roots.as_ref(), None);
        assert_eq!(again.to_json(), capture.report.to_json(), "{defect:?}");
        let code = |result: &Result<()>| result.as_ref().err().map(Error::code);
        assert_eq!(code(&result), code(&capture.result));
    }
}

#[tokio::test]
async fn models_in_the_common_form() {
    let sim = simulator(&[]);
    let list: Value = serde_json::from_str(&desk(&sim).client.models_json().await.unwrap()).unwrap();
    let models = list["models"].as_array().unwrap();
    let find = |id: &str| models.iter().find(|model| model["id"] == id).unwrap();
    assert_eq!((&find(EMBEDDER)["tasks"], &find(VISION)["class"]), (&json!(["embed"]), &json!("e2ee")));
    assert_eq!((count(&sim, ATTEST_PATH), count(&sim, MANIFEST_PATH)), (0, 0));
    let recorded = sim.recorded();
    let listed = recorded.to_path("/v1/models").next().unwrap();
    let id = listed.headers.iter().find(|(name, _)| name == "privatemode-user-request-id");
    assert!(id.is_some_and(|(_, id)| id.starts_with("sdk_") && id.len() == 40), "{id:?}");
}
