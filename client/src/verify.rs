//! Drives the core's exchange to a verdict: sends what it asks for, hands back what came, tries anew with a new challenge when the
//! provider's attestation service is busy (venice.md 2.1), and ends within the time given for a whole verification.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use proveil_core::bundle::{Evidence, EvidenceBundle};
use proveil_core::endpoint::Outcome;
use proveil_core::evidence::{GpuEndorsements, TdxCollateral};
use proveil_core::http::{BaseUrl, HttpRequest, HttpResponse, TransportFailure};
use proveil_core::limits::ATTESTATION_ATTEMPTS;
use proveil_core::pin::{Difference, Pin, PinKey, Software};
use proveil_core::provider::{Exchange, ExchangeConfig, Step};
use proveil_core::provider::{Provider, privatemode};
use proveil_core::{Code, Error, Result};
use tokio::time::Instant;

use crate::amd::AmdShelf;
use crate::clock::Clock;
use crate::collateral::CollateralShelf;
use crate::config::ClientConfig;
use crate::endorsements::EndorsementShelf;
use crate::manifests::ManifestLog;
use crate::notice::{Notice, Observer};
use crate::random::OsRandom;
use crate::transport::{Outgoing, Transport};

/// One request of a verification (threats section 5).
const FETCH_MAX: Duration = Duration::from_secs(20);
/// How long a model list is believed.
const MODEL_LIST_MAX_AGE: Duration = Duration::from_secs(3600);
/// Steps of one exchange; far more than any real one takes.
const STEPS_MAX: usize = 256;
/// Longest pause that a provider can ask for; a longer one is reported instead of waited for.
const RETRY_AFTER_MAX_S: u64 = 10;

/// How long the pauses between attempts are. Tests take them away.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    second: Duration,
}

impl Pace {
    pub(crate) const NORMAL: Pace = Pace { second: Duration::from_secs(1) };
    #[cfg(test)]
    pub(crate) const NONE: Pace = Pace { second: Duration::ZERO };

    /// Waits for `seconds`.
    pub(crate) async fn pause(self, seconds: u64) {
        tokio::time::sleep(self.lasting(Duration::from_secs(seconds))).await;
    }

    /// How long a pause is where a second lasts so long.
    pub(crate) fn lasting(self, pause: Duration) -> Duration {
        let ms = u32::try_from(pause.as_millis()).unwrap_or(u32::MAX);
        self.second.saturating_mul(ms).checked_div(1000).unwrap_or_default()
    }
}

/// The pause before another attempt: what the provider asks for, else `usual`; `None` when it asks for too much.
pub(crate) fn retry_pause_s(retry_after: Option<&str>, usual: u64) -> Option<u64> {
    // The other form of the header, a date, would bring the provider's clock in; the usual pause does instead.
    match retry_after.and_then(|value| value.trim().parse::<u64>().ok()) {
        None => Some(usual),
        Some(seconds) if seconds <= RETRY_AFTER_MAX_S => Some(seconds.max(usual)),
        Some(_) => None,
    }
}

/// Verifies one provider's endpoints by one set of rules.
pub(crate) struct Verifier {
    pub(crate) config: Arc<ClientConfig>,
    pub(crate) transport: Arc<Transport>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) pace: Pace,
    pub(crate) observer: Observer,
    pub(crate) collateral: Arc<CollateralShelf>,
    pub(crate) endorsements: Arc<EndorsementShelf>,
    pub(crate) amd: Arc<AmdShelf>,
    pub(crate) manifests: Arc<ManifestLog>,
    pub(crate) models: ModelListCache,
}

/// What a verification came to.
pub(crate) struct Appraised {
    pub(crate) outcome: Outcome,
    /// What the endpoint was pinned to.
    pub(crate) pin: Option<Pin>,
    /// What it runs, when nothing, or nothing but the pin, is against it.
    pub(crate) software: Option<Software>,
    /// Where that differs from the pin.
    pub(crate) differences: Vec<Difference>,
    /// Everything that it used.
    pub(crate) bundle: EvidenceBundle,
}

