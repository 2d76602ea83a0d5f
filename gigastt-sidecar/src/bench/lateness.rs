//! How late a host sees what one stream recognises, and how often words change under its eyes. Knows no
//! clock: it is told when things happen.
//!
//! Lateness counts from when the piece of audio in question was due to be pushed, also if it was pushed
//! later because the machine had too much to do. For speech, marks are set every 100 ms.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use gigastt_core::audio::RATE;
use gigastt_core::{EndpointReason, EndpointRule, Event, Final, Partial};

use super::speech::Said;

/// Samples from one mark of true speech to the next.
const MARK: u64 = RATE as u64 / 10;
/// Samples after which a rule looks whether an utterance is over.
const TICK: u64 = 256;
/// Speech after a pause of this many samples begins an utterance: more than any rule waits for.
const PAUSE: u64 = RATE as u64 * 6 / 5;
/// The synthesiser's onset and the recognised word's may differ by this many samples.
const NEAR: u64 = RATE as u64 / 2;

/// When the samples of a stream are due: so many at a time, after so long each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    pub first: Duration,
    pub piece: u64,
}

impl Schedule {
    /// When the piece that holds this sample is to be pushed.
    pub(super) fn due(self, sample: u64) -> Duration {
        self.first + Duration::from_secs_f64((sample / self.piece * self.piece) as f64 / f64::from(RATE))
    }
}

/// What was seen of one or of many streams. Lateness in milliseconds.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Of each mark of speech: until the first event whose text covers it.
    pub partials: Vec<f64>,
    /// Of each final: from the sample that decided it.
    pub finals: Vec<f64>,
    /// Of the first text of an utterance: from the onset of its speech.
    pub firsts: Vec<f64>,
    /// Marks that no event ever covered; they are among `partials`, with the time that was waited.
    pub missed: usize,
    /// Words of finals.
    pub words: usize,
    /// Words that were shown and then replaced or taken away, and those called stable among them.
    pub revised: usize,
    pub revised_stable: usize,
}

impl Seen {
    /// Adds what was seen of another stream.
    pub(super) fn add(&mut self, other: Self) {
        self.partials.extend(other.partials);
        self.finals.extend(other.finals);
        self.firsts.extend(other.firsts);
        self.missed += other.missed;
        self.words += other.words;
        self.revised += other.revised;
        self.revised_stable += other.revised_stable;
    }
}

/// One stream's witness.
pub(super) struct Witness {
    schedule: Schedule,
    /// Only what was due in this time counts.
    counted: Range<Duration>,
    /// Samples from a span's end to the one that decides its final.
    decided_after: u64,
    /// Marks that are not covered yet.
    marks: VecDeque<u64>,
    /// Onsets whose first text has not come.
    onsets: VecDeque<u64>,
    shown: Vec<String>,
    stable: Vec<String>,
    seen: Seen,
}

impl Witness {
    /// A witness of a two-pass stream under `rule`.
    pub(super) fn new(schedule: Schedule, counted: Range<Duration>, rule: &EndpointRule) -> Self {
        let silence_ms = rule.silence_ms.unwrap_or(rule.post_roll_ms);
        Self {
            schedule,
            counted,
            decided_after: u64::from(silence_ms - rule.post_roll_ms) * u64::from(RATE) / 1_000,
            marks: VecDeque::new(),
            onsets: VecDeque::new(),
            shown: Vec::new(),
            stable: Vec::new(),
            seen: Seen::default(),
        }
    }

    /// Takes note of what the speaker says in the audio to come.
    pub(super) fn said(&mut self, said: &Said) {
        match said {
            Said::Onset { at, after } if *after >= PAUSE && self.counts(*at) => self.onsets.push_back(*at),
            Said::Onset { .. } => {}
            Said::Speech(range) => {
                let marks = range.clone().step_by(MARK as usize);
                let counted = marks.filter(|mark| self.counts(*mark));
                self.marks.extend(counted.collect::<Vec<_>>());
            }
        }
    }

    /// Takes note of an event that was seen at `now`.
    pub(super) fn saw(&mut self, now: Duration, event: &Event) {
        match event {
            Event::Partial(partial) => self.partial(now, partial),
            Event::Final(text) => self.text(now, text),
            Event::SpeechStarted { .. } | Event::End(_) => {}
        }
    }

    /// Whether marks wait to be covered.
    pub(super) fn waits(&self) -> bool {
        !self.marks.is_empty()
    }

    /// What was seen by `now`, when nobody waits any longer.
    pub(super) fn seen(mut self, now: Duration) -> Seen {
        self.seen.missed = self.marks.len();
        let late = self.marks.iter().map(|mark| ms(now.saturating_sub(self.schedule.due(*mark))));
        self.seen.partials.extend(late);
        self.seen
    }

    fn partial(&mut self, now: Duration, partial: &Partial) {
        self.cover(now, partial.decoded_ms * u64::from(RATE) / 1_000);
        if let Some(word) = partial.words.first() {
            self.first(now, (word.start * f64::from(RATE)) as u64);
        }
        if self.counts_at(now) {
            let (shown, stable) = (words(&partial.text), words(partial.stable()));
            self.seen.revised += revised(&self.shown, &shown);
            self.seen.revised_stable += revised(&self.stable, &stable);
            (self.shown, self.stable) = (shown, stable);
        }
    }

