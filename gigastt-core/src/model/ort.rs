//! ONNX Runtime: the only file that names the crate `ort`.
//!
//! The library is loaded once in a process and stays. Each lane owns its sessions, because a session
//! of this crate serves one call at a time; ONNX Runtime shares packed weights between sessions only
//! where initialisers are handed in one by one, so each lane has its own. Threads are counted
//! explicitly and never spin. What ONNX Runtime has to say goes to the `log` crate; failures come back
//! as errors besides.

use std::borrow::Cow;
use std::fs::File;
use std::iter::repeat_n;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crate::sync::Mutex;
use half::f16;
use ort::environment::{Environment, EnvironmentBuilder};
use ort::ep::cuda::ConvAlgorithmSearch;
use ort::ep::{self, ExecutionProvider as _};
use ort::logging::LogLevel;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{RunOptions, Session, SessionInputValue, SessionOutputs};
use ort::value::{Outlet, PrimitiveTensorElementType, TensorElementType, TensorRef, ValueType};
use ort::{ErrorCode, LoadDynamicError};

use super::bundle::{Content, Graphs, Part, Spec};
use super::decode::{self, Transducer};
use super::graph::Graph;
use super::graph::cut::{self, Cut};
use super::graph::streaming::{self, Ports, Shape};
use super::graph::{attention, pointwise};
use super::interface::{self, Dtype, Encoder, Interface, Joint, Port, Predictor, STATE};
use super::runtime::{Found, How, LOADER_NAMES, Places};
use super::vocab::Vocab;
use super::{
    BEFORE, DecoderState, Encoded, Interrupt, Lane, LoadOptions, MELS, Network, Past, Provider, Step,
    encoder_frames,
};
use crate::engine::in_runtime;
use crate::{Error, ErrorKind, Result, Token};

/// The library of this process, once it is loaded.
static LOADED: Mutex<Option<Loaded>> = Mutex::new(None);

struct Loaded {
    found: Found,
    environment: Environment,
}

/// Loads the ONNX Runtime that the options name or the first place has, or returns what is loaded.
///
/// # Errors
/// `Runtime` when there is none or it cannot be used, and when the options name another library than the
/// one this process already runs on.
fn environment(options: &LoadOptions) -> Result<Environment> {
    let argument = options.runtime.as_deref();
    let mut loaded = LOADED.lock();
    if let Some(Loaded { found, environment }) = &*loaded {
        if argument.is_some_and(|path| !same_file(path, &found.path)) {
            let message = format!(
                "this process already runs on ONNX Runtime from {}; pass that path or none",
                found.path.display()
            );
            return Err(Error::new(ErrorKind::Runtime, message).in_file(argument.unwrap_or(&found.path)));
        }
        return Ok(environment.clone());
    }
    let places = Places::of_process(argument, &options.runtime_folders);
    let found = if is_linked() { None } else { places.find()? };
    let unusable = |found: &Found, error: &dyn std::error::Error| {
        let what = format!("cannot be used as ONNX Runtime 1.{} or newer: {error}", ort::MINOR_VERSION);
        places.unusable(found, &what)
    };
    let (found, builder) = match found {
        None if is_linked() => (Found { path: "the program".into(), how: How::Argument }, ort::init()),
        Some(found) => (found.clone(), ort::init_from(&found.path).map_err(|e| unusable(&found, &e))?),
        None => by_bare_name(unusable)?.ok_or_else(|| places.missing())?,
    };
    let environment = builder.with_name("gigastt").with_telemetry(false).with_logger(Arc::new(log)).build();
    let environment = environment.map_err(|e| unusable(&found, &e))?;
    environment.set_log_level(LogLevel::Warning);
    log::info!("ONNX Runtime: {} (found by: {})", found.path.display(), found.how);
    *loaded = Some(Loaded { found, environment: environment.clone() });
    Ok(environment)
}

/// Whether the program handed an ONNX Runtime over.
#[cfg(feature = "ort-link")]
static LINKED: OnceLock<()> = OnceLock::new();

fn is_linked() -> bool {
    #[cfg(feature = "ort-link")]
    return LINKED.get().is_some();
    #[cfg(not(feature = "ort-link"))]
    return false;
}

/// Makes engines run on the ONNX Runtime whose functions these are, in place of one that is loaded. To be
/// called before the first engine is made; later calls change nothing.
#[cfg(feature = "ort-link")]
pub fn use_linked_runtime(api: ort::sys::OrtApi) {
    if ort::set_api(api) {
        let _ = LINKED.set(());
    }
}

/// Asks the system's loader; `None` when it knows no such library.
fn by_bare_name(
    unusable: impl Fn(&Found, &dyn std::error::Error) -> Error,
) -> Result<Option<(Found, EnvironmentBuilder)>> {
    for name in LOADER_NAMES {
        let found = Found { path: PathBuf::from(name), how: How::Loader };
        match ort::init_from(name) {
            Ok(builder) => return Ok(Some((found, builder))),
            Err(LoadDynamicError::Dlopen { .. }) => {}
            Err(e) => return Err(unusable(&found, &e)),
        }
    }
    Ok(None)
}

fn same_file(a: &Path, b: &Path) -> bool {
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    real(a) == real(b)
}

/// Every failure also comes back as an error, so nothing here is louder than a warning; the end of a
/// cancelled call is no failure at all.
fn log(level: LogLevel, _category: &str, _id: &str, place: &str, message: &str) {
    let level = match level {
        _ if message.contains("terminate flag") => log::Level::Debug,
        LogLevel::Fatal | LogLevel::Error => log::Level::Warn,
        LogLevel::Warning => log::Level::Debug,
        LogLevel::Info | LogLevel::Verbose => log::Level::Trace,
    };
    log::log!(target: "gigastt_core::onnxruntime", level, "{message} ({place})");
}

/// Opens a model and validates it.
///
/// # Errors
/// `Runtime`, `Provider`, `InvalidModel`, `Io`; see their kinds.
pub(crate) fn open(spec: Spec, options: &LoadOptions) -> Result<OrtNetwork> {
    let environment = environment(options)?;
    if !available(options.provider)? {
        let message = format!("the loaded ONNX Runtime has no provider {}", options.provider.code());
        return Err(Error::new(ErrorKind::Provider, message));
    }
    let network = OrtNetwork {
        environment,
        spec,
        options: options.clone(),
        joint: OnceLock::new(),
        keeping: OnceLock::new(),
        rewritten: OnceLock::new(),
        spare: Mutex::new(None),
    };
    let lane = network.open_lane()?;
    *network.spare.lock() = Some(lane);
    Ok(network)
}

