//! Online authenticated encryption of whole messages under a shared secret (protocols/privatemode.md 5.2). Not on the wire of any
//! provider, and offered by none; ready for when one takes it up.
//!
//! | bytes of a message | content |
//! | --- | --- |
//! | 0 | flag: 1 for the last message of a stream, else 0 |
//! | 1..13 | iv, random |
//! | 13.. | AES-256-GCM ciphertext and 16-byte tag; associated data: number in the stream (u32 big-endian), flag |
//!
//! Keys are HKDF-SHA256 of the secret (32 bytes) with the request's header (32 random bytes) as salt; info is a label, and for the answer
//! also its header (32 random bytes). Unlike [`super::gcm_stream`], directions have keys of their own and the end of a stream is
//! authenticated.

use super::MessageCipher;
use crate::crypto::{self, AesGcm, GCM_NONCE_LEN, GCM_TAG_LEN, SecureRandom};
use crate::error::{Code, Error, Result};
use crate::limits::{ANSWER_MAX_BYTES, REQUEST_MAX_BYTES};
use crate::secret::{Secret, wipe};

/// Length of a stream's header in bytes.
pub const HEADER_LEN: usize = 32;
/// Shortest message in bytes: an empty plaintext.
pub const MESSAGE_MIN_BYTES: usize = 1 + GCM_NONCE_LEN + GCM_TAG_LEN;

const REQUEST_LABEL: &[u8] = b"privatemode oae request key\0";
const RESPONSE_LABEL: &[u8] = b"privatemode oae response key\0";
const MORE: u8 = 0;
const LAST: u8 = 1;

/// The key of a request's stream.
fn request_key(secret: &Secret<32>, header: &[u8; HEADER_LEN]) -> Result<AesGcm> {
    AesGcm::new(crypto::hkdf_sha256(header, secret.expose(), REQUEST_LABEL)?.expose())
}

/// The key of the stream that answers the request with `header`.
fn response_key(secret: &Secret<32>, header: &[u8; HEADER_LEN], answer: &[u8; HEADER_LEN]) -> Result<AesGcm> {
    let info = [RESPONSE_LABEL, answer].concat();
    AesGcm::new(crypto::hkdf_sha256(header, secret.expose(), &info)?.expose())
}

fn associated(number: u64, flag: u8) -> Result<[u8; 5]> {
    let [a, b, c, d] = u32::try_from(number).map_err(|_| Code::AlreadyFinished)?.to_be_bytes();
    Ok([a, b, c, d, flag])
}

/// The sending end of one stream.
pub struct Sealer {
    key: AesGcm,
    next: u64,
    closed: bool,
}

impl Sealer {
    fn new(key: AesGcm) -> Sealer {
        Sealer { key, next: 0, closed: false }
    }

    /// Seals the next message and appends it to `out`; `last` closes the stream. Takes the iv, 12 bytes, from `rng`.
    ///
    /// Errors: `already_finished` for a closed stream and after 2^32 messages (threats T29), `random_failed`, `limit_exceeded` above
    /// 50 MiB. `out` is as before then, and nothing is counted.
    pub fn seal_into(
        &mut self,
        plaintext: &[u8],
        last: bool,
        rng: &mut dyn SecureRandom,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        if self.closed {
            return Err(Error::new(Code::AlreadyFinished));
        }
        if plaintext.len() > REQUEST_MAX_BYTES {
            return Err(Error::new(Code::LimitExceeded).at("message of a stream"));
        }
        let flag = if last { LAST } else { MORE };
        let data = associated(self.next, flag)?;
        let mut iv = [0; GCM_NONCE_LEN];
        rng.fill(&mut iv)?;

        let before = out.len();
        // In one piece, so that the buffer does not move while it holds the plaintext.
        out.reserve(plaintext.len().saturating_add(MESSAGE_MIN_BYTES));
        out.push(flag);
        out.extend_from_slice(&iv);
        let start = out.len();
        out.extend_from_slice(plaintext);
        let place = out.get_mut(start..).ok_or(Code::Internal)?;
        match self.key.seal(&iv, &data, place) {
            Ok(tag) => out.extend_from_slice(&tag),
            Err(error) => {
                wipe(place);
                out.truncate(before);
                return Err(error);
            }
        }
        self.next = self.next.saturating_add(1);
        self.closed = last;
        Ok(())
    }
}

