"""Windows as a box measures them, for tests."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from fibrewatch.measurement import AnyMeasurement, Measurement, Role, Target
from fibrewatch.results import ping
from fibrewatch_collector.inventory import Agent, Inventory, Site, Territory, Uplink

T0 = 1_790_856_000
"""A whole minute, UTC seconds."""
ROLES: dict[str, Role] = {"gw": "gateway", "edge": "access", "dns": "neutral", "far": "responder"}


def parisian(number: int, uplinks: tuple[Uplink, ...], agents: tuple[Agent, ...]) -> Site:
    """A site; its first uplink is called fibre."""
    return Site(
        territory="paris",
        id=f"s{number}",
        name=f"Site {number}",
        city="Paris",
        latitude=48.9,
        longitude=2.4,
        time_zone="Europe/Paris",
        default_uplink="fibre",
        uplinks=uplinks,
        agents=agents,
    )


def in_paris(sites: Iterable[Site]) -> Inventory:
    """An inventory of one territory."""
    return Inventory([Territory(id="paris", name="Paris")], list(sites))


def window(
    name: str, start: float, *, sent: int = 60, lost: int = 0, peer: str | None = None, **fields: Any
) -> AnyMeasurement:
    """A minute of pings; with a minus before the target's name all were lost."""
    lost = sent if name.startswith("-") else lost
    target = name.strip("-")
    usual: dict[str, Any] = {
        "probe": "ping",
        "test": "ping",
        "target": Target(name=target, role=ROLES.get(target, "responder"), peer=peer),
        "started_at": datetime.fromtimestamp(start, UTC),
        "boottime_s": 1.0,
        "boot": "00000000",
        "duration_s": 60.0,
        "outcome": "ok" if lost < sent else "failed",
        "result": ping.Result(sent=sent, lost=lost, deadline=2.0, first_lost_at_s=7.0 if lost == sent else None),
    }
    return Measurement(**(usual | fields))
