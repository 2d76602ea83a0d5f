"""One recording through the Python package: FOLDER SUFFIX THREADS RECORDING. Prints a JSON object."""

import json
import sys
import time

import gigastt


def main() -> None:
    folder, suffix, threads, recording = sys.argv[1:]
    start = time.perf_counter()
    engine = gigastt.Engine(folder, quantization=suffix, threads=int(threads))
    loaded = time.perf_counter()
    text = engine.transcribe(recording).text
    wall_s = time.perf_counter() - loaded
    print(json.dumps({"load_s": loaded - start, "wall_s": wall_s, "characters": len(text), "optimized": engine.info.optimized}))


if __name__ == "__main__":
    main()
