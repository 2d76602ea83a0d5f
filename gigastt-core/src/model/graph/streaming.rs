//! An encoder that keeps what it has computed: cut from the file of one that attends over its whole input.
//!
//! A call takes the mel frames of a step and its right context and, layer by layer, what earlier steps
//! left: keys and values of their frames, and the last inputs of the depthwise convolution. It gives the
//! frames of step and right context, and what the step leaves to the next one. Nothing is renumbered:
//! the frames' positions count from the utterance's start, also in kept keys, because GigaAM rotates what
//! goes into the projections of queries and keys, and scores then depend on more than distances.
//!
//! One step over a whole utterance, with nothing kept, is what the original computes. Steps of several
//! utterances, each at its own position and with a past of its own, share a call where they are equally long;
//! in floats that changes none of them.
//!
//! The graph is changed where time is: at the subsampling, the depthwise convolutions, the products of
//! attention and the rotary positions. All other operators look at one frame at a time and stay, so that
//! weights may have any form. A graph in which these places cannot be told is refused.

use std::collections::{HashMap, HashSet};

use super::attention::{self, Attention, Values};
use super::{AttributeProto, DataType, Graph, GraphProto, NodeProto, TensorProto, ValueInfoProto, uses};
use crate::model::interface::{Encoder, Interface, Port};
use crate::{Error, ErrorKind, Result};

/// Encoder frames of subsampling context before a step that does not begin the utterance: the audio
/// begins this many frames before the step's first, and they are not given.
pub(crate) const BEFORE: usize = 2;

/// What the names of all tensors begin with that are added.
const PREFIX: &str = "gigastt.";

/// The number of each frame in its utterance, i64 `[B, T]`.
pub(crate) const POSITIONS: &str = "gigastt.positions";
/// Frames of context for the subsampling before those, i64 `[1]`: at most [`BEFORE`].
pub(crate) const CONTEXT: &str = "gigastt.context";
/// Frames of the step, i64 `[1]`: those whose keys, values and convolution inputs are given back.
pub(crate) const STEP: &str = "gigastt.step";
/// Which kept and new frames are there, i32 `[B, L + T]`: 1, or 0 for rows that fill up the keys of an item that has
/// fewer of them than others.
pub(crate) const MASK: &str = "gigastt.mask";

/// The kernel, stride and padding of both convolutions of the subsampling.
const SUBSAMPLING: (i64, i64, [i64; 2]) = (5, 2, [2, 2]);
/// Operators that compute each frame by itself, or shapes and constants.
const PLAIN: [&str; 39] = [
    "Add",
    "And",
    "Cast",
    "CastLike",
    "Clip",
    "Concat",
    "Constant",
    "ConstantOfShape",
    "Cos",
    "DequantizeLinear",
    "Div",
    "DynamicQuantizeLinear",
    "Equal",
    "Expand",
    "Gather",
    "Greater",
    "Identity",
    "LayerNormalization",
    "Less",
    "MatMul",
    "MatMulInteger",
    "Max",
    "Min",
    "Mul",
    "Neg",
    "Not",
    "Or",
    "Range",
    "Relu",
    "Reshape",
    "Shape",
    "Sigmoid",
    "Sin",
    "Split",
    "Squeeze",
    "Sub",
    "Tanh",
    "Transpose",
    "Unsqueeze",
];

/// A streaming encoder.
pub(crate) struct Streaming {
    /// Inputs: those of before, [`POSITIONS`], [`CONTEXT`], [`STEP`], [`MASK`], and those of [`Ports`] for each
    /// layer; outputs: those of before, and those of [`Ports`]. A reported length counts the frames before the
    /// step.
    pub graph: Graph,
    pub shape: Shape,
}

/// What a caller of a streaming encoder must know of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub layers: usize,
    /// Values in a frame's keys, and in its values, of one layer.
    pub width: usize,
    /// Frames of convolution input that are kept: half the depthwise kernel.
    pub past: usize,
}

