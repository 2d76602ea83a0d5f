//! Handles: what a program holds of the objects that live on while others work on them.
//!
//! A handle is not an address. It is a number that is looked up in a table and never given twice, so
//! one that was released, or never was one, is an error; and a release while another thread is inside
//! a call takes the number away, while the object lives on until that call returns.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gigastt_core::sync::RwLock;

use crate::fence::{Failure, claim_process, fence_value, is_forked};
use crate::status::GIGASTT_INVALID_HANDLE;

/// Objects that a program holds and has not released.
static LIVE: AtomicUsize = AtomicUsize::new(0);

/// How many objects of this library the program holds: handles, results and errors. For tests of
/// leaks. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn gigastt_live_objects() -> usize {
    LIVE.load(Ordering::Relaxed)
}

/// Counts an object while it lives.
pub(crate) struct Counted(());

impl Counted {
    pub(crate) fn new() -> Self {
        LIVE.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        LIVE.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Frees an object that was given out by `Box::into_raw`; not in a forked child, where nothing is.
///
/// # Safety
/// `object` is NULL, or was given out so and not freed since.
pub(crate) unsafe fn release_box<T>(object: *mut T) {
    fence_value((), || {
        if !object.is_null() && !is_forked() {
            // SAFETY: by the contract of this function.
            drop(unsafe { Box::from_raw(object) });
        }
        None
    });
}

/// The next handle of any table. Odd, so that it is nobody's address.
static NEXT: AtomicUsize = AtomicUsize::new(1);

/// The handles of one kind of object. `H` is the type that C knows it by.
pub(crate) struct Handles<H, T> {
    name: &'static str,
    entries: RwLock<BTreeMap<usize, Entry<T>>>,
    kind: PhantomData<fn(H)>,
}

struct Entry<T> {
    object: Arc<T>,
    /// Releases that are due.
    references: usize,
    _counted: Counted,
}

impl<H, T> Handles<H, T> {
    /// `name` is what messages call such an object.
    pub(crate) const fn new(name: &'static str) -> Self {
        Self { name, entries: RwLock::new(BTreeMap::new()), kind: PhantomData }
    }

    /// Makes a handle of an object.
    pub(crate) fn insert(&self, object: Arc<T>) -> *mut H {
        claim_process();
        let handle = NEXT.fetch_add(2, Ordering::Relaxed);
        let entry = Entry { object, references: 1, _counted: Counted::new() };
        self.entries.write().insert(handle, entry);
        std::ptr::without_provenance_mut(handle)
    }

    /// The object of a handle.
    pub(crate) fn find(&self, handle: *const H) -> Result<Arc<T>, Failure> {
        if handle.is_null() {
            return Err(Failure::argument(format!("{}: expected a handle, found NULL", self.name)));
        }
        let found = self.entries.read().get(&handle.addr()).map(|entry| Arc::clone(&entry.object));
        found.ok_or_else(|| self.unknown(handle))
    }

    /// The object of a handle, if there is one: `None` for NULL.
    pub(crate) fn find_if_any(&self, handle: *const H) -> Result<Option<Arc<T>>, Failure> {
        if handle.is_null() { Ok(None) } else { self.find(handle).map(Some) }
    }

    /// One more release is due.
    pub(crate) fn retain(&self, handle: *const H) -> Result<(), Failure> {
        let mut entries = self.entries.write();
        let entry = entries.get_mut(&handle.addr()).ok_or_else(|| self.unknown(handle))?;
        entry.references += 1;
        Ok(())
    }

    /// Takes a release; the object when it was the last one. Nothing for NULL and unknown handles.
    pub(crate) fn release(&self, handle: *const H) -> Option<Arc<T>> {
        let mut entries = self.entries.write();
        let entry = entries.get_mut(&handle.addr())?;
        entry.references -= 1;
        if entry.references > 0 {
            return None;
        }
        entries.remove(&handle.addr()).map(|entry| entry.object)
    }

    fn unknown(&self, handle: *const H) -> Failure {
        let message = format!("{}: {handle:p} was released or never was a handle", self.name);
        Failure::new(GIGASTT_INVALID_HANDLE, message)
    }
}

/// Releases a handle; `last` gets the object with the last one. Nothing in a forked child.
pub(crate) fn release<H, T>(handles: &Handles<H, T>, handle: *const H, last: impl FnOnce(Arc<T>)) {
    fence_value((), || if is_forked() { None } else { handles.release(handle).map(last) });
}
