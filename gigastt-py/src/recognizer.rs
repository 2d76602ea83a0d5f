//! `_native.Recognizer`: one stream, usable from several Python threads at a time.
//!
//! The engine's recognizer is used by one thread at a time, behind a lock that is held for the length
//! of a call that does not wait. Waits are for the stream's [`Bell`], without the lock.

use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use gigastt_core::sync::{Mutex, MutexGuard};
use gigastt_core::{
    Canceller, EndpointReason, Error, ErrorKind, Event, Options, Partial, Plan, Recognizer as Core, Result,
};
use pyo3::prelude::*;

use crate::arguments::{Rule, limit};
use crate::bell::{Bell, Courier, SIGNALS_EVERY};
use crate::errors::{OrRaise, comes_again, invalid};
use crate::results;
use crate::samples::{Block, Samples, Scratch};

/// One stream.
#[pyclass(frozen, module = "gigastt._native")]
pub(crate) struct Recognizer {
    /// There until it is dropped.
    stream: Option<Mutex<Core>>,
    bell: Arc<Bell>,
    waker: Waker,
    canceller: Canceller,
    channels: u16,
    /// The process that opened it: in a forked child the lock may be held by a thread that is not there.
    pid: u32,
}

/// The next event, if there is one; `None` inside after the end.
fn next(stream: &mut Core) -> Result<Option<Option<Event>>> {
    let event = stream.next_event(Some(Duration::ZERO))?;
    let over = event.is_none() && stream.ended().is_some();
    Ok(if over { Some(None) } else { event.map(Some) })
}

enum Attempt<T> {
    Done(T),
    Again,
}

impl Recognizer {
    pub(crate) fn new(core: Core, options: &Options, courier: &Courier) -> Self {
        let bell = Bell::new(courier);
        Self {
            canceller: core.canceller(),
            stream: Some(Mutex::new(core)),
            waker: Arc::clone(&bell).into(),
            bell,
            channels: options.format.channels,
            pid: std::process::id(),
        }
    }

    /// Calls into the stream, detached, and wakes who waits for what it may have changed.
    fn with<T: Send>(&self, py: Python<'_>, call: impl FnOnce(&mut Core) -> Result<T> + Send) -> PyResult<T> {
        self.check_process().or_raise(py)?;
        py.detach(|| {
            let result = call(&mut *self.stream()?);
            self.bell.ring();
            result
        })
        .or_raise(py)
    }

    /// Waits until `ready` gives something, for at most `limit`; runs Python's signal handlers.
    fn wait<T: Send>(
        &self,
        py: Python<'_>,
        limit: Option<Duration>,
        mut ready: impl FnMut(&mut Core) -> Result<Option<T>> + Send,
    ) -> PyResult<Option<T>> {
        self.check_process().or_raise(py)?;
        let deadline = limit.map(|limit| Instant::now() + limit);
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let slice = left.map_or(SIGNALS_EVERY, |left| left.min(SIGNALS_EVERY));
            if let Attempt::Done(value) = py.detach(|| self.attempt(slice, &mut ready)).or_raise(py)? {
                self.bell.ring();
                return Ok(Some(value));
            }
            py.check_signals()?;
            if left == Some(Duration::ZERO) {
                return Ok(None);
            }
        }
    }

    /// Tries once, and waits for news when there was nothing.
    fn attempt<T>(
        &self,
        slice: Duration,
        ready: &mut impl FnMut(&mut Core) -> Result<Option<T>>,
    ) -> Result<Attempt<T>> {
        let seen = self.bell.rings();
        let news = {
            let mut stream = self.stream()?;
            if let Some(value) = ready(&mut stream)? {
                return Ok(Attempt::Done(value));
            }
            stream.wake_by(&self.waker)
        };
        if !news {
            self.bell.wait(seen, slice);
        }
        Ok(Attempt::Again)
    }

    fn stream(&self) -> Result<MutexGuard<'_, Core>> {
        let gone = || Error::new(ErrorKind::Internal, "a recognizer that was taken apart");
        self.stream.as_ref().map(Mutex::lock).ok_or_else(gone)
    }

    fn check_process(&self) -> Result<()> {
        if self.pid == std::process::id() {
            return Ok(());
        }
        let message = format!("process {} opened this recognizer; make a new engine after fork", self.pid);
        Err(Error::new(ErrorKind::Forked, message))
    }

    /// Pushes a block; waits while the stream is full, as long as it may. Counts the frames that were
    /// taken, also when it fails. False when there was no room for all of them.
    fn push_block(
        &self,
        py: Python<'_>,
        block: &Block<'_>,
        until: Until,
        count: &mut usize,
    ) -> PyResult<bool> {
        let channels = usize::from(self.channels);
        let frames = block.len() / channels;
        let mut taken = 0;
        loop {
            let rest = taken * channels;
            let now = self.with(py, |stream| match block {
                Block::Int16(samples) => stream.push_pcm(&samples[rest..]),
                Block::Float32(samples) => stream.push_pcm(&samples[rest..]),
            })? / channels;
            taken += now;
            *count += now;
            if taken == frames {
                return Ok(true);
            }
            let writable = match until {
                Until::Now if now == 0 => None,
                Until::Now => Some(()),
                Until::Deadline(deadline) => {
                    let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
                    self.wait(py, left, writable)?
                }
            };
            if writable.is_none() {
                return Ok(false);
            }
        }
    }
}

