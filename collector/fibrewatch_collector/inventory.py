"""The inventory, `sites.toml`: territories, sites, floors, uplinks, agents, which uplink an interface rides on, and
which boxes measure to each other.
"""

import ipaddress
import math
import re
import zoneinfo
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Protocol

from msgspec import Meta, Struct, field

from fibrewatch.config import Port, Rate, build, nearest, read_toml
from fibrewatch.errors import ConfigError
from fibrewatch.measurement import Label
from fibrewatch.wire import ID_PATTERN, AgentId
from fibrewatch_collector import mesh, promises
from fibrewatch_collector.mesh import Fleet, Group, Mesh
from fibrewatch_collector.sla import burn, objectives
from fibrewatch_collector.sla.burn import Burn
from fibrewatch_collector.sla.floor import Place
from fibrewatch_collector.sla.objectives import Class, Objective, Promise
from fibrewatch_collector.sla.presets import PRESETS
from fibrewatch_collector.sla.wifi import Limits as WifiLimits

Id = Annotated[str, Meta(pattern=rf"\A{ID_PATTERN}\Z")]
Name = Annotated[str, Meta(min_length=1, max_length=100)]
_INTERFACE = re.compile(r"[A-Za-z0-9_.:-]{1,63}")
_HOST = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")
_STAMP_PORT = 862
UplinkKind = Literal["fibre", "mobile", "dsl", "cable", "radio", "satellite"]


class Territory(Struct, frozen=True, kw_only=True):
    """A group of sites that one community runs."""

    id: Id
    name: Name


class Uplink(Struct, frozen=True, kw_only=True):
    """A site's line to the world, with its contracted rates in bytes per second; None where none is promised.

    Attributes:
        sla: The class of its promise, an id of [[sla]].
        objectives: In place of the class's of the same id, or beside them; `drop` takes some of the class's away.
        floors: Those that hang on it; without, all of the site.
    """

    id: Id
    kind: UplinkKind
    operator: Name | None = None
    download: Rate | None = None
    upload: Rate | None = None
    sla: str | None = None
    objectives: tuple[Objective, ...] = field(default=(), name="objective")
    drop: tuple[str, ...] = ()
    floors: tuple[str, ...] = ()


class Endpoint(Struct, frozen=True, kw_only=True):
    """[[target]]: where a target stands, by the name that boxes call it; for objectives over the physical floor."""

    id: Label
    latitude: Annotated[float, Meta(ge=-90, le=90)]
    longitude: Annotated[float, Meta(ge=-180, le=180)]

    @property
    def place(self) -> Place:
        """Its coordinates."""
        return Place(self.latitude, self.longitude)


class Floor(Struct, frozen=True, kw_only=True):
    """A floor, and the companies it hosts."""

    id: Id
    companies: tuple[Name, ...] = ()


class Reflector(Struct, frozen=True, kw_only=True):
    """Where others reach a box's reflector: a host name or numeric address, as seen from outside."""

    address: Annotated[str, Meta(min_length=1, max_length=255)]
    port: Port = _STAMP_PORT


class Agent(Struct, frozen=True, kw_only=True):
    """A box; `interfaces` says which of its interfaces rides on which uplink.

    Attributes:
        mesh: Whether it stands for its site in the mesh; without any that does, the first by its id, unless false.
        reflector: None: nobody can reach it, it is behind NAT.
        sources: Prefixes that its packets come from, as others see them.
    """

    id: Id
    floor: str | None = None
    interfaces: dict[str, str] = {}  # msgspec copies a mutable default
    mesh: bool | None = None
    reflector: Reflector | None = None
    sources: tuple[str, ...] = ()

    @property
    def seen_as(self) -> tuple[str, ...]:
        """The prefixes that its packets come from; empty where that is not known."""
        if self.sources or self.reflector is None:
            return self.sources
        return (self.reflector.address,) if _numeric(self.reflector.address) else ()


