//! What an appraisal found: every check with its outcome, the verdict, and what was not proven (users.md 9).
//!
//! A report says nothing that a check did not show. Its JSON form, `proveil.report/v1`, is deterministic: the same appraisal of the
//! same evidence at the same time gives the same bytes. A report is a record, never an input: nothing reads one to decide.
//!
//! [`Report`] comes out of an appraisal and nowhere else. [`Document`] is what it says: it can also be read from a saved file, and every
//! form (JSON, text, HTML, SVG, EAR) is rendered from it, so that a saved report looks like a fresh one.

pub mod catalogue;
mod check;
mod document;
mod ear;
mod escape;
mod html;
mod html_sections;
mod read;
pub mod reference;
mod svg;
mod text;

pub use check::{Check, Enforcement, Group, Outcome};
pub use document::{Document, Report, SCHEMA};
pub use ear::EarKey;
pub use html::Source;

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
    /// Every verdict.
    pub const ALL: [Verdict; 3] = [Verdict::Verified, Verdict::Refused, Verdict::Indeterminate];

    /// The verdict in capitals, as headlines begin.
    pub const fn words(self) -> &'static str {
        match self {
            Verdict::Verified => "VERIFIED",
            Verdict::Refused => "REFUSED",
            Verdict::Indeterminate => "COULD NOT CHECK",
        }
    }

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
    /// Every level, lowest first.
    pub const ALL: [Level; 5] = [Level::L0, Level::L1, Level::L2, Level::L3, Level::L4];

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

impl Standing {
    /// Every standing.
    pub const ALL: [Standing; 3] = [Standing::Proven, Standing::Asserted, Standing::Unknown];

    /// `proven`, `asserted` or `unknown`.
    pub const fn name(self) -> &'static str {
        match self {
            Standing::Proven => "proven",
            Standing::Asserted => "asserted",
            Standing::Unknown => "unknown",
        }
    }

    /// The same in words for people.
    pub const fn words(self) -> &'static str {
        match self {
            Standing::Proven => "proven",
            Standing::Asserted => "asserted by the provider",
            Standing::Unknown => "unknown",
        }
    }
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

impl Roots {
    /// `vendor` or `custom`.
    pub const fn name(self) -> &'static str {
        match self {
            Roots::Vendor => "vendor",
            Roots::Custom => "custom",
        }
    }
}

/// The policy behind a verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyRef {
    /// Name of the preset or file.
    pub name: String,
    /// SHA-256 of the canonical policy, hex.
    pub sha256: String,
    /// Every relaxation against the preset `standard`, and what the client's own settings for the provider accept beyond their default, in
    /// words.
    pub relaxations: Vec<String>,
}

/// A platform, with what its vendor's signed collateral says about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Platform {
    /// Which one, e.g. `Intel TDX`, with the scope in front where a document holds several enclaves.
    pub name: String,
    /// The vendor's word for the patch state.
    pub tcb_status: Option<String>,
    /// Date of the patch level that the platform has reached, in seconds since 1970-01-01T00:00:00Z.
    pub tcb_date: Option<u64>,
    /// Ids of the vendor's advisories that apply.
    pub advisories: Vec<String>,
    /// Newest issue date among the collateral used, same unit.
    pub collateral_issued_at: Option<u64>,
    /// From this second on the collateral used is not to be used any more, same unit.
    pub collateral_expires_at: Option<u64>,
}

/// A named fact taken from authenticated evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fact {
    /// Dotted name: `tdx.mr_td`, `tdx.tcb_status`, `dstack.compose_hash`, `gpu.0.driver`, ...
    pub name: String,
    /// Value as text: hex for bytes, RFC 3339 for times.
    pub value: String,
}
