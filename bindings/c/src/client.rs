//! The client: verification, sending and opening with a transport of its own.

use std::ffi::c_char;

use proveil_bindings_support::client::{Client, ClientConfig};
use proveil_bindings_support::core::Result;
use proveil_bindings_support::core::limits::REQUEST_MAX_BYTES;
use proveil_bindings_support::core::secret::SecretText;
use proveil_bindings_support::{ClientOptions, PrivatemodeFields, TimeoutOptions};

use crate::boundary::{Options, Out, bytes, call, handle_out, manifest, options, owned_text, release, text};
use crate::bundle::BundleObject;
use crate::cancel::{blocking, switch};
use crate::endpoint::{EndpointObject, request};
use crate::handle;
use crate::policy::{policy, trust_roots};
use crate::report::ReportObject;
use crate::stream::StreamObject;
use crate::text::CText;
use crate::types::{
    pv_buf, pv_bytes, pv_cancel, pv_client, pv_endpoint, pv_error, pv_evidence_bundle, pv_policy, pv_report,
    pv_status, pv_stream, pv_trust_roots,
};

/// Largest bundle of certificates.
const CA_BUNDLE_MAX_BYTES: usize = 4 * 1024 * 1024;

/// A client.
pub struct ClientObject(Client);

/// Settings of a client, for pv_client_new(). Set all members to zero first.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct pv_client_options {
    /// sizeof(pv_client_options).
    pub struct_size: usize,
    /// Provider name, NUL-terminated: `venice` or `privatemode`.
    pub provider: *const c_char,
    /// The caller's API key, NUL-terminated; sent to the provider only.
    pub api_key: *const c_char,
    /// Where the provider is reached, NUL-terminated; NULL for its public address.
    pub base_url: *const c_char,
    /// Where vendor collateral is fetched, NUL-terminated; NULL for the vendor's service.
    pub collateral_url: *const c_char,
    /// What must hold; NULL for the preset `standard`.
    pub policy: *const pv_policy,
    /// Whose signatures count; NULL for the hardware vendors' roots.
    pub trust_roots: *const pv_trust_roots,
    /// PEM certificates of authorities accepted for TLS besides the public ones, at most 4 MiB;
    /// empty for none.
    pub ca_bundle_pem: pv_bytes,
    /// Proxy, NUL-terminated: a URL, `none`, or `environment` for HTTPS_PROXY and NO_PROXY. NULL is
    /// `environment`.
    pub proxy: *const c_char,
    /// Folder in which collateral and certificates that were fetched are kept, NUL-terminated; they are verified again when they are
    /// read. NULL keeps them in memory only: each process then asks the vendors anew, and AMD limits how often.
    pub cache_dir: *const c_char,
    /// Bound for connecting, in seconds; 0 for the default.
    pub connect_timeout_s: u32,
    /// Bound for the first byte of an answer, in seconds; 0 for the default.
    pub first_byte_timeout_s: u32,
    /// Bound for a gap in an answer, in seconds; 0 for the default.
    pub idle_timeout_s: u32,
    /// Bound for a whole verification, in seconds; 0 for the default.
    pub verification_timeout_s: u32,
    /// Where NVIDIA's manifests, OCSP answers and attestation service are reached, NUL-terminated;
    /// NULL for NVIDIA's hosts. They are asked only where the policy requires what they say.
    pub nvidia_url: *const c_char,
    /// File of pinned software, NUL-terminated, as `proveil pin` keeps it: other software than the
    /// pinned one is refused (PV-263), and a file that cannot be read is an error (PV-140). NULL for
    /// no pins.
    pub pins_path: *const c_char,
    /// Privatemode: the manifest that the deployment must have, byte for byte, at most 4 MiB; then it
    /// proves the software. Empty takes the one that the provider publishes, which says what runs and
    /// not that this is right.
    pub manifest: pv_bytes,
    /// Privatemode: where manifests are published, NUL-terminated; NULL for the provider's own host.
    pub manifest_url: *const c_char,
    /// Privatemode: where AMD's key distribution service is reached, NUL-terminated; NULL for AMD's
    /// own.
    pub amd_url: *const c_char,
    /// Privatemode: a secret of at least 32 bytes, NUL-terminated. Prompts with the same one can share
    /// what the service keeps of them; NULL gives each request its own.
    pub cache_salt: *const c_char,
    /// Privatemode: DNS name that the key service's certificate must have, NUL-terminated; NULL for
    /// those in the manifest.
    pub key_service_name: *const c_char,
    /// Privatemode: accepts GPUs whose certificate has an unknown state, or was revoked less than so
    /// many seconds ago; 0 takes only those that were not revoked.
    pub gpu_revocation_grace_s: u64,
    /// Privatemode: folder whose `manifests` keeps each manifest that the deployment was proven to run,
    /// with `log.txt` of when it was first seen and what changed, NUL-terminated; NULL for no such log. A
    /// log that cannot be written is no error.
    pub workspace: *const c_char,
}

