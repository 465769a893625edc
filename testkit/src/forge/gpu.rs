//! NVIDIA-shaped GPU evidence: device certificate chain and SPDM 1.1 measurement report (attestation.md 3.1, 3.2): Hopper and Blackwell
//! GPUs, LS10 switches.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proveil_core::wire::json::Json;

use super::der;
use super::intel::Certified;
use super::keys::EcKey;
use super::random::Random;
use super::text::{object, pem_chain, string};
use super::x509::{Attribute, CertificateSpec, Extension, name};

/// Common name of the root.
pub const ROOT_CN: &str = "NVIDIA Device Identity CA";
/// Measurement blocks of a GPU report.
pub const BLOCKS: u8 = 64;
/// Measurement blocks of a switch report.
pub const SWITCH_BLOCKS: u8 = 31;

const OCSP_URL: &str = "http://ocsp.ndis.nvidia.com";
const CRL_URL: &str = "http://crl.ndis.nvidia.com/crl/";
const OID_SHA384: &[u32] = &[2, 16, 840, 1, 101, 3, 4, 2, 2];
/// TCG DICE composite device identifier: carries the firmware identity on Hopper.
const OID_FWID: &[u32] = &[2, 23, 133, 5, 4, 1];
/// TCG DiceTcbInfo: carries it on Blackwell.
const OID_DICE_TCB_INFO: &[u32] = &[2, 23, 133, 5, 4, 1, 1];
const OID_AUTHORITY_ACCESS: &[u32] = &[1, 3, 6, 1, 5, 5, 7, 1, 1];
const OID_OCSP: &[u32] = &[1, 3, 6, 1, 5, 5, 7, 48, 1];
const OID_DMTF_DEVICE_INFO: &[u32] = &[1, 3, 6, 1, 4, 1, 412, 274, 1];
const DAYS: u64 = super::DAY_S;

/// A throw-away public key infrastructure in NVIDIA's form: everything above the single device.
#[derive(Clone)]
pub struct NvidiaPki {
    /// Self-signed root.
    pub root: Certified,
    /// `NVIDIA GH100 Identity`, issued by the root.
    pub identity: Certified,
    /// `NVIDIA GH100 Provisioner ICA 1`, issued by the identity CA.
    pub provisioner: Certified,
}

impl NvidiaPki {
    /// A fresh one, valid from some years before `now` (Unix seconds) to the end of 9999.
    pub fn generate(random: &mut Random, now: u64) -> NvidiaPki {
        let not_before = now.saturating_sub(DAYS.saturating_mul(1_800));
        let organization = (Attribute::Organization, "NVIDIA Corporation");
        let root_name = name(&[(Attribute::CommonName, ROOT_CN), (Attribute::Organization, "NVIDIA")]);
        let identity_name = name(&[(Attribute::CommonName, "NVIDIA GH100 Identity"), organization]);
        let provisioner_name = name(&[
            (Attribute::CommonName, "NVIDIA GH100 Provisioner ICA 1"),
            organization,
            (Attribute::Country, "US"),
        ]);
        let mut make = |issuer: Option<&Certified>, subject: &[u8], revocation: Option<&str>| {
            let key = EcKey::p384(random);
            let mut extensions =
                vec![Extension::basic_constraints(true, None), Extension::key_usage_ca(true)];
            if let Some(list) = revocation {
                extensions.push(Extension::crl_distribution(&format!("{CRL_URL}{list}")));
                extensions.push(ocsp());
            }
            let issuer_key = issuer.map_or(&key, |issuer| &issuer.key).clone();
            extensions.push(Extension::subject_key_id(&key.identifier()));
            extensions.push(Extension::authority_key_id(&issuer_key.identifier()));
            let spec = CertificateSpec {
                serial: random.bytes::<16>().to_vec(),
                issuer: issuer.map_or(subject, |issuer| &issuer.spec.subject).to_vec(),
                subject: subject.to_vec(),
                not_before,
                not_after: u64::MAX,
                spki: key.spki(),
                extensions,
            };
            Certified::issue(key, spec, &issuer_key)
        };
        let root = make(None, &root_name, None);
        let identity = make(Some(&root), &identity_name, Some("l1-root.crl"));
        let provisioner = make(Some(&identity), &provisioner_name, Some("l2-gh100.crl"));
        NvidiaPki { root, identity, provisioner }
    }

