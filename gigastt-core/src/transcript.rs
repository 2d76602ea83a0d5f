//! What comes out: words, partials, finals, events and whole transcripts.

use std::fmt::Write as _;

/// A recognised token of the model's vocabulary.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Token {
    /// Index in the model's vocabulary.
    pub id: u32,
    /// Encoder frame of 40 ms, counted from the start of the span that was encoded.
    pub frame: u32,
    /// Natural logarithm of the model's probability for it, at most 0.
    pub logprob: f32,
}

/// A recognised word.
#[derive(Debug, Clone, PartialEq)]
pub struct Word {
    /// The word with the punctuation that belongs to it, without spaces.
    pub text: String,
    /// Seconds from the start of the stream to the word's first encoder frame.
    pub start: f64,
    /// Seconds from the start of the stream to the end of the word's last encoder frame.
    pub end: f64,
    /// Geometric mean of the probabilities of the word's tokens, 0 to 1.
    pub confidence: f32,
}

/// Samples at 16 kHz from the start of the stream: `start` is the first, `end` one past the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// First sample; a multiple of 640.
    pub start: u64,
    /// One past the last sample.
    pub end: u64,
}

impl Span {
    /// Number of samples.
    pub fn samples(self) -> u64 {
        self.end - self.start
    }

    /// Length in seconds.
    pub fn seconds(self) -> f64 {
        self.samples() as f64 / f64::from(crate::audio::RATE)
    }
}

/// The newest state of the running utterance.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Partial {
    /// Everything recognised of the utterance so far; `committed` followed by `tentative`.
    pub text: String,
    /// Length in bytes of the prefix of `text` that never changes.
    pub committed_bytes: usize,
    /// Length in bytes of the prefix of `text` on which consecutive hypotheses agree outside the
    /// edge horizon. A hint for displays; at least `committed_bytes`.
    pub stable_bytes: usize,
    /// Grows whenever anything of the partial changed; starts at 1 with every stream.
    pub revision: u64,
    /// The words of `text`.
    pub words: Vec<Word>,
    /// Milliseconds of audio taken from the host, from the start of the stream.
    pub heard_ms: u64,
    /// Milliseconds of audio, from the start of the stream, that the text accounts for.
    pub decoded_ms: u64,
}

impl Partial {
    /// The prefix of the text that never changes.
    pub fn committed(&self) -> &str {
        &self.text[..self.committed_bytes]
    }

    /// The rest of the text, which may still change.
    pub fn tentative(&self) -> &str {
        &self.text[self.committed_bytes..]
    }

    /// The prefix on which consecutive hypotheses agree: a hint for displays.
    pub fn stable(&self) -> &str {
        &self.text[..self.stable_bytes]
    }
}

/// Why an utterance ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndpointReason {
    /// Enough silence after speech.
    Silence,
    /// The utterance reached its length bound and was cut at the best pause; the speaker may well
    /// be in the middle of a sentence.
    Length,
    /// The host asked for it.
    Forced,
    /// The stream ended.
    Finish,
    /// The service that hosts the stream is going away.
    Shutdown,
    /// The stream reached the service's time limit.
    SessionCap,
    /// The service heard nothing from its client for too long.
    Idle,
}

impl EndpointReason {
    /// Every reason, for tables and tests of the skins.
    pub const ALL: [Self; 7] = [
        Self::Silence,
        Self::Length,
        Self::Forced,
        Self::Finish,
        Self::Shutdown,
        Self::SessionCap,
        Self::Idle,
    ];

    /// A stable name in `snake_case`, for protocols.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Silence => "silence",
            Self::Length => "length",
            Self::Forced => "forced",
            Self::Finish => "finish",
            Self::Shutdown => "shutdown",
            Self::SessionCap => "session_cap",
            Self::Idle => "idle",
        }
    }
}

/// A finished utterance.
#[derive(Debug, Clone, PartialEq)]
pub struct Final {
    /// The text of the utterance; may be empty.
    pub text: String,
    /// Its words.
    pub words: Vec<Word>,
    /// The tokens behind the words; their frames count from `span.start`.
    pub tokens: Vec<Token>,
    /// The samples that were encoded.
    pub span: Span,
    /// Why the utterance ended.
    pub endpoint_reason: EndpointReason,
    /// Whether the text comes from one full-context pass over exactly `span`.
    pub second_pass: bool,
}

/// What a stream tells, in order: `SpeechStarted`, `Partial`s, `Final`, ..., and one end.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Speech was detected; `at_ms` counts from the start of the stream.
    SpeechStarted {
        /// Milliseconds from the start of the stream.
        at_ms: u64,
    },
    /// The newest state of the running utterance; older states that were not taken are skipped.
    Partial(Partial),
    /// A finished utterance. None is ever skipped.
    Final(Final),
    /// The end; nothing follows.
    End(End),
}

/// How a stream ended.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// Everything that was pushed is in the finals.
    Finished,
    /// Cancelled by the host.
    Cancelled,
    /// The model or the library failed.
    Failed(crate::Error),
}

impl End {
    /// The end as a result: an error unless everything that was pushed is in the finals.
    ///
    /// # Errors
    /// `Cancelled`, or what the stream failed with.
    pub fn into_result(self) -> crate::Result<()> {
        match self {
            Self::Finished => Ok(()),
            Self::Cancelled => {
                Err(crate::Error::new(crate::ErrorKind::Cancelled, "the stream was cancelled"))
            }
            Self::Failed(error) => Err(error),
        }
    }
}

