//! A joint network cut in two where the encoder's frames and the predictor's output meet.
//!
//! What depends on the frames alone runs once for all frames of a window; what is left runs for a few
//! frames at a time with the predictor's present output. The published graphs declare one frame a call
//! and compute any number: only their declared dimensions say otherwise.

use bytes::Bytes;

use super::{AttributeProto, Graph, NodeProto, ValueInfoProto, uses};
use crate::Result;
use crate::model::interface::{Joint, STATE};

/// The name of the input with the frames, `[1, T, D]`.
pub(crate) const FRAMES: &str = "gigastt.frames";

/// The two parts of a joint network.
pub(crate) struct Cut {
    /// From [`FRAMES`] to the value `meeting`.
    pub project: Vec<u8>,
    /// From `meeting` and the predictor's output to the scores.
    pub score: Vec<u8>,
    /// The value both parts share: floats, `[1, T, ...]`.
    pub meeting: String,
}

/// Cuts the joint network in `file`; `None` when it has no such place, or several.
///
/// # Errors
/// `InvalidModel` when it is no ONNX model.
pub(crate) fn joint(file: Bytes, ports: &Joint) -> Result<Option<Cut>> {
    let graph = Graph::parse(file)?;
    let [frame, dec] = &ports.inputs;
    let (of_frame, of_dec) = (graph.dependents(frame), graph.dependents(dec));
    let alone = |name: &str| of_frame.contains(name) && !of_dec.contains(name);
    let mixed = graph.body.node.iter().filter(|node| uses(node).iter().any(|name| of_dec.contains(*name)));
    let mut meetings: Vec<&str> = mixed.flat_map(uses).filter(|name| alone(name)).collect();
    meetings.sort_unstable();
    meetings.dedup();
    let (&[meeting], false) = (meetings.as_slice(), alone(&ports.output)) else { return Ok(None) };

    let given = ValueInfoProto::floats(FRAMES).shaped(&[Some(1), None, ports.width]);
    let mut project = graph.part(vec![ValueInfoProto::floats(frame)], vec![ValueInfoProto::floats(meeting)]);
    // Frames lie one after the other in our memory. ONNX Runtime merges this with what turns them back.
    let turned =
        NodeProto::of("Transpose", [FRAMES], frame).with(AttributeProto::integers("perm", &[0, 2, 1]));
    project.body.node.insert(0, turned);
    project.body.input = vec![given];

    let dec = ValueInfoProto::floats(dec).shaped(&[Some(1), Some(STATE), Some(1)]);
    let scores = ValueInfoProto::floats(&ports.output);
    let score = graph.part(vec![ValueInfoProto::floats(meeting), dec], vec![scores]);
    let meeting = meeting.to_owned();
    Ok(Some(Cut { project: project.into_bytes(), score: score.into_bytes(), meeting }))
}
