//! The local proxy: the OpenAI and Anthropic APIs on this machine, in front of verified providers (issue 5, ADR 12, users.md 8).
//!
//! A request goes through `server` -> `routes` -> `gate` -> `body` -> `request` -> `catalog` -> `upstream` (a client, which verifies and
//! seals) and its answer through `stream`; both are adapted
//! by `crate::api`. Errors leave in the caller's dialect.

mod body;
mod catalog;
mod compatible;
mod cross_origin;
mod gate;
mod heads;
mod health;
mod listener;
mod log;
mod metrics;
mod page;
mod probe;
mod reload;
mod reports;
mod request;
mod routes;
pub(crate) mod served;
mod server;
mod settings;
mod simulated;
mod socket;
mod standings;
mod state;
mod stream;
mod tls;
mod upstream;

use std::sync::Arc;

use proveil::Result;

pub(crate) use probe::probe;
pub(crate) use settings::Settings;
pub(crate) use simulated::Simulated;

use self::state::Proxy;
use self::tls::Acceptor;
use crate::output::Output;

/// Serves until `end`. `started` is told the address once callers can connect.
pub(crate) async fn serve(
    settings: Settings,
    output: Output,
    started: impl FnOnce(&str),
    end: impl Future<Output = ()>,
) -> Result<()> {
    log::start(settings.log_level, settings.log_json);
    allow_many_files();
    let (listen, container, drain) = (settings.listen, settings.container, settings.drain);
    let acceptor = settings.tls.clone().map(Acceptor::new).transpose()?.map(Arc::new);
    let scheme = if acceptor.is_some() { "https" } else { "http" };
    let proxy = Arc::new(Proxy::new(settings, output)?);
    let listener = listener::bind(listen, container).await?;
    let address = listener.local_addr().map_or(listen, |address| address);
    let watching = tokio::spawn(health::watch(proxy.clone()));
    let reloading = tokio::spawn(reload::watch(proxy.clone(), acceptor.clone()));
    tracing::info!(%address, "listening");
    started(&format!("{scheme}://{address}"));
    server::serve(listener, acceptor, proxy, drain, end).await;
    watching.abort();
    reloading.abort();
    Ok(())
}

/// Every connection is a file, on both sides. Best effort: with fewer files, fewer connections are accepted.
fn allow_many_files() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let maximum = getrlimit(Resource::Nofile).maximum;
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
}
