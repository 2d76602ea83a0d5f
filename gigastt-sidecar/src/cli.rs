//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueHint};
use gigastt_core::audio::pcm::SampleFormat;
use gigastt_core::{Context, EndpointRule, Plan, Provider};
use log::LevelFilter;

use crate::eval::Compare;
use crate::output::Format;

const EXIT_CODES: &str = "\
Exit codes:
  0    everything was done
  1    some files failed; the others were done, and each failure is on standard error
  2    the command line is wrong; nothing was done
  3    no ONNX Runtime or no usable model; nothing was done
  130  interrupted; no half-written file is left";

/// Russian speech recognition: recordings and live speech in, words out.
#[derive(Parser)]
#[command(name = "gigastt", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    /// What is told on standard error: off, error, warn, info, debug or trace [default: warn; of serve: info].
    #[arg(long, global = true, env = "GIGASTT_LOG_LEVEL", value_name = "LEVEL")]
    pub log_level: Option<LevelFilter>,

    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// What is told; `--quiet` leaves errors.
    pub(crate) fn log_level(&self) -> LevelFilter {
        let level = self.log_level.unwrap_or(LevelFilter::Warn);
        match &self.command {
            Command::Transcribe(args) if args.quiet => level.min(LevelFilter::Error),
            Command::Download(args) if args.quiet => level.min(LevelFilter::Error),
            Command::Eval(args) if args.quiet => level.min(LevelFilter::Error),
            _ => level,
        }
    }
}

#[derive(Subcommand)]
pub(crate) enum Command {
    Transcribe(Transcribe),
    Listen(Listen),
    Serve(Box<Serve>),
    Health(Health),
    Download(Download),
    Models(Models),
    Eval(Eval),
    Optimize(Optimize),
    /// Measure speed and memory.
    #[command(subcommand)]
    Bench(Bench),
}

/// Write down what is said in recordings.
///
/// Takes wav, aiff, caf, flac, mp3, ogg, opus, m4a, aac and webm of any length, at 8 to 192 kHz.
#[derive(Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Transcribe {
    /// Recordings; `-` is standard input.
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub files: Vec<PathBuf>,

    /// What is written: the text, one line per segment; a JSON object per file, one per line; subtitles.
    #[arg(long, short, value_enum, default_value_t = Format::Text)]
    pub format: Format,

    /// Where it is written: a file, or for several recordings a folder, which gets a file for each.
    /// Without it, or with `-`: standard output.
    #[arg(long, short, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub output: Option<PathBuf>,

    /// The one channel that is listened to, counted from 0. Without it: the mean of all.
    #[arg(long, value_name = "N")]
    pub channel: Option<u16>,

    /// In JSON, add each segment's tokens and the sample its frames count from.
    #[arg(long)]
    pub tokens: bool,

    /// When a segment of a long recording ends.
    #[arg(long, value_name = "PROFILE", default_value = "file", value_parser = EndpointRule::PROFILES)]
    pub endpoint: String,

    /// No progress bar, and no log but errors.
    #[arg(long, short)]
    pub quiet: bool,

    #[command(flatten)]
    pub engine: Engine,
}

/// Write down what is being said, while it is said.
///
/// Takes samples without a header from standard input: `arecord -f S16_LE -r 16000 -t raw | gigastt listen`. On a
/// terminal the running sentence is shown as it grows. Ctrl-C ends the listening: the last words are still
/// written.
#[derive(Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Listen {
    /// Samples per second and channel, 8000 to 192000.
    #[arg(long, value_name = "HZ", default_value_t = 16_000)]
    pub rate: u32,

    /// How a sample is written; little-endian.
    #[arg(long, default_value = "s16", value_parser = SampleFormat::ALL.map(SampleFormat::name))]
    pub format: String,

    /// Interleaved channels, 1 to 32.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub channels: u16,

    /// The one channel that is listened to, counted from 0. Without it: the mean of all.
    #[arg(long, value_name = "N")]
    pub channel: Option<u16>,

    /// When an utterance ends.
    #[arg(long, value_name = "PROFILE", default_value = "dictation", value_parser = EndpointRule::PROFILES)]
    pub endpoint: String,

    /// Whether finals are as accurate as can be, or what was shown stays as it was.
    #[arg(long, value_enum, default_value_t = Mode::TwoPass)]
    pub mode: Mode,

    /// For programs: a JSON object per partial, final and error, one per line.
    #[arg(long)]
    pub json: bool,

    /// Listen to a microphone, the system's own or the one of this name, not to standard input.
    #[cfg(feature = "microphone")]
    #[arg(long, value_name = "NAME", num_args = 0..=1, conflicts_with_all = ["rate", "format", "channels"])]
    pub microphone: Option<Option<String>>,

    #[command(flatten)]
    pub engine: Engine,
}

