//! What is written: transcripts as text, JSON and subtitles, and complaints. The only file that prints.

use std::io::{self, Write as _};
use std::path::Path;

use clap::ValueEnum;
use gigastt_core::{Final, Transcript};
use serde::{Serialize, Serializer};

use crate::messages::{Word, thousandths};

/// How a transcript is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// The words, one line per segment.
    Text,
    /// One JSON object, on one line.
    Json,
    /// SubRip subtitles.
    Srt,
    /// WebVTT subtitles.
    Vtt,
}

impl Format {
    /// The ending of a file's name.
    pub(crate) fn ending(self) -> &'static str {
        match self {
            Self::Text => "txt",
            Self::Json => "json",
            Self::Srt => "srt",
            Self::Vtt => "vtt",
        }
    }
}

/// Writes a transcript down. `file` and `tokens` matter to JSON alone.
pub(crate) fn render(format: Format, tokens: bool, file: &Path, transcript: &Transcript) -> String {
    match format {
        Format::Text => lines(transcript),
        Format::Json => line(&Record::new(file, transcript, tokens)),
        Format::Srt => transcript.to_srt(),
        Format::Vtt => transcript.to_vtt(),
    }
}

/// Prints to standard output.
///
/// # Errors
/// What the operating system says; `BrokenPipe` when nobody reads any more.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Whether `path` is where standard output goes already, as `/dev/stdout` is: it may be a file that others write as
/// well, which must not be replaced.
pub(crate) fn leads_there(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::fd::AsFd as _;
        use std::os::unix::fs::MetadataExt as _;

        let stdout = io::stdout().as_fd().try_clone_to_owned();
        let stdout = stdout.and_then(|stdout| std::fs::File::from(stdout).metadata());
        let place = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
        matches!((stdout.map(place), path.metadata().map(place)), (Ok(there), Ok(here)) if there == here)
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}

/// A value as one line of JSON.
pub(crate) fn line(value: &impl Serialize) -> String {
    // Our records hold no maps with other keys than strings, which is all that could fail.
    let mut line = serde_json::to_string(value).unwrap_or_default();
    line.push('\n');
    line
}

/// Tells on standard error what is wrong, and the next step. With standard error closed nobody is told.
pub(crate) fn complain(problem: &str, next: Option<&str>) {
    let mut err = io::stderr().lock();
    let _ = writeln!(err, "gigastt: {problem}");
    if let Some(next) = next {
        let _ = writeln!(err, "  next: {next}");
    }
}

fn lines(transcript: &Transcript) -> String {
    let said = transcript.segments.iter().filter(|segment| !segment.text.is_empty());
    said.map(|segment| format!("{}\n", segment.text)).collect()
}

/// Words and segments are copied one by one as they are written: hours of speech have many.
#[derive(Serialize)]
struct Record<'a> {
    file: String,
    text: &'a str,
    duration: f64,
    #[serde(serialize_with = "words")]
    words: &'a Transcript,
    #[serde(serialize_with = "segments")]
    segments: (&'a Transcript, bool),
}

fn words<S: Serializer>(transcript: &Transcript, out: S) -> Result<S::Ok, S::Error> {
    out.collect_seq(transcript.words().map(Word::from))
}

fn segments<S: Serializer>((transcript, tokens): &(&Transcript, bool), out: S) -> Result<S::Ok, S::Error> {
    out.collect_seq(transcript.segments.iter().map(|segment| SegmentRecord::new(segment, *tokens)))
}

#[derive(Serialize)]
struct SegmentRecord<'a> {
    text: &'a str,
    start: f64,
    end: f64,
    endpoint_reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_sample: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<Vec<TokenRecord>>,
}

#[derive(Serialize)]
struct TokenRecord {
    id: u32,
    frame: u32,
    logprob: f32,
}

impl<'a> Record<'a> {
    fn new(file: &Path, transcript: &'a Transcript, tokens: bool) -> Self {
        Self {
            file: file.display().to_string(),
            text: &transcript.text,
            duration: thousandths(transcript.duration),
            words: transcript,
            segments: (transcript, tokens),
        }
    }
}

impl<'a> SegmentRecord<'a> {
    fn new(segment: &'a Final, tokens: bool) -> Self {
        let seconds = |sample: u64| thousandths(sample as f64 / f64::from(gigastt_core::audio::RATE));
        let token = |t: &gigastt_core::Token| TokenRecord { id: t.id, frame: t.frame, logprob: t.logprob };
        Self {
            text: &segment.text,
            start: seconds(segment.span.start),
            end: seconds(segment.span.end),
            endpoint_reason: segment.endpoint_reason.code(),
            start_sample: tokens.then_some(segment.span.start),
            tokens: tokens.then(|| segment.tokens.iter().map(token).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use gigastt_core::{EndpointReason, Span, Token, Word};

    use super::*;

    fn segment(text: &str, at_s: u64) -> Final {
        let start = at_s as f64 + 0.04;
        Final {
            text: text.into(),
            words: vec![Word { text: text.into(), start, end: start + 0.2, confidence: 0.98765 }],
            tokens: vec![Token { id: 7, frame: 1, logprob: -0.5 }],
            span: Span { start: at_s * 16_000, end: (at_s + 1) * 16_000 },
            endpoint_reason: EndpointReason::Finish,
            second_pass: true,
        }
    }

    fn check(format: Format, tokens: bool, transcript: &Transcript, expected: &str) {
        assert_eq!(render(format, tokens, Path::new("a.wav"), transcript), expected);
    }

    #[test]
    fn text_has_a_line_per_segment_that_says_something() {
        let transcript = Transcript::new(vec![segment("Раз.", 0), segment("", 1), segment("Два.", 2)], 3.0);
        check(Format::Text, false, &transcript, "Раз.\nДва.\n");
        check(Format::Text, false, &Transcript::default(), "");
    }

    #[test]
    fn json_is_one_line() {
        let transcript = Transcript::new(vec![segment("Раз.", 1)], 2.000_062_5);
        let head = r#"{"file":"a.wav","text":"Раз.","duration":2.0,"words":[{"word":"Раз.","start":1.04,"end":1.24,"confidence":0.988}],"segments":[{"text":"Раз.","start":1.0,"end":2.0,"endpoint_reason":"finish""#;
        check(Format::Json, false, &transcript, &format!("{head}}}]}}\n"));
        let tokens = r#","start_sample":16000,"tokens":[{"id":7,"frame":1,"logprob":-0.5}]}]}"#;
        check(Format::Json, true, &transcript, &format!("{head}{tokens}\n"));
    }

    #[test]
    fn subtitles_are_those_of_the_transcript() {
        let transcript = Transcript::new(vec![segment("Раз.", 0)], 1.0);
        check(Format::Srt, false, &transcript, &transcript.to_srt());
        check(Format::Vtt, false, &transcript, &transcript.to_vtt());
    }
}