// SAFETY: `repr(C)`, `struct_size` first; pointers and integers are valid with all bytes zero.
unsafe impl Options for pv_client_options {
    const SIZES: &'static [usize] = &[
        // Programs that set neither TLS, proxy, cache nor timeouts need not know these members.
        std::mem::offset_of!(pv_client_options, ca_bundle_pem),
        std::mem::offset_of!(pv_client_options, nvidia_url),
        // Before pins.
        std::mem::offset_of!(pv_client_options, pins_path),
        // Before Privatemode.
        std::mem::offset_of!(pv_client_options, manifest),
        // Before the log of manifests.
        std::mem::offset_of!(pv_client_options, workspace),
        size_of::<pv_client_options>(),
    ];
}

/// Converts the members.
///
/// # Safety
/// Every pointer of `given` is NULL or can be read during the call.
unsafe fn config(given: &pv_client_options) -> Result<ClientConfig> {
    let seconds = |value: u32| (value != 0).then_some(u64::from(value));
    // SAFETY: handed on from the caller.
    let (provider, key) = unsafe { (text(given.provider, "provider")?, text(given.api_key, "api_key")?) };
    // SAFETY: handed on from the caller.
    let bundle = unsafe { bytes(given.ca_bundle_pem, "ca_bundle_pem", CA_BUNDLE_MAX_BYTES) }?;
    ClientOptions {
        provider: provider.to_owned(),
        api_key: SecretText::new(key.to_owned()),
        // SAFETY: handed on from the caller.
        base_url: unsafe { owned_text(given.base_url, "base_url") }?,
        // SAFETY: handed on from the caller.
        collateral_url: unsafe { owned_text(given.collateral_url, "collateral_url") }?,
        // SAFETY: handed on from the caller.
        nvidia_url: unsafe { owned_text(given.nvidia_url, "nvidia_url") }?,
        policy: policy(given.policy)?,
        trust_roots: trust_roots(given.trust_roots)?,
        ca_bundle_pem: (!bundle.is_empty()).then(|| bundle.to_vec()),
        // SAFETY: handed on from the caller.
        proxy: unsafe { owned_text(given.proxy, "proxy") }?,
        // SAFETY: handed on from the caller.
        cache_dir: unsafe { owned_text(given.cache_dir, "cache_dir") }?,
        // SAFETY: handed on from the caller.
        pins: unsafe { owned_text(given.pins_path, "pins_path") }?,
        // SAFETY: handed on from the caller.
        workspace: unsafe { owned_text(given.workspace, "workspace") }?,
        timeouts: TimeoutOptions {
            connect_s: seconds(given.connect_timeout_s),
            first_byte_s: seconds(given.first_byte_timeout_s),
            idle_s: seconds(given.idle_timeout_s),
            verification_s: seconds(given.verification_timeout_s),
        },
        privatemode: PrivatemodeFields {
            // SAFETY: handed on from the caller.
            manifest: unsafe { manifest(given.manifest) }?,
            // SAFETY: handed on from the caller.
            manifest_url: unsafe { owned_text(given.manifest_url, "manifest_url") }?,
            // SAFETY: handed on from the caller.
            amd_url: unsafe { owned_text(given.amd_url, "amd_url") }?,
            gpu_revocation_grace_s: Some(given.gpu_revocation_grace_s),
            // SAFETY: handed on from the caller.
            cache_salt: unsafe { owned_text(given.cache_salt, "cache_salt") }?.map(SecretText::new),
            // SAFETY: handed on from the caller.
            key_service_name: unsafe { owned_text(given.key_service_name, "key_service_name") }?,
        },
    }
    .config()
}

/// Makes a client. Opens no connection and starts no thread; the first call that needs the
/// network does.
///
/// @param options      all members borrowed for the call
/// @param[out] client  to be freed with pv_client_free()
/// @param[out] error   may be NULL
///
/// Threads: any. Codes: PV-104, PV-121, PV-130, PV-133, PV-136, PV-601, PV-701 to PV-703, PV-705, PV-706,
/// PV-710.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_client_new(
    options: *const pv_client_options,
    client: *mut *mut pv_client,
    error: *mut *mut pv_error,
) -> pv_status {
    let work = || {
        // SAFETY: the caller keeps the promises of the header about outputs and options.
        let (client, given) = unsafe { (handle_out(client, "client")?, self::options(options)?) };
        // SAFETY: the caller keeps the promises of the header about the members.
        client.give(ClientObject(Client::new(unsafe { config(&given) }?)?))
    };
    // SAFETY: the caller keeps the promise of the header about `error`.
    unsafe { call(error, work) }
}

