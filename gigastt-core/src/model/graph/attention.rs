//! Attention as one operator.
//!
//! ONNX Runtime's `MultiHeadAttention` goes through scores, softmax and mixing block by block, so that the
//! scores of all pairs of frames never lie in memory. For windows of 20 s this takes a tenth off the time of
//! attention; for short ones it makes no difference. An attention with a mask, or of a kind that is not
//! understood, stays as it is. [`streaming`](super::streaming) builds on the same operator.

use std::collections::HashMap;

use super::constants::{Constants, Floats};
use super::{AttributeProto, Graph, NodeProto, TensorProto};

/// Where ONNX Runtime's own operators are.
pub(super) const DOMAIN: &str = "com.microsoft";

/// The first version of ONNX's operators whose softmax is over one axis.
const OPERATORS_MIN: i64 = 13;

/// From `[B, T, heads, width]` to `[B, heads, T, width]` and back.
const HEADS: [i64; 4] = [0, 2, 1, 3];

/// From keys `[B, heads, width, T]` to `[B, T, heads, width]`.
const KEYS: [i64; 4] = [0, 3, 1, 2];

const JOINED: &str = "gigastt.joined_heads";

/// The shape that the nodes of any attention need.
pub(super) fn joined_heads() -> TensorProto {
    TensorProto::integers(JOINED, &[0, 0, -1])
}

/// Merges the attentions of `graph` and returns how many there were.
pub(crate) fn merge(graph: &mut Graph) -> usize {
    if graph.operators() < OPERATORS_MIN {
        return 0;
    }
    let found = {
        let values = Values::of(graph);
        let softmax = graph.body.node.iter().filter(|node| node.op_type() == "Softmax");
        softmax.filter_map(|node| values.attention(node, |_| None)).collect::<Vec<_>>()
    };
    if found.is_empty() {
        return 0;
    }
    let count = found.len();
    let mut merged: HashMap<usize, Attention> =
        found.into_iter().map(|found| (found.mixing, found)).collect();
    let nodes = std::mem::take(&mut graph.body.node);
    for (at, node) in nodes.into_iter().enumerate() {
        match merged.remove(&at) {
            Some(attention) => {
                let operator = |inputs: [&str; 3], output: &str| vec![attention.operator(inputs, output)];
                let (nodes, split) = attention.nodes(&node.output[0], operator);
                graph.body.node.extend(nodes);
                graph.body.initializer.push(split);
            }
            None => graph.body.node.push(node),
        }
    }
    graph.body.initializer.push(joined_heads());
    graph.import(DOMAIN);
    graph.prune();
    count
}

/// An attention over all frames.
pub(super) struct Attention {
    /// `[B, heads, T, width]`.
    pub query: String,
    /// `[B, heads, width, T]`.
    pub key: String,
    /// `[B, heads, T, width]`.
    pub value: String,
    heads: i64,
    scale: f32,
    /// The index of the product that mixes the values.
    pub mixing: usize,
}

impl Attention {
    /// What computes `output` with the nodes that `operator` makes for queries, keys and values
    /// `[B, T, heads * width]` and an output like them, and the shape it needs beside [`joined_heads`].
    pub(super) fn nodes(
        &self,
        output: &str,
        operator: impl FnOnce([&str; 3], &str) -> Vec<NodeProto>,
    ) -> (Vec<NodeProto>, TensorProto) {
        let name = |part: &str| format!("{output}:{part}");
        let turn = |from: &str, to: &str, perm: &[i64]| {
            NodeProto::of("Transpose", [from], to).with(AttributeProto::integers("perm", perm))
        };
        let mut nodes = Vec::new();
        for (part, given, perm) in
            [("query", &self.query, HEADS), ("key", &self.key, KEYS), ("value", &self.value, HEADS)]
        {
            let turned = name(&format!("{part}_turned"));
            nodes.push(turn(given, &turned, &perm));
            nodes.push(NodeProto::of("Reshape", [&turned, JOINED], &name(part)));
        }
        let inputs = ["query", "key", "value"].map(name);
        nodes.extend(operator(inputs.each_ref().map(String::as_str), &name("attention")));
        nodes.extend([
            NodeProto::of("Reshape", [&name("attention"), &name("split_shape")], &name("split")),
            turn(&name("split"), output, &HEADS),
        ]);
        (nodes, TensorProto::integers(&name("split_shape"), &[0, 0, self.heads, -1]))
    }

    /// The operator, which takes queries, keys, values, no bias, and which keys are there.
    pub(super) fn operator<const N: usize>(&self, inputs: [&str; N], output: &str) -> NodeProto {
        let node = NodeProto::of("MultiHeadAttention", inputs, output)
            .with(AttributeProto::integer("num_heads", self.heads))
            .with(AttributeProto::float("scale", self.scale));
        NodeProto { domain: Some(DOMAIN.into()), ..node }
    }
}

