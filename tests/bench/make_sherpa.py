"""Make of a GigaAM bundle one that sherpa-onnx takes as a NeMo transducer: FOLDER SUFFIX OUT.

The weights stay as they are. The encoder gets the metadata that sherpa-onnx asks for; the decoder takes 32-bit
tokens and their number, and gives its output as the joint network wants it.
"""

import shutil
import sys
from pathlib import Path

import onnx
from onnx import TensorProto, helper

STATE = 320


def write(folder: Path, suffix: str, out: Path) -> None:
    mark = f".{suffix}" if suffix else ""
    source = {part: folder / f"v3_e2e_rnnt_{part}{mark}.onnx" for part in ("encoder", "decoder", "joint")}
    vocab = (folder / "v3_e2e_rnnt_vocab.txt").read_text()
    out.mkdir(parents=True, exist_ok=True)
    encoder = onnx.load(source["encoder"])
    for name, value in metadata(len(vocab.splitlines()) - 1).items():
        encoder.metadata_props.add(key=name, value=value)
    onnx.save(encoder, out / "encoder.onnx")
    onnx.save(decoder(onnx.load(source["decoder"])), out / "decoder.onnx")
    shutil.copyfile(source["joint"], out / "joiner.onnx")
    (out / "tokens.txt").write_text(vocab)


def metadata(vocab_size: int) -> dict[str, str]:
    values = {"vocab_size": vocab_size, "pred_rnn_layers": 1, "pred_hidden": STATE, "subsampling_factor": 4, "feat_dim": 64}
    names = {"model_type": "EncDecRNNTBPEModel", "normalize_type": "", "is_giga_am": "1"}
    return names | {name: str(value) for name, value in values.items()}


def decoder(model: onnx.ModelProto) -> onnx.ModelProto:
    """Inputs targets i32 [1, 1], target_length i32 [1], states; outputs f32 [1, 320, 1], length, states."""
    graph = model.graph
    token, *states = [value.name for value in graph.input]
    output, *new_states = [value.name for value in graph.output]
    for node in graph.node:
        rename(node.input, token, "token_64")
        rename(node.output, output, "output_by_frame")
        rename(node.input, output, "output_by_frame")
    graph.node.insert(0, helper.make_node("Cast", ["targets"], ["token_64"], to=TensorProto.INT64))
    graph.node.append(helper.make_node("Transpose", ["output_by_frame"], [output], perm=[0, 2, 1]))
    graph.node.append(helper.make_node("Identity", ["target_length"], ["output_length"]))
    del graph.input[:], graph.output[:]
    graph.input.extend([info("targets", [1, 1], TensorProto.INT32), info("target_length", [1], TensorProto.INT32)])
    graph.input.extend(info(name, [1, 1, STATE]) for name in states)
    graph.output.extend([info(output, [1, STATE, 1]), info("output_length", [1], TensorProto.INT32)])
    graph.output.extend(info(name, [1, 1, STATE]) for name in new_states)
    return model


def rename(names: list[str], old: str, new: str) -> None:
    for index, name in enumerate(names):
        if name == old:
            names[index] = new


def info(name: str, shape: list[int], kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


if __name__ == "__main__":
    write(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
