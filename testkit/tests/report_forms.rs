//! The forms of a report, over everything that the forge can make of an attestation answer: the published schema, the EAR attestation
//! result as Veraison's own library reads it, and what both must not claim (attestation.md 4.4; threats T08, T13, T68).

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used
)]

mod drive;

use std::collections::BTreeSet;

use drive::local::{BASE_URL, Scene};
use drive::{MODEL, NOW};
use ear::{Algorithm, Appraisal, Ear, TrustTier};
use proveil_core::evidence::TdxCollateral;
use proveil_core::policy::Policy;
use proveil_core::provider::{
    EvidenceInput, Provider, RecordedReport, ReportShape, appraise, appraise_report,
};
use proveil_core::report::{Document, EarKey, Report, Verdict};
use proveil_core::secret::Secret;
use proveil_core::wire::json::Json;
use proveil_testkit::sim::{Defect, QuoteEncoding, Shape, Stage};
use serde_json::{Value, json};

const NONCE: [u8; 32] = [0xa7; 32];
const SCHEMA: &str = include_str!("../../docs/schema/proveil.report.v1.json");

fn judge(scene: &Scene, answer: &str, collateral: &[TdxCollateral], policy: &Policy, at: u64) -> Report {
    let input = EvidenceInput {
        provider: Provider::Venice,
        model: Some(MODEL),
        response: answer.as_bytes(),
        nonce: NONCE,
        collateral,
    };
    appraise(&input, policy, &scene.roots(), at).0
}

fn answer(scene: &Scene, shape: Shape, version: u16, defects: &BTreeSet<Defect>) -> String {
    scene.answer(shape, QuoteEncoding::Hex, version, defects, NONCE)
}

/// A report of the honest answer, or with one defect.
fn report(scene: &Scene, defect: Option<Defect>, policy: &Policy) -> Report {
    let defects: BTreeSet<Defect> = defect.into_iter().collect();
    let collateral = [scene.collateral(&defects)];
    judge(scene, &answer(scene, Shape::Near, 4, &defects), &collateral, policy, NOW)
}

/// Reference values for everything that the guest measures.
fn references(scene: &Scene) -> Policy {
    let honest = report(scene, None, &Policy::standard());
    let fact = |name: &str| honest.facts().iter().find(|fact| fact.name == name).unwrap().value.clone();
    let document = json!({ "schema": "proveil.policy/v1", "software": {
        "mr_td": [fact("tdx.mr_td")], "rtmr0": [fact("tdx.rtmr0")], "rtmr1": [fact("tdx.rtmr1")],
        "rtmr2": [fact("tdx.rtmr2")], "compose_hash": [fact("dstack.compose_hash")] } });
    Policy::from_json(document.to_string().as_bytes()).unwrap()
}

fn relaxed() -> Policy {
    let document =
        json!({ "schema": "proveil.policy/v1", "advisory_checks": ["tdx.tcb.status", "eventlog.replay"] });
    Policy::from_json(document.to_string().as_bytes()).unwrap()
}

/// A gateway's report with one model node, from two answers.
fn gateway(scene: &Scene, shape: ReportShape, defects: &BTreeSet<Defect>) -> Report {
    let node = Json::parse(answer(scene, Shape::Near, 4, defects).as_bytes()).unwrap();
    let response = match shape {
        ReportShape::NearGateway => Json::Object(vec![
            ("gateway_attestation".to_owned(), node.clone()),
            ("model_attestations".to_owned(), Json::Array(vec![node])),
        ]),
        _ => node,
    };
    let (response, collateral) = (response.to_compact(), [scene.collateral(defects)]);
    let recorded = RecordedReport {
        shape,
        response: response.as_bytes(),
        instances: None,
        nonce: NONCE,
        collateral: &collateral,
    };
    appraise_report(&recorded, &Policy::standard(), &scene.roots(), NOW).0
}