class Site(Struct, frozen=True, kw_only=True):
    """A customer line, or several.

    Attributes:
        wifi: What good Wi-Fi is there.
        default_uplink: Carries whatever names no interface, or one that the agent does not list.
    """

    territory: str
    id: Id
    name: Name
    city: Name
    latitude: Annotated[float, Meta(ge=-90, le=90)]
    longitude: Annotated[float, Meta(ge=-180, le=180)]
    time_zone: str
    wifi: WifiLimits = WifiLimits()
    default_uplink: str | None = None
    uplinks: tuple[Uplink, ...] = field(name="uplink")
    floors: tuple[Floor, ...] = field(default=(), name="floor")
    agents: tuple[Agent, ...] = field(default=(), name="agent")

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from every other site."""
        return self.territory, self.id

    @property
    def place(self) -> Place:
        """Its coordinates."""
        return Place(self.latitude, self.longitude)

    @property
    def main_uplink(self) -> str:
        """The uplink of what names no interface."""
        return self.default_uplink or self.uplinks[0].id

    @property
    def companies(self) -> int:
        """How many it hosts on all floors."""
        return len({company for floor in self.floors for company in floor.companies})

    def companies_on(self, uplink: str) -> int:
        """How many hang on an uplink: on its floors, or on all where it names none."""
        named = {floor for each in self.uplinks if each.id == uplink for floor in each.floors}
        floors = [floor for floor in self.floors if not named or floor.id in named]
        return len({company for floor in floors for company in floor.companies})


class SitesFile(Struct, frozen=True, kw_only=True):
    """sites.toml as written."""

    territories: tuple[Territory, ...] = field(default=(), name="territory")
    sites: tuple[Site, ...] = field(default=(), name="site")
    meshes: tuple[Group, ...] = field(default=(), name="mesh")
    classes: tuple[Class, ...] = field(default=(), name="sla")
    targets: tuple[Endpoint, ...] = field(default=(), name="target")
    burns: tuple[Burn, ...] = field(default=(), name="burn")


NO_MESH = Mesh()
SiteKey = tuple[str, str]
"""Territory and site."""
Vantage = tuple[str, str, str]
"""Territory, site, uplink."""
Stretch = tuple[float, float]
"""begin ≤ t < end, UTC seconds."""


class Former(NamedTuple):
    """How a box was connected until a moment (UTC seconds): what it measured by then counts so.

    Attributes:
        main: The uplink of whatever names no interface, or one that is not listed.
        floor: Where it stood.
    """

    interfaces: Mapping[str, str]
    main: str
    floor: str | None
    until: float


class Inventory:
    """What is known of the fleet; never changed, only replaced.

    Attributes:
        former: Boxes of its sites that are gone, or were on other uplinks or floors, where somebody asked for a time in
            which they were; of each in order of time.
    """

    def __init__(
        self,
        territories: Iterable[Territory],
        sites: Iterable[Site],
        mesh: Mesh = NO_MESH,
        promises: Mapping[Vantage, Promise] | None = None,
        targets: Iterable[Endpoint] = (),
        *,
        burns: tuple[Burn, ...] = burn.DEFAULTS,
        written: Mapping[str, Any] | None = None,
    ) -> None:
        """`written`: the tables it was made of, as plain data; None where it was put together otherwise."""
        self.burns = burns
        self.mesh = mesh
        self.written: Mapping[str, Any] | None = written
        self.promises: Mapping[Vantage, Promise] = promises or {}
        self.targets: Mapping[str, Endpoint] = {each.id: each for each in targets}
        self.territories: Mapping[str, Territory] = {each.id: each for each in territories}
        self.sites: Mapping[SiteKey, Site] = {site.key: site for site in sites}
        self.agents: Mapping[AgentId, Agent] = {
            AgentId(*site.key, agent.id): agent for site in self.sites.values() for agent in site.agents
        }
        self.former: Mapping[AgentId, Sequence[Former]] = {}

    def remembering(self, former: Mapping[AgentId, Sequence[Former]]) -> "Inventory":
        """The same, with boxes as they were."""
        made = copy(self)
        made.former = former
        return made

    def knows(self, agent: AgentId) -> bool:
        """Whether the box may deliver."""
        return agent in self.agents

    def site_of(self, agent: AgentId) -> Site | None:
        """The box's site; None if there is no such site."""
        return self.sites.get((agent.territory, agent.site))

    def uplink_of(self, agent: AgentId, interface: str | None, at: float | None = None) -> str | None:
        """The uplink that a box's interface rides on, or rode on at a moment; None if the box is not known."""
        found = self._connected(agent, at)
        return None if found is None else found.interfaces.get(interface or "", found.main)

    def reached_over(self, agent: AgentId, at: float | None = None) -> Vantage | None:
        """The uplink over which others reach a box: the only one that it is on, or the site's main one."""
        found = self._connected(agent, at)
        if found is None:
            return None
        ridden = {*found.interfaces.values()}
        return (*agent[:2], found.main if found.main in ridden or len(ridden) != 1 else ridden.pop())

    def ridden(self, agent: AgentId, interface: str | None, begin: float, end: float) -> dict[str, list[Stretch]]:
        """The uplinks that an interface rode on within a stretch, each with when, in order and apart."""
        moves = [each.until for each in self.former.get(agent, ()) if begin < each.until < end]
        found: dict[str, list[Stretch]] = {}
        for first, last in pairwise([begin, *moves, end]):
            if (uplink := self.uplink_of(agent, interface, first)) is not None:
                spans = found.setdefault(uplink, [])
                joined = spans.pop()[0] if spans and spans[-1][1] == first else first
                spans.append((joined, last))
        return found

    def floor_of(self, agent: AgentId, at: float) -> str | None:
        """The floor on which a box stood at a moment."""
        found = self._connected(agent, at)
        return None if found is None else found.floor

    def _connected(self, agent: AgentId, at: float | None) -> Former | None:
        """How it is now, or was at a moment; of a box that is gone, how it was last."""
        box, site, former = self.agents.get(agent), self.site_of(agent), self.former.get(agent, ())
        if site is None or (box is None and not former):
            return None
        then = next((each for each in former if at < each.until), None) if at is not None else None
        if then is not None or box is None:
            return then or former[-1]
        return Former(box.interfaces, site.main_uplink, box.floor, math.inf)

    def operators(self) -> Mapping[Vantage, str]:
        """Whose network each uplink hangs on; those of which it is not told are left out."""
        return {
            (*site.key, uplink.id): uplink.operator
            for site in self.sites.values()
            for uplink in site.uplinks
            if uplink.operator is not None
        }

    def promise(self, site: Site, uplink: str) -> Promise | None:
        """What the operator promised for an uplink; None where nothing is."""
        return self.promises.get((*site.key, uplink))

    def place_of(self, target: str, peer: str | None) -> Place | None:
        """Where a target stands: at the site of the box there, or as sites.toml says; None: not known."""
        if peer is not None and (site := self.sites.get((peer.split("/")[0], peer.split("/")[1]))) is not None:
            return site.place
        return self.targets[target].place if target in self.targets else None

    def agents_of(self, site: Site) -> Iterator[AgentId]:
        """The boxes of a site."""
        return (AgentId(*site.key, agent.id) for agent in site.agents)


