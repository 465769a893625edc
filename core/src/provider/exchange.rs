//! The dialogue that verifies an endpoint, as a state machine without I/O.
//!
//! ```text
//! loop { match exchange.next(now)? { Step::Send(request) => exchange.feed(transport(request)), Step::Done(outcome) => break } }
//! ```

use crate::attest::TrustRoots;
use crate::crypto::SecureRandom;
use crate::endpoint::Outcome;
use crate::error::Result;
use crate::evidence::{GpuEndorsements, SnpEndorsements, TdxCollateral};
use crate::http::{BaseUrl, HttpRequest, HttpResponse, TransportFailure};
use crate::pin::{Difference, Pin, Software};
use crate::policy::Policy;
use crate::secret::SecretText;

use super::privatemode::{PrivatemodeExchange, PrivatemodeOptions};
use super::venice::VeniceExchange;
use super::{Provider, ProviderEvidence};

/// What to verify, and by which rules.
#[derive(Debug)]
pub struct ExchangeConfig {
    /// The provider.
    pub provider: Provider,
    /// Model id as the provider names it.
    pub model: String,
    /// Where the provider is reached; `None` for its public address.
    pub base_url: Option<BaseUrl>,
    /// Where Intel-style collateral is fetched; `None` for Intel's service.
    pub collateral_url: Option<BaseUrl>,
    /// Where NVIDIA's manifests, OCSP answers and attestation service are reached; `None` for NVIDIA's hosts. Asked only where the
    /// policy requires what they say.
    pub nvidia_url: Option<BaseUrl>,
    /// The caller's API key; sent to `base_url` only.
    pub api_key: SecretText,
    /// What must hold.
    pub policy: Policy,
    /// Whose signatures count.
    pub roots: TrustRoots,
    /// Collateral already at hand. It is verified like fetched collateral and fetched anew only when it does not fit.
    pub collateral: Vec<TdxCollateral>,
    /// What NVIDIA said earlier, one set for each exchange that fetched some. What the policy requires is taken from here where it
    /// verifies and is still good; a set of OCSP answers is taken as a whole or not at all, tokens never, their key list is.
    pub endorsements: Vec<GpuEndorsements>,
    /// A recent answer of the provider's model list (at most an hour old), to save a request.
    pub model_list: Option<Vec<u8>>,
    /// Settings of Privatemode; other providers do not look at them.
    pub privatemode: PrivatemodeOptions,
}

/// A provider's dialogue. Methods are those of [`Exchange`].
pub(crate) trait Dialogue: std::fmt::Debug + Send + Sync {
    fn next(&mut self, at: u64) -> Result<Step>;
    fn feed(&mut self, response: HttpResponse) -> Result<()>;
    fn fail(&mut self, failure: TransportFailure) -> Result<()>;
    fn set_pin(&mut self, pin: Pin);
    fn software(&self) -> Option<&Software>;
    fn differences(&self) -> &[Difference];
    fn fetched_collateral(&self) -> &[TdxCollateral];
    fn evidence(&self) -> Option<(&[u8], &[u8; 32])>;
    fn capture(&self) -> Option<(ProviderEvidence, u64)>;
    fn rules(&self) -> (&Policy, &TrustRoots);

    fn fetched_endorsements(&self) -> &GpuEndorsements {
        &NO_ENDORSEMENTS
    }

    fn used_endorsements(&self) -> &GpuEndorsements {
        &NO_ENDORSEMENTS
    }

    fn fetched_model_list(&self) -> Option<&[u8]> {
        None
    }

    fn set_snp_endorsements(&mut self, _at_hand: Vec<SnpEndorsements>) {}

    fn fetched_snp_endorsements(&self) -> Option<&SnpEndorsements> {
        None
    }
}

/// NVIDIA was asked nothing.
pub(crate) static NO_ENDORSEMENTS: GpuEndorsements =
    GpuEndorsements { rims: Vec::new(), ocsp: Vec::new(), ocsp_nonce: None, nras: Vec::new() };

