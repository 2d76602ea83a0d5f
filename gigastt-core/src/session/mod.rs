//! One speaker's stream as a state machine: audio in, jobs out, replies in, events out.
//!
//! No I/O, no threads, no clock: its time is the sample count. Whoever drives it (the recognizer in
//! the library, the simulator in the tests) does
//!
//! ```text
//! push(samples)* ── next_job() ──► worker ── accept(reply) ──► next_event() / partial()
//! ```
//!
//! in any interleaving. Cuts and finals depend on the samples alone; only tentative windows take
//! whatever audio is there when they are cut.

mod endpoint;
mod hypothesis;
mod mel_store;
#[cfg(all(test, feature = "fake-model"))]
mod tests;

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use self::endpoint::{Endpointer, GRID, Mark, TICK, samples};
use self::hypothesis::Hypothesis;
use self::mel_store::{MelStore, Pool};
use crate::audio::FrontEnd;
use crate::model::{BEFORE, DecoderState, Lent, Pasts, Step, Vocab, encoder_frames};
use crate::options::{EndpointRule, Mode, Options, Plan};
use crate::{End, EndpointReason, Event, Final, Partial, Result, Span, Token};

/// Samples from one mel frame to the next.
const HOP: u64 = 160;
/// Samples under one mel frame.
const WINDOW: u64 = 320;
/// Mel frames under one encoder frame.
const STRIDE: usize = (GRID / HOP) as usize;
/// Utterances whose final is awaited, at most: a bound for streams of many very short utterances,
/// where the backlog in milliseconds does not bind.
const AWAITED_MAX: usize = 64;
/// A tentative window that waits is cut again when so many encoder frames more could be in it.
const GROWN: u32 = 2;
/// A stream without speech for this long gives its memory back.
const SILENT_MS: u32 = 2_000;

/// What a window is for. Decides whether it may share a batch and how urgent it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The second pass over a whole utterance.
    Final,
    /// The same, ahead of its endpoint: over what the utterance is if it stays silent.
    Early(Span),
    /// A step of incremental mode; its text is committed.
    Commit,
    /// Text that may still change.
    Tentative,
}

/// A window on its way to a worker.
#[derive(Debug)]
pub(crate) struct Job {
    pub purpose: Purpose,
    /// Log-mel.
    pub mel: MelStore,
    /// Encoder frames whose tokens advance `state`.
    pub decode: Range<usize>,
    /// Encoder frames decoded by a fork of `state`, up to the window's end.
    pub peek: Range<usize>,
    pub state: Arc<DecoderState>,
    /// What the encoder keeps: the window is a step from where it ends, and `mel` begins before that.
    pub past: Option<Lent>,
    /// The utterance, counted from the stream's start, and the window's first encoder frame in it.
    utterance: u64,
    offset: u32,
}

impl Job {
    /// Mel frames of the window.
    pub(crate) fn frames(&self) -> usize {
        self.mel.len()
    }

    /// The window, whose frames are `mel`, as a step of an encoder that keeps its past.
    pub(crate) fn step<'a>(&'a mut self, mel: &'a [f32]) -> Option<Step<'a>> {
        let past = self.past.as_deref_mut()?;
        Some(Step { mel, frames: self.decode.len(), past })
    }

    /// Leaves out the last frames of the step, so that so many are left, and with them the newest audio.
    pub(crate) fn shorten(&mut self, step: usize) {
        let frames = self.decode.len().saturating_sub(step);
        self.mel.drop_last(frames * STRIDE);
        self.decode.end -= frames;
        self.peek = self.peek.start - frames..self.peek.end - frames;
    }
}

/// A job on its way back.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The job; its state has advanced over `decode`.
    pub job: Job,
    /// Tokens of `decode` and of `peek`; frames count from the window's start.
    pub result: Result<Decoded>,
    /// What the encoder took for it: its share of a call that it had with others.
    pub encoder: Duration,
}

/// Tokens of a window.
#[derive(Debug, Default)]
pub(crate) struct Decoded {
    pub tokens: Vec<Token>,
    pub peeked: Vec<Token>,
}

/// An utterance from its start until its final is handed out.
struct Utterance {
    number: u64,
    start: u64,
    /// Where its speech set in, until that is told.
    speech_at: Option<u64>,
    hypothesis: Hypothesis,
    early: Option<Early>,
    ended: Option<Ended>,
}

