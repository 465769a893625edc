//! HTTP values and events as plain objects.

use napi::bindgen_prelude::{Object, ToNapiValue, Uint8Array, Uint8ArraySlice};
use napi::{Env, sys};
use napi_derive::napi;
use proveil_bindings_support::core::http::{HttpRequest, HttpResponse, ResponseHead, TlsRule};
use proveil_bindings_support::core::{Code, Error, Result};
use proveil_bindings_support::{EventKind, FlatEvent};
use zeroize::Zeroize;

/// Bytes that become a `Uint8Array` of their own memory. They are copied: memory that Node does not own is refused by some hosts
/// (Electron), and costs more than the copy for small values.
pub struct Bytes(pub Vec<u8>);

impl ToNapiValue for Bytes {
    unsafe fn to_napi_value(env: sys::napi_env, bytes: Bytes) -> napi::Result<sys::napi_value> {
        let array = Uint8ArraySlice::copy_from(&Env::from_raw(env), bytes.0)?;
        // SAFETY: `env` is the environment of this call and the array was made in it.
        unsafe { ToNapiValue::to_napi_value(env, array) }
    }
}

/// Copies of arrays that the caller keeps.
pub fn copies(arrays: &[Uint8Array]) -> Vec<Vec<u8>> {
    arrays.iter().map(|array| array.to_vec()).collect()
}

/// Events as an array of `{ kind, choice, text, name }`; the Rust copy of each text is wiped.
pub struct Events(pub Vec<FlatEvent>);

impl ToNapiValue for Events {
    unsafe fn to_napi_value(env: sys::napi_env, events: Events) -> napi::Result<sys::napi_value> {
        let events: Vec<Event> = events.0.into_iter().map(Event).collect();
        // SAFETY: `env` is the environment of this call.
        unsafe { ToNapiValue::to_napi_value(env, events) }
    }
}

/// One event as `{ kind, choice, text, name }`.
struct Event(FlatEvent);

impl ToNapiValue for Event {
    unsafe fn to_napi_value(env: sys::napi_env, event: Event) -> napi::Result<sys::napi_value> {
        let FlatEvent { kind, choice, mut text, name } = event.0;
        let mut object = Object::new(&Env::from_raw(env))?;
        object.set("kind", kind.name())?;
        object.set("choice", choice)?;
        object.set("text", text.as_str())?;
        text.zeroize();
        object.set("name", name.as_str())?;
        // SAFETY: `env` is the environment of this call and the object was made in it.
        unsafe { ToNapiValue::to_napi_value(env, object) }
    }
}

/// The content texts among events, as an array of strings; the Rust copy of each text is wiped.
pub struct Texts(pub Vec<FlatEvent>);

impl ToNapiValue for Texts {
    unsafe fn to_napi_value(env: sys::napi_env, events: Texts) -> napi::Result<sys::napi_value> {
        let owner = Env::from_raw(env);
        let mut array = owner.create_array(0)?;
        for mut event in events.0 {
            if event.kind == EventKind::Content {
                array.insert(event.text.as_str())?;
            }
            event.text.zeroize();
        }
        // SAFETY: `env` is the environment of this call and the array was made in it.
        unsafe { ToNapiValue::to_napi_value(env, array) }
    }
}

/// A request for the host's transport.
#[napi(object, object_from_js = false)]
pub struct RequestFields {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// Absolute URL.
    pub url: String,
    /// Headers in order.
    pub headers: Vec<HeaderFields>,
    /// Body; empty for `GET`.
    pub body: Bytes,
    /// SHA-256 values of accepted public keys; absent when a public authority is enough.
    pub pinned_spki: Option<Vec<Bytes>>,
    /// Where the transport stops reading.
    pub max_response_bytes: f64,
    /// For progress lines.
    pub purpose: &'static str,
}

/// One header of a request.
#[napi(object, object_from_js = false)]
pub struct HeaderFields {
    /// Lowercase name.
    pub name: &'static str,
    /// Value as sent.
    pub value: String,
    /// The value is a secret.
    pub sensitive: bool,
}

impl From<&HttpRequest> for RequestFields {
    fn from(request: &HttpRequest) -> RequestFields {
        RequestFields {
            method: request.method().as_str(),
            url: request.url().to_owned(),
            headers: request
                .headers()
                .iter()
                .map(|header| HeaderFields {
                    name: header.name(),
                    value: header.value().to_owned(),
                    sensitive: header.is_sensitive(),
                })
                .collect(),
            body: Bytes(request.body().to_vec()),
            pinned_spki: match request.tls() {
                TlsRule::PublicCa => None,
                TlsRule::PinnedSpki(pins) => Some(pins.iter().map(|pin| Bytes(pin.to_vec())).collect()),
            },
            max_response_bytes: number(request.max_response_bytes() as u64),
            purpose: request.purpose(),
        }
    }
}

/// Status and headers; the header list is `[name, value, name, value, ...]`.
pub fn head(status: u32, headers: Vec<String>) -> Result<ResponseHead> {
    let status = u16::try_from(status)
        .map_err(|_| Error::new(Code::InvalidArgument).at("status").found(status.to_string()))?;
    let mut pairs = Vec::new();
    let mut texts = headers.into_iter();
    while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
        pairs.push((name, value));
    }
    Ok(ResponseHead::new(status, pairs))
}

/// A whole response.
pub fn response(status: u32, headers: Vec<String>, body: Vec<u8>) -> Result<HttpResponse> {
    Ok(HttpResponse::new(head(status, headers)?, body))
}

/// Seconds since 1970-01-01T00:00:00Z, or a number of seconds, from a JavaScript number; absent stays absent.
pub fn seconds(name: &str, value: Option<f64>) -> Result<Option<u64>> {
    value
        .map(|value| {
            if value.fract() == 0.0 && (0.0..=LARGEST_INTEGER).contains(&value) {
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                // whole and inside the range, see above
                Ok(value as u64)
            } else {
                Err(Error::new(Code::InvalidArgument)
                    .at(name)
                    .expected("whole seconds")
                    .found(value.to_string()))
            }
        })
        .transpose()
}

/// A JavaScript number; exact up to 2^53.
pub const fn number(value: u64) -> f64 {
    value as f64
}

/// 2^53 - 1, the largest integer that a JavaScript number holds exactly.
const LARGEST_INTEGER: f64 = 9_007_199_254_740_991.0;
