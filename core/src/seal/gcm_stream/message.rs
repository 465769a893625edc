//! One sealed field: `"<secret id>:<nonce>:<iv>:<ciphertext and tag>"`, quotes included, the last three in hex.
//!
//! | input of AES-GCM | value |
//! | --- | --- |
//! | key | the shared secret: 32 bytes; 16 and 24 are possible |
//! | iv | 12 random bytes, fresh for each field |
//! | associated data | nonce of the exchange (12 bytes), then the field's counter (u32 little-endian) |

use std::ops::Range;

use super::text;
use crate::crypto::{AesGcm, GCM_NONCE_LEN, GCM_TAG_LEN, SecureRandom};
use crate::error::{Code, Error, Result};
use crate::limits::{ANSWER_MAX_BYTES, REQUEST_MAX_BYTES};
use crate::secret::wipe;
use crate::wire::hex;

/// Length in bytes of the nonce that all fields of one exchange share.
pub const NONCE_LEN: usize = 12;
/// Longest secret id in characters. The ids in use have 44.
const ID_MAX_CHARS: usize = 128;

pub(super) type Iv = [u8; GCM_NONCE_LEN];

/// The key, id and nonce of one exchange, without memory of its fields: for servers, which mirror a client's counters, and for vectors.
/// A client uses [`super::FieldCipher`], which counts.
pub struct MessageKey {
    aes: AesGcm,
    nonce: [u8; NONCE_LEN],
    /// What every text begins with: quote, id, colon, nonce in hex, colon.
    head: Vec<u8>,
    id_len: usize,
}

impl MessageKey {
    /// Takes a secret of 16, 24 or 32 bytes, its id (1 to 128 characters of the base64 alphabets) and the nonce of the exchange.
    /// Fails with `invalid_argument`.
    pub fn new(secret: &[u8], id: &str, nonce: [u8; NONCE_LEN]) -> Result<MessageKey> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=-_".contains(&byte);
        if id.is_empty() || id.len() > ID_MAX_CHARS || !id.bytes().all(plain) {
            return Err(Error::new(Code::InvalidArgument).at("secret id"));
        }
        let mut digits = [0; NONCE_LEN * 2];
        hex::encode_into(&nonce, &mut digits);
        let head = [b"\"".as_slice(), id.as_bytes(), b":", &digits, b":"].concat();
        Ok(MessageKey { aes: AesGcm::new(secret)?, nonce, head, id_len: id.len() })
    }

    /// The secret's id.
    pub fn secret_id(&self) -> &str {
        std::str::from_utf8(self.id()).unwrap_or_default()
    }

    fn id(&self) -> &[u8] {
        self.head.get(1..self.id_len.saturating_add(1)).unwrap_or_default()
    }

    /// The nonce of the exchange.
    pub fn nonce(&self) -> &[u8; NONCE_LEN] {
        &self.nonce
    }

    /// Length in bytes of the text of a field, quotes included.
    pub fn sealed_len(&self, plaintext_bytes: usize) -> usize {
        const REST: usize = GCM_NONCE_LEN * 2 + 1 + GCM_TAG_LEN * 2 + 1;
        plaintext_bytes.saturating_mul(2).saturating_add(self.head.len()).saturating_add(REST)
    }

    /// Seals one field under `counter` and appends its text to `out`. Takes the iv, 12 bytes, from `rng`. Allocates nothing if `out` has
    /// room for [`MessageKey::sealed_len`].
    ///
    /// Errors: `random_failed`, `limit_exceeded` above 50 MiB; `out` is as before then.
    pub fn seal_at(
        &self,
        counter: u32,
        plaintext: &[u8],
        rng: &mut dyn SecureRandom,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let mut iv = [0; GCM_NONCE_LEN];
        rng.fill(&mut iv)?;
        self.seal_with(counter, &iv, plaintext, out)
    }

    /// The plaintext is copied to its place in `out`, encrypted there and turned into hex there.
    pub(super) fn seal_with(&self, counter: u32, iv: &Iv, plaintext: &[u8], out: &mut Vec<u8>) -> Result<()> {
        check_len(plaintext)?;
        undone(out, |out| {
            // In one piece, so that the buffer does not move while it holds the plaintext. One more for an odd length, see `encode_tail`.
            out.reserve(self.sealed_len(plaintext.len()).saturating_add(1));
            self.write_head(iv, out)?;
            let start = out.len();
            let room = text::room_before(plaintext.len().saturating_add(GCM_TAG_LEN));
            let from = start.saturating_add(room);
            out.resize(from, 0);
            self.encrypt(counter, iv, plaintext, from, out)?;
            text::encode_tail(out, start, room)?;
            out.push(b'"');
            Ok(())
        })
    }

    /// The same with ciphertext and tag as bytes; gives where they are, to become hex later.
    pub(super) fn seal_deferred(
        &self,
        counter: u32,
        iv: &Iv,
        plaintext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Range<usize>> {
        check_len(plaintext)?;
        undone(out, |out| {
            out.reserve(self.sealed_len(0).saturating_add(plaintext.len()));
            self.write_head(iv, out)?;
            let start = out.len();
            self.encrypt(counter, iv, plaintext, start, out)?;
            let end = out.len();
            out.push(b'"');
            Ok(start..end)
        })
    }

    fn write_head(&self, iv: &Iv, out: &mut Vec<u8>) -> Result<()> {
        out.extend_from_slice(&self.head);
        let mut digits = [b':'; GCM_NONCE_LEN * 2 + 1];
        let (text, _) = digits.split_last_chunk_mut::<1>().ok_or(Code::Internal)?;
        hex::encode_into(iv, text);
        out.extend_from_slice(&digits);
        Ok(())
    }

    /// Appends ciphertext and tag to `out`, which ends at `from`.
    fn encrypt(&self, counter: u32, iv: &Iv, plaintext: &[u8], from: usize, out: &mut Vec<u8>) -> Result<()> {
        out.extend_from_slice(plaintext);
        let place = out.get_mut(from..).ok_or(Code::Internal)?;
        let tag = self.aes.seal(iv, &self.associated(counter), place)?;
        out.extend_from_slice(&tag);
        Ok(())
    }

    /// Opens one field, given as the raw JSON value, under `counter` and appends the plaintext to `out`.
    ///
    /// Errors, in this order: `limit_exceeded`; `not_ciphertext` for anything but a string of four parts, the last three hex of the
    /// right lengths (threats T36); `foreign_field` for another secret id or nonce than this exchange's (threats T32, T38);
    /// `auth_failed` (threats T30, T35). `out` is as before then.
    pub fn open_at(&self, counter: u32, message: &[u8], out: &mut Vec<u8>) -> Result<()> {
        self.open_unless(counter, message, |_| false, out)
    }

    /// The same, and `reflected_field` after `foreign_field` for an iv that is one of the caller's own.
    pub(super) fn open_unless(
        &self,
        counter: u32,
        message: &[u8],
        is_own: impl Fn(&Iv) -> bool,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        if message.len() > ANSWER_MAX_BYTES {
            return Err(Error::new(Code::LimitExceeded).at("sealed field"));
        }
        let message = self.split(message).ok_or(Code::NotCiphertext)?;
        let start = out.len();
        let opened = text::append_decoded(message.sealed, out).and_then(|()| {
            if !message.is_ours {
                return Err(Error::new(Code::ForeignField));
            }
            if is_own(&message.iv) {
                return Err(Error::new(Code::ReflectedField));
            }
            let place = out.get_mut(start..).ok_or(Code::Internal)?;
            self.aes.open(&message.iv, &self.associated(counter), place)
        });
        match opened {
            Ok(length) => out.truncate(start.saturating_add(length)),
            // Ciphertext, or wiped.
            Err(_) => out.truncate(start),
        }
        opened.map(|_| ())
    }

    /// Most messages begin as this exchange's do; what does not is looked at part by part.
    fn split<'a>(&self, message: &'a [u8]) -> Option<Parts<'a>> {
        let Some(rest) = message.strip_prefix(self.head.as_slice()) else {
            return Parts::split(message, |id, nonce| id == self.id() && nonce == self.nonce);
        };
        Parts::of_rest(rest.strip_suffix(b"\"")?, true)
    }

    fn associated(&self, counter: u32) -> [u8; NONCE_LEN + 4] {
        let mut data = [0; NONCE_LEN + 4];
        let (nonce, count) = data.split_at_mut(NONCE_LEN);
        nonce.copy_from_slice(&self.nonce);
        count.copy_from_slice(&counter.to_le_bytes());
        data
    }
}

