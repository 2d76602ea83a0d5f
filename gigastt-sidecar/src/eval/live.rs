//! What a stream shows when, and what that is worth: error, unrest and delay of live text.

use std::path::Path;
use std::time::{Duration, Instant};

use gigastt_core::audio::Source as _;
use gigastt_core::audio::file::FileSource;
use gigastt_core::{Canceller, Engine, Error, ErrorKind, Event, Final, Options, Partial, Recognizer, Result};

/// So much is pushed at a time, as a sound card would.
const PIECE_MS: usize = 20;
/// No window takes this long.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long is waited for an event before looking whether there is still a window.
const LOOK: Duration = Duration::from_millis(5);

/// An event and when it was seen: seconds from the start of the stream.
pub(super) type Shown = (f64, Event);

/// Plays a recording as fast as the model takes it, 20 ms at a time, and waits for the model after each piece.
/// The text is that of a machine with nothing else to do. An event's time is when its audio was complete, plus
/// how long the model took.
///
/// # Errors
/// As those of reading a file and of a recognizer.
pub(super) fn play(
    engine: &Engine,
    path: &Path,
    options: &Options,
    canceller: &Canceller,
) -> Result<Vec<Shown>> {
    let mut source = FileSource::open(path)?;
    let format = source.format();
    let mut recognizer = engine.recognizer(Options { format, ..options.clone() })?;
    let (rate, channels) = (format.sample_rate as usize, usize::from(format.channels));
    let (mut samples, mut piece) = (Vec::new(), Vec::new());
    loop {
        source.read(&mut piece).map_err(|error| error.in_file(path))?;
        if piece.is_empty() {
            break;
        }
        samples.extend_from_slice(&piece);
    }
    // With a second of silence the last utterance ends by itself.
    samples.resize(samples.len() + rate * channels, 0.0);
    let (mut shown, mut heard) = (Vec::new(), 0);
    for piece in samples.chunks(rate * PIECE_MS / 1_000 * channels) {
        if canceller.is_cancelled() {
            return Err(Error::new(ErrorKind::Cancelled, "the evaluation was interrupted"));
        }
        heard += piece.len() / channels;
        let started = Instant::now();
        let now = || heard as f64 / rate as f64 + started.elapsed().as_secs_f64();
        push(&mut recognizer, piece)?;
        settle(&mut recognizer, |event| shown.push((now(), event)))?;
    }
    let (end, started) = (heard as f64 / rate as f64, Instant::now());
    let rest = recognizer.finish()?;
    let now = end + started.elapsed().as_secs_f64();
    shown.extend(rest.segments.into_iter().map(|text| (now, Event::Final(text))));
    Ok(shown)
}

fn push(recognizer: &mut Recognizer, piece: &[f32]) -> Result<()> {
    let mut left = piece;
    while !left.is_empty() {
        let taken = recognizer.push_pcm(left)?;
        left = &left[taken..];
        if taken == 0 && !recognizer.wait_writable(Some(PATIENCE))? {
            return Err(Error::new(ErrorKind::Timeout, "the stream takes no more audio"));
        }
    }
    Ok(())
}

/// Takes events until no window is with the worker.
fn settle(recognizer: &mut Recognizer, mut show: impl FnMut(Event)) -> Result<()> {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        while let Some(event) = recognizer.poll_event() {
            show(event);
        }
        if recognizer.stats().windows == 0 {
            return Ok(());
        }
        // A window that comes back need not change anything.
        if let Some(event) = recognizer.next_event(Some(LOOK))? {
            show(event);
        }
    }
    Err(Error::new(ErrorKind::Timeout, "a window never came back"))
}

/// What a reader of one or of many streams saw.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Seen {
    /// The finals, joined.
    pub last: String,
    /// The same with each word as it first stood at its place.
    pub first: String,
    /// The same with each word as it was when it was first called stable.
    pub stable: String,
    /// Words of the finals.
    pub words: usize,
    /// Words that were shown and then replaced or taken away, and those called stable among them.
    pub revised: usize,
    pub revised_stable: usize,
    /// Milliseconds from the end of a final's word until it stood at its place to stay.
    pub word_ms: Vec<f64>,
    /// Milliseconds from the start of an utterance's first word until there was any text.
    pub first_ms: Vec<f64>,
    /// Milliseconds from the end of the last word until the final.
    pub final_ms: Vec<f64>,
}

impl Seen {
    /// What was seen of one stream. Words are compared without case and punctuation.
    pub(super) fn of(shown: &[Shown]) -> Self {
        let mut seen = Self::default();
        let mut partials: Vec<(f64, &Partial)> = Vec::new();
        for (at, event) in shown {
            match event {
                Event::Partial(partial) => partials.push((*at, partial)),
                Event::Final(text) => seen.utterance(&std::mem::take(&mut partials), *at, text),
                Event::SpeechStarted { .. } | Event::End(_) => {}
            }
        }
        seen
    }

    /// Adds the numbers of another stream; its texts are left.
    pub(super) fn add(&mut self, other: &Self) {
        self.words += other.words;
        self.revised += other.revised;
        self.revised_stable += other.revised_stable;
        self.word_ms.extend(&other.word_ms);
        self.first_ms.extend(&other.first_ms);
        self.final_ms.extend(&other.final_ms);
    }

