"""`gigastt eval`: its counts are jiwer's, its commands in the documentation run, its picture is one."""

import json
import random
import re
import shlex
import subprocess
import xml.etree.ElementTree as xml

import jiwer
import pytest

from conftest import ROOT

PAGE = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
SAMPLES = ROOT / "tests" / "samples" / "manifest.jsonl"
SEED = 20_261_125
PAIRS = 200


def evaluate(program, *arguments):
    command = [program, "eval", "--model", "embedded", *arguments]
    return subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True)


def lines(program, *arguments):
    """The objects that the program prints: of each recording, and of all of them."""
    result = evaluate(program, "--json", *arguments)
    assert (result.returncode, result.stderr) == (0, "")
    *recordings, whole = map(json.loads, result.stdout.splitlines())
    return recordings, whole


def pairs():
    """Texts of few different words, so that many alignments are equally short; one in ten is unrelated."""
    r = random.Random(SEED)
    vocabulary = "а б в да нет дом дома кот кит ток".split()
    for n in range(PAIRS):
        reference = r.choices(vocabulary, k=r.randint(1, 40))
        hypothesis = []
        for word in reference if n % 10 else []:
            kind = r.random()
            hypothesis += [] if kind < 0.15 else [r.choice(vocabulary)] if kind < 0.3 else [word]
            hypothesis += r.choices(vocabulary, k=r.randint(1, 3)) if r.random() < 0.1 else []
        hypothesis = hypothesis or r.choices(vocabulary, k=r.randint(0, 40))
        yield " ".join(reference), " ".join(hypothesis)


def counts(of):
    return {"hits": of.hits, "substitutions": of.substitutions, "deletions": of.deletions, "insertions": of.insertions}


def test_counts_are_those_of_jiwer(program, tmp_path):
    texts = list(pairs())
    manifest = tmp_path / "pairs.jsonl"
    records = ({"audio_filepath": str(n), "text": a, "pred_text": b} for n, (a, b) in enumerate(texts))
    manifest.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records), encoding="utf-8")
    recordings, whole = lines(program, "--manifest", manifest, "--predicted", "--compare", "exact")
    assert len(recordings) == PAIRS
    for found, (reference, hypothesis) in zip(recordings, texts, strict=True):
        assert (found["reference"], found["hypothesis"]) == (reference, hypothesis)
        about = f"seed {SEED}, recording {found['file']}"
        assert found["words"] == counts(jiwer.process_words(reference, hypothesis)), about
        assert found["characters"] == counts(jiwer.process_characters(reference, hypothesis)), about
    references, hypotheses = map(list, zip(*texts))
    assert whole["file"]["words"]["rate"] == pytest.approx(jiwer.wer(references, hypotheses))
    assert whole["file"]["characters"]["rate"] == pytest.approx(jiwer.cer(references, hypotheses))


def test_the_samples_live_and_as_files(program, tmp_path):
    plot = tmp_path / "eval.svg"
    recordings, whole = lines(program, "--manifest", SAMPLES, "--live", "--plot", plot)
    assert len(recordings) == whole["recordings"] == 7
    (live,) = whole["live"]
    assert whole["file"]["words"]["rate"] < 0.1
    assert abs(live["above_file"][0]) < 0.1
    assert live["last"]["words"]["rate"] <= live["first"]["words"]["rate"]
    assert 0 <= live["flicker_stable"] <= live["flicker"] < 1
    assert 0 < live["first_ms"]["p50"] < live["final_ms"]["p50"]
    labels = [node.text for node in xml.parse(plot).iter("{http://www.w3.org/2000/svg}text")]
    assert {"file", f"{live['plan']} final", f"{live['plan']} word"} <= set(labels)


def test_a_recording_that_fails_is_told_and_left_out(program, tmp_path):
    manifest = tmp_path / "two.jsonl"
    good, bad = SAMPLES.parent / "sample_00.wav", tmp_path / "missing.wav"
    records = [{"audio_filepath": str(path), "text": "Включи свет на кухне."} for path in (bad, good)]
    manifest.write_text("\n".join(map(json.dumps, records)))
    result = evaluate(program, "--manifest", manifest, "--json")
    assert result.returncode == 1
    assert str(bad) in result.stderr
    whole = json.loads(result.stdout.splitlines()[-1])
    assert (whole["recordings"], whole["failed"], whole["file"]["words"]["rate"]) == (1, 1, 0.0)


def commands():
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.S):
        yield from (line for line in block.splitlines() if line.startswith("gigastt "))


def test_the_page_shows_commands_that_run(program, tmp_path):
    run = [c for c in commands() if "tests/samples" in c]
    assert len(run) >= 2
    for command in run:
        arguments = shlex.split(command.split(" #")[0].replace("eval.svg", str(tmp_path / "eval.svg")))[2:]
        result = evaluate(program, *arguments)
        assert (result.returncode, result.stderr) == (0, ""), command
        assert "tests/samples/manifest.jsonl: 7 recordings" in result.stdout
    # The table that is shown has the lines that are printed; their figures depend on model and machine.
    (shown,) = re.findall(r"```text\n(.*?)```", PAGE, re.S)
    first_words = lambda text: [line.split()[:1] for line in text.splitlines()]
    assert first_words(result.stdout) == first_words(shown)
