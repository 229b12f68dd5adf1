"""A real router's counters (Debian's snmpd), by v2c and v3: the kernel's own; why there are none; no password seen."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.netns import Namespace
from tests.support.shared_line import SharedLine, config, shared_line, v3
from tests.support.snmpd import AUTH, COMMUNITY, NARROW, PRIVACY, USERS, Snmpd
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedLine]:
    with shared_line(tmp_path_factory.mktemp("snmpd")) as line:
        yield line


COUNTERS = """
import asyncio, json, sys
import msgspec
from fibrewatch_agent.line.config import RouterConfig
from fibrewatch_agent.line.wan_poll import polling

async def main():
    found = []
    async with asyncio.timeout(30), polling(msgspec.convert(json.load(sys.stdin), RouterConfig), "eth0") as poll:
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
    asked = line.box.exec(sys.executable, "-c", COUNTERS)
    done = subprocess.run(asked, input=json.dumps(order), check=True, capture_output=True, text=True, timeout=60)
    said: dict[str, Any] = json.loads(done.stdout)
    return said


@contextmanager
def asking(line: SharedLine, **settings: Any) -> Iterator[Iterator[dict[str, Any]]]:
    """What the child says, a line at a time."""
    router = {"address": "10.99.1.2", "wan": "eth1"} | settings
    order = json.dumps({"router": router, "interface": "eth0", "every_s": 0.2})
    child = [sys.executable, "-c", "from fibrewatch_agent.line.snmp_child import main; main('0')"]
    process = line.box.popen(child, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None and process.stdin is not None
    process.stdin.write(order.encode())
    process.stdin.close()
    process.stdin = None
    try:
        yield (json.loads(word) for word in process.stdout)
    finally:
        process.kill()
        process.communicate()


def _first(line: SharedLine, **settings: Any) -> dict[str, Any]:
    with asking(line, **settings) as words:
        return next(words)


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


def test_a_router_with_counters_of_32_bits_is_read_by_them(line: SharedLine) -> None:
    wide, narrow = (_first(line, community=community) for community in (COMMUNITY, NARROW))
    assert (wide["bits"], narrow["bits"]) == (64, 32)
    for way in ("received", "sent"):
        assert narrow[way] == pytest.approx(wide[way] % 2**32, abs=3000)
    assert narrow["speed"] == wide["speed"] or wide["speed"] > 2**32 / 8, "ifSpeed ends at 4.29 Gbit/s"


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
    with asking(line, **settings) as words:
        first = next(words)
    assert [first["error"], first["detail"]] == complaint


@pytest.fixture
def session(line: SharedLine) -> Iterator[str]:
    """Beyond the line is a second router, whose ppp0 is named anew by this command, as whenever a session has ended."""
    new = "ip link add ppp0 type veth peer name operator && ip link set operator up"
    line.far.run("sh", "-c", f"{new} && ip addr add 10.77.0.2/24 dev ppp0 && ip link set ppp0 up")
    line.far.run("ip", "neigh", "add", "10.77.0.1", "lladdr", "02:00:00:00:00:01", "dev", "ppp0")
    line.far.run("sh", "-c", "ping -q -c 40 -i 0.002 -W 0.1 10.77.0.1 || true")
    yield f"ip link del ppp0 && {new} && ip link set ppp0 up"
    line.far.run("ip", "link", "del", "ppp0")


def test_a_router_that_starts_anew_is_asked_again_where_its_interface_is(
    line: SharedLine, tmp_path: Path, session: str
) -> None:
    with Snmpd(line.far, tmp_path) as first, asking(line, address=line.far4, wan="ppp0", community=COMMUNITY) as words:
        before = next(words)
        first.process.kill()
        first.process.wait()
        line.far.run("sh", "-c", session)
        with Snmpd(line.far, tmp_path):
            after = next(each for each in words if each.get("sent", before["sent"]) < 40 * 84)
    assert before["sent"] >= 40 * 84
    assert after["at"] > before["at"]


def test_of_two_interfaces_of_one_name_the_one_that_is_up_counts(
    line: SharedLine, tmp_path: Path, session: str
) -> None:
    """net-snmp tells of one that is gone for five minutes."""
    with Snmpd(line.far, tmp_path):
        told = partial(_first, line, address=line.far4, wan="ppp0", community=COMMUNITY)
        before = told()["sent"]
        line.far.run("sh", "-c", session)
        wait_until(lambda: told().get("sent", before) < 40 * 84 < before)


def test_passwords_are_in_no_list_of_processes(line: SharedLine, tmp_path: Path) -> None:
    """While a test runs: neither command lines nor environments of the agent and its children hold them."""
    path = config(tmp_path, line, v3("fib-sha"))
    command = ["-m", "fibrewatch_agent", "once", "throughput", "--target", "far", "--config", str(path)]
    command += ["--param", "direction=down", "--param", "max_bytes=5 MB"]
    agent = line.box.popen([sys.executable, *command], stdout=subprocess.PIPE)
    seen: list[bytes] = []
    while agent.poll() is None:
        seen += [_shown(entry) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
        time.sleep(0.05)
    agent.communicate()
    assert any(b"snmp_child" in each for each in seen)
    assert not any(AUTH.encode() in each or PRIVACY.encode() in each for each in seen)


def _shown(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
    except OSError:
        return b""
