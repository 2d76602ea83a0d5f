//! What the streams of a benchmark say: recordings one after the other, with pauses, for ever.

use std::ops::Range;
use std::path::PathBuf;

use gigastt_core::audio::file::FileSource;
use gigastt_core::audio::resample::Resampler;
use gigastt_core::audio::{Channels, RATE, Source};
use gigastt_core::{Error, ErrorKind, Result};

/// The recordings that are spoken when none are named: synthesised sentences of the tests.
const BUILT_IN: [(&str, &[u8]); 6] = [
    ("sample_00", include_bytes!("../../../tests/samples/sample_00.wav")),
    ("sample_01", include_bytes!("../../../tests/samples/sample_01.wav")),
    ("sample_02", include_bytes!("../../../tests/samples/sample_02.wav")),
    ("sample_04", include_bytes!("../../../tests/samples/sample_04.wav")),
    ("sample_05", include_bytes!("../../../tests/samples/sample_05.wav")),
    ("sample_08", include_bytes!("../../../tests/samples/sample_08.wav")),
];

/// Of a recording's peak: what is fainter is a pause.
const AUDIBLE: f32 = 0.0178; // -35 dB
/// Shorter gaps, in samples, belong to the speech around them.
const GAP: usize = RATE as usize / 5;
/// Samples that are looked at together.
const BLOCK: usize = RATE as usize / 100;
/// Sentences that follow each other in one turn, at most, and the samples between them.
const TURN_MAX: u64 = 4;
const TURN_GAP: usize = RATE as usize / 4;

/// A recording without the silence around it, at 16 kHz.
pub(super) struct Sentence {
    samples: Vec<i16>,
    /// Where the voice can be heard.
    speech: Vec<Range<usize>>,
}

/// The named recordings, or those built in.
///
/// # Errors
/// `InvalidAudio` or `Io` with the file's name; `InvalidAudio` for one without any sound.
pub(super) fn sentences(files: &[PathBuf]) -> Result<Vec<Sentence>> {
    if files.is_empty() {
        let open = |&(name, bytes): &(&str, &'static [u8])| {
            FileSource::from_reader(name, Box::new(bytes)).and_then(|source| Sentence::read(source, name))
        };
        return BUILT_IN.iter().map(open).collect();
    }
    let open = |path: &PathBuf| {
        FileSource::open(path).and_then(|source| Sentence::read(source, &path.display().to_string()))
    };
    files.iter().map(open).collect()
}

impl Sentence {
    fn read(mut source: FileSource, name: &str) -> Result<Self> {
        let mut resampler = Resampler::new(source.format(), Channels::Mix)?;
        let (mut samples, mut piece) = (Vec::new(), Vec::new());
        loop {
            source.read(&mut piece)?;
            if piece.is_empty() {
                break;
            }
            resampler.push(&piece, &mut samples)?;
        }
        resampler.finish(&mut samples)?;
        Self::new(&samples)
            .ok_or_else(|| Error::new(ErrorKind::InvalidAudio, "expected speech, found silence").about(name))
    }

    fn new(samples: &[f32]) -> Option<Self> {
        let speech = audible(samples);
        let (first, last) = (speech.first()?.start, speech.last()?.end);
        let to_i16 = |sample: &f32| (sample * 32_768.0).clamp(-32_768.0, 32_767.0) as i16;
        Some(Self {
            samples: samples[first..last].iter().map(to_i16).collect(),
            speech: speech.into_iter().map(|range| range.start - first..range.end - first).collect(),
        })
    }

    fn spoken(&self) -> usize {
        self.speech.iter().map(ExactSizeIterator::len).sum()
    }
}

fn audible(samples: &[f32]) -> Vec<Range<usize>> {
    let peak = samples.iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
    let heard = |block: &[f32]| peak > 0.0 && block.iter().any(|sample| sample.abs() > AUDIBLE * peak);
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for (n, _) in samples.chunks(BLOCK).enumerate().filter(|(_, block)| heard(block)) {
        let block = n * BLOCK..((n + 1) * BLOCK).min(samples.len());
        match ranges.last_mut() {
            Some(range) if block.start - range.end <= GAP => range.end = block.end,
            _ => ranges.push(block),
        }
    }
    ranges
}

/// One stream's audio, made as it is asked for: turns of some sentences, and pauses that leave speech its
/// share of the time. The same seed gives the same audio.
pub(super) struct Talk<'a> {
    sentences: &'a [Sentence],
    share: f64,
    random: Random,
    /// The sample that comes next.
    at: u64,
    /// The running or coming sentence, and the sample it starts at.
    saying: (u64, &'a Sentence),
    left_in_turn: u64,
    /// Speech since the last pause between turns.
    spoken: usize,
}

