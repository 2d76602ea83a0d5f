//! What is promised of a stream, checked on what came of it.

use std::time::Duration;

use super::oracle::{self, Utterance, Words};
use super::script::{Action, Ending, Reader, Stream};
use super::world::Trace;
use crate::options::Mode;
use crate::{End, Event, Final, Partial, Token};

/// Checks a stream's events against the oracle and against what it tells when it is alone.
pub(super) fn check(stream: &Stream, signal: &[f32], trace: &Trace, alone: &[Event], patience: Duration) {
    let utterances = oracle::utterances(stream, signal);
    let mut reading = Reading::new(stream, signal, trace, &utterances);
    for (at, event) in &trace.events {
        reading.event(*at, event);
    }
    reading.end();
    if stream.failure().is_none() {
        same_as_alone(trace, alone);
    }
    if !trace.refused {
        no_work_for_silence(stream, trace, &utterances);
        in_time(stream, trace, &utterances, patience);
    }
}

/// A host that reads a stream's events and believes nothing.
struct Reading<'a> {
    stream: &'a Stream,
    signal: &'a [f32],
    trace: &'a Trace,
    utterances: &'a [Utterance],
    /// Where each onset of speech is told: its utterance.
    onsets: Vec<usize>,
    told: usize,
    /// The oldest utterance whose final is not there.
    next: usize,
    revision: u64,
    /// What was shown last of each utterance, with its words.
    shown: Vec<Option<(&'a Partial, Words)>>,
    end: Option<&'a End>,
}

impl<'a> Reading<'a> {
    fn new(stream: &'a Stream, signal: &'a [f32], trace: &'a Trace, utterances: &'a [Utterance]) -> Self {
        // Where an utterance is dropped before its speech, the same speech belongs to the next one.
        let new = |n: &usize| utterances[*n].speech.is_some() && !again(utterances, *n);
        let onsets = (0..utterances.len()).filter(new).collect();
        let (told, next, revision, end) = (0, 0, 0, None);
        let shown = utterances.iter().map(|_| None).collect();
        Self { stream, signal, trace, utterances, onsets, told, next, revision, shown, end }
    }

    fn event(&mut self, at: Duration, event: &'a Event) {
        assert!(self.end.is_none(), "after the end comes {event:?}");
        match event {
            Event::SpeechStarted { at_ms } => self.speech_started(*at_ms),
            Event::Partial(partial) => self.partial(partial),
            Event::Final(text) => self.text(at, text),
            Event::End(end) => self.end = Some(end),
        }
    }

    fn speech_started(&mut self, at_ms: u64) {
        let other = |n: &usize| self.utterances[*n].speech.map(|at| at / 16) != Some(at_ms);
        while self.onsets.get(self.told).is_some_and(|n| other(n) && self.is_dropped(*n)) {
            self.told += 1;
        }
        let told = self.onsets.get(self.told).copied();
        let expected = told.and_then(|n| self.utterances[n].speech);
        assert_eq!(Some(at_ms), expected.map(|at| at / 16), "speech number {} sets in", self.told);
        let open = told.unwrap_or(0);
        let due = self.final_from(self.next).unwrap_or(self.utterances.len());
        assert!(self.next <= open && open <= due, "speech of utterance {open} is told beside {}", self.next);
        self.told += 1;
    }

    /// Whether no final has the speech that sets in with utterance `n`. A rule that was changed may ask for
    /// more of it. Its onset is told unless an older final is awaited until then.
    fn is_dropped(&self, n: usize) -> bool {
        let same = (n + 1..self.utterances.len()).take_while(|n| again(self.utterances, *n));
        std::iter::once(n).chain(same).all(|n| self.utterances[n].span.is_none())
    }

    /// The first utterance from `from` on that has a final.
    fn final_from(&self, from: usize) -> Option<usize> {
        (from..self.utterances.len()).find(|n| self.utterances[*n].span.is_some())
    }

