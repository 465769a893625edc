//! What NVIDIA is asked how often: manifests, revocation, tokens and keys, in memory and on disk.

use std::path::{Path, PathBuf};

use proveil_core::Code;
use proveil_core::evidence::GpuEndorsements;
use proveil_core::policy::Policy;
use proveil_core::report::Level;
use proveil_core::wire::hex;
use proveil_testkit::sim::{ATTESTATION_PATH, Defect, Simulator};

use super::{Desk, MODEL, count, simulator};
use crate::Verdict;

/// Requests for manifests, statuses, tokens, keys since the last look.
fn asked(sim: &Simulator) -> [usize; 4] {
    let recorded = sim.recorded();
    let with = |part: &str| recorded.requests().filter(|request| request.target.contains(part)).count();
    let asked = [with("/v1/rim/"), with("/ocsp"), with("/v3/attest/"), with("/jwks.json")];
    sim.clear_recorded();
    asked
}

fn policy(gpu: &str) -> Policy {
    Policy::from_json(format!("{{\"schema\":\"proveil.policy/v1\",\"gpu\":{gpu}}}").as_bytes()).unwrap()
}

fn everything() -> Policy {
    Policy::from_json(Defect::ENDORSED_POLICY.as_bytes()).unwrap()
}

fn desk(sim: &Simulator, policy: &Policy, dir: Option<&Path>) -> Desk {
    Desk::with(sim, |config| {
        config.policy = policy.clone();
        config.cache_dir = dir.map(Path::to_owned);
    })
}

async fn verified(desk: &Desk) {
    let report = desk.client.verify(MODEL).await.unwrap();
    assert_eq!(report.verdict(), Verdict::Verified, "{}", report.to_text());
}

/// The cached files whose names begin like this, in order.
fn files(dir: &Path, prefix: &str) -> Vec<PathBuf> {
    let folder = std::fs::read_dir(dir).unwrap().next().unwrap().unwrap().path();
    let all = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        all.filter(|file| file.file_name().unwrap().to_str().unwrap().starts_with(prefix)).collect();
    files.sort();
    files
}

#[tokio::test]
async fn the_preset_standard_asks_nvidia_nothing() {
    let sim = simulator(&[]);
    let desk = Desk::new(&sim);
    verified(&desk).await;
    assert_eq!(asked(&sim), [0; 4]);
}

