//! Verification over the caller's own transport.

use std::sync::Arc;

use proveil_bindings_support::core::Error;
use proveil_bindings_support::core::endpoint;
use proveil_bindings_support::core::http;
use proveil_bindings_support::core::provider;
use proveil_bindings_support::core::secret::SecretText;
use proveil_bindings_support::{
    ExchangeCell, ExchangeOptions as Options, PrivatemodeFields, fetched_endorsements,
};

use crate::client::CacheSalt;
use crate::endpoint::VerifiedEndpoint;
use crate::error::{Outcome, guarded};
use crate::policy::{Policy, TrustRoots, policy_of, roots_of};
use crate::report::Report;
use crate::values::{HttpRequest, ResponseHeader, response};

/// Settings of an exchange beside provider, model and key. Absent members have the default.
#[derive(uniffi::Record)]
pub struct ExchangeOptions {
    /// Where the provider is reached; default is its public address.
    #[uniffi(default = None)]
    pub base_url: Option<String>,
    /// Where Intel-style collateral is fetched; default is Intel's service.
    #[uniffi(default = None)]
    pub collateral_url: Option<String>,
    /// Where NVIDIA's manifests, OCSP answers and attestation service are reached; default is NVIDIA's hosts. They are asked only where
    /// the policy requires what they say.
    #[uniffi(default = None)]
    pub nvidia_url: Option<String>,
    /// What must hold; default is `Policy.standard`.
    #[uniffi(default = None)]
    pub policy: Option<Arc<Policy>>,
    /// Whose signatures count; default is the hardware vendors'.
    #[uniffi(default = None)]
    pub trust_roots: Option<Arc<TrustRoots>>,
    /// Collateral at hand, one document each; it is verified like fetched collateral.
    #[uniffi(default = [])]
    pub collateral: Vec<String>,
    /// What NVIDIA said earlier, one document each; it is verified like what is fetched.
    #[uniffi(default = [])]
    pub endorsements: Vec<String>,
    /// A recent answer of the provider's model list, to save a request.
    #[uniffi(default = None)]
    pub model_list: Option<Vec<u8>>,
    /// Privatemode: the manifest that the deployment must have, byte for byte; then it proves the software. By default the one that the
    /// provider publishes is taken, which says what runs and not that this is right.
    #[uniffi(default = None)]
    pub manifest: Option<Vec<u8>>,
    /// Privatemode: where manifests are published; default is the provider's own host.
    #[uniffi(default = None)]
    pub manifest_url: Option<String>,
    /// Privatemode: where AMD's key distribution service is reached; default is AMD's own.
    #[uniffi(default = None)]
    pub amd_url: Option<String>,
    /// Privatemode: accepts GPUs whose certificate has an unknown state, or was revoked less than so many seconds ago; by default, and
    /// with 0, only those that were not revoked.
    #[uniffi(default = None)]
    pub gpu_revocation_grace_s: Option<u64>,
    /// Privatemode: DNS name that the key service's certificate must have, instead of those in the manifest.
    #[uniffi(default = None)]
    pub key_service_name: Option<String>,
    /// Privatemode: a secret of at least 32 bytes. Prompts with the same one can share what the service keeps of them; by default each
    /// request gets its own.
    #[uniffi(default = None)]
    pub cache_salt: Option<Arc<CacheSalt>>,
}

/// Why a transport could not carry out a request.
#[derive(Clone, Copy, Debug, uniffi::Enum)]
pub enum TransportFailure {
    /// Name resolution, connection or TLS handshake failed.
    Connect,
    /// A timeout passed.
    Timeout,
    /// The peer's key is not a pinned one.
    TlsRule,
    /// The response is longer than allowed.
    TooLarge,
    /// The connection broke while the response was read.
    Broken,
    /// The caller gave up.
    Cancelled,
}

/// What the host does next.
#[derive(uniffi::Enum)]
pub enum Step {
    /// Send this request, then call `feed` or `fail`.
    Send {
        /// The request.
        request: Arc<HttpRequest>,
    },
    /// The verification ended.
    Done {
        /// How.
        outcome: Arc<VerificationOutcome>,
    },
}

/// How a verification ended.
#[derive(uniffi::Object)]
pub struct VerificationOutcome {
    report: Arc<Report>,
    result: Result<Arc<VerifiedEndpoint>, Error>,
}

#[uniffi::export]
impl VerificationOutcome {
    /// The report, whatever the outcome.
    pub fn report(&self) -> Arc<Report> {
        self.report.clone()
    }

    /// The proof; fails with the reason unless verified.
    pub fn endpoint(&self) -> Outcome<Arc<VerifiedEndpoint>> {
        guarded(|| self.result.clone())
    }
}

/// One verification of one endpoint as a dialogue: send each request that `next` gives and feed the answer, until it gives the
/// outcome. Its challenge is fresh and used once.
#[derive(uniffi::Object)]
pub struct Exchange(ExchangeCell);

