"""Every probe into every fault that it can meet: the right error of the fixed list, in time, with nothing left behind.

The table says of each fault why a probe can't meet it, or where it is shown instead. Runs are made over both families,
and where a row says so cancelled after ever more turns of the loop (tests.support.leftovers).
"""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from fibrewatch.measurement import ERRORS
from fibrewatch.results import PROBES
from tests.support.fault_servers import BROKEN_BODY, CLOSED, GARBAGE, MUTE, RESET
from tests.support.netns import Link, Namespace
from tests.support.routers import ROOT
from tests.support.users import mapped

HERE, NOWHERE, SILENT, ABSENT = "here", "nowhere", "silent", "absent"
ADDRESSES = {
    HERE: ("10.99.0.2", "fd99:0::2"),
    NOWHERE: ("10.77.0.1", "fd77::1"),  # its router says that there is no such host
    SILENT: ("10.99.0.3", "fd99:0::3"),  # drops all that comes
    ABSENT: ("10.99.0.9", "fd99:0::9"),  # on the link, and nobody's
}
SLACK_S = 20.0
"""What a run may take beyond its own deadline on a machine that has more to do."""
NOBODY = 65534


class Case(NamedTuple):
    """One fault of one probe.

    Attributes:
        errors: Any of these is right.
        to: One of ADDRESSES, or a name.
        within_s: Deadline of the run by its parameters.
    """

    errors: tuple[str, ...]
    to: str | None = HERE
    port: int | None = None
    params: dict[str, Any] = {}  # noqa: RUF012
    interface: str | None = None
    within_s: float = 1.0
    user: int | None = None
    dhcp_server: str | None = None


@dataclass(frozen=True)
class Row:
    """A probe: its parameters, its faults, and why it does not meet the others here.

    Attributes:
        cancelled: The faults in which it is cancelled as well; those of which a run takes no time, and where each run
            is slow only the one whose run is the longest.
        pace: Turns of the loop one by one, and by how much they grow behind that.
    """

    probe: str
    params: dict[str, Any]
    cases: dict[str, Case]
    never: dict[str, str] = field(default_factory=dict)
    cancelled: tuple[str, ...] = ("refused", "name not found", "timeout", "reset midway", "garbage", "permission")
    families: tuple[int, ...] = (4, 6)
    pace: tuple[int, float] = (25, 2.0)


FAULTS = (
    "unreachable",
    "refused",
    "name not found",
    "timeout",
    "mute",
    "reset midway",
    "garbage",
    "permission",
    "no interface",
)
UNREADABLE = "a file that nobody may read"
NO_SUCH_NAME, NO_SUCH_INTERFACE = "nowhere.invalid", "nope0"
NOT_A_STREAM = "there is no connection that could be reset or fall silent"
UNPRIVILEGED = "needs no permission"


def usual(port: bool = True, **unlike: Case) -> dict[str, Case]:
    """What most probes meet, by the fault's name with underscores."""
    closed = CLOSED if port else None
    found = {
        "unreachable": Case(("unreachable",), NOWHERE, closed),
        "refused": Case(("refused",), HERE, closed),
        "name_not_found": Case(("name_not_found",), NO_SUCH_NAME, closed, within_s=5),
        "timeout": Case(("timeout",), SILENT, closed),
        "mute": Case(("timeout",), HERE, MUTE),
        "reset_midway": Case(("reset",), HERE, RESET),
        "garbage": Case(("protocol",), HERE, GARBAGE),
        "no_interface": Case(("no_interface",), HERE, closed, interface=NO_SUCH_INTERFACE),
    } | unlike
    return {name.replace("_", " "): case for name, case in found.items()}


def without(cases: dict[str, Case], *faults: str) -> dict[str, Case]:
    """All but these."""
    return {name: case for name, case in cases.items() if name not in faults}


def key(name: str) -> Case:
    """A file that can't be read."""
    return Case(("permission",), HERE, MUTE, params={name: UNREADABLE}, user=NOBODY)


