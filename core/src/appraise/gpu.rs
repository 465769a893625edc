//! The checks of GPUs and switches: their own evidence, and what NVIDIA's manifests, OCSP answers and attestation service say about
//! them (`attestation.md` 3).
//!
//! What is given must be right, whatever the policy asks for; what is not given counts only where the policy requires it. NVIDIA's own
//! verdict (`gpu.nras.*`) is listed beside the checks made here and passes none of them.

use crate::attest::nvidia::nras::{self, NRAS_ISSUER_URL, NrasExpected};
use crate::attest::nvidia::rules::{self, NrasRule};
use crate::attest::nvidia::topology::{self, Topology};
use crate::attest::nvidia::{
    CHECKS, NRAS_CHECKS, RIM_CHECKS, Revocation, Rims, position, with_reference, with_revocation,
};
use crate::attest::{self, TrustRoots};
use crate::claims::{
    ConfidentialMode, DeviceKind, GpuClaims, NrasClaims, ReferenceState, RevocationState, Verified,
};
use crate::error::{Class, Code, Error, Result};
use crate::evidence::GpuEndorsements;
use crate::policy::{Appraisal, Policy, time};
use crate::report::Check;
use crate::wire::hex;

/// What the devices of one enclave or system are judged by.
#[derive(Clone, Copy)]
pub(crate) struct GpuInput<'a> {
    /// Put before every check id.
    pub scope: &'a str,
    /// The nonce that the devices must have answered.
    pub nonce: &'a [u8; 32],
    pub policy: &'a Policy,
    pub roots: &'a TrustRoots,
    /// What NVIDIA says, as far as it was asked.
    pub endorsements: &'a GpuEndorsements,
    /// What of it was asked for and could not be had.
    pub not_fetched: &'a NotFetched,
    pub at: u64,
}

/// Why something that NVIDIA could have said was asked for and could not be had: causes that mean "not now" (3xx).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotFetched {
    /// Reference manifests.
    pub rims: Option<Error>,
    /// Answers about revocation.
    pub ocsp: Option<Error>,
    /// Tokens of the attestation service.
    pub nras: Option<Error>,
}

impl NotFetched {
    /// Nothing was asked for, or everything was had.
    pub const NOTHING: NotFetched = NotFetched { rims: None, ocsp: None, nras: None };
}

/// What the checks found out.
#[derive(Debug, Default)]
pub(crate) struct GpuFindings {
    /// Distinct genuine GPUs.
    pub gpus: usize,
    /// Distinct genuine switches.
    pub switches: usize,
    /// Every device's measurements equal NVIDIA's reference values, by our own comparison.
    pub matched: bool,
    /// NVIDIA's attestation service called the measurements of every device right.
    pub vouched: bool,
    /// NVIDIA called every certificate good.
    pub not_revoked: bool,
    /// Earliest end of what NVIDIA said.
    pub expires: Option<u64>,
}

impl GpuFindings {
    /// Measurements are known to be NVIDIA's, by ourselves or by NVIDIA's word.
    pub fn measured(&self) -> bool {
        self.matched || self.vouched
    }

    fn ends(&mut self, at: u64) {
        self.expires = Some(self.expires.map_or(at, |known| known.min(at)));
    }
}

/// Lists every check of devices that were verified, or were not.
pub(crate) fn check(
    appraisal: &mut Appraisal<'_>,
    input: &GpuInput<'_>,
    devices: Result<Vec<Verified<GpuClaims>>>,
) -> GpuFindings {
    let mut findings = GpuFindings::default();
    let devices = devices.and_then(|devices| enough(devices, input.policy));
    list(appraisal, input.scope, CHECKS, devices.as_ref().err(), true);
    match devices {
        Ok(devices) => check_devices(appraisal, input, devices, &mut findings),
        Err(_) => unmade(appraisal, input, "the devices' own evidence did not pass"),
    }
    findings
}

/// Lists the checks that were not made because there are no devices to make them on.
pub(crate) fn unmade(appraisal: &mut Appraisal<'_>, input: &GpuInput<'_>, why: &str) {
    let rules = input.policy.gpu_rules();
    let needs_measurements = rules.require_rim || input.policy.require_gpu_measurements();
    for (id, required) in [
        ("gpu.measurements", needs_measurements),
        ("gpu.cc_mode", rules.require_rim),
        ("gpu.ocsp", rules.require_ocsp),
        ("gpu.nras.token", rules.nras == NrasRule::Required),
    ] {
        not_made(appraisal, input.scope, id, why, required);
    }
}

