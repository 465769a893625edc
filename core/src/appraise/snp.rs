//! One SEV-SNP report (`protocols/attestation.md` 1.7).

use super::Rules;
use crate::attest::TrustRoots;
use crate::attest::snp::rules::{self, SnpExpectations};
use crate::attest::snp::{self, SnpClaims, SnpSigner};
use crate::claims::Verified;
use crate::crypto;
use crate::error::{Error, Result};
use crate::evidence::SnpEndorsements;
use crate::policy::{Appraisal, Bare, Policy, Subject, time};
use crate::report::{Check, Report, Roots};
use crate::wire::hex;

/// Bit of the platform info: memory was checked for aliases at boot.
const ALIAS_CHECK: u64 = 1 << 5;

/// Appraises an attestation report of exactly 1184 bytes as of `at` (seconds since 1970-01-01T00:00:00Z).
///
/// The error, when the verdict is not `verified`, has the code of the first check that counts and did not pass, and carries the report.
/// A missing certificate, or a revocation list that is needed and missing or not current, makes the verdict `indeterminate`.
pub fn appraise_snp(
    report: &[u8],
    endorsements: &SnpEndorsements,
    expected: &SnpExpectations,
    policy: &Policy,
    roots: &TrustRoots,
    at: u64,
) -> (Report, Result<()>) {
    appraise(report, endorsements, expected, &Rules { policy, roots, at, recheck: None })
}

pub(crate) fn appraise(
    report: &[u8],
    endorsements: &SnpEndorsements,
    expected: &SnpExpectations,
    by: &Rules<'_>,
) -> (Report, Result<()>) {
    let Rules { policy, roots, at, .. } = *by;
    let mut appraisal = Appraisal::new(policy);
    by.note_recheck(&mut appraisal);
    let claims = verify(&mut appraisal, report, endorsements, roots, at);
    let mut not_proven =
        vec!["Anything about now: this judges a report as it was given, and nothing is sent.".to_owned()];
    if let Some(claims) = &claims {
        judge(&mut appraisal, claims, expected, policy);
        facts(&mut appraisal, claims);
        open_points(claims, expected, policy, &mut not_proven);
    }
    let statement = claims.as_ref().map(|claims| statement(claims)).unwrap_or_default();
    let (report, accepted) = appraisal.conclude(Subject {
        provider: "snp",
        model: "(hardware evidence)",
        base_url: "",
        key: None,
        hardware: "AMD SEV-SNP",
        bare: Some(Bare::Enclave(statement)),
        roots: if roots.is_custom() { Roots::Custom } else { Roots::Vendor },
        who_can_read: Vec::new(),
        not_proven,
        evidence_sha256: Some(hex::encode(&crypto::sha256(&[report]))),
        at,
        inputs_expire: claims.as_ref().map_or(0, |claims| expires(claims)),
    });
    (report, accepted.map(drop))
}

/// Verifies and lists each step.
fn verify(
    appraisal: &mut Appraisal<'_>,
    report: &[u8],
    endorsements: &SnpEndorsements,
    roots: &TrustRoots,
    at: u64,
) -> Option<Verified<SnpClaims>> {
    let result = snp::verify_with_raw_endorsements(report, endorsements, roots, at);
    let place = |error: &Error| error.check().and_then(snp::position).unwrap_or(0);
    appraisal.steps("", snp::steps(), result.as_ref().err().map(|error| (error, place(error))));
    result.ok()
}

/// Applies the policy's rules and the caller's expectations.
fn judge(appraisal: &mut Appraisal<'_>, claims: &SnpClaims, expected: &SnpExpectations, policy: &Policy) {
    let mut named = None;
    for finding in rules::evaluate(claims, policy.snp(), expected) {
        if finding.check == "snp.measurement" {
            named = Some(finding.passed);
        }
        if finding.passed {
            appraisal.pass_with("", finding.check, finding.found);
            continue;
        }
        let error =
            Error::new(finding.code).at(finding.check).expected(finding.expected).found(finding.found);
        if finding.advisory {
            appraisal.advisory(Check::from_error("", finding.check, &error));
        } else {
            appraisal.fail("", finding.check, error);
        }
    }
    if expected.report_data.is_none() {
        let check = Check::not_checked("", "snp.report_data", "no report data is expected");
        appraisal.advisory(check);
    }
    match named {
        Some(true) => appraisal.pass("", "software.reference"),
        Some(false) => {}
        None => {
            let check = Check::not_checked("", "software.reference", "no measurement is named");
            if policy.require_reference() {
                appraisal.enforced(check, None);
            } else {
                appraisal.advisory(check);
            }
        }
    }
}

