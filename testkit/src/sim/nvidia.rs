//! NVIDIA's services for the simulated GPUs (attestation.md 3.3, 3.4 and 3.6): manifests, OCSP, attestation service and its key list,
//! honest or with any defect of [`super::Stage::Endorsements`].

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proveil_core::wire::json::Json;

use super::defect::Defect;
use crate::forge::intel::Certified;
use crate::forge::ocsp::{CertStatus, OcspSpec, responder};
use crate::forge::{
    ClaimsVersion, DAY_S, EcKey, Gpu, NrasPki, NrasSpec, Random, RimPki, RimSpec, World, der, object, string,
};

/// An answer of one of the services: status, content type, body.
pub type ServiceAnswer = (u16, &'static str, Vec<u8>);

const RIM: &str = "/v1/rim/";
const OCSP: &str = "/ocsp";
const KEYS: &str = "/.well-known/jwks.json";
const GPUS: [&str; 2] = ["/v3/attest/gpu", "/v4/attest/gpu"];
const SWITCHES: [&str; 2] = ["/v3/attest/switch", "/v4/attest/switch"];

/// True for a path of one of the services.
pub(super) fn is_served(path: &str) -> bool {
    path.starts_with(RIM) || [OCSP, KEYS].contains(&path) || GPUS.contains(&path) || SWITCHES.contains(&path)
}

/// Answers a request to NVIDIA's services; `None` when the path is not one of theirs.
pub fn nvidia_answer(
    world: &World,
    defects: &BTreeSet<Defect>,
    random: &mut Random,
    path: &str,
    body: &[u8],
) -> Option<ServiceAnswer> {
    let service = Service { world, defects };
    if let Some(id) = path.strip_prefix(RIM) {
        return Some(service.manifest(id, random));
    }
    if path == OCSP {
        return Some(service.status(body, random));
    }
    if path == KEYS {
        return Some(service.keys(random));
    }
    if GPUS.contains(&path) || SWITCHES.contains(&path) {
        return Some(service.tokens(SWITCHES.contains(&path), path.starts_with("/v4"), body, random));
    }
    None
}

struct Service<'a> {
    world: &'a World,
    defects: &'a BTreeSet<Defect>,
}

