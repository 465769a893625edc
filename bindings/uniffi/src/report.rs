//! What an appraisal found, and the appraisal of captured evidence.

use std::sync::Arc;

use proveil_bindings_support::EvidenceOptions;
use proveil_bindings_support::core::report;

use crate::error::{Outcome, guarded};
use crate::policy::{Policy, TrustRoots, policy_of, roots_of};

/// The overall answer. Only `Verified` can send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum Verdict {
    /// Every enforced check passed.
    Verified,
    /// An enforced check failed: the evidence says no.
    Refused,
    /// No enforced check failed, but one could not be made.
    Indeterminate,
}

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum CheckOutcome {
    /// It holds.
    Pass,
    /// It does not hold.
    Fail,
    /// It was not or could not be made.
    NotChecked,
}

/// One line of the check table.
#[derive(Clone, Debug, uniffi::Record)]
pub struct Check {
    /// Stable id.
    pub id: String,
    /// Heading under which it belongs.
    pub group: String,
    /// What is checked, in words.
    pub title: String,
    /// What was found.
    pub outcome: CheckOutcome,
    /// Whether it counts for the verdict.
    pub enforced: bool,
    /// Error code when it did not pass.
    pub code: Option<String>,
    /// Machine reason, or why it was not made.
    pub reason: Option<String>,
    /// What was expected.
    pub expected: Option<String>,
    /// What was there.
    pub found: Option<String>,
    /// Where the value comes from that was compared with.
    pub reference: Option<String>,
}

impl From<&report::Check> for Check {
    fn from(check: &report::Check) -> Check {
        Check {
            id: check.id().to_owned(),
            group: check.group().heading().to_owned(),
            title: check.title().to_owned(),
            outcome: match check.outcome() {
                report::Outcome::Pass => CheckOutcome::Pass,
                report::Outcome::Fail => CheckOutcome::Fail,
                report::Outcome::NotChecked => CheckOutcome::NotChecked,
            },
            enforced: check.enforcement() == report::Enforcement::Enforced,
            code: check.code().map(str::to_owned),
            reason: check.reason().map(str::to_owned),
            expected: check.expected().map(str::to_owned),
            found: check.found_value().map(str::to_owned),
            reference: check.reference().map(str::to_owned),
        }
    }
}

/// The result of one appraisal: every check with its outcome, the verdict, and what was not proven. A record, never an input.
#[derive(uniffi::Object)]
pub struct Report(report::Report);

impl From<report::Report> for Report {
    fn from(report: report::Report) -> Report {
        Report(report)
    }
}

#[uniffi::export]
impl Report {
    /// The overall answer.
    pub fn verdict(&self) -> Verdict {
        match self.0.verdict() {
            report::Verdict::Verified => Verdict::Verified,
            report::Verdict::Refused => Verdict::Refused,
            report::Verdict::Indeterminate => Verdict::Indeterminate,
        }
    }

    /// `L0` to `L4`; only for a verified endpoint.
    pub fn level(&self) -> Option<String> {
        self.0.level().map(|level| level.name().to_owned())
    }

    /// The verdict in one line of words.
    pub fn headline(&self) -> String {
        self.0.headline().to_owned()
    }

    /// Error code of the first enforced check that did not pass.
    pub fn code(&self) -> Option<String> {
        self.0.code().map(str::to_owned)
    }

    /// Provider name.
    pub fn provider(&self) -> String {
        self.0.provider().to_owned()
    }

    /// Model id.
    pub fn model(&self) -> String {
        self.0.model().to_owned()
    }

    /// When the evidence was appraised, in seconds since 1970-01-01T00:00:00Z.
    pub fn checked_at(&self) -> u64 {
        self.0.checked_at()
    }

    /// When the proof ends, same unit; only for a verified endpoint.
    pub fn valid_until(&self) -> Option<u64> {
        self.0.valid_until()
    }

    /// Every check in the order in which it was made.
    pub fn checks(&self) -> Vec<Check> {
        self.0.checks().iter().map(Check::from).collect()
    }

    /// What nothing in this appraisal shows, in plain words.
    pub fn not_proven(&self) -> Vec<String> {
        self.0.not_proven().to_vec()
    }

    /// `proveil.report/v1` JSON, pretty-printed, deterministic.
    pub fn to_json(&self) -> Outcome<String> {
        guarded(|| Ok(self.0.to_json()))
    }

    /// For a terminal of 80 columns.
    pub fn to_text(&self) -> Outcome<String> {
        guarded(|| Ok(self.0.to_text()))
    }

    /// One HTML page that needs nothing else: no network, no script, dark and light, for screen and print.
    pub fn to_html(&self) -> Outcome<String> {
        guarded(|| Ok(self.0.to_html()))
    }

    /// A card as one SVG image.
    pub fn to_svg(&self) -> Outcome<String> {
        guarded(|| Ok(self.0.to_svg()))
    }

    /// An EAT attestation result (draft-ietf-rats-ear-04), compact JSON.
    pub fn to_ear_json(&self) -> Outcome<String> {
        guarded(|| Ok(self.0.to_ear_json()))
    }
}

/// Judges captured evidence of one endpoint without network. All three verdicts are a report; only unusable arguments are an error.
///
/// `response` is the attestation answer exactly as received, `nonce` the 32-byte challenge that was sent, `collateral` vendor
/// collateral, one JSON document each. `at` is the time of the appraisal in seconds since 1970-01-01T00:00:00Z, default now.
#[uniffi::export(default(at = None, model = None, policy = None, trust_roots = None))]
#[allow(clippy::too_many_arguments, reason = "named arguments in every target language")]
pub fn verify_evidence(
    provider: String,
    response: Vec<u8>,
    nonce: Vec<u8>,
    collateral: Vec<String>,
    at: Option<u64>,
    model: Option<String>,
    policy: Option<Arc<Policy>>,
    trust_roots: Option<Arc<TrustRoots>>,
) -> Outcome<Arc<Report>> {
    guarded(|| {
        let options = EvidenceOptions {
            provider,
            response,
            nonce,
            collateral: collateral.into_iter().map(String::into_bytes).collect(),
            at,
            model,
            policy: policy_of(policy),
            trust_roots: roots_of(trust_roots),
        };
        Ok(Arc::new(Report(options.appraise()?)))
    })
}