/// A second pass that was begun before its endpoint.
struct Early {
    span: Span,
    /// Once it is back.
    tokens: Option<Vec<Token>>,
}

/// What is known of an utterance once it was cut.
struct Ended {
    span: Span,
    reason: EndpointReason,
    /// Where the cut was decided, in samples heard.
    cut_at: u64,
    /// The frames of the span, until the second pass takes them.
    mel: MelStore,
    pass: Pass,
}

/// How far the final of an ended utterance is.
enum Pass {
    /// Windows are still to be cut.
    Due,
    /// The one window of the second pass is with a worker.
    Running,
    /// The final's tokens, from the span's start, and whether they come from a second pass.
    Done(Vec<Token>, bool),
}

/// See the module.
pub(crate) struct Session {
    options: Options,
    vocab: Arc<Vocab>,
    front: Box<dyn FrontEnd>,
    /// Where what the encoder keeps comes from.
    pasts: Arc<Pasts>,
    endpointer: Endpointer,
    /// Samples of the tick that is not complete yet.
    tick: [f32; TICK as usize],
    tick_filled: usize,
    /// Samples at 16 kHz taken.
    heard: u64,
    /// Mel frames from the oldest one that may be needed.
    mel: MelStore,
    utterances: VecDeque<Utterance>,
    utterances_cut: u64,
    /// A tentative or commit window is with a worker: its utterance and one past its last frame.
    window: Option<(u64, u32)>,
    passes: usize,
    /// An early second pass is with a worker.
    early: bool,
    /// The most second passes of this stream that run side by side.
    passes_max: usize,
    outbox: VecDeque<Outgoing>,
    finals_waiting: usize,
    /// The onset of speech that was told since the last final. An utterance that is dropped because its
    /// speech lies behind its cut leaves it to the next one.
    announced: Option<u64>,
    revision: u64,
    revision_taken: u64,
    /// Where the newest cut was decided, in samples.
    cut_at: u64,
    finishing: bool,
    /// How the stream ended; the event may still wait to be taken.
    ended: Option<End>,
    /// The decoder's state at the start of an utterance.
    fresh: Arc<DecoderState>,
    spare: Spare,
}

/// An event that waits to be taken. The text of finals is written when they are taken, so that
/// pushing audio does not allocate for it.
enum Outgoing {
    SpeechStarted { at_ms: u64 },
    Final { tokens: Vec<Token>, span: Span, reason: EndpointReason, second_pass: bool },
    End(End),
}

/// Memory that is used again, so that pushing audio allocates nothing in the steady state. Given
/// back when the stream falls silent.
#[derive(Default)]
struct Spare {
    mel: Pool,
    hypotheses: Vec<Hypothesis>,
}

impl Spare {
    const HYPOTHESES_MAX: usize = 3;
}

impl Session {
    /// A session at the start of a stream. `options` are valid; `passes_max` windows of second
    /// passes may be out at the same time.
    pub(crate) fn new(
        options: Options,
        vocab: Arc<Vocab>,
        front: Box<dyn FrontEnd>,
        pasts: Arc<Pasts>,
        passes_max: usize,
    ) -> Self {
        let cut_back = options.mode == Mode::TwoPass;
        Self {
            endpointer: Endpointer::new(options.endpoint.clone(), cut_back),
            options,
            vocab,
            front,
            pasts,
            tick: [0.0; TICK as usize],
            tick_filled: 0,
            heard: 0,
            mel: MelStore::default(),
            utterances: VecDeque::new(),
            utterances_cut: 0,
            window: None,
            passes: 0,
            early: false,
            passes_max: passes_max.max(1),
            outbox: VecDeque::new(),
            fresh: Arc::default(),
            spare: Spare::default(),
            finals_waiting: 0,
            announced: None,
            revision: 0,
            revision_taken: 0,
            cut_at: 0,
            finishing: false,
            ended: None,
        }
    }

    /// How many samples may be pushed now without exceeding a bound: at most one tick, or none.
    pub(crate) fn room(&self) -> usize {
        if self.full().is_some() { 0 } else { TICK as usize - self.tick_filled }
    }