/// What one layer keeps from step to step: names of inputs and outputs.
pub(crate) struct Ports {
    /// f16 `[B, L, width]`, in any order of frames; given back: f16 `[B, step, width]`.
    pub keys: [String; 2],
    /// As `keys`, in the same order.
    pub values: [String; 2],
    /// f32 `[B, width, past]`, zeros at the utterance's start; given back as it is after the step.
    pub convolution: [String; 2],
}

impl Ports {
    /// Those of layer `layer`.
    pub(crate) fn of(layer: usize) -> Self {
        let both = |what: &str| [format!("gigastt.{what}.{layer}"), format!("gigastt.{what}.{layer}.step")];
        Self { keys: both("keys"), values: both("values"), convolution: both("convolution") }
    }
}

/// Makes a streaming encoder of the one in `graph`.
///
/// # Errors
/// `InvalidModel`, saying what was not understood.
pub(crate) fn encoder(graph: Graph, ports: &Encoder) -> Result<Streaming> {
    let mut rewriting = Rewriting::new(graph, ports)?;
    rewriting.refuse_unknown()?;
    rewriting.subsampling()?;
    rewriting.positions()?;
    let (width, past) = rewriting.convolutions()?;
    let layers = rewriting.attention()?;
    if rewriting.depthwise.len() != layers {
        let found = rewriting.depthwise.len();
        return Err(refused(format!("{layers} attentions and {found} depthwise convolutions")));
    }
    let shape = Shape { layers, width, past };
    Ok(Streaming { graph: rewriting.finish(shape), shape })
}

/// The tensors of an encoder apart from those that [`encoder`] gave it, and the shape of what it keeps if it
/// has such.
pub(crate) fn without_past(graph: &Interface) -> (Interface, Option<Shape>) {
    let others =
        |ports: &[Port]| ports.iter().filter(|port| !port.name.starts_with(PREFIX)).cloned().collect();
    let plain = Interface { inputs: others(&graph.inputs), outputs: others(&graph.outputs) };
    let layers = (0..).take_while(|layer| is_given(graph, &Ports::of(*layer).keys[0])).count();
    let first = Ports::of(0).convolution;
    let dims = graph.inputs.iter().find(|port| port.name == first[0]).map(|port| port.dims.as_slice());
    let shape = match dims {
        Some(&[None, Some(width), Some(past)])
            if [POSITIONS, CONTEXT, STEP, MASK].iter().all(|name| is_given(graph, name)) =>
        {
            Some(Shape { layers, width, past })
        }
        _ => None,
    };
    (plain, shape)
}

fn is_given(graph: &Interface, name: &str) -> bool {
    graph.inputs.iter().any(|port| port.name == name)
}

fn refused(what: String) -> Error {
    Error::new(ErrorKind::InvalidModel, format!("no streaming encoder can be cut from this graph: {what}"))
}

fn integer(node: &NodeProto, name: &str) -> Option<i64> {
    node.attribute(name).map(AttributeProto::i)
}

fn integers<'n>(node: &'n NodeProto, name: &str) -> Option<&'n [i64]> {
    node.attribute(name).map(|attribute| attribute.ints.as_slice())
}

struct Rewriting {
    graph: Graph,
    /// The node that gives a value.
    makers: HashMap<String, usize>,
    /// Values that depend on what is heard, not only on how long it is.
    heard: HashSet<String>,
    /// Nodes to be put before the node of this number.
    before: HashMap<usize, Vec<NodeProto>>,
    /// Nodes to be put at the end.
    after: Vec<NodeProto>,
    depthwise: Vec<usize>,
}

impl Rewriting {
    fn new(graph: Graph, ports: &Encoder) -> Result<Self> {
        match graph.operators() {
            17.. => {}
            found => return Err(refused(format!("operator set {found}, expected 17 or newer"))),
        }
        let nodes = || graph.body.node.iter().enumerate();
        let makers =
            nodes().flat_map(|(at, node)| node.output.iter().map(move |o| (o.clone(), at))).collect();
        let mut heard = HashSet::from([ports.audio.clone()]);
        for node in graph.body.node.iter().filter(|node| node.op_type() != "Shape") {
            if uses(node).iter().any(|name| heard.contains(*name)) {
                heard.extend(node.output.iter().cloned());
            }
        }
        Ok(Self { graph, makers, heard, before: HashMap::new(), after: Vec::new(), depthwise: Vec::new() })
    }

