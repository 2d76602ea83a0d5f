//! Which files make a model: bundles in a folder, in memory, or inside this library.
//!
//! A [`Model`] is what the host asks for; [`Model::resolve`] turns it into a [`Spec`], in which every
//! part has its bytes or its path. Nothing is loaded here except the vocabulary.
//!
//! File names are those of the published exports: `v3_e2e_rnnt_encoder`, `_decoder` and `_joint` with
//! `v3_e2e_rnnt_vocab.txt`; `v3_rnnt_*` with `v3_vocab.txt`; `v3_e2e_ctc` with `v3_e2e_ctc_vocab.txt`;
//! `v3_ctc` with `v3_vocab.txt`. A quantised graph ends in `.int8.onnx` or `_int8.onnx` (any suffix),
//! a plain one in `.onnx`.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Head;
use super::vocab::{FILE_MAX, Vocab};
use crate::{Error, ErrorKind, Result};

/// The four published variants of GigaAM v3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Variant {
    /// RNN transducer that writes punctuation, capitals and digits.
    E2eRnnt,
    /// RNN transducer over lower-case letters.
    Rnnt,
    /// CTC that writes punctuation, capitals and digits.
    E2eCtc,
    /// CTC over lower-case letters.
    Ctc,
}

impl Variant {
    /// Every variant, the preferred first.
    pub const ALL: [Self; 4] = [Self::E2eRnnt, Self::Rnnt, Self::E2eCtc, Self::Ctc];

    /// Its name in file names: `e2e_rnnt`, `rnnt`, `e2e_ctc`, `ctc`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::E2eRnnt => "e2e_rnnt",
            Self::Rnnt => "rnnt",
            Self::E2eCtc => "e2e_ctc",
            Self::Ctc => "ctc",
        }
    }

    /// The variant of this [`code`](Self::code).
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|variant| variant.code() == code)
    }

    /// The model's full name: `gigaam-v3-e2e-rnnt`.
    pub const fn model_name(self) -> &'static str {
        match self {
            Self::E2eRnnt => "gigaam-v3-e2e-rnnt",
            Self::Rnnt => "gigaam-v3-rnnt",
            Self::E2eCtc => "gigaam-v3-e2e-ctc",
            Self::Ctc => "gigaam-v3-ctc",
        }
    }

    /// What its output layer is.
    pub const fn head(self) -> Head {
        match self {
            Self::E2eRnnt | Self::Rnnt => Head::Rnnt,
            Self::E2eCtc | Self::Ctc => Head::Ctc,
        }
    }

    /// Whether it writes punctuation, capitals and digits.
    pub const fn is_e2e(self) -> bool {
        matches!(self, Self::E2eRnnt | Self::E2eCtc)
    }

    /// The names of its graphs, the encoder (or the whole CTC network) first.
    pub(crate) const fn stems(self) -> &'static [&'static str] {
        match self {
            Self::E2eRnnt => &["v3_e2e_rnnt_encoder", "v3_e2e_rnnt_decoder", "v3_e2e_rnnt_joint"],
            Self::Rnnt => &["v3_rnnt_encoder", "v3_rnnt_decoder", "v3_rnnt_joint"],
            Self::E2eCtc => &["v3_e2e_ctc"],
            Self::Ctc => &["v3_ctc"],
        }
    }

    /// The name of its vocabulary.
    pub(crate) const fn vocab_file(self) -> &'static str {
        match self {
            Self::E2eRnnt => "v3_e2e_rnnt_vocab.txt",
            Self::E2eCtc => "v3_e2e_ctc_vocab.txt",
            Self::Rnnt | Self::Ctc => "v3_vocab.txt",
        }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A fast form of an encoder, as `optimize` makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Form {
    /// Matrix products in 8 bits, all else in 32-bit floats.
    #[default]
    Int8,
    /// 32-bit floats.
    Fp32,
}

impl Form {
    /// Every form, for tables and messages.
    pub const ALL: [Self; 2] = [Self::Int8, Self::Fp32];

    /// A stable name: `int8`, `fp32`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Int8 => "int8",
            Self::Fp32 => "fp32",
        }
    }

    /// The form of this [`code`](Self::code).
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|form| form.code() == code)
    }
}

/// A model to load: where it is, and which one of several. Cheap to clone.
#[derive(Clone)]
pub struct Model {
    origin: Origin,
    variant: Option<Variant>,
    quantization: Option<String>,
}

