//! The streamed answer: pieces sealed one by one, framed as server-sent events, honest or with any defect of
//! [`super::Stage::Answer`] (venice.md 3.5, 4).

use std::collections::BTreeSet;

use bytes::Bytes;
use proveil_core::wire::json::Json;

use super::defect::Defect;
use super::envelope;
use super::reply::Piece;
use super::text::{Answer, tokens};
use crate::forge::{EnclaveKey, Random, object, string};

/// What an answer is made from.
pub(super) struct Streamed<'a> {
    pub(super) id: &'a str,
    pub(super) model: &'a str,
    pub(super) created: u64,
    /// The client's key, 65 bytes; `None` answers in clear.
    pub(super) client_key: Option<&'a [u8]>,
    /// One answer per choice.
    pub(super) answers: &'a [Answer],
    pub(super) usage: Option<Json>,
    pub(super) max_tokens: Option<usize>,
    pub(super) pace_ms: u64,
    pub(super) defects: &'a BTreeSet<Defect>,
}

/// One piece of text on its way to the client.
#[derive(Clone)]
struct Delta {
    choice: u64,
    member: &'static str,
    plain: Vec<u8>,
}

/// An answer as it goes over the wire.
pub(super) struct Wire {
    /// The steps of writing it.
    pub(super) pieces: Vec<Piece>,
    /// All bytes that a client can receive.
    pub(super) bytes: Vec<u8>,
}

