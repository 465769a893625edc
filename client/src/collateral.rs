//! Vendor collateral at hand: in memory, and on disk when the host gave a directory.
//!
//! It is public and signed. The core verifies it again on every use and asks for new one when it does not fit, so the worst that a
//! bad entry can do is to cost a request. Beside it stand the highest evaluation number seen for each platform type and the highest
//! number of each revocation list: older ones can be signed and current and still hide a vulnerability or a revocation, so there is no
//! way back (threats T16).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proveil_core::attest::TrustRoots;
use proveil_core::attest::tdx::VerifiedCollateral;
use proveil_core::evidence::TdxCollateral;
use proveil_core::wire::hex;
use proveil_core::wire::json::Json;
use proveil_core::{Code, Error, Result, crypto};

use crate::disk::DiskCache;
use crate::notice::{Notice, Observer};

/// Platforms whose collateral is kept in memory.
const HELD_MAX: usize = 8;
/// Platform types whose evaluation number is kept.
const FLOORS_MAX: usize = 256;
const PREFIX: &str = "tdx-";
const SUFFIX: &str = ".json";
const FLOORS_NAME: &str = "floors.json";
const FLOORS_SCHEMA: &str = "proveil.tcb-floors/v1";

/// Highest numbers seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Floors {
    /// Evaluation number by platform type (FMSPC).
    evaluation: BTreeMap<[u8; 6], u32>,
    /// Number of a revocation list, big-endian without leading zeros, by issuer: `root`, `platform`, `processor`.
    lists: BTreeMap<String, Vec<u8>>,
}

/// Issuers of revocation lists.
const LISTS: [&str; 3] = ["root", "platform", "processor"];
/// A number in a revocation list has at most 20 bytes.
const LIST_NUMBER_MAX_BYTES: usize = 20;

impl Floors {
    /// Raises what the collateral raises. Fails with `tcb_evaluation_number` when one of its numbers is below what was seen.
    fn raise(&mut self, verified: &VerifiedCollateral) -> Result<()> {
        let older = |check: &str, floor: String, found: String| {
            Err(Error::new(Code::TcbEvaluationNumber)
                .at(check)
                .expected(format!("at least {floor}, seen before"))
                .found(found))
        };
        let number = verified.evaluation_number();
        let floor = self.evaluation.entry(*verified.fmspc()).or_insert(number);
        if number < *floor {
            return older("tdx.tcb.evaluation_number", floor.to_string(), number.to_string());
        }
        *floor = number;
        let [root, intermediate] = verified.crl_numbers();
        for (name, number) in [("root", root), (verified.ca_kind().word(), intermediate)] {
            let number = without_zeros(number);
            let floor = self.lists.entry(name.to_owned()).or_insert_with(|| number.to_vec());
            if is_below(number, floor) {
                return older("tdx.crl", hex::encode(floor), hex::encode(number));
            }
            *floor = number.to_vec();
        }
        while self.evaluation.len() > FLOORS_MAX {
            self.evaluation.pop_first();
        }
        Ok(())
    }
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

/// Compares numbers without leading zeros: the shorter is the smaller.
fn is_below(number: &[u8], floor: &[u8]) -> bool {
    (number.len(), number) < (floor.len(), floor)
}

pub(crate) struct CollateralShelf {
    disk: Option<DiskCache>,
    roots: TrustRoots,
    observer: Observer,
    /// `None` before the directory was read.
    held: Mutex<Option<Held>>,
}

#[derive(Clone, Default)]
struct Held {
    /// Newest first.
    collateral: Vec<TdxCollateral>,
    floors: Floors,
}

impl CollateralShelf {
    pub(crate) fn new(dir: Option<PathBuf>, roots: TrustRoots, observer: Observer) -> CollateralShelf {
        let disk = dir.map(|dir| DiskCache::new(folder(dir, &roots)));
        CollateralShelf { disk, roots, observer, held: Mutex::new(None) }
    }

    /// Everything at hand that is not older than what was seen. Reads the directory on first use.
    pub(crate) async fn take_stock(self: &Arc<Self>, at: u64) -> Vec<TdxCollateral> {
        let held = self.lock().clone();
        let held = match held {
            Some(held) => held,
            None => {
                let shelf = self.clone();
                let read = tokio::task::spawn_blocking(move || shelf.read()).await.unwrap_or_default();
                self.lock().get_or_insert(read).clone()
            }
        };
        let young = |raw: &TdxCollateral| self.refuse_rollback(raw, &mut held.floors.clone(), at).is_ok();
        held.collateral.into_iter().filter(young).collect()
    }

