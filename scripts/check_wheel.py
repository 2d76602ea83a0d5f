"""Check a wheel as its users meet it: `scripts/check_wheel.py WHEEL`.

Its size, and the first program of its README in a fresh virtual environment with nothing but what the wheel asks for.
"""

import re
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SIZE_MAX = 15_000_000
ENVIRONMENT = ROOT / "target" / "venv-wheel"
SPOKEN = (ROOT / "tests" / "samples" / "sample_08.txt").read_text().strip()


def main(wheel):
    size = wheel.stat().st_size
    if size >= SIZE_MAX:
        sys.exit(f"{wheel}: {size} bytes, expected less than {SIZE_MAX}")
    venv.create(ENVIRONMENT, clear=True, with_pip=False)
    python = ENVIRONMENT / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    subprocess.run([sys.executable, "-m", "pip", "--python", python, "install", "--quiet", wheel], check=True)
    program = re.findall(r"```python\n(.*?)```", (ROOT / "gigastt-py" / "README.md").read_text(), re.DOTALL)[0]
    printed = subprocess.run([python, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    if printed.splitlines()[0] != SPOKEN:
        sys.exit(f"{wheel}: expected {SPOKEN!r}, found {printed!r}")
    print(f"{wheel.name}: {size / 1e6:.1f} MB, the README's program prints the words")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
