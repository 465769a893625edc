//! The command line.

mod batch;
mod policy;
mod proxy;
mod tools;

pub(crate) use batch::{Batch, OnError};
pub(crate) use policy::{Pin, PinAccept, PinAction, PinEndpoint, Policy, PolicyAction, PolicyInit};
pub(crate) use tools::{Config, ConfigAction, Doctor, Man, Setup};

pub(crate) use proxy::{Access, Compatible, Proxy};

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use proveil::core::provider::privatemode::GpuRevocation;

/// Verify the enclave behind a private AI endpoint, encrypt to its key, open the streamed answer.
#[derive(Debug, Parser)]
#[command(
    name = "proveil",
    version,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 verified or done, 1 internal, 2 usage or input, 3 refused by the evidence, 4 could not be checked now, \
                  5 integrity failure of an answer, 6 provider error, 130 interrupted."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// Print one JSON document with a `schema` member
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// No progress and no verdict line; warnings and errors stay
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,

    /// File of settings; else $PROVEIL_CONFIG, the user's or the system's (docs/configuration.md). None is read from the current directory
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List a provider's models and how private each is
    Models(Models),
    /// Verify a model's endpoint, a capture, or bare hardware evidence (snp, tdx, nvidia)
    Verify(Box<Verify>),
    /// Verify a model's endpoint and store everything that was used, whatever the verdict, to be judged again without network
    Capture(Capture),
    /// Show a report that was saved with `verify --json`: as text, HTML, an SVG card, an EAR attestation result
    Report(Report),
    /// Show, check, compare and make policies
    Policy(Policy),
    /// Remember what an endpoint runs: from then on other software is refused until it is accepted
    Pin(Box<Pin>),
    /// Verify, then send a prompt that only the proven key can open, and print the answer as it comes
    Chat(Chat),
    /// Send every row of an OpenAI batch file, sealed, and write the answers to another; can be killed at any time and gone on with
    Batch(Box<Batch>),
    /// Serve the OpenAI and Anthropic APIs on this machine, in front of verified providers
    Proxy(Box<Proxy>),
    /// Watch proofs, sealed chats and refusals against simulated enclaves of both providers: no account, no network
    Demo(Demo),
    /// Run a simulated provider on this machine, honest or with chosen defects
    Simulate(Simulate),
    /// Find out why something does not work: clock, configuration, keys, network, files; each with the next step in words
    Doctor(Doctor),
    /// Show the configuration and where each value came from
    Config(Config),
    /// Print ready settings of an app for the local proxy; without a name, the apps
    Setup(Setup),
    /// Explain a check, an error code, or the members of a policy
    Explain(Explain),
    /// Print the version
    Version,
    /// Print a completion script for a shell
    Completions(Completions),
    /// Print the manual page, or write one for each command
    Man(Man),
}

/// How the provider is reached.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connection {
    /// Where the provider is reached (https, or http to a loopback address)
    #[arg(long, value_name = "URL")]
    pub(crate) base_url: Option<String>,

    /// Where Intel-style collateral is fetched, for a mirror or a simulator
    #[arg(long, value_name = "URL")]
    pub(crate) collateral_url: Option<String>,

    /// Where NVIDIA's manifests, OCSP answers and attestation service are reached, for a mirror or a simulator; asked only where the
    /// policy requires what they say
    #[arg(long, value_name = "URL")]
    pub(crate) nvidia_url: Option<String>,

    /// Further certificate authorities for TLS (PEM)
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_bundle: Option<PathBuf>,

    /// File with the API key, or `-` for standard input; else the provider's variable, e.g. VENICE_API_KEY or VENICE_API_KEY_FILE
    #[arg(long, value_name = "FILE")]
    pub(crate) api_key_file: Option<PathBuf>,

    /// Do not keep vendor collateral in the user's cache directory
    #[arg(long)]
    pub(crate) no_cache: bool,
}

/// What only one provider has.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Privatemode")]
pub(crate) struct Privatemode {
    /// The manifest that the deployment must run, byte for byte: it is the reference value for all of its software. Without it the
    /// manifest that the provider publishes is followed
    #[arg(long, value_name = "FILE")]
    pub(crate) manifest: Option<PathBuf>,

    /// Where the provider publishes manifests, for a mirror
    #[arg(long, value_name = "URL", conflicts_with = "manifest")]
    pub(crate) manifest_url: Option<String>,

    /// A mirror of AMD's key distribution service, asked for what the deployment's answer lacks
    #[arg(long, value_name = "URL")]
    pub(crate) amd_url: Option<String>,

    /// Accept workers whose GPUs NVIDIA revoked at most so many hours ago, or whose state is unknown; otherwise, and with 0, only good ones
    #[arg(long, value_name = "HOURS")]
    pub(crate) gpu_revocation_grace: Option<u32>,

