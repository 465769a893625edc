//! `proveil`: verifies private AI endpoints and chats with them, end to end encrypted (users.md 7).
//!
//! Owns the command line, files and secrets that the user names, and how results look on a terminal. Reads no configuration from the
//! current directory (threats T57). Verification itself is `proveil-core`; the network is `proveil`.

#![forbid(unsafe_code)]

mod api;
mod args;
mod batch;
mod bundle;
mod commands;
mod config;
mod failure;
mod inputs;
mod manifest;
mod output;
mod progress;
mod proxy;
mod secrets;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use proveil::{Code, Error};

use crate::args::Cli;
use crate::failure::{INTERRUPTED, Stop};
use crate::output::Output;

fn main() -> ExitCode {
    forbid_core_dumps();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return ExitCode::from(usage(&error)),
    };
    let output = Output::new(cli.json, cli.quiet);
    let code = match commands::run(cli, &output) {
        Ok(code) => code,
        Err(Stop::Closed) => 0,
        Err(Stop::Interrupted) => INTERRUPTED,
        Err(Stop::Failed(failure)) => failure.show(&output),
    };
    ExitCode::from(code)
}

/// Help and version are results; everything else is a mistake on the command line, with the nearest valid name from `clap`.
fn usage(error: &clap::Error) -> u8 {
    let json = std::env::args_os().any(|argument| argument == "--json");
    let output = Output::new(json, false);
    let text = error.render().to_string();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A closed pipe is fine here.
            let _ = output.result(&text);
            0
        }
        _ if json => {
            let first = text.lines().map(|line| line.trim().trim_start_matches("error: "));
            let said: Vec<&str> = first.filter(|line| !line.is_empty()).take(3).collect();
            failure::Failure::from(Error::new(Code::Usage).context(said.join(" "))).show(&output)
        }
        _ => {
            output.message(text.trim_end());
            Code::Usage.row().exit
        }
    }
}

/// Prompts and keys are in this process's memory (threats T34). Best effort: a system that refuses is not a reason to stop.
fn forbid_core_dumps() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    }
}
