"""What the figures were measured on."""

import hashlib
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

FEATURES = ["avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_bf16", "amx_int8", "asimd", "i8mm"]
"""What decides how fast matrices are multiplied, where the processor says that it has it."""
PACKAGES = ["onnxruntime", "onnx-asr", "sherpa-onnx", "numpy"]


def describe() -> dict[str, object]:
    """The machine and the versions of what ran."""
    cpu = _fields(Path("/proc/cpuinfo"))
    flags = set(f"{cpu.get('flags', '')} {cpu.get('Features', '')}".split())
    return {
        "cpu": cpu.get("model name", platform.processor() or platform.machine()),
        "features": [name for name in FEATURES if name in flags],
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "load": round(os.getloadavg()[0], 2),
        "versions": {name: _version(name) for name in PACKAGES},
    }


def hashes(folder: Path, suffix: str) -> dict[str, str]:
    """SHA-256 of the graphs with this suffix, by file name."""
    found = {}
    for path in sorted(folder.glob(f"*{suffix}.onnx")):
        if path.name.count(".") == 1 + suffix.count("."):
            with path.open("rb") as file:
                found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def revision(repository: Path) -> str:
    """The commit that was measured, with a mark if the sources were changed since; `unknown` outside git."""
    git = ["git", "-C", str(repository), "describe", "--always", "--dirty", "--abbrev=10"]
    return subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _fields(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    lines = (line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
    return {name.strip(): value.strip() for name, value in lines}
