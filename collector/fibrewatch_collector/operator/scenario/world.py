"""What happens to each packet, minute by minute: the raw samples that boxes sum up and that the truth counts. Pure.

The same seed gives the same samples. A good minute's are one of a few tuples made once, so that months cost little.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

from fibrewatch_collector.operator.scenario.samples import TRANSFER_S, Delays, Lookup, Record, Transfer, Window
from fibrewatch_collector.operator.scenario.script import MINUTE_S, Fault, Scenario, ScriptBox
from fibrewatch_collector.operator.scenario.sites import Sites
from fibrewatch_collector.operator.scenario.ways import CUTS, Way

TRANSFER_AT_S: Mapping[str, float] = {"down": 450.0, "up": 480.0}
"""After each multiple of the period."""
LOOKUP_AT_S = 20.0
VARIANTS = 12
CONTRACT = 12.5e6
"""What a line without a contracted rate carries, bytes per second."""
_FATES = ("clock_jump", "undated", "results_lost")
_RUSH = range(7, 17)
"""Hours, UTC, in which queues are longer."""


class World:
    """All boxes of a scenario."""

    def __init__(self, scenario: Scenario, sites: Sites) -> None:
        self.scenario, self.sites = scenario, sites
        self.boxes = [_Box(scenario, sites, box) for box in scenario.boxes]

    def records(self) -> Iterator[tuple[int, list[Record]]]:
        """Minute by minute, since 1970, what boxes measured in it, in the order in which it ended."""
        begin, end = (int(at.timestamp()) // MINUTE_S for at in (self.scenario.begin, self.scenario.end))
        for minute in range(begin, end):
            yield minute, [record for box in self.boxes for record in box.minute(minute)]


class _Box:
    def __init__(self, scenario: Scenario, sites: Sites, box: ScriptBox) -> None:
        self.box, self._seed, self._sites = box, scenario.seed, sites
        self.ways = [
            Way(scenario, sites, box, interface, scenario.target(name))
            for interface in box.interfaces
            for name in box.targets
        ]
        site = box.agent.rpartition("/")[0]
        mine = [each for each in scenario.faults if each.box == box.agent or each.site == site]
        self._mine = [each for each in mine if each.box in (None, box.agent)]
        self._fates = [(each.begin, each.end, each) for each in self._mine if each.kind in _FATES]
        self._darks = {each: self._dark(each) for each in box.interfaces}
        self._pools = [self._pool(way) for way in self.ways]

    # ---- what the box itself does

    def _dark(self, interface: str) -> list[tuple[float, float]]:
        """When it measures nothing over an interface."""
        return [
            (each.begin, each.end)
            for each in self._mine
            if each.kind == "power_cut" or (each.kind == "agent_dark" and each.interface in (None, interface))
        ]

    def _fate(self, at: float) -> dict[str, float | bool]:
        """How its clock stands, and whether what it measures is ever told."""
        fate: dict[str, float | bool] = {}
        for begin, end, each in self._fates:
            if begin <= at < end:
                if each.kind == "clock_jump":
                    fate["clock_off_s"] = (each.ahead_s or 0.0) - (each.behind_s or 0.0)
                elif each.kind == "undated":
                    fate["undated"] = True
                elif each.kind == "results_lost":
                    fate["lost"] = True
        return fate

    def minute(self, minute: int) -> Iterator[Record]:
        """What it measured in a minute."""
        at = float(minute * MINUTE_S)
        yield from self._transfers(at)
        yield from self._lookups(at)
        for way, pool in zip(self.ways, self._pools, strict=True):
            window = self._window(way, pool, minute)
            if window is not None:
                yield window

    # ---- windows

    def _pool(self, way: Way) -> list[Delays]:
        """Good windows: the first half for quiet hours, the second for the others."""
        draw = self._random(way, "pool")
        count = round(MINUTE_S / self.box.interval_s)
        pools = []
        for queue_s in (0.0003, 0.0008):
            for _ in range(VARIANTS):
                delays = [way.target.rtt_s + draw.lognormvariate(0, 0.6) * queue_s for _ in range(count)]
                lost = [draw.random() < way.target.loss for _ in range(count)]
                pools.append(tuple(None if gone else round(each, 9) for each, gone in zip(delays, lost, strict=True)))
        return pools

    def _window(self, way: Way, pool: Sequence[Delays], minute: int) -> Window | None:
        at = float(minute * MINUTE_S)
        begin = self._begun(way.interface, at)
        if begin is None:
            return None
        rush = VARIANTS if minute // 60 % 24 in _RUSH else 0
        delays = pool[rush + (minute * 7 + minute // 60) % VARIANTS]
        skipped = math.ceil((begin - at) / self.box.interval_s)
        if skipped >= len(delays):
            return None
        start = at + skipped * self.box.interval_s
        if skipped:
            delays = delays[skipped:]
        if faults := way.touched(minute):
            delays = self._faulty(way, faults, start, delays)
        return Window(
            **self._raw(way, start),
            length_s=at + MINUTE_S - start,
            delays=delays,
        )

    def _begun(self, interface: str, at: float) -> float | None:
        """Since when it runs until the minute's end; what it measured before it stopped is gone. None: it does not."""
        begun, over = at, at + MINUTE_S
        for begin, end in self._darks[interface]:
            if begin < over and end > at:
                if end >= over:
                    return None
                begun = max(begun, end)
        return begun

    def _faulty(self, way: Way, faults: Iterable[Fault], start: float, good: Delays) -> Delays:
        draw = self._random(way, start)
        found: list[float | None] = []
        for number, delay in enumerate(good):
            at, passed, extra = start + number * self.box.interval_s, 1.0, 0.0
            for each in faults:
                if each.begin <= at < each.end:
                    passed *= 0.0 if each.kind in CUTS else 1.0 - (each.loss or 0.0)
                    extra += draw.expovariate(1.0) * (each.delay_s or 0.0)
            gone = delay is None or draw.random() >= passed
            found.append(None if gone or delay is None else round(delay + extra, 9))
        return tuple(found)

    # ---- transfers and questions

    def _way_to(self, role: str) -> Way:
        """Over the first interface."""
        return next(way for way in self.ways if way.target.role == role)

    def _transfers(self, minute_at: float) -> Iterator[Transfer]:
        every = self.box.transfer_every_s
        if every is None:
            return
        for direction, offset in TRANSFER_AT_S.items():
            at = (minute_at - offset) // every * every + offset
            at = at if at >= minute_at else at + every
            if at < minute_at + MINUTE_S and self._runs(at, TRANSFER_S):
                yield self._transfer(self._way_to("responder"), at, direction)

    def _runs(self, at: float, length_s: float) -> bool:
        """Whether the box measures over its first interface throughout."""
        dark = self._darks[self.box.interfaces[0]]
        return not any(begin < at + length_s and end > at for begin, end in dark)

    def _transfer(self, way: Way, at: float, direction: str) -> Transfer:
        raw = self._raw(way, at)
        if way.cut(at, TRANSFER_S):
            return Transfer(**raw, direction=direction, goodput=None)
        rate = self._rate(way, at, direction)
        now = [each for each in self._mine if each.begin <= at < each.end]
        goodput = round(rate * self._random(way, at, direction).uniform(0.93, 0.956), 1)
        for each in now:
            if each.kind == "censored":
                bound = round(rate * each.bound, 1) if each.bound is not None else None
                goodput = round(rate * (each.share or 1.0), 1)
                raw |= {"verdict": "censored", "reason": each.reason, "bound": bound}
            elif each.kind == "invalid":
                raw |= {"verdict": "invalid", "reason": each.reason}
        return Transfer(**raw, direction=direction, goodput=goodput)

    def _rate(self, way: Way, at: float, direction: str) -> float:
        key = "download" if direction == "down" else "upload"
        rate = self._sites.rate(way.site, way.uplink, key) or CONTRACT
        for each in self._mine:
            mine = each.uplink == way.uplink and each.kind in ("slow", "brown_out")
            if mine and each.share is not None and each.begin <= at < each.end:
                rate *= each.share
        return rate

    def _lookups(self, minute_at: float) -> Iterator[Lookup]:
        every = self.box.lookup_every_s
        if every is None:
            return
        at = (minute_at - LOOKUP_AT_S) // every * every + LOOKUP_AT_S
        at = at if at >= minute_at else at + every
        if at < minute_at + MINUTE_S and self._runs(at, 1.0):
            way = self._way_to("service")
            delay = round(way.target.rtt_s * self._random(way, at, "lookup").uniform(1.0, 2.0), 9)
            yield Lookup(**self._raw(way, at), delay=None if way.cut(at) else delay)

    def _raw(self, way: Way, at: float) -> dict[str, Any]:
        common: dict[str, Any] = {
            "box": self.box,
            "interface": way.interface,
            "uplink": way.uplink,
            "target": way.target,
            "at": at,
        }
        return common | self._fate(at)

    def _random(self, way: Way, *parts: object) -> Random:
        words = (self._seed, self.box.agent, way.interface, way.target.name, *parts)
        return Random("/".join(map(str, words)))  # noqa: S311 - it shall be repeatable, not secret
