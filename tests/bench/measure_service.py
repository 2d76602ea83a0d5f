"""How late live text comes over the WebSocket of `gigastt serve`, with so many people speaking at once.

    make build
    target/venv/bin/python tests/bench/measure_service.py --sessions 1 64

Starts the service with the embedded model, and for each number of sessions speaks into all of them in real time:
sentences of `tests/samples` with pauses between them, pieces of 40 ms. Client and service share the machine.

partial: milliseconds from each tenth of a second of speech being due to be sent, to the first object whose text
covers it: a `final` whose span holds it, or a `partial` whose last word ends at most 200 ms before it, since a word
ends for the model before its sound has died away.
final: milliseconds from the end of a `final`'s span to the `final`, its endpoint's silence included.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from random import Random

import numpy as np
import websockets

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "python"))

from conftest import RATE, SAMPLES, read_wav  # noqa: E402
from service import PATIENCE, running  # noqa: E402

PIECE = RATE // 25
MARK = RATE // 10
LOUD = 300  # Of 32,768; the samples are clean.
NEAR_S = 0.2
WARM_UP_S = 8
SENTENCES = [read_wav(path) for path in SAMPLES if path.stem.startswith("sample")]


def marks(audio):
    """The samples at which there is speech, a tenth of a second apart."""
    return [at for at in range(0, len(audio), MARK) if np.abs(audio[at : at + MARK // 2]).max(initial=0) > LOUD]


def talk(seconds, share, random):
    """Speech, with pauses so that it has its share; what is silent within sentences counts as pause."""
    parts = [np.zeros(random.randrange(3 * RATE), np.int16)]
    while sum(map(len, parts)) < seconds * RATE:
        sentence = random.choice(SENTENCES)
        pause = max(len(marks(sentence)) * MARK / share - len(sentence), 0)
        parts += [sentence, np.zeros(int(pause * random.uniform(0.5, 1.5)), np.int16)]
    return np.concatenate(parts)[: seconds * RATE]


class Speaker:
    """One conversation."""

    def __init__(self, number, seconds, share):
        self.audio = talk(seconds, share, Random(number))
        self.first = PIECE / RATE * Random(-number).random()
        self.marks = [mark for mark in marks(self.audio) if WARM_UP_S * RATE <= mark < (seconds - 2) * RATE]
        self.shown, self.partials, self.finals = 0, [], []

    def due(self, sample):
        """When the piece that ends with or after this sample is to be sent."""
        return self.begun + self.first + (sample // PIECE + 1) * PIECE / RATE

    async def speak(self, port, begin):
        address = f"ws://127.0.0.1:{port}/v1/ws"
        async with websockets.connect(address, proxy=None, compression=None, open_timeout=PATIENCE) as socket:
            await socket.recv()
            await socket.send(json.dumps({"type": "configure", "sample_rate": RATE}))
            await begin.wait()
            self.begun = time.monotonic()
            listening = asyncio.create_task(self.listen(socket))
            for at in range(0, len(self.audio), PIECE):
                await asyncio.sleep(self.due(at) - time.monotonic())
                await socket.send(self.audio[at : at + PIECE].tobytes())
            await socket.send('{"type":"stop"}')
            await listening

    async def listen(self, socket):
        async for text in socket:
            now, told = time.monotonic(), json.loads(text)
            if told["type"] == "final":
                self.cover(now, told["span"]["end"])
                if told["endpoint_reason"] == "silence":
                    self.finals.append(1000 * (now - self.due(told["span"]["end"])))
            elif told["type"] == "partial" and told["words"]:
                self.cover(now, (told["words"][-1]["end"] + NEAR_S) * RATE)

    def cover(self, now, sample):
        while self.shown < len(self.marks) and self.marks[self.shown] < sample:
            self.partials.append(1000 * (now - self.due(self.marks[self.shown])))
            self.shown += 1


def cpu_s(pid):
    """Processor time of a process, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


async def crowd(service, sessions, seconds, share):
    begin = asyncio.Event()
    speakers = [Speaker(number, seconds, share) for number in range(1, sessions + 1)]
    tasks = [asyncio.create_task(speaker.speak(service.port, begin)) for speaker in speakers]
    await asyncio.sleep(2)
    before, own = cpu_s(service.process.pid), time.process_time()
    begin.set()
    await asyncio.gather(*tasks)
    cores = [(cpu_s(service.process.pid) - before) / seconds, (time.process_time() - own) / seconds]
    partials = np.concatenate([speaker.partials for speaker in speakers])
    finals = np.concatenate([speaker.finals for speaker in speakers])
    missed = sum(len(speaker.marks) - speaker.shown for speaker in speakers)
    spoken = sum(len(speaker.marks) for speaker in speakers) * 0.1 / (sessions * (seconds - 2 - WARM_UP_S))
    return partials, finals, missed, spoken, cores


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", default=ROOT / "target" / "release" / "gigastt", type=Path)
    parser.add_argument("--sessions", nargs="+", type=int, default=[1, 64])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--share", type=float, default=0.6)
    args = parser.parse_args()
    print("| sessions | speech | partial, p50 | p90 | p95 | p99 | final, p50 | p95 | missed | cores, service | client |")
    print("|" + "---|" * 11)
    with tempfile.TemporaryDirectory() as folder, running(args.program, Path(folder)) as service:
        for sessions in args.sessions:
            result = asyncio.run(crowd(service, sessions, args.seconds, args.share))
            partials, finals, missed, spoken, cores = result
            row = [sessions, f"{spoken:.2f}", *(f"{np.percentile(partials, p):.0f}" for p in [50, 90, 95, 99])]
            row += [*(f"{np.percentile(finals, p):.0f}" for p in [50, 95]), missed, *(f"{core:.2f}" for core in cores)]
            print("| " + " | ".join(map(str, row)) + " |", flush=True)


if __name__ == "__main__":
    main()
