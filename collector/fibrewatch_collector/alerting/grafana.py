"""Rules as Grafana's file provisioning takes them: its own shapes, which are not those of its HTTP API.

Held to Grafana's `pkg/services/provisioning/alerting/rules_types.go`. Labels and titles are expanded there as shell
variables (`$$` is a dollar), annotations and queries are not.
"""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

from fibrewatch_collector.alerting import expressions, texts
from fibrewatch_collector.alerting.links import Links
from fibrewatch_collector.alerting.model import INTERVALS_S, Alert, Value
from fibrewatch_collector.alerting.prometheus import Table, annotations
from fibrewatch_collector.sla.burn import text

DATASOURCE = "fibrewatch-prometheus"
FOLDER = "fibrewatch alerts"
"""Not the dashboards': Grafana makes rules' folders first, by title alone, and where the dashboards' has a uid of its
own there are two of that title then, or 11.0 ends (grafana/grafana#87889)."""
_EXPRESSION = "__expr__"
_RANGE = {"from": 600, "to": 0}
_UID, _UID_HEAD = 40, 31
"""Grafana takes no longer uid, and no file with one; what is left of those that would be."""


def provisioning(alerts: Iterable[Alert], links: Links, datasource: str = DATASOURCE) -> Table:
    """The whole file."""
    alerts = list(alerts)
    groups = [
        {
            "orgId": 1,
            "name": f"fibrewatch-{name}",
            "folder": FOLDER,
            "interval": text(interval),
            "rules": [_rule(each, links, datasource) for each in alerts if each.group == name],
        }
        for name, interval in INTERVALS_S.items()
    ]
    return {"apiVersion": 1, "groups": [group for group in groups if group["rules"]]}


def _rule(alert: Alert, links: Links, datasource: str) -> Table:
    queries = [("firing", alert.expr), *((each.name, _beside(alert, each)) for each in alert.values)]
    return {
        "uid": _uid(alert.id),
        "title": _escaped(alert.name),
        "condition": "threshold",
        "data": [*(_query(*each, datasource) for each in queries), _threshold(alert)],
        "noDataState": alert.no_data,
        "execErrState": alert.on_error,
        "for": text(alert.hold_s),
        "annotations": {name: texts.grafana(alert, words) for name, words in annotations(alert, links).items()},
        "labels": {name: _escaped(value) for name, value in ({"severity": alert.severity} | alert.labels).items()},
        "isPaused": False,
    }


def _uid(alert: str) -> str:
    """The same for an alert in every file; a [[burn]] may have a long id."""
    whole = f"fibrewatch-{alert}"
    if len(whole) <= _UID:
        return whole
    return f"{whole[:_UID_HEAD]}-{blake2b(alert.encode(), digest_size=4).hexdigest()}"


def _escaped(value: str) -> str:
    return value.replace("$", "$$")


def _beside(alert: Alert, value: Value) -> str:
    """A number for the text: Grafana finds it by exactly the alert's labels, and calls no series no data."""
    metric, brace, matchers = value.metric.partition("{")
    asked = expressions.held(metric, value.keys, brace + matchers)
    keys = ", ".join(value.keys)
    instances = alert.instances or alert.expr
    every = f"{expressions.by(value.keys, instances)} * 0"
    return f"({instances}) * 0 + on ({keys}) group_left () (({asked}) or on ({keys}) ({every}))"


def _query(name: str, expression: str, datasource: str) -> Table:
    model = {"refId": name, "expr": expression, "instant": True, "range": False}
    model |= {"intervalMs": 1000, "maxDataPoints": 43200}
    return {"refId": name, "relativeTimeRange": dict(_RANGE), "datasourceUid": datasource, "model": model}


def _threshold(alert: Alert) -> Table:
    kind, limit = ("gt", alert.above) if alert.above is not None else ("lt", alert.below)
    model: dict[str, Any] = {
        "refId": "threshold",
        "type": "threshold",
        "expression": "firing",
        "datasource": {"type": _EXPRESSION, "uid": _EXPRESSION},
        "conditions": [{"evaluator": {"type": kind, "params": [limit]}}],
    }
    return {
        "refId": "threshold",
        "relativeTimeRange": {"from": 0, "to": 0},
        "datasourceUid": _EXPRESSION,
        "model": model,
    }
