//! The library as a whole: versions, the log, and where ONNX Runtime is.

use std::ffi::{CStr, CString, c_char, c_void};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};

use gigastt_core::EngineBuilder;
use gigastt_core::sync::RwLock;

use crate::dispatch::{UserData, gigastt_destroy_fn};
use crate::error::gigastt_error;
use crate::fence::{Failure, fence, string};
use crate::status::{GIGASTT_BUSY, GIGASTT_INVALID_ARGUMENT, GIGASTT_OK, gigastt_status};

/// The version of the binary interface: the number in the library's SONAME. Programs built with one work with
/// every library of the same.
pub const GIGASTT_ABI_VERSION: i32 = 1;

/// The version of the library, as in `"0.1.0"`. A constant that is never released. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn gigastt_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// The `GIGASTT_ABI_VERSION` of the library. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn gigastt_abi_version() -> i32 {
    GIGASTT_ABI_VERSION
}

/// How important a log line is.
pub type gigastt_log_level = i32;

/// Something failed that no call could report.
pub const GIGASTT_LOG_ERROR: gigastt_log_level = 1;
/// Something is not as it should be.
pub const GIGASTT_LOG_WARN: gigastt_log_level = 2;
/// What a user may want to know.
pub const GIGASTT_LOG_INFO: gigastt_log_level = 3;
/// What a developer may want to know.
pub const GIGASTT_LOG_DEBUG: gigastt_log_level = 4;
/// Everything.
pub const GIGASTT_LOG_TRACE: gigastt_log_level = 5;

/// Receives log lines. `target` says where in the library it comes from; both strings are UTF-8,
/// NUL-terminated, and valid until it returns. Runs on any thread, several at a time, also inside calls:
/// it must not call this library, not throw and not jump out.
pub type gigastt_log_fn = Option<
    unsafe extern "C" fn(
        user: *mut c_void,
        level: gigastt_log_level,
        target: *const c_char,
        message: *const c_char,
    ),
>;

struct LogCallback {
    function: unsafe extern "C" fn(*mut c_void, gigastt_log_level, *const c_char, *const c_char),
    user: UserData,
}

struct HostLog;

static LOG: RwLock<Option<Arc<LogCallback>>> = RwLock::new(None);

impl log::Log for HostLog {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        // The decoders warn of what is no fault, such as the first bytes of every mp4.
        metadata.level() <= log::max_level() && !metadata.target().starts_with("symphonia")
    }

    fn log(&self, record: &log::Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        // The lock is free while the host's function runs.
        let Some(callback) = LOG.read().clone() else { return };
        let text = |text: String| CString::new(text.replace('\0', " ")).unwrap_or_default();
        let (target, message) = (text(record.target().into()), text(record.args().to_string()));
        let level = record.level() as gigastt_log_level;
        // SAFETY: the host's function with the host's data and strings that live until it returns.
        unsafe { (callback.function)(callback.user.data(), level, target.as_ptr(), message.as_ptr()) };
    }

    fn flush(&self) {}
}

/// Has log lines up to `level` given to `callback` with `user`, or to nobody if `callback` is NULL, as before
/// the first call. `destroy`, if not NULL, is called once with `user`, when no call uses it any more; also
/// when this call fails. Any thread, but not inside the callback.
/// Errors: `INVALID_ARGUMENT`, `BUSY` when the program has a Rust logger of its own in the same copy of the
/// library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_set_log_callback(
    callback: gigastt_log_fn,
    level: gigastt_log_level,
    user: *mut c_void,
    destroy: gigastt_destroy_fn,
    error: *mut *mut gigastt_error,
) -> gigastt_status {
    let body = || {
        let user = UserData::new(user, destroy);
        let levels = [
            log::LevelFilter::Error,
            log::LevelFilter::Warn,
            log::LevelFilter::Info,
            log::LevelFilter::Debug,
            log::LevelFilter::Trace,
        ];
        let filter = usize::try_from(level - GIGASTT_LOG_ERROR).ok().and_then(|index| levels.get(index));
        let (callback, filter) = match (callback, filter) {
            (None, _) => (None, log::LevelFilter::Off),
            (Some(function), Some(filter)) => (Some(Arc::new(LogCallback { function, user })), *filter),
            (Some(_), None) => {
                let message = format!("level: expected 1 to 5, found {level}");
                return Err(Failure::new(GIGASTT_INVALID_ARGUMENT, message));
            }
        };
        install()?;
        let before = std::mem::replace(&mut *LOG.write(), callback);
        log::set_max_level(filter);
        // Outside of the lock: it may call the host.
        drop(before);
        Ok(GIGASTT_OK)
    };
    // SAFETY: NULL or writable by the contract of the header.
    unsafe { fence(error, body) }
}

fn install() -> Result<(), Failure> {
    static INSTALLED: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    if *INSTALLED.get_or_init(|| log::set_logger(&HostLog).is_ok()) {
        return Ok(());
    }
    Err(Failure::new(GIGASTT_BUSY, "this copy of the library already logs to a Rust logger"))
}

