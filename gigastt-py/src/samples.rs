//! Samples from Python: anything with the buffer protocol, read in blocks of a fixed size.
//!
//! An array is never copied as a whole. It is read while attached to the interpreter, so that no Python
//! thread writes to it meanwhile, and may be of any strides. Bytes are 16-bit samples, little-endian.

use pyo3::buffer::{Element, PyBuffer, PyUntypedBuffer};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMemoryView, PySlice};

use crate::errors::invalid;

/// Samples read at a time.
pub(crate) const BLOCK: usize = 4_096;

/// How a sample is stored.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Bytes,
    Int16,
    Float32,
}

/// An object with samples in it.
pub(crate) struct Samples {
    /// The object when it fits a block, else a view that can be sliced.
    view: Py<PyAny>,
    kind: Kind,
    channels: usize,
    /// Items of the leading axis that make a frame: one sample of each channel.
    per_frame: usize,
    frames: usize,
}

/// What a block holds.
pub(crate) enum Block<'a> {
    Int16(&'a [i16]),
    Float32(&'a [f32]),
}

/// The memory of a block.
pub(crate) struct Scratch {
    int16: [i16; BLOCK],
    float32: [f32; BLOCK],
}

impl Scratch {
    pub(crate) fn new() -> Self {
        Self { int16: [0; BLOCK], float32: [0.0; BLOCK] }
    }
}

impl Samples {
    /// Looks at what `data` is. `channels` of `None` takes them from the shape, `(n,)` or `(n, channels)`.
    pub(crate) fn of(data: &Bound<'_, PyAny>, channels: Option<u16>) -> PyResult<Self> {
        let py = data.py();
        let wrong = |found: String| {
            let expected = "expected bytes, or an array of int16 or float32";
            invalid(py, "samples", format!("{expected}, found {found}"))
        };
        let type_name = || data.get_type().name().map_or_else(|_| "?".into(), |name| name.to_string());
        // Arrays of ctypes give their strides to a view alone.
        let viewed = || PyMemoryView::from(data).and_then(|view| PyUntypedBuffer::get(&view));
        let Ok(buffer) = PyUntypedBuffer::get(data).or_else(|_| viewed()) else {
            return Err(wrong(type_name()));
        };
        let kind = match buffer.format().to_bytes() {
            // An array of uint8 may be 8-bit audio as well as bytes of something.
            b"B" | b"c" if !data.hasattr("dtype")? => Kind::Bytes,
            b"h" | b"@h" | b"=h" => Kind::Int16,
            b"f" | b"@f" | b"=f" => Kind::Float32,
            b"<h" if cfg!(target_endian = "little") => Kind::Int16,
            b"<f" if cfg!(target_endian = "little") => Kind::Float32,
            format => {
                let named = data.getattr("dtype").and_then(|dtype| dtype.str()).map(|name| name.to_string());
                let format = || format!("format {}", String::from_utf8_lossy(format));
                return Err(wrong(format!("{} of {}", type_name(), named.unwrap_or_else(|_| format()))));
            }
        };
        let shape = buffer.shape();
        let (items, columns) = match *shape {
            [items] => (items, None),
            [items, columns] if kind != Kind::Bytes => (items, Some(columns)),
            _ => {
                return Err(invalid(
                    py,
                    "samples",
                    format!("expected shape (n,) or (n, channels), found {shape:?}"),
                ));
            }
        };
        let channels = match (channels.map(usize::from), columns) {
            (None, columns) => columns.unwrap_or(1),
            (Some(channels), Some(columns)) if channels != columns => {
                let message = format!("expected {channels} channels, found shape ({items}, {columns})");
                return Err(invalid(py, "samples", message));
            }
            (Some(channels), _) => channels,
        };
        let per_frame = match (kind, columns) {
            (_, Some(_)) => 1,
            (Kind::Bytes, None) => 2 * channels,
            (_, None) => channels,
        };
        if channels == 0 || !items.is_multiple_of(per_frame) {
            let what = if kind == Kind::Bytes { "bytes" } else { "interleaved samples" };
            return Err(invalid(
                py,
                "samples",
                format!("expected a multiple of {per_frame} {what}, found {items}"),
            ));
        }
        let frames = items / per_frame;
        let view = match frames * channels <= BLOCK {
            true => data.clone(),
            false => PyMemoryView::from(data)?.into_any(),
        };
        Ok(Self { view: view.unbind(), kind, channels, per_frame, frames })
    }

    pub(crate) fn channels(&self) -> usize {
        self.channels
    }

    pub(crate) fn frames(&self) -> usize {
        self.frames
    }

    /// How many leading items of the object `frames` are.
    pub(crate) fn items(&self, frames: usize) -> usize {
        frames * self.per_frame
    }

    /// The samples from frame `from` on: as many as there are, at most a block.
    pub(crate) fn read<'a>(
        &self,
        py: Python<'_>,
        from: usize,
        scratch: &'a mut Scratch,
    ) -> PyResult<Block<'a>> {
        let frames = (self.frames - from).min(BLOCK / self.channels);
        let view = self.view.bind(py);
        let part = match frames == self.frames {
            true => view.clone(),
            false => {
                let (start, end) = (self.items(from) as isize, self.items(from + frames) as isize);
                view.get_item(PySlice::new(py, start, end, 1))?
            }
        };
        let count = frames * self.channels;
        match self.kind {
            Kind::Int16 => Ok(Block::Int16(copy(&part, &mut scratch.int16[..count])?)),
            Kind::Float32 => Ok(Block::Float32(copy(&part, &mut scratch.float32[..count])?)),
            Kind::Bytes => {
                let mut bytes = [0; 2 * BLOCK];
                let (pairs, _) = copy(&part, &mut bytes[..2 * count])?.as_chunks::<2>();
                for (sample, pair) in scratch.int16.iter_mut().zip(pairs) {
                    *sample = i16::from_le_bytes(*pair);
                }
                Ok(Block::Int16(&scratch.int16[..count]))
            }
        }
    }
}

