//! Whole recordings: a stream that arrives at once.

use std::fmt;
#[cfg(feature = "files")]
use std::path::{Path, PathBuf};

use super::{Canceller, Engine, Recognizer};
use crate::audio::Source;
#[cfg(feature = "files")]
use crate::audio::file::FileSource;
use crate::audio::pcm::Sample;
use crate::options::{Class, EndpointRule, Mode, Options, Segmentation, UTTERANCE_MAX_MS};
use crate::{Error, ErrorKind, Event, Final, Result, Transcript};

/// A recording. What transcribes one takes whatever becomes this: slices, vectors and arrays of `f32` and `i16`,
/// and paths, an opened [`FileSource`](crate::audio::file::FileSource), and by [`Audio::source`] any other source.
pub enum Audio<'a> {
    /// Interleaved samples in the format of the options.
    Samples(&'a [f32]),
    /// The same in 16 bits.
    Samples16(&'a [i16]),
    /// Samples piece by piece, in the source's own format.
    Source(Box<dyn Source + 'a>),
    /// An audio file.
    #[cfg(feature = "files")]
    File(PathBuf),
}

impl<'a> Audio<'a> {
    /// Samples piece by piece.
    pub fn source(source: impl Source + 'a) -> Self {
        Self::Source(Box::new(source))
    }
}

impl fmt::Debug for Audio<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Samples(samples) => write!(f, "Samples({} samples)", samples.len()),
            Self::Samples16(samples) => write!(f, "Samples16({} samples)", samples.len()),
            Self::Source(source) => write!(f, "Source({:?})", source.format()),
            #[cfg(feature = "files")]
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

macro_rules! from_samples {
    ($sample:ty, $variant:ident) => {
        impl<'a> From<&'a [$sample]> for Audio<'a> {
            fn from(samples: &'a [$sample]) -> Self {
                Self::$variant(samples)
            }
        }

        impl<'a> From<&'a Vec<$sample>> for Audio<'a> {
            fn from(samples: &'a Vec<$sample>) -> Self {
                Self::$variant(samples)
            }
        }

        impl<'a, const N: usize> From<&'a [$sample; N]> for Audio<'a> {
            fn from(samples: &'a [$sample; N]) -> Self {
                Self::$variant(samples)
            }
        }
    };
}

from_samples!(f32, Samples);
from_samples!(i16, Samples16);

#[cfg(feature = "files")]
macro_rules! from_path {
    ($($path:ty),+) => {$(
        impl From<$path> for Audio<'_> {
            fn from(path: $path) -> Self {
                Self::File(path.into())
            }
        }
    )+};
}

#[cfg(feature = "files")]
from_path!(&Path, &PathBuf, PathBuf, &str, &String, String);

#[cfg(feature = "files")]
impl From<FileSource> for Audio<'_> {
    fn from(source: FileSource) -> Self {
        Self::source(source)
    }
}

impl<'a> From<Box<dyn Source + 'a>> for Audio<'a> {
    fn from(source: Box<dyn Source + 'a>) -> Self {
        Self::Source(source)
    }
}

/// How far a transcription is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Seconds of audio whose text is done.
    pub done_s: f64,
    /// Seconds of the whole recording, where its source knows.
    pub total_s: Option<f64>,
    /// Seconds spent so far on resampling, mel and voice activity.
    pub front_end_s: f64,
}

/// What a caller wants to hear of a transcription, and how to stop it. A panic of what is called here goes
/// through to who called `transcribe_with`, and the recording is given up.
#[derive(Default)]
pub struct Hooks<'a> {
    /// Called from the calling thread after each piece of audio and each final.
    pub progress: Option<&'a mut dyn FnMut(Progress)>,
    /// Called from the calling thread with each final, in order, as soon as it is there.
    pub on_final: Option<&'a mut dyn FnMut(&Final)>,
    /// Ends the transcription from another thread.
    pub canceller: Option<&'a Canceller>,
}

impl fmt::Debug for Hooks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks").field("canceller", &self.canceller).finish_non_exhaustive()
    }
}

