"""Bring ONNX Runtime's library into the build folder, with its licence: `make setup`.

The library is taken from the official wheel on the package index, so pip's own settings (index,
cache, offline folders) apply, and its SHA-256 must be the one in `onnxruntime.sha256`. Nothing is
installed outside `target/`. With everything in place this checks the library's hash and ends.

Where it goes: `target/onnxruntime/`, which `.cargo/config.toml` names for whatever cargo runs, and a
link beside each built binary, where the binary looks by itself. Who sets ORT_DYLIB_PATH uses his own
library and needs none of this.
"""

import hashlib
import os
import platform
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

VERSION = "1.32.0"
ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / "target" / "onnxruntime"
# One name on every system, so that `.cargo/config.toml` can hold it.
LIBRARY = HOME / "libonnxruntime.so"
# What has to go wherever the library goes, by names that say whose it is beside other programs' files.
TEXTS = {"LICENSE": HOME / "onnxruntime-LICENSE.txt", "ThirdPartyNotices.txt": HOME / "onnxruntime-ThirdPartyNotices.txt"}
# The names the systems' loaders and our resolver look for beside a binary.
NATIVE = {"darwin": "libonnxruntime.dylib", "windows": "onnxruntime.dll"}


def main():
    if os.environ.get("ORT_DYLIB_PATH"):
        print(f"ONNX Runtime: taking ORT_DYLIB_PATH={os.environ['ORT_DYLIB_PATH']}")
        return
    system, machine = platform.system().lower(), platform.machine().lower()
    digest, member = pinned(f"{system}-{machine}")
    there = LIBRARY.exists() and sha256(LIBRARY.read_bytes()) == digest
    if not (there and all(path.exists() for path in TEXTS.values())):
        library, texts = parts_of_wheel(member, digest)
        for name, path in TEXTS.items():
            place(path, texts[name], 0o644)
        place(LIBRARY, library)
        print(f"ONNX Runtime {VERSION} is in {LIBRARY.relative_to(ROOT)}")
    target = ROOT / os.environ.get("CARGO_TARGET_DIR", "target")
    for folder in (target / "debug", target / "release"):
        link(folder / NATIVE.get(system, LIBRARY.name))


def pinned(name):
    """The hash and the path inside the wheel for one platform."""
    rows = [line.split() for line in Path(__file__).with_name("onnxruntime.sha256").read_text().splitlines()]
    for digest, row, member in rows:
        if row == name:
            return digest, member
    known = ", ".join(row for _, row, _ in rows)
    stop(
        f"there is no official ONNX Runtime {VERSION} wheel for {name} (there is for {known})",
        "install ONNX Runtime by other means and set ORT_DYLIB_PATH to its library",
    )


def parts_of_wheel(member, digest):
    """Downloads the wheel for this platform and returns its library, checked, and its texts by their names."""
    with tempfile.TemporaryDirectory() as folder:
        # The library is the same in the wheels of all Python versions: one is named, so that the
        # running Python's version does not matter.
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder]
        command += ["--only-binary=:all:", "--implementation", "cp", "--python-version", "3.11"]
        result = subprocess.run([*command, f"onnxruntime=={VERSION}"], stdin=subprocess.DEVNULL)
        wheels = list(Path(folder).glob("onnxruntime-*.whl"))
        if result.returncode != 0 or not wheels:
            stop(
                f"pip could not bring the wheel onnxruntime {VERSION}; its message is above",
                "connect to the network and repeat, or fetch the wheel elsewhere and run\n"
                "  PIP_NO_INDEX=1 PIP_FIND_LINKS=FOLDER_OF_THE_WHEEL make setup\n"
                "  or set ORT_DYLIB_PATH to a library you have; without pip: python3 -m ensurepip",
            )
        with zipfile.ZipFile(wheels[0]) as wheel:
            content = wheel.read(member)
            texts = {name: wheel.read(f"onnxruntime/{name}") for name in TEXTS}
    if sha256(content) != digest:
        stop(
            f"the library in {wheels[0].name} has SHA-256 {sha256(content)}, expected {digest}",
            "do not use it: look at where pip takes its packages from (pip config list)",
        )
    return content, texts


def place(path, content, mode=0o755):
    """Writes a file so that it is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
    os.chmod(file.name, mode)
    os.replace(file.name, path)


def link(path):
    """Makes `path` lead to the library; a copy where links are not allowed."""
    if path.exists() and path.resolve() == LIBRARY:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    try:
        path.symlink_to(os.path.relpath(LIBRARY, path.parent))
    except OSError:
        place(path, LIBRARY.read_bytes())


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def stop(problem, next_step):
    sys.exit(f"setup: {problem}.\nNext: {next_step}.")


if __name__ == "__main__":
    main()
