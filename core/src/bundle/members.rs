//! Strict reading of objects: every member is known, errors name its path.

use crate::error::{Code, Error, Result};
use crate::wire::json::Json;
use crate::wire::{hex, nearest};

pub(super) fn invalid(member: &str) -> Error {
    Error::new(Code::EvidenceInvalid).at(member)
}

/// The members of one object, with the path for messages.
pub(super) struct Members<'a> {
    path: String,
    members: &'a [(String, Json)],
}

impl<'a> Members<'a> {
    /// Reads an object that has no members but these.
    pub fn of(value: &'a Json, path: &str, names: &[&str]) -> Result<Members<'a>> {
        let members = value.as_object().ok_or_else(|| invalid(path).expected("an object"))?;
        let members = Members { path: path.to_owned(), members };
        match members.members.iter().find(|(name, _)| !names.contains(&name.as_str())) {
            None => Ok(members),
            Some((name, _)) => {
                let error = invalid(&members.path_of(name)).found(name.as_str());
                Err(match nearest(name, names.iter().copied()) {
                    Some(near) => error.context(format!("Did you mean `{near}`?")),
                    None => error.expected(names.join(", ")),
                })
            }
        }
    }

    /// The path of a member.
    pub fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    pub fn invalid(&self, name: &str) -> Error {
        invalid(&self.path_of(name))
    }

    pub fn get(&self, name: &str) -> Option<&'a Json> {
        self.members.iter().find(|(member, _)| member == name).map(|(_, value)| value)
    }

    pub fn must(&self, name: &str) -> Result<&'a Json> {
        self.get(name).ok_or_else(|| self.invalid(name).found("absent"))
    }

    pub fn text(&self, name: &str) -> Result<Option<&'a str>> {
        let wrong = || self.invalid(name).expected("a text");
        self.get(name).map(|value| value.as_str().ok_or_else(wrong)).transpose()
    }

    pub fn must_text(&self, name: &str) -> Result<&'a str> {
        self.text(name)?.ok_or_else(|| self.invalid(name).found("absent"))
    }

    pub fn must_number(&self, name: &str) -> Result<u64> {
        self.must(name)?.as_u64().ok_or_else(|| self.invalid(name).expected("a non-negative integer"))
    }

    /// The elements of an array of at most `max`, each with its path; none when the member is absent.
    pub fn list(&self, name: &str, max: usize) -> Result<Vec<(String, &'a Json)>> {
        let Some(value) = self.get(name) else { return Ok(Vec::new()) };
        let elements = value.as_array().ok_or_else(|| self.invalid(name).expected("an array"))?;
        let path = self.path_of(name);
        if elements.len() > max {
            return Err(Error::new(Code::LimitExceeded).at(path).expected(format!("at most {max}")));
        }
        Ok(elements.iter().enumerate().map(|(i, element)| (format!("{path}.{i}"), element)).collect())
    }

    /// Exactly `N` bytes in hex.
    pub fn fixed<const N: usize>(&self, name: &str) -> Result<Option<[u8; N]>> {
        let wrong = || self.invalid(name).expected(format!("{N} bytes in hex"));
        self.text(name)?.map(|text| hex::decode_array(text).ok_or_else(wrong)).transpose()
    }

    pub fn must_fixed<const N: usize>(&self, name: &str) -> Result<[u8; N]> {
        self.fixed(name)?.ok_or_else(|| self.invalid(name).found("absent"))
    }
}