/// The provider's models with their privacy class, as JSON:
/// {"models":[{"id","class":"e2ee|tee|private|anonymous|unknown"}]}.
///
/// @param timeout_ms  bound of this call in milliseconds; 0 for the client's own bounds
/// @param cancel      ends the call from another thread; may be NULL
/// @param[out] json   to be freed with pv_buf_free()
/// @param[out] error  may be NULL
///
/// Blocks. Threads: any. Codes: PV-311, PV-5xx, PV-602, PV-701 to PV-703, PV-709.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_client_models_json(
    client: *const pv_client,
    timeout_ms: u32,
    cancel: *const pv_cancel,
    json: *mut pv_buf,
    error: *mut *mut pv_error,
) -> pv_status {
    let work = || {
        // SAFETY: the caller keeps the promise of the header about outputs.
        let json = unsafe { Out::new(json, pv_buf::EMPTY) }.required("json")?;
        let (client, cancel) = (handle::find(client)?, switch(cancel)?);
        json.give(blocking(timeout_ms, [cancel.as_deref(), None], client.0.models_json())?.as_bytes())
    };
    // SAFETY: the caller keeps the promise of the header about `error`.
    unsafe { call(error, work) }
}

/// Verifies an endpoint anew. All three verdicts are a report and PV_OK: look at
/// pv_report_verdict(). An error means that there was nothing to judge: an argument or setting that
/// cannot be used (PV-1xx, with pins that cannot be read), a provider whose model list, manifest,
/// attestation or key exchange could not be fetched (PV-3xx), or one that answered with an error
/// (PV-5xx).
///
/// @param model        model id, NUL-terminated
/// @param timeout_ms   bound of this call in milliseconds; 0 for the client's own bounds
/// @param cancel       ends the call from another thread; may be NULL
/// @param[out] report  to be freed with pv_report_free()
/// @param[out] error   may be NULL
///
/// Blocks. Threads: any. Codes: PV-101, PV-105 to PV-107, PV-140, PV-305, PV-306, PV-308, PV-311,
/// PV-314, PV-315, PV-5xx, PV-601, PV-602, PV-701 to PV-703, PV-705, PV-709.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_client_verify(
    client: *const pv_client,
    model: *const c_char,
    timeout_ms: u32,
    cancel: *const pv_cancel,
    report: *mut *mut pv_report,
    error: *mut *mut pv_error,
) -> pv_status {
    let work = || {
        // SAFETY: the caller keeps the promises of the header about outputs and texts.
        let (report, model) = unsafe { (handle_out(report, "report")?, text(model, "model")?) };
        let (client, cancel) = (handle::find(client)?, switch(cancel)?);
        report.give(ReportObject::new(blocking(
            timeout_ms,
            [cancel.as_deref(), None],
            client.0.verify(model),
        )?))
    };
    // SAFETY: the caller keeps the promise of the header about `error`.
    unsafe { call(error, work) }
}

/// Verifies an endpoint anew and gives everything that the verification used, whatever its verdict,
/// to be kept: pv_evidence_bundle_appraise() gives the report, now and later. Errors are those of
/// pv_client_verify().
///
/// @param model        model id, NUL-terminated
/// @param timeout_ms   bound of this call in milliseconds; 0 for the client's own bounds
/// @param cancel       ends the call from another thread; may be NULL
/// @param[out] bundle  to be freed with pv_evidence_bundle_free()
/// @param[out] error   may be NULL
///
/// Blocks. Threads: any. Codes: PV-101, PV-105 to PV-107, PV-140, PV-305, PV-306, PV-308, PV-311,
/// PV-314, PV-315, PV-5xx, PV-601, PV-602, PV-701 to PV-703, PV-705, PV-709.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_client_capture(
    client: *const pv_client,
    model: *const c_char,
    timeout_ms: u32,
    cancel: *const pv_cancel,
    bundle: *mut *mut pv_evidence_bundle,
    error: *mut *mut pv_error,
) -> pv_status {
    let work = || {
        // SAFETY: the caller keeps the promises of the header about outputs and texts.
        let (bundle, model) = unsafe { (handle_out(bundle, "bundle")?, text(model, "model")?) };
        let (client, cancel) = (handle::find(client)?, switch(cancel)?);
        let capture = blocking(timeout_ms, [cancel.as_deref(), None], client.0.capture(model))?;
        bundle.give(BundleObject::new(capture.bundle))
    };
    // SAFETY: the caller keeps the promise of the header about `error`.
    unsafe { call(error, work) }
}

