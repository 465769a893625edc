//! How endpoints were found, newest evidence first: those that the proxy keeps verified by itself, and those that requests had verified.
//! What a request caused is bounded in number and goes when its proof ends (threats T54, T55). Decides nothing about a request.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use proveil::core::report::Report;
use proveil::{Class, Error};
use serde_json::{Value, json};

/// All endpoints together; callers choose some of the names.
const STANDINGS_MAX: usize = 64;
/// Longest name of a model that is shown.
const MODEL_MAX_BYTES: usize = 256;
/// How long a failure that a request ran into is shown, in seconds.
const FAILED_AGE_S: u64 = 600;

/// What an endpoint's proof says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    Verified,
    Refused,
    Indeterminate,
}

impl Finding {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Finding::Verified => "verified",
            Finding::Refused => "refused",
            Finding::Indeterminate => "indeterminate",
        }
    }
}

/// How an endpoint was found.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub(super) finding: Finding,
    /// Unix seconds.
    checked_at: u64,
    /// When the proof ends, in Unix seconds; a failure has none.
    pub(super) not_after: Option<u64>,
    /// One line of the report, or of the error.
    line: String,
    pub(super) code: Option<String>,
    /// What to do next.
    hint: Option<&'static str>,
    report: Option<String>,
    /// The proxy keeps it verified by itself.
    kept: bool,
}

impl Standing {
    /// A proof, whose report has the id `id`.
    pub(super) fn verified(report: &Report, id: String) -> Standing {
        Standing {
            finding: Finding::Verified,
            checked_at: report.checked_at(),
            not_after: report.valid_until(),
            line: report.headline().to_owned(),
            code: None,
            hint: None,
            report: Some(id),
            kept: false,
        }
    }

    /// A verification that did not succeed, or could not begin.
    pub(super) fn failed(error: &Error, report: Option<String>) -> Standing {
        let refused = error.code().class() == Class::Verification;
        Standing {
            finding: if refused { Finding::Refused } else { Finding::Indeterminate },
            checked_at: unix_s(),
            not_after: None,
            line: error.message(),
            code: Some(error.code().text()),
            hint: Some(error.hint()),
            report,
            kept: false,
        }
    }

    fn holds(&self, now: u64) -> bool {
        self.not_after.is_some_and(|end| now < end)
    }

    fn stays(&self, now: u64) -> bool {
        let recent = || self.not_after.is_none() && now < self.checked_at.saturating_add(FAILED_AGE_S);
        self.kept || self.holds(now) || recent()
    }
}

/// Provider and model.
pub(super) type Place = (String, String);

/// The newest standing of every endpoint.
#[derive(Default)]
pub(super) struct Standings {
    all: Mutex<BTreeMap<Place, Standing>>,
}

impl Standings {
    /// How many proofs hold.
    pub(super) fn verified(&self) -> usize {
        let now = unix_s();
        self.lock().values().filter(|standing| standing.holds(now)).count()
    }

    /// What the proxy found by itself. True for news.
    pub(super) fn keep(&self, place: Place, standing: Standing) -> bool {
        let mut all = self.lock();
        let is_news = all.get(&place).is_none_or(|known| !same(known, &standing));
        all.insert(place, Standing { kept: true, ..standing });
        is_news
    }

    /// What a request found. True for news. Newer evidence wins. Where clients have proofs `apart`, one that could not check takes
    /// nothing from the proof of another.
    pub(super) fn note(&self, place: Place, standing: Standing, apart: bool) -> bool {
        if place.1.len() > MODEL_MAX_BYTES {
            return false;
        }
        let now = unix_s();
        let mut all = self.lock();
        all.retain(|_, known| known.stays(now));
        if let Some(known) = all.get_mut(&place) {
            // One that could not check says nothing about the proof of another either.
            let is_apart = apart && known.finding == Finding::Indeterminate && standing.holds(now);
            let is_older = standing.checked_at < known.checked_at && !is_apart;
            let takes_away = standing.finding == Finding::Indeterminate && apart && known.holds(now);
            if same(known, &standing) || is_older || takes_away {
                return false;
            }
            *known = Standing { kept: known.kept, ..standing };
            return true;
        }
        if all.len() >= STANDINGS_MAX {
            // Failures go first, then the proof that was made first.
            let passing = all.iter().filter(|(_, known)| !known.kept);
            let oldest = passing.min_by_key(|(_, known)| (known.holds(now), known.checked_at));
            match oldest.map(|(place, _)| place.clone()) {
                Some(place) => drop(all.remove(&place)),
                None => return false,
            }
        }
        all.insert(place, standing);
        true
    }

    /// Says which endpoints are kept verified from now on. What is left of others goes by itself: a proof when it ends, anything else at
    /// once.
    pub(super) fn settle(&self, kept: &BTreeSet<Place>) {
        let now = unix_s();
        let mut all = self.lock();
        all.retain(|place, known| {
            let was_kept = known.kept;
            known.kept = kept.contains(place);
            known.kept || if was_kept { known.holds(now) } else { known.stays(now) }
        });
    }

    /// Forgets what requests found: it was found by other rules.
    pub(super) fn forget_passing(&self) {
        self.lock().retain(|_, known| known.kept);
    }

