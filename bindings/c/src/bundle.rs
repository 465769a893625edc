//! Evidence bundles: everything that an appraisal used.

use std::ffi::c_char;
use std::sync::OnceLock;

use proveil_bindings_support::HardwareOptions;
use proveil_bindings_support::core::bundle::EvidenceBundle;
use proveil_bindings_support::core::limits::EVIDENCE_BUNDLE_MAX_BYTES;
use proveil_bindings_support::core::{Code, Error, Result};

use crate::boundary::{Options, bytes, call, documents, get, handle_out, options, release};
use crate::handle;
use crate::policy::{RootsObject, policy, trust_roots};
use crate::report::{ReportObject, time};
use crate::text::CText;
use crate::types::{
    PV_NOW, pv_bytes, pv_error, pv_evidence_bundle, pv_policy, pv_report, pv_status, pv_trust_roots,
};

/// Files of one piece of evidence.
const FILES_MAX: usize = 512;
/// Largest file of one piece of evidence.
const FILE_MAX_BYTES: usize = 20 * 1024 * 1024;

/// A bundle with its texts.
pub struct BundleObject {
    bundle: EvidenceBundle,
    kind: CText,
    json: OnceLock<CText>,
}

impl BundleObject {
    pub fn new(bundle: EvidenceBundle) -> BundleObject {
        BundleObject { kind: CText::copy(bundle.kind().as_bytes()), bundle, json: OnceLock::new() }
    }
}

/// Bare hardware evidence and what is expected of it, for pv_evidence_bundle_snp(),
/// pv_evidence_bundle_tdx() and pv_evidence_bundle_nvidia(). Set all members to zero first. An
/// empty value expects nothing; a value for another kind of evidence is refused.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct pv_hardware_input {
    /// sizeof(pv_hardware_input).
    pub struct_size: usize,
    /// Files in any order, known by their content, each at most 20 MiB.
    pub files: *const pv_bytes,
    /// Number of files, at most 512.
    pub files_count: usize,
    /// The challenge: 32 bytes; nvidia.
    pub nonce: pv_bytes,
    /// Report data: snp, 64 bytes; tdx, its first 1 to 64 bytes.
    pub report_data: pv_bytes,
    /// Measurement of the guest, 48 bytes; snp.
    pub measurement: pv_bytes,
    /// What the host put into the report, 32 bytes; snp.
    pub host_data: pv_bytes,
    /// Measurement of the first content, 48 bytes; tdx.
    pub mr_td: pv_bytes,
    /// Measurement of the TDX module, 48 bytes; tdx.
    pub mr_seam: pv_bytes,
    /// Configuration that the host chose, 48 bytes; tdx.
    pub mr_config_id: pv_bytes,
    /// Owner that the host chose, 48 bytes; tdx.
    pub mr_owner: pv_bytes,
    /// Owner's configuration that the host chose, 48 bytes; tdx.
    pub mr_owner_config: pv_bytes,
    /// Run-time register 0, 48 bytes; tdx.
    pub rtmr0: pv_bytes,
    /// Run-time register 1, 48 bytes; tdx.
    pub rtmr1: pv_bytes,
    /// Run-time register 2, 48 bytes; tdx.
    pub rtmr2: pv_bytes,
    /// Run-time register 3, 48 bytes; tdx.
    pub rtmr3: pv_bytes,
    /// Time to judge at, in seconds since 1970-01-01T00:00:00Z; PV_NOW for the system's clock.
    pub at_unix_s: u64,
    /// What must hold; NULL for the preset `standard`.
    pub policy: *const pv_policy,
    /// Whose signatures count; NULL for the hardware vendors' roots.
    pub trust_roots: *const pv_trust_roots,
}

// SAFETY: `repr(C)`, `struct_size` first; pointers and integers are valid with all bytes zero.
unsafe impl Options for pv_hardware_input {
    const SIZES: &'static [usize] = &[size_of::<pv_hardware_input>()];
}

/// Converts the members; the challenge apart.
///
/// # Safety
/// Every pointer of `input` is NULL or can be read during the call.
unsafe fn hardware(input: &pv_hardware_input) -> Result<(HardwareOptions, Vec<u8>)> {
    let value = |range: pv_bytes, name: &str| -> Result<Option<Vec<u8>>> {
        // SAFETY: handed on from the caller.
        let given = unsafe { bytes(range, name, FILE_MAX_BYTES) }?;
        Ok((!given.is_empty()).then(|| given.to_vec()))
    };
    let options = HardwareOptions {
        // SAFETY: handed on from the caller.
        files: unsafe { documents(input.files, input.files_count, "files", FILES_MAX, FILE_MAX_BYTES) }?,
        report_data: value(input.report_data, "report_data")?,
        measurement: value(input.measurement, "measurement")?,
        host_data: value(input.host_data, "host_data")?,
        mr_td: value(input.mr_td, "mr_td")?,
        mr_seam: value(input.mr_seam, "mr_seam")?,
        mr_config_id: value(input.mr_config_id, "mr_config_id")?,
        mr_owner: value(input.mr_owner, "mr_owner")?,
        mr_owner_config: value(input.mr_owner_config, "mr_owner_config")?,
        rtmr0: value(input.rtmr0, "rtmr0")?,
        rtmr1: value(input.rtmr1, "rtmr1")?,
        rtmr2: value(input.rtmr2, "rtmr2")?,
        rtmr3: value(input.rtmr3, "rtmr3")?,
        policy: policy(input.policy)?,
        trust_roots: trust_roots(input.trust_roots)?,
        at: time(input.at_unix_s),
    };
    Ok((options, value(input.nonce, "nonce")?.unwrap_or_default()))
}

