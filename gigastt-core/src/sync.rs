//! Locks that survive a panic and a fork.
//!
//! Those of `std` without poisoning: a panic in one call must not make every later call of the host fail.
//! They keep no table of waiting threads beside the locks, as `parking_lot` does: a forked child would
//! inherit it, with threads in it that the child does not have, and hang or abort in locks of its own.
//!
//! For the other crates of this project; not part of the interface.

#[cfg(any(feature = "download", feature = "optimize"))]
use std::fs::{File, TryLockError};
use std::ops::{Deref, DerefMut};
use std::sync::PoisonError;
use std::time::Duration;

/// The lock of a file, which it gives back. A file that is only closed keeps its lock while another process has
/// it open too, as one does for a moment that a thread of this process has just started.
#[cfg(any(feature = "download", feature = "optimize"))]
#[derive(Debug)]
pub(crate) struct FileLock(File);

#[cfg(any(feature = "download", feature = "optimize"))]
impl FileLock {
    /// That of a file whose lock is held.
    pub(crate) fn held(file: File) -> Self {
        Self(file)
    }

    /// Takes it; `None` while somebody else holds it. Where there are no locks nobody does.
    pub(crate) fn unless_held(file: File) -> Option<Self> {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => None,
            Ok(()) | Err(TryLockError::Error(_)) => Some(Self(file)),
        }
    }
}

#[cfg(any(feature = "download", feature = "optimize"))]
impl Drop for FileLock {
    fn drop(&mut self) {
        // It ends with the file at the latest.
        let _ = self.0.unlock();
    }
}

/// See [`std::sync::Mutex`].
#[derive(Debug, Default)]
pub struct Mutex<T> {
    turns: Turns,
    inner: std::sync::Mutex<T>,
}

impl<T> Mutex<T> {
    /// An unlocked one.
    pub const fn new(value: T) -> Self {
        Self { turns: Turns::new(), inner: std::sync::Mutex::new(value) }
    }

    /// Waits until nobody else holds it.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        Guard::new(&self.turns, self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// See [`std::sync::RwLock`].
#[derive(Debug, Default)]
pub struct RwLock<T> {
    turns: Turns,
    inner: std::sync::RwLock<T>,
}

impl<T> RwLock<T> {
    /// An unlocked one.
    pub const fn new(value: T) -> Self {
        Self { turns: Turns::new(), inner: std::sync::RwLock::new(value) }
    }

    /// Waits until nobody writes.
    pub fn read(&self) -> Guard<'_, std::sync::RwLockReadGuard<'_, T>> {
        Guard::new(&self.turns, self.inner.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until nobody else holds it.
    pub fn write(&self) -> Guard<'_, std::sync::RwLockWriteGuard<'_, T>> {
        Guard::new(&self.turns, self.inner.write().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What a mutex gives to who holds it.
pub type MutexGuard<'a, T> = Guard<'a, std::sync::MutexGuard<'a, T>>;

/// A guard of `std`. The turn ends before it.
#[derive(Debug)]
pub struct Guard<'a, G> {
    turn: Turn<'a>,
    inner: G,
}

impl<'a, G> Guard<'a, G> {
    fn new(turns: &'a Turns, inner: G) -> Self {
        turns.change();
        Self { turn: Turn(turns), inner }
    }

    /// Has `wait` let go of the lock and take it again.
    fn wait<R>(self, wait: impl FnOnce(G, &Turns) -> (G, R)) -> (Self, R) {
        let Self { turn, inner } = self;
        let turns = turn.0;
        drop(turn);
        let (inner, result) = wait(inner, turns);
        (Self::new(turns, inner), result)
    }
}

impl<G: Deref> Deref for Guard<'_, G> {
    type Target = G::Target;

    fn deref(&self) -> &G::Target {
        &self.inner
    }
}

impl<G: DerefMut> DerefMut for Guard<'_, G> {
    fn deref_mut(&mut self) -> &mut G::Target {
        &mut self.inner
    }
}

/// Orders who holds a lock after another for ThreadSanitizer, which does not see what the locks of `std` do: as it is
/// delivered, that is compiled without it. Nothing in other builds.
#[derive(Debug, Default)]
struct Turns {
    #[cfg(tsan)]
    changes: std::sync::atomic::AtomicU32,
}

impl Turns {
    const fn new() -> Self {
        Self {
            #[cfg(tsan)]
            changes: std::sync::atomic::AtomicU32::new(0),
        }
    }

    fn change(&self) {
        #[cfg(tsan)]
        self.changes.fetch_add(1, std::sync::atomic::Ordering::AcqRel);
    }

    /// A turn of its own.
    fn take<R>(&self, body: impl FnOnce() -> R) -> R {
        self.change();
        let _turn = Turn(self);
        body()
    }
}

#[derive(Debug)]
struct Turn<'a>(&'a Turns);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.change();
    }
}

