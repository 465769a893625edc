//! Keeps endpoints proven before anybody asks, and says whether the proxy can serve (users.md 8: ready means that at least one endpoint is
//! verified now).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proveil::{Class, Error};
use serde_json::{Value, json};

use super::catalog::Catalog;
use super::gate::Caller;
use super::state::Proxy;
use super::upstream::Upstream;

/// Between two looks; the client renews proofs well before they end.
const LOOK_EVERY: Duration = Duration::from_secs(20);
/// After a look that found nothing verified.
const LOOK_AGAIN: Duration = Duration::from_secs(3);
/// After many of those.
const LOOK_AGAIN_MAX: Duration = Duration::from_secs(60);

/// How a provider was found.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub(super) model: String,
    pub(super) outcome: &'static str,
    /// When the proof ends.
    pub(super) not_after: Option<u64>,
    /// One line of the report, or of the error.
    pub(super) line: String,
    pub(super) code: Option<String>,
    /// What to do next.
    pub(super) hint: Option<&'static str>,
    pub(super) report: Option<String>,
}

/// The newest standing of every provider and model that is kept verified.
#[derive(Default)]
pub(super) struct Health {
    standings: Mutex<BTreeMap<(String, String), Standing>>,
}

impl Health {
    /// True while a proof holds.
    pub(super) fn is_ready(&self) -> bool {
        let now = unix_s();
        self.all().values().any(|standing| standing.not_after.is_some_and(|end| now < end))
    }

    pub(super) fn all(&self) -> BTreeMap<(String, String), Standing> {
        self.standings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, provider: &str, standing: Standing) {
        let key = (provider.to_owned(), standing.model.clone());
        self.standings.lock().unwrap_or_else(PoisonError::into_inner).insert(key, standing);
    }

    /// For `/readyz` and the page.
    pub(super) fn document(&self) -> Value {
        let endpoints: Vec<Value> = self
            .all()
            .into_iter()
            .map(|((provider, _), standing)| {
                json!({ "provider": provider, "model": standing.model, "outcome": standing.outcome,
                        "not_after": standing.not_after, "line": standing.line, "code": standing.code,
                        "hint": standing.hint,
                        "report": standing.report.map(|id| format!("/report/{id}")) })
            })
            .collect();
        json!({ "schema": "proveil.proxy-status/v1", "ready": self.is_ready(), "endpoints": endpoints })
    }
}

/// Seconds since 1970-01-01T00:00:00Z.
fn unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

/// Looks after the proofs until it is dropped.
pub(super) async fn watch(proxy: Arc<Proxy>) {
    let mut pause = LOOK_AGAIN;
    loop {
        let state = proxy.state.load_full();
        look(&proxy, &state.catalog).await;
        let ready = proxy.health.is_ready();
        proxy.metrics.ready(ready);
        proxy.metrics.tidy();
        let keyless = state.catalog.upstreams.iter().all(|upstream| upstream.own().is_none());
        if ready || keyless {
            pause = LOOK_AGAIN;
            tokio::time::sleep(LOOK_EVERY).await;
        } else {
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2).min(LOOK_AGAIN_MAX);
        }
    }
}

async fn look(proxy: &Arc<Proxy>, catalog: &Catalog) {
    for upstream in &catalog.upstreams {
        // Where callers bring their keys there is nothing to ask with.
        let Some(client) = upstream.own() else { continue };
        for model in models_of(proxy, upstream).await {
            let result = client.ready(&model).await;
            let standing = match &result {
                Ok(endpoint) => Standing {
                    model,
                    outcome: "verified",
                    not_after: Some(endpoint.not_after()),
                    line: endpoint.report().headline().to_owned(),
                    code: None,
                    hint: None,
                    report: Some(proxy.reports.id_of(endpoint.report())),
                },
                Err(error) => failed(proxy, model, error),
            };
            proxy.metrics.verification(upstream.provider(), standing.outcome, standing.not_after);
            if let Some(code) = &standing.code {
                tracing::warn!(provider = upstream.provider().name(), code, "not verified");
            }
            proxy.health.set(upstream.provider().name(), standing);
        }
    }
}

fn failed(proxy: &Arc<Proxy>, model: String, error: &Error) -> Standing {
    let outcome = if error.code().class() == Class::Verification { "refused" } else { "indeterminate" };
    Standing {
        model,
        outcome,
        not_after: None,
        line: error.message(),
        code: Some(error.code().text()),
        hint: Some(error.hint()),
        report: error.report_json().map(|json| proxy.reports.add(json.to_owned())),
    }
}

/// Those that were named, else the provider's first.
async fn models_of(proxy: &Arc<Proxy>, upstream: &Upstream) -> Vec<String> {
    let name = upstream.provider().name();
    let own = |text: &String| {
        text.split_once('/').filter(|(provider, _)| *provider == name).map(|(_, model)| model.to_owned())
    };
    let aliased = proxy.aliases.values().flatten();
    let mut named: Vec<String> = proxy.warm.iter().chain(aliased).filter_map(own).collect();
    named.sort();
    named.dedup();
    if !named.is_empty() {
        return named;
    }
    let Some(client) = upstream.own() else { return Vec::new() };
    match upstream.models(client).await {
        Ok(models) => models.iter().take(1).map(|model| model.id.clone()).collect(),
        Err(error) => {
            proxy.health.set(name, failed(proxy, "(none)".to_owned(), &error));
            Vec::new()
        }
    }
}

/// Somebody who is not there: used where nobody calls.
pub(super) fn nobody() -> Caller {
    Caller { id: "proxy".to_owned(), key: None }
}
