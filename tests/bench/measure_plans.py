"""Score plans of live recognition: how right, how steady and how early the text is, and what it costs.

    python tests/bench/measure_plans.py PLAYED DIALOGUES

PLAYED is what the example `plans` printed, DIALOGUES what make_dialogues.py made. Prints a table.
Words are compared without case and punctuation. See docs/streaming.md for what the columns mean.
"""

import argparse
import json
import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

SAMPLES = 10_000
"""Sets of recordings that an interval is taken from, drawn with replacement."""

MARK_S = 0.1
"""Latency is taken for a mark of true speech each so often."""


def words(text):
    return re.sub(r"[^\w\s-]", " ", text.lower().replace("ё", "е")).split()


def distance(found, wanted):
    """Words to substitute, insert and delete."""
    row = list(range(len(wanted) + 1))
    for n, a in enumerate(found, 1):
        diagonal, row[0] = row[0], n
        for m, b in enumerate(wanted, 1):
            diagonal, row[m] = row[m], min(row[m] + 1, row[m - 1] + 1, diagonal + (a != b))
    return row[-1]


def first_shown(states, final):
    """Each of the final's places with the word that was shown there first."""
    shown = []
    for state in [*states, final]:
        shown += state[len(shown) :]
    return shown[: len(final)]


def revised(states):
    """Words that were shown and then replaced or taken away."""
    pairs = zip(states, states[1:])
    return sum(sum(1 for n, w in enumerate(old) if new[n : n + 1] != [w]) for old, new in pairs)


@dataclass
class Score:
    words: int = 0
    final_errors: int = 0
    first_errors: dict = field(default_factory=lambda: defaultdict(lambda: np.zeros(2)))
    """Of each recording, and its words."""
    passes_s: float = 0.0
    """Encoded once more at the ends of utterances."""
    first_stable_errors: int = 0
    flicker: int = 0
    stable_flicker: int = 0
    finals: int = 0
    firsts: list = field(default_factory=list)
    first_right: list = field(default_factory=list)
    first_right_in_final: list = field(default_factory=list)
    latencies: list = field(default_factory=list)
    stable_delays: list = field(default_factory=list)
    gaps: list = field(default_factory=list)
    missed: int = 0
    cost: dict = field(default_factory=dict)

    def utterance(self, partials, final, sentences):
        self.passes_s += (final["end"] - final["start"]) * final["second_pass"]
        spoken = [s for s in sentences if final["start"] <= np.mean(s["speech"][-1]) < final["end"]]
        if not spoken:
            self.final_errors += len(words(final["text"]))
            return
        truth = words(" ".join(s["text"] for s in spoken))
        last = words(final["text"])
        texts = [words(p["text"]) for p in partials]
        stables = [words(p["stable"]) for p in partials]
        self.words += len(truth)
        self.finals += len(last)
        self.final_errors += distance(last, truth)
        self.first_errors[final["recording"]] += distance(first_shown(texts, last), truth), len(truth)
        self.first_stable_errors += distance(first_shown(stables, last), truth)
        self.flicker += revised([*texts, last])
        self.stable_flicker += revised([*stables, last])
        self.gaps += list(np.diff([p["at"] for p in partials]))
        first = next((p for p, text in zip(partials, texts) if text), None)
        if first:
            self.firsts.append(first["at"] - spoken[0]["speech"][0][0])
            self.first_right.append(words(first["text"])[:1] == truth[:1])
        self.first_right_in_final.append(last[:1] == truth[:1])
        covering = [(p["decoded"], p["at"]) for p in partials] + [(final["end"], final["at"])]
        for start, end in (span for s in spoken for span in s["speech"]):
            for mark in np.arange(start, end, MARK_S):
                covered = next((at for decoded, at in covering if decoded >= mark), None)
                if covered is None:
                    self.missed += 1
                else:
                    self.latencies.append(covered - mark)

    def first(self):
        """Errors at first appearance and words, a row for each recording, in the order of their names."""
        return np.array([counts for _, counts in sorted(self.first_errors.items())])

    def row(self):
        share = lambda count: round(100 * count / self.words, 1)
        percentile = lambda values, p: round(1000 * float(np.percentile(values, p)))
        return {
            "final_wer": share(self.final_errors),
            "first_wer": round(100 * rate(self.first()), 1),
            "first_wer_95": interval(self.first()),
            "first_stable_wer": share(self.first_stable_errors),
            "flicker": round(self.flicker / self.finals, 2),
            "stable_flicker": round(self.stable_flicker / self.finals, 3),
            "first_p50_ms": percentile(self.firsts, 50),
            "first_p95_ms": percentile(self.firsts, 95),
            "first_right": round(100 * float(np.mean(self.first_right))),
            "first_right_in_final": round(100 * float(np.mean(self.first_right_in_final))),
            "partial_p50_ms": percentile(self.latencies, 50),
            "partial_p95_ms": percentile(self.latencies, 95),
            "cadence_ms": percentile(self.gaps, 50),
            "encoded": round(self.cost["encoded_s"] / self.cost["audio_s"], 1),
            "for_partials": round((self.cost["encoded_s"] - self.passes_s) / self.cost["audio_s"], 2),
            "encoder": round(self.cost["encoder_s"] / self.cost["audio_s"], 4),
            "missed": self.missed,
        }


