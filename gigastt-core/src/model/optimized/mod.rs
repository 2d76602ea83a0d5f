//! Fast forms of a model's encoder: rewritten once, saved as ONNX Runtime runs them on this machine, and
//! mapped into memory from then on.
//!
//! [`optimize`] makes one beside the model's files; an engine takes the one that suits, checks on the
//! processor it runs on that it gives what its source gave, and makes it anew where it is broken or was made
//! for another ONNX Runtime or processor. Where that fails too, the model runs as it is.
//!
//! ```no_run
//! use gigastt_core::Model;
//! use gigastt_core::optimize::{OptimizeOptions, optimize};
//!
//! # fn main() -> gigastt_core::Result<()> {
//! let model = Model::dir("models/gigaam-v3-e2e-rnnt");
//! println!("{:?}", optimize(&model, &OptimizeOptions::default())?);
//! let engine = gigastt_core::Engine::builder().model(model).build()?;
//! # Ok(())
//! # }
//! ```

mod check;
mod store;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use self::store::{Facts, Key, Source, Stored, WEIGHTS, Writer};
use super::bundle::{Content, Part, Spec};
use super::graph::quantise::quantise;
use super::graph::{Graph, attention, pointwise, streaming, unfold};
use super::interface::Encoder;
use super::ort::OrtNetwork;
use super::{LoadOptions, Provider};
use crate::{Error, ErrorKind, Model, Result};

pub use super::bundle::Form;
pub use super::graph::quantise::Refusal;

/// How a model is optimised.
#[derive(Debug, Clone, Default)]
pub struct OptimizeOptions {
    /// What is made.
    pub form: Form,
    /// Whether it is made again when it is there.
    pub again: bool,
    /// ONNX Runtime's library, as in [`EngineBuilder::runtime`](crate::EngineBuilder::runtime).
    pub runtime: Option<PathBuf>,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It was made.
    Made(Optimized),
    /// It was there.
    Present(Optimized),
    /// The graph is none that this can make faster. The model runs as it is.
    Refused(Refusal),
}

/// A fast form of a model's encoder.
#[derive(Debug, Clone, PartialEq)]
pub struct Optimized {
    /// What it is; [`Form::Fp32`] also where [`Form::Int8`] was asked for and deviated too far.
    pub form: Form,
    /// Its folder.
    pub folder: PathBuf,
    /// Size of its graph and weights.
    pub bytes: u64,
    /// Matrix products in 8 bits.
    pub products: usize,
    /// How far its output for a fixed window is from that of what it was made from: the norm of the
    /// difference as a share of the norm. At most [`Form::deviation_max`].
    pub deviation: f64,
    /// Whether products of 8-bit numbers take a slower, exact way, because those of this processor saturate
    /// (x86-64 without VNNI).
    pub precise: bool,
}

impl Optimized {
    fn of(stored: &Stored) -> Option<Self> {
        let note = stored.note.as_ref()?;
        let (folder, bytes) = (stored.folder.clone(), stored.bytes());
        let (products, deviation, precise) = (note.products, note.deviation, note.precise);
        Some(Self { form: note.form, folder, bytes, products, deviation, precise })
    }
}

/// Makes the fast form of `model`, a model in a folder, for the processor; of several quantisations the plain
/// one is taken if it is there. Takes up to a minute and, for the published models, 3 GB.
///
/// # Errors
/// `InvalidArgument` for a model in memory; `Io` when nothing can be written beside it; `Inference` when what
/// was made computes something else; as [`EngineBuilder::build`](crate::EngineBuilder::build).
pub fn optimize(model: &Model, options: &OptimizeOptions) -> Result<Outcome> {
    let spec = match model.plain().resolve() {
        // Others are refused with a reason, or can be made faster.
        Err(error) if error.kind() == ErrorKind::ModelNotFound => model.resolve()?,
        spec => spec?,
    };
    let load = LoadOptions { runtime: options.runtime.clone(), ..LoadOptions::default() };
    let Some(source) = source(&spec) else {
        let message =
            "expected a model in a folder; this one is in memory, and nothing can be written beside it";
        return Err(Error::new(ErrorKind::InvalidArgument, message).about(&spec.source));
    };
    let key = key(&load)?;
    let present = suiting(source, &key);
    let is_wanted = present.as_ref().is_some_and(|stored| stored.form == options.form && !options.again);
    if let Some(present) = present.as_ref().filter(|_| is_wanted).and_then(Optimized::of) {
        return Ok(Outcome::Present(present));
    }
    make(&spec, source, options.form, &key, &load, present.as_ref())
}

