//! A call as one provider takes it: endpoints that it does not seal are made of those that it does, and its answer is written as the
//! caller's API has it.

use std::ops::Deref;
use std::time::{SystemTime, UNIX_EPOCH};

use proveil::core::endpoint::ApiRequest;
use proveil::core::limits::JSON_MAX_VALUES;
use proveil::core::openai::forms::{Form, FormWriter, fresh_boundary};
use proveil::core::openai::{ApiEndpoint, BodyKind};
use proveil::{Client, Code, Error, Provider, Result, Stream};
use serde_json::Value;
use zeroize::Zeroizing;

use super::outline::json_with_model;
use super::{
    ChatChunks, ChatWhole, Chunks, Dialect, Documents, Marks, MessageEvents, MessageWhole, Outline,
    ToolChunks, ToolWhole, Toolbox, Whole, chat_body, into_prompt, random_id,
};

/// Endpoints that are made of chat completions where a provider seals nothing else.
const FROM_CHAT: [ApiEndpoint; 2] = [ApiEndpoint::ChatCompletions, ApiEndpoint::Messages];

/// Whether a provider seals every endpoint, and answers in the API's own shape.
pub(crate) const fn carries_everything(provider: Provider) -> bool {
    matches!(provider, Provider::Privatemode)
}

/// A call for one provider.
pub(crate) struct Adapted<'a> {
    pub(crate) provider: Provider,
    pub(crate) endpoint: &'a ApiEndpoint,
    pub(crate) content_type: Option<&'a str>,
    pub(crate) body: &'a [u8],
    pub(crate) outline: &'a Outline,
    /// As the provider names it.
    pub(crate) model: &'a str,
    /// Tool calls by prompt where the provider cannot carry tools.
    pub(crate) emulate_tools: bool,
}

impl Adapted<'_> {
    /// Verifies, seals and sends. The toolbox belongs to the answer.
    pub(crate) async fn send(&self, client: &Client) -> Result<(Stream, Option<Toolbox>)> {
        let mut toolbox = None;
        let stream = if carries_everything(self.provider) {
            let (content_type, body) = self.with_model()?;
            let request = ApiRequest::new(self.endpoint.clone(), content_type.as_deref(), &body);
            client.send(&request).await
        } else if *self.endpoint == ApiEndpoint::Messages {
            // What was parsed takes many times its text, and is gone before anything is waited for.
            let chat = {
                let body = document(self.body)?;
                Zeroizing::new(chat_body(&body, self.model)?.to_string())
            };
            client.chat(chat.as_bytes()).await
        } else if FROM_CHAT.contains(self.endpoint) {
            let (_, mut body) = self.with_model()?;
            if self.emulate_tools && self.outline.has_tools {
                let mut chat = document(&body)?;
                toolbox = into_prompt(&mut chat)?;
                body = Text::Changed(Zeroizing::new(chat.to_string().into_bytes()));
            }
            client.chat(&body).await
        } else {
            return Err(unsupported(self.endpoint)
                .expected("/v1/chat/completions or /v1/messages")
                .context(format!("{} seals chat completions and messages only.", self.provider.name())));
        }?;
        Ok((stream, toolbox))
    }

    /// What writes the answer as a stream.
    pub(crate) fn chunks(&self, toolbox: Option<Toolbox>) -> Result<Box<dyn Chunks>> {
        let outline = self.outline;
        let chat = || Ok::<_, Error>(ChatChunks::new(&self.marks("chatcmpl-")?, outline.wants_usage));
        Ok(match (carries_everything(self.provider), self.is_messages(), toolbox) {
            (true, ..) => Box::new(Documents::new(self.dialect())),
            (false, true, _) => Box::new(MessageEvents::new(self.marks("msg_")?, outline.wants_thinking)),
            (false, false, Some(toolbox)) => Box::new(ToolChunks::new(toolbox, chat()?)),
            (false, false, None) => Box::new(chat()?),
        })
    }

    /// What writes the answer as one document.
    pub(crate) fn whole(&self, toolbox: Option<Toolbox>) -> Result<Box<dyn Whole>> {
        let chat = || Ok::<_, Error>(ChatWhole::new(self.marks("chatcmpl-")?));
        Ok(match (carries_everything(self.provider), self.is_messages(), toolbox) {
            (true, ..) => Box::new(Documents::new(self.dialect())),
            (false, true, _) => Box::new(MessageWhole::new(self.marks("msg_")?, self.outline.wants_thinking)),
            (false, false, Some(toolbox)) => Box::new(ToolWhole::new(toolbox, chat()?)),
            (false, false, None) => Box::new(chat()?),
        })
    }

    fn is_messages(&self) -> bool {
        *self.endpoint == ApiEndpoint::Messages
    }

    fn dialect(&self) -> Dialect {
        Dialect::of(self.endpoint.path())
    }

    /// With the model as the caller named it.
    fn marks(&self, prefix: &str) -> Result<Marks> {
        let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
        let model = self.outline.model.as_deref().unwrap_or(self.model).to_owned();
        Ok(Marks { id: format!("{prefix}{}", random_id()?), created, model })
    }

    /// Content type and body with the model as the provider names it.
    fn with_model(&self) -> Result<(Option<String>, Text<'_>)> {
        let content_type = || self.content_type.map(str::to_owned);
        if self.outline.model.as_deref().is_none_or(|named| named == self.model) {
            return Ok((content_type(), Text::AsGiven(self.body)));
        }
        match self.endpoint.body() {
            BodyKind::Form => self.form_with_model().map(|(kind, body)| (kind, Text::Changed(body))),
            _ => Ok((content_type(), Text::Changed(json_with_model(self.body, self.model)?))),
        }
    }

    fn form_with_model(&self) -> Result<(Option<String>, Zeroizing<Vec<u8>>)> {
        let form = Form::parse(self.content_type.unwrap_or_default(), self.body)?;
        let boundary = fresh_boundary(&mut OsRandom)?;
        let mut out = Zeroizing::new(Vec::with_capacity(self.body.len().saturating_add(4096)));
        let mut writer = FormWriter::new(&mut out, &boundary);
        for part in form.parts() {
            let is_model = part.file.is_none() && part.name == "model";
            let data = if is_model { self.model.as_bytes() } else { part.data };
            writer.part(&part.name, part.file.as_deref())?.extend_from_slice(data);
        }
        writer.finish();
        Ok((Some(FormWriter::content_type(&boundary)), out))
    }
}

