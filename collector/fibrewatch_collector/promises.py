"""Which promise holds for which uplink: the classes of sites.toml, resolved, and what they need to be there. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from fibrewatch.config import nearest
from fibrewatch.errors import ConfigError
from fibrewatch_collector.sla import objectives
from fibrewatch_collector.sla.presets import PRESETS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fibrewatch_collector.inventory import Site, Uplink
    from fibrewatch_collector.sla.objectives import Class, Objective, Promise


def resolve(sites: Sequence[Site], classes: Iterable[Class], file: str) -> dict[tuple[str, str, str], Promise]:
    """What holds for each uplink that has a class, by territory, site and uplink.

    Raises:
        ConfigError: The first thing that is wrong.
    """
    check = _Check({each.id: each for each in classes}, ["/".join(site.key) for site in sites], file)
    found: dict[tuple[str, str, str], Promise] = {}
    for site in sites:
        for uplink in site.uplinks:
            if (promise := check.promise(site, uplink)) is not None:
                found[(*site.key, uplink.id)] = promise
    return found


class _Check:
    """The rules between a class, an uplink and its site."""

    def __init__(self, classes: dict[str, Class], sites: list[str], file: str) -> None:
        self.classes, self.sites, self.file = classes, sites, file

    def promise(self, site: Site, uplink: Uplink) -> Promise | None:
        """An uplink's class with its own objectives."""
        place = f'site "{site.id}".uplink "{uplink.id}"'
        if uplink.sla is None:
            if uplink.objectives or uplink.drop:
                self._fail(place, "objective and drop change an SLA class: sla is missing")
            return None
        self._known(uplink.sla, self.classes, f"{place}.sla", "sla")
        check = objectives.Check(self.file, place)
        check.objectives(uplink.objectives)
        sla = self.classes[uplink.sla]
        whole = objectives.resolve(sla, PRESETS, uplink.objectives)
        for name in uplink.drop:
            self._known(name, [each.id for each in whole.objectives], f"{place}.drop", "objective")
        promise = objectives.resolve(sla, PRESETS, uplink.objectives, uplink.drop)
        check.busy(promise)
        for each in promise.objectives:
            self._fits(each, site, uplink, f'{place}.objective "{each.id}"')
        return promise

    def _fits(self, each: Objective, site: Site, uplink: Uplink, place: str) -> None:
        """What an objective asks of the uplink and of the site must be there."""
        away = f'or drop = ["{each.id}"]'
        if each.direction is not None and each.of_contract is not None and not getattr(uplink, each.direction):
            self._fail(place, f"of_contract: the uplink has no contracted {each.direction}; give it one, {away}")
        if each.peer is not None:
            self._known(each.peer, self.sites, f"{place}.peer", "site")
            if each.peer == "/".join(site.key):
                self._fail(f"{place}.peer", f'"{each.peer}" is the site itself; name the other end, {away}')
        if each.kind == "coverage" and not site.floors:
            self._fail(place, f"the site has no floors; list them, {away}")

    def _known(self, word: str, words: Iterable[str], place: str, what: str) -> None:
        words = list(words)
        if word not in words:
            self._fail(place, f'no {what} "{word}"{nearest(word, words)}')

    def _fail(self, place: str, problem: str) -> NoReturn:
        raise ConfigError(self.file, place, problem)
