"""Live text as one gets it from onnx-asr: each stream's audio since its utterance began is encoded again and again.

    naive_streams.py FOLDER SUFFIX THREADS SECONDS SHARE PARTIAL_LIMIT FINAL_LIMIT SAMPLES [N,N...]

Streams speak in real time; THREADS workers share one model. A stream asks for text when CADENCE_S of new audio
are there and its last request was answered, and for a final when PAUSE_S of silence were heard. Where the
client is given something, it is in its favour: it knows without any work where speech begins and ends, and any
answer counts as text for all the audio that it was made from. Prints a JSON object a row, times in milliseconds;
the last line has the most streams that kept the limits.
"""

import json
import queue
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx_asr
import onnxruntime as ort

from sound import read

RATE = 16_000
CADENCE_S = 0.8
PAUSE_S = 0.8
RETAINED_S = 22
BEFORE_S = 0.2
MARK_S = 0.1
TICK_S = 0.02
WARM_UP_S = 5
GRACE_S = 10
TURN_MAX = 4
TURN_GAP_S = 0.25


@dataclass
class Turn:
    """Some sentences; in samples of the stream."""

    start: int
    end: int


@dataclass
class Stream:
    audio: np.ndarray
    turns: list[Turn]
    turn: int = 0
    heard_from: int = 0
    covered: int = 0
    busy: bool = False
    marks: list[int] = field(default_factory=list)


def talk(sentences: list[np.ndarray], share: float, seconds: float, seed: int) -> Stream:
    """Turns of up to TURN_MAX sentences and pauses that leave speech its share."""
    rng = np.random.default_rng(seed)
    parts, turns, at, spoken, start = [], [], 0, 0, 0

    def silence(count: float) -> None:
        nonlocal at
        parts.append(rng.integers(-6, 7, int(count)).astype(np.float32) / 32_768)
        at += int(count)

    silence(rng.uniform(0, 3) * RATE)
    while at < seconds * RATE:
        start, spoken = at, 0
        for number in range(rng.integers(1, TURN_MAX + 1)):
            if number:
                silence(TURN_GAP_S * RATE)
            sentence = sentences[rng.integers(len(sentences))]
            parts.append(sentence)
            at += len(sentence)
            spoken += len(sentence)
        turns.append(Turn(start, at))
        silence(max(spoken * (1 / share - 1), (PAUSE_S + 0.2) * RATE))
    return Stream(np.concatenate(parts), turns, heard_from=max(turns[0].start - int(BEFORE_S * RATE), 0))


class Room:
    """The streams, the workers, and what was seen of them."""

    def __init__(self, model, streams: list[Stream], threads: int, seconds: float) -> None:
        self.model, self.streams, self.seconds = model, streams, seconds
        self.partials: list[float] = []
        self.finals: list[float] = []
        self.settled = 0
        self.lock = threading.Lock()
        self.jobs: queue.SimpleQueue = queue.SimpleQueue()
        self.workers = [threading.Thread(target=self.work, daemon=True) for _ in range(threads)]

    def listen(self) -> None:
        self.started = time.perf_counter()
        for worker in self.workers:
            worker.start()
        end = WARM_UP_S + self.seconds
        tick = 0
        while (now := self.now()) < end + GRACE_S:
            if now < end:
                for stream in self.streams:
                    self.feed(stream, int(now * RATE))
            elif not any(stream.busy for stream in self.streams):
                break
            tick += 1
            time.sleep(max(0.0, tick * TICK_S - self.now()))
        for _ in self.workers:
            self.jobs.put(None)

    def now(self) -> float:
        return time.perf_counter() - self.started

    def feed(self, stream: Stream, at: int) -> None:
        with self.lock:
            if stream.busy or stream.turn >= len(stream.turns):
                return
            turn = stream.turns[stream.turn]
            decides = turn.end + int(PAUSE_S * RATE)
            if at >= decides:
                stream.busy = True
                self.jobs.put((stream, stream.heard_from, decides, decides))
            elif at > turn.start and at - max(stream.covered, turn.start) >= CADENCE_S * RATE and at < turn.end + RATE // 2:
                stream.busy = True
                self.jobs.put((stream, max(stream.heard_from, at - RETAINED_S * RATE), at, None))

    def work(self) -> None:
        while (job := self.jobs.get()) is not None:
            stream, first, last, decides = job
            self.model.recognize(stream.audio[first:last])
            with self.lock:
                self.answered(stream, last, decides)

    def answered(self, stream: Stream, last: int, decides: int | None) -> None:
        now, turn = self.now(), stream.turns[stream.turn]
        step = int(MARK_S * RATE)
        first = max(stream.covered, turn.start)
        for mark in range(first - first % step + step, min(last, turn.end) + 1, step):
            if WARM_UP_S <= mark / RATE < WARM_UP_S + self.seconds:
                self.partials.append(1e3 * (now - mark / RATE))
        stream.covered, stream.busy = last, False
        if decides is not None:
            if WARM_UP_S <= decides / RATE < WARM_UP_S + self.seconds:
                self.finals.append(1e3 * (now - decides / RATE))
                self.settled += decides - stream.heard_from
            stream.turn += 1
            if stream.turn < len(stream.turns):
                stream.heard_from = stream.turns[stream.turn].start - int(BEFORE_S * RATE)


