"""What the Python package costs: `make bench-py`. Measures an optimised build; prints a table.

With `--cli PATH` the program `gigastt` transcribes the same recording, for comparison.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np

import gigastt

SAMPLES = Path(__file__).resolve().parents[2] / "tests" / "samples"
LONG = SAMPLES / "long_00.wav"
CHUNK = 320
REPEATS = 8
ROUNDS = 9
STREAMS = 16


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--cli", type=Path, help="the program to compare with")
    cli = arguments.parse_args().cli
    engine = gigastt.Engine(threads=1)
    row("import gigastt, without Python's own start, processor time", f"{import_ms():.0f} ms")
    row("push_pcm of 20 ms int16, median and 99 %", "{:.1f} us, {:.1f} us".format(*push_us(engine)))
    with tempfile.TemporaryDirectory() as folder:
        recording = longer(Path(folder))
        runs = in_turns(first(recording), first_of_program(cli, recording) if cli else None)
    row("transcribe a file, one thread, median", f"{statistics.median(ours for ours, _ in runs):.3f} s")
    if cli:
        row("the same by the program", f"{statistics.median(theirs for _, theirs in runs):.3f} s")
        ratios = [ours / theirs for ours, theirs in runs]
        row("difference of two runs after each other, median", f"{100 * (statistics.median(ratios) - 1):+.1f} %")
    late, missed = asyncio.run(real_time(gigastt.Engine()))
    row(f"{STREAMS} streams in one loop: chunks late by more than 1 s", f"{missed}")
    row("the same: last final after the last sample, median and longest", "{:.2f} s, {:.2f} s".format(*late))


def row(name: str, value: str) -> None:
    print(f"{name:<64} {value}", flush=True)


def import_ms() -> float:
    code = "import time; start = time.process_time(); import gigastt; print(time.process_time() - start)"
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, check=True) for _ in range(ROUNDS)]
    return 1e3 * statistics.median(float(run.stdout) for run in runs)


def pcm(path: Path) -> np.ndarray:
    with wave.open(str(path)) as recording:
        return np.frombuffer(recording.readframes(recording.getnframes()), "<i2")


def push_us(engine: gigastt.Engine) -> tuple[float, float]:
    """Costs of a push, with partials off so that the worker leaves the core to the caller."""
    samples = pcm(LONG)
    costs = []
    with engine.recognizer(16_000, endpoint="manual", partials=False) as rec:
        for at in range(0, min(len(samples), 20 * 16_000) - CHUNK, CHUNK):
            chunk = samples[at : at + CHUNK]
            start = time.perf_counter_ns()
            rec.push_pcm(chunk)
            costs.append(time.perf_counter_ns() - start)
    costs.sort()
    return costs[len(costs) // 2] / 1e3, costs[len(costs) * 99 // 100] / 1e3


def longer(folder: Path) -> Path:
    """The sample several times over, so that a second of work is compared and not the noise of a start."""
    path = folder / "long.wav"
    with wave.open(str(path), "wb") as recording:
        recording.setparams((1, 2, 16_000, 0, "NONE", ""))
        recording.writeframes(pcm(LONG).tobytes() * REPEATS)
    return path


Once = Callable[[], float]
"""One process; returns the seconds of its first transcription, without start and loading."""


def first(recording: Path) -> Once:
    code = (
        "import gigastt, time; engine = gigastt.Engine(threads=1); start = time.perf_counter(); "
        f"engine.transcribe({str(recording)!r}); print(time.perf_counter() - start)"
    )
    return lambda: float(output(sys.executable, "-c", code))


def first_of_program(cli: Path, recording: Path) -> Once:
    command = (cli, "bench", "file", "--json", "--model", "embedded", "--threads", "1", recording)
    return lambda: json.loads(output(*command))["wall_s"]


def output(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


def in_turns(ours: Once, theirs: Once | None) -> list[tuple[float, float]]:
    """Several processes of each, in turns, so that the two of a pair meet the same machine."""
    return [(ours(), theirs() if theirs else 0.0) for _ in range(ROUNDS)]


async def real_time(engine: gigastt.Engine) -> tuple[tuple[float, float], int]:
    """Streams that speak at the same time, in one event loop."""
    samples = np.concatenate([pcm(path) for path in sorted(SAMPLES.glob("sample_*.wav"))])
    missed = 0

    async def stream() -> float:
        nonlocal missed
        async with engine.recognizer(16_000, endpoint="assistant") as rec:
            loop = asyncio.get_running_loop()
            start = loop.time()
            reading = asyncio.create_task(read(rec))
            for number, at in enumerate(range(0, len(samples), CHUNK)):
                await rec.push_pcm(samples[at : at + CHUNK])
                left = start + (number + 1) * CHUNK / 16_000 - loop.time()
                missed += left < -1
                await asyncio.sleep(max(0.0, left))
            spoken = loop.time()
            rec.close()
            await reading
            return loop.time() - spoken

    async def read(rec: gigastt.AsyncRecognizer) -> None:
        async for _ in rec.events():
            pass

    late = await asyncio.gather(*(stream() for _ in range(STREAMS)))
    return (statistics.median(late), max(late)), missed


if __name__ == "__main__":
    main()
