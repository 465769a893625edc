//! TDX (`protocols/privatemode.md` 3.4). The tests that every guest has are those of [`crate::attest::tdx::rules`].

use super::{Bound, Finding, finding};
use crate::attest::contrast::checks;
use crate::attest::tdx::rules::{TdxExpectations, TdxPolicy, evaluate as evaluate_quote};
use crate::claims::{SgxType, TcbStatus, TdxClaims, TdxReference};
use crate::error::Code;
use crate::wire::hex;

/// SEPT_VE_DISABLE and nothing else.
const TD_ATTRIBUTES: u64 = 1 << 28;

pub(super) fn evaluate(claims: &TdxClaims, reference: &TdxReference, bound: &Bound<'_>) -> Vec<Finding> {
    let mut config_id = [0; 48];
    config_id.iter_mut().zip(bound.coordinator_policy).for_each(|(to, from)| *to = *from);
    let expected = TdxExpectations {
        report_data: Some(bound.report_data.to_vec()),
        mr_td: Some(reference.mr_td),
        mr_seam: Some(reference.mr_seam),
        mr_config_id: Some(config_id),
        rtmr: reference.rtmrs.map(Some),
        ..TdxExpectations::default()
    };
    let policy = TdxPolicy { min_evaluation_number: reference.min_evaluation_number, ..TdxPolicy::default() };
    // The report data is said first: a report for another challenge is of no reference value.
    let mut values = expected.evaluate(claims);
    values.rotate_right(1);
    let mut findings: Vec<Finding> = values.into_iter().map(Finding::from).collect();
    findings.extend(evaluate_quote(claims, &policy).into_iter().map(Finding::from));
    findings.extend([
        td_attributes(claims),
        xfam(claims, reference),
        tcb_status(claims),
        piid(claims, reference),
    ]);
    findings.extend(platform(claims, reference));
    findings
}

fn td_attributes(claims: &TdxClaims) -> Finding {
    let found = claims.body.td_attributes;
    finding(
        checks::TD_ATTRIBUTES,
        Code::TdAttributes,
        claims.body.td_attribute_bits() == TD_ATTRIBUTES,
        hex::encode(&TD_ATTRIBUTES.to_le_bytes()),
        hex::encode(&found),
    )
}

fn xfam(claims: &TdxClaims, reference: &TdxReference) -> Finding {
    let found = &claims.body.xfam;
    let expected = hex::encode(&reference.xfam);
    finding(checks::XFAM, Code::TdXfam, *found == reference.xfam, expected, hex::encode(found))
}

/// Each of the parts, not only their combination: a current TDX module does not make up for an old platform.
fn tcb_status(claims: &TdxClaims) -> Finding {
    let tcb = &claims.tcb;
    let statuses = [
        ("platform", Some(tcb.platform_status)),
        ("TDX module", tcb.module_status),
        ("quoting enclave", Some(tcb.qe_status)),
        ("together", Some(tcb.status)),
    ];
    let stated = statuses.iter().filter_map(|(name, status)| status.map(|status| (name, status)));
    let found: Vec<String> =
        stated.clone().map(|(name, status)| format!("{name} {}", status.word())).collect();
    let passed = stated.clone().all(|(_, status)| status == TcbStatus::UpToDate);
    finding(
        checks::TCB_STATUS,
        Code::TcbStatusRefused,
        passed,
        TcbStatus::UpToDate.word().into(),
        found.join(", "),
    )
}

fn piid(claims: &TdxClaims, reference: &TdxReference) -> Finding {
    let id = claims.pck.platform_instance_id;
    let any = reference.piids.is_empty();
    let expected =
        if any { "any".to_owned() } else { format!("one of {} platform instances", reference.piids.len()) };
    finding(
        checks::PIID,
        Code::PlatformNotAllowed,
        any || id.is_some_and(|id| reference.piids.contains(&id)),
        expected,
        id.map_or_else(|| "none".to_owned(), |id| hex::short(&id)),
    )
}

/// What the platform's certificate must say if the manifest wants it; what it does not say does not hold.
fn platform(claims: &TdxClaims, reference: &TdxReference) -> [Finding; 3] {
    let pck = &claims.pck;
    let stated = |fact: Option<bool>| match fact {
        Some(true) => "yes",
        Some(false) => "no",
        None => "not stated",
    };
    let fact = |check, wanted: bool, holds: bool, expected: &str, found: String| {
        let expected = if wanted { expected } else { "any" };
        finding(check, Code::PlatformNotAllowed, holds || !wanted, expected.into(), found)
    };
    [
        fact(
            checks::MEMORY_INTEGRITY,
            reference.memory_integrity,
            pck.sgx_type == Some(SgxType::ScalableWithIntegrity),
            "memory with integrity",
            format!("{:?}", pck.sgx_type),
        ),
        fact(
            checks::SMT_DISABLED,
            reference.smt_disabled,
            pck.smt_enabled == Some(false),
            "multithreading off",
            format!("multithreading: {}", stated(pck.smt_enabled)),
        ),
        fact(
            checks::STATIC_PLATFORM,
            reference.static_platform,
            pck.dynamic_platform == Some(false),
            "a static platform",
            format!("dynamic: {}", stated(pck.dynamic_platform)),
        ),
    ]
}
