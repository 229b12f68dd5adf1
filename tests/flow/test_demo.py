"""`fibrewatch demo`, run as a user runs it: it measures, it proves it, and nothing is left when it ends."""

import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from fibrewatch_collector.operator.folder import own_folder
from tests.support.mosquitto import free_port
from tests.support.waiting import wait_until

COMMAND = [sys.executable, "-m", "fibrewatch_collector.operator.cli", "demo"]
CHILDREN = {"broker", "responder", "fibrewatch_collector", "fibrewatch_agent"}


class Demo:
    """A demo as a process; its output goes to a file."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder, self.port = folder, free_port()
        self.output = folder / "output"
        argv = [*COMMAND, "--port", str(self.port), *options]
        with self.output.open("wb") as out:
            self.process = subprocess.Popen(argv, stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd=folder)

    def said(self) -> str:
        return self.output.read_text("utf-8")

    def family(self) -> list[psutil.Process]:
        """It and all that it started, directly or not."""
        me = psutil.Process(self.process.pid)
        return [me, *me.children(recursive=True)]

    def wait_until_said(self, pattern: str, timeout_s: float = 90) -> None:
        wait_until(lambda: re.search(pattern, self.said()) is not None, self.said, timeout_s)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def still_there(family: list[psutil.Process]) -> list[psutil.Process]:
    return [each for each in family if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Demo]]:
    started: list[Demo] = []

    def make(*options: str) -> Demo:
        started.append(Demo(tmp_path, *options))
        return started[-1]

    yield make
    for each in started:
        each.end()


@pytest.mark.calm
def test_the_demo_measures_judges_and_ends_by_itself(start: Callable[..., Demo]) -> None:
    demo = start("--for", "30s")
    demo.wait_until_said(r"measuring; page http://127\.0\.0\.1:\d+/")
    family = demo.family()
    demo.wait_until_said("site loopback: up")
    names = " ".join(" ".join(each.cmdline()) for each in family)
    assert all(name in names for name in CHILDREN)
    page = urllib.request.urlopen(f"http://127.0.0.1:{demo.port}/", timeout=10)
    assert page.headers["Content-Type"].startswith("text/html")
    page.close()
    family += demo.family()
    status = demo.process.wait(120)
    assert status == 0, demo.said()
    assert re.search(r"ok: stored and in /metrics: [1-9]\d* ping, [1-9]\d* throughput measurements", demo.said())
    assert re.search(r"ping ping near: loss_ratio 0\.0 %, rtt_min 0\.\d+ ms", demo.said())
    assert re.search(r"throughput \w+ responder: goodput (≥ )?[\d,.]+ Mbit/s", demo.said())
    assert still_there(family) == []


def test_ctrl_c_leaves_no_process_and_no_file(start: Callable[..., Demo]) -> None:
    demo = start()
    demo.wait_until_said("measuring; page")
    family = demo.family()
    assert len(family) >= 5
    folders = {each.cwd() for each in family[1:]}
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(60) == 0, demo.said()
    assert still_there(family) == []
    assert not any("fibrewatch-demo-" in folder and Path(folder).exists() for folder in folders)


def test_ctrl_c_before_everything_is_up_leaves_no_process(start: Callable[..., Demo]) -> None:
    demo = start()
    wait_until(lambda: len(demo.family()) > 1, demo.said, 30)
    family = demo.family()
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(60) == 0, demo.said()
    assert still_there(family) == []


def test_interrupted_before_its_time_it_has_shown_nothing(start: Callable[..., Demo]) -> None:
    demo = start("--for", "10 min")
    demo.wait_until_said("measuring; page")
    demo.process.send_signal(signal.SIGTERM)
    assert demo.process.wait(60) == 1
    assert demo.said().splitlines()[-1] == "fibrewatch demo: interrupted"


def test_a_killed_demo_leaves_no_process_and_the_next_one_removes_its_files(start: Callable[..., Demo]) -> None:
    demo = start()
    demo.wait_until_said("measuring; page")
    family = demo.family()
    assert len(family) >= 5
    (folder,) = {Path(each.cwd()) for each in family if "fibrewatch-demo-" in each.cwd()}
    demo.process.kill()
    demo.process.wait()
    wait_until(lambda: not still_there(family), lambda: str(still_there(family)), 60)
    assert folder.exists()
    with own_folder("fibrewatch-demo-"):
        assert not folder.exists()


def test_a_child_that_dies_ends_the_demo_with_its_last_words(start: Callable[..., Demo]) -> None:
    demo = start()
    demo.wait_until_said("measuring; page")
    family = demo.family()
    agent = next(each for each in family if "run --config agent.toml" in " ".join(each.cmdline()))
    log = Path(agent.cwd()) / "agent.log"
    wait_until(lambda: "running agent=demo/loopback/box-01" in log.read_text("utf-8"), demo.said, 60)
    agent.kill()
    assert demo.process.wait(60) == 1
    assert "running agent=demo/loopback/box-01" in demo.said()
    assert demo.said().splitlines()[-1] == "fibrewatch demo: agent ended by itself, exit status -9"
    assert still_there(family) == []


def test_too_short_a_demo_says_what_is_missing(start: Callable[..., Demo]) -> None:
    demo = start("--for", "0.1")
    assert demo.process.wait(90) == 1
    last = demo.said().splitlines()[-1]
    assert last.startswith("fibrewatch demo: after 0.1 s: no good ping measurement was stored")
    assert "; no good throughput measurement was stored" in last


def test_a_taken_port_is_told_and_another_one_used(start: Callable[..., Demo]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        demo = start("--port", str(port))
        demo.wait_until_said(rf"port {port} is taken: the page is on \d+")
        demo.wait_until_said("measuring; page")
    assert f"page http://127.0.0.1:{port}/" not in demo.said()


def test_without_iperf3_the_demo_says_how_to_get_it(tmp_path: Path) -> None:
    done = subprocess.run(COMMAND, capture_output=True, text=True, timeout=60, check=False, env={"PATH": str(tmp_path)})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "fibrewatch demo: iperf3 is missing: sudo apt-get install iperf3\n"
