//! One speaker's stream: the host's side of a session.
//!
//! Everything runs on the caller's thread except the model. Audio is turned into mel frames as it is
//! pushed; windows go to the workers and their replies are taken in by whatever the host calls next.
//! There is no lock around recognition state: the session belongs to the recognizer.

use std::fmt;
#[cfg(feature = "async")]
use std::future::poll_fn;
#[cfg(feature = "async")]
use std::pin::Pin;
use std::sync::Arc;
#[cfg(feature = "async")]
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::batcher::{Entry, Ticket};
use super::mailbox::Mailbox;
use super::worker::{Deadline, Queue, timed};
use super::{Canceller, Inner, Parts};
use crate::audio::pcm::Sample;
use crate::audio::resample::{Resampler, is_audio};
use crate::options::{EndpointRule, Mode, Options, Plan};
use crate::session::{Full, Job, Purpose, Reply, Session};
use crate::{End, EndpointReason, Error, ErrorKind, Event, Final, Partial, Result, Transcript};

/// Input frames (one sample of each channel) converted at a time.
const BLOCK: usize = 512;

/// One stream. Holds all of its mutable state; may be moved to another thread, is used by one at a
/// time. Dropping it cancels it.
///
/// Pushing, polling, [`close`](Self::close) and `cancel` return at once and suit an event loop. `wait_writable`,
/// `next_event`, `finish` and `finish_within` wait; a [`canceller`](Self::canceller) ends their wait from another
/// thread. A microphone's callback hands its samples over a bounded channel to the thread that has the recognizer.
pub struct Recognizer {
    inner: Arc<Inner>,
    mailbox: Arc<Mailbox>,
    session: Session,
    options: Options,
    resampler: Resampler,
    /// Input of a block as floats, and the same at 16 kHz, mono.
    input: Vec<f32>,
    pcm: Vec<f32>,
    /// Windows that are queued or running.
    out: Vec<(Purpose, Ticket)>,
    replies: Vec<(Ticket, Reply)>,
    front_end: Duration,
    encoder: Duration,
}

/// What a stream has done and holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RecognizerStats {
    /// Seconds of audio taken.
    pub heard_s: f64,
    /// Seconds of audio, from the stream's start, whose finals are out.
    pub settled_s: f64,
    /// How far what is recognised trails what was heard, in milliseconds: since the endpoint of the
    /// oldest final that is awaited, or of speech that no partial covers yet. Grows when the engine
    /// has more to do than it can.
    pub lag_ms: u64,
    /// Windows that are queued or running.
    pub windows: usize,
    /// How often the partial changed.
    pub revisions: u64,
    /// Seconds the encoder took for this stream; of a shared call its share.
    pub encoder_s: f64,
    /// Seconds spent on resampling, mel and voice activity.
    pub front_end_s: f64,
    /// Bytes of audio features and of kept context held.
    pub bytes: usize,
}

/// What a stream with these options starts with; their plan is brought within the engine's reach.
fn prepare(parts: &Parts, options: &mut Options) -> Result<(Session, Resampler)> {
    options.partials = options.partials.map(|plan| parts.within_reach(plan));
    let resampler = Resampler::new(options.format, options.channels)?;
    let session = Session::new(
        options.clone(),
        parts.network.vocab(),
        parts.network.front_end(),
        Arc::clone(&parts.pasts),
        parts.count,
    );
    Ok((session, resampler))
}

impl fmt::Debug for Recognizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (stats, ended) = (self.stats(), self.ended());
        f.debug_struct("Recognizer").field("stats", &stats).field("ended", &ended).finish_non_exhaustive()
    }
}

impl Recognizer {
    pub(super) fn open(inner: Arc<Inner>, mut options: Options) -> Result<Self> {
        let (session, resampler) = prepare(inner.parts()?, &mut options)?;
        inner.enter()?;
        Ok(Self {
            inner,
            mailbox: Arc::default(),
            session,
            options,
            resampler,
            input: Vec::new(),
            pcm: Vec::new(),
            out: Vec::new(),
            replies: Vec::new(),
            front_end: Duration::ZERO,
            encoder: Duration::ZERO,
        })
    }

