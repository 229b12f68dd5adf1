"""The inventory as it stood: each one that came into force is a record, so that a dispute can look back. Blocks."""

import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from fibrewatch_collector.inventory import Inventory
from fibrewatch_collector.store import Record, Store

KIND = "inventory"


class Stood(NamedTuple):
    """The tables of a sites.toml, in force since `at` (UTC seconds, by the collector's clock)."""

    at: float
    written: Mapping[str, Any]


def remember(store: Store, inventory: Inventory, now: float) -> bool:
    """Records an inventory that came into force, if it is another than the last; runs where nobody else writes."""
    if inventory.written is None:
        return False
    made = record(now, inventory.written)
    kept = store.records((KIND,))
    if kept and kept[-1].body == made.body:
        return False
    store.append(made)
    return True


def record(at: float, written: Mapping[str, Any]) -> Record:
    """Of the tables of a sites.toml."""
    return Record(0, KIND, "", "", at, zlib.compress(msgspec.json.encode(written, order="sorted"), 6))


def stood(store: Store, begin: float, end: float) -> list[Stood]:
    """Those in force at some moment of begin ≤ t < end, in order; the first may be older."""
    found = [each for each in store.records((KIND,)) if each.at < end]
    older = [each for each in found if each.at <= begin]
    wanted = found[max(0, len(older) - 1) :]
    return [Stood(each.at, msgspec.json.decode(zlib.decompress(each.body))) for each in wanted]