/// Reports of every kind, each with a name.
fn every_report() -> Vec<(String, Report)> {
    let scene = Scene::new(2);
    let honest = BTreeSet::new();
    let collateral = || [scene.collateral(&honest)];
    let mut out = Vec::new();
    for shape in [Shape::Near, Shape::Aci] {
        for version in [4, 5] {
            let text = answer(&scene, shape, version, &honest);
            out.push((
                format!("{shape:?} {version}"),
                judge(&scene, &text, &collateral(), &Policy::standard(), NOW),
            ));
        }
    }
    for defect in Defect::all() {
        if matches!(defect.stage(), Stage::Attestation | Stage::Collateral) {
            out.push((defect.name().to_owned(), report(&scene, Some(*defect), &Policy::standard())));
            out.push((format!("{} relaxed", defect.name()), report(&scene, Some(*defect), &relaxed())));
        }
    }
    for policy in [Policy::strict(), references(&scene), relaxed()] {
        out.push((policy.name().to_owned(), report(&scene, None, &policy)));
    }
    for shape in [ReportShape::NearGateway, ReportShape::Node, ReportShape::DstackGuest] {
        out.push((format!("{shape:?}"), gateway(&scene, shape, &honest)));
        let defects = BTreeSet::from([Defect::TamperedQuote]);
        out.push((format!("{shape:?} tampered"), gateway(&scene, shape, &defects)));
    }
    let text = answer(&scene, Shape::Near, 4, &honest);
    out.push(("no collateral".to_owned(), judge(&scene, &text, &[], &Policy::standard(), NOW)));
    for (name, text) in
        [("empty", ""), ("not json", "<html>"), ("error", "{\"error\":\"x\"}"), ("object", "{}")]
    {
        out.push((name.to_owned(), judge(&scene, text, &collateral(), &Policy::standard(), NOW)));
    }
    for at in [0, NOW - 400 * 86_400, NOW + 400 * 86_400, u64::MAX] {
        let at = at.min(253_402_300_799);
        out.push((
            format!("at {at}"),
            judge(&scene, &text_of(&scene), &collateral(), &Policy::standard(), at),
        ));
    }
    out
}

fn text_of(scene: &Scene) -> String {
    answer(scene, Shape::Near, 4, &BTreeSet::new())
}

