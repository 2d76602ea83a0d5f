"""What one core can multiply: the best of some runs of one large product through ONNX Runtime. Prints a JSON object."""

import json
import time

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, checker, helper, numpy_helper

ROWS, INNER, COLUMNS = 512, 768, 3_072
RUNS = 30


def product(kind: str) -> tuple[bytes, np.ndarray]:
    rng = np.random.default_rng(1)
    if kind == "f32":
        left, right = rng.standard_normal((ROWS, INNER), np.float32), rng.standard_normal((INNER, COLUMNS), np.float32)
        node, types = helper.make_node("MatMul", ["a", "b"], ["c"]), (TensorProto.FLOAT, TensorProto.FLOAT)
    else:
        left = rng.integers(0, 255, (ROWS, INNER), np.uint8)
        right = rng.integers(-64, 64, (INNER, COLUMNS), np.int8)
        node, types = helper.make_node("MatMulInteger", ["a", "b"], ["c"]), (TensorProto.UINT8, TensorProto.INT32)
    graph = helper.make_graph(
        [node],
        "product",
        [helper.make_tensor_value_info("a", types[0], [ROWS, INNER])],
        [helper.make_tensor_value_info("c", types[1], [ROWS, COLUMNS])],
        [numpy_helper.from_array(right, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    return model.SerializeToString(), left


def giga_a_second(kind: str) -> float:
    """10^9 multiplications and additions a second."""
    model, left = product(kind)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    best = float("inf")
    for _ in range(RUNS):
        start = time.perf_counter()
        session.run(None, {"a": left})
        best = min(best, time.perf_counter() - start)
    return 2 * ROWS * INNER * COLUMNS / best / 1e9


if __name__ == "__main__":
    print(json.dumps({kind: giga_a_second(kind) for kind in ("f32", "int8")}))