/// Makes a bundle of hardware evidence.
///
/// # Safety
/// As the functions below promise.
unsafe fn make(
    input: *const pv_hardware_input,
    bundle: *mut *mut pv_evidence_bundle,
    error: *mut *mut pv_error,
    read: fn(HardwareOptions, &[u8]) -> Result<EvidenceBundle>,
) -> pv_status {
    let work = || {
        // SAFETY: the caller keeps the promises of the header about outputs and options.
        let (bundle, input) = unsafe { (handle_out(bundle, "bundle")?, options(input)?) };
        // SAFETY: the caller keeps the promises of the header about the members.
        let (options, nonce) = unsafe { hardware(&input) }?;
        bundle.give(BundleObject::new(read(options, &nonce)?))
    };
    // SAFETY: the caller keeps the promise of the header about `error`.
    unsafe { call(error, work) }
}

/// Refuses a challenge where none is answered.
fn without_nonce(
    options: HardwareOptions,
    nonce: &[u8],
    read: fn(HardwareOptions) -> Result<EvidenceBundle>,
) -> Result<EvidenceBundle> {
    if nonce.is_empty() { read(options) } else { Err(Error::new(Code::InvalidArgument).at("nonce")) }
}

/// An SEV-SNP report of 1184 bytes with certificates and revocation list, DER or PEM, or a
/// certificate table. Nothing is judged yet: see pv_evidence_bundle_appraise().
///
/// @param input        all members borrowed for the call
/// @param[out] bundle  to be freed with pv_evidence_bundle_free()
/// @param[out] error   may be NULL
///
/// Threads: any. Codes: PV-101, PV-139 (names the file), PV-308, PV-312, PV-601, PV-701 to PV-703,
/// PV-706, PV-710.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_evidence_bundle_snp(
    input: *const pv_hardware_input,
    bundle: *mut *mut pv_evidence_bundle,
    error: *mut *mut pv_error,
) -> pv_status {
    // SAFETY: handed on from the caller.
    unsafe {
        make(input, bundle, error, |options, nonce| without_nonce(options, nonce, HardwareOptions::snp))
    }
}

/// A TDX quote with Intel's collateral in the form of nine texts. Nothing is judged yet: see
/// pv_evidence_bundle_appraise().
///
/// @param input        all members borrowed for the call
/// @param[out] bundle  to be freed with pv_evidence_bundle_free()
/// @param[out] error   may be NULL
///
/// Threads: any. Codes: PV-101, PV-139 (names the file), PV-303, PV-308, PV-312, PV-601, PV-701 to
/// PV-703, PV-706, PV-710.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_evidence_bundle_tdx(
    input: *const pv_hardware_input,
    bundle: *mut *mut pv_evidence_bundle,
    error: *mut *mut pv_error,
) -> pv_status {
    // SAFETY: handed on from the caller.
    unsafe {
        make(input, bundle, error, |options, nonce| without_nonce(options, nonce, HardwareOptions::tdx))
    }
}

/// NVIDIA GPUs and switches that were asked with `nonce`: reports and as many PEM chains in the
/// same order, or JSON lists of both; manifests, OCSP answers, tokens and key list of NVIDIA's
/// attestation service. Nothing is judged yet: see pv_evidence_bundle_appraise().
///
/// @param input        all members borrowed for the call
/// @param[out] bundle  to be freed with pv_evidence_bundle_free()
/// @param[out] error   may be NULL
///
/// Threads: any. Codes: PV-101, PV-139 (names the file), PV-250, PV-308, PV-601, PV-701 to PV-703,
/// PV-706, PV-710.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_evidence_bundle_nvidia(
    input: *const pv_hardware_input,
    bundle: *mut *mut pv_evidence_bundle,
    error: *mut *mut pv_error,
) -> pv_status {
    // SAFETY: handed on from the caller.
    unsafe { make(input, bundle, error, |options, nonce| options.nvidia(nonce)) }
}

