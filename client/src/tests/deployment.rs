//! What a client keeps of a Privatemode deployment, and what reports call its checks.

use proveil_core::report::{Outcome as CheckOutcome, Verdict};
use proveil_testkit::sim::privatemode::models::{REASONER, VISION};
use proveil_testkit::sim::privatemode::{Defect, Simulator};

use super::Desk;
use super::privatemode::{desk, desk_with, simulator};
use crate::Notice;

/// T01: that the evidence answers our challenge has the name that it has for every provider, whatever the verdict.
#[tokio::test]
async fn freshness_has_its_own_name() {
    let sim = simulator(&[]);
    let desk = desk(&sim);
    for (defects, outcome) in [
        (&[][..], CheckOutcome::Pass),
        (&[Defect::NonceOther], CheckOutcome::NotChecked),
        (&[Defect::WrongMeasurement], CheckOutcome::NotChecked),
        (&[Defect::DocumentGarbage], CheckOutcome::NotChecked),
        (&[Defect::ManifestOther], CheckOutcome::NotChecked),
    ] {
        sim.set_defects(defects);
        let report = desk.client.verify(VISION).await.unwrap();
        let found: Vec<CheckOutcome> =
            report.checks().iter().filter(|check| check.id() == "nonce.cpu").map(|c| c.outcome()).collect();
        assert_eq!(found, [outcome], "{defects:?}");
    }
}

/// What the deployment was proven to run, and since when: on a change only, never what was refused, and never in the way (threats T27, T59).
#[tokio::test]
async fn a_log_of_manifests() {
    let sim = simulator(&[]);
    let home = tempfile::tempdir().unwrap();
    let workspace = home.path().join("workspace");
    let folder = workspace.join("manifests");
    let logging = || desk_with(&sim, |config| config.workspace = Some(workspace.clone()));
    let lines = || std::fs::read_to_string(folder.join("log.txt")).unwrap_or_default().lines().count();
    let changes = |desk: &Desk| -> Vec<String> {
        let notices = desk.notices.lock().unwrap();
        let text = |notice: &Notice| match notice {
            Notice::ManifestChanged { difference, .. } => Some(difference.clone()),
            _ => None,
        };
        notices.iter().filter_map(text).collect()
    };
    let first = logging();
    // A refusal, and evidence that could not be had, leave nothing.
    for defect in [Defect::ReportTampered, Defect::KdsDown, Defect::SecretSwapped] {
        sim.set_defects(&[defect]);
        assert_ne!(first.client.verify(VISION).await.unwrap().verdict(), Verdict::Verified);
        assert!(!workspace.exists(), "{}", defect.name());
    }
    sim.set_defects(&[]);
    for model in [VISION, REASONER, VISION] {
        first.client.verify(model).await.unwrap();
    }
    assert_eq!((lines(), changes(&first).len(), first.warnings()), (1, 0, 0));
    let before = sim.manifest();
    assert_eq!(std::fs::read(folder.join("1.json")).unwrap(), before);

    sim.set_defects(&[Defect::ManifestChanged]);
    let second = logging();
    for desk in [&first, &second, &first] {
        desk.client.verify(VISION).await.unwrap();
    }
    let log = std::fs::read_to_string(folder.join("log.txt")).unwrap();
    let after = std::fs::read(folder.join("2.json")).unwrap();
    let sha256 = |bytes: &[u8]| proveil_core::wire::hex::encode(&proveil_core::crypto::sha256(&[bytes]));
    let line = |n: usize, bytes: &[u8]| {
        format!("2026-09-21T14:13:20Z manifests/{n}.json sha256:{} CUSTOM roots\n", sha256(bytes))
    };
    assert_eq!(log, line(1, &before) + &line(2, &after));
    assert!(before != after);
    let member = "ReferenceValues.snp[0].TrustedMeasurement";
    let difference = std::fs::read_to_string(folder.join("2.diff.txt")).unwrap();
    assert!(difference.contains(member) && difference.contains(&sha256(&before)), "{difference}");
    let told = changes(&first);
    assert!(told.len() == 1 && told[0].contains(member), "{told:?}");
    assert_eq!(changes(&second).len(), 0, "it saw no other one, and the log has this one");

    // The change happened while nobody looked: the log tells.
    sim.set_defects(&[]);
    let third = logging();
    third.client.verify(VISION).await.unwrap();
    assert_eq!((lines(), changes(&third).len()), (3, 1));
    // Without a folder a running client tells it still.
    let plain = desk(&sim);
    for defects in [&[][..], &[Defect::ManifestChanged]] {
        sim.set_defects(defects);
        plain.client.verify(VISION).await.unwrap();
    }
    assert_eq!(changes(&plain).len(), 1);

    // A log that cannot be written is a warning each time, and does not stop anybody: neither one that somebody else holds.
    #[cfg(unix)]
    {
        let held = crate::disk::lock(&folder.join("log.txt")).unwrap();
        let waiting = logging();
        sim.set_defects(&[]);
        assert_eq!(waiting.client.verify(VISION).await.unwrap().verdict(), Verdict::Verified);
        assert_eq!((waiting.warnings(), lines()), (1, 3));
        drop(held);
    }
    sim.set_defects(&[Defect::ManifestChanged]);
    std::fs::remove_file(folder.join("log.txt")).unwrap();
    // The manifests are there and their lines are not, as after a kill: they get new ones.
    let adopting = logging();
    for _ in 0..2 {
        assert_eq!(adopting.client.verify(VISION).await.unwrap().verdict(), Verdict::Verified);
        assert_eq!((adopting.warnings(), lines()), (0, 4));
    }
    // What is no manifest of ours is nothing to go on with.
    std::fs::create_dir(folder.join("5.json")).unwrap();
    sim.set_defects(&[]);
    let spoilt = logging();
    for warnings in [1, 2] {
        assert_eq!(spoilt.client.verify(VISION).await.unwrap().verdict(), Verdict::Verified);
        assert_eq!((spoilt.warnings(), lines()), (warnings, 4));
    }
}

