"""Other people's builds: CMake, pkg-config, a moved tree, a clang module, and a changed interface."""

import os
import re
import shutil
from pathlib import Path

import pytest
from support import HEADER, ROOT, SAMPLES, functions, run, spoken

SAMPLE, OTHER = "sample_08", "sample_04"
WAV, OTHER_WAV = SAMPLES / f"{SAMPLE}.wav", SAMPLES / f"{OTHER}.wav"
REFERENCE = ROOT / "gigastt-ffi" / "abi" / "libgigastt.abi"


def check(folder):
    assert run(folder / "words", WAV).strip() == spoken(SAMPLE)
    assert run(folder / "two_speakers", WAV, OTHER_WAV).splitlines() == [spoken(SAMPLE), spoken(OTHER)]


def test_a_cmake_project(prefix, tmp_path):
    run("cmake", "-S", ROOT / "tests/c/cmake", "-B", tmp_path, f"-DCMAKE_PREFIX_PATH={prefix}")
    run("cmake", "--build", tmp_path)
    check(tmp_path)
    (tmp_path / "libonnxruntime.so").symlink_to(prefix / "lib/gigastt/libonnxruntime.so")
    assert run(tmp_path / "words_static", WAV).strip() == spoken(SAMPLE)


def test_a_pkg_config_project(prefix, tmp_path):
    env = {**os.environ, "PKG_CONFIG_PATH": str(prefix / "lib/pkgconfig")}
    run("make", "-C", ROOT / "tests/c/pkgconfig", f"OUT={tmp_path}", env=env)
    check(tmp_path)
    env_of_static = run("pkg-config", "--libs", "--static", "gigastt", env=env).split()
    assert "-lm" in env_of_static


def documented(document, heading):
    """The first commands under a heading."""
    text = (ROOT / document).read_text()
    return re.search(rf"^## {heading}$.*?^```sh\n(.*?)^```", text, flags=re.M | re.S)[1]


@pytest.fixture
def typed(prefix, tmp_path):
    """Runs what a document says, word by word but for what installs the library, which is there as it says."""
    (tmp_path / "gigastt").symlink_to(prefix)
    for name in ("examples", "include", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "words.c").symlink_to(ROOT / "examples/c/words.c")
    (tmp_path / "speech.wav").symlink_to(WAV)
    kept = ("PKG_CONFIG_PATH", "LD_LIBRARY_PATH", "ORT_DYLIB_PATH")
    env = {name: value for name, value in os.environ.items() if name not in kept} | {"HOME": str(tmp_path)}

    def typed(*parts):
        lines = [line for part in parts for line in part.splitlines() if not line.startswith("make install")]
        return run("sh", "-ec", "\n".join([f"cd {tmp_path}", *lines]), env=env).strip()

    return typed


@pytest.mark.parametrize("document, heading", [("README.md", "From C, C\\+\\+ and Swift"), ("docs/embedding.md", "C")])
def test_the_documented_commands(typed, document, heading):
    assert typed(documented(document, heading)) == spoken(SAMPLE)


def test_the_documented_static_program_needs_no_library(typed, prefix):
    path = f"export PKG_CONFIG_PATH={prefix}/lib/pkgconfig"
    needed = typed(path, documented("docs/embedding.md", "Static linking"), "ldd words")
    assert "libc.so" in needed and "gigastt" not in needed
    assert typed(f"ln -s {prefix}/lib/gigastt/libonnxruntime.so .", "./words speech.wav") == spoken(SAMPLE)


def test_the_documented_module_map_links_nothing(typed):
    """An xcframework's archive has another name than the one that the module map asks for."""
    (line,) = re.findall(r"^ *(sed .*module\.modulemap.*)$", (ROOT / "docs/embedding.md").read_text(), flags=re.M)
    made = typed("mkdir -p headers/here", "target=here", line, "cat headers/here/module.modulemap")
    before = (ROOT / "include/module.modulemap").read_text()
    assert made.split() == before.replace('link "gigastt"', "").split() != before.split()


def test_the_tree_may_be_moved(prefix, tmp_path):
    moved = tmp_path / "elsewhere"
    shutil.copytree(prefix, moved, symlinks=True)
    env = {**os.environ, "PKG_CONFIG_PATH": str(moved / "lib/pkgconfig")}
    (tmp_path / "out").mkdir()
    run("make", "-C", ROOT / "tests/c/pkgconfig", f"OUT={tmp_path / 'out'}", env=env)
    assert str(moved) in run("ldd", tmp_path / "out/words")
    check(tmp_path / "out")


def test_a_package_is_put_together_elsewhere(tmp_path):
    """`DESTDIR` is where the files go, and nothing in them knows of it. Without ONNX Runtime, as who has his own."""
    env = {**os.environ, "PREFIX": "/opt/gigastt", "DESTDIR": str(tmp_path), "PROFILE": "dev", "RUNTIME": "none"}
    run(ROOT / "scripts/install", env=env)
    assert (tmp_path / "opt/gigastt/lib/libgigastt.so.1").resolve().is_file()
    assert not (tmp_path / "opt/gigastt/lib/gigastt/libonnxruntime.so").exists()
    for text in [*tmp_path.rglob("*.pc"), *tmp_path.rglob("*.cmake")]:
        assert str(tmp_path) not in text.read_text()


