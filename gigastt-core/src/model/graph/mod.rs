//! ONNX graphs as data: read, searched, changed, cut and written.
//!
//! Pure: nothing here runs a graph. `onnx.rs` is the schema of the ONNX project as `scripts/onnx-types`
//! writes it; every field is in it, so what is not changed comes out as it went in. [`cut`] divides a
//! joint network; [`pointwise`], [`attention`], [`unfold`] and [`quantise`] make an encoder faster,
//! [`streaming`] makes it keep what it has computed, with the operator of [`attention`].

pub(crate) mod attention;
mod constants;
pub(crate) mod cut;
#[rustfmt::skip]
#[allow(missing_debug_implementations, missing_docs, unreachable_pub, dead_code, clippy::all)]
mod onnx;
pub(crate) mod pointwise;
#[cfg(any(test, feature = "optimize"))]
pub(crate) mod quantise;
pub(crate) mod streaming;
#[cfg(test)]
pub(super) mod tests;
#[cfg(any(test, feature = "optimize"))]
pub(crate) mod unfold;

use std::collections::HashSet;

use bytes::Bytes;
use prost::Message as _;

pub(crate) use self::onnx::{
    AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto,
    attribute_proto::AttributeType, tensor_proto::DataType, tensor_shape_proto,
};
use self::onnx::{TensorShapeProto, TypeProto, type_proto};
use crate::{Error, ErrorKind, Result};

/// A model with its main graph apart. Nodes are sorted, each after those whose values it takes. Clones share
/// the weights.
#[derive(Clone)]
pub(crate) struct Graph {
    /// Everything but the graph: versions, operator sets, functions.
    pub header: ModelProto,
    pub body: GraphProto,
}

impl Graph {
    /// Reads an ONNX file. Weights stay slices of `bytes`.
    ///
    /// # Errors
    /// `InvalidModel` when it is no ONNX model, or one with weights outside of it.
    pub(crate) fn parse(bytes: Bytes) -> Result<Self> {
        let mut header = ModelProto::decode(bytes)
            .map_err(|e| Error::new(ErrorKind::InvalidModel, format!("expected an ONNX model: {e}")))?;
        let body = header.graph.take().ok_or_else(|| invalid("expected an ONNX model with a graph"))?;
        if body.initializer.iter().any(|tensor| !tensor.external_data.is_empty()) {
            return Err(invalid("expected an ONNX model with its weights inside"));
        }
        Ok(Self { header, body })
    }

    /// The file's bytes.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        let Self { mut header, body } = self;
        header.graph = Some(body);
        header.encode_to_vec()
    }

    /// The values that depend on the value `source`, itself among them.
    pub(crate) fn dependents(&self, source: &str) -> HashSet<String> {
        let mut found = HashSet::from([source.to_owned()]);
        for node in &self.body.node {
            if uses(node).iter().any(|name| found.contains(*name)) {
                found.extend(node.output.iter().cloned());
            }
        }
        found
    }

    /// The part that computes `outputs` from `inputs`, with the constants it needs.
    pub(crate) fn part(&self, inputs: Vec<ValueInfoProto>, outputs: Vec<ValueInfoProto>) -> Self {
        let given: HashSet<&str> = inputs.iter().map(ValueInfoProto::name).collect();
        let mut needed: HashSet<String> = outputs.iter().map(|output| output.name().to_owned()).collect();
        let mut node: Vec<NodeProto> = Vec::new();
        for candidate in self.body.node.iter().rev() {
            if candidate.output.iter().any(|name| needed.contains(name) && !given.contains(name.as_str())) {
                needed.extend(uses(candidate).into_iter().map(str::to_owned));
                node.push(candidate.clone());
            }
        }
        node.reverse();
        let is_needed =
            |tensor: &&TensorProto| needed.contains(tensor.name()) && !given.contains(tensor.name());
        let initializer = self.body.initializer.iter().filter(is_needed).cloned().collect();
        let name = self.body.name.clone();
        let body =
            GraphProto { node, name, initializer, input: inputs, output: outputs, ..GraphProto::default() };
        Self { header: self.header.clone(), body }
    }
}

impl Graph {
    /// The version of ONNX's own operators; 0 when it tells none.
    fn operators(&self) -> i64 {
        let own = |domain: &str| ["", "ai.onnx"].contains(&domain);
        self.header
            .opset_import
            .iter()
            .find(|set| own(set.domain()))
            .map_or(0, onnx::OperatorSetIdProto::version)
    }

    /// Makes the operators of `domain` known to the graph.
    fn import(&mut self, domain: &str) {
        if self.header.opset_import.iter().all(|set| set.domain() != domain) {
            let (domain, version) = (Some(domain.into()), Some(1));
            self.header.opset_import.push(onnx::OperatorSetIdProto { domain, version });
        }
    }

