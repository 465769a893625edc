//! Incremental decoders of answers: framing ([`sse`]) and the shape of one chat event ([`json`]). Neither knows keys or providers.

pub mod json;
mod server_error;
pub mod sse;
mod value;

pub use server_error::{ServerError, parse_error};
pub use value::Field;
