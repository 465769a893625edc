//! Pure checks and single fields, for tools and for SDKs that keep their own sealing.

use std::ffi::c_char;

use proveil_bindings_support::core::limits::{
    ATTESTATION_RESPONSE_MAX_BYTES, REQUEST_MAX_BYTES, SEALED_FIELD_MAX_BYTES,
};
use proveil_bindings_support::core::provider::{self, opener_for_key, seal_field};
use proveil_bindings_support::core::secret::Secret;
use proveil_bindings_support::core::{Code, Error};
use proveil_bindings_support::{OpenerCell, OsRandom};

use crate::boundary::{Out, bytes, call, exactly, handle_out, text};
use crate::opener::OpenerObject;
use crate::text::CText;
use crate::types::{pv_buf, pv_bytes, pv_error, pv_opener, pv_status};

/// Opener flag: tolerate white space in clear text in an encrypted answer.
pub const PV_OPENER_ALLOW_WHITESPACE_PLAINTEXT: u32 = 1;

/// Largest input of one check: an attestation answer and a model list beside it, as JSON texts.
const INSPECT_MAX_BYTES: usize = 4 * ATTESTATION_RESPONSE_MAX_BYTES;

/// Runs one check over provider data: JSON in, JSON out, never a proof. `docs/inspect.md` lists
/// the kinds and their members.
///
/// @param kind       for example `venice.attestation`, NUL-terminated
/// @param json       one JSON object, at most 16 MiB
/// @param[out] out   one JSON object; to be freed with pv_buf_free()
/// @param[out] error may be NULL
///
/// Threads: any. Codes: PV-101 (unknown kind, malformed input), the code of the first check that
/// did not hold, PV-601, PV-701, PV-705, PV-710.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_inspect(
    kind: *const c_char,
    json: pv_bytes,
    out: *mut pv_buf,
    error: *mut *mut pv_error,
) -> pv_status {
    let work = || {
        // SAFETY: the caller keeps the promises of the header about outputs, texts and byte ranges.
        let out = unsafe { Out::new(out, pv_buf::EMPTY) }.required("out")?;
        // SAFETY: as above.
        let (kind, json) = unsafe { (text(kind, "kind")?, bytes(json, "json", INSPECT_MAX_BYTES)?) };
        out.give(provider::inspect(kind, json)?.as_bytes())
    };
    // SAFETY: the caller keeps the promise of the header about `error`.
    unsafe { call(error, work) }
}

/// Seals one field to a public key under a fresh ephemeral key.
///
/// @param public_key      SEC1, 65 bytes uncompressed (also 33 compressed, or 64 without the prefix)
/// @param plaintext       at most 50 MiB
/// @param[out] field_hex  lowercase hex digits; to be freed with pv_buf_free()
/// @param[out] error      may be NULL
///
/// Threads: any. Codes: PV-205 or PV-403 (not a valid point), PV-601, PV-701, PV-710, PV-903.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_seal_field(
    public_key: pv_bytes,
    plaintext: pv_bytes,
    field_hex: *mut pv_buf,
    error: *mut *mut pv_error,
) -> pv_status {
    let work = || {
        // SAFETY: the caller keeps the promise of the header about outputs.
        let field_hex = unsafe { Out::new(field_hex, pv_buf::EMPTY) }.required("field_hex")?;
        // SAFETY: the caller keeps the promise of the header about byte ranges.
        let key = unsafe { bytes(public_key, "public_key", SEALED_FIELD_MAX_BYTES) }?;
        // SAFETY: as above.
        let plaintext = unsafe { bytes(plaintext, "plaintext", REQUEST_MAX_BYTES) }?;
        field_hex.give(seal_field(key, plaintext, &mut OsRandom)?.as_bytes())
    };
    // SAFETY: the caller keeps the promise of the header about `error`.
    unsafe { call(error, work) }
}

/// Opens one sealed field.
///
/// @param private_key     32 bytes
/// @param field_hex       hex digits as in an answer, at most 1 MiB
/// @param[out] plaintext  UTF-8; to be freed (and wiped) with pv_buf_free()
/// @param[out] error      may be NULL
///
/// Threads: any. Codes: PV-101 (key), PV-401, PV-403 to PV-405, PV-601, PV-701, PV-705, PV-710.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_open_field(
    private_key: pv_bytes,
    field_hex: pv_bytes,
    plaintext: *mut pv_buf,
    error: *mut *mut pv_error,
) -> pv_status {
    let work = || {
        // SAFETY: the caller keeps the promise of the header about outputs.
        let plaintext = unsafe { Out::new(plaintext, pv_buf::EMPTY) }.required("plaintext")?;
        // SAFETY: the caller keeps the promise of the header about byte ranges.
        let key = Secret::take(&mut unsafe { exactly(private_key, "private_key") }?);
        // SAFETY: as above.
        let field = unsafe { bytes(field_hex, "field_hex", SEALED_FIELD_MAX_BYTES) }?;
        let field = std::str::from_utf8(field).map_err(|_| Error::new(Code::InvalidText).at("field_hex"))?;
        plaintext.give_text(CText::take(provider::open_field(key, field)?))
    };
    // SAFETY: the caller keeps the promise of the header about `error`.
    unsafe { call(error, work) }
}

/// An opener for a Venice answer whose request was sealed elsewhere: opens with the private key
/// whose public half was sent.
///
/// @param private_key  32 bytes
/// @param flags        0 or PV_OPENER_ALLOW_WHITESPACE_PLAINTEXT
/// @param[out] opener  to be freed with pv_opener_free()
/// @param[out] error   may be NULL
///
/// Threads: any. Codes: PV-101 (key, flags), PV-701, PV-710.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pv_opener_for_key(
    private_key: pv_bytes,
    flags: u32,
    opener: *mut *mut pv_opener,
    error: *mut *mut pv_error,
) -> pv_status {
    let work = || {
        // SAFETY: the caller keeps the promise of the header about outputs.
        let opener = unsafe { handle_out(opener, "opener") }?;
        // SAFETY: the caller keeps the promise of the header about byte ranges.
        let key = Secret::take(&mut unsafe { exactly(private_key, "private_key") }?);
        if flags & !PV_OPENER_ALLOW_WHITESPACE_PLAINTEXT != 0 {
            return Err(Error::new(Code::InvalidArgument).at("flags").found(flags.to_string()));
        }
        let tolerant = flags & PV_OPENER_ALLOW_WHITESPACE_PLAINTEXT != 0;
        opener.give(OpenerObject(OpenerCell::new(opener_for_key(key, tolerant)?)))
    };
    // SAFETY: the caller keeps the promise of the header about `error`.
    unsafe { call(error, work) }
}
