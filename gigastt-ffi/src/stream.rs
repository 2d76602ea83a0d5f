//! A recognizer that several threads may call: a lock that is never held while somebody waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;
use std::time::{Duration, Instant};

use gigastt_core::sync::Mutex;
use gigastt_core::{Canceller, End, EndpointReason, EndpointRule, Event, Final, Recognizer, Transcript};

use crate::dispatch::Callback;
use crate::engine::EngineObject;
use crate::fence::{Failure, Poison};
use crate::signal::Signal;
use crate::status::{GIGASTT_CLOSED, GIGASTT_INVALID_ARGUMENT};

/// See the module.
pub(crate) struct Stream {
    state: Mutex<State>,
    /// Apart from the state, so that cancelling never waits for anybody.
    canceller: Mutex<Canceller>,
    /// Its handle is gone: a reset that comes late has nobody left who could cancel what it starts.
    released: AtomicBool,
    /// The rule it was opened with, which a reset goes back to.
    opening: EndpointRule,
    signal: Arc<Signal>,
    waker: Waker,
    callback: Mutex<Option<Arc<Callback>>>,
    poison: Poison,
    /// After the recognizer: the last one to go ends the engine's threads.
    engine: Arc<EngineObject>,
}

/// What the lock guards.
pub(crate) struct State {
    pub recognizer: Recognizer,
    /// The rule in force, for changes of single values of it.
    pub rule: EndpointRule,
    /// `finish` has returned the transcript.
    finished: bool,
    /// The end was given to the callback, and that has returned.
    told_end: bool,
}

impl Stream {
    pub(crate) fn new(engine: Arc<EngineObject>, recognizer: Recognizer, rule: EndpointRule) -> Arc<Self> {
        let signal = Arc::<Signal>::default();
        let stream = Self {
            canceller: Mutex::new(recognizer.canceller()),
            released: AtomicBool::new(false),
            opening: rule.clone(),
            state: Mutex::new(State { recognizer, rule, finished: false, told_end: false }),
            waker: Waker::from(Arc::clone(&signal)),
            signal,
            callback: Mutex::new(None),
            poison: Poison::default(),
            engine,
        };
        Arc::new(stream)
    }

    /// Works on the recognizer; wakes whoever waits for a change of it.
    pub(crate) fn change<T>(
        &self,
        body: impl FnOnce(&mut State) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let result = self.look(body);
        self.signal.change();
        result
    }

    /// Works on the recognizer in a way that changes nothing others wait for.
    pub(crate) fn look<T>(&self, body: impl FnOnce(&mut State) -> Result<T, Failure>) -> Result<T, Failure> {
        let mut state = self.state.lock();
        self.poison.guard(|| {
            // Registered before it is looked at, so that who waits hears of what comes meanwhile, although it is
            // taken below.
            state.recognizer.wake_by(&self.waker);
            let result = body(&mut state);
            loop {
                self.signal.show(state.recognizer.has_event());
                // What has come since woke nobody, where a reply before it did.
                if !state.recognizer.wake_by(&self.waker) || state.recognizer.ended().is_some() {
                    return result;
                }
            }
        })
    }

    /// Looks at the recognizer until `body` finds something or the limit is reached. The lock is free
    /// while waiting.
    pub(crate) fn wait<T>(
        &self,
        limit: Option<Duration>,
        mut body: impl FnMut(&mut State, Option<Duration>) -> Result<Option<T>, Failure>,
    ) -> Result<Option<T>, Failure> {
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        loop {
            let seen = self.signal.generation();
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            let found = self.look(|state| body(state, left));
            if !matches!(found, Ok(None)) {
                // What was taken may be what others wait for room of.
                self.signal.change();
                return found;
            }
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(None);
            }
            self.signal.wait(seen, deadline);
        }
    }

    /// Cancels. Never waits.
    pub(crate) fn cancel(&self) {
        let canceller = self.canceller.lock().clone();
        canceller.cancel();
    }

    /// Starts over.
    pub(crate) fn reset(&self) -> Result<(), Failure> {
        self.change(|state| {
            state.recognizer.reset()?;
            *self.canceller.lock() = state.recognizer.canceller();
            // Looked at after the canceller is there: a release in between has cancelled it, one before is seen.
            if self.released.load(Ordering::Acquire) {
                self.cancel();
            }
            state.rule.clone_from(&self.opening);
            state.finished = false;
            state.told_end = false;
            Ok(())
        })
    }

    /// Ends the stream and gathers the finals that were not taken.
    /// `None` when a callback takes longer than the limit.
    pub(crate) fn finish(&self, limit: Option<Duration>) -> Result<Option<Transcript>, Failure> {
        // Asked each time, because who waits for what a callback hears must not wait for one that was removed.
        let told = || self.callback.lock().is_some();
        if told() && self.engine.runs_callbacks_here() {
            let message = "finish: a callback cannot wait for the callbacks after it; call it elsewhere";
            return Err(Failure::new(GIGASTT_INVALID_ARGUMENT, message));
        }
        self.change(|state| {
            if state.finished {
                return Err(Failure::new(
                    GIGASTT_CLOSED,
                    "the stream was finished; open another or reset it",
                ));
            }
            Ok(state.recognizer.close(EndpointReason::Finish)?)
        })?;
        let mut finals = Vec::new();
        let ended = self.wait(limit, |state, left| {
            if let Some(left) = left
                && state.recognizer.ended().is_none()
            {
                gather(state, told(), &mut finals)?;
                state.recognizer.hurry(left)?;
            }
            let ended = gather(state, told(), &mut finals)?;
            state.finished = ended.is_some();
            Ok(ended)
        })?;
        Ok(ended.map(|heard_s| Transcript::new(finals, heard_s)))
    }

    /// Ends the stream because its host goes away. Its events wait to be taken.
    pub(crate) fn close(&self, reason: EndpointReason) -> Result<(), Failure> {
        self.change(|state| Ok(state.recognizer.close(reason)?))
    }

    /// Waits until the stream has ended, its events taken or not; false when it was the limit.
    pub(crate) fn wait_end(&self, limit: Option<Duration>) -> Result<bool, Failure> {
        let ended = self.wait(limit, |state, left| {
            state.recognizer.has_event();
            if let Some(left) = left
                && state.recognizer.ended().is_none()
            {
                state.recognizer.hurry(left)?;
            }
            Ok(state.recognizer.ended().map(|_| ()))
        })?;
        Ok(ended.is_some())
    }

    /// Sets the callback, or removes it.
    pub(crate) fn set_callback(self: &Arc<Self>, callback: Option<Callback>) -> Result<(), Failure> {
        let queue = callback.is_some().then(|| self.engine.callbacks()).transpose()?;
        let before = std::mem::replace(&mut *self.callback.lock(), callback.map(Arc::new));
        self.signal.set_callbacks(queue.map(|queue| (queue, Arc::downgrade(self))));
        // Outside of the locks: it may call the host.
        drop(before);
        self.change(|_| Ok(()))
    }

    /// The next event for the callback, with that.
    pub(crate) fn next_for_callback(&self) -> Option<(Arc<Callback>, Event)> {
        let callback = self.callback.lock().clone()?;
        // A poisoned stream has no events.
        let event = self.look(|state| Ok(state.recognizer.poll_event())).ok()??;
        Some((callback, event))
    }

    /// The callback has returned from an event, which may have been the end.
    pub(crate) fn told(&self, end: bool) {
        let _ = self.change(|state| {
            state.told_end |= end;
            Ok(())
        });
    }

    /// The descriptor for loops.
    pub(crate) fn signal(&self) -> &Signal {
        &self.signal
    }

    /// Releases: calls in progress end as cancelled, and no callback follows.
    pub(crate) fn shut(&self) {
        self.released.store(true, Ordering::Release);
        self.cancel();
        self.signal.end_callbacks();
        let callback = self.callback.lock().take();
        self.signal.change();
        drop(callback);
    }
}

