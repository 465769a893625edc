//! Back ends in pure Rust, without a C compiler: the RustCrypto curves, RSA, AES-GCM and hashes, and ed25519-dalek (docs/adr/0003).
//!
//! Same functions and same answers as `native`; the tests run both on the same inputs.

use aes_gcm::aead::{AeadInOut, KeyInit};
use ed25519_dalek::Verifier;
use k256::ecdsa::signature::hazmat::PrehashVerifier;
use sha2::Digest;
use zeroize::Zeroize;

use super::{GCM_NONCE_LEN, GCM_TAG_LEN, POINT_LEN};
use crate::error::{Code, Error, Result};
use crate::secret::Secret;
use crate::wire::Reader;

/// SHA-256 of the parts in order.
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finish()
}

/// SHA-384 of the parts in order.
pub fn sha384(parts: &[&[u8]]) -> [u8; 48] {
    let mut hasher = sha2::Sha384::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize().into()
}

/// SHA-256 of bytes that arrive in pieces.
#[derive(Clone)]
pub struct Sha256(sha2::Sha256);

impl Default for Sha256 {
    fn default() -> Sha256 {
        Sha256::new()
    }
}

impl Sha256 {
    /// Nothing hashed yet.
    pub fn new() -> Sha256 {
        Sha256(sha2::Sha256::new())
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of everything added.
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// HKDF-SHA256 (RFC 5869) to one 32-byte key.
pub fn hkdf_sha256(salt: &[u8], ikm: &[u8], info: &[u8]) -> Result<Secret<32>> {
    let mut key = Secret::zero();
    hkdf::Hkdf::<sha2::Sha256>::new(Some(salt), ikm)
        .expand(info, key.expose_mut())
        .map_err(|_| Error::new(Code::Internal))?;
    Ok(key)
}

/// An AES-256-GCM key, expanded. Wiped on drop. The caller guarantees that no nonce is used twice with one key.
pub struct AesGcm256(aes_gcm::Aes256Gcm);

impl AesGcm256 {
    /// Expands a key.
    pub fn new(key: &Secret<32>) -> Result<AesGcm256> {
        aes_gcm::Aes256Gcm::new_from_slice(key.expose())
            .map(AesGcm256)
            .map_err(|_| Error::new(Code::Internal))
    }

    /// Takes another key; the one before is wiped.
    pub fn rekey(&mut self, key: &Secret<32>) -> Result<()> {
        *self = AesGcm256::new(key)?;
        Ok(())
    }

    /// Encrypts `buffer` in place and appends the 16-byte tag.
    pub fn seal(&self, nonce: &[u8; GCM_NONCE_LEN], aad: &[u8], buffer: &mut Vec<u8>) -> Result<()> {
        let tag = self
            .0
            .encrypt_inout_detached(&(*nonce).into(), aad, buffer.as_mut_slice().into())
            .map_err(|_| Error::new(Code::LimitExceeded).at("AES-GCM message length"))?;
        buffer.extend_from_slice(&tag);
        Ok(())
    }

    /// Opens `buffer` (ciphertext and tag) in place; gives the plaintext's length. On failure the buffer is wiped and the error
    /// says no more than that (threats T30, T35).
    pub fn open(&self, nonce: &[u8; GCM_NONCE_LEN], aad: &[u8], buffer: &mut [u8]) -> Result<usize> {
        let opened = buffer.split_last_chunk_mut::<GCM_TAG_LEN>().and_then(|(text, tag)| {
            let tag = (*tag).into();
            self.0.decrypt_inout_detached(&(*nonce).into(), aad, (&mut *text).into(), &tag).ok()?;
            Some(text.len())
        });
        opened.ok_or_else(|| {
            buffer.zeroize();
            Error::new(Code::AuthFailed)
        })
    }
}

/// Public key of a secp256k1 private key; `None` for zero or a value not below the group order.
pub fn secp256k1_public_key(key: &Secret<32>) -> Option<[u8; POINT_LEN]> {
    let secret = k256::SecretKey::from_slice(key.expose()).ok()?;
    uncompressed(&secret.public_key())
}

/// Checks a SEC1 point, compressed (33 bytes) or uncompressed (65 bytes, first byte 0x04; hybrid forms are refused), and gives it
/// uncompressed.
pub fn secp256k1_parse(point: &[u8]) -> Option<[u8; POINT_LEN]> {
    uncompressed(&parse_point(point)?)
}

fn parse_point(point: &[u8]) -> Option<k256::PublicKey> {
    match (point.len(), point.first()) {
        (33, Some(2 | 3)) | (POINT_LEN, Some(4)) => k256::PublicKey::from_sec1_bytes(point).ok(),
        _ => None,
    }
}

fn uncompressed(key: &k256::PublicKey) -> Option<[u8; POINT_LEN]> {
    use k256::elliptic_curve::sec1::ToSec1Point;
    key.to_sec1_point(false).as_bytes().try_into().ok()
}

/// The x-coordinate of the shared point of a private key and an uncompressed public key, 32 bytes big-endian.
/// Fails with `invalid_point`.
pub fn secp256k1_ecdh_x(key: &Secret<32>, public: &[u8; POINT_LEN]) -> Result<Secret<32>> {
    let public = parse_point(public).ok_or(Code::InvalidPoint)?;
    let secret = k256::SecretKey::from_slice(key.expose()).map_err(|_| Error::new(Code::InvalidArgument))?;
    let shared = k256::ecdh::diffie_hellman(secret.to_nonzero_scalar(), public.as_affine());
    let mut x = Secret::zero();
    x.expose_mut().copy_from_slice(shared.raw_secret_bytes());
    Ok(x)
}

/// Recovers the uncompressed public key from a secp256k1 ECDSA signature over a 32-byte digest; `recovery` is 0 or 1.
pub fn secp256k1_recover(digest: &[u8; 32], signature: &[u8; 64], recovery: u8) -> Option<[u8; POINT_LEN]> {
    let id = k256::ecdsa::RecoveryId::from_byte(recovery)?;
    let signature = k256::ecdsa::Signature::from_slice(signature).ok()?;
    let key = k256::ecdsa::VerifyingKey::recover_from_prehash(digest, &signature, id).ok()?;
    key.to_sec1_point(false).as_bytes().try_into().ok()
}

/// ECDSA P-256 with SHA-256, signature `r || s` (64 bytes).
pub fn p256_verify_fixed(public: &[u8], message: &[u8], signature: &[u8]) -> bool {
    verify_p256(public, message, signature).is_some()
}

/// ECDSA P-256 with SHA-256, signature in DER.
pub fn p256_verify_der(public: &[u8], message: &[u8], signature: &[u8]) -> bool {
    der_to_fixed::<32>(signature).is_some_and(|fixed| verify_p256(public, message, &fixed).is_some())
}

/// Public key of a P-256 private key; `None` for zero or a value not below the group order.
pub fn p256_public_key(key: &Secret<32>) -> Option<[u8; POINT_LEN]> {
    let key = p256::ecdsa::SigningKey::from_slice(key.expose()).ok()?;
    key.verifying_key().to_sec1_point(false).as_bytes().try_into().ok()
}

/// Signs with ECDSA P-256 and SHA-256: `r || s`, 64 bytes; deterministic (RFC 6979).
/// Fails with `invalid_argument` for a key outside the valid range.
pub fn p256_sign_fixed(key: &Secret<32>, message: &[u8]) -> Result<[u8; 64]> {
    use p256::ecdsa::signature::hazmat::PrehashSigner;
    let refuse = |_| Error::new(Code::InvalidArgument).at("signing key");
    let key = p256::ecdsa::SigningKey::from_slice(key.expose()).map_err(refuse)?;
    let signature: p256::ecdsa::Signature = key.sign_prehash(&sha256(&[message])).map_err(refuse)?;
    Ok(signature.to_bytes().into())
}

/// ECDSA P-384 with SHA-384, signature `r || s` (96 bytes).
pub fn p384_verify_fixed(public: &[u8], message: &[u8], signature: &[u8]) -> bool {
    verify_p384(public, &sha384(&[message]), signature).is_some()
}

/// ECDSA P-384 with SHA-384, signature in DER.
pub fn p384_verify_der(public: &[u8], message: &[u8], signature: &[u8]) -> bool {
    der_to_fixed::<48>(signature)
        .is_some_and(|fixed| verify_p384(public, &sha384(&[message]), &fixed).is_some())
}

/// ECDSA P-384 with SHA-256, signature in DER.
pub fn p384_sha256_verify_der(public: &[u8], message: &[u8], signature: &[u8]) -> bool {
    der_to_fixed::<48>(signature)
        .is_some_and(|fixed| verify_p384(public, &sha256(&[message]), &fixed).is_some())
}

fn verify_p256(public: &[u8], message: &[u8], signature: &[u8]) -> Option<()> {
    if !super::is_uncompressed(public, 65) {
        return None;
    }
    let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(public).ok()?;
    let signature = p256::ecdsa::Signature::from_slice(signature).ok()?;
    key.verify_prehash(&sha256(&[message]), &signature).ok()
}

fn verify_p384(public: &[u8], digest: &[u8], signature: &[u8]) -> Option<()> {
    if !super::is_uncompressed(public, 97) {
        return None;
    }
    let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(public).ok()?;
    let signature = p384::ecdsa::Signature::from_slice(signature).ok()?;
    key.verify_prehash(digest, &signature).ok()
}

/// `SEQUENCE { INTEGER r, INTEGER s }` in DER to `r || s` of `2 * HALF` bytes. All lengths here are below 128, so only the
/// one-byte form is legal.
fn der_to_fixed<const HALF: usize>(der: &[u8]) -> Option<Vec<u8>> {
    let mut outer = Reader::new(der);
    if outer.u8()? != 0x30 || usize::from(outer.u8()?) != outer.rest().len() {
        return None;
    }
    let mut fixed = Vec::with_capacity(HALF.saturating_mul(2));
    for _ in 0..2 {
        if outer.u8()? != 0x02 {
            return None;
        }
        let length = usize::from(outer.u8()?);
        let integer = outer.bytes(length)?;
        let magnitude = match integer {
            [0, next, ..] if *next < 0x80 => return None, // not minimal
            [0, rest @ ..] => rest,
            [first, ..] if *first >= 0x80 => return None, // negative
            _ => integer,
        };
        let padding = HALF.checked_sub(magnitude.len())?;
        fixed.resize(fixed.len().saturating_add(padding), 0);
        fixed.extend_from_slice(magnitude);
    }
    outer.is_empty().then_some(fixed)
}

/// RSASSA-PKCS1-v1_5 (RFC 8017 section 8.2) with SHA-256 under a key of exactly 2048 bits with exponent 65537; modulus and signature
/// are 256 bytes big-endian.
pub fn rsa_pkcs1_sha256_verify(modulus: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let padding = rsa::Pkcs1v15Sign::new::<rsa::sha2::Sha256>();
    super::is_rsa(super::RSA_2048_LEN, modulus, signature)
        && rsa_verify(padding, modulus, &sha256(&[message]), signature)
}

/// RSASSA-PSS (RFC 8017 section 8.1) with SHA-384, MGF1 with SHA-384, a salt of 48 bytes and trailer 0xbc, under a key of exactly 4096 bits
/// with exponent 65537; modulus and signature are 512 bytes big-endian.
pub fn rsa_pss_sha384_verify(modulus: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let padding = rsa::Pss::new_with_salt::<rsa::sha2::Sha384>(48);
    super::is_rsa(super::RSA_4096_LEN, modulus, signature)
        && rsa_verify(padding, modulus, &sha384(&[message]), signature)
}

fn rsa_verify(
    padding: impl rsa::traits::SignatureScheme,
    modulus: &[u8],
    digest: &[u8],
    signature: &[u8],
) -> bool {
    let modulus = rsa::BigUint::from_bytes_be(modulus);
    rsa::RsaPublicKey::new(modulus, rsa::BigUint::from(65537_u32))
        .is_ok_and(|key| key.verify(padding, digest, signature).is_ok())
}

/// Ed25519 (RFC 8032).
pub fn ed25519_verify(public: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let Ok(public) = <&[u8; 32]>::try_from(public) else { return false };
    let Ok(signature) = ed25519_dalek::Signature::from_slice(signature) else { return false };
    ed25519_dalek::VerifyingKey::from_bytes(public).is_ok_and(|key| key.verify(message, &signature).is_ok())
}
