"""Rules as Prometheus' rule files take them."""

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from fibrewatch_collector.alerting import texts
from fibrewatch_collector.alerting.links import Links
from fibrewatch_collector.alerting.model import INTERVALS_S, Alert, Recording
from fibrewatch_collector.sla.burn import text

Table = dict[str, Any]


def rule_file(recordings: Iterable[Recording], alerts: Iterable[Alert], links: Links) -> Table:
    """The whole file; alerts may be none, where Grafana has them."""
    groups = [
        {
            "name": f"fibrewatch-recorded-{text(every_s)}",
            "interval": text(every_s),
            "rules": [{"record": each.name, "expr": each.expr} for each in made],
        }
        for every_s, made in groupby(recordings, key=lambda each: each.every_s)
    ]
    for name, interval in INTERVALS_S.items():
        rules: list[Table] = [_rule(each, links) for each in alerts if each.group == name]
        if rules:
            groups.append({"name": f"fibrewatch-{name}", "interval": text(interval), "rules": rules})
    return {"groups": groups}


def _rule(alert: Alert, links: Links) -> Table:
    sign, threshold = (">", alert.above) if alert.above is not None else ("<", alert.below)
    rule: Table = {"alert": alert.name, "expr": f"({alert.expr}) {sign} {threshold:g}"}
    if alert.hold_s:
        rule["for"] = text(alert.hold_s)
    rule["labels"] = {"severity": alert.severity} | alert.labels
    rule["annotations"] = {name: texts.prometheus(alert, words) for name, words in annotations(alert, links).items()}
    return rule


def annotations(alert: Alert, links: Links) -> dict[str, str]:
    """What both engines say, as `{label}` and `[value]`; since when is in the text where the collector knows."""
    found = {"summary": alert.summary, "description": alert.text, "fault": alert.fault}
    if alert.companies:
        found["companies"] = alert.companies
    if any(value.name == "since" for value in alert.values):
        found["since"] = "[since]"
    return found | {"dashboard_url": links.dashboard(alert), "runbook_url": links.runbook(alert)}
