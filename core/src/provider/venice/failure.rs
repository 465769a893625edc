//! What the provider says when it fails (protocols/venice.md 6.1). Its words are not authenticated: they are cut, cleaned and
//! shown as its own (threats T41).

use crate::error::{Code, Error};
use crate::http::ResponseHead;
use crate::limits::ERROR_BODY_KEPT_BYTES;
use crate::stream::{ServerError, parse_error};

/// Longest error type that is repeated.
const KIND_MAX_CHARS: usize = 64;

/// Messages that mean: the key we sealed to is not the key the enclave has now.
const STALE_MESSAGES: &[&str] =
    &["decryption failed", "failed to decrypt field", "does not match this aci service"];
/// Error types that mean the same.
const STALE_KINDS: &[&str] = &["e2ee_decryption_failed", "e2ee_model_key_mismatch"];

/// The start of a failed response's body, until it is complete.
pub(super) struct FailedResponse {
    status: u16,
    retry_after_s: Option<u64>,
    readable: bool,
    kept: Vec<u8>,
}

impl FailedResponse {
    /// A response whose status is no success.
    pub(super) fn new(head: &ResponseHead) -> FailedResponse {
        FailedResponse {
            status: head.status(),
            retry_after_s: head.header("retry-after").and_then(|value| value.trim().parse().ok()),
            readable: head.check_plain().is_ok(),
            kept: Vec::new(),
        }
    }

    /// Takes the next bytes; only the first 8 KiB are kept.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let room = ERROR_BODY_KEPT_BYTES.saturating_sub(self.kept.len());
        self.kept.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    /// The error that the response stands for.
    pub(super) fn error(&self) -> Error {
        let said = if self.readable { parse_error(&self.kept) } else { None }.unwrap_or_default();
        let code = match self.status {
            400 if is_stale_key(&said) => Code::StaleKey,
            401 | 403 => Code::UpstreamUnauthorized,
            402 => Code::UpstreamPayment,
            429 => Code::UpstreamRateLimited,
            408 | 500..=599 => Code::UpstreamUnavailable,
            _ => Code::UpstreamError,
        };
        let error = describe(code, &format!("HTTP {}", self.status), &said);
        match self.retry_after_s {
            Some(seconds) => error.context(format!("The provider asks to wait {seconds} s.")),
            None => error,
        }
    }
}

/// The error for an error object inside a stream.
pub(super) fn error_in_stream(said: &ServerError) -> Error {
    describe(Code::UpstreamError, "event stream", said)
}

fn describe(code: Code, place: &str, said: &ServerError) -> Error {
    let kind: String = said.kind.chars().take(KIND_MAX_CHARS).collect();
    let place = if kind.is_empty() { place.to_owned() } else { format!("{place} {kind}") };
    let error = Error::new(code).at(place);
    if said.message.is_empty() { error } else { error.found(said.message.as_str()) }
}

fn is_stale_key(said: &ServerError) -> bool {
    let message = said.message.to_ascii_lowercase();
    STALE_KINDS.contains(&said.kind.as_str()) || STALE_MESSAGES.iter().any(|known| message.contains(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(status: u16, headers: &[(&str, &str)], body: &str) -> Error {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut response = FailedResponse::new(&ResponseHead::new(status, headers));
        body.as_bytes().chunks(7).for_each(|piece| response.push(piece));
        response.error()
    }

    #[test]
    fn statuses_and_bodies() {
        let cases: &[(u16, &str, Code, Option<&str>, &str)] = &[
            (
                400,
                r#"{"error":"Encrypted field is not valid hex"}"#,
                Code::UpstreamError,
                Some("Encrypted field is not valid hex"),
                "HTTP 400",
            ),
            (
                400,
                r#"{"error":"Failed to decrypt field","details":{"a":1}}"#,
                Code::StaleKey,
                Some("Failed to decrypt field"),
                "HTTP 400",
            ),
            (
                400,
                r#"{"error":{"message":"Decryption failed","type":"bad_request","code":null}}"#,
                Code::StaleKey,
                Some("Decryption failed"),
                "HTTP 400 bad_request",
            ),
            (
                400,
                r#"{"error":{"message":"x","type":"e2ee_model_key_mismatch"}}"#,
                Code::StaleKey,
                Some("x"),
                "HTTP 400 e2ee_model_key_mismatch",
            ),
            (
                400,
                r#"{"object":"error","message":"context too long","code":40303}"#,
                Code::UpstreamError,
                Some("context too long"),
                "HTTP 400 40303",
            ),
            (400, r#"{"detail":"no such route"}"#, Code::UpstreamError, Some("no such route"), "HTTP 400"),
            (400, "<html>Decryption failed</html>", Code::UpstreamError, None, "HTTP 400"),
            (400, r#"{"error":{"message":"a","message":"b"}}"#, Code::UpstreamError, None, "HTTP 400"),
            (
                401,
                r#"{"error":"Authentication failed"}"#,
                Code::UpstreamUnauthorized,
                Some("Authentication failed"),
                "HTTP 401",
            ),
            (402, "", Code::UpstreamPayment, None, "HTTP 402"),
            (404, r#"{"error":"Model not found"}"#, Code::UpstreamError, Some("Model not found"), "HTTP 404"),
            (429, "{}", Code::UpstreamRateLimited, None, "HTTP 429"),
            (
                500,
                r#"{"error":{"message":"Decryption failed"}}"#,
                Code::UpstreamUnavailable,
                Some("Decryption failed"),
                "HTTP 500",
            ),
            (503, "busy", Code::UpstreamUnavailable, None, "HTTP 503"),
        ];
        for (status, body, code, found, at) in cases {
            let error = error(*status, &[], body);
            assert_eq!(
                (error.code(), error.found_value(), error.check()),
                (*code, *found, Some(*at)),
                "{body}"
            );
        }
    }

    #[test]
    fn words_are_cut_and_cleaned() {
        let long = format!(
            r#"{{"error":{{"message":"\u001b[31m<b>{}","type":"{}"}}}}"#,
            "m".repeat(5000),
            "t".repeat(2000)
        );
        let found = error(400, &[], &long);
        assert!(found.found_value().unwrap().len() < 300 && !found.to_string().contains('\u{1b}'));
        assert!(found.check().unwrap().len() <= 80);
        let endless = error(400, &[], &format!(r#"{{"error":"{}"}}"#, "x".repeat(ERROR_BODY_KEPT_BYTES)));
        assert_eq!((endless.code(), endless.found_value()), (Code::UpstreamError, None));
    }

    #[test]
    fn headers_count() {
        assert!(
            error(429, &[("Retry-After", "17")], "").message().ends_with("The provider asks to wait 17 s.")
        );
        assert!(!error(429, &[("Retry-After", "soon")], "").message().contains("soon"));
        let packed = error(400, &[("Content-Encoding", "gzip")], r#"{"error":"Failed to decrypt field"}"#);
        assert_eq!((packed.code(), packed.found_value()), (Code::UpstreamError, None));
    }
}