/// Mel frames under an encoder frame.
const STRIDE: usize = 4;
/// Encoder frames on which an encoder that keeps what it has computed, or is rewritten, is compared with the
/// original, and the largest deviation that rounding may cause. Activations in 8 bits made 0.04 of the full-size model, kept rows in 8
/// bits 0.0004, and faults in what is kept 0.17 and more of the embedded one.
const CHECKED: usize = 36;
const DEVIATION_MAX: f32 = 0.1;

fn window_to_check() -> Vec<f32> {
    (0..CHECKED * STRIDE * MELS).map(|n| (n as f32 * 0.7).sin() * 4.0 - 8.0).collect()
}

/// What tells one build of the loaded ONNX Runtime from another.
///
/// # Errors
/// `Runtime` when there is none.
#[cfg(feature = "optimize")]
pub(crate) fn version(options: &LoadOptions) -> Result<&'static str> {
    environment(options).map(|_| ort::info())
}

/// Saves the graph in the file `from` as ONNX Runtime runs it on this processor: the graph in the file `to`,
/// its constants beside it in a file of the name `weights`, arranged as the kernels read them. Sessions on it
/// map that file into memory, so those of all workers and processes share it.
///
/// # Errors
/// `InvalidModel` when it cannot run the graph, `Runtime`.
#[cfg(feature = "optimize")]
pub(crate) fn save(from: &Path, to: &Path, weights: &str, options: &LoadOptions) -> Result<()> {
    let environment = environment(options)?;
    let settings = [
        ("session.optimized_model_external_initializers_file_name", weights),
        ("session.optimized_model_external_initializers_min_size_in_bytes", "1024"),
        ("session.save_external_prepacked_constant_initializers", "1"),
    ];
    let build = || -> ort::Result<SessionBuilder> {
        let mut builder = builder(&environment, 1)?.with_optimized_model_path(to)?;
        for (name, value) in settings {
            builder = builder.with_config_entry(name, value)?;
        }
        Ok(builder)
    };
    let mut builder = build().map_err(|e| Error::new(ErrorKind::Runtime, e.message()))?;
    match builder.commit_from_file(from) {
        Ok(_) => Ok(()),
        Err(e) => Err(Error::new(ErrorKind::InvalidModel, e.message()).in_file(from)),
    }
}

/// Options of every session.
fn builder(environment: &Environment, intra_threads: usize) -> ort::Result<SessionBuilder> {
    let mut builder = Session::builder(environment)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_intra_threads(intra_threads)?
        .with_inter_threads(1)?
        .with_intra_op_spinning(false)?
        .with_inter_op_spinning(false)?
        // A pattern is kept for every length of window ever seen.
        .with_memory_pattern(false)?;
    if saturates() {
        builder = builder.with_config_entry("session.x64quantprecision", "1")?;
    }
    Ok(builder)
}

/// A model on ONNX Runtime.
pub(crate) struct OrtNetwork {
    environment: Environment,
    spec: Spec,
    options: LoadOptions,
    /// How the joint network is run, found out with the first lane.
    joint: OnceLock<(Joint, Option<Cut>)>,
    /// How the encoder keeps what it has computed, and how much, found out with the first lane; `None`: it does not.
    keeping: OnceLock<Option<(Keeping, Shape)>>,
    /// Whether the encoder runs as [`rewritten`], found out with the first lane.
    rewritten: OnceLock<bool>,
    /// The lane that was opened to validate the model; the first worker gets it.
    spare: Mutex<Option<OrtLane>>,
}

/// Where an encoder comes from that keeps what it has computed.
#[derive(Debug, Clone, PartialEq)]
enum Keeping {
    /// The file is one.
    Written,
    /// It is cut from that in the file, whose tensors these are.
    Cut(Encoder),
}

impl Network for OrtNetwork {
    fn vocab(&self) -> Arc<Vocab> {
        Arc::clone(&self.spec.vocab)
    }

    fn kept(&self) -> Option<usize> {
        let (_, Shape { layers, width, .. }) = self.keeping.get()?.as_ref()?;
        Some(Past::frame_bytes(2 * layers, *width))
    }

    fn copied_bytes(&self) -> u64 {
        let part = self.spec.graphs.first();
        match &part.content {
            #[cfg(feature = "optimize")]
            Content::Saved(_) => 0,
            Content::File(_) | Content::Bytes(_) => part.size,
        }
    }

    fn lane(&self) -> Result<Box<dyn Lane>> {
        let spare = self.spare.lock().take();
        Ok(Box::new(match spare {
            Some(lane) => lane,
            None => self.open_lane()?,
        }))
    }
}

impl OrtNetwork {
    /// The model's files and vocabulary.
    pub(crate) fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Width of an encoder frame; `None` for a CTC network.
    pub(crate) fn encoder_width(&self) -> Option<usize> {
        self.spare.lock().as_ref().filter(|lane| lane.rnnt.is_some()).map(|lane| lane.width)
    }

    /// The encoder's tensors.
    ///
    /// # Errors
    /// Those of opening a lane.
    #[cfg(feature = "optimize")]
    pub(crate) fn encoder_ports(&self) -> Result<Encoder> {
        match &*self.spare.lock() {
            Some(lane) => Ok(lane.ports.clone()),
            None => Ok(self.open_lane()?.ports),
        }
    }

    /// Runs the lane that the first worker will get.
    ///
    /// # Errors
    /// What `call` says; those of opening a lane.
    #[cfg(feature = "optimize")]
    pub(crate) fn try_out<T>(&self, call: impl FnOnce(&mut dyn Lane) -> Result<T>) -> Result<T> {
        let spare = self.spare.lock().take();
        let mut lane = match spare {
            Some(lane) => lane,
            None => self.open_lane()?,
        };
        let outcome = call(&mut lane)?;
        *self.spare.lock() = Some(lane);
        Ok(outcome)
    }

