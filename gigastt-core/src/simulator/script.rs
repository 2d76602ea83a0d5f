//! What happens in a world, drawn from its seed: who speaks what, how it arrives, what goes wrong.

use std::time::Duration;

use crate::audio::FrontEnd;
use crate::fake::{FAILS, FakeFrontEnd, PANICS};
use crate::options::{Class, Context, EndpointRule, Mode, Options, Plan};
use crate::{EndpointReason, ErrorKind};

/// Splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.
pub(super) struct Random(pub u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// `low..=high`.
    pub(super) fn within(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    /// True in `percent` of the cases.
    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.next() as usize % from.len()]
    }

    fn ms(&mut self, low: u64, high: u64) -> u32 {
        self.within(low, high) as u32
    }
}

/// A stretch of signal that says one word, or nothing (0), at one level of voice activity.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    pub word: u32,
    /// Voice activity in eighths; the detector's thresholds lie between 3 and 4 and between 5 and 6.
    pub level: u32,
    pub samples: usize,
}

/// The most `Piece::level`.
const LEVELS: u32 = 8;

/// The signal of a piece: the scripted model rounds it to the word, the scripted detector reads the
/// level out of what is lost by rounding.
fn sample(piece: &Piece) -> f32 {
    (piece.word as f32 + piece.level as f32 / 20.0) / 1024.0
}

fn level(sample: f32) -> u32 {
    let scaled = sample * 1024.0 + 0.02;
    ((scaled - scaled.floor()) * 20.0) as u32
}

/// The scripted front-end, with voice activity independent of the words.
#[derive(Default)]
pub(super) struct Front(FakeFrontEnd);

impl FrontEnd for Front {
    fn frames(&mut self, samples: &[f32], out: &mut Vec<f32>) {
        self.0.frames(samples, out);
    }

    fn score(&mut self, tick: &[f32; 256]) -> f32 {
        score(tick)
    }
}

/// Voice activity of a tick: the mean over a few of its samples, at its edges and between.
pub(super) fn score(tick: &[f32; 256]) -> f32 {
    let sum: u32 = [0, 37, 74, 110, 146, 182, 219, 255].iter().map(|at| level(tick[*at])).sum();
    sum as f32 / (8 * LEVELS) as f32
}

/// What a host does to its stream besides pushing, at a sample position.
#[derive(Debug, Clone)]
pub(super) enum Action {
    Force,
    Set(EndpointRule),
}

/// How the audio is cut into pushes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Chunks {
    Whole,
    Of(usize),
    UpTo(usize),
}

/// When a host looks for events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    /// Waits for them.
    Eager,
    /// After each push.
    Polls,
    /// Only partials, until it has to take the rest.
    Partials,
    /// Not before it has to.
    Slow,
}

/// What a host does once all its audio was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Waits for the end.
    Finish,
    /// Waits for at most this long.
    Within(Duration, EndpointReason),
    /// Takes events as they come.
    Close,
}

/// One stream.
#[derive(Debug, Clone)]
pub(super) struct Stream {
    pub options: Options,
    pub pieces: Vec<Piece>,
    /// In order of their positions.
    pub actions: Vec<(u64, Action)>,
    pub chunks: Chunks,
    pub opens: Duration,
    /// How fast audio arrives: 1 in real time, 0 at once.
    pub pace: f64,
    pub jitter: Duration,
    pub reader: Reader,
    pub ending: Ending,
    pub cancelled: Option<Duration>,
    /// Seed of the chunk sizes and of the jitter.
    pub seed: u64,
}

impl Stream {
    pub(super) fn signal(&self) -> Vec<f32> {
        self.pieces.iter().flat_map(|p| std::iter::repeat_n(sample(p), p.samples)).collect()
    }

    /// The reason of what `finish` cuts.
    pub(super) fn reason(&self) -> EndpointReason {
        match self.ending {
            Ending::Within(_, reason) => reason,
            Ending::Finish | Ending::Close => EndpointReason::Finish,
        }
    }

    /// What the stream fails with should its bad word be encoded.
    pub(super) fn failure(&self) -> Option<ErrorKind> {
        let kind = |piece: &Piece| match piece.word {
            FAILS => Some(ErrorKind::Inference),
            PANICS => Some(ErrorKind::Internal),
            _ => None,
        };
        self.pieces.iter().find_map(kind)
    }
}

/// What a model call takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cost {
    Nothing,
    /// As the embedded model: about 6 ms for each second of audio.
    Small,
    /// As the full-size model on one core.
    Full,
}

