"""Writes benchmarks.md and its plots from what bench.py found.

    python tests/bench/page.py docs/benchmarks/RESULT.json docs
"""

import json
import statistics
import sys
import textwrap
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams |= {"svg.hashsalt": "gigastt", "font.size": 10, "axes.spines.top": False, "axes.spines.right": False}

from matplotlib import pyplot as plt  # noqa: E402

LAYERS, WIDTH, FEED_FORWARD, MELS = 16, 768, 3_072, 64
FRAME_S = 0.04
COLOURS = {"gigastt int8": "#0a7", "gigastt fp32": "#7cb", "onnx-asr int8": "#c42", "onnx-asr fp32": "#e9a", "sherpa-onnx int8": "#46b", "sherpa-onnx fp32": "#9ad"}


def write(found: dict[str, Any], folder: Path) -> Path:
    """The page's path."""
    pictures = folder / "benchmarks"
    pictures.mkdir(parents=True, exist_ok=True)
    parts = [head(found)]
    if "files" in found:
        parts.append(files(found["files"], found.get("peak"), pictures))
    if "streams" in found:
        parts.append(streams(found["streams"], pictures))
    if "loads" in found:
        parts.append(loads(found["loads"]))
    if "memory" in found:
        parts.append(memory(found["memory"]))
    if "binding_costs" in found:
        parts.append(bindings(found["binding_costs"]))
    if "drain" in found:
        parts.append(drain(found["drain"]))
    parts.append(tail(found))
    path = folder / "benchmarks.md"
    path.write_text("\n\n".join(part.strip() for part in parts) + "\n")
    return path


