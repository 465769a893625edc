//! What the proxy was told, from flags and configuration, checked before anything is started: it is never half-started.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use proveil::core::wire::nearest;
use proveil::{Code, Error, Provider, Result};

use super::upstream::Recipe;
use super::{compatible, served};
use crate::args;
use crate::config::{BODY_MEMORY_MAX_MIB, BODY_MEMORY_MIN_MIB, Config, Loaded};
use crate::output::Output;

/// Where callers find it.
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9876);
/// The port of Privatemode's own proxy, which set-ups of containers publish.
const CONTAINER_PORT: u16 = 8080;
/// Answers that one caller may have open at once (threats section 5).
const STREAMS_PER_CLIENT: usize = 64;
/// More than a machine has memory for.
const STREAMS_MAX: usize = 65_536;
const BODY_MEMORY_MIB: u64 = 256;
const DRAIN_S: u64 = 30;
const DRAIN_MAX_S: u64 = 24 * 60 * 60;

/// Everything that a proxy is started with.
pub(crate) struct Settings {
    pub(crate) listen: SocketAddr,
    /// Listens on a container's network, for private addresses only.
    pub(crate) container: bool,
    /// Accepted values of `Host` beside the loopback names, in lower case, without port.
    pub(crate) hosts: Vec<String>,
    pub(crate) origins: Vec<String>,
    pub(crate) tokens_file: Option<PathBuf>,
    pub(crate) tls: Option<TlsFiles>,
    /// At least one.
    pub(crate) recipes: Vec<Recipe>,
    pub(crate) aliases: BTreeMap<String, Vec<String>>,
    /// Models to keep verified: as `provider/model`, or as an id whose provider the model list says.
    pub(crate) warm: Vec<String>,
    pub(crate) emulate_tools: bool,
    pub(crate) streams_per_client: usize,
    /// Bytes of the bodies of all requests together.
    pub(crate) body_memory: usize,
    pub(crate) drain: Duration,
    pub(crate) log_level: tracing::Level,
    pub(crate) log_json: bool,
}

/// Files of the proxy's own certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) client_ca: Option<PathBuf>,
}

impl Settings {
    /// Flags win over configuration. Fails with the configuration family, naming what is wrong.
    pub(crate) fn new(args: args::Proxy, loaded: &Arc<Loaded>, output: &Output) -> Result<Settings> {
        let mut args = compatible::apply(args, output)?;
        let config = &loaded.config;
        let proxy = &config.proxy;
        let container = args.access.container;
        let port = args.compatible.port;
        // A port on the command line wins over an address in a file.
        let configured = proxy.listen.as_deref().filter(|_| port.is_none());
        let listen = listen(args.listen.as_deref().or(configured), port, container)?;
        let tls = tls(&args.access, config)?;
        let tokens_file = args.access.client_tokens_file.take().or_else(|| proxy.client_tokens_file.clone());
        refuse_exposure(listen, container, has_access_control(tokens_file.as_ref(), tls.as_ref()))?;
        let mut hosts = proxy.hosts.clone();
        hosts.append(&mut args.access.hosts);
        let mut origins = proxy.origins.clone();
        origins.append(&mut args.access.origins);
        // Simulated ones are put in by whoever starts them.
        let recipes =
            if args.demo { Vec::new() } else { recipes(&mut args, loaded, tokens_file.is_some(), output)? };
        let served: Vec<Provider> = if args.demo {
            Provider::ALL.to_vec()
        } else {
            recipes.iter().map(|recipe| recipe.provider).collect()
        };
        let aliases = aliases(config, &served)?;
        let warm = warm(std::mem::take(&mut args.models), &aliases, &served)?;
        if !warm.is_empty() && recipes.iter().any(|recipe| !recipe.has_own_key()) {
            output.warn(
                "--model has no effect without an API key: nothing can be verified before somebody calls",
            );
        }
        Ok(Settings {
            listen,
            container,
            hosts: hosts.iter().map(|host| host_name(host)).collect::<Result<_>>()?,
            origins: origins.iter().map(|origin| origin_of(origin)).collect::<Result<_>>()?,
            tokens_file,
            tls,
            warm,
            recipes,
            aliases,
            emulate_tools: args.emulate_tools || proxy.emulate_tools.unwrap_or(false),
            streams_per_client: bounded(
                "--streams-per-client",
                args.operation.streams_per_client,
                STREAMS_PER_CLIENT,
                STREAMS_MAX,
            )?,
            body_memory: body_memory(args.operation.body_memory_mib.or(proxy.body_memory_mib))?,
            drain: Duration::from_secs(drain(args.operation.drain.or(proxy.drain_s))?),
            log_level: log_level(args.operation.log_level.as_deref().or(proxy.log_level.as_deref()))?,
            log_json: log_json(args.operation.log_format.as_deref().or(proxy.log_format.as_deref()))?,
        })
    }

