//! Rows as the input has them: OpenAI's batch form, read strictly.

use std::fs::File;
use std::path::{Path, PathBuf};

use proveil::core::limits::REQUEST_MAX_BYTES;
use proveil::core::openai::{ApiEndpoint, BodyKind};
use proveil::core::wire::json::{JsonError, raw_members};
use proveil::{Code, Error, Provider, Result};
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::lines::{Line, Lines};
use crate::api::Outline;

/// What a line has beside the body.
const ENVELOPE_MAX_BYTES: usize = 64 * 1024;
/// A `custom_id`.
const ID_MAX_BYTES: usize = 512;
/// Endpoints whose requests are one JSON document.
const ENDPOINTS: &str = "/v1/chat/completions, /v1/completions, /v1/embeddings or /v1/messages";

/// One row.
pub(super) struct Row {
    pub(super) custom_id: String,
    /// What is to be sent, or why it cannot be.
    pub(super) request: Result<Request>,
}

/// What one row asks for.
pub(super) struct Request {
    pub(super) endpoint: ApiEndpoint,
    pub(super) body: Zeroizing<Vec<u8>>,
    pub(super) outline: Outline,
    /// As the provider names it.
    pub(super) model: String,
}

/// The rows of a file, in order.
pub(crate) struct Rows {
    lines: Lines,
    path: PathBuf,
    provider: Provider,
}

impl Rows {
    /// Opens the file, which is read twice and therefore must be a regular one.
    pub(crate) fn open(path: &Path, provider: Provider) -> Result<Rows> {
        let failed = |found: String| {
            Error::new(Code::FileUnreadable).at("INPUT").found(format!("{}: {found}", path.display()))
        };
        let file = File::open(path).map_err(|error| failed(error.to_string()))?;
        if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
            return Err(failed("no regular file".to_owned()));
        }
        let limit = u64::try_from(REQUEST_MAX_BYTES.saturating_add(ENVELOPE_MAX_BYTES)).unwrap_or(u64::MAX);
        Ok(Rows { lines: Lines::new(file, limit), path: path.to_owned(), provider })
    }

    /// The line of the row that was read last, from 1.
    pub(super) const fn line(&self) -> u64 {
        self.lines.number()
    }

    /// The next row; empty lines are none. An error where not even the `custom_id` can be read.
    pub(super) fn advance(&mut self) -> Result<Option<Row>> {
        loop {
            let line = self.lines.advance().map_err(|error| {
                Error::new(Code::FileUnreadable)
                    .at("INPUT")
                    .found(format!("{}: {error}", self.path.display()))
            })?;
            match line {
                Line::End => return Ok(None),
                Line::TooLong => {
                    let error =
                        Error::new(Code::LimitExceeded).expected(format!("{REQUEST_MAX_BYTES} bytes"));
                    return Err(self.at_line(error, 1));
                }
                Line::Whole | Line::Torn if self.lines.bytes().trim_ascii().is_empty() => {}
                Line::Whole | Line::Torn => return self.row().map(Some),
            }
        }
    }

    fn row(&self) -> Result<Row> {
        let expected = "one JSON object with `custom_id`, `method`, `url` and `body`";
        let refuse = |column| self.at_line(Error::new(Code::InvalidArgument).expected(expected), column);
        let text = std::str::from_utf8(self.lines.bytes())
            .map_err(|error| refuse(error.valid_up_to().saturating_add(1)))?;
        let members = raw_members(text).map_err(|error| match error {
            JsonError::DuplicateMember => self.at_line(Error::new(Code::DuplicateMember), 1),
            JsonError::Malformed => refuse(fault_column(text)),
        })?;
        let member = |name: &str| members.iter().find(|(have, _)| have == name).map(|(_, value)| *value);
        let custom_id = member("custom_id")
            .and_then(text_of)
            .filter(|id| !id.is_empty() && id.len() <= ID_MAX_BYTES)
            .ok_or_else(|| {
                let expected = format!("`custom_id`: a text of 1 to {ID_MAX_BYTES} bytes");
                self.at_line(Error::new(Code::InvalidArgument).expected(expected), 1)
            })?;
        let request = request(self.provider, member("method"), member("url"), member("body"));
        Ok(Row { custom_id, request })
    }

    pub(super) fn at_line(&self, error: Error, column: usize) -> Error {
        let line = usize::try_from(self.line()).unwrap_or(usize::MAX);
        error.at(self.path.display().to_string()).in_text(line, column)
    }
}

/// Where a text stops being JSON; 1 when it is, but no object.
fn fault_column(text: &str) -> usize {
    serde_json::from_str::<IgnoredAny>(text).err().map_or(1, |error| error.column().max(1))
}