/// The proven endpoint of a model: from an earlier verification while it lasts, otherwise from a
/// new one. A refusal is an error that carries the report.
///
/// @param model          model id, NUL-terminated
/// @param timeout_ms     bound of this call in milliseconds; 0 for the client's own bounds
/// @param cancel         ends the call from another thread; may be NULL
/// @param[out] endpoint  to be freed with pv_endpoint_free()
/// @param[out] error     may be NULL
///
/// Blocks. Threads: any. Codes: PV-101, PV-105 to PV-107, PV-140, PV-2xx, PV-3xx, PV-5xx, PV-601,
/// PV-602, PV-701 to PV-703, PV-705, PV-709.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_client_ready(
    client: *const pv_client,
    model: *const c_char,
    timeout_ms: u32,
    cancel: *const pv_cancel,
    endpoint: *mut *mut pv_endpoint,
    error: *mut *mut pv_error,
) -> pv_status {
    let work = || {
        // SAFETY: the caller keeps the promises of the header about outputs and texts.
        let (endpoint, model) = unsafe { (handle_out(endpoint, "endpoint")?, text(model, "model")?) };
        let (client, cancel) = (handle::find(client)?, switch(cancel)?);
        endpoint.give(EndpointObject::new(blocking(
            timeout_ms,
            [cancel.as_deref(), None],
            client.0.ready(model),
        )?))
    };
    // SAFETY: the caller keeps the promise of the header about `error`.
    unsafe { call(error, work) }
}

/// Verifies if needed, seals and sends a chat request, and gives its answer as a stream. Nothing
/// leaves before the endpoint is verified. What an answer says besides texts (calls of tools,
/// refusals, log probabilities) comes as PV_EVENT_DOCUMENT, before its texts.
///
/// @param body         one JSON object in the OpenAI chat form with `model`, at most 50 MiB
/// @param timeout_ms   bound of this call in milliseconds; 0 for the client's own bounds
/// @param cancel       ends the call from another thread; may be NULL
/// @param[out] stream  to be freed with pv_stream_free()
/// @param[out] error   may be NULL
///
/// Blocks. Threads: any. Codes: PV-101 to PV-124, PV-2xx, PV-3xx, PV-5xx, PV-601, PV-602, PV-701
/// to PV-703, PV-709, PV-710.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_client_chat(
    client: *const pv_client,
    body: pv_bytes,
    timeout_ms: u32,
    cancel: *const pv_cancel,
    stream: *mut *mut pv_stream,
    error: *mut *mut pv_error,
) -> pv_status {
    let work = || {
        // SAFETY: the caller keeps the promises of the header about outputs and byte ranges.
        let (stream, body) =
            unsafe { (handle_out(stream, "stream")?, bytes(body, "body", REQUEST_MAX_BYTES)?) };
        let (client, cancel) = (handle::find(client)?, switch(cancel)?);
        stream.give(StreamObject::new(blocking(timeout_ms, [cancel.as_deref(), None], client.0.chat(body))?))
    };
    // SAFETY: the caller keeps the promise of the header about `error`.
    unsafe { call(error, work) }
}

/// Verifies if needed, seals and sends a request for any endpoint of the API that the provider
/// carries sealed, and gives its answer as a stream of PV_EVENT_DOCUMENT: one for a whole answer, one
/// for each event of a streamed one. Nothing leaves before the endpoint is verified.
///
/// @param endpoint_path  path of the endpoint, NUL-terminated: `/v1/messages`
/// @param body           JSON, a form or a document, at most 50 MiB
/// @param content_type   media type of a form or document with its parameters, NUL-terminated; NULL
///                       for JSON
/// @param timeout_ms     bound of this call in milliseconds; 0 for the client's own bounds
/// @param cancel         ends the call from another thread; may be NULL
/// @param[out] stream    to be freed with pv_stream_free()
/// @param[out] error     may be NULL
///
/// Blocks. Threads: any. Codes: PV-101 to PV-124, PV-2xx, PV-3xx, PV-5xx, PV-601, PV-602, PV-701
/// to PV-703, PV-705, PV-709, PV-710.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_client_send(
    client: *const pv_client,
    endpoint_path: *const c_char,
    body: pv_bytes,
    content_type: *const c_char,
    timeout_ms: u32,
    cancel: *const pv_cancel,
    stream: *mut *mut pv_stream,
    error: *mut *mut pv_error,
) -> pv_status {
    let work = || {
        // SAFETY: the caller keeps the promise of the header about outputs.
        let stream = unsafe { handle_out(stream, "stream") }?;
        // SAFETY: the caller keeps the promises of the header about texts and byte ranges.
        let request = unsafe { request(endpoint_path, body, content_type) }?;
        let (client, cancel) = (handle::find(client)?, switch(cancel)?);
        let send = async { client.0.send(&request.request()).await };
        stream.give(StreamObject::new(blocking(timeout_ms, [cancel.as_deref(), None], send)?))
    };
    // SAFETY: the caller keeps the promise of the header about `error`.
    unsafe { call(error, work) }
}

