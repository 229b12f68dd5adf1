"""What was promised otherwise at some time since a period began: figures are judged by what is promised now. Blocks."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec

from fibrewatch.errors import ConfigError
from fibrewatch_collector.inventory import Inventory, Site, inventory_of
from fibrewatch_collector.ledger import inventories
from fibrewatch_collector.report.model import PromiseChange
from fibrewatch_collector.store import Store

_NOT_SHOWN = ("id", "burn")
_RATES = ("download", "upload")


class Stood(NamedTuple):
    """An inventory, in force since a moment (UTC seconds)."""

    at: float
    inventory: Inventory


def stood(store: Store, begin: float, now: float) -> list[Stood]:
    """Those in force since a moment, in order; those of another program's making that can't be read are left out."""
    found = []
    kept = inventories.stood(store, begin, now)
    for each in kept if len(kept) > 1 else ():
        try:
            found.append(Stood(each.at, inventory_of(each.written, "an earlier sites.toml")))
        except ConfigError:
            continue
    return found


def changes(history: Sequence[Stood], site: Site) -> tuple[PromiseChange, ...]:
    """Of a site's lines, in order of time."""
    return tuple(
        PromiseChange(at=datetime.fromtimestamp(later.at, UTC), uplink=uplink, figure=figure, before=old, after=new)
        for earlier, later in pairwise(history)
        for uplink in _uplinks(earlier.inventory, later.inventory, site)
        for figure, old, new in _differences(
            _promised(earlier.inventory, site, uplink), _promised(later.inventory, site, uplink)
        )
    )


def _uplinks(one: Inventory, other: Inventory, site: Site) -> list[str]:
    """Of the site, whichever inventory has them."""
    found = [each.sites[site.key] for each in (one, other) if site.key in each.sites]
    return sorted({uplink.id for each in found for uplink in each.uplinks})


def _differences(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    for figure in sorted(before.keys() | after.keys()):
        old, new = before.get(figure, ""), after.get(figure, "")
        if old != new:
            yield figure, old, new


def _promised(inventory: Inventory, site: Site, uplink: str) -> dict[str, str]:
    """What a line is judged by, each under its name, as JSON."""
    here = inventory.sites.get(site.key)
    line = next((each for each in here.uplinks if each.id == uplink), None) if here else None
    found: dict[str, Any] = {}
    if line is not None:
        found |= {name: rate for name in _RATES if (rate := getattr(line, name)) is not None}
    if (promise := inventory.promises.get((*site.key, uplink))) is not None:
        found |= {"sla": promise.sla, "coverage_floor": promise.coverage_floor, "busy": promise.busy}
        for objective in promise.objectives:
            said: dict[str, Any] = msgspec.to_builtins(objective)
            found |= {f"{objective.id}.{key}": value for key, value in said.items() if key not in _NOT_SHOWN}
    return {name: msgspec.json.encode(value).decode() for name, value in found.items() if value is not None}
