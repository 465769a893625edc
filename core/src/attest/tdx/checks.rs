//! Ids of the checks, which are the reason codes of the evidence library, in the order in which they are made.

use crate::attest::Check;
use crate::claims::TcbStatus;
use crate::error::Code;

pub(super) const PARSE: &str = "tdx.parse";
pub(super) const VERSION: &str = "tdx.version";
pub(super) const ATT_KEY_TYPE: &str = "tdx.att_key_type";
pub(super) const TEE_TYPE: &str = "tdx.tee_type";
pub(super) const QE_VENDOR: &str = "tdx.qe_vendor";
pub(super) const CERT_TYPE: &str = "tdx.cert_type";
pub(super) const PCK_CHAIN: &str = "tdx.pck_chain";
pub(super) const PCK_EXTENSION: &str = "tdx.pck_extension";
pub(super) const QE_REPORT_SIGNATURE: &str = "tdx.qe_report_signature";
pub(super) const AK_BINDING: &str = "tdx.ak_binding";
pub(super) const QUOTE_SIGNATURE: &str = "tdx.quote_signature";
pub(super) const TCB_SIGNING_CHAIN: &str = "tdx.tcb_signing_chain";
pub(super) const TCB_INFO_SIGNATURE: &str = "tdx.tcb_info_signature";
pub(super) const QE_IDENTITY_SIGNATURE: &str = "tdx.qe_identity_signature";
pub(super) const TCB_FORMAT: &str = "tdx.tcb.format";
pub(super) const UNKNOWN_STATUS: &str = "tdx.tcb.unknown_status";
pub(super) const NOT_YET_VALID: &str = "tdx.collateral.not_yet_valid";
pub(super) const EXPIRED: &str = "tdx.collateral.expired";
pub(super) const CRL: &str = "tdx.crl";
pub(super) const FMSPC: &str = "tdx.fmspc";
pub(super) const PCEID: &str = "tdx.pceid";
pub(super) const PCK_REVOKED: &str = "tdx.pck_revoked";
pub(super) const NO_MATCHING_LEVEL: &str = "tdx.tcb.no_matching_level";
pub(super) const MODULE_UNKNOWN: &str = "tdx.module.unknown";
pub(super) const MODULE_SIGNER: &str = "tdx.module.mrsigner";
pub(super) const MODULE_ATTRIBUTES: &str = "tdx.module.attributes";
pub(super) const QE_IDENTITY: &str = "tdx.qe_identity";
pub(super) const PADDING: &str = "tdx.padding";
pub(super) const DEBUG: &str = "tdx.attributes.debug";
pub(super) const RESERVED: &str = "tdx.attributes.reserved";
pub(super) const SEPT_VE_DISABLE: &str = "tdx.attributes.sept_ve_disable";
pub(super) const MIGRATABLE: &str = "tdx.attributes.migratable";
pub(super) const PERFMON: &str = "tdx.attributes.perfmon";
pub(super) const XFAM: &str = "tdx.xfam";
pub(super) const SERVICE_TD: &str = "tdx.service_td";
pub(super) const TCB_STATUS: &str = "tdx.tcb.status";
pub(super) const EVALUATION_NUMBER: &str = "tdx.tcb.evaluation_number";
pub(super) const PLATFORM: &str = "tdx.platform.allowed";

/// Every check of verification and then of [`super::rules`], in order, except those for expected register values
/// (`tdx.policy.<register>`), which come last.
///
/// When verification fails with [`crate::Error::check`] at one of these, those before it passed and those after it were not
/// reached.
pub static CHECKS: &[Check] = &[
    check(PARSE, "The quote has the exact layout of a TDX quote"),
    check(VERSION, "The quote has version 4 or 5"),
    check(ATT_KEY_TYPE, "The attestation key is ECDSA P-256"),
    check(TEE_TYPE, "The quote is for a TDX trust domain"),
    check(QE_VENDOR, "The quoting enclave's vendor is Intel"),
    check(CERT_TYPE, "The quote carries its certificate chain"),
    check(PCK_CHAIN, "The platform's certificate leads to the trusted Intel root"),
    check(PCK_EXTENSION, "The platform's certificate identifies the platform completely"),
    check(QE_REPORT_SIGNATURE, "The platform signed the quoting enclave's report"),
    check(AK_BINDING, "The quoting enclave vouches for the attestation key"),
    check(QUOTE_SIGNATURE, "The attestation key signed the quote"),
    check(TCB_SIGNING_CHAIN, "The collateral's signer is Intel's TCB signing key"),
    check(TCB_INFO_SIGNATURE, "Intel signed the TCB info"),
    check(QE_IDENTITY_SIGNATURE, "Intel signed the quoting enclave's identity"),
    check(TCB_FORMAT, "The TCB info is of the known kind and form"),
    check(UNKNOWN_STATUS, "The collateral uses known status words only"),
    check(NOT_YET_VALID, "The collateral is valid already"),
    check(EXPIRED, "The collateral has not expired"),
    check(CRL, "The revocation lists are signed and current"),
    check(FMSPC, "The collateral is for this platform type"),
    check(PCEID, "The collateral is for this provisioning enclave"),
    check(PCK_REVOKED, "The platform's certificates are not revoked"),
    check(NO_MATCHING_LEVEL, "The platform is on a level that Intel lists"),
    check(MODULE_UNKNOWN, "The TDX module is one that Intel identifies"),
    check(MODULE_SIGNER, "The TDX module is signed by Intel"),
    check(MODULE_ATTRIBUTES, "The TDX module's attributes are the identified ones"),
    check(QE_IDENTITY, "The quoting enclave is Intel's and not in debug mode"),
    check(PADDING, "Nothing but zeros follows the quote"),
    check(DEBUG, "The TD is not in debug or profiling mode"),
    check(RESERVED, "Reserved TD attributes are zero"),
    check(SEPT_VE_DISABLE, "The host cannot inject faults on the TD's memory (SEPT_VE_DISABLE)"),
    check(MIGRATABLE, "The TD cannot be migrated"),
    check(PERFMON, "The TD does not use performance counters"),
    check(XFAM, "The TD's extended features are in the accepted set"),
    check(SERVICE_TD, "No service TD is bound to the TD"),
    check(TCB_STATUS, "The platform's security patches are current"),
    check(EVALUATION_NUMBER, "The collateral is at least as new as required"),
    check(PLATFORM, "The machine is one that the policy names"),
];

const fn check(id: &'static str, title: &'static str) -> Check {
    Check { id, title }
}

/// Place in [`CHECKS`] of the check at which verification failed, or of a finding's reason. Reasons that name a status
/// (`tdx.tcb.OutOfDate`) belong to `tdx.tcb.status`; `tdx.parse` of signed collateral belongs to its format.
pub fn position(reason: &str, code: Code) -> Option<usize> {
    let status = reason.strip_prefix("tdx.tcb.").and_then(TcbStatus::from_word);
    let id = match (reason, code) {
        _ if status.is_some() => TCB_STATUS,
        (PARSE, Code::CollateralMismatch) => TCB_FORMAT,
        _ => reason,
    };
    CHECKS.iter().position(|check| check.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_found() {
        for (i, check) in CHECKS.iter().enumerate() {
            assert_eq!(position(check.id, Code::QuoteMalformed), Some(i));
        }
        let place = |reason| position(reason, Code::TcbStatusRefused);
        assert_eq!(place("tdx.tcb.Revoked"), place(TCB_STATUS));
        assert_eq!(place("tdx.tcb.Fabulous"), None);
        assert_eq!(position(PARSE, Code::CollateralMismatch), place(TCB_FORMAT));
    }
}
