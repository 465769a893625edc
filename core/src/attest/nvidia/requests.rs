//! What to ask NVIDIA's services about verified devices: addresses and bodies for a transport to fetch, nothing is sent here
//! (`attestation.md` 3.3, 3.4 and 3.6).
//!
//! What each request tells NVIDIA: a manifest's id names a driver or firmware version; an OCSP request names a device by its
//! certificate's serial number; a request to the attestation service carries the whole evidence. Which of them may be sent is for
//! policy. Addresses inside certificates are never used (threats T25).

use super::Device;
use super::reference::{RimId, Rims, rim_ids};
use super::revocation::{device_queries, rim_queries};
use crate::claims::{Architecture, GpuClaims, Verified};
use crate::http::{BaseUrl, HttpRequest, Method};
use crate::limits::{JWKS_MAX_BYTES, NRAS_MAX_BYTES, OCSP_MAX_BYTES, RIM_MAX_BYTES};
use crate::wire::json::Json;
use crate::wire::{base64, hex};

/// NVIDIA's manifest service.
const RIM_SERVICE: &str = "https://rim.attestation.nvidia.com";
/// NVIDIA's OCSP responder.
const OCSP_SERVICE: &str = "https://ocsp.ndis.nvidia.com";
/// Largest answer of the manifest service: a manifest in base64 and a few texts.
const RIM_ANSWER_MAX_BYTES: usize = 2 * RIM_MAX_BYTES;

/// Version of the attestation service's interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NrasVersion {
    /// `/v3`, claims 2.0.
    V3,
    /// `/v4`, claims 3.0.
    V4,
}

impl NrasVersion {
    const fn parts(self) -> (&'static str, &'static str) {
        match self {
            NrasVersion::V3 => ("v3", "2.0"),
            NrasVersion::V4 => ("v4", "3.0"),
        }
    }
}

/// The manifests that devices need, each once; a device whose report does not name its versions needs none that could be fetched.
pub fn rims_needed<'a>(devices: impl IntoIterator<Item = &'a GpuClaims>) -> Vec<RimId> {
    let mut needed: Vec<RimId> = Vec::new();
    for id in devices.into_iter().filter_map(rim_ids).flatten() {
        if !needed.contains(&id) {
            needed.push(id);
        }
    }
    needed
}

/// Where NVIDIA's services are reached. What they say is signed and about what was asked, wherever it came from; a mirror can only
/// withhold it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NvidiaServices {
    rim: String,
    ocsp: String,
    nras: String,
}

impl NvidiaServices {
    /// NVIDIA's own hosts, or a mirror with all of them below one address: `/v1/rim/ID`, `/ocsp`, `/v3/attest/gpu`,
    /// `/.well-known/jwks.json`.
    pub fn new(mirror: Option<&BaseUrl>) -> NvidiaServices {
        match mirror {
            None => NvidiaServices {
                rim: RIM_SERVICE.to_owned(),
                ocsp: OCSP_SERVICE.to_owned(),
                nras: super::nras::NRAS_ISSUER_URL.to_owned(),
            },
            Some(mirror) => NvidiaServices {
                rim: mirror.as_str().to_owned(),
                ocsp: format!("{}/ocsp", mirror.as_str()),
                nras: mirror.as_str().to_owned(),
            },
        }
    }

    /// Asks for a manifest by one of its names; the answer is for [`crate::evidence::RimDocument::from_service`]. `None` for a name
    /// that could change the address.
    pub fn rim_request(&self, name: &str) -> Option<HttpRequest> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        let fits = !name.is_empty() && name.len() <= 128 && name.bytes().all(plain) && !name.starts_with('.');
        fits.then(|| {
            let url = format!("{}/v1/rim/{name}", self.rim);
            request(Method::Get, url, "NVIDIA reference manifest", RIM_ANSWER_MAX_BYTES)
                .header("accept", "application/json")
        })
    }

    /// Asks about every certificate behind devices and manifests, each once. The nonce must be fresh for each round; the answers go
    /// into [`crate::evidence::GpuEndorsements`] with it, in any order.
    pub fn ocsp_requests(
        &self,
        devices: &[Verified<GpuClaims>],
        rims: Option<&Rims>,
        nonce: &[u8; 32],
    ) -> Vec<HttpRequest> {
        let of_rims = rims.into_iter().flat_map(Rims::iter).flat_map(|rim| rim_queries(rim.get()));
        let queries = devices.iter().flat_map(|device| device_queries(device.get())).chain(of_rims);
        let mut bodies: Vec<Vec<u8>> = Vec::new();
        for query in queries {
            let body = query.request(nonce);
            if !bodies.contains(&body) {
                bodies.push(body);
            }
        }
        let post = |body| {
            request(Method::Post, self.ocsp.clone(), "NVIDIA OCSP", OCSP_MAX_BYTES)
                .header("content-type", "application/ocsp-request")
                .header("accept", "application/ocsp-response")
                .with_body(body)
        };
        bodies.into_iter().map(post).collect()
    }

    /// Asks the attestation service about devices of one generation: their evidence as it was verified, in the same order. `None`
    /// for generations that the service has no name for, or when the lists do not fit together.
    pub fn nras_request(
        &self,
        devices: &[Device],
        claims: &[&GpuClaims],
        nonce: &[u8; 32],
        version: NrasVersion,
    ) -> Option<HttpRequest> {
        let architecture = claims.first()?.architecture;
        let alike = claims.iter().all(|device| device.architecture == architecture);
        if !alike || architecture == Architecture::Other || devices.len() != claims.len() {
            return None;
        }
        let (path, claims_version) = version.parts();
        let kind = if architecture == Architecture::Ls10 { "switch" } else { "gpu" };
        let string = |text: &str| Json::String(text.to_owned());
        let member = |name: &str, value: Json| (name.to_owned(), value);
        let entries = devices.iter().map(|device| {
            Json::Object(vec![
                member("evidence", Json::String(base64::encode(&device.report))),
                member("certificate", Json::String(base64::encode(&device.chain))),
            ])
        });
        let body = Json::Object(vec![
            member("nonce", Json::String(hex::encode(nonce))),
            member("arch", string(architecture.word())),
            member("evidence_list", Json::Array(entries.collect())),
            member("claims_version", string(claims_version)),
        ]);
        let url = format!("{}/{path}/attest/{kind}", self.nras);
        Some(
            request(Method::Post, url, "NVIDIA attestation service", NRAS_MAX_BYTES)
                .header("content-type", "application/json")
                .header("accept", "application/json")
                .with_body(body.to_compact().into_bytes()),
        )
    }

    /// Asks for the attestation service's key list.
    pub fn jwks_request(&self) -> HttpRequest {
        let url = format!("{}/.well-known/jwks.json", self.nras);
        request(Method::Get, url, "NVIDIA attestation service keys", JWKS_MAX_BYTES)
            .header("accept", "application/json")
    }
}

fn request(method: Method, url: String, purpose: &'static str, max_bytes: usize) -> HttpRequest {
    HttpRequest::new(method, url, purpose, max_bytes).header("accept-encoding", "identity")
}
