//! Verified hardware compared with one reference value of the manifest (`protocols/privatemode.md` 3.3, 3.4). Every test is made, not only
//! up to the first failure.

mod snp;
mod tdx;

use crate::attest::{snp as snp_report, tdx as tdx_quote};
use crate::claims::{ContrastClaims, ContrastHardwareClaims, Manifest};
use crate::error::{Class, Code, Error};

/// What is the same for every reference value.
#[derive(Clone, Copy, Debug)]
pub struct Bound<'a> {
    /// The report data that the hardware must have signed.
    pub report_data: &'a [u8; 64],
    /// The coordinator's policy hash.
    pub coordinator_policy: &'a [u8; 32],
}

/// Result of one test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Id of the check: of [`super::CHECKS`], or of the hardware's module.
    pub check: &'static str,
    /// True when the fact is accepted.
    pub passed: bool,
    /// What was accepted.
    pub expected: String,
    /// What was found.
    pub found: String,
    /// Code of the error when the test failed; a 3xx code means that it could not be made.
    pub code: Code,
}

impl Finding {
    pub(super) fn error(&self) -> Error {
        Error::new(self.code).at(self.check).expected(self.expected.as_str()).found(self.found.as_str())
    }
}

impl From<snp_report::rules::Finding> for Finding {
    fn from(finding: snp_report::rules::Finding) -> Finding {
        let snp_report::rules::Finding { check, passed, advisory, expected, found, code } = finding;
        Finding { check, passed: passed || advisory, expected, found, code }
    }
}

impl From<tdx_quote::rules::Finding> for Finding {
    fn from(finding: tdx_quote::rules::Finding) -> Finding {
        let tdx_quote::rules::Finding { check, passed, expected, found, code, .. } = finding;
        Finding { check, passed, expected, found, code }
    }
}

fn finding(check: &'static str, code: Code, passed: bool, expected: String, found: String) -> Finding {
    Finding { check, passed, expected, found, code }
}

/// Makes every test of the hardware against the reference value at a place of the manifest; `None` when there is no such value.
pub fn evaluate(
    hardware: &ContrastHardwareClaims,
    manifest: &Manifest,
    reference: usize,
    bound: &Bound<'_>,
) -> Option<Vec<Finding>> {
    match hardware {
        ContrastHardwareClaims::Snp(claims) => {
            manifest.snp.get(reference).map(|reference| snp::evaluate(claims, reference, bound))
        }
        ContrastHardwareClaims::Tdx(claims) => {
            manifest.tdx.get(reference).map(|reference| tdx::evaluate(claims, reference, bound))
        }
    }
}

/// Every test that verified claims passed, for a report.
pub fn findings(claims: &ContrastClaims) -> Vec<Finding> {
    let bound = Bound { report_data: &claims.report_data, coordinator_policy: &claims.coordinator_policy };
    evaluate(&claims.hardware, &claims.manifest, claims.reference, &bound).unwrap_or_default()
}

/// The first failure of a list, and its place. What says no comes before what could not be judged.
pub(super) fn first_failure(findings: &[Finding]) -> Option<(usize, &Finding)> {
    let failed = || findings.iter().enumerate().filter(|(_, finding)| !finding.passed);
    let refused = failed().find(|(_, finding)| finding.code.class() != Class::Indeterminate);
    refused.or_else(|| failed().next())
}
