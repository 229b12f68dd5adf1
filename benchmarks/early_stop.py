"""`python -m benchmarks.early_stop`: transfers ended once their rate has converged, beside half a minute of iperf3.

Lines are token buckets on a router between two network namespaces, so that the truth is known: 0.9564 of the rate.
Errors are the greatest of all runs; "within" counts the runs that were off the 30 s by no more than they said. Run it
on a machine that is otherwise idle.
"""

import argparse
import json
import statistics
import subprocess
from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

from benchmarks.support import need, options, save, table
from tests.support.loaded import PORT, LoadedLine, line_with_server
from tests.support.routed import RoutedLine

REFERENCE_S = 30
HEADS = (
    "line",
    "iperf3, 30 s",
    "early stop, of 0.9564",
    "error to the line",
    "error to 30 s",
    "says at most",
    "within",
    "taken",
    "moved",
    "of 30 s",
)


class Line(NamedTuple):
    """What is measured."""

    mbit: int
    direction: str
    streams: int


class Outcome(NamedTuple):
    """Of one line: bytes per second, and each run's result."""

    ceiling: float
    reference: float
    runs: list[dict[str, Any]]


def lines(rates: list[int]) -> Iterator[Line]:
    """Each rate, both ways, with one stream and four."""
    return (Line(*each) for each in product(rates, ("down", "up"), (1, 4)))


def reference(line: LoadedLine, direction: str, streams: int, duration_s: int) -> float:
    """The receiving iperf3's goodput of a whole half minute after a warm-up of a second."""
    way = ["-R"] if direction == "down" else []
    command = ["iperf3", "-c", line.line.far4, "-p", str(PORT), "-P", str(streams), "-t", str(duration_s), "-O", "1"]
    argv = line.line.box.exec(*command, "-C", "cubic", "-J", *way)
    said = subprocess.run(argv, check=True, capture_output=True, timeout=duration_s + 30).stdout
    received = json.loads(said)["end"]["sum_received"]
    return float(received["bytes"] / received["seconds"])


def measured(routed: RoutedLine, which: Line, given: argparse.Namespace) -> Outcome:
    """The reference, and all runs."""
    line = LoadedLine(routed, which.mbit, given.queue)
    truth = reference(line, which.direction, which.streams, given.reference)
    found = []
    for _ in range(given.runs):
        line = LoadedLine(routed, which.mbit, given.queue)  # begins with an empty queue
        found.append(line.measure(which.direction, streams=which.streams, latency="off").result)
    return Outcome(line.ceiling, truth, found)


def row(which: Line, outcome: Outcome, reference_s: float) -> list[str]:
    """Of the table."""
    runs = outcome.runs
    of_line = [run["goodput"] / outcome.ceiling for run in runs]
    of_reference = [run["goodput"] / outcome.reference for run in runs]
    bounds = [run["goodput_error"] for run in runs]
    within = sum(abs(ratio - 1) <= bound for ratio, bound in zip(of_reference, bounds, strict=True))
    moved = statistics.median(run["transferred"] for run in runs)
    taken = statistics.median(run["warm_up"] + run["transfer_duration"] for run in runs)
    streams = "1 stream" if which.streams == 1 else f"{which.streams} streams"
    return [
        f"{which.mbit} Mbit/s {which.direction}, {streams}",
        f"{outcome.reference * 8 / 1e6:.1f} Mbit/s",
        f"{statistics.median(of_line):.4f}",
        f"{_worst(of_line):.2%}",
        f"{_worst(of_reference):.2%}",
        f"{statistics.median(bounds):.2%}",
        f"{within} of {len(runs)}",
        f"{taken:.1f} s",
        f"{moved / 1e6:.0f} MB",
        f"{moved / (outcome.reference * (reference_s + 1)):.0%}",
    ]


def _worst(ratios: list[float]) -> float:
    return max(abs(ratio - 1) for ratio in ratios)


def main() -> None:
    """All lines; about a quarter of an hour."""
    parser = options(__doc__ or "")
    parser.add_argument("--runs", type=int, default=5, help="of each line")
    parser.add_argument("--rates", type=int, nargs="+", default=[20, 200, 900], metavar="MBIT")
    parser.add_argument("--queue", type=int, default=200, metavar="MS", help="depth of the line's queue")
    parser.add_argument("--reference", type=int, default=REFERENCE_S, metavar="S", help="length of iperf3's run")
    given = parser.parse_args()
    need("iproute2", "iperf3", programs=("ip", "tc", "iperf3"))
    rows, all_within, count = [], 0, 0
    with line_with_server() as routed:
        for which in lines(given.rates):
            outcome = measured(routed, which, given)
            rows.append(row(which, outcome, given.reference))
            print(" | ".join(rows[-1]), flush=True)
            ratios = [(run["goodput"] / outcome.reference, run["goodput_error"]) for run in outcome.runs]
            all_within += sum(abs(ratio - 1) <= bound for ratio, bound in ratios)
            count += len(ratios)
    print(table(HEADS, rows))
    print(f"within what they said: {all_within} of {count}")
    save(given.results, "early_stop", {"heads": HEADS, "rows": rows, "within": all_within, "runs": count})


if __name__ == "__main__":
    main()