/// How finals come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Mode {
    /// Each utterance is recognised once more as a whole when it ends.
    TwoPass,
    /// Text is committed step by step and never changes: for captions.
    Incremental,
}

/// Serve live streams and recordings over WebSocket and HTTP.
#[derive(Args)]
pub(crate) struct Serve {
    /// A file of settings, TOML: the flags' names with `_` for `-`. SIGHUP reads it again.
    #[arg(long, env = "GIGASTT_CONFIG", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,

    #[command(flatten)]
    pub given: gigastt_sidecar::Given,

    #[command(flatten)]
    pub engine: Engine,
}

/// Ask the service of this machine how it is.
///
/// Asks where `gigastt serve` listens with the same flags, variables and file. The exit code is 0 when it is well,
/// 1 when not, for the health checks of containers.
#[derive(Args, Default)]
pub(crate) struct Health {
    /// Whether it would admit a conversation now, not only whether it is alive.
    #[arg(long)]
    pub ready: bool,

    /// Seconds to wait for each step of the answer.
    #[arg(long, value_name = "SECS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub timeout_secs: u64,

    /// The service's file of settings.
    #[arg(long, env = "GIGASTT_CONFIG", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,

    /// The service's address [default: 127.0.0.1].
    #[arg(long, env = "GIGASTT_HOST")]
    pub host: Option<String>,

    /// The service's port [default: 9876].
    #[arg(long, env = "GIGASTT_PORT", value_parser = gigastt_sidecar::Given::parse_port)]
    pub port: Option<u16>,

    /// Set where the service is: it is asked by TLS then. The file is not read.
    #[arg(long, env = "GIGASTT_TLS_CERT", value_name = "PATH")]
    pub tls_cert: Option<PathBuf>,
}

/// Fetch a published model and print its folder.
///
/// Goes on where an earlier download stopped, checks every file's SHA-256, and installs it only when that is
/// right. Proxies are those of HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY.
#[derive(Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Download {
    /// gigaam-v3-e2e-rnnt, gigaam-v3-rnnt, gigaam-v3-e2e-ctc or gigaam-v3-ctc.
    #[arg(default_value = "gigaam-v3-e2e-rnnt")]
    pub model: String,

    /// The folder that gets a folder for the model.
    #[arg(long, value_name = "DIR", env = "GIGASTT_MODEL_DIR", value_hint = ValueHint::DirPath)]
    pub model_dir: Option<PathBuf>,

    /// A mirror: the beginning of its addresses, after which the hub's paths follow.
    #[arg(long, value_name = "URL", env = "GIGASTT_HUB", value_hint = ValueHint::Url)]
    pub hub: Option<String>,

    /// Fetch nothing: only check what is installed.
    #[arg(long, env = "GIGASTT_OFFLINE", value_parser = clap::builder::FalseyValueParser::new())]
    pub offline: bool,

    /// Do not make it fast for this machine.
    #[arg(long)]
    pub as_is: bool,

    /// Also take files whose SHA-256 this release does not know, on the hub's word.
    #[arg(long)]
    pub unverified: bool,

    /// For programs: a JSON object for each thing that happens, one per line.
    #[arg(long)]
    pub json: bool,

    /// No progress bar, and no log but errors.
    #[arg(long, short)]
    pub quiet: bool,
}

/// Make a model fast on this machine, and say what was made.
///
/// Rewrites the model's encoder, has ONNX Runtime arrange it for this processor, and puts it beside the
/// model's files, where every later start finds it. What it gives is compared with what the model gave. `gigastt
/// download` does this by itself.
#[derive(Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Optimize {
    /// The model's folder, or the name of an installed one. Without it: the best one that is installed.
    #[arg(value_name = "MODEL", value_hint = ValueHint::DirPath)]
    pub model: Option<PathBuf>,

    /// Keep 32-bit floats. Without it: matrix products in 8 bits.
    #[arg(long)]
    pub fp32: bool,

    /// Make it also when it is there.
    #[arg(long)]
    pub again: bool,

    /// The folder that holds a folder for each installed model.
    #[arg(long, value_name = "DIR", env = "GIGASTT_MODEL_DIR", value_hint = ValueHint::DirPath)]
    pub model_dir: Option<PathBuf>,

    /// The library of ONNX Runtime.
    #[arg(long, value_name = "PATH", env = "GIGASTT_RUNTIME", value_hint = ValueHint::FilePath)]
    pub runtime: Option<PathBuf>,

    /// For programs: a JSON object.
    #[arg(long)]
    pub json: bool,
}

