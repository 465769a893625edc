//! The way of an answer from the model to the wire: sealed under the request's session, member by member (privatemode.md 6.4), then
//! spoiled by whatever a defect says, then cut into writes.

use std::collections::BTreeSet;

use bytes::Bytes;
use proveil_core::wire::json::Json;

use super::cipher::{OpenError, Session};
use super::defect::Defect;
use super::fields::{Document, Member};
use super::spoil;
use crate::forge::Random;
use crate::sim::reply::{Piece, Reply};

/// An answer in clear.
pub(super) enum Answer {
    /// One document.
    Whole(Json),
    /// Server-sent events.
    Stream(Vec<Event>),
}

/// One event in clear.
pub(super) struct Event {
    /// Name, in the messages API.
    pub(super) name: Option<&'static str>,
    /// Its document.
    pub(super) data: Json,
    /// True when it says why a choice ends.
    pub(super) ends_choice: bool,
}

impl Event {
    pub(super) fn unnamed(data: Json) -> Event {
        Event { name: None, data, ends_choice: false }
    }

    pub(super) fn named(name: &'static str, data: Json) -> Event {
        Event { name: Some(name), data, ends_choice: false }
    }

    pub(super) fn final_of_choice(self) -> Event {
        Event { ends_choice: true, ..self }
    }
}

/// One event as it travels.
#[derive(Clone)]
pub(super) struct Frame {
    pub(super) name: Option<&'static str>,
    pub(super) data: String,
    pub(super) ends_choice: bool,
}

/// How an answer goes out.
pub(super) struct Outbound<'a> {
    /// Members that stay readable.
    pub(super) plain: &'static [&'static str],
    /// The member that carries the answer: whole, and in events.
    pub(super) content: [&'static str; 2],
    /// The session of the request; `None` when nothing was sealed in it.
    pub(super) session: Option<Session>,
    /// The request's sealed values as they were sent, for reflection.
    pub(super) received: Vec<String>,
    /// Status of an unstreamed answer.
    pub(super) status: u16,
    /// Milliseconds before each piece.
    pub(super) pace_ms: u64,
    /// Milliseconds of a slow start.
    pub(super) slow_start_ms: u64,
    /// What goes wrong.
    pub(super) defects: &'a BTreeSet<Defect>,
}

impl Outbound<'_> {
    pub(super) fn has(&self, defect: Defect) -> bool {
        self.defects.contains(&defect)
    }

    fn in_clear(&self) -> bool {
        self.has(Defect::ClearAnswer) || self.has(Defect::EncryptedFalse)
    }

    /// The answer as it goes out; fails when nothing was sealed in the request.
    pub(super) fn reply(mut self, answer: Answer, random: &mut Random) -> Result<Reply, OpenError> {
        let reply = match answer {
            Answer::Whole(document) => {
                let mut all = vec![self.seal(&document, random)?];
                spoil::documents(&self, &mut all, 0, random);
                let text = all.first().map(|document| document.0.to_text()).unwrap_or_default();
                Reply::json(self.status, &text)
            }
            Answer::Stream(events) => {
                let frames = self.frames(&events, random)?;
                Reply::stream(spoil::to_pieces(&self, frames))
            }
        };
        let reply = if self.has(Defect::EncryptedFalse) {
            reply.header("privatemode-encrypted", "false")
        } else {
            reply
        };
        let reply = if self.has(Defect::Compressed) { reply.header("content-encoding", "br") } else { reply };
        let is_page = self.has(Defect::WrongContentType);
        Ok(if is_page { reply.header("content-type", "text/html") } else { reply })
    }

    /// One document, sealed, and as it was before.
    fn seal(&mut self, data: &Json, random: &mut Random) -> Result<(Document, Document), OpenError> {
        let mut document = Document::parse(&data.to_compact()).ok_or(OpenError::NotAMessage)?;
        spoil::before_sealing(self, &mut document);
        let clear = document.clone();
        let session = self.session.as_mut().ok_or(OpenError::NotAMessage)?;
        let in_clear = [Defect::ClearAnswer, Defect::EncryptedFalse];
        if !in_clear.iter().any(|defect| self.defects.contains(defect)) {
            document.seal(self.plain, session, || random.bytes())?;
        }
        Ok((document, clear))
    }

    fn frames(&mut self, events: &[Event], random: &mut Random) -> Result<Vec<Frame>, OpenError> {
        let mut documents = Vec::new();
        for event in events {
            documents.push(self.seal(&event.data, random)?);
        }
        let target = spoil::target(&mut documents);
        if !self.in_clear() {
            spoil::documents(self, &mut documents, target, random);
        }
        let frame = |(event, (document, _)): (&Event, &(Document, Document))| Frame {
            name: event.name,
            data: document.to_text(),
            ends_choice: event.ends_choice,
        };
        Ok(events.iter().zip(&documents).map(frame).collect())
    }

    /// Name of the member that carries the answer in this document.
    pub(super) fn content_member<'d>(&self, document: &'d mut Document) -> Option<&'d mut Member> {
        document.members.iter_mut().find(|member| self.content.contains(&member.name.as_str()))
    }
}

/// A write of its own.
pub(super) fn data(bytes: impl Into<Bytes>) -> Piece {
    Piece::Data(bytes.into())
}