    fn open_lane(&self) -> Result<OrtLane> {
        let vocab = self.spec.vocab.len();
        let ((encoder, ports, shape), width, rnnt) = match &self.spec.graphs {
            Graphs::Ctc(part) => (self.open_encoder(part, |g| Encoder::of_ctc(g, vocab))?, vocab, None),
            Graphs::Rnnt { encoder, decoder, joint } => {
                let (session, ports, shape) = self.open_encoder(encoder, Encoder::of_rnnt)?;
                // Their calls take microseconds; the way to another device and back takes longer.
                let predictor = self.session(decoder, Provider::Cpu, Predictor::of)?;
                let (width, joint) = self.open_joint(joint, &ports)?;
                let networks = Rnnt { predictor, joint, width, scores: Vec::new(), classes: vocab };
                ((session, ports, shape), width, Some(Box::new(networks)))
            }
        };
        let (blank, max_symbols) = (self.spec.vocab.blank(), self.options.max_symbols);
        let mut lane = OrtLane {
            encoder,
            ports,
            shape: shape.map(Layers::new),
            width,
            rnnt,
            blank,
            max_symbols,
            audio: Vec::new(),
            lengths: Vec::new(),
        };
        if self.options.keeping && self.options.provider == Provider::Cpu && self.keeping.get().is_none() {
            let _ = self.keeping.set(self.make_keep(&mut lane));
        }
        if self.options.provider == Provider::Cuda && self.rewritten.get().is_none() {
            let _ = self.rewritten.set(self.rewrite(&mut lane)?);
        }
        Ok(lane)
    }

    /// The encoder as it is, or keeping what it has computed if that was found to work.
    fn open_encoder(
        &self,
        part: &Part,
        check: impl FnOnce(&Interface) -> Result<Encoder>,
    ) -> Result<(Session, Encoder, Option<Shape>)> {
        if let Some(Some((Keeping::Cut(ports), _))) = self.keeping.get() {
            let (session, shape) = self.open_cut_encoder(part, ports)?;
            return Ok((session, ports.clone(), Some(shape)));
        }
        let rewritten = if self.rewritten.get() == Some(&true) { rewritten(part)? } else { None };
        let part = rewritten.as_ref().unwrap_or(part);
        let check = |graph: &Interface| {
            let (graph, shape) = streaming::without_past(graph);
            Ok((check(&graph)?, shape))
        };
        let (session, (ports, shape)) = self.session(part, self.options.provider, check)?;
        Ok((session, ports, shape))
    }

    fn open_cut_encoder(&self, part: &Part, ports: &Encoder) -> Result<(Session, Shape)> {
        let streaming = streaming::encoder(Graph::parse(part.content.read()?)?, ports)?;
        let session = self.builder(self.options.provider)?.commit_from_memory(&streaming.graph.into_bytes());
        Ok((session.map_err(inference)?, streaming.shape))
    }

    /// Makes the lane's encoder one that keeps what it has computed, if there can be one and it computes what
    /// the encoder did; the log says why there is none.
    fn make_keep(&self, lane: &mut OrtLane) -> Option<(Keeping, Shape)> {
        let part = self.spec.graphs.first();
        let mut replace = || -> Result<(Keeping, f32)> {
            let mel = window_to_check();
            let expected = lane.encode(&[&mel], &Interrupt::default())?;
            if lane.shape.is_some() {
                return Ok((Keeping::Written, lane.deviation_in_steps(&mel, &expected)?));
            }
            let (session, shape) = self.open_cut_encoder(part, &lane.ports)?;
            let plain = std::mem::replace(&mut lane.encoder, session);
            lane.shape = Some(Layers::new(shape));
            let deviation = lane.deviation(&mel, &expected);
            if !deviation.as_ref().is_ok_and(|deviation| *deviation < DEVIATION_MAX) {
                (lane.encoder, lane.shape) = (plain, None);
            }
            Ok((Keeping::Cut(lane.ports.clone()), deviation?))
        };
        match replace() {
            Ok((keeping, deviation)) if deviation < DEVIATION_MAX => {
                Some((keeping, lane.shape.as_ref()?.shape))
            }
            Ok((_, off)) => {
                log::warn!("{}: keeps no context, since it would be {off} off", part.name);
                None
            }
            Err(error) => {
                log::info!("{}: keeps no context: {error}", part.name);
                None
            }
        }
    }

    /// Makes the lane's encoder the [`rewritten`] one, if there is one and it computes what the encoder does; the log
    /// says why there is none.
    ///
    /// # Errors
    /// `Provider` when the encoder does not run at all: what a device lacks shows with the first call.
    fn rewrite(&self, lane: &mut OrtLane) -> Result<bool> {
        let (part, provider) = (self.spec.graphs.first(), self.options.provider);
        let mel = window_to_check();
        let expected = lane.encode(&[&mel], &Interrupt::default());
        let expected = expected.map_err(|e| not_run_by(provider, e.message()).about(&part.name))?;
        let mut replace = || -> Result<Option<f32>> {
            let Some(part) = rewritten(part)? else { return Ok(None) };
            let (session, ()) = self.session(&part, provider, |_| Ok(()))?;
            let plain = std::mem::replace(&mut lane.encoder, session);
            let deviation = lane
                .encode(&[&mel], &Interrupt::default())
                .map(|found| relative(&found.data, &expected.data));
            if !deviation.as_ref().is_ok_and(|deviation| *deviation < DEVIATION_MAX) {
                lane.encoder = plain;
            }
            deviation.map(Some)
        };
        match replace() {
            Ok(Some(deviation)) if deviation < DEVIATION_MAX => return Ok(true),
            Ok(Some(off)) => {
                log::warn!("{}: runs as it is, since rewritten it would be {off} off", part.name)
            }
            Ok(None) => log::info!("{}: runs as it is: there is nothing to rewrite", part.name),
            Err(error) => log::info!("{}: runs as it is: {error}", part.name),
        }
        Ok(false)
    }

    /// Makes lanes join frame by frame, as published; says whether they did not before.
    #[cfg(test)]
    pub(crate) fn join_plainly(&mut self) -> bool {
        self.spare.lock().take();
        self.joint.get_mut().is_some_and(|(_, cut)| cut.take().is_some())
    }

    /// Makes lanes run the encoder rewritten, as those on CUDA do; says whether they do.
    #[cfg(test)]
    pub(crate) fn rewrite_as_on_cuda(&self) -> Result<bool> {
        let spare = self.spare.lock().take();
        let done = self.rewrite(&mut spare.map_or_else(|| self.open_lane(), Ok)?)?;
        let _ = self.rewritten.set(done);
        Ok(done)
    }

