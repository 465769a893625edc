use std::path::PathBuf;
use std::sync::Arc;

use proveil::{ClientConfig, FilePins, PinStore, Proxy};
use proveil_core::attest::TrustRoots;
use proveil_core::evidence::{GpuEndorsements, TdxCollateral};
use proveil_core::http::{BaseUrl, TransportFailure};
use proveil_core::policy::Policy;
use proveil_core::provider::{EvidenceInput, Exchange, ExchangeConfig, Provider, appraise};
use proveil_core::report::Report;
use proveil_core::secret::{Secret, SecretText};
use proveil_core::{Code, Error, Result};

use crate::{PrivatemodeFields, now_unix_s};

/// A client's settings as languages give them: texts, bytes and numbers. `None` is the default.
#[derive(Debug)]
pub struct ClientOptions {
    /// Provider name.
    pub provider: String,
    /// The caller's key.
    pub api_key: SecretText,
    /// Where the provider is reached.
    pub base_url: Option<String>,
    /// Where collateral is fetched.
    pub collateral_url: Option<String>,
    /// Where NVIDIA's services are reached.
    pub nvidia_url: Option<String>,
    /// What must hold.
    pub policy: Option<Policy>,
    /// Whose signatures count.
    pub trust_roots: Option<TrustRoots>,
    /// More certificate authorities for TLS, PEM.
    pub ca_bundle_pem: Option<Vec<u8>>,
    /// `environment` (default), `none` or a URL.
    pub proxy: Option<String>,
    /// Folder for collateral.
    pub cache_dir: Option<String>,
    /// File of pinned software.
    pub pins: Option<String>,
    /// Privatemode: folder for the log of manifests.
    pub workspace: Option<String>,
    /// Seconds.
    pub timeouts: TimeoutOptions,
    /// Settings of Privatemode.
    pub privatemode: PrivatemodeFields,
}

/// Timeouts in seconds; `None` is the default.
#[derive(Clone, Copy, Debug, Default)]
pub struct TimeoutOptions {
    /// Connecting, TLS included.
    pub connect_s: Option<u64>,
    /// From the request to the first byte of the answer.
    pub first_byte_s: Option<u64>,
    /// Between two pieces of an answer.
    pub idle_s: Option<u64>,
    /// A whole verification.
    pub verification_s: Option<u64>,
}

impl ClientOptions {
    /// Reads the texts. Fails with `unknown_provider`, `invalid_url`, `config_invalid` or `cache_salt`.
    pub fn config(self) -> Result<ClientConfig> {
        let mut config = ClientConfig::new(Provider::parse(&self.provider)?, self.api_key);
        config.base_url = base_url(self.base_url)?;
        config.collateral_url = base_url(self.collateral_url)?;
        config.nvidia_url = base_url(self.nvidia_url)?;
        config.policy = self.policy.unwrap_or(config.policy);
        config.roots = self.trust_roots.unwrap_or(config.roots);
        config.ca_bundle_pem = self.ca_bundle_pem;
        config.proxy = match self.proxy.as_deref() {
            None | Some("environment") => Proxy::Environment,
            Some("none") => Proxy::None,
            Some(url) => Proxy::Url(url.to_owned()),
        };
        config.cache_dir = self.cache_dir.map(PathBuf::from).or(config.cache_dir);
        config.pins = self.pins.map(|path| Arc::new(FilePins::new(path)) as Arc<dyn PinStore>);
        config.workspace = self.workspace.map(PathBuf::from);
        config.privatemode = self.privatemode.options()?;
        let given = self.timeouts;
        for (value, slot) in [
            (given.connect_s, &mut config.timeouts.connect_s),
            (given.first_byte_s, &mut config.timeouts.first_byte_s),
            (given.idle_s, &mut config.timeouts.idle_s),
            (given.verification_s, &mut config.timeouts.verification_s),
        ] {
            *slot = value.unwrap_or(*slot);
        }
        Ok(config)
    }
}

/// An exchange's settings as languages give them.
#[derive(Debug)]
pub struct ExchangeOptions {
    /// Provider name.
    pub provider: String,
    /// Model id.
    pub model: String,
    /// The caller's key.
    pub api_key: SecretText,
    /// Where the provider is reached.
    pub base_url: Option<String>,
    /// Where collateral is fetched.
    pub collateral_url: Option<String>,
    /// Where NVIDIA's services are reached.
    pub nvidia_url: Option<String>,
    /// What must hold.
    pub policy: Option<Policy>,
    /// Whose signatures count.
    pub trust_roots: Option<TrustRoots>,
    /// Collateral at hand, one JSON document each.
    pub collateral: Vec<Vec<u8>>,
    /// What NVIDIA said earlier, one JSON document each.
    pub endorsements: Vec<Vec<u8>>,
    /// A recent model list.
    pub model_list: Option<Vec<u8>>,
    /// Settings of Privatemode.
    pub privatemode: PrivatemodeFields,
}

