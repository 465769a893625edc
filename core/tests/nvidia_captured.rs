//! Captured manifests, tokens and reports of NVIDIA, as they are and changed. The verdicts on the whole library are compared by
//! `cargo xtask evidence`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod common;

use std::path::Path;

use common::{Random, captured, read_json, text};
use proveil_core::attest::TrustRoots;
use proveil_core::attest::nvidia::nras::{self, NRAS_ISSUER_URL, NrasExpected};
use proveil_core::attest::nvidia::{self, Device, GpuEvidence, Rim, rim_ids};
use proveil_core::claims::DeviceKind;
use proveil_core::crypto::sha256;
use proveil_core::error::Code;
use proveil_core::evidence::{GpuEndorsements, NrasAnswer, TdxCollateral};
use proveil_core::pki::{Certificate, roots};
use proveil_core::policy::Policy;
use proveil_core::provider::{EvidenceInput, Provider, appraise_endorsed};
use proveil_core::report::{Outcome, Report, Verdict};
use proveil_core::wire::hex;
use proveil_core::wire::json::Json;

/// Captured manifests that are genuine, with the time at which they were.
fn manifests(dir: &Path) -> Vec<(String, Vec<u8>, u64)> {
    let index = read_json(&dir.join("index.json"));
    let samples = index.get("samples").and_then(Json::as_array).unwrap().iter();
    samples
        .filter(|sample| text(sample, "kind") == "nvidia-rim")
        .filter(|sample| text(sample.get("expected").unwrap(), "verdict") == "accept")
        .map(|sample| {
            let file = text(sample.get("files").unwrap(), "rim");
            let at = sample.get("verify_time").and_then(Json::as_u64).unwrap();
            (text(sample, "id").to_owned(), std::fs::read(dir.join(file)).unwrap(), at)
        })
        .collect()
}

#[test]
fn manifests_in_other_forms() {
    let Some(dir) = captured("nvidia") else { return };
    let roots = TrustRoots::vendors();
    let all = manifests(&dir);
    assert_eq!(all.len(), 4);
    for (id, xml, at) in all {
        let genuine = Rim::verify(&xml, &roots, at, false).unwrap_or_else(|error| panic!("{id}: {error}"));
        assert!(!genuine.custom_root && !genuine.expired);
        let xml = String::from_utf8(xml).unwrap();
        let judge = |xml: &str| Rim::verify(xml.as_bytes(), &roots, at, false).map_err(|error| error.code());
        for same in [
            xml.replace('\n', "\r\n"),
            xml.replace("active=\"True\"", "active='True'"),
            format!("<?xml version=\"1.0\" encoding=\"utf-8\"?>{xml}\n\n"),
        ] {
            let found = judge(&same).unwrap_or_else(|error| panic!("{id}: {error:?}"));
            assert_eq!(found.active_indices(), genuine.active_indices(), "{id}");
        }
        for (from, to, code) in [
            ("active=\"True\"", "active=\"False\"", Code::CollateralSignature),
            ("size=\"48\"", "size=\"48\" size2=\"1\"", Code::CollateralSignature),
            ("<ns0:Payload", "<!-- c --><ns0:Payload", Code::CollateralMalformed),
            ("</ds:KeyInfo>", "<ds:KeyName>x</ds:KeyName></ds:KeyInfo>", Code::CollateralSignature),
            (" URI=\"\"", " URI=\"#x\"", Code::CollateralSignature),
        ] {
            let changed = xml.replacen(from, to, 1);
            assert_ne!(changed, xml, "{from}");
            assert_eq!(judge(&changed).err(), Some(code), "{id}: {to}");
        }
        let late = Rim::verify(xml.as_bytes(), &roots, 4_102_444_800, false).unwrap_err();
        assert_eq!((late.code(), late.check()), (Code::CollateralExpired, Some("gpu.rim.expired")), "{id}");
        assert!(Rim::verify(xml.as_bytes(), &roots, 4_102_444_800, true).unwrap().expired, "{id}");
    }
}

