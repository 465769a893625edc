//! Which requests a verification of a Privatemode deployment makes, in which order (privatemode.md 2, 3.6, 4): the manifest, the
//! coordinator's attestation with a fresh nonce, what is missing to judge it, then the key exchange with the attested key service.
//!
//! The secret of the exchange is made known to nobody before everything passed: it is derived only when the appraisal is over.

use super::appraise::{Appraised, Input, KeyExchange, ManifestOrigin, appraise, recheck, verify};
use super::channel::PrivatemodeChannel;
use super::evidence::{CapturedExchange, PrivatemodeEvidence};
use crate::attest::TrustRoots;
use crate::attest::contrast::{Manifest, Need, choose, needs};
use crate::attest::tdx::{Quote, VerifiedCollateral};
use crate::crypto::SecureRandom;
use crate::endpoint::{Outcome, VerifiedEndpoint};
use crate::error::{Class, Code, Error, Result};
use crate::evidence::{ContrastDocument, ContrastHardware, SnpEndorsements, TdxCollateral};
use crate::http::{BaseUrl, HttpRequest, HttpResponse, Method, TransportFailure};
use crate::limits;
use crate::pin::{Difference, Pin, Software};
use crate::policy::Policy;
use crate::provider::ProviderEvidence;
use crate::provider::collateral::{CollateralFetch, check_status};
use crate::provider::exchange::{Dialogue, ExchangeConfig, Step};
use crate::report::Verdict;
use crate::seal::hpke::ExchangeKey;
use crate::wire::base64;

/// Where the provider publishes manifests.
const CDN: &str = "https://cdn.confidential.cloud";
/// Longest model id that is asked for.
const MODEL_MAX_BYTES: usize = 256;

/// What the next step needs.
#[derive(Debug)]
enum State {
    Manifest,
    Attestation,
    /// The answer is there: is something missing to judge it?
    Judge,
    /// From AMD: requests that are still to be made, the next one last.
    Amd(Vec<HttpRequest>),
    /// From Intel.
    Intel(CollateralFetch),
    Secret,
    Appraise,
    Done,
}

/// Verification of one Privatemode deployment.
pub(crate) struct PrivatemodeExchange {
    config: ExchangeConfig,
    base: BaseUrl,
    nonce: [u8; 32],
    key: Option<ExchangeKey>,
    public_key: Vec<u8>,
    state: State,
    manifest: Vec<u8>,
    origin: ManifestOrigin,
    response: Vec<u8>,
    /// What was fetched, from AMD and from Intel, and whether that was tried.
    endorsements: Option<SnpEndorsements>,
    collateral: Vec<TdxCollateral>,
    asked: bool,
    /// What AMD answered earlier, and what of this was fetched now.
    at_hand: Vec<SnpEndorsements>,
    fetched: Option<SnpEndorsements>,
    /// Why it could not be had; the appraisal then ends as indeterminate.
    collateral_failure: Option<Error>,
    /// When the key exchange was asked for, and its answer.
    asked_at: u64,
    answer: Option<Vec<u8>>,
    /// An error that ends the exchange, whatever the evidence.
    failure: Option<Error>,
    pin: Option<Pin>,
    software: Option<Software>,
    differences: Vec<Difference>,
    used: Option<(ProviderEvidence, u64)>,
}

impl std::fmt::Debug for PrivatemodeExchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PrivatemodeExchange").field("state", &self.state).finish_non_exhaustive()
    }
}

