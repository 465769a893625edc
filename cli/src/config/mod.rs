//! Settings of the command line and the proxy, and where each came from: flag, environment, file, default, in this order (users.md 7).
//!
//! Files are `--config`, `$PROVEIL_CONFIG`, the user's and the system's, never one of the current directory (threats T57). There are no
//! trust roots here and no secrets: those are named by files only.

mod environment;
mod file;
mod keys;
mod load;
mod origin;
mod parse;
mod values;

pub(crate) use file::candidates;
pub(crate) use keys::{BODY_MEMORY_MAX_MIB, BODY_MEMORY_MIN_MIB};
pub(crate) use load::{Loaded, load};
pub(crate) use origin::{Origin, Setting, redacted};

use std::collections::BTreeMap;
use std::path::PathBuf;

/// What a key is for; nothing for an alias of a model.
pub(crate) fn about(path: &str) -> Option<&'static str> {
    keys::all().into_iter().find(|key| key.path() == path).map(|key| key.about())
}

/// Everything that a configuration can say. Absent members are left to flags and defaults.
#[derive(Debug, Default)]
pub(crate) struct Config {
    /// `[proxy]`
    pub(crate) proxy: ProxyConfig,
    /// `[provider.venice]`, `[provider.privatemode]`: by name.
    pub(crate) providers: BTreeMap<String, ProviderConfig>,
    /// `[models]`: an alias, and the models that it stands for in order of preference, each as `provider/model`.
    pub(crate) models: BTreeMap<String, Vec<String>>,
}

/// `[proxy]`
#[derive(Clone, Debug, Default)]
pub(crate) struct ProxyConfig {
    /// `listen`: address and port, `127.0.0.1:9876` when absent.
    pub(crate) listen: Option<String>,
    /// `providers`: names of the providers to serve; those with a key when absent.
    pub(crate) providers: Option<Vec<String>>,
    /// `hosts`: values of `Host` that are accepted beside the loopback names.
    pub(crate) hosts: Vec<String>,
    /// `origins`: browser origins that are accepted beside the proxy's own page.
    pub(crate) origins: Vec<String>,
    /// `client_tokens_file`: one token a line; callers must send one of them.
    pub(crate) client_tokens_file: Option<PathBuf>,
    /// `tls_cert`, `tls_key`: PEM files; both or none.
    pub(crate) tls_cert: Option<PathBuf>,
    /// See `tls_cert`.
    pub(crate) tls_key: Option<PathBuf>,
    /// `tls_client_ca`: PEM file of the authorities whose client certificates are required.
    pub(crate) tls_client_ca: Option<PathBuf>,
    /// `emulate_tools`: tool calls by prompt where a provider cannot carry tools; off when absent.
    pub(crate) emulate_tools: Option<bool>,
    /// `drain_s`: how long answers under way may go on after the request to end; 30 when absent.
    pub(crate) drain_s: Option<u64>,
    /// `body_memory_mib`: most memory for the bodies of all requests together; 256 when absent.
    pub(crate) body_memory_mib: Option<u64>,
    /// `log_level`: `error`, `warn`, `info` or `debug`; `info` when absent.
    pub(crate) log_level: Option<String>,
    /// `log_format`: `text` or `json`; `text` when absent.
    pub(crate) log_format: Option<String>,
}

/// `[provider.NAME]`
#[derive(Clone, Debug, Default)]
pub(crate) struct ProviderConfig {
    /// `api_key_file`
    pub(crate) api_key_file: Option<PathBuf>,
    /// `base_url`
    pub(crate) base_url: Option<String>,
    /// `collateral_url`
    pub(crate) collateral_url: Option<String>,
    /// `nvidia_url`
    pub(crate) nvidia_url: Option<String>,
    /// `ca_bundle`: PEM file.
    pub(crate) ca_bundle: Option<PathBuf>,
    /// `policy`: a preset or a file.
    pub(crate) policy: Option<String>,
    /// `pins`: file of pinned software.
    pub(crate) pins: Option<PathBuf>,
    /// `cache`: whether vendor collateral is kept on disk; true when absent.
    pub(crate) cache: Option<bool>,
    /// `manifest` (privatemode): the expected manifest.
    pub(crate) manifest: Option<PathBuf>,
    /// `manifest_url` (privatemode)
    pub(crate) manifest_url: Option<String>,
    /// `amd_url` (privatemode)
    pub(crate) amd_url: Option<String>,
    /// `gpu_revocation_grace` (privatemode): hours.
    pub(crate) gpu_revocation_grace: Option<u32>,
    /// `workspace` (privatemode): directory of the manifest log.
    pub(crate) workspace: Option<PathBuf>,
    /// `shared_prompt_cache` (privatemode): one salt for all callers instead of one for each request.
    pub(crate) shared_prompt_cache: Option<bool>,
    /// `prompt_cache_salt_file` (privatemode): the salt that they share.
    pub(crate) prompt_cache_salt_file: Option<PathBuf>,
}
