//! What an evaluation comes to: for people, for programs, and as a picture.

use std::fmt::{self, Write as _};

use gigastt_core::{Context, Plan};
use serde::{Serialize, Serializer};

use super::align::Counts;
use super::live::Seen;
use super::plot::{self, Panel, Row};
use super::score::{Bootstrap, Rate, Rates, Score, percentile};

/// One recording, as a line of JSON.
#[derive(Serialize)]
pub(super) struct Recording<'a> {
    pub file: &'a str,
    pub reference: &'a str,
    pub hypothesis: &'a str,
    #[serde(flatten)]
    pub score: Score,
}

/// The whole, as the last line of JSON.
#[derive(Serialize)]
pub(super) struct Report {
    pub manifest: String,
    /// None where texts of the manifest were scored.
    pub model: Option<String>,
    pub compare: &'static str,
    pub recordings: usize,
    /// Recordings that could not be recognised. They are in no figure.
    pub failed: usize,
    /// Seconds of the recordings, where they were heard.
    pub audio_s: f64,
    pub resamples: u32,
    pub seed: u64,
    /// Each recording as a file.
    pub file: Rates,
    /// Each recording as a stream.
    pub live: Vec<Live>,
}

/// How streams under one plan went.
#[derive(Serialize)]
pub(super) struct Live {
    #[serde(serialize_with = "named")]
    pub plan: Plan,
    /// The finals.
    pub last: Rates,
    /// Words as they were first shown, and as they were first called stable.
    pub first: Rates,
    pub stable: Rates,
    /// How much higher the error of the finals is than that of the file, and its interval.
    pub above_file: [Option<f64>; 3],
    /// Words revised after having been shown, for each word of the finals.
    pub flicker: Option<f64>,
    pub flicker_stable: Option<f64>,
    pub word_ms: Spread,
    pub first_ms: Spread,
    pub final_ms: Spread,
}

/// Of times: the middle, and what 5, 90 and 95 % do not reach.
#[derive(Serialize)]
pub(super) struct Spread {
    pub p5: Option<f64>,
    pub p50: Option<f64>,
    pub p90: Option<f64>,
    pub p95: Option<f64>,
}

/// The scores of the streams under one plan: of finals, of words as first shown, of words as first stable.
#[derive(Default)]
pub(super) struct Scores {
    pub last: Vec<Score>,
    pub first: Vec<Score>,
    pub stable: Vec<Score>,
    pub seen: Seen,
}

impl Live {
    pub(super) fn new(plan: Plan, scores: Scores, file: &[Score], bootstrap: Bootstrap) -> Self {
        let Scores { last, first, stable, seen } = scores;
        let share = |count: usize| (seen.words > 0).then(|| count as f64 / seen.words as f64);
        Self {
            plan,
            last: bootstrap.rates(&last),
            first: bootstrap.rates(&first),
            stable: bootstrap.rates(&stable),
            above_file: bootstrap.difference(&last, file),
            flicker: share(seen.revised),
            flicker_stable: share(seen.revised_stable),
            word_ms: Spread::of(seen.word_ms),
            first_ms: Spread::of(seen.first_ms),
            final_ms: Spread::of(seen.final_ms),
        }
    }
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let [p5, p50, p90, p95] = [0.05, 0.5, 0.9, 0.95].map(|share| percentile(&values, share));
        Self { p5, p50, p90, p95 }
    }
}

/// A plan as it is typed.
fn name(plan: &Plan) -> String {
    let Plan { left, step_first, step_min, step_max, right, edge, horizon, context } = plan;
    let kept = if *context == Context::Kept { "kept:" } else { "" };
    format!("{kept}{left}/{step_first}/{step_min}/{step_max}/{right}/{edge}/{horizon}")
}

fn named<S: Serializer>(plan: &Plan, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&name(plan))
}

