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
use proveil_core::attest::snp::{self, Product};
use proveil_core::evidence::SnpEndorsements;
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
const LIST_MAX_AGE_S: u64 = 24 * 3600;
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

    /// What a report (1184 bytes) is to be verified with: its chip's certificate, the root's revocation list, and the issuer where the
    /// trusted roots do not hold it. `product` is used for reports of version 2, which do not name theirs. A report by a cloud
    /// provider's key gets no certificate: the service does not hand those out.
    ///
    /// Whether the report is genuine is for the appraisal: what came back wrong is given back all the same, but not kept. Without a
    /// revocation list the result has none; the appraisal says whether it is needed.
    ///
    /// Fails with `snp_report_malformed`, `snp_product` or `snp_certificate_mismatch` when the report cannot be asked about,
    /// `collateral_unreachable`, `collateral_missing` (the service does not know the chip) or `collateral_malformed`.
    pub async fn fetch_snp_endorsements(
        &self,
        report: &[u8],
        product: Option<Product>,
    ) -> Result<SnpEndorsements> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(
                Error::new(Code::OutOfOrder).context("Async methods must be called inside a tokio runtime.")
            );
        }
        let requests = snp::Report::parse(report)?.kds_requests(product)?;
        let asks_for_chip = requests.vcek.is_some();
        let requests = requests.http(self.0.config.url.as_ref());
        let span = Duration::from_secs(self.0.config.timeouts.verification_s);
        let work = self.0.collect(report, &requests, asks_for_chip);
        let late = || Error::new(Code::CollateralUnreachable).at("AMD key distribution service").found("timed out");
        tokio::time::timeout(span, work).await.map_err(|_| late())?
    }
}

impl fmt::Debug for KdsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KdsClient").field(&self.0.config).finish()
    }
}

impl Inner {
    /// `requests`: the chip's certificate if there is one to ask for, the list, the issuers.
    async fn collect(
        self: &Arc<Self>,
        report: &[u8],
        requests: &[HttpRequest],
        asks_for_chip: bool,
    ) -> Result<SnpEndorsements> {
        let at = self.clock.unix_s()?;
        let (chip, shared) = requests.split_at(usize::from(asks_for_chip).min(requests.len()));
        let [list, issuers] = shared else { return Err(Error::new(Code::Internal).at("KDS requests")) };
        let judge = |given: &SnpEndorsements| {
            snp::verify_with_raw_endorsements(report, given, &self.config.roots, at).map(drop)
        };
        let mut all = SnpEndorsements::new();
        let mut fresh: Vec<(&HttpRequest, Document)> = Vec::new();
        for request in chip {
            all = self.add(all, request, u64::MAX, at, &mut fresh).await?;
        }
        // The issuers are asked for only where the roots do not hold them.
        let without = judge(&all);
        if without.as_ref().is_err_and(|error| error.code() == Code::CollateralMissing)
            || (!asks_for_chip && without.is_err())
        {
            all = self.add(all, issuers, u64::MAX, at, &mut fresh).await?;
        }
        match self.add(all.clone(), list, LIST_MAX_AGE_S, at, &mut fresh).await {
            Ok(with_list) => all = with_list,
            Err(error) => (self.observer)(&Notice::Warning(format!("no revocation list: {error}"))),
        }
        // What is kept has been verified with the report that it was fetched for.
        if judge(&all).is_ok() {
            for (request, document) in fresh {
                self.keep(request, document).await;
            }
        } else {
            let mut held = self.lock();
            fresh.iter().for_each(|(request, _)| drop(held.remove(request.url())));
        }
        Ok(all)
    }

    /// Adds the document at an address: from memory, from disk, or fetched.
    async fn add<'r>(
        self: &Arc<Self>,
        mut all: SnpEndorsements,
        request: &'r HttpRequest,
        max_age_s: u64,
        at: u64,
        fresh: &mut Vec<(&'r HttpRequest, Document)>,
    ) -> Result<SnpEndorsements> {
        let slot = self.slot(request.url());
        let mut slot = slot.lock().await;
        let young = |document: &Document| {
            document.fetched_at <= at && at.saturating_sub(document.fetched_at) < max_age_s
        };
        if slot.is_none() {
            *slot = self.read(request).await;
        }
        if let Some(document) = slot.as_ref().filter(|document| young(document)) {
            let mut with = all.clone();
            // An entry that is no certificate is a miss.
            if with.add_file(&document.body).is_ok() {
                return Ok(with);
            }
        }
        let body = self.fetch(request).await?;
        all.add_file(&body)?;
        let document = Document { fetched_at: at, body };
        *slot = Some(document.clone());
        fresh.push((request, document));
        Ok(all)
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
            let mut not_before = self.not_before.lock().unwrap_or_else(PoisonError::into_inner);
            *not_before = until.max(*not_before);
            drop(not_before);
            (self.observer)(&Notice::Retrying { why: "the service asks for a pause" });
            self.pace.pause(pause).await;
            attempt = attempt.saturating_add(1);
        }
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
