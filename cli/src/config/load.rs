//! One configuration out of a file, the variables and the defaults, with the origin of each value.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use proveil::{Code, Error, Provider, Result};

use super::keys;
use super::origin::{Origin, Setting};
use super::parse::Parsed;
use super::values::Value;
use super::{Config, ProviderConfig, ProxyConfig, environment, file, parse};

/// A value that was set somewhere.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) key: String,
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// A configuration, and where each part of it came from.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) config: Config,
    /// The file that was read.
    pub(crate) file: Option<PathBuf>,
    /// Every key in the order of the table, then the aliases.
    pub(crate) origins: Vec<Setting>,
}

impl Loaded {
    /// Where a key's value came from, as errors name it: `config.toml:3: provider.venice.base_url`, `PROVEIL_PROVIDER_VENICE_BASE_URL`.
    pub(crate) fn name_of(&self, key: &str) -> String {
        match self.origin(key) {
            Origin::File { path, line, column } => format!("{}:{line}:{column}: {key}", path.display()),
            Origin::Environment(name) => name.clone(),
            Origin::Default => key.to_owned(),
        }
    }

    /// Where a key's value came from.
    pub(crate) fn origin(&self, key: &str) -> &Origin {
        self.origins.iter().find(|setting| setting.key == key).map_or(&Origin::Default, |it| &it.origin)
    }

    /// What is said about a provider, perhaps nothing.
    pub(crate) fn provider(&self, provider: Provider) -> ProviderConfig {
        self.config.providers.get(provider.name()).cloned().unwrap_or_default()
    }
}

/// Reads the configuration: `--config`, else `$PROVEIL_CONFIG`, else the user's file, else the system's; over it the variables. Fails
/// with `config_invalid`, naming file, line, column and the nearest valid name, and with `file_unreadable`.
pub(crate) fn load(explicit: Option<&Path>) -> Result<Loaded> {
    let variables: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    let lookup = |name: &str| std::env::var_os(name);
    let found = file::read(&file::candidates(explicit, lookup)?)?;
    let parsed = match &found {
        Some((path, text)) => parse::parse(path, text)?,
        None => Parsed::default(),
    };
    merge(found.map(|(path, _)| path), parsed, environment::read(&variables)?)
}

fn merge(file: Option<PathBuf>, parsed: Parsed, environment: Vec<Found>) -> Result<Loaded> {
    let mut settings = Settings::default();
    for found in parsed.settings.into_iter().chain(environment) {
        settings.0.insert(found.key.clone(), found);
    }
    settings.check()?;
    let mut origins: Vec<Setting> = keys::all()
        .iter()
        .map(|key| {
            let path = key.path();
            match settings.0.get(&path) {
                Some(found) => Setting { key: path, value: found.value.text(), origin: found.origin.clone() },
                None => Setting { key: path, value: key.default().to_owned(), origin: Origin::Default },
            }
        })
        .collect();
    let mut models = BTreeMap::new();
    for (alias, (list, origin)) in parsed.aliases {
        origins.push(Setting { key: format!("models.{alias}"), value: list.join(", "), origin });
        models.insert(alias, list);
    }
    let named = |provider: &&Provider| settings.0.keys().any(|key| key.starts_with(&prefix(**provider)));
    let providers = Provider::ALL
        .iter()
        .filter(named)
        .map(|provider| (provider.name().to_owned(), settings.provider(*provider)))
        .collect();
    Ok(Loaded { config: Config { proxy: settings.proxy(), providers, models }, file, origins })
}

fn prefix(provider: Provider) -> String {
    format!("provider.{}.", provider.name())
}

/// What was set, by key.
#[derive(Default)]
struct Settings(BTreeMap<String, Found>);

impl Settings {
    /// Keys that go together or not.
    fn check(&self) -> Result<()> {
        self.needs("proxy.tls_cert", "proxy.tls_key")?;
        self.needs("proxy.tls_key", "proxy.tls_cert")?;
        self.needs("proxy.tls_client_ca", "proxy.tls_cert")?;
        let (manifest, url) = ("provider.privatemode.manifest", "provider.privatemode.manifest_url");
        match (self.0.get(manifest), self.0.get(url)) {
            (Some(_), Some(found)) => {
                Err(complaint(found).context(format!("It cannot be together with `{manifest}`.")))
            }
            _ => Ok(()),
        }
    }

    fn needs(&self, key: &str, other: &str) -> Result<()> {
        match self.0.get(key) {
            Some(found) if !self.0.contains_key(other) => {
                Err(complaint(found).context(format!("It goes with `{other}`, which is not set.")))
            }
            _ => Ok(()),
        }
    }

    fn switch(&self, key: &str) -> Option<bool> {
        match self.0.get(key)?.value {
            Value::Switch(on) => Some(on),
            _ => None,
        }
    }

    fn number(&self, key: &str) -> Option<u64> {
        match self.0.get(key)?.value {
            Value::Number(number) => Some(number),
            _ => None,
        }
    }

