//! What an answer without success says (protocols/privatemode.md 2.7, 6.4). Most of it anybody on the way can have written: it is cut,
//! cleaned and shown as the other side's words (threats T41).

use crate::error::{Code, Error};
use crate::http::ResponseHead;
use crate::limits::ERROR_BODY_KEPT_BYTES;
use crate::stream::{ServerError, parse_error};
use crate::wire::json::Json;

/// What a worker says that does not know the secret. The text is stable.
const UNKNOWN_SECRET: &str = "no secret for ID \"";

/// The start of a failed response's body, until it is complete.
pub(super) struct FailedResponse {
    status: u16,
    retry_after_s: Option<u64>,
    readable: bool,
    kept: Vec<u8>,
}

impl FailedResponse {
    pub fn new(head: &ResponseHead) -> FailedResponse {
        FailedResponse {
            status: head.status(),
            retry_after_s: head.header("retry-after").and_then(|value| value.trim().parse().ok()),
            readable: head.check_plain().is_ok(),
            kept: Vec::new(),
        }
    }

    /// Takes the next bytes; only the first 8 KiB are kept.
    pub fn push(&mut self, bytes: &[u8]) {
        let room = ERROR_BODY_KEPT_BYTES.saturating_sub(self.kept.len());
        self.kept.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    /// What was kept, as text.
    pub fn body(&self) -> Option<&str> {
        std::str::from_utf8(&self.kept).ok().filter(|_| self.readable)
    }

    /// The error that an opened body stands for: its words are the worker's own.
    pub fn opened(&self, json: &str) -> Error {
        let json = Json::parse(json.as_bytes()).unwrap_or(Json::Null);
        let error = json.get("error").unwrap_or(&json);
        let text = |name: &str| error.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
        let said = ServerError { message: text("message"), kind: text("type") };
        self.error(&said, "")
    }

    /// The error that a body in clear stands for.
    pub fn untrusted(&self) -> Error {
        let said = if self.readable { parse_error(&self.kept) } else { None }.unwrap_or_default();
        self.error(&said, "The words are not authenticated.")
    }

    fn error(&self, said: &ServerError, note: &str) -> Error {
        let code = match self.status {
            500 if said.message.contains(UNKNOWN_SECRET) => Code::StaleKey,
            401 | 403 => Code::UpstreamUnauthorized,
            402 => Code::UpstreamPayment,
            429 => Code::UpstreamRateLimited,
            408 | 500..=599 => Code::UpstreamUnavailable,
            _ => Code::UpstreamError,
        };
        let error = Error::new(code).at(format!("HTTP {}", self.status));
        let error = if said.message.is_empty() { error } else { error.found(said.message.as_str()) };
        let wait = self.retry_after_s.map(|seconds| format!("The provider asks to wait {seconds} s."));
        match (wait, note.is_empty() || said.message.is_empty()) {
            (Some(wait), true) => error.context(wait),
            (Some(wait), false) => error.context(format!("{note} {wait}")),
            (None, true) => error,
            (None, false) => error.context(note),
        }
    }
}
