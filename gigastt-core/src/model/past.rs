//! What a streaming encoder keeps of an utterance from step to step.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use half::f16;
use half::slice::HalfFloatSliceExt as _;

use super::graph::streaming;
use crate::sync::{Mutex, MutexGuard};

/// Encoder frames of audio that a step needs before its first, for the subsampling.
pub(crate) const BEFORE: usize = streaming::BEFORE;

/// Keys and values of the last frames, in 8 bits, and the last inputs of the convolutions, layer by layer. Belongs
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
    /// Those of one kind and layer lie together.
    rows: Vec<Rows>,
    convolutions: Vec<Vec<f32>>,
}

impl Past {
    /// Nothing, at an utterance's start; `left` frames, at least one, are to be kept.
    pub(crate) fn new(left: usize) -> Self {
        Self { left: left.max(1), ..Self::default() }
    }

    /// Becomes what [`new`](Self::new) makes, with the memory it has.
    fn renew(&mut self, left: usize) {
        self.rows.iter_mut().for_each(Rows::clear);
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
        self.rows.resize_with(kinds, Rows::default);
        self.convolutions.resize_with(convolutions.0, || vec![0.0; convolutions.1]);
    }

    /// Appends the rows of one kind to `to`, in no order that matters.
    pub(crate) fn rows(&self, kind: usize, to: &mut Vec<f16>) {
        (0..self.kept).for_each(|slot| self.rows[kind].read(slot, to));
    }

    /// The last inputs of convolution `number`.
    pub(crate) fn convolution(&self, number: usize) -> &[f32] {
        &self.convolutions[number]
    }

