//! What an appraisal found: every check with its outcome, the verdict, and what was not proven (users.md 9).
//!
//! A report says nothing that a check did not show. Its JSON form, `proveil.report/v1`, is deterministic: the same appraisal of the
//! same evidence at the same time gives the same bytes. A report is a record, never an input: nothing reads one to decide.

pub mod catalogue;
mod check;
mod text;

pub use check::{Check, Enforcement, Group, Outcome};

use serde::Serialize;

/// The overall answer, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every enforced check passed.
    Verified,
    /// An enforced check failed: the evidence says no.
    Refused,
    /// No enforced check failed, but one could not be made.
    Indeterminate,
}

impl Verdict {
    /// `verified`, `refused` or `indeterminate`.
    pub const fn name(self) -> &'static str {
        match self {
            Verdict::Verified => "verified",
            Verdict::Refused => "refused",
            Verdict::Indeterminate => "indeterminate",
        }
    }
}

/// How far a verified endpoint is proven (attestation.md 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Level {
    /// Channel only.
    L0,
    /// Genuine CPU enclave, key bound, fresh.
    L1,
    /// L1, and the platform's patch level and configuration satisfy the policy.
    L2,
    /// L2, and the measured software equals a reference value.
    L3,
    /// L3, and GPU measurements match the vendor's and the guest is known to enforce them.
    L4,
}

impl Level {
    /// `L0` to `L4`.
    pub const fn name(self) -> &'static str {
        match self {
            Level::L0 => "L0",
            Level::L1 => "L1",
            Level::L2 => "L2",
            Level::L3 => "L3",
            Level::L4 => "L4",
        }
    }

    /// What the level means, in words.
    pub const fn meaning(self) -> &'static str {
        match self {
            Level::L0 => "an encrypted channel, nothing proven about the other end",
            Level::L1 => "a genuine hardware enclave holds the key, freshly asked",
            Level::L2 => "genuine enclave, fresh, at an accepted security patch level and configuration",
            Level::L3 => "as L2, and it runs software that you or the provider's reference named",
            Level::L4 => "as L3, and its GPUs run measured NVIDIA firmware in confidential mode",
        }
    }

    /// What is missing to the next level.
    pub const fn missing(self) -> &'static str {
        match self {
            Level::L0 => "hardware evidence",
            Level::L1 => "an accepted platform patch level and configuration",
            Level::L2 => "a reference value for the measured software (software identity not proven)",
            Level::L3 => {
                "GPU measurements compared with NVIDIA's reference values, enforced by reviewed guest software"
            }
            Level::L4 => "nothing that this library can check",
        }
    }
}

/// How sure it is that a hop is what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Hardware evidence shows it.
    Proven,
    /// Only the provider says so.
    Asserted,
    /// Nobody says.
    Unknown,
}

/// A place that sees the prompt in clear.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hop {
    /// Where.
    pub name: String,
    /// How sure it is.
    pub standing: Standing,
    /// One sentence.
    pub note: String,
}

/// Whose signatures were accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Roots {
    /// The pinned roots of the hardware vendors.
    Vendor,
    /// Roots that the caller gave.
    Custom,
}

/// The policy behind a verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyRef {
    /// Name of the preset or file.
    pub name: String,
    /// SHA-256 of the canonical policy, hex.
    pub sha256: String,
    /// Every relaxation against the preset `standard`, in words.
    pub relaxations: Vec<String>,
}

/// A named fact taken from authenticated evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fact {
    /// Dotted name: `tdx.mr_td`, `tdx.tcb_status`, `dstack.compose_hash`, `gpu.0.driver`, ...
    pub name: String,
    /// Value as text: hex for bytes, RFC 3339 for times.
    pub value: String,
}

/// The result of one appraisal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    pub(crate) schema: &'static str,
    pub(crate) verdict: Verdict,
    pub(crate) level: Option<Level>,
    pub(crate) roots: Roots,
    pub(crate) headline: String,
    pub(crate) code: Option<String>,
    pub(crate) provider: String,
    pub(crate) model: String,
    pub(crate) base_url: String,
    pub(crate) key: Option<String>,
    pub(crate) checked_at: u64,
    pub(crate) valid_until: Option<u64>,
    pub(crate) policy: PolicyRef,
    pub(crate) missing_to_next_level: Option<String>,
    pub(crate) who_can_read: Vec<Hop>,
    pub(crate) not_proven: Vec<String>,
    pub(crate) checks: Vec<Check>,
    pub(crate) facts: Vec<Fact>,
    pub(crate) evidence_sha256: Option<String>,
    pub(crate) library: &'static str,
}

impl Report {
    /// The overall answer.
    pub const fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// The level reached; only for a verified endpoint.
    pub const fn level(&self) -> Option<Level> {
        self.level
    }

    /// Whose signatures were accepted.
    pub const fn roots(&self) -> Roots {
        self.roots
    }

    /// The verdict in one line of words.
    pub fn headline(&self) -> &str {
        &self.headline
    }

    /// The error code of the first enforced check that failed or could not be made.
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// Provider name.
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// Model id.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// When the evidence was appraised, in seconds since 1970-01-01T00:00:00Z.
    pub const fn checked_at(&self) -> u64 {
        self.checked_at
    }

    /// When the proof ends, same unit; only for a verified endpoint.
    pub const fn valid_until(&self) -> Option<u64> {
        self.valid_until
    }

    /// The policy that was applied.
    pub const fn policy(&self) -> &PolicyRef {
        &self.policy
    }

    /// Every check in the order in which it was made.
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// Facts from authenticated evidence.
    pub fn facts(&self) -> &[Fact] {
        &self.facts
    }

    /// Every place that sees the prompt in clear.
    pub fn who_can_read(&self) -> &[Hop] {
        &self.who_can_read
    }

    /// What nothing in this appraisal shows, in plain words.
    pub fn not_proven(&self) -> &[String] {
        &self.not_proven
    }

    /// What is missing to the next level.
    pub fn missing_to_next_level(&self) -> Option<&str> {
        self.missing_to_next_level.as_deref()
    }

    /// `proveil.report/v1` JSON, pretty-printed, deterministic.
    pub fn to_json(&self) -> String {
        // Serialising plain strings and numbers cannot fail; an empty text would be refused by every reader.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// For a terminal of 80 columns, without colour: verdict, who can read, what is not proven, every check.
    pub fn to_text(&self) -> String {
        text::render(self, text::Detail::Full)
    }

    /// The same on one screen: checks that passed are counted per group, the others are listed.
    pub fn to_summary(&self) -> String {
        text::render(self, text::Detail::Summary)
    }
}
