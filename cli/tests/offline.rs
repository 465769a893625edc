//! `proveil verify` over captured evidence of a real deployment, read in place (`../shared/evidence`, or `PROVEIL_EVIDENCE`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout
)]

use std::path::{Path, PathBuf};

use assert_cmd::Command;

/// The folder with the captured answers, unless it is not there.
fn composite() -> Option<PathBuf> {
    let root = std::env::var_os("PROVEIL_EVIDENCE")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/evidence"), PathBuf::from);
    let folder = root.join("composite");
    if folder.join(RESPONSE).exists() {
        return Some(folder);
    }
    println!("skipped: no captured evidence (4 cases)");
    None
}

const RESPONSE: &str = "venice-20260610.response.json";
const COLLATERAL: &str = "collateral-venice-20260610-90c06f000000.json";

struct Sample {
    nonce: String,
    at: u64,
}

/// Nonce and time as the index names them.
fn sample(folder: &Path) -> Sample {
    let index: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("index.json")).unwrap()).unwrap();
    let samples = index["samples"].as_array().unwrap();
    let entry = samples.iter().find(|entry| entry["files"]["response"] == RESPONSE).unwrap();
    Sample {
        nonce: entry["client_nonce"].as_str().unwrap().to_owned(),
        at: entry["verify_time"].as_u64().unwrap(),
    }
}

fn verify(response: &Path, folder: &Path, sample: &Sample, more: &[&str]) -> (i32, String, String) {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("proveil"));
    command.env_clear().env("HOME", home.path()).current_dir(home.path());
    command.args(["verify", "venice", "--nonce", &sample.nonce]);
    command.arg("--response").arg(response).arg("--collateral").arg(folder.join(COLLATERAL));
    if !more.contains(&"--at") {
        command.args(["--at", &sample.at.to_string()]);
    }
    let output = command.args(more).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_real_deployment_verifies_and_says_what_is_not_proven() {
    let Some(folder) = composite() else { return };
    let sample = sample(&folder);
    let response = folder.join(RESPONSE);
    let (code, out, err) = verify(&response, &folder, &sample, &[]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.starts_with("VERIFIED"), "{out}");
    for part in ["Level L2", "Not proven", "Missing to the next level", "Hardware", "Key binding"] {
        assert!(out.contains(part), "{part}: {out}");
    }
    assert!(out.lines().all(|line| line.chars().count() <= 80), "{out}");
    assert_eq!(err, "");
    let (code, out, err) = verify(&response, &folder, &sample, &["--json"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&report["schema"], &report["verdict"]), (&"proveil.report/v1".into(), &"verified".into()));
    // The same evidence at the same time gives the same bytes.
    assert_eq!(verify(&response, &folder, &sample, &["--json"]).1, out);
}

#[test]
fn one_changed_byte_of_the_quote_is_refused() {
    let Some(folder) = composite() else { return };
    let sample = sample(&folder);
    let text = std::fs::read_to_string(folder.join(RESPONSE)).unwrap();
    let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
    let quote = answer["intel_quote"].as_str().unwrap();
    // A byte in the middle of the signed body (MRTD) and one in the signature.
    for (at, code) in [(2 * 200, "PV-225"), (2 * 640, "PV-225")] {
        let old = &quote[at..at + 2];
        let new = if old == "00" { "01" } else { "00" };
        let changed = format!("{}{new}{}", &quote[..at], &quote[at + 2..]);
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("changed.json");
        std::fs::write(&file, text.replace(quote, &changed)).unwrap();
        let (exit, out, err) = verify(&file, &folder, &sample, &[]);
        assert_eq!(exit, 3, "{out}{err}");
        assert!(
            out.starts_with("REFUSED") && err.contains(code) && err.contains("Refused to send"),
            "{out}{err}"
        );
        assert!(err.contains("proveil explain"), "{err}");
    }
}

#[test]
fn a_time_past_the_collateral_cannot_be_judged() {
    let Some(folder) = composite() else { return };
    let sample = sample(&folder);
    let later = (sample.at + 365 * 24 * 3600).to_string();
    let (exit, out, err) = verify(&folder.join(RESPONSE), &folder, &sample, &["--at", &later]);
    assert_eq!(exit, 4, "{out}{err}");
    assert!(err.contains("Could not check (PV-3"), "{err}");
}

#[test]
fn a_foreign_nonce_and_a_strict_policy_are_refused() {
    let Some(folder) = composite() else { return };
    let sample = sample(&folder);
    let response = folder.join(RESPONSE);
    let other = Sample { nonce: "00".repeat(32), at: sample.at };
    let (exit, out, err) = verify(&response, &folder, &other, &[]);
    assert_eq!(exit, 3, "{out}{err}");
    assert!(err.contains("PV-201") || err.contains("PV-202"), "{err}");
    let (exit, out, err) = verify(&response, &folder, &sample, &["--policy", "strict"]);
    assert_ne!(exit, 0, "{out}{err}");
    assert!(!out.starts_with("VERIFIED"), "{out}");
}