#[derive(Clone)]
enum Origin {
    Dir(PathBuf),
    #[cfg(feature = "download")]
    Pretrained {
        name: String,
        folder: Option<PathBuf>,
    },
    Bytes {
        source: &'static str,
        variant: Variant,
        graphs: [Option<Bytes>; 3],
        vocab: Bytes,
    },
}

type Bytes = Arc<Cow<'static, [u8]>>;

/// A model's files in memory.
#[derive(Clone)]
pub struct ModelBytes {
    /// Which of the published variants it is.
    pub variant: Variant,
    /// The encoder's graph; for a CTC variant the whole network's.
    pub encoder: Cow<'static, [u8]>,
    /// The predictor's graph; only for RNN-T variants.
    pub decoder: Option<Cow<'static, [u8]>>,
    /// The joint network's graph; only for RNN-T variants.
    pub joint: Option<Cow<'static, [u8]>>,
    /// The text of the vocabulary file.
    pub vocab: Cow<'static, [u8]>,
}

impl fmt::Debug for ModelBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelBytes").field("variant", &self.variant).finish_non_exhaustive()
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match &self.origin {
            Origin::Dir(path) => path.display().to_string(),
            #[cfg(feature = "download")]
            Origin::Pretrained { name, .. } => name.clone(),
            Origin::Bytes { source, .. } => (*source).into(),
        };
        let Self { origin: _, variant, quantization } = self;
        f.debug_struct("Model")
            .field("source", &source)
            .field("variant", variant)
            .field("quantization", quantization)
            .finish()
    }
}

impl Model {
    /// The small model inside this library, for tests and demonstrations. See its provenance note for
    /// what it can and cannot do.
    #[cfg(feature = "embedded-model")]
    pub fn embedded() -> Self {
        macro_rules! file {
            ($name:literal) => {
                Cow::Borrowed(include_bytes!(concat!("../../models/embedded/v3_e2e_rnnt_", $name)).as_slice())
            };
        }
        let files = ModelBytes {
            variant: Variant::E2eRnnt,
            encoder: file!("encoder.int8w.onnx"),
            decoder: Some(file!("decoder.int8w.onnx")),
            joint: Some(file!("joint.int8w.onnx")),
            vocab: file!("vocab.txt"),
        };
        Self::in_memory("embedded", files).quantization("int8w")
    }

    /// The model in the folder `path`. Of several variants the first of [`Variant::ALL`] is taken; of
    /// several quantisations the plain one if `gigastt optimize` made it fast, else the first that starts
    /// with `int8`, else the plain one, else the first.
    pub fn dir(path: impl Into<PathBuf>) -> Self {
        Self::of(Origin::Dir(path.into()))
    }

    /// A published model by its name, such as `gigaam-v3-e2e-rnnt`: the one that is installed in the models
    /// folder, else it is fetched into it when an engine is made, which then takes as long as that does. To
    /// hear how far it is, and to be able to end it, call [`download::fetch`](crate::download::fetch) first.
    #[cfg(feature = "download")]
    pub fn pretrained(name: impl Into<String>) -> Self {
        Self::of(Origin::Pretrained { name: name.into(), folder: None })
    }

    /// As [`pretrained`](Self::pretrained), in another models folder than the environment's.
    #[cfg(feature = "download")]
    pub fn pretrained_in(name: impl Into<String>, folder: impl Into<PathBuf>) -> Self {
        Self::of(Origin::Pretrained { name: name.into(), folder: Some(folder.into()) })
    }

    /// A model whose files are in memory.
    pub fn bytes(files: ModelBytes) -> Self {
        Self::in_memory("memory", files)
    }

    fn in_memory(source: &'static str, files: ModelBytes) -> Self {
        let graphs = [Some(files.encoder), files.decoder, files.joint].map(|graph| graph.map(Arc::new));
        Self::of(Origin::Bytes { source, variant: files.variant, graphs, vocab: Arc::new(files.vocab) })
    }

    /// Takes this variant and no other.
    #[must_use]
    pub fn variant(mut self, variant: Variant) -> Self {
        self.variant = Some(variant);
        self
    }

