"""What `specs/prod-readiness-v1.0.md` names is there, and what it says of the sources themselves holds."""

import ast
import re
import tomllib
from collections import Counter

from conftest import ROOT

READINESS = (ROOT / "specs" / "prod-readiness-v1.0.md").read_text()
FIELDS_MAX = 20


def rows():
    """Item, what, where and tests of each row."""
    lines = [line for line in READINESS.splitlines() if line.startswith("| V1-")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def sources(folder, ending):
    return sorted(path for path in (ROOT / folder).rglob(f"*{ending}") if "target" not in path.parts)


def rust_tests(path):
    """Names and bodies of a file's tests."""
    function = re.compile(r"^( *)#\[(?:tokio::)?test\b[^\n]*\]\n(?: *#\[[^\n]*\n)* *(?:async )?fn (\w+)\(.*?^\1\}$", re.M | re.S)
    return [(match[2], match[0].partition("{")[2]) for match in function.finditer(path.read_text())]


def python_tests(path):
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    functions = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds)]
    return [(node.name, ast.dump(ast.Module(node.body, []))) for node in functions if node.name.startswith("test_")]


def found_in(path):
    return python_tests(path) if path.suffix == ".py" else rust_tests(path)


def test_every_item_has_its_place_and_its_test():
    assert [row[0] for row in rows()] == [f"V1-{number:02}" for number in range(1, 31)]
    for item, what, where, shown in rows():
        named = re.findall(r"`([^`]+)`", shown)
        assert what and where and named, item
        for name in named:
            path, _, test = name.partition("::")
            assert test in dict(found_in(ROOT / path)), (item, name)
        for path in re.findall(r"`([^`\s]+/[^`\s]+)`", where):
            assert (ROOT / path).exists(), (item, path)


def test_protobuf_comes_from_one_maintained_crate():
    packages = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    names = {package["name"] for package in packages}
    assert "prost" in names and not names & {"protobuf", "quick-protobuf", "rust-protobuf", "protobuf-codegen"}


def test_no_test_stands_twice():
    folders = ["gigastt-core", "gigastt-ffi", "gigastt-sidecar", "gigastt-py", "tests"]
    paths = [path for folder in folders for ending in [".rs", ".py"] for path in sources(folder, ending)]
    bodies = Counter((body, path.suffix) for path in paths for _, body in found_in(path))
    assert len(bodies) > 300
    assert [body for (body, _), count in bodies.items() if count > 1] == []


def test_no_object_does_everything():
    """No type of the service owns more than a screen of fields."""
    struct = re.compile(r"^(?:pub(?:\([^)]*\))? )?struct (\w+)[^;{]*\{\n(.*?)^\}", re.M | re.S)
    fields = {}
    for path in sources("gigastt-sidecar/src/server", ".rs"):
        for name, body in struct.findall(path.read_text()):
            fields[path.stem, name] = len(re.findall(r"^    (?:pub(?:\([^)]*\))? )?\w+:", body, re.M))
    assert ("mod", "Shared") in fields
    # What the operator may set is one table by its nature.
    assert {name: count for name, count in fields.items() if count > FIELDS_MAX and name[0] != "settings"} == {}