    /// Whether callers must show a token or a certificate.
    pub(super) fn has_access_control(&self) -> bool {
        has_access_control(self.tokens_file.as_ref(), self.tls.as_ref())
    }
}

/// Whether callers must show a token or a certificate.
fn has_access_control(tokens_file: Option<&PathBuf>, tls: Option<&TlsFiles>) -> bool {
    tokens_file.is_some() || tls.is_some_and(|files| files.client_ca.is_some())
}

fn invalid(flag: &str) -> Error {
    Error::new(Code::ConfigInvalid).at(flag)
}

fn listen(named: Option<&str>, port: Option<u16>, container: bool) -> Result<SocketAddr> {
    // Both families, where the system has both.
    let fallback_ip = if container { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { DEFAULT_LISTEN.ip() };
    let Some(named) = named else {
        let fallback_port = if container { CONTAINER_PORT } else { DEFAULT_LISTEN.port() };
        return Ok(SocketAddr::new(fallback_ip, port.unwrap_or(fallback_port)));
    };
    let spelled = named.replace("localhost:", "127.0.0.1:");
    spelled.parse().map_err(|_| {
        invalid("--listen").expected("an address and a port, as in 127.0.0.1:9876 or [::1]:9876").found(named)
    })
}

/// T53: nobody else may reach the proxy without saying who they are.
fn refuse_exposure(listen: SocketAddr, container: bool, has_access_control: bool) -> Result<()> {
    if listen.ip().is_loopback() || container || has_access_control {
        return Ok(());
    }
    Err(Error::new(Code::ListenerExposed).at("--listen").found(listen.to_string()))
}

fn tls(access: &args::Access, config: &Config) -> Result<Option<TlsFiles>> {
    let proxy = &config.proxy;
    let cert = access.tls_cert.clone().or_else(|| proxy.tls_cert.clone());
    let key = access.tls_key.clone().or_else(|| proxy.tls_key.clone());
    let client_ca = access.tls_client_ca.clone().or_else(|| proxy.tls_client_ca.clone());
    match (cert, key, client_ca) {
        (Some(cert), Some(key), client_ca) => Ok(Some(TlsFiles { cert, key, client_ca })),
        (None, None, None) => Ok(None),
        _ => Err(invalid("--tls-cert").expected("a certificate and its key, or none of the TLS files")),
    }
}

/// The providers that are served, each with how its clients are made.
fn recipes(
    args: &mut args::Proxy,
    loaded: &Arc<Loaded>,
    has_tokens: bool,
    output: &Output,
) -> Result<Vec<Recipe>> {
    let named = match &args.providers {
        none if none.is_empty() => loaded.config.proxy.providers.clone().unwrap_or_default(),
        given => given.clone(),
    };
    let providers = served::providers(&named, loaded)?;
    let recipes: Vec<Recipe> = providers
        .iter()
        .map(|provider| Recipe::new(*provider, args, loaded, providers.len() == 1))
        .collect::<Result<_>>()?;
    let keys: Vec<(Provider, bool)> =
        recipes.iter().map(|recipe| (recipe.provider, recipe.has_own_key())).collect();
    if let Some(provider) = served::whose_callers_bring_keys(&keys, has_tokens)? {
        output.warn(&format!(
            "no API key for {}: every caller's own key is used, and sent to this provider only",
            provider.name()
        ));
    }
    Ok(recipes)
}

/// Every alias leads to models of providers that are served.
fn aliases(config: &Config, served: &[Provider]) -> Result<BTreeMap<String, Vec<String>>> {
    let served: Vec<&str> = served.iter().map(|provider| provider.name()).collect();
    for (alias, targets) in &config.models {
        let refuse = |found: &str| {
            let error = invalid(&format!("models.{alias}")).found(found).expected("provider/model");
            match nearest(found.split('/').next().unwrap_or_default(), served.iter().copied()) {
                Some(near) => error.context(format!("Did you mean `{near}/...`?")),
                None => error.context(format!("Served: {}.", served.join(", "))),
            }
        };
        if targets.is_empty() {
            return Err(refuse("nothing"));
        }
        for target in targets {
            let known = target
                .split_once('/')
                .is_some_and(|(name, model)| served.contains(&name) && !model.is_empty());
            if !known {
                return Err(refuse(target));
            }
        }
    }
    Ok(config.models.clone())
}

/// The models to keep verified, without aliases, which are kept anyway. What needs a model list is found out when there is one.
fn warm(
    models: Vec<String>,
    aliases: &BTreeMap<String, Vec<String>>,
    served: &[Provider],
) -> Result<Vec<String>> {
    let served: Vec<&str> = served.iter().map(|provider| provider.name()).collect();
    let mut warm = Vec::new();
    for model in models {
        if aliases.contains_key(&model) {
            continue;
        }
        let (prefix, rest) = model.split_once('/').unwrap_or(("", &model));
        let is_provider = Provider::ALL.iter().any(|provider| provider.name() == prefix);
        let near = nearest(prefix, served.iter().copied()).filter(|near| *near != prefix);
        let error = || {
            let expected = "provider/model, the id of a model, or an alias";
            invalid("--model").expected(expected).found(model.as_str())
        };
        if rest.is_empty() {
            return Err(error());
        }
        if is_provider && !served.contains(&prefix) {
            return Err(error().context(format!("Served: {}.", served.join(", "))));
        }
        // Ids of models have prefixes too, which are no misspelt providers.
        if let Some(near) = near.filter(|_| !is_provider) {
            return Err(error().context(format!("Did you mean `{near}/{rest}`?")));
        }
        warm.push(model);
    }
    Ok(warm)
}

/// A host name as it is compared: lower case, without port.
fn host_name(text: &str) -> Result<String> {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':' | b'[' | b']');
    if text.is_empty() || !text.bytes().all(plain) {
        return Err(invalid("--host").expected("a host name or address").found(text));
    }
    Ok(super::gate::host_of(text).to_ascii_lowercase())
}

