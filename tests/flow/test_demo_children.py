"""The demo's own pieces: processes that never outlive it, its broker, free ports."""

import asyncio
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import aiomqtt
import pytest

from fibrewatch.errors import ToolError
from fibrewatch.wire import MAX_PAYLOAD_BYTES
from fibrewatch_collector.operator.children import ChildEndedError, Family
from fibrewatch_collector.operator.folder import own_folder
from fibrewatch_collector.operator.ports import can_listen, free_ports, listens

PARENT = """
import asyncio, sys
from pathlib import Path
from fibrewatch_collector.operator.children import Family
async def main():
    family = Family(Path(sys.argv[1]))
    for each in ("one", "two"):
        child = await family.start(each, "-c", "import time; time.sleep(600)")
        print(child.process.pid, flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)


def wait_until_gone(pid: int, timeout_s: float = 20.0) -> None:
    """A zombie is gone too: whoever inherits it takes care of it."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return
        if state == "Z":
            return
        time.sleep(0.05)
    pytest.fail(f"process {pid} is still there")


async def wait_for_line(log: Path, text: str) -> None:
    async with asyncio.timeout(20):
        while text not in log.read_text("utf-8"):
            await asyncio.sleep(0.02)


def test_children_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    children = [int(parent.stdout.readline()) for _ in range(2)]
    assert all(Path(f"/proc/{pid}").exists() for pid in children)
    parent.kill()
    parent.wait()
    for pid in children:
        wait_until_gone(pid)


async def test_a_child_that_ignores_the_signal_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    family = Family(tmp_path, stop_timeout_s=0.2)
    starts_another = (
        f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {STUBBORN!r}]); print(p.pid); "
    )
    child = await family.start("stubborn", "-c", starts_another + STUBBORN)
    await wait_for_line(child.log, "up")
    async with asyncio.timeout(20):
        while len(child.log.read_text("utf-8").split()) < 3:  # both are up, and the inner one's process id
            await asyncio.sleep(0.02)
    inner = next(int(word) for word in child.log.read_text("utf-8").split() if word.isdecimal())
    await family.stop()
    assert child.process.returncode == -signal.SIGKILL
    wait_until_gone(inner)


async def test_a_child_that_ends_by_itself_is_told_with_its_last_words(tmp_path: Path) -> None:
    family = Family(tmp_path)
    family.check()
    child = await family.start("collector", "-c", "print('no room left'); raise SystemExit(3)")
    await child.process.wait()
    with pytest.raises(ChildEndedError, match="collector ended by itself, exit status 3") as told:
        family.check()
    assert told.value.last_lines == ["no room left"]
    await family.stop()


async def test_the_demo_broker_listens_on_loopback_only_and_carries_the_largest_payload(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    family = Family(tmp_path)
    child = await family.start("broker", "-m", "fibrewatch_collector.operator.broker", str(port))
    try:
        async with asyncio.timeout(20):
            while not await listens(port):
                family.check()
                await asyncio.sleep(0.02)
        assert listening_addresses(child.process.pid) == {f"127.0.0.1:{port}"}
        assert await echoed(port, b"x" * MAX_PAYLOAD_BYTES) == b"x" * MAX_PAYLOAD_BYTES
    finally:
        await family.stop()
    assert can_listen(port)


async def echoed(port: int, payload: bytes) -> bytes:
    async with asyncio.timeout(20), aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe("t", qos=1)
        await client.publish("t", payload, qos=1)
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            return message.payload
    raise AssertionError("no message")


def listening_addresses(pid: int) -> set[str]:
    inodes = {str(fd.readlink()) for fd in Path(f"/proc/{pid}/fd").iterdir()}
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text("ascii").splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                host, port = fields[1].split(":")
                found.add(f"{socket.inet_ntoa(bytes.fromhex(host)[::-1]) if table == 'tcp' else host}:{int(port, 16)}")
    return found


def test_free_ports_come_in_a_row_and_are_free() -> None:
    ports = free_ports(4)
    assert ports == tuple(range(ports[0], ports[0] + 4))
    assert all(can_listen(port) for port in ports)


def test_a_port_that_somebody_listens_on_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not can_listen(server.getsockname()[1])


def test_a_folder_in_use_is_left_alone_and_one_left_behind_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in ("kept-a", "mine-old", "elsewhere"):
        (tmp_path / name / "inside").mkdir(parents=True)
    (tmp_path / "mine-link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "mine-file").write_text("")
    with own_folder("mine-") as first, own_folder("mine-") as second:
        (first / "file").write_text("")
        assert first.is_dir()
        assert second.is_dir()
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"kept-a", "elsewhere", "mine-link", "mine-file"}
    assert (tmp_path / "elsewhere" / "inside").exists()


def test_without_a_place_for_files_the_demo_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(ToolError, match=r"no folder for temporary files: .*/missing.*: No such file"), own_folder("x-"):
        pass