/// List the models that are there, and those that can be fetched.
#[derive(Args)]
pub(crate) struct Models {
    /// For programs: a JSON array.
    #[arg(long, global = true)]
    pub json: bool,

    /// The folder that holds a folder for each model.
    #[arg(long, global = true, value_name = "DIR", env = "GIGASTT_MODEL_DIR", value_hint = ValueHint::DirPath)]
    pub model_dir: Option<PathBuf>,

    #[command(subcommand)]
    pub command: Option<ModelsCommand>,
}

#[derive(Subcommand)]
pub(crate) enum ModelsCommand {
    /// Delete what unfinished downloads left, except those that go on now, and fast forms that nothing uses.
    Gc {
        /// Only say what would be deleted.
        #[arg(long)]
        dry_run: bool,
    },
}

/// Recognise recordings whose words are known and print how many words were wrong.
///
/// Takes manifests of Golos and NeMo (a JSON object per line), Common Voice and FLEURS (tsv). What the figures
/// are: docs/evaluation.md.
#[derive(Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Eval {
    /// The recordings and what is said in them.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub manifest: PathBuf,

    /// The folder of the recordings. Without it they are looked for where such sets have them.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub audio: Option<PathBuf>,

    /// Only so many recordings, the first ones.
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,

    /// How much of the texts counts.
    #[arg(long, value_enum, default_value_t = Compare::Spoken)]
    pub compare: Compare,

    /// Recognise nothing: score each line's pred_text.
    #[arg(long, conflicts_with = "live")]
    pub predicted: bool,

    /// Play each recording into a live stream as well.
    #[arg(long)]
    pub live: bool,

    /// How live text is made: LEFT/FIRST/MIN/MAX/RIGHT/EDGE/HORIZON in frames of 40 ms, as in docs/streaming.md,
    /// after `kept:` if the encoder is to keep what it has computed; several, separated by commas, are compared. Without it: the library's own.
    #[arg(long, value_name = "PLAN", value_delimiter = ',', requires = "live", value_parser = plan)]
    pub plan: Vec<Plan>,

    /// When an utterance of a live stream ends.
    #[arg(long, value_name = "PROFILE", default_value = "dictation", value_parser = ["dictation", "assistant", "captions"])]
    pub endpoint: String,

    /// How often recordings are drawn anew for the intervals; 0: no intervals.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(..=100_000))]
    pub resamples: u32,

    /// What those draws begin with.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,

    /// Also draw the figures: an SVG file.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub plot: Option<PathBuf>,

    /// For programs: a JSON object per recording and one for all of them, one per line.
    #[arg(long)]
    pub json: bool,

    /// No progress bar, and no log but errors.
    #[arg(long, short)]
    pub quiet: bool,

    #[command(flatten)]
    pub engine: Engine,
}

#[derive(Subcommand)]
pub(crate) enum Bench {
    File(BenchFile),
    Streams(BenchStreams),
}

/// Transcribe one recording and print how long each stage took and how much memory there was.
#[derive(Args)]
pub(crate) struct BenchFile {
    /// The recording.
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,

    /// For programs: a JSON object.
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub engine: Engine,
}

/// Feed live streams in real time and print how late their text comes and what they cost.
///
/// A row for each number of streams. Lateness counts from the push of the audio: partials for every 100 ms
/// of speech until text covers it, finals from the sample that ends the utterance.
#[derive(Args)]
pub(crate) struct BenchStreams {
    /// What is spoken: recordings, one after the other in any order. Without any: six synthesised sentences.
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub files: Vec<PathBuf>,

