//! Settings of Privatemode as languages give them (protocols/privatemode.md 3, 4, 7).

use std::sync::Arc;

use proveil_core::Result;
use proveil_core::attest::contrast::SecretServiceNames;
use proveil_core::http::BaseUrl;
use proveil_core::provider::privatemode::{GpuRevocation, PrivatemodeOptions, SharedSalt};
use proveil_core::secret::SecretText;

/// Settings that only Privatemode has; other providers do not look at them. `None` is the default.
#[derive(Debug, Default)]
pub struct PrivatemodeFields {
    /// The expected manifest, byte for byte.
    pub manifest: Option<Vec<u8>>,
    /// Where manifests are published.
    pub manifest_url: Option<String>,
    /// Where AMD's key distribution service is reached.
    pub amd_url: Option<String>,
    /// Seconds for which a revoked GPU certificate is accepted, and with them any of unknown state; `None` and 0 take only good ones,
    /// so that no grace is never more lenient than none given.
    pub gpu_revocation_grace_s: Option<u64>,
    /// Cache salt for all requests, at least 32 bytes.
    pub cache_salt: Option<SecretText>,
    /// DNS name that the key service's certificate must have, in the place of those in the manifest.
    pub key_service_name: Option<String>,
}

impl PrivatemodeFields {
    /// Reads the texts. Fails with `invalid_url` or `cache_salt`.
    pub fn options(self) -> Result<PrivatemodeOptions> {
        let url = |text: Option<String>| text.map(|text| BaseUrl::parse(&text)).transpose();
        Ok(PrivatemodeOptions {
            manifest: self.manifest,
            manifest_url: url(self.manifest_url)?,
            amd_url: url(self.amd_url)?,
            key_service: self.key_service_name.map_or(SecretServiceNames::Manifest, SecretServiceNames::Dns),
            gpu_revocation: self
                .gpu_revocation_grace_s
                .filter(|grace_s| *grace_s > 0)
                .map_or(GpuRevocation::GoodOnly, |grace_s| GpuRevocation::Lenient { grace_s }),
            cache_salt: self.cache_salt.map(SharedSalt::new).transpose()?.map(Arc::new),
            ..PrivatemodeOptions::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proveil_core::Code;

    #[test]
    fn what_is_given_arrives() {
        let options = PrivatemodeFields {
            manifest: Some(b"{}".to_vec()),
            manifest_url: Some("https://cdn.example".to_owned()),
            amd_url: Some("http://127.0.0.1:7".to_owned()),
            gpu_revocation_grace_s: Some(3600),
            cache_salt: Some(SecretText::new("s".repeat(32))),
            key_service_name: Some("keys.example".to_owned()),
        }
        .options()
        .unwrap();
        assert_eq!(options.manifest.as_deref(), Some(b"{}".as_slice()));
        assert_eq!(options.manifest_url.as_ref().map(BaseUrl::as_str), Some("https://cdn.example"));
        assert_eq!(options.amd_url.as_ref().map(BaseUrl::as_str), Some("http://127.0.0.1:7"));
        assert_eq!(options.gpu_revocation, GpuRevocation::Lenient { grace_s: 3600 });
        assert_eq!(options.key_service, SecretServiceNames::Dns("keys.example".to_owned()));
        assert!(options.cache_salt.is_some_and(|salt| salt.expose().len() == 32));

        let no_grace = PrivatemodeFields { gpu_revocation_grace_s: Some(0), ..PrivatemodeFields::default() };
        assert_eq!(no_grace.options().unwrap().gpu_revocation, GpuRevocation::GoodOnly);
        let strictest = PrivatemodeFields::default().options().unwrap();
        assert_eq!(strictest.gpu_revocation, GpuRevocation::GoodOnly);
        assert_eq!(strictest.key_service, SecretServiceNames::Manifest);
        assert!(strictest.manifest.is_none() && strictest.cache_salt.is_none());
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        let short = SecretText::new("s".repeat(31));
        let refused = [
            PrivatemodeFields { cache_salt: Some(short), ..PrivatemodeFields::default() },
            PrivatemodeFields { manifest_url: Some("cdn".to_owned()), ..PrivatemodeFields::default() },
            PrivatemodeFields { amd_url: Some("ftp://kds".to_owned()), ..PrivatemodeFields::default() },
        ];
        let codes = refused.map(|fields| fields.options().unwrap_err().code());
        assert_eq!(codes, [Code::CacheSalt, Code::InvalidUrl, Code::InvalidUrl]);
    }
}
