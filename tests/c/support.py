"""Compilers, programs and samples for the tests of the installed library."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HEADER = ROOT / "include" / "gigastt.h"
SAMPLES = ROOT / "tests" / "samples"
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-g"]
# For what hangs: far longer than anything takes on a slow machine.
LIMIT_S = 1_800


def linked(prefix, link):
    """What a linker is told for the shared library or for the archive."""
    if link == "shared":
        return [f"-L{prefix}/lib", "-lgigastt", f"-Wl,-rpath,{prefix}/lib", "-lpthread"]
    private = (prefix / "lib/pkgconfig/gigastt.pc").read_text().split("Libs.private:")[1].split()
    return [prefix / "lib/libgigastt.a", *private]


def cxx_compiler():
    """The system's C++ compiler; where there is none, as where only Rust's needs are installed, Zig's."""
    if compiler := os.environ.get("CXX") or shutil.which("c++"):
        return [compiler]
    zig = [sys.executable, "-m", "ziglang"]
    if subprocess.run([*zig, "version"], capture_output=True).returncode != 0:
        run(sys.executable, "-m", "pip", "install", "--quiet", "ziglang==0.15.1")
    return [*zig, "c++"]


def run(*command, env=None, stdin=b"", code=0):
    """Runs a command, which has to end with `code`; returns what it printed, as text."""
    command = [str(part) for part in command]
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=LIMIT_S, env=env)
    printed, told = done.stdout.decode(), done.stderr.decode()
    assert done.returncode == code, f"{command} ended with {done.returncode}:\n{printed}\n{told}"
    return printed


def spoken(sample):
    """What was spoken in a recording."""
    return (SAMPLES / f"{sample}.txt").read_text().strip()


def functions(header=None):
    """Return type, name and arguments of each function of the header."""
    text = header or HEADER.read_text()
    text = re.sub(r"/\*.*?\*/", "", text[text.index("#ifndef GIGASTT_H") :], flags=re.S)
    found = re.findall(r"^((?!typedef)[a-z][\w *]*?)(gigastt_\w+)\(([^)]*)\);", text, flags=re.M)
    split = [(kind.strip(), name, [a.strip() for a in args.split(",")]) for kind, name, args in found]
    return [(kind, name, [] if args == ["void"] else args) for kind, name, args in split]
