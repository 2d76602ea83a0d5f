//! Strings: UTF-8 with a length, and NUL-terminated besides.

use std::ffi::{CString, c_char};

use crate::error::gigastt_error;
use crate::fence::{Failure, fence, out};
use crate::status::{GIGASTT_OK, gigastt_status};

/// A piece of text that belongs to another object and lives as long as it. UTF-8. `data` is never NULL
/// and ends with a NUL that `len` does not count.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gigastt_str {
    /// The bytes.
    pub data: *const c_char,
    /// Their number, without the NUL.
    pub len: usize,
}

impl gigastt_str {
    pub(crate) const EMPTY: Self = Self { data: c"".as_ptr(), len: 0 };
}

/// A text that is owned and ends with a NUL.
#[derive(Debug, Clone)]
pub(crate) struct Text(Box<[u8]>);

impl Text {
    /// A copy of `text`.
    pub(crate) fn new(text: &str) -> Self {
        let mut bytes = Vec::with_capacity(text.len() + 1);
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(0);
        Self(bytes.into_boxed_slice())
    }

    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        self.0.strip_suffix(&[0]).and_then(|bytes| str::from_utf8(bytes).ok()).unwrap_or_default()
    }

    /// Lives as long as the text.
    pub(crate) fn view(&self) -> gigastt_str {
        gigastt_str { data: self.0.as_ptr().cast(), len: self.0.len() - 1 }
    }
}

/// Hands a string out, for `gigastt_string_release`.
///
/// # Safety
/// `place` may be written.
pub(crate) unsafe fn give(place: *mut *mut c_char, text: String) -> Result<(), Failure> {
    let text = CString::new(text).map_err(|_| Failure::internal("a text holds a NUL"))?;
    // SAFETY: writable by the function's contract.
    unsafe { place.write(text.into_raw()) };
    Ok(())
}

/// The body of a function that makes a text of `object` and hands it out. Messages call the arguments by `names`: of
/// the object, and of the place.
///
/// # Safety
/// `object` is NULL or alive; `place` and `error` are NULL or may be written.
pub(crate) unsafe fn hand_out<T>(
    names: (&str, &str),
    object: *const T,
    place: *mut *mut c_char,
    error: *mut *mut gigastt_error,
    text: impl FnOnce(&T) -> String,
) -> gigastt_status {
    let body = || {
        let place = out(names.1, place)?;
        // SAFETY: NULL or alive by the function's contract.
        let object = unsafe { object.as_ref() }
            .ok_or_else(|| Failure::argument(format!("{}: expected one, found NULL", names.0)))?;
        // SAFETY: not NULL, and writable by the function's contract.
        unsafe { give(place, text(object)) }?;
        Ok(GIGASTT_OK)
    };
    // SAFETY: NULL or writable by the function's contract.
    unsafe { fence(error, body) }
}

/// Releases a string that a function handed out through `char **`. NULL is nothing to do. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_string_release(string: *mut c_char) {
    crate::fence::fence_value((), || {
        if !string.is_null() && !crate::fence::is_forked() {
            // SAFETY: made by `give` and not released before, by the contract of the header.
            drop(unsafe { CString::from_raw(string) });
        }
        None
    });
}
