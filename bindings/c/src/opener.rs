//! Opening an answer as its bytes arrive.

use std::ffi::c_char;

use proveil_bindings_support::core::limits::ANSWER_MAX_BYTES;
use proveil_bindings_support::core::{Code, Error, Result};
use proveil_bindings_support::{EventKind, FlatEvent, OpenerCell};

use crate::boundary::{Out, bytes, call, get, handle_out, release};
use crate::endpoint::ReceiptObject;
use crate::handle;
use crate::http::response_head;
use crate::text::CText;
use crate::types::{pv_bytes, pv_error, pv_events, pv_header, pv_opener, pv_receipt, pv_status};

/// Event: decrypted text of the answer.
pub const PV_EVENT_CONTENT: i32 = 1;
/// Event: decrypted text of the model's reasoning.
pub const PV_EVENT_REASONING: i32 = 2;
/// Event: the choice ended; the text is the reason (unauthenticated).
pub const PV_EVENT_FINISH: i32 = 3;
/// Event: the text is token usage as JSON (unauthenticated).
pub const PV_EVENT_USAGE: i32 = 4;
/// Event: the text is an opened JSON document: a whole answer, or the data of one event of a stream.
pub const PV_EVENT_DOCUMENT: i32 = 5;

/// The decoder of one answer.
pub struct OpenerObject(pub OpenerCell);

/// What a piece of an answer said.
pub struct EventsObject(Vec<EventObject>);

/// Kind, choice, text and name of one event.
struct EventObject(i32, u32, CText, CText);

impl EventsObject {
    /// Takes the events and wipes the texts it copies.
    pub fn new(events: Vec<FlatEvent>) -> EventsObject {
        let number = |kind| match kind {
            EventKind::Content => PV_EVENT_CONTENT,
            EventKind::Reasoning => PV_EVENT_REASONING,
            EventKind::Finish => PV_EVENT_FINISH,
            EventKind::Usage => PV_EVENT_USAGE,
            EventKind::Document => PV_EVENT_DOCUMENT,
        };
        let event = |event: FlatEvent| {
            EventObject(number(event.kind), event.choice, CText::take(event.text), CText::take(event.name))
        };
        EventsObject(events.into_iter().map(event).collect())
    }
}

/// Takes status and headers of the answer, once and before its body.
///
/// @param http_status  100 to 999
/// @param headers      borrowed for the call; NULL if header_count is 0
/// @param[out] error   may be NULL
///
/// Threads: one at a time, otherwise PV-707. Codes: PV-101 (status), PV-503, PV-510, PV-511,
/// PV-601, PV-701 to PV-705, PV-707, PV-708.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_opener_head(
    opener: *mut pv_opener,
    http_status: u32,
    headers: *const pv_header,
    header_count: usize,
    error: *mut *mut pv_error,
) -> pv_status {
    let work = || {
        let opener = handle::find(opener)?;
        // SAFETY: the caller keeps the promise of the header about headers.
        opener.0.head(&unsafe { response_head(http_status, headers, header_count) }?)
    };
    // SAFETY: the caller keeps the promise of the header about `error`.
    unsafe { call(error, work) }
}

/// Takes the next piece of the body, cut anywhere, at most 64 MiB.
///
/// The one exception to "outputs only on success": `events` is given also when the call fails, if
/// valid fields came before the offending one. Texts in it are genuine output of this opener;
/// nothing of the offending event is among them.
///
/// @param piece        borrowed for the call
/// @param[out] events  to be freed with pv_events_free(); NULL if the piece said nothing yet
/// @param[out] error   may be NULL
///
/// Threads: one at a time, otherwise PV-707. Codes: PV-401 to PV-405, PV-504, PV-514, PV-601,
/// PV-701 to PV-704, PV-707, PV-708, PV-710. After a failure the opener is dead: PV-704.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_opener_push(
    opener: *mut pv_opener,
    piece: pv_bytes,
    events: *mut *mut pv_events,
    error: *mut *mut pv_error,
) -> pv_status {
    let work = || {
        // SAFETY: the caller keeps the promise of the header about outputs.
        let events = unsafe { handle_out(events, "events") }?;
        let opener = handle::find(opener)?;
        // SAFETY: the caller keeps the promise of the header about byte ranges.
        let (found, result) = opener.0.push(unsafe { bytes(piece, "piece", ANSWER_MAX_BYTES) }?);
        give_events(events, found)?;
        result
    };
    // SAFETY: the caller keeps the promise of the header about `error`.
    unsafe { call(error, work) }
}

