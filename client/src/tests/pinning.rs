//! Pinned software: what is refused, what is accepted and by whom, and that a store which cannot be read stops everything (README
//! decision 6; threats T27, T59).

use std::sync::Arc;

use proveil_core::policy::Policy;
use proveil_core::report::{Outcome, Verdict};
use proveil_core::wire::hex;
use proveil_core::{Class, Code, Error, Result};
use proveil_testkit::sim::{Defect, Simulator};

use super::{Desk, MODEL, PROMPT, expected, simulator};
use crate::{FilePins, MemoryPins, Pin, PinKey, PinStore};

fn desk(sim: &Simulator, pins: &Arc<dyn PinStore>) -> Desk {
    Desk::with(sim, |config| config.pins = Some(pins.clone()))
}

fn memory() -> Arc<dyn PinStore> {
    Arc::new(MemoryPins::new())
}

/// T27: after a pin the same software works, another is refused with old and new value and where they differ, and only the digest that
/// somebody looked at is accepted.
#[tokio::test]
async fn changed_software_is_refused_until_it_is_accepted() {
    let sim = simulator(&[]);
    let pins = memory();
    let desk = desk(&sim, &pins);
    // Nothing is pinned: as the policy says.
    assert_eq!(desk.chat(PROMPT).await.unwrap(), expected(PROMPT));
    assert_eq!(pins.list().unwrap(), []);

    let pin = desk.client.pin(MODEL).await.unwrap();
    assert_eq!((pin.key.model.as_str(), pin.pinned_at), (MODEL, sim.now()));
    assert_eq!(pins.get(&pin.key).unwrap().as_ref(), Some(&pin));
    assert_eq!(desk.client.pin(MODEL).await.unwrap(), pin, "it stays");
    let report = desk.client.verify(MODEL).await.unwrap();
    let check = report.checks().iter().find(|check| check.id() == "software.pin").unwrap();
    assert_eq!((check.outcome(), report.verdict()), (Outcome::Pass, Verdict::Verified));
    assert_eq!(desk.chat(PROMPT).await.unwrap(), expected(PROMPT));

    sim.set_defects(&[Defect::SoftwareUpdated]);
    let measured = desk.client.measure(MODEL).await.unwrap();
    let found = measured.software.unwrap();
    assert_eq!(measured.pinned.as_ref(), Some(&pin));
    assert_eq!(measured.report.verdict(), Verdict::Refused);
    let words: Vec<String> = measured.differences.iter().map(ToString::to_string).collect();
    for place in [
        "compose hash",
        "event 3 of RTMR3 (compose-hash)",
        "app_compose.docker_compose_file line 3",
        "MR_CONFIG_ID",
    ] {
        assert!(words.iter().any(|words| words.starts_with(place)), "{place} in {words:#?}");
    }
    let line = words.iter().find(|words| words.contains("line 3")).unwrap();
    assert!(line.contains(&"0".repeat(40)) && line.contains(&"2".repeat(40)), "{line}");

    let error = desk.client.ready(MODEL).await.map(drop).unwrap_err();
    assert_eq!((error.code(), error.check()), (Code::SoftwareChanged, Some("software.pin")));
    assert_eq!(error.expected_value(), Some(hex::short(&pin.software.sha256()).as_str()));
    assert_eq!(error.found_value(), Some(hex::short(&found.sha256()).as_str()));
    assert!(error.message().contains("compose hash"), "{error}");
    let report = error.report_json().unwrap();
    for text in ["pin.difference.1", "docker_compose_file line 3", &hex::encode(&found.sha256())] {
        assert!(report.contains(text), "{text}");
    }
    sim.clear_recorded();
    assert_eq!(desk.chat(PROMPT).await.unwrap_err().code(), Code::SoftwareChanged);
    assert!(sim.recorded().requests().all(|request| !request.target.contains("/chat/")), "nothing was sent");

    // Neither pinning again nor a digest of something else takes the new software.
    assert_eq!(desk.client.pin(MODEL).await.unwrap_err().code(), Code::SoftwareChanged);
    for digest in [pin.software.sha256(), [0; 32]] {
        let error = desk.client.accept_pin(MODEL, &digest).await.unwrap_err();
        assert_eq!(error.code(), Code::SoftwareChanged);
    }
    assert_eq!(pins.get(&pin.key).unwrap(), Some(pin.clone()));

    let accepted = desk.client.accept_pin(MODEL, &found.sha256()).await.unwrap();
    assert_eq!((&accepted.software, accepted.software.compose().is_some()), (&found, true));
    assert_eq!(desk.chat(PROMPT).await.unwrap(), expected(PROMPT));
    // Going back is a change like any other.
    sim.set_defects(&[]);
    assert_eq!(desk.client.verify(MODEL).await.unwrap().code(), Some("PV-263"));
}

