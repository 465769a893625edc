//! Where the API key comes from: a file, standard input or the environment, never the command line (users.md 7).

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use proveil::{Code, Error, Provider, Result, SecretText};
use zeroize::{Zeroize, Zeroizing};

use crate::config::{Loaded, Origin};
use crate::output::Output;

/// Longest key.
const KEY_MAX_BYTES: u64 = 8 * 1024;

/// The key for a provider: `--api-key-file`, else a variable that holds it or names a file, else the configured file.
pub(crate) fn api_key(
    provider: Provider,
    file: Option<&Path>,
    settings: &Loaded,
    output: &Output,
) -> Result<SecretText> {
    match source(provider, file, settings) {
        KeySource::File(path, origin) => read(&path, &origin, output),
        KeySource::Variable(variable) => {
            let value = std::env::var_os(variable).unwrap_or_default();
            let text = value.into_string().map_err(|_| unusable(variable))?;
            clean(Zeroizing::new(text), variable)
        }
        KeySource::None => Err(Error::new(Code::MissingApiKey).at(provider.api_key_variable())),
    }
}

/// Where a provider's key is.
#[derive(Clone, Debug)]
pub(crate) enum KeySource {
    /// A file, and what named it.
    File(PathBuf, String),
    /// The variable itself.
    Variable(&'static str),
    /// Nobody gave one.
    None,
}

/// Where the key for a provider is; reads nothing of it.
pub(crate) fn source(provider: Provider, file: Option<&Path>, settings: &Loaded) -> KeySource {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let variable = provider.api_key_variable();
    let file_variable = format!("{variable}_FILE");
    let key = format!("provider.{}.api_key_file", provider.name());
    let configured = settings.provider(provider).api_key_file;
    let configured = configured.map(|path| KeySource::File(path, settings.name_of(&key)));
    if let Some(path) = file {
        KeySource::File(path.to_owned(), "--api-key-file".to_owned())
    } else if let (Origin::Environment(_), Some(found)) = (settings.origin(&key), &configured) {
        // Our own variable is the more specific one.
        found.clone()
    } else if set(variable).is_some() {
        KeySource::Variable(variable)
    } else if let Some(path) = set(&file_variable) {
        KeySource::File(path.into(), file_variable)
    } else {
        configured.unwrap_or(KeySource::None)
    }
}

/// The key's variable in set-ups of Privatemode's own proxy, which the proxy alone takes.
pub(crate) const PRIVATEMODE_PROXY_VARIABLE: &str = "PRIVATE_MODE_API_KEY";

/// As [`source`], for the proxy.
pub(crate) fn proxy_source(provider: Provider, file: Option<&Path>, settings: &Loaded) -> KeySource {
    match source(provider, file, settings) {
        KeySource::None if provider == Provider::Privatemode && is_set(PRIVATEMODE_PROXY_VARIABLE) => {
            KeySource::Variable(PRIVATEMODE_PROXY_VARIABLE)
        }
        found => found,
    }
}

/// Whether an environment variable holds something.
fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}

/// A key in a variable.
pub(crate) fn from_variable(variable: &str) -> Result<SecretText> {
    let value = std::env::var_os(variable).ok_or_else(|| Error::new(Code::MissingApiKey).at(variable))?;
    clean(Zeroizing::new(value.into_string().map_err(|_| unusable(variable))?), variable)
}

/// One line of visible characters in a file, for other secrets than keys.
pub(crate) fn one_line(path: &Path, origin: &str) -> Result<SecretText> {
    read(path, origin, &Output::new(false, true).silent())
}

fn read(path: &Path, origin: &str, output: &Output) -> Result<SecretText> {
    let unreadable = |error: std::io::Error| {
        Error::new(Code::FileUnreadable).at(origin).found(format!("{}: {error}", path.display()))
    };
    let mut bytes = Zeroizing::new(Vec::new());
    if path.as_os_str() == "-" {
        let limit = KEY_MAX_BYTES.saturating_add(1);
        std::io::stdin().lock().take(limit).read_to_end(&mut bytes).map_err(unreadable)?;
    } else {
        let file = File::open(path).map_err(unreadable)?;
        warn_if_exposed(&file, path, output);
        file.take(KEY_MAX_BYTES.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
    }
    match String::from_utf8(std::mem::take(&mut *bytes)) {
        Ok(text) => clean(Zeroizing::new(text), origin),
        Err(error) => {
            error.into_bytes().zeroize();
            Err(unusable(origin))
        }
    }
}

/// One line of visible characters; white space around it is taken off.
fn clean(text: Zeroizing<String>, origin: &str) -> Result<SecretText> {
    let key = text.trim();
    if key.is_empty() {
        return Err(Error::new(Code::MissingApiKey).at(origin));
    }
    if u64::try_from(key.len()).unwrap_or(u64::MAX) > KEY_MAX_BYTES
        || !key.bytes().all(|b| b.is_ascii_graphic())
    {
        return Err(unusable(origin));
    }
    Ok(SecretText::new(key.to_owned()))
}

fn unusable(origin: &str) -> Error {
    Error::new(Code::ConfigInvalid).at(origin).expected("an API key: one line of visible ASCII characters")
}

/// Says so when others on this machine can read the key.
fn warn_if_exposed(file: &File, path: &Path, output: &Output) {
    if file.metadata().is_ok_and(|metadata| is_exposed(&metadata)) {
        output.warn(&format!("others can read {}; `chmod 600` it", path.display()));
    }
}

/// True for a file that others on this machine can read.
pub(crate) fn is_exposed(metadata: &std::fs::Metadata) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        metadata.is_file() && metadata.mode() & 0o044 != 0
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        false
    }
}
