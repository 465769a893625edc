//! SEV-SNP (`protocols/privatemode.md` 3.3). The tests that every guest has are those of [`crate::attest::snp::rules`].

use super::{Bound, Finding, finding};
use crate::attest::contrast::checks;
use crate::attest::contrast::id_block::id_key_digest;
use crate::attest::snp::rules::{SnpExpectations, SnpPolicy, evaluate as evaluate_report};
use crate::claims::{PlatformRules, SnpClaims, SnpReference, TcbParts};
use crate::error::Code;

/// Replaced by the manifest's own minimum, which does not ask for committed firmware, or without a member in manifests.
const NOT_ASKED: [&str; 2] = ["snp.tcb.minimum", "snp.firmware.minimum"];
/// What decides first whether a reference value is the one meant; the others follow in their order.
const FIRST: [&str; 6] =
    ["snp.crl", "snp.report_data", checks::PRODUCT, "snp.measurement", "snp.id_key", "snp.host_data"];
/// Bits of the platform info with a meaning; the others are refused.
const PLATFORM_KNOWN: u64 = 0b1011_1111;

pub(super) fn evaluate(claims: &SnpClaims, reference: &SnpReference, bound: &Bound<'_>) -> Vec<Finding> {
    let id_key = id_key_digest(&reference.measurement, reference.guest_policy.bits());
    let policy = SnpPolicy {
        allow_debug: reference.guest_policy.debug,
        allow_migration_agent: reference.guest_policy.migrate_ma,
        allow_smt: reference.guest_policy.smt,
        allow_cxl: reference.guest_policy.cxl_allowed,
        require_single_socket: reference.guest_policy.single_socket,
        allow_provisional_firmware: true,
        require_alias_check: reference.platform_info.alias_check_complete,
        require_ciphertext_hiding: reference.platform_info.ciphertext_hiding_dram_enabled,
        require_crl: true,
        minimum: Vec::new(),
        chip_ids: reference.chip_ids.iter().map(|chip| chip.to_vec()).collect(),
        // A list that accepts nothing when there is no key: an empty one would accept all.
        id_key_digests: vec![id_key.map(|digest| digest.to_vec()).unwrap_or_default()],
        ..SnpPolicy::default()
    };
    let expected = SnpExpectations {
        report_data: Some(*bound.report_data),
        measurement: Some(reference.measurement),
        host_data: Some(*bound.coordinator_policy),
    };
    let report = evaluate_report(claims, &policy, &expected).into_iter().map(Finding::from);
    let mut findings: Vec<Finding> = report.filter(|finding| !NOT_ASKED.contains(&finding.check)).collect();
    findings.extend([
        product(claims, reference),
        guest_policy(claims, reference),
        platform_info(claims, &reference.platform_info),
        minimum_tcb(claims, &reference.minimum_tcb),
        mitigations(claims, reference.mitigations),
    ]);
    let rank =
        |finding: &Finding| FIRST.iter().position(|first| *first == finding.check).unwrap_or(FIRST.len());
    findings.sort_by_key(rank);
    findings
}

fn product(claims: &SnpClaims, reference: &SnpReference) -> Finding {
    finding(
        checks::PRODUCT,
        Code::SnpProduct,
        claims.product == reference.product,
        reference.product.name().into(),
        claims.product.name().into(),
    )
}

/// Interface version and the bits that must be set if the manifest sets them, or clear if it does not allow them. Migration, debugging, CXL
/// and the socket are tested with the report.
fn guest_policy(claims: &SnpClaims, reference: &SnpReference) -> Finding {
    /// MEM_AES_256_XTS, RAPL_DIS, CIPHERTEXT_HIDING_DRAM, PAGE_SWAP_DISABLE.
    const REQUIRED: u64 = 0b1111 << 22;
    /// SMT, MIGRATE_MA, DEBUG, CXL_ALLOWED.
    const ALLOWED: u64 = 1 << 16 | 1 << 18 | 1 << 19 | 1 << 21;
    let (found, wanted) = (claims.report.policy, reference.guest_policy.bits());
    let version = |bits: u64| (bits >> 8 & 0xff, bits & 0xff);
    let passed = version(found) >= version(wanted)
        && wanted & REQUIRED & !found == 0
        && found & ALLOWED & !wanted == 0;
    finding(
        checks::GUEST_POLICY,
        Code::SnpGuestPolicy,
        passed,
        format!("within {wanted:#x}"),
        format!("{found:#x}"),
    )
}

fn platform_info(claims: &SnpClaims, rules: &PlatformRules) -> Finding {
    let mask = |bits: &[(u32, bool)]| {
        bits.iter().filter(|(_, set)| *set).fold(0_u64, |mask, (place, _)| mask | 1 << place)
    };
    let allowed = mask(&[(0, rules.smt_enabled), (1, rules.tsme_enabled), (7, rules.tio_enabled)]);
    let required = mask(&[
        (2, rules.ecc_enabled),
        (3, rules.rapl_disabled),
        (4, rules.ciphertext_hiding_dram_enabled),
        (5, rules.alias_check_complete),
    ]);
    /// Multithreading, transparent encryption, trusted I/O.
    const RESTRICTED: u64 = 1 | 1 << 1 | 1 << 7;
    let found = claims.report.platform_info;
    let passed = found & !PLATFORM_KNOWN == 0 && found & RESTRICTED & !allowed == 0 && required & !found == 0;
    let expected =
        format!("bits {required:#x} set, of {RESTRICTED:#x} none but {allowed:#x}, no other above 5");
    finding(checks::PLATFORM_INFO, Code::SnpGuestPolicy, passed, expected, format!("{found:#x}"))
}

/// Reported and launch TCB must reach the minimum in every part.
fn minimum_tcb(claims: &SnpClaims, minimum: &TcbParts) -> Finding {
    let text = |tcb: &TcbParts| {
        let TcbParts { bootloader, tee, snp, microcode, .. } = tcb;
        format!("bootloader {bootloader}, tee {tee}, snp {snp}, microcode {microcode}")
    };
    let tcb = &claims.tcb;
    let levels = [("reported", &tcb.reported), ("launch", &tcb.launch)];
    let below = levels.into_iter().find(|(_, parts)| !parts.reaches(minimum));
    let (name, parts) = below.unwrap_or(("reported", &tcb.reported));
    finding(
        "snp.tcb.minimum",
        Code::SnpTcbRefused,
        below.is_none(),
        format!("at least {}", text(minimum)),
        format!("{name} TCB {}", text(parts)),
    )
}

/// A report before version 5 states no mitigations, so none can be asked of it.
fn mitigations(claims: &SnpClaims, wanted: u64) -> Finding {
    let report = &claims.report;
    let (launch, current) = (report.launch_mitigations.unwrap_or(0), report.current_mitigations.unwrap_or(0));
    finding(
        checks::MITIGATIONS,
        Code::SnpTcbRefused,
        launch & wanted == wanted && current & wanted == wanted,
        format!("bits {wanted:#x}"),
        format!("at launch {launch:#x}, now {current:#x}"),
    )
}
