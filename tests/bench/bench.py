"""Measure gigastt beside what a user would pick instead, in one run: `make bench`, `make bench-quick`.

    python tests/bench/bench.py PROGRAM C_PROGRAM [--quick | --smoke] [--out FOLDER] [--only PART,PART]

Runs every implementation in a process of its own, in turns, on the same machine, threads, weights and audio, and
writes FOLDER/benchmarks/DATE.json, each row when it is there, and at the end FOLDER/benchmarks.md with its plots
(page.py). FOLDER is docs unless said otherwise. What fails has a row that says so, and the rest goes on; the exit
code is 1 if it was ours. --smoke takes the embedded model alone and a few seconds of audio: it shows that this works.
"""

import argparse
import datetime
import json
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import machine
import page
from process import PATIENCE_S, ChildFailed, forget, measured

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SAMPLES = ROOT / "tests" / "samples"
EMBEDDED = ROOT / "gigastt-core" / "models" / "embedded"
FULL_SIZE = Path.home() / ".cache" / "gigastt" / "bench" / "full-size"
RATE = 16_000
PARTIAL_LIMIT_MS, FINAL_LIMIT_MS = 1_500, 2_000
SPEECH_SHARE = 0.6
TURN_MAX = 4
"""Sentences that follow each other before the other side of a call speaks."""
LONGEST_WINDOW_S = 22
"""Longer recordings are cut."""
WINDOWS = "64/1/8/64/12/4/16"
"""The plan of live text without kept context."""


@dataclass(frozen=True)
class Case:
    """A recording that every implementation transcribes."""

    seconds: int
    threads: int
    audio: str = "read"
    """`read`: sentence after sentence; `call`: one side of a conversation, which speaks 60 % of the time."""
    whole: bool = False
    """Whether the peers get it also as a whole."""


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    cases: tuple[Case, ...]
    rounds: int
    """How often each case is measured: all of them once, then all again, so that each meets the same changes of the
    machine."""
    alone: tuple[int, ...]
    """Longer recordings, for gigastt alone, once."""
    loads: int
    stream_seconds: int
    sessions: dict[str, str]
    """What numbers of streams, by implementation."""
    bindings: tuple[int, int]
    """Seconds of a recording, and how often."""
    memory_sessions: int
    cancels: int
    drain_sessions: int
    full_size: bool


OURS, EMBEDDED_STREAMS, NAIVE = "gigastt int8", "gigastt, embedded model", "onnx-asr int8, window encoded again"
FULL = Size(
    (
        Case(5, 1),
        Case(20, 1),
        Case(60, 1, whole=True),
        Case(180, 1, "call", whole=True),
        Case(600, 1, whole=True),
        Case(20, 2),
        Case(60, 2),
    ),
    3,
    (3_600, 7_200),
    5,
    25,
    {OURS: "8,16,24,32,40,48,56", EMBEDDED_STREAMS: "32,128,256", NAIVE: "2,4,6,8,10,12"},
    (60, 9),
    100,
    40,
    32,
    True,
)
QUICK = Size(
    (Case(20, 1), Case(60, 1, whole=True), Case(60, 1, "call", whole=True)),
    1,
    (),
    1,
    10,
    {OURS: "8,24,40", EMBEDDED_STREAMS: "32", NAIVE: "4,8"},
    (60, 3),
    10,
    10,
    8,
    True,
)
SMOKE = Size((Case(5, 1), Case(24, 1, "call", whole=True)), 1, (), 1, 2, {OURS: "1", NAIVE: "1"}, (5, 1), 2, 2, 1, False)


@dataclass(frozen=True)
class Files:
    """A model's folder and the suffix of its files; the fast form that has to run on them."""

    folder: Path
    suffix: str
    form: str | None = None


@dataclass(frozen=True)
class Who:
    """An implementation, and how it is run: a function of (threads, recording, cuts)."""

    name: str
    command: Callable[[int, Path, Path | None], list[str | Path]]
    files: Files


