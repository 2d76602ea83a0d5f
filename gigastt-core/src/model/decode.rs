//! Greedy decoding of encoder frames into tokens, for both heads.
//!
//! Pure: the networks behind a transducer come in through [`Transducer`]. Decoding is resumable:
//! frames decoded in several calls with the carried [`DecoderState`] give the tokens, frames and
//! probabilities of one call over all of them.

use std::ops::Range;

use super::{DecoderState, Interrupt, Span};
use crate::{Error, ErrorKind, Result, Token};

/// The predictor and the joint network of an RNN-T head.
pub(crate) trait Transducer {
    /// Takes the frames that [`join`](Self::join) numbers from 0: `[T][width]`, at least one.
    fn frames(&mut self, frames: &[f32]) -> Result<()>;

    /// Feeds `token`: replaces `state.h`, `state.c` and `state.dec` (none of them empty afterwards).
    /// Empty `h` and `c` stand for all zero.
    fn predict(&mut self, token: u32, state: &mut DecoderState) -> Result<()>;

    /// Scores over the vocabulary for each frame of `range` after the predictor's output `dec`,
    /// `[frames][classes]`. A frame's scores do not depend on the others in the range. May be of the
    /// first frames of the range only, at least of one.
    fn join(&mut self, range: Range<usize>, dec: &[f32]) -> Result<&[f32]>;

    /// Size of the vocabulary.
    fn classes(&self) -> usize;
}

/// Frames that are joined at once after a token. Most often one of them gives the next.
const AHEAD_MIN: usize = 4;
/// Frames that are joined at once at most; while nothing is said their number doubles up to here.
const AHEAD_MAX: usize = 32;

/// Decodes `frames` with an RNN-T head.
///
/// As the reference does it, the blank is fed first, the predictor advances only on a token, and a
/// frame gives at most `max_symbols` tokens. The predictor's output stays the same over blanks, so
/// several frames are joined with it at once, and those behind the first token are joined again with
/// the next. Token probabilities are normalised here, so that heads with and without a final
/// log-softmax give the same.
///
/// # Errors
/// `Cancelled` when `interrupt` fired (looked at before every call), `Inference` when the networks fail
/// or give no number.
pub(crate) fn rnnt(
    networks: &mut impl Transducer,
    blank: u32,
    max_symbols: u32,
    frames: Span<'_>,
    state: &mut DecoderState,
    tokens: &mut Vec<Token>,
    interrupt: &Interrupt,
) -> Result<()> {
    let count = frames.len();
    if count > 0 {
        cancelled(interrupt)?;
        networks.frames(frames.data)?;
    }
    // The frame that is next, how many tokens it has given, and how far to look.
    let (mut next, mut symbols, mut ahead) = (0, 0, AHEAD_MIN);
    while next < count {
        cancelled(interrupt)?;
        if state.dec.is_empty() {
            networks.predict(state.last.unwrap_or(blank), state)?;
        }
        let range = next..count.min(next + ahead);
        let classes = networks.classes();
        let (blanks, found) = first_token(networks.join(range, &state.dec)?, classes, blank)?;
        if blanks > 0 {
            (next, symbols) = (next + blanks, 0);
        }
        let Some((id, logprob)) = found else {
            ahead = AHEAD_MAX.min(ahead * 2);
            continue;
        };
        tokens.push(Token { id, frame: frames.first + next as u32, logprob });
        state.last = Some(id);
        state.dec.clear();
        symbols += 1;
        if symbols == max_symbols {
            (next, symbols) = (next + 1, 0);
        }
        ahead = AHEAD_MIN;
    }
    Ok(())
}

/// How many frames of `scores`, `[frames][classes]`, are blank before the first that is not, and that
/// one's token with its probability.
fn first_token(scores: &[f32], classes: usize, blank: u32) -> Result<(usize, Option<(u32, f32)>)> {
    let mut blanks = 0;
    for frame in scores.chunks(classes.max(1)) {
        let id = argmax(frame)?;
        if id != blank {
            return Ok((blanks, Some((id, logprob_of_max(frame, id)))));
        }
        blanks += 1;
    }
    match blanks {
        0 => Err(Error::new(ErrorKind::Inference, "the model gave no scores")),
        _ => Ok((blanks, None)),
    }
}

/// Decodes `frames` with a CTC head: repetitions are one token, blanks none.
/// A token's frame and probability are those of the first frame of its run.
///
/// # Errors
/// See [`rnnt`].
pub(crate) fn ctc(
    blank: u32,
    frames: Span<'_>,
    state: &mut DecoderState,
    tokens: &mut Vec<Token>,
    interrupt: &Interrupt,
) -> Result<()> {
    for (index, scores) in frames.iter() {
        cancelled(interrupt)?;
        let id = argmax(scores)?;
        if id != blank && state.last != Some(id) {
            tokens.push(Token { id, frame: index, logprob: logprob_of_max(scores, id) });
        }
        state.last = Some(id);
    }
    Ok(())
}

