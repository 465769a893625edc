//! Writes the forged evidence bundles that every language judges: `cargo run -p proveil-testkit --example evidence_bundles -- DIR`.
//!
//! All roots are thrown away with the process. AMD-shaped keys are new in each run, so a new run gives other bytes with the same verdicts.

#![allow(clippy::expect_used, clippy::print_stdout, reason = "a tool for developers")]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use proveil_core::appraise::{NotFetched, SnpExpectations, TdxExpectations};
use proveil_core::attest::TrustRoots;
use proveil_core::attest::nvidia::Device;
use proveil_core::bundle::{Evidence, EvidenceBundle};
use proveil_core::claims::Product;
use proveil_core::evidence::{GpuEndorsements, TdxCollateral};
use proveil_core::policy::Policy;
use proveil_core::provider::{Provider, ProviderEvidence};
use proveil_testkit::forge::{EnclaveKey, GpuReportSpec, Random, SnpSpec, World, WorldSpec};
use proveil_testkit::sim::{Attestation, Defect, QuoteEncoding, Shape, collateral, models};
use serde_json::{Value, json};

const NOW: u64 = 1_790_000_000;
const NONCE: [u8; 32] = [0xa7; 32];
const REPORT_DATA: [u8; 64] = [0x5d; 64];

/// Everything that the evidence is forged in.
struct Forge {
    random: Random,
    world: World,
    roots: TrustRoots,
}

impl Forge {
    fn new() -> Forge {
        let mut random = Random::from_seed([0xb0; 32]);
        let world = World::generate(&mut random, &WorldSpec { now: NOW, gpus: 1 });
        let roots = TrustRoots::from_json(world.trust_roots_json().as_bytes()).expect("forged roots");
        Forge { random, world, roots }
    }

    fn bundle(&self, evidence: Evidence) -> EvidenceBundle {
        EvidenceBundle::new(evidence, Policy::standard(), self.roots.clone(), NOW)
    }

    fn collateral(&self) -> TdxCollateral {
        let json = collateral(&self.world, &BTreeSet::new()).to_json();
        TdxCollateral::from_json(json.as_bytes()).expect("forged collateral")
    }

    fn provider(&mut self, defects: &[Defect]) -> EvidenceBundle {
        let (key, other_key) =
            (EnclaveKey::generate(&mut self.random), EnclaveKey::generate(&mut self.random));
        let defects: BTreeSet<Defect> = defects.iter().copied().collect();
        let answer = Attestation {
            world: &self.world,
            model: models::find(models::E2EE).expect("a simulated model"),
            key: &key,
            other_key: &other_key,
            nonce: NONCE,
            shape: Shape::Near,
            encoding: QuoteEncoding::Hex,
            quote_version: 4,
            defects: &defects,
        };
        let response = answer.to_text(&mut self.random).into_bytes();
        self.bundle(Evidence::Provider(ProviderEvidence {
            provider: Provider::Venice,
            privatemode: None,
            model: Some(models::E2EE.to_owned()),
            base_url: "https://provider.example/api/v1".to_owned(),
            nonce: NONCE,
            response,
            collateral: vec![self.collateral()],
            collateral_failure: None,
            endorsements: GpuEndorsements::default(),
            not_fetched: NotFetched::NOTHING,
            pin: None,
        }))
    }

    fn tdx(&mut self, change: impl FnOnce(&mut TdxExpectations)) -> EvidenceBundle {
        let quote = self.world.sign_quote(&self.world.quote_spec(5, REPORT_DATA, &mut self.random));
        let body = self.world.guest.body(REPORT_DATA);
        let mut expected = TdxExpectations {
            report_data: Some(REPORT_DATA.to_vec()),
            mr_td: Some(body.mr_td),
            rtmr: body.rtmr.map(Some),
            ..TdxExpectations::default()
        };
        change(&mut expected);
        let collateral = vec![self.collateral()];
        self.bundle(Evidence::Tdx { quote, collateral, expected: Box::new(expected) })
    }

    fn nvidia(&mut self, nonce: [u8; 32]) -> EvidenceBundle {
        let gpus = self.world.gpus.clone();
        let mut device = |gpu| {
            let spec = GpuReportSpec::new(gpu, NONCE, &mut self.random);
            Device { report: spec.sign(gpu), chain: gpu.chain_pem.clone().into_bytes() }
        };
        let devices = gpus.iter().map(&mut device).collect();
        let endorsements = self.world.gpu_endorsements(&NONCE, &mut self.random);
        self.bundle(Evidence::Nvidia { devices, nonce, endorsements })
    }
}

