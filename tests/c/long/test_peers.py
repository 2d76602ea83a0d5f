"""Called wrongly this library answers, and `docs/embedding.md` tells what another one does."""

import os
import sys
from pathlib import Path

from support import ROOT, run


def test_the_table_of_wrong_calls(prefix):
    """What it says about this library. How the other one's processes end is not defined, and differs from run to run."""
    (packages,) = (Path(os.environ["PEERS_VENV"]) / "lib").glob("python*/site-packages")
    printed = run(sys.executable, ROOT / "tests/c/peers/matrix.py", prefix, packages)
    ours = [" | ".join(row.split(" | ")[:2]) for row in printed.splitlines() if not row.startswith("|-")]
    said = (ROOT / "docs" / "embedding.md").read_text()
    assert len(ours) == 4 and all(f"\n{row} | " in said for row in ours), printed
