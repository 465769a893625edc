//! Tests on the facts of a verified quote: patch status, TD attributes, extended features, expected register values
//! (`protocols/attestation.md` 2.4 and 2.5). Every test is made, not only up to the first failure.

use super::checks;
use crate::claims::{TcbStatus, TdBody, TdxClaims};
use crate::error::Code;
use crate::wire::hex;

/// Bit 0: the host can read and change the TD's memory. Bits 4 to 6 (profiling, HGS+) weaken it in the same group.
const ATTRIBUTES_DEBUG: u64 = 0x71;
/// The host cannot inject faults on the TD's private memory.
const ATTRIBUTE_SEPT_VE_DISABLE: u64 = 1 << 28;
/// The TD may be moved to another machine.
const ATTRIBUTE_MIGRATABLE: u64 = 1 << 29;
/// The TD may use performance counters.
const ATTRIBUTE_PERFMON: u64 = 1 << 63;
/// Service TDs may be bound to the TD after its launch.
const ATTRIBUTE_SERVTD_EXT: u64 = 1 << 17;
/// Bits with a meaning: debug group, ICSSD 16, SERVTD_EXT 17, LASS 27, SEPT_VE_DISABLE 28, MIGRATABLE 29, PKS 30, KL 31, TPA 62,
/// PERFMON 63.
const ATTRIBUTES_KNOWN: u64 = ATTRIBUTES_DEBUG
    | 1 << 16
    | ATTRIBUTE_SERVTD_EXT
    | 1 << 27
    | ATTRIBUTE_SEPT_VE_DISABLE
    | ATTRIBUTE_MIGRATABLE
    | 1 << 30
    | 1 << 31
    | 1 << 62
    | ATTRIBUTE_PERFMON;
/// Extended features that every TD has: x87 and SSE.
const XFAM_REQUIRED: u64 = 0x3;
/// Extended features that a TD may have.
const XFAM_ALLOWED: u64 = 0x0006_dbe7;

/// What is accepted. The default is the strictest that an honest current platform meets, without expected register values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TdxPolicy {
    /// Accepted patch statuses; `Revoked` is never accepted. Any other than `UpToDate` also needs every advisory of the platform to
    /// be in `accepted_advisories`.
    pub accepted_statuses: Vec<TcbStatus>,
    /// Advisory ids that an accepted status may carry.
    pub accepted_advisories: Vec<String>,
    /// Lowest accepted evaluation number of the collateral.
    pub min_evaluation_number: u32,
    /// Accepts debug and profiling TDs.
    pub allow_debug: bool,
    /// Accepts TDs that can be migrated.
    pub allow_migratable: bool,
    /// Refuses TDs without SEPT_VE_DISABLE.
    pub require_sept_ve_disable: bool,
    /// Accepts TDs that use performance counters.
    pub allow_perfmon: bool,
    /// Accepts TDs that are bound to a service TD or may be bound to one later.
    pub allow_service_td: bool,
    /// Accepted machines by PPID or platform instance id (16 bytes), if not empty. Nothing else helps against keys that were taken
    /// out of a machine (attestation.md 4.2 item 9).
    pub platform_ids: Vec<Vec<u8>>,
    /// Expected register values; all must hold.
    pub expected: Vec<Expected>,
}

impl Default for TdxPolicy {
    fn default() -> TdxPolicy {
        TdxPolicy {
            accepted_statuses: vec![TcbStatus::UpToDate],
            accepted_advisories: Vec::new(),
            min_evaluation_number: 0,
            allow_debug: false,
            allow_migratable: false,
            require_sept_ve_disable: true,
            allow_perfmon: false,
            allow_service_td: false,
            platform_ids: Vec::new(),
            expected: Vec::new(),
        }
    }
}

/// A register with the values that are accepted in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Which register.
    pub register: Register,
    /// Accepted values: the register must equal one of them.
    pub any_of: Vec<Vec<u8>>,
}

/// A field of a TD report that a policy can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Register {
    /// Measurement of the initial content.
    MrTd,
    /// Measurement of the TDX module.
    MrSeam,
    /// Host-chosen configuration.
    MrConfigId,
    /// Host-chosen owner.
    MrOwner,
    /// Host-chosen owner configuration.
    MrOwnerConfig,
    /// Run-time register 0.
    Rtmr0,
    /// Run-time register 1.
    Rtmr1,
    /// Run-time register 2.
    Rtmr2,
    /// Run-time register 3.
    Rtmr3,
    /// Chosen by the TD.
    ReportData,
}

