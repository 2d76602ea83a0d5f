//! Recordings: a path, the bytes of a file, an open file, or samples.
//!
//! The engine works on a thread of its own for the call; see [`attended`](crate::attended).

use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use gigastt_core::audio::file::FileSource;
use gigastt_core::audio::{Format, Source};
use gigastt_core::sync::Mutex;
use gigastt_core::{Audio, Engine, Error, ErrorKind, Final, Hooks, Options, Progress, Result, Transcript};
use pyo3::prelude::*;

use crate::attended::attended;
use crate::errors::{OrRaise, invalid};
use crate::gate::inside;
use crate::results;
use crate::samples::{BLOCK, Block, Samples, Scratch};

/// Whom to tell of progress and finals.
pub(crate) struct Callbacks {
    pub progress: Option<Py<PyAny>>,
    pub on_segment: Option<Py<PyAny>>,
}

/// Ends transcriptions from another thread.
#[pyclass(frozen, module = "gigastt._native")]
pub(crate) struct Canceller(gigastt_core::Canceller);

#[pymethods]
impl Canceller {
    #[new]
    fn new() -> Self {
        Self(gigastt_core::Canceller::new())
    }

    fn cancel(&self, py: Python<'_>) {
        py.detach(|| self.0.cancel());
    }
}

impl Canceller {
    pub(crate) fn canceller(&self) -> gigastt_core::Canceller {
        self.0.clone()
    }
}

enum Note {
    Progress(Progress),
    Final(Final),
}

/// What a Python object raised while the engine read from it.
type Raised = Arc<Mutex<Option<PyErr>>>;

/// A recording from Python. It is opened on the engine's thread, for that may read from a file of Python.
pub(crate) struct Recording {
    open: Box<dyn FnOnce() -> Result<Audio<'static>> + Send>,
    raised: Raised,
}

impl Recording {
    pub(crate) fn path(path: PathBuf) -> Self {
        Self { open: Box::new(|| Ok(Audio::File(path))), raised: Raised::default() }
    }

    pub(crate) fn bytes(bytes: Vec<u8>) -> Self {
        let open = || FileSource::from_bytes("bytes", bytes).map(audio);
        Self { open: Box::new(open), raised: Raised::default() }
    }

    /// An object with `read`, and with `seek` where `size` is known.
    pub(crate) fn file(file: Py<PyAny>, name: &str, size: Option<u64>) -> Self {
        let (name, raised) = (name.to_owned(), Raised::default());
        let reader = PythonFile { file, raised: Arc::clone(&raised) };
        let open = move || match size {
            Some(size) => FileSource::from_seekable(&name, reader, size).map(audio),
            None => FileSource::from_reader(&name, Box::new(reader)).map(audio),
        };
        Self { open: Box::new(open), raised }
    }

    pub(crate) fn samples(data: &Bound<'_, PyAny>, sample_rate: u32) -> PyResult<Self> {
        let samples = Samples::of(data, None)?;
        let channels = u16::try_from(samples.channels()).map_err(|_| {
            invalid(
                data.py(),
                "samples",
                format!("expected shape (n, channels), found {} channels", samples.channels()),
            )
        })?;
        let format = Format { sample_rate, channels };
        format.validate().or_raise(data.py())?;
        let raised = Raised::default();
        let source = ArraySource {
            samples,
            format,
            at: 0,
            raised: Arc::clone(&raised),
            scratch: Box::new(Scratch::new()),
        };
        Ok(Self { open: Box::new(|| Ok(audio(source))), raised })
    }
}

fn audio(source: impl Source + 'static) -> Audio<'static> {
    Audio::Source(Box::new(source))
}

/// Transcribes while Python's signals and callbacks run here.
pub(crate) fn run<'py>(
    py: Python<'py>,
    engine: &Engine,
    recording: Recording,
    options: Options,
    callbacks: Callbacks,
    canceller: &gigastt_core::Canceller,
) -> PyResult<Bound<'py, PyAny>> {
    let Recording { open, raised } = recording;
    let callbacks = Arc::new(callbacks);
    let work = {
        let (engine, callbacks, canceller) = (engine.clone(), Arc::clone(&callbacks), canceller.clone());
        // Whoever has the result finds the engine let go.
        move |notes: &SyncSender<_>| transcribe(engine, open()?, &options, &callbacks, &canceller, notes)
    };
    let tell = |py: Python<'_>, note| tell(py, note, &callbacks);
    let result = attended(py, "gigastt-transcribe", canceller, work, tell);
    if let Some(error) = raised.lock().take() {
        return Err(error);
    }
    results::transcript(py, &result?.or_raise(py)?)
}