/// What `Talk` tells of its audio, in samples from the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// Speech after a pause of at least this many samples sets in here.
    Onset { at: u64, after: u64 },
    /// The voice can be heard here.
    Speech(Range<u64>),
}

impl<'a> Talk<'a> {
    /// `sentences` are some; `share` is above 0 and below 1.
    pub(super) fn new(sentences: &'a [Sentence], share: f64, seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        // Not all at once.
        let start = random.below(3 * u64::from(RATE));
        let first = &sentences[random.below(sentences.len() as u64) as usize];
        let left_in_turn = random.below(TURN_MAX);
        Self { sentences, share, random, at: 0, saying: (start, first), left_in_turn, spoken: 0 }
    }

    /// Replaces `out` by the next `count` samples and appends what begins in them to `said`.
    pub(super) fn fill(&mut self, count: usize, out: &mut Vec<i16>, said: &mut Vec<Said>) {
        out.clear();
        while out.len() < count {
            let (start, sentence) = self.saying;
            let room = count - out.len();
            if self.at < start {
                let pause = room.min((start - self.at) as usize);
                // A hiss at -75 dBFS: nowhere is digital silence.
                out.extend((0..pause).map(|_| self.random.below(13) as i16 - 6));
                self.at += pause as u64;
                continue;
            }
            if self.at == start {
                said.extend(
                    sentence
                        .speech
                        .iter()
                        .map(|range| Said::Speech(start + range.start as u64..start + range.end as u64)),
                );
            }
            let from = (self.at - start) as usize;
            let piece = &sentence.samples[from..sentence.samples.len().min(from + room)];
            out.extend_from_slice(piece);
            self.at += piece.len() as u64;
            if from + piece.len() == sentence.samples.len() {
                self.next(said);
            }
        }
    }

    fn next(&mut self, said: &mut Vec<Said>) {
        self.spoken += self.saying.1.spoken();
        let pause = if self.left_in_turn > 0 {
            self.left_in_turn -= 1;
            TURN_GAP as u64
        } else {
            self.left_in_turn = self.random.below(TURN_MAX);
            let mean = std::mem::take(&mut self.spoken) as f64 * (1.0 / self.share - 1.0);
            (mean * (0.5 + self.random.below(1_001) as f64 / 1_000.0)) as u64
        };
        let sentence = &self.sentences[self.random.below(self.sentences.len() as u64) as usize];
        self.saying = (self.at + pause, sentence);
        said.push(Said::Onset { at: self.at + pause, after: pause });
    }
}

/// Marsaglia's xorshift: speech needs no better.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) % limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(share: f64, minutes: usize, chunk: usize) -> (Vec<i16>, Vec<Said>) {
        let sentences = sentences(&[]).unwrap();
        let mut talk = Talk::new(&sentences, share, 7);
        let (mut audio, mut said, mut piece) = (Vec::new(), Vec::new(), Vec::new());
        while audio.len() < minutes * 60 * RATE as usize {
            talk.fill(chunk, &mut piece, &mut said);
            assert_eq!(piece.len(), chunk);
            audio.extend_from_slice(&piece);
        }
        (audio, said)
    }

    #[test]
    fn speech_has_its_share() {
        for share in [0.2, 0.6, 0.9] {
            let (audio, said) = minutes(share, 30, 640);
            let spoken: u64 = said
                .iter()
                .map(|said| if let Said::Speech(range) = said { range.end - range.start } else { 0 })
                .sum();
            let found = spoken as f64 / audio.len() as f64;
            // Gaps within a turn are no speech and not counted for the pause.
            assert!(found > 0.8 * share && found < 1.1 * share, "{found} instead of {share}");
        }
    }

    #[test]
    fn speech_is_where_it_is_said_to_be() {
        let (audio, said) = minutes(0.5, 2, 640);
        let loud = |range: &Range<u64>| {
            let samples = &audio[range.start as usize..(range.end as usize).min(audio.len())];
            samples.iter().map(|sample| sample.unsigned_abs()).max().unwrap_or(0)
        };
        let mut last = 0;
        for range in
            said.iter().filter_map(|said| if let Said::Speech(range) = said { Some(range) } else { None })
        {
            assert!(last <= range.start && loud(&(last..range.start)) < 1_000, "before {range:?}");
            assert!(range.start as usize >= audio.len() || loud(range) > 3_000, "{range:?}");
            last = range.end;
        }
        assert!(last > 0);
    }

    #[test]
    fn pieces_do_not_matter() {
        let (a, said_a) = minutes(0.6, 1, 640);
        let (b, said_b) = minutes(0.6, 1, 64_000);
        assert_eq!(a[..60 * 16_000], b[..60 * 16_000]);
        assert_eq!(said_a[..8], said_b[..8]);
    }
}