/// Reads a bundle (`proveil.evidence/v1`, JSON).
///
/// @param json         the document, at most 32 MiB
/// @param[out] bundle  to be freed with pv_evidence_bundle_free()
/// @param[out] error   may be NULL
///
/// Threads: any. Codes: PV-104, PV-131, PV-132, PV-139 (the details name the member), PV-601,
/// PV-701, PV-710.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_evidence_bundle_from_json(
    json: pv_bytes,
    bundle: *mut *mut pv_evidence_bundle,
    error: *mut *mut pv_error,
) -> pv_status {
    let work = || {
        // SAFETY: the caller keeps the promises of the header about outputs and byte ranges.
        let (bundle, json) =
            unsafe { (handle_out(bundle, "bundle")?, bytes(json, "json", EVIDENCE_BUNDLE_MAX_BYTES)?) };
        bundle.give(BundleObject::new(EvidenceBundle::from_json(json)?))
    };
    // SAFETY: the caller keeps the promise of the header about `error`.
    unsafe { call(error, work) }
}

/// Judges the evidence. Needs no network and opens none. All three verdicts are a report and
/// PV_OK: look at pv_report_verdict(). A report about the past is a record; it cannot send.
///
/// @param policy       what must hold; NULL for the bundle's own policy
/// @param trust_roots  whose signatures count; NULL for those that the bundle was made with in
///                     this process. Roots that a document names are used only when they are given
///                     here: see pv_evidence_bundle_custom_roots()
/// @param at_unix_s    time to judge at; PV_NOW (0) for the bundle's own time
/// @param[out] report  to be freed with pv_report_free()
/// @param[out] error   may be NULL
///
/// Threads: any. Codes: PV-701 to PV-703.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_evidence_bundle_appraise(
    bundle: *const pv_evidence_bundle,
    policy: *const pv_policy,
    trust_roots: *const pv_trust_roots,
    at_unix_s: u64,
    report: *mut *mut pv_report,
    error: *mut *mut pv_error,
) -> pv_status {
    let work = || {
        // SAFETY: the caller keeps the promise of the header about outputs.
        let report = unsafe { handle_out(report, "report") }?;
        let bundle = handle::find(bundle)?;
        let (policy, roots) = (self::policy(policy)?, self::trust_roots(trust_roots)?);
        let at = (at_unix_s != PV_NOW).then_some(at_unix_s);
        report.give(ReportObject::new(bundle.bundle.appraise(policy.as_ref(), roots.as_ref(), at).0))
    };
    // SAFETY: the caller keeps the promise of the header about `error`.
    unsafe { call(error, work) }
}

/// The trust roots other than the vendors' that were used, or that the document says were; NULL for
/// the vendors'.
///
/// @param[out] roots  NULL, or to be freed with pv_trust_roots_free()
/// @param[out] error  may be NULL
///
/// Threads: any. Codes: PV-701 to PV-703.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_evidence_bundle_custom_roots(
    bundle: *const pv_evidence_bundle,
    roots: *mut *mut pv_trust_roots,
    error: *mut *mut pv_error,
) -> pv_status {
    let work = || {
        // SAFETY: the caller keeps the promise of the header about outputs.
        let roots = unsafe { handle_out(roots, "roots") }?;
        match handle::find(bundle)?.bundle.custom_roots() {
            Some(custom) => roots.give(RootsObject::new(custom.clone())),
            None => Ok(()),
        }
    };
    // SAFETY: the caller keeps the promise of the header about `error`.
    unsafe { call(error, work) }
}

/// `provider`, `snp`, `tdx` or `nvidia`. Borrowed until pv_evidence_bundle_free(); NULL if `bundle`
/// is not a live bundle.
#[unsafe(no_mangle)]
pub extern "C" fn pv_evidence_bundle_kind(bundle: *const pv_evidence_bundle) -> *const c_char {
    get(bundle, std::ptr::null(), |bundle| bundle.kind.as_ptr())
}

/// When it was captured or is to be judged, in seconds since 1970-01-01T00:00:00Z; 0 if `bundle` is
/// not a live bundle.
#[unsafe(no_mangle)]
pub extern "C" fn pv_evidence_bundle_at(bundle: *const pv_evidence_bundle) -> u64 {
    get(bundle, 0, |bundle| bundle.bundle.at())
}

/// The `proveil.evidence/v1` document, deterministic. Borrowed until pv_evidence_bundle_free();
/// NULL if `bundle` is not a live bundle.
#[unsafe(no_mangle)]
pub extern "C" fn pv_evidence_bundle_to_json(bundle: *const pv_evidence_bundle) -> *const c_char {
    get(bundle, std::ptr::null(), |bundle| {
        bundle.json.get_or_init(|| CText::copy(bundle.bundle.to_json().as_bytes())).as_ptr()
    })
}

/// Frees a bundle. NULL is accepted.
///
/// Threads: any. Codes: PV-702, PV-703.
#[unsafe(no_mangle)]
pub extern "C" fn pv_evidence_bundle_free(bundle: *mut pv_evidence_bundle) -> pv_status {
    release(bundle)
}