STREAM = ("reset midway",)
DATAGRAM = {"reset midway": NOT_A_STREAM}
STAMP = {"interval": "50 ms", "timeout": "0.2 s"}
ONE_TRY = {"timeout": "0.3 s"}
ROWS = {
    "ping": Row(
        "ping",
        {"interval": "50 ms", "timeout": "0.2 s"},
        without(usual(port=False), "refused", "mute", *STREAM, "garbage")
        | {"permission": Case(("permission",), HERE, user=NOBODY)},
        DATAGRAM
        | {
            "refused": "an echo request has no port",
            "mute": "the same as silence",
            "garbage": "what does not repeat our payload is no reply to us: test_ping_faults",
        },
    ),
    "stamp": Row(
        "stamp",
        STAMP,
        without(usual(), *STREAM) | {"permission": key("key_file")},
        DATAGRAM,
        cancelled=("refused", "name not found", "timeout", "permission"),
    ),
    "voice": Row(
        "voice",
        {"duration": "1 s", "interval": "0.1 s", "timeout": "0.2 s"},
        {name: case._replace(within_s=5) for name, case in without(usual(), *STREAM).items()}
        | {"permission": key("key_file")},
        DATAGRAM,
        cancelled=("timeout", "permission"),
        families=(4,),  # the packets are stamp's
    ),
    "dns over UDP": Row(
        "dns",
        {"name": "www.example.fr", "attempts": 1} | ONE_TRY,
        without(usual(), *STREAM),
        DATAGRAM | {"permission": UNPRIVILEGED},
    ),
    "dns over TCP": Row(
        "dns",
        {"name": "www.example.fr", "attempts": 1, "transport": "tcp"} | ONE_TRY,
        usual(),
        {"permission": UNPRIVILEGED},
    ),
    "tcp": Row(
        "tcp",
        ONE_TRY,
        without(usual(), "mute", *STREAM, "garbage"),
        {
            "mute": "done as soon as the connection stands, before anything could be said",
            "reset midway": "the same",
            "garbage": "the same",
            "permission": UNPRIVILEGED,
        },
    ),
    "tls": Row("tls", ONE_TRY, usual(garbage=Case(("tls",), HERE, GARBAGE)) | {"permission": key("ca")}),
    "http": Row(
        "http",
        ONE_TRY,
        usual(reset_midway=Case(("reset",), HERE, BROKEN_BODY)),
        {"permission": "needs none; the file of authorities is that of https"},
    ),
    "https": Row(
        "http",
        {"scheme": "https"} | ONE_TRY,
        usual(garbage=Case(("tls",), HERE, GARBAGE)) | {"permission": key("ca")},
    ),
    "ntp": Row("ntp", ONE_TRY, without(usual(), *STREAM), DATAGRAM | {"permission": UNPRIVILEGED}),
    "path": Row(
        "path",
        {"timeout": "0.2 s", "silent_hops": 2, "deadline": "1 s", "mtu": False, "probes": 1},
        {
            name: case._replace(within_s=8)
            for name, case in without(usual(port=False), "refused", "mute", *STREAM, "garbage").items()
        },
        DATAGRAM
        | {
            "refused": "a closed port is how the target answers",
            "mute": "the same as silence",
            "garbage": "an ICMP error that quotes no packet of ours is not ours, and the kernel keeps it from us",
            "permission": "traces over an ordinary UDP socket",
        },
        cancelled=("name not found", "timeout"),
    ),
    "lan": Row(
        "lan",
        {"probes": 2, "interval": "50 ms", "timeout": "0.2 s"},
        without(
            usual(port=False, unreachable=Case(("unreachable",), ABSENT)),
            *("refused", "timeout", "mute", "garbage", *STREAM),
        ),
        DATAGRAM
        | {
            "refused": "a neighbour has no port",
            "timeout": "the silence of a neighbour is what unreachable means",
            "mute": "the same",
            "garbage": "what is no answer to us is passed over: test_neighbours",
            "permission": "without it the kernel is asked: test_lan_neighbours",
        },
    ),
    "dhcp": Row(
        "dhcp",
        {"timeout": "0.5 s", "wait": "0 s"},
        {
            "unreachable": Case(("unreachable",), None, interface="down0"),
            "refused": Case(("refused",), None, interface="eth0", params={"full": True}, dhcp_server="nak"),
            "timeout": Case(("timeout",), None, interface="eth0"),
            "mute": Case(("timeout",), None, interface="eth0", params={"full": True}, dhcp_server="mute"),
            "garbage": Case(("timeout",), None, interface="eth0", dhcp_server="garbage"),
            "permission": Case(("permission",), None, interface="eth0", user=NOBODY),
            "no interface": Case(("no_interface",), None, interface=NO_SUCH_INTERFACE),
        },
        DATAGRAM | {"name not found": "asks the link, not a target"},
        cancelled=("timeout",),
        pace=(5, 8.0),  # each run starts a child that imports scapy
    ),
    "throughput": Row(
        "throughput",
        {"direction": "down", "duration": "0.5 s", "omit": "0 s", "streams": 1},
        {
            name: case._replace(within_s=10)
            for name, case in without(
                usual(
                    unreachable=Case(("unreachable", "timeout"), NOWHERE, CLOSED),  # iperf3 hears of no ICMP error
                    garbage=Case(("protocol", "reset"), HERE, GARBAGE),
                ),
                "mute",
            ).items()
        },
        {"permission": UNPRIVILEGED, "mute": "takes long: test_throughput_faults has its server stopped"},
        cancelled=("refused",),
        families=(4,),
        pace=(3, 30.0),  # each run starts iperf3; more moments: test_throughput_faults
    ),
}


