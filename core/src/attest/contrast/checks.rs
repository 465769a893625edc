//! Ids of the checks that are Contrast's own, in the order in which they are made. Hardware checks keep the ids of their own modules.

use crate::attest::Check;

pub(super) const HISTORY: &str = "contrast.history";
pub(super) const MANIFEST: &str = "contrast.manifest";
pub(super) const MANIFEST_FORM: &str = "contrast.manifest.form";
pub(super) const REFERENCE: &str = "contrast.reference";
pub(super) const PRODUCT: &str = "contrast.product";
pub(super) const GUEST_POLICY: &str = "contrast.guest_policy";
pub(super) const PLATFORM_INFO: &str = "contrast.platform_info";
pub(super) const MITIGATIONS: &str = "contrast.mitigations";
pub(super) const TD_ATTRIBUTES: &str = "contrast.td_attributes";
pub(super) const XFAM: &str = "contrast.xfam";
pub(super) const TCB_STATUS: &str = "contrast.tcb_status";
pub(super) const PIID: &str = "contrast.piid";
pub(super) const MEMORY_INTEGRITY: &str = "contrast.memory_integrity";
pub(super) const SMT_DISABLED: &str = "contrast.smt_disabled";
pub(super) const STATIC_PLATFORM: &str = "contrast.static_platform";
pub(super) const MESH_CA: &str = "contrast.mesh_ca";
pub(super) const SECRET: &str = "contrast.secret";
pub(super) const SECRET_CERTIFICATE: &str = "contrast.secret.certificate";
pub(super) const SECRET_NAMES: &str = "contrast.secret.names";
pub(super) const SECRET_SIGNATURE: &str = "contrast.secret.signature";

/// Every check of this module, in order; [`super::rules`] lists those of the hardware beside them.
pub static CHECKS: &[Check] = &[
    check("contrast.document", "The attestation document has the expected form"),
    check(HISTORY, "The deployment's manifest was set once and never changed"),
    check(MANIFEST, "The deployment's manifest is byte for byte the expected one"),
    check(MANIFEST_FORM, "The manifest is valid"),
    check(REFERENCE, "The manifest has a reference value for this kind of hardware"),
    check(PRODUCT, "The processor is of the manifest's product line"),
    check(GUEST_POLICY, "The guest policy is within the manifest's"),
    check(PLATFORM_INFO, "The platform's state is one that the manifest accepts"),
    check(MITIGATIONS, "The mitigations that the manifest asks for are in force"),
    check(TD_ATTRIBUTES, "The TD has exactly the attributes of a production guest"),
    check(XFAM, "The TD's extended features are the manifest's"),
    check(TCB_STATUS, "Platform, TDX module and quoting enclave are each up to date"),
    check(PIID, "The platform instance is one that the manifest names, if it names any"),
    check(MEMORY_INTEGRITY, "Memory has cryptographic integrity if the manifest wants it"),
    check(SMT_DISABLED, "Multithreading is off if the manifest wants it"),
    check(STATIC_PLATFORM, "No package can be added to the platform if the manifest wants it"),
    check(MESH_CA, "The deployment's authority is a valid one"),
    check(SECRET, "The key service's answer has the expected form"),
    check(SECRET_CERTIFICATE, "The key service's certificate is the deployment's authority's"),
    check(SECRET_NAMES, "The certificate is that of the key service and of no other workload"),
    check(SECRET_SIGNATURE, "The key service signed this exchange"),
];

const fn check(id: &'static str, title: &'static str) -> Check {
    Check { id, title }
}

/// Place in [`CHECKS`] of a check.
pub fn position(id: &str) -> Option<usize> {
    CHECKS.iter().position(|check| check.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique() {
        for (i, check) in CHECKS.iter().enumerate() {
            assert_eq!(position(check.id), Some(i));
        }
    }
}
