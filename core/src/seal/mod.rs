//! Sealing schemes over raw keys. They know nothing of providers, and nothing of whether a key is proven.

pub mod ecies;
