//! Back ends in C and assembly: ring for AES-GCM and hashing, secp256k1 for its curve, aws-lc-rs for NIST curves.

use std::sync::OnceLock;

use ring::{aead, digest, hkdf, hmac};
use zeroize::Zeroize;

use super::{GCM_NONCE_LEN, GCM_TAG_LEN, POINT_LEN};
use crate::error::{Code, Error, Result};
use crate::secret::{Secret, wipe};

/// SHA-256 of the parts in order.
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    hash(&digest::SHA256, parts)
}

/// SHA-384 of the parts in order.
pub fn sha384(parts: &[&[u8]]) -> [u8; 48] {
    hash(&digest::SHA384, parts)
}

fn hash<const N: usize>(algorithm: &'static digest::Algorithm, parts: &[&[u8]]) -> [u8; N] {
    let mut context = digest::Context::new(algorithm);
    for part in parts {
        context.update(part);
    }
    let mut out = [0; N];
    for (to, from) in out.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    out
}

/// SHA-256 of bytes that arrive in pieces.
#[derive(Clone)]
pub struct Sha256(digest::Context);

impl Default for Sha256 {
    fn default() -> Sha256 {
        Sha256::new()
    }
}

impl Sha256 {
    /// Nothing hashed yet.
    pub fn new() -> Sha256 {
        Sha256(digest::Context::new(&digest::SHA256))
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of everything added.
    pub fn finish(self) -> [u8; 32] {
        let mut out = [0; 32];
        for (to, from) in out.iter_mut().zip(self.0.finish().as_ref()) {
            *to = *from;
        }
        out
    }
}

/// HKDF-SHA256 (RFC 5869) to one 32-byte key.
pub fn hkdf_sha256(salt: &[u8], ikm: &[u8], info: &[u8]) -> Result<Secret<32>> {
    let mut key = Secret::zero();
    let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(ikm);
    prk.expand(&[info], hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(key.expose_mut()))
        .map_err(|_| Error::new(Code::Internal))?;
    Ok(key)
}

/// HMAC-SHA256 (RFC 2104) of the parts in order, under a key of any length.
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let mut context = hmac::Context::with_key(&key);
    for part in parts {
        context.update(part);
    }
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(context.sign().as_ref()) {
        *to = *from;
    }
    // ring does not wipe its keys: another one is written over this.
    key = hmac::Key::new(hmac::HMAC_SHA256, &[0; 32]);
    zeroize::optimization_barrier(&key);
    out
}

/// An AES-256-GCM key, expanded. Wiped on drop. The caller guarantees that no nonce is used twice with one key.
pub struct AesGcm256(aead::LessSafeKey);

impl AesGcm256 {
    /// Expands a key.
    pub fn new(key: &Secret<32>) -> Result<AesGcm256> {
        expand(&aead::AES_256_GCM, key.expose()).map(AesGcm256)
    }

    /// Takes another key, which is written over the one before.
    pub fn rekey(&mut self, key: &Secret<32>) -> Result<()> {
        self.0 = expand(&aead::AES_256_GCM, key.expose())?;
        Ok(())
    }

    /// Encrypts `buffer` in place and appends the 16-byte tag.
    pub fn seal(&self, nonce: &[u8; GCM_NONCE_LEN], aad: &[u8], buffer: &mut Vec<u8>) -> Result<()> {
        let nonce = aead::Nonce::assume_unique_for_key(*nonce);
        self.0
            .seal_in_place_append_tag(nonce, aead::Aad::from(aad), buffer)
            .map_err(|_| Error::new(Code::LimitExceeded).at("AES-GCM message length"))
    }

    /// Opens `buffer` (ciphertext and tag) in place; gives the plaintext's length. On failure the buffer is wiped and the error
    /// says no more than that (threats T30, T35).
    pub fn open(&self, nonce: &[u8; GCM_NONCE_LEN], aad: &[u8], buffer: &mut [u8]) -> Result<usize> {
        let nonce = aead::Nonce::assume_unique_for_key(*nonce);
        match self.0.open_in_place(nonce, aead::Aad::from(aad), buffer) {
            Ok(plaintext) => Ok(plaintext.len()),
            Err(_) => {
                buffer.zeroize();
                Err(Error::new(Code::AuthFailed))
            }
        }
    }
}