def test_a_tarball_works_where_it_is_unpacked(tmp_path):
    tarball = ROOT / run(ROOT / "scripts/dist", env={**os.environ, "PROFILE": "dev"}).split()[-1]
    shutil.unpack_archive(tarball, tmp_path)
    (tree,) = tmp_path.iterdir()
    assert {"LICENSE", "CHANGELOG.md", "docs", "examples", "include", "lib"} == {entry.name for entry in tree.iterdir()}
    links = re.findall(r"\]\(([^)#:]+)\)", (tree / "docs/embedding.md").read_text())
    assert links and [link for link in links if not (tree / "docs" / link).exists()] == []
    for text, words in (("LICENSE", "MIT License"), ("ThirdPartyNotices", "THIRD PARTY SOFTWARE NOTICES")):
        assert words in (tree / f"lib/gigastt/onnxruntime-{text}.txt").read_text(errors="replace")
    env = {**os.environ, "PKG_CONFIG_PATH": str(tree / "lib/pkgconfig")}
    (tmp_path / "out").mkdir()
    run("make", "-C", ROOT / "tests/c/pkgconfig", f"OUT={tmp_path / 'out'}", env=env)
    check(tmp_path / "out")


def test_a_clang_module(prefix, tmp_path):
    """What `import CGigastt` of Swift does with the module map."""
    source = tmp_path / "module.c"
    source.write_text("@import CGigastt;\nint main(void) { return gigastt_abi_version() == GIGASTT_ABI_VERSION ? 0 : 1; }\n")
    flags = ["-fmodules", f"-fmodules-cache-path={tmp_path / 'cache'}", "-x", "objective-c", "-Wall", "-Werror"]
    for maps in (prefix / "include/gigastt/module.modulemap", ROOT / "include/module.modulemap"):
        program = tmp_path / "module"
        link = [f"-L{prefix}/lib", "-lgigastt", f"-Wl,-rpath,{prefix}/lib"]
        run("clang", *flags, f"-fmodule-map-file={maps}", source, "-o", program, *link)
        run(program)


def interface(header, folder):
    """A library with a stub for each function of a header. The built one holds the insides of the opaque types
    too, which abidiff would compare; other tests hold the header equal to the sources and to the exports."""
    stubs = ["#include <gigastt.h>\n"]
    for kind, name, args in functions(header):
        nothing = "" if kind == "void" else f"static {kind.replace('const ', '')} nothing; return nothing;"
        stubs.append(f"{kind} {name}({', '.join(args) or 'void'}) {{ {nothing} }}\n")
    (folder / "gigastt.h").write_text(header)
    (folder / "stubs.c").write_text("".join(stubs))
    library = folder / "interface.so"
    flags = ["-w", "-g", "-shared", "-fPIC", f"-I{folder}", "-Wl,-soname,libgigastt.so.1"]
    run("cc", *flags, "-o", library, folder / "stubs.c")
    return library


def compare(library, code):
    """abidiff's report; it ends with a bit set: 4 changed, 8 incompatibly."""
    return run("abidiff", "--harmless", "--no-architecture", "--no-added-syms", REFERENCE, library, code=code)


def test_the_interface_is_that_of_the_reference(tmp_path):
    """`make abi` writes the reference: together with a new number in the SONAME, or when something was added."""
    library = interface(HEADER.read_text(), tmp_path)
    if os.environ.get("GIGASTT_WRITE_ABI"):
        quiet = ["--no-comp-dir-path", "--no-corpus-path", "--no-show-locs", "--no-elf-needed"]
        run("abidw", *quiet, "--out-file", REFERENCE, library)
    compare(library, 0)


CHANGES = {
    "a signature": ("int64_t timeout_ms,\n", "int32_t timeout_ms,\n", 4, "gigastt_recognizer_finish"),
    "a field": ("double confidence;", "float confidence;", 4, "confidence"),
    "a return type": ("size_t gigastt_live_objects", "uint32_t gigastt_live_objects", 4, "gigastt_live_objects"),
    "a function that is gone": ("int32_t gigastt_abi_version(void);", "", 12, "gigastt_abi_version"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_changed_interface_is_found(tmp_path, what):
    """The gate itself, by one mutation of each kind."""
    before, after, code, told = CHANGES[what]
    header = HEADER.read_text()
    assert before in header
    assert told in compare(interface(header.replace(before, after), tmp_path), code)


def test_onnx_runtime_may_be_linked(prefix, tmp_path):
    """Feature `ort-link`: the program links the archive and ONNX Runtime, and nothing is looked for."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    cargo = os.environ.get("CARGO", "cargo")
    package = ["--manifest-path", ROOT / "Cargo.toml", "-p", "gigastt-ffi", "--features", "ort-link"]
    # In the folder of the other builds, whose dependencies serve here as well. What was built there is written over,
    # which is why the archive is taken away at once; who installs has cargo put the other one in its place again.
    run(cargo, "rustc", "--locked", "--quiet", *package, "--lib", "--crate-type", "staticlib")
    archive = shutil.copy(target / "debug/libgigastt_ffi.a", tmp_path / "libgigastt_ffi.a")
    private = (prefix / "lib/pkgconfig/gigastt.pc").read_text().split("Libs.private:")[1].split()
    shutil.copy(prefix / "lib/gigastt/libonnxruntime.so", tmp_path / "libonnxruntime.so.1")
    program = tmp_path / "bin/words"
    program.parent.mkdir()
    runtime = [tmp_path / "libonnxruntime.so.1", f"-Wl,-rpath,{tmp_path}"]
    source = ROOT / "examples/c/words.c"
    run("cc", "-std=c99", f"-I{prefix}/include", "-o", program, source, archive, *runtime, *private)
    env = {**os.environ, "ORT_DYLIB_PATH": str(tmp_path / "nowhere.so")}
    assert run(program, WAV, env=env).strip() == spoken(SAMPLE)