    /// Takes the graphs with this suffix (`int8`) and no others; an empty one stands for the plain
    /// graphs. Where a decoder or joint network has no file with the suffix, the plain file is taken.
    /// For a model in memory it is only a remark in [`ModelInfo`](crate::ModelInfo).
    #[must_use]
    pub fn quantization(mut self, suffix: impl Into<String>) -> Self {
        self.quantization = Some(suffix.into());
        self
    }

    /// As it is, of the plain graphs unless others were asked for.
    #[cfg(feature = "optimize")]
    pub(crate) fn plain(&self) -> Self {
        let quantization = self.quantization.clone().or(Some(String::new()));
        Self { quantization, ..self.clone() }
    }

    /// Whether it is one that was fetched, and is to be fast without being told.
    #[cfg(feature = "optimize")]
    pub(crate) fn is_pretrained(&self) -> bool {
        #[cfg(feature = "download")]
        return matches!(self.origin, Origin::Pretrained { .. });
        #[cfg(not(feature = "download"))]
        return false;
    }

    fn of(origin: Origin) -> Self {
        Self { origin, variant: None, quantization: None }
    }

    /// Finds the files and reads the vocabulary.
    ///
    /// # Errors
    /// `ModelNotFound` when a folder or file is missing (the message names it), `Io` when one cannot be
    /// read, `InvalidModel` for a broken vocabulary, `InvalidArgument` when bytes lack a part; for a
    /// published model those of `download::fetch`.
    pub(crate) fn resolve(&self) -> Result<Spec> {
        match &self.origin {
            Origin::Dir(path) => self.choose(path)?.resolve(path),
            #[cfg(feature = "download")]
            Origin::Pretrained { name, folder } => {
                let (variant, path) = crate::download::bring(name, folder.as_deref())?;
                let model = self.clone().variant(self.variant.unwrap_or(variant));
                model.choose(&path)?.resolve(&path)
            }
            Origin::Bytes { source, variant, graphs, vocab } => {
                self.resolve_bytes(source, *variant, graphs, vocab)
            }
        }
    }

    fn resolve_bytes(
        &self,
        source: &str,
        variant: Variant,
        graphs: &[Option<Bytes>; 3],
        vocab: &Bytes,
    ) -> Result<Spec> {
        if self.variant.is_some_and(|asked| asked != variant) {
            return Err(Error::new(
                ErrorKind::ModelNotFound,
                format!("the model in memory is of variant {variant}"),
            ));
        }
        let mut parts = variant.stems().iter().zip(graphs).map(|(stem, graph)| match graph {
            Some(graph) => Ok(Part {
                name: (*stem).into(),
                size: graph.len() as u64,
                content: Content::Bytes(graph.clone()),
            }),
            None => Err(Error::new(ErrorKind::InvalidArgument, "the model needs this graph, none was given")
                .about(*stem)),
        });
        let graphs = Graphs::of(variant.head(), &mut parts)?;
        let vocab = Vocab::parse(vocab).map_err(|e| e.about(variant.vocab_file()))?;
        let quantization = self.quantization.clone().filter(|suffix| !suffix.is_empty());
        Ok(Spec { variant, quantization, source: source.into(), graphs, vocab: Arc::new(vocab) })
    }

    /// The bundle in the folder `path` that was asked for, else the preferred one.
    fn choose(&self, path: &Path) -> Result<Bundle> {
        let asked = |bundle: &Bundle| {
            self.variant.is_none_or(|variant| variant == bundle.variant)
                && self
                    .quantization
                    .as_deref()
                    .is_none_or(|suffix| suffix == bundle.quantization.as_deref().unwrap_or(""))
        };
        let found = scan(path)?.into_iter().filter(asked).min_by_key(Bundle::preference);
        found.ok_or_else(|| {
            let variants = self.variant.map_or(Variant::ALL.to_vec(), |variant| vec![variant]);
            let suffix = match self.quantization.as_deref() {
                None => "[.int8]".into(),
                Some("") => String::new(),
                Some(suffix) => format!(".{suffix}"),
            };
            let names: Vec<_> = variants.iter().map(|v| format!("{}{suffix}.onnx", v.stems()[0])).collect();
            let message = format!("no model of GigaAM v3 in this folder; looked for {}", names.join(", "));
            Error::new(ErrorKind::ModelNotFound, message).in_file(path)
        })
    }
}

