"""What a scenario file may say beyond the form of its fields; every error names file, place and value."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

from msgspec import Struct

from fibrewatch.config import load, nearest
from fibrewatch.errors import ConfigError
from fibrewatch_collector.inventory import load_inventory
from fibrewatch_collector.operator.scenario.script import MINUTE_S, Fault, Kind, Scenario, ScriptBox, Work
from fibrewatch_collector.operator.scenario.sites import Sites

LONGEST = timedelta(days=400)


class _Keys(Struct, frozen=True):
    required: frozenset[str]
    allowed: frozenset[str]


def _keys(required: str, allowed: str = "") -> _Keys:
    return _Keys(frozenset(required.split()), frozenset(allowed.split()))


KEYS: Mapping[Kind, _Keys] = {
    "line_cut": _keys("site uplink"),
    "operator_down": _keys("operator", "access"),
    "brown_out": _keys("site uplink", "loss delay_s share"),
    "lan_cut": _keys("site", "box"),
    "wifi_storm": _keys("site", "box loss delay_s"),
    "target_down": _keys("target"),
    "agent_dark": _keys("box", "interface"),
    "power_cut": _keys("site"),
    "clock_jump": _keys("box", "ahead_s behind_s"),
    "undated": _keys("box"),
    "late_batch": _keys("box delivered"),
    "results_lost": _keys("box"),
    "slow": _keys("site uplink share"),
    "censored": _keys("box share reason", "bound"),
    "invalid": _keys("box reason"),
}
_COMMON = {"kind", "at", "for_s"}


def read(path: Path) -> tuple[Scenario, Sites]:
    """A scenario and its sites.

    Raises:
        ConfigError: The first thing that is wrong.
    """
    found = load(path, Scenario)
    load_inventory(path.parent / found.sites)
    sites = Sites.read(path.parent / found.sites)
    Check(str(path), found, sites).all()
    return found, sites


class Check:
    """What one field alone can't tell."""

    def __init__(self, file: str, scenario: Scenario, sites: Sites) -> None:
        self._file, self._scenario, self._sites = file, scenario, sites
        self._targets = [each.name for each in scenario.targets]
        self._boxes = [each.agent for each in scenario.boxes]

    def all(self) -> None:
        """Raises ConfigError for the first thing that is wrong."""
        self._span()
        self._unique("target", self._targets)
        self._unique("box", self._boxes)
        for target in self._scenario.targets:
            if target.peer is not None:
                self._known(target.peer, self._boxes, f'target "{target.name}".peer', "box")
        for box in self._scenario.boxes:
            self._box(box)
        for number, fault in enumerate(self._scenario.faults):
            self._fault(fault, f"fault[{number}]")
        for number, work in enumerate(self._scenario.works):
            self._work(work, f"maintenance[{number}]")

    def _span(self) -> None:
        begin, end = self._scenario.begin, self._scenario.end
        for name, at in (("from", begin), ("to", end), ("until", self._scenario.until or end)):
            if at.timestamp() % MINUTE_S:
                self._fail(name, f"{at.isoformat()} is not a whole minute")
        if not begin < end <= begin + LONGEST:
            self._fail("to", f"{end.isoformat()} is not after from, and at most {LONGEST.days} days after")
        if self._scenario.heard_until < end.timestamp():
            self._fail("until", "it is before to")

    def _box(self, box: ScriptBox) -> None:
        place = f'box "{box.agent}"'
        self._known(box.agent, self._sites.agents, place, "agent of sites.toml")
        if MINUTE_S % box.interval_s:
            self._fail(f"{place}.interval", f"{box.interval_s:g} s does not divide the minute")
        for name in box.targets:
            self._known(name, self._targets, f"{place}.targets", "target")
        roles = {self._scenario.target(name).role for name in box.targets}
        for key, every, role in (
            ("transfer_every", box.transfer_every_s, "responder"),
            ("lookup_every", box.lookup_every_s, "service"),
        ):
            if every is not None and role not in roles:
                self._fail(f"{place}.{key}", f"none of its targets is of role {role}")

    def _fault(self, fault: Fault, place: str) -> None:
        keys, place = KEYS[fault.kind], f"{place} {fault.kind}"
        written = {name for name in fault.__struct_fields__ if getattr(fault, name) is not None} - _COMMON
        for name in sorted(keys.required - written):
            self._fail(place, f"{_written(name)} is missing")
        for name in sorted(written - keys.required - keys.allowed):
            takes = ", ".join(map(_written, sorted(keys.required | keys.allowed)))
            self._fail(f"{place}.{_written(name)}", f"{fault.kind} does not take it; it takes {takes}")
        self._names(fault, place)
        if fault.kind == "clock_jump" and (fault.ahead_s is None) == (fault.behind_s is None):
            self._fail(place, "one of ahead and behind says how far")
        if fault.delivered is not None and not fault.end <= fault.delivered.timestamp() <= self._scenario.heard_until:
            self._fail(f"{place}.delivered", f"{fault.delivered.isoformat()} is before the fault's end or after until")
        if not self._scenario.begin <= fault.at < self._scenario.end:
            self._fail(f"{place}.at", f"{fault.at.isoformat()} is outside the scenario")

    def _names(self, fault: Fault, place: str) -> None:
        if fault.site is not None:
            self._known(fault.site, self._sites.names, f"{place}.site", "site")
        if fault.uplink is not None:
            self._known(fault.uplink, self._sites.uplinks(fault.site or ""), f"{place}.uplink", "uplink of the site")
        if fault.operator is not None:
            self._known(fault.operator, self._sites.operators, f"{place}.operator", "operator")
        if fault.box is not None:
            self._known(fault.box, self._boxes, f"{place}.box", "box")
        if fault.target is not None:
            self._known(fault.target, self._targets, f"{place}.target", "target")
        if fault.interface is not None:
            box = next(each for each in self._scenario.boxes if each.agent == fault.box)
            self._known(fault.interface, box.interfaces, f"{place}.interface", "interface of the box")

    def _work(self, work: Work, place: str) -> None:
        self._known(work.site, self._sites.names, f"{place}.site", "site")
        if work.uplink is not None:
            self._known(work.uplink, self._sites.uplinks(work.site), f"{place}.uplink", "uplink of the site")
        if not work.begin < work.end:
            self._fail(f"{place}.to", f"{work.end.isoformat()} is not after from")
        for name, at in (("declared", work.declared), ("cancelled", work.cancelled or work.declared)):
            if at.timestamp() > self._scenario.heard_until:
                self._fail(f"{place}.{name}", f"{at.isoformat()} is after the collector's last moment")

    def _unique(self, what: str, names: Sequence[str]) -> None:
        for name in names:
            if names.count(name) > 1:
                self._fail(f'{what} "{name}"', f"there is another {what} of this name")

    def _known(self, word: str, words: Iterable[str], place: str, what: str) -> None:
        words = list(words)
        if word not in words:
            self._fail(place, f'no {what} "{word}"{nearest(word, words)}')

    def _fail(self, place: str, problem: str) -> NoReturn:
        raise ConfigError(self._file, place, problem)


def _written(name: str) -> str:
    """As the file has it."""
    return name.removesuffix("_s")