    /// The width of its frames and the joint network in the form that is fastest.
    fn open_joint(&self, part: &Part, encoder: &Encoder) -> Result<(usize, JointNetwork)> {
        if let Some((ports, Some(cut))) = self.joint.get() {
            return Ok((width(encoder, ports)?, JointNetwork::Cut(self.open_cut(cut, ports)?)));
        }
        let vocab = self.spec.vocab.len();
        let (session, ports) = self.session(part, Provider::Cpu, |g| Joint::of(g, vocab))?;
        let width = width(encoder, &ports).map_err(|e| e.about(&part.name))?;
        let mut plain = PlainJoint { session, ports: ports.clone(), width, frames: Vec::new() };
        if self.joint.get().is_some() {
            return Ok((width, JointNetwork::Plain(plain)));
        }
        let cut = match self.cut(part, &mut plain) {
            Ok(cut) => cut,
            Err(error) => {
                log::info!("{}: joined frame by frame: {error}", part.name);
                None
            }
        };
        let (cut, network) = match cut {
            Some((cut, network)) => (Some(cut), JointNetwork::Cut(network)),
            None => (None, JointNetwork::Plain(plain)),
        };
        let _ = self.joint.set((ports, cut));
        Ok((width, network))
    }

    /// The joint network in two parts, if that is possible and they compute what `plain` does.
    fn cut(&self, part: &Part, plain: &mut PlainJoint) -> Result<Option<(Cut, CutJoint)>> {
        const FRAMES: usize = 5;
        let Some(cut) = cut::joint(part.content.read()?, &plain.ports)? else { return Ok(None) };
        let mut network = self.open_cut(&cut, &plain.ports)?;
        let wave = |size: usize| (0..size).map(|n| (n as f32 * 0.7).sin()).collect::<Vec<_>>();
        let (frames, dec) = (wave(FRAMES * plain.width), wave(STATE));
        let (mut expected, mut found) = (Vec::new(), Vec::new());
        plain.frames(&frames);
        for frame in 0..FRAMES {
            plain.join(frame, &dec, &mut found)?;
            expected.extend_from_slice(&found);
        }
        network.frames(&frames, plain.width)?;
        network.join(0..FRAMES, &dec, &mut found)?;
        let near = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-4 * b.abs().max(1.0);
        let same = found.len() == expected.len() && found.iter().zip(&expected).all(near);
        Ok(same.then_some((cut, network)))
    }

    fn open_cut(&self, cut: &Cut, ports: &Joint) -> Result<CutJoint> {
        let open = |graph: &[u8]| self.builder(Provider::Cpu)?.commit_from_memory(graph).map_err(inference);
        Ok(CutJoint {
            project: open(&cut.project)?,
            score: open(&cut.score)?,
            meeting: cut.meeting.clone(),
            ports: ports.clone(),
            projected: Vec::new(),
            row: Vec::new(),
        })
    }

    /// A session on `part` and its tensors as `check` finds them.
    fn session<P>(
        &self,
        part: &Part,
        provider: Provider,
        check: impl FnOnce(&Interface) -> Result<P>,
    ) -> Result<(Session, P)> {
        let mut builder = self.builder(provider)?;
        let session = match &part.content {
            Content::File(path) => {
                File::open(path).map_err(|e| Error::io(path, &e))?;
                builder.commit_from_file(path)
            }
            #[cfg(feature = "optimize")]
            Content::Saved(path) => builder
                .with_optimization_level(GraphOptimizationLevel::Disable)
                .map_err(ort::Error::into)
                .and_then(|mut builder| builder.commit_from_file(path)),
            Content::Bytes(bytes) => builder.commit_from_memory(bytes),
        };
        let session = session.map_err(|e| match e.code() {
            ErrorCode::ExecutionProviderFailure => not_run_by(provider, e.message()).about(&part.name),
            _ => refused(provider, e.message()).about(&part.name),
        })?;
        let ports = |outlets: &[Outlet]| outlets.iter().map(port).collect();
        let graph = Interface { inputs: ports(session.inputs()), outputs: ports(session.outputs()) };
        let ports = check(&graph).map_err(|e| e.about(&part.name))?;
        Ok((session, ports))
    }

    fn builder(&self, provider: Provider) -> Result<SessionBuilder> {
        let builder = builder(&self.environment, self.options.intra_threads);
        let builder = builder.map_err(|e| Error::new(ErrorKind::Runtime, e.message()))?;
        let dispatch = match provider {
            Provider::Cpu => return Ok(builder),
            Provider::Cuda => cuda().build(),
            Provider::CoreMl => ep::CoreML::default().build(),
            Provider::OpenVino => ep::OpenVINO::default().build(),
        };
        builder.with_execution_providers([dispatch.error_on_failure()]).map_err(|e| {
            let message = format!("the provider {} cannot be used: {}", provider.code(), cause(e.message()));
            Error::new(ErrorKind::Provider, message)
        })
    }
}

/// CUDA for windows of ever new lengths. By default all algorithms of a convolution are tried for each new shape,
/// which takes longer than the windows. With products in 19 bits (TF32) one word in a hundred was another than on
/// the processor, and nothing was faster.
fn cuda() -> ep::CUDA {
    ep::CUDA::default().with_conv_algorithm_search(ConvAlgorithmSearch::Heuristic).with_tf32(false)
}

/// `part` with pointwise convolutions as matrix products and attention as one operator; `None` when it has neither.
/// With pointwise convolutions left to cuDNN the encoder took twice as long, and live text could not keep up.
///
/// # Errors
/// `Io`; `InvalidModel` when the graph cannot be read or has its weights elsewhere.
fn rewritten(part: &Part) -> Result<Option<Part>> {
    let mut graph = Graph::parse(part.content.read()?)?;
    let changed = pointwise::to_matrix_products(&mut graph) + attention::merge(&mut graph);
    let content = || Content::Bytes(Arc::new(Cow::Owned(graph.into_bytes())));
    Ok((changed > 0).then(|| Part { name: part.name.clone(), size: part.size, content: content() }))
}

/// Why no session came of a graph: because of the graph, or of the device.
pub(super) fn refused(provider: Provider, message: &str) -> Error {
    if provider != Provider::Cpu && begin_of_cause(message).is_some() {
        return not_run_by(provider, message);
    }
    Error::new(ErrorKind::InvalidModel, format!("expected a graph that ONNX Runtime can run: {message}"))
}

fn not_run_by(provider: Provider, message: &str) -> Error {
    let message = format!("the provider {} cannot run it: {}", provider.code(), cause(message));
    Error::new(ErrorKind::Provider, message)
}

/// What went wrong on a device, of a message that begins with a place in ONNX Runtime's sources and its signature.
fn cause(message: &str) -> &str {
    let begin = begin_of_cause(message).unwrap_or(0);
    let end = message[begin..].find(" ; GPU=").map_or(message.len(), |length| begin + length);
    message[begin..end].trim_end()
}

