//! What a graph must look like from outside: number, names, types and dimensions of its tensors.
//!
//! Exports differ in names (`h.1, c.1` or `hi, ci`) and in which dimensions are fixed, so a tensor is
//! taken by a known name, else by its position, and then has to fit. A graph that passes can be run;
//! what only running shows (the real sizes behind free dimensions) is checked where it is run.

use std::fmt::{self, Write as _};

use super::MELS;
use crate::{Error, ErrorKind, Result};

/// Width of the predictor's output and state in every model of this family.
pub(crate) const STATE: usize = 320;

/// A graph's declared inputs and outputs, in order.
#[derive(Debug)]
pub(crate) struct Interface {
    pub inputs: Vec<Port>,
    pub outputs: Vec<Port>,
}

/// A declared tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Port {
    pub name: String,
    pub dtype: Dtype,
    /// `None` for a free dimension.
    pub dims: Vec<Option<usize>>,
}

/// The element types the contract knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Dtype {
    F32,
    I32,
    I64,
    Other(String),
}

/// An encoder or a whole CTC network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Encoder {
    /// Log-mel, f32 `[B, 64, T]`.
    pub audio: String,
    /// Frames, i64 `[B]`.
    pub length: String,
    /// f32 `[B, D, T']`, for a CTC network log-probabilities `[B, T', C]`.
    pub encoded: String,
    /// i32 or i64 `[B]`; a CTC network has none.
    pub encoded_length: Option<(String, Dtype)>,
    /// D or C, where declared.
    pub width: Option<usize>,
}

/// A predictor.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Predictor {
    /// Token (i64 `[1, 1]`) and state (f32 `[1, 1, 320]` each).
    pub inputs: [String; 3],
    /// Output and state, f32 `[1, 1, 320]` each.
    pub outputs: [String; 3],
}

/// A joint network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Joint {
    /// f32 `[1, D, 1]`, f32 `[1, 320, 1]`.
    pub inputs: [String; 2],
    /// f32 `[1, 1, 1, C]`.
    pub output: String,
    /// D, where declared.
    pub width: Option<usize>,
    /// C, where declared.
    pub classes: Option<usize>,
}

impl Encoder {
    pub(crate) fn of_rnnt(graph: &Interface) -> Result<Self> {
        let inputs = [
            Rule::new(&["audio_signal"], &[Dtype::F32], &[Dim::Free("B"), Dim::Is(MELS), Dim::Free("T")]),
            Rule::new(&["length"], &[Dtype::I64], &[Dim::Free("B")]),
        ];
        let outputs = [
            Rule::new(&["encoded"], &[Dtype::F32], &[Dim::Free("B"), Dim::Any("D"), Dim::Free("T'")]),
            Rule::new(&["encoded_len"], &[Dtype::I32, Dtype::I64], &[Dim::Free("B")]),
        ];
        let [audio, length] = resolve("input", &graph.inputs, &inputs)?;
        let [encoded, count] = resolve("output", &graph.outputs, &outputs)?;
        Ok(Self {
            audio: audio.name.clone(),
            length: length.name.clone(),
            encoded: encoded.name.clone(),
            encoded_length: Some((count.name.clone(), count.dtype.clone())),
            width: encoded.dims[1],
        })
    }

    pub(crate) fn of_ctc(graph: &Interface, vocab: usize) -> Result<Self> {
        let inputs = [
            Rule::new(&["features"], &[Dtype::F32], &[Dim::Free("B"), Dim::Is(MELS), Dim::Free("T")]),
            Rule::new(&["feature_lengths"], &[Dtype::I64], &[Dim::Free("B")]),
        ];
        let outputs =
            [Rule::new(&["log_probs"], &[Dtype::F32], &[Dim::Free("B"), Dim::Free("T'"), Dim::Any("C")])];
        let [audio, length] = resolve("input", &graph.inputs, &inputs)?;
        let [encoded] = resolve("output", &graph.outputs, &outputs)?;
        let width = encoded.dims[2];
        agree("classes in its output", width, "pieces in the vocabulary", Some(vocab))?;
        Ok(Self {
            audio: audio.name.clone(),
            length: length.name.clone(),
            encoded: encoded.name.clone(),
            encoded_length: None,
            width,
        })
    }
}

