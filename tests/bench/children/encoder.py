"""The encoder of a model's files alone: FOLDER SUFFIX SECONDS. Prints a JSON object.

`encoder_s`: the median of some calls on one window, one thread, through ONNX Runtime as onnx-asr calls it.
"""

import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort

CALLS = 5


def main() -> None:
    folder, suffix, seconds = sys.argv[1:]
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    mark = f".{suffix}" if suffix else ""
    graph = Path(folder, f"v3_e2e_rnnt_encoder{mark}.onnx")
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    frames = int(seconds) * 100
    mel = np.random.default_rng(1).standard_normal((1, 64, frames), np.float32) * 4 - 8
    given = dict(zip([port.name for port in session.get_inputs()], [mel, np.array([frames])], strict=True))
    session.run(None, given)
    took = []
    for _ in range(CALLS):
        start = time.perf_counter()
        session.run(None, given)
        took.append(time.perf_counter() - start)
    print(json.dumps({"seconds": int(seconds), "encoder_s": statistics.median(took)}))


if __name__ == "__main__":
    main()
