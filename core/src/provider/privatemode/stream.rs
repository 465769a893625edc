//! Opens one answer, whole or streamed (protocols/privatemode.md 6.4): every member that must be sealed opens under this exchange's secret,
//! in its place, or the answer dies.

use super::answer::{AnswerForm, AnswerPart, answer_form, open_document, open_members};
use super::chunk::{Output, Progress, StreamUsage};
use super::failure::FailedResponse;
use super::plan::MessageSize;
use crate::crypto::Sha256;
use crate::endpoint::{Answer, Event, Receipt};
use crate::error::{Code, Error, Result, cleaned};
use crate::http::ResponseHead;
use crate::limits::ANSWER_MAX_BYTES;
use crate::openai::ApiEndpoint;
use crate::openai::select::Document;
use crate::seal::MessageCipher;
use crate::seal::gcm_stream::FieldCipher;
use crate::stream::parse_error;
use crate::stream::sse::{self, Framer};

/// How many times what came of a body may be kept free for the rest of it.
const BODY_GROWTH_MAX: usize = 8;

/// Opens one answer. Owns the exchange's cipher, which is wiped at the end, on an error and on drop.
pub struct AnswerOpener {
    stage: Stage,
    cipher: Option<FieldCipher>,
    size: MessageSize,
    endpoint: ApiEndpoint,
    progress: Progress,
    /// A whole answer, as far as it came.
    body: Vec<u8>,
    /// Length of the body by its head; 0 when it is not known.
    announced: usize,
    framer: Framer,
    hash: Sha256,
    request_sha256: [u8; 32],
    body_bytes: u64,
    ignored_bytes: u64,
}

enum Stage {
    /// Waiting for the head.
    Start,
    Document,
    Stream,
    /// The status is no success: the body says why.
    Failed(FailedResponse, AnswerForm),
    /// Something was wrong; the same error answers every further call.
    Dead(Error),
    Finished,
}

impl AnswerOpener {
    /// An opener for the answer to a request whose fields this cipher sealed. `model` is the one that was asked for; an answer that names
    /// another one is refused; `None` takes any. `request_sha256` is that of the body as sent, for the receipt.
    pub fn new(
        cipher: FieldCipher,
        endpoint: ApiEndpoint,
        output: Output,
        model: Option<String>,
        request_sha256: [u8; 32],
    ) -> AnswerOpener {
        let size = MessageSize { id_bytes: cipher.secret_id().len() };
        AnswerOpener {
            stage: Stage::Start,
            cipher: Some(cipher),
            size,
            progress: Progress::new(endpoint.clone(), output, model),
            endpoint,
            body: Vec::new(),
            announced: 0,
            framer: Framer::new(),
            hash: Sha256::new(),
            request_sha256,
            body_bytes: 0,
            ignored_bytes: 0,
        }
    }

    /// Hands out what a stream says of usage only as far as this; all of it by default.
    #[must_use]
    pub const fn with_usage(mut self, usage: StreamUsage) -> AnswerOpener {
        self.progress.set_usage(usage);
        self
    }

    /// Takes status and headers. A status that is no success is reported by [`AnswerOpener::finish`].
    ///
    /// Errors: `plaintext_downgrade`, `redirect_refused`, `content_encoding`, `unexpected_content_type`; `out_of_order` when called twice.
    pub fn head(&mut self, head: &ResponseHead) -> Result<()> {
        if !matches!(self.stage, Stage::Start) {
            return Err(self.misuse());
        }
        if (300..400).contains(&head.status()) {
            let error = Error::new(Code::RedirectRefused).found(head.status().to_string());
            return Err(self.die(error));
        }
        let form =
            match answer_form(head, &self.endpoint).and_then(|form| check_type(head, form, &self.endpoint)) {
                Ok(form) => form,
                Err(error) => return Err(self.die(error)),
            };
        self.stage = match form {
            AnswerForm::Stream => Stage::Stream,
            AnswerForm::Document => {
                let length = head.header("content-length").and_then(|length| length.parse().ok());
                self.announced = length.filter(|length| *length <= ANSWER_MAX_BYTES).unwrap_or(0);
                Stage::Document
            }
            AnswerForm::Failure | AnswerForm::Untrusted => Stage::Failed(FailedResponse::new(head), form),
            AnswerForm::Clear => return Err(self.die(Error::new(Code::PlaintextDowngrade))),
        };
        Ok(())
    }

