//! What a streaming encoder keeps of an utterance from step to step.

use super::graph::streaming;

/// Encoder frames of audio that a step needs before its first, for the subsampling.
pub(crate) const BEFORE: usize = streaming::BEFORE;

/// Keys and values of the last frames and the last inputs of the convolutions, layer by layer. Belongs
/// to one utterance and travels with its steps; whoever runs them gives it its contents.
#[derive(Debug)]
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
    /// Nothing, of an utterance of which `frames` frames were encoded otherwise; `left` frames, at least
    /// one, are to be kept.
    pub(crate) fn new(left: usize, frames: usize) -> Self {
        Self { left: left.max(1), frames, kept: 0, next: 0, rows: Vec::new(), convolutions: Vec::new() }
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
        let mut past = Past::new(left, 7);
        past.prepare(2, (1, 3));
        let mut frame = 7;
        for &step in steps {
            let rows: Vec<u16> = (frame..frame + step).flat_map(|f| [f as u16; 2]).collect();
            past.keep(0, 2, &rows);
            past.keep(1, 2, &rows);
            past.advance(step);
            frame += step;
            assert_eq!((past.frames(), past.kept()), (frame, left.min(frame - 7)), "{steps:?}");
            let mut found: Vec<u16> = past.rows(1).to_vec();
            found.sort_unstable();
            let expected: Vec<u16> = (frame - past.kept()..frame).flat_map(|f| [f as u16; 2]).collect();
            assert_eq!((past.rows(0).len(), found), (expected.len(), expected), "{left}, {steps:?}");
        }
        assert!(past.bytes() <= 2 * 2 * left * 2 + 3 * 4, "{} bytes", past.bytes());
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
