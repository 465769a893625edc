//! Strict opening of a streamed answer (protocols/venice.md 3.5, 3.8, 4): every text field must be an envelope that opens under this
//! request's key, or the stream dies.
//!
//! A push is worked on in three steps: frame and parse all complete events, open their envelopes (on several threads when there are
//! enough), then apply everything in order. Parsing decides nothing that depends on plaintext, so the outcome is the same for any
//! chunking and any number of threads.

use zeroize::Zeroize;

use super::burst::{open_ahead, open_range, range_of};
use super::failure::FailedResponse;
use super::steps::{END_MARK, Reader, Step};
use super::utf8::Joiner;
use crate::crypto::Sha256;
use crate::endpoint::{Answer, Event, Receipt, TextField};
use crate::error::{Code, Error, Result};
use crate::http::ResponseHead;
use crate::limits::ANSWER_MAX_BYTES;
use crate::seal::ecies::FieldOpener;
use crate::secret::{Secret, wipe};
use crate::stream::sse::Framer;

/// Envelope bytes and steps that are kept allocated between pushes, so that an idle stream stays small after a burst.
const KEPT_CAPACITY: usize = 16 * 1024;
const KEPT_STEPS: usize = 128;

/// How an answer is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AnswerOptions {
    /// Deliver white space that arrives in clear, which an early server sent. Off by default; nothing else in clear is ever
    /// delivered.
    pub allow_whitespace_plaintext: bool,
    /// SHA-256 of the request body, for the receipt; zeros when unknown.
    pub request_sha256: [u8; 32],
}

/// Opens one answer. Owns the response key, which is wiped at the end, on an error and on drop.
///
/// Call [`AnswerOpener::head`] once, [`AnswerOpener::push`] for each piece of the body, [`AnswerOpener::finish`] at its end. An
/// opener that is dropped unfinished has seen an incomplete answer, whatever it delivered. That a field opens shows that it was
/// sealed to this request's key, not who sealed it (threats I11, T37).
pub struct AnswerOpener {
    stage: Stage,
    opener: Option<FieldOpener>,
    framer: Framer,
    reader: Reader,
    texts: Vec<TextState>,
    hash: Sha256,
    body_bytes: u64,
    ignored_bytes: u64,
    sealed_fields: u64,
    delivered_bytes: u64,
}

enum Stage {
    /// Waiting for the head.
    Start,
    Stream,
    /// The status is no success: the body says why.
    Failed(Box<FailedResponse>),
    /// The end mark was seen.
    Done,
    /// Something was wrong; the same error answers every further call.
    Dead(Error),
    /// `finish` has been called.
    Finished,
}

/// A text that may be continued.
struct TextState {
    choice: u32,
    field: TextField,
    joiner: Joiner,
}

impl AnswerOpener {
    /// An opener for callers that did their own sealing. `secret` is the private key whose public key the request named; it must
    /// be used for one request only, or pieces of two answers can be spliced together unnoticed.
    pub fn for_key(secret: Secret<32>, options: AnswerOptions) -> AnswerOpener {
        AnswerOpener {
            stage: Stage::Start,
            opener: Some(FieldOpener::new(secret)),
            framer: Framer::new(),
            reader: Reader::new(options),
            texts: Vec::new(),
            hash: Sha256::new(),
            body_bytes: 0,
            ignored_bytes: 0,
            sealed_fields: 0,
            delivered_bytes: 0,
        }
    }

    /// Takes status and headers. A status that is no success is reported by [`AnswerOpener::finish`], with the server's words.
    ///
    /// Errors: `redirect_refused`, `content_encoding`, `unexpected_content_type`; `out_of_order` when called twice.
    pub fn head(&mut self, head: &ResponseHead) -> Result<()> {
        if !matches!(self.stage, Stage::Start) {
            return Err(self.misuse());
        }
        match head.status() {
            200..300 => {
                if let Err(error) = check_stream_head(head) {
                    return Err(self.die(error));
                }
                self.stage = Stage::Stream;
            }
            300..400 => {
                let error = Error::new(Code::RedirectRefused).found(head.status().to_string());
                return Err(self.die(error));
            }
            _ => self.stage = Stage::Failed(Box::new(FailedResponse::new(head))),
        }
        Ok(())
    }

    /// Takes the next bytes of the body and appends what they say to `out`. A burst may be opened on up to `workers` threads.
    ///
    /// Errors: `plaintext_downgrade`, `invalid_point`, `auth_failed`, `invalid_utf8`, `answer_mixed`, `malformed_event`,
    /// `upstream_error`, `limit_exceeded`. Nothing of the event that failed is in `out`, everything before it is.
    pub fn push(&mut self, bytes: &[u8], workers: usize, out: &mut Vec<Event>) -> Result<()> {
        match &mut self.stage {
            Stage::Stream => self.push_stream(bytes, workers, out),
            Stage::Failed(response) => {
                response.push(bytes);
                Ok(())
            }
            Stage::Done => {
                self.count(bytes);
                let end_of_line = self.framer.end_line(bytes);
                self.ignore(bytes.len().saturating_sub(end_of_line));
                Ok(())
            }
            Stage::Dead(error) => Err(error.clone()),
            Stage::Start | Stage::Finished => Err(self.misuse()),
        }
    }

