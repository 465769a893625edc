//! One call of the API: its body is read to the end and checked, the model says where it goes, a client verifies and seals, and the
//! proven answer is written as the caller's API has it. A request is never forwarded as it came.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderMap};
use axum::http::{HeaderValue, Response};
use proveil::core::endpoint::ApiRequest;
use proveil::core::openai::forms::{Form, FormWriter, fresh_boundary};
use proveil::core::openai::{ApiEndpoint, BodyKind};
use proveil::core::wire::hex;
use proveil::core::wire::json::{JsonError, raw_members, write_string};
use proveil::{Class, Code, Error, Provider, Result, Stream};
use serde_json::Value;
use zeroize::Zeroizing;

use super::answer::{
    ChatChunks, ChatWhole, Chunks, Documents, Marks, MessageEvents, MessageWhole, ToolChunks, ToolWhole,
    Toolbox, Whole, chat_body, into_prompt, stream,
};
use super::catalog::Target;
use super::dialect::Dialect;
use super::gate::Caller;
use super::metrics::Answering;
use super::state::Proxy;

/// Endpoints that are made of chat completions where a provider seals nothing else.
const FROM_CHAT: [ApiEndpoint; 2] = [ApiEndpoint::ChatCompletions, ApiEndpoint::Messages];

/// Whether a provider seals every endpoint, and answers in the API's own shape.
pub(super) const fn carries_everything(provider: Provider) -> bool {
    matches!(provider, Provider::Privatemode)
}

/// A call whose body was read.
pub(super) struct Call {
    pub(super) endpoint: ApiEndpoint,
    pub(super) content_type: Option<String>,
    pub(super) body: Zeroizing<Vec<u8>>,
    pub(super) caller: Caller,
}