fn cancelled(interrupt: &Interrupt) -> Result<()> {
    if interrupt.fired() {
        return Err(Error::new(ErrorKind::Cancelled, "cancelled while decoding"));
    }
    Ok(())
}

/// The first of the largest scores.
fn argmax(scores: &[f32]) -> Result<u32> {
    let mut best = (0, f32::NEG_INFINITY);
    for (id, &score) in (0..).zip(scores) {
        if score > best.1 {
            best = (id, score);
        }
    }
    if best.1.is_finite() {
        return Ok(best.0);
    }
    Err(Error::new(ErrorKind::Inference, format!("the model gave no finite score among {}", scores.len())))
}

/// Log-softmax of `scores` at their maximum `id`; at most 0.
fn logprob_of_max(scores: &[f32], id: u32) -> f32 {
    let max = scores[id as usize];
    -scores.iter().map(|score| (score - max).exp()).filter(|e| !e.is_nan()).sum::<f32>().ln()
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::super::Encoded;
    use super::*;

    /// Vocabulary of the scripted networks: three tokens and the blank.
    const BLANK: u32 = 3;

    /// A predictor whose output is a running hash of what it was fed, and a joint whose scores are a
    /// function of that and the frame. A lost, doubled or reordered feeding changes everything after.
    #[derive(Default)]
    struct Hash {
        fed: Vec<u32>,
        frames: Vec<f32>,
        scores: Vec<f32>,
        joined: usize,
        /// Whether each call gives one frame's scores, however many were asked for.
        one_by_one: bool,
    }

    impl Transducer for Hash {
        fn frames(&mut self, frames: &[f32]) -> Result<()> {
            self.frames = frames.to_vec();
            Ok(())
        }

        fn predict(&mut self, token: u32, state: &mut DecoderState) -> Result<()> {
            self.fed.push(token);
            let h = state.h.first().copied().unwrap_or(0.0);
            let c = state.c.first().copied().unwrap_or(0.0);
            state.h = vec![(h * 31.0 + token as f32 + 1.0) % 97.0];
            state.c = vec![(c * 17.0 + h + 2.0) % 89.0];
            state.dec = vec![state.h[0] + state.c[0]];
            Ok(())
        }

        fn join(&mut self, mut range: Range<usize>, dec: &[f32]) -> Result<&[f32]> {
            assert!(!range.is_empty() && range.end <= self.frames.len(), "{range:?}");
            if self.one_by_one {
                range.end = range.start + 1;
            }
            self.joined += 1;
            self.scores.clear();
            for frame in &self.frames[range] {
                self.scores.extend(score(*frame, dec[0]));
            }
            Ok(&self.scores)
        }

        fn classes(&self) -> usize {
            4
        }
    }

    fn score(frame: f32, dec: f32) -> [f32; 4] {
        std::array::from_fn(|k| ((frame * 7.0 + dec * 3.0) * (k as f32 + 1.3)).sin())
    }

    /// The reference's loop as it is written there: the predictor output is cached in the state.
    fn reference(frames: &[f32], max_symbols: u32) -> Vec<(u32, u32)> {
        let mut networks = Hash::default();
        let (mut tokens, mut last, mut state) = (Vec::new(), BLANK, DecoderState::default());
        let mut advanced: Option<DecoderState> = None;
        let (mut t, mut emitted) = (0, 0);
        while t < frames.len() {
            let after = match &advanced {
                Some(cached) => cached.clone(),
                None => {
                    let mut after = state.clone();
                    networks.predict(last, &mut after).unwrap();
                    advanced = Some(after.clone());
                    after
                }
            };
            let id = argmax(&score(frames[t], after.dec[0])).unwrap();
            if id != BLANK {
                tokens.push((id, t as u32));
                (last, state, advanced) = (id, after, None);
                emitted += 1;
            }
            if id == BLANK || emitted == max_symbols {
                t += 1;
                emitted = 0;
            }
        }
        tokens
    }

    fn one_wide(frames: &[f32]) -> Encoded {
        Encoded { data: frames.to_vec(), frames: frames.len(), width: 1 }
    }

    fn run_rnnt(frames: &[f32], max_symbols: u32, cuts: &[usize]) -> (Vec<Token>, DecoderState) {
        let (encoded, mut networks) = (one_wide(frames), Hash::default());
        let (mut state, mut tokens) = (DecoderState::default(), Vec::new());
        for range in ranges(frames.len(), cuts) {
            let interrupt = Interrupt::default();
            let frames = encoded.span(0, range).unwrap();
            rnnt(&mut networks, BLANK, max_symbols, frames, &mut state, &mut tokens, &interrupt).unwrap();
        }
        (tokens, state)
    }

    fn run_ctc(encoded: &Encoded, cuts: &[usize]) -> Vec<Token> {
        let (mut state, mut tokens) = (DecoderState::default(), Vec::new());
        for range in ranges(encoded.frames, cuts) {
            let frames = encoded.span(0, range).unwrap();
            ctc(BLANK, frames, &mut state, &mut tokens, &Interrupt::default()).unwrap();
        }
        tokens
    }

    fn ranges(end: usize, cuts: &[usize]) -> Vec<Range<usize>> {
        let edges: Vec<usize> = [0].iter().chain(cuts).chain([&end]).copied().collect();
        edges.windows(2).map(|w| w[0]..w[1]).collect()
    }

    fn random_frames(seed: u64, count: usize) -> Vec<f32> {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / 1000.0
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn rnnt_equals_the_reference_however_it_is_cut() {
        let mut total = 0;
        for seed in 1..200 {
            let frames = random_frames(seed, 40);
            for max_symbols in [1, 3, 10] {
                let (tokens, state) = run_rnnt(&frames, max_symbols, &[]);
                let pairs: Vec<_> = tokens.iter().map(|t| (t.id, t.frame)).collect();
                assert_eq!(pairs, reference(&frames, max_symbols), "seed {seed}");
                for cuts in [&[1][..], &[20], &[0, 7, 7, 39], &[40]] {
                    let cut = run_rnnt(&frames, max_symbols, cuts);
                    assert_eq!(cut, (tokens.clone(), state.clone()), "seed {seed} cuts {cuts:?}");
                }
                total += tokens.len();
            }
        }
        assert!(total > 1000, "the scripted networks say too little: {total}");
    }

    #[test]
    fn several_frames_at_once_are_what_they_are_one_by_one() {
        let (mut calls, mut plain_calls) = (0, 0);
        for seed in 1..100 {
            let encoded = one_wide(&random_frames(seed, 150));
            let run = |one_by_one| {
                let mut networks = Hash { one_by_one, ..Hash::default() };
                let (mut state, mut tokens) = (DecoderState::default(), Vec::new());
                let span = encoded.span(0, 3..150).unwrap();
                rnnt(&mut networks, BLANK, 3, span, &mut state, &mut tokens, &Interrupt::default()).unwrap();
                (tokens, state, networks.fed, networks.joined)
            };
            let ((tokens, state, fed, joined), plain) = (run(false), run(true));
            assert_eq!((tokens, state, fed), (plain.0, plain.1, plain.2), "seed {seed}");
            (calls, plain_calls) = (calls + joined, plain_calls + plain.3);
        }
        assert!(calls < plain_calls, "{calls} calls, {plain_calls} of one frame each");
    }

    #[test]
    fn silence_is_looked_through_in_growing_steps() {
        // A score that is the blank's for this frame, whatever the predictor says.
        struct Silent(Vec<Range<usize>>, Vec<f32>);
        impl Transducer for Silent {
            fn frames(&mut self, _: &[f32]) -> Result<()> {
                Ok(())
            }
            fn predict(&mut self, _: u32, state: &mut DecoderState) -> Result<()> {
                state.dec = vec![0.0];
                Ok(())
            }
            fn join(&mut self, range: Range<usize>, _: &[f32]) -> Result<&[f32]> {
                self.1 = [0.0, 0.0, 0.0, 1.0].repeat(range.len());
                self.0.push(range);
                Ok(&self.1)
            }
            fn classes(&self) -> usize {
                4
            }
        }
        let (encoded, mut silent) = (one_wide(&[0.0; 100]), Silent(Vec::new(), Vec::new()));
        let (mut state, mut tokens) = (DecoderState::default(), Vec::new());
        let span = encoded.span(0, 0..100).unwrap();
        rnnt(&mut silent, BLANK, 3, span, &mut state, &mut tokens, &Interrupt::default()).unwrap();
        assert_eq!(silent.0, [0..4, 4..12, 12..28, 28..60, 60..92, 92..100]);
        assert_eq!(tokens, []);
    }

    #[test]
    fn rnnt_feeds_the_blank_first_and_once_a_token() {
        let frames = random_frames(5, 30);
        let (encoded, mut networks) = (one_wide(&frames), Hash::default());
        let (mut state, mut tokens) = (DecoderState::default(), Vec::new());
        let interrupt = Interrupt::default();
        let span = encoded.span(0, 0..30).unwrap();
        rnnt(&mut networks, BLANK, 3, span, &mut state, &mut tokens, &interrupt).unwrap();
        let mut expected: Vec<u32> = [BLANK].into_iter().chain(tokens.iter().map(|t| t.id)).collect();
        if state.dec.is_empty() {
            expected.pop();
        }
        assert_eq!(networks.fed, expected);
    }

    /// Into memory that is there. Fails when frames or scores are copied on their way.
    #[cfg(feature = "fake-model")]
    #[test]
    fn decoding_allocates_nothing() {
        const FRAMES: usize = 1_500;
        let (encoded, mut said) = (one_wide(&[0.0; FRAMES]), crate::fake::Said::new(FRAMES, 34));
        let (mut state, mut tokens) = (DecoderState::default(), Vec::new());
        let interrupt = Interrupt::default();
        let mut decode = || {
            let values = [&mut state.dec, &mut state.h, &mut state.c];
            values.into_iter().for_each(Vec::clear);
            state.last = None;
            tokens.clear();
            let span = encoded.span(0, 0..FRAMES).unwrap();
            rnnt(&mut said, 33, 3, span, &mut state, &mut tokens, &interrupt).unwrap();
            tokens.len()
        };
        let first = decode();
        let made = allocation_counter::measure(|| assert_eq!(decode(), first));
        assert!(first > 300 && made.count_total == 0, "{first} tokens, {} allocations", made.count_total);
    }

    #[test]
    fn ctc_collapses_runs_however_they_are_cut() {
        let check = |ids: &[u32], expected: &[(u32, u32)]| {
            let mut data = vec![-2.0; ids.len() * 4];
            for (t, &id) in ids.iter().enumerate() {
                data[t * 4 + id as usize] = 1.0;
            }
            let encoded = Encoded { data, frames: ids.len(), width: 4 };
            for cut in 0..=ids.len() {
                let tokens = run_ctc(&encoded, &[cut]);
                assert_eq!(tokens.iter().map(|t| (t.id, t.frame)).collect::<Vec<_>>(), expected, "{ids:?}");
            }
        };
        check(&[], &[]);
        check(&[3, 3], &[]);
        check(&[0, 0, 1, 3, 1, 1, 0], &[(0, 0), (1, 2), (1, 4), (0, 6)]);
        check(&[3, 2, 2, 2, 3], &[(2, 1)]);
    }

    #[test]
    fn probabilities_are_normalised() {
        let check = |scores: &[f32], expected: f32| {
            let id = argmax(scores).unwrap();
            let logprob = logprob_of_max(scores, id);
            assert!((logprob - expected).abs() < 1e-4 && logprob <= 0.0, "{scores:?} {logprob}");
        };
        check(&[0.0, 0.0], 0.5_f32.ln());
        check(&[0.25_f32.ln(), 0.75_f32.ln()], 0.75_f32.ln());
        check(&[1000.0, 1000.0 + 3.0_f32.ln()], 0.75_f32.ln());
        check(&[-1e30, 5.0, f32::NEG_INFINITY], 0.0);
        check(&[2.0], 0.0);
    }

    #[test]
    fn scores_that_are_no_numbers_are_an_error() {
        assert_eq!(argmax(&[f32::NAN, 1.0, 1.0]).unwrap(), 1);
        for scores in [&[][..], &[f32::NAN], &[f32::NEG_INFINITY], &[f32::INFINITY, 0.0]] {
            assert_eq!(argmax(scores).unwrap_err().kind(), ErrorKind::Inference, "{scores:?}");
        }
    }

    #[test]
    fn what_is_not_there_is_not_decoded() {
        let check = |encoded: &Encoded, item, frames: Range<usize>, expected: Option<&[u32]>| {
            let found = encoded
                .span(item, frames.clone())
                .map(|span| span.iter().map(|(index, _)| index).collect::<Vec<_>>());
            assert_eq!(found.ok().as_deref(), expected, "item {item}, {frames:?}");
        };
        let encoded = Encoded { data: vec![0.0; 16], frames: 2, width: 4 };
        check(&encoded, 0, 0..2, Some(&[0, 1]));
        check(&encoded, 1, 1..2, Some(&[1]));
        check(&encoded, 9, 5..5, Some(&[]));
        check(&encoded, 2, 0..1, None);
        check(&encoded, 0, 1..3, None);
        check(&encoded, usize::MAX, 0..2, None);
        check(&Encoded::default(), 0, 0..0, Some(&[]));
        check(&Encoded::default(), 0, 0..1, None);
    }

    #[test]
    fn an_interrupt_ends_decoding() {
        let interrupt = Interrupt::default();
        interrupt.fire();
        let encoded = one_wide(&[1.0]);
        let (mut state, mut tokens) = (DecoderState::default(), Vec::new());
        let span = encoded.span(0, 0..1).unwrap();
        let result = rnnt(&mut Hash::default(), BLANK, 3, span, &mut state, &mut tokens, &interrupt);
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Cancelled);
    }
}
