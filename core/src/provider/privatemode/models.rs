//! The model list (privatemode.md 2.4, 8). It travels in clear and proves nothing: it is for choosing a name.

use super::headers::request_id;
use super::options::PrivatemodeOptions;
use crate::crypto::SecureRandom;
use crate::error::{Code, Error, Result};
use crate::http::{BaseUrl, HttpRequest, HttpResponse, Method};
use crate::limits::MODEL_LIST_MAX_BYTES;
use crate::provider::Provider;
use crate::provider::collateral::check_status;
use crate::secret::SecretText;
use crate::wire::json::Json;

/// Most models of a list, and most tasks of one.
const MODELS_MAX: usize = 4096;
const TASKS_MAX: usize = 16;
/// Longest name of a model or task.
const NAME_MAX_BYTES: usize = 256;

/// A model that the service offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// Its name in requests.
    pub id: String,
    /// What it can do: `generate`, `tool_calling`, `vision`, `embed`, `transcribe`.
    pub tasks: Vec<String>,
}

/// The request for the list, with an id of its own for the time `at` in seconds since 1970-01-01T00:00:00Z. Fails with `random_failed`.
pub fn models_request(
    base_url: Option<&BaseUrl>,
    api_key: &SecretText,
    options: &PrivatemodeOptions,
    at: u64,
    rng: &mut dyn SecureRandom,
) -> Result<HttpRequest> {
    let base = match base_url {
        Some(url) => url.clone(),
        None => BaseUrl::parse(Provider::Privatemode.default_base_url())?,
    };
    let url = format!("{}/v1/models", base.as_str());
    Ok(HttpRequest::new(Method::Get, url, "model list", MODEL_LIST_MAX_BYTES)
        .secret_header("authorization", format!("Bearer {}", api_key.expose()))
        .header("privatemode-version", options.version.as_str())
        .header("privatemode-user-request-id", request_id(at.saturating_mul(1000), rng)?)
        .header("accept", "application/json")
        .header("accept-encoding", "identity"))
}

/// The body of the answer to [`models_request`]. Fails with `models_unreachable` or `upstream_unauthorized`.
pub fn accept_models(response: &HttpResponse) -> Result<Vec<u8>> {
    response.head().check_plain()?;
    check_status(response, Code::ModelsUnreachable, "model list")?;
    Ok(response.body().to_vec())
}

/// Reads a list, `{"data":[{"id": ..., "tasks": [...]}]}`. Fails with `malformed_response` or `limit_exceeded`.
pub fn parse_models(list: &[u8]) -> Result<Vec<Model>> {
    let malformed = || Error::new(Code::MalformedResponse).at("model list");
    if list.len() > MODEL_LIST_MAX_BYTES {
        return Err(Error::new(Code::LimitExceeded).at("model list"));
    }
    let list = Json::parse(list).map_err(|_| malformed())?;
    let models = list.get("data").and_then(Json::as_array).ok_or_else(malformed)?;
    if models.len() > MODELS_MAX {
        return Err(Error::new(Code::LimitExceeded).at("model list"));
    }
    let name = |value: &Json| {
        let text = value.as_str().filter(|text| (1..=NAME_MAX_BYTES).contains(&text.len()));
        text.filter(|text| !text.chars().any(char::is_control)).map(str::to_owned)
    };
    let read = |model: &Json| {
        let tasks = model.get("tasks").and_then(Json::as_array).unwrap_or_default();
        Some(Model {
            id: name(model.get("id")?)?,
            tasks: tasks.iter().take(TASKS_MAX).filter_map(name).collect(),
        })
    };
    models.iter().map(read).collect::<Option<Vec<Model>>>().ok_or_else(malformed)
}