def head(found: dict[str, Any]) -> str:
    machine = found["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items() if version)
    model = {
        "full": "GigaAM v3 e2e_rnnt in full size with random weights ([how it is made](../tests/bench/README.md)).",
        "quick": "GigaAM v3 e2e_rnnt in full size with random weights ([how it is made](../tests/bench/README.md)).",
        "smoke": "The embedded model.",
    }[found["size"]]
    return f"""
# Benchmarks

This page is written by `make bench` (about an hour) or `make bench-quick` (some minutes); this one by a {found["size"]} run of
{found["took_s"] / 60:.0f} minutes on {found["started"]}, revision {found["revision"]}. Everything below was measured in that one run, each
implementation in processes of its own and in turns with the others, on the same audio, weights and threads. Figures
are medians; ± is half the distance between the fastest and the slowest run, in % of the median.

| | |
|---|---|
| machine | {machine["cpu"]}, {machine["cores"]} cores ({", ".join(machine["features"])}), {machine["memory_gb"]} GB, {machine["system"]} |
| load when it began | {machine["load"]} |
| versions | {versions} |
| model | {model} |

A model with random weights costs what the published one costs and writes gibberish: here is time and memory, and
nothing about words.
"""


def files(rows: list[dict[str, Any]], peak: dict[str, Any] | None, pictures: Path) -> str:
    names = list(dict.fromkeys(row["who"] for row in rows))
    table = [
        "## Recordings",
        "Real-time factor of the transcription (seconds of work for a second of audio; loading apart), and the whole "
        "process: wall time, processor time, peak memory. Recordings of more than 22 s are cut where gigastt cuts them, "
        "for all; the others have the cut list for nothing. int8 of the others is the form that is published (every operator, "
        "unsigned), int8 of gigastt its own from the same weights. sherpa-onnx takes them as a NeMo transducer "
        "(`tests/bench/make_sherpa.py`) with a front-end of its own.",
        "| audio | threads | implementation | RTF | ± | process, s | processor, s | peak, MB | gigastt int8 is faster |\n|---|---|---|---|---|---|---|---|---|",
    ]
    best = {}
    for row in rows:
        walls = [run["wall_s"] for run in row["runs"]]
        best[row["seconds"], row["threads"], row["who"]] = statistics.median(walls)
    for row in rows:
        key = (row["seconds"], row["threads"])
        wall = best[*key, row["who"]]
        ours = best.get((*key, "gigastt int8"))
        ratio = f"{wall / ours:.2f} x" if ours and row["who"] != "gigastt int8" else ""
        whole = [statistics.median(run[name] for run in row["runs"]) for name in ("process_s", "cpu_s", "peak_mb")]
        table.append(
            f"| {span(row['seconds'])} | {row['threads']} | {row['who']} | {wall / row['seconds']:.4f} | {spread(row['runs'])} | "
            f"{whole[0]:.2f} | {whole[1]:.2f} | {whole[2]:.0f} | {ratio} |"
        )
    text = table[0] + "\n\n" + textwrap.fill(table[1], 115) + "\n\n" + "\n".join(table[2:])
    lengths = sorted({row["seconds"] for row in rows if row["threads"] == 1})
    figure, axes = plt.subplots(figsize=(7, 3.6))
    for name in names:
        points = [(s, best[s, 1, name] / s) for s in lengths if (s, 1, name) in best]
        axes.plot(*zip(*points, strict=True), marker="o", label=name, color=COLOURS.get(name))
    axes.set(xscale="log", xlabel="seconds of audio", ylabel="real-time factor, one thread", ylim=(0, None))
    axes.set_xticks(lengths, [span(s) for s in lengths])
    axes.minorticks_off()
    axes.legend(frameon=False)
    save(figure, pictures / "recordings.svg")
    text += "\n\n![Real-time factor against length](benchmarks/recordings.svg)"
    return text + "\n\n" + where_time_goes(rows, peak)


def where_time_goes(rows: list[dict[str, Any]], peak: dict[str, Any] | None) -> str:
    table = ["### Where the time goes", "| audio | implementation | features | encoder | decoder | rest |\n|---|---|---|---|---|---|"]
    distances = []
    for row in rows:
        if row["threads"] != 1 or not row["who"].startswith("gigastt"):
            continue
        stages = {stage: statistics.median(run[f"{stage}_s"] or 0 for run in row["runs"]) for stage in ("features", "encoder", "decoder", "rest")}
        total = sum(stages.values())
        shares = " | ".join(f"{100 * value / total:.1f} %" for value in stages.values())
        table.append(f"| {span(row['seconds'])} | {row['who']} | {shares} |")
        kind = "int8" if "int8" in row["who"] else "f32"
        if peak and row["seconds"] == 20:
            reached = gflop(20) / stages["encoder"]
            distances.append(f"{row['who']}: {reached:.0f} GFLOP/s of {peak[kind]:.0f} ({100 * reached / peak[kind]:.0f} %)")
    text = table[0] + "\n\n" + "\n".join(table[1:])
    if distances:
        text += (
            "\n\nThe matrix products of the encoder for a window of 20 s, against what one core reaches in a single large "
            "product through ONNX Runtime: " + "; ".join(distances) + "."
        )
    return text


def gflop(seconds: float) -> float:
    """10^9 multiplications and additions of the full-size encoder's matrix products for one window."""
    frames = seconds / FRAME_S
    dense = 2 * WIDTH * FEED_FORWARD * 2 + 4 * WIDTH * WIDTH + WIDTH * 2 * WIDTH + WIDTH * WIDTH
    attention = 2 * frames * WIDTH
    subsampling = 5 * MELS * WIDTH * 2 + 5 * WIDTH * WIDTH
    return 2 * frames * (LAYERS * (dense + attention) + subsampling) / 1e9


def streams(crowds: list[dict[str, Any]], pictures: Path) -> str:
    text = """## Live streams

Streams that speak 60 % of the time, fed in real time, two threads on two cores. Partial: from each tenth of a second of
speech to the first text that covers it; final: from the sample that ends the utterance. Milliseconds. A row is too late
when its partials pass 1,500 or its finals 2,000 at p95.

The client of onnx-asr is what one writes without a streaming recogniser: it encodes the audio since the utterance
began again every 0.8 s. It is told for nothing where speech begins and ends, and any answer counts as text
(`tests/bench/children/naive_streams.py`).

| | streams | partial, average | p50 | p90 | p95 | p99 | final, p50 | p95 | cores busy | |
|---|---|---|---|---|---|---|---|---|---|---|
"""
    figure, axes = plt.subplots(figsize=(7, 3.6))
    for crowd in crowds:
        rows = sorted(crowd["rows"], key=lambda row: row["sessions"])
        for row in rows:
            names = ["partial_avg", "partial_p50", "partial_p90", "partial_p95", "partial_p99", "final_p50", "final_p95"]
            late = "" if row["keeps_up"] else "too late"
            cells = " | ".join(ms(row[name]) for name in names)
            cpu = "-" if row["cpu"] is None else f"{row['cpu']:.2f}"
            text += f"| {crowd['who']} | {row['sessions']} | {cells} | {cpu} | {late} |\n"
        points = [(row["sessions"], row["partial_p95"]) for row in rows if row["partial_p95"] is not None]
        if points:
            axes.plot(*zip(*points, strict=True), marker="o", label=crowd["who"])
    axes.axhline(1_500, color="#999", linestyle="--", linewidth=1)
    axes.set(xscale="log", xlabel="streams", ylabel="partial latency, p95, ms", ylim=(0, 4_000))
    ticks = sorted({row["sessions"] for crowd in crowds for row in crowd["rows"]})
    axes.set_xticks(ticks[:: max(len(ticks) // 9, 1)], [str(tick) for tick in ticks[:: max(len(ticks) // 9, 1)]])
    axes.minorticks_off()
    axes.legend(frameon=False)
    save(figure, pictures / "streams.svg")
    most = "; ".join(
        f"{crowd['who']}: {crowd['summary']['effective_sessions']}, "
        f"{crowd['summary']['effective_sessions_per_thread']:.1f} for each core"
        for crowd in crowds
    )
    return text + f"\nThe most streams that kept both limits: {most}.\n\n![Partial latency against streams](benchmarks/streams.svg)"


def loads(rows: list[dict[str, Any]]) -> str:
    text = "## Loading\n\nSeconds until the model is ready. Cold: the files are not in the system's memory.\n\n"
    text += "| | cold | warm |\n|---|---|---|\n"
    for name in dict.fromkeys(row["who"] for row in rows):
        cold, warm = (statistics.median(row["load_s"]) for state in (True, False) for row in rows if (row["who"], row["cold"]) == (name, state))
        text += f"| {name} | {cold:.2f} | {warm:.2f} |\n"
    return text


def memory(row: dict[str, Any]) -> str:
    n = row["sessions"]
    return f"""## Memory

Private memory of a process with the int8 model and one thread: {row["model"]:.0f} MB once loaded, {row["after_file"]:.0f} MB after a
recording of 20 s. {n} idle streams add {row["idle"]:.1f} MB; the same {n} in the middle of an utterance of 10 s another
{row["active"]:.1f} MB. (10^6 bytes.)
"""


def bindings(rows: list[dict[str, Any]]) -> str:
    base = statistics.median(run["wall_s"] for run in rows[0]["runs"])
    text = f"## What the bindings cost\n\nA recording of {span(rows[0]['seconds'])}, one thread, int8.\n\n"
    text += "| | seconds | ± | against Rust |\n|---|---|---|---|\n"
    for row in rows:
        wall = statistics.median(run["wall_s"] for run in row["runs"])
        text += f"| {row['who']} | {wall:.3f} | {spread(row['runs'])} | {100 * (wall / base - 1):+.1f} % |\n"
    return text


def drain(row: dict[str, Any]) -> str:
    codes = ", ".join(map(str, row["codes"]))
    return f"""## Draining

{row["sessions"]} sockets in the middle of an utterance of 8 s, then SIGTERM: the service ended {row["drain_s"]:.2f} s later;
{row["finals"]} finals came; sockets closed with {codes}.
"""


def tail(found: dict[str, Any]) -> str:
    hashes = "\n".join(f"| `{name}` | `{sum_}` |" for name, sum_ in sorted(found["model"].items()))
    return f"""## What was not measured

The published weights, other processors, GPUs, other systems than Linux; how right the text is (see [streaming.md](streaming.md)).

## To repeat it

    make bench          # or make bench-quick
    make bench-compare  # the last two results

Results stay in `docs/benchmarks/` as JSON. The model's files:

| file | SHA-256 |
|---|---|
{hashes}
"""


def span(seconds: int) -> str:
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 3_600 else f"{seconds // 3_600} h"


def spread(runs: list[dict[str, Any]]) -> str:
    walls = [run["wall_s"] for run in runs]
    return f"{50 * (max(walls) - min(walls)) / statistics.median(walls):.0f} %" if len(walls) > 1 else "-"


def ms(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def save(figure: Any, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    print(write(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])))
