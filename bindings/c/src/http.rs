//! Requests for the caller's own transport, and the answers it hands back.

use std::ffi::c_char;

use proveil_bindings_support::core::http::{HttpRequest, HttpResponse, ResponseHead, TlsRule};
use proveil_bindings_support::core::{Code, Error, Result};

use crate::boundary::{bytes, get, headers, release};
use crate::text::{CText, pointer};
use crate::types::{pv_bytes, pv_header, pv_http_request, pv_status};

/// TLS rule: a certificate chain to a public authority for the URL's host name. Plain http only
/// for loopback addresses.
pub const PV_TLS_PUBLIC_CA: i32 = 1;
/// TLS rule: besides that, the peer's key must be one of the pinned ones.
pub const PV_TLS_PINNED_SPKI: i32 = 2;

/// A request with its texts.
pub struct RequestObject {
    request: HttpRequest,
    url: CText,
    method: CText,
    purpose: CText,
    headers: Vec<(CText, CText)>,
}

impl RequestObject {
    /// Takes a request.
    pub fn new(request: HttpRequest) -> RequestObject {
        let copy = |text: &str| CText::copy(text.as_bytes());
        RequestObject {
            url: copy(request.url()),
            method: copy(request.method().as_str()),
            purpose: copy(request.purpose()),
            headers: request
                .headers()
                .iter()
                .map(|header| (copy(header.name()), copy(header.value())))
                .collect(),
            request,
        }
    }

    fn pins(&self) -> &[[u8; 32]] {
        match self.request.tls() {
            TlsRule::PublicCa => &[],
            TlsRule::PinnedSpki(pins) => pins,
        }
    }
}

/// Status and headers of an answer.
///
/// # Safety
/// As for [`headers`].
pub unsafe fn response_head(status: u32, first: *const pv_header, count: usize) -> Result<ResponseHead> {
    let status = u16::try_from(status)
        .ok()
        .filter(|status| (100..1000).contains(status))
        .ok_or_else(|| Error::new(Code::InvalidArgument).at("http_status").found(status.to_string()))?;
    // SAFETY: handed on from the caller.
    Ok(ResponseHead::new(status, unsafe { headers(first, count) }?))
}

/// A whole answer with a body of at most `max` bytes.
///
/// # Safety
/// As for [`headers`] and [`bytes`].
pub unsafe fn response(
    status: u32,
    first: *const pv_header,
    count: usize,
    body: pv_bytes,
    max: usize,
) -> Result<HttpResponse> {
    // SAFETY: handed on from the caller.
    let (head, body) = unsafe { (response_head(status, first, count)?, bytes(body, "body", max)?) };
    Ok(HttpResponse::new(head, body.to_vec()))
}

/// `GET` or `POST`. Borrowed until pv_http_request_free(); NULL if `request` is not a live request.
#[unsafe(no_mangle)]
pub extern "C" fn pv_http_request_method(request: *const pv_http_request) -> *const c_char {
    get(request, std::ptr::null(), |request| request.method.as_ptr())
}

/// The absolute URL. Borrowed until pv_http_request_free(); NULL if `request` is not a live
/// request.
#[unsafe(no_mangle)]
pub extern "C" fn pv_http_request_url(request: *const pv_http_request) -> *const c_char {
    get(request, std::ptr::null(), |request| request.url.as_ptr())
}

/// Number of headers to send; add none but those that HTTP itself needs.
#[unsafe(no_mangle)]
pub extern "C" fn pv_http_request_header_count(request: *const pv_http_request) -> usize {
    get(request, 0, |request| request.headers.len())
}

/// Name of a header, lowercase. Borrowed until pv_http_request_free(); NULL if there is no such
/// header.
#[unsafe(no_mangle)]
pub extern "C" fn pv_http_request_header_name(
    request: *const pv_http_request,
    index: usize,
) -> *const c_char {
    get(request, std::ptr::null(), |request| pointer(request.headers.get(index).map(|(name, _)| name)))
}

/// Value of a header. Borrowed until pv_http_request_free(); NULL if there is no such header.
#[unsafe(no_mangle)]
pub extern "C" fn pv_http_request_header_value(
    request: *const pv_http_request,
    index: usize,
) -> *const c_char {
    get(request, std::ptr::null(), |request| pointer(request.headers.get(index).map(|(_, value)| value)))
}

/// 1 if the value of a header is a secret: never log it. Otherwise 0.
#[unsafe(no_mangle)]
pub extern "C" fn pv_http_request_header_sensitive(request: *const pv_http_request, index: usize) -> i32 {
    get(request, 0, |request| {
        request.request.headers().get(index).map_or(0, |header| i32::from(header.is_sensitive()))
    })
}

/// The body; empty for `GET`. Borrowed until pv_http_request_free().
#[unsafe(no_mangle)]
pub extern "C" fn pv_http_request_body(request: *const pv_http_request) -> pv_bytes {
    get(request, pv_bytes::EMPTY, |request| pv_bytes::lend(request.request.body()))
}

/// What the connection must prove before anything is sent: one of PV_TLS_, 0 if `request` is not
/// a live request. A transport that cannot obey it, or does not know the value, must not send.
#[unsafe(no_mangle)]
pub extern "C" fn pv_http_request_tls_rule(request: *const pv_http_request) -> i32 {
    get(request, 0, |request| match request.request.tls() {
        TlsRule::PublicCa => PV_TLS_PUBLIC_CA,
        TlsRule::PinnedSpki(_) => PV_TLS_PINNED_SPKI,
    })
}

/// Number of pinned keys under PV_TLS_PINNED_SPKI; the peer's must be one of them. None means
/// that no peer will do.
#[unsafe(no_mangle)]
pub extern "C" fn pv_http_request_pinned_spki_count(request: *const pv_http_request) -> usize {
    get(request, 0, |request| request.pins().len())
}

/// SHA-256 (32 bytes) of a pinned key's SubjectPublicKeyInfo. Borrowed until
/// pv_http_request_free(); empty if there is no such key.
#[unsafe(no_mangle)]
pub extern "C" fn pv_http_request_pinned_spki(request: *const pv_http_request, index: usize) -> pv_bytes {
    get(request, pv_bytes::EMPTY, |request| {
        request.pins().get(index).map_or(pv_bytes::EMPTY, |pin| pv_bytes::lend(pin))
    })
}

/// Longest answer body in bytes; the transport stops reading there and reports
/// PV_TRANSPORT_FAILURE_TOO_LARGE.
#[unsafe(no_mangle)]
pub extern "C" fn pv_http_request_max_response_bytes(request: *const pv_http_request) -> usize {
    get(request, 0, |request| request.request.max_response_bytes())
}

/// What the request is for, in words for progress lines. Borrowed until pv_http_request_free();
/// NULL if `request` is not a live request.
#[unsafe(no_mangle)]
pub extern "C" fn pv_http_request_purpose(request: *const pv_http_request) -> *const c_char {
    get(request, std::ptr::null(), |request| request.purpose.as_ptr())
}

/// Frees a request. NULL is accepted.
///
/// Threads: any. Codes: PV-702, PV-703.
#[unsafe(no_mangle)]
pub extern "C" fn pv_http_request_free(request: *mut pv_http_request) -> pv_status {
    release(request)
}
