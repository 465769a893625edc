//! Reports, and the offline check that gives one.

use std::ffi::c_char;
use std::sync::OnceLock;

use proveil_bindings_support::EvidenceOptions;
use proveil_bindings_support::core::Result;
use proveil_bindings_support::core::limits::{ATTESTATION_RESPONSE_MAX_BYTES, GPU_ENDORSEMENTS_MAX_BYTES};
use proveil_bindings_support::core::report::{Level, Report, Verdict};

use crate::boundary::{Options, bytes, call, documents, get, handle_out, options, owned_text, release, text};
use crate::policy::{policy, trust_roots};
use crate::text::{CText, pointer};
use crate::types::{PV_NOW, pv_bytes, pv_error, pv_policy, pv_report, pv_status, pv_trust_roots};

/// Verdict: the handle was not a live report.
pub const PV_VERDICT_NONE: i32 = 0;
/// Verdict: every enforced check passed.
pub const PV_VERDICT_VERIFIED: i32 = 1;
/// Verdict: the evidence says no.
pub const PV_VERDICT_REFUSED: i32 = 2;
/// Verdict: it could not be checked now.
pub const PV_VERDICT_INDETERMINATE: i32 = 3;

/// Level: there is none, because the verdict is not `verified`.
pub const PV_LEVEL_NONE: i32 = -1;
/// Level: an encrypted channel, nothing proven about the other end.
pub const PV_LEVEL_L0: i32 = 0;
/// Level: a genuine hardware enclave holds the key, freshly asked.
pub const PV_LEVEL_L1: i32 = 1;
/// Level: as L1, at an accepted security patch level and configuration.
pub const PV_LEVEL_L2: i32 = 2;
/// Level: as L2, and it runs software that equals a reference value.
pub const PV_LEVEL_L3: i32 = 3;
/// Level: as L3, and its GPUs run measured firmware in confidential mode.
pub const PV_LEVEL_L4: i32 = 4;

/// Largest collateral item: two revocation lists as hex, and the rest.
const COLLATERAL_MAX_BYTES: usize = 20 * 1024 * 1024;
/// Most collateral items of one call.
const COLLATERAL_MAX_ITEMS: usize = 64;

/// A report with its texts, made when asked for.
pub struct ReportObject {
    report: Report,
    headline: CText,
    code: Option<CText>,
    provider: CText,
    model: CText,
    json: OnceLock<CText>,
    text: OnceLock<CText>,
    html: OnceLock<CText>,
    svg: OnceLock<CText>,
    ear_json: OnceLock<CText>,
}

impl ReportObject {
    /// Takes a report.
    pub fn new(report: Report) -> ReportObject {
        ReportObject {
            headline: CText::copy(report.headline().as_bytes()),
            code: report.code().map(|code| CText::copy(code.as_bytes())),
            provider: CText::copy(report.provider().as_bytes()),
            model: CText::copy(report.model().as_bytes()),
            json: OnceLock::new(),
            text: OnceLock::new(),
            html: OnceLock::new(),
            svg: OnceLock::new(),
            ear_json: OnceLock::new(),
            report,
        }
    }
}

/// Captured evidence and the rules to judge it by, for pv_verify_evidence(). Set all members to
/// zero first.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct pv_evidence_input {
    /// sizeof(pv_evidence_input).
    pub struct_size: usize,
    /// Provider name, NUL-terminated: `venice`.
    pub provider: *const c_char,
    /// Model that was asked for, NUL-terminated; NULL leaves that check out.
    pub model: *const c_char,
    /// The provider's attestation answer exactly as received, at most 4 MiB.
    pub response: pv_bytes,
    /// The 32-byte challenge that was sent.
    pub nonce: pv_bytes,
    /// Vendor collateral: one JSON document for each platform in the answer, each at most 20 MiB.
    /// NULL if there is none.
    pub collateral: *const pv_bytes,
    /// Number of documents, at most 64.
    pub collateral_count: usize,
    /// Time to judge at, in seconds since 1970-01-01T00:00:00Z; PV_NOW for the system's clock.
    pub at_unix_s: u64,
    /// What must hold; NULL for the preset `standard`.
    pub policy: *const pv_policy,
    /// Whose signatures count; NULL for the hardware vendors' roots.
    pub trust_roots: *const pv_trust_roots,
}

