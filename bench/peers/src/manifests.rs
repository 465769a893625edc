//! One of NVIDIA's manifests: signature, chain and content, beside the bare verification of its signature by `bergshamra`.

use bergshamra_dsig::DsigContext;
use bergshamra_dsig::verify::verify;
use bergshamra_keys::KeysManager;
use proveil_bench::measure::compare;
use proveil_bench::row::Row;
use proveil_bench::row::Target::AtMost;
use proveil_bench::snp::NOW;
use proveil_core::attest::TrustRoots;
use proveil_core::attest::nvidia::Rim;
use proveil_testkit::forge::{Random, World, WorldSpec};

/// The manifest of a driver, as forged for one GPU.
pub fn rows() -> Vec<Row> {
    let world = World::generate(&mut Random::from_seed([9; 32]), &WorldSpec { now: NOW, gpus: 1 });
    let roots = TrustRoots::from_json(world.trust_roots_json().as_bytes()).expect("good roots");
    let devices: Vec<_> = world.gpus.iter().collect();
    let manifest = world.sign_rim(&world.rim_specs(&devices)[0]).xml;
    let text = std::str::from_utf8(&manifest).expect("text");
    let mut keys = KeysManager::new();
    keys.add_trusted_cert(world.rim.root.der.clone());
    let context = DsigContext::new(keys)
        .with_trusted_keys_only(false)
        .with_verify_keys(true)
        .with_verification_time("2026-09-21T14:13:20Z");
    let theirs = || {
        let result = verify(&context, text).expect("a manifest");
        assert!(result.is_valid(), "{result:?}");
    };
    let ours = || Rim::verify(&manifest, &roots, NOW, false).expect("a good manifest");
    let pair = compare(ours, theirs);
    let times = format!(
        "signature, chain and content of {} bytes {:.2} ms; bergshamra, signature and chain {:.2} ms",
        manifest.len(),
        pair.ours / 1e6,
        pair.other / 1e6
    );
    vec![Row::new("rim.over_bergshamra", pair.ratio(), "x", AtMost(1.2), times)]
}
