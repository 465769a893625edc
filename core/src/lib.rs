//! Proveil's core: proves an enclave, then veils what is sent to it. Sans-I/O.
//!
//! The path of a request, top to bottom: [`wire`] and [`crypto`] read and check bytes; [`attest`] turns [`evidence`] into authenticated
//! [`claims`]; [`policy`] appraises them into a [`report`]; only that gives an [`endpoint`], which seals a request and opens the
//! answer. [`provider`] says which bytes go where; [`appraise`] judges hardware that stands for itself; [`pin`] compares software with
//! what was seen before; [`bundle`] keeps everything that an appraisal used, so that it can be made again.
//! Nothing here does I/O, reads a clock or the environment, or has a random source of its own: bytes, time and randomness are
//! arguments.

#![forbid(unsafe_code)]

pub mod appraise;
pub mod attest;
pub mod bundle;
pub mod claims;
pub mod crypto;
pub mod endpoint;
pub mod error;
pub mod evidence;
pub mod http;
pub mod limits;
pub mod openai;
pub mod pin;
pub mod pki;
pub mod policy;
pub mod provider;
pub mod report;
pub mod seal;
pub mod secret;
pub mod stream;
#[cfg(doctest)]
mod typestate;
pub mod wire;

pub use error::{Class, Code, Error, Result};