impl Predictor {
    pub(crate) fn of(graph: &Interface) -> Result<Self> {
        let state = [Dim::One, Dim::One, Dim::Is(STATE)];
        let inputs = [
            Rule::new(&["x"], &[Dtype::I64], &[Dim::One, Dim::One]),
            Rule::new(&["h.1", "hi"], &[Dtype::F32], &state),
            Rule::new(&["c.1", "ci"], &[Dtype::F32], &state),
        ];
        let outputs = [
            Rule::new(&["dec"], &[Dtype::F32], &state),
            Rule::new(&["h", "ho"], &[Dtype::F32], &state),
            Rule::new(&["c", "co"], &[Dtype::F32], &state),
        ];
        Ok(Self {
            inputs: resolve("input", &graph.inputs, &inputs)?.map(|port| port.name.clone()),
            outputs: resolve("output", &graph.outputs, &outputs)?.map(|port| port.name.clone()),
        })
    }
}

impl Joint {
    pub(crate) fn of(graph: &Interface, vocab: usize) -> Result<Self> {
        let inputs = [
            Rule::new(&["enc"], &[Dtype::F32], &[Dim::One, Dim::Any("D"), Dim::One]),
            Rule::new(&["dec"], &[Dtype::F32], &[Dim::One, Dim::Is(STATE), Dim::One]),
        ];
        let outputs = [Rule::new(&["joint"], &[Dtype::F32], &[Dim::One, Dim::One, Dim::One, Dim::Any("C")])];
        let [frame, dec] = resolve("input", &graph.inputs, &inputs)?;
        let [scores] = resolve("output", &graph.outputs, &outputs)?;
        agree("classes in its output", scores.dims[3], "pieces in the vocabulary", Some(vocab))?;
        Ok(Self {
            inputs: [frame.name.clone(), dec.name.clone()],
            output: scores.name.clone(),
            width: frame.dims[1],
            classes: scores.dims[3],
        })
    }
}

/// Checks that two sizes are the same where both are known.
///
/// # Errors
/// `InvalidModel` with both.
pub(crate) fn agree(what: &str, found: Option<usize>, with: &str, expected: Option<usize>) -> Result<()> {
    match (found, expected) {
        (Some(found), Some(expected)) if found != expected => {
            Err(invalid(format!("expected as many {what} as {with}, {expected}, found {found}")))
        }
        _ => Ok(()),
    }
}

/// What a tensor has to be.
struct Rule<'r> {
    /// Known names, the published one first.
    names: &'r [&'r str],
    dtypes: &'r [Dtype],
    dims: &'r [Dim],
}

