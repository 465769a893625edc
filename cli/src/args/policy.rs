//! Command lines of `proveil policy` and `proveil pin`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Connection, Rules};

#[derive(Debug, Args)]
pub(crate) struct Policy {
    #[command(subcommand)]
    pub(crate) action: PolicyAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyAction {
    /// Print a policy with every member, as a file that `--policy` takes
    Show {
        /// A preset (`standard`, `strict`, `venice/standard`, ...) or a `proveil.policy/v1` file
        #[arg(default_value = "standard", value_name = "PRESET|FILE")]
        policy: String,
    },
    /// Check a policy file; an error names file, line and column
    Check {
        /// A `proveil.policy/v1` file
        file: PathBuf,
    },
    /// Print what changes from one policy to another, and whether that accepts more or less
    Diff {
        /// A preset or a file
        #[arg(value_name = "PRESET|FILE")]
        before: String,

        /// A preset or a file
        #[arg(value_name = "PRESET|FILE")]
        after: String,
    },
    /// Write a policy whose reference values are the measurements of a verified report
    Init(PolicyInit),
}

#[derive(Debug, Args)]
pub(crate) struct PolicyInit {
    /// A report, as `verify --json` writes it, which is taken for true; or the directory of a capture, which is verified
    #[arg(long, value_name = "REPORT|DIR")]
    pub(crate) from: PathBuf,

    /// Roots of a lab or simulator to verify a capture against
    #[arg(long, value_name = "FILE")]
    pub(crate) trust_roots: Option<PathBuf>,

    /// Preset or file that everything else is taken from
    #[arg(long, value_name = "PRESET|FILE", default_value = "standard")]
    pub(crate) base: String,

    /// Also accept only the machines, TDX module and devices seen. Operators have several and change them without notice
    #[arg(long)]
    pub(crate) machines: bool,

    /// Name in reports
    #[arg(long, default_value = "measured")]
    pub(crate) name: String,

    /// Write to a file, which is replaced
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Pin {
    #[command(subcommand)]
    pub(crate) action: Option<PinAction>,

    #[command(flatten)]
    pub(crate) endpoint: PinEndpoint,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PinAction {
    /// Show how the software differs from the pin, and pin the new one if its digest or `--yes` is given
    Accept(Box<PinAccept>),
    /// List what is pinned; asks nobody
    List {
        /// File of pins; the user's own when absent
        #[arg(long, value_name = "FILE")]
        pins: Option<PathBuf>,
    },
}

/// The endpoint whose software is pinned.
#[derive(Debug, Args)]
pub(crate) struct PinEndpoint {
    /// The provider: venice or privatemode
    #[arg(required = true)]
    pub(crate) provider: Option<String>,

    /// Model id
    #[arg(long, short, value_name = "MODEL", required = true)]
    pub(crate) model: Option<String>,

    #[command(flatten)]
    pub(crate) rules: Rules,

    #[command(flatten)]
    pub(crate) connection: Connection,
}

impl PinEndpoint {
    /// Provider and model: always there, unless a subcommand stands in their place.
    pub(crate) fn named(&self) -> Option<(&str, &str)> {
        Some((self.provider.as_deref()?, self.model.as_deref()?))
    }
}

#[derive(Debug, Args)]
pub(crate) struct PinAccept {
    #[command(flatten)]
    pub(crate) endpoint: PinEndpoint,

    /// Digest of the software to accept, as this command and refusals show it
    #[arg(long, value_name = "HEX", conflicts_with = "yes")]
    pub(crate) sha256: Option<String>,

    /// Accept whatever runs now. Prefer `--sha256`: it accepts what you looked at and nothing else
    #[arg(long)]
    pub(crate) yes: bool,
}
