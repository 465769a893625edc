//! Strict access to the members of a policy document: what is wrong is an error that names its path.

use crate::error::{Code, Error, Result};
use crate::wire::json::Json;
use crate::wire::{hex, nearest};

/// Most elements of one list.
const LIST_MAX: usize = 1024;

pub(in crate::policy) fn invalid(member: &str) -> Error {
    Error::new(Code::PolicyInvalid).at(member)
}

pub(in crate::policy) fn unknown(member: &str, found: &str, names: &[&str]) -> Error {
    let error = invalid(member).found(found);
    match nearest(found, names.iter().copied()) {
        Some(name) => error.context(format!("Did you mean `{name}`?")),
        None => error.expected(names.join(", ")),
    }
}

/// The members of one object of the document, with the path for messages.
pub(in crate::policy) struct Members<'a> {
    path: &'static str,
    pub(super) members: &'a [(String, Json)],
}

impl<'a> Members<'a> {
    pub(in crate::policy) fn of(value: &'a Json, path: &'static str) -> Result<Members<'a>> {
        let members =
            value.as_object().ok_or_else(|| invalid(path.trim_end_matches('.')).expected("an object"))?;
        Ok(Members { path, members })
    }

    pub(in crate::policy) fn place(&self, name: &str) -> String {
        format!("{}{name}", self.path)
    }

    pub(in crate::policy) fn invalid(&self, name: &str) -> Error {
        invalid(&self.place(name))
    }

    /// An error at one element of a list.
    pub(in crate::policy) fn wrong_element(&self, name: &str, index: usize) -> Error {
        self.invalid(&format!("{name}[{index}]"))
    }

    pub(in crate::policy) fn only(&self, names: &[&str]) -> Result<()> {
        match self.members.iter().find(|(name, _)| !names.contains(&name.as_str())) {
            Some((name, _)) => Err(unknown(&self.place(name), name, names)),
            None => Ok(()),
        }
    }

    pub(in crate::policy) fn get(&self, name: &str) -> Option<&'a Json> {
        self.members.iter().find(|(member, _)| member == name).map(|(_, value)| value)
    }

    pub(in crate::policy) fn text(&self, name: &str) -> Result<Option<&'a str>> {
        self.get(name)
            .map(|value| value.as_str().ok_or_else(|| self.invalid(name).expected("a text")))
            .transpose()
    }

    pub(in crate::policy) fn number(&self, name: &str) -> Result<Option<u64>> {
        let wrong = || self.invalid(name).expected("a non-negative integer");
        self.get(name).map(|value| value.as_u64().ok_or_else(wrong)).transpose()
    }

    pub(in crate::policy) fn flag(&self, name: &str, target: &mut bool) -> Result<()> {
        if let Some(value) = self.get(name) {
            *target = value.as_bool().ok_or_else(|| self.invalid(name).expected("true or false"))?;
        }
        Ok(())
    }

    fn elements(&self, name: &str, kind: &str) -> Result<Option<&'a [Json]>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let elements =
            value.as_array().ok_or_else(|| self.invalid(name).expected(format!("an array of {kind}")))?;
        if elements.len() > LIST_MAX {
            return Err(self.invalid(name).expected(format!("at most {LIST_MAX} elements")));
        }
        Ok(Some(elements))
    }

    pub(in crate::policy) fn numbers(&self, name: &str) -> Result<Option<Vec<u64>>> {
        const KIND: &str = "non-negative integers";
        let Some(elements) = self.elements(name, KIND)? else { return Ok(None) };
        let number = |(i, element): (usize, &Json)| {
            element.as_u64().ok_or_else(|| self.wrong_element(name, i).expected("a non-negative integer"))
        };
        elements.iter().enumerate().map(number).collect::<Result<_>>().map(Some)
    }

    pub(in crate::policy) fn texts(&self, name: &str) -> Result<Option<Vec<&'a str>>> {
        let Some(elements) = self.elements(name, "texts")? else { return Ok(None) };
        let text = |(i, element): (usize, &'a Json)| {
            element.as_str().ok_or_else(|| self.wrong_element(name, i).expected("a text"))
        };
        elements.iter().enumerate().map(text).collect::<Result<_>>().map(Some)
    }

    /// Replaces a list by one of texts that `accept`; sorted, each once.
    pub(in crate::policy) fn words(
        &self,
        name: &str,
        expected: &str,
        accept: fn(&str) -> bool,
        list: &mut Vec<String>,
    ) -> Result<()> {
        let Some(texts) = self.texts(name)? else { return Ok(()) };
        if let Some((i, text)) = texts.iter().enumerate().find(|(_, text)| !accept(text)) {
            return Err(self.wrong_element(name, i).expected(expected).found(*text));
        }
        *list = texts.into_iter().map(str::to_owned).collect();
        list.sort();
        list.dedup();
        Ok(())
    }

    /// Replaces a list by the values of hex texts, each of one of these lengths in bytes; sorted, each once.
    pub(in crate::policy) fn hex_values(
        &self,
        name: &str,
        lengths: &[usize],
        list: &mut Vec<Vec<u8>>,
    ) -> Result<()> {
        let Some(texts) = self.texts(name)? else { return Ok(()) };
        let value = |(i, text): (usize, &str)| {
            hex::decode_prefixed(text).filter(|value| lengths.contains(&value.len())).ok_or_else(|| {
                let lengths: Vec<String> = lengths.iter().map(usize::to_string).collect();
                let expected = format!("{} bytes in hex", lengths.join(" or "));
                self.wrong_element(name, i).expected(expected).found(text)
            })
        };
        *list = texts.into_iter().enumerate().map(value).collect::<Result<_>>()?;
        list.sort();
        list.dedup();
        Ok(())
    }
}

/// A JSON array of hex texts.
pub(in crate::policy) fn hex_texts(list: &[Vec<u8>]) -> Json {
    Json::Array(list.iter().map(|value| Json::String(hex::encode(value))).collect())
}

/// A JSON array of texts.
pub(in crate::policy) fn texts(list: &[String]) -> Json {
    Json::Array(list.iter().map(|text| Json::String(text.clone())).collect())
}
