//! The handle that applications hold.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt;
use proveil_core::bundle::EvidenceBundle;
use proveil_core::endpoint::{ApiRequest, Outcome, VerifiedEndpoint};
use proveil_core::http::{BaseUrl, Method, TlsRule};
use proveil_core::openai::ApiEndpoint;
use proveil_core::pin::{Difference, Pin, Software};
use proveil_core::report::Report;
use proveil_core::wire::hex;
use proveil_core::{Class, Code, Error, Result};

use crate::amd::AmdShelf;
use crate::chat;
use crate::clock::{Clock, SystemClock};
use crate::collateral::CollateralShelf;
use crate::config::ClientConfig;
use crate::endorsements::EndorsementShelf;
use crate::manifests::ManifestLog;
use crate::models;
use crate::notice::{self, Observer};
use crate::proofs::ProofCache;
use crate::stream::Stream;
use crate::transport::{Outgoing, Payload, Transport};
use crate::verify::{Appraised, ModelListCache, Pace, Verifier};

/// Verifies a provider's endpoints and chats with them. A cheap handle: clones share connections and proofs. Making one opens no
/// socket and starts no thread; its async methods must run inside a tokio runtime with I/O and time enabled.
///
/// ```compile_fail
/// let client = proveil::Client::default();
/// ```
#[derive(Clone)]
pub struct Client {
    first: Arc<Lineage>,
}

/// What a verification found an endpoint to run, beside its pin.
#[derive(Debug)]
pub struct Measured {
    /// The report of the verification. With other software than the pinned one it is `refused`.
    pub report: Report,
    /// The error behind a report that is not `verified`.
    pub result: Result<()>,
    /// What the endpoint is pinned to.
    pub pinned: Option<Pin>,
    /// What it runs; absent when more than the pin is against it, so that there is nothing to accept.
    pub software: Option<Software>,
    /// Where the two differ.
    pub differences: Vec<Difference>,
}

/// A verification with everything that it used.
#[derive(Clone, Debug)]
pub struct Capture {
    /// To be kept: see [`EvidenceBundle::to_json`] and [`EvidenceBundle::to_files`].
    pub bundle: EvidenceBundle,
    /// What was found.
    pub report: Report,
    /// The error that [`Client::ready`] would end with, when the verdict is not `verified`.
    pub result: Result<()>,
}

/// What the methods work with.
pub(crate) struct Inner {
    pub(crate) verifier: Verifier,
    pub(crate) proofs: Arc<ProofCache<VerifiedEndpoint>>,
}

/// What a process started with, and what its forked child made for itself. A child must not use its parent's connections: both
/// would write into the same TLS stream (threats T63). It starts afresh, without a lock that the parent could have held.
struct Lineage {
    process: u32,
    inner: Arc<Inner>,
    child: OnceLock<Result<Arc<Lineage>>>,
}

#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) config: Arc<ClientConfig>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) pace: Pace,
    pub(crate) observer: Observer,
}

impl Client {
    /// Checks the settings. Fails with `config_invalid`.
    pub fn new(config: ClientConfig) -> Result<Client> {
        Client::observed(config, notice::silent())
    }

    /// As [`Client::new`], with somebody who is told what the client does.
    pub fn observed(config: ClientConfig, observer: Observer) -> Result<Client> {
        let clock = Arc::new(SystemClock::new());
        Client::with_setup(Setup { config: Arc::new(config), clock, pace: Pace::NORMAL, observer })
    }

    pub(crate) fn with_setup(setup: Setup) -> Result<Client> {
        setup.config.timeouts.check()?;
        Ok(Client { first: Arc::new(Lineage::new(std::process::id(), &setup)?) })
    }

    /// The provider's models: `{"models":[{"id":"...","class":"e2ee","context_tokens":32000}]}`, where `class` is `e2ee`, `tee`,
    /// `private`, `anonymous` or `unknown`, and `context_tokens` is there when the provider says so. Nothing of it is authenticated.
    pub async fn models_json(&self) -> Result<String> {
        let inner = self.inner()?;
        models::describe(inner.verifier.config.provider, &inner.verifier.model_list().await?)
    }

    /// Verifies a model's endpoint now, whatever is cached. All three verdicts are a report. An error means that there was nothing to
    /// judge: an argument or setting that cannot be used (1xx, with pins that cannot be read), a provider whose model list, manifest,
    /// attestation or key exchange could not be fetched (3xx), or one that answered with an error (5xx). A verified endpoint is kept
    /// for [`Client::ready`].
    pub async fn verify(&self, model: &str) -> Result<Report> {
        Ok(self.appraise(model).await?.0)
    }

