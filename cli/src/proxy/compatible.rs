//! Flags of Privatemode's own proxy, translated (privatemode.md 8): set-ups made for it work with another image.

use std::path::PathBuf;

use proveil::core::provider::privatemode::GpuRevocation;
use proveil::{Code, Error, Provider, Result};

use crate::args;
use crate::inputs::HOUR_S;
use crate::output::Output;

/// Hours that the original allows for GPUs that were revoked, when its flag for unknown ones is on.
const GRACE_HOURS: u32 = 48;
/// Fewest characters of a salt.
const SALT_MIN: usize = 32;

/// Moves what the flags say to where the proxy reads it. Fails for what Proveil does not offer.
pub(super) fn apply(mut args: args::Proxy, output: &Output) -> Result<args::Proxy> {
    let given = &args.compatible;
    let is_theirs = given.is_used();
    if given.dump_requests == Some(true) {
        return Err(refused("--dumpRequests", "Prompts and answers are never written to files."));
    }
    if given.insecure_api_connection == Some(true) {
        return Err(refused("--insecureAPIConnection", "The service is reached over TLS only."));
    }
    for (flag, value) in
        [("--ssEndpoint", &given.ss_endpoint), ("--coordinatorEndpoint", &given.coordinator_endpoint)]
    {
        if value.is_some() {
            output.warn(&format!("{flag} has no effect"));
        }
    }
    if given.prompt_cache_salt.as_ref().is_some_and(|salt| salt.len() < SALT_MIN) {
        return Err(Error::new(Code::CacheSalt).at("--promptCacheSalt"));
    }
    if given.shared_prompt_cache == Some(false) && given.prompt_cache_salt.is_some() {
        return Err(refused("--promptCacheSalt", "It goes with --sharedPromptCache only."));
    }
    let (allow_unknown, grace) = (given.ocsp_allow_unknown, given.ocsp_grace);
    let rules = &mut args.rules.privatemode;
    match (allow_unknown, grace) {
        // Neither: what is configured, or only good ones.
        (None, None) => {}
        (Some(false), None | Some(0)) => rules.gpu_revocation = Some(GpuRevocation::GoodOnly),
        (Some(false), Some(_)) => {
            return Err(Error::new(Code::ConfigInvalid)
                .at("--nvidiaOCSPRevokedGracePeriod")
                .expected("0 with --nvidiaOCSPAllowUnknown=false"));
        }
        (Some(true), None) => rules.gpu_revocation = Some(lenient(GRACE_HOURS)),
        // Unknown ones are accepted by the original unless its flag says otherwise.
        (None | Some(true), Some(hours)) => rules.gpu_revocation = Some(lenient(hours)),
    }
    if let Some(path) = args.compatible.manifest_path.take() {
        args.rules.privatemode.manifest = Some(path);
    }
    if let Some(url) = args.compatible.cdn_base_url.take() {
        args.rules.privatemode.manifest_url = Some(url);
    }
    if let Some(endpoint) = args.compatible.api_endpoint.take() {
        args.connection.base_url = Some(format!("https://{endpoint}"));
    }
    if let Some(key) = &args.compatible.api_key {
        match key.strip_prefix('@') {
            Some(path) => args.connection.api_key_file = Some(PathBuf::from(path)),
            None => {
                output.warn("everybody on this machine can read the key after --apiKey; use --apiKey @FILE")
            }
        }
    }
    if is_theirs && args.providers.is_empty() && !args.demo {
        args.providers.push(Provider::Privatemode.name().to_owned());
    }
    Ok(args)
}

fn refused(flag: &str, why: &str) -> Error {
    Error::new(Code::Usage).at(flag).context(why)
}

impl args::Compatible {
    /// True when a flag says that Privatemode is meant.
    fn is_used(&self) -> bool {
        self.api_key.is_some()
            || self.api_endpoint.is_some()
            || self.manifest_path.is_some()
            || self.cdn_base_url.is_some()
            || self.ocsp_allow_unknown.is_some()
            || self.ocsp_grace.is_some()
            || self.shared_prompt_cache.is_some()
            || self.ss_endpoint.is_some()
            || self.coordinator_endpoint.is_some()
    }
}