impl PrivatemodeExchange {
    pub fn new(config: ExchangeConfig, rng: &mut dyn SecureRandom) -> Result<PrivatemodeExchange> {
        let printable = config.model.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if config.model.is_empty() || config.model.len() > MODEL_MAX_BYTES || !printable {
            let expected = "1 to 256 printable ASCII characters";
            return Err(Error::new(Code::InvalidArgument).at("model").expected(expected));
        }
        let base = match &config.base_url {
            Some(url) => url.clone(),
            None => BaseUrl::parse(config.provider.default_base_url())?,
        };
        let mut nonce = [0; 32];
        rng.fill(&mut nonce)?;
        let key = ExchangeKey::generate(rng)?;
        let (state, manifest, origin) = match &config.privatemode.manifest {
            Some(manifest) => (State::Attestation, manifest.clone(), ManifestOrigin::Given),
            None => (State::Manifest, Vec::new(), ManifestOrigin::Provider),
        };
        Ok(PrivatemodeExchange {
            public_key: key.public_key().to_vec(),
            key: Some(key),
            config,
            base,
            nonce,
            state,
            manifest,
            origin,
            response: Vec::new(),
            endorsements: None,
            collateral: Vec::new(),
            asked: false,
            at_hand: Vec::new(),
            fetched: None,
            collateral_failure: None,
            asked_at: 0,
            answer: None,
            failure: None,
            pin: None,
            software: None,
            differences: Vec::new(),
            used: None,
        })
    }

    fn manifest_request(&self, at: u64) -> HttpRequest {
        // A simulator on this machine serves everything.
        let own = self.base.is_plain_http().then_some(self.base.as_str());
        let host = self.config.privatemode.manifest_url.as_ref().map(BaseUrl::as_str).or(own).unwrap_or(CDN);
        let milliseconds = at.saturating_mul(1000);
        let url = format!("{host}/privatemode/v2/manifest.json?t={milliseconds}");
        HttpRequest::new(Method::Get, url, "manifest", limits::CONTRAST_MANIFEST_MAX_BYTES)
            .header("accept", "application/json")
            .header("accept-encoding", "identity")
    }

    /// The API key goes to the provider's base URL only (threats T47).
    fn service_request(&self, path: &str, purpose: &'static str, limit: usize, body: String) -> HttpRequest {
        let url = format!("{}/privatemode/v1/{path}", self.base.as_str());
        HttpRequest::new(Method::Post, url, purpose, limit)
            .secret_header("authorization", format!("Bearer {}", self.config.api_key.expose()))
            .header("privatemode-version", self.config.privatemode.version.as_str())
            .header("accept", "application/json")
            .header("accept-encoding", "identity")
            .with_body(body.into_bytes())
    }

    fn attestation_request(&self) -> HttpRequest {
        let body = format!("{{\"Nonce\":\"{}\"}}", base64::encode(&self.nonce));
        self.service_request("attest", "attestation", limits::CONTRAST_ANSWER_MAX_BYTES, body)
    }

    fn secret_request(&self) -> HttpRequest {
        let body = format!("{{\"PublicKey\":\"{}\"}}", base64::encode(&self.public_key));
        self.service_request("secret", "key exchange", limits::SECRET_ANSWER_MAX_BYTES, body)
    }

    /// Lets go of collateral at hand that is not for the coordinator's platform: it stands for other providers' machines too.
    fn sort_out(&mut self, at: u64) {
        let platform = match ContrastDocument::from_answer(&self.response).map(|document| document.hardware) {
            Ok(ContrastHardware::Tdx(quote)) => Quote::parse(&quote).and_then(|quote| quote.platform()).ok(),
            _ => None,
        };
        let roots = &self.config.roots;
        let fits = |raw: &TdxCollateral| {
            platform.as_ref().is_some_and(|platform| {
                VerifiedCollateral::verify_or_recall(raw, roots, at)
                    .is_ok_and(|held| *held.fmspc() == platform.fmspc && held.ca_kind() == platform.ca)
            })
        };
        self.config.collateral.retain(fits);
        // Newest first.
        self.config.collateral.truncate(1);
    }

    /// What comes after the attestation answer, or after what was fetched for it.
    fn decide(&mut self, at: u64) -> State {
        if !self.asked {
            self.sort_out(at);
        }
        let evidence = self.evidence_now();
        match verify(&self.input(&evidence, at, None)) {
            Ok(_) => {
                self.asked_at = at;
                State::Secret
            }
            Err(error) if error.code().class() == Class::Indeterminate && !self.asked => {
                self.asked = true;
                match self.fetch(at) {
                    Some(state) => state,
                    // All of it was at hand.
                    None if self.endorsements.is_some() => self.decide(at),
                    None => State::Appraise,
                }
            }
            Err(_) => State::Appraise,
        }
    }