/// The values of a graph: where they come from and where they go.
pub(super) struct Values<'g> {
    nodes: &'g [NodeProto],
    makers: HashMap<&'g str, &'g NodeProto>,
    constants: Constants<'g>,
}

impl<'g> Values<'g> {
    pub(super) fn of(graph: &'g Graph) -> Self {
        let outputs = |node: &'g NodeProto| node.output.iter().map(move |name| (name.as_str(), node));
        let makers = graph.body.node.iter().flat_map(outputs).collect();
        Self { nodes: &graph.body.node, makers, constants: Constants::of(graph) }
    }

    /// The attention with this softmax; `None` when it is none that is understood. `unmasked` tells what a node
    /// that masks scores takes them from, if it may be left out.
    pub(super) fn attention(
        &self,
        softmax: &NodeProto,
        unmasked: impl Fn(&'g NodeProto) -> Option<&'g String>,
    ) -> Option<Attention> {
        if !matches!(softmax.attribute("axis").map(AttributeProto::i), None | Some(-1 | 3)) {
            return None;
        }
        let mixing = self.mixing(softmax)?;
        let value = self.nodes[mixing].input[1].clone();
        let mut scale = 1.0;
        let mut scores = *self.makers.get(softmax.input.first()?.as_str())?;
        loop {
            let is_scalar = |constant: &Floats| constant.dims.iter().all(|dim| *dim == 1);
            let scalar = |name: &String| self.constants.floats(name).filter(is_scalar);
            let (rest, factor) = match (scores.op_type(), scores.input.as_slice()) {
                ("MatMul", [query, key]) => {
                    let (query, key) = (query.clone(), key.clone());
                    let heads = self.dimension(&query, 1).filter(|&heads| heads > 0)?;
                    return Some(Attention { query, key, value, heads, scale, mixing });
                }
                ("Div", [a, b]) => (a, scalar(b)?.values[0].recip()),
                ("Mul", [a, b]) => match scalar(b) {
                    Some(factor) => (a, factor.values[0]),
                    None => (b, scalar(a)?.values[0]),
                },
                ("Cast" | "Identity", [one]) => (one, 1.0),
                _ => (unmasked(scores)?, 1.0),
            };
            scale *= factor;
            scores = *self.makers.get(rest.as_str())?;
        }
    }

    /// The index of the product that weighs values by what `softmax` gives.
    pub(super) fn mixing(&self, softmax: &NodeProto) -> Option<usize> {
        let takes = |node: &NodeProto| node.input.first() == softmax.output.first();
        let at = self.nodes.iter().position(takes)?;
        match (self.nodes[at].op_type(), self.nodes[at].input.len()) {
            ("MatMul", 2) => Some(at),
            ("Cast" | "Identity", _) => self.mixing(&self.nodes[at]),
            _ => None,
        }
    }

    /// Dimension `axis` of `name`, as whoever gave it that shape told it.
    fn dimension(&self, name: &str, axis: usize) -> Option<i64> {
        let node = *self.makers.get(name)?;
        let from = node.input.first()?;
        // Of the axes that are counted from behind only the last is surely another.
        let is_other = |along: i64| along == -1 || (along >= 0 && along != axis as i64);
        let integers = |input: usize| self.constants.integers(node.input.get(input)?);
        match node.op_type() {
            "Reshape" => self.entry(node.input.get(1)?, axis),
            "Transpose" => {
                let from_axis = *node.attribute("perm")?.ints.get(axis)?;
                self.dimension(from, usize::try_from(from_axis).ok()?)
            }
            "Squeeze" => {
                let gone =
                    integers(1)?.into_iter().map(usize::try_from).collect::<Result<Vec<_>, _>>().ok()?;
                self.dimension(from, (0..).filter(|axis| !gone.contains(axis)).nth(axis)?)
            }
            "Concat" | "Split" if node.attribute("axis").is_some_and(|along| is_other(along.i())) => {
                self.dimension(from, axis)
            }
            "Slice" if integers(3)?.into_iter().all(is_other) => self.dimension(from, axis),
            // Queries are scaled instead of scores, or rotated.
            "Add" | "Sub" | "Mul" | "Div" => self.dimension(from, axis),
            _ => None,
        }
    }

    /// The entry `at` of the list of integers `name`, where it does not depend on the input.
    fn entry(&self, name: &str, mut at: usize) -> Option<i64> {
        if let Some(list) = self.constants.integers(name) {
            return list.get(at).copied();
        }
        let parts = self.makers.get(name).filter(|node| node.op_type() == "Concat")?;
        for part in &parts.input {
            // Of what is computed it is a dimension.
            let known = self.constants.integers(part);
            let size = known.as_ref().map_or(1, Vec::len);
            if at < size {
                return known?.get(at).copied();
            }
            at -= size;
        }
        None
    }
}
