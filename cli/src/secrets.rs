//! Where the API key comes from: a file, standard input or the environment, never the command line (users.md 7).

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use proveil::{Code, Error, Provider, Result, SecretText};
use zeroize::{Zeroize, Zeroizing};

use crate::output::Output;

/// Longest key.
const KEY_MAX_BYTES: u64 = 8 * 1024;

/// The key for a provider: `--api-key-file`, else the variable, else the file that the `_FILE` variable names.
pub(crate) fn api_key(provider: Provider, file: Option<&Path>, output: &Output) -> Result<SecretText> {
    if let Some(path) = file {
        return read(path, "--api-key-file", output);
    }
    let variable = provider.api_key_variable();
    let file_variable = format!("{variable}_FILE");
    match std::env::var_os(variable) {
        Some(value) if !value.is_empty() => {
            let text = value.into_string().map_err(|_| unusable(variable))?;
            clean(Zeroizing::new(text), variable)
        }
        _ => match std::env::var_os(&file_variable) {
            Some(path) if !path.is_empty() => read(Path::new(&path), &file_variable, output),
            _ => Err(Error::new(Code::MissingApiKey).at(variable)),
        },
    }
}

/// Whether there is something to take a key from. It is not read.
pub(crate) fn has_api_key(provider: Provider, file: Option<&Path>) -> bool {
    file.is_some() || is_set(provider.api_key_variable()) || key_file(provider).is_some()
}

/// The file that the provider's `_FILE` variable names, when the variable itself does not hold the key.
pub(crate) fn key_file(provider: Provider) -> Option<PathBuf> {
    let variable = provider.api_key_variable();
    let named = std::env::var_os(format!("{variable}_FILE")).filter(|path| !path.is_empty());
    named.filter(|_| !is_set(variable)).map(PathBuf::from)
}

/// Whether an environment variable holds something.
pub(crate) fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}

/// A key in a variable.
pub(crate) fn from_variable(variable: &str) -> Result<SecretText> {
    let value = std::env::var_os(variable).ok_or_else(|| Error::new(Code::MissingApiKey).at(variable))?;
    clean(Zeroizing::new(value.into_string().map_err(|_| unusable(variable))?), variable)
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
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        if file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o044 != 0) {
            output.warn(&format!("others can read {}; `chmod 600` it", path.display()));
        }
    }
    #[cfg(not(unix))]
    let _ = (file, path, output);
}