    /// Leaves out nodes and constants that no output needs, and what was known of shapes.
    fn prune(&mut self) {
        let mut needed: HashSet<String> =
            self.body.output.iter().map(|output| output.name().to_owned()).collect();
        let mut node: Vec<NodeProto> = Vec::with_capacity(self.body.node.len());
        for candidate in std::mem::take(&mut self.body.node).into_iter().rev() {
            if candidate.output.iter().any(|name| needed.contains(name)) {
                needed.extend(uses(&candidate).into_iter().map(str::to_owned));
                node.push(candidate);
            }
        }
        node.reverse();
        self.body.node = node;
        self.body.initializer.retain(|tensor| needed.contains(tensor.name()));
        self.body.value_info.clear();
    }
}

/// The values a node takes, those that graphs inside it take from around them included.
fn uses(node: &NodeProto) -> Vec<&str> {
    let inner = node.attribute.iter().flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs));
    let mut names: Vec<&str> =
        node.input.iter().map(String::as_str).filter(|name| !name.is_empty()).collect();
    for graph in inner {
        names.extend(graph.node.iter().flat_map(uses));
        names.extend(graph.output.iter().map(ValueInfoProto::name));
    }
    names
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::InvalidModel, message)
}

impl NodeProto {
    /// A node whose one output has its name.
    pub(crate) fn of<const N: usize>(operator: &str, inputs: [&str; N], output: &str) -> Self {
        Self {
            op_type: Some(operator.into()),
            name: Some(output.into()),
            input: inputs.map(String::from).into(),
            output: vec![output.into()],
            ..Self::default()
        }
    }

    /// With an attribute more.
    #[must_use]
    pub(crate) fn with(mut self, attribute: AttributeProto) -> Self {
        self.attribute.push(attribute);
        self
    }

    /// The attribute of this name.
    pub(crate) fn attribute(&self, name: &str) -> Option<&AttributeProto> {
        self.attribute.iter().find(|attribute| attribute.name() == name)
    }
}

impl AttributeProto {
    pub(crate) fn float(name: &str, value: f32) -> Self {
        Self {
            name: Some(name.into()),
            f: Some(value),
            r#type: Some(AttributeType::Float.into()),
            ..Self::default()
        }
    }

    /// A graph inside a node.
    pub(crate) fn graph(name: &str, graph: GraphProto) -> Self {
        Self {
            name: Some(name.into()),
            g: Some(graph),
            r#type: Some(AttributeType::Graph.into()),
            ..Self::default()
        }
    }

    pub(crate) fn integer(name: &str, value: i64) -> Self {
        Self {
            name: Some(name.into()),
            i: Some(value),
            r#type: Some(AttributeType::Int.into()),
            ..Self::default()
        }
    }

    pub(crate) fn integers(name: &str, values: &[i64]) -> Self {
        Self {
            name: Some(name.into()),
            ints: values.to_vec(),
            r#type: Some(AttributeType::Ints.into()),
            ..Self::default()
        }
    }
}

impl TensorProto {
    /// The 64-bit integers; `None` when they are of another type.
    pub(crate) fn to_integers(&self) -> Option<Vec<i64>> {
        let eight = |bytes: &[u8]| bytes.try_into().map(i64::from_le_bytes).ok();
        match &self.raw_data {
            _ if self.data_type() != i32::from(DataType::Int64) => None,
            Some(raw) => raw.chunks(8).map(eight).collect(),
            None => Some(self.int64_data.clone()),
        }
    }

    /// A list of 64-bit integers.
    pub(crate) fn integers(name: &str, values: &[i64]) -> Self {
        Self {
            name: Some(name.into()),
            dims: vec![values.len() as i64],
            data_type: Some(DataType::Int64.into()),
            int64_data: values.to_vec(),
            ..Self::default()
        }
    }
}

impl ValueInfoProto {
    /// A tensor of floats of unknown shape.
    pub(crate) fn floats(name: &str) -> Self {
        Self::tensor(name, DataType::Float)
    }

    /// A tensor of unknown shape.
    pub(crate) fn tensor(name: &str, elements: DataType) -> Self {
        let tensor = type_proto::Tensor { elem_type: Some(elements.into()), shape: None };
        let value = Some(type_proto::Value::TensorType(tensor));
        Self {
            name: Some(name.into()),
            r#type: Some(TypeProto { value, ..TypeProto::default() }),
            ..Self::default()
        }
    }

    /// With the dimensions `dims`; `None` for one that is free, also of those of other tensors.
    pub(crate) fn shaped(mut self, dims: &[Option<usize>]) -> Self {
        let name = self.name().to_owned();
        let free = |axis: usize| tensor_shape_proto::dimension::Value::DimParam(format!("{name}.{axis}"));
        let fixed = |size: usize| tensor_shape_proto::dimension::Value::DimValue(size as i64);
        let dim = (0..).zip(dims).map(|(axis, dim)| tensor_shape_proto::Dimension {
            value: Some(dim.map_or(free(axis), fixed)),
            ..tensor_shape_proto::Dimension::default()
        });
        let shape = Some(TensorShapeProto { dim: dim.collect() });
        if let Some(type_proto::Value::TensorType(tensor)) =
            self.r#type.as_mut().and_then(|t| t.value.as_mut())
        {
            tensor.shape = shape;
        }
        self
    }
}