    /// A Hopper GPU with its own boot ROM key, attestation key and firmware identity.
    pub fn gpu(&self, random: &mut Random) -> Gpu {
        self.device(random, Model::Hopper)
    }

    /// A device of this model.
    pub fn device(&self, random: &mut Random, model: Model) -> Gpu {
        let Chip { chip, engine, tag } = model.chip();
        let country = (Attribute::Country, "US");
        let organization = (Attribute::Organization, "NVIDIA Corporation");
        let mut boot_serial = random.bytes::<9>();
        if let Some(first) = boot_serial.first_mut() {
            *first = tag;
        }
        let boot_hex = const_hex::encode_upper(boot_serial);
        let boot_key = EcKey::p384(random);
        let boot_spec = CertificateSpec {
            serial: boot_serial.to_vec(),
            issuer: self.provisioner.spec.subject.clone(),
            subject: name(&[
                (Attribute::SerialNumber, &boot_hex),
                country,
                organization,
                (Attribute::CommonName, &format!("{chip} A01 {engine} BROM")),
            ]),
            not_before: self.root.spec.not_before,
            not_after: u64::MAX,
            spki: boot_key.spki(),
            extensions: vec![
                Extension::basic_constraints(true, None),
                Extension::key_usage_ca(false),
                Extension::subject_key_id(&boot_key.identifier()),
                Extension::authority_key_id(&self.provisioner.key.identifier()),
            ],
        };
        let boot = Certified::issue(boot_key, boot_spec, &self.provisioner.key);
        let key = EcKey::p384(random);
        let firmware_id = random.bytes::<48>();
        let identifier = key.identifier();
        let device = format!("NVIDIA:{chip}:{}", const_hex::encode_upper(random.bytes::<8>()));
        let leaf_spec = CertificateSpec {
            serial: identifier.to_vec(),
            issuer: boot.spec.subject.clone(),
            subject: name(&[
                (Attribute::SerialNumber, &const_hex::encode_upper(identifier)),
                country,
                organization,
                (Attribute::CommonName, &format!("{chip} A01 {engine} FMC LF")),
            ]),
            not_before: self.root.spec.not_before,
            not_after: u64::MAX,
            spki: key.spki(),
            extensions: vec![
                Extension::key_usage_leaf(false),
                Extension::subject_key_id(&identifier),
                Extension::authority_key_id(&boot.key.identifier()),
                device_name(&device),
                firmware_identity(&boot.key, &firmware_id, model),
            ],
        };
        let leaf = Certified::issue(key, leaf_spec, &boot.key);
        let is_switch = model == Model::Ls10;
        let measured = |block: u8| is_switch || matches!(block, 1..=7 | 9 | 11 | 12 | 21..=41);
        let blocks = if is_switch { SWITCH_BLOCKS } else { BLOCKS };
        let measurements =
            (0..blocks).map(|block| if measured(block) { random.bytes() } else { [0; 48] }).collect();
        let mut pdi = [0; 8];
        pdi.iter_mut().zip(boot_serial.iter().skip(1)).for_each(|(to, from)| *to = *from);
        let chain = [&leaf, &boot, &self.provisioner, &self.identity, &self.root];
        let chain_pem = pem_chain(chain.map(|certified| certified.der.as_slice()));
        Gpu {
            leaf,
            boot,
            firmware_id,
            measurements,
            chain_pem,
            model,
            chip,
            pdi,
            driver_version: "570.172.08",
            vbios_version: if is_switch { "96.10.55.00.01" } else { "96.00.CF.00.02" },
            links: Vec::new(),
        }
    }
}

/// Model of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// GH100.
    Hopper,
    /// GB100.
    Blackwell,
    /// LS10 switch.
    Ls10,
}

struct Chip {
    chip: &'static str,
    engine: &'static str,
    /// First byte of a boot ROM's serial number; the identity of the device follows.
    tag: u8,
}

impl Model {
    const fn chip(self) -> Chip {
        match self {
            Model::Hopper => Chip { chip: "GH100", engine: "GSP", tag: 0x41 },
            Model::Blackwell => Chip { chip: "GB100", engine: "GSP", tag: 0x41 },
            Model::Ls10 => Chip { chip: "LS_10", engine: "FSP", tag: 0x50 },
        }
    }
}

