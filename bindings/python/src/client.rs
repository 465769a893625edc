//! The native halves of `Client` and `Stream`: they own the Rust objects, know in which process these were made, and turn each call
//! into one future for `task`.

use std::sync::{Arc, Mutex};

use proveil_bindings_support::client::{Client, ClientConfig, Stream};
use proveil_bindings_support::core::endpoint::Receipt as CoreReceipt;
use proveil_bindings_support::core::report::Report as CoreReport;
use proveil_bindings_support::core::secret::SecretText;
use proveil_bindings_support::core::{Code, Error, Result};
use proveil_bindings_support::{
    CancelToken, ClientOptions, FlatEvent, OwnedRequest, PrivatemodeFields, TimeoutOptions, guard,
};
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::convert::{Bytes, Document, TextOrBytes};
use crate::error::{detached, guarded, to_py};
use crate::opener::Receipt;
use crate::policy::{Policy, TrustRoots};
use crate::report::Report;
use crate::task::{Job, Value, lock, run};

/// Events that one step of a stream hands over at most.
const BATCH: usize = 256;

/// Native half of `Client` and `AsyncClient`.
#[pyclass(frozen, module = "proveil._core")]
pub struct ClientHandle {
    config: ClientConfig,
    slot: Mutex<Option<Owned>>,
}

/// A client and the process that made it.
struct Owned {
    process: u32,
    client: Client,
}

impl ClientHandle {
    /// The client of this process. A forked child leaves its parent's alone, whose threads it does not have, and makes its own
    /// (threats T63). The lock is only ever held together with the interpreter lock, so no fork finds it taken.
    fn client(&self, py: Python<'_>) -> PyResult<Client> {
        guarded(py, || {
            let mut slot = lock(&self.slot);
            let owned = slot
                .as_mut()
                .ok_or_else(|| Error::new(Code::AlreadyFinished).context("The client was closed."))?;
            let process = std::process::id();
            if owned.process != process {
                let fresh = Owned { process, client: Client::new(duplicate(&self.config))? };
                std::mem::forget(std::mem::replace(owned, fresh));
            }
            Ok(owned.client.clone())
        })
    }

    fn call<F>(
        &self,
        py: Python<'_>,
        wake: Option<Py<PyAny>>,
        work: impl FnOnce(Client) -> F,
    ) -> PyResult<Py<PyAny>>
    where
        F: Future<Output = Result<Value>> + Send + 'static,
    {
        let client = self.client(py)?;
        run(py, Box::pin(work(client)), wake)
    }
}

