//! `gigastt bench streams`: how many live streams the machine serves, and how late they are served.

use std::fmt;
use std::time::Duration;

use gigastt_core::{EndpointRule, Engine, Form, Options, Result};
use serde::Serialize;

use super::crowd::{self, Crowd, Measured};
use super::speech::{Sentence, Talk, sentences};
use crate::cli::BenchStreams;
use crate::failure::{Exit, tell};
use crate::interrupt::Interrupt;
use crate::system::memory_mb;
use crate::{engine, output};

/// Seconds of speech that are recognised before anything is measured, so that the runtime has what memory
/// it wants.
const WARM_UP_S: usize = 50;

/// What one number of streams gave. Times in milliseconds unless said otherwise.
#[derive(Debug, Serialize)]
struct Row {
    sessions: usize,
    partial_avg: Option<f64>,
    partial_p50: Option<f64>,
    partial_p90: Option<f64>,
    partial_p95: Option<f64>,
    partial_p99: Option<f64>,
    final_p50: Option<f64>,
    final_p95: Option<f64>,
    first_p50: Option<f64>,
    first_p95: Option<f64>,
    /// Audio that was finished, over the time it took.
    rtfx: f64,
    /// Encoder and decoder seconds, summed over the threads, for each second of audio, silence included.
    encoder: f64,
    decoder: f64,
    /// Processor time of everything, in cores.
    cpu: Option<f64>,
    /// Words revised after having been shown, for each word of the finals.
    flicker: Option<f64>,
    flicker_stable: Option<f64>,
    /// Resident memory that each stream added; only where no earlier row had more streams.
    kb_per_session: Option<f64>,
    /// `push_pcm` of 20 ms, microseconds.
    push_us_p50: Option<f64>,
    push_us_p999: Option<f64>,
    /// Marks of speech that no event ever covered.
    missed: usize,
    /// Whether both limits were kept.
    keeps_up: bool,
}

/// What all rows come to.
#[derive(Debug, Serialize)]
struct Summary {
    model: String,
    /// The fast form that ran.
    optimized: Option<&'static str>,
    threads: usize,
    speech_share: f64,
    seconds: u32,
    endpoint: String,
    idle_sessions: usize,
    kb_per_idle_session: Option<f64>,
    /// Share of a core that all idle streams take.
    idle_cpu: Option<f64>,
    partial_limit: u32,
    final_limit: u32,
    /// The most streams that kept both limits, and the same for each thread of the model.
    effective_sessions: usize,
    effective_sessions_per_thread: f64,
}

/// Measures row by row and prints each when it is there.
pub(super) fn run(args: &BenchStreams) -> Exit {
    let interrupt = Interrupt::install();
    let talk = sentences(&args.files);
    let options = options(args);
    let (talk, options) = match talk.and_then(|talk| Ok((talk, options?))) {
        Ok(found) => found,
        Err(error) => {
            tell(&error);
            return Exit::Usage;
        }
    };
    let engine = match engine::build(&args.engine) {
        Ok(engine) => engine,
        Err(error) => {
            tell(&error);
            return Exit::without_engine(&error);
        }
    };
    match measure(&engine, args, &talk, &options, &interrupt) {
        _ if interrupt.fired() => Exit::Interrupted,
        Ok(()) => Exit::Done,
        Err(error) => {
            tell(&error);
            Exit::SomeFailed
        }
    }
}

fn options(args: &BenchStreams) -> Result<Options> {
    let options = Options::new(16_000).endpoint(EndpointRule::profile(&args.endpoint)?);
    let partials = args.plan.or(options.partials);
    let options = Options { partials, ..options };
    options.validate()?;
    Ok(options)
}

