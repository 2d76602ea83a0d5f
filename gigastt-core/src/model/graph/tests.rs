//! Graphs of the test models and of the embedded one, read, cut and written.

use std::path::{Path, PathBuf};

use super::*;
use crate::model::interface::Joint;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn file(path: &Path) -> Bytes {
    std::fs::read(path).unwrap().into()
}

/// Every ONNX file in the repository.
fn files() -> Vec<PathBuf> {
    let folders = ["several", "newer", "wrong"].map(|name| folder("tests/data/models").join(name));
    let folders = folders.into_iter().chain([folder("models/embedded")]);
    let entries = folders.flat_map(|folder| folder.read_dir().unwrap()).map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|ending| ending == "onnx")).collect()
}

#[test]
fn what_is_not_changed_comes_out_as_it_went_in() {
    let files = files();
    assert!(files.len() >= 18, "{files:?}");
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
        &["Transpose", "MatMul", "Add", "Unsqueeze", "Add", "Relu", "MatMul", "Add", "LogSoftmax"],
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
