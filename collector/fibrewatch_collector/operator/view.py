"""What is shown of a collector: pure text and tables from what its API said."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from fibrewatch.metric import Field
from fibrewatch.results import PROBES
from fibrewatch_collector.operator.api import Agent, Latest, Site

SHOWN_FIELDS = 3
NARROW = 76
_BELOW = (0, 0, 0, 2)
_STATE_STYLES = {"up": "green", "degraded": "yellow", "down": "red", "unreachable": "red"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """One look at a collector."""

    sites: Sequence[Site]
    agents: Sequence[Agent]

    def newest(self) -> Iterator[Latest]:
        """The newest run of each test of all boxes."""
        return (run for agent in self.agents for run in agent.latest)


def quantity(value: float, unit: str) -> str:
    """For people: milliseconds, Mbit/s, per cent."""
    if unit == "seconds":
        return f"{value * 1e3:.3f} ms" if value < 1 else f"{value:.2f} s"
    if unit == "bytes_per_second":
        return f"{value * 8 / 1e6:,.1f} Mbit/s"
    if unit == "ratio":
        return f"{value * 100:.1f} %"
    return f"{value:g} {unit}".strip()


def told(run: Latest) -> str:
    """What a run says in a few words: its first graded gauges, or why there are none."""
    if run.outcome != "ok":
        return f"{run.outcome}: {run.error}" if run.error else run.outcome
    if run.verdict == "invalid":
        return "invalid: it proves nothing, so no value is shown"
    probe = PROBES.get(run.probe)
    graded = [field for field in probe.fields if field.metric.better and field.metric.kind == "gauge"] if probe else []
    measured = [field for field in graded if field.name in run.values][:SHOWN_FIELDS]
    words = [
        f"{each.name} {_at_least(run, each)}{quantity(run.values[each.name], each.metric.unit)}" for each in measured
    ]
    return ", ".join(words + ["censored: a bound only"] * (run.verdict == "censored")) or "nothing measured yet"


def _at_least(run: Latest, field: Field) -> str:
    """Of what may be more, where something else than the line was the limit."""
    return "≥ " if run.verdict == "censored" and field.metric.better == "higher" else ""


def minutes(site: Site) -> str:
    """`fibre A 3 U 0 N 1`, of each uplink."""
    return "; ".join(
        f"{uplink.id} {' '.join(f'{state} {uplink.minutes.get(state, 0)}' for state in 'AUN')}"
        for uplink in site.uplinks
    )


def sites_table(sites: Sequence[Site], *, plain: bool = False) -> Table:
    """A row for each site; `plain` for a pipe: no frame."""
    table = Table(box=None if plain else box.ROUNDED, pad_edge=not plain)
    for head in ("site", "state", "cause", "since (UTC)", "minutes of the last day"):
        table.add_column(head, no_wrap=plain, overflow="fold")
    for site in sites:
        state = Text(site.state, _STATE_STYLES.get(site.state, ""))
        since = site.since.strftime("%Y-%m-%d %H:%M:%S") if site.since else ""
        table.add_row(f"{site.territory}/{site.site}", state, site.cause or "", since, minutes(site))
    return table


def tables(overview: Overview, page: str, width: int = 80) -> RenderableType:
    """The live view in a terminal; without tables where it has less columns than they need."""
    if width < NARROW:
        return Group(*_stacked(overview), f"{spools(overview)}\n{page}\nCtrl-C stops")
    results = Table(box=box.ROUNDED)
    for head in ("probe", "test", "target", "newest result", "at (UTC)"):
        results.add_column(head, overflow="fold")
    for run in overview.newest():
        results.add_row(run.probe, run.test, run.target, told(run), _clock(run.ended_at))
    return Group(sites_table(overview.sites), results, f"{spools(overview)}   page {page}   Ctrl-C stops")


def _stacked(overview: Overview) -> Iterator[RenderableType]:
    """What a thing says stands below its name."""
    for site in overview.sites:
        state = (site.state, _STATE_STYLES.get(site.state, ""))
        cause = f" ({site.cause})" if site.cause else ""
        yield Text.assemble((f"{site.territory}/{site.site} ", "bold"), state, cause)
        yield Padding(Text(minutes(site)), _BELOW)
    for run in overview.newest():
        yield Text(f"{run.probe} {run.test} {run.target}", "bold")
        yield Padding(Text(f"{told(run)} at {_clock(run.ended_at)}"), _BELOW)


def spools(overview: Overview) -> str:
    """How many measurements wait in the boxes."""
    depths = (f"{agent.agent} {agent.spool.depth if agent.spool else '?'}" for agent in overview.agents)
    return f"spool depth: {', '.join(depths)}"


def lines(overview: Overview, before: dict[str, str]) -> list[str]:
    """The same for a pipe or a log: what says something else than in `before`, which is brought up to date."""
    now = {f"site {each.site}": f"{each.state}{f' ({each.cause})' if each.cause else ''}" for each in overview.sites}
    for run in overview.newest():
        now[f"{run.probe} {run.test} {run.target}"] = f"{told(run)} at {_clock(run.ended_at)}"
    new = [f"{what}: {word}" for what, word in now.items() if before.get(what) != word]
    before.update(now)
    return new


def _clock(at: datetime) -> str:
    return at.strftime("%H:%M:%S")
