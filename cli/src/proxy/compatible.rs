//! Flags of Privatemode's own proxy, translated (privatemode.md 8): set-ups made for it work with another image.

use std::path::PathBuf;

use proveil::{Code, Error, Provider, Result};

use crate::args;
use crate::output::Output;

/// Hours that the original allows for GPUs that were revoked, when its flag for unknown ones is on.
const GRACE_HOURS: u32 = 48;
/// Fewest characters of a salt.
const SALT_MIN: usize = 32;

/// Moves what the flags say to where the proxy reads it. Fails for what Proveil does not offer.
pub(super) fn apply(mut args: args::Proxy, output: &Output) -> Result<args::Proxy> {
    let given = &args.compatible;
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
    let hours = given.ocsp_grace.or((given.ocsp_allow_unknown == Some(true)).then_some(GRACE_HOURS));
    if args.rules.privatemode.gpu_revocation_grace.is_none() {
        args.rules.privatemode.gpu_revocation_grace = hours;
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
    let used = args.compatible.is_used();
    if used && args.providers.is_empty() && !args.demo {
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
            || self.ocsp_allow_unknown.is_some()
            || self.ocsp_grace.is_some()
            || self.shared_prompt_cache.is_some()
            || self.ss_endpoint.is_some()
            || self.coordinator_endpoint.is_some()
    }
}
