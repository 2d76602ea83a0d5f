//! What a stream is asked to do: the audio's format, when an utterance ends, how partials are made.
//!
//! All of it is data. Two streams with equal options over equal audio give equal finals.

use crate::audio::{CHANNELS_MAX, Channels, Format, RATE, RATE_MAX, RATE_MIN};
use crate::{Error, ErrorKind, Result};

/// The longest utterance the model can be given, in milliseconds.
pub const UTTERANCE_MAX_MS: u32 = 25_000;

/// How finals come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// At the endpoint the whole utterance is encoded once more with full context. Nothing is
    /// committed before; the final is as accurate as one-pass transcription.
    #[default]
    TwoPass,
    /// Text is committed on a fixed grid of steps while the speaker speaks and never changes; the
    /// final is what was committed. For captions.
    Incremental,
}

/// How a recording is cut into utterances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Segmentation {
    /// By the endpoint rule.
    #[default]
    Auto,
    /// Not at all: the whole recording is one window. At most 25 s.
    Whole,
}

/// When an utterance starts and ends. Looks at the voice-activity track and sample counts alone,
/// never at text and never at load, so that the same audio is always cut at the same places.
#[derive(Debug, Clone, PartialEq)]
pub struct EndpointRule {
    /// Encode only around detected speech. Without it everything is encoded, from sample 0.
    pub gate: bool,
    /// A file: while no more than `utterance_max_ms` have been heard, the end of the stream makes
    /// one whole window of it, silence and all.
    /// Not in mode incremental, whose windows are steps.
    pub whole_if_short: bool,
    /// Voice activity needed before speech is believed, in milliseconds; 16 to 2,000.
    pub speech_ms: u32,
    /// Audio kept before detected speech, in milliseconds; 0 to 1,000.
    pub pre_roll_ms: u32,
    /// Audio kept after the last speech, in milliseconds; 0 to 2,000.
    pub post_roll_ms: u32,
    /// Silence that ends an utterance, in milliseconds; at least `post_roll_ms`. `None`: silence
    /// never does.
    pub silence_ms: Option<u32>,
    /// The longest utterance, in milliseconds; 1,000 to 25,000. At it the utterance is cut at its
    /// best pause.
    pub utterance_max_ms: u32,
    /// The cut at the length bound falls no earlier than this into the utterance, in milliseconds.
    pub cut_from_ms: u32,
    /// At the length bound this much more audio is awaited before cutting, so that what remains is
    /// never a short tail, in milliseconds; 0 to 10,000.
    pub tail_min_ms: u32,
}

impl EndpointRule {
    /// Recordings: one whole window up to 22 s, else cuts at pauses into 15 to 22 s.
    pub fn file() -> Self {
        Self {
            whole_if_short: true,
            silence_ms: None,
            cut_from_ms: 15_000,
            tail_min_ms: 5_000,
            ..Self::dictation()
        }
    }

    /// Dictation: patient with pauses.
    pub fn dictation() -> Self {
        Self {
            gate: true,
            whole_if_short: false,
            speech_ms: 96,
            pre_roll_ms: 300,
            post_roll_ms: 320,
            silence_ms: Some(800),
            utterance_max_ms: 22_000,
            cut_from_ms: 12_000,
            tail_min_ms: 0,
        }
    }

    /// Voice assistants: quick to answer.
    pub fn assistant() -> Self {
        Self { silence_ms: Some(480), ..Self::dictation() }
    }

    /// Captions: short utterances.
    pub fn captions() -> Self {
        Self { silence_ms: Some(560), utterance_max_ms: 10_000, cut_from_ms: 5_000, ..Self::dictation() }
    }

    /// No gate and no rule: only the host, the end and the length bound cut.
    pub fn manual() -> Self {
        Self { gate: false, silence_ms: None, ..Self::dictation() }
    }

