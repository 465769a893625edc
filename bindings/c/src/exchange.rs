//! The dialogue that verifies an endpoint, for callers with their own transport.

use std::ffi::c_char;
use std::sync::{Arc, OnceLock};

use proveil_bindings_support::core::endpoint::{Outcome, VerifiedEndpoint};
use proveil_bindings_support::core::http::TransportFailure;
use proveil_bindings_support::core::limits::{ANSWER_MAX_BYTES, MODEL_LIST_MAX_BYTES};
use proveil_bindings_support::core::provider::{ExchangeConfig, Step};
use proveil_bindings_support::core::report::Report;
use proveil_bindings_support::core::secret::SecretText;
use proveil_bindings_support::core::{Code, Error, Result};
use proveil_bindings_support::{ExchangeCell, ExchangeOptions, PrivatemodeFields, fetched_endorsements};

use crate::boundary::{
    Options, Out, bytes, call, get, handle_out, manifest, options, owned_text, release, text,
};
use crate::endpoint::EndpointObject;
use crate::handle;
use crate::http::{RequestObject, response};
use crate::policy::{policy, trust_roots};
use crate::report::{ReportObject, collateral, endorsements, time};
use crate::text::CText;
use crate::types::{
    pv_buf, pv_bytes, pv_endpoint, pv_error, pv_exchange, pv_header, pv_http_request, pv_policy, pv_report,
    pv_status, pv_trust_roots,
};

/// Transport failure: name resolution, connection or TLS handshake failed.
pub const PV_TRANSPORT_FAILURE_CONNECT: i32 = 1;
/// Transport failure: a timeout passed.
pub const PV_TRANSPORT_FAILURE_TIMEOUT: i32 = 2;
/// Transport failure: the peer's key is not a pinned one.
pub const PV_TRANSPORT_FAILURE_TLS_RULE: i32 = 3;
/// Transport failure: the answer is longer than allowed.
pub const PV_TRANSPORT_FAILURE_TOO_LARGE: i32 = 4;
/// Transport failure: the connection broke while the answer was read.
pub const PV_TRANSPORT_FAILURE_BROKEN: i32 = 5;
/// Transport failure: the caller gave up.
pub const PV_TRANSPORT_FAILURE_CANCELLED: i32 = 6;

/// A verification and, at its end, what came of it.
pub struct ExchangeObject {
    cell: ExchangeCell,
    outcome: OnceLock<(Report, Result<Arc<VerifiedEndpoint>>)>,
}

impl ExchangeObject {
    fn outcome(&self) -> Result<&(Report, Result<Arc<VerifiedEndpoint>>)> {
        self.outcome.get().ok_or_else(|| Error::new(Code::OutOfOrder).expected("the end of the verification"))
    }

    fn next(&self, at: Option<u64>) -> Result<Option<RequestObject>> {
        if self.outcome.get().is_some() {
            return Ok(None);
        }
        match self.cell.next(at)? {
            Step::Send(request) => Ok(Some(RequestObject::new(request))),
            Step::Done(outcome) => {
                self.outcome.get_or_init(|| (outcome.report().clone(), endpoint(*outcome)));
                Ok(None)
            }
        }
    }
}

fn endpoint(outcome: Outcome) -> Result<Arc<VerifiedEndpoint>> {
    outcome.into_result().map(Arc::new)
}