    /// For `/status.json` and the page.
    pub(super) fn document(&self, is_ready: bool) -> Value {
        let now = unix_s();
        let endpoints: Vec<Value> = self
            .lock()
            .iter()
            .filter(|(_, standing)| standing.stays(now))
            .map(|((provider, model), standing)| {
                json!({ "provider": provider, "model": model, "outcome": standing.finding.name(),
                        "not_after": standing.not_after, "line": standing.line, "code": standing.code,
                        "hint": standing.hint,
                        "report": standing.report.as_ref().map(|id| format!("/report/{id}")) })
            })
            .collect();
        json!({ "schema": "proveil.proxy-status/v1", "ready": is_ready, "endpoints": endpoints })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Place, Standing>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether both are of one verification.
fn same(known: &Standing, new: &Standing) -> bool {
    known.report.is_some() && known.report == new.report
}

/// Seconds since 1970-01-01T00:00:00Z.
fn unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

#[cfg(test)]
mod tests {
    use proveil::Code;

    use super::*;

    fn place(model: &str) -> Place {
        ("privatemode".to_owned(), model.to_owned())
    }

    fn proof(id: &str, checked_at: u64, not_after: u64) -> Standing {
        Standing {
            finding: Finding::Verified,
            checked_at,
            not_after: Some(not_after),
            line: "VERIFIED".to_owned(),
            code: None,
            hint: None,
            report: Some(id.to_owned()),
            kept: false,
        }
    }

    fn shown(standings: &Standings) -> Vec<(String, String)> {
        let document = standings.document(true);
        let text = |value: &Value, name: &str| value[name].as_str().unwrap().to_owned();
        let endpoints = document["endpoints"].as_array().unwrap();
        endpoints.iter().map(|it| (text(it, "model"), text(it, "outcome"))).collect()
    }

    /// T54: callers can name as many models as they like.
    #[test]
    fn t54_bounded_and_kept_ones_stay() {
        let (standings, later) = (Standings::default(), unix_s() + 1000);
        let failure = || Standing::failed(&Error::new(Code::QuoteSignature), None);
        assert!(standings.keep(place("kept"), failure()));
        for number in 0..STANDINGS_MAX * 3 {
            standings.note(place(&format!("m{number}")), failure(), false);
        }
        assert!(standings.note(place("good"), proof("1", 7, later), false));
        assert!(!standings.note(place(&"m".repeat(MODEL_MAX_BYTES + 1)), failure(), false));
        for number in 0..STANDINGS_MAX * 3 {
            standings.note(place(&format!("n{number}")), failure(), false);
        }
        let all = shown(&standings);
        assert_eq!((all.len(), standings.verified()), (STANDINGS_MAX, 1));
        assert!(all.contains(&("kept".to_owned(), "refused".to_owned())), "{all:?}");
        assert!(all.contains(&("good".to_owned(), "verified".to_owned())), "{all:?}");
    }

    #[test]
    fn proofs_end() {
        let (standings, now) = (Standings::default(), unix_s());
        standings.note(place("ended"), proof("1", now - 9, now), false);
        standings.keep(place("kept"), proof("2", now - 9, now));
        standings.note(place("failed"), Standing { checked_at: now - FAILED_AGE_S, ..failure() }, false);
        assert_eq!((shown(&standings).len(), standings.verified()), (1, 0));
        standings.note(place("new"), proof("3", now, now + 1000), false);
        assert_eq!(standings.lock().len(), 2, "what is not shown is not held");
    }

    fn failure() -> Standing {
        Standing::failed(&Error::new(Code::CollateralUnreachable), None)
    }

    #[test]
    fn newer_evidence_wins() {
        let now = unix_s();
        let refused = |at: u64| {
            let refused = Standing::failed(&Error::new(Code::QuoteSignature), None);
            Standing { checked_at: at, ..refused }
        };
        let old = || proof("1", now - 9, now + 1000);
        for (first, second, apart, outcome) in [
            (old(), refused(now), true, "refused"),
            (refused(now), old(), true, "refused"),
            (refused(now - 10), old(), true, "verified"),
            (old(), failure(), true, "verified"),
            (old(), failure(), false, "indeterminate"),
            (failure(), old(), true, "verified"),
            (failure(), old(), false, "indeterminate"),
            (failure(), proof("2", now, now + 1000), false, "verified"),
        ] {
            let standings = Standings::default();
            let case = format!("{first:?} {second:?} {apart}");
            standings.note(place("m"), first, apart);
            standings.note(place("m"), second, apart);
            assert_eq!(shown(&standings), [("m".to_owned(), outcome.to_owned())], "{case}");
        }
        let standings = Standings::default();
        assert!(standings.note(place("m"), old(), false) && !standings.note(place("m"), old(), false));
    }

    /// What could not even be named once is gone when another look knows better.
    #[test]
    fn what_is_not_kept_any_more() {
        let (standings, now) = (Standings::default(), unix_s());
        standings.keep(place("(none)"), failure());
        standings.keep(place("a"), proof("1", now, now + 1000));
        standings.note(place("b"), proof("2", now, now + 1000), false);
        standings.settle(&BTreeSet::from([place("c")]));
        assert_eq!(shown(&standings).iter().map(|(model, _)| model.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        standings.settle(&BTreeSet::from([place("a")]));
        standings.forget_passing();
        assert_eq!(shown(&standings).len(), 1);
    }
}
