//! The field envelope "ecdsa v1" (protocols/venice.md 3.2): ECDH on secp256k1, HKDF-SHA256, AES-256-GCM, as hex text.
//!
//! | bytes | content |
//! | --- | --- |
//! | 0..65 | ephemeral public key, uncompressed (first byte 0x04) |
//! | 65..77 | nonce |
//! | 77.. | ciphertext and 16-byte tag |
//!
//! The envelope has no associated data, no order and no proof of its maker: whoever knows the recipient's public key can make one
//! (threats I11, T37).

use zeroize::Zeroizing;

use crate::crypto::{self, AesGcm256, GCM_NONCE_LEN, GCM_TAG_LEN, POINT_LEN, SecureRandom};
use crate::error::{Code, Error, Result};
use crate::limits::SEALED_FIELD_MAX_BYTES;
use crate::secret::{Secret, wipe};
use crate::wire::hex;

/// HKDF info of the scheme.
const INFO: &[u8] = b"ecdsa_encryption";
/// Bytes before the ciphertext, and before the plaintext once it is open.
pub(crate) const PLAINTEXT_OFFSET: usize = POINT_LEN + GCM_NONCE_LEN;
/// Shortest envelope in bytes: an empty plaintext.
pub const ENVELOPE_MIN_BYTES: usize = PLAINTEXT_OFFSET + GCM_TAG_LEN;

/// Length in hex characters of the envelope of a plaintext of `plaintext_bytes`.
pub const fn sealed_hex_len(plaintext_bytes: usize) -> usize {
    ENVELOPE_MIN_BYTES.saturating_add(plaintext_bytes).saturating_mul(2)
}

/// Seals one text to `recipient` (65 bytes, uncompressed) under a fresh ephemeral key and appends the envelope to `out` as
/// lowercase hex. Takes from `rng` the ephemeral private key (32 bytes), then the nonce (12 bytes).
///
/// Errors: `invalid_point` for a recipient that is not a point of the curve, `random_failed`.
pub fn seal_field(
    recipient: &[u8; POINT_LEN],
    plaintext: &[u8],
    rng: &mut dyn SecureRandom,
    out: &mut String,
) -> Result<()> {
    let ephemeral = crypto::secp256k1_generate(rng)?;
    let public = crypto::secp256k1_public_key(&ephemeral).ok_or(Code::Internal)?;
    let key = derive(&ephemeral, recipient)?;
    let mut nonce = [0; GCM_NONCE_LEN];
    rng.fill(&mut nonce)?;

    // Reserved in one piece: a buffer that grows would leave unwiped copies of the plaintext behind.
    let mut sealed = Zeroizing::new(Vec::with_capacity(plaintext.len().saturating_add(GCM_TAG_LEN)));
    sealed.extend_from_slice(plaintext);
    AesGcm256::new(&key)?.seal(&nonce, &[], &mut sealed)?;

    out.reserve(sealed_hex_len(plaintext.len()));
    for part in [public.as_slice(), &nonce, &sealed] {
        out.push_str(&hex::encode(part));
    }
    Ok(())
}

fn derive(key: &Secret<32>, public: &[u8; POINT_LEN]) -> Result<Secret<32>> {
    let shared = crypto::secp256k1_ecdh_x(key, public)?;
    crypto::hkdf_sha256(&[], shared.expose(), INFO)
}

/// Decodes one envelope from hex in either case and appends its bytes to `arena`; gives their number. Checks the form only.
///
/// Errors: `limit_exceeded`; `not_ciphertext` for other characters, an odd length, fewer than 93 bytes or a first byte other
/// than 0x04.
pub fn decode_envelope(text: &[u8], arena: &mut Vec<u8>) -> Result<usize> {
    if text.len() > SEALED_FIELD_MAX_BYTES {
        return Err(Error::new(Code::LimitExceeded).at("sealed field"));
    }
    let length = text.len() / 2;
    let start = arena.len();
    arena.resize(start.saturating_add(length), 0);
    let fits = length >= ENVELOPE_MIN_BYTES;
    if let Some(space) = arena.get_mut(start..) {
        // The first byte is looked at again after decoding, so that every form that is not an envelope fails alike.
        if fits && hex::decode_into(text, space) && space.first() == Some(&4) {
            return Ok(length);
        }
    }
    arena.truncate(start);
    Err(Error::new(Code::NotCiphertext))
}

/// The key of the envelope that was opened last: a server that keeps its ephemeral key for several fields costs one curve
/// multiplication and one key expansion for all of them. Belongs to one opener and is wiped with it.
#[derive(Default)]
pub(crate) struct KeyMemory(Option<([u8; POINT_LEN], AesGcm256)>);

impl KeyMemory {
    /// True when the next envelope needs no curve multiplication.
    pub(crate) fn knows(&self, public: &[u8; POINT_LEN]) -> bool {
        self.0.as_ref().is_some_and(|(known, _)| known == public)
    }

    fn key_for(&mut self, secret: &Secret<32>, public: &[u8; POINT_LEN]) -> Result<&AesGcm256> {
        if !self.knows(public) {
            let key = derive(secret, public)?;
            match &mut self.0 {
                Some((known, aes)) => {
                    aes.rekey(&key)?;
                    *known = *public;
                }
                memory => *memory = Some((*public, AesGcm256::new(&key)?)),
            }
        }
        self.0.as_ref().map(|(_, aes)| aes).ok_or_else(|| Error::new(Code::Internal))
    }
}