    /// Takes the next bytes of the body and appends what they say to `out`. Nothing of the event that failed is in `out`, everything
    /// before it is.
    ///
    /// Errors: those of opening a field and of the clear members (`auth_failed`, `foreign_field`, `reflected_field`, `not_ciphertext`,
    /// `plaintext_downgrade`, `malformed_event`, ...), `answer_mixed`, `upstream_error`, `limit_exceeded`.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<Event>) -> Result<()> {
        match &mut self.stage {
            Stage::Failed(response, _) => {
                response.push(bytes);
                return Ok(());
            }
            Stage::Dead(error) => return Err(error.clone()),
            Stage::Start | Stage::Finished => return Err(self.misuse()),
            Stage::Document | Stage::Stream => {}
        }
        let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.hash.update(bytes);
        self.body_bytes = self.body_bytes.saturating_add(count);
        if self.body_bytes > u64::try_from(ANSWER_MAX_BYTES).unwrap_or(u64::MAX) {
            return Err(self.die(Error::new(Code::LimitExceeded).at("answer")));
        }
        if matches!(self.stage, Stage::Document) {
            self.keep(bytes);
            return Ok(());
        }
        if self.progress.has_ended() {
            self.ignored_bytes = self.ignored_bytes.saturating_add(count);
            return Ok(());
        }
        self.push_events(bytes, out).map_err(|error| self.die(error))
    }

    /// A body that grows by pieces is copied over and over: room for all of it is made as soon as a part came that vouches for its length.
    fn keep(&mut self, bytes: &[u8]) {
        let length = self.body.len().saturating_add(bytes.len());
        if length > self.body.capacity() && self.announced <= length.saturating_mul(BODY_GROWTH_MAX) {
            self.body.reserve_exact(self.announced.saturating_sub(self.body.len()));
        }
        self.body.extend_from_slice(bytes);
    }

    fn push_events(&mut self, bytes: &[u8], out: &mut Vec<Event>) -> Result<()> {
        let AnswerOpener { framer, cipher, size, endpoint, progress, ignored_bytes, .. } = self;
        let cipher = cipher.as_mut().ok_or_else(|| Error::new(Code::Internal))?;
        let mut result = Ok(());
        let used = framer.push(bytes, |event| {
            result = take_event(&event, cipher, *size, endpoint, progress, out);
            if result.is_err() || progress.has_ended() {
                std::ops::ControlFlow::Break(())
            } else {
                std::ops::ControlFlow::Continue(())
            }
        })?;
        let rest = bytes.len().saturating_sub(used);
        *ignored_bytes = ignored_bytes.saturating_add(u64::try_from(rest).unwrap_or(u64::MAX));
        result
    }

    /// The body ended.
    ///
    /// Errors: `truncated` when the sealed end of every choice, or the end mark, was not seen; what opening a whole answer fails with; the
    /// error of a failed response: `stale_key`, `upstream_unauthorized`, `upstream_payment`, `upstream_rate_limited`,
    /// `upstream_unavailable`, `upstream_error`.
    pub fn finish(&mut self, out: &mut Vec<Event>) -> Result<Receipt> {
        let before = out.len();
        self.end(out).map_err(|error| {
            out.truncate(before);
            self.die(error)
        })?;
        self.stage = Stage::Finished;
        let sealed_fields = self.cipher.take().map_or(0, |cipher| cipher.opened_fields());
        Ok(Receipt {
            id: self.progress.take_id(),
            sealed_fields,
            body_bytes: self.body_bytes,
            ignored_bytes: self.ignored_bytes,
            request_sha256: self.request_sha256,
            response_sha256: self.hash.clone().finish(),
        })
    }

    fn end(&mut self, out: &mut Vec<Event>) -> Result<()> {
        match &self.stage {
            Stage::Document => {
                let AnswerOpener { body, cipher, size, endpoint, progress, .. } = self;
                let cipher = cipher.as_mut().ok_or_else(|| Error::new(Code::Internal))?;
                let text = std::str::from_utf8(body).map_err(|_| Code::MalformedResponse)?;
                let open = |raw: &str, out: &mut Vec<u8>| cipher.open_into(raw.as_bytes(), out);
                let document = open_members(text, endpoint, AnswerPart::Whole, *size, open)?;
                progress.take("", document, false, out)?;
                progress.check_complete(false)
            }
            Stage::Stream => {
                let rest = self.framer.unfinished_data().unwrap_or_default();
                if is_end_mark(rest.trim_ascii(), &self.endpoint) {
                    self.progress.done();
                } else if !rest.is_empty() {
                    return Err(Error::new(Code::Truncated));
                }
                self.progress.check_complete(true)
            }
            Stage::Failed(response, form) => {
                Err(failure(response, *form, self.cipher.as_mut(), &self.endpoint))
            }
            Stage::Dead(error) => Err(error.clone()),
            Stage::Start | Stage::Finished => Err(self.misuse()),
        }
    }

    fn misuse(&self) -> Error {
        match &self.stage {
            Stage::Finished => Error::new(Code::AlreadyFinished),
            Stage::Dead(error) => error.clone(),
            _ => Error::new(Code::OutOfOrder).at("answer opener"),
        }
    }

    fn die(&mut self, error: Error) -> Error {
        self.cipher = None;
        self.body = Vec::new();
        self.stage = Stage::Dead(error.clone());
        error
    }
}