    fn refuse_unknown(&self) -> Result<()> {
        let known = |node: &&NodeProto| match node.op_type() {
            // Over a frame's values.
            "LayerNormalization" => matches!(integer(node, "axis"), None | Some(-1 | 2)),
            "Conv" | "Softmax" | "Slice" => true,
            name => PLAIN.contains(&name),
        };
        match self.graph.body.node.iter().find(|node| !known(node)) {
            Some(node) => Err(refused(format!("operator {} (`{}`)", node.op_type(), node.name()))),
            None => Ok(()),
        }
    }

    /// The nodes of an operator.
    fn nodes_of(&self, operator: &str) -> Vec<usize> {
        let nodes = self.graph.body.node.iter().enumerate();
        nodes.filter(|(_, node)| node.op_type() == operator).map(|(at, _)| at).collect()
    }

    fn maker(&self, name: &str) -> Option<&NodeProto> {
        self.makers.get(name).map(|at| &self.graph.body.node[*at])
    }

    /// Whether the value is written in the file.
    fn is_constant(&self, name: &str) -> bool {
        self.graph.body.initializer.iter().any(|tensor| tensor.name() == name)
            || self.maker(name).is_some_and(|node| node.op_type() == "Constant")
    }

    /// The dimensions of a weight, quantised or not.
    fn dims(&self, name: &str) -> Option<&[i64]> {
        let written = self.graph.body.initializer.iter().find(|tensor| tensor.name() == name);
        match (written, self.maker(name)) {
            (Some(tensor), _) => Some(&tensor.dims),
            (None, Some(node)) => match node.op_type() {
                "Constant" => node.attribute.iter().find_map(|a| a.t.as_ref()).map(|t| t.dims.as_slice()),
                "DequantizeLinear" | "Identity" => self.dims(node.input.first()?),
                _ => None,
            },
            (None, None) => None,
        }
    }

    fn put_before(&mut self, at: usize, node: NodeProto) {
        self.before.entry(at).or_default().push(node);
    }

    /// Lets the node give its first output under another name: the old name, for a node to be put between,
    /// and the new one.
    fn rename_output(&mut self, at: usize, suffix: &str) -> (String, String) {
        let output = &mut self.graph.body.node[at].output[0];
        let (old, new) = (output.clone(), format!("{output}.{suffix}"));
        output.clone_from(&new);
        (old, new)
    }

    /// Both convolutions pad the audio's start with zeros. Later in the utterance it is context that
    /// stands before the step, and what was computed beside the padding is taken away.
    fn subsampling(&mut self) -> Result<()> {
        let all = self.nodes_of("Conv").into_iter();
        let strided: Vec<usize> = all
            .filter(|at| integers(&self.graph.body.node[*at], "strides").is_some_and(|s| s != [1]))
            .collect();
        for &at in &strided {
            let node = &self.graph.body.node[at];
            let kernel = self.dims(&node.input[1]).and_then(|dims| dims.get(2).copied());
            let found = (kernel, integers(node, "strides"), integers(node, "pads"));
            let (size, stride, pads) = SUBSAMPLING;
            if found != (Some(size), Some(&[stride]), Some(&pads)) || integer(node, "group").unwrap_or(1) != 1
            {
                return Err(refused(format!(
                    "a strided convolution of another kind (`{}`): {found:?}",
                    node.name()
                )));
            }
        }
        let &[first, second] = strided.as_slice() else {
            return Err(refused(format!("{} strided convolutions, expected 2", strided.len())));
        };
        let input = &self.graph.body.node[second].input[0];
        if !self.leads_from(&self.graph.body.node[first].output[0], input) {
            return Err(refused("strided convolutions that do not follow each other".into()));
        }
        let (old, new) = self.rename_output(second, "with_context");
        let mut rest = NodeProto::of("Slice", [&new, CONTEXT, END, TIME], &old);
        rest.name = Some("gigastt.without_context".into());
        self.put_before(second + 1, rest);
        Ok(())
    }

