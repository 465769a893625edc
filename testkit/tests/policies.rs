//! What a policy changes in a verdict, over the forge's material and without sockets: presets, references, relaxations, patch status,
//! evaluation numbers, ages and clocks, and how a verdict under custom roots is worded (threats.md T03, T08, T12, T16, T17, T22, T68).

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used
)]

mod drive;

use std::collections::BTreeSet;

use drive::local::{Local, Scene};
use drive::{NOW, body, verify};
use proveil_core::attest::TrustRoots;
use proveil_core::claims::TcbStatus;
use proveil_core::endpoint::Outcome;
use proveil_core::policy::Policy;
use proveil_core::report::{Check, Enforcement, Level, Outcome as Found, Report, Verdict, catalogue};
use proveil_core::{Class, Code, Error};
use proveil_testkit::forge::{CollateralSpec, DAY_S, Random};
use proveil_testkit::sim::{Defect, Shape, Stage};
use serde_json::{Value, json};

fn policy(members: Value) -> Policy {
    let mut document = json!({ "schema": "proveil.policy/v1" });
    document.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    Policy::from_json(document.to_string().as_bytes()).unwrap_or_else(|error| panic!("{error}: {document}"))
}

fn judge_with(scene: &Scene, policy: Policy, at: u64, change: impl FnOnce(&mut Local<'_>)) -> Outcome {
    let mut host = scene.host();
    change(&mut host);
    let mut setup = scene.setup();
    (setup.policy, setup.at) = (policy, at);
    verify(&mut host, &mut setup).unwrap()
}

fn judge(scene: &Scene, policy: Policy, defects: &[Defect]) -> (Report, Option<Error>) {
    let defects: BTreeSet<Defect> = defects.iter().copied().collect();
    let outcome = judge_with(scene, policy, NOW, |host| host.defects = defects);
    (outcome.report().clone(), outcome.into_result().err())
}

fn with_collateral(
    scene: &Scene,
    policy: Policy,
    edit: impl FnOnce(&mut CollateralSpec),
) -> (Report, Option<Error>) {
    let mut spec = scene.world.collateral_spec();
    edit(&mut spec);
    let outcome =
        judge_with(scene, policy, NOW, |host| host.collateral = Some(spec.sign(&scene.world.intel)));
    (outcome.report().clone(), outcome.into_result().err())
}

fn check<'a>(report: &'a Report, id: &str) -> &'a Check {
    let found: Vec<&Check> = report.checks().iter().filter(|check| check.id() == id).collect();
    assert_eq!(found.len(), 1, "{id} in {}", report.to_text());
    found[0]
}

/// Reference values of the scene's guest, by the name of the policy's member, and a wrong one of the same length.
fn references(scene: &Scene) -> Vec<(&'static str, String, String)> {
    let guest = &scene.world.guest;
    let body = guest.body([0; 64]);
    let values: [(&str, Vec<u8>); 7] = [
        ("mr_td", body.mr_td.to_vec()),
        ("rtmr0", body.rtmr[0].to_vec()),
        ("rtmr1", body.rtmr[1].to_vec()),
        ("rtmr2", body.rtmr[2].to_vec()),
        ("compose_hash", guest.app.compose_hash().to_vec()),
        ("os_image_hash", guest.app.os_image_hash.to_vec()),
        ("app_id", guest.app.app_id.to_vec()),
    ];
    let row = |(name, value): (&'static str, Vec<u8>)| {
        let mut wrong = value.clone();
        wrong[0] ^= 1;
        (name, const_hex::encode(value), const_hex::encode(wrong))
    };
    values.into_iter().map(row).collect()
}

