//! Judges bare hardware evidence under a policy, for people who run their own enclaves. The result is a report, never an endpoint:
//! nothing is sent to what the evidence is about, and recorded evidence proves the past.

mod snp;

pub use crate::attest::snp::rules::SnpExpectations;
pub use snp::appraise_snp;
