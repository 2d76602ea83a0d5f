"""Many speakers in one event loop, one engine: `python examples/python/stream_asyncio.py FILE...`

Each recording (wav, 16-bit mono) is played in real time, as if somebody spoke.
"""

import asyncio
import sys
import wave
from pathlib import Path

import gigastt

CHUNK_S = 0.02


def read(path: Path) -> tuple[int, bytes]:
    """The rate and the samples of a recording."""
    try:
        with wave.open(str(path)) as recording:
            if (recording.getsampwidth(), recording.getnchannels()) == (2, 1):
                return recording.getframerate(), recording.readframes(recording.getnframes())
    except (wave.Error, EOFError):
        pass
    sys.exit(f"{path}: expected a wav file, 16-bit mono")


async def listen(engine: gigastt.Engine, name: str, rate: int, samples: bytes) -> None:
    # When one of the two fails, the group ends the other.
    async with engine.recognizer(sample_rate=rate) as rec, asyncio.TaskGroup() as tasks:
        tasks.create_task(speak(rec, samples, 2 * int(rate * CHUNK_S)))
        async for event in rec.events():
            if isinstance(event, gigastt.Segment):
                print(f"{name}: {event.text}")
            elif isinstance(event, gigastt.End) and event.error:
                raise event.error


async def speak(rec: gigastt.AsyncRecognizer, samples: bytes, step: int) -> None:
    loop = asyncio.get_running_loop()
    start = loop.time()
    for number, at in enumerate(range(0, len(samples), step)):
        await rec.push_pcm(samples[at : at + step])
        await asyncio.sleep(start + number * CHUNK_S - loop.time())
    rec.close()


async def main() -> None:
    recordings = [(path.name, *read(path)) for path in map(Path, sys.argv[1:])]
    engine = gigastt.Engine()
    async with asyncio.TaskGroup() as tasks:
        for recording in recordings:
            tasks.create_task(listen(engine, *recording))


if __name__ == "__main__":
    asyncio.run(main())
