//! Names of every check on NVIDIA evidence, in the order in which they are made (`attestation.md` 3.1 to 3.6).

use crate::attest::Check;

pub(super) const MISSING: &str = "gpu.missing";
pub(super) const PARSE: &str = "gpu.parse";
pub(super) const SPDM: &str = "gpu.spdm";
pub(super) const NONCE: &str = "gpu.nonce";
pub(super) const CHAIN: &str = "gpu.chain";
pub(super) const SIGNATURE: &str = "gpu.signature";
pub(super) const OPAQUE: &str = "gpu.opaque";
pub(super) const FIRMWARE_ID: &str = "gpu.fwid";
pub(super) const DUPLICATE: &str = "gpu.duplicate";

pub(super) const RIM_XML: &str = "gpu.rim.xml";
pub(super) const RIM_REFERENCE: &str = "gpu.rim.reference";
pub(super) const RIM_ALGORITHM: &str = "gpu.rim.algorithm";
pub(super) const RIM_CHAIN: &str = "gpu.rim.chain";
pub(super) const RIM_EXPIRED: &str = "gpu.rim.expired";
pub(super) const RIM_SIGNATURE: &str = "gpu.rim.signature";
pub(super) const RIM_SCHEMA: &str = "gpu.rim.schema";
pub(super) const RIM_PRESENT: &str = "gpu.rim.present";
pub(super) const RIM_VERSION: &str = "gpu.rim.version";
pub(super) const RIM_INDEX_CONFLICT: &str = "gpu.rim.index_conflict";
pub(super) const MEASUREMENTS: &str = "gpu.measurements";

pub(super) const TOPOLOGY: &str = "gpu.topology";
pub(super) const OCSP: &str = "gpu.ocsp";

pub(super) const NRAS_TOKEN: &str = "gpu.nras.token";
pub(super) const NRAS_ALG: &str = "gpu.nras.alg";
pub(super) const NRAS_KID: &str = "gpu.nras.kid";
pub(super) const NRAS_CHAIN: &str = "gpu.nras.chain";
pub(super) const NRAS_SIGNATURE: &str = "gpu.nras.signature";
pub(super) const NRAS_ISSUER: &str = "gpu.nras.issuer";
pub(super) const NRAS_NOT_YET_VALID: &str = "gpu.nras.not_yet_valid";
pub(super) const NRAS_EXPIRED: &str = "gpu.nras.expired";
pub(super) const NRAS_NONCE: &str = "gpu.nras.nonce";
pub(super) const NRAS_OVERALL: &str = "gpu.nras.overall_false";
pub(super) const NRAS_SUBMODS: &str = "gpu.nras.submods";
pub(super) const NRAS_DIGEST: &str = "gpu.nras.digest";
pub(super) const NRAS_CLAIMS: &str = "gpu.nras.claims";
pub(super) const NRAS_EVIDENCE: &str = "gpu.nras.evidence";

/// Checks of the devices' own evidence, in order; see [`crate::attest::tdx::CHECKS`] for how failures relate to it.
pub static CHECKS: &[Check] = &[
    Check { id: MISSING, title: "There is GPU evidence" },
    Check { id: PARSE, title: "Each report has the exact layout of a measurement report" },
    Check { id: SPDM, title: "Each report is a signed SPDM 1.1 answer with every block once" },
    Check { id: NONCE, title: "Each device answered our nonce" },
    Check { id: CHAIN, title: "Each device's certificate leads to the trusted NVIDIA root" },
    Check { id: SIGNATURE, title: "Each device signed its report" },
    Check { id: OPAQUE, title: "Each device's signed details have known forms" },
    Check { id: FIRMWARE_ID, title: "Each device runs the firmware that its certificate was made for" },
    Check { id: DUPLICATE, title: "No device is presented twice" },
];

/// Checks of the reference manifests and of the devices against them, in order.
pub static RIM_CHECKS: &[Check] = &[
    Check { id: RIM_XML, title: "Each reference manifest is strict XML without DTD and entities" },
    Check { id: RIM_REFERENCE, title: "Its one signature covers the whole document" },
    Check { id: RIM_ALGORITHM, title: "It is signed with the expected algorithms" },
    Check { id: RIM_CHAIN, title: "Its signer's certificate leads to the trusted NVIDIA root" },
    Check { id: RIM_EXPIRED, title: "Its signer's certificates are valid at this time" },
    Check { id: RIM_SIGNATURE, title: "Its signature and digest are right" },
    Check { id: RIM_SCHEMA, title: "Its content has the form of a reference manifest" },
    Check { id: RIM_PRESENT, title: "There is a manifest for the driver and firmware of every device" },
    Check { id: RIM_VERSION, title: "Each manifest is for the device's product and version" },
    Check { id: RIM_INDEX_CONFLICT, title: "No measurement is claimed by two manifests" },
    Check { id: MEASUREMENTS, title: "Every device's measurements equal NVIDIA's reference values" },
];

/// Checks of an answer of NVIDIA's attestation service, in order.
pub static NRAS_CHECKS: &[Check] = &[
    Check { id: NRAS_TOKEN, title: "The attestation service's answer has the documented form" },
    Check { id: NRAS_ALG, title: "Its tokens are signed with ES384" },
    Check { id: NRAS_KID, title: "Their key is in the service's key list" },
    Check { id: NRAS_CHAIN, title: "That key's certificate leads to the pinned NVIDIA authority" },
    Check { id: NRAS_SIGNATURE, title: "The overall token's signature is right" },
    Check { id: NRAS_ISSUER, title: "The issuer is NVIDIA's attestation service" },
    Check { id: NRAS_NOT_YET_VALID, title: "The token is valid already" },
    Check { id: NRAS_EXPIRED, title: "The token has not expired" },
    Check { id: NRAS_NONCE, title: "The token answers our nonce" },
    Check { id: NRAS_OVERALL, title: "NVIDIA calls the evidence as a whole right" },
    Check { id: NRAS_SUBMODS, title: "It speaks of exactly the devices that were presented" },
    Check { id: NRAS_DIGEST, title: "The overall token names the digest of every device token" },
    Check { id: NRAS_CLAIMS, title: "NVIDIA calls every part of every device's evidence right" },
    Check { id: NRAS_EVIDENCE, title: "Each device token is about a device that was verified here" },
];

/// The place in a list of the check that an error names; anything unexpected counts as the first.
pub fn position(checks: &[Check], reason: &str) -> usize {
    checks.iter().position(|check| check.id == reason).unwrap_or(0)
}
