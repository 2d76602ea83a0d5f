"""The embedded model says here what it says in onnx-asr, which shares no code with this project.

Only recordings of at most 22 s, which are one window in both. For the samples, text, token ids and
frames are equal. Recordings made of them (cut in words, noisy) hold near ties, and ONNX Runtime quantises
this model's activations as it runs: features that differ by 1e-6 change a log probability by 0.02, so
that onnx-asr differs from itself in a token of some hundred. There a share of tokens is bounded.
"""

import re

import numpy as np
import onnx_asr
import pytest

from conftest import EMBEDDED, RATE, SAMPLES, read_wav, write_wav

LONGEST = 22 * RATE
SEED = 20_250_601
FRAME_S = 0.04
DIFFERENT_MAX = 0.01
LOGPROB_TOLERANCE = 0.15

# Words wrong of 100, over all samples. The one with ten sentences has a few wrong words.
WER_BOUND = 6.0


def made_recordings():
    """Samples cut, joined and with noise: name and samples."""
    rng = np.random.default_rng(SEED)
    speech = [read_wav(path).astype(np.float64) for path in SAMPLES]
    long = max(speech, key=len)
    short = [samples for samples in speech if len(samples) <= LONGEST]
    for n, samples in enumerate(short):
        cut = rng.integers(len(samples) // 4, 3 * len(samples) // 4)
        yield f"head_{n}", samples[:cut]
        yield f"tail_{n}", samples[cut:]
        for snr_db in (20, 10):
            noise = rng.standard_normal(len(samples)) * np.sqrt(np.mean(samples**2) / 10 ** (snr_db / 10))
            yield f"noise_{snr_db}_{n}", samples + noise
        yield f"quiet_{n}", samples / 16
    for n in range(8):
        start = rng.integers(0, len(long) - 5 * RATE)
        yield f"cut_{n}", long[start : start + rng.integers(3 * RATE, LONGEST)]
    for n in range(8):
        parts = []
        for index in rng.permutation(len(short))[: rng.integers(2, 5)]:
            parts += [short[index], np.zeros(rng.integers(0, 2 * RATE))]
        yield f"joined_{n}", np.concatenate(parts)[:LONGEST]


@pytest.fixture(scope="session")
def reference():
    return onnx_asr.load_model("gigaam-v3-e2e-rnnt", EMBEDDED, quantization="int8w").with_timestamps()


@pytest.fixture(scope="session")
def ids():
    """Token ids by piece, as onnx-asr writes pieces."""
    lines = (EMBEDDED / "v3_e2e_rnnt_vocab.txt").read_text(encoding="utf-8").splitlines()
    rows = [line.rsplit(" ", 1) for line in lines]
    by_piece = {piece.replace("\u2581", " "): int(index) for piece, index in rows}
    assert len(by_piece) == len(rows)
    return by_piece


@pytest.fixture(scope="session")
def compare(transcribe, reference, ids):
    """A function from recordings to pairs: what we say, and what onnx-asr says."""

    def ours(record):
        (segment,) = record["segments"]
        assert segment["start_sample"] == 0
        tokens = segment["tokens"]
        return record["text"], [(t["id"], t["frame"]) for t in tokens], [t["logprob"] for t in tokens]

    def theirs(result):
        frames = [round(time / FRAME_S) for time in result.timestamps]
        pieces = [ids[piece] for piece in result.tokens]
        return result.text, list(zip(pieces, frames, strict=True)), result.logprobs

    def run(paths):
        pairs = zip(transcribe(paths), paths, strict=True)
        return [(ours(record), theirs(reference.recognize(path))) for record, path in pairs]

    return run


def test_samples_are_equal(compare):
    paths = [path for path in SAMPLES if len(read_wav(path)) <= LONGEST]
    assert len(paths) >= 6
    for path, (ours, theirs) in zip(paths, compare(paths), strict=True):
        assert ours[:2] == theirs[:2], path.name
        np.testing.assert_allclose(ours[2], theirs[2], atol=LOGPROB_TOLERANCE, err_msg=path.name)


def test_made_recordings_agree(compare, tmp_path, capsys):
    paths = []
    for name, samples in made_recordings():
        paths.append(tmp_path / f"{name}.wav")
        write_wav(paths[-1], samples)
    tokens = wrong = 0
    report = []
    for path, (ours, theirs) in zip(paths, compare(paths), strict=True):
        tokens += len(theirs[1])
        different = edits(theirs[1], ours[1])
        wrong += different
        if different:
            report.append(f"{path.name}: {different} tokens: {ours[0]!r}, onnx-asr: {theirs[0]!r}")
    with capsys.disabled():
        print(f"\n{len(paths)} recordings (seed {SEED}): {wrong} of {tokens} tokens or their frames differ")
    assert tokens > 1_000
    assert wrong <= DIFFERENT_MAX * tokens, "\n".join(report)


def words(text):
    return re.findall(r"\w+", text.lower())


def edits(spoken, heard):
    """The least number of items put in, left out or changed."""
    row = list(range(len(heard) + 1))
    for i, item in enumerate(spoken, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (item != other))
    return row[-1]


def test_word_error_rate_of_the_samples(transcribe, capsys):
    wrong = total = 0
    for path, record in zip(SAMPLES, transcribe(SAMPLES), strict=True):
        spoken = words(path.with_suffix(".txt").read_text(encoding="utf-8"))
        errors = edits(spoken, words(record["text"]))
        if len(read_wav(path)) <= LONGEST:
            assert errors == 0, f"{path.name}: {record['text']}"
        wrong, total = wrong + errors, total + len(spoken)
    rate = 100 * wrong / total
    with capsys.disabled():
        print(f"\nword error rate of the embedded model on the samples: {rate:.1f} % ({wrong} of {total})")
    assert rate <= WER_BOUND


def test_the_measure_counts_words():
    assert edits(words("Раз, два, три."), words("раз три четыре")) == 2
    assert edits([], ["a"]) == edits(["a"], []) == 1
    assert edits([], []) == 0
