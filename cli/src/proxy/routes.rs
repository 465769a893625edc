//! The paths, and what happens to every request before and after: a request id, the gate, the log, the counters.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderMap};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Request, Response, StatusCode};
use proveil::core::openai::{ApiEndpoint, BodyKind};
use proveil::{Code, Error, Result};
use serde_json::{Value, json};

use super::body;
use super::cross_origin;
use super::gate::{Caller, check_content_type};
use super::page;
use super::request::{Call, set};
use super::state::Proxy;
use crate::api::{Dialect, random_id};

/// Request ids of callers that are taken over, at most so long.
const REQUEST_ID_MAX: usize = 128;
/// What a refusal says there is.
const PATHS: &str = "/v1/chat/completions, /v1/completions, /v1/embeddings, /v1/audio/transcriptions, /v1/messages, \
                     /v1/models, /v1/models/{id}, /unstructured/..., /healthz, /readyz, /metrics, /report, /report.json, /";

/// A path that the proxy has.
#[derive(Clone, Debug, PartialEq)]
enum Route {
    Api(ApiEndpoint),
    Models,
    Model(String),
    Health,
    Ready,
    Metrics,
    Status,
    Page(page::Asset),
    Reports,
    ReportsJson,
    /// An id, with `.json` for the JSON form.
    Report(String),
}

impl Route {
    fn of(path: &str) -> Result<Route> {
        let fixed = match path {
            "/healthz" => Some(Route::Health),
            "/readyz" => Some(Route::Ready),
            "/metrics" => Some(Route::Metrics),
            "/status.json" => Some(Route::Status),
            "/report" => Some(Route::Reports),
            "/report.json" => Some(Route::ReportsJson),
            "/v1/models" => Some(Route::Models),
            _ => page::Asset::at(path).map(Route::Page),
        };
        if let Some(route) = fixed {
            return Ok(route);
        }
        if let Some(id) = path.strip_prefix("/report/") {
            return Ok(Route::Report(id.to_owned()));
        }
        if let Some(id) = path.strip_prefix("/v1/models/").filter(|id| !id.is_empty()) {
            return Ok(Route::Model(percent_decoded(id)));
        }
        ApiEndpoint::parse(path).map(Route::Api).map_err(|error| error.expected(PATHS))
    }

    fn method(&self) -> Method {
        if matches!(self, Route::Api(_)) { Method::POST } else { Method::GET }
    }

    /// Of a fixed set: callers cannot make up labels.
    const fn name(&self) -> &'static str {
        match self {
            Route::Api(endpoint) => super::metrics::route_name(endpoint),
            Route::Models | Route::Model(_) => "models",
            Route::Health => "healthz",
            Route::Ready => "readyz",
            Route::Metrics => "metrics",
            Route::Status => "status",
            Route::Page(_) => "page",
            Route::Reports | Route::ReportsJson | Route::Report(_) => "report",
        }
    }

    /// What probes ask without a token.
    const fn is_open(&self) -> bool {
        matches!(self, Route::Health | Route::Ready)
    }
}

/// Ids of models have slashes and colons, which some libraries write as percent codes.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = (*first == b'%').then(|| after.get(..2)).flatten();
        let decoded = code.and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        match decoded {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Answers one request.
pub(super) async fn answer(
    proxy: Arc<Proxy>,
    peer: IpAddr,
    smuggled: bool,
    request: Request<Body>,
) -> Response<Body> {
    let since = Instant::now();
    let (parts, body) = request.into_parts();
    let id = request_id(&parts.headers);
    let dialect = Dialect::of(parts.uri.path());
    let route = Route::of(parts.uri.path());
    let name = route.as_ref().map_or("other", Route::name);
    let asks_first = parts.method == Method::OPTIONS;
    let result = if smuggled {
        Err(Error::new(Code::MalformedRequest)
            .at("head")
            .expected("lines that end in CRLF, and one way to say how long the body is"))
    } else if asks_first {
        preflight(&proxy, route, &parts, peer)
    } else {
        routed(&proxy, route, &parts, body, peer).await
    };
    let mut response = result.unwrap_or_else(|error| {
        tracing::info!(request = id, route = name, code = error.code().text(), "refused");
        let mut response = dialect.response(&error);
        if let Some(json) = error.report_json() {
            let report = proxy.reports.add(json.to_owned());
            set(response.headers_mut(), "x-proveil-report", &format!("/report/{report}"));
        }
        response
    });
    finish(&proxy, &parts.headers, &id, &mut response);
    let status = response.status().as_u16();
    proxy.metrics.request(name, status, since);
    let ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
    let trace =
        parts.headers.get("traceparent").and_then(|value| value.to_str().ok()).filter(|text| is_trace(text));
    let verdict = response.headers().get("x-proveil-verdict").and_then(|value| value.to_str().ok());
    tracing::info!(request = id, method = %shown(&parts.method), route = name, status, ms, trace, verdict, "request");
    response
}

/// A method that the log can show.
fn shown(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::OPTIONS => "OPTIONS",
        Method::HEAD => "HEAD",
        _ => "other",
    }
}