fn enough(devices: Vec<Verified<GpuClaims>>, policy: &Policy) -> Result<Vec<Verified<GpuClaims>>> {
    let gpus = count(&devices, DeviceKind::Gpu);
    if gpus < policy.gpu_minimum() {
        return Err(Error::new(Code::GpuEvidenceMissing)
            .at("gpu.missing")
            .expected(format!("at least {} GPUs", policy.gpu_minimum()))
            .found(gpus.to_string()));
    }
    Ok(devices)
}

fn count(devices: &[Verified<GpuClaims>], kind: DeviceKind) -> usize {
    devices.iter().filter(|device| device.kind == kind).count()
}

fn check_devices(
    appraisal: &mut Appraisal<'_>,
    input: &GpuInput<'_>,
    devices: Vec<Verified<GpuClaims>>,
    findings: &mut GpuFindings,
) {
    findings.gpus = count(&devices, DeviceKind::Gpu);
    findings.switches = count(&devices, DeviceKind::Switch);
    for finding in rules::evaluate(&devices, input.policy.gpu_rules()) {
        match finding.result {
            Ok(found) => appraisal.pass_with(input.scope, finding.check, found),
            Err(error) => appraisal.fail(input.scope, finding.check, error),
        }
    }
    check_topology(appraisal, input, &devices);
    // The service's answer decides whether measurements still have to be compared here, so it is judged first and listed last.
    let vouched = vouch(input, &devices);
    findings.vouched = matches!(vouched, Some(Ok(_)));
    let (devices, rims) = check_references(appraisal, input, devices, findings);
    let devices = check_revocation(appraisal, input, devices, rims.as_ref(), findings);
    list_vouched(appraisal, input, vouched, findings);
    facts(appraisal, input.scope, &devices);
}

fn check_topology(appraisal: &mut Appraisal<'_>, input: &GpuInput<'_>, devices: &[Verified<GpuClaims>]) {
    let scope = input.scope;
    let required = input.policy.gpu_rules().require_switches;
    match topology::check(devices) {
        Ok(Topology::None) => {}
        Ok(Topology::Complete) => appraisal.pass(scope, "gpu.topology"),
        Ok(Topology::SwitchesAbsent) => {
            let why = "the switches of the system were not presented";
            appraisal.advisory(Check::not_checked(scope, "gpu.topology", why));
            if required {
                let error =
                    Error::new(Code::GpuEvidenceMissing).at("gpu.policy.switches").expected("switches");
                appraisal.fail(scope, "gpu.policy.switches", error);
            }
        }
        Err(error) => appraisal.fail(scope, "gpu.topology", error),
    }
}

/// Compares every device with its manifests and says what that shows of confidential mode.
fn check_references(
    appraisal: &mut Appraisal<'_>,
    input: &GpuInput<'_>,
    devices: Vec<Verified<GpuClaims>>,
    findings: &mut GpuFindings,
) -> (Vec<Verified<GpuClaims>>, Option<Rims>) {
    let (scope, rules) = (input.scope, input.policy.gpu_rules());
    let required = rules.require_rim || (input.policy.require_gpu_measurements() && !findings.vouched);
    let mut rims = None;
    let mut devices = devices;
    if input.endorsements.rims.is_empty() {
        let why = "reference measurements were not compared";
        not_had(appraisal, scope, "gpu.measurements", input.not_fetched.rims.as_ref(), why, required);
    } else {
        let verified = Rims::verify(&input.endorsements.rims, input.roots, input.at, rules.allow_expired_rim);
        let compared = verified.and_then(|verified| {
            let verified = rims.insert(verified);
            let state = |device: &Verified<GpuClaims>| verified.compare(device, &rules.allowed_mismatches);
            devices.iter().map(state).collect::<Result<Vec<ReferenceState>>>()
        });
        let compared = compared.map_err(|error| cause_of(error, input.not_fetched.rims.as_ref()));
        list(appraisal, scope, RIM_CHECKS, compared.as_ref().err(), required);
        if let Ok(states) = compared {
            findings.matched = true;
            devices = devices
                .into_iter()
                .zip(states)
                .map(|(device, state)| with_reference(device, state))
                .collect();
            let ends = rims.iter().flat_map(Rims::iter).filter(|rim| !rim.expired);
            if let Some(end) = ends.map(|rim| rim.not_after.saturating_add(1)).min() {
                findings.ends(end);
            }
        }
    }
    let shown = devices.iter().all(|device| device.confidential_mode() == ConfidentialMode::ByReference);
    match (shown, findings.vouched) {
        (true, _) => {
            appraisal.pass_with(scope, "gpu.cc_mode", "measurements equal NVIDIA's values for production");
        }
        (false, true) => {
            let why = "only NVIDIA's attestation service says so; nothing was compared here";
            not_made(appraisal, scope, "gpu.cc_mode", why, rules.require_rim);
        }
        (false, false) => {
            let why = "developer mode differs in its measurements only, and they were not compared";
            not_made(appraisal, scope, "gpu.cc_mode", why, rules.require_rim);
        }
    }
    (devices, rims)
}

