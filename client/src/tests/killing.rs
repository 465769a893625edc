//! What a kill leaves: processes that verify, keep and pin are killed at many points, and every beginning of every kept file is tried in
//! its place. The next start has the old or the new state, and verifies it (threats T24, T59).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use proveil_core::Code;
use proveil_core::policy::Policy;
use proveil_testkit::sim::{Defect, Simulator, privatemode};

use super::{Desk, MODEL, config, config_at, simulator};
use crate::amd::AmdShelf;
use crate::clock::{Clock, ManualClock};
use crate::collateral::CollateralShelf;
use crate::endorsements::EndorsementShelf;
use crate::pins::{FilePins, PinStore};
use crate::{ClientConfig, Verdict, notice};

/// Names the folder of the process that is to be killed.
const VICTIM: &str = "PROVEIL_TEST_VERIFIES_IN";

/// A folder with everything that a client keeps.
struct Home(tempfile::TempDir);

impl Home {
    fn cache(&self) -> PathBuf {
        self.0.path().join("cache")
    }

    fn pins(&self) -> PathBuf {
        self.0.path().join("pins").join("pins.json")
    }

    /// Every file of the cache.
    fn cached(&self) -> Vec<PathBuf> {
        let folders = fs::read_dir(self.cache()).into_iter().flatten().flatten();
        let files = folders.flat_map(|folder| fs::read_dir(folder.path()).into_iter().flatten().flatten());
        let mut files: Vec<PathBuf> = files.map(|file| file.path()).collect();
        files.sort();
        files
    }

    fn is_writing(&self) -> bool {
        let begun = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(".new-");
        self.cached().iter().any(begun)
    }
}

/// Keeps all that there is to keep for Venice.
fn keeping(mut config: ClientConfig, folder: &Path) -> ClientConfig {
    config.policy = Policy::from_json(Defect::ENDORSED_POLICY.as_bytes()).unwrap();
    config.cache_dir = Some(folder.join("cache"));
    config.pins = Some(Arc::new(FilePins::new(folder.join("pins").join("pins.json"))));
    config
}

/// Part of the next test: does nothing by itself.
#[tokio::test]
async fn verifies_until_it_is_killed() {
    let Some(folder) = std::env::var_os(VICTIM).map(PathBuf::from) else { return };
    let text = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let now = text("now").parse().unwrap();
    for round in 0.. {
        let config = config_at(&text("base"), &text("vendors"), &text("roots"));
        let desk = Desk::of(keeping(config, &folder), now);
        assert_eq!(desk.client.verify(MODEL).await.unwrap().verdict(), Verdict::Verified, "{round}");
        desk.client.pin(MODEL).await.unwrap();
        // The next round has everything to fetch and to write again.
        fs::remove_dir_all(folder.join("cache")).unwrap();
    }
}

