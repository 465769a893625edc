//! The fields of one request and of its answer, counted (protocols/privatemode.md 5.1).

use std::collections::BTreeSet;
use std::ops::Range;

use zeroize::Zeroizing;

use super::message::{Iv, MessageKey, NONCE_LEN};
use crate::crypto::{GCM_NONCE_LEN, SecureRandom};
use crate::error::{Code, Error, Result};
use crate::seal::MessageCipher;
use crate::secret::Secret;

/// Seals the fields of one request and opens those of its answer. Both directions count from 0, and only what succeeded; order is what
/// binds a field to its member (threats T38). Belongs to one exchange: every attempt takes a new one (threats T29, T32).
///
/// Both directions share key, nonce and counters, so a field of the request would open as the answer's field of the same index: ivs that
/// were used here are remembered and refused in the answer.
pub struct FieldCipher {
    key: MessageKey,
    /// Fields sealed and opened. Wider than the counter on the wire, so that its last value can be used.
    sealed: u64,
    opened: u64,
    own: BTreeSet<Iv>,
}

impl FieldCipher {
    /// Starts an exchange under a shared secret and its id. Takes the nonce, 12 bytes, from `rng`.
    ///
    /// Errors: `random_failed`; `invalid_argument` for an id with other characters than those of base64, or none, or more than 128.
    pub fn new(secret: &Secret<32>, secret_id: &str, rng: &mut dyn SecureRandom) -> Result<FieldCipher> {
        let mut nonce = [0; NONCE_LEN];
        rng.fill(&mut nonce)?;
        let key = MessageKey::new(secret.expose(), secret_id, nonce)?;
        Ok(FieldCipher { key, sealed: 0, opened: 0, own: BTreeSet::new() })
    }

    /// The secret's id, which goes with the request.
    pub fn secret_id(&self) -> &str {
        self.key.secret_id()
    }

    /// The nonce of this exchange.
    pub fn nonce(&self) -> &[u8; NONCE_LEN] {
        self.key.nonce()
    }

    /// Fields of the request that were sealed.
    pub fn sealed_fields(&self) -> u64 {
        self.sealed
    }

    /// Fields of the answer that were opened.
    pub fn opened_fields(&self) -> u64 {
        self.opened
    }

    /// Length in bytes of the text of a field, quotes included: what to reserve for [`MessageCipher::seal_into`].
    pub fn sealed_len(&self, plaintext_bytes: usize) -> usize {
        self.key.sealed_len(plaintext_bytes)
    }

    /// Seals the next field of the request: its text with the quotes, a JSON value. Errors as [`MessageCipher::seal_into`].
    pub fn seal(&mut self, plaintext: &[u8], rng: &mut dyn SecureRandom) -> Result<String> {
        let mut out = Vec::new();
        self.seal_into(plaintext, rng, &mut out)?;
        String::from_utf8(out).map_err(|_| Error::new(Code::Internal))
    }

    /// Seals the next field of the request with ciphertext and tag as bytes, and gives where those are in `out`: in hex, all is as from
    /// [`MessageCipher::seal_into`]. For large files, whose hex is made while it is sent.
    ///
    /// Errors as [`MessageCipher::seal_into`].
    pub fn seal_deferred(
        &mut self,
        plaintext: &[u8],
        rng: &mut dyn SecureRandom,
        out: &mut Vec<u8>,
    ) -> Result<Range<usize>> {
        self.seal_next(rng, |key, counter, iv| key.seal_deferred(counter, iv, plaintext, out))
    }

    fn seal_next<T>(
        &mut self,
        rng: &mut dyn SecureRandom,
        seal: impl FnOnce(&MessageKey, u32, &Iv) -> Result<T>,
    ) -> Result<T> {
        if self.opened > 0 {
            return Err(Error::new(Code::OutOfOrder).at("field of a request after its answer"));
        }
        let counter = u32::try_from(self.sealed).map_err(|_| Error::new(Code::AlreadyFinished))?;
        let mut iv = [0; GCM_NONCE_LEN];
        rng.fill(&mut iv)?;
        if !self.own.insert(iv) {
            return Err(Error::new(Code::RandomFailed));
        }
        let sealed = seal(&self.key, counter, &iv)?;
        self.sealed = self.sealed.saturating_add(1);
        Ok(sealed)
    }