    /// What is missing to judge the document and not at hand, if it can be asked for.
    fn fetch(&mut self, at: u64) -> Option<State> {
        let document = ContrastDocument::from_answer(&self.response).ok()?;
        let need = needs(&document, &self.config.roots, at).ok()?;
        let kept = choose(&need, &self.at_hand, &self.config.roots, at);
        let (has_vcek, has_list) = (kept.vcek.is_some(), kept.crl.is_some());
        self.endorsements = (has_vcek || has_list).then_some(kept);
        match need {
            Need::Tdx { platform, .. } => Some(State::Intel(CollateralFetch::new(&platform))),
            Need::Snp { requests, vcek, crl, .. } => {
                let (_, list, chip) = requests.http(self.config.privatemode.amd_url.as_ref());
                let mut wanted = Vec::new();
                wanted.extend(chip.filter(|_| vcek && !has_vcek));
                wanted.extend((crl && !has_list).then_some(list));
                (!wanted.is_empty()).then_some(State::Amd(wanted))
            }
        }
    }

    fn accept(&mut self, response: HttpResponse) -> Result<()> {
        response.head().check_plain()?;
        match &mut self.state {
            State::Manifest => {
                check_status(&response, Code::ManifestUnreachable, "manifest")?;
                bounded(response.body(), limits::CONTRAST_MANIFEST_MAX_BYTES, "manifest")?;
                // What is no manifest is not asked about: somebody else answered, a captive portal for instance.
                Manifest::parse(response.body())?;
                self.manifest = response.body().to_vec();
                self.state = State::Attestation;
            }
            State::Attestation => {
                check_status(&response, Code::AttestationUnavailable, "coordinator attestation")?;
                bounded(response.body(), limits::CONTRAST_ANSWER_MAX_BYTES, "attestation response")?;
                self.response = response.body().to_vec();
                self.state = State::Judge;
            }
            State::Amd(wanted) => {
                check_status(&response, Code::CollateralUnreachable, "collateral")?;
                self.endorsements.get_or_insert_default().add_file(response.body())?;
                self.fetched.get_or_insert_default().add_file(response.body())?;
                wanted.pop();
                if wanted.is_empty() {
                    self.state = State::Judge;
                }
            }
            State::Intel(fetch) => {
                if let Some(collateral) = fetch.take(response)? {
                    self.collateral.push(collateral);
                    self.state = State::Judge;
                }
            }
            State::Secret => {
                check_status(&response, Code::SecretUnreachable, "key exchange")?;
                bounded(response.body(), limits::SECRET_ANSWER_MAX_BYTES, "key exchange")?;
                self.answer = Some(response.body().to_vec());
                self.state = State::Appraise;
            }
            State::Judge | State::Appraise | State::Done => return Err(Error::new(Code::OutOfOrder)),
        }
        Ok(())
    }

    /// Trouble with collateral leaves the appraisal to say what is missing; everything else ends the exchange.
    fn end_or_note(&mut self, error: Error) {
        if matches!(self.state, State::Amd(_) | State::Intel(_)) && error.code() != Code::Cancelled {
            self.collateral_failure = Some(error);
            self.state = State::Judge;
        } else {
            self.failure = Some(error);
        }
    }

    fn evidence_now(&self) -> ProviderEvidence {
        let exchange = self.answer.as_ref().map(|answer| CapturedExchange {
            public_key: self.public_key.clone(),
            answer: answer.clone(),
            asked_at: self.asked_at,
        });
        ProviderEvidence {
            provider: self.config.provider,
            model: Some(self.config.model.clone()),
            base_url: self.base.as_str().to_owned(),
            nonce: self.nonce,
            response: self.response.clone(),
            collateral: self.config.collateral.iter().chain(&self.collateral).cloned().collect(),
            collateral_failure: self.collateral_failure.clone(),
            endorsements: Default::default(),
            not_fetched: Default::default(),
            pin: self.pin.clone(),
            privatemode: Some(Box::new(PrivatemodeEvidence {
                manifest: self.manifest.clone(),
                origin: self.origin,
                endorsements: self.endorsements.clone(),
                names: self.config.privatemode.key_service.clone(),
                exchange,
                leniency: self.config.privatemode.leniency(),
            })),
        }
    }

