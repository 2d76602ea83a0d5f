"""Installed models: a folder for each, in the models folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

VARIABLE = "GIGASTT_MODEL_DIR"


def folder() -> Path:
    """The models folder: what GIGASTT_MODEL_DIR names, else `gigastt/models` in the user's data folder."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "gigastt" / "models"
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA") or Path.home()) / "gigastt" / "data" / "models"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "gigastt" / "models"
