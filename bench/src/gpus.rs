//! NVIDIA devices, their manifests, and a whole answer of an enclave with eight of them.

use std::collections::BTreeSet;

use proveil_core::attest::TrustRoots;
use proveil_core::attest::nvidia::{self, GpuEvidence};
use proveil_core::evidence::TdxCollateral;
use proveil_core::pki::pem;
use proveil_core::policy::Policy;
use proveil_core::provider::{EvidenceInput, Provider, appraise};
use proveil_core::wire::json::Json;
use proveil_testkit::forge::{EnclaveKey, Random, World, WorldSpec};
use proveil_testkit::sim::models::MODELS;
use proveil_testkit::sim::{Attestation, QuoteEncoding, Shape};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::measure::{Pair, compare_process, compare_wall};
use crate::row::Row;
use crate::row::Target::{AtLeast, AtMost};
use crate::signatures::Signed;
use crate::snp::NOW;

const NONCE: [u8; 32] = [0x5a; 32];
/// P-256 checks in an answer under kept collateral: three of each of two quotes (platform certificate, quoting enclave, quote).
/// Beside them one Ed25519 check, of the OHTTP key configuration.
const P256_CHECKS: usize = 2 * 3;

/// An enclave's machine with some GPUs, and its answer.
pub struct System {
    world: World,
    roots: TrustRoots,
    payload: Json,
    /// The signature checks that the GPUs need: two authorities that they share, and of each the boot ROM's certificate, its own and its
    /// report.
    checks: Vec<Signed>,
}

impl System {
    /// The same in every run.
    pub fn new(gpus: usize) -> System {
        let mut random = Random::from_seed([9; 32]);
        let world = World::generate(&mut random, &WorldSpec { now: NOW, gpus });
        let roots = TrustRoots::from_json(world.trust_roots_json().as_bytes()).expect("good roots");
        let payload = Json::String(world.gpu_payload(NONCE, &mut random));
        let evidence = GpuEvidence::read(Some(&payload)).expect("evidence");
        let mut checks = Vec::new();
        for (i, device) in evidence.devices().iter().enumerate() {
            let chain = pem::certificates(&device.chain).expect("a chain");
            let certificates = if i == 0 { 4 } else { 2 };
            checks.extend(
                chain.windows(2).take(certificates).map(|pair| Signed::certificate(&pair[0], &pair[1])),
            );
            checks.push(Signed::device_report(&device.report, &device.chain));
        }
        assert_eq!(checks.len(), 2 + 3 * gpus);
        System { world, roots, payload, checks }
    }

    fn verify(&self) {
        let evidence = GpuEvidence::read(Some(&self.payload)).expect("evidence");
        let claims = nvidia::verify(&evidence, &NONCE, &self.roots, NOW).expect("good evidence");
        assert_eq!(claims.len(), self.world.gpus.len());
    }

    fn bare(&self) {
        self.checks.iter().for_each(Signed::verify);
    }
}

/// All rows about devices.
pub fn rows() -> Vec<Row> {
    let (one, eight) = (System::new(1), System::new(8));
    let over = |name, pair: Pair, what: &str| {
        let times =
            format!("{what} {:.2} ms; the signature checks {:.2} ms", pair.ours / 1e6, pair.other / 1e6);
        Row::new(name, pair.ratio(), "x", AtMost(1.15), times)
    };
    let of = |system: &System| compare_process(|| system.verify(), || system.bare());
    // On one core: two threads that share the units of one core make each other's CPU time longer.
    let all = on_one_core();
    let (of_one, of_eight, of_answer) = (of(&one), of(&eight), composite(&eight));
    if let Some(all) = all {
        sched_setaffinity(None, &all).expect("the cores from before");
    }
    let each = |pair: Pair, gpus: f64| pair.ours / gpus / 1e6;
    let mut rows = vec![
        over("gpus.one_over_bare", of_one, "one GPU from its payload"),
        over("gpus.eight_over_bare", of_eight, "eight GPUs from their payload, CPU time of all threads"),
        Row::new(
            "gpus.linear",
            each(of_eight, 8.0) / each(of_one, 1.0),
            "x",
            AtMost(1.0),
            "CPU time of each of eight GPUs over that of one alone",
        ),
        over(
            "gpus.composite_over_bare",
            of_answer,
            "Venice answer with two quotes and eight GPUs, collateral kept",
        ),
    ];
    rows.extend(on_two_cores(&eight));
    rows
}

fn composite(system: &System) -> Pair {
    let mut random = Random::from_seed([10; 32]);
    let key = EnclaveKey::generate(&mut random);
    let answer = Attestation {
        world: &system.world,
        model: &MODELS[0],
        key: &key,
        other_key: &key,
        nonce: NONCE,
        shape: Shape::Near,
        encoding: QuoteEncoding::Hex,
        quote_version: 4,
        defects: &BTreeSet::new(),
    }
    .to_text(&mut random);
    let collateral = TdxCollateral::from_json(system.world.collateral_json().as_bytes()).expect("collateral");
    let input = EvidenceInput {
        provider: Provider::Venice,
        model: None,
        response: answer.as_bytes(),
        nonce: NONCE,
        collateral: std::slice::from_ref(&collateral),
    };
    let policy = Policy::standard();
    let chain = pem::certificates(collateral.pck_crl_issuer_chain.as_bytes()).expect("a chain");
    let p256 = Signed::certificate(&chain[0], &chain[1]);
    let ed25519 = Signed::ed25519();
    compare_process(
        || appraise(&input, &policy, &system.roots, NOW).1.expect("a good answer"),
        || {
            (0..P256_CHECKS).for_each(|_| p256.verify());
            ed25519.verify();
            system.bare();
        },
    )
}

/// Keeps to one core; gives the cores from before.
fn on_one_core() -> Option<CpuSet> {
    let all = sched_getaffinity(None).ok()?;
    let first = (0..CpuSet::MAX_CPU).find(|cpu| all.is_set(*cpu))?;
    let mut one = CpuSet::new();
    one.set(first);
    sched_setaffinity(None, &one).ok()?;
    Some(all)
}

/// Wall time on one core against two. The ceiling is what two threads of bare checks reach on this machine.
fn on_two_cores(system: &System) -> Vec<Row> {
    let Ok(all) = sched_getaffinity(None) else { return Vec::new() };
    let usable: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| all.is_set(*cpu)).collect();
    let [first, second, ..] = usable.as_slice() else { return Vec::new() };
    let on = |cpus: &[usize]| {
        let mut set = CpuSet::new();
        cpus.iter().for_each(|cpu| set.set(*cpu));
        sched_setaffinity(None, &set).expect("an own core");
    };
    let speedup = |work: &dyn Fn()| {
        let pair = compare_wall(
            || {
                on(&[*first]);
                work();
            },
            || {
                on(&[*first, *second]);
                work();
            },
        );
        pair.ratio()
    };
    let gpus = speedup(&|| system.verify());
    let halves = speedup(&|| {
        let (ours, theirs) = system.checks.split_at(system.checks.len() / 2);
        std::thread::scope(|scope| {
            scope.spawn(|| theirs.iter().for_each(Signed::verify));
            ours.iter().for_each(Signed::verify);
        });
    });
    sched_setaffinity(None, &all).expect("the cores from before");
    vec![
        Row::new(
            "gpus.two_cores",
            gpus,
            "x",
            AtLeast(1.7),
            "eight GPUs on two cores, times as fast as on one",
        ),
        Row::note(
            "gpus.two_cores_ceiling",
            halves,
            "x",
            "the bare signature checks, half on each of two threads",
        ),
    ]
}
