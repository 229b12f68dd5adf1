"""What the generated dashboards ask Prometheus, with variables filled in as Grafana does."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from fibrewatch_collector.alerting.links import Links
from fibrewatch_collector.inventory import load_inventory
from fibrewatch_collector.operator.rules import GRAFANA_FILE, rendered
from grafana.check import panels_of

UNSEEN = {
    "fibrewatch-wifi-coverage",
    "fibrewatch-remote-write-behind",
    "fibrewatch-server-certificate-expiring",
    *(f"fibrewatch-loss-at-risk-{burn}" for burn in ("fast", "slow", "drift")),
}
"""Rules of what nobody promises or switches on in the example, or no box of it measures: they have no answer."""
FOLDER = Path(__file__).parents[2] / "grafana/dashboards"
_LABEL_VALUES = re.compile(r"label_values\((.+), *(\w+)\)")


class Asked(NamedTuple):
    """One expression of a dashboard, as it is sent.

    Attributes:
        legend: The labels that the series' names are made of.
        step_s: The least time between two points.
        points: How many there are at most; 0: as many as a plot is wide.
    """

    place: str
    expr: str
    instant: bool
    legend: tuple[str, ...] = ()
    step_s: float = 0.0
    points: int = 0


def dashboards() -> dict[str, dict[str, Any]]:
    """By uid."""
    return {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.json"))}


def every_question(chosen: Mapping[str, str]) -> Iterator[Asked]:
    """All expressions of panels and annotations; `chosen` fills variables that stand for one value."""
    for uid, board in dashboards().items():
        values = filled(board, chosen)
        for panel in panels_of(board):
            for target in panel["targets"]:
                legend = tuple(re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", "")))
                place = f"{uid}: {panel['title']}: {target['refId']}"
                yield Asked(
                    place,
                    replaced(target["expr"], values),
                    bool(target.get("instant")),
                    legend,
                    _seconds(panel.get("interval", "")),
                    panel.get("maxDataPoints", 0),
                )
        for each in board["annotations"].get("list", []):
            yield Asked(
                f"{uid}: annotation {each['name']}",
                replaced(each["expr"], values),
                instant=False,
                step_s=_seconds(each["step"]),
            )


def _seconds(text: str) -> float:
    return float(text[:-1]) * {"s": 1, "m": 60}[text[-1]] if text else 0.0


def rule_files(sites: Path) -> dict[str, str]:
    """What `fibrewatch rules` writes for Grafana's engine."""
    return rendered(load_inventory(sites).burns, "grafana", Links())


def rule_questions(sites: Path) -> Iterator[Asked]:
    """All expressions of alert rules, as Grafana's engine asks them."""
    content = yaml.safe_load(rule_files(sites)[GRAFANA_FILE])
    for rule in (rule for group in content["groups"] for rule in group["rules"]):
        for query in rule["data"]:
            if query["datasourceUid"] != "__expr__":
                yield Asked(f"{rule['uid']}: {query['refId']}", query["model"]["expr"], instant=True)


def variables(chosen: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Where, which selector, and the label whose values it gives."""
    for uid, board in dashboards().items():
        for each in board["templating"]["list"]:
            if each["type"] == "query" and (found := _LABEL_VALUES.fullmatch(each["query"]["query"])):
                yield f"{uid}: ${each['name']}", replaced(found[1], filled(board, chosen)), found[2]


def filled(board: Mapping[str, Any], chosen: Mapping[str, str], rate_interval: str = "10m") -> dict[str, str]:
    """Values of a dashboard's variables: all where it may be all, else the chosen one."""
    times = {"__rate_interval": rate_interval, "__interval": "20s", "__range": "6h"}
    own = {
        each["name"]: each.get("allValue") if each.get("includeAll") else chosen.get(each["name"], "")
        for each in board["templating"]["list"]
    }
    return times | own


def replaced(text: str, values: Mapping[str, str]) -> str:
    """As Grafana replaces variables in an expression."""
    return re.sub(r"\$\{?(\w+)\}?", lambda found: values[found[1]], text)