impl Register {
    /// Every register.
    pub const ALL: [Register; 10] = [
        Register::MrTd,
        Register::MrSeam,
        Register::MrConfigId,
        Register::MrOwner,
        Register::MrOwnerConfig,
        Register::Rtmr0,
        Register::Rtmr1,
        Register::Rtmr2,
        Register::Rtmr3,
        Register::ReportData,
    ];

    /// Id of the check of this register: `tdx.policy.` and its name.
    pub const fn check(self) -> &'static str {
        match self {
            Register::MrTd => "tdx.policy.mr_td",
            Register::MrSeam => "tdx.policy.mr_seam",
            Register::MrConfigId => "tdx.policy.mr_config_id",
            Register::MrOwner => "tdx.policy.mr_owner",
            Register::MrOwnerConfig => "tdx.policy.mr_owner_config",
            Register::Rtmr0 => "tdx.policy.rtmr0",
            Register::Rtmr1 => "tdx.policy.rtmr1",
            Register::Rtmr2 => "tdx.policy.rtmr2",
            Register::Rtmr3 => "tdx.policy.rtmr3",
            Register::ReportData => "tdx.policy.report_data",
        }
    }

    /// Its name: `mr_td`, `rtmr3`, ...
    pub fn name(self) -> &'static str {
        self.check().strip_prefix("tdx.policy.").unwrap_or_default()
    }

    /// The register with this name.
    pub fn from_name(name: &str) -> Option<Register> {
        Register::ALL.into_iter().find(|register| register.name() == name)
    }

    /// Its value.
    pub fn value(self, body: &TdBody) -> &[u8] {
        let [rtmr0, rtmr1, rtmr2, rtmr3] = &body.rtmr;
        match self {
            Register::MrTd => &body.mr_td,
            Register::MrSeam => &body.mr_seam,
            Register::MrConfigId => &body.mr_config_id,
            Register::MrOwner => &body.mr_owner,
            Register::MrOwnerConfig => &body.mr_owner_config,
            Register::Rtmr0 => rtmr0,
            Register::Rtmr1 => rtmr1,
            Register::Rtmr2 => rtmr2,
            Register::Rtmr3 => rtmr3,
            Register::ReportData => &body.report_data,
        }
    }
}

/// Values that the caller knows. What is absent is not compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TdxExpectations {
    /// First bytes of the report data, at most 64: a challenge, a key, or a hash of them. With 64 bytes all of it is compared.
    pub report_data: Option<Vec<u8>>,
    /// Measurement of the initial content.
    pub mr_td: Option<[u8; 48]>,
    /// Measurement of the TDX module.
    pub mr_seam: Option<[u8; 48]>,
    /// Host-chosen configuration.
    pub mr_config_id: Option<[u8; 48]>,
    /// Host-chosen owner.
    pub mr_owner: Option<[u8; 48]>,
    /// Host-chosen owner configuration.
    pub mr_owner_config: Option<[u8; 48]>,
    /// Run-time registers 0 to 3.
    pub rtmr: [Option<[u8; 48]>; 4],
}

impl TdxExpectations {
    /// Every register of 48 bytes with its expected value.
    pub fn registers(&self) -> [(Register, Option<&[u8; 48]>); 9] {
        let [rtmr0, rtmr1, rtmr2, rtmr3] = &self.rtmr;
        [
            (Register::MrTd, self.mr_td.as_ref()),
            (Register::MrSeam, self.mr_seam.as_ref()),
            (Register::MrConfigId, self.mr_config_id.as_ref()),
            (Register::MrOwner, self.mr_owner.as_ref()),
            (Register::MrOwnerConfig, self.mr_owner_config.as_ref()),
            (Register::Rtmr0, rtmr0.as_ref()),
            (Register::Rtmr1, rtmr1.as_ref()),
            (Register::Rtmr2, rtmr2.as_ref()),
            (Register::Rtmr3, rtmr3.as_ref()),
        ]
    }

    /// Sets the expected value of a register of 48 bytes; report data is left alone.
    pub fn set(&mut self, register: Register, value: [u8; 48]) {
        let [rtmr0, rtmr1, rtmr2, rtmr3] = &mut self.rtmr;
        let slot = match register {
            Register::MrTd => &mut self.mr_td,
            Register::MrSeam => &mut self.mr_seam,
            Register::MrConfigId => &mut self.mr_config_id,
            Register::MrOwner => &mut self.mr_owner,
            Register::MrOwnerConfig => &mut self.mr_owner_config,
            Register::Rtmr0 => rtmr0,
            Register::Rtmr1 => rtmr1,
            Register::Rtmr2 => rtmr2,
            Register::Rtmr3 => rtmr3,
            Register::ReportData => return,
        };
        *slot = Some(value);
    }