/// Takes what has come; the seconds heard once the end has. Events of a callback are left to it.
fn gather(state: &mut State, told: bool, finals: &mut Vec<Final>) -> Result<Option<f64>, Failure> {
    if told {
        // Takes in what the workers have done.
        state.recognizer.has_event();
    } else {
        while let Some(event) = state.recognizer.poll_event() {
            if let Event::Final(text) = event {
                finals.push(text);
            }
        }
    }
    match state.recognizer.ended() {
        Some(_) if told && !state.told_end => Ok(None),
        Some(end) => End::into_result(end.clone())
            .map(|()| Some(state.recognizer.stats().heard_s))
            .map_err(Failure::from),
        None => Ok(None),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // A test stops where it fails.
mod tests {
    use gigastt_core::fake::{FRAME, Script, amplitude};
    use gigastt_core::{Engine, Options};

    use super::*;

    /// Fails when the waker is set after the look alone: a reply that comes in between is taken by the look, and
    /// who waits is never woken.
    #[test]
    fn who_waits_hears_of_a_reply_that_comes_while_it_looks() {
        let engine = EngineObject::new(Engine::fake(Script::default(), 1).unwrap());
        let options = Options { partials: None, ..Options::new(16_000) };
        let stream = engine.open(options).unwrap();
        let spoken = [(0, 10), (1, 10), (2, 10), (0, 60), (5, 10), (6, 10)];
        let spoken = spoken.map(|(word, frames)| std::iter::repeat_n(amplitude(word), frames * FRAME));
        let pcm: Vec<f32> = spoken.into_iter().flatten().collect();
        stream.change(|state| Ok(state.recognizer.push_pcm(pcm.as_slice())?)).unwrap();
        // The model takes no time: the reply of the first utterance has come and has woken before anybody waits.
        let while_it_comes = || std::thread::sleep(Duration::from_millis(50));
        while_it_comes();
        let (limit, started) = (Duration::from_secs(10), Instant::now());
        let ended = stream.wait(Some(limit), |state, _| {
            let ended = state.recognizer.ended().map(|_| ());
            state.recognizer.close(EndpointReason::Finish)?;
            while_it_comes();
            Ok(ended)
        });
        // At the limit it looks once more.
        assert!(matches!(ended, Ok(Some(()))) && started.elapsed() < limit, "the last reply woke nobody");
    }

    /// A call that found the stream before its release may reset it after.
    #[test]
    fn a_reset_after_the_release_starts_nothing_that_is_waited_for() {
        let engine = EngineObject::new(Engine::fake(Script::default(), 1).unwrap());
        let stream = engine.open(Options::new(16_000)).unwrap();
        stream.shut();
        stream.reset().unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        let waiter = Arc::clone(&stream);
        std::thread::spawn(move || {
            let ended = waiter.wait(None, |state, _| {
                state.recognizer.has_event();
                Ok(state.recognizer.ended().map(|end| matches!(end, End::Cancelled)))
            });
            tell.send(ended.unwrap()).unwrap();
        });
        assert_eq!(told.recv_timeout(Duration::from_secs(10)), Ok(Some(true)), "nobody can end this wait");
    }
}
