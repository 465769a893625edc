//! Where fuzzing starts: honest inputs of every target, forged with a fixed seed.

use std::collections::BTreeSet;

use proveil_core::appraise::{NotFetched, SnpExpectations, TdxExpectations};
use proveil_core::attest::TrustRoots;
use proveil_core::attest::nvidia::Device;
use proveil_core::bundle::{Evidence, EvidenceBundle};
use proveil_core::claims::Product;
use proveil_core::crypto::secp256k1_public_key;
use proveil_core::evidence::{GpuEndorsements, TdxCollateral};
use proveil_core::policy::Policy;
use proveil_core::provider::{Provider, ProviderEvidence};
use proveil_core::secret::Secret;
use proveil_core::wire::hex;
use proveil_testkit::forge::nras::NrasSpec;
use proveil_testkit::forge::ocsp::{self, CertStatus, OcspSpec};
use proveil_testkit::forge::{
    ClaimsVersion, EnclaveKey, Gpu, GpuReportSpec, Random, SnpEvidence, SnpSpec, World, WorldSpec,
};
use proveil_testkit::sim::envelope;
use proveil_testkit::sim::models::{self, Model};
use proveil_testkit::sim::{Attestation, QuoteEncoding, Shape};

/// When everything is judged, in Unix seconds.
pub const NOW: u64 = 1_790_000_000;
/// The challenge of every answer.
pub const NONCE: [u8; 32] = [0x5a; 32];
/// Private key that the sealed answers are for.
pub const CLIENT_KEY: [u8; 32] = [0x33; 32];

/// The world that the seeds are from.
pub struct Scene {
    /// Roots, platform, guest, one GPU.
    pub world: World,
    /// The model that is asked.
    pub model: &'static Model,
    /// Its enclave's key.
    pub key: EnclaveKey,
}

impl Scene {
    /// The same in every run.
    pub fn new() -> Scene {
        let mut random = Random::from_seed([0x46; 32]);
        let world = World::generate(&mut random, &WorldSpec { now: NOW, gpus: 1 });
        Scene { world, model: &models::MODELS[0], key: EnclaveKey::generate(&mut random) }
    }

    /// A quote for the model's key and the challenge.
    pub fn quote(&self, version: u16) -> Vec<u8> {
        let data = proveil_testkit::forge::world::report_data(&self.key.address(), &NONCE);
        let mut spec = self.world.quote_spec(version, data, &mut Random::from_seed([0x47; 32]));
        spec.padding = 8;
        self.world.sign_quote(&spec)
    }

    /// An answer of the attestation endpoint.
    pub fn answer(&self, shape: Shape, quote_version: u16) -> String {
        Attestation {
            world: &self.world,
            model: self.model,
            key: &self.key,
            other_key: &self.key,
            nonce: NONCE,
            shape,
            encoding: QuoteEncoding::Hex,
            quote_version,
            defects: &BTreeSet::new(),
        }
        .to_text(&mut Random::from_seed([0x48; 32]))
    }
}

impl Default for Scene {
    fn default() -> Scene {
        Scene::new()
    }
}

/// An SEV-SNP report of a pinned issuer's key. The report is the same in every run; its certificates are of this process.
pub fn snp_evidence() -> SnpEvidence {
    SnpSpec::new(Product::Genoa, &mut Random::from_seed([0x4a; 32]), NOW).sign()
}

/// Target, name, content.
pub type Seed = (&'static str, &'static str, Vec<u8>);

