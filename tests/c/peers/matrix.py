"""Two libraries of speech recognition that are called wrongly: this one, and sherpa-onnx.

    matrix.py PREFIX SITE_PACKAGES      PREFIX: what `make install` installed; SITE_PACKAGES: where sherpa-onnx-core is

Every exported function is called with nothing but NULL and 0, and a model is opened and used with each of its files
broken in turn; each in a process of its own, and it is counted how these processes end. The model is the embedded one,
for sherpa-onnx in the form that it expects, so that both recognise a recording with it as long as it is whole. Prints
the table of `docs/embedding.md`; with `--all` also each case.
"""

import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import TensorProto, helper

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(HERE.parent))

from broken import BREAKS, GRAPHS, VOCAB, WRONG, copy_model  # noqa: E402
from support import SAMPLES, run  # noqa: E402

LIMIT_S = 120
WAV = SAMPLES / "sample_08.wav"
WHOLE = "as it should be"


@dataclass(frozen=True)
class Library:
    name: str
    header: Path
    include: Path
    folder: Path
    link: str
    function: str
    """A regular expression for a prototype: type, name and arguments."""
    adapt: Callable
    """Brings the graphs in a folder into the form that the library expects."""

    def build(self, source, out):
        link = [f"-L{self.folder}", f"-l{self.link}", f"-Wl,-rpath,{self.folder}"]
        run("cc", "-std=c99", "-w", f"-I{self.include}", "-o", out, source, *link)
        return out

    def functions(self):
        """Name and types of the arguments of each exported function."""
        text = re.sub(r"/\*.*?\*/|//[^\n]*", "", self.header.read_text(), flags=re.S)
        table = run("nm", "--dynamic", "--defined-only", "--format=posix", self.folder / f"lib{self.link}.so")
        exported = {line.split()[0] for line in table.splitlines()}
        found = [f for f in re.findall(self.function, text, flags=re.M | re.S) if f[0] in exported]
        assert exported == {name for name, _ in found}
        split = [(name, [arg.strip() for arg in args.split(",") if arg.strip() not in ("", "void")]) for name, args in found]
        return [(name, [re.sub(r"\w+(\[\])?$", lambda m: "*" if m[1] else "", arg) for arg in args]) for name, args in split]


def libraries(prefix, packages):
    sherpa = Path(packages).resolve() / "sherpa_onnx"
    api = sherpa / "include/sherpa-onnx/c-api/c-api.h"
    return [
        Library(
            "gigastt", prefix / "include/gigastt.h", prefix / "include", prefix / "lib", "gigastt",
            r"^(?!typedef)[a-z][\w *]*?(gigastt_\w+)\(([^)]*)\);",
            lambda folder: None,
        ),
        Library(
            "sherpa-onnx", api, sherpa / "include", sherpa / "lib", "sherpa-onnx-c-api",
            r"^SHERPA_ONNX_API\s(?:\s*SHERPA_ONNX_DEPRECATED\([^)]*\))?[^;(]*?(Sherpa\w+)\s*\(([^)]*)\);",
            for_sherpa_onnx,
        ),
    ]  # fmt: skip


