//! Judges bare hardware evidence under a policy, without a provider around it, for people who run their own enclaves and devices; and the
//! parts that provider appraisals share with it. The result is a report, never an endpoint: nothing is sent to what the evidence is
//! about, and recorded evidence proves the past.

pub(crate) mod gpu;
mod nvidia;
mod snp;

pub use crate::attest::snp::rules::SnpExpectations;
pub use nvidia::{NvidiaInput, appraise_nvidia};
pub use snp::appraise_snp;
