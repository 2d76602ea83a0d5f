//! What stands around every function: the panic boundary, the fork guard, and the checks of arguments.

use std::any::Any;
use std::cell::Cell;
use std::ffi::{CStr, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use gigastt_core::Error;

use crate::error::{self, gigastt_error};
use crate::status::{
    self, GIGASTT_FORKED, GIGASTT_INTERNAL, GIGASTT_INVALID_ARGUMENT, GIGASTT_POISONED, gigastt_status,
};

/// A negative status with its sentence.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub status: gigastt_status,
    pub message: String,
}

impl Failure {
    pub(crate) fn new(status: gigastt_status, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    pub(crate) fn argument(message: impl Into<String>) -> Self {
        Self::new(GIGASTT_INVALID_ARGUMENT, message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(GIGASTT_INTERNAL, message)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(status::of(error.kind()), error.to_string())
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        Self::new(status::of(error.kind()), error.to_string())
    }
}

/// What the body of a function answers.
pub(crate) type Answer = Result<gigastt_status, Failure>;

/// Runs the body of a function that returns a status.
///
/// # Safety
/// `error` is NULL or may be written.
pub(crate) unsafe fn fence(error: *mut *mut gigastt_error, body: impl FnOnce() -> Answer) -> gigastt_status {
    match caught(|| check_process().and_then(|()| body())) {
        Ok(Ok(status)) => status,
        // SAFETY: by the contract of this function.
        Ok(Err(failure)) | Err(failure) => unsafe { error::give(error, &failure) },
    }
}

/// Runs the body of a function that returns a value: `otherwise` for none.
pub(crate) fn fence_value<T>(otherwise: T, body: impl FnOnce() -> Option<T>) -> T {
    match caught(body) {
        Ok(Some(value)) => value,
        Ok(None) | Err(_) => otherwise,
    }
}

fn caught<T>(body: impl FnOnce() -> T) -> Result<T, Failure> {
    quieten_panics();
    let outer = INSIDE.replace(true);
    let result = catch_unwind(AssertUnwindSafe(body));
    INSIDE.set(outer);
    result.map_err(|panic| {
        let failure = Failure::internal(format!("a defect of gigastt: {}", message_of(&*panic)));
        // Dropping what somebody panicked with could panic again.
        std::mem::forget(panic);
        failure
    })
}

fn message_of(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without words")
}

thread_local! {
    /// Whether this thread is inside one of our functions.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Panics of our functions and threads go to the log in place of standard error, which is the host's.
fn quieten_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let ours = std::thread::current().name().is_some_and(|name| name.starts_with("gigastt-"));
            if ours || INSIDE.try_with(Cell::get).unwrap_or(false) {
                log::error!("{panic}");
            } else {
                before(panic);
            }
        }));
    });
}

/// The process that uses the library: the one that made the first handle; 0 before.
static OWNER: AtomicU32 = AtomicU32::new(0);

/// Says that this process uses the library from here on.
pub(crate) fn claim_process() {
    let _ = OWNER.compare_exchange(0, std::process::id(), Ordering::Relaxed, Ordering::Relaxed);
}

/// Whether this is a forked child of the process that uses the library. Asked before any lock is taken,
/// because a lock may have been held by a thread that does not exist here.
pub(crate) fn is_forked() -> bool {
    let owner = OWNER.load(Ordering::Relaxed);
    owner != 0 && owner != std::process::id()
}

fn check_process() -> Result<(), Failure> {
    if is_forked() {
        let message = format!(
            "process {} uses this library and forked this one; exec a program, or use the library in one of \
             the two only",
            OWNER.load(Ordering::Relaxed)
        );
        return Err(Failure::new(GIGASTT_FORKED, message));
    }
    Ok(())
}

/// Whether a defect hit an object. After that its state is not to be trusted.
#[derive(Default)]
pub(crate) struct Poison(AtomicBool);

impl Poison {
    /// Runs `body` unless poisoned; poisons when it panics.
    pub(crate) fn guard<T>(&self, body: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
        if self.0.load(Ordering::Acquire) {
            return Err(Failure::new(
                GIGASTT_POISONED,
                "a defect of gigastt hit this handle before; release it",
            ));
        }
        let _mark = MarkOnPanic(&self.0);
        body()
    }
}

struct MarkOnPanic<'a>(&'a AtomicBool);

impl Drop for MarkOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Release);
        }
    }
}

/// A place for an output, checked.
pub(crate) fn out<T>(name: &str, place: *mut T) -> Result<*mut T, Failure> {
    if place.is_null() {
        Err(Failure::argument(format!("{name}: expected an address, found NULL")))
    } else {
        Ok(place)
    }
}

/// The `count` elements at `data`; `data` may be NULL when there are none.
///
/// # Safety
/// `data` is NULL or points to `count` readable elements that do not change while they are used.
pub(crate) unsafe fn slice<'a, T>(name: &str, data: *const T, count: usize) -> Result<&'a [T], Failure> {
    if count == 0 {
        return Ok(&[]);
    }
    if data.is_null() {
        return Err(Failure::argument(format!("{name}: expected {count} elements, found NULL")));
    }
    if !data.is_aligned() || count.checked_mul(size_of::<T>()).is_none_or(|bytes| bytes > isize::MAX as usize)
    {
        return Err(Failure::argument(format!("{name}: {count} elements at {data:p} are impossible")));
    }
    // SAFETY: not NULL, aligned, of a possible size, and readable by the contract of this function.
    Ok(unsafe { std::slice::from_raw_parts(data, count) })
}

/// The NUL-terminated UTF-8 at `text`.
///
/// # Safety
/// `text` is NULL or points to a NUL-terminated string that does not change while it is used.
pub(crate) unsafe fn string<'a>(name: &str, text: *const c_char) -> Result<&'a str, Failure> {
    if text.is_null() {
        return Err(Failure::argument(format!("{name}: expected a string, found NULL")));
    }
    // SAFETY: not NULL, and NUL-terminated by the contract of this function.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map_err(|e| Failure::argument(format!("{name}: expected UTF-8: {e}")))
}

/// A time limit in milliseconds; negative for none.
pub(crate) fn limit(timeout_ms: i64) -> Option<Duration> {
    u64::try_from(timeout_ms).ok().map(Duration::from_millis)
}
