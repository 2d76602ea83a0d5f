"""Write the golden vectors of the log-mel front-end.

The expected frames come from onnx-asr, an implementation that shares no code with this project.
In a virtual environment, from the root of the repository:

    pip install -r tests/python/requirements.txt
    python tests/python/make_mel_vectors.py

All files are little-endian 32-bit floats without a header:

    synthetic.pcm       mono samples at 16 kHz, invented here
    synthetic.mel       their frames, 64 values each
    sample_00.mel       the frames of tests/samples/sample_00.wav
"""

import wave
from pathlib import Path

import numpy as np
from onnx_asr.preprocessors.numpy_preprocessor import GigaamPreprocessorNumpy

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "gigastt-core" / "tests" / "data" / "mel"
RATE = 16_000
PIECE = 1_600


def synthetic() -> np.ndarray:
    """Pieces of 0.1 s: what speech does not contain, and the way down to the floor.

    A hiss hides the rounding of 32-bit FFTs, which is all that a pure tone leaves in most filters.
    """
    rng = np.random.default_rng(0)
    t = np.arange(PIECE) / RATE
    noise = rng.standard_normal((5, PIECE))
    clicks = np.zeros(PIECE)
    clicks[[200, 620, 1_111]] = [1.0, -1.0, 0.25]
    hiss = 1e-3 * noise[4]
    pieces = [
        np.zeros(PIECE),
        0.1 * noise[0],
        noise[1] * np.geomspace(1e-4, 1e-8, PIECE),
        np.zeros(PIECE),
        clicks,
        0.5 * np.sin(2 * np.pi * 1_000 * t) + 0.25 * np.sin(2 * np.pi * 440 * t) + hiss,
        0.9 * np.sin(2 * np.pi * (50 + 39_000 * t) * t) + hiss,
        np.sign(np.sin(2 * np.pi * 300 * t)) * 32_767 / 32_768,
        np.full(PIECE, 0.1) + 0.01 * noise[2],
        np.round(noise[3]) / 32_768,
    ]
    return np.clip(np.concatenate(pieces), -1, 32_767 / 32_768).astype("<f4")


def read_wav(path: Path) -> np.ndarray:
    with wave.open(str(path)) as wav:
        assert (wav.getframerate(), wav.getnchannels(), wav.getsampwidth()) == (RATE, 1, 2), path
        return np.frombuffer(wav.readframes(wav.getnframes()), "<i2").astype("<f4") / 32_768


def log_mel(samples: np.ndarray) -> np.ndarray:
    frames, lengths = GigaamPreprocessorNumpy("gigaam_v3")(samples[None], np.array([len(samples)]))
    assert frames.shape[2] == lengths[0]
    return frames[0].T.astype("<f4")


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    invented = synthetic()
    invented.tofile(OUT / "synthetic.pcm")
    log_mel(invented).tofile(OUT / "synthetic.mel")
    log_mel(read_wav(ROOT / "tests" / "samples" / "sample_00.wav")).tofile(OUT / "sample_00.mel")


if __name__ == "__main__":
    main()
