//! Keeps endpoints proven before anybody asks (users.md 8), and takes note of the verifications that requests caused.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use proveil::core::report::Report;
use proveil::{Class, Error, Provider};

use super::catalog::{Catalog, Target};
use super::gate::Caller;
use super::standings::{Place, Standing};
use super::state::{Proxy, State};
use super::upstream::Upstream;

/// Between two looks; the client renews proofs well before they end.
const LOOK_EVERY: Duration = Duration::from_secs(20);
/// After a look that found nothing verified.
const LOOK_AGAIN: Duration = Duration::from_secs(3);
/// After many of those.
const LOOK_AGAIN_MAX: Duration = Duration::from_secs(60);
/// Stands for the model of a provider whose models are not known.
const NO_MODEL: &str = "(none)";

/// Looks after the proofs until it is dropped.
pub(super) async fn watch(proxy: Arc<Proxy>) {
    let mut pause = LOOK_AGAIN;
    loop {
        look(&proxy, &proxy.state.load_full()).await;
        proxy.metrics.tidy();
        if proxy.standings.verified() > 0 || proxy.gate.callers_bring_keys() {
            pause = LOOK_AGAIN;
            wait(&proxy, LOOK_EVERY).await;
        } else {
            wait(&proxy, pause).await;
            pause = pause.saturating_mul(2).min(LOOK_AGAIN_MAX);
        }
    }
}

/// Until the time has passed, or files were read again.
async fn wait(proxy: &Proxy, time: Duration) {
    let _ = tokio::time::timeout(time, proxy.reloaded.notified()).await;
}

async fn look(proxy: &Arc<Proxy>, state: &Arc<State>) {
    let mut kept = BTreeSet::new();
    for wanted in wanted(proxy, &state.catalog).await {
        let (place, standing) = match wanted {
            Wanted::Endpoint(upstream, model) => {
                let place = (upstream.provider().name().to_owned(), model);
                // Where callers bring their keys there is nothing to ask with.
                let Some(client) = upstream.own() else { continue };
                let standing = match client.ready(&place.1).await {
                    Ok(endpoint) => verified(proxy, endpoint.report()),
                    Err(error) => failed(proxy, &error),
                };
                (place, standing)
            }
            Wanted::Missing(place, error) => {
                tracing::error!(model = place.1, code = error.code().text(), "{}", error.message());
                (place, failed(proxy, &error))
            }
        };
        // Meanwhile other rules came into force.
        if !Arc::ptr_eq(state, &proxy.state.load()) {
            return;
        }
        if let Some(code) = &standing.code {
            tracing::warn!(provider = place.0, code, "not verified");
        }
        kept.insert(place.clone());
        record(proxy, place, standing, |place, standing| proxy.standings.keep(place, standing));
    }
    proxy.standings.settle(&kept);
}

/// The verification that an answer relied on.
pub(super) fn note_proof(proxy: &Arc<Proxy>, state: &Arc<State>, target: &Target, report: &Report) {
    note(proxy, state, target, verified(proxy, report));
}

/// A verification that failed for a request; other errors say nothing about the endpoint.
pub(super) fn note_failure(proxy: &Arc<Proxy>, state: &Arc<State>, target: &Target, error: &Error) {
    if matches!(error.code().class(), Class::Verification | Class::Indeterminate) {
        note(proxy, state, target, failed(proxy, error));
    }
}

fn note(proxy: &Arc<Proxy>, state: &Arc<State>, target: &Target, standing: Standing) {
    if Arc::ptr_eq(state, &proxy.state.load()) {
        let place = (target.upstream.provider().name().to_owned(), target.model.clone());
        let apart = target.upstream.own().is_none();
        record(proxy, place, standing, |place, standing| proxy.standings.note(place, standing, apart));
    }
}

fn record(proxy: &Proxy, place: Place, standing: Standing, take: impl FnOnce(Place, Standing) -> bool) {
    let provider = Provider::ALL.iter().find(|provider| provider.name() == place.0).copied();
    let (outcome, not_after) = (standing.finding.name(), standing.not_after);
    if take(place, standing)
        && let Some(provider) = provider
    {
        proxy.metrics.verification(provider, outcome, not_after);
    }
}

fn verified(proxy: &Proxy, report: &Report) -> Standing {
    Standing::verified(report, proxy.reports.id_of(report))
}

fn failed(proxy: &Proxy, error: &Error) -> Standing {
    Standing::failed(error, error.report_json().map(|json| proxy.reports.add(json.to_owned())))
}

/// What is to be kept verified.
enum Wanted {
    Endpoint(Arc<Upstream>, String),
    /// Why it cannot be found.
    Missing(Place, Error),
}

/// The models that were named, and the first one of each provider of which none was.
async fn wanted(proxy: &Proxy, catalog: &Catalog) -> Vec<Wanted> {
    let mut all = Vec::new();
    if proxy.gate.callers_bring_keys() {
        return all;
    }
    let mut places = BTreeSet::new();
    for name in proxy.warm.iter().chain(proxy.aliases.values().flatten()) {
        match catalog.resolve(name, &nobody()).await {
            Ok(targets) => {
                for Target { upstream, model } in targets {
                    if places.insert((upstream.provider().name().to_owned(), model.clone())) {
                        all.push(Wanted::Endpoint(upstream, model));
                    }
                }
            }
            Err(error) => {
                let place = catalog.place(name);
                if places.insert(place.clone()) {
                    all.push(Wanted::Missing(place, error));
                }
            }
        }
    }
    for upstream in &catalog.upstreams {
        let name = upstream.provider().name();
        if places.iter().any(|(provider, _)| provider == name) {
            continue;
        }
        let Some(client) = upstream.own() else { continue };
        match upstream.models(client).await {
            Ok(models) => {
                all.extend(models.first().map(|model| Wanted::Endpoint(upstream.clone(), model.id.clone())))
            }
            Err(error) => all.push(Wanted::Missing((name.to_owned(), NO_MODEL.to_owned()), error)),
        }
    }
    all
}

/// Somebody who is not there: used where nobody calls.
pub(super) fn nobody() -> Caller {
    Caller { id: "proxy".to_owned(), key: None }
}