    /// Whether `to` is `from`, looking back through operators of one frame each.
    fn leads_from(&self, from: &str, to: &str) -> bool {
        let Some(node) = self.maker(to) else { return false };
        from == to
            || (node.op_type() != "Conv"
                && uses(node).iter().any(|name| self.heard.contains(*name) && self.leads_from(from, name)))
    }

    /// Rotary positions are looked up in a table or computed from a range. Those given take their place, of all
    /// items one after the other, and what is computed of them is divided among the items where it meets what was
    /// heard.
    fn positions(&mut self) -> Result<()> {
        let mut computed: HashMap<String, Axes> = HashMap::new();
        for at in self.nodes_of("Slice") {
            let node = &self.graph.body.node[at];
            let [table, starts, ends, axes @ ..] = node.input.as_slice() else { continue };
            if !self.is_constant(table) || self.is_constant(ends) {
                continue;
            }
            let rank = self.dims(table).map_or(0, <[i64]>::len);
            let axis = match axes.first().map(|axes| self.values(axes)) {
                None => 0,
                Some(Some(axes)) if axes.len() == 1 => axes[0].rem_euclid(rank.max(1) as i64),
                Some(_) => return Err(refused(format!("positions along no one axis (`{}`)", node.name()))),
            };
            let (table, starts, output) = (table.clone(), starts.clone(), node.output[0].clone());
            let rows = format!("{output}.positions");
            computed.insert(output.clone(), Axes { rank, behind: rank.saturating_sub(1 + axis as usize) });
            // Sines may lie behind cosines, in one table.
            self.put_before(at, NodeProto::of("Add", [FLAT, &starts], &rows));
            let looked_up = NodeProto::of("Gather", [&table, &rows], &output);
            self.graph.body.node[at] = looked_up.with(AttributeProto::integer("axis", axis));
        }
        let angles: Vec<String> = ["Cos", "Sin"]
            .into_iter()
            .flat_map(|operator| self.nodes_of(operator))
            .map(|at| self.graph.body.node[at].input[0].clone())
            .collect();
        let mut leading = HashSet::new();
        angles.iter().for_each(|name| self.ancestors(name, &mut leading));
        for range in self.nodes_of("Range") {
            let name = self.graph.body.node[range].output[0].clone();
            let takers: Vec<usize> = leading
                .iter()
                .copied()
                .filter(|at| self.graph.body.node[*at].input.contains(&name))
                .collect();
            if takers.is_empty() {
                continue;
            }
            let moved = format!("{name}.position");
            self.put_before(range + 1, NodeProto::of("CastLike", [FLAT, &name], &moved));
            for at in takers {
                self.graph.body.node[at]
                    .input
                    .iter_mut()
                    .filter(|input| **input == name)
                    .for_each(|input| input.clone_from(&moved));
            }
            computed.insert(moved, Axes { rank: 1, behind: 0 });
        }
        if computed.is_empty() {
            return Err(refused("no rotary positions".into()));
        }
        self.divide(computed)
    }

    /// Follows what is `computed` of positions until it meets what was heard, and gives it an axis for the items
    /// there.
    fn divide(&mut self, mut computed: HashMap<String, Axes>) -> Result<()> {
        let mut divided: HashSet<String> = HashSet::new();
        for at in 0..self.graph.body.node.len() {
            let node = &self.graph.body.node[at];
            let found: Vec<usize> =
                (0..node.input.len()).filter(|input| computed.contains_key(&node.input[*input])).collect();
            let Some(axes) = found.iter().map(|input| computed[&node.input[*input]]).max() else { continue };
            if !node.input.iter().any(|input| self.heard.contains(input)) {
                let axes = self.axes(node, axes)?;
                computed.insert(node.output[0].clone(), axes);
                continue;
            }
            for input in found {
                let name = self.graph.body.node[at].input[input].clone();
                let parted = format!("{name}.by_item");
                let axes = computed[&name];
                self.graph.body.node[at].input[input].clone_from(&parted);
                if divided.insert(name.clone()) {
                    let shape = SHAPES.get(axes.behind.wrapping_sub(1)).ok_or_else(|| {
                        refused(format!("positions with {} axes behind them (`{name}`)", axes.behind))
                    })?;
                    // Of [T, items, heads, width] the items are the second axis.
                    let (rows, turned) = (format!("{name}.rows"), axes.behind == SHAPES.len());
                    let to = if turned { &rows } else { &parted };
                    self.put_before(at, NodeProto::of("Reshape", [&name, shape], to));
                    if turned {
                        let turn = NodeProto::of("Transpose", [&rows], &parted);
                        self.put_before(at, turn.with(AttributeProto::integers("perm", &[1, 0, 2, 3])));
                    }
                }
            }
        }
        Ok(())
    }