    /// Takes interleaved samples: all, or as many as there is room for, and returns how many (a
    /// multiple of the channel count). 0 means full: push the rest after [`wait_writable`]. Never
    /// runs the model and never waits for it. Dropping nothing is the host's part: push what was not
    /// taken again. Bytes, in whatever encoding, become samples by a [`PcmDecoder`].
    ///
    /// [`wait_writable`]: Self::wait_writable
    /// [`PcmDecoder`]: crate::audio::pcm::PcmDecoder
    ///
    /// # Errors
    /// `InvalidAudio` for samples that are not finite numbers, naming the first one's position. What came
    /// before it is taken and counted; the error follows when the rest is pushed. `InvalidArgument` for an
    /// incomplete frame of channels. `Closed` after `finish` or `close`, `Cancelled`, `Forked`, or what the stream
    /// failed with.
    pub fn push_pcm<S: Sample>(&mut self, samples: &[S]) -> Result<usize> {
        self.check_open()?;
        let channels = usize::from(self.options.format.channels);
        if !samples.len().is_multiple_of(channels) {
            let message =
                format!("expected a multiple of {channels} interleaved samples, found {}", samples.len());
            return Err(Error::new(ErrorKind::InvalidArgument, message).about("samples"));
        }
        let mut taken = 0;
        for block in samples.chunks(BLOCK * channels) {
            if self.session.room() == 0 || self.mailbox.cancelled() {
                break;
            }
            match self.feed(block) {
                Ok(()) => taken += block.len(),
                Err(error) => {
                    let good =
                        block.iter().position(|s| !is_audio(s.to_f32())).unwrap_or(0) / channels * channels;
                    self.feed(&block[..good])?;
                    taken += good;
                    if taken == 0 {
                        return Err(error);
                    }
                    break;
                }
            }
        }
        self.turn();
        Ok(taken)
    }

    /// Stands for `frames` samples of each channel that the host lost: silence of that length keeps
    /// the times right. Takes as many as there is room for and returns how many; the work of hearing them is
    /// done on the calling thread, until `cancel` at the latest.
    ///
    /// # Errors
    /// As [`push_pcm`](Self::push_pcm).
    pub fn gap(&mut self, frames: u64) -> Result<u64> {
        const SILENCE: [f32; BLOCK] = [0.0; BLOCK];
        self.check_open()?;
        let channels = usize::from(self.options.format.channels);
        let mut taken = 0;
        while taken < frames && self.session.room() > 0 && !self.mailbox.cancelled() {
            let step = (frames - taken).min((BLOCK / channels) as u64);
            self.feed(&SILENCE[..step as usize * channels])?;
            taken += step;
        }
        self.turn();
        Ok(taken)
    }

    /// Waits until `push_pcm` takes something, for at most `limit`. False when it was the limit.
    ///
    /// # Errors
    /// `Busy` when it is the bound on untaken finals that is reached, which waiting does not change.
    /// `Closed`, `Cancelled`, `Forked`, or what the stream failed with.
    pub fn wait_writable(&mut self, limit: Option<Duration>) -> Result<bool> {
        let deadline = Deadline::after(limit);
        loop {
            self.turn();
            self.check_open()?;
            match self.session.full() {
                None => return Ok(true),
                Some(Full::Finals) => {
                    let message = format!("{} finals wait to be taken by the host", self.options.finals_max);
                    return Err(Error::new(ErrorKind::Busy, message).about("finals_max"));
                }
                Some(Full::Backlog) if deadline.passed() => return Ok(false),
                Some(Full::Backlog) => self.mailbox.wait(deadline.left()),
            };
        }
    }

