//! A forged system of GPUs (and switches) and its appraisal, for the tests of NVIDIA evidence.

#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::unwrap_used)]

use proveil_core::Error;
use proveil_core::appraise::{NvidiaInput, appraise_nvidia};
use proveil_core::attest::TrustRoots;
use proveil_core::attest::nvidia::{self, Device, GpuClaims, GpuEvidence};
use proveil_core::claims::{DeviceKind, Verified};
use proveil_core::evidence::{GpuEndorsements, NrasAnswer};
use proveil_core::policy::Policy;
use proveil_core::report::{Check, Enforcement, Outcome, Report};
use proveil_core::wire::json::Json;
use proveil_testkit::forge::{
    ClaimsVersion, Gpu, GpuReportSpec, Model, NrasSpec, Random, RimSpec, World, WorldSpec,
};

/// When everything is judged, in Unix seconds.
pub const NOW: u64 = 1_790_000_000;
/// The challenge.
pub const NONCE: [u8; 32] = [0x6e; 32];

/// A world, its roots, and a source for what is made later.
pub struct System {
    pub world: World,
    pub roots: TrustRoots,
    pub random: Random,
}

impl System {
    /// Hopper GPUs without switches.
    pub fn new(gpus: usize) -> System {
        let mut random = Random::from_seed([0x4e; 32]);
        let world = World::generate(&mut random, &WorldSpec { now: NOW, gpus });
        System::of(world, random)
    }

    /// GPUs and switches in protected PCIe mode that name each other; the switches come last.
    pub fn protected(gpus: usize, switches: usize) -> System {
        let mut system = System::new(gpus);
        let mut devices: Vec<Gpu> = system.world.gpus.clone();
        let nvidia = system.world.nvidia.clone();
        let mut links: Vec<Gpu> =
            (0..switches).map(|_| nvidia.device(&mut system.random, Model::Ls10)).collect();
        let switch_ids: Vec<[u8; 8]> = links.iter().map(|switch| switch.pdi).collect();
        let gpu_ids: Vec<[u8; 8]> = devices.iter().map(|gpu| gpu.pdi).collect();
        devices.iter_mut().for_each(|gpu| gpu.links.clone_from(&switch_ids));
        links.iter_mut().for_each(|switch| switch.links.clone_from(&gpu_ids));
        devices.extend(links);
        system.world.gpus = devices;
        system
    }

    /// The same with other devices.
    pub fn of(world: World, random: Random) -> System {
        let roots = TrustRoots::from_json(world.trust_roots_json().as_bytes()).expect("forged roots");
        System { world, roots, random }
    }

    /// The devices of one kind.
    pub fn devices(&self, switches: bool) -> Vec<&Gpu> {
        self.world.gpus.iter().filter(|device| device.is_switch() == switches).collect()
    }

    /// Honest evidence of every device.
    pub fn evidence(&mut self) -> Vec<Device> {
        let gpus = self.world.gpus.clone();
        gpus.iter().map(|gpu| self.device(gpu, |_| ())).collect()
    }

    /// One device's evidence with a change before signing.
    pub fn device(&mut self, gpu: &Gpu, change: impl FnOnce(&mut GpuReportSpec)) -> Device {
        let mut spec = GpuReportSpec::new(gpu, NONCE, &mut self.random);
        change(&mut spec);
        Device { report: spec.sign(gpu), chain: gpu.chain_pem.clone().into_bytes() }
    }

    /// The verified claims of every device.
    pub fn claims(&mut self) -> Vec<Verified<GpuClaims>> {
        let evidence = GpuEvidence::of_devices(self.evidence()).unwrap();
        nvidia::verify(&evidence, &NONCE, &self.roots, NOW).unwrap()
    }

    /// Honest manifests, OCSP answers and tokens for every device.
    pub fn endorsements(&mut self) -> GpuEndorsements {
        let mut all = GpuEndorsements { ocsp_nonce: Some([0x0c; 32]), ..GpuEndorsements::default() };
        let mut random = self.random.fork();
        let devices: Vec<&Gpu> = self.world.gpus.iter().collect();
        for (spec, key) in self.world.ocsp_specs(&devices, &[0x0c; 32], &mut random) {
            all.ocsp.push(spec.sign(&key));
        }
        for switches in [false, true] {
            let devices = self.devices(switches);
            if devices.is_empty() {
                continue;
            }
            all.rims.extend(self.rims(switches).iter().map(|spec| self.world.sign_rim(spec)));
            all.nras.push(self.answer(switches, &self.nras(switches, ClaimsVersion::V2)));
        }
        all
    }

    pub fn rims(&self, switches: bool) -> Vec<RimSpec> {
        self.world.rim_specs(&self.devices(switches))
    }

    pub fn nras(&self, switches: bool, version: ClaimsVersion) -> NrasSpec {
        NrasSpec::new(&self.world.nras, &self.devices(switches), &NONCE, version, NOW)
    }

    pub fn answer(&self, switches: bool, spec: &NrasSpec) -> NrasAnswer {
        self.answer_of(switches, &spec.sign(&self.world.nras.signer.key))
    }

    pub fn answer_of(&self, switches: bool, tokens: &Json) -> NrasAnswer {
        NrasAnswer {
            kind: if switches { DeviceKind::Switch } else { DeviceKind::Gpu },
            tokens: tokens.to_compact().into_bytes(),
            jwks: self.world.nras.jwks().to_compact().into_bytes(),
        }
    }

    /// The appraisal of this system's evidence.
    pub fn appraise(&mut self, endorsements: &GpuEndorsements, policy: &Policy) -> (Report, Option<Error>) {
        let devices = self.evidence();
        self.appraise_at(&devices, endorsements, policy, NOW)
    }

    pub fn appraise_at(
        &self,
        devices: &[Device],
        endorsements: &GpuEndorsements,
        policy: &Policy,
        at: u64,
    ) -> (Report, Option<Error>) {
        let input = NvidiaInput { devices, nonce: &NONCE, endorsements };
        let (report, result) = appraise_nvidia(&input, policy, &self.roots, at);
        (report, result.err())
    }
}

/// A policy whose `gpu` member is this.
pub fn policy(gpu: &str) -> Policy {
    let document = format!("{{\"schema\":\"proveil.policy/v1\",\"gpu\":{gpu}}}");
    Policy::from_json(document.as_bytes()).unwrap_or_else(|error| panic!("{gpu}: {error}"))
}

/// The strictest that a bare system can meet.
pub fn everything() -> Policy {
    policy(r#"{"require_measurements":true,"require_rim":true,"require_ocsp":true,"nras":"required"}"#)
}

/// The one check with this id.
pub fn check<'r>(report: &'r Report, id: &str) -> &'r Check {
    let found: Vec<&Check> = report.checks().iter().filter(|check| check.id() == id).collect();
    assert_eq!(found.len(), 1, "{id} in {}", report.to_text());
    found[0]
}

/// Outcome of a check, or `None` when it is not listed.
pub fn outcome(report: &Report, id: &str) -> Option<(Outcome, Enforcement)> {
    let found = report.checks().iter().find(|check| check.id() == id);
    found.map(|check| (check.outcome(), check.enforcement()))
}