class Turns:
    """Implementations that transcribe one recording in turns, and what they took: a row for each."""

    def __init__(self, case: Case, everybody: list[Who], recording: Path, cuts: Path | None = None) -> None:
        self.case, self.everybody, self.recording, self.cuts = case, everybody, recording, cuts
        case_of_all = {"seconds": case.seconds, "threads": case.threads, "audio": case.audio}
        self.rows: list[dict[str, Any]] = [{"who": who.name} | case_of_all | {"runs": []} for who in everybody]

    def take(self, number: int) -> None:
        """Everybody once, beginning with another one each time. Who fails is not asked again."""
        first = number % len(self.everybody)
        turns = list(zip(self.everybody, self.rows, strict=True))
        for who, row in [*turns[first:], *turns[:first]]:
            if "failed" in row:
                continue
            tell(f"{who.name}, {self.case.seconds} s, {self.case.threads} threads, {number + 1}")
            try:
                command = who.command(self.case.threads, self.recording, self.cuts)
                row["runs"].append(checked(measured(command, self.case.threads), who.files))
            except ChildFailed as failed:
                tell(str(failed))
                row["failed"] = failed.reason


class Bench:
    """Where everything is, and what was found."""

    def __init__(self, size: Size, program: Path, c_program: Path, place: Path) -> None:
        self.size, self.program, self.c_program, self.place = size, program, c_program, place
        model = FULL_SIZE if size.full_size else EMBEDDED
        if size.full_size:
            self.int8, self.fp32 = self.made_fast("int8"), self.made_fast("fp32")
            self.plain, self.published = Files(model, ""), Files(model, "int8-published")
        else:
            self.int8 = self.published = Files(model, "int8w")

    def made_fast(self, form: str) -> Files:
        """The plain files' fast form, as `gigastt download` leaves it, in a folder of links beside them."""
        folder = FULL_SIZE.with_name(f"{FULL_SIZE.name}-{form}")
        folder.mkdir(exist_ok=True)
        for name in ("encoder.onnx", "decoder.onnx", "joint.onnx", "vocab.txt"):
            link = folder / f"v3_e2e_rnnt_{name}"
            link.unlink(missing_ok=True)
            link.symlink_to(FULL_SIZE / link.name)
        tell(f"the fast form, {form}")
        (made,) = lines([self.program, "optimize", folder, "--json", *(["--fp32"] if form == "fp32" else [])])
        if made.get("form") != form:
            raise ChildFailed(f"{folder} was not made fast as {form}: {made}")
        return Files(folder, "", form)

    # What is run.

    def python(self, script: str, *rest: str | Path) -> list[str | Path]:
        return [sys.executable, HERE / "children" / script, *rest]

    def ours(self, name: str, files: Files) -> Who:
        def command(threads: int, recording: Path, cuts: Path | None = None) -> list[str | Path]:
            options = ["--model", files.folder, "--quantization", files.suffix, "--threads", str(threads)]
            return [self.program, "bench", "file", "--json", *options, recording]

        return Who(name, command, files)

    def onnx_asr(self, name: str, files: Files) -> Who:
        def command(threads: int, recording: Path, cuts: Path | None) -> list[str | Path]:
            pieces = [cuts] if cuts else []
            return self.python("onnx_asr_file.py", files.folder, files.suffix, str(threads), recording, *pieces)

        return Who(name, command, files)

    def sherpa(self, name: str, files: Files) -> Who:
        folder = self.place / f"sherpa-{files.suffix}"

        def command(threads: int, recording: Path, cuts: Path | None) -> list[str | Path]:
            if not folder.exists():
                output([sys.executable, HERE / "make_sherpa.py", files.folder, files.suffix, folder])
            return self.python("sherpa_file.py", folder, str(threads), recording, *([cuts] if cuts else []))

        return Who(name, command, Files(folder, ""))

    def gigastts(self) -> list[Who]:
        fp32 = [self.ours("gigastt fp32", self.fp32)] if self.size.full_size else []
        return [self.ours(OURS, self.int8), *fp32]

    def peers(self) -> list[Who]:
        fp32 = [self.onnx_asr("onnx-asr fp32", self.plain), self.sherpa("sherpa-onnx fp32", self.plain)] if self.size.full_size else []
        return [self.onnx_asr("onnx-asr int8", self.published), self.sherpa("sherpa-onnx int8", self.published), *fp32]

    def bindings(self) -> list[Who]:
        folder, suffix = self.int8.folder, self.int8.suffix

        def python(threads: int, recording: Path, cuts: Path | None) -> list[str | Path]:
            return self.python("gigastt_file.py", folder, suffix, str(threads), recording)

        def c(threads: int, recording: Path, cuts: Path | None) -> list[str | Path]:
            return [self.c_program, folder, suffix, str(threads), recording]

        def sidecar(threads: int, recording: Path, cuts: Path | None) -> list[str | Path]:
            return self.python("sidecar_file.py", self.program, folder, suffix, str(threads), recording)

        runs = [("C", c), ("Python", python), ("service, over loopback", sidecar)]
        return [self.ours("Rust", self.int8), *(Who(name, run, self.int8) for name, run in runs)]

    # What is measured. Each part gives its rows one after the other.

    def files(self) -> Iterator[dict[str, Any]]:
        cases = [self.turns(case) for case in self.size.cases]
        for number in range(self.size.rounds):
            for turns in cases:
                turns.take(number)
                if number == 0:
                    yield from turns.rows
        for seconds in self.size.alone:
            turns = Turns(Case(seconds, 1), self.gigastts()[:1], self.recording(seconds))
            turns.take(0)
            yield from turns.rows

    def turns(self, case: Case) -> Turns:
        """Who transcribes the recording of a case."""
        recording, everybody = self.recording(case.seconds, case.audio), [*self.gigastts(), *self.peers()]
        if case.seconds <= LONGEST_WINDOW_S:
            return Turns(case, everybody, recording)
        if case.whole:
            everybody += [Who(f"{who.name}, whole", without_cuts(who), who.files) for who in self.peers()]
        if self.size.full_size and (case.seconds, case.threads, case.audio) == (60, 1, "read"):
            everybody.append(self.ours("gigastt, published int8 as it is", self.published))
        return Turns(case, everybody, recording, self.cuts(recording))

    def binding_costs(self) -> Iterator[dict[str, Any]]:
        seconds, repeats = self.size.bindings
        turns = Turns(Case(seconds, 1), self.bindings(), self.recording(seconds))
        for number in range(repeats):
            turns.take(number)
        yield from turns.rows

    def loads(self) -> Iterator[dict[str, Any]]:
        recording, everybody = self.recording(5), [*self.gigastts(), *self.peers()]
        if self.size.full_size:
            everybody.append(self.ours("gigastt, published int8 as it is", self.published))
        for cold in (True, False):
            runs: dict[str, list[float]] = {who.name: [] for who in everybody}
            failed: dict[str, str] = {}
            for _ in range(self.size.loads):
                for who in (who for who in everybody if who.name not in failed):
                    tell(f"loading {who.name}, {'cold' if cold else 'warm'}")
                    try:
                        command = who.command(1, recording, None)
                        if cold:
                            forget(who.files.folder)
                        runs[who.name].append(checked(measured(command, 1), who.files)["load_s"])
                    except ChildFailed as error:
                        failed[who.name] = error.reason
            for name, found in runs.items():
                yield {"who": name, "cold": cold, "load_s": found} | ({"failed": failed[name]} if name in failed else {})

    def streams(self) -> Iterator[dict[str, Any]]:
        limits = ["--partial-limit", str(PARTIAL_LIMIT_MS), "--final-limit", str(FINAL_LIMIT_MS)]
        options = ["--seconds", str(self.size.stream_seconds), "--speech-share", str(SPEECH_SHARE), *limits, "--threads", "2"]
        naive = [self.published.folder, self.published.suffix, "2", str(self.size.stream_seconds), str(SPEECH_SHARE)]
        naive += [str(PARTIAL_LIMIT_MS), str(FINAL_LIMIT_MS), SAMPLES]
        crowds = {
            OURS: [*self.crowd(self.int8), *options, "--sessions"],
            EMBEDDED_STREAMS: [self.program, "bench", "streams", "--json", "--model", "embedded", *options, "--sessions"],
            NAIVE: self.python("naive_streams.py", *naive),
        }
        for name, sessions in self.size.sessions.items():
            tell(f"streams: {name}, {sessions}")
            try:
                *found, summary = lines([*crowds[name], sessions])
                if name == OURS:
                    checked(summary, self.int8)
                yield {"who": name, "rows": found, "summary": summary}
            except ChildFailed as failed:
                tell(str(failed))
                yield {"who": name, "rows": [], "failed": failed.reason}

    def crowd(self, files: Files) -> list[str | Path]:
        return [self.program, "bench", "streams", "--json", "--model", files.folder, "--quantization", files.suffix]

    def encoders(self) -> Iterator[dict[str, Any]]:
        """The encoders of the peers alone, one window of 20 s a call."""
        for name, files in [("onnx-asr int8", self.published), ("onnx-asr fp32", self.plain)] if self.size.full_size else []:
            yield {"who": name} | measured(self.python("encoder.py", files.folder, files.suffix, "20"), 1)

    def memory(self) -> dict[str, Any]:
        sessions = str(self.size.memory_sessions)
        found = measured(self.python("memory.py", self.int8.folder, self.int8.suffix, "1", self.recording(20), sessions), 1)
        # The same number of streams, more than the machine serves, with each kind of context.
        for context, plan in [("kept", []), ("windows", ["--plan", WINDOWS])]:
            asked = ["--seconds", str(min(self.size.stream_seconds, 5)), "--sessions", sessions, "--idle", sessions, "--threads", "2", *plan]
            row, _ = lines([*self.crowd(self.int8), *asked])
            found[f"{context}_kb"] = row["kb_per_session"]
        return checked(found, self.int8)

    def cancel(self) -> dict[str, Any]:
        cancels = str(self.size.cancels)
        return measured(self.python("cancel.py", self.int8.folder, self.int8.suffix, self.recording(20), cancels), 1)

    def drain(self) -> dict[str, Any]:
        folder, suffix, sessions = self.int8.folder, self.int8.suffix, str(self.size.drain_sessions)
        return measured(self.python("drain.py", self.program, folder, suffix, "2", self.recording(20), sessions), 2)

    def peak(self) -> dict[str, Any]:
        return measured(self.python("peak.py"), 1)

    # What is spoken.

    def recording(self, seconds: int, audio: str = "read") -> Path:
        """Sentences of the tests with pauses between them; the same ones each time."""
        path = self.place / f"{audio}-{seconds}.wav"
        if not path.exists():
            rng, left = np.random.default_rng(seconds), seconds * RATE
            names = "*.wav" if audio == "read" else "sample_*.wav"
            sentences = [read_pcm(sample) for sample in sorted(SAMPLES.glob(names))]
            spoken, in_turn = 0, 0
            with wave.open(str(path), "wb") as wav:
                wav.setparams((1, 2, RATE, 0, "NONE", ""))
                while left > 0:
                    sentence, pause_s = sentences[rng.integers(len(sentences))], rng.uniform(0.3, 0.9)
                    if audio == "call":
                        spoken, in_turn = spoken + len(sentence), in_turn or int(rng.integers(1, TURN_MAX + 1))
                        in_turn -= 1
                        if not in_turn:
                            pause_s, spoken = spoken / RATE * (1 / SPEECH_SHARE - 1), 0
                    # Part by part: what this process holds would count as the peak of those that it starts.
                    for part in (sentence, rng.integers(-6, 7, int(pause_s * RATE)).astype("<i2")):
                        wav.writeframes(part[:left].tobytes())
                        left -= len(part[:left])
        return path

    def cuts(self, recording: Path) -> Path:
        """Where gigastt cuts the recording, for those that cannot take a long one."""
        path = recording.with_suffix(".json")
        if not path.exists():
            options = ["--format", "json", "--model", self.int8.folder, "--quantization", self.int8.suffix]
            (record,) = lines([self.program, "transcribe", *options, recording])
            spans = [[round(segment[edge] * RATE) for edge in ("start", "end")] for segment in record["segments"]]
            path.write_text(json.dumps(spans))
        return path


