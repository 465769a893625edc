use std::cell::Cell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use proveil_core::{Code, Error, Result};

thread_local! {
    /// Whether this thread is inside [`guard`].
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    /// Source file and line of the last panic inside a guard.
    static PLACE: Cell<Option<String>> = const { Cell::new(None) };
}

/// Runs one exported function. A panic becomes PV-902 with fixed text and the place in our source: its message could hold anything,
/// so it is neither kept nor printed (threats T64, I7).
///
/// After a panic the objects that were in use may be half changed; cells below mark themselves as failed in that case.
pub fn guard<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    keep_panics_quiet();
    let outer = INSIDE.replace(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    INSIDE.set(outer);
    result.unwrap_or_else(|payload| {
        // Dropping a payload can run foreign code that panics again; leaking it is the safe choice for something that never happens.
        std::mem::forget(payload);
        let error = Error::new(Code::Panic);
        Err(match PLACE.take() {
            Some(place) => error.at(place),
            None => error,
        })
    })
}

/// Replaces the hook that prints panic messages, for guarded code only; all other panics go to the hook that was there before.
fn keep_panics_quiet() {
    static ONCE: Once = Once::new();
    // The hook cannot be changed while this thread unwinds; the next call does it.
    if ONCE.is_completed() || std::thread::panicking() {
        return;
    }
    ONCE.call_once(|| {
        let previous = take_hook();
        set_hook(Box::new(move |info| if INSIDE.get() { PLACE.set(place(info)) } else { previous(info) }));
    });
}

/// File name, without folders, and line.
fn place(info: &PanicHookInfo<'_>) -> Option<String> {
    let location = info.location()?;
    let file = location.file().rsplit(['/', '\\']).next().unwrap_or_default();
    Some(format!("{file}:{}", location.line()))
}

/// Panics on purpose, inside the guard.
#[cfg(feature = "test-entry")]
pub fn test_panic() -> Result<()> {
    #[allow(clippy::panic)]
    guard(|| panic!("secret canary 6e1f"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_that_names_the_place_only() {
        let error = guard::<()>(|| panic!("canary")).unwrap_err();
        assert_eq!(error.code(), Code::Panic);
        assert!(error.check().is_some_and(|place| place.starts_with("guard.rs:")), "{error}");
        assert!(!error.to_string().contains("canary"));
        assert_eq!(guard(|| Ok(1)).unwrap(), 1);
        assert_eq!(guard(|| guard::<()>(|| Err(Error::new(Code::Busy)))).unwrap_err().code(), Code::Busy);
    }
}