    fn input<'a>(&'a self, evidence: &'a ProviderEvidence, at: u64, recheck: Option<&'a str>) -> Input<'a> {
        let own = evidence.privatemode.as_deref();
        Input {
            model: &self.config.model,
            base_url: self.base.as_str(),
            manifest: &self.manifest,
            origin: self.origin,
            nonce: &self.nonce,
            response: &self.response,
            endorsements: self.endorsements.as_ref(),
            collateral: &evidence.collateral,
            failure: self.collateral_failure.as_ref(),
            exchange: own.and_then(|own| own.exchange.as_ref()).map(KeyExchange::from),
            names: &self.config.privatemode.key_service,
            leniency: self.config.privatemode.leniency(),
            pin: evidence.pin.as_ref(),
            policy: &self.config.policy,
            roots: &self.config.roots,
            at,
            recheck,
        }
    }

    fn conclude(&mut self, at: u64) -> Result<Outcome> {
        let evidence = self.evidence_now();
        let command = recheck(&self.config.roots, at);
        let Appraised { report, accepted, software, differences } =
            appraise(&self.input(&evidence, at, Some(&command)));
        self.used = Some((evidence, at));
        (self.software, self.differences) = (software, differences);
        match accepted {
            Ok((accepted, encapsulated)) => {
                let key = self.key.take().ok_or_else(|| Error::new(Code::Internal))?;
                let id = key.secret_id();
                let secret = key.open(&encapsulated)?;
                let channel = PrivatemodeChannel::new(&self.config, self.base.clone(), secret, id);
                Ok(Outcome::Verified(VerifiedEndpoint::new(accepted, report, Box::new(channel))))
            }
            Err(error) if report.verdict() == Verdict::Refused => Ok(Outcome::Refused(report, error)),
            Err(error) => Ok(Outcome::Indeterminate(report, error)),
        }
    }
}

impl Dialogue for PrivatemodeExchange {
    fn next(&mut self, at: u64) -> Result<Step> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        if matches!(self.state, State::Judge) {
            self.state = self.decide(at);
        }
        match &self.state {
            State::Manifest => Ok(Step::Send(self.manifest_request(at))),
            State::Attestation => Ok(Step::Send(self.attestation_request())),
            State::Amd(wanted) => {
                wanted.last().cloned().map(Step::Send).ok_or_else(|| Error::new(Code::Internal))
            }
            State::Intel(fetch) => Ok(Step::Send(fetch.request(self.config.collateral_url.as_ref()))),
            State::Secret => Ok(Step::Send(self.secret_request())),
            State::Judge | State::Appraise => {
                self.state = State::Done;
                Ok(Step::Done(Box::new(self.conclude(at)?)))
            }
            State::Done => Err(Error::new(Code::OutOfOrder).expected("the outcome only once")),
        }
    }

    fn feed(&mut self, response: HttpResponse) -> Result<()> {
        if let Err(error) = self.accept(response) {
            self.end_or_note(error);
        }
        Ok(())
    }

    fn fail(&mut self, failure: TransportFailure) -> Result<()> {
        let (unreachable, purpose) = match &self.state {
            State::Manifest => (Code::ManifestUnreachable, "manifest"),
            State::Attestation => (Code::AttestationUnreachable, "attestation"),
            State::Amd(_) | State::Intel(_) => (Code::CollateralUnreachable, "collateral"),
            State::Secret => (Code::SecretUnreachable, "key exchange"),
            State::Judge | State::Appraise | State::Done => return Err(Error::new(Code::OutOfOrder)),
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
        &self.collateral
    }

    fn set_snp_endorsements(&mut self, at_hand: Vec<SnpEndorsements>) {
        self.at_hand = at_hand;
    }

    fn fetched_snp_endorsements(&self) -> Option<&SnpEndorsements> {
        self.fetched.as_ref()
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

fn bounded(body: &[u8], limit: usize, name: &str) -> Result<()> {
    if body.len() > limit { Err(Error::new(Code::LimitExceeded).at(name)) } else { Ok(()) }
}
