//! SEV-SNP reports beside the signature checks that they need. Beside other verifiers: bench/peers.

use proveil_core::attest::TrustRoots;
use proveil_core::attest::snp::rules::{self, SnpExpectations, SnpPolicy};
use proveil_core::attest::snp::{VerifiedVek, verify, verify_with_raw_endorsements};
use proveil_core::claims::{Product, SigningKey};
use proveil_testkit::forge::{Random, SnpEvidence, SnpSpec};

use crate::measure::{Pair, compare};
use crate::row::Row;
use crate::row::Target::AtMost;
use crate::signatures::Signed;

/// When everything forged is valid.
pub const NOW: u64 = 1_790_000_000;

/// A report of a Genoa chip with its certificate, the issuer's and the root's.
pub fn evidence() -> SnpEvidence {
    let mut spec = SnpSpec::new(Product::Genoa, &mut Random::from_seed([8; 32]), NOW);
    spec.given.issuer = true;
    spec.given.root = true;
    spec.sign()
}

/// Report, chain and rules; and the report alone under a certificate that is kept.
pub fn rows() -> Vec<Row> {
    let evidence = evidence();
    let SnpEvidence { report, endorsements, .. } = &evidence;
    let roots = TrustRoots::from_json(evidence.trust_roots_json.as_bytes()).expect("good roots");
    let (policy, expected) = (SnpPolicy::default(), SnpExpectations::default());
    let whole = || {
        let claims = verify_with_raw_endorsements(report, endorsements, &roots, NOW).expect("good evidence");
        rules::evaluate(&claims, &policy, &expected)
    };
    let kept = VerifiedVek::verify(endorsements, SigningKey::Vcek, &roots, NOW).expect("a good certificate");
    let under_kept = || {
        let claims = verify(report, &kept, &roots, NOW).expect("a good report");
        rules::evaluate(&claims, &policy, &expected)
    };
    assert_eq!(whole(), under_kept());

    let given = |certificate: &Option<Vec<u8>>| certificate.clone().expect("handed over");
    let [vcek, issuer] = [&endorsements.vcek, &endorsements.issuer].map(given);
    // The issuer is trusted by itself, as AMD's are by default: the root's signature over it is not needed.
    let certified = Signed::certificate(&vcek, &issuer);
    let signed = Signed::snp_report(report, &vcek);
    let chain_and_report = compare(whole, || {
        certified.verify();
        signed.verify();
    });
    let report_alone = compare(under_kept, || signed.verify());
    let row = |name, pair: Pair, what: &str| {
        let times =
            format!("{what} {:.0} us; the signature checks {:.0} us", pair.ours / 1e3, pair.other / 1e3);
        Row::new(name, pair.ratio(), "x", AtMost(1.2), times)
    };
    vec![
        row("snp.over_bare", chain_and_report, "report, chain and rules"),
        row("snp.kept_vcek_over_bare", report_alone, "report and rules under a verified certificate"),
    ]
}
