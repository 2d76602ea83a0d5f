"""Measure gigastt beside what a user would pick instead, in one run: `make bench`, `make bench-quick`.

    python tests/bench/bench.py PROGRAM C_PROGRAM [--quick | --smoke] [--out FOLDER] [--only PART,PART]

Runs every implementation in a process of its own, in turns, on the same machine, threads, weights and audio, and
writes FOLDER/results/DATE.json and from it FOLDER/benchmarks.md with its plots (page.py). FOLDER is docs unless
said otherwise. --smoke takes the embedded model alone and a few seconds of audio: it shows that this works.
"""

import argparse
import datetime
import json
import subprocess
import sys
import tempfile
import wave
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import machine
import page
from process import ChildFailed, forget, measured

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SAMPLES = ROOT / "tests" / "samples"
EMBEDDED = ROOT / "gigastt-core" / "models" / "embedded"
FULL_SIZE = Path.home() / ".cache" / "gigastt" / "bench" / "full-size"
RATE = 16_000
PARTIAL_LIMIT_MS, FINAL_LIMIT_MS = 1_500, 2_000
SPEECH_SHARE = 0.6


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    lengths: dict[tuple[int, int], int]
    """Seconds of a recording and threads, and how often each implementation transcribes it."""
    alone: tuple[int, ...]
    """Longer recordings, for gigastt alone, once."""
    loads: int
    stream_seconds: int
    sessions: str
    """What numbers of streams; empty: look for the most."""
    naive_sessions: str
    bindings: tuple[int, int]
    """Seconds of a recording, and how often."""
    memory_sessions: int
    drain_sessions: int
    full_size: bool


FULL_LENGTHS = {(5, 1): 7, (20, 1): 7, (60, 1): 5, (600, 1): 3, (20, 2): 5, (60, 2): 5}
FULL = Size(FULL_LENGTHS, (3_600, 7_200), 5, 30, "", "", (60, 9), 100, 32, True)
QUICK = Size({(20, 1): 2, (60, 1): 2}, (), 1, 10, "2,8,16,24", "2,4,8", (60, 3), 20, 8, True)
SMOKE = Size({(5, 1): 1}, (), 1, 2, "1", "1", (5, 1), 2, 1, False)


@dataclass(frozen=True)
class Who:
    """An implementation, and how it is run: a function of (suffix, threads, recording, cuts)."""

    name: str
    suffix: str
    command: Callable[[str, int, Path, Path | None], list[str | Path]]


