"""Bad model files: a status and a sentence, from a folder and from memory; the host lives."""

import re
import shutil

import pytest
from broken import BREAKS, GRAPHS, OTHER_VOCABS, VOCAB, WRONG, copy_model
from support import run


@pytest.fixture(scope="module")
def opener(build):
    return build("tests/c/open_model.c")


@pytest.fixture
def folder(tmp_path):
    copy_model(tmp_path)
    return tmp_path


def stem(file):
    return file.removesuffix(".int8w.onnx")


def refused(opener, folder, file, expected):
    """From the folder and from memory: a status, and a sentence that names the file and tells what was expected."""
    lines = run(opener, folder).splitlines()
    assert len(lines) == 2
    for line, statuses in zip(lines, ({"invalid_model", "model_not_found"}, {"invalid_model", "invalid_argument"}), strict=True):
        status, message = line.split(" ", 1)
        assert status in statuses and stem(file) in message and re.search(expected, message), line


def test_the_model_as_it_should_be(opener, folder):
    assert run(opener, folder).split() == ["ok", "ok"]


GRAPH_OR_NONE = "expected a graph|needs (it|this graph)|no model of GigaAM v3 in this folder"
PIECES = "expected (`piece id`|UTF-8|exactly one `<blk>`)|needs it"


@pytest.mark.parametrize("file", [*GRAPHS, VOCAB])
@pytest.mark.parametrize("how", BREAKS)
def test_a_broken_file(opener, folder, file, how):
    path = folder / file
    whole = path.read_bytes()
    path.unlink()
    if BREAKS[how]:
        path.write_bytes(BREAKS[how](whole))
    if (file, how) == (VOCAB, "without its end"):
        # That is the end of its last line, which is not missed.
        assert run(opener, folder).split() == ["ok", "ok"]
    else:
        refused(opener, folder, file, PIECES if file == VOCAB else GRAPH_OR_NONE)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda path: path.stem)
def test_a_graph_of_another_kind(opener, folder, wrong):
    for file in GRAPHS:
        whole = (folder / file).read_bytes()
        shutil.copy(wrong, folder / file)
        # These two are encoders, and it is the joint network that cannot take what they give.
        named = GRAPHS[2] if wrong.stem in {"fails", "wide"} and file == GRAPHS[0] else file
        refused(opener, folder, named, r"expected (\d (in|out)puts|a graph|as many)")
        (folder / file).write_bytes(whole)


@pytest.mark.parametrize("which", OTHER_VOCABS)
def test_the_vocabulary_of_another_model(opener, folder, which):
    path = folder / VOCAB
    path.write_bytes(OTHER_VOCABS[which](path.read_bytes()))
    refused(opener, folder, GRAPHS[2], r"expected as many classes in its output as pieces in the vocabulary, (99|101), found 100")


def test_graphs_in_each_others_place(opener, folder):
    contents = [(folder / file).read_bytes() for file in GRAPHS]
    for file, content in zip(GRAPHS, contents[1:] + contents[:1], strict=True):
        (folder / file).write_bytes(content)
    refused(opener, folder, GRAPHS[0], r"expected 2 inputs `audio_signal` .* found 3 `x`")


def test_no_folder(opener, tmp_path):
    nowhere = tmp_path / "nowhere"
    assert run(opener, nowhere).splitlines()[0] == f"model_not_found {nowhere}: expected a folder with a model, found none"
