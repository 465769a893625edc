//! Ids of the checks, which are the reason codes of the evidence library, in the order in which they are made.

use crate::attest::Check;

pub(super) const LENGTH: &str = "snp.length";
pub(super) const VERSION: &str = "snp.version";
pub(super) const ALGORITHM: &str = "snp.sigalgo";
pub(super) const RESERVED: &str = "snp.reserved_nonzero";
pub(super) const SIGNER_INFO: &str = "snp.signer_info";
pub(super) const UNSIGNED: &str = "snp.unsigned";
pub(super) const PRODUCT_UNKNOWN: &str = "snp.product.unknown";
pub(super) const VEK_MISSING: &str = "snp.vek.missing";
pub(super) const CHAIN_PARSE: &str = "snp.chain.parse";
pub(super) const CHAIN_ROOT: &str = "snp.chain.root";
pub(super) const CHAIN_SIGNATURE: &str = "snp.chain.signature";
pub(super) const CHAIN_PROFILE: &str = "snp.chain.profile";
pub(super) const CRL_SIGNATURE: &str = "snp.crl.signature";
pub(super) const REVOKED: &str = "snp.chain.revoked";
pub(super) const PRODUCT_MISMATCH: &str = "snp.product.mismatch";
pub(super) const SIGNER_MISMATCH: &str = "snp.signer_mismatch";
pub(super) const SIGNATURE_FORMAT: &str = "snp.signature_format";
pub(super) const SIGNATURE: &str = "snp.signature";
pub(super) const CHAIN_EXPIRED: &str = "snp.chain.expired";
pub(super) const TCB_RESERVED: &str = "snp.tcb.reserved";
pub(super) const TCB_MISMATCH: &str = "snp.tcb.mismatch";
pub(super) const CHIP_ID_MISMATCH: &str = "snp.chip_id.mismatch";
pub(super) const CRL: &str = "snp.crl";
pub(super) const CHIP_ID_HIDDEN: &str = "snp.chip_id.hidden";
pub(super) const TCB_INCONSISTENT: &str = "snp.tcb.inconsistent";
pub(super) const TCB_PROVISIONAL: &str = "snp.tcb.provisional";
pub(super) const TCB_MINIMUM: &str = "snp.tcb.minimum";
pub(super) const FIRMWARE_MINIMUM: &str = "snp.firmware.minimum";
pub(super) const POLICY_RESERVED: &str = "snp.policy.reserved";
pub(super) const DEBUG: &str = "snp.policy.debug";
pub(super) const MIGRATE_MA: &str = "snp.policy.migrate_ma";
pub(super) const SMT: &str = "snp.policy.smt";
pub(super) const CXL: &str = "snp.policy.cxl";
pub(super) const SINGLE_SOCKET: &str = "snp.policy.single_socket";
pub(super) const VMPL: &str = "snp.vmpl";
pub(super) const GUEST_SVN: &str = "snp.guest_svn";
pub(super) const ALIAS_CHECK: &str = "snp.platform.alias_check";
pub(super) const CIPHERTEXT_HIDING: &str = "snp.platform.ciphertext_hiding";
pub(super) const VLEK: &str = "snp.vlek";
pub(super) const CHIP_ALLOWED: &str = "snp.chip_id.allowed";
pub(super) const ID_KEY: &str = "snp.id_key";
pub(super) const AUTHOR_KEY: &str = "snp.author_key";
pub(super) const REPORT_DATA: &str = "snp.report_data";
pub(super) const MEASUREMENT: &str = "snp.measurement";
pub(super) const HOST_DATA: &str = "snp.host_data";

