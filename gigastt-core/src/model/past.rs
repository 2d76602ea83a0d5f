//! What a streaming encoder keeps of an utterance from step to step.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::graph::streaming;
use crate::sync::Mutex;

/// Encoder frames of audio that a step needs before its first, for the subsampling.
pub(crate) const BEFORE: usize = streaming::BEFORE;

/// Keys and values of the last frames and the last inputs of the convolutions, layer by layer. Belongs
/// to one utterance and travels with its steps; whoever runs them gives it its contents.
#[derive(Debug, Default, Clone)]
pub(crate) struct Past {
    /// The most frames whose rows are kept.
    left: usize,
    /// Frames encoded so far: the number of the next.
    frames: usize,
    /// Frames whose rows are there, and where the next one's go. Attention does not ask for an order, so
    /// new rows take the place of the oldest.
    kept: usize,
    next: usize,
    /// Rows of 16-bit floats: those of one kind and layer lie together.
    rows: Vec<Vec<u16>>,
    convolutions: Vec<Vec<f32>>,
}

impl Past {
    /// Nothing, at an utterance's start; `left` frames, at least one, are to be kept.
    pub(crate) fn new(left: usize) -> Self {
        Self { left: left.max(1), ..Self::default() }
    }

    /// Becomes what [`new`](Self::new) makes, with the memory it has.
    fn renew(&mut self, left: usize) {
        self.rows.iter_mut().for_each(Vec::clear);
        self.convolutions.iter_mut().for_each(|values| values.fill(0.0));
        let (rows, convolutions) = (std::mem::take(&mut self.rows), std::mem::take(&mut self.convolutions));
        *self = Self { rows, convolutions, ..Self::new(left) };
    }

    /// The number of the next frame in its utterance.
    pub(crate) fn frames(&self) -> usize {
        self.frames
    }

    /// Frames whose rows are there.
    pub(crate) fn kept(&self) -> usize {
        self.kept
    }

    /// Encoder frames by which the audio of the next step has to begin before it.
    pub(crate) fn before(&self) -> usize {
        self.frames.min(BEFORE)
    }

    /// Makes room for rows of `kinds` kinds and `convolutions` of so many values, if nothing is there yet.
    pub(crate) fn prepare(&mut self, kinds: usize, convolutions: (usize, usize)) {
        self.rows.resize_with(kinds, Vec::new);
        self.convolutions.resize_with(convolutions.0, || vec![0.0; convolutions.1]);
    }

    /// The rows of one kind, in no order that matters.
    pub(crate) fn rows(&self, kind: usize) -> &[u16] {
        &self.rows[kind]
    }

    /// The last inputs of convolution `number`.
    pub(crate) fn convolution(&self, number: usize) -> &[f32] {
        &self.convolutions[number]
    }

    /// Takes the rows of a step's frames, for each kind, `width` values a row. [`advance`](Self::advance)
    /// follows once all are there.
    pub(crate) fn keep(&mut self, kind: usize, width: usize, new: &[u16]) {
        let (left, next, rows) = (self.left, self.next, &mut self.rows[kind]);
        rows.reserve_exact((left * width).saturating_sub(rows.len()));
        for (slot, row) in (next..).zip(new.chunks_exact(width)) {
            let start = slot % left * width;
            match rows.get_mut(start..start + width) {
                Some(old) => old.copy_from_slice(row),
                None => rows.extend_from_slice(row),
            }
        }
    }

    /// Takes the last inputs of convolution `number`.
    pub(crate) fn keep_convolution(&mut self, number: usize, new: &[f32]) {
        self.convolutions[number].copy_from_slice(new);
    }

    /// A step of `step` frames is over.
    pub(crate) fn advance(&mut self, step: usize) {
        self.frames += step;
        self.kept = (self.kept + step).min(self.left);
        self.next = (self.next + step) % self.left;
    }

    /// Whether nothing is missing that was to be kept of the utterance.
    #[cfg(feature = "fake-model")]
    pub(crate) fn is_whole(&self) -> bool {
        self.kept == self.frames.min(self.left)
    }

    /// The row of the frame `back` frames before the next, of one kind.
    #[cfg(feature = "fake-model")]
    pub(crate) fn row(&self, kind: usize, width: usize, back: usize) -> Option<&[u16]> {
        let slot = (self.next + self.left - back % self.left) % self.left;
        (back <= self.kept).then(|| self.rows.get(kind)?.get(slot * width..(slot + 1) * width))?
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        let rows = self.rows.iter().map(|rows| rows.capacity() * size_of::<u16>());
        let convolutions = self.convolutions.iter().map(|values| values.capacity() * size_of::<f32>());
        rows.sum::<usize>() + convolutions.sum::<usize>()
    }
}

/// The pasts of an engine's streams: how many there may be, and the memory of those that ended.
#[derive(Debug)]
pub(crate) struct Pasts {
    most: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    lent: usize,
    free: Vec<Past>,
}

