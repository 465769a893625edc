//! The proven endpoint: the only thing that can seal a request, and what opens the answer.

mod answer;

pub(crate) use answer::Answer;
pub use answer::{Event, Receipt, TextField};
