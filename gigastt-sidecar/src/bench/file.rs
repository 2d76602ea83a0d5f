//! `gigastt bench file`: how fast a model is on this machine, where the time goes, and the memory.

use std::fmt;
use std::time::Instant;

use gigastt_core::{Engine, Form, Hooks, Options, Result};
use serde::Serialize;

use crate::cli::BenchFile;
use crate::failure::{Exit, tell};
use crate::interrupt::Interrupt;
use crate::system::{cpu_s, peak_memory_mb};
use crate::{engine, output};

/// What was measured.
#[derive(Serialize)]
struct Report {
    file: String,
    model: String,
    /// The fast form that ran.
    optimized: Option<&'static str>,
    threads: usize,
    /// Seconds to load ONNX Runtime and the model.
    load_s: f64,
    /// Seconds of audio.
    audio_s: f64,
    /// Seconds it took.
    wall_s: f64,
    /// `wall_s / audio_s`.
    rtf: f64,
    /// Resampling, log-mel and voice activity.
    features_s: f64,
    /// The encoder, summed over the threads.
    encoder_s: f64,
    /// The decoder, summed over the threads.
    decoder_s: f64,
    /// Of encoder and decoder: inside ONNX Runtime.
    runtime_s: f64,
    /// Everything that is not inside ONNX Runtime: features, what stands around its calls, the rest.
    outside_s: f64,
    /// `outside_s / encoder_s`.
    outside_share: f64,
    /// Processor time of everything else, where the system tells: reading the file, endpoints, text.
    rest_s: Option<f64>,
    /// Peak resident memory in MB (10^6 bytes), where the system tells.
    peak_memory_mb: Option<f64>,
}

/// Transcribes the file once and prints the report.
pub(super) fn run(args: &BenchFile) -> Exit {
    let interrupt = Interrupt::install();
    let started = Instant::now();
    let engine = match engine::build(&args.engine) {
        Ok(engine) => engine,
        Err(error) => {
            tell(&error);
            return Exit::without_engine(&error);
        }
    };
    let load_s = started.elapsed().as_secs_f64();
    match measure(&engine, args, load_s, &interrupt) {
        _ if interrupt.fired() => Exit::Interrupted,
        Ok(report) => {
            let text = if args.json { output::line(&report) } else { report.to_string() };
            output::print(&text).map_or(Exit::SomeFailed, |()| Exit::Done)
        }
        Err(error) => {
            tell(&error);
            Exit::SomeFailed
        }
    }
}

fn measure(engine: &Engine, args: &BenchFile, load_s: f64, interrupt: &Interrupt) -> Result<Report> {
    let mut features_s = 0.0;
    let mut listen = |progress: gigastt_core::Progress| features_s = progress.front_end_s;
    let hooks =
        Hooks { progress: Some(&mut listen), canceller: Some(&interrupt.canceller), ..Hooks::default() };
    let (started, cpu_before) = (Instant::now(), cpu_s());
    let transcript = engine.transcribe_with(args.file.as_path(), &Options::file(), hooks)?;
    let (wall_s, cpu_after) = (started.elapsed().as_secs_f64(), cpu_s());
    let stats = engine.stats()?;
    let model_s = stats.encoder_s + stats.decoder_s;
    let rest_s =
        cpu_after.zip(cpu_before).map(|(after, before)| (after - before - features_s - model_s).max(0.0));
    let outside_s = features_s + model_s - stats.runtime_s + rest_s.unwrap_or(0.0);
    Ok(Report {
        file: args.file.display().to_string(),
        model: engine.info().name.clone(),
        optimized: engine.info().optimized.map(Form::code),
        threads: engine.threads(),
        load_s,
        audio_s: transcript.duration,
        wall_s,
        rtf: wall_s / transcript.duration.max(f64::MIN_POSITIVE),
        features_s,
        encoder_s: stats.encoder_s,
        decoder_s: stats.decoder_s,
        runtime_s: stats.runtime_s,
        outside_s,
        outside_share: outside_s / stats.encoder_s.max(f64::MIN_POSITIVE),
        rest_s,
        peak_memory_mb: peak_memory_mb(),
    })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.file)?;
        writeln!(
            f,
            "model         {}, {} threads, loaded in {:.2} s",
            self.model, self.threads, self.load_s
        )?;
        writeln!(f, "audio         {:.2} s", self.audio_s)?;
        writeln!(f, "time          {:.3} s, {:.4} of real time", self.wall_s, self.rtf)?;
        writeln!(f, "  features    {:.3} s", self.features_s)?;
        writeln!(f, "  encoder     {:.3} s", self.encoder_s)?;
        writeln!(f, "  decoder     {:.3} s", self.decoder_s)?;
        if let Some(rest_s) = self.rest_s {
            writeln!(f, "  rest        {rest_s:.3} s")?;
        }
        writeln!(
            f,
            "outside ONNX Runtime {:.3} s, {:.2} % of the encoder's time",
            self.outside_s,
            100.0 * self.outside_share
        )?;
        if let Some(peak_memory_mb) = self.peak_memory_mb {
            writeln!(f, "peak memory   {peak_memory_mb:.0} MB")?;
        }
        Ok(())
    }
}
