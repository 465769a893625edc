//! What pages of other origins that were allowed (`--origin`) may send and read, as the fetch standard has it (section 3.2, CORS protocol).
//! Which origins are allowed is the gate's (threats T52).

use axum::body::Body;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_REQUEST_HEADERS, ALLOW, HeaderMap, VARY,
};
use axum::http::{HeaderName, HeaderValue, Method, Response, StatusCode};

/// Header names that one request may ask for; the most that a library of those tested sends is 15.
const NAMES_MAX: usize = 64;
/// Bytes of all of them.
const NAMES_MAX_BYTES: usize = 4096;
/// What callers need at least.
const USUAL: &str = "authorization, content-type, x-api-key, anthropic-version, x-request-id";
/// What a page may read besides what every page may.
const EXPOSED: &str =
    "x-proveil-verdict, x-proveil-report, x-proveil-provider, x-request-id, x-should-retry, retry-after";

/// Answers what a browser asks before it sends. Headers of callers go nowhere, so a page that was allowed may send any.
pub(super) fn preflight(asked: &HeaderMap, method: &Method, is_allowed: bool) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    let methods = if *method == Method::GET { "GET, HEAD" } else { "POST" };
    let methods = HeaderValue::from_static(methods);
    if !is_allowed {
        headers.insert(ALLOW, methods);
        return response;
    }
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
    let names = HeaderValue::from_str(&names(asked)).unwrap_or(HeaderValue::from_static(USUAL));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names);
    response
}

/// The names that were asked for, or the usual ones where these are no names or too many.
fn names(asked: &HeaderMap) -> String {
    let mut names: Vec<String> = Vec::new();
    let mut bytes: usize = 0;
    for value in asked.get_all(ACCESS_CONTROL_REQUEST_HEADERS) {
        bytes = bytes.saturating_add(value.len());
        if bytes > NAMES_MAX_BYTES {
            return USUAL.to_owned();
        }
        for name in value.to_str().unwrap_or("?").split(',').map(str::trim).filter(|name| !name.is_empty()) {
            match HeaderName::from_bytes(name.as_bytes()) {
                Ok(name) if names.len() < NAMES_MAX => names.push(name.as_str().to_owned()),
                _ => return USUAL.to_owned(),
            }
        }
    }
    if names.is_empty() { USUAL.to_owned() } else { names.join(", ") }
}

/// Lets a page of this origin read the answer.
pub(super) fn allow(headers: &mut HeaderMap, origin: &str) {
    let Ok(origin) = HeaderValue::from_str(origin) else { return };
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    headers.insert(VARY, HeaderValue::from_static("origin, access-control-request-headers"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("cross-origin"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_asked_for() {
        let many = vec!["a"; NAMES_MAX + 1].join(",");
        let long = "a".repeat(NAMES_MAX_BYTES + 1);
        for (asked, allowed) in [
            (&["authorization,x-stainless-lang"][..], "authorization, x-stainless-lang"),
            (
                &["Authorization, X-Stainless-OS ,,", "openai-beta"],
                "authorization, x-stainless-os, openai-beta",
            ),
            (&[], USUAL),
            (&[""], USUAL),
            (&["authorization, a b"], USUAL),
            (&["a:b"], USUAL),
            (&["\u{e4}"], USUAL),
            (&[&many], USUAL),
            (&[&long], USUAL),
        ] {
            let mut map = HeaderMap::new();
            for value in asked {
                map.append(
                    ACCESS_CONTROL_REQUEST_HEADERS,
                    HeaderValue::from_bytes(value.as_bytes()).unwrap(),
                );
            }
            assert_eq!(names(&map), allowed, "{asked:?}");
        }
    }
}
