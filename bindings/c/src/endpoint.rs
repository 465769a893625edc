//! The proven endpoint, the sealed request and the receipt of an answer.

use std::ffi::c_char;
use std::sync::Arc;

use proveil_bindings_support::core::Result;
use proveil_bindings_support::core::endpoint::{
    Opener, Receipt, SealedRequest, SignatureVerdict, VerifiedEndpoint,
};
use proveil_bindings_support::core::limits::{REQUEST_MAX_BYTES, SIGNATURE_RESPONSE_MAX_BYTES};
use proveil_bindings_support::core::wire::hex;
use proveil_bindings_support::{OpenerCell, OsRandom, OwnedRequest, now_unix_s};

use crate::boundary::{Out, bytes, call, get, handle_out, owned_text, release, text};
use crate::handle;
use crate::http::{RequestObject, response};
use crate::opener::OpenerObject;
use crate::report::{ReportObject, time};
use crate::text::{CText, pointer};
use crate::types::{
    pv_bytes, pv_endpoint, pv_error, pv_header, pv_http_request, pv_opener, pv_receipt, pv_report, pv_sealed,
    pv_status,
};

/// Signature: signed by the attested enclave over exactly the bytes sent and received.
pub const PV_SIGNATURE_BODY_MATCHES: i32 = 1;
/// Signature: signed by the attested enclave for this answer's id, over other bytes; the body is
/// not vouched for.
pub const PV_SIGNATURE_SIGNED_BODY_NOT_VERIFIABLE: i32 = 2;

/// A proven endpoint.
pub struct EndpointObject {
    endpoint: Arc<VerifiedEndpoint>,
    provider: CText,
    model: CText,
}

impl EndpointObject {
    /// Shares a proven endpoint.
    pub fn new(endpoint: Arc<VerifiedEndpoint>) -> EndpointObject {
        EndpointObject {
            provider: CText::copy(endpoint.provider().as_bytes()),
            model: CText::copy(endpoint.model().as_bytes()),
            endpoint,
        }
    }
}

/// A sealed request.
pub struct SealedObject(Arc<RequestObject>);

/// A receipt with its texts.
pub struct ReceiptObject {
    receipt: Receipt,
    id: Option<CText>,
    request_sha256: CText,
    response_sha256: CText,
}

impl ReceiptObject {
    /// Takes a receipt.
    pub fn new(receipt: Receipt) -> ReceiptObject {
        ReceiptObject {
            id: receipt.id.as_ref().map(|id| CText::copy(id.as_bytes())),
            request_sha256: CText::copy(hex::encode(&receipt.request_sha256).as_bytes()),
            response_sha256: CText::copy(hex::encode(&receipt.response_sha256).as_bytes()),
            receipt,
        }
    }
}

/// The number of a signature verdict in the header.
pub const fn signature_number(verdict: SignatureVerdict) -> i32 {
    match verdict {
        SignatureVerdict::BodyMatches => PV_SIGNATURE_BODY_MATCHES,
        SignatureVerdict::SignedBodyNotVerifiable => PV_SIGNATURE_SIGNED_BODY_NOT_VERIFIABLE,
    }
}

/// A request for any endpoint of the API.
///
/// # Safety
/// The texts are NULL or NUL-terminated; `body` is as for [`bytes`].
pub unsafe fn request(
    endpoint_path: *const c_char,
    body: pv_bytes,
    content_type: *const c_char,
) -> Result<OwnedRequest> {
    // SAFETY: handed on from the caller.
    let (path, kind) =
        unsafe { (text(endpoint_path, "endpoint_path")?, owned_text(content_type, "content_type")?) };
    // SAFETY: handed on from the caller.
    OwnedRequest::new(path, unsafe { bytes(body, "body", REQUEST_MAX_BYTES) }?, kind)
}

