//! What the finals of a stream must be, from its whole signal: an implementation of the endpoint
//! rules' documentation that shares no code with the session.
//!
//! Deliberately naive: arrays over the whole stream, everything counted again from the start at each
//! tick. It knows of no mel frames kept, no buffers, no windows that wait.

use super::script::{Action, Stream, score};
use crate::options::{EndpointRule, Mode, Plan};
use crate::{EndpointReason, Span};

const TICK: u64 = 256;
const GRID: u64 = 640;
const STEP: u64 = 640;

/// An utterance that was opened.
#[derive(Debug, Clone)]
pub(super) struct Utterance {
    pub start: u64,
    /// Where its speech set in.
    pub speech: Option<u64>,
    /// Where it was cut; without a span it is dropped.
    pub span: Option<Span>,
    pub reason: EndpointReason,
    /// How much of the stream was heard when it was cut.
    pub decided: u64,
    /// The end of its last speech, as known then; without a gate all counts as speech.
    pub spoken: u64,
}

/// All utterances of a stream that is heard to its end.
pub(super) fn utterances(stream: &Stream, signal: &[f32]) -> Vec<Utterance> {
    let scores: Vec<f32> = signal.as_chunks::<256>().0.iter().map(score).collect();
    let mut on = false;
    let hysteresis = |score: &f32| {
        on = *score >= if on { 0.45 } else { 0.65 };
        on
    };
    let mut oracle = Oracle {
        speech: scores.iter().map(hysteresis).collect(),
        scores,
        rule: stream.options.endpoint.clone(),
        ruled: 0,
        two_pass: stream.options.mode == Mode::TwoPass,
        ticks: 0,
        heard: 0,
        at: 0,
        searched: 0,
        floor: 0,
        running: false,
        done: Vec::new(),
    };
    let mut actions = stream.actions.iter().peekable();
    for heard in 1..=signal.len() as u64 {
        while let Some((_, action)) = actions.next_if(|(at, _)| *at < heard) {
            oracle.act(action);
        }
        oracle.heard = heard;
        if heard.is_multiple_of(TICK) {
            oracle.ticks += 1;
            oracle.look();
        }
    }
    actions.for_each(|(_, action)| oracle.act(action));
    oracle.finish(stream.reason());
    oracle.done
}

struct Oracle {
    /// For each tick of the whole stream.
    scores: Vec<f32>,
    speech: Vec<bool>,
    rule: EndpointRule,
    /// Samples heard when the rule was set.
    ruled: u64,
    two_pass: bool,
    /// Ticks and samples heard.
    ticks: u64,
    heard: u64,
    /// The tick to look at.
    at: u64,
    /// The first tick that was searched for the utterance that is awaited or runs.
    searched: u64,
    /// No utterance starts earlier.
    floor: u64,
    /// Whether the newest of `done` is running still.
    running: bool,
    done: Vec<Utterance>,
}

impl Oracle {
    fn act(&mut self, action: &Action) {
        match action {
            Action::Force => self.force(),
            Action::Set(rule) => {
                // What the rule before did not keep is gone.
                if !self.running {
                    self.floor = self.kept().next_multiple_of(GRID);
                }
                self.rule = rule.clone();
                self.ruled = self.heard;
            }
        }
    }

    /// Looks at the ticks heard. A cut in the past is followed by looking again from there on.
    fn look(&mut self) {
        while self.at < self.ticks {
            self.tick();
        }
    }

    fn tick(&mut self) {
        if !self.running && self.unasked() {
            self.open(self.floor);
        }
        // Speech that lasts up to and with this tick.
        let onset = (self.searched..=self.at).rev().take_while(|t| self.speech[*t as usize]).last();
        let believed = onset.filter(|onset| (self.at + 1 - onset) * TICK >= ms(self.rule.speech_ms));
        if let (false, Some(onset)) = (self.running, believed) {
            self.open(down((onset * TICK).saturating_sub(ms(self.rule.pre_roll_ms))));
        }
        self.at += 1;
        if !self.running {
            return;
        }
        let utterance = self.newest();
        if utterance.speech.is_none() {
            if let Some(onset) = believed {
                let at = self.done.len() - 1;
                self.done[at].speech = Some(onset * TICK);
                return;
            }
        } else if let Some(silence_ms) = self.rule.silence_ms {
            let now = self.at * TICK;
            let last = self.last_speech(utterance.start, self.at);
            if now - last >= ms(silence_ms) {
                let end = if self.two_pass { now.min(last + ms(self.rule.post_roll_ms)) } else { now };
                return self.cut(self.trimmed(utterance.start, end), end, EndpointReason::Silence);
            }
        }
        if self.at * TICK > utterance.start + self.longest() + self.tail() {
            self.cut_at_length(self.at * TICK);
        }
    }

