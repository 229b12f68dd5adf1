"""A real Prometheus over a real collector whose fleet has been made up, with hours of history behind it."""

import json
import re
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from fibrewatch_collector.operator.rules import PROMETHEUS_FILE
from tests.support import scenario_fleet
from tests.support.collector import CollectorProcess
from tests.support.dashboards import Asked, every_question, rule_files
from tests.support.history import backfill, lines_before
from tests.support.mosquitto import Mosquitto
from tests.support.prometheus import Prometheus

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
_NAME = re.compile(r"fibrewatch_\w+")
_HERE = 'site="cargo"'


class History(NamedTuple):
    """What is repeated back in time: which series, how far, how dense."""

    keep: Callable[[str], bool]
    span_s: float
    step_s: float


class Watched:
    """The Prometheus, asked as Grafana asks it, over a stretch that ends at `end`."""

    def __init__(self, prometheus: Prometheus, span_s: float, step_s: float) -> None:
        self.prometheus, self.span_s, self.step_s = prometheus, span_s, step_s
        self.end = time.time()

    def get(self, path: str, **words: str) -> Any:
        """`data` of an answer of the API."""
        url = f"http://127.0.0.1:{self.prometheus.port}/api/v1/{path}?{urllib.parse.urlencode(words)}"
        with urllib.request.urlopen(url, timeout=300) as answer:
            return json.load(answer)["data"]

    def ask(self, asked: Asked) -> list[dict[str, Any]]:
        """The series of an expression, at the end or over the whole stretch."""
        if asked.instant:
            found: Any = self.get("query", query=asked.expr, time=str(self.end))
        else:
            times = {"start": str(self.end - self.span_s), "end": str(self.end)}
            step = str(max(self.step_s, asked.step_s, self.span_s // asked.points if asked.points else 0.0))
            found = self.get("query_range", query=asked.expr, step=step, **times)
        series: list[dict[str, Any]] = found["result"]
        return series


@contextmanager
def watched(
    folder: Path,
    simulated: int,
    agents: int,
    histories: list[History],
    *,
    span_s: float,
    step_s: float,
    scrape: str = "1s",
) -> Iterator[Watched]:
    """All of it, until the end of the `with`."""
    with Mosquitto(folder) as broker:
        collector = CollectorProcess(folder, broker.port)
        collector.sites.write_text(scenario_fleet.sites(simulated, agents), "utf-8")
        rules = rule_files(collector.sites)[PROMETHEUS_FILE]
        with collector:
            scenario_fleet.simulate(broker.port, simulated, agents)
            scenario_fleet.fill(collector, broker.port)
            _, page = collector.get("/metrics", Accept=OPENMETRICS)
            instance = f'job="fibrewatch",instance="127.0.0.1:{collector.http}"'
            for each in histories:
                now = time.time() - 5
                backfill(
                    folder / "prometheus",
                    lines_before(page.decode(), instance, now, each.span_s, each.step_s, each.keep),
                )
            with Prometheus(folder / "prometheus", collector.http, rules, scrape) as prometheus:
                made = Watched(prometheus, span_s, step_s)
                own = "count_over_time(fibrewatch_collector_info[1m]) > 4"
                collector.wait(lambda: bool(prometheus.query(own)), "a few scrapes", 120)
                scenario_fleet.share_a_target(broker.port, simulated, agents)
                collector.wait(lambda: bool(prometheus.query("fibrewatch_target_down")), "a shared target", 120)
                made.end = time.time()
                yield made


def asked_over_time() -> Callable[[str], bool]:
    """Tells series that some plot looks back at: of the chosen site, or of all where the plot is of all."""
    here: set[str] = set()
    everywhere: set[str] = set()
    for each in every_question(scenario_fleet.CHOSEN):
        if not each.instant or "[" in each.expr:
            (here if _HERE in each.expr else everywhere).update(_NAME.findall(each.expr))

    def keep(line: str) -> bool:
        name = line[: line.find("{")] if "{" in line else line.split(" ", maxsplit=1)[0]
        return name in everywhere or (name in here and _HERE in line)

    return keep
