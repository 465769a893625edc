//! The one way through which every exported function goes: outputs cleared, unwinding caught, errors handed out; and the readers of
//! borrowed arguments (style.md B8 rules 2-4, threats T60, T64, T65).
//!
//! Addresses of the caller are read and written without any assumption about alignment.

use std::ffi::c_char;
use std::mem::MaybeUninit;

use proveil_bindings_support::core::limits::CONTRAST_MANIFEST_MAX_BYTES;
use proveil_bindings_support::core::{Code, Error, Result};
use proveil_bindings_support::guard;

use crate::error::ErrorObject;
use crate::handle::{self, Handle};
use crate::types::{PV_OK, pv_bytes, pv_error, pv_header, pv_status};

/// Longest NUL-terminated argument, so that a text without its NUL is found out early.
const TEXT_MAX_BYTES: usize = 64 * 1024;
/// Most headers of one answer.
const HEADERS_MAX: usize = 1000;

/// Runs the body of an exported function. On failure the status is the error's number, and `error`, if given, gets the error.
///
/// # Safety
/// `error` is NULL or can be written to during the call.
pub unsafe fn call(error: *mut *mut pv_error, work: impl FnOnce() -> Result<()>) -> pv_status {
    // SAFETY: handed on from the caller.
    let out = unsafe { Out::new(error, std::ptr::null_mut()) };
    match guard(work) {
        Ok(()) => PV_OK,
        Err(error) => {
            let number = pv_status::from(error.code().number());
            // With a full table there is no error object; the number still says what happened.
            if out.is_wanted()
                && let Ok(Ok(handle)) = guard(|| Ok(handle::insert::<pv_error>(ErrorObject::new(&error))))
            {
                out.set(handle);
            }
            number
        }
    }
}

/// Runs a `_free` function.
pub fn release<H: Handle>(handle: *mut H) -> pv_status {
    match guard(|| handle::free(handle)) {
        Ok(()) => PV_OK,
        Err(error) => pv_status::from(error.code().number()),
    }
}

/// Runs a getter; `otherwise` is the answer for a handle that is not a live one of this type.
pub fn get<H: Handle, T>(handle: *const H, otherwise: T, read: impl FnOnce(&H::Object) -> T) -> T {
    guard(|| handle::find(handle).map(|object| read(&object))).unwrap_or(otherwise)
}

/// A place of the caller's for a result. Cleared when it is made, written only on success.
#[derive(Clone, Copy)]
pub struct Out<T: Copy>(*mut T);

impl<T: Copy> Out<T> {
    /// Clears the place, if there is one.
    ///
    /// # Safety
    /// `place` is NULL or can be written to until this value is used for the last time.
    pub unsafe fn new(place: *mut T, empty: T) -> Out<T> {
        let out = Out(place);
        if out.is_wanted() {
            out.set(empty);
        }
        out
    }

    /// Whether the caller gave a place.
    pub fn is_wanted(self) -> bool {
        !self.0.is_null()
    }

    /// Fails with `null_pointer` when the caller gave no place.
    pub fn required(self, name: &str) -> Result<Out<T>> {
        if self.is_wanted() { Ok(self) } else { Err(Error::new(Code::NullPointer).at(name)) }
    }

    /// Writes the result; without a place it is dropped.
    pub fn set(self, value: T) {
        if self.is_wanted() {
            // SAFETY: the place is writable by the contract of `new`; alignment is not assumed.
            unsafe { self.0.write_unaligned(value) };
        }
    }
}

impl<H: Handle> Out<*mut H> {
    /// Enters `object` in the table and writes its handle.
    pub fn give(self, object: H::Object) -> Result<()> {
        self.set(handle::insert(object)?);
        Ok(())
    }
}

/// A place for a handle that must be given.
///
/// # Safety
/// As for [`Out::new`].
pub unsafe fn handle_out<H: Handle>(place: *mut *mut H, name: &str) -> Result<Out<*mut H>> {
    // SAFETY: handed on from the caller.
    unsafe { Out::new(place, std::ptr::null_mut()) }.required(name)
}

