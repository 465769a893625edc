//! Many requests from a file, sealed and sent a few at a time, answers into a file that can be gone on with after any kind of end
//! (issue 5, threats T49).
//!
//! `input` reads rows, `index` knows which there are and which are done, `journal` is the output, `row` sends one, `work` runs them,
//! `summary` says what came of it. The rule of it all: a row is done if and only if the output has its complete line.

mod index;
mod input;
mod journal;
mod lines;
mod row;
mod summary;
mod work;

pub(crate) use index::survey;
pub(crate) use input::Rows;
pub(crate) use journal::Journal;
pub(crate) use row::Sender;
pub(crate) use summary::{Ending, Summary};
pub(crate) use work::Work;
