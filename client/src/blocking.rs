//! The same client for programs without async code. It has one thread of its own, started with the first call that needs the
//! network; that thread also renews proofs and closes connections between calls.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use proveil_core::claims::Product;
use proveil_core::endpoint::{ApiRequest, Event, Receipt, SignatureVerdict, VerifiedEndpoint};
use proveil_core::evidence::SnpEndorsements;
use proveil_core::pin::Pin;
use proveil_core::report::Report;
use proveil_core::{Code, Error, Result};
use tokio::runtime::{Builder, Runtime};

use crate::client::Capture;
use crate::notice::Observer;
use crate::{ClientConfig, Measured};

/// [`crate::Client`] with blocking methods. Its methods must not be called from async code.
#[derive(Clone)]
pub struct Client {
    client: crate::Client,
    thread: Arc<Thread>,
}

impl Client {
    /// As [`crate::Client::new`].
    pub fn new(config: ClientConfig) -> Result<Client> {
        Ok(Client { client: crate::Client::new(config)?, thread: Arc::default() })
    }

    /// As [`crate::Client::observed`].
    pub fn observed(config: ClientConfig, observer: Observer) -> Result<Client> {
        Ok(Client { client: crate::Client::observed(config, observer)?, thread: Arc::default() })
    }

    /// As [`crate::Client::models_json`].
    pub fn models_json(&self) -> Result<String> {
        self.thread.block_on(self.client.models_json())
    }

    /// As [`crate::Client::verify`].
    pub fn verify(&self, model: &str) -> Result<Report> {
        self.thread.block_on(self.client.verify(model))
    }

    /// As [`crate::Client::appraise`].
    pub fn appraise(&self, model: &str) -> Result<(Report, Result<()>)> {
        self.thread.block_on(self.client.appraise(model))
    }

    /// As [`crate::Client::measure`].
    pub fn measure(&self, model: &str) -> Result<Measured> {
        self.thread.block_on(self.client.measure(model))
    }

    /// As [`crate::Client::pin`].
    pub fn pin(&self, model: &str) -> Result<Pin> {
        self.thread.block_on(self.client.pin(model))
    }

    /// As [`crate::Client::accept_pin`].
    pub fn accept_pin(&self, model: &str, sha256: &[u8; 32]) -> Result<Pin> {
        self.thread.block_on(self.client.accept_pin(model, sha256))
    }

    /// As [`crate::Client::capture`].
    pub fn capture(&self, model: &str) -> Result<Capture> {
        self.thread.block_on(self.client.capture(model))
    }

    /// As [`crate::Client::ready`].
    pub fn ready(&self, model: &str) -> Result<Arc<VerifiedEndpoint>> {
        self.thread.block_on(self.client.ready(model))
    }

    /// As [`crate::Client::chat`].
    pub fn chat(&self, body: &[u8]) -> Result<Stream> {
        let stream = self.thread.block_on(self.client.chat(body))?;
        Ok(Stream { stream, thread: self.thread.clone() })
    }

    /// As [`crate::Client::send`].
    pub fn send(&self, request: &ApiRequest<'_>) -> Result<Stream> {
        let stream = self.thread.block_on(self.client.send(request))?;
        Ok(Stream { stream, thread: self.thread.clone() })
    }

    /// As [`crate::Client::embeddings`].
    pub fn embeddings(&self, body: &[u8]) -> Result<String> {
        self.thread.block_on(self.client.embeddings(body))
    }

    /// As [`crate::Client::transcriptions`].
    pub fn transcriptions(&self, body: &[u8], content_type: &str) -> Result<String> {
        self.thread.block_on(self.client.transcriptions(body, content_type))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.client.fmt(f)
    }
}

/// [`crate::KdsClient`] with blocking methods.
#[derive(Clone, Debug)]
pub struct KdsClient {
    client: crate::KdsClient,
    thread: Arc<Thread>,
}

impl KdsClient {
    /// As [`crate::KdsClient::new`].
    pub fn new(config: crate::KdsConfig) -> Result<KdsClient> {
        Ok(KdsClient { client: crate::KdsClient::new(config)?, thread: Arc::default() })
    }

