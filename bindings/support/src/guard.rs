use std::panic::{AssertUnwindSafe, catch_unwind};

use proveil_core::{Code, Error, Result};

/// Runs one exported function. A panic becomes PV-902 with fixed text: its message could hold anything (threats T64, I7).
///
/// After a panic the objects that were in use may be half changed; cells below mark themselves as failed in that case.
pub fn guard<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        // Dropping a payload can run foreign code that panics again; leaking it is the safe choice for something that never happens.
        std::mem::forget(payload);
        Err(Error::new(Code::Panic))
    })
}

/// Panics on purpose, inside the guard.
#[cfg(feature = "test-entry")]
pub fn test_panic() -> Result<()> {
    #[allow(clippy::panic)]
    guard(|| panic!("secret canary 6e1f"))
}
