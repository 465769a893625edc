//! What can be seen on this machine: clock, configuration, proxy variables, keys, cache, pins.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use proveil::core::wire::time::rfc3339;
use proveil::{Code, Provider};

use super::Finding;
use crate::config::{Loaded, Origin, redacted};
use crate::inputs;
use crate::output::Output;
use crate::secrets::{self, KeySource};

/// 2025-12-08T00:00:00Z: since then the newest of the pinned vendor certificates are valid (`core/src/pki/roots.rs`). No clock that is
/// right shows an earlier time.
const KNOWN_UNIX_S: u64 = 1_765_152_000;
/// Twenty years after that, a clock is more likely wrong than this program still in use.
const IMPLAUSIBLE_UNIX_S: u64 = KNOWN_UNIX_S.saturating_add(20 * 365 * 24 * 3600);
/// The cache holds at most 64 MiB.
const ROOM_MIN_BYTES: u64 = 64 * 1024 * 1024;

pub(super) fn clock() -> Finding {
    judge_clock(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

fn judge_clock(now: u64) -> Finding {
    let text = rfc3339(now);
    let next = "Set the clock: certificates and evidence are judged by it.";
    if now < KNOWN_UNIX_S {
        let text = format!("{text} is before {}, which has passed", rfc3339(KNOWN_UNIX_S));
        return Finding::failed("clock", Code::ClockWrong, text, next);
    }
    if now > IMPLAUSIBLE_UNIX_S {
        return Finding::warning("clock", format!("{text} is implausibly far in the future"), next);
    }
    Finding::good("clock", text)
}

pub(super) fn configuration(settings: &Loaded) -> Finding {
    let set = settings.origins.iter().filter(|setting| setting.origin != Origin::Default).count();
    let file = match &settings.file {
        Some(path) => path.display().to_string(),
        None => "no file".to_owned(),
    };
    Finding::good("configuration", format!("{file}; {set} values set (`proveil config show --origin`)"))
}

/// Variables that decide how connections leave this machine, as the client reads them.
pub(super) fn proxies(lookup: impl Fn(&str) -> Option<String>) -> Vec<Finding> {
    let names = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"];
    let set = |name: &&str| lookup(name).filter(|value| !value.trim().is_empty());
    let shown: Vec<String> = names
        .iter()
        .filter_map(|name| set(name).map(|value| format!("{name}={}", redacted(value.trim()))))
        .collect();
    if shown.is_empty() {
        return vec![Finding::good("proxy variables", "none set; connections are direct")];
    }
    vec![Finding::good("proxy variables", shown.join(" "))]
}

/// Where the API key is, and who else can read it. `wanted` says that the provider was named.
pub(super) fn key(provider: Provider, wanted: bool, settings: &Loaded) -> Vec<Finding> {
    let about = format!("{}: API key", provider.name());
    let source = secrets::source(provider, None, settings);
    if let (KeySource::None, KeySource::Variable(other)) =
        (&source, secrets::proxy_source(provider, None, settings))
    {
        let variable = provider.api_key_variable();
        return vec![match secrets::from_variable(other) {
            Ok(_) => Finding::warning(
                about,
                format!("in {other}, which only `proveil proxy` takes"),
                format!("For the other commands set {variable} too."),
            ),
            Err(error) => Finding::error(about, &error),
        }];
    }
    if let KeySource::None = source {
        let variable = provider.api_key_variable();
        let next = format!("Set {variable}, or {variable}_FILE to a file that holds it.");
        let text = "there is none";
        return vec![match wanted {
            true => Finding::failed(about, Code::MissingApiKey, text, next),
            false => Finding::warning(about, text, next),
        }];
    }
    // What reading would warn of is a line here.
    if let Err(error) = secrets::api_key(provider, None, settings, &Output::new(false, true).silent()) {
        return vec![Finding::error(about, &error)];
    }
    match source {
        KeySource::File(path, origin) => {
            let place = path.display().to_string();
            let exposed = fs::metadata(&path).is_ok_and(|metadata| secrets::is_exposed(&metadata));
            vec![match exposed {
                true => Finding::warning(
                    about,
                    format!("in {place} ({origin}), which others can read"),
                    format!("chmod 600 {place}"),
                ),
                false => Finding::good(about, format!("in {place} ({origin})")),
            }]
        }
        KeySource::Variable(name) => vec![Finding::good(about, format!("in {name}"))],
        KeySource::None => Vec::new(),
    }
}

/// Files that are kept for the user: collateral and pins.
pub(super) fn files(settings: &Loaded, providers: &[Provider]) -> Vec<Finding> {
    let cached = |provider: &Provider| settings.provider(*provider).cache != Some(false);
    let cache = match (providers.iter().any(cached), inputs::own_cache_dir()) {
        (false, _) => Finding::good("cache", "switched off"),
        (true, None) => Finding::warning(
            "cache",
            "there is no place for one, so collateral is fetched anew by each command",
            "Set HOME or XDG_CACHE_HOME to an absolute path.",
        ),
        (true, Some(directory)) => cache(&directory),
    };
    let mut findings = vec![cache];
    match inputs::pin_stores(None, settings) {
        Err(_) => findings.push(Finding::warning(
            "pins",
            "there is no place for them",
            "Set HOME or XDG_DATA_HOME to an absolute path, or name a file with `--pins`.",
        )),
        Ok(stores) => findings.extend(stores.iter().map(|store| match store.list() {
            Ok(pins) => Finding::good("pins", format!("{} endpoints pinned", pins.len())),
            Err(error) => Finding::error("pins", &error),
        })),
    }
    findings
}

/// The directory, or the nearest one above it where it would be made.
fn cache(directory: &Path) -> Finding {
    let shown = directory.display().to_string();
    let lost = "Until then collateral is fetched anew by each command.";
    let there = directory.ancestors().find(|path| path.symlink_metadata().is_ok());
    let Some(there) = there else {
        return Finding::warning("cache", format!("{shown} cannot be made"), lost);
    };
    if !there.is_dir() {
        let text = format!("{} is not a directory", there.display());
        return Finding::warning("cache", text, format!("Move it out of the way. {lost}"));
    }
    #[cfg(unix)]
    if let Some(finding) = unsafe_or_full(directory, there) {
        return finding;
    }
    let made = if there == directory { "" } else { " (made when it is needed)" };
    Finding::good("cache", format!("{shown}{made}"))
}

#[cfg(unix)]
fn unsafe_or_full(directory: &Path, there: &Path) -> Option<Finding> {
    use std::os::unix::fs::MetadataExt;
    let shown = there.display();
    let warn = |text: String, next: String| Some(Finding::warning("cache", text, next));
    if rustix::fs::access(there, rustix::fs::Access::WRITE_OK).is_err() {
        return warn(
            format!("{shown} cannot be written to"),
            "Set XDG_CACHE_HOME to a directory that can be. Until then collateral is fetched anew."
                .to_owned(),
        );
    }
    let metadata = fs::symlink_metadata(there).ok()?;
    if there == directory && metadata.mode() & 0o022 != 0 {
        return warn(format!("{shown} is not used: others can write to it"), format!("chmod 700 {shown}"));
    }
    if there == directory && metadata.uid() != rustix::process::geteuid().as_raw() {
        let next = "Remove it, or set XDG_CACHE_HOME to another place.".to_owned();
        return warn(format!("{shown} is not used: it belongs to somebody else"), next);
    }
    let room = rustix::fs::statvfs(there).ok()?;
    let free = room.f_bavail.saturating_mul(room.f_frsize);
    if free < ROOM_MIN_BYTES {
        let mib = free / (1024 * 1024);
        return warn(format!("{shown} has {mib} MiB left"), "Make room: 64 MiB are enough.".to_owned());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn clocks() {
        let state = |now| judge_clock(now).state;
        for (now, expected) in [
            (0, State::Failed(Code::ClockWrong)),
            (KNOWN_UNIX_S - 1, State::Failed(Code::ClockWrong)),
            (KNOWN_UNIX_S, State::Good),
            (IMPLAUSIBLE_UNIX_S + 1, State::Warning),
            (u64::from(u32::MAX), State::Warning),
        ] {
            assert_eq!(state(now), expected, "{now}");
        }
        assert_eq!(rfc3339(KNOWN_UNIX_S), "2025-12-08T00:00:00Z");
    }

    #[test]
    fn proxy_passwords_are_not_shown() {
        let set = |name: &str| (name == "HTTPS_PROXY").then(|| "http://me:canary@proxy:3128".to_owned());
        let found = proxies(set);
        assert_eq!(found[0].text, "HTTPS_PROXY=http://***@proxy:3128");
    }

    #[cfg(unix)]
    #[test]
    fn caches() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("a/proveil");
        assert_eq!(cache(&directory).state, State::Good);
        fs::create_dir_all(&directory).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(cache(&directory).state, State::Good);
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).unwrap();
        let found = cache(&directory);
        assert!(found.state == State::Warning && found.text.contains("others can write"), "{found:?}");
        fs::remove_dir(&directory).unwrap();
        fs::write(&directory, "in the way").unwrap();
        assert!(cache(&directory).text.contains("not a directory"));
    }
}
