//! One row on its way: adapted, sealed, sent, its answer collected into a line of the output.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use proveil::{Class, Client, Code, Error, Provider, Result};
use serde_json::json;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::input::Request;
use super::journal::LINE_START;
use crate::api::{Adapted, message, random_id};

/// The longest pause before a further try.
const PAUSE_MAX_S: u64 = 60;

/// What all rows share.
pub(crate) struct Sender {
    client: Client,
    provider: Provider,
    max_retries: u32,
    /// Tool calls by prompt where the provider cannot carry tools.
    emulate_tools: bool,
    /// A provider that is too busy for one row is too busy for all.
    not_before: Mutex<Option<Instant>>,
}

/// A whole answer.
pub(super) struct Answer {
    request_id: Option<String>,
    /// Without line ends.
    body: String,
}

/// An error, and whether something had come by then: such a row may have been paid for and is never sent again by itself.
struct Setback {
    error: Error,
    before_answer: bool,
}

impl Sender {
    pub(crate) const fn new(
        client: Client,
        provider: Provider,
        max_retries: u32,
        emulate_tools: bool,
    ) -> Sender {
        Sender { client, provider, max_retries, emulate_tools, not_before: Mutex::new(None) }
    }

    pub(super) const fn client(&self) -> &Client {
        &self.client
    }

    /// Sends a row until it is answered, fails, or has been tried often enough. Every try seals anew (threats T33, T49).
    pub(super) async fn answer(&self, request: &Request) -> Result<Answer> {
        let mut retries: u32 = 0;
        loop {
            self.wait().await;
            match self.attempt(request).await {
                Ok(answer) => return Ok(answer),
                Err(setback)
                    if setback.before_answer && is_busy(&setback.error) && retries < self.max_retries =>
                {
                    retries = retries.saturating_add(1);
                    self.pause(pause_s(retries, setback.error.retry_after_s()));
                }
                Err(setback) => return Err(setback.error),
            }
        }
    }

    async fn attempt(&self, request: &Request) -> Result<Answer, Setback> {
        let adapted = Adapted {
            provider: self.provider,
            endpoint: &request.endpoint,
            content_type: None,
            body: &request.body,
            outline: &request.outline,
            model: &request.model,
            emulate_tools: self.emulate_tools,
        };
        let early = |error| Setback { error, before_answer: true };
        let late = |error| Setback { error, before_answer: false };
        let (mut stream, toolbox) = adapted.send(&self.client).await.map_err(early)?;
        let mut whole = adapted.whole(toolbox).map_err(late)?;
        while let Some(event) = stream.next().await {
            whole.event(event.map_err(late)?).map_err(late)?;
        }
        let body = whole.document().and_then(|document| one_line(&document)).map_err(late)?;
        Ok(Answer { request_id: stream.receipt().and_then(|receipt| receipt.id.clone()), body })
    }

    async fn wait(&self) {
        loop {
            let until = *self.not_before.lock().unwrap_or_else(PoisonError::into_inner);
            match until.filter(|until| *until > Instant::now()) {
                Some(until) => tokio::time::sleep_until(until).await,
                None => return,
            }
        }
    }

    fn pause(&self, seconds: u64) {
        let until = Instant::now().checked_add(Duration::from_secs(seconds));
        let mut not_before = self.not_before.lock().unwrap_or_else(PoisonError::into_inner);
        *not_before = (*not_before).max(until);
    }
}

/// 1, 2, 4, ... seconds, or what the provider asks for where that is more.
fn pause_s(retries: u32, asked: Option<u64>) -> u64 {
    let factor = 1_u64.checked_shl(retries.saturating_sub(1)).unwrap_or(u64::MAX);
    factor.min(PAUSE_MAX_S).max(asked.unwrap_or(0))
}

/// The provider did not take the row, or could not prove itself just now. A request that got no answer in time is not among these: it
/// may have been taken.
fn is_busy(error: &Error) -> bool {
    let unproven = error.code().class() == Class::Indeterminate && error.retryable();
    unproven
        || matches!(
            error.code(),
            Code::UpstreamRateLimited | Code::UpstreamUnavailable | Code::ConnectionFailed
        )
}

