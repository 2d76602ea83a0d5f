"""One recording through onnx-asr: FOLDER SUFFIX THREADS RECORDING [CUTS]. Prints a JSON object.

CUTS is a JSON list of [start, end] in samples: the pieces that are recognised one after the other. Without
it the recording is recognised as a whole.
"""

import json
import sys
import time
from pathlib import Path

import onnx_asr
import onnxruntime as ort

from sound import read


def main() -> None:
    folder, suffix, threads, recording, *cuts = sys.argv[1:]
    samples = read(Path(recording))
    pieces = json.loads(Path(cuts[0]).read_text()) if cuts else [(0, len(samples))]
    options = ort.SessionOptions()
    options.intra_op_num_threads = int(threads)
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    start = time.perf_counter()
    model = onnx_asr.load_model(
        "gigaam-v3-e2e-rnnt",
        folder,
        quantization=suffix or None,
        sess_options=options,
        providers=["CPUExecutionProvider"],
    )
    loaded = time.perf_counter()
    texts = [model.recognize(samples[first:last]) for first, last in pieces]
    wall_s = time.perf_counter() - loaded
    print(json.dumps({"load_s": loaded - start, "wall_s": wall_s, "characters": sum(map(len, texts))}))


if __name__ == "__main__":
    main()
