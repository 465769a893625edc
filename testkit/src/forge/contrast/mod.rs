//! A Contrast deployment as Privatemode runs it (privatemode.md 3): manifest, coordinator's evidence on AMD's or Intel's hardware, mesh
//! authorities, key service. Every part of the attestation document is a knob of [`DocumentSpec`].

mod manifest;
mod mesh;
mod proto;

pub use manifest::{
    GUEST_POLICY, GUEST_SVN, ManifestSpec, PolicySpec, block_id, id_key_digest, policies, snp_reference,
    tdx_reference,
};
pub use mesh::{MESH_CA_CN, MeshPki, ROOT_CN, dns_names, extended_usage, sign_exchange};
pub use proto::{CRL_KEY, Message, SnpCertificates, snp_attestation, tdx_quote};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proveil_core::claims::Product;
use proveil_core::wire::json::Json;
use sha2::{Digest, Sha256};

use super::intel::Certified;
use super::text::number;
use super::{QuoteSpec, Random, SnpEvidence, SnpSpec, World, WorldSpec, object, string};

/// Object identifier of SEV-SNP evidence as the document has it.
pub const TYPE_SNP: [u64; 5] = [1, 3, 9901, 2, 1];
/// Object identifier of TDX evidence.
pub const TYPE_TDX: [u64; 5] = [1, 3, 9901, 2, 2];

/// What the coordinator runs on.
#[derive(Clone)]
pub enum Hardware {
    /// AMD's: the report's fields, and the signed certificates around it.
    Snp {
        /// The report, changed at will before it is signed.
        spec: Box<SnpSpec>,
        /// Certificates and trust roots; their report is not used.
        evidence: Box<SnpEvidence>,
    },
    /// Intel's.
    Tdx {
        /// Roots, machine and collateral.
        world: Box<World>,
        /// The quote, changed at will before it is signed.
        spec: Box<QuoteSpec>,
    },
}

/// A running deployment.
#[derive(Clone)]
pub struct Deployment {
    /// Unix seconds that everything is valid around.
    pub now: u64,
    /// What the coordinator runs on.
    pub hardware: Hardware,
    /// Its authorities.
    pub mesh: MeshPki,
    /// What the manifest is written from.
    pub manifest: ManifestSpec,
    /// Certificate and key of the key service.
    pub secret_service: Certified,
    /// Certificate and key of another workload of the manifest.
    pub worker: Certified,
}

impl Deployment {
    /// A deployment on a Genoa machine. Takes about two seconds at the first call of a process: AMD's authorities have RSA keys.
    pub fn snp(random: &mut Random, now: u64) -> Deployment {
        Deployment::snp_with(random, now, |_| {})
    }

    /// The same with a change of the machine before its certificates and list are signed; the manifest is written for the changed one.
    pub fn snp_with(random: &mut Random, now: u64, change: impl FnOnce(&mut SnpSpec)) -> Deployment {
        let policies = policies();
        let mut spec = SnpSpec::new(Product::Genoa, random, now).with_list();
        // The coordinator sends its chip's certificate and the list; issuer and root are pinned.
        spec.pin_issuer = true;
        let report = &mut spec.report;
        report.policy = GUEST_POLICY;
        report.guest_svn = GUEST_SVN;
        report.family_id = block_id(1);
        report.image_id = block_id(2);
        report.platform_info = 0x24;
        report.mitigations = [0x0f, 0x0f];
        report.host_data = policies.first().map(PolicySpec::hash).unwrap_or_default();
        report.id_key_digest = id_key_digest(&report.measurement, GUEST_POLICY);
        change(&mut spec);
        let manifest = ManifestSpec { policies, snp: vec![snp_reference(&spec.report)], tdx: Vec::new() };
        let evidence = Box::new(spec.sign());
        Deployment::on(Hardware::Snp { spec: Box::new(spec), evidence }, manifest, random, now)
    }

    /// A deployment on an Intel machine.
    pub fn tdx(random: &mut Random, now: u64) -> Deployment {
        let policies = policies();
        let world = World::generate(random, &WorldSpec { now, gpus: 0 });
        let mut spec = world.quote_spec(4, [0; 64], random);
        let hash = policies.first().map(PolicySpec::hash).unwrap_or_default();
        spec.body.mr_config_id = [0; 48];
        spec.body.mr_config_id.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
        let reference = tdx_reference(&spec.body, &world.platform.spec.instance_id);
        let manifest = ManifestSpec { policies, snp: Vec::new(), tdx: vec![reference] };
        let hardware = Hardware::Tdx { world: Box::new(world), spec: Box::new(spec) };
        Deployment::on(hardware, manifest, random, now)
    }

    fn on(hardware: Hardware, manifest: ManifestSpec, random: &mut Random, now: u64) -> Deployment {
        let mesh = MeshPki::generate(random, now);
        let mut leaf = |place: usize| {
            let names = manifest.policies.get(place).map(|policy| policy.names.clone()).unwrap_or_default();
            mesh.leaf(random, &names, now)
        };
        let (secret_service, worker) = (leaf(1), leaf(2));
        Deployment { now, hardware, mesh, manifest, secret_service, worker }
    }

    /// `proveil.trust-roots/v1`: what a client has to be told to trust this deployment's hardware.
    pub fn trust_roots_json(&self) -> String {
        match &self.hardware {
            Hardware::Snp { evidence, .. } => evidence.trust_roots_json.clone(),
            Hardware::Tdx { world, .. } => world.trust_roots_json(),
        }
    }

