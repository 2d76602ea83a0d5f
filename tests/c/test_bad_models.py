"""Bad model files: a status and a sentence, from a folder and from memory; the host lives."""

import shutil

import pytest
from broken import BREAKS, GRAPHS, VOCAB, WRONG, copy_model
from support import run


@pytest.fixture(scope="module")
def opener(build):
    return build("tests/c/open_model.c")


@pytest.fixture
def folder(tmp_path):
    copy_model(tmp_path)
    return tmp_path


def refused(opener, folder):
    for status in run(opener, folder).split():
        assert status in {"invalid_model", "model_not_found", "invalid_argument", "io"}


def test_the_model_as_it_should_be(opener, folder):
    assert run(opener, folder).split() == ["ok", "ok"]


@pytest.mark.parametrize("file", [*GRAPHS, VOCAB])
@pytest.mark.parametrize("how", BREAKS)
def test_a_broken_file(opener, folder, file, how):
    # The last byte of a vocabulary is the end of its last line.
    if (file, how) == (VOCAB, "without its end"):
        return
    path = folder / file
    whole = path.read_bytes()
    path.unlink()
    if BREAKS[how]:
        path.write_bytes(BREAKS[how](whole))
    refused(opener, folder)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda path: path.stem)
def test_a_graph_of_another_kind(opener, folder, wrong):
    for file in GRAPHS:
        whole = (folder / file).read_bytes()
        shutil.copy(wrong, folder / file)
        # This one is right and fails when it is run, which is another test.
        if (wrong.stem, file) != ("fails", GRAPHS[0]):
            refused(opener, folder)
        (folder / file).write_bytes(whole)


def test_graphs_in_each_others_place(opener, folder):
    contents = [(folder / file).read_bytes() for file in GRAPHS]
    for file, content in zip(GRAPHS, contents[1:] + contents[:1], strict=True):
        (folder / file).write_bytes(content)
    refused(opener, folder)


def test_no_folder(opener, tmp_path):
    assert run(opener, tmp_path / "nowhere").split()[0] == "model_not_found"