    /// As [`wait_writable`](Self::wait_writable) for tasks: ready when `push_pcm` takes something. While it
    /// is the bound on untaken finals that is reached, taking events is what makes it ready; the task is
    /// not woken for that.
    ///
    /// # Errors
    /// `Closed`, `Cancelled`, `Forked`, or what the stream failed with.
    #[cfg(feature = "async")]
    pub fn poll_writable(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        loop {
            self.turn();
            self.check_open()?;
            if self.session.full().is_none() {
                return Poll::Ready(Ok(()));
            }
            if !self.mailbox.register(context.waker()) {
                return Poll::Pending;
            }
        }
    }

    /// The newest state of the running utterance, if anything changed since the last one taken.
    /// Never waits.
    pub fn poll_partial(&mut self) -> Option<Partial> {
        self.turn();
        self.session.partial()
    }

    /// The next event in order, if there is one. Never waits. After [`Event::End`] there is none.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.turn();
        self.session.next_event()
    }

    /// Waits for the next event, for at most `limit`. `None` when it was the limit, and after the end.
    ///
    /// # Errors
    /// `Forked`.
    pub fn next_event(&mut self, limit: Option<Duration>) -> Result<Option<Event>> {
        let deadline = Deadline::after(limit);
        loop {
            self.inner.check_process()?;
            if let Some(event) = self.poll_event() {
                return Ok(Some(event));
            }
            if self.session.ended().is_some() || deadline.passed() {
                return Ok(None);
            }
            self.mailbox.wait(deadline.left());
        }
    }

    /// The events as a stream that ends after [`Event::End`]. Dropping it loses nothing: the events
    /// that were not taken wait in the recognizer.
    #[cfg(feature = "async")]
    pub fn events(&mut self) -> Events<'_> {
        Events { recognizer: self }
    }

    /// Whether `poll_event` has something to give. Never waits.
    pub fn has_event(&mut self) -> bool {
        self.turn();
        self.session.has_event()
    }

    /// How the stream ended, once it did; the event may still wait to be taken.
    pub fn ended(&self) -> Option<&End> {
        self.session.ended()
    }

    /// Wakes `waker` once, at the next reply or cancellation: the other calls may then have news. True
    /// when they have some already, and in a forked child. There is one such place: a second waker replaces
    /// the first.
    #[cfg(feature = "async")]
    pub fn wake_by(&self, waker: &Waker) -> bool {
        self.inner.check_process().is_err() || self.mailbox.register(waker)
    }

    /// Says that no more audio comes. The remaining finals and the end follow as events. Idempotent.
    ///
    /// # Errors
    /// `Cancelled`, `Forked`, or what the stream failed with.
    pub fn close(&mut self, reason: EndpointReason) -> Result<()> {
        self.turn();
        self.check_alive()?;
        if !self.session.is_finishing() {
            self.pcm.clear();
            self.resampler.finish(&mut self.pcm)?;
            self.session.push(&self.pcm);
            self.session.finish(reason);
            self.turn();
        }
        Ok(())
    }

    /// Ends the stream and waits for its finals. The transcript has those that were not taken as
    /// events.
    ///
    /// # Errors
    /// `Closed` when called again, `Cancelled`, `Forked`, or what the stream failed with.
    pub fn finish(&mut self) -> Result<Transcript> {
        self.check_open()?;
        self.close(EndpointReason::Finish)?;
        self.collect(Deadline::after(None))
    }

    /// As [`finish`](Self::finish) for tasks. Nothing is taken before the end is there, so that a future which is
    /// dropped early, as by a timeout, loses nothing: call it again.
    ///
    /// # Errors
    /// `Closed` when the end was taken already, `Cancelled`, `Forked`, or what the stream failed with.
    #[cfg(feature = "async")]
    pub async fn finish_async(&mut self) -> Result<Transcript> {
        self.close(EndpointReason::Finish)?;
        poll_fn(|context| {
            loop {
                self.turn();
                if self.session.ended().is_some() || self.inner.check_process().is_err() {
                    return Poll::Ready(());
                }
                if !self.mailbox.register(context.waker()) {
                    return Poll::Pending;
                }
            }
        })
        .await;
        self.inner.check_process()?;
        self.gather(&mut Vec::new())?.ok_or_else(finished)
    }

    /// Ends the stream within `limit`. A final whose second pass does not fit the time, by measured
    /// speed, is the newest hypothesis instead and says so by `second_pass: false`.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub fn finish_within(&mut self, limit: Duration, reason: EndpointReason) -> Result<Transcript> {
        self.check_open()?;
        self.close(reason)?;
        self.collect(Deadline::after(Some(limit)))
    }

    /// After [`close`](Self::close), for tasks that have a deadline: where the awaited finals do not fit
    /// `left`, by measured speed, the newest hypotheses become the finals and say so by
    /// `second_pass: false`. True when that was done. To be called again now and then until the end,
    /// because what fitted once may turn out slower.
    ///
    /// # Errors
    /// `Cancelled`, `Forked`, or what the stream failed with.
    pub fn hurry(&mut self, left: Duration) -> Result<bool> {
        self.turn();
        self.check_alive()?;
        let late = self.session.is_finishing() && left < self.estimate();
        if late {
            self.settle();
        }
        Ok(late)
    }

    /// Ends the running utterance here; its final follows.
    ///
    /// # Errors
    /// `Closed`, `Cancelled`, `Forked`, or what the stream failed with.
    pub fn force_endpoint(&mut self) -> Result<()> {
        self.turn();
        self.check_open()?;
        self.session.force_endpoint();
        self.turn();
        Ok(())
    }

    /// Changes when utterances start and end, from the next sample on.
    ///
    /// # Errors
    /// `InvalidArgument` for a rule out of range, `Closed`, `Cancelled`, `Forked`, or what the stream
    /// failed with.
    pub fn set_endpoint(&mut self, rule: EndpointRule) -> Result<()> {
        self.check_open()?;
        rule.validate()?;
        self.session.set_endpoint(rule);
        Ok(())
    }

    /// Changes how partials are made, from the next window on; `None`: no more of them.
    ///
    /// # Errors
    /// `InvalidArgument` for a plan out of range, and in mode incremental, whose commits stay on the
    /// grid that the stream was opened with. `Closed`, `Cancelled`, `Forked`, or what the stream failed
    /// with.
    pub fn set_partials(&mut self, plan: Option<Plan>) -> Result<()> {
        self.check_open()?;
        if self.options.mode == Mode::Incremental {
            let message = "mode incremental keeps the plan it was opened with";
            return Err(Error::new(ErrorKind::InvalidArgument, message).about("partials"));
        }
        plan.map_or(Ok(()), |plan| plan.validate())?;
        let parts = self.inner.parts()?;
        self.session.set_partials(plan.map(|plan| parts.within_reach(plan)));
        Ok(())
    }

    /// Cancels the stream: its queued windows are dropped, the one that runs for it alone is ended. Does
    /// nothing in a forked child.
    pub fn cancel(&mut self) {
        if self.inner.check_process().is_ok() {
            self.mailbox.cancel();
            self.turn();
        }
    }

    /// A canceller for other threads. It is of this stream alone: after [`reset`](Self::reset) or
    /// [`restart`](Self::restart) it does nothing, so that one who is late does not end what comes next.
    pub fn canceller(&self) -> Canceller {
        let canceller = Canceller::new();
        canceller.attach(&self.mailbox);
        canceller
    }

    /// Starts over as a new stream with the options that it was opened with: what was changed since by
    /// [`set_endpoint`](Self::set_endpoint) and [`set_partials`](Self::set_partials) is undone. What was
    /// not taken is gone.
    ///
    /// # Errors
    /// `Forked`.
    pub fn reset(&mut self) -> Result<()> {
        self.restart(self.options.clone())
    }

    /// Starts over as a new stream with other options. It keeps its place among the open streams, so it is not
    /// refused for want of one. What was not taken is gone.
    ///
    /// # Errors
    /// `InvalidArgument` for options out of their range, and the old stream goes on; `Forked`.
    pub fn restart(&mut self, mut options: Options) -> Result<()> {
        self.inner.check_process()?;
        options.validate()?;
        let (session, resampler) = prepare(self.inner.parts()?, &mut options)?;
        self.withdraw(|_| true);
        // Replies to what is running go to the old mailbox, and nobody reads them.
        std::mem::take(&mut self.mailbox).cancel();
        self.out.clear();
        (self.session, self.resampler, self.options) = (session, resampler, options);
        (self.front_end, self.encoder) = (Duration::ZERO, Duration::ZERO);
        Ok(())
    }

    /// What the stream has done and holds.
    pub fn stats(&self) -> RecognizerStats {
        let rate = f64::from(crate::audio::RATE);
        RecognizerStats {
            heard_s: self.session.heard() as f64 / rate,
            settled_s: self.session.settled() as f64 / rate,
            lag_ms: self.session.lag() * 1000 / u64::from(crate::audio::RATE),
            windows: self.out.len(),
            revisions: self.session.revisions(),
            encoder_s: self.encoder.as_secs_f64(),
            front_end_s: self.front_end.as_secs_f64(),
            bytes: self.session.bytes(),
        }
    }

    pub(super) fn attach(&self, canceller: &Canceller) {
        canceller.attach(&self.mailbox);
    }

    /// Converts a block and gives it to the session.
    fn feed<S: Sample>(&mut self, block: &[S]) -> Result<()> {
        let Self { input, pcm, resampler, session, front_end, .. } = self;
        timed(front_end, || {
            input.clear();
            input.extend(block.iter().map(|s| s.to_f32()));
            pcm.clear();
            resampler.push(input, pcm)?;
            session.push(pcm);
            Ok(())
        })
    }

    /// Takes in replies and sends out windows.
    fn turn(&mut self) {
        if self.inner.check_process().is_err() {
            return;
        }
        if self.mailbox.cancelled() {
            self.session.end(End::Cancelled);
        }
        let mut replies = std::mem::take(&mut self.replies);
        self.mailbox.take(&mut replies);
        for (ticket, reply) in replies.drain(..) {
            self.out.retain(|(_, t)| *t != ticket);
            self.encoder += reply.encoder;
            self.session.accept(reply);
        }
        self.replies = replies;
        let mut place = self.recut();
        while let Some(job) = self.session.next_job() {
            let place = if job.purpose == Purpose::Tentative { place.take() } else { None };
            self.submit(job, place);
        }
        self.run_ahead();
        if self.session.ended().is_some() && !self.out.is_empty() {
            self.withdraw(|_| true);
        }
    }

    /// Begins the second pass before the endpoint when a worker is idle and the pass takes as long as
    /// the silence that is still to come, so that the final is there with the endpoint.
    fn run_ahead(&mut self) {
        let Some((frames, left)) = self.session.foreseen() else { return };
        let Ok(parts) = self.inner.parts() else { return };
        let due = |queue: &mut Queue, _| queue.idle() && queue.estimate(frames) >= left;
        if parts.workers.shared.queue(due)
            && let Some(job) = self.session.early()
        {
            self.submit(job, None);
        }
    }

    /// Takes back a tentative window that still waits when a longer one could be cut; the longer one
    /// gets its place.
    fn recut(&mut self) -> Option<Ticket> {
        if !self.session.outgrown() {
            return None;
        }
        let at = self.out.iter().position(|(purpose, _)| *purpose == Purpose::Tentative)?;
        let (_, ticket) = self.out[at];
        let entry = self.inner.parts().ok()?.workers.shared.queue(|queue, _| queue.withdraw(ticket))?;
        self.out.swap_remove(at);
        self.session.take_back(entry.job);
        Some(ticket)
    }

    fn submit(&mut self, job: Job, place: Option<Ticket>) {
        let purpose = job.purpose;
        let entry = Entry { stream: Arc::clone(&self.mailbox), class: self.options.class, job };
        let Ok(parts) = self.inner.parts() else { return };
        let ticket = parts.workers.shared.queue(|queue, now| match place {
            Some(ticket) => {
                queue.replace(ticket, entry);
                ticket
            }
            None => queue.submit(now, entry),
        });
        self.out.push((purpose, ticket));
    }

    /// Takes windows out of the queue again that no worker has started.
    fn withdraw(&mut self, which: impl Fn(Purpose) -> bool) {
        let Ok(parts) = self.inner.parts() else { return };
        let shared = &parts.workers.shared;
        self.out.retain(|(purpose, ticket)| {
            !which(*purpose) || shared.queue(|queue, _| queue.withdraw(*ticket)).is_none()
        });
    }

    /// Waits for the end and gathers the finals.
    fn collect(&mut self, deadline: Deadline) -> Result<Transcript> {
        let mut finals = Vec::new();
        loop {
            if let Some(transcript) = self.gather(&mut finals)? {
                return Ok(transcript);
            }
            match deadline.left() {
                Some(left) if left < self.estimate() => self.settle(),
                left => {
                    self.mailbox.wait(left);
                }
            }
        }
    }

    /// Takes the events that are there; the transcript when the end is among them.
    fn gather(&mut self, finals: &mut Vec<Final>) -> Result<Option<Transcript>> {
        while let Some(event) = self.poll_event() {
            match event {
                Event::Final(text) => finals.push(text),
                Event::End(end) => {
                    end.into_result()?;
                    return Ok(Some(Transcript::new(std::mem::take(finals), self.stats().heard_s)));
                }
                Event::SpeechStarted { .. } | Event::Partial(_) => {}
            }
        }
        Ok(None)
    }

    /// Makes the newest hypotheses the finals.
    fn settle(&mut self) {
        self.session.settle();
        self.withdraw(|_| true);
    }

    /// How long the finals that are awaited will take, with the work that is before them.
    pub(super) fn estimate(&self) -> Duration {
        let Ok(parts) = self.inner.parts() else { return Duration::ZERO };
        let awaited = self.out.iter().filter(|(purpose, _)| self.session.awaits(*purpose));
        let tickets = awaited.map(|(_, ticket)| *ticket);
        parts.workers.shared.queue(|queue, now| queue.done_in(now, tickets, self.session.due_frames()))
    }

    fn check_open(&self) -> Result<()> {
        self.check_alive()?;
        if self.session.is_finishing() {
            return Err(finished());
        }
        Ok(())
    }

    fn check_alive(&self) -> Result<()> {
        self.inner.check_process()?;
        if self.mailbox.cancelled() {
            return End::Cancelled.into_result();
        }
        match self.session.ended() {
            Some(End::Failed(error)) => Err(error.clone()),
            _ => Ok(()),
        }
    }
}

fn finished() -> Error {
    Error::new(ErrorKind::Closed, "the stream was finished; open another or reset it")
}

/// The events of a recognizer as a [`futures_core::Stream`], without a thread of its own.
#[cfg(feature = "async")]
#[derive(Debug)]
pub struct Events<'a> {
    recognizer: &'a mut Recognizer,
}

#[cfg(feature = "async")]
impl futures_core::Stream for Events<'_> {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        let recognizer = &mut *self.recognizer;
        loop {
            if let Some(event) = recognizer.poll_event() {
                return Poll::Ready(Some(event));
            }
            if recognizer.session.ended().is_some() || recognizer.inner.check_process().is_err() {
                return Poll::Ready(None);
            }
            if !recognizer.mailbox.register(context.waker()) {
                return Poll::Pending;
            }
        }
    }
}

impl Drop for Recognizer {
    fn drop(&mut self) {
        if self.inner.check_process().is_ok() {
            self.mailbox.cancel();
            self.withdraw(|_| true);
        } else {
            // In a forked child a thread that does not exist may hold the locks which this would take.
            self.session.abandon();
            std::mem::forget(std::mem::take(&mut self.mailbox));
        }
        self.inner.leave();
    }
}
