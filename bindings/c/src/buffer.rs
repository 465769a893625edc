//! `pv_buf`: bytes given to the caller. The memory belongs to the handle table, so that freeing a copied structure twice is found out.

use std::ffi::c_char;

use proveil_bindings_support::core::Result;

use crate::boundary::{Out, release};
use crate::handle;
use crate::text::CText;
use crate::types::{PV_OK, pv_buf, pv_buf_owner, pv_bytes, pv_status};

/// The bytes of one buffer; read through the pointer in `pv_buf` only, kept here to be wiped in
/// the end.
pub struct BufferObject {
    _bytes: CText,
}

impl Out<pv_buf> {
    /// Hands a copy of `bytes` to the caller.
    pub fn give(self, bytes: &[u8]) -> Result<()> {
        self.give_text(CText::copy(bytes))
    }

    /// Hands `text` to the caller.
    pub fn give_text(self, text: CText) -> Result<()> {
        // Moving the text does not move its bytes.
        let (data, len) = (text.as_ptr().cast(), text.bytes().len());
        let owner = handle::insert::<pv_buf_owner>(BufferObject { _bytes: text })?;
        self.set(pv_buf { data, len, owner });
        Ok(())
    }
}

/// Wipes and frees the bytes of a buffer and clears the structure, so that doing it again does
/// nothing.
///
/// NULL and an empty structure are accepted. A copy of a structure that was freed already gives
/// PV-702.
///
/// Threads: any. Codes: PV-702, PV-703.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_buf_free(buf: *mut pv_buf) -> pv_status {
    if buf.is_null() {
        return PV_OK;
    }
    // SAFETY: not NULL, so it points to a `pv_buf` of the caller's; alignment is not assumed.
    let value = unsafe { buf.read_unaligned() };
    // SAFETY: as before; the caller lets the structure be written.
    unsafe { Out::new(buf, pv_buf::EMPTY) };
    release(value.owner)
}

/// The range of a NUL-terminated text without its NUL; {NULL, 0} for NULL.
///
/// The range borrows from the text. Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_bytes_from_text(text: *const c_char) -> pv_bytes {
    if text.is_null() {
        return pv_bytes::EMPTY;
    }
    // SAFETY: not NULL, so it points to a NUL-terminated text of the caller's.
    pv_bytes::lend(unsafe { std::ffi::CStr::from_ptr(text) }.to_bytes())
}