/// What the host does next.
#[derive(Debug)]
pub enum Step {
    /// Send this request, then call [`Exchange::feed`] or [`Exchange::fail`].
    Send(HttpRequest),
    /// The verification ended.
    Done(Box<Outcome>),
}

/// One verification of one endpoint. Its challenge is fresh and used once.
#[derive(Debug)]
pub struct Exchange {
    state: Box<dyn Dialogue>,
}

impl Exchange {
    /// Prepares a verification. Fails with an input or configuration error (1xx) before anything is sent.
    pub fn new(config: ExchangeConfig, rng: &mut dyn SecureRandom) -> Result<Exchange> {
        let state: Box<dyn Dialogue> = match config.provider {
            Provider::Venice => Box::new(VeniceExchange::new(config, rng)?),
            Provider::Privatemode => Box::new(PrivatemodeExchange::new(config, rng)?),
        };
        Ok(Exchange { state })
    }

    /// Refuses other software than the pinned one. A pin can only refuse: everything else is appraised as without it.
    #[must_use]
    pub fn pinned(mut self, pin: Pin) -> Exchange {
        self.state.set_pin(pin);
        self
    }

    /// Gives earlier answers of AMD's key distribution service, each as it was fetched. They are verified like fetched ones; what does not
    /// fit is asked for. Only Privatemode has a use for them.
    #[must_use]
    pub fn with_snp_endorsements(mut self, at_hand: Vec<SnpEndorsements>) -> Exchange {
        self.state.set_snp_endorsements(at_hand);
        self
    }

    /// What AMD answered on the way, for the host's cache. It is signed, and verified again on every use. It names the chip.
    pub fn fetched_snp_endorsements(&self) -> Option<&SnpEndorsements> {
        self.state.fetched_snp_endorsements()
    }

    /// What the endpoint runs, once the outcome is there and nothing, or nothing but the pin, is against it.
    pub fn software(&self) -> Option<&Software> {
        self.state.software()
    }

    /// Where that differs from the pin.
    pub fn differences(&self) -> &[Difference] {
        self.state.differences()
    }

    /// The next request, or the outcome. `at` is the current time in seconds since 1970-01-01T00:00:00Z. Calling it again without an
    /// answer gives the same request. Errors are input errors (the model is not offered or not encrypted) or upstream errors.
    pub fn next(&mut self, at: u64) -> Result<Step> {
        self.state.next(at)
    }

    /// Hands in the answer to the last request.
    pub fn feed(&mut self, response: HttpResponse) -> Result<()> {
        self.state.feed(response)
    }

    /// Reports that the last request could not be carried out.
    pub fn fail(&mut self, failure: TransportFailure) -> Result<()> {
        self.state.fail(failure)
    }

    /// Collateral that was fetched on the way, for the host's cache. It is public and signed; it is verified again on every use.
    pub fn fetched_collateral(&self) -> &[TdxCollateral] {
        self.state.fetched_collateral()
    }

    /// What NVIDIA said on the way, for the host's cache; empty when nothing had to be asked. It is signed, and verified again on every
    /// use. It names the devices.
    pub fn fetched_endorsements(&self) -> &GpuEndorsements {
        self.state.fetched_endorsements()
    }

    /// Everything that NVIDIA said and the outcome rests on, at hand or fetched.
    pub fn used_endorsements(&self) -> &GpuEndorsements {
        self.state.used_endorsements()
    }

    /// The model list that was fetched on the way, for the host's cache.
    pub fn fetched_model_list(&self) -> Option<&[u8]> {
        self.state.fetched_model_list()
    }

    /// What an offline re-check needs, once the outcome is there: the provider's answer and our challenge.
    pub fn evidence(&self) -> Option<(&[u8], &[u8; 32])> {
        self.state.evidence()
    }

    /// Everything that the appraisal used, once the outcome is there, and when it was made.
    /// [`crate::bundle::EvidenceBundle::of_exchange`] keeps it with the rules.
    pub fn capture(&self) -> Option<(ProviderEvidence, u64)> {
        self.state.capture()
    }

    /// What is judged by.
    pub fn rules(&self) -> (&Policy, &TrustRoots) {
        self.state.rules()
    }
}
