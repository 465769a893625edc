//! Policies and trust roots.

use std::ffi::c_char;

use proveil_bindings_support::core::attest::TrustRoots;
use proveil_bindings_support::core::policy::Policy;
use proveil_bindings_support::core::wire::hex;
use proveil_bindings_support::core::{Code, Error, Result};

use crate::boundary::{bytes, call, get, handle_out, release, text};
use crate::handle;
use crate::text::CText;
use crate::types::{pv_bytes, pv_error, pv_policy, pv_status, pv_trust_roots};

/// Largest policy or trust roots document.
const DOCUMENT_MAX_BYTES: usize = 4 * 1024 * 1024;

/// A policy with its texts.
pub struct PolicyObject {
    policy: Policy,
    name: CText,
    json: CText,
    sha256: CText,
}

impl PolicyObject {
    fn new(policy: Policy) -> PolicyObject {
        PolicyObject {
            name: CText::copy(policy.name().as_bytes()),
            json: CText::copy(policy.to_json().as_bytes()),
            sha256: CText::copy(hex::encode(&policy.sha256()).as_bytes()),
            policy,
        }
    }
}

/// Trust roots.
pub struct RootsObject(TrustRoots);

impl RootsObject {
    pub const fn new(roots: TrustRoots) -> RootsObject {
        RootsObject(roots)
    }
}

/// The policy of a handle that may be NULL.
pub fn policy(handle: *const pv_policy) -> Result<Option<Policy>> {
    Ok(handle::find_optional(handle)?.map(|object| object.policy.clone()))
}

/// The roots of a handle that may be NULL.
pub fn trust_roots(handle: *const pv_trust_roots) -> Result<Option<TrustRoots>> {
    Ok(handle::find_optional(handle)?.map(|object| object.0.clone()))
}

/// Reads a policy document (`proveil.policy/v1`, JSON).
///
/// @param json         the document, at most 4 MiB
/// @param[out] policy  to be freed with pv_policy_free()
/// @param[out] error   may be NULL
///
/// Threads: any. Codes: PV-131 (the details name the member), PV-601, PV-701, PV-710.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_policy_from_json(
    json: pv_bytes,
    policy: *mut *mut pv_policy,
    error: *mut *mut pv_error,
) -> pv_status {
    let work = || {
        // SAFETY: the caller keeps the promises of the header about outputs and byte ranges.
        let (policy, json) =
            unsafe { (handle_out(policy, "policy")?, bytes(json, "json", DOCUMENT_MAX_BYTES)?) };
        policy.give(PolicyObject::new(Policy::from_json(json)?))
    };
    // SAFETY: the caller keeps the promise of the header about `error`.
    unsafe { call(error, work) }
}

/// A policy that comes with the library: `standard`, which is used wherever a policy is NULL, or
/// `strict`.
///
/// @param name         NUL-terminated
/// @param[out] policy  to be freed with pv_policy_free()
/// @param[out] error   may be NULL
///
/// Threads: any. Codes: PV-131 for another name, PV-701, PV-705.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_policy_preset(
    name: *const c_char,
    policy: *mut *mut pv_policy,
    error: *mut *mut pv_error,
) -> pv_status {
    let work = || {
        // SAFETY: the caller keeps the promises of the header about outputs and texts.
        let (policy, name) = unsafe { (handle_out(policy, "policy")?, text(name, "name")?) };
        let preset = Policy::preset(name).ok_or_else(|| {
            Error::new(Code::PolicyInvalid).at("name").expected("standard or strict").found(name)
        })?;
        policy.give(PolicyObject::new(preset))
    };
    // SAFETY: the caller keeps the promise of the header about `error`.
    unsafe { call(error, work) }
}

/// The complete policy document in canonical JSON. Borrowed until pv_policy_free(); NULL if
/// `policy` is not a live policy.
#[unsafe(no_mangle)]
pub extern "C" fn pv_policy_to_json(policy: *const pv_policy) -> *const c_char {
    get(policy, std::ptr::null(), |policy| policy.json.as_ptr())
}

/// The name of the preset or document. Borrowed until pv_policy_free(); NULL if `policy` is not a
/// live policy.
#[unsafe(no_mangle)]
pub extern "C" fn pv_policy_name(policy: *const pv_policy) -> *const c_char {
    get(policy, std::ptr::null(), |policy| policy.name.as_ptr())
}

/// SHA-256 of the rules without the name, 64 hex digits, as in every report. Borrowed until
/// pv_policy_free(); NULL if `policy` is not a live policy.
#[unsafe(no_mangle)]
pub extern "C" fn pv_policy_sha256(policy: *const pv_policy) -> *const c_char {
    get(policy, std::ptr::null(), |policy| policy.sha256.as_ptr())
}

/// Frees a policy. NULL is accepted. What was made with it goes on.
///
/// Threads: any. Codes: PV-702, PV-703.
#[unsafe(no_mangle)]
pub extern "C" fn pv_policy_free(policy: *mut pv_policy) -> pv_status {
    release(policy)
}

/// Reads trust roots of your own (`proveil.trust-roots/v1`, JSON), for labs and simulators. Every
/// signature is still checked, and every report says that the roots are custom. NULL wherever
/// trust roots are asked for means the hardware vendors' roots.
///
/// @param json        the document, at most 4 MiB
/// @param[out] roots  to be freed with pv_trust_roots_free()
/// @param[out] error  may be NULL
///
/// Threads: any. Codes: PV-132, PV-601, PV-701, PV-710.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_trust_roots_from_json(
    json: pv_bytes,
    roots: *mut *mut pv_trust_roots,
    error: *mut *mut pv_error,
) -> pv_status {
    let work = || {
        // SAFETY: the caller keeps the promises of the header about outputs and byte ranges.
        let (roots, json) =
            unsafe { (handle_out(roots, "roots")?, bytes(json, "json", DOCUMENT_MAX_BYTES)?) };
        roots.give(RootsObject(TrustRoots::from_json(json)?))
    };
    // SAFETY: the caller keeps the promise of the header about `error`.
    unsafe { call(error, work) }
}

/// Frees trust roots. NULL is accepted. What was made with them goes on.
///
/// Threads: any. Codes: PV-702, PV-703.
#[unsafe(no_mangle)]
pub extern "C" fn pv_trust_roots_free(roots: *mut pv_trust_roots) -> pv_status {
    release(roots)
}
