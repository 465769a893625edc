//! Judges evidence that was captured earlier, without network (users.md: offline check).

use super::{Provider, venice};
use crate::attest::TrustRoots;
use crate::error::Result;
use crate::evidence::{GpuEndorsements, TdxCollateral};
use crate::policy::Policy;
use crate::report::Report;

/// Captured evidence of one endpoint.
#[derive(Clone, Debug)]
pub struct EvidenceInput<'a> {
    /// The provider.
    pub provider: Provider,
    /// The model that was asked for; `None` leaves that check out (advisory, not checked).
    pub model: Option<&'a str>,
    /// The provider's attestation answer, exactly as received.
    pub response: &'a [u8],
    /// The 32-byte challenge that was sent.
    pub nonce: [u8; 32],
    /// Vendor collateral for every platform in the answer.
    pub collateral: &'a [TdxCollateral],
}

/// Appraises captured evidence as of `at` (seconds since 1970-01-01T00:00:00Z). The result is a report, never an endpoint: a recorded
/// answer proves the past. The error, when the verdict is not `verified`, is the one that a live verification would have ended with.
pub fn appraise(
    input: &EvidenceInput<'_>,
    policy: &Policy,
    roots: &TrustRoots,
    at: u64,
) -> (Report, Result<()>) {
    appraise_endorsed(input, &GpuEndorsements::default(), policy, roots, at)
}

/// The same with what NVIDIA said about the GPUs: manifests, OCSP answers, tokens of its attestation service.
pub fn appraise_endorsed(
    input: &EvidenceInput<'_>,
    endorsements: &GpuEndorsements,
    policy: &Policy,
    roots: &TrustRoots,
    at: u64,
) -> (Report, Result<()>) {
    match input.provider {
        Provider::Venice => {
            let appraised = venice::appraise::appraise(&venice::appraise::Input {
                response: input.response,
                nonce: &input.nonce,
                model: input.model,
                base_url: input.provider.default_base_url(),
                policy,
                roots,
                collateral: input.collateral,
                collateral_failure: None,
                endorsements,
                pin: None,
                at,
            });
            (appraised.report, appraised.accepted.map(drop))
        }
    }
}
