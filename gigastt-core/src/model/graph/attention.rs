//! Attention as one operator.
//!
//! ONNX Runtime's `MultiHeadAttention` goes through scores, softmax and mixing block by block, so that the
//! scores of all pairs of frames never lie in memory. For windows of 20 s this takes a tenth off the time of
//! attention; for short ones it makes no difference. An attention with a mask, or of a kind that is not
//! understood, stays as it is.

use std::collections::HashMap;

use super::constants::Constants;
use super::{AttributeProto, Graph, NodeProto, TensorProto};

/// Where ONNX Runtime's own operators are.
const DOMAIN: &str = "com.microsoft";

/// The first version of ONNX's operators whose softmax is over one axis.
const OPERATORS_MIN: i64 = 13;

/// From `[B, T, heads, width]` to `[B, heads, T, width]` and back.
const HEADS: [i64; 4] = [0, 2, 1, 3];

/// From keys `[B, heads, width, T]` to `[B, T, heads, width]`.
const KEYS: [i64; 4] = [0, 3, 1, 2];

const JOINED: &str = "gigastt.joined_heads";

/// Merges the attentions of `graph` and returns how many there were.
pub(crate) fn merge(graph: &mut Graph) -> usize {
    if graph.operators() < OPERATORS_MIN {
        return 0;
    }
    let found = {
        let values = Values::of(graph);
        let softmax = graph.body.node.iter().filter(|node| node.op_type() == "Softmax");
        softmax.filter_map(|node| values.attention(node)).collect::<Vec<_>>()
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
                let (nodes, split) = attention.nodes(&node.output[0]);
                graph.body.node.extend(nodes);
                graph.body.initializer.push(split);
            }
            None => graph.body.node.push(node),
        }
    }
    graph.body.initializer.push(TensorProto::integers(JOINED, &[0, 0, -1]));
    graph.import(DOMAIN);
    graph.prune();
    count
}

/// An attention over all frames.
struct Attention {
    /// `[B, heads, T, width]`.
    query: String,
    /// `[B, heads, width, T]`.
    key: String,
    /// `[B, heads, T, width]`.
    value: String,
    heads: i64,
    scale: f32,
    /// The index of the product that mixes the values.
    mixing: usize,
}

impl Attention {
    /// What computes `output`, and the shape it needs.
    fn nodes(&self, output: &str) -> (Vec<NodeProto>, TensorProto) {
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
        let mut merged =
            NodeProto::of("MultiHeadAttention", inputs.each_ref().map(String::as_str), &name("attention"))
                .with(AttributeProto::integer("num_heads", self.heads))
                .with(AttributeProto::float("scale", self.scale));
        merged.domain = Some(DOMAIN.into());
        nodes.extend([
            merged,
            NodeProto::of("Reshape", [&name("attention"), &name("split_shape")], &name("split")),
            turn(&name("split"), output, &HEADS),
        ]);
        (nodes, TensorProto::integers(&name("split_shape"), &[0, 0, self.heads, -1]))
    }
}

/// The values of a graph: where they come from and where they go.
struct Values<'g> {
    nodes: &'g [NodeProto],
    makers: HashMap<&'g str, &'g NodeProto>,
    constants: Constants<'g>,
}

impl<'g> Values<'g> {
    fn of(graph: &'g Graph) -> Self {
        let outputs = |node: &'g NodeProto| node.output.iter().map(move |name| (name.as_str(), node));
        let makers = graph.body.node.iter().flat_map(outputs).collect();
        Self { nodes: &graph.body.node, makers, constants: Constants::of(graph) }
    }

    /// The attention with this softmax; `None` when it is none that is understood.
    fn attention(&self, softmax: &NodeProto) -> Option<Attention> {
        if !matches!(softmax.attribute("axis").map(AttributeProto::i), None | Some(-1 | 3)) {
            return None;
        }
        let takes = |node: &NodeProto| node.input.first() == softmax.output.first();
        let mixing = self.nodes.iter().position(takes)?;
        let [_, value] = self.nodes[mixing].input.as_slice() else { return None };
        let mut scale = 1.0;
        let mut scores = *self.makers.get(softmax.input.first()?.as_str())?;
        loop {
            let scalar = |name: &String| self.constants.floats(name).filter(|c| c.values.len() == 1);
            let [a, b] = scores.input.as_slice() else { return None };
            let (rest, factor) = match scores.op_type() {
                "MatMul" if self.nodes[mixing].op_type() == "MatMul" => {
                    let (query, key, value) = (a.clone(), b.clone(), value.clone());
                    let heads = self.heads(&query)?;
                    return Some(Attention { query, key, value, heads, scale, mixing });
                }
                "Div" => (a, scalar(b)?.values[0].recip()),
                "Mul" => match scalar(b) {
                    Some(factor) => (a, factor.values[0]),
                    None => (b, scalar(a)?.values[0]),
                },
                _ => return None,
            };
            scale *= factor;
            scores = *self.makers.get(rest.as_str())?;
        }
    }

    /// The number of heads of `name`, `[B, heads, T, width]`, as whoever split them told it.
    fn heads(&self, name: &str) -> Option<i64> {
        let node = self.makers.get(name)?;
        match node.op_type() {
            "Transpose" => {
                let perm = node.attribute("perm").filter(|perm| perm.ints.len() == HEADS.len())?;
                let split = self.makers.get(node.input.first()?.as_str())?;
                let shape = split.input.get(1).filter(|_| split.op_type() == "Reshape")?;
                self.entry(shape, usize::try_from(perm.ints[1]).ok()?).filter(|&heads| heads > 0)
            }
            // Queries are scaled instead of scores.
            "Mul" | "Div" => self.heads(node.input.first()?),
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