/// A pin only refuses: what is refused without it stays refused, for its own reason, and is not offered for acceptance.
#[tokio::test]
async fn a_pin_accepts_nothing() {
    let sim = simulator(&[]);
    let pins = memory();
    let desk = desk(&sim, &pins);
    let pin = desk.client.pin(MODEL).await.unwrap();
    for (defect, code) in [
        (Defect::TamperedQuote, Code::QuoteSignature),
        (Defect::KeySwap, Code::ReportDataIdentityMismatch),
        (Defect::NonceEchoOnly, Code::ReportDataNonceMismatch),
        (Defect::EventLogPayload, Code::EventDigestMismatch),
        (Defect::GpuMissing, Code::GpuEvidenceMissing),
    ] {
        sim.set_defects(&[defect]);
        let measured = desk.client.measure(MODEL).await.unwrap();
        assert_eq!(measured.result.unwrap_err().code(), code, "{defect:?}");
        assert!(measured.software.is_none(), "{defect:?}");
        let error = desk.client.accept_pin(MODEL, &pin.software.sha256()).await.unwrap_err();
        assert_eq!(error.code(), code, "{defect:?}");
    }
    // T11: leaving the log out does not get around the pin.
    sim.set_defects(&[Defect::EventLogMissing]);
    let error = desk.client.ready(MODEL).await.map(drop).unwrap_err();
    assert_eq!(error.code(), Code::SoftwareChanged);
    assert!(error.report_json().unwrap().contains("compose hash: pinned"), "{error}");
    assert_eq!(pins.list().unwrap(), [pin]);
}

/// A policy can demand a pin; then nothing is verified before there is one, and pinning is how it gets there.
#[tokio::test]
async fn a_policy_can_demand_a_pin() {
    let sim = simulator(&[]);
    let pins = memory();
    let demanding = br#"{"schema":"proveil.policy/v1","enforced_checks":["software.pin"]}"#;
    let desk = Desk::with(&sim, |config| {
        config.pins = Some(pins.clone());
        config.policy = Policy::from_json(demanding).unwrap();
    });
    let error = desk.client.ready(MODEL).await.map(drop).unwrap_err();
    assert_eq!((error.code(), error.check()), (Code::RequiredCheckNotMade, Some("software.pin")));
    sim.set_defects(&[Defect::TamperedQuote]);
    assert_eq!(desk.client.pin(MODEL).await.unwrap_err().code(), Code::QuoteSignature);
    assert_eq!(pins.list().unwrap(), []);
    sim.set_defects(&[]);
    desk.client.pin(MODEL).await.unwrap();
    assert_eq!(desk.chat(PROMPT).await.unwrap(), expected(PROMPT));
}

/// A store that fails.
struct Broken;

impl PinStore for Broken {
    fn get(&self, _: &PinKey) -> Result<Option<Pin>> {
        Err(Error::new(Code::PinsInvalid))
    }
    fn put(&self, _: &Pin) -> Result<()> {
        Err(Error::new(Code::PinsInvalid))
    }
    fn list(&self) -> Result<Vec<Pin>> {
        Err(Error::new(Code::PinsInvalid))
    }
}

/// T59: a store that cannot say whether there is a pin ends everything before a request is sent.
#[tokio::test]
async fn a_broken_store_is_not_an_empty_one() {
    let sim = simulator(&[]);
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("pins.json");
    std::fs::write(&path, "{\"schema\":\"proveil.pins/v1\",\"pins\":[").unwrap();
    let stores: [Arc<dyn PinStore>; 2] = [Arc::new(Broken), Arc::new(FilePins::new(&path))];
    for pins in stores {
        let desk = desk(&sim, &pins);
        for error in [
            desk.client.verify(MODEL).await.map(drop).unwrap_err(),
            desk.client.ready(MODEL).await.map(drop).unwrap_err(),
            desk.client.pin(MODEL).await.map(drop).unwrap_err(),
            desk.client.accept_pin(MODEL, &[0; 32]).await.map(drop).unwrap_err(),
            desk.chat(PROMPT).await.map(drop).unwrap_err(),
        ] {
            assert_eq!((error.code(), error.code().class()), (Code::PinsInvalid, Class::Config), "{error}");
        }
    }
    assert_eq!(sim.recorded().requests().count(), 0);
    // A file that is not there holds no pins, and a pin survives in it from one client to the next.
    let pins: Arc<dyn PinStore> = Arc::new(FilePins::new(home.path().join("new/pins.json")));
    let pin = desk(&sim, &pins).client.pin(MODEL).await.unwrap();
    sim.set_defects(&[Defect::SoftwareUpdated]);
    let error = desk(&sim, &pins).client.ready(MODEL).await.map(drop).unwrap_err();
    assert_eq!(error.code(), Code::SoftwareChanged);
    assert_eq!(pins.list().unwrap(), [pin]);
}

#[tokio::test]
async fn without_a_store_there_is_nothing_to_pin_to() {
    let sim = simulator(&[]);
    let desk = Desk::new(&sim);
    for error in [
        desk.client.pin(MODEL).await.map(drop).unwrap_err(),
        desk.client.measure(MODEL).await.map(drop).unwrap_err(),
    ] {
        assert_eq!((error.code(), error.check()), (Code::ConfigInvalid, Some("pins")));
    }
}
