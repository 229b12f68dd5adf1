"""The agent's configuration: one TOML file into frozen structs, checked as a whole before anything runs."""

import ipaddress
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, TypeVar

from msgspec import Meta, Struct, field
from msgspec.structs import replace

from fibrewatch import schedule
from fibrewatch.config import Duration, Size, build, nearest, read_toml
from fibrewatch.errors import ConfigError, WireError
from fibrewatch.files import readable_by_others
from fibrewatch.measurement import Target
from fibrewatch.results import PROBES, ProbeType
from fibrewatch.wire import ID_PATTERN, AgentId, agent_id
from fibrewatch_agent import control_config, preset
from fibrewatch_agent.fragments import read_fragments
from fibrewatch_agent.line import config as line_config
from fibrewatch_agent.line import landmarks
from fibrewatch_agent.line.config import LineConfig
from fibrewatch_agent.line.quiet_hours import Hours
from fibrewatch_agent.preset import BEYOND
from fibrewatch_agent.probes import ProbeFunction, probe_function
from fibrewatch_agent.tables import Control, Entry, ScheduleConfig, TargetConfig

DEFAULT_PATH = Path("/etc/fibrewatch/agent.toml")
DEFAULT_WINDOW_S = 60.0
SHORTEST_WINDOW_S = 1.0
MAX_PLANS = 500  # wire.Inventory.schedule
MAX_TARGETS = 200  # wire.Status.lost_targets
_LABEL = re.compile(r"[A-Za-z0-9_.:-]{1,63}")


class Identity(Struct, frozen=True, kw_only=True):
    """[agent]: who this box is, and the folder that it keeps its state in."""

    territory: str
    site: str
    name: str
    state_dir: Path = Path("/var/lib/fibrewatch-agent")


class ClockConfig(Struct, frozen=True, kw_only=True):
    """[clock]: when a measurement's time of day is believed.

    Attributes:
        trusted: The operator says that the host keeps the clock (a virtual machine, say), whatever the kernel thinks.
        hold_s: How long undated measurements wait for a good clock before they are sent as undated.
    """

    trusted: bool = False
    hold_s: Annotated[Duration, Meta(ge=0)] = field(default=600.0, name="hold")