class Bench:
    """Where everything is, and what was found."""

    def __init__(self, size: Size, program: Path, c_program: Path, place: Path) -> None:
        self.size, self.program, self.c_program, self.place = size, program, c_program, place
        self.model = FULL_SIZE if size.full_size else EMBEDDED
        self.int8 = "int8" if size.full_size else "int8w"
        self.found: dict[str, Any] = {}

    # What is run.

    def python(self, script: str, *rest: str | Path) -> list[str | Path]:
        return [sys.executable, HERE / "children" / script, *rest]

    def rust(self, suffix: str, threads: int, recording: Path, cuts: Path | None = None) -> list[str | Path]:
        options = ["--model", self.model, "--quantization", suffix, "--threads", str(threads)]
        return [self.program, "bench", "file", "--json", *options, recording]

    def onnx_asr(self, suffix: str, threads: int, recording: Path, cuts: Path | None) -> list[str | Path]:
        pieces = [cuts] if cuts else []
        return self.python("onnx_asr_file.py", self.model, suffix, str(threads), recording, *pieces)

    def sherpa(self, suffix: str, threads: int, recording: Path, cuts: Path | None) -> list[str | Path]:
        folder = self.place / f"sherpa-{suffix}"
        if not folder.exists():
            subprocess.run([sys.executable, HERE / "make_sherpa.py", self.model, suffix, folder], check=True)
        return self.python("sherpa_file.py", folder, str(threads), recording, *([cuts] if cuts else []))

    def peers(self) -> list[Who]:
        if not self.size.full_size:
            peers = [("gigastt", self.rust), ("onnx-asr", self.onnx_asr), ("sherpa-onnx", self.sherpa)]
            return [Who(f"{name} int8", self.int8, run) for name, run in peers]
        return [
            Who("gigastt int8", "int8", self.rust),
            Who("gigastt fp32", "", self.rust),
            Who("onnx-asr int8", "int8-published", self.onnx_asr),
            Who("onnx-asr fp32", "", self.onnx_asr),
            Who("sherpa-onnx int8", "int8-published", self.sherpa),
            Who("sherpa-onnx fp32", "", self.sherpa),
        ]

    def bindings(self) -> list[Who]:
        def python(suffix: str, threads: int, recording: Path, cuts: Path | None) -> list[str | Path]:
            return self.python("gigastt_file.py", self.model, suffix, str(threads), recording)

        def c(suffix: str, threads: int, recording: Path, cuts: Path | None) -> list[str | Path]:
            return [self.c_program, self.model, suffix, str(threads), recording]

        def sidecar(suffix: str, threads: int, recording: Path, cuts: Path | None) -> list[str | Path]:
            return self.python("sidecar_file.py", self.program, self.model, suffix, str(threads), recording)

        runs = [("Rust", self.rust), ("C", c), ("Python", python), ("service, over loopback", sidecar)]
        return [Who(name, self.int8, run) for name, run in runs]

    # What is measured.

    def files(self) -> list[dict[str, Any]]:
        rows = []
        for (seconds, threads), repeats in self.size.lengths.items():
            cuts = self.cuts(self.recording(seconds)) if seconds > 22 else None
            rows += self.in_turns(self.peers(), seconds, threads, cuts, repeats)
        for seconds in self.size.alone:
            rows += self.in_turns(self.peers()[:1], seconds, 1, None, 1)
        return rows

    def binding_costs(self) -> list[dict[str, Any]]:
        seconds, repeats = self.size.bindings
        return self.in_turns(self.bindings(), seconds, 1, None, repeats)

    def in_turns(
        self, all_of: list[Who], seconds: int, threads: int, cuts: Path | None, repeats: int
    ) -> list[dict[str, Any]]:
        """Each implementation `repeats` times, the first one another one each time."""
        runs: dict[str, list[dict[str, Any]]] = {who.name: [] for who in all_of}
        recording = self.recording(seconds)
        for repeat in range(repeats):
            for who in [*all_of[repeat % len(all_of) :], *all_of[: repeat % len(all_of)]]:
                tell(f"{who.name}, {seconds} s, {threads} threads, {repeat + 1} of {repeats}")
                runs[who.name].append(measured(who.command(who.suffix, threads, recording, cuts), threads))
        return [{"who": name, "seconds": seconds, "threads": threads, "runs": found} for name, found in runs.items()]

    def loads(self) -> list[dict[str, Any]]:
        rows = []
        recording = self.recording(5)
        for cold in (True, False):
            runs: dict[str, list[float]] = {who.name: [] for who in self.peers()}
            for _ in range(self.size.loads):
                for who in self.peers():
                    tell(f"loading {who.name}, {'cold' if cold else 'warm'}")
                    if cold:
                        forget(self.model)
                    runs[who.name].append(measured(who.command(who.suffix, 1, recording, None), 1)["load_s"])
            rows += [{"who": name, "cold": cold, "load_s": found} for name, found in runs.items()]
        return rows

    def streams(self) -> list[dict[str, Any]]:
        limits = ["--partial-limit", str(PARTIAL_LIMIT_MS), "--final-limit", str(FINAL_LIMIT_MS)]
        options = ["--seconds", str(self.size.stream_seconds), "--speech-share", str(SPEECH_SHARE), *limits, "--threads", "2"]
        sessions = ["--sessions", self.size.sessions] if self.size.sessions else []
        command = [self.program, "bench", "streams", "--json", *options, *sessions, "--model"]
        crowds = [("gigastt int8", [*command, self.model, "--quantization", self.int8])]
        if self.size.full_size:
            crowds += [("gigastt, embedded model", [*command, "embedded"])]
        naive = [self.model, "int8-published" if self.size.full_size else self.int8, "2", str(self.size.stream_seconds)]
        naive += [str(SPEECH_SHARE), str(PARTIAL_LIMIT_MS), str(FINAL_LIMIT_MS), SAMPLES]
        naive += [self.size.naive_sessions] if self.size.naive_sessions else []
        crowds += [("onnx-asr int8, window encoded again", self.python("naive_streams.py", *naive))]
        rows = []
        for name, line in crowds:
            tell(f"streams: {name}")
            *found, summary = lines(line)
            rows.append({"who": name, "rows": found, "summary": summary})
        return rows

    def memory(self) -> dict[str, Any]:
        sessions = str(self.size.memory_sessions)
        command = self.python("memory.py", self.model, self.int8, "1", self.recording(20), sessions)
        return measured(command, 1)

    def drain(self) -> dict[str, Any]:
        sessions = str(self.size.drain_sessions)
        command = self.python("drain.py", self.program, self.model, self.int8, "2", self.recording(20), sessions)
        return measured(command, 2)

    def peak(self) -> dict[str, Any]:
        return measured(self.python("peak.py"), 1)

    # What is spoken.

    def recording(self, seconds: int) -> Path:
        """Sentences of the tests with pauses between them; the same ones each time."""
        path = self.place / f"{seconds}.wav"
        if not path.exists():
            rng, parts, left = np.random.default_rng(seconds), [], seconds * RATE
            sentences = [read_pcm(sample) for sample in sorted(SAMPLES.glob("*.wav"))]
            while left > 0:
                pause = rng.integers(-6, 7, int(rng.uniform(0.3, 0.9) * RATE)).astype("<i2")
                parts += [sentences[rng.integers(len(sentences))], pause]
                left -= len(parts[-1]) + len(parts[-2])
            with wave.open(str(path), "wb") as wav:
                wav.setparams((1, 2, RATE, 0, "NONE", ""))
                wav.writeframes(np.concatenate(parts)[: seconds * RATE].tobytes())
        return path

    def cuts(self, recording: Path) -> Path:
        """Where gigastt cuts the recording, for those that cannot take a long one."""
        path = recording.with_suffix(".json")
        if not path.exists():
            command = [self.program, "transcribe", "--format", "json", "--model", self.model, "--quantization", self.int8]
            (record,) = lines([*command, recording])
            spans = [[round(segment[edge] * RATE) for edge in ("start", "end")] for segment in record["segments"]]
            path.write_text(json.dumps(spans))
        return path