/// A change of any byte of a manifest is noticed, or changes nothing that is read.
#[test]
fn changed_manifests() {
    let Some(dir) = captured("nvidia") else { return };
    let roots = TrustRoots::vendors();
    let mut random = Random(0x7269_6d73);
    for (id, xml, at) in manifests(&dir) {
        let genuine = Rim::verify(&xml, &roots, at, false).unwrap();
        let mut unnoticed = 0;
        for _ in 0..250 {
            let place = usize::try_from(random.next()).unwrap() % xml.len();
            let mut changed = xml.clone();
            changed[place] ^= 1 << (random.next() % 8);
            if let Ok(found) = Rim::verify(&changed, &roots, at, false) {
                // White space inside tags and base64 texts.
                assert_eq!(found.active_indices(), genuine.active_indices(), "{id} {place}");
                assert!(xml[place].is_ascii_whitespace(), "{id} {place}");
                unnoticed += 1;
            }
        }
        assert!(unnoticed <= 5, "{id}: {unnoticed}");
    }
}

/// One bit of every byte of a genuine report: none of the changed reports is accepted.
#[test]
fn every_byte_of_a_report() {
    let Some(dir) = captured("nvidia") else { return };
    let file = |name: &str| std::fs::read(dir.join(name)).unwrap();
    let device = Device {
        report: file("hopper-590.12-ppcie.report.bin"),
        chain: file("hopper-590.12-ppcie.chain.pem"),
    };
    let nonce: [u8; 32] = device.report[4..36].try_into().unwrap();
    let roots = TrustRoots::vendors();
    let judge = |device: Device| {
        let evidence = GpuEvidence::of_devices(vec![device]).unwrap();
        nvidia::verify(&evidence, &nonce, &roots, 1_780_272_000)
    };
    let genuine = judge(device.clone()).unwrap();
    let ids = rim_ids(&genuine[0]).unwrap();
    let names: Vec<&str> = ids.iter().map(|id| id.names[0].as_str()).collect();
    assert_eq!(names, ["NV_GPU_DRIVER_GH100_590.12", "NV_GPU_VBIOS_G520_0200_885_9600A50001"]);
    let mut switches = genuine[0].details.linked_switches.clone();
    switches.sort_unstable();
    switches.dedup();
    assert_eq!(switches.len(), 4, "a machine of eight GPUs has four switches");
    for place in 0..device.report.len() {
        let mut changed = device.clone();
        changed.report[place] ^= 1 << (place % 8);
        assert!(judge(changed).is_err(), "byte {place}");
    }
}

/// The pinned authorities of the attestation service are the published ones (threats T67).
#[test]
fn pinned_service_authority() {
    let Some(dir) = captured("nvidia") else { return };
    let der = std::fs::read(dir.join("roots/nras_gpu_intermediate_004.der")).unwrap();
    assert_eq!(sha256(&[&der]), roots::NVIDIA_NRAS[0]);
    let certificate = Certificate::parse(&der).unwrap();
    let spki = "fd32837f954e2c45db073105166dfe6985ae0480bb113fba63b091a75affe896";
    assert_eq!(hex::encode(&sha256(&[certificate.spki()])), spki);
    assert!(certificate.is_ca());
}

/// A recording of Venice with the token that NVIDIA's service gave for its eight GPUs.
struct Recording {
    response: Vec<u8>,
    nonce: [u8; 32],
    answer: NrasAnswer,
    collateral: Vec<TdxCollateral>,
    at: u64,
}

fn recording(dir: &Path) -> Recording {
    let file = |name: &str| std::fs::read(dir.join(name)).unwrap();
    let response = file("venice-20260610.response.json");
    let nonce = hex::decode_array(text(&Json::parse(&response).unwrap(), "request_nonce")).unwrap();
    let collateral = TdxCollateral::from_json(&file("collateral-venice-20260610-90c06f000000.json")).unwrap();
    Recording {
        response,
        nonce,
        answer: NrasAnswer {
            kind: DeviceKind::Gpu,
            tokens: file("venice-20260610.nras.json"),
            jwks: file("venice-20260610.nras-jwks.json"),
        },
        collateral: vec![collateral],
        at: 1_781_056_052,
    }
}