class HasInventory(Protocol):
    """Whoever holds the inventory in force: it is replaced at a reload."""

    @property
    def inventory(self) -> Inventory:
        """The one in force now."""


def load_inventory(path: Path) -> Inventory:
    """Reads and checks sites.toml.

    Raises:
        ConfigError: The first thing that is wrong.
    """
    return inventory_of(read_toml(path), str(path))


def inventory_of(written: Mapping[str, Any], file: str) -> Inventory:
    """Checks the tables of a sites.toml; `file` is its name for errors.

    Raises:
        ConfigError: The first thing that is wrong.
    """
    read = build(written, SitesFile, file)
    check = _Check(file)
    check.unique("territory", (each.id for each in read.territories), "")
    check.sites(read)
    check.unique("mesh", (each.id for each in read.meshes), "")
    check.unique("target", (each.id for each in read.targets), "")
    objectives.check_classes(read.classes, PRESETS, file)
    check.burns(read)
    promised = promises.resolve(read.sites, read.classes, file)
    planned = mesh.plan(read.meshes, _fleet(read), file)
    return Inventory(
        read.territories,
        read.sites,
        planned,
        promised,
        read.targets,
        burns=read.burns or burn.DEFAULTS,
        written=written,
    )


def _fleet(read: SitesFile) -> Fleet:
    return Fleet(
        territories=[each.id for each in read.territories],
        boxes={site.key: [AgentId(*site.key, box.id) for box in site.agents] for site in read.sites},
        members={site.key: [AgentId(*site.key, box.id) for box in _members(site)] for site in read.sites},
        reachable={AgentId(*site.key, box.id) for site in read.sites for box in site.agents if box.reflector},
    )


def _members(site: Site) -> list[Agent]:
    """The boxes that stand for their site in the mesh."""
    named = [box for box in site.agents if box.mesh]
    others = sorted((box for box in site.agents if box.mesh is None), key=lambda box: box.id)
    return named or others[:1]


def _numeric(address: str) -> bool:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True


