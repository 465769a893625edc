//! Types for values that must not survive or be seen: wiped on drop, no `Clone`, no `Debug` content, no serde (threats I7, T34).

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// A fixed-size secret. Wiped on drop; cannot be cloned, printed or serialised; equality takes constant time.
pub struct Secret<const N: usize>(Zeroizing<[u8; N]>);

impl<const N: usize> Secret<N> {
    /// Takes the bytes; the caller's copy is wiped.
    pub fn take(bytes: &mut [u8; N]) -> Secret<N> {
        let secret = Secret(Zeroizing::new(*bytes));
        bytes.zeroize();
        secret
    }

    /// An all-zero secret to be filled through [`Secret::expose_mut`].
    pub fn zero() -> Secret<N> {
        Secret(Zeroizing::new([0; N]))
    }

    /// The bytes. Named so that a reader sees every place where a secret is looked at.
    pub fn expose(&self) -> &[u8; N] {
        &self.0
    }

    /// The bytes, to be written.
    pub fn expose_mut(&mut self) -> &mut [u8; N] {
        &mut self.0
    }
}

impl<const N: usize> PartialEq for Secret<N> {
    fn eq(&self, other: &Secret<N>) -> bool {
        self.0.ct_eq(other.0.as_slice()).into()
    }
}

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret<{N}>")
    }
}

/// A secret text, such as an API key. Wiped on drop; prints only its type name.
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Takes ownership of the text.
    pub fn new(text: String) -> SecretText {
        SecretText(Zeroizing::new(text))
    }

    /// The text. Named so that a reader sees every place where a secret is looked at.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// A second owner of the same text, asked for by name instead of by `Clone`.
    pub fn duplicate(&self) -> SecretText {
        SecretText(self.0.clone())
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText")
    }
}

/// Overwrites bytes with zeros, in blocks: a byte at a time would cost as much as decrypting them did.
pub fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    zeroize::optimization_barrier(bytes);
}

/// Constant-time comparison of two byte strings; different lengths are unequal.
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}