/// A model whose encoder lies in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// Which of the published variants it is.
    pub variant: Variant,
    /// The suffix of its encoder's file name; `None` for a plain one.
    pub quantization: Option<String>,
    /// Its graphs and its vocabulary with their sizes in bytes.
    pub files: Vec<(PathBuf, u64)>,
    /// Files it needs that are not there; empty for a complete bundle.
    pub missing: Vec<PathBuf>,
    /// The fast form of its encoder that was made last.
    pub optimized: Option<Form>,
}

/// The models in the folder `path`, also incomplete ones, sorted by variant and quantisation. Only
/// file names and sizes are looked at.
///
/// # Errors
/// `ModelNotFound` when there is no such folder, `Io` when it cannot be read.
pub fn scan(path: &Path) -> Result<Vec<Bundle>> {
    if !path.is_dir() {
        let found = if path.exists() { "a file" } else { "none" };
        let message = format!("expected a folder with a model, found {found}");
        return Err(Error::new(ErrorKind::ModelNotFound, message).in_file(path));
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(|e| Error::io(path, &e))? {
        let entry = entry.map_err(|e| Error::io(path, &e))?;
        if let (Ok(name), Ok(metadata)) = (entry.file_name().into_string(), std::fs::metadata(entry.path()))
            && metadata.is_file()
        {
            files.push((name, metadata.len()));
        }
    }
    files.sort();
    let mut bundles: Vec<Bundle> = Vec::new();
    for variant in Variant::ALL {
        let mut suffixes: Vec<_> =
            files.iter().filter_map(|(name, _)| suffix(variant.stems()[0], name)).collect();
        suffixes.sort_unstable();
        suffixes.dedup();
        bundles.extend(suffixes.into_iter().map(|suffix| Bundle::gather(path, &files, variant, suffix)));
    }
    Ok(bundles)
}

/// The quantisation suffix in the file name of graph `stem`; empty for a plain one, `None` for another
/// file.
fn suffix<'n>(stem: &str, name: &'n str) -> Option<&'n str> {
    let suffix = name.strip_prefix(stem)?.strip_suffix(".onnx")?;
    let named = suffix.strip_prefix(['.', '_']);
    if suffix.is_empty() { Some(suffix) } else { named.filter(|suffix| !suffix.is_empty()) }
}

impl Bundle {
    fn gather(path: &Path, files: &[(String, u64)], variant: Variant, quantization: &str) -> Self {
        let graph =
            |stem: &str, wanted: &str| files.iter().find(|(name, _)| suffix(stem, name) == Some(wanted));
        let mut bundle = Self {
            variant,
            quantization: (!quantization.is_empty()).then(|| quantization.into()),
            files: Vec::new(),
            missing: Vec::new(),
            optimized: None,
        };
        for stem in variant.stems() {
            let mark = if quantization.is_empty() { "" } else { "." };
            let found = graph(stem, quantization).or_else(|| graph(stem, ""));
            bundle.add(path, found, &format!("{stem}{mark}{quantization}.onnx"));
        }
        let vocab = variant.vocab_file();
        bundle.add(path, files.iter().find(|(name, _)| name == vocab), vocab);
        #[cfg(feature = "optimize")]
        if let Some((graph, _)) = bundle.files.first() {
            bundle.optimized = super::optimized::last_form(graph);
        }
        bundle
    }

    fn add(&mut self, path: &Path, found: Option<&(String, u64)>, expected: &str) {
        match found {
            Some((name, size)) => self.files.push((path.join(name), *size)),
            None => self.missing.push(path.join(expected)),
        }
    }

    /// Lower is better.
    fn preference(&self) -> (Variant, u8, Option<String>) {
        let class = match self.quantization.as_deref() {
            None if self.optimized.is_some() => 0,
            Some(suffix) if suffix.starts_with("int8") => 1,
            None => 2,
            Some(_) => 3,
        };
        (self.variant, class, self.quantization.clone())
    }

    fn resolve(self, path: &Path) -> Result<Spec> {
        if let Some(missing) = self.missing.first() {
            let message = format!("no such file; the model {} needs it", self.variant.model_name());
            return Err(Error::new(ErrorKind::ModelNotFound, message).in_file(missing));
        }
        let mut parts = self.files.into_iter().map(|(path, size)| {
            Ok(Part { name: path.display().to_string(), size, content: Content::File(path) })
        });
        let graphs = Graphs::of(self.variant.head(), &mut parts)?;
        let vocab = read_vocab(&path.join(self.variant.vocab_file()))?;
        let source = path.display().to_string();
        Ok(Spec {
            variant: self.variant,
            quantization: self.quantization,
            source,
            graphs,
            vocab: vocab.into(),
        })
    }
}

