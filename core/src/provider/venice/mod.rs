//! Venice AI (protocols/venice.md): models that run in enclaves behind Venice's relay, with message texts sealed to the enclave.
//!
//! What this cannot give (protocols/venice.md 0.2): the sealed fields are bound neither to the response key nor to each other, so
//! an active relay can replay them under a key of its own. Reports say so.

mod answer;
pub(crate) mod appraise;
mod burst;
mod channel;
mod exchange;
mod failure;

mod models;
mod request;
mod sealing;
mod signature;
mod steps;
mod template;
#[cfg(test)]
mod tests;
mod utf8;

pub use super::node::keys::{address_of, parse_address, parse_ed25519_key, parse_key};
pub use answer::{AnswerOpener, AnswerOptions};
pub(crate) use exchange::VeniceExchange;
pub use models::{Deprecation, Model, ModelClass, parse_models};
pub use request::{KnownModels, Plan, Relaxations, plan};
pub use signature::{Binding, ResponseSignature, Signer, Verdict, check_signature, parse_signature};