/// The receiving end of one stream. An error ends it: every later call gives the same.
pub struct Receiver {
    key: AesGcm,
    next: u64,
    state: State,
}

enum State {
    Open,
    Closed,
    Failed(Error),
}

impl Receiver {
    fn new(key: AesGcm) -> Receiver {
        Receiver { key, next: 0, state: State::Open }
    }

    /// Opens the next message and appends its plaintext to `out`; true for the last one.
    ///
    /// Errors: `already_finished` for a message after the last one or after 2^32; `limit_exceeded`; `not_ciphertext` for fewer than 29
    /// bytes or an unknown flag (threats T36); `auth_failed`, also for a message in another's place or with its flag changed (threats
    /// T30, T35, T38). `out` is as before then.
    pub fn open_into(&mut self, message: &[u8], out: &mut Vec<u8>) -> Result<bool> {
        match &self.state {
            State::Failed(error) => return Err(error.clone()),
            State::Closed => return Err(self.fail(Error::new(Code::AlreadyFinished))),
            State::Open => {}
        }
        let before = out.len();
        match self.try_open(message, out) {
            Ok(last) => {
                self.next = self.next.saturating_add(1);
                if last {
                    self.state = State::Closed;
                }
                Ok(last)
            }
            Err(error) => {
                out.truncate(before); // ciphertext, or wiped
                Err(self.fail(error))
            }
        }
    }

    fn fail(&mut self, error: Error) -> Error {
        self.state = State::Failed(error.clone());
        error
    }

    fn try_open(&self, message: &[u8], out: &mut Vec<u8>) -> Result<bool> {
        if message.len() > ANSWER_MAX_BYTES {
            return Err(Error::new(Code::LimitExceeded).at("message of a stream"));
        }
        let (&flag, rest) = message.split_first().ok_or(Code::NotCiphertext)?;
        let (iv, sealed) = rest.split_first_chunk::<GCM_NONCE_LEN>().ok_or(Code::NotCiphertext)?;
        if message.len() < MESSAGE_MIN_BYTES || !matches!(flag, MORE | LAST) {
            return Err(Error::new(Code::NotCiphertext));
        }
        let data = associated(self.next, flag)?;
        let start = out.len();
        out.extend_from_slice(sealed);
        let length = self.key.open(iv, &data, out.get_mut(start..).ok_or(Code::Internal)?)?;
        out.truncate(start.saturating_add(length));
        Ok(flag == LAST)
    }

    /// Checks that the stream came to its end: `truncated` if no last message did, or the error that ended it. Can be asked again.
    pub fn finish(&self) -> Result<()> {
        match &self.state {
            State::Closed => Ok(()),
            State::Open => Err(Error::new(Code::Truncated)),
            State::Failed(error) => Err(error.clone()),
        }
    }
}

/// The side that asks: seals one request and opens its answer. Wiped on drop.
pub struct Requester {
    secret: Secret<32>,
    header: [u8; HEADER_LEN],
    request: Sealer,
    answer: Option<Receiver>,
}

impl Requester {
    /// Starts an exchange under a shared secret. Takes the request's header, 32 bytes, from `rng`. Fails with `random_failed`.
    pub fn new(secret: Secret<32>, rng: &mut dyn SecureRandom) -> Result<Requester> {
        let mut header = [0; HEADER_LEN];
        rng.fill(&mut header)?;
        let request = Sealer::new(request_key(&secret, &header)?);
        Ok(Requester { secret, header, request, answer: None })
    }

