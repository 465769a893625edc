//! Which requests a verification of a Venice endpoint makes, in which order (venice.md 10): model list, attestation with a fresh
//! nonce, the collateral for each platform in the answer, what NVIDIA says about its GPUs as far as the policy asks, then the appraisal.

use std::sync::Arc;

use super::appraise::{Appraised, Input, appraise, parse};
use super::channel::VeniceChannel;
use super::models::parse_models;
use super::request::{KnownModels, check_model};
use crate::appraise::gpu::NotFetched;
use crate::appraise::{CAPTURED_ROOTS, recheck_command};
use crate::attest::TrustRoots;
use crate::attest::tdx::{Platform, Quote, VerifiedCollateral};
use crate::crypto::SecureRandom;
use crate::endpoint::{Outcome, VerifiedEndpoint};
use crate::error::{Code, Error, Result};
use crate::evidence::{GpuEndorsements, TdxCollateral};
use crate::http::{BaseUrl, HttpRequest, HttpResponse, Method, TransportFailure, encode_query};
use crate::limits;
use crate::pin::{Difference, Pin, Software};
use crate::policy::Policy;
use crate::provider::ProviderEvidence;
use crate::provider::collateral::{CollateralFetch, check_status};
use crate::provider::endorsements::{Context, Endorsing};
use crate::provider::exchange::{Dialogue, ExchangeConfig, NO_ENDORSEMENTS, Step};
use crate::provider::node::all_quotes;
use crate::report::Verdict;
use crate::wire::hex;

/// What the next step needs.
#[derive(Debug)]
enum State {
    Models,
    Attestation,
    Collateral(CollateralFetch),
    Endorsements,
    Appraise,
    Done,
}

/// Verification of one Venice model.
#[derive(Debug)]
pub(crate) struct VeniceExchange {
    config: ExchangeConfig,
    base: BaseUrl,
    nonce: [u8; 32],
    state: State,
    response: Vec<u8>,
    fetched: Vec<TdxCollateral>,
    /// Platforms whose collateral was asked for.
    asked: Vec<Platform>,
    model_list: Option<Vec<u8>>,
    /// The questions to NVIDIA, when the policy has any.
    endorsing: Option<Endorsing>,
    /// An error that ends the exchange: what was asked for cannot be had, whatever the evidence.
    failure: Option<Error>,
    /// What the endpoint was seen to run before.
    pin: Option<Pin>,
    /// What it runs now, and where that differs.
    software: Option<Software>,
    differences: Vec<Difference>,
    /// Why collateral could not be fetched; the appraisal then lacks it and ends as indeterminate.
    collateral_failure: Option<Error>,
    /// What the appraisal used, and when it was made.
    used: Option<(ProviderEvidence, u64)>,
}

impl VeniceExchange {
    pub fn new(config: ExchangeConfig, rng: &mut dyn SecureRandom) -> Result<VeniceExchange> {
        check_model(&config.model, None)?;
        let base = match &config.base_url {
            Some(url) => url.clone(),
            None => BaseUrl::parse(config.provider.default_base_url())?,
        };
        let mut nonce = [0; 32];
        rng.fill(&mut nonce)?;
        let mut config = config;
        let at_hand = std::mem::take(&mut config.endorsements);
        let endorsing = Endorsing::new(&config.policy, config.nvidia_url.as_ref(), at_hand, rng)?;
        let mut exchange = VeniceExchange {
            config,
            base,
            nonce,
            state: State::Models,
            response: Vec::new(),
            fetched: Vec::new(),
            asked: Vec::new(),
            model_list: None,
            endorsing,
            failure: None,
            pin: None,
            software: None,
            differences: Vec::new(),
            collateral_failure: None,
            used: None,
        };
        if let Some(list) = exchange.config.model_list.take() {
            exchange.take_model_list(&list)?;
        }
        Ok(exchange)
    }

    /// Trouble with collateral leaves the appraisal to say what is missing; everything else ends the exchange.
    fn end_or_note(&mut self, error: Error) {
        if matches!(self.state, State::Collateral(_)) && error.code() != Code::Cancelled {
            self.collateral_failure = Some(error);
            self.state = State::Appraise;
        } else {
            self.failure = Some(error);
        }
    }

    fn accept(&mut self, response: HttpResponse) -> Result<()> {
        response.head().check_plain()?;
        match std::mem::replace(&mut self.state, State::Done) {
            State::Models => {
                self.state = State::Models;
                check_status(&response, Code::ModelsUnreachable, "model list")?;
                bounded(response.body(), limits::MODEL_LIST_MAX_BYTES, "model list")?;
                self.model_list = Some(response.body().to_vec());
                self.take_model_list(response.body())
            }
            State::Attestation => {
                self.state = State::Attestation;
                check_status(&response, Code::AttestationUnavailable, "attestation")?;
                bounded(response.body(), limits::ATTESTATION_RESPONSE_MAX_BYTES, "attestation response")?;
                self.response = response.body().to_vec();
                self.state = State::Appraise;
                Ok(())
            }
            State::Collateral(mut fetch) => {
                let taken = fetch.take(response);
                self.state = State::Collateral(fetch);
                if let Some(collateral) = taken? {
                    self.fetched.push(collateral);
                    self.state = State::Appraise;
                }
                Ok(())
            }
            state @ (State::Endorsements | State::Appraise | State::Done) => {
                self.state = state;
                Err(Error::new(Code::OutOfOrder))
            }
        }
    }

