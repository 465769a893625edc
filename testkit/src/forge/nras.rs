//! Answers of NVIDIA's attestation service (attestation.md 3.6): tokens, the key list, and the authority behind the key.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proveil_core::wire::json::Json;
use sha2::{Digest, Sha256};

use super::gpu::Gpu;
use super::intel::Certified;
use super::keys::EcKey;
use super::random::Random;
use super::text::{number, object, string};
use super::x509::{Attribute, CertificateSpec, Extension, name};

/// The service, as tokens name it.
pub const ISSUER: &str = "https://nras.attestation.nvidia.com";

/// The service's authority and token key.
#[derive(Clone)]
pub struct NrasPki {
    /// `NVIDIA Attestation Service GPU Intermediate 003`; its own issuer is not published.
    pub intermediate: Certified,
    /// The key that signs tokens, certified for two days.
    pub signer: Certified,
    /// Id of that key.
    pub kid: String,
}

impl NrasPki {
    /// A fresh one, valid around `now` (Unix seconds).
    pub fn generate(random: &mut Random, now: u64) -> NrasPki {
        let organization = (Attribute::Organization, "NVIDIA Corporation");
        let above = EcKey::p384(random);
        let make =
            |key: EcKey, issuer: &[u8], issuer_key: &EcKey, subject: Vec<u8>, days: u64, ca: bool, serial| {
                let usage = if ca {
                    vec![Extension::basic_constraints(true, None), Extension::key_usage_ca(true)]
                } else {
                    vec![Extension::key_usage_leaf(false)]
                };
                let spec = CertificateSpec {
                    serial,
                    issuer: issuer.to_vec(),
                    subject,
                    not_before: now.saturating_sub(super::DAY_S),
                    not_after: now.saturating_add(super::DAY_S.saturating_mul(days)),
                    spki: key.spki(),
                    extensions: usage,
                };
                Certified::issue(key, spec, issuer_key)
            };
        let root_name = name(&[organization, (Attribute::CommonName, "NVIDIA Attestation Service CA 001")]);
        let subject =
            name(&[(Attribute::CommonName, "NVIDIA Attestation Service GPU Intermediate 003"), organization]);
        let serial = random.bytes::<16>().to_vec();
        let intermediate = make(EcKey::p384(random), &root_name, &above, subject, 1_000, true, serial);
        let subject = name(&[organization, (Attribute::CommonName, "NVIDIA Attestation Service GPU GH100")]);
        let serial = random.bytes::<16>().to_vec();
        let issuer = intermediate.spec.subject.clone();
        let signer = make(EcKey::p384(random), &issuer, &intermediate.key, subject, 1, false, serial);
        NrasPki { intermediate, signer, kid: "nv-eat-kid-sim-1".to_owned() }
    }

    /// The key list with this one key.
    pub fn jwks(&self) -> Json {
        object([("keys", Json::Array(vec![self.jwk()]))])
    }

    /// This key as a member of the list.
    pub fn jwk(&self) -> Json {
        let point = self.signer.key.public_xy();
        let (x, y) = point.split_at(point.len().div_euclid(2));
        let chain =
            [&self.signer, &self.intermediate].map(|certified| string(STANDARD.encode(&certified.der)));
        object([
            ("kty", string("EC")),
            ("crv", string("P-384")),
            ("kid", string(self.kid.as_str())),
            ("x5c", Json::Array(chain.to_vec())),
            ("x", string(URL_SAFE_NO_PAD.encode(x))),
            ("y", string(URL_SAFE_NO_PAD.encode(y))),
        ])
    }
}

/// A compact token: header and payload as given, signed with ES384 by `key`.
pub fn token(header: &Json, payload: &Json, key: &EcKey) -> String {
    let part = |json: &Json| URL_SAFE_NO_PAD.encode(json.to_compact());
    let signed = format!("{}.{}", part(header), part(payload));
    let signature = URL_SAFE_NO_PAD.encode(key.sign_fixed(signed.as_bytes()));
    format!("{signed}.{signature}")
}

/// Version of the claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimsVersion {
    /// Service version 3: chains as yes or no.
    V2,
    /// Service version 4: chains as objects.
    V3,
}

/// Everything in an answer, before signing.
#[derive(Clone, Debug)]
pub struct NrasSpec {
    /// Header of every token.
    pub header: Json,
    /// Claims of the overall token, without `submods`.
    pub overall: Vec<(String, Json)>,
    /// Name and claims of each device.
    pub devices: Vec<(String, Vec<(String, Json)>)>,
}

impl NrasSpec {
    /// An honest answer about these devices, all of one kind.
    pub fn new(
        pki: &NrasPki,
        devices: &[&Gpu],
        nonce: &[u8; 32],
        version: ClaimsVersion,
        now: u64,
    ) -> NrasSpec {
        let words = match version {
            ClaimsVersion::V2 => "2.0",
            ClaimsVersion::V3 => "3.0",
        };
        let frame = || {
            vec![
                claim("iss", string(ISSUER)),
                claim("nbf", number(now.saturating_sub(60))),
                claim("iat", number(now.saturating_sub(60))),
                claim("exp", number(now.saturating_add(3_540))),
                claim("eat_nonce", string(const_hex::encode(nonce))),
            ]
        };
        let mut overall = frame();
        overall.push(claim("sub", string("NVIDIA-PLATFORM-ATTESTATION")));
        overall.push(claim("x-nvidia-ver", string(words)));
        overall.push(claim("x-nvidia-overall-att-result", Json::Bool(true)));
        let devices = devices.iter().enumerate().map(|(i, device)| {
            let mut claims = frame();
            claims.extend(device_claims(device, version));
            let kind = if device.is_switch() { "SWITCH" } else { "GPU" };
            (format!("{kind}-{i}"), claims)
        });
        NrasSpec {
            header: object([("kid", string(pki.kid.as_str())), ("alg", string("ES384"))]),
            overall,
            devices: devices.collect(),
        }
    }

