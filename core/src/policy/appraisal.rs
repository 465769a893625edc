//! Collects the checks of one appraisal and concludes: verdict, level, report, and - only when everything that counts passed - the
//! witness without which no endpoint can be built.

use super::Policy;
use crate::attest;
use crate::error::{Code, Error};
use crate::report::{
    Check, Document, Enforcement, Fact, Group, Hop, Level, Outcome, Platform, PolicyRef, Report, Roots,
    SCHEMA, Verdict, catalogue, reference,
};
use crate::wire::hex;

/// Shows that an appraisal ended in `verified`. Cannot be made, copied or stored outside this module's `Appraisal::conclude`.
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
    /// What is shown of hardware that stands for itself; `None` for an endpoint.
    pub bare: Option<Bare>,
    pub roots: Roots,
    pub who_can_read: Vec<Hop>,
    pub not_proven: Vec<String>,
    pub evidence_sha256: Option<String>,
    /// Time of the appraisal.
    pub at: u64,
    /// Earliest expiry of all inputs.
    pub inputs_expire: u64,
}

/// What is shown of hardware without a provider around it, as a sentence without its end.
#[derive(Debug, Clone)]
pub(crate) enum Bare {
    /// Of an enclave. It has a level, like one behind an endpoint.
    Enclave(String),
    /// Of devices alone. Levels are of enclaves.
    Devices(String),
}

/// The checks of one appraisal, in the order in which they were made.
#[derive(Debug)]
pub(crate) struct Appraisal<'p> {
    policy: &'p Policy,
    /// Whether the policy's advisory checks are applied.
    relaxable: bool,
    checks: Vec<Check>,
    facts: Vec<Fact>,
    platforms: Vec<Platform>,
    nonce: Option<String>,
    recheck: Option<String>,
    /// What is accepted beyond the default without the policy's doing, in words.
    relaxations: Vec<String>,
    /// The first check that counts and failed, and the first that counts and could not be made.
    first_failed: Option<Error>,
    first_open: Option<Error>,
}

