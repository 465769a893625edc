//! Errors: every field of `ErrorFields` under its name.

use std::ffi::c_char;

use proveil_bindings_support::ErrorFields;
use proveil_bindings_support::core::{Class, Error};

use crate::boundary::{get, release};
use crate::text::{CText, pointer};
use crate::types::{pv_error, pv_status};

/// One error, as texts.
pub struct ErrorObject {
    number: i32,
    class: i32,
    retryable: bool,
    code: CText,
    slug: CText,
    class_name: CText,
    message: CText,
    hint: CText,
    check: Option<CText>,
    expected: Option<CText>,
    found: Option<CText>,
    report_json: Option<CText>,
}

impl ErrorObject {
    /// The fields of `error`.
    pub fn new(error: &Error) -> ErrorObject {
        let fields = ErrorFields::from(error);
        let text = |value: &str| CText::copy(value.as_bytes());
        let optional = |value: Option<String>| value.as_deref().map(text);
        ErrorObject {
            number: i32::from(fields.number),
            class: class_number(error.code().class()),
            retryable: fields.retryable,
            code: text(&fields.code),
            slug: text(fields.slug),
            class_name: text(fields.class),
            message: text(&fields.message),
            hint: text(fields.hint),
            check: optional(fields.check),
            expected: optional(fields.expected),
            found: optional(fields.found),
            report_json: optional(fields.report_json),
        }
    }
}

/// The number of a class in the header (`PV_CLASS_`). Public to nothing but this crate; `cargo
/// xtask gen` writes the same numbers.
const fn class_number(class: Class) -> i32 {
    match class {
        Class::Input => 1,
        Class::Config => 2,
        Class::Verification => 3,
        Class::Indeterminate => 4,
        Class::Integrity => 5,
        Class::Protocol => 6,
        Class::Limit => 7,
        Class::Misuse => 8,
        Class::Access => 9,
        Class::Internal => 10,
    }
}

/// The number of the cause: the one that the function returned. 0 if `error` is not a live error.
#[unsafe(no_mangle)]
pub extern "C" fn pv_error_number(error: *const pv_error) -> pv_status {
    get(error, 0, |error| error.number)
}

/// The stable code, for example `PV-205`. Borrowed until pv_error_free(); NULL if `error` is not
/// a live error.
#[unsafe(no_mangle)]
pub extern "C" fn pv_error_code(error: *const pv_error) -> *const c_char {
    get(error, std::ptr::null(), |error| error.code.as_ptr())
}

/// The stable machine name, for example `key_invalid`. Borrowed until pv_error_free(); NULL if
/// `error` is not a live error.
#[unsafe(no_mangle)]
pub extern "C" fn pv_error_slug(error: *const pv_error) -> *const c_char {
    get(error, std::ptr::null(), |error| error.slug.as_ptr())
}

/// The family: one of PV_CLASS_. 0 if `error` is not a live error.
#[unsafe(no_mangle)]
pub extern "C" fn pv_error_class(error: *const pv_error) -> i32 {
    get(error, 0, |error| error.class)
}

/// The name of the family in every language, for example `VerificationError`. Borrowed until
/// pv_error_free(); NULL if `error` is not a live error.
#[unsafe(no_mangle)]
pub extern "C" fn pv_error_class_name(error: *const pv_error) -> *const c_char {
    get(error, std::ptr::null(), |error| error.class_name.as_ptr())
}

/// What happened, for people. Borrowed until pv_error_free(); NULL if `error` is not a live
/// error. Match on the number, never on this text.
#[unsafe(no_mangle)]
pub extern "C" fn pv_error_message(error: *const pv_error) -> *const c_char {
    get(error, std::ptr::null(), |error| error.message.as_ptr())
}

/// What to do next, for people. Borrowed until pv_error_free(); NULL if `error` is not a live
/// error.
#[unsafe(no_mangle)]
pub extern "C" fn pv_error_hint(error: *const pv_error) -> *const c_char {
    get(error, std::ptr::null(), |error| error.hint.as_ptr())
}

/// 1 if the same call may succeed later without a change, otherwise 0.
#[unsafe(no_mangle)]
pub extern "C" fn pv_error_retryable(error: *const pv_error) -> i32 {
    get(error, 0, |error| i32::from(error.retryable))
}

/// The check, argument or limit that failed. Borrowed until pv_error_free(); NULL if there is none.
#[unsafe(no_mangle)]
pub extern "C" fn pv_error_check(error: *const pv_error) -> *const c_char {
    get(error, std::ptr::null(), |error| pointer(error.check.as_ref()))
}

/// What was expected, shortened. Borrowed until pv_error_free(); NULL if there is nothing to say.
#[unsafe(no_mangle)]
pub extern "C" fn pv_error_expected(error: *const pv_error) -> *const c_char {
    get(error, std::ptr::null(), |error| pointer(error.expected.as_ref()))
}

/// What was found, shortened; never a secret. Borrowed until pv_error_free(); NULL if there is
/// nothing to say.
#[unsafe(no_mangle)]
pub extern "C" fn pv_error_found(error: *const pv_error) -> *const c_char {
    get(error, std::ptr::null(), |error| pointer(error.found.as_ref()))
}

/// The report of the verification that ended in this error (`proveil.report/v1`, JSON). Borrowed
/// until pv_error_free(); NULL if there is none.
#[unsafe(no_mangle)]
pub extern "C" fn pv_error_report_json(error: *const pv_error) -> *const c_char {
    get(error, std::ptr::null(), |error| pointer(error.report_json.as_ref()))
}

/// Frees an error. NULL is accepted.
///
/// Threads: any. Codes: PV-702, PV-703.
#[unsafe(no_mangle)]
pub extern "C" fn pv_error_free(error: *mut pv_error) -> pv_status {
    release(error)
}
