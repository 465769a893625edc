//! The crate `sev` judges the same captured and synthetic SEV-SNP reports. It checks the signatures of chain and report and nothing
//! else; where that leads to another verdict than ours, the reason is listed here. Forged reports: testkit/tests/second_opinion_snp.rs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;

use proveil_core::attest::snp::verify_with_raw_endorsements;
use sev::certs::snp::{Chain, Verifiable};
use sev::firmware::guest::AttestationReport;
use sev::parser::ByteParser;
use xtask::evidence::{Group, default_dir, library, snp};

/// Checks of ours that it does not make: what only these refuse, it accepts.
const NOT_ITS_CHECKS: &[(&str, &str)] = &[
    ("snp.sigalgo", "it does not look at the signature algorithm"),
    ("snp.unsigned", "it does not look at the signer info"),
    ("snp.signer_info", "it does not look at the signer info"),
    ("snp.signer_mismatch", "it does not compare the kind of key"),
    ("snp.chain.expired", "it knows no time"),
    ("snp.chain.profile", "it does not look at names, purposes and extensions of certificates"),
    ("snp.chip_id.mismatch", "it does not compare the certificate's chip"),
    ("snp.tcb.mismatch", "it does not compare the certificate's TCB"),
    ("snp.signature_format", "it drops the bytes around the numbers of the signature"),
];

/// Changes of reserved bytes in TCB versions: it verifies the signature over what it read, written anew without them.
const RE_ENCODED: [&str; 2] = ["turin-v5-azure/flip-current_tcb", "milan-v3-vlek-aws/flip-committed_tcb"];

fn theirs(case: &snp::Case) -> Option<()> {
    let endorsements = &case.endorsements;
    let leaf = endorsements.vcek.as_ref().or(endorsements.vlek.as_ref())?;
    let chain = Chain::from_der(endorsements.root.as_ref()?, endorsements.issuer.as_ref()?, leaf).ok()?;
    let report = AttestationReport::from_bytes(&case.report).ok()?;
    (&chain, &report).verify().ok().map(drop)
}

#[test]
fn a_second_verifier_agrees() {
    let dir = default_dir().join("snp");
    if !dir.is_dir() {
        println!("skipped: no captured evidence");
        return;
    }
    let mut compared = 0;
    let mut differing: BTreeMap<String, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for library in library::find(&dir).expect("a readable library") {
        for case in snp::cases(&library).expect("readable cases") {
            // It takes any root that it is given: under the vendors' roots there is nothing to compare.
            if case.group == Group::SyntheticUnderVendorRoots {
                continue;
            }
            compared += 1;
            let ours = verify_with_raw_endorsements(
                &case.report,
                &case.endorsements,
                &case.roots().unwrap(),
                case.at,
            );
            let theirs = theirs(&case).is_some();
            let check = ours.as_ref().err().and_then(|error| error.check()).map(str::to_owned);
            if ours.is_ok() == theirs {
                continue;
            }
            let check = check.unwrap_or_else(|| "we accept".to_owned());
            let listed = theirs && NOT_ITS_CHECKS.iter().any(|(known, _)| *known == check);
            let re_encoded = theirs && RE_ENCODED.contains(&case.id.as_str());
            if !listed && !re_encoded {
                wrong.push(format!("{}: {check}", case.id));
            }
            *differing.entry(check).or_default() += 1;
        }
    }
    println!("{compared} compared, differing by check: {differing:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(compared, 9 + 180 + 39);
    for (check, reason) in NOT_ITS_CHECKS {
        assert!(differing.contains_key(*check), "{check} makes no difference: {reason}");
    }
}

/// `docs/second-opinion.md` lists and explains the same differences.
#[test]
fn differences_are_documented() {
    let page = include_str!("../../docs/second-opinion.md");
    for (check, reason) in NOT_ITS_CHECKS {
        assert!(page.contains(&format!("| `{check}` | {reason} |")), "{check}");
    }
}
