//! What only tests need; not in released libraries.

use proveil_bindings_support::{CancelToken, run, test_panic as panic_now};

use crate::error::{Outcome, guarded};

/// Panics on the calling thread.
#[uniffi::export]
pub fn test_panic() -> Outcome<()> {
    guarded(panic_now)
}

/// Panics on the runtime.
#[uniffi::export]
pub async fn test_panic_async() -> Outcome<()> {
    Ok(run(CancelToken::new(), async { panic_now() }).await?)
}
