//! Policy documents: the published schema and the reader refuse the same (where a schema can say it), every form comes back, and each
//! new rule decides in both directions (threats.md I3, I4, T08, T17, T57).

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used
)]

mod drive;

use std::collections::BTreeSet;

use drive::local::Scene;
use drive::{NOW, body, verify};
use jsonschema::Validator;
use proveil_core::Code;
use proveil_core::endpoint::Outcome;
use proveil_core::policy::{Effect, Policy};
use proveil_core::report::{Document, Enforcement, Outcome as Found, Report, Verdict};
use proveil_core::wire::time::rfc3339;
use proveil_testkit::forge::Random;
use proveil_testkit::sim::Defect;
use serde_json::{Map, Value, json};

const SCHEMA: &str = include_str!("../../docs/schema/proveil.policy.v1.json");

fn validator() -> Validator {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    assert!(jsonschema::meta::is_valid(&schema));
    jsonschema::validator_for(&schema).unwrap()
}

fn document(members: &Value) -> Value {
    let mut document = json!({ "schema": "proveil.policy/v1" });
    document.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    document
}

fn read(document: &Value) -> Result<Policy, proveil_core::Error> {
    Policy::from_json(document.to_string().as_bytes())
}

fn policy(members: &Value) -> Policy {
    read(&document(members)).unwrap_or_else(|error| panic!("{error}: {members}"))
}

/// Every member with a value that differs from the presets'.
fn every_member() -> Value {
    let hex = |length: usize| json!(["ab".repeat(length)]);
    let minimum = json!({ "fmc": 1, "bootloader": 7, "tee": 0, "snp": 14, "microcode": 72, "build": 21, "abi": "1.55" });
    json!({
        "name": "everything", "extends": "venice/strict", "max_age_s": 60, "not_after": "2030-12-31T23:59:59Z",
        "tdx": {
            "accepted_tcb_statuses": ["UpToDate", "SWHardeningNeeded"], "accepted_advisories": ["INTEL-SA-00837"],
            "allow_perfmon": true, "allow_service_td": true, "min_tcb_evaluation_data_number": 19,
            "mr_config_id": hex(48), "mr_owner": hex(48), "mr_owner_config": hex(48), "mr_seam": hex(48), "platform_ids": hex(16),
            "require_sept_ve_disable": false,
        },
        "snp": {
            "allow_cxl": false, "allow_hidden_chip_id": true, "allow_provisional_firmware": true, "allow_smt": false,
            "author_key_digests": hex(48), "chip_ids": ["ab".repeat(64), "cd".repeat(8)], "csp_ids": ["CN=x"],
            "host_data": hex(32), "id_key_digests": hex(48), "measurements": hex(48), "min_guest_svn": 3,
            "minimum": { "bergamo": minimum, "genoa": null, "milan": minimum, "turin": minimum, "turin_dense": null },
            "require_alias_check": true, "require_ciphertext_hiding": true, "require_crl": true,
            "require_minimum": false, "require_single_socket": true, "vmpls": [0, 3],
        },
        "software": {
            "require_reference": false, "enforces_gpu": true, "mr_td": hex(48), "rtmr0": hex(48), "rtmr1": hex(48),
            "rtmr2": hex(48), "rtmr3": hex(48), "compose_hash": hex(32),
            "os_image_hash": hex(32), "app_id": [format!("0x{}", "AB".repeat(20))],
        },
        "gpu": {
            "evidence": "if_present", "minimum": 8, "require_measurements": false, "require_rim": true,
            "require_ocsp": true, "nras": "off", "architectures": ["HOPPER", "LS10"], "drivers": ["570.172.08"],
            "vbios": ["96.00.CF.00.02"], "require_switches": true, "allow_expired_rim": true,
            "allow_certificate_hold": true, "allowed_mismatches": [0, 254], "ueids": ["478176379286082186618948"],
        },
        "advisory_checks": ["cm.quote"], "enforced_checks": ["gpu.bound"],
        "request": { "allow_clear_stop": true, "allow_whitespace_plaintext": true },
    })
}

/// The value at each path of an object, and the path.
fn leaves(value: &Value, path: &str, out: &mut Vec<(String, Value)>) {
    match value {
        // The levels of one family are given together.
        Value::Object(members) if !path.starts_with("/snp/minimum/") => {
            for (name, value) in members {
                leaves(value, &format!("{path}/{name}"), out);
            }
        }
        other => out.push((path.to_owned(), other.clone())),
    }
}

