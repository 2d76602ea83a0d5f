//! Configuration keys: one table says what can be set, where, and to what.

use std::path::PathBuf;
use std::str::FromStr;

use gigastt_core::audio::Channels;
use gigastt_core::{EndpointRule, EngineBuilder, Mode, Options, Plan, Provider, Segmentation};
use serde_json::{Value, json};

use crate::fence::Failure;

/// A key of the configuration.
pub(crate) struct Key {
    pub name: &'static str,
    /// Allowed values, for people and messages.
    values: &'static str,
    default: &'static str,
    about: &'static str,
    apply: Apply,
}

/// What a key is about, and how its value gets there.
#[derive(Clone, Copy)]
enum Apply {
    /// The engine that is to be opened.
    Engine(fn(EngineBuilder, &str) -> Option<EngineBuilder>),
    /// A stream that is to be opened, or a transcription.
    Stream(fn(&mut Options, &str) -> Option<()>),
    /// When utterances end: also while the stream runs.
    Rule(fn(&mut EndpointRule, &str) -> Option<()>),
    /// Which of several models in a folder.
    Model,
    /// The scripted model of the tests.
    #[cfg(feature = "fake-model")]
    Fake,
}

macro_rules! number {
    ($field:ident) => {
        Apply::Rule(|rule, value| set(&mut rule.$field, value))
    };
}

/// Every key. They are applied in this order, whatever order they were set in.
pub(crate) const KEYS: &[Key] = &[
    Key {
        name: "threads",
        values: "1 to 256",
        default: "the machine's parallelism; fewer where their copies of the model would take over 4 GB",
        about: "worker threads; each runs one model call at a time on one core",
        apply: Apply::Engine(|builder, value| Some(builder.threads(value.parse().ok()?))),
    },
    Key {
        name: "provider",
        values: "cpu, cuda, coreml or openvino",
        default: "cpu",
        about: "what runs the encoder",
        apply: Apply::Engine(|builder, value| Some(builder.provider(Provider::from_code(value)?))),
    },
    Key {
        name: "runtime",
        values: "a path",
        default: "searched for",
        about: "the library of ONNX Runtime",
        apply: Apply::Engine(|builder, value| Some(builder.runtime(PathBuf::from(value)))),
    },
    Key {
        name: "sessions_max",
        values: "1 or more",
        default: "4096",
        about: "recognizers open at a time",
        apply: Apply::Engine(|builder, value| Some(builder.sessions_max(value.parse().ok()?))),
    },
    Key {
        name: "max_symbols",
        values: "1 to 100",
        default: "3",
        about: "symbols that a transducer may emit in one frame",
        apply: Apply::Engine(|builder, value| Some(builder.max_symbols(value.parse().ok()?))),
    },
    Key {
        name: "variant",
        values: "e2e_rnnt, rnnt, e2e_ctc or ctc",
        default: "the first in this order that is there",
        about: "which of several models in a folder",
        apply: Apply::Model,
    },
    Key {
        name: "quantization",
        values: "a suffix of file names, or an empty string for the plain files",
        default: "int8 if it is there",
        about: "which of several files of a model",
        apply: Apply::Model,
    },
    #[cfg(feature = "fake-model")]
    Key {
        name: "fake",
        values: "milliseconds of a call",
        default: "off",
        about: "a scripted model, for tests",
        apply: Apply::Fake,
    },
    Key {
        name: "channels",
        values: "1 to 32",
        default: "1",
        about: "interleaved channels of the samples that are pushed; a file's own replace them",
        apply: Apply::Stream(|options, value| set(&mut options.format.channels, value)),
    },
    Key {
        name: "channel",
        values: "mix, or a number from 0",
        default: "mix",
        about: "how several channels become one: their mean, or one of them",
        apply: Apply::Stream(|options, value| {
            options.channels =
                if value == "mix" { Channels::Mix } else { Channels::Pick(value.parse().ok()?) };
            Some(())
        }),
    },
    Key {
        name: "mode",
        values: "two_pass or incremental",
        default: "two_pass",
        about: "two_pass: finals by a second pass over the utterance; incremental: text that never changes",
        apply: Apply::Stream(|options, value| {
            options.mode = pick(value, &[("two_pass", Mode::TwoPass), ("incremental", Mode::Incremental)])?;
            Some(())
        }),
    },
    Key {
        name: "segmentation",
        values: "auto or whole",
        default: "auto",
        about: "transcriptions: cut at pauses, or one window of at most 25 s",
        apply: Apply::Stream(|options, value| {
            let known = [("auto", Segmentation::Auto), ("whole", Segmentation::Whole)];
            options.segmentation = pick(value, &known)?;
            Some(())
        }),
    },
    Key {
        name: "partials",
        values: "true or false",
        default: "true",
        about: "whether there is text before the finals",
        apply: Apply::Stream(|options, value| {
            options.partials = value.parse::<bool>().ok()?.then(Plan::default);
            Some(())
        }),
    },
    Key {
        name: "backlog_ms",
        values: "1000 to 600000",
        default: "30000",
        about: "audio that may wait for its final; at this bound no more is taken",
        apply: Apply::Stream(|options, value| set(&mut options.backlog_ms, value)),
    },
    Key {
        name: "finals_max",
        values: "1 to 65536",
        default: "1024",
        about: "finals that may wait to be taken; at this bound no more audio is taken",
        apply: Apply::Stream(|options, value| set(&mut options.finals_max, value)),
    },
    Key {
        name: "endpoint",
        values: "file, dictation, assistant, captions or manual",
        default: "dictation; file for transcriptions",
        about: "the profile of when utterances end; the keys after it change single values",
        apply: Apply::Rule(|rule, value| {
            *rule = EndpointRule::profile(value).ok()?;
            Some(())
        }),
    },
    Key {
        name: "gate",
        values: "true or false",
        default: "of the profile",
        about: "whether only detected speech is encoded",
        apply: number!(gate),
    },
    Key {
        name: "speech_ms",
        values: "16 to 2000",
        default: "of the profile",
        about: "voice activity before speech is believed",
        apply: number!(speech_ms),
    },
    Key {
        name: "pre_roll_ms",
        values: "0 to 1000",
        default: "of the profile",
        about: "audio kept before detected speech",
        apply: number!(pre_roll_ms),
    },
    Key {
        name: "post_roll_ms",
        values: "0 to 2000",
        default: "of the profile",
        about: "audio kept after the last speech",
        apply: number!(post_roll_ms),
    },
    Key {
        name: "silence_ms",
        values: "post_roll_ms to 60000, or none",
        default: "of the profile",
        about: "silence that ends an utterance",
        apply: Apply::Rule(|rule, value| {
            rule.silence_ms = if value == "none" { None } else { Some(value.parse().ok()?) };
            Some(())
        }),
    },
    Key {
        name: "utterance_max_ms",
        values: "1000 to 25000",
        default: "of the profile",
        about: "the longest utterance; at this bound it is cut at its best pause",
        apply: number!(utterance_max_ms),
    },
    Key {
        name: "cut_from_ms",
        values: "0 to utterance_max_ms",
        default: "of the profile",
        about: "no cut at the length bound falls earlier into the utterance",
        apply: number!(cut_from_ms),
    },
    Key {
        name: "tail_min_ms",
        values: "0 to 10000",
        default: "of the profile",
        about: "audio awaited behind a cut at the length bound, so that no short tail remains",
        apply: number!(tail_min_ms),
    },
];

