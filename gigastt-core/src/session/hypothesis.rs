//! What is recognised of a running utterance so far.

use std::sync::Arc;

use super::endpoint::GRID;
use super::{Decoded, Job, mel_frames};
use crate::model::{DecoderState, Lent, Vocab, encoder_frames};
use crate::options::{Context, Plan};
use crate::{Partial, Span, Token};

/// Milliseconds of one encoder frame.
const FRAME_MS: u64 = 40;
/// Encoder frames from an utterance's start in which [`Plan::step_first`] holds, at most.
const FIRST_FRAMES: u32 = 32;

/// Tokens decided by steps, tokens seen in the right context, and the decoder's state between them.
/// Frames count from the utterance's start.
#[derive(Default)]
pub(crate) struct Hypothesis {
    pub state: Arc<DecoderState>,
    /// What the encoder keeps of the frames before `decided`, unless a window is out that has it.
    pub past: Option<Lent>,
    /// Tokens of the frames before `decided`.
    pub tokens: Vec<Token>,
    peeked: Vec<Token>,
    /// Tokens of the edge, which tell where the word before them ends.
    beyond: Vec<Token>,
    /// Encoder frames that have advanced the decoder.
    pub decided: u32,
    /// Encoder frames that the newest window covered.
    pub covered: u32,
    /// One past the last frame whose tokens are in the hypothesis.
    shown: u32,
    /// Whether a word was over.
    begun: bool,
    /// The frames that partials accounted for, and one past the last frame of a token in the newest.
    told: u32,
    written: u32,
    /// Tokens, of `tokens` and `peeked` together, on which the last two hypotheses agree outside the
    /// edge horizon.
    stable: usize,
    /// Ids of the hypothesis before, to compare with.
    before: Vec<u32>,
}

impl Hypothesis {
    /// Takes the tokens of a window.
    pub(crate) fn advance(&mut self, job: &Job, decoded: Decoded, plan: &Plan, vocab: &Vocab) {
        let absolute = |mut token: Token| {
            token.frame += job.offset;
            token
        };
        self.before.clear();
        self.before.extend(self.tokens.iter().chain(&self.peeked).map(|t| t.id));
        self.tokens.extend(decoded.tokens.into_iter().map(absolute));
        self.state = Arc::clone(&job.state);
        self.decided = job.offset + job.decode.end as u32;
        self.shown = (job.offset + job.peek.end as u32).saturating_sub(plan.edge.into()).max(self.decided);
        self.peeked.clear();
        self.beyond.clear();
        for token in decoded.peeked.into_iter().map(absolute) {
            if token.frame < self.shown { self.peeked.push(token) } else { self.beyond.push(token) }
        }
        self.covered = job.offset + job.peek.end as u32;
        let settled = self.shown.saturating_sub(plan.horizon.into());
        let agrees = |(token, id): &(Token, u32)| token.id == *id && token.frame < settled;
        self.stable = self.all().zip(self.before.iter().copied()).take_while(agrees).count();
        if !self.begun {
            let mut tokens: Vec<Token> = self.all().collect();
            let inside = vocab.words(&tokens, 0.0).0.len();
            tokens.extend(&self.beyond);
            self.begun = over(&vocab.words(&tokens, 0.0).0, inside) > 0;
        }
    }

    /// The smallest step of the next tentative window.
    pub(crate) fn step(&self, plan: &Plan) -> u32 {
        let first = !self.begun && self.covered < FIRST_FRAMES;
        if first { plan.step_first.into() } else { plan.step_min.into() }
    }

    /// What the encoder kept, for a step that begins at `decided`; at the utterance's start what `lend` gives for so
    /// many frames. `None` for a window: an utterance that began with windows goes on with them.
    pub(crate) fn take_past(
        &mut self,
        plan: &Plan,
        lend: impl FnOnce(usize) -> Option<Lent>,
    ) -> Option<Lent> {
        let decided = self.decided as usize;
        let past = self.past.take().filter(|past| past.frames() == decided);
        match plan.context {
            Context::Window => None,
            Context::Kept if decided == 0 => past.or_else(|| lend(plan.left.into())),
            Context::Kept => past,
        }
    }

    /// Starts over, keeping the memory.
    pub(crate) fn clear(&mut self, fresh: &Arc<DecoderState>) {
        let Self { mut tokens, mut peeked, mut beyond, mut before, .. } = std::mem::take(self);
        tokens.clear();
        peeked.clear();
        beyond.clear();
        before.clear();
        *self = Self { state: Arc::clone(fresh), tokens, peeked, beyond, before, ..Self::default() };
    }