impl<'p> Appraisal<'p> {
    pub fn new(policy: &'p Policy) -> Appraisal<'p> {
        Appraisal {
            policy,
            relaxable: true,
            checks: Vec::new(),
            facts: Vec::new(),
            platforms: Vec::new(),
            nonce: None,
            recheck: None,
            relaxations: Vec::new(),
            first_failed: None,
            first_open: None,
        }
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

    /// What was measured so far.
    pub fn facts(&self) -> &[Fact] {
        &self.facts
    }

    /// Lists a platform whose evidence verified.
    pub fn platform(&mut self, platform: Platform) {
        self.platforms.push(platform);
    }

    /// States the challenge.
    pub fn challenge(&mut self, nonce: &[u8]) {
        self.nonce = Some(hex::encode(nonce));
    }

    /// Lists what a client's own settings accept beyond their default.
    pub fn relaxation(&mut self, words: String) {
        self.relaxations.push(words);
    }

    /// States the command that checks the same evidence again.
    pub fn recheck(&mut self, command: String) {
        self.recheck = Some(command);
    }

    /// True when this check passed.
    pub fn passed(&self, scope: &str, id: &str) -> bool {
        let id = format!("{scope}{id}");
        self.checks.iter().any(|check| check.id == id && check.outcome() == Outcome::Pass)
    }

    /// Lists the steps of a verification that stops at the first failure: passed before it, not reached after it.
    pub fn steps(&mut self, scope: &str, steps: &[attest::Check], failed: Option<(&Error, usize)>) {
        for (i, step) in steps.iter().enumerate() {
            match failed {
                Some((error, place)) if place == i => self.fail(scope, step.id, error.clone()),
                Some((_, place)) if place < i => {
                    self.advisory(Check::not_checked(scope, step.id, "an earlier check did not pass"));
                }
                _ => self.pass(scope, step.id),
            }
        }
    }

    fn push(&mut self, check: Check, error: Option<Error>) {
        let check = self.weighed(check);
        let counts = check.enforcement() == Enforcement::Enforced && check.outcome() != Outcome::Pass;
        let first =
            if check.outcome() == Outcome::Fail { &mut self.first_failed } else { &mut self.first_open };
        if counts && first.is_none() {
            let error = error.unwrap_or_else(|| unmade(&check));
            let error = if error.check().is_none() { error.at(check.id()) } else { error };
            *first = Some(error);
        }
        self.checks.push(check);
    }

    /// The check, counting or not as the policy says.
    fn weighed(&self, check: Check) -> Check {
        if !self.policy.changes_checks() {
            return check;
        }
        match self.policy.enforcement(catalogue::without_scope(check.id())) {
            Some(Enforcement::Enforced) => check.enforced(),
            // No policy accepts a platform that Intel revoked (attestation.md 2.4), whatever it says about the check.
            Some(Enforcement::Advisory) if self.relaxable && check.reason() != Some(REVOKED) => {
                check.advisory()
            }
            _ => check,
        }
    }

    /// A check that the policy enforces and that was not even listed is one that was not made (threats I3).
    fn require_enforced(&mut self) {
        for id in self.policy.enforced_checks() {
            if !self.checks.iter().any(|check| catalogue::without_scope(check.id()) == id) {
                self.push(Check::not_checked("", id, "there was nothing to make it on"), None);
            }
        }
    }

    /// A policy that has ended says nothing about now: whoever wrote it wanted its values looked at again.
    fn require_policy_in_force(&mut self, at: u64) {
        const ID: &str = "policy.not_after";
        match self.policy.not_after() {
            None => {}
            Some(end) if at < end => self.pass_with("", ID, super::time::rfc3339(end)),
            Some(end) => {
                let expected = format!("a time before {}", super::time::rfc3339(end));
                let error = Error::new(Code::PolicyExpired).at(ID).expected(expected);
                self.fail("", ID, error.found(super::time::rfc3339(at)));
            }
        }
    }

    /// Ends the appraisal. An appraisal without any passed check is never verified.
    pub fn conclude(mut self, subject: Subject<'_>) -> (Report, Result<Accepted, Error>) {
        self.require_enforced();
        self.require_policy_in_force(subject.at);
        let verdict = self.verdict_so_far(&[]);
        let level = (verdict == Verdict::Verified && !matches!(subject.bare, Some(Bare::Devices(_))))
            .then(|| self.level());
        let not_after = subject
            .inputs_expire
            .min(subject.at.saturating_add(self.policy.max_age_s()))
            .min(self.policy.not_after().unwrap_or(u64::MAX));
        let expired = not_after <= subject.at;
        let verdict = if verdict == Verdict::Verified && expired { Verdict::Indeterminate } else { verdict };
        // The code says what the verdict says: a refusal is never explained by a check that could not be made.
        let error = match (verdict, self.first_failed.or(self.first_open)) {
            (Verdict::Verified, _) => None,
            (_, Some(error)) => Some(error),
            (_, None) if expired => Some(Error::new(Code::ProofExpired)),
            (_, None) => Some(Error::new(Code::RequiredCheckNotMade)),
        };
        let level = level.filter(|_| verdict == Verdict::Verified);
        let missing_to_next_level = level.map(|level| missing(&subject, level).to_owned());
        if subject.roots == Roots::Custom {
            for source in self.checks.iter_mut().filter_map(|check| check.reference.as_mut()) {
                *source = reference::under_custom_roots(source).to_owned();
            }
        }
        let report = Report::new(Document {
            schema: SCHEMA,
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
                relaxations: self.policy.relaxations().into_iter().chain(self.relaxations).collect(),
            },
            missing_to_next_level,
            who_can_read: subject.who_can_read,
            not_proven: subject.not_proven,
            checks: self.checks,
            facts: self.facts,
            platforms: self.platforms,
            nonce: self.nonce,
            evidence_sha256: subject.evidence_sha256,
            recheck: self.recheck,
            library: concat!("proveil ", env!("CARGO_PKG_VERSION")).to_owned(),
        });
        let accepted = match error {
            None => Ok(Accepted { not_after }),
            Some(error) => Err(error.with_report_json(report.to_json())),
        };
        (report, accepted)
    }

    /// The verdict that the checks amount to at the time `at`, if no more are made.
    pub fn verdict(&self, at: u64) -> Verdict {
        self.verdict_without(&[], at)
    }

    /// The same without some checks.
    pub fn verdict_without(&self, ids: &[&str], at: u64) -> Verdict {
        let made = |id: &str| self.checks.iter().any(|check| catalogue::without_scope(check.id()) == id);
        let required = || self.policy.enforced_checks().iter().map(String::as_str);
        let open = self.policy.not_after().is_some_and(|end| at >= end)
            || !required().filter(|id| !ids.contains(id)).all(made);
        match self.verdict_so_far(ids) {
            Verdict::Verified if open => Verdict::Indeterminate,
            verdict => verdict,
        }
    }

    fn verdict_so_far(&self, without: &[&str]) -> Verdict {
        let enforced = |check: &&Check| check.enforcement() == Enforcement::Enforced;
        let counting = || self.checks.iter().filter(enforced).filter(|check| !without.contains(&check.id()));
        if counting().any(|check| check.outcome() == Outcome::Fail) {
            Verdict::Refused
        } else if counting().any(|check| check.outcome() == Outcome::NotChecked) || counting().count() == 0 {
            Verdict::Indeterminate
        } else {
            Verdict::Verified
        }
    }

    /// Level of a verified appraisal (attestation.md 4.3): each step needs the one before. Of several enclaves, the least proven counts.
    fn level(&self) -> Level {
        let group_passes = |group| {
            let mut checks = self.checks.iter().filter(|check| check.group() == group).peekable();
            checks.peek().is_some() && checks.all(|check| check.outcome() == Outcome::Pass)
        };
        // The scopes of those enclaves that have this check at all.
        let scopes = |id: &'static str| {
            let scope = move |check: &'_ Check| check.id().strip_suffix(id).map(str::to_owned);
            let scopes: Vec<String> = self.checks.iter().filter_map(scope).collect();
            if scopes.is_empty() { vec![String::new()] } else { scopes }
        };
        let in_all = |scopes: &[String], ids: &[&str]| {
            scopes.iter().all(|scope| ids.iter().any(|id| self.passed(scope, id)))
        };
        let enclaves = scopes("quote.present");
        let with_devices = scopes("gpu.missing");
        let passes = |id| in_all(&enclaves, &[id]);
        // For bare evidence the expected report data stands for key and challenge: the caller made it from them.
        let bound = (group_passes(Group::Freshness) && group_passes(Group::KeyBinding))
            || passes("snp.report_data")
            || passes("tdx.policy.report_data");
        if !(bound && (passes("tdx.quote_signature") || passes("snp.signature"))) {
            Level::L0
        } else if !group_passes(Group::Hardware) {
            Level::L1
        } else if !passes("software.reference") {
            Level::L2
        } else if !(in_all(&with_devices, &["gpu.measurements", "gpu.nras.claims"])
            && in_all(&with_devices, &["gpu.bound"]))
        {
            Level::L3
        } else {
            Level::L4
        }
    }
}