fn transcribe(
    engine: Engine,
    audio: Audio<'_>,
    options: &Options,
    callbacks: &Callbacks,
    canceller: &gigastt_core::Canceller,
    notes: &SyncSender<Note>,
) -> Result<Transcript> {
    // When nobody listens any more the canceller has fired.
    let mut progress = |progress| drop(notes.send(Note::Progress(progress)));
    let mut on_final = |text: &Final| drop(notes.send(Note::Final(text.clone())));
    let mut hooks = Hooks { canceller: Some(canceller), ..Hooks::default() };
    if callbacks.progress.is_some() {
        hooks.progress = Some(&mut progress);
    }
    if callbacks.on_segment.is_some() {
        hooks.on_final = Some(&mut on_final);
    }
    engine.transcribe_with(audio, options, hooks)
}

fn tell(py: Python<'_>, note: Note, callbacks: &Callbacks) -> PyResult<()> {
    let (callback, argument) = match note {
        Note::Progress(progress) => (&callbacks.progress, results::progress(py, progress)?),
        Note::Final(text) => (&callbacks.on_segment, results::segment(py, &text)?),
    };
    if let Some(callback) = callback {
        callback.call1(py, (argument,))?;
    }
    Ok(())
}

/// An open file of Python.
struct PythonFile {
    file: Py<PyAny>,
    raised: Raised,
}

impl PythonFile {
    /// Calls a method; what it raises is kept for the caller of `transcribe`.
    fn call<T>(&self, call: impl FnOnce(&Bound<'_, PyAny>) -> PyResult<T>) -> io::Result<T> {
        inside(|py| call(self.file.bind(py))).map_err(|error| {
            let message = error.to_string();
            self.raised.lock().get_or_insert(error);
            io::Error::other(message)
        })
    }
}

impl Read for PythonFile {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.call(|file| {
            let bytes = file.call_method1("read", (out.len(),))?;
            let bytes = bytes.extract::<&[u8]>()?;
            let wrong = || invalid(file.py(), "file", "`read` gave more bytes than were asked for");
            out.get_mut(..bytes.len()).ok_or_else(wrong)?.copy_from_slice(bytes);
            Ok(bytes.len())
        })
    }
}

impl Seek for PythonFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (offset, whence) = match to {
            SeekFrom::Start(offset) => (offset as i64, 0),
            SeekFrom::Current(offset) => (offset, 1),
            SeekFrom::End(offset) => (offset, 2),
        };
        self.call(|file| file.call_method1("seek", (offset, whence))?.extract())
    }
}

/// Samples of a Python object, a block at a time.
struct ArraySource {
    samples: Samples,
    format: Format,
    at: usize,
    raised: Raised,
    scratch: Box<Scratch>,
}

/// Blocks that are given to the engine at a time.
const BLOCKS: usize = 8;

impl Source for ArraySource {
    fn format(&self) -> Format {
        self.format
    }

    fn duration_hint(&self) -> Option<f64> {
        Some(self.samples.frames() as f64 / f64::from(self.format.sample_rate))
    }

    fn read(&mut self, out: &mut Vec<f32>) -> Result<()> {
        out.clear();
        inside(|py| {
            while self.at < self.samples.frames() && out.len() + BLOCK <= BLOCKS * BLOCK {
                match self.samples.read(py, self.at, &mut self.scratch)? {
                    Block::Int16(block) => out.extend(block.iter().map(|s| f32::from(*s) / 32_768.0)),
                    Block::Float32(block) => out.extend(block),
                }
                self.at = (self.at + BLOCK / self.samples.channels()).min(self.samples.frames());
            }
            Ok(())
        })
        .map_err(|error: PyErr| {
            let message = error.to_string();
            self.raised.lock().get_or_insert(error);
            Error::new(ErrorKind::InvalidAudio, message)
        })
    }
}
