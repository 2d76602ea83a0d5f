"""Where ONNX Runtime's library is: what GIGASTT_ORT names, else the one in the package `onnxruntime`."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

VARIABLE = "GIGASTT_ORT"

PATTERNS = ("libonnxruntime.so*", "libonnxruntime.*dylib", "onnxruntime.dll")
"""The library's names on Linux, macOS and Windows."""

# The official 1.32 for Linux otherwise numbers the device and reports to its maker, from before its interface can tell
# it not to; a child that `fork` made waits for ever for its thread when it ends.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def library() -> Path | None:
    """The library's path; None leaves the search to the engine. Imports and loads nothing."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else next(iter(_in_package()), None)


def _in_package() -> list[Path]:
    spec = importlib.util.find_spec("onnxruntime")
    folders = (spec.submodule_search_locations if spec else None) or []
    return [path for folder in folders for pattern in PATTERNS for path in sorted(Path(folder, "capi").glob(pattern))]
