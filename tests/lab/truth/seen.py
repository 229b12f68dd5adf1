"""What a scenario left behind: the probe's word, and the captures of both ends."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from tests.lab.truth import wire
from tests.lab.truth.rows import Row
from tests.lab.truth.scenario import STAMP_PORT, Scenario

PAYLOAD = 72


class Seen:
    """One scenario's outcome."""

    def __init__(self, folder: Path, name: str) -> None:
        self.near, self.far = folder / f"{name}-near.pcap", folder / f"{name}-far.pcap"
        self.said: dict[str, Any] = json.loads((folder / f"{name}.json").read_text("utf-8"))
        if self.said["error"] is not None:
            raise AssertionError(f"{name}: {self.said['error']}: {self.said['detail']}")
        self.result: dict[str, Any] = self.said["result"]

    def pings(self, payload_bytes: int = PAYLOAD) -> wire.Pings:
        """The wire's round trips."""
        return wire.pings(self.near, payload_bytes)

    def stamps(self) -> tuple[wire.Way, wire.Way]:
        """The wire's view of both ways, of the packets that count."""
        counted = [packet["number"] for packet in self.said["packets"]][: self.result["sent"]]
        return wire.stamps(self.near, self.far, STAMP_PORT, counted)


Outcomes = Mapping[str, Seen]


class Judge(Protocol):
    """Makes rows of what a topic's scenarios left behind."""

    def __call__(self, seen: Outcomes) -> list[Row]: ...


class Topic(NamedTuple):
    """A section of the table that the lab measures."""

    title: str
    text: str
    scenarios: Sequence[Scenario]
    judge: Judge


def ping(name: str, count: int, **netem: str) -> Scenario:
    """Echo requests, 10 ms apart; netem by `r2_out` and the like."""
    order = {"interval_s": 0.01, "payload_bytes": PAYLOAD}
    return Scenario(name=name, probe="ping", count=count, order=order, netem=_places(netem))


def stamp(name: str, count: int, **netem: str) -> Scenario:
    """Test packets, 10 ms apart."""
    order = {"params": {"interval": "10 ms"}}
    return Scenario(name=name, probe="stamp", count=count, order=order, netem=_places(netem))


def service(name: str, probe: str, params: dict[str, Any], **netem: str) -> Scenario:
    """One run of another probe."""
    return Scenario(name=name, probe=probe, order={"params": params}, netem=_places(netem))


def _places(netem: Mapping[str, str]) -> dict[str, str]:
    return {place.replace("_", " "): what for place, what in netem.items()}
