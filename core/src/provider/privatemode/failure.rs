//! What an answer without success says (protocols/privatemode.md 2.7, 6.4). Most of it anybody on the way can have written: it is cut,
//! cleaned and shown as the other side's words (threats T41).

use crate::error::{Code, Error};
use crate::http::ResponseHead;
use crate::limits::SEALED_ERROR_KEPT_BYTES;
use crate::stream::{ServerError, parse_error};
use crate::wire::json::Json;

/// What a worker says that does not know the secret. The text is stable.
const UNKNOWN_SECRET: &str = "no secret for ID \"";
/// What a worker says whose GPUs have a state of revocation that the client's policy does not accept. These parts are stable.
const GPU_STATUS: [&str; 2] =
    ["GPU attestation returned a ", "OCSP status that is not accepted by the client"];
/// About words that opened.
pub(super) const SEALED_WORDS: &str = "The words were sealed by a worker.";
/// About all others.
const CLEAR_WORDS: &str = "The words are not authenticated.";

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

    /// Takes the next bytes; only the first 256 KiB are kept.
    pub fn push(&mut self, bytes: &[u8]) {
        let room = SEALED_ERROR_KEPT_BYTES.saturating_sub(self.kept.len());
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
        let message = error.as_str().map_or_else(|| text("message"), str::to_owned);
        self.error(&ServerError { message, kind: text("type") }, SEALED_WORDS)
    }

    /// The error that a body in clear stands for.
    pub fn untrusted(&self) -> Error {
        let said = if self.readable { parse_error(&self.kept) } else { None }.unwrap_or_default();
        self.error(&said, CLEAR_WORDS)
    }

    fn error(&self, said: &ServerError, note: &str) -> Error {
        let code = match self.status {
            500 if said.message.contains(UNKNOWN_SECRET) => Code::StaleKey,
            500 if GPU_STATUS.iter().all(|part| said.message.contains(part)) => Code::GpuStatusRefused,
            401 | 403 => Code::UpstreamUnauthorized,
            402 => Code::UpstreamPayment,
            429 => Code::UpstreamRateLimited,
            408 | 500..=599 => Code::UpstreamUnavailable,
            _ => Code::UpstreamError,
        };
        let error = Error::new(code).at(format!("HTTP {}", self.status));
        let error = if said.message.is_empty() { error } else { error.found(said.message.as_str()) };
        let wait = self.retry_after_s.map(|seconds| format!("The provider asks to wait {seconds} s."));
        match (wait, said.message.is_empty()) {
            (Some(wait), true) => error.context(wait),
            (Some(wait), false) => error.context(format!("{note} {wait}")),
            (None, true) => error,
            (None, false) => error.context(note),
        }
    }
}