/// What the proxy reads of a body. The core reads it again, strictly, when it seals.
#[derive(Default)]
struct Outline {
    model: Option<String>,
    streams: bool,
    wants_usage: bool,
    wants_thinking: bool,
    /// Tools are offered, or were used before.
    has_tools: bool,
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
        let mut last = None;
        for target in targets {
            match self.attempt(proxy, &target, &outline).await {
                Ok(response) => return Ok(response),
                Err(error) if goes_on(&error) => {
                    proxy.metrics.failover(target.upstream.provider(), &error);
                    last = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(last.unwrap_or_else(|| Error::new(Code::Internal).at("targets")))
    }

    async fn attempt(
        &self,
        proxy: &Arc<Proxy>,
        target: &Target,
        outline: &Outline,
    ) -> Result<Response<Body>> {
        let provider = target.upstream.provider();
        let answering = Answering::new(proxy, provider, &self.endpoint, self.caller.id.clone())?;
        let client = target.upstream.client(&self.caller)?;
        let mut toolbox = None;
        let stream = if carries_everything(provider) {
            let (content_type, body) = self.with_model(outline, &target.model)?;
            let request = ApiRequest::new(self.endpoint.clone(), content_type.as_deref(), &body);
            client.send(&request).await
        } else if self.endpoint == ApiEndpoint::Messages {
            let body = serde_json::from_slice(&self.body).map_err(|_| Error::new(Code::MalformedRequest))?;
            let chat = Zeroizing::new(chat_body(&body, &target.model)?.to_string());
            client.chat(chat.as_bytes()).await
        } else if FROM_CHAT.contains(&self.endpoint) {
            let (_, mut body) = self.with_model(outline, &target.model)?;
            if proxy.emulate_tools && outline.has_tools {
                let mut chat: Value =
                    serde_json::from_slice(&body).map_err(|_| Error::new(Code::MalformedRequest))?;
                toolbox = into_prompt(&mut chat)?;
                body = Zeroizing::new(chat.to_string().into_bytes());
            }
            client.chat(&body).await
        } else {
            return Err(unsupported(&self.endpoint)
                .expected("/v1/chat/completions or /v1/messages")
                .context(format!("{} seals chat completions and messages only.", provider.name())));
        }?;
        let report_id = proxy.reports.id_of(stream.report());
        let verdict = verdict_of(&stream);
        let mut response = self.write(provider, outline, target, stream, toolbox, answering).await?;
        let headers = response.headers_mut();
        set(headers, "x-proveil-verdict", &verdict);
        set(headers, "x-proveil-report", &format!("/report/{report_id}"));
        set(headers, "x-proveil-provider", provider.name());
        Ok(response)
    }

    async fn write(
        &self,
        provider: Provider,
        outline: &Outline,
        target: &Target,
        stream: Stream,
        toolbox: Option<Toolbox>,
        answering: Answering,
    ) -> Result<Response<Body>> {
        let dialect = Dialect::of(self.endpoint.path());
        let messages = self.endpoint == ApiEndpoint::Messages;
        let model = outline.model.clone().unwrap_or_else(|| target.model.clone());
        if outline.streams {
            let chat =
                |model| Ok::<_, Error>(ChatChunks::new(&marks("chatcmpl-", model)?, outline.wants_usage));
            let chunks: Box<dyn Chunks> = match (carries_everything(provider), messages, toolbox) {
                (true, ..) => Box::new(Documents::new(dialect)),
                (false, true, _) => {
                    Box::new(MessageEvents::new(marks("msg_", model)?, outline.wants_thinking))
                }
                (false, false, Some(toolbox)) => Box::new(ToolChunks::new(toolbox, chat(model)?)),
                (false, false, None) => Box::new(chat(model)?),
            };
            let body = stream::streamed(stream, chunks, answering).await?;
            return Ok(response(body, "text/event-stream"));
        }
        let chat = |model| Ok::<_, Error>(ChatWhole::new(marks("chatcmpl-", model)?));
        let mut whole: Box<dyn Whole> = match (carries_everything(provider), messages, toolbox) {
            (true, ..) => Box::new(Documents::new(dialect)),
            (false, true, _) => Box::new(MessageWhole::new(marks("msg_", model)?, outline.wants_thinking)),
            (false, false, Some(toolbox)) => Box::new(ToolWhole::new(toolbox, chat(model)?)),
            (false, false, None) => Box::new(chat(model)?),
        };
        let document = stream::whole(stream, whole.as_mut(), answering).await?;
        Ok(response(Body::from(document), "application/json"))
    }

    /// Content type and body with the model as the provider names it.
    fn with_model(&self, outline: &Outline, model: &str) -> Result<(Option<String>, Zeroizing<Vec<u8>>)> {
        if outline.model.as_deref().is_none_or(|named| named == model) {
            return Ok((self.content_type.clone(), self.body.clone()));
        }
        match self.endpoint.body() {
            BodyKind::Form => self.form_with_model(model),
            _ => Ok((self.content_type.clone(), json_with_model(&self.body, model)?)),
        }
    }

    fn form_with_model(&self, model: &str) -> Result<(Option<String>, Zeroizing<Vec<u8>>)> {
        let form = Form::parse(self.content_type.as_deref().unwrap_or_default(), &self.body)?;
        let boundary = fresh_boundary(&mut OsRandom)?;
        let mut out = Zeroizing::new(Vec::with_capacity(self.body.len().saturating_add(4096)));
        let mut writer = FormWriter::new(&mut out, &boundary);
        for part in form.parts() {
            let is_model = part.file.is_none() && part.name == "model";
            let data = if is_model { model.as_bytes() } else { part.data };
            writer.part(&part.name, part.file.as_deref())?.extend_from_slice(data);
        }
        writer.finish();
        Ok((Some(FormWriter::content_type(&boundary)), out))
    }
}

/// The operating system's random source, for what the proxy makes up itself.
struct OsRandom;

impl proveil::core::crypto::SecureRandom for OsRandom {
    fn fill(&mut self, out: &mut [u8]) -> Result<()> {
        getrandom::fill(out).map_err(|_| Error::new(Code::RandomFailed))
    }
}

impl Outline {
    fn of(endpoint: &ApiEndpoint, content_type: Option<&str>, body: &[u8]) -> Result<Outline> {
        match endpoint.body() {
            BodyKind::Json => Outline::of_json(body),
            BodyKind::Form => {
                let form = Form::parse(content_type.unwrap_or_default(), body)?;
                let text =
                    |name: &str| form.first_value(name).and_then(|value| std::str::from_utf8(value).ok());
                let model = text("model").map(str::to_owned).ok_or_else(no_model)?;
                Ok(Outline {
                    model: Some(model),
                    streams: text("stream") == Some("true"),
                    ..Outline::default()
                })
            }
            BodyKind::Raw | BodyKind::None => Ok(Outline::default()),
        }
    }

    fn of_json(body: &[u8]) -> Result<Outline> {
        let text = std::str::from_utf8(body).map_err(|_| Error::new(Code::MalformedRequest))?;
        let mut outline = Outline::default();
        for (name, value) in raw_members(text).map_err(cause)? {
            match name.as_ref() {
                "model" => outline.model = serde_json::from_str(value.get()).map_err(|_| no_model())?,
                "stream" => outline.streams = value.get() == "true",
                "stream_options" => {
                    let options: Option<Value> = serde_json::from_str(value.get()).ok();
                    outline.wants_usage =
                        options.and_then(|options| options.get("include_usage")?.as_bool()).unwrap_or(false);
                }
                "thinking" => {
                    let thinking: Option<Value> = serde_json::from_str(value.get()).ok();
                    let kind = thinking.as_ref().and_then(|it| it.get("type")).and_then(Value::as_str);
                    outline.wants_thinking = matches!(kind, Some("enabled" | "adaptive"));
                }
                "tools" => outline.has_tools |= value.get() != "null",
                // Said again by the reader below, which looks at every message.
                "messages" => outline.has_tools |= value.get().contains("\"tool"),
                _ => {}
            }
        }
        if outline.model.is_none() {
            return Err(no_model());
        }
        Ok(outline)
    }
}

fn no_model() -> Error {
    Error::new(Code::InvalidArgument).at("model").expected("a text")
}

fn cause(error: JsonError) -> Error {
    match error {
        JsonError::Malformed => Error::new(Code::MalformedRequest),
        JsonError::DuplicateMember => Error::new(Code::DuplicateMember),
    }
}

/// The body with another `model`; everything else stays byte for byte.
fn json_with_model(body: &[u8], model: &str) -> Result<Zeroizing<Vec<u8>>> {
    let text = std::str::from_utf8(body).map_err(|_| Error::new(Code::MalformedRequest))?;
    let members = raw_members(text).map_err(cause)?;
    let value = members
        .iter()
        .find(|(name, _)| name == "model")
        .map(|(_, value)| value.get())
        .ok_or_else(no_model)?;
    // The value is a part of the text.
    let start = value.as_ptr().addr().checked_sub(text.as_ptr().addr());
    let (before, rest) = start.and_then(|start| text.split_at_checked(start)).ok_or_else(no_model)?;
    let after = rest.get(value.len()..).ok_or_else(no_model)?;
    let mut out = String::with_capacity(text.len().saturating_add(model.len()).saturating_add(2));
    out.push_str(before);
    write_string(model, &mut out);
    out.push_str(after);
    Ok(Zeroizing::new(out.into_bytes()))
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

fn unsupported(endpoint: &ApiEndpoint) -> Error {
    Error::new(Code::UnsupportedEndpoint).found(endpoint.path().chars().take(64).collect::<String>())
}

fn marks(prefix: &str, model: String) -> Result<Marks> {
    let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
    Ok(Marks { id: format!("{prefix}{}", random_id()?), created, model })
}

/// 24 hex digits that nobody else has.
pub(super) fn random_id() -> Result<String> {
    let mut bytes = [0_u8; 12];
    getrandom::fill(&mut bytes).map_err(|_| Error::new(Code::RandomFailed))?;
    Ok(hex::encode(&bytes))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_model_changes() {
        let body = r#"{ "a": 1.0, "model" : "p/m" ,"messages":[ {"content":"\u00e4"} ]}"#;
        let expected = r#"{ "a": 1.0, "model" : "m" ,"messages":[ {"content":"\u00e4"} ]}"#;
        assert_eq!(json_with_model(body.as_bytes(), "m").unwrap().as_slice(), expected.as_bytes());
        assert_eq!(json_with_model(br#"{"a":1}"#, "m").unwrap_err().code(), Code::InvalidArgument);
    }

    #[test]
    fn outlines() {
        let outline = |body: &str| Outline::of(&ApiEndpoint::ChatCompletions, None, body.as_bytes());
        let full = outline(
            r#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"thinking":{"type":"enabled"}}"#,
        );
        let full = full.unwrap();
        assert_eq!(full.model.as_deref(), Some("m"));
        assert!(full.streams && full.wants_usage && full.wants_thinking);
        for (body, code) in [
            ("", Code::MalformedRequest),
            ("[]", Code::MalformedRequest),
            ("{}", Code::InvalidArgument),
            (r#"{"model":1}"#, Code::InvalidArgument),
            (r#"{"model":null}"#, Code::InvalidArgument),
            (r#"{"model":"m","model":"n"}"#, Code::DuplicateMember),
        ] {
            assert_eq!(outline(body).err().map(|error| error.code()), Some(code), "{body}");
        }
    }
}
