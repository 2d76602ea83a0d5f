"""Models that are not what they should be: how each file of the embedded one is broken in turn."""

import shutil

from support import ROOT

EMBEDDED = ROOT / "gigastt-core" / "models" / "embedded"
WRONG = sorted((ROOT / "gigastt-core" / "tests" / "data" / "models" / "wrong").glob("*.onnx"))
GRAPHS = [f"v3_e2e_rnnt_{part}.int8w.onnx" for part in ("encoder", "decoder", "joint")]
VOCAB = "v3_e2e_rnnt_vocab.txt"

BREAKS = {
    "missing": None,
    "empty": lambda whole: b"",
    "half": lambda whole: whole[: len(whole) // 2],
    "without its end": lambda whole: whole[:-1],
    "text": lambda whole: "Это не модель.\n".encode() * 100,
    "noise": lambda whole: bytes((at * 2_654_435_761 >> 13) & 0xFF for at in range(4_096)),
}


def numbered(pieces):
    """A vocabulary of these pieces."""
    return "".join(f"{piece} {number}\n" for number, piece in enumerate(pieces)).encode()


def pieces(vocab):
    return [line.rsplit(" ", 1)[0] for line in vocab.decode().splitlines()]


# Vocabularies that are none the worse for themselves, and not those of the graphs.
OTHER_VOCABS = {
    "one piece less": lambda whole: numbered(pieces(whole)[1:]),
    "one piece more": lambda whole: numbered(["ъъ", *pieces(whole)]),
}


def copy_model(folder):
    """The embedded model in `folder`, whole."""
    for file in [*GRAPHS, VOCAB]:
        shutil.copy(EMBEDDED / file, folder / file)