    /// The model must be offered and marked as end-to-end encrypted (threats T48); a name alone decides nothing.
    fn take_model_list(&mut self, list: &[u8]) -> Result<()> {
        let models = parse_models(list)?;
        check_model(&self.config.model, Some(KnownModels::Catalogue(&models)))?;
        self.state = State::Attestation;
        Ok(())
    }

    /// A platform in the answer for which no usable collateral is at hand. Collateral that the host gave counts only while it
    /// verifies; what was fetched in this exchange is not fetched again.
    fn missing_collateral(&self, at: u64) -> Option<Platform> {
        if self.collateral_failure.is_some() {
            return None;
        }
        let given: Vec<Arc<VerifiedCollateral>> =
            self.config.collateral.iter().filter_map(|raw| self.verified(raw, at)).collect();
        self.platforms()
            .into_iter()
            .find(|platform| !self.asked.contains(platform) && !given.iter().any(|held| fits(held, platform)))
    }

    /// Platforms of the answer's quotes.
    fn platforms(&self) -> Vec<Platform> {
        let quotes = parse(&self.response).map(|answer| all_quotes(&answer)).unwrap_or_default();
        let platform = |quote: &Vec<u8>| Quote::parse(quote).and_then(|quote| quote.platform()).ok();
        quotes.iter().filter_map(platform).collect()
    }

    fn verified(&self, raw: &TdxCollateral, at: u64) -> Option<Arc<VerifiedCollateral>> {
        VerifiedCollateral::verify_or_recall(raw, &self.config.roots, at).ok()
    }

    /// What the appraisal works with: all that was fetched for this answer, and of what the host keeps for any platform that which is
    /// not plainly of another one.
    fn usable_collateral(&self, at: u64) -> Vec<TdxCollateral> {
        let platforms = self.platforms();
        let concerns_us = |raw: &&TdxCollateral| {
            self.verified(raw, at).is_none_or(|held| platforms.iter().any(|platform| fits(&held, platform)))
        };
        self.fetched.iter().chain(self.config.collateral.iter().filter(concerns_us)).cloned().collect()
    }

    /// The next question to NVIDIA. It is not asked about devices beside an enclave that is refused, or cannot be judged, anyway.
    fn next_endorsement(&mut self, at: u64) -> Option<HttpRequest> {
        if matches!(self.state, State::Appraise)
            && (self.endorsing.is_none()
                || self.collateral_failure.is_some()
                || self.judge(at).0.report.verdict() == Verdict::Refused)
        {
            return None;
        }
        let answer = parse(&self.response).ok()?;
        let (policy, roots, nonce) = (&self.config.policy, &self.config.roots, &self.nonce);
        let context = Context { policy, roots, nonce, at };
        self.endorsing.as_mut()?.next(answer.get("nvidia_payload"), context)
    }

    fn models_request(&self) -> HttpRequest {
        self.authorised(HttpRequest::new(
            Method::Get,
            format!("{}/models?type=text", self.base.as_str()),
            "model list",
            limits::MODEL_LIST_MAX_BYTES,
        ))
    }

    fn attestation_request(&self) -> HttpRequest {
        let url = format!(
            "{}/tee/attestation?model={}&nonce={}",
            self.base.as_str(),
            encode_query(&self.config.model),
            hex::encode(&self.nonce)
        );
        self.authorised(HttpRequest::new(
            Method::Get,
            url,
            "attestation",
            limits::ATTESTATION_RESPONSE_MAX_BYTES,
        ))
    }

    /// The API key goes to the provider's base URL only (threats T47).
    fn authorised(&self, request: HttpRequest) -> HttpRequest {
        request
            .secret_header("authorization", format!("Bearer {}", self.config.api_key.expose()))
            .header("accept", "application/json")
            .header("accept-encoding", "identity")
    }

    fn judge(&self, at: u64) -> (Appraised, ProviderEvidence) {
        let evidence = ProviderEvidence {
            provider: self.config.provider,
            model: Some(self.config.model.clone()),
            base_url: self.base.as_str().to_owned(),
            nonce: self.nonce,
            response: self.response.clone(),
            collateral: self.usable_collateral(at),
            collateral_failure: self.collateral_failure.clone(),
            endorsements: self.used_endorsements().clone(),
            not_fetched: self.endorsing.as_ref().map_or(NotFetched::NOTHING, |one| one.not_fetched().clone()),
            pin: self.pin.clone(),
            privatemode: None,
        };
        let roots = self.config.roots.is_custom().then_some(CAPTURED_ROOTS);
        let appraised = appraise(&Input {
            response: &evidence.response,
            nonce: &evidence.nonce,
            model: evidence.model.as_deref(),
            base_url: &evidence.base_url,
            policy: &self.config.policy,
            roots: &self.config.roots,
            collateral: &evidence.collateral,
            collateral_failure: evidence.collateral_failure.as_ref(),
            endorsements: &evidence.endorsements,
            not_fetched: &evidence.not_fetched,
            pin: evidence.pin.as_ref(),
            at,
            recheck: Some(recheck_command(roots, None, at)),
        });
        (appraised, evidence)
    }