/// The report that led to an endpoint.
///
/// @param[out] report  to be freed with pv_report_free()
/// @param[out] error   may be NULL
///
/// Threads: any. Codes: PV-701 to PV-703.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_endpoint_report(
    endpoint: *const pv_endpoint,
    report: *mut *mut pv_report,
    error: *mut *mut pv_error,
) -> pv_status {
    let work = || {
        // SAFETY: the caller keeps the promise of the header about outputs.
        let report = unsafe { handle_out(report, "report") }?;
        report.give(ReportObject::new(handle::find(endpoint)?.endpoint.report().clone()))
    };
    // SAFETY: the caller keeps the promise of the header about `error`.
    unsafe { call(error, work) }
}

/// The provider's name. Borrowed until pv_endpoint_free(); NULL if `endpoint` is not a live endpoint.
#[unsafe(no_mangle)]
pub extern "C" fn pv_endpoint_provider(endpoint: *const pv_endpoint) -> *const c_char {
    get(endpoint, std::ptr::null(), |endpoint| endpoint.provider.as_ptr())
}

/// The model's id. Borrowed until pv_endpoint_free(); NULL if `endpoint` is not a live endpoint.
#[unsafe(no_mangle)]
pub extern "C" fn pv_endpoint_model(endpoint: *const pv_endpoint) -> *const c_char {
    get(endpoint, std::ptr::null(), |endpoint| endpoint.model.as_ptr())
}

/// When the proof ends, in seconds since 1970-01-01T00:00:00Z; 0 if `endpoint` is not a live
/// endpoint.
#[unsafe(no_mangle)]
pub extern "C" fn pv_endpoint_not_after(endpoint: *const pv_endpoint) -> u64 {
    get(endpoint, 0, |endpoint| endpoint.endpoint.not_after())
}

/// Seals a request under fresh keys: one JSON object in the OpenAI chat form, for this endpoint's
/// model, at most 50 MiB. What the protocol cannot encrypt is refused, never sent in clear. To
/// retry a request, seal it again.
///
/// @param body         borrowed for the call
/// @param at_unix_s    the current time in seconds since 1970-01-01T00:00:00Z; PV_NOW for the
///                     system's clock
/// @param[out] sealed  what to send; to be freed with pv_sealed_free()
/// @param[out] opener  opens the answer; to be freed with pv_opener_free()
/// @param[out] error   may be NULL
///
/// Threads: any. Codes: PV-101 to PV-124, PV-307 (proof too old), PV-601, PV-701 to PV-703,
/// PV-710, PV-903.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_endpoint_seal(
    endpoint: *const pv_endpoint,
    body: pv_bytes,
    at_unix_s: u64,
    sealed: *mut *mut pv_sealed,
    opener: *mut *mut pv_opener,
    error: *mut *mut pv_error,
) -> pv_status {
    let work = || {
        // SAFETY: the caller keeps the promise of the header about outputs. Both are cleared before either is missed.
        let outs = unsafe { (handle_out(sealed, "sealed"), handle_out(opener, "opener")) };
        let (sealed, opener) = (outs.0?, outs.1?);
        let endpoint = handle::find(endpoint)?;
        // SAFETY: the caller keeps the promise of the header about byte ranges.
        let body = unsafe { bytes(body, "body", REQUEST_MAX_BYTES) }?;
        let at = time(at_unix_s).map_or_else(now_unix_s, Ok)?;
        give(endpoint.endpoint.seal(body, at, &mut OsRandom)?, sealed, opener)
    };
    // SAFETY: the caller keeps the promise of the header about `error`.
    unsafe { call(error, work) }
}