    /// How many streams speak; several numbers, separated by commas, give a row each. Without it the most
    /// that keep the limits are looked for.
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..=4_000))]
    pub sessions: Vec<u16>,

    /// The part of the time that each speaks, above 0 and below 1.
    #[arg(long, value_name = "SHARE", default_value_t = 0.6, value_parser = share)]
    pub speech_share: f64,

    /// Seconds that are measured for each row, after 5 s that do not count.
    #[arg(long, value_name = "S", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub seconds: u32,

    /// Streams that are open as well, have heard silence and wait.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(0..=4_000))]
    pub idle: u16,

    /// When an utterance ends.
    #[arg(long, value_name = "PROFILE", default_value = "dictation", value_parser = ["dictation", "assistant", "captions"])]
    pub endpoint: String,

    /// How partials are made, in frames of 40 ms: LEFT/FIRST/MIN/MAX/RIGHT/EDGE/HORIZON, as in
    /// docs/streaming.md; after `kept:` if the encoder is to keep what it has computed. Without it: the library's own.
    #[arg(long, value_name = "PLAN", value_parser = plan)]
    pub plan: Option<Plan>,

    /// Partials later than this are too late, in milliseconds at the 95th percentile.
    #[arg(long, value_name = "MS", default_value_t = 1_500)]
    pub partial_limit: u32,

    /// The same of finals.
    #[arg(long, value_name = "MS", default_value_t = 2_000)]
    pub final_limit: u32,

    /// For programs: a JSON object per row and one for all of them, one per line.
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub engine: Engine,
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| 0.0 < *share && *share < 1.0);
    share.ok_or_else(|| "expected a number above 0 and below 1".into())
}

fn plan(text: &str) -> Result<Plan, String> {
    let (context, frames) = match text.strip_prefix("kept:") {
        Some(frames) => (Context::Kept, frames),
        None => (Context::Window, text),
    };
    let frames: Result<Vec<u16>, _> = frames.split('/').map(str::parse).collect();
    match frames.as_deref() {
        Ok(&[left, step_first, step_min, step_max, right, edge, horizon]) => {
            let plan = Plan { left, step_min, step_first, step_max, right, edge, horizon, context };
            plan.validate().map(|()| plan).map_err(|error| error.to_string())
        }
        _ => Err("expected seven numbers with / between them".into()),
    }
}

/// What runs the model.
#[derive(Args, Clone)]
pub(crate) struct Engine {
    /// The folder of the model's files, the name of an installed one such as gigaam-v3-e2e-rnnt, or
    /// `embedded`. Without it: the best one that is installed, else the embedded one.
    #[arg(long, value_name = "DIR", env = "GIGASTT_MODEL", value_hint = ValueHint::DirPath)]
    pub model: Option<PathBuf>,

    /// The folder that holds a folder for each installed model.
    #[arg(long, value_name = "DIR", env = "GIGASTT_MODEL_DIR", value_hint = ValueHint::DirPath)]
    pub model_dir: Option<PathBuf>,

    /// Which of the model's files, where there are several: the part of their names before `.onnx`, such
    /// as int8.
    #[arg(long, value_name = "SUFFIX", env = "GIGASTT_QUANTIZATION")]
    pub quantization: Option<String>,

    /// Threads that run the model. Without it: the processor's cores, or fewer where their copies of a model that is not
    /// optimised would take more than 4 GB.
    #[arg(long, value_name = "N", env = "GIGASTT_THREADS",
          value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: Option<u16>,

    /// What the model runs on: cpu, cuda, coreml or openvino.
    #[arg(long, default_value = "cpu", env = "GIGASTT_PROVIDER", value_parser = provider)]
    pub provider: Provider,

    /// The library of ONNX Runtime. Without it: ORT_DYLIB_PATH, beside this program, Python's, the
    /// system's.
    #[arg(long, value_name = "PATH", env = "GIGASTT_RUNTIME", value_hint = ValueHint::FilePath)]
    pub runtime: Option<PathBuf>,
}

