"""Writes a trained model as files of GigaAM v3 `e2e_rnnt`: `export.py CHECKPOINT FOLDER`.

The files have the names, tensors, element types, dimensions and the operator set of the published ones, and as
variant `int8w` weights in 8 bits with a scale for each channel, by standard operators alone; the arithmetic is in
floats. FOLDER/float has the same graphs with their weights in floats, and in `check.npz` what PyTorch computes for a
given input.
"""

import argparse
import json
from pathlib import Path

import numpy
import onnx
import torch
from onnx import helper, numpy_helper

import batches
from network import STATE, Size, Transducer

OPSET = 17
STEM = "v3_e2e_rnnt"
CONFIG = {
    "model_type": "gigaam-v3-e2e-rnnt", "version": "v3", "features_size": 64, "subsampling_factor": 4,
    "max_tokens_per_step": 3,
}  # fmt: skip
# Which input of an operator is its weight, and along which axis of it the channels lie.
WEIGHTS = {"MatMul": {1: -1}, "Conv": {1: 0}, "Gather": {0: 0}, "LSTM": {1: 1, 2: 1}}


class Encoder(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.encoder = model.encoder

    def forward(self, audio_signal, length):
        encoded, frames = self.encoder(audio_signal, length)
        return encoded.transpose(1, 2), frames.to(torch.int32)


class Decoder(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.embedding, self.lstm = model.embedding, model.predictor

    def forward(self, x, h, c):
        dec, (h, c) = self.lstm(self.embedding(x), (h, c))
        return dec, h, c


class Joint(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.enc, self.dec, self.out = model.from_encoder, model.from_predictor, model.joint

    def forward(self, enc, dec):
        enc, dec = self.enc(enc.transpose(1, 2)), self.dec(dec.transpose(1, 2))
        return self.out(torch.tanh(enc.unsqueeze(2) + dec.unsqueeze(1))).log_softmax(-1)


def graphs(model):
    """Each graph's module, an input for it, and the names and free dimensions of its tensors."""
    random = torch.Generator().manual_seed(1)
    features = torch.rand(2, 64, 333, generator=random) * 20 - 18
    state = torch.rand(1, 1, STATE, generator=random) - 0.5
    frame = torch.randn(1, model.from_encoder.in_features, 1, generator=random)
    free = {"audio_signal": ["B", None, "T"], "length": ["B"], "encoded": ["B", None, "T'"], "encoded_len": ["B"]}
    free = {name: {at: dim for at, dim in enumerate(dims) if dim} for name, dims in free.items()}
    return {
        "encoder": (Encoder(model), (features, torch.tensor([333, 250])), ["audio_signal", "length"], ["encoded", "encoded_len"], free),
        "decoder": (Decoder(model), (torch.tensor([[7]]), state, state * 2), ["x", "h.1", "c.1"], ["dec", "h", "c"], {}),
        "joint": (Joint(model), (frame, state.reshape(1, STATE, 1)), ["enc", "dec"], ["joint"], {}),
    }  # fmt: skip


def in_int8(graph):
    """Stores the weights of a graph in 8 bits."""
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    axes = {}
    for node in graph.node:
        for at, axis in WEIGHTS.get(node.op_type, {}).items():
            if at < len(node.input) and node.input[at] in tensors:
                axes[node.input[at]] = axis
    nodes = []
    for name, axis in axes.items():
        weight = numpy_helper.to_array(tensors[name])
        axis %= weight.ndim
        others = tuple(n for n in range(weight.ndim) if n != axis)
        scale = numpy.maximum(numpy.abs(weight).max(others, keepdims=True), 1e-12) / 127
        stored = {"q": numpy.round(weight / scale).astype(numpy.int8), "s": scale.ravel().astype(numpy.float32)}
        stored["z"] = numpy.zeros(weight.shape[axis], numpy.int8)
        graph.initializer.remove(tensors[name])
        graph.initializer.extend(numpy_helper.from_array(a, f"{name}_{end}") for end, a in stored.items())
        nodes.append(helper.make_node("DequantizeLinear", [f"{name}_{end}" for end in "qsz"], [name], axis=axis))
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend(nodes + rest)


def load(checkpoint):
    state = torch.load(checkpoint, map_location="cpu")
    model = Transducer(Size(**state["size"]), len(batches.VOCABULARY))
    model.load_state_dict(state["model"])
    return model.eval()


def export(model, folder):
    floats = folder / "float"
    floats.mkdir(parents=True, exist_ok=True)
    check = {}
    for name, (module, inputs, names, outputs, free) in graphs(model).items():
        path = floats / f"{STEM}_{name}.onnx"
        torch.onnx.export(
            module, inputs, str(path), input_names=names, output_names=outputs, dynamic_axes=free, opset_version=OPSET
        )  # fmt: skip
        with torch.no_grad():
            found = module(*inputs)
        found = found if isinstance(found, tuple) else (found,)
        check |= {f"{name}.{k}": v.numpy() for k, v in zip([*names, *outputs], [*inputs, *found])}
        graph = onnx.load(str(path))
        in_int8(graph.graph)
        onnx.checker.check_model(graph)
        onnx.save(graph, str(folder / f"{STEM}_{name}.int8w.onnx"))
    numpy.savez(floats / "check.npz", **check)
    pieces = "".join(f"{piece} {n}\n" for n, piece in enumerate(batches.VOCABULARY))
    (folder / f"{STEM}_vocab.txt").write_text(pieces, encoding="utf-8")
    (folder / "config.json").write_text(json.dumps(CONFIG))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    export(load(arguments.checkpoint), arguments.folder)
