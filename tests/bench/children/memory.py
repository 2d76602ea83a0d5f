"""What a model and its streams take: FOLDER SUFFIX THREADS RECORDING SESSIONS. Prints a JSON object, in MB of 10^6 bytes.

Private memory is what no other process shares. Of it, mapped files are what the system can drop and read again, and
what a second process on the same model does not take again.
"""

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import gigastt

from sound import read

SPOKEN_S = 10


def private_mb() -> float:
    return smaps_mb("Private_Clean:", "Private_Dirty:")


def smaps_mb(*names: str) -> float:
    rows = (line.split() for line in Path("/proc/self/smaps_rollup").read_text().splitlines())
    return sum(int(row[1]) for row in rows if row[0] in names) * 1024 / 1e6


def settled(streams: list[gigastt.Recognizer]) -> float:
    """Private memory when no stream has had work for a second."""
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < 1:
        time.sleep(0.05)
        for stream in streams:
            stream.poll_partial()
        if any(stream.stats().windows for stream in streams):
            quiet_since = time.monotonic()
    return private_mb()


def hear(streams: list[gigastt.Recognizer], samples) -> None:
    for stream in streams:
        stream.push_pcm(samples)


def main() -> None:
    folder, suffix, threads, recording, sessions = sys.argv[1:]
    samples = (read(Path(recording)) * 32_768).astype("int16")
    speech, silence = samples[: SPOKEN_S * 16_000], samples[:16_000] * 0
    bare, bare_written = private_mb(), smaps_mb("Private_Dirty:")
    engine = gigastt.Engine(folder, quantization=suffix, threads=int(threads))
    loaded, written = private_mb(), smaps_mb("Private_Dirty:")
    engine.transcribe(recording)
    warm = private_mb()
    # No pause ends their utterance.
    rule = replace(gigastt.EndpointRule.profile("dictation"), silence_ms=None)
    streams = [engine.recognizer(16_000, endpoint=rule) for _ in range(int(sessions))]
    hear(streams, silence)
    idle = settled(streams)
    hear(streams, speech)
    active = settled(streams)
    held = sum(stream.stats().bytes for stream in streams) / 1e6
    figures = {"model": loaded - bare, "model_written": written - bare_written, "after_file": warm - bare}
    figures |= {"idle": idle - warm, "active": active - idle, "held": held}
    print(json.dumps({"sessions": int(sessions), "optimized": engine.info.optimized} | figures))


if __name__ == "__main__":
    main()