    fn partial(&mut self, partial: &'a Partial) {
        let Partial { committed_bytes, stable_bytes, revision, heard_ms, decoded_ms, .. } = *partial;
        assert!(revision > self.revision, "revision {revision} follows {}", self.revision);
        self.revision = revision;
        assert_eq!(partial.text, format!("{}{}", partial.committed(), partial.tentative()));
        assert!(committed_bytes <= stable_bytes && partial.text.starts_with(partial.stable()));
        assert!(ends_with_a_word(&partial.text, stable_bytes), "{stable_bytes} bytes of {:?}", partial.text);
        assert!(decoded_ms <= heard_ms && heard_ms <= self.signal.len() as u64 / 16, "{partial:?}");
        assert!(self.two_pass() || stable_bytes == committed_bytes, "{partial:?}");
        assert!(!self.two_pass() || committed_bytes == 0, "{:?} is committed", partial.committed());
        // Who asks for partials alone does not take the finals that come before.
        let partials_only = self.stream.reader == Reader::Partials;
        let awaited = self.final_from(self.next).filter(|_| !partials_only);
        let last = awaited.map_or(self.utterances.len(), |n| n + 1);
        let says =
            |n: usize| self.says(n, partial).filter(|_| self.continues(n, partial)).map(|words| (n, words));
        let Some((n, words)) = (self.next..last).find_map(says) else {
            let starts: Vec<_> = self.utterances[self.next..last].iter().map(|u| u.start / 16).collect();
            let before = &self.shown[self.next..last];
            return panic_with(&format!("of utterances at {starts:?} ms, {before:?}, none says {partial:?}"));
        };
        if !self.two_pass() {
            self.commits(n, partial);
        }
        self.shown[n] = Some((partial, words));
    }

    /// What a window's step has decided is committed, and nothing of its right context.
    fn commits(&self, n: usize, partial: &Partial) {
        let Utterance { start, span, .. } = self.utterances[n];
        let plan = self.stream.options.partials.unwrap_or_default();
        let shown = (partial.decoded_ms - start / 16) / 40;
        let last = span.is_some_and(|span| shown == oracle::frames(span));
        let text = |frames: u64| oracle::text(&oracle::ideal(self.signal, start, frames));
        // Words are shown up to the edge, and in it those that another follows.
        let (step, right, edge) = (u64::from(plan.step_min), u64::from(plan.right), u64::from(plan.edge));
        let newest = shown.saturating_sub(right - edge) / step;
        let steps = shown.saturating_sub(right).div_ceil(step)..=newest;
        let mut decided = steps.map(|steps| text(steps * step)).chain(last.then(|| text(shown)));
        assert!(decided.any(|text| text == partial.committed()), "{partial:?}");
    }

    /// Whether a partial may follow what was shown of utterance `n`.
    fn continues(&self, n: usize, partial: &Partial) -> bool {
        self.shown[n].as_ref().is_none_or(|(before, _)| {
            partial.committed().starts_with(before.committed()) && partial.decoded_ms >= before.decoded_ms
        })
    }

    /// The words of a partial, if it is what utterance `n` says up to where it was decoded.
    fn says(&self, n: usize, partial: &Partial) -> Option<Words> {
        let Utterance { start, span, .. } = self.utterances[n];
        let frames = partial.decoded_ms.checked_sub(start / 16)? / 40;
        // What is committed does not reach beyond the end; a tentative text may, before a cut back.
        let end = span.filter(|_| !self.two_pass()).map_or(u64::MAX, |span| span.end);
        if start + frames * 640 > end {
            return None;
        }
        let words = oracle::ideal(self.signal, start, frames);
        let starts = words.iter().map(|(_, frame)| start + u64::from(*frame) * 640);
        let timed = starts.zip(&partial.words).all(|(at, word)| same_time(word.start, at));
        (oracle::text(&words) == partial.text && words.len() == partial.words.len() && timed).then_some(words)
    }

