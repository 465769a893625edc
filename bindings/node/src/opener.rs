//! Opening one answer, and its receipt.

use napi_derive::napi;
use proveil_bindings_support::core::Error;
use proveil_bindings_support::core::endpoint;
use proveil_bindings_support::{FlatEvent, OpenerCell, guard, hex};

use crate::answer::{Answer, answer};
use crate::values::{Events, Texts, head, number};

/// Owns the response key of one request. Its calls are synchronous: give it network pieces, not whole recordings.
#[napi]
pub struct Opener(OpenerCell);

impl From<OpenerCell> for Opener {
    fn from(opener: OpenerCell) -> Opener {
        Opener(opener)
    }
}

#[napi]
impl Opener {
    /// Takes status and headers.
    #[napi]
    pub fn head(&self, status: u32, headers: Vec<String>) -> Answer<()> {
        answer(|| self.0.head(&head(status, headers)?))
    }

    /// Takes the next piece of the body; gives its events.
    #[napi]
    pub fn push(&self, bytes: &[u8]) -> Answer<Events> {
        either(guard(|| Ok(self.0.push(bytes))), |events, ()| Events(events))
    }

    /// Takes the next piece of the body; gives its content texts only.
    #[napi]
    pub fn push_text(&self, bytes: &[u8]) -> Answer<Texts> {
        either(guard(|| Ok(self.0.push(bytes))), |events, ()| Texts(events))
    }

    /// Ends the answer.
    #[napi]
    pub fn finish(&self) -> Answer<FinishFields> {
        either(guard(|| Ok(self.0.finish())), |events, receipt| FinishFields {
            events: Events(events),
            receipt: Receipt(receipt),
        })
    }

    /// Drops the keys.
    #[napi]
    pub fn close(&self) -> Answer<()> {
        answer(|| {
            self.0.close();
            Ok(())
        })
    }
}

/// Joins what was opened with how the call ended.
fn either<T, U>(
    guarded: Result<(Vec<FlatEvent>, Result<T, Error>), Error>,
    join: impl FnOnce(Vec<FlatEvent>, T) -> U,
) -> Answer<U> {
    match guarded {
        Ok((events, Ok(value))) => Ok(join(events, value)).into(),
        Ok((events, Err(error))) => Answer::failed_after(error, events),
        Err(error) => Err(error).into(),
    }
}

/// The end of an answer.
#[napi(object, object_from_js = false)]
pub struct FinishFields {
    /// What the last bytes said.
    pub events: Events,
    /// What is known about the whole.
    pub receipt: Receipt,
}

/// What is known about an answer that reached its end.
#[napi]
pub struct Receipt(endpoint::Receipt);

impl Receipt {
    /// The values.
    pub const fn inner(&self) -> &endpoint::Receipt {
        &self.0
    }
}

impl From<endpoint::Receipt> for Receipt {
    fn from(receipt: endpoint::Receipt) -> Receipt {
        Receipt(receipt)
    }
}

/// The values of a receipt.
#[napi(object, object_from_js = false)]
pub struct ReceiptFields {
    /// The provider's id of the answer.
    pub id: Option<String>,
    /// Sealed fields that opened.
    pub sealed_fields: f64,
    /// Raw bytes of the body.
    pub body_bytes: f64,
    /// Bytes after the end mark.
    pub ignored_bytes: f64,
    /// SHA-256 of the request body.
    pub request_sha256: String,
    /// SHA-256 of the response body.
    pub response_sha256: String,
}

#[napi]
impl Receipt {
    /// The values.
    #[napi]
    pub fn fields(&self) -> Answer<ReceiptFields> {
        answer(|| {
            let receipt = &self.0;
            Ok(ReceiptFields {
                id: receipt.id.clone(),
                sealed_fields: number(receipt.sealed_fields),
                body_bytes: number(receipt.body_bytes),
                ignored_bytes: number(receipt.ignored_bytes),
                request_sha256: hex(&receipt.request_sha256),
                response_sha256: hex(&receipt.response_sha256),
            })
        })
    }
}
