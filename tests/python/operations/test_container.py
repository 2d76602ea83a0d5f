"""The image of the Dockerfile, built and run without a registry of images.

Where there is none, nothing can be pulled. The two images that the Dockerfile begins with are therefore made here:
Debian's by debootstrap, and for Rust's the same with a `cargo` that hands out the program which the tests build
anyway, since compiling it once more would take as long as all other tests. So every instruction of the Dockerfile runs,
but for the compiler.
"""

import json
import os
import shutil
import socket
import subprocess

import pytest

from conftest import ROOT
from service import PATIENCE

FOLDER = ROOT / "target" / "container"
SUITE = "trixie"
# What this machine has to know so that pip finds its index.
TRUST = ["/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt"]

DEBIAN = """
FROM scratch
ADD debian.tar /
"""
RUST = f"""
FROM docker.io/library/debian:{SUITE}-slim
COPY cargo /usr/local/bin/cargo
COPY gigastt /built/gigastt
"""
CARGO = """#!/bin/sh
set -eu
[ "$*" = "build --release --locked -p gigastt-sidecar" ] && [ -f Cargo.lock ] && [ -f gigastt-sidecar/Cargo.toml ]
mkdir -p target/release
cp /built/gigastt target/release/
"""


def run(*command, **options):
    result = subprocess.run(
        list(map(str, command)), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10 * PATIENCE, **options
    )
    assert result.returncode == 0, f"{command}\n{result.stdout[-3000:]}\n{result.stderr[-3000:]}"
    return result.stdout


def buildah(*command, **options):
    places = ["--root", FOLDER / "storage", "--runroot", FOLDER / "run", "--storage-driver", "vfs"]
    return run("buildah", *places, *command, **options)


def build(file, name, context):
    options = ["--isolation", "chroot", "--format", "docker", "--pull-never", "--layers=false"]
    buildah("build", *options, "--file", file, "--tag", name, context)


def debian(tar):
    """A tar of Debian as the slim images are: what is essential, and apt."""
    tree = FOLDER / "debian"
    shutil.rmtree(tree, ignore_errors=True)
    run("debootstrap", "--variant=minbase", "--include=ca-certificates", SUITE, tree, "http://deb.debian.org/debian")
    for path in filter(os.path.exists, TRUST):
        shutil.copy(path, f"{tree}{path}")
    leave = [f"--exclude=./{name}" for name in ["proc/*", "sys/*", "dev/*", "var/cache/apt/archives/*.deb"]]
    run("tar", "-C", tree, *leave, "-cf", tar, ".")
    shutil.rmtree(tree)


@pytest.fixture(scope="module")
def image(program):
    """The name of the image."""
    shutil.rmtree(FOLDER / "storage", ignore_errors=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    tar = FOLDER / "debian.tar"
    if not tar.exists():
        debian(FOLDER / "unfinished.tar")
        (FOLDER / "unfinished.tar").rename(tar)
    for name, text in [("Debian", DEBIAN), ("Rust", RUST), ("cargo", CARGO)]:
        (FOLDER / name).write_text(text)
    (FOLDER / "cargo").chmod(0o755)
    shutil.copy(program, FOLDER / "gigastt")
    needed = [line.split()[1] for line in (ROOT / "Dockerfile").read_text().splitlines() if line.startswith("FROM ")]
    rust, slim = needed
    assert slim == f"debian:{SUITE}-slim" and rust.startswith("rust:") and rust.endswith(f"-slim-{SUITE}")
    build(FOLDER / "Debian", f"docker.io/library/{slim}", FOLDER)
    build(FOLDER / "Rust", f"docker.io/library/{rust}", FOLDER)
    build(ROOT / "Dockerfile", "gigastt", ROOT)
    return "gigastt"


def test_the_image_serves_as_a_user_without_rights(image):
    config = json.loads(buildah("inspect", "--type", "image", image))["Docker"]["config"]
    assert config["User"] == "10001:10001" and config["StopSignal"] == "SIGTERM"
    assert config["ExposedPorts"].keys() == {"9876/tcp", "9090/tcp"}
    kind, *health = config["Healthcheck"]["Test"]
    assert kind == "CMD"
    serve = [*config["Entrypoint"], *config["Cmd"]]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    script = f"""
        set -eu
        id -u; id -g
        {" ".join(config["Entrypoint"])} transcribe --model embedded /samples/sample_00.wav
        {" ".join(serve)} &
        until {" ".join(health)}; do kill -0 $!; sleep 0.2; done
        kill -{config["StopSignal"].removeprefix("SIG")} $!
        wait $!
        echo served
        touch /opt/gigastt/it 2>/dev/null || echo nothing is writable
    """
    container = buildah("from", "--pull-never", image).strip()
    samples = f"{ROOT / 'tests' / 'samples'}:/samples:ro"
    options = ["--isolation", "chroot", "--env", f"GIGASTT_PORT={port}", "--volume", samples]
    told = buildah("run", *options, container, "--", "sh", "-c", script).splitlines()
    spoken = (ROOT / "tests" / "samples" / "sample_00.txt").read_text().strip()
    assert told[:2] == ["10001", "10001"] and told[-2:] == ["served", "nothing is writable"], told
    assert spoken in told