/// What stays open although the checks passed, in words.
fn open_points(claims: &SnpClaims, expected: &SnpExpectations, policy: &Policy, out: &mut Vec<String>) {
    let mut open = |is_open: bool, words: String| {
        if is_open {
            out.push(words);
        }
    };
    let processor = rules::Processor::of(claims.product, claims.report.cpuid);
    open(
        expected.report_data.is_none(),
        "What the report was made for: no report data was expected, so it can be a replay.".to_owned(),
    );
    open(
        expected.measurement.is_none() && policy.snp().measurements.is_empty(),
        "What runs in the guest: no measurement was named to compare with.".to_owned(),
    );
    open(
        policy.snp().minimum_of(processor).is_none(),
        format!(
            "That known vulnerabilities are patched: the policy has no minimum for {}.",
            processor.name()
        ),
    );
    open(
        claims.report.platform_info & ALIAS_CHECK == 0,
        "That the platform checked its memory for aliases at boot (BadRAM): it does not say so.".to_owned(),
    );
    open(
        matches!(claims.vek.signer, SnpSigner::Provider(_)),
        "Which machine it is: the report is signed with a key that a cloud provider shares among its machines."
            .to_owned(),
    );
    open(
        policy.snp().chip_ids.is_empty(),
        "That nobody took the key out of the chip with physical access: no list of known chips was given."
            .to_owned(),
    );
}

fn statement(claims: &SnpClaims) -> String {
    format!(
        "report of an AMD SEV-SNP guest on {} with measurement {}, report data {}",
        claims.product.name(),
        hex::short(&claims.report.measurement),
        hex::short(&claims.report.report_data),
    )
}

/// The first second in which an input is not to be used any more.
fn expires(claims: &SnpClaims) -> u64 {
    let certificates = claims.vek.not_after.saturating_add(1);
    certificates.min(claims.vek.list_expires_at.unwrap_or(u64::MAX))
}

fn facts(appraisal: &mut Appraisal<'_>, claims: &SnpClaims) {
    let mut fact = |name: &str, value: String| appraisal.fact(format!("snp.{name}"), value);
    let report = &claims.report;
    fact("version", report.version.to_string());
    fact("product", claims.product.name().to_owned());
    if let Some(cpuid) = report.cpuid {
        fact("cpuid", format!("{:02x}-{:02x}-{:02x}", cpuid.family, cpuid.model, cpuid.stepping));
    }
    for (name, bytes) in [
        ("measurement", &report.measurement[..]),
        ("report_data", &report.report_data),
        ("host_data", &report.host_data),
        ("id_key_digest", &report.id_key_digest),
        ("author_key_digest", &report.author_key_digest),
        ("family_id", &report.family_id),
        ("image_id", &report.image_id),
        ("report_id", &report.report_id),
        ("report_id_ma", &report.report_id_ma),
        ("chip_id", &report.chip_id),
    ] {
        fact(name, hex::encode(bytes));
    }
    fact("guest_svn", report.guest_svn.to_string());
    fact("policy", format!("{:#x}", report.policy));
    fact("platform_info", format!("{:#x}", report.platform_info));
    fact("vmpl", report.vmpl.to_string());
    for (name, tcb) in [
        ("reported_tcb", claims.tcb.reported),
        ("current_tcb", claims.tcb.current),
        ("committed_tcb", claims.tcb.committed),
        ("launch_tcb", claims.tcb.launch),
    ] {
        let parts: Vec<String> = tcb.parts().iter().map(|(part, level)| format!("{part}={level}")).collect();
        fact(name, parts.join(" "));
    }
    for (name, version) in
        [("current_version", report.current_version), ("committed_version", report.committed_version)]
    {
        fact(name, format!("{}.{}.{}", version.major, version.minor, version.build));
    }
    for (name, vector) in [
        ("launch_mitigations", report.launch_mitigations),
        ("current_mitigations", report.current_mitigations),
    ] {
        if let Some(vector) = vector {
            fact(name, format!("{vector:#x}"));
        }
    }
    match &claims.vek.signer {
        SnpSigner::Chip(hwid) => fact("vcek_hwid", hex::encode(hwid)),
        SnpSigner::Provider(csp_id) => fact("vlek_csp_id", csp_id.clone()),
    }
    fact("certificate_sha256", hex::encode(&claims.vek.certificate_sha256));
    fact("certificate_not_after", time::rfc3339(claims.vek.not_after));
    if let Some(expires) = claims.vek.list_expires_at {
        fact("revocation_list_expires", time::rfc3339(expires));
    }
    if let Some(number) = &claims.vek.list_number {
        fact("revocation_list_number", hex::encode(number));
    }
}
