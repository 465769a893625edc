//! The enclave's side of the ecdsa-v1 field envelope (venice.md 3.2), on `k256` and `aes-gcm`.
//!
//! On purpose not the core's sealing: the two implementations check each other in every simulated chat.

use std::fmt;

use aes_gcm::aead::{Aead, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};
use hkdf::Hkdf;
use k256::elliptic_curve::sec1::ToSec1Point;
use k256::{PublicKey, SecretKey};
use sha2::Sha256;

use crate::forge::Random;

const INFO: &[u8] = b"ecdsa_encryption";
/// Point, nonce and tag of an envelope around nothing, in bytes.
pub const OVERHEAD: usize = 93;

/// Why a field did not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// Not hex, or not of even length.
    NotHex,
    /// Hex, but too short or not starting with an uncompressed point.
    NotAnEnvelope,
    /// Wrong key, or altered.
    Failed,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OpenError::NotHex => "Encrypted field is not valid hex",
            OpenError::NotAnEnvelope | OpenError::Failed => "Failed to decrypt field",
        })
    }
}

/// A public key in the one encoding that is accepted: 65 bytes, first byte 0x04, on the curve.
pub fn parse_point(bytes: &[u8]) -> Option<PublicKey> {
    if bytes.len() != 65 || bytes.first() != Some(&4) {
        return None;
    }
    PublicKey::from_sec1_bytes(bytes).ok()
}

fn field_key(private: &SecretKey, public: &PublicKey) -> Option<Aes256Gcm> {
    let shared = k256::ecdh::diffie_hellman(private.to_nonzero_scalar(), public.as_affine());
    let mut key = [0; 32];
    Hkdf::<Sha256>::new(None, shared.raw_secret_bytes()).expand(INFO, &mut key).ok()?;
    Aes256Gcm::new_from_slice(&key).ok()
}

/// Seals with the given ephemeral key and nonce. `None` when a key is not one.
pub fn seal_with(
    ephemeral: &[u8; 32],
    nonce: &[u8; 12],
    recipient: &[u8],
    plaintext: &[u8],
) -> Option<String> {
    let recipient = parse_point(recipient)?;
    let ephemeral = SecretKey::from_slice(ephemeral).ok()?;
    let sealed = field_key(&ephemeral, &recipient)?.encrypt(&Nonce::from(*nonce), plaintext).ok()?;
    let point = ephemeral.public_key().to_sec1_point(false);
    Some(const_hex::encode([point.as_bytes(), nonce, &sealed].concat()))
}

/// Seals with a fresh ephemeral key and nonce. `None` when `recipient` is not a key.
pub fn seal(recipient: &[u8], plaintext: &[u8], random: &mut Random) -> Option<String> {
    parse_point(recipient)?;
    loop {
        // Repeats only for an ephemeral key outside the curve's range, with probability 2^-128.
        if let Some(field) = seal_with(&random.bytes(), &random.bytes(), recipient, plaintext) {
            return Some(field);
        }
    }
}

/// Opens a field with the recipient's private key.
pub fn open(private: &[u8; 32], field: &str) -> Result<Vec<u8>, OpenError> {
    let bytes = match const_hex::decode(field) {
        Ok(bytes) if !field.starts_with("0x") => bytes,
        _ => return Err(OpenError::NotHex),
    };
    let (Some(point), Some(nonce), Some(sealed)) = (bytes.get(..65), bytes.get(65..77), bytes.get(77..))
    else {
        return Err(OpenError::NotAnEnvelope);
    };
    let point = parse_point(point).ok_or(OpenError::NotAnEnvelope)?;
    let nonce = <[u8; 12]>::try_from(nonce).map_err(|_| OpenError::NotAnEnvelope)?;
    let private = SecretKey::from_slice(private).map_err(|_| OpenError::Failed)?;
    field_key(&private, &point)
        .and_then(|key| key.decrypt(&Nonce::from(nonce), sealed).ok())
        .ok_or(OpenError::Failed)
}