    /// Changes or adds a claim of the overall token.
    pub fn set_overall(&mut self, name: &str, value: Json) {
        set(&mut self.overall, name, value);
    }

    /// Changes or adds a claim of a device's token.
    pub fn set_device(&mut self, device: usize, name: &str, value: Json) {
        if let Some((_, claims)) = self.devices.get_mut(device) {
            set(claims, name, value);
        }
    }

    /// The device tokens by name.
    pub fn tokens(&self, key: &EcKey) -> Vec<(String, Json)> {
        let sign =
            |claims: &Vec<(String, Json)>| string(token(&self.header, &Json::Object(claims.clone()), key));
        self.devices.iter().map(|(name, claims)| (name.clone(), sign(claims))).collect()
    }

    /// The whole answer.
    pub fn sign(&self, key: &EcKey) -> Json {
        let tokens = self.tokens(key);
        self.sign_with(&tokens, &tokens, key)
    }

    /// An answer whose overall token names the digests of `named` and which carries `carried`.
    pub fn sign_with(&self, named: &[(String, Json)], carried: &[(String, Json)], key: &EcKey) -> Json {
        let submods = named.iter().map(|(name, token)| {
            let digest = const_hex::encode(Sha256::digest(token.as_str().unwrap_or_default()));
            let digest = Json::Array(vec![string("SHA-256"), string(digest)]);
            (name.clone(), Json::Array(vec![string("DIGEST"), digest]))
        });
        let mut claims = self.overall.clone();
        claims.push(claim("submods", Json::Object(submods.collect())));
        let overall = token(&self.header, &Json::Object(claims), key);
        Json::Array(vec![Json::Array(vec![string("JWT"), string(overall)]), Json::Object(carried.to_vec())])
    }
}

fn claim(name: &str, value: Json) -> (String, Json) {
    (name.to_owned(), value)
}

fn set(claims: &mut Vec<(String, Json)>, name: &str, value: Json) {
    claims.retain(|(other, _)| other != name);
    claims.push(claim(name, value));
}

/// What the service says of a device whose evidence is right in every part.
fn device_claims(device: &Gpu, version: ClaimsVersion) -> Vec<(String, Json)> {
    let (prefix, rims): (&str, &[&str]) = if device.is_switch() {
        ("x-nvidia-switch", &["bios"])
    } else {
        ("x-nvidia-gpu", &["driver", "vbios"])
    };
    let yes = |name: String| (name, Json::Bool(true));
    let good =
        || object([("x-nvidia-cert-status", string("valid")), ("x-nvidia-cert-ocsp-status", string("good"))]);
    let mut claims = vec![
        claim("measres", string("success")),
        claim("secboot", Json::Bool(true)),
        claim("dbgstat", string("disabled")),
        claim("oemid", string("5703")),
        claim("ueid", string(decimal(&device.leaf.spec.serial))),
        claim("x-nvidia-attestation-warning", Json::Null),
        yes(format!("{prefix}-arch-check")),
        yes(format!("{prefix}-attestation-report-parsed")),
        yes(format!("{prefix}-attestation-report-nonce-match")),
        yes(format!("{prefix}-attestation-report-signature-verified")),
    ];
    let v3 = version == ClaimsVersion::V3;
    let model = if v3 { format!("{} A01 GSP FMC LF", device.chip) } else { device.chip.to_owned() };
    claims.push(claim("hwmodel", string(model)));
    if v3 {
        claims.push((format!("{prefix}-attestation-report-cert-chain"), good()));
        claims.push(yes(format!("{prefix}-attestation-report-cert-chain-fwid-match")));
    } else {
        claims.push(yes(format!("{prefix}-attestation-report-cert-chain-validated")));
    }
    for rim in rims {
        for part in ["fetched", "schema-validated", "signature-verified", "measurements-available"] {
            claims.push(yes(format!("{prefix}-{rim}-rim-{part}")));
        }
        if v3 {
            claims.push((format!("{prefix}-{rim}-rim-cert-chain"), good()));
            claims.push(yes(format!("{prefix}-{rim}-rim-version-match")));
        } else {
            claims.push(yes(format!("{prefix}-{rim}-rim-cert-validated")));
        }
    }
    if device.is_switch() {
        claims.push(claim("x-nvidia-switch-bios-version", string(device.vbios_version)));
    } else {
        claims.push(claim("x-nvidia-gpu-vbios-index-no-conflict", Json::Bool(true)));
        claims.push(claim("x-nvidia-gpu-driver-version", string(device.driver_version)));
        claims.push(claim("x-nvidia-gpu-vbios-version", string(device.vbios_version)));
    }
    claims
}

/// A number of any length in decimal digits.
fn decimal(big_endian: &[u8]) -> String {
    let mut digits = vec![0u32];
    for byte in big_endian {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            let value = digit.saturating_mul(256).saturating_add(carry);
            *digit = value.rem_euclid(1_000_000);
            carry = value.div_euclid(1_000_000);
        }
        if carry > 0 {
            digits.push(carry);
        }
    }
    let mut parts = digits.iter().rev();
    let first = parts.next().map(u32::to_string).unwrap_or_default();
    parts.fold(first, |text, part| format!("{text}{part:06}"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn decimals() {
        assert_eq!(super::decimal(&[]), "0");
        assert_eq!(super::decimal(&[1, 0]), "256");
        let serial = const_hex::decode("5fd988c7a959dc0504f32cc5670330df8af7ea10").unwrap_or_default();
        assert_eq!(super::decimal(&serial), "547205300148529744920006007875358027656874945040");
    }
}