    /// The rule of a profile's name: `file`, `dictation`, `assistant`, `captions` or `manual`.
    ///
    /// # Errors
    /// `InvalidArgument` for another name.
    pub fn profile(name: &str) -> Result<Self> {
        match name {
            "file" => Ok(Self::file()),
            "dictation" => Ok(Self::dictation()),
            "assistant" => Ok(Self::assistant()),
            "captions" => Ok(Self::captions()),
            "manual" => Ok(Self::manual()),
            _ => Err(invalid("endpoint", "file, dictation, assistant, captions or manual", name)),
        }
    }

    /// The names `profile` takes.
    pub const PROFILES: [&'static str; 5] = ["file", "dictation", "assistant", "captions", "manual"];

    /// Checks the ranges stated on the fields.
    ///
    /// # Errors
    /// `InvalidArgument`, naming the field and its range.
    pub fn validate(&self) -> Result<()> {
        within("speech_ms", self.speech_ms, 16, 2_000)?;
        within("pre_roll_ms", self.pre_roll_ms, 0, 1_000)?;
        within("post_roll_ms", self.post_roll_ms, 0, 2_000)?;
        if let Some(silence_ms) = self.silence_ms {
            within("silence_ms", silence_ms, self.post_roll_ms.max(16), 60_000)?;
        }
        within("utterance_max_ms", self.utterance_max_ms, 1_000, UTTERANCE_MAX_MS)?;
        within("cut_from_ms", self.cut_from_ms, 0, self.utterance_max_ms)?;
        within("tail_min_ms", self.tail_min_ms, 0, 10_000)?;
        within("tail_min_ms", self.tail_min_ms, 0, self.utterance_max_ms - self.cut_from_ms)
    }
}

/// How partials are made from windows over an offline encoder. Contexts are in encoder frames of
/// 40 ms.
///
/// A window is left context, step and right context. Tokens of the step advance the decoder; those
/// of the right context are shown as tentative text, in its last `edge` frames only words that another
/// follows. The defaults were chosen by measurement: `docs/streaming.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Frames of left context; 4 to 256. With [`Context::Window`] a step that grows under load takes up to
    /// three quarters of them.
    pub left: u16,
    /// The smallest step, which is the cadence when the engine is idle; the grid of commits in
    /// incremental mode. 4 to 64 frames.
    pub step_min: u16,
    /// The smallest step of tentative windows until the first word is over, but at most in the first 1.28 s
    /// of an utterance, so that this word is shown soon; 1 to `step_min` frames.
    pub step_first: u16,
    /// The largest step, taken under load; `step_min` to 256 frames.
    pub step_max: u16,
    /// Frames of right context; `edge` to 64.
    pub right: u16,
    /// Frames at a window's end that the zero padding behind them spoils; 4 to 16. They tell where the last
    /// word ends: it is shown when the next begins among them, and not while they go on with it.
    pub edge: u16,
    /// Frames from the newest audio back within which text is not called stable; 0 to 64.
    pub horizon: u16,
    /// Where the left context comes from.
    pub context: Context,
}

/// Where the left context of a step comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Context {
    /// It is encoded anew with each step.
    Window,
    /// The encoder keeps what it computed of the last [`Plan::left`] frames. An engine whose model cannot
    /// do that takes windows, of half the left context.
    #[default]
    Kept,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            left: 64,
            step_min: 8,
            step_first: 1,
            step_max: 64,
            right: 12,
            edge: 4,
            horizon: 16,
            context: Context::Kept,
        }
    }
}

impl Plan {
    /// This plan where the encoder keeps nothing.
    pub(crate) fn without_kept_context(self) -> Self {
        match self.context {
            Context::Window => self,
            Context::Kept => Self { left: (self.left / 2).max(4), context: Context::Window, ..self },
        }
    }

    /// Checks the ranges stated on the fields.
    ///
    /// # Errors
    /// `InvalidArgument`, naming the field and its range.
    pub fn validate(&self) -> Result<()> {
        within("left", self.left.into(), 4, 256)?;
        within("step_min", self.step_min.into(), 4, 64)?;
        within("step_first", self.step_first.into(), 1, self.step_min.into())?;
        within("step_max", self.step_max.into(), self.step_min.into(), 256)?;
        within("edge", self.edge.into(), 4, 16)?;
        within("right", self.right.into(), self.edge.into(), 64)?;
        within("horizon", self.horizon.into(), 0, 64)
    }
}

