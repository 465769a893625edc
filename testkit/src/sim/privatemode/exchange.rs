//! The secret service's side of the exchange (privatemode.md 4.1, 4.2): X-Wing encapsulation, the key schedule of RFC 9180 in base mode
//! with an export-only AEAD. The signature is the forge's.
//!
//! The key schedule is written here from the RFC, so that it checks the client's HPKE library.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use x_wing::EncapsulationKey;

/// Bytes of the client's public key.
pub const PUBLIC_KEY_LEN: usize = 1216;
/// Bytes of the randomness of an encapsulation.
pub const SEED_LEN: usize = 64;
/// `"HPKE"`, KEM 0x647a (X-Wing), KDF 0x0001 (HKDF-SHA256), AEAD 0xffff (export only).
const SUITE: [u8; 10] = [b'H', b'P', b'K', b'E', 0x64, 0x7a, 0x00, 0x01, 0xff, 0xff];
/// Mode without pre-shared key and without the sender's authentication.
const MODE_BASE: u8 = 0;

/// What an encapsulation gives.
#[derive(Clone, Debug)]
pub struct Encapsulation {
    /// For the client: 1120 bytes.
    pub encapsulated: Vec<u8>,
    /// The secret that both sides export: 32 bytes.
    pub secret: [u8; 32],
}

/// Encapsulates to a client's public key with this randomness. `None` when it is not such a key.
pub fn encapsulate(public_key: &[u8], seed: [u8; SEED_LEN]) -> Option<Encapsulation> {
    let key = EncapsulationKey::try_from(public_key).ok()?;
    let (encapsulated, shared) = key.encapsulate_deterministic(&seed.into());
    let mut secret = [0; 32];
    export(&shared, &[], &[], &mut secret)?;
    Some(Encapsulation { encapsulated: encapsulated.to_vec(), secret })
}

/// Exports from a KEM's shared secret (RFC 9180 5.1 and 5.3, no pre-shared key).
pub fn export(shared: &[u8], info: &[u8], context: &[u8], out: &mut [u8]) -> Option<()> {
    let none = labeled_extract(&[], b"psk_id_hash", &[]);
    let info = labeled_extract(&[], b"info_hash", info);
    let schedule = [&[MODE_BASE], none.0.as_slice(), &info.0].concat();
    let secret = labeled_extract(shared, b"secret", &[]);
    let mut exporter = [0; 32];
    labeled_expand(&secret.1, b"exp", &schedule, &mut exporter)?;
    let exporter = Hkdf::<Sha256>::from_prk(&exporter).ok()?;
    labeled_expand(&exporter, b"sec", context, out)
}

/// The extracted key, as bytes and ready to expand.
fn labeled_extract(salt: &[u8], label: &[u8], input: &[u8]) -> ([u8; 32], Hkdf<Sha256>) {
    let input = [b"HPKE-v1".as_slice(), &SUITE, label, input].concat();
    let (key, expand) = Hkdf::<Sha256>::extract(Some(salt), &input);
    (key.into(), expand)
}

fn labeled_expand(key: &Hkdf<Sha256>, label: &[u8], info: &[u8], out: &mut [u8]) -> Option<()> {
    let length = u16::try_from(out.len()).ok()?.to_be_bytes();
    key.expand(&[length.as_slice(), b"HPKE-v1", &SUITE, label, info].concat(), out).ok()
}

/// Name of the secret that belongs to a public key (privatemode.md 4.4).
pub fn secret_id(public_key: &[u8]) -> String {
    STANDARD.encode(Sha256::digest(public_key))
}