/// How long a push waits for room.
#[derive(Clone, Copy)]
enum Until {
    Now,
    Deadline(Option<Instant>),
}

fn writable(stream: &mut Core) -> Result<Option<()>> {
    Ok(stream.wait_writable(Some(Duration::ZERO))?.then_some(()))
}

#[pymethods]
impl Recognizer {
    /// Returns how many leading items were taken.
    #[pyo3(signature = (samples, block, timeout))]
    fn push_pcm(&self, samples: &Bound<'_, PyAny>, block: bool, timeout: Option<f64>) -> PyResult<usize> {
        let py = samples.py();
        let until = match block {
            false => Until::Now,
            true => Until::Deadline(limit(py, timeout)?.map(|limit| Instant::now() + limit)),
        };
        let samples = Samples::of(samples, Some(self.channels))?;
        let mut scratch = Scratch::new();
        let mut taken = 0;
        loop {
            let part = samples.read(py, taken, &mut scratch)?;
            match self.push_block(py, &part, until, &mut taken) {
                // Audio that was taken is told when the error can be told later.
                Err(error) if taken == 0 || !comes_again(py, &error)? => return Err(error),
                Ok(true) if taken < samples.frames() => {}
                _ => break,
            }
        }
        Ok(samples.items(taken))
    }

    #[pyo3(signature = (frames))]
    fn gap(&self, py: Python<'_>, frames: i64) -> PyResult<u64> {
        let frames = u64::try_from(frames)
            .map_err(|_| invalid(py, "frames", format!("expected 0 or more, found {frames}")))?;
        self.with(py, |stream| stream.gap(frames))
    }

    #[pyo3(signature = (timeout))]
    fn wait_writable(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        Ok(self.wait(py, limit(py, timeout)?, writable)?.is_some())
    }

    fn poll_partial<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let partial: Option<Partial> = self.with(py, |stream| Ok(stream.poll_partial()))?;
        partial.map(|partial| results::partial(py, &partial)).transpose()
    }

    /// The next event within `timeout` seconds, and whether the end was taken before.
    #[pyo3(signature = (timeout))]
    fn next_event<'py>(
        &self,
        py: Python<'py>,
        timeout: Option<f64>,
    ) -> PyResult<(Option<Bound<'py, PyAny>>, bool)> {
        match self.wait(py, limit(py, timeout)?, next)? {
            Some(Some(event)) => Ok((Some(results::event(py, &event)?), false)),
            Some(None) => Ok((None, true)),
            None => Ok((None, false)),
        }
    }

    /// No more audio comes. With `again` of false it is an error when that was said before.
    #[pyo3(signature = (again))]
    fn close(&self, py: Python<'_>, again: bool) -> PyResult<()> {
        self.with(py, |stream| {
            if !again {
                // Taking nothing is an error in a stream that takes nothing more.
                stream.push_pcm::<f32>(&[])?;
            }
            stream.close(EndpointReason::Finish)
        })
    }

    /// After `close`: makes the newest hypotheses the finals when the awaited ones do not fit `left`.
    fn hurry(&self, py: Python<'_>, left: f64) -> PyResult<bool> {
        let left = limit(py, Some(left))?.unwrap_or_default();
        self.with(py, |stream| stream.hurry(left))
    }

    fn force_endpoint(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, |stream| stream.force_endpoint())
    }

    fn set_endpoint(&self, py: Python<'_>, rule: Rule) -> PyResult<()> {
        let rule = rule.rule(py)?;
        self.with(py, |stream| stream.set_endpoint(rule))
    }

    fn set_partials(&self, py: Python<'_>, wanted: bool) -> PyResult<()> {
        self.with(py, |stream| stream.set_partials(wanted.then(Plan::default)))
    }

    /// From any thread at any time; takes no lock that a call holds.
    fn cancel(&self, py: Python<'_>) -> PyResult<()> {
        self.check_process().or_raise(py)?;
        py.detach(|| {
            self.canceller.cancel();
            self.bell.ring();
        });
        Ok(())
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let stats = self.with(py, |stream| Ok(stream.stats()))?;
        results::recognizer_stats(py, &stats)
    }

    /// Sets what is called, from another thread, once for each `arm`.
    #[pyo3(signature = (callback))]
    fn set_callback(&self, callback: Option<Py<PyAny>>) {
        self.bell.set_callback(callback);
    }

    /// How often there was news.
    fn rings(&self) -> u64 {
        self.bell.rings()
    }

    /// Asks for a call of the callback at the next news. False when there was some since `seen`.
    fn arm(&self, py: Python<'_>, seen: u64) -> PyResult<bool> {
        self.check_process().or_raise(py)?;
        py.detach(|| {
            let news = self.stream()?.wake_by(&self.waker);
            Ok(!news && self.bell.arm(seen))
        })
        .or_raise(py)
    }
}

impl Drop for Recognizer {
    fn drop(&mut self) {
        // The last one of an engine waits as the engine does, which see.
        let stream = self.stream.take();
        Python::try_attach(|py| py.detach(|| drop(stream)));
    }
}