/// A NUL-terminated UTF-8 argument. `null_pointer` for NULL, `invalid_text` for anything else that is not one.
///
/// # Safety
/// `text` is NULL or points to a NUL-terminated text that is not changed for `'a`.
pub unsafe fn text<'a>(text: *const c_char, name: &str) -> Result<&'a str> {
    // SAFETY: handed on from the caller.
    let bytes = unsafe { terminated(text, name) }?;
    std::str::from_utf8(bytes).map_err(|_| Error::new(Code::InvalidText).at(name))
}

/// Like [`text`], with NULL for "none".
///
/// # Safety
/// As for [`text`].
pub unsafe fn optional_text<'a>(value: *const c_char, name: &str) -> Result<Option<&'a str>> {
    if value.is_null() {
        return Ok(None);
    }
    // SAFETY: handed on from the caller.
    unsafe { text(value, name) }.map(Some)
}

/// Like [`optional_text`], copied.
///
/// # Safety
/// As for [`text`].
pub unsafe fn owned_text(value: *const c_char, name: &str) -> Result<Option<String>> {
    // SAFETY: handed on from the caller.
    Ok(unsafe { optional_text(value, name) }?.map(str::to_owned))
}

/// The bytes before the NUL.
///
/// # Safety
/// As for [`text`].
unsafe fn terminated<'a>(text: *const c_char, name: &str) -> Result<&'a [u8]> {
    if text.is_null() {
        return Err(Error::new(Code::NullPointer).at(name));
    }
    for length in 0..=TEXT_MAX_BYTES {
        // SAFETY: no NUL was met before this byte, so it is still part of the caller's text.
        if unsafe { text.add(length).read() } == 0 {
            // SAFETY: these bytes were just read one by one; the caller keeps them unchanged for `'a`.
            return Ok(unsafe { std::slice::from_raw_parts(text.cast::<u8>(), length) });
        }
    }
    Err(Error::new(Code::InvalidText).at(name).expected(format!("a NUL within {TEXT_MAX_BYTES} bytes")))
}

/// A byte argument of at most `max` bytes. `null_pointer` for NULL with a length, `invalid_length` for a length that no object has,
/// `limit_exceeded` above `max`; all before a byte is read.
///
/// # Safety
/// `value.data` is NULL or points to `value.len` bytes that are not changed for `'a`.
pub unsafe fn bytes<'a>(value: pv_bytes, name: &str, max: usize) -> Result<&'a [u8]> {
    if value.len == 0 {
        return Ok(&[]);
    }
    if value.data.is_null() {
        return Err(Error::new(Code::NullPointer).at(name));
    }
    if isize::try_from(value.len).is_err() || value.data.addr().checked_add(value.len).is_none() {
        return Err(Error::new(Code::InvalidLength).at(name));
    }
    if value.len > max {
        return Err(Error::new(Code::LimitExceeded).at(name).expected(format!("at most {max} bytes")));
    }
    // SAFETY: not NULL, shorter than `isize::MAX`, and readable by the caller's contract.
    Ok(unsafe { std::slice::from_raw_parts(value.data, value.len) })
}

/// An expected manifest; `None` when it is empty.
///
/// # Safety
/// As for [`bytes`].
pub unsafe fn manifest(value: pv_bytes) -> Result<Option<Vec<u8>>> {
    // SAFETY: handed on from the caller.
    let manifest = unsafe { bytes(value, "manifest", CONTRAST_MANIFEST_MAX_BYTES) }?;
    Ok((!manifest.is_empty()).then(|| manifest.to_vec()))
}

/// The bytes that must be exactly `N`.
///
/// # Safety
/// As for [`bytes`].
pub unsafe fn exactly<const N: usize>(value: pv_bytes, name: &str) -> Result<[u8; N]> {
    // SAFETY: handed on from the caller.
    let given = unsafe { bytes(value, name, usize::MAX) };
    let length = Error::new(Code::InvalidArgument).at(name).expected(format!("{N} bytes"));
    given?.try_into().map_err(|_| length)
}

