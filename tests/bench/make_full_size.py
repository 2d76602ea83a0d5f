"""Make a model of GigaAM v3's full size with random weights, for measurements.

The bundle has the files, tensor names, element types, shapes and operators of the published
`gigaam-v3-e2e-rnnt` export and costs as much to run, but it has learned nothing: its text is
gibberish. The joint network is calibrated on the recordings of tests/samples so that it writes
about as many tokens a second as the real one would.

    python tests/bench/make_full_size.py [FOLDER] [--published-int8]

What lies in the folder (default ~/.cache/gigastt/bench/full-size) afterwards:

    v3_e2e_rnnt_{encoder,decoder,joint}.onnx        32-bit floats, as published
    v3_e2e_rnnt_{encoder,decoder,joint}.int8.onnx   the encoder's dense layers in 8 bits, the form that
                                                    runs fast; decoder and joint network as above
    v3_e2e_rnnt_*.int8-published.onnx               all three as `quantize_dynamic` makes them of every
                                                    operator it knows; only with --published-int8
    v3_e2e_rnnt_vocab.txt, config.json
    generator.json                                  what made it, sizes, hashes, calibration

A folder that this generator made is left as it is; one of an older generator is replaced as a whole;
any other folder is refused. Weights depend on the seed and on their names alone. The calibration runs
the encoder, so the joint network can differ in its last digits between processors.
"""

import argparse
import hashlib
import json
import logging
import os
import shutil
import sys
import tempfile
import wave
import zlib
from itertools import islice, product
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnx_asr.preprocessors.numpy_preprocessor import GigaamPreprocessorNumpy

SEED = 20_251

MELS = 64
WIDTH = 768
LAYERS = 16
HEADS = 16
FEED_FORWARD = 4 * WIDTH
SUBSAMPLING_KERNEL = 5
DEPTHWISE_KERNEL = 5
ROTARY_BASE = 5_000
POSITIONS = 5_000
STATE = 320
JOINT = 320
PIECES = 1_024
BLANK = PIECES
PARAMETERS = 220_681_728
"""What the layers above add up to; the published encoder has as many."""

OPSET = 17
IR_VERSION = 8

RATE = 16_000
MAX_SYMBOLS = 3
TOKENS_PER_S = 5.0
"""The rate that is calibrated to: fluent Russian in pieces of this vocabulary's size."""
PREDICTOR_SHARE = 0.15
"""How much the last tokens weigh in the joint network where the sound weighs 1. With this much, six of seven
frames that give a token give one, and windows with another start agree on three quarters of the tokens;
with 0.4 they agree on next to none."""
LOGIT_DEVIATION = 4.0
"""Deviation of the scores before the softmax, which gives tokens a probability of about one half."""
BLANK_GAIN = 3.2
"""The blank's rise with a frame's loudness, in deviations: where the best of 1,024 scores lies."""
BLANK_LIMIT = 60.0
"""The blank's advantage is looked for up to here, either way."""

STEM = "v3_e2e_rnnt"
PUBLISHED_INT8 = "int8-published"
MANIFEST = "generator.json"
SAMPLES = Path(__file__).resolve().parents[1] / "samples"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path.home() / ".cache" / "gigastt" / "bench" / "full-size"
    parser.add_argument("folder", nargs="?", type=Path, default=default, help=f"default: {default}")
    parser.add_argument("--published-int8", action="store_true", help="also quantise as the published int8 files")
    options = parser.parse_args()
    print(make(options.folder, options.published_int8))