/// Where a message begins to tell what went wrong on a device.
fn begin_of_cause(message: &str) -> Option<usize> {
    const BEGINNINGS: [&str; 7] = [
        "CUDA failure ",
        "CUBLAS failure ",
        "CUDNN failure ",
        "cuDNN is ",
        "Failed to load library ",
        "Failed to allocate memory ",
        "Available memory of ",
    ];
    BEGINNINGS.iter().filter_map(|words| message.find(words)).min()
}

/// Whether products of unsigned and signed bytes saturate on this processor (x86-64 without VNNI), so
/// that ONNX Runtime has to take the slower exact way.
pub(crate) fn saturates() -> bool {
    #[cfg(target_arch = "x86_64")]
    return !is_x86_feature_detected!("avx512vnni") && !is_x86_feature_detected!("avxvnni");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

fn available(provider: Provider) -> Result<bool> {
    match provider {
        Provider::Cpu => Ok(true),
        Provider::Cuda => ep::CUDA::is_available(),
        Provider::CoreMl => ep::CoreML::is_available(),
        Provider::OpenVino => ep::OpenVINO::is_available(),
    }
    .map_err(|e| Error::new(ErrorKind::Runtime, e.message()))
}

fn port(outlet: &Outlet) -> Port {
    let (dtype, dims) = match outlet.dtype() {
        ValueType::Tensor { ty, shape, .. } => {
            let dtype = match ty {
                TensorElementType::Float32 => Dtype::F32,
                TensorElementType::Int32 => Dtype::I32,
                TensorElementType::Int64 => Dtype::I64,
                other => Dtype::Other(other.to_string()),
            };
            (dtype, shape.iter().map(|&dim| usize::try_from(dim).ok()).collect())
        }
        other => (Dtype::Other(other.to_string()), Vec::new()),
    };
    Port { name: outlet.name().into(), dtype, dims }
}

/// The width of an encoder frame, from the encoder or from the joint network.
fn width(encoder: &Encoder, joint: &Joint) -> Result<usize> {
    interface::agree("encoder features", joint.width, "the encoder gives", encoder.width)?;
    encoder.width.or(joint.width).ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidModel,
            "neither the encoder nor the joint network declares the frame's width",
        )
    })
}

/// The sessions of one worker.
struct OrtLane {
    encoder: Session,
    ports: Encoder,
    /// Of an encoder that keeps what it has computed.
    shape: Option<Layers>,
    width: usize,
    /// `None` for a CTC network.
    rnnt: Option<Box<Rnnt>>,
    blank: u32,
    max_symbols: u32,
    /// Input of the encoder, kept between calls.
    audio: Vec<f32>,
    lengths: Vec<i64>,
}

impl Lane for OrtLane {
    fn encode(&mut self, windows: &[&[f32]], interrupt: &Interrupt) -> Result<Encoded> {
        let frames = equal_frames(windows)?;
        if frames == 0 {
            return Ok(Encoded { data: Vec::new(), frames: 0, width: self.width });
        }
        if self.shape.is_some() {
            return self.run(windows, &mut [], interrupt);
        }
        self.take(windows, frames);
        self.lengths.clear();
        self.lengths.resize(windows.len(), frames as i64);
        let audio = TensorRef::from_array_view(([windows.len(), MELS, frames], self.audio.as_slice()));
        let lengths = TensorRef::from_array_view(([windows.len()], self.lengths.as_slice()));
        let inputs = ort::inputs![
            self.ports.audio.as_str() => audio.map_err(inference)?,
            self.ports.length.as_str() => lengths.map_err(inference)?,
        ];
        let run_options = run_options()?;
        let outputs = call(&mut self.encoder, inputs, &run_options, interrupt)?;
        encoded(&self.ports, &outputs, windows.len(), encoder_frames(frames), self.width)
    }

    fn step(&mut self, steps: &mut [Step<'_>], interrupt: &Interrupt) -> Result<Encoded> {
        let windows: Vec<&[f32]> = steps.iter().map(|step| step.mel).collect();
        self.run(&windows, steps, interrupt)
    }

    fn decode(
        &mut self,
        encoded: &Encoded,
        item: usize,
        frames: Range<usize>,
        state: &mut DecoderState,
        tokens: &mut Vec<Token>,
        interrupt: &Interrupt,
    ) -> Result<()> {
        let frames = encoded.span(item, frames)?;
        match self.rnnt.as_deref_mut() {
            Some(networks) => {
                decode::rnnt(networks, self.blank, self.max_symbols, frames, state, tokens, interrupt)
            }
            None => decode::ctc(self.blank, frames, state, tokens, interrupt),
        }
    }
}

impl OrtLane {
    /// Makes windows of so many mel frames the encoder's input.
    fn take(&mut self, windows: &[&[f32]], frames: usize) {
        self.audio.clear();
        self.audio.resize(windows.len() * frames * MELS, 0.0);
        for (window, item) in windows.iter().zip(self.audio.chunks_exact_mut(frames * MELS)) {
            transpose(window, MELS, item);
        }
    }

