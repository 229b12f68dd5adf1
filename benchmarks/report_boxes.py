"""The boxes of `benchmarks.report`: noisy windows and transfers, made up once and dated anew each time."""

import random
from datetime import datetime, timedelta

from fibrewatch import sketch, stats
from fibrewatch.measurement import AnyMeasurement, Conditions, Measurement, Role, Target
from fibrewatch.results import ping, throughput
from fibrewatch.wire import AgentId, encode

SERIES: tuple[tuple[str, Role, float], ...] = (
    ("gateway", "gateway", 0.0005),
    ("access", "access", 0.002),
    ("operator", "operator", 0.004),
    ("responder", "responder", 0.006),
    ("neutral-1", "neutral", 0.005),
    ("neutral-2", "neutral", 0.007),
    ("neutral-3", "neutral", 0.009),
    ("service-1", "service", 0.012),
    ("service-2", "service", 0.016),
    ("san-francisco", "neutral", 0.14),
)
"""Name, role, least round trip in seconds."""
VARIANTS = 24
"""So many different windows of each series come in turn; each packs against the series' dictionary, not another one."""
CUT_MINUTES = 7
CUTS = 5
"""Of each site in the month."""
_CONDITIONS = Conditions(
    clock_synchronised=True, clock_offset_bound_s=0.0021, cpu_busy=0.037, temperature_celsius=47.2, link_speed=125e6
)
_AT, _BOOT_S = b'"started_at":"1970-01-01T00:00:00Z"', b'"boottime_s":0.0'
_SITE = """
[[site]]
territory = "paris"
id = "{id}"
name = "{id}"
city = "Paris"
latitude = 48.8566
longitude = 2.3522
time_zone = "Europe/Paris"
floor = [{{ id = "1", companies = ["a", "b", "c"] }}]
agent = [{{ id = "box-01" }}]
[[site.uplink]]
id = "fibre"
kind = "fibre"
operator = "Fibre SA"
download = "1 Gbit/s"
upload = "1 Gbit/s"
sla = "gold"
"""
_HEAD = """
[[territory]]
id = "paris"
name = "Paris"

[[sla]]
id = "gold"
contract = "Framework contract 2026-17, annex 3"
busy = { from = "09:00", to = "18:00" }
objective = [
  { id = "net", kind = "availability", asked = 0.999 },
  { id = "rtt", kind = "percentile", metric = "ping.rtt", role = "operator", quantile = 0.95, limit = "15 ms" },
  { id = "rtt-busy", kind = "percentile", metric = "ping.rtt", quantile = 0.95, limit = "200 ms", hours = "busy" },
  { id = "loss", kind = "loss", metric = "ping", asked = 0.01 },
  { id = "down", kind = "compliance", direction = "download", asked = 0.9, of_contract = 0.9, hours = "busy" },
  { id = "up", kind = "compliance", direction = "upload", asked = 0.9, of_contract = 0.9 },
]
"""


def inventory_toml(sites: int) -> str:
    """A sites.toml."""
    return _HEAD + "".join(_SITE.format(id=f"site-{number:02d}") for number in range(1, sites + 1))


