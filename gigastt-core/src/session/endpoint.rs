//! When an utterance starts and ends: a state machine over the voice-activity track and sample
//! counts alone.
//!
//! The track is one entry per [`TICK`] samples. Everything here is a function of it and of the
//! rule, never of text, load or time, so the same audio is cut at the same places however it came.
//! A cut may lie behind the newest audio (the best pause before the length bound); the machine then
//! goes on from the cut, over the part of the track that it has already seen.

use std::collections::VecDeque;

use crate::audio::{RATE, vad};
use crate::options::EndpointRule;
use crate::{EndpointReason, Span};

/// Samples at 16 kHz per entry of the track: 16 ms.
pub(crate) const TICK: u64 = vad::FRAME as u64;

/// Utterances start on multiples of this many samples: one encoder frame.
pub(crate) const GRID: u64 = 640;

/// What the machine decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// An utterance starts at this sample.
    Open(u64),
    /// Speech was detected in the running utterance; it set in at this sample.
    Speech(u64),
    /// The running utterance ends. Without a span it held no speech and nothing is to be encoded.
    Cut { span: Option<Span>, reason: EndpointReason },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Waiting,
    Running { start: u64, speech: bool },
}

/// See the module.
pub(crate) struct Endpointer {
    rule: EndpointRule,
    /// Samples heard when the rule was set.
    ruled: u64,
    /// Whether a cut may lie in the past. Incremental text cannot be taken back, so there it may not.
    cut_back: bool,
    /// Whether each tick from `base` on is speech, with its score.
    track: VecDeque<(bool, f32)>,
    base: u64,
    /// The next tick to look at.
    cursor: u64,
    phase: Phase,
    /// Consecutive ticks of speech up to the cursor.
    run: u64,
    /// One past the last tick of speech of the running utterance, in samples.
    last_speech: u64,
    /// The next utterance starts no earlier.
    floor: u64,
}

impl Endpointer {
    /// A machine at the start of a stream.
    pub(crate) fn new(rule: EndpointRule, cut_back: bool) -> Self {
        Self {
            rule,
            ruled: 0,
            cut_back,
            track: VecDeque::new(),
            base: 0,
            cursor: 0,
            phase: Phase::Waiting,
            run: 0,
            last_speech: 0,
            floor: 0,
        }
    }

    /// Changes the rule from the next tick on, after `heard` samples.
    pub(crate) fn set_rule(&mut self, rule: EndpointRule, heard: u64) {
        if self.phase == Phase::Waiting {
            // What the rule before did not keep is gone.
            self.floor = self.retain_from().next_multiple_of(GRID);
        }
        self.rule = rule;
        self.ruled = heard;
    }

    /// Takes the score of the next tick.
    pub(crate) fn push(&mut self, score: f32) {
        let was_speech = self.track.back().is_some_and(|t| t.0);
        let threshold = if was_speech { vad::OFF } else { vad::ON };
        self.track.push_back((score >= threshold, score));
    }

    /// What follows from the ticks pushed so far; call until `None`.
    pub(crate) fn advance(&mut self) -> Option<Mark> {
        while self.cursor < self.base + self.track.len() as u64 {
            if let Some(mark) = self.open_unasked() {
                return Some(mark);
            }
            let (speech, _) = self.tick(self.cursor);
            self.cursor += 1;
            self.run = if speech { self.run + 1 } else { 0 };
            let mark = match self.phase {
                Phase::Waiting => self.wait(),
                Phase::Running { start, speech: heard } => self.listen(start, speech, heard),
            };
            if mark.is_some() {
                return mark;
            }
            self.forget();
        }
        None
    }

    /// Ends the running utterance at the last grid point, if there is one and it holds speech by then.
    /// Call after `advance`.
    pub(crate) fn force(&mut self, heard: u64) -> Option<Mark> {
        let Phase::Running { start, .. } = self.phase else { return None };
        let end = (heard - heard % GRID).max(start);
        let span = self.trim(start, end)?;
        Some(self.cut(Some(span), end, EndpointReason::Forced))
    }