/// An array argument with `count` elements, copied one by one.
///
/// # Safety
/// `first` is NULL or points to `count` elements that can be read during the call.
pub unsafe fn array<T: Copy>(first: *const T, count: usize, name: &str, max: usize) -> Result<Vec<T>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    if first.is_null() {
        return Err(Error::new(Code::NullPointer).at(name));
    }
    if count > max {
        return Err(Error::new(Code::LimitExceeded).at(name).expected(format!("at most {max}")));
    }
    // SAFETY: `count` elements are there by the caller's contract; alignment is not assumed.
    Ok((0..count).map(|index| unsafe { first.add(index).read_unaligned() }).collect())
}

/// An array of byte ranges, each of at most `max_bytes`, copied.
///
/// # Safety
/// As for [`array`] and [`bytes`].
pub unsafe fn documents(
    first: *const pv_bytes,
    count: usize,
    name: &str,
    max_count: usize,
    max_bytes: usize,
) -> Result<Vec<Vec<u8>>> {
    // SAFETY: handed on from the caller.
    let ranges = unsafe { array(first, count, name, max_count) }?;
    // SAFETY: handed on from the caller.
    ranges.into_iter().map(|range| unsafe { bytes(range, name, max_bytes) }.map(<[u8]>::to_vec)).collect()
}

/// The headers of an answer. What is not UTF-8 is replaced: a stray byte in a header nobody looks at must not lose an answer.
///
/// # Safety
/// `first` is NULL or points to `count` headers whose texts are NUL-terminated.
pub unsafe fn headers(first: *const pv_header, count: usize) -> Result<Vec<(String, String)>> {
    // SAFETY: handed on from the caller.
    let given = unsafe { array(first, count, "headers", HEADERS_MAX) }?;
    let owned = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    given
        .into_iter()
        .map(|header| {
            // SAFETY: handed on from the caller.
            let name = unsafe { terminated(header.name, "headers") }?;
            // SAFETY: handed on from the caller.
            let value = unsafe { terminated(header.value, "headers") }?;
            Ok((owned(name), owned(value)))
        })
        .collect()
}

/// A structure of options. Its first member is `size_t struct_size`, by which the library knows with which header the caller was
/// compiled.
///
/// # Safety
/// `Self` is `repr(C)`, starts with a `usize`, and is valid with all bytes zero.
pub unsafe trait Options: Copy {
    /// The sizes that this structure has had, oldest first. The members behind a smaller size are zero, which means "default".
    const SIZES: &'static [usize];
}

/// Reads a structure of options. `null_pointer` for NULL, `struct_size` for a size that it never had.
///
/// # Safety
/// `place` is NULL or can be read for as many bytes as its first member says, and at least for that member.
pub unsafe fn options<T: Options>(place: *const T) -> Result<T> {
    if place.is_null() {
        return Err(Error::new(Code::NullPointer).at("options"));
    }
    // SAFETY: the first member is a `usize` by the contract of `Options`.
    let size = unsafe { place.cast::<usize>().read_unaligned() };
    if !T::SIZES.contains(&size) {
        let known: Vec<String> = T::SIZES.iter().map(usize::to_string).collect();
        return Err(Error::new(Code::StructSize)
            .at("struct_size")
            .expected(known.join(" or "))
            .found(size.to_string()));
    }
    let mut value = MaybeUninit::<T>::zeroed();
    // SAFETY: `size` is one of the sizes of `T`, so at most `size_of::<T>()`; the source is readable for it by the caller's contract.
    unsafe { place.cast::<u8>().copy_to_nonoverlapping(value.as_mut_ptr().cast(), size) };
    // SAFETY: `T` is valid with all bytes zero, and the first ones were written by a caller that follows the header.
    Ok(unsafe { value.assume_init() })
}
