//! Which providers the proxy serves, and with whose API keys. `proveil setup` asks here too, so that what it prints is what works.

use proveil::{Code, Error, Provider, Result};

use crate::config::Loaded;
use crate::secrets::{self, KeySource};

/// The providers that are named, each once, or else those that have an API key. A file on the command line says nothing about whose key it
/// holds, so it does not count here. Fails with `unknown_provider`.
pub(crate) fn providers(named: &[String], loaded: &Loaded) -> Result<Vec<Provider>> {
    let mut providers: Vec<Provider> = Vec::new();
    for name in named {
        let provider = Provider::parse(name)?;
        if !providers.contains(&provider) {
            providers.push(provider);
        }
    }
    if named.is_empty() {
        providers.extend(Provider::ALL.iter().filter(|provider| has_key(**provider, loaded)));
    }
    Ok(providers)
}

/// Whether the proxy has a key for a provider, by environment or configuration.
pub(crate) fn has_key(provider: Provider, loaded: &Loaded) -> bool {
    !matches!(secrets::proxy_source(provider, None, loaded), KeySource::None)
}

/// The provider that is asked with its callers' keys, if there is one. Each provider comes with whether the proxy has a key for it. Fails with
/// `missing_api_key` where that cannot work.
pub(crate) fn whose_callers_bring_keys(
    served: &[(Provider, bool)],
    has_tokens: bool,
) -> Result<Option<Provider>> {
    if served.is_empty() {
        let variables: Vec<&str> = Provider::ALL.iter().map(|it| it.api_key_variable()).collect();
        return Err(Error::new(Code::MissingApiKey).at(variables.join(" or ")).context(
            "No provider has an API key; `--provider NAME` serves one whose callers bring their own.",
        ));
    }
    let keyless = served.iter().find(|(_, has_key)| !has_key).map(|(provider, _)| *provider);
    match keyless {
        Some(provider) if has_tokens || served.len() > 1 => {
            Err(Error::new(Code::MissingApiKey).at(provider.api_key_variable()).context(
                "Callers can bring their own API key only where one provider is served and no client tokens are set.",
            ))
        }
        keyless => Ok(keyless),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_keys() {
        use Provider::{Privatemode, Venice};
        for (served, tokens, whose) in [
            (&[(Venice, true)][..], false, Some(None)),
            (&[(Venice, true), (Privatemode, true)], true, Some(None)),
            (&[(Privatemode, false)], false, Some(Some(Privatemode))),
            (&[(Privatemode, false)], true, None),
            (&[(Venice, true), (Privatemode, false)], false, None),
            (&[], false, None),
        ] {
            match (whose_callers_bring_keys(served, tokens), whose) {
                (Ok(found), Some(whose)) => assert_eq!(found, whose, "{served:?}"),
                (Err(error), None) => assert_eq!(error.code(), Code::MissingApiKey),
                (found, _) => panic!("{served:?}: {found:?}"),
            }
        }
    }

    #[test]
    fn each_once_and_in_order() {
        let named = ["privatemode", "venice", "privatemode"].map(str::to_owned);
        let found = providers(&named, &Loaded::default()).unwrap();
        assert_eq!(found, [Provider::Privatemode, Provider::Venice]);
        let unknown = providers(&["venise".to_owned()], &Loaded::default()).unwrap_err();
        assert!(unknown.message().contains("venice"), "{}", unknown.message());
    }
}