/// The form of the graph in the file `graph` that was made last.
pub(super) fn last_form(graph: &Path) -> Option<Form> {
    store::of(graph).first().map(|stored| stored.form)
}

/// The fast forms of the graphs in a model's folder, the newest first. Only notes are read.
pub fn forms(bundle: &crate::Bundle) -> Vec<Optimized> {
    let graph = bundle.files.first().map(|(path, _)| path.as_path());
    graph.map(store::of).unwrap_or_default().iter().filter_map(Optimized::of).collect()
}

/// Folders inside the model's folder `model` that hold forms which nothing uses any more or which were not
/// finished, with their sizes. Deleting them harms no process that has one mapped.
pub fn leftovers(model: &Path) -> Vec<(PathBuf, u64)> {
    store::leftovers(model)
}

/// The form that can be used here.
fn suiting(source: &Path, key: &Key) -> Option<Stored> {
    store::of(source).into_iter().find(|stored| stored.suits(source, key).unwrap_or(false))
}

/// The file of the encoder, or of the whole CTC network.
fn source(spec: &Spec) -> Option<&Path> {
    match &spec.graphs.first().content {
        Content::File(path) => Some(path),
        Content::Saved(_) | Content::Bytes(_) => None,
    }
}

fn key(options: &LoadOptions) -> Result<Key> {
    Ok(Key::new(super::ort::version(options)?, options.provider.code(), &processor()))
}

/// What of the processor ONNX Runtime chooses its kernels and the arrangement of weights by.
fn processor() -> String {
    let mut features = vec![std::env::consts::ARCH];
    macro_rules! detect {
        ($detect:ident: $($feature:tt)*) => {
            $(if std::arch::$detect!($feature) { features.push($feature); })*
        };
    }
    #[cfg(target_arch = "x86_64")]
    detect!(is_x86_feature_detected: "sse4.1" "avx" "avx2" "fma" "avxvnni" "avxvnniint8" "avx512f" "avx512bw"
        "avx512vl" "avx512vnni" "avx512bf16" "avx512fp16");
    #[cfg(target_arch = "x86_64")]
    if has_amx() {
        features.push("amx-int8");
    }
    #[cfg(target_arch = "aarch64")]
    detect!(is_aarch64_feature_detected: "dotprod" "i8mm" "bf16" "fp16" "sve" "sve2" "sme");
    features.join(" ")
}

/// Whether the processor multiplies tiles of 8-bit numbers. Those products want their weights arranged otherwise,
/// and a virtual machine may show the rest of such a processor without it.
#[cfg(target_arch = "x86_64")]
fn has_amx() -> bool {
    const EXTENDED_FEATURES: u32 = 7;
    let highest = std::arch::x86_64::__cpuid(0).eax;
    highest >= EXTENDED_FEATURES && std::arch::x86_64::__cpuid_count(EXTENDED_FEATURES, 0).edx >> 25 & 1 == 1
}

/// Makes a form in place of `old`. One that is too far off its source is not installed; for one in 8 bits that
/// of floats is made in its place.
fn make(
    spec: &Spec,
    source: &Path,
    form: Form,
    key: &Key,
    options: &LoadOptions,
    old: Option<&Stored>,
) -> Result<Outcome> {
    let writer = Writer::new(source)?;
    // Whoever held the lock may have made it.
    let present = suiting(source, key).filter(|stored| old.is_none_or(|old| old.folder != stored.folder));
    if let Some(present) = present.as_ref().filter(|stored| stored.form == form).and_then(Optimized::of) {
        return Ok(Outcome::Present(present));
    }
    let plain = LoadOptions { keeping: false, ..options.clone() };
    let network = super::ort::open(spec.clone(), &plain)?;
    let original = Original { output: check::output(&network)?, ports: network.encoder_ports()? };
    drop(network);
    match write(&writer, spec, source, form, key, options, &original) {
        Err(error) if form == Form::Int8 && error.kind() == ErrorKind::Inference => {
            log::warn!("{}: {error}; it stays in floats", source.display());
            write(&writer, spec, source, Form::Fp32, key, options, &original)
        }
        made => made,
    }
}