    /// The bound that keeps `room` at 0.
    pub(crate) fn full(&self) -> Option<Full> {
        let awaited = self.utterances.iter().filter(|u| u.ended.is_some());
        let backlog: u64 = awaited.clone().filter_map(|u| u.ended.as_ref()).map(|e| e.span.samples()).sum();
        if backlog + self.undecided() >= samples(self.options.backlog_ms) || awaited.count() >= AWAITED_MAX {
            Some(Full::Backlog)
        } else if self.finals_waiting >= self.options.finals_max as usize {
            Some(Full::Finals)
        } else {
            None
        }
    }

    /// Takes samples at 16 kHz, mono.
    pub(crate) fn push(&mut self, mut pcm: &[f32]) {
        debug_assert!(!self.finishing, "push after finish is refused by the recognizer");
        while !pcm.is_empty() {
            let (head, rest) = pcm.split_at(pcm.len().min(TICK as usize - self.tick_filled));
            self.mel.append(|tail| self.front.frames(head, tail), &mut self.spare.mel);
            self.tick[self.tick_filled..][..head.len()].copy_from_slice(head);
            self.tick_filled += head.len();
            self.heard += head.len() as u64;
            pcm = rest;
            if self.tick_filled == TICK as usize {
                self.endpointer.push(self.front.score(&self.tick));
                self.tick_filled = 0;
                while let Some(mark) = self.endpointer.advance() {
                    self.apply(mark);
                }
                self.trim_mel();
            }
        }
    }

    /// Ends the running utterance here.
    pub(crate) fn force_endpoint(&mut self) {
        if let Some(mark) = self.endpointer.force(self.heard) {
            self.apply(mark);
        }
    }

    /// Changes the endpoint rule from here on.
    pub(crate) fn set_endpoint(&mut self, rule: EndpointRule) {
        self.options.endpoint = rule.clone();
        self.endpointer.set_rule(rule, self.heard);
    }

    /// Changes how tentative windows are cut, from the next one on. Not in mode incremental, whose
    /// commits come from one grid.
    pub(crate) fn set_partials(&mut self, plan: Option<Plan>) {
        debug_assert_eq!(self.options.mode, Mode::TwoPass, "refused by the recognizer");
        self.options.partials = plan;
    }

    /// No more audio comes. The end follows once all finals are there.
    pub(crate) fn finish(&mut self, reason: EndpointReason) {
        if self.finishing {
            return;
        }
        while let Some(mark) = self.endpointer.finish(self.heard, reason) {
            self.apply(mark);
        }
        self.finishing = true;
        self.deliver();
    }

    /// Makes the newest hypotheses the finals of all utterances that ended; for deadlines.
    pub(crate) fn settle(&mut self) {
        for utterance in &mut self.utterances {
            if let Some(ended) = &mut utterance.ended
                && !matches!(ended.pass, Pass::Done(..))
            {
                ended.pass = Pass::Done(utterance.hypothesis.within(utterance.start, ended.span), false);
            }
        }
        self.deliver();
    }

    /// Ends the stream now, without finals.
    pub(crate) fn end(&mut self, end: End) {
        if self.ended.is_some() {
            return;
        }
        self.ended = Some(end.clone());
        self.finishing = true;
        self.utterances.clear();
        self.mel = MelStore::default();
        self.spare = Spare::default();
        if end == End::Cancelled {
            self.outbox.clear();
            self.finals_waiting = 0;
        }
        self.outbox.push_back(Outgoing::End(end));
    }

    /// Leaves what is shared with other streams as it is, for ever: in a forked child.
    pub(crate) fn abandon(&mut self) {
        std::mem::forget(std::mem::take(&mut self.utterances));
        std::mem::forget(std::mem::take(&mut self.spare));
    }

    /// The next window for a worker, if one is due.
    pub(crate) fn next_job(&mut self) -> Option<Job> {
        if self.ended.is_some() {
            return None;
        }
        match self.options.mode {
            Mode::TwoPass => self.second_pass().or_else(|| self.tentative()),
            Mode::Incremental => self.commit(),
        }
    }

