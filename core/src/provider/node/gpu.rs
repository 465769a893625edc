//! GPU evidence of a node (venice.md 2.6, attestation.md 3): genuine devices that answered our challenge, each once. That they are
//! attached to this enclave is shown by nothing in it: only measured guest software that a reference value names, and that is known
//! to open its own session with the GPUs, can vouch for that (attestation.md 4.1).

use super::{NodeFindings, NodeInput};
use crate::appraise::gpu::{self, GpuInput};
use crate::attest::nvidia::{self, GpuEvidence};
use crate::claims::{GpuClaims, Verified};
use crate::error::{Code, Error, Result};
use crate::policy::{Appraisal, GpuRule};
use crate::report::Check;
use crate::wire::json::Json;

pub(super) fn check(appraisal: &mut Appraisal<'_>, input: &NodeInput<'_>, findings: &mut NodeFindings) {
    if !input.has_gpus {
        return;
    }
    let scope = input.scope;
    let payload = input.answer.get("nvidia_payload");
    let skipped = match input.policy.gpu() {
        GpuRule::Off => Some("the policy does not ask for GPU evidence"),
        GpuRule::IfPresent if is_absent(payload) => Some("the answer has no GPU evidence"),
        GpuRule::IfPresent | GpuRule::Required => None,
    };
    let shared = GpuInput {
        scope,
        nonce: input.nonce,
        policy: input.policy,
        roots: input.roots,
        endorsements: input.endorsements,
        not_fetched: input.not_fetched,
        at: input.at,
    };
    if let Some(why) = skipped {
        for check in nvidia::CHECKS {
            appraisal.advisory(Check::not_checked(scope, check.id, why));
        }
        gpu::unmade(appraisal, &shared, why);
    } else {
        findings.gpu = gpu::check(appraisal, &shared, verify(payload, input));
        if let Some(end) = findings.gpu.expires {
            findings.expires = findings.expires.map(|known| known.min(end));
        }
    }
    check_bound(appraisal, input, findings);
}

fn is_absent(payload: Option<&Json>) -> bool {
    matches!(GpuEvidence::read(payload), Err(error) if error.code() == Code::GpuEvidenceMissing)
}

fn verify(payload: Option<&Json>, input: &NodeInput<'_>) -> Result<Vec<Verified<GpuClaims>>> {
    let evidence = GpuEvidence::read(payload)?;
    evidence.check_stated_nonce(input.nonce)?;
    nvidia::verify(&evidence, input.nonce, input.roots, input.at)
}

/// A GPU that answered the same challenge is not thereby this enclave's. What can show it is measured software that a reference value
/// names, when the policy says that this software refuses to work without GPUs that it checked itself.
fn check_bound(appraisal: &mut Appraisal<'_>, input: &NodeInput<'_>, findings: &mut NodeFindings) {
    const ID: &str = "gpu.bound";
    let scope = input.scope;
    let named = appraisal.passed(scope, "software.reference");
    if input.policy.software_enforces_gpu() && named && findings.gpu.measured() {
        findings.gpu_bound = true;
        appraisal.pass_with(scope, ID, "by the measured software, which the policy says checks its own GPUs");
        return;
    }
    let why = match (input.policy.software_enforces_gpu(), named) {
        (true, false) => "no reference value names the measured software",
        (true, true) => "the GPUs' measurements are not known to be right",
        (false, _) => "a genuine GPU answered the same challenge, which a GPU elsewhere could do too",
    };
    let check = Check::not_checked(scope, ID, why);
    if input.policy.require_gpu_measurements() {
        appraisal.enforced(check, Some(Error::new(Code::RequiredCheckNotMade).at(ID)));
    } else {
        appraisal.advisory(check);
    }
}

/// What can be said of a payload without verifying it: it is there, and it states our challenge.
pub(crate) fn check_gpu_payload(answer: &Json, nonce: &[u8; 32]) -> Result<()> {
    GpuEvidence::read(answer.get("nvidia_payload"))?.check_stated_nonce(nonce)
}
