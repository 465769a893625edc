//! Venice AI (protocols/venice.md): models that run in enclaves behind Venice's relay, with message texts sealed to the enclave.
//!
//! What this cannot give (protocols/venice.md 0.2): the sealed fields are bound neither to the response key nor to each other, so
//! an active relay can replay them under a key of its own. Reports say so.

mod answer;
mod burst;
mod failure;
mod keys;
mod models;
mod request;
#[cfg_attr(not(test), allow(dead_code, reason = "called by the proven endpoint"))]
mod sealing;
mod signature;
mod steps;
#[cfg(test)]
mod tests;
mod utf8;

pub use answer::{AnswerOpener, AnswerOptions};
pub use keys::{address_of, parse_address, parse_ed25519_key, parse_key};
pub use models::{Deprecation, Model, ModelClass, parse_models};
pub use request::{KnownModels, Plan, Relaxations, plan};
pub use signature::{Binding, ResponseSignature, Signer, Verdict, check_signature, parse_signature};
