//! GPU evidence of a node (venice.md 2.6, attestation.md 3): genuine devices that answered our challenge, each once. That they run in
//! confidential mode, or are attached to this enclave, is not shown by it and is listed as not checked.

use super::{NodeFindings, NodeInput};
use crate::attest::nvidia::{self, GpuEvidence};
use crate::claims::{DeviceKind, GpuClaims, Verified};
use crate::error::{Code, Error, Result};
use crate::policy::{Appraisal, GpuRule};
use crate::report::Check;
use crate::wire::hex;
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
    if let Some(why) = skipped {
        for check in nvidia::CHECKS {
            appraisal.advisory(Check::not_checked(scope, check.id, why));
        }
    } else {
        let result = verify(payload, input);
        let failed = result.as_ref().err().map(|error| {
            let reason = error.check().unwrap_or_default();
            (error, nvidia::CHECKS.iter().position(|check| check.id == reason).unwrap_or(0))
        });
        appraisal.steps(scope, nvidia::CHECKS, failed);
        if let Ok(devices) = result {
            findings.gpus = devices.len();
            facts(appraisal, scope, &devices);
        }
    }
    // Reference measurements are not compared by this version. Where a policy requires that, the check counts, and is not made.
    let unmade = |id| Check::not_checked(scope, id, "reference measurements were not compared");
    for id in ["gpu.measurements", "gpu.bound"] {
        if input.policy.require_gpu_measurements() {
            let error = Error::new(Code::RequiredCheckNotMade).at(id);
            appraisal.enforced(unmade(id), Some(error));
        } else {
            appraisal.advisory(unmade(id));
        }
    }
}

fn is_absent(payload: Option<&Json>) -> bool {
    matches!(GpuEvidence::read(payload), Err(error) if error.code() == Code::GpuEvidenceMissing)
}

fn verify(payload: Option<&Json>, input: &NodeInput<'_>) -> Result<Vec<Verified<GpuClaims>>> {
    let evidence = GpuEvidence::read(payload)?;
    evidence.check_stated_nonce(input.nonce)?;
    let devices = nvidia::verify(&evidence, input.nonce, input.roots, input.at)?;
    let gpus = devices.iter().filter(|device| device.kind == DeviceKind::Gpu).count();
    if gpus < input.policy.gpu_minimum() {
        return Err(Error::new(Code::GpuEvidenceMissing)
            .at("gpu.missing")
            .expected(format!("at least {} GPUs", input.policy.gpu_minimum()))
            .found(gpus.to_string()));
    }
    Ok(devices)
}

/// What can be said of a payload without verifying it: it is there, and it states our challenge.
pub(crate) fn check_gpu_payload(answer: &Json, nonce: &[u8; 32]) -> Result<()> {
    GpuEvidence::read(answer.get("nvidia_payload"))?.check_stated_nonce(nonce)
}

fn facts(appraisal: &mut Appraisal<'_>, scope: &str, devices: &[Verified<GpuClaims>]) {
    for (i, device) in devices.iter().enumerate() {
        let mut fact = |name: &str, value: &str| appraisal.fact(format!("{scope}gpu.{i}.{name}"), value);
        fact("architecture", device.architecture.word());
        fact("chip", &device.chip);
        fact("driver", device.driver_version.as_deref().unwrap_or("-"));
        fact("vbios", device.vbios_version.as_deref().unwrap_or("-"));
        fact("device_id", &hex::encode(&device.device_id));
    }
}
