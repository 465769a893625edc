//! Settings that only this provider has.

use std::sync::Arc;

use super::plan::FileNames;
use super::salt::SharedSalt;
use super::version::ClientVersion;
use crate::attest::contrast::SecretServiceNames;
use crate::http::BaseUrl;

/// What a client decides beside the policy. The default is the strictest.
#[derive(Clone, Debug)]
pub struct PrivatemodeOptions {
    /// The expected manifest, byte for byte: then it is a reference value for the software. `None` takes the one that the provider
    /// publishes, which says what runs and not that this is right.
    pub manifest: Option<Vec<u8>>,
    /// Where manifests are published; `None` for the provider's own host, or `base_url` where that is plain http on this machine.
    pub manifest_url: Option<BaseUrl>,
    /// A mirror of AMD's key distribution service.
    pub amd_url: Option<BaseUrl>,
    /// Names that the key service's certificate must have.
    pub key_service: SecretServiceNames,
    /// What the workers may say about revocation of their GPUs' certificates.
    pub gpu_revocation: GpuRevocation,
    /// A cache salt for all requests, which makes prompts share what the workers keep of them; `None` gives each request its own.
    pub cache_salt: Option<Arc<SharedSalt>>,
    /// Take an answer that names another model than the one that was asked for. Off: the gateway can route a request anywhere, and the sealed
    /// name shows it. A publisher before the name (`openai/`) is no difference.
    pub allow_other_model: bool,
    /// How files are called where their names are readable.
    pub file_names: FileNames,
    /// The client version that is stated to the service.
    pub version: ClientVersion,
}

/// What is accepted of NVIDIA's revocation state of a worker's GPUs, which the worker asked when it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GpuRevocation {
    /// Only what was not revoked.
    #[default]
    GoodOnly,
    /// Also an unknown state, and what was revoked less than this many seconds ago.
    Lenient {
        /// Seconds; the vendor's client takes 48 hours.
        grace_s: u64,
    },
}

impl GpuRevocation {
    /// What this accepts beyond the strictest, in words for a report; `None` for the strictest.
    pub(super) fn relaxation(self) -> Option<String> {
        const HOUR_S: u64 = 3600;
        let GpuRevocation::Lenient { grace_s } = self else { return None };
        let grace = match (grace_s.checked_div(HOUR_S), grace_s.checked_rem(HOUR_S)) {
            _ if grace_s == 0 => None,
            (Some(hours), Some(0)) => Some(format!("{hours} h")),
            _ => Some(format!("{grace_s} s")),
        };
        Some(match grace {
            None => "workers' GPUs are accepted with an unknown revocation state".to_owned(),
            Some(grace) => {
                format!(
                    "workers' GPUs are accepted revoked for up to {grace}, or with an unknown revocation state"
                )
            }
        })
    }
}

/// Told the report: what a client accepts beyond the default, which no policy says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leniency {
    /// Of the workers' GPUs.
    pub gpu_revocation: GpuRevocation,
    /// An answer that names another model.
    pub other_model: bool,
}

impl Leniency {
    /// Each in words.
    pub(super) fn relaxations(self) -> impl Iterator<Item = String> {
        let other_model =
            self.other_model.then(|| "answers may name another model than the one asked for".to_owned());
        self.gpu_revocation.relaxation().into_iter().chain(other_model)
    }
}

impl PrivatemodeOptions {
    pub(super) const fn leniency(&self) -> Leniency {
        Leniency { gpu_revocation: self.gpu_revocation, other_model: self.allow_other_model }
    }
}

impl Default for PrivatemodeOptions {
    fn default() -> PrivatemodeOptions {
        PrivatemodeOptions {
            manifest: None,
            manifest_url: None,
            amd_url: None,
            key_service: SecretServiceNames::Manifest,
            gpu_revocation: GpuRevocation::GoodOnly,
            cache_salt: None,
            allow_other_model: false,
            file_names: FileNames::PartAndExtension,
            version: ClientVersion::compatible(),
        }
    }
}
