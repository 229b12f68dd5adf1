"""Objectives that no box of a line could ever prove: what they ask, against what the boxes can show. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from fibrewatch.wire import AgentId
from fibrewatch_collector.inventory import Inventory, Site, Uplink
from fibrewatch_collector.sla.objectives import Objective

GOODPUT_CEILING = 1448 / 1538
"""Of a link's bits, what is TCP payload: full frames, 1500 bytes of IP, time stamps on, preamble and gap counted."""
_GIGABIT = 1e9 / 8


class Ceiling(NamedTuple):
    """The most that a box can show in one direction, bytes of TCP payload per second, and why."""

    goodput: float
    why: str


class Shown(NamedTuple):
    """What one box told of one of its interfaces; None where it did not.

    Attributes:
        link_speed: As last negotiated, bytes per second.
        download: Of its newest calibration, bytes of payload per second; so is `upload`.
        calibrated: When and against what, for people.
    """

    link_speed: float | None = None
    download: float | None = None
    upload: float | None = None
    calibrated: str = ""


Boxes = Mapping[tuple[AgentId, str], Shown]
"""By box and interface."""


def asked_of(objective: Objective, uplink: Uplink) -> float | None:
    """Bytes of TCP payload per second that a test must reach; None where the objective is of another kind."""
    if objective.kind != "compliance":
        return None
    contracted: float | None = getattr(uplink, objective.direction or "")
    return objective.rate if objective.rate is not None else (objective.of_contract or 0.0) * (contracted or 0.0)


def never_proved(inventory: Inventory, boxes: Boxes) -> Iterator[tuple[str, str]]:
    """Places of objectives that every box of their line is known to be too slow for, and why.

    A line with a box of which nothing is known is left alone.
    """
    for site, uplink, objective, asked in _asking(inventory):
        known = _ceilings(inventory, site, uplink, objective.direction or "", boxes)
        best = max(known, key=lambda each: each.goodput, default=None)
        if best is not None and best.goodput < asked:
            problem = f"{_mbits(asked)} of TCP payload could never be proved: {best.why}; a faster box, a lower rate, "
            yield _place(site, uplink, objective), f'{problem}or drop = ["{objective.id}"]'


def beyond_gigabit(inventory: Inventory, boxes: Boxes) -> Iterator[tuple[str, str]]:
    """The same for objectives that take more than 1 GbE, where it is not known what the boxes have."""
    least = GOODPUT_CEILING * _GIGABIT
    for site, uplink, objective, asked in _asking(inventory):
        known = _ceilings(inventory, site, uplink, objective.direction or "", boxes)
        if asked > least and not known:
            problem = (
                f"{_mbits(asked)} of TCP payload: a box behind 1 GbE shows {_mbits(least)} at most and could never"
            )
            yield _place(site, uplink, objective), f"{problem} prove it; this takes an interface of 2.5 Gbit/s"


def _asking(inventory: Inventory) -> Iterator[tuple[Site, Uplink, Objective, float]]:
    for site in inventory.sites.values():
        for uplink in site.uplinks:
            promise = inventory.promise(site, uplink.id)
            for objective in promise.objectives if promise is not None else ():
                asked = asked_of(objective, uplink)
                if asked is not None:
                    yield site, uplink, objective, asked


def _ceilings(inventory: Inventory, site: Site, uplink: Uplink, direction: str, boxes: Boxes) -> Sequence[Ceiling]:
    """Of each interface that rides on the uplink; nothing where one of them, or a whole box, is unknown."""
    found: list[Ceiling] = []
    for agent in inventory.agents_of(site):
        told = {interface: shown for (box, interface), shown in boxes.items() if box == agent}
        if not told:
            return ()
        for interface, shown in told.items():
            if inventory.uplink_of(agent, interface) == uplink.id:
                one = _ceiling(agent, interface, shown, direction)
                if one is None:
                    return ()
                found.append(one)
    return found


def _ceiling(agent: AgentId, interface: str, shown: Shown, direction: str) -> Ceiling | None:
    limits: list[Ceiling] = []
    where = f"{agent.agent} on {interface}"
    if shown.link_speed is not None:
        link = GOODPUT_CEILING * shown.link_speed
        limits.append(Ceiling(link, f"{where} shows {_mbits(link)} at most, its link is {_mbits(shown.link_speed)}"))
    own: float | None = getattr(shown, direction)
    if own is not None:
        limits.append(Ceiling(own, f"{where} reaches {_mbits(own)} itself (calibrated {shown.calibrated})"))
    return min(limits, key=lambda each: each.goodput, default=None)


def _place(site: Site, uplink: Uplink, objective: Objective) -> str:
    return f'site "{site.id}".uplink "{uplink.id}".objective "{objective.id}"'


def _mbits(rate: float) -> str:
    return f"{rate * 8 / 1e6:.0f} Mbit/s"
