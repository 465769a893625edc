//! One call of the API: its body is read to the end and checked, the model says where it goes, a client verifies and seals, and the
//! proven answer is written as the caller's API has it. A request is never forwarded as it came.

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderMap};
use axum::http::{HeaderValue, Response};
use proveil::core::openai::ApiEndpoint;
use proveil::{Class, Code, Error, Result, Stream};

use super::body::Held;
use super::catalog::Target;
use super::gate::Caller;
use super::health;
use super::metrics::Answering;
use super::state::{Proxy, State};
use super::stream;
use crate::api::{Adapted, Outline, Toolbox, unsupported};

/// A call whose body was read.
pub(super) struct Call {
    pub(super) endpoint: ApiEndpoint,
    pub(super) content_type: Option<String>,
    pub(super) body: Held,
    pub(super) caller: Caller,
}

impl Call {
    pub(super) fn content_type(headers: &HeaderMap) -> Option<String> {
        headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned)
    }

    /// Answers the call. An error before the first byte of an answer is the caller's to see in its own dialect.
    pub(super) async fn answer(self, proxy: &Arc<Proxy>) -> Result<Response<Body>> {
        let outline = Outline::of(&self.endpoint, self.content_type.as_deref(), &self.body)?;
        let state = proxy.state.load_full();
        let targets = match &outline.model {
            Some(model) => state.catalog.resolve(model, &self.caller).await?,
            None => vec![state.catalog.without_model().ok_or_else(|| unsupported(&self.endpoint))?],
        };
        let mut targets = targets.into_iter().peekable();
        while let Some(target) = targets.next() {
            match self.attempt(proxy, &state, &target, &outline).await {
                Ok(answered) => return answered.map_err(|error| target.upstream.blamed(error)),
                Err(error) if goes_on(&error) && targets.peek().is_some() => {
                    proxy.metrics.failover(target.upstream.provider(), &error);
                }
                Err(error) => return Err(target.upstream.blamed(error)),
            }
        }
        Err(Error::new(Code::Internal).at("targets"))
    }

    /// Asks one endpoint. An outer error came before any byte of an answer; an inner one is the answer's own and final, since whoever began
    /// to answer may charge for it (threats T49).
    async fn attempt(
        &self,
        proxy: &Arc<Proxy>,
        state: &Arc<State>,
        target: &Target,
        outline: &Outline,
    ) -> Result<Result<Response<Body>>> {
        let provider = target.upstream.provider();
        let answering = Answering::new(proxy, provider, &self.endpoint, self.caller.id.clone())?;
        let adapted = Adapted {
            provider,
            endpoint: &self.endpoint,
            content_type: self.content_type.as_deref(),
            body: &self.body,
            outline,
            model: &target.model,
            emulate_tools: proxy.emulate_tools,
        };
        let sent = adapted.send(&target.upstream.client(&self.caller)?).await;
        let (stream, toolbox) =
            sent.inspect_err(|error| health::note_failure(proxy, state, target, error))?;
        health::note_proof(proxy, state, target, stream.report());
        let report_id = proxy.reports.id_of(stream.report());
        let verdict = verdict_of(&stream);
        let answered = write(&adapted, stream, toolbox, answering).await;
        Ok(answered.map(|mut response| {
            let headers = response.headers_mut();
            set(headers, "x-proveil-verdict", &verdict);
            set(headers, "x-proveil-report", &format!("/report/{report_id}"));
            set(headers, "x-proveil-provider", provider.name());
            response
        }))
    }
}

/// The answer as its caller asked for it.
async fn write(
    adapted: &Adapted<'_>,
    stream: Stream,
    toolbox: Option<Toolbox>,
    answering: Answering,
) -> Result<Response<Body>> {
    if adapted.outline.streams {
        let body = stream::streamed(stream, adapted.chunks(toolbox)?, answering).await?;
        return Ok(response(body, "text/event-stream"));
    }
    let document = stream::whole(stream, adapted.whole(toolbox)?.as_mut(), answering).await?;
    Ok(response(Body::from(document), "application/json"))
}

/// Whether the next model of an alias is asked: where this one could not be proven or reached. A mistake of the caller stays one.
fn goes_on(error: &Error) -> bool {
    let unreachable = matches!(
        error.code(),
        Code::UpstreamUnavailable
            | Code::UpstreamRateLimited
            | Code::UpstreamUnauthorized
            | Code::UpstreamPayment
            | Code::ConnectionFailed
            | Code::Timeout
            | Code::StaleKey
    );
    unreachable || matches!(error.code().class(), Class::Verification | Class::Indeterminate)
}

fn response(body: Body, content_type: &'static str) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(axum::http::header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Sets a header whose value is of the proxy's own making.
pub(super) fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn verdict_of(stream: &Stream) -> String {
    let report = stream.report();
    let level = report.level().map(|level| format!(" {}", level.name())).unwrap_or_default();
    let custom = if report.roots() == proveil::core::report::Roots::Custom { " CUSTOM roots" } else { "" };
    format!("{}{level}{custom}", report.verdict().name())
}
