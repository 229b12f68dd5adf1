"""A site whose raw samples are all known: what they say is reckoned by plain loops, apart from the collector's code."""

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from fibrewatch import sketch
from fibrewatch.measurement import Measurement, Target
from fibrewatch.results import dns, ping, throughput, voice
from fibrewatch.wire import AgentId, decode_measurement, encode
from fibrewatch_collector.inventory import Inventory, load_inventory
from fibrewatch_collector.store import Arrival, Bin, Delivery
from fibrewatch_collector.store.sqlite import SqliteStore
from tests.support.measurements import window

AGENT = AgentId("paris", "cargo", "box-01")
CONTRACT = 125e6
LIMIT = 0.9 * CONTRACT
SITES = """
[[territory]]
id = "paris"
name = "Paris"
[[sla]]
id = "gold"
busy = {{ from = "{begin}", to = "{end}", days = {days} }}
coverage_floor = 0.0
objective = [
  {{ id = "net", kind = "availability", asked = 0.99 }},
  {{ id = "rtt", kind = "percentile", metric = "ping.rtt", quantile = 0.95, limit = "20 ms" }},
  {{ id = "rtt-busy", kind = "percentile", metric = "ping.rtt", quantile = 0.5, limit = "20 ms", hours = "busy" }},
  {{ id = "rtt-far", kind = "percentile", metric = "ping.rtt", quantile = 0.5, limit = "20 ms", over_floor = true }},
  {{ id = "loss", kind = "loss", metric = "ping", asked = 0.01 }},
  {{ id = "down", kind = "compliance", direction = "download", asked = 0.9, of_contract = 0.9 }},
  {{ id = "down-busy", kind = "compliance", direction = "download", asked = 0.9, of_contract = 0.9, hours = "busy" }},
  {{ id = "up", kind = "compliance", direction = "upload", asked = 0.9, rate = "900 Mbit/s" }},
  {{ id = "dns", kind = "success", metric = "dns", asked = 0.9 }},
  {{ id = "dns-time", kind = "percentile", metric = "dns.lookup_time", quantile = 0.9, limit = "50 ms" }},
  {{ id = "call", kind = "readiness", peer = "paris/soma", asked = 0.8 }},
]
[[target]]
id = "operator-1"
latitude = 40.0
longitude = 2.0
[[site]]
territory = "paris"
id = "cargo"
name = "Le Cargo"
city = "Paris"
latitude = 48.0
longitude = 2.0
time_zone = "{zone}"
uplink = [{{ id = "fibre", kind = "fibre", download = "1 Gbit/s", sla = "gold" }}]
agent = [{{ id = "box-01" }}]
[[site]]
territory = "paris"
id = "soma"
name = "SoMa"
city = "Paris"
latitude = 48.5
longitude = 2.0
time_zone = "{zone}"
uplink = [{{ id = "fibre", kind = "fibre" }}]
agent = [{{ id = "box-01" }}]
"""