fn check_revocation(
    appraisal: &mut Appraisal<'_>,
    input: &GpuInput<'_>,
    devices: Vec<Verified<GpuClaims>>,
    rims: Option<&Rims>,
    findings: &mut GpuFindings,
) -> Vec<Verified<GpuClaims>> {
    const ID: &str = "gpu.ocsp";
    let (scope, rules, given) = (input.scope, input.policy.gpu_rules(), input.endorsements);
    let not_fetched = input.not_fetched.ocsp.as_ref();
    if given.ocsp.is_empty() {
        let why = "nobody was asked about revocation";
        not_had(appraisal, scope, ID, not_fetched, why, rules.require_ocsp);
        return devices;
    }
    let states = || -> Result<Vec<RevocationState>> {
        let answers = Revocation::new(&given.ocsp, given.ocsp_nonce, input.at, rules.allow_certificate_hold)?;
        let mut states: Vec<RevocationState> =
            devices.iter().map(|device| answers.device(device)).collect::<Result<_>>()?;
        states.extend(rims.map(|rims| answers.rims(rims)).transpose()?);
        Ok(states)
    };
    match states() {
        Ok(states) => {
            findings.not_revoked = true;
            let oldest = states.iter().filter_map(|state| match state {
                RevocationState::Good { since, until } => Some((*since, *until)),
                RevocationState::NotChecked => None,
            });
            let (mut since, mut until) = (u64::MAX, u64::MAX);
            for (from, to) in oldest {
                (since, until) = (since.min(from), until.min(to));
            }
            findings.ends(until);
            appraisal.pass_with(scope, ID, format!("good, by statements from {} on", time::rfc3339(since)));
            devices.into_iter().zip(states).map(|(device, state)| with_revocation(device, state)).collect()
        }
        Err(error) => {
            failed(appraisal, scope, ID, cause_of(error, not_fetched), rules.require_ocsp);
            devices
        }
    }
}

/// NVIDIA's word on the devices: `None` when there is none or the policy does not look at it.
fn vouch(input: &GpuInput<'_>, devices: &[Verified<GpuClaims>]) -> Option<Result<Vec<Verified<NrasClaims>>>> {
    let rules = input.policy.gpu_rules();
    if rules.nras == NrasRule::Off || input.endorsements.nras.is_empty() {
        return None;
    }
    let verify = || -> Result<Vec<Verified<NrasClaims>>> {
        let mut answers = Vec::new();
        for kind in [DeviceKind::Gpu, DeviceKind::Switch] {
            let of_kind = || devices.iter().map(Verified::get).filter(|device| device.kind == kind);
            let mut given = input.endorsements.nras.iter().filter(|answer| answer.kind == kind);
            let (answer, more) = (given.next(), given.next());
            let expected = NrasExpected {
                nonce: input.nonce,
                issuer: NRAS_ISSUER_URL,
                devices: of_kind().count(),
                allow_hold: rules.allow_certificate_hold,
            };
            let error = |code| Error::new(code).at("gpu.nras.token");
            match (answer, expected.devices) {
                (None, 0) => continue,
                (None, _) => {
                    return Err(error(Code::CollateralMissing).context("A kind of device has no answer."));
                }
                (Some(_), 0) => return Err(error(Code::NrasToken).context("There is no such device.")),
                (Some(_), _) if more.is_some() => {
                    return Err(
                        error(Code::NrasToken).context("There are two answers about the same devices.")
                    );
                }
                (Some(answer), _) => {
                    let verified = nras::verify(answer, &expected, input.roots, input.at)?;
                    nras::check_devices(&verified, of_kind())?;
                    answers.push(verified);
                }
            }
        }
        Ok(answers)
    };
    Some(verify())
}

