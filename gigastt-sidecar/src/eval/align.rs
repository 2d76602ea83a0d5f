//! How two sequences differ, counted.

use std::ops::AddAssign;

use serde::Serialize;

/// What became of the items of a reference in a hypothesis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(super) struct Counts {
    /// Items that are as in the reference.
    pub hits: u64,
    /// Items that stand for others.
    pub substitutions: u64,
    /// Items of the reference that are missing.
    pub deletions: u64,
    /// Items that are not in the reference.
    pub insertions: u64,
}

impl Counts {
    /// The edit distance.
    pub(super) fn errors(self) -> u64 {
        self.substitutions + self.deletions + self.insertions
    }

    /// Items of the reference.
    pub(super) fn reference(self) -> u64 {
        self.hits + self.substitutions + self.deletions
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.hits += other.hits;
        self.substitutions += other.substitutions;
        self.deletions += other.deletions;
        self.insertions += other.insertions;
    }
}

/// The edits of one of the shortest alignments.
///
/// Several alignments can be equally short and still differ in what they count, a substitution more for a
/// deletion and an insertion less. Which one is taken is the rule of rapidfuzz, which jiwer counts with: after
/// equal beginnings and ends are set aside, seen from the end, a deletion goes before an insertion, and that
/// before a hit or a substitution. Memory is one row; time is the product of the lengths.
pub(super) fn align<T: PartialEq>(reference: &[T], hypothesis: &[T]) -> Counts {
    let equal = |(a, b): &(&T, &T)| a == b;
    let before = reference.iter().zip(hypothesis).take_while(equal).count();
    let (reference, hypothesis) = (&reference[before..], &hypothesis[before..]);
    let after = reference.iter().rev().zip(hypothesis.iter().rev()).take_while(equal).count();
    let reference = &reference[..reference.len() - after];
    let hypothesis = &hypothesis[..hypothesis.len() - after];

    let mut row: Vec<Counts> =
        (0..=hypothesis.len() as u64).map(|insertions| Counts { insertions, ..Counts::default() }).collect();
    for item in reference {
        let mut corner = row[0];
        row[0].deletions += 1;
        for (n, other) in hypothesis.iter().enumerate() {
            let (above, left) = (row[n + 1], row[n]);
            let wrong = u64::from(item != other);
            let errors = (corner.errors() + wrong).min(above.errors() + 1).min(left.errors() + 1);
            row[n + 1] = if errors == above.errors() + 1 {
                Counts { deletions: above.deletions + 1, ..above }
            } else if left.errors() + 1 == corner.errors() {
                Counts { insertions: left.insertions + 1, ..left }
            } else {
                let (hits, substitutions) = (corner.hits + 1 - wrong, corner.substitutions + wrong);
                Counts { hits, substitutions, ..corner }
            };
            corner = above;
        }
    }
    let mut counts = row[hypothesis.len()];
    counts.hits += (before + after) as u64;
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(reference: &str, hypothesis: &str, expected: [u64; 4]) {
        let words = |text: &'static str| text.split_whitespace().collect::<Vec<_>>();
        let [reference, hypothesis] = [reference, hypothesis].map(|text| words(text.to_owned().leak()));
        let found = align(&reference, &hypothesis);
        let found = [found.hits, found.substitutions, found.deletions, found.insertions];
        assert_eq!(found, expected, "{reference:?} {hypothesis:?}");
    }

    #[test]
    fn edits_are_counted() {
        check("", "", [0, 0, 0, 0]);
        check("а б в", "а б в", [3, 0, 0, 0]);
        check("а б в", "", [0, 0, 3, 0]);
        check("", "а б", [0, 0, 0, 2]);
        check("а б в", "а в", [2, 0, 1, 0]);
        check("а в", "а б в", [2, 0, 0, 1]);
        check("а б в", "а г в", [2, 1, 0, 0]);
        check("а б в г", "б в г д", [3, 0, 1, 1]);
    }

    /// Two substitutions, or a deletion and an insertion around a hit: both are two edits.
    #[test]
    fn of_equally_short_alignments_one_is_taken() {
        check("а б", "б в", [0, 2, 0, 0]);
        check("а б", "б а", [1, 0, 1, 1]);
        check("а б в", "б а г", [1, 1, 1, 1]);
        check("а б в", "в а", [1, 0, 2, 1]);
    }

    #[test]
    fn both_rates_come_of_the_counts() {
        let counts = Counts { hits: 5, substitutions: 2, deletions: 1, insertions: 3 };
        assert_eq!((counts.errors(), counts.reference()), (6, 8));
    }
}
