//! One TDX quote (`protocols/attestation.md` 2), and the steps that a provider's node shares with it.

use super::Rules;
use super::collateral::CollateralPool;
use crate::attest::tdx::rules::{Finding, TdxExpectations};
use crate::attest::{self, TrustRoots, tdx};
use crate::claims::{DstackClaims, TdxClaims, Verified};
use crate::crypto;
use crate::error::{Code, Error, Result};
use crate::evidence::TdxCollateral;
use crate::policy::{Appraisal, Bare, Policy, References, Subject, time};
use crate::report::{Check, Platform, Report, Roots};
use crate::wire::hex;

/// Appraises a TDX quote as of `at` (seconds since 1970-01-01T00:00:00Z) by the `tdx` and `software` parts of a policy. `collateral` may
/// hold sets for other platforms too.
///
/// The error, when the verdict is not `verified`, has the code of the first check that counts and did not pass, and carries the report.
/// Collateral that is missing or not current makes the verdict `indeterminate`.
pub fn appraise_tdx(
    quote: &[u8],
    collateral: &[TdxCollateral],
    expected: &TdxExpectations,
    policy: &Policy,
    roots: &TrustRoots,
    at: u64,
) -> (Report, Result<()>) {
    appraise(quote, collateral, expected, &Rules { policy, roots, at, recheck: None })
}

pub(crate) fn appraise(
    quote: &[u8],
    collateral: &[TdxCollateral],
    expected: &TdxExpectations,
    by: &Rules<'_>,
) -> (Report, Result<()>) {
    let mut appraisal = Appraisal::new(by.policy);
    by.note_recheck(&mut appraisal);
    let pool = CollateralPool::new(collateral, by.roots, by.at);
    let claims = check_quote(&mut appraisal, &pool, "", by.policy, quote);
    let mut not_proven =
        vec!["Anything about now: this judges a quote as it was given, and nothing is sent.".to_owned()];
    if let Some(claims) = &claims {
        judge(&mut appraisal, claims, expected, by.policy);
        open_points(expected, by.policy, &mut not_proven);
    }
    let (report, accepted) = appraisal.conclude(Subject {
        provider: "tdx",
        model: "(hardware evidence)",
        base_url: "",
        key: None,
        hardware: "Intel TDX",
        bare: Some(Bare::Enclave(claims.as_ref().map(|claims| statement(claims)).unwrap_or_default())),
        roots: if by.roots.is_custom() { Roots::Custom } else { Roots::Vendor },
        who_can_read: Vec::new(),
        not_proven,
        evidence_sha256: Some(hex::encode(&crypto::sha256(&[quote]))),
        at: by.at,
        inputs_expire: claims.as_ref().map_or(0, |claims| expires(claims)),
    });
    (report, accepted.map(drop))
}

/// Applies the caller's expectations and the policy's reference values.
fn judge(appraisal: &mut Appraisal<'_>, claims: &TdxClaims, expected: &TdxExpectations, policy: &Policy) {
    let findings = expected.evaluate(claims);
    // A value that the host chose says nothing about what runs.
    let measured = |finding: &Finding| {
        finding.check == "tdx.policy.mr_td" || finding.check.starts_with("tdx.policy.rtmr")
    };
    let named: Vec<bool> =
        findings.iter().filter(|finding| measured(finding)).map(|finding| finding.passed).collect();
    for finding in findings {
        list(appraisal, "", finding);
    }
    if expected.report_data.is_none() {
        let check = Check::not_checked("", "tdx.policy.report_data", "no report data is expected");
        appraisal.advisory(check);
    }
    check_reference(appraisal, claims, &named, policy);
}

/// Whether the software is one that was named: by the caller, by the policy, or by both.
fn check_reference(appraisal: &mut Appraisal<'_>, claims: &TdxClaims, named: &[bool], policy: &Policy) {
    const ID: &str = "software.reference";
    let references = policy.references();
    if references.is_empty() && named.is_empty() {
        let check = Check::not_checked("", ID, "no measurement is named");
        if policy.require_reference() {
            appraisal.enforced(check, None);
        } else {
            appraisal.advisory(check);
        }
        return;
    }
    match compare(references, claims, None) {
        // What the caller named and is not there has failed already, under its own name.
        Ok(_) if named.contains(&false) => {}
        Ok(_) => appraisal.pass("", ID),
        Err(error) => appraisal.fail("", ID, error),
    }
}

/// What stays open although the checks passed, in words.
fn open_points(expected: &TdxExpectations, policy: &Policy, out: &mut Vec<String>) {
    let names_software = expected.mr_td.is_some() || expected.rtmr.iter().any(Option::is_some);
    if expected.report_data.is_none() {
        out.push(
            "What the quote was made for: no report data was expected, so it can be a replay.".to_owned(),
        );
    }
    if !names_software && policy.references().is_empty() {
        out.push("What runs in the guest: no measurement was named to compare with.".to_owned());
    } else if expected.rtmr.iter().any(Option::is_none) && policy.references().rtmr.iter().any(Vec::is_empty)
    {
        out.push(
            "All of what runs in the guest: some of its registers were not compared with anything."
                .to_owned(),
        );
    }
    out.push(
        "That nobody took the keys out of the machine with physical access: no list of known machines was given."
            .to_owned(),
    );
}

fn statement(claims: &TdxClaims) -> String {
    format!(
        "quote of an Intel TDX guest with MRTD {}, report data {}",
        hex::short(&claims.body.mr_td),
        hex::short(&claims.body.report_data),
    )
}