fn text_of(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

/// A request is checked as far as it can be without a provider; the rest is for the core, when it seals.
fn request(
    provider: Provider,
    method: Option<&RawValue>,
    url: Option<&RawValue>,
    body: Option<&RawValue>,
) -> Result<Request> {
    if method.and_then(text_of).as_deref() != Some("POST") {
        return Err(Error::new(Code::InvalidArgument).at("method").expected("POST"));
    }
    let url = url
        .and_then(text_of)
        .ok_or_else(|| Error::new(Code::InvalidArgument).at("url").expected(ENDPOINTS))?;
    let endpoint = ApiEndpoint::parse(&url).map_err(|error| error.at("url").expected(ENDPOINTS))?;
    if endpoint.body() != BodyKind::Json {
        return Err(crate::api::unsupported(&endpoint).at("url").expected(ENDPOINTS));
    }
    let body =
        body.ok_or_else(|| Error::new(Code::InvalidArgument).at("body").expected("one JSON object"))?;
    if body.get().len() > REQUEST_MAX_BYTES {
        return Err(Error::new(Code::LimitExceeded)
            .at("body")
            .expected(format!("{REQUEST_MAX_BYTES} bytes")));
    }
    let body = Zeroizing::new(body.get().as_bytes().to_vec());
    let outline = Outline::of(&endpoint, None, &body)?;
    if outline.streams {
        return Err(Error::new(Code::InvalidArgument)
            .at("stream")
            .expected("false or nothing")
            .context("A line of the output is a whole answer."));
    }
    let model = own_name(provider, outline.model.as_deref().unwrap_or_default())?;
    Ok(Request { endpoint, body, outline, model })
}

/// The model as the provider names it: without the provider's own name in front, which may be there.
fn own_name(provider: Provider, model: &str) -> Result<String> {
    let Some((first, rest)) = model.split_once('/').filter(|(_, rest)| !rest.is_empty()) else {
        return Ok(model.to_owned());
    };
    match Provider::ALL.iter().find(|known| known.name() == first) {
        Some(named) if *named == provider => Ok(rest.to_owned()),
        Some(_) => Err(Error::new(Code::InvalidArgument)
            .at("model")
            .expected(format!("a model of {}", provider.name()))
            .found(model)),
        None => Ok(model.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Rows {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("in.jsonl");
        std::fs::write(&path, text).unwrap();
        Rows::open(&path, Provider::Venice).unwrap()
    }

    fn chat(members: &str) -> String {
        format!(r#"{{"custom_id":"a","method":"POST","url":"/v1/chat/completions",{members}}}"#)
    }

    #[test]
    fn good_rows() {
        let text = format!(
            "\n{}\r\n  \n{}",
            chat(r#""body":{"model":"venice/m"}"#),
            chat(r#""body":{"model":"x/m"},"n":1"#)
        );
        let mut rows = rows(&text);
        for (line, model) in [(2, "m"), (4, "x/m")] {
            let row = rows.advance().unwrap().unwrap();
            assert_eq!((row.custom_id.as_str(), rows.line()), ("a", line));
            assert_eq!(row.request.ok().unwrap().model, model);
        }
        assert!(rows.advance().unwrap().is_none());
    }

    #[test]
    fn rows_that_fail_alone() {
        let cases = [
            (chat(r#""body":{"model":"m"}"#).replace("POST", "GET"), Code::InvalidArgument, "method"),
            (
                chat(r#""body":{"model":"m"}"#).replace("chat/completions", "images"),
                Code::UnsupportedEndpoint,
                "url",
            ),
            (
                chat(r#""body":{"model":"m"}"#).replace("chat/completions", "audio/transcriptions"),
                Code::UnsupportedEndpoint,
                "url",
            ),
            (
                r#"{"custom_id":"a","method":"POST","body":{"model":"m"}}"#.to_owned(),
                Code::InvalidArgument,
                "url",
            ),
            (chat(r#""x":1"#), Code::InvalidArgument, "body"),
            (chat(r#""body":{}"#), Code::InvalidArgument, "model"),
            (chat(r#""body":{"model":"privatemode/m"}"#), Code::InvalidArgument, "model"),
            (chat(r#""body":{"model":"m","stream":true}"#), Code::InvalidArgument, "stream"),
        ];
        for (text, code, check) in cases {
            let row = rows(&text).advance().unwrap().unwrap();
            let error = row.request.err().unwrap();
            assert_eq!((error.code(), error.check()), (code, Some(check)), "{text}");
        }
        let row = rows(&chat(r#""body":[]"#)).advance().unwrap().unwrap();
        assert_eq!(row.request.err().unwrap().code(), Code::MalformedRequest);
    }

    #[test]
    fn lines_without_an_id() {
        let long = format!(r#"{{"custom_id":"{}"}}"#, "x".repeat(ID_MAX_BYTES + 1));
        let cases = [
            ("{", (1, 1), Code::InvalidArgument),
            ("[]", (1, 1), Code::InvalidArgument),
            ("{}", (1, 1), Code::InvalidArgument),
            (r#"{"custom_id":""}"#, (1, 1), Code::InvalidArgument),
            (r#"{"custom_id":1}"#, (1, 1), Code::InvalidArgument),
            ("\n\n{\"custom_id\":\"a\",,", (3, 18), Code::InvalidArgument),
            (r#"{"custom_id":"a","custom_id":"a"}"#, (1, 1), Code::DuplicateMember),
            (long.as_str(), (1, 1), Code::InvalidArgument),
        ];
        for (text, place, code) in cases {
            let error = rows(text).advance().err().unwrap();
            assert_eq!((error.code(), error.place()), (code, Some(place)), "{text}");
        }
    }
}