/// What to verify, and by which rules, for pv_exchange_new(). Set all members to zero first.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct pv_exchange_options {
    /// sizeof(pv_exchange_options).
    pub struct_size: usize,
    /// Provider name, NUL-terminated: `venice` or `privatemode`.
    pub provider: *const c_char,
    /// Model id as the provider names it, NUL-terminated.
    pub model: *const c_char,
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
    /// Collateral already at hand, each as from pv_exchange_collateral_json(). It is verified
    /// like fetched collateral.
    pub collateral: *const pv_bytes,
    /// Number of collateral documents, at most 64.
    pub collateral_count: usize,
    /// A recent answer of the provider's model list, to save a request; empty if there is none.
    pub model_list: pv_bytes,
    /// Where NVIDIA's manifests, OCSP answers and attestation service are reached, NUL-terminated;
    /// NULL for NVIDIA's hosts. They are asked only where the policy requires what they say.
    pub nvidia_url: *const c_char,
    /// What NVIDIA said earlier, each as from pv_exchange_endorsements_json(), at most 16 MiB. It is
    /// verified like what is fetched.
    pub endorsements: *const pv_bytes,
    /// Number of endorsement documents, at most 64.
    pub endorsements_count: usize,
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
}

// SAFETY: `repr(C)`, `struct_size` first; pointers and integers are valid with all bytes zero.
unsafe impl Options for pv_exchange_options {
    const SIZES: &'static [usize] = &[
        // Programs that hand in neither collateral nor a model list need not know these members.
        std::mem::offset_of!(pv_exchange_options, collateral),
        std::mem::offset_of!(pv_exchange_options, nvidia_url),
        // Before Privatemode.
        std::mem::offset_of!(pv_exchange_options, manifest),
        size_of::<pv_exchange_options>(),
    ];
}

/// Converts the members.
///
/// # Safety
/// Every pointer of `given` is NULL or can be read during the call.
unsafe fn config(given: &pv_exchange_options) -> Result<ExchangeConfig> {
    // SAFETY: handed on from the caller.
    let (provider, model) = unsafe { (text(given.provider, "provider")?, text(given.model, "model")?) };
    // SAFETY: handed on from the caller.
    let api_key = SecretText::new(unsafe { text(given.api_key, "api_key") }?.to_owned());
    // SAFETY: handed on from the caller.
    let model_list = unsafe { bytes(given.model_list, "model_list", MODEL_LIST_MAX_BYTES) }?;
    ExchangeOptions {
        provider: provider.to_owned(),
        model: model.to_owned(),
        api_key,
        // SAFETY: handed on from the caller.
        base_url: unsafe { owned_text(given.base_url, "base_url") }?,
        // SAFETY: handed on from the caller.
        collateral_url: unsafe { owned_text(given.collateral_url, "collateral_url") }?,
        // SAFETY: handed on from the caller.
        nvidia_url: unsafe { owned_text(given.nvidia_url, "nvidia_url") }?,
        policy: policy(given.policy)?,
        trust_roots: trust_roots(given.trust_roots)?,
        // SAFETY: handed on from the caller.
        collateral: unsafe { collateral(given.collateral, given.collateral_count) }?,
        // SAFETY: handed on from the caller.
        endorsements: unsafe { endorsements(given.endorsements, given.endorsements_count) }?,
        model_list: (!model_list.is_empty()).then(|| model_list.to_vec()),
        privatemode: PrivatemodeFields {
            // SAFETY: handed on from the caller.
            manifest: unsafe { manifest(given.manifest) }?,
            // SAFETY: handed on from the caller.
            manifest_url: unsafe { owned_text(given.manifest_url, "manifest_url") }?,
            // SAFETY: handed on from the caller.
            amd_url: unsafe { owned_text(given.amd_url, "amd_url") }?,
            gpu_revocation_grace_s: (given.gpu_revocation_grace_s != 0)
                .then_some(given.gpu_revocation_grace_s),
            // SAFETY: handed on from the caller.
            cache_salt: unsafe { owned_text(given.cache_salt, "cache_salt") }?.map(SecretText::new),
            // SAFETY: handed on from the caller.
            key_service_name: unsafe { owned_text(given.key_service_name, "key_service_name") }?,
        },
    }
    .config()
}

