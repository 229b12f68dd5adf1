"""An alert's words in the templates of either engine: `{label}` and `[value]` become what Go's text/template reads.

`{label|urlquery}` is a label as a part of a URL.
"""

import re
from collections.abc import Callable

from fibrewatch_collector.alerting.expressions import HOLD, last
from fibrewatch_collector.alerting.model import CAUSES, Alert, Format, Value
from fibrewatch_collector.sla.live import CAUSES as ORDER

_LABEL, _VALUE = re.compile(r"\{(\w+)(\|urlquery)?\}"), re.compile(r"\[(\w+)\]")
_FORMATS: dict[Format, str] = {
    "time": "humanizeTimestamp {}",
    "duration": "humanizeDuration {}",
    "percent": "humanizePercentage {}",
    "number": "humanize {}",
}
UNKNOWN = "not known"
Fetch = Callable[[Value], tuple[str, str, str]]
"""What opens the piece in which a value is known, its name there, and what closes it."""


def prometheus(alert: Alert, text: str) -> str:
    """In an annotation of Prometheus: other metrics are asked for by `query`."""

    def fetch(value: Value) -> tuple[str, str, str]:
        metric, _, more = value.metric.partition("{")
        keys = [f"{key}=%[{place}]q" for place, key in enumerate(value.keys, 1)]
        wanted = "{" + ",".join(keys + ([more.rstrip("}")] if more else [])) + "}"
        # max: of two collectors one may not know
        asked = f"max(last_over_time({metric}{wanted}[{HOLD}])) or max({last(metric)}{wanted})"
        labels = " ".join(f"$labels.{key}" for key in value.keys)
        opened = f"{{{{ with printf `{asked}` {labels} | query }}}}{{{{ $v := . | first | value }}}}"
        return opened, "$v", f"{{{{ else }}}}{UNKNOWN}{{{{ end }}}}"

    return _rendered(alert, text, fetch, "$value")


def grafana(alert: Alert, text: str) -> str:
    """In an annotation of Grafana: each value is a query of the rule, under its own name."""
    return _rendered(alert, text, lambda value: ("", f"$values.{value.name}.Value", ""), "$values.firing.Value")


def _rendered(alert: Alert, text: str, fetch: Fetch, own: str) -> str:
    known = {value.name: value for value in alert.values}

    def put(match: re.Match[str]) -> str:
        name = match[1]
        if name == "value":
            return f"{{{{ humanizeDuration {own} }}}}"
        opened, value, closed = fetch(known[name])
        return opened + _shown(known[name].format, value) + closed

    return _VALUE.sub(put, _LABEL.sub(_label, text))


def _label(match: re.Match[str]) -> str:
    return f"{{{{ $labels.{match[1]}{' | urlquery' if match[2] else ''} }}}}"


def _shown(how: Format, value: str) -> str:
    if how == "time":  # Grafana has 0 for what nobody told
        return f"{{{{ if gt {value} 0.0 }}}}{{{{ {_FORMATS[how].format(value)} }}}}{{{{ else }}}}{UNKNOWN}{{{{ end }}}}"
    if how != "cause":
        return "{{ " + _FORMATS[how].format(value) + " }}"
    branches = [(float(code), CAUSES[cause]) for code, cause in enumerate(ORDER, 1)]
    chain = "{{ else ".join(f"if eq {value} {code} }}}}{words}" for code, words in branches)
    return f"{{{{ {chain}{{{{ else }}}}nothing tells{{{{ end }}}}"