class TlsConfig(Struct, frozen=True, kw_only=True):
    """[broker.tls]: PEM files; without `ca` the system's authorities are asked."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


class BrokerConfig(Struct, frozen=True, kw_only=True):
    """[broker]: where results go; the port is 8883 with [broker.tls] unless set."""

    host: Annotated[str, Meta(min_length=1, max_length=255)]
    port: Annotated[int, Meta(ge=1, le=65535)] = 1883
    keepalive_s: Annotated[Duration, Meta(ge=1, le=3600)] = field(default=5.0, name="keepalive")
    tls: TlsConfig | None = None


class SpoolConfig(Struct, frozen=True, kw_only=True):
    """[spool]: how much may wait for the collector.

    Attributes:
        sync_s: How long results wait in memory for their acknowledgement before they are written to the card.
    """

    max_bytes: Annotated[Size, Meta(ge=2**20)] = field(default=256 * 2**20, name="max_size")
    max_age_s: Annotated[Duration, Meta(ge=60)] = field(default=30 * 86400.0, name="max_age")
    sync_s: Annotated[Duration, Meta(ge=0, le=3600)] = field(default=0.0, name="sync_every")


class _Tables(Struct, frozen=True, kw_only=True):
    """What a fragment may hold."""

    targets: dict[str, TargetConfig] = {}
    tests: dict[str, Entry] = {}


class _File(_Tables, frozen=True, kw_only=True):
    agent: Identity
    broker: BrokerConfig
    clock: ClockConfig = ClockConfig()
    spool: SpoolConfig = SpoolConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    uplinks: dict[str, LineConfig] = {}


class Plan(Struct, frozen=True, kw_only=True):
    """One test against one target: what the scheduler runs.

    Attributes:
        params: The probe's Params.
        every_s: The window's length for mode "window", otherwise the period.
        target: With the name and role; its address is known at each run.
        address: The target as configured.
        toward: Addresses beyond the gateway, by which the landmark `first-hop` is found.
        on_loss: Run also when another test loses the target, or hears it again.
        uplink: Which of [uplinks] it measures, if any is configured.
        quiet_hours: When it does not start; for mode "exclusive".
        control: Where slots at the target are had.
    """

    test: str
    probe: ProbeType
    params: Any
    every_s: float
    target: Target | None = None
    address: str | None = None
    toward: tuple[str, ...] = ()
    interface: str | None = None
    family: Literal[4, 6] | None = None
    on_loss: bool = False
    uplink: str | None = None
    quiet_hours: tuple[Hours, ...] = ()
    control: Control | None = None

    @property
    def key(self) -> str:
        """`test` or `test/target`: unique on a box, and what its phase follows from."""
        return self.test if self.target is None else f"{self.test}/{self.target.name}"


class AgentConfig(Struct, frozen=True, kw_only=True):
    """The whole configuration, checked; `fragments` are the files that it was read from beside its own."""

    agent: AgentId
    state_dir: Path
    broker: BrokerConfig
    clock: ClockConfig
    spool: SpoolConfig
    targets: Mapping[str, TargetConfig]
    plans: tuple[Plan, ...]
    schedule: ScheduleConfig = ScheduleConfig()
    uplinks: Mapping[str, LineConfig] = {}
    fragments: tuple[str, ...] = ()


def load_config(path: Path, sys: Path = Path("/sys")) -> AgentConfig:
    """Reads and checks the agent's TOML file and its fragments; a preset looks in `sys` for a radio.

    Raises:
        ConfigError: What is wrong, with file, place, value and the nearest valid word.
    """
    data = read_toml(path)
    broker = data.get("broker")
    if isinstance(broker, dict) and "tls" in broker:
        broker.setdefault("port", 8883)
    parsed = build(data, _File, str(path))
    fragments = {file: build(tables, _Tables, file) for file, tables in read_fragments(path)}
    lines = line_config.Lines(parsed.uplinks, parsed.schedule)
    wireless = any(sys.glob("class/net/*/phy80211"))
    return _Checker(str(path), lines, wireless=wireless).check(parsed, fragments)


def probe_type(name: str, file: str, place: str) -> ProbeType:
    """A probe of the registry that can be scheduled and that this agent can run.

    Raises:
        ConfigError: It is unknown, written by the agent itself, or not installed here.
    """
    probe = PROBES.get(name)
    if probe is None:
        usable = runnable()
        raise ConfigError(file, place, f"{name!r}: no such probe{nearest(name, usable)}; one of {', '.join(usable)}")
    if probe.mode == "event":
        raise ConfigError(file, place, f"{name!r} is written by the agent itself and can't be scheduled")
    _implementation(name, file, place)
    return probe


def runnable() -> list[str]:
    """The probes that the contract knows and whose implementation is here; nothing is imported."""
    return [name for name in PROBES if find_spec(f"fibrewatch_agent.probes.{name}")]


def needs_target(probe: str) -> bool:
    """Whether a probe's module says `NEEDS_TARGET = True`: without a target it can't measure anything."""
    return bool(getattr(sys.modules[probe_function(probe).__module__], "NEEDS_TARGET", False))


def _implementation(name: str, file: str, place: str) -> ProbeFunction:
    try:
        return probe_function(name)
    except ModuleNotFoundError as e:
        missing = "its implementation" if str(e.name).startswith("fibrewatch_agent.") else f"the package {e.name}"
        raise ConfigError(file, place, f"{name!r}: this agent can't run it: {missing} is missing") from e


def valid_label(text: str) -> bool:
    """Whether it can be a metric's label, as `fibrewatch.measurement.Label`."""
    return _LABEL.fullmatch(text) is not None


def valid_interface(text: str) -> bool:
    """Whether it can be an interface's name (IFNAMSIZ) and a label."""
    return valid_label(text) and len(text) <= 15


