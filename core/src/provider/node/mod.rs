//! One attested inference node: a TDX guest under dstack with GPUs, as Venice, NEAR AI and their relatives describe it in JSON.
//!
//! Owns the checks that such an answer goes through whatever provider sent it (venice.md 2.2-2.8, attestation.md 4.2). The provider's
//! module adds its own statements around them. A `scope` in front of each check id says which node of a document is meant.

mod collateral;
mod gpu;
mod identity;
pub(crate) mod keys;
mod manager;
mod software;

pub(crate) use collateral::CollateralPool;
pub(crate) use gpu::check_gpu_payload;
pub(crate) use identity::{Identity, check_report_data, optional_text};

use crate::appraise::gpu::GpuFindings;
use crate::attest::dstack::EventLog;
use crate::attest::{self, TrustRoots, tdx};
use crate::claims::{TdxClaims, Verified};
use crate::crypto;
use crate::error::{Code, Error, Result};
use crate::evidence::GpuEndorsements;
use crate::pki::{Certificate, pem};
use crate::policy::{Appraisal, Policy, time};
use crate::report::Platform;
use crate::wire::hex;
use crate::wire::json::Json;

/// What one node's appraisal is given.
pub(crate) struct NodeInput<'a> {
    /// `""`, `gateway.`, `model.`.
    pub scope: &'a str,
    /// The node's JSON object.
    pub answer: &'a Json,
    /// The challenge.
    pub nonce: &'a [u8; 32],
    pub policy: &'a Policy,
    pub roots: &'a TrustRoots,
    /// What NVIDIA says about the GPUs, as far as it was asked.
    pub endorsements: &'a GpuEndorsements,
    pub at: u64,
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

/// Runs every check of one node. Later checks that need the quote are listed as not checked when it fails.
pub(crate) fn appraise_node(
    appraisal: &mut Appraisal<'_>,
    pool: &CollateralPool<'_>,
    input: &NodeInput<'_>,
) -> NodeFindings {
    let identity = check_identity(appraisal, input);
    let mut findings = appraise_guest(appraisal, pool, input, |appraisal, claims| {
        check_binding(appraisal, input, identity.as_ref(), claims);
    });
    if findings.expires.is_none() {
        for id in ["binding.key", "nonce.cpu"] {
            appraisal.not_checked(input.scope, id, "needs a verified quote");
        }
    }
    gpu::check(appraisal, input, &mut findings);
    findings.identity = identity;
    findings
}