    fn appraise(&mut self, at: u64) -> Outcome {
        let (Appraised { report, accepted, software, differences }, evidence) = self.judge(at);
        self.used = Some((evidence, at));
        (self.software, self.differences) = (software, differences);
        match accepted {
            Ok((accepted, key)) => {
                let channel = VeniceChannel::new(&self.config, self.base.clone(), key);
                Outcome::Verified(VerifiedEndpoint::new(accepted, report, Box::new(channel)))
            }
            Err(error) if report.verdict() == Verdict::Refused => Outcome::Refused(report, error),
            Err(error) => {
                // Missing collateral is the symptom; why it could not be used is the cause.
                let error = match self.collateral_failure.take() {
                    Some(cause) if error.code() == Code::CollateralMissing => {
                        cause.with_report_json(report.to_json())
                    }
                    _ => error,
                };
                Outcome::Indeterminate(report, error)
            }
        }
    }
}

impl Dialogue for VeniceExchange {
    fn next(&mut self, at: u64) -> Result<Step> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        if matches!(self.state, State::Appraise)
            && let Some(platform) = self.missing_collateral(at)
        {
            self.asked.push(platform);
            self.state = State::Collateral(CollateralFetch::new(&platform));
        }
        if matches!(self.state, State::Appraise | State::Endorsements) {
            let request = self.next_endorsement(at);
            self.state = if request.is_some() { State::Endorsements } else { State::Appraise };
            if let Some(request) = request {
                return Ok(Step::Send(request));
            }
        }
        match &self.state {
            State::Models => Ok(Step::Send(self.models_request())),
            State::Attestation => Ok(Step::Send(self.attestation_request())),
            State::Collateral(fetch) => Ok(Step::Send(fetch.request(self.config.collateral_url.as_ref()))),
            State::Endorsements | State::Appraise => {
                self.state = State::Done;
                Ok(Step::Done(Box::new(self.appraise(at))))
            }
            State::Done => Err(Error::new(Code::OutOfOrder).expected("the outcome only once")),
        }
    }

    fn feed(&mut self, response: HttpResponse) -> Result<()> {
        if let (State::Endorsements, Some(endorsing)) = (&self.state, &mut self.endorsing) {
            endorsing.feed(&response);
            return Ok(());
        }
        if let Err(error) = self.accept(response) {
            self.end_or_note(error);
        }
        Ok(())
    }

    fn fail(&mut self, failure: TransportFailure) -> Result<()> {
        if let (State::Endorsements, Some(endorsing)) = (&self.state, &mut self.endorsing)
            && failure != TransportFailure::Cancelled
        {
            endorsing.fail(failure);
            return Ok(());
        }
        let (unreachable, purpose) = match &self.state {
            State::Models => (Code::ModelsUnreachable, "model list"),
            State::Attestation => (Code::AttestationUnreachable, "attestation"),
            State::Collateral(_) => (Code::CollateralUnreachable, "collateral"),
            State::Endorsements => (Code::CollateralUnreachable, "NVIDIA endorsements"),
            State::Appraise | State::Done => return Err(Error::new(Code::OutOfOrder)),
        };
        self.end_or_note(failure.error(unreachable, purpose));
        Ok(())
    }

    fn set_pin(&mut self, pin: Pin) {
        self.pin = Some(pin);
    }

    fn software(&self) -> Option<&Software> {
        self.software.as_ref()
    }

    fn differences(&self) -> &[Difference] {
        &self.differences
    }

    fn fetched_collateral(&self) -> &[TdxCollateral] {
        &self.fetched
    }

    fn fetched_endorsements(&self) -> &GpuEndorsements {
        self.endorsing.as_ref().map_or(&NO_ENDORSEMENTS, Endorsing::fetched)
    }

    fn used_endorsements(&self) -> &GpuEndorsements {
        self.endorsing.as_ref().map_or(&NO_ENDORSEMENTS, Endorsing::used)
    }

    fn fetched_model_list(&self) -> Option<&[u8]> {
        self.model_list.as_deref()
    }

    fn evidence(&self) -> Option<(&[u8], &[u8; 32])> {
        matches!(self.state, State::Done).then_some((self.response.as_slice(), &self.nonce))
    }

    fn capture(&self) -> Option<(ProviderEvidence, u64)> {
        self.used.clone()
    }

    fn rules(&self) -> (&Policy, &TrustRoots) {
        (&self.config.policy, &self.config.roots)
    }
}

fn fits(held: &VerifiedCollateral, platform: &Platform) -> bool {
    *held.fmspc() == platform.fmspc && held.ca_kind() == platform.ca
}

fn bounded(body: &[u8], limit: usize, name: &str) -> Result<()> {
    if body.len() > limit { Err(Error::new(Code::LimitExceeded).at(name)) } else { Ok(()) }
}
