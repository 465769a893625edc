//! Captures of Privatemode verifications: the same report again from both forms, the published schema, and hostile documents (threats
//! T27, T44, T55, T68).

#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic)]

mod drive;

use std::collections::BTreeSet;

use drive::loopback::Loopback;
use drive::{API_KEY, NOW, run_exchange};
use proveil_core::attest::TrustRoots;
use proveil_core::bundle::EvidenceBundle;
use proveil_core::endpoint::Outcome;
use proveil_core::http::BaseUrl;
use proveil_core::policy::Policy;
use proveil_core::provider::privatemode::{GpuRevocation, PrivatemodeOptions};
use proveil_core::provider::{Exchange, ExchangeConfig, Provider};
use proveil_core::report::{Report, Verdict};
use proveil_core::secret::SecretText;
use proveil_core::{Code, Error};
use proveil_testkit::forge::Random;
use proveil_testkit::sim::privatemode::models::VISION;
use proveil_testkit::sim::privatemode::{Defect, SimConfig, Simulator};
use serde_json::{Value, json};

const SCHEMA: &str = include_str!("../../docs/schema/proveil.evidence.v1.json");

fn capture(sim: &Simulator, options: PrivatemodeOptions) -> (Report, EvidenceBundle) {
    let url = |text: &str| Some(BaseUrl::parse(text).unwrap());
    let config = ExchangeConfig {
        provider: Provider::Privatemode,
        privatemode: PrivatemodeOptions { amd_url: url(&sim.kds_url()), ..options },
        model: VISION.to_owned(),
        base_url: url(&sim.base_url()),
        collateral_url: None,
        api_key: SecretText::new(API_KEY.to_owned()),
        policy: Policy::standard(),
        roots: TrustRoots::from_json(sim.trust_roots_json().as_bytes()).unwrap(),
        collateral: Vec::new(),
        endorsements: Vec::new(),
        nvidia_url: None,
        model_list: None,
    };
    let mut exchange = Exchange::new(config, &mut Random::from_seed([78; 32])).unwrap();
    let report = match run_exchange(&mut Loopback::new(), &mut exchange, NOW).unwrap() {
        Outcome::Verified(endpoint) => endpoint.report().clone(),
        Outcome::Refused(report, _) | Outcome::Indeterminate(report, _) => report,
    };
    (report, EvidenceBundle::of_exchange(&exchange).unwrap())
}

fn simulator() -> Simulator {
    let config = SimConfig {
        seed: Some([6; 32]),
        now: Some(NOW),
        api_key: Some(API_KEY.to_owned()),
        ..SimConfig::default()
    };
    Simulator::start(config).unwrap()
}

fn from_files(files: &[(String, Vec<u8>)]) -> Result<EvidenceBundle, Error> {
    EvidenceBundle::from_files(&mut |name, _| {
        let file = files.iter().find(|(known, _)| known == name);
        file.map(|(_, bytes)| bytes.clone()).ok_or_else(|| Error::new(Code::FileUnreadable).at(name))
    })
}

/// The report of the live verification, of the bundle, and of the bundle after either form was written and read, are the same bytes.
#[test]
fn the_same_report_again() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    assert!(jsonschema::meta::is_valid(&schema));
    let validator = jsonschema::validator_for(&schema).unwrap();
    let sim = simulator();
    let given = PrivatemodeOptions { manifest: Some(sim.manifest()), ..PrivatemodeOptions::default() };
    let mut verdicts = BTreeSet::new();
    for (defect, options) in [
        (None, PrivatemodeOptions::default()),
        (None, given.clone()),
        (None, lenient(0)),
        (None, lenient(5 * 3600)),
        (Some(Defect::ManifestChanged), given),
        (Some(Defect::ReportTampered), PrivatemodeOptions::default()),
        (Some(Defect::SecretSwapped), PrivatemodeOptions::default()),
        (Some(Defect::VcekMissing), PrivatemodeOptions::default()),
        (Some(Defect::CrlMissing), PrivatemodeOptions::default()),
        (Some(Defect::KdsDown), PrivatemodeOptions::default()),
    ] {
        sim.set_defects(defect.as_slice());
        let (report, bundle) = capture(&sim, options);
        let report = report.to_json();
        let text = bundle.to_json();
        let files: Vec<(String, Vec<u8>)> =
            bundle.to_files().into_iter().map(|file| (file.name, file.bytes)).collect();
        let read = EvidenceBundle::from_json(text.as_bytes()).unwrap();
        let unpacked = from_files(&files).unwrap_or_else(|error| panic!("{defect:?}: {error}"));
        assert_eq!((read.to_json(), unpacked.to_json()), (text.clone(), text.clone()), "{defect:?}");
        for again in [&bundle, &read, &unpacked] {
            let roots = again.custom_roots().cloned();
            let (again, result) = again.appraise(None, roots.as_ref(), None);
            assert_eq!(again.to_json(), report, "{defect:?}");
            assert_eq!(again.verdict() == Verdict::Verified, result.is_ok(), "{defect:?}");
            verdicts.insert(again.verdict().name());
        }
        // T68: the roots in a capture are not believed by themselves.
        assert_ne!(read.appraise(None, None, None).0.verdict(), Verdict::Verified, "{defect:?}");
        for document in [text.as_bytes(), &files[0].1] {
            let document: Value = serde_json::from_slice(document).unwrap();
            let problems: Vec<String> = validator.iter_errors(&document).map(|e| e.to_string()).collect();
            assert!(problems.is_empty(), "{defect:?}: {problems:?}");
        }
        for (file, bytes) in &files {
            assert!(!bytes.windows(7).any(|part| part == b"canary-"), "no key in {file}");
        }
    }
    assert_eq!(verdicts.len(), 3);
}

