//! Reads files again when they change: API keys, policies, manifests, client tokens, certificates. What cannot be used is said in the log,
//! and the earlier state goes on; nothing is ever half-changed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::state::Proxy;
use super::tls::Acceptor;

/// Between two looks. Mounted secrets change by a link that is swapped, which no notification of the system tells reliably.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What a file looks like from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shape {
    path: PathBuf,
    /// Where links lead, when it changed, and how long it is; `None` when it is not there.
    is: Option<(PathBuf, Option<SystemTime>, u64)>,
}

fn shape(path: &Path) -> Shape {
    let is = path
        .metadata()
        .ok()
        .map(|metadata| (path.canonicalize().unwrap_or_default(), metadata.modified().ok(), metadata.len()));
    Shape { path: path.to_owned(), is }
}

fn shapes(paths: &[PathBuf]) -> Vec<Shape> {
    paths.iter().map(|path| shape(path)).collect()
}

/// Looks after the files until it is dropped.
pub(super) async fn watch(proxy: Arc<Proxy>, acceptor: Option<Arc<Acceptor>>) {
    let mut upstream = shapes(&proxy.upstream_files());
    let mut gate = shapes(&proxy.gate.files());
    let mut tls = shapes(&acceptor.as_ref().map(|it| it.files()).unwrap_or_default());
    let mut hangups = Hangups::new();
    loop {
        let forced = hangups.or_after(LOOK_EVERY).await;
        if changed(&mut upstream, &proxy.upstream_files()) || forced {
            said(&proxy, "API keys and policies", proxy.reload_upstreams());
        }
        if changed(&mut gate, &proxy.gate.files()) || forced {
            said(&proxy, "client tokens", proxy.gate.reload());
        }
        if let Some(acceptor) = &acceptor
            && (changed(&mut tls, &acceptor.files()) || forced)
        {
            said(&proxy, "certificates", acceptor.reload());
        }
    }
}

fn changed(known: &mut Vec<Shape>, paths: &[PathBuf]) -> bool {
    let now = shapes(paths);
    let changed = now != *known;
    *known = now;
    changed
}

fn said(proxy: &Proxy, what: &str, result: proveil::Result<()>) {
    proxy.metrics.reload(result.is_ok());
    match result {
        Ok(()) => tracing::info!(what, "read again"),
        Err(error) => tracing::error!(
            what,
            code = error.code().text(),
            "not read again, the earlier ones go on: {}",
            error.message()
        ),
    }
}

/// The signal that asks for a reload, where the system has one.
struct Hangups {
    #[cfg(unix)]
    signal: Option<tokio::signal::unix::Signal>,
}

impl Hangups {
    fn new() -> Hangups {
        Hangups {
            #[cfg(unix)]
            signal: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).ok(),
        }
    }

    /// Waits for the time to pass; true when the signal came first.
    async fn or_after(&mut self, time: Duration) -> bool {
        #[cfg(unix)]
        if let Some(signal) = &mut self.signal {
            return tokio::time::timeout(time, signal.recv()).await.is_ok();
        }
        tokio::time::sleep(time).await;
        false
    }
}