impl Streamed<'_> {
    fn has(&self, defect: Defect) -> bool {
        self.defects.contains(&defect)
    }

    /// Makes all events, then cuts them into writes.
    pub(super) fn to_wire(&self, random: &mut Random) -> Wire {
        let mut events =
            vec![self.chunk(0, object([("role", string("assistant")), ("content", string(""))]))];
        let deltas = self.deltas();
        let middle = self.middle(&deltas);
        for (i, delta) in deltas.iter().enumerate() {
            if i == middle {
                self.middle_events(delta, deltas.get(i.saturating_add(1)), random, &mut events);
            } else {
                let value = self.seal(&delta.plain, random);
                events.push(self.piece(delta, value));
            }
        }
        if self.has(Defect::ChunkReorder) {
            let half = events.len().div_euclid(2);
            let (_, later) = events.split_at_mut(half);
            if let [first, second, ..] = later {
                std::mem::swap(first, second);
            }
        }
        let half = events.len().div_euclid(2);
        for choice in self.choices() {
            events.push(self.finish(choice));
        }
        if let Some(usage) = &self.usage {
            let mut members = self.head();
            members.push(("choices".to_owned(), Json::Array(Vec::new())));
            members.push(("usage".to_owned(), usage.clone()));
            events.push(Json::Object(members).to_compact());
        }
        self.frame(events, half)
    }

    /// One event with this text, sealed, as it goes over the wire.
    pub(super) fn event(&self, text: String, random: &mut Random) -> Bytes {
        const PLACE: &str = "@";
        let delta = Delta { choice: 0, member: "content", plain: text.into_bytes() };
        // What is sealed needs no escapes, and there is much of it.
        let around = self.piece(&delta, PLACE.to_owned());
        let (before, after) = around.split_once(PLACE).unwrap_or((&around, ""));
        ["data: ", before, &self.seal(&delta.plain, random), after, "\n\n"].concat().into()
    }

    /// The regular end of one choice, as it goes over the wire.
    pub(super) fn ending(&self) -> Bytes {
        format!("data: {}\n\ndata: [DONE]\n\n", self.finish(0)).into()
    }

    fn choices(&self) -> std::ops::Range<u64> {
        0..u64::try_from(self.answers.len()).unwrap_or(1)
    }

    /// Pieces of all choices, interleaved as a server that works on them at the same time sends them.
    fn deltas(&self) -> Vec<Delta> {
        let mut per_choice: Vec<std::vec::IntoIter<Delta>> = Vec::new();
        for (choice, answer) in self.choices().zip(self.answers) {
            let reasoning = answer.reasoning.iter().flat_map(|text| tokens(text));
            let reasoning =
                reasoning.map(|text| Delta { choice, member: "reasoning_content", plain: text.into_bytes() });
            let content = if self.has(Defect::BigDeltas) {
                big_pieces(&answer.content)
            } else {
                tokens(&answer.content)
            };
            let content = content.into_iter().take(self.max_tokens.unwrap_or(usize::MAX)).map(|text| Delta {
                choice,
                member: "content",
                plain: text.into_bytes(),
            });
            per_choice.push(reasoning.chain(content).collect::<Vec<_>>().into_iter());
        }
        let mut out = Vec::new();
        loop {
            let before = out.len();
            out.extend(per_choice.iter_mut().filter_map(Iterator::next));
            if out.len() == before {
                return if self.has(Defect::SplitCharacter) { split_character(out) } else { out };
            }
        }
    }

    /// Where defects of a single piece happen: the middle of the answer's content.
    fn middle(&self, deltas: &[Delta]) -> usize {
        let first = deltas.iter().position(|delta| delta.member == "content").unwrap_or(0);
        first.saturating_add(deltas.len().saturating_sub(first).div_euclid(2))
    }

    fn seal(&self, plain: &[u8], random: &mut Random) -> String {
        let clear = || String::from_utf8_lossy(plain).into_owned();
        match self.client_key {
            Some(key) if !self.has(Defect::PlaintextAnswer) => {
                envelope::seal(key, plain, random).unwrap_or_else(clear)
            }
            _ => clear(),
        }
    }

    fn head(&self) -> Vec<(String, Json)> {
        vec![
            ("id".to_owned(), string(self.id)),
            ("object".to_owned(), string("chat.completion.chunk")),
            ("created".to_owned(), Json::Number(self.created.into())),
            ("model".to_owned(), string(self.model)),
        ]
    }

    fn chunk(&self, choice: u64, delta: Json) -> String {
        self.choice_event(choice, delta, Json::Null)
    }

    fn choice_event(&self, choice: u64, delta: Json, finish_reason: Json) -> String {
        let choice = object([
            ("index", Json::Number(choice.into())),
            ("delta", delta),
            ("finish_reason", finish_reason),
        ]);
        let mut members = self.head();
        members.push(("choices".to_owned(), Json::Array(vec![choice])));
        Json::Object(members).to_compact()
    }

    fn piece(&self, delta: &Delta, value: String) -> String {
        self.chunk(delta.choice, object([(delta.member, string(value))]))
    }

    fn finish(&self, choice: u64) -> String {
        let index = usize::try_from(choice).unwrap_or(0);
        let cut = self.max_tokens.is_some_and(|most| {
            self.answers.get(index).is_some_and(|answer| tokens(&answer.content).len() > most)
        });
        self.choice_event(choice, object([]), string(if cut { "length" } else { "stop" }))
    }

    /// The middle piece, with whatever happens to it or before it.
    fn middle_events(
        &self,
        delta: &Delta,
        next: Option<&Delta>,
        random: &mut Random,
        events: &mut Vec<String>,
    ) {
        let content = |text: &str| self.chunk(delta.choice, object([("content", string(text))]));
        let honest = self.seal(&delta.plain, random);
        for defect in self.defects {
            match defect {
                Defect::WhitespaceDelta => events.push(content("\n")),
                Defect::HexPlaintext => events.push(content(&const_hex::encode(random.bytes::<32>()))),
                Defect::ForgedChunk => {
                    let forged = self.seal(b" [this piece was written by a relay]", random);
                    events.push(content(&forged));
                }
                Defect::InvalidUtf8 => events.push(content(&self.seal(&[0xff, 0xfe], random))),
                Defect::OtherClientKey => {
                    let other = EnclaveKey::generate(random).public_point();
                    let sealed = envelope::seal(&other, &delta.plain, random).unwrap_or_default();
                    events.push(content(&sealed));
                }
                Defect::PlaintextToolCall => {
                    let function = object([
                        ("name", string("run_shell")),
                        ("arguments", string("{\"command\":\"rm -rf /\"}")),
                    ]);
                    let call = object([
                        ("index", Json::Number(0u64.into())),
                        ("id", string("call_1")),
                        ("type", string("function")),
                        ("function", function),
                    ]);
                    events.push(self.chunk(delta.choice, object([("tool_calls", Json::Array(vec![call]))])));
                }
                Defect::PlaintextReasoning => {
                    let delta_json =
                        object([("reasoning_content", string("The user seems to be in a hurry."))]);
                    events.push(self.chunk(delta.choice, delta_json));
                }
                Defect::ErrorEvent => events.push(error_event()),
                Defect::MalformedEvent => events.push("{\"id\":".to_owned()),
                Defect::DeepJson => {
                    events.push(format!("{{\"choices\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000)));
                }
                Defect::HugeEvent => events.push(content(&"a".repeat(5_000_000))),
                Defect::ChunkDuplicate => events.push(content(&honest)),
                _ => (),
            }
        }
        let mut event = self.piece(delta, self.damage(delta, honest));
        if self.has(Defect::AnswerSplice) {
            event = event.replace(self.id, "chatcmpl-0123456789abcdef");
        }
        if !(self.has(Defect::ChunkDrop) && next.is_some()) {
            events.push(event);
        }
    }

    fn damage(&self, delta: &Delta, honest: String) -> String {
        let mut field = honest;
        if self.has(Defect::PlaintextDelta) {
            field = String::from_utf8_lossy(&delta.plain).into_owned();
        }
        if self.has(Defect::FlippedTag) {
            let last = if field.ends_with('0') { '1' } else { '0' };
            field.pop();
            field.push(last);
        }
        if self.has(Defect::InvalidPoint) {
            let rest = field.get(130..).unwrap_or_default();
            field = format!("04{}{rest}", "11".repeat(64));
        }
        field
    }

    /// Frames the events and applies what happens to bytes.
    fn frame(&self, events: Vec<String>, half: usize) -> Wire {
        let eol = if self.has(Defect::SseCrlf) {
            "\r\n"
        } else if self.has(Defect::SseCr) {
            "\r"
        } else {
            "\n"
        };
        let mut parts: Vec<Vec<u8>> =
            events.iter().enumerate().map(|(i, event)| self.frame_one(event, i, eol).into_bytes()).collect();
        if !self.has(Defect::NoDone) {
            parts.push(format!("data: [DONE]{eol}{eol}").into_bytes());
        }
        if self.has(Defect::DataAfterDone) {
            let late = self.chunk(0, object([("content", string("too late"))]));
            parts.push(format!("data: {late}{eol}{eol}").into_bytes());
        }
        let cut = [Defect::StreamCut, Defect::CutMidEvent, Defect::ConnectionDrop];
        if cut.iter().any(|defect| self.has(*defect)) {
            parts.truncate(half);
        }
        if self.has(Defect::CutMidEvent)
            && let Some(last) = parts.last_mut()
        {
            last.truncate(last.len().div_euclid(2));
        }
        if self.has(Defect::SseBom)
            && let Some(first) = parts.first_mut()
        {
            first.splice(0..0, *b"\xef\xbb\xbf");
        }
        let bytes = parts.concat();
        let mut pieces = Vec::new();
        for part in parts {
            if self.pace_ms > 0 {
                pieces.push(Piece::Pause(self.pace_ms));
            }
            if self.has(Defect::ByteSplitWrites) {
                pieces.extend(part.into_iter().map(|byte| Piece::Data(Bytes::copy_from_slice(&[byte]))));
            } else {
                pieces.push(Piece::Data(part.into()));
            }
        }
        if self.has(Defect::ConnectionDrop) {
            pieces.push(Piece::Drop);
        }
        Wire { pieces, bytes }
    }

    fn frame_one(&self, event: &str, index: usize, eol: &str) -> String {
        if self.has(Defect::SseComments) {
            format!(
                ": keep-alive {index}{eol}{eol}event: message{eol}id: {index}{eol}retry: 3000{eol}unknown: x{eol}data:{event}{eol}{eol}"
            )
        } else {
            format!("data: {event}{eol}{eol}")
        }
    }
}

fn error_event() -> String {
    object([(
        "error",
        object([
            ("message", string("The upstream provider returned an error")),
            ("type", string("upstream_error")),
            ("param", Json::Null),
            ("code", Json::Number(502u64.into())),
        ]),
    )])
    .to_compact()
}

/// The text, over and over, in three pieces of 64 KiB.
fn big_pieces(text: &str) -> Vec<String> {
    const SIZE: usize = 64 * 1024;
    (0..3).map(|_| text.chars().filter(char::is_ascii).cycle().take(SIZE).collect()).collect()
}

/// Divides the first character of several bytes between two pieces.
fn split_character(deltas: Vec<Delta>) -> Vec<Delta> {
    let mut out = Vec::new();
    let mut done = false;
    for delta in deltas {
        match delta.plain.iter().position(|byte| *byte >= 0x80) {
            Some(at) if !done => {
                done = true;
                let (first, second) = delta.plain.split_at(at.saturating_add(1));
                out.push(Delta { plain: first.to_vec(), ..delta.clone() });
                out.push(Delta { plain: second.to_vec(), ..delta.clone() });
            }
            _ => out.push(delta),
        }
    }
    out
}