    /// Ends the stream of `heard` samples; call until `None`.
    pub(crate) fn finish(&mut self, heard: u64, reason: EndpointReason) -> Option<Mark> {
        if let Some(mark) = self.advance() {
            return Some(mark);
        }
        if heard > self.floor
            && let Some(mark) = self.open_unasked()
        {
            return Some(mark);
        }
        let Phase::Running { start, .. } = self.phase else { return None };
        let length = heard - start;
        if self.whole() && start == 0 && length <= self.longest() {
            return Some(self.cut(Some(Span { start, end: heard }), heard, reason));
        }
        if length > self.longest() {
            return Some(self.cut_at_length(start, heard));
        }
        self.close(heard, heard, reason)
    }

    /// The oldest sample whose frames may still be needed.
    pub(crate) fn retain_from(&self) -> u64 {
        match self.phase {
            Phase::Running { start, .. } => start,
            Phase::Waiting => {
                let onset = (self.cursor - self.run) * TICK;
                onset.saturating_sub(samples(self.rule.pre_roll_ms) + GRID).max(self.floor)
            }
        }
    }

    /// Where an utterance that is not cut back ends at the latest. One that opens with more speech than it
    /// may be long has been heard beyond that.
    pub(crate) fn latest_end(&self, start: u64) -> u64 {
        // A rule that became stricter takes nothing back.
        (start + self.longest()).max(self.ruled - self.ruled % GRID)
    }

    /// Where the running utterance's speech was last heard; `None` before any.
    pub(crate) fn last_speech(&self) -> Option<u64> {
        matches!(self.phase, Phase::Running { speech: true, .. }).then_some(self.last_speech)
    }

    /// What the running utterance's span will be if it stays silent, once all of it was heard, and the
    /// samples from here to that endpoint.
    pub(crate) fn foreseen(&self) -> Option<(Span, u64)> {
        let Phase::Running { start, speech: true } = self.phase else { return None };
        let (now, silence) = (self.cursor * TICK, samples(self.rule.silence_ms?));
        let kept = self.last_speech + samples(self.rule.post_roll_ms);
        if !self.cut_back || now < kept {
            return None;
        }
        let left = (self.last_speech + silence).saturating_sub(now);
        self.trim(start, kept).map(|span| (span, left))
    }

    /// Without a gate, and at the start of a file, an utterance runs from the first sample on.
    fn open_unasked(&mut self) -> Option<Mark> {
        let whole = self.whole() && self.floor == 0 && self.cursor == 0;
        if self.phase == Phase::Waiting && (!self.rule.gate || whole) {
            return Some(self.open(self.floor));
        }
        None
    }

    /// Whether a short stream becomes one whole window. Incremental text comes in steps.
    fn whole(&self) -> bool {
        self.rule.whole_if_short && self.cut_back
    }

    fn open(&mut self, start: u64) -> Mark {
        self.phase = Phase::Running { start, speech: false };
        self.last_speech = start;
        Mark::Open(start)
    }

    fn wait(&mut self) -> Option<Mark> {
        if self.run * TICK < samples(self.rule.speech_ms) {
            return None;
        }
        let onset = (self.cursor - self.run) * TICK;
        let wanted = onset.saturating_sub(samples(self.rule.pre_roll_ms));
        let mark = self.open((wanted - wanted % GRID).max(self.floor));
        // Look at this tick again, now as part of the utterance.
        self.cursor -= 1;
        self.run -= 1;
        Some(mark)
    }

    fn listen(&mut self, start: u64, speech: bool, heard_speech: bool) -> Option<Mark> {
        let now = self.cursor * TICK;
        if speech {
            self.last_speech = now;
        }
        if !heard_speech && self.run * TICK >= samples(self.rule.speech_ms) {
            self.phase = Phase::Running { start, speech: true };
            return Some(Mark::Speech(now - self.run * TICK));
        }
        if heard_speech
            && let Some(silence_ms) = self.rule.silence_ms
            && now - self.last_speech >= samples(silence_ms)
        {
            let kept = self.last_speech + samples(self.rule.post_roll_ms);
            let end = if self.cut_back { kept.min(now) } else { now };
            return self.close(now, end, EndpointReason::Silence);
        }
        if now - start > self.longest() + self.lookahead() {
            return Some(self.cut_at_length(start, now));
        }
        None
    }