/// What one attempt came to.
struct Attempt {
    result: Result<Appraised>,
    /// Pause before the next attempt, when there should be one.
    retry_in_s: Option<u64>,
}

impl Verifier {
    /// A fresh verification: three kinds of outcome, or an error when there is nothing to judge.
    pub(crate) async fn verify(&self, model: &str) -> Result<Outcome> {
        Ok(self.observe(model).await?.outcome)
    }

    /// The same, with what the endpoint runs.
    pub(crate) async fn observe(&self, model: &str) -> Result<Appraised> {
        let span = Duration::from_secs(self.config.timeouts.verification_s);
        let deadline = Instant::now().checked_add(span).ok_or_else(|| Error::new(Code::Internal))?;
        let mut number: u32 = 1;
        loop {
            let attempt = self.attempt(model, deadline, number).await;
            let Some(pause) = attempt.retry_in_s.filter(|_| number < ATTESTATION_ATTEMPTS) else {
                return attempt.result;
            };
            if deadline.saturating_duration_since(Instant::now()) <= Duration::from_secs(pause) {
                return attempt.result;
            }
            (self.observer)(&Notice::Retrying { why: "evidence could not be had" });
            self.pace.pause(pause).await;
            number = number.saturating_add(1);
        }
    }

    async fn attempt(&self, model: &str, deadline: Instant, number: u32) -> Attempt {
        let mut trouble = Trouble::default();
        let result = self.converse(model, deadline, &mut trouble).await;
        let error = match result.as_ref().map(|appraised| &appraised.outcome) {
            Ok(Outcome::Verified(_) | Outcome::Refused(..)) => None,
            Ok(Outcome::Indeterminate(_, error)) | Err(error) => Some(error),
        };
        let busy = error.is_some_and(is_busy) && !trouble.timed_out;
        let usual = 1_u64.checked_shl(number.saturating_sub(1)).unwrap_or(RETRY_AFTER_MAX_S);
        let retry_in_s = if busy { retry_pause_s(trouble.retry_after.as_deref(), usual) } else { None };
        Attempt { result, retry_in_s }
    }

    /// One exchange, and what is to be remembered of it.
    async fn converse(&self, model: &str, deadline: Instant, trouble: &mut Trouble) -> Result<Appraised> {
        let pin = self.pin(model).await?;
        let collateral = self.collateral.take_stock(self.clock.unix_s()?).await;
        let endorsements = self.endorsements.take_stock(&self.config.policy, self.clock.monotonic()).await;
        let mut exchange = self.exchange(model, collateral, endorsements)?;
        if let Some(pin) = &pin {
            exchange = exchange.pinned(pin.clone());
        }
        if self.config.provider == Provider::Privatemode {
            exchange = exchange.with_snp_endorsements(self.amd.take_stock(self.clock.unix_s()?).await);
        }
        let result = self.drive(&mut exchange, deadline, trouble).await;
        if let Some(list) = exchange.fetched_model_list() {
            self.models.put(list, self.clock.monotonic());
        }
        if let Ok(Outcome::Verified(endpoint)) = &result {
            let kept = self.collateral.add(exchange.fetched_collateral(), self.clock.unix_s()?).await;
            kept.map_err(|error| error.with_report_json(endpoint.report().to_json()))?;
            let fetched = exchange.fetched_endorsements();
            let moment = (self.clock.unix_s()?, self.clock.monotonic());
            self.endorsements.add(fetched, endpoint.report(), moment).await;
            if let Some(fetched) = exchange.fetched_snp_endorsements() {
                self.amd.add(fetched, self.clock.unix_s()?).await;
            }
        }
        let outcome = result?;
        let bundle =
            EvidenceBundle::of_exchange(&exchange).ok_or_else(|| Error::new(Code::Internal).at("capture"))?;
        let software = exchange.software().cloned();
        // Where only the pin is against it, what it runs is proven all the same.
        if let (true, Some(manifest)) = (software.is_some(), manifest_of(&bundle)) {
            self.manifests.see(manifest, self.clock.unix_s()?).await;
        }
        Ok(Appraised { outcome, pin, software, differences: exchange.differences().to_vec(), bundle })
    }

