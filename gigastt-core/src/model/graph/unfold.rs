//! Convolutions over several frames as matrix products.
//!
//! Each output frame of such a convolution is the product of the frames under its kernel, laid side by side,
//! with one matrix. That lays every frame down several times and pays only where the product is then made in
//! 8 bits. What hears the audio itself stays a convolution: it is cheap, and rounding there would be heard by
//! all that follows.

use std::collections::HashSet;

use super::constants::{Constants, Floats};
use super::pointwise::turn;
use super::{AttributeProto, Graph, NodeProto, TensorProto, uses};

/// The first version of ONNX's operators in which `Pad` and `Slice` take what they do as values.
const OPERATORS_MIN: i64 = 11;

/// Makes the convolutions of `graph` that come after another one matrix products, and returns how many.
pub(crate) fn to_matrix_products(graph: &mut Graph) -> usize {
    if graph.operators() < OPERATORS_MIN {
        return 0;
    }
    let (mut nodes, mut values, mut count) = (Vec::new(), Vec::new(), 0);
    let mut convolved: HashSet<&str> = HashSet::new();
    let constants = Constants::of(graph);
    for node in &graph.body.node {
        let follows = uses(node).iter().any(|name| convolved.contains(name));
        if follows || node.op_type() == "Conv" {
            convolved.extend(node.output.iter().map(String::as_str));
        }
        match Convolution::of(node, &constants).filter(|_| follows) {
            Some(convolution) => {
                nodes.extend(convolution.unfolded(node));
                values.extend(convolution.constants(node));
                count += 1;
            }
            None => nodes.push(node.clone()),
        }
    }
    if count > 0 {
        graph.body.node = nodes;
        graph.body.initializer.extend(values);
        graph.prune();
    }
    count
}

/// A convolution along time of full depth.
struct Convolution {
    /// `[outputs, inputs, kernel]`.
    weight: Floats,
    stride: usize,
    pads: [i64; 2],
}

impl Convolution {
    /// `None` for other nodes.
    fn of(node: &NodeProto, constants: &Constants<'_>) -> Option<Self> {
        let integer = |name: &str| node.attribute(name).map(AttributeProto::i);
        let integers = |name: &str| node.attribute(name).map(|attribute| attribute.ints.as_slice());
        let plain = integer("group").unwrap_or(1) == 1
            && integers("dilations").is_none_or(|dilations| dilations == [1])
            && node.attribute("auto_pad").is_none_or(|padding| padding.s() == b"NOTSET");
        if node.op_type() != "Conv" || !plain {
            return None;
        }
        let &[stride] = integers("strides").unwrap_or(&[1]) else { return None };
        let &[before, behind] = integers("pads").unwrap_or(&[0, 0]) else { return None };
        let name = node.input.get(1)?;
        let &[_, _, kernel] = constants.dims(name)?.as_slice() else { return None };
        let stride = usize::try_from(stride).ok().filter(|&stride| (1..=kernel).contains(&stride))?;
        Some(Self { weight: constants.floats(name)?, stride, pads: [before, behind] })
    }

    /// The nodes that compute what `node` does. Frames are put together by `stride`, so that a kernel covers
    /// a number of these groups, the last in part, and the next kernel begins with the next group.
    fn unfolded(&self, node: &NodeProto) -> Vec<NodeProto> {
        let output = &node.output[0];
        let name = |part: &str| format!("{output}:{part}");
        let of = |operator: &str, inputs: &[&str], part: &str| {
            let mut made = NodeProto::of(operator, [], &name(part));
            made.input = inputs.iter().map(|input| (*input).to_owned()).collect();
            made
        };
        let mut nodes = vec![
            turn(&node.input[0], &name("turned")),
            of("Pad", &[&name("turned"), &name("pads")], "padded"),
            of("Shape", &[&name("padded")], "shape"),
            of("Slice", &[&name("shape"), &name("1"), &name("2")], "frames"),
            of("Div", &[&name("frames"), &name("stride")], "groups"),
            of("Mul", &[&name("groups"), &name("stride")], "whole"),
            of("Slice", &[&name("padded"), &name("0"), &name("whole"), &name("1")], "cut"),
            of("Reshape", &[&name("cut"), &name("grouped_shape")], "grouped"),
        ];
        let parts: Vec<String> = (0..self.groups()).map(|group| format!("part_{group}")).collect();
        for part in &parts {
            let [start, end] = ["start", "end"].map(|what| name(&format!("{part}_{what}")));
            nodes.push(of("Slice", &[&name("grouped"), &start, &end, &name("1_2")], part));
        }
        let parts: Vec<String> = parts.iter().map(|part| name(part)).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        nodes.push(of("Concat", &parts, "columns").with(AttributeProto::integer("axis", 2)));
        nodes.push(of("MatMul", &[&name("columns"), &name("weight")], "product"));
        let mut product = name("product");
        if let Some(bias) = node.input.get(2).filter(|bias| !bias.is_empty()) {
            nodes.push(of("Add", &[bias, &product], "sum"));
            product = name("sum");
        }
        nodes.push(turn(&product, output));
        nodes
    }

    fn constants(&self, node: &NodeProto) -> Vec<TensorProto> {
        let name = |part: &str| format!("{}:{part}", node.output[0]);
        let &[outputs, inputs, kernel] = self.weight.dims.as_slice() else { return Vec::new() };
        let (groups, stride) = (self.groups(), self.stride);
        let behind = self.pads[1] + (groups * stride - kernel) as i64;
        let mut turned = vec![0.0; self.weight.values.len()];
        for (at, value) in self.weight.values.iter().enumerate() {
            let (output, input, tap) = (at / (inputs * kernel), at / kernel % inputs, at % kernel);
            turned[(tap * inputs + input) * outputs + output] = *value;
        }
        let width = (stride * inputs) as i64;
        let mut made = vec![
            TensorProto::of_floats(&name("weight"), &[kernel * inputs, outputs], &turned),
            TensorProto::integers(&name("pads"), &[0, self.pads[0], 0, 0, behind, 0]),
            TensorProto::integers(&name("stride"), &[stride as i64]),
            TensorProto::integers(&name("grouped_shape"), &[0, -1, width]),
            TensorProto::integers(&name("0"), &[0]),
            TensorProto::integers(&name("1"), &[1]),
            TensorProto::integers(&name("2"), &[2]),
            TensorProto::integers(&name("1_2"), &[1, 2]),
        ];
        for group in 0..groups {
            // What the groups after it cover; none after the last.
            let after = (groups - 1 - group) as i64;
            let end = if after > 0 { -after } else { i64::MAX };
            let taps = (kernel - group * stride).min(stride);
            let (start, end) = ([group as i64, 0], [end, (taps * inputs) as i64]);
            made.push(TensorProto::integers(&name(&format!("part_{group}_start")), &start));
            made.push(TensorProto::integers(&name(&format!("part_{group}_end")), &end));
        }
        made
    }

    /// Groups of `stride` frames that a kernel covers.
    fn groups(&self) -> usize {
        self.weight.dims[2].div_ceil(self.stride)
    }
}
