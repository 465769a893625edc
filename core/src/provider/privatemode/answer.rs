//! An answer, or one event of it (protocols/privatemode.md 6.4, 6.5): what may be opened, what must have been sealed, and the opened text.
//!
//! Used for whole answers here; streams give it one event after the other.

use std::borrow::Cow;
use std::ops::Range;

use crate::error::{Code, Error, Result};
use crate::http::ResponseHead;
use crate::openai::ApiEndpoint;
use crate::openai::select::{BodyError, Document, Shape, shown_name};
use crate::secret::wipe;
use crate::wire::scan;

use super::plain::{Direction, check_clear_response, plain_members};
use super::plan::MessageSize;

/// What an answer is by its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerForm {
    /// A body to open as [`AnswerPart::Whole`].
    Document,
    /// Events to open one by one as [`AnswerPart::Event`].
    Stream,
    /// An error body to open as [`AnswerPart::Failure`]; what cannot be opened is as in [`AnswerForm::Untrusted`].
    Failure,
    /// An error text that anybody on the way can have written.
    Untrusted,
    /// A body that is never sealed and proves nothing: the model list.
    Clear,
}

/// Says what an answer is.
///
/// Fails with `plaintext_downgrade` when a successful answer is marked as not sealed (threats T36), with `redirect_refused` or
/// `content_encoding`.
pub fn answer_form(head: &ResponseHead, endpoint: &ApiEndpoint) -> Result<AnswerForm> {
    head.check_plain()?;
    let failed = head.status() >= 400;
    let marked = head
        .header("privatemode-encrypted")
        .is_some_and(|value| value.trim_matches([' ', '\t']).eq_ignore_ascii_case("false"));
    let streams =
        head.header("content-type").is_some_and(|kind| kind.to_ascii_lowercase().contains("event-stream"));
    Ok(match (failed, endpoint) {
        (true, ApiEndpoint::Models) => AnswerForm::Untrusted,
        (false, ApiEndpoint::Models) => AnswerForm::Clear,
        (true, _) if marked || streams => AnswerForm::Untrusted,
        (true, _) => AnswerForm::Failure,
        (false, _) if marked => {
            return Err(Error::new(Code::PlaintextDowngrade)
                .at("privatemode-encrypted")
                .found(format!("false with status {}", head.status())));
        }
        (false, _) if streams => AnswerForm::Stream,
        (false, _) => AnswerForm::Document,
    })
}

/// Which part of an answer a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerPart {
    /// A whole successful answer.
    Whole,
    /// An error body.
    Failure,
    /// The data of one event of a stream.
    Event,
}

/// Opens one JSON text of an answer. `open` is called for each sealed value in the order of the counters, with its raw text, and appends
/// what was in it.
///
/// Fails with `malformed_response` or `malformed_event` (no JSON, inside or outside; duplicates), `plaintext_downgrade` (a clear member that
/// could carry text; nothing sealed where something must be), `truncated` (the member that every such answer has is missing),
/// `invalid_utf8`, `limit_exceeded`, and with what `open` fails with; the member is named, nothing of its content.
pub fn open_document<'a>(
    text: &'a str,
    endpoint: &ApiEndpoint,
    part: AnswerPart,
    size: MessageSize,
    open: impl FnMut(&str, &mut Vec<u8>) -> Result<()>,
) -> Result<OpenedDocument<'a>> {
    let opened = open_members(text, endpoint, part, size, open)?;
    opened.check(endpoint, part)?;
    Ok(opened)
}

/// The same without [`OpenedDocument::check`], for a caller that reads what was opened by stricter rules.
pub(super) fn open_members<'a>(
    text: &'a str,
    endpoint: &ApiEndpoint,
    part: AnswerPart,
    size: MessageSize,
    mut open: impl FnMut(&str, &mut Vec<u8>) -> Result<()>,
) -> Result<OpenedDocument<'a>> {
    let Some(plain) = plain_members(endpoint, Direction::Response) else {
        return Err(Error::new(Code::OutOfOrder).at(endpoint.path()));
    };
    let document = Document::parse(text).map_err(|error| fault(error, part))?;
    check_shape(document.shape(), endpoint, part)?;
    for name in plain {
        if let Some(value) = document.get(name) {
            check_clear_response(name, value, endpoint)?;
        }
    }
    let mut bytes = Vec::new();
    let replace = |name: &str, raw: &str, out: &mut Vec<u8>| {
        open(raw, out)
            .map_err(|error| if error.check().is_none() { error.at(shown_name(name)) } else { error })
    };
    let rewritten = match document.rewrite(plain, |bytes| size.opened(bytes), replace, &mut bytes) {
        Ok(rewritten) => rewritten,
        Err(error) => {
            wipe(&mut bytes);
            return Err(error);
        }
    };
    // Not collected, which would cut the memory of the first list to size: that costs more than this list.
    let mut members: Vec<OpenedMember<'a>> = Vec::with_capacity(rewritten.spans().len());
    let places = rewritten.spans().zip(rewritten.replacements());
    members.extend(document.into_names().zip(places).map(|(name, (span, sealed))| OpenedMember {
        name,
        span,
        sealed,
    }));
    Ok(OpenedDocument { text: to_text(bytes, &members)?, members })
}

