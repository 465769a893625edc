//! The interface that Kotlin and Swift get through UniFFI: converts, guards and renames (style.md B1 rule 3).
//!
//! Names are the Rust ones; the generator writes them in each language's style. Objects hide what a record would print: requests with
//! their headers, and errors with what was opened before them (docs/adr/0006-uniffi.md). Async functions run on the runtime of
//! `bindings/support`; cancelling the task drops the work.

mod bundle;
mod client;
mod code;
mod endpoint;
mod error;
mod exchange;
mod inspect;
mod opener;
mod policy;
mod report;
mod stream;
#[cfg(feature = "test-entry")]
mod test_entry;
mod values;

uniffi::setup_scaffolding!();
