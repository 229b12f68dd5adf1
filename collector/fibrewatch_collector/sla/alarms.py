"""Which sites, uplinks and boxes call for a person now: states, less declared work and what another alarm says. Pure.

Decided here so that alert rules stay simple: one fault is one alarm. Where the collector can't judge there is no
answer, and rules hold the one before.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from fibrewatch_collector.inventory import Site
from fibrewatch_collector.ledger.maintenance import Declaration
from fibrewatch_collector.sla.live import SiteState

SEEN_ELSEWHERE = ("agent",)
"""Causes of a degraded site that have an alarm of their own."""


class Alarms(NamedTuple):
    """Of one site.

    Attributes:
        down: It has no line left, or says nothing at all.
        degraded: It works, but not as it should.
        cut: Its uplinks that are cut while another one carries on.
    """

    down: bool
    degraded: bool
    cut: frozenset[str]


NONE = Alarms(down=False, degraded=False, cut=frozenset())


def under_work(declarations: Iterable[Declaration], site: Site, now: float) -> frozenset[str]:
    """The uplinks of a site on which declared work is going on."""
    at = datetime.fromtimestamp(now, UTC)
    current = [each for each in declarations if each.begin <= at < each.until and each.touches(site)]
    named = {each.uplink for each in current}
    return frozenset(uplink.id for uplink in site.uplinks if None in named or uplink.id in named)


def of_site(state: SiteState, site: Site, worked_on: frozenset[str]) -> Alarms | None:
    """A site's alarms; None while nobody can tell.

    Args:
        state: As judged.
        site: Of the inventory.
        worked_on: Its uplinks under declared work.
    """
    if state.state == "unknown":
        return NONE if state.cause == "target" else None
    if state.state == "unreachable":  # what boxes say goes over the main uplink
        return NONE._replace(down=site.main_uplink not in worked_on)
    if state.state == "down":
        return NONE._replace(down=not worked_on.issuperset(state.uplinks))
    if state.doubtful:
        return None
    cut = {uplink for uplink, verdict in state.uplinks.items() if verdict.state == "U"}
    told = cut or worked_on or state.cause in SEEN_ELSEWHERE
    return Alarms(down=False, degraded=state.state == "degraded" and not told, cut=frozenset(cut - worked_on))


def dark(silent: Iterable[tuple[str, str, str]], states: Mapping[tuple[str, str], SiteState]) -> set[tuple[str, ...]]:
    """Boxes that are silent while their site is not cut off, or others reach it."""
    return {agent for agent in silent if _told(states.get(agent[:2]))}


def _told(state: SiteState | None) -> bool:
    return state is not None and state.state not in ("unreachable", "unknown")
