//! A simulated Venice: its API on loopback, over forged evidence that a client can verify under the throw-away roots
//! (venice.md 1-6 and 9), with every defect of threats.md section 4 that concerns this provider, by name.
//!
//! The key is made inside, prompts are really opened, answers are really sealed; only the model is missing. [`privatemode`] is the same
//! for Privatemode AI.

mod amd;
mod attestation;
mod chat;
mod collateral;
mod config;
mod defect;
pub mod envelope;
mod flood;
mod hold;
mod listen;
pub mod models;
mod nvidia;
pub mod privatemode;
mod record;
mod reply;
mod server;
mod signature;
mod stream;
pub mod text;
mod tools;

pub use amd::AmdMachine;
pub use attestation::Attestation;
pub use collateral::collateral;
pub use config::{QuoteEncoding, Shape, SignatureHash, SignatureText, SimConfig};
pub use defect::{Defect, Outcome, Stage};
pub use flood::{Flood, Flooded};
pub use hold::HeldAnswer;
pub use nvidia::{ServiceAnswer, nvidia_answer};
pub use record::{OpenedMessage, Recorded, RecordedRequest};
pub use server::{API_PATH, ATTESTATION_PATH, CHAT_PATH, Simulator};
pub use tools::TOOL_PHRASE;