    /// What flags of another set-up say of them, whatever is configured (privatemode.md 7.3)
    #[arg(skip)]
    pub(crate) gpu_revocation: Option<GpuRevocation>,

    /// Folder for the log of manifests: in DIR/manifests each one that the deployment was proven to run, since when, and what changed
    #[arg(long, value_name = "DIR")]
    pub(crate) workspace: Option<PathBuf>,
}

/// What must hold.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Rules")]
pub(crate) struct Rules {
    /// `standard`, `strict`, either for one provider (`venice/standard`), or a `proveil.policy/v1` file; by default `standard`, for a
    /// capture the policy recorded in it
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) policy: Option<String>,

    /// Roots of a lab or simulator instead of the hardware vendors'; every verdict then says CUSTOM
    #[arg(long, value_name = "FILE")]
    pub(crate) trust_roots: Option<PathBuf>,

    /// File of pinned software (`proveil pin`); the user's own when absent
    #[arg(long, value_name = "FILE")]
    pub(crate) pins: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) privatemode: Privatemode,
}

#[derive(Debug, Args)]
pub(crate) struct Models {
    /// The provider: venice or privatemode
    pub(crate) provider: String,

    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The provider, venice or privatemode; or `snp`, `tdx` or `nvidia` for hardware evidence in FILES
    #[arg(required_unless_present = "evidence", conflicts_with = "evidence")]
    pub(crate) subject: Option<String>,

    /// Report, quote, certificates, revocation lists, collateral, manifests, OCSP answers, tokens: in any order, known by their content
    #[arg(value_name = "FILES")]
    pub(crate) files: Vec<PathBuf>,

    /// Model id
    #[arg(long, short, value_name = "MODEL")]
    pub(crate) model: Option<String>,

    /// List every check, also those that passed
    #[arg(long)]
    pub(crate) full: bool,

    #[command(flatten)]
    pub(crate) offline: Offline,

    #[command(flatten)]
    pub(crate) hardware: Hardware,

    #[command(flatten)]
    pub(crate) rules: Rules,

    #[command(flatten)]
    pub(crate) connection: Connection,
}

/// Evidence that is at hand already.
#[derive(Debug, Args)]
#[command(next_help_heading = "Offline, nothing is fetched")]
pub(crate) struct Offline {
    /// A capture: the directory that `proveil capture` wrote, or a `proveil.evidence/v1` file
    #[arg(long, value_name = "DIR|FILE", conflicts_with = "response")]
    pub(crate) evidence: Option<PathBuf>,

    /// The provider's attestation answer, as received
    #[arg(long, value_name = "FILE", requires = "nonce", requires = "collateral", requires = "at")]
    pub(crate) response: Option<PathBuf>,

    /// The challenge that was sent: 64 hex digits
    #[arg(long, value_name = "HEX")]
    pub(crate) nonce: Option<String>,

    /// Vendor collateral: a JSON file, or a directory of such files
    #[arg(long, value_name = "FILE|DIR", requires = "response")]
    pub(crate) collateral: Option<PathBuf>,

    /// Time to judge by, in seconds since 1970-01-01T00:00:00Z; by default that of the capture, for hardware evidence now
    #[arg(long, value_name = "UNIX_SECONDS")]
    pub(crate) at: Option<u64>,
}

/// What is expected of hardware evidence.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Hardware evidence: snp, tdx, nvidia")]
pub(crate) struct Hardware {
    /// snp, tdx: the report data, 128 hex digits; for tdx fewer are its beginning
    #[arg(long, value_name = "HEX")]
    pub(crate) report_data: Option<String>,

    /// snp: the launch measurement, 96 hex digits
    #[arg(long, value_name = "HEX")]
    pub(crate) measurement: Option<String>,

    /// snp: the host data, 64 hex digits
    #[arg(long, value_name = "HEX")]
    pub(crate) host_data: Option<String>,

    /// snp: fetch from AMD what is not among FILES: the chip's certificate, its issuers, the revocation list. AMD learns the chip's
    /// id and patch level
    #[arg(long)]
    pub(crate) fetch: bool,

    /// snp, with --fetch: a mirror of AMD's key distribution service, or a simulator
    #[arg(long, value_name = "URL", requires = "fetch")]
    pub(crate) kds_url: Option<String>,

    /// tdx: MRTD, 96 hex digits, as all registers
    #[arg(long, value_name = "HEX")]
    pub(crate) mr_td: Option<String>,

    /// tdx: RTMR0
    #[arg(long, value_name = "HEX")]
    pub(crate) rtmr0: Option<String>,