#[test]
fn every_preset_and_round_trip_is_of_the_published_schema() {
    let validator = validator();
    let mut documents: Vec<Value> = Policy::preset_names()
        .map(|name| serde_json::from_str(&Policy::preset(name).unwrap().to_json()).unwrap())
        .collect();
    documents.push(document(&every_member()));
    documents.push(document(&json!({})));
    // Each member alone, too.
    let (everything, mut found) = (every_member(), Vec::new());
    leaves(&everything, "", &mut found);
    for (path, value) in &found {
        let names: Vec<&str> = path.split('/').skip(1).collect();
        let nested = names.iter().rev().fold(value.clone(), |value, name| json!({ *name: value }));
        documents.push(document(&nested));
    }
    for document in &documents {
        let problems: Vec<String> = validator
            .iter_errors(document)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(problems.is_empty(), "{document}: {problems:?}");
        let policy = read(document).unwrap_or_else(|error| panic!("{error}: {document}"));
        let written: Value = serde_json::from_str(&policy.to_json()).unwrap();
        assert!(validator.is_valid(&written), "{written}");
        let again = read(&written).unwrap();
        assert_eq!((again.to_json(), again.sha256()), (policy.to_json(), policy.sha256()));
    }
    // Nothing is in the written form that the table above does not try, and the other way round.
    let mut written = Vec::new();
    leaves(&serde_json::from_str(&policy(&every_member()).to_json()).unwrap(), "", &mut written);
    let names = |list: &[(String, Value)]| -> BTreeSet<String> {
        list.iter().map(|(path, _)| path.clone()).filter(|path| !path.starts_with("/snp/minimum")).collect()
    };
    let mut tried = names(&found);
    tried.remove("/extends");
    tried.insert("/schema".to_owned());
    assert_eq!(names(&written), tried);
    println!("{} documents, {} members", documents.len(), found.len());
}

/// What the reader refuses the schema refuses: a wrong value of every member, and an unknown member of every object.
#[test]
fn the_schema_refuses_what_the_reader_refuses() {
    let validator = validator();
    let good = document(&every_member());
    let mut found = Vec::new();
    leaves(&good, "", &mut found);
    let mut tried = 0;
    let mut refused = |path: &str, value: Value| {
        let mut bad = good.clone();
        *bad.pointer_mut(path).unwrap() = value;
        let by_reader = read(&bad).err();
        // The ids of checks are not in the schema: they are those of `proveil explain`.
        if path != "/enforced_checks" || by_reader.is_none() {
            assert_eq!(by_reader.is_some(), !validator.is_valid(&bad), "{path} in {bad}: {by_reader:?}");
        }
        if let Some(error) = by_reader {
            let member = path.trim_start_matches('/').replace('/', ".");
            assert_eq!(error.code(), Code::PolicyInvalid);
            assert!(error.check().unwrap().starts_with(&member), "{member}: {error}");
        }
        tried += 1;
    };
    let wrong = [
        json!(null),
        json!(true),
        json!(-1),
        json!(1.5),
        json!(4_294_967_296_u64),
        json!("words in a row"),
        json!(""),
        json!([null]),
        json!([["ab"]]),
        json!(["zz"]),
        json!(["ab".repeat(47)]),
        json!([-1]),
        json!([255]),
        json!({}),
        json!("2030-02-30"),
        json!("2030-01-01T00:00:00+00:00"),
    ];
    for (path, _) in &found {
        for value in &wrong {
            refused(path, value.clone());
        }
    }
    for part in ["bootloader", "tee", "snp", "microcode", "build", "fmc", "abi"] {
        for value in [json!(256), json!("1"), json!("1.256"), json!("01.5"), json!(null), json!([])] {
            refused(&format!("/snp/minimum/milan/{part}"), value);
        }
    }
    for holder in ["", "/tdx", "/snp", "/snp/minimum", "/snp/minimum/milan", "/software", "/gpu", "/request"]
    {
        let mut bad = good.clone();
        bad.pointer_mut(holder).unwrap().as_object_mut().unwrap().insert("more".to_owned(), json!(1));
        assert!(!validator.is_valid(&bad), "{holder}");
        let error = read(&bad).unwrap_err();
        assert!(error.check().unwrap().ends_with("more"), "{error}");
    }
    // What cannot be written at all.
    for (path, value) in [
        ("/tdx", json!({ "allow_debug": true })),
        ("/tdx", json!({ "allow_migratable": true })),
        ("/snp", json!({ "allow_debug": true })),
        ("/snp", json!({ "allow_migration_agent": true })),
        ("/tdx/accepted_tcb_statuses", json!(["Revoked"])),
        ("/advisory_checks", json!(["tdx.quote_signature"])),
        ("/advisory_checks", json!(["nonce.cpu"])),
        ("/advisory_checks", json!(["software.pin"])),
        ("/schema", json!("proveil.policy/v2")),
    ] {
        refused(path, value);
    }
    println!("{tried} documents");
}