    fn text(&mut self, now: Duration, text: &Final) {
        self.cover(now, text.span.end);
        if let Some(word) = text.words.first() {
            self.first(now, (word.start * f64::from(RATE)) as u64);
        }
        if text.endpoint_reason == EndpointReason::Silence {
            let decided = (text.span.end + self.decided_after).next_multiple_of(TICK) - 1;
            if self.counts(decided) {
                self.seen.finals.push(ms(now.saturating_sub(self.schedule.due(decided))));
            }
        }
        if self.counts_at(now) {
            let last = words(&text.text);
            self.seen.words += last.len();
            self.seen.revised += revised(&self.shown, &last);
            self.seen.revised_stable += revised(&self.stable, &last);
        }
        (self.shown, self.stable) = (Vec::new(), Vec::new());
    }

    /// The text accounts for everything up to `sample`.
    fn cover(&mut self, now: Duration, sample: u64) {
        while let Some(mark) = self.marks.pop_front_if(|mark| *mark < sample) {
            self.seen.partials.push(ms(now.saturating_sub(self.schedule.due(mark))));
        }
    }

    /// The first word that is shown begins at `sample`.
    fn first(&mut self, now: Duration, sample: u64) {
        let mut onset = None;
        while let Some(at) = self.onsets.pop_front_if(|at| at.saturating_sub(NEAR) <= sample) {
            onset = Some(at);
        }
        // Of several the older ones were never recognised, which the error tells and not the delay.
        self.seen.firsts.extend(onset.map(|at| ms(now.saturating_sub(self.schedule.due(at)))));
    }

    fn counts(&self, sample: u64) -> bool {
        self.counted.contains(&self.schedule.due(sample))
    }

    fn counts_at(&self, now: Duration) -> bool {
        self.counted.contains(&now)
    }
}

/// Words without case and punctuation.
fn words(text: &str) -> Vec<String> {
    let plain =
        |word: &str| word.to_lowercase().replace('ё', "е").replace(|c: char| !c.is_alphanumeric(), "");
    text.split_whitespace().map(plain).filter(|word| !word.is_empty()).collect()
}

/// Words of `old` that do not stand at their place in `new`.
fn revised(old: &[String], new: &[String]) -> usize {
    old.iter().enumerate().filter(|(n, word)| new.get(*n) != Some(word)).count()
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

#[cfg(test)]
mod tests {
    use gigastt_core::{Span, Word};

    use super::*;

    const SECOND: u64 = RATE as u64;

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A witness of a stream whose first piece of 20 ms is due at 1 s; everything counts.
    fn witness() -> Witness {
        let schedule = Schedule { first: at(1_000), piece: 320 };
        Witness::new(schedule, Duration::ZERO..Duration::MAX, &EndpointRule::dictation())
    }

    fn partial(text: &str, start: f64, decoded_ms: u64) -> Event {
        let word = |text: &str| Word { text: text.into(), start, end: start + 0.1, confidence: 1.0 };
        let words = text.split_whitespace().map(word).collect();
        Event::Partial(Partial { text: text.into(), words, decoded_ms, ..Partial::default() })
    }

    fn last(text: &str, span: Span) -> Event {
        let endpoint_reason = EndpointReason::Silence;
        let (words, tokens) = (Vec::new(), Vec::new());
        Event::Final(Final { text: text.into(), words, tokens, span, endpoint_reason, second_pass: true })
    }

    #[test]
    fn a_mark_is_late_from_its_push_to_the_text_that_covers_it() {
        let mut witness = witness();
        witness.said(&Said::Speech(SECOND..SECOND + 3 * MARK));
        // Marks at 1.0, 1.1 and 1.2 s, which are pushed a second after.
        witness.saw(at(2_300), &partial("раз", 1.0, 1_000));
        assert!(witness.seen.partials.is_empty(), "the text ends where the mark begins");
        witness.saw(at(2_400), &partial("раз", 1.0, 1_150));
        witness.saw(at(2_500), &last("раз", Span { start: 0, end: SECOND + 3_000 }));
        assert_eq!(witness.seen(at(9_000)).partials, [400.0, 300.0, 6_800.0]);
    }

    #[test]
    fn a_final_is_late_from_the_sample_that_decides_it() {
        let mut witness = witness();
        // The last speech ends at 2 s; 320 ms are kept, and the 800th ms of silence decides.
        witness.saw(at(3_900), &last("", Span { start: 0, end: 2 * SECOND + 5_120 }));
        // That millisecond is in the piece which is due at 3.78 s.
        assert_eq!(witness.seen(at(0)).finals, [120.0]);
    }

    #[test]
    fn the_first_text_is_late_from_the_onset() {
        let mut witness = witness();
        witness.said(&Said::Onset { at: 2 * SECOND, after: 2 * SECOND });
        witness.said(&Said::Onset { at: 3 * SECOND, after: 4_000 });
        witness.saw(at(3_200), &partial("", 0.0, 2_000));
        witness.saw(at(3_400), &partial("раз", 1.9, 2_000));
        witness.saw(at(4_500), &partial("раз два", 1.9, 3_000));
        assert_eq!(witness.seen(at(0)).firsts, [400.0]);
    }

    #[test]
    fn words_that_change_are_counted() {
        let mut witness = witness();
        for text in ["Включи", "Включи свет", "Включи цвет на", "включи цвет"]
        {
            witness.saw(at(1_000), &partial(text, 0.0, 0));
        }
        witness.saw(at(1_000), &last("Включи свет.", Span::default()));
        let seen = witness.seen(at(0));
        assert_eq!((seen.words, seen.revised, seen.revised_stable), (2, 3, 0));
    }

    #[test]
    fn what_is_due_before_or_after_does_not_count() {
        let schedule = Schedule { first: Duration::ZERO, piece: 320 };
        let mut witness = Witness::new(schedule, at(1_000)..at(2_000), &EndpointRule::dictation());
        witness.said(&Said::Speech(0..3 * SECOND));
        assert_eq!(witness.marks.len(), 10);
    }
}
