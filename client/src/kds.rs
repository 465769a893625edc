//! Certificates for SEV-SNP reports from AMD's key distribution service (attestation.md 1.5), which limits the rate of requests.
//!
//! A chip's certificate for one patch level never changes: it is asked for once and kept. For each address there is one request at a
//! time, whoever waits for it; after an answer "too many requests" every request of this client waits. What is kept was verified before
//! and is verified again on use.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use proveil_core::attest::TrustRoots;
use proveil_core::attest::snp::{self, Product, SigningKey, VerifiedVek};
use proveil_core::evidence::{KdsRequests, SnpEndorsements};
use proveil_core::http::{BaseUrl, HttpRequest};
use proveil_core::wire::json::Json;
use proveil_core::wire::{base64, hex};
use proveil_core::{Code, Error, Result, crypto};

use crate::clock::{Clock, SystemClock};
use crate::collateral::folder;
use crate::config::{Proxy, Timeouts};
use crate::disk::DiskCache;
use crate::notice::{self, Notice, Observer};
use crate::transport::{Outgoing, Transport};
use crate::verify::{Pace, retry_pause_s};

/// One request.
const FETCH_MAX: Duration = Duration::from_secs(20);
/// How often an address is tried that answers 429 or 5xx.
const ATTEMPTS: u32 = 4;
/// How long a revocation list is used before it is asked for again. It says itself until when it may be used at all.
pub(crate) const LIST_MAX_AGE_S: u64 = 24 * 3600;
/// Documents that are kept in memory, and on disk.
const HELD_MAX: usize = 256;
/// All documents on disk together.
const TOTAL_MAX_BYTES: u64 = 32 * 1024 * 1024;
const PREFIX: &str = "kds-";
const SUFFIX: &str = ".json";
const SCHEMA: &str = "proveil.kds/v1";

/// Settings of a [`KdsClient`].
pub struct KdsConfig {
    /// Where the service or a mirror of it is reached; `None` for AMD's, `https://kdsintf.amd.com`.
    pub url: Option<BaseUrl>,
    /// Whose signatures count.
    pub roots: TrustRoots,
    /// Certificates (PEM) of further authorities whose TLS certificates are accepted, beside the public ones.
    pub ca_bundle_pem: Option<Vec<u8>>,
    /// How connections leave this machine.
    pub proxy: Proxy,
    /// Directory for certificates; `None` keeps them in memory. What is in it is public and signed, and names chips.
    pub cache_dir: Option<PathBuf>,
    /// How long to wait for what; `verification_s` is for one report, pauses included.
    pub timeouts: Timeouts,
}

impl KdsConfig {
    /// AMD's service, vendor roots, proxy variables honoured, no cache directory.
    pub fn new() -> KdsConfig {
        KdsConfig {
            url: None,
            roots: TrustRoots::vendors(),
            ca_bundle_pem: None,
            proxy: Proxy::Environment,
            cache_dir: None,
            timeouts: Timeouts::default(),
        }
    }
}

impl Default for KdsConfig {
    fn default() -> KdsConfig {
        KdsConfig::new()
    }
}

impl fmt::Debug for KdsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KdsConfig")
            .field("url", &self.url)
            .field("custom_roots", &self.roots.is_custom())
            .field("proxy", &self.proxy)
            .field("cache_dir", &self.cache_dir)
            .field("timeouts", &self.timeouts)
            .finish_non_exhaustive()
    }
}

/// Fetches what SEV-SNP reports are verified with. A cheap handle: clones share connections and what was fetched. The service learns
/// which chip is asked about, and when.
#[derive(Clone)]
pub struct KdsClient(Arc<Inner>);

struct Inner {
    config: KdsConfig,
    transport: Transport,
    clock: Arc<dyn Clock>,
    pace: Pace,
    observer: Observer,
    disk: Option<DiskCache>,
    held: Mutex<HashMap<String, Arc<Slot>>>,
    /// Before this moment nothing is asked: the service said so.
    not_before: Mutex<Duration>,
}