fn judge(scene: &Scene, policy: Policy, at: u64, defects: &[Defect]) -> Outcome {
    let mut host = scene.host();
    host.defects = defects.iter().copied().collect();
    let mut setup = scene.setup();
    (setup.policy, setup.at) = (policy, at);
    verify(&mut host, &mut setup).unwrap()
}

fn check<'a>(report: &'a Report, id: &str) -> &'a proveil_core::report::Check {
    report.checks().iter().find(|check| check.id() == id).unwrap_or_else(|| panic!("{id}"))
}

/// I3: a policy that has ended verifies nothing, and says so; before that, a proof does not outlive it.
#[test]
fn a_policy_ends() {
    let scene = Scene::new(1);
    let until = |end: u64| policy(&json!({ "not_after": rfc3339(end) }));
    for (end, valid_until) in
        [(NOW + 1, Some(NOW + 1)), (NOW + 90_000, Some(NOW + 1_800)), (NOW, None), (NOW - 1, None)]
    {
        let outcome = judge(&scene, until(end), NOW, &[]);
        let report = outcome.report().clone();
        assert_eq!(report.valid_until(), valid_until, "{end}");
        match outcome.into_result() {
            Ok(endpoint) => {
                let mut random = Random::from_seed([1; 32]);
                let mut seal = |at| endpoint.seal(body("hello").as_bytes(), at, &mut random).map(drop);
                assert!(seal(NOW).is_ok());
                if end == NOW + 1 {
                    assert_eq!(seal(end).unwrap_err().code(), Code::ProofExpired);
                }
                assert_eq!(check(&report, "policy.not_after").outcome(), Found::Pass);
            }
            Err(error) => {
                assert!(valid_until.is_none(), "{error}");
                assert_eq!((error.code(), error.check()), (Code::PolicyExpired, Some("policy.not_after")));
                assert_eq!((report.verdict(), error.retryable()), (Verdict::Indeterminate, false));
                assert!(report.who_can_read().iter().all(|hop| !hop.name.contains("enclave that holds")));
                Document::from_json(report.to_json().as_bytes()).unwrap();
            }
        }
    }
    // Evidence that says no is refused as before.
    let outcome = judge(&scene, until(NOW - 1), NOW, &[Defect::TamperedQuote]);
    assert_eq!(outcome.into_result().unwrap_err().code(), Code::QuoteSignature);
}

/// I4, T37: a policy may make any check count; one that could not be made, or that there was nothing to make on, is not a pass.
#[test]
fn checks_can_be_enforced() {
    let scene = Scene::new(1);
    let open = Some(Code::RequiredCheckNotMade);
    let none: &[Defect] = &[];
    for (id, defects, expected) in [
        ("gpu.bound", none, open),
        ("response.origin", none, open),
        ("software.reference", none, open),
        ("software.pin", none, open),
        ("policy.not_after", none, open),
        ("snp.crl", none, open),
        ("tdx.platform.allowed", none, open),
        ("eventlog.replay", none, None),
        ("eventlog.replay", &[Defect::EventLogMissing], open),
        ("cm.quote", none, None),
        ("tdx.quote_signature", none, None),
        ("tdx.quote_signature", &[Defect::TamperedQuote], Some(Code::QuoteSignature)),
    ] {
        let policy = policy(&json!({ "enforced_checks": [id] }));
        assert!(policy.relaxations().is_empty());
        let outcome = judge(&scene, policy, NOW, defects);
        let report = outcome.report().clone();
        let error = outcome.into_result().err();
        assert_eq!(error.as_ref().map(proveil_core::Error::code), expected, "{id}: {}", report.to_text());
        assert_eq!(check(&report, id).enforcement(), Enforcement::Enforced, "{id}");
        if expected == open {
            assert_eq!(
                (report.verdict(), error.unwrap().check()),
                (Verdict::Indeterminate, Some(id)),
                "{id}"
            );
            assert!(report.who_can_read().iter().all(|hop| !hop.name.contains("enclave that holds")), "{id}");
        }
    }
}

fn honest(scene: &Scene) -> Report {
    judge(scene, Policy::standard(), NOW, &[]).report().clone()
}

fn fact(report: &Report, name: &str) -> String {
    report.facts().iter().find(|fact| fact.name == name).unwrap_or_else(|| panic!("{name}")).value.clone()
}

