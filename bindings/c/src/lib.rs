//! The C interface: handles, conversion and nothing else. Every rule of a protocol is in the core.
//!
//! Owns: the handle table ([`handle`]), the boundary that every function goes through ([`boundary`]) and the declarations of
//! `include/proveil.h`, which `cargo xtask gen` writes from the sources below. The documentation of the functions is therefore written for
//! readers of the header; what it asks of callers (valid pointers, NUL-terminated texts) is what makes the `unsafe` blocks sound.

#![allow(non_camel_case_types, reason = "these names are the names in the header")]
#![allow(
    clippy::missing_safety_doc,
    reason = "the header's first chapter states the contract of all functions once"
)]
#![allow(unreachable_pub, reason = "exported functions are reached from C")]

mod boundary;
mod buffer;
mod bundle;
mod cancel;
mod client;
mod endpoint;
mod error;
mod exchange;
mod fork;
mod handle;
mod http;
mod inspect;
mod library;
mod opener;
mod policy;
mod report;
mod stream;
#[cfg(feature = "test-entry")]
mod test_entry;
mod text;
mod types;