    fn utterance(&mut self, partials: &[(f64, &Partial)], at: f64, text: &Final) {
        let last = words(&text.text);
        let texts: Vec<_> = partials.iter().map(|(_, partial)| words(&partial.text)).collect();
        let stables: Vec<_> = partials.iter().map(|(_, partial)| words(partial.stable())).collect();
        append(&mut self.last, [text.text.as_str()]);
        append(&mut self.first, first_shown(&texts, &last));
        append(&mut self.stable, first_shown(&stables, &last));
        self.words += last.len();
        self.revised += revised(&texts, &last);
        self.revised_stable += revised(&stables, &last);

        let spoken = text.words.iter().filter(|word| !plain(&word.text).is_empty());
        for (n, word) in spoken.enumerate().take(last.len()) {
            let stays = texts.iter().rposition(|shown| shown.get(n) != last.get(n)).map_or(0, |n| n + 1);
            let since = partials.get(stays).map_or(at, |(since, _)| *since);
            self.word_ms.push((since - word.end) * 1_000.0);
        }
        if let (Some(first), Some(end)) = (text.words.first(), text.words.last()) {
            let shown = partials.iter().find(|(_, partial)| !partial.text.is_empty());
            self.first_ms.push((shown.map_or(at, |(since, _)| *since) - first.start) * 1_000.0);
            self.final_ms.push((at - end.end) * 1_000.0);
        }
    }
}

fn append<'a>(text: &mut String, words: impl IntoIterator<Item = &'a str>) {
    for word in words.into_iter().filter(|word| !word.is_empty()) {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(word);
    }
}

/// Each of the final's places with the word that stood there first.
fn first_shown<'a>(states: &'a [Vec<String>], last: &'a [String]) -> Vec<&'a str> {
    let mut shown: Vec<&str> = Vec::new();
    for state in states.iter().map(Vec::as_slice).chain([last]) {
        shown.extend(state.iter().skip(shown.len()).map(String::as_str));
    }
    shown.truncate(last.len());
    shown
}

/// Words that were shown and then replaced or taken away.
fn revised(states: &[Vec<String>], last: &[String]) -> usize {
    let states: Vec<_> = states.iter().map(Vec::as_slice).chain([last]).collect();
    let gone = |old: &[String], new: &[String]| (0..old.len()).filter(|n| new.get(*n) != old.get(*n)).count();
    states.windows(2).map(|pair| gone(pair[0], pair[1])).sum()
}

/// Words without case, punctuation and ё, at the places where the text has words.
fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(plain).filter(|word| !word.is_empty()).collect()
}

fn plain(word: &str) -> String {
    word.to_lowercase().replace('ё', "е").replace(|c: char| !c.is_alphanumeric(), "")
}

#[cfg(test)]
mod tests {
    use gigastt_core::{EndpointReason, Span, Word};

    use super::*;

    fn partial(at: f64, text: &str, stable: &str) -> Shown {
        (at, Event::Partial(Partial { text: text.into(), stable_bytes: stable.len(), ..Partial::default() }))
    }

    /// A final whose words last 0.4 s each from `start` on.
    fn last(at: f64, text: &str, start: f64) -> Shown {
        let word = |(n, text): (usize, &str)| {
            let start = start + 0.4 * n as f64;
            Word { text: text.into(), start, end: start + 0.4, confidence: 1.0 }
        };
        let words = text.split_whitespace().enumerate().map(word).collect();
        let endpoint_reason = EndpointReason::Silence;
        let (span, tokens) = (Span::default(), Vec::new());
        (
            at,
            Event::Final(Final {
                text: text.into(),
                words,
                tokens,
                span,
                endpoint_reason,
                second_pass: true,
            }),
        )
    }

    fn rounded(values: &[f64]) -> Vec<i64> {
        values.iter().map(|value| value.round() as i64).collect()
    }

    #[test]
    fn a_reader_sees_words_come_and_change() {
        let seen = Seen::of(&[
            partial(0.5, "Вклю", ""),
            partial(0.7, "Включи", ""),
            partial(1.1, "Включи цвет", "Включи"),
            partial(1.4, "включи свет на", "включи свет"),
            partial(1.6, "Включи свет", "Включи свет"),
            last(2.8, "Включи свет.", 0.2),
        ]);
        assert_eq!(seen.last, "Включи свет.");
        assert_eq!(seen.first, "вклю цвет");
        assert_eq!(seen.stable, "включи свет");
        // Вклю, цвет, на.
        assert_eq!((seen.words, seen.revised, seen.revised_stable), (2, 3, 0));
        // Включи ends at 0.6 s and stands from 0.7 s; свет ends at 1.0 s and stands from 1.4 s.
        assert_eq!(rounded(&seen.word_ms), [100, 400]);
        assert_eq!((rounded(&seen.first_ms), rounded(&seen.final_ms)), (vec![300], vec![1_800]));
    }

    #[test]
    fn utterances_are_joined_and_apart() {
        let seen = Seen::of(&[
            partial(0.5, "Раз", ""),
            last(1.0, "Раз.", 0.0),
            last(1.5, "", 0.0),
            last(3.0, "Два — три.", 2.0),
        ]);
        assert_eq!((seen.last.as_str(), seen.first.as_str()), ("Раз. Два — три.", "раз два три"));
        assert_eq!((seen.words, seen.revised), (3, 0));
        // Nothing was shown of the second before its final.
        assert_eq!(rounded(&seen.word_ms), [100, 600, -200]);
        assert_eq!(rounded(&seen.first_ms), [500, 1_000]);
    }

    #[test]
    fn what_was_shown_beyond_the_final_is_revised() {
        let seen = Seen::of(&[partial(0.5, "раз два", "раз"), last(1.0, "Раз.", 0.0)]);
        assert_eq!((seen.first.as_str(), seen.stable.as_str()), ("раз", "раз"));
        assert_eq!((seen.revised, seen.revised_stable), (1, 0));
        assert_eq!(Seen::of(&[]), Seen::default());
    }
}
