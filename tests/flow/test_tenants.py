"""Tenants on the line: their traffic by a real router's counters (Debian's snmpd) and, without, by round trips.

box –– router –– far: the site's network is left of the router, the operator's line right of it. A tenant has a link of
its own to the router, so that the box sees nothing of its traffic.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fibrewatch import wire
from fibrewatch.measurement import Measurement
from fibrewatch.results import PROBES
from fibrewatch.results.throughput import Result
from fibrewatch_agent.transfer.verdict import SATURATED
from tests.support.netns import Link, Namespace
from tests.support.routed import FULL_FRAME, PAYLOAD, RoutedLine
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

pytestmark = pytest.mark.calm


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


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedLine]:
    """100 Mbit/s each way, iperf3 at the far end, snmpd on the router."""
    with SharedLine() as line, Snmpd(line.router, tmp_path_factory.mktemp("snmpd")):
        line.shape("100mbit")
        line.count_single_frames()
        servers = [
            line.far.popen(["iperf3", "-s", "-J", "-p", str(port)], stdout=-3, stderr=-3) for port in (5201, 5202)
        ]
        yield line
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


def config(folder: Path, line: SharedLine, router: str = "") -> Path:
    path = folder / "agent.toml"
    path.write_text(CONFIG.format(state=folder, far=line.far4) + router)
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


@pytest.mark.parametrize("direction", ["down", "up"])
def test_a_line_without_tenants_is_not_accused_of_any(line: SharedLine, tmp_path: Path, direction: str) -> None:
    made = once(line, config(tmp_path, line, v2c()), direction, "duration=4 s", "idle=200 ms", "early_stop=false")
    assert of_line(made.reasons) == set()
    assert made.result is not None
    assert made.result.goodput == pytest.approx(RATE * PAYLOAD / FULL_FRAME, rel=0.02)
    assert (made.conditions.cross_traffic or 0.0) < 0.03 * RATE
    assert (made.verdict == "valid") is ((made.conditions.cpu_busy or 0) < SATURATED)


@pytest.mark.parametrize(("direction", "router"), [("down", v3("fib-sha256")), ("up", v3("fib-sha"))])
def test_with_counters_the_line_carried_the_sum(line: SharedLine, tmp_path: Path, direction: str, router: str) -> None:
    with tenants(line, direction):
        made = once(line, config(tmp_path, line, router), direction, "duration=7 s", "idle=200 ms", "early_stop=false")
    goodput, bound, others = figures(made)
    assert made.verdict == "censored"
    assert of_line(made.reasons) == {"cross_traffic"}
    if direction == "down":  # what is shaped is the router's way to the box: the tenants' is another
        assert others == pytest.approx(TENANTS_MBIT * 1e6 / 8, rel=0.15)
    else:
        assert bound == pytest.approx(RATE * PAYLOAD / FULL_FRAME, rel=0.03)
    told = goodput + others * PAYLOAD / FULL_FRAME
    assert 0.97 * told <= bound <= told * (1 + 1e-6), "less what headers may feign"


def test_counters_of_the_wrong_interface_are_not_believed(line: SharedLine, tmp_path: Path) -> None:
    """What moves on that one, a little, is none of the box's."""
    path = config(tmp_path, line, v2c(wan="eth2"))
    with tenants(line, "down", mbit=1):
        made = once(line, path, "down", "duration=8 s", "idle=200 ms", "early_stop=false")
    assert made.conditions.cross_traffic is None
    assert of_line(made.reasons) <= {"tenants_unknown", "tenants_traffic"}


def test_demand_that_rises_ends_the_test_early(line: SharedLine, tmp_path: Path) -> None:
    with tenants(line, "down", delay_s=6):
        made = once(line, config(tmp_path, line, v2c()), "down", "duration=60 s", "early_stop=false", "max_bytes=10 GB")
    assert made.result is not None
    assert made.result.stopped == "tenants"
    assert made.verdict == "censored"
    assert made.duration_s < 45


