"""Writes benchmarks.md and its plots from what bench.py found.

    python tests/bench/page.py docs/benchmarks/RESULT.json docs
"""

import json
import statistics
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams |= {"svg.hashsalt": "gigastt", "font.size": 10, "axes.spines.top": False, "axes.spines.right": False}

from matplotlib import pyplot as plt  # noqa: E402

from compare import SPREAD_MIN, drift  # noqa: E402

LAYERS, WIDTH, FEED_FORWARD, MELS = 16, 768, 3_072, 64
FRAME_S = 0.04
MINUTES = 40
OURS, PEERS = "gigastt int8", ("onnx-asr int8", "onnx-asr fp32")
COLOURS = {"gigastt int8": "#0a7", "gigastt fp32": "#7cb", "onnx-asr int8": "#c42", "onnx-asr fp32": "#e9a", "sherpa-onnx int8": "#46b", "sherpa-onnx fp32": "#9ad"}


def write(found: dict[str, Any], folder: Path) -> Path:
    """The page's path."""
    pictures = folder / "benchmarks"
    pictures.mkdir(parents=True, exist_ok=True)
    parts = [head(found)]
    if found.get("files"):
        parts.append(files(found["files"], pictures))
        parts.append(ratios(found["files"], found.get("encoders", [])))
        parts.append(where_time_goes(found["files"], found.get("peak")))
    if found.get("streams"):
        parts.append(streams(found["streams"], pictures))
    if found.get("loads"):
        parts.append(loads(found["loads"]))
    for name, write_part in [("memory", memory), ("binding_costs", bindings), ("cancel", cancel), ("drain", drain)]:
        if found.get(name):
            parts.append(write_part(found[name]))
    parts.append(tail(found))
    path = folder / "benchmarks.md"
    path.write_text("\n\n".join(part.strip() for part in parts) + "\n")
    return path