/// Why a check that counts did not pass, where only the check says so.
fn unmade(check: &Check) -> Error {
    let stated = check.code().and_then(|code| code.strip_prefix("PV-")?.parse().ok());
    match stated.and_then(Code::from_number) {
        Some(code) => {
            let error = Error::new(code).at(check.reason().unwrap_or(check.id()));
            let error = check.expected().map(|text| error.clone().expected(text)).unwrap_or(error);
            check.found_value().map(|text| error.clone().found(text)).unwrap_or(error)
        }
        None => Error::new(Code::RequiredCheckNotMade).found(check.reason().unwrap_or_default()),
    }
}

/// What is missing to the next level.
fn missing(subject: &Subject<'_>, level: Level) -> &'static str {
    match level {
        Level::L0 if subject.bare.is_some() => {
            "expected report data, which ties the evidence to a challenge or key of yours"
        }
        _ => level.missing(),
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
            Some(Bare::Enclave(claim)) => format!(
                "VERIFIED{roots}, {} - {claim}; judged as of {}.",
                level.map_or("", Level::name),
                super::time::rfc3339(subject.at),
            ),
            Some(Bare::Devices(claim)) => format!(
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
            format!("{}{roots} ({}): {}{sent}", verdict.words(), error.code().text(), error.message())
        }
        (_, None) => format!("COULD NOT CHECK{roots}.{sent}"),
    }
}
