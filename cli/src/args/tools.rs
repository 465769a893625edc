//! Command lines of `proveil doctor`, `config`, `setup` and `man`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Look after this provider only: venice or privatemode
    pub(crate) provider: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Config {
    #[command(subcommand)]
    pub(crate) action: ConfigAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigAction {
    /// Print every key with its value, or its default in brackets; passwords are taken out
    Show {
        /// Say where each value came from: a file with its line, a variable, or the default
        #[arg(long)]
        origin: bool,
    },
    /// Print the file that is read; where there is none, the first place that is looked at
    Path,
}

#[derive(Debug, Args)]
pub(crate) struct Setup {
    /// The app, e.g. openai-python, open-webui, curl
    pub(crate) app: Option<String>,

    /// Model id as the proxy knows it: `provider/model`, or an alias of the configuration
    #[arg(long, short, value_name = "MODEL")]
    pub(crate) model: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Write one page for each command into this directory, which is made if it is not there
    #[arg(long, short, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
}
