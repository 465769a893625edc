//! Bare GPUs and switches, without an enclave around them: for those who hold the evidence of their own machine, and for files.

use super::Rules;
use super::gpu::{self, GpuFindings, GpuInput, NotFetched};
use crate::attest::TrustRoots;
use crate::attest::nvidia::{self, Device, GpuEvidence};
use crate::crypto;
use crate::error::Result;
use crate::evidence::GpuEndorsements;
use crate::policy::{Appraisal, Bare, Policy, Subject};
use crate::report::{Report, Roots};
use crate::wire::hex;

/// Evidence of devices, with what NVIDIA says about them.
#[derive(Clone, Copy, Debug)]
pub struct NvidiaInput<'a> {
    /// GPUs and switches of one system.
    pub devices: &'a [Device],
    /// The 32-byte nonce that they were asked with.
    pub nonce: &'a [u8; 32],
    /// Manifests, OCSP answers and tokens of NVIDIA's attestation service, as far as they are at hand.
    pub endorsements: &'a GpuEndorsements,
}

/// Appraises devices as of `at` (seconds since 1970-01-01T00:00:00Z) by the `gpu` part of a policy, whose advisory
/// checks are not applied. The report has no level: levels are about enclaves, and nothing here ties a device to one. The error is that of the first check that counts and did not pass.
pub fn appraise_nvidia(
    input: &NvidiaInput<'_>,
    policy: &Policy,
    roots: &TrustRoots,
    at: u64,
) -> (Report, Result<()>) {
    appraise(input, &Rules { policy, roots, at, recheck: None })
}

pub(crate) fn appraise(input: &NvidiaInput<'_>, by: &Rules<'_>) -> (Report, Result<()>) {
    let Rules { policy, roots, at, .. } = *by;
    let mut appraisal = Appraisal::of_hardware(policy);
    by.note_recheck(&mut appraisal);
    let devices = GpuEvidence::of_devices(input.devices.to_vec())
        .and_then(|evidence| nvidia::verify(&evidence, input.nonce, roots, at));
    let shared = GpuInput {
        scope: "",
        nonce: input.nonce,
        policy,
        roots,
        endorsements: input.endorsements,
        not_fetched: &NotFetched::NOTHING,
        at,
    };
    let findings = gpu::check(&mut appraisal, &shared, devices);
    let parts: Vec<&[u8]> =
        input.devices.iter().flat_map(|device| [device.report.as_slice(), &device.chain]).collect();
    let (report, accepted) = appraisal.conclude(Subject {
        provider: "nvidia",
        model: "",
        base_url: "",
        key: None,
        hardware: "NVIDIA",
        bare: Some(Bare::Devices(claim(&findings))),
        roots: if roots.is_custom() { Roots::Custom } else { Roots::Vendor },
        who_can_read: Vec::new(),
        not_proven: not_proven(&findings),
        evidence_sha256: Some(hex::encode(&crypto::sha256(&parts))),
        at,
        inputs_expire: findings.expires.unwrap_or(u64::MAX),
    });
    (report, accepted.map(drop))
}

fn claim(findings: &GpuFindings) -> String {
    let devices = match (findings.gpus, findings.switches) {
        (gpus, 0) => format!("{gpus} genuine NVIDIA GPU(s)"),
        (gpus, switches) => format!("{gpus} genuine NVIDIA GPU(s) and {switches} switch(es)"),
    };
    let measured = match (findings.matched, findings.vouched) {
        (true, _) => ", with the measurements of NVIDIA's signed reference values",
        (false, true) => ", whose measurements NVIDIA's service calls right",
        (false, false) => "",
    };
    format!("{devices}{measured} answered the challenge")
}

fn not_proven(findings: &GpuFindings) -> Vec<String> {
    let mut out = vec![
        "That the devices are attached to any one machine or virtual machine: whoever has them can pass the challenge on."
            .to_owned(),
    ];
    if !findings.measured() {
        out.push("Firmware and confidential mode: measurements were not compared with NVIDIA's reference values, and a device in developer mode signs just the same.".to_owned());
    } else if !findings.matched {
        out.push("Firmware and confidential mode, except by NVIDIA's word.".to_owned());
    }
    if !findings.not_revoked {
        out.push("That no certificate of the devices was revoked.".to_owned());
    }
    out.push(
        "Attacks on the hardware itself: physical access, leaked device keys, side channels.".to_owned(),
    );
    out
}
