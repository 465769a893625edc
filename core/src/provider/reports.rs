//! Judges attestation reports of deployments that are not (yet) chat providers here: a NEAR AI gateway's report, the report of a
//! single inference node, a bare dstack guest (venice.md 2.2 shapes c and d, 2.8). The result is a report, never an endpoint.

use super::node::{NodeFindings, NodeInput, appraise_guest, appraise_node};
use super::venice::appraise::parse;
use crate::appraise::collateral::CollateralPool;
use crate::attest::TrustRoots;
use crate::crypto;
use crate::error::{Code, Error, Result};
use crate::evidence::{GpuEndorsements, TdxCollateral};
use crate::policy::{Appraisal, Policy, Subject};
use crate::report::{Report, Roots};
use crate::wire::hex;
use crate::wire::json::Json;

/// What a report describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportShape {
    /// `gateway_attestation` and `model_attestations`.
    NearGateway,
    /// One inference node.
    Node,
    /// A dstack guest without keys, GPUs or challenge: `quote`, `event_log`, `report_data`.
    DstackGuest,
}

/// A recorded report.
#[derive(Clone, Debug)]
pub struct RecordedReport<'a> {
    /// What it describes.
    pub shape: ReportShape,
    /// The report exactly as received.
    pub response: &'a [u8],
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
    if recorded.shape != ReportShape::DstackGuest {
        appraisal.challenge(&recorded.nonce);
    }
    let mut expires = u64::MAX;
    let endorsements = GpuEndorsements::default();
    match parse(recorded.response) {
        Ok(answer) => {
            appraisal.pass("", "answer.form");
            let pool = CollateralPool::new(recorded.collateral, roots, at);
            for (scope, node) in nodes(recorded.shape, &answer) {
                let input = NodeInput {
                    scope,
                    answer: &node,
                    nonce: &recorded.nonce,
                    policy,
                    roots,
                    endorsements: &endorsements,
                    at,
                    has_gpus: scope != "gateway.",
                    seals: false,
                };
                let findings: NodeFindings = match recorded.shape {
                    ReportShape::DstackGuest => appraise_guest(&mut appraisal, &pool, &input, |_, _| {}),
                    _ => appraise_node(&mut appraisal, &pool, &input),
                };
                expires = expires.min(findings.expires.unwrap_or(0));
            }
            if recorded.shape == ReportShape::NearGateway && nodes(recorded.shape, &answer).len() < 2 {
                let error = Error::new(Code::RequiredEvidenceMissing).at("model.missing");
                appraisal.fail("model.", "missing", error);
            }
        }
        Err(error) => appraisal.fail("", "answer.form", error),
    }
    let (report, accepted) = appraisal.conclude(Subject {
        provider: match recorded.shape {
            ReportShape::NearGateway => "nearai",
            ReportShape::Node => "node",
            ReportShape::DstackGuest => "dstack",
        },
        model: "(recorded report)",
        base_url: "",
        key: None,
        hardware: "Intel TDX",
        bare: None,
        roots: if roots.is_custom() { Roots::Custom } else { Roots::Vendor },
        who_can_read: Vec::new(),
        not_proven: vec![
            "Anything about now: this judges a recorded report, and nothing is sent to it.".to_owned(),
        ],
        evidence_sha256: Some(hex::encode(&crypto::sha256(&[recorded.response]))),
        at,
        inputs_expire: expires,
    });
    (report, accepted.map(drop))
}

/// The enclaves of a report with the scope of their check ids. A gateway's TLS certificate stands beside its attestation and is
/// judged with it.
fn nodes(shape: ReportShape, answer: &Json) -> Vec<(&'static str, Json)> {
    if shape != ReportShape::NearGateway {
        return vec![("", answer.clone())];
    }
    let mut nodes = Vec::new();
    if let Some(Json::Object(members)) = answer.get("gateway_attestation") {
        let mut members = members.clone();
        if let Some(certificate) = answer.get("tls_certificate") {
            members.push(("tls_certificate".to_owned(), certificate.clone()));
        }
        nodes.push(("gateway.", Json::Object(members)));
    } else {
        nodes.push(("gateway.", Json::Object(Vec::new())));
    }
    let models = answer.get("model_attestations").and_then(Json::as_array).unwrap_or_default();
    nodes.extend(models.iter().map(|model| ("model.", model.clone())));
    nodes
}
