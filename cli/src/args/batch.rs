//! `proveil batch`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{Connection, Rules};

/// Rows that may be under way at once.
const CONCURRENCY_MAX: u64 = 256;

/// What a row that failed means for the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnError {
    /// Its error is its line of the output; the others go on
    Continue,
    /// Nothing more is sent
    Stop,
}

#[derive(Debug, Args)]
pub(crate) struct Batch {
    /// The provider: venice or privatemode
    pub(crate) provider: String,

    /// Requests in OpenAI's batch form, one JSON object a line: custom_id, method, url, body
    #[arg(value_name = "INPUT.jsonl")]
    pub(crate) input: PathBuf,

    /// Answers in OpenAI's batch form, one line for each row, in the order in which they were complete
    #[arg(long, short, value_name = "OUTPUT.jsonl")]
    pub(crate) output: PathBuf,

    /// Rows under way at once
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=CONCURRENCY_MAX))]
    pub(crate) concurrency: u64,

    /// Go on with an output that an earlier run began: rows that have a line are not sent again, but for errors that may pass
    #[arg(long)]
    pub(crate) resume: bool,

    /// With --resume: send every row again whose line is an error
    #[arg(long, requires = "resume")]
    pub(crate) retry_failed: bool,

    /// Further tries of a row that the provider was too busy for, or could not be reached for, each sealed anew, with growing pauses
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=20))]
    pub(crate) max_retries: u32,

    /// What a row that failed means for the others
    #[arg(long, value_enum, default_value_t = OnError::Continue)]
    pub(crate) on_error: OnError,

    /// For rows with tools, where the provider cannot carry them: describe them in the prompt and read calls from the answer
    #[arg(long)]
    pub(crate) emulate_tools: bool,

    #[command(flatten)]
    pub(crate) rules: Rules,

    #[command(flatten)]
    pub(crate) connection: Connection,
}
