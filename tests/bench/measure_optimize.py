"""Measure what `gigastt optimize` costs and gives, on the full-size model and one core.

    make build
    python tests/bench/make_full_size.py --published-int8
    python tests/bench/measure_optimize.py [--gigastt target/release/gigastt] [--form int8 fp32] [--json]

Makes the fast forms of a copy of the plain files (in links, beside which the forms are put), and transcribes a
recording of 70 s with them, with the plain files, and by onnx-asr with the int8 files as published, in turn
and in one process after the other, all on the first core that may be used. Prints for each form how long it
took to make and how much memory, how long it takes to load, and the real-time factors. onnx-asr is measured on
the whole recording and on pieces of 20 s, and the faster of the two counts.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "tests" / "samples" / "long_00.wav"
FULL_SIZE = Path.home() / ".cache" / "gigastt" / "bench" / "full-size"
FILES = ["encoder.onnx", "decoder.onnx", "joint.onnx", "vocab.txt"]
STEM = "v3_e2e_rnnt_"
PIECE_S = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigastt", type=Path, default=ROOT / "target" / "release" / "gigastt")
    parser.add_argument("--model", type=Path, default=FULL_SIZE)
    parser.add_argument("--form", nargs="+", choices=["int8", "fp32"], default=["int8", "fp32"])
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="for programs: an object")
    options = parser.parse_args()
    one_core()
    with tempfile.TemporaryDirectory(dir=options.model.parent) as scratch:
        folder = Path(scratch) / "model"
        folder.mkdir()
        for name in FILES:
            (folder / (STEM + name)).symlink_to(options.model / (STEM + name))
        recording = Path(scratch) / "recording.wav"
        seconds = write_recording(recording)
        found = {"recording_s": seconds, "made": {}, "runs": {}}
        transcribers = {"onnx-asr, int8 as published": lambda: onnx_asr_s(options.model, recording)}
        if "fp32" in options.form:
            transcribers["plain"] = lambda: bench(options.gigastt, folder, recording)
        measure(found, transcribers, options.runs)
        for form in options.form:
            found["made"][form] = optimize(options.gigastt, folder, form)
            run = {form: lambda: bench(options.gigastt, folder, recording)}
            # The other one again beside it: a machine has slow and fast minutes.
            other = "onnx-asr, int8 as published"
            measure(found, run | {other: transcribers[other]}, options.runs)
    print(json.dumps(found) if options.json else told(found))


def one_core() -> None:
    """Keeps this process and its children on one core, as far as the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def write_recording(path: Path) -> float:
    with wave.open(str(SAMPLE)) as sample, wave.open(str(path), "wb") as written:
        written.setparams(sample.getparams())
        frames = sample.readframes(sample.getnframes())
        pause = bytes(sample.getframerate() // 2 * sample.getsampwidth())
        written.writeframes(frames + pause + frames)
        return (2 * sample.getnframes() + sample.getframerate() // 2) / sample.getframerate()


def measure(found: dict, transcribers: dict, runs: int) -> None:
    for _ in range(runs):
        for name, run in transcribers.items():
            found["runs"].setdefault(name, []).append(run())


def optimize(program: Path, folder: Path, form: str) -> dict:
    started = time.monotonic()
    command = [program, "optimize", folder, "--json", *(["--fp32"] if form == "fp32" else [])]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    told = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"gigastt optimize ended with {process.returncode}: {told.decode()}")
    unit = 1 if sys.platform == "darwin" else 1024
    return {"s": time.monotonic() - started, "memory_bytes": usage.ru_maxrss * unit} | json.loads(told)


def bench(program: Path, folder: Path, recording: Path) -> dict:
    command = [program, "bench", "file", "--json", "--threads", "1", "--quantization", "", "--model", folder, recording]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def onnx_asr_s(folder: Path, recording: Path) -> dict:
    """In a process of its own, as the others are."""
    command = [sys.executable, __file__, "--onnx-asr", folder, recording]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def onnx_asr_child(folder: str, recording: str) -> None:
    import numpy as np
    import onnx_asr
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    model = onnx_asr.load_model(
        "gigaam-v3-e2e-rnnt",
        folder,
        quantization="int8-published",
        sess_options=options,
        providers=["CPUExecutionProvider"],
    )
    with wave.open(recording) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32_768
        rate = file.getframerate()
    model.recognize(samples[:rate], sample_rate=rate)
    took = {}
    for name, size in ("whole", len(samples)), ("pieces", PIECE_S * rate):
        started = time.monotonic()
        for start in range(0, len(samples), size):
            model.recognize(samples[start : start + size], sample_rate=rate)
        took[name] = time.monotonic() - started
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(json.dumps({"wall_s": min(took.values()), "peak_memory_mb": memory} | took))


def told(found: dict) -> str:
    lines = [f"one core, a recording of {found['recording_s']:.0f} s"]
    for form, made in found["made"].items():
        memory = made["memory_bytes"] / 1e9
        lines.append(
            f"{form}: made in {made['s']:.1f} s with {memory:.2f} GB; {made['bytes'] / 1e6:.0f} MB, "
            f"{made['products']} products, deviation {made['deviation']:.1e}"
        )
    other = statistics.median(run["wall_s"] for run in found["runs"]["onnx-asr, int8 as published"])
    for name, runs in found["runs"].items():
        median = lambda key: statistics.median(run[key] for run in runs)  # noqa: E731
        wall = median("wall_s")
        line = f"{name}: {wall:.2f} s, {found['recording_s'] / wall:.1f} times real time, {other / wall:.2f}x"
        line += f", {median('peak_memory_mb'):.0f} MB"
        if "encoder_s" in runs[0]:
            share = median("decoder_s") / median("encoder_s")
            line += f"; loaded in {median('load_s'):.2f} s, decoder {share:.1%} of the encoder"
        lines.append(line)
    return "\n".join(lines)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--onnx-asr"]:
        onnx_asr_child(*sys.argv[2:])
    else:
        main()
