//! Judges attestation reports of deployments that are not (yet) chat providers here: a NEAR AI gateway's report, the report of a
//! single inference node, a bare dstack guest (venice.md 2.2 shapes c and d, 2.8), the instances of a Chutes deployment, a Tinfoil
//! document (attestation.md 4.1). The result is a report, never an endpoint.

use super::node::{BindingRule, NodeInput, appraise_node, key_of};
use super::venice::appraise::parse;
use crate::appraise::collateral::CollateralPool;
use crate::appraise::gpu::NotFetched;
use crate::attest::TrustRoots;
use crate::crypto;
use crate::error::{Code, Error, Result};
use crate::evidence::{GpuEndorsements, TdxCollateral};
use crate::policy::{Appraisal, Policy, Subject};
use crate::report::{Report, Roots};
use crate::wire::hex;
use crate::wire::json::Json;

/// What a report describes. It decides which rule binds keys, challenge and devices to the enclave; nothing in the report does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportShape {
    /// `gateway_attestation` and `model_attestations`.
    NearGateway,
    /// One inference node.
    Node,
    /// A dstack guest without keys, GPUs or challenge: `quote`, `event_log`, `report_data`.
    DstackGuest,
    /// Evidence of each instance of a Chutes deployment: `evidence: [{instance_id, quote, gpu_evidence, certificate}]`.
    Chutes,
    /// A Tinfoil document in its third format, over TDX.
    TinfoilV3,
}

impl ReportShape {
    /// Name of the kind of deployment, as reports show it.
    const fn name(self) -> &'static str {
        match self {
            ReportShape::NearGateway => "nearai",
            ReportShape::Node => "node",
            ReportShape::DstackGuest => "dstack",
            ReportShape::Chutes => "chutes",
            ReportShape::TinfoilV3 => "tinfoil",
        }
    }

    const fn has_challenge(self) -> bool {
        !matches!(self, ReportShape::DstackGuest)
    }
}

/// A recorded report.
#[derive(Clone, Debug)]
pub struct RecordedReport<'a> {
    /// What it describes.
    pub shape: ReportShape,
    /// The report exactly as received.
    pub response: &'a [u8],
    /// The list that names each instance's encryption key, exactly as received: `instances: [{instance_id, e2e_pubkey}]`. For
    /// [`ReportShape::Chutes`] only; without it no instance is known.
    pub instances: Option<&'a [u8]>,
    /// The 32-byte challenge that was sent; not used for [`ReportShape::DstackGuest`].
    pub nonce: [u8; 32],
    /// Vendor collateral for every platform in it.
    pub collateral: &'a [TdxCollateral],
}

/// Appraises a recorded report as of `at` (seconds since 1970-01-01T00:00:00Z).
pub fn appraise_report(
    recorded: &RecordedReport<'_>,
    policy: &Policy,
    roots: &TrustRoots,
    at: u64,
) -> (Report, Result<()>) {
    let mut appraisal = Appraisal::new(policy);
    if recorded.shape.has_challenge() {
        appraisal.challenge(&recorded.nonce);
    }
    let mut expires = u64::MAX;
    let documents = parse(recorded.response)
        .and_then(|answer| Ok((answer, recorded.instances.map(parse).transpose()?.unwrap_or(Json::Null))));
    match &documents {
        Ok((answer, instances)) => {
            appraisal.pass("", "answer.form");
            let pool = CollateralPool::new(recorded.collateral, roots, at);
            let endorsements = GpuEndorsements::default();
            let nodes = nodes(recorded, answer, instances);
            for node in &nodes {
                let findings = appraise_node(
                    &mut appraisal,
                    &pool,
                    &NodeInput {
                        scope: &node.scope,
                        answer: &node.answer,
                        nonce: &recorded.nonce,
                        policy,
                        roots,
                        endorsements: &endorsements,
                        not_fetched: &NotFetched::NOTHING,
                        at,
                        rule: &node.rule,
                        has_gpus: node.has_gpus,
                        seals: false,
                    },
                );
                expires = expires.min(findings.expires.unwrap_or(0));
            }
            if !nodes.iter().any(|node| node.reads_prompts) {
                let error = Error::new(Code::RequiredEvidenceMissing).at("model.missing");
                appraisal.fail("model.", "missing", error);
            }
        }
        Err(error) => appraisal.fail("", "answer.form", error.clone()),
    }
    let (report, accepted) = appraisal.conclude(Subject {
        provider: recorded.shape.name(),
        model: "(recorded report)",
        base_url: "",
        key: None,
        hardware: "Intel TDX",
        bare: None,
        roots: if roots.is_custom() { Roots::Custom } else { Roots::Vendor },
        who_can_read: Vec::new(),
        not_proven: not_proven(&documents),
        evidence_sha256: Some(hex::encode(&crypto::sha256(&[recorded.response]))),
        at,
        inputs_expire: expires,
    });
    (report, accepted.map(drop))
}

