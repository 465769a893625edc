//! Certificates for SEV-SNP reports: what is asked for how often, rate limits, and what is kept.

use std::path::Path;
use std::sync::{Arc, Mutex};

use proveil_core::Code;
use proveil_core::appraise::{SnpExpectations, appraise_snp};
use proveil_core::attest::TrustRoots;
use proveil_core::attest::snp::Product;
use proveil_core::evidence::SnpEndorsements;
use proveil_core::http::BaseUrl;
use proveil_core::policy::Policy;
use proveil_testkit::sim::{Defect, Outcome, Simulator, Stage};

use super::simulator;
use crate::clock::ManualClock;
use crate::verify::Pace;
use crate::{KdsClient, KdsConfig, Notice, Result};

/// A client for the simulator's machine.
struct Desk {
    client: KdsClient,
    clock: Arc<ManualClock>,
    notices: Arc<Mutex<Vec<Notice>>>,
}

impl Desk {
    fn new(sim: &Simulator, dir: Option<&Path>) -> Desk {
        let mut config = KdsConfig::new();
        config.url = Some(BaseUrl::parse(&sim.kds_url()).unwrap());
        config.roots = roots(sim);
        config.cache_dir = dir.map(Path::to_owned);
        let clock = Arc::new(ManualClock::at(sim.now()));
        let notices = Arc::new(Mutex::new(Vec::new()));
        let log = notices.clone();
        let observer = Arc::new(move |notice: &Notice| log.lock().unwrap().push(notice.clone()));
        let client = KdsClient::with_setup(config, observer, clock.clone(), Pace::NONE).unwrap();
        Desk { client, clock, notices }
    }

    async fn fetch(&self, sim: &Simulator) -> Result<SnpEndorsements> {
        self.client.fetch_snp_endorsements(&report(sim), &SnpEndorsements::new(), None).await
    }

    fn warnings(&self) -> usize {
        let is_warning = |notice: &&Notice| matches!(notice, Notice::Warning(_));
        self.notices.lock().unwrap().iter().filter(is_warning).count()
    }
}

fn roots(sim: &Simulator) -> TrustRoots {
    TrustRoots::from_json(sim.amd_machine().evidence.trust_roots_json.as_bytes()).unwrap()
}

fn report(sim: &Simulator) -> Vec<u8> {
    sim.amd_machine().evidence.report.clone()
}

fn appraise(sim: &Simulator, given: &SnpEndorsements, at: u64) -> Result<()> {
    let expected = SnpExpectations::default();
    appraise_snp(&report(sim), given, &expected, &Policy::standard(), &roots(sim), at).1
}

/// Requests for chips' certificates, lists and issuers since the last look.
fn asked(sim: &Simulator) -> [usize; 3] {
    let recorded = sim.recorded();
    let with = |part: &str| recorded.requests().filter(|request| request.target.contains(part)).count();
    let asked = [with("?blSPL="), with("/crl"), with("/cert_chain")];
    sim.clear_recorded();
    asked
}

#[tokio::test]
async fn a_chip_is_asked_about_once() {
    let sim = simulator(&[]);
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("proveil");
    let desk = Desk::new(&sim, Some(&dir));
    let given = desk.fetch(&sim).await.unwrap();
    assert_eq!(given, sim.amd_machine().evidence.endorsements);
    appraise(&sim, &given, sim.now()).unwrap();
    assert_eq!(asked(&sim), [1, 1, 1]);
    assert_eq!(desk.fetch(&sim).await.unwrap(), given);
    assert_eq!(asked(&sim), [0; 3]);
    // Another process has what is on disk, for good; the list for a day.
    let other = Desk::new(&sim, Some(&dir));
    assert_eq!(other.fetch(&sim).await.unwrap(), given);
    assert_eq!(asked(&sim), [0; 3]);
    for desk in [&desk, &other] {
        desk.clock.advance(24 * 3600);
        assert_eq!(desk.fetch(&sim).await.unwrap(), given);
        assert_eq!(asked(&sim), [0, 1, 0]);
        assert_eq!(desk.warnings(), 0);
    }
    // What came with the report is not asked for.
    let bare = Desk::new(&sim, None);
    let with = SnpEndorsements { crl: None, ..given.clone() };
    assert_eq!(bare.client.fetch_snp_endorsements(&report(&sim), &with, None).await.unwrap(), given);
    assert_eq!(asked(&sim), [0, 1, 0]);
    // An altered report does not cause requests.
    let mut altered = report(&sim);
    altered[0x90] ^= 1;
    desk.client.fetch_snp_endorsements(&altered, &SnpEndorsements::new(), None).await.unwrap();
    assert_eq!(asked(&sim), [0; 3]);
}