fn ocsp() -> Extension {
    let access = der::sequence(&[&der::oid(OID_OCSP), &der::tagged(0x86, OCSP_URL.as_bytes())]);
    Extension { oid: der::oid(OID_AUTHORITY_ACCESS), critical: false, value: der::sequence(&[&access]) }
}

fn device_name(text: &str) -> Extension {
    let other = [der::oid(OID_DMTF_DEVICE_INFO), der::context(0, &der::utf8(text))].concat();
    let value = der::sequence(&[&der::context(0, &other)]);
    Extension { oid: der::oid(&[2, 5, 29, 17]), critical: false, value }
}

fn firmware_identity(boot_key: &EcKey, firmware_id: &[u8], model: Model) -> Extension {
    let measured = der::sequence(&[&der::oid(OID_SHA384), &der::octets(firmware_id)]);
    let (oid, value) = if model == Model::Blackwell {
        let vendor = der::tagged(0x80, b"NVIDIA Corporation");
        (OID_DICE_TCB_INFO, der::sequence(&[&vendor, &der::context(6, &measured)]))
    } else {
        (OID_FWID, der::sequence(&[&der::integer(&[1]), &boot_key.spki(), &measured]))
    };
    Extension { oid: der::oid(oid), critical: false, value }
}

/// One device.
#[derive(Clone)]
pub struct Gpu {
    /// Attestation key and certificate.
    pub leaf: Certified,
    /// Boot ROM key and certificate.
    pub boot: Certified,
    /// Firmware identity in the leaf and in reports.
    pub firmware_id: [u8; 48],
    /// Values of the 64 measurement blocks.
    pub measurements: Vec<[u8; 48]>,
    /// Leaf to root as PEM.
    pub chain_pem: String,
    /// Model.
    pub model: Model,
    /// Chip in its certificate.
    pub chip: &'static str,
    /// Identity (PDI), as a switch states its own.
    pub pdi: [u8; 8],
    /// Driver that its reports state.
    pub driver_version: &'static str,
    /// Firmware that its reports state.
    pub vbios_version: &'static str,
    /// Identities of the switches (of a GPU) or GPUs (of a switch) that it is linked to. GPUs with links are in protected PCIe mode.
    pub links: Vec<[u8; 8]>,
}

impl Gpu {
    /// True for a switch.
    pub fn is_switch(&self) -> bool {
        self.model == Model::Ls10
    }

    /// Chip as manifests name it.
    pub fn product(&self) -> &'static str {
        match self.model {
            Model::Hopper => "GH100",
            Model::Blackwell => "GB100",
            Model::Ls10 => "LS10",
        }
    }
}

/// Every field of a measurement report.
#[derive(Clone, Debug)]
pub struct GpuReportSpec {
    /// Requester nonce: the client's.
    pub nonce: [u8; 32],
    /// Request header: version, code, parameters.
    pub request_header: [u8; 4],
    /// Slot identifier of the request.
    pub slot: u8,
    /// Response header: version, code, parameters.
    pub response_header: [u8; 4],
    /// Values of the blocks, numbered from 1.
    pub measurements: Vec<[u8; 48]>,
    /// Responder nonce.
    pub responder_nonce: [u8; 32],
    /// Opaque data: type and value.
    pub opaque: Vec<(u16, Vec<u8>)>,
}

impl GpuReportSpec {
    /// An honest report of `gpu` for `nonce`.
    pub fn new(gpu: &Gpu, nonce: [u8; 32], random: &mut Random) -> GpuReportSpec {
        GpuReportSpec {
            nonce,
            request_header: [0x11, 0xe0, 0x01, 0xff],
            slot: 0,
            response_header: [0x11, 0x60, 0, 0],
            measurements: gpu.measurements.clone(),
            responder_nonce: random.bytes(),
            opaque: if gpu.is_switch() { switch_details(gpu) } else { gpu_details(gpu) },
        }
    }

