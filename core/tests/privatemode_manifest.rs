//! Every case of the Privatemode vectors on manifests, by id (tests/vectors/privatemode/README.md), what they leave out, and what changed
//! between two manifests.

#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

mod support;

use proveil_core::Code;
use proveil_core::attest::contrast::{Manifest, differences};
use proveil_core::crypto::sha256;
use proveil_core::wire::hex;
use serde_json::{Value, json};
use support::{expect, run_cases, text, vector_file};

#[test]
fn manifests() {
    run_cases("privatemode/manifest_validation.json", |case| {
        let bytes = text(case, "manifest").as_bytes();
        let read = Manifest::parse(bytes);
        expect("valid", read.is_ok(), case["valid"].as_bool().unwrap())?;
        let manifest = match read {
            Ok(manifest) => manifest,
            Err(error) => {
                expect("code", error.code(), Code::ManifestInvalid)?;
                return expect(
                    "names the member",
                    error.check().is_some_and(|path| path.contains('.') || path == "Policies"),
                    true,
                )
                .or_else(|_| expect("member", error.check(), Some("ReferenceValues")));
            }
        };
        expect("digest", manifest.sha256, sha256(&[bytes]))?;
        let facts = &case["facts"];
        if facts.is_null() {
            return Ok(());
        }
        let coordinator = hex::encode(&manifest.coordinator().unwrap().hash);
        expect("coordinator", coordinator.as_str(), text(facts, "coordinator_policy_hash"))?;
        let policy = format!("{:#018x}", manifest.snp[0].guest_policy.bits());
        expect("policy", policy.as_str(), text(facts, "guest_policy_u64"))?;
        let counts = (manifest.snp.len() as u64, manifest.tdx.len() as u64);
        expect("reference values", counts, (facts["snp"].as_u64().unwrap(), facts["tdx"].as_u64().unwrap()))
    });
}

/// The first manifest of the vectors, as JSON to be changed.
fn manifest() -> Value {
    let file = vector_file("privatemode/manifest_validation.json");
    serde_json::from_str(file["cases"][0]["manifest"].as_str().unwrap()).unwrap()
}

/// T10: what two readers could read differently is refused, and the failure names the member.
#[test]
fn t10_members_of_manifests() {
    type Change = fn(&mut Value);
    let cases: &[(&str, Change, Option<&str>)] = &[
        ("as it is", |_| {}, None),
        ("no chip named", |m| m["ReferenceValues"]["snp"][0]["AllowedChipIDs"] = Value::Null, None),
        ("no TDX", |m| m["ReferenceValues"]["tdx"] = Value::Null, None),
        ("no SNP", |m| m["ReferenceValues"]["snp"] = json!([]), None),
        ("empty APEIP", |m| m["ReferenceValues"]["snp"][0]["APEIP"] = json!(""), None),
        ("interface 31", |m| m["ReferenceValues"]["snp"][0]["GuestPolicy"]["ABIMinor"] = json!(31), None),
        (
            "APEIP",
            |m| m["ReferenceValues"]["snp"][0]["APEIP"] = json!("0080b004"),
            Some("ReferenceValues.snp[0].APEIP"),
        ),
        (
            "old TDX",
            |m| m["ReferenceValues"]["tdx"][0]["MinimumQeSvn"] = json!(0),
            Some("ReferenceValues.tdx[0].MinimumQeSvn"),
        ),
        (
            "another case",
            |m| m["ReferenceValues"]["snp"][0]["allowedChipIDs"] = json!([]),
            Some("ReferenceValues.snp[0].allowedChipIDs"),
        ),
        ("another case at the top", |m| m["policies"] = json!({}), Some("policies")),
        (
            "another interface",
            |m| m["ReferenceValues"]["snp"][0]["GuestPolicy"]["ABIMinor"] = json!(30),
            Some("ReferenceValues.snp[0].GuestPolicy.ABIMinor"),
        ),
        (
            "without multithreading",
            |m| m["ReferenceValues"]["snp"][0]["GuestPolicy"]["SMT"] = json!(false),
            Some("ReferenceValues.snp[0].GuestPolicy.SMT"),
        ),
        (
            "a flag that is a number",
            |m| m["ReferenceValues"]["snp"][0]["GuestPolicy"]["Debug"] = json!(0),
            Some("ReferenceValues.snp[0].GuestPolicy.Debug"),
        ),
        (
            "without guest policy",
            |m| m["ReferenceValues"]["snp"][0]["GuestPolicy"] = Value::Null,
            Some("ReferenceValues.snp[0].GuestPolicy"),
        ),
        (
            "a fraction",
            |m| m["ReferenceValues"]["snp"][0]["MinimumTCB"]["SNPVersion"] = json!(28.0),
            Some("ReferenceValues.snp[0].MinimumTCB.SNPVersion"),
        ),
        (
            "Turin",
            |m| m["ReferenceValues"]["snp"][0]["ProductName"] = json!("Turin"),
            Some("ReferenceValues.snp[0].ProductName"),
        ),
        (
            "three registers",
            |m| drop(m["ReferenceValues"]["tdx"][0]["Rtmrs"].as_array_mut().unwrap().pop()),
            Some("ReferenceValues.tdx[0].Rtmrs"),
        ),
        (
            "a register that is too short",
            |m| m["ReferenceValues"]["tdx"][0]["Rtmrs"][3] = json!("00"),
            Some("ReferenceValues.tdx[0].Rtmrs[3]"),
        ),
        (
            "two coordinators",
            |m| {
                let policies = m["Policies"].as_object_mut().unwrap();
                policies.values_mut().for_each(|policy| policy["Role"] = json!("coordinator"));
            },
            Some("Policies"),
        ),
        (
            "names that are no list",
            |m| {
                let policies = m["Policies"].as_object_mut().unwrap();
                policies.values_mut().for_each(|policy| policy["SANs"] = json!("x"));
            },
            Some("Policies."),
        ),
        ("no policies", |m| m["Policies"] = Value::Null, Some("Policies")),
    ];
    for (name, change, path) in cases {
        let mut value = manifest();
        change(&mut value);
        let read = Manifest::parse(value.to_string().as_bytes());
        match path {
            None => assert!(read.is_ok(), "{name}: {read:?}"),
            Some(path) => {
                let error = read.unwrap_err();
                assert_eq!(error.code(), Code::ManifestInvalid, "{name}");
                assert!(error.check().unwrap().starts_with(path), "{name}: {error}");
            }
        }
    }
    // One policy under two spellings of its hash, a member twice, no JSON.
    let text = manifest().to_string();
    let hash = Manifest::parse(text.as_bytes()).unwrap().policies[1].hash;
    let lower = format!("\"{}\":", hex::encode(&hash));
    for bad in [
        text.replace(&lower, &format!("{}{{}},{lower}", lower.to_uppercase())),
        text.replacen('{', "{\"Policies\":{},", 1),
        text.replace("}}", "}"),
        "[]".to_owned(),
    ] {
        assert_eq!(Manifest::parse(bad.as_bytes()).unwrap_err().code(), Code::ManifestInvalid);
    }
    let upper = text.replace(&lower, &lower.to_uppercase());
    assert_eq!(Manifest::parse(upper.as_bytes()).unwrap().policies[1].hash, hash);
    let long = format!("{text}{}", " ".repeat(4 * 1024 * 1024));
    assert_eq!(Manifest::parse(long.as_bytes()).unwrap_err().code(), Code::LimitExceeded);
}

