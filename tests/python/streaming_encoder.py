"""The embedded model's encoder in NumPy, which keeps what it has computed: shares no code with the project.

Writes the golden vectors of the streaming encoder. In a virtual environment, from the root of the repository:

    pip install -r tests/python/requirements.txt
    python tests/python/streaming_encoder.py

A step knows the frames before it by their keys and values, in 8 bits, of the last LEFT frames, and by
the last inputs of each depthwise convolution; it hears its own frames and RIGHT more. Convolutions see zeros
where nothing was heard yet.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "gigastt-core" / "tests" / "data"
ENCODER = ROOT / "gigastt-core" / "models" / "embedded" / "v3_e2e_rnnt_encoder.int8w.onnx"
MEL = DATA / "mel" / "sample_00.mel"
VECTORS = DATA / "streaming" / "sample_00.encoded"

MELS = 64
LAYERS, HEADS, PAST = 4, 4, 4
STRIDE = 4
# What the encoder itself takes from log-mel, and divides it by.
MEAN, DEVIATION = -8, 5
# Of the angles by which heads are turned.
BASE = 5_000
# Values of a frame whose largest is 127 in 8 bits.
GROUP = 64
# So that steps differ, rows are replaced in the middle of a step, and one step is longer than what is kept.
LEFT, RIGHT, STEPS = 12, 5, [5, 8, 3, 14, 2, 7, 9]


def weights(path=ENCODER):
    """Weights by name, those of 8 bits as floats."""
    graph = onnx.load(path).graph
    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "DequantizeLinear":
            values, scale, zero = (found[name].astype(np.float32) for name in node.input)
            axis = next(attribute.i for attribute in node.attribute if attribute.name == "axis")
            shape = [-1 if dim == axis else 1 for dim in range(values.ndim)]
            found[node.output[0]] = (values - zero.reshape(shape)) * scale.reshape(shape)
        # Products are called by numbers in the file, what comes out of them by their places.
        if node.op_type == "MatMul" and node.input[1] in found:
            place = ".".join(node.output[0].split("/")[1:-1])
            found[f"{place}.weight"] = found[node.input[1]]
    return found


def norm(w, name, x):
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5) * w[f"{name}.weight"] + w[f"{name}.bias"]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def silu(x):
    return x * sigmoid(x)


def strided(w, name, x):
    """A convolution [T, C] of kernel 5 and stride 2, with zeros around, and its activation."""
    kernel, padded = w[f"{name}.weight"], np.pad(x, ((2, 2), (0, 0)))
    frames = [np.einsum("tc,oct->o", padded[t : t + 5], kernel) for t in range(0, len(x), 2)]
    return silu(np.array(frames) + w[f"{name}.bias"])


def rotated(x, first):
    """Heads [H, T, D] turned by the positions of their frames, of which the first is `first`."""
    half = x.shape[-1] // 2
    angles = np.outer(first + np.arange(x.shape[1]), BASE ** (-np.arange(half) / half))
    low, high = x[..., :half], x[..., half:]
    cos, sin = np.cos(angles), np.sin(angles)
    return np.concatenate([low * cos - high * sin, high * cos + low * sin], -1)


def in_8_bits(heads):
    """Heads [H, T, D] as they are when they were kept: frame by frame, in groups across heads."""
    rows = heads.astype(np.float16).astype(np.float32).transpose(1, 0, 2).reshape(heads.shape[1], -1)
    for start in range(0, rows.shape[1], GROUP):
        group = rows[:, start : start + GROUP]
        scale = np.abs(group).max(-1, keepdims=True) / 127
        group[:] = np.rint(group / scale) * scale
    rows = rows.astype(np.float16).astype(np.float32)
    return rows.reshape(len(rows), len(heads), -1).transpose(1, 0, 2)


class Layer:
    """One layer and what it keeps."""

    def __init__(self, w, number):
        place = f"encoder.blocks.{number}."
        self.w = {key.removeprefix(place): w[key] for key in w if key.startswith(place)}
        width = len(self.w["norm.bias"])
        self.keys = self.values = np.zeros((HEADS, 0, width // HEADS), np.float32)
        self.inputs = np.zeros((PAST, width), np.float32)

    def dense(self, name, x):
        return x @ self.w[f"{name}.weight"] + self.w[f"{name}.bias"]

    def feed_forward(self, name, x):
        return x + 0.5 * self.dense(f"{name}.down", silu(self.dense(f"{name}.up", norm(self.w, f"{name}.norm", x))))

    def attention(self, x, first, step, left):
        heads = self.dense("attention.qkv", norm(self.w, "attention.norm", x))
        heads = heads.reshape(len(x), 3, HEADS, -1).transpose(1, 2, 0, 3)
        queries, new = rotated(heads[0], first), rotated(heads[1], first)
        keys = np.concatenate([self.keys, new], 1)
        values = np.concatenate([self.values, heads[2]], 1)
        scores = queries @ keys.transpose(0, 2, 1) / np.sqrt(keys.shape[-1])
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = scores / scores.sum(-1, keepdims=True) @ values
        self.keys, self.values = (
            np.concatenate([kept, in_8_bits(new[:, :step])], 1)[:, -left:]
            for kept, new in ((self.keys, new), (self.values, heads[2]))
        )
        return x + self.dense("attention.out", mixed.transpose(1, 0, 2).reshape(len(x), -1))

    def convolution(self, x, step):
        value, gate = np.split(self.dense("convolution.gate", norm(self.w, "convolution.norm", x)), 2, -1)
        inputs = np.concatenate([self.inputs, value * sigmoid(gate)])
        self.inputs = inputs[step : step + PAST]
        inputs, kernel = np.pad(inputs, ((0, PAST), (0, 0))), self.w["convolution.depth.weight"][:, 0].T
        y = np.array([(inputs[t : t + 2 * PAST + 1] * kernel).sum(0) for t in range(len(x))])
        y = norm(self.w, "convolution.inner", y + self.w["convolution.depth.bias"])
        return x + self.dense("convolution.out", silu(y))

    def __call__(self, x, first, step, left):
        x = self.attention(self.feed_forward("first", x), first, step, left)
        return norm(self.w, "norm", self.feed_forward("second", self.convolution(x, step)))


def encode(w, mel, steps, left, right):
    """The encoder's frames [T, C] for log-mel [4 T, 64], computed in these steps."""
    layers, first, found = [Layer(w, number) for number in range(LAYERS)], 0, []
    count = len(mel) // STRIDE
    for step in steps:
        heard = mel[: STRIDE * min(first + step + right, count)]
        x = strided(w, "encoder.two", strided(w, "encoder.one", (heard - MEAN) / DEVIATION))[first:]
        for layer in layers:
            x = layer(x, first, step, left)
        found.append(x[:step])
        first += step
    return np.concatenate(found)


def log_mel():
    return np.fromfile(MEL, "<f4").reshape(-1, MELS)


def golden():
    """What the vectors hold."""
    return encode(weights(), log_mel(), STEPS, LEFT, RIGHT).astype("<f4")


if __name__ == "__main__":
    VECTORS.parent.mkdir(exist_ok=True)
    golden().tofile(VECTORS)