    /// tdx: RTMR1
    #[arg(long, value_name = "HEX")]
    pub(crate) rtmr1: Option<String>,

    /// tdx: RTMR2
    #[arg(long, value_name = "HEX")]
    pub(crate) rtmr2: Option<String>,

    /// tdx: RTMR3
    #[arg(long, value_name = "HEX")]
    pub(crate) rtmr3: Option<String>,

    /// tdx: MRSEAM, the TDX module
    #[arg(long, value_name = "HEX")]
    pub(crate) mr_seam: Option<String>,

    /// tdx: MRCONFIGID
    #[arg(long, value_name = "HEX")]
    pub(crate) mr_config_id: Option<String>,

    /// tdx: MROWNER
    #[arg(long, value_name = "HEX")]
    pub(crate) mr_owner: Option<String>,

    /// tdx: MROWNERCONFIG
    #[arg(long, value_name = "HEX")]
    pub(crate) mr_owner_config: Option<String>,

    /// Store the evidence with what it was judged by, for `--evidence`; a directory that does not exist or is empty
    #[arg(long, value_name = "DIR")]
    pub(crate) save: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Capture {
    /// The provider: venice or privatemode
    pub(crate) provider: String,

    /// Model id
    #[arg(long, short, value_name = "MODEL")]
    pub(crate) model: String,

    /// Where to store it: a directory that does not exist or is empty
    #[arg(long, short, value_name = "DIR")]
    pub(crate) output: PathBuf,

    /// List every check, also those that passed
    #[arg(long)]
    pub(crate) full: bool,

    #[command(flatten)]
    pub(crate) rules: Rules,

    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Args)]
pub(crate) struct Report {
    /// The saved `proveil.report/v1` file, or `-` for standard input
    pub(crate) file: PathBuf,

    #[command(flatten)]
    pub(crate) form: Form,

    /// Sign the EAR with this P-256 private key (PEM), as a JWT. Who signs vouches: sign reports of your own appraisals only
    #[arg(long, value_name = "FILE")]
    pub(crate) ear_key: Option<PathBuf>,

    /// Write to a file, which is replaced
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// One form; text when none is named.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct Form {
    /// For a terminal of 80 columns, every check (the default)
    #[arg(long)]
    pub(crate) text: bool,

    /// One page without network or script, for screen and print
    #[arg(long)]
    pub(crate) html: bool,

    /// A card as an image
    #[arg(long)]
    pub(crate) svg: bool,

    /// An EAT attestation result (draft-ietf-rats-ear-04) as JSON, or with `--ear-key` as a signed JWT
    #[arg(long)]
    pub(crate) ear: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Chat {
    /// The provider: venice or privatemode
    pub(crate) provider: String,

    /// Model id
    #[arg(long, short, value_name = "MODEL")]
    pub(crate) model: String,

    /// The prompt; read from standard input when absent or `-`. Other users can see it in the process list: prefer standard input
    pub(crate) prompt: Option<String>,

    /// Show the model's reasoning, on standard error
    #[arg(long)]
    pub(crate) reasoning: bool,

    /// Ask for the answer's signature afterwards and check it against the proven key
    #[arg(long)]
    pub(crate) verify_signature: bool,

    #[command(flatten)]
    pub(crate) rules: Rules,

    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// What to ask
    #[arg(long, default_value = "What does it mean that an enclave is attested?")]
    pub(crate) prompt: String,

    /// Print every check instead of a summary by group
    #[arg(long)]
    pub(crate) full: bool,

    /// Let another program have the same chat: a JSON array of a label, the program and its first arguments. It is called with
    /// PROVIDER MODEL PROMPT BASE_URL COLLATERAL_URL TRUST_ROOTS_FILE after them, and VENICE_API_KEY set
    #[arg(long, value_name = "JSON")]
    pub(crate) also: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Simulate {
    /// The provider: venice or privatemode
    pub(crate) provider: String,

    /// Port on 127.0.0.1; a free one when absent
    #[arg(long, default_value_t = 0)]
    pub(crate) port: u16,

    /// Switch a defect on; may be given several times
    #[arg(long = "defect", value_name = "NAME")]
    pub(crate) defects: Vec<String>,

    /// List the defects and what a correct client makes of each
    #[arg(long)]
    pub(crate) list_defects: bool,

    /// Where to write the throw-away trust roots; a file in the temporary directory when absent
    #[arg(long, value_name = "FILE")]
    pub(crate) roots_out: Option<PathBuf>,

    /// Pause before each piece of an answer, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 20)]
    pub(crate) pace_ms: u64,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// A check (`tdx.tcb`), a code (`PV-229`, `tcb_status_refused`) or `policy`; without it, everything is listed
    pub(crate) topic: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}
