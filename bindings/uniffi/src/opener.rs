//! Opening one answer, and its receipt.

use std::sync::Arc;

use proveil_bindings_support::core::{Error, endpoint};
use proveil_bindings_support::{EventKind, FlatEvent, OpenerCell, guard, hex};

use crate::error::{Outcome, ProveilError, guarded};
use crate::values::{Event, ResponseHeader, head};

/// Owns the response key of one request. Give it the answer's status and headers, then every piece of the body in order, then call
/// `finish`. An opener that is closed before that stands for an incomplete answer.
#[derive(uniffi::Object)]
pub struct Opener(OpenerCell);

impl From<OpenerCell> for Opener {
    fn from(opener: OpenerCell) -> Opener {
        Opener(opener)
    }
}

#[uniffi::export]
impl Opener {
    /// Takes status and headers, once and first.
    pub fn head(&self, status: u16, headers: Vec<ResponseHeader>) -> Outcome<()> {
        guarded(|| self.0.head(&head(status, headers)))
    }

    /// Takes the next piece of the body, cut anywhere. When it fails, `info.events()` holds what came before the fault.
    pub fn push(&self, bytes: Vec<u8>) -> Outcome<Vec<Event>> {
        let (events, ()) = joined(guard(|| Ok(self.0.push(&bytes))))?;
        Ok(events.into_iter().map(Event::from).collect())
    }

    /// As `push`, and gives the content texts only.
    pub fn push_text(&self, bytes: Vec<u8>) -> Outcome<Vec<String>> {
        let (events, ()) = joined(guard(|| Ok(self.0.push(&bytes))))?;
        Ok(events
            .into_iter()
            .filter(|event| event.kind == EventKind::Content)
            .map(|event| event.text)
            .collect())
    }

    /// Ends the answer; fails with `truncated` without the protocol's end mark.
    pub fn finish(&self) -> Outcome<Arc<Receipt>> {
        let (events, receipt) = joined(guard(|| Ok(self.0.finish())))?;
        Ok(Arc::new(Receipt { receipt, events }))
    }

    /// Wipes the keys. Idempotent.
    pub fn close(&self) -> Outcome<()> {
        guarded(|| {
            self.0.close();
            Ok(())
        })
    }
}

type Opened<T> = (Vec<FlatEvent>, Result<T, Error>);

fn joined<T>(guarded: Result<Opened<T>, Error>) -> Outcome<(Vec<FlatEvent>, T)> {
    match guarded? {
        (events, Ok(value)) => Ok((events, value)),
        (events, Err(error)) => Err(ProveilError::after(error, events)),
    }
}

/// What is known about an answer that reached its end.
#[derive(uniffi::Object)]
pub struct Receipt {
    receipt: endpoint::Receipt,
    events: Vec<FlatEvent>,
}

impl Receipt {
    /// The values.
    pub const fn inner(&self) -> &endpoint::Receipt {
        &self.receipt
    }
}

impl From<endpoint::Receipt> for Receipt {
    fn from(receipt: endpoint::Receipt) -> Receipt {
        Receipt { receipt, events: Vec::new() }
    }
}

#[uniffi::export]
impl Receipt {
    /// The provider's id of the answer (unauthenticated).
    pub fn id(&self) -> Option<String> {
        self.receipt.id.clone()
    }

    /// Sealed fields that opened; zero for an empty answer.
    pub fn sealed_fields(&self) -> u64 {
        self.receipt.sealed_fields
    }

    /// Raw bytes of the body.
    pub fn body_bytes(&self) -> u64 {
        self.receipt.body_bytes
    }

    /// Bytes after the end mark, which were ignored.
    pub fn ignored_bytes(&self) -> u64 {
        self.receipt.ignored_bytes
    }

    /// SHA-256 of the request body as sent, hex.
    pub fn request_sha256(&self) -> String {
        hex(&self.receipt.request_sha256)
    }

    /// SHA-256 of the response body as received, hex.
    pub fn response_sha256(&self) -> String {
        hex(&self.receipt.response_sha256)
    }

    /// Events that only the end of the body completed; empty but for an opener's own `finish`.
    pub fn events(&self) -> Vec<Event> {
        self.events.iter().cloned().map(Event::from).collect()
    }
}