/// Runs the checks of the guest alone: quote, copies, software. `bind` makes the checks that tie the quote to keys and challenge.
pub(crate) fn appraise_guest(
    appraisal: &mut Appraisal<'_>,
    pool: &CollateralPool<'_>,
    input: &NodeInput<'_>,
    bind: impl FnOnce(&mut Appraisal<'_>, &TdxClaims),
) -> NodeFindings {
    let mut findings = NodeFindings::default();
    let quote = appraisal.record(input.scope, "quote.present", quote_bytes(input.answer));
    let claims = quote.as_deref().and_then(|quote| check_quote(appraisal, pool, input, quote));
    let Some(claims) = claims else {
        appraisal.not_checked(input.scope, "eventlog.replay", "needs a verified quote");
        return findings;
    };
    findings.expires = Some(claims.collateral_expires_at.min(claims.pck.not_after));
    bind(appraisal, &claims);
    appraisal.record(
        input.scope,
        "binding.report_data",
        check_copies(input.answer, &claims.body.report_data),
    );
    software::check(appraisal, input, &claims, &mut findings);
    manager::check(appraisal, pool, input, &claims);
    manager::check_ohttp(appraisal, input);
    findings
}

fn check_identity(appraisal: &mut Appraisal<'_>, input: &NodeInput<'_>) -> Option<Identity> {
    let read = Identity::read(input.answer).and_then(|(identity, address)| {
        if input.seals && identity.sealing_key().is_none() {
            let error = Error::new(Code::NoSigningKey).at("binding.signing_key");
            return Err(error.expected("a secp256k1 public key"));
        }
        Ok((identity, address))
    });
    let Some((identity, address)) = appraisal.record(input.scope, "binding.signing_key", read) else {
        let error = Error::new(Code::AddressMismatch).at("binding.address").found("no usable key");
        appraisal.fail(input.scope, "binding.address", error);
        return None;
    };
    appraisal.record(input.scope, "binding.address", address);
    Some(identity)
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

/// Verifies a quote and lists each step; then applies the policy's rules to what it says.
fn check_quote(
    appraisal: &mut Appraisal<'_>,
    pool: &CollateralPool<'_>,
    input: &NodeInput<'_>,
    quote: &[u8],
) -> Option<Verified<TdxClaims>> {
    let result = pool.verify(quote);
    let failed = result
        .as_ref()
        .err()
        .map(|error| (error, tdx::position(error.check().unwrap_or_default(), error.code()).unwrap_or(0)));
    appraisal.steps(input.scope, quote_steps(), failed);
    let claims = result.ok()?;
    for finding in tdx::rules::evaluate(&claims, input.policy.tdx()) {
        if finding.passed {
            appraisal.pass_with(input.scope, finding.check, finding.found);
        } else {
            let error =
                Error::new(finding.code).at(finding.reason).expected(finding.expected).found(finding.found);
            appraisal.fail(input.scope, finding.check, error);
        }
    }
    tdx_facts(appraisal, input.scope, &claims);
    Some(claims)
}

/// The checks of a quote that are made before the policy's rules.
fn quote_steps() -> &'static [attest::Check] {
    let rules = tdx::CHECKS.iter().position(|check| check.id == "tdx.attributes.debug");
    tdx::CHECKS.get(..rules.unwrap_or(tdx::CHECKS.len())).unwrap_or_default()
}

fn check_binding(
    appraisal: &mut Appraisal<'_>,
    input: &NodeInput<'_>,
    identity: Option<&Identity>,
    claims: &TdxClaims,
) {
    let scope = input.scope;
    let Some(identity) = identity else {
        appraisal.not_checked(scope, "binding.key", "the answer names no usable key");
        appraisal.not_checked(scope, "nonce.cpu", "the answer names no usable key");
        return;
    };
    let report_data = &claims.body.report_data;
    match tls_fingerprint(input.answer) {
        Ok(fingerprint) => {
            let (key, fresh) = check_report_data(
                report_data,
                identity,
                fingerprint.as_ref().map(|f| f.as_slice()),
                input.nonce,
            );
            match key {
                Ok(binding) => appraisal.pass_with(scope, "binding.key", binding.name()),
                Err(error) => appraisal.fail(scope, "binding.key", error),
            }
            appraisal.record(scope, "nonce.cpu", fresh);
            if let (Some(fingerprint), Some(pem)) = (fingerprint, input.answer.get("tls_certificate")) {
                appraisal.record(scope, "binding.tls", check_tls_certificate(pem, &fingerprint));
            }
        }
        Err(error) => appraisal.fail(scope, "binding.key", error),
    }
}

/// `tls_cert_fingerprint`, 32 bytes in hex; its presence selects the rule for REPORTDATA.
pub(crate) fn tls_fingerprint(answer: &Json) -> Result<Option<[u8; 32]>> {
    optional_text(answer, "tls_cert_fingerprint")?
        .map(|text| {
            hex::decode_array(text).ok_or_else(|| Error::new(Code::MalformedField).at("tls_cert_fingerprint"))
        })
        .transpose()
}

fn check_tls_certificate(pem: &Json, fingerprint: &[u8; 32]) -> Result<()> {
    let text = pem.as_str().ok_or_else(|| Error::new(Code::MalformedField).at("tls_certificate"))?;
    let malformed = || Error::new(Code::MalformedField).at("binding.tls");
    let chain = pem::certificates(text.as_bytes()).map_err(|_| malformed())?;
    let leaf = chain.first().ok_or_else(malformed)?;
    let leaf = Certificate::parse(leaf).map_err(|_| malformed())?;
    let spki = crypto::sha256(&[leaf.spki()]);
    if spki == *fingerprint {
        Ok(())
    } else {
        Err(Error::new(Code::TlsKeyMismatch)
            .at("binding.tls")
            .expected(hex::short(fingerprint))
            .found(hex::short(&spki)))
    }
}

/// Copies of REPORTDATA outside the quote must equal it (venice.md 2.4 step 9); they are never used instead.
pub(crate) fn check_copies(answer: &Json, report_data: &[u8; 64]) -> Result<()> {
    let attestation = answer.get("attestation");
    let evidence = attestation.and_then(|attestation| attestation.get("evidence"));
    let holders =
        [(Some(answer), "report_data"), (attestation, "report_data"), (evidence, "quote_report_data")];
    for (holder, name) in holders {
        let Some(text) = holder.map(|holder| optional_text(holder, name)).transpose()?.flatten() else {
            continue;
        };
        let copy = hex::decode_prefixed(text).unwrap_or_default();
        if copy != report_data {
            return Err(Error::new(Code::ConflictingFields)
                .at("binding.report_data")
                .expected(hex::short(report_data))
                .found(hex::short(&copy)));
        }
    }
    Ok(())
}

fn tdx_facts(appraisal: &mut Appraisal<'_>, scope: &str, claims: &TdxClaims) {
    let place = scope.trim_end_matches('.');
    appraisal.platform(Platform {
        name: if place.is_empty() { "Intel TDX".to_owned() } else { format!("{place}: Intel TDX") },
        tcb_status: Some(claims.tcb.status.word().to_owned()),
        tcb_date: Some(claims.tcb.tcb_date),
        advisories: claims.tcb.advisories.clone(),
        collateral_issued_at: Some(claims.collateral_issued_at),
        collateral_expires_at: Some(claims.collateral_expires_at),
    });
    let mut fact = |name: &str, value: String| appraisal.fact(format!("{scope}tdx.{name}"), value);
    let body = &claims.body;
    fact("mr_td", hex::encode(&body.mr_td));
    for (i, rtmr) in body.rtmr.iter().enumerate() {
        fact(&format!("rtmr{i}"), hex::encode(rtmr));
    }
    fact("mr_seam", hex::encode(&body.mr_seam));
    fact("mr_config_id", hex::encode(&body.mr_config_id));
    fact("td_attributes", hex::encode(&body.td_attributes));
    fact("xfam", hex::encode(&body.xfam));
    fact("tee_tcb_svn", hex::encode(&body.tee_tcb_svn));
    fact("fmspc", hex::encode(&claims.pck.fmspc));
    fact("ppid", hex::encode(&claims.pck.ppid));
    fact("tcb_status", claims.tcb.status.word().to_owned());
    fact("tcb_date", time::rfc3339(claims.tcb.tcb_date));
    fact("advisories", claims.tcb.advisories.join(" "));
    fact("tcb_evaluation_data_number", claims.tcb.evaluation_number.to_string());
    fact("collateral_issued", time::rfc3339(claims.collateral_issued_at));
    fact("collateral_expires", time::rfc3339(claims.collateral_expires_at));
}