/// Prepares a verification with a fresh challenge. Opens no connection.
///
/// @param options        all members borrowed for the call
/// @param[out] exchange  to be freed with pv_exchange_free()
/// @param[out] error     may be NULL
///
/// Threads: any. Codes: PV-101, PV-104, PV-121, PV-136, PV-312, PV-601, PV-701 to PV-703, PV-705, PV-706,
/// PV-710, PV-903.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_exchange_new(
    options: *const pv_exchange_options,
    exchange: *mut *mut pv_exchange,
    error: *mut *mut pv_error,
) -> pv_status {
    let work = || {
        // SAFETY: the caller keeps the promises of the header about outputs and options.
        let (exchange, given) = unsafe { (handle_out(exchange, "exchange")?, self::options(options)?) };
        // SAFETY: the caller keeps the promises of the header about the members.
        let cell = ExchangeCell::new(unsafe { config(&given) }?)?;
        exchange.give(ExchangeObject { cell, outcome: OnceLock::new() })
    };
    // SAFETY: the caller keeps the promise of the header about `error`.
    unsafe { call(error, work) }
}

/// The next request to send; NULL (with PV_OK) once the verification has ended. Then ask for
/// pv_exchange_report() and pv_exchange_endpoint(). Called again without an answer it gives the
/// same request.
///
/// @param at_unix_s     the current time in seconds since 1970-01-01T00:00:00Z; PV_NOW for the
///                      system's clock
/// @param[out] request  to be freed with pv_http_request_free(); send it, then call
///                      pv_exchange_feed() or pv_exchange_fail()
/// @param[out] error    may be NULL
///
/// Threads: one at a time, otherwise PV-707. Codes: PV-105, PV-106, PV-107 (model), PV-308,
/// PV-5xx, PV-701 to PV-703, PV-707.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_exchange_next(
    exchange: *mut pv_exchange,
    at_unix_s: u64,
    request: *mut *mut pv_http_request,
    error: *mut *mut pv_error,
) -> pv_status {
    let work = || {
        // SAFETY: the caller keeps the promise of the header about outputs.
        let request = unsafe { handle_out(request, "request") }?;
        handle::find(exchange)?.next(time(at_unix_s))?.map_or(Ok(()), |next| request.give(next))
    };
    // SAFETY: the caller keeps the promise of the header about `error`.
    unsafe { call(error, work) }
}

/// Hands in the answer to the last request: status 100 to 999, at most 1000 headers, the whole
/// body.
///
/// @param headers  borrowed for the call; NULL if header_count is 0
/// @param body     borrowed for the call
/// @param[out] error  may be NULL
///
/// Threads: one at a time, otherwise PV-707. Codes: PV-101 (status), PV-5xx, PV-601, PV-701 to
/// PV-703, PV-705, PV-707, PV-708, PV-710.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_exchange_feed(
    exchange: *mut pv_exchange,
    http_status: u32,
    headers: *const pv_header,
    header_count: usize,
    body: pv_bytes,
    error: *mut *mut pv_error,
) -> pv_status {
    let work = || {
        let exchange = handle::find(exchange)?;
        // SAFETY: the caller keeps the promises of the header about headers and body.
        let response = unsafe { response(http_status, headers, header_count, body, ANSWER_MAX_BYTES) }?;
        exchange.cell.feed(response)
    };
    // SAFETY: the caller keeps the promise of the header about `error`.
    unsafe { call(error, work) }
}

/// Reports that the last request could not be carried out.
///
/// @param failure     one of PV_TRANSPORT_FAILURE_
/// @param[out] error  may be NULL
///
/// Threads: one at a time, otherwise PV-707. Codes: PV-101 (unknown failure), PV-701 to PV-703,
/// PV-707, PV-708.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_exchange_fail(
    exchange: *mut pv_exchange,
    failure: i32,
    error: *mut *mut pv_error,
) -> pv_status {
    let work = || {
        let exchange = handle::find(exchange)?;
        let failure = match failure {
            PV_TRANSPORT_FAILURE_CONNECT => TransportFailure::Connect,
            PV_TRANSPORT_FAILURE_TIMEOUT => TransportFailure::Timeout,
            PV_TRANSPORT_FAILURE_TLS_RULE => TransportFailure::TlsRule,
            PV_TRANSPORT_FAILURE_TOO_LARGE => TransportFailure::TooLarge,
            PV_TRANSPORT_FAILURE_BROKEN => TransportFailure::Broken,
            PV_TRANSPORT_FAILURE_CANCELLED => TransportFailure::Cancelled,
            other => return Err(Error::new(Code::InvalidArgument).at("failure").found(other.to_string())),
        };
        exchange.cell.fail(failure)
    };
    // SAFETY: the caller keeps the promise of the header about `error`.
    unsafe { call(error, work) }
}