def read_pcm(path: Path) -> np.ndarray:
    with wave.open(str(path)) as wav:
        return np.frombuffer(wav.readframes(wav.getnframes()), "<i2")


def lines(command: list[str | Path]) -> list[dict[str, Any]]:
    words = list(map(str, command))
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ChildFailed(f"{words} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def tell(what: str) -> None:
    print(f"{datetime.datetime.now():%H:%M:%S}  {what}", file=sys.stderr, flush=True)


PARTS = ["files", "binding_costs", "loads", "streams", "memory", "drain", "peak"]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("program", type=Path, help="the program gigastt, optimised")
    arguments.add_argument("c_program", type=Path, help="what children/gigastt_file.c compiles to")
    arguments.add_argument("--quick", action="store_true", help="a few minutes, with wider spreads")
    arguments.add_argument("--smoke", action="store_true", help="only to see that it works")
    arguments.add_argument("--out", type=Path, default=ROOT / "docs")
    arguments.add_argument("--only", type=lambda text: text.split(","), default=PARTS, help=", ".join(PARTS))
    asked = arguments.parse_args()
    name, size = next((n, s) for n, s, on in [("smoke", SMOKE, asked.smoke), ("quick", QUICK, asked.quick), ("full", FULL, True)] if on)
    if size.full_size:
        tell("the full-size model")
        subprocess.run([sys.executable, HERE / "make_full_size.py", "--published-int8"], check=True)
    with tempfile.TemporaryDirectory() as place:
        bench = Bench(size, asked.program.resolve(), asked.c_program.resolve(), Path(place))
        started = datetime.datetime.now(datetime.UTC)
        found = {
            "started": started.isoformat(timespec="seconds"),
            "size": name,
            "revision": machine.revision(ROOT),
            "machine": machine.describe(),
            "model": machine.hashes(bench.model, ""),
        }
        for suffix in ("int8", "int8-published") if size.full_size else ("int8w",):
            found["model"] |= machine.hashes(bench.model, f".{suffix}")
        for part in asked.only:
            tell(part)
            found[part] = getattr(bench, part)()
        found["took_s"] = (datetime.datetime.now(datetime.UTC) - started).total_seconds()
    results = asked.out / "benchmarks"
    results.mkdir(parents=True, exist_ok=True)
    path = results / f"{started:%Y-%m-%dT%H%M}-{name}.json"
    path.write_text(json.dumps(found, indent=1).replace(f"{place}/", "") + "\n")
    print(page.write(found, asked.out))


if __name__ == "__main__":
    main()
