//! The enclave's side of the message cipher (privatemode.md 5.1), on `aes-gcm`.
//!
//! On purpose not the core's sealing: the two implementations check each other in every simulated request.

use aes_gcm::aead::consts::U12;
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes128Gcm, Aes256Gcm, AesGcm, Nonce, aes::Aes192};

/// Bytes of the nonce of an exchange, and of the iv of a message.
pub const NONCE_LEN: usize = 12;
/// Bytes of an authentication tag.
const TAG_LEN: usize = 16;

/// A message as it travels, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Which secret it is sealed with.
    pub id: String,
    /// The exchange that it says it belongs to.
    pub nonce: [u8; NONCE_LEN],
    /// Its iv.
    pub iv: [u8; NONCE_LEN],
    /// Ciphertext and tag.
    pub sealed: Vec<u8>,
}

/// Why a message did not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// Not a message of four parts in double quotes.
    NotAMessage,
    /// Another exchange or secret than the first field of the request.
    Foreign,
    /// Wrong key, out of order, or altered.
    Failed,
    /// More fields than a counter has numbers.
    Exhausted,
}

impl Message {
    /// Takes apart `"<id>:<nonce>:<iv>:<sealed>"`, double quotes included.
    pub fn parse(text: &str) -> Result<Message, OpenError> {
        let bare = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let mut parts = bare.ok_or(OpenError::NotAMessage)?.split(':');
        let (Some(id), Some(nonce), Some(iv), Some(sealed), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(OpenError::NotAMessage);
        };
        let sealed = unhex(sealed).filter(|sealed| sealed.len() >= TAG_LEN).ok_or(OpenError::NotAMessage)?;
        let short = |text| unhex(text).and_then(|bytes| bytes.try_into().ok()).ok_or(OpenError::NotAMessage);
        Ok(Message { id: id.to_owned(), nonce: short(nonce)?, iv: short(iv)?, sealed })
    }

    /// Makes the message with the number `sequence` of its direction. `None` when the key has no AES key's length.
    pub fn seal(
        key: &[u8],
        id: &str,
        nonce: [u8; NONCE_LEN],
        iv: [u8; NONCE_LEN],
        sequence: u32,
        plain: &[u8],
    ) -> Option<Message> {
        let sealed = Gcm::new(key)?.seal(iv, &associated(nonce, sequence), plain)?;
        Some(Message { id: id.to_owned(), nonce, iv, sealed })
    }

    /// The plaintext, when this is number `sequence` of the exchange `nonce`. What the message says of its exchange plays no part.
    pub fn open(&self, key: &[u8], nonce: [u8; NONCE_LEN], sequence: u32) -> Result<Vec<u8>, OpenError> {
        Gcm::new(key)
            .and_then(|cipher| cipher.open(self.iv, &associated(nonce, sequence), &self.sealed))
            .ok_or(OpenError::Failed)
    }

    /// The text, double quotes included.
    pub fn to_text(&self) -> String {
        let hex = const_hex::encode::<&[u8]>;
        format!("\"{}:{}:{}:{}\"", self.id, hex(&self.nonce), hex(&self.iv), hex(&self.sealed))
    }
}

/// `const_hex` takes a prefix `0x`, which is none of the protocol's.
fn unhex(text: &str) -> Option<Vec<u8>> {
    if text.starts_with("0x") { None } else { const_hex::decode(text).ok() }
}

/// The nonce and the number as a little-endian 32-bit word.
fn associated(nonce: [u8; NONCE_LEN], sequence: u32) -> Vec<u8> {
    [nonce.as_slice(), &sequence.to_le_bytes()].concat()
}

enum Gcm {
    Aes128(Box<Aes128Gcm>),
    Aes192(Box<AesGcm<Aes192, U12>>),
    Aes256(Box<Aes256Gcm>),
}

impl Gcm {
    fn new(key: &[u8]) -> Option<Gcm> {
        match key.len() {
            16 => Some(Gcm::Aes128(Box::new(KeyInit::new_from_slice(key).ok()?))),
            24 => Some(Gcm::Aes192(Box::new(KeyInit::new_from_slice(key).ok()?))),
            32 => Some(Gcm::Aes256(Box::new(KeyInit::new_from_slice(key).ok()?))),
            _ => None,
        }
    }

    fn seal(&self, iv: [u8; NONCE_LEN], aad: &[u8], msg: &[u8]) -> Option<Vec<u8>> {
        let (iv, payload) = (Nonce::from(iv), Payload { msg, aad });
        match self {
            Gcm::Aes128(cipher) => cipher.encrypt(&iv, payload).ok(),
            Gcm::Aes192(cipher) => cipher.encrypt(&iv, payload).ok(),
            Gcm::Aes256(cipher) => cipher.encrypt(&iv, payload).ok(),
        }
    }

    fn open(&self, iv: [u8; NONCE_LEN], aad: &[u8], msg: &[u8]) -> Option<Vec<u8>> {
        let (iv, payload) = (Nonce::from(iv), Payload { msg, aad });
        match self {
            Gcm::Aes128(cipher) => cipher.decrypt(&iv, payload).ok(),
            Gcm::Aes192(cipher) => cipher.decrypt(&iv, payload).ok(),
            Gcm::Aes256(cipher) => cipher.decrypt(&iv, payload).ok(),
        }
    }
}

/// The enclave's memory of one request and its answer: which secret, which nonce, how many fields of each direction.
///
/// The nonce is that of the first field; all others must have its secret. Each counter counts only what succeeded. Nothing of the
/// request is opened any more once the answer has begun.
#[derive(Clone, Debug)]
pub struct Session {
    key: Vec<u8>,
    id: String,
    nonce: [u8; NONCE_LEN],
    requests: u32,
    responses: u32,
}

impl Session {
    /// The session of a request whose first field is this.
    pub fn new(first: &Message, key: &[u8]) -> Session {
        Session { key: key.to_vec(), id: first.id.clone(), nonce: first.nonce, requests: 0, responses: 0 }
    }

    /// Opens the next field of the request, given as the text of its value.
    pub fn open(&mut self, text: &str) -> Result<Vec<u8>, OpenError> {
        let message = Message::parse(text)?;
        if self.responses > 0 || message.id != self.id {
            return Err(OpenError::Foreign);
        }
        let next = self.requests.checked_add(1).ok_or(OpenError::Exhausted)?;
        let plain = message.open(&self.key, self.nonce, self.requests)?;
        self.requests = next;
        Ok(plain)
    }

    /// Seals the next field of the answer.
    pub fn seal(&mut self, plain: &[u8], iv: [u8; NONCE_LEN]) -> Result<Message, OpenError> {
        let next = self.responses.checked_add(1).ok_or(OpenError::Exhausted)?;
        let message = Message::seal(&self.key, &self.id, self.nonce, iv, self.responses, plain);
        self.responses = next;
        message.ok_or(OpenError::Failed)
    }
}