/// A whole answer is JSON; a page is not from a worker. Two endpoints have no streams, and so no sign of their end.
fn check_type(head: &ResponseHead, form: AnswerForm, endpoint: &ApiEndpoint) -> Result<AnswerForm> {
    let kind = head.media_type();
    let only_whole = matches!(endpoint, ApiEndpoint::Embeddings | ApiEndpoint::Unstructured(_));
    let expected = if only_whole { "application/json" } else { "application/json or text/event-stream" };
    match form {
        AnswerForm::Document if !kind.is_empty() && kind != "application/json" => {}
        AnswerForm::Stream if only_whole => {}
        _ => return Ok(form),
    }
    Err(Error::new(Code::UnexpectedContentType).expected(expected).found(cleaned(&kind, 64)))
}

/// The error of a failed response: its words, opened if they were sealed.
fn failure(
    response: &FailedResponse,
    form: AnswerForm,
    cipher: Option<&mut FieldCipher>,
    endpoint: &ApiEndpoint,
) -> Error {
    if let (AnswerForm::Failure, Some(cipher), Some(text)) = (form, cipher, response.body()) {
        let size = MessageSize { id_bytes: cipher.secret_id().len() };
        let open = |raw: &str, out: &mut Vec<u8>| cipher.open_into(raw.as_bytes(), out);
        if let Ok(document) = open_document(text, endpoint, AnswerPart::Failure, size, open)
            && document.sealed_members() > 0
        {
            return response.opened(document.text());
        }
    }
    response.untrusted()
}

/// `[DONE]` in any case, where the endpoint's streams end with it.
fn is_end_mark(data: &[u8], endpoint: &ApiEndpoint) -> bool {
    *endpoint != ApiEndpoint::Messages && data.eq_ignore_ascii_case(b"[DONE]")
}

fn take_event(
    event: &sse::Event<'_>,
    cipher: &mut FieldCipher,
    size: MessageSize,
    endpoint: &ApiEndpoint,
    progress: &mut Progress,
    out: &mut Vec<Event>,
) -> Result<()> {
    let data = event.data.trim_ascii();
    if data.is_empty() {
        return Ok(());
    }
    if is_end_mark(data, endpoint) {
        progress.done();
        return Ok(());
    }
    let malformed = || Error::new(Code::MalformedEvent);
    let text = std::str::from_utf8(data).map_err(|_| malformed())?;
    let name = std::str::from_utf8(event.name).map_err(|_| malformed())?;
    let open = |raw: &str, out: &mut Vec<u8>| cipher.open_into(raw.as_bytes(), out);
    match open_members(text, endpoint, AnswerPart::Event, size, open) {
        Ok(document) => progress.take(name, document, true, out),
        Err(error) => Err(error_in_clear(name, text, &error).unwrap_or(error)),
    }
}

/// An error that a proxy on the way puts into a stream, in clear, which is why it did not open: the end of the answer, in words that nobody
/// vouches for. The workers' own errors are sealed (6.1).
fn error_in_clear(name: &str, data: &str, unopened: &Error) -> Option<Error> {
    if !matches!(unopened.code(), Code::NotCiphertext | Code::PlaintextDowngrade) {
        return None;
    }
    let document = Document::parse(data).ok()?;
    if name != "error" && !document.get("error").is_some_and(|error| error.starts_with('{')) {
        return None;
    }
    let said = parse_error(data.as_bytes())?;
    let error = Error::new(Code::UpstreamError).at("event stream").found(said.message.as_str());
    Some(error.context("The words are not authenticated."))
}

impl Answer for AnswerOpener {
    fn head(&mut self, head: &ResponseHead) -> Result<()> {
        AnswerOpener::head(self, head)
    }

    fn push(&mut self, bytes: &[u8], _workers: usize, out: &mut Vec<Event>) -> Result<()> {
        AnswerOpener::push(self, bytes, out)
    }

    fn finish(&mut self, out: &mut Vec<Event>) -> Result<Receipt> {
        AnswerOpener::finish(self, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::SecureRandom;
    use crate::secret::Secret;

    struct Ones;

    impl SecureRandom for Ones {
        fn fill(&mut self, out: &mut [u8]) -> Result<()> {
            out.fill(1);
            Ok(())
        }
    }

    /// Threats T44: a length in clear is a promise; room is made for no more than a multiple of what came.
    #[test]
    fn room_for_a_body_follows_what_came() {
        for (announced, came, room) in [
            ("8000", 100, 800),
            ("8000", 999, 7992),
            ("8000", 1000, 8000),
            ("8000", 9000, 18_000),
            ("67108864", 1000, 8000),
            ("67108865", 1000, 8000),
            ("99999999999999999999", 1000, 8000),
            ("-1", 1000, 8000),
        ] {
            let cipher = FieldCipher::new(&Secret::take(&mut [7; 32]), "id", &mut Ones).unwrap();
            let mut opener =
                AnswerOpener::new(cipher, ApiEndpoint::ChatCompletions, Output::Texts, None, [0; 32]);
            let headers = [("Content-Length".to_owned(), announced.to_owned())];
            opener.head(&ResponseHead::new(200, headers)).unwrap();
            for piece in vec![b' '; came].chunks(100) {
                opener.push(piece, &mut Vec::new()).unwrap();
            }
            assert_eq!(opener.body.len(), came);
            assert!(opener.body.capacity() <= room, "{announced}: {}", opener.body.capacity());
        }
    }
}
