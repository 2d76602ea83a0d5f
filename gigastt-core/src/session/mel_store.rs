//! Mel frames of a stream from a moving start on, in chunks that windows share: cutting a window copies
//! less than a chunk, however long it is.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use crate::model::MELS;

/// Frames of a chunk.
const CHUNK: usize = 64;

type Chunk = [f32; CHUNK * MELS];

/// Frames `base..end` of a stream, frame-major.
#[derive(Debug, Default)]
pub(crate) struct MelStore {
    base: u64,
    /// The number of the oldest frame that is still there.
    first: u64,
    chunks: VecDeque<Arc<Chunk>>,
    /// The frames after those of the chunks.
    tail: Vec<f32>,
}

impl MelStore {
    /// One past the number of the newest frame.
    pub(crate) fn end(&self) -> u64 {
        self.first + (self.chunks.len() * CHUNK + self.tail.len() / MELS) as u64
    }

    /// Frames from `base` to `end`.
    pub(crate) fn len(&self) -> usize {
        (self.end() - self.base) as usize
    }

    /// Appends the whole frames that `write` appends.
    pub(crate) fn append(&mut self, write: impl FnOnce(&mut Vec<f32>), pool: &mut Pool) {
        write(&mut self.tail);
        if self.tail.len() < CHUNK * MELS {
            return;
        }
        if self.chunks.is_empty() {
            self.tail.drain(..(self.base - self.first) as usize * MELS);
            self.first = self.base;
        }
        while let Some((full, _)) = self.tail.split_first_chunk() {
            self.chunks.push_back(pool.chunk(full));
            self.tail.drain(..CHUNK * MELS);
        }
    }

    /// Frames `frames`, as far as they are there.
    pub(crate) fn window(&self, frames: Range<u64>, pool: &mut Pool) -> Self {
        let start = frames.start.clamp(self.base, self.end());
        let end = frames.end.clamp(start, self.end());
        let chunk = |frame: u64| (frame - self.first) as usize / CHUNK;
        let shared = chunk(start).min(self.chunks.len())..chunk(end).min(self.chunks.len());
        let rest = self.first + (shared.end * CHUNK) as u64;
        let within = |frame: u64| (frame - rest) as usize * MELS;
        let after = self.chunks.get(shared.end).map_or(&self.tail[..], |chunk| &chunk[..]);
        let mut window = pool.empty.pop().unwrap_or_default();
        window.tail.extend_from_slice(&after[within(start.max(rest))..within(end)]);
        window.first = if shared.is_empty() { start } else { self.first + (shared.start * CHUNK) as u64 };
        window.chunks.extend(self.chunks.range(shared).cloned());
        window.base = start;
        window
    }

    /// The frames in one piece.
    pub(crate) fn to_vec(&self) -> Vec<f32> {
        let mut frames = Vec::with_capacity(self.len() * MELS);
        let mut dead = (self.base - self.first) as usize * MELS;
        for part in self.chunks.iter().map(|chunk| &chunk[..]).chain([&self.tail[..]]) {
            frames.extend_from_slice(&part[dead..]);
            dead = 0;
        }
        frames
    }

    /// Forgets frames before number `frame`.
    pub(crate) fn drop_before(&mut self, frame: u64, pool: &mut Pool) {
        self.base = frame.clamp(self.base, self.end());
        while self.first + CHUNK as u64 <= self.base
            && let Some(chunk) = self.chunks.pop_front()
        {
            self.first += CHUNK as u64;
            pool.keep_chunk(chunk);
        }
    }

    /// Forgets the last `frames` frames.
    pub(crate) fn drop_last(&mut self, frames: usize) {
        let mut values = frames.min(self.len()) * MELS;
        while values > self.tail.len()
            && let Some(chunk) = self.chunks.pop_back()
        {
            values -= self.tail.len();
            self.tail.clear();
            self.tail.extend_from_slice(&chunk[..]);
        }
        self.tail.truncate(self.tail.len().saturating_sub(values));
    }

    /// Bytes held; what is shared counts.
    pub(crate) fn bytes(&self) -> usize {
        self.chunks.len() * size_of::<Chunk>() + self.tail.capacity() * size_of::<f32>()
    }
}

/// Memory that is used again, so that pushing audio allocates nothing in the steady state.
#[derive(Default)]
pub(crate) struct Pool {
    chunks: Vec<Arc<Chunk>>,
    empty: Vec<MelStore>,
}

impl Pool {
    /// The longest utterance, and what is kept around it.
    const CHUNKS_MAX: usize = 48;
    const EMPTY_MAX: usize = 8;

    fn chunk(&mut self, frames: &Chunk) -> Arc<Chunk> {
        match self.chunks.pop() {
            Some(mut chunk) => {
                Arc::make_mut(&mut chunk).copy_from_slice(frames);
                chunk
            }
            None => Arc::new(*frames),
        }
    }

