"""Compares two results of bench.py: `make bench-compare`.

    python tests/bench/compare.py [OLD.json NEW.json]

Without names: the last two of the same size in docs/benchmarks. Two runs agree on a case when their medians lie within
both spreads, each taken as what the machine's speed differed by from round to round of the run, and as SPREAD_MIN, at
least. What lies farther apart is marked, and the last line says on how many cases the runs agree. Ends with 1 if
something became slower.
"""

import json
import statistics
import sys
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "benchmarks"
SPREAD_MIN = 0.04
"""The rounds of a run are minutes apart and do not see what an hour makes of a virtual machine: of the same code, 69 cases
measured again after an hour, every third lay more than 4 % from before, two more than 10 %."""


def timings(found: dict[str, Any]) -> dict[str, list[float]]:
    """Seconds of each case that was measured more than once."""
    rows = [*found.get("files", []), *(row | {"who": f"{row['who']}, binding"} for row in found.get("binding_costs", []))]
    cases = {}
    for row in rows:
        kind = ", a call" if row.get("audio") == "call" else ""
        cases[f"{row['who']}, {row['seconds']} s{kind}, {row['threads']} threads"] = [run["wall_s"] for run in row["runs"]]
    for row in found.get("loads", []):
        cases[f"{row['who']}, loading {'cold' if row['cold'] else 'warm'}"] = row["load_s"]
    return {case: values for case, values in cases.items() if len(values) > 1}


def streams(found: dict[str, Any]) -> dict[str, int]:
    return {crowd["who"]: crowd["summary"]["effective_sessions"] for crowd in found.get("streams", []) if "summary" in crowd}


def relative_spread(values: list[float]) -> float:
    return (max(values) - min(values)) / 2 / statistics.median(values)


def stated_spread(values: list[float], drift: float) -> float:
    return max(relative_spread(values), SPREAD_MIN, drift)


def drift(found: dict[str, Any]) -> float:
    """How much the machine's speed differed from round to round: the spread of what all cases have in common."""
    cases = [[run["wall_s"] for run in row["runs"]] for row in found.get("files", [])]
    rounds = max(map(len, cases), default=0)
    if rounds < 2:
        return 0.0
    # In means: a median of three is one of them, so that most cases would be at 1.
    paces = [[wall / statistics.mean(walls) for wall in walls] for walls in cases if len(walls) == rounds]
    return relative_spread([statistics.median(pace[number] for pace in paces) for number in range(rounds)])


def last_two() -> list[Path]:
    for size in ("full", "quick", "smoke"):
        found = sorted(RESULTS.glob(f"*-{size}.json"))
        if len(found) > 1:
            return found[-2:]
    sys.exit(f"{RESULTS}: there are no two results of the same size; run make bench or make bench-quick again")


def main() -> None:
    old_path, new_path = map(Path, sys.argv[1:3]) if len(sys.argv) > 2 else last_two()
    old, new = json.loads(old_path.read_text()), json.loads(new_path.read_text())
    print(f"{old_path.name} -> {new_path.name}")
    before, after, slower, faster = timings(old), timings(new), 0, 0
    drift_before, drift_after = drift(old), drift(new)
    shared = [case for case in before if case in after]
    for case in shared:
        a, b = statistics.median(before[case]), statistics.median(after[case])
        spreads = stated_spread(before[case], drift_before) + stated_spread(after[case], drift_after)
        apart = abs(b / a - 1) > spreads
        slower += apart and b > a
        faster += apart and b < a
        print(f"{case:<60} {a:9.3f} s {b:9.3f} s {100 * (b / a - 1):+7.1f} %{'  *' if apart else ''}")
    most = streams(new)
    for who, count in streams(old).items():
        if who in most:
            print(f"{who + ', streams':<60} {count:>11} {most[who]:>11}")
    print(f"from round to round the machine differed by {100 * drift_before:.0f} % and {100 * drift_after:.0f} %")
    agreeing = len(shared) - slower - faster
    print(f"the runs agree on {agreeing} of {len(shared)} cases; {slower} became slower, {faster} faster")
    sys.exit(1 if slower else 0)


if __name__ == "__main__":
    main()
