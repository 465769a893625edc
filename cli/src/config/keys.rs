//! Every key that a configuration can have: one table for files, variables, `config show` and `docs/configuration.md`.

use std::path::Path;

use proveil::Provider;
use proveil::core::wire::nearest;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `true` or `false`.
    Switch,
    /// A whole number.
    Number {
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
    },
    /// A file or directory. In a file of settings it is seen from that file's directory.
    Path,
    /// A preset, or a file as above.
    Policy,
    /// As [`proveil::BaseUrl`] takes it.
    Url,
    /// Address and port.
    Listen,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// Names of providers.
    Providers,
    /// Values of `Host`.
    Hosts,
    /// Origins of web pages.
    Origins,
}

impl Kind {
    /// For people.
    pub(crate) fn describe(self) -> String {
        match self {
            Kind::Switch => "true or false".to_owned(),
            Kind::Number { min, max } => format!("a whole number from {min} to {max}"),
            Kind::Path => "a path".to_owned(),
            Kind::Policy => "a preset or a path".to_owned(),
            Kind::Url => "a URL (https, or http to a loopback address)".to_owned(),
            Kind::Listen => "an IP address and a port, such as 127.0.0.1:9876".to_owned(),
            Kind::OneOf(names) => format!("one of {}", names.join(", ")),
            Kind::Providers => "a list of providers".to_owned(),
            Kind::Hosts => "a list of host names".to_owned(),
            Kind::Origins => "a list of origins, such as https://chat.example".to_owned(),
        }
    }

    /// True for lists: comma-separated in a variable.
    pub(crate) const fn is_list(self) -> bool {
        matches!(self, Kind::Providers | Kind::Hosts | Kind::Origins)
    }
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    name: &'static str,
    kind: Kind,
    default: &'static str,
    about: &'static str,
    /// The only provider that has it.
    only: Option<Provider>,
}

const fn row(name: &'static str, kind: Kind, default: &'static str, about: &'static str) -> Row {
    Row { name, kind, default, about, only: None }
}

const fn privatemode(name: &'static str, kind: Kind, default: &'static str, about: &'static str) -> Row {
    Row { name, kind, default, about, only: Some(Provider::Privatemode) }
}

/// Longest time to drain: a day.
const DRAIN_MAX_S: u64 = 24 * 60 * 60;
/// The body of one request must fit, also into what is left for large ones.
pub(crate) const BODY_MEMORY_MIN_MIB: u64 = 64;
/// More than a machine has: a tebibyte.
pub(crate) const BODY_MEMORY_MAX_MIB: u64 = 1024 * 1024;
/// As the flag `--gpu-revocation-grace` takes it.
const HOURS: Kind = Kind::Number { min: 0, max: 0xffff_ffff };

/// `[proxy]`
static PROXY: &[Row] = &[
    row("listen", Kind::Listen, "127.0.0.1:9876", "where the proxy listens"),
    row("providers", Kind::Providers, "those with a key", "providers to serve"),
    row("hosts", Kind::Hosts, "none", "values of `Host` that are accepted beside the loopback names"),
    row("origins", Kind::Origins, "none", "browser origins that are accepted beside the proxy's own page"),
    row("client_tokens_file", Kind::Path, "none", "one token a line; callers must send one of them"),
    row("tls_cert", Kind::Path, "none", "certificate chain (PEM); goes with `tls_key`"),
    row("tls_key", Kind::Path, "none", "private key (PEM); goes with `tls_cert`"),
    row(
        "tls_client_ca",
        Kind::Path,
        "none",
        "authorities (PEM) whose client certificates are required; goes with `tls_cert`",
    ),
    row("emulate_tools", Kind::Switch, "false", "tool calls by prompt where a provider cannot carry tools"),
    row(
        "drain_s",
        Kind::Number { min: 0, max: DRAIN_MAX_S },
        "30",
        "how long answers under way may go on after the request to end, in seconds",
    ),
    row(
        "body_memory_mib",
        Kind::Number { min: BODY_MEMORY_MIN_MIB, max: BODY_MEMORY_MAX_MIB },
        "256",
        "most memory for the bodies of all requests together, in MiB",
    ),
    row(
        "log_level",
        Kind::OneOf(&["error", "warn", "info", "debug"]),
        "info",
        "what is logged; content never is",
    ),
    row("log_format", Kind::OneOf(&["text", "json"]), "text", "form of a log line"),
];