    fn force(&mut self) {
        if self.running {
            let start = self.newest().start;
            let end = down(self.heard).max(start);
            let span = self.trimmed(start, end);
            // There is nothing to end before the first speech.
            if span.is_some() {
                self.cut(span, end, EndpointReason::Forced);
            }
        }
    }

    fn finish(&mut self, reason: EndpointReason) {
        loop {
            self.look();
            if !self.running && self.heard > self.floor && self.unasked() {
                self.open(self.floor);
            }
            if !self.running {
                return;
            }
            let start = self.newest().start;
            let length = self.heard - start;
            if self.whole() && start == 0 && length <= self.longest() {
                return self.cut(Some(Span { start, end: self.heard }), self.heard, reason);
            }
            if length <= self.longest() {
                return self.cut(self.trimmed(start, self.heard), self.heard, reason);
            }
            self.cut_at_length(self.heard);
        }
    }

    /// Whether an utterance runs although nobody speaks.
    fn unasked(&self) -> bool {
        !self.rule.gate || self.whole() && self.floor == 0 && self.at == 0
    }

    fn whole(&self) -> bool {
        self.two_pass && self.rule.whole_if_short
    }

    fn open(&mut self, start: u64) {
        let start = start.max(self.floor);
        let reason = EndpointReason::Finish;
        self.done.push(Utterance { start, speech: None, span: None, reason, decided: 0, spoken: 0 });
        self.running = true;
    }

    fn cut(&mut self, span: Option<Span>, end: u64, reason: EndpointReason) {
        let last = self.last_speech(self.newest().start, self.at.min(self.ticks));
        if let Some(newest) = self.done.last_mut() {
            (newest.span, newest.reason, newest.decided) = (span, reason, self.heard);
            newest.spoken = if self.rule.gate { last } else { self.heard };
        }
        self.running = false;
        self.floor = end.next_multiple_of(GRID);
        // The first whole tick after the cut.
        self.at = self.floor.div_ceil(TICK);
        self.searched = self.at;
    }

    fn cut_at_length(&mut self, now: u64) {
        let start = self.newest().start;
        let longest = start + self.longest();
        let end = if self.two_pass {
            let latest = longest.min(now.saturating_sub(self.tail()));
            let earliest = latest.min(start + ms(self.rule.cut_from_ms));
            self.pause(earliest, latest).max(start + GRID)
        } else {
            // A rule that became stricter does not take back what was committed.
            longest.max(down(self.ruled))
        };
        self.cut(self.trimmed(start, end), end, EndpointReason::Length);
    }

    /// The middle of the longest pause in `earliest..latest`. Of pauses of equal length it is the one
    /// with the quieter end, then the later one. Without a pause it is the quietest place.
    fn pause(&self, earliest: u64, latest: u64) -> u64 {
        let ticks: Vec<u64> = (earliest.div_ceil(TICK)..latest / TICK).collect();
        let around = |tick: u64| -> f32 {
            let near: Vec<f32> =
                ticks.iter().filter(|t| t.abs_diff(tick) <= 2).map(|t| self.scores[*t as usize]).collect();
            near.iter().sum::<f32>() / near.len() as f32
        };
        let mut best: Option<(u64, f32, u64)> = None;
        for run in ticks.chunk_by(|a, b| !self.speech[*a as usize] && !self.speech[*b as usize]) {
            let last = run[run.len() - 1];
            let silent = if self.speech[last as usize] { 0 } else { run.len() as u64 };
            let better = |(length, noise, _): &(u64, f32, u64)| {
                silent > *length || silent == *length && around(last) <= *noise
            };
            if best.as_ref().is_none_or(better) {
                best = Some((silent, around(last), (last + 1) * TICK - silent * TICK / 2));
            }
        }
        let lowest = earliest.next_multiple_of(GRID).min(down(latest));
        down(best.map_or(latest, |b| b.2)).max(lowest)
    }

    /// With a gate only what is around speech, if there is any. Incremental text is not taken back.
    fn trimmed(&self, start: u64, end: u64) -> Option<Span> {
        if !self.rule.gate || !self.two_pass {
            return Some(Span { start, end }).filter(|s| s.end > s.start);
        }
        let loud: Vec<u64> = (start / TICK..end.div_ceil(TICK).min(self.ticks))
            .filter(|tick| self.speech[*tick as usize])
            .collect();
        let (first, last) = (loud.first()? * TICK, (loud.last()? + 1) * TICK);
        let from = down(first.saturating_sub(ms(self.rule.pre_roll_ms))).max(start);
        Some(Span { start: from, end: end.min(last + ms(self.rule.post_roll_ms)) })
    }

