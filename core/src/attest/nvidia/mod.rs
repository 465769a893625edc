//! NVIDIA GPUs and switches: signed measurement reports that answer our nonce give [`GpuClaims`]; signed reference manifests, OCSP
//! answers and tokens of NVIDIA's attestation service say more about them.
//!
//! Source: `protocols/attestation.md` 3, `protocols/venice.md` 2.6. The parts, in the order in which they are used:
//! `report` and `opaque` (what a device sent), `chain` (who it is), `rim` with `xmldsig` and `xml` (what NVIDIA says it should
//! measure), `reference` (the comparison), `topology` (GPUs and switches of one system), `revocation` (OCSP), `nras` (NVIDIA's own
//! verdict, never mixed with ours), `requests` (what to ask whom), `rules` (what a policy can demand).

mod chain;
mod checks;
pub mod nras;
mod opaque;
mod parallel;
mod reference;
mod report;
pub mod requests;
mod revocation;
mod rim;
pub mod rules;
pub mod topology;
mod xml;
mod xmldsig;

pub use crate::claims::{
    Architecture, ConfidentialMode, DeviceKind, GpuClaims, GpuMode, ReferenceState, RevocationState,
};
pub use checks::{CHECKS, NRAS_CHECKS, RIM_CHECKS, position};
pub(crate) use reference::serves;
pub use reference::{Comparison, RimId, Rims, check_version, compare, rim_ids};
pub use revocation::Revocation;
pub use rim::Rim;

use crate::attest::TrustRoots;
use crate::claims::Verified;
use crate::crypto;
use crate::error::{Code, Error, Result};
use crate::limits::{
    ATTESTATION_RESPONSE_MAX_BYTES, GPU_MAX_DEVICES, GPU_REPORT_MAX_BYTES, SWITCH_MAX_DEVICES,
};
use crate::pki::{Authority, Problem, PublicKey, pem};
use crate::wire::json::Json;
use crate::wire::{base64, hex};
use chain::{KnownAuthority, chain_error, check_firmware_id, verify_chain, verify_shared};
use checks::{DUPLICATE, MISSING, NONCE, PARSE, SIGNATURE};
use report::Report;

/// GPU evidence as a provider serves it. Nothing in it is verified.
#[derive(Clone, Debug)]
pub struct GpuEvidence {
    nonce: Option<String>,
    devices: Vec<Device>,
}

/// Report and certificate chain of one device.
#[derive(Clone, Debug)]
pub struct Device {
    /// SPDM request and answer.
    pub report: Vec<u8>,
    /// PEM chain from the device to the root.
    pub chain: Vec<u8>,
}

impl GpuEvidence {
    /// Reads a payload given as a JSON text or as the object itself: `{nonce, arch, evidence_list: [{certificate, evidence}]}` with
    /// base64 values. `arch` is ignored: servers state the same one for every chip.
    ///
    /// Fails with `gpu_evidence_missing` when there is none (absent, null, or an empty list, which gateways serve for "none"),
    /// and with `gpu_evidence_malformed` or `limit_exceeded`.
    pub fn read(payload: Option<&Json>) -> Result<GpuEvidence> {
        let missing = || Error::new(Code::GpuEvidenceMissing).at(MISSING);
        let parsed;
        let object = match payload {
            None | Some(Json::Null) => return Err(missing()),
            Some(Json::String(text)) if text.is_empty() => return Err(missing()),
            Some(Json::String(text)) => {
                if text.len() > ATTESTATION_RESPONSE_MAX_BYTES {
                    return Err(Error::new(Code::LimitExceeded).at("GPU evidence"));
                }
                parsed = Json::parse(text.as_bytes()).map_err(|_| malformed("It is not strict JSON."))?;
                &parsed
            }
            Some(object) => object,
        };
        if object.as_object().is_none() {
            return Err(malformed("It has no evidence list."));
        }
        let evidence = GpuEvidence::read_list(object.get("evidence_list"))?;
        let nonce = match object.get("nonce") {
            None | Some(Json::Null) => None,
            Some(Json::String(nonce)) => Some(nonce.clone()),
            Some(_) => return Err(malformed("Its nonce is not a text.")),
        };
        Ok(GpuEvidence { nonce, ..evidence })
    }

