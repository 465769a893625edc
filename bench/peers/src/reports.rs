//! An SEV-SNP report and its chain, from bytes, beside the crate `sev`, which checks the signatures and nothing else.

use proveil_bench::measure::{Pair, compare};
use proveil_bench::row::Row;
use proveil_bench::row::Target::AtLeast;
use proveil_bench::snp::{NOW, evidence};
use proveil_core::attest::TrustRoots;
use proveil_core::attest::snp::rules::{self, SnpExpectations, SnpPolicy};
use proveil_core::attest::snp::verify_with_raw_endorsements;
use sev::certs::snp::{Chain, Verifiable};
use sev::firmware::guest::AttestationReport;
use sev::parser::ByteParser;

/// Name, least speedup, and what `sev` was built with.
const PEER: (&str, f64, &str) = if cfg!(feature = "openssl") {
    ("snp.over_sev_openssl", 2.7, "openssl")
} else {
    ("snp.over_sev_pure_rust", 6.0, "crypto_nossl")
};

/// Report and chain; the report under a certificate that was verified.
pub fn rows() -> Vec<Row> {
    let evidence = evidence();
    let (report, given) = (&evidence.report, &evidence.endorsements);
    let roots = TrustRoots::from_json(evidence.trust_roots_json.as_bytes()).expect("good roots");
    let (policy, expected) = (SnpPolicy::default(), SnpExpectations::default());
    let ours = || {
        let claims = verify_with_raw_endorsements(report, given, &roots, NOW).expect("good evidence");
        rules::evaluate(&claims, &policy, &expected)
    };
    let part = |certificate: &Option<Vec<u8>>| certificate.clone().expect("handed over");
    let [root, issuer, vcek] = [&given.root, &given.issuer, &given.vcek].map(part);
    let theirs = || {
        let chain = Chain::from_der(&root, &issuer, &vcek).expect("a chain");
        let report = AttestationReport::from_bytes(report).expect("a report");
        (&chain, &report).verify().expect("good evidence");
    };
    let (name, least, built_with) = PEER;
    let pair: Pair = compare(ours, theirs);
    let times = format!(
        "report, chain and rules {:.0} us; sev with {built_with} {:.0} us",
        pair.ours / 1e3,
        pair.other / 1e3
    );
    vec![Row::new(name, pair.speedup(), "x", AtLeast(least), times)]
}