def ending(*command):
    """How a process ends: what it printed last, or the signal or code that ended it."""
    command = [str(part) for part in command]
    try:
        done = subprocess.run(command, capture_output=True, timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        return "hangs"
    if done.returncode < 0:
        return signal.Signals(-done.returncode).name
    return done.stdout.decode().split()[-1] if done.returncode == 0 else f"exit({done.returncode})"


def nulls(library, folder):
    """The ending of a process for each function, called with NULL and 0."""
    functions = library.functions()
    cases = "\n".join(
        f"    case {number}: (void){name}({', '.join(f'({kind}){{0}}' for kind in kinds)}); break;"
        for number, (name, kinds) in enumerate(functions)
    )
    include = library.header.relative_to(library.include)
    source = folder / f"{library.name}_nulls.c"
    source.write_text(
        f"#include <{include}>\n#include <stdio.h>\n#include <stdlib.h>\nint main(int argc, char **argv) {{\n"
        f'    switch (argc > 1 ? atoi(argv[1]) : -1) {{\n{cases}\n    default: return 2;\n    }}\n    puts("returns");\n}}\n'
    )
    program = library.build(source, folder / f"{library.name}_nulls")
    return {name: ending(program, number) for number, (name, _) in enumerate(functions)}


def for_sherpa_onnx(folder):
    """Metadata, and the types and shapes of NeMo's own exports."""
    encoder, decoder = (onnx.load(folder / file) for file in GRAPHS[:2])
    replace_output(encoder, "encoded_len", "Cast", TensorProto.INT64, None, to=TensorProto.INT64)
    graph = decoder.graph
    hidden = graph.input[1].type.tensor_type.shape.dim[2].dim_value
    words = len((folder / VOCAB).read_text().splitlines()) - 1
    about = {"vocab_size": str(words), "subsampling_factor": "4", "normalize_type": "", "is_giga_am": "1", "feat_dim": "64"}
    helper.set_model_props(encoder, {**about, "pred_rnn_layers": "1", "pred_hidden": str(hidden)})
    replace_output(decoder, "dec", "Transpose", TensorProto.FLOAT, [1, hidden, 1], perm=[0, 2, 1])
    for node in graph.node:
        node.input[:] = ["token" if name == "x" else name for name in node.input]
    graph.input[0].type.tensor_type.elem_type = TensorProto.INT32
    graph.node.insert(0, helper.make_node("Cast", ["x"], ["token"], to=TensorProto.INT64))
    graph.input.insert(1, helper.make_tensor_value_info("length", TensorProto.INT32, [1]))
    graph.node.append(helper.make_node("Identity", ["length"], ["length_again"]))
    graph.output.insert(1, helper.make_tensor_value_info("length_again", TensorProto.INT32, [1]))
    for model, file in zip((encoder, decoder), GRAPHS, strict=False):
        onnx.save(model, folder / file)


def replace_output(model, name, operator, kind, shape, **attributes):
    """What was the output `name` goes through one more operator."""
    graph = model.graph
    for node in graph.node:
        node.output[:] = [f"{name}_before" if output == name else output for output in node.output]
        node.input[:] = [f"{name}_before" if given == name else given for given in node.input]
    graph.node.append(helper.make_node(operator, [f"{name}_before"], [name], **attributes))
    for output in graph.output:
        if output.name == name:
            output.CopyFrom(helper.make_tensor_value_info(name, kind, shape))


def models(folder, adapt):
    """The names of the broken models, and makes each in turn in `folder`. The first one is right."""
    copy_model(folder)
    adapt(folder)
    yield WHOLE
    for file in [*GRAPHS, VOCAB]:
        path = folder / file
        whole = path.read_bytes()
        for how, broken in BREAKS.items():
            # The last byte of a vocabulary is the end of its last line.
            if (file, how) == (VOCAB, "without its end"):
                continue
            path.unlink()
            if broken:
                path.write_bytes(broken(whole))
            yield f"{file} {how}"
            path.write_bytes(whole)
        for wrong in WRONG if file in GRAPHS else []:
            shutil.copy(wrong, path)
            yield f"{file} is {wrong.stem}"
            path.write_bytes(whole)
    contents = [(folder / file).read_bytes() for file in GRAPHS]
    for file, content in zip(GRAPHS, contents[1:] + contents[:1], strict=True):
        (folder / file).write_bytes(content)
    yield "graphs in each other's place"


def opened(library, folder):
    """The ending of a process that opens and uses each model."""
    program = library.build(HERE / f"{library.name.replace('-', '_')}.c", folder / f"{library.name}_open")
    model = folder / f"{library.name}_model"
    model.mkdir()
    return {name: ending(program, model, WAV) for name in models(model, library.adapt)}


def cell(endings, good):
    count = Counter(endings)
    fine = sum(number for ending, number in count.items() if ending in good)
    worse = [f"{ending} {number}" for ending, number in sorted(count.items()) if ending not in good]
    return f"{fine} of {len(endings)} return" + (f"; {', '.join(worse)}" if worse else "")


def main(prefix, packages, *options):
    both = libraries(Path(prefix).resolve(), packages)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        called = [nulls(library, folder) for library in both]
        tried = [opened(library, folder) for library in both]
    if options:
        for endings in [*called, *tried]:
            for case, end in endings.items():
                print(f"{end:10} {case}")
    whole = [endings.pop(WHOLE) for endings in tried]
    print(f"| | {' | '.join(library.name for library in both)} |")
    print("|---|---|---|")
    print(f"| every function, all arguments NULL or 0 | {' | '.join(cell(c.values(), ['returns']) for c in called)} |")
    print(f"| a good model, opened and used | {' | '.join(whole)} |")
    print(f"| a broken model, opened and used | {' | '.join(cell(t.values(), ['refused', 'words']) for t in tried)} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