def without_cuts(who: Who) -> Callable[[int, Path, Path | None], list[str | Path]]:
    return lambda threads, recording, _: who.command(threads, recording, None)


def checked(run: dict[str, Any], files: Files) -> dict[str, Any]:
    """The run, if the fast form ran that was to: an engine falls back to what it finds."""
    if files.form is not None and run.get("optimized") != files.form:
        raise ChildFailed(f"{files.folder}: the fast form {files.form} did not run, but {run.get('optimized')}")
    return run


def read_pcm(path: Path) -> np.ndarray:
    with wave.open(str(path)) as wav:
        return np.frombuffer(wav.readframes(wav.getnframes()), "<i2")


def lines(command: list[str | Path]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output(command).splitlines()]


def output(command: list[str | Path]) -> str:
    words = list(map(str, command))
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    except subprocess.TimeoutExpired as late:
        raise ChildFailed(f"took more than {PATIENCE_S} s: {words}") from late
    if done.returncode != 0:
        raise ChildFailed(f"ended with {done.returncode}: {words}\n{done.stderr[-2000:]}")
    return done.stdout


def tell(what: str) -> None:
    print(f"{datetime.datetime.now():%H:%M:%S}  {what}", file=sys.stderr, flush=True)


PARTS = ["peak", "encoders", "files", "binding_costs", "loads", "streams", "memory", "cancel", "drain"]


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
    started = datetime.datetime.now(datetime.UTC)
    described = {
        "started": started.isoformat(timespec="seconds"),
        "size": name,
        "revision": machine.revision(ROOT),
        "machine": machine.describe(),
    }
    if size.full_size:
        tell("the full-size model")
        subprocess.run([sys.executable, HERE / "make_full_size.py", "--published-int8"], check=True)
    with tempfile.TemporaryDirectory() as place:
        bench = Bench(size, asked.program.resolve(), asked.c_program.resolve(), Path(place))
        model = machine.hashes(bench.published.folder, f".{bench.published.suffix}")
        if size.full_size:
            model |= machine.hashes(bench.plain.folder, "")
        path = asked.out / "benchmarks" / f"{started:%Y-%m-%dT%H%M}-{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        found = run(bench, asked.only, described | {"model": model}, lambda found: save(found, path, place))
    print(page.write(found, asked.out))
    ours = [what for what in failures(found) if not what.startswith(("onnx-asr", "sherpa-onnx"))]
    sys.exit("failed: " + "; ".join(ours) if ours else 0)