fn set<T: FromStr>(field: &mut T, value: &str) -> Option<()> {
    *field = value.parse().ok()?;
    Some(())
}

fn pick<T: Copy>(value: &str, known: &[(&str, T)]) -> Option<T> {
    known.iter().find(|(name, _)| *name == value).map(|(_, what)| *what)
}

impl Key {
    /// The key of a name, with its place in the order.
    pub(crate) fn find(name: &str) -> Result<(usize, &'static Self), Failure> {
        let found = KEYS.iter().enumerate().find(|(_, key)| key.name == name);
        found.ok_or_else(|| {
            let names: Vec<_> = KEYS.iter().map(|key| key.name).collect();
            Failure::argument(format!("{name}: there is no such key; there are {}", names.join(", ")))
        })
    }

    /// Checks that the value can be read. Ranges are checked when it is used.
    pub(crate) fn check(&self, value: &str) -> Result<(), Failure> {
        let readable = match self.apply {
            Apply::Engine(apply) => apply(gigastt_core::Engine::builder(), value).is_some(),
            Apply::Stream(apply) => apply(&mut Options::new(gigastt_core::audio::RATE), value).is_some(),
            Apply::Rule(apply) => apply(&mut EndpointRule::dictation(), value).is_some(),
            Apply::Model if self.name == "variant" => gigastt_core::Variant::from_code(value).is_some(),
            Apply::Model => true,
            #[cfg(feature = "fake-model")]
            Apply::Fake => value.parse::<u64>().is_ok(),
        };
        if readable { Ok(()) } else { Err(self.unreadable(value)) }
    }

    /// Sets the value where it is one of the engine's.
    pub(crate) fn build(&self, builder: EngineBuilder, value: &str) -> Result<EngineBuilder, Failure> {
        match self.apply {
            Apply::Engine(apply) => apply(builder, value).ok_or_else(|| self.unreadable(value)),
            _ => Ok(builder),
        }
    }

    /// Sets the value where it is one of a stream's.
    pub(crate) fn open(&self, options: &mut Options, value: &str) -> Result<(), Failure> {
        let done = match self.apply {
            Apply::Stream(apply) => apply(options, value),
            Apply::Rule(apply) => apply(&mut options.endpoint, value),
            _ => Some(()),
        };
        done.ok_or_else(|| self.unreadable(value))
    }

    /// Sets the value of a running stream.
    pub(crate) fn run(&self, rule: &mut EndpointRule, value: &str) -> Result<(), Failure> {
        match self.apply {
            Apply::Rule(apply) => apply(rule, value).ok_or_else(|| self.unreadable(value)),
            _ => {
                Err(Failure::argument(format!("{}: this cannot be changed while the stream runs", self.name)))
            }
        }
    }

    fn unreadable(&self, value: &str) -> Failure {
        Failure::argument(format!("{}: expected {}, found {value:?}", self.name, self.values))
    }

    fn json(&self) -> Value {
        let (scope, running) = match self.apply {
            Apply::Engine(_) | Apply::Model => ("engine", false),
            #[cfg(feature = "fake-model")]
            Apply::Fake => ("engine", false),
            Apply::Stream(_) => ("stream", false),
            Apply::Rule(_) => ("stream", true),
        };
        json!({
            "key": self.name, "scope": scope, "while_running": running,
            "values": self.values, "default": self.default, "about": self.about,
        })
    }
}

/// The table as JSON.
pub(crate) fn keys_json() -> String {
    Value::from_iter(KEYS.iter().map(Key::json)).to_string()
}
