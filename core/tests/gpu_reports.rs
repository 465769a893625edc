//! NVIDIA device reports: captured ones and changes to them (threats T12).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod common;

use common::{Random, captured, read_json, text};
use proveil_core::attest::TrustRoots;
use proveil_core::attest::nvidia::{self, Architecture, DeviceKind, GpuClaims, GpuEvidence};
use proveil_core::claims::Verified;
use proveil_core::error::{Code, Error};
use proveil_core::wire::json::Json;
use proveil_core::wire::{base64, hex};

/// Reports and chains as one payload.
fn payload(devices: &[(Vec<u8>, Vec<u8>)]) -> Json {
    let string = |name: &str, value: &[u8]| (name.to_owned(), Json::String(base64::encode(value)));
    let list = devices
        .iter()
        .map(|(report, chain)| Json::Object(vec![string("evidence", report), string("certificate", chain)]))
        .collect();
    Json::Object(vec![("evidence_list".into(), Json::Array(list))])
}

fn judge(
    devices: &[(Vec<u8>, Vec<u8>)],
    nonce: &[u8; 32],
    at: u64,
) -> Result<Vec<Verified<GpuClaims>>, Error> {
    let evidence = GpuEvidence::read(Some(&payload(devices)))?;
    nvidia::verify(&evidence, nonce, &TrustRoots::default(), at)
}

#[test]
fn payloads_without_evidence() {
    let missing = [
        None,
        Some(Json::Null),
        Some(Json::String(String::new())),
        Some(Json::parse(b"{\"arch\":\"HOPPER\"}").unwrap()),
        Some(Json::parse(b"{\"evidence_list\":[]}").unwrap()),
        Some(Json::String("{\"nonce\":\"00\",\"evidence_list\":[]}".into())),
        Some(Json::String("{\"evidence_list\":null}".into())),
    ];
    for payload in &missing {
        let error = GpuEvidence::read(payload.as_ref()).unwrap_err();
        assert_eq!(
            (error.slug(), error.check()),
            ("gpu_evidence_missing", Some("gpu.missing")),
            "{payload:?}"
        );
    }
    for bad in [
        "7",
        "[]",
        "\"text\"",
        "{\"evidence_list\":{}}",
        "{\"evidence_list\":[{}]}",
        "{\"evidence_list\":[{\"evidence\":\"!\",\"certificate\":\"AA==\"}]}",
        "{\"evidence_list\":[{\"evidence\":\"AA==\",\"certificate\":\"AA==\"}],\"nonce\":1}",
        "{\"evidence_list\":[],\"evidence_list\":[]}",
    ] {
        let error = GpuEvidence::read(Some(&Json::String(bad.into()))).unwrap_err();
        assert_eq!(error.code(), Code::GpuEvidenceMalformed, "{bad}");
    }
    let device = (vec![0; 4], vec![0; 4]);
    let many = GpuEvidence::read(Some(&payload(&vec![device; 25]))).unwrap_err();
    assert_eq!(many.code(), Code::LimitExceeded);
}

#[test]
fn stated_nonce_is_compared_as_bytes() {
    let read = |nonce: &str| {
        let text = format!(
            "{{\"nonce\":{nonce},\"evidence_list\":[{{\"evidence\":\"AA==\",\"certificate\":\"AA==\"}}]}}"
        );
        GpuEvidence::read(Some(&Json::String(text))).unwrap()
    };
    let ours = [0xab; 32];
    assert!(read(&format!("\"{}\"", "ab".repeat(32))).check_stated_nonce(&ours).is_ok());
    assert!(read(&format!("\"{}\"", "AB".repeat(32))).check_stated_nonce(&ours).is_ok());
    for other in [format!("\"{}\"", "ac".repeat(32)), "\"\"".into(), "null".into(), "\"zz\"".into()] {
        let error = read(&other).check_stated_nonce(&ours).unwrap_err();
        assert_eq!(error.code(), Code::GpuNonceMismatch, "{other}");
    }
}

/// A captured device with the nonce it answered.
struct Sample {
    id: String,
    device: (Vec<u8>, Vec<u8>),
    nonce: [u8; 32],
    at: u64,
    source: Json,
}

fn samples(dir: &std::path::Path) -> Vec<Sample> {
    let index = read_json(&dir.join("index.json"));
    let devices = index.get("samples").and_then(Json::as_array).unwrap().iter();
    devices
        .filter(|sample| text(sample, "kind") == "nvidia-spdm-evidence")
        .map(|sample| {
            let file = |role| std::fs::read(dir.join(text(sample.get("files").unwrap(), role))).unwrap();
            Sample {
                id: text(sample, "id").into(),
                device: (file("report"), file("chain")),
                nonce: hex::decode_array(text(sample.get("fields").unwrap(), "nonce")).unwrap(),
                at: sample.get("verify_time").and_then(Json::as_u64).unwrap(),
                source: sample.clone(),
            }
        })
        .collect()
}