#[pymethods]
impl ClientHandle {
    /// Checks the configuration. Opens no socket and starts no thread.
    #[new]
    #[pyo3(signature = (provider, api_key, *, base_url, collateral_url, nvidia_url, policy, trust_roots, ca_bundle_pem, proxy, cache_dir,
                        pins, connect_s, first_byte_s, idle_s, verification_s, manifest, manifest_url, amd_url, gpu_revocation_grace_s,
                        cache_salt, key_service_name, workspace))]
    #[allow(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn new(
        py: Python<'_>,
        provider: String,
        api_key: String,
        base_url: Option<String>,
        collateral_url: Option<String>,
        nvidia_url: Option<String>,
        policy: Option<&Bound<'_, Policy>>,
        trust_roots: Option<&Bound<'_, TrustRoots>>,
        ca_bundle_pem: Option<Bytes>,
        proxy: Option<String>,
        cache_dir: Option<String>,
        pins: Option<String>,
        connect_s: Option<u64>,
        first_byte_s: Option<u64>,
        idle_s: Option<u64>,
        verification_s: Option<u64>,
        manifest: Option<TextOrBytes>,
        manifest_url: Option<String>,
        amd_url: Option<String>,
        gpu_revocation_grace_s: Option<u64>,
        cache_salt: Option<String>,
        key_service_name: Option<String>,
        workspace: Option<String>,
    ) -> PyResult<ClientHandle> {
        let options = ClientOptions {
            provider,
            api_key: SecretText::new(api_key),
            base_url,
            collateral_url,
            nvidia_url,
            policy: policy.map(|policy| policy.get().0.clone()),
            trust_roots: trust_roots.map(|roots| roots.get().roots.clone()),
            ca_bundle_pem: ca_bundle_pem.map(|pem| pem.to_vec()),
            proxy: Some(proxy.unwrap_or_else(|| "none".to_owned())),
            cache_dir,
            pins,
            workspace,
            timeouts: TimeoutOptions { connect_s, first_byte_s, idle_s, verification_s },
            privatemode: PrivatemodeFields {
                manifest: manifest.map(|manifest| manifest.to_vec()),
                manifest_url,
                amd_url,
                gpu_revocation_grace_s,
                cache_salt: cache_salt.map(SecretText::new),
                key_service_name,
            },
        };
        detached(py, || {
            let config = options.config()?;
            let owned = Owned { process: std::process::id(), client: Client::new(duplicate(&config))? };
            Ok(ClientHandle { config, slot: Mutex::new(Some(owned)) })
        })
    }

    /// The provider's models, as JSON text.
    #[pyo3(signature = (wake = None))]
    fn models_json(&self, py: Python<'_>, wake: Option<Py<PyAny>>) -> PyResult<Py<PyAny>> {
        self.call(py, wake, |client| async move { client.models_json().await.map(Value::Text) })
    }

    /// A fresh verification: a report.
    #[pyo3(signature = (model, wake = None))]
    fn verify(&self, py: Python<'_>, model: String, wake: Option<Py<PyAny>>) -> PyResult<Py<PyAny>> {
        self.call(py, wake, |client| async move {
            client.verify(&model).await.map(|report| Value::Report(Box::new(report)))
        })
    }

    /// A fresh verification with everything that it used, whatever its verdict: an `EvidenceBundle`.
    #[pyo3(signature = (model, wake = None))]
    fn capture(&self, py: Python<'_>, model: String, wake: Option<Py<PyAny>>) -> PyResult<Py<PyAny>> {
        self.call(py, wake, |client| async move {
            client.capture(&model).await.map(|capture| Value::Bundle(Box::new(capture.bundle)))
        })
    }

    /// A proof that is good now, cached or fresh.
    #[pyo3(signature = (model, wake = None))]
    fn ready(&self, py: Python<'_>, model: String, wake: Option<Py<PyAny>>) -> PyResult<Py<PyAny>> {
        self.call(py, wake, |client| async move { client.ready(&model).await.map(Value::Endpoint) })
    }

    /// Sends a chat request (JSON text, bytes or dict): a `StreamHandle`.
    #[pyo3(signature = (body, wake = None))]
    fn chat(&self, py: Python<'_>, body: Document, wake: Option<Py<PyAny>>) -> PyResult<Py<PyAny>> {
        let body = zeroize::Zeroizing::new(body.to_vec());
        self.call(py, wake, |client| async move {
            client.chat(&body).await.map(|stream| Value::Stream(Box::new(stream)))
        })
    }

    /// Sends a request for any endpoint: a `StreamHandle` of documents.
    #[pyo3(signature = (endpoint_path, body, content_type = None, wake = None))]
    fn send(
        &self,
        py: Python<'_>,
        endpoint_path: &str,
        body: Document,
        content_type: Option<String>,
        wake: Option<Py<PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let request = guarded(py, || OwnedRequest::new(endpoint_path, &body, content_type))?;
        self.call(py, wake, |client| async move {
            client.send(&request.request()).await.map(|stream| Value::Stream(Box::new(stream)))
        })
    }

    /// Embeds texts: the whole answer, as JSON text.
    #[pyo3(signature = (body, wake = None))]
    fn embeddings(&self, py: Python<'_>, body: Document, wake: Option<Py<PyAny>>) -> PyResult<Py<PyAny>> {
        let body = zeroize::Zeroizing::new(body.to_vec());
        self.call(py, wake, |client| async move { client.embeddings(&body).await.map(Value::Text) })
    }

    /// Transcribes a recording in a form: the whole answer, as JSON text.
    #[pyo3(signature = (body, content_type, wake = None))]
    fn transcriptions(
        &self,
        py: Python<'_>,
        body: Bytes,
        content_type: String,
        wake: Option<Py<PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let body = zeroize::Zeroizing::new(body.to_vec());
        self.call(py, wake, |client| async move {
            client.transcriptions(&body, &content_type).await.map(Value::Text)
        })
    }

    /// Drops the client; later calls raise `MisuseError` (`already_finished`). Streams that are under way live on.
    fn close(&self, py: Python<'_>) {
        let owned = lock(&self.slot).take();
        py.detach(|| drop_at_home(owned.map(|owned| (owned.process, owned.client))));
    }
}

