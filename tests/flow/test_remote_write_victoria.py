"""Remote write to a VictoriaMetrics, another server than the one that the others are tested with."""

import json
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fibrewatch_collector.config import RemoteWrite
from tests.flow.test_remote_write_faults import RTT, Rig, ends, minutes
from tests.support.measurements import window
from tests.support.mosquitto import free_port, wait_for_port

pytestmark = pytest.mark.soak


class Victoria:
    """On loopback, as docs/remote-write.md says that it should be started."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        argv = ["victoria-metrics", f"-storageDataPath={folder}", f"-httpListenAddr=127.0.0.1:{self.port}"]
        argv += ["-dedup.minScrapeInterval=1ms", "-search.latencyOffset=0s"]
        self.process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for_port(self.port, timeout_s=60)

    def get(self, path: str, **words: str | float) -> str:
        url = f"http://127.0.0.1:{self.port}{path}?{urllib.parse.urlencode(words)}"
        with urllib.request.urlopen(url, timeout=60) as answer:
            text: str = answer.read().decode()
            return text

    def stored(self) -> tuple[dict[str, str], list[float]]:
        """Labels and times of the one series of round trips, once it can be read."""
        self.get("/internal/force_flush")
        (line,) = self.get("/api/v1/export", **{"match[]": RTT}).splitlines()
        found: dict[str, Any] = json.loads(line)
        return found["metric"], [at / 1000 for at in found["timestamps"]]


@pytest.fixture
def victoria(tmp_path: Path) -> Iterator[Victoria]:
    made = Victoria(tmp_path / "victoria")
    try:
        yield made
    finally:
        made.process.kill()
        made.process.wait()


async def test_two_hours_that_came_late_and_twice_leave_neither_hole_nor_duplicate(
    tmp_path: Path, victoria: Victoria
) -> None:
    first = (int(time.time()) // 60 - 150) * 60
    rig = Rig(tmp_path)
    rig.config = RemoteWrite(url=f"http://127.0.0.1:{victoria.port}/api/v1/write")
    rig.now = time.time()
    runs = minutes(120, first)
    rig.put(*runs[:20], *runs[110:], *runs[20:110])  # before the cut, what is live, what waited
    async with rig.feeding():
        await rig.until(rig.settled(120))
    rig.store.save_sent_through(0)
    async with rig.feeding():  # all of it again
        await rig.until(rig.settled(240))
    labels, times = victoria.stored()
    assert times == ends(runs)
    assert labels["__name__"] == RTT and labels["target"] == "operator-1" and "job" not in labels
    (drawn,) = json.loads(victoria.get("/api/v1/query_range", query=RTT, start=first + 60, end=times[-1], step=60))[
        "data"
    ]["result"]
    assert [at for at, _ in drawn["values"]] == times
    assert (rig.stats.retries, dict(rig.stats.dropped)) == (0, {})


async def test_a_line_ends_where_its_measurement_failed(tmp_path: Path, victoria: Victoria) -> None:
    first = (int(time.time()) // 60 - 30) * 60
    rig = Rig(tmp_path)
    rig.config = RemoteWrite(url=f"http://127.0.0.1:{victoria.port}/api/v1/write")
    rig.now = time.time()
    rig.put(*minutes(10, first), window(first + 600, outcome="failed", error="timeout", result=None))
    async with rig.feeding():
        await rig.until(rig.settled(11))
    victoria.get("/internal/force_flush")
    answer = victoria.get("/api/v1/query_range", query=RTT, start=first + 60, end=first + 1200, step=30)
    (drawn,) = json.loads(answer)["data"]["result"]
    assert first + 600 <= drawn["values"][-1][0] <= first + 690
