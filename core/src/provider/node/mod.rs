//! One attested inference node: a TDX guest, mostly under dstack, with GPUs, as providers describe it in JSON.
//!
//! Owns the one procedure that such an answer goes through whatever provider sent it (attestation.md 4.2, venice.md 2.2-2.8). What differs
//! between providers is one [`BindingRule`]. The provider's module adds its own statements around them. A `scope` in front of each check
//! id says which node of a document is meant.

mod binding;
mod devices;
mod gpu;
mod identity;
mod instance;
pub(crate) mod keys;
mod manager;
mod software;

pub(crate) use binding::{BindingRule, check_copies, tls_fingerprint};
pub(crate) use gpu::check_gpu_payload;
pub(crate) use identity::{Identity, check_report_data, optional_text};
pub(crate) use instance::key_of;

use crate::appraise::collateral::CollateralPool;
use crate::appraise::gpu::{GpuFindings, NotFetched};
use crate::appraise::tdx::check_quote;
use crate::attest::dstack::EventLog;
use crate::attest::{TrustRoots, tdx};
use crate::error::{Code, Error, Result};
use crate::evidence::GpuEndorsements;
use crate::policy::{Appraisal, Policy};
use crate::wire::json::Json;

/// What one node's appraisal is given.
pub(crate) struct NodeInput<'a> {
    /// `""`, `gateway.`, `model.`, `instance.0.`.
    pub scope: &'a str,
    /// The node's JSON object.
    pub answer: &'a Json,
    /// The challenge.
    pub nonce: &'a [u8; 32],
    pub policy: &'a Policy,
    pub roots: &'a TrustRoots,
    /// What NVIDIA says about the GPUs, as far as it was asked.
    pub endorsements: &'a GpuEndorsements,
    /// What of it was asked for and could not be had.
    pub not_fetched: &'a NotFetched,
    pub at: u64,
    /// The rule of the provider's profile.
    pub rule: &'a BindingRule<'a>,
    /// Whether GPU evidence is expected of this node.
    pub has_gpus: bool,
    /// Whether requests will be sealed to this node's key: then it must name a secp256k1 key, not only an address.
    pub seals: bool,
}

/// What a node's appraisal found out.
#[derive(Debug, Default)]
pub(crate) struct NodeFindings {
    /// The identity, once its checks passed.
    pub identity: Option<Identity>,
    /// Earliest expiry of what was used.
    pub expires: Option<u64>,
    /// What the GPU checks found out.
    pub gpu: GpuFindings,
    /// Whether measured software ties the GPUs to the enclave.
    pub gpu_bound: bool,
    /// Whether the event log tied an application description to the quote.
    pub compose_measured: bool,
    /// The event log that led to the measured registers.
    pub log: Option<EventLog>,
    /// The application description whose hash was measured.
    pub compose: Option<String>,
}

/// Runs every check of one node, by the one rule of its profile. Later checks that need the quote are listed as not checked when it fails.
pub(crate) fn appraise_node(
    appraisal: &mut Appraisal<'_>,
    pool: &CollateralPool<'_>,
    input: &NodeInput<'_>,
) -> NodeFindings {
    let stated = binding::read(appraisal, input);
    let mut findings = NodeFindings::default();
    let quote = appraisal.record(input.scope, "quote.present", input.rule.quote(input.answer));
    match quote.as_deref().and_then(|quote| check_quote(appraisal, pool, input.scope, input.policy, quote)) {
        Some(claims) => {
            findings.expires = Some(claims.collateral_expires_at.min(claims.pck.not_after));
            stated.check(appraisal, input, &claims);
            software::check(appraisal, input, &claims, &mut findings);
            manager::check(appraisal, pool, input, &claims);
            manager::check_ohttp(appraisal, input);
        }
        None => {
            appraisal.not_checked(input.scope, "eventlog.replay", "needs a verified quote");
            for id in input.rule.checks() {
                appraisal.not_checked(input.scope, id, "needs a verified quote");
            }
        }
    }
    gpu::check(appraisal, input, stated.device_challenge(input), &mut findings);
    findings.identity = stated.into_identity();
    findings
}

/// The one quote of a node: `intel_quote`, `quote` or `attestation.evidence.quote`; two that differ contradict each other.
pub(crate) fn quote_bytes(answer: &Json) -> Result<Vec<u8>> {
    let nested = answer.get("attestation").and_then(|attestation| attestation.get("evidence"));
    let mut quotes: Vec<Vec<u8>> = Vec::new();
    for (holder, name) in [(Some(answer), "intel_quote"), (Some(answer), "quote"), (nested, "quote")] {
        let Some(text) = holder.map(|holder| optional_text(holder, name)).transpose()?.flatten() else {
            continue;
        };
        quotes.push(tdx::decode_quote_text(text)?);
    }
    match quotes.as_slice() {
        [first, rest @ ..] if rest.iter().any(|other| other != first) => {
            Err(Error::new(Code::ConflictingFields).at("quote.present"))
        }
        _ => quotes.into_iter().next().ok_or_else(|| Error::new(Code::QuoteMissing).at("quote.present")),
    }
}

/// Every quote of an answer that could need collateral, the compose manager's included.
pub(crate) fn all_quotes(answer: &Json) -> Vec<Vec<u8>> {
    let manager = answer.get("compose_manager_attestation").and_then(|manager| manager.get("quote"));
    let manager = manager.and_then(Json::as_str).and_then(|text| tdx::decode_quote_text(text).ok());
    quote_bytes(answer).ok().into_iter().chain(manager).collect()
}