fn not_proven(documents: &Result<(Json, Json)>) -> Vec<String> {
    let mut out =
        vec!["Anything about now: this judges a recorded report, and nothing is sent to it.".to_owned()];
    if let Ok((answer, instances)) = documents {
        let count = |document: &Json, name| document.get(name).and_then(Json::as_array).map_or(0, <[_]>::len);
        let (listed, shown) = (count(instances, "instances"), count(answer, "evidence"));
        if let Some(silent) = listed.checked_sub(shown).filter(|silent| *silent > 0) {
            out.push(format!("Instances without evidence: {silent} of {listed} listed."));
        }
    }
    out
}

/// One enclave of a report.
struct Node<'a> {
    /// In front of its check ids.
    scope: String,
    answer: Json,
    rule: BindingRule<'a>,
    has_gpus: bool,
    /// Whether this is where a prompt is worked on; a report needs one that is.
    reads_prompts: bool,
}

/// The enclaves of a report.
fn nodes<'a>(recorded: &RecordedReport<'a>, answer: &'a Json, instances: &'a Json) -> Vec<Node<'a>> {
    let one = |rule, has_gpus| {
        vec![Node { scope: String::new(), answer: answer.clone(), rule, has_gpus, reads_prompts: true }]
    };
    match recorded.shape {
        ReportShape::NearGateway => gateway_and_models(answer),
        ReportShape::Node => one(BindingRule::SigningKey, true),
        ReportShape::DstackGuest => one(BindingRule::Unbound, false),
        ReportShape::TinfoilV3 => {
            // The answer was parsed from these bytes, so they are text.
            let document = std::str::from_utf8(recorded.response).unwrap_or_default();
            one(BindingRule::KeysAndDevices { document }, true)
        }
        ReportShape::Chutes => {
            let list = answer.get("evidence").and_then(Json::as_array).unwrap_or_default();
            let node = |(i, evidence): (usize, &Json)| Node {
                scope: format!("instance.{i}."),
                answer: evidence.clone(),
                rule: BindingRule::InstanceKey { key: key_of(instances, list, evidence) },
                has_gpus: true,
                reads_prompts: true,
            };
            list.iter().enumerate().map(node).collect()
        }
    }
}

/// A gateway's TLS certificate stands beside its attestation and is judged with it.
fn gateway_and_models<'a>(answer: &Json) -> Vec<Node<'a>> {
    let node = |scope: &str, answer, is_model| Node {
        scope: scope.to_owned(),
        answer,
        rule: BindingRule::SigningKey,
        has_gpus: is_model,
        reads_prompts: is_model,
    };
    let mut gateway = Vec::new();
    if let Some(Json::Object(members)) = answer.get("gateway_attestation") {
        gateway.clone_from(members);
        if let Some(certificate) = answer.get("tls_certificate") {
            gateway.push(("tls_certificate".to_owned(), certificate.clone()));
        }
    }
    let models = answer.get("model_attestations").and_then(Json::as_array).unwrap_or_default();
    let models = models.iter().map(|model| node("model.", model.clone(), true));
    std::iter::once(node("gateway.", Json::Object(gateway), false)).chain(models).collect()
}