    /// What an early second pass would be over, in mel frames, and how long from here to the endpoint
    /// that it foresees.
    pub(crate) fn foreseen(&self) -> Option<(usize, Duration)> {
        if self.early || self.finishing || self.options.mode != Mode::TwoPass {
            return None;
        }
        let (span, left) = self.endpointer.foreseen()?;
        let tried = |u: &Utterance| u.early.as_ref().is_some_and(|early| early.span == span);
        if self.utterances.back().is_none_or(tried) || mel_frames(span) == 0 {
            return None;
        }
        Some((mel_frames(span), Duration::from_secs_f64(seconds(left))))
    }

    /// The second pass that was foreseen. Worth it when a worker would idle otherwise and the endpoint
    /// is no further than the pass takes; if speech comes again, it was in vain.
    pub(crate) fn early(&mut self) -> Option<Job> {
        let (span, _) = self.endpointer.foreseen()?;
        let utterance = self.utterances.back_mut()?;
        let first = span.start / HOP;
        let mel = self.mel.window(first..first + mel_frames(span) as u64, &mut self.spare.mel);
        utterance.early = Some(Early { span, tokens: None });
        self.early = true;
        Some(Job {
            purpose: Purpose::Early(span),
            decode: 0..encoder_frames(mel.len()),
            peek: 0..0,
            mel,
            state: Arc::clone(&self.fresh),
            past: None,
            utterance: utterance.number,
            offset: 0,
        })
    }

    /// Whether the window that waits for a worker would be worth cutting again, because more has been
    /// heard since.
    pub(crate) fn outgrown(&self) -> bool {
        let (Some((number, last)), Some(plan)) = (self.window, self.options.partials) else { return false };
        let grown = |u: &Utterance| self.reach(u, &plan) >= last + GROWN;
        self.options.mode == Mode::TwoPass
            && self.utterances.back().is_none_or(|u| u.number != number || u.ended.is_some() || grown(u))
    }

    /// Takes back a job that no worker has started.
    pub(crate) fn take_back(&mut self, mut job: Job) {
        debug_assert_eq!(job.purpose, Purpose::Tentative, "only tentative windows are cut again");
        self.window = None;
        self.restore(&mut job);
        self.spare.mel.keep(job.mel);
    }

    /// Takes the result of a job. An error ends the stream.
    pub(crate) fn accept(&mut self, reply: Reply) {
        let Reply { mut job, result, .. } = reply;
        match job.purpose {
            Purpose::Final => self.passes -= 1,
            Purpose::Early(_) => self.early = false,
            Purpose::Commit | Purpose::Tentative => self.window = None,
        }
        if self.ended.is_some() {
            return;
        }
        match result {
            // The pass that is due at the endpoint will tell.
            Err(_) if matches!(job.purpose, Purpose::Early(_)) => self.early_result(&job, None),
            Err(error) => self.end(End::Failed(error)),
            Ok(decoded) => {
                self.restore(&mut job);
                self.merge(&job, decoded);
                self.spare.mel.keep(job.mel);
            }
        }
        self.deliver();
    }

    /// Whether `next_event` has one.
    pub(crate) fn has_event(&self) -> bool {
        !self.outbox.is_empty() || (self.revision != self.revision_taken && !self.utterances.is_empty())
    }

    /// The next event in order. Partials come once nothing older waits.
    pub(crate) fn next_event(&mut self) -> Option<Event> {
        match self.outbox.pop_front() {
            Some(Outgoing::SpeechStarted { at_ms }) => Some(Event::SpeechStarted { at_ms }),
            Some(Outgoing::Final { tokens, span, reason, second_pass }) => {
                self.finals_waiting -= 1;
                let (text, words) = self.vocab.words(&tokens, seconds(span.start));
                Some(Event::Final(Final { text, words, tokens, span, endpoint_reason: reason, second_pass }))
            }
            Some(Outgoing::End(end)) => Some(Event::End(end)),
            None => self.partial().map(Event::Partial),
        }
    }

    /// The newest partial, if anything changed since the last one taken.
    pub(crate) fn partial(&mut self) -> Option<Partial> {
        if self.revision == self.revision_taken {
            return None;
        }
        let utterance = self.utterances.front_mut()?;
        self.revision_taken = self.revision;
        let committed = self.options.mode == Mode::Incremental;
        let mut partial = utterance.hypothesis.partial(&self.vocab, seconds(utterance.start), committed);
        partial.revision = self.revision;
        partial.heard_ms = milliseconds(self.heard);
        partial.decoded_ms += milliseconds(utterance.start);
        Some(partial)
    }