/// Opens an envelope's bytes in place; gives the plaintext inside `envelope`.
///
/// Errors: `invalid_point`, then `auth_failed`; the envelope is wiped then.
pub(crate) fn open_in_place<'a>(
    secret: &Secret<32>,
    memory: &mut KeyMemory,
    envelope: &'a mut [u8],
) -> Result<&'a mut [u8]> {
    let (public, rest) = envelope.split_first_chunk_mut::<POINT_LEN>().ok_or(Code::NotCiphertext)?;
    let (nonce, sealed) = rest.split_first_chunk_mut::<GCM_NONCE_LEN>().ok_or(Code::NotCiphertext)?;
    let length = memory.key_for(secret, public)?.open(nonce, &[], sealed)?;
    sealed.get_mut(..length).ok_or_else(|| Error::new(Code::Internal))
}

/// Opens the fields of one answer with its private key. Not to be shared between answers: a key that opens two answers lets
/// pieces of one be spliced into the other. Wiped on drop.
pub struct FieldOpener {
    secret: Secret<32>,
    memory: KeyMemory,
}

impl FieldOpener {
    /// Takes the private key whose public key the fields are sealed to.
    pub fn new(secret: Secret<32>) -> FieldOpener {
        FieldOpener { secret, memory: KeyMemory::default() }
    }

    /// Opens one envelope given as hex text. `scratch` is overwritten and holds the plaintext afterwards; the text borrows it.
    ///
    /// Errors, in this order: `limit_exceeded`, `not_ciphertext`, `invalid_point`, `auth_failed`, `invalid_utf8`.
    pub fn open_hex<'a>(&mut self, text: &[u8], scratch: &'a mut Zeroizing<Vec<u8>>) -> Result<&'a str> {
        // Only what is in use: wiping all of the capacity would cost a long field's time for every short one after it.
        wipe(scratch);
        scratch.clear();
        decode_envelope(text, scratch)?;
        let plaintext = self.open_bytes(scratch)?;
        std::str::from_utf8(plaintext).map_err(|_| Error::new(Code::InvalidUtf8))
    }

    /// Opens one envelope given as bytes, in place; gives the plaintext inside `envelope`, which may be any bytes.
    ///
    /// Errors: `not_ciphertext` when it is too short, `invalid_point`, `auth_failed`.
    pub fn open_bytes<'a>(&mut self, envelope: &'a mut [u8]) -> Result<&'a [u8]> {
        open_in_place(&self.secret, &mut self.memory, envelope).map(|plaintext| &*plaintext)
    }

    /// The private key and the remembered key apart, so that several threads can open with memories of their own.
    pub(crate) fn parts(&mut self) -> (&Secret<32>, &mut KeyMemory) {
        (&self.secret, &mut self.memory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counter(u8);

    impl SecureRandom for Counter {
        fn fill(&mut self, out: &mut [u8]) -> Result<()> {
            self.0 = self.0.wrapping_add(1);
            out.fill(self.0);
            Ok(())
        }
    }

    fn key_pair(byte: u8) -> (Secret<32>, [u8; POINT_LEN]) {
        let secret = Secret::take(&mut [byte; 32]);
        let public = crypto::secp256k1_public_key(&secret).unwrap();
        (secret, public)
    }

    #[test]
    fn round_trip_and_fresh_keys() {
        let (secret, public) = key_pair(7);
        let mut rng = Counter(0);
        let mut opener = FieldOpener::new(secret);
        let mut scratch = Zeroizing::default();
        let mut seen = Vec::new();
        for text in ["", "a", "\u{1f600} text", &"x".repeat(70_000)] {
            let mut sealed = String::from("before");
            seal_field(&public, text.as_bytes(), &mut rng, &mut sealed).unwrap();
            let sealed = sealed.strip_prefix("before").unwrap();
            assert_eq!(sealed.len(), sealed_hex_len(text.len()));
            assert!(!seen.contains(&sealed[..154].to_owned()), "ephemeral key and nonce are fresh (T29)");
            seen.push(sealed[..154].to_owned());
            assert_eq!(opener.open_hex(sealed.as_bytes(), &mut scratch).unwrap(), text);
            assert_eq!(opener.open_hex(sealed.to_uppercase().as_bytes(), &mut scratch).unwrap(), text);
        }
    }

    #[test]
    fn the_remembered_key_opens_only_its_own_point() {
        let (secret, public) = key_pair(7);
        let mut sealed = String::new();
        seal_field(&public, b"text", &mut Counter(0), &mut sealed).unwrap();
        let mut envelope = hex::decode(&sealed).unwrap();
        let mut opener = FieldOpener::new(secret);
        assert_eq!(opener.open_bytes(&mut envelope.clone()).unwrap(), b"text");
        assert!(opener.memory.knows(envelope[..65].try_into().unwrap()));
        // The last byte of the point differs: a comparison of less than 65 bytes would open it.
        envelope[64] ^= 1;
        assert_eq!(opener.open_bytes(&mut envelope).unwrap_err().code(), Code::InvalidPoint);
    }

    #[test]
    fn limits_and_forms() {
        let mut opener = FieldOpener::new(key_pair(7).0);
        let mut scratch = Zeroizing::default();
        let cases = [
            (SEALED_FIELD_MAX_BYTES + 2, Code::LimitExceeded),
            (SEALED_FIELD_MAX_BYTES, Code::NotCiphertext),
            (184, Code::NotCiphertext),
            (0, Code::NotCiphertext),
        ];
        for (length, code) in cases {
            let text = "g".repeat(length);
            assert_eq!(opener.open_hex(text.as_bytes(), &mut scratch).unwrap_err().code(), code, "{length}");
            assert!(scratch.is_empty());
        }
        assert_eq!(
            seal_field(&[4; POINT_LEN], b"", &mut Counter(0), &mut String::new()).unwrap_err().code(),
            Code::InvalidPoint
        );
    }
}