def test_a_burned_cpu_makes_it_a_bound(line: SharedLine, tmp_path: Path) -> None:
    """The line's figure comes out right all the same; nobody could know that."""
    loops = [
        subprocess.Popen(["taskset", "-c", str(core), sys.executable, "-c", "while True: pass"])
        for core in sorted(os.sched_getaffinity(0))
    ]
    try:
        made = once(line, config(tmp_path, line), "down", "duration=2 s", "idle=200 ms")
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
    assert "cpu_saturated" in made.reasons
    assert made.verdict == "censored"
    assert made.result is not None
    assert made.result.bound == made.result.goodput


def test_with_counters_a_test_waits_for_the_tenants(line: SharedLine, tmp_path: Path) -> None:
    with agent(line, config(tmp_path, line, v2c() + TEST.format(direction="down"))) as order:
        with tenants(line, "down", mbit=2):
            assert order("hold") is None
        with tenants(line, "down"):
            reason, detail = order("hold")
    assert reason == "tenants_traffic"
    assert detail.startswith("tenants move ")
    assert detail.endswith(" Mbit/s down, 10 are tolerated")


def test_without_counters_a_queue_that_is_not_ours_shows(line: SharedLine, tmp_path: Path) -> None:
    """The tenants fill the line: round trips to the first router beyond the gateway tell, against a calm day's."""
    with agent(line, config(tmp_path, line, TEST.format(direction="up"))) as order:
        order("learn")
        order("age")
        assert order("hold") is None
        with tenants(line, "up", mbit=120):
            time.sleep(1)
            reason, detail = order("hold")
            busy = order("run")
        calm = order("run")
    assert reason == "tenants_traffic"
    assert detail.startswith("round trips to the operator are ")
    assert busy["verdict"] == "invalid"
    assert "tenants_traffic" in busy["reasons"]
    assert of_line(tuple(calm.get("reasons", ()))) == set()


def test_without_counters_a_queue_that_was_always_full_is_never_taken_for_a_calm_line(
    line: SharedLine, tmp_path: Path
) -> None:
    """The first looks that the box ever makes see tenants who fill the line: nobody knows that it could be faster."""
    with agent(line, config(tmp_path, line, TEST.format(direction="up"))) as order, tenants(line, "up", mbit=120):
        time.sleep(1)
        order("learn")
        assert order("hold") is None
        made = order("run")
    assert made["verdict"] in ("censored", "invalid")
    assert of_line(tuple(made["reasons"])) & {"tenants_unknown", "tenants_traffic"}
    assert made["result"]["goodput"] < 0.9 * RATE * PAYLOAD / FULL_FRAME


def test_without_counters_demand_that_began_meanwhile_shows_afterwards(line: SharedLine, tmp_path: Path) -> None:
    with (
        agent(line, config(tmp_path, line, TEST.format(direction="up"))) as order,
        tenants(line, "up", 120, delay_s=3),
    ):
        made = order("run")
    assert made["verdict"] == "invalid"
    assert "tenants_traffic" in made["reasons"]


COUNTERS = """
import asyncio, json, sys
import msgspec
from fibrewatch_agent.line.config import RouterConfig
from fibrewatch_agent.line.wan_poll import polling

async def main():
    found = []
    async with asyncio.timeout(30), polling(msgspec.convert(json.loads(sys.argv[1]), RouterConfig), "eth0") as poll:
        while len(poll.samples) < 3 and not poll.ended:
            await poll.news()
        print(json.dumps({
            "samples": [[s.received, s.sent, s.own.bytes_in, s.own.bytes_out] for s in poll.samples],
            "complaint": poll.complaint and [poll.complaint.error, poll.complaint.detail],
        }))

asyncio.run(main())
"""
LOGINS: dict[str, dict[str, str]] = {"v2c": {"community": COMMUNITY}} | {
    name: {"user": name, "auth": auth, "auth_password": AUTH, "privacy_password": PRIVACY}
    for name, (auth, _) in USERS.items()
}