fn fault(error: BodyError, part: AnswerPart) -> Error {
    match (error, part) {
        (BodyError::Malformed, AnswerPart::Event) => Error::new(Code::MalformedEvent),
        (BodyError::Duplicate(name), AnswerPart::Event) => {
            Error::new(Code::MalformedEvent).at(shown_name(&name)).found("the same member twice")
        }
        (error, _) => error.in_answer(),
    }
}

fn check_shape(shape: Shape, endpoint: &ApiEndpoint, part: AnswerPart) -> Result<()> {
    match (shape, endpoint, part) {
        (Shape::Object, _, _) | (Shape::Array, ApiEndpoint::Unstructured(_), _) => Ok(()),
        (Shape::Empty, _, AnswerPart::Whole) => Err(Error::new(Code::Truncated).found("an empty body")),
        (_, _, AnswerPart::Event) => Err(Error::new(Code::MalformedEvent).expected("an object")),
        _ => Err(Error::new(Code::MalformedResponse).expected("an object")),
    }
}

/// True when an opened `model` is the one that was asked for. Services put a publisher before a name, so that `openai/gpt-oss-120b` answers
/// for `gpt-oss-120b`.
pub fn is_same_model(requested: &str, served: &str) -> bool {
    let is_alias = |long: &str, short: &str| {
        long.strip_suffix(short).is_some_and(|rest| rest.len() > 1 && rest.ends_with('/'))
            && !short.is_empty()
    };
    requested == served || is_alias(requested, served) || is_alias(served, requested)
}

/// The sealed member without which a successful answer is none: counters do not notice when the last members are dropped.
const fn required_member(endpoint: &ApiEndpoint) -> Option<&'static str> {
    match endpoint {
        ApiEndpoint::ChatCompletions | ApiEndpoint::Completions => Some("choices"),
        ApiEndpoint::Embeddings => Some("data"),
        ApiEndpoint::Messages => Some("content"),
        ApiEndpoint::Transcriptions => Some("text"),
        ApiEndpoint::Unstructured(_) | ApiEndpoint::Models => None,
    }
}

/// The opened bytes as text. What stands between the values was UTF-8 before and is ASCII next to them, so the whole is UTF-8 only if each
/// value is.
fn to_text(bytes: Vec<u8>, members: &[OpenedMember<'_>]) -> Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        let bad = error.utf8_error().valid_up_to();
        let member = members.iter().find(|member| member.sealed && member.span.contains(&bad));
        let name = member.map_or_else(String::new, |member| shown_name(&member.name));
        wipe(&mut error.into_bytes());
        Error::new(Code::InvalidUtf8).at(name)
    })
}

#[derive(Debug)]
struct OpenedMember<'a> {
    name: Cow<'a, str>,
    span: Range<usize>,
    sealed: bool,
}

/// An opened text with what was sealed in it. Wiped when dropped.
pub struct OpenedDocument<'a> {
    text: String,
    members: Vec<OpenedMember<'a>>,
}

