//! Files and values that the user names, and the client made from them.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proveil::core::attest::contrast::Manifest;
use proveil::core::evidence::TdxCollateral;
use proveil::core::limits::CONTRAST_MANIFEST_MAX_BYTES;
use proveil::core::provider::privatemode::{GpuRevocation, PrivatemodeOptions};
use proveil::core::wire::{hex, nearest};
use proveil::{
    BaseUrl, Client, ClientConfig, Code, Error, FilePins, Observer, PinStore, Policy, Provider, Result,
    SecretText, TrustRoots,
};

use crate::args::{self, Connection, Rules};
use crate::config::{Loaded, ProviderConfig};
use crate::output::Output;
use crate::secrets;

/// Seconds of an hour.
pub(crate) const HOUR_S: u64 = 3600;

/// Policy, trust roots and authorities.
const SMALL_FILE_MAX_BYTES: u64 = 4 * 1024 * 1024;
/// One collateral file.
const COLLATERAL_MAX_BYTES: u64 = 20 * 1024 * 1024;
/// Why a flag is refused.
pub(crate) const PRIVATEMODE_ONLY: &str = "It goes with `privatemode` only.";
/// Files of a collateral directory.
const COLLATERAL_MAX_FILES: usize = 64;

/// Reads a file of at most `limit` bytes. `flag` says where its name came from.
pub(crate) fn read(path: &Path, flag: &str, limit: u64) -> Result<Vec<u8>> {
    let unreadable = |found: String| Error::new(Code::FileUnreadable).at(flag).found(found);
    let failed = |error: std::io::Error| unreadable(format!("{}: {error}", path.display()));
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut bytes))
        .map_err(failed)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit {
        return Err(unreadable(format!("{}: more than {limit} bytes", path.display())));
    }
    Ok(bytes)
}

/// The same, with `-` for standard input.
pub(crate) fn read_or_stdin(path: &Path, flag: &str, limit: u64) -> Result<Vec<u8>> {
    if path != Path::new("-") {
        return read(path, flag, limit);
    }
    let unreadable = |found: String| Error::new(Code::FileUnreadable).at(flag).found(found);
    let mut bytes = Vec::new();
    std::io::stdin()
        .lock()
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(format!("standard input: {error}")))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit {
        return Err(unreadable(format!("standard input: more than {limit} bytes")));
    }
    Ok(bytes)
}

/// A preset, or a file; `standard` when none is named. Every weakening is said aloud.
pub(crate) fn policy(name: Option<&str>, output: &Output) -> Result<Policy> {
    warned(named_policy(name.unwrap_or("standard"), "--policy")?, output)
}

fn warned(policy: Policy, output: &Output) -> Result<Policy> {
    let relaxations = policy.relaxations();
    if !relaxations.is_empty() {
        output.warn(&format!("policy {} is weaker than standard: {}", policy.name(), relaxations.join("; ")));
    }
    Ok(policy)
}

/// A preset, or a file.
pub(crate) fn named_policy(name: &str, flag: &str) -> Result<Policy> {
    if let Some(policy) = Policy::preset(name) {
        return Ok(policy);
    }
    if Path::new(name).exists() {
        return policy_file(Path::new(name), flag);
    }
    let error = Error::new(Code::PolicyInvalid)
        .at(flag)
        .found(name)
        .expected("standard, strict, or a file that exists");
    Err(match nearest(name, Policy::preset_names()) {
        Some(near) => error.context(format!("Did you mean `{near}`?")),
        None => error,
    })
}

/// A file. An error names it with line, column and member.
pub(crate) fn policy_file(path: &Path, flag: &str) -> Result<Policy> {
    Policy::from_json(&read(path, flag, SMALL_FILE_MAX_BYTES)?).map_err(|error| {
        let place = error.place().map(|(line, column)| format!(":{line}:{column}")).unwrap_or_default();
        let member = error.check().unwrap_or_default().to_owned();
        error.at(format!("{}{place}: {member}", path.display()))
    })
}