/// Requests for chips' certificates and for revocation lists since the last look.
fn asked_of_amd(sim: &Simulator) -> [usize; 2] {
    let recorded = sim.recorded();
    let with = |part: &str| recorded.requests().filter(|request| request.target.contains(part)).count();
    let asked = [with("?blSPL="), with("/crl")];
    sim.clear_recorded();
    asked
}

/// AMD is asked once for a chip and once a day for revocations, whatever the number of verifications and clients; what is kept is believed no
/// more than what is fetched (threats T24).
#[tokio::test]
async fn answers_of_amd_are_kept() {
    let sim = simulator(&[Defect::VcekMissing, Defect::CrlMissing]);
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("cache");
    let caching = || desk_with(&sim, |config| config.cache_dir = Some(dir.clone()));
    let verify = async |desk: &Desk| desk.client.verify(VISION).await.unwrap().verdict();
    // Without a directory a client keeps them for itself.
    let plain = desk(&sim);
    for asked in [[1, 1], [0, 0]] {
        assert_eq!((verify(&plain).await, asked_of_amd(&sim)), (Verdict::Verified, asked));
    }
    // What did not verify is not kept.
    let first = caching();
    sim.set_defects(&[Defect::VcekMissing, Defect::CrlMissing, Defect::SecretSwapped]);
    for _ in 0..2 {
        assert_eq!((verify(&first).await, asked_of_amd(&sim)), (Verdict::Refused, [1, 1]));
    }
    assert!(!dir.exists());
    sim.set_defects(&[Defect::VcekMissing, Defect::CrlMissing]);
    assert_eq!((verify(&first).await, asked_of_amd(&sim)), (Verdict::Verified, [1, 1]));
    let second = caching();
    let capture = second.client.capture(VISION).await.unwrap();
    assert_eq!((capture.report.verdict(), asked_of_amd(&sim)), (Verdict::Verified, [0, 0]));
    // What was at hand is in the capture.
    let roots = capture.bundle.custom_roots().cloned();
    assert_eq!(capture.bundle.appraise(None, roots.as_ref(), None).0.to_json(), capture.report.to_json());
    // Only what a document lacks is used.
    sim.set_defects(&[Defect::CrlMissing]);
    assert_eq!((verify(&second).await, asked_of_amd(&sim)), (Verdict::Verified, [0, 0]));
    // An outage of AMD's service is not noticed.
    sim.set_defects(&[Defect::KdsDown]);
    assert_eq!((verify(&second).await, asked_of_amd(&sim)), (Verdict::Verified, [0, 0]));
    // A report that is not genuine is refused as ever, and so is a document with another chip's certificate.
    for defects in [&[Defect::ReportTampered, Defect::VcekMissing][..], &[Defect::OtherVcek]] {
        sim.set_defects(defects);
        assert_eq!((verify(&second).await, asked_of_amd(&sim)), (Verdict::Refused, [0, 0]), "{defects:?}");
    }

    // Spoilt entries are misses: each is asked for anew and replaced.
    sim.set_defects(&[Defect::VcekMissing, Defect::CrlMissing]);
    let folder = std::fs::read_dir(&dir).unwrap().next().unwrap().unwrap().path();
    let entries = |prefix: &str| -> Vec<std::path::PathBuf> {
        let paths = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        paths.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(prefix)).collect()
    };
    for (prefix, asked) in [("amd-vcek-", [1, 0]), ("amd-crl-", [0, 1])] {
        let [path] = entries(prefix).try_into().unwrap();
        let good = std::fs::read_to_string(&path).unwrap();
        let place = good.find("\"der\":").unwrap() + 400;
        let flipped = if good.as_bytes()[place] == b'A' { "B" } else { "A" };
        let mut spoilt = good.clone();
        spoilt.replace_range(place..=place, flipped);
        for text in [spoilt.as_str(), "", "{}"] {
            std::fs::write(&path, text).unwrap();
            let third = caching();
            assert_eq!((verify(&third).await, asked_of_amd(&sim)), (Verdict::Verified, asked), "{text}");
            assert_eq!((third.warnings(), std::fs::read_to_string(&path).unwrap()), (1, good.clone()));
        }
    }

    // A list is asked for again after a day.
    for (seconds, asked) in [(24 * 3600 - 1, [0, 0]), (1, [0, 1])] {
        sim.advance(seconds);
        assert_eq!((verify(&caching()).await, asked_of_amd(&sim)), (Verdict::Verified, asked));
    }
}