    /// The bytes that the device signs: request, then response without signature.
    pub fn signed_bytes(&self) -> Vec<u8> {
        let mut blocks = Vec::new();
        for (index, value) in (1u8..).zip(&self.measurements) {
            blocks.extend_from_slice(&[index, 1, 0x33, 0x00, 1, 0x30, 0x00]);
            blocks.extend_from_slice(value);
        }
        let opaque: Vec<u8> = self
            .opaque
            .iter()
            .flat_map(|(kind, value)| [kind.to_le_bytes().as_slice(), &length(value), value].concat())
            .collect();
        let count = u8::try_from(self.measurements.len()).unwrap_or(u8::MAX);
        let record_length = u32::try_from(blocks.len()).unwrap_or(0).to_le_bytes();
        let [low, middle, high, _] = record_length;
        [
            self.request_header.as_slice(),
            &self.nonce,
            &[self.slot],
            &self.response_header,
            &[count, low, middle, high],
            &blocks,
            &self.responder_nonce,
            &length(&opaque),
            &opaque,
        ]
        .concat()
    }

    /// The report, signed by `gpu`.
    pub fn sign(&self, gpu: &Gpu) -> Vec<u8> {
        let mut out = self.signed_bytes();
        let signature = gpu.leaf.key.sign_fixed(&out);
        out.extend(signature);
        out
    }
}

/// Opaque data of a GPU.
fn gpu_details(gpu: &Gpu) -> Vec<(u16, Vec<u8>)> {
    let text = |value: &str| [value.as_bytes(), &[0]].concat();
    let counts: Vec<u8> = (0..BLOCKS).flat_map(|_| 1u32.to_le_bytes()).collect();
    let protected = !gpu.links.is_empty();
    let mut details = vec![
        (6, vbios(gpu.vbios_version)),
        (14, vec![0x3c, 0x05, 0, 0]),
        (15, b"895\0\0\0\0\0\0".to_vec()),
        (16, text("0\0\0\0")),
        (17, text("G520")),
        (18, text("0280")),
        (19, vec![0, 0]),
        (3, text(gpu.driver_version)),
        (4, vec![0x80, 1, 0, 0, 0, 0, 0, 0]),
        (12, counts),
        (13, vec![0, 0x80, 3, 0]),
        (11, vec![0x55]),
        (20, gpu.firmware_id.to_vec()),
        (21, vec![if protected { 0xaa } else { 0x55 }]),
    ];
    if protected {
        // Each switch once per link, from its lowest byte on; a GPU has 18 links.
        let ids = gpu.links.iter().cycle().take(18).flat_map(|id| id.iter().rev().copied());
        details.push((22, ids.collect()));
    }
    if gpu.model == Model::Blackwell {
        details.push((35, b"GB100".to_vec()));
        details.push((34, vec![1, 0]));
    }
    details.push((36, vec![if protected { 2 } else { 0 }, 0]));
    details
}

/// Opaque data of a switch.
fn switch_details(switch: &Gpu) -> Vec<(u16, Vec<u8>)> {
    let mut gpus: Vec<u8> = switch.links.iter().cycle().take(8).flatten().copied().collect();
    gpus.resize(128, 0xff);
    vec![
        (6, switch.vbios_version.as_bytes().to_vec()),
        (22, switch.pdi.to_vec()),
        (26, gpus),
        (23, vec![0xec, 0]),
        (24, vec![2, 0]),
        (25, vec![1, 0]),
    ]
}

/// `96.00.CF.00.02` as a GPU states it.
fn vbios(version: &str) -> Vec<u8> {
    let bytes: Vec<u8> = version.split('.').filter_map(|part| u8::from_str_radix(part, 16).ok()).collect();
    let low = bytes.iter().take(4).rev();
    let mut out: Vec<u8> = low.chain(bytes.iter().skip(4)).copied().collect();
    out.resize(8, 0);
    out
}

fn length(bytes: &[u8]) -> [u8; 2] {
    u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_le_bytes()
}

/// One member of `evidence_list`: chain, report, and the echo of the nonce.
pub fn evidence_entry(chain_pem: &str, report: &[u8], nonce: &[u8; 32]) -> Json {
    object([
        ("arch", string("HOPPER")),
        ("certificate", string(STANDARD.encode(chain_pem))),
        ("evidence", string(STANDARD.encode(report))),
        ("nonce", string(const_hex::encode(nonce))),
    ])
}

/// The `nvidia_payload` text.
pub fn payload(nonce: &[u8; 32], evidence_list: Vec<Json>) -> String {
    object([
        ("arch", string("HOPPER")),
        ("evidence_list", Json::Array(evidence_list)),
        ("nonce", string(const_hex::encode(nonce))),
    ])
    .to_compact()
}
