//! What NVIDIA said at hand: in memory, and on disk when the host gave a directory.
//!
//! Manifests by their name, for good: a name stands for one content. Answers about revocation as the sets in which they were asked
//! for, as long as they say themselves and at most a week. The attestation service's key list for some minutes, in memory only. Tokens
//! never: each answers one challenge. All of it is signed and verified before it is kept and again on every use, so the worst that a
//! bad entry can do is to cost a request (threats T24).

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use proveil_core::attest::TrustRoots;
use proveil_core::attest::nvidia::Rim;
use proveil_core::claims::DeviceKind;
use proveil_core::crypto;
use proveil_core::evidence::{GpuEndorsements, NrasAnswer, RimDocument};
use proveil_core::policy::Policy;
use proveil_core::report::{Outcome, Report};
use proveil_core::wire::hex;

use crate::collateral::folder;
use crate::disk::DiskCache;
use crate::notice::{Notice, Observer};

/// Manifests that are kept: two for each driver and firmware in use.
const MANIFESTS_MAX: usize = 32;
/// Sets of revocation answers that are kept: one for each machine that was met lately.
const ROUNDS_MAX: usize = 16;
/// All manifests, or all answers, on disk together.
const TOTAL_MAX_BYTES: u64 = 32 * 1024 * 1024;
/// How long a key list is believed to be complete. Its keys are certified for two days.
const KEYS_MAX_AGE: Duration = Duration::from_secs(600);
const MANIFEST_PREFIX: &str = "nvidia-rim-";
const ROUND_PREFIX: &str = "nvidia-ocsp-";
const SUFFIX: &str = ".json";

pub(crate) struct EndorsementShelf {
    disk: Option<DiskCache>,
    roots: TrustRoots,
    observer: Observer,
    /// `None` before the directory was read.
    held: Mutex<Option<Held>>,
}

#[derive(Clone, Default)]
struct Held {
    /// Newest first.
    manifests: Vec<RimDocument>,
    /// Newest first.
    rounds: Vec<GpuEndorsements>,
    /// When the list came, and the list.
    keys: Option<(Duration, Vec<u8>)>,
}

impl EndorsementShelf {
    pub(crate) fn new(dir: Option<PathBuf>, roots: TrustRoots, observer: Observer) -> EndorsementShelf {
        let disk = dir.map(|dir| DiskCache::new(folder(dir, &roots)));
        EndorsementShelf { disk, roots, observer, held: Mutex::new(None) }
    }

    /// Everything at hand that a policy could ask for. Reads the directory on first use; a policy without questions reads nothing.
    pub(crate) async fn take_stock(self: &Arc<Self>, policy: &Policy, now: Duration) -> Vec<GpuEndorsements> {
        let rules = policy.gpu_rules();
        let asks = rules.require_rim
            || policy.require_gpu_measurements()
            || rules.require_ocsp
            || rules.nras == proveil_core::attest::nvidia::rules::NrasRule::Required;
        if !asks {
            return Vec::new();
        }
        let held = self.lock().clone();
        let held = match held {
            Some(held) => held,
            None => {
                let shelf = self.clone();
                let read = tokio::task::spawn_blocking(move || shelf.read()).await.unwrap_or_default();
                self.lock().get_or_insert(read).clone()
            }
        };
        let young = held.keys.filter(|(since, _)| now.saturating_sub(*since) < KEYS_MAX_AGE);
        let keys = young.map(|(_, jwks)| NrasAnswer { kind: DeviceKind::Gpu, tokens: Vec::new(), jwks });
        let documents = GpuEndorsements {
            rims: held.manifests,
            nras: keys.into_iter().collect(),
            ..GpuEndorsements::default()
        };
        std::iter::once(documents).chain(held.rounds).collect()
    }

