//! Guest policy, platform info and privilege level (`protocols/attestation.md` 1.3).

use super::{Finding, SnpPolicy, checks, finding};
use crate::claims::SnpClaims;
use crate::error::Code;

/// Bits of the guest policy.
const POLICY_SMT: u64 = 1 << 16;
/// Reserved, must be set.
const POLICY_ONE: u64 = 1 << 17;
const POLICY_MIGRATE_MA: u64 = 1 << 18;
const POLICY_DEBUG: u64 = 1 << 19;
const POLICY_SINGLE_SOCKET: u64 = 1 << 20;
const POLICY_CXL: u64 = 1 << 21;
/// Bits 0 to 25 have a meaning; those above must be clear.
const POLICY_KNOWN: u64 = (1 << 26) - 1;
/// Bits of the platform info. Others are reported and not judged: bit 6 is set on real platforms and in no document.
const PLATFORM_SMT: u64 = 1;
const PLATFORM_CIPHERTEXT_HIDING: u64 = 1 << 4;
const PLATFORM_ALIAS_CHECK: u64 = 1 << 5;

pub(super) fn evaluate(claims: &SnpClaims, policy: &SnpPolicy) -> [Finding; 10] {
    [
        reserved(claims),
        guest_bit(claims, checks::DEBUG, Code::DebugTd, POLICY_DEBUG, policy.allow_debug),
        guest_bit(
            claims,
            checks::MIGRATE_MA,
            Code::SnpGuestPolicy,
            POLICY_MIGRATE_MA,
            policy.allow_migration_agent,
        ),
        smt(claims, policy),
        guest_bit(claims, checks::CXL, Code::SnpGuestPolicy, POLICY_CXL, policy.allow_cxl),
        single_socket(claims, policy),
        vmpl(claims, policy),
        guest_svn(claims, policy),
        platform_bit(claims, checks::ALIAS_CHECK, PLATFORM_ALIAS_CHECK, policy.require_alias_check),
        platform_bit(
            claims,
            checks::CIPHERTEXT_HIDING,
            PLATFORM_CIPHERTEXT_HIDING,
            policy.require_ciphertext_hiding,
        ),
    ]
}

fn policy_text(claims: &SnpClaims) -> String {
    format!("{:#x}", claims.report.policy)
}

fn reserved(claims: &SnpClaims) -> Finding {
    let bits = claims.report.policy;
    let passed = bits & POLICY_ONE != 0 && bits & !POLICY_KNOWN == 0;
    let expected = "policy bit 17 set, bits 26 to 63 clear";
    finding(checks::POLICY_RESERVED, Code::SnpGuestPolicy, passed, expected.into(), policy_text(claims))
}

/// A bit of the guest policy that must be clear unless it is allowed.
fn guest_bit(claims: &SnpClaims, check: &'static str, code: Code, bit: u64, allowed: bool) -> Finding {
    let clear = claims.report.policy & bit == 0;
    let expected = if allowed { "any".into() } else { format!("policy bit {} clear", bit.trailing_zeros()) };
    finding(check, code, clear || allowed, expected, policy_text(claims))
}

/// Without multithreading neither may the guest allow it nor the platform have it.
fn smt(claims: &SnpClaims, policy: &SnpPolicy) -> Finding {
    let clear = claims.report.policy & POLICY_SMT == 0 && claims.report.platform_info & PLATFORM_SMT == 0;
    let expected = if policy.allow_smt { "any" } else { "policy bit 16 and platform bit 0 clear" };
    finding(
        checks::SMT,
        Code::SnpGuestPolicy,
        clear || policy.allow_smt,
        expected.into(),
        format!("policy {}, platform {:#x}", policy_text(claims), claims.report.platform_info),
    )
}

fn single_socket(claims: &SnpClaims, policy: &SnpPolicy) -> Finding {
    let set = claims.report.policy & POLICY_SINGLE_SOCKET != 0;
    let expected = if policy.require_single_socket { "policy bit 20 set" } else { "any" };
    finding(
        checks::SINGLE_SOCKET,
        Code::SnpGuestPolicy,
        set || !policy.require_single_socket,
        expected.into(),
        policy_text(claims),
    )
}

fn vmpl(claims: &SnpClaims, policy: &SnpPolicy) -> Finding {
    let level = claims.report.vmpl;
    let accepted: Vec<String> = policy.vmpls.iter().map(u8::to_string).collect();
    finding(
        checks::VMPL,
        Code::SnpVmpl,
        // The host's own requests carry a number above 3, which no policy can name.
        level <= 3 && policy.vmpls.iter().any(|accepted| u32::from(*accepted) == level),
        accepted.join(" or "),
        level.to_string(),
    )
}

fn guest_svn(claims: &SnpClaims, policy: &SnpPolicy) -> Finding {
    let found = claims.report.guest_svn;
    finding(
        checks::GUEST_SVN,
        Code::SnpGuestPolicy,
        found >= policy.min_guest_svn,
        format!("at least {}", policy.min_guest_svn),
        found.to_string(),
    )
}

/// A bit of the platform info that must be set if it is required.
fn platform_bit(claims: &SnpClaims, check: &'static str, bit: u64, required: bool) -> Finding {
    let bits = claims.report.platform_info;
    let expected = if required { format!("platform bit {} set", bit.trailing_zeros()) } else { "any".into() };
    finding(check, Code::SnpGuestPolicy, bits & bit != 0 || !required, expected, format!("{bits:#x}"))
}