    /// Compares every value that is expected, registers first.
    pub fn evaluate(&self, claims: &TdxClaims) -> Vec<Finding> {
        let expected = self
            .registers()
            .into_iter()
            .filter_map(|(register, value)| Some(Expected { register, any_of: vec![value?.to_vec()] }));
        let mut findings: Vec<Finding> = expected.map(|expected| register(claims, &expected)).collect();
        if let Some(first) = &self.report_data {
            let found = &claims.body.report_data;
            // An empty value would hold of everything.
            let passed = !first.is_empty() && found.starts_with(first);
            findings.push(finding(
                Register::ReportData.check(),
                Code::ReportDataMismatch,
                passed,
                hex::short(first),
                hex::short(found),
            ));
        }
        findings
    }
}

/// Result of one test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Id of the check.
    pub check: &'static str,
    /// Reason code: the same as `check`, except that a refused status is named (`tdx.tcb.OutOfDate`).
    pub reason: &'static str,
    /// True when the fact is accepted.
    pub passed: bool,
    /// What was accepted.
    pub expected: String,
    /// What was found.
    pub found: String,
    /// Code of the error when the test failed.
    pub code: Code,
}

/// Makes every test, in the order of [`super::CHECKS`].
pub fn evaluate(claims: &TdxClaims, policy: &TdxPolicy) -> Vec<Finding> {
    let mut findings = vec![
        debug(claims, policy),
        reserved(claims),
        sept_ve_disable(claims, policy),
        attribute(claims, checks::MIGRATABLE, ATTRIBUTE_MIGRATABLE, policy.allow_migratable),
        attribute(claims, checks::PERFMON, ATTRIBUTE_PERFMON, policy.allow_perfmon),
        xfam(claims),
        service_td(claims, policy),
        tcb_status(claims, policy),
        evaluation_number(claims, policy),
    ];
    findings.extend(platform(claims, policy));
    findings.extend(policy.expected.iter().map(|expected| register(claims, expected)));
    findings
}

fn finding(check: &'static str, code: Code, passed: bool, expected: String, found: String) -> Finding {
    Finding { check, reason: check, passed, expected, found, code }
}

fn attributes_text(claims: &TdxClaims) -> String {
    hex::encode(&claims.body.td_attributes)
}

fn debug(claims: &TdxClaims, policy: &TdxPolicy) -> Finding {
    let clear = claims.body.td_attribute_bits() & ATTRIBUTES_DEBUG == 0;
    let expected = if policy.allow_debug { "any" } else { "attribute bits 0 and 4 to 6 clear" };
    finding(
        checks::DEBUG,
        Code::DebugTd,
        clear || policy.allow_debug,
        expected.into(),
        attributes_text(claims),
    )
}

fn reserved(claims: &TdxClaims) -> Finding {
    let clear = claims.body.td_attribute_bits() & !ATTRIBUTES_KNOWN == 0;
    finding(
        checks::RESERVED,
        Code::TdAttributes,
        clear,
        "reserved attribute bits clear".into(),
        attributes_text(claims),
    )
}

fn sept_ve_disable(claims: &TdxClaims, policy: &TdxPolicy) -> Finding {
    let set = claims.body.td_attribute_bits() & ATTRIBUTE_SEPT_VE_DISABLE != 0;
    let expected = if policy.require_sept_ve_disable { "attribute bit 28 set" } else { "any" };
    finding(
        checks::SEPT_VE_DISABLE,
        Code::TdAttributes,
        set || !policy.require_sept_ve_disable,
        expected.into(),
        attributes_text(claims),
    )
}

/// An attribute that must be clear unless it is allowed.
fn attribute(claims: &TdxClaims, check: &'static str, bit: u64, allowed: bool) -> Finding {
    let clear = claims.body.td_attribute_bits() & bit == 0;
    let expected =
        if allowed { "any".into() } else { format!("attribute bit {} clear", bit.trailing_zeros()) };
    finding(check, Code::TdAttributes, clear || allowed, expected, attributes_text(claims))
}

fn xfam(claims: &TdxClaims) -> Finding {
    let bits = claims.body.xfam_bits();
    let accepted = bits & XFAM_REQUIRED == XFAM_REQUIRED && bits & !XFAM_ALLOWED == 0;
    let expected = format!("bits {XFAM_REQUIRED:#x} set, none outside {XFAM_ALLOWED:#x}");
    finding(checks::XFAM, Code::TdXfam, accepted, expected, format!("{bits:#x}"))
}