#[test]
fn every_report_is_of_the_published_schema_and_comes_back_byte_for_byte() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    assert!(jsonschema::meta::is_valid(&schema));
    let validator = jsonschema::validator_for(&schema).unwrap();
    let (first, second) = (every_report(), every_report());
    let mut verdicts = BTreeSet::new();
    for ((name, report), (_, again)) in first.iter().zip(&second) {
        let json = report.to_json();
        assert_eq!(json, again.to_json(), "{name}: not deterministic");
        let value: Value = serde_json::from_str(&json).unwrap();
        let problems: Vec<String> = validator
            .iter_errors(&value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(problems.is_empty(), "{name}: {problems:?}");
        let read = Document::from_json(json.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((&read, read.to_json()), (&**report, json), "{name}");
        for (one, other) in [
            (read.to_html(), report.to_html()),
            (read.to_svg(), report.to_svg()),
            (read.to_ear_json(), report.to_ear_json()),
            (read.to_text(), report.to_text()),
        ] {
            assert_eq!(one, other, "{name}");
        }
        assert!(report.to_text().lines().all(|line| line.chars().count() <= 80), "{name}");
        verdicts.insert(report.verdict().name());
    }
    assert_eq!(verdicts.len(), 3, "every verdict is among {} reports", first.len());
    println!("{} reports", first.len());
}

#[test]
fn the_schema_refuses_what_is_no_report() {
    let validator = jsonschema::validator_for(&serde_json::from_str(SCHEMA).unwrap()).unwrap();
    let scene = Scene::new(1);
    let good: Value = serde_json::from_str(&report(&scene, None, &Policy::standard()).to_json()).unwrap();
    assert!(validator.is_valid(&good));
    let changes = [
        ("/schema", json!("proveil.report/v2")),
        ("/verdict", json!("ok")),
        ("/verdict", json!("refused")),
        ("/roots", json!("vendor")),
        ("/valid_until", Value::Null),
        ("/checks/0/outcome", json!("passed")),
        ("/policy/sha256", json!("00")),
        ("/headline", json!("VERIFIED\n")),
        ("/nonce", json!("xyz")),
        ("/checked_at", json!("now")),
    ];
    for (path, value) in changes {
        let mut report = good.clone();
        *report.pointer_mut(path).unwrap() = value;
        assert!(!validator.is_valid(&report), "{path}");
    }
    for holder in ["", "/policy", "/checks/0", "/platforms/0"] {
        let mut report = good.clone();
        report.pointer_mut(holder).unwrap().as_object_mut().unwrap().insert("more".to_owned(), json!(1));
        assert!(!validator.is_valid(&report), "{holder}");
    }
}

/// The private scalar 1.
fn key() -> EarKey {
    let mut scalar = [0; 32];
    scalar[31] = 1;
    EarKey::new(Secret::take(&mut scalar)).unwrap()
}

/// The report as Veraison's library reads its signed form.
fn ear_of(document: &Document) -> Ear {
    let key = key();
    let token = document.to_ear_jwt(&key).unwrap();
    Ear::from_jwt_jwk(&token, Algorithm::ES256, key.public_jwk().as_bytes()).unwrap()
}

#[test]
fn the_public_ear_library_accepts_every_report() {
    for (name, report) in every_report() {
        if report.checked_at() == 0 {
            // The library takes an `iat` of 1970 for one that is not set.
            continue;
        }
        let plain: Ear =
            serde_json::from_str(&report.to_ear_json()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let ear = ear_of(&report);
        assert_eq!(ear, plain, "{name}");
        assert_eq!(ear.profile, ear::EAR_PROFILE);
        assert_eq!(ear.iat, i64::try_from(report.checked_at()).unwrap());
        assert_eq!(ear.vid.build, report.library());
        let nonce = report.nonce().map(|hex| const_hex::decode(hex).unwrap());
        assert_eq!(ear.nonce, nonce.map(|nonce| ear::Nonce::try_from(nonce.as_slice()).unwrap()), "{name}");
        // Nothing that is not verified reads as trustworthy, and nothing under custom roots does (T68).
        let overall = ear.status.unwrap();
        match report.verdict() {
            Verdict::Refused => assert_eq!(overall, TrustTier::Contraindicated, "{name}"),
            Verdict::Indeterminate => assert_ne!(overall, TrustTier::Affirming, "{name}"),
            Verdict::Verified => assert_eq!(overall, TrustTier::Contraindicated, "{name}: custom roots"),
        }
        for (submod, appraisal) in &ear.submods {
            assert_ne!(appraisal.status, TrustTier::Affirming, "{name} {submod}");
        }
    }
}

#[test]
fn a_token_of_another_key_or_with_a_changed_byte_is_not_accepted() {
    let scene = Scene::new(1);
    let document = report(&scene, None, &Policy::standard());
    let token = document.to_ear_jwt(&key()).unwrap();
    let other = EarKey::new(Secret::take(&mut [9; 32])).unwrap();
    assert!(Ear::from_jwt_jwk(&token, Algorithm::ES256, other.public_jwk().as_bytes()).is_err());
    let changed = token.replacen("eyJ", "eyK", 1);
    assert!(Ear::from_jwt_jwk(&changed, Algorithm::ES256, key().public_jwk().as_bytes()).is_err());
    let (head, signature) = token.rsplit_once('.').unwrap();
    let unsigned = format!("{head}.");
    assert!(Ear::from_jwt_jwk(&unsigned, Algorithm::ES256, key().public_jwk().as_bytes()).is_err());
    assert_eq!(signature.len(), 86, "r and s, 64 bytes");
    for bad in [[0; 32], [0xff; 32]] {
        assert!(EarKey::new(Secret::take(&mut bad.clone())).is_err());
    }
}

/// The same record as if the vendors' roots had been used: a record can be edited, which is why nothing trusts one.
fn as_vendor(report: &Report) -> Document {
    let mut value: Value = serde_json::from_str(&report.to_json()).unwrap();
    value["roots"] = json!("vendor");
    value["headline"] = json!(report.headline().replacen(" against CUSTOM roots", "", 1));
    Document::from_json(value.to_string().as_bytes()).unwrap()
}

fn vector(appraisal: &Appraisal) -> Vec<(&'static str, i8)> {
    let vector = &appraisal.trust_vector;
    [
        ("instance-identity", vector.instance_identity.get()),
        ("configuration", vector.configuration.get()),
        ("executables", vector.executables.get()),
        ("file-system", vector.file_system.get()),
        ("hardware", vector.hardware.get()),
        ("runtime-opaque", vector.runtime_opaque.get()),
        ("storage-opaque", vector.storage_opaque.get()),
        ("sourced-data", vector.sourced_data.get()),
    ]
    .into_iter()
    .filter(|(_, value)| *value != 0)
    .collect()
}

/// Overall status, then each environment with its status and claims.
type Expected<'a> = (TrustTier, &'a [(&'a str, TrustTier, &'a [(&'a str, i8)])]);

fn check(name: &str, document: &Document, (overall, environments): Expected<'_>) {
    let ear = ear_of(document);
    assert_eq!(ear.status, Some(overall), "{name}");
    for (submod, status, claims) in environments {
        let appraisal = ear.submods.get(*submod).unwrap_or_else(|| panic!("{name}: no {submod}: {ear:?}"));
        assert_eq!((appraisal.status, vector(appraisal).as_slice()), (*status, *claims), "{name}: {submod}");
    }
}

#[test]
fn ear_values_are_those_of_what_was_looked_at() {
    use TrustTier::{Affirming, Contraindicated, None, Warning};
    let scene = Scene::new(2);
    let genuine: &[(&str, i8)] =
        &[("instance-identity", 2), ("configuration", 3), ("hardware", 2), ("runtime-opaque", 2)];
    let answered: &[(&str, i8)] = &[("instance-identity", 2)];
    let standard = Policy::standard();

    // T08, T13: software and GPUs that nothing was compared with have no status, and so has the whole.
    let honest = report(&scene, Option::None, &standard);
    let parts: &[_] = &[
        ("cpu", Affirming, genuine),
        ("app", None, &[][..]),
        ("gpu-0", None, answered),
        ("gpu-1", None, answered),
    ];
    check("honest", &as_vendor(&honest), (None, parts));
    assert_eq!(ear_of(&as_vendor(&honest)).submods.len(), 4);
    let named = report(&scene, Option::None, &references(&scene));
    let measured: &[(&str, i8)] = &[("executables", 3), ("file-system", 2)];
    check(
        "references",
        &as_vendor(&named),
        (None, &[("cpu", Affirming, genuine), ("app", Affirming, measured)]),
    );

    // T68: under roots of the caller nothing is recognised.
    let strange: &[(&str, i8)] = &[("instance-identity", 97), ("hardware", 97)];
    let strange_gpu: &[(&str, i8)] = &[("instance-identity", 97), ("hardware", 97)];
    let parts: &[_] = &[("cpu", Contraindicated, strange), ("gpu-0", Contraindicated, strange_gpu)];
    check("custom roots", &honest, (Contraindicated, parts));
    let parts: &[_] = &[("cpu", Contraindicated, strange), ("app", None, &[][..])];
    check("references under custom roots", &named, (Contraindicated, parts));

    let cpu: &[(Defect, &[(&str, i8)])] = &[
        (Defect::TamperedQuote, &[("hardware", 99)]),
        (Defect::LookalikeRoot, &[("hardware", 99)]),
        (Defect::TruncatedQuote, &[("hardware", 97)]),
        (Defect::PckRevoked, &[("hardware", 96)]),
        (
            Defect::KeySwap,
            &[("instance-identity", 99), ("configuration", 3), ("hardware", 2), ("runtime-opaque", 2)],
        ),
        (
            Defect::NonceEchoOnly,
            &[("instance-identity", 99), ("configuration", 3), ("hardware", 2), ("runtime-opaque", 2)],
        ),
        (
            Defect::DebugTd,
            &[("instance-identity", 2), ("configuration", 96), ("hardware", 2), ("runtime-opaque", 96)],
        ),
        (
            Defect::MigratableTd,
            &[("instance-identity", 2), ("configuration", 96), ("hardware", 2), ("runtime-opaque", 2)],
        ),
        (Defect::TcbOutOfDate, &[("configuration", 3), ("hardware", 96)]),
        (Defect::VerifiedFalse, genuine),
        (Defect::ModelMismatch, genuine),
    ];
    for (defect, claims) in cpu {
        let refused = as_vendor(&report(&scene, Some(*defect), &standard));
        check(defect.name(), &refused, (Contraindicated, &[("cpu", Contraindicated, claims)]));
    }
    let app: &[(Defect, &[(&str, i8)])] = &[
        (Defect::EventLogReordered, &[("executables", 99)]),
        (Defect::ComposeEdited, &[("file-system", 96)]),
        (Defect::MeasurementCopy, &[]),
    ];
    for (defect, claims) in app {
        let refused = as_vendor(&report(&scene, Some(*defect), &standard));
        let parts: &[_] = &[("cpu", Affirming, genuine), ("app", Contraindicated, claims)];
        check(defect.name(), &refused, (Contraindicated, parts));
    }
    let gpu: &[(Defect, &[(&str, i8)])] = &[
        (Defect::GpuBadSignature, &[("hardware", 99)]),
        (Defect::GpuOtherNonce, &[("instance-identity", 99)]),
        (Defect::GpuMissing, &[("hardware", 99)]),
    ];
    for (defect, claims) in gpu {
        let refused = as_vendor(&report(&scene, Some(*defect), &standard));
        check(defect.name(), &refused, (Contraindicated, &[("gpu-0", Contraindicated, claims)]));
    }

    // Other software than the policy names is unrecognised, and refused.
    let mut other = serde_json::from_str::<Value>(&references(&scene).to_json()).unwrap();
    other["software"]["mr_td"] = json!(["00".repeat(48)]);
    let other = Policy::from_json(other.to_string().as_bytes()).unwrap();
    let refused = as_vendor(&report(&scene, Option::None, &other));
    check("other software", &refused, (Contraindicated, &[("app", Contraindicated, &[("executables", 33)])]));

    // What could not be made is no claim.
    for defect in [Defect::CollateralExpired, Defect::CrlExpired] {
        let open = as_vendor(&report(&scene, Some(defect), &standard));
        assert_eq!(open.verdict(), Verdict::Indeterminate);
        check(defect.name(), &open, (None, &[("cpu", None, &[][..])]));
    }

    // A known weakness that the policy accepts is a warning, however the policy says it.
    let weak: &[(&str, i8)] =
        &[("instance-identity", 2), ("configuration", 3), ("hardware", 32), ("runtime-opaque", 2)];
    let advisory = report(&scene, Some(Defect::TcbOutOfDate), &relaxed());
    assert_eq!(advisory.verdict(), Verdict::Verified);
    check("advisory", &as_vendor(&advisory), (None, &[("cpu", Warning, weak)]));
}

#[test]
fn a_gateway_and_its_node_are_different_environments() {
    let scene = Scene::new(1);
    let report = gateway(&scene, ReportShape::NearGateway, &BTreeSet::new());
    assert_eq!(report.verdict(), Verdict::Verified);
    let ear = ear_of(&as_vendor(&report));
    let names: Vec<&str> = ear.submods.keys().map(String::as_str).collect();
    assert_eq!(names, ["cpu", "gateway-app", "gateway-cpu", "model-app", "model-cpu", "model-gpu-0"]);
    assert_eq!(report.platforms().len(), 2);
    assert!(report.to_html().contains("gateway: Intel TDX"));
}

#[test]
fn the_recheck_command_names_what_was_used() {
    let scene = Scene::new(1);
    let standard = report(&scene, None, &Policy::standard());
    let command = standard.recheck().unwrap();
    assert_eq!(
        command,
        format!(
            "proveil verify venice --model {MODEL} --response RESPONSE.json --nonce {} --collateral COLLATERAL --at {NOW} \
             --policy standard --trust-roots ROOTS.json",
            "a7".repeat(32)
        )
    );
    let custom = report(&scene, None, &references(&scene));
    assert!(custom.recheck().unwrap().contains("--policy POLICY.json"));
    // A policy that only borrows a preset's name is not that preset.
    let named = report(&scene, None, &references(&scene).named("standard"));
    assert!(named.recheck().unwrap().contains("--policy POLICY.json"));
    assert!(!standard.base_url().is_empty() && !standard.to_text().contains(BASE_URL));
}
