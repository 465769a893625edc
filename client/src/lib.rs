//! The client (being filled).