def head(found: dict[str, Any]) -> str:
    machine = found["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items() if version)
    full_size = "GigaAM v3 e2e_rnnt in full size with random weights ([how it is made](../tests/bench/README.md))."
    model = "The embedded model." if found["size"] == "smoke" else full_size
    return f"""
# Benchmarks

This page is written by `make bench` (about {MINUTES} minutes) or `make bench-quick` (some minutes); this one by a {found["size"]} run of
{found["took_s"] / 60:.0f} minutes on {found["started"]}, revision {found["revision"]}. Everything below was measured in that one run, each
implementation in processes of its own and in turns with the others, on the same audio, weights and threads. Figures
are medians; ± is half the distance between the fastest and the slowest measurement, in % of the median. Recordings are
taken in rounds, each of them once a round. Two runs of the benchmark agree on a case when their medians lie within both
spreads, each taken as {100 * SPREAD_MIN:.0f} % at least, which is what an hour between them was found to make of this kind of machine, and
as what the machine's speed differed by from round to round.

| | |
|---|---|
| machine | {machine["cpu"]}, {machine["cores"]} cores ({", ".join(machine["features"])}), {machine["memory_gb"]} GB, {machine["system"]} |
| load when it began | {machine["load"]} |
| its speed, from round to round | ± {100 * drift(found):.1f} % |
| versions | {versions} |
| model | {model} |

A model with random weights costs what the published one costs and writes gibberish: here is time and memory, and
nothing about words.
"""


FILES_TEXT = """## Recordings

Real-time factor of the transcription (seconds of work for a second of audio; loading apart), and the whole process:
wall time, processor time, peak memory.

- *gigastt int8* and *fp32* are the [fast forms](models.md) that `gigastt download` and `gigastt optimize` make of the
  published fp32 files. *As it is*: the engine on the published int8 files, for which nothing was made.
- int8 of the others is the form that is published (every operator, unsigned). sherpa-onnx takes them as a NeMo
  transducer (`tests/bench/make_sherpa.py`) with a front-end of its own.
- Recordings of more than 22 s are cut where gigastt cuts them, for all; the others have the cut list for nothing.
  *Whole*: they get the recording as their users hand it over. The model's table of positions ends at 200 s.
- In a *call* a voice speaks 60 % of the time, in turns of up to four sentences, and then the other side is not heard;
  the other recordings are read, sentence after sentence. gigastt leaves long pauses out, and so does its cut list.
"""


def files(rows: list[dict[str, Any]], pictures: Path) -> str:
    heads = ["audio", "threads", "implementation", "RTF", "±", "process, s", "processor, s", "peak, MB", "gigastt int8 is faster"]
    table = ["| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|"]
    best = best_walls(rows)
    for row in rows:
        start = f"| {audio(row)} | {row['threads']} | {row['who']} |"
        if not row["runs"]:
            table.append(f"{start} failed: {row['failed'].replace('|', '/')} | | | | | |")
            continue
        case = case_of(row)
        wall, ours = best[*case, row["who"]], best.get((*case, OURS))
        ratio = f"{wall / ours:.2f} x" if ours and row["who"] != OURS else ""
        whole = [statistics.median(run[name] for run in row["runs"]) for name in ("process_s", "cpu_s", "peak_mb")]
        table.append(
            f"{start} {wall / row['seconds']:.4f} | {spread([run['wall_s'] for run in row['runs']])} | "
            f"{whole[0]:.2f} | {whole[1]:.2f} | {whole[2]:.0f} | {ratio} |"
        )
    read = {(seconds, who): wall for (seconds, threads, kind, who), wall in best.items() if (threads, kind) == (1, "read")}
    lengths = sorted({seconds for seconds, _ in read})
    figure, axes = plt.subplots(figsize=(7, 3.6))
    for name in dict.fromkeys(who for _, who in read if who in COLOURS):
        points = [(s, read[s, name] / s) for s in lengths if (s, name) in read]
        axes.plot(*zip(*points, strict=True), marker="o", label=name, color=COLOURS[name])
    axes.set(xscale="log", xlabel="seconds of audio", ylabel="real-time factor, one thread", ylim=(0, None))
    axes.set_xticks(lengths, [span(s) for s in lengths])
    axes.minorticks_off()
    if axes.lines:
        axes.legend(frameon=False)
    save(figure, pictures / "recordings.svg")
    return FILES_TEXT + "\n" + "\n".join(table) + "\n\n![Real-time factor against length](benchmarks/recordings.svg)"


def case_of(row: dict[str, Any]) -> tuple[int, int, str]:
    return row["seconds"], row["threads"], row["audio"]


def audio(row: dict[str, Any]) -> str:
    return span(row["seconds"]) + (", a call" if row["audio"] == "call" else "")


def best_walls(rows: list[dict[str, Any]]) -> dict[tuple[int, int, str, str], float]:
    """Median seconds by case and implementation."""
    return {(*case_of(row), row["who"]): statistics.median(run["wall_s"] for run in row["runs"]) for row in rows if row["runs"]}


def ratios(rows: list[dict[str, Any]], encoders: list[dict[str, Any]]) -> str:
    """How many times faster gigastt int8 is than onnx-asr, and what of that comes from where."""
    text = f"""### Where the ratio comes from

How many times faster {OURS} is than onnx-asr on one thread: its encoder alone, on one window of 20 s; on the same
pieces; and against recordings handed over whole. The first is what the fast form gives, and
[how far that is from what the processor can do](models.md#how-far-that-is-from-the-processors-limit) bounds it. On the
same pieces everything else is added, ours and theirs. On whole recordings cutting counts as well: attention grows with
the square of a window, and pauses are not encoded.

| against | encoder alone | """
    best = best_walls(rows)
    alone = [row for row in rows if case_of(row) == (20, 1, "read") and row["who"] == OURS and row["runs"]]
    cases = [case for case in dict.fromkeys(map(case_of, rows)) if case[0] > 22 and case[1] == 1 and (*case, PEERS[0]) in best]
    columns = [(case, end) for case in cases for end in ("", ", whole")]
    names = [f"{audio({'seconds': case[0], 'audio': case[2]})}, {end[2:] or 'same pieces'}" for case, end in columns]
    text += " | ".join(names) + " |\n" + "|---" * (len(columns) + 2) + "|\n"
    for peer in PEERS:
        theirs = [row["encoder_s"] for row in encoders if row["who"] == peer]
        ours = statistics.median(run["encoder_s"] for run in alone[0]["runs"]) if alone else None
        cells = [f"{theirs[0] / ours:.2f}" if theirs and ours else "-"]
        for case, end in columns:
            pair = best.get((*case, peer + end)), best.get((*case, OURS))
            cells.append(f"{pair[0] / pair[1]:.2f}" if all(pair) else "-")
        text += f"| {peer} | " + " | ".join(cells) + " |\n"
    return text


def where_time_goes(rows: list[dict[str, Any]], peak: dict[str, Any] | None) -> str:
    table = [
        "### Where the time goes",
        "| audio | implementation | features | encoder | decoder | rest | outside ONNX Runtime, of the encoder |\n|---|---|---|---|---|---|---|",
    ]
    distances = []
    for row in rows:
        if row["threads"] != 1 or not row["who"].startswith("gigastt") or not row["runs"]:
            continue
        stages = {stage: statistics.median(run[f"{stage}_s"] or 0 for run in row["runs"]) for stage in ("features", "encoder", "decoder", "rest")}
        total = sum(stages.values())
        shares = " | ".join(f"{100 * value / total:.1f} %" for value in stages.values())
        outside = statistics.median(run["outside_share"] for run in row["runs"])
        table.append(f"| {audio(row)} | {row['who']} | {shares} | {100 * outside:.1f} % |")
        kind = "int8" if "int8" in row["who"] else "f32"
        if peak and row["seconds"] == 20 and row["who"] in (OURS, "gigastt fp32"):
            reached = gflop(20) / stages["encoder"]
            distances.append(f"{row['who']}: {reached:.0f} GFLOP/s of {peak[kind]:.0f} ({100 * reached / peak[kind]:.0f} %)")
    text = table[0] + "\n\n" + "\n".join(table[1:])
    text += "\n\nThe last column is everything that is not inside a call of ONNX Runtime: features, what stands around the calls, text."
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
        if "failed" in crowd:
            text += f"| {crowd['who']} | failed: {crowd['failed'].replace('|', '/')}" + " |" * 10 + "\n"
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
        if "summary" in crowd
    )
    return text + f"\nThe most streams that kept both limits: {most}.\n\n![Partial latency against streams](benchmarks/streams.svg)"