fn provider(code: &str) -> Result<Provider, String> {
    let names = || Provider::ALL.map(Provider::code).join(", ");
    Provider::from_code(code).ok_or_else(|| format!("expected one of {}", names()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    const README: &str = include_str!("../../README.md");
    const CLI: &str = include_str!("../../docs/cli.md");

    #[test]
    fn the_definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_commands_in_the_readme_can_be_typed() {
        let shell = README.split("```sh").skip(1).filter_map(|block| block.split("```").next());
        let commands: Vec<_> = shell.flat_map(str::lines).filter_map(command).collect();
        assert!(commands.len() >= 5, "{commands:?}");
        for command in commands {
            let parsed = Cli::try_parse_from(command.split_whitespace());
            assert!(parsed.is_ok(), "{command}: {}", parsed.err().map(|e| e.to_string()).unwrap_or_default());
        }
    }

    /// The command in a line of a shell example: up to the comment, from the last `gigastt` of a pipe.
    fn command(line: &str) -> Option<&str> {
        let line = line.split(" #").next()?.split("| ").last()?.trim();
        line.starts_with("gigastt ").then_some(line)
    }

    #[test]
    fn the_commands_of_the_evaluation_page_can_be_typed() {
        let page = include_str!("../../docs/evaluation.md").replace('`', "\n");
        let commands: Vec<_> = page.lines().filter_map(command).collect();
        assert!(commands.len() >= 5, "{commands:?}");
        for command in commands.iter().filter(|command| command.contains("--manifest")) {
            let parsed = Cli::try_parse_from(command.split_whitespace());
            assert!(parsed.is_ok(), "{command}: {}", parsed.err().map(|e| e.to_string()).unwrap_or_default());
        }
    }

    #[test]
    fn the_targets_in_the_readme_can_be_made() {
        let makefile = include_str!("../../Makefile");
        for line in README.lines().filter(|line| line.starts_with("make ")) {
            let target = line.split_whitespace().nth(1).expect("a target");
            assert!(makefile.contains(&format!("\n{target}:")), "{line}");
        }
    }

    /// Operators rely on these names.
    #[test]
    fn every_flag_of_the_service_has_its_variable() {
        let mut cli = Cli::command();
        cli.build();
        let serve = cli.find_subcommand("serve").expect("a subcommand");
        let flags = "host port port-file bind-all model model-dir idle-timeout-secs max-session-secs \
            shutdown-drain-secs ws-frame-max-bytes body-limit-bytes rate-limit-per-minute rate-limit-burst trust-proxy \
            allow-origin cors-allow-any metrics metrics-listen max-sessions pool-size pool-checkout-timeout-secs config \
            api-key-file tls-cert tls-key max-audio-secs request-timeout-secs log-level log-format";
        for flag in flags.split_whitespace() {
            assert!(serve.get_arguments().any(|arg| arg.get_long() == Some(flag)), "--{flag}");
        }
        for arg in serve.get_arguments().filter(|arg| !matches!(arg.get_id().as_str(), "help" | "version")) {
            let flag = arg.get_long().expect("a flag");
            let variable = match flag {
                "bind-all" => "GIGASTT_ALLOW_BIND_ANY".to_owned(),
                flag => format!("GIGASTT_{}", flag.to_uppercase().replace('-', "_")),
            };
            assert_eq!(arg.get_env().and_then(|name| name.to_str()), Some(&*variable), "--{flag}");
        }
        for command in "serve transcribe listen download models optimize bench eval".split(' ') {
            assert!(cli.find_subcommand(command).is_some(), "{command}");
        }
    }

    #[test]
    fn the_page_lists_every_setting_of_the_service() {
        let mut cli = Cli::command();
        let serve = cli.find_subcommand_mut("serve").expect("a subcommand");
        let file = toml_names();
        for arg in serve.get_arguments().filter(|arg| arg.get_env().is_some()) {
            let (flag, variable) =
                (arg.get_long().expect("a flag"), arg.get_env().and_then(|name| name.to_str()));
            let begin = format!("| `--{flag}` | `{}` | ", variable.expect("UTF-8"));
            let row = CLI.lines().find_map(|line| line.strip_prefix(&*begin));
            let (default, changes) = row.and_then(|rest| rest.split_once(" | ")).expect(&begin);
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            if let Some((_, said)) = help.split_once("[default: ") {
                assert_eq!(Some(default), said.split(']').next(), "--{flag}");
            }
            let name = flag.replace('-', "_");
            let can_change = file.contains(&name) && !gigastt_sidecar::Given::FIXED.contains(&&*name);
            assert_eq!(changes.starts_with("yes"), can_change, "--{flag}");
        }
    }

    /// The names in a file of settings.
    fn toml_names() -> Vec<String> {
        let given = gigastt_sidecar::Given::augment_args(clap::Command::new("serve"));
        let flags = given.get_arguments().filter_map(clap::Arg::get_long).map(|flag| flag.replace('-', "_"));
        flags.chain(["log_level", "model", "model_dir"].map(str::to_owned)).collect()
    }

    #[test]
    fn the_page_lists_every_exit_code_and_variable() {
        for code in EXIT_CODES.lines().filter_map(|line| line.split_whitespace().next()).skip(1) {
            assert!(CLI.contains(&format!("\n| {code} |")), "{code}");
        }
        let mut transcribe = Cli::command();
        let transcribe = transcribe.find_subcommand_mut("transcribe").expect("a subcommand");
        let variables: Vec<_> = transcribe.get_arguments().filter_map(clap::Arg::get_env).collect();
        assert!(variables.len() >= 4);
        for variable in variables.iter().filter_map(|name| name.to_str()) {
            assert!(CLI.contains(&format!("| `{variable}` |")), "{variable}");
        }
    }
}