    /// The body ended.
    ///
    /// Errors: `truncated` when the end mark was not seen, whatever else was; the error of a failed response: `stale_key`,
    /// `upstream_unauthorized`, `upstream_payment`, `upstream_rate_limited`, `upstream_unavailable`, `upstream_error`.
    pub fn finish(&mut self, out: &mut Vec<Event>) -> Result<Receipt> {
        match &self.stage {
            Stage::Stream => {
                // An end mark without its line ends is taken; any other event that lacks them was cut.
                let rest = self.framer.unfinished_data().unwrap_or_default();
                if rest.trim_ascii() != END_MARK {
                    return Err(self.die(Error::new(Code::Truncated)));
                }
                self.reader.steps.push(Step::Done);
                self.apply(1, out)?;
            }
            Stage::Failed(response) => {
                let error = response.error();
                return Err(self.die(error));
            }
            Stage::Done => {}
            Stage::Dead(error) => return Err(error.clone()),
            Stage::Start | Stage::Finished => return Err(self.misuse()),
        }
        self.stage = Stage::Finished;
        Ok(Receipt {
            id: self.reader.id.take(),
            sealed_fields: self.sealed_fields,
            body_bytes: self.body_bytes,
            ignored_bytes: self.ignored_bytes,
            request_sha256: self.reader.options.request_sha256,
            response_sha256: self.hash.clone().finish(),
        })
    }

    fn misuse(&self) -> Error {
        match &self.stage {
            Stage::Finished => Error::new(Code::AlreadyFinished),
            Stage::Dead(error) => error.clone(),
            _ => Error::new(Code::OutOfOrder).at("answer opener"),
        }
    }

    fn push_stream(&mut self, bytes: &[u8], workers: usize, out: &mut Vec<Event>) -> Result<()> {
        let room = u64::try_from(ANSWER_MAX_BYTES).unwrap_or(u64::MAX).saturating_sub(self.body_bytes);
        let allowed = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
        let taken = bytes.get(..allowed).unwrap_or(bytes);
        self.count(bytes);

        let AnswerOpener { framer, reader, .. } = self;
        let used = match framer.push(taken, |event| reader.event(&event)) {
            Ok(used) => used,
            Err(error) => {
                reader.steps.push(Step::Fail(error));
                taken.len()
            }
        };
        if allowed < bytes.len() && !reader.stopped() {
            reader.steps.push(Step::Fail(Error::new(Code::LimitExceeded).at("answer")));
        }
        self.apply(workers, out)?;
        if matches!(self.stage, Stage::Done) {
            let rest = bytes.get(used..).unwrap_or_default();
            self.ignore(rest.len());
        }
        Ok(())
    }

    fn count(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.body_bytes = self.body_bytes.saturating_add(length(bytes));
    }

