"""The comparison runs: what a smoke run wrote (make test-bench) is whole, and two results compare."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import bench
import compare
import page
from process import ChildFailed

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "target" / "bench" / "page"


@pytest.fixture(scope="module")
def result():
    (path,) = (PAGE / "benchmarks").glob("*-smoke.json")
    return json.loads(path.read_text())


def test_every_implementation_ran(result):
    peers = {"onnx-asr int8", "sherpa-onnx int8"}
    short, call = ([row for row in result["files"] if row["audio"] == audio] for audio in ("read", "call"))
    assert {row["who"] for row in short} == {"gigastt int8"} | peers
    assert {row["who"] for row in call} == {"gigastt int8"} | peers | {f"{peer}, whole" for peer in peers}
    assert all(len(row["runs"]) == 1 for row in [*short, *call])
    assert not bench.failures(result)
    bindings = {row["who"]: row["runs"] for row in result["binding_costs"]}
    assert list(bindings) == ["Rust", "C", "Python", "service, over loopback"]
    for runs in bindings.values():
        assert all(0 < run["wall_s"] < run["process_s"] and run["peak_mb"] > 1 for run in runs)


def test_the_same_words_everywhere(result):
    """The peer has the same model and audio: it says as much."""
    (theirs, *_) = (row["runs"][0]["characters"] for row in result["files"] if row["who"] == "onnx-asr int8")
    bindings = {row["who"]: row["runs"][0] for row in result["binding_costs"]}
    assert theirs > 20
    assert bindings["Python"]["characters"] == bindings["service, over loopback"]["characters"] == theirs


def test_no_final_is_lost_in_the_drain(result):
    assert result["drain"]["finals"] == result["drain"]["sessions"] == 1
    assert result["drain"]["codes"] == [1001]


def test_the_page_has_every_part():
    text = (PAGE / "benchmarks.md").read_text()
    parts = ["Recordings", "Where the ratio comes from", "Where the time goes", "Live streams", "Loading", "Memory"]
    for part in [*parts, "bindings", "Cancelling", "Draining"]:
        assert part in text
    for picture in ("recordings.svg", "streams.svg"):
        assert f"benchmarks/{picture}" in text
        assert (PAGE / "benchmarks" / picture).read_text().rstrip().endswith("</svg>")


def test_a_cancelled_call_gives_the_worker_back(result):
    """Well before the call would have ended by itself, also in a slow build."""
    assert len(result["cancel"]["wait"]) == 2
    encoder_s = next(row["runs"][0]["encoder_s"] for row in result["files"] if row["seconds"] == 24)
    assert result["cancel"]["wait"][0] < 1e3 * encoder_s


def sayer(name, code, files=None):
    """An implementation that is a line of Python."""
    return bench.Who(name, lambda threads, recording, cuts: [sys.executable, "-c", code], files or bench.Files(HERE, ""))


SAYS = "print('{\"wall_s\": 1.0, \"optimized\": \"int8\"}')"


@pytest.fixture
def few(tmp_path):
    return bench.Bench(bench.SMOKE, Path("gigastt"), Path("gigastt_file"), tmp_path)


def test_who_fails_is_told_and_the_others_go_on(few):
    everybody = [sayer("well", SAYS), sayer("ill", "import sys; sys.exit('no\\n  memory left')"), sayer("mute", "print()")]
    turns = bench.Turns(bench.Case(1, 1), everybody, few.recording(1))
    turns.take(0)
    turns.take(1)
    well, ill, mute = turns.rows
    assert mute["failed"].startswith("ended without saying what it took")
    assert [run["wall_s"] for run in well["runs"]] == [1.0, 1.0]
    assert ill["runs"] == [] and ill["failed"] == "memory left"
    assert "| 1 s | 1 | ill | failed: memory left |" in page.files([well, ill], few.place)


def test_a_form_that_did_not_run_is_a_failure(few):
    forms = [sayer(form, SAYS, bench.Files(HERE, "", form)) for form in ("int8", "fp32")]
    turns = bench.Turns(bench.Case(1, 1), forms, few.recording(1))
    turns.take(0)
    fast, fallen_back = turns.rows
    assert len(fast["runs"]) == 1 and "failed" not in fast
    assert fallen_back["runs"] == [] and fallen_back["failed"].endswith("the fast form fp32 did not run, but int8")


def test_a_part_that_fails_does_not_lose_the_others(few, monkeypatch):
    def rows():
        yield {"who": "first"}
        raise ChildFailed("it\nfell over")

    monkeypatch.setattr(few, "files", rows)
    monkeypatch.setattr(few, "drain", lambda: {"drain_s": 1})
    kept = []
    found = bench.run(few, ["files", "drain"], {}, lambda found: kept.append(json.dumps(found)))
    assert found["files"] == [{"who": "first"}] and found["drain"] == {"drain_s": 1}
    assert found["failed"] == {"files": "fell over"} and bench.failures(found) == ["files: fell over"]
    assert '"first"' in kept[0] and "drain" not in kept[0]


def files(walls):
    row = {"who": "gigastt int8", "seconds": 5, "threads": 1, "audio": "read"}
    return {"files": [row | {"runs": [{"wall_s": wall} for wall in walls]}]}


@pytest.mark.parametrize(
    ("walls", "code", "mark", "end"),
    [
        ([1.0, 1.01, 1.02], 0, "  *", "agree on 0 of 1 cases; 0 became slower, 1 faster"),
        ([2.0, 2.01, 2.02], 1, "  *", "agree on 0 of 1 cases; 1 became slower, 0 faster"),
        ([1.2, 1.7, 1.8], 0, "", "agree on 1 of 1 cases; 0 became slower, 0 faster"),
    ],
)
def test_a_change_counts_when_it_is_larger_than_the_spread(tmp_path, walls, code, mark, end):
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text(json.dumps(files([1.4, 1.5, 1.6])))
    new.write_text(json.dumps(files(walls)))
    done = subprocess.run([sys.executable, HERE / "compare.py", old, new], capture_output=True, text=True, check=False)
    assert done.returncode == code
    (row,) = [line for line in done.stdout.splitlines() if line.startswith("gigastt int8")]
    assert row.endswith("%" + mark)
    assert done.stdout.strip().endswith(end)


def test_runs_without_a_spread_of_their_own_agree_within_what_a_machine_varies():
    assert compare.stated_spread([1.0, 1.001], 0.0) == compare.SPREAD_MIN
    assert compare.stated_spread([1.0, 1.001], 0.05) == 0.05
    assert compare.timings(files([1.0])) == {}


def test_what_all_cases_have_in_common_is_the_machines():
    """Fails when one case that varies, or one that failed, counts as the machine."""
    rows = [files(walls)["files"][0] for walls in ([1.0, 1.1, 1.2], [2.0, 2.2, 2.4], [3.0, 2.0, 9.0], [5.0])]
    assert compare.drift({"files": rows}) == pytest.approx(0.0909, abs=1e-3)
    assert compare.drift({"files": rows[3:]}) == compare.drift({}) == 0


def test_rounds_take_every_case_before_any_again(few, monkeypatch):
    taken = []
    monkeypatch.setattr(bench.Turns, "take", lambda turns, number: taken.append((turns.case.seconds, number)))
    monkeypatch.setattr(few, "cuts", lambda recording: recording)
    few.size = replace(bench.SMOKE, rounds=2, alone=(30,))
    rows = list(few.files())
    assert taken == [(5, 0), (24, 0), (5, 1), (24, 1), (30, 0)]
    assert [row["seconds"] for row in rows] == [5] * 3 + [24] * 5 + [30]


def test_spread_and_span():
    assert page.spread([1.0, 1.1, 0.9]) == "10 %"
    assert [page.span(s) for s in (5, 60, 180, 600, 3_600)] == ["5 s", "60 s", "3 min", "10 min", "1 h"]
    assert compare.relative_spread([1.0, 1.2]) == pytest.approx(0.0909, abs=1e-3)


def test_the_encoder_of_eight_seconds_takes_ninety_giga_operations():
    assert page.gflop(8) == pytest.approx(90, rel=0.05)