fn victim(sim: &Simulator, folder: &Path) -> Child {
    for (name, text) in [
        ("base", sim.base_url()),
        ("vendors", sim.collateral_url()),
        ("roots", sim.trust_roots_json()),
        ("now", sim.now().to_string()),
    ] {
        fs::write(folder.join(name), text).unwrap();
    }
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tests::killing::verifies_until_it_is_killed"])
        .env(VICTIM, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// T24: kills at every request that the simulator gets, and at the moment at which a file is being written.
#[tokio::test]
async fn t24_killed_at_every_request_and_every_write() {
    const POINTS: usize = 24;
    let sim = simulator(&[]);
    for point in 0..POINTS {
        let home = Home(tempfile::tempdir().unwrap());
        sim.clear_recorded();
        let mut victim = victim(&sim, home.0.path());
        let writing = point % 3 == 2;
        loop {
            let requests = sim.recorded().requests().count();
            if requests > point && (!writing || home.is_writing()) {
                break;
            }
            assert!(victim.try_wait().unwrap().is_none(), "it works until it is killed");
        }
        victim.kill().unwrap();
        victim.wait().unwrap();
        for path in home.cached() {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let whole = serde_json::from_slice::<serde_json::Value>(&fs::read(&path).unwrap()).is_ok();
            assert!(whole || name.starts_with(".new-"), "{point}: {name}");
        }
        let pins = FilePins::new(home.pins()).list().unwrap();
        assert!(pins.len() <= 1, "{point}");
        // No entry that is there is ignored, so none is half of one.
        let next = Desk::of(keeping(config(&sim), home.0.path()), sim.now());
        let report = next.client.verify(MODEL).await.unwrap();
        assert_eq!(report.verdict(), Verdict::Verified, "{point}: {}", report.to_text());
        assert_eq!(next.warnings(), 0, "{point}: {:?}", next.notices.lock().unwrap());
        next.client.pin(MODEL).await.unwrap();
        assert_eq!(next.client.ready(MODEL).await.unwrap().report().verdict(), Verdict::Verified);
    }
}

/// The lengths at which a file is cut: all near its ends, and some between.
fn cuts(length: usize) -> impl Iterator<Item = usize> {
    let step = length.div_ceil(60).max(1);
    let near = move |cut: &usize| *cut < 24 || length.abs_diff(*cut) <= 24;
    (0..length).filter(move |cut| near(cut) || cut.is_multiple_of(step))
}

/// T24: the beginning of a file is never taken for the file.
#[tokio::test]
async fn t24_every_beginning_of_every_kept_file() {
    let sim = simulator(&[]);
    let home = Home(tempfile::tempdir().unwrap());
    let desk = Desk::of(keeping(config(&sim), home.0.path()), sim.now());
    assert_eq!(desk.client.verify(MODEL).await.unwrap().verdict(), Verdict::Verified);
    desk.client.pin(MODEL).await.unwrap();
    let other = privatemode::Simulator::start(privatemode::SimConfig {
        now: Some(sim.now()),
        defects: vec![privatemode::Defect::VcekMissing, privatemode::Defect::CrlMissing],
        api_key: Some(super::API_KEY.to_owned()),
        ..privatemode::SimConfig::default()
    })
    .unwrap();
    let amd_home = Home(tempfile::tempdir().unwrap());
    let amd = super::privatemode::desk_with(&other, |config| config.cache_dir = Some(amd_home.cache()));
    let model = privatemode::models::VISION;
    assert_eq!(amd.client.verify(model).await.unwrap().verdict(), Verdict::Verified);
    let (keeping_config, amd_config) = (keeping(config(&sim), home.0.path()), amd_roots(&other));
    let clock = ManualClock::at(sim.now());
    // How many sets of documents a new process would start with.
    let count = async || {
        let silent = notice::silent;
        let (dir, roots) = (keeping_config.cache_dir.clone(), keeping_config.roots.clone());
        let intel = Arc::new(CollateralShelf::new(dir.clone(), roots.clone(), silent()));
        let nvidia = Arc::new(EndorsementShelf::new(dir, roots, silent()));
        let snp = Arc::new(AmdShelf::new(Some(amd_home.cache()), amd_config.clone(), silent()));
        let nvidia = nvidia.take_stock(&keeping_config.policy, clock.monotonic()).await;
        let documents: usize = nvidia.iter().map(|set| set.rims.len() + set.ocsp.len()).sum();
        (intel.take_stock(sim.now()).await.len(), documents, snp.take_stock(sim.now()).await.len())
    };
    let (all_intel, all_nvidia, all_amd) = count().await;
    assert!(all_intel == 1 && all_nvidia > 2 && all_amd == 2, "{all_intel} {all_nvidia} {all_amd}");
    let files: Vec<PathBuf> = home.cached().into_iter().chain(amd_home.cached()).collect();
    assert!(files.len() >= 6, "{files:?}");
    for path in &files {
        let name = path.file_name().unwrap().to_str().unwrap();
        let good = fs::read(path).unwrap();
        for cut in cuts(good.len()) {
            fs::write(path, &good[..cut]).unwrap();
            let (intel, nvidia, amd) = count().await;
            let lost = match name {
                _ if name.starts_with("tdx-") => (intel, nvidia, amd) == (0, all_nvidia, all_amd),
                _ if name.starts_with("nvidia-") => intel == 1 && nvidia < all_nvidia && amd == all_amd,
                _ if name.starts_with("amd-") => (intel, nvidia, amd) == (1, all_nvidia, 1),
                // Numbers that were seen: nothing is lost by them but the way back.
                _ => name == "floors.json" && (intel, nvidia, amd) == (1, all_nvidia, all_amd),
            };
            assert!(lost, "{name} of {cut} bytes: {intel} {nvidia} {amd}");
        }
        // A whole process over the worst of them: it says so, verifies, and repairs the file.
        for cut in [0, 1, good.len() / 2, good.len() - 1] {
            fs::write(path, &good[..cut]).unwrap();
            fs::write(path.with_file_name(".new-17"), &good[..cut]).unwrap();
            let (next, model) = if name.starts_with("amd-") {
                let next = |config: &mut ClientConfig| config.cache_dir = Some(amd_home.cache());
                (super::privatemode::desk_with(&other, next), model)
            } else {
                (Desk::of(keeping(config(&sim), home.0.path()), sim.now()), MODEL)
            };
            let report = next.client.verify(model).await.unwrap();
            assert_eq!(report.verdict(), Verdict::Verified, "{name} of {cut} bytes");
            assert_eq!(next.warnings(), 1, "{name} of {cut} bytes: {:?}", next.notices.lock().unwrap());
        }
        // What was fetched instead goes away again.
        for other in home.cached().iter().chain(&amd_home.cached()).filter(|other| !files.contains(other)) {
            fs::remove_file(other).unwrap();
        }
        fs::write(path, &good).unwrap();
    }
    every_beginning_of_pins(&home.pins());
}

/// Pins protect, so the beginning of their file is an error and never a file without pins.
fn every_beginning_of_pins(path: &Path) {
    let good = fs::read_to_string(path).unwrap();
    let pins = FilePins::new(path);
    let before = pins.list().unwrap();
    for cut in cuts(good.trim_end().len()) {
        fs::write(path, &good[..cut]).unwrap();
        assert_eq!(pins.list().unwrap_err().code(), Code::PinsInvalid, "{cut}");
        assert_eq!(pins.put(&before[0]).unwrap_err().code(), Code::PinsInvalid, "{cut}");
        assert_eq!(fs::read_to_string(path).unwrap(), good[..cut], "it is left as it was");
    }
    fs::write(path, &good).unwrap();
    fs::write(path.with_file_name(".new-17"), &good[..good.len() / 2]).unwrap();
    assert_eq!(pins.list().unwrap(), before);
    pins.put(&before[0]).unwrap();
    assert_eq!(pins.list().unwrap(), before);
}

fn amd_roots(sim: &privatemode::Simulator) -> proveil_core::attest::TrustRoots {
    proveil_core::attest::TrustRoots::from_json(sim.trust_roots_json().as_bytes()).unwrap()
}