fn origin_of(text: &str) -> Result<String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match rest {
        Some(rest) if !rest.is_empty() && !rest.contains(['/', '*', '?', '#', ' ']) => {
            Ok(text.to_ascii_lowercase())
        }
        _ => Err(invalid("--origin").expected("scheme://host[:port], without wildcard or path").found(text)),
    }
}

fn bounded(flag: &str, given: Option<usize>, usual: usize, most: usize) -> Result<usize> {
    let value = given.unwrap_or(usual);
    if (1..=most).contains(&value) {
        return Ok(value);
    }
    Err(invalid(flag).expected(format!("1 to {most}")).found(value.to_string()))
}

fn body_memory(given: Option<u64>) -> Result<usize> {
    let mib = given.unwrap_or(BODY_MEMORY_MIB);
    let refuse = || {
        let bounds = format!("{BODY_MEMORY_MIN_MIB} to {BODY_MEMORY_MAX_MIB} MiB");
        invalid("--body-memory-mib").expected(bounds).found(mib.to_string())
    };
    let fits = (BODY_MEMORY_MIN_MIB..=BODY_MEMORY_MAX_MIB).contains(&mib);
    let bytes = usize::try_from(mib).ok().and_then(|mib| mib.checked_mul(1024 * 1024));
    bytes.filter(|_| fits).ok_or_else(refuse)
}

fn drain(given: Option<u64>) -> Result<u64> {
    match given.unwrap_or(DRAIN_S) {
        seconds if seconds <= DRAIN_MAX_S => Ok(seconds),
        seconds => {
            Err(invalid("--drain").expected(format!("0 to {DRAIN_MAX_S} seconds")).found(seconds.to_string()))
        }
    }
}