    /// As [`Client::verify`], with the error that [`Client::ready`] would end with beside a report that is not `verified`.
    pub async fn appraise(&self, model: &str) -> Result<(Report, Result<()>)> {
        let inner = self.inner()?;
        let outcome = inner.verifier.observe(model).await?.outcome;
        settle(&inner, model, outcome)
    }

    /// As [`Client::appraise`], with everything that the appraisal used, whatever its verdict: judged again it gives the same report,
    /// byte for byte, without network.
    pub async fn capture(&self, model: &str) -> Result<Capture> {
        let inner = self.inner()?;
        let Appraised { outcome, bundle, .. } = inner.verifier.observe(model).await?;
        let (report, result) = settle(&inner, model, outcome)?;
        Ok(Capture { bundle, report, result })
    }

    /// Verifies a model's endpoint now, and says what it runs beside its pin. See [`Client::pin`] and [`Client::accept_pin`].
    pub async fn measure(&self, model: &str) -> Result<Measured> {
        self.inner()?.measure(model).await
    }

    /// Verifies a model's endpoint now and pins what it runs; a pin that is there already stays. Fails with `software_changed` when it
    /// runs something else than its pin, and with the error of the verification when that did not succeed.
    pub async fn pin(&self, model: &str) -> Result<Pin> {
        let inner = self.inner()?;
        let measured = inner.measure(model).await?;
        match (measured.result, measured.pinned, measured.software) {
            (Ok(()), Some(pin), _) => Ok(pin),
            (_, None, Some(software)) => inner.keep_pin(model, &measured.report, software).await,
            (Err(error), ..) => Err(error),
            (Ok(()), None, None) => Err(Error::new(Code::Internal).at("pin")),
        }
    }

    /// Verifies a model's endpoint now and pins what it runs in the place of an earlier pin, if its digest
    /// ([`Software::sha256`](proveil_core::pin::Software::sha256)) is the one that somebody looked at. Everything but the pin must be
    /// right. Fails with `software_changed` for another digest.
    pub async fn accept_pin(&self, model: &str, sha256: &[u8; 32]) -> Result<Pin> {
        let inner = self.inner()?;
        let measured = inner.measure(model).await?;
        match measured.software {
            Some(software) if software.sha256() == *sha256 => {
                inner.keep_pin(model, &measured.report, software).await
            }
            Some(software) => Err(Error::new(Code::SoftwareChanged)
                .at("software.pin")
                .expected(hex::short(sha256))
                .found(hex::short(&software.sha256()))
                .context("It is not the software that was to be accepted.")
                .with_report_json(measured.report.to_json())),
            None => Err(measured.result.err().unwrap_or_else(|| Error::new(Code::Internal).at("pin"))),
        }
    }

    /// A proven endpoint, from the cache while its proof holds. All callers that wait for the same verification share its result.
    /// An error carries the report, when there is one.
    pub async fn ready(&self, model: &str) -> Result<Arc<VerifiedEndpoint>> {
        self.inner()?.ready(model).await
    }

    /// Verifies if needed, seals the request and sends it. `body` is one JSON object in the OpenAI chat form, with `model`. Returns
    /// when the head of the answer is there. What cannot be encrypted is refused (1xx) and not sent. What an answer says besides texts
    /// (calls of tools, refusals, log probabilities) comes as [`Event::Document`](proveil_core::endpoint::Event::Document), before its texts.
    ///
    /// When the provider does not know the proven key any more, the endpoint is verified again and the request sealed and sent anew,
    /// once; a connection that could not be made, 429 and 5xx are also tried once more, and with Privatemode a connection that was
    /// reset before the first byte of an answer.
    pub async fn chat(&self, body: &[u8]) -> Result<Stream> {
        chat::start(&self.inner()?, &ApiRequest::chat(body)).await
    }

    /// As [`Client::chat`], for any endpoint of the API that the provider carries sealed (embeddings, transcriptions, messages,
    /// documents, ...). The answer comes as [`Event::Document`](proveil_core::endpoint::Event::Document). Fails with
    /// `unsupported_endpoint` where the provider does not.
    pub async fn send(&self, request: &ApiRequest<'_>) -> Result<Stream> {
        chat::start(&self.inner()?, request).await
    }