    /// Reads a list of devices, `[{certificate, evidence}, ...]` with base64 values. Other members of an entry are ignored.
    /// Fails as [`GpuEvidence::read`] does.
    pub fn read_list(list: Option<&Json>) -> Result<GpuEvidence> {
        let list = match list {
            None | Some(Json::Null) => return Err(Error::new(Code::GpuEvidenceMissing).at(MISSING)),
            Some(list) => list.as_array().ok_or_else(|| malformed("It has no evidence list."))?,
        };
        if list.is_empty() {
            return Err(Error::new(Code::GpuEvidenceMissing).at(MISSING));
        }
        if list.len() > GPU_MAX_DEVICES.saturating_add(SWITCH_MAX_DEVICES) {
            return Err(Error::new(Code::LimitExceeded).at("GPU devices"));
        }
        let devices = parallel::each(list, &(), |entry, ()| Device::read(entry).ok_or(()))
            .map_err(|_| malformed("A device lacks evidence or certificate in base64."))?;
        Ok(GpuEvidence { nonce: None, devices })
    }

    /// Evidence of bare devices, without a provider around it. Fails as [`GpuEvidence::read`] does.
    pub fn of_devices(devices: Vec<Device>) -> Result<GpuEvidence> {
        if devices.is_empty() {
            return Err(Error::new(Code::GpuEvidenceMissing).at(MISSING));
        }
        if devices.len() > GPU_MAX_DEVICES.saturating_add(SWITCH_MAX_DEVICES) {
            return Err(Error::new(Code::LimitExceeded).at("GPU devices"));
        }
        Ok(GpuEvidence { nonce: None, devices })
    }

    /// The devices.
    pub fn devices(&self) -> &[Device] {
        &self.devices
    }

    /// Checks the nonce that the payload states beside the reports. It is unsigned: this shows what the provider asked the devices,
    /// nothing more. Fails with `gpu_nonce_mismatch`, also when it is absent.
    pub fn check_stated_nonce(&self, nonce: &[u8; 32]) -> Result<()> {
        let stated = self.nonce.as_deref().and_then(hex::decode_array::<32>);
        if stated.as_ref() == Some(nonce) {
            return Ok(());
        }
        Err(nonce_error(nonce, stated.as_ref().map_or(&[][..], |stated| &stated[..])))
    }
}

impl Device {
    fn read(entry: &Json) -> Option<Device> {
        let bytes = |name| entry.get(name).and_then(Json::as_str).and_then(base64::decode);
        Some(Device { report: bytes("evidence")?, chain: bytes("certificate")? })
    }
}

/// Verifies every device at the time `at` (seconds): each must have answered `nonce`, and no two may be the same.
///
/// Fails with `gpu_nonce_mismatch`, `gpu_chain`, `gpu_firmware_id`, `gpu_signature`, `gpu_duplicate`, `gpu_evidence_malformed` or
/// `limit_exceeded`.
pub fn verify(
    evidence: &GpuEvidence,
    nonce: &[u8; 32],
    roots: &TrustRoots,
    at: u64,
) -> Result<Vec<Verified<GpuClaims>>> {
    let root = roots
        .nvidia_device()
        .ok_or_else(|| chain_error(Problem::ChainShape).context("No NVIDIA root is trusted."))?;
    // Devices of one system have authorities in common: they are verified once, before the devices are shared out among threads.
    let mut known = Vec::new();
    if let [first, _, ..] = evidence.devices.as_slice() {
        verify_shared(&first.chain, root, at, &mut known);
    }
    let work =
        |device: &Device, known: &mut Vec<KnownAuthority>| verify_device(device, nonce, root, at, known);
    let (verified, failed) = match parallel::each(&evidence.devices, &known, work) {
        Ok(verified) => (verified, None),
        Err((verified, error)) => (verified, Some(error)),
    };
    let mut claims: Vec<Verified<GpuClaims>> = Vec::with_capacity(verified.len());
    for mut verified in verified {
        verified.custom_root = roots.is_custom();
        if claims.iter().any(|other| is_same_device(other, &verified)) {
            return Err(Error::new(Code::GpuDuplicate).at(DUPLICATE).found(hex::short(&verified.device_id)));
        }
        claims.push(Verified::new(verified));
    }
    if let Some(error) = failed {
        return Err(error);
    }
    let switches = claims.iter().filter(|device| device.kind == DeviceKind::Switch).count();
    if switches > SWITCH_MAX_DEVICES || claims.len().saturating_sub(switches) > GPU_MAX_DEVICES {
        return Err(Error::new(Code::LimitExceeded).at("GPU devices"));
    }
    if claims.is_empty() {
        return Err(Error::new(Code::GpuEvidenceMissing).at(MISSING));
    }
    Ok(claims)
}

