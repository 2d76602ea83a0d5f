//! Mel frames of a stream from a moving start on.

use std::ops::Range;

use crate::model::MELS;

/// Dead frames at the front are tolerated up to this many before the rest is moved down.
const SLACK: u64 = 64;

/// Frames `base..end` of a stream, contiguous, frame-major.
pub(crate) struct MelStore {
    base: u64,
    /// Frames at the front of `data` that were dropped already.
    dead: u64,
    data: Vec<f32>,
}

impl MelStore {
    /// An empty store whose next frame is number `base`.
    pub(crate) fn new(base: u64) -> Self {
        Self { base, dead: 0, data: Vec::new() }
    }

    /// The number of the oldest frame.
    #[cfg(test)]
    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    /// One past the number of the newest frame.
    pub(crate) fn end(&self) -> u64 {
        self.base - self.dead + (self.data.len() / MELS) as u64
    }

    /// Where whole frames are appended.
    pub(crate) fn tail(&mut self) -> &mut Vec<f32> {
        &mut self.data
    }

    /// Frames `frames`, as far as they are there.
    pub(crate) fn frames(&self, frames: Range<u64>) -> &[f32] {
        let first = self.base - self.dead;
        let start = frames.start.clamp(self.base, self.end());
        let end = frames.end.clamp(start, self.end());
        &self.data[(start - first) as usize * MELS..(end - first) as usize * MELS]
    }

    /// A store of frames that were copied out; `data` starts with frame number `base`.
    pub(crate) fn of(base: u64, data: Vec<f32>) -> Self {
        Self { base, dead: 0, data }
    }

    /// The frames, leaving nothing.
    pub(crate) fn take(&mut self) -> Vec<f32> {
        std::mem::take(&mut self.data)
    }

    /// Forgets frames before number `frame`.
    pub(crate) fn drop_before(&mut self, frame: u64) {
        let frame = frame.clamp(self.base, self.end());
        self.dead += frame - self.base;
        self.base = frame;
        if self.dead > SLACK {
            self.data.drain(..self.dead as usize * MELS);
            self.dead = 0;
        }
    }

    /// Gives back the memory of a long utterance that is over.
    pub(crate) fn shrink(&mut self) {
        let enough = self.data.len() + 2 * SLACK as usize * MELS;
        if self.data.capacity() > 2 * enough {
            self.data.shrink_to(enough);
        }
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.data.capacity() * size_of::<f32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store into which frames `0..n` were pushed, each filled with its number.
    fn store(n: u64) -> MelStore {
        let mut store = MelStore::new(0);
        for frame in 0..n {
            store.tail().extend([frame as f32; MELS]);
        }
        store
    }

    #[test]
    fn frames_keep_their_numbers_when_older_ones_are_dropped() {
        let mut store = store(1000);
        for keep_from in [0, 10, 300, 301, 900] {
            store.drop_before(keep_from);
            assert_eq!((store.base(), store.end()), (keep_from, 1000));
            assert_eq!(store.frames(950..951)[0], 950.0, "after dropping before {keep_from}");
        }
        assert_eq!(store.frames(800..1000).len(), 100 * MELS, "only what is there");
        let copy = MelStore::of(990, store.frames(990..1000).to_vec());
        assert_eq!(copy.frames(999..1000)[0], 999.0);
    }

    #[test]
    fn memory_of_a_long_utterance_is_given_back() {
        let mut store = store(3000);
        store.drop_before(2990);
        store.shrink();
        assert!(store.bytes() < 300 * MELS * size_of::<f32>(), "{} bytes", store.bytes());
    }
}