/// One request per address at a time, whoever waits.
#[tokio::test]
async fn parallel_use() {
    let sim = simulator(&[]);
    let home = tempfile::tempdir().unwrap();
    let desk = Desk::new(&sim, Some(home.path().join("proveil").as_path()));
    let all = futures_util::future::join_all((0..40).map(|_| desk.fetch(&sim))).await;
    assert!(all.iter().all(|given| given.as_ref().unwrap() == all[0].as_ref().unwrap()));
    assert_eq!(asked(&sim), [1, 1, 1]);
}

/// Threats T24: what is on disk is used only where it is the right certificate below a trusted root.
#[tokio::test]
async fn spoilt_entries_are_misses() {
    let sim = simulator(&[]);
    let other = simulator(&[]);
    let home = tempfile::tempdir().unwrap();
    let (dir, other_dir) = (home.path().join("proveil"), home.path().join("other"));
    Desk::new(&sim, Some(&dir)).fetch(&sim).await.unwrap();
    Desk::new(&other, Some(&other_dir)).fetch(&other).await.unwrap();
    asked(&sim);
    let folder = std::fs::read_dir(&dir).unwrap().next().unwrap().unwrap().path();
    let files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 3);
    let stranger =
        proveil_core::wire::base64::encode(&other.amd_machine().evidence.endorsements.vcek.clone().unwrap());
    for file in files {
        let good = std::fs::read_to_string(&file).unwrap();
        let body = good.split("\"body\":\"").nth(1).unwrap().trim_end_matches("\"}").to_owned();
        let middle = body.len() / 2;
        for spoilt in [String::new(), body[..middle].to_owned(), "PGh0bWw+".to_owned(), stranger.clone()] {
            std::fs::write(&file, good.replace(&body, &spoilt)).unwrap();
            let desk = Desk::new(&sim, Some(&dir));
            let given = desk.fetch(&sim).await.unwrap();
            appraise(&sim, &given, sim.now()).unwrap();
            assert!(asked(&sim).iter().sum::<usize>() >= 1, "{spoilt}");
            assert_eq!(std::fs::read_to_string(&file).unwrap(), good, "replaced");
        }
    }
}

#[tokio::test]
async fn every_defect_ends_as_it_should() {
    let sim = simulator(&[]);
    for defect in Defect::all().iter().filter(|defect| defect.stage() == Stage::Kds) {
        sim.set_defects(&[*defect]);
        sim.clear_recorded();
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("proveil");
        let desk = Desk::new(&sim, Some(&dir));
        let ended = match desk.fetch(&sim).await {
            Ok(given) => appraise(&sim, &given, sim.now()),
            Err(error) => Err(error),
        };
        let code = ended.map_err(|error| error.code()).err();
        let expected = match defect.outcome() {
            Outcome::Fails(code) => Some(code),
            Outcome::Works | Outcome::NotDetectable => None,
        };
        assert_eq!(code, expected, "{}", defect.name());
        assert_eq!(dir.exists(), code.is_none(), "{}: kept", defect.name());
        let requests = asked(&sim);
        match defect {
            // As often as it may help, no more.
            Defect::KdsLimited | Defect::KdsDown => assert_eq!(requests, [4, 0, 0], "{}", defect.name()),
            Defect::KdsLimitedTwice => assert_eq!(requests, [3, 1, 1]),
            _ => {}
        }
    }
}

#[tokio::test]
async fn reports_that_cannot_be_asked_about() {
    let sim = simulator(&[]);
    let desk = Desk::new(&sim, None);
    let mut hidden = report(&sim);
    hidden[0x1a0..0x1e0].fill(0);

    for (bytes, code) in [(vec![0; 10], Code::SnpReportMalformed), (hidden, Code::SnpCertificateMismatch)] {
        let error =
            desk.client.fetch_snp_endorsements(&bytes, &SnpEndorsements::new(), None).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
    }
    // Another product's chip is not known to the service.
    let turin = proveil_testkit::sim::AmdMachine::generate(
        Product::Turin,
        &mut proveil_testkit::forge::Random::from_seed([3; 32]),
        sim.now(),
    );
    let none = SnpEndorsements::new();
    let unknown = desk.client.fetch_snp_endorsements(&turin.evidence.report, &none, None);
    assert_eq!(unknown.await.unwrap_err().code(), Code::CollateralMissing);
}