/// The service's token is about the very devices of the answer, and each of them is verified here too.
#[test]
fn token_and_devices_of_one_recording() {
    let Some(dir) = captured("composite") else { return };
    let Recording { response, nonce, answer, at, .. } = recording(&dir);
    let roots = TrustRoots::vendors();
    let response = Json::parse(&response).unwrap();
    let evidence = GpuEvidence::read(response.get("nvidia_payload")).unwrap();
    let devices = nvidia::verify(&evidence, &nonce, &roots, at).unwrap();
    let expected = NrasExpected { nonce: &nonce, issuer: NRAS_ISSUER_URL, devices: 8, allow_hold: false };
    let claims = nras::verify(&answer, &expected, &roots, at).unwrap();
    assert!(!claims.custom_root);
    nras::check_devices(&claims, devices.iter().map(|device| device.get())).unwrap();
    let error = nras::check_devices(&claims, devices[1..].iter().map(|device| device.get())).unwrap_err();
    assert_eq!(error.check(), Some("gpu.nras.evidence"));
    // Another recording's token is genuine and about other devices.
    let other = NrasAnswer {
        kind: DeviceKind::Gpu,
        tokens: std::fs::read(dir.join("near-gateway-20260629.nras.json")).unwrap(),
        jwks: std::fs::read(dir.join("near-gateway-20260629.nras-jwks.json")).unwrap(),
    };
    let error = nras::verify(&other, &expected, &roots, at).unwrap_err();
    assert_eq!(error.check(), Some("gpu.nras.chain"), "its key is not valid yet");
}

/// NVIDIA's word in a whole appraisal: it is listed, it does not raise the level, and nothing is called bound.
#[test]
fn a_whole_recording() {
    let Some(dir) = captured("composite") else { return };
    let Recording { response, nonce, answer, collateral, at } = recording(&dir);
    let judge = |policy: &Policy, answers: Vec<NrasAnswer>| {
        let input = EvidenceInput {
            provider: Provider::Venice,
            model: None,
            response: &response,
            nonce,
            collateral: &collateral,
        };
        let endorsements = GpuEndorsements { nras: answers, ..GpuEndorsements::default() };
        appraise_endorsed(&input, &endorsements, policy, &TrustRoots::vendors(), at)
    };
    let outcome = |report: &Report, id: &str| {
        report.checks().iter().find(|check| check.id() == id).map(|check| check.outcome())
    };
    let (plain, result) = judge(&Policy::standard(), Vec::new());
    assert!(result.is_ok(), "{}", plain.to_text());
    assert_eq!(outcome(&plain, "gpu.nras.token"), Some(Outcome::NotChecked));
    let (report, result) = judge(&Policy::standard(), vec![answer.clone()]);
    assert!(result.is_ok(), "{}", report.to_text());
    assert_eq!((report.level(), report.verdict()), (plain.level(), Verdict::Verified));
    assert_eq!(outcome(&report, "gpu.nras.evidence"), Some(Outcome::Pass));
    assert_eq!(outcome(&report, "gpu.nras.claims"), Some(Outcome::Pass));
    for id in ["gpu.measurements", "gpu.cc_mode", "gpu.bound"] {
        assert_eq!(outcome(&report, id), Some(Outcome::NotChecked), "{id}");
    }
    let open = report.not_proven().join("\n");
    assert!(open.contains("NVIDIA's word") && open.contains("not shown that they are attached"), "{open}");
    let policy = |gpu: &str| {
        Policy::from_json(format!("{{\"schema\":\"proveil.policy/v1\",\"gpu\":{gpu}}}").as_bytes()).unwrap()
    };
    assert!(judge(&policy(r#"{"nras":"required"}"#), vec![answer.clone()]).1.is_ok());
    let error = judge(&policy(r#"{"nras":"required"}"#), Vec::new()).1.unwrap_err();
    assert_eq!((error.code(), error.check()), (Code::RequiredCheckNotMade, Some("gpu.nras.token")));
    let error = judge(&policy(r#"{"require_rim":true}"#), vec![answer.clone()]).1.unwrap_err();
    assert_eq!((error.code(), error.check()), (Code::RequiredCheckNotMade, Some("gpu.measurements")));
    let mut altered = answer;
    let place = altered.tokens.len() / 2;
    altered.tokens[place] ^= 1;
    let error = judge(&Policy::standard(), vec![altered]).1.unwrap_err();
    assert!(error.check().is_some_and(|check| check.starts_with("gpu.nras.")), "{error}");
}