fn expand(algorithm: &'static aead::Algorithm, key: &[u8]) -> Result<aead::LessSafeKey> {
    aead::UnboundKey::new(algorithm, key).map(aead::LessSafeKey::new).map_err(|_| Error::new(Code::Internal))
}

impl Drop for AesGcm256 {
    /// ring does not wipe its keys and does not show their bytes: the key of zeros is written over this one.
    fn drop(&mut self) {
        overwrite(&mut self.0);
    }
}

fn overwrite(key: &mut aead::LessSafeKey) {
    // Expanded once: for a short message that costs as much as encrypting it. A key is one block of memory without pointers.
    static ZEROS: OnceLock<Option<aead::LessSafeKey>> = OnceLock::new();
    if let Some(zeros) = ZEROS.get_or_init(|| expand(&aead::AES_256_GCM, &[0; 32]).ok()) {
        *key = zeros.clone();
        zeroize::optimization_barrier(key);
    }
}

/// An AES-GCM key of 128, 192 or 256 bits, expanded. Wiped on drop. The caller guarantees that no nonce is used twice with one key.
pub struct AesGcm(GcmKey);

enum GcmKey {
    /// Boxed, so that moving the key leaves no copy of it behind.
    Ring(Box<aead::LessSafeKey>),
    /// ring has no keys of 192 bits. aws-lc wipes what it frees.
    Lc(aws_lc_rs::aead::LessSafeKey),
}

impl AesGcm {
    /// Expands a key of 16, 24 or 32 bytes. Fails with `invalid_argument` for any other length.
    pub fn new(key: &[u8]) -> Result<AesGcm> {
        let key = match key.len() {
            16 => GcmKey::Ring(Box::new(expand(&aead::AES_128_GCM, key)?)),
            24 => {
                let key = aws_lc_rs::aead::UnboundKey::new(&aws_lc_rs::aead::AES_192_GCM, key);
                GcmKey::Lc(aws_lc_rs::aead::LessSafeKey::new(key.map_err(|_| Error::new(Code::Internal))?))
            }
            32 => GcmKey::Ring(Box::new(expand(&aead::AES_256_GCM, key)?)),
            _ => return Err(Error::new(Code::InvalidArgument).at("AES key length")),
        };
        Ok(AesGcm(key))
    }

    /// Encrypts `buffer` in place; gives the tag, which belongs behind it.
    pub fn seal(
        &self,
        nonce: &[u8; GCM_NONCE_LEN],
        aad: &[u8],
        buffer: &mut [u8],
    ) -> Result<[u8; GCM_TAG_LEN]> {
        let tag = match &self.0 {
            GcmKey::Ring(key) => {
                let nonce = aead::Nonce::assume_unique_for_key(*nonce);
                let tag = key.seal_in_place_separate_tag(nonce, aead::Aad::from(aad), buffer);
                tag.ok().and_then(|tag| tag.as_ref().try_into().ok())
            }
            GcmKey::Lc(key) => {
                let nonce = aws_lc_rs::aead::Nonce::assume_unique_for_key(*nonce);
                let tag = key.seal_in_place_separate_tag(nonce, aws_lc_rs::aead::Aad::from(aad), buffer);
                tag.ok().and_then(|tag| tag.as_ref().try_into().ok())
            }
        };
        tag.ok_or_else(|| Error::new(Code::LimitExceeded).at("AES-GCM message length"))
    }

    /// Opens `buffer` (ciphertext and tag) in place; gives the plaintext's length. On failure the buffer is wiped and the error
    /// says no more than that (threats T30, T35).
    pub fn open(&self, nonce: &[u8; GCM_NONCE_LEN], aad: &[u8], buffer: &mut [u8]) -> Result<usize> {
        let length = match &self.0 {
            GcmKey::Ring(key) => {
                let nonce = aead::Nonce::assume_unique_for_key(*nonce);
                key.open_in_place(nonce, aead::Aad::from(aad), buffer).ok().map(|text| text.len())
            }
            GcmKey::Lc(key) => {
                let nonce = aws_lc_rs::aead::Nonce::assume_unique_for_key(*nonce);
                let text = key.open_in_place(nonce, aws_lc_rs::aead::Aad::from(aad), buffer);
                text.ok().map(|text| text.len())
            }
        };
        length.ok_or_else(|| {
            wipe(buffer);
            Error::new(Code::AuthFailed)
        })
    }
}

