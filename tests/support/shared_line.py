"""A line that a box shares with a tenant, whom it can't see, and a router that counts (Debian's snmpd).

box –– router –– far: the site's network is left of the router, the operator's line right of it. A tenant has a link of
its own to the router, so that the box sees nothing of its traffic.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from fibrewatch import wire
from fibrewatch.measurement import Measurement
from fibrewatch.results import PROBES
from fibrewatch.results.throughput import Result
from tests.support.netns import Link, Namespace
from tests.support.routed import RoutedLine
from tests.support.snmpd import AUTH, COMMUNITY, PRIVACY, USERS, Snmpd

RATE, TENANTS_MBIT, TENANT4 = 100e6 / 8, 30, "10.99.3.1"
CONFIG = """
[agent]
territory = "paris"
site = "cargo"
name = "box-01"
state_dir = "{state}"

[broker]
host = "127.0.0.1"

[targets.far]
address = "{far}"
role = "responder"

[uplinks.fibre]
interface = "eth0"
rate_down = "100 Mbit/s"
rate_up = "100 Mbit/s"
tenants_above = "10 Mbit/s"
"""
TENANT = """
import socket, sys, time
host, rate, delay_s = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
time.sleep(delay_s)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
begin, sent = time.monotonic(), 0
while time.monotonic() - begin < 60:
    while sent < (time.monotonic() - begin) * rate:
        s.sendto(bytes(1400), (host, 9))
        sent += 1442
    time.sleep(0.002)
"""
TEST = """
[tests.transfer]
probe = "throughput"
targets = ["far"]
every = "10 min"
params = {{ direction = "{direction}", duration = "2 s", idle = "200 ms" }}
"""


class SharedLine(RoutedLine):
    """A line with a tenant beside the box."""

    def __init__(self) -> None:
        super().__init__()
        self.tenant = Namespace("tenant")
        link = Link(self.tenant, self.router, b_if="eth2", number=3)
        self.tenant.run("ip", "route", "add", "default", "via", link.b4)

    def close(self) -> None:
        self.tenant.close()
        super().close()


@contextmanager
def shared_line(folder: Path) -> Iterator[SharedLine]:
    """100 Mbit/s each way, iperf3 at the far end, snmpd on the router."""
    with SharedLine() as line, Snmpd(line.router, folder):
        line.shape("100mbit")
        line.count_single_frames()
        servers = [
            line.far.popen(["iperf3", "-s", "-J", "-p", str(port)], stdout=-3, stderr=-3) for port in (5201, 5202)
        ]
        try:
            yield line
        finally:
            for server in servers:
                server.kill()
                server.wait()


@contextmanager
def tenants(line: SharedLine, direction: str, mbit: float = TENANTS_MBIT, delay_s: float = 0.0) -> Iterator[None]:
    """Datagrams between the tenant and the far end, by way of the router."""
    source, to = (line.far, TENANT4) if direction == "down" else (line.tenant, line.far4)
    process = source.popen([sys.executable, "-c", TENANT, to, str(mbit * 1e6 / 8), str(delay_s)])
    try:
        yield
    finally:
        process.kill()
        process.wait()


@contextmanager
def agent(line: SharedLine, path: Path) -> Iterator[Callable[[str], Any]]:
    """The middle of an agent that goes on, and what it answers to an order."""
    command = [sys.executable, "-m", "tests.support.heavy_driver", str(path)]
    process = line.box.popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    talk, listen = process.stdin, process.stdout

    def order(what: str) -> Any:
        talk.write(f"{what}\n".encode())
        talk.flush()
        answer = json.loads(listen.readline())
        print(what, answer)
        return answer

    try:
        yield order
    finally:
        process.kill()
        process.communicate()


def config(folder: Path, line: SharedLine, router: str = "", *, uplinks: bool = True) -> Path:
    """Of the box; `router` is of its only uplink."""
    path, text = folder / "agent.toml", CONFIG.format(state=folder, far=line.far4) + router
    path.write_text(text if uplinks else text.partition("[uplinks")[0])
    return path


def v2c(**changes: str) -> str:
    settings = {"address": "10.99.1.2", "wan": "eth1", "community": COMMUNITY} | changes
    return "[uplinks.fibre.router]\n" + "".join(f'{key} = "{value}"\n' for key, value in settings.items())


def v3(user: str, **changes: str) -> str:
    settings = {"user": user, "auth": USERS[user][0], "auth_password": AUTH, "privacy_password": PRIVACY}
    return v2c(**settings, **changes).replace(f'community = "{COMMUNITY}"\n', "")


def once(line: SharedLine, path: Path, direction: str, *params: str) -> Measurement[Result]:
    options = [option for param in (f"direction={direction}", *params) for option in ("--param", param)]
    command = ["-m", "fibrewatch_agent", "once", "throughput", "--target", "far", "--json", "--config", str(path)]
    output = line.box.run(sys.executable, *command, *options)
    made: Measurement[Result] = msgspec.json.decode(output, type=wire.measurement_type(PROBES["throughput"]))
    print(made.verdict, made.reasons, made.result and made.result.goodput, made.conditions)
    return made


def figures(made: Measurement[Result]) -> tuple[float, float, float]:
    """Goodput, the bound and the cross traffic."""
    assert made.result is not None
    assert made.result.goodput is not None
    assert made.result.bound is not None
    assert made.conditions.cross_traffic is not None
    return made.result.goodput, made.result.bound, made.conditions.cross_traffic


def of_line(reasons: tuple[str, ...]) -> set[str]:
    """But for what a busy machine that runs this may add."""
    return {*reasons} - {"cpu_saturated"}