/// Every file of pins in use: the one that was named, else those of all providers.
pub(crate) fn pin_stores(path: Option<&Path>, settings: &Loaded) -> Result<Vec<Arc<dyn PinStore>>> {
    if path.is_some() {
        return Ok(vec![pins(path)?]);
    }
    let places: BTreeSet<Option<PathBuf>> =
        Provider::ALL.iter().map(|provider| settings.provider(*provider).pins).collect();
    places.iter().map(|place| pins(place.as_deref())).collect()
}

/// The user's own file of pins, if there is a place for it.
pub(crate) fn own_pins() -> Option<PathBuf> {
    data_dir(|name| std::env::var_os(name)).map(|dir| dir.join("pins.json"))
}

/// The file of pins that was named, or the user's own.
pub(crate) fn pins(path: Option<&Path>) -> Result<Arc<dyn PinStore>> {
    let path = path.map(Path::to_owned).or_else(own_pins).ok_or_else(|| {
        Error::new(Code::PinsInvalid).at("--pins").context("There is no home directory to keep them in.")
    })?;
    Ok(Arc::new(FilePins::new(path)))
}

/// Replaces a file by a text.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    let failed = |error: std::io::Error| {
        Error::new(Code::FileUnwritable).at("--output").found(format!("{}: {error}", path.display()))
    };
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(path).map_err(failed)?;
    let end = if text.ends_with('\n') { "" } else { "\n" };
    file.write_all(text.as_bytes()).and_then(|()| file.write_all(end.as_bytes())).map_err(failed)
}

/// The vendors' roots, or those of a file.
pub(crate) fn trust_roots(path: Option<&Path>, output: &Output) -> Result<TrustRoots> {
    let Some(path) = path else { return Ok(TrustRoots::vendors()) };
    let roots = TrustRoots::from_json(&read(path, "--trust-roots", SMALL_FILE_MAX_BYTES)?)?;
    output.warn("signatures are checked against CUSTOM roots, not the hardware vendors'");
    Ok(roots)
}

/// One collateral file, or all files ending in `.json` of a directory; those that are no collateral are counted and left out.
pub(crate) fn collateral(path: &Path, output: &Output) -> Result<Vec<TdxCollateral>> {
    const FLAG: &str = "--collateral";
    if !path.is_dir() {
        return Ok(vec![TdxCollateral::from_json(&read(path, FLAG, COLLATERAL_MAX_BYTES)?)?]);
    }
    let failed = |error: std::io::Error| {
        Error::new(Code::FileUnreadable).at(FLAG).found(format!("{}: {error}", path.display()))
    };
    let entries = fs::read_dir(path).map_err(failed)?;
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    if files.len() > COLLATERAL_MAX_FILES {
        return Err(Error::new(Code::LimitExceeded)
            .at(FLAG)
            .expected(format!("{COLLATERAL_MAX_FILES} files")));
    }
    let count = files.len();
    let parsed = files.iter().filter_map(|file| {
        let bytes = read(file, FLAG, COLLATERAL_MAX_BYTES).ok()?;
        TdxCollateral::from_json(&bytes).ok()
    });
    let found: Vec<TdxCollateral> = parsed.collect();
    if found.len() < count {
        let others = count.saturating_sub(found.len());
        output.warn(&format!(
            "{others} of {count} files in {} are no collateral and were left out",
            path.display()
        ));
    }
    Ok(found)
}

/// 32 bytes as 64 hex digits.
pub(crate) fn nonce(text: &str) -> Result<[u8; 32]> {
    fixed(text, "--nonce")
}

/// Exactly `N` bytes in hex.
pub(crate) fn fixed<const N: usize>(text: &str, flag: &str) -> Result<[u8; N]> {
    let digits = N.saturating_mul(2);
    let refuse = || Error::new(Code::InvalidArgument).at(flag).expected(format!("{digits} hex digits"));
    hex::decode_array(text).ok_or_else(refuse)
}