fn log_level(name: Option<&str>) -> Result<tracing::Level> {
    Ok(match name.unwrap_or("info") {
        "error" => tracing::Level::ERROR,
        "warn" => tracing::Level::WARN,
        "info" => tracing::Level::INFO,
        "debug" => tracing::Level::DEBUG,
        other => return Err(invalid("--log-level").expected("error, warn, info or debug").found(other)),
    })
}

fn log_json(name: Option<&str>) -> Result<bool> {
    match name.unwrap_or("text") {
        "text" => Ok(false),
        "json" => Ok(true),
        other => Err(invalid("--log-format").expected("text or json").found(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// T53: what listens where others reach it says who may call, or does not start.
    #[test]
    fn t53_exposure() {
        for (address, container, controlled, refused) in [
            ("127.0.0.1:9876", false, false, false),
            ("[::1]:9876", false, false, false),
            ("127.8.9.1:1", false, false, false),
            ("0.0.0.0:9876", false, false, true),
            ("[::]:9876", false, false, true),
            ("192.168.1.2:9876", false, false, true),
            ("0.0.0.0:9876", false, true, false),
            ("0.0.0.0:8080", true, false, false),
            ("[::]:8080", true, false, false),
        ] {
            let result = refuse_exposure(address.parse().unwrap(), container, controlled);
            assert_eq!(result.is_err(), refused, "{address} {container} {controlled}");
        }
    }

    #[test]
    fn addresses() {
        assert_eq!(listen(None, None, false).unwrap(), DEFAULT_LISTEN);
        for (port, container, address) in [
            (None, true, "[::]:8080"),
            (Some(8080), true, "[::]:8080"),
            (Some(9000), true, "[::]:9000"),
            (Some(8080), false, "127.0.0.1:8080"),
        ] {
            assert_eq!(listen(None, port, container).unwrap().to_string(), address);
        }
        assert_eq!(listen(Some("localhost:1"), None, false).unwrap().to_string(), "127.0.0.1:1");
        for text in ["", "9876", "example.com:1", "127.0.0.1", "127.0.0.1:99999"] {
            assert_eq!(listen(Some(text), None, false).unwrap_err().code(), Code::ConfigInvalid, "{text}");
        }
    }

    #[test]
    fn models_to_keep_verified() {
        let aliases = BTreeMap::from([("fast".to_owned(), vec!["venice/m".to_owned()])]);
        let both = Provider::ALL;
        for (served, model, kept) in [
            (both, "venice/m", Ok(&["venice/m"][..])),
            (both, "fast", Ok(&[])),
            (both, "plain-id", Ok(&["plain-id"])),
            (both, "openai/gpt-oss-120b", Ok(&["openai/gpt-oss-120b"])),
            (&[Provider::Privatemode], "leon-se/gemma", Ok(&["leon-se/gemma"])),
            (both, "vennice/m", Err("Did you mean `venice/m`?")),
            (both, "privatmode/openai/m", Err("Did you mean `privatemode/openai/m`?")),
            (&[Provider::Privatemode], "venice/m", Err("Served: privatemode.")),
            (both, "venice/", Err("")),
            (both, "", Err("")),
        ] {
            match (warm(vec![model.to_owned()], &aliases, served), kept) {
                (Ok(found), Ok(kept)) => assert_eq!(found, kept, "{model}"),
                (Err(error), Err(part)) => {
                    assert_eq!(error.code(), Code::ConfigInvalid);
                    assert!(error.message().contains(part), "{model}: {}", error.message());
                }
                (found, _) => panic!("{model}: {found:?}"),
            }
        }
    }

    #[test]
    fn names_and_origins() {
        assert_eq!(host_name("Proxy.Internal:9876").unwrap(), "proxy.internal");
        assert!(host_name("a b").is_err() && host_name("").is_err());
        assert_eq!(origin_of("https://Chat.Example").unwrap(), "https://chat.example");
        for text in ["*", "null", "https://", "https://a/b", "https://*.a", "chat.example"] {
            assert!(origin_of(text).is_err(), "{text}");
        }
    }
}
