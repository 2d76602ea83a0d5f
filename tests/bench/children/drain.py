"""How long the service drains: PROGRAM FOLDER SUFFIX THREADS RECORDING SESSIONS. Prints a JSON object.

SESSIONS sockets are in the middle of an utterance of 8 s when the service is told to stop.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from service import running
from sound import read

SPOKEN = 8 * 16_000


async def speak(port: int, pcm: bytes, spoken: asyncio.Event, told: asyncio.Event) -> tuple[bool, int]:
    """Whether its final came, and the code it was closed with."""
    async with connect(f"ws://127.0.0.1:{port}/v1/ws", proxy=None, open_timeout=120) as socket:
        await socket.recv()
        for at in range(0, len(pcm), 8_000):
            await socket.send(pcm[at : at + 8_000])
        spoken.set()
        await told.wait()
        final = False
        try:
            while True:
                final |= json.loads(await socket.recv())["type"] == "final"
        except ConnectionClosed as closed:
            return final, closed.rcvd.code if closed.rcvd else 1006


async def drain(process, port: int, pcm: bytes, sessions: int) -> tuple[float, list[tuple[bool, int]]]:
    spoken, told = [asyncio.Event() for _ in range(sessions)], asyncio.Event()
    speakers = [asyncio.create_task(speak(port, pcm, event, told)) for event in spoken]
    for event in spoken:
        await event.wait()
    process.terminate()
    start = time.perf_counter()
    told.set()
    await asyncio.to_thread(process.wait, 120)
    return time.perf_counter() - start, await asyncio.gather(*speakers)


def main() -> None:
    program, folder, suffix, threads, recording, sessions = sys.argv[1:]
    pcm = (read(Path(recording))[:SPOKEN] * 32_768).astype("<i2").tobytes()
    with running(program, folder, suffix, threads) as (process, port):
        seconds, ends = asyncio.run(drain(process, port, pcm, int(sessions)))
    finals, codes = sum(final for final, _ in ends), sorted({code for _, code in ends})
    print(json.dumps({"sessions": int(sessions), "drain_s": seconds, "finals": finals, "codes": codes}))


if __name__ == "__main__":
    main()
