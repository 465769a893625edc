//! Which provider and model a request means: `provider/model`, an alias, or a plain id that only one provider has.

use std::collections::BTreeMap;
use std::sync::Arc;

use proveil::core::wire::nearest;
use proveil::{Code, Error, Result};
use serde_json::{Value, json};

use super::gate::Caller;
use super::upstream::{Model, Upstream};

/// One place where a request can go.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) upstream: Arc<Upstream>,
    /// As the provider names it.
    pub(super) model: String,
}

/// All providers that are served.
pub(super) struct Catalog {
    pub(super) upstreams: Vec<Arc<Upstream>>,
    aliases: BTreeMap<String, Vec<String>>,
}

impl Catalog {
    pub(super) fn new(upstreams: Vec<Arc<Upstream>>, aliases: BTreeMap<String, Vec<String>>) -> Catalog {
        Catalog { upstreams, aliases }
    }

    /// Where a request for `model` may go, in order of preference: at least one place. Fails with `unknown_model`, `ambiguous_model` and
    /// what a model list fails with.
    pub(super) async fn resolve(&self, model: &str, caller: &Caller) -> Result<Vec<Target>> {
        if let Some(targets) = self.aliases.get(model) {
            let found = targets.iter().filter_map(|target| self.qualified(target)).collect::<Vec<_>>();
            return if found.is_empty() { Err(self.unknown(model, &[])) } else { Ok(found) };
        }
        if let Some(target) = self.qualified(model) {
            let models = target.upstream.models(&target.upstream.client(caller)?).await;
            return match models {
                Ok(models) if !offers(&models, &target.model) => {
                    Err(self.unknown(&target.model, &ids(&target.upstream, &models, true)))
                }
                // Whoever has no list is asked with the request.
                _ => Ok(vec![target]),
            };
        }
        self.plain(model, caller).await
    }

    /// Any endpoint of the first provider that takes requests without a model.
    pub(super) fn without_model(&self) -> Option<Target> {
        let upstream = self.upstreams.iter().find(|it| crate::api::carries_everything(it.provider()))?;
        Some(Target { upstream: upstream.clone(), model: String::new() })
    }

    async fn plain(&self, model: &str, caller: &Caller) -> Result<Vec<Target>> {
        let mut found = Vec::new();
        let mut known = Vec::new();
        let mut failed = None;
        let several = self.upstreams.len() > 1;
        for upstream in &self.upstreams {
            match upstream.models(&upstream.client(caller)?).await {
                Ok(models) if offers(&models, model) => {
                    found.push(Target { upstream: upstream.clone(), model: model.to_owned() });
                }
                Ok(models) => known.append(&mut ids(upstream, &models, several)),
                Err(error) => failed = Some(error),
            }
        }
        match (found.len(), failed) {
            (1, _) => Ok(found),
            (0, Some(error)) => match self.upstreams.first() {
                // The endpoint itself says whether it knows the model.
                Some(upstream) if !several => {
                    Ok(vec![Target { upstream: upstream.clone(), model: model.to_owned() }])
                }
                _ => Err(error),
            },
            (0, None) => Err(self.unknown(model, &known)),
            _ => {
                let names: Vec<String> = found
                    .iter()
                    .map(|target| format!("{}/{model}", target.upstream.provider().name()))
                    .collect();
                Err(Error::new(Code::AmbiguousModel).at("model").expected(names.join(" or ")))
            }
        }
    }

    /// Where something is shown that cannot be resolved: the provider that is meant, as far as that is known, and the model.
    pub(super) fn place(&self, model: &str) -> (String, String) {
        if let Some(target) = self.qualified(model) {
            return (target.upstream.provider().name().to_owned(), target.model);
        }
        let name = match self.upstreams.as_slice() {
            [only] => only.provider().name(),
            _ => "any",
        };
        (name.to_owned(), model.to_owned())
    }

    fn qualified(&self, text: &str) -> Option<Target> {
        let (name, model) = text.split_once('/')?;
        let upstream = self.upstreams.iter().find(|upstream| upstream.provider().name() == name)?;
        (!model.is_empty()).then(|| Target { upstream: upstream.clone(), model: model.to_owned() })
    }

    fn unknown(&self, model: &str, known: &[String]) -> Error {
        let shown: String = model.chars().take(64).map(|c| if c.is_control() { '?' } else { c }).collect();
        let error = Error::new(Code::UnknownModel).at("model").found(shown);
        let names = || known.iter().map(String::as_str).chain(self.aliases.keys().map(String::as_str));
        // Ids without their provider are what most people mistype.
        let short = || names().filter_map(|name| name.split_once('/').map(|(_, id)| id));
        match nearest(model, names().chain(short())) {
            Some(near) => error.context(format!("Did you mean `{near}`? GET /v1/models lists all.")),
            None => error.context("GET /v1/models lists all."),
        }
    }

    /// `GET /v1/models` in a form that OpenAI's and Anthropic's libraries both read.
    pub(super) async fn list(&self, caller: &Caller) -> Result<Value> {
        let several = self.upstreams.len() > 1;
        let mut data: Vec<Value> = Vec::new();
        let mut failed = None;
        for upstream in &self.upstreams {
            match upstream.models(&upstream.client(caller)?).await {
                Ok(models) => data.extend(models.iter().map(|model| entry(upstream, model, several))),
                Err(error) => failed = Some(error),
            }
        }
        if let Some(error) = failed.filter(|_| data.is_empty()) {
            return Err(error);
        }
        data.extend(self.aliases.iter().map(|(alias, targets)| {
            json!({ "id": alias, "object": "model", "type": "model", "display_name": alias, "created": 0,
                    "created_at": "1970-01-01T00:00:00Z", "owned_by": "proveil", "targets": targets })
        }));
        let id = |entry: Option<&Value>| entry.and_then(|entry| entry.get("id")).cloned();
        let (first, last) = (id(data.first()), id(data.last()));
        Ok(json!({ "object": "list", "data": data, "has_more": false, "first_id": first, "last_id": last }))
    }
}

/// An id as the list has it, or without what stands before its slash.
fn offers(models: &[Model], id: &str) -> bool {
    let short = |model: &Model| model.id.rsplit_once('/').is_some_and(|(_, short)| short == id);
    models.iter().any(|model| model.id == id) || models.iter().filter(|model| short(model)).count() == 1
}

fn ids(upstream: &Upstream, models: &[Model], qualified: bool) -> Vec<String> {
    let name = upstream.provider().name();
    let id = |model: &Model| if qualified { format!("{name}/{}", model.id) } else { model.id.clone() };
    models.iter().map(id).collect()
}

fn entry(upstream: &Upstream, model: &Model, qualified: bool) -> Value {
    let name = upstream.provider().name();
    let id = if qualified { format!("{name}/{}", model.id) } else { model.id.clone() };
    let mut entry = json!({
        "id": id, "object": "model", "type": "model", "display_name": model.id, "created": 0,
        "created_at": "1970-01-01T00:00:00Z", "owned_by": name,
    });
    if let Some(members) = entry.as_object_mut() {
        if !model.tasks.is_empty() {
            members.insert("tasks".to_owned(), json!(model.tasks));
        }
        if let Some(tokens) = model.context_tokens {
            members.insert("context_tokens".to_owned(), json!(tokens));
        }
    }
    entry
}