impl Cost {
    /// A call over `windows` windows of `frames` mel frames each.
    pub(super) fn of(self, windows: usize, frames: usize) -> Duration {
        let seconds = frames as f64 / 100.0;
        let one = match self {
            Self::Nothing => 0.0,
            Self::Small => 1.0 + 6.0 * seconds,
            Self::Full => full_size_ms(seconds),
        };
        // The windows of a shared call save a little each.
        Duration::from_secs_f64(one * (1.0 + 0.8 * (windows as f64 - 1.0)) / 1000.0)
    }
}

/// Milliseconds for a window, by length, measured on the full-size encoder; between the points on
/// straight lines.
fn full_size_ms(seconds: f64) -> f64 {
    const POINTS: [(f64, f64); 6] =
        [(0.0, 20.0), (1.0, 35.0), (2.0, 54.0), (4.0, 82.0), (8.0, 150.0), (22.0, 482.0)];
    let at = POINTS.iter().rposition(|p| p.0 <= seconds).unwrap_or(0).min(POINTS.len() - 2);
    let ((x, y), (to_x, to_y)) = (POINTS[at], POINTS[at + 1]);
    y + (seconds - x) * (to_y - y) / (to_x - x)
}

/// A world.
#[derive(Debug, Clone)]
pub(super) struct Script {
    pub streams: Vec<Stream>,
    pub workers: usize,
    pub cost: Cost,
    /// The clock jumps ahead: when, and by how much.
    pub jumps: Vec<(Duration, Duration)>,
}

impl Script {
    /// The world of a seed.
    pub(super) fn of(seed: u64) -> Self {
        let mut random = Random(seed);
        let random = &mut random;
        let count = match random.within(0, 999) {
            0..=549 => 1,
            550..=859 => random.within(2, 4),
            860..=989 => random.within(5, 12),
            _ => random.within(13, 64),
        };
        let broken = random.chance(12).then(|| random.within(0, count - 1));
        let cost = random.pick(&[Cost::Nothing, Cost::Small, Cost::Small, Cost::Full, Cost::Full]);
        let crowd = count > 1;
        let streams = (0..count).map(|number| stream(random, crowd, broken == Some(number))).collect();
        let jumps = if random.chance(10) { 2 } else { 0 };
        let jump = |random: &mut Random| {
            (
                Duration::from_millis(random.within(0, 8_000)),
                Duration::from_millis(random.within(1, 3_600_000)),
            )
        };
        Self {
            streams,
            workers: random.within(1, 4) as usize,
            cost,
            jumps: (0..jumps).map(|_| jump(random)).collect(),
        }
    }
}

fn stream(random: &mut Random, crowd: bool, broken: bool) -> Stream {
    let incremental = random.chance(30);
    let (rule, seconds) = match random.within(0, 99) {
        // The profiles as they are shipped; now and then with enough audio to meet their length bound.
        0..=19 => (profile(random), random.within(1, 6)),
        20 if !crowd => (profile(random), random.within(20, 60)),
        _ => (rule(random), random.within(0, if crowd { 5 } else { 7 })),
    };
    let total = random.within(seconds * 16_000, (seconds + 1) * 16_000) as usize;
    let pieces = speech(random, total, broken);
    let plan = if random.chance(60) { plan(random) } else { Plan::default() };
    let options = Options {
        mode: if incremental { Mode::Incremental } else { Mode::TwoPass },
        partials: (incremental || random.chance(75)).then_some(plan),
        class: if random.chance(20) { Class::Bulk } else { Class::Live },
        backlog_ms: if random.chance(30) { random.ms(1_000, 3_000) } else { 30_000 },
        finals_max: if random.chance(15) { random.ms(1, 3) } else { 1_024 },
        ..Options::new(16_000).endpoint(rule)
    };
    let chunks = match random.within(0, 99) {
        0..=14 => Chunks::Whole,
        15..=19 if total < 32_000 => Chunks::Of(1),
        15..=64 => Chunks::Of(random.pick(&[160, 320, 320, 441, 1_600, 8_000])),
        _ => Chunks::UpTo(random.pick(&[64, 700, 5_000, 40_000])),
    };
    let ending = match random.within(0, 99) {
        0..=44 => Ending::Finish,
        45..=69 => Ending::Close,
        _ => {
            let limit = random.pick(&[0, 30, 100, 300, 1_000, 3_600_000]);
            let reasons = [EndpointReason::Shutdown, EndpointReason::SessionCap, EndpointReason::Idle];
            Ending::Within(Duration::from_millis(limit), random.pick(&reasons))
        }
    };
    Stream {
        options,
        pieces,
        actions: actions(random, total as u64),
        chunks,
        opens: Duration::from_millis(if random.chance(50) { 0 } else { random.within(0, 2_000) }),
        pace: random.pick(&[0.0, 0.1, 1.0, 1.0, 1.0]),
        jitter: Duration::from_millis(random.pick(&[0, 0, 20, 400])),
        reader: random.pick(&[Reader::Eager, Reader::Eager, Reader::Polls, Reader::Partials, Reader::Slow]),
        ending,
        cancelled: random.chance(6).then(|| Duration::from_millis(random.within(0, 9_000))),
        seed: random.next(),
    }
}