@pytest.fixture(scope="module")
def near() -> Iterator[tuple[Namespace, Namespace]]:
    """The box, and beyond a cable a host that is also the router to nowhere."""
    with contextlib.ExitStack() as stack:
        box, far = Namespace("box"), Namespace("far")
        for each in (box, far):
            stack.callback(each.close)
        Link(box, far)
        far.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        far.run("sysctl", "-qw", "net.ipv4.icmp_ratelimit=0", "net.ipv6.icmp.ratelimit=0")
        far.run("nft", "add", "table", "inet", "t")
        far.run("nft", "add chain inet t input { type filter hook input priority 0; }")
        addresses = zip(ADDRESSES[SILENT], ADDRESSES[NOWHERE], ADDRESSES[HERE], strict=True)
        for family, (silent, nowhere, gateway) in enumerate(addresses):
            six = ["-6"] * family
            far.run("ip", "addr", "add", f"{silent}/{(24, 64)[family]}", "dev", "eth0", *["nodad"] * family)
            far.run("nft", f"add rule inet t input {('ip', 'ip6')[family]} daddr {silent} drop")
            far.run("ip", *six, "route", "add", "unreachable", nowhere)
            box.run("ip", *six, "route", "add", nowhere, "via", gateway)
            box.run("ping", "-c", "1", "-w", "20", gateway)
        box.run("ip", "link", "add", "down0", "type", "veth", "peer", "name", "down1")
        argv = [sys.executable, "-m", "tests.support.fault_servers", *ADDRESSES[HERE]]
        servers = far.popen(argv, cwd=ROOT, stdout=subprocess.PIPE)
        stack.callback(_end, servers)
        assert servers.stdout is not None
        assert servers.stdout.readline() == b"ready\n"
        yield box, far


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.communicate()


@contextlib.contextmanager
def dhcp(far: Namespace, part: str | None) -> Iterator[None]:
    if part is None:
        yield
        return
    process = far.popen([sys.executable, "-m", "tests.support.dhcp_server", part], cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield
    finally:
        _end(process)


def ordered(row: Row, fault: str, family: int, unreadable: Path) -> dict[str, Any]:
    """What the driver is told of a case."""
    case = row.cases[fault]
    params = row.params | {name: str(unreadable) if v == UNREADABLE else v for name, v in case.params.items()}
    if case.port is not None:
        params |= {"ports": [case.port, case.port]} if row.probe == "throughput" else {"port": case.port}
    cancelled = fault in row.cancelled and family == 4
    return {
        "address": ADDRESSES[case.to][family == 6] if case.to in ADDRESSES else case.to,
        "params": params,
        "interface": case.interface,
        "cancel": {"dense": row.pace[0], "growth": row.pace[1]} if cancelled else None,
    }


def run(box: Namespace, probe: str, cases: list[dict[str, Any]], user: int | None = None) -> list[dict[str, Any]]:
    bound = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if user is not None and not mapped(user) else []
    order = json.dumps({"probe": probe, "cases": cases, "user": user})
    argv = [*bound, sys.executable, "-m", "tests.support.fault_driver", order]
    process = box.popen(argv, cwd=ROOT, stdout=subprocess.PIPE)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, f"{probe}: {cases}"
    said: list[dict[str, Any]] = json.loads(output)
    return said


def grouped(row: Row) -> dict[tuple[int | None, str | None], list[tuple[str, int]]]:
    """By who runs them and beside which server: fault and family of each run."""
    groups: dict[tuple[int | None, str | None], list[tuple[str, int]]] = {}
    for fault, case in row.cases.items():
        families = row.families if case.to in ADDRESSES else (4,)
        groups.setdefault((case.user, case.dhcp_server), []).extend((fault, family) for family in families)
    return groups


@pytest.mark.parametrize("name", ROWS)
def test_each_fault_is_its_error_in_time_and_leaves_nothing(
    near: tuple[Namespace, Namespace], name: str, tmp_path: Path
) -> None:
    (box, far), row = near, ROWS[name]
    (unreadable := tmp_path / "file").touch(mode=0)
    for (user, part), runs in grouped(row).items():
        with dhcp(far, part):
            told = run(box, row.probe, [ordered(row, *each, unreadable) for each in runs], user)
        for (fault, family), said in zip(runs, told, strict=True):
            where = f"{name}, {fault}, IPv{family}: {said}"
            print(where)
            assert said["error"] in row.cases[fault].errors, where
            assert said["took_s"] < row.cases[fault].within_s + SLACK_S, where
            assert said["detail"], where
            assert said["cancelled"] != 0, where


@pytest.mark.parametrize("name", ROWS)
def test_the_table_answers_for_every_fault(name: str) -> None:
    row = ROWS[name]
    assert row.probe in PROBES
    assert sorted([*row.cases, *row.never]) == sorted(FAULTS)
    assert {error for case in row.cases.values() for error in case.errors} <= set(ERRORS)
    assert all(row.never.values())
    assert set(row.cases) & set(row.cancelled)
