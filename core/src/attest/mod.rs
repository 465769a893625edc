//! Evidence in, authenticated claims out: every signature checked to a trusted root at a given time.
//!
//! Owns [`TrustRoots`] and one module per kind of evidence. Evidence, endorsements, roots and the time are arguments; nothing is
//! fetched and no clock is read. A failure names the check that failed, by the reason codes of the evidence library; whether the
//! facts are acceptable is policy (`rules` in each module gives the tests that a policy is made of).

pub mod contrast;
pub mod dstack;
pub mod nvidia;
pub mod snp;
pub mod tdx;

use self::snp::AmdRoots;
use crate::crypto;
use crate::error::{Code, Error, Result};
use crate::limits::CHAIN_MAX_BYTES;
use crate::pki::{Authority, Problem, pem, roots};
use crate::wire::json::Json;

/// A named check, for lists of what was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// Stable id, as in [`Error::check`].
    pub id: &'static str,
    /// What holds when it passed, in one line.
    pub title: &'static str,
}

/// The roots that evidence must lead to. The default is the vendors' pinned roots.
///
/// Other roots come from an explicit argument only; every signature is still checked, and everything verified against them is
/// marked as such (README decision 4, threats T68).
#[derive(Clone, Debug)]
pub struct TrustRoots {
    intel_sgx: Option<Authority>,
    nvidia_device: Option<Authority>,
    nvidia_rim: Option<Authority>,
    nvidia_nras: Vec<[u8; 32]>,
    amd: AmdRoots,
    /// Collateral that was verified under them.
    kept: tdx::Kept,
    /// The file form of custom roots, canonical; `None` for the vendors'.
    custom: Option<String>,
}

/// Schema name of the file form.
const SCHEMA: &str = "proveil.trust-roots/v1";
/// Its members beside the schema.
const MEMBERS: [&str; 5] = [
    "intel_sgx_root_pem",
    "nvidia_device_root_pem",
    "nvidia_rim_root_pem",
    "nvidia_nras_issuers_pem",
    "amd_roots_pem",
];

impl TrustRoots {
    /// The pinned vendor roots.
    pub fn vendors() -> TrustRoots {
        TrustRoots {
            // That the pinned roots parse is shown by a test; a root that did not would be trusted for nothing.
            intel_sgx: Authority::root(roots::INTEL_SGX.der).ok(),
            nvidia_device: Authority::root(roots::NVIDIA_DEVICE.der).ok(),
            nvidia_rim: Authority::root(roots::NVIDIA_RIM.der).ok(),
            nvidia_nras: roots::NVIDIA_NRAS.to_vec(),
            amd: AmdRoots::vendors(),
            kept: tdx::Kept::default(),
            custom: None,
        }
    }

    /// Reads a `proveil.trust-roots/v1` file: `{"schema": ..., "intel_sgx_root_pem": ..., "nvidia_device_root_pem": ...,
    /// "nvidia_rim_root_pem": ..., "nvidia_nras_issuers_pem": ..., "amd_roots_pem": ...}`. The `..._root_pem` members hold one certificate
    /// each. `nvidia_nras_issuers_pem` holds any number; `amd_roots_pem` one self-signed `ARK-` certificate per product line, and issuers
    /// below them that are to be trusted without a revocation list.
    /// What has no member has no trusted root: such evidence is refused. Unknown members are refused.
    /// Fails with `trust_roots_invalid`.
    pub fn from_json(bytes: &[u8]) -> Result<TrustRoots> {
        let invalid = |context: &str| Error::new(Code::TrustRootsInvalid).context(context);
        if bytes.len() > CHAIN_MAX_BYTES {
            return Err(Error::new(Code::LimitExceeded).at("trust roots file"));
        }
        let file = Json::parse(bytes).map_err(|_| invalid("It is not strict JSON."))?;
        let members = file.as_object().ok_or_else(|| invalid("It is not a JSON object."))?;
        if file.get("schema").and_then(Json::as_str) != Some(SCHEMA) {
            return Err(invalid("It has another schema.").at("schema").expected(SCHEMA));
        }
        let mut roots = TrustRoots {
            intel_sgx: None,
            nvidia_device: None,
            nvidia_rim: None,
            nvidia_nras: Vec::new(),
            amd: AmdRoots::default(),
            kept: tdx::Kept::default(),
            custom: Some(file.to_canonical()),
        };
        for (name, value) in members {
            if name == "schema" {
                continue;
            }
            if !MEMBERS.contains(&name.as_str()) {
                return Err(invalid("It has an unknown member.").at("member").found(name.as_str()));
            }
            let problem = |problem: Problem| invalid(&problem.to_string()).at(name.as_str());
            let text = value.as_str().ok_or_else(|| invalid("A root is not a text.").at(name.as_str()))?;
            let certificates = pem::certificates(text.as_bytes()).map_err(problem)?;
            let slot = match name.as_str() {
                "intel_sgx_root_pem" => &mut roots.intel_sgx,
                "nvidia_device_root_pem" => &mut roots.nvidia_device,
                "nvidia_rim_root_pem" => &mut roots.nvidia_rim,
                "nvidia_nras_issuers_pem" => {
                    roots.nvidia_nras = certificates.iter().map(|der| crypto::sha256(&[der])).collect();
                    continue;
                }
                _ => {
                    roots.amd = AmdRoots::from_certificates(&certificates).map_err(problem)?;
                    continue;
                }
            };
            let [der] = certificates.as_slice() else {
                return Err(invalid("A root must be exactly one certificate.").at(name.as_str()));
            };
            *slot = Some(Authority::root(der).map_err(problem)?);
        }
        Ok(roots)
    }

