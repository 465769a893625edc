//! What a proven answer looks like to the caller: texts and documents as the core opened them, in the shape of the API that was asked.
//!
//! A regular end is written only after the core said that the answer is complete (threats T39); an error ends a stream in band.

mod chat;
mod documents;
mod messages;
pub(super) mod stream;
mod tools;

pub(super) use chat::{ChatChunks, ChatWhole};
pub(super) use documents::Documents;
pub(super) use messages::{MessageEvents, MessageWhole, chat_body};
pub(super) use tools::{ToolChunks, ToolWhole, Toolbox, into_prompt};

use proveil::{Error, Event, Result};

/// Writes an answer as a stream of events.
pub(super) trait Chunks: Send {
    /// One event of the answer.
    fn event(&mut self, event: &Event, out: &mut Vec<u8>);

    /// The answer is complete. An error instead of the end when it cannot be what the caller asked for.
    fn end(&mut self, out: &mut Vec<u8>) -> Result<()>;

    /// The answer cannot be used any further.
    fn fail(&mut self, error: &Error, out: &mut Vec<u8>);
}

/// Collects an answer into one document.
pub(super) trait Whole: Send {
    /// One event of the answer.
    fn event(&mut self, event: Event) -> Result<()>;

    /// The document, when the answer is complete.
    fn document(&mut self) -> Result<String>;
}

/// What every answer of the proxy's own making is marked with.
#[derive(Clone, Debug)]
pub(super) struct Marks {
    /// Of the answer.
    pub(super) id: String,
    /// Unix seconds.
    pub(super) created: u64,
    /// As the caller named it.
    pub(super) model: String,
}
