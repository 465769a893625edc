//! Proveil for Rust applications: verifies a private AI endpoint, encrypts prompts to its proven key and streams the answer.
//!
//! This crate owns everything around the core that needs an operating system: sockets and TLS (`transport`), clocks, randomness, the
//! cached proofs and vendor collateral, and the loops over the core's state machines. It decides nothing about evidence: every
//! verdict comes from [`proveil_core`].

#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod amd;
pub mod blocking;
mod chat;
mod client;
mod clock;
mod collateral;
mod config;
mod disk;
mod endorsements;
mod kds;
mod manifests;
mod models;
mod notice;
mod pins;
mod proofs;
mod random;
mod stream;
#[cfg(test)]
mod tests;
mod transport;
mod verify;

pub use client::{Capture, Client, Measured};
pub use config::{ClientConfig, Proxy, Timeouts};
pub use kds::{KdsClient, KdsConfig};
pub use notice::{Notice, Observer};
pub use pins::{FilePins, MemoryPins, PinStore};
pub use stream::Stream;

pub use proveil_core as core;
pub use proveil_core::attest::TrustRoots;
pub use proveil_core::bundle::EvidenceBundle;
pub use proveil_core::endpoint::{Event, Receipt, SignatureVerdict, TextField, VerifiedEndpoint};
pub use proveil_core::http::BaseUrl;
pub use proveil_core::pin::{Difference, Pin, PinKey, Software};
pub use proveil_core::policy::Policy;
pub use proveil_core::provider::Provider;
pub use proveil_core::report::{Report, Verdict};
pub use proveil_core::secret::SecretText;
pub use proveil_core::{Class, Code, Error, Result};