    /// True when the roots are not the vendors' pinned ones.
    pub const fn is_custom(&self) -> bool {
        self.custom.is_some()
    }

    /// The file form of roots that are not the vendors', canonical.
    pub fn to_json(&self) -> Option<&str> {
        self.custom.as_deref()
    }

    /// Root of Intel's provisioning certificates, if one is trusted.
    pub const fn intel_sgx(&self) -> Option<&Authority> {
        self.intel_sgx.as_ref()
    }

    /// Root of NVIDIA's device certificates, if one is trusted.
    pub const fn nvidia_device(&self) -> Option<&Authority> {
        self.nvidia_device.as_ref()
    }

    /// Root of the signers of NVIDIA's reference manifests, if one is trusted.
    pub const fn nvidia_rim(&self) -> Option<&Authority> {
        self.nvidia_rim.as_ref()
    }

    /// SHA-256 of the certificates whose holders may issue token keys of NVIDIA's attestation service.
    pub fn nvidia_nras(&self) -> &[[u8; 32]] {
        &self.nvidia_nras
    }

    /// Roots of AMD's certificates; none is trusted when it is empty.
    pub const fn amd(&self) -> &AmdRoots {
        &self.amd
    }
}

impl Default for TrustRoots {
    fn default() -> TrustRoots {
        TrustRoots::vendors()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::base64;

    #[test]
    fn trust_roots_file() {
        let pem = |der: &[u8]| {
            format!("-----BEGIN CERTIFICATE-----\\n{}\\n-----END CERTIFICATE-----\\n", base64::encode(der))
        };
        let intel = pem(roots::INTEL_SGX.der);
        let nvidia = pem(roots::NVIDIA_DEVICE.der);
        let vendors = TrustRoots::default();
        assert!(!vendors.is_custom() && vendors.intel_sgx().is_some() && vendors.nvidia_device().is_some());

        let file = format!("{{\"schema\":\"{SCHEMA}\",\"intel_sgx_root_pem\":\"{intel}\"}}");
        let custom = TrustRoots::from_json(file.as_bytes()).unwrap();
        assert!(custom.is_custom(), "a file is custom even with a vendor's root in it");
        assert_eq!(custom.intel_sgx(), vendors.intel_sgx());
        assert!(custom.nvidia_device().is_none(), "what is absent is not trusted");

        let both = format!(
            "{{\"schema\":\"{SCHEMA}\",\"intel_sgx_root_pem\":\"{intel}\",\"nvidia_device_root_pem\":\"{nvidia}\"}}"
        );
        let both = TrustRoots::from_json(both.as_bytes()).unwrap();
        assert!(
            both.nvidia_device().is_some() && both.nvidia_rim().is_none() && both.nvidia_nras().is_empty()
        );
        let rim = pem(roots::NVIDIA_RIM.der);
        let more = format!(
            "{{\"schema\":\"{SCHEMA}\",\"nvidia_rim_root_pem\":\"{rim}\",\"nvidia_nras_issuers_pem\":\"{intel}{nvidia}\"}}"
        );
        let more = TrustRoots::from_json(more.as_bytes()).unwrap();
        assert_eq!(more.nvidia_rim(), vendors.nvidia_rim());
        assert_eq!(more.nvidia_nras(), [roots::INTEL_SGX.sha256, roots::NVIDIA_DEVICE.sha256]);
        assert!(both.nvidia_device().is_some() && both.amd().roots().is_empty());

        let amd = pem(roots::AMD[2].asvk.der) + &pem(roots::AMD[2].ark.der);
        let amd = format!("{{\"schema\":\"{SCHEMA}\",\"amd_roots_pem\":\"{amd}\"}}");
        let amd = TrustRoots::from_json(amd.as_bytes()).unwrap();
        assert_eq!(amd.amd().roots().len(), 1);
        assert!(amd.is_custom() && amd.intel_sgx().is_none() && vendors.amd().roots().len() == 3);
        for bad in [
            String::from("{}"),
            file.replace("/v1", "/v2"),
            file.replace("intel_sgx_root_pem", "intel_root_pem"),
            file.replace(&intel, &format!("{intel}{nvidia}")),
            file.replace(&intel, ""),
            file.replace(&intel, "x"),
            file.replace("intel_sgx_root_pem", "amd_roots_pem"),
            file.replacen('{', "{\"schema\":\"proveil.trust-roots/v1\",", 1),
        ] {
            assert_eq!(TrustRoots::from_json(bad.as_bytes()).unwrap_err().code(), Code::TrustRootsInvalid);
        }
    }
}
