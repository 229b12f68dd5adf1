"""A resolver that never answers holds up nothing but its own names: neither other tests nor the end of the agent."""

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.agent import Box
from tests.support.mosquitto import free_port
from tests.support.waiting import wait_until

TESTS = """
[targets.loop]
address = "127.0.0.1"
role = "gateway"
"""
NAMED = """
[targets.n{n}]
address = "n{n}.example.net"
role = "neutral"
[tests.t{n}]
probe = "tcp"
targets = ["n{n}"]
every = "1 s"
"""
PING = """
[tests.ping]
probe = "ping"
targets = ["loop"]
every = "1 s"
params = { interval = "100 ms" }
"""


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[tuple[str, ...]]:
    """What runs a command where names are asked of a resolver that takes the question and says nothing."""
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as resolver:
        resolver.bind(("127.53.53.53", 53))
        (tmp_path / "resolv.conf").write_text("nameserver 127.53.53.53\noptions timeout:30 attempts:5\n")
        (tmp_path / "hosts").write_text("127.0.0.1 localhost\n")
        mounts = "".join(f"mount --bind {tmp_path}/{name} /etc/{name} && " for name in ("resolv.conf", "hosts"))
        yield ("unshare", "--mount", "sh", "-c", f'{mounts}exec "$@"', "sh")


async def test_agent_ends_and_measures_while_names_hang(tmp_path: Path, silent: tuple[str, ...]) -> None:
    box = Box(tmp_path, free_port(), prefix=silent)
    box.log_level = "debug"
    box.write(TESTS + "".join(NAMED.format(n=n) for n in range(12)) + PING)
    box.config.write_text(box.config.read_text().replace('host = "127.0.0.1"', 'host = "broker.example.net"'))
    box.start()
    wait_until(lambda: box.log.count("run test=ping/loop") >= 2, "windows while names hang")
    assert box.end() == 0  # within a minute; the resolver would be waited for for 150 s
    pings = [m for m in await box.spooled() if m.test == "ping"]
    assert pings
    assert all(m.outcome == "ok" for m in pings)


def test_once_ends_with_its_deadline(silent: tuple[str, ...]) -> None:
    argv = [*silent, sys.executable, "-m", "fibrewatch_agent", "once", "tcp", "--target", "www.example.net"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "timeout" in done.stdout
    assert done.stderr == ""