impl Pasts {
    /// The most utterances of which an engine keeps something at a time. Of the full-size model with the default
    /// plan that is 0.8 GB. What more streams say is encoded in windows, but in mode incremental, and new live
    /// streams are refused.
    pub(crate) const MOST: usize = 256;
    /// The most whose memory waits to be used again; what more there is goes back to the system.
    const FREE_MAX: usize = 8;

    /// None yet, and never more than `most`.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, state: Mutex::new(State::default()) })
    }

    /// A past as [`Past::new`] makes it, until it is dropped; `None` when there are as many as there may be.
    pub(crate) fn lend_bounded(self: &Arc<Self>, left: usize) -> Option<Lent> {
        let mut state = self.state.lock();
        state.lent = (state.lent < self.most).then_some(state.lent + 1)?;
        Some(self.renewed(state.free.pop(), left))
    }

    /// The same, also beyond the bound: for those whose result must not depend on it.
    pub(crate) fn lend(self: &Arc<Self>, left: usize) -> Lent {
        let mut state = self.state.lock();
        state.lent += 1;
        self.renewed(state.free.pop(), left)
    }

    fn renewed(self: &Arc<Self>, free: Option<Past>, left: usize) -> Lent {
        let mut past = free.unwrap_or_default();
        past.renew(left);
        Lent { past, pasts: Arc::clone(self) }
    }

    /// How many there are.
    pub(crate) fn lent(&self) -> usize {
        self.state.lock().lent
    }

    /// Whether there are as many as there may be.
    pub(crate) fn full(&self) -> bool {
        self.lent() >= self.most
    }
}

/// A past that goes back to where it came from.
#[derive(Debug)]
pub(crate) struct Lent {
    past: Past,
    pasts: Arc<Pasts>,
}

impl Deref for Lent {
    type Target = Past;

    fn deref(&self) -> &Past {
        &self.past
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut Past {
        &mut self.past
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let past = std::mem::take(&mut self.past);
        let mut state = self.pasts.state.lock();
        state.lent -= 1;
        if state.free.len() < Pasts::FREE_MAX {
            state.free.push(past);
        }
    }
}

/// Faults for tests.
#[cfg(all(test, feature = "embedded-model"))]
impl Past {
    /// Keys that lie a frame beside their values.
    pub(crate) fn shift(&mut self) {
        for keys in self.rows.iter_mut().step_by(2) {
            let width = keys.len() / self.kept.max(1);
            keys.rotate_right(width);
        }
    }

    /// Positions that begin anew.
    pub(crate) fn restart(&mut self) {
        self.frames = BEFORE;
    }

    /// Convolutions that forget.
    pub(crate) fn forget(&mut self) {
        self.convolutions.iter_mut().for_each(|values| values.fill(0.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps of these lengths, of rows that hold their frame's number twice; wants the last `left`.
    fn check(left: usize, steps: &[usize]) {
        let mut past = Past::new(left);
        past.prepare(2, (1, 3));
        let mut frame = 0;
        for &step in steps {
            let rows: Vec<u16> = (frame..frame + step).flat_map(|f| [f as u16; 2]).collect();
            past.keep(0, 2, &rows);
            past.keep(1, 2, &rows);
            past.advance(step);
            frame += step;
            assert_eq!((past.frames(), past.kept()), (frame, left.min(frame)), "{steps:?}");
            let mut found: Vec<u16> = past.rows(1).to_vec();
            found.sort_unstable();
            let expected: Vec<u16> = (frame - past.kept()..frame).flat_map(|f| [f as u16; 2]).collect();
            assert_eq!((past.rows(0).len(), found), (expected.len(), expected), "{left}, {steps:?}");
        }
        assert!(past.bytes() <= 2 * 2 * left * 2 + 3 * 4, "{} bytes", past.bytes());
    }

    /// Fails when a past is counted out twice or never, or comes with what another utterance left.
    #[test]
    fn pasts_are_bounded_and_used_again() {
        let pasts = Pasts::new(2);
        let mut first = pasts.lend_bounded(4).unwrap();
        first.prepare(1, (1, 3));
        first.keep(0, 2, &[1; 8]);
        first.keep_convolution(0, &[1.0; 3]);
        first.advance(4);
        let (bytes, second) = (first.bytes(), pasts.lend(4));
        assert!(pasts.full() && pasts.lend_bounded(4).is_none());
        drop(second);
        drop(first);
        assert_eq!(pasts.lent(), 0);
        let mut again = pasts.lend_bounded(4).unwrap();
        again.prepare(1, (1, 3));
        assert_eq!((again.frames(), again.kept(), again.rows(0).len(), again.bytes()), (0, 0, 0, bytes));
        assert_eq!(again.convolution(0), [0.0; 3]);
    }

    #[test]
    fn the_last_frames_are_kept() {
        check(8, &[0, 3, 3, 3, 3]);
        check(8, &[8, 8]);
        check(8, &[5, 0, 20, 1]);
        check(1, &[1, 2, 3]);
        check(8, &[30]);
    }
}