    fn text(&mut self, at: Duration, text: &Final) {
        let Some(n) = self.final_from(self.next) else {
            return panic_with(&format!("no utterance is left for {text:?}"));
        };
        let utterance = &self.utterances[n];
        let (span, reason) = (text.span, text.endpoint_reason);
        assert_eq!(Some((span, reason)), utterance.span.map(|s| (s, utterance.reason)), "final {n}");
        let words: Words = text.tokens.iter().map(|Token { id, frame, .. }| (*id, *frame)).collect();
        assert_eq!(oracle::text(&words), text.text, "final {n}");
        let starts = words.iter().map(|(_, frame)| span.start + u64::from(*frame) * 640);
        let timed = starts.zip(&text.words).all(|(at, word)| same_time(word.start, at));
        assert!(timed && words.len() == text.words.len(), "final {n} has words {:?}", text.words);
        if text.second_pass {
            assert!(self.two_pass(), "final {n} of mode incremental claims a second pass");
            assert_eq!(words, oracle::whole(self.signal, span), "final {n}, {span:?}");
        } else {
            self.hypothesis(at, n, text, &words);
        }
        if let Some((partial, _)) = &self.shown[n] {
            let committed = partial.committed();
            assert!(text.text.starts_with(committed), "{committed:?} was committed of {:?}", text.text);
        }
        self.next = n + 1;
    }

    /// A final that comes from no second pass: the committed text, or under a deadline the newest
    /// hypothesis.
    fn hypothesis(&self, at: Duration, n: usize, text: &Final, words: &Words) {
        let (span, start) = (text.span, self.utterances[n].start);
        let plan = self.stream.options.partials.unwrap_or_default();
        if !self.two_pass() && *words == oracle::stepwise(self.signal, span, &plan) {
            return;
        }
        let hurried = matches!(self.stream.ending, Ending::Within(..));
        let settled = hurried && self.trace.finished.is_some_and(|f| f <= at);
        assert!(settled, "final {n}, without a deadline, of {span:?} is {words:?}");
        let (first, frames) = ((span.start - start) / 640, oracle::frames(span));
        let inside = |(id, frame): (u32, u32)| {
            let frame = u64::from(frame).checked_sub(first).filter(|f| *f < frames)?;
            Some((id, frame as u32))
        };
        let ideal = oracle::ideal(self.signal, start, first + frames);
        let ideal: Words = ideal.into_iter().filter_map(inside).collect();
        assert!(ideal.starts_with(words), "final {n} of {span:?} is {words:?}, was to begin {ideal:?}");
        if let Some((_, seen)) = &self.shown[n]
            && self.stream.reader != Reader::Partials
        {
            let seen = seen.iter().filter_map(|word| inside(*word)).count();
            assert!(words.len() >= seen, "{seen} words were shown of final {n}, {words:?}");
        }
    }

    fn end(&self) {
        if self.trace.refused {
            return assert!(self.trace.events.is_empty());
        }
        match self.end {
            Some(End::Finished) => {
                let left = self.final_from(self.next);
                assert!(left.is_none(), "{:?} has no final", left.map(|n| &self.utterances[n]));
                let untold = self.onsets[self.told..].iter().find(|n| !self.is_dropped(**n));
                assert!(untold.is_none(), "the speech of utterance {untold:?} was not told");
            }
            Some(End::Cancelled) => assert!(self.stream.cancelled.is_some(), "nobody cancelled"),
            Some(End::Failed(error)) => {
                assert_eq!(Some(error.kind()), self.stream.failure(), "the stream failed");
            }
            None => panic_with("the stream never ended"),
        }
        let finals = self.utterances[..self.next].iter().filter_map(|u| u.span);
        let second_passes = self.two_pass() && !matches!(self.stream.ending, Ending::Within(..));
        for span in finals.filter(|_| second_passes) {
            assert!(!oracle::fails(self.signal, span), "{span:?} was to fail");
        }
    }

    fn two_pass(&self) -> bool {
        self.stream.options.mode == Mode::TwoPass
    }
}

/// Whether the utterance before was dropped and had the same speech.
fn again(utterances: &[Utterance], n: usize) -> bool {
    let before = n.checked_sub(1).map(|n| &utterances[n]);
    before.is_some_and(|b| b.span.is_none() && b.speech == utterances[n].speech)
}