/// A client for the connection and rules that the user asked for: flags win over the configuration.
pub(crate) fn client(
    provider: Provider,
    connection: &Connection,
    rules: Option<&Rules>,
    settings: &Loaded,
    observer: Observer,
    output: &Output,
) -> Result<Client> {
    // Before any file is read: a mistyped address is the quickest to correct.
    let defaults = Defaults::of(provider, settings);
    defaults.base_url(connection)?;
    let api_key = secrets::api_key(provider, connection.api_key_file.as_deref(), settings, output)?;
    let config = client_config(provider, connection, rules, settings, api_key, output)?;
    Client::observed(config, observer)
}

/// The same as settings, with a key of the caller's choice. Without `rules`, nothing can be verified.
pub(crate) fn client_config(
    provider: Provider,
    connection: &Connection,
    rules: Option<&Rules>,
    settings: &Loaded,
    api_key: SecretText,
    output: &Output,
) -> Result<ClientConfig> {
    let defaults = Defaults::of(provider, settings);
    let mut config = ClientConfig::new(provider, api_key);
    config.base_url = defaults.base_url(connection)?;
    config.collateral_url = defaults.url(
        "--collateral-url",
        &connection.collateral_url,
        "collateral_url",
        &defaults.config.collateral_url,
    )?;
    config.nvidia_url =
        defaults.url("--nvidia-url", &connection.nvidia_url, "nvidia_url", &defaults.config.nvidia_url)?;
    let ca_bundle =
        defaults.pick("--ca-bundle", &connection.ca_bundle, "ca_bundle", &defaults.config.ca_bundle);
    config.ca_bundle_pem =
        ca_bundle.map(|(path, name)| read(&path, &name, SMALL_FILE_MAX_BYTES)).transpose()?;
    let no_cache = connection.no_cache || defaults.config.cache == Some(false);
    let Some(rules) = rules else {
        config.cache_dir = own_cache_dir().filter(|_| !no_cache);
        return Ok(config);
    };
    config.policy = policy_for(provider, rules, settings, output)?;
    config.roots = trust_roots(rules.trust_roots.as_deref(), output)?;
    config.privatemode = privatemode(provider, &rules.privatemode, &defaults, output)?;
    config.workspace = rules.privatemode.workspace.clone().or_else(|| defaults.config.workspace.clone());
    let named = rules.pins.as_deref().or(defaults.config.pins.as_deref());
    config.pins = match pins(named) {
        Ok(pins) => Some(pins),
        // Without a home directory nothing can have been pinned there.
        Err(_) if named.is_none() => None,
        Err(error) => return Err(error),
    };
    config.cache_dir = cache_dir_for(connection, rules).filter(|_| !no_cache);
    Ok(config)
}

/// The policy for a provider: the flag's, else the configured one, else `standard`.
pub(crate) fn policy_for(
    provider: Provider,
    rules: &Rules,
    settings: &Loaded,
    output: &Output,
) -> Result<Policy> {
    let defaults = Defaults::of(provider, settings);
    match defaults.pick("--policy", &rules.policy, "policy", &defaults.config.policy) {
        Some((name, origin)) => warned(named_policy(&name, &origin)?, output),
        None => policy(None, output),
    }
}

/// What is configured for a provider, where no flag says otherwise.
struct Defaults<'a> {
    provider: Provider,
    settings: &'a Loaded,
    config: ProviderConfig,
}