    /// Keeps what a verified endpoint was judged by, as far as its report says that it passed. `at` is the wall clock and the one that
    /// nobody sets.
    pub(crate) async fn add(
        self: &Arc<Self>,
        fetched: &GpuEndorsements,
        report: &Report,
        (at, now): (u64, Duration),
    ) {
        let passed = |id: &str| {
            let mut checks = report.checks().iter().filter(|check| check.id() == id).peekable();
            checks.peek().is_some() && checks.all(|check| check.outcome() == Outcome::Pass)
        };
        let manifests: Vec<RimDocument> = fetched
            .rims
            .iter()
            .filter(|document| document.id.is_some() && passed("gpu.measurements"))
            .filter(|document| Rim::verify(&document.xml, &self.roots, at, false).is_ok())
            .cloned()
            .collect();
        let round = (!fetched.ocsp.is_empty() && passed("gpu.ocsp")).then(|| GpuEndorsements {
            ocsp: fetched.ocsp.clone(),
            ocsp_nonce: fetched.ocsp_nonce,
            ..GpuEndorsements::default()
        });
        let keys =
            fetched.nras.first().filter(|_| passed("gpu.nras.token")).map(|answer| answer.jwks.clone());
        {
            let mut slot = self.lock();
            let held = slot.get_or_insert_default();
            held.manifests.retain(|old| manifests.iter().all(|new| new.id != old.id));
            held.manifests.splice(0..0, manifests.iter().cloned());
            held.manifests.truncate(MANIFESTS_MAX);
            held.rounds.splice(0..0, round.iter().cloned());
            held.rounds.truncate(ROUNDS_MAX);
            if let Some(keys) = keys {
                held.keys = Some((now, keys));
            }
        }
        if manifests.is_empty() && round.is_none() {
            return;
        }
        let shelf = self.clone();
        // A task that panicked has lost a cache entry, nothing else.
        let _ = tokio::task::spawn_blocking(move || shelf.write(manifests, round)).await;
    }

    fn read(&self) -> Held {
        let sets = |prefix: &str, most: usize| -> Vec<GpuEndorsements> {
            let Some(disk) = &self.disk else { return Vec::new() };
            let (entries, warnings) = disk.load(prefix, SUFFIX);
            warnings.into_iter().for_each(|warning| self.warn(warning));
            let parsed =
                entries.into_iter().filter_map(|entry| match GpuEndorsements::from_json(&entry.bytes) {
                    Ok(set) => Some(set),
                    Err(error) => {
                        self.warn(format!("cache entry {} was ignored: {error}", entry.name));
                        None
                    }
                });
            parsed.take(most).collect()
        };
        let manifests = sets(MANIFEST_PREFIX, MANIFESTS_MAX).into_iter().flat_map(|set| set.rims);
        Held {
            manifests: manifests.take(MANIFESTS_MAX).collect(),
            rounds: sets(ROUND_PREFIX, ROUNDS_MAX),
            keys: None,
        }
    }

    fn write(&self, manifests: Vec<RimDocument>, round: Option<GpuEndorsements>) {
        let Some(disk) = &self.disk else { return };
        let save = |name: &str, set: &GpuEndorsements| {
            if let Err(warning) = disk.save(name, set.to_json().as_bytes()) {
                self.warn(warning);
            }
        };
        for document in manifests {
            let name = file_name(document.id.as_deref().unwrap_or_default());
            save(&name, &GpuEndorsements { rims: vec![document], ..GpuEndorsements::default() });
        }
        if let Some(round) = round {
            let digest = crypto::sha256(&[round.to_json().as_bytes()]);
            let digest = hex::encode(digest.get(..16).unwrap_or_default());
            save(&format!("{ROUND_PREFIX}{digest}{SUFFIX}"), &round);
        }
        disk.trim(MANIFEST_PREFIX, SUFFIX, MANIFESTS_MAX, TOTAL_MAX_BYTES);
        disk.trim(ROUND_PREFIX, SUFFIX, ROUNDS_MAX, TOTAL_MAX_BYTES);
    }

    fn warn(&self, text: String) {
        (self.observer)(&Notice::Warning(text));
    }

    fn lock(&self) -> MutexGuard<'_, Option<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file for a manifest. Names of files have no `_`; two manifests that meet in one file only cost a request.
fn file_name(id: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    let id: String = id.chars().map(plain).take(128).collect();
    format!("{MANIFEST_PREFIX}{id}{SUFFIX}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files() {
        assert_eq!(
            file_name("NV_GPU_DRIVER_GH100_570.172.08"),
            "nvidia-rim-NV-GPU-DRIVER-GH100-570.172.08.json"
        );
        assert_eq!(file_name("../../x\0"), "nvidia-rim-..-..-x-.json");
        assert!(file_name(&"a".repeat(1_000)).len() < 200);
    }
}