def loads(rows: list[dict[str, Any]]) -> str:
    text = "## Loading\n\nSeconds until the model is ready. Cold: the files are not in the system's memory.\n\n"
    text += "| | cold | ± | warm | ± |\n|---|---|---|---|---|\n"
    for name in dict.fromkeys(row["who"] for row in rows):
        by_state = {row["cold"]: row for row in rows if row["who"] == name}
        cells = []
        for cold in (True, False):
            row = by_state.get(cold, {"load_s": [], "failed": "not measured"})
            cells += [f"{statistics.median(row['load_s']):.2f}", spread(row["load_s"])] if row["load_s"] else [row["failed"], ""]
        text += f"| {name} | " + " | ".join(cells) + " |\n"
    return text + "\ngigastt checks a form on this processor before it uses it, and as it is, it cuts an encoder for live text.\n"


def memory(row: dict[str, Any]) -> str:
    n = row["sessions"]
    return f"""## Memory

Megabytes (10^6 bytes) of a process with the int8 model and one thread.

| | MB |
|---|---|
| private, once loaded | {row["model"]:.0f} |
| of that written to; the rest is mapped files, which a second process shares and the system can drop | {row["model_written"]:.0f} |
| private, after a recording of 20 s | {row["after_file"]:.0f} |
| {n} idle streams add | {row["idle"]:.1f} |
| the same {n} in the middle of an utterance of 10 s, each encoded up to its last step, add | {row["active"]:.1f} |
| what the streams count of that themselves: sound, text, kept keys and values | {row["held"]:.1f} |

Kept context is most of that, and at most 40 MB a worker: of as many streams as a core can keep up with. What more streams
say is encoded in windows. {n} streams that speak at the same time, fed in real time to two threads whether they keep up or
not, add {row["kept_kb"] * n / 1e3:.0f} MB of resident memory with the default plan and {row["windows_kb"] * n / 1e3:.0f} MB with one of windows alone.
"""