def run(bench: Bench, parts: list[str], found: dict[str, Any], keep: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Measures part by part and keeps what was found after each row. A part that fails says so."""
    started = time.monotonic()
    for part in parts:
        tell(part)
        try:
            rows = getattr(bench, part)()
            if isinstance(rows, dict):
                found[part] = rows
            else:
                found[part] = []
                for row in rows:
                    found[part].append(row)
                    found["took_s"] = time.monotonic() - started
                    keep(found)
        except (ChildFailed, OSError, ValueError, KeyError, subprocess.SubprocessError) as failed:
            tell(f"{part}: {failed}")
            found.setdefault("failed", {})[part] = reason(failed)
        found["took_s"] = time.monotonic() - started
        keep(found)
    return found


def reason(failed: Exception) -> str:
    return failed.reason if isinstance(failed, ChildFailed) else f"{type(failed).__name__}: {failed}"


def failures(found: dict[str, Any]) -> list[str]:
    """Who failed, and which parts."""
    rows = [row for part in PARTS if isinstance(found.get(part), list) for row in found[part]]
    return [f"{row['who']}: {row['failed']}" for row in rows if "failed" in row] + [
        f"{part}: {why}" for part, why in found.get("failed", {}).items()
    ]


def save(found: dict[str, Any], path: Path, place: str) -> None:
    """Without the folders of this machine."""
    text = json.dumps(found, indent=1).replace(f"{place}/", "").replace(str(Path.home()), "~")
    path.write_text(text + "\n")


if __name__ == "__main__":
    main()
