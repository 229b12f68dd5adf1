"""The mesh: which boxes measure to each other, and which of two starts. Pure; stable whatever the order of the file.

stamp and voice learn both ways from one end, so one end starts them; a path differs each way, so both ends trace
where both can be reached. Who can't be reached (no `reflector`: behind NAT) starts. Where both can, the start is
spread so that of these pairs no box starts more than one more or less than it is started at.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import combinations, product
from typing import Annotated, Any, Literal, NamedTuple, get_args

from msgspec import Meta, Struct, field

from fibrewatch import schedule
from fibrewatch.config import Duration, build, nearest
from fibrewatch.errors import ConfigError
from fibrewatch.results import PROBES
from fibrewatch.wire import ID_PATTERN, AgentId
from fibrewatch_collector.orientation import Pairing, orient

Test = Literal["stamp", "voice", "path"]
TESTS: tuple[Test, ...] = get_args(Test)
BY_REFLECTOR: frozenset[Test] = frozenset({"stamp", "voice"})
"""Answered by the far box's reflector, at its port."""
MAX_PEERS = 200
"""What a box's status can name of lost targets; its own targets come on top."""

SiteKey = tuple[str, str]


class Settings(Struct, frozen=True, kw_only=True):
    """How a group's test runs: as in a box's [tests.NAME]; None where the default holds."""

    every_s: Annotated[Duration, Meta(ge=1, le=7 * 86400)] | None = field(default=None, name="every")
    on_loss: bool | None = None
    params: dict[str, Any] = {}


DEFAULTS: Mapping[Test, Settings] = {
    "stamp": Settings(params={"interval": "1 s"}),
    "voice": Settings(every_s=3600.0),
    "path": Settings(every_s=900.0, on_loss=True),
}


class Group(Struct, frozen=True, kw_only=True):
    """[[mesh]]: which sites, and what they measure.

    Attributes:
        all: A territory, of which every two sites are a pair.
        pairs: Of sites, territory/site, or of boxes, territory/site/agent.
    """

    id: Annotated[str, Meta(pattern=rf"\A{ID_PATTERN}\Z")]
    all: str | None = None
    pairs: tuple[tuple[str, str], ...] = ()
    tests: tuple[Test, ...] = TESTS
    stamp: Settings | None = None
    voice: Settings | None = None
    path: Settings | None = None

    @property
    def given(self) -> Mapping[Test, Settings]:
        """The settings as written."""
        written: dict[Test, Settings | None] = {"stamp": self.stamp, "voice": self.voice, "path": self.path}
        return {test: settings for test, settings in written.items() if settings is not None}

    def of(self, test: Test) -> Settings:
        """A test's settings, the defaults where none are given."""
        own, usual = self.given.get(test, Settings()), DEFAULTS[test]
        return Settings(
            every_s=usual.every_s if own.every_s is None else own.every_s,
            on_loss=usual.on_loss if own.on_loss is None else own.on_loss,
            params=usual.params | own.params,
        )


class Fleet(NamedTuple):
    """What of the inventory counts for the mesh.

    Attributes:
        territories: All ids.
        boxes: All boxes of each site.
        members: Those of them that stand for their site.
        reachable: Boxes whose reflector others can reach.
    """

    territories: Collection[str]
    boxes: Mapping[SiteKey, Collection[AgentId]]
    members: Mapping[SiteKey, Collection[AgentId]]
    reachable: Collection[AgentId]


class Pair(NamedTuple):
    """Two boxes that measure to each other; `mutual`: the peer can start too, because the starter can be reached."""

    group: Group
    starter: AgentId
    peer: AgentId
    mutual: bool

    def runs(self) -> Iterator[tuple[Test, AgentId, AgentId]]:
        """Each test, the box that runs it and the box it runs to."""
        for test in self.group.tests:
            yield test, self.starter, self.peer
            if test not in BY_REFLECTOR and self.mutual:
                yield test, self.peer, self.starter


class Mesh(NamedTuple):
    """All pairs; `unmeasured` are those that a group asks for and neither end of which can be reached."""

    pairs: tuple[Pair, ...] = ()
    unmeasured: tuple[tuple[Group, AgentId, AgentId], ...] = ()

    def runs(self) -> Iterator[tuple[Group, Test, AgentId, AgentId]]:
        """Each test of each pair, the box that runs it and the box it runs to."""
        for pair in self.pairs:
            for run in pair.runs():
                yield pair.group, *run

    def warnings(self) -> list[str]:
        """One line for each pair that can't be measured."""
        return [f'mesh "{group.id}": {_unreachable(a, b)}' for group, a, b in self.unmeasured]


def target_name(peer: AgentId) -> str:
    """What a peer is called as a target: the same on every box, so that a dead one is known by its name."""
    return ".".join(peer)


def plan(groups: Iterable[Group], fleet: Fleet, file: str) -> Mesh:
    """The pairs of all groups, each once: one that is named goes before one of `all`.

    Raises:
        ConfigError: The first thing that is wrong.
    """
    ordered = sorted(groups, key=lambda group: group.id)
    check = _Check(fleet, file)
    wanted: dict[Pairing, Group] = {}
    for group in ordered:
        check.group(group)
    for group in ordered:
        check.named(group, wanted)
    for group in ordered:
        if group.all is not None:
            for pairing in check.everyone(group):
                wanted.setdefault(pairing, group)
    mesh = _oriented(wanted, fleet.reachable)
    check.limits(mesh)
    return mesh


