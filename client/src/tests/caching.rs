//! What is asked for how often: proofs, model list, collateral in memory and on disk.

use std::path::{Path, PathBuf};

use proveil_core::Code;
use proveil_testkit::sim::{ATTESTATION_PATH, Defect, Simulator};

use super::{Desk, MODEL, MODELS_PATH, collateral_count, count, simulator};

#[tokio::test]
async fn concurrent_callers_cause_one_verification() {
    let sim = simulator(&[]);
    let desk = Desk::new(&sim);
    let endpoints = futures_util::future::join_all((0..40).map(|_| desk.client.ready(MODEL))).await;
    let first = endpoints[0].as_ref().unwrap();
    for endpoint in &endpoints {
        assert!(std::sync::Arc::ptr_eq(endpoint.as_ref().unwrap(), first));
    }
    assert_eq!((count(&sim, MODELS_PATH), count(&sim, ATTESTATION_PATH), collateral_count(&sim)), (1, 1, 4));

    // The same for an error, which is not kept.
    sim.set_defects(&[Defect::TamperedQuote]);
    sim.clear_recorded();
    let desk = Desk::new(&sim);
    let refused = futures_util::future::join_all((0..40).map(|_| desk.client.ready(MODEL))).await;
    assert!(refused.iter().all(|result| result.as_ref().is_err_and(|e| e.code() == Code::QuoteSignature)));
    assert_eq!(count(&sim, ATTESTATION_PATH), 1);
}

/// After its time a proof is made anew, with a new challenge; list and collateral are still good.
#[tokio::test]
async fn an_expired_proof_is_made_anew() {
    let sim = simulator(&[]);
    let desk = Desk::new(&sim);
    let first = desk.client.ready(MODEL).await.unwrap();
    assert_eq!(first.not_after(), sim.now() + 1800);
    desk.clock.advance(1800);
    let second = desk.client.ready(MODEL).await.unwrap();
    assert!(second.not_after() > first.not_after());
    assert_eq!((count(&sim, MODELS_PATH), count(&sim, ATTESTATION_PATH), collateral_count(&sim)), (1, 2, 4));
    let recorded = sim.recorded();
    let nonces: Vec<&str> =
        recorded.to_path(ATTESTATION_PATH).map(|request| request.target.as_str()).collect();
    assert_ne!(nonces[0], nonces[1]);
    // The list is an hour old by then.
    desk.clock.advance(1800);
    desk.client.ready(MODEL).await.unwrap();
    assert_eq!((count(&sim, MODELS_PATH), count(&sim, ATTESTATION_PATH)), (2, 3));
}

#[tokio::test]
async fn verify_is_always_fresh_and_models_are_apart() {
    let sim = simulator(&[]);
    let desk = Desk::new(&sim);
    desk.client.ready(MODEL).await.unwrap();
    desk.client.verify(MODEL).await.unwrap();
    desk.client.ready(MODEL).await.unwrap();
    assert_eq!(count(&sim, ATTESTATION_PATH), 2);
    desk.client.ready(proveil_testkit::sim::models::E2EE_REASONING).await.unwrap();
    assert_eq!(count(&sim, ATTESTATION_PATH), 3);
}

#[tokio::test]
async fn a_busy_attestation_service_is_asked_three_times() {
    for (defect, works) in [(Defect::AttestationFailsTwice, true), (Defect::AttestationDown, false)] {
        let sim = simulator(&[defect]);
        let result = Desk::new(&sim).client.verify(MODEL).await;
        assert_eq!(result.is_ok(), works, "{result:?}");
        let recorded = sim.recorded();
        let mut asked: Vec<&str> =
            recorded.to_path(ATTESTATION_PATH).map(|request| request.target.as_str()).collect();
        assert_eq!(asked.len(), 3);
        asked.sort_unstable();
        asked.dedup();
        assert_eq!(asked.len(), 3, "a new challenge each time");
        assert_eq!(count(&sim, MODELS_PATH), 1);
    }
}

#[tokio::test]
async fn models_in_the_common_form() {
    let sim = simulator(&[]);
    let json = Desk::new(&sim).client.models_json().await.unwrap();
    let list: serde_json::Value = serde_json::from_str(&json).unwrap();
    let models = list["models"].as_array().unwrap();
    let class = |id: &str| models.iter().find(|model| model["id"] == id).unwrap()["class"].clone();
    let cases = [
        (MODEL, "e2ee"),
        ("tee-sim-9b", "tee"),
        ("sim-open-70b", "private"),
        ("sim-frontier-1", "anonymous"),
        ("e2ee-sim-name-only", "private"),
    ];
    for (id, expected) in cases {
        assert_eq!(class(id), expected, "{id}");
    }
    assert_eq!(models[0]["context_tokens"], 32_768);
}

fn desk_with_cache(sim: &Simulator, dir: &Path) -> Desk {
    Desk::with(sim, |config| config.cache_dir = Some(dir.to_owned()))
}

