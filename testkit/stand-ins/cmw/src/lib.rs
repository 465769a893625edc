//! The one type of `cmw` that `ear` names, for the optional claim `ear_raw_evidence`.
//!
//! The real crate's build script links an HTTP client with OpenSSL to fetch a registry from the network. No result of ours carries raw
//! evidence, so here a value of that claim can neither be made nor read. Everything else of `ear` is as published.

#![forbid(unsafe_code)]

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

/// A wrapped message.
#[derive(Debug, PartialEq)]
pub enum CMW {
    /// Several messages; never made.
    Collection(()),
}

impl Serialize for CMW {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(ser::Error::custom("raw evidence is not supported here"))
    }
}

impl<'de> Deserialize<'de> for CMW {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<CMW, D::Error> {
        Err(de::Error::custom("raw evidence is not supported here"))
    }
}