impl Defaults<'_> {
    fn of(provider: Provider, settings: &Loaded) -> Defaults<'_> {
        Defaults { provider, settings, config: settings.provider(provider) }
    }

    /// The flag's value, else the configured one, each with the name that an error calls it by.
    fn pick<T: Clone>(
        &self,
        flag: &str,
        given: &Option<T>,
        key: &str,
        configured: &Option<T>,
    ) -> Option<(T, String)> {
        let flag = given.clone().map(|value| (value, flag.to_owned()));
        let key = format!("provider.{}.{key}", self.provider.name());
        flag.or_else(|| configured.clone().map(|value| (value, self.settings.name_of(&key))))
    }

    fn url(
        &self,
        flag: &str,
        given: &Option<String>,
        key: &str,
        configured: &Option<String>,
    ) -> Result<Option<BaseUrl>> {
        let parse = |(text, name): (String, String)| BaseUrl::parse(&text).map_err(|error| error.at(name));
        self.pick(flag, given, key, configured).map(parse).transpose()
    }

    fn base_url(&self, connection: &Connection) -> Result<Option<BaseUrl>> {
        self.url("--base-url", &connection.base_url, "base_url", &self.config.base_url)
    }
}

/// Refuses settings of Privatemode where they would be ignored, which nobody wants of an expectation.
pub(crate) fn refuse_privatemode(args: &args::Privatemode, why: &str) -> Result<()> {
    let args::Privatemode {
        manifest,
        manifest_url,
        amd_url,
        gpu_revocation_grace,
        gpu_revocation: _,
        workspace,
    } = args;
    let given = [
        ("--manifest", manifest.is_some()),
        ("--manifest-url", manifest_url.is_some()),
        ("--amd-url", amd_url.is_some()),
        ("--gpu-revocation-grace", gpu_revocation_grace.is_some()),
        ("--workspace", workspace.is_some()),
    ];
    match given.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((flag, _)) => Err(Error::new(Code::Usage).at(*flag).context(why)),
    }
}

/// Settings that only Privatemode has.
fn privatemode(
    provider: Provider,
    args: &args::Privatemode,
    defaults: &Defaults<'_>,
    output: &Output,
) -> Result<PrivatemodeOptions> {
    if provider != Provider::Privatemode {
        refuse_privatemode(args, PRIVATEMODE_ONLY)?;
        return Ok(PrivatemodeOptions::default());
    }
    let args::Privatemode {
        manifest,
        manifest_url,
        amd_url,
        gpu_revocation_grace,
        gpu_revocation,
        workspace: _,
    } = args;
    let mut config = defaults.config.clone();
    // The two exclude each other, so a flag for one takes the place of what is configured for the other.
    if manifest.is_some() || manifest_url.is_some() {
        (config.manifest, config.manifest_url) = (None, None);
    }
    let expected = match defaults.pick("--manifest", manifest, "manifest", &config.manifest) {
        Some((path, name)) => Some(manifest_file(&path, &name)?),
        None => None,
    };
    let gpu_revocation =
        gpu_revocation.unwrap_or_else(|| match gpu_revocation_grace.or(config.gpu_revocation_grace) {
            // No grace is not more than none given.
            None | Some(0) => GpuRevocation::GoodOnly,
            Some(hours) => GpuRevocation::Lenient { grace_s: u64::from(hours).saturating_mul(HOUR_S) },
        });
    match gpu_revocation {
        GpuRevocation::GoodOnly => {}
        GpuRevocation::Lenient { grace_s: 0 } => {
            output.warn("GPUs whose revocation state is unknown are accepted")
        }
        GpuRevocation::Lenient { grace_s } => output.warn(&format!(
            "GPUs that NVIDIA revoked at most {} hours ago, or whose state is unknown, are accepted",
            grace_s.div_ceil(HOUR_S)
        )),
    }
    Ok(PrivatemodeOptions {
        manifest: expected,
        manifest_url: defaults.url("--manifest-url", manifest_url, "manifest_url", &config.manifest_url)?,
        amd_url: defaults.url("--amd-url", amd_url, "amd_url", &config.amd_url)?,
        gpu_revocation,
        ..PrivatemodeOptions::default()
    })
}