/// Parses a body of no more values than the core reads, which bounds the memory that they take.
fn document(body: &[u8]) -> Result<Value> {
    let refuse = || Error::new(Code::MalformedRequest);
    let (mut values, mut in_text, mut escaped) = (1_usize, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b',' | b'{' | b'[' if !in_text => values = values.saturating_add(1),
            _ => {}
        }
    }
    if values > JSON_MAX_VALUES {
        return Err(refuse().expected(format!("at most {JSON_MAX_VALUES} values")));
    }
    serde_json::from_slice(body).map_err(|_| refuse())
}

/// A body, without a copy where nothing of it changes.
enum Text<'a> {
    AsGiven(&'a [u8]),
    Changed(Zeroizing<Vec<u8>>),
}

impl Deref for Text<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Text::AsGiven(body) => body,
            Text::Changed(body) => body,
        }
    }
}

/// The operating system's random source, for what is made up here.
struct OsRandom;

impl proveil::core::crypto::SecureRandom for OsRandom {
    fn fill(&mut self, out: &mut [u8]) -> Result<()> {
        getrandom::fill(out).map_err(|_| Error::new(Code::RandomFailed))
    }
}

/// An endpoint that a provider does not seal.
pub(crate) fn unsupported(endpoint: &ApiEndpoint) -> Error {
    Error::new(Code::UnsupportedEndpoint).found(endpoint.path().chars().take(64).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// T44: many small values take far more memory than their text.
    #[test]
    fn t44_values_are_counted() {
        let list = |count: usize| format!("[{}]", vec!["1"; count].join(","));
        assert!(document(list(JSON_MAX_VALUES - 1).as_bytes()).is_ok());
        assert_eq!(
            document(list(JSON_MAX_VALUES + 1).as_bytes()).unwrap_err().code(),
            Code::MalformedRequest
        );
        let nested = format!("[{}]", vec!["{\"a\":[[]]}"; JSON_MAX_VALUES / 3].join(","));
        assert_eq!(document(nested.as_bytes()).unwrap_err().code(), Code::MalformedRequest);
        // Nothing within a text counts.
        let text = format!("{{\"a\":\"\\\\\\\"{}\"}}", ",[{".repeat(JSON_MAX_VALUES));
        assert!(document(text.as_bytes()).is_ok(), "{}", &text[..16]);
    }
}