    /// Samples at 16 kHz taken.
    pub(crate) fn heard(&self) -> u64 {
        self.heard
    }

    /// Samples at 16 kHz whose finals are out or which were found to hold no speech.
    pub(crate) fn settled(&self) -> u64 {
        self.utterances.front().map_or(self.heard, |u| u.start)
    }

    /// Samples at 16 kHz by which what is recognised trails what was heard: since the endpoint of the
    /// oldest final that is awaited, or of speech that no hypothesis covers yet.
    pub(crate) fn lag(&self) -> u64 {
        let Some(utterance) = self.utterances.front() else { return 0 };
        match (&utterance.ended, self.options.partials) {
            (Some(ended), _) => self.heard - ended.cut_at,
            (None, Some(plan)) => {
                u64::from(self.reach(utterance, &plan).saturating_sub(utterance.hypothesis.covered)) * GRID
            }
            (None, None) => 0,
        }
    }

    /// Hypotheses that replaced one another so far.
    pub(crate) fn revisions(&self) -> u64 {
        self.revision
    }

    /// How the stream ended; the event may still wait to be taken.
    pub(crate) fn ended(&self) -> Option<&End> {
        self.ended.as_ref()
    }

    /// Whether no more audio is taken because `finish` was called or the stream ended.
    pub(crate) fn is_finishing(&self) -> bool {
        self.finishing
    }

    /// Mel frames of the utterances that ended and whose windows are still to be cut, for estimates.
    pub(crate) fn due_frames(&self) -> impl Iterator<Item = usize> {
        let ended = self.utterances.iter().filter_map(|u| u.ended.as_ref());
        ended.filter(|e| matches!(e.pass, Pass::Due)).map(|e| mel_frames(e.span))
    }

    /// Whether a final needs what a window with this purpose gives.
    pub(crate) fn awaits(&self, purpose: Purpose) -> bool {
        match purpose {
            Purpose::Final | Purpose::Commit => true,
            Purpose::Early(span) => self
                .utterances
                .iter()
                .filter_map(|u| u.ended.as_ref())
                .any(|e| e.span == span && matches!(e.pass, Pass::Running)),
            Purpose::Tentative => false,
        }
    }

    /// Mel frames of the utterances whose finals are awaited.
    #[cfg(all(test, feature = "fake-model"))]
    pub(crate) fn awaited_frames(&self) -> impl Iterator<Item = usize> {
        let ended = self.utterances.iter().filter_map(|u| u.ended.as_ref());
        ended.filter(|e| !matches!(e.pass, Pass::Done(..))).map(|e| mel_frames(e.span))
    }

    /// Bytes held for this stream, without the front-end's own state.
    pub(crate) fn bytes(&self) -> usize {
        let ended = self.utterances.iter().filter_map(|u| u.ended.as_ref());
        let pasts = self.utterances.iter().filter_map(|u| u.hypothesis.past.as_ref());
        self.mel.bytes()
            + ended.map(|e| e.mel.bytes()).sum::<usize>()
            + pasts.map(|past| past.bytes()).sum::<usize>()
            + self.spare.mel.bytes()
    }

    fn apply(&mut self, mark: Mark) {
        match mark {
            Mark::Open(start) => self.open(start),
            Mark::Speech(at) => {
                if let Some(utterance) = self.utterances.back_mut() {
                    utterance.speech_at = Some(at);
                }
            }
            Mark::Cut { span, reason } => self.cut(span, reason),
        }
        self.deliver();
    }

    fn open(&mut self, start: u64) {
        self.utterances.push_back(Utterance {
            number: self.utterances_cut,
            start,
            speech_at: None,
            hypothesis: self.spare.hypotheses.pop().unwrap_or_default(),
            early: None,
            ended: None,
        });
        self.utterances_cut += 1;
    }