/// Ends the answer when its body has ended. Afterwards only pv_opener_free() is left to do.
///
/// Without the protocol's end mark this is PV-502: the text so far decrypted correctly but is
/// incomplete. A status other than 2xx is reported here with the provider's own words. As with
/// pv_opener_push(), `events` is given also when the call fails.
///
/// @param[out] events   to be freed with pv_events_free(); NULL if nothing was left
/// @param[out] receipt  to be freed with pv_receipt_free(); only on success
/// @param[out] error    may be NULL
///
/// Threads: one at a time, otherwise PV-707. Codes: PV-4xx, PV-5xx, PV-701 to PV-704, PV-707,
/// PV-708.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_opener_finish(
    opener: *mut pv_opener,
    events: *mut *mut pv_events,
    receipt: *mut *mut pv_receipt,
    error: *mut *mut pv_error,
) -> pv_status {
    let work = || {
        // SAFETY: the caller keeps the promise of the header about outputs. Both are cleared before either is missed.
        let outs = unsafe { (handle_out(events, "events"), handle_out(receipt, "receipt")) };
        let (events, receipt) = (outs.0?, outs.1?);
        let (found, result) = handle::find(opener)?.0.finish();
        give_events(events, found)?;
        receipt.give(ReceiptObject::new(result?))
    };
    // SAFETY: the caller keeps the promise of the header about `error`.
    unsafe { call(error, work) }
}

fn give_events(out: Out<*mut pv_events>, found: Vec<FlatEvent>) -> Result<()> {
    if found.is_empty() { Ok(()) } else { out.give(EventsObject::new(found)) }
}

/// Frees an opener and wipes its keys. NULL is accepted. An opener that was not finished stands
/// for an incomplete answer.
///
/// Threads: any. Codes: PV-702, PV-703.
#[unsafe(no_mangle)]
pub extern "C" fn pv_opener_free(opener: *mut pv_opener) -> pv_status {
    release(opener)
}

/// Number of events.
#[unsafe(no_mangle)]
pub extern "C" fn pv_events_count(events: *const pv_events) -> usize {
    get(events, 0, |events| events.0.len())
}

/// One event. Outputs that are NULL are left out.
///
/// @param index          below pv_events_count()
/// @param[out] kind      one of PV_EVENT_
/// @param[out] choice    the choice's index
/// @param[out] text      UTF-8, NUL-terminated; it can contain NULs. Borrowed until
///                       pv_events_free()
/// @param[out] text_len  its length in bytes without the last NUL
/// @param[out] error     may be NULL
///
/// Threads: any. Codes: PV-101 (index), PV-701 to PV-703.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_events_get(
    events: *const pv_events,
    index: usize,
    kind: *mut i32,
    choice: *mut u32,
    text: *mut *const c_char,
    text_len: *mut usize,
    error: *mut *mut pv_error,
) -> pv_status {
    let work = || {
        // SAFETY: the caller keeps the promise of the header about outputs.
        let (kind, choice) = unsafe { (Out::new(kind, 0), Out::new(choice, 0)) };
        // SAFETY: the caller keeps the promise of the header about outputs.
        let (text, text_len) = unsafe { (Out::new(text, std::ptr::null()), Out::new(text_len, 0)) };
        let events = handle::find(events)?;
        let event = events.0.get(index).ok_or_else(|| Error::new(Code::InvalidArgument).at("index"))?;
        kind.set(event.0);
        choice.set(event.1);
        text.set(event.2.as_ptr());
        text_len.set(event.2.bytes().len());
        Ok(())
    };
    // SAFETY: the caller keeps the promise of the header about `error`.
    unsafe { call(error, work) }
}

/// Name of an event of kind PV_EVENT_DOCUMENT that is the data of a named event of a stream, as the
/// streams of `/v1/messages` have them (unauthenticated); empty for all others.
///
/// @param index      below pv_events_count()
/// @param[out] name  UTF-8, NUL-terminated, at most 64 characters. Borrowed until pv_events_free()
/// @param[out] error may be NULL
///
/// Threads: any. Codes: PV-101 (index), PV-701 to PV-703.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_events_name(
    events: *const pv_events,
    index: usize,
    name: *mut *const c_char,
    error: *mut *mut pv_error,
) -> pv_status {
    let work = || {
        // SAFETY: the caller keeps the promise of the header about outputs.
        let name = unsafe { Out::new(name, std::ptr::null()) };
        let events = handle::find(events)?;
        let event = events.0.get(index).ok_or_else(|| Error::new(Code::InvalidArgument).at("index"))?;
        name.set(event.3.as_ptr());
        Ok(())
    };
    // SAFETY: the caller keeps the promise of the header about `error`.
    unsafe { call(error, work) }
}

/// Frees events and wipes their texts. NULL is accepted.
///
/// Threads: any. Codes: PV-702, PV-703.
#[unsafe(no_mangle)]
pub extern "C" fn pv_events_free(events: *mut pv_events) -> pv_status {
    release(events)
}