    /// A call of an encoder that keeps what it has computed: on windows as they are, or on these as steps.
    fn run(&mut self, windows: &[&[f32]], steps: &mut [Step<'_>], interrupt: &Interrupt) -> Result<Encoded> {
        let (items, mel_frames) = (windows.len(), equal_frames(windows)?);
        self.take(windows, mel_frames);
        let Some(layers) = &mut self.shape else {
            return Err(Error::new(ErrorKind::Internal, "this encoder keeps nothing"));
        };
        let (before, step) = equal_steps(steps)?;
        let frames = encoder_frames(mel_frames).checked_sub(before).filter(|frames| step <= *frames);
        let frames = frames.ok_or_else(|| {
            let message = format!("{mel_frames} mel frames hold no step of {step} frames after {before}");
            Error::new(ErrorKind::Internal, message)
        })?;
        let kept = layers.take(items, frames, steps);
        let Layers {
            shape: Shape { width, past: inputs_kept, .. },
            ports,
            positions,
            mask,
            rows,
            convolutions,
        } = layers;
        let (width, inputs_kept, convolution) = (*width, *inputs_kept, *width * *inputs_kept);
        self.lengths.clear();
        self.lengths.resize(items, mel_frames as i64);
        let (before, step_given) = ([before as i64], [step as i64]);
        let audio = TensorRef::from_array_view(([items, MELS, mel_frames], self.audio.as_slice()));
        let lengths = TensorRef::from_array_view(([items], self.lengths.as_slice()));
        let positions = TensorRef::from_array_view(([items, frames], positions.as_slice()));
        let mask = TensorRef::from_array_view(([items, kept + frames], mask.as_slice()));
        let mut inputs = ort::inputs![
            self.ports.audio.as_str() => audio.map_err(inference)?,
            self.ports.length.as_str() => lengths.map_err(inference)?,
            streaming::POSITIONS => positions.map_err(inference)?,
            streaming::CONTEXT => TensorRef::from_array_view(([1], before.as_slice())).map_err(inference)?,
            streaming::STEP => TensorRef::from_array_view(([1], step_given.as_slice())).map_err(inference)?,
            streaming::MASK => mask.map_err(inference)?,
        ];
        for (layer, ports) in ports.iter().enumerate() {
            for (kind, [name, _]) in [(2 * layer, &ports.keys), (2 * layer + 1, &ports.values)] {
                let rows = TensorRef::from_array_view(([items, kept, width], rows[kind].as_slice()));
                let rows = rows.map_err(inference)?;
                inputs.push((name.as_str().into(), rows.into()));
            }
            let values = convolutions[layer].as_slice();
            let values =
                TensorRef::from_array_view(([items, width, inputs_kept], values)).map_err(inference)?;
            inputs.push((ports.convolution[0].as_str().into(), values.into()));
        }
        let run_options = run_options()?;
        let mut outputs = call(&mut self.encoder, inputs, &run_options, interrupt)?;
        if let Some((length, _)) = &self.ports.encoded_length {
            // It counts the frames before the step, too.
            outputs.remove(length);
        }
        let encoded = encoded(&self.ports, &outputs, items, frames, self.width)?;
        if steps.is_empty() {
            return Ok(encoded);
        }
        // All of it is there before any of it is taken.
        let mut left = Vec::with_capacity(ports.len());
        for Ports { keys, values, convolution: inputs } in ports.iter() {
            let keys = values_of::<f16>(&outputs, &keys[1], items * step * width)?;
            let values = values_of::<f16>(&outputs, &values[1], items * step * width)?;
            left.push((keys, values, values_of::<f32>(&outputs, &inputs[1], items * convolution)?));
        }
        for (item, Step { past, .. }) in steps.iter_mut().enumerate() {
            let rows = item * step * width..(item + 1) * step * width;
            for (layer, (keys, values, inputs)) in left.iter().enumerate() {
                past.keep(2 * layer, width, &keys[rows.clone()]);
                past.keep(2 * layer + 1, width, &values[rows.clone()]);
                past.keep_convolution(layer, &inputs[item * convolution..(item + 1) * convolution]);
            }
            past.advance(step);
        }
        Ok(encoded)
    }

    /// How far what the encoder gives is from `expected` for `mel`: in one step, in two, and beside another. They would
    /// be equal but for rounding.
    fn deviation(&mut self, mel: &[f32], expected: &Encoded) -> Result<f32> {
        let whole = self.encode(&[mel], &Interrupt::default())?;
        Ok(relative(&whole.data, &expected.data).max(self.deviation_in_steps(mel, expected)?))
    }

    /// The same in two steps, of which the first hears everything, and in steps that share a call.
    fn deviation_in_steps(&mut self, mel: &[f32], expected: &Encoded) -> Result<f32> {
        let (interrupt, frames) = (Interrupt::default(), expected.frames / 3);
        let mut past = Past::new(expected.frames);
        let first = self.step(&mut [Step { mel, frames, past: &mut past }], &interrupt)?;
        let rest = &mel[(frames - past.before()) * STRIDE * MELS..];
        let second = Step { mel: rest, frames: expected.frames - frames, past: &mut past };
        let second = self.step(&mut [second], &interrupt)?;
        let both = [&first.data[..(frames * first.width).min(first.data.len())], &second.data].concat();
        let shared = self.deviation_of_shared(mel, frames)?;
        Ok(relative(&both, &expected.data).max(shared))
    }

    /// How far a step of `frames` frames that shares a call with a later one is from the same in a call of its own.
    fn deviation_of_shared(&mut self, mel: &[f32], frames: usize) -> Result<f32> {
        let interrupt = Interrupt::default();
        let window = |first: usize| &mel[(first - BEFORE) * STRIDE * MELS..(first + frames) * STRIDE * MELS];
        let mut past = Past::new(2 * frames);
        self.step(&mut [Step { mel, frames, past: &mut past }], &interrupt)?;
        let mut later = past.clone();
        let own = self.step(&mut [Step { mel: window(frames), frames, past: &mut later }], &interrupt)?;
        let shared = &mut [
            Step { mel: window(frames), frames, past: &mut past },
            Step { mel: window(2 * frames), frames, past: &mut later },
        ];
        let shared = self.step(shared, &interrupt)?;
        Ok(relative(&shared.data[..own.data.len().min(shared.data.len())], &own.data))
    }
}

/// Frames of context before these steps, and in each; of none, none.
fn equal_steps(steps: &[Step<'_>]) -> Result<(usize, usize)> {
    let shape = |step: &Step<'_>| (step.past.before(), step.frames);
    let first = steps.first().map_or((0, 0), shape);
    if steps.iter().any(|step| shape(step) != first) {
        return Err(Error::new(ErrorKind::Internal, "expected steps of equal length"));
    }
    Ok(first)
}

/// The norm of the difference in norms of `expected`.
fn relative(found: &[f32], expected: &[f32]) -> f32 {
    let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|value| value * value).sum::<f32>().sqrt();
    let difference =
        norm(&mut found.iter().zip(expected).map(|(a, b)| a - b)) / norm(&mut expected.iter().copied());
    if found.len() == expected.len() && difference.is_finite() { difference } else { f32::INFINITY }
}

/// The layers of an encoder that keeps what it has computed, and the input it takes because of that, kept between
/// calls.
struct Layers {
    shape: Shape,
    ports: Vec<Ports>,
    /// `[items][frames]`.
    positions: Vec<i64>,
    /// `[items][kept and new frames]`.
    mask: Vec<i32>,
    /// Of each kind, `[items][kept][width]`.
    rows: Vec<Vec<f16>>,
    /// Of each layer, `[items][width][past]`.
    convolutions: Vec<Vec<f32>>,
}

impl Layers {
    fn new(shape: Shape) -> Self {
        Self {
            shape,
            ports: (0..shape.layers).map(Ports::of).collect(),
            positions: Vec::new(),
            mask: Vec::new(),
            rows: vec![Vec::new(); 2 * shape.layers],
            convolutions: vec![Vec::new(); shape.layers],
        }
    }