/// Seals a request for any endpoint of the API that the provider carries sealed, as
/// pv_endpoint_seal() does; its answer opens as PV_EVENT_DOCUMENT.
///
/// @param endpoint_path  path of the endpoint, NUL-terminated: `/v1/embeddings`
/// @param body           JSON, a form or a document, at most 50 MiB; borrowed for the call
/// @param content_type   media type of a form or document with its parameters, NUL-terminated; NULL
///                       for JSON
/// @param at_unix_s      the current time in seconds since 1970-01-01T00:00:00Z; PV_NOW for the
///                       system's clock
/// @param[out] sealed    what to send; to be freed with pv_sealed_free()
/// @param[out] opener    opens the answer; to be freed with pv_opener_free()
/// @param[out] error     may be NULL
///
/// Threads: any. Codes: PV-101 to PV-124, PV-307 (proof too old), PV-601, PV-701 to PV-703, PV-705,
/// PV-710, PV-903.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_endpoint_seal_request(
    endpoint: *const pv_endpoint,
    endpoint_path: *const c_char,
    body: pv_bytes,
    content_type: *const c_char,
    at_unix_s: u64,
    sealed: *mut *mut pv_sealed,
    opener: *mut *mut pv_opener,
    error: *mut *mut pv_error,
) -> pv_status {
    let work = || {
        // SAFETY: the caller keeps the promise of the header about outputs. Both are cleared before either is missed.
        let outs = unsafe { (handle_out(sealed, "sealed"), handle_out(opener, "opener")) };
        let (sealed, opener) = (outs.0?, outs.1?);
        let endpoint = handle::find(endpoint)?;
        // SAFETY: the caller keeps the promises of the header about texts and byte ranges.
        let request = unsafe { request(endpoint_path, body, content_type) }?;
        let at = time(at_unix_s).map_or_else(now_unix_s, Ok)?;
        give(endpoint.endpoint.seal_request(&request.request(), at, &mut OsRandom)?, sealed, opener)
    };
    // SAFETY: the caller keeps the promise of the header about `error`.
    unsafe { call(error, work) }
}

/// Hands out what was sealed with its opener: both or none.
fn give(
    (request, answer): (SealedRequest, Opener),
    sealed: Out<*mut pv_sealed>,
    opener: Out<*mut pv_opener>,
) -> Result<()> {
    let request = handle::insert(SealedObject(Arc::new(RequestObject::new(request.into_request()))))?;
    let answer = handle::insert(OpenerObject(OpenerCell::new(answer)))
        .or_else(|full| handle::free::<pv_sealed>(request).and(Err(full)))?;
    sealed.set(request);
    opener.set(answer);
    Ok(())
}

/// The request that asks the provider for the signature of a finished answer.
///
/// @param[out] request  to be freed with pv_http_request_free()
/// @param[out] error    may be NULL
///
/// Threads: any. Codes: PV-515 (the answer has no id), PV-701 to PV-703.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_endpoint_signature_request(
    endpoint: *const pv_endpoint,
    receipt: *const pv_receipt,
    request: *mut *mut pv_http_request,
    error: *mut *mut pv_error,
) -> pv_status {
    let work = || {
        // SAFETY: the caller keeps the promise of the header about outputs.
        let request = unsafe { handle_out(request, "request") }?;
        let (endpoint, receipt) = (handle::find(endpoint)?, handle::find(receipt)?);
        request.give(RequestObject::new(endpoint.endpoint.signature_request(&receipt.receipt)?))
    };
    // SAFETY: the caller keeps the promise of the header about `error`.
    unsafe { call(error, work) }
}

/// Judges the answer to pv_endpoint_signature_request() against the proven key and the bytes of
/// this exchange.
///
/// @param headers       borrowed for the call; NULL if header_count is 0
/// @param body          borrowed for the call, at most 64 KiB
/// @param[out] verdict  one of PV_SIGNATURE_
/// @param[out] error    may be NULL
///
/// Threads: any. Codes: PV-101 (status), PV-406 to PV-408, PV-5xx, PV-601, PV-701 to PV-703,
/// PV-705, PV-710.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_endpoint_check_signature(
    endpoint: *const pv_endpoint,
    receipt: *const pv_receipt,
    http_status: u32,
    headers: *const pv_header,
    header_count: usize,
    body: pv_bytes,
    verdict: *mut i32,
    error: *mut *mut pv_error,
) -> pv_status {
    let work = || {
        // SAFETY: the caller keeps the promise of the header about outputs.
        let verdict = unsafe { Out::new(verdict, 0) }.required("verdict")?;
        let (endpoint, receipt) = (handle::find(endpoint)?, handle::find(receipt)?);
        // SAFETY: the caller keeps the promises of the header about headers and body.
        let answer =
            unsafe { response(http_status, headers, header_count, body, SIGNATURE_RESPONSE_MAX_BYTES) }?;
        verdict.set(signature_number(endpoint.endpoint.check_signature(&receipt.receipt, &answer)?));
        Ok(())
    };
    // SAFETY: the caller keeps the promise of the header about `error`.
    unsafe { call(error, work) }
}