impl PartialEq for crate::Error {
    fn eq(&self, other: &Self) -> bool {
        self.kind() == other.kind() && self.to_string() == other.to_string()
    }
}

/// The transcript of a recording or of what was left of a stream at `finish`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Transcript {
    /// The texts of the segments, joined by single spaces; empty ones are skipped.
    pub text: String,
    /// The finished utterances in order.
    pub segments: Vec<Final>,
    /// Seconds of audio from the start of the stream.
    pub duration: f64,
}

impl Transcript {
    /// Joins finished utterances.
    pub fn new(segments: Vec<Final>, duration: f64) -> Self {
        let mut text = String::new();
        for segment in segments.iter().filter(|s| !s.text.is_empty()) {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(&segment.text);
        }
        Self { text, segments, duration }
    }

    /// The words of all segments.
    pub fn words(&self) -> impl Iterator<Item = &Word> {
        self.segments.iter().flat_map(|s| &s.words)
    }

    /// The transcript as SubRip subtitles.
    pub fn to_srt(&self) -> String {
        let mut out = String::new();
        for (n, cue) in self.cues().iter().enumerate() {
            let (start, end) = (timestamp(cue.start, ','), timestamp(cue.end, ','));
            let _ = writeln!(out, "{}\n{start} --> {end}\n{}\n", n + 1, cue.text);
        }
        out
    }

    /// The transcript as WebVTT subtitles.
    pub fn to_vtt(&self) -> String {
        let mut out = String::from("WEBVTT\n\n");
        for cue in self.cues() {
            let (start, end) = (timestamp(cue.start, '.'), timestamp(cue.end, '.'));
            let _ = writeln!(out, "{start} --> {end}\n{}\n", escape_vtt(&cue.text));
        }
        out
    }

    /// Subtitle cues: words grouped so that a cue stays readable and never spans two segments.
    fn cues(&self) -> Vec<Word> {
        let mut cues: Vec<Word> = Vec::new();
        for segment in &self.segments {
            let mut open = false;
            for word in &segment.words {
                match cues.last_mut().filter(|cue| open && fits(cue, word)) {
                    Some(cue) => {
                        cue.text.push(' ');
                        cue.text.push_str(&word.text);
                        cue.end = word.end;
                    }
                    None => cues.push(word.clone()),
                }
                open = !word.text.ends_with(['.', '?', '!', '…']);
            }
        }
        cues
    }
}

/// Longest cue, in characters: two lines of the usual 42.
const CUE_CHARS: usize = 84;
/// Longest cue, in seconds.
const CUE_SECONDS: f64 = 7.0;
/// A pause of this many seconds starts a new cue.
const CUE_PAUSE: f64 = 1.0;

fn fits(cue: &Word, next: &Word) -> bool {
    cue.text.chars().count() + 1 + next.text.chars().count() <= CUE_CHARS
        && next.end - cue.start <= CUE_SECONDS
        && next.start - cue.end < CUE_PAUSE
}

/// `HH:MM:SS,mmm`; WebVTT uses a point instead of the comma.
fn timestamp(seconds: f64, mark: char) -> String {
    let ms = (seconds.max(0.0) * 1000.0).round() as u64;
    let (h, m, s) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    format!("{h:02}:{m:02}:{s:02}{mark}{:03}", ms % 1000)
}

/// Cue text may not hold markup or the arrow of a cue's time line.
fn escape_vtt(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str, start: f64, end: f64) -> Word {
        Word { text: text.into(), start, end, confidence: 1.0 }
    }

    fn segment(words: &[Word]) -> Final {
        let text: Vec<_> = words.iter().map(|w| w.text.as_str()).collect();
        Final {
            text: text.join(" "),
            words: words.to_vec(),
            tokens: Vec::new(),
            span: Span::default(),
            endpoint_reason: EndpointReason::Finish,
            second_pass: true,
        }
    }

    #[test]
    fn segments_join_by_single_spaces() {
        let empty = segment(&[]);
        let one = segment(&[word("раз.", 0.0, 0.4)]);
        let transcript = Transcript::new(vec![one.clone(), empty, one], 2.0);
        assert_eq!(transcript.text, "раз. раз.");
        assert_eq!(transcript.words().count(), 2);
    }

    #[test]
    fn srt_cues_break_at_sentences_pauses_and_segments() {
        let first = segment(&[word("Раз,", 0.0, 0.4), word("два.", 0.48, 0.9), word("Три", 1.0, 1.2)]);
        let second = segment(&[word("четыре", 1.3, 1.5), word("пять", 3601.0, 3602.0)]);
        let srt = Transcript::new(vec![first, second], 3602.0).to_srt();
        let expected = "1\n00:00:00,000 --> 00:00:00,900\nРаз, два.\n\n\
                        2\n00:00:01,000 --> 00:00:01,200\nТри\n\n\
                        3\n00:00:01,300 --> 00:00:01,500\nчетыре\n\n\
                        4\n01:00:01,000 --> 01:00:02,000\nпять\n\n";
        assert_eq!(srt, expected);
    }

    #[test]
    fn vtt_escapes_markup() {
        let vtt = Transcript::new(vec![segment(&[word("<a>&", 0.0, 1.0)])], 1.0).to_vtt();
        assert_eq!(vtt, "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n&lt;a&gt;&amp;\n\n");
    }

    #[test]
    fn an_empty_transcript_is_an_empty_file() {
        assert_eq!(Transcript::default().to_srt(), "");
        assert_eq!(Transcript::default().to_vtt(), "WEBVTT\n\n");
    }
}