    /// One past the last tick of speech before `tick`, in samples.
    fn last_speech(&self, start: u64, tick: u64) -> u64 {
        let last = (self.searched..tick).rev().find(|t| self.speech[*t as usize]);
        last.map_or(start, |t| (t + 1) * TICK)
    }

    /// The oldest sample that is kept while nobody speaks: the pre-roll, and a frame more.
    fn kept(&self) -> u64 {
        let run = (self.searched..self.at).rev().take_while(|t| self.speech[*t as usize]).count() as u64;
        let onset = (self.at - run) * TICK;
        onset.saturating_sub(ms(self.rule.pre_roll_ms) + GRID).max(self.floor)
    }

    fn newest(&self) -> Utterance {
        self.done[self.done.len() - 1].clone()
    }

    fn longest(&self) -> u64 {
        down(ms(self.rule.utterance_max_ms))
    }

    fn tail(&self) -> u64 {
        if self.two_pass { ms(self.rule.tail_min_ms) } else { 0 }
    }
}

fn down(sample: u64) -> u64 {
    sample / GRID * GRID
}

fn ms(ms: u32) -> u64 {
    u64::from(ms) * 16
}

/// Recognised words: vocabulary index and frame.
pub(super) type Words = Vec<(u32, u32)>;

/// What one window over `span` says.
pub(super) fn whole(signal: &[f32], span: Span) -> Words {
    let frames = frames(span);
    decode(
        (0..frames).map(|f| if f + 2 >= frames { garbled(signal, span, f) } else { word(signal, span, f) }),
    )
}

/// What the steps of incremental mode say of `span`.
pub(super) fn stepwise(signal: &[f32], span: Span, plan: &Plan) -> Words {
    let (frames, (step, right)) = (frames(span), (u64::from(plan.step_min), u64::from(plan.right)));
    // Only a window that is cut off by the end may be heard to its edge.
    let complete = complete_frames(span);
    let heard = (0..frames).map(|frame| {
        let window = frame / step * step + step + right;
        let window = if window <= complete { window } else { frames };
        if frame + 2 >= window { garbled(signal, span, frame) } else { word(signal, span, frame) }
    });
    decode(heard)
}

/// What is said in the first `frames` frames of an utterance, were it heard well.
pub(super) fn ideal(signal: &[f32], start: u64, frames: u64) -> Words {
    let span = Span { start, end: u64::MAX };
    decode((0..frames).map(|frame| word(signal, span, frame)))
}

/// The text of words of the scripted vocabulary.
pub(super) fn text(words: &[(u32, u32)]) -> String {
    words.iter().map(|(id, _)| format!("w{id}")).collect::<Vec<_>>().join(" ")
}

/// Whether one window over `span` would meet a word that fails.
pub(super) fn fails(signal: &[f32], span: Span) -> bool {
    (0..frames(span)).any(|f| f + 2 < frames(span) && word(signal, span, f) > 1_000)
}

/// Encoder frames under a span: mel frames of 20 ms every 10 ms, and every fourth of them.
pub(super) fn frames(span: Span) -> u64 {
    mel_frames(span).div_ceil(4)
}

/// Those of which the next one has begun as well.
fn complete_frames(span: Span) -> u64 {
    mel_frames(span) / 4
}

/// Mel frames under a span.
pub(super) fn mel_frames(span: Span) -> u64 {
    (span.end - span.start).checked_sub(320).map_or(0, |rest| rest / 160 + 1)
}

fn word(signal: &[f32], span: Span, frame: u64) -> u32 {
    (signal[(span.start + frame * STEP) as usize] * 1024.0).round() as u32
}

fn garbled(signal: &[f32], span: Span, frame: u64) -> u32 {
    if word(signal, span, frame) == 0 { 0 } else { 999 }
}

/// A word counts when it differs from the frame before; the n-th comes out n higher.
fn decode(heard: impl Iterator<Item = u32>) -> Words {
    let heard: Vec<u32> = std::iter::once(0).chain(heard).collect();
    let new = heard.windows(2).enumerate().filter(|(_, pair)| pair[1] != 0 && pair[1] != pair[0]);
    (0..).zip(new).map(|(n, (frame, pair))| ((pair[1] + n) % 1_000, frame as u32)).collect()
}