    /// The longest utterance in samples, on the grid.
    fn longest(&self) -> u64 {
        let longest = samples(self.rule.utterance_max_ms);
        longest - longest % GRID
    }

    fn lookahead(&self) -> u64 {
        if self.cut_back { samples(self.rule.tail_min_ms) } else { 0 }
    }

    /// Cuts an utterance that has grown too long.
    fn cut_at_length(&mut self, start: u64, now: u64) -> Mark {
        let at = if self.cut_back {
            let latest = (start + self.longest()).min(now.saturating_sub(self.lookahead()));
            let earliest = (start + samples(self.rule.cut_from_ms)).min(latest);
            self.best_pause(earliest, latest).max(start + GRID)
        } else {
            self.latest_end(start)
        };
        let span = self.trim(start, at);
        self.cut(span, at, EndpointReason::Length)
    }

    /// Ends the running utterance at `end`.
    fn close(&mut self, now: u64, end: u64, reason: EndpointReason) -> Option<Mark> {
        let Phase::Running { start, .. } = self.phase else { return None };
        let end = end.clamp(start, now);
        let span = self.trim(start, end);
        Some(self.cut(span, end, reason))
    }

    /// Ends the running utterance; the next one starts at `end` at the earliest.
    fn cut(&mut self, span: Option<Span>, end: u64, reason: EndpointReason) -> Mark {
        self.phase = Phase::Waiting;
        self.floor = end.next_multiple_of(GRID);
        // Ticks before the cut belong to the utterance that ended.
        self.cursor = self.floor.div_ceil(TICK);
        self.run = 0;
        self.forget();
        Mark::Cut { span, reason }
    }

    /// `[start, end)` without the silence at its edges; `None` when it holds no speech at all.
    fn trim(&self, start: u64, end: u64) -> Option<Span> {
        if !self.rule.gate || !self.cut_back {
            return (end > start).then_some(Span { start, end });
        }
        let speech = |tick: &u64| self.tick(*tick).0;
        let ticks = start / TICK..end.div_ceil(TICK).min(self.base + self.track.len() as u64);
        let first = ticks.clone().find(speech)? * TICK;
        let last = (ticks.rev().find(speech)? + 1) * TICK;
        let from = first.saturating_sub(samples(self.rule.pre_roll_ms));
        let from = (from - from % GRID).max(start);
        Some(Span { start: from, end: end.min(last + samples(self.rule.post_roll_ms)) })
    }

    /// The middle of the longest pause in `[earliest, latest)`; of equally long ones the one with the
    /// quieter end, then the later one. Without a pause the least speech-like place.
    fn best_pause(&self, earliest: u64, latest: u64) -> u64 {
        let (first, last) = (earliest.div_ceil(TICK), latest / TICK);
        let (mut best, mut at) = ((0, f32::MIN), latest);
        let mut silent = 0;
        for tick in first..last {
            silent = if self.tick(tick).0 { 0 } else { silent + 1 };
            // The mean: a sum would take the edges of the range for quiet.
            let near = tick.saturating_sub(2).max(first)..(tick + 3).min(last);
            let count = (near.end - near.start) as f32;
            let around = near.map(|t| self.tick(t).1).sum::<f32>() / count;
            if (silent, -around) >= best {
                best = (silent, -around);
                at = (tick + 1) * TICK - silent * TICK / 2;
            }
        }
        (at - at % GRID).max(earliest.next_multiple_of(GRID).min(latest - latest % GRID))
    }

    /// Speech flag and score of a tick; silence outside the track.
    fn tick(&self, tick: u64) -> (bool, f32) {
        let at = tick.checked_sub(self.base).and_then(|i| usize::try_from(i).ok());
        at.and_then(|i| self.track.get(i)).copied().unwrap_or((false, 0.0))
    }

    /// Drops ticks that nothing will ask for again. The newest stays: the next push looks at it.
    fn forget(&mut self) {
        let needed = self.retain_from() / TICK;
        let newest = (self.base + self.track.len() as u64).saturating_sub(1);
        while self.base < needed.min(newest) {
            self.track.pop_front();
            self.base += 1;
        }
    }
}

/// Samples at 16 kHz of a number of milliseconds.
pub(crate) fn samples(ms: u32) -> u64 {
    u64::from(ms) * u64::from(RATE) / 1000
}
