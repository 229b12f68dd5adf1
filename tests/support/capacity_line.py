"""Lines whose capacity is known, with a responder that gives slots at the far end, and tests over them."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.certificates import Authority
from tests.support.delay_line import DelayedLine
from tests.support.netns import Namespace
from tests.support.routed import RoutedLine
from tests.support.slots import Responder

PACKET = 1250
IP_SHARE = PACKET / (PACKET + 14)
"""Of the bytes that the shaper counts, what is IP."""


class Places(NamedTuple):
    """Where the line is shaped, and where packets are lost: a namespace and a hook."""

    shapers: Sequence[tuple[Namespace, str]]
    lossy: Sequence[tuple[Namespace, str]]


class CapacityLine:
    """What a test of the box's end needs."""

    def __init__(self, box: Namespace, responder: Responder, config: Path, places: Places) -> None:
        self.box, self.responder, self._config, self._places = box, responder, config, places

    def shape(self, mbit: int) -> float:
        """Both ways, with a queue of 200 ms; the IP-layer capacity in bytes per second."""
        for namespace, interface in self._places.shapers:
            bucket = ("tbf", "rate", f"{mbit}mbit", "burst", "32kb", "latency", "200ms")
            namespace.run("tc", "qdisc", "replace", "dev", interface, "root", *bucket)
        return mbit * 1e6 / 8 * IP_SHARE

    def lose(self, ratio: float) -> None:
        """Packets at random."""
        for namespace, hook in self._places.lossy:
            chain = f"add chain inet lossy {hook} {{ type filter hook {hook} priority 0; }}"
            drop = f"meta l4proto {{ tcp, udp }} numgen random mod 1000 < {round(ratio * 1000)} drop"
            for command in ("add table inet lossy", chain, f"add rule inet lossy {hook} {drop}"):
                namespace.run("nft", command)

    def forbid(self, what: str) -> None:
        """A firewall on the way to the slots' ports; `what` as nft(8) says it: "drop", "reject with tcp reset"."""
        ports = f"{self.responder.first}-{self.responder.first + 199}"
        for namespace, hook in self._places.lossy:
            chain = f"add chain inet lossy {hook} {{ type filter hook {hook} priority 0; }}"
            rule = f"add rule inet lossy {hook} tcp dport {ports} {what}"
            for command in ("add table inet lossy", chain, rule):
                namespace.run("nft", command)

    def heal(self) -> None:
        """No more."""
        for namespace, _ in self._places.lossy:
            namespace.run("nft", "delete table inet lossy")

    def once(self, probe: str, **params: object) -> dict[str, Any]:
        """A measurement of the box."""
        ended = subprocess.run(self.command(probe, **params), check=False, capture_output=True, text=True, timeout=90)
        assert ended.stdout, ended.stderr
        told: dict[str, Any] = json.loads(ended.stdout)
        return told

    def command(self, probe: str, **params: object) -> list[str]:
        """The command line of a measurement of the box."""
        options = [part for name, value in params.items() for part in ("--param", f"{name}={value}")]
        command = ["-m", "fibrewatch_agent", "once", probe, "--config", str(self._config), "--target", "far", "--json"]
        return self.box.exec(sys.executable, *command, *options)


@contextmanager
def capacity_line(folder: Path, capacity: str = "2 Gbit/s") -> Iterator[CapacityLine]:
    """Through a router that shapes."""
    with RoutedLine() as line:
        places = Places([(line.router, "eth0"), (line.router, "eth1")], [(line.router, "forward")])
        with _served(folder, line.box, line.far, line.far4, capacity, places) as made:
            yield made


@contextmanager
def long_line(folder: Path, delay_s: float) -> Iterator[CapacityLine]:
    """One that takes its time each way, shaped in its middle; packets are lost behind that."""
    with DelayedLine(delay_s) as line:
        places = Places([(line.between, "a"), (line.between, "b")], [(line.near, "input"), (line.far, "input")])
        with _served(folder, line.near, line.far, line.far4, "100 Mbit/s", places) as made:
            yield made


@contextmanager
def _served(
    folder: Path, box: Namespace, far: Namespace, address: str, capacity: str, places: Places
) -> Iterator[CapacityLine]:
    authority = Authority(folder / "ca")
    with Responder(folder / "far", listen=address, capacity=capacity, prefix=far.exec(), tls=authority) as responder:
        control, config = responder.control(), folder / "agent.toml"
        config.write_text(
            '[agent]\nterritory = "paris"\nsite = "cargo"\nname = "box-01"\n[broker]\nhost = "127.0.0.1"\n'
            f'[targets.far]\naddress = "{address}"\nrole = "responder"\n'
            f'control = "{control.urls[0]}"\ntoken = "{control.token}"\ncontrol_ca = "{control.ca}"\n'
        )
        yield CapacityLine(box, responder, config, places)