impl Drop for AesGcm {
    fn drop(&mut self) {
        if let GcmKey::Ring(key) = &mut self.0 {
            overwrite(key);
        }
    }
}

/// Public key of a secp256k1 private key; `None` for zero or a value not below the group order.
pub fn secp256k1_public_key(key: &Secret<32>) -> Option<[u8; POINT_LEN]> {
    let mut secret = secp256k1::SecretKey::from_secret_bytes(*key.expose()).ok()?;
    let public = secp256k1::PublicKey::from_secret_key(&secret).serialize_uncompressed();
    secret.non_secure_erase();
    Some(public)
}

/// Checks a SEC1 point, compressed (33 bytes) or uncompressed (65 bytes, first byte 0x04; hybrid forms are refused), and gives it
/// uncompressed.
pub fn secp256k1_parse(point: &[u8]) -> Option<[u8; POINT_LEN]> {
    parse_point(point).map(|point| point.serialize_uncompressed())
}

fn parse_point(point: &[u8]) -> Option<secp256k1::PublicKey> {
    match (point.len(), point.first()) {
        (33, Some(2 | 3)) | (POINT_LEN, Some(4)) => secp256k1::PublicKey::from_slice(point).ok(),
        _ => None,
    }
}

/// The x-coordinate of the shared point of a private key and an uncompressed public key, 32 bytes big-endian.
/// Fails with `invalid_point`.
pub fn secp256k1_ecdh_x(key: &Secret<32>, public: &[u8; POINT_LEN]) -> Result<Secret<32>> {
    let public = parse_point(public).ok_or(Code::InvalidPoint)?;
    let mut secret = secp256k1::SecretKey::from_secret_bytes(*key.expose())
        .map_err(|_| Error::new(Code::InvalidArgument))?;
    let mut point = secp256k1::ecdh::shared_secret_point(&public, &secret);
    secret.non_secure_erase();
    let mut x = Secret::zero();
    for (to, from) in x.expose_mut().iter_mut().zip(&point) {
        *to = *from;
    }
    point.zeroize();
    Ok(x)
}

/// Recovers the uncompressed public key from a secp256k1 ECDSA signature over a 32-byte digest; `recovery` is 0 or 1.
pub fn secp256k1_recover(digest: &[u8; 32], signature: &[u8; 64], recovery: u8) -> Option<[u8; POINT_LEN]> {
    use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
    let id = RecoveryId::try_from(i32::from(recovery)).ok()?;
    let signature = RecoverableSignature::from_compact(signature, id).ok()?;
    let message = secp256k1::Message::from_digest(*digest);
    signature.recover(message).ok().map(|key| key.serialize_uncompressed())
}

/// ECDSA P-256 with SHA-256, signature `r || s` (64 bytes).
pub fn p256_verify_fixed(public: &[u8], message: &[u8], signature: &[u8]) -> bool {
    super::is_uncompressed(public, 65)
        && verify(&aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED, public, message, signature)
}

/// ECDSA P-256 with SHA-256, signature in DER.
pub fn p256_verify_der(public: &[u8], message: &[u8], signature: &[u8]) -> bool {
    super::is_uncompressed(public, 65)
        && verify(&aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1, public, message, signature)
}

/// Public key of a P-256 private key; `None` for zero or a value not below the group order.
pub fn p256_public_key(key: &Secret<32>) -> Option<[u8; POINT_LEN]> {
    use aws_lc_rs::agreement::{ECDH_P256, PrivateKey};
    let key = PrivateKey::from_private_key(&ECDH_P256, key.expose()).ok()?;
    key.compute_public_key().ok()?.as_ref().try_into().ok()
}