    /// Takes the rows of a step's frames, for each kind, `width` values a row. [`advance`](Self::advance)
    /// follows once all are there.
    pub(crate) fn keep(&mut self, kind: usize, width: usize, new: &[f16]) {
        let rows = &mut self.rows[kind];
        rows.reserve(self.left, width);
        for (slot, row) in (self.next..).zip(new.chunks_exact(width)) {
            rows.write(slot % self.left, row);
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
    pub(crate) fn row(&self, kind: usize, back: usize) -> Option<Vec<f16>> {
        let mut row = Vec::new();
        let slot = (self.next + self.left - back % self.left) % self.left;
        self.rows.get(kind).filter(|_| back <= self.kept)?.read(slot, &mut row);
        Some(row)
    }

    /// Bytes of the rows of one frame, of so many kinds.
    pub(crate) fn frame_bytes(kinds: usize, width: usize) -> usize {
        kinds * (width + width.div_ceil(Rows::GROUP) * size_of::<f32>())
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        let rows = self.rows.iter().map(Rows::bytes);
        let convolutions = self.convolutions.iter().map(|values| values.capacity() * size_of::<f32>());
        rows.sum::<usize>() + convolutions.sum::<usize>()
    }
}

/// Rows in 8 bits. The values of a group are rounded on a scale of their own, on which the largest is 127.
#[derive(Debug, Default, Clone)]
struct Rows {
    width: usize,
    values: Vec<i8>,
    scales: Vec<f32>,
}

impl Rows {
    /// Values of a group; the last group of a row may have fewer.
    const GROUP: usize = 64;

    /// Makes room for so many rows, and no more.
    fn reserve(&mut self, rows: usize, width: usize) {
        self.width = width;
        self.values.reserve_exact((rows * width).saturating_sub(self.values.len()));
        self.scales.reserve_exact((rows * self.groups()).saturating_sub(self.scales.len()));
    }

    /// In a row.
    fn groups(&self) -> usize {
        self.width.div_ceil(Self::GROUP)
    }

    /// Puts `row` into a slot, which is there already or the next.
    fn write(&mut self, slot: usize, row: &[f16]) {
        let (values, scales) = (slot * self.width, slot * self.groups());
        self.values.resize(self.values.len().max(values + self.width), 0);
        self.scales.resize(self.scales.len().max(scales + self.groups()), 0.0);
        let groups = self.values[values..].chunks_mut(Self::GROUP).zip(&mut self.scales[scales..]);
        for (row, (values, scale)) in row.chunks(Self::GROUP).zip(groups) {
            let mut floats = [0.0_f32; Self::GROUP];
            let floats = &mut floats[..row.len()];
            row.convert_to_f32_slice(floats);
            let largest = floats.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
            *scale = largest / f32::from(i8::MAX);
            let inverse = if largest > 0.0 { f32::from(i8::MAX) / largest } else { 0.0 };
            for (value, float) in values.iter_mut().zip(floats) {
                // The sum's last bits are the nearest integer: a float of this size has no others.
                *value = (*float * inverse + ROUNDING).to_bits() as i8;
            }
        }
    }

    /// Appends the row in a slot to `to`.
    fn read(&self, slot: usize, to: &mut Vec<f16>) {
        let values = &self.values[slot * self.width..(slot + 1) * self.width];
        let scales = &self.scales[slot * self.groups()..];
        let start = to.len();
        to.resize(start + self.width, f16::ZERO);
        let groups = values.chunks(Self::GROUP).zip(scales);
        for (to, (values, scale)) in to[start..].chunks_mut(Self::GROUP).zip(groups) {
            let mut floats = [0.0_f32; Self::GROUP];
            let floats = &mut floats[..values.len()];
            floats.iter_mut().zip(values).for_each(|(float, value)| *float = f32::from(*value) * scale);
            to.convert_from_f32_slice(floats);
        }
    }

    fn clear(&mut self) {
        self.values.clear();
        self.scales.clear();
    }

    fn bytes(&self) -> usize {
        self.values.capacity() + self.scales.capacity() * size_of::<f32>()
    }
}

/// 1.5 times 2 to the 23rd.
const ROUNDING: f32 = 12_582_912.0;

/// The pasts of an engine's streams: of how many frames there may be rows, and the memory of those that ended.
#[derive(Debug)]
pub(crate) struct Pasts {
    frames_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    lent: usize,
    /// Of those that are lent, as many as each may have.
    frames: usize,
    free: Vec<Past>,
}

impl Pasts {
    /// The bytes of rows that an engine keeps for each of its workers: of the full-size model with the default plan 23
    /// utterances, about as many as speak at a time when a core has as many streams as it can keep up with. What more
    /// streams say is encoded in windows.
    const WORKER_BYTES: usize = 40_000_000;
    /// How many times that there may be with those whose text must not depend on it.
    const FULL: usize = 4;
    /// The most whose memory waits to be used again; what more there is goes back to the system.
    const FREE_MAX: usize = 8;

    /// None yet, and never more than of `frames_max` frames.
    pub(crate) fn new(frames_max: usize) -> Arc<Self> {
        Arc::new(Self { frames_max, state: Mutex::new(State::default()) })
    }

    /// For so many workers, each frame with rows of so many bytes.
    pub(crate) fn for_workers(workers: usize, frame_bytes: usize) -> Arc<Self> {
        Self::new(workers * Self::WORKER_BYTES / frame_bytes.max(1))
    }

    /// A past as [`Past::new`] makes it, until it is dropped; `None` when there would be more than there may be.
    pub(crate) fn lend_bounded(self: &Arc<Self>, left: usize) -> Option<Lent> {
        let state = self.state.lock();
        (state.frames + left <= self.frames_max).then(|| self.count_out(state, left))
    }

    /// The same, also beyond the bound: for those whose result must not depend on it.
    pub(crate) fn lend(self: &Arc<Self>, left: usize) -> Lent {
        self.count_out(self.state.lock(), left)
    }

    fn count_out(self: &Arc<Self>, mut state: MutexGuard<'_, State>, left: usize) -> Lent {
        state.lent += 1;
        state.frames += left;
        let mut past = state.free.pop().unwrap_or_default();
        drop(state);
        past.renew(left);
        Lent { past, frames: left, pasts: Arc::clone(self) }
    }

    /// How many there are.
    pub(crate) fn lent(&self) -> usize {
        self.state.lock().lent
    }

    /// Whether more is lent than streams whose text may depend on it ever get.
    pub(crate) fn full(&self) -> bool {
        self.state.lock().frames >= Self::FULL * self.frames_max
    }
}

/// A past that goes back to where it came from.
#[derive(Debug)]
pub(crate) struct Lent {
    past: Past,
    frames: usize,
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
        state.frames -= self.frames;
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
            let groups = keys.groups();
            keys.values.rotate_right(keys.width);
            keys.scales.rotate_right(groups);
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
        let rows = |frames: std::ops::Range<usize>| frames.flat_map(|f| [f16::from_f32(f as f32); 2]);
        let mut frame = 0;
        for &step in steps {
            let new: Vec<f16> = rows(frame..frame + step).collect();
            past.keep(0, 2, &new);
            past.keep(1, 2, &new);
            past.advance(step);
            frame += step;
            assert_eq!((past.frames(), past.kept()), (frame, left.min(frame)), "{steps:?}");
            for kind in 0..2 {
                let mut found = Vec::new();
                past.rows(kind, &mut found);
                found.sort_unstable_by(f16::total_cmp);
                let expected: Vec<f16> = rows(frame - past.kept()..frame).collect();
                assert_eq!(found, expected, "{left}, {steps:?}");
            }
        }
        assert!(past.bytes() <= 2 * left * (2 + 4) + 3 * 4, "{} bytes", past.bytes());
    }

    /// Fails when groups share a scale, or lie in one another's place, or a value is rounded to one side.
    #[test]
    fn values_are_rounded_on_the_scale_of_their_group() {
        let width = 2 * Rows::GROUP + 5;
        let scale = |row: usize, at: usize| 10_f32.powi((row + at / Rows::GROUP) as i32 % 4);
        let value = |row: usize, at: usize| scale(row, at) * ((at * 37 + row * 11) as f32 * 0.1).sin();
        let row = |row: usize| (0..width).map(move |at| f16::from_f32(value(row, at)));
        let mut past = Past::new(3);
        past.prepare(1, (0, 0));
        past.keep(0, width, &(0..5).flat_map(row).collect::<Vec<_>>());
        past.advance(5);
        let mut found = Vec::new();
        past.rows(0, &mut found);
        // The first two are gone, and their places taken.
        let kept = [3, 4, 2];
        let expected = kept.into_iter().flat_map(|row| (0..width).map(move |at| (row, at)));
        let mut off = 0.0;
        for (found, (row, at)) in found.iter().zip(expected) {
            let difference = (found.to_f32() - value(row, at)) / scale(row, at);
            assert!(difference.abs() < 0.5 / 127.0 + 1e-3, "value {at} of row {row} is {found}");
            off += difference;
        }
        assert_eq!(found.len(), kept.len() * width);
        assert!(off.abs() < 0.1, "{off} in all");
    }

    /// Fails when a past is counted out twice or never, or comes with what another utterance left.
    #[test]
    fn pasts_are_bounded_and_used_again() {
        let pasts = Pasts::new(9);
        let mut first = pasts.lend_bounded(4).unwrap();
        first.prepare(1, (1, 3));
        first.keep(0, 2, &[f16::ONE; 8]);
        first.keep_convolution(0, &[1.0; 3]);
        first.advance(4);
        let (bytes, second) = (first.bytes(), pasts.lend_bounded(4));
        assert!(pasts.lend_bounded(2).is_none() && pasts.lend_bounded(1).is_some());
        let beyond = pasts.lend(27);
        assert!(!pasts.full());
        let most = pasts.lend(1);
        assert!(pasts.full());
        drop((most, beyond, second, first));
        assert!(pasts.lent() == 0 && !pasts.full());
        let mut again = pasts.lend_bounded(4).unwrap();
        again.prepare(1, (1, 3));
        let mut rows = Vec::new();
        again.rows(0, &mut rows);
        assert_eq!((again.frames(), again.kept(), rows.len(), again.bytes()), (0, 0, 0, bytes));
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
