//! A complete throw-away world: both vendors' roots, one platform, one guest with its GPUs.

use proveil_core::claims::DeviceKind;
use proveil_core::evidence::{GpuEndorsements, NrasAnswer, RimDocument};
use proveil_core::wire::json::Json;
use sha2::{Digest, Sha256};

use super::collateral::{Collateral, CollateralSpec};
use super::der;
use super::dstack::{AppSpec, EventLog};
use super::gpu::{Gpu, GpuReportSpec, NvidiaPki, evidence_entry, payload};
use super::intel::{Certified, IntelPki, Platform, PlatformSpec};
use super::keys::EcKey;
use super::nras::{ClaimsVersion, NrasPki, NrasSpec};
use super::ocsp::{self, OcspSpec};
use super::quote::{QuoteSpec, TdBody};
use super::random::Random;
use super::rim::{DRIVER_INDEXES, RimPki, RimSpec, VBIOS_INDEXES};
use super::text::{hex, object, pem, pem_chain, string};
use super::x509::{Attribute, CertificateSpec, Extension, name};

/// How big a world to make.
#[derive(Clone, Debug)]
pub struct WorldSpec {
    /// Unix seconds that everything is valid around.
    pub now: u64,
    /// GPUs of the guest (0 to 16).
    pub gpus: usize,
}

/// The measured guest: what it runs and what it measured at boot.
#[derive(Clone)]
pub struct Guest {
    /// What it was started with.
    pub app: AppSpec,
    /// Its event log.
    pub log: EventLog,
    /// MRTD.
    pub mr_td: [u8; 48],
    /// MRSEAM.
    pub mr_seam: [u8; 48],
    /// The key that signs its quotes.
    pub attestation_key: EcKey,
    /// The guest's TLS certificate under dstack's own CA, PEM.
    pub app_certificate: String,
    /// Key that signs the OHTTP key configuration; it is in no quote, as in the captured answer.
    pub ohttp_key: ed25519_dalek::SigningKey,
    /// OHTTP key configuration (RFC 9458): X25519, HKDF-SHA256, two AEADs.
    pub ohttp_config: Vec<u8>,
}

impl Guest {
    /// A simulated guest.
    pub fn generate(random: &mut Random, app: AppSpec) -> Guest {
        let log = app.boot(random);
        let ohttp_key = ed25519_dalek::SigningKey::from_bytes(&random.bytes());
        let suites = [0, 8, 0, 1, 0, 1, 0, 1, 0, 3];
        Guest {
            log,
            mr_td: random.bytes(),
            mr_seam: random.bytes(),
            attestation_key: EcKey::p256(random),
            app_certificate: app_certificate(random),
            ohttp_config: [[1, 0, 0x20].as_slice(), &random.bytes::<32>(), &suites].concat(),
            ohttp_key,
            app,
        }
    }

    /// The TD report body of this guest with the given report data.
    pub fn body(&self, report_data: [u8; 64]) -> TdBody {
        TdBody {
            mr_seam: self.mr_seam,
            mr_td: self.mr_td,
            mr_config_id: self.app.mr_config_id(),
            rtmr: self.log.registers(),
            ..TdBody::new(report_data)
        }
    }

    /// Signature of the OHTTP key configuration.
    pub fn ohttp_signature(&self) -> [u8; 64] {
        use ed25519_dalek::Signer;
        self.ohttp_key.sign(&self.ohttp_config).to_bytes()
    }

    /// The `info` member: identities of this guest, and copies of the measurements in `body`.
    pub fn info(&self, body: &TdBody, platform: &Platform, gpus: usize) -> Json {
        let compose_hash = hex(&self.app.compose_hash());
        let device_id = hex(&Sha256::digest(platform.spec.ppid));
        let os_image_hash = hex(&self.app.os_image_hash);
        let aggregated = Sha256::new()
            .chain_update(body.mr_td)
            .chain_update(body.rtmr.concat())
            .chain_update(body.mr_config_id)
            .chain_update(body.mr_owner)
            .chain_update(body.mr_owner_config)
            .finalize();
        let [rtmr0, rtmr1, rtmr2, rtmr3] = body.rtmr;
        let tcb_info = object([
            ("app_compose", string(self.app.app_compose.as_str())),
            ("compose_hash", compose_hash.clone()),
            ("device_id", device_id.clone()),
            ("event_log", self.log.to_json()),
            ("mrtd", hex(&body.mr_td)),
            ("os_image_hash", os_image_hash.clone()),
            ("rtmr0", hex(&rtmr0)),
            ("rtmr1", hex(&rtmr1)),
            ("rtmr2", hex(&rtmr2)),
            ("rtmr3", hex(&rtmr3)),
        ]);
        object([
            ("app_cert", string(self.app_certificate.as_str())),
            ("app_id", hex(&self.app.app_id)),
            ("app_name", string(self.app.name.as_str())),
            ("compose_hash", compose_hash),
            ("device_id", device_id),
            ("instance_id", hex(&self.app.instance_id)),
            ("key_provider_info", string(self.app.key_provider.as_str())),
            ("mr_aggregated", hex(&aggregated)),
            ("os_image_hash", os_image_hash),
            ("tcb_info", tcb_info),
            ("vm_config", string(self.app.vm_config(gpus))),
        ])
    }
}

