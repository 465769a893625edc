//! Settings from variables: `PROVEIL_PROXY_LISTEN`, `PROVEIL_PROVIDER_VENICE_BASE_URL`. A variable of ours that nobody knows is an
//! error (threats T57): what it was meant to say would be silently missing.

use std::ffi::{OsStr, OsString};

use proveil::core::wire::nearest;
use proveil::{Code, Error, Result};

use super::keys::{self, Key};
use super::load::Found;
use super::origin::Origin;
use super::values;

/// The file of settings.
pub(super) const FILE_VARIABLE: &str = "PROVEIL_CONFIG";
/// Variables of ours that are no settings: of tests, examples and the drivers of the conformance tests.
const OTHERS: &[&str] = &[FILE_VARIABLE, "PROVEIL_EVIDENCE", "PROVEIL_SIMULATOR"];
const OTHERS_PREFIX: &str = "PROVEIL_DRIVER_";
const PREFIX: &str = "PROVEIL_";

/// What the variables say. An empty one says nothing.
pub(super) fn read(variables: &[(OsString, OsString)]) -> Result<Vec<Found>> {
    let keys = keys::all();
    let mut found = Vec::new();
    for (name, value) in variables {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
        if OTHERS.contains(&name) || name.starts_with(OTHERS_PREFIX) || is_service_link(name) {
            continue;
        }
        let key = keys.iter().find(|key| key.variable() == name).ok_or_else(|| unknown(name, &keys))?;
        if !value.is_empty() {
            found.push(setting(key, name, value)?);
        }
    }
    Ok(found)
}

fn setting(key: &Key, name: &str, value: &OsStr) -> Result<Found> {
    let text =
        value.to_str().ok_or_else(|| Error::new(Code::ConfigInvalid).at(name).expected("a text in UTF-8"))?;
    let raw = values::from_variable(key.kind(), text);
    let value = raw.and_then(|raw| values::check(key.kind(), raw, None)).map_err(|complaint| {
        let error =
            Error::new(Code::ConfigInvalid).at(name).expected(complaint.expected).found(complaint.found);
        match complaint.advice {
            Some(advice) => error.context(advice),
            None => error,
        }
    })?;
    Ok(Found { key: key.path(), value, origin: Origin::Environment(name.to_owned()) })
}

fn unknown(name: &str, keys: &[Key]) -> Error {
    let error = Error::new(Code::ConfigInvalid).at(name);
    let bare = name.strip_prefix(PREFIX).unwrap_or(name);
    let candidates: Vec<String> =
        keys.iter().map(Key::variable).chain(OTHERS.iter().map(|name| (*name).to_owned())).collect();
    // First what can be said about the end of the name: a secret, a root.
    let section = |key: &Key| format!("{}_", key.section().replace('.', "_").to_uppercase());
    let end = keys.iter().find_map(|key| bare.strip_prefix(&section(key))).unwrap_or(bare);
    match keys::why_not(end, &[]) {
        Some(why) => error.context(why),
        None => match nearest(name, candidates.iter().map(String::as_str))
            .or_else(|| with_words(bare, &candidates))
        {
            Some(near) => error.context(format!("There is no such variable. Did you mean `{near}`?")),
            None => error.context("There is no such variable. `docs/configuration.md` lists all."),
        },
    }
}

/// The first that has all words of the name, if it has more than one: somebody left a part out.
fn with_words<'c>(bare: &str, candidates: &'c [String]) -> Option<&'c str> {
    let words: Vec<&str> = bare.split('_').collect();
    let has_all =
        |candidate: &&String| words.iter().all(|word| candidate.split('_').any(|part| part == *word));
    candidates.iter().find(has_all).filter(|_| words.len() > 1).map(String::as_str)
}

/// Kubernetes sets variables for each service of a namespace, and calls them by its name: `PROVEIL_SERVICE_HOST`,
/// `PROVEIL_PORT_9876_TCP_ADDR`, `PROVEIL_PROXY_PORT`. They are not meant for us.
fn is_service_link(name: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let of_port = |rest: &str| {
        let mut parts = rest.split('_');
        parts.next().is_some_and(digits) && matches!(parts.next(), Some("TCP" | "UDP" | "SCTP"))
    };
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_PORT")
        || name.contains("_SERVICE_PORT_")
        || name.rsplit_once("_PORT_").is_some_and(|(_, rest)| of_port(rest))
        || name.ends_with("_TCP_PORT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_links_are_no_settings() {
        for name in [
            "PROVEIL_SERVICE_HOST",
            "PROVEIL_SERVICE_PORT",
            "PROVEIL_SERVICE_PORT_HTTP",
            "PROVEIL_PORT",
            "PROVEIL_PORT_9876_TCP",
            "PROVEIL_PORT_9876_TCP_PORT",
            "PROVEIL_PROXY_PORT_9876_TCP_ADDR",
        ] {
            assert!(is_service_link(name), "{name}");
        }
        assert!(keys::all().iter().all(|key| !is_service_link(&key.variable())));
        assert!(!is_service_link("PROVEIL_PROXY_PORTS"));
    }
}