fn read_vocab(path: &Path) -> Result<Vocab> {
    let size = std::fs::metadata(path).map_err(|e| Error::io(path, &e))?.len();
    if size > FILE_MAX {
        let message = format!("expected a vocabulary of at most {FILE_MAX} bytes, found {size}");
        return Err(Error::new(ErrorKind::InvalidModel, message).in_file(path));
    }
    let text = std::fs::read(path).map_err(|e| Error::io(path, &e))?;
    Vocab::parse(&text).map_err(|e| e.in_file(path))
}

/// A model with all its parts at hand.
#[derive(Clone)]
pub(crate) struct Spec {
    pub variant: Variant,
    pub quantization: Option<String>,
    /// `embedded`, `memory` or the folder.
    pub source: String,
    pub graphs: Graphs,
    pub vocab: Arc<Vocab>,
}

#[cfg(feature = "optimize")]
impl Spec {
    /// With another graph in place of its encoder, or of its CTC network.
    pub(crate) fn with_encoder(&self, part: Part) -> Self {
        let mut spec = self.clone();
        match &mut spec.graphs {
            Graphs::Rnnt { encoder, .. } => *encoder = part,
            Graphs::Ctc(network) => *network = part,
        }
        spec
    }
}

/// The graphs of a model.
#[derive(Clone)]
pub(crate) enum Graphs {
    Rnnt { encoder: Part, decoder: Part, joint: Part },
    Ctc(Part),
}

impl Graphs {
    /// The first of `parts`, as many as `head` needs.
    fn of(head: Head, parts: &mut dyn Iterator<Item = Result<Part>>) -> Result<Self> {
        let mut next = || {
            parts
                .next()
                .unwrap_or_else(|| Err(Error::new(ErrorKind::Internal, "a complete model lacks a graph")))
        };
        Ok(match head {
            Head::Ctc => Self::Ctc(next()?),
            Head::Rnnt => Self::Rnnt { encoder: next()?, decoder: next()?, joint: next()? },
        })
    }

    /// The encoder, or the CTC network.
    pub(crate) fn first(&self) -> &Part {
        match self {
            Self::Rnnt { encoder, .. } => encoder,
            Self::Ctc(network) => network,
        }
    }

    /// Size of all graphs in bytes.
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Rnnt { encoder, decoder, joint } => encoder.size + decoder.size + joint.size,
            Self::Ctc(network) => network.size,
        }
    }
}

/// One graph.
#[derive(Clone)]
pub(crate) struct Part {
    /// Its path, or its published name for bytes; errors name it.
    pub name: String,
    /// Bytes.
    pub size: u64,
    pub content: Content,
}

/// Where a graph's bytes are.
#[derive(Clone)]
pub(crate) enum Content {
    File(PathBuf),
    /// A file that ONNX Runtime saved: there is nothing left to optimise in it, and looking takes longer than the
    /// rest of loading.
    #[cfg(feature = "optimize")]
    Saved(PathBuf),
    Bytes(Bytes),
}

