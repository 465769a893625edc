//! The types of the header: opaque handles, byte ranges, buffers. Owns their layout; the tests in `tests/c/layout.c` hold it fixed.

use std::ffi::c_char;

/// Result of a function: PV_OK, or the number of the cause (205 stands for PV-205).
pub type pv_status = i32;

/// The status of a function that did what it says.
pub const PV_OK: i32 = 0;

/// Stands for "now, by the system's clock" wherever a time is asked for.
pub const PV_NOW: u64 = 0;

/// What went wrong: read with the pv_error_ functions, freed with pv_error_free(). Immutable.
pub struct pv_error(());
/// What must hold before anything is sent. Immutable.
pub struct pv_policy(());
/// Whose signatures count. Immutable.
pub struct pv_trust_roots(());
/// What an appraisal found: verdict and every check. Immutable.
pub struct pv_report(());
/// Everything that an appraisal used, to be kept and judged again without network. Immutable.
pub struct pv_evidence_bundle(());
/// A request for the caller's own HTTP transport. Immutable.
pub struct pv_http_request(());
/// One verification of one endpoint, for callers with their own transport. One thread at a time.
pub struct pv_exchange(());
/// A proven endpoint: the only thing that seals requests. Only a verification makes one. Immutable.
pub struct pv_endpoint(());
/// A request whose prompt is sealed to the proven key. Immutable.
pub struct pv_sealed(());
/// Opens one answer as its bytes arrive. One thread at a time.
pub struct pv_opener(());
/// What a piece of an answer said. Immutable; its texts are wiped when it is freed.
pub struct pv_events(());
/// What is known about an answer that reached its end. Immutable.
pub struct pv_receipt(());
/// Verifies, sends and opens with a transport of its own. Any number of threads.
pub struct pv_client(());
/// One streamed answer of a client. One thread at a time.
pub struct pv_stream(());
/// Lets another thread end a blocking call. Any number of threads.
pub struct pv_cancel(());
/// What a pv_buf holds on to.
pub struct pv_buf_owner(());

/// Bytes that a function reads during the call, or that a getter lends out. {NULL, 0} is empty.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct pv_bytes {
    /// First byte; may be NULL when len is 0.
    pub data: *const u8,
    /// Number of bytes.
    pub len: usize,
}

/// Bytes that a function gives to the caller, to be freed with pv_buf_free().
#[repr(C)]
#[derive(Clone, Copy)]
pub struct pv_buf {
    /// First byte; a NUL that is not counted follows the last one, so that texts can be printed.
    /// NULL when there is nothing.
    pub data: *const u8,
    /// Number of bytes.
    pub len: usize,
    /// For pv_buf_free(); do not touch.
    pub owner: *mut pv_buf_owner,
}

/// One header of an HTTP answer.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct pv_header {
    /// Name in any case, NUL-terminated.
    pub name: *const c_char,
    /// Value, NUL-terminated. Bytes that are not UTF-8 are replaced.
    pub value: *const c_char,
}

impl pv_bytes {
    /// No bytes.
    pub const EMPTY: pv_bytes = pv_bytes { data: std::ptr::null(), len: 0 };

    /// Lends out `bytes`.
    pub fn lend(bytes: &[u8]) -> pv_bytes {
        pv_bytes { data: bytes.as_ptr(), len: bytes.len() }
    }
}

impl pv_buf {
    /// No buffer.
    pub const EMPTY: pv_buf = pv_buf { data: std::ptr::null(), len: 0, owner: std::ptr::null_mut() };
}
