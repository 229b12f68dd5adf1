"""`python -m benchmarks.queries`: every expression of every panel and alert, on a real Prometheus and a real collector.

The simulator's 50 sites × 4 boxes and the example's fleet; what a plot looks back at is there each `--every` seconds of
the time that is asked for, everything else for the last minutes. Best of `--tries`; no expression may take a second
over 6 hours. Expressions of one site are of the example's, those of all sites of all.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from benchmarks.support import options, save, table
from tests.support import scenario_fleet
from tests.support.dashboards import UNSEEN, Asked, every_question, rule_questions
from tests.support.watched import History, Watched, asked_over_time, watched

HOUR_S = 3600.0
LIMIT_S = 1.0
POINTS = 1080
"""A plot's width, about as many as Grafana asks for."""


class Stretch(NamedTuple):
    """A time that is looked back at."""

    name: str
    span_s: float
    every_s: float


def questions() -> Iterator[Asked]:
    """Of every panel, annotation and alert."""
    yield from every_question(scenario_fleet.CHOSEN)
    yield from rule_questions(scenario_fleet.ROOT / "deploy/sites.example.toml")


def seconds_of(prometheus: Watched, asked: Asked, tries: int) -> float:
    """The best of some tries: the machine has other things to do, an expression has not."""
    best = float("inf")
    for _ in range(tries):
        begun = time.perf_counter()
        answer = prometheus.ask(asked)
        best = min(best, time.perf_counter() - begun)
        if not answer and asked.place.partition(":")[0] not in UNSEEN:
            raise SystemExit(f"no answer: {asked.place}: {asked.expr}")
    return best


def measure(stretch: Stretch, sites: int, agents: int, tries: int) -> list[tuple[float, Asked]]:
    """Each expression's seconds, the slowest first."""
    looked_at = asked_over_time()
    histories = [
        History(looked_at, stretch.span_s, stretch.every_s),
        History(lambda line: not looked_at(line), 600, 60),
    ]
    with TemporaryDirectory(prefix="fibrewatch-bench-") as folder:
        step_s = max(15.0, stretch.span_s // POINTS)
        with watched(
            Path(folder), sites, agents, histories, span_s=stretch.span_s, step_s=step_s, scrape="5s"
        ) as prometheus:
            series = prometheus.get("query", query="count({__name__=~'fibrewatch_.+'})")["result"][0]["value"][1]
            print(f"{stretch.name}: {series} series, a sample each {stretch.every_s:g} s", flush=True)
            found = [(seconds_of(prometheus, each, tries), each) for each in questions()]
    return sorted(found, key=lambda each: -each[0])


def main() -> int:
    """Prints the table and the slowest, keeps the figures; exit status 1 when one took too long over 6 hours."""
    parser = options(__doc__ or "")
    parser.add_argument("--sites", type=int, default=50)
    parser.add_argument("--agents", type=int, default=4)
    parser.add_argument("--tries", type=int, default=3)
    parser.add_argument("--every", type=float, default=60.0, help="seconds between samples of the 6 hours")
    parser.add_argument("--only", choices=["6h", "7d"])
    given = parser.parse_args()
    stretches = [Stretch("6 hours", 6 * HOUR_S, given.every), Stretch("7 days", 168 * HOUR_S, 240.0)]
    if given.only:
        stretches = [stretches[given.only == "7d"]]
    rows, runs, slow = [], [], False
    for stretch in stretches:
        found = measure(stretch, given.sites, given.agents, given.tries)
        times = sorted(each for each, _ in found)
        for each, asked in found[:8]:
            print(f"  {each:.3f} s {asked.place}")
        over = sum(each > LIMIT_S for each in times)
        slow |= stretch.span_s <= 6 * HOUR_S and over > 0
        rows.append(
            (stretch.name, str(len(times)), f"{times[len(times) // 2] * 1e3:.0f}", f"{times[-1] * 1e3:.0f}", str(over))
        )
        runs.append({"stretch": stretch.name, "seconds": times, "slowest": found[0][1].place})
    heads = (
        f"Panels and alerts, {given.sites} × {given.agents} boxes",
        "expressions",
        "median, ms",
        "slowest, ms",
        "over 1 s",
    )
    print(table(heads, rows))
    save(given.results, "queries", {"heads": heads, "rows": rows, "runs": runs})
    return int(slow)


if __name__ == "__main__":
    sys.exit(main())
