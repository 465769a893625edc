//! What the C, Python, Node and UniFFI layers share, so that each of them only converts and renames (style.md B1 rules 3 and 7).
//!
//! Owns: the unwind [`guard`], the operating system's random source, the shared [`runtime`], cancellable [tasks](run),
//! an [`OpenerCell`] and a [`StreamCell`] that two threads cannot use at once, settings as languages give them, and flat forms of [`events`](FlatEvent) and [errors](ErrorFields). Knows nothing of a language.

#![forbid(unsafe_code)]

mod api;
mod cell;
mod error;
mod event;
mod guard;
mod hardware;
mod options;
mod privatemode;
mod random;
mod runtime;
mod stream;
mod task;

pub use api::OwnedRequest;
pub use cell::{ExchangeCell, OpenerCell};
pub use error::ErrorFields;
pub use event::{EventKind, FlatEvent};
pub use guard::guard;
#[cfg(feature = "test-entry")]
pub use guard::test_panic;
pub use hardware::HardwareOptions;
pub use options::{
    ClientOptions, EvidenceOptions, ExchangeOptions, TimeoutOptions, fetched_endorsements, private_key,
    transport_failure,
};
pub use privatemode::PrivatemodeFields;
pub use random::OsRandom;
pub use runtime::{RuntimeHold, block_on, hold_runtime, runtime};
pub use stream::{StreamCell, StreamLease};
pub use task::{CancelToken, run};

pub use proveil as client;
pub use proveil_core as core;

use proveil_core::{Code, Error};

/// Version of the C ABI; raised on every incompatible change.
pub const ABI_VERSION: u32 = 0;

/// Library version, `major.minor.patch`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Lowercase hex, for digests.
pub fn hex(bytes: &[u8]) -> String {
    proveil_core::wire::hex::encode(bytes)
}

/// Seconds since 1970-01-01T00:00:00Z by the system's clock; `clock_wrong` before that.
pub fn now_unix_s() -> Result<u64, Error> {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map(|elapsed| elapsed.as_secs())
        .map_err(|_| Error::new(Code::ClockWrong))
}
