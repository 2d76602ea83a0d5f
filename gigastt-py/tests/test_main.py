"""`python -m gigastt`."""

import io
import json
import os
import runpy
import subprocess
import sys

import pytest
from samples import EMBEDDED, spoken, wav

import gigastt
from gigastt.__main__ import main

PATH = str(wav("sample_08"))
TEXT = spoken("sample_08")


def test_formats(capsys):
    def printed(*arguments):
        assert main(["transcribe", PATH, *arguments]) == 0
        return capsys.readouterr().out

    result = gigastt.Engine(threads=1).transcribe(PATH)
    assert printed() == printed("--format", "text", "--threads", "1", "--model", str(EMBEDDED)) == f"{TEXT}\n"
    assert json.loads(printed("--format", "json")) == {"file": PATH, **json.loads(json.dumps(result.to_dict()))}
    assert printed("--format", "srt") == result.to_srt()
    assert printed("--format", "vtt") == result.to_vtt()


def test_standard_input(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(wav("sample_08").read_bytes())))
    assert main(["transcribe", "-"]) == 0
    assert capsys.readouterr().out == f"{TEXT}\n"


@pytest.mark.parametrize("arguments", [["transcribe", PATH], ["info"]])
def test_it_ends_when_nobody_reads_any_more(arguments):
    read, write = os.pipe()
    os.close(read)
    run = subprocess.run([sys.executable, "-m", "gigastt", *arguments], stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert (run.returncode, run.stderr) == (0, b"")


def test_failures_are_told_and_the_rest_is_done(capsys, tmp_path):
    assert main(["transcribe", str(tmp_path / "none.wav"), PATH]) == 1
    printed = capsys.readouterr()
    assert printed.out == f"{TEXT}\n"
    assert "none.wav: No such file" in printed.err
    assert main(["info", "--model", str(tmp_path / "none")]) == 3
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2


def test_interrupted(monkeypatch):
    def interrupt(*_, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(gigastt.Engine, "transcribe", interrupt)
    assert main(["transcribe", PATH]) == 130
    monkeypatch.setattr(gigastt.Engine, "from_pretrained", interrupt)
    assert main(["info", "--model", "gigaam-v3-ctc"]) == 130


def test_info(capsys):
    assert main(["info", "--threads", "1"]) == 0
    printed = capsys.readouterr().out
    for expected in (gigastt.__version__, "onnxruntime", "gigaam-v3-e2e-rnnt, embedded", "threads      1"):
        assert expected in printed


def test_as_a_module(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["gigastt", "transcribe", PATH])
    with pytest.raises(SystemExit) as caught:
        runpy.run_module("gigastt", run_name="__main__", alter_sys=True)
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"{TEXT}\n"