    /// The request's header, which goes ahead of its messages.
    pub fn header(&self) -> &[u8; HEADER_LEN] {
        &self.header
    }

    /// Seals the request's last message; see [`Sealer::seal_into`].
    pub fn seal_last_into(
        &mut self,
        plaintext: &[u8],
        rng: &mut dyn SecureRandom,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        self.request.seal_into(plaintext, true, rng, out)
    }

    /// Takes the header of the answer. Once only, `already_finished` after that: a second answer to one request is not accepted (threats
    /// T32).
    pub fn accept(&mut self, header: &[u8; HEADER_LEN]) -> Result<()> {
        if self.answer.is_some() {
            return Err(Error::new(Code::AlreadyFinished));
        }
        self.answer = Some(Receiver::new(response_key(&self.secret, &self.header, header)?));
        Ok(())
    }

    /// Checks that the answer came to its end; see [`Receiver::finish`]. `truncated` also when none was accepted.
    pub fn finish(&self) -> Result<()> {
        self.answer.as_ref().ok_or(Code::Truncated)?.finish()
    }
}

impl MessageCipher for Requester {
    /// A message that is not the last one; see [`Sealer::seal_into`].
    fn seal_into(&mut self, plaintext: &[u8], rng: &mut dyn SecureRandom, out: &mut Vec<u8>) -> Result<()> {
        self.request.seal_into(plaintext, false, rng, out)
    }

    /// See [`Receiver::open_into`]; `out_of_order` before an answer was accepted.
    fn open_into(&mut self, sealed: &[u8], out: &mut Vec<u8>) -> Result<()> {
        self.answer.as_mut().ok_or(Code::OutOfOrder)?.open_into(sealed, out).map(|_| ())
    }
}

/// The side that answers, for servers. Wiped on drop.
pub struct Responder {
    secret: Secret<32>,
    header: [u8; HEADER_LEN],
    /// The request's messages.
    pub request: Receiver,
    answered: bool,
}

impl Responder {
    /// Takes the shared secret and the header of a request.
    pub fn new(secret: Secret<32>, header: &[u8; HEADER_LEN]) -> Result<Responder> {
        let request = Receiver::new(request_key(&secret, header)?);
        Ok(Responder { secret, header: *header, request, answered: false })
    }

    /// Starts the answer: its header and what seals it. Takes the header, 32 bytes, from `rng`. Once only, `already_finished` after that.
    pub fn answer(&mut self, rng: &mut dyn SecureRandom) -> Result<([u8; HEADER_LEN], Sealer)> {
        if self.answered {
            return Err(Error::new(Code::AlreadyFinished));
        }
        let mut header = [0; HEADER_LEN];
        rng.fill(&mut header)?;
        let sealer = Sealer::new(response_key(&self.secret, &self.header, &header)?);
        self.answered = true;
        Ok((header, sealer))
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

    /// The last number is used once, and there is none behind it (threats T29).
    #[test]
    fn numbers_end() {
        let mut rng = Counter(0);
        let secret = || Secret::take(&mut [7; 32]);
        let mut requester = Requester::new(secret(), &mut rng).unwrap();
        let mut responder = Responder::new(secret(), requester.header()).unwrap();
        requester.request.next = u64::from(u32::MAX);
        responder.request.next = u64::from(u32::MAX);
        let mut message = Vec::new();
        requester.seal_into(b"x", &mut rng, &mut message).unwrap();
        let refused = requester.seal_into(b"x", &mut rng, &mut Vec::new());
        assert_eq!(refused.unwrap_err().code(), Code::AlreadyFinished);
        let mut out = Vec::new();
        assert!(!responder.request.open_into(&message, &mut out).unwrap());
        let refused = responder.request.open_into(&message, &mut out);
        assert_eq!((refused.unwrap_err().code(), out.as_slice()), (Code::AlreadyFinished, &b"x"[..]));
    }
}
