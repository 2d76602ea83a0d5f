//! `gigastt eval`: how often a model is wrong on recordings whose words are known, and what live text costs.

mod align;
mod live;
mod manifest;
mod normal;
mod numbers;
mod plot;
mod report;
mod score;

use std::sync::atomic::{AtomicUsize, Ordering};

use gigastt_core::{EndpointRule, Engine, Error, ErrorKind, Hooks, Options, Plan, Progress, Result};

use self::live::Seen;
use self::manifest::Entry;
pub(crate) use self::normal::Compare;
use self::report::{Live, Recording, Report, Scores};
use self::score::{Bootstrap, Score};
use crate::cli::Eval;
use crate::draft::Draft;
use crate::failure::{Exit, tell};
use crate::interrupt::Interrupt;
use crate::progress::Bar;
use crate::{engine, output};

/// A recording's text and its seconds.
type Heard = Result<(String, f64)>;

/// Recognises every recording of the manifest and prints how it went; one that fails is told and left out.
pub(crate) fn run(args: &Eval) -> Exit {
    let prepared = manifest::read(&args.manifest, args.audio.as_deref(), args.limit)
        .and_then(|entries| Ok((entries, EndpointRule::profile(&args.endpoint)?)));
    let (entries, rule) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return stop(&error, Exit::Usage),
    };
    let interrupt = Interrupt::install();
    let built = if args.predicted { Ok(None) } else { engine::build(&args.engine).map(Some) };
    let engine = match built {
        Ok(engine) => engine,
        Err(error) => return stop(&error, Exit::without_engine(&error)),
    };
    match evaluate(engine.as_ref(), &entries, rule, args, &interrupt) {
        _ if interrupt.fired() => Exit::Interrupted,
        Ok(failed) if failed > 0 => Exit::SomeFailed,
        Ok(_) => Exit::Done,
        Err(error) => stop(&error, Exit::SomeFailed),
    }
}

fn stop(error: &Error, exit: Exit) -> Exit {
    tell(error);
    exit
}

/// Prints the report. Returns how many recordings failed.
fn evaluate(
    engine: Option<&Engine>,
    entries: &[Entry],
    rule: EndpointRule,
    args: &Eval,
    interrupt: &Interrupt,
) -> Result<usize> {
    // Made first: an evaluation of hours does not end with a folder that is not there.
    let draft = args.plot.clone().map(Draft::new).transpose()?;
    let heard = match engine {
        Some(engine) => transcribe(engine, entries, args, interrupt),
        None => entries.iter().map(predicted).collect(),
    };
    if interrupt.fired() {
        return Ok(0);
    }
    let mut evaluation = Evaluation::new(args);
    for (entry, heard) in entries.iter().zip(heard) {
        evaluation.file(entry, heard);
    }
    let plans: &[Plan] = if args.plan.is_empty() { &[Plan::default()] } else { &args.plan };
    for plan in plans.iter().filter(|_| args.live) {
        let options = Options { partials: Some(*plan), ..Options::new(16_000).endpoint(rule.clone()) };
        if let Some(engine) = engine {
            evaluation.streams(engine, &options, interrupt)?;
        }
    }
    let failed = evaluation.failed;
    let report = evaluation.finish(engine, args);
    if let Some(draft) = draft {
        draft.finish(&report.picture())?;
    }
    // Who does not read it any more has the picture all the same.
    let _ = output::print(&if args.json { output::line(&report) } else { report.to_string() });
    Ok(failed)
}

fn predicted(entry: &Entry) -> Heard {
    let missing = || Error::new(ErrorKind::InvalidArgument, "the manifest has no pred_text of it");
    let text = entry.predicted.clone().ok_or_else(missing).map_err(|error| error.about(&entry.name))?;
    Ok((text, 0.0))
}