impl Service<'_> {
    fn has(&self, defect: Defect) -> bool {
        self.defects.contains(&defect)
    }

    fn manifest(&self, id: &str, random: &mut Random) -> ServiceAnswer {
        if self.has(Defect::RimDown) {
            return down();
        }
        let missing = || (404, "application/json", b"{\"error\":\"Not found\"}".to_vec());
        if self.has(Defect::RimHtml) {
            return (200, "text/html", b"<html><body>Please log in to this network.</body></html>".to_vec());
        }
        let Some(mut spec) = self.manifest_spec(id).filter(|_| !self.has(Defect::RimMissing)) else {
            return missing();
        };
        if self.has(Defect::RimOtherVersion) {
            spec.version.push_str(".1");
        }
        if self.has(Defect::RimOtherValues) {
            for hash in spec.resources.iter_mut().flat_map(|resource| &mut resource.hashes) {
                *hash = const_hex::encode(random.bytes::<48>());
            }
        }
        let xml = self.sign_manifest(&spec, random);
        let named = if self.has(Defect::RimOtherId) { "NV_GPU_DRIVER_GH100_1.2.3" } else { id };
        let answer = object([
            ("id", string(named)),
            ("rim", string(STANDARD.encode(xml))),
            ("rim_format", string("TCG")),
        ]);
        json(&answer)
    }

    /// The manifest of this name, if one of the devices needs it.
    fn manifest_spec(&self, id: &str) -> Option<RimSpec> {
        let compact = |version: &str| version.replace('.', "");
        for switches in [false, true] {
            let devices: Vec<&Gpu> =
                self.world.gpus.iter().filter(|device| device.is_switch() == switches).collect();
            let Some(first) = devices.first() else { continue };
            let names = if switches {
                vec![format!("NV_SWITCH_BIOS_5612_0002_890_{}", compact(first.vbios_version))]
            } else {
                let infix = if first.product() == "GH100" { "GPU" } else { "GPU_CC" };
                vec![
                    format!("NV_{infix}_DRIVER_{}_{}", first.product(), first.driver_version),
                    format!("NV_GPU_VBIOS_G520_0280_895_{}", compact(first.vbios_version)),
                ]
            };
            let place = names.iter().position(|name| name == id);
            if let Some(place) = place {
                return self.world.rim_specs(&devices).into_iter().nth(place);
            }
        }
        None
    }

    fn sign_manifest(&self, spec: &RimSpec, random: &mut Random) -> String {
        let now = self.world.now;
        let mut pki = self.world.rim.clone();
        if self.has(Defect::RimLookalikeRoot) {
            pki = RimPki::generate(random, now);
        }
        if self.has(Defect::RimExpired) {
            let mut ended = pki.signer.spec.clone();
            ended.not_after = now.saturating_sub(DAY_S);
            pki.signer = Certified::issue(pki.signer.key.clone(), ended, &pki.line.key);
        }
        let key =
            if self.has(Defect::RimBadSignature) { EcKey::p384(random) } else { pki.signer.key.clone() };
        spec.sign(&key, &pki.chain())
    }

    /// The answer about the certificate that the request names.
    fn status(&self, request: &[u8], random: &mut Random) -> ServiceAnswer {
        const KIND: &str = "application/ocsp-response";
        // responseStatus 1: malformed request.
        let malformed = || (200, KIND, der::sequence(&[&der::enumerated(1)]));
        if self.has(Defect::OcspDown) {
            return down();
        }
        // The request ends with the nonce, its last extension.
        let (Some(nonce), Some((subject, issuer))) = (request.last_chunk::<32>(), self.named_in(request))
        else {
            return malformed();
        };
        let now = self.world.now;
        let responder = responder(issuer, random, now);
        let mut spec = OcspSpec::new(subject, issuer, &responder, nonce, now);
        let of_manifests = std::ptr::eq(subject, &self.world.rim.signer);
        if self.has(Defect::GpuRevoked) && !of_manifests {
            spec.status = CertStatus::Revoked(Some(1));
        }
        if self.has(Defect::GpuOnHold) && !of_manifests {
            spec.status = CertStatus::Revoked(Some(6));
        }
        if self.has(Defect::RimSignerRevoked) && of_manifests {
            spec.status = CertStatus::Revoked(None);
        }
        if self.has(Defect::OcspUnknown) {
            spec.status = CertStatus::Unknown;
        }
        if self.has(Defect::OcspExpired) {
            spec.this_update = now.saturating_sub(DAY_S.saturating_mul(3));
            spec.next_update = Some(now.saturating_sub(DAY_S));
        }
        if self.has(Defect::OcspOtherNonce) {
            spec.nonce = Some(random.bytes::<32>().to_vec());
        }
        let key = if self.has(Defect::OcspBadSignature) { EcKey::p384(random) } else { responder.key };
        (200, KIND, spec.sign(&key))
    }

    fn named_in(&self, request: &[u8]) -> Option<(&Certified, &Certified)> {
        self.world.certificates_with_status().into_iter().find(|(subject, _)| {
            let serial = der::integer(&subject.spec.serial);
            request.windows(serial.len()).any(|window| window == serial)
        })
    }

    fn keys(&self, random: &mut Random) -> ServiceAnswer {
        if self.has(Defect::JwksDown) {
            return down();
        }
        let mut pki = self.world.nras.clone();
        if self.has(Defect::NrasLookalike) {
            pki = NrasPki::generate(random, self.world.now);
            pki.signer.key = self.world.nras.signer.key.clone();
        }
        json(&pki.jwks())
    }

    /// Tokens about the devices whose evidence was sent, if all are devices of this world and answered the stated nonce.
    fn tokens(&self, switches: bool, v4: bool, body: &[u8], random: &mut Random) -> ServiceAnswer {
        if self.has(Defect::NrasDown) {
            return down();
        }
        let Some((nonce, mut devices)) = self.submitted(switches, body) else {
            return (400, "application/json", b"{\"error\":\"Bad request\"}".to_vec());
        };
        let stranger = self.world.nvidia.gpu(random);
        if self.has(Defect::NrasOtherDevice) {
            devices = devices.iter().map(|_| &stranger).collect();
        }
        let answered = if self.has(Defect::NrasOtherNonce) { random.bytes() } else { nonce };
        let now = self.world.now;
        let issued = if self.has(Defect::NrasExpired) { now.saturating_sub(DAY_S) } else { now };
        let version = if v4 { ClaimsVersion::V3 } else { ClaimsVersion::V2 };
        let mut spec = NrasSpec::new(&self.world.nras, &devices, &answered, version, issued);
        if self.has(Defect::NrasRefuses) {
            spec.set_overall("x-nvidia-overall-att-result", Json::Bool(false));
        }
        let header = |kid: &str, alg: &str| object([("kid", string(kid)), ("alg", string(alg))]);
        if self.has(Defect::NrasUnknownKey) {
            spec.header = header("nv-eat-kid-of-nobody", "ES384");
        }
        if self.has(Defect::NrasAlgorithm) {
            spec.header = header(&self.world.nras.kid, "none");
        }
        let key = if self.has(Defect::NrasBadSignature) {
            EcKey::p384(random)
        } else {
            self.world.nras.signer.key.clone()
        };
        json(&spec.sign(&key))
    }

    fn submitted(&self, switches: bool, body: &[u8]) -> Option<([u8; 32], Vec<&Gpu>)> {
        let body = Json::parse(body).ok()?;
        let nonce: [u8; 32] = const_hex::decode_to_array(body.get("nonce")?.as_str()?).ok()?;
        let device = |entry: &Json| {
            let bytes = |name: &str| STANDARD.decode(entry.get(name)?.as_str()?).ok();
            let (report, chain) = (bytes("evidence")?, bytes("certificate")?);
            let mut known = self.world.gpus.iter();
            let device = known.find(|device| device.chain_pem.as_bytes() == chain.as_slice())?;
            (device.is_switch() == switches && report.get(4..36) == Some(nonce.as_slice())).then_some(device)
        };
        let devices =
            body.get("evidence_list")?.as_array()?.iter().map(device).collect::<Option<Vec<&Gpu>>>()?;
        Some((nonce, devices))
    }
}

fn json(answer: &Json) -> ServiceAnswer {
    (200, "application/json", answer.to_compact().into_bytes())
}

fn down() -> ServiceAnswer {
    (503, "application/json", b"{\"error\":\"Service Unavailable\"}".to_vec())
}
