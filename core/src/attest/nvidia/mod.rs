//! NVIDIA GPUs and switches: signed measurement reports that answer our nonce give [`GpuClaims`].
//!
//! Source: `protocols/attestation.md` 3.1 and 3.2, `protocols/venice.md` 2.6. Not here: reference measurements (RIM), revocation
//! (OCSP) and NVIDIA's attestation service (NRAS); so the claims never say "in confidential mode" or "not revoked".

mod report;

pub use crate::claims::{Architecture, DeviceKind, GpuClaims};

use crate::attest::{Check, TrustRoots};
use crate::claims::Verified;
use crate::crypto;
use crate::error::{Code, Error, Result};
use crate::limits::{ATTESTATION_RESPONSE_MAX_BYTES, GPU_MAX_DEVICES, GPU_REPORT_MAX_BYTES};
use crate::pki::{Authority, Certificate, Problem, PublicKey, pem};
use crate::wire::der::{self, Der};
use crate::wire::json::Json;
use crate::wire::{base64, hex};
use report::Report;

const MISSING: &str = "gpu.missing";
pub(super) const PARSE: &str = "gpu.parse";
const NONCE: &str = "gpu.nonce";
const CHAIN: &str = "gpu.chain";
const FIRMWARE_ID: &str = "gpu.fwid";
const SIGNATURE: &str = "gpu.signature";
const DUPLICATE: &str = "gpu.duplicate";

/// Every check, in order; see [`crate::attest::tdx::CHECKS`] for how failures relate to it.
pub static CHECKS: &[Check] = &[
    Check { id: MISSING, title: "There is GPU evidence" },
    Check { id: PARSE, title: "Each report has the exact layout of a measurement report" },
    Check { id: NONCE, title: "Each device answered our nonce" },
    Check { id: CHAIN, title: "Each device's certificate leads to the trusted NVIDIA root" },
    Check { id: SIGNATURE, title: "Each device signed its report" },
    Check { id: FIRMWARE_ID, title: "Each device runs the firmware that its certificate was made for" },
    Check { id: DUPLICATE, title: "No device is presented twice" },
];

/// Extension of Hopper leaves: composite device id, whose last 48 bytes are the firmware identity (2.23.133.5.4.1).
const COMPOSITE_DEVICE_ID: &[u8] = &[0x67, 0x81, 0x05, 0x05, 0x04, 0x01];
/// Extension of Blackwell leaves: DiceTcbInfo (2.23.133.5.4.1.1).
const DICE_TCB_INFO: &[u8] = &[0x67, 0x81, 0x05, 0x05, 0x04, 0x01, 0x01];
/// SHA-384, 2.16.840.1.101.3.4.2.2.
const SHA384: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02];
/// Tag `[6]` constructed: the firmware identities in DiceTcbInfo.
const FIRMWARE_IDS: u8 = 0xa6;

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
        let list = match object.get("evidence_list") {
            None | Some(Json::Null) if object.as_object().is_some() => return Err(missing()),
            Some(Json::Array(list)) if list.is_empty() => return Err(missing()),
            Some(Json::Array(list)) => list,
            _ => return Err(malformed("It has no evidence list.")),
        };
        if list.len() > GPU_MAX_DEVICES {
            return Err(Error::new(Code::LimitExceeded).at("GPU devices"));
        }
        let nonce = match object.get("nonce") {
            None | Some(Json::Null) => None,
            Some(Json::String(nonce)) => Some(nonce.clone()),
            Some(_) => return Err(malformed("Its nonce is not a text.")),
        };
        let devices: Option<Vec<Device>> = list.iter().map(Device::read).collect();
        let devices =
            devices.ok_or_else(|| malformed("A device lacks evidence or certificate in base64."))?;
        Ok(GpuEvidence { nonce, devices })
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
    let mut known = Vec::new();
    let mut claims: Vec<Verified<GpuClaims>> = Vec::new();
    for device in &evidence.devices {
        let mut verified = verify_device(device, nonce, root, at, &mut known)?;
        verified.custom_root = roots.is_custom();
        if claims.iter().any(|other| other.device_id == verified.device_id) {
            return Err(Error::new(Code::GpuDuplicate).at(DUPLICATE).found(hex::short(&verified.device_id)));
        }
        claims.push(Verified::new(verified));
    }
    if claims.is_empty() {
        return Err(Error::new(Code::GpuEvidenceMissing).at(MISSING));
    }
    Ok(claims)
}

