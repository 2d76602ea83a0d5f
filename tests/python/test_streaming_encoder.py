"""The reference of the streaming encoder is the encoder, and what Rust is compared with is the reference's."""

import numpy as np
import onnxruntime
import streaming_encoder as reference


def test_one_step_is_the_encoder():
    """Fails when the reference leaves something out of a layer."""
    options = onnxruntime.SessionOptions()
    # Products in floats, as in the reference.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = onnxruntime.InferenceSession(reference.ENCODER, options, providers=["CPUExecutionProvider"])
    mel = reference.log_mel()
    audio = {"audio_signal": mel.T[None], "length": np.array([len(mel)])}
    (expected, _) = session.run(None, audio)
    found = reference.encode(reference.weights(), mel, [len(mel) // reference.STRIDE], left=1, right=0)
    np.testing.assert_allclose(found, expected[0].T, atol=1e-4)


def test_vectors_are_the_references():
    vectors = np.fromfile(reference.VECTORS, "<f4")
    np.testing.assert_allclose(reference.golden().ravel(), vectors, atol=1e-4)