impl Drop for ClientHandle {
    fn drop(&mut self) {
        let owned = lock(&self.slot).take();
        drop_at_home(owned.map(|owned| (owned.process, owned.client)));
    }
}

/// Drops a value that is tied to the runtime of the process that made it. In a forked child it is left alone instead: closing it there
/// would speak on the parent's connections.
pub fn drop_at_home<T>(value: Option<(u32, T)>) {
    let Some((process, value)) = value else { return };
    if process == std::process::id() {
        drop(guard(|| {
            drop(value);
            Ok(())
        }));
    } else {
        std::mem::forget(value);
    }
}

fn duplicate(config: &ClientConfig) -> ClientConfig {
    let mut copy = ClientConfig::new(config.provider, config.api_key.duplicate());
    copy.base_url = config.base_url.clone();
    copy.collateral_url = config.collateral_url.clone();
    copy.nvidia_url = config.nvidia_url.clone();
    copy.policy = config.policy.clone();
    copy.roots = config.roots.clone();
    copy.ca_bundle_pem = config.ca_bundle_pem.clone();
    copy.proxy = config.proxy.clone();
    copy.cache_dir = config.cache_dir.clone();
    copy.pins = config.pins.clone();
    copy.workspace = config.workspace.clone();
    copy.timeouts = config.timeouts;
    copy.privatemode = config.privatemode.clone();
    copy
}

/// Native half of `Stream` and `AsyncStream`.
#[pyclass(frozen, module = "proveil._core")]
pub struct StreamHandle {
    process: u32,
    report: CoreReport,
    slot: Arc<Mutex<Slot>>,
    closed: CancelToken,
}

/// Where the stream is. Not the `StreamCell` of the other languages: here an ended stream goes on to answer, with nothing and its receipt,
/// and a receipt that is asked for while a call is under way is `None` and not `busy`.
enum Slot {
    /// Here.
    Idle(Box<Stream>),
    /// With a call that is under way.
    Lent,
    /// Here, after its end.
    Ended(Box<Stream>, CoreReceipt),
    /// Closed, failed or cancelled.
    Gone,
}

/// The stream while a call has it. When the call is dropped, the stream goes with it: cancelled means closed.
struct Lease {
    slot: Arc<Mutex<Slot>>,
    stream: Option<Box<Stream>>,
}

impl Lease {
    /// Gives the stream back, unless it was closed meanwhile.
    fn settle(mut self, after: impl FnOnce(Box<Stream>) -> Slot) {
        let Some(stream) = self.stream.take() else { return };
        let after = after(stream);
        let mut slot = lock(&self.slot);
        if matches!(*slot, Slot::Lent) {
            *slot = after;
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Whoever sees the connection end must find it closed here.
        if let Some(stream) = self.stream.take() {
            *lock(&self.slot) = Slot::Gone;
            drop(stream);
        }
    }
}

impl StreamHandle {
    /// Wraps a started answer.
    pub fn new(stream: Stream) -> StreamHandle {
        StreamHandle {
            process: std::process::id(),
            report: stream.report().clone(),
            slot: Arc::new(Mutex::new(Slot::Idle(Box::new(stream)))),
            closed: CancelToken::new(),
        }
    }

    fn check_process(&self) -> Result<()> {
        if self.process == std::process::id() {
            return Ok(());
        }
        Err(Error::new(Code::OutOfOrder)
            .context("The stream belongs to the process that started it; start a new chat in this one."))
    }

    fn lease(&self, stream: Box<Stream>) -> Lease {
        Lease { slot: self.slot.clone(), stream: Some(stream) }
    }