/// The report of a verification that has ended, whatever the verdict.
///
/// @param[out] report  to be freed with pv_report_free()
/// @param[out] error   may be NULL
///
/// Threads: any. Codes: PV-701 to PV-703, PV-708 before the end.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_exchange_report(
    exchange: *const pv_exchange,
    report: *mut *mut pv_report,
    error: *mut *mut pv_error,
) -> pv_status {
    let work = || {
        // SAFETY: the caller keeps the promise of the header about outputs.
        let report = unsafe { handle_out(report, "report") }?;
        let exchange = handle::find(exchange)?;
        report.give(ReportObject::new(exchange.outcome()?.0.clone()))
    };
    // SAFETY: the caller keeps the promise of the header about `error`.
    unsafe { call(error, work) }
}

/// The proven endpoint of a verification that has ended in `verified`. After any other verdict
/// the call fails with the reason, and the error carries the report.
///
/// @param[out] endpoint  to be freed with pv_endpoint_free(); outlives the exchange
/// @param[out] error     may be NULL
///
/// Threads: any. Codes: PV-2xx (refused), PV-3xx (indeterminate), PV-701 to PV-703, PV-708 before
/// the end.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_exchange_endpoint(
    exchange: *const pv_exchange,
    endpoint: *mut *mut pv_endpoint,
    error: *mut *mut pv_error,
) -> pv_status {
    let work = || {
        // SAFETY: the caller keeps the promise of the header about outputs.
        let endpoint = unsafe { handle_out(endpoint, "endpoint") }?;
        let exchange = handle::find(exchange)?;
        endpoint.give(EndpointObject::new(exchange.outcome()?.1.clone()?))
    };
    // SAFETY: the caller keeps the promise of the header about `error`.
    unsafe { call(error, work) }
}

/// Number of collateral documents that were fetched on the way; 0 while the exchange is in use.
#[unsafe(no_mangle)]
pub extern "C" fn pv_exchange_collateral_count(exchange: *const pv_exchange) -> usize {
    get(exchange, 0, |exchange| {
        exchange.cell.with(|exchange| exchange.fetched_collateral().len()).unwrap_or(0)
    })
}

/// A collateral document that was fetched on the way, as JSON, for the caller's cache. It is
/// public and signed, and is verified again on every use.
///
/// @param index      below pv_exchange_collateral_count()
/// @param[out] json  to be freed with pv_buf_free()
/// @param[out] error may be NULL
///
/// Threads: one at a time, otherwise PV-707. Codes: PV-101 (index), PV-701 to PV-703, PV-707.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_exchange_collateral_json(
    exchange: *const pv_exchange,
    index: usize,
    json: *mut pv_buf,
    error: *mut *mut pv_error,
) -> pv_status {
    let work = || {
        // SAFETY: the caller keeps the promise of the header about outputs.
        let json = unsafe { Out::new(json, pv_buf::EMPTY) }.required("json")?;
        let exchange = handle::find(exchange)?;
        let document = exchange
            .cell
            .with(|exchange| exchange.fetched_collateral().get(index).map(|document| document.to_json()))?;
        json.give(document.ok_or_else(|| Error::new(Code::InvalidArgument).at("index"))?.as_bytes())
    };
    // SAFETY: the caller keeps the promise of the header about `error`.
    unsafe { call(error, work) }
}

