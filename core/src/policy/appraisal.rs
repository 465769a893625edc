//! Collects the checks of one appraisal and concludes: verdict, level, report, and - only when everything that counts passed - the
//! witness without which no endpoint can be built.

use super::Policy;
use crate::error::{Code, Error};
use crate::report::{
    Check, Enforcement, Fact, Group, Hop, Level, Outcome, PolicyRef, Report, Roots, Verdict,
};
use crate::wire::hex;

/// Shows that an appraisal ended in `verified`. Cannot be made, copied or stored outside this module's [`Appraisal::conclude`].
///
/// ```compile_fail
/// let accepted = proveil_core::policy::Accepted { not_after: u64::MAX };
/// ```
#[derive(Debug)]
pub struct Accepted {
    not_after: u64,
}

impl Accepted {
    /// When the proof ends, in seconds since 1970-01-01T00:00:00Z.
    pub const fn not_after(&self) -> u64 {
        self.not_after
    }
}

/// Reason of a status check that found a revoked platform.
const REVOKED: &str = "tdx.tcb.Revoked";

/// What an appraisal is about.
#[derive(Debug, Clone)]
pub(crate) struct Subject<'a> {
    pub provider: &'a str,
    pub model: &'a str,
    pub base_url: &'a str,
    /// The proven key as shown to people, `None` when none could be read.
    pub key: Option<String>,
    /// Hardware in words, e.g. `Intel TDX`.
    pub hardware: &'a str,
    /// What is shown of hardware that stands for itself, as a sentence without its end; `None` for an endpoint. Levels are of endpoints.
    pub bare: Option<String>,
    pub roots: Roots,
    pub who_can_read: Vec<Hop>,
    pub not_proven: Vec<String>,
    pub evidence_sha256: Option<String>,
    /// Time of the appraisal.
    pub at: u64,
    /// Earliest expiry of all inputs.
    pub inputs_expire: u64,
}

/// The checks of one appraisal, in the order in which they were made.
#[derive(Debug)]
pub(crate) struct Appraisal<'p> {
    policy: &'p Policy,
    /// Whether the policy's advisory checks are applied.
    relaxable: bool,
    checks: Vec<Check>,
    facts: Vec<Fact>,
    first_error: Option<Error>,
}