    fn cut(&mut self, span: Option<Span>, reason: EndpointReason) {
        self.cut_at = self.heard;
        let Some(utterance) = self.utterances.back_mut() else { return };
        let Some(span) = span else {
            self.utterances.pop_back();
            return;
        };
        let first = span.start / HOP;
        let frames = first..first + mel_frames(span) as u64;
        let pass = match utterance.early.take().filter(|early| early.span == span) {
            _ if frames.is_empty() => Pass::Done(Vec::new(), self.options.mode == Mode::TwoPass),
            Some(Early { tokens: Some(tokens), .. }) => Pass::Done(tokens, true),
            Some(Early { tokens: None, .. }) if self.early => Pass::Running,
            _ => Pass::Due,
        };
        let mel = self.mel.window(frames, &mut self.spare.mel);
        if self.options.mode == Mode::TwoPass {
            utterance.hypothesis.past = None;
        }
        utterance.ended = Some(Ended { span, reason, cut_at: self.heard, mel, pass });
    }

    fn trim_mel(&mut self) {
        let kept = self.endpointer.retain_from();
        self.mel.drop_before(kept / HOP, &mut self.spare.mel);
        // A stream that has been silent for a while holds next to nothing.
        if self.utterances.is_empty() && self.heard > self.cut_at + samples(SILENT_MS) {
            self.spare = Spare::default();
        }
    }

    /// The second pass of the oldest utterance that awaits one.
    fn second_pass(&mut self) -> Option<Job> {
        if self.passes == self.passes_max {
            return None;
        }
        let due = |u: &&mut Utterance| u.ended.as_ref().is_some_and(|e| matches!(e.pass, Pass::Due));
        let utterance = self.utterances.iter_mut().find(due)?;
        let ended = utterance.ended.as_mut()?;
        ended.pass = Pass::Running;
        self.passes += 1;
        let mel = std::mem::take(&mut ended.mel);
        Some(Job {
            purpose: Purpose::Final,
            decode: 0..encoder_frames(mel.len()),
            peek: 0..0,
            mel,
            state: Arc::clone(&self.fresh),
            past: None,
            utterance: utterance.number,
            offset: 0,
        })
    }

    /// The next tentative window: as much audio as there is, in whole steps.
    fn tentative(&mut self) -> Option<Job> {
        let plan = self.options.partials?;
        let utterance = self.utterances.back()?;
        if self.window.is_some() || utterance.ended.is_some() || self.finishing {
            return None;
        }
        let hypothesis = &utterance.hypothesis;
        let reach = self.reach(utterance, &plan);
        if reach < hypothesis.covered + hypothesis.step(&plan) {
            return None;
        }
        let decided = hypothesis.decided;
        let step = reach.saturating_sub(plan.right.into()).saturating_sub(decided).min(plan.step_max.into());
        let step_end = decided + step;
        let last = reach.min(step_end + u32::from(plan.right));
        let utterance = self.utterances.back_mut()?;
        let past = utterance.hypothesis.take_past(&plan, |left| self.pasts.lend_bounded(left));
        let (begin, first) = begin(decided, |plan| left(step, plan), &plan, past.is_some());
        let mel = self.mel.window(encoder_span(utterance.start, begin, last), &mut self.spare.mel);
        let job = Job {
            purpose: Purpose::Tentative,
            mel,
            decode: (decided - first) as usize..(step_end - first) as usize,
            peek: (step_end - first) as usize..(last - first) as usize,
            state: Arc::clone(&utterance.hypothesis.state),
            past,
            utterance: utterance.number,
            offset: first,
        };
        self.window = Some((utterance.number, last));
        Some(job)
    }

    /// Encoder frames of a running utterance that a tentative window may cover now. Of the silence after
    /// the last speech only as much is worth a window as lets the last word be heard and shown.
    fn reach(&self, utterance: &Utterance, plan: &Plan) -> u32 {
        let heard = frames_between(utterance.start, self.mel.end());
        let covered = utterance.hypothesis.covered;
        let speech = match self.endpointer.last_speech() {
            Some(sample) => (sample - utterance.start).div_ceil(GRID) as u32 + 2 * u32::from(plan.edge),
            None if self.options.endpoint.gate => 0,
            None => heard,
        };
        heard.min(covered + speech.saturating_sub(covered).next_multiple_of(utterance.hypothesis.step(plan)))
    }

