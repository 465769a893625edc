//! GPU evidence of a node (venice.md 2.6, attestation.md 3): genuine devices that answered our challenge, each once. That they are
//! attached to this enclave is shown by nothing in it: only measured guest software that a reference value names, and that is known
//! to open its own session with the GPUs, can vouch for that (attestation.md 4.1).

use super::{NodeFindings, NodeInput};
use crate::appraise::gpu::{self, GpuInput};
use crate::attest::nvidia::{self, GpuEvidence};
use crate::error::{Code, Error, Result};
use crate::policy::{Appraisal, GpuRule};
use crate::report::Check;
use crate::wire::json::Json;

/// Lists every check of the node's devices, which must have answered `challenge`.
pub(super) fn check(
    appraisal: &mut Appraisal<'_>,
    input: &NodeInput<'_>,
    challenge: Option<[u8; 32]>,
    findings: &mut NodeFindings,
) {
    if !input.has_gpus {
        return;
    }
    let scope = input.scope;
    let evidence = input.rule.device_evidence(input);
    let absent = matches!(&evidence, Err(error) if error.code() == Code::GpuEvidenceMissing);
    let skipped = match (input.policy.gpu(), &challenge) {
        (GpuRule::Off, _) => Some("the policy does not ask for GPU evidence"),
        (GpuRule::IfPresent, _) if absent => Some("the answer has no GPU evidence"),
        // What they had to answer is not known, because a check that counts has failed already.
        (_, None) => Some("what the devices must have answered is not known"),
        (GpuRule::IfPresent | GpuRule::Required, Some(_)) => None,
    };
    let challenge = challenge.unwrap_or_default();
    let shared = GpuInput {
        scope,
        nonce: &challenge,
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
        let verified = evidence.and_then(|evidence| {
            if input.rule.states_challenge() {
                evidence.check_stated_nonce(&challenge)?;
            }
            nvidia::verify(&evidence, &challenge, input.roots, input.at)
        });
        findings.gpu = gpu::check(appraisal, &shared, verified);
        if let Some(end) = findings.gpu.expires {
            findings.expires = findings.expires.map(|known| known.min(end));
        }
    }
    check_bound(appraisal, input, findings);
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