/// dstack gives each guest a TLS certificate under its own CA; it plays no part in verification.
fn app_certificate(random: &mut Random) -> String {
    let authority = EcKey::p256(random);
    let key = EcKey::p256(random);
    let authority_name =
        name(&[(Attribute::Organization, "Dstack"), (Attribute::CommonName, "Dstack App CA")]);
    let spec = |subject: &[u8], key: &EcKey, extensions: Vec<Extension>, serial: [u8; 20]| CertificateSpec {
        serial: serial.to_vec(),
        issuer: authority_name.clone(),
        subject: subject.to_vec(),
        not_before: 157_766_400,
        not_after: u64::MAX,
        spki: key.spki(),
        extensions,
    };
    let client_auth = Extension {
        oid: der::oid(&[2, 5, 29, 37]),
        critical: false,
        value: der::sequence(&[&der::oid(&[1, 3, 6, 1, 5, 5, 7, 3, 2])]),
    };
    let leaf_name = name(&[(Attribute::CommonName, "simulated-guest")]);
    let leaf = spec(&leaf_name, &key, vec![Extension::key_usage_leaf(false), client_auth], random.bytes());
    let root_extensions = vec![Extension::key_usage_ca(true), Extension::basic_constraints(true, None)];
    let root = spec(&authority_name, &authority, root_extensions, random.bytes());
    pem_chain([leaf.sign(&authority).as_slice(), root.sign(&authority).as_slice()])
}

/// Everything that a simulated provider needs, all made at start and gone at the end.
#[derive(Clone)]
pub struct World {
    /// Unix seconds that everything is valid around.
    pub now: u64,
    /// Intel-shaped certificates.
    pub intel: IntelPki,
    /// NVIDIA-shaped certificates.
    pub nvidia: NvidiaPki,
    /// The machine.
    pub platform: Platform,
    /// The guest on it.
    pub guest: Guest,
    /// Its GPUs.
    pub gpus: Vec<Gpu>,
    /// A key that nobody trusts, for defects.
    pub stranger: EcKey,
    /// Signers of reference manifests.
    pub rim: RimPki,
    /// NVIDIA's attestation service.
    pub nras: NrasPki,
}

impl World {
    /// A fresh world; the same generator state and specification give the same one.
    pub fn generate(random: &mut Random, spec: &WorldSpec) -> World {
        let intel = IntelPki::generate(random, spec.now);
        let nvidia = NvidiaPki::generate(random, spec.now);
        let machine = PlatformSpec::current(random, spec.now);
        let platform = intel.platform(random, machine);
        let app = AppSpec::simulated(random);
        let guest = Guest::generate(random, app);
        let gpus = (0..spec.gpus).map(|_| nvidia.gpu(random)).collect();
        let stranger = EcKey::p256(random);
        let rim = RimPki::generate(random, spec.now);
        let nras = NrasPki::generate(random, spec.now);
        World { now: spec.now, intel, nvidia, platform, guest, gpus, stranger, rim, nras }
    }

    /// `proveil.trust-roots/v1`: what a client has to be told to trust this world.
    pub fn trust_roots_json(&self) -> String {
        object([
            ("schema", string("proveil.trust-roots/v1")),
            ("intel_sgx_root_pem", string(pem("CERTIFICATE", &self.intel.root.der))),
            ("nvidia_device_root_pem", string(pem("CERTIFICATE", &self.nvidia.root.der))),
            ("nvidia_rim_root_pem", string(pem("CERTIFICATE", &self.rim.root.der))),
            ("nvidia_nras_issuers_pem", string(pem("CERTIFICATE", &self.nras.intermediate.der))),
        ])
        .to_compact()
    }

    /// Honest collateral for the platform, to be changed before signing.
    pub fn collateral_spec(&self) -> CollateralSpec {
        CollateralSpec::current(&self.intel, &self.platform, self.now)
    }

    /// Honest collateral for the platform.
    pub fn collateral(&self) -> Collateral {
        self.collateral_spec().sign(&self.intel)
    }

    /// Honest collateral in the nine-string form.
    pub fn collateral_json(&self) -> String {
        self.collateral().to_json()
    }

    /// A quote of the guest, to be changed before signing. Version 4 or 5.
    pub fn quote_spec(&self, version: u16, report_data: [u8; 64], random: &mut Random) -> QuoteSpec {
        QuoteSpec::new(version, self.guest.body(report_data), random)
    }