impl ExchangeOptions {
    /// Reads the texts. Fails with `unknown_provider`, `invalid_url`, `cache_salt` or the collateral's error.
    pub fn config(self) -> Result<ExchangeConfig> {
        Ok(ExchangeConfig {
            provider: Provider::parse(&self.provider)?,
            model: self.model,
            base_url: base_url(self.base_url)?,
            collateral_url: base_url(self.collateral_url)?,
            nvidia_url: base_url(self.nvidia_url)?,
            api_key: self.api_key,
            policy: self.policy.unwrap_or_default(),
            roots: self.trust_roots.unwrap_or_else(TrustRoots::vendors),
            collateral: collateral(&self.collateral)?,
            endorsements: endorsements(&self.endorsements)?,
            model_list: self.model_list,
            privatemode: self.privatemode.options()?,
        })
    }
}

/// Captured evidence and the rules to judge it by, as languages give them.
#[derive(Debug)]
pub struct EvidenceOptions {
    /// Provider name.
    pub provider: String,
    /// The provider's attestation answer as received.
    pub response: Vec<u8>,
    /// The challenge that was sent, 32 bytes.
    pub nonce: Vec<u8>,
    /// Vendor collateral, one JSON document each.
    pub collateral: Vec<Vec<u8>>,
    /// Time of the appraisal; `None` is now.
    pub at: Option<u64>,
    /// The model that was asked for.
    pub model: Option<String>,
    /// What must hold.
    pub policy: Option<Policy>,
    /// Whose signatures count.
    pub trust_roots: Option<TrustRoots>,
}

impl EvidenceOptions {
    /// Appraises the evidence. All three verdicts are a report; only unusable arguments are an error.
    pub fn appraise(self) -> Result<Report> {
        let nonce =
            <[u8; 32]>::try_from(self.nonce.as_slice()).map_err(|_| length("nonce", 32, self.nonce.len()))?;
        let collateral = collateral(&self.collateral)?;
        let input = EvidenceInput {
            provider: Provider::parse(&self.provider)?,
            model: self.model.as_deref(),
            response: &self.response,
            nonce,
            collateral: &collateral,
        };
        let policy = self.policy.unwrap_or_default();
        let roots = self.trust_roots.unwrap_or_else(TrustRoots::vendors);
        let at = self.at.map_or_else(now_unix_s, Ok)?;
        Ok(appraise(&input, &policy, &roots, at).0)
    }
}

/// A 32-byte private key; fails with `invalid_argument`.
pub fn private_key(bytes: &[u8]) -> Result<Secret<32>> {
    let mut key = Secret::zero();
    if bytes.len() != key.expose().len() {
        return Err(length("key", key.expose().len(), bytes.len()));
    }
    key.expose_mut().copy_from_slice(bytes);
    Ok(key)
}

/// The failure of this name: `connect`, `timeout`, `tls_rule`, `too_large`, `broken` or `cancelled`; fails with `invalid_argument`.
pub fn transport_failure(name: &str) -> Result<TransportFailure> {
    Ok(match name {
        "connect" => TransportFailure::Connect,
        "timeout" => TransportFailure::Timeout,
        "tls_rule" => TransportFailure::TlsRule,
        "too_large" => TransportFailure::TooLarge,
        "broken" => TransportFailure::Broken,
        "cancelled" => TransportFailure::Cancelled,
        _ => {
            return Err(Error::new(Code::InvalidArgument)
                .at("kind")
                .expected("connect, timeout, tls_rule, too_large, broken or cancelled")
                .found(name));
        }
    })
}

fn base_url(text: Option<String>) -> Result<Option<BaseUrl>> {
    text.map(|text| BaseUrl::parse(&text)).transpose()
}

fn collateral(documents: &[Vec<u8>]) -> Result<Vec<TdxCollateral>> {
    documents.iter().map(|json| TdxCollateral::from_json(json)).collect()
}

fn endorsements(documents: &[Vec<u8>]) -> Result<Vec<GpuEndorsements>> {
    documents.iter().map(|json| GpuEndorsements::from_json(json)).collect()
}

/// What NVIDIA said in an exchange, as a JSON document for a cache; `None` when nothing had to be asked.
pub fn fetched_endorsements(exchange: &Exchange) -> Option<String> {
    let fetched = exchange.fetched_endorsements();
    (!fetched.is_empty()).then(|| fetched.to_json())
}

pub(crate) fn length(name: &str, expected: usize, found: usize) -> Error {
    Error::new(Code::InvalidArgument)
        .at(name)
        .expected(format!("{expected} bytes"))
        .found(format!("{found} bytes"))
}