    /// Makes `frames` frames of each of `items` items the input, with the pasts of `steps`; windows have none. The
    /// rows that are given of each past: as many as the longest has.
    fn take(&mut self, items: usize, frames: usize, steps: &mut [Step<'_>]) -> usize {
        let Shape { layers, width, past: inputs_kept } = self.shape;
        let convolution = width * inputs_kept;
        steps.iter_mut().for_each(|step| step.past.prepare(2 * layers, (layers, convolution)));
        let pasts: Vec<&Past> = steps.iter().map(|step| &*step.past).collect();
        let kept = pasts.iter().map(|past| past.kept()).max().unwrap_or(0);
        self.positions.clear();
        self.mask.clear();
        for item in 0..items {
            let (first, own) = pasts.get(item).map_or((0, 0), |past| (past.frames(), past.kept()));
            self.positions.extend((first..first + frames).map(|frame| frame as i64));
            self.mask.extend(repeat_n(1, own));
            self.mask.extend(repeat_n(0, kept - own));
            self.mask.extend(repeat_n(1, frames));
        }
        for (layer, inputs) in self.convolutions.iter_mut().enumerate() {
            inputs.clear();
            pasts.iter().for_each(|past| inputs.extend_from_slice(past.convolution(layer)));
            inputs.resize(items * convolution, 0.0);
        }
        for (kind, rows) in self.rows.iter_mut().enumerate() {
            rows.clear();
            for past in &pasts {
                past.rows(kind, rows);
                rows.resize(rows.len() + (kept - past.kept()) * width, f16::ZERO);
            }
        }
        kept
    }
}

/// Runs a session under an interrupt.
fn call<'r, 's: 'r, 'i, 'v: 'i>(
    session: &'s mut Session,
    inputs: Vec<(Cow<'i, str>, SessionInputValue<'v>)>,
    run_options: &'r Arc<RunOptions>,
    interrupt: &Interrupt,
) -> Result<SessionOutputs<'r>> {
    let hook = {
        let run_options = Arc::clone(run_options);
        move || _ = run_options.terminate()
    };
    match interrupt.during(hook, || in_runtime(|| session.run_with_options(inputs, run_options))) {
        Some(Ok(outputs)) => Ok(outputs),
        Some(Err(e)) if !interrupt.fired() => Err(inference(e)),
        _ => Err(Error::new(ErrorKind::Cancelled, "cancelled while encoding")),
    }
}

/// Runs a session of the decoder, whose calls are short.
fn run<'s, 'i, 'v: 'i>(
    session: &'s mut Session,
    inputs: Vec<(Cow<'i, str>, SessionInputValue<'v>)>,
) -> Result<SessionOutputs<'s>> {
    in_runtime(|| session.run(inputs)).map_err(inference)
}

fn run_options() -> Result<Arc<RunOptions>> {
    Ok(Arc::new(RunOptions::new().map_err(inference)?))
}

/// The `count` values of output `name`.
fn values_of<'o, T: PrimitiveTensorElementType>(
    outputs: &'o SessionOutputs<'_>,
    name: &str,
    count: usize,
) -> Result<&'o [T]> {
    let output = outputs.get(name).ok_or_else(|| unexpected(format!("no output `{name}`")))?;
    let (_, values) = output.try_extract_tensor::<T>().map_err(inference)?;
    sized(name, values, count)?;
    Ok(values)
}

/// Mel frames of each window.
fn equal_frames(windows: &[&[f32]]) -> Result<usize> {
    let length = windows.first().map_or(0, |window| window.len());
    if !length.is_multiple_of(MELS) || windows.iter().any(|window| window.len() != length) {
        let lengths: Vec<_> = windows.iter().map(|window| window.len()).collect();
        let message = format!("expected windows of equal length, a multiple of {MELS}, found {lengths:?}");
        return Err(Error::new(ErrorKind::Internal, message));
    }
    Ok(length / MELS)
}

/// Writes `[rows][columns]` as `[columns][rows]`. What `to` has no room for, the last columns, is left out.
fn transpose(from: &[f32], columns: usize, to: &mut [f32]) {
    let rows = from.len() / columns.max(1);
    for (column, to) in to.chunks_exact_mut(rows.max(1)).enumerate() {
        for (value, from) in to.iter_mut().zip(from.iter().skip(column).step_by(columns.max(1))) {
            *value = *from;
        }
    }
}

/// The encoder's output, `[B, D, T']` or for CTC `[B, T', C]`, frame by frame.
fn encoded(
    ports: &Encoder,
    outputs: &SessionOutputs<'_>,
    items: usize,
    frames_expected: usize,
    width: usize,
) -> Result<Encoded> {
    let output = outputs.get(&ports.encoded).ok_or_else(|| unexpected("no encoder output".into()))?;
    let (shape, values) = output.try_extract_tensor::<f32>().map_err(inference)?;
    let dims: Vec<usize> = shape.iter().map(|&dim| usize::try_from(dim).unwrap_or(0)).collect();
    let &[batch, a, b] = dims.as_slice() else { return Err(unexpected(format!("encoder output {dims:?}"))) };
    let (found_width, steps) = if ports.encoded_length.is_some() { (a, b) } else { (b, a) };
    let frames = match &ports.encoded_length {
        Some((name, dtype)) if outputs.contains_key(name) => reported_frames(outputs, name, dtype, items)?,
        _ => frames_expected,
    };
    if batch != items || found_width != width || frames > steps || values.len() != items * width * steps {
        let message =
            format!("encoder output {dims:?} with {frames} frames, expected {items} items of width {width}");
        return Err(unexpected(message));
    }
    let mut data = vec![0.0; items * frames * width];
    if frames > 0 {
        for (item, to) in values.chunks_exact(width * steps).zip(data.chunks_exact_mut(frames * width)) {
            match ports.encoded_length {
                Some(_) => transpose(item, steps, to),
                None => to.copy_from_slice(&item[..frames * width]),
            }
        }
    }
    Ok(Encoded { data, frames, width })
}

/// The encoder frames that the network reports, the same for all items.
fn reported_frames(outputs: &SessionOutputs<'_>, name: &str, dtype: &Dtype, items: usize) -> Result<usize> {
    let output = outputs.get(name).ok_or_else(|| unexpected("no encoder length".into()))?;
    let lengths: Vec<i64> = match dtype {
        Dtype::I32 => {
            output.try_extract_tensor::<i32>().map_err(inference)?.1.iter().map(|&n| i64::from(n)).collect()
        }
        _ => output.try_extract_tensor::<i64>().map_err(inference)?.1.to_vec(),
    };
    let first = lengths.first().and_then(|&length| usize::try_from(length).ok());
    match first {
        Some(frames) if lengths.len() == items && lengths.iter().all(|length| *length == lengths[0]) => {
            Ok(frames)
        }
        _ => Err(unexpected(format!("encoder lengths {lengths:?} for {items} windows of equal length"))),
    }
}

