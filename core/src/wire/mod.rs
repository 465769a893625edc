//! Bounded readers and writers for the forms that evidence and answers come in.
//!
//! Owns: [`Reader`] (little- and big-endian cursor), [`hex`], [`base64`], [`json`] (strict: duplicate members refused, depth
//! bounded; canonical form), [`locate`] (line and column of a member), [`raw`]
//! (values as written), [`scan`] (where they begin and end, in one pass), [`der`] (definite, shortest lengths), [`protobuf`] (fields of a
//! message), [`time`] (times in words), [`walk`] (strict reading without a tree). Does not know
//! what the values mean. No function here panics or allocates more than its input.

pub mod base64;
pub mod der;
pub mod hex;
pub mod json;
pub mod locate;
mod nearest;
pub mod protobuf;
pub mod raw;
mod reader;
pub mod scan;
pub mod time;
pub mod walk;

pub use nearest::nearest;
pub use reader::Reader;