    /// The next window of incremental mode, of the oldest utterance that is not done.
    fn commit(&mut self) -> Option<Job> {
        let plan = self.options.partials?;
        if self.window.is_some() {
            return None;
        }
        let done = |u: &Utterance| u.ended.as_ref().is_some_and(|e| matches!(e.pass, Pass::Done(..)));
        let utterance = self.utterances.iter_mut().find(|u| !done(u))?;
        let decided = utterance.hypothesis.decided;
        let step_end = decided + u32::from(plan.step_min);
        let last = step_end + u32::from(plan.right);
        let (mel, heard) = match &utterance.ended {
            Some(ended) => (&ended.mel, ended.mel.end()),
            None => {
                // Wherever it will be cut, also now, nothing that was committed is taken back.
                let end = self.endpointer.latest_end(utterance.start).min(self.heard - self.heard % GRID);
                let sure = Span { start: utterance.start, end: end.max(utterance.start) };
                (&self.mel, self.mel.end().min(utterance.start / HOP + mel_frames(sure) as u64))
            }
        };
        let full = last <= frames_between(utterance.start, heard);
        if !full && utterance.ended.is_none() {
            return None;
        }
        // What is committed does not depend on how many other streams speak.
        let past = utterance.hypothesis.take_past(&plan, |left| Some(self.pasts.lend(left)));
        let (begin, first) = begin(decided, |plan| plan.left.into(), &plan, past.is_some());
        let origin = utterance.start / HOP;
        let (frames, decode, peek) = if full {
            (encoder_span(utterance.start, begin, last), decided..step_end, step_end..last)
        } else {
            let end = encoder_frames((heard - origin) as usize) as u32;
            (origin + u64::from(begin) * STRIDE as u64..heard, decided..end, end..end)
        };
        let relative = |r: Range<u32>| (r.start - first) as usize..(r.end - first) as usize;
        let job = Job {
            purpose: Purpose::Commit,
            mel: mel.window(frames, &mut self.spare.mel),
            decode: relative(decode),
            peek: relative(peek),
            state: Arc::clone(&utterance.hypothesis.state),
            past,
            utterance: utterance.number,
            offset: first,
        };
        self.window = Some((utterance.number, last));
        Some(job)
    }

    /// Gives an utterance back what the encoder keeps of it, unless it does not need it any more.
    fn restore(&mut self, job: &mut Job) {
        let needs = |u: &&mut Utterance| {
            u.number == job.utterance && (u.ended.is_none() || self.options.mode == Mode::Incremental)
        };
        if let Some(past) = job.past.take()
            && let Some(utterance) = self.utterances.iter_mut().find(needs)
        {
            utterance.hypothesis.past = Some(past);
        }
    }

    /// Takes what an early second pass found, `None` if it failed.
    fn early_result(&mut self, job: &Job, tokens: Option<Vec<Token>>) {
        let Some(utterance) = self.utterances.iter_mut().find(|u| u.number == job.utterance) else { return };
        match (&mut utterance.ended, &mut utterance.early) {
            // The endpoint was where it was foreseen, and came first.
            (Some(ended), _) if job.purpose == Purpose::Early(ended.span) => {
                if matches!(ended.pass, Pass::Running) {
                    ended.pass = tokens.map_or(Pass::Due, |tokens| Pass::Done(tokens, true));
                }
            }
            (None, Some(early)) if job.purpose == Purpose::Early(early.span) => early.tokens = tokens,
            _ => {}
        }
    }

    fn merge(&mut self, job: &Job, decoded: Decoded) {
        if matches!(job.purpose, Purpose::Early(_)) {
            return self.early_result(job, Some(decoded.tokens));
        }
        let Some(utterance) = self.utterances.iter_mut().find(|u| u.number == job.utterance) else { return };
        if job.purpose == Purpose::Final {
            if let Some(ended) = &mut utterance.ended
                && matches!(ended.pass, Pass::Running)
            {
                ended.pass = Pass::Done(decoded.tokens, true);
            }
            return;
        }
        let plan = self.options.partials.unwrap_or_default();
        utterance.hypothesis.advance(job, decoded, &plan, &self.vocab);
        if let Some(ended) = &mut utterance.ended
            && job.purpose == Purpose::Commit
            && utterance.hypothesis.decided as usize >= encoder_frames(mel_frames(ended.span))
        {
            ended.pass = Pass::Done(utterance.hypothesis.tokens.clone(), false);
        }
        if self.utterances.front().is_some_and(|u| u.number == job.utterance) {
            self.revision += 1;
        }
    }