impl Engine {
    /// Transcribes a recording of any length in constant memory, apart from the text.
    ///
    /// Uses the format, channels, endpoint rule and segmentation of the options; always two-pass,
    /// without partials, and served after live streams. Waits until it is done.
    ///
    /// ```
    /// # use gigastt_core::{Engine, Options};
    /// # fn words(engine: &Engine, recorded: Vec<i16>) -> gigastt_core::Result<()> {
    /// let mut options = Options::file();
    /// options.format.sample_rate = 44_100;
    /// println!("{}", engine.transcribe(&recorded, &options)?.text);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `InvalidAudio` or `Io` with the file's name, `InvalidArgument`, `Busy` when as many streams are open
    /// as may be, `Cancelled`, `Inference`, `Forked`.
    pub fn transcribe<'a>(&self, audio: impl Into<Audio<'a>>, options: &Options) -> Result<Transcript> {
        self.transcribe_with(audio, options, Hooks::default())
    }

    /// As [`transcribe`](Self::transcribe), with progress and a canceller.
    ///
    /// # Errors
    /// As [`transcribe`](Self::transcribe).
    pub fn transcribe_with<'a>(
        &self,
        audio: impl Into<Audio<'a>>,
        options: &Options,
        hooks: Hooks<'_>,
    ) -> Result<Transcript> {
        match audio.into() {
            Audio::Samples(samples) => self.transcribe_samples(samples, options, hooks),
            Audio::Samples16(samples) => self.transcribe_samples(samples, options, hooks),
            Audio::Source(source) => self.transcribe_source(source, options, hooks),
            #[cfg(feature = "files")]
            Audio::File(path) => {
                let source = FileSource::open(&path)?;
                let result = self.transcribe_source(Box::new(source), options, hooks);
                result.map_err(|error| match error.kind() {
                    ErrorKind::InvalidAudio | ErrorKind::Io => error.in_file(&path),
                    _ => error,
                })
            }
        }
    }

    fn transcribe_samples<S: Sample>(
        &self,
        samples: &[S],
        options: &Options,
        hooks: Hooks<'_>,
    ) -> Result<Transcript> {
        let mut run = Run::open(self, options.clone(), hooks)?;
        let frames = samples.len() as f64 / f64::from(options.format.channels);
        run.total_s = Some(frames / f64::from(options.format.sample_rate));
        run.push(samples)?;
        run.finish()
    }

    fn transcribe_source(
        &self,
        mut source: Box<dyn Source + '_>,
        options: &Options,
        hooks: Hooks<'_>,
    ) -> Result<Transcript> {
        let options = Options { format: source.format(), ..options.clone() };
        let mut run = Run::open(self, options, hooks)?;
        run.total_s = source.duration_hint();
        let mut piece = Vec::new();
        loop {
            source.read(&mut piece)?;
            if piece.is_empty() {
                return run.finish();
            }
            run.push(&piece)?;
        }
    }
}

/// A recording on its way through a recognizer.
struct Run<'a> {
    recognizer: Recognizer,
    hooks: Hooks<'a>,
    finals: Vec<Final>,
    total_s: Option<f64>,
    whole: bool,
}

impl<'a> Run<'a> {
    fn open(engine: &Engine, mut options: Options, hooks: Hooks<'a>) -> Result<Self> {
        let whole = options.segmentation == Segmentation::Whole;
        if whole {
            options.endpoint = EndpointRule { utterance_max_ms: UTTERANCE_MAX_MS, ..EndpointRule::manual() };
        }
        options.mode = Mode::TwoPass;
        options.partials = None;
        options.class = Class::Bulk;
        // Every event is taken at once.
        options.finals_max = Options::file().finals_max;
        // A segment for each worker, and one that is being filled behind them.
        let segments = engine.threads() as u32 + 1;
        options.backlog_ms = segments.saturating_mul(options.endpoint.utterance_max_ms).min(600_000);
        let recognizer = engine.recognizer(options)?;
        if let Some(canceller) = hooks.canceller {
            recognizer.attach(canceller);
        }
        Ok(Self { recognizer, hooks, finals: Vec::new(), total_s: None, whole })
    }

    fn push<S: Sample>(&mut self, mut samples: &[S]) -> Result<()> {
        while !samples.is_empty() {
            let taken = self.recognizer.push_pcm(samples)?;
            samples = &samples[taken..];
            self.take_events()?;
            if !samples.is_empty() {
                self.recognizer.wait_writable(None)?;
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Transcript> {
        self.recognizer.close(crate::EndpointReason::Finish)?;
        self.check_length()?;
        while let Some(event) = self.recognizer.next_event(None)? {
            self.take(event)?;
        }
        self.report();
        Ok(Transcript::new(self.finals, self.recognizer.stats().heard_s))
    }

    fn take_events(&mut self) -> Result<()> {
        while let Some(event) = self.recognizer.poll_event() {
            self.take(event)?;
        }
        self.report();
        self.check_length()
    }

    fn check_length(&self) -> Result<()> {
        let heard_ms = self.recognizer.stats().heard_s * 1000.0;
        if self.whole && heard_ms > f64::from(UTTERANCE_MAX_MS) {
            let message = format!("one window holds at most {} s", UTTERANCE_MAX_MS / 1000);
            return Err(Error::new(ErrorKind::InvalidArgument, message).about("segmentation"));
        }
        Ok(())
    }

    fn take(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Final(text) => {
                if let Some(on_final) = &mut self.hooks.on_final {
                    on_final(&text);
                }
                self.finals.push(text);
                self.report();
                Ok(())
            }
            Event::End(end) => end.into_result(),
            Event::SpeechStarted { .. } | Event::Partial(_) => Ok(()),
        }
    }

    fn report(&mut self) {
        if let Some(progress) = &mut self.hooks.progress {
            let stats = self.recognizer.stats();
            progress(Progress {
                done_s: stats.settled_s,
                total_s: self.total_s,
                front_end_s: stats.front_end_s,
            });
        }
    }
}
