//! Errors as the caller's library reads them: OpenAI's shape, or Anthropic's (users.md 3 and 10). The codes are those of every interface.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};
use proveil::{Class, Code, Error};
use serde_json::{Value, json};

/// Tells the libraries whether another try makes sense. They honour it before they look at the status.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
/// Pause before another try, in seconds.
const RETRY_PAUSE_S: u64 = 5;

/// Where the caller's own API key is.
pub(crate) const CALLERS_KEY: &str = "Authorization";

/// How the caller speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    OpenAi,
    Anthropic,
}

impl Dialect {
    /// By the path: only one belongs to Anthropic's API.
    pub(crate) fn of(path: &str) -> Dialect {
        if path == "/v1/messages" || path.starts_with("/v1/messages/") {
            Dialect::Anthropic
        } else {
            Dialect::OpenAi
        }
    }

    /// A whole answer that says why there is none.
    pub(crate) fn response(self, error: &Error) -> Response<Body> {
        let number = status(error);
        let status = StatusCode::from_u16(number).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = Response::new(Body::from(self.document(error).to_string()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let again = error.retryable() && (status == StatusCode::SERVICE_UNAVAILABLE || number == 429);
        headers.insert(SHOULD_RETRY, HeaderValue::from_static(if again { "true" } else { "false" }));
        // What the provider said is passed on also where this client has already tried again.
        match error.retry_after_s() {
            Some(seconds) if error.retryable() => drop(headers.insert(RETRY_AFTER, seconds.into())),
            _ if again => drop(headers.insert(RETRY_AFTER, RETRY_PAUSE_S.into())),
            _ => {}
        }
        response
    }

    /// An error in the middle of a stream, with which it ends: as an event of its own, and without the mark of a regular end.
    pub(crate) fn event(self, error: &Error) -> String {
        match self {
            Dialect::OpenAi => format!("data: {}\n\n", self.document(error)),
            Dialect::Anthropic => format!("event: error\ndata: {}\n\n", self.document(error)),
        }
    }

    fn document(self, error: &Error) -> Value {
        let code = error.code();
        let message = message(error);
        match self {
            Dialect::OpenAi => json!({ "error": {
                "message": message,
                "type": kind(error),
                "param": null,
                "code": code.text(),
                "slug": code.slug(),
                "hint": error.hint(),
                "details": {
                    "check": error.check(), "expected": error.expected_value(), "found": error.found_value(),
                },
            }}),
            Dialect::Anthropic => json!({ "type": "error", "error": {
                "type": anthropic_kind(status(error)),
                "message": message,
                "code": code.text(),
                "slug": code.slug(),
            }}),
        }
    }
}

/// That of the code, except that a key which the provider did not accept is the caller's mistake where the caller brought it
/// (privatemode.md 2.7): then the libraries say that the key is wrong.
fn status(error: &Error) -> u16 {
    let callers_key = error.code() == Code::UpstreamUnauthorized && error.check() == Some(CALLERS_KEY);
    if callers_key { 401 } else { error.code().row().http }
}

/// What, why, next, in one line: programs often show nothing else.
pub(crate) fn message(error: &Error) -> String {
    let code = error.code();
    let compared = [
        error.check().map(str::to_owned),
        error.expected_value().map(|value| format!("expected {value}")),
        error.found_value().map(|value| format!("found {value}")),
    ];
    let compared: Vec<String> = compared.into_iter().flatten().collect();
    let compared = if compared.is_empty() { String::new() } else { format!(" ({})", compared.join(", ")) };
    format!("{} [{}]{compared} {}", error.message(), code.text(), error.hint())
}

fn kind(error: &Error) -> &'static str {
    let row = error.code().row();
    match (error.code().class(), status(error)) {
        (_, 401) => "authentication_error",
        (_, 429) => "rate_limit_error",
        (Class::Verification, _) => "verification_error",
        (Class::Indeterminate, _) => "verification_unavailable",
        (Class::Access, 503) => "unavailable",
        (Class::Access, _) => "access_error",
        (Class::Input | Class::Config | Class::Limit, _) => "invalid_request_error",
        (Class::Integrity, _) => "integrity_error",
        // A cut stream is one: its exit code says so.
        (Class::Protocol, _) if row.exit == 5 => "integrity_error",
        (Class::Protocol, _) => "upstream_error",
        (Class::Misuse | Class::Internal, _) => "api_error",
    }
}

fn anthropic_kind(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 => "overloaded_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key that was not accepted: the caller's own, or the proxy's.
    #[test]
    fn whose_key_it_was() {
        let error = || Error::new(Code::UpstreamUnauthorized);
        for (error, status, kind) in [
            (error().at(CALLERS_KEY), 401, "authentication_error"),
            (error(), 502, "upstream_error"),
            (error().at("models"), 502, "upstream_error"),
        ] {
            assert_eq!(Dialect::OpenAi.response(&error).status(), status);
            assert_eq!(Dialect::OpenAi.document(&error)["error"]["type"], kind);
            let anthropic = if status == 401 { kind } else { "api_error" };
            assert_eq!(Dialect::Anthropic.document(&error)["error"]["type"], anthropic);
        }
    }

    #[test]
    fn what_why_and_next_stand_apart() {
        let error = Error::new(Code::UnknownModel).at("model").expected("a listed one").found("\"x\"");
        let document = Dialect::OpenAi.document(&error);
        let error = &document["error"];
        assert_eq!(error["code"], "PV-105");
        assert_eq!(error["hint"], Code::UnknownModel.row().hint);
        assert_eq!(
            error["details"],
            json!({ "check": "model", "expected": "a listed one", "found": "\"x\"" })
        );
        let message = error["message"].as_str().unwrap();
        let (what, rest) = message.split_once(" [PV-105]").unwrap();
        assert!(!what.is_empty() && rest.ends_with(Code::UnknownModel.row().hint), "{message}");
    }
}