def rate(counts):
    errors, words = counts.sum(axis=-2).T
    return errors / words


def interval(*counts):
    """95 % of the error rate of a plan, in %, or of that by which the first of two exceeds the second."""
    drawn = np.random.default_rng(0).integers(len(counts[0]), size=(SAMPLES, len(counts[0])))
    first, *second = (rate(of_plan[drawn]) for of_plan in counts)
    low, high = np.percentile(100 * (first - second[0] if second else first), [2.5, 97.5])
    return f"{low:.1f}..{high:.1f}"


def counterpart(plan, scores):
    """The first plan in windows that is like this one in everything but left context."""
    alike = lambda other: not other.startswith("kept:") and other.split("/")[1:] == plan.split("/")[1:]
    return next((scores[other] for other in scores if plan.startswith("kept:") and alike(other)), None)


def hold(partial, seconds):
    """The partial without a last word that ends less than so long before the newest decoded audio."""
    last = partial["last"]
    if not last or partial["decoded"] - last[1] > seconds - 0.001:
        return partial
    text = partial["text"].rpartition(" ")[0]
    stable = partial["stable"] if len(partial["stable"]) <= len(text) else text
    return partial | {"text": text, "stable": stable, "decoded": min(partial["decoded"], last[0])}


def score(played, dialogues, hold_s):
    """A score for each plan."""
    truth = {path.stem: json.loads(path.read_text())["sentences"] for path in dialogues.glob("*.json")}
    scores, partials = defaultdict(Score), []
    with played.open() as lines:
        for line in map(json.loads, lines):
            result = scores[line["plan"]]
            match line.get("type"):
                case "partial":
                    partials.append(hold(line, hold_s))
                case "final":
                    result.utterance(partials, line, truth[line["recording"]])
                    partials = []
                case _:
                    result.cost = line
    return scores


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("played", type=Path)
    parser.add_argument("dialogues", type=Path)
    parser.add_argument("--hold", type=float, default=0.0)
    args = parser.parse_args()
    scores = score(args.played, args.dialogues, args.hold)
    rows = {plan: s.row() for plan, s in scores.items()}
    for plan, row in rows.items():
        windows = counterpart(plan, scores)
        row["first_wer_minus_windows_95"] = interval(scores[plan].first(), windows.first()) if windows else ""
    columns = list(next(iter(rows.values())))
    print("plan", *columns, sep="\t")
    for plan, row in rows.items():
        print(plan, *(row[c] for c in columns), sep="\t")


if __name__ == "__main__":
    main()
