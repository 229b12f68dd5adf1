"""What boxes measured to each other, as a table: pure, from what a collector's API said."""

from collections.abc import Iterator, Sequence

from rich import box
from rich.table import Table

from fibrewatch.results import PROBES
from fibrewatch_collector.operator.api import Agent, Latest
from fibrewatch_collector.operator.view import quantity, told

PIPE_WIDTH = 250
"""Columns of a pipe: three ids of 20 characters twice, and a line needn't break where no one looks at it."""
_COLUMNS = {
    "rtt": ("rtt_p50",),
    "loss -> <-": ("loss_forward_ratio", "loss_backward_ratio"),
    "one-way -> <-": ("owd_forward_p50", "owd_backward_p50"),
}


def pairs_table(agents: Sequence[Agent], place: str, *, plain: bool = False) -> Table:
    """The newest runs with a site (territory/site) or a box at either end; -> is from the first to the second."""
    table = Table(box=None if plain else box.ROUNDED, pad_edge=not plain)
    for head in ("from", "to", "test", *_COLUMNS, "result", "at (UTC)"):
        table.add_column(head, no_wrap=plain)
    for here, run in _runs(agents, place):
        values = (" ".join(_value(run, field) for field in fields) for fields in _COLUMNS.values())
        result = "ok" if run.outcome == "ok" and run.verdict == "valid" else told(run)
        table.add_row(here, run.peer, run.test, *values, result, run.ended_at.strftime("%H:%M:%S"))
    return table


def _runs(agents: Sequence[Agent], place: str) -> Iterator[tuple[str, Latest]]:
    for agent in agents:
        here = f"{agent.territory}/{agent.site}/{agent.agent}"
        for run in sorted(agent.latest, key=lambda run: (run.peer or "", run.test)):
            if run.peer is not None and (_is_at(here, place) or _is_at(run.peer, place)):
                yield here, run


def _is_at(agent: str, place: str) -> bool:
    return f"{agent}/".startswith(f"{place}/")


def _value(run: Latest, name: str) -> str:
    value, probe = run.values.get(name), PROBES.get(run.probe)
    units = {field.name: field.metric.unit for field in probe.fields} if probe is not None else {}
    return "-" if value is None else quantity(value, units.get(name, ""))