    /// Opens the next field of the answer, given as the raw JSON value. Errors as [`MessageCipher::open_into`].
    ///
    /// The plaintext is any bytes; a caller that puts it in the place of a JSON value checks that it is one.
    pub fn open(&mut self, message: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let mut out = Zeroizing::new(Vec::new());
        self.open_into(message, &mut out)?;
        Ok(out)
    }
}

impl MessageCipher for FieldCipher {
    /// Takes the iv, 12 bytes, from `rng`. Allocates nothing for the text if `out` has room for [`FieldCipher::sealed_len`] and one byte.
    ///
    /// Errors: `out_of_order` once a field of the answer was opened; `random_failed`, also for an iv that this exchange has used;
    /// `already_finished` after 2^32 fields (threats T29); `limit_exceeded` above 50 MiB.
    fn seal_into(&mut self, plaintext: &[u8], rng: &mut dyn SecureRandom, out: &mut Vec<u8>) -> Result<()> {
        self.seal_next(rng, |key, counter, iv| key.seal_with(counter, iv, plaintext, out))
    }

    /// `sealed` is the raw JSON value. A field that fails does not end the exchange: the right one still opens.
    ///
    /// Errors, in this order: `limit_exceeded`; `not_ciphertext` for anything but a string of four parts, the last three hex of the
    /// right lengths (threats T36); `foreign_field` for another secret id or nonce (threats T32, T38); `reflected_field` for an iv of
    /// this exchange's own request; `auth_failed`, also for a field in another's place (threats T30, T35, T38).
    fn open_into(&mut self, sealed: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let counter = u32::try_from(self.opened)
            .map_err(|_| Error::new(Code::LimitExceeded).at("fields of an answer"))?;
        self.key.open_unless(counter, sealed, |iv| self.own.contains(iv), out)?;
        self.opened = self.opened.saturating_add(1);
        Ok(())
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

    fn exchange(rng: &mut Counter) -> FieldCipher {
        FieldCipher::new(&Secret::take(&mut [7; 32]), "id", rng).unwrap()
    }

    /// The last counter is used once, and there is none behind it (threats T29).
    #[test]
    fn counters_end() {
        let mut rng = Counter(0);
        let mut cipher = exchange(&mut rng);
        let mut answer = Vec::new();
        let server = MessageKey::new(&[7; 32], "id", *cipher.nonce()).unwrap();
        server.seal_at(u32::MAX, b"last", &mut Counter(99), &mut answer).unwrap();

        cipher.sealed = u64::from(u32::MAX);
        let last = cipher.seal(b"x", &mut rng).unwrap();
        server.open_at(u32::MAX, last.as_bytes(), &mut Vec::new()).unwrap();
        assert_eq!(cipher.seal(b"x", &mut rng).unwrap_err().code(), Code::AlreadyFinished);

        cipher.opened = u64::from(u32::MAX);
        assert_eq!(cipher.open(&answer).unwrap().as_slice(), b"last");
        assert_eq!(cipher.open(&answer).unwrap_err().code(), Code::LimitExceeded);
    }

    #[test]
    fn a_repeating_random_source_is_noticed() {
        let mut rng = Counter(0);
        let mut cipher = exchange(&mut rng);
        cipher.seal(b"x", &mut rng).unwrap();
        rng.0 = 1;
        let mut out = b"before".to_vec();
        assert_eq!(cipher.seal_into(b"x", &mut rng, &mut out).unwrap_err().code(), Code::RandomFailed);
        assert_eq!((out.as_slice(), cipher.sealed_fields()), (&b"before"[..], 1));
    }

    #[test]
    fn no_second_buffer() {
        let mut rng = Counter(0);
        let mut cipher = exchange(&mut rng);
        for length in [0, 1, 5, 4096, 100_001] {
            let mut out = Vec::with_capacity(cipher.sealed_len(length) + 1);
            let place = out.as_ptr();
            cipher.seal_into(&vec![b'x'; length], &mut rng, &mut out).unwrap();
            assert_eq!((out.as_ptr(), out.len()), (place, cipher.sealed_len(length)), "{length}");
        }
    }
}