@dataclass
class World:
    """Measurements with their raw samples, and minutes with their verdicts.

    Attributes:
        samples: Delays of each ping window, by its place in `runs`.
    """

    zone: str
    begin: datetime
    end: datetime
    seed: int
    busy: tuple[int, int] = (9 * 60, 18 * 60 + 30)
    runs: list[Measurement[Any]] = field(default_factory=list)
    samples: dict[int, list[float]] = field(default_factory=dict)
    bins: dict[datetime, tuple[str, str | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        at, margin = self.begin - timedelta(hours=3), timedelta(hours=3)
        while at < self.end + margin:
            self._minute(at)
            at += timedelta(minutes=1)

    def _minute(self, at: datetime) -> None:
        draw = self._random
        state = draw.choices("AUN", (90, 6, 4))[0]
        cause = {"A": None, "U": draw.choice(["access", "operator", "unknown"]), "N": draw.choice(["lan", "silent"])}
        if draw.random() < 0.97:
            self.bins[at] = (state, cause[state])
        moment = at + timedelta(seconds=draw.uniform(0, 59))
        if draw.random() < 0.08:
            self._ping(at)
        if draw.random() < 0.03:
            self._transfer(moment)
        if draw.random() < (0.5 if at.hour % 5 == 0 else 0.05):
            self._dns(moment)
        if draw.random() < 0.02:
            self._call(moment)

    def _ping(self, at: datetime) -> None:
        draw = self._random
        delays = [0.01 + draw.lognormvariate(-6, 1) for _ in range(draw.choice([20, 60]))]
        lost = draw.choice([0, 0, 0, 3])
        result = ping.Result(sent=len(delays) + lost, lost=lost, deadline=2.0, rtt=sketch.of(delays))
        self.samples[len(self.runs)] = delays
        self._add("ping", at, result, ["valid"] * 8 + ["invalid", "undated"])

    def _transfer(self, at: datetime) -> None:
        draw = self._random
        direction = draw.choice(["down", "up"])
        goodput = draw.uniform(0.7, 1.1) * CONTRACT
        bound = draw.choice([None, goodput * 1.2])
        result = throughput.Result(direction=direction, streams=4, goodput=goodput, bound=bound)
        self._add("throughput", at, result, ["valid", "valid", "censored", "invalid"], test=direction)

    def _dns(self, at: datetime) -> None:
        self._add(
            "dns", at, dns.Result(lookup_time=self._random.uniform(0.001, 0.1)), ["valid"] * 5 + ["failed", "own"]
        )

    def _call(self, at: datetime) -> None:
        ready = self._random.random() < 0.8
        self._add("voice", at, voice.Result(sent=500, lost=0, ready=ready), ["valid", "valid", "failed"], test="call")

    def _add(self, probe: str, at: datetime, result: Any, fates: list[str], test: str | None = None) -> None:
        fate = self._random.choice(fates)
        peer = "paris/soma/box-01" if probe == "voice" else None
        changes: dict[str, Any] = {
            "probe": probe,
            "test": test or probe,
            "target": Target(name="soma" if peer else "operator-1", role="operator", peer=peer),
            "started_at": at,
            "duration_s": 60.0,
            "result": result,
        }
        if fate in ("censored", "invalid"):
            changes |= {"verdict": fate, "reasons": ("cpu_saturated",)}
        elif fate == "undated":
            changes |= {"reasons": ("undated",)}
        elif fate in ("failed", "own"):
            error = "timeout" if fate == "failed" else "tool_missing"
            changes |= {"outcome": "failed", "error": error, "result": None}
        self.runs.append(window(**changes))

    # ---- into the store

    def inventory(self, folder: Path) -> Inventory:
        """Of the two sites, written to the folder."""
        begin, end = (f"{minutes // 60:02d}:{minutes % 60:02d}" for minutes in self.busy)
        path = folder / "sites.toml"
        path.write_text(SITES.format(zone=self.zone, begin=begin, end=end, days='["mon", "tue", "sun"]'))
        return load_inventory(path)

    def fill(self, store: SqliteStore, *, seed: int, twice: float = 0.1) -> None:
        """All of it, in some order, some of it twice, with roll-ups in between."""
        draw = random.Random(seed)
        raws = [encode(run) for run in self.runs]
        order = list(range(len(raws)))
        draw.shuffle(order)
        for at in range(0, len(order), 100):
            part = order[at : at + 100] + [each for each in order[: at + 100] if draw.random() < twice / 10]
            arrivals = [Arrival(each + 1, raws[each], decode_measurement(raws[each])) for each in part]
            received = (self.end + timedelta(days=9)).timestamp()
            size = sum(len(each.raw) for each in arrivals)
            store.commit([Delivery(AGENT, "00000000000000aa", 0, received, arrivals, size)])
            if draw.random() < 0.5:
                store.roll_up(draw.choice([5, 10_000]), (self.end + timedelta(days=2)).timestamp())
        minutes = sorted(self.bins) if seed % 2 else sorted(self.bins, reverse=True)
        store.save_bins([Bin("paris", "cargo", "fibre", int(at.timestamp()), *self.bins[at], 1) for at in minutes])

    # ---- the truth, by plain loops

    def inside(self, run: Measurement[Any], *, busy: bool = False) -> bool:
        """Whether it counts for the period, or for its busy hours."""
        if "undated" in run.reasons or not self.begin <= run.started_at < self.end:
            return False
        return not busy or self.is_busy(run.started_at)

    def is_busy(self, at: datetime) -> bool:
        """By the wall clock."""
        local = at.astimezone(ZoneInfo(self.zone))
        minute = local.hour * 60 + local.minute
        return local.strftime("%a") in ("Mon", "Tue", "Sun") and self.busy[0] <= minute < self.busy[1]

    def delays(self, *, busy: bool = False) -> list[float]:
        """Every single round trip of valid windows."""
        return [
            delay
            for number, delays in self.samples.items()
            if self.runs[number].verdict == "valid" and self.inside(self.runs[number], busy=busy)
            for delay in delays
        ]

    def of(self, probe: str, *, busy: bool = False) -> list[Measurement[Any]]:
        """A probe's runs that count."""
        return [run for run in self.runs if run.probe == probe and self.inside(run, busy=busy)]


def nearest_rank(values: list[float], q: float) -> float:
    """The smallest value with at least q of all at or below it (RFC 2330 §11.3), by counting."""
    for place, value in enumerate(sorted(values), 1):
        if place >= q * len(values) - 1e-9:
            return value
    raise ValueError("no values")