fn lenient(grace_s: u64) -> PrivatemodeOptions {
    let gpu_revocation = GpuRevocation::Lenient { grace_s };
    PrivatemodeOptions { gpu_revocation, allow_other_model: grace_s > 3600, ..PrivatemodeOptions::default() }
}

/// I4: what a client accepts beyond its default is in the report, in words, in every form.
#[test]
fn leniency_is_reported() {
    let sim = simulator();
    for (options, relaxations) in [
        (PrivatemodeOptions::default(), &[][..]),
        (lenient(0), &["workers' GPUs are accepted with an unknown revocation state"]),
        (
            lenient(90),
            &["workers' GPUs are accepted revoked for up to 90 s, or with an unknown revocation state"],
        ),
        (
            lenient(48 * 3600),
            &[
                "workers' GPUs are accepted revoked for up to 48 h, or with an unknown revocation state",
                "answers may name another model than the one asked for",
            ],
        ),
    ] {
        let (report, _) = capture(&sim, options);
        assert_eq!(report.verdict(), Verdict::Verified);
        assert_eq!(report.policy().relaxations, relaxations);
        let html = report.to_html();
        assert_eq!(html.contains("Weakened policy"), !relaxations.is_empty());
        let text = report.to_text().split_whitespace().collect::<Vec<_>>().join(" ");
        for words in relaxations {
            assert!(text.contains(words), "{text}");
            // Its apostrophe is escaped there.
            let after = words.split('\'').next_back().unwrap();
            assert!(html.contains(after) && report.to_ear_json().contains(after), "{words}");
        }
    }
}

/// T44: a document of another form is refused with the path, by the reader and by the published schema.
#[test]
fn hostile_documents() {
    let sim = simulator();
    sim.set_defects(&[Defect::VcekMissing]);
    let base: Value =
        serde_json::from_str(&capture(&sim, PrivatemodeOptions::default()).1.to_json()).unwrap();
    let validator = jsonschema::validator_for(&serde_json::from_str(SCHEMA).unwrap()).unwrap();
    assert!(validator.is_valid(&base));
    let invalid = Code::EvidenceInvalid;
    let long = "QUFB".repeat(2 * 1024 * 1024);
    let cases = [
        ("", Value::Null, invalid),
        ("", json!("text"), invalid),
        ("/manifest", Value::Null, invalid),
        ("/manifest", json!("?"), invalid),
        ("/manifest", json!(long), Code::LimitExceeded),
        ("/manifest_origin", Value::Null, invalid),
        ("/manifest_origin", json!("cdn"), invalid),
        ("/manifests", json!([]), invalid),
        ("/key_service", json!(1), invalid),
        ("/gpu_revocation_grace_s", json!("1"), invalid),
        ("/gpu_revocation_grace_s", json!(-1), invalid),
        ("/allow_other_model", json!(1), invalid),
        ("/key_service", json!("a".repeat(300)), Code::LimitExceeded),
        ("/endorsements", json!([]), invalid),
        ("/endorsements/vcek", json!(7), invalid),
        ("/endorsements/ark", json!(""), invalid),
        ("/exchange", json!([]), invalid),
        ("/exchange/public_key", Value::Null, invalid),
        ("/exchange/public_key", json!(long), Code::LimitExceeded),
        ("/exchange/answer", json!({"file": "answer.json"}), invalid),
        ("/exchange/asked_at", json!(-1), invalid),
        ("/exchange/secret", json!(""), invalid),
    ];
    for (place, value, code) in cases {
        let mut document = base.clone();
        let pointer = format!("/provider/privatemode{place}");
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let members = document.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        if value.is_null() {
            members.remove(name);
        } else {
            members.insert(name.to_owned(), value);
        }
        let error = EvidenceBundle::from_json(document.to_string().as_bytes()).unwrap_err();
        let path = pointer.trim_start_matches('/').replace('/', ".");
        assert_eq!((error.code(), error.check()), (code, Some(path.as_str())), "{error}");
        // A reference to a file is a matter of which form it is.
        if code == invalid && name != "answer" {
            assert!(!validator.is_valid(&document), "{pointer}");
        }
    }
    // The part belongs to this provider and to no other.
    let mut other = base;
    other["provider"]["name"] = json!("venice");
    let error = EvidenceBundle::from_json(other.to_string().as_bytes()).unwrap_err();
    assert_eq!((error.code(), error.check()), (invalid, Some("provider.privatemode")));
    assert!(!validator.is_valid(&other));
}