/// Transcribes the recordings as files, as many at a time as the model has threads.
fn transcribe(engine: &Engine, entries: &[Entry], args: &Eval, interrupt: &Interrupt) -> Vec<Heard> {
    let bar = Bar::new(&args.manifest, args.quiet || args.json);
    let (next, done) = (AtomicUsize::new(0), std::sync::Mutex::new(0.0));
    let worker = || {
        let mut heard = Vec::new();
        while let Some((at, entry)) = {
            let at = next.fetch_add(1, Ordering::Relaxed);
            entries.get(at).filter(|_| !interrupt.fired()).map(|entry| (at, entry))
        } {
            let hooks = Hooks { canceller: Some(&interrupt.canceller), ..Hooks::default() };
            let transcript = engine.transcribe_with(entry.path.as_path(), &Options::file(), hooks);
            let text = transcript.map(|transcript| (transcript.text, transcript.duration));
            if let (Ok((_, seconds)), Ok(mut done_s)) = (&text, done.lock()) {
                *done_s += seconds;
                bar.show(Progress { done_s: *done_s, total_s: None, front_end_s: 0.0 });
            }
            heard.push((at, text));
        }
        heard
    };
    let mut heard: Vec<(usize, Heard)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..engine.threads()).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect()
    });
    heard.sort_by_key(|(at, _)| *at);
    heard.into_iter().map(|(_, text)| text).collect()
}

/// What was found so far.
struct Evaluation<'a> {
    compare: Compare,
    json: bool,
    bootstrap: Bootstrap,
    /// The recordings that were recognised, and how well.
    entries: Vec<&'a Entry>,
    file: Vec<Score>,
    live: Vec<Live>,
    failed: usize,
    audio_s: f64,
}

impl<'a> Evaluation<'a> {
    fn new(args: &Eval) -> Self {
        let bootstrap = Bootstrap { resamples: args.resamples, seed: args.seed };
        let (compare, json) = (args.compare, args.json);
        let (entries, file, live) = (Vec::new(), Vec::new(), Vec::new());
        Self { compare, json, bootstrap, entries, file, live, failed: 0, audio_s: 0.0 }
    }

    /// Scores one recording.
    fn file(&mut self, entry: &'a Entry, heard: Heard) {
        match heard {
            Ok((hypothesis, seconds)) => {
                let score = Score::of(self.compare, &entry.text, &hypothesis);
                if self.json {
                    let (file, reference) = (&entry.name, &entry.text);
                    let line = Recording { file, reference, hypothesis: &hypothesis, score };
                    let _ = output::print(&output::line(&line));
                }
                self.entries.push(entry);
                self.file.push(score);
                self.audio_s += seconds;
            }
            Err(error) => {
                tell(&error);
                self.failed += 1;
            }
        }
    }

    /// Plays the recordings that were recognised into streams, one after the other.
    fn streams(&mut self, engine: &Engine, options: &Options, interrupt: &Interrupt) -> Result<()> {
        let mut scores = Scores::default();
        for entry in &self.entries {
            let shown = live::play(engine, &entry.path, options, &interrupt.canceller)?;
            let seen = Seen::of(&shown);
            let score = |text: &str| Score::of(self.compare, &entry.text, text);
            scores.last.push(score(&seen.last));
            scores.first.push(score(&seen.first));
            scores.stable.push(score(&seen.stable));
            scores.seen.add(&seen);
        }
        let plan = options.partials.unwrap_or_default();
        self.live.push(Live::new(plan, scores, &self.file, self.bootstrap));
        Ok(())
    }

    fn finish(self, engine: Option<&Engine>, args: &Eval) -> Report {
        Report {
            manifest: args.manifest.display().to_string(),
            model: engine.map(|engine| engine.info().name.clone()),
            compare: self.compare.name(),
            recordings: self.entries.len(),
            failed: self.failed,
            audio_s: self.audio_s,
            resamples: self.bootstrap.resamples,
            seed: self.bootstrap.seed,
            file: self.bootstrap.rates(&self.file),
            live: self.live,
        }
    }
}