    /// The axes of what `node` gives, which takes something with `axes`.
    fn axes(&self, node: &NodeProto, axes: Axes) -> Result<Axes> {
        match node.op_type() {
            "Add" | "Cast" | "CastLike" | "Concat" | "Cos" | "Div" | "Identity" | "Mul" | "Neg" | "Sin"
            | "Sub" => {
                let ranks = node.input.iter().filter_map(|input| self.dims(input)).map(<[i64]>::len);
                Ok(Axes { rank: ranks.fold(axes.rank, usize::max), ..axes })
            }
            "Unsqueeze" => {
                let added = node.input.get(1).and_then(|added| self.values(added)).unwrap_or_default();
                let rank = axes.rank + added.len();
                let added: HashSet<i64> = added.iter().map(|axis| axis.rem_euclid(rank as i64)).collect();
                // The place of time among the axes that were there before.
                let time =
                    (0..rank as i64).filter(|axis| !added.contains(axis)).nth(axes.rank - 1 - axes.behind);
                let time = time.map_or(0, |time| time as usize);
                Ok(Axes { rank, behind: rank - 1 - time })
            }
            operator => Err(refused(format!("positions in {operator} (`{}`)", node.name()))),
        }
    }

    /// The integers of a constant.
    fn values(&self, name: &str) -> Option<Vec<i64>> {
        let written = self.graph.body.initializer.iter().find(|tensor| tensor.name() == name);
        let tensor = match written {
            Some(tensor) => tensor,
            None => {
                let node = self.maker(name).filter(|node| node.op_type() == "Constant")?;
                node.attribute.iter().find_map(|attribute| attribute.t.as_ref())?
            }
        };
        tensor.to_integers()
    }

    /// The nodes that `name` is computed by. Of what is asked only for its length, how it is computed does
    /// not matter.
    fn ancestors(&self, name: &str, found: &mut HashSet<usize>) {
        if let Some(&at) = self.makers.get(name)
            && found.insert(at)
            && self.graph.body.node[at].op_type() != "Shape"
        {
            uses(&self.graph.body.node[at]).iter().for_each(|input| self.ancestors(input, found));
        }
    }

    /// Depthwise convolutions get their last inputs in place of the padding before them. The model's
    /// width, and how many inputs these are.
    fn convolutions(&mut self) -> Result<(usize, usize)> {
        let mut shape = None;
        for at in self.nodes_of("Conv") {
            let node = &self.graph.body.node[at];
            let dims = self.dims(&node.input[1]).unwrap_or_default().to_vec();
            let (strides, pads) =
                (integers(node, "strides").unwrap_or(&[1]), integers(node, "pads").unwrap_or(&[0, 0]));
            match (integer(node, "group").unwrap_or(1), dims.as_slice(), strides, pads) {
                (1, [_, _, 1], [1], [0, 0]) => continue,
                (1, _, [2], _) => continue,
                (group, &[channels, 1, kernel], [1], &[before, behind])
                    if group == channels
                        && before == behind
                        && kernel == 2 * before + 1
                        && before > 0
                        && integers(node, "dilations").is_none_or(|d| d == [1])
                        && *shape.get_or_insert((channels, before)) == (channels, before) => {}
                _ => return Err(refused(format!("a convolution of another kind (`{}`)", node.name()))),
            }
            let past = pads[0];
            let Ports { convolution: [given, left], .. } = Ports::of(self.depthwise.len());
            let joined = format!("{left}.joined");
            let input = std::mem::replace(&mut self.graph.body.node[at].input[0], joined.clone());
            self.put_before(
                at,
                NodeProto::of("Concat", [&given, &input], &joined).with(AttributeProto::integer("axis", 2)),
            );
            self.graph.body.node[at].attribute.retain(|a| a.name() != "pads");
            self.graph.body.node[at].attribute.push(AttributeProto::integers("pads", &[0, past]));
            self.after.push(NodeProto::of("Slice", [&joined, STEP, STEP_AND_PAST, TIME], &left));
            self.depthwise.push(at);
        }
        let (width, past) = shape.ok_or_else(|| refused("no depthwise convolution".into()))?;
        Ok((width as usize, past as usize))
    }

