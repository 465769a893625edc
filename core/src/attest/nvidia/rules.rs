//! What a policy can demand of devices beyond their own evidence (`attestation.md` 3.3 to 3.6, 4.2 item 7).

use crate::claims::{Architecture, DeviceKind, GpuClaims, Verified};
use crate::error::{Code, Error};

/// How answers of NVIDIA's attestation service are treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NrasRule {
    /// There must be one, and it must verify.
    Required,
    /// If there is one it must verify.
    #[default]
    IfPresent,
    /// It is not looked at.
    Off,
}

impl NrasRule {
    /// Every rule.
    pub const ALL: [NrasRule; 3] = [NrasRule::Required, NrasRule::IfPresent, NrasRule::Off];

    /// Name in the JSON form of a policy.
    pub const fn name(self) -> &'static str {
        match self {
            NrasRule::Required => "required",
            NrasRule::IfPresent => "if_present",
            NrasRule::Off => "off",
        }
    }
}

/// Demands on devices. The default demands nothing beyond their own evidence; what is given must verify all the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GpuPolicy {
    /// Measurements must be compared here with NVIDIA's signed manifests.
    pub require_rim: bool,
    /// Every certificate behind devices and manifests must be called good by NVIDIA's responder.
    pub require_ocsp: bool,
    /// How answers of NVIDIA's attestation service are treated.
    pub nras: NrasRule,
    /// Accepted generations; empty means any.
    pub architectures: Vec<Architecture>,
    /// Accepted driver versions; empty means any.
    pub drivers: Vec<String>,
    /// Accepted firmware versions; empty means any.
    pub vbios: Vec<String>,
    /// GPUs in protected PCIe mode must come with the evidence of their switches.
    pub require_switches: bool,
    /// Accepts manifests whose signer's certificate has ended.
    pub allow_expired_rim: bool,
    /// Accepts certificates that NVIDIA has put on hold.
    pub allow_certificate_hold: bool,
    /// Manifest indexes of measurements that may differ, ascending.
    pub allowed_mismatches: Vec<u8>,
    /// Accepted devices by UEID, the decimal serial number of the device's certificate; empty means any.
    pub ueids: Vec<String>,
}

impl GpuPolicy {
    /// Every way in which this accepts more than the default, in words.
    pub fn relaxations(&self) -> Vec<String> {
        let mut out = Vec::new();
        if self.allow_expired_rim {
            out.push("GPU reference manifests of ended signers are accepted".to_owned());
        }
        if self.allow_certificate_hold {
            out.push("GPU certificates on hold are accepted".to_owned());
        }
        if !self.allowed_mismatches.is_empty() {
            let indexes: Vec<String> = self.allowed_mismatches.iter().map(u8::to_string).collect();
            out.push(format!("GPU measurements may differ: {}", indexes.join(" ")));
        }
        if self.nras == NrasRule::Off {
            out.push("answers of NVIDIA's attestation service are not looked at".to_owned());
        }
        out
    }
}

/// One rule that a policy has, with what came of it.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Id of the check.
    pub check: &'static str,
    /// What was found, or why it is refused (`gpu_policy`).
    pub result: Result<String, Error>,
}

/// Applies the rules about versions and generations; only those that the policy has.
pub fn evaluate(devices: &[Verified<GpuClaims>], policy: &GpuPolicy) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !policy.architectures.is_empty() {
        let accepted: Vec<&str> = policy.architectures.iter().map(|known| known.word()).collect();
        let found = devices.iter().map(|device| Some(device.architecture.word()));
        findings.push(finding("gpu.policy.architecture", &accepted, found));
    }
    if !policy.drivers.is_empty() {
        let accepted: Vec<&str> = policy.drivers.iter().map(String::as_str).collect();
        // Switches state no driver. Without a GPU nothing does, and then the rule cannot hold.
        let states =
            |device: &&Verified<GpuClaims>| device.kind == DeviceKind::Gpu || device.driver_version.is_some();
        let mut found: Vec<Option<&str>> =
            devices.iter().filter(states).map(|device| device.driver_version.as_deref()).collect();
        if found.is_empty() {
            found.push(None);
        }
        findings.push(finding("gpu.policy.driver", &accepted, found));
    }
    if !policy.vbios.is_empty() {
        let accepted: Vec<&str> = policy.vbios.iter().map(String::as_str).collect();
        let found = devices.iter().map(|device| device.vbios_version.as_deref());
        findings.push(finding("gpu.policy.vbios", &accepted, found));
    }
    if !policy.ueids.is_empty() {
        let accepted: Vec<&str> = policy.ueids.iter().map(String::as_str).collect();
        let ueids: Vec<String> = devices.iter().map(|device| device.serial.to_decimal()).collect();
        let found = ueids.iter().map(|ueid| Some(ueid.as_str()));
        findings.push(finding("gpu.policy.device", &accepted, found));
    }
    findings
}

fn finding<'a>(
    check: &'static str,
    accepted: &[&str],
    found: impl IntoIterator<Item = Option<&'a str>>,
) -> Finding {
    let mut seen: Vec<&str> = Vec::new();
    for value in found {
        let value = value.unwrap_or("none");
        if !accepted.contains(&value) {
            let code = if check == "gpu.policy.device" { Code::PlatformNotAllowed } else { Code::GpuPolicy };
            let error = Error::new(code).at(check).expected(accepted.join(" or ")).found(value);
            return Finding { check, result: Err(error) };
        }
        if !seen.contains(&value) {
            seen.push(value);
        }
    }
    Finding { check, result: Ok(seen.join(", ")) }
}
