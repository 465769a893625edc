//! NUL-terminated copies of texts and bytes for C, wiped when they go.

use std::ffi::c_char;

use zeroize::{Zeroize, Zeroizing};

/// Bytes with a NUL behind them. Some hold prompts, answers or keys, so all are wiped on drop. A NUL inside is kept: where a text
/// can have one (an answer can), the length is given beside the pointer.
pub struct CText(Zeroizing<Vec<u8>>);

impl CText {
    /// A copy of `bytes`.
    pub fn copy(bytes: &[u8]) -> CText {
        // The capacity is exact, so that pushing the NUL leaves no unwiped copy behind.
        let mut text = Vec::with_capacity(bytes.len().saturating_add(1));
        text.extend_from_slice(bytes);
        text.push(0);
        CText(Zeroizing::new(text))
    }

    /// A copy of a secret `text`, which is wiped.
    pub fn take(mut text: String) -> CText {
        let copy = CText::copy(text.as_bytes());
        text.zeroize();
        copy
    }

    /// For a `const char *`; valid until `self` is dropped.
    pub fn as_ptr(&self) -> *const c_char {
        self.0.as_ptr().cast()
    }

    /// The bytes without the NUL.
    pub fn bytes(&self) -> &[u8] {
        self.0.split_last().map_or(&[], |(_, bytes)| bytes)
    }
}

/// The pointer of a text that may be absent.
pub fn pointer(text: Option<&CText>) -> *const c_char {
    text.map_or(std::ptr::null(), CText::as_ptr)
}