    /// The hypothesis as a partial; times count from `offset` seconds.
    pub(crate) fn partial(&mut self, vocab: &Vocab, offset: f64, committed: bool) -> Partial {
        let mut tokens: Vec<Token> = self.all().collect();
        let committed_bytes = if committed { vocab.words(&self.tokens, 0.0).0.len() } else { 0 };
        let stable = vocab.words(&tokens[..self.stable], 0.0).0.len();
        tokens.extend(&self.beyond);
        // What was shown before is not of the edge any more.
        let edge = self.shown.max(self.written);
        let inside = tokens.partition_point(|token| token.frame < edge);
        let (mut text, mut words) = vocab.words(&tokens[..inside], offset);
        let mut told = self.shown;
        let whole = vocab.words(&tokens, offset).0;
        let over = over(&whole, text.len());
        if over > text.len() {
            // The first tokens with this text.
            let reaches = |&count: &usize| vocab.words(&tokens[..count], 0.0).0.len() >= over;
            let count = (inside..tokens.len()).find(reaches).unwrap_or(tokens.len());
            (text, words) = vocab.words(&tokens[..count], offset);
        } else if over < text.len() {
            let begins = words.last().map_or(0, |word| frame(word.start - offset));
            // What was committed or shown before stays.
            if over >= committed_bytes && begins >= self.written {
                text.truncate(over);
                words.pop();
                told = begins;
            }
        }
        self.written = words.last().map_or(0, |word| frame(word.end - offset));
        self.told = self.told.max(told).max(self.written);
        Partial {
            committed_bytes,
            stable_bytes: if committed {
                committed_bytes
            } else {
                whole_words(&text, stable.min(text.len()))
            },
            words,
            text,
            decoded_ms: u64::from(self.told) * FRAME_MS,
            ..Partial::default()
        }
    }

    /// The tokens of the frames of `span`, of an utterance that starts at sample `start`; their frames
    /// count from the span's start.
    pub(crate) fn within(&self, start: u64, span: Span) -> Vec<Token> {
        let first = ((span.start - start) / GRID) as u32;
        let last = first + encoder_frames(mel_frames(span)) as u32;
        // What was shown of the edge stays.
        let shown = self.beyond.iter().copied().filter(|t| t.frame < self.written);
        let inside = self.all().chain(shown).filter(|t| (first..last).contains(&t.frame));
        inside.map(|t| Token { frame: t.frame - first, ..t }).collect()
    }

    fn all(&self) -> impl Iterator<Item = Token> + Clone {
        self.tokens.iter().chain(&self.peeked).copied()
    }
}

/// The longest prefix of at most `bytes` that does not end inside a word.
fn whole_words(text: &str, bytes: usize) -> usize {
    if bytes == text.len() || text[bytes..].starts_with(' ') {
        return bytes;
    }
    text[..bytes].rfind(' ').unwrap_or(0)
}

/// How much of `text` is words that are over, in bytes, when `inside` come from before the edge: another word begins
/// behind them, or nothing goes on with them. Punctuation of the edge may be gone with the next window.
fn over(text: &str, inside: usize) -> usize {
    let letters = text.trim_end_matches(|c: char| !c.is_alphanumeric()).len();
    if letters <= inside { inside } else { text.rfind(' ').unwrap_or(0) }
}