async fn routed(
    proxy: &Arc<Proxy>,
    route: Result<Route>,
    parts: &Parts,
    body: Body,
    peer: IpAddr,
) -> Result<Response<Body>> {
    proxy.gate.admit(&parts.headers, &parts.uri, peer)?;
    // Who may not call learns nothing about what there is, except whether the process lives.
    let caller = match &route {
        Ok(route) if route.is_open() => super::health::nobody(),
        Ok(Route::Page(_)) => super::health::nobody(),
        Ok(Route::Api(_) | Route::Models | Route::Model(_)) => proxy.gate.identify(&parts.headers, peer)?,
        _ => proxy.gate.identify_reader(&parts.headers, peer)?,
    };
    let route = route?;
    let method = route.method();
    let allowed = parts.method == method || (method == Method::GET && parts.method == Method::HEAD);
    if !allowed {
        let error = Error::new(Code::MethodNotAllowed).expected(method.as_str());
        return Err(error);
    }
    match route {
        Route::Api(endpoint) => api(proxy, endpoint, parts, body, caller).await,
        Route::Models => {
            let state = proxy.state.load_full();
            Ok(json_response(StatusCode::OK, &state.catalog.list(&caller).await?))
        }
        Route::Model(id) => model(proxy, &id, &caller).await,
        Route::Health => Ok(json_response(StatusCode::OK, &json!({ "status": "ok" }))),
        Route::Ready => {
            let ready = proxy.is_ready();
            let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            Ok(json_response(status, &json!({ "ready": ready, "ending": proxy.is_ending() })))
        }
        Route::Status => Ok(json_response(StatusCode::OK, &proxy.standings.document(proxy.is_ready()))),
        Route::Metrics => {
            proxy.metrics.ready(proxy.is_ready(), proxy.standings.verified());
            Ok(text_response("text/plain; version=0.0.4; charset=utf-8", proxy.metrics.render()))
        }
        Route::Page(asset) => Ok(page::asset(asset)),
        Route::Reports => page::reports(proxy),
        Route::ReportsJson => Ok(json_response(StatusCode::OK, &page::reports_json(proxy))),
        Route::Report(id) => page::report(proxy, &id),
    }
}

/// What a browser asks before it sends.
fn preflight(proxy: &Proxy, route: Result<Route>, parts: &Parts, peer: IpAddr) -> Result<Response<Body>> {
    proxy.gate.admit(&parts.headers, &parts.uri, peer)?;
    let route = route?;
    let is_allowed = proxy.gate.foreign_origin(&parts.headers).is_some();
    Ok(cross_origin::preflight(&parts.headers, &route.method(), is_allowed))
}

