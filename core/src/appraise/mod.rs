//! Judges bare hardware evidence under a policy, without a provider around it, for people who run their own enclaves and devices; and the
//! parts that provider appraisals share with it. The result is a report, never an endpoint: nothing is sent to what the evidence is
//! about, and recorded evidence proves the past.

pub(crate) mod collateral;
pub(crate) mod gpu;
pub(crate) mod nvidia;
pub(crate) mod snp;
pub(crate) mod tdx;

pub use crate::attest::snp::rules::SnpExpectations;
pub use crate::attest::tdx::rules::TdxExpectations;
pub use gpu::NotFetched;
pub use nvidia::{NvidiaInput, appraise_nvidia};
pub use snp::appraise_snp;
pub use tdx::appraise_tdx;

use crate::attest::TrustRoots;
use crate::policy::{Appraisal, Policy};

/// What bare evidence is judged by.
pub(crate) struct Rules<'a> {
    pub policy: &'a Policy,
    pub roots: &'a TrustRoots,
    /// Seconds since 1970-01-01T00:00:00Z.
    pub at: u64,
    /// The command that judges the same evidence again.
    pub recheck: Option<String>,
}

impl Rules<'_> {
    pub fn note_recheck(&self, appraisal: &mut Appraisal<'_>) {
        if let Some(command) = &self.recheck {
            appraisal.recheck(command.clone());
        }
    }
}

/// The command that judges a stored capture again. Whoever runs it names roots other than the vendors' (README decision 4); the
/// policy is in the capture, unless `policy` says that another was used.
pub(crate) fn recheck_command(roots: Option<&str>, policy: Option<&str>, at: u64) -> String {
    let option =
        |name: &str, value: Option<&str>| value.map(|value| format!(" {name} {value}")).unwrap_or_default();
    format!(
        "proveil verify --evidence DIR{}{} --at {at}",
        option("--policy", policy),
        option("--trust-roots", roots),
    )
}

/// Where the trust roots of a capture are, for [`recheck_command`].
pub(crate) const CAPTURED_ROOTS: &str = "DIR/roots.json";