fn snp(change: impl FnOnce(&mut SnpExpectations)) -> EvidenceBundle {
    let evidence = SnpSpec::new(Product::Genoa, &mut Random::from_seed([0xb1; 32]), NOW).with_list().sign();
    let part = |from: usize, to: usize| evidence.report.get(from..to).expect("a whole report");
    let mut expected = SnpExpectations {
        report_data: part(0x50, 0x90).try_into().ok(),
        measurement: part(0x90, 0xc0).try_into().ok(),
        host_data: None,
    };
    change(&mut expected);
    EvidenceBundle::new(
        Evidence::Snp { report: evidence.report.clone(), endorsements: evidence.endorsements, expected },
        Policy::standard(),
        TrustRoots::from_json(evidence.trust_roots_json.as_bytes()).expect("forged roots"),
        NOW,
    )
}

fn main() {
    let dir = PathBuf::from(std::env::args().nth(1).expect("a directory"));
    fs::create_dir_all(&dir).expect("a directory");
    let mut forge = Forge::new();
    let bundles = [
        ("provider-honest", forge.provider(&[]), ("verified", "L2", "")),
        ("provider-tampered-quote", forge.provider(&[Defect::TamperedQuote]), ("refused", "", "PV-225")),
        ("provider-key-swap", forge.provider(&[Defect::KeySwap]), ("refused", "", "PV-212")),
        ("snp-honest", snp(|_| ()), ("verified", "L3", "")),
        ("snp-other-report-data", snp(|e| e.report_data = Some([1; 64])), ("refused", "", "PV-281")),
        ("tdx-honest", forge.tdx(|_| ()), ("verified", "L3", "")),
        ("tdx-nothing-expected", forge.tdx(|e| *e = TdxExpectations::default()), ("verified", "L0", "")),
        ("tdx-other-rtmr3", forge.tdx(|e| e.rtmr[3] = Some([1; 48])), ("refused", "", "PV-260")),
        ("nvidia-honest", forge.nvidia(NONCE), ("verified", "", "")),
        ("nvidia-other-nonce", forge.nvidia([1; 32]), ("refused", "", "PV-215")),
    ];
    let some = |text: &str| if text.is_empty() { Value::Null } else { json!(text) };
    let mut cases = Vec::new();
    for (id, bundle, (verdict, level, code)) in &bundles {
        let file = format!("{id}.json");
        fs::write(dir.join(&file), bundle.to_json() + "\n").expect("a file written");
        cases.push(json!({
            "id": id, "file": file, "kind": bundle.kind(), "at": NOW, "verdict": verdict, "level": some(level), "code": some(code),
        }));
    }
    let index = json!({
        "format": "proveil.evidence-bundles/v1",
        "about": "Each file is judged by its own policy, at its own time, by the trust roots that it names, handed in. Under the vendors' \
                  roots each is refused. Each text of `malformed` is no bundle and has this error.",
        "cases": cases,
        "malformed": [
            { "id": "empty", "text": "", "code": "PV-139" },
            { "id": "another-schema", "text": "{\"schema\":\"proveil.evidence/v2\"}", "code": "PV-139" },
            { "id": "unknown-member", "text": "{\"schema\":\"proveil.evidence/v1\",\"kinds\":\"tdx\"}", "code": "PV-139" },
            { "id": "repeated-member", "text": "{\"schema\":\"proveil.evidence/v1\",\"at\":1,\"at\":2}", "code": "PV-139" },
            { "id": "bad-policy", "text": "{\"schema\":\"proveil.evidence/v1\",\"kind\":\"tdx\",\"at\":1,\"policy\":{}}", "code": "PV-131" },
            {
                "id": "unknown-provider",
                "text": "{\"schema\":\"proveil.evidence/v1\",\"kind\":\"provider\",\"at\":1,\"policy\":{\"schema\":\"proveil.policy/v1\"},\
                         \"provider\":{\"base_url\":\"https://a.example\",\"response\":\"\",\"name\":\"venise\"}}",
                "code": "PV-104",
            },
        ],
    });
    let text = serde_json::to_string_pretty(&index).expect("plain values");
    fs::write(dir.join("index.json"), text + "\n").expect("a file written");
    println!("{} bundles in {}", bundles.len(), dir.display());
}
