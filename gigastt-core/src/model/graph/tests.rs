//! Graphs of the test models and of the embedded one, read, cut and written.

use std::path::{Path, PathBuf};

use super::*;
use crate::model::interface::{Dtype, Encoder, Joint};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn file(path: &Path) -> Bytes {
    std::fs::read(path).unwrap().into()
}

/// Every ONNX file in the repository.
fn files() -> Vec<PathBuf> {
    let folders = ["several", "newer", "dense", "wrong"].map(|name| folder("tests/data/models").join(name));
    let folders = folders.into_iter().chain([folder("models/embedded")]);
    let entries = folders.flat_map(|folder| folder.read_dir().unwrap()).map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|ending| ending == "onnx")).collect()
}

#[test]
fn what_is_not_changed_comes_out_as_it_went_in() {
    let files = files();
    assert!(files.len() >= 19, "{files:?}");
    for path in files.iter().filter(|path| !path.ends_with("nested.onnx")) {
        let bytes = file(path);
        let written = Graph::parse(bytes.clone()).unwrap().into_bytes();
        // Fields may stand in another order; read again they are the same.
        let [before, after] = [bytes.clone(), written.into()].map(|b| ModelProto::decode(b).unwrap());
        assert!(before == after, "{}", path.display());
        assert_eq!(before.encoded_len(), bytes.len(), "{}: a field is not in the schema", path.display());
    }
}

#[test]
fn what_is_no_model_is_an_error() {
    let good = file(&folder("tests/data/models/several/v3_rnnt_joint.onnx"));
    let mut without = ModelProto::decode(good.clone()).unwrap();
    without.graph = None;
    for bytes in [
        Bytes::new(),
        Bytes::from_static(b"text"),
        good.slice(..good.len() - 1),
        without.encode_to_vec().into(),
    ] {
        let error = Graph::parse(bytes).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::InvalidModel, "{error}");
    }
}

fn ports(graph: &Graph) -> Joint {
    let names =
        |ports: &[ValueInfoProto]| ports.iter().map(|port| port.name().to_owned()).collect::<Vec<_>>();
    let [enc, dec] = names(&graph.body.input).try_into().unwrap();
    let [output] = names(&graph.body.output).try_into().unwrap();
    Joint { inputs: [enc, dec], output, width: Some(64), classes: None }
}

#[test]
fn a_joint_network_is_cut_where_its_inputs_meet() {
    let check = |path: &str, meeting: &str, first: &[&str], second: &[&str]| {
        let bytes = file(&folder(path));
        let graph = Graph::parse(bytes.clone()).unwrap();
        let cut = cut::joint(bytes, &ports(&graph)).unwrap().unwrap();
        assert_eq!(cut.meeting, meeting, "{path}");
        let mut constants = 0;
        for (part, expected) in [(cut.project, first), (cut.score, second)] {
            let part = Graph::parse(part.into()).unwrap();
            let operators = part.body.node.iter().map(NodeProto::op_type);
            let operators: Vec<_> =
                operators.filter(|name| !["DequantizeLinear", "Constant"].contains(name)).collect();
            assert_eq!(operators, expected, "{path}");
            constants += part.body.initializer.len();
        }
        assert_eq!(constants, graph.body.initializer.len(), "{path}");
    };
    let rest = ["Transpose", "Slice", "Mul", "Sub", "Slice", "Pad", "Pad", "Unsqueeze", "LogSoftmax"];
    for path in ["several/v3_rnnt_joint.onnx", "newer/v3_rnnt_joint_int8.onnx"] {
        check(&format!("tests/data/models/{path}"), "frame", &["Transpose", "Transpose"], &rest);
    }
    check(
        "models/embedded/v3_e2e_rnnt_joint.int8w.onnx",
        "/Unsqueeze_output_0",
        &["Transpose", "Transpose", "MatMul", "Add", "Unsqueeze"],
        &["Transpose", "MatMul", "Unsqueeze", "Add", "Tanh", "MatMul", "Add", "LogSoftmax"],
    );
}

#[test]
fn a_joint_network_without_one_such_place_is_left_whole() {
    let mut graph = Graph::parse(file(&folder("tests/data/models/several/v3_rnnt_joint.onnx"))).unwrap();
    let ports = ports(&graph);
    // The frames come in at a second place.
    graph.body.node.insert(1, NodeProto::of("Neg", ["frame"], "negative"));
    graph.body.node.push(NodeProto::of("Add", ["joint", "negative"], "sum"));
    assert!(cut::joint(graph.into_bytes().into(), &ports).unwrap().is_none());
}

