//! The commands.

mod batch;
mod capture;
mod chat;
mod config;
mod demo;
mod doctor;
mod explain;
mod hardware;
mod man;
mod models;
mod pin;
mod policy;
mod proxy;
mod report;
mod setup;
mod simulate;
mod verify;

use std::future::Future;

use clap::CommandFactory;
use proveil::{Code, Error};
use serde_json::json;

use crate::args::{Cli, Command};
use crate::failure::Stop;
use crate::output::Output;
use crate::progress::Progress;

/// Runs a command; the number is the exit code.
pub(crate) fn run(cli: Cli, output: &Output) -> Result<u8, Stop> {
    let file = cli.config.as_deref();
    match cli.command {
        Command::Models(args) => models::run(&args, file, output),
        Command::Verify(args) => verify::run(&args, file, output),
        Command::Capture(args) => capture::run(&args, file, output),
        Command::Report(args) => report::run(&args, output),
        Command::Policy(args) => policy::run(&args, output),
        Command::Pin(args) => pin::run(&args, file, output),
        Command::Chat(args) => chat::run(args, file, output),
        Command::Batch(args) => batch::run(&args, file, output),
        Command::Proxy(args) => proxy::run(*args, file, output),
        Command::Demo(args) => demo::run(&args, output),
        Command::Simulate(args) => simulate::run(&args, output),
        Command::Explain(args) => explain::run(args.topic.as_deref(), output),
        Command::Doctor(args) => doctor::run(&args, file, output),
        Command::Config(args) => config::run(&args, file, output),
        Command::Setup(args) => setup::run(&args, file, output),
        Command::Man(args) => man::run(&args, output),
        Command::Version => version(output),
        Command::Completions(args) => {
            let mut script = Vec::new();
            clap_complete::generate(args.shell, &mut Cli::command(), "proveil", &mut script);
            output.result(&String::from_utf8_lossy(&script))?;
            Ok(0)
        }
    }
}

fn version(output: &Output) -> Result<u8, Stop> {
    let version = env!("CARGO_PKG_VERSION");
    if output.is_json() {
        output.document(&json!({ "schema": "proveil.version/v1", "version": version }))?;
    } else {
        output.result(&format!("proveil {version}"))?;
    }
    Ok(0)
}

/// Runs the networked part of a command: shows progress, and gives up on Ctrl-C, which closes all connections.
fn on_network<T>(progress: &Progress, work: impl Future<Output = Result<T, Stop>>) -> Result<T, Stop> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|_| Error::new(Code::Internal).at("runtime"))?;
    let result = runtime.block_on(async {
        tokio::select! {
            result = work => result,
            () = progress.run() => Err(Error::new(Code::Internal).into()),
            () = interrupted() => Err(Stop::Interrupted),
        }
    });
    progress.done();
    runtime.shutdown_background();
    result
}

/// Ctrl-C, or on Unix the request to end.
async fn interrupted() {
    #[cfg(unix)]
    if let Ok(mut end) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        tokio::select! {
            _ = end.recv() => return,
            () = ctrl_c() => return,
        }
    }
    ctrl_c().await;
}

async fn ctrl_c() {
    if tokio::signal::ctrl_c().await.is_err() {
        // Without a handler the system's default ends the process.
        std::future::pending::<()>().await;
    }
}