/// See [`std::sync::Condvar`].
#[derive(Debug, Default)]
pub struct Condvar(std::sync::Condvar);

impl Condvar {
    /// One that nobody waits for.
    pub const fn new() -> Self {
        Self(std::sync::Condvar::new())
    }

    /// Wakes one who waits.
    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    /// Wakes all who wait.
    pub fn notify_all(&self) {
        self.0.notify_all();
    }

    /// Waits to be woken; may also end for no reason.
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        guard.wait(|inner, _| (self.0.wait(inner).unwrap_or_else(PoisonError::into_inner), ())).0
    }

    /// Waits while `condition` holds.
    pub fn wait_while<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> MutexGuard<'a, T> {
        let wait = |inner, turns: &Turns| {
            let condition = |value: &mut T| turns.take(|| condition(value));
            (self.0.wait_while(inner, condition).unwrap_or_else(PoisonError::into_inner), ())
        };
        guard.wait(wait).0
    }

    /// Waits while `condition` holds, for at most `limit`. True when it holds no more.
    pub fn wait_while_for<T>(
        &self,
        guard: MutexGuard<'_, T>,
        mut condition: impl FnMut(&mut T) -> bool,
        limit: Duration,
    ) -> bool {
        let wait = |inner, turns: &Turns| {
            let condition = |value: &mut T| turns.take(|| condition(value));
            self.0.wait_timeout_while(inner, limit, condition).unwrap_or_else(PoisonError::into_inner)
        };
        !guard.wait(wait).1.timed_out()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_leaves_the_locks_usable() {
        let (mutex, lock, bell) = (Mutex::new(1), RwLock::new(1), Condvar::new());
        let panicked = std::panic::catch_unwind(|| {
            let _held = (mutex.lock(), lock.write());
            std::panic::resume_unwind(Box::new(()));
        });
        assert!(panicked.is_err());
        *mutex.lock() += 1;
        *lock.write() += 1;
        assert_eq!((*mutex.lock(), *lock.read()), (2, 2));
        assert_eq!(*bell.wait_while(mutex.lock(), |n| *n == 0), 2);
        assert!(bell.wait_while_for(mutex.lock(), |n| *n == 0, Duration::ZERO));
        assert!(!bell.wait_while_for(mutex.lock(), |n| *n == 2, Duration::ZERO));
    }

    /// Fails when the lock is left to whoever closes the file last.
    #[cfg(any(feature = "download", feature = "optimize"))]
    #[test]
    fn the_lock_of_a_file_ends_though_a_started_process_has_it_open() {
        let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        let file = File::open(&path).unwrap();
        file.lock().unwrap();
        // What a process has between its fork and its program.
        let _inherited = file.try_clone().unwrap();
        let other = File::open(&path).unwrap();
        let lock = FileLock::held(file);
        assert!(other.try_lock().is_err());
        drop(lock);
        other.try_lock().unwrap();
    }
}
