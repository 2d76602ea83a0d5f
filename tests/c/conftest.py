"""Programs in C and C++ against the installed library. `make test-c` installs it and names its tree."""

import os
import sys
from pathlib import Path

import pytest

# For the tests in `long/`.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from support import ROOT, STRICT, cxx_compiler, linked, run  # noqa: E402


@pytest.fixture(scope="session")
def prefix():
    """Where the library is installed."""
    return Path(os.environ["GIGASTT_PREFIX"]).resolve()


@pytest.fixture(scope="session")
def build(prefix, tmp_path_factory):
    """Compiles a program of C99 or C++11 with all warnings as errors; returns its path."""

    def build(*sources, flags=(), link="shared"):
        out = tmp_path_factory.mktemp("bin") / Path(sources[0]).stem
        cxx = any(Path(source).suffix == ".cpp" for source in sources)
        compiler = [*cxx_compiler(), "-std=c++11"] if cxx else [os.environ.get("CC", "cc"), "-std=c99"]
        paths = [ROOT / source for source in sources]
        run(*compiler, *STRICT, *flags, "-o", out, *paths, f"-I{prefix}/include", *linked(prefix, link))
        return out

    return build
