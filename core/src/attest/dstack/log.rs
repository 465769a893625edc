//! The event log: reading, digests, replay.

use super::{DIGEST, EVENTS, PARSE};
use crate::claims::RuntimeEvent;
use crate::crypto::sha384;
use crate::error::{Code, Error, Result};
use crate::limits::{EVENT_LOG_MAX_BYTES, EVENT_LOG_MAX_EVENTS};
use crate::wire::hex;
use crate::wire::json::{self, Json};

/// Type of events that the running guest makes; all other types come from firmware.
const RUNTIME: u32 = 0x0800_0001;

/// A parsed event log. Nothing in it is verified.
#[derive(Clone, Debug)]
pub struct EventLog(Vec<Event>);

#[derive(Clone, Debug)]
struct Event {
    register: u8,
    kind: u32,
    /// As served, padded with zeros on the right; absent when served as an empty text.
    digest: Option<[u8; 48]>,
    name: String,
    /// Run-time events only: what others carry is not evidence.
    payload: Vec<u8>,
    /// Form of the digest: 1 or 2.
    version: u8,
    preimage: Option<Vec<u8>>,
}

/// An event as it was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoggedEvent<'a> {
    /// Register: 0 to 3.
    pub register: u8,
    /// Its name; of firmware events it is not measured.
    pub name: &'a str,
    /// What extends the register.
    pub digest: [u8; 48],
    /// Payload of a run-time event.
    pub payload: Option<&'a [u8]>,
}

impl EventLog {
    /// Every event in order.
    pub fn events(&self) -> impl Iterator<Item = LoggedEvent<'_>> {
        self.0.iter().map(|event| LoggedEvent {
            register: event.register,
            name: &event.name,
            digest: event.measured(),
            payload: (event.kind == RUNTIME).then_some(event.payload.as_slice()),
        })
    }

    /// Reads a log given as an array, or as a text that holds an array: at most 1024 events and 1 MiB.
    /// Fails with `event_log_malformed` or `limit_exceeded`.
    pub fn read(log: &Json) -> Result<EventLog> {
        match log {
            Json::String(text) => EventLog::read_text(text),
            Json::Array(events) => EventLog::read_array(events),
            _ => Err(malformed("It is neither an array nor a text.")),
        }
    }

    /// Reads a log given as text.
    pub fn read_text(text: &str) -> Result<EventLog> {
        if text.len() > EVENT_LOG_MAX_BYTES {
            return Err(too_large());
        }
        match Json::parse(text.as_bytes()) {
            Ok(Json::Array(events)) => EventLog::read_array(&events),
            _ => Err(malformed("Its text is not a strict JSON array.")),
        }
    }

    fn read_array(events: &[Json]) -> Result<EventLog> {
        if events.len() > EVENT_LOG_MAX_EVENTS {
            return Err(too_large());
        }
        let texts = ["digest", "event", "event_payload", "preimage"];
        let length = |event: &Json| {
            texts
                .iter()
                .filter_map(|name| event.get(name)?.as_str())
                .map(str::len)
                .fold(0, usize::saturating_add)
        };
        if events.iter().map(length).fold(0, usize::saturating_add) > EVENT_LOG_MAX_BYTES {
            return Err(too_large());
        }
        events
            .iter()
            .map(Event::read)
            .collect::<Option<Vec<Event>>>()
            .map(EventLog)
            .ok_or_else(|| malformed("An event lacks a member or has one of another form."))
    }

    /// Recomputes the digest of every run-time event from its content; a served digest must be the same.
    pub(super) fn check_digests(&self) -> Result<()> {
        for event in self.0.iter().filter(|event| event.kind == RUNTIME) {
            let (digest, preimage) = event.runtime_digest();
            let served_differs = event.digest.is_some_and(|served| served != digest);
            let preimage_differs = match (&event.preimage, &preimage) {
                (Some(served), Some(computed)) => served != computed,
                _ => false,
            };
            if served_differs || preimage_differs {
                return Err(Error::new(Code::EventDigestMismatch)
                    .at(DIGEST)
                    .context(format!("Event: {}.", event.name))
                    .expected(hex::short(&digest))
                    .found(event.digest.map_or_else(String::new, |served| hex::short(&served))));
            }
        }
        Ok(())
    }

    /// Value of a register after all of its events.
    pub(super) fn replay(&self, register: u8) -> [u8; 48] {
        let events = self.0.iter().filter(|event| event.register == register);
        events.fold([0; 48], |value, event| sha384(&[&value, &event.measured()]))
    }

    pub(super) fn has_events(&self, register: u8) -> bool {
        self.0.iter().any(|event| event.register == register)
    }

    /// Run-time events of register 3 in order. `ready` names the event from which on applications may add events; a log
    /// without it would let an application pass its events off as the system's, so it is refused. So is an event of another type
    /// in this register, where only the guest measures: it would hide what it says behind its digest, and an application's later
    /// event of the same name would take its place (threats T09).
    pub(super) fn runtime_events(&self, ready: &str) -> Result<Vec<RuntimeEvent>> {
        let mut by_application = false;
        let mut events = Vec::new();
        for event in self.0.iter().filter(|event| event.register == 3) {
            if event.kind != RUNTIME {
                return Err(Error::new(Code::MissingEvent)
                    .at(EVENTS)
                    .context("An event of another type stands in its place.")
                    .expected(format!("type {RUNTIME}"))
                    .found(format!("type {}", event.kind)));
            }
            // The digest joins name and payload with colons: a colon in a name would make two readings of one digest.
            if event.name.contains(':') {
                return Err(Error::new(Code::EventLogMalformed)
                    .at(EVENTS)
                    .expected("event names without a colon")
                    .found(event.name.as_str()));
            }
            by_application |= event.name == ready;
            events.push(RuntimeEvent {
                name: event.name.clone(),
                payload: event.payload.clone(),
                by_application,
            });
        }
        if by_application {
            Ok(events)
        } else {
            Err(Error::new(Code::MissingEvent).at(EVENTS).expected(ready))
        }
    }
}

