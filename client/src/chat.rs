//! From a request body to the head of its answer: proof, sealing, sending, and the few cases in which that is done once more.
//!
//! Every try seals anew with fresh keys, and only before the first byte of an answer was taken (threats T33, T49).

use std::sync::Arc;
use std::time::Duration;

use proveil_core::endpoint::{ApiRequest, Opener, VerifiedEndpoint};
use proveil_core::http::TransportFailure;
use proveil_core::limits::{REVERIFICATIONS_PER_REQUEST, SEALED_ERROR_KEPT_BYTES};
use proveil_core::openai::BodyKind;
use proveil_core::openai::forms::Form;
use proveil_core::openai::select::{BodyError, Document, Shape};
use proveil_core::provider::Provider;
use proveil_core::{Code, Error, Result};

use crate::client::Inner;
use crate::notice::Notice;
use crate::random::OsRandom;
use crate::stream::Stream;
use crate::transport::{Incoming, Outgoing};
use crate::verify::retry_pause_s;

/// Tries after a connection that could not be made or was reset, 429 or 5xx.
const RETRIES_PER_REQUEST: u32 = 1;
/// Pause before such a try when the provider names none, in seconds.
const RETRY_PAUSE_S: u64 = 1;
/// Pause before a try after a connection that was reset (privatemode.md 4.5).
const RESET_PAUSE: Duration = Duration::from_millis(50);
/// Stands for the model in reports about requests that name none.
const NO_MODEL: &str = "(none)";
/// For reading an error body.
const ERROR_BODY_WAIT: Duration = Duration::from_secs(20);

/// How a try that gave no answer ended.
enum Setback {
    /// The proof is of no use any more.
    Proof(Error),
    /// The provider could not take the request; another try may help after this pause.
    Busy(Error, Duration),
    /// Final.
    End(Error),
}

pub(crate) async fn start(inner: &Arc<Inner>, request: &ApiRequest<'_>) -> Result<Stream> {
    let model = model_of(request)?;
    let mut reverifications = 0;
    let mut retries = 0;
    loop {
        let endpoint = inner.ready(&model).await?;
        match attempt(inner, &endpoint, request).await {
            Ok((incoming, opener)) => return Ok(Stream::new(inner.clone(), endpoint, incoming, opener)),
            Err(Setback::Proof(error)) if reverifications >= REVERIFICATIONS_PER_REQUEST => {
                return Err(error);
            }
            Err(Setback::Proof(_)) => {
                reverifications = reverifications.saturating_add(1);
                inner.proofs.forget(&model, &endpoint);
                (inner.verifier.observer)(&Notice::Retrying { why: "the proven key is not used any more" });
            }
            Err(Setback::Busy(error, _)) if retries >= RETRIES_PER_REQUEST => return Err(error),
            Err(Setback::Busy(_, pause)) => {
                retries = retries.saturating_add(1);
                (inner.verifier.observer)(&Notice::Retrying { why: "the provider could not be reached" });
                tokio::time::sleep(inner.verifier.pace.lasting(pause)).await;
            }
            Err(Setback::End(error)) => return Err(error),
        }
    }
}

async fn attempt(
    inner: &Inner,
    endpoint: &VerifiedEndpoint,
    request: &ApiRequest<'_>,
) -> Result<(Incoming, Opener), Setback> {
    let verifier = &inner.verifier;
    let now = verifier.clock.unix_s().map_err(Setback::End)?;
    let (sealed, mut opener) =
        endpoint.seal_in_chunks(request, now, &mut OsRandom).map_err(|error| match error.code() {
            // It ran out between the cache and here.
            Code::ProofExpired => Setback::Proof(error),
            _ => Setback::End(error),
        })?;
    let mut request = sealed.into_request();
    let purpose = request.purpose();
    (verifier.observer)(&Notice::Sending(purpose));
    let first_byte = Duration::from_secs(verifier.config.timeouts.first_byte_s);
    let sent = verifier.transport.open(&Outgoing::moving(&mut request), first_byte).await;
    // Privatemode closes idle lines while requests are under way, and its own clients send such a request anew (privatemode.md 4.5).
    let resend = |reset: bool| reset && verifier.config.provider == Provider::Privatemode;
    let mut incoming = sent.map_err(|unopened| match unopened.failure {
        failure if resend(unopened.reset) => {
            Setback::Busy(failure.error(Code::ConnectionFailed, purpose), RESET_PAUSE)
        }
        failure @ TransportFailure::TlsRule => Setback::Proof(failure.error(Code::ConnectionFailed, purpose)),
        // The request did not get out. After anything else it may have been taken and charged for.
        failure @ TransportFailure::Connect => {
            let pause = Duration::from_secs(RETRY_PAUSE_S);
            Setback::Busy(failure.error(Code::ConnectionFailed, purpose), pause)
        }
        TransportFailure::Timeout => {
            Setback::End(Error::new(Code::Timeout).at(purpose).expected(format!("{first_byte:?}")))
        }
        failure => Setback::End(failure.error(Code::ConnectionFailed, purpose)),
    })?;
    opener.head(&incoming.head).map_err(Setback::End)?;
    if (200..300).contains(&incoming.head.status()) {
        return Ok((incoming, opener));
    }
    let error = refusal(&mut incoming, opener).await;
    if error.code() == Code::StaleKey {
        return Err(Setback::Proof(error));
    }
    // Not every such status is one: a worker that refuses by the caller's own policy refuses again.
    let busy = matches!(incoming.head.status(), 429 | 500..=599) && error.retryable();
    let retry_after = incoming.head.header("retry-after");
    // In seconds; a date would bring the provider's clock in.
    let error = match retry_after.and_then(|value| value.trim().parse().ok()).filter(|_| busy) {
        Some(seconds) => error.again_after(seconds),
        None => error,
    };
    match retry_pause_s(retry_after, RETRY_PAUSE_S) {
        Some(pause) if busy => Err(Setback::Busy(error, Duration::from_secs(pause))),
        _ => Err(Setback::End(error)),
    }
}