/// The document at one address. Whoever holds the lock fetches it.
type Slot = tokio::sync::Mutex<Option<Document>>;

#[derive(Clone)]
struct Document {
    fetched_at: u64,
    body: Vec<u8>,
}

impl KdsClient {
    /// Checks the settings. Fails with `config_invalid`.
    pub fn new(config: KdsConfig) -> Result<KdsClient> {
        KdsClient::observed(config, notice::silent())
    }

    /// As [`KdsClient::new`], with somebody who is told what the client does.
    pub fn observed(config: KdsConfig, observer: Observer) -> Result<KdsClient> {
        KdsClient::with_setup(config, observer, Arc::new(SystemClock::new()), Pace::NORMAL)
    }

    pub(crate) fn with_setup(
        config: KdsConfig,
        observer: Observer,
        clock: Arc<dyn Clock>,
        pace: Pace,
    ) -> Result<KdsClient> {
        config.timeouts.check()?;
        let transport =
            Transport::new(config.ca_bundle_pem.as_deref(), &config.proxy, config.timeouts.connect_s)?;
        let disk = config.cache_dir.clone().map(|dir| DiskCache::new(folder(dir, &config.roots)));
        let (held, not_before) = (Mutex::default(), Mutex::default());
        Ok(KdsClient(Arc::new(Inner { config, transport, clock, pace, observer, disk, held, not_before })))
    }

    /// What a report (1184 bytes) is to be verified with, added to what came with it: its chip's certificate, the issuer, the root's
    /// revocation list. `product` is used for reports of version 2, which do not name theirs. The certificate of a cloud provider's
    /// key must come with the report: the service does not hand those out.
    ///
    /// Whether the report is genuine is for the appraisal: what came back wrong is given back all the same, but not kept. Without a
    /// revocation list the result has none; the appraisal says whether it is needed.
    ///
    /// Fails with `snp_report_malformed`, `snp_product` or `snp_certificate_mismatch` when the report cannot be asked about,
    /// `collateral_unreachable`, `collateral_missing` (the service does not know the chip) or `collateral_malformed`.
    pub async fn fetch_snp_endorsements(
        &self,
        report: &[u8],
        given: &SnpEndorsements,
        product: Option<Product>,
    ) -> Result<SnpEndorsements> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(
                Error::new(Code::OutOfOrder).context("Async methods must be called inside a tokio runtime.")
            );
        }
        let parsed = snp::Report::parse(report)?;
        let wanted = Wanted {
            requests: parsed.kds_requests(product)?,
            kind: parsed.fields().signing_key,
            at: self.0.clock.unix_s()?,
            given,
        };
        let span = Duration::from_secs(self.0.config.timeouts.verification_s);
        let late =
            || Error::new(Code::CollateralUnreachable).at("AMD key distribution service").found("timed out");
        tokio::time::timeout(span, self.0.collect(&wanted)).await.map_err(|_| late())?
    }
}

/// What one report needs.
struct Wanted<'a> {
    requests: KdsRequests,
    kind: SigningKey,
    at: u64,
    given: &'a SnpEndorsements,
}

/// What was put together, and what of it came from where.
struct Gathered {
    all: SnpEndorsements,
    fresh: Vec<(HttpRequest, Document)>,
    from_cache: bool,
}

impl fmt::Debug for KdsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KdsClient").field(&self.0.config).finish()
    }
}

impl Inner {
    /// From the cache where that gives a certificate of the report's chip below a trusted root, else anew.
    async fn collect(self: &Arc<Self>, wanted: &Wanted<'_>) -> Result<SnpEndorsements> {
        let mut gathered = self.gather(wanted, true).await?;
        let mut right = self.is_right(&gathered.all, wanted);
        if !right && gathered.from_cache {
            gathered = self.gather(wanted, false).await?;
            right = self.is_right(&gathered.all, wanted);
        }
        for (request, document) in gathered.fresh {
            if right {
                self.keep(&request, document).await;
            } else {
                self.lock().remove(request.url());
            }
        }
        Ok(gathered.all)
    }

