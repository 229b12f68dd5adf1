"""Measurements made up from a seed: pure, the same ones for the same seed, whatever order they are asked in."""

from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from random import Random
from typing import Any, Literal

from fibrewatch import __version__, sketch, stats
from fibrewatch.measurement import AnyMeasurement, Conditions, Measurement, Role, Target
from fibrewatch.results import ping, throughput
from fibrewatch.wire import AgentId, Interface, Inventory, ScheduledTest, SpoolState, Status

Mix = Literal["ping", "throughput", "mix"]
State = Literal["online", "offline"]

TERRITORY = "sim"
TARGETS: tuple[tuple[str, Role, float], ...] = (
    ("gateway", "gateway", 0.1),
    ("access", "access", 0.5),
    ("operator", "operator", 1.0),
    ("neutral-1", "neutral", 1.6),
    ("neutral-2", "neutral", 2.0),
    ("responder", "responder", 1.8),
)
"""Name, role, and round trip as a multiple of the line's own."""
MIX_EVERY = 20
"""In a mix every 20th measurement is one of throughput: about what six pings a minute and a test in 3 minutes give."""
_DEADLINE_S = 2.0
_TRANSFER_S = 10.0
_CONDITIONS = Conditions(clock_synchronised=True, clock_offset_bound_s=0.002, cpu_busy=0.03, link_speed=125e6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """How a simulated line behaves.

    Attributes:
        rtt_s: Round trip to the operator's edge without a queue.
        queue_s: Median of what queues add.
        loss: Share of packets lost.
        rate: What the line carries, bytes per second.
    """

    rtt_s: float
    queue_s: float
    loss: float
    rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What every simulated box measures.

    Attributes:
        begin: Start of the first window, UTC seconds since 1970.
        window_s: Length of a ping window; one sample a second.
        step_s: From one window's start to the next one's of the same target; None means one follows the other.
            A load that is denser than real boxes' lets them overlap, so that all of it is of now.
        variants: So many different results a target has, then they come again at other times: making one
            up costs 0.1 ms, so that a load generator can't do it each time. None makes each one anew.
    """

    seed: str
    begin: float
    probe: Mix = "ping"
    window_s: float = 60.0
    step_s: float | None = None
    variants: int | None = 4


def fleet(sites: int, agents: int) -> list[AgentId]:
    """The ids of all simulated boxes, site by site."""
    return [
        AgentId(TERRITORY, f"site-{site:04d}", f"box-{box:02d}")
        for site in range(1, sites + 1)
        for box in range(1, agents + 1)
    ]


def line_of(seed: str, agent: AgentId) -> Line:
    """The line of a site: all its boxes hang on the same one."""
    rng = _random(seed, "line", agent.territory, agent.site)
    return Line(
        rtt_s=rng.uniform(0.001, 0.012),
        queue_s=rng.uniform(0.00005, 0.0005),
        loss=rng.choice((0.0, 0.0, 0.0005, 0.005)),
        rate=rng.choice((37.5e6, 62.5e6, 125e6)),
    )


class Source:
    """All measurements of one box, by their number from 0; any can be asked for at any time."""

    def __init__(self, plan: Plan, agent: AgentId) -> None:
        self.plan, self.agent = plan, agent
        self.line = line_of(plan.seed, agent)
        self.stream = _hex(16, plan.seed, agent, plan.begin)
        self.boot = _hex(8, plan.seed, agent, "boot")
        self._uptime_s = _random(plan.seed, "uptime", agent).uniform(3600, 30 * 86400)
        self._made: dict[tuple[str, int], ping.Result | throughput.Result] = {}

    def measurement(self, number: int) -> AnyMeasurement:
        """The measurement of that number, counted from 0."""
        if self.plan.probe == "ping":
            return self._ping(number)
        if self.plan.probe == "throughput":
            return self._throughput(number, number)
        heavy, light = divmod(number, MIX_EVERY)
        if light == MIX_EVERY - 1:
            return self._throughput(heavy, number)
        return self._ping(heavy * (MIX_EVERY - 1) + light)

    def prepare(self) -> None:
        """Makes all variants up now, so that a load begins with its full rate."""
        rounds = len(TARGETS) * (MIX_EVERY if self.plan.probe == "mix" else 1)
        for number in range((self.plan.variants or 0) * rounds):
            self.measurement(number)

    def _ping(self, number: int) -> AnyMeasurement:
        window, which = divmod(number, len(TARGETS))
        name, role, factor = TARGETS[which]
        return Measurement(
            probe="ping",
            test=f"ping-{name}",
            target=Target(name=name, role=role, address=f"192.0.2.{which + 1}"),
            duration_s=self.plan.window_s,
            outcome="ok",
            result=self._result(f"ping-{name}", window, factor),
            **self._context(window),
        )

    def _throughput(self, number: int, at: int) -> AnyMeasurement:
        direction: Literal["down", "up"] = "up" if number % 2 else "down"
        return Measurement(
            probe="throughput",
            test=f"{direction}load",
            target=Target(name="responder", role="responder", address="192.0.2.6"),
            duration_s=_TRANSFER_S + 1,
            outcome="ok",
            result=self._result(direction, number, 1.8),
            **self._context(at // len(TARGETS)),
        )

    def _result(self, what: str, number: int, factor: float) -> ping.Result | throughput.Result:
        """Made from the seed and a number; kept where there are only so many variants."""
        variants = self.plan.variants
        variant = number if variants is None else number % variants
        made = self._made.get((what, variant))
        if made is None:
            rng = _random(self.plan.seed, self.agent, what, variant)
            if what.startswith("ping-"):
                made = ping_result(rng, self.line, factor, round(self.plan.window_s))
            else:
                made = transfer_result(rng, self.line, "up" if what == "up" else "down")
            if variants is not None:
                self._made[what, variant] = made
        return made

    def _context(self, window: int) -> dict[str, Any]:
        offset = window * (self.plan.step_s or self.plan.window_s)
        return {
            "started_at": datetime.fromtimestamp(self.plan.begin + offset, UTC),
            "boottime_s": round(self._uptime_s + offset, 3),
            "boot": self.boot,
            "interface": "eth0",
            "family": 4,
            "conditions": _CONDITIONS,
        }


def inventory(plan: Plan) -> Inventory:
    """What a simulated box says that it has and does."""
    pings = [
        ScheduledTest(
            test=f"ping-{name}",
            probe="ping",
            mode="window",
            every_s=plan.window_s,
            target=name,
            interface="eth0",
            family=4,
        )
        for name, _, _ in TARGETS
    ]
    transfers = [
        ScheduledTest(
            test=f"{direction}load", probe="throughput", mode="exclusive", every_s=6 * plan.window_s, target="responder"
        )
        for direction in ("down", "up")
    ]
    schedule = {"ping": pings, "throughput": transfers, "mix": pings + transfers}[plan.probe]
    interface = Interface(name="eth0", kind="wired", up=True, link_speed=125e6, addresses=("192.0.2.100",))
    return Inventory(
        version=__version__, interfaces=(interface,), capabilities=("simulated",), schedule=tuple(schedule)
    )


def status(source: Source, state: State, at: float, depth: int) -> Status:
    """A simulated box's word about itself; `depth` measurements wait to be acknowledged."""
    return Status(
        state=state,
        version=__version__,
        boot=source.boot,
        at=datetime.fromtimestamp(at, UTC),
        conditions=_CONDITIONS,
        spool=SpoolState(state="ok", depth=depth, size_bytes=depth * 1024, dropped=0),
    )


def ping_result(rng: Random, line: Line, factor: float, count: int) -> ping.Result:
    """A window of `count` echo requests over a line to a target `factor` times as far as the operator's edge."""
    delays = [_delay(rng, line, factor) for _ in range(count)]
    received = [delay for delay in delays if delay is not None]
    ipdv = [round(abs(each), 9) for each in stats.ipdv(delays)]
    lost = count - len(received)
    return ping.Result(
        sent=count,
        lost=lost,
        deadline=_DEADLINE_S,
        loss_ratio=stats.loss_ratio(count, lost),
        rtt_min=min(received, default=None),
        rtt_p50=stats.percentile(received, 0.50),
        rtt_p95=stats.percentile(received, 0.95),
        rtt_p99=stats.percentile(received, 0.99),
        rtt_max=max(received, default=None),
        ipdv_p50=stats.percentile(ipdv, 0.50),
        ipdv_p95=stats.percentile(ipdv, 0.95),
        rtt=sketch.of(received),
        stamps="kernel",
        first_lost_at_s=float(delays.index(None)) if lost else None,
    )


def _delay(rng: Random, line: Line, factor: float) -> float | None:
    if rng.random() < line.loss:
        return None
    return round(line.rtt_s * factor + rng.lognormvariate(0, 0.5) * line.queue_s, 9)


def transfer_result(rng: Random, line: Line, direction: Literal["down", "up"]) -> throughput.Result:
    """One transfer that gets most of what the line carries: TCP's share of it is 0.9564 at most (1448/1514)."""
    intervals = tuple(round(line.rate * rng.uniform(0.93, 0.9564), 1) for _ in range(round(_TRANSFER_S)))
    goodput = sum(intervals) / len(intervals)
    rtt = line.rtt_s * 1.8
    return throughput.Result(
        direction=direction,
        streams=4,
        goodput=goodput,
        transferred=round(goodput * (_TRANSFER_S + 1)),
        transfer_duration=_TRANSFER_S,
        retransmits=rng.randrange(50),
        rtt_min=rtt,
        rtt_mean=rtt * rng.uniform(1.05, 1.5),
        rtt_max=rtt * rng.uniform(1.5, 3.0),
        cpu_local=rng.uniform(0.05, 0.3),
        cpu_remote=rng.uniform(0.05, 0.3),
        congestion="cubic",
        port=5201,
        intervals=intervals,
    )


def _random(*parts: object) -> Random:
    return Random("/".join(map(str, parts)))  # noqa: S311 - it shall be repeatable, not secret


def _hex(digits: int, *parts: object) -> str:
    return blake2b("/".join(map(str, parts)).encode(), digest_size=digits // 2).hexdigest()