    /// Embeds texts: `body` is one JSON object in the OpenAI form, with `model` and `input`. Gives the whole answer as JSON. Fails as
    /// [`Client::send`] and [`Stream::document`] do.
    pub async fn embeddings(&self, body: &[u8]) -> Result<String> {
        self.send(&ApiRequest::new(ApiEndpoint::Embeddings, None, body)).await?.document().await
    }

    /// Transcribes a recording: `body` is a form (`multipart/form-data`) in the OpenAI form, with `model` and `file`, and
    /// `content_type` names its boundary. Gives the whole answer as JSON. Fails as [`Client::send`] and [`Stream::document`] do.
    pub async fn transcriptions(&self, body: &[u8], content_type: &str) -> Result<String> {
        let request = ApiRequest::new(ApiEndpoint::Transcriptions, Some(content_type), body);
        self.send(&request).await?.document().await
    }

    /// Asks whether a host answers at all, by the ways that this client would go to it: the HTTP status of a GET without any header, so
    /// that no key is sent. Whatever the status is, name resolution, connection and TLS work. Fails with `connection_failed` after the
    /// time for a connection.
    pub async fn probe(&self, url: &BaseUrl) -> Result<u16> {
        let verifier = &self.inner()?.verifier;
        let out = Outgoing {
            method: Method::Get,
            url: url.as_str(),
            headers: Vec::new(),
            body: Payload::Whole(bytes::Bytes::new()),
            tls: &TlsRule::PublicCa,
            max_response_bytes: usize::MAX,
        };
        let longest = Duration::from_secs(verifier.config.timeouts.connect_s);
        match verifier.transport.open(&out, longest).await {
            Ok(incoming) => Ok(incoming.head.status()),
            Err(unopened) => Err(unopened.failure.error(Code::ConnectionFailed, url.as_str())),
        }
    }

    /// What belongs to this process.
    fn inner(&self) -> Result<Arc<Inner>> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(
                Error::new(Code::OutOfOrder).context("Async methods must be called inside a tokio runtime.")
            );
        }
        self.first.inner_of(std::process::id())
    }
}

/// Keeps a proof, and says what the verdict is.
fn settle(inner: &Inner, model: &str, outcome: Outcome) -> Result<(Report, Result<()>)> {
    Ok(match outcome {
        Outcome::Verified(endpoint) => (inner.proofs.put(model, endpoint)?.report().clone(), Ok(())),
        Outcome::Refused(report, error) | Outcome::Indeterminate(report, error) => {
            inner.forget_refused(model, &error);
            (report, Err(error))
        }
    })
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.first.inner.verifier.config).finish()
    }
}

impl Lineage {
    fn new(process: u32, setup: &Setup) -> Result<Lineage> {
        let inner = Arc::new(Inner::new(setup)?);
        Ok(Lineage { process, inner, child: OnceLock::new() })
    }

    fn inner_of(&self, process: u32) -> Result<Arc<Inner>> {
        if self.process == process {
            return Ok(self.inner.clone());
        }
        let child =
            self.child.get_or_init(|| Lineage::new(process, &self.inner.verifier.setup()).map(Arc::new));
        child.as_ref().map_err(Error::clone)?.inner_of(process)
    }
}

impl Drop for Lineage {
    fn drop(&mut self) {
        // Connections of a parent are left alone, with the locks that its threads may have held at the fork.
        if self.process != std::process::id() {
            std::mem::forget(self.inner.clone());
        }
    }
}

impl Inner {
    fn new(setup: &Setup) -> Result<Inner> {
        let config = setup.config.clone();
        let transport =
            Transport::new(config.ca_bundle_pem.as_deref(), &config.proxy, config.timeouts.connect_s)?;
        let collateral =
            CollateralShelf::new(config.cache_dir.clone(), config.roots.clone(), setup.observer.clone());
        let endorsements =
            EndorsementShelf::new(config.cache_dir.clone(), config.roots.clone(), setup.observer.clone());
        let amd = AmdShelf::new(config.cache_dir.clone(), config.roots.clone(), setup.observer.clone());
        let manifests =
            ManifestLog::new(config.workspace.clone(), config.roots.is_custom(), setup.observer.clone());
        Ok(Inner {
            verifier: Verifier {
                config,
                transport: Arc::new(transport),
                clock: setup.clock.clone(),
                pace: setup.pace,
                observer: setup.observer.clone(),
                collateral: Arc::new(collateral),
                endorsements: Arc::new(endorsements),
                amd: Arc::new(amd),
                manifests: Arc::new(manifests),
                models: ModelListCache::default(),
            },
            proofs: Arc::new(ProofCache::new(setup.clock.clone())),
        })
    }

