//! A simulated Privatemode: published manifest, coordinator on a forged Genoa machine, secret service and workers on loopback, which a
//! client can verify under the throw-away roots (privatemode.md 10), with every defect of 10.10 by name.
//!
//! The exchange is real, requests are really opened, answers are really sealed; only the models are scripted. The enclave's side is
//! written from the document and not with the core's sealing, so that the two check each other.

mod chat;
pub mod cipher;
mod config;
mod defect;
mod deployment;
pub mod exchange;
pub mod fields;
pub mod forms;
mod gateway;
pub mod generate;
mod messages;
pub mod models;
pub mod ocsp;
mod others;
mod server;
mod spoil;
pub mod validate;
pub mod version;
mod wire;
mod worker;

pub use config::SimConfig;
pub use defect::{Defect, Stage};
pub use others::{caption, embedding};
pub use server::{ATTEST_PATH, MANIFEST_PATH, SECRET_PATH, Simulator};
