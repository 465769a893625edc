//! Signing keys of the forge: P-256 and P-384 for certificates and reports, secp256k1 for enclaves.

use k256::elliptic_curve::sec1::ToSec1Point;
use p256::ecdsa::signature::Signer;
use sha2::{Digest, Sha256};
use sha3::Keccak256;

use super::der;
use super::random::Random;

/// A private key on a NIST curve; signatures are deterministic (RFC 6979) with the curve's own hash (SHA-256, SHA-384).
#[derive(Clone)]
pub enum EcKey {
    /// P-256, as Intel uses it.
    P256(p256::ecdsa::SigningKey),
    /// P-384, as NVIDIA uses it.
    P384(p384::ecdsa::SigningKey),
}

const OID_EC_PUBLIC_KEY: &[u32] = &[1, 2, 840, 10045, 2, 1];
const OID_P256: &[u32] = &[1, 2, 840, 10045, 3, 1, 7];
const OID_P384: &[u32] = &[1, 3, 132, 0, 34];
const OID_ECDSA_SHA256: &[u32] = &[1, 2, 840, 10045, 4, 3, 2];
const OID_ECDSA_SHA384: &[u32] = &[1, 2, 840, 10045, 4, 3, 3];

impl EcKey {
    /// A fresh P-256 key.
    pub fn p256(random: &mut Random) -> EcKey {
        loop {
            // A random string is outside the range of keys with probability 2^-32 at most.
            if let Ok(key) = p256::ecdsa::SigningKey::from_slice(&random.bytes::<32>()) {
                return EcKey::P256(key);
            }
        }
    }

    /// A fresh P-384 key.
    pub fn p384(random: &mut Random) -> EcKey {
        loop {
            if let Ok(key) = p384::ecdsa::SigningKey::from_slice(&random.bytes::<48>()) {
                return EcKey::P384(key);
            }
        }
    }

    /// Signature of `message`, `r || s` big-endian: 64 or 96 bytes.
    pub fn sign_fixed(&self, message: &[u8]) -> Vec<u8> {
        match self {
            EcKey::P256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(message);
                signature.to_bytes().to_vec()
            }
            EcKey::P384(key) => {
                let signature: p384::ecdsa::Signature = key.sign(message);
                signature.to_bytes().to_vec()
            }
        }
    }

    /// Signature of `message` as DER `SEQUENCE { r, s }`.
    pub fn sign_der(&self, message: &[u8]) -> Vec<u8> {
        der_signature(&self.sign_fixed(message))
    }

    /// Signature of a digest of at least half the curve's length, made by the caller, as DER; empty for a shorter one.
    pub fn sign_digest_der(&self, digest: &[u8]) -> Vec<u8> {
        use p256::ecdsa::signature::hazmat::PrehashSigner;
        let fixed = match self {
            EcKey::P256(key) => key
                .sign_prehash(digest)
                .map(|signature: p256::ecdsa::Signature| signature.to_bytes().to_vec()),
            EcKey::P384(key) => key
                .sign_prehash(digest)
                .map(|signature: p384::ecdsa::Signature| signature.to_bytes().to_vec()),
        };
        fixed.map(|fixed| der_signature(&fixed)).unwrap_or_default()
    }

    /// Public point, uncompressed with its leading 0x04: 65 or 97 bytes.
    pub fn public_point(&self) -> Vec<u8> {
        match self {
            EcKey::P256(key) => key.verifying_key().to_sec1_point(false).as_bytes().to_vec(),
            EcKey::P384(key) => key.verifying_key().to_sec1_point(false).as_bytes().to_vec(),
        }
    }

    /// Public point without its leading 0x04: 64 or 96 bytes, the form inside quotes.
    pub fn public_xy(&self) -> Vec<u8> {
        self.public_point().split_off(1)
    }

    /// SubjectPublicKeyInfo, DER.
    pub fn spki(&self) -> Vec<u8> {
        let curve = match self {
            EcKey::P256(_) => OID_P256,
            EcKey::P384(_) => OID_P384,
        };
        let algorithm = der::sequence(&[&der::oid(OID_EC_PUBLIC_KEY), &der::oid(curve)]);
        der::sequence(&[&algorithm, &der::bits(&self.public_point())])
    }

    /// Identifier of the key for certificates: the first 20 bytes of SHA-256 over the public point (RFC 7093, method 1).
    pub fn identifier(&self) -> [u8; 20] {
        let digest = Sha256::digest(self.public_point());
        let mut out = [0; 20];
        out.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        out
    }

    /// AlgorithmIdentifier of this key's signatures, DER.
    pub fn signature_algorithm(&self) -> Vec<u8> {
        der::sequence(&[&der::oid(match self {
            EcKey::P256(_) => OID_ECDSA_SHA256,
            EcKey::P384(_) => OID_ECDSA_SHA384,
        })])
    }
}

/// `SEQUENCE { r, s }` of `r || s`.
fn der_signature(fixed: &[u8]) -> Vec<u8> {
    let (r, s) = fixed.split_at(fixed.len().div_euclid(2));
    der::sequence(&[&der::integer(r), &der::integer(s)])
}

/// The secp256k1 key of a simulated enclave: clients encrypt to it, and it signs responses.
#[derive(Clone)]
pub struct EnclaveKey(k256::ecdsa::SigningKey);

impl EnclaveKey {
    /// A fresh key.
    pub fn generate(random: &mut Random) -> EnclaveKey {
        loop {
            if let Ok(key) = k256::ecdsa::SigningKey::from_slice(&random.bytes::<32>()) {
                return EnclaveKey(key);
            }
        }
    }

    /// The private scalar, big-endian.
    pub fn private_bytes(&self) -> [u8; 32] {
        self.0.to_bytes().into()
    }

    /// Public point, uncompressed: 65 bytes starting with 0x04.
    pub fn public_point(&self) -> [u8; 65] {
        let mut out = [0; 65];
        let point = self.0.verifying_key().as_affine().to_sec1_point(false);
        out.iter_mut().zip(point.as_bytes()).for_each(|(to, from)| *to = *from);
        out
    }

    /// Ethereum-style address: the last 20 bytes of Keccak-256 over the 64 bytes after 0x04.
    pub fn address(&self) -> [u8; 20] {
        let point = self.public_point();
        let digest = Keccak256::digest(point.split_first().map(|(_, xy)| xy).unwrap_or_default());
        let mut out = [0; 20];
        out.iter_mut().rev().zip(digest.iter().rev()).for_each(|(to, from)| *to = *from);
        out
    }

    /// EIP-191 signature of `text`: `r || s || v`, 65 bytes, v 27 or 28 (venice.md 5.4).
    pub fn sign_eip191(&self, text: &str) -> [u8; 65] {
        let mut digest = Keccak256::new();
        digest.update(format!("\x19Ethereum Signed Message:\n{}", text.len()));
        digest.update(text);
        let (signature, recovery) = self.0.sign_prehash_recoverable(&digest.finalize());
        let mut out = [0; 65];
        let bytes = signature.to_bytes();
        let v = recovery.to_byte().saturating_add(27);
        out.iter_mut().zip(bytes.into_iter().chain([v])).for_each(|(to, from)| *to = from);
        out
    }
}