    /// Queries attend to keys and values of earlier frames, too; masks go, since every frame given is there. How
    /// many attentions there are.
    fn attention(&mut self) -> Result<usize> {
        let found = self.attentions()?;
        for (layer, attention) in found.iter().enumerate() {
            let ports = Ports::of(layer);
            let (output, _) = self.rename_output(attention.mixing, "apart");
            let operator = |new: [&str; 3], output: &str| beside_kept(attention, &ports, new, output);
            let (nodes, split) = attention.nodes(&output, operator);
            nodes.into_iter().for_each(|node| self.put_before(attention.mixing, node));
            self.graph.body.initializer.push(split);
        }
        self.graph.body.initializer.push(attention::joined_heads());
        self.graph.import(attention::DOMAIN);
        Ok(found.len())
    }

    /// The attentions, in their order.
    fn attentions(&self) -> Result<Vec<Attention>> {
        let values = Values::of(&self.graph);
        let is_heard = |name: &&String| self.heard.contains(*name);
        let mut found = Vec::new();
        for at in self.nodes_of("Softmax") {
            let softmax = &self.graph.body.node[at];
            // That of a CTC head weighs nothing.
            if values.mixing(softmax).is_none() {
                continue;
            }
            // A mask covers the new frames alone and of these none.
            let attention = values.attention(softmax, |node| match node.op_type() {
                "Add" | "Where" => {
                    let heard: Vec<_> = node.input.iter().filter(is_heard).collect();
                    <[&String; 1]>::try_from(heard).ok().map(|[scores]| scores)
                }
                _ => None,
            });
            let all_heard = |found: &Attention| [&found.query, &found.key, &found.value].iter().all(is_heard);
            let refusal = || refused(format!("an attention of another kind (`{}`)", softmax.name()));
            found.push(attention.filter(all_heard).ok_or_else(refusal)?);
        }
        Ok(found)
    }

    fn finish(self, shape: Shape) -> Graph {
        let Shape { layers, width, past } = shape;
        let Self { mut graph, mut before, after, .. } = self;
        let joined = |parts: [&str; 4], output: &str| {
            NodeProto::of("Concat", parts, output).with(AttributeProto::integer("axis", 0))
        };
        let size = |axis: i64, output: &str| {
            NodeProto::of("Shape", [POSITIONS], output)
                .with(AttributeProto::integer("start", axis))
                .with(AttributeProto::integer("end", axis + 1))
        };
        let mut nodes = vec![
            NodeProto::of("Add", [STEP, PAST], STEP_AND_PAST),
            NodeProto::of("Reshape", [POSITIONS, REST], FLAT),
            size(0, "gigastt.items"),
            size(1, "gigastt.frames"),
            NodeProto::of("ReduceMin", [MASK], "gigastt.least").with(AttributeProto::integer("keepdims", 0)),
            cast("gigastt.least", DataType::Bool, ALL_THERE),
            joined(["gigastt.items", ONE, "gigastt.frames", REST], SHAPES[0]),
            joined(["gigastt.items", "gigastt.frames", ONE, REST], SHAPES[1]),
        ];
        for (at, node) in graph.body.node.drain(..).enumerate() {
            nodes.extend(before.remove(&at).unwrap_or_default());
            nodes.push(node);
        }
        nodes.extend(after);
        graph.body.node = nodes;
        let constant = |name: &str, values: &[i64]| TensorProto::integers(name, values);
        graph.body.initializer.extend([
            constant(ONE, &[1]),
            constant(REST, &[-1]),
            constant(END, &[i64::MAX]),
            constant(TIME, &[2]),
            constant(NONE, &[0]),
            constant(PAST, &[past as i64]),
        ]);
        let kept: Vec<Ports> = (0..layers).map(Ports::of).collect();
        let rows =
            |name: &str| ValueInfoProto::tensor(name, DataType::Float16).shaped(&[None, None, Some(width)]);
        let mut inputs = graph.body.input.clone();
        let one = |name: &str| ValueInfoProto::tensor(name, DataType::Int64).shaped(&[Some(1)]);
        let table =
            |name: &str, elements: DataType| ValueInfoProto::tensor(name, elements).shaped(&[None, None]);
        inputs.extend([
            table(POSITIONS, DataType::Int64),
            one(CONTEXT),
            one(STEP),
            table(MASK, DataType::Int32),
        ]);
        let mut outputs = graph.body.output.clone();
        for Ports { keys, values, convolution } in kept {
            let past = |name: &str| ValueInfoProto::floats(name).shaped(&[None, Some(width), Some(past)]);
            inputs.extend([rows(&keys[0]), rows(&values[0]), past(&convolution[0])]);
            outputs.extend([rows(&keys[1]), rows(&values[1]), past(&convolution[1])]);
        }
        graph.part(inputs, outputs)
    }
}

