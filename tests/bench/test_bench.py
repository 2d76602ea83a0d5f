"""The comparison runs: what a smoke run wrote (make test-bench) is whole, and two results compare."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import compare
import page

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "target" / "bench" / "page"


@pytest.fixture(scope="module")
def result():
    (path,) = (PAGE / "benchmarks").glob("*-smoke.json")
    return json.loads(path.read_text())


def test_every_implementation_ran(result):
    assert {row["who"] for row in result["files"]} == {"gigastt int8", "onnx-asr int8", "sherpa-onnx int8"}
    bindings = {row["who"]: row["runs"] for row in result["binding_costs"]}
    assert list(bindings) == ["Rust", "C", "Python", "service, over loopback"]
    for runs in bindings.values():
        assert all(0 < run["wall_s"] < run["process_s"] and run["peak_mb"] > 1 for run in runs)


def test_the_same_words_everywhere(result):
    """The peer has the same model and audio: it says as much."""
    (theirs,) = (row["runs"][0]["characters"] for row in result["files"] if row["who"] == "onnx-asr int8")
    bindings = {row["who"]: row["runs"][0] for row in result["binding_costs"]}
    assert theirs > 20
    assert bindings["Python"]["characters"] == bindings["service, over loopback"]["characters"] == theirs


def test_no_final_is_lost_in_the_drain(result):
    assert result["drain"]["finals"] == result["drain"]["sessions"] == 1
    assert result["drain"]["codes"] == [1001]


def test_the_page_has_every_part():
    text = (PAGE / "benchmarks.md").read_text()
    for part in ("Recordings", "Where the time goes", "Live streams", "Loading", "Memory", "bindings", "Draining"):
        assert part in text
    for picture in ("recordings.svg", "streams.svg"):
        assert f"benchmarks/{picture}" in text
        assert (PAGE / "benchmarks" / picture).read_text().rstrip().endswith("</svg>")


def files(walls):
    return {"files": [{"who": "gigastt int8", "seconds": 5, "threads": 1, "runs": [{"wall_s": wall} for wall in walls]}]}


@pytest.mark.parametrize(
    ("walls", "code", "mark"), [([1.0, 1.01, 1.02], 0, " *"), ([2.0, 2.01, 2.02], 1, " *"), ([1.2, 1.7, 1.8], 0, "")]
)
def test_a_change_counts_when_it_is_larger_than_the_spread(tmp_path, walls, code, mark):
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text(json.dumps(files([1.4, 1.5, 1.6])))
    new.write_text(json.dumps(files(walls)))
    done = subprocess.run([sys.executable, HERE / "compare.py", old, new], capture_output=True, text=True, check=False)
    assert done.returncode == code
    (row,) = [line for line in done.stdout.splitlines() if line.startswith("gigastt int8")]
    assert row.endswith("%" + mark.replace(" *", "  *"))


def test_spread_and_span():
    assert page.spread([{"wall_s": 1.0}, {"wall_s": 1.1}, {"wall_s": 0.9}]) == "10 %"
    assert [page.span(s) for s in (5, 60, 600, 3_600)] == ["5 s", "60 s", "10 min", "1 h"]
    assert compare.relative_spread([1.0, 1.2]) == pytest.approx(0.0909, abs=1e-3)


def test_the_encoder_of_eight_seconds_takes_ninety_giga_operations():
    assert page.gflop(8) == pytest.approx(90, rel=0.05)