    /// The pin of a model's endpoint. A store that cannot say whether there is one ends the verification.
    async fn pin(&self, model: &str) -> Result<Option<Pin>> {
        let Some(pins) = self.config.pins.clone() else { return Ok(None) };
        let key = self.pin_key(model);
        let read = tokio::task::spawn_blocking(move || pins.get(&key)).await;
        read.map_err(|_| Error::new(Code::Internal).at("pins"))?
    }

    /// What a pin of a model is for.
    pub(crate) fn pin_key(&self, model: &str) -> PinKey {
        let base_url = self.config.base_url.as_ref().map(BaseUrl::as_str);
        PinKey {
            provider: self.config.provider.name().to_owned(),
            model: model.to_owned(),
            base_url: base_url.unwrap_or(self.config.provider.default_base_url()).to_owned(),
        }
    }

    fn exchange(
        &self,
        model: &str,
        collateral: Vec<TdxCollateral>,
        endorsements: Vec<GpuEndorsements>,
    ) -> Result<Exchange> {
        let list = self.models.get(self.clock.monotonic());
        let config = |list: Option<Vec<u8>>| ExchangeConfig {
            provider: self.config.provider,
            model: model.to_owned(),
            base_url: self.config.base_url.clone(),
            collateral_url: self.config.collateral_url.clone(),
            api_key: self.config.api_key.duplicate(),
            policy: self.config.policy.clone(),
            roots: self.config.roots.clone(),
            collateral: collateral.clone(),
            endorsements: endorsements.clone(),
            nvidia_url: self.config.nvidia_url.clone(),
            model_list: list,
            privatemode: self.config.privatemode.clone(),
        };
        let remembered = list.is_some();
        match Exchange::new(config(list), &mut OsRandom) {
            // The list is up to an hour old: the model may be new.
            Err(_) if remembered => Exchange::new(config(None), &mut OsRandom),
            other => other,
        }
    }

    async fn drive(
        &self,
        exchange: &mut Exchange,
        deadline: Instant,
        trouble: &mut Trouble,
    ) -> Result<Outcome> {
        for _ in 0..STEPS_MAX {
            match exchange.next(self.clock.unix_s()?)? {
                Step::Done(outcome) => return Ok(*outcome),
                Step::Send(request) => match self.fetch(&request, deadline).await {
                    Ok(response) => {
                        trouble.retry_after = response.head().header("retry-after").map(str::to_owned);
                        exchange.feed(response)?;
                    }
                    Err(failure) => {
                        trouble.timed_out = failure == TransportFailure::Timeout;
                        exchange.fail(failure)?;
                    }
                },
            }
        }
        Err(Error::new(Code::Internal).at("exchange").expected(format!("at most {STEPS_MAX} steps")))
    }

    async fn fetch(
        &self,
        request: &HttpRequest,
        deadline: Instant,
    ) -> Result<HttpResponse, TransportFailure> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(TransportFailure::Timeout);
        }
        (self.observer)(&Notice::Sending(request.purpose()));
        self.transport.fetch(&Outgoing::from(request), left.min(FETCH_MAX)).await
    }

    /// The provider's model list as it is now.
    pub(crate) async fn model_list(&self) -> Result<Vec<u8>> {
        if self.config.provider == Provider::Privatemode {
            return self.clear_model_list().await;
        }
        // The first request of any exchange is the one for the list. The model of this one is never looked at.
        let config = ExchangeConfig {
            provider: self.config.provider,
            model: "any".to_owned(),
            base_url: self.config.base_url.clone(),
            collateral_url: None,
            api_key: self.config.api_key.duplicate(),
            policy: self.config.policy.clone(),
            roots: self.config.roots.clone(),
            collateral: Vec::new(),
            endorsements: Vec::new(),
            nvidia_url: None,
            model_list: None,
            privatemode: self.config.privatemode.clone(),
        };
        let mut exchange = Exchange::new(config, &mut OsRandom)?;
        let deadline = Instant::now().checked_add(FETCH_MAX).ok_or_else(|| Error::new(Code::Internal))?;
        if let Step::Send(request) = exchange.next(self.clock.unix_s()?)? {
            match self.fetch(&request, deadline).await {
                Ok(response) => exchange.feed(response)?,
                Err(failure) => exchange.fail(failure)?,
            }
        }
        if let Some(list) = exchange.fetched_model_list() {
            self.models.put(list, self.clock.monotonic());
            return Ok(list.to_vec());
        }
        match exchange.next(self.clock.unix_s()?) {
            Err(error) => Err(error),
            Ok(_) => Err(Error::new(Code::Internal).at("model list")),
        }
    }
}