/// The only collateral file below a directory.
fn cached_file(dir: &Path) -> PathBuf {
    let folder = std::fs::read_dir(dir).unwrap().next().unwrap().unwrap().path();
    let files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        files.filter(|file| file.file_name().unwrap().to_str().unwrap().starts_with("tdx-")).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

/// Threats T24: what is on disk is verified like anything else, and a bad entry costs a request, nothing more.
#[tokio::test]
async fn the_disk_cache_saves_requests_and_cannot_do_harm() {
    let sim = simulator(&[]);
    let other = simulator(&[]);
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("proveil");
    desk_with_cache(&sim, &dir).client.verify(MODEL).await.unwrap();
    assert_eq!(collateral_count(&sim), 4);
    sim.clear_recorded();
    desk_with_cache(&sim, &dir).client.verify(MODEL).await.unwrap();
    assert_eq!(collateral_count(&sim), 0);

    let good = std::fs::read_to_string(cached_file(&dir)).unwrap();
    let flipped = {
        let at = good.find("\"tcb_info_signature\":\"").unwrap() + 25;
        let digit = if &good[at..=at] == "0" { "1" } else { "0" };
        format!("{}{digit}{}", &good[..at], &good[at + 1..])
    };
    // (content, warnings when it is read)
    let cases = [
        (String::new(), 1),
        ("{}".to_owned(), 1),
        (good[..good.len() / 2].to_owned(), 1),
        ("x".repeat(1000), 1),
        (good.replace("{\"", "{\"pck_crl\":\"00\",\""), 1),
        // Well-formed, but signed by nobody, by others, or for later.
        (flipped, 0),
        (other.collateral_json(), 0),
        (good.replacen("\\\"version\\\":3", "\\\"version\\\":4", 1), 0),
    ];
    for (content, warnings) in cases {
        std::fs::write(cached_file(&dir), &content).unwrap();
        sim.clear_recorded();
        let desk = desk_with_cache(&sim, &dir);
        let what = content.chars().take(60).collect::<String>();
        assert_eq!(desk.client.verify(MODEL).await.unwrap().verdict(), crate::Verdict::Verified, "{what}");
        assert_eq!((collateral_count(&sim), desk.warnings()), (4, warnings), "{what}");
        assert_eq!(std::fs::read_to_string(cached_file(&dir)).unwrap(), good, "{what}: repaired");
    }
}

/// Threats T59: without a usable directory everything works, with a warning.
#[tokio::test]
async fn an_unusable_cache_directory_is_a_warning() {
    let sim = simulator(&[]);
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    std::fs::write(&file, b"in the way").unwrap();
    let desk = desk_with_cache(&sim, &file);
    desk.client.verify(MODEL).await.unwrap();
    assert!(desk.warnings() > 0);
    desk.client.verify(MODEL).await.unwrap();
    assert_eq!(collateral_count(&sim), 4, "memory still saves requests");
}

/// Threats T23: a service that is down does not matter while the collateral at hand is valid.
#[tokio::test]
async fn collateral_at_hand_bridges_an_outage() {
    let sim = simulator(&[]);
    let desk = Desk::new(&sim);
    desk.client.verify(MODEL).await.unwrap();
    sim.set_defects(&[Defect::CollateralDown]);
    assert_eq!(desk.client.verify(MODEL).await.unwrap().verdict(), crate::Verdict::Verified);
    let fresh = Desk::new(&sim).client.verify(MODEL).await.unwrap();
    assert_eq!(fresh.verdict(), crate::Verdict::Indeterminate);
}

/// Threats T16: collateral with a lower evaluation number than seen before is refused, across processes, though it is signed and current.
#[tokio::test]
async fn collateral_does_not_go_back() {
    let sim = simulator(&[]);
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("proveil");
    desk_with_cache(&sim, &dir).client.verify(MODEL).await.unwrap();
    sim.set_defects(&[Defect::EvalNumberRollback]);
    // A newcomer cannot know.
    Desk::new(&sim).client.verify(MODEL).await.unwrap();
    std::fs::remove_file(cached_file(&dir)).unwrap();
    let desk = desk_with_cache(&sim, &dir);
    let error = desk.client.ready(MODEL).await.unwrap_err();
    assert_eq!(error.code(), Code::TcbEvaluationNumber, "{error}");
    assert!(error.report_json().is_some());
    // An old file in the cache is not used either: new collateral is fetched.
    let folder = std::fs::read_dir(&dir).unwrap().next().unwrap().unwrap().path();
    std::fs::write(folder.join("tdx-old.json"), sim.collateral_json()).unwrap();
    sim.set_defects(&[]);
    sim.clear_recorded();
    desk_with_cache(&sim, &dir).client.verify(MODEL).await.unwrap();
    assert_eq!(collateral_count(&sim), 4);
}