    async fn measure(&self, model: &str) -> Result<Measured> {
        if self.verifier.config.pins.is_none() {
            return Err(Error::new(Code::ConfigInvalid).at("pins").expected("a store for pins"));
        }
        let Appraised { outcome, pin, software, differences, .. } = self.verifier.observe(model).await?;
        let report = outcome.report().clone();
        let result = outcome.into_result().map(drop);
        if let Err(error) = &result {
            self.forget_refused(model, error);
        }
        Ok(Measured { report, result, pinned: pin, software, differences })
    }

    /// The newest evidence says no: an older yes does not count any more.
    fn forget_refused(&self, model: &str, error: &Error) {
        if error.code().class() == Class::Verification {
            self.proofs.forget_all(model);
        }
    }

    /// Pins what a report's endpoint runs. Proofs of what ran before do not count any more.
    async fn keep_pin(&self, model: &str, report: &Report, software: Software) -> Result<Pin> {
        let pins = self.verifier.config.pins.clone().ok_or_else(|| Error::new(Code::Internal).at("pins"))?;
        let pin = Pin {
            key: self.verifier.pin_key(model),
            roots: report.roots(),
            pinned_at: report.checked_at(),
            software,
        };
        let kept = pin.clone();
        let written = tokio::task::spawn_blocking(move || pins.put(&kept)).await;
        written.map_err(|_| Error::new(Code::Internal).at("pins"))??;
        self.proofs.forget_all(model);
        Ok(pin)
    }

    pub(crate) async fn ready(self: &Arc<Self>, model: &str) -> Result<Arc<VerifiedEndpoint>> {
        let load = || {
            let (inner, model) = (self.clone(), model.to_owned());
            async move { inner.verifier.verify(&model).await?.into_result() }.boxed()
        };
        let proof = self.proofs.get(model, load).await?;
        let (inner, name) = (Arc::downgrade(self), model.to_owned());
        self.proofs.renew_in_time(model, &proof, move || {
            let inner = inner.upgrade()?;
            Some(async move { inner.verifier.verify(&name).await?.into_result() }.boxed())
        });
        Ok(proof)
    }
}

impl Verifier {
    fn setup(&self) -> Setup {
        Setup {
            config: self.config.clone(),
            clock: self.clock.clone(),
            pace: self.pace,
            observer: self.observer.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proveil_core::provider::Provider;
    use proveil_core::secret::SecretText;

    fn config() -> ClientConfig {
        ClientConfig::new(Provider::Venice, SecretText::new("canary-key".to_owned()))
    }

    #[test]
    fn a_forked_child_starts_afresh() {
        let client = Client::new(config()).unwrap();
        let own = client.first.inner_of(std::process::id()).unwrap();
        assert!(Arc::ptr_eq(&own, &client.first.inner));
        let child = client.first.inner_of(1).unwrap();
        assert!(!Arc::ptr_eq(&own, &child));
        assert!(Arc::ptr_eq(&child, &client.clone().first.inner_of(1).unwrap()));
        // A child of the child, too.
        assert!(!Arc::ptr_eq(&child, &client.first.inner_of(2).unwrap()));
    }

    #[test]
    fn bad_settings_are_refused_at_once() {
        let mut zero = config();
        zero.timeouts.idle_s = 0;
        let mut bundle = config();
        bundle.ca_bundle_pem = Some(b"not PEM".to_vec());
        let mut proxy = config();
        proxy.proxy = crate::Proxy::Url("ftp://canary-user:canary-pass@proxy".to_owned());
        for config in [zero, bundle, proxy] {
            assert!(!format!("{config:?}").contains("canary"));
            let error = Client::new(config).unwrap_err();
            assert_eq!(error.code(), Code::ConfigInvalid);
            assert!(!error.to_string().contains("canary"));
        }
    }

    #[test]
    fn outside_a_runtime_it_is_an_error_not_a_panic() {
        let client = Client::new(config()).unwrap();
        let result = client.models_json().now_or_never();
        assert_eq!(result.unwrap().unwrap_err().code(), Code::OutOfOrder);
        assert!(!format!("{client:?}").contains("canary"));
    }

    #[test]
    fn handles_cross_threads() {
        fn check<T: Send + Sync + Clone>() {}
        fn send<T: Send>() {}
        check::<Client>();
        send::<Stream>();
    }
}
