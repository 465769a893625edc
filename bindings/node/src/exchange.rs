//! Verification over the caller's own transport.

use std::sync::Arc;

use napi::bindgen_prelude::{AsyncTask, Uint8Array};
use napi_derive::napi;
use proveil_bindings_support::core::endpoint::Outcome;
use proveil_bindings_support::core::provider::Step;
use proveil_bindings_support::core::secret::SecretText;
use proveil_bindings_support::{
    ExchangeCell, ExchangeOptions, PrivatemodeFields, fetched_endorsements, transport_failure,
};

use crate::answer::{Answer, Work, answer, work};
use crate::endpoint::Endpoint;
use crate::report::{Report, policy, trust_roots};
use crate::values::{Bytes, RequestFields, copies, response, seconds};

/// What to verify, as the TypeScript layer gives it.
#[napi(object, object_to_js = false)]
pub struct ExchangeFields {
    /// Provider name.
    pub provider: String,
    /// Model id.
    pub model: String,
    /// The caller's key.
    pub api_key: String,
    /// Where the provider is reached.
    pub base_url: Option<String>,
    /// Where collateral is fetched.
    pub collateral_url: Option<String>,
    /// Where NVIDIA's services are reached.
    pub nvidia_url: Option<String>,
    /// Policy document.
    pub policy: Option<String>,
    /// Trust roots document.
    pub trust_roots: Option<String>,
    /// Collateral documents.
    pub collateral: Vec<Uint8Array>,
    /// What NVIDIA said earlier.
    pub endorsements: Vec<Uint8Array>,
    /// A recent model list.
    pub model_list: Option<Uint8Array>,
    /// Privatemode: the expected manifest.
    pub manifest: Option<Uint8Array>,
    /// Privatemode: where manifests are published.
    pub manifest_url: Option<String>,
    /// Privatemode: where AMD's key distribution service is reached.
    pub amd_url: Option<String>,
    /// Privatemode: seconds for which a revoked GPU certificate is accepted.
    pub gpu_revocation_grace_s: Option<f64>,
    /// Privatemode: cache salt for all requests.
    pub cache_salt: Option<String>,
    /// Privatemode: DNS name of the key service.
    pub key_service_name: Option<String>,
}

/// What the host does next: send `request`, or the outcome as `report` with `endpoint` when verified.
#[napi(object, object_from_js = false)]
pub struct StepFields {
    /// To be sent.
    pub request: Option<RequestFields>,
    /// How the verification ended.
    pub report: Option<Report>,
    /// The proof.
    pub endpoint: Option<Endpoint>,
    /// Why there is no proof.
    pub refusal: Option<Answer<()>>,
}

/// One verification of one endpoint.
#[napi]
pub struct Exchange(Arc<ExchangeCell>);

#[napi]
impl Exchange {
    /// Prepares a verification.
    #[napi]
    pub fn create(given: ExchangeFields) -> Answer<Exchange> {
        answer(|| {
            let options = ExchangeOptions {
                provider: given.provider,
                model: given.model,
                api_key: SecretText::new(given.api_key),
                base_url: given.base_url,
                collateral_url: given.collateral_url,
                nvidia_url: given.nvidia_url,
                policy: policy(given.policy)?,
                trust_roots: trust_roots(given.trust_roots)?,
                collateral: copies(&given.collateral),
                endorsements: copies(&given.endorsements),
                model_list: given.model_list.map(|list| list.to_vec()),
                privatemode: PrivatemodeFields {
                    manifest: given.manifest.map(|manifest| manifest.to_vec()),
                    manifest_url: given.manifest_url,
                    amd_url: given.amd_url,
                    gpu_revocation_grace_s: seconds("gpuRevocationGraceS", given.gpu_revocation_grace_s)?,
                    cache_salt: given.cache_salt.map(SecretText::new),
                    key_service_name: given.key_service_name,
                },
            };
            Ok(Exchange(Arc::new(ExchangeCell::new(options.config()?)?)))
        })
    }

    /// The next request or the outcome.
    #[napi]
    pub fn next(&self, at: Option<f64>) -> AsyncTask<Work<StepFields>> {
        let exchange = self.0.clone();
        work(move || Ok(exchange.next(seconds("at", at)?)?.into()))
    }

    /// Hands in an answer.
    #[napi]
    pub fn feed(&self, status: u32, headers: Vec<String>, body: &[u8]) -> AsyncTask<Work<()>> {
        let (exchange, body) = (self.0.clone(), body.to_vec());
        work(move || exchange.feed(response(status, headers, body)?))
    }

    /// Reports that a request could not be carried out.
    #[napi]
    pub fn fail(&self, kind: String) -> Answer<()> {
        answer(|| self.0.fail(transport_failure(&kind)?))
    }

    /// Collateral that was fetched on the way.
    #[napi]
    pub fn fetched_collateral(&self) -> Answer<Vec<String>> {
        answer(|| {
            self.0.with(|exchange| exchange.fetched_collateral().iter().map(|one| one.to_json()).collect())
        })
    }

    /// What NVIDIA said on the way.
    #[napi]
    pub fn fetched_endorsements(&self) -> Answer<Option<String>> {
        answer(|| self.0.with(fetched_endorsements))
    }

    /// The model list that was fetched on the way.
    #[napi]
    pub fn fetched_model_list(&self) -> Answer<Option<Bytes>> {
        answer(|| self.0.with(|exchange| exchange.fetched_model_list().map(|list| Bytes(list.to_vec()))))
    }

    /// What an offline re-check needs.
    #[napi]
    pub fn evidence(&self) -> Answer<Option<CapturedFields>> {
        answer(|| {
            self.0.with(|exchange| {
                exchange.evidence().map(|(response, nonce)| CapturedFields {
                    response: Bytes(response.to_vec()),
                    nonce: Bytes(nonce.to_vec()),
                })
            })
        })
    }
}

/// The provider's answer and our challenge.
#[napi(object, object_from_js = false)]
pub struct CapturedFields {
    /// Attestation answer as received.
    pub response: Bytes,
    /// Challenge, 32 bytes.
    pub nonce: Bytes,
}

impl From<Step> for StepFields {
    fn from(step: Step) -> StepFields {
        let mut fields = StepFields { request: None, report: None, endpoint: None, refusal: None };
        match step {
            Step::Send(request) => fields.request = Some(RequestFields::from(&request)),
            Step::Done(outcome) => {
                fields.report = Some(outcome.report().clone().into());
                match *outcome {
                    Outcome::Verified(endpoint) => fields.endpoint = Some(Arc::new(endpoint).into()),
                    Outcome::Refused(_, error) | Outcome::Indeterminate(_, error) => {
                        fields.refusal = Some(Err(error).into());
                    }
                }
            }
        }
        fields
    }
}
