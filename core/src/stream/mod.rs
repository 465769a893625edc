//! Incremental decoders of answers: framing ([`sse`]) and the shape of one chat event ([`json`]). Neither knows keys or providers.

pub mod json;
pub mod sse;
mod value;

pub use value::Field;