/// Every seed.
pub fn all() -> Vec<Seed> {
    let scene = Scene::new();
    let log = scene.world.guest.log.to_json().to_compact();
    let snp = snp_evidence();
    let vcek = snp.endorsements.vcek.clone().unwrap_or_default();
    let mut seeds = vec![
        ("tdx_quote", "v4", scene.quote(4)),
        ("tdx_quote", "v5", scene.quote(5)),
        ("snp_report", "report", snp.report.clone()),
        ("snp_report", "table", [snp.report.as_slice(), &snp.certificate_table()].concat()),
        ("snp_report", "der", [snp.report.as_slice(), &vcek].concat()),
        ("sse_answer", "plain", [&[7], answer("\n").as_slice()].concat()),
        ("sse_answer", "crlf", [&[64], answer("\r\n").as_slice()].concat()),
        ("event_log", "log", log.into_bytes()),
        ("attestation_answer", "near", scene.answer(Shape::Near, 4).into_bytes()),
        ("attestation_answer", "aci", scene.answer(Shape::Aci, 5).into_bytes()),
    ];
    seeds.push(("policy_document", "preset", Policy::strict().to_json().into_bytes()));
    seeds.push(("policy_document", "relaxed", RELAXED_POLICY.to_vec()));
    seeds.push(("pins_file", "two", pins().into_bytes()));
    seeds.extend(super::bodies::seeds());
    seeds.extend(nvidia_seeds(&scene.world));
    seeds.extend(bundle_seeds(&scene, &snp));
    seeds
}

/// A policy as people write one.
const RELAXED_POLICY: &[u8] = br#"{
  "schema": "proveil.policy/v1", "name": "relaxed", "extends": "venice/standard", "not_after": "2030-01-31T00:00:00Z",
  "tdx": { "accepted_tcb_statuses": ["UpToDate", "OutOfDate"], "accepted_advisories": ["INTEL-SA-00837"] },
  "snp": { "minimum": { "milan": null }, "vmpls": [0, 1] },
  "advisory_checks": ["cm.quote"], "enforced_checks": ["gpu.bound"]
}"#;

