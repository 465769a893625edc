//! Reports of the verifications that answers relied on, and of those that failed: kept in memory, the newest for each endpoint first.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use proveil::core::report::{Document, Report, Verdict};
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
    /// Provider and model of a verification that did not succeed: only its newest report is kept, so that an endpoint that is asked again
    /// and again does not drive out the others.
    failed: Option<(String, String)>,
}

/// The newest reports.
#[derive(Default)]
pub(super) struct Reports {
    kept: Mutex<VecDeque<Kept>>,
    /// Ids by what only one verification has, so that an answer does not write its report out again.
    known: Mutex<VecDeque<(Mark, String)>>,
}

/// Model, challenge and time of a verification.
type Mark = (String, Option<String>, u64);

impl Reports {
    /// The id of a report, which is kept.
    pub(super) fn id_of(&self, report: &Report) -> String {
        let mark = (report.model().to_owned(), report.nonce().map(str::to_owned), report.checked_at());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, id)) = known.iter().find(|(have, _)| *have == mark) {
            return id.clone();
        }
        let id = self.add(report.to_json());
        known.push_front((mark, id.clone()));
        known.truncate(REPORTS_MAX);
        id
    }

    /// Keeps a report and gives its id: digits of its own digest, so the same report has one place.
    pub(super) fn add(&self, json: String) -> String {
        let digest = hex::encode(&crypto::sha256(&[json.as_bytes()]));
        let id = digest.get(..ID_DIGITS).unwrap_or_default().to_owned();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if json.len() > REPORT_MAX_BYTES || kept.iter().any(|report| report.id == id) {
            return id;
        }
        let document = Document::from_json(json.as_bytes()).ok();
        let failed = document
            .filter(|document| document.verdict() != Verdict::Verified)
            .map(|document| (document.provider().to_owned(), document.model().to_owned()));
        kept.retain(|report| report.failed.is_none() || report.failed != failed);
        kept.push_front(Kept { id: id.clone(), json, failed });
        kept.truncate(REPORTS_MAX);
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