    /// Keeps collateral that a verified endpoint was judged by. Fails with `tcb_evaluation_number` when it is older than what was
    /// seen before; then nothing is kept.
    pub(crate) async fn add(self: &Arc<Self>, fetched: &[TdxCollateral], at: u64) -> Result<()> {
        if fetched.is_empty() {
            return Ok(());
        }
        let floors = {
            let mut slot = self.lock();
            let held = slot.get_or_insert_default();
            let mut raised = held.floors.clone();
            for raw in fetched {
                self.refuse_rollback(raw, &mut raised, at)?;
            }
            held.floors.clone_from(&raised);
            held.collateral.splice(0..0, fetched.iter().cloned());
            held.collateral.truncate(HELD_MAX);
            raised
        };
        let (shelf, fetched) = (self.clone(), fetched.to_vec());
        // A task that panicked has lost a cache entry, nothing else.
        let _ = tokio::task::spawn_blocking(move || {
            fetched.iter().for_each(|one| shelf.write(one));
            shelf.write_floors(&floors);
        })
        .await;
        Ok(())
    }

    /// Compares the signed numbers with the highest seen, and raises those. Collateral that does not verify is nothing to compare:
    /// the core will not use it either.
    fn refuse_rollback(&self, raw: &TdxCollateral, floors: &mut Floors, at: u64) -> Result<()> {
        match VerifiedCollateral::verify_or_recall(raw, &self.roots, at) {
            Ok(verified) => floors.raise(&verified),
            Err(_) => Ok(()),
        }
    }

    fn read(&self) -> Held {
        let Some(disk) = &self.disk else { return Held::default() };
        let (entries, warnings) = disk.load(PREFIX, SUFFIX);
        warnings.into_iter().for_each(|warning| self.warn(warning));
        let parsed = entries.into_iter().filter_map(|entry| match TdxCollateral::from_json(&entry.bytes) {
            Ok(collateral) => Some(collateral),
            Err(error) => {
                self.warn(format!("cache entry {} was ignored: {error}", entry.name));
                None
            }
        });
        let collateral = parsed.take(HELD_MAX).collect();
        let (floors, warnings) = disk.load(FLOORS_NAME, FLOORS_NAME);
        warnings.into_iter().for_each(|warning| self.warn(warning));
        let floors = floors.first().map_or_else(Floors::default, |entry| {
            parse_floors(&entry.bytes).unwrap_or_else(|| {
                self.warn(format!("cache entry {FLOORS_NAME} was ignored: not of the expected form"));
                Floors::default()
            })
        });
        Held { collateral, floors }
    }

    fn write(&self, collateral: &TdxCollateral) {
        let Some(disk) = &self.disk else { return };
        let name = format!("{PREFIX}{}{SUFFIX}", platform_name(&collateral.tcb_info));
        if let Err(warning) = disk.save(&name, collateral.to_json().as_bytes()) {
            self.warn(warning);
        }
    }

    /// Remembers the highest numbers for the next process.
    fn write_floors(&self, floors: &Floors) {
        let Some(disk) = &self.disk else { return };
        if let Err(warning) = disk.save(FLOORS_NAME, render_floors(floors).as_bytes()) {
            self.warn(warning);
        }
    }

    fn warn(&self, text: String) {
        (self.observer)(&Notice::Warning(text));
    }