class _Checker:
    """The rules that one field alone can't tell."""

    def __init__(self, file: str, lines: line_config.Lines, *, wireless: bool = False) -> None:
        self.file, self._lines, self._wireless = file, lines, wireless

    def check(self, parsed: _File, fragments: Mapping[str, _Tables]) -> AgentConfig:
        self._identity(parsed.agent)
        self._tls(parsed.broker.tls)
        self.names("uplinks", parsed.uplinks)
        for place, fault in self._lines.faults():
            self._fail(place, fault)
        given, tests = preset.completed(
            parsed.schedule, parsed.targets, parsed.tests, self.file, wireless=self._wireless
        )
        main = _Tables(targets=given, tests=tests)
        sources = [(self, main), *((_Checker(file, self._lines), tables) for file, tables in fragments.items())]
        targets = _merged("targets", ((checker, tables.targets) for checker, tables in sources))
        _merged("tests", ((checker, tables.tests) for checker, tables in sources))
        who = parsed.agent
        me = AgentId(who.territory, who.site, who.name)
        for name, line in parsed.uplinks.items():
            if line.calibrate_against is not None and line.calibrate_against not in targets:
                problem = f"{line.calibrate_against!r}: no such target{nearest(line.calibrate_against, targets)}"
                self._fail(f"uplinks.{name}.calibrate_against", problem)
        if len(targets) > MAX_TARGETS:
            self._fail("targets", f"{len(targets)} targets, {MAX_TARGETS} at most")
        plans: list[Plan] = []
        for checker, tables in sources:
            checker.peers(tables.targets, me)
            for place, fault in control_config.faults(tables.targets, parsed.broker.tls):
                checker._fail(place, fault)
            for name, entry in tables.tests.items():
                plans += checker.plans_of(name, entry, targets)
        plans = [_with_control(plan, targets, parsed) for plan in plans]
        if len(plans) > MAX_PLANS:
            self._fail("tests", f"{len(plans)} tests (each target counts), {MAX_PLANS} at most")
        return AgentConfig(
            agent=me,
            state_dir=who.state_dir,
            broker=parsed.broker,
            clock=parsed.clock,
            spool=parsed.spool,
            targets=targets,
            plans=tuple(plans),
            fragments=tuple(fragments),
            schedule=parsed.schedule,
            uplinks=parsed.uplinks,
        )

    def peers(self, targets: Mapping[str, TargetConfig], me: AgentId) -> None:
        """The boxes that targets stand for."""
        for name, target in targets.items():
            place = f"targets.{name}.peer"
            try:
                if target.peer is not None and agent_id(target.peer) == me:
                    self._fail(place, f"{target.peer!r} is this box itself")
            except WireError as e:
                raise ConfigError(self.file, place, e.detail) from e

    def plans_of(self, name: str, entry: Entry, targets: Mapping[str, TargetConfig]) -> Iterator[Plan]:
        """One for each of a test's targets."""
        place = f"tests.{name}"
        if entry.interface is not None and not valid_interface(entry.interface):
            self._fail(f"{place}.interface", f"{entry.interface!r} is not an interface's name")
        probe = probe_type(entry.probe, self.file, f"{place}.probe")
        params = build(entry.params, probe.params, self.file, f"{place}.params")
        every_s = self._every(probe, entry, f"{place}.every")
        self._targets(probe, entry, targets, f"{place}.targets")
        if entry.on_loss and (probe.mode == "window" or not entry.targets):
            why = f"{probe.name} runs all the time" if probe.mode == "window" else "the test has no target to lose"
            self._fail(f"{place}.on_loss", why)
        try:
            uplink, interface = self._lines.of_test(entry.uplink, entry.interface, heavy=probe.mode == "exclusive")
            quiet = self._lines.quiet_hours(entry.quiet_hours)
        except ValueError as e:
            self._fail(f"{place}.{e.args[0]}", e.args[1])
        for target in entry.targets or (None,):
            yield Plan(
                test=name,
                probe=probe,
                params=params,
                every_s=every_s,
                target=targets[target].named(target) if target else None,
                address=targets[target].address if target else None,
                toward=self._toward(targets, target) if target else (),
                on_loss=entry.on_loss,
                interface=interface,
                family=entry.family,
                uplink=uplink,
                quiet_hours=quiet,
            )

    def _toward(self, targets: Mapping[str, TargetConfig], name: str) -> tuple[str, ...]:
        """For a target whose address is `first-hop`: what stands beyond it, three at most."""
        if targets[name].address != landmarks.FIRST_HOP:
            return ()
        beyond = sorted(
            (target for target in targets.values() if target.role in BEYOND and target.address not in landmarks.NAMES),
            key=lambda target: BEYOND.index(target.role),
        )
        if not beyond:
            wanted = f"{', '.join(BEYOND[:-1])} or {BEYOND[-1]}"
            self._fail(f"targets.{name}.address", f'"first-hop" needs a target beyond it: of role {wanted}')
        return tuple(target.address for target in beyond[:3])

    def _every(self, probe: ProbeType, entry: Entry, place: str) -> float:
        if probe.mode != "window":
            if entry.every_s is None:
                self._fail(place, f'missing: how often {probe.name} runs, such as "1 h"')
            return entry.every_s
        window_s = DEFAULT_WINDOW_S if entry.every_s is None else entry.every_s
        if window_s < SHORTEST_WINDOW_S:
            self._fail(place, f"a window of {window_s:g} s is too short: {SHORTEST_WINDOW_S:g} s at least")
        if not schedule.divides_minute(window_s):
            near = schedule.MINUTE_S / max(1, round(schedule.MINUTE_S / window_s))
            self._fail(place, f"a window of {window_s:g} s does not divide the minute (did you mean {near:g} s?)")
        return window_s

    def _targets(self, probe: ProbeType, entry: Entry, targets: Mapping[str, TargetConfig], place: str) -> None:
        if not entry.targets and needs_target(probe.name):
            self._fail(place, f"missing: {probe.name} needs a target")
        for position, name in enumerate(entry.targets):
            if name not in targets:
                self._fail(place, f"{name!r}: no such target{nearest(name, targets)}")
            if name in entry.targets[:position]:
                self._fail(place, f"{name!r} is listed twice")
            found = _address_family(targets[name].address)
            if entry.family and found and found != entry.family:
                self._fail(place, f"{name!r} is {targets[name].address}, IPv{found}, but family is {entry.family}")

    def _identity(self, who: Identity) -> None:
        for place in ("territory", "site", "name"):
            if not re.fullmatch(ID_PATTERN, getattr(who, place)):
                self._fail(f"agent.{place}", f"{getattr(who, place)!r} is not an id of 1 to 20 of a-z, 0-9, -")

    def names(self, place: str, table: Mapping[str, object]) -> None:
        """What targets and tests are called."""
        for name in table:
            if not valid_label(name):
                self._fail(place, f"{name!r} is not a name of 1 to 63 letters, digits, _ . : -")
            if place == "tests" and _reserved(name):
                self._fail(place, f"{name!r} is reserved for the agent's own measurements")

    def _tls(self, tls: TlsConfig | None) -> None:
        if tls is not None and (tls.certificate is None) != (tls.key is None):
            missing = "key" if tls.key is None else "certificate"
            self._fail("broker.tls", f"{missing} is missing: certificate and key go together")
        if tls is not None and tls.key is not None and tls.key.exists() and readable_by_others(tls.key):
            self._fail("broker.tls.key", f"{tls.key}: others may read it: chmod 600, and think who has")

    def _fail(self, place: str, problem: str) -> NoReturn:
        raise ConfigError(self.file, place, problem)


