//! The one error type of the core.
//!
//! Owns: [`Error`], [`Code`] and the registry behind it. An error says what was compared, what was expected and what was found,
//! shortened; it never carries key material, prompt text, header values or the bytes of a failed decryption (threats I7).

mod registry;

pub use registry::{Class, Code, REGISTRY, RETIRED, Row};

use std::fmt;

/// Result of the core's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Longest `expected`, `found` or context text that an error keeps, in bytes.
const DETAIL_MAX: usize = 256;
/// Longest time that somebody else can make a caller wait for.
const RETRY_AFTER_MAX_S: u64 = 600;

/// A failure: a [`Code`] with the facts that explain it.
///
/// Match on [`Error::code`], never on text. `Display` gives one line for people; `Debug` shows the same facts and no more.
#[derive(Clone, PartialEq, Eq)]
pub struct Error(Box<Inner>);

#[derive(Clone, PartialEq, Eq)]
struct Inner {
    code: Code,
    check: Option<String>,
    expected: Option<String>,
    found: Option<String>,
    context: Option<String>,
    /// Line and column.
    place: Option<(usize, usize)>,
    retry_after_s: Option<u64>,
    report_json: Option<Box<str>>,
}

impl Error {
    /// An error with the registry's message only.
    pub fn new(code: Code) -> Error {
        Error(Box::new(Inner {
            code,
            check: None,
            expected: None,
            found: None,
            context: None,
            place: None,
            retry_after_s: None,
            report_json: None,
        }))
    }

    /// Names the check, field or limit that failed.
    pub fn at(mut self, check: impl Into<String>) -> Error {
        self.0.check = Some(clean(check.into()));
        self
    }

    /// Adds what was expected. Must not be secret.
    pub fn expected(mut self, expected: impl Into<String>) -> Error {
        self.0.expected = Some(clean(expected.into()));
        self
    }

    /// Adds what was found. Must not be secret.
    pub fn found(mut self, found: impl Into<String>) -> Error {
        self.0.found = Some(clean(found.into()));
        self
    }

    /// Adds one sentence of context. Must not be secret.
    pub fn context(mut self, context: impl Into<String>) -> Error {
        self.0.context = Some(clean(context.into()));
        self
    }

    /// Says where in a text the cause is: line and column, both from 1.
    pub fn in_text(mut self, line: usize, column: usize) -> Error {
        self.0.place = Some((line, column));
        self
    }

    /// Says after how many seconds the other side wants to be asked again. Its word is believed up to ten minutes.
    pub fn again_after(mut self, seconds: u64) -> Error {
        self.0.retry_after_s = Some(seconds.min(RETRY_AFTER_MAX_S));
        self
    }

    /// Attaches the report of the appraisal that led here, as `proveil.report/v1` JSON.
    pub fn with_report_json(mut self, json: String) -> Error {
        self.0.report_json = Some(json.into_boxed_str());
        self
    }

    /// The cause.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The stable machine name of the cause.
    pub fn slug(&self) -> &'static str {
        self.0.code.slug()
    }

    /// What happened, in one sentence, with context where there is some.
    pub fn message(&self) -> String {
        let row = self.0.code.row();
        let mut text = String::from(row.message);
        if let Some(context) = &self.0.context {
            text.push(' ');
            text.push_str(context);
        }
        if let Some((line, column)) = self.0.place {
            text.push_str(&format!(" Line {line}, column {column}."));
        }
        text
    }

    /// What to do next.
    pub fn hint(&self) -> &'static str {
        self.0.code.row().hint
    }

    /// True when the same call may succeed later.
    pub fn retryable(&self) -> bool {
        self.0.code.row().retryable
    }

    /// After how many seconds the other side wants to be asked again, 600 at most; `None` where it did not say.
    pub fn retry_after_s(&self) -> Option<u64> {
        self.0.retry_after_s
    }

    /// The check, field or limit that failed.
    pub fn check(&self) -> Option<&str> {
        self.0.check.as_deref()
    }

    /// What was expected.
    pub fn expected_value(&self) -> Option<&str> {
        self.0.expected.as_deref()
    }

    /// What was found.
    pub fn found_value(&self) -> Option<&str> {
        self.0.found.as_deref()
    }

    /// The sentence of context.
    pub(crate) fn context_text(&self) -> Option<&str> {
        self.0.context.as_deref()
    }

    /// Where in a text that the caller gave the cause is: line and column, both from 1.
    pub fn place(&self) -> Option<(usize, usize)> {
        self.0.place
    }

    /// The report of the appraisal that led here, as `proveil.report/v1` JSON.
    pub fn report_json(&self) -> Option<&str> {
        self.0.report_json.as_deref()
    }
}

fn clean(text: String) -> String {
    cleaned(&text, DETAIL_MAX)
}

/// Shortens a text to about `max` bytes and replaces control characters, so that it can be printed anywhere (threats T41, T55).
pub(crate) fn cleaned(text: &str, max: usize) -> String {
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~');
    if text.len().saturating_add(4) <= max && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len().min(max));
    for c in text.chars() {
        if out.len().saturating_add(4) > max {
            out.push('\u{2026}');
            break;
        }
        out.push(if is_invisible(c) { '\u{fffd}' } else { c });
    }
    out
}

/// Characters that reorder or hide text on a terminal or page, or that XML does not allow: control characters, bidirectional controls,
/// zero-width marks, line and paragraph separators, non-characters.
pub(crate) fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
        )
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PV-{}: {}", self.0.code.number(), self.message())?;
        let inner = &self.0;
        if inner.check.is_some() || inner.expected.is_some() || inner.found.is_some() {
            f.write_str(" [")?;
            let mut separator = "";
            for (name, value) in
                [("", &inner.check), ("expected ", &inner.expected), ("found ", &inner.found)]
            {
                if let Some(value) = value {
                    write!(f, "{separator}{name}{value}")?;
                    separator = ", ";
                }
            }
            f.write_str("]")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {}

impl From<Code> for Error {
    fn from(code: Code) -> Error {
        Error::new(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registry_is_sorted_unique_and_described() {
        for pair in REGISTRY.windows(2) {
            assert!(pair[0].number < pair[1].number, "{} before {}", pair[0].number, pair[1].number);
        }
        for row in REGISTRY {
            assert_eq!(row.code.number(), row.number);
            assert_eq!(REGISTRY.iter().filter(|other| other.slug == row.slug).count(), 1, "{}", row.slug);
            assert!(row.message.ends_with('.') && row.hint.ends_with('.'), "{}", row.slug);
            assert!(!RETIRED.iter().any(|(number, slug)| *number == row.number || *slug == row.slug));
            assert_eq!(Code::from_number(row.number), Some(row.code));
            assert_eq!(Code::from_slug(row.slug), Some(row.code));
        }
    }

    #[test]
    fn the_wait_is_bounded() {
        for (said, kept) in [(0, 0), (7, 7), (600, 600), (601, 600), (u64::MAX, 600)] {
            assert_eq!(Error::new(Code::UpstreamRateLimited).again_after(said).retry_after_s(), Some(kept));
        }
        assert_eq!(Error::new(Code::UpstreamRateLimited).retry_after_s(), None);
    }

    #[test]
    fn texts_are_cut_and_cleaned() {
        let error =
            Error::new(Code::UpstreamError).found(format!("\u{1b}[31m\u{202e}{}", "x".repeat(10_000)));
        let found = error.found_value().unwrap();
        assert!(found.len() <= DETAIL_MAX + 4);
        assert!(!found.contains('\u{1b}') && !found.contains('\u{202e}'));
        assert!(error.to_string().starts_with("PV-501: "));
    }
}