#[test]
fn captured_devices_are_verified() {
    let Some(dir) = captured("nvidia") else { return };
    let mut seen = 0;
    for sample in samples(&dir) {
        let id = &sample.id;
        let result = judge(std::slice::from_ref(&sample.device), &sample.nonce, sample.at);
        if text(sample.source.get("expected").unwrap(), "crypto") != "valid" {
            assert_eq!(result.unwrap_err().check(), Some("gpu.signature"), "{id}");
            continue;
        }
        let claims = result.unwrap_or_else(|error| panic!("{id}: {error}"));
        let claims = &claims[0];
        let fields = sample.source.get("fields").unwrap();
        let noted = |name: &str| fields.get(name).and_then(Json::as_str);
        assert_eq!(claims.driver_version.as_deref(), noted("driver_version"), "{id}");
        assert_eq!(claims.vbios_version.as_deref(), noted("vbios_version"), "{id}");
        assert_eq!(claims.firmware_id.map(|id| hex::encode(&id)).as_deref(), noted("fwid"), "{id}");
        let protected = noted("protected_pcie_status").map(|status| status == "aa");
        assert_eq!(claims.protected_pcie, protected, "{id}");
        let blocks = fields.get("blocks").and_then(Json::as_u64).unwrap();
        assert_eq!(u64::try_from(claims.measurements.len()).unwrap(), blocks, "{id}");
        let (kind, architecture) = match id.split('-').next() {
            Some("hopper") => (DeviceKind::Gpu, Architecture::Hopper),
            Some("blackwell") => (DeviceKind::Gpu, Architecture::Blackwell),
            _ => (DeviceKind::Switch, Architecture::Ls10),
        };
        assert_eq!((claims.kind, claims.architecture), (kind, architecture), "{id}");
        seen += 1;
    }
    assert_eq!(seen, 7);
}

#[test]
fn changed_devices_are_refused() {
    let Some(dir) = captured("nvidia") else { return };
    let samples = samples(&dir);
    let sample = samples.iter().find(|sample| sample.id == "hopper-580.159.03").unwrap();
    let Sample { device: (report, chain), nonce, at, .. } = sample;
    let reason = |report: &[u8], chain: &[u8], at: u64| {
        let error = judge(&[(report.to_vec(), chain.to_vec())], nonce, at).unwrap_err();
        error.check().unwrap_or_default().to_owned()
    };
    for length in (0..report.len()).step_by(7) {
        let found = reason(&report[..length], chain, *at);
        assert!(
            ["gpu.parse", "gpu.spdm", "gpu.signature"].contains(&found.as_str()),
            "cut at {length}: {found}"
        );
    }
    let mut random = Random(0x6e76);
    for _ in 0..200 {
        let place = usize::try_from(random.next()).unwrap() % report.len();
        let mut changed = report.clone();
        changed[place] ^= 1 << (random.next() % 8);
        let found = reason(&changed, chain, *at);
        let expected: &[&str] = if (4..36).contains(&place) {
            &["gpu.nonce"]
        } else {
            &["gpu.parse", "gpu.spdm", "gpu.signature"]
        };
        assert!(expected.contains(&found.as_str()), "byte {place}: {found}");
    }
    assert_eq!(reason(&[report.as_slice(), &[0]].concat(), chain, *at), "gpu.parse");
    assert_eq!(reason(report, chain, 0), "gpu.chain", "before the certificates");

    let pem = String::from_utf8(chain.clone()).unwrap();
    let blocks: Vec<&str> = pem.split_inclusive("-----END CERTIFICATE-----").take(5).collect();
    let reordered = |order: &[usize]| order.iter().map(|i| blocks[*i]).collect::<String>();
    for order in [
        &[4, 3, 2, 1, 0][..],
        &[0, 1, 2, 3],
        &[0, 1, 3, 4],
        &[4, 1, 2, 3, 4],
        &[0, 1, 1, 2, 3, 4],
        &[0, 2, 1, 3, 4],
    ] {
        assert_eq!(reason(report, reordered(order).as_bytes(), *at), "gpu.chain", "{order:?}");
    }
    for other in
        samples.iter().filter(|other| other.id.starts_with("blackwell") || other.id.ends_with("nvtrust"))
    {
        assert_eq!(reason(report, &other.device.1, *at), "gpu.signature", "chain of {}", other.id);
    }
    let none = TrustRoots::from_json(b"{\"schema\":\"proveil.trust-roots/v1\"}").unwrap();
    let evidence = GpuEvidence::read(Some(&payload(std::slice::from_ref(&sample.device)))).unwrap();
    assert_eq!(nvidia::verify(&evidence, nonce, &none, *at).unwrap_err().check(), Some("gpu.chain"));
    let twice = [sample.device.clone(), sample.device.clone()];
    assert_eq!(judge(&twice, nonce, *at).unwrap_err().check(), Some("gpu.duplicate"));
}

#[test]
fn eight_devices_of_one_answer() {
    let Some(dir) = captured("composite") else { return };
    let response = read_json(&dir.join("venice-20260610.response.json"));
    let evidence = GpuEvidence::read(response.get("nvidia_payload")).unwrap();
    let nonce = hex::decode_array(text(&response, "request_nonce")).unwrap();
    let roots = TrustRoots::default();
    evidence.check_stated_nonce(&nonce).unwrap();
    let claims = nvidia::verify(&evidence, &nonce, &roots, 1_781_056_027).unwrap();
    assert_eq!((claims.len(), evidence.devices().len()), (8, 8));
    assert!(claims.iter().all(|gpu| gpu.architecture == Architecture::Hopper && !gpu.custom_root));
    let error = nvidia::verify(&evidence, &[7; 32], &roots, 1_781_056_027).unwrap_err();
    assert_eq!((error.slug(), error.check()), ("gpu_nonce_mismatch", Some("gpu.nonce")));
}
