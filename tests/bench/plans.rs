//! What live recognition shows when, under several plans: `measure_plans.py` scores it.
//!
//! Plays the recordings of a folder into one recognizer each, 20 ms at a time, and waits for the model
//! after each piece: the text is that of a machine with nothing else to do, and an event's time is when
//! its audio was complete plus how long the machine took. Prints a JSON object per line: the events, and
//! at the end of a plan what it cost.
//!
//!     cargo run --release -p gigastt-tests --example plans -- FOLDER [PLAN...]
//!
//! Without plans it plays those of `docs/streaming.md`. A plan is
//! `left/step_first/step_min/step_max/right/edge/horizon`, in encoder frames of 40 ms, after `kept:` if the encoder is
//! to keep what it has computed.

#![allow(clippy::print_stdout)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gigastt_core::audio::Source as _;
use gigastt_core::audio::file::FileSource;
use gigastt_core::{
    Context, EndpointRule, Engine, Error, ErrorKind, Event, Options, Plan, Recognizer, Result,
};
use serde_json::json;

/// The plans of `docs/streaming.md`.
const PLANS: [&str; 28] = [
    "32/1/8/64/16/4/16",
    "32/1/8/64/12/4/16",
    "32/1/8/64/8/4/16",
    "16/1/8/64/12/4/16",
    "64/1/8/64/16/4/16",
    "8/1/8/64/12/4/16",
    "32/8/8/64/12/4/16",
    "32/1/16/64/12/4/16",
    "32/1/32/64/12/4/16",
    "32/16/16/64/12/4/16",
    "32/1/4/64/12/4/16",
    "32/1/8/64/12/4/0",
    "32/1/8/64/12/4/24",
    "32/1/8/64/12/6/16",
    "kept:32/1/8/64/12/4/16",
    "kept:64/1/8/64/12/4/16",
    "kept:64/2/8/64/12/4/16",
    "kept:64/3/8/64/12/4/16",
    "kept:96/1/8/64/12/4/16",
    "kept:128/1/8/64/12/4/16",
    "kept:256/1/8/64/12/4/16",
    "kept:64/1/16/64/12/4/16",
    "kept:128/1/16/64/12/4/16",
    "kept:64/1/32/64/12/4/16",
    "kept:64/1/4/64/12/4/16",
    "kept:128/16/32/64/16/4/16",
    "kept:64/16/16/64/12/4/16",
    "kept:64/32/32/64/12/4/16",
];

const PIECE_MS: usize = 20;
/// No window takes this long.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long is waited for an event before looking whether there is still a window.
const LOOK: Duration = Duration::from_millis(5);

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let usage = || Error::new(ErrorKind::InvalidArgument, "expected FOLDER [PLAN...]");
    let folder = PathBuf::from(args.next().ok_or_else(usage)?);
    let mut plans: Vec<String> = args.collect();
    if plans.is_empty() {
        plans = PLANS.map(String::from).into();
    }
    for name in plans {
        let plan = parse(&name).ok_or_else(usage)?;
        plan.validate()?;
        // The sums of an engine are those of one plan.
        let engine = Engine::builder().threads(1).build()?;
        let mut audio_s = 0.0;
        for path in recordings(&folder)? {
            audio_s += play(&engine, &name, plan, &path)?;
        }
        let stats = engine.stats()?;
        println!(
            "{}",
            json!({
                "plan": name, "audio_s": audio_s, "encoder_s": stats.encoder_s,
                "decoder_s": stats.decoder_s, "encoded_s": stats.encoded_s, "windows": stats.windows,
            })
        );
    }
    Ok(())
}

fn parse(name: &str) -> Option<Plan> {
    let (context, name) = match name.strip_prefix("kept:") {
        Some(name) => (Context::Kept, name),
        None => (Context::Window, name),
    };
    let frames: Vec<u16> = name.split('/').map(str::parse).collect::<std::result::Result<_, _>>().ok()?;
    let [left, step_first, step_min, step_max, right, edge, horizon] = frames[..] else { return None };
    Some(Plan { left, step_min, step_first, step_max, right, edge, horizon, context })
}

fn recordings(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(|error| Error::io(folder, &error))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut paths: Vec<_> = paths.filter(|path| path.extension().is_some_and(|end| end == "wav")).collect();
    paths.sort();
    Ok(paths)
}

/// Plays one recording. Returns its seconds.
fn play(engine: &Engine, name: &str, plan: Plan, path: &Path) -> Result<f64> {
    let mut source = FileSource::open(path)?;
    let rate = source.format().sample_rate;
    let rule = EndpointRule::dictation();
    let options = Options { partials: Some(plan), ..Options::new(rate).endpoint(rule) };
    let mut recognizer = engine.recognizer(options)?;
    let (mut samples, mut piece) = (Vec::new(), Vec::new());
    loop {
        source.read(&mut piece)?;
        if piece.is_empty() {
            break;
        }
        samples.extend_from_slice(&piece);
    }
    let recording = path.file_stem().unwrap_or_default().to_string_lossy();
    let mut heard = 0;
    let step = rate as usize * PIECE_MS / 1_000;
    // A second of silence lets the last utterance end by itself.
    samples.resize(samples.len() + rate as usize, 0.0);
    for piece in samples.chunks(step) {
        heard += piece.len();
        let started = Instant::now();
        let taken = recognizer.push_pcm(piece)?;
        assert_eq!(taken, piece.len(), "a machine with nothing else to do keeps up");
        let show = |event: &Event| {
            let at = heard as f64 / f64::from(rate) + started.elapsed().as_secs_f64();
            tell(name, &recording, at, event);
        };
        settle(&mut recognizer, show)?;
    }
    recognizer.finish()?;
    Ok(samples.len() as f64 / f64::from(rate))
}

/// Takes events until no window is with the worker.
fn settle(recognizer: &mut Recognizer, show: impl Fn(&Event)) -> Result<()> {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        while let Some(event) = recognizer.poll_event() {
            show(&event);
        }
        if recognizer.stats().windows == 0 {
            return Ok(());
        }
        // A window that comes back need not change anything.
        if let Some(event) = recognizer.next_event(Some(LOOK))? {
            show(&event);
        }
    }
    Err(Error::new(ErrorKind::Timeout, "a window never came back"))
}

fn tell(plan: &str, recording: &str, at: f64, event: &Event) {
    let object = match event {
        Event::Partial(partial) => json!({
            "plan": plan, "recording": recording, "at": at, "type": "partial", "text": partial.text,
            "stable": partial.stable(), "decoded": partial.decoded_ms as f64 / 1_000.0,
            "last": partial.words.last().map(|word| [word.start, word.end]),
        }),
        Event::Final(text) => json!({
            "plan": plan, "recording": recording, "at": at, "type": "final", "text": text.text,
            "start": text.span.start as f64 / 16_000.0, "end": text.span.end as f64 / 16_000.0,
            "reason": text.endpoint_reason.code(), "second_pass": text.second_pass,
        }),
        Event::SpeechStarted { .. } | Event::End(_) => return,
    };
    println!("{object}");
}