static RUNTIME: RwLock<Option<PathBuf>> = RwLock::new(None);

/// Names the library of ONNX Runtime for engines that are opened from here on, except those whose configuration
/// has a key `runtime`. Where neither names it, it is looked for, in this order: environment variable
/// `ORT_DYLIB_PATH`, the folder `gigastt` beside this library, this library's own, the folder of the program,
/// the active Python's packages, the system. A process loads it once. Any thread. Errors: `INVALID_ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_runtime_set_path(
    path: *const c_char,
    error: *mut *mut gigastt_error,
) -> gigastt_status {
    let body = || {
        // SAFETY: NULL or a string by the contract of the header.
        let path = unsafe { string("path", path) }?;
        *RUNTIME.write() = Some(path.into());
        Ok(GIGASTT_OK)
    };
    // SAFETY: NULL or writable by the contract of the header.
    unsafe { fence(error, body) }
}

/// Hands core the ONNX Runtime that is linked into this program.
#[cfg(feature = "ort-link")]
pub(crate) fn link_runtime() -> Result<(), Failure> {
    // SAFETY: the entry point of ONNX Runtime's C interface, which the program links. Its tables are constants.
    let api = unsafe {
        let base = ort_sys::OrtGetApiBase().as_ref();
        base.and_then(|base| (base.GetApi)(ort_sys::ORT_API_VERSION).as_ref())
    };
    let Some(api) = api else {
        let message = format!("the linked ONNX Runtime is older than 1.{}", ort_sys::ORT_API_VERSION);
        return Err(Failure::new(crate::status::GIGASTT_RUNTIME, message));
    };
    gigastt_core::use_linked_runtime(api.clone());
    Ok(())
}

/// Has ONNX Runtime report nothing, unless the host set the variable. The official 1.32 for Linux otherwise makes a
/// number for the device, queues reports under the home folder and sends them, from before it can be told not to by
/// its interface; a forked child that calls `exit` waits for ever for the thread that does.
fn silence_runtime() {
    const VARIABLE: &str = "ORT_DISABLE_TELEMETRY";
    if std::env::var_os(VARIABLE).is_none() {
        // SAFETY: the header tells hosts that have threads which read the environment meanwhile to set it before.
        unsafe { std::env::set_var(VARIABLE, "1") };
    }
}

/// Keeps the file that holds this code in the process, which a host may unload and load again as a plugin: ONNX Runtime
/// stays, and has the address of our log.
#[cfg(unix)]
fn stay_loaded() {
    if let Some(file) = file() {
        // SAFETY: a string, and nothing is loaded that is not.
        unsafe { libc::dlopen(file.as_ptr(), libc::RTLD_NOW | libc::RTLD_NOLOAD | libc::RTLD_NODELETE) };
    }
}

#[cfg(not(unix))]
fn stay_loaded() {}

/// An engine's settings with the ONNX Runtime that is named, and with the folders of this library to search.
pub(crate) fn with_runtime(mut builder: EngineBuilder) -> EngineBuilder {
    static FIRST: Once = Once::new();
    FIRST.call_once(|| {
        silence_runtime();
        stay_loaded();
    });
    if let Some(named) = RUNTIME.read().clone() {
        builder = builder.runtime(named);
    }
    match home() {
        Some(home) => builder.runtime_folder(home.join("gigastt")).runtime_folder(home),
        None => builder,
    }
}

/// The file that holds this code: the shared library, or what it is linked into.
#[cfg(unix)]
fn file() -> Option<&'static CStr> {
    // SAFETY: plain data, which the call fills.
    let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
    let here = file as fn() -> Option<&'static CStr> as *const c_void;
    // SAFETY: an address in this library and a place to write to.
    let known = unsafe { libc::dladdr(here, &raw mut info) } != 0 && !info.dli_fname.is_null();
    // SAFETY: a string of the loader, which lives as long as the library is loaded.
    known.then(|| unsafe { CStr::from_ptr(info.dli_fname) })
}

/// The folder of that file.
#[cfg(unix)]
fn home() -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt as _;
    let path = Path::new(std::ffi::OsStr::from_bytes(file()?.to_bytes()));
    std::fs::canonicalize(path).ok()?.parent().map(Path::to_path_buf)
}

#[cfg(not(unix))]
fn home() -> Option<PathBuf> {
    // Core looks beside the program, which is where libraries lie on such systems.
    None
}

#[cfg(test)]
mod tests {
    use log::{Level, LevelFilter, Log as _, Metadata, set_max_level};

    use super::HostLog;

    #[test]
    fn the_decoders_are_not_heard() {
        set_max_level(LevelFilter::Trace);
        let heard = |target| HostLog.enabled(&Metadata::builder().target(target).level(Level::Error).build());
        assert!(heard("gigastt_core::model::ort"));
        assert!(!heard("symphonia_core::formats::probe"));
    }
}
