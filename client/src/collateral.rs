//! Vendor collateral at hand: in memory, and on disk when the host gave a directory.
//!
//! It is public and signed. The core verifies it again on every use and asks for new one when it does not fit, so the worst that a
//! bad entry can do is to cost a request.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proveil_core::evidence::TdxCollateral;
use proveil_core::wire::json::Json;

use crate::disk::DiskCache;
use crate::notice::{Notice, Observer};

/// Platforms whose collateral is kept in memory.
const HELD_MAX: usize = 8;
const PREFIX: &str = "tdx-";
const SUFFIX: &str = ".json";

pub(crate) struct CollateralShelf {
    disk: Option<DiskCache>,
    observer: Observer,
    /// Newest first; `None` before the directory was read.
    held: Mutex<Option<Vec<TdxCollateral>>>,
}

impl CollateralShelf {
    pub(crate) fn new(dir: Option<PathBuf>, observer: Observer) -> CollateralShelf {
        CollateralShelf { disk: dir.map(DiskCache::new), observer, held: Mutex::new(None) }
    }

    /// Everything at hand. Reads the directory on first use.
    pub(crate) async fn take_stock(self: &Arc<Self>) -> Vec<TdxCollateral> {
        if let Some(held) = self.lock().as_ref() {
            return held.clone();
        }
        let shelf = self.clone();
        let read = tokio::task::spawn_blocking(move || shelf.read()).await.unwrap_or_default();
        self.lock().get_or_insert(read).clone()
    }

    /// Keeps collateral that was fetched and found good.
    pub(crate) async fn add(self: &Arc<Self>, fetched: &[TdxCollateral]) {
        if fetched.is_empty() {
            return;
        }
        {
            let mut held = self.lock();
            let held = held.get_or_insert_default();
            held.splice(0..0, fetched.iter().cloned());
            held.truncate(HELD_MAX);
        }
        let (shelf, fetched) = (self.clone(), fetched.to_vec());
        // A task that panicked has lost a cache entry, nothing else.
        let _ = tokio::task::spawn_blocking(move || fetched.iter().for_each(|one| shelf.write(one))).await;
    }

    fn read(&self) -> Vec<TdxCollateral> {
        let Some(disk) = &self.disk else { return Vec::new() };
        let (entries, warnings) = disk.load(PREFIX, SUFFIX);
        warnings.into_iter().for_each(|warning| self.warn(warning));
        let parsed = entries.into_iter().filter_map(|entry| match TdxCollateral::from_json(&entry.bytes) {
            Ok(collateral) => Some(collateral),
            Err(error) => {
                self.warn(format!("cache entry {} was ignored: {error}", entry.name));
                None
            }
        });
        parsed.take(HELD_MAX).collect()
    }

    fn write(&self, collateral: &TdxCollateral) {
        let Some(disk) = &self.disk else { return };
        let json = collateral.to_json();
        let name = format!("{PREFIX}{}{SUFFIX}", platform_name(&json));
        if let Err(warning) = disk.save(&name, json.as_bytes()) {
            self.warn(warning);
        }
    }

    fn warn(&self, text: String) {
        (self.observer)(&Notice::Warning(text));
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<TdxCollateral>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The platform family (FMSPC) that a collateral file is for, so that a newer one replaces an older one. Read without proof: it only
/// names a file.
fn platform_name(file: &str) -> String {
    let file = Json::parse(file.as_bytes()).ok();
    let info = file.as_ref().and_then(|file| Json::parse(file.get("tcb_info")?.as_str()?.as_bytes()).ok());
    let fmspc = info.as_ref().and_then(|info| info.get("fmspc")?.as_str());
    match fmspc {
        Some(name) if name.len() == 12 && name.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            name.to_ascii_lowercase()
        }
        _ => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::platform_name;

    #[test]
    fn names_of_platforms() {
        let cases = [
            (r#"{"tcb_info":"{\"fmspc\":\"90C06F000000\"}"}"#, "90c06f000000"),
            (r#"{"tcb_info":"{\"fmspc\":\"../../../etc\"}"}"#, "unknown"),
            (r#"{"tcb_info":"{}"}"#, "unknown"),
            (r#"{}"#, "unknown"),
            ("", "unknown"),
        ];
        for (file, expected) in cases {
            assert_eq!(platform_name(file), expected, "{file}");
        }
    }
}
