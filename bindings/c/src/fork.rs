//! Keeps the handle table and the shared runtime usable in a forked child (threats T63).
//!
//! A child has only the thread that forked. If another thread of the parent held the table's lock at that moment, or was starting the
//! runtime, it would stay locked in the child for ever. So the forking thread takes both locks before the fork and releases them on
//! both sides.

#[cfg(unix)]
mod handlers {
    use std::cell::RefCell;
    use std::sync::{MutexGuard, Once};

    use proveil_bindings_support::{RuntimeHold, hold_runtime};

    use crate::handle::{Table, lock};

    /// No thread takes one of the two while it has the other, except in this order.
    type Held = (MutexGuard<'static, Table>, RuntimeHold);

    thread_local! {
        static HELD: RefCell<Option<Held>> = const { RefCell::new(None) };
    }

    extern "C" fn before() {
        // A thread that is already ending has no storage of its own any more; then the fork goes on unprotected, as without us.
        let _ = HELD.try_with(|held| held.replace(Some((lock(), hold_runtime()))));
    }

    extern "C" fn after() {
        let _ = HELD.try_with(|held| drop(held.take()));
    }

    /// Registers the handlers, once per process, before the first handle exists.
    pub fn prepare_once() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            // SAFETY: the three functions are plain functions without arguments that live as long as the library, which cannot be
            // unloaded safely anyway once its runtime has threads. A failure (no memory) leaves forks unprotected, nothing more.
            unsafe { libc::pthread_atfork(Some(before), Some(after), Some(after)) };
        });
    }
}

#[cfg(unix)]
pub use handlers::prepare_once;

/// Nothing forks here.
#[cfg(not(unix))]
pub fn prepare_once() {}