impl Event {
    fn read(event: &Json) -> Option<Event> {
        let text = |name: &str| event.get(name).and_then(Json::as_str);
        let register =
            event.get("imr")?.as_u64().and_then(|imr| u8::try_from(imr).ok()).filter(|imr| *imr <= 3)?;
        let kind = event.get("event_type")?.as_u64().and_then(|kind| u32::try_from(kind).ok())?;
        let runtime = kind == RUNTIME;
        let digest = match text("digest") {
            Some("") => None,
            Some(digest) => Some(padded(&hex::decode(digest)?)?),
            None => return None,
        };
        if digest.is_none() && !runtime {
            return None;
        }
        let version = match event.get("version") {
            None | Some(Json::Null) => 1,
            Some(version) => {
                version.as_u64().and_then(|v| u8::try_from(v).ok()).filter(|v| matches!(v, 1 | 2))?
            }
        };
        Some(Event {
            register,
            kind,
            digest,
            name: text("event")?.to_owned(),
            payload: if runtime { hex::decode(text("event_payload")?)? } else { Vec::new() },
            version,
            preimage: match event.get("preimage") {
                None | Some(Json::Null) => None,
                Some(preimage) => Some(hex::decode(preimage.as_str()?)?),
            },
        })
    }

    /// What extends the register.
    fn measured(&self) -> [u8; 48] {
        if self.kind == RUNTIME { self.runtime_digest().0 } else { self.digest.unwrap_or([0; 48]) }
    }

    /// The digest, and the hashed text where the form has one.
    fn runtime_digest(&self) -> ([u8; 48], Option<Vec<u8>>) {
        if self.version == 1 {
            let kind = self.kind.to_le_bytes();
            return (sha384(&[&kind, b":", self.name.as_bytes(), b":", &self.payload]), None);
        }
        let mut text = String::from("{\"name\":");
        json::write_string(&self.name, &mut text);
        text.push_str(&format!(",\"payload\":\"{}\",\"type\":{}}}", hex::encode(&self.payload), self.kind));
        (sha384(&[text.as_bytes()]), Some(text.into_bytes()))
    }
}

fn padded(digest: &[u8]) -> Option<[u8; 48]> {
    let mut padded = [0; 48];
    padded.get_mut(..digest.len())?.copy_from_slice(digest);
    Some(padded)
}

fn malformed(context: &str) -> Error {
    Error::new(Code::EventLogMalformed).at(PARSE).context(context)
}

fn too_large() -> Error {
    Error::new(Code::LimitExceeded).at("event log")
}