/// One certificate for both, or one boot ROM key above both: a device that was started anew can have another certificate of its own.
fn is_same_device(a: &GpuClaims, b: &GpuClaims) -> bool {
    let boot_rom = |device: &GpuClaims| device.authorities.first().map(|authority| authority.key().clone());
    a.device_id == b.device_id || boot_rom(a) == boot_rom(b)
}

fn verify_device(
    device: &Device,
    nonce: &[u8; 32],
    root: &Authority,
    at: u64,
    known: &mut Vec<KnownAuthority>,
) -> Result<GpuClaims> {
    if device.report.len() > GPU_REPORT_MAX_BYTES {
        return Err(Error::new(Code::LimitExceeded).at("GPU report"));
    }
    let report = Report::parse(&device.report)?;
    if report.nonce != nonce {
        return Err(nonce_error(nonce, report.nonce));
    }
    let chain = pem::certificates(&device.chain).map_err(chain_error)?;
    let (leaf, authorities) = verify_chain(&chain, root, at, known).map_err(chain_error)?;
    let PublicKey::P384(key) = leaf.key() else { return Err(chain_error(Problem::Algorithm)) };
    if !crypto::p384_verify_fixed(key, report.signed, report.signature) {
        return Err(Error::new(Code::GpuSignature).at(SIGNATURE));
    }
    let chip = leaf.common_name().and_then(|name| name.split(' ').next()).unwrap_or_default();
    let architecture = architecture(chip);
    let kind = if architecture == Architecture::Ls10 { DeviceKind::Switch } else { DeviceKind::Gpu };
    let stated = opaque::read(&report.opaque, kind)?;
    check_firmware_id(&leaf, stated.firmware_id.as_ref())?;
    Ok(GpuClaims {
        kind,
        architecture,
        chip: chip.to_owned(),
        driver_version: stated.driver_version,
        vbios_version: stated.vbios_version,
        firmware_id: stated.firmware_id,
        protected_pcie: stated.protected_pcie,
        measurements: report.measurements,
        details: stated.details,
        device_id: crypto::sha256(&[leaf.der()]),
        serial: leaf.serial(),
        reference: ReferenceState::NotChecked,
        revocation: RevocationState::NotChecked,
        verified_at: at,
        custom_root: false,
        authorities,
    })
}

/// The same facts, with the outcome of the comparison that was made with them.
pub(crate) fn with_reference(claims: Verified<GpuClaims>, reference: ReferenceState) -> Verified<GpuClaims> {
    claims.map(|claims| GpuClaims { reference, ..claims })
}

/// The same facts, with what is known of revocation.
pub(crate) fn with_revocation(
    claims: Verified<GpuClaims>,
    revocation: RevocationState,
) -> Verified<GpuClaims> {
    claims.map(|claims| GpuClaims { revocation, ..claims })
}

fn architecture(chip: &str) -> Architecture {
    match chip {
        _ if chip.starts_with("GH") => Architecture::Hopper,
        _ if chip.starts_with("GB") => Architecture::Blackwell,
        "LS_10" => Architecture::Ls10,
        _ => Architecture::Other,
    }
}

fn malformed(context: &str) -> Error {
    Error::new(Code::GpuEvidenceMalformed).at(PARSE).context(context)
}

fn nonce_error(expected: &[u8; 32], found: &[u8]) -> Error {
    Error::new(Code::GpuNonceMismatch).at(NONCE).expected(hex::short(expected)).found(hex::short(found))
}