impl Verifier {
    /// A list that has nothing to do with a verification.
    async fn clear_model_list(&self) -> Result<Vec<u8>> {
        let config = &self.config;
        let request = privatemode::models_request(
            config.base_url.as_ref(),
            &config.api_key,
            &config.privatemode,
            self.clock.unix_s()?,
            &mut OsRandom,
        )?;
        let deadline = Instant::now().checked_add(FETCH_MAX).ok_or_else(|| Error::new(Code::Internal))?;
        match self.fetch(&request, deadline).await {
            Ok(response) => privatemode::accept_models(&response),
            Err(failure) => Err(failure.error(Code::ModelsUnreachable, request.purpose())),
        }
    }
}

/// What happened to the last request.
#[derive(Default)]
struct Trouble {
    timed_out: bool,
    retry_after: Option<String>,
}

/// The manifest that a Privatemode deployment was judged by.
fn manifest_of(bundle: &EvidenceBundle) -> Option<&[u8]> {
    let Evidence::Provider(evidence) = bundle.evidence() else { return None };
    evidence.privatemode.as_deref().map(|own| own.manifest.as_slice())
}

/// Causes that another attempt may get over.
fn is_busy(error: &Error) -> bool {
    matches!(
        error.code(),
        Code::AttestationUnavailable
            | Code::AttestationUnreachable
            | Code::ModelsUnreachable
            | Code::CollateralUnreachable
            | Code::ManifestUnreachable
            | Code::SecretUnreachable
    )
}

/// The last model list, believed for at most an hour.
#[derive(Default)]
pub(crate) struct ModelListCache(Mutex<Option<(Duration, Vec<u8>)>>);

impl ModelListCache {
    fn get(&self, now: Duration) -> Option<Vec<u8>> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let young = |at: Duration| now.saturating_sub(at) < MODEL_LIST_MAX_AGE;
        held.as_ref().filter(|(at, _)| young(*at)).map(|(_, list)| list.clone())
    }

    fn put(&self, list: &[u8], now: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, list.to_vec()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_in_a_test_take_no_time() {
        for ms in [0, 50, 1000, 90_000] {
            let pause = Duration::from_millis(ms);
            assert_eq!((Pace::NORMAL.lasting(pause), Pace::NONE.lasting(pause)), (pause, Duration::ZERO));
        }
    }

    #[test]
    fn pauses_are_bounded() {
        let cases = [
            (None, Some(2)),
            (Some("0"), Some(2)),
            (Some(" 7 "), Some(7)),
            (Some("10"), Some(10)),
            (Some("11"), None),
            (Some("99999999999999999999"), Some(2)),
            (Some("Wed, 21 Oct 2026 07:28:00 GMT"), Some(2)),
            (Some("-1"), Some(2)),
        ];
        for (header, expected) in cases {
            assert_eq!(retry_pause_s(header, 2), expected, "{header:?}");
        }
    }

    #[test]
    fn a_model_list_ages() {
        let cache = ModelListCache::default();
        assert_eq!(cache.get(Duration::ZERO), None);
        cache.put(b"list", Duration::from_secs(5));
        assert_eq!(cache.get(Duration::from_secs(3604)).as_deref(), Some(b"list".as_slice()));
        assert_eq!(cache.get(Duration::from_secs(3605)), None);
    }
}