fn check_len(plaintext: &[u8]) -> Result<()> {
    if plaintext.len() > REQUEST_MAX_BYTES {
        return Err(Error::new(Code::LimitExceeded).at("field of a request"));
    }
    Ok(())
}

/// Nothing of what failed stays in `out`.
fn undone<T>(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> Result<T>) -> Result<T> {
    let before = out.len();
    let written = write(out);
    if written.is_err() {
        out.get_mut(before..).into_iter().for_each(wipe);
        out.truncate(before);
    }
    written
}

/// The parts of a field that has the right form, as far as that shows without decoding the ciphertext.
struct Parts<'a> {
    /// Of this exchange by its id and nonce.
    is_ours: bool,
    iv: Iv,
    /// Hex, not checked; a fourth colon in it fails there.
    sealed: &'a [u8],
}

impl<'a> Parts<'a> {
    fn split(message: &'a [u8], is_ours: impl Fn(&[u8], [u8; NONCE_LEN]) -> bool) -> Option<Parts<'a>> {
        let rest = message.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        let (id, rest) = part(rest)?;
        let (nonce, rest) = part(rest)?;
        Parts::of_rest(rest, is_ours(id, twelve(nonce)?))
    }

    /// From the iv on, without the quote at the end.
    fn of_rest(rest: &'a [u8], is_ours: bool) -> Option<Parts<'a>> {
        let (iv, sealed) = part(rest)?;
        if sealed.len() < GCM_TAG_LEN * 2 || sealed.len() % 2 != 0 {
            return None;
        }
        Some(Parts { is_ours, iv: twelve(iv)?, sealed })
    }
}

fn part(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (head, rest) = text.split_at_checked(memchr::memchr(b':', text)?)?;
    Some((head, rest.get(1..)?))
}

fn twelve(text: &[u8]) -> Option<[u8; 12]> {
    let mut bytes = [0; 12];
    hex::decode_into(text, &mut bytes).then_some(bytes)
}
