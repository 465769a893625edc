//! What a person sees in a browser: the page, and the reports. Nothing is loaded from elsewhere (users.md 8 and 9; threats T55).

use axum::body::Body;
use axum::http::header::{CONTENT_SECURITY_POLICY, HeaderName};
use axum::http::{HeaderValue, Response};
use proveil::{Code, Error, Result};
use serde_json::{Value, json};

use super::routes::text_response;
use super::state::Proxy;

const INDEX: &str = include_str!("page/index.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

/// The page's own files only, and nobody frames it.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                           base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A file of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asset {
    Index,
    Style,
    Script,
}

impl Asset {
    pub(super) fn at(path: &str) -> Option<Asset> {
        Some(match path {
            "/" => Asset::Index,
            "/page.css" => Asset::Style,
            "/page.js" => Asset::Script,
            _ => return None,
        })
    }
}

/// A file of the page.
pub(super) fn asset(asset: Asset) -> Response<Body> {
    let (kind, text) = match asset {
        Asset::Index => ("text/html; charset=utf-8", INDEX),
        Asset::Style => ("text/css; charset=utf-8", STYLE),
        Asset::Script => ("text/javascript; charset=utf-8", SCRIPT),
    };
    guarded(text_response(kind, text), PAGE_POLICY)
}

fn guarded(mut response: Response<Body>, policy: &'static str) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(HeaderName::from_static("referrer-policy"), HeaderValue::from_static("no-referrer"));
    headers.insert(
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    );
    response
}

/// The newest report, as a page of its own.
pub(super) fn reports(proxy: &Proxy) -> Result<Response<Body>> {
    let newest = proxy.reports.all().into_iter().find_map(|kept| kept.document());
    newest.map(|document| html(document.to_html())).ok_or_else(|| Error::new(Code::NoReport))
}

/// All reports that are kept, newest first.
pub(super) fn reports_json(proxy: &Proxy) -> Value {
    let reports = proxy.reports.all().into_iter().filter_map(|kept| {
        let report: Value = serde_json::from_str(&kept.json).ok()?;
        Some(json!({ "id": kept.id, "html": format!("/report/{}", kept.id), "report": report }))
    });
    json!({ "schema": "proveil.proxy-reports/v1", "reports": reports.collect::<Vec<_>>() })
}

/// One report: as a page, or with `.json` as it was made, byte for byte.
pub(super) fn report(proxy: &Proxy, id: &str) -> Result<Response<Body>> {
    let unknown = || {
        Error::new(Code::UnsupportedEndpoint)
            .expected("/report/ID or /report/ID.json, as GET /report.json lists them")
    };
    if let Some(id) = id.strip_suffix(".json") {
        let kept = proxy.reports.get(id).ok_or_else(unknown)?;
        return Ok(text_response("application/json", kept.json));
    }
    let document = proxy.reports.get(id).and_then(|kept| kept.document()).ok_or_else(unknown)?;
    Ok(html(document.to_html()))
}

/// A report brings its own policy along: no script, its own style only.
fn html(text: String) -> Response<Body> {
    guarded(
        text_response("text/html; charset=utf-8", text),
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    )
}
