//! What only tests need; not in released addons.

use napi::Env;
use napi::bindgen_prelude::{AsyncTask, Object};
use napi_derive::napi;
use proveil_bindings_support::{CancelToken, test_panic};

use crate::answer::{Answer, Work, answer, promise, work};

/// Panics on the calling thread.
#[napi]
pub fn test_panic_now() -> Answer<()> {
    answer(test_panic)
}

/// Panics on the worker pool.
#[napi]
pub fn test_panic_work() -> AsyncTask<Work<()>> {
    work(test_panic)
}

/// Panics on the runtime.
#[napi]
pub fn test_panic_promise(env: &Env) -> napi::Result<Object<'_>> {
    promise(env, CancelToken::new(), async { test_panic() })
}
