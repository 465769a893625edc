//! Flags over what a configuration says of a provider: a flag wins.

use proveil::Provider;

use super::{Connection, Privatemode, Rules};
use crate::config::ProviderConfig;

impl Connection {
    /// No flag at all.
    pub(crate) const fn none() -> Connection {
        Connection {
            base_url: None,
            collateral_url: None,
            nvidia_url: None,
            ca_bundle: None,
            api_key_file: None,
            no_cache: false,
        }
    }

    /// True when a flag is about one provider only.
    pub(crate) const fn names_an_address(&self) -> bool {
        self.base_url.is_some()
            || self.collateral_url.is_some()
            || self.nvidia_url.is_some()
            || self.api_key_file.is_some()
    }

    /// These flags, and the configuration where they say nothing.
    pub(crate) fn over(&self, configured: Option<&ProviderConfig>) -> Connection {
        let none = ProviderConfig::default();
        let configured = configured.unwrap_or(&none);
        Connection {
            base_url: self.base_url.clone().or_else(|| configured.base_url.clone()),
            collateral_url: self.collateral_url.clone().or_else(|| configured.collateral_url.clone()),
            nvidia_url: self.nvidia_url.clone().or_else(|| configured.nvidia_url.clone()),
            ca_bundle: self.ca_bundle.clone().or_else(|| configured.ca_bundle.clone()),
            api_key_file: self.api_key_file.clone().or_else(|| configured.api_key_file.clone()),
            no_cache: self.no_cache || configured.cache == Some(false),
        }
    }
}

impl Rules {
    /// No flag at all.
    pub(crate) const fn none() -> Rules {
        Rules { policy: None, trust_roots: None, pins: None, privatemode: Privatemode::none() }
    }

    /// These flags, and the configuration where they say nothing. What belongs to another provider is left out.
    pub(crate) fn over(&self, configured: Option<&ProviderConfig>, provider: Provider) -> Rules {
        let none = ProviderConfig::default();
        let configured = configured.unwrap_or(&none);
        let privatemode = match provider {
            Provider::Privatemode => self.privatemode.over(configured),
            Provider::Venice => Privatemode::none(),
        };
        Rules {
            policy: self.policy.clone().or_else(|| configured.policy.clone()),
            trust_roots: self.trust_roots.clone(),
            pins: self.pins.clone().or_else(|| configured.pins.clone()),
            privatemode,
        }
    }
}

impl Privatemode {
    const fn none() -> Privatemode {
        Privatemode { manifest: None, manifest_url: None, amd_url: None, gpu_revocation_grace: None }
    }

    fn over(&self, configured: &ProviderConfig) -> Privatemode {
        // A manifest on the command line replaces the address in the file, and the other way round.
        let named = self.manifest.is_some() || self.manifest_url.is_some();
        let manifest = configured.manifest.clone().filter(|_| !named);
        let manifest_url = configured.manifest_url.clone().filter(|_| !named);
        Privatemode {
            manifest: self.manifest.clone().or(manifest),
            manifest_url: self.manifest_url.clone().or(manifest_url),
            amd_url: self.amd_url.clone().or_else(|| configured.amd_url.clone()),
            gpu_revocation_grace: self.gpu_revocation_grace.or(configured.gpu_revocation_grace),
        }
    }
}
