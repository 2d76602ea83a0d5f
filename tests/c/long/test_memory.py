"""Valgrind and AddressSanitizer over the programs: no error, no leak."""

import os
import re
import subprocess
import wave
from pathlib import Path

import pytest
from support import ROOT, SAMPLES, run, spoken

SAMPLE, OTHER = "sample_00", "sample_01"
WAV, OTHER_WAV = SAMPLES / f"{SAMPLE}.wav", SAMPLES / f"{OTHER}.wav"
POSIX = ["-D_POSIX_C_SOURCE=200809L"]

# Still-reachable blocks are what ONNX Runtime and the log keep for the process's life.
VALGRIND = [
    "valgrind",
    "--quiet",
    "--leak-check=full",
    "--errors-for-leak-kinds=definite,indirect,possible",
    "--error-exitcode=99",
    f"--suppressions={ROOT}/tests/c/valgrind.supp",
]

PROGRAMS = {
    "words": ("examples/c/words.c", [WAV], [spoken(SAMPLE)]),
    "callback": ("examples/c/callback.c", [WAV], [spoken(SAMPLE)]),
    "poll": ("examples/c/poll.c", [], [spoken(SAMPLE)]),
    "two_speakers": ("examples/cpp/two_speakers.cpp", [WAV, OTHER_WAV], [spoken(SAMPLE), spoken(OTHER)]),
    "fork": ("tests/c/fork.c", [WAV], ["child: 0"]),
}


def samples():
    with wave.open(str(WAV)) as wav:
        return wav.readframes(wav.getnframes())


@pytest.mark.parametrize("name", PROGRAMS)
def test_valgrind(build, name):
    source, arguments, expected = PROGRAMS[name]
    # A forked child lacks the other threads, and valgrind their stacks, from which ONNX Runtime's memory hangs:
    # there it would take all of that for lost. Errors are looked for in both processes.
    leaks = ["--leak-check=no"] if name == "fork" else []
    printed = run(*VALGRIND, *leaks, build(source, flags=POSIX), *arguments, stdin=samples() if name == "poll" else b"")
    assert printed.split("\n")[:-1] == expected


@pytest.fixture
def sanitized():
    """For a program with AddressSanitizer over the library with it, which `scripts/sanitize` has built."""
    folder = Path(os.environ["GIGASTT_SANITIZED"]).resolve()
    return [*POSIX, "-fsanitize=address", f"-L{folder}", f"-Wl,-rpath,{folder}"]


@pytest.fixture
def environment(prefix):
    return {**os.environ, "ORT_DYLIB_PATH": str(prefix / "lib/gigastt/libonnxruntime.so")}


@pytest.mark.parametrize("name", PROGRAMS)
def test_address_sanitizer(build, sanitized, environment, name):
    source, arguments, expected = PROGRAMS[name]
    program = build(source, flags=sanitized)
    printed = run(program, *arguments, env=environment, stdin=samples() if name == "poll" else b"")
    assert printed.split("\n")[:-1] == expected


def test_the_sanitizer_is_really_in(build, sanitized, environment, tmp_path):
    """It catches a program that reads a text of the library after its release, one that forgets a result, and one that
    has the library itself read beyond the end of an array."""
    source = tmp_path / "broken.c"
    source.write_text(
        """#include <gigastt.h>
#include <stdlib.h>
int main(int argc, char **argv) {
    gigastt_error *error = NULL;
    (void)argv;
    if (argc > 2) {
        gigastt_engine *engine = NULL;
        gigastt_recognizer *speaker = NULL;
        size_t taken = 0;
        int16_t *samples = calloc(100, sizeof *samples);
        gigastt_engine_open(NULL, &engine, NULL);
        gigastt_recognizer_open(engine, NULL, 16000, &speaker, NULL);
        return gigastt_recognizer_push_pcm(speaker, samples, 101, &taken, NULL);
    }
    gigastt_engine_open(NULL, NULL, &error);
    const char *text = gigastt_error_message(error).data;
    if (argc > 1) {
        error = NULL;
        return 0;
    }
    gigastt_error_release(error);
    return text[0];
}
"""
    )
    program = build(source, flags=sanitized)
    faults = [
        ([], "heap-use-after-free"),
        (["leak"], "detected memory leaks"),
        (["array", "end"], r"SUMMARY: AddressSanitizer: heap-buffer-overflow \S*(gigastt-core|core/src)/"),
    ]
    for arguments, found in faults:
        done = subprocess.run([program, *arguments], env=environment, capture_output=True, text=True)
        assert done.returncode != 0 and re.search(found, done.stderr), done.stderr
