//! A function that panics, to show that no panic leaves the library. Only with the cargo feature `test-entry`; in no header.

use crate::boundary::call;
use crate::types::{pv_error, pv_status};

/// Panics inside the guard.
///
/// Threads: any. Codes: PV-902.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_test_panic(error: *mut *mut pv_error) -> pv_status {
    // SAFETY: the caller keeps the promise of the header about `error`.
    unsafe { call(error, proveil_bindings_support::test_panic) }
}
