//! Which proxy connections go through. A proxy setting that cannot be used is an error: going around it silently would break the
//! rules of the network that the caller is in.

use proveil_core::{Code, Error, Result};
use reqwest::NoProxy;

use crate::config::Proxy;

/// The proxy for `https` requests. `lookup` reads an environment variable.
pub(super) fn resolve(
    proxy: &Proxy,
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<Option<reqwest::Proxy>> {
    match proxy {
        Proxy::None => Ok(None),
        Proxy::Url(url) => parse(url, "proxy").map(Some),
        Proxy::Environment => {
            let named = |names: &[&'static str]| {
                let mut found = names.iter().map(|name| (*name, lookup(name).unwrap_or_default()));
                found.find(|(_, value)| !value.trim().is_empty())
            };
            let Some((name, url)) = named(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]) else {
                return Ok(None);
            };
            let except = named(&["no_proxy", "NO_PROXY"]).and_then(|(_, list)| NoProxy::from_string(&list));
            Ok(Some(parse(&url, name)?.no_proxy(except)))
        }
    }
}

/// The URL may hold a password, so an error names only where it came from.
fn parse(url: &str, origin: &str) -> Result<reqwest::Proxy> {
    let refuse = || Error::new(Code::ConfigInvalid).at(origin).expected("an http or https proxy URL");
    let url = url.trim();
    let full = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    let parsed = reqwest::Url::parse(&full).map_err(|_| refuse())?;
    if !matches!(parsed.scheme(), "http" | "https") || parsed.host_str().is_none_or(str::is_empty) {
        return Err(refuse());
    }
    reqwest::Proxy::https(parsed).map_err(|_| refuse())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unusable_settings_are_errors_and_keep_the_password() {
        let cases = [
            ("http://proxy.example:3128", true),
            ("proxy.example:3128", true),
            ("https://user:canary-pass@proxy.example", true),
            ("socks5://user:canary-pass@proxy.example", false),
            ("http://", false),
            ("http://user:canary-pass@", false),
            ("ht tp://proxy", false),
        ];
        for (url, usable) in cases {
            for setting in [Proxy::Url(url.to_owned()), Proxy::Environment] {
                let result = resolve(&setting, |name| (name == "HTTPS_PROXY").then(|| url.to_owned()));
                assert_eq!(result.is_ok(), usable, "{url}");
                if let Err(error) = result {
                    assert_eq!(error.code(), Code::ConfigInvalid);
                    assert!(!format!("{error:?}").contains("canary"), "{error}");
                }
            }
            assert!(!format!("{:?}", Proxy::Url(url.to_owned())).contains("canary"));
        }
    }

    #[test]
    fn the_environment_counts_only_when_asked() {
        let full = |name: &str| (name == "https_proxy").then(|| "http://proxy.example".to_owned());
        assert!(resolve(&Proxy::Environment, full).unwrap().is_some());
        assert!(resolve(&Proxy::None, full).unwrap().is_none());
        assert!(resolve(&Proxy::Environment, |_| None).unwrap().is_none());
        assert!(resolve(&Proxy::Environment, |_| Some(" ".to_owned())).unwrap().is_none());
    }
}
