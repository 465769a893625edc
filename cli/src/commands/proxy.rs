//! `proveil proxy`: serves until it is asked to end.

use std::path::Path;
use std::sync::Arc;

use proveil::{Code, Error};
use serde_json::json;

use super::interrupted;
use crate::args;
use crate::config;
use crate::failure::Stop;
use crate::output::Output;
use crate::proxy::{self, Settings, Simulated};

pub(super) fn run(args: args::Proxy, file: Option<&Path>, output: &Output) -> Result<u8, Stop> {
    if let Some(url) = &args.probe {
        return ask(url, output);
    }
    let demo = args.demo;
    let loaded = Arc::new(config::load(file)?);
    let mut settings = Settings::new(args, &loaded, output)?;
    let simulated = if demo {
        let failed = |error: std::io::Error| {
            Error::new(Code::Internal).at("simulator").found(error.kind().to_string())
        };
        let simulated = Simulated::start().map_err(failed)?;
        simulated.serve_instead(&mut settings)?;
        Some(simulated)
    } else {
        None
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|_| Error::new(Code::Internal).at("runtime"))?;
    let started = |url: &str| announce(url, demo, output);
    let served = runtime.block_on(async {
        tokio::select! {
            served = proxy::serve(settings, *output, started, interrupted()) => served.map_err(Stop::from),
            () = interrupted_twice() => Err(Stop::Interrupted),
        }
    });
    runtime.shutdown_background();
    drop(simulated);
    served?;
    Ok(0)
}

/// Exit code of a probe without success: could not be checked now.
const NOT_WELL: u8 = 4;

/// Asks another process how it is.
fn ask(url: &str, output: &Output) -> Result<u8, Stop> {
    let well = proxy::probe(url)?;
    if !well {
        output.message(&format!("{url} does not answer with success"));
    }
    Ok(if well { 0 } else { NOT_WELL })
}

/// Somebody who does not want to wait for answers under way.
async fn interrupted_twice() {
    interrupted().await;
    interrupted().await;
}

/// Where it is reached. Somebody who closed the pipe still has the log.
fn announce(url: &str, demo: bool, output: &Output) {
    let shown = if output.is_json() {
        output.document(&json!({ "schema": "proveil.proxy/v1", "url": url, "base_url": format!("{url}/v1") }))
    } else {
        let what = if demo { "Simulated providers" } else { "Verified providers" };
        output.result(&format!(
            "{what} on {url}\n  base URL for OpenAI's libraries   {url}/v1\n  base URL for Anthropic's          {url}\n  \
             page                              {url}/\nCtrl-C ends it."
        ))
    };
    drop(shown);
}
