"""`python -m gigastt`: transcribe recordings, show what is installed."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from typing import TextIO

import gigastt
from gigastt import _models, _runtime

DONE, SOME_FAILED, SETUP_FAILED, INTERRUPTED = 0, 1, 3, 130

FORMATS: dict[str, Callable[[str, gigastt.Transcript], str]] = {
    "text": lambda _, result: "".join(f"{segment.text}\n" for segment in result.segments if segment.text),
    "json": lambda file, result: json.dumps({"file": file, **result.to_dict()}, ensure_ascii=False) + "\n",
    "srt": lambda _, result: result.to_srt(),
    "vtt": lambda _, result: result.to_vtt(),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program; returns its exit code."""
    options = _parser().parse_args(arguments)
    try:
        engine = _engine(options)
    except gigastt.Error as error:
        _complain(error)
        return SETUP_FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    with engine:
        try:
            return _info(engine, sys.stdout) if options.command == "info" else _transcribe(engine, options, sys.stdout)
        except BrokenPipeError:
            # Nobody reads any more; Python would try once more to write the rest.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m gigastt", description="Russian speech recognition.")
    parser.add_argument("--version", action="version", version=gigastt.__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    transcribe = commands.add_parser("transcribe", help="write the words of recordings to standard output")
    transcribe.add_argument("files", nargs="+", metavar="FILE", help="a recording; - is standard input")
    transcribe.add_argument("--format", choices=FORMATS, default="text", help="default: text")
    info = commands.add_parser("info", help="show versions, libraries and the model")
    for command in (transcribe, info):
        names = ", ".join(_models.PUBLISHED)
        model = f"a folder with GigaAM v3, or one of {names}, fetched unless installed; default: the small one inside"
        command.add_argument("--model", default="embedded", help=model)
        command.add_argument("--threads", type=int, help="worker threads; default: the machine's cores")
    return parser


def _engine(options: argparse.Namespace) -> gigastt.Engine:
    if options.model in _models.PUBLISHED:
        return gigastt.Engine.from_pretrained(options.model, threads=options.threads, progress=_Fetching())
    return gigastt.Engine(options.model, threads=options.threads)


class _Fetching:
    """Names each file that is fetched."""

    def __init__(self) -> None:
        self._file = ""

    def __call__(self, state: gigastt.Download) -> None:
        if state.file != self._file:
            self._file = state.file
            size = f", {state.total / 1e6:.1f} MB" if state.total else ""
            sys.stderr.write(f"fetching {state.file}{size}\n")


def _transcribe(engine: gigastt.Engine, options: argparse.Namespace, out: TextIO) -> int:
    code = DONE
    for file in options.files:
        try:
            result = engine.transcribe(sys.stdin.buffer if file == "-" else file)
        except gigastt.Error as error:
            _complain(error)
            code = SOME_FAILED
        except KeyboardInterrupt:
            return INTERRUPTED
        else:
            out.write(FORMATS[options.format](file, result))
            out.flush()
    return code


def _info(engine: gigastt.Engine, out: TextIO) -> int:
    info = engine.info
    quantization = f", {info.quantization}" if info.quantization else ""
    rows = {
        "gigastt": gigastt.__version__,
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "onnxruntime": _runtime.library() or "found by the engine",
        "models": _models.folder(),
        "model": f"{info.name}, {info.source}{quantization}, {info.bytes / 1e6:.1f} MB",
        "threads": engine.threads,
    }
    out.writelines(f"{name:<12} {value}\n" for name, value in rows.items())
    out.flush()
    return DONE


def _complain(error: gigastt.Error) -> None:
    sys.stderr.write(f"gigastt: {error}\n")


if __name__ == "__main__":
    sys.exit(main())