/// T08: without references the software is not proven; with them it is, or the enclave is refused; what is not compared is not
/// claimed.
#[test]
fn presets_and_references() {
    type Row = (&'static str, Policy, Result<Level, (Code, &'static str)>);
    let scene = Scene::new(1);
    let references = references(&scene);
    let right: serde_json::Map<String, Value> =
        references.iter().map(|(name, value, _)| ((*name).to_owned(), json!([value]))).collect();
    let right = Value::Object(right);
    let mut rows: Vec<Row> = vec![
        ("standard", Policy::standard(), Ok(Level::L2)),
        ("strict", Policy::strict(), Err((Code::RequiredEvidenceMissing, "software.reference"))),
        ("all references", policy(json!({ "software": right })), Ok(Level::L3)),
        (
            "strict, all references",
            policy(json!({ "extends": "strict", "software": right })),
            Err((Code::RequiredCheckNotMade, "gpu.bound")),
        ),
        (
            "strict, all references, GPU measurements given up",
            policy(
                json!({ "extends": "strict", "software": right, "gpu": { "require_measurements": false } }),
            ),
            Ok(Level::L3),
        ),
        (
            "GPU measurements alone",
            policy(json!({ "gpu": { "require_measurements": true } })),
            Err((Code::RequiredCheckNotMade, "gpu.bound")),
        ),
        (
            "a reference required, none given",
            policy(json!({ "software": { "require_reference": true } })),
            Err((Code::RequiredEvidenceMissing, "software.reference")),
        ),
    ];
    for (name, value, wrong) in &references {
        rows.push((name, policy(json!({ "software": { *name: [wrong, value] } })), Ok(Level::L3)));
        let refused = Err((Code::MeasurementRefused, "software.reference"));
        rows.push((name, policy(json!({ "software": { *name: [wrong] } })), refused));
    }
    for (name, policy, expected) in rows {
        let has_references = !policy.references().is_empty();
        let (report, error) = judge(&scene, policy, &[]);
        println!("{name}: {}", report.headline());
        let not_proven = report.not_proven().join("\n");
        assert_eq!(not_proven.contains("Software identity"), !has_references, "{name}: {not_proven}");
        match expected {
            Ok(level) => {
                assert_eq!((error, report.level()), (None, Some(level)), "{name}");
                let missing = report.missing_to_next_level().unwrap();
                assert!(missing.contains(if level == Level::L2 { "not proven" } else { "GPU" }), "{missing}");
            }
            Err((code, id)) => {
                let error = error.unwrap();
                assert_eq!((error.code(), error.check()), (code, Some(id)), "{name}: {error}");
                let verdict = if code.class() == Class::Indeterminate {
                    Verdict::Indeterminate
                } else {
                    Verdict::Refused
                };
                assert_eq!((report.verdict(), report.level()), (verdict, None), "{name}");
            }
        }
    }
}

/// Checks that may be advisory, each with a defect that it stands for and the level that is left.
const RELAXABLE: &[(&str, Option<Defect>, Level)] = &[
    ("tdx.tcb.status", Some(Defect::TcbOutOfDate), Level::L1),
    ("tdx.tcb.evaluation_number", Some(Defect::EvalNumberRollback), Level::L1),
    ("tdx.attributes.sept_ve_disable", None, Level::L2),
    ("tdx.attributes.perfmon", None, Level::L2),
    ("tdx.service_td", Some(Defect::ServiceTd), Level::L1),
    ("eventlog.parse", None, Level::L2),
    ("eventlog.digest", Some(Defect::EventLogPayload), Level::L2),
    ("eventlog.replay", Some(Defect::EventLogReordered), Level::L2),
    ("eventlog.events", Some(Defect::EventLogDuplicate), Level::L2),
    ("compose_hash", Some(Defect::ComposeEdited), Level::L2),
    ("mr_config_id", Some(Defect::OtherConfigId), Level::L2),
    ("tcb_info", Some(Defect::MeasurementCopy), Level::L2),
    ("cm.quote", None, Level::L2),
    ("cm.binding", Some(Defect::ComposeManager), Level::L2),
    ("cm.same_td", None, Level::L2),
    ("ohttp.key_config", None, Level::L2),
    ("ohttp.signature", Some(Defect::OhttpKey), Level::L2),
    ("gpu.missing", Some(Defect::GpuMissing), Level::L2),
    ("gpu.parse", None, Level::L2),
    ("gpu.spdm", None, Level::L2),
    ("gpu.nonce", Some(Defect::GpuOtherNonce), Level::L2),
    ("gpu.chain", Some(Defect::GpuLookalikeRoot), Level::L2),
    ("gpu.signature", Some(Defect::GpuBadSignature), Level::L2),
    ("gpu.opaque", None, Level::L2),
    ("gpu.fwid", Some(Defect::GpuFirmwareId), Level::L2),
    ("gpu.duplicate", Some(Defect::GpuDuplicate), Level::L2),
    ("gpu.topology", None, Level::L2),
];

