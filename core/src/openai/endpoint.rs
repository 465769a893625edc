//! Endpoints by their paths. Whatever is not listed is refused: a path that is passed on without sealing would be a leak (threats T48).

use crate::error::{Code, Error, Result, cleaned};
use crate::http::Method;

/// Longest path of an unstructured document service, in bytes.
const PATH_MAX_BYTES: usize = 256;
/// What the path of an unstructured document service begins with.
const UNSTRUCTURED: &str = "/unstructured/";
/// What a refusal says there is.
const PATHS: &str = "/v1/chat/completions, /v1/completions, /v1/embeddings, /v1/audio/transcriptions, /v1/messages, /unstructured/..., /v1/models";

/// An endpoint of the API.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ApiEndpoint {
    /// `/v1/chat/completions`
    ChatCompletions,
    /// `/v1/completions`
    Completions,
    /// `/v1/embeddings`
    Embeddings,
    /// `/v1/audio/transcriptions`
    Transcriptions,
    /// `/v1/messages` (Anthropic's shape)
    Messages,
    /// A path below `/unstructured/`, as it is sent.
    Unstructured(String),
    /// `/v1/models`
    Models,
}

/// What the body of a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// A JSON object.
    Json,
    /// A form with files.
    Form,
    /// Bytes of any kind.
    Raw,
    /// Nothing.
    None,
}

impl ApiEndpoint {
    /// The endpoint with exactly this path. Fails with `unsupported_endpoint`.
    pub fn parse(path: &str) -> Result<ApiEndpoint> {
        let fixed = [
            ApiEndpoint::ChatCompletions,
            ApiEndpoint::Completions,
            ApiEndpoint::Embeddings,
            ApiEndpoint::Transcriptions,
            ApiEndpoint::Messages,
            ApiEndpoint::Models,
        ];
        if let Some(endpoint) = fixed.into_iter().find(|endpoint| endpoint.path() == path) {
            return Ok(endpoint);
        }
        if is_unstructured(path) {
            return Ok(ApiEndpoint::Unstructured(path.to_owned()));
        }
        // What follows a question mark can be anything of the caller's.
        let shown = path.split(['?', '#']).next().unwrap_or_default();
        Err(Error::new(Code::UnsupportedEndpoint).found(cleaned(shown, 64)).expected(PATHS))
    }

    /// The path.
    pub fn path(&self) -> &str {
        match self {
            ApiEndpoint::ChatCompletions => "/v1/chat/completions",
            ApiEndpoint::Completions => "/v1/completions",
            ApiEndpoint::Embeddings => "/v1/embeddings",
            ApiEndpoint::Transcriptions => "/v1/audio/transcriptions",
            ApiEndpoint::Messages => "/v1/messages",
            ApiEndpoint::Unstructured(path) => path,
            ApiEndpoint::Models => "/v1/models",
        }
    }

    /// The only method that the endpoint has.
    pub const fn method(&self) -> Method {
        if matches!(self, ApiEndpoint::Models) { Method::Get } else { Method::Post }
    }

    /// What the body of a request is.
    pub const fn body(&self) -> BodyKind {
        match self {
            ApiEndpoint::Transcriptions => BodyKind::Form,
            ApiEndpoint::Unstructured(_) => BodyKind::Raw,
            ApiEndpoint::Models => BodyKind::None,
            _ => BodyKind::Json,
        }
    }

    /// True where a request holds a conversation or prompt whose processing the server can keep for the next one.
    pub const fn has_prompt_cache(&self) -> bool {
        matches!(self, ApiEndpoint::ChatCompletions | ApiEndpoint::Completions | ApiEndpoint::Messages)
    }
}

/// True for a path of plain segments, none of which leads elsewhere.
fn is_unstructured(path: &str) -> bool {
    let Some(rest) = path.strip_prefix(UNSTRUCTURED) else { return false };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    path.len() <= PATH_MAX_BYTES
        && rest
            .split('/')
            .all(|segment| !segment.is_empty() && !segment.starts_with('.') && segment.bytes().all(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// T48: nothing but the listed paths, exactly as they are written.
    #[test]
    fn paths() {
        for path in [
            "/v1/chat/completions",
            "/v1/completions",
            "/v1/embeddings",
            "/v1/audio/transcriptions",
            "/v1/messages",
            "/v1/models",
            "/unstructured/general/v0/general",
            "/unstructured/healthcheck",
        ] {
            let endpoint = ApiEndpoint::parse(path).unwrap();
            assert_eq!(endpoint.path(), path);
            assert_eq!(endpoint.method() == Method::Get, path == "/v1/models");
        }
        let long = format!("/unstructured/{}", "a".repeat(300));
        for path in [
            "",
            "/",
            "/v1/chat/completions/",
            "/V1/chat/completions",
            "v1/chat/completions",
            "//v1/chat/completions",
            "/v1/chat/completions?x=CANARY",
            "/v1/models/m",
            "/v1/responses",
            "/v1/audio/translations",
            "/v1/files",
            "/unstructured",
            "/unstructured/",
            "/unstructured/../v1/models",
            "/unstructured/a//b",
            "/unstructured/a/",
            "/unstructured/a?b=CANARY",
            "/unstructured/a#b",
            "/unstructured/%2e%2e/a",
            "/unstructured/a\r\nX: y",
            "/unstructured/\u{e4}",
            "/v1/chat/\u{0}completions",
            &long,
        ] {
            let error = ApiEndpoint::parse(path).unwrap_err();
            assert_eq!(error.code(), Code::UnsupportedEndpoint, "{path:?}");
            assert!(!error.to_string().contains("CANARY"));
        }
    }
}
