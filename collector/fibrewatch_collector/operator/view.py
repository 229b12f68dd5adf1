"""What the demo shows: pure text and tables from what the collector's API said."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fibrewatch.measurement import AnyMeasurement
from fibrewatch.metric import Field
from fibrewatch.results import PROBES

SHOWN_FIELDS = 3
_STATE_STYLES = {"up": "green", "degraded": "yellow", "down": "red", "unreachable": "red"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteRow:
    """A site; `minutes` are those in each state of its bins, A, U and N."""

    name: str
    state: str
    cause: str | None
    minutes: Mapping[str, int]

    @property
    def counted(self) -> str:
        """`A 3 · U 0 · N 1`: minutes."""
        return " · ".join(f"{state} {self.minutes.get(state, 0)}" for state in "AUN")


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """One look at a collector: its sites, the newest measurement of each test and target, each box's spool."""

    sites: Sequence[SiteRow]
    newest: Sequence[AnyMeasurement]
    spools: Mapping[str, int | None]


def quantity(value: float, unit: str) -> str:
    """For people: milliseconds, Mbit/s, per cent."""
    if unit == "seconds":
        return f"{value * 1e3:.3f} ms" if value < 1 else f"{value:.2f} s"
    if unit == "bytes_per_second":
        return f"{value * 8 / 1e6:,.1f} Mbit/s"
    if unit == "ratio":
        return f"{value * 100:.1f} %"
    return f"{value:g} {unit}".strip()


def told(run: AnyMeasurement) -> str:
    """What a measurement says in a few words: its first graded gauges, or why there are none."""
    probe = PROBES.get(run.probe)
    graded = [field for field in probe.fields if field.metric.better and field.metric.kind == "gauge"] if probe else []
    values = [text for field in graded if (text := _value(run, field))][:SHOWN_FIELDS]
    words = ", ".join(values)
    return words if run.outcome == "ok" else f"{run.outcome}: {run.error or words}"


def _value(run: AnyMeasurement, field: Field) -> str | None:
    value = getattr(run.result, field.name, None)
    return None if value is None else f"{field.name} {quantity(value, field.metric.unit)}"


def where(run: AnyMeasurement) -> str:
    """`target (address)`."""
    if run.target is None:
        return ""
    return f"{run.target.name} ({run.target.address})" if run.target.address else run.target.name


def tables(overview: Overview, page: str) -> RenderableType:
    """The live view in a terminal."""
    sites = Table(title="Sites", title_justify="left")
    for head in ("site", "state", "cause", "minutes"):
        sites.add_column(head)
    for site in overview.sites:
        state = Text(site.state, _STATE_STYLES.get(site.state, ""))
        sites.add_row(site.name, state, site.cause or "", site.counted)
    results = Table(title="Newest results", title_justify="left")
    for head in ("probe", "test", "target", "result", "at (UTC)"):
        results.add_column(head)
    for run in overview.newest:
        results.add_row(run.probe, run.test, where(run), told(run), _clock(run.started_at))
    return Group(sites, results, f"{spool_line(overview)}   page {page}   Ctrl-C stops")


def spool_line(overview: Overview) -> str:
    """How many measurements wait in the boxes."""
    depths = (f"{agent} {'?' if depth is None else depth}" for agent, depth in overview.spools.items())
    return f"spool depth: {', '.join(depths) or '?'}"


def lines(overview: Overview, before: dict[str, str]) -> list[str]:
    """The same for a pipe or a log: what says something else than in `before`, which is brought up to date."""
    now = {f"site {site.name}": f"{site.state}{f' ({site.cause})' if site.cause else ''}" for site in overview.sites}
    now |= {
        f"{run.probe} {run.test} {where(run)}": f"{told(run)} at {_clock(run.started_at)}" for run in overview.newest
    }
    new = [f"{what}: {word}" for what, word in now.items() if before.get(what) != word]
    before.update(now)
    return new


def _clock(at: datetime) -> str:
    return at.strftime("%H:%M:%S")
