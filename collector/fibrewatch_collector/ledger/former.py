"""Boxes that are in the inventory no more, or were on another uplink or floor: what they measured counts so. Blocks."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from fibrewatch.wire import AgentId
from fibrewatch_collector.inventory import Agent, Former, Inventory, Site
from fibrewatch_collector.ledger import inventories
from fibrewatch_collector.ledger.inventories import Stood
from fibrewatch_collector.store import Store

FOREVER = float("inf")


def remembered(store: Store, inventory: Inventory, begin: float, end: float) -> Inventory:
    """The inventory, with the boxes of its sites that were replaced, moved or taken away since begin ≤ t < end."""
    stood = inventories.stood(store, begin, FOREVER)
    found: dict[AgentId, list[Former]] = {}
    for each, after in zip_longest(stood, stood[1:]):
        if each.at < end:
            for agent, former in _boxes(each.written, inventory, after.at if after else FOREVER):
                _add(found.setdefault(agent, []), former)
    others = {agent: each for agent, each in found.items() if not _as_now(agent, each, inventory)}
    return inventory.remembering(others) if others else inventory


def companies(stood: Sequence[Stood], site: Site, uplink: str, at: float) -> int:
    """How many hung on a line at a moment, by the inventories that stood; of the newest, `site` tells."""
    place = bisect_right(stood[1:], at, key=lambda each: each.at)
    tables = stood[place].written.get("site", ()) if place < len(stood) - 1 else ()
    then = next((each for each in tables if (each["territory"], each["id"]) == site.key), None)
    line = next((each for each in then["uplink"] if each["id"] == uplink), None) if then is not None else None
    if then is None or line is None:
        return site.companies_on(uplink)
    named = line.get("floors", ())
    floors = (each for each in then.get("floor", ()) if not named or each["id"] in named)
    return len({company for floor in floors for company in floor.get("companies", ())})


def _boxes(written: Mapping[str, Any], inventory: Inventory, until: float) -> Iterator[tuple[AgentId, Former]]:
    """Those of its sites; of the newest inventory, which `inventory` stands for, only what that does not have."""
    for site in written.get("site", ()):
        here = inventory.sites.get((site["territory"], site["id"]))
        if here is None:
            continue
        for box in site.get("agent", ()):
            agent = AgentId(*here.key, box["id"])
            if until < FOREVER or agent not in inventory.agents:
                main = site.get("default_uplink") or site["uplink"][0]["id"]
                then = Former(box.get("interfaces", {}), main, box.get("floor"), until)
                yield agent, _there_still(then, here, inventory.agents.get(agent))


def _there_still(then: Former, site: Site, now: Agent | None) -> Former:
    """An uplink that is there no more, or has another name, leaves its boxes where they are now."""
    lines, ridden = {each.id for each in site.uplinks}, now.interfaces if now is not None else {}
    main = then.main if then.main in lines else site.main_uplink
    found = {
        name: line if line in lines else ridden.get(name, site.main_uplink) for name, line in then.interfaces.items()
    }
    return then._replace(interfaces=found, main=main)


def _add(to: list[Former], former: Former) -> None:
    """After another, or instead of one that says the same."""
    if to and to[-1][:-1] == former[:-1]:
        to.pop()
    to.append(former)


def _as_now(agent: AgentId, former: list[Former], inventory: Inventory) -> bool:
    """Whether it is there still, and was never otherwise."""
    box, site = inventory.agents.get(agent), inventory.sites[agent[:2]]
    return box is not None and [each[:-1] for each in former] == [(box.interfaces, site.main_uplink, box.floor)]
