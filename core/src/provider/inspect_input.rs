//! What inspections read and write: members of JSON objects, with the caller's mistakes named.

use crate::error::{Code, Error, Result};
use crate::secret::Secret;
use crate::wire::hex;
use crate::wire::json::Json;

/// The members of an answer, in order.
pub(super) type Members = Vec<(String, Json)>;

/// A member of an answer that is a text.
pub(super) fn member(name: &str, value: impl Into<String>) -> (String, Json) {
    value_member(name, Json::String(value.into()))
}

/// A member of an answer that is bytes, in hex.
pub(super) fn hex_member(name: &str, bytes: &[u8]) -> (String, Json) {
    member(name, hex::encode(bytes))
}

/// Any member of an answer.
pub(super) fn value_member(name: &str, value: Json) -> (String, Json) {
    (name.to_owned(), value)
}

/// A text, or `null`.
pub(super) fn text_or_null(text: Option<impl Into<String>>) -> Json {
    text.map_or(Json::Null, |text| Json::String(text.into()))
}

/// The caller's object; missing and mistyped members are its fault.
#[derive(Clone, Copy)]
pub(super) struct Input<'a>(pub(super) &'a Json);

fn mistyped(name: &str, expected: impl Into<String>) -> Error {
    Error::new(Code::InvalidArgument).at(name).expected(expected.into())
}

impl<'a> Input<'a> {
    /// A member that must be there.
    pub(super) fn get(&self, name: &str) -> Result<&'a Json> {
        self.0.get(name).ok_or_else(|| Error::new(Code::InvalidArgument).at(name).found("absent"))
    }

    /// True when the member is there and is not `null`.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| !value.is_null())
    }

    /// A text.
    pub(super) fn text(&self, name: &str) -> Result<&'a str> {
        self.get(name)?.as_str().ok_or_else(|| mistyped(name, "a text"))
    }

    /// A text that may be missing.
    pub(super) fn optional_text(&self, name: &str) -> Result<Option<&'a str>> {
        if self.has(name) { self.text(name).map(Some) } else { Ok(None) }
    }

    /// So many bytes.
    pub(super) fn array<const N: usize>(&self, name: &str) -> Result<[u8; N]> {
        hex::decode_array(self.text(name)?).ok_or_else(|| mistyped(name, format!("{N} bytes in hex")))
    }

    /// A secret of so many bytes.
    pub(super) fn secret<const N: usize>(&self, name: &str) -> Result<Secret<N>> {
        self.array::<N>(name).map(|mut bytes| Secret::take(&mut bytes))
    }

    /// Any number of bytes.
    pub(super) fn bytes(&self, name: &str) -> Result<Vec<u8>> {
        hex::decode(self.text(name)?).ok_or_else(|| mistyped(name, "bytes in hex"))
    }

    /// Bytes that may be missing.
    pub(super) fn optional_bytes(&self, name: &str) -> Result<Option<Vec<u8>>> {
        if self.has(name) { self.bytes(name).map(Some) } else { Ok(None) }
    }

    /// An integer that is not negative.
    pub(super) fn number(&self, name: &str) -> Result<u64> {
        self.get(name)?.as_u64().ok_or_else(|| mistyped(name, "a non-negative integer"))
    }

    /// An integer of 64 bits.
    pub(super) fn integer(&self, name: &str) -> Result<i64> {
        let Json::Number(number) = self.get(name)? else { return Err(mistyped(name, "an integer")) };
        number.as_i64().ok_or_else(|| mistyped(name, "an integer"))
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, name: &str) -> Result<bool> {
        self.get(name)?.as_bool().ok_or_else(|| mistyped(name, "true or false"))
    }

    /// A list.
    pub(super) fn list(&self, name: &str) -> Result<&'a [Json]> {
        self.get(name)?.as_array().ok_or_else(|| mistyped(name, "an array"))
    }

    /// A list of objects.
    pub(super) fn objects(&self, name: &str) -> Result<Vec<Input<'a>>> {
        let list = self.list(name)?;
        if list.iter().all(|item| item.as_object().is_some()) {
            return Ok(list.iter().map(Input).collect());
        }
        Err(mistyped(name, "an array of objects"))
    }

    /// A list of texts.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<&'a str>> {
        let texts: Option<Vec<&str>> = self.list(name)?.iter().map(Json::as_str).collect();
        texts.ok_or_else(|| mistyped(name, "an array of texts"))
    }

    /// A list of bytes.
    pub(super) fn bytes_list(&self, name: &str) -> Result<Vec<Vec<u8>>> {
        let items: Option<Vec<Vec<u8>>> = self.texts(name)?.into_iter().map(hex::decode).collect();
        items.ok_or_else(|| mistyped(name, "an array of bytes in hex"))
    }

    /// Names with their values.
    pub(super) fn members(&self, name: &str) -> Result<&'a [(String, Json)]> {
        self.get(name)?.as_object().ok_or_else(|| mistyped(name, "an object"))
    }
}