fn profile(random: &mut Random) -> EndpointRule {
    match random.within(0, 4) {
        0 => EndpointRule::file(),
        1 => EndpointRule::dictation(),
        2 => EndpointRule::assistant(),
        3 => EndpointRule::captions(),
        _ => EndpointRule::manual(),
    }
}

/// Any rule, with short bounds so that little audio meets them.
fn rule(random: &mut Random) -> EndpointRule {
    let post_roll_ms = random.ms(0, 500);
    let utterance_max_ms = random.ms(1_000, 3_000);
    let cut_from_ms = random.ms(0, utterance_max_ms.into());
    let silence = random.chance(75).then(|| random.ms(post_roll_ms.max(16).into(), 900));
    EndpointRule {
        gate: random.chance(75),
        whole_if_short: random.chance(15),
        speech_ms: if random.chance(80) { random.ms(16, 200) } else { random.ms(16, 2_000) },
        pre_roll_ms: if random.chance(80) { random.ms(0, 300) } else { random.ms(0, 1_000) },
        post_roll_ms,
        // Now and then as short as it may be.
        silence_ms: if random.chance(15) { silence.and(Some(post_roll_ms.max(16))) } else { silence },
        utterance_max_ms,
        cut_from_ms,
        tail_min_ms: if random.chance(50) {
            0
        } else {
            random.ms(0, (utterance_max_ms - cut_from_ms).into())
        },
    }
}

fn plan(random: &mut Random) -> Plan {
    let edge = random.within(4, 8) as u16;
    let step_min = random.pick(&[4, 5, 8, 8, 13, 25, 64]);
    let left = random.within(4, 40) as u16;
    Plan {
        left,
        step_min,
        step_first: random.within(1, step_min.into()) as u16,
        step_max: step_min + random.within(0, 60) as u16,
        right: edge + random.within(0, 16) as u16,
        edge,
        horizon: random.within(0, 20) as u16,
        context: if left.is_multiple_of(2) { Context::Kept } else { Context::Window },
    }
}

/// At least `total` samples of words, pauses, blips and what the detector cannot make up its mind about.
fn speech(random: &mut Random, total: usize, broken: bool) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut left = total;
    let talks = random.within(20, 90);
    let breaks_at = if broken { random.within(0, total as u64) as usize } else { usize::MAX };
    let mut broke = !broken;
    while left > 0 {
        let ms = |random: &mut Random, low: u64, high: u64| random.within(low * 16, high * 16) as usize;
        let (word, level, samples) = if !broke && total - left >= breaks_at.saturating_sub(8_000) {
            broke = true;
            (random.pick(&[FAILS, PANICS]), LEVELS, ms(random, 150, 600))
        } else if random.chance(talks) {
            (random.within(1, 990) as u32, random.within(6, 8) as u32, ms(random, 40, 500))
        } else {
            match random.within(0, 9) {
                // A pause.
                0..=4 => (0, random.within(0, 3) as u32, ms(random, 16, 1_200)),
                // Words that nearly pass for silence, and noise that nearly passes for speech.
                5 => (random.within(1, 990) as u32, random.within(2, 5) as u32, ms(random, 40, 300)),
                6 => (0, random.within(4, 8) as u32, ms(random, 16, 300)),
                // Blips.
                7 => (random.within(1, 990) as u32, LEVELS, ms(random, 1, 80)),
                // Digital silence, on the grid or not.
                8 => (0, 0, random.within(1, 20) as usize * 640),
                _ => (0, 0, ms(random, 1, 40)),
            }
        };
        let samples = samples.min(left);
        left -= samples;
        pieces.push(Piece { word, level, samples });
    }
    pieces
}

fn actions(random: &mut Random, total: u64) -> Vec<(u64, Action)> {
    let mut actions = Vec::new();
    if random.chance(20) {
        for _ in 0..random.within(1, 4) {
            actions.push((random.within(0, total), Action::Force));
        }
    }
    if random.chance(12) {
        for _ in 0..random.within(1, 3) {
            let rule = if random.chance(50) { profile(random) } else { rule(random) };
            actions.push((random.within(0, total), Action::Set(rule)));
        }
    }
    actions.sort_by_key(|(at, _)| *at);
    actions
}
