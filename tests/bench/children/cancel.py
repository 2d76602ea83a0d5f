"""How long a cancelled call holds the worker: FOLDER SUFFIX RECORDING ROUNDS. Prints a JSON object, in milliseconds.

A stream's second pass over a window of 20 s has the one worker, and another stream's final waits behind it. Then the
first stream is cancelled: `call` is how long that took, `wait` how much later the other's final came than on an idle
machine.
"""

import json
import random
import sys
import time
from pathlib import Path

import gigastt

from sound import read

SHORT_S = 1


def main() -> None:
    folder, suffix, recording, rounds = sys.argv[1:]
    samples = (read(Path(recording)) * 32_768).astype("int16")
    engine, dice = gigastt.Engine(folder, quantization=suffix, threads=1), random.Random(1)
    alone = []
    for _ in range(5):
        short, start = heard(engine, samples[: SHORT_S * 16_000]), time.perf_counter()
        short.force_endpoint()
        alone.append(final_after(short, start))
    calls, waits = [], []
    for _ in range(int(rounds)):
        long, short = heard(engine, samples), heard(engine, samples[: SHORT_S * 16_000])
        long.force_endpoint()
        time.sleep(dice.uniform(0.02, 0.2))
        short.force_endpoint()
        start = time.perf_counter()
        long.cancel()
        calls.append(1e3 * (time.perf_counter() - start))
        waits.append(1e3 * (final_after(short, start) - min(alone)))
    print(json.dumps({"rounds": int(rounds), "call": sorted(calls), "wait": sorted(waits)}))


def heard(engine: gigastt.Engine, samples) -> gigastt.Recognizer:
    """A stream that has heard the samples and says nothing by itself."""
    stream = engine.recognizer(16_000, endpoint="manual", partials=False)
    while len(samples):
        samples = samples[stream.push_pcm(samples) :]
    return stream


def final_after(stream: gigastt.Recognizer, start: float) -> float:
    """Seconds from `start` to the stream's final."""
    while not isinstance(stream.next_event(10), gigastt.Segment):
        pass
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