fn verify_device(
    device: &Device,
    nonce: &[u8; 32],
    root: &Authority,
    at: u64,
    known: &mut Vec<Authority>,
) -> Result<GpuClaims> {
    if device.report.len() > GPU_REPORT_MAX_BYTES {
        return Err(Error::new(Code::LimitExceeded).at("GPU report"));
    }
    let report = Report::parse(&device.report)?;
    if report.nonce != nonce {
        return Err(nonce_error(nonce, report.nonce));
    }
    let chain = pem::certificates(&device.chain).map_err(chain_error)?;
    let leaf = verify_chain(&chain, root, at, known).map_err(chain_error)?;
    let PublicKey::P384(key) = leaf.key() else { return Err(chain_error(Problem::Algorithm)) };
    if !crypto::p384_verify_fixed(key, report.signed, report.signature) {
        return Err(Error::new(Code::GpuSignature).at(SIGNATURE));
    }
    check_firmware_id(&leaf, report.firmware_id)?;
    let chip = leaf.common_name().and_then(|name| name.split(' ').next()).unwrap_or_default();
    Ok(GpuClaims {
        kind: report.kind,
        architecture: architecture(chip),
        chip: chip.to_owned(),
        driver_version: report.driver_version,
        vbios_version: report.vbios_version,
        firmware_id: report.firmware_id.copied(),
        protected_pcie: report.protected_pcie,
        measurements: report.measurements,
        device_id: crypto::sha256(&[leaf.der()]),
        verified_at: at,
        custom_root: false,
    })
}

/// Verifies a chain of exactly five certificates: device firmware, device, two intermediates, root. Authorities that were
/// verified for an earlier device of the same answer are not verified again.
fn verify_chain<'a>(
    chain: &'a [Vec<u8>],
    root: &Authority,
    at: u64,
    known: &mut Vec<Authority>,
) -> std::result::Result<Certificate<'a>, Problem> {
    let [leaf, authorities @ .., last] = chain else { return Err(Problem::ChainShape) };
    if authorities.len() != 3 || last != root.der() {
        return Err(Problem::ChainShape);
    }
    root.valid_at(at)?;
    let mut issuer = root.clone();
    for der in authorities.iter().rev() {
        issuer = match known.iter().find(|authority| authority.der() == der.as_slice()) {
            Some(authority) => authority.clone(),
            None => {
                let authority = Authority::below(&issuer, &Certificate::parse(der)?, at)?;
                known.push(authority.clone());
                authority
            }
        };
    }
    let leaf = Certificate::parse(leaf)?;
    leaf.end_entity()?;
    leaf.valid_at(at)?;
    leaf.issued_by(&issuer)?;
    Ok(leaf)
}

/// A firmware identity that the report states must be the one of the certificate.
fn check_firmware_id(leaf: &Certificate<'_>, stated: Option<&[u8; 48]>) -> Result<()> {
    let Some(stated) = stated else { return Ok(()) };
    let certified = match (leaf.extension(DICE_TCB_INFO), leaf.extension(COMPOSITE_DEVICE_ID)) {
        (Some(content), None) => dice_firmware_id(content),
        (None, Some(content)) => trailing_firmware_id(content),
        _ => None,
    };
    if certified == Some(stated) {
        return Ok(());
    }
    Err(Error::new(Code::GpuFirmwareId)
        .at(FIRMWARE_ID)
        .expected(certified.map_or_else(String::new, |id| hex::short(id)))
        .found(hex::short(stated)))
}

/// The first firmware identity of a DiceTcbInfo; it must be a SHA-384 digest.
fn dice_firmware_id(content: &[u8]) -> Option<&[u8; 48]> {
    let mut info = Der::new(content).inside(der::SEQUENCE)?;
    while let Some(field) = info.value() {
        if field.tag == FIRMWARE_IDS {
            let mut first = Der::new(field.content).inside(der::SEQUENCE)?;
            return if first.expect(der::OID)? == SHA384 {
                first.expect(der::OCTET_STRING)?.try_into().ok()
            } else {
                None
            };
        }
    }
    None
}

/// The OCTET STRING of 48 bytes that ends a composite device id.
fn trailing_firmware_id(content: &[u8]) -> Option<&[u8; 48]> {
    let (head, id) = content.split_last_chunk::<48>()?;
    head.ends_with(&[der::OCTET_STRING, 48]).then_some(id)
}

fn architecture(chip: &str) -> Architecture {
    match chip {
        _ if chip.starts_with("GH") => Architecture::Hopper,
        _ if chip.starts_with("GB") => Architecture::Blackwell,
        "LS_10" => Architecture::Ls10,
        _ => Architecture::Other,
    }
}

pub(super) fn malformed(context: &str) -> Error {
    Error::new(Code::GpuEvidenceMalformed).at(PARSE).context(context)
}

fn nonce_error(expected: &[u8; 32], found: &[u8]) -> Error {
    Error::new(Code::GpuNonceMismatch).at(NONCE).expected(hex::short(expected)).found(hex::short(found))
}

fn chain_error(problem: Problem) -> Error {
    Error::new(Code::GpuChain).at(CHAIN).context(problem.to_string())
}