// SAFETY: `repr(C)`, `struct_size` first; pointers and integers are valid with all bytes zero.
unsafe impl Options for pv_evidence_input {
    const SIZES: &'static [usize] = &[size_of::<pv_evidence_input>()];
}

/// The time that an argument names; `None` is now.
pub fn time(at_unix_s: u64) -> Option<u64> {
    (at_unix_s != PV_NOW).then_some(at_unix_s)
}

/// Judges evidence that was captured earlier. Needs no network and opens none.
///
/// All three verdicts are a report and PV_OK: look at pv_report_verdict(). A report about the
/// past is a record; it cannot send.
///
/// @param input        all members borrowed for the call
/// @param[out] report  to be freed with pv_report_free()
/// @param[out] error   may be NULL
///
/// Threads: any. Codes: PV-104, PV-101 (nonce), PV-303 and PV-312 (collateral that cannot be
/// read), PV-601, PV-701 to PV-703, PV-705, PV-706, PV-710.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_verify_evidence(
    input: *const pv_evidence_input,
    report: *mut *mut pv_report,
    error: *mut *mut pv_error,
) -> pv_status {
    let work = || {
        // SAFETY: the caller keeps the promises of the header about outputs and options.
        let (report, input) = unsafe { (handle_out(report, "report")?, options(input)?) };
        // SAFETY: the caller keeps the promises of the header about the members.
        report.give(ReportObject::new(unsafe { evidence(&input) }?.appraise()?))
    };
    // SAFETY: the caller keeps the promise of the header about `error`.
    unsafe { call(error, work) }
}

/// Converts the members.
///
/// # Safety
/// Every pointer of `input` is NULL or can be read during the call.
unsafe fn evidence(input: &pv_evidence_input) -> Result<EvidenceOptions> {
    // SAFETY: handed on from the caller.
    let (provider, model) = unsafe { (text(input.provider, "provider")?, owned_text(input.model, "model")?) };
    // SAFETY: handed on from the caller.
    let response = unsafe { bytes(input.response, "response", ATTESTATION_RESPONSE_MAX_BYTES) }?;
    // SAFETY: handed on from the caller.
    let nonce = unsafe { bytes(input.nonce, "nonce", ATTESTATION_RESPONSE_MAX_BYTES) }?;
    Ok(EvidenceOptions {
        provider: provider.to_owned(),
        response: response.to_vec(),
        nonce: nonce.to_vec(),
        // SAFETY: handed on from the caller.
        collateral: unsafe { collateral(input.collateral, input.collateral_count) }?,
        at: time(input.at_unix_s),
        model,
        policy: policy(input.policy)?,
        trust_roots: trust_roots(input.trust_roots)?,
    })
}

/// Copies collateral documents.
///
/// # Safety
/// `first` is NULL or points to `count` ranges that can be read during the call.
pub unsafe fn collateral(first: *const pv_bytes, count: usize) -> Result<Vec<Vec<u8>>> {
    // SAFETY: handed on from the caller.
    unsafe { documents(first, count, "collateral", COLLATERAL_MAX_ITEMS, COLLATERAL_MAX_BYTES) }
}

/// Copies what NVIDIA said.
///
/// # Safety
/// `first` is NULL or points to `count` ranges that can be read during the call.
pub unsafe fn endorsements(first: *const pv_bytes, count: usize) -> Result<Vec<Vec<u8>>> {
    // SAFETY: handed on from the caller.
    unsafe { documents(first, count, "endorsements", COLLATERAL_MAX_ITEMS, GPU_ENDORSEMENTS_MAX_BYTES) }
}

/// The verdict: one of PV_VERDICT_.
#[unsafe(no_mangle)]
pub extern "C" fn pv_report_verdict(report: *const pv_report) -> i32 {
    get(report, PV_VERDICT_NONE, |report| match report.report.verdict() {
        Verdict::Verified => PV_VERDICT_VERIFIED,
        Verdict::Refused => PV_VERDICT_REFUSED,
        Verdict::Indeterminate => PV_VERDICT_INDETERMINATE,
    })
}

