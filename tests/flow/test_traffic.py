"""The traffic that `check-config` computes is what the interface counts."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec.structs import replace

from fibrewatch_agent.config import Plan, load_config
from fibrewatch_agent.once import Request, prepare
from fibrewatch_agent.traffic.forecast import amount_of, rows, total
from tests.support.agent import Box
from tests.support.certificates import Authority
from tests.support.mosquitto import free_port
from tests.support.netns import Link, Namespace
from tests.support.routers import Chain
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
FAR4, FAR6 = "10.99.0.2", "fd99:0::2"
QUIET_S = 1.5


@dataclass
class Pair:
    """A box and its far end, with nothing between them that speaks by itself."""

    box: Namespace
    ca: Path

    def counted(self) -> tuple[int, int]:
        """Bytes sent and received by the box's interface."""
        up, down = self.box.run(
            "cat", "/sys/class/net/eth0/statistics/tx_bytes", "/sys/class/net/eth0/statistics/rx_bytes"
        ).split()
        return int(up), int(down)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("far")
    authority = Authority(folder)
    many = ",".join(f"DNS:host-{number:03}.example.net" for number in range(105))  # 3 kB, as those of big sites
    certificate = authority.certificate("far", names=f"IP:{FAR4},{many}")
    box, far = Namespace("box"), Namespace("far")
    try:
        Link(box, far)
        for one, other in ((box, far), (far, box)):
            mac = other.run("cat", "/sys/class/net/eth0/address").strip()
            for address in (FAR4, FAR6) if one is box else ("10.99.0.1", "fd99:0::1"):
                one.run("ip", "neigh", "replace", address, "lladdr", mac, "dev", "eth0", "nud", "permanent")
            one.run("sysctl", "-qw", "net.ipv6.conf.eth0.router_solicitations=0", "net.ipv4.ping_group_range=0 1000")
            one.run("sysctl", "-qw", "net.ipv4.icmp_ratelimit=0", "net.ipv6.icmp.ratelimit=0")
        argv = [sys.executable, "-m", "tests.support.far_end", FAR4, "--certificate", str(certificate)]
        with far.popen(argv, cwd=ROOT, stdout=subprocess.PIPE) as server:
            assert server.stdout is not None
            assert server.stdout.readline() == b"ready\n"
            pair = Pair(box, authority.pem)
            settle(pair)
            yield pair
            server.kill()
    finally:
        box.close()
        far.close()


def settle(pair: Pair) -> None:
    """Until the kernel has said all that it says of new addresses: multicast reports are repeated within a second."""
    before, since = pair.counted(), time.monotonic()
    while time.monotonic() - since < QUIET_S:
        time.sleep(0.1)
        now = pair.counted()
        if now != before:
            before, since = now, time.monotonic()


EXACT = [
    ("ping", FAR4, {"interval": "10 ms"}),
    ("ping", FAR6, {"interval": "10 ms", "payload_bytes": "1000"}),
    ("stamp", FAR4, {"interval": "10 ms"}),
    ("stamp", FAR4, {"interval": "10 ms", "packet_bytes": "500"}),
    ("voice", FAR4, {"duration": "2 s"}),
    ("ntp", FAR4, {}),
]
ABOUT = [
    ("path", FAR4, {"probes": "10", "flows": "8"}),
    ("path", FAR6, {"probes": "10"}),
    ("tcp", FAR4, {"port": "80"}),
    ("tls", FAR4, {"ca": "CA"}),
    ("dns", FAR4, {"name": "www.example.net"}),
    ("dns", "www.example.net", {"resolver": FAR4}),
]
BOUND = [
    ("http", FAR4, {"path": "/endless", "max_body": "64 KiB"}),
    ("http", FAR4, {"path": "/endless", "max_body": "4 MiB"}),
    ("http", FAR4, {"scheme": "https", "ca": "CA"}),
]
WINDOW_S = 2.0


def moved(pair: Pair, probe: str, address: str, params: dict[str, str]) -> list[tuple[float, float]]:
    """For up and down: bytes computed and bytes counted."""
    pairs = [f"{key}={str(pair.ca) if value == 'CA' else value}" for key, value in params.items()]
    plan, _, _ = prepare(Request(probe=probe, target=address, params=pairs))
    amount = amount_of(replace(plan, every_s=WINDOW_S), hops=1)
    assert amount is not None
    argv = [sys.executable, "-m", "fibrewatch_agent", "once", probe, "--json", "--target", address]
    argv += ["--window", f"{WINDOW_S} s"]
    before = pair.counted()
    argv = pair.box.exec(*argv, *(f"--param={each}" for each in pairs))
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    time.sleep(0.2)  # a connection's last frames
    after = pair.counted()
    share = sent_share(plan, json.loads(done.stdout)["result"])
    return [(each * share, end - start) for each, start, end in zip(amount[:2], before, after, strict=True)]