/// Embeds texts as pv_client_send() would, and gives the whole answer as JSON.
///
/// @param body         one JSON object in the OpenAI form with `model` and `input`, at most 50 MiB
/// @param timeout_ms   bound of this call in milliseconds; 0 for the client's own bounds
/// @param cancel       ends the call from another thread; may be NULL
/// @param[out] json    to be freed with pv_buf_free()
/// @param[out] error   may be NULL
///
/// Blocks. Threads: any. Codes: PV-101 to PV-124, PV-2xx, PV-3xx, PV-4xx, PV-5xx, PV-601, PV-602,
/// PV-701 to PV-703, PV-705, PV-709, PV-710.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_client_embeddings(
    client: *const pv_client,
    body: pv_bytes,
    timeout_ms: u32,
    cancel: *const pv_cancel,
    json: *mut pv_buf,
    error: *mut *mut pv_error,
) -> pv_status {
    let work = || {
        // SAFETY: the caller keeps the promise of the header about outputs.
        let json = unsafe { Out::new(json, pv_buf::EMPTY) }.required("json")?;
        // SAFETY: the caller keeps the promise of the header about byte ranges.
        let body = unsafe { bytes(body, "body", REQUEST_MAX_BYTES) }?;
        let (client, cancel) = (handle::find(client)?, switch(cancel)?);
        let answer = blocking(timeout_ms, [cancel.as_deref(), None], client.0.embeddings(body))?;
        json.give_text(CText::take(answer))
    };
    // SAFETY: the caller keeps the promise of the header about `error`.
    unsafe { call(error, work) }
}

/// Transcribes a recording as pv_client_send() would, and gives the whole answer as JSON.
///
/// @param body         a form in the OpenAI form with `model` and `file`, at most 50 MiB
/// @param content_type `multipart/form-data` with its boundary, NUL-terminated
/// @param timeout_ms   bound of this call in milliseconds; 0 for the client's own bounds
/// @param cancel       ends the call from another thread; may be NULL
/// @param[out] json    to be freed with pv_buf_free()
/// @param[out] error   may be NULL
///
/// Blocks. Threads: any. Codes: PV-101 to PV-124, PV-2xx, PV-3xx, PV-4xx, PV-5xx, PV-601, PV-602,
/// PV-701 to PV-703, PV-705, PV-709, PV-710.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_client_transcriptions(
    client: *const pv_client,
    body: pv_bytes,
    content_type: *const c_char,
    timeout_ms: u32,
    cancel: *const pv_cancel,
    json: *mut pv_buf,
    error: *mut *mut pv_error,
) -> pv_status {
    let work = || {
        // SAFETY: the caller keeps the promise of the header about outputs.
        let json = unsafe { Out::new(json, pv_buf::EMPTY) }.required("json")?;
        // SAFETY: the caller keeps the promise of the header about byte ranges.
        let body = unsafe { bytes(body, "body", REQUEST_MAX_BYTES) }?;
        // SAFETY: the caller keeps the promise of the header about texts.
        let content_type = unsafe { text(content_type, "content_type") }?;
        let (client, cancel) = (handle::find(client)?, switch(cancel)?);
        let transcribe = client.0.transcriptions(body, content_type);
        json.give_text(CText::take(blocking(timeout_ms, [cancel.as_deref(), None], transcribe)?))
    };
    // SAFETY: the caller keeps the promise of the header about `error`.
    unsafe { call(error, work) }
}

/// Frees a client. NULL is accepted. Its streams and endpoints live on.
///
/// Threads: any. Codes: PV-702, PV-703.
#[unsafe(no_mangle)]
pub extern "C" fn pv_client_free(client: *mut pv_client) -> pv_status {
    release(client)
}
