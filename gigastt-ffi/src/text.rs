//! Strings: UTF-8 with a length, and NUL-terminated besides.

use std::ffi::{CString, c_char};

use crate::fence::Failure;

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
