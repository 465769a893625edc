//! How a command ends early, and how an error is shown: what, why, next (users.md 10).

use std::io;

use proveil::{Class, Code, Error};
use serde_json::{Value, json};

use crate::output::Output;

/// Exit code after Ctrl-C.
pub(crate) const INTERRUPTED: u8 = 130;

/// Why a command did not get to its regular end.
pub(crate) enum Stop {
    /// Nobody reads the output any more.
    Closed,
    /// Ctrl-C.
    Interrupted,
    Failed(Box<Failure>),
}

/// An error, and what was already there when it happened.
pub(crate) struct Failure {
    error: Error,
    content_so_far: Option<String>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure { error, content_so_far: None }
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Failed(Box::new(error.into()))
    }
}

impl From<io::Error> for Stop {
    /// Trouble with standard output.
    fn from(error: io::Error) -> Stop {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Stop::Closed,
            kind => Error::new(Code::Internal).at("standard output").found(kind.to_string()).into(),
        }
    }
}

impl Failure {
    /// An error in the middle of an answer.
    pub(crate) fn during_answer(error: Error, content_so_far: String) -> Failure {
        Failure { error, content_so_far: Some(content_so_far) }
    }

    /// Shows the error and gives the exit code.
    pub(crate) fn show(&self, output: &Output) -> u8 {
        if output.is_json() {
            let mut document = document(&self.error);
            if let (Some(text), Some(members)) = (&self.content_so_far, document.as_object_mut()) {
                members.insert("content_so_far".to_owned(), Value::from(text.as_str()));
            }
            // A closed pipe changes nothing about how this ends.
            let _ = output.document(&document);
        } else {
            output.message(&describe(&self.error));
        }
        self.error.code().row().exit
    }
}

/// One paragraph for people.
pub(crate) fn describe(error: &Error) -> String {
    opened_by(error, "Refused to send")
}

/// The same about evidence that nothing would have been sent to.
pub(crate) fn describe_bare(error: &Error) -> String {
    opened_by(error, "Refused")
}

fn opened_by(error: &Error, refusal: &str) -> String {
    let code = error.code();
    let opening = match code.class() {
        Class::Verification => refusal,
        Class::Indeterminate => "Could not check",
        Class::Integrity => "The answer cannot be trusted",
        _ => "Error",
    };
    let mut text = format!("{opening} ({}): {}", code.text(), error.message());
    let parts = [
        error.check().map(str::to_owned),
        error.expected_value().map(|value| format!("expected {value}")),
        error.found_value().map(|value| format!("found {value}")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if !parts.is_empty() {
        text.push_str(&format!("\n  {}", parts.join(", ")));
    }
    text.push_str(&format!("\n  {}\n  More: proveil explain {}", error.hint(), code.text()));
    text
}

/// The same as JSON.
fn document(error: &Error) -> Value {
    let code = error.code();
    let report = error.report_json().and_then(|json| serde_json::from_str::<Value>(json).ok());
    json!({
        "schema": "proveil.error/v1",
        "code": code.text(),
        "number": code.number(),
        "slug": code.slug(),
        "class": code.class().name(),
        "message": error.message(),
        "hint": error.hint(),
        "retryable": error.retryable(),
        "details": {
            "check": error.check(),
            "expected": error.expected_value(),
            "found": error.found_value(),
            "line": error.place().map(|(line, _)| line),
            "column": error.place().map(|(_, column)| column),
        },
        "report": report,
    })
}