def bindings(rows: list[dict[str, Any]]) -> str:
    base = statistics.median(run["wall_s"] for run in rows[0]["runs"]) if rows[0]["runs"] else None
    text = f"## What the bindings cost\n\nA recording of {span(rows[0]['seconds'])}, one thread, int8.\n\n"
    text += "| | seconds | ± | against Rust |\n|---|---|---|---|\n"
    for row in rows:
        if not row["runs"]:
            text += f"| {row['who']} | failed: {row['failed'].replace('|', '/')} | | |\n"
            continue
        walls = [run["wall_s"] for run in row["runs"]]
        against = f"{100 * (statistics.median(walls) / base - 1):+.1f} %" if base else "-"
        text += f"| {row['who']} | {statistics.median(walls):.3f} | {spread(walls)} | {against} |\n"
    return text


def cancel(row: dict[str, Any]) -> str:
    def cells(values: list[float]) -> str:
        return " | ".join(f"{values[int((len(values) - 1) * share)]:.2f}" for share in (0.5, 0.95, 1))

    return f"""## Cancelling

A stream is cancelled while the only worker encodes 20 s for it and another stream's final waits; {row["rounds"]} times. Milliseconds.

| | p50 | p95 | longest |
|---|---|---|---|
| the call | {cells(row["call"])} |
| how much later the other's final comes than on an idle machine | {cells(row["wait"])} |
"""


def drain(row: dict[str, Any]) -> str:
    codes = ", ".join(map(str, row["codes"]))
    return f"""## Draining

{row["sessions"]} sockets in the middle of an utterance of 8 s, then SIGTERM: the service ended {row["drain_s"]:.2f} s later;
{row["finals"]} finals came; sockets closed with {codes}.
"""


def tail(found: dict[str, Any]) -> str:
    hashes = "\n".join(f"| `{name}` | `{sum_}` |" for name, sum_ in sorted(found["model"].items()))
    return f"""## What was not measured

The published weights, [GPUs](deployment.md#on-a-gpu) and [other processors](models.md#on-another-processor) in this run, other systems than Linux; how right the text is (see [streaming.md](streaming.md));
live streams over the service (see there, too); onnx-asr behind a voice activity detector of its own, whose pieces would
be about those of the cut list.
{failed(found)}
## To repeat it

    make bench          # or make bench-quick
    make bench-compare  # the last two results

Results stay in `docs/benchmarks/` as JSON. The model's files:

| file | SHA-256 |
|---|---|
{hashes}
"""


def failed(found: dict[str, Any]) -> str:
    rows = [f"- `{part}` failed: {why}" for part, why in found.get("failed", {}).items()]
    return "\n" + "\n".join(rows) + "\n" if rows else ""


def span(seconds: int) -> str:
    if seconds < 180:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 3_600 else f"{seconds // 3_600} h"


def spread(values: list[float]) -> str:
    return f"{50 * (max(values) - min(values)) / statistics.median(values):.0f} %" if len(values) > 1 else "-"


def ms(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def save(figure: Any, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    print(write(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])))
