//! Who signed, on which chip, what runs there and for what it was asked.

use super::{Finding, SnpExpectations, SnpPolicy, checks, finding};
use crate::claims::{SnpClaims, SnpSigner};
use crate::error::Code;
use crate::wire::hex;

/// A chip's key is compared with the chip that the report names. When it names none, one chip's report could be shown as another's.
pub(super) fn chip_id_hidden(claims: &SnpClaims, policy: &SnpPolicy) -> Finding {
    let by_chip = matches!(claims.vek.signer, SnpSigner::Chip(_));
    let hidden = claims.report.chip_id_hidden();
    let expected = if by_chip && !policy.allow_hidden_chip_id { "a chip id" } else { "any" };
    let found = if hidden { "none".to_owned() } else { hex::short(&claims.report.chip_id) };
    finding(
        checks::CHIP_ID_HIDDEN,
        Code::SnpCertificateMismatch,
        !hidden || !by_chip || policy.allow_hidden_chip_id,
        expected.into(),
        found,
    )
}

pub(super) fn evaluate(claims: &SnpClaims, policy: &SnpPolicy, expected: &SnpExpectations) -> Vec<Finding> {
    let report = &claims.report;
    let mut findings = vec![
        vlek(claims, policy),
        chip_allowed(claims, policy),
        id_key(claims, policy),
        author_key(claims, policy),
    ];
    if let Some(wanted) = &expected.report_data {
        findings.push(value(
            checks::REPORT_DATA,
            Code::ReportDataMismatch,
            &report.report_data,
            Some(wanted),
            &[],
        ));
    }
    let wanted = expected.measurement.as_ref().map(<[u8; 48]>::as_slice);
    if wanted.is_some() || !policy.measurements.is_empty() {
        let list = &policy.measurements;
        let code = Code::MeasurementRefused;
        findings.push(value(checks::MEASUREMENT, code, &report.measurement, wanted, list));
    }
    let wanted = expected.host_data.as_ref().map(<[u8; 32]>::as_slice);
    if wanted.is_some() || !policy.host_data.is_empty() {
        let list = &policy.host_data;
        findings.push(value(checks::HOST_DATA, Code::MeasurementRefused, &report.host_data, wanted, list));
    }
    findings
}

/// A value that must equal the expected one, if there is one, and one of the list, if it has any.
fn value(check: &'static str, code: Code, found: &[u8], wanted: Option<&[u8]>, list: &[Vec<u8>]) -> Finding {
    let passed = wanted.is_none_or(|wanted| wanted == found) && (list.is_empty() || contains(list, found));
    let accepted: Vec<String> =
        wanted.into_iter().chain(list.iter().map(Vec::as_slice)).map(hex::short).collect();
    finding(check, code, passed, accepted.join(" or "), hex::short(found))
}

fn contains(list: &[Vec<u8>], found: &[u8]) -> bool {
    list.iter().any(|accepted| accepted == found)
}

fn vlek(claims: &SnpClaims, policy: &SnpPolicy) -> Finding {
    let (passed, found) = match &claims.vek.signer {
        SnpSigner::Chip(_) => (true, "a chip's key"),
        SnpSigner::Provider(csp_id) => (policy.csp_ids.contains(csp_id), csp_id.as_str()),
    };
    let expected = if policy.csp_ids.is_empty() {
        "a chip's key".to_owned()
    } else {
        format!("a chip's key or that of {}", policy.csp_ids.join(", "))
    };
    finding(checks::VLEK, Code::PlatformNotAllowed, passed, expected, found.to_owned())
}

/// The only counter to keys taken out of a chip: a list of chips that are known to be in good hands.
fn chip_allowed(claims: &SnpClaims, policy: &SnpPolicy) -> Finding {
    let chip_id = &claims.report.chip_id;
    let hwid = chip_id.get(..claims.product.hwid_len()).unwrap_or_default();
    let listed = contains(&policy.chip_ids, chip_id) || contains(&policy.chip_ids, hwid);
    let any = policy.chip_ids.is_empty();
    let expected = if any { "any".to_owned() } else { format!("one of {} chips", policy.chip_ids.len()) };
    finding(
        checks::CHIP_ALLOWED,
        Code::PlatformNotAllowed,
        any || (listed && !claims.report.chip_id_hidden()),
        expected,
        hex::short(hwid),
    )
}

fn id_key(claims: &SnpClaims, policy: &SnpPolicy) -> Finding {
    digest(checks::ID_KEY, &claims.report.id_key_digest, &policy.id_key_digests, true)
}

/// The digest counts only when the report says that there is an author key; without one it must be zero.
fn author_key(claims: &SnpClaims, policy: &SnpPolicy) -> Finding {
    let report = &claims.report;
    let plausible = report.author_key_enabled || report.author_key_digest == [0; 48];
    let list = &policy.author_key_digests;
    let mut finding = digest(checks::AUTHOR_KEY, &report.author_key_digest, list, plausible);
    if !list.is_empty() && !report.author_key_enabled {
        finding.passed = false;
    }
    finding
}

fn digest(check: &'static str, found: &[u8; 48], list: &[Vec<u8>], plausible: bool) -> Finding {
    let accepted: Vec<String> = list.iter().map(|value| hex::short(value)).collect();
    let expected = if list.is_empty() { "any".to_owned() } else { accepted.join(" or ") };
    let passed = plausible && (list.is_empty() || contains(list, found));
    finding(check, Code::MeasurementRefused, passed, expected, hex::short(found))
}
