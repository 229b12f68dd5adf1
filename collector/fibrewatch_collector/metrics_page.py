"""`python -m fibrewatch_collector.metrics_page`: docs/metrics.md, every metric that the collector exposes. Pure."""

import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol

from fibrewatch import __version__
from fibrewatch.metric import prometheus_name
from fibrewatch.results import PROBES, ProbeType
from fibrewatch_collector import own_metrics
from fibrewatch_collector.alarm_series import AlarmFamilies
from fibrewatch_collector.exposition import Exposition
from fibrewatch_collector.families import SERIES_LABELS, Family, unit_of
from fibrewatch_collector.fleet import AgentFamilies, SiteFamilies
from fibrewatch_collector.floor_series import FloorFamilies
from fibrewatch_collector.objective_series import ObjectiveFamilies
from fibrewatch_collector.own_metrics import OwnMetrics
from fibrewatch_collector.promise_series import PromiseFamilies

SITES, BOXES, TESTS, COLLECTOR = "Sites, uplinks, targets", "Boxes", "Every test", "The collector"
_HEAD = """\
# Metrics

Written by `make golden` from the code that exposes them; a test holds it current. `/metrics` speaks Prometheus' text
format, and OpenMetrics 1.0 to whoever asks for it.

- A box's series are named `fibrewatch_<probe>_<field>_<unit>` and labelled {series_labels}
  (their tables don't repeat it); "" where a test has no target or interface.
- A gauge is the newest run's, by its own time. A run that is invalid shows no values; a skipped one changes nothing.
- Counters and histograms take in each stored run once, however often it was sent;
  they begin at 0 when the collector starts.
- Values of a box that went silent are taken away after 2.5 times the test's period;
  its freshness (`…_last_result_timestamp_seconds`) stays.
- With `[remote_write]` a test's gauges are written instead, and not in `/metrics` ([remote-write.md](remote-write.md)).
- States are enumerated: one series for each state, 1 for the one that holds and 0 for all others.
- A censored run's values are bounds: `fibrewatch_probe_censored` is 1.
"""


class Owner(Protocol):
    """Whoever keeps families."""

    def families(self) -> Iterable[Family]:
        """In the order of the page."""


class Entry(NamedTuple):
    """One metric family as the catalogue tells of it."""

    name: str
    kind: str
    unit: str
    help: str
    labels: tuple[str, ...]


def entries(probes: Mapping[str, ProbeType] = PROBES) -> Mapping[str, list[Entry]]:
    """All families by where they come from; a probe's under its name."""
    owners: tuple[Owner, ...] = (
        SiteFamilies(),
        FloorFamilies(),
        ObjectiveFamilies(),
        PromiseFamilies(),
        AlarmFamilies(),
    )
    of_probe = {prometheus_name(probe.name, field): probe.name for probe in probes.values() for field in probe.fields}
    found: dict[str, list[Entry]] = {
        SITES: [entry(each) for owner in owners for each in owner.families()],
        BOXES: [entry(each) for each in AgentFamilies().families()],
        TESTS: [],
        **{name: [] for name in probes},
        COLLECTOR: list(_own()),
    }
    for family in Exposition(probes).families():
        found[of_probe.get(family.name, TESTS)].append(entry(family))
    return found


def entry(family: Family) -> Entry:
    """What a family says of itself."""
    return Entry(family.name, family.kind, unit_of(family.name), family.help, family.labels)


def _own() -> Iterator[Entry]:
    own = OwnMetrics(__version__)
    own.levels.bins_behind_seconds = own.remote.behind_seconds = 0  # what is not known is not shown
    own.remote.up = True
    for family in own.registry.collect():
        name = family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")
        yield Entry(name, family.type, unit_of(name), family.documentation, own_metrics.labels_of(name))


def page(probes: Mapping[str, ProbeType] = PROBES) -> str:
    """The whole page in Markdown."""
    parts = [_HEAD.format(series_labels=", ".join(SERIES_LABELS))]
    for title, group in entries(probes).items():
        probe = probes.get(title)
        parts.append(f"\n## {title}\n\n")
        if probe is not None:
            parts.append(f"{_summary(probe)}\n\n")
        if group:
            parts += [_table(group, SERIES_LABELS if title in (TESTS, *probes) else ()), *_kept(probe)]
    return "".join(parts)


def _summary(probe: ProbeType) -> str:
    text = (
        (inspect.getmodule(probe.result).__doc__ or "").strip().splitlines() if inspect.getmodule(probe.result) else []
    )
    told = text[0].partition(": ")[2] if text else ""
    return f"{told[:1].upper()}{told[1:]}" if told else f"Results of {probe.name}."


def _kept(probe: ProbeType | None) -> Iterator[str]:
    """What only reports have."""
    names = [field.name for field in probe.fields if not field.metric.exposed] if probe is not None else []
    if names:
        yield f"\nFor reports alone, not in `/metrics`: {', '.join(f'`{name}`' for name in names)}.\n"


def _table(group: Iterable[Entry], usual: tuple[str, ...]) -> str:
    rows = [("metric", "type", "unit", "labels", "meaning"), ("---",) * 5]
    for each in group:
        labels = "" if each.labels == usual else ", ".join(each.labels)
        rows.append((f"`{each.name}`", each.kind, each.unit, labels, each.help.replace("|", "\\|")))
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


if __name__ == "__main__":
    print(page(), end="")