/// The axes of something that is computed of positions: how many, and how many of them behind that of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Axes {
    rank: usize,
    behind: usize,
}

/// What attends to kept frames and new ones, each `[B, frames, width]`, and gives back those of the step. ONNX
/// Runtime goes through scores block by block where it is given no mask, which counts in long windows, and few
/// calls need one.
fn beside_kept(
    attention: &Attention,
    ports: &Ports,
    [query, key, value]: [&str; 3],
    output: &str,
) -> Vec<NodeProto> {
    let branch = |what: &str, operator: &dyn Fn(&str) -> NodeProto| {
        let name = format!("{output}.{what}");
        let (node, output) = (vec![operator(&name)], vec![ValueInfoProto::floats(&name)]);
        GraphProto { name: Some(name), node, output, ..GraphProto::default() }
    };
    let mut nodes = Vec::new();
    let [keys, values] = [(&ports.keys, key), (&ports.values, value)].map(|([kept, left], new)| {
        let [floats, all, part] = ["floats", "all", "part"].map(|what| format!("{kept}.{what}"));
        nodes.extend([
            cast(kept, DataType::Float, &floats),
            NodeProto::of("Concat", [&floats, new], &all).with(AttributeProto::integer("axis", 1)),
            NodeProto::of("Slice", [new, NONE, STEP, ONE], &part),
            cast(&part, DataType::Float16, left),
        ]);
        all
    });
    let plain = branch("plain", &|output| attention.operator([query, &keys, &values], output));
    let masked = branch("masked", &|output| attention.operator([query, &keys, &values, "", MASK], output));
    nodes.push(
        NodeProto::of("If", [ALL_THERE], output)
            .with(AttributeProto::graph("then_branch", plain))
            .with(AttributeProto::graph("else_branch", masked)),
    );
    nodes
}

fn cast(from: &str, to: DataType, output: &str) -> NodeProto {
    NodeProto::of("Cast", [from], output).with(AttributeProto::integer("to", i32::from(to).into()))
}

/// All positions, item by item.
const FLAT: &str = "gigastt.positions_flat";
/// Shapes of what is computed of positions, divided among the items, by how many axes are behind time:
/// `[B, 1, T, width]`, `[B, T, 1, width]`, and the same before its first two are turned.
const SHAPES: [&str; 3] = ["gigastt.rotary_shape_1", "gigastt.rotary_shape_2", "gigastt.rotary_shape_2"];
const ONE: &str = "gigastt.one";
const REST: &str = "gigastt.rest";
/// Whether all kept frames are there.
const ALL_THERE: &str = "gigastt.all_there";
const END: &str = "gigastt.end";
const TIME: &str = "gigastt.time";
const NONE: &str = "gigastt.none";
const PAST: &str = "gigastt.past";
const STEP_AND_PAST: &str = "gigastt.step_and_past";