#[test]
fn values_are_followed_into_inner_graphs() {
    let inner = GraphProto { node: vec![NodeProto::of("Neg", ["outer"], "inner")], ..GraphProto::default() };
    let attribute =
        AttributeProto { name: Some("then_branch".into()), g: Some(inner), ..AttributeProto::default() };
    let node = vec![
        NodeProto::of("Relu", ["x"], "outer"),
        NodeProto::of("If", ["condition"], "chosen").with(attribute),
        NodeProto::of("Neg", ["condition"], "other"),
    ];
    let body = GraphProto { node, ..GraphProto::default() };
    let graph = Graph { header: ModelProto::default(), body };
    assert!(graph.dependents("x").contains("chosen") && !graph.dependents("x").contains("other"));
    let part = graph.part(vec![ValueInfoProto::floats("x")], vec![ValueInfoProto::floats("chosen")]);
    assert_eq!(part.body.node.len(), 2);
}

/// Values that are random enough, about -1 to 1.
fn noise(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// An encoder for the transducer of `several`: every fourth frame, and on it a convolution module as the
/// published encoders have sixteen of.
pub(in crate::model) fn convolution_module() -> Graph {
    let mut graph = Graph::parse(file(&folder("tests/data/models/several/v3_rnnt_encoder.onnx"))).unwrap();
    let last = graph.body.node.iter_mut().find(|node| node.output == ["encoded"]).unwrap();
    last.output = vec!["x".into()];
    let mut constant = |name: &str, dims: &[usize], scale: f32| {
        let values = noise(graph.body.initializer.len() as u64 + 1, dims.iter().product());
        let values: Vec<f32> = values.into_iter().map(|value| value * scale).collect();
        graph.body.initializer.push(TensorProto::of_floats(name, dims, &values));
    };
    constant("w1", &[128, 64, 1], 0.2);
    constant("b1", &[128], 0.1);
    constant("w2", &[64, 1, 5], 0.5);
    constant("gain", &[64], 1.0);
    constant("shift", &[64], 0.1);
    constant("w3", &[64, 64, 1], 0.2);
    let turn = |from: &str, to: &str| {
        NodeProto::of("Transpose", [from], to).with(AttributeProto::integers("perm", &[0, 2, 1]))
    };
    let mut split = NodeProto::of("Split", ["c1"], "value").with(AttributeProto::integer("axis", 1));
    split.output.push("gate".into());
    graph.body.node.extend([
        turn("x", "frames"),
        turn("frames", "channels"),
        NodeProto::of("Conv", ["channels", "w1", "b1"], "c1")
            .with(AttributeProto::integers("kernel_shape", &[1])),
        split,
        NodeProto::of("Sigmoid", ["gate"], "open"),
        NodeProto::of("Mul", ["value", "open"], "glu"),
        NodeProto::of("Conv", ["glu", "w2"], "c2")
            .with(AttributeProto::integers("pads", &[2, 2]))
            .with(AttributeProto::integer("group", 64)),
        turn("c2", "c2.frames"),
        NodeProto::of("LayerNormalization", ["c2.frames", "gain", "shift"], "norm"),
        turn("norm", "norm.channels"),
        NodeProto::of("Sigmoid", ["norm.channels"], "silu.gate"),
        NodeProto::of("Mul", ["norm.channels", "silu.gate"], "silu"),
        NodeProto::of("Conv", ["silu", "w3"], "encoded"),
    ]);
    graph
}

/// How an attention of [`attention_module`] is written.
#[derive(Clone, Copy)]
pub(in crate::model) enum Written {
    /// Keys turned in one go; scores divided.
    Plainly,
    /// Keys turned twice and scaled; the shape put together from what is known and what is not.
    InSteps,
}

/// An encoder for the transducer of `several`: every fourth frame, and on it an attention of 4 heads.
pub(in crate::model) fn attention_module(written: Written) -> Graph {
    let mut graph = Graph::parse(file(&folder("tests/data/models/several/v3_rnnt_encoder.onnx"))).unwrap();
    graph.body.node.iter_mut().find(|node| node.output == ["encoded"]).unwrap().output = vec!["x".into()];
    let turn = |from: &str, to: &str, perm: &[i64]| {
        NodeProto::of("Transpose", [from], to).with(AttributeProto::integers("perm", perm))
    };
    let (mut nodes, mut constants) = (vec![turn("x", "frames", &[0, 2, 1])], Vec::new());
    for part in ["query", "key", "value"] {
        let [weight, dense, split] = ["weight", "dense", "split"].map(|what| format!("{part}.{what}"));
        constants.push(TensorProto::of_floats(&weight, &[64, 64], &noise(part.len() as u64, 64 * 64)));
        nodes.push(NodeProto::of("MatMul", ["frames", &weight], &dense));
        nodes.push(NodeProto::of("Reshape", [&dense, "split"], &split));
        nodes.push(turn(&split, part, &[0, 2, 1, 3]));
    }
    constants.push(TensorProto::of_floats("root", &[], &[4.0]));
    constants.push(TensorProto::integers("joined", &[0, 0, 64]));
    match written {
        Written::Plainly => {
            constants.push(TensorProto::integers("split", &[0, -1, 4, 16]));
            nodes.extend([
                turn("key.split", "keys", &[0, 2, 3, 1]),
                NodeProto::of("MatMul", ["query", "keys"], "products"),
                NodeProto::of("Div", ["products", "root"], "scores"),
            ]);
        }
        Written::InSteps => {
            let batch = NodeProto::of("Shape", ["x"], "batch").with(AttributeProto::integer("end", 1));
            constants.push(TensorProto::integers("heads", &[-1, 4, 16]));
            let shape = NodeProto::of("Concat", ["batch", "heads"], "split");
            nodes.splice(0..0, [batch, shape.with(AttributeProto::integer("axis", 0))]);
            nodes.extend([
                turn("key", "keys.turned", &[0, 1, 3, 2]),
                NodeProto::of("Div", ["keys.turned", "root"], "keys"),
                NodeProto::of("MatMul", ["query", "keys"], "scores"),
            ]);
        }
    }
    nodes.extend([
        NodeProto::of("Softmax", ["scores"], "weights").with(AttributeProto::integer("axis", -1)),
        NodeProto::of("MatMul", ["weights", "value"], "mixed"),
        turn("mixed", "mixed.turned", &[0, 2, 1, 3]),
        NodeProto::of("Reshape", ["mixed.turned", "joined"], "attention"),
        turn("attention", "encoded", &[0, 2, 1]),
    ]);
    graph.body.node.extend(nodes);
    graph.body.initializer.extend(constants);
    graph
}

/// An encoder for the transducer of `several`: every fourth frame `stride` times over, a pointwise convolution
/// and one over `kernel` frames that leaves one of `stride`.
pub(in crate::model) fn strided_convolution(stride: i64, kernel: usize, pads: [i64; 2]) -> Graph {
    let mut graph = Graph::parse(file(&folder("tests/data/models/several/v3_rnnt_encoder.onnx"))).unwrap();
    graph.body.node.iter_mut().find(|node| node.output == ["encoded"]).unwrap().output = vec!["x".into()];
    let mut copies = NodeProto::of("Concat", [], "copies").with(AttributeProto::integer("axis", 2));
    copies.input = vec!["x".into(); stride as usize];
    graph.body.node.extend([
        copies,
        NodeProto::of("Conv", ["copies", "first"], "channels"),
        NodeProto::of("Relu", ["channels"], "relu"),
        NodeProto::of("Conv", ["relu", "second", "bias"], "encoded")
            .with(AttributeProto::integers("strides", &[stride]))
            .with(AttributeProto::integers("pads", &pads)),
    ]);
    graph.body.initializer.extend([
        TensorProto::of_floats("first", &[32, 64, 1], &noise(1, 32 * 64)),
        TensorProto::of_floats("second", &[64, 32, kernel], &noise(2, 64 * 32 * kernel)),
        TensorProto::of_floats("bias", &[64], &noise(3, 64)),
    ]);
    graph
}

fn operators(graph: &Graph, wanted: &[&str]) -> Vec<String> {
    let operators = graph.body.node.iter().map(NodeProto::op_type);
    operators.filter(|operator| wanted.contains(operator)).map(str::to_owned).collect()
}

#[test]
fn pointwise_convolutions_become_matrix_products() {
    let mut graph = convolution_module();
    assert_eq!(pointwise::to_matrix_products(&mut graph), 2);
    // Of the turns only those are left that the depthwise convolution and the output need.
    let left = operators(&graph, &["Conv", "MatMul", "Transpose", "Sigmoid", "Mul"]);
    let expected = [
        &["Transpose", "MatMul", "Sigmoid", "Mul", "Transpose", "Conv", "Transpose"][..],
        &["Sigmoid", "Mul", "MatMul", "Transpose"],
    ];
    assert_eq!(left, expected.concat());
    assert!(graph.body.initializer.iter().all(|tensor| !["w1", "w3"].contains(&tensor.name())));
    let before = graph.body.node.len();
    assert_eq!(pointwise::to_matrix_products(&mut graph), 0);
    assert_eq!(graph.body.node.len(), before);
}

#[test]
fn other_convolutions_stay() {
    let check = |change: &dyn Fn(&mut NodeProto)| {
        let mut graph = convolution_module();
        change(graph.body.node.iter_mut().find(|node| node.output == ["encoded"]).unwrap());
        assert_eq!(pointwise::to_matrix_products(&mut graph), 1);
    };
    check(&|conv| conv.attribute.push(AttributeProto::integers("strides", &[2])));
    check(&|conv| conv.attribute.push(AttributeProto::integers("pads", &[0, 1])));
    check(&|conv| conv.attribute.push(AttributeProto::integer("group", 2)));
    check(&|conv| conv.input[1] = "silu".into());
    check(&|conv| {
        let same = AttributeProto {
            name: Some("auto_pad".into()),
            s: Some(b"SAME_UPPER".into()),
            ..AttributeProto::default()
        };
        conv.attribute.push(same);
    });
}

#[test]
fn attention_becomes_one_operator() {
    for written in [Written::Plainly, Written::InSteps] {
        let mut graph = attention_module(written);
        assert_eq!(attention::merge(&mut graph), 1);
        assert_eq!(operators(&graph, &["Softmax", "MatMul"]), ["MatMul"; 3]);
        let merged = graph.body.node.iter().find(|node| node.op_type() == "MultiHeadAttention").unwrap();
        assert_eq!(merged.attribute("num_heads").unwrap().i(), 4);
        assert_eq!(attention::merge(&mut graph), 0);
    }
}

#[test]
fn other_attentions_stay() {
    let check = |change: &dyn Fn(&mut Graph)| {
        let mut graph = attention_module(Written::Plainly);
        change(&mut graph);
        let before = (graph.header.clone(), graph.body.clone());
        assert_eq!(attention::merge(&mut graph), 0);
        assert!(before == (graph.header, graph.body));
    };
    let node = |graph: &mut Graph, output: &str, change: &dyn Fn(&mut NodeProto)| {
        change(graph.body.node.iter_mut().find(|node| node.output == [output]).unwrap());
    };
    check(&|graph| graph.header.opset_import[0].version = Some(12));
    check(&|graph| node(graph, "weights", &|softmax| softmax.attribute[0].i = Some(1)));
    check(&|graph| node(graph, "scores", &|scale| scale.input[1] = "mask".into()));
    check(&|graph| node(graph, "scores", &|scale| scale.op_type = Some("Where".into())));
    check(&|graph| node(graph, "query.split", &|split| split.input[1] = "batch".into()));
    check(&|graph| node(graph, "mixed", &|mixing| mixing.op_type = Some("Add".into())));
}

#[test]
fn convolutions_after_the_first_become_matrix_products() {
    let mut graph = strided_convolution(2, 5, [2, 2]);
    assert_eq!(unfold::to_matrix_products(&mut graph), 1);
    assert_eq!(operators(&graph, &["Conv", "MatMul"]), ["Conv", "MatMul"]);
    let weight = constants::Constants::of(&graph).floats("encoded:weight").unwrap();
    assert_eq!(weight.dims, [5 * 32, 64]);
    assert_eq!(unfold::to_matrix_products(&mut graph), 0);
    let check = |change: &dyn Fn(&mut NodeProto)| {
        let mut graph = strided_convolution(2, 5, [2, 2]);
        change(graph.body.node.iter_mut().find(|node| node.output == ["encoded"]).unwrap());
        assert_eq!(unfold::to_matrix_products(&mut graph), 0);
    };
    check(&|conv| conv.attribute.push(AttributeProto::integer("group", 2)));
    check(&|conv| conv.attribute.push(AttributeProto::integers("dilations", &[2])));
    check(&|conv| conv.attribute[0].ints = vec![6]);
    check(&|conv| conv.input[1] = "relu".into());
}

#[test]
fn weights_are_quantised_by_column() {
    let mut graph = convolution_module();
    pointwise::to_matrix_products(&mut graph);
    let before = constants::Constants::of(&graph).floats("c1:weight").unwrap();
    assert_eq!(quantise::quantise(&mut graph), Ok(2));
    let tensor = |name: &str| graph.body.initializer.iter().find(|tensor| tensor.name() == name).unwrap();
    let stored = tensor("c1:weight:int8").raw_data.as_ref().unwrap();
    let scales = constants::Constants::of(&graph).floats("c1:weight:scale").unwrap().values;
    assert_eq!((stored.len(), scales.len()), (64 * 128, 128));
    let mut largest = vec![0; 128];
    for (index, (byte, value)) in stored.iter().zip(&before.values).enumerate() {
        let (column, byte) = (index % 128, *byte as i8);
        assert!((f32::from(byte) * scales[column] - value).abs() <= scales[column] * 0.5001);
        largest[column] = largest[column].max(byte.unsigned_abs());
    }
    assert_eq!(largest, [127; 128]);
    let expected = ["DynamicQuantizeLinear", "MatMulInteger", "DynamicQuantizeLinear", "MatMulInteger"];
    assert_eq!(operators(&graph, &["MatMul", "MatMulInteger", "DynamicQuantizeLinear"]), expected);
    assert!(graph.body.initializer.iter().all(|tensor| tensor.name() != "c1:weight"));
}

#[test]
fn a_graph_that_cannot_be_quantised_is_refused_and_left_as_it_was() {
    use quantise::Refusal;
    let check = |change: &dyn Fn(&mut Graph), expected: Refusal| {
        let mut graph = convolution_module();
        pointwise::to_matrix_products(&mut graph);
        change(&mut graph);
        let before = (graph.header.clone(), graph.body.clone());
        assert_eq!(quantise::quantise(&mut graph), Err(expected));
        assert!(before == (graph.header, graph.body));
    };
    check(&|graph| graph.header.opset_import[0].version = Some(10), Refusal::Operators { version: 10 });
    check(&|graph| graph.header.opset_import.clear(), Refusal::Operators { version: 0 });
    check(&|graph| graph.body.node.retain(|node| node.op_type() != "MatMul"), Refusal::NoProducts);
    let integer = |graph: &mut Graph| graph.body.node.push(NodeProto::of("ConvInteger", ["a", "b"], "c"));
    check(&integer, Refusal::Quantized { operator: "ConvInteger".into() });
    let broken = |graph: &mut Graph| {
        let weight = graph.body.initializer.iter_mut().find(|t| t.name() == "encoded:weight").unwrap();
        *weight = TensorProto::of_floats("encoded:weight", &[64, 64], &[f32::NAN; 64 * 64]);
    };
    check(&broken, Refusal::NotFinite { weight: "encoded:weight".into() });
}

#[test]
fn weights_in_bytes_are_read_as_the_floats_they_stand_for() {
    let embedded = file(&folder("models/embedded/v3_e2e_rnnt_encoder.int8w.onnx"));
    let mut graph = Graph::parse(embedded).unwrap();
    let stored = |graph: &Graph, name: &str| {
        graph.body.initializer.iter().find(|tensor| tensor.name() == name).unwrap().raw_data.clone().unwrap()
    };
    let given = |operator| graph.body.node.iter().filter(move |node| node.op_type() == operator);
    let weights: Vec<String> = given("DequantizeLinear").map(|node| node.output[0].clone()).collect();
    let weights: Vec<_> =
        weights.into_iter().filter(|name| given("MatMul").any(|node| node.input[1] == *name)).collect();
    assert!(weights.len() > 20);
    let before: Vec<_> = weights.iter().map(|name| stored(&graph, &format!("{name}_q"))).collect();
    assert_eq!(quantise::quantise(&mut graph), Ok(weights.len()));
    for (name, before) in weights.iter().zip(before) {
        // They are rounded a second time and stay what they are.
        assert!(stored(&graph, &format!("{name}:int8")) == before, "{name}");
    }
}

/// The ports of an encoder with the published names.
fn encoder_ports() -> Encoder {
    let name = |name: &str| String::from(name);
    Encoder {
        audio: name("audio_signal"),
        length: name("length"),
        encoded: name("encoded"),
        encoded_length: Some((name("encoded_len"), Dtype::I32)),
        width: Some(160),
    }
}

#[test]
fn the_embedded_encoder_becomes_one_that_keeps_its_past() {
    let path = folder("models/embedded/v3_e2e_rnnt_encoder.int8w.onnx");
    let found = streaming::encoder(Graph::parse(file(&path)).unwrap(), &encoder_ports()).unwrap();
    assert_eq!(found.shape, streaming::Shape { layers: 4, width: 160, past: 4 });
    let graph = found.graph;
    let names =
        |ports: &[ValueInfoProto]| ports.iter().map(|port| port.name().to_owned()).collect::<Vec<_>>();
    let inputs = [streaming::POSITIONS, streaming::CONTEXT, streaming::STEP, streaming::MASK];
    assert_eq!(names(&graph.body.input)[..6], [&["audio_signal", "length"], &inputs[..]].concat());
    assert_eq!((graph.body.input.len(), graph.body.output.len()), (6 + 3 * 4, 2 + 3 * 4));
    let given: HashSet<&str> = graph.body.node.iter().flat_map(uses).collect();
    assert!(graph.body.input.iter().all(|input| given.contains(input.name())), "an input is not used");
    assert!(operators(&graph, &["Softmax"]).is_empty());
    let chosen: Vec<_> = graph.body.node.iter().filter(|node| node.op_type() == "If").collect();
    assert_eq!(chosen.len(), 4);
    for node in chosen {
        // Only one that takes no mask goes block by block.
        for (branch, inputs) in [("then_branch", 3), ("else_branch", 5)] {
            let [operator] = &node.attribute(branch).unwrap().g.as_ref().unwrap().node[..] else { panic!() };
            assert_eq!((operator.op_type(), operator.input.len()), ("MultiHeadAttention", inputs));
            assert_eq!(operator.attribute("num_heads").unwrap().i(), 4);
        }
    }
}

#[test]
fn an_encoder_that_is_not_understood_is_refused() {
    let check = |expected: &str, change: &dyn Fn(&mut Graph)| {
        let path = folder("models/embedded/v3_e2e_rnnt_encoder.int8w.onnx");
        let mut graph = Graph::parse(file(&path)).unwrap();
        change(&mut graph);
        let error = streaming::encoder(graph, &encoder_ports()).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::InvalidModel);
        assert!(error.to_string().contains(expected), "{error}, expected {expected}");
    };
    let nodes = |graph: &mut Graph, from: &str, change: &dyn Fn(&mut NodeProto)| {
        graph.body.node.iter_mut().filter(|node| node.op_type() == from).for_each(change);
    };
    let rename = |from: &'static str, to: &'static str| {
        move |graph: &mut Graph| nodes(graph, from, &|node| node.op_type = Some(to.into()))
    };
    check("operator ReduceMean", &rename("LayerNormalization", "ReduceMean"));
    check("no rotary positions", &|graph| {
        rename("Cos", "Neg")(graph);
        rename("Sin", "Neg")(graph);
    });
    // Heads that nobody has split, scores that are no products, a softmax over heads.
    check("an attention of another kind", &rename("Squeeze", "Identity"));
    check("an attention of another kind", &|graph| {
        nodes(graph, "Softmax", &|softmax| softmax.input[0] = "audio_signal".into());
    });
    check("an attention of another kind", &|graph| {
        nodes(graph, "Softmax", &|softmax| softmax.attribute = vec![AttributeProto::integer("axis", 1)]);
    });
    check("operator set 11", &|graph| graph.header.opset_import[0].version = Some(11));
    let attribute = |name: &'static str, values: &'static [i64]| {
        move |graph: &mut Graph| {
            nodes(graph, "Conv", &|node| {
                let found = node.attribute.iter_mut().find(|attribute| attribute.name() == name);
                found.unwrap().ints = values.to_vec();
            });
        }
    };
    check("strided convolution of another kind", &attribute("pads", &[0, 4]));
    check("0 strided convolutions", &attribute("strides", &[1]));
}

/// Weights in 8 bits become floats.
pub(in crate::model) fn dequantise(graph: &mut Graph) {
    let constants = constants::Constants::of(graph);
    let weights = graph.body.node.iter().filter(|node| node.op_type() == "DequantizeLinear");
    let floats = weights.map(|node| {
        let constants::Floats { dims, values } = constants.floats(&node.output[0]).unwrap();
        TensorProto::of_floats(&node.output[0], &dims, &values)
    });
    let floats: Vec<TensorProto> = floats.collect();
    graph.body.initializer.extend(floats);
    graph.body.node.retain(|node| node.op_type() != "DequantizeLinear");
    graph.prune();
}