    fn lock(&self) -> MutexGuard<'_, Option<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Collateral under other roots is kept apart, so that a lab's numbers never count for real platforms.
pub(crate) fn folder(dir: PathBuf, roots: &TrustRoots) -> PathBuf {
    if !roots.is_custom() {
        return dir;
    }
    let root = roots.intel_sgx().map(|root| root.der()).unwrap_or_default();
    let digest = crypto::sha256(&[root]);
    dir.join(format!("custom-{}", hex::encode(digest.get(..8).unwrap_or_default())))
}

/// The platform type that TCB info is for, so that newer collateral replaces older. Read without proof: it only names a file.
fn platform_name(tcb_info: &str) -> String {
    let info = Json::parse(tcb_info.as_bytes()).ok();
    let fmspc = info.as_ref().and_then(|info| info.get("fmspc")?.as_str());
    match fmspc {
        Some(name) if name.len() == 12 && name.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            name.to_ascii_lowercase()
        }
        _ => "unknown".to_owned(),
    }
}

fn render_floors(floors: &Floors) -> String {
    let evaluation =
        floors.evaluation.iter().map(|(fmspc, number)| (hex::encode(fmspc), Json::Number((*number).into())));
    let lists = floors.lists.iter().map(|(name, number)| (name.clone(), Json::String(hex::encode(number))));
    Json::Object(vec![
        ("schema".to_owned(), Json::String(FLOORS_SCHEMA.to_owned())),
        ("tdx".to_owned(), Json::Object(evaluation.collect())),
        ("crl".to_owned(), Json::Object(lists.collect())),
    ])
    .to_compact()
}

fn parse_floors(bytes: &[u8]) -> Option<Floors> {
    let file = Json::parse(bytes)
        .ok()
        .filter(|file| file.get("schema").and_then(Json::as_str) == Some(FLOORS_SCHEMA))?;
    let evaluation = file.get("tdx")?.as_object().filter(|members| members.len() <= FLOORS_MAX)?;
    let floor = |(fmspc, number): &(String, Json)| {
        Some((hex::decode_array::<6>(fmspc)?, u32::try_from(number.as_u64()?).ok()?))
    };
    let list = |(name, number): &(String, Json)| {
        let number = hex::decode(number.as_str()?).filter(|number| number.len() <= LIST_NUMBER_MAX_BYTES)?;
        LISTS.contains(&name.as_str()).then(|| (name.clone(), without_zeros(&number).to_vec()))
    };
    // Files of earlier versions have no revocation lists.
    let lists = match file.get("crl") {
        None => BTreeMap::new(),
        Some(lists) => lists.as_object()?.iter().map(list).collect::<Option<_>>()?,
    };
    Some(Floors { evaluation: evaluation.iter().map(floor).collect::<Option<_>>()?, lists })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_platforms() {
        let cases = [
            (r#"{"fmspc":"90C06F000000"}"#, "90c06f000000"),
            (r#"{"fmspc":"../../../etc"}"#, "unknown"),
            (r#"{}"#, "unknown"),
            ("", "unknown"),
        ];
        for (tcb_info, expected) in cases {
            assert_eq!(platform_name(tcb_info), expected, "{tcb_info}");
        }
    }

    #[test]
    fn floors_come_back_whole_or_not_at_all() {
        let floors = Floors {
            evaluation: BTreeMap::from([([0x90, 0xc0, 0x6f, 0, 0, 0], 17), ([1; 6], 0)]),
            lists: BTreeMap::from([("root".to_owned(), vec![1, 0]), ("platform".to_owned(), vec![])]),
        };
        assert_eq!(parse_floors(render_floors(&floors).as_bytes()), Some(floors));
        let earlier = r#"{"schema":"proveil.tcb-floors/v1","tdx":{"90c06f000000":17}}"#;
        assert_eq!(parse_floors(earlier.as_bytes()).unwrap().evaluation.len(), 1);
        let cases = [
            "",
            "{}",
            r#"{"schema":"proveil.tcb-floors/v2","tdx":{}}"#,
            r#"{"schema":"proveil.tcb-floors/v1","tdx":{"90c06f000000":-1}}"#,
            r#"{"schema":"proveil.tcb-floors/v1","tdx":{"90c06f":1}}"#,
            r#"{"schema":"proveil.tcb-floors/v1","tdx":{"90c06f000000":1,"90c06f000000":2}}"#,
            r#"{"schema":"proveil.tcb-floors/v1","tdx":{},"crl":[]}"#,
            r#"{"schema":"proveil.tcb-floors/v1","tdx":{},"crl":{"root":1}}"#,
            r#"{"schema":"proveil.tcb-floors/v1","tdx":{},"crl":{"other":"01"}}"#,
            r#"{"schema":"proveil.tcb-floors/v1","tdx":{},"crl":{"root":"010203040506070809101112131415161718192021"}}"#,
        ];
        for text in cases {
            assert_eq!(parse_floors(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn numbers_of_lists_are_compared_as_numbers() {
        for (number, floor, below) in [
            (&[0, 0, 5][..], &[5][..], false),
            (&[4], &[5], true),
            (&[5], &[1, 0], true),
            (&[1, 0], &[0xff], false),
            (&[], &[1], true),
            (&[0], &[], false),
        ] {
            assert_eq!(is_below(without_zeros(number), without_zeros(floor)), below, "{number:?} {floor:?}");
        }
    }

    /// T16: neither an evaluation number nor the number of a revocation list goes back; what is refused raises nothing.
    #[test]
    fn numbers_do_not_go_back() {
        use proveil_testkit::forge::{Random, World, WorldSpec};
        const NOW: u64 = 1_790_000_000;
        let world = World::generate(&mut Random::from_seed([7; 32]), &WorldSpec { now: NOW, gpus: 1 });
        let roots = TrustRoots::from_json(world.trust_roots_json().as_bytes()).unwrap();
        let verified = |evaluation: u64, root: u8, pck: u8| {
            let mut spec = world.collateral_spec();
            (spec.tcb_info.evaluation_number, spec.qe_identity.evaluation_number) = (evaluation, evaluation);
            (spec.root_crl.number, spec.pck_crl.number) = (root, pck);
            let raw = TdxCollateral::from_json(spec.sign(&world.intel).to_json().as_bytes()).unwrap();
            VerifiedCollateral::verify(&raw, &roots, NOW).unwrap()
        };
        let mut floors = Floors::default();
        floors.raise(&verified(19, 100, 7)).unwrap();
        for ((evaluation, root, pck), refused) in [
            ((18, 100, 7), Some("tdx.tcb.evaluation_number")),
            ((19, 99, 7), Some("tdx.crl")),
            ((19, 100, 6), Some("tdx.crl")),
            ((19, 100, 7), None),
            ((20, 200, 8), None),
            ((20, 100, 8), Some("tdx.crl")),
            ((19, 200, 8), Some("tdx.tcb.evaluation_number")),
        ] {
            let result = floors.raise(&verified(evaluation, root, pck));
            let row = format!("{evaluation} {root} {pck}");
            match (result, refused) {
                (Ok(()), None) => {}
                (Err(error), Some(check)) => {
                    assert_eq!(
                        (error.code(), error.check()),
                        (Code::TcbEvaluationNumber, Some(check)),
                        "{row}"
                    );
                }
                (result, _) => panic!("{row}: {result:?}"),
            }
        }
    }
}