def make(folder: Path, published_int8: bool = False) -> Path:
    """The folder with the bundle, which is made if it is not there."""
    folder = folder.expanduser().resolve()
    if not is_current(folder):
        check_replaceable(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as scratch:
            bundle = Path(scratch) / "new"
            bundle.mkdir()
            write_bundle(bundle)
            if folder.exists():
                folder.rename(Path(scratch) / "old")
            bundle.rename(folder)
    if published_int8:
        add_published_int8(folder)
    return folder


# The folder


def fingerprint() -> str:
    """A hash of everything that the bundle is made from."""
    parts = [Path(__file__), *recordings()]
    digest = hashlib.sha256(np.__version__.encode())
    for part in parts:
        digest.update(part.read_bytes())
    return digest.hexdigest()


def is_current(folder: Path) -> bool:
    """Whether this generator made the folder and its files are all there."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
        sizes = {name: file["bytes"] for name, file in manifest["files"].items()}
        return manifest["generator"] == fingerprint() and all(
            (folder / name).stat().st_size == size for name, size in sizes.items()
        )
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError):
        return False


def check_replaceable(folder: Path) -> None:
    is_ours = (folder / MANIFEST).is_file()
    is_empty = folder.is_dir() and not any(folder.iterdir())
    if folder.exists() and not is_ours and not is_empty:
        sys.exit(f"{folder}: has other content than a model of this generator; choose another folder")


def write_bundle(folder: Path) -> None:
    for suffix, graph in ("", Graph("encoder")), (".int8", Int8Graph("encoder")):
        log(f"encoder{suffix}")
        onnx.save(encoder(graph), folder / f"{STEM}_encoder{suffix}.onnx")
    onnx.save(decoder(), folder / f"{STEM}_decoder.onnx")
    log("calibration")
    joint_network, calibration = calibrate(folder)
    onnx.save(joint_network, folder / f"{STEM}_joint.onnx")
    for part in "decoder", "joint":
        shutil.copyfile(folder / f"{STEM}_{part}.onnx", folder / f"{STEM}_{part}.int8.onnx")
    lines = [f"{piece} {index}\n" for index, piece in enumerate([*pieces(), "<blk>"])]
    (folder / f"{STEM}_vocab.txt").write_text("".join(lines), "utf-8")
    config = {
        "model_type": "gigaam-v3-e2e-rnnt",
        "version": "v3",
        "features_size": MELS,
        "subsampling_factor": 4,
        "max_tokens_per_step": MAX_SYMBOLS,
    }
    (folder / "config.json").write_text(json.dumps(config) + "\n", "utf-8")
    log("hashes")
    files = {path.name: {"bytes": path.stat().st_size, "sha256": sha256(path)} for path in sorted(folder.iterdir())}
    manifest = {"generator": fingerprint(), "seed": SEED, "encoder_parameters": PARAMETERS}
    manifest |= {"calibration": calibration, "files": files}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", "utf-8")


def add_published_int8(folder: Path) -> None:
    """What `quantize_dynamic` makes of all operators, with unsigned weights, of a scale a tensor."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # It recommends a preparation that the published files did not have.
    logging.disable(logging.WARNING)
    for part in "decoder", "joint", "encoder":
        target = folder / f"{STEM}_{part}.{PUBLISHED_INT8}.onnx"
        if not target.exists():
            log(f"{part}.{PUBLISHED_INT8}")
            partial = folder / f".{target.name}.{os.getpid()}"
            try:
                quantize_dynamic(folder / f"{STEM}_{part}.onnx", partial, weight_type=QuantType.QUInt8)
                partial.rename(target)
            finally:
                partial.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def log(what: str) -> None:
    print(f"full-size model: {what}", file=sys.stderr, flush=True)


# Weights


def normal(name: str, shape: tuple[int, ...], std: float, mean: float = 0.0) -> np.ndarray:
    """Normally distributed values that depend on the seed and the name alone."""
    generator = np.random.default_rng([SEED, zlib.crc32(name.encode())])
    values = generator.standard_normal(shape, np.float32)
    values *= np.float32(std)
    values += np.float32(mean)
    return values


def fan_in(name: str, shape: tuple[int, ...], gain: float = 1.0) -> np.ndarray:
    """Weights [inputs, outputs], or [outputs, inputs, kernel] of a convolution, that keep a deviation
    of 1 when the gain is 1."""
    inputs = shape[0] if len(shape) == 2 else shape[1] * shape[2]
    return normal(name, shape, gain / np.sqrt(inputs))


# Graphs


class Graph:
    """An ONNX model under construction. Its values are known by their names.

    A layer's `x` is [B, T, C], for convolutions [B, C, T].
    """

    def __init__(self, name: str) -> None:
        self.model = onnx.ModelProto(ir_version=IR_VERSION, producer_name="gigastt-bench")
        self.model.opset_import.append(helper.make_opsetid("", OPSET))
        self.model.graph.name = name
        self.names: set[str] = set()
        self.parameters = 0

    def ports(self, inputs: dict[str, tuple], outputs: dict[str, tuple]) -> None:
        """Declares inputs and outputs: name, element type and shape."""
        graph = self.model.graph
        for ports, described in (graph.input, inputs), (graph.output, outputs):
            ports.extend(helper.make_tensor_value_info(name, *port) for name, port in described.items())

    def constant(self, name: str, value: np.ndarray) -> str:
        if name not in self.names:
            self.names.add(name)
            self.model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def integers(self, *values: int) -> str:
        return self.constant("integers_" + "_".join(map(str, values)), np.array(values, np.int64))

    def scalar(self, value: float) -> str:
        return self.constant(f"scalar_{value:.6g}", np.array(value, np.float32))

    def parameter(self, name: str, value: np.ndarray) -> str:
        self.parameters += value.size
        return self.constant(name, value)

    def add(self, name: str, operator: str, *inputs: str, **attributes: object) -> str:
        """A node whose one output has its name."""
        return self.add_many([name], operator, *inputs, **attributes)[0]

    def add_many(self, names: list[str], operator: str, *inputs: str, **attributes: object) -> list[str]:
        self.model.graph.node.append(helper.make_node(operator, inputs, names, names[0], **attributes))
        return names

    def bias(self, name: str, size: int) -> str:
        return self.parameter(f"{name}.bias", normal(f"{name}.bias", (size,), 0.02))

    def conv(self, name: str, x: str, weight: np.ndarray, bias: str | None = None, **attributes: object) -> str:
        parameters = self.parameter(f"{name}.weight", weight), bias or self.bias(name, len(weight))
        return self.add(name, "Conv", x, *parameters, kernel_shape=[weight.shape[2]], **attributes)

    def depthwise(self, name: str, x: str) -> str:
        weight = fan_in(name, (WIDTH, 1, DEPTHWISE_KERNEL))
        padding = DEPTHWISE_KERNEL // 2
        return self.conv(name, x, weight, group=WIDTH, pads=[padding, padding])

    def norm(self, name: str, x: str) -> str:
        weight = self.parameter(f"{name}.weight", normal(f"{name}.weight", (WIDTH,), 0.1, 1.0))
        return self.add(name, "LayerNormalization", x, weight, self.bias(name, WIDTH), axis=-1, epsilon=1e-5)

    def silu(self, name: str, x: str) -> str:
        return self.add(name, "Mul", x, self.add(f"{name}.sigmoid", "Sigmoid", x))

    def gate(self, name: str, x: str, axis: int) -> str:
        """A gated linear unit: the second half of the channels opens and shuts the first."""
        value, gate = self.add_many([f"{name}.value", f"{name}.gate"], "Split", x, axis=axis)
        return self.add(name, "Mul", value, self.add(f"{name}.sigmoid", "Sigmoid", gate))

    def turn(self, name: str, x: str) -> str:
        """From [B, T, C] to [B, C, T] or back."""
        return self.add(name, "Transpose", x, perm=[0, 2, 1])

    def dense(self, name: str, x: str, weight: np.ndarray) -> str:
        product = self.add(f"{name}.product", "MatMul", x, self.parameter(f"{name}.weight", weight))
        return self.add(name, "Add", self.bias(name, weight.shape[1]), product)

    def convolution(self, name: str, x: str, inner: np.ndarray, outer: np.ndarray) -> str:
        """The convolution module; the weights of its pointwise layers are [inputs, outputs]."""
        x = self.conv(f"{name}.pointwise1", self.turn(f"{name}.turn1", x), inner.T[:, :, None])
        x = self.depthwise(f"{name}.depthwise", self.gate(f"{name}.glu", x, axis=1))
        x = self.norm(f"{name}.norm", self.turn(f"{name}.turn2", x))
        x = self.silu(f"{name}.silu", self.turn(f"{name}.turn3", x))
        return self.turn(f"{name}.turn4", self.conv(f"{name}.pointwise2", x, outer.T[:, :, None]))


class Int8Graph(Graph):
    """A graph whose dense layers, the pointwise convolutions among them, multiply 8-bit integers:
    activations quantised while it runs, weights signed with a scale for each output.

    Each layer has the nodes that ONNX Runtime merges into one.
    """

    def dense(self, name: str, x: str, weight: np.ndarray) -> str:
        self.parameters += weight.size
        scale = np.abs(weight).max(axis=0) / 127
        quantized = np.rint(weight / scale).astype(np.int8)
        weight_scale = self.constant(f"{name}.weight_scale", scale)
        x8, x_scale, x_zero = self.quantized(x)
        w8 = self.constant(f"{name}.weight_quantized", quantized)
        w_zero = self.constant(f"{name}.weight_zero_point", np.zeros_like(quantized[0]))
        product = self.add(f"{name}.integers", "MatMulInteger", x8, w8, x_zero, w_zero)
        product = self.add(f"{name}.floats", "Cast", product, to=TensorProto.FLOAT)
        scale = self.add(f"{name}.scale", "Mul", x_scale, weight_scale)
        product = self.add(f"{name}.product", "Mul", product, scale)
        return self.add(name, "Add", self.bias(name, weight.shape[1]), product)

    def quantized(self, x: str) -> list[str]:
        """`x` in 8 bits, its scale and its zero point."""
        names = [f"{x}.quantized", f"{x}.scale", f"{x}.zero_point"]
        if x not in self.names:
            self.names.add(x)
            self.add_many(names, "DynamicQuantizeLinear", x)
        return names

    def convolution(self, name: str, x: str, inner: np.ndarray, outer: np.ndarray) -> str:
        x = self.gate(f"{name}.glu", self.dense(f"{name}.pointwise1", x, inner), axis=2)
        x = self.depthwise(f"{name}.depthwise", self.turn(f"{name}.turn1", x))
        x = self.norm(f"{name}.norm", self.turn(f"{name}.turn2", x))
        return self.dense(f"{name}.pointwise2", self.silu(f"{name}.silu", x), outer)


def encoder(graph: Graph) -> onnx.ModelProto:
    graph.ports(
        {
            "audio_signal": (TensorProto.FLOAT, ["batch_size", MELS, "seq_len"]),
            "length": (TensorProto.INT64, ["batch_size"]),
        },
        {
            "encoded": (TensorProto.FLOAT, ["batch_size", WIDTH, "encoded_seq_len"]),
            "encoded_len": (TensorProto.INT32, ["batch_size"]),
        },
    )
    x = graph.turn("pre_encode", subsampling(graph, "audio_signal"))
    rotation = rotary_tables(graph, x)
    for index in range(LAYERS):
        x = layer(graph, f"layers.{index}", x, rotation)
    graph.turn("encoded", x)
    encoded_length(graph, "length")
    if graph.parameters != PARAMETERS:
        raise AssertionError(f"the encoder has {graph.parameters} parameters, expected {PARAMETERS}")
    return graph.model


def subsampling(graph: Graph, x: str) -> str:
    """Two convolutions that leave one frame of four."""
    kernel = SUBSAMPLING_KERNEL
    steps = {"strides": [2], "pads": [kernel // 2, kernel // 2]}
    # The log-mel values of speech lie about -10 and rise and fall together. Most of that is taken away
    # here, or every frame would be one direction of different length.
    weight = fan_in("pre_encode.0", (WIDTH, MELS, kernel), gain=1 / 3)
    weight -= np.float32(0.9) * weight.mean(axis=1, keepdims=True)
    bias = graph.parameter("pre_encode.0.bias", 10 * weight.sum(axis=(1, 2)))
    x = graph.add("pre_encode.1", "Relu", graph.conv("pre_encode.0", x, weight, bias, **steps))
    weight = fan_in("pre_encode.2", (WIDTH, WIDTH, kernel), gain=np.sqrt(2))
    return graph.add("pre_encode.3", "Relu", graph.conv("pre_encode.2", x, weight, **steps))


def encoded_length(graph: Graph, length: str) -> None:
    """(n - 1) // 2 + 1, twice."""
    one, two = graph.integers(1), graph.integers(2)
    for step in "first", "second":
        before = graph.add(f"length.{step}.before", "Sub", length, one)
        half = graph.add(f"length.{step}.half", "Div", before, two)
        length = graph.add(f"length.{step}", "Add", half, one)
    graph.add("encoded_len", "Cast", length, to=TensorProto.INT32)


def rotary_tables(graph: Graph, x: str) -> tuple[str, str]:
    """Cosines and sines [T, 1, C / heads] of the positions of `x`; longer input fails, as it does in the
    published export."""
    half = WIDTH // HEADS // 2
    angles = np.outer(np.arange(POSITIONS), ROTARY_BASE ** (-np.arange(half) / half))[:, None, :]
    length = graph.add("positions", "Shape", x, start=1, end=2)

    def table(name: str, values: np.ndarray) -> str:
        whole = graph.constant(f"{name}_table", values.astype(np.float32))
        part = graph.add(f"{name}_half", "Slice", whole, graph.integers(0), length, graph.integers(0))
        return graph.add(name, "Concat", part, part, axis=2)

    return table("cos", np.cos(angles)), table("sin", np.sin(angles))


def layer(graph: Graph, name: str, x: str, rotation: tuple[str, str]) -> str:
    """A Conformer layer. The gains make each module's share in the residual stream small, so that a frame
    depends on the sound nearby and hardly on where the window starts, as it should."""
    x = feed_forward(graph, f"{name}.feed_forward1", x)
    y = attention(graph, f"{name}.self_attn", graph.norm(f"{name}.norm_self_att", x), rotation)
    x = graph.add(f"{name}.after_attention", "Add", x, y)
    inner = fan_in(f"{name}.conv.pointwise1", (WIDTH, 2 * WIDTH))
    outer = fan_in(f"{name}.conv.pointwise2", (WIDTH, WIDTH), gain=0.5)
    y = graph.convolution(f"{name}.conv", graph.norm(f"{name}.norm_conv", x), inner, outer)
    x = graph.add(f"{name}.after_convolution", "Add", x, y)
    x = feed_forward(graph, f"{name}.feed_forward2", x)
    return graph.norm(f"{name}.norm_out", x)


def feed_forward(graph: Graph, name: str, x: str) -> str:
    """`x` plus half of what the module makes of it."""
    y = graph.norm(f"{name}.norm", x)
    y = graph.dense(f"{name}.linear1", y, fan_in(f"{name}.linear1", (WIDTH, FEED_FORWARD)))
    y = graph.silu(f"{name}.silu", y)
    y = graph.dense(f"{name}.linear2", y, fan_in(f"{name}.linear2", (FEED_FORWARD, WIDTH), gain=0.7))
    return graph.add(f"{name}.sum", "Add", x, graph.add(f"{name}.scaled", "Mul", y, graph.scalar(0.5)))


def attention(graph: Graph, name: str, x: str, rotation: tuple[str, str]) -> str:
    """Full self-attention. This family rotates what goes into the query and key projections, not what
    comes out of them."""
    split = graph.integers(0, 0, HEADS, WIDTH // HEADS)
    joined = graph.integers(0, 0, WIDTH)

    def project(part: str, x: str, gain: float = 1.0) -> str:
        return graph.dense(f"{name}.{part}", x, fan_in(f"{name}.{part}", (WIDTH, WIDTH), gain))

    def heads(part: str, x: str, perm: list[int]) -> str:
        x = graph.add(f"{name}.{part}.split", "Reshape", project(part, x), split)
        return graph.add(f"{name}.{part}.heads", "Transpose", x, perm=perm)

    turned = graph.add(f"{name}.unrotated", "Reshape", x, split)
    turned = graph.add(f"{name}.rotated", "Reshape", rotate(graph, name, turned, rotation), joined)
    query = heads("query", turned, [0, 2, 1, 3])
    key = heads("key", turned, [0, 2, 3, 1])
    value = heads("value", x, [0, 2, 1, 3])
    scores = graph.add(f"{name}.products", "MatMul", query, key)
    scores = graph.add(f"{name}.scores", "Div", scores, graph.scalar(np.sqrt(WIDTH // HEADS)))
    weights = graph.add(f"{name}.weights", "Softmax", scores, axis=-1)
    mixed = graph.add(f"{name}.mixed", "MatMul", weights, value)
    mixed = graph.add(f"{name}.mixed.turned", "Transpose", mixed, perm=[0, 2, 1, 3])
    # Weights by lot attend to everything alike. What they find is the same for all frames, and with a
    # larger share in each layer nothing else would be left at the end.
    return project("out", graph.add(f"{name}.mixed.joined", "Reshape", mixed, joined), gain=0.1)


def rotate(graph: Graph, name: str, x: str, rotation: tuple[str, str]) -> str:
    """[B, T, heads, width], each head's two halves as the coordinates of points that turn."""
    first, second = graph.add_many([f"{name}.first", f"{name}.second"], "Split", x, axis=3)
    quarter = graph.add(f"{name}.quarter", "Concat", graph.add(f"{name}.negated", "Neg", second), first, axis=3)
    cos = graph.add(f"{name}.cos", "Mul", x, rotation[0])
    sin = graph.add(f"{name}.sin", "Mul", quarter, rotation[1])
    return graph.add(f"{name}.rotation", "Add", cos, sin)


def decoder() -> onnx.ModelProto:
    """The predictor: an embedding and an LSTM whose gates let it remember the last few tokens."""
    graph = Graph("decoder")
    token, state = (TensorProto.INT64, [1, 1]), (TensorProto.FLOAT, [1, 1, STATE])
    graph.ports({"x": token, "h.1": state, "c.1": state}, {"dec": state, "h": state, "c": state})
    x = graph.add("embed", "Gather", graph.constant("embed.weight", embedding()), "x")
    x = graph.add("embed.turned", "Transpose", x, perm=[1, 0, 2])
    # In the operator's order: input, output and forget gate, cell.
    gains, biases = (0.1, 0.1, 0.1, 0.5), (2.0, 2.0, 0.5, 0.0)
    inputs = [fan_in(f"lstm.input.{n}", (STATE, STATE), gain).T for n, gain in enumerate(gains)]
    recurrent = [fan_in(f"lstm.recurrent.{n}", (STATE, STATE), 0.1).T for n in range(4)]
    bias = np.repeat(np.array([*biases, 0, 0, 0, 0], np.float32), STATE)
    weights = [
        graph.constant(name, np.concatenate(parts)[None])
        for name, parts in (("lstm.input", inputs), ("lstm.recurrent", recurrent), ("lstm.bias", [bias]))
    ]
    x, *_ = graph.add_many(["lstm", "h", "c"], "LSTM", x, *weights, "", "h.1", "c.1", hidden_size=STATE)
    x = graph.add("lstm.squeezed", "Squeeze", x, graph.integers(1))
    graph.add("dec", "Transpose", x, perm=[1, 0, 2])
    return graph.model


def embedding() -> np.ndarray:
    """A vector for each piece: what the predictor sees of it and what the joint network looks for."""
    vectors = normal("embed", (PIECES + 1, STATE), 1.0)
    vectors[BLANK] = 0
    return vectors


def joint(enc: tuple[np.ndarray, np.ndarray], pred: tuple[np.ndarray, np.ndarray], blank: float) -> onnx.ModelProto:
    """The joint network with these projections (weight, bias) and this much more for the blank."""
    graph = Graph("joint")
    graph.ports(
        {"enc": (TensorProto.FLOAT, [1, WIDTH, 1]), "dec": (TensorProto.FLOAT, [1, STATE, 1])},
        {"joint": (TensorProto.FLOAT, [1, 1, 1, PIECES + 1])},
    )

    def dense(name: str, x: str, weight: np.ndarray, bias: np.ndarray) -> str:
        x = graph.add(f"{name}.product", "MatMul", x, graph.constant(f"{name}.weight", weight))
        return graph.add(name, "Add", graph.constant(f"{name}.bias", bias), x)

    def project(port: str, parameters: tuple[np.ndarray, np.ndarray], axis: int) -> str:
        x = dense(f"{port}.projected", graph.turn(f"{port}.turned", port), *parameters)
        return graph.add(f"{port}.expanded", "Unsqueeze", x, graph.integers(axis))

    x = graph.add("sum", "Add", project("enc", enc, 2), project("dec", pred, 1))
    x = graph.add("relu", "Relu", x)
    # What goes into the ReLU is distributed normally, so the mean of what comes out is known. The bias
    # takes it away, or a few pieces would always win.
    deviation = np.sqrt(1 + PREDICTOR_SHARE**2)
    mean = deviation / np.sqrt(2 * np.pi)
    weight = embedding().T * np.float32(LOGIT_DEVIATION / (deviation * np.sqrt(JOINT * (0.5 - 0.5 / np.pi))))
    # The louder a frame, the higher its best piece; the blank rises with it, or a few frames would give
    # all the tokens.
    weight[:, BLANK] = BLANK_GAIN * LOGIT_DEVIATION / (JOINT * mean)
    bias = -mean * weight.sum(axis=0)
    bias[BLANK] += blank
    graph.add("joint", "LogSoftmax", dense("out", x, weight, bias.astype(np.float32)), axis=-1)
    return graph.model


# Calibration


def calibrate(folder: Path) -> tuple[onnx.ModelProto, dict[str, object]]:
    """The joint network that writes TOKENS_PER_S on the recordings, and what was measured with it."""
    waves = [read_wav(path) for path in recordings()]
    seconds = sum(map(len, waves)) / RATE
    mels = [log_mel(samples) for samples in waves]
    predictor = session(folder / f"{STEM}_decoder.onnx")
    encoded = {
        name: encode(session(folder / f"{STEM}_encoder{suffix}.onnx"), mels)
        for name, suffix in (("f32", ""), ("int8", ".int8"))
    }
    enc = standardised("joint.enc", np.concatenate(encoded["f32"]))
    pred = reluctance(predictor)
    neutral = session(joint(enc, pred, 0.0).SerializeToString())
    low, high = -BLANK_LIMIT, BLANK_LIMIT
    while high - low > 0.01:
        blank = (low + high) / 2
        tokens = sum(len(greedy(frames, predictor, neutral, blank)) for frames in encoded["f32"])
        low, high = (blank, high) if tokens > TOKENS_PER_S * seconds else (low, blank)
    blank = round((low + high) / 2, 2)
    model = joint(enc, pred, blank)
    final = session(model.SerializeToString())
    found = {name: [greedy(frames, predictor, final) for frames in items] for name, items in encoded.items()}
    frames_total = sum(map(len, encoded["f32"]))
    measured = {
        "recordings_s": round(seconds, 2),
        "blank_bias": blank,
        "tokens_per_s": {name: round(sum(map(len, items)) / seconds, 2) for name, items in found.items()},
        "frames_with_a_token": round(sum(len(set(tokens)) for tokens in found["f32"]) / frames_total, 3),
        "int8_deviation": round(relative_deviation(encoded["int8"], encoded["f32"]), 3),
    }
    if not 4 <= measured["tokens_per_s"]["f32"] <= 6:
        raise AssertionError(f"the calibration failed: {measured}")
    return model, measured


def standardised(name: str, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weight and bias of a dense layer whose outputs have mean 0 and deviation 1 on `inputs`."""
    weight = fan_in(name, (inputs.shape[1], JOINT))
    weight /= (inputs @ weight).std(axis=0)
    return weight, -(inputs.mean(axis=0) @ weight)


def reluctance(predictor: ort.InferenceSession) -> tuple[np.ndarray, np.ndarray]:
    """Weight and bias of the predictor's projection, by which the joint network is reluctant to repeat
    the tokens that were just given: without it each would come several times, and an arbitrary
    projection would let one other token change all that follow."""
    tokens = np.random.default_rng([SEED, 1]).integers(0, PIECES, 2_048)
    state = initial_state()
    outputs = []
    for token in tokens:
        dec, *state = predict(predictor, token, state)
        outputs.append(dec.ravel())
    outputs = np.stack(outputs)
    mean = outputs.mean(axis=0)
    weight, *_ = np.linalg.lstsq(outputs - mean, -embedding()[tokens])
    weight *= PREDICTOR_SHARE / ((outputs - mean) @ weight).std()
    return weight.astype(np.float32), -(mean @ weight).astype(np.float32)


def greedy(
    frames: np.ndarray, predictor: ort.InferenceSession, joint: ort.InferenceSession, blank: float = 0.0
) -> list[int]:
    """The frame of each token, with this much more in favour of the blank."""
    dec, *state = predict(predictor, BLANK, initial_state())
    found = []
    for index, frame in enumerate(frames):
        for _ in range(MAX_SYMBOLS):
            (scores,) = joint.run(None, {"enc": frame[None, :, None], "dec": dec.transpose(0, 2, 1)})
            scores = scores.ravel()
            scores[BLANK] += blank
            if not np.isfinite(scores).all():
                raise AssertionError("the joint network gave a value that is not finite")
            if (token := int(scores.argmax())) == BLANK:
                break
            found.append(index)
            dec, *state = predict(predictor, token, state)
    return found


def predict(predictor: ort.InferenceSession, token: int, state: list[np.ndarray]) -> list[np.ndarray]:
    h, c = state
    return predictor.run(None, {"x": np.array([[token]], np.int64), "h.1": h, "c.1": c})


def initial_state() -> list[np.ndarray]:
    return [np.zeros((1, 1, STATE), np.float32) for _ in range(2)]


def encode(network: ort.InferenceSession, mels: list[np.ndarray]) -> list[np.ndarray]:
    """Frames [T, C] of each recording."""
    outputs = []
    for mel in mels:
        encoded, lengths = network.run(None, {"audio_signal": mel[None], "length": np.array([mel.shape[1]])})
        if encoded.shape[2] != lengths[0]:
            raise AssertionError(f"{encoded.shape[2]} frames, but the encoder says {lengths[0]}")
        outputs.append(encoded[0].T)
    return outputs


def relative_deviation(found: list[np.ndarray], expected: list[np.ndarray]) -> float:
    found, expected = np.concatenate(found), np.concatenate(expected)
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def session(model: Path | bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    # One thread adds in one order.
    options.intra_op_num_threads = 1
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def recordings() -> list[Path]:
    found = sorted(SAMPLES.glob("*.wav"))
    if not found:
        raise FileNotFoundError(f"{SAMPLES}: no recordings to calibrate on")
    return found


def read_wav(path: Path) -> np.ndarray:
    with wave.open(str(path)) as wav:
        if (wav.getframerate(), wav.getnchannels(), wav.getsampwidth()) != (RATE, 1, 2):
            raise ValueError(f"{path}: expected 16-bit mono at {RATE} Hz")
        return np.frombuffer(wav.readframes(wav.getnframes()), "<i2").astype(np.float32) / 32_768


def log_mel(samples: np.ndarray) -> np.ndarray:
    mel, _ = GigaamPreprocessorNumpy("gigaam_v3")(samples[None], np.array([len(samples)]))
    return mel[0]


# Vocabulary


def pieces() -> list[str]:
    """The blank's 1,024 companions: single characters, then syllables, half of them starting a word."""
    consonants, vowels = "бвгджзклмнпрстфхцчшщй", "аеёиоуыэюя"
    letters = [*consonants, *vowels, *"ъь"]
    single = ["<unk>", *letters, *(f"\u2581{letter}" for letter in letters)]
    single += [*".,?!-—:;«»%", "\u2581—", "\u2581«", *"0123456789", *(f"\u2581{digit}" for digit in range(10))]
    syllables = ["".join(parts) for parts in (*product(consonants, vowels), *product(consonants, vowels, "нлрст"))]
    both = (mark + syllable for syllable in syllables for mark in ("", "\u2581"))
    return [*single, *islice(both, PIECES - len(single))]


if __name__ == "__main__":
    main()
