//! Strict opening of a streamed answer (protocols/venice.md 3.5, 3.8, 4): every text field must be an envelope that opens under this
//! request's key, or the stream dies.
//!
//! A push is worked on in three steps: frame and parse all complete events, open their envelopes (on several threads when there are
//! enough), then apply everything in order. Parsing decides nothing that depends on plaintext, so the outcome is the same for any
//! chunking and any number of threads.

use std::ops::{ControlFlow, Range};
use std::sync::{Mutex, PoisonError};

use zeroize::{Zeroize, Zeroizing};

use super::failure::{FailedResponse, error_in_stream};
use super::utf8::Joiner;
use crate::crypto::{POINT_LEN, Sha256};
use crate::endpoint::{Answer, Event, Receipt, TextField};
use crate::error::{Code, Error, Result, cleaned};
use crate::http::ResponseHead;
use crate::limits::{ANSWER_MAX_BYTES, ANSWER_MAX_CHOICES};
use crate::seal::ecies::{FieldOpener, KeyMemory, PLAINTEXT_OFFSET, decode_envelope, open_in_place};
use crate::secret::Secret;
use crate::stream::Field;
use crate::stream::json::{Choice, ServerError, parse_chunk, parse_error};
use crate::stream::sse::{self, Framer};

/// Curve multiplications in one push from which on threads pay for themselves (each costs about 45 us, a thread about 30 us).
const PARALLEL_MIN_KEYS: usize = 8;
/// Longest `finish_reason` that is repeated.
const FINISH_REASON_MAX_BYTES: usize = 64;
/// Longest answer id.
const ID_MAX_BYTES: usize = 256;
/// Envelope bytes that are kept allocated between pushes.
const KEPT_CAPACITY: usize = 32 * 1024;
const END_MARK: &[u8] = b"[DONE]";

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
        arena.as_mut_slice().zeroize();
        arena.clear();
        arena.shrink_to(KEPT_CAPACITY);
        self.reader.arena = arena;
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

/// Where the plaintext of an envelope lies once it is open.
fn range_of(envelope: &Range<usize>, plaintext: usize) -> Range<usize> {
    let start = envelope.start.saturating_add(PLAINTEXT_OFFSET);
    start..start.saturating_add(plaintext)
}

fn open_range(
    secret: &Secret<32>,
    memory: &mut KeyMemory,
    arena: &mut [u8],
    envelope: &Range<usize>,
) -> Result<usize> {
    let envelope = arena.get_mut(envelope.clone()).ok_or(Code::Internal)?;
    open_in_place(secret, memory, envelope).map(|plaintext| plaintext.len())
}

/// Opens all envelopes on several threads when that is worth it; otherwise each is opened when its turn comes.
fn open_ahead(opener: &mut FieldOpener, arena: &mut [u8], steps: &mut [Step], workers: usize) {
    let (secret, memory) = opener.parts();
    if workers < 2 || count_keys(arena, steps, memory) < PARALLEL_MIN_KEYS {
        return;
    }
    let mut jobs = Vec::new();
    let mut rest = arena;
    for step in steps {
        if let Step::Sealed { envelope, opened, .. } = step {
            let Some((head, tail)) = std::mem::take(&mut rest).split_at_mut_checked(envelope.len()) else {
                return;
            };
            jobs.push((head, opened));
            rest = tail;
        }
    }
    let workers = workers.min(jobs.len() / 4);
    let queue = Mutex::new(jobs.into_iter());
    let work = |memory: &mut KeyMemory| {
        loop {
            let job = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((envelope, opened)) = job else { break };
            *opened = Some(open_in_place(secret, memory, envelope).map(|plaintext| plaintext.len()));
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..workers {
            // Without another thread, this one does all of it.
            let thread = std::thread::Builder::new();
            if thread.spawn_scoped(scope, || work(&mut KeyMemory::default())).is_err() {
                break;
            }
        }
        work(memory);
    });
}

/// Curve multiplications that the envelopes of these steps need: neighbours under one ephemeral key need one together.
fn count_keys(arena: &[u8], steps: &[Step], memory: &KeyMemory) -> usize {
    let mut count = 0usize;
    let mut last: Option<&[u8; POINT_LEN]> = None;
    for step in steps {
        if let Step::Sealed { envelope, .. } = step {
            let key = arena.get(envelope.clone()).and_then(<[u8]>::first_chunk::<POINT_LEN>);
            let known = match last {
                Some(_) => key == last,
                None => key.is_some_and(|key| memory.knows(key)),
            };
            count = count.saturating_add(usize::from(!known));
            last = key;
        }
    }
    count
}

/// What is to be done for an event, in order.
enum Step {
    /// An envelope in the arena. `opened` is the plaintext's length, once known. `same_as` is where the envelope lies that may hold
    /// the same text under another name.
    Sealed {
        choice: u32,
        field: TextField,
        envelope: Range<usize>,
        opened: Option<Result<usize>>,
        same_as: Option<Range<usize>>,
    },
    /// White space in clear, where that is allowed.
    Clear {
        choice: u32,
        field: TextField,
        text: String,
    },
    Finish {
        choice: u32,
        reason: String,
    },
    Usage(String),
    Done,
    Fail(Error),
    /// The event is complete: what it said is delivered.
    EventEnd,
}

/// Turns events into steps. Knows no plaintext.
struct Reader {
    options: AnswerOptions,
    id: Option<String>,
    /// Index of each choice and whether it has ended.
    choices: Vec<(u32, bool)>,
    /// The bytes of all envelopes in `steps`, one after the other; plaintext in their place once they are open.
    arena: Zeroizing<Vec<u8>>,
    steps: Vec<Step>,
}