    fn keep_chunk(&mut self, mut chunk: Arc<Chunk>) {
        // Whoever is the last to hold it brings it here.
        if self.chunks.len() < Self::CHUNKS_MAX && Arc::get_mut(&mut chunk).is_some() {
            self.chunks.push(chunk);
        }
    }

    /// Takes a window back.
    pub(crate) fn keep(&mut self, mut window: MelStore) {
        window.chunks.drain(..).for_each(|chunk| self.keep_chunk(chunk));
        window.tail.clear();
        if self.empty.len() < Self::EMPTY_MAX {
            self.empty.push(window);
        }
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.chunks.len() * size_of::<Chunk>() + self.empty.iter().map(MelStore::bytes).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store into which frames `0..n` were pushed, each filled with its number.
    fn store(n: u64) -> MelStore {
        let mut store = MelStore::default();
        push(&mut store, 0..n, &mut Pool::default());
        store
    }

    fn push(store: &mut MelStore, frames: Range<u64>, pool: &mut Pool) {
        for frame in frames {
            store.append(|tail| tail.extend([frame as f32; MELS]), pool);
        }
    }

    /// The number of each frame.
    fn numbers(store: &MelStore) -> Vec<u64> {
        let frames = store.to_vec();
        assert_eq!(frames.len(), store.len() * MELS);
        frames.chunks_exact(MELS).map(|frame| frame[0] as u64).collect()
    }

    #[test]
    fn the_last_frames_are_dropped() {
        for (first, drop) in
            [(0, 0), (0, 5), (0, 8), (0, 9), (10, 72), (70, 100), (130, 69), (130, 70), (130, 80)]
        {
            let mut window = store(200).window(first..200, &mut Pool::default());
            window.drop_last(drop);
            let end = (200 - drop as u64).max(first);
            assert_eq!(numbers(&window), (first..end).collect::<Vec<_>>(), "{first}, {drop}");
        }
    }

    #[test]
    fn frames_keep_their_numbers_when_older_ones_are_dropped() {
        let (mut store, mut pool) = (store(1000), Pool::default());
        for keep_from in [0, 10, 300, 301, 320, 900] {
            store.drop_before(keep_from, &mut pool);
            assert_eq!((store.base, store.end()), (keep_from, 1000));
            assert_eq!(numbers(&store), (keep_from..1000).collect::<Vec<_>>());
        }
        push(&mut store, 1000..1100, &mut pool);
        assert_eq!(numbers(&store), (900..1100).collect::<Vec<_>>());
    }

    #[test]
    fn a_window_has_its_frames() {
        let (mut store, mut pool) = (store(330), Pool::default());
        store.drop_before(70, &mut pool);
        let points = [0, 70, 127, 128, 129, 192, 200, 319, 320, 321, 329, 330, 400];
        for (start, end) in points.iter().flat_map(|start| points.map(|end| (*start, end))) {
            let mut window = store.window(start..end, &mut pool);
            let expected: Vec<u64> = (start.max(70)..end.min(330)).collect();
            assert_eq!(numbers(&window), expected, "{start}..{end}");
            // And so have windows of a window.
            for (start, end) in points.iter().flat_map(|start| points.map(|end| (*start, end))) {
                let part = window.window(start..end, &mut pool);
                let inside = |n: &u64| (start..end).contains(n);
                assert_eq!(numbers(&part), expected.iter().copied().filter(inside).collect::<Vec<_>>());
                pool.keep(part);
            }
            window.drop_before(100, &mut pool);
            pool.keep(window);
        }
    }

    /// Fails when chunks that come back are not used again.
    #[test]
    fn memory_is_used_again() {
        let (mut store, mut pool) = (MelStore::default(), Pool::default());
        let mut utterance = |n: u64| {
            push(&mut store, n * 500..(n + 1) * 500, &mut pool);
            let window = store.window(n * 500..(n + 1) * 500, &mut pool);
            store.drop_before((n + 1) * 500, &mut pool);
            pool.keep(window);
        };
        utterance(0);
        utterance(1);
        let later = allocation_counter::measure(|| (2..10).for_each(utterance));
        assert_eq!(later.count_total, 0);
    }

    #[test]
    fn a_silent_stream_takes_no_chunks() {
        let (mut store, mut pool) = (MelStore::default(), Pool::default());
        for frame in 0..3_000 {
            push(&mut store, frame..frame + 1, &mut pool);
            store.drop_before(frame.saturating_sub(20), &mut pool);
        }
        assert_eq!((store.chunks.len(), pool.chunks.len()), (0, 0));
        assert!(store.bytes() < 100 * MELS * size_of::<f32>(), "{} bytes", store.bytes());
    }
}