impl Content {
    /// The bytes.
    ///
    /// # Errors
    /// `Io` when the file cannot be read.
    pub(crate) fn read(&self) -> Result<bytes::Bytes> {
        let read = |path: &Path| Ok(std::fs::read(path).map_err(|e| Error::io(path, &e))?.into());
        match self {
            Self::File(path) => read(path),
            #[cfg(feature = "optimize")]
            Self::Saved(path) => read(path),
            Self::Bytes(bytes) => Ok(bytes::Bytes::copy_from_slice(bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VOCAB: &str = "а 0\n<blk> 1\n";

    /// A folder with these files; a vocabulary is a good one, a graph its own name.
    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in files {
            std::fs::write(folder.path().join(name), if name.ends_with("txt") { VOCAB } else { name })
                .unwrap();
        }
        folder
    }

    fn names(graphs: &Graphs) -> Vec<String> {
        let parts = match graphs {
            Graphs::Rnnt { encoder, decoder, joint } => vec![encoder, decoder, joint],
            Graphs::Ctc(network) => vec![network],
        };
        parts.iter().map(|part| part.name.rsplit(['/', '\\']).next().unwrap().into()).collect()
    }

    const RNNT: [&str; 4] =
        ["v3_rnnt_encoder.onnx", "v3_rnnt_decoder.onnx", "v3_rnnt_joint.onnx", "v3_vocab.txt"];
    const E2E_INT8: [&str; 4] = [
        "v3_e2e_rnnt_encoder.int8.onnx",
        "v3_e2e_rnnt_decoder.int8.onnx",
        "v3_e2e_rnnt_joint.int8.onnx",
        "v3_e2e_rnnt_vocab.txt",
    ];

    #[test]
    fn a_folder_gives_the_preferred_model() {
        let check = |files: &[&str], variant, quantization: Option<&str>, graphs: &[&str]| {
            let folder = folder(files);
            let spec = Model::dir(folder.path()).resolve().unwrap();
            assert_eq!((spec.variant, spec.quantization.as_deref()), (variant, quantization), "{files:?}");
            assert_eq!(names(&spec.graphs), graphs);
            assert_eq!(spec.graphs.size(), graphs.iter().map(|name| name.len() as u64).sum());
        };
        check(&RNNT, Variant::Rnnt, None, &RNNT[..3]);
        check(&E2E_INT8, Variant::E2eRnnt, Some("int8"), &E2E_INT8[..3]);
        check(&[&RNNT[..], &E2E_INT8].concat(), Variant::E2eRnnt, Some("int8"), &E2E_INT8[..3]);
        let ctc = ["v3_ctc.onnx", "v3_ctc_int8.onnx", "v3_ctc.fp16.onnx", "v3_vocab.txt"];
        check(&ctc, Variant::Ctc, Some("int8"), &ctc[1..2]);
        check(&[ctc[0], ctc[2], ctc[3]], Variant::Ctc, None, &ctc[..1]);
        check(&[ctc[2], ctc[3]], Variant::Ctc, Some("fp16"), &ctc[2..3]);
        check(&[&ctc[..], &RNNT].concat(), Variant::Rnnt, None, &RNNT[..3]);
        check(&["v3_e2e_ctc.onnx", "v3_e2e_ctc_vocab.txt"], Variant::E2eCtc, None, &["v3_e2e_ctc.onnx"]);
        let mixed = [RNNT[1], RNNT[2], RNNT[3], "v3_rnnt_encoder.int8w.onnx"];
        check(&mixed, Variant::Rnnt, Some("int8w"), &[mixed[3], mixed[0], mixed[1]]);
    }

    #[test]
    fn a_choice_is_kept() {
        let folder = folder(&[&RNNT[..], &E2E_INT8, &["v3_ctc.onnx", "v3_ctc.int8.onnx"]].concat());
        let model = || Model::dir(folder.path());
        let check = |model: Model, expected: Option<(Variant, Option<&str>)>| {
            let found = model.resolve();
            let found = found.as_ref().map(|spec| (spec.variant, spec.quantization.as_deref()));
            assert_eq!(found.as_ref().ok().copied(), expected, "{model:?}");
            assert!(found.is_ok() || found.is_err_and(|e| e.kind() == ErrorKind::ModelNotFound));
        };
        check(model().variant(Variant::Rnnt), Some((Variant::Rnnt, None)));
        check(model().variant(Variant::Ctc), Some((Variant::Ctc, Some("int8"))));
        check(model().variant(Variant::Ctc).quantization(""), Some((Variant::Ctc, None)));
        check(model().quantization(""), Some((Variant::Rnnt, None)));
        check(model().quantization("int8"), Some((Variant::E2eRnnt, Some("int8"))));
        check(model().variant(Variant::Rnnt).quantization("int8"), None);
        check(model().variant(Variant::E2eCtc), None);
        check(model().quantization("int4"), None);
    }

    #[test]
    fn what_is_missing_is_named() {
        let check = |files: &[&str], kind, expected: &str| {
            let folder = folder(files);
            let error = Model::dir(folder.path()).resolve().err().unwrap();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(expected), "{error}");
        };
        check(&[], ErrorKind::ModelNotFound, "looked for v3_e2e_rnnt_encoder[.int8].onnx, v3_rnnt_encoder");
        check(&RNNT[1..], ErrorKind::ModelNotFound, "v3_rnnt_encoder[.int8].onnx");
        check(&RNNT[..3], ErrorKind::ModelNotFound, "v3_vocab.txt: no such file; the model gigaam-v3-rnnt");
        check(&[RNNT[0], RNNT[2], RNNT[3]], ErrorKind::ModelNotFound, "v3_rnnt_decoder.onnx: no such file");
        check(&E2E_INT8[..2], ErrorKind::ModelNotFound, "v3_e2e_rnnt_joint.int8.onnx: no such file");
        check(&["v2_ctc.onnx", "v3_ctc_.onnx", "v3_ctcx.onnx"], ErrorKind::ModelNotFound, "no model");
        let folder = folder(&RNNT);
        std::fs::write(folder.path().join("v3_vocab.txt"), "а 1\n").unwrap();
        let error = Model::dir(folder.path()).resolve().err().unwrap();
        assert_eq!(
            (error.kind(), error.subject().unwrap().ends_with("v3_vocab.txt")),
            (ErrorKind::InvalidModel, true)
        );
        for path in [folder.path().join("none"), folder.path().join("v3_vocab.txt")] {
            let error = Model::dir(&path).resolve().err().unwrap();
            assert_eq!((error.kind(), error.subject()), (ErrorKind::ModelNotFound, path.to_str()));
        }
    }

    #[test]
    fn scan_lists_also_what_is_incomplete() {
        let folder = folder(&[&E2E_INT8[..], &["v3_ctc.onnx", "v3_ctc_int8.onnx", "readme.md"]].concat());
        let bundles = scan(folder.path()).unwrap();
        let found: Vec<_> = bundles.iter().map(|b| (b.variant, b.quantization.as_deref())).collect();
        assert_eq!(
            found,
            [(Variant::E2eRnnt, Some("int8")), (Variant::Ctc, None), (Variant::Ctc, Some("int8"))]
        );
        assert_eq!((bundles[0].files.len(), bundles[0].missing.len()), (4, 0));
        assert_eq!(bundles[0].files[3], (folder.path().join("v3_e2e_rnnt_vocab.txt"), VOCAB.len() as u64));
        assert_eq!(bundles[1].missing, [folder.path().join("v3_vocab.txt")]);
    }

    #[test]
    fn bytes_need_all_their_parts() {
        let model = |variant, joint: Option<&'static [u8]>| {
            Model::bytes(ModelBytes {
                variant,
                encoder: b"e"[..].into(),
                decoder: Some(vec![1, 2].into()),
                joint: joint.map(Cow::Borrowed),
                vocab: VOCAB.as_bytes().into(),
            })
        };
        let spec = model(Variant::Rnnt, Some(b"jjj")).resolve().unwrap();
        assert_eq!((spec.graphs.size(), spec.source.as_str(), spec.vocab.len()), (6, "memory", 2));
        assert_eq!(names(&spec.graphs), ["v3_rnnt_encoder", "v3_rnnt_decoder", "v3_rnnt_joint"]);
        assert_eq!(model(Variant::Ctc, None).resolve().unwrap().graphs.size(), 1);
        let error = model(Variant::E2eRnnt, None).resolve().err().unwrap();
        assert_eq!((error.kind(), error.subject()), (ErrorKind::InvalidArgument, Some("v3_e2e_rnnt_joint")));
        let error = model(Variant::Ctc, None).variant(Variant::Rnnt).resolve().err().unwrap();
        assert_eq!(error.kind(), ErrorKind::ModelNotFound);
    }

    #[test]
    fn codes_name_variants() {
        for variant in Variant::ALL {
            assert_eq!(Variant::from_code(variant.code()), Some(variant));
            assert!(variant.stems()[0].contains(variant.code()));
        }
        assert_eq!(Variant::from_code("E2E"), None);
    }

    #[test]
    #[cfg(feature = "embedded-model")]
    fn the_embedded_files_are_the_ones_in_the_note() {
        use sha2::{Digest as _, Sha256};
        let note = include_str!("../../models/embedded/README.md");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/embedded");
        let mut checked = 0;
        for bundle in scan(&folder).unwrap() {
            for (path, size) in bundle.files {
                let bytes = std::fs::read(&path).unwrap();
                assert_eq!(bytes.len() as u64, size);
                let digest: String =
                    Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
                let name = path.file_name().unwrap().to_str().unwrap();
                let expected = format!("| {name} | {digest} |");
                assert!(note.contains(&expected), "{expected}");
                checked += 1;
            }
        }
        assert_eq!(checked, 4);
    }
}