/// I4: a relaxation is named, listed, and lets exactly its own check fail.
#[test]
fn advisory_checks() {
    let scene = Scene::new(2);
    for (id, defect, level) in RELAXABLE {
        let relaxed = policy(json!({ "advisory_checks": [id] }));
        let Some(defect) = defect else { continue };
        let (_, error) = judge(&scene, Policy::standard(), &[*defect]);
        assert!(error.is_some(), "{id}");
        let (report, error) = judge(&scene, relaxed, &[*defect]);
        assert_eq!((error, report.level()), (None, Some(*level)), "{id}: {}", report.to_text());
        let relaxed = check(&report, id);
        assert_eq!((relaxed.outcome(), relaxed.enforcement()), (Found::Fail, Enforcement::Advisory), "{id}");
        assert!(report.policy().relaxations.contains(&format!("check {id} is advisory")), "{id}");
        assert!(report.to_text().contains(&format!("relaxed: check {id} is advisory")), "{id}");
    }
}

/// No policy relaxes a signature, a chain, the freshness or the key; nor a revoked platform.
#[test]
fn what_cannot_be_relaxed() {
    let accepted: BTreeSet<&str> = catalogue::ids()
        .filter(|id| {
            let document = json!({ "schema": "proveil.policy/v1", "advisory_checks": [id] }).to_string();
            match Policy::from_json(document.as_bytes()) {
                Ok(_) => true,
                Err(error) => {
                    assert_eq!(error.code(), Code::PolicyInvalid);
                    false
                }
            }
        })
        .collect();
    assert_eq!(accepted, RELAXABLE.iter().map(|(id, _, _)| *id).collect());

    let scene = Scene::new(2);
    let everything: Vec<&str> = RELAXABLE.iter().map(|(id, _, _)| *id).collect();
    let loosest = policy(json!({
        "advisory_checks": everything,
        "tdx": {
            "accepted_tcb_statuses": TcbStatus::ALL.map(TcbStatus::word).into_iter().filter(|word| *word != "Revoked").collect::<Vec<_>>(),
            "accepted_advisories": ["INTEL-SA-00837", "INTEL-SA-01036", "INTEL-SA-01099"],
            "min_tcb_evaluation_data_number": 0,
            "require_sept_ve_disable": false,
            "allow_perfmon": true,
            "allow_service_td": true,
        },
        "gpu": { "evidence": "off", "minimum": 0 },
        "request": { "allow_clear_stop": true, "allow_whitespace_plaintext": true },
    }));
    assert!(loosest.relaxations().len() > RELAXABLE.len() + 8, "{:?}", loosest.relaxations());
    let relaxed: BTreeSet<Defect> = RELAXABLE.iter().filter_map(|(_, defect, _)| *defect).collect();
    // These show in the server, in a chat, or only under a reference value.
    let elsewhere = [
        Defect::AttestationFailsTwice,
        Defect::AttestationDown,
        Defect::DivertedEnclave,
        Defect::EventLogMissing,
        Defect::SoftwareUpdated,
        Defect::CollateralDown,
        Defect::CollateralHtml,
    ];
    let mut wrong = Vec::new();
    for defect in Defect::all() {
        let evidence = matches!(defect.stage(), Stage::Attestation | Stage::Collateral);
        if !evidence || relaxed.contains(defect) || elsewhere.contains(defect) {
            continue;
        }
        let (_, expected) = judge(&scene, Policy::standard(), &[*defect]);
        let (report, found) = judge(&scene, loosest.clone(), &[*defect]);
        let codes = (expected.map(|error| error.code()), found.map(|error| error.code()));
        if codes.0.is_none() || codes.0 != codes.1 {
            wrong.push(format!("{}: {codes:?} {}", defect.name(), report.headline()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// T17: every status, accepted or not, with its advisories named or not.
#[test]
fn patch_statuses() {
    const ADVISORIES: [&str; 2] = ["INTEL-SA-01036", "INTEL-SA-01099"];
    let scene = Scene::new(1);
    let words = TcbStatus::ALL.map(TcbStatus::word).into_iter().chain(["Fabulous"]);
    for word in words {
        for (accepted, named) in [(false, 2), (true, 0), (true, 1), (true, 2)] {
            let mut tdx = json!({ "accepted_advisories": ADVISORIES[..named] });
            let document = |tdx: &Value| json!({ "schema": "proveil.policy/v1", "tdx": tdx }).to_string();
            if accepted {
                tdx["accepted_tcb_statuses"] = json!(["UpToDate", word]);
            }
            let policy = match Policy::from_json(document(&tdx).as_bytes()) {
                Ok(policy) => policy,
                Err(error) => {
                    assert!(["Revoked", "Fabulous"].contains(&word) && accepted, "{word}: {error}");
                    continue;
                }
            };
            let (report, error) =
                with_collateral(&scene, policy, |spec| spec.tcb_info.set_status(word, &ADVISORIES));
            let verified = word == "UpToDate" || (accepted && named == 2);
            let row = format!("{word}, accepted {accepted}, {named} advisories named: {error:?}");
            println!("{row}");
            assert_eq!(
                report.verdict(),
                if verified { Verdict::Verified } else { Verdict::Refused },
                "{row}"
            );
            match (verified, word) {
                (true, "UpToDate") => assert_eq!(report.level(), Some(Level::L2)),
                (true, _) => {
                    assert_eq!(report.level(), Some(Level::L2), "{row}");
                    let relaxations = report.policy().relaxations.join("; ");
                    assert!(relaxations.contains(&format!("TCB status {word} is accepted")), "{relaxations}");
                    assert!(relaxations.contains(ADVISORIES[1]), "{relaxations}");
                }
                (false, "Fabulous") => {
                    assert_eq!(error.as_ref().unwrap().check(), Some("tdx.tcb.unknown_status"), "{row}");
                }
                (false, _) => {
                    let error = error.unwrap();
                    assert_eq!(error.code(), Code::TcbStatusRefused, "{row}");
                    assert_eq!(error.check(), Some(format!("tdx.tcb.{word}").as_str()), "{row}");
                }
            }
        }
    }
}

/// T17, attestation.md 2.4: the worst of platform, TDX module and quoting enclave counts, and their advisories add up.
#[test]
fn module_and_quoting_enclave_count_too() {
    type Edit = fn(&mut CollateralSpec);
    let scene = Scene::new(1);
    let edits: [(&str, Edit, &str); 4] = [
        (
            "module",
            |spec| {
                let level = &mut spec.tcb_info.modules[1].levels[0];
                (level.status, level.advisories) = ("OutOfDate".into(), vec!["INTEL-SA-1".into()]);
            },
            "OutOfDate INTEL-SA-1",
        ),
        (
            "quoting enclave",
            |spec| {
                let level = &mut spec.qe_identity.levels[0];
                (level.status, level.advisories) = ("OutOfDate".into(), vec!["INTEL-SA-2".into()]);
            },
            "OutOfDate INTEL-SA-2",
        ),
        (
            "module, platform needs configuration",
            |spec| {
                spec.tcb_info.set_status("ConfigurationNeeded", &["INTEL-SA-3"]);
                let level = &mut spec.tcb_info.modules[1].levels[0];
                (level.status, level.advisories) = ("OutOfDate".into(), vec!["INTEL-SA-1".into()]);
            },
            "OutOfDateConfigurationNeeded INTEL-SA-1 INTEL-SA-3",
        ),
        ("revoked module", |spec| spec.tcb_info.modules[1].levels[0].status = "Revoked".into(), "Revoked"),
    ];
    for (name, edit, found) in edits {
        let (report, error) = with_collateral(&scene, Policy::standard(), edit);
        let error = error.unwrap();
        assert_eq!(error.code(), Code::TcbStatusRefused, "{name}: {error}");
        let mut words: Vec<&str> =
            check(&report, "tdx.tcb.status").found_value().unwrap().split(' ').collect();
        words[1..].sort_unstable();
        assert_eq!(words.join(" "), found, "{name}");
    }
}

/// T17: relaxing the status check does not accept a platform that Intel revoked.
#[test]
fn a_revoked_platform_is_refused_under_every_policy() {
    let scene = Scene::new(1);
    let relaxed = policy(json!({
        "advisory_checks": ["tdx.tcb.status"],
        "tdx": { "accepted_advisories": ["INTEL-SA-00837"] },
    }));
    let (report, error) = judge(&scene, relaxed, &[Defect::TcbRevoked]);
    assert_eq!(error.map(|error| error.code()), Some(Code::TcbStatusRefused), "{}", report.headline());
}

/// T16: both signed numbers must reach the policy's minimum.
#[test]
fn evaluation_numbers() {
    let scene = Scene::new(1);
    for (tcb, qe, minimum, accepted) in [
        (19, 19, None, true),
        (17, 17, None, true),
        (16, 19, None, false),
        (19, 16, None, false),
        (16, 16, Some(16), true),
        (12, 12, Some(0), true),
        (19, 19, Some(20), false),
        (20, 19, Some(20), false),
        (20, 20, Some(20), true),
    ] {
        let policy = match minimum {
            None => Policy::standard(),
            Some(minimum) => policy(json!({ "tdx": { "min_tcb_evaluation_data_number": minimum } })),
        };
        let relaxed = policy.relaxations().len();
        let (_, error) = with_collateral(&scene, policy, |spec| {
            (spec.tcb_info.evaluation_number, spec.qe_identity.evaluation_number) = (tcb, qe);
        });
        let expected = (!accepted).then_some(Code::TcbEvaluationNumber);
        assert_eq!(error.map(|error| error.code()), expected, "{tcb} {qe} {minimum:?}");
        assert_eq!(relaxed, usize::from(minimum.is_some_and(|minimum| minimum < 17)));
    }
}

/// T03, T22, I9: a proof ends at the earliest of the policy's age and every input's expiry; it is not used before it was made.
#[test]
fn a_proof_ends() {
    let scene = Scene::new(1);
    let end_of_collateral = scene.world.collateral_spec().tcb_info.next_update;
    for (name, policy, at, not_after) in [
        ("default age", Policy::standard(), NOW, NOW + 1_800),
        ("a minute", policy(json!({ "max_age_s": 60 })), NOW, NOW + 60),
        ("collateral ends first", Policy::standard(), end_of_collateral - 100, end_of_collateral),
        ("last second of the collateral", Policy::standard(), end_of_collateral - 1, end_of_collateral),
    ] {
        let outcome = judge_with(&scene, policy, at, |_| ());
        assert_eq!(
            (outcome.report().checked_at(), outcome.report().valid_until()),
            (at, Some(not_after)),
            "{name}"
        );
        let endpoint = outcome.into_result().unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(endpoint.not_after(), not_after, "{name}");
        let mut random = Random::from_seed([1; 32]);
        let mut seal =
            |at| endpoint.seal(body("hello").as_bytes(), at, &mut random).map(|_| ()).map_err(|e| e.code());
        for (time, usable) in [
            (0, false),
            (at - 1, false),
            (at, true),
            (not_after - 1, true),
            (not_after, false),
            (not_after + 1, false),
            (u64::MAX, false),
        ] {
            let expected = if usable { Ok(()) } else { Err(Code::ProofExpired) };
            assert_eq!(seal(time), expected, "{name} at {time}");
        }
    }
}

/// T16, T22: a clock outside the collateral's window is no verdict about the enclave.
#[test]
fn clocks_outside_the_window() {
    let scene = Scene::new(1);
    let info = scene.world.collateral_spec().tcb_info;
    for (at, code) in [
        (info.issue_date - 1, Code::CollateralNotYetValid),
        (info.next_update, Code::CollateralExpired),
        (NOW + 60 * DAY_S, Code::CollateralExpired),
    ] {
        let outcome = judge_with(&scene, Policy::standard(), at, |_| ());
        let report = outcome.report().clone();
        assert_eq!(report.verdict(), Verdict::Indeterminate, "{at}");
        let error = outcome.into_result().unwrap_err();
        assert_eq!(error.code(), code, "{at}");
        assert!(error.retryable() && error.hint().contains("clock"), "{error}");
        assert_eq!(report.valid_until(), None);
    }
}

/// T12: presence and number of GPUs are the policy's; what is there must be right unless it is not looked at.
#[test]
fn gpu_rules() {
    let scene = Scene::new(2);
    let rule = |evidence: &str, minimum: usize| {
        policy(json!({ "gpu": { "evidence": evidence, "minimum": minimum } }))
    };
    let missing = Some(Code::GpuEvidenceMissing);
    for (evidence, minimum, defect, expected) in [
        ("required", 1, None, None),
        ("required", 2, None, None),
        ("required", 3, None, missing),
        ("required", 1, Some(Defect::GpuMissing), missing),
        ("required", 0, Some(Defect::GpuMissing), missing),
        ("if_present", 1, Some(Defect::GpuMissing), None),
        ("if_present", 1, Some(Defect::GpuBadSignature), Some(Code::GpuSignature)),
        ("if_present", 3, None, missing),
        ("off", 1, Some(Defect::GpuMissing), None),
        ("off", 1, Some(Defect::GpuBadSignature), None),
    ] {
        let (report, error) = judge(&scene, rule(evidence, minimum), defect.as_slice());
        let row = format!("{evidence} {minimum} {defect:?}");
        assert_eq!(error.map(|error| error.code()), expected, "{row}");
        let not_proven = report.not_proven().join("\n");
        if expected.is_none() {
            // T13: never more than that genuine devices answered.
            let looked_at = evidence != "off" && defect.is_none();
            assert_eq!(not_proven.contains("GPUs: genuine NVIDIA devices"), looked_at, "{row}");
            assert_eq!(not_proven.contains("GPUs: no evidence"), !looked_at, "{row}");
            let signature = check(&report, "gpu.signature").outcome();
            assert_eq!(signature, if looked_at { Found::Pass } else { Found::NotChecked }, "{row}");
            assert_eq!(check(&report, "gpu.bound").outcome(), Found::NotChecked, "{row}");
        }
    }
}

/// Absent software evidence is not a pass: `standard` verifies the hardware and says what is missing.
#[test]
fn without_an_event_log() {
    let scene = Scene::new(1);
    for shape in [Shape::Near, Shape::Aci] {
        let outcome = judge_with(&scene, Policy::standard(), NOW, |host| {
            host.shape = shape;
            host.defects = BTreeSet::from([Defect::EventLogMissing]);
        });
        let report = outcome.report();
        assert_eq!(report.level(), Some(Level::L2));
        for id in ["eventlog.replay", "compose_hash", "software.reference"] {
            assert_eq!(check(report, id).outcome(), Found::NotChecked, "{id}");
        }
        let not_proven = report.not_proven().join("\n");
        assert!(
            not_proven.contains("no measured application description and no reference value"),
            "{not_proven}"
        );
    }
}

/// T68: other roots are named in every form of a report, whatever the verdict; the vendors' are not.
#[test]
fn wording_under_custom_roots() {
    let scene = Scene::new(1);
    let none: &[Defect] = &[];
    for (defects, start) in [
        (none, "VERIFIED against CUSTOM roots, L2 - prompts for e2ee-sim-27b are encrypted to key 0x"),
        (
            &[Defect::TamperedQuote],
            "REFUSED against CUSTOM roots (PV-225): The quote's signature is wrong. Nothing was sent.",
        ),
        (
            &[Defect::CollateralExpired],
            "COULD NOT CHECK against CUSTOM roots (PV-301): Vendor collateral has expired. Nothing was sent.",
        ),
    ] {
        let (report, error) = judge(&scene, Policy::standard(), defects);
        assert!(report.headline().starts_with(start), "{}", report.headline());
        let text = report.to_text();
        assert!(text.contains("CUSTOM roots, not the hardware"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        let document: Value = serde_json::from_str(&report.to_json()).unwrap();
        assert_eq!(
            (&document["roots"], &document["headline"]),
            (&json!("custom"), &json!(report.headline()))
        );
        if let Some(error) = error {
            assert_eq!(error.report_json(), Some(report.to_json().as_str()));
        }
    }
    let mut setup = scene.setup();
    setup.roots = TrustRoots::vendors();
    let outcome = verify(&mut scene.host(), &mut setup).unwrap();
    let report = outcome.report();
    assert!(!format!("{}{}", report.to_text(), report.to_json()).contains("CUSTOM"), "{}", report.to_text());
    assert!(report.to_json().contains("\"roots\": \"vendor\""));
}

/// The same appraisal gives the same bytes (report.md rule); another policy of the same rules has the same hash.
#[test]
fn reports_are_deterministic() {
    let scene = Scene::new(1);
    let first = judge(&scene, Policy::standard(), &[]).0;
    let again = judge(&scene, Policy::standard(), &[]).0;
    assert_eq!(first.to_json(), again.to_json());
    assert_eq!(first.to_text(), again.to_text());
    let renamed = policy(json!({ "name": "mine" }));
    assert_eq!(renamed.sha256(), Policy::standard().sha256());
    assert_ne!(Policy::strict().sha256(), Policy::standard().sha256());
}
