"""Rules against made-up series, by Prometheus' own promtool."""

import json
import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml


class Case(NamedTuple):
    """Series as promtool writes them, and moments at which an alert is asked for: none may fire."""

    name: str
    series: Mapping[str, str]
    asked: Mapping[str, Iterable[str]]
    interval: str = "5s"


class Fired(NamedTuple):
    """An alert as promtool found it."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]


def complaints(rules: Path, cases: Iterable[Case], folder: Path, evaluated: str = "10s") -> str:
    """What promtool says of alerts that fire in any of the cases; "" where none does."""
    tests = [
        {
            "name": case.name,
            "interval": case.interval,
            "input_series": [{"series": series, "values": values} for series, values in case.series.items()],
            "alert_rule_test": [
                {"eval_time": at, "alertname": alert, "exp_alerts": []}
                for alert, moments in case.asked.items()
                for at in moments
            ],
        }
        for case in cases
    ]
    file = folder / "test.yaml"
    content: dict[str, Any] = {"rule_files": [str(rules)], "evaluation_interval": evaluated, "tests": tests}
    file.write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")
    done = subprocess.run(
        ["promtool", "test", "rules", str(file)], capture_output=True, text=True, timeout=300, check=False
    )
    said = done.stdout + done.stderr
    assert "parse error" not in said, said
    assert (done.returncode == 0) == ("SUCCESS" in said), said
    return "" if done.returncode == 0 else said


def moments(said: str) -> list[str]:
    """When promtool found alerts that it did not expect."""
    return re.findall(r"alertname: \w+, time: (\S+?),", said)


def firing(said: str) -> set[tuple[str, str]]:
    """Which alerts promtool found that it did not expect, and when."""
    return set(re.findall(r"alertname: (\w+), time: (\S+?),", said))


def fired(said: str) -> list[Fired]:
    """The alerts in promtool's complaint."""
    found = re.findall(r"Labels:\{(.*?)\}\s*Annotations:\{(.*?)\}\s*(?=\d+:|\]|$)", said, re.DOTALL)
    return [Fired(_pairs(labels), _pairs(annotations)) for labels, annotations in found]


def _pairs(text: str) -> dict[str, str]:
    return {name: json.loads(f'"{value}"') for name, value in re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', text)}
