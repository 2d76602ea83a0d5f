//! Error rates and how sure they are.

use serde::Serialize;

use super::align::{Counts, align};
use super::normal::Compare;

/// The share of resamples that an interval leaves out on each side.
const TAIL: f64 = 0.025;

/// How a text differs from what was said, in words and in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(super) struct Score {
    pub words: Counts,
    pub characters: Counts,
}

impl Score {
    /// Compares a hypothesis with its reference. Between words there is one space, which is a character.
    pub(super) fn of(compare: Compare, reference: &str, hypothesis: &str) -> Self {
        let [reference, hypothesis] = [reference, hypothesis].map(|text| compare.words(text));
        let letters = |words: &[String]| words.join(" ").chars().collect::<Vec<_>>();
        Self {
            words: align(&reference, &hypothesis),
            characters: align(&letters(&reference), &letters(&hypothesis)),
        }
    }
}

/// A rate over a whole set, with the interval that holds 95 % of the resampled ones.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Rate {
    /// Errors for each item of the references; none where those hold nothing.
    pub rate: Option<f64>,
    pub low: Option<f64>,
    pub high: Option<f64>,
    #[serde(flatten)]
    pub counts: Counts,
}

/// What a set of texts comes to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Rates {
    pub words: Rate,
    pub characters: Rate,
}

/// How uncertain a set's figures are: recordings are drawn with replacement, as many as there are, again and
/// again (Bisani and Ney, 2004). Each seed always draws the same.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bootstrap {
    /// How often; 0: no intervals.
    pub resamples: u32,
    pub seed: u64,
}

impl Bootstrap {
    /// The rates of a set.
    pub(super) fn rates(self, scores: &[Score]) -> Rates {
        let words: Vec<_> = scores.iter().map(|score| score.words).collect();
        let characters: Vec<_> = scores.iter().map(|score| score.characters).collect();
        Rates { words: self.rate(&words), characters: self.rate(&characters) }
    }

    /// How much higher the rate of words is in one scoring of the same recordings than in another. The same
    /// recordings are drawn for both, so that what is hard for both does not count.
    pub(super) fn difference(self, scores: &[Score], base: &[Score]) -> [Option<f64>; 3] {
        let pairs: Vec<_> = scores.iter().zip(base).map(|(a, b)| (a.words, b.words)).collect();
        let value = |(a, b): (Counts, Counts)| Some(rate(a)? - rate(b)?);
        let all = sum(pairs.iter().copied());
        let (low, high) = self.interval(&pairs, sum, value);
        [value(all), low, high]
    }

    fn rate(self, counts: &[Counts]) -> Rate {
        let pairs: Vec<_> = counts.iter().map(|counts| (*counts, Counts::default())).collect();
        let (low, high) = self.interval(&pairs, sum, |(counts, _)| rate(counts));
        let (counts, _) = sum(pairs.into_iter());
        Rate { rate: rate(counts), low, high, counts }
    }

    fn interval<T: Copy>(
        self,
        items: &[T],
        sum: impl Fn(std::vec::IntoIter<T>) -> T,
        value: impl Fn(T) -> Option<f64>,
    ) -> (Option<f64>, Option<f64>) {
        let mut random = Random(self.seed);
        let mut draw = |_| {
            let drawn: Vec<T> = items.iter().map(|_| items[random.below(items.len())]).collect();
            value(sum(drawn.into_iter()))
        };
        let mut values: Vec<f64> = (0..self.resamples).filter_map(&mut draw).collect();
        values.sort_by(f64::total_cmp);
        (percentile(&values, TAIL), percentile(&values, 1.0 - TAIL))
    }
}

fn sum(pairs: impl Iterator<Item = (Counts, Counts)>) -> (Counts, Counts) {
    pairs.fold(Default::default(), |(mut a, mut b), (c, d)| {
        a += c;
        b += d;
        (a, b)
    })
}

fn rate(counts: Counts) -> Option<f64> {
    (counts.reference() > 0).then(|| counts.errors() as f64 / counts.reference() as f64)
}

/// The value below which this share of sorted values lies, between the two nearest.
pub(super) fn percentile(sorted: &[f64], share: f64) -> Option<f64> {
    let at = share * (sorted.len().checked_sub(1)? as f64);
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    Some(low + (high - low) * at.fract())
}

/// SplitMix64 (Steele, Lea and Flood, 2014): a few lines, and the same draws for ever.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        ((u128::from(bits) * limit as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOTSTRAP: Bootstrap = Bootstrap { resamples: 2_000, seed: 1 };

    fn scores(errors: impl IntoIterator<Item = u64>) -> Vec<Score> {
        let words = |substitutions| Counts { hits: 10 - substitutions, substitutions, ..Counts::default() };
        errors.into_iter().map(|n| Score { words: words(n), ..Score::default() }).collect()
    }

    #[test]
    fn words_and_characters_are_compared() {
        let score = Score::of(Compare::Spoken, "Дом пять.", "дом 6");
        assert_eq!((score.words.hits, score.words.substitutions), (1, 1));
        assert_eq!((score.characters.reference(), score.characters.errors()), (5, 1));
    }

    /// Against the theory of a mean: for 400 recordings of 10 words, of which each has 0 or 2 wrong with equal
    /// chance, the rate spreads by 0.1 / sqrt(400) around 0.1.
    #[test]
    fn an_interval_has_the_width_of_the_theory() {
        let words = BOOTSTRAP.rates(&scores((0..400).map(|n| n % 2 * 2))).words;
        let spread = 1.96 * 0.1 / 20.0;
        assert_eq!(words.rate, Some(0.1));
        for (found, expected) in [(words.low, 0.1 - spread), (words.high, 0.1 + spread)] {
            let found = found.expect("an interval");
            assert!((found - expected).abs() < 0.1 * spread, "{found}, not {expected}");
        }
    }

    #[test]
    fn equal_recordings_leave_no_doubt() {
        let words = BOOTSTRAP.rates(&scores([3; 50])).words;
        assert_eq!((words.rate, words.low, words.high), (Some(0.3), Some(0.3), Some(0.3)));
    }

    #[test]
    fn a_seed_always_draws_the_same() {
        let scores = scores((0..30).map(|n| n % 4));
        let rates = |seed| Bootstrap { resamples: 50, seed }.rates(&scores);
        assert_eq!(rates(7), rates(7));
        assert_ne!(rates(7).words.low, rates(8).words.low);
    }

    /// Each recording has one error more in the one than in the other: the difference is certain, though both
    /// rates are not.
    #[test]
    fn a_difference_is_paired() {
        let (base, worse) = (scores((0..60).map(|n| n % 5)), scores((0..60).map(|n| n % 5 + 1)));
        let [difference, low, high] =
            BOOTSTRAP.difference(&worse, &base).map(|value| value.expect("a value"));
        assert!((difference - 0.1).abs() < 1e-9 && (high - low).abs() < 1e-9, "{difference} {low} {high}");
    }

    #[test]
    fn without_words_or_resamples_there_is_no_figure() {
        let words = BOOTSTRAP.rates(&[Score::default()]).words;
        assert_eq!((words.rate, words.low), (None, None));
        let words = Bootstrap { resamples: 0, seed: 1 }.rates(&scores([1])).words;
        assert_eq!((words.rate, words.low), (Some(0.1), None));
    }

    #[test]
    fn percentiles_lie_between_values() {
        assert_eq!(percentile(&[], 0.5), None);
        assert_eq!(percentile(&[3.0], 0.9), Some(3.0));
        assert_eq!(percentile(&[0.0, 10.0, 20.0], 0.25), Some(5.0));
    }
}