/// How far a verified endpoint is proven: one of PV_LEVEL_.
#[unsafe(no_mangle)]
pub extern "C" fn pv_report_level(report: *const pv_report) -> i32 {
    get(report, PV_LEVEL_NONE, |report| match report.report.level() {
        None => PV_LEVEL_NONE,
        Some(Level::L0) => PV_LEVEL_L0,
        Some(Level::L1) => PV_LEVEL_L1,
        Some(Level::L2) => PV_LEVEL_L2,
        Some(Level::L3) => PV_LEVEL_L3,
        Some(Level::L4) => PV_LEVEL_L4,
    })
}

/// The verdict in one line of words. Borrowed until pv_report_free(); NULL if `report` is not a
/// live report.
#[unsafe(no_mangle)]
pub extern "C" fn pv_report_headline(report: *const pv_report) -> *const c_char {
    get(report, std::ptr::null(), |report| report.headline.as_ptr())
}

/// The code of the first enforced check that did not pass, for example `PV-225`. Borrowed until
/// pv_report_free(); NULL for a verified endpoint.
#[unsafe(no_mangle)]
pub extern "C" fn pv_report_code(report: *const pv_report) -> *const c_char {
    get(report, std::ptr::null(), |report| pointer(report.code.as_ref()))
}

/// The provider's name. Borrowed until pv_report_free(); NULL if `report` is not a live report.
#[unsafe(no_mangle)]
pub extern "C" fn pv_report_provider(report: *const pv_report) -> *const c_char {
    get(report, std::ptr::null(), |report| report.provider.as_ptr())
}

/// The model's id. Borrowed until pv_report_free(); NULL if `report` is not a live report.
#[unsafe(no_mangle)]
pub extern "C" fn pv_report_model(report: *const pv_report) -> *const c_char {
    get(report, std::ptr::null(), |report| report.model.as_ptr())
}

/// The whole report as `proveil.report/v1` JSON: checks, facts, policy, what is not proven.
/// Borrowed until pv_report_free(); NULL if `report` is not a live report.
#[unsafe(no_mangle)]
pub extern "C" fn pv_report_json(report: *const pv_report) -> *const c_char {
    get(report, std::ptr::null(), |report| {
        report.json.get_or_init(|| CText::take(report.report.to_json())).as_ptr()
    })
}

/// The whole report for a terminal of 80 columns. Borrowed until pv_report_free(); NULL if
/// `report` is not a live report.
#[unsafe(no_mangle)]
pub extern "C" fn pv_report_text(report: *const pv_report) -> *const c_char {
    get(report, std::ptr::null(), |report| {
        report.text.get_or_init(|| CText::take(report.report.to_text())).as_ptr()
    })
}

/// The report as one HTML page that needs nothing else: no network, no script. Borrowed until
/// pv_report_free(); NULL if `report` is not a live report.
#[unsafe(no_mangle)]
pub extern "C" fn pv_report_html(report: *const pv_report) -> *const c_char {
    get(report, std::ptr::null(), |report| {
        report.html.get_or_init(|| CText::take(report.report.to_html())).as_ptr()
    })
}

/// The report as a card, one SVG image. Borrowed until pv_report_free(); NULL if `report` is not a
/// live report.
#[unsafe(no_mangle)]
pub extern "C" fn pv_report_svg(report: *const pv_report) -> *const c_char {
    get(report, std::ptr::null(), |report| {
        report.svg.get_or_init(|| CText::take(report.report.to_svg())).as_ptr()
    })
}

/// The report as an EAT attestation result (draft-ietf-rats-ear-04), compact JSON. Borrowed until
/// pv_report_free(); NULL if `report` is not a live report.
#[unsafe(no_mangle)]
pub extern "C" fn pv_report_ear_json(report: *const pv_report) -> *const c_char {
    get(report, std::ptr::null(), |report| {
        report.ear_json.get_or_init(|| CText::take(report.report.to_ear_json())).as_ptr()
    })
}

/// Frees a report. NULL is accepted.
///
/// Threads: any. Codes: PV-702, PV-703.
#[unsafe(no_mangle)]
pub extern "C" fn pv_report_free(report: *mut pv_report) -> pv_status {
    release(report)
}