#[derive(Clone, Copy)]
enum Dim {
    /// This size, or free.
    Is(usize),
    /// 1, or free.
    One,
    /// Free: it differs from call to call.
    Free(&'static str),
    /// Fixed or free.
    Any(&'static str),
}

impl<'r> Rule<'r> {
    fn new(names: &'r [&'r str], dtypes: &'r [Dtype], dims: &'r [Dim]) -> Self {
        Self { names, dtypes, dims }
    }

    fn fits(&self, port: &Port) -> bool {
        self.dtypes.contains(&port.dtype)
            && self.dims.len() == port.dims.len()
            && self.dims.iter().zip(&port.dims).all(|(rule, dim)| match (rule, dim) {
                (Dim::Free(_) | Dim::Any(_), None)
                | (Dim::Is(_) | Dim::One, None)
                | (Dim::Any(_), Some(_)) => true,
                (Dim::Free(_), Some(_)) => false,
                (Dim::Is(size), Some(found)) => size == found,
                (Dim::One, Some(found)) => *found == 1,
            })
    }
}

/// The port for each rule.
fn resolve<'p, const N: usize>(
    side: &str,
    ports: &'p [Port],
    rules: &[Rule<'_>; N],
) -> Result<[&'p Port; N]> {
    let wrong = || {
        let expected: Vec<String> = rules.iter().map(Rule::to_string).collect();
        let found: Vec<String> = ports.iter().take(8).map(Port::to_string).collect();
        let more = if ports.len() > 8 { ", ..." } else { "" };
        let (expected, found) = (expected.join(", "), found.join(", "));
        invalid(format!("expected {N} {side}s {expected}; found {} {found}{more}", ports.len()))
    };
    let mut taken = [usize::MAX; N];
    for (index, rule) in rules.iter().enumerate() {
        let named = ports.iter().position(|port| rule.names.contains(&port.name.as_str()));
        taken[index] = named.unwrap_or(index);
    }
    let distinct = taken.iter().enumerate().all(|(n, index)| !taken[..n].contains(index));
    let fits = |(rule, &index): (&Rule<'_>, &usize)| ports.get(index).is_some_and(|port| rule.fits(port));
    if ports.len() != N || !distinct || !rules.iter().zip(&taken).all(fits) {
        return Err(wrong());
    }
    Ok(taken.map(|index| &ports[index]))
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidModel, message)
}

impl fmt::Display for Rule<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dtypes: Vec<String> = self.dtypes.iter().map(Dtype::to_string).collect();
        write!(f, "`{}` {}", self.names[0], dtypes.join(" or "))?;
        list(
            f,
            self.dims.iter().map(|dim| match dim {
                Dim::Is(size) => size.to_string(),
                Dim::One => "1".into(),
                Dim::Free(name) | Dim::Any(name) => (*name).into(),
            }),
        )
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.name, self.dtype)?;
        list(f, self.dims.iter().map(|dim| dim.map_or("?".into(), |size| size.to_string())))
    }
}

