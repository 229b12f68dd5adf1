"""What an alert is, for whichever engine."""

from typing import Literal

from msgspec import Struct

from fibrewatch_collector.sla.burn import Severity

Format = Literal["time", "duration", "percent", "number", "cause"]
NoData = Literal["OK", "Alerting", "KeepLast"]


class Value(Struct, frozen=True, kw_only=True):
    """A number in an alert's text, told by another metric than the one that fires.

    Attributes:
        metric: Its series has the labels `keys` of the alert.
        keys: Which of the alert's labels find the series.
    """

    name: str
    metric: str
    keys: tuple[str, ...]
    format: Format = "number"


class Alert(Struct, frozen=True, kw_only=True):
    """One rule.

    Attributes:
        id: Of a-z and -: the runbook's file, the uid in Grafana; `name` is made of it.
        expr: Gives a value for everything that could fire, whether it does or not.
        instances: Something shorter with the same labels as `expr`; "": itself.
        above, below: Fires when the value is strictly so; exactly one of them is set.
        hold_s: How long it must be so.
        summary, text: With `{label}` and `[value]`; `[value]` alone is the value that fires.
        fault: Whose fault it is, in the same way.
        dashboard: The uid of the one to look at; `variables` are its variables, with `{label}` in their values.
        no_data, on_error: What Grafana makes of an empty answer, and of none at all.
    """

    id: str
    expr: str
    summary: str
    text: str
    fault: str
    dashboard: str
    above: float | None = None
    below: float | None = None
    hold_s: float = 0.0
    severity: Severity = "ticket"
    values: tuple[Value, ...] = ()
    variables: dict[str, str] = {}  # msgspec copies a mutable default
    companies: str = ""
    labels: dict[str, str] = {}
    group: Literal["now", "slow"] = "now"
    runbook: str = ""
    no_data: NoData = "KeepLast"
    on_error: NoData = "KeepLast"
    instances: str = ""

    @property
    def name(self) -> str:
        """As Prometheus calls it."""
        return "Fibrewatch" + "".join(part.capitalize() for part in self.id.split("-"))

    @property
    def runbook_file(self) -> str:
        """In docs/runbooks."""
        return f"{self.runbook or self.id}.md"


class Recording(Struct, frozen=True, kw_only=True):
    """A series that Prometheus makes, so often."""

    name: str
    expr: str
    every_s: float


INTERVALS_S = {"now": 10, "slow": 60}
"""How often each group is evaluated; Grafana takes multiples of 10 s."""
CAUSES = {
    "access": "the access line (the operator's)",
    "operator": "the operator's network",
    "lan": "the site's own network, not the line",
    "target": "the target that is measured to, not the line",
    "unknown": "not known: nothing answers, and no gateway is measured",
    "loss": "packets are lost on the way",
    "agent": "a box of ours",
    "line_or_power": "the line, or the site's power: nothing tells which yet",
    "collector": "our collector can't see",
    "unheard": "no box was heard yet",
    "samples": "nothing was measured lately",
}
"""Whose fault each cause of the collector's is, for people."""
