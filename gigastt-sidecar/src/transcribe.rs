//! `gigastt transcribe`: recordings in, text, JSON or subtitles out.

use std::collections::HashSet;
use std::io::ErrorKind::BrokenPipe;
use std::path::{Path, PathBuf};
use std::time::Instant;

use gigastt_core::audio::Source;
use gigastt_core::audio::file::FileSource;
use gigastt_core::{EndpointRule, Engine, Error, ErrorKind, Hooks, Options, Result, Transcript};

use crate::cli::Transcribe;
use crate::draft::Draft;
use crate::engine;
use crate::failure::{Exit, tell};
use crate::interrupt::Interrupt;
use crate::output::{self, Format};
use crate::progress::Bar;
use crate::system::peak_memory_mb;

/// The argument that means standard input, and as `--output` standard output.
const STDIN: &str = "-";

/// One recording and where its transcript goes; `None`: standard output.
struct Job<'a> {
    file: &'a Path,
    output: Option<PathBuf>,
}

/// How one job ended well.
enum Outcome {
    Written,
    /// Nobody reads standard output any more.
    Unread,
}

/// Transcribes every file; a file that fails does not keep the others from being done.
pub(crate) fn run(args: &Transcribe) -> Exit {
    let plan = jobs(args).and_then(|jobs| Ok((jobs, EndpointRule::profile(&args.endpoint)?)));
    let (jobs, rule) = match plan {
        Ok(plan) => plan,
        Err(error) => return stop(&error, Exit::Usage),
    };
    if let Some(folder) = folder(args)
        && let Err(error) = std::fs::create_dir_all(folder)
    {
        return stop(&Error::io(folder, &error), Exit::SomeFailed);
    }
    let interrupt = Interrupt::install();
    let engine = match engine::build(&args.engine) {
        Ok(engine) => engine,
        Err(error) => return stop(&error, Exit::without_engine(&error)),
    };
    let options = Options { channels: engine::channels(args.channel), ..Options::file().endpoint(rule) };
    let mut exit = Exit::Done;
    for job in &jobs {
        let outcome = transcribe(&engine, job, &options, args, &interrupt);
        if interrupt.fired() {
            return Exit::Interrupted;
        }
        match outcome {
            Ok(Outcome::Written) => {}
            Ok(Outcome::Unread) => return exit,
            Err(error) => exit = stop(&error, Exit::SomeFailed),
        }
    }
    exit
}

fn stop(error: &Error, exit: Exit) -> Exit {
    tell(error);
    exit
}

/// Transcribes one recording.
fn transcribe(
    engine: &Engine,
    job: &Job<'_>,
    options: &Options,
    args: &Transcribe,
    interrupt: &Interrupt,
) -> Result<Outcome> {
    let draft = job.output.clone().map(Draft::new).transpose()?;
    let started = Instant::now();
    let transcript = recognize(engine, job.file, options, args.quiet, interrupt)?;
    log_cost(job.file, &transcript, started);
    let text = output::render(args.format, args.tokens, job.file, &transcript);
    match draft {
        Some(draft) => draft.finish(&text).map(|()| Outcome::Written),
        None => print(job.file, &text, args),
    }
}

/// How long it took, and the most memory the process has had so far.
fn log_cost(file: &Path, transcript: &Transcript, started: Instant) {
    let (audio_s, wall_s) = (transcript.duration, started.elapsed().as_secs_f64());
    let memory = peak_memory_mb().map_or(String::new(), |mb| format!(", peak memory {mb:.1} MB"));
    log::info!("{}: {audio_s:.2} s of audio in {wall_s:.2} s{memory}", file.display());
}

fn recognize(
    engine: &Engine,
    file: &Path,
    options: &Options,
    quiet: bool,
    interrupt: &Interrupt,
) -> Result<Transcript> {
    let bar = Bar::new(file, quiet);
    let mut show = |progress| bar.show(progress);
    let hooks =
        Hooks { canceller: Some(&interrupt.canceller), progress: Some(&mut show), ..Hooks::default() };
    if file == Path::new(STDIN) {
        let source: Box<dyn Source> =
            Box::new(FileSource::from_reader("standard input", Box::new(std::io::stdin()))?);
        engine.transcribe_with(source, options, hooks)
    } else {
        engine.transcribe_with(file, options, hooks)
    }
}

/// Prints a transcript; with several recordings, under its file's name. JSON names the file itself.
fn print(file: &Path, text: &str, args: &Transcribe) -> Result<Outcome> {
    let named = args.files.len() > 1 && args.format != Format::Json;
    let printed = match named {
        true => output::print(&format!("==> {} <==\n{text}\n", file.display())),
        false => output::print(text),
    };
    match printed {
        Ok(()) => Ok(Outcome::Written),
        Err(error) if error.kind() == BrokenPipe => Ok(Outcome::Unread),
        Err(error) => Err(Error::io(Path::new("standard output"), &error)),
    }
}

/// What is to be done.
///
/// # Errors
/// `InvalidArgument` when two transcripts would go to one place, or one in the place of a recording.
fn jobs(args: &Transcribe) -> Result<Vec<Job<'_>>> {
    let jobs = places(args)?;
    let recordings: HashSet<_> = args.files.iter().filter_map(|file| file.canonicalize().ok()).collect();
    for output in jobs.iter().filter_map(|job| job.output.as_ref()) {
        if output.canonicalize().is_ok_and(|path| recordings.contains(&path)) {
            let message = "this is a recording, which its transcript would replace; write it elsewhere";
            return Err(usage(&output.display().to_string(), message));
        }
    }
    Ok(jobs)
}

fn places(args: &Transcribe) -> Result<Vec<Job<'_>>> {
    if args.files.iter().filter(|file| *file == STDIN).count() > 1 {
        return Err(usage(STDIN, "standard input can be read once"));
    }
    let Some(output) = args.output.as_ref().filter(|path| *path != STDIN && !output::leads_there(path))
    else {
        if args.files.len() > 1 && matches!(args.format, Format::Srt | Format::Vtt) {
            return Err(usage("--format", "subtitles of several recordings need --output"));
        }
        return Ok(args.files.iter().map(|file| Job { file, output: None }).collect());
    };
    let Some(folder) = folder(args) else {
        return match &args.files[..] {
            [file] => Ok(vec![Job { file, output: Some(output.clone()) }]),
            _ => Err(usage(
                &output.display().to_string(),
                "several recordings need a folder as --output: one that exists, or a path that ends with /",
            )),
        };
    };
    let mut taken = HashSet::new();
    args.files
        .iter()
        .map(|file| {
            let path = folder.join(name(file, args.format));
            if !taken.insert(path.clone()) {
                return Err(usage(
                    &path.display().to_string(),
                    "two recordings would be written to this file; transcribe them one by one",
                ));
            }
            Ok(Job { file, output: Some(path) })
        })
        .collect()
}

/// The folder that gets a file for each recording, if that is what `--output` is.
fn folder(args: &Transcribe) -> Option<&Path> {
    let output = args.output.as_deref()?;
    let named = output.as_os_str().to_string_lossy().ends_with(std::path::is_separator);
    (named || output.is_dir()).then_some(output)
}

/// `talk.ogg` becomes `talk.srt`; standard input becomes `stdin.srt`.
fn name(file: &Path, format: Format) -> PathBuf {
    let stem = match file.file_stem() {
        Some(stem) if file != Path::new(STDIN) => stem,
        _ => "stdin".as_ref(),
    };
    Path::new(stem).with_added_extension(format.ending())
}

fn usage(about: &str, message: &str) -> Error {
    Error::new(ErrorKind::InvalidArgument, message).about(about)
}
