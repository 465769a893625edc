//! The API that providers serve, as requests and answers look on the wire: endpoints, JSON bodies by member, forms, media.
//!
//! Owns the names and shapes. What may travel in clear, what is sealed and what is refused is each provider's decision.

mod chat;
mod endpoint;
pub mod forms;
pub mod media;
pub mod select;

pub use chat::{
    MEDIA_PARTS, MESSAGE_MEMBERS, MemberKind, Message, REASONING_EFFORTS, REQUEST_MEMBERS, ROLES, Raw,
    TOOL_ROLES, member_kind, read_messages, read_request,
};
pub use endpoint::{ApiEndpoint, BodyKind};
