//! What a chunk contains and nothing else, and what existing clients do instead.

use ring::{aead, hkdf};
use secp256k1::{PublicKey, SecretKey};

/// Length of an envelope's ephemeral key.
const POINT: usize = 65;
/// Length of its nonce.
const NONCE: usize = 12;
/// HKDF info of the scheme.
const INFO: &[u8] = b"ecdsa_encryption";

/// The operations of one envelope with the fastest libraries: point parse and multiplication (secp256k1), HKDF-SHA256 and
/// AES-256-GCM (ring). Gives the plaintext's length.
pub fn open(secret: &SecretKey, envelope: &[u8], scratch: &mut Vec<u8>) -> usize {
    let point = PublicKey::from_slice(&envelope[..POINT]).expect("a point");
    let shared = secp256k1::ecdh::shared_secret_point(&point, secret);
    open_under(&derive(&shared[..32]), envelope, scratch)
}

/// Key expansion and AES-256-GCM only.
pub fn open_under(key: &[u8; 32], envelope: &[u8], scratch: &mut Vec<u8>) -> usize {
    let key = aead::UnboundKey::new(&aead::AES_256_GCM, key).expect("a key");
    let nonce = aead::Nonce::try_assume_unique_for_key(&envelope[POINT..POINT + NONCE]).expect("a nonce");
    scratch.clear();
    scratch.extend_from_slice(&envelope[POINT + NONCE..]);
    aead::LessSafeKey::new(key).open_in_place(nonce, aead::Aad::empty(), scratch).expect("a good tag").len()
}

/// The AES key of an envelope.
pub fn key_of(secret: &SecretKey, envelope: &[u8]) -> [u8; 32] {
    let point = PublicKey::from_slice(&envelope[..POINT]).expect("a point");
    derive(&secp256k1::ecdh::shared_secret_point(&point, secret)[..32])
}

fn derive(shared: &[u8]) -> [u8; 32] {
    let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(shared);
    let mut key = [0; 32];
    prk.expand(&[INFO], hkdf::HKDF_SHA256).and_then(|okm| okm.fill(&mut key)).expect("32 bytes");
    key
}

/// One event as existing Rust clients for Venice open it: a `serde_json::Value` of the data, the content's hex decoded, then k256
/// 0.13, hkdf 0.12 and aes-gcm 0.10 into a new string. The line has been framed already.
pub fn open_as_others(secret: &k256_013::SecretKey, data: &[u8]) -> String {
    use aes_gcm_010::aead::Aead;
    use aes_gcm_010::{Aes256Gcm, KeyInit, Nonce};

    let value: serde_json::Value = serde_json::from_slice(data).expect("JSON");
    let content = value["choices"][0]["delta"]["content"].as_str().expect("a content");
    let envelope = const_hex::decode(content).expect("hex");
    let point = k256_013::PublicKey::from_sec1_bytes(&envelope[..POINT]).expect("a point");
    let shared = k256_013::ecdh::diffie_hellman(secret.to_nonzero_scalar(), point.as_affine());
    let mut key = [0; 32];
    let hkdf = hkdf_012::Hkdf::<sha2_010::Sha256>::new(None, shared.raw_secret_bytes());
    hkdf.expand(INFO, &mut key).expect("32 bytes");
    let cipher = Aes256Gcm::new_from_slice(&key).expect("a key");
    let nonce = Nonce::from_slice(&envelope[POINT..POINT + NONCE]);
    let plaintext = cipher.decrypt(nonce, &envelope[POINT + NONCE..]).expect("a good tag");
    String::from_utf8(plaintext).expect("UTF-8")
}
