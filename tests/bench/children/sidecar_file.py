"""One recording through the service over loopback: PROGRAM FOLDER SUFFIX THREADS RECORDING. Prints a JSON object."""

import json
import sys
import time
from pathlib import Path

import httpx

from service import optimized, running


def main() -> None:
    program, folder, suffix, threads, recording = sys.argv[1:]
    body = Path(recording).read_bytes()
    start = time.perf_counter()
    with running(program, folder, suffix, threads) as (process, port):
        loaded = time.perf_counter()
        url = f"http://127.0.0.1:{port}/v1/transcribe"
        answer = httpx.post(url, content=body, headers={"content-type": "audio/wav"}, timeout=None, trust_env=False)
        wall_s = time.perf_counter() - loaded
        form = optimized(process)
        answer.raise_for_status()
    found = {"load_s": loaded - start, "wall_s": wall_s, "optimized": form}
    print(json.dumps(found | {"characters": len(answer.json()["text"])}))


if __name__ == "__main__":
    main()
