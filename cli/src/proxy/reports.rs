//! Reports of the verifications that answers relied on, and of those that failed: kept in memory, the newest for each endpoint first.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use proveil::core::report::Document;
use proveil::core::wire::hex;
use proveil::core::{crypto, limits::REPORT_MAX_BYTES};

/// Reports that are kept.
const REPORTS_MAX: usize = 64;
/// Digits of an id.
const ID_DIGITS: usize = 16;

/// A report and its place.
#[derive(Clone)]
pub(super) struct Kept {
    pub(super) id: String,
    pub(super) json: String,
}

/// The newest reports.
#[derive(Default)]
pub(super) struct Reports {
    kept: Mutex<VecDeque<Kept>>,
}

impl Reports {
    /// Keeps a report and gives its id: digits of its own digest, so the same report has one place.
    pub(super) fn add(&self, json: String) -> String {
        let digest = hex::encode(&crypto::sha256(&[json.as_bytes()]));
        let id = digest.get(..ID_DIGITS).unwrap_or_default().to_owned();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if json.len() <= REPORT_MAX_BYTES && !kept.iter().any(|report| report.id == id) {
            kept.push_front(Kept { id: id.clone(), json });
            kept.truncate(REPORTS_MAX);
        }
        id
    }

    /// The report with this id.
    pub(super) fn get(&self, id: &str) -> Option<Kept> {
        self.all().into_iter().find(|report| report.id == id)
    }

    /// All that are kept, newest first.
    pub(super) fn all(&self) -> Vec<Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

impl Kept {
    /// For reading.
    pub(super) fn document(&self) -> Option<Document> {
        Document::from_json(self.json.as_bytes()).ok()
    }
}
