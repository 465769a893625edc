//! What a client is told at its creation. Nothing here is read from the environment or from files, except proxy variables when
//! [`Proxy::Environment`] says so.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use proveil_core::attest::TrustRoots;
use proveil_core::http::BaseUrl;
use proveil_core::policy::Policy;
use proveil_core::provider::Provider;
use proveil_core::provider::privatemode::PrivatemodeOptions;
use proveil_core::secret::SecretText;
use proveil_core::{Code, Error, Result};

use crate::pins::PinStore;

/// Settings of a [`Client`](crate::Client).
pub struct ClientConfig {
    /// The provider.
    pub provider: Provider,
    /// API key; sent to the provider's base URL only.
    pub api_key: SecretText,
    /// Where the provider is reached; `None` for its public address.
    pub base_url: Option<BaseUrl>,
    /// Where Intel-style collateral is fetched; `None` for Intel's service.
    pub collateral_url: Option<BaseUrl>,
    /// Where NVIDIA's manifests, OCSP answers and attestation service are reached; `None` for NVIDIA's hosts. They are asked only where
    /// the policy requires what they say.
    pub nvidia_url: Option<BaseUrl>,
    /// What must hold before anything is sent.
    pub policy: Policy,
    /// Whose signatures count.
    pub roots: TrustRoots,
    /// Certificates (PEM) of further authorities whose TLS certificates are accepted, beside the public ones.
    pub ca_bundle_pem: Option<Vec<u8>>,
    /// How connections leave this machine.
    pub proxy: Proxy,
    /// Directory for vendor collateral; `None` keeps it in memory. It holds public, signed data only, verified anew on every use; OCSP
    /// answers in it name the GPUs that were asked about.
    pub cache_dir: Option<PathBuf>,
    /// Where pins are kept; `None` for none. Software that differs from its pin is refused; what is not pinned is as the policy says.
    pub pins: Option<Arc<dyn PinStore>>,
    /// Privatemode: folder whose `manifests` keeps each manifest that the deployment was proven to run, with `log.txt` of when it was first
    /// seen, its digest, and the difference to the one before; `None` for no such log. One folder for each deployment. A log that cannot be
    /// written is a warning.
    pub workspace: Option<PathBuf>,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// Settings of Privatemode; other providers do not look at them.
    pub privatemode: PrivatemodeOptions,
}

impl ClientConfig {
    /// The provider's public address, policy `standard`, vendor roots, proxy variables honoured, no cache directory.
    pub fn new(provider: Provider, api_key: SecretText) -> ClientConfig {
        ClientConfig {
            provider,
            api_key,
            base_url: None,
            collateral_url: None,
            nvidia_url: None,
            policy: Policy::standard(),
            roots: TrustRoots::vendors(),
            ca_bundle_pem: None,
            proxy: Proxy::Environment,
            cache_dir: None,
            pins: None,
            workspace: None,
            timeouts: Timeouts::default(),
            privatemode: PrivatemodeOptions::default(),
        }
    }
}

impl fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientConfig")
            .field("provider", &self.provider)
            .field("base_url", &self.base_url)
            .field("collateral_url", &self.collateral_url)
            .field("nvidia_url", &self.nvidia_url)
            .field("policy", &self.policy.name())
            .field("custom_roots", &self.roots.is_custom())
            .field("proxy", &self.proxy)
            .field("cache_dir", &self.cache_dir)
            .field("pins", &self.pins.is_some())
            .field("workspace", &self.workspace)
            .field("timeouts", &self.timeouts)
            .finish_non_exhaustive()
    }
}

/// How connections leave this machine. Plain `http` to a loopback address never goes through a proxy.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Proxy {
    /// As `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` say (lowercase names too, which win), read when the client is created.
    #[default]
    Environment,
    /// Directly.
    None,
    /// Through this `http` or `https` proxy, whatever the environment says. The URL may hold a user name and password.
    Url(String),
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Proxy::Environment => "Environment",
            Proxy::None => "None",
            Proxy::Url(_) => "Url(..)",
        })
    }
}

/// How long to wait, in seconds (threats section 5). Each must be at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection with its TLS handshake; default 10.
    pub connect_s: u64,
    /// For the head of an answer; default 300, since reasoning models think long.
    pub first_byte_s: u64,
    /// Between two reads of an answer; default 300.
    pub idle_s: u64,
    /// For a whole verification, retries included; default 60.
    pub verification_s: u64,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts { connect_s: 10, first_byte_s: 300, idle_s: 300, verification_s: 60 }
    }
}

impl Timeouts {
    /// Refuses zero and more than a day, which would overflow some clocks.
    pub(crate) fn check(&self) -> Result<()> {
        let named = [
            ("timeouts.connect_s", self.connect_s),
            ("timeouts.first_byte_s", self.first_byte_s),
            ("timeouts.idle_s", self.idle_s),
            ("timeouts.verification_s", self.verification_s),
        ];
        match named.iter().find(|(_, seconds)| !(1..=TIMEOUT_MAX_S).contains(seconds)) {
            None => Ok(()),
            Some((name, seconds)) => Err(Error::new(Code::ConfigInvalid)
                .at(*name)
                .expected(format!("1 to {TIMEOUT_MAX_S} seconds"))
                .found(seconds.to_string())),
        }
    }
}

/// Longest timeout that is accepted.
const TIMEOUT_MAX_S: u64 = 24 * 60 * 60;
