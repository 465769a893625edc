//! TDX quotes with collateral, beside the crate `dcap-qvl` with ring.

use std::fs;
use std::path::Path;

use dcap_qvl::QuoteCollateralV3;
use dcap_qvl::verify::QuoteVerifier;
use proveil_core::attest::TrustRoots;
use proveil_core::attest::tdx::rules::{self, TdxPolicy};
use proveil_core::attest::tdx::{VerifiedCollateral, verify, verify_with_raw_collateral};
use proveil_core::evidence::TdxCollateral;
use proveil_core::pki::roots;
use proveil_testkit::forge::{Random, World, WorldSpec};

use crate::measure::{Pair, compare};
use crate::row::Row;
use crate::row::Target::{AtLeast, AtMost};

/// When everything forged is valid.
const NOW: u64 = 1_790_000_000;

/// A quote, what it is verified with, and what the two rows about it are called.
#[derive(Clone)]
struct Sample {
    names: [&'static str; 2],
    quote: Vec<u8>,
    /// The nine-text form.
    collateral: String,
    at: u64,
    roots: TrustRoots,
    root_der: Vec<u8>,
}

/// Forged quotes and, from the directory of captured evidence, if it is there, real ones.
pub fn rows(evidence: &Path) -> Vec<Row> {
    let samples = [forged(), captured(&evidence.join("tdx"))].concat();
    samples.iter().flat_map(rows_of).collect()
}

fn forged() -> Vec<Sample> {
    let mut random = Random::from_seed([7; 32]);
    let world = World::generate(&mut random, &WorldSpec { now: NOW, gpus: 0 });
    let names = [
        (4, ["tdx.forged_v4_over_dcap_qvl", "tdx.forged_v4_kept_collateral"]),
        (5, ["tdx.forged_v5_over_dcap_qvl", "tdx.forged_v5_kept_collateral"]),
    ];
    let sample = |(version, names)| Sample {
        names,
        quote: world.sign_quote(&world.quote_spec(version, [9; 64], &mut random)),
        collateral: world.collateral_json(),
        at: NOW,
        roots: TrustRoots::from_json(world.trust_roots_json().as_bytes()).expect("good roots"),
        root_der: world.intel.root.der.clone(),
    };
    names.into_iter().map(sample).collect()
}

/// The first accepted sample of each version.
fn captured(dir: &Path) -> Vec<Sample> {
    let Ok(index) = fs::read(dir.join("index.json")) else { return Vec::new() };
    let index: serde_json::Value = serde_json::from_slice(&index).expect("JSON");
    let samples = index["samples"].as_array().expect("samples");
    let names = [
        ("v4-", ["tdx.captured_v4_over_dcap_qvl", "tdx.captured_v4_kept_collateral"]),
        ("v5-", ["tdx.captured_v5_over_dcap_qvl", "tdx.captured_v5_kept_collateral"]),
    ];
    let first = |(prefix, names)| {
        let sample = samples.iter().find(|sample| {
            sample["id"].as_str().is_some_and(|id| id.starts_with(prefix))
                && sample["expected"]["verdict"] == "accept"
        })?;
        let file = |role: &str| fs::read(dir.join(sample["files"][role].as_str()?)).ok();
        Some(Sample {
            names,
            quote: file("quote")?,
            collateral: String::from_utf8(file("collateral")?).ok()?,
            at: sample["verify_time"].as_u64()?,
            roots: TrustRoots::vendors(),
            root_der: roots::INTEL_SGX.der.to_vec(),
        })
    };
    names.into_iter().filter_map(first).collect()
}

fn rows_of(sample: &Sample) -> [Row; 2] {
    let [over, kept_name] = sample.names;
    let Sample { quote, roots, at, .. } = sample;
    let collateral = TdxCollateral::from_json(sample.collateral.as_bytes()).expect("good collateral");
    let policy = TdxPolicy::default();
    let raw = || {
        let claims = verify_with_raw_collateral(quote, &collateral, roots, *at).expect("a good quote");
        rules::evaluate(&claims, &policy)
    };
    let kept = VerifiedCollateral::verify(&collateral, roots, *at).expect("good collateral");
    let under_kept = || {
        let claims = verify(quote, &kept, roots, *at).expect("a good quote");
        rules::evaluate(&claims, &policy)
    };
    assert_eq!(raw(), under_kept());
    let theirs: QuoteCollateralV3 = serde_json::from_str(&sample.collateral).expect("good collateral");
    let verifier = QuoteVerifier::new(sample.root_der.clone());
    let dcap = || verifier.verify(quote, &theirs, *at).expect("a good quote");

    let whole = compare(raw, dcap);
    let under = compare(under_kept, dcap);
    let times = |pair: Pair| format!("{:.0} us; dcap-qvl {:.0} us", pair.ours / 1e3, pair.other / 1e3);
    [
        Row::new(
            over,
            whole.ratio(),
            "x",
            AtMost(1.15),
            format!("quote, collateral and rules {}", times(whole)),
        ),
        Row::new(
            kept_name,
            under.speedup(),
            "x",
            AtLeast(2.0),
            format!("quote and rules under verified collateral {}", times(under)),
        ),
    ]
}
