//! Parts that stand inside the JSON text in one form of a bundle and in files of their own in the other.

use super::members::{Members, invalid};
use super::{BundleFile, ReadFile};
use crate::error::{Code, Error, Result};
use crate::limits::{EVIDENCE_BUNDLE_MAX_BYTES, EVIDENCE_FILE_NAME_MAX_BYTES};
use crate::wire::base64;
use crate::wire::json::Json;

/// The member of a reference to a file.
const FILE: &str = "file";

/// Puts parts where they belong.
pub(super) enum Writer {
    /// Into the text.
    Inline,
    /// Into files.
    Files(Vec<BundleFile>),
}

impl Writer {
    /// A part of bytes: base64 text, or a file.
    pub fn bytes(&mut self, name: &str, bytes: &[u8]) -> Json {
        match self {
            Writer::Inline => Json::String(base64::encode(bytes)),
            Writer::Files(files) => reference(files, name, bytes.to_vec()),
        }
    }

    /// A part that is a JSON document: itself, or a file that is laid out for people.
    pub fn document(&mut self, name: &str, document: Json) -> Json {
        match self {
            Writer::Inline => document,
            Writer::Files(files) => {
                let mut text = document.to_pretty();
                text.push('\n');
                reference(files, name, text.into_bytes())
            }
        }
    }
}

fn reference(files: &mut Vec<BundleFile>, name: &str, bytes: Vec<u8>) -> Json {
    files.push(BundleFile { name: name.to_owned(), bytes });
    Json::Object(vec![(FILE.to_owned(), Json::String(name.to_owned()))])
}

/// Gets parts from where they are.
pub(super) struct Reader<'r> {
    /// Gives the content of a file; `None` for the form that has none.
    read: Option<&'r mut ReadFile<'r>>,
    /// Bytes that may still be read.
    left: usize,
    /// Files that were read: each belongs to one place.
    seen: Vec<String>,
}

impl<'r> Reader<'r> {
    /// `index` is the length of the text that names the parts.
    pub fn new(read: Option<&'r mut ReadFile<'r>>, index: usize) -> Result<Reader<'r>> {
        let left = EVIDENCE_BUNDLE_MAX_BYTES.checked_sub(index).ok_or_else(too_large)?;
        Ok(Reader { read, left, seen: Vec::new() })
    }

    /// A part of at most `max` bytes.
    pub fn bytes(&mut self, value: &Json, path: &str, max: usize) -> Result<Vec<u8>> {
        let bytes = match value {
            Json::String(text) if self.read.is_none() => {
                base64::decode(text).ok_or_else(|| invalid(path).expected("base64"))?
            }
            _ => self.file(value, path, max)?,
        };
        if bytes.len() > max {
            return Err(Error::new(Code::LimitExceeded).at(path).expected(format!("at most {max} bytes")));
        }
        Ok(bytes)
    }

    /// A part that is a JSON document.
    pub fn document(&mut self, value: &Json, path: &str) -> Result<Json> {
        if self.read.is_none() {
            return Ok(value.clone());
        }
        let bytes = self.file(value, path, self.left)?;
        Json::parse(&bytes).map_err(|_| invalid(path).expected("strict JSON"))
    }

    fn file(&mut self, value: &Json, path: &str, max: usize) -> Result<Vec<u8>> {
        let Some(read) = self.read.as_mut() else {
            return Err(invalid(path).expected("the part itself; files are for directories only"));
        };
        let members = Members::of(value, path, &[FILE])?;
        let name = members.must_text(FILE)?;
        if !is_plain_name(name) {
            // Nothing outside the folder is ever asked for (threats T55).
            return Err(members.invalid(FILE).expected("a plain file name").found(name));
        }
        if self.seen.iter().any(|seen| seen == name) {
            return Err(members.invalid(FILE).found(name).context("This file is named twice."));
        }
        self.seen.push(name.to_owned());
        let bytes = read(name, max.min(self.left))?;
        self.left = self.left.checked_sub(bytes.len()).ok_or_else(too_large)?;
        Ok(bytes)
    }
}

/// Lowercase letters, digits, dots and hyphens, beginning with a letter or digit.
fn is_plain_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() <= EVIDENCE_FILE_NAME_MAX_BYTES
        && name.bytes().next().is_some_and(plain)
        && name.bytes().all(|byte| plain(byte) || byte == b'.' || byte == b'-')
        && name != super::INDEX_FILE
}

fn too_large() -> Error {
    Error::new(Code::LimitExceeded)
        .at("evidence bundle")
        .expected(format!("at most {EVIDENCE_BUNDLE_MAX_BYTES} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files() {
        for name in ["policy.json", "device-1.report.bin", "0"] {
            assert!(is_plain_name(name), "{name}");
        }
        let long = "a".repeat(EVIDENCE_FILE_NAME_MAX_BYTES + 1);
        for name in
            ["", ".", "..", ".hidden", "-x", "a/b", "a\\b", "A", "a b", "a\0", "ä", "evidence.json", &long]
        {
            assert!(!is_plain_name(name), "{name}");
        }
    }
}