#[tokio::test]
async fn a_second_verification_asks_for_a_token_only() {
    let sim = simulator(&[]);
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("proveil");
    let first = desk(&sim, &everything(), Some(&dir));
    verified(&first).await;
    assert_eq!(asked(&sim), [2, 7, 1, 1]);
    verified(&first).await;
    assert_eq!(asked(&sim), [0, 0, 1, 0]);
    // The key list is believed for ten minutes.
    first.clock.advance(599);
    verified(&first).await;
    assert_eq!(asked(&sim), [0, 0, 1, 0]);
    first.clock.advance(1);
    verified(&first).await;
    assert_eq!(asked(&sim), [0, 0, 1, 1]);
    // Another process has what is on disk.
    verified(&desk(&sim, &everything(), Some(&dir))).await;
    assert_eq!(asked(&sim), [0, 0, 1, 1]);
    // One that asks less is given less.
    verified(&desk(&sim, &policy(r#"{"require_rim":true}"#), Some(&dir))).await;
    assert_eq!(asked(&sim), [0; 4]);
    // What is kept holds no token.
    for file in files(&dir, "nvidia-") {
        let set = GpuEndorsements::from_json(&std::fs::read(&file).unwrap()).unwrap();
        assert!(set.nras.is_empty(), "{}", file.display());
    }
}

/// Statements about revocation are used for as long as they say; manifests have no end but their signers'.
#[tokio::test]
async fn statuses_age() {
    let sim = simulator(&[]);
    let rules = policy(r#"{"require_rim":true,"require_ocsp":true}"#);
    let desk = desk(&sim, &rules, None);
    verified(&desk).await;
    assert_eq!(asked(&sim), [2, 7, 0, 0]);
    desk.clock.advance(86_399);
    verified(&desk).await;
    assert_eq!(asked(&sim), [0; 4]);
    // The simulator's statements are of its own time, so new ones are no newer: the check is not made, and nothing is verified.
    desk.clock.advance(1);
    let report = desk.client.verify(MODEL).await.unwrap();
    assert_eq!(report.verdict(), Verdict::Indeterminate, "{}", report.to_text());
    assert_eq!(asked(&sim), [0, 7, 0, 0]);
}

/// Threats T24: a spoilt entry, or one of other roots, is a miss and is replaced.
#[tokio::test]
async fn spoilt_entries_cost_a_request() {
    let sim = simulator(&[]);
    let other = simulator(&[]);
    let home = tempfile::tempdir().unwrap();
    let (dir, other_dir) = (home.path().join("proveil"), home.path().join("other"));
    let rules = policy(r#"{"require_rim":true,"require_ocsp":true}"#);
    verified(&desk(&sim, &rules, Some(&dir))).await;
    verified(&desk(&other, &rules, Some(&other_dir))).await;
    for (prefix, fetched) in [("nvidia-rim-NV-GPU-DRIVER", [1, 0, 0, 0]), ("nvidia-ocsp-", [0, 7, 0, 0])] {
        let [file] = files(&dir, prefix).try_into().unwrap();
        let good = std::fs::read_to_string(&file).unwrap();
        let [foreign] = files(&other_dir, prefix).try_into().unwrap();
        let middle = good.len() / 2;
        let other_letter = if good.as_bytes()[middle] == b'A' { "B" } else { "A" };
        // (content, warnings when it is read)
        let cases = [
            (String::new(), 1),
            ("{}".to_owned(), 1),
            (good[..middle].to_owned(), 1),
            (good.replacen("\"schema\"", "\"scheme\"", 1), 1),
            (good.replacen('{', "{\"rims\":[],\"rims\":[],", 1), 1),
            (format!("{}{other_letter}{}", &good[..middle], &good[middle + 1..]), 0),
            (std::fs::read_to_string(foreign).unwrap(), 0),
        ];
        for (content, warnings) in cases {
            std::fs::write(&file, &content).unwrap();
            sim.clear_recorded();
            let desk = desk(&sim, &rules, Some(&dir));
            verified(&desk).await;
            let what: String = content.chars().take(60).collect();
            assert_eq!((asked(&sim), desk.warnings()), (fetched, warnings), "{prefix} {what}");
            if prefix == "nvidia-ocsp-" {
                // A new set has a name of its own; the spoilt one is in nobody's way.
                std::fs::remove_file(&file).unwrap();
                for new in files(&dir, prefix) {
                    std::fs::rename(new, &file).unwrap();
                }
            } else {
                assert_eq!(std::fs::read_to_string(&file).unwrap().len(), good.len(), "{what}: replaced");
            }
        }
    }
}

/// Nothing is kept of what a refused or undecided verification fetched.
#[tokio::test]
async fn what_did_not_pass_is_not_kept() {
    for defect in [Defect::RimOtherValues, Defect::GpuRevoked, Defect::OcspExpired, Defect::NrasRefuses] {
        let sim = simulator(&[defect]);
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("proveil");
        let desk = desk(&sim, &everything(), Some(&dir));
        assert_ne!(desk.client.verify(MODEL).await.unwrap().verdict(), Verdict::Verified);
        assert!(!dir.exists(), "{}", defect.name());
        sim.set_defects(&[]);
        sim.clear_recorded();
        verified(&desk).await;
        assert_eq!(asked(&sim), [2, 7, 1, 1], "{}", defect.name());
    }
}

/// A service that is down is asked again with a new challenge, as long as that may help.
#[tokio::test]
async fn outages_are_retried_and_then_said() {
    // After the first that cannot be had nothing more is asked: it would tell NVIDIA of the devices in vain.
    let cases = [
        (Defect::RimDown, Code::CollateralUnreachable, 3, [3, 0, 0, 0]),
        (Defect::RimMissing, Code::CollateralMissing, 1, [1, 0, 0, 0]),
        (Defect::OcspDown, Code::CollateralUnreachable, 3, [6, 3, 0, 0]),
        (Defect::NrasDown, Code::CollateralUnreachable, 3, [6, 21, 3, 0]),
        (Defect::JwksDown, Code::CollateralUnreachable, 3, [6, 21, 3, 3]),
    ];
    for (defect, code, attestations, requests) in cases {
        let sim = simulator(&[defect]);
        let desk = desk(&sim, &everything(), None);
        let error = desk.client.ready(MODEL).await.unwrap_err();
        assert_eq!(error.code(), code, "{}: {error}", defect.name());
        assert_eq!(count(&sim, ATTESTATION_PATH), attestations, "{}", defect.name());
        assert_eq!(asked(&sim), requests, "{}", defect.name());
    }
    // NVIDIA's word does where the policy takes it for our comparison.
    let sim = simulator(&[Defect::RimDown]);
    let hash = hex::encode(&sim.world().guest.app.compose_hash());
    let document = format!(
        "{{\"schema\":\"proveil.policy/v1\",\"extends\":\"strict\",\"gpu\":{{\"nras\":\"required\"}},\"software\":{{\"compose_hash\":[\"{hash}\"],\"enforces_gpu\":true}}}}"
    );
    let either = Policy::from_json(document.as_bytes()).unwrap();
    verified(&desk(&sim, &either, None)).await;
    assert_eq!(asked(&sim), [1, 0, 1, 1]);
}

/// Many at once, in one process and over one directory.
#[tokio::test]
async fn parallel_use() {
    let sim = simulator(&[]);
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("proveil");
    let one = desk(&sim, &everything(), Some(&dir));
    let endpoints = futures_util::future::join_all((0..20).map(|_| one.client.ready(MODEL))).await;
    assert!(endpoints.iter().all(Result::is_ok));
    assert_eq!(asked(&sim), [2, 7, 1, 1]);
    let desks: Vec<Desk> = (0..6).map(|_| desk(&sim, &everything(), Some(&dir))).collect();
    futures_util::future::join_all(desks.iter().map(verified)).await;
    assert_eq!(asked(&sim), [0, 0, 6, 6]);
    std::fs::remove_dir_all(&dir).unwrap();
    let desks: Vec<Desk> = (0..6).map(|_| desk(&sim, &everything(), Some(&dir))).collect();
    futures_util::future::join_all(desks.iter().map(verified)).await;
    assert_eq!(desks.iter().map(Desk::warnings).sum::<usize>(), 0);
    sim.clear_recorded();
    verified(&desk(&sim, &everything(), Some(&dir))).await;
    assert_eq!(asked(&sim), [0, 0, 1, 1]);
}

/// The strictest preset with reference values reaches the highest level, through the whole client.
#[tokio::test]
async fn strict_reaches_the_highest_level() {
    let sim = simulator(&[]);
    let hash = hex::encode(&sim.world().guest.app.compose_hash());
    let document = format!(
        "{{\"schema\":\"proveil.policy/v1\",\"extends\":\"strict\",\"software\":{{\"compose_hash\":[\"{hash}\"],\"enforces_gpu\":true}}}}"
    );
    let strict = Policy::from_json(document.as_bytes()).unwrap();
    let report = desk(&sim, &strict, None).client.verify(MODEL).await.unwrap();
    assert_eq!(
        (report.verdict(), report.level()),
        (Verdict::Verified, Some(Level::L4)),
        "{}",
        report.to_text()
    );
    assert_eq!(asked(&sim), [2, 0, 0, 0]);
}
