//! Opens one answer as its bytes arrive.

use std::fmt;

use super::{Answer, Event, Receipt};
use crate::error::{Code, Error, Result};
use crate::http::ResponseHead;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Fresh,
    Open,
    Failed,
}

/// Owns the response key of one request. Feed it the answer's status and headers, then every piece of the body in order, then
/// [`Opener::finish`]. An opener that is dropped before that stands for an incomplete answer, never for a success.
pub struct Opener {
    answer: Box<dyn Answer>,
    state: State,
    workers: usize,
}

impl Opener {
    pub(crate) fn new(answer: Box<dyn Answer>) -> Opener {
        Opener { answer, state: State::Fresh, workers: 1 }
    }

    /// Lets a piece with many sealed fields be opened by up to `workers` threads (1 to 64; default 1). The result is the same.
    pub fn set_workers(&mut self, workers: usize) {
        self.workers = workers.clamp(1, 64);
    }

    /// Takes status and headers of the answer, once and first.
    pub fn head(&mut self, head: &ResponseHead) -> Result<()> {
        self.enter(State::Fresh)?;
        let result = self.answer.head(head);
        self.leave(result)
    }

    /// Takes the next piece of the body, cut anywhere, and appends what it says to `out`. On an error the answer is dead; what was
    /// appended before it came out of valid fields, nothing of the offending event is there.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<Event>) -> Result<()> {
        self.enter(State::Open)?;
        let result = self.answer.push(bytes, self.workers, out);
        self.leave(result)
    }

    /// Ends the answer. Without the protocol's end mark this is `truncated`; after an earlier error it is `already_finished`.
    pub fn finish(mut self, out: &mut Vec<Event>) -> Result<Receipt> {
        self.enter(State::Open)?;
        self.answer.finish(out)
    }

    fn enter(&self, expected: State) -> Result<()> {
        match self.state {
            state if state == expected => Ok(()),
            State::Failed => Err(Error::new(Code::AlreadyFinished)),
            State::Fresh => Err(Error::new(Code::OutOfOrder).expected("head before the body")),
            State::Open => Err(Error::new(Code::OutOfOrder).expected("head only once")),
        }
    }

    fn leave(&mut self, result: Result<()>) -> Result<()> {
        self.state = if result.is_ok() { State::Open } else { State::Failed };
        result
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener").field("state", &self.state).finish_non_exhaustive()
    }
}