/// Every check of verification and then of [`super::rules`], in order; see [`crate::attest::tdx::CHECKS`] for how failures relate to it.
pub static CHECKS: &[Check] = &[
    check(LENGTH, "The report has exactly 1184 bytes"),
    check(VERSION, "The report has version 2 to 5"),
    check(ALGORITHM, "The signature algorithm is ECDSA P-384 with SHA-384"),
    check(RESERVED, "Reserved bytes of the report are zero"),
    check(SIGNER_INFO, "The report names its signing key in a known way"),
    check(UNSIGNED, "The report is signed"),
    check(PRODUCT_UNKNOWN, "The report is of a processor that has a trusted root"),
    check(VEK_MISSING, "The certificate of the signing key is there"),
    check(CHAIN_PARSE, "The certificates are well-formed"),
    check(CHAIN_ROOT, "The certificates end at the trusted AMD root"),
    check(CHAIN_SIGNATURE, "Each certificate is signed by the next"),
    check(CHAIN_PROFILE, "Each certificate has the form that AMD gives it"),
    check(CRL_SIGNATURE, "The revocation list is well-formed and signed by the root"),
    check(REVOKED, "The issuer of the signing key is not revoked"),
    check(PRODUCT_MISMATCH, "Report and certificate are of the same product"),
    check(SIGNER_MISMATCH, "Report and certificate are of the same kind of key"),
    check(SIGNATURE_FORMAT, "The signature has no bytes that are not part of it"),
    check(SIGNATURE, "The signing key signed the report"),
    check(CHAIN_EXPIRED, "Each certificate is inside its validity"),
    check(TCB_RESERVED, "Reserved bytes of the TCB versions are zero"),
    check(TCB_MISMATCH, "The certificate is for the reported TCB"),
    check(CHIP_ID_MISMATCH, "The certificate is for the report's chip"),
    check(CRL, "It is known that the issuer is not revoked"),
    check(CHIP_ID_HIDDEN, "The report names its chip"),
    check(TCB_INCONSISTENT, "Reported, committed and launch TCB are not above the current one"),
    check(TCB_PROVISIONAL, "The firmware is committed, not provisional"),
    check(TCB_MINIMUM, "The platform reaches the minimum patch levels"),
    check(FIRMWARE_MINIMUM, "The firmware reaches the minimum build and interface version"),
    check(POLICY_RESERVED, "The guest policy has no unknown bits"),
    check(DEBUG, "The guest is not in debug mode"),
    check(MIGRATE_MA, "The guest has no migration agent"),
    check(SMT, "Simultaneous multithreading is as the policy wants it"),
    check(CXL, "CXL devices are as the policy wants them"),
    check(SINGLE_SOCKET, "The guest is bound to one socket if the policy wants it"),
    check(VMPL, "The report was asked for from an accepted privilege level"),
    check(GUEST_SVN, "The guest's security version is at least the minimum"),
    check(ALIAS_CHECK, "The platform checked its memory for aliases if the policy wants it"),
    check(CIPHERTEXT_HIDING, "The platform hides ciphertext if the policy wants it"),
    check(VLEK, "A cloud provider's key is one that the policy names"),
    check(CHIP_ALLOWED, "The chip is one that the policy names, if it names any"),
    check(ID_KEY, "The ID key is one that the policy names, if it names any"),
    check(AUTHOR_KEY, "The author key is one that the policy names, if it names any"),
    check(REPORT_DATA, "The signed report data is the expected one"),
    check(MEASUREMENT, "The measurement is an accepted one"),
    check(HOST_DATA, "The host data is an accepted one"),
];

const fn check(id: &'static str, title: &'static str) -> Check {
    Check { id, title }
}

/// Place in [`CHECKS`] of a check.
pub fn position(id: &str) -> Option<usize> {
    CHECKS.iter().position(|check| check.id == id)
}

/// The checks of verification, without those of [`super::rules`].
pub fn steps() -> &'static [Check] {
    CHECKS.get(..position(CRL).unwrap_or(CHECKS.len())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique() {
        for (i, check) in CHECKS.iter().enumerate() {
            assert_eq!(position(check.id), Some(i));
        }
        assert_eq!(steps().last().map(|check| check.id), Some(CHIP_ID_MISMATCH));
    }
}
