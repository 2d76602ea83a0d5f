//! What is recognised of a running utterance so far.

use std::sync::Arc;

use super::endpoint::GRID;
use super::{Decoded, Job, mel_frames};
use crate::model::{DecoderState, Lent, Vocab, encoder_frames};
use crate::options::{Context, Plan};
use crate::{Partial, Span, Token, Word};

/// Milliseconds of one encoder frame.
const FRAME_MS: u64 = 40;

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
    /// Tokens of the edge, which only tell whether the last word goes on.
    beyond: Vec<Token>,
    /// Encoder frames that have advanced the decoder.
    pub decided: u32,
    /// Encoder frames that the newest window covered.
    pub covered: u32,
    /// One past the last frame whose tokens are in the hypothesis.
    shown: u32,
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
    pub(crate) fn advance(&mut self, job: &Job, decoded: Decoded, plan: &Plan) {
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
        let (mut text, mut words) = vocab.words(&tokens, offset);
        let committed_bytes = if committed { vocab.words(&self.tokens, 0.0).0.len() } else { 0 };
        let stable = whole_words(&text, vocab.words(&tokens[..self.stable], 0.0).0.len());
        let (mut told, mut written) = (self.shown, tokens.last().map_or(0, |token| token.frame + 1));
        tokens.extend(&self.beyond);
        if goes_on(&text, &vocab.words(&tokens, offset).0) {
            let (start, frame) = last_word(&text, &words, offset);
            // What was committed or shown before stays.
            if start >= committed_bytes && frame >= self.written {
                text.truncate(start);
                words.pop();
                (told, written) = (frame, frame);
            }
        }
        (self.told, self.written) = (self.told.max(told), written);
        Partial {
            committed_bytes,
            stable_bytes: if committed { committed_bytes } else { stable.min(text.len()) },
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
        let inside = self.all().filter(|t| (first..last).contains(&t.frame));
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

/// Whether `more`, which begins with `text`, goes on inside its last word. A full stop ends a word.
fn goes_on(text: &str, more: &str) -> bool {
    let inside = text.ends_with(char::is_alphanumeric);
    inside && more.get(text.len()..).is_some_and(|rest| rest.starts_with(char::is_alphanumeric))
}

/// Where the last word and the space before it begin in the text, and the frame the word begins at.
fn last_word(text: &str, words: &[Word], offset: f64) -> (usize, u32) {
    let start = words.last().map_or(0.0, |word| word.start - offset);
    (text.rfind(' ').unwrap_or(0), (start * 1000.0 / FRAME_MS as f64).round() as u32)
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
        hypothesis.advance(&job, decoded, &Plan::default());
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
