"""When a month's report is made final, and how often it is revised: by the script's moments alone."""

from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from fibrewatch_collector.operator.scenario import sites as plain
from fibrewatch_collector.operator.scenario.script import Scenario
from fibrewatch_collector.operator.scenario.sites import Sites

_DAY_S = 86400


class Editions:
    """Of one site and one period, UTC seconds; the collector looks at each UTC midnight."""

    def __init__(self, scenario: Scenario, sites: Sites, site: str, begin: float, end: float) -> None:
        self._scenario, self._sites, self._site = scenario, sites, site
        self._begin, self._end = begin, end

    def final(self) -> float | None:
        """When the month is made final; None: not in the scenario, or it is no month."""
        zone = ZoneInfo(self._sites.site(self._site)["time_zone"])
        local = [datetime.fromtimestamp(at, zone) for at in (self._begin, self._end)]
        if not all(each.day == 1 for each in local) or (local[1] - local[0]).days > 31:
            return None
        at = -(-self._end // _DAY_S) * _DAY_S
        while at <= self._scenario.heard_until:
            if at >= self._end + self._grace() or not self._owing(at):
                return at
            at += _DAY_S
        return None

    def revision(self) -> dict[str, Any]:
        """Each later look finds what came or was said since the one before; what is newer is not final."""
        final = self.final()
        if final is None:
            return {"revision": 1, "final": False}
        news = [at for at in self._news() if at > final]
        looks = [final + _DAY_S * number for number in range(1 + int(self._scenario.heard_until - final) // _DAY_S)]
        found = 1 + sum(any(before < at <= look for at in news) for before, look in pairwise(looks))
        since = any(at > looks[-1] for at in news)
        return {"revision": found + since, "final": not since}

    def _news(self) -> Iterator[float]:
        """When something came late, or was said."""
        yield from self._late()
        for each in self._scenario.works:
            touches = each.begin.timestamp() < self._end and each.end.timestamp() > self._begin
            if each.site == self._site and touches:
                yield from (at.timestamp() for at in (each.declared, each.cancelled) if at is not None)

    def _late(self) -> Iterator[float]:
        for each in self._scenario.faults:
            mine = (each.box or "").rpartition("/")[0] == self._site and each.begin < self._end
            if mine and each.delivered is not None:
                yield each.delivered.timestamp()

    def _grace(self) -> float:
        found = [self._sites.sla(self._site, name) for name in self._sites.uplinks(self._site)]
        return max((plain.seconds(each.get("grace", "7 d")) for each in found if each is not None), default=7 * _DAY_S)

    def _owing(self, at: float) -> bool:
        """Whether a box still has something of the period, or was not heard since its end."""
        return any(late > at for late in self._late()) or self._scenario.end.timestamp() <= self._end
