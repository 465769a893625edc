//! The fields of one exchange under a shared secret (protocols/privatemode.md 5.1, 5.3): AES-GCM, counted in both directions, as JSON
//! strings.
//!
//! [`FieldCipher`] is one exchange as a client sees it; [`MessageKey`] is a single field under a given counter; `text` is hexadecimal in
//! place.
//!
//! What the scheme does not protect, and its users must: which member a field belongs to (names are not bound, only their order), members
//! that are in clear, and the end of an answer (trailing fields can be dropped). One secret serves all exchanges with a deployment, so
//! an enclave of it can open any of them.

mod exchange;
mod message;
mod text;

pub use exchange::FieldCipher;
pub use message::{MessageKey, NONCE_LEN};
