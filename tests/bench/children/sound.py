"""Recordings as onnx-asr takes them."""

import wave
from pathlib import Path

import numpy as np


def read(path: Path) -> np.ndarray:
    """16-bit mono at 16 kHz as float32 in [-1, 1), shape [N]."""
    with wave.open(str(path)) as wav:
        if (wav.getframerate(), wav.getnchannels(), wav.getsampwidth()) != (16_000, 1, 2):
            raise ValueError(f"{path}: expected 16-bit mono at 16,000 Hz")
        return np.frombuffer(wav.readframes(wav.getnframes()), "<i2").astype(np.float32) / 32_768