/// How a stream shares the workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Class {
    /// Somebody is speaking and reading along.
    #[default]
    Live,
    /// A recording: served after live streams, never starved.
    Bulk,
}

/// Everything a stream is told when it is opened.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Rate and channel count of the samples that will be pushed.
    pub format: Format,
    /// How several channels become one.
    pub channels: Channels,
    /// How finals come about.
    pub mode: Mode,
    /// How a recording is cut; live streams are cut by the endpoint rule.
    pub segmentation: Segmentation,
    /// When utterances start and end.
    pub endpoint: EndpointRule,
    /// How partials are made; `None`: no partials.
    pub partials: Option<Plan>,
    /// Live or bulk.
    pub class: Class,
    /// The most audio that waits for its final, in milliseconds; 1,000 to 600,000. At it no more
    /// audio is taken. A second of it, and of the running utterance, is held as 25.6 kB of features: at most 1.33 MB
    /// with the defaults, besides what a plan with [`Context::Kept`] keeps.
    pub backlog_ms: u32,
    /// The most finals that wait to be taken by the host; 1 to 65,536. At it no more audio is taken.
    pub finals_max: u32,
}

impl Options {
    /// A live mono stream at `sample_rate` Hz with the rule `dictation`.
    pub fn new(sample_rate: u32) -> Self {
        Self {
            format: Format { sample_rate, channels: 1 },
            channels: Channels::Mix,
            mode: Mode::TwoPass,
            segmentation: Segmentation::Auto,
            endpoint: EndpointRule::dictation(),
            partials: Some(Plan::default()),
            class: Class::Live,
            backlog_ms: 30_000,
            finals_max: 1_024,
        }
    }

    /// A recording, cut by the rule `file`. A file's own rate and channels replace the format.
    pub fn file() -> Self {
        Self { class: Class::Bulk, partials: None, ..Self::new(RATE).endpoint(EndpointRule::file()) }
    }

    /// Sets the endpoint rule.
    #[must_use]
    pub fn endpoint(mut self, rule: EndpointRule) -> Self {
        self.endpoint = rule;
        self
    }

    /// Sets the mode.
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Checks the ranges stated on the fields.
    ///
    /// # Errors
    /// `InvalidArgument`, naming the field and its range.
    pub fn validate(&self) -> Result<()> {
        self.format.validate()?;
        if let Channels::Pick(channel) = self.channels {
            within("channel", channel.into(), 0, u32::from(self.format.channels) - 1)?;
        }
        within("backlog_ms", self.backlog_ms, 1_000, 600_000)?;
        within("finals_max", self.finals_max, 1, 65_536)?;
        self.endpoint.validate()?;
        match (&self.partials, self.mode) {
            (None, Mode::Incremental) => {
                Err(invalid("partials", "a plan, which mode incremental needs", "none"))
            }
            (None, Mode::TwoPass) => Ok(()),
            (Some(plan), _) => plan.validate(),
        }
    }
}

impl Format {
    /// Checks the rate and the channel count.
    ///
    /// # Errors
    /// `InvalidArgument`, naming the field and its range.
    pub fn validate(&self) -> Result<()> {
        within("sample_rate", self.sample_rate, RATE_MIN, RATE_MAX)?;
        within("channels", self.channels.into(), 1, CHANNELS_MAX.into())
    }
}

fn within(name: &str, value: u32, low: u32, high: u32) -> Result<()> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(invalid(name, &format!("{low} to {high}"), &value.to_string()))
}

fn invalid(name: &str, expected: &str, found: &str) -> Error {
    Error::new(ErrorKind::InvalidArgument, format!("expected {expected}, found {found}")).about(name)
}
