"""Installed models: a folder for each, in the models folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

VARIABLE = "GIGASTT_MODEL_DIR"

PUBLISHED = ("gigaam-v3-e2e-rnnt", "gigaam-v3-rnnt", "gigaam-v3-e2e-ctc", "gigaam-v3-ctc")
"""The models that can be fetched by their names."""


def folder() -> Path:
    """The models folder: what GIGASTT_MODEL_DIR names, else `gigastt/models` in the user's data folder."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "gigastt" / "models"
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA") or Path.home()) / "gigastt" / "data" / "models"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "gigastt" / "models"