def sent_share(plan: Plan, result: dict[str, int]) -> float:
    """How much of what was due a busy machine has sent: what it sleeps through it leaves out."""
    interval_s = getattr(plan.params, "interval_s", None)
    if plan.probe.name not in {"ping", "stamp", "voice"} or interval_s is None:
        return 1.0
    return result["sent"] * interval_s / getattr(plan.params, "duration_s", WINDOW_S)


@pytest.mark.parametrize(("probe", "address", "params"), EXACT)
def test_fixed_packets_are_computed_within_three_percent(
    pair: Pair, probe: str, address: str, params: dict[str, str]
) -> None:
    for computed, counted in moved(pair, probe, address, params):
        assert computed == pytest.approx(counted, rel=0.03)


@pytest.mark.parametrize(("probe", "address", "params"), ABOUT)
def test_what_depends_on_the_answer_is_computed_within_a_third(
    pair: Pair, probe: str, address: str, params: dict[str, str]
) -> None:
    for computed, counted in moved(pair, probe, address, params):
        assert computed == pytest.approx(counted, rel=0.34)


@pytest.mark.parametrize(("probe", "address", "params"), BOUND)
def test_bound_is_not_passed(pair: Pair, probe: str, address: str, params: dict[str, str]) -> None:
    for computed, counted in moved(pair, probe, address, params):
        assert counted <= computed


SCHEDULE = f"""
[targets.far]
address = "{FAR4}"
role = "responder"
[tests.stamp]
probe = "stamp"
targets = ["far"]
every = "2 s"
params = {{ interval = "100 ms" }}
[tests.ping]
probe = "ping"
targets = ["far"]
every = "2 s"
params = {{ interval = "200 ms" }}
[tests.tcp]
probe = "tcp"
targets = ["far"]
every = "500 ms"
params = {{ port = 80 }}
[tests.voice]
probe = "voice"
targets = ["far"]
every = "2 s"
params = {{ duration = "1 s", interval = "50 ms" }}
"""


@pytest.mark.calm
def test_running_agent_moves_what_its_schedule_says(pair: Pair, tmp_path: Path) -> None:
    box = Box(tmp_path, free_port(), prefix=tuple(pair.box.exec()))
    box.write(SCHEDULE)
    *found, _ = rows(load_config(box.config).plans)
    said = total(found, on_link=False)
    box.start()
    try:
        began = time.time()
        wait_until(lambda: time.time() > began + 3, "the windows to be whole")
        before, began = pair.counted(), time.monotonic()
        time.sleep(8)  # four windows
        after, took_s = pair.counted(), time.monotonic() - began
    finally:
        box.end()
    for rate, start, end in zip(said.rates, before, after, strict=True):
        assert rate / 8 * took_s == pytest.approx(end - start, rel=0.04)


def test_command_prints_each_test_and_the_totals(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    box = Box(tmp_path, free_port())
    box.write(SCHEDULE)
    argv = [sys.executable, "-m", "fibrewatch_agent", "check-config", "--config", str(box.config)]
    said = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()
    assert said[0] == f"{box.config}: ok: paris/cargo/box-01, 4 tests against 1 targets"
    cells = {line.split()[0]: line.split()[1:] for line in said[3:7]}
    assert cells["stamp/far"] == ["2", "s", "9,120", "9,120", "5.910"]
    assert cells["ping/far"] == ["2", "s", "3,920", "3,920", "2.540"]
    assert cells["voice/far"] == ["2", "s", "17,120", "17,120", "11.094"]
    line = next(each.split() for each in said if each.startswith("on the line"))
    assert float(line[-1].removeprefix("~").replace(",", "")) == pytest.approx(
        sum(float(row[-1].removeprefix("~")) for row in cells.values())
        + (3 / 2 + 1 / 0.5) * 1200 * 1.1 * 30 * 86400 / 1e9,
        rel=0.01,
    )


def test_trace_over_several_routers_is_computed_for_their_number() -> None:
    with Chain(4) as chain:
        chain.unlimited()
        plan, _, _ = prepare(Request(probe="path", target=chain.target(4), params=["flows=4"]))
        amount = amount_of(replace(plan, every_s=60.0), hops=5)
        assert amount is not None
        files = [f"/sys/class/net/out/statistics/{way}_bytes" for way in ("tx", "rx")]
        before = chain.box.run("cat", *files).split()
        chain.box.run(
            sys.executable, "-m", "fibrewatch_agent", "once", "path", "--target", chain.target(4), "--param=flows=4"
        )
        after = chain.box.run("cat", *files).split()
    for computed, start, end in zip(amount[:2], before, after, strict=True):
        assert computed == pytest.approx(int(end) - int(start), rel=0.35)  # more is sent ahead when answers are slow