/// What NVIDIA said on the way, as JSON, for pv_exchange_options.endorsements of a later
/// verification. It is signed, and is verified again on every use. It names the GPUs.
///
/// @param[out] json   empty if NVIDIA was asked nothing; to be freed with pv_buf_free()
/// @param[out] error  may be NULL
///
/// Threads: one at a time, otherwise PV-707. Codes: PV-701 to PV-703, PV-707.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_exchange_endorsements_json(
    exchange: *const pv_exchange,
    json: *mut pv_buf,
    error: *mut *mut pv_error,
) -> pv_status {
    let work = || {
        // SAFETY: the caller keeps the promise of the header about outputs.
        let json = unsafe { Out::new(json, pv_buf::EMPTY) }.required("json")?;
        let exchange = handle::find(exchange)?;
        let fetched = exchange.cell.with(fetched_endorsements)?;
        fetched.map_or(Ok(()), |fetched| json.give(fetched.as_bytes()))
    };
    // SAFETY: the caller keeps the promise of the header about `error`.
    unsafe { call(error, work) }
}

/// The provider's model list that was fetched on the way, for pv_exchange_options.model_list of a
/// later verification.
///
/// @param[out] json   empty if none was fetched; to be freed with pv_buf_free()
/// @param[out] error  may be NULL
///
/// Threads: one at a time, otherwise PV-707. Codes: PV-701 to PV-703, PV-707.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_exchange_model_list(
    exchange: *const pv_exchange,
    json: *mut pv_buf,
    error: *mut *mut pv_error,
) -> pv_status {
    let work = || {
        // SAFETY: the caller keeps the promise of the header about outputs.
        let json = unsafe { Out::new(json, pv_buf::EMPTY) }.required("json")?;
        let exchange = handle::find(exchange)?;
        let list = exchange.cell.with(|exchange| exchange.fetched_model_list().map(CText::copy))?;
        list.map_or(Ok(()), |list| json.give_text(list))
    };
    // SAFETY: the caller keeps the promise of the header about `error`.
    unsafe { call(error, work) }
}

/// What pv_verify_evidence() needs later to judge this verification again: the provider's answer
/// and the challenge that was sent.
///
/// @param[out] response  to be freed with pv_buf_free()
/// @param[out] nonce     32 bytes; to be freed with pv_buf_free()
/// @param[out] error     may be NULL
///
/// Threads: one at a time, otherwise PV-707. Codes: PV-701 to PV-703, PV-707, PV-708 before the
/// provider has answered.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_exchange_evidence(
    exchange: *const pv_exchange,
    response: *mut pv_buf,
    nonce: *mut pv_buf,
    error: *mut *mut pv_error,
) -> pv_status {
    let work = || {
        // SAFETY: the caller keeps the promise of the header about outputs.
        let outs = unsafe { (Out::new(response, pv_buf::EMPTY), Out::new(nonce, pv_buf::EMPTY)) };
        let (response, nonce) = (outs.0.required("response")?, outs.1.required("nonce")?);
        let exchange = handle::find(exchange)?;
        let evidence = exchange.cell.with(|exchange| {
            exchange.evidence().map(|(answer, challenge)| (CText::copy(answer), CText::copy(challenge)))
        })?;
        let (answer, challenge) =
            evidence.ok_or_else(|| Error::new(Code::OutOfOrder).expected("the provider's answer"))?;
        response.give_text(answer)?;
        nonce.give_text(challenge)
    };
    // SAFETY: the caller keeps the promise of the header about `error`.
    unsafe { call(error, work) }
}

/// Frees a verification. NULL is accepted. Its endpoint lives on.
///
/// Threads: any. Codes: PV-702, PV-703.
#[unsafe(no_mangle)]
pub extern "C" fn pv_exchange_free(exchange: *mut pv_exchange) -> pv_status {
    release(exchange)
}