/// What a buffer consists of, also read from bytes of this machine's order.
trait Item: Element {
    fn of(bytes: &[u8]) -> Option<Self>;
}

impl Item for u8 {
    fn of(bytes: &[u8]) -> Option<Self> {
        bytes.first().copied()
    }
}

impl Item for i16 {
    fn of(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::from_ne_bytes)
    }
}

impl Item for f32 {
    fn of(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::from_ne_bytes)
    }
}

/// Copies a buffer into `out`, which is empty or of the buffer's length. What changed its size since it
/// was looked at is told by the copy.
fn copy<'a, T: Item>(part: &Bound<'_, PyAny>, out: &'a mut [T]) -> PyResult<&'a [T]> {
    if !out.is_empty() {
        match PyBuffer::<T>::get(part) {
            Ok(buffer) => buffer.copy_to_slice(part.py(), out)?,
            Err(error) => copy_bytes(part, out, error)?,
        }
    }
    Ok(out)
}

/// The same for items that PyO3 refuses with `error`: those that are not aligned, as behind a header of one byte, and
/// those whose format says that they are little-endian.
fn copy_bytes<T: Item>(part: &Bound<'_, PyAny>, out: &mut [T], error: PyErr) -> PyResult<()> {
    let bytes = PyMemoryView::from(part)?.call_method0("tobytes")?;
    let bytes = bytes.cast::<PyBytes>()?.as_bytes();
    if bytes.len() != size_of_val(out) {
        return Err(error);
    }
    for (item, bytes) in out.iter_mut().zip(bytes.chunks_exact(size_of::<T>())) {
        let Some(read) = T::of(bytes) else { return Err(error) };
        *item = read;
    }
    Ok(())
}

impl Block<'_> {
    /// Samples in it.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Int16(samples) => samples.len(),
            Self::Float32(samples) => samples.len(),
        }
    }
}