/// A file of two pins that differ in a value, an event and a line.
fn pins() -> String {
    let pin = |model: &str, byte: &str| {
        let values = format!(r#"{{"tdx.mr_td":"{}"}}"#, byte.repeat(48));
        let digest = byte.repeat(48);
        let canonical = format!(r#"{{"events":[[3,"{digest}"]],"values":{values}}}"#);
        let sha256 = hex::encode(&proveil_core::crypto::sha256(&[canonical.as_bytes()]));
        format!(
            r#"{{"provider":"venice","model":"{model}","base_url":"https://api.example/v1","roots":"vendor","pinned_at":1,
            "sha256":"{sha256}","values":{values},"events":[{{"register":3,"name":"compose-hash","digest":"{digest}","payload":"{byte}"}}],
            "compose":"{{\"docker_compose_file\":\"a\\nb{byte}\"}}"}}"#
        )
    };
    format!(r#"{{"schema":"proveil.pins/v1","pins":[{},{}]}}"#, pin("a", "aa"), pin("b", "bb"))
}

/// Evidence bundles of every kind, with the roots that they were forged under.
fn bundle_seeds(scene: &Scene, snp: &SnpEvidence) -> Vec<Seed> {
    let world = &scene.world;
    let roots = |json: &str| TrustRoots::from_json(json.as_bytes()).unwrap_or_default();
    let collateral: Vec<TdxCollateral> =
        TdxCollateral::from_json(world.collateral_json().as_bytes()).into_iter().collect();
    let mut random = Random::from_seed([0x4c; 32]);
    let device = |gpu: &Gpu| Device {
        report: GpuReportSpec::new(gpu, NONCE, &mut random).sign(gpu),
        chain: gpu.chain_pem.clone().into_bytes(),
    };
    let kinds = [
        Evidence::Provider(ProviderEvidence {
            provider: Provider::Venice,
            privatemode: None,
            model: Some(scene.model.id.to_owned()),
            base_url: "https://provider.example/api/v1".to_owned(),
            nonce: NONCE,
            response: scene.answer(Shape::Aci, 4).into_bytes(),
            collateral: collateral.clone(),
            collateral_failure: None,
            endorsements: GpuEndorsements::default(),
            not_fetched: NotFetched::NOTHING,
            pin: None,
        }),
        Evidence::Snp {
            report: snp.report.clone(),
            endorsements: snp.endorsements.clone(),
            expected: SnpExpectations::default(),
        },
        Evidence::Tdx {
            quote: scene.quote(4),
            collateral,
            expected: Box::new(TdxExpectations {
                report_data: Some(vec![1; 20]),
                ..TdxExpectations::default()
            }),
        },
        Evidence::Nvidia {
            devices: world.gpus.iter().map(device).collect(),
            nonce: NONCE,
            endorsements: GpuEndorsements::default(),
        },
    ];
    let seed = |evidence: Evidence| {
        let kind = evidence.kind();
        let roots =
            roots(&if kind == "snp" { snp.trust_roots_json.clone() } else { world.trust_roots_json() });
        let bundle = EvidenceBundle::new(evidence, Policy::standard(), roots, NOW);
        ("evidence_bundle", kind, bundle.to_json().into_bytes())
    };
    kinds.into_iter().map(seed).collect()
}

/// Those of NVIDIA evidence, all about the world's one GPU.
pub fn nvidia_seeds(world: &World) -> Vec<Seed> {
    let mut random = Random::from_seed([0x4b; 32]);
    let devices: Vec<&Gpu> = world.gpus.iter().collect();
    let mut seeds: Vec<Seed> = Vec::new();
    for gpu in &devices {
        seeds.push(("nvidia_report", "report", GpuReportSpec::new(gpu, NONCE, &mut random).sign(gpu)));
        seeds.push(("nvidia_report", "chain", gpu.chain_pem.clone().into_bytes()));
        // Good, and the same certificate authority's word on another certificate: revoked.
        let issuer = &world.nvidia.provisioner;
        let responder = ocsp::responder(issuer, &mut random, NOW);
        let good = OcspSpec::new(&gpu.boot, issuer, &responder, &NONCE, NOW);
        let mut revoked = OcspSpec::new(issuer, issuer, &responder, &NONCE, NOW);
        revoked.status = CertStatus::Revoked(Some(1));
        seeds.push(("ocsp", "good", good.sign(&responder.key)));
        seeds.push(("ocsp", "revoked", revoked.sign(&responder.key)));
    }
    for (name, spec) in ["driver", "vbios"].into_iter().zip(world.rim_specs(&devices)) {
        seeds.push(("rim", name, world.sign_rim(&spec).xml));
    }
    for (name, version) in [("v2", ClaimsVersion::V2), ("v3", ClaimsVersion::V3)] {
        let tokens = NrasSpec::new(&world.nras, &devices, &NONCE, version, NOW);
        seeds.push(("nras_token", name, tokens.sign(&world.nras.signer.key).to_compact().into_bytes()));
    }
    seeds
}

/// A short sealed answer with everything that a stream can have.
fn answer(eol: &str) -> Vec<u8> {
    let client = secp256k1_public_key(&Secret::take(&mut CLIENT_KEY.clone())).unwrap_or([0; 65]);
    let mut random = Random::from_seed([0x49; 32]);
    let mut seal = |text: &str| envelope::seal(&client, text.as_bytes(), &mut random).unwrap_or_default();
    let chunk = |choices: &str| {
        format!(
            r#"data: {{"id":"chatcmpl-1","object":"chat.completion.chunk","model":"m","choices":[{choices}]}}"#
        )
    };
    let delta = |member: &str, field: &str| {
        chunk(&format!(r#"{{"index":0,"delta":{{"{member}":"{field}"}},"finish_reason":null}}"#))
    };
    let events = [
        ": keep-alive".to_owned(),
        chunk(r#"{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}"#),
        delta("reasoning_content", &seal("th\u{ef}nk")),
        format!("event: message{eol}id: 1{eol}{}", delta("content", &seal("one "))),
        delta("content", &seal("\u{1f600}")),
        chunk(r#"{"index":0,"delta":{},"finish_reason":"stop"}"#),
        r#"data: {"id":"chatcmpl-1","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#
            .to_owned(),
        "data: [DONE]".to_owned(),
    ];
    events.map(|event| format!("{event}{eol}{eol}")).concat().into_bytes()
}
