"""Many speakers in one event loop, one engine: `python examples/python/stream_asyncio.py FILE...`

Each recording (wav, 16-bit mono) is played in real time, as if somebody spoke.
"""

import asyncio
import sys
import wave
from pathlib import Path

import gigastt

CHUNK_S = 0.02


async def listen(engine: gigastt.Engine, path: Path) -> None:
    with wave.open(str(path)) as recording:
        rate, samples = recording.getframerate(), recording.readframes(recording.getnframes())
    async with engine.recognizer(sample_rate=rate) as rec:
        speaking = asyncio.create_task(speak(rec, samples, 2 * int(rate * CHUNK_S)))
        async for event in rec.events():
            if isinstance(event, gigastt.Segment):
                print(f"{path.name}: {event.text}")
        await speaking


async def speak(rec: gigastt.AsyncRecognizer, samples: bytes, step: int) -> None:
    loop = asyncio.get_running_loop()
    start = loop.time()
    for number, at in enumerate(range(0, len(samples), step)):
        await rec.push_pcm(samples[at : at + step])
        await asyncio.sleep(start + number * CHUNK_S - loop.time())
    rec.close()


async def main() -> None:
    engine = gigastt.Engine()
    await asyncio.gather(*(listen(engine, Path(name)) for name in sys.argv[1:]))


if __name__ == "__main__":
    asyncio.run(main())