    fn ignore(&mut self, bytes: usize) {
        self.ignored_bytes = self.ignored_bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// Opens the envelopes of all steps and applies the steps in order.
    fn apply(&mut self, workers: usize, out: &mut Vec<Event>) -> Result<()> {
        let mut steps = std::mem::take(&mut self.reader.steps);
        let mut arena = std::mem::take(&mut self.reader.arena);
        if let Some(opener) = &mut self.opener {
            open_ahead(opener, &mut arena, &mut steps, workers);
        }
        let mut event_start = out.len();
        let mut result = Ok(());
        for step in steps.drain(..) {
            if matches!(step, Step::EventEnd) {
                self.commit(out.get(event_start..).unwrap_or_default());
                event_start = out.len();
            } else if let Err(error) = self.step(step, &mut arena, out) {
                withdraw(out, event_start);
                result = Err(self.die(error));
                break;
            }
        }
        wipe(&mut arena);
        arena.clear();
        arena.shrink_to(KEPT_CAPACITY);
        self.reader.arena = arena;
        steps.shrink_to(KEPT_STEPS);
        self.reader.steps = steps;
        result
    }

    fn commit(&mut self, events: &[Event]) {
        for event in events {
            if let Event::Text { text, .. } = event {
                self.delivered_bytes = self.delivered_bytes.saturating_add(length(text.as_bytes()));
            }
        }
    }

    fn step(&mut self, step: Step, arena: &mut [u8], out: &mut Vec<Event>) -> Result<()> {
        match step {
            Step::Sealed { choice, field, envelope, opened, same_as } => {
                let plaintext = match opened {
                    Some(opened) => opened?,
                    None => {
                        let opener = self.opener.as_mut().ok_or(Code::Internal)?;
                        let (secret, memory) = opener.parts();
                        open_range(secret, memory, arena, &envelope)?
                    }
                };
                self.sealed_fields = self.sealed_fields.saturating_add(1);
                let bytes = arena.get(range_of(&envelope, plaintext)).unwrap_or_default();
                // Some servers send one text under both names of the reasoning.
                let twin = same_as.filter(|twin| twin.len() == envelope.len());
                if twin.and_then(|twin| arena.get(range_of(&twin, plaintext))) != Some(bytes) {
                    self.text(choice, field, bytes, out)?;
                }
            }
            Step::Clear { choice, field, text } => self.text(choice, field, text.as_bytes(), out)?,
            Step::Finish { choice, reason } => {
                self.check_complete(Some(choice))?;
                out.push(Event::Finish { choice, reason });
            }
            Step::Usage(json) => out.push(Event::Usage { json }),
            Step::Done => {
                self.check_complete(None)?;
                self.stage = Stage::Done;
                self.opener = None;
            }
            Step::Fail(error) => return Err(error),
            Step::EventEnd => {}
        }
        Ok(())
    }

    fn text(&mut self, choice: u32, field: TextField, bytes: &[u8], out: &mut Vec<Event>) -> Result<()> {
        let known = self.texts.iter_mut().position(|text| text.choice == choice && text.field == field);
        let place = known.unwrap_or(self.texts.len());
        if known.is_none() {
            self.texts.push(TextState { choice, field, joiner: Joiner::default() });
        }
        let state = self.texts.get_mut(place).ok_or(Code::Internal)?;
        let text = state.joiner.join(bytes).ok_or(Code::InvalidUtf8)?;
        if !text.is_empty() {
            out.push(Event::Text { choice, field, text });
        }
        Ok(())
    }

    /// No text of the choice, or of any, ends inside a character.
    fn check_complete(&self, choice: Option<u32>) -> Result<()> {
        let mut texts = self.texts.iter().filter(|text| choice.is_none_or(|choice| text.choice == choice));
        if texts.all(|text| text.joiner.is_complete()) { Ok(()) } else { Err(Error::new(Code::InvalidUtf8)) }
    }

    /// Ends the opener with an error, which says how much had been delivered, and wipes the key.
    fn die(&mut self, error: Error) -> Error {
        let error = if matches!(self.stage, Stage::Stream) {
            error.context(format!("{} bytes of text had been delivered.", self.delivered_bytes))
        } else {
            error
        };
        self.stage = Stage::Dead(error.clone());
        self.opener = None;
        self.texts.clear();
        error
    }
}

impl Answer for AnswerOpener {
    fn head(&mut self, head: &ResponseHead) -> Result<()> {
        AnswerOpener::head(self, head)
    }

    fn push(&mut self, bytes: &[u8], workers: usize, out: &mut Vec<Event>) -> Result<()> {
        AnswerOpener::push(self, bytes, workers, out)
    }

    fn finish(&mut self, out: &mut Vec<Event>) -> Result<Receipt> {
        AnswerOpener::finish(self, out)
    }
}

fn check_stream_head(head: &ResponseHead) -> Result<()> {
    head.check_plain()?;
    let media_type = head.media_type();
    if media_type == "text/event-stream" {
        return Ok(());
    }
    Err(Error::new(Code::UnexpectedContentType).expected("text/event-stream").found(media_type))
}

/// Takes back what the failed event had put out.
fn withdraw(out: &mut Vec<Event>, event_start: usize) {
    for event in out.drain(event_start..) {
        if let Event::Text { mut text, .. } = event {
            text.zeroize();
        }
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{SecureRandom, secp256k1_public_key};
    use crate::seal::ecies::seal_field;

    struct Counter(u64);

    impl SecureRandom for Counter {
        fn fill(&mut self, out: &mut [u8]) -> Result<()> {
            self.0 = self.0.wrapping_add(1);
            out.fill(0);
            out[..8].copy_from_slice(&self.0.to_be_bytes());
            Ok(())
        }
    }

    /// What is left in the opener after a push holds no plaintext and no key.
    #[test]
    fn nothing_is_kept() {
        let mut opener = AnswerOpener::for_key(Secret::take(&mut [0x33; 32]), AnswerOptions::default());
        let client = secp256k1_public_key(&Secret::take(&mut [0x33; 32])).unwrap();
        let mut sealed = String::new();
        seal_field(&client, &[b'x'; 100_000], &mut Counter(0), &mut sealed).unwrap();
        let stream = format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{sealed}\"}}}}]}}\n\n");
        opener.head(&ResponseHead::new(200, [("content-type".into(), "text/event-stream".into())])).unwrap();
        let mut events = Vec::new();
        opener.push(stream.as_bytes(), 1, &mut events).unwrap();
        assert_eq!(events.len(), 1);
        assert!(opener.reader.arena.is_empty() && opener.reader.steps.is_empty());
        assert!(opener.reader.arena.capacity() <= 2 * KEPT_CAPACITY);
        opener.push(b"data: [DONE]\n\n", 1, &mut events).unwrap();
        assert!(opener.opener.is_none());
    }
}
