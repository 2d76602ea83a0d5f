"""One recording through sherpa-onnx: FOLDER THREADS RECORDING [CUTS], as onnx_asr_file.py. Prints a JSON object.

FOLDER is what make_sherpa.py wrote.
"""

import json
import sys
import time
from pathlib import Path

import sherpa_onnx

from sound import read


def main() -> None:
    folder, threads, recording, *cuts = sys.argv[1:]
    samples = read(Path(recording))
    pieces = json.loads(Path(cuts[0]).read_text()) if cuts else [(0, len(samples))]
    start = time.perf_counter()
    recognizer = sherpa_onnx.OfflineRecognizer.from_transducer(
        **{part: f"{folder}/{part}.onnx" for part in ("encoder", "decoder", "joiner")},
        tokens=f"{folder}/tokens.txt",
        num_threads=int(threads),
        feature_dim=64,
        model_type="nemo_transducer",
    )
    loaded = time.perf_counter()
    texts = [recognize(recognizer, samples[first:last]) for first, last in pieces]
    wall_s = time.perf_counter() - loaded
    print(json.dumps({"load_s": loaded - start, "wall_s": wall_s, "characters": sum(map(len, texts))}))


def recognize(recognizer, samples) -> str:
    stream = recognizer.create_stream()
    stream.accept_waveform(16_000, samples)
    recognizer.decode_stream(stream)
    return stream.result.text


if __name__ == "__main__":
    main()
