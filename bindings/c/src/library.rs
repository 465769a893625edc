//! The library as a whole: versions and the count of live handles.

use std::ffi::{CStr, c_char};

use proveil_bindings_support::{ABI_VERSION, guard};

use crate::handle;

/// The library's version as a NUL-terminated text; the test below holds it equal to that of the
/// other languages.
const VERSION_TEXT: &CStr =
    match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(text) => text,
        Err(_) => c"",
    };

/// The version of the library that is loaded, `major.minor.patch`. Static.
#[unsafe(no_mangle)]
pub extern "C" fn pv_version() -> *const c_char {
    VERSION_TEXT.as_ptr()
}

/// The version of the binary interface of the library that is loaded. Refuse to run if it differs
/// from PV_ABI_VERSION.
#[unsafe(no_mangle)]
pub extern "C" fn pv_abi_version() -> u32 {
    ABI_VERSION
}

/// Number of handles and buffers that were given out and not freed yet. Tools that look for leaks
/// cannot see them: they are numbers, not memory of the caller's. A program that has freed
/// everything gets 0.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn pv_live_handles() -> usize {
    guard(|| Ok(handle::live())).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #[test]
    fn versions_agree() {
        assert_eq!(super::VERSION_TEXT.to_str().unwrap(), proveil_bindings_support::VERSION);
    }
}
