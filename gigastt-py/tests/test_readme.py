"""The programs of the READMEs do what these say."""

import re
import subprocess
import sys
import wave

import pytest
from samples import RATE, ROOT, pcm, spoken, wav

README = (ROOT / "gigastt-py" / "README.md").read_text()
PROGRAMS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


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
    assert PROGRAMS[1:]
    given = (
        "import gigastt\nengine = gigastt.Engine()\nsamples = open('tests/samples/sample_08.wav', 'rb').read()[44:]\n"
        "microphone = [samples[at : at + 640] for at in range(0, len(samples), 640)]\n"
    )
    for program in PROGRAMS[1:]:
        run = subprocess.run([sys.executable, "-c", given + program], cwd=ROOT, capture_output=True, text=True)
        assert (run.returncode, run.stderr) == (0, ""), program
        assert spoken("sample_08") in run.stdout, program


def test_a_microphone_that_fails_ends_the_programs():
    given = (
        "import gigastt\nengine = gigastt.Engine()\n"
        "def speak():\n    yield bytes(640)\n    raise OSError('the microphone is gone')\nmicrophone = speak()\n"
    )
    for program in PROGRAMS[1:]:
        command = [sys.executable, "-c", given + program]
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
        assert run.returncode == 1, program
        assert "OSError: the microphone is gone" in run.stderr, program


@pytest.mark.parametrize("kind", ["stereo", "8-bit", "no wav"])
def test_the_asyncio_example_refuses_other_recordings(tmp_path, kind):
    path = tmp_path / "talk.wav"
    if kind == "no wav":
        path.write_bytes(b"OggS")
    else:
        with wave.open(str(path), "wb") as recording:
            recording.setparams((2, 2, RATE, 0, "NONE", "") if kind == "stereo" else (1, 1, RATE, 0, "NONE", ""))
            recording.writeframes(bytes(640))
    command = [sys.executable, str(ROOT / "examples" / "python" / "stream_asyncio.py"), str(path)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (1, f"{path}: expected a wav file, 16-bit mono\n")


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