/// The first second in which an input is not to be used any more.
fn expires(claims: &TdxClaims) -> u64 {
    claims.collateral_expires_at.min(claims.pck.not_after)
}

/// Verifies a quote and lists each step; then applies the policy's rules to what it says.
pub(crate) fn check_quote(
    appraisal: &mut Appraisal<'_>,
    pool: &CollateralPool<'_>,
    scope: &str,
    policy: &Policy,
    quote: &[u8],
) -> Option<Verified<TdxClaims>> {
    let result = pool.verify(quote);
    let failed = result
        .as_ref()
        .err()
        .map(|error| (error, tdx::position(error.check().unwrap_or_default(), error.code()).unwrap_or(0)));
    appraisal.steps(scope, quote_steps(), failed);
    let claims = result.ok()?;
    for finding in tdx::rules::evaluate(&claims, policy.tdx()) {
        list(appraisal, scope, finding);
    }
    facts(appraisal, scope, &claims);
    Some(claims)
}

fn list(appraisal: &mut Appraisal<'_>, scope: &str, finding: Finding) {
    if finding.passed {
        appraisal.pass_with(scope, finding.check, finding.found);
    } else {
        let error =
            Error::new(finding.code).at(finding.reason).expected(finding.expected).found(finding.found);
        appraisal.fail(scope, finding.check, error);
    }
}

/// The checks of a quote that are made before the policy's rules.
pub(crate) fn quote_steps() -> &'static [attest::Check] {
    let rules = tdx::CHECKS.iter().position(|check| check.id == "tdx.attributes.debug");
    tdx::CHECKS.get(..rules.unwrap_or(tdx::CHECKS.len())).unwrap_or_default()
}

fn facts(appraisal: &mut Appraisal<'_>, scope: &str, claims: &TdxClaims) {
    let place = scope.trim_end_matches('.');
    appraisal.platform(Platform {
        name: if place.is_empty() { "Intel TDX".to_owned() } else { format!("{place}: Intel TDX") },
        tcb_status: Some(claims.tcb.status.word().to_owned()),
        tcb_date: Some(claims.tcb.tcb_date),
        advisories: claims.tcb.advisories.clone(),
        collateral_issued_at: Some(claims.collateral_issued_at),
        collateral_expires_at: Some(claims.collateral_expires_at),
    });
    let mut fact = |name: &str, value: String| appraisal.fact(format!("{scope}tdx.{name}"), value);
    let body = &claims.body;
    fact("mr_td", hex::encode(&body.mr_td));
    for (i, rtmr) in body.rtmr.iter().enumerate() {
        fact(&format!("rtmr{i}"), hex::encode(rtmr));
    }
    fact("mr_seam", hex::encode(&body.mr_seam));
    fact("mr_config_id", hex::encode(&body.mr_config_id));
    fact("td_attributes", hex::encode(&body.td_attributes));
    fact("xfam", hex::encode(&body.xfam));
    fact("tee_tcb_svn", hex::encode(&body.tee_tcb_svn));
    fact("fmspc", hex::encode(&claims.pck.fmspc));
    fact("ppid", hex::encode(&claims.pck.ppid));
    fact("tcb_status", claims.tcb.status.word().to_owned());
    fact("tcb_date", time::rfc3339(claims.tcb.tcb_date));
    fact("advisories", claims.tcb.advisories.join(" "));
    fact("tcb_evaluation_data_number", claims.tcb.evaluation_number.to_string());
    fact("collateral_issued", time::rfc3339(claims.collateral_issued_at));
    fact("collateral_expires", time::rfc3339(claims.collateral_expires_at));
}

/// The names of the values that were compared and are as expected.
pub(crate) fn compare(
    references: &References,
    claims: &TdxClaims,
    dstack: Option<&DstackClaims>,
) -> Result<Vec<&'static str>> {
    let [rtmr0, rtmr1, rtmr2, rtmr3] = &claims.body.rtmr;
    let [expected0, expected1, expected2, expected3] = &references.rtmr;
    /// Name, accepted values, measured value.
    type Comparison<'a> = (&'static str, &'a [Vec<u8>], Option<&'a [u8]>);
    let measured: [Comparison<'_>; 8] = [
        ("MRTD", &references.mr_td, Some(&claims.body.mr_td)),
        ("RTMR0", expected0, Some(rtmr0)),
        ("RTMR1", expected1, Some(rtmr1)),
        ("RTMR2", expected2, Some(rtmr2)),
        ("RTMR3", expected3, Some(rtmr3)),
        ("compose hash", &references.compose_hash, dstack.map(|dstack| dstack.compose_hash.as_slice())),
        (
            "OS image hash",
            &references.os_image_hash,
            dstack.and_then(|dstack| dstack.os_image_hash.as_ref()).map(|hash| hash.as_slice()),
        ),
        ("app id", &references.app_id, dstack.map(|dstack| dstack.app_id.as_slice())),
    ];
    let mut compared = Vec::new();
    for (name, accepted, found) in measured {
        if accepted.is_empty() {
            continue;
        }
        if found.is_some_and(|found| accepted.iter().any(|value| value == found)) {
            compared.push(name);
            continue;
        }
        let shown: Vec<String> = accepted.iter().map(|value| hex::short(value)).collect();
        // Without a log there is nothing to compare, which is another cause than other software.
        let code = if found.is_some() { Code::MeasurementRefused } else { Code::RequiredEvidenceMissing };
        return Err(Error::new(code)
            .at("software.reference")
            .expected(format!("{name} {}", shown.join(" or ")))
            .found(found.map_or_else(|| "not measured".to_owned(), hex::short)));
    }
    Ok(compared)
}
