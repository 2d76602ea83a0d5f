"""The programs of the READMEs do what these say."""

import re
import subprocess
import sys

import pytest
from samples import ROOT, pcm, spoken, wav

README = (ROOT / "gigastt-py" / "README.md").read_text()


@pytest.mark.parametrize("readme", ["README.md", "gigastt-py/README.md"])
def test_the_first_program_prints_the_words(readme):
    program = re.findall(r"```python\n(.*?)```", (ROOT / readme).read_text(), re.DOTALL)[0]
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
    first, *words = run.stdout.splitlines()
    assert first == spoken("sample_08")
    assert [line.split()[-1] for line in words] == first.split()


def test_the_other_programs_run():
    """What they need and do not make themselves: an engine, and somebody who speaks."""
    programs = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[1:]
    assert programs
    given = (
        "import gigastt\nengine = gigastt.Engine()\nsamples = open('tests/samples/sample_08.wav', 'rb').read()[44:]\n"
        "microphone = [samples[at : at + 640] for at in range(0, len(samples), 640)]\n"
    )
    for program in programs:
        run = subprocess.run([sys.executable, "-c", given + program], cwd=ROOT, capture_output=True, text=True)
        assert (run.returncode, run.stderr) == (0, ""), program
        assert spoken("sample_08") in run.stdout, program


@pytest.mark.parametrize("name", ["transcribe", "stream", "stream_asyncio"])
def test_the_examples_run(name):
    """One reads samples from standard input and the others files."""
    files = [] if name == "stream" else [str(wav("sample_08"))]
    command = [sys.executable, str(ROOT / "examples" / "python" / f"{name}.py"), *files]
    run = subprocess.run(command, input=pcm("sample_08").tobytes(), capture_output=True)
    assert run.returncode == 0, run.stderr.decode()
    printed = run.stdout.decode().splitlines()
    if name == "transcribe":
        printed = [" ".join(line.split()[-1] for line in printed)]
    assert printed == [f"{'sample_08.wav: ' if name == 'stream_asyncio' else ''}{spoken('sample_08')}"]