    fn text(&self, key: &str) -> Option<String> {
        match &self.0.get(key)?.value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        }
    }

    fn path(&self, key: &str) -> Option<PathBuf> {
        match &self.0.get(key)?.value {
            Value::Path(path) => Some(path.clone()),
            _ => None,
        }
    }

    fn list(&self, key: &str) -> Option<Vec<String>> {
        match &self.0.get(key)?.value {
            Value::List(list) => Some(list.clone()),
            _ => None,
        }
    }

    fn proxy(&self) -> ProxyConfig {
        ProxyConfig {
            listen: self.text("proxy.listen"),
            providers: self.list("proxy.providers"),
            hosts: self.list("proxy.hosts").unwrap_or_default(),
            origins: self.list("proxy.origins").unwrap_or_default(),
            client_tokens_file: self.path("proxy.client_tokens_file"),
            tls_cert: self.path("proxy.tls_cert"),
            tls_key: self.path("proxy.tls_key"),
            tls_client_ca: self.path("proxy.tls_client_ca"),
            emulate_tools: self.switch("proxy.emulate_tools"),
            drain_s: self.number("proxy.drain_s"),
            body_memory_mib: self.number("proxy.body_memory_mib"),
            log_level: self.text("proxy.log_level"),
            log_format: self.text("proxy.log_format"),
        }
    }

    fn provider(&self, provider: Provider) -> ProviderConfig {
        let prefix = prefix(provider);
        let key = |name: &str| format!("{prefix}{name}");
        ProviderConfig {
            api_key_file: self.path(&key("api_key_file")),
            base_url: self.text(&key("base_url")),
            collateral_url: self.text(&key("collateral_url")),
            nvidia_url: self.text(&key("nvidia_url")),
            ca_bundle: self.path(&key("ca_bundle")),
            policy: self.text(&key("policy")),
            pins: self.path(&key("pins")),
            cache: self.switch(&key("cache")),
            manifest: self.path(&key("manifest")),
            manifest_url: self.text(&key("manifest_url")),
            amd_url: self.text(&key("amd_url")),
            gpu_revocation_grace: self
                .number(&key("gpu_revocation_grace"))
                .map(|hours| u32::try_from(hours).unwrap_or(u32::MAX)),
            workspace: self.path(&key("workspace")),
            shared_prompt_cache: self.switch(&key("shared_prompt_cache")),
            prompt_cache_salt_file: self.path(&key("prompt_cache_salt_file")),
        }
    }
}

fn complaint(found: &Found) -> Error {
    let error = Error::new(Code::ConfigInvalid);
    match &found.origin {
        Origin::File { path, line, column } => {
            error.at(format!("{}:{line}:{column}: {}", path.display(), found.key)).in_text(*line, *column)
        }
        Origin::Environment(name) => error.at(name.clone()),
        Origin::Default => error.at(found.key.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys::Kind;
    use super::*;

    fn example(kind: Kind) -> String {
        match kind {
            Kind::Switch => "true".to_owned(),
            Kind::Number { min, .. } => min.max(7).to_string(),
            Kind::Path => "\"some/file\"".to_owned(),
            Kind::Policy => "\"strict\"".to_owned(),
            Kind::Url => "\"https://mirror.example\"".to_owned(),
            Kind::Listen => "\"127.0.0.1:1\"".to_owned(),
            Kind::OneOf(names) => format!("{:?}", names[0]),
            Kind::Providers => "[\"venice\"]".to_owned(),
            Kind::Hosts => "[\"proxy.example\"]".to_owned(),
            Kind::Origins => "[\"https://chat.example\"]".to_owned(),
        }
    }

    /// Every key of the table reaches its member, from a file and from a variable.
    #[test]
    fn every_key_arrives() {
        for key in keys::all() {
            let file = format!("{} = {}", key.path(), example(key.kind()));
            let parsed = parse::parse(Path::new("/etc/x/config.toml"), &file).unwrap();
            let value = match key.kind() {
                Kind::Path => "/etc/x/some/file".to_owned(),
                kind => example(kind).replace(['"', '[', ']'], ""),
            };
            let variables = [(key.variable().into(), value.clone().into())];
            let both = [parsed.settings, environment::read(&variables).unwrap()];
            for (settings, origin) in both.into_iter().zip(["file /etc/x/config.toml:1", "environment "]) {
                let settings =
                    Settings(settings.into_iter().map(|found| (found.key.clone(), found)).collect());
                let (shown, found) = match key.section().as_str() {
                    "proxy" => (format!("{:?}", settings.proxy()), &settings.0[&key.path()]),
                    section => {
                        let provider = Provider::parse(&section["provider.".len()..]).unwrap();
                        (format!("{:?}", settings.provider(provider)), &settings.0[&key.path()])
                    }
                };
                let member = if matches!(key.name(), "hosts" | "origins") { "[\"" } else { "Some(" };
                assert!(shown.contains(&format!("{}: {member}", key.name())), "{shown}");
                assert_eq!(found.value.text(), value, "{}", key.path());
                assert!(found.origin.to_string().starts_with(origin));
            }
        }
    }

    #[test]
    fn variables_win_over_the_file_and_the_file_over_the_default() {
        let parsed =
            || parse::parse(Path::new("/c.toml"), "[proxy]\nlisten = '127.0.0.1:1'\ndrain_s = 1").unwrap();
        let variables = [("PROVEIL_PROXY_LISTEN".into(), "127.0.0.1:2".into())];
        let loaded = merge(None, parsed(), environment::read(&variables).unwrap()).unwrap();
        let shown = |key: &str| {
            let setting = loaded.origins.iter().find(|setting| setting.key == key).unwrap();
            (setting.value.clone(), setting.origin.to_string())
        };
        assert_eq!(shown("proxy.listen"), ("127.0.0.1:2".into(), "environment PROVEIL_PROXY_LISTEN".into()));
        assert_eq!(shown("proxy.drain_s"), ("1".into(), "file /c.toml:3".into()));
        assert_eq!(shown("proxy.log_level"), ("info".into(), "default".into()));
        assert_eq!(loaded.origins.len(), keys::all().len());
        assert_eq!((loaded.config.proxy.drain_s, loaded.config.proxy.log_level), (Some(1), None));
    }
}
