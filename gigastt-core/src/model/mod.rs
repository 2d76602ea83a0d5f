//! The model: bundles of files, their validation, and running them.
//!
//! [`Network`] is what the engine sees: shared, immutable. A [`Lane`] is one worker's own execution
//! context on it. The only implementation that runs real weights is `ort.rs`; the other one is the
//! scripted fake of the tests.

mod bundle;
mod decode;
#[cfg(feature = "fake-model")]
pub mod fake;
mod graph;
mod interface;
#[cfg(feature = "optimize")]
pub mod optimized;
mod ort;
mod past;
mod runtime;
#[cfg(test)]
mod tests;
mod vocab;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::sync::Mutex;

pub(crate) use self::past::{BEFORE, Lent, Past, Pasts};
pub(crate) use self::vocab::Vocab;
use crate::audio::{Acoustic, FrontEnd};
use crate::{Error, ErrorKind, Result, Token};

#[cfg(feature = "ort-link")]
pub use self::ort::use_linked_runtime;
pub use bundle::{Bundle, Form, Model, ModelBytes, Variant, scan};

/// Mel channels of a frame.
pub(crate) const MELS: usize = 64;

/// What a model's output layer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Head {
    /// RNN transducer: predictor and joint network.
    Rnnt,
    /// Connectionist temporal classification: one linear layer.
    Ctc,
}

/// What runs the encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Provider {
    /// The processor.
    #[default]
    Cpu,
    /// NVIDIA CUDA.
    Cuda,
    /// Apple Core ML.
    CoreMl,
    /// Intel OpenVINO.
    OpenVino,
}

impl Provider {
    /// Every provider, for tables and messages.
    pub const ALL: [Self; 4] = [Self::Cpu, Self::Cuda, Self::CoreMl, Self::OpenVino];

    /// A stable name: `cpu`, `cuda`, `coreml`, `openvino`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::CoreMl => "coreml",
            Self::OpenVino => "openvino",
        }
    }

    /// The provider of this [`code`](Self::code).
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|provider| provider.code() == code)
    }
}

/// How to load a model.
#[derive(Debug, Clone)]
pub(crate) struct LoadOptions {
    /// ONNX Runtime's library; without it the usual places are searched.
    pub runtime: Option<PathBuf>,
    /// Folders to search for it before that of the program.
    pub runtime_folders: Vec<PathBuf>,
    /// What runs the encoder; the two small networks of an RNN-T head always run on the processor.
    pub provider: Provider,
    /// Threads of one model call, at least 1.
    pub intra_threads: usize,
    /// The most tokens an RNN-T head may give for one encoder frame, at least 1.
    pub max_symbols: u32,
    /// Whether the encoder is to keep what it has computed, if it can be made to.
    pub keeping: bool,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            runtime: None,
            runtime_folders: Vec::new(),
            provider: Provider::Cpu,
            intra_threads: 1,
            max_symbols: MAX_SYMBOLS,
            keeping: false,
        }
    }
}

/// The most tokens for one encoder frame, as in the ONNX reference.
pub(crate) const MAX_SYMBOLS: u32 = 3;

/// What a loaded model is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelInfo {
    /// Its full name: `gigaam-v3-e2e-rnnt`.
    pub name: String,
    /// Which of the published variants it is.
    pub variant: Variant,
    /// The suffix of its files' names (`int8`); `None` for plain ones.
    pub quantization: Option<String>,
    /// Pieces in its vocabulary, blank included.
    pub vocab_size: usize,
    /// Width of an encoder frame; `None` for a CTC head.
    pub encoder_width: Option<usize>,
    /// Where it came from: `embedded`, `memory` or a folder.
    pub source: String,
    /// Size of its graphs in bytes.
    pub bytes: u64,
    /// The fast form of its encoder that runs; `None` when it runs as it is.
    pub optimized: Option<Form>,
}

#[cfg(feature = "fake-model")]
impl ModelInfo {
    /// What is said of the scripted model.
    pub(crate) fn fake() -> Self {
        Self {
            name: "fake".into(),
            variant: Variant::E2eRnnt,
            quantization: None,
            vocab_size: fake::WORDS as usize + 1,
            encoder_width: Some(1),
            source: "script".into(),
            bytes: 0,
            optimized: None,
        }
    }
}