/// Errors that are not about one row: no other would fare better, so nothing more is sent and no row is spent on them.
pub(super) fn concerns_all(error: &Error) -> bool {
    let account =
        matches!(error.code(), Code::UpstreamUnauthorized | Code::UpstreamPayment | Code::RandomFailed);
    account
        || matches!(
            error.code().class(),
            Class::Verification | Class::Indeterminate | Class::Config | Class::Misuse
        )
}

/// The line of the output for a row, with its end.
pub(super) fn line(custom_id: &str, result: &Result<Answer>) -> Result<Vec<u8>> {
    let id = json!(custom_id);
    let row = random_id()?;
    let text = match result {
        Ok(answer) => {
            let body = &answer.body;
            let request_id = json!(answer.request_id);
            format!(
                "{LINE_START}{row}\",\"custom_id\":{id},\"response\":{{\"status_code\":200,\"request_id\":{request_id},\"body\":{body}}},\
                 \"error\":null}}\n"
            )
        }
        Err(error) => {
            let code = error.code();
            let fault = json!({
                "code": code.text(), "slug": code.slug(), "message": message(error), "retryable": error.retryable(),
            });
            format!("{LINE_START}{row}\",\"custom_id\":{id},\"response\":null,\"error\":{fault}}}\n")
        }
    };
    Ok(text.into_bytes())
}

/// A document without line ends, which in JSON can only be white space.
fn one_line(document: &str) -> Result<String> {
    let malformed = |_| Error::new(Code::MalformedResponse).at("answer").expected("one JSON document");
    let value: &RawValue = serde_json::from_str(document).map_err(malformed)?;
    Ok(value.get().replace(['\n', '\r'], " "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn pauses_grow_and_are_bounded() {
        let pauses = [1, 2, 3, 6, 7, 20, 64, 65, u32::MAX].map(|retries| pause_s(retries, None));
        assert_eq!(pauses, [1, 2, 4, 32, 60, 60, 60, 60, 60]);
        assert_eq!(
            [(1, 0), (1, 9), (5, 9), (9, 600)].map(|(n, asked)| pause_s(n, Some(asked))),
            [1, 9, 16, 600]
        );
    }

    #[test]
    fn lines_are_single_lines() {
        let answer = Answer {
            request_id: Some("r\n".to_owned()),
            body: one_line("{\n \"a\":\r\n[1.50, \"\\n\u{2028}\"] }\n").unwrap(),
        };
        let bytes = line("i\"\n", &Ok(answer)).unwrap();
        let text = std::str::from_utf8(&bytes).unwrap();
        assert!(text.ends_with("}\n") && text.matches('\n').count() == 1 && text.contains("1.50"), "{text}");
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!((&value["custom_id"], &value["error"]), (&json!("i\"\n"), &Value::Null));
        assert_eq!(
            value["response"],
            json!({ "status_code": 200, "request_id": "r\n", "body": { "a": [1.5, "\n\u{2028}"] } })
        );
        let bytes = line("i", &Err(Error::new(Code::Truncated))).unwrap();
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!((&value["response"], &value["error"]["code"]), (&Value::Null, &json!("PV-502")));
        assert_eq!(one_line("{").unwrap_err().code(), Code::MalformedResponse);
    }

    #[test]
    fn what_ends_a_run() {
        let cases = [
            (Code::QuoteSignature, true),
            (Code::CollateralUnreachable, true),
            (Code::UpstreamUnauthorized, true),
            (Code::UpstreamPayment, true),
            (Code::UpstreamRateLimited, false),
            (Code::UnknownModel, false),
            (Code::Truncated, false),
            (Code::Tools, false),
        ];
        for (code, expected) in cases {
            assert_eq!(concerns_all(&Error::new(code)), expected, "{code:?}");
        }
    }
}