    /// As [`crate::KdsClient::observed`].
    pub fn observed(config: crate::KdsConfig, observer: Observer) -> Result<KdsClient> {
        Ok(KdsClient { client: crate::KdsClient::observed(config, observer)?, thread: Arc::default() })
    }

    /// As [`crate::KdsClient::fetch_snp_endorsements`].
    pub fn fetch_snp_endorsements(
        &self,
        report: &[u8],
        given: &SnpEndorsements,
        product: Option<Product>,
    ) -> Result<SnpEndorsements> {
        self.thread.block_on(self.client.fetch_snp_endorsements(report, given, product))
    }
}

/// [`crate::Stream`] with blocking methods; also an iterator over its events.
pub struct Stream {
    stream: crate::Stream,
    thread: Arc<Thread>,
}

impl Stream {
    /// As [`crate::Stream::next`].
    #[allow(clippy::should_implement_trait)] // The trait is implemented too; this makes it usable without naming the trait.
    pub fn next(&mut self) -> Option<Result<Event>> {
        let next = async { Ok(self.stream.next().await) };
        self.thread.block_on(next).unwrap_or_else(|error| Some(Err(error)))
    }

    /// As [`crate::Stream::document`].
    pub fn document(self) -> Result<String> {
        self.thread.block_on(self.stream.document())
    }

    /// As [`crate::Stream::report`].
    pub fn report(&self) -> &Report {
        self.stream.report()
    }

    /// As [`crate::Stream::receipt`].
    pub fn receipt(&self) -> Option<&Receipt> {
        self.stream.receipt()
    }

    /// As [`crate::Stream::verify_signature`].
    pub fn verify_signature(&mut self) -> Result<SignatureVerdict> {
        self.thread.block_on(self.stream.verify_signature())
    }
}

impl Iterator for Stream {
    type Item = Result<Event>;

    fn next(&mut self) -> Option<Result<Event>> {
        Stream::next(self)
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stream.fmt(f)
    }
}

/// The runtime of one client, and the process that started it. A forked child has none of its parent's threads: it leaves the
/// parent's runtime alone, without joining, and starts its own (threats T63).
#[derive(Debug, Default)]
struct Thread(Mutex<Option<(u32, Arc<Runtime>)>>);

impl Thread {
    fn block_on<T>(&self, future: impl Future<Output = Result<T>>) -> Result<T> {
        if tokio::runtime::Handle::try_current().is_ok() {
            return Err(
                Error::new(Code::OutOfOrder).context("A blocking call was made from an async thread.")
            );
        }
        self.runtime()?.block_on(future)
    }

    fn runtime(&self) -> Result<Arc<Runtime>> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let process = std::process::id();
        match slot.as_ref() {
            Some((owner, runtime)) if *owner == process => return Ok(runtime.clone()),
            _ => std::mem::forget(slot.take()),
        }
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("proveil")
            .enable_all()
            .build()
            .map_err(|_| Error::new(Code::Internal).at("runtime"))?;
        let runtime = Arc::new(runtime);
        *slot = Some((process, runtime.clone()));
        Ok(runtime)
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        let slot = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        let Some((owner, runtime)) = slot.take() else { return };
        if owner != std::process::id() {
            std::mem::forget(runtime);
        } else if let Some(runtime) = Arc::into_inner(runtime) {
            // Unlike dropping it, this is allowed in async code and waits for nothing.
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proveil_core::provider::Provider;
    use proveil_core::secret::SecretText;

    #[test]
    fn async_callers_get_an_error_and_may_drop_it() {
        let config = ClientConfig::new(Provider::Venice, SecretText::new("key".to_owned()));
        let client = Client::new(config).unwrap();
        client.thread.runtime().unwrap();
        let outer = Builder::new_current_thread().build().unwrap();
        outer.block_on(async move {
            assert_eq!(client.models_json().unwrap_err().code(), Code::OutOfOrder);
            drop(client);
        });
    }
}
