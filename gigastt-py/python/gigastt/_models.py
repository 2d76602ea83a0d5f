"""Installed models: a folder for each, in the models folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from gigastt import _native
from gigastt._errors import IoError, ModelNotFoundError

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


def installed(name: str, models: str | os.PathLike[str] | None) -> tuple[str, str]:
    """The folder and the variant of an installed model."""
    root = Path(models) if models is not None else folder()
    try:
        folders = sorted(path for path in root.iterdir() if path.is_dir())
    except OSError:
        folders = []
    for path in folders:
        if any(found == name and complete for found, _, complete in _scan(path)):
            return str(path), name.removeprefix("gigaam-v3-").replace("-", "_")
    message = f"it is not installed; put its files into a folder inside {root}, or pass their folder to Engine(..)"
    raise ModelNotFoundError(message, name)


def _scan(path: Path) -> list[tuple[str, str | None, bool]]:
    try:
        return _native.scan(path)
    except IoError:
        return []
