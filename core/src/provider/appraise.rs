//! Judges evidence that was captured earlier, without network (users.md: offline check).

use super::privatemode::{PrivatemodeEvidence, appraise_capture};
use super::{Provider, venice};
use crate::appraise::gpu::NotFetched;
use crate::attest::TrustRoots;
use crate::error::{Error, Result};
use crate::evidence::{GpuEndorsements, TdxCollateral};
use crate::pin::Pin;
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
    judge(&venice::appraise::Input {
        response: input.response,
        nonce: &input.nonce,
        model: input.model,
        base_url: input.provider.default_base_url(),
        policy,
        roots,
        collateral: input.collateral,
        collateral_failure: None,
        endorsements,
        not_fetched: &NotFetched::NOTHING,
        pin: None,
        at,
        recheck: None,
    })
}

/// Everything that the appraisal of an endpoint used, so that it can be made again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderEvidence {
    /// The provider.
    pub provider: Provider,
    /// The model that was asked for; `None` leaves that check out.
    pub model: Option<String>,
    /// Where the provider was reached, as reports show it.
    pub base_url: String,
    /// The 32-byte challenge that was sent.
    pub nonce: [u8; 32],
    /// The provider's attestation answer, exactly as received.
    pub response: Vec<u8>,
    /// Vendor collateral that was at hand, fetched or kept.
    pub collateral: Vec<TdxCollateral>,
    /// Why collateral that was missing could not be fetched.
    pub collateral_failure: Option<Error>,
    /// What NVIDIA said about the GPUs.
    pub endorsements: GpuEndorsements,
    /// What of it was asked for and could not be had.
    pub not_fetched: NotFetched,
    /// What the endpoint was seen to run before, if it was pinned.
    pub pin: Option<Pin>,
    /// Privatemode's own part: manifest, key exchange, what AMD said.
    pub privatemode: Option<Box<PrivatemodeEvidence>>,
}

impl ProviderEvidence {
    /// Appraises it as of `at`, as [`appraise`] does.
    pub(crate) fn appraise(
        &self,
        policy: &Policy,
        roots: &TrustRoots,
        at: u64,
        recheck: String,
    ) -> (Report, Result<()>) {
        if self.provider == Provider::Privatemode {
            return appraise_capture(self, policy, roots, at, &recheck);
        }
        judge(&venice::appraise::Input {
            response: &self.response,
            nonce: &self.nonce,
            model: self.model.as_deref(),
            base_url: &self.base_url,
            policy,
            roots,
            collateral: &self.collateral,
            collateral_failure: self.collateral_failure.as_ref(),
            endorsements: &self.endorsements,
            not_fetched: &self.not_fetched,
            pin: self.pin.as_ref(),
            at,
            recheck: Some(recheck),
        })
    }
}

fn judge(input: &venice::appraise::Input<'_>) -> (Report, Result<()>) {
    let appraised = venice::appraise::appraise(input);
    (appraised.report, appraised.accepted.map(drop))
}
