//! Vendor collateral at hand: in memory, and on disk when the host gave a directory.
//!
//! It is public and signed. The core verifies it again on every use and asks for new one when it does not fit, so the worst that a
//! bad entry can do is to cost a request. Beside it stands the highest evaluation number seen for each platform type: older
//! collateral can be signed and current and still hide a vulnerability, so there is no way back (threats T16).

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

/// Highest evaluation number seen, by platform type (FMSPC).
type Floors = BTreeMap<[u8; 6], u32>;

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
        let young = |raw: &TdxCollateral| self.refuse_rollback(raw, &held.floors, at).is_ok();
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
                if let Some((fmspc, number)) = self.refuse_rollback(raw, &held.floors, at)? {
                    raised.insert(fmspc, number);
                }
            }
            while raised.len() > FLOORS_MAX {
                raised.pop_first();
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

    /// Compares the signed evaluation number with the highest seen for the platform type. Gives both, or nothing when the
    /// collateral does not verify: then the core will not use it either.
    fn refuse_rollback(
        &self,
        raw: &TdxCollateral,
        floors: &Floors,
        at: u64,
    ) -> Result<Option<([u8; 6], u32)>> {
        let Ok(verified) = VerifiedCollateral::verify(raw, &self.roots, at) else { return Ok(None) };
        let (fmspc, number) = (*verified.fmspc(), verified.evaluation_number());
        match floors.get(&fmspc) {
            Some(floor) if number < *floor => Err(Error::new(Code::TcbEvaluationNumber)
                .at("tdx.tcb.evaluation_number")
                .expected(format!("at least {floor}, seen before"))
                .found(number.to_string())),
            _ => Ok(Some((fmspc, number))),
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
        let floors = floors.first().map_or_else(Floors::new, |entry| {
            parse_floors(&entry.bytes).unwrap_or_else(|| {
                self.warn(format!("cache entry {FLOORS_NAME} was ignored: not of the expected form"));
                Floors::new()
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

    /// Remembers the highest evaluation numbers for the next process.
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
    let members = floors.iter().map(|(fmspc, number)| (hex::encode(fmspc), Json::Number((*number).into())));
    Json::Object(vec![
        ("schema".to_owned(), Json::String(FLOORS_SCHEMA.to_owned())),
        ("tdx".to_owned(), Json::Object(members.collect())),
    ])
    .to_compact()
}

fn parse_floors(bytes: &[u8]) -> Option<Floors> {
    let file = Json::parse(bytes)
        .ok()
        .filter(|file| file.get("schema").and_then(Json::as_str) == Some(FLOORS_SCHEMA))?;
    let members = file.get("tdx")?.as_object().filter(|members| members.len() <= FLOORS_MAX)?;
    let floor = |(fmspc, number): &(String, Json)| {
        Some((hex::decode_array::<6>(fmspc)?, u32::try_from(number.as_u64()?).ok()?))
    };
    members.iter().map(floor).collect()
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
        let floors = Floors::from([([0x90, 0xc0, 0x6f, 0, 0, 0], 17), ([1; 6], 0)]);
        assert_eq!(parse_floors(render_floors(&floors).as_bytes()), Some(floors));
        let cases = [
            "",
            "{}",
            r#"{"schema":"proveil.tcb-floors/v2","tdx":{}}"#,
            r#"{"schema":"proveil.tcb-floors/v1","tdx":{"90c06f000000":-1}}"#,
            r#"{"schema":"proveil.tcb-floors/v1","tdx":{"90c06f":1}}"#,
            r#"{"schema":"proveil.tcb-floors/v1","tdx":{"90c06f000000":1,"90c06f000000":2}}"#,
        ];
        for text in cases {
            assert_eq!(parse_floors(text.as_bytes()), None, "{text}");
        }
    }
}