def _with_control(plan: Plan, targets: Mapping[str, TargetConfig], parsed: _File) -> Plan:
    control = control_config.control_of(targets[plan.target.name], parsed.broker.tls) if plan.target else None
    if control is None:
        return plan
    line = parsed.uplinks.get(plan.uplink or "")
    rates = (line.rate_down, line.rate_up) if line else (None, None)
    return replace(plan, control=replace(control, rate_down=rates[0], rate_up=rates[1]))


T = TypeVar("T")


def _merged(place: str, tables: Iterable[tuple[_Checker, Mapping[str, T]]]) -> dict[str, T]:
    """All files' targets or tests; a name belongs to one file."""
    found: dict[str, T] = {}
    files: dict[str, str] = {}
    for checker, table in tables:
        checker.names(place, table)
        for name, each in table.items():
            if name in found:
                raise ConfigError(checker.file, f"{place}.{name}", f"{files[name]} has one of this name already")
            found[name], files[name] = each, checker.file
    return found


def _reserved(test: str) -> bool:
    """Whether the agent writes measurements of that name itself."""
    return test == "once" or (test in PROBES and PROBES[test].mode == "event")


def _address_family(address: str) -> Literal[4, 6] | None:
    """4 or 6 for a numeric address, None for a name."""
    try:
        return 6 if ipaddress.ip_address(address).version == 6 else 4
    except ValueError:
        return None