    /// Hands out what is ready, in the order of the utterances.
    fn deliver(&mut self) {
        while let Some(utterance) = self.utterances.front_mut() {
            if let Some(at) = utterance.speech_at.take()
                && self.announced != Some(at)
            {
                self.announced = Some(at);
                self.outbox.push_back(Outgoing::SpeechStarted { at_ms: milliseconds(at) });
            }
            let Some(Ended { pass: Pass::Done(tokens, second_pass), span, reason, .. }) =
                &mut utterance.ended
            else {
                break;
            };
            let (tokens, span, reason, second_pass) = (std::mem::take(tokens), *span, *reason, *second_pass);
            self.outbox.push_back(Outgoing::Final { tokens, span, reason, second_pass });
            self.finals_waiting += 1;
            self.announced = None;
            self.retire();
            // What was to be shown of the finished utterance is in its final; the next one's text
            // may have been waiting behind it.
            self.revision += 1;
            if self.utterances.front().is_none_or(|u| u.hypothesis.covered == 0) {
                self.revision_taken = self.revision;
            }
        }
        if self.finishing && self.utterances.is_empty() && self.ended.is_none() {
            self.end(End::Finished);
        }
    }

    /// Drops the oldest utterance and keeps its memory for the next one.
    fn retire(&mut self) {
        let Some(mut utterance) = self.utterances.pop_front() else { return };
        if self.spare.hypotheses.len() < Spare::HYPOTHESES_MAX {
            utterance.hypothesis.clear(&self.fresh);
            self.spare.hypotheses.push(utterance.hypothesis);
        }
        if let Some(ended) = utterance.ended {
            self.spare.mel.keep(ended.mel);
        }
    }

    /// Samples of incremental mode that were heard and wait to be committed: those beyond the next
    /// window, which cannot be cut before it is full.
    fn undecided(&self) -> u64 {
        let (Mode::Incremental, Some(plan)) = (self.options.mode, self.options.partials) else { return 0 };
        let Some(utterance) = self.utterances.back().filter(|u| u.ended.is_none()) else { return 0 };
        let next = utterance.hypothesis.decided + u32::from(plan.step_min) + u32::from(plan.right);
        (self.mel.end() * HOP).saturating_sub(utterance.start + u64::from(next) * GRID)
    }
}

/// Left context of a tentative window with this step. A step that grew under load takes its frames from
/// the left context, down to a quarter of it: windows stay equally long, so that they can share a call, and
/// what an utterance costs falls.
fn left(step: u32, plan: &Plan) -> u32 {
    let left = u32::from(plan.left);
    left.saturating_sub(step.saturating_sub(plan.step_min.into())).max(left.div_ceil(4))
}

/// Where the audio of a window begins, whose step begins at `decided`, and its first frame.
fn begin(decided: u32, left: impl Fn(&Plan) -> u32, plan: &Plan, kept: bool) -> (u32, u32) {
    if kept {
        return (decided.saturating_sub(BEFORE as u32), decided);
    }
    let first = decided.saturating_sub(left(&plan.without_kept_context()));
    (first, first)
}

fn seconds(sample: u64) -> f64 {
    sample as f64 / f64::from(crate::audio::RATE)
}

fn milliseconds(sample: u64) -> u64 {
    sample * 1000 / u64::from(crate::audio::RATE)
}

/// Whole encoder frames from sample `start` to mel frame `end`.
fn frames_between(start: u64, end: u64) -> u32 {
    (end.saturating_sub(start / HOP) / STRIDE as u64) as u32
}

/// The mel frames under encoder frames `first..last` of an utterance that starts at sample `start`.
fn encoder_span(start: u64, first: u32, last: u32) -> Range<u64> {
    let origin = start / HOP;
    origin + u64::from(first) * STRIDE as u64..origin + u64::from(last) * STRIDE as u64
}

/// The bound that a session is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// `Options::backlog_ms`.
    Backlog,
    /// `Options::finals_max`.
    Finals,
}

fn mel_frames(span: Span) -> usize {
    span.samples().checked_sub(WINDOW).map_or(0, |rest| (rest / HOP + 1) as usize)
}