    /// True when the certificate leads to a trusted root and is the one that was asked for. Whether it signed the report is not
    /// asked: altered reports must not cause requests.
    fn is_right(&self, all: &SnpEndorsements, wanted: &Wanted<'_>) -> bool {
        VerifiedVek::verify(all, wanted.kind, &self.config.roots, wanted.at)
            .is_ok_and(|vek| vek.kds_requests() == wanted.requests)
    }

    async fn gather(self: &Arc<Self>, wanted: &Wanted<'_>, use_cache: bool) -> Result<Gathered> {
        let (issuers, list, chip) = wanted.requests.http(self.config.url.as_ref());
        let mut gathered = Gathered { all: wanted.given.clone(), fresh: Vec::new(), from_cache: false };
        let young = |document: &Document| use_cache && document.fetched_at <= wanted.at;
        let recent = |document: &Document| {
            young(document) && wanted.at.saturating_sub(document.fetched_at) < LIST_MAX_AGE_S
        };
        if let Some(chip) = chip.filter(|_| wanted.given.vcek.is_none()) {
            self.add(&mut gathered, chip, &young, wanted.at).await?;
        }
        if wanted.given.issuer.is_none() {
            self.add(&mut gathered, issuers, &young, wanted.at).await?;
        }
        if wanted.given.crl.is_none()
            && let Err(error) = self.add(&mut gathered, list, &recent, wanted.at).await
        {
            (self.observer)(&Notice::Warning(format!("there is no revocation list: {error}")));
        }
        Ok(gathered)
    }

    /// Adds the document at an address: from memory, from disk, or fetched.
    async fn add(
        self: &Arc<Self>,
        gathered: &mut Gathered,
        request: HttpRequest,
        usable: &(impl Fn(&Document) -> bool + Sync),
        at: u64,
    ) -> Result<()> {
        let slot = self.slot(request.url());
        let mut slot = slot.lock().await;
        if slot.is_none() {
            *slot = self.read(&request).await;
        }
        if let Some(document) = slot.as_ref().filter(|document| usable(document)) {
            let mut with = gathered.all.clone();
            // An entry that is no certificate is a miss.
            if with.add_file(&document.body).is_ok() {
                (gathered.all, gathered.from_cache) = (with, true);
                return Ok(());
            }
        }
        let body = self.fetch(&request).await?;
        gathered.all.add_file(&body)?;
        let document = Document { fetched_at: at, body };
        *slot = Some(document.clone());
        gathered.fresh.push((request, document));
        Ok(())
    }