def _oriented(wanted: Mapping[Pairing, Group], reachable: Collection[AgentId]) -> Mesh:
    free = [pair for pair in sorted(wanted) if pair[0] in reachable and pair[1] in reachable]
    starts = set(orient(free))
    pairs, unmeasured = [], []
    for (a, b), group in sorted(wanted.items(), key=lambda item: item[0]):
        if (a, b) in starts or (a not in reachable and b in reachable):
            pairs.append(Pair(group, a, b, a in reachable))
        elif a in reachable:
            pairs.append(Pair(group, b, a, b in reachable))
        else:
            unmeasured.append((group, a, b))
    return Mesh(tuple(pairs), tuple(unmeasured))


# ---- what is wrong


def _unreachable(a: AgentId, b: AgentId) -> str:
    return f"neither {a} nor {b} can be reached: give one of them a reflector"


class _Check:
    """Groups into pairs, with the rules that they must keep."""

    def __init__(self, fleet: Fleet, file: str) -> None:
        self.fleet, self.file = fleet, file
        self._territories: dict[str, str] = {}

    def group(self, group: Group) -> None:
        """One group's own rules, and that no other has its territory."""
        place = f'mesh "{group.id}"'
        if (group.all is None) == (not group.pairs):
            self._fail(place, "a group has either `all`, a territory, or `pairs`")
        if not group.tests or len(set(group.tests)) < len(group.tests):
            self._fail(f"{place}.tests", f"each of {', '.join(TESTS)} once at most, and one at least")
        for test, settings in group.given.items():
            if test not in group.tests:
                self._fail(f"{place}.{test}", f"this group's tests are {', '.join(group.tests)}")
            self._settings(test, settings, f"{place}.{test}")
        if group.all is not None:
            if group.all not in self.fleet.territories:
                hint = nearest(group.all, self.fleet.territories)
                self._fail(f"{place}.all", f'no territory "{group.all}"{hint}')
            if (other := self._territories.setdefault(group.all, group.id)) != group.id:
                self._fail(f"{place}.all", f'mesh "{other}" has all of "{group.all}" already')

    def _settings(self, test: Test, settings: Settings, place: str) -> None:
        every_s = settings.every_s
        if every_s is not None and PROBES[test].mode == "window" and not schedule.divides_minute(every_s):
            self._fail(f"{place}.every", f"a window of {every_s:g} s does not divide the minute")
        if settings.on_loss and PROBES[test].mode == "window":
            self._fail(f"{place}.on_loss", f"{test} runs all the time")
        if test in BY_REFLECTOR and "port" in settings.params:
            self._fail(f"{place}.params.port", "it is the one of each box's reflector: set it there")
        build(settings.params, PROBES[test].params, self.file, f"{place}.params")

    def named(self, group: Group, wanted: dict[Pairing, Group]) -> None:
        """Adds the pairs that a group names."""
        for number, words in enumerate(group.pairs):
            place = f'mesh "{group.id}".pairs[{number}]'
            ends = [self._end(word, place) for word in words]
            possible = [_sorted(a, b) for a, b in product(*ends)]
            if any(a[:2] == b[:2] for a, b in possible):
                self._fail(place, f"{words[0]} and {words[1]} are one site: a pair is of two")
            if not any(box in self.fleet.reachable for pairing in possible for box in pairing):
                self._fail(place, _unreachable(*possible[0]))
            for pairing in possible:
                if pairing in wanted:
                    where = f'mesh "{wanted[pairing].id}"'
                    self._fail(place, f"{pairing[0]} and {pairing[1]} are a pair of {where} already")
                wanted[pairing] = group

    def _end(self, word: str, place: str) -> Collection[AgentId]:
        """The boxes that an end's word means: territory/site, or one of its boxes."""
        boxes = {str(box): box for each in self.fleet.boxes.values() for box in each}
        if word in boxes:
            return (boxes[word],)
        sites = {"/".join(site): site for site in self.fleet.boxes}
        if word not in sites:
            known = boxes if word.count("/") == 2 else sites
            self._fail(place, f'no {"agent" if known is boxes else "site"} "{word}"{nearest(word, known)}')
        members = self.fleet.members[sites[word]]
        if not members:
            self._fail(place, f'site "{word}" has no agent for a mesh')
        return members

    def everyone(self, group: Group) -> Iterator[Pairing]:
        """Every two boxes of a territory that are of different sites."""
        sites = [boxes for (territory, _), boxes in self.fleet.members.items() if territory == group.all]
        for one, other in combinations(sites, 2):
            for a, b in product(one, other):
                yield _sorted(a, b)

    def limits(self, mesh: Mesh) -> None:
        """No box gets more targets than its status can name."""
        peers = Counter(box for box, _ in {(box, peer) for _, _, box, peer in mesh.runs()})
        for box, count in sorted(peers.items()):
            if count > MAX_PEERS:
                self._fail("mesh", f"{box} would measure to {count} others, {MAX_PEERS} at most")

    def _fail(self, place: str, problem: str) -> None:
        raise ConfigError(self.file, place, problem)


def _sorted(a: AgentId, b: AgentId) -> Pairing:
    return (a, b) if a < b else (b, a)