/// The encoder that a form is made of: what it gives for the fixed window, and its tensors.
struct Original {
    output: Vec<f32>,
    ports: Encoder,
}

fn write(
    writer: &Writer,
    spec: &Spec,
    source: &Path,
    form: Form,
    key: &Key,
    options: &LoadOptions,
    original: &Original,
) -> Result<Outcome> {
    let unfinished = writer.begin()?;
    let rewritten = unfinished.folder.join("rewritten.onnx");
    let (products, origin) = {
        let bytes = spec.graphs.first().content.read()?;
        let origin = Source::of(source, &bytes)?;
        let mut graph = Graph::parse(bytes).map_err(|e| e.in_file(source))?;
        pointwise::to_matrix_products(&mut graph);
        match streaming::encoder(graph.clone(), &original.ports) {
            Ok(keeping) => graph = keeping.graph,
            Err(reason) => {
                log::info!("{}: its fast form keeps no context: {reason}", source.display());
                attention::merge(&mut graph);
            }
        }
        let products = match form {
            Form::Fp32 => 0,
            Form::Int8 => {
                unfold::to_matrix_products(&mut graph);
                match quantise(&mut graph) {
                    Ok(products) => products,
                    Err(refusal) => return Ok(Outcome::Refused(refusal)),
                }
            }
        };
        std::fs::write(&rewritten, graph.into_bytes()).map_err(|e| Error::io(&rewritten, &e))?;
        (products, origin)
    };
    super::ort::save(&rewritten, &unfinished.graph(), WEIGHTS, options)?;
    std::fs::remove_file(&rewritten).map_err(|e| Error::io(&rewritten, &e))?;
    unfinished.weights()?;
    let fast = super::ort::open(spec.with_encoder(part(unfinished.graph(), 0)), options)?;
    let deviation = check::holds(&fast, form, &original.output)?;
    drop(fast);
    let precise = form == Form::Int8 && super::ort::saturates();
    let facts = Facts { products, deviation, precise, expected: &original.output };
    let stored = writer.commit(&unfinished, key, form, origin, facts)?;
    let made = Optimized::of(&stored);
    made.map(Outcome::Made).ok_or_else(|| Error::new(ErrorKind::Internal, "a form without a note"))
}

fn part(graph: PathBuf, size: u64) -> Part {
    Part { name: graph.display().to_string(), size, content: Content::Saved(graph) }
}

/// Opens the model in its fast form, if it has one or is to have one; `None` when it has none. Whatever goes
/// wrong with it is told in the log.
pub(super) fn open(spec: &Spec, options: &LoadOptions, wanted: bool) -> Option<(OrtNetwork, Form)> {
    let source = source(spec).filter(|_| options.provider == Provider::Cpu)?;
    let stored = store::of(source);
    let form = stored.first().map(|stored| stored.form).or(wanted.then(Form::default))?;
    let opened = key(options).and_then(|key| {
        let present = suiting(source, &key);
        match present.as_ref().map(|stored| open_stored(spec, stored, options)) {
            Some(Ok(fast)) => return Ok(Some(fast)),
            Some(Err(error)) => log::warn!("{error}; its fast form is made anew"),
            None => log::info!("{}: its fast form is made for this machine", source.display()),
        }
        if let Outcome::Refused(refusal) = make(spec, source, form, &key, options, present.as_ref())? {
            log::info!("{}: it runs as it is: {refusal}", source.display());
            return Ok(None);
        }
        suiting(source, &key).map(|stored| open_stored(spec, &stored, options)).transpose()
    });
    opened.unwrap_or_else(|error| {
        log::warn!("{error}; the model runs as it is");
        None
    })
}

/// Opens a form and checks it on this processor.
fn open_stored(spec: &Spec, stored: &Stored, options: &LoadOptions) -> Result<(OrtNetwork, Form)> {
    let fast = spec.with_encoder(part(stored.graph(), stored.bytes()));
    let network = super::ort::open(fast, options)?;
    check::holds(&network, stored.form, &stored.expected()?).map_err(|e| e.in_file(&stored.folder))?;
    Ok((network, stored.form))
}
