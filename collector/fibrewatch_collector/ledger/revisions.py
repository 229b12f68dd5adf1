"""When a period's report is final, and what a later one has otherwise. Pure.

Provisional until every box has delivered what it measured in the period, or the time of grace is over; then final. What
changes after that makes a new revision, which says what.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from fibrewatch.wire import AgentId
from fibrewatch_collector.inventory import Inventory, Site
from fibrewatch_collector.report.model import Change, Report
from fibrewatch_collector.sla.objectives import GRACE_S

NOT_COMPARED = frozenset({"revision", "hours", "transfers"})
"""The plots' parts change only with what the series count."""
_VERSION = ("methods", "collector_version")
_ADDED = "promise_changes"
LATE = ".counts.late"
"""Told by the hour, and since the first report: it changes with the others, never alone."""
_TO_THE_MINUTE = len("2026-10-25T02:30")
MOST = 500
"""So many changes are listed; a report of which more changed is another one."""


class Delivered(NamedTuple):
    """How far a box has come; UTC seconds.

    Attributes:
        newest: End of its newest measurement; None: it was never heard.
        waiting_since: Of the oldest that it has not delivered; None where nothing waits.
        known: Whether it ever said what waits.
    """

    newest: float | None
    waiting_since: float | None
    known: bool


def owing(delivered: Mapping[AgentId, Delivered], site: Site, end: datetime) -> tuple[str, ...]:
    """The site's boxes that may still bring something of before `end`: silent since, or their spool reaches back."""
    return tuple(
        sorted(box.id for box in site.agents if _owes(delivered.get(AgentId(*site.key, box.id)), end.timestamp()))
    )


def _owes(box: Delivered | None, end: float) -> bool:
    if box is None or box.newest is None:
        return False  # it never measured: nothing is expected of it
    if box.newest < end or not box.known:
        return True
    return box.waiting_since is not None and box.waiting_since < end


def grace(inventory: Inventory, site: Site) -> timedelta:
    """How long a site's periods wait for late results: the longest of its classes'."""
    promises = (inventory.promise(site, uplink.id) for uplink in site.uplinks)
    return timedelta(seconds=max((each.grace_s for each in promises if each is not None), default=GRACE_S))


def is_due(end: datetime, now: datetime, wait: timedelta, owed: Iterable[str]) -> bool:
    """Whether a period's first revision can be made."""
    return now >= end and (not any(True for _ in owed) or now >= end + wait)


def encode(report: Report) -> bytes:
    """The same report gives the same bytes."""
    return msgspec.json.encode(report, order="deterministic")


def decode(body: bytes) -> Report:
    """A report that was kept."""
    return msgspec.json.decode(body, type=Report)


def changes(before: bytes, after: bytes) -> tuple[Change, ...]:
    """What two reports have otherwise, figure by figure; values as in their JSON, "" where one has none.

    A figure's path names the things of a list where they have a name: "uplinks.fibre.net.unavailable".
    """
    one, other = dict(_figures(_compared(before))), dict(_figures(_compared(after)))
    paths = [path for path in {**one, **other} if one.get(path) != other.get(path) and not path.endswith(LATE)]
    return tuple(Change(figure=path, before=one.get(path, ""), after=other.get(path, "")) for path in paths[:MOST])


def _compared(report: bytes) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(report)
    table, name = _VERSION
    found.get(table, {}).pop(name, None)
    if not found.get(_ADDED):  # reports that were kept before it was there have none
        found.pop(_ADDED, None)
    for outage in found.get(
        "outages", ()
    ):  # its seconds and its evidence go with the measurements, when those are pruned
        outage["begin"] = outage["begin"][:_TO_THE_MINUTE]
        del outage["end"], outage["evidence"]
    order = ("uplinks", "findings", "outages")
    rest = [each for each in found if each not in NOT_COMPARED and each not in order]
    return {each: found[each] for each in (*order, *rest) if each in found}


def _figures(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _figures(each, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for name, each in _named(value):
            yield from _figures(each, f"{path}.{name}")
    else:
        yield path, msgspec.json.encode(value).decode()


_NAMES = ("id", "uplink", "subject", "probe", "test", "target", "floor", "agent", "begin", "date", "first")


def _named(items: Iterable[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each by what tells it from the others, with a number where that is the same."""
    seen: dict[str, int] = {}
    for each in items:
        words = [str(each[name]) for name in _NAMES if each.get(name) not in (None, "")]
        name = "/".join(words) or "-"
        seen[name] = seen.get(name, 0) + 1
        yield name if seen[name] == 1 else f"{name}#{seen[name]}", each
