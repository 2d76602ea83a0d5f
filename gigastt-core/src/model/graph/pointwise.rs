//! Pointwise convolutions as matrix products.
//!
//! A convolution of kernel 1 over `[B, C, T]` is a matrix product over `[B, T, C]`, for which ONNX Runtime
//! has faster kernels, in 8 bits above all. Values are turned for it and back; where a value comes from a
//! turned one through operators that take each element for itself or split channels, those take the turned one
//! instead.

use std::collections::HashMap;

use super::constants::{Constants, Floats};
use super::{AttributeProto, Graph, NodeProto, TensorProto};

/// From `[B, C, T]` to `[B, T, C]` and back.
const TURN: [i64; 3] = [0, 2, 1];

/// Operators whose result's elements depend on the elements at the same place alone.
const ELEMENTWISE: [&str; 9] = ["Add", "Div", "Erf", "HardSigmoid", "Mul", "Relu", "Sigmoid", "Sub", "Tanh"];

/// How many operators are looked through for a turned value.
const DEPTH_MAX: usize = 8;

/// Makes the pointwise convolutions of `graph` matrix products and returns how many there were.
pub(crate) fn to_matrix_products(graph: &mut Graph) -> usize {
    let mut rewrite = Rewrite::default();
    let mut count = 0;
    let constants = Constants::of(graph);
    for node in &graph.body.node {
        match weight(node, &constants) {
            Some(weight) => {
                rewrite.convolution(node, weight);
                count += 1;
            }
            None => rewrite.other(node.clone()),
        }
    }
    let Rewrite { nodes, weights, .. } = rewrite;
    if count > 0 {
        graph.body.node = nodes;
        graph.body.initializer.extend(weights);
        graph.prune();
    }
    count
}

/// The weight of a pointwise convolution, `[inputs, outputs]`; `None` for other nodes.
fn weight(node: &NodeProto, constants: &Constants<'_>) -> Option<Floats> {
    let all =
        |name: &str, wanted: i64| node.attribute(name).is_none_or(|a| a.ints.iter().all(|&i| i == wanted));
    let padding =
        node.attribute("auto_pad").is_none_or(|a| [b"NOTSET".as_slice(), b"VALID"].contains(&a.s()));
    let group = node.attribute("group").map_or(1, AttributeProto::i);
    if node.op_type() != "Conv" || group != 1 || !padding || !all("strides", 1) || !all("pads", 0) {
        return None;
    }
    let name = node.input.get(1)?;
    let &[outputs, inputs, 1] = constants.dims(name)?.as_slice() else { return None };
    let Floats { values, .. } = constants.floats(name)?;
    let mut turned = vec![0.0; values.len()];
    for (output, row) in values.chunks_exact(inputs.max(1)).enumerate() {
        for (input, value) in row.iter().enumerate() {
            turned[input * outputs + output] = *value;
        }
    }
    Some(Floats { dims: vec![inputs, outputs], values: turned })
}

#[derive(Default)]
struct Rewrite {
    nodes: Vec<NodeProto>,
    weights: Vec<TensorProto>,
    /// The index of the node that gives a value.
    producers: HashMap<String, usize>,
    /// Values that were turned already.
    turned: HashMap<String, String>,
}

impl Rewrite {
    fn push(&mut self, node: NodeProto) {
        self.producers.extend(node.output.iter().map(|name| (name.clone(), self.nodes.len())));
        self.nodes.push(node);
    }

    fn convolution(&mut self, node: &NodeProto, weight: Floats) {
        let output = &node.output[0];
        let name = |part: &str| format!("{output}:{part}");
        self.weights.push(TensorProto::of_floats(&name("weight"), &weight.dims, &weight.values));
        let x = self.turn(&node.input[0], 0);
        let mut product = name("product");
        self.push(NodeProto::of("MatMul", [&x, &name("weight")], &product));
        if let Some(bias) = node.input.get(2).filter(|bias| !bias.is_empty()) {
            self.push(NodeProto::of("Add", [bias, &product], &name("sum")));
            product = name("sum");
        }
        self.push(turn(&product, output));
    }

    /// A node that stays. Parts of turned channels are parts of what they were turned from, and what a convolution
    /// takes is turned at the end of how it was computed: a gated unit turns half as much.
    fn other(&mut self, mut node: NodeProto) {
        match node.op_type() {
            "Split" if is_along_channels(&node) && self.is_turnable(&node.input[0], 0) => {
                node.input[0] = self.turn(&node.input[0], 0);
                node.attribute.retain(|attribute| attribute.name() != "axis");
                node.attribute.push(AttributeProto::integer("axis", 2));
                let name = |output: &String| format!("{output}:part");
                let turns: Vec<_> = node.output.iter().map(|output| turn(&name(output), output)).collect();
                node.output = node.output.iter().map(name).collect();
                self.push(node);
                turns.into_iter().for_each(|turn| self.push(turn));
            }
            "Conv" if self.is_turnable(&node.input[0], 0) => {
                let (x, back) = (self.turn(&node.input[0], 0), format!("{}:back", node.output[0]));
                self.push(turn(&x, &back));
                node.input[0] = back;
                self.push(node);
            }
            _ => self.push(node),
        }
    }

    /// The name of `value` turned.
    fn turn(&mut self, value: &str, depth: usize) -> String {
        if let Some(found) = self.turned.get(value) {
            return found.clone();
        }
        let producer = self.producers.get(value).map(|&index| self.nodes[index].clone());
        let found = match producer {
            Some(node) if is_turn(&node) => node.input[0].clone(),
            Some(mut node) if self.is_turnable(value, depth) => {
                node.input = node.input.iter().map(|input| self.turn(input, depth + 1)).collect();
                let name = format!("{value}:turned");
                node.name = Some(name.clone());
                node.output = vec![name.clone()];
                self.push(node);
                name
            }
            _ => {
                let name = format!("{value}:turned");
                self.push(turn(value, &name));
                name
            }
        };
        self.turned.insert(value.into(), found.clone());
        found
    }

    /// Whether `value` comes from turned values alone, element by element.
    fn is_turnable(&self, value: &str, depth: usize) -> bool {
        let Some(node) = self.producers.get(value).map(|&index| &self.nodes[index]) else { return false };
        let elementwise = ELEMENTWISE.contains(&node.op_type()) && node.output.len() == 1;
        is_turn(node)
            || (depth < DEPTH_MAX
                && elementwise
                && node.input.iter().all(|input| self.is_turnable(input, depth + 1)))
    }
}

/// Turns `[B, C, T]` into `[B, T, C]`, and back.
pub(super) fn turn(from: &str, to: &str) -> NodeProto {
    NodeProto::of("Transpose", [from], to).with(AttributeProto::integers("perm", &TURN))
}

/// Whether a node splits along the channels of `[B, C, T]`.
fn is_along_channels(split: &NodeProto) -> bool {
    split.attribute("axis").is_some_and(|axis| [1, -2].contains(&axis.i()))
}

fn is_turn(node: &NodeProto) -> bool {
    node.op_type() == "Transpose" && node.attribute("perm").is_some_and(|perm| perm.ints == TURN)
}
