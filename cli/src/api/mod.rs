//! OpenAI's and Anthropic's APIs in front of a verified provider, for the proxy and for batches: what a request says (`outline`), how it is
//! sent (`adapt`), and what the proven answer looks like: texts and documents as the core opened them, in the shape of the API that was asked.
//!
//! A regular end is written only after the core said that the answer is complete (threats T39); an error ends a stream in band.

mod adapt;
mod chat;
mod dialect;
mod documents;
mod history;
mod messages;
mod outline;
mod tools;

pub(crate) use adapt::{Adapted, carries_everything, unsupported};
pub(crate) use chat::{ChatChunks, ChatWhole};
pub(crate) use dialect::{CALLERS_KEY, Dialect, message};
pub(crate) use documents::Documents;
pub(crate) use messages::{MessageEvents, MessageWhole, chat_body};
pub(crate) use outline::Outline;
pub(crate) use tools::{ToolChunks, ToolWhole, Toolbox, into_prompt};

use proveil::core::wire::hex;
use proveil::{Code, Error, Event, Result};

/// Writes an answer as a stream of events.
pub(crate) trait Chunks: Send {
    /// One event of the answer.
    fn event(&mut self, event: &Event, out: &mut Vec<u8>);

    /// The answer is complete. An error instead of the end when it cannot be what the caller asked for.
    fn end(&mut self, out: &mut Vec<u8>) -> Result<()>;

    /// The answer cannot be used any further.
    fn fail(&mut self, error: &Error, out: &mut Vec<u8>);
}

/// Collects an answer into one document.
pub(crate) trait Whole: Send {
    /// One event of the answer.
    fn event(&mut self, event: Event) -> Result<()>;

    /// The document, when the answer is complete.
    fn document(&mut self) -> Result<String>;
}

/// What every answer of the proxy's own making is marked with.
#[derive(Clone, Debug)]
pub(crate) struct Marks {
    /// Of the answer.
    pub(crate) id: String,
    /// Unix seconds.
    pub(crate) created: u64,
    /// As the caller named it.
    pub(crate) model: String,
}

/// 24 hex digits that nobody else has.
pub(crate) fn random_id() -> Result<String> {
    let mut bytes = [0_u8; 12];
    getrandom::fill(&mut bytes).map_err(|_| Error::new(Code::RandomFailed))?;
    Ok(hex::encode(&bytes))
}