impl<'p> Appraisal<'p> {
    pub fn new(policy: &'p Policy) -> Appraisal<'p> {
        Appraisal { policy, relaxable: true, checks: Vec::new(), facts: Vec::new(), first_error: None }
    }

    /// For hardware that stands for itself: no check is made advisory, because nothing else carries the verdict.
    pub fn of_hardware(policy: &'p Policy) -> Appraisal<'p> {
        Appraisal { relaxable: false, ..Appraisal::new(policy) }
    }

    pub fn pass(&mut self, scope: &str, id: &str) {
        self.push(Check::pass(scope, id), None);
    }

    pub fn pass_with(&mut self, scope: &str, id: &str, found: impl Into<String>) {
        self.push(Check::pass(scope, id).found(found), None);
    }

    pub fn fail(&mut self, scope: &str, id: &str, error: Error) {
        self.push(Check::from_error(scope, id, &error), Some(error));
    }

    pub fn not_checked(&mut self, scope: &str, id: &str, why: &str) {
        self.push(Check::not_checked(scope, id, why), None);
    }

    /// Records a check that does not count for the verdict whatever the catalogue says.
    pub fn advisory(&mut self, check: Check) {
        self.push(check.advisory(), None);
    }

    /// Records a check that counts for the verdict whatever the catalogue says.
    pub fn enforced(&mut self, check: Check, error: Option<Error>) {
        self.push(check.enforced(), error);
    }

    /// Records the outcome of a step and hands on its value.
    pub fn record<T>(&mut self, scope: &str, id: &str, result: Result<T, Error>) -> Option<T> {
        match result {
            Ok(value) => {
                self.pass(scope, id);
                Some(value)
            }
            Err(error) => {
                self.fail(scope, id, error);
                None
            }
        }
    }

    pub fn fact(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.facts.push(Fact { name: name.into(), value: value.into() });
    }

    /// True when this check passed.
    pub fn passed(&self, scope: &str, id: &str) -> bool {
        let id = format!("{scope}{id}");
        self.checks.iter().any(|check| check.id == id && check.outcome() == Outcome::Pass)
    }

    fn push(&mut self, check: Check, error: Option<Error>) {
        // No policy accepts a platform that Intel revoked (attestation.md 2.4), whatever it says about the check.
        let relaxed =
            self.relaxable && self.policy.is_advisory(check.id()) && check.reason() != Some(REVOKED);
        let check = if relaxed { check.advisory() } else { check };
        let counts = check.enforcement() == Enforcement::Enforced && check.outcome() != Outcome::Pass;
        if counts && self.first_error.is_none() {
            let error = error.unwrap_or_else(|| {
                Error::new(Code::RequiredCheckNotMade).found(check.reason().unwrap_or_default())
            });
            let error = if error.check().is_none() { error.at(check.id()) } else { error };
            self.first_error = Some(error);
        }
        self.checks.push(check);
    }

    /// Ends the appraisal. An appraisal without any passed check is never verified.
    pub fn conclude(self, subject: Subject<'_>) -> (Report, Result<Accepted, Error>) {
        let verdict = self.verdict();
        let level = (verdict == Verdict::Verified && subject.bare.is_none()).then(|| self.level());
        let not_after = subject.inputs_expire.min(subject.at.saturating_add(self.policy.max_age_s()));
        let expired = not_after <= subject.at;
        let verdict = if verdict == Verdict::Verified && expired { Verdict::Indeterminate } else { verdict };
        let error = match (verdict, self.first_error) {
            (Verdict::Verified, _) => None,
            (_, Some(error)) => Some(error),
            (_, None) if expired => Some(Error::new(Code::ProofExpired)),
            (_, None) => Some(Error::new(Code::RequiredCheckNotMade)),
        };
        let level = level.filter(|_| verdict == Verdict::Verified);
        let report = Report {
            schema: "proveil.report/v1",
            verdict,
            level,
            roots: subject.roots,
            headline: headline(&subject, verdict, level, error.as_ref(), not_after),
            code: error.as_ref().map(|error| error.code().text()),
            provider: subject.provider.to_owned(),
            model: subject.model.to_owned(),
            base_url: subject.base_url.to_owned(),
            key: subject.key,
            checked_at: subject.at,
            valid_until: (verdict == Verdict::Verified).then_some(not_after),
            policy: PolicyRef {
                name: self.policy.name().to_owned(),
                sha256: hex::encode(&self.policy.sha256()),
                relaxations: self.policy.relaxations(),
            },
            missing_to_next_level: level.map(|level| level.missing().to_owned()),
            who_can_read: subject.who_can_read,
            not_proven: subject.not_proven,
            checks: self.checks,
            facts: self.facts,
            evidence_sha256: subject.evidence_sha256,
            library: concat!("proveil ", env!("CARGO_PKG_VERSION")),
        };
        let accepted = match error {
            None => Ok(Accepted { not_after }),
            Some(error) => Err(error.with_report_json(report.to_json())),
        };
        (report, accepted)
    }

    /// The verdict that the checks so far amount to.
    pub fn verdict(&self) -> Verdict {
        let counting = || self.checks.iter().filter(|check| check.enforcement() == Enforcement::Enforced);
        if counting().any(|check| check.outcome() == Outcome::Fail) {
            Verdict::Refused
        } else if counting().any(|check| check.outcome() == Outcome::NotChecked) || counting().count() == 0 {
            Verdict::Indeterminate
        } else {
            Verdict::Verified
        }
    }

    /// Level of a verified appraisal (attestation.md 4.3): each step needs the one before.
    fn level(&self) -> Level {
        let group_passes = |group| {
            let mut checks = self.checks.iter().filter(|check| check.group() == group).peekable();
            checks.peek().is_some() && checks.all(|check| check.outcome() == Outcome::Pass)
        };
        let passes =
            |id| self.checks.iter().any(|check| check.id() == id && check.outcome() == Outcome::Pass);
        if !(group_passes(Group::Freshness)
            && group_passes(Group::KeyBinding)
            && passes("tdx.quote_signature"))
        {
            Level::L0
        } else if !group_passes(Group::Hardware) {
            Level::L1
        } else if !passes("software.reference") {
            Level::L2
        } else if !((passes("gpu.measurements") || passes("gpu.nras.claims")) && passes("gpu.bound")) {
            Level::L3
        } else {
            Level::L4
        }
    }
}

fn headline(
    subject: &Subject<'_>,
    verdict: Verdict,
    level: Option<Level>,
    error: Option<&Error>,
    not_after: u64,
) -> String {
    let roots = if subject.roots == Roots::Custom { " against CUSTOM roots" } else { "" };
    let sent = if subject.bare.is_some() { "" } else { " Nothing was sent." };
    match (verdict, error) {
        (Verdict::Verified, _) => match &subject.bare {
            Some(claim) => format!(
                "VERIFIED{roots} - {claim}; checked {}, valid until {}.",
                super::time::rfc3339(subject.at),
                super::time::rfc3339(not_after),
            ),
            None => format!(
                "VERIFIED{roots}, {} - prompts for {} are encrypted to key {} held by an {} enclave; checked {}, valid until {}.",
                level.map_or("", Level::name),
                subject.model,
                subject.key.as_deref().unwrap_or("-"),
                subject.hardware,
                super::time::rfc3339(subject.at),
                super::time::rfc3339(not_after),
            ),
        },
        (_, Some(error)) => {
            let word = if verdict == Verdict::Refused { "REFUSED" } else { "COULD NOT CHECK" };
            format!("{word}{roots} ({}): {}{sent}", error.code().text(), error.message())
        }
        (_, None) => format!("COULD NOT CHECK{roots}.{sent}"),
    }
}
