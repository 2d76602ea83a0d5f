"""The built library from outside: its symbols, its name, what it needs, and the layout of its structures."""

import re

import pytest
from support import ROOT, functions, run

EXPORTS = ROOT / "gigastt-ffi" / "abi" / "exports.txt"


def dynamic(prefix):
    return run("readelf", "--dynamic", "--wide", prefix / "lib/libgigastt.so")


def exported(prefix):
    table = run("nm", "--dynamic", "--defined-only", "--format=posix", prefix / "lib/libgigastt.so")
    return sorted(line.split()[0] for line in table.splitlines())


def test_exactly_the_listed_symbols_are_exported(prefix):
    """A removed function breaks programs: the list only grows within one number of the SONAME."""
    assert exported(prefix) == EXPORTS.read_text().split()


def test_the_header_declares_what_is_exported(prefix):
    assert sorted(name for _, name, _ in functions()) == exported(prefix)


def test_the_soname(prefix):
    assert re.search(r"SONAME.*\[libgigastt\.so\.1\]", dynamic(prefix))
    assert (prefix / "lib/libgigastt.so").resolve().name.startswith("libgigastt.so.1.")


def test_it_needs_nothing_but_the_system(prefix):
    needed = set(re.findall(r"NEEDED.*\[(.*)\]", dynamic(prefix)))
    assert needed <= {"libgcc_s.so.1", "libm.so.6", "libc.so.6", "libpthread.so.0", "libdl.so.2", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}


def test_the_layout_and_the_numbers(build):
    """What a compiled program has of the header inside it. Changed values need a new SONAME."""
    assert run(build("tests/c/layout.c")) == (ROOT / "gigastt-ffi/abi/layout.txt").read_text()


def test_the_layout_has_every_field_and_number():
    header = re.sub(r"/\*.*?\*/", "", (ROOT / "include/gigastt.h").read_text(), flags=re.S)
    layout = (ROOT / "tests/c/layout.c").read_text()
    numbers = re.findall(r"^#define (GIGASTT_(?!VERSION_)\w+) -?\d+", header, flags=re.M)
    structures = re.findall(r"^typedef struct (\w+) \{(.*?)\}", header, flags=re.M | re.S)
    fields = [(name, field) for name, body in structures for field in re.findall(r"(\w+);", body)]
    lacking = [number for number in numbers if f"NUMBER({number});" not in layout]
    lacking += [f"{name}.{field}" for name, field in fields if f"FIELD({name}, {field});" not in layout]
    assert len(numbers) > 30 and len(fields) > 30 and not lacking


@pytest.mark.parametrize("name", ["gigastt.h", "gigastt.hpp"])
def test_the_headers_stand_alone(build, tmp_path, name):
    suffixes = ["c", "cpp"] if name.endswith(".h") else ["cpp"]
    for suffix in suffixes:
        source = tmp_path / f"alone.{suffix}"
        source.write_text(f"#include <{name}>\n#include <{name}>\nint main(void) {{ return 0; }}\n")
        run(build(source))


def test_the_version_of_the_header_is_that_of_the_library(build, tmp_path):
    source = tmp_path / "version.c"
    source.write_text(
        """#include <gigastt.h>
#include <stdio.h>
#include <string.h>
int main(void) {
    char parts[32];
    snprintf(parts, sizeof parts, "%d.%d.%d", GIGASTT_VERSION_MAJOR, GIGASTT_VERSION_MINOR, GIGASTT_VERSION_PATCH);
    printf("%s", gigastt_version());
    return strcmp(gigastt_version(), GIGASTT_VERSION) || strcmp(parts, GIGASTT_VERSION)
        || gigastt_abi_version() != GIGASTT_ABI_VERSION;
}
"""
    )
    cargo = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), flags=re.M)[1]
    assert run(build(source)) == cargo