/// Loads a model and validates it: vocabulary, interface of every graph, and how they fit together.
///
/// # Errors
/// `ModelNotFound`, `InvalidModel` and `Io` about a file, `Runtime` about ONNX Runtime, `Provider`.
pub(crate) fn load(model: &Model, options: &LoadOptions) -> Result<(Arc<dyn Network>, ModelInfo)> {
    let spec = model.resolve()?;
    #[cfg(feature = "optimize")]
    let fast = optimized::open(&spec, options, model.is_pretrained());
    #[cfg(not(feature = "optimize"))]
    let fast: Option<(ort::OrtNetwork, Form)> = None;
    let (network, optimized) = match fast {
        Some((network, form)) => (network, Some(form)),
        None => (ort::open(spec, options)?, None),
    };
    let spec = network.spec();
    let info = ModelInfo {
        name: spec.variant.model_name().into(),
        variant: spec.variant,
        quantization: spec.quantization.clone(),
        vocab_size: spec.vocab.len(),
        encoder_width: network.encoder_width(),
        source: spec.source.clone(),
        bytes: spec.graphs.size(),
        optimized,
    };
    Ok((Arc::new(network), info))
}

/// A model as the engine uses it: loaded once, shared by all workers.
pub(crate) trait Network: Send + Sync {
    /// The vocabulary, blank included.
    fn vocab(&self) -> Arc<Vocab>;

    /// What turns a stream's samples into this model's mel frames.
    fn front_end(&self) -> Box<dyn FrontEnd> {
        Box::<Acoustic>::default()
    }

    /// Bytes of a frame that its encoder keeps, so that lanes can run [`Lane::step`]; `None`: it keeps nothing.
    fn kept(&self) -> Option<usize>;

    /// Size of the encoder's file where each lane holds what is in it for itself; 0 where lanes share it.
    fn copied_bytes(&self) -> u64;

    /// A new execution context. Each worker owns one.
    fn lane(&self) -> Result<Box<dyn Lane>>;
}

/// One worker's execution context.
pub(crate) trait Lane: Send {
    /// Encodes `windows`, all of the same length: log-mel, frame-major, `[T][64]`.
    ///
    /// # Errors
    /// `Cancelled` when `interrupt` ended the call, else `Inference`. The lane can be used again.
    fn encode(&mut self, windows: &[&[f32]], interrupt: &Interrupt) -> Result<Encoded>;

    /// Encodes a step each of several utterances, at least one. They are equally long, as are their audio and
    /// [`Past::before`].
    ///
    /// # Errors
    /// As `encode`; the pasts are then what they were. `Internal` where [`Network::keeps`] says no.
    fn step(&mut self, steps: &mut [Step<'_>], interrupt: &Interrupt) -> Result<Encoded>;

    /// Decodes encoder frames `frames` of item `item`, greedily, advancing `state` and appending to
    /// `tokens`; their `frame` counts from the window's start.
    ///
    /// # Errors
    /// `Cancelled` when `interrupt` fired, else `Inference`. The lane can be used again; `state` and
    /// `tokens` are then unspecified.
    fn decode(
        &mut self,
        encoded: &Encoded,
        item: usize,
        frames: Range<usize>,
        state: &mut DecoderState,
        tokens: &mut Vec<Token>,
        interrupt: &Interrupt,
    ) -> Result<()>;
}

/// A step of an utterance.
pub(crate) struct Step<'a> {
    /// Log-mel, frame-major, `[T][64]`; begins [`Past::before`] encoder frames before where `past` ends.
    pub mel: &'a [f32],
    /// The first so many frames from there become part of `past`.
    pub frames: usize,
    pub past: &'a mut Past,
}

/// Encoder output of a batch: `data` is `[items][frames][width]`.
#[derive(Debug, Default)]
pub(crate) struct Encoded {
    /// Row-major values.
    pub data: Vec<f32>,
    /// Encoder frames of an item.
    pub frames: usize,
    /// Width of a frame; for a CTC head the vocabulary size.
    pub width: usize,
}

impl Encoded {
    /// Frame `frame` of item `item`.
    #[cfg(test)]
    pub(crate) fn frame(&self, item: usize, frame: usize) -> &[f32] {
        let start = (item * self.frames + frame) * self.width;
        &self.data[start..start + self.width]
    }