def ask(line: SharedLine, **settings: Any) -> dict[str, Any]:
    order = {"address": "10.99.1.2", "wan": "eth1"} | settings
    said: dict[str, Any] = json.loads(line.box.run(sys.executable, "-c", COUNTERS, json.dumps(order)))
    return said


def counted(namespace: Namespace, interface: str) -> tuple[int, int]:
    names = (f"/sys/class/net/{interface}/statistics/{way}_bytes" for way in ("rx", "tx"))
    received, sent = (int(namespace.run("cat", name)) for name in names)
    return received, sent


def test_counters_are_the_kernels(line: SharedLine) -> None:
    line.box.run("ping", "-c", "20", "-i", "0.01", "-s", "1400", line.far4)
    time.sleep(3.5)  # what snmpd remembers is older than it lets it become
    expected, own = counted(line.router, "eth1"), counted(line.box, "eth0")
    for address in ("10.99.1.2", "fd99:1::2"):
        for login in LOGINS.values():
            said = ask(line, address=address, **login)
            assert said["complaint"] is None
            assert tuple(said["samples"][0][:2]) == pytest.approx(expected, abs=3000)  # neighbour discovery goes on
            assert tuple(said["samples"][0][2:]) == pytest.approx(own, abs=40_000)  # and what asking takes


@pytest.mark.parametrize("wan", ["eth1", 3, "3"])
def test_an_interface_is_named_or_numbered(line: SharedLine, wan: str | int) -> None:
    said = ask(line, wan=wan, community=COMMUNITY)
    if wan == "3":  # no name of any
        assert said["complaint"] == ["protocol", "the router has no interface '3'; it has lo, eth0, eth1, eth2"]
    else:
        assert len(said["samples"]) == 3


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"community": "wrong"}, ["timeout", "SNMP: no answer from 10.99.1.2:161 in 2 s"]),
        ({"community": COMMUNITY, "port": 1161}, ["timeout", "SNMP: no answer from 10.99.1.2:1161 in 2 s"]),
        (LOGINS["fib-sha"] | {"auth_password": "not that password"}, ["denied", "authentication failed"]),
        (LOGINS["fib-sha"] | {"user": "nobody"}, ["denied", "authentication failed"]),
        (
            LOGINS["fib-sha"] | {"privacy_password": "not that password"},
            ["timeout", "SNMP: no answer from 10.99.1.2:161 in 2 s"],
        ),
        ({"community": COMMUNITY, "wan": 99}, ["protocol", "the router has no counters of an interface 99"]),
    ],
)
def test_why_there_are_no_counters_is_said(line: SharedLine, settings: dict[str, Any], complaint: list[str]) -> None:
    order = json.dumps(
        {"router": {"address": "10.99.1.2", "wan": "eth1"} | settings, "interface": "eth0", "every_s": 0.2}
    )
    child = [sys.executable, "-c", "from fibrewatch_agent.line.snmp_child import main; main()"]
    process = subprocess.Popen(
        line.box.exec("env", f"FIBREWATCH_ORDER={order}", *child), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    first = json.loads(process.stdout.readline())
    process.kill()
    process.communicate()
    assert [first["error"], first["detail"]] == complaint


def test_passwords_are_in_no_list_of_processes(line: SharedLine, tmp_path: Path) -> None:
    """While a test runs: neither the agent's nor its children's command lines hold them."""
    path = config(tmp_path, line, v3("fib-sha"))
    command = ["-m", "fibrewatch_agent", "once", "throughput", "--target", "far", "--config", str(path)]
    command += ["--param", "direction=down", "--param", "max_bytes=5 MB"]
    agent = line.box.popen([sys.executable, *command], stdout=subprocess.PIPE)
    seen: list[bytes] = []
    while agent.poll() is None:
        seen += [_command_line(entry) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
        time.sleep(0.05)
    agent.communicate()
    assert any(b"snmp_child" in each for each in seen)
    assert not any(AUTH.encode() in each or PRIVACY.encode() in each for each in seen)


def _command_line(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""