fn list(f: &mut fmt::Formatter<'_>, items: impl Iterator<Item = String>) -> fmt::Result {
    f.write_char('[')?;
    f.write_str(&items.collect::<Vec<_>>().join(","))?;
    f.write_char(']')
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "float32",
            Self::I32 => "int32",
            Self::I64 => "int64",
            Self::Other(name) => name,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: usize = usize::MAX;

    fn port(name: &str, dtype: Dtype, dims: &[usize]) -> Port {
        Port { name: name.into(), dtype, dims: dims.iter().map(|&d| (d != FREE).then_some(d)).collect() }
    }

    fn f32(name: &str, dims: &[usize]) -> Port {
        port(name, Dtype::F32, dims)
    }

    fn i64(name: &str, dims: &[usize]) -> Port {
        port(name, Dtype::I64, dims)
    }

    fn graph(inputs: &[Port], outputs: &[Port]) -> Interface {
        Interface { inputs: inputs.to_vec(), outputs: outputs.to_vec() }
    }

    fn encoder() -> Interface {
        graph(
            &[f32("audio_signal", &[FREE, 64, FREE]), i64("length", &[FREE])],
            &[f32("encoded", &[FREE, 768, FREE]), port("encoded_len", Dtype::I32, &[FREE])],
        )
    }

    fn joint() -> Interface {
        graph(&[f32("enc", &[1, 768, 1]), f32("dec", &[1, 320, 1])], &[f32("joint", &[1, 1, 1, 34])])
    }

    fn predictor(names: [&str; 6], batch: usize) -> Interface {
        let state = [1, batch, 320];
        graph(
            &[i64(names[0], &[batch, 1]), f32(names[1], &state), f32(names[2], &state)],
            &[f32(names[3], &[batch, 1, 320]), f32(names[4], &state), f32(names[5], &state)],
        )
    }

    fn refused<T: fmt::Debug>(result: Result<T>, expected: &[&str]) {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidModel);
        for part in expected {
            assert!(error.message().contains(part), "{part}: {error}");
        }
    }

    #[test]
    fn published_graphs_fit() {
        let found = Encoder::of_rnnt(&encoder()).unwrap();
        assert_eq!((found.audio.as_str(), found.width), ("audio_signal", Some(768)));
        assert_eq!(found.encoded_length, Some(("encoded_len".into(), Dtype::I32)));
        let found = Predictor::of(&predictor(["x", "h.1", "c.1", "dec", "h", "c"], 1)).unwrap();
        assert_eq!(found.inputs, ["x", "h.1", "c.1"]);
        assert_eq!(found.outputs, ["dec", "h", "c"]);
        let found = Joint::of(&joint(), 34).unwrap();
        assert_eq!((found.width, found.classes), (Some(768), Some(34)));
    }

    #[test]
    fn tensors_are_taken_by_name_then_by_position() {
        let check = |names, inputs, outputs| {
            let found = Predictor::of(&predictor(names, FREE)).unwrap();
            assert_eq!((found.inputs, found.outputs), (inputs, outputs));
        };
        let s = |names: [&str; 3]| names.map(String::from);
        check(["x", "hi", "ci", "dec", "ho", "co"], s(["x", "hi", "ci"]), s(["dec", "ho", "co"]));
        check(["a", "b", "c", "d", "e", "f"], s(["a", "b", "c"]), s(["d", "e", "f"]));
        check(["x", "ci", "hi", "dec", "c", "h"], s(["x", "hi", "ci"]), s(["dec", "h", "c"]));
        let mut swapped = encoder();
        swapped.inputs.reverse();
        swapped.outputs.reverse();
        assert_eq!(Encoder::of_rnnt(&swapped).unwrap(), Encoder::of_rnnt(&encoder()).unwrap());
    }

    #[test]
    fn other_graphs_are_refused_with_both_sides() {
        let with = |change: &dyn Fn(&mut Interface)| {
            let mut graph = encoder();
            change(&mut graph);
            Encoder::of_rnnt(&graph)
        };
        refused(
            with(&|g| g.inputs.truncate(1)),
            &["expected 2 inputs", "found 1 `audio_signal` float32[?,64,?]"],
        );
        refused(with(&|g| g.inputs.push(i64("more", &[]))), &["found 3"]);
        refused(
            with(&|g| g.inputs[0].dims[1] = Some(80)),
            &["`audio_signal` float32[B,64,T]", "float32[?,80,?]"],
        );
        refused(with(&|g| g.inputs[0].dims[2] = Some(800)), &["found 2 `audio_signal` float32[?,64,800]"]);
        refused(with(&|g| g.inputs[1].dtype = Dtype::F32), &["`length` int64[B]", "`length` float32[?]"]);
        refused(with(&|g| g.outputs[1].dims.clear()), &["`encoded_len` int32 or int64[B]", "int32[]"]);
        refused(
            with(&|g| g.outputs[0].dtype = Dtype::Other("float16".into())),
            &["`encoded` float16[?,768,?]"],
        );
        refused(with(&|g| g.outputs.clear()), &["expected 2 outputs", "found 0"]);
        // The name says `length`, so the first position is not free for it.
        refused(with(&|g| g.inputs[0].name = "length".into()), &["expected 2 inputs"]);
        let mut narrow = predictor(["x", "h.1", "c.1", "dec", "h", "c"], 1);
        narrow.inputs[1].dims[2] = Some(256);
        refused(Predictor::of(&narrow), &["float32[1,1,320]", "float32[1,1,256]"]);
        let classes = "expected as many classes in its output as pieces in the vocabulary, 33, found 34";
        refused(Joint::of(&joint(), 33), &[classes]);
    }

    #[test]
    fn ctc_graphs_fit() {
        let ctc = |classes| {
            graph(
                &[f32("features", &[FREE, 64, FREE]), i64("feature_lengths", &[FREE])],
                &[f32("log_probs", &[FREE, FREE, classes])],
            )
        };
        assert_eq!(Encoder::of_ctc(&ctc(34), 34).unwrap().width, Some(34));
        assert_eq!(Encoder::of_ctc(&ctc(FREE), 34).unwrap().width, None);
        refused(Encoder::of_ctc(&ctc(257), 34), &["34, found 257"]);
        refused(Encoder::of_ctc(&encoder(), 34), &["expected 1 outputs"]);
    }
}