class _Check:
    """The rules that go across the tables."""

    def __init__(self, file: str) -> None:
        self.file = file

    def sites(self, read: SitesFile) -> None:
        territories = [each.id for each in read.territories]
        seen: set[SiteKey] = set()
        for site in read.sites:
            place = f'site "{site.id}"'
            self.known(site.territory, territories, f"{place}.territory", "territory")
            if site.key in seen:
                self._fail(place, f'there is another site of this id in territory "{site.territory}"')
            seen.add(site.key)
            self.site(site, place)

    def site(self, site: Site, place: str) -> None:
        uplinks = [each.id for each in site.uplinks]
        floors = [each.id for each in site.floors]
        self.time_zone(site.time_zone, f"{place}.time_zone")
        self.uplinks(site, uplinks, place)
        self.unique("floor", floors, place)
        self.unique("agent", (each.id for each in site.agents), place)
        for line in site.uplinks:
            for floor in line.floors:
                self.known(floor, floors, f'{place}.uplink "{line.id}".floors', "floor of this site")
        for agent in site.agents:
            at = f'{place}.agent "{agent.id}"'
            if agent.floor is not None:
                self.known(agent.floor, floors, f"{at}.floor", "floor of this site")
            for interface, uplink in agent.interfaces.items():
                if not _INTERFACE.fullmatch(interface):
                    self._fail(f"{at}.interfaces", f"{interface!r}: not the name of an interface")
                self.known(uplink, uplinks, f"{at}.interfaces.{interface}", "uplink of this site")
            self.addresses(agent, at)

    def addresses(self, agent: Agent, place: str) -> None:
        """Where others reach it, and where its packets come from."""
        reached = agent.reflector.address if agent.reflector else "localhost"
        if not _numeric(reached) and not (_HOST.fullmatch(reached) and re.search("[A-Za-z]", reached)):
            self._fail(f"{place}.reflector.address", f"{reached!r} is neither a host name nor an address")
        for source in agent.sources:
            try:
                ipaddress.ip_network(source)
            except ValueError as e:
                raise ConfigError(self.file, f"{place}.sources", f"{source!r} is not a prefix: {e}") from e

    def uplinks(self, site: Site, uplinks: list[str], place: str) -> None:
        self.unique("uplink", uplinks, place)
        if not uplinks:
            self._fail(place, "a site has at least one uplink")
        if site.default_uplink is not None:
            self.known(site.default_uplink, uplinks, f"{place}.default_uplink", "uplink of this site")
        elif len(uplinks) > 1:
            self._fail(place, f"default_uplink is missing: one of {', '.join(uplinks)}")
        for uplink in site.uplinks:
            for name, rate in (("download", uplink.download), ("upload", uplink.upload)):
                if rate == 0:
                    self._fail(f'{place}.uplink "{uplink.id}".{name}', "a contracted rate is above 0")

    def time_zone(self, name: str, place: str) -> None:
        try:
            zoneinfo.ZoneInfo(name)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            self._fail(place, f'no such time zone "{name}"{nearest(name, zoneinfo.available_timezones())}')

    def known(self, word: str, words: list[str], place: str, what: str) -> None:
        if word not in words:
            self._fail(place, f'no {what} "{word}"{nearest(word, words)}')

    def burns(self, read: SitesFile) -> None:
        """Those that objectives name must be there."""
        burns = [each.id for each in read.burns or burn.DEFAULTS]
        self.unique("burn", burns, "")
        names: dict[str, str] = {}
        for name in burns:  # an alert is called by it, without hyphens
            if (other := names.setdefault(name.replace("-", ""), name)) != name:
                self._fail(f'burn "{name}"', f'its alerts would be called as those of burn "{other}"')
        groups = [(f'sla "{each.id}"', each.objectives) for each in read.classes]
        groups += [
            (f'site "{site.id}".uplink "{uplink.id}"', uplink.objectives)
            for site in read.sites
            for uplink in site.uplinks
        ]
        for place, objectives_here in groups:
            for each in objectives_here:
                for name in each.burn or ():
                    self.known(name, burns, f'{place}.objective "{each.id}".burn', "burn")

    def unique(self, what: str, ids: Iterable[str], place: str) -> None:
        seen: set[str] = set()
        for each in ids:
            if each in seen:
                at = f'{what} "{each}"'
                self._fail(f"{place}.{at}" if place else at, f"there is another {what} of this id")
            seen.add(each)

    def _fail(self, place: str, problem: str) -> None:
        raise ConfigError(self.file, place, problem)
