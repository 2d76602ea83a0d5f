//! Errors as objects.

use crate::fence::{Failure, fence_value};
use crate::handles::Counted;
use crate::status::{GIGASTT_OK, gigastt_status};
use crate::text::{Text, gigastt_str};

/// What went wrong, in words. Functions that can fail take a `gigastt_error **` last: NULL, or the
/// address of a pointer that is set when the status is negative. Immutable: any thread may read it.
pub struct gigastt_error {
    status: gigastt_status,
    message: Text,
    _counted: Counted,
}

impl gigastt_error {
    pub(crate) fn new(failure: &Failure) -> Self {
        Self { status: failure.status, message: Text::new(&failure.message), _counted: Counted::new() }
    }

    pub(crate) fn name(&self) -> &'static str {
        let known = crate::status::ALL.iter().find(|(status, _)| *status == self.status);
        known.and_then(|(_, name)| name.to_str().ok()).unwrap_or_default()
    }

    pub(crate) fn message(&self) -> &str {
        self.message.as_str()
    }
}

/// Hands an error out where one is wanted, and returns its status.
///
/// # Safety
/// `place` is NULL or may be written.
pub(crate) unsafe fn give(place: *mut *mut gigastt_error, failure: &Failure) -> gigastt_status {
    if !place.is_null() {
        // SAFETY: not NULL, and then writable by the function's contract.
        unsafe { place.write(Box::into_raw(Box::new(gigastt_error::new(failure)))) };
    }
    failure.status
}

/// The status of an error; `GIGASTT_OK` for NULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_error_status(error: *const gigastt_error) -> gigastt_status {
    // SAFETY: NULL or alive by the contract of the header.
    fence_value(GIGASTT_OK, || unsafe { error.as_ref() }.map(|e| e.status))
}

/// The sentence for people: what was expected, what was found, and of which file or value. Empty for
/// NULL. Valid until the error is released. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_error_message(error: *const gigastt_error) -> gigastt_str {
    // SAFETY: NULL or alive by the contract of the header.
    fence_value(gigastt_str::EMPTY, || unsafe { error.as_ref() }.map(|e| e.message.view()))
}

/// Releases an error. NULL is nothing to do. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_error_release(error: *mut gigastt_error) {
    // SAFETY: made by `give` and not released before, by the contract of the header.
    unsafe { crate::handles::release_box(error) }
}