def at(values: list[float], share: float) -> float | None:
    values = sorted(values)
    return values[int(np.ceil((len(values) - 1) * share))] if values else None


def row(model, sentences, sessions: int, threads: int, seconds: float, share: float, limits) -> dict[str, object]:
    length = WARM_UP_S + seconds + GRACE_S
    streams = [talk(sentences, share, length, seed) for seed in range(sessions)]
    room = Room(model, streams, threads, seconds)
    cpu = time.process_time()
    room.listen()
    cpu_s = time.process_time() - cpu
    # What was never answered is late, too: it would not be seen otherwise.
    for stream in streams:
        for turn in stream.turns:
            for mark in range(turn.start, turn.end, int(MARK_S * RATE)):
                if max(stream.covered, WARM_UP_S * RATE) < mark < (WARM_UP_S + seconds) * RATE:
                    room.partials.append(1e3 * (room.now() - mark / RATE))
    found = {
        "sessions": sessions,
        "partial_avg": float(np.mean(room.partials)) if room.partials else None,
        **{f"partial_p{int(100 * share)}": at(room.partials, share) for share in (0.5, 0.9, 0.95, 0.99)},
        **{f"final_p{int(100 * share)}": at(room.finals, share) for share in (0.5, 0.95)},
        "cpu": cpu_s / (WARM_UP_S + seconds),
    }
    late = [(found["partial_p95"], limits[0]), (found["final_p95"], limits[1])]
    found["keeps_up"] = all(value is not None and value <= limit for value, limit in late)
    return found


def main() -> None:
    folder, suffix, threads, seconds, share, partial_limit, final_limit, samples, *asked = sys.argv[1:]
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    model = onnx_asr.load_model(
        "gigaam-v3-e2e-rnnt",
        folder,
        quantization=suffix or None,
        sess_options=options,
        providers=["CPUExecutionProvider"],
    )
    sentences = [read(path) for path in sorted(Path(samples).glob("sample_*.wav"))]
    model.recognize(sentences[0])
    limits = (float(partial_limit), float(final_limit))

    def measure(sessions: int) -> bool:
        found = row(model, sentences, sessions, int(threads), float(seconds), float(share), limits)
        print(json.dumps(found), flush=True)
        return bool(found["keeps_up"])

    good, bad = 0, 4_000
    for sessions in map(int, asked[0].split(",")) if asked else ():
        if measure(sessions):
            good = max(good, sessions)
    while not asked and good + max(good // 16, 1) < bad:
        doubled = max(2 * good, min(int(threads), bad // 2), 1)
        sessions = doubled if doubled < bad else (good + bad) // 2
        if measure(sessions):
            good = sessions
        else:
            bad = sessions
    print(json.dumps({"effective_sessions": good, "effective_sessions_per_thread": good / int(threads)}))


if __name__ == "__main__":
    main()