/// Predictor and joint network of an RNN-T model.
struct Rnnt {
    predictor: (Session, Predictor),
    joint: JointNetwork,
    /// Width of an encoder frame.
    width: usize,
    scores: Vec<f32>,
    classes: usize,
}

enum JointNetwork {
    Cut(CutJoint),
    Plain(PlainJoint),
}

/// A joint network in two parts, see [`Cut`].
struct CutJoint {
    project: Session,
    score: Session,
    meeting: String,
    ports: Joint,
    /// What the first part made of the frames, `[T, ...]`.
    projected: Vec<f32>,
    /// The dimensions of one of them.
    row: Vec<usize>,
}

impl CutJoint {
    fn frames(&mut self, frames: &[f32], width: usize) -> Result<()> {
        let count = frames.len() / width.max(1);
        let given = TensorRef::from_array_view(([1, count, width], frames)).map_err(inference)?;
        let outputs = run(&mut self.project, ort::inputs![cut::FRAMES => given])?;
        let output = outputs.get(&self.meeting).ok_or_else(|| unexpected("no projection".into()))?;
        let (shape, values) = output.try_extract_tensor::<f32>().map_err(inference)?;
        let dims: Vec<usize> = shape.iter().map(|&dim| usize::try_from(dim).unwrap_or(0)).collect();
        match dims.as_slice() {
            [1, frames, row @ ..] if *frames == count => row.clone_into(&mut self.row),
            _ => return Err(unexpected(format!("projection {dims:?} of {count} frames"))),
        }
        self.projected.clear();
        self.projected.extend_from_slice(values);
        Ok(())
    }

    fn join(&mut self, range: Range<usize>, dec: &[f32], scores: &mut Vec<f32>) -> Result<()> {
        let size: usize = self.row.iter().product();
        let given = self.projected.get(range.start * size..range.end * size);
        let given = given.ok_or_else(|| unexpected(format!("no projection of frames {range:?}")))?;
        let dims: Vec<usize> = [1, range.len()].iter().chain(&self.row).copied().collect();
        let inputs = ort::inputs![
            self.meeting.as_str() => TensorRef::from_array_view((dims, given)).map_err(inference)?,
            self.ports.inputs[1].as_str() =>
                TensorRef::from_array_view(([1, dec.len(), 1], dec)).map_err(inference)?,
        ];
        let outputs = run(&mut self.score, inputs)?;
        copy(&outputs, &self.ports.output, scores)
    }
}

/// A joint network as it was published: one frame a call.
struct PlainJoint {
    session: Session,
    ports: Joint,
    width: usize,
    frames: Vec<f32>,
}

impl PlainJoint {
    fn frames(&mut self, frames: &[f32]) {
        self.frames.clear();
        self.frames.extend_from_slice(frames);
    }

    fn join(&mut self, frame: usize, dec: &[f32], scores: &mut Vec<f32>) -> Result<()> {
        let frame = &self.frames[frame * self.width..(frame + 1) * self.width];
        let [enc_name, dec_name] = &self.ports.inputs;
        let inputs = ort::inputs![
            enc_name.as_str() => TensorRef::from_array_view(([1, frame.len(), 1], frame)).map_err(inference)?,
            dec_name.as_str() => TensorRef::from_array_view(([1, dec.len(), 1], dec)).map_err(inference)?,
        ];
        let outputs = run(&mut self.session, inputs)?;
        copy(&outputs, &self.ports.output, scores)
    }
}

impl Transducer for Rnnt {
    fn predict(&mut self, token: u32, state: &mut DecoderState) -> Result<()> {
        for values in [&mut state.h, &mut state.c] {
            values.resize(STATE, 0.0);
        }
        let token = [i64::from(token)];
        let (session, ports) = &mut self.predictor;
        let [x, h, c] = &ports.inputs;
        let inputs = ort::inputs![
            x.as_str() => TensorRef::from_array_view(([1_usize, 1], token.as_slice())).map_err(inference)?,
            h.as_str() => TensorRef::from_array_view(([1, 1, STATE], state.h.as_slice())).map_err(inference)?,
            c.as_str() => TensorRef::from_array_view(([1, 1, STATE], state.c.as_slice())).map_err(inference)?,
        ];
        let outputs = run(session, inputs)?;
        for (name, to) in ports.outputs.iter().zip([&mut state.dec, &mut state.h, &mut state.c]) {
            copy(&outputs, name, to)?;
            sized(name, to, STATE)?;
        }
        Ok(())
    }

    fn frames(&mut self, frames: &[f32]) -> Result<()> {
        match &mut self.joint {
            JointNetwork::Cut(joint) => joint.frames(frames, self.width),
            JointNetwork::Plain(joint) => {
                joint.frames(frames);
                Ok(())
            }
        }
    }

    fn join(&mut self, range: Range<usize>, dec: &[f32]) -> Result<&[f32]> {
        let frames = match &mut self.joint {
            JointNetwork::Cut(joint) => {
                joint.join(range.clone(), dec, &mut self.scores)?;
                range.len()
            }
            JointNetwork::Plain(joint) => {
                joint.join(range.start, dec, &mut self.scores)?;
                1
            }
        };
        sized("joint", &self.scores, frames * self.classes)?;
        Ok(&self.scores)
    }

    fn classes(&self) -> usize {
        self.classes
    }
}

/// Replaces `to` by output `name`.
fn copy(outputs: &SessionOutputs<'_>, name: &str, to: &mut Vec<f32>) -> Result<()> {
    let output = outputs.get(name).ok_or_else(|| unexpected(format!("no output `{name}`")))?;
    let (_, values) = output.try_extract_tensor::<f32>().map_err(inference)?;
    to.clear();
    to.extend_from_slice(values);
    Ok(())
}

fn sized<T>(name: &str, values: &[T], expected: usize) -> Result<()> {
    match values.len() {
        found if found == expected => Ok(()),
        found => Err(unexpected(format!("output `{name}` of {found} values, expected {expected}"))),
    }
}

fn inference(error: ort::Error) -> Error {
    Error::new(ErrorKind::Inference, error.message())
}

fn unexpected(message: String) -> Error {
    Error::new(ErrorKind::Inference, format!("the model gave {message}"))
}