/// What an answer other than 2xx says: its body, as far as it is kept, is judged by the core.
async fn refusal(incoming: &mut Incoming, mut opener: Opener) -> Error {
    let mut events = Vec::new();
    let mut left = SEALED_ERROR_KEPT_BYTES;
    while let Ok(Some(piece)) = incoming.body.next(ERROR_BODY_WAIT).await {
        let kept = piece.get(..left.min(piece.len())).unwrap_or_default();
        left = left.saturating_sub(kept.len());
        if let Err(error) = opener.push(kept, &mut events) {
            return error;
        }
        if left == 0 {
            break;
        }
    }
    match opener.finish(&mut events) {
        Err(error) => error,
        Ok(_) => Error::new(Code::UpstreamError).found(format!("HTTP {}", incoming.head.status())),
    }
}

/// The model that a request names. What is below the top level is left to the provider, which reads it when it seals.
fn model_of(request: &ApiRequest<'_>) -> Result<String> {
    let model = match request.endpoint.body() {
        BodyKind::Json => model_in(request.body)?,
        BodyKind::Form => {
            let form = Form::parse(request.content_type.unwrap_or_default(), request.body)?;
            let model = form.first_value("model").and_then(|model| std::str::from_utf8(model).ok());
            model.map(str::to_owned)
        }
        // These name none: any endpoint of the deployment will do.
        BodyKind::Raw | BodyKind::None => Some(NO_MODEL.to_owned()),
    };
    model.ok_or_else(|| Error::new(Code::InvalidArgument).at("model").expected("a text"))
}

fn model_in(body: &[u8]) -> Result<Option<String>> {
    let text = std::str::from_utf8(body).map_err(|_| Error::new(Code::MalformedRequest))?;
    let document = Document::parse(text).map_err(BodyError::in_request)?;
    if document.shape() != Shape::Object {
        return Err(Error::new(Code::MalformedRequest));
    }
    Ok(document.get("model").and_then(|model| serde_json::from_str(model).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_read_strictly() {
        let cases = [
            (r#"{"model":"m","messages":[]}"#, Ok("m")),
            (r#"{"model":"m","model":"n"}"#, Err(Code::DuplicateMember)),
            (r#"{"model":1}"#, Err(Code::InvalidArgument)),
            (r#"{}"#, Err(Code::InvalidArgument)),
            (r#"[]"#, Err(Code::MalformedRequest)),
            (r#"{"model":"m"} x"#, Err(Code::MalformedRequest)),
            ("", Err(Code::MalformedRequest)),
            // Where a prompt is text, the provider says what it takes.
            (r#"{"model":"m","input":["\ud83d",1e999,{"a":1,"a":2}]}"#, Ok("m")),
            (r#"{"\u006dodel":"m","model":"n"}"#, Err(Code::DuplicateMember)),
            (r#"{"model":"\u006d","n":01}"#, Err(Code::MalformedRequest)),
        ];
        for (body, expected) in cases {
            let model = model_of(&ApiRequest::chat(body.as_bytes())).map_err(|error| error.code());
            assert_eq!(model, expected.map(str::to_owned), "{body}");
        }
        let many = format!(r#"{{"model":"m","input":[1{}]}}"#, ",1".repeat(100_000));
        assert_eq!(model_of(&ApiRequest::chat(many.as_bytes())).unwrap(), "m");
    }
}