/// Frees an endpoint. NULL is accepted. Openers made with it live on.
///
/// Threads: any. Codes: PV-702, PV-703.
#[unsafe(no_mangle)]
pub extern "C" fn pv_endpoint_free(endpoint: *mut pv_endpoint) -> pv_status {
    release(endpoint)
}

/// The request as it must be sent.
///
/// @param[out] request  to be freed with pv_http_request_free()
/// @param[out] error    may be NULL
///
/// Threads: any. Codes: PV-701 to PV-703.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_sealed_request(
    sealed: *const pv_sealed,
    request: *mut *mut pv_http_request,
    error: *mut *mut pv_error,
) -> pv_status {
    let work = || {
        // SAFETY: the caller keeps the promise of the header about outputs.
        let request = unsafe { handle_out::<pv_http_request>(request, "request") }?;
        request.set(handle::insert_shared(Arc::clone(&handle::find(sealed)?.0))?);
        Ok(())
    };
    // SAFETY: the caller keeps the promise of the header about `error`.
    unsafe { call(error, work) }
}

/// Frees a sealed request. NULL is accepted.
///
/// Threads: any. Codes: PV-702, PV-703.
#[unsafe(no_mangle)]
pub extern "C" fn pv_sealed_free(sealed: *mut pv_sealed) -> pv_status {
    release(sealed)
}

/// The provider's id of the answer (unauthenticated). Borrowed until pv_receipt_free(); NULL if
/// it named none.
#[unsafe(no_mangle)]
pub extern "C" fn pv_receipt_id(receipt: *const pv_receipt) -> *const c_char {
    get(receipt, std::ptr::null(), |receipt| pointer(receipt.id.as_ref()))
}

/// Number of sealed fields that opened.
#[unsafe(no_mangle)]
pub extern "C" fn pv_receipt_sealed_fields(receipt: *const pv_receipt) -> u64 {
    get(receipt, 0, |receipt| receipt.receipt.sealed_fields)
}

/// Bytes of the body.
#[unsafe(no_mangle)]
pub extern "C" fn pv_receipt_body_bytes(receipt: *const pv_receipt) -> u64 {
    get(receipt, 0, |receipt| receipt.receipt.body_bytes)
}

/// Bytes after the end mark, which were ignored.
#[unsafe(no_mangle)]
pub extern "C" fn pv_receipt_ignored_bytes(receipt: *const pv_receipt) -> u64 {
    get(receipt, 0, |receipt| receipt.receipt.ignored_bytes)
}

/// SHA-256 of the request body as sent, 64 hex digits. Borrowed until pv_receipt_free(); NULL if
/// `receipt` is not a live receipt.
#[unsafe(no_mangle)]
pub extern "C" fn pv_receipt_request_sha256(receipt: *const pv_receipt) -> *const c_char {
    get(receipt, std::ptr::null(), |receipt| receipt.request_sha256.as_ptr())
}

/// SHA-256 of the answer's body as received, 64 hex digits. Borrowed until pv_receipt_free();
/// NULL if `receipt` is not a live receipt.
#[unsafe(no_mangle)]
pub extern "C" fn pv_receipt_response_sha256(receipt: *const pv_receipt) -> *const c_char {
    get(receipt, std::ptr::null(), |receipt| receipt.response_sha256.as_ptr())
}

/// Frees a receipt. NULL is accepted.
///
/// Threads: any. Codes: PV-702, PV-703.
#[unsafe(no_mangle)]
pub extern "C" fn pv_receipt_free(receipt: *mut pv_receipt) -> pv_status {
    release(receipt)
}
