//! The constants of a graph as floats, however they are stored: as they are, in a node, or in 8 bits with
//! scales.

use std::borrow::Cow;
use std::collections::HashMap;

use super::{DataType, Graph, NodeProto, TensorProto};

/// A constant.
pub(crate) struct Floats {
    pub dims: Vec<usize>,
    /// Row-major.
    pub values: Vec<f32>,
}

/// Where the constants of a graph are.
pub(crate) struct Constants<'g> {
    tensors: HashMap<&'g str, &'g TensorProto>,
    dequantized: HashMap<&'g str, &'g NodeProto>,
}

impl<'g> Constants<'g> {
    pub(crate) fn of(graph: &'g Graph) -> Self {
        let mut found = Self { tensors: HashMap::new(), dequantized: HashMap::new() };
        found.tensors.extend(graph.body.initializer.iter().map(|tensor| (tensor.name(), tensor)));
        for node in &graph.body.node {
            let Some(output) = node.output.first().map(String::as_str) else { continue };
            if node.op_type() == "DequantizeLinear" {
                found.dequantized.insert(output, node);
            } else if node.op_type() == "Constant"
                && let Some(tensor) = node.attribute("value").and_then(|value| value.t.as_ref())
            {
                found.tensors.insert(output, tensor);
            }
        }
        found
    }

    /// The dimensions of the constant `name`; `None` when it is none.
    pub(crate) fn dims(&self, name: &str) -> Option<Vec<usize>> {
        let stored = self.dequantized.get(name).and_then(|node| node.input.first());
        self.tensors.get(stored.map_or(name, String::as_str)).map(|tensor| tensor.sizes())
    }

    /// The 64-bit integers of the constant `name`; `None` when it is none, or of another type.
    pub(crate) fn integers(&self, name: &str) -> Option<Vec<i64>> {
        self.tensors.get(name)?.to_integers()
    }

    /// The constant `name`; `None` when it is none, or of another type.
    pub(crate) fn floats(&self, name: &str) -> Option<Floats> {
        if let Some(tensor) = self.tensors.get(name) {
            return tensor.floats();
        }
        let node = self.dequantized.get(name)?;
        let tensor = |input: usize| self.tensors.get(node.input.get(input)?.as_str()).copied();
        let (stored, scales) = (tensor(0)?, tensor(1)?.floats()?);
        let zeros = match node.input.get(2).filter(|name| !name.is_empty()) {
            Some(_) => tensor(2)?.bytes()?,
            None => vec![0; scales.values.len()],
        };
        let dims = stored.sizes();
        let axis = node.attribute("axis").map_or(1, |axis| axis.i());
        let axis = if axis < 0 { axis + dims.len() as i64 } else { axis };
        let (channels, inner) = match scales.values.len() {
            1 => (1, stored.bytes()?.len().max(1)),
            count => {
                let after = dims.get(usize::try_from(axis).ok()? + 1..)?;
                (count, after.iter().product::<usize>().max(1))
            }
        };
        if zeros.len() != channels || stored.bytes()?.len() != dims.iter().product() {
            return None;
        }
        let value = |(index, byte): (usize, i16)| {
            let channel = index / inner % channels;
            f32::from(byte - zeros[channel]) * scales.values[channel]
        };
        Some(Floats { dims, values: stored.bytes()?.into_iter().enumerate().map(value).collect() })
    }
}

impl TensorProto {
    /// A constant of floats.
    pub(crate) fn of_floats(name: &str, dims: &[usize], values: &[f32]) -> Self {
        let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self::of_raw(name, dims, DataType::Float, raw)
    }

    /// A constant of signed bytes.
    #[cfg(any(test, feature = "optimize"))]
    pub(crate) fn of_int8(name: &str, dims: &[usize], values: Vec<i8>) -> Self {
        let raw = values.into_iter().map(|value| value as u8).collect();
        Self::of_raw(name, dims, DataType::Int8, raw)
    }

    fn of_raw(name: &str, dims: &[usize], data_type: DataType, raw: Vec<u8>) -> Self {
        Self {
            name: Some(name.into()),
            dims: dims.iter().map(|&dim| dim as i64).collect(),
            data_type: Some(data_type.into()),
            raw_data: Some(raw.into()),
            ..Self::default()
        }
    }
}

impl TensorProto {
    fn sizes(&self) -> Vec<usize> {
        self.dims.iter().map(|&dim| usize::try_from(dim).unwrap_or(0)).collect()
    }

    fn floats(&self) -> Option<Floats> {
        if self.data_type() != i32::from(DataType::Float) {
            return None;
        }
        let values = match &self.raw_data {
            Some(raw) => raw.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
            None => self.float_data.clone(),
        };
        let dims = self.sizes();
        (values.len() == dims.iter().product()).then_some(Floats { dims, values })
    }

    /// Bytes, signed or not, in a type that holds both.
    fn bytes(&self) -> Option<Vec<i16>> {
        let kind = self.data_type();
        let signed = match DataType::try_from(kind).ok()? {
            DataType::Int8 => true,
            DataType::Uint8 => false,
            _ => return None,
        };
        let raw: Cow<'_, [u8]> = match &self.raw_data {
            Some(raw) => Cow::Borrowed(raw),
            None => self.int32_data.iter().map(|&value| value as u8).collect(),
        };
        Some(raw.iter().map(|&b| if signed { i16::from(b as i8) } else { i16::from(b) }).collect())
    }
}