class Box:
    """One site's box; the same each time."""

    def __init__(self, agent: AgentId) -> None:
        self.agent = agent
        self._draw = random.Random(str(agent))
        self._stream = f"{self._draw.getrandbits(64):016x}"
        self._boot = f"{self._draw.getrandbits(32):08x}"
        self._sent = 0
        self._windows = [[self._window(*each) for _ in range(VARIANTS)] for each in SERIES]
        self._lost = [self._window(*each, lost=each[1] != "gateway") for each in SERIES]
        self._transfers = {way: [self._transfer(way) for _ in range(VARIANTS)] for way in ("down", "up")}
        self._cuts = {
            minute + each for minute in self._draw.sample(range(0, 43_000), CUTS) for each in range(CUT_MINUTES)
        }

    def skip(self, minutes: int) -> None:
        """What was sent before."""
        self._sent = minutes * len(SERIES) + 2 * (minutes // 60)

    def payload(self, begin: datetime, minute: int, count: int) -> bytes:
        """What it measured in some minutes, as one batch."""
        made: list[bytes] = []
        for each in range(minute, minute + count):
            made += self._minute(begin, each)
        first, self._sent = self._sent + 1, self._sent + len(made)
        head = f'{{"stream":"{self._stream}","first":{first},"oldest":{first},"measurements":['
        return head.encode() + b",".join(made) + b"]}"

    def _minute(self, begin: datetime, minute: int) -> list[bytes]:
        at = begin + timedelta(minutes=minute)
        variant = (minute * 7 + minute // 60) % VARIANTS
        windows = self._lost if minute in self._cuts else [each[variant] for each in self._windows]
        made = [_dated(window, at, minute * 60.0) for window in windows]
        if minute % 60 == 59:
            for offset, way in ((10.25, "down"), (35.75, "up")):
                when = at + timedelta(seconds=offset)
                made.append(_dated(self._transfers[way][minute // 60 % VARIANTS], when, minute * 60 + offset))
        return made

    def _window(self, name: str, role: Role, least: float, *, lost: bool = False) -> tuple[bytes, bytes, bytes]:
        draw = self._draw
        rtts = [round(least * (1 + draw.lognormvariate(-2.5, 1)), 9) for _ in range(0 if lost else 60)]
        missing = 60 if lost else draw.choice((0, 0, 0, 0, 0, 0, 0, 1))
        del rtts[: 0 if lost else missing]
        ipdv = [round(abs(each), 9) for each in stats.ipdv(rtts)]
        result = ping.Result(
            sent=60,
            lost=missing,
            deadline=2.0,
            loss_ratio=missing / 60,
            rtt_min=min(rtts, default=None),
            rtt_p50=stats.percentile(rtts, 0.50),
            rtt_p95=stats.percentile(rtts, 0.95),
            rtt_p99=stats.percentile(rtts, 0.99),
            rtt_max=max(rtts, default=None),
            ipdv_p50=stats.percentile(ipdv, 0.50),
            ipdv_p95=stats.percentile(ipdv, 0.95),
            rtt=dict(sorted(sketch.of(rtts).items())) or None,
            stamps="kernel",
            first_lost_at_s=0.0 if missing else None,
        )
        target = Target(name=name, role=role, address="192.0.2.1")
        return _undated(f"ping-{name}", target, 60.0, boot=self._boot, result=result)

    def _transfer(self, way: str) -> tuple[bytes, bytes, bytes]:
        intervals = tuple(round(125e6 * self._draw.uniform(0.88, 0.9564), 1) for _ in range(8))
        result = throughput.Result(
            direction="up" if way == "up" else "down",
            streams=4,
            goodput=sum(intervals) / len(intervals),
            retransmits=self._draw.randrange(50),
            cpu_local=self._draw.uniform(0.05, 0.3),
            congestion="cubic",
            port=5201,
            intervals=intervals,
        )
        target = Target(name="responder", role="responder", address="192.0.2.6")
        return _undated(f"{way}load", target, 9.0, boot=self._boot, result=result)


def _undated(
    test: str, target: Target, duration_s: float, *, boot: str, result: ping.Result | throughput.Result
) -> tuple[bytes, bytes, bytes]:
    """A measurement's bytes around its start and its boot clock."""
    whole: AnyMeasurement = Measurement(
        probe="ping" if isinstance(result, ping.Result) else "throughput",
        test=test,
        target=target,
        interface="eth0",
        family=4,
        started_at=datetime.fromisoformat("1970-01-01T00:00:00+00:00"),
        boottime_s=0.0,
        boot=boot,
        duration_s=duration_s,
        outcome="ok",
        conditions=_CONDITIONS,
        result=result,
    )
    before, rest = encode(whole).split(_AT)
    between, after = rest.split(_BOOT_S)
    return before, between, after


def _dated(parts: tuple[bytes, bytes, bytes], at: datetime, boottime_s: float) -> bytes:
    before, between, after = parts
    moment = at.isoformat().removesuffix("+00:00").encode()
    stamp = b'"started_at":"%bZ"%b"boottime_s":%.3f' % (moment, between, 81234.567 + boottime_s)
    return before + stamp + after
