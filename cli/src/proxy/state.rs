//! What all requests share.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use proveil::Result;
use tokio::sync::Notify;

use super::body::Memory;
use super::catalog::Catalog;
use super::gate::Gate;
use super::metrics::Metrics;
use super::reports::Reports;
use super::settings::Settings;
use super::standings::Standings;
use super::upstream::Upstream;
use crate::output::Output;

/// What changes when files change.
pub(super) struct State {
    pub(super) catalog: Catalog,
}

/// One proxy.
pub(super) struct Proxy {
    pub(super) gate: Gate,
    pub(super) state: ArcSwap<State>,
    pub(super) reports: Reports,
    pub(super) metrics: Metrics,
    /// For the bodies of requests.
    pub(super) memory: Memory,
    pub(super) standings: Standings,
    /// Told when clients were made anew.
    pub(super) reloaded: Notify,
    pub(super) aliases: BTreeMap<String, Vec<String>>,
    /// Models to keep verified.
    pub(super) warm: Vec<String>,
    /// Tool calls by prompt where a provider cannot carry tools.
    pub(super) emulate_tools: bool,
    ending: AtomicBool,
}

impl Proxy {
    /// Reads every file that is named. Fails before anything is started.
    pub(super) fn new(settings: Settings, output: Output) -> Result<Proxy> {
        let gate = Gate::new(&settings)?;
        let metrics = Metrics::new(settings.streams_per_client)?;
        let mut upstreams = Vec::new();
        for recipe in settings.recipes {
            upstreams.push(Arc::new(Upstream::new(Arc::new(recipe), output)?));
        }
        let catalog = Catalog::new(upstreams, settings.aliases.clone());
        Ok(Proxy {
            gate,
            state: ArcSwap::from_pointee(State { catalog }),
            reports: Reports::default(),
            metrics,
            memory: Memory::new(settings.body_memory),
            standings: Standings::default(),
            reloaded: Notify::new(),
            aliases: settings.aliases,
            warm: settings.warm,
            emulate_tools: settings.emulate_tools,
            ending: AtomicBool::new(false),
        })
    }

    /// Files whose change calls for [`Proxy::reload_upstreams`].
    pub(super) fn upstream_files(&self) -> Vec<PathBuf> {
        self.state.load().catalog.upstreams.iter().flat_map(|upstream| upstream.files()).collect()
    }

    /// Makes all clients anew. On an error the earlier ones go on, by the earlier policy and keys.
    pub(super) fn reload_upstreams(&self) -> Result<()> {
        let upstreams = &self.state.load().catalog.upstreams;
        let anew =
            upstreams.iter().map(|upstream| upstream.anew().map(Arc::new)).collect::<Result<Vec<_>>>()?;
        let catalog = Catalog::new(anew, self.aliases.clone());
        self.state.store(Arc::new(State { catalog }));
        self.standings.forget_passing();
        self.reloaded.notify_one();
        Ok(())
    }

    /// From now on nothing new is taken.
    pub(super) fn end(&self) {
        self.ending.store(true, Ordering::Relaxed);
    }

    /// Whether callers can be served: an endpoint is verified now, or callers bring the keys without which nothing can be verified before
    /// they call.
    pub(super) fn is_ready(&self) -> bool {
        !self.is_ending() && (self.gate.callers_bring_keys() || self.standings.verified() > 0)
    }

    pub(super) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Relaxed)
    }
}