fn measure(
    engine: &Engine,
    args: &BenchStreams,
    talk: &[Sentence],
    options: &Options,
    interrupt: &Interrupt,
) -> Result<()> {
    warm_up(engine, talk)?;
    let print = |text: String| output::print(&text).is_ok();
    let idle = crowd::idle(engine, args.idle.into(), options)?;
    if !args.json && !print(Row::head()) {
        return Ok(());
    }
    let mut search = Search::of(args, engine.threads());
    let mut most = 0;
    while let Some(sessions) = search.next() {
        let time = Duration::from_secs(args.seconds.into());
        let crowd = Crowd { sessions, sentences: talk, share: args.speech_share, options, time };
        let Some(measured) = crowd::listen(engine, &crowd, interrupt)? else { return Ok(()) };
        let row = Row::of(sessions, measured, args, sessions >= most);
        most = most.max(sessions);
        search.found(sessions, row.keeps_up);
        if !print(if args.json { output::line(&row) } else { row.to_string() }) {
            return Ok(());
        }
    }
    let summary = Summary {
        model: engine.info().name.clone(),
        optimized: engine.info().optimized.map(Form::code),
        threads: engine.threads(),
        speech_share: args.speech_share,
        seconds: args.seconds,
        endpoint: args.endpoint.clone(),
        idle_sessions: idle.streams.len(),
        kb_per_idle_session: idle.kb,
        idle_cpu: idle.cpu,
        partial_limit: args.partial_limit,
        final_limit: args.final_limit,
        effective_sessions: search.good,
        effective_sessions_per_thread: search.good as f64 / engine.threads() as f64,
    };
    print(if args.json { output::line(&summary) } else { summary.to_string() });
    Ok(())
}

/// Recognises a while of uninterrupted speech.
fn warm_up(engine: &Engine, sentences: &[Sentence]) -> Result<()> {
    let mut samples = Vec::new();
    Talk::new(sentences, 0.99, 1).fill(WARM_UP_S * 16_000, &mut samples, &mut Vec::new());
    let samples: Vec<f32> = samples.iter().map(|sample| f32::from(*sample) / 32_768.0).collect();
    engine.transcribe(samples.as_slice(), &Options::file())?;
    log::info!("warmed up; {:?} MB resident", memory_mb());
    Ok(())
}

/// Which numbers of streams are measured: those that were asked for; or, when none were, twice as many each
/// time until they are too many, and then between the last two.
#[derive(Debug)]
struct Search {
    asked: Option<std::vec::IntoIter<usize>>,
    /// The most that kept up, and the fewest that did not.
    good: usize,
    bad: usize,
    start: usize,
}

impl Search {
    /// The largest number whose streams may be open at once.
    const MOST: usize = 4_000;

    fn of(args: &BenchStreams, threads: usize) -> Self {
        let asked: Vec<usize> = args.sessions.iter().map(|sessions| usize::from(*sessions)).collect();
        let asked = (!asked.is_empty()).then(|| asked.into_iter());
        Self { asked, good: 0, bad: Self::MOST + 1, start: threads }
    }

    fn next(&mut self) -> Option<usize> {
        if let Some(asked) = &mut self.asked {
            return asked.next();
        }
        let doubled = (2 * self.good).max(self.start.min(self.bad / 2)).max(1);
        let next = if doubled < self.bad { doubled } else { self.good.midpoint(self.bad) };
        (self.good + (self.good / 16).max(1) < self.bad).then_some(next)
    }

    fn found(&mut self, sessions: usize, keeps_up: bool) {
        if keeps_up {
            self.good = self.good.max(sessions);
        } else {
            self.bad = self.bad.min(sessions);
        }
    }
}

impl Row {
    fn of(sessions: usize, measured: Measured, args: &BenchStreams, grown: bool) -> Self {
        let Measured { seen, due_s, settled_s, encoder_s, decoder_s, cpu_s, memory_mb, pushes } = measured;
        let (partials, finals) = (Sorted::of(seen.partials), Sorted::of(seen.finals));
        let (firsts, pushes) = (Sorted::of(seen.firsts), Sorted::of(pushes));
        let within = |late: Option<f64>, limit: u32| late.is_some_and(|late| late <= f64::from(limit));
        let (partial_p95, final_p95) = (partials.at(0.95), finals.at(0.95));
        let per_word = |count: usize| (seen.words > 0).then(|| count as f64 / seen.words as f64);
        let time = f64::from(args.seconds);
        Self {
            sessions,
            partial_avg: partials.mean(),
            partial_p50: partials.at(0.5),
            partial_p90: partials.at(0.9),
            partial_p95,
            partial_p99: partials.at(0.99),
            final_p50: finals.at(0.5),
            final_p95,
            first_p50: firsts.at(0.5),
            first_p95: firsts.at(0.95),
            rtfx: settled_s / time,
            encoder: encoder_s / due_s,
            decoder: decoder_s / due_s,
            cpu: cpu_s.map(|cpu_s| cpu_s / time),
            flicker: per_word(seen.revised),
            flicker_stable: per_word(seen.revised_stable),
            kb_per_session: memory_mb.filter(|_| grown).map(|mb| mb.max(0.0) * 1_000.0 / sessions as f64),
            push_us_p50: pushes.at(0.5),
            push_us_p999: pushes.at(0.999),
            missed: seen.missed,
            keeps_up: within(partial_p95, args.partial_limit) && within(final_p95, args.final_limit),
        }
    }