    /// The honest document for a challenge, to be changed before it is signed.
    pub fn document(&self, nonce: &[u8; 32]) -> DocumentSpec {
        let kind = match self.hardware {
            Hardware::Snp { .. } => TYPE_SNP,
            Hardware::Tdx { .. } => TYPE_TDX,
        };
        DocumentSpec {
            nonce: *nonce,
            version: Some("v1.20.0".to_owned()),
            attestation_type: Some(kind.to_vec()),
            manifests: vec![self.manifest.to_bytes()],
            policies: self.manifest.policies.iter().map(|policy| policy.document.clone()).collect(),
            root_ca: self.mesh.root_pem(),
            mesh_ca: self.mesh.mesh_ca_pem(),
            capabilities: None,
            report_data: None,
            hardware: self.hardware.clone(),
            give_vcek: true,
            give_crl: true,
        }
    }

    /// The honest answer of the attestation endpoint to a challenge.
    pub fn answer(&self, nonce: &[u8; 32]) -> Vec<u8> {
        self.document(nonce).answer()
    }

    /// Signature (DER) of the key service under an exchange; its certificate is `self.secret_service.der`.
    pub fn sign_exchange(&self, public_key: &[u8], encapsulated: &[u8]) -> Vec<u8> {
        sign_exchange(&self.secret_service.key, public_key, encapsulated)
    }
}

/// Everything in an attestation document, before the hardware signs.
#[derive(Clone)]
pub struct DocumentSpec {
    /// The client's challenge.
    pub nonce: [u8; 32],
    /// The coordinator's version.
    pub version: Option<String>,
    /// Kind of evidence; older coordinators leave it out.
    pub attestation_type: Option<Vec<u64>>,
    /// Every manifest that was ever set, oldest first.
    pub manifests: Vec<Vec<u8>>,
    /// Policy documents.
    pub policies: Vec<Vec<u8>>,
    /// Root, PEM.
    pub root_ca: String,
    /// Mesh authority, PEM.
    pub mesh_ca: String,
    /// What newer coordinators also bind.
    pub capabilities: Option<Vec<u8>>,
    /// Report data to sign instead of what follows from the members above.
    pub report_data: Option<[u8; 64]>,
    /// What signs.
    pub hardware: Hardware,
    /// Whether the chip's certificate is sent along.
    pub give_vcek: bool,
    /// Whether the revocation list is sent along.
    pub give_crl: bool,
}

impl DocumentSpec {
    /// The report data that follows from the other members (privatemode.md 3.2).
    pub fn bound(&self) -> [u8; 64] {
        let mut transition = [0; 32];
        for manifest in &self.manifests {
            let digest = Sha256::new().chain_update(Sha256::digest(manifest)).chain_update(transition);
            transition = digest.finalize().into();
        }
        let mut digest = Sha256::new()
            .chain_update(self.nonce)
            .chain_update(transition)
            .chain_update(Sha256::digest(&self.root_ca))
            .chain_update(Sha256::digest(&self.mesh_ca));
        if let Some(capabilities) = &self.capabilities {
            digest.update(Sha256::digest(capabilities));
        }
        let mut out = [0; 64];
        out.iter_mut().zip(digest.finalize()).for_each(|(to, from)| *to = from);
        out
    }

    /// The hardware evidence: a protobuf message around a report or quote signed over the report data.
    pub fn raw_attestation(&self) -> Vec<u8> {
        let report_data = self.report_data.unwrap_or_else(|| self.bound());
        match &self.hardware {
            Hardware::Snp { spec, evidence } => {
                let mut spec = spec.clone();
                spec.report.report_data = report_data;
                let given = &evidence.endorsements;
                let with = SnpCertificates {
                    vcek: given.vcek.as_deref().filter(|_| self.give_vcek),
                    ask: given.issuer.as_deref(),
                    ark: given.root.as_deref(),
                    crl: given.crl.as_deref().filter(|_| self.give_crl),
                    product: 2,
                };
                snp_attestation(&spec.sign_report(), &with)
            }
            Hardware::Tdx { world, spec } => {
                let mut spec = spec.clone();
                spec.body.report_data = report_data;
                tdx_quote(&world.sign_quote(&spec))
            }
        }
    }

    /// The document with this hardware evidence instead of what [`DocumentSpec::raw_attestation`] makes.
    pub fn with_raw(&self, raw: &[u8]) -> Vec<u8> {
        let base64 = |bytes: &[u8]| string(STANDARD.encode(bytes));
        let list = |list: &[Vec<u8>]| Json::Array(list.iter().map(|bytes| base64(bytes)).collect());
        let mut members = Vec::new();
        let mut put = |name: &str, value: Json| members.push((name.to_owned(), value));
        if let Some(version) = &self.version {
            put("version", string(version.as_str()));
        }
        put("raw_attestation_doc", base64(raw));
        if let Some(kind) = &self.attestation_type {
            put("attestation_type", Json::Array(kind.iter().map(|arc| number(*arc)).collect()));
        }
        put("manifests", list(&self.manifests));
        put("policies", list(&self.policies));
        put("root_ca", base64(self.root_ca.as_bytes()));
        put("mesh_ca", base64(self.mesh_ca.as_bytes()));
        Json::Object(members).to_compact().into_bytes()
    }

    /// The document, signed.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.with_raw(&self.raw_attestation())
    }

    /// The whole answer of the attestation endpoint, signed.
    pub fn answer(&self) -> Vec<u8> {
        answer(&self.to_bytes())
    }
}

/// The answer that carries a document.
pub fn answer(document: &[u8]) -> Vec<u8> {
    object([("AttestationDoc", string(STANDARD.encode(document)))]).to_compact().into_bytes()
}