    fn next_job(&self) -> Result<Job> {
        self.check_process()?;
        let mut slot = lock(&self.slot);
        match std::mem::replace(&mut *slot, Slot::Lent) {
            Slot::Idle(stream) => {
                let closed = self.closed.clone();
                let work = next_events(self.lease(stream));
                Ok(Box::pin(async move {
                    tokio::select! {
                        result = work => result.map(Value::Events),
                        () = closed.triggered() => Err(Error::new(Code::Cancelled)),
                    }
                }))
            }
            Slot::Lent => Err(Error::new(Code::Busy)),
            Slot::Ended(stream, receipt) => {
                *slot = Slot::Ended(stream, receipt);
                Ok(Box::pin(async { Ok(Value::Events(None)) }))
            }
            Slot::Gone => {
                *slot = Slot::Gone;
                Err(Error::new(Code::AlreadyFinished))
            }
        }
    }

    fn signature_job(&self) -> Result<Job> {
        self.check_process()?;
        let mut slot = lock(&self.slot);
        match std::mem::replace(&mut *slot, Slot::Lent) {
            Slot::Ended(stream, receipt) => {
                let mut lease = self.lease(stream);
                Ok(Box::pin(async move {
                    let Some(stream) = lease.stream.as_mut() else { return Err(Error::new(Code::Internal)) };
                    let verdict = stream.verify_signature().await;
                    lease.settle(|stream| Slot::Ended(stream, receipt));
                    verdict.map(|verdict| Value::Text(verdict.name().to_owned()))
                }))
            }
            Slot::Lent => Err(Error::new(Code::Busy)),
            other => {
                *slot = other;
                Err(Error::new(Code::OutOfOrder).expected("the whole answer was read"))
            }
        }
    }
}

#[pymethods]
impl StreamHandle {
    /// The next events, at least one; `None` after the end of a complete answer.
    #[pyo3(signature = (wake = None))]
    fn next_events(&self, py: Python<'_>, wake: Option<Py<PyAny>>) -> PyResult<Py<PyAny>> {
        let job = guarded(py, || self.next_job())?;
        run(py, job, wake)
    }

    /// Asks for the response signature and judges it: `body_matches` or `signed_body_not_verifiable`.
    #[pyo3(signature = (wake = None))]
    fn verify_signature(&self, py: Python<'_>, wake: Option<Py<PyAny>>) -> PyResult<Py<PyAny>> {
        let job = guarded(py, || self.signature_job())?;
        run(py, job, wake)
    }

    /// The report of the verification that the request was sealed under.
    #[getter]
    fn report(&self) -> Report {
        Report(self.report.clone())
    }

    /// What is known about the answer after its end; `None` before.
    #[getter]
    fn receipt(&self, py: Python<'_>) -> PyResult<Option<Receipt>> {
        self.check_process().map_err(|error| to_py(py, &error))?;
        Ok(match &*lock(&self.slot) {
            Slot::Ended(_, receipt) => Some(Receipt::new(receipt.clone(), PyList::empty(py))),
            _ => None,
        })
    }

    /// Closes the connection and wipes the keys; an unfinished answer stays incomplete. A call that waits in another thread ends.
    fn close(&self, py: Python<'_>) {
        if self.process != std::process::id() {
            return;
        }
        self.closed.trigger();
        let slot = std::mem::replace(&mut *lock(&self.slot), Slot::Gone);
        py.detach(|| drop_at_home(Some((self.process, slot))));
    }
}

impl Drop for StreamHandle {
    fn drop(&mut self) {
        if self.process == std::process::id() {
            let slot = std::mem::replace(&mut *lock(&self.slot), Slot::Gone);
            drop_at_home(Some((self.process, slot)));
        } else {
            std::mem::forget(self.slot.clone());
        }
    }
}

/// Waits for one event and takes along those that are there already.
async fn next_events(mut lease: Lease) -> Result<Option<Vec<FlatEvent>>> {
    let Some(stream) = lease.stream.as_mut() else { return Err(Error::new(Code::Internal)) };
    match stream.next().await {
        Some(Ok(first)) => {
            let mut events = vec![FlatEvent::from(first)];
            while events.len() < BATCH {
                let Some(event) = stream.next_buffered() else { break };
                events.push(FlatEvent::from(event));
            }
            lease.settle(Slot::Idle);
            Ok(Some(events))
        }
        Some(Err(error)) => Err(error),
        None => {
            let receipt =
                stream.receipt().cloned().ok_or_else(|| Error::new(Code::Internal).at("receipt"))?;
            lease.settle(|stream| Slot::Ended(stream, receipt));
            Ok(None)
        }
    }
}
