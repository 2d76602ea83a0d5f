"""The embedded model's training, in small: the texts, the loss, a short run, its export in ONNX Runtime and in the
engine. Training runs in the Python that has PyTorch, which TRAINING_PYTHON names; `make train-embedded SMOKE=1`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from conftest import EMBEDDED, ROOT, SAMPLES

CODE = ROOT / "gigastt-core" / "models" / "training"
PYTHON = os.environ.get("TRAINING_PYTHON", "/usr/bin/python3")
GRAPHS = ("encoder", "decoder", "joint")
STEPS = 240
# How far what a graph with weights in 8 bits gives may lie from what it gives in floats, relatively.
INT8_DEVIATION = 0.05
# Dimensions that differ from model to model: the encoder's width, and the number of pieces.
FREE = {("encoded", 1), ("enc", 1), ("joint", 3)}

sys.path.insert(0, str(CODE))
import text  # noqa: E402


def python(script, *arguments):
    one = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    command = [PYTHON, script, *map(str, arguments)]
    done = subprocess.run(command, env=os.environ | one, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A short run, stopped once and continued, what it hears then being made by other processes: its folder."""
    folder = tmp_path_factory.mktemp("run")
    small = ("--width", 64, "--layers", 2, "--batch-s", 16, "--festival", 24, "--log-every", 30, "--steps", STEPS)
    python(CODE / "train.py", *small, "--folder", folder, "--stop-after", STEPS // 2)
    python(CODE / "train.py", *small, "--folder", folder, "--workers", 2)
    return folder


@pytest.fixture(scope="module")
def model(run):
    """The files of the model that the run gave."""
    python(CODE / "export.py", run / "checkpoint.pt", run / "model")
    return run / "model"


def test_no_sentence_is_trained_and_held_out():
    for kind in text.KINDS:
        train, test = (text.Writer(7, part) for part in ("train", "test"))
        trained, held = ({writer.sentence(kind) for _ in range(400)} for writer in (train, test))
        assert not trained & held
        assert len(held) > 150, kind
    share = np.mean([text.held_out(f"Предложение {n}.") for n in range(10_000)])
    assert abs(100 * share - text.HELD_OUT_PERCENT) < 1


def test_a_seed_always_writes_the_same():
    first, second = (text.Writer("a seed") for _ in range(2))
    assert [first.sentence("open") for _ in range(50)] == [second.sentence("open") for _ in range(50)]


def test_the_loss_is_that_of_a_plain_recursion():
    assert python(Path(__file__).with_name("check_loss.py"), CODE) == "equal\n"


def test_the_loss_falls(run, capsys):
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == list(range(30, STEPS + 1, 30))
    with capsys.disabled():
        print("\nloss of frames and of the transducer:", [(line["frame"], line.get("transducer")) for line in log])
    assert log[-1]["frame"] < 0.8 * log[0]["frame"]
    # The transducer's begins when the alignment is under way.
    transducer = [line["transducer"] for line in log if "transducer" in line]
    assert transducer[-1] < 0.6 * transducer[0], transducer


def test_festival_says_when_it_says_each_word(run):
    with np.load(run / "festival.npz") as kept:
        said, ends = json.loads(str(kept["said"])), kept["ends"]
    assert len(said) >= 20
    for (sentence, borders), length in zip(said, np.diff([0, *ends]), strict=True):
        assert not text.held_out(sentence)
        assert len(borders) == len(sentence.split())
        edges = [edge for word in borders for edge in word]
        assert edges == sorted(edges) and 0 < edges[0] and edges[-1] <= length, sentence


@pytest.mark.parametrize("graph", GRAPHS)
def test_the_export_computes_what_pytorch_does(model, graph):
    check = np.load(model / "float" / "check.npz")
    limits = {f"float/v3_e2e_rnnt_{graph}.onnx": 1e-4, f"v3_e2e_rnnt_{graph}.int8w.onnx": INT8_DEVIATION}
    for name, limit in limits.items():
        session = onnxruntime.InferenceSession(model / name)
        inputs = {port.name: check[f"{graph}.{port.name}"] for port in session.get_inputs()}
        for port, found in zip(session.get_outputs(), session.run(None, inputs), strict=True):
            expected = check[f"{graph}.{port.name}"]
            assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
            deviation = np.linalg.norm(found - expected) / np.linalg.norm(expected)
            assert deviation < limit, (port.name, name)


def ports(model, graph):
    """Names, element types and fixed dimensions of what goes in and out, and the operator set."""
    loaded = onnx.load(model / f"v3_e2e_rnnt_{graph}.int8w.onnx")
    for port in (*loaded.graph.input, *loaded.graph.output):
        dims = port.type.tensor_type.shape.dim
        fixed = [None if (port.name, at) in FREE else dim.dim_value or None for at, dim in enumerate(dims)]
        yield port.name, port.type.tensor_type.elem_type, fixed
    yield from ((used.domain, used.version) for used in loaded.opset_import)


@pytest.mark.parametrize("graph", GRAPHS)
def test_the_export_has_the_tensors_of_the_embedded_model(model, graph):
    assert list(ports(model, graph)) == list(ports(EMBEDDED, graph))


def test_the_engine_takes_the_export(model, program):
    command = [program, "transcribe", "--model", model, "--format", "json", *SAMPLES]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == len(SAMPLES)