/// Signs with ECDSA P-256 and SHA-256: `r || s`, 64 bytes. The number that ECDSA needs for each signature is drawn inside aws-lc, which
/// mixes the key and the message into it, so that a weak source of the system does not give the key away.
/// Fails with `invalid_argument` for a key outside the valid range.
pub fn p256_sign_fixed(key: &Secret<32>, message: &[u8]) -> Result<[u8; 64]> {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
    let refuse = || Error::new(Code::InvalidArgument).at("signing key");
    let public = p256_public_key(key).ok_or_else(refuse)?;
    let pair = EcdsaKeyPair::from_private_key_and_public_key(
        &ECDSA_P256_SHA256_FIXED_SIGNING,
        key.expose(),
        &public,
    )
    .map_err(|_| refuse())?;
    let signature =
        pair.sign(&aws_lc_rs::rand::SystemRandom::new(), message).map_err(|_| Error::new(Code::Internal))?;
    signature.as_ref().try_into().map_err(|_| Error::new(Code::Internal))
}

/// ECDSA P-384 with SHA-384, signature `r || s` (96 bytes).
pub fn p384_verify_fixed(public: &[u8], message: &[u8], signature: &[u8]) -> bool {
    super::is_uncompressed(public, 97)
        && verify(&aws_lc_rs::signature::ECDSA_P384_SHA384_FIXED, public, message, signature)
}

/// ECDSA P-384 with SHA-384, signature in DER.
pub fn p384_verify_der(public: &[u8], message: &[u8], signature: &[u8]) -> bool {
    super::is_uncompressed(public, 97)
        && verify(&aws_lc_rs::signature::ECDSA_P384_SHA384_ASN1, public, message, signature)
}

/// ECDSA P-384 with SHA-256, signature in DER.
pub fn p384_sha256_verify_der(public: &[u8], message: &[u8], signature: &[u8]) -> bool {
    super::is_uncompressed(public, 97)
        && verify(&aws_lc_rs::signature::ECDSA_P384_SHA256_ASN1, public, message, signature)
}

/// RSASSA-PKCS1-v1_5 (RFC 8017 section 8.2) with SHA-256 under a key of exactly 2048 bits with exponent 65537; modulus and signature
/// are 256 bytes big-endian.
pub fn rsa_pkcs1_sha256_verify(modulus: &[u8], message: &[u8], signature: &[u8]) -> bool {
    super::is_rsa(super::RSA_2048_LEN, modulus, signature)
        && rsa_verify(&aws_lc_rs::signature::RSA_PKCS1_2048_8192_SHA256, modulus, message, signature)
}

/// RSASSA-PSS (RFC 8017 section 8.1) with SHA-384, MGF1 with SHA-384, a salt of 48 bytes and trailer 0xbc, under a key of exactly 4096 bits
/// with exponent 65537; modulus and signature are 512 bytes big-endian.
pub fn rsa_pss_sha384_verify(modulus: &[u8], message: &[u8], signature: &[u8]) -> bool {
    super::is_rsa(super::RSA_4096_LEN, modulus, signature)
        && rsa_verify(&aws_lc_rs::signature::RSA_PSS_2048_8192_SHA384, modulus, message, signature)
}

fn rsa_verify(
    algorithm: &'static aws_lc_rs::signature::RsaParameters,
    modulus: &[u8],
    message: &[u8],
    signature: &[u8],
) -> bool {
    const EXPONENT: &[u8] = &[1, 0, 1];
    aws_lc_rs::signature::RsaPublicKeyComponents { n: modulus, e: EXPONENT }
        .verify(algorithm, message, signature)
        .is_ok()
}

/// Ed25519 (RFC 8032).
pub fn ed25519_verify(public: &[u8], message: &[u8], signature: &[u8]) -> bool {
    verify(&aws_lc_rs::signature::ED25519, public, message, signature)
}

fn verify(
    algorithm: &'static dyn aws_lc_rs::signature::VerificationAlgorithm,
    public: &[u8],
    message: &[u8],
    signature: &[u8],
) -> bool {
    aws_lc_rs::signature::UnparsedPublicKey::new(algorithm, public).verify(message, signature).is_ok()
}