/// The finals are those of the same audio alone, as far as they go.
fn same_as_alone(trace: &Trace, alone: &[Event]) {
    let finals = |event: &'_ Event| match event {
        Event::Final(text) => Some(text.clone()),
        _ => None,
    };
    let mut expected = alone.iter().filter_map(finals);
    for text in trace.events.iter().filter_map(|(_, event)| finals(event)) {
        let alone = expected.next();
        let short = |f: &Final| (f.span, f.endpoint_reason);
        assert_eq!(Some(short(&text)), alone.as_ref().map(short), "of the stream alone");
        if alone.as_ref().is_some_and(|a| a.second_pass == text.second_pass) && text.second_pass {
            assert_eq!(Some(&text), alone.as_ref(), "of the stream alone");
        }
    }
}

/// Windows cover speech and a fixed context, and none is made without speech.
fn no_work_for_silence(stream: &Stream, trace: &Trace, utterances: &[Utterance]) {
    let spans = utterances.iter().filter_map(|u| u.span);
    let most: u64 = spans.clone().map(oracle::mel_frames).sum();
    let frames = trace.final_frames;
    assert!(frames <= most, "{frames} mel frames went through second passes, for {most} of finals");
    let Some(plan) = stream.options.partials else {
        return assert_eq!(trace.tentative + trace.commits, 0, "windows without a plan");
    };
    let (step, right) = (u64::from(plan.step_min), u64::from(plan.right));
    let most: u64 = match stream.options.mode {
        Mode::Incremental => spans.map(|span| oracle::frames(span).div_ceil(step)).sum(),
        Mode::TwoPass => {
            let spoken = utterances.iter().map(|u| u.spoken.saturating_sub(u.start).div_ceil(640));
            // In the first 1.28 s of an utterance steps are smaller.
            let first = 32_u64.div_ceil(plan.step_first.into());
            spoken.map(|frames| first + (frames + right).div_ceil(step)).sum()
        }
    };
    let ruled = stream.actions.iter().any(|(_, action)| matches!(action, Action::Set(_)));
    let windows = trace.tentative + trace.commits;
    assert!(ruled || windows <= most, "{windows} windows, at most {most} were to be");
}

/// Finals come within bounded time from what decided them, and the end from `finish`.
fn in_time(stream: &Stream, trace: &Trace, utterances: &[Utterance], patience: Duration) {
    let step = stream.options.partials.map_or(1, |p| u64::from(p.step_min));
    // Windows that a final may have to wait for, one after the other.
    let windows = |u: &Utterance| match stream.options.mode {
        Mode::TwoPass => 2,
        Mode::Incremental => 2 + u.span.map_or(0, oracle::frames) / step,
    };
    let finals = utterances.iter().filter(|u| u.span.is_some());
    let events = trace.events.iter().filter(|(_, e)| matches!(e, Event::Final(_)));
    let mut waiting: Vec<(Duration, u64)> = Vec::new();
    for ((at, _), utterance) in events.zip(finals) {
        let heard = trace.heard.partition_point(|(heard, _)| *heard < utterance.decided);
        let decided = trace.heard.get(heard).map(|(_, at)| *at).or(trace.finished).unwrap_or(*at);
        waiting.retain(|(done, _)| *done >= decided);
        waiting.push((*at, windows(utterance)));
        let ahead: u64 = waiting.iter().map(|(_, windows)| windows).sum();
        let (took, most) = (at.saturating_sub(decided), patience * ahead as u32);
        let awake = stream.reader == Reader::Eager;
        assert!(!awake || took <= most, "the final of {utterance:?} took {took:?}, at most {most:?}");
    }
    let (Some(finished), Some((end, Event::End(_)))) = (trace.finished, trace.events.last()) else { return };
    let all: u64 = utterances.iter().map(windows).sum::<u64>() + 1;
    let took = *end - finished;
    let most = match stream.ending {
        Ending::Within(limit, _) => limit.min(patience * all as u32),
        Ending::Finish | Ending::Close => patience * all as u32,
    };
    assert!(took <= most, "the end took {took:?}, at most {most:?}");
}

/// Whether the first `bytes` of a text do not end within a word.
fn ends_with_a_word(text: &str, bytes: usize) -> bool {
    bytes == 0 || text[bytes..].is_empty() || text[bytes..].starts_with(' ')
}

fn same_time(seconds: f64, sample: u64) -> bool {
    (seconds * 16_000.0 - sample as f64).abs() < 0.01
}

fn panic_with(message: &str) {
    assert!(message.is_empty(), "{message}");
}