#[uniffi::export]
impl Exchange {
    /// Prepares a verification; fails with input and configuration errors before anything is sent.
    #[uniffi::constructor(default(options = None))]
    pub fn new(
        provider: String,
        model: String,
        api_key: String,
        options: Option<ExchangeOptions>,
    ) -> Outcome<Arc<Exchange>> {
        guarded(|| {
            let given = options.unwrap_or(ExchangeOptions {
                base_url: None,
                collateral_url: None,
                nvidia_url: None,
                policy: None,
                trust_roots: None,
                collateral: Vec::new(),
                endorsements: Vec::new(),
                model_list: None,
                manifest: None,
                manifest_url: None,
                amd_url: None,
                gpu_revocation_grace_s: None,
                key_service_name: None,
                cache_salt: None,
            });
            let options = Options {
                provider,
                model,
                api_key: SecretText::new(api_key),
                base_url: given.base_url,
                collateral_url: given.collateral_url,
                nvidia_url: given.nvidia_url,
                policy: policy_of(given.policy),
                trust_roots: roots_of(given.trust_roots),
                collateral: given.collateral.into_iter().map(String::into_bytes).collect(),
                endorsements: given.endorsements.into_iter().map(String::into_bytes).collect(),
                model_list: given.model_list,
                privatemode: PrivatemodeFields {
                    manifest: given.manifest,
                    manifest_url: given.manifest_url,
                    amd_url: given.amd_url,
                    gpu_revocation_grace_s: given.gpu_revocation_grace_s,
                    cache_salt: given.cache_salt.map(|salt| salt.0.duplicate()),
                    key_service_name: given.key_service_name,
                },
            };
            Ok(Arc::new(Exchange(ExchangeCell::new(options.config()?)?)))
        })
    }

    /// The next request, or the outcome. `at` is the current time in seconds since 1970-01-01T00:00:00Z; default is the system's clock.
    #[uniffi::method(default(at = None))]
    pub fn next(&self, at: Option<u64>) -> Outcome<Step> {
        guarded(|| {
            Ok(match self.0.next(at)? {
                provider::Step::Send(request) => Step::Send { request: Arc::new(request.into()) },
                provider::Step::Done(outcome) => {
                    let report = Arc::new(Report::from(outcome.report().clone()));
                    let result = match *outcome {
                        endpoint::Outcome::Verified(endpoint) => Ok(Arc::new(Arc::new(endpoint).into())),
                        endpoint::Outcome::Refused(_, error) | endpoint::Outcome::Indeterminate(_, error) => {
                            Err(error)
                        }
                    };
                    Step::Done { outcome: Arc::new(VerificationOutcome { report, result }) }
                }
            })
        })
    }

    /// Hands in the answer to the last request.
    pub fn feed(&self, status: u16, headers: Vec<ResponseHeader>, body: Vec<u8>) -> Outcome<()> {
        guarded(|| self.0.feed(response(status, headers, body)))
    }

    /// Reports that the last request could not be carried out.
    pub fn fail(&self, kind: TransportFailure) -> Outcome<()> {
        guarded(|| {
            self.0.fail(match kind {
                TransportFailure::Connect => http::TransportFailure::Connect,
                TransportFailure::Timeout => http::TransportFailure::Timeout,
                TransportFailure::TlsRule => http::TransportFailure::TlsRule,
                TransportFailure::TooLarge => http::TransportFailure::TooLarge,
                TransportFailure::Broken => http::TransportFailure::Broken,
                TransportFailure::Cancelled => http::TransportFailure::Cancelled,
            })
        })
    }

    /// Collateral that was fetched on the way, for a cache: public, and verified again on every use.
    pub fn fetched_collateral(&self) -> Outcome<Vec<String>> {
        guarded(|| {
            self.0.with(|exchange| exchange.fetched_collateral().iter().map(|one| one.to_json()).collect())
        })
    }

    /// What NVIDIA said on the way, for a cache: signed, and verified again on every use. It names the GPUs.
    pub fn fetched_endorsements(&self) -> Outcome<Option<String>> {
        guarded(|| self.0.with(fetched_endorsements))
    }

    /// The model list that was fetched on the way, for a cache.
    pub fn fetched_model_list(&self) -> Outcome<Option<Vec<u8>>> {
        guarded(|| self.0.with(|exchange| exchange.fetched_model_list().map(<[u8]>::to_vec)))
    }

    /// What an offline re-check needs, once the outcome is there.
    pub fn evidence(&self) -> Outcome<Option<Evidence>> {
        guarded(|| {
            self.0.with(|exchange| {
                exchange
                    .evidence()
                    .map(|(response, nonce)| Evidence { response: response.to_vec(), nonce: nonce.to_vec() })
            })
        })
    }
}

/// The provider's answer and our challenge.
#[derive(Clone, Debug, uniffi::Record)]
pub struct Evidence {
    /// Attestation answer as received.
    pub response: Vec<u8>,
    /// Challenge, 32 bytes.
    pub nonce: Vec<u8>,
}