/// The frame at so many seconds from the utterance's start.
fn frame(seconds: f64) -> u32 {
    (seconds * 1000.0 / FRAME_MS as f64).round() as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{MelStore, Purpose};

    /// Takes a first window of `frames` frames, none of which is decided, with tokens of these ids on
    /// these frames; wants `text`, and frames accounted for.
    fn check(hypothesis: &mut Hypothesis, frames: usize, tokens: &[(u32, u32)], text: &str, told: u64) {
        const PIECES: &str = "▁Вклю 0\nчи 1\n. 2\n▁свет 3\n<blk> 4\n";
        let vocab = Vocab::parse(PIECES.as_bytes()).unwrap();
        let job = Job {
            purpose: Purpose::Tentative,
            mel: MelStore::default(),
            decode: 0..0,
            peek: 0..frames,
            state: Arc::default(),
            past: None,
            utterance: 0,
            offset: 0,
        };
        let token = |&(id, frame): &(u32, u32)| Token { id, frame, logprob: -0.1 };
        let decoded = Decoded { tokens: Vec::new(), peeked: tokens.iter().map(token).collect() };
        hypothesis.advance(&job, decoded, &Plan::default(), &vocab);
        let partial = hypothesis.partial(&vocab, 0.0, false);
        assert_eq!((partial.text.as_str(), partial.decoded_ms / FRAME_MS), (text, told), "{tokens:?}");
        assert_eq!(partial.words.len(), text.split_whitespace().count());
    }

    /// Fails when the tokens of the edge are not looked at.
    #[test]
    fn a_word_that_goes_on_in_the_edge_waits() {
        let new = Hypothesis::default;
        check(&mut new(), 20, &[(0, 10)], "Вклю", 16);
        check(&mut new(), 20, &[(0, 10), (1, 16)], "", 10);
        check(&mut new(), 20, &[(0, 10), (1, 15)], "Включи", 16);
        check(&mut new(), 20, &[(0, 8), (1, 10), (3, 16)], "Включи", 16);
        check(&mut new(), 20, &[(0, 8), (1, 10), (2, 16)], "Включи", 16);
        check(&mut new(), 20, &[(3, 5), (0, 10), (1, 17)], "свет", 10);
        check(&mut new(), 20, &[(3, 17), (2, 19)], "", 16);
    }

    /// Fails when words of the edge wait that another follows.
    #[test]
    fn a_word_is_over_when_the_next_begins() {
        let new = Hypothesis::default;
        check(&mut new(), 20, &[(0, 10), (1, 17), (3, 19)], "Включи", 18);
        check(&mut new(), 20, &[(0, 10), (3, 17), (0, 18), (1, 19)], "Вклю свет", 18);
        check(&mut new(), 20, &[(0, 10), (1, 17), (2, 18), (3, 19)], "Включи.", 19);
    }

    /// Fails when a word that waits is taken for one that was shown.
    #[test]
    fn a_word_that_waits_may_begin_sooner_in_the_next_window() {
        let mut hypothesis = Hypothesis::default();
        check(&mut hypothesis, 20, &[(0, 10), (1, 16)], "", 10);
        check(&mut hypothesis, 21, &[(0, 9), (1, 17)], "", 10);
    }

    /// Fails when a word of the edge is cut short that was shown, because the next one has gone.
    #[test]
    fn what_was_shown_of_the_edge_stays() {
        let mut hypothesis = Hypothesis::default();
        check(&mut hypothesis, 20, &[(0, 10), (1, 17), (3, 19)], "Включи", 18);
        check(&mut hypothesis, 20, &[(0, 10), (1, 17), (1, 19)], "Включи", 18);
    }

    /// Fails when first steps go on after the first word, or for ever.
    #[test]
    fn small_steps_last_until_a_word_is_over() {
        let plan = Plan { step_first: 1, step_min: 8, ..Plan::default() };
        let step = |frames: usize, tokens: &[(u32, u32)], text: &str, told: u64| {
            let mut hypothesis = Hypothesis::default();
            check(&mut hypothesis, frames, tokens, text, told);
            hypothesis.step(&plan)
        };
        assert_eq!(Hypothesis::default().step(&plan), 1);
        assert_eq!(step(20, &[(0, 10), (1, 16)], "", 10), 1);
        assert_eq!(step(20, &[(0, 10), (1, 17), (3, 19)], "Включи", 18), 8);
        assert_eq!(step(32, &[], "", 28), 8);
    }

    /// Fails when a word is taken away again because a later window goes on with it.
    #[test]
    fn what_was_shown_stays() {
        let mut hypothesis = Hypothesis::default();
        check(&mut hypothesis, 20, &[(0, 10)], "Вклю", 16);
        check(&mut hypothesis, 24, &[(0, 10), (1, 21)], "Вклю", 20);
        check(&mut hypothesis, 28, &[(0, 10), (1, 21)], "Включи", 24);
    }

    /// Fails when a word counts that begins in the frame after the last one of the span.
    #[test]
    fn a_hurried_final_has_the_frames_of_its_span() {
        let span = Span { start: GRID, end: 10 * GRID + 300 };
        let token = |frame| Token { id: frame, frame, logprob: -0.1 };
        let hypothesis = Hypothesis { tokens: (0..20).map(token).collect(), ..Hypothesis::default() };
        let ids: Vec<u32> = hypothesis.within(0, span).iter().map(|token| token.id).collect();
        assert_eq!(ids, (1..10).collect::<Vec<_>>());
    }
}
