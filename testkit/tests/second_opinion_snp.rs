//! The crate `sev` judges the same forged evidence. It checks the chain's and the report's signatures; where that leads to another
//! verdict than ours, the defect is listed here with the reason.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

use proveil_core::attest::TrustRoots;
use proveil_core::attest::snp::verify_with_raw_endorsements;
use proveil_core::claims::Product;
use proveil_testkit::forge::{Random, SnpDefect, SnpEvidence, SnpSpec};
use sev::certs::snp::{Chain, Verifiable};
use sev::firmware::guest::AttestationReport;
use sev::parser::ByteParser;

const NOW: u64 = 1_790_000_000;

/// Checks that it does not make, by ours: everything of this check it accepts.
const NOT_ITS_CHECKS: &[(&str, &str)] = &[
    ("snp.sigalgo", "it does not look at the signature algorithm"),
    ("snp.signer_info", "it does not look at the signer info"),
    ("snp.unsigned", "it does not look at the signer info"),
    ("snp.signer_mismatch", "it does not compare the kind of key"),
    ("snp.chain.expired", "it knows no time"),
    ("snp.chain.profile", "it does not look at names, purposes and extensions of certificates"),
    ("snp.chain.root", "it takes the chain as it is given"),
    ("snp.vek.missing", "it is given the certificate in any case"),
    ("snp.crl.signature", "it knows no revocation lists"),
    ("snp.chain.revoked", "it knows no revocation lists"),
    ("snp.product.mismatch", "it does not compare the certificate's product"),
    ("snp.signature_format", "it drops the bytes around the numbers of the signature"),
    ("snp.tcb.mismatch", "it does not compare the certificate's TCB"),
    ("snp.chip_id.mismatch", "it does not compare the certificate's chip"),
];

/// Single defects that do not follow from the lists above: name, whether it accepts, why.
const SINGLE: &[(&str, bool, &str)] = &[
    ("version-6", true, "it reads later versions as version 5"),
    ("version-of-65538", true, "it reads later versions as version 5"),
    ("leaf-pkcs1", false, "it insists on PSS, though not on its parameters"),
    ("issuer-pkcs1", false, "it insists on PSS, though not on its parameters"),
    ("issuer-key-p384", false, "it insists on PSS and RSA"),
    ("leaf-sha256", false, "it hashes with SHA-384 whatever the parameters say"),
    ("leaf-key-p256", false, "it cannot read the key"),
];

fn theirs(evidence: &SnpEvidence, parts: &Parts) -> bool {
    let read = || {
        let chain = Chain::from_der(&parts.root, &parts.issuer, &parts.leaf).ok()?;
        let report = AttestationReport::from_bytes(&evidence.report).ok()?;
        (&chain, &report).verify().ok()
    };
    read().is_some()
}

/// The three certificates, whether or not they are handed over to us.
struct Parts {
    leaf: Vec<u8>,
    issuer: Vec<u8>,
    root: Vec<u8>,
}

fn parts(spec: &SnpSpec) -> Parts {
    let all = spec.clone().with(|s| (s.given.leaf, s.given.issuer, s.given.root) = (true, true, true)).sign();
    let endorsements = all.endorsements;
    Parts {
        leaf: endorsements.vcek.or(endorsements.vlek).unwrap(),
        issuer: endorsements.issuer.unwrap(),
        root: endorsements.root.unwrap(),
    }
}

fn ours(evidence: &SnpEvidence) -> bool {
    let roots = TrustRoots::from_json(evidence.trust_roots_json.as_bytes()).unwrap();
    verify_with_raw_endorsements(&evidence.report, &evidence.endorsements, &roots, NOW).is_ok()
}

#[test]
fn a_second_verifier_agrees_on_honest_evidence() {
    for product in Product::ALL {
        for version in 2..=5 {
            for spec in [
                SnpSpec::new(product, &mut Random::from_seed([3; 32]), NOW),
                SnpSpec::by_provider(product, &mut Random::from_seed([4; 32]), NOW),
            ] {
                // It reads the product of a version 2 report from the form of the chip id, and refuses one that is hidden.
                let version = if spec.report.chip_id == [0; 64] { version.max(3) } else { version };
                let spec = spec.with(|s| s.report.downgrade(version));
                let evidence = spec.sign();
                assert!(ours(&evidence), "{product:?} {version}");
                assert!(theirs(&evidence, &parts(&spec)), "{product:?} {version}");
            }
        }
    }
}

#[test]
fn a_second_verifier_on_every_defect() {
    let honest = SnpSpec::new(Product::Milan, &mut Random::from_seed([5; 32]), NOW).with_list();
    let mut differences = Vec::new();
    for defect in SnpDefect::ALL {
        let spec = honest.clone().with(|spec| defect.apply(spec));
        let evidence = spec.sign();
        let (ours, theirs) = (ours(&evidence), theirs(&evidence, &parts(&spec)));
        let single = SINGLE.iter().find(|(name, ..)| *name == defect.name);
        let skipped = NOT_ITS_CHECKS.iter().any(|(check, _)| *check == defect.check);
        let expected = single.map_or(ours || skipped, |(_, accepts, _)| *accepts);
        if theirs != expected {
            differences.push(format!("{} ({}): ours {ours}, theirs {theirs}", defect.name, defect.check));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// `docs/second-opinion.md` lists and explains the same differences.
#[test]
fn differences_are_documented() {
    let page = include_str!("../../docs/second-opinion.md");
    for (check, reason) in NOT_ITS_CHECKS {
        assert!(page.contains(&format!("| `{check}` | {reason} |")), "{check}");
    }
    for (defect, accepts, reason) in SINGLE {
        let verdict = if *accepts { "accepts" } else { "refuses" };
        assert!(page.contains(&format!("| `{defect}` | {verdict} | {reason} |")), "{defect}");
    }
}
