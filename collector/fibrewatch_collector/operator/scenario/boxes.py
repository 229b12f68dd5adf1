"""What boxes make of the world's samples, how they spool it, and in which batches it leaves them."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, NamedTuple

from msgspec import Raw

from fibrewatch import __version__, sketch, stats
from fibrewatch.measurement import UNDATED, AnyMeasurement, Conditions, Measurement, Target
from fibrewatch.results import dns, ping, throughput
from fibrewatch.wire import AgentId, Batch, Interface, Inventory, ScheduledTest, agent_id, encode
from fibrewatch_collector.operator.scenario.samples import TRANSFER_S, Delays, Record, Transfer, Window
from fibrewatch_collector.operator.scenario.script import Fault, Scenario, ScriptBox, ScriptTarget
from fibrewatch_collector.operator.scenario.sites import Sites
from fibrewatch_collector.operator.scenario.ways import Way

BATCH = 100
_DEADLINE_S = 2.0
_RESEND_S = 1800.0
_UP_S = 10_000.0
"""So long the boxes run when the scenario begins."""
_GOOD = Conditions(clock_synchronised=True, clock_offset_bound_s=0.002, cpu_busy=0.03, link_speed=125e6)
_LOST_CLOCK = Conditions(clock_synchronised=False, cpu_busy=0.03, link_speed=125e6)


class Message(NamedTuple):
    """A batch on its way: when it arrives, from whom, the payload."""

    at: float
    agent: AgentId
    payload: bytes


@dataclass(slots=True)
class _Stream:
    """One start of an agent; `held` until acknowledged, by number."""

    name: str
    held_until: float
    last: int = 0
    sent: int = 0
    sent_at: float = 0.0
    held: deque[tuple[int, float, bytes]] = field(default_factory=deque)


class SpoolingBox:
    """One box: measures, spools, sends when it can."""

    def __init__(self, scenario: Scenario, sites: Sites, box: ScriptBox) -> None:
        self.script, self.agent = box, agent_id(box.agent)
        site = box.agent.rpartition("/")[0]
        mine = [each for each in scenario.faults if each.box == box.agent or (each.site == site and not each.box)]
        self._off = [each for each in mine if _is_off(each)]
        self._late = [each for each in mine if each.kind == "late_batch"]
        self._ways = [Way(scenario, sites, box, interface, _COLLECTOR) for interface in box.interfaces]
        self._roles = {scenario.target(name).role: name for name in reversed(box.targets)}
        self._breaks = {each.end for each in self._off} | {at for each in self._late for at in (each.begin, each.end)}
        started = [each.end for each in self._off if each.kind == "power_cut"]
        self._booted = [scenario.begin.timestamp() - _UP_S, *started]
        self._seed, self._streams = scenario.seed, list[_Stream]()
        self._results: dict[int, tuple[Delays, ping.Result]] = {}
        self._stream_of: int | None = None
        self.newest: float | None = None

    # ---- measuring

    def take(self, record: Record) -> None:
        """Numbers a record and spools it, unless its number is all that is ever heard of it."""
        stream = self._stream(record.at)
        stream.last += 1
        if not record.lost:
            stream.held.append((stream.last, record.ended, encode(self._measurement(record))))

    def _stream(self, at: float) -> _Stream:
        """The one that a start or a restart of the agent opened."""
        number = sum(each <= at for each in self._breaks)
        if number != self._stream_of:
            self._stream_of = number
            name = blake2b(f"{self._seed}/{self.agent}/{number}".encode(), digest_size=8).hexdigest()
            late = [each.delivered for each in self._late if each.begin <= at < each.end]
            held_until = max((each.timestamp() for each in late if each is not None), default=0.0)
            self._streams.append(_Stream(name, held_until))
        return self._streams[-1]

    def _measurement(self, record: Record) -> AnyMeasurement:
        boot = max(each for each in self._booted if each <= record.at)
        common: dict[str, Any] = {
            "target": Target(
                name=record.target.name, role=record.target.role, address="192.0.2.1", peer=record.target.peer
            ),
            "interface": record.interface,
            "family": 4,
            "started_at": datetime.fromtimestamp(record.dated, UTC),
            "boottime_s": round(record.at - boot, 3),
            "boot": blake2b(f"{self.agent}/{boot}".encode(), digest_size=4).hexdigest(),
            "duration_s": round(record.ended - record.at, 6),
            "conditions": _LOST_CLOCK if record.undated else _GOOD,
            "reasons": (UNDATED,) if record.undated else (),
        }
        if isinstance(record, Window):
            return Measurement(**common, probe="ping", test="latency", outcome="ok", result=self._window(record))
        if isinstance(record, Transfer):
            return _transfer(record, common)
        if record.delay is None:
            return Measurement(**common, probe="dns", test="resolver", outcome="failed", error="timeout")
        result = dns.Result(lookup_time=record.delay)
        return Measurement(**common, probe="dns", test="resolver", outcome="ok", result=result)

    def _window(self, record: Window) -> ping.Result:
        """Summed up once for each of the good windows, which come again and again."""
        found = self._results.get(id(record.delays))
        if found is None:
            found = record.delays, _result(record.delays, record.box.interval_s)
            if len(self._results) < 1000:
                self._results[id(record.delays)] = found
        return found[1]

    # ---- sending

    def messages(self, now: float) -> Iterator[Message]:
        """What leaves it at a moment; nothing while it is off or no line of it carries anything."""
        off = any(each.begin <= now < each.end for each in self._off)
        if off or all(way.cut(now) for way in self._ways):
            return
        for stream in self._streams:
            if stream.held_until <= now:
                yield from self._batches(stream, now)

    def _batches(self, stream: _Stream, now: float) -> Iterator[Message]:
        """What was never sent, or not acknowledged for long: then with what the box holds now as the oldest."""
        if now - stream.sent_at > _RESEND_S:
            stream.sent = 0
        ready = [each for each in stream.held if each[0] > stream.sent and each[1] <= now]
        for chunk in _runs(ready):
            raws = [Raw(raw) for _, _, raw in chunk]
            batch = Batch(stream=stream.name, first=chunk[0][0], oldest=stream.held[0][0], measurements=raws)
            stream.sent, stream.sent_at = chunk[-1][0], now
            yield Message(now, self.agent, encode(batch))

    def acknowledge(self, stream: str, through: int) -> None:
        """Forgets what is settled."""
        for each in self._streams:
            while each.name == stream and each.held and each.held[0][0] <= through:
                self.newest = max(self.newest or 0.0, each.held.popleft()[1])

    @property
    def waiting_since(self) -> float | None:
        """End of the oldest measurement that is not settled."""
        return min((each.held[0][1] for each in self._streams if each.held), default=None)

    # ---- what it says of itself

    def schedule(self) -> Inventory:
        """What it was told to do."""
        box = self.script
        windows = [
            _test("latency", "ping", 60.0, over=interface, target=name, interval_s=box.interval_s)
            for interface in box.interfaces
            for name in box.targets
        ]
        first, others = box.interfaces[0], list[ScheduledTest]()
        if box.transfer_every_s is not None:
            every, target = box.transfer_every_s, self._roles["responder"]
            others += [_test(f"{way}load", "throughput", every, over=first, target=target) for way in ("down", "up")]
        if box.lookup_every_s is not None:
            others.append(_test("resolver", "dns", box.lookup_every_s, over=first, target=self._roles["service"]))
        interfaces = tuple(Interface(name=each, kind="wired", up=True, link_speed=125e6) for each in box.interfaces)
        return Inventory(version=__version__, interfaces=interfaces, schedule=(*windows, *others))


_COLLECTOR = ScriptTarget(name="collector", role="neutral", rtt_s=0.01)
"""Where results go: beyond every operator's network."""


