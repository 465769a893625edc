//! What NVIDIA and its services publish about devices, as received (`protocols/attestation.md` 3.3, 3.4 and 3.6). Nothing in it is verified.

use crate::claims::DeviceKind;
use crate::error::{Code, Error, Result};
use crate::limits::RIM_MAX_BYTES;
use crate::wire::base64;
use crate::wire::json::Json;

/// Largest answer of the manifest service: a manifest in base64 and a few texts.
const SERVICE_ANSWER_MAX_BYTES: usize = 2 * RIM_MAX_BYTES;

/// A reference integrity manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RimDocument {
    /// The name under which it was fetched, if it was: `NV_GPU_DRIVER_GH100_550.144.03`. Without a name a manifest is found by what
    /// it says itself.
    pub id: Option<String>,
    /// The XML document.
    pub xml: Vec<u8>,
}

impl RimDocument {
    /// Reads an answer of the manifest service to a request for `id`: `{"id": ..., "rim": base64, ...}`. Fails with
    /// `collateral_malformed`, `collateral_mismatch` when it names another id, or `limit_exceeded`.
    pub fn from_service(id: &str, body: &[u8]) -> Result<RimDocument> {
        let malformed = || Error::new(Code::CollateralMalformed).at("gpu.rim.xml");
        if body.len() > SERVICE_ANSWER_MAX_BYTES {
            return Err(Error::new(Code::LimitExceeded).at("reference manifest"));
        }
        let answer = Json::parse(body).map_err(|_| malformed().context("The answer is not strict JSON."))?;
        let text = |name| answer.get(name).and_then(Json::as_str).ok_or_else(malformed);
        let named = text("id")?;
        if named != id {
            return Err(Error::new(Code::CollateralMismatch).at("gpu.rim.version").expected(id).found(named));
        }
        let xml = base64::decode(text("rim")?).ok_or_else(malformed)?;
        Ok(RimDocument { id: Some(id.to_owned()), xml })
    }
}

/// An answer of NVIDIA's attestation service with the key list that it is checked with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NrasAnswer {
    /// Which devices were asked about: the service has one address for GPUs and one for switches.
    pub kind: DeviceKind,
    /// `[["JWT", overall], {"GPU-0": token, ...}]`.
    pub tokens: Vec<u8>,
    /// The service's key list (JWKS).
    pub jwks: Vec<u8>,
}

/// Everything that NVIDIA says about the devices of one appraisal. Empty means that nobody was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GpuEndorsements {
    /// Reference integrity manifests.
    pub rims: Vec<RimDocument>,
    /// OCSP answers (DER), in any order.
    pub ocsp: Vec<Vec<u8>>,
    /// The nonce in the OCSP requests, when they had one: every answer must repeat it.
    pub ocsp_nonce: Option<[u8; 32]>,
    /// Answers of the attestation service, at most one for the GPUs and one for the switches.
    pub nras: Vec<NrasAnswer>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_the_manifest_service() {
        let read =
            |body: &str| RimDocument::from_service("A_1", body.as_bytes()).map_err(|error| error.code());
        let document = read(r#"{"id":"A_1","rim":"PGEvPg==","sha256":"00","rim_format":"TCG"}"#).unwrap();
        assert_eq!((document.id.as_deref(), document.xml.as_slice()), (Some("A_1"), &b"<a/>"[..]));
        for (body, code) in [
            (r#"{"id":"A_2","rim":"PGEvPg=="}"#, Code::CollateralMismatch),
            (r#"{"rim":"PGEvPg=="}"#, Code::CollateralMalformed),
            (r#"{"id":"A_1"}"#, Code::CollateralMalformed),
            (r#"{"id":"A_1","rim":"PG"}"#, Code::CollateralMalformed),
            (r#"{"id":"A_1","id":"A_1","rim":"PGEvPg=="}"#, Code::CollateralMalformed),
            ("<html>", Code::CollateralMalformed),
        ] {
            assert_eq!(read(body), Err(code), "{body}");
        }
    }
}