fn service_td(claims: &TdxClaims, policy: &TdxPolicy) -> Finding {
    let measured = claims.body.mr_service_td.filter(|value| value.iter().any(|byte| *byte != 0));
    let later = claims.body.td_attribute_bits() & ATTRIBUTE_SERVTD_EXT != 0;
    let found = match measured {
        Some(value) => hex::short(&value),
        None if later => "attribute bit 17 (SERVTD_EXT)".into(),
        None => "none".into(),
    };
    finding(
        checks::SERVICE_TD,
        Code::ServiceTd,
        (measured.is_none() && !later) || policy.allow_service_td,
        if policy.allow_service_td { "any".into() } else { "none".into() },
        found,
    )
}

fn tcb_status(claims: &TdxClaims, policy: &TdxPolicy) -> Finding {
    let status = claims.tcb.status;
    let advisories_known = claims.tcb.advisories.iter().all(|id| policy.accepted_advisories.contains(id));
    let passed = status != TcbStatus::Revoked
        && policy.accepted_statuses.contains(&status)
        && (status == TcbStatus::UpToDate || advisories_known);
    let words: Vec<&str> = policy.accepted_statuses.iter().map(|status| status.word()).collect();
    let mut expected = words.join(" or ");
    if !policy.accepted_advisories.is_empty() {
        expected = format!("{expected}; advisories {}", policy.accepted_advisories.join(" "));
    }
    let found = format!("{} {}", status.word(), claims.tcb.advisories.join(" "));
    Finding {
        reason: if passed { checks::TCB_STATUS } else { status_reason(status) },
        ..finding(checks::TCB_STATUS, Code::TcbStatusRefused, passed, expected, found.trim_end().into())
    }
}

const fn status_reason(status: TcbStatus) -> &'static str {
    match status {
        TcbStatus::UpToDate => "tdx.tcb.UpToDate",
        TcbStatus::SWHardeningNeeded => "tdx.tcb.SWHardeningNeeded",
        TcbStatus::ConfigurationNeeded => "tdx.tcb.ConfigurationNeeded",
        TcbStatus::ConfigurationAndSWHardeningNeeded => "tdx.tcb.ConfigurationAndSWHardeningNeeded",
        TcbStatus::OutOfDate => "tdx.tcb.OutOfDate",
        TcbStatus::OutOfDateConfigurationNeeded => "tdx.tcb.OutOfDateConfigurationNeeded",
        TcbStatus::TDRelaunchAdvised => "tdx.tcb.TDRelaunchAdvised",
        TcbStatus::TDRelaunchAdvisedConfigurationNeeded => "tdx.tcb.TDRelaunchAdvisedConfigurationNeeded",
        TcbStatus::Revoked => "tdx.tcb.Revoked",
    }
}

fn evaluation_number(claims: &TdxClaims, policy: &TdxPolicy) -> Finding {
    let found = claims.tcb.evaluation_number;
    finding(
        checks::EVALUATION_NUMBER,
        Code::TcbEvaluationNumber,
        found >= policy.min_evaluation_number,
        format!("at least {}", policy.min_evaluation_number),
        found.to_string(),
    )
}

/// Whether the machine is one that the policy names; only when it names some.
fn platform(claims: &TdxClaims, policy: &TdxPolicy) -> Option<Finding> {
    if policy.platform_ids.is_empty() {
        return None;
    }
    let ids = [Some(claims.pck.ppid), claims.pck.platform_instance_id];
    let named = ids.iter().flatten().any(|id| policy.platform_ids.iter().any(|accepted| accepted == id));
    let accepted: Vec<String> = policy.platform_ids.iter().map(|id| hex::short(id)).collect();
    Some(finding(
        checks::PLATFORM,
        Code::PlatformNotAllowed,
        named,
        accepted.join(" or "),
        hex::short(&claims.pck.ppid),
    ))
}

fn register(claims: &TdxClaims, expected: &Expected) -> Finding {
    let value = expected.register.value(&claims.body);
    let texts: Vec<String> = expected.any_of.iter().map(|value| hex::short(value)).collect();
    finding(
        expected.register.check(),
        Code::MeasurementRefused,
        expected.any_of.iter().any(|accepted| accepted == value),
        texts.join(" or "),
        hex::short(value),
    )
}

#[cfg(test)]
mod tests;