    fn head() -> String {
        let above = format!("{:>8} |{:^34} |{:^13} |{:^13} |\n", "", "partial, ms", "final, ms", "first, ms");
        above
            + &format!(
                "{:>8} |{:>6}{:>7}{:>7}{:>7}{:>7} |{:>6}{:>7} |{:>6}{:>7} |{:>7}{:>9}{:>9}{:>6}{:>9}{:>9}\n",
                "sessions",
                "avg",
                "p50",
                "p90",
                "p95",
                "p99",
                "p50",
                "p95",
                "p50",
                "p95",
                "RTFX",
                "encoder",
                "decoder",
                "cpu",
                "flicker",
                "kB each"
            )
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |late: Option<f64>| late.map_or("-".to_owned(), |late| format!("{late:.0}"));
        let share = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.2}"));
        let [average, p50, p90, p95, p99] =
            [self.partial_avg, self.partial_p50, self.partial_p90, self.partial_p95, self.partial_p99]
                .map(ms);
        let [final_p50, final_p95, first_p50, first_p95] =
            [self.final_p50, self.final_p95, self.first_p50, self.first_p95].map(ms);
        write!(f, "{:>8} |{average:>6}{p50:>7}{p90:>7}{p95:>7}{p99:>7} |", self.sessions)?;
        write!(f, "{final_p50:>6}{final_p95:>7} |{first_p50:>6}{first_p95:>7} |")?;
        write!(f, "{:>7.1}{:>9.4}{:>9.4}", self.rtfx, self.encoder, self.decoder)?;
        let (cpu, flicker, kb) = (share(self.cpu), share(self.flicker), ms(self.kb_per_session));
        writeln!(f, "{cpu:>6}{flicker:>9}{kb:>9}{}", if self.keeps_up { "" } else { "  too late" })
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (model, threads, share) = (&self.model, self.threads, 100.0 * self.speech_share);
        writeln!(f, "\nmodel         {model}, {threads} threads; {share:.0} % speech, {}", self.endpoint)?;
        if let Some(kb) = self.kb_per_idle_session {
            write!(f, "idle streams  {}, {kb:.0} kB each", self.idle_sessions)?;
            let cpu = self.idle_cpu.map(|cpu| format!(", together {:.1} % of a core", 100.0 * cpu));
            writeln!(f, "{}", cpu.unwrap_or_default())?;
        }
        writeln!(
            f,
            "effective     {} streams, {:.1} for each thread: partials within {} ms and finals within {} ms at p95",
            self.effective_sessions, self.effective_sessions_per_thread, self.partial_limit, self.final_limit
        )
    }
}

/// Values in order.
struct Sorted(Vec<f64>);

impl Sorted {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// The value that this share of them does not exceed.
    fn at(&self, share: f64) -> Option<f64> {
        let last = self.0.len().checked_sub(1)?;
        self.0.get((last as f64 * share).ceil() as usize).copied()
    }

    fn mean(&self) -> Option<f64> {
        (!self.0.is_empty()).then(|| self.0.iter().sum::<f64>() / self.0.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers that are measured when `most` streams keep up.
    fn searched(threads: usize, most: usize) -> Vec<usize> {
        let mut search = Search { asked: None, good: 0, bad: Search::MOST + 1, start: threads };
        let mut measured = Vec::new();
        while let Some(sessions) = search.next() {
            assert!(measured.len() < 40, "{measured:?}");
            measured.push(sessions);
            search.found(sessions, sessions <= most);
        }
        assert!(search.good <= most && most <= search.good + search.good / 16, "{search:?}");
        measured
    }

    #[test]
    fn the_most_streams_are_found() {
        assert_eq!(searched(2, 25), [2, 4, 8, 16, 32, 24, 28, 26, 25]);
        assert_eq!(searched(2, 1), [2, 1]);
        assert_eq!(searched(4, 0), [4, 2, 1]);
        assert_eq!(searched(1, Search::MOST).last(), Some(&3_878));
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let sorted = Sorted::of((1..=100).rev().map(f64::from).collect());
        assert_eq!([0.0, 0.5, 0.95, 1.0].map(|share| sorted.at(share)), [1.0, 51.0, 96.0, 100.0].map(Some));
        assert_eq!(sorted.mean(), Some(50.5));
        assert_eq!((Sorted::of(Vec::new()).at(0.5), Sorted::of(Vec::new()).mean()), (None, None));
    }
}
