//! The crate `dcap-qvl` judges the same quotes. Where it differs from us, the case is listed here with the reason.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

use dcap_qvl::QuoteCollateralV3;
use dcap_qvl::verify::QuoteVerifier;
use proveil_core::attest::tdx::rules;
use proveil_core::attest::tdx::{TcbStatus, verify_with_raw_collateral};
use proveil_core::evidence::TdxCollateral;
use proveil_core::pki::{pem, roots};
use xtask::evidence::{default_dir, library, tdx};

/// Cases in which the two are meant to differ: end of the id, whether we accept, why.
const DIFFERENCES: &[(&str, bool, &str)] = &[
    ("/flip-cert-type", false, "it does not look at the outer certification data type"),
    ("/qe-auth-64-bytes", true, "Intel allows any length of authentication data; it insists on 32"),
];

/// Tests that it makes too, besides signatures and TCB evaluation. It leaves patch status, XFAM and PERFMON to the caller.
const ITS_RULES: &[&str] = &[
    "tdx.attributes.debug",
    "tdx.attributes.reserved",
    "tdx.attributes.sept_ve_disable",
    "tdx.attributes.migratable",
    "tdx.service_td",
];

/// Status word and advisories of an accepted quote.
type Verdict = Option<(String, Vec<String>)>;

fn ours(case: &tdx::Case) -> Verdict {
    let collateral = TdxCollateral::from_json(case.collateral.to_compact().as_bytes()).ok()?;
    let claims = verify_with_raw_collateral(&case.quote, &collateral, &case.roots().ok()?, case.at).ok()?;
    let refused = rules::evaluate(&claims, &case.policy)
        .iter()
        .any(|finding| !finding.passed && ITS_RULES.contains(&finding.check));
    if refused || claims.tcb.status == TcbStatus::Revoked {
        return None;
    }
    Some((claims.tcb.status.word().into(), claims.tcb.advisories.clone()))
}

fn theirs(case: &tdx::Case) -> Verdict {
    let collateral: QuoteCollateralV3 = serde_json::from_str(&case.collateral.to_compact()).ok()?;
    let root = match &case.root_pem {
        Some(root) => pem::certificates(root.as_bytes()).ok()?.pop()?,
        None => roots::INTEL_SGX.der.to_vec(),
    };
    let report = QuoteVerifier::new(root).verify(&case.quote, &collateral, case.at).ok()?;
    let mut advisories = report.advisory_ids;
    advisories.sort_unstable();
    advisories.dedup();
    Some((report.status, advisories))
}

#[test]
fn a_second_verifier_agrees() {
    let dir = default_dir().join("tdx");
    if !dir.is_dir() {
        println!("skipped: no captured evidence");
        return;
    }
    let mut compared = 0;
    for library in library::find(&dir).expect("a readable library") {
        for case in tdx::cases(&library).expect("readable cases") {
            let (ours, theirs) = (ours(&case), theirs(&case));
            let listed = DIFFERENCES.iter().find(|(end, ..)| case.id.ends_with(end) && ours != theirs);
            match listed {
                Some((_, accept, reason)) => assert_eq!(ours.is_some(), *accept, "{}: {reason}", case.id),
                None => assert_eq!(ours, theirs, "{}", case.id),
            }
            compared += 1;
        }
    }
    assert_eq!(compared, 12 + 124 + 2 * 62);
}

/// `docs/second-opinion.md` lists and explains the same differences. The verdict there is the other verifier's.
#[test]
fn differences_are_documented() {
    let page = include_str!("../../docs/second-opinion.md");
    for (case, we_accept, reason) in DIFFERENCES {
        let verdict = if *we_accept { "refuses" } else { "accepts" };
        assert!(page.contains(&format!("| `{case}` | {verdict} | {reason} |")), "{case}");
    }
}