impl Report {
    /// Error rates of everything, and below them the delays of streams.
    pub(super) fn picture(&self) -> String {
        let percent = |value: f64| value * 100.0;
        let rate = |label: String, rate: &Rate| {
            let range = rate.low.zip(rate.high).map(|(low, high)| (percent(low), percent(high)));
            rate.rate.map(|value| Row { label, value: percent(value), range })
        };
        let mut rows: Vec<Row> = rate("file".into(), &self.file.words).into_iter().collect();
        let mut delays = Vec::new();
        for live in &self.live {
            let name = name(&live.plan);
            let kinds = [("final", &live.last), ("stable", &live.stable), ("first", &live.first)];
            rows.extend(
                kinds.iter().filter_map(|(kind, rates)| rate(format!("{name} {kind}"), &rates.words)),
            );
            let times = [("first text", &live.first_ms), ("word", &live.word_ms), ("final", &live.final_ms)];
            delays.extend(times.iter().filter_map(|(kind, spread)| {
                let (range, label) = (spread.p5.zip(spread.p95), format!("{name} {kind}"));
                spread.p50.map(|value| Row { label, value, range })
            }));
        }
        let mut panels = vec![Panel { title: "words wrong, %, with 95 % intervals".into(), rows }];
        if !delays.is_empty() {
            panels.push(Panel { title: "delay, ms: half, and from 5 to 95 %".into(), rows: delays });
        }
        plot::svg(&panels)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heard = if self.audio_s > 0.0 { format!(", {:.1} s", self.audio_s) } else { String::new() };
        writeln!(f, "{}: {} recordings{heard}, {} failed", self.manifest, self.recordings, self.failed)?;
        let model = self.model.as_deref().unwrap_or("texts of the manifest");
        writeln!(f, "{model}; compared: {}", self.compare)?;
        writeln!(f)?;
        let head = ["wer %", "95 %", "subst", "del", "ins", "words", "cer %", "95 %"];
        let widths = [7, 13, 7, 7, 7, 9, 7, 13];
        let row = |label: &str, cells: &[String]| {
            let mut line = format!("{label:<8}");
            for (cell, width) in cells.iter().zip(widths) {
                let _ = write!(line, "{cell:>width$}");
            }
            line
        };
        writeln!(f, "{}", row("", &head.map(str::to_owned)))?;
        writeln!(f, "{}", row("file", &cells(&self.file)))?;
        for live in &self.live {
            writeln!(f, "\nlive {}", name(&live.plan))?;
            for (label, rates) in [("final", &live.last), ("stable", &live.stable), ("first", &live.first)] {
                writeln!(f, "{}", row(label, &cells(rates)))?;
            }
            let [above, low, high] = live.above_file.map(percent);
            writeln!(f, "final above file: {above} points of wer, 95 %: {low} to {high}")?;
            let two = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.3}"));
            writeln!(f, "flicker: {}, of stable {}", two(live.flicker), two(live.flicker_stable))?;
            writeln!(f, "delay, ms       p50    p90    p95")?;
            let kinds = [("first text", &live.first_ms), ("word", &live.word_ms), ("final", &live.final_ms)];
            for (label, spread) in kinds {
                let ms = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.0}"));
                let [p50, p90, p95] = [spread.p50, spread.p90, spread.p95].map(ms);
                writeln!(f, "{label:<11}{p50:>8}{p90:>7}{p95:>7}")?;
            }
        }
        Ok(())
    }
}

fn cells(rates: &Rates) -> [String; 8] {
    let Counts { substitutions, deletions, insertions, .. } = rates.words.counts;
    let between = |rate: &Rate| match (rate.low, rate.high) {
        (None, None) => "-".into(),
        (low, high) => format!("{} to {}", percent(low), percent(high)),
    };
    [
        percent(rates.words.rate),
        between(&rates.words),
        substitutions.to_string(),
        deletions.to_string(),
        insertions.to_string(),
        rates.words.counts.reference().to_string(),
        percent(rates.characters.rate),
        between(&rates.characters),
    ]
}

fn percent(value: Option<f64>) -> String {
    value.map_or("-".into(), |value| format!("{:.1}", value * 100.0))
}

#[cfg(test)]
mod tests {
    use super::super::normal::Compare;
    use super::*;

    fn report() -> Report {
        let bootstrap = Bootstrap { resamples: 100, seed: 1 };
        let score = |text| Score::of(Compare::Words, "раз два три четыре", text);
        let file = [score("раз два три четыре"), score("раз два три")];
        let seen = Seen { words: 8, revised: 2, word_ms: vec![200.0, 400.0], ..Seen::default() };
        let (first, stable) = (vec![score("раз"), score("раз")], file.to_vec());
        let scores = Scores { last: file.to_vec(), first, stable, seen };
        Report {
            manifest: "m.jsonl".into(),
            model: None,
            compare: "words",
            recordings: 2,
            failed: 1,
            audio_s: 0.0,
            resamples: 100,
            seed: 1,
            file: bootstrap.rates(&file),
            live: vec![Live::new(Plan::default(), scores, &file, bootstrap)],
        }
    }

    #[test]
    fn people_read_a_table() {
        let expected = "\
m.jsonl: 2 recordings, 1 failed
texts of the manifest; compared: words

          wer %         95 %  subst    del    ins    words  cer %         95 %
file       12.5  0.0 to 25.0      0      1      0        8   19.4  0.0 to 38.9

live kept:64/1/8/64/12/4/16
final      12.5  0.0 to 25.0      0      1      0        8   19.4  0.0 to 38.9
stable     12.5  0.0 to 25.0      0      1      0        8   19.4  0.0 to 38.9
first      75.0 75.0 to 75.0      0      6      0        8   83.3 83.3 to 83.3
final above file: 0.0 points of wer, 95 %: 0.0 to 0.0
flicker: 0.250, of stable 0.000
delay, ms       p50    p90    p95
first text        -      -      -
word            300    380    390
final             -      -      -
";
        assert_eq!(report().to_string(), expected);
    }

    #[test]
    fn programs_read_json() {
        let json = serde_json::to_value(report()).expect("JSON");
        assert_eq!(json["file"]["words"]["rate"], 0.125);
        assert_eq!(json["file"]["words"]["deletions"], 1);
        assert_eq!(json["live"][0]["plan"], "kept:64/1/8/64/12/4/16");
        assert_eq!(json["live"][0]["word_ms"]["p50"], 300.0);
        assert_eq!(json["model"], serde_json::Value::Null);
    }

    #[test]
    fn a_picture_has_a_row_for_each_figure() {
        let picture = report().picture();
        for label in ["file", "kept:64/1/8/64/12/4/16 final", "kept:64/1/8/64/12/4/16 word"] {
            assert!(picture.contains(&format!(">{label}<")), "{label}: {picture}");
        }
        assert_eq!(picture.matches("<circle").count(), 5);
    }
}
