//! Sealing schemes over raw keys. They know nothing of providers, and nothing of whether a key is proven.
//!
//! | module | scheme |
//! | --- | --- |
//! | [`ecies`] | fields sealed to a secp256k1 key, each by itself |
//! | [`hpke`] | a key shared with an enclave: X-Wing for secrets, X25519 for messages |
//! | [`gcm_stream`] | fields of one exchange under a shared secret, counted, as text |
//! | [`oae`] | messages of one exchange under a shared secret, counted and ended, as bytes |

pub mod ecies;
pub mod gcm_stream;
pub mod hpke;
pub mod oae;

use crate::crypto::SecureRandom;
use crate::error::Result;

/// Seals the parts of one request and opens the parts of its answer, each in order. An implementation belongs to one exchange and cannot
/// be cloned: its counters make every part unique (threats T29, T32).
pub trait MessageCipher {
    /// Seals the next part of the request and appends its sealed form to `out`. On failure `out` is as before and nothing is counted.
    fn seal_into(&mut self, plaintext: &[u8], rng: &mut dyn SecureRandom, out: &mut Vec<u8>) -> Result<()>;

    /// Opens the next part of the answer and appends its plaintext to `out`. On failure `out` is as before, nothing of the part is left
    /// in its memory (threats T30), and nothing is counted.
    fn open_into(&mut self, sealed: &[u8], out: &mut Vec<u8>) -> Result<()>;
}