impl OpenedDocument<'_> {
    /// What must hold of the whole: see [`open_document`].
    fn check(&self, endpoint: &ApiEndpoint, part: AnswerPart) -> Result<()> {
        self.check_texts(part)?;
        self.check_sealed(endpoint, part)
    }

    /// Says why a stricter reading failed, if that is known better than that it did.
    pub(super) fn check_read<T, E>(
        &self,
        read: std::result::Result<T, E>,
        endpoint: &ApiEndpoint,
        part: AnswerPart,
    ) -> Result<std::result::Result<T, E>> {
        if read.is_err() {
            self.check_texts(part)?;
        }
        self.check_sealed(endpoint, part)?;
        Ok(read)
    }

    /// Every opened value must be one JSON value by itself: only then does the text around it mean what it meant before.
    fn check_texts(&self, part: AnswerPart) -> Result<()> {
        for member in self.members.iter().filter(|member| member.sealed) {
            let value = self.text.get(member.span.clone()).unwrap_or_default();
            scan::check(value, 1).map_err(|error| {
                let error = fault(BodyError::from(error), part);
                if error.check().is_none() { error.at(shown_name(&member.name)) } else { error }
            })?;
        }
        Ok(())
    }

    fn check_sealed(&self, endpoint: &ApiEndpoint, part: AnswerPart) -> Result<()> {
        match part {
            AnswerPart::Whole => match required_member(endpoint) {
                Some(name) if !self.is_sealed(name) => Err(Error::new(Code::Truncated).at(name)),
                _ => Ok(()),
            },
            AnswerPart::Event if self.sealed_members() == 0 => {
                let kind = self.member("type").unwrap_or_default();
                let is_sign = matches!(kind, "\"ping\"" | "\"message_stop\"");
                if *endpoint == ApiEndpoint::Messages && is_sign {
                    return Ok(());
                }
                Err(Error::new(Code::PlaintextDowngrade).found("an event with nothing sealed"))
            }
            _ => Ok(()),
        }
    }

    /// The text with every sealed value opened in place.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text; the caller wipes it where that matters.
    pub fn into_text(mut self) -> String {
        std::mem::take(&mut self.text)
    }

    /// The text without one member.
    pub fn into_text_without(mut self, name: &str) -> String {
        let mut text = std::mem::take(&mut self.text);
        if let Some(range) = self.place(&text, name) {
            text.replace_range(range, "");
        }
        text
    }

    /// Where a member is, with its name and one comma.
    fn place(&self, text: &str, name: &str) -> Option<Range<usize>> {
        let at = self.members.iter().position(|member| member.name == name)?;
        let span = self.members.get(at)?.span.clone();
        // Members are in the order of the text.
        if let Some(before) = at.checked_sub(1).and_then(|at| self.members.get(at)) {
            return Some(before.span.end..span.end);
        }
        let start = text.find('{')?.saturating_add(1);
        let end = match self.members.get(at.saturating_add(1)) {
            Some(_) => span.end.saturating_add(text.get(span.end..)?.find(',')?).saturating_add(1),
            None => span.end,
        };
        Some(start..end)
    }

    /// The raw value of a member.
    pub fn member(&self, name: &str) -> Option<&str> {
        let member = self.members.iter().find(|member| member.name == name)?;
        self.text.get(member.span.clone())
    }

    /// Every member: its name, its raw value, whether it was sealed.
    pub(super) fn members(&self) -> impl Iterator<Item = (&str, &str, bool)> {
        self.members.iter().map(|member| {
            let value = self.text.get(member.span.clone()).unwrap_or_default();
            (member.name.as_ref(), value, member.sealed)
        })
    }

    /// True when this member was sealed.
    pub fn is_sealed(&self, name: &str) -> bool {
        self.members.iter().any(|member| member.sealed && member.name == name)
    }

    /// How many members, or elements of an array, were sealed.
    pub fn sealed_members(&self) -> usize {
        self.members.iter().filter(|member| member.sealed).count()
    }

    /// Names of the members that came in clear; nobody vouches for their values.
    pub fn clear_members(&self) -> impl Iterator<Item = &str> {
        self.members.iter().filter(|member| !member.sealed).map(|member| member.name.as_ref())
    }
}

impl Drop for OpenedDocument<'_> {
    fn drop(&mut self) {
        wipe(&mut std::mem::take(&mut self.text).into_bytes());
    }
}

impl std::fmt::Debug for OpenedDocument<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenedDocument").field("bytes", &self.text.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::is_same_model;

    #[test]
    fn names_of_models() {
        for (requested, served, same) in [
            ("m", "m", true),
            ("gpt-oss-120b", "openai/gpt-oss-120b", true),
            ("openai/gpt-oss-120b", "gpt-oss-120b", true),
            ("gpt-oss-120b", "gpt-oss-20b", false),
            ("a/gpt-oss-120b", "b/gpt-oss-120b", false),
            ("120b", "gpt-oss-120b", false),
            ("m", "", false),
            ("m", "/m", false),
            ("M", "m", false),
        ] {
            assert_eq!(is_same_model(requested, served), same, "{requested} {served}");
        }
    }
}
