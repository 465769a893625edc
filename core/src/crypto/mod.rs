//! The only place that names a cryptography crate (docs/adr/0003).
//!
//! Two back ends offer the same functions: `native` (ring, aws-lc-rs, secp256k1; default) and `portable` (pure Rust). With both
//! features on, the tests run the same vectors through both and feed both the same random inputs.
//!
//! Conventions: public keys on NIST curves and secp256k1 are SEC1 uncompressed (65 or 97 bytes, first byte 0x04); fixed-length
//! signatures are `r || s` big-endian; every verification returns a plain `bool`, without a reason.
//!
//! HPKE is in pure Rust in both sets: none of the C libraries has X-Wing.

mod hpke;
#[cfg(feature = "native")]
mod native;
// With `native` on as well, only the tests look at the second back end.
#[cfg(all(test, feature = "native", feature = "portable"))]
mod differential;
#[cfg(all(test, feature = "native", feature = "portable"))]
mod differential_rsa;
#[cfg(feature = "portable")]
#[cfg_attr(feature = "native", allow(dead_code, reason = "compared with `native` by the tests"))]
mod portable;
mod recover;

#[cfg(not(any(feature = "native", feature = "portable")))]
compile_error!("choose a cryptography back end: feature `native` or `portable`");

use crate::error::{Code, Error, Result};
use crate::secret::Secret;
pub use hpke::{
    HpkeReceiver, HpkeSender, X25519_KEY_LEN, XWING_ENCAPSULATED_LEN, XWING_PUBLIC_LEN, XwingKey,
    x25519_public_key, x25519_receive, x25519_send, xwing_public_key, xwing_receive, xwing_send,
};
#[cfg(feature = "native")]
pub use native::{
    AesGcm, AesGcm256, Sha256, ed25519_verify, hkdf_sha256, hmac_sha256, p256_public_key, p256_sign_fixed,
    p256_verify_der, p256_verify_fixed, p384_sha256_verify_der, p384_verify_der, p384_verify_fixed,
    rsa_pkcs1_sha256_verify, rsa_pss_sha384_verify, secp256k1_ecdh_x, secp256k1_parse, secp256k1_public_key,
    secp256k1_recover, sha256, sha384,
};
#[cfg(all(feature = "portable", not(feature = "native")))]
pub use portable::{
    AesGcm, AesGcm256, Sha256, ed25519_verify, hkdf_sha256, hmac_sha256, p256_public_key, p256_sign_fixed,
    p256_verify_der, p256_verify_fixed, p384_sha256_verify_der, p384_verify_der, p384_verify_fixed,
    rsa_pkcs1_sha256_verify, rsa_pss_sha384_verify, secp256k1_ecdh_x, secp256k1_parse, secp256k1_public_key,
    secp256k1_recover, sha256, sha384,
};
pub use recover::p384_recover;

/// Length of a GCM tag in bytes.
pub const GCM_TAG_LEN: usize = 16;
/// Length of a GCM nonce in bytes.
pub const GCM_NONCE_LEN: usize = 12;
/// Length of an uncompressed secp256k1 or P-256 point in bytes.
pub const POINT_LEN: usize = 65;

/// Length of the modulus and of a signature of RSA-2048 in bytes.
pub const RSA_2048_LEN: usize = 256;

/// Length of the modulus and of a signature of RSA-4096 in bytes.
pub const RSA_4096_LEN: usize = 512;

/// A source of random bytes, given by the caller.
///
/// Hosts pass the operating system's source; vectors and tests pass a fixed one. An implementation must never repeat its output.
pub trait SecureRandom {
    /// Fills `out`, or fails with `random_failed`.
    fn fill(&mut self, out: &mut [u8]) -> Result<()>;
}

/// A fresh 32-byte secp256k1 private key.
pub fn secp256k1_generate(rng: &mut dyn SecureRandom) -> Result<Secret<32>> {
    let mut key = Secret::zero();
    // A random string is outside the valid range with probability 2^-128; a source that repeats such strings is broken.
    for _ in 0..4 {
        rng.fill(key.expose_mut())?;
        if secp256k1_public_key(&key).is_some() {
            return Ok(key);
        }
    }
    Err(Error::new(Code::RandomFailed))
}

/// Keccak-256 with the original padding (not SHA3-256), as Ethereum addresses use it.
pub fn keccak256(parts: &[&[u8]]) -> [u8; 32] {
    use sha3::Digest;
    let mut hasher = sha3::Keccak256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// True for a SEC1 uncompressed point of `length` bytes: the libraries also take other forms, each its own set.
fn is_uncompressed(point: &[u8], length: usize) -> bool {
    point.len() == length && point.first() == Some(&4)
}

/// True for an RSA modulus of exactly `length` bytes with its first bit set and a signature that is a number below it, both of that
/// length big-endian. The libraries differ on other sizes, on even moduli and on numbers from the modulus on.
fn is_rsa(length: usize, modulus: &[u8], signature: &[u8]) -> bool {
    modulus.len() == length
        && signature.len() == length
        && modulus.first().is_some_and(|byte| byte & 0x80 != 0)
        && modulus.last().is_some_and(|byte| byte & 1 == 1)
        && signature < modulus
}
