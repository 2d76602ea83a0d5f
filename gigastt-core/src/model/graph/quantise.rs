//! Matrix products with constant weights in 8 bits.
//!
//! Weights are signed, with a scale for each output; activations are unsigned, with the scale and zero point
//! of what they are when the graph runs. Each product becomes the nodes that ONNX Runtime merges into one.
//! All else stays in floats: of the other operators that ONNX Runtime can quantise none gains by it.

use std::collections::HashSet;
use std::fmt;

use super::constants::{Constants, Floats};
use super::{AttributeProto, DataType, Graph, NodeProto, TensorProto};

/// The first version of ONNX's operators that has those of [`quantise`].
const OPERATORS_MIN: i64 = 11;

/// What a graph that was quantised by somebody has.
const INTEGER_OPERATORS: [&str; 6] = [
    "ConvInteger",
    "DynamicQuantizeLinear",
    "DynamicQuantizeMatMul",
    "MatMulInteger",
    "QLinearConv",
    "QLinearMatMul",
];

/// Why a graph is not rewritten. It runs as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(not(feature = "optimize"), expect(unreachable_pub, reason = "for tests alone"))]
pub enum Refusal {
    /// It computes in integers already.
    Quantized {
        /// An operator that does.
        operator: String,
    },
    /// It has no matrix product with constant weights.
    NoProducts,
    /// Its version of ONNX's operators has no products of integers.
    Operators {
        /// The version.
        version: i64,
    },
    /// A weight is not a finite number.
    NotFinite {
        /// The constant's name.
        weight: String,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quantized { operator } => write!(f, "it is quantised already: it has {operator}"),
            Self::NoProducts => f.write_str("it has no matrix product with constant weights"),
            Self::Operators { version } => {
                write!(
                    f,
                    "its operators are of version {version}; products of integers came with {OPERATORS_MIN}"
                )
            }
            Self::NotFinite { weight } => write!(f, "its weight `{weight}` has values that are not finite"),
        }
    }
}

/// Quantises the matrix products of `graph` and returns how many there were. A refused graph is as it was.
///
/// # Errors
/// See [`Refusal`].
pub(crate) fn quantise(graph: &mut Graph) -> Result<usize, Refusal> {
    let version = graph.operators();
    if version < OPERATORS_MIN {
        return Err(Refusal::Operators { version });
    }
    let operators = graph.body.node.iter().map(NodeProto::op_type);
    if let Some(operator) = operators.clone().find(|operator| INTEGER_OPERATORS.contains(operator)) {
        return Err(Refusal::Quantized { operator: operator.into() });
    }
    let mut rewrite = Rewrite::default();
    let mut count = 0;
    let constants = Constants::of(graph);
    for node in &graph.body.node {
        match weight(node, &constants) {
            Some((name, weight)) => {
                if weight.values.iter().any(|value| !value.is_finite()) {
                    return Err(Refusal::NotFinite { weight: name.into() });
                }
                rewrite.product(node, name, &weight);
                count += 1;
            }
            None => rewrite.nodes.push(node.clone()),
        }
    }
    if count == 0 {
        return Err(Refusal::NoProducts);
    }
    graph.body.node = rewrite.nodes;
    graph.body.initializer.extend(rewrite.constants);
    graph.prune();
    Ok(count)
}

/// The constant `[inputs, outputs]` that a matrix product multiplies by; `None` for other nodes.
fn weight<'n>(node: &'n NodeProto, constants: &Constants<'_>) -> Option<(&'n str, Floats)> {
    let name = node.input.get(1).filter(|_| node.op_type() == "MatMul")?;
    let dims = constants.dims(name)?;
    let weight = constants.floats(name).filter(|weight| dims.len() == 2 && !weight.values.is_empty())?;
    Some((name, weight))
}

#[derive(Default)]
struct Rewrite {
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
    /// Values that are there in 8 bits.
    activations: HashSet<String>,
    /// Weights that are.
    weights: HashSet<String>,
}

impl Rewrite {
    fn product(&mut self, node: &NodeProto, name: &str, weight: &Floats) {
        let (x, output) = (&node.input[0], &node.output[0]);
        let part = |of: &str, part: &str| format!("{of}:{part}");
        let activation = ["int8", "scale", "zero"].map(|what| part(x, what));
        let constant = ["int8", "scale", "zero"].map(|what| part(name, what));
        if self.activations.insert(x.clone()) {
            let mut quantise = NodeProto::of("DynamicQuantizeLinear", [x], &activation[0]);
            quantise.output = activation.to_vec();
            self.nodes.push(quantise);
        }
        if self.weights.insert(name.into()) {
            self.constants.extend(quantised(&constant, weight));
        }
        let integers = [&activation[0], &constant[0], &activation[2], &constant[2]].map(String::as_str);
        let [sum, float, scale] = ["integers", "floats", "scale"].map(|what| part(output, what));
        let to_float = AttributeProto::integer("to", i64::from(i32::from(DataType::Float)));
        self.nodes.extend([
            NodeProto::of("MatMulInteger", integers, &sum),
            NodeProto::of("Cast", [&sum], &float).with(to_float),
            NodeProto::of("Mul", [&activation[1], &constant[1]], &scale),
            NodeProto::of("Mul", [&float, &scale], output),
        ]);
    }
}

/// The columns of `weight` in 8 bits, their scales and their zero points.
fn quantised([int8, scale, zero]: &[String; 3], weight: &Floats) -> [TensorProto; 3] {
    let columns = weight.dims[1];
    let mut scales = vec![0.0_f32; columns];
    for row in weight.values.chunks_exact(columns) {
        for (scale, value) in scales.iter_mut().zip(row) {
            *scale = scale.max(value.abs());
        }
    }
    for scale in &mut scales {
        // A column of zeros has any scale.
        *scale = if *scale > 0.0 { *scale / 127.0 } else { 1.0 };
    }
    let row = |row| Iterator::zip(<[f32]>::iter(row), &scales).map(|(w, s)| (w / s).round_ties_even() as i8);
    let values: Vec<i8> = weight.values.chunks_exact(columns).flat_map(row).collect();
    [
        TensorProto::of_int8(int8, &weight.dims, values),
        TensorProto::of_floats(scale, &[columns], &scales),
        TensorProto::of_int8(zero, &[columns], vec![0; columns]),
    ]
}