async fn api(
    proxy: &Arc<Proxy>,
    endpoint: ApiEndpoint,
    parts: &Parts,
    body: Body,
    caller: Caller,
) -> Result<Response<Body>> {
    if proxy.is_ending() {
        return Err(Error::new(Code::ShuttingDown));
    }
    let accepted: Option<&[&str]> = match endpoint.body() {
        BodyKind::Json => Some(&["application/json"]),
        BodyKind::Form => Some(&["multipart/form-data"]),
        BodyKind::Raw | BodyKind::None => None,
    };
    check_content_type(&parts.method, &parts.headers, accepted)?;
    let body = body::read(body, &parts.headers, &proxy.memory).await?;
    let content_type = Call::content_type(&parts.headers);
    Call { endpoint, content_type, body, caller }.answer(proxy).await
}

async fn model(proxy: &Arc<Proxy>, id: &str, caller: &Caller) -> Result<Response<Body>> {
    let list = proxy.state.load_full().catalog.list(caller).await?;
    let entries = list.get("data").and_then(Value::as_array);
    let found =
        entries.into_iter().flatten().find(|entry| entry.get("id").and_then(Value::as_str) == Some(id));
    match found {
        Some(entry) => Ok(json_response(StatusCode::OK, entry)),
        // By another of its names; an unknown one says what is near.
        None => {
            let targets = proxy.state.load_full().catalog.resolve(id, caller).await?;
            let target = targets.first().ok_or_else(|| Error::new(Code::UnknownModel))?;
            let owner = target.upstream.provider().name();
            Ok(json_response(
                StatusCode::OK,
                &json!({ "id": id, "object": "model", "type": "model", "created": 0,
                "display_name": target.model, "created_at": "1970-01-01T00:00:00Z", "owned_by": owner }),
            ))
        }
    }
}

/// What every answer carries.
fn finish(proxy: &Proxy, request: &HeaderMap, id: &str, response: &mut Response<Body>) {
    let headers = response.headers_mut();
    set(headers, "x-request-id", id);
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    if let Some(origin) = proxy.gate.foreign_origin(request) {
        cross_origin::allow(headers, &origin);
    }
    if let Some(trace) = request.get("traceparent").filter(|value| value.to_str().is_ok_and(is_trace)) {
        headers.insert("traceparent", trace.clone());
    }
}

/// The caller's request id if it is one, or a new one.
fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get("x-request-id").and_then(|value| value.to_str().ok());
    let fits = |id: &&str| {
        (1..=REQUEST_ID_MAX).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    };
    match given.filter(fits) {
        Some(id) => id.to_owned(),
        None => random_id().unwrap_or_else(|_| "0".to_owned()),
    }
}

/// The form of a W3C trace context: digits and dashes, of fixed length.
fn is_trace(text: &str) -> bool {
    text.len() == 55 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

pub(super) fn json_response(status: StatusCode, document: &Value) -> Response<Body> {
    let mut response = text_response("application/json", document.to_string());
    *response.status_mut() = status;
    response
}

pub(super) fn text_response(content_type: &'static str, text: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(text.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert("cache-control", HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        assert_eq!(
            Route::of("/v1/models/openai%2Fgpt-oss").unwrap(),
            Route::Model("openai/gpt-oss".to_owned())
        );
        assert_eq!(Route::of("/v1/models/a/b").unwrap(), Route::Model("a/b".to_owned()));
        assert_eq!(Route::of("/report/../x").unwrap(), Route::Report("../x".to_owned()));
        for path in ["/v1/responses", "/v1/files", "/v1/chat/completions/", "/v1", "/x", "//", "/v1/models/"]
        {
            let error = Route::of(path).unwrap_err();
            assert_eq!(error.code(), Code::UnsupportedEndpoint, "{path}");
            assert!(error.expected_value().unwrap().contains("/v1/chat/completions"));
        }
        assert_eq!(percent_decoded("a%2"), "a%2");
        assert_eq!(percent_decoded("%zz%41"), "%zzA");
    }

    /// T55: what a caller calls its request reaches the log only in harmless form.
    #[test]
    fn t55_request_ids() {
        let id = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-request-id", HeaderValue::from_bytes(text.as_bytes()).unwrap());
            request_id(&headers)
        };
        assert_eq!(id("abc-1.2_3"), "abc-1.2_3");
        for text in ["", "a b", "\u{e4}", "a\tb", &"a".repeat(129)] {
            assert_ne!(id(text), text);
        }
    }
}
