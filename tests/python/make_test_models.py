"""Makes the small graphs that the tests of model loading and decoding use.

    python tests/python/make_test_models.py gigastt-core/tests/data/models

Needs the package `onnx`. The files are committed; running this again gives the same graphs.

The networks are arithmetic, so that a test can say by hand what they must recognise. Class k of an
encoder frame is mel channel k of every fourth frame; the blank scores 1. The predictor of the
transducers keeps h = h / 2 + onehot(token) and gives h; c counts feedings. The joint takes four times
the predictor's output away from the frame: a token that was just given needs more energy to be given
again.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper

MELS, STATE = 64, 320
LETTERS = "абвгдежзийклмнопрстуфхцчшщъыьэюя"
CLASSES, E2E_CLASSES = len(LETTERS) + 2, 257


def const(name, values, dtype):
    return numpy_helper.from_array(np.array(values, dtype=dtype), name)


def f32(name, dims):
    return h.make_tensor_value_info(name, T.FLOAT, dims)


def i64(name, dims):
    return h.make_tensor_value_info(name, T.INT64, dims)


def save(path, nodes, inputs, outputs, constants=()):
    graph = h.make_graph(nodes, path.stem, inputs, outputs, list(constants))
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=8, producer_name="gigastt tests")
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def every_fourth(source, target):
    nodes = [h.make_node("Slice", [source, "start", "stop", "time", "four"], [target])]
    limits = [("start", [0]), ("stop", [2**31]), ("time", [2]), ("four", [4])]
    return nodes, [const(name, value, np.int64) for name, value in limits]


def scores(source, classes):
    """Channels as classes, up to the blank: [.., MELS] to log-probabilities [.., classes]."""
    shown = min(MELS, classes - 1)
    nodes = [
        h.make_node("Slice", [source, "first", "shown", "last_axis"], ["channels"]),
        h.make_node("Pad", ["channels", "others", "low"], ["without_blank"]),
        h.make_node("Pad", ["without_blank", "blank", "one"], ["logits"]),
    ]
    rank = 3
    pad = lambda n: [0] * (2 * rank - 1) + [n]
    constants = [
        const("first", [0], np.int64),
        const("shown", [shown], np.int64),
        const("last_axis", [2], np.int64),
        const("others", pad(classes - 1 - shown), np.int64),
        const("blank", pad(1), np.int64),
        const("low", -1000, np.float32),
        const("one", 1, np.float32),
    ]
    return nodes, constants


def ctc(path, classes, dense=False):
    slice_nodes, slice_constants = every_fourth("features", "sliced")
    score_nodes, score_constants = scores("frames", classes)
    nodes = slice_nodes
    if dense:
        nodes.append(h.make_node("Conv", ["sliced", "unit"], ["same"], kernel_shape=[1]))
        slice_constants.append(const("unit", np.eye(MELS)[:, :, None], np.float32))
    nodes.append(h.make_node("Transpose", ["same" if dense else "sliced"], ["frames"], perm=[0, 2, 1]))
    nodes += score_nodes
    nodes.append(h.make_node("LogSoftmax", ["logits"], ["log_probs"], axis=-1))
    inputs = [f32("features", ["batch", MELS, "time"]), i64("feature_lengths", ["batch"])]
    save(path, nodes, inputs, [f32("log_probs", ["batch", "steps", classes])], slice_constants + score_constants)


def encoder(path, mels=MELS, more_width=0, length=T.INT32, fails=False):
    nodes, constants = every_fourth("audio_signal", "sliced")
    pad = h.make_node("Pad", ["sliced", "wider"], ["encoded"])
    out_of_range = h.make_node("Gather", ["sliced", "more"], ["encoded"], axis=2)
    nodes += [
        h.make_node("Add", ["length", "three"], ["more"]),
        out_of_range if fails else pad,
        h.make_node("Div", ["more", "divisor"], ["steps"]),
        h.make_node("Cast", ["steps"], ["encoded_len"], to=length),
    ]
    constants += [const("three", 3, np.int64), const("divisor", 4, np.int64)]
    constants += [] if fails else [const("wider", [0, 0, 0, 0, more_width, 0], np.int64)]
    inputs = [f32("audio_signal", ["batch", mels, "time"]), i64("length", ["batch"])]
    outputs = [f32("encoded", ["batch", mels + more_width, "frames"]), h.make_tensor_value_info("encoded_len", length, ["batch"])]
    save(path, nodes, inputs, outputs, constants)


def predictor(path, names, batch):
    x, h_in, c_in, dec, h_out, c_out = names
    nodes = [
        h.make_node("OneHot", [x, "depth", "off_on"], ["token"], axis=-1),
        h.make_node("Transpose", ["token"], ["turned"], perm=[1, 0, 2]),
        h.make_node("Mul", [h_in, "half"], ["faded"]),
        h.make_node("Add", ["faded", "turned"], [h_out]),
        h.make_node("Add", [c_in, "one"], [c_out]),
        h.make_node("Transpose", [h_out], [dec], perm=[1, 0, 2]),
    ]
    constants = [
        const("depth", STATE, np.int64),
        const("off_on", [0, 1], np.float32),
        const("half", 0.5, np.float32),
        const("one", 1, np.float32),
    ]
    state = [1, batch, STATE]
    inputs = [i64(x, [batch, 1]), f32(h_in, state), f32(c_in, state)]
    outputs = [f32(dec, [batch, 1, STATE]), f32(h_out, state), f32(c_out, state)]
    save(path, nodes, inputs, outputs, constants)


def joint(path, batch, steps, classes=CLASSES):
    score_nodes, score_constants = scores("left", classes)
    nodes = [
        h.make_node("Transpose", ["enc"], ["frame"], perm=[0, 2, 1]),
        h.make_node("Transpose", ["dec"], ["given"], perm=[0, 2, 1]),
        h.make_node("Slice", ["given", "from", "mels", "axis"], ["recent"]),
        h.make_node("Mul", ["recent", "four"], ["price"]),
        h.make_node("Sub", ["frame", "price"], ["left"]),
        *score_nodes,
        h.make_node("Unsqueeze", ["logits", "from_axis"], ["square"]),
        h.make_node("LogSoftmax", ["square"], ["joint"], axis=-1),
    ]
    constants = score_constants + [
        const("from", [0], np.int64),
        const("mels", [MELS], np.int64),
        const("axis", [2], np.int64),
        const("from_axis", [2], np.int64),
        const("four", 4, np.float32),
    ]
    inputs = [f32("enc", [batch, MELS, steps]), f32("dec", [batch, STATE, 1])]
    save(path, nodes, inputs, [f32("joint", [batch, steps, 1, classes])], constants)


def vocab(path, pieces):
    lines = [f"{piece} {number}\n" for number, piece in enumerate([*pieces, "<blk>"])]
    path.write_text("".join(lines), encoding="utf-8", newline="\n")


def several(root):
    """Three variants in one folder, plain."""
    encoder(root / "v3_rnnt_encoder.onnx")
    predictor(root / "v3_rnnt_decoder.onnx", ["x", "h.1", "c.1", "dec", "h", "c"], 1)
    joint(root / "v3_rnnt_joint.onnx", 1, 1)
    ctc(root / "v3_ctc.onnx", CLASSES)
    ctc(root / "v3_e2e_ctc.onnx", E2E_CLASSES)
    vocab(root / "v3_vocab.txt", ["▁", *LETTERS])
    pieces = ["<unk>", "▁", *LETTERS, *LETTERS.upper(), *".,?!—-0123456789"]
    pieces += [f"▁{a}{b}" for a in LETTERS for b in LETTERS]
    vocab(root / "v3_e2e_ctc_vocab.txt", pieces[: E2E_CLASSES - 1])


def newer(root):
    """The other naming scheme, other tensor names, free dimensions, int64 lengths."""
    encoder(root / "v3_rnnt_encoder_int8.onnx", length=T.INT64)
    predictor(root / "v3_rnnt_decoder_int8.onnx", ["x", "hi", "ci", "dec", "ho", "co"], "batch")
    joint(root / "v3_rnnt_joint_int8.onnx", "batch", "steps")
    vocab(root / "v3_vocab.txt", ["▁", *LETTERS])


def dense(root):
    """A network with a pointwise convolution, which changes nothing, for what makes models fast."""
    ctc(root / "v3_ctc.onnx", CLASSES, dense=True)
    vocab(root / "v3_vocab.txt", ["▁", *LETTERS])


def wrong(root):
    """Valid graphs that are not what their place asks for, and one that fits and fails when it runs."""
    save(root / "identity.onnx", [h.make_node("Identity", ["x"], ["y"])], [f32("x", [1])], [f32("y", [1])])
    encoder(root / "mels_80.onnx", mels=80)
    encoder(root / "wide.onnx", more_width=8)
    encoder(root / "fails.onnx", fails=True)
    joint(root / "classes_33.onnx", 1, 1, classes=CLASSES - 1)
    ctc(root / "ctc_33.onnx", CLASSES - 1)
    # A type the contract has no use for, and nested.
    tensor = h.make_tensor_type_proto(T.FLOAT, [1])
    nested = h.make_sequence_type_proto(h.make_sequence_type_proto(tensor))
    for name, proto in [("sequence", h.make_sequence_type_proto(tensor)), ("nested", nested)]:
        value = lambda name: h.make_value_info(name, proto)
        save(root / f"{name}.onnx", [h.make_node("Identity", ["x"], ["y"])], [value("x")], [value("y")])


if __name__ == "__main__":
    target = Path(sys.argv[1])
    several(target / "several")
    newer(target / "newer")
    dense(target / "dense")
    wrong(target / "wrong")