    fn slot(&self, url: &str) -> Arc<Slot> {
        let mut held = self.lock();
        if held.len() >= HELD_MAX {
            // Whoever waits for one has it still.
            held.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        held.entry(url.to_owned()).or_default().clone()
    }

    /// Sends a request, with pauses where the service asks for them.
    async fn fetch(&self, request: &HttpRequest) -> Result<Vec<u8>> {
        let mut attempt: u32 = 1;
        loop {
            self.wait_for_turn().await;
            (self.observer)(&Notice::Sending(request.purpose()));
            let result = self.transport.fetch(&Outgoing::from(request), FETCH_MAX).await;
            let (status, retry_after) = match result {
                Err(failure) => return Err(failure.error(Code::CollateralUnreachable, request.purpose())),
                Ok(response) => {
                    let head = response.head();
                    if head.status() == 200 {
                        return Ok(response.body().to_vec());
                    }
                    (head.status(), head.header("retry-after").map(str::to_owned))
                }
            };
            let usual = 1_u64.checked_shl(attempt.saturating_sub(1)).unwrap_or(u64::MAX);
            let pause = retry_pause_s(retry_after.as_deref(), usual)
                .filter(|_| attempt < ATTEMPTS && (status == 429 || status >= 500));
            let Some(pause) = pause else {
                let known = !(400..500).contains(&status) || status == 429;
                let code = if known { Code::CollateralUnreachable } else { Code::CollateralMissing };
                return Err(Error::new(code).at(request.purpose()).found(format!("HTTP {status}")));
            };
            let until = self.clock.monotonic().saturating_add(Duration::from_secs(pause));
            self.ask_nothing_before(until);
            (self.observer)(&Notice::Retrying { why: "the service asks for a pause" });
            self.pace.pause(pause).await;
            attempt = attempt.saturating_add(1);
        }
    }

    fn ask_nothing_before(&self, until: Duration) {
        let mut not_before = self.not_before.lock().unwrap_or_else(PoisonError::into_inner);
        *not_before = until.max(*not_before);
    }

    async fn wait_for_turn(&self) {
        let until = *self.not_before.lock().unwrap_or_else(PoisonError::into_inner);
        let left = until.saturating_sub(self.clock.monotonic());
        if !left.is_zero() {
            self.pace.pause(left.as_secs().saturating_add(u64::from(left.subsec_nanos() > 0))).await;
        }
    }

    async fn read(self: &Arc<Self>, request: &HttpRequest) -> Option<Document> {
        let (inner, url) = (self.clone(), request.url().to_owned());
        let read = move || {
            let name = file_name(&url);
            let (entries, warnings) = inner.disk.as_ref()?.load(&name, &name);
            warnings.into_iter().for_each(|warning| (inner.observer)(&Notice::Warning(warning)));
            entries.first().and_then(|entry| parse(&entry.bytes, &url))
        };
        tokio::task::spawn_blocking(read).await.ok().flatten()
    }

    async fn keep(self: &Arc<Self>, request: &HttpRequest, document: Document) {
        let (inner, url) = (self.clone(), request.url().to_owned());
        let write = move || {
            let Some(disk) = &inner.disk else { return };
            if let Err(warning) = disk.save(&file_name(&url), render(&document, &url).as_bytes()) {
                (inner.observer)(&Notice::Warning(warning));
            }
            disk.trim(PREFIX, SUFFIX, HELD_MAX, TOTAL_MAX_BYTES);
        };
        // A task that panicked has lost a cache entry, nothing else.
        let _ = tokio::task::spawn_blocking(write).await;
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Slot>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn file_name(url: &str) -> String {
    let digest = crypto::sha256(&[url.as_bytes()]);
    format!("{PREFIX}{}{SUFFIX}", hex::encode(digest.get(..16).unwrap_or_default()))
}

fn render(document: &Document, url: &str) -> String {
    let string = |text: String| Json::String(text);
    Json::Object(vec![
        ("schema".to_owned(), string(SCHEMA.to_owned())),
        ("url".to_owned(), string(url.to_owned())),
        ("fetched_at".to_owned(), Json::Number(document.fetched_at.into())),
        ("body".to_owned(), string(base64::encode(&document.body))),
    ])
    .to_compact()
}

/// A file that is of another form or address is as good as none.
fn parse(bytes: &[u8], url: &str) -> Option<Document> {
    let file = Json::parse(bytes).ok()?;
    let text = |name| file.get(name).and_then(Json::as_str);
    let right = text("schema") == Some(SCHEMA) && text("url") == Some(url);
    let fetched_at = file.get("fetched_at").and_then(Json::as_u64)?;
    let body = text("body").and_then(base64::decode)?;
    right.then_some(Document { fetched_at, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_come_back_for_their_address_only() {
        let document = Document { fetched_at: 17, body: b"certificate".to_vec() };
        let text = render(&document, "https://a.example/x");
        let read = parse(text.as_bytes(), "https://a.example/x").unwrap();
        assert_eq!((read.fetched_at, read.body), (17, b"certificate".to_vec()));
        for (text, url) in [
            (text.clone(), "https://a.example/y"),
            (text.replace("/v1", "/v2"), "https://a.example/x"),
            (text.replace("17", "-17"), "https://a.example/x"),
            (text.replace("\"body\":\"", "\"body\":\"?"), "https://a.example/x"),
            (String::new(), "https://a.example/x"),
        ] {
            assert!(parse(text.as_bytes(), url).is_none(), "{text}");
        }
    }
}
