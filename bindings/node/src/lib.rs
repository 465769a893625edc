//! The Node addon: converts, guards and renames (style.md B1 rule 3). The public API is the TypeScript in `node/src`; nothing here is
//! meant to be called by anything else.
//!
//! No function throws or rejects for a failure of Proveil: each gives `{ ok }` or `{ error }` ([`answer::Answer`]), from which the
//! TypeScript layer makes its classes of errors (style.md B8, rule 8). Work that takes more than some microseconds runs on Node's
//! worker pool ([`answer::work`]), network operations on the runtime of `bindings/support` ([`answer::promise`]); the exceptions are
//! the fields of one network piece in `Opener.push` and `Opener.pushText`, and the single-field helpers.

mod answer;
mod bundle;
mod client;
mod endpoint;
mod exchange;
mod inspect;
mod opener;
mod report;
mod stream;
#[cfg(feature = "test-entry")]
mod test_entry;
mod values;