/// The expected manifest, unchanged; one that cannot be a manifest is a mistake of the user and not of the deployment.
fn manifest_file(path: &Path, origin: &str) -> Result<Vec<u8>> {
    let limit = u64::try_from(CONTRAST_MANIFEST_MAX_BYTES).unwrap_or(u64::MAX);
    let bytes = read(path, origin, limit)?;
    Manifest::parse(&bytes).map_err(|error| {
        let found = format!("{}: {}", path.display(), error.check().unwrap_or("no manifest"));
        Error::new(Code::ManifestInvalid).at(origin).found(found)
    })?;
    Ok(bytes)
}

/// Further certificate authorities for TLS.
pub(crate) fn ca_bundle(connection: &Connection) -> Result<Option<Vec<u8>>> {
    let path = connection.ca_bundle.as_deref();
    path.map(|path| read(path, "--ca-bundle", SMALL_FILE_MAX_BYTES)).transpose()
}

/// Where vendor collateral is kept, if it is. A lab's is worth nothing to the next run: its roots are usually made at each start.
pub(crate) fn cache_dir_for(connection: &Connection, rules: &Rules) -> Option<PathBuf> {
    if connection.no_cache || rules.trust_roots.is_some() {
        return None;
    }
    own_cache_dir()
}

/// Where this user's cache is, if there is a place for it.
pub(crate) fn own_cache_dir() -> Option<PathBuf> {
    cache_dir(|name| std::env::var_os(name))
}

/// The user's cache directory for this program.
fn cache_dir(lookup: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    own_dir(lookup, ["LOCALAPPDATA", "Library/Caches", "XDG_CACHE_HOME", ".cache"])
}

/// The user's directory for what this program keeps.
fn data_dir(lookup: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    own_dir(lookup, ["APPDATA", "Library/Application Support", "XDG_DATA_HOME", ".local/share"])
}

/// The user's directory for settings.
pub(crate) fn config_dir(lookup: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    own_dir(lookup, ["APPDATA", "Library/Application Support", "XDG_CONFIG_HOME", ".config"])
}

/// A directory of the user for this program, by the convention of the system: a variable on Windows, a place below the home directory on
/// macOS, elsewhere a variable or a place below the home directory. Relative paths do not count.
fn own_dir(lookup: impl Fn(&str) -> Option<OsString>, names: [&str; 4]) -> Option<PathBuf> {
    let [windows, macos, variable, below_home] = names;
    let absolute = |name: &str| lookup(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = if cfg!(windows) {
        absolute(windows)
    } else if cfg!(target_os = "macos") {
        absolute("HOME").map(|home| home.join(macos))
    } else {
        absolute(variable).or_else(|| absolute("HOME").map(|home| home.join(below_home)))
    };
    base.map(|base| base.join("proveil"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonces() {
        let good = "aB".repeat(32);
        assert_eq!(nonce(&good).unwrap(), [0xab; 32]);
        for text in ["", "ab", &"ab".repeat(33), &"zz".repeat(32), &format!("0x{}", "ab".repeat(31))] {
            assert_eq!(nonce(text).unwrap_err().code(), Code::InvalidArgument, "{text}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn cache_directories() {
        type Variables = &'static [(&'static str, &'static str)];
        let cases: [(Variables, Option<&str>); 4] = [
            (&[("XDG_CACHE_HOME", "/c"), ("HOME", "/h")], Some("/c/proveil")),
            (&[("XDG_CACHE_HOME", "c"), ("HOME", "/h")], Some("/h/.cache/proveil")),
            (&[("HOME", "h")], None),
            (&[], None),
        ];
        for (variables, expected) in cases {
            let lookup = |name: &str| {
                variables.iter().find(|(have, _)| *have == name).map(|(_, value)| (*value).into())
            };
            assert_eq!(cache_dir(lookup), expected.map(PathBuf::from), "{variables:?}");
        }
        let home = |name: &str| (name == "HOME").then(|| "/h".into());
        assert_eq!(data_dir(home), Some(PathBuf::from("/h/.local/share/proveil")));
        assert_eq!(data_dir(|_| Some("x".into())), None);
    }
}
