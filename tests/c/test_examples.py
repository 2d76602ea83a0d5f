"""The examples print the words of the recordings."""

import re
import wave

import pytest
from support import ROOT, SAMPLES, run, spoken

SAMPLE, OTHER = "sample_08", "sample_04"
WAV = SAMPLES / f"{SAMPLE}.wav"


@pytest.fixture(params=["shared", "static"])
def words(request, build, prefix):
    program = build("examples/c/words.c", link=request.param)
    if request.param == "static":
        # As an application ships it: the code is in the program, ONNX Runtime lies beside it.
        (program.parent / "libonnxruntime.so").symlink_to(prefix / "lib/gigastt/libonnxruntime.so")
    return program


def test_words_of_a_file(words):
    assert run(words, WAV).strip() == spoken(SAMPLE)


def test_words_of_standard_input(words):
    assert run(words, "-", stdin=WAV.read_bytes()).strip() == spoken(SAMPLE)


def test_words_of_nothing(words):
    assert run(words, "/nowhere.wav", code=2) == ""


def test_words_of_a_long_recording(build, tmp_path):
    """Finals that nobody takes fill a recognizer, here by two: the program takes them while it pushes."""
    source = tmp_path / "bounded.c"
    source.write_text(
        """#include <gigastt.h>
static gigastt_status open_bounded(gigastt_engine *engine, const gigastt_config *none, int32_t rate,
                                   gigastt_recognizer **recognizer, gigastt_error **error) {
    gigastt_config *config = NULL;
    (void)none;
    gigastt_status status = gigastt_config_new(&config, error);
    if (status == GIGASTT_OK) status = gigastt_config_set(config, "finals_max", "2", error);
    if (status == GIGASTT_OK) status = gigastt_recognizer_open(engine, config, rate, recognizer, error);
    gigastt_config_release(config);
    return status;
}
#define gigastt_recognizer_open open_bounded
#include "words.c"
"""
    )
    with wave.open(str(WAV)) as wav:
        form, samples = wav.getparams(), wav.readframes(wav.getnframes())
    recording = tmp_path / "long.wav"
    with wave.open(str(recording), "wb") as wav:
        wav.setparams(form)
        wav.writeframes((samples + bytes(2 * 2 * form.framerate)) * 8)
    printed = run(build(source, flags=[f"-I{ROOT}/examples/c"]), recording)
    assert printed.split() == spoken(SAMPLE).split() * 8


def test_callback(build):
    assert run(build("examples/c/callback.c"), WAV).strip() == spoken(SAMPLE)


def test_poll_loop(build):
    with wave.open(str(WAV)) as wav:
        samples = wav.readframes(wav.getnframes())
    program = build("examples/c/poll.c", flags=["-D_POSIX_C_SOURCE=200809L"])
    assert run(program, stdin=samples).strip() == spoken(SAMPLE)


def test_two_speakers(build):
    printed = run(build("examples/cpp/two_speakers.cpp"), WAV, SAMPLES / f"{OTHER}.wav")
    assert printed.splitlines() == [spoken(SAMPLE), spoken(OTHER)]


def test_the_program_in_the_documentation(build, tmp_path):
    document = (ROOT / "docs" / "embedding.md").read_text()
    (program,) = re.findall(r"```cpp\n(.*?)```", document, flags=re.S)
    source = tmp_path / "document.cpp"
    source.write_text(
        """#include <fstream>
#include <gigastt.hpp>
#include <iostream>
#include <vector>
int main(int, char **argv) {
    std::ifstream file(argv[1], std::ios::binary);
    file.seekg(44);
    std::vector<std::int16_t> samples;
    for (std::int16_t sample; file.read(reinterpret_cast<char *>(&sample), sizeof sample);) samples.push_back(sample);
"""
        + program
        + "}\n"
    )
    assert run(build(source), WAV).strip() == spoken(SAMPLE)


def test_sessions_side_by_side_are_as_alone(build):
    """One round of each of 8 threads; `make test-all` goes on for a minute."""
    program = build("tests/c/sessions.cpp")
    samples = [SAMPLES / f"sample_{number}.wav" for number in ("00", "01", "02", "04", "05", "08")]
    assert run(program, 0, *samples) == "sessions: 32, different: 0\n"