#[test]
fn owners_can_replace_a_manifest() {
    let mut value = manifest();
    assert!(!Manifest::parse(value.to_string().as_bytes()).unwrap().updatable);
    for name in ["WorkloadOwnerPubKeys", "WorkloadOwnerKeyDigests"] {
        value[name] = json!([]);
        assert!(!Manifest::parse(value.to_string().as_bytes()).unwrap().updatable);
        value[name] = json!(["00"]);
        assert!(Manifest::parse(value.to_string().as_bytes()).unwrap().updatable);
        value.as_object_mut().unwrap().remove(name);
    }
}

#[test]
fn differences_of_manifests() {
    let old = manifest();
    let find = |change: &dyn Fn(&mut Value)| {
        let mut new = old.clone();
        change(&mut new);
        let found = differences(old.to_string().as_bytes(), new.to_string().as_bytes()).unwrap();
        found.into_iter().map(|one| (one.path, one.old, one.new)).collect::<Vec<_>>()
    };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(find(&|_| {}), []);
    assert_eq!(
        find(&|m| m["ReferenceValues"]["snp"][0]["MinimumTCB"]["SNPVersion"] = json!(29)),
        [("ReferenceValues.snp[0].MinimumTCB.SNPVersion".to_owned(), text("28"), text("29"))]
    );
    assert_eq!(
        find(&|m| m["ReferenceValues"]["tdx"][0]["AllowedPIIDs"]
            .as_array_mut()
            .unwrap()
            .push(json!("00112233445566778899aabbccddeeff"))),
        [(
            "ReferenceValues.tdx[0].AllowedPIIDs[1]".to_owned(),
            None,
            text("\"00112233445566778899aabbccddeeff\"")
        )]
    );
    assert_eq!(find(&|m| m["Added"] = json!({"a": 1})), [("Added".to_owned(), None, text("{\"a\":1}"))]);
    // A workload with another document is one difference.
    let hash = "ad9ba38f5ef597cab39f1c15824a065e9c9f63b5152727f914bdb9748d5cf07a";
    let next = "00".repeat(32);
    let renamed = find(&|m| {
        let policies = m["Policies"].as_object_mut().unwrap();
        let policy = policies.remove(hash).unwrap();
        policies.insert(next.clone(), policy);
    });
    let path = "Policies.apps/v1/StatefulSet/continuum-0a1b2c/secret-service".to_owned();
    assert_eq!(renamed, [(path, text(&format!("\"{hash}\"")), text(&format!("\"{next}\"")))]);
    let removed = find(&|m| drop(m["Policies"].as_object_mut().unwrap().remove(hash)));
    assert_eq!(removed.len(), 1);
    assert_eq!((removed[0].0.as_str(), &removed[0].2), (format!("Policies.{hash}").as_str(), &None));
    // The same members in another form.
    let (plain, spaced) = (old.to_string(), format!("{old} "));
    let form = differences(plain.as_bytes(), spaced.as_bytes()).unwrap();
    assert_eq!(form.len(), 1);
    assert_eq!((form[0].path.as_str(), &form[0].old, &form[0].new), ("", &None, &None));
    assert!(differences(plain.as_bytes(), b"{}").is_err());
}