def _is_off(fault: Fault) -> bool:
    """Whether the agent itself does not run."""
    return fault.kind == "power_cut" or (fault.kind == "agent_dark" and fault.interface is None)


def _test(
    test: str, probe: str, every_s: float, *, over: str, target: str, interval_s: float | None = None
) -> ScheduledTest:
    modes: dict[str, Any] = {"ping": "window", "throughput": "exclusive", "dns": "burst"}
    return ScheduledTest(
        test=test,
        probe=probe,
        mode=modes[probe],
        every_s=every_s,
        interval_s=interval_s,
        target=target,
        interface=over,
        family=4,
    )


def _runs(numbered: Iterable[tuple[int, float, bytes]]) -> Iterator[list[tuple[int, float, bytes]]]:
    """Stretches without a gap, of at most a batch each."""
    run: list[tuple[int, float, bytes]] = []
    for each in numbered:
        if run and (each[0] != run[-1][0] + 1 or len(run) == BATCH):
            yield run
            run = []
        run.append(each)
    if run:
        yield run


def _result(delays: Delays, interval_s: float) -> ping.Result:
    received = [delay for delay in delays if delay is not None]
    differences = [abs(each) for each in stats.ipdv(delays)]
    lost = len(delays) - len(received)
    return ping.Result(
        sent=len(delays),
        lost=lost,
        deadline=_DEADLINE_S,
        loss_ratio=stats.loss_ratio(len(delays), lost),
        rtt_min=min(received, default=None),
        rtt_p50=stats.percentile(received, 0.50),
        rtt_p95=stats.percentile(received, 0.95),
        rtt_p99=stats.percentile(received, 0.99),
        rtt_max=max(received, default=None),
        ipdv_p95=stats.percentile(differences, 0.95),
        rtt=sketch.of(received) or None,
        stamps="kernel",
        first_lost_at_s=delays.index(None) * interval_s if lost else None,
    )


def _transfer(record: Transfer, common: dict[str, Any]) -> AnyMeasurement:
    common |= {"probe": "throughput", "test": f"{record.direction}load"}
    if record.goodput is None:
        return Measurement(**common, outcome="failed", error="timeout")
    if record.reason is not None:
        common |= {"verdict": record.verdict, "reasons": (*common["reasons"], record.reason)}
    result = throughput.Result(
        direction="up" if record.direction == "up" else "down",
        streams=4,
        goodput=record.goodput,
        bound=record.bound,
        transferred=round(record.goodput * TRANSFER_S),
        transfer_duration=TRANSFER_S,
        congestion="cubic",
        port=5201,
    )
    return Measurement(**common, outcome="ok", result=result)