fn list_vouched(
    appraisal: &mut Appraisal<'_>,
    input: &GpuInput<'_>,
    vouched: Option<Result<Vec<Verified<NrasClaims>>>>,
    findings: &mut GpuFindings,
) {
    let (scope, rule) = (input.scope, input.policy.gpu_rules().nras);
    let required = rule == NrasRule::Required;
    match vouched {
        None => {
            let why = if rule == NrasRule::Off {
                "the policy does not look at NVIDIA's attestation service"
            } else {
                "NVIDIA's attestation service was not asked"
            };
            not_had(appraisal, scope, "gpu.nras.token", input.not_fetched.nras.as_ref(), why, required);
        }
        Some(result) => {
            let result = result.map_err(|error| cause_of(error, input.not_fetched.nras.as_ref()));
            list(appraisal, scope, NRAS_CHECKS, result.as_ref().err(), required);
            for answer in result.unwrap_or_default() {
                findings.ends(answer.expires_at);
                for device in &answer.devices {
                    let name = |what: &str| format!("{scope}nras.{}.{what}", device.name);
                    appraisal.fact(name("hardware"), &*device.hardware);
                    appraisal.fact(name("ueid"), &*device.ueid);
                    if let Some(warning) = &device.warning {
                        appraisal.fact(name("warning"), &**warning);
                    }
                }
                appraisal.fact(format!("{scope}nras.claims_version"), &*answer.version);
                appraisal.fact(format!("{scope}nras.issued"), time::rfc3339(answer.issued_at));
            }
        }
    }
}

/// Lists steps that end at the first failure: passed before it, not reached after it.
fn list(
    appraisal: &mut Appraisal<'_>,
    scope: &str,
    steps: &[attest::Check],
    error: Option<&Error>,
    required: bool,
) {
    let place = error.map(|error| (error, position(steps, error.check().unwrap_or_default())));
    for (i, step) in steps.iter().enumerate() {
        match place {
            Some((error, place)) if place == i => failed(appraisal, scope, step.id, error.clone(), required),
            Some((_, place)) if place < i => {
                appraisal.advisory(Check::not_checked(scope, step.id, "an earlier check did not pass"));
            }
            _ => appraisal.pass(scope, step.id),
        }
    }
}

/// Records a check that was not made for want of what NVIDIA says: why it could not be had, if it was tried.
fn not_had(
    appraisal: &mut Appraisal<'_>,
    scope: &str,
    id: &str,
    cause: Option<&Error>,
    why: &str,
    required: bool,
) {
    match cause {
        None => not_made(appraisal, scope, id, why, required),
        Some(cause) if required => {
            appraisal.enforced(Check::from_error(scope, id, cause), Some(cause.clone()))
        }
        Some(cause) => appraisal.advisory(Check::from_error(scope, id, cause)),
    }
}

/// What is missing is the symptom; why it could not be had is the cause.
fn cause_of(error: Error, cause: Option<&Error>) -> Error {
    match cause {
        Some(cause) if error.code() == Code::CollateralMissing => {
            let check = error.check().unwrap_or_default().to_owned();
            cause.clone().at(check)
        }
        _ => error,
    }
}

/// Records a failure. One that only means "cannot say now" counts where the policy requires the check.
fn failed(appraisal: &mut Appraisal<'_>, scope: &str, id: &str, error: Error, required: bool) {
    if error.code().class() == Class::Indeterminate && !required {
        appraisal.advisory(Check::from_error(scope, id, &error));
    } else {
        appraisal.fail(scope, id, error);
    }
}

/// Records a check that was not made; it counts where the policy requires it.
fn not_made(appraisal: &mut Appraisal<'_>, scope: &str, id: &str, why: &str, required: bool) {
    let check = Check::not_checked(scope, id, why);
    if required {
        appraisal.enforced(check, Some(Error::new(Code::RequiredCheckNotMade).at(id)));
    } else {
        appraisal.advisory(check);
    }
}

fn facts(appraisal: &mut Appraisal<'_>, scope: &str, devices: &[Verified<GpuClaims>]) {
    for (i, device) in devices.iter().enumerate() {
        let mut fact = |name: &str, value: &str| appraisal.fact(format!("{scope}gpu.{i}.{name}"), value);
        fact("architecture", device.architecture.word());
        fact("chip", &device.chip);
        fact("driver", device.driver_version.as_deref().unwrap_or("-"));
        fact("vbios", device.vbios_version.as_deref().unwrap_or("-"));
        fact("device_id", &hex::encode(&device.device_id));
        fact("ueid", &device.serial.to_decimal());
        if device.kind == DeviceKind::Switch {
            fact("kind", "switch");
        }
        if topology::is_protected_pcie(device) {
            fact("mode", "protected PCIe");
        } else if let Some(mode) = device.details.mode {
            fact("mode", mode.name());
        }
        if let ReferenceState::Matched { manifests, compared, excused, .. } = &device.reference {
            fact("reference", &format!("{compared} measurements equal {}", manifests.join(", ")));
            if !excused.is_empty() {
                let excused: Vec<String> = excused.iter().map(u8::to_string).collect();
                fact("reference_excused", &excused.join(" "));
            }
        }
    }
}