impl Reader {
    fn new(options: AnswerOptions) -> Reader {
        Reader { options, id: None, choices: Vec::new(), arena: Zeroizing::default(), steps: Vec::new() }
    }

    /// True when the steps end the stream, one way or the other.
    fn stopped(&self) -> bool {
        matches!(self.steps.last(), Some(Step::Done | Step::Fail(_)))
    }

    fn event(&mut self, event: &sse::Event<'_>) -> ControlFlow<()> {
        let data = event.data.trim_ascii();
        if data == END_MARK {
            self.steps.push(Step::Done);
            return ControlFlow::Break(());
        }
        if data.is_empty() {
            return ControlFlow::Continue(());
        }
        let event_start = self.steps.len();
        let result = if event.name == b"error" {
            Err(error_in_stream(&parse_error(data).unwrap_or_else(|| ServerError {
                message: String::from_utf8_lossy(data).into_owned(),
                kind: String::new(),
            })))
        } else {
            self.chunk(data)
        };
        match result {
            Ok(()) => {
                self.steps.push(Step::EventEnd);
                ControlFlow::Continue(())
            }
            Err(error) => {
                self.steps.truncate(event_start);
                self.steps.push(Step::Fail(error));
                ControlFlow::Break(())
            }
        }
    }

    fn chunk(&mut self, data: &[u8]) -> Result<()> {
        let chunk = parse_chunk(data)?;
        if let Some(error) = &chunk.error {
            return Err(error_in_stream(error));
        }
        if let Some(id) = chunk.id.as_deref().filter(|id| !id.is_empty()) {
            self.check_id(id)?;
        }
        for choice in chunk.choices.iter() {
            self.choice(choice)?;
        }
        if let Some(usage) = chunk.usage {
            self.steps.push(Step::Usage(usage));
        }
        Ok(())
    }

    /// One answer has one id (threats T32, T38).
    fn check_id(&mut self, id: &str) -> Result<()> {
        match &self.id {
            Some(known) if known == id => Ok(()),
            Some(_) => Err(Error::new(Code::AnswerMixed).at("id")),
            None if id.len() > ID_MAX_BYTES || id.chars().any(char::is_control) => {
                Err(Error::new(Code::MalformedEvent).at("id"))
            }
            None => {
                self.id = Some(id.to_owned());
                Ok(())
            }
        }
    }

    fn choice(&mut self, choice: &Choice<'_>) -> Result<()> {
        let delta = &choice.delta;
        if let Some(name) = delta.clear.or(choice.has_logprobs.then_some("logprobs")) {
            return Err(Error::new(Code::PlaintextDowngrade).at(name));
        }
        let ended = self.has_ended(choice.index)?;
        let before = self.steps.len();
        self.field(choice.index, TextField::Reasoning, "reasoning_content", &delta.reasoning_content, None)?;
        let twin = match self.steps.get(before..) {
            Some([Step::Sealed { envelope, .. }]) => Some(envelope.clone()),
            _ => None,
        };
        self.field(choice.index, TextField::Reasoning, "reasoning", &delta.reasoning, twin)?;
        self.field(choice.index, TextField::Content, "content", &delta.content, None)?;
        if ended && self.steps.len() > before {
            return Err(Error::new(Code::MalformedEvent).at("text after finish_reason"));
        }
        if let Some(reason) = choice.finish_reason.as_deref().filter(|_| !ended) {
            self.steps.push(Step::Finish {
                choice: choice.index,
                reason: cleaned(reason, FINISH_REASON_MAX_BYTES),
            });
            if let Some((_, ended)) = self.choices.iter_mut().find(|(index, _)| *index == choice.index) {
                *ended = true;
            }
        }
        Ok(())
    }

    fn has_ended(&mut self, index: u32) -> Result<bool> {
        if let Some((_, ended)) = self.choices.iter().find(|(known, _)| *known == index) {
            return Ok(*ended);
        }
        if self.choices.len() >= ANSWER_MAX_CHOICES {
            return Err(Error::new(Code::LimitExceeded).at("choices"));
        }
        self.choices.push((index, false));
        Ok(false)
    }

    /// Takes a field that must be absent, empty or an envelope.
    fn field(
        &mut self,
        choice: u32,
        field: TextField,
        name: &str,
        value: &Field<'_>,
        same_as: Option<Range<usize>>,
    ) -> Result<()> {
        let downgrade = || Error::new(Code::PlaintextDowngrade).at(name);
        let text = match value {
            Field::Absent => return Ok(()),
            Field::Text(text) if text.is_empty() => return Ok(()),
            Field::Text(text) => text,
            Field::Other => return Err(downgrade()),
        };
        let start = self.arena.len();
        match decode_envelope(text.as_bytes(), &mut self.arena) {
            Ok(bytes) => {
                let envelope = start..start.saturating_add(bytes);
                self.steps.push(Step::Sealed { choice, field, envelope, opened: None, same_as });
                Ok(())
            }
            Err(error) if error.code() != Code::NotCiphertext => Err(error),
            Err(_) if self.options.allow_whitespace_plaintext && is_white_space(text) => {
                self.steps.push(Step::Clear { choice, field, text: text.clone().into_owned() });
                Ok(())
            }
            Err(_) => Err(downgrade()),
        }
    }
}

fn is_white_space(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
}