/// GPUs that were revoked at most so many hours ago, and those of unknown state.
fn lenient(hours: u32) -> GpuRevocation {
    GpuRevocation::Lenient { grace_s: u64::from(hours).saturating_mul(HOUR_S) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn applied(flags: &[&str]) -> Result<args::Proxy> {
        let line = ["proveil", "proxy", "--container"].iter().chain(flags);
        let args::Command::Proxy(args) = args::Cli::try_parse_from(line).unwrap().command else {
            panic!("{flags:?} is another command");
        };
        apply(*args, &Output::new(false, true))
    }

    #[test]
    fn their_flags_mean_their_provider() {
        for (flags, providers) in [
            (&["--port", "8080"][..], &[][..]),
            (&["--apiKey", "@/key", "--port", "8080"], &["privatemode"]),
            (&["--apiEndpoint", "api.privatemode.ai:443"], &["privatemode"]),
            (&["--manifestPath", "/manifest.json"], &["privatemode"]),
            (&["--cdnBaseURL", "https://cdn.example"], &["privatemode"]),
            (&["--nvidiaOCSPAllowUnknown=true", "--nvidiaOCSPRevokedGracePeriod", "48"], &["privatemode"]),
            (&["--sharedPromptCache", "--log-format", "json", "-l", "debug"], &["privatemode"]),
            (&["--ssEndpoint", "a:1", "--coordinatorEndpoint", "b:2"], &["privatemode"]),
            (&["--dumpRequests=false", "--tlsCertPath", "/c", "--tlsKeyPath", "/k"], &[]),
            (&["--apiKey", "@/key", "--provider", "venice"], &["venice"]),
        ] {
            assert_eq!(applied(flags).unwrap().providers, providers, "{flags:?}");
        }
    }

    /// Every pair of the two flags (privatemode.md 7.3): what it means, nothing, or a refusal.
    #[test]
    fn flags_about_gpus() {
        let unknown = |allowed: &str| format!("--nvidiaOCSPAllowUnknown{allowed}");
        for (allowed, grace, expected) in [
            (None, None, Some(None)),
            (None, Some(0), Some(Some(lenient(0)))),
            (None, Some(24), Some(Some(lenient(24)))),
            (Some(""), None, Some(Some(lenient(48)))),
            (Some("=true"), None, Some(Some(lenient(48)))),
            (Some("=true"), Some(0), Some(Some(lenient(0)))),
            (Some("=true"), Some(24), Some(Some(lenient(24)))),
            (Some("=false"), None, Some(Some(GpuRevocation::GoodOnly))),
            (Some("=false"), Some(0), Some(Some(GpuRevocation::GoodOnly))),
            (Some("=false"), Some(24), None),
        ] {
            let grace = grace.map(|hours: u32| format!("--nvidiaOCSPRevokedGracePeriod={hours}"));
            let flags: Vec<String> = allowed.map(unknown).into_iter().chain(grace).collect();
            let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
            match (applied(&flags), expected) {
                (Ok(args), Some(expected)) => {
                    assert_eq!(args.rules.privatemode.gpu_revocation, expected, "{flags:?}");
                }
                (Err(error), None) => assert_eq!(error.code(), Code::ConfigInvalid, "{flags:?}"),
                (result, _) => panic!("{flags:?}: {:?}", result.err()),
            }
        }
        let both = ["proveil", "proxy", "--gpu-revocation-grace=9", "--nvidiaOCSPAllowUnknown=false"];
        assert!(args::Cli::try_parse_from(both).is_err(), "one of the two names has to give way");
    }

    #[test]
    fn translated_and_refused() {
        let args =
            applied(&["--apiKey", "@/key", "--apiEndpoint", "host:1", "--manifestPath", "/m"]).unwrap();
        assert_eq!(args.connection.api_key_file, Some(PathBuf::from("/key")));
        assert_eq!(args.connection.base_url.as_deref(), Some("https://host:1"));
        assert_eq!(args.rules.privatemode.manifest, Some(PathBuf::from("/m")));
        for (flags, code) in [
            (&["--dumpRequests"][..], Code::Usage),
            (&["--insecureAPIConnection"], Code::Usage),
            (&["--sharedPromptCache", "--promptCacheSalt", "short"], Code::CacheSalt),
            (
                &["--sharedPromptCache=false", "--promptCacheSalt", "0123456789abcdef0123456789abcdef"],
                Code::Usage,
            ),
        ] {
            assert_eq!(applied(flags).unwrap_err().code(), code, "{flags:?}");
        }
    }
}
