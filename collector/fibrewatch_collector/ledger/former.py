"""Boxes that were in the inventory and are no more: what they measured in their time still counts. Blocks."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from fibrewatch.wire import AgentId
from fibrewatch_collector.inventory import Former, Inventory
from fibrewatch_collector.ledger import inventories
from fibrewatch_collector.ledger.inventories import Stood
from fibrewatch_collector.store import Store

FOREVER = float("inf")


def remembered(store: Store, inventory: Inventory, begin: float, end: float) -> Inventory:
    """The inventory, with the boxes of its sites that were replaced or taken away since begin ≤ t < end."""
    stood = inventories.stood(store, begin, end)
    found = dict(_former(stood, inventory))
    return inventory.remembering(found) if found else inventory


def _former(stood: Sequence[Stood], inventory: Inventory) -> Iterator[tuple[AgentId, Former]]:
    """The last word on each."""
    ends = [*(after.at for _, after in pairwise(stood)), FOREVER]
    for each, until in zip(stood, ends, strict=False):
        for site in each.written.get("site", ()):
            yield from _boxes(site, inventory, until)


def _boxes(site: Mapping[str, Any], inventory: Inventory, until: float) -> Iterator[tuple[AgentId, Former]]:
    key = site["territory"], site["id"]
    if key not in inventory.sites:
        return
    for box in site.get("agent", ()):
        agent = AgentId(*key, box["id"])
        if agent not in inventory.agents:
            yield agent, Former(interfaces=dict(box.get("interfaces", {})), until=until)