    /// Frames `frames` of item `item`.
    ///
    /// # Errors
    /// `Internal` when there are no such frames.
    pub(crate) fn span(&self, item: usize, frames: Range<usize>) -> Result<Span<'_>> {
        let items = self.data.len().checked_div(self.frames * self.width).unwrap_or(0);
        if frames.is_empty() {
            return Ok(Span { first: 0, width: self.width, data: &[] });
        }
        if item >= items || frames.end > self.frames {
            let message =
                format!("there are {} frames of {items} items, not {frames:?} of {item}", self.frames);
            return Err(Error::new(ErrorKind::Internal, message));
        }
        let start = item * self.frames;
        let data = &self.data[(start + frames.start) * self.width..(start + frames.end) * self.width];
        Ok(Span { first: frames.start as u32, width: self.width, data })
    }
}

/// Neighbouring encoder frames of one item.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span<'e> {
    /// The number of the first.
    pub first: u32,
    /// Width of a frame.
    pub width: usize,
    /// `[frames][width]`.
    pub data: &'e [f32],
}

impl<'e> Span<'e> {
    /// How many they are.
    pub(crate) fn len(&self) -> usize {
        self.data.len() / self.width.max(1)
    }

    /// Each with its number.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &'e [f32])> {
        (self.first..).zip(self.data.chunks_exact(self.width.max(1)))
    }
}

/// What greedy decoding carries from one frame to the next. The default is the state at the start
/// of an utterance. Belongs to one utterance and travels with its windows.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct DecoderState {
    /// The last token that was not blank (RNN-T), or the last argmax (CTC); `None` at the start.
    pub last: Option<u32>,
    /// Predictor output after `last` was fed, `[320]`; empty while it has not been. Kept over blanks.
    pub dec: Vec<f32>,
    /// Predictor state after the last feeding, `[320]` each; empty at the start (all zero).
    pub h: Vec<f32>,
    /// See `h`.
    pub c: Vec<f32>,
}

/// Encoder frames that `mel_frames` mel frames become: two convolutions of stride 2.
pub(crate) const fn encoder_frames(mel_frames: usize) -> usize {
    const fn halve(n: usize) -> usize {
        if n == 0 { 0 } else { (n - 1) / 2 + 1 }
    }
    halve(halve(mel_frames))
}

type Hook = Box<dyn Fn() + Send>;

/// Ends running model calls from another thread.
#[derive(Default)]
pub(crate) struct Interrupt {
    fired: AtomicBool,
    /// One for each call that runs under it, at most one a worker.
    hooks: Mutex<Vec<(u64, Hook)>>,
    numbers: AtomicU64,
}

impl Interrupt {
    /// Fires once and for all; ends the calls that are running under it.
    pub(crate) fn fire(&self) {
        let hooks = self.hooks.lock();
        self.fired.store(true, Ordering::SeqCst);
        for (_, hook) in &*hooks {
            hook();
        }
    }

    /// Whether it fired.
    pub(crate) fn fired(&self) -> bool {
        self.fired.load(Ordering::SeqCst)
    }

    /// Runs `call` with `hook` ready to end it. Does not run it when it already fired.
    pub(crate) fn during<T>(&self, hook: impl Fn() + Send + 'static, call: impl FnOnce() -> T) -> Option<T> {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        {
            let mut hooks = self.hooks.lock();
            if self.fired() {
                return None;
            }
            hooks.push((number, Box::new(hook)));
        }
        // Taken out again also when the call panics.
        let _guard = Registered { interrupt: self, number };
        Some(call())
    }
}

struct Registered<'a> {
    interrupt: &'a Interrupt,
    number: u64,
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.interrupt.hooks.lock().retain(|(number, _)| *number != self.number);
    }
}