/// `[provider.NAME]`
static PROVIDER: &[Row] = &[
    row("api_key_file", Kind::Path, "none", "file with the API key; the variables below win over it"),
    row("base_url", Kind::Url, "the provider's own", "where the provider is reached"),
    row("collateral_url", Kind::Url, "Intel's", "where Intel-style collateral is fetched"),
    row(
        "nvidia_url",
        Kind::Url,
        "NVIDIA's",
        "where NVIDIA's manifests, OCSP answers and attestation service are reached",
    ),
    row("ca_bundle", Kind::Path, "none", "further certificate authorities for TLS (PEM)"),
    row("policy", Kind::Policy, "standard", "what must hold: a preset or a `proveil.policy/v1` file"),
    row("pins", Kind::Path, "the user's own", "file of pinned software"),
    row("cache", Kind::Switch, "true", "whether vendor collateral is kept on disk"),
    privatemode("manifest", Kind::Path, "none", "the expected manifest; not together with `manifest_url`"),
    privatemode("manifest_url", Kind::Url, "the provider's own", "where manifests are published"),
    privatemode("amd_url", Kind::Url, "AMD's", "a mirror of AMD's key distribution service"),
    privatemode(
        "gpu_revocation_grace",
        HOURS,
        "none",
        "accept GPUs that were revoked at most so many hours ago, or whose state is unknown; 0 as without",
    ),
    privatemode("workspace", Kind::Path, "none", "directory of the manifest log"),
    privatemode(
        "shared_prompt_cache",
        Kind::Switch,
        "false",
        "one cache salt for all callers instead of one for each request",
    ),
    privatemode("prompt_cache_salt_file", Kind::Path, "none", "the salt that they share"),
];

/// A key of a section.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    row: &'static Row,
    /// Of a provider's section.
    provider: Option<Provider>,
}

impl Key {
    /// `proxy.listen`, `provider.venice.base_url`.
    pub(crate) fn path(&self) -> String {
        format!("{}.{}", self.section(), self.row.name)
    }

    /// `proxy`, `provider.venice`.
    pub(crate) fn section(&self) -> String {
        self.provider.map_or_else(|| "proxy".to_owned(), |provider| format!("provider.{}", provider.name()))
    }

    /// The last part of the path.
    pub(crate) const fn name(&self) -> &'static str {
        self.row.name
    }

    pub(crate) const fn kind(&self) -> Kind {
        self.row.kind
    }

    /// What holds where nothing is said, in words.
    pub(crate) fn default(&self) -> &'static str {
        match self.provider {
            Some(provider) if self.row.name == "base_url" => provider.default_base_url(),
            _ => self.row.default,
        }
    }

    pub(crate) const fn about(&self) -> &'static str {
        self.row.about
    }

    /// `PROVEIL_PROVIDER_VENICE_BASE_URL`
    pub(crate) fn variable(&self) -> String {
        format!("PROVEIL_{}", self.path().replace('.', "_").to_uppercase())
    }
}

/// All keys: the proxy's, then each provider's.
pub(crate) fn all() -> Vec<Key> {
    let mut keys = proxy();
    keys.extend(Provider::ALL.iter().flat_map(|provider| of(*provider)));
    keys
}

/// The keys of `[proxy]`.
pub(super) fn proxy() -> Vec<Key> {
    PROXY.iter().map(|row| Key { row, provider: None }).collect()
}

/// The keys of `[provider.NAME]`.
pub(super) fn of(provider: Provider) -> Vec<Key> {
    let has = |row: &&'static Row| row.only.is_none_or(|only| only == provider);
    PROVIDER.iter().filter(has).map(|row| Key { row, provider: Some(provider) }).collect()
}

/// Why a name that is no key is none, for the reader of an error.
pub(super) fn why_not(name: &str, keys: &[Key]) -> Option<String> {
    let name = name.to_ascii_lowercase().replace('-', "_");
    if name.ends_with("trust_roots") || name == "roots" {
        return Some(
            "Trust roots are never configured: they are given with `--trust-roots` to one command at a time."
                .to_owned(),
        );
    }
    let secret = ["api_key", "apikey", "key", "token", "client_tokens", "password", "secret", "salt"];
    if secret.iter().any(|word| name == *word || name.ends_with(&format!("_{word}"))) {
        return Some(
            "A secret does not belong into a configuration: name a file that holds it (`api_key_file`)."
                .to_owned(),
        );
    }
    if let Some(only) = PROVIDER.iter().find(|row| row.name == name).and_then(|row| row.only) {
        return Some(format!("It goes with `{}` only.", only.name()));
    }
    let near = nearest(&name, keys.iter().map(Key::name))?;
    Some(format!("Did you mean `{near}`?"))
}

/// A path of a file of settings, seen from that file's directory.
pub(super) fn resolved(text: &str, base: Option<&Path>) -> Option<std::path::PathBuf> {
    let path = Path::new(text);
    match base {
        _ if text.is_empty() => None,
        _ if path.is_absolute() => Some(path.to_owned()),
        Some(base) => Some(base.join(path)),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `docs/configuration.md` has every key with its type, default and meaning, and no other.
    #[test]
    fn every_key_is_documented() {
        let text = include_str!("../../../docs/configuration.md");
        let mut rows: Vec<String> = PROXY.iter().map(documented).collect();
        rows.extend(PROVIDER.iter().map(documented));
        let found: Vec<&str> = text.lines().filter(|line| line.starts_with("| `")).collect();
        assert_eq!(found, rows, "\n{}\n", rows.join("\n"));
    }

    fn documented(row: &Row) -> String {
        let only = row.only.map(|only| format!(" ({} only)", only.name())).unwrap_or_default();
        format!("| `{}` | {} | {} | {}{only} |", row.name, row.kind.describe(), row.default, row.about)
    }
}