/// T08: every reference value in both directions: the measured one is accepted, another is refused by its own check.
#[test]
fn reference_values_of_platform_and_devices() {
    let scene = Scene::new(2);
    let report = honest(&scene);
    let ueids = json!([fact(&report, "gpu.0.ueid"), fact(&report, "gpu.1.ueid")]);
    let zero = "00".repeat(48);
    let wrong = |length: usize| json!(["5a".repeat(length)]);
    let measured = Code::MeasurementRefused;
    let unknown = Code::PlatformNotAllowed;
    for (section, member, right, wrong, code, at) in [
        ("tdx", "mr_seam", json!([fact(&report, "tdx.mr_seam")]), wrong(48), measured, "tdx.policy.mr_seam"),
        ("tdx", "mr_owner", json!([zero]), wrong(48), measured, "tdx.policy.mr_owner"),
        ("tdx", "mr_owner_config", json!([zero]), wrong(48), measured, "tdx.policy.mr_owner_config"),
        (
            "tdx",
            "platform_ids",
            json!([fact(&report, "tdx.ppid")]),
            wrong(16),
            unknown,
            "tdx.platform.allowed",
        ),
        ("software", "rtmr3", json!([fact(&report, "tdx.rtmr3")]), wrong(48), measured, "software.reference"),
        (
            "tdx",
            "mr_config_id",
            json!([fact(&report, "tdx.mr_config_id")]),
            wrong(48),
            measured,
            "tdx.policy.mr_config_id",
        ),
        ("gpu", "ueids", ueids.clone(), json!([ueids[0]]), unknown, "gpu.policy.device"),
        (
            "gpu",
            "drivers",
            json!([fact(&report, "gpu.0.driver")]),
            json!(["1.0"]),
            Code::GpuPolicy,
            "gpu.policy.driver",
        ),
        (
            "gpu",
            "vbios",
            json!([fact(&report, "gpu.0.vbios")]),
            json!(["1.0"]),
            Code::GpuPolicy,
            "gpu.policy.vbios",
        ),
    ] {
        let accepted = judge(&scene, policy(&json!({ section: { member: right } })), NOW, &[]);
        assert_eq!(
            accepted.report().verdict(),
            Verdict::Verified,
            "{member}: {}",
            accepted.report().to_text()
        );
        assert_eq!(check(accepted.report(), at).outcome(), Found::Pass, "{member}");
        let error = judge(&scene, policy(&json!({ section: { member: wrong } })), NOW, &[])
            .into_result()
            .unwrap_err();
        assert_eq!((error.code(), error.check()), (code, Some(at)), "{member}");
    }
}

/// A policy made from a report accepts that software and no other, and is stricter than the one it was made from.
#[test]
fn a_policy_from_measurements() {
    let scene = Scene::new(2);
    let report = honest(&scene);
    for machines in [false, true] {
        let made = Policy::standard().accepting_only(&report, machines).unwrap().named("mine");
        assert!(made.relaxations().is_empty());
        let changed = Policy::standard().differences(&made);
        assert!(
            changed.iter().all(|one| one.effect == Effect::Stricter || one.member == "name"),
            "{changed:?}"
        );
        let members: BTreeSet<&str> = changed.iter().map(|one| one.member.as_str()).collect();
        for member in
            ["software.compose_hash", "software.mr_td", "software.rtmr2", "software.app_id", "gpu.drivers"]
        {
            assert!(members.contains(member), "{member}");
        }
        for member in ["tdx.platform_ids", "tdx.mr_seam", "gpu.ueids"] {
            assert_eq!(members.contains(member), machines, "{member}");
        }
        assert!(!members.contains("software.rtmr3"));
        let written = Policy::from_json(made.to_json().as_bytes()).unwrap();
        assert_eq!(written, made);
        let outcome = judge(&scene, written.clone(), NOW, &[]);
        assert_eq!(outcome.report().level().map(|level| level.name()), Some("L3"));
        // Another release: another world of the same roots is not at hand, so the policy names other software.
        let mut other: Map<String, Value> = serde_json::from_str(&written.to_json()).unwrap();
        other["software"]["compose_hash"] = json!(["5a".repeat(32)]);
        let error = judge(&scene, read(&Value::Object(other)).unwrap(), NOW, &[]).into_result().unwrap_err();
        assert_eq!(error.code(), Code::MeasurementRefused);
    }
    // A report that is not verified says nothing.
    let refused = judge(&scene, Policy::standard(), NOW, &[Defect::TamperedQuote]).report().clone();
    let error = Policy::standard().accepting_only(&refused, false).unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
}