    /// Signs a quote on this world's platform with the guest's attestation key.
    pub fn sign_quote(&self, spec: &QuoteSpec) -> Vec<u8> {
        spec.sign(&self.platform, &self.guest.attestation_key)
    }

    /// Honest manifests for devices of one kind and version: of GPUs the driver's and the firmware's, of switches the firmware's.
    pub fn rim_specs(&self, devices: &[&Gpu]) -> Vec<RimSpec> {
        let Some(first) = devices.first() else { return Vec::new() };
        let product = first.product();
        if first.is_switch() {
            let all: Vec<usize> = (0..first.measurements.len()).collect();
            return vec![RimSpec::new(first.vbios_version, product, "SWITCH", devices, &all)];
        }
        vec![
            RimSpec::new(first.driver_version, product, "GPU", devices, &DRIVER_INDEXES),
            RimSpec::new(first.vbios_version, product, "GPU", devices, &VBIOS_INDEXES),
        ]
    }

    /// Signs a manifest.
    pub fn sign_rim(&self, spec: &RimSpec) -> RimDocument {
        let xml = spec.sign(&self.rim.signer.key, &self.rim.chain()).into_bytes();
        RimDocument { id: None, xml }
    }

    /// Every certificate that OCSP says something about, behind these devices and behind manifests, each with its issuer's.
    fn certificates_behind<'a>(&'a self, devices: &[&'a Gpu]) -> Vec<(&'a Certified, &'a Certified)> {
        let (nvidia, rim) = (&self.nvidia, &self.rim);
        let mut pairs: Vec<(&Certified, &Certified)> =
            devices.iter().map(|device| (&device.boot, &nvidia.provisioner)).collect();
        pairs.push((&nvidia.provisioner, &nvidia.identity));
        pairs.push((&nvidia.identity, &nvidia.root));
        pairs.extend([(&rim.signer, &rim.line), (&rim.line, &rim.product), (&rim.product, &rim.root)]);
        pairs
    }

    /// The same of all devices.
    pub fn certificates_with_status(&self) -> Vec<(&Certified, &Certified)> {
        self.certificates_behind(&self.gpus.iter().collect::<Vec<&Gpu>>())
    }

    /// Honest OCSP answers about every certificate behind these devices and behind manifests.
    pub fn ocsp_specs(
        &self,
        devices: &[&Gpu],
        nonce: &[u8; 32],
        random: &mut Random,
    ) -> Vec<(OcspSpec, EcKey)> {
        let answer = |(subject, issuer): (&Certified, &Certified)| {
            let responder = ocsp::responder(issuer, random, self.now);
            (OcspSpec::new(subject, issuer, &responder, nonce, self.now), responder.key)
        };
        self.certificates_behind(devices).into_iter().map(answer).collect()
    }

    /// Everything that NVIDIA would say of this world's GPUs: manifests, OCSP answers, a token of its attestation service.
    pub fn gpu_endorsements(&self, nonce: &[u8; 32], random: &mut Random) -> GpuEndorsements {
        let devices: Vec<&Gpu> = self.gpus.iter().collect();
        let ocsp_nonce = random.bytes();
        let answers = self.ocsp_specs(&devices, &ocsp_nonce, random);
        let tokens = NrasSpec::new(&self.nras, &devices, nonce, ClaimsVersion::V2, self.now);
        GpuEndorsements {
            rims: self.rim_specs(&devices).iter().map(|spec| self.sign_rim(spec)).collect(),
            ocsp: answers.iter().map(|(spec, key)| spec.sign(key)).collect(),
            ocsp_nonce: Some(ocsp_nonce),
            nras: vec![NrasAnswer {
                kind: DeviceKind::Gpu,
                tokens: tokens.sign(&self.nras.signer.key).to_compact().into_bytes(),
                jwks: self.nras.jwks().to_compact().into_bytes(),
            }],
        }
    }

    /// `evidence_list` with one honest report per GPU.
    pub fn gpu_evidence(&self, nonce: [u8; 32], random: &mut Random) -> Vec<Json> {
        self.gpus
            .iter()
            .map(|gpu| {
                let report = GpuReportSpec::new(gpu, nonce, random).sign(gpu);
                evidence_entry(&gpu.chain_pem, &report, &nonce)
            })
            .collect()
    }

    /// The `nvidia_payload` text with one honest report per GPU.
    pub fn gpu_payload(&self, nonce: [u8; 32], random: &mut Random) -> String {
        payload(&nonce, self.gpu_evidence(nonce, random))
    }
}

/// REPORTDATA of variant A: address, twelve zero bytes, nonce (venice.md 2.3).
pub fn report_data(address: &[u8; 20], nonce: &[u8; 32]) -> [u8; 64] {
    let mut out = [0; 64];
    let parts = address.iter().chain(&[0; 12]).chain(nonce);
    out.iter_mut().zip(parts).for_each(|(to, from)| *to = *from);
    out
}
