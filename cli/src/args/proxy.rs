//! The command line of the proxy. The names that are not in kebab-case are those of the provider's own proxy, so that its set-ups keep
//! working (privatemode.md 8).

use std::path::PathBuf;

use clap::Args;

use super::{Connection, Rules};

#[derive(Debug, Args)]
pub(crate) struct Proxy {
    /// Address and port; anything but a loopback address needs client tokens or client certificates. 127.0.0.1:9876 by default
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<String>,

    /// A provider to serve, may be repeated; by default those that have an API key
    #[arg(long = "provider", value_name = "NAME")]
    pub(crate) providers: Vec<String>,

    /// A model to verify at once and to keep verified, may be repeated; by default one of each provider
    #[arg(long = "model", short, value_name = "PROVIDER/MODEL")]
    pub(crate) models: Vec<String>,

    /// Start simulated providers and serve those: no account, no network
    #[arg(long, conflicts_with_all = ["providers", "api_key_file", "base_url", "trust_roots"])]
    pub(crate) demo: bool,

    /// For callers without support for tools by the provider: describe them in the prompt and read calls from the answer
    #[arg(long)]
    pub(crate) emulate_tools: bool,

    /// Start nothing; ask a proxy on this machine, and exit with 0 if it answers with success, else 4
    #[arg(long, value_name = "URL", exclusive = true)]
    pub(crate) probe: Option<String>,

    #[command(flatten)]
    pub(crate) access: Access,

    #[command(flatten)]
    pub(crate) operation: Operation,

    #[command(flatten)]
    pub(crate) rules: Rules,

    #[command(flatten)]
    pub(crate) connection: Connection,

    #[command(flatten)]
    pub(crate) compatible: Compatible,
}

/// Who may call.
#[derive(Debug, Args)]
#[command(next_help_heading = "Access")]
pub(crate) struct Access {
    /// A value of `Host` that is accepted beside the loopback names, may be repeated
    #[arg(long = "host", value_name = "NAME")]
    pub(crate) hosts: Vec<String>,

    /// A web origin whose pages may call, may be repeated
    #[arg(long = "origin", value_name = "ORIGIN")]
    pub(crate) origins: Vec<String>,

    /// Callers must send one of the tokens in this file, one a line. The file is read again when it changes
    #[arg(long, value_name = "FILE")]
    pub(crate) client_tokens_file: Option<PathBuf>,

    /// Certificate chain for TLS (PEM). Read again when it changes
    #[arg(long, value_name = "FILE", alias = "tlsCertPath", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,

    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", alias = "tlsKeyPath", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,

    /// Callers must have a certificate of these authorities (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_client_ca: Option<PathBuf>,

    /// Inside a container: listen on its network, accept host names without a dot; without tokens serve private addresses only
    #[arg(long)]
    pub(crate) container: bool,
}

/// How it runs.
#[derive(Debug, Args)]
#[command(next_help_heading = "Operation")]
pub(crate) struct Operation {
    /// How many answers a caller may have open at once; 64 by default
    #[arg(long, value_name = "NUMBER")]
    pub(crate) streams_per_client: Option<usize>,

    /// Most memory for the bodies of all requests together, in MiB; 256 by default. While large ones are sealed the proxy takes up to
    /// ten times as much
    #[arg(long, value_name = "MIB")]
    pub(crate) body_memory_mib: Option<u64>,

    /// How long answers under way may go on after the request to end, in seconds; 30 by default
    #[arg(long, value_name = "SECONDS")]
    pub(crate) drain: Option<u64>,

    /// error, warn, info or debug; `info` by default
    #[arg(long, short = 'l', value_name = "LEVEL")]
    pub(crate) log_level: Option<String>,

    /// text or json; `text` by default
    #[arg(long, value_name = "FORMAT")]
    pub(crate) log_format: Option<String>,
}

/// Flags of Privatemode's own proxy.
#[derive(Debug, Args)]
#[command(next_help_heading = "As Privatemode's own proxy")]
pub(crate) struct Compatible {
    /// `@FILE` with the API key; the key itself is accepted too, but everybody on the machine can read it
    #[arg(long = "apiKey", value_name = "@FILE")]
    pub(crate) api_key: Option<String>,

    /// Port, on a loopback address unless `--container` is given, where it is 8080 by default
    #[arg(long, value_name = "PORT", conflicts_with = "listen")]
    pub(crate) port: Option<u16>,

    /// The service as HOST[:PORT]
    #[arg(long = "apiEndpoint", value_name = "HOST:PORT", conflicts_with = "base_url")]
    pub(crate) api_endpoint: Option<String>,

    /// As `--manifest`
    #[arg(long = "manifestPath", value_name = "FILE", conflicts_with = "manifest")]
    pub(crate) manifest_path: Option<PathBuf>,

    /// As `--manifest-url`
    #[arg(long = "cdnBaseURL", value_name = "URL", conflicts_with = "manifest_url", hide = true)]
    pub(crate) cdn_base_url: Option<String>,

    /// Accept workers whose GPUs' state is unknown
    #[arg(long = "nvidiaOCSPAllowUnknown", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", conflicts_with = "gpu_revocation_grace")]
    pub(crate) ocsp_allow_unknown: Option<bool>,

    /// Accept workers whose GPUs were revoked at most so many hours ago
    #[arg(
        long = "nvidiaOCSPRevokedGracePeriod",
        value_name = "HOURS",
        conflicts_with = "gpu_revocation_grace"
    )]
    pub(crate) ocsp_grace: Option<u32>,

    /// One prompt cache for all callers; without it each request has its own
    #[arg(long = "sharedPromptCache", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) shared_prompt_cache: Option<bool>,

    /// What the shared cache is salted with, at least 32 characters
    #[arg(long = "promptCacheSalt", value_name = "SALT", requires = "shared_prompt_cache")]
    pub(crate) prompt_cache_salt: Option<String>,

    /// Not offered: prompts are never written to files
    #[arg(long = "dumpRequests", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide = true)]
    pub(crate) dump_requests: Option<bool>,

    /// Not offered: the service is reached over TLS only
    #[arg(long = "insecureAPIConnection", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide = true)]
    pub(crate) insecure_api_connection: Option<bool>,

    /// Without effect, as in the original
    #[arg(long = "ssEndpoint", value_name = "HOST:PORT", hide = true)]
    pub(crate) ss_endpoint: Option<String>,

    /// Without effect, as in the original
    #[arg(long = "coordinatorEndpoint", value_name = "HOST:PORT", hide = true)]
    pub(crate) coordinator_endpoint: Option<String>,
}

impl Connection {
    /// True when a flag is about one provider only.
    pub(crate) const fn names_an_address(&self) -> bool {
        self.base_url.is_some()
            || self.collateral_url.is_some()
            || self.nvidia_url.is_some()
            || self.api_key_file.is_some()
    }
}
