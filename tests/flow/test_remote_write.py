"""Remote write: from a box that was cut off to a real Prometheus; servers that are away, strict, or full of lies."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fibrewatch.measurement import AnyMeasurement
from fibrewatch.wire import AgentId
from tests.support.collector import CollectorProcess, deliver, site
from tests.support.measurements import result, window
from tests.support.mosquitto import Mosquitto
from tests.support.prometheus import Prometheus

BOX, OTHER = AgentId("paris", "cargo", "box-01"), AgentId("paris", "bourse", "box-01")
RTT = "fibrewatch_ping_rtt_p50_seconds"
WRITTEN = "fibrewatch_collector_remote_write"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path) as started:
        yield started


@pytest.fixture
def collector(tmp_path: Path, broker: Mosquitto) -> Iterator[CollectorProcess]:
    """Not started."""
    made = CollectorProcess(tmp_path, broker.port, site("cargo", "box-01"), site("bourse", "box-01"))
    try:
        yield made
    finally:
        made.__exit__()


def write_to(collector: CollectorProcess, url: str, more: str = "") -> None:
    with collector.config.open("a") as file:
        file.write(f'[remote_write]\nurl = "{url}"\n{more}')


def minute_ago(count: int) -> int:
    """The start of the minute that began so many minutes before this one."""
    return (int(time.time()) // 60 - count) * 60


def run(start: float, **changes: object) -> AnyMeasurement:
    """A window whose round trip tells its minute."""
    return window(start, result=result(rtt=rtt_of(start)), **changes)


def rtt_of(start: float) -> float:
    return 0.001 + (start // 60 % 1000) * 1e-5


def own(collector: CollectorProcess) -> dict[str, float]:
    """The collector's metrics of remote write; those with a reason by that."""
    found = {}
    for family in text_string_to_metric_families(collector.get("/metrics")[1].decode()):
        for sample in family.samples:
            if sample.name.startswith(WRITTEN):
                name = sample.name.removeprefix(f"{WRITTEN}_").removesuffix("_total")
                found[sample.labels.get("reason", name)] = sample.value
    return found


def taken(collector: CollectorProcess, count: int) -> Callable[[], bool]:
    return lambda: own(collector).get("measurements", 0) >= count


async def test_two_hours_without_the_line_leave_neither_hole_nor_duplicate(
    tmp_path: Path, broker: Mosquitto, collector: CollectorProcess
) -> None:
    with Prometheus(tmp_path / "prometheus", collector.http, out_of_order_window="12h") as prometheus:
        write_to(collector, prometheus.write_url)
        collector.start()
        starts = [minute_ago(n) for n in range(140, 1, -1)]
        before, cut_off, since = starts[:15], starts[15:-4], starts[-4:]
        await deliver(broker.port, BOX, map(run, before), "0" * 15 + "1")
        collector.wait(taken(collector, 15), "what came before the cut")
        await deliver(broker.port, BOX, map(run, since), "0" * 15 + "2")  # the present is not kept waiting
        await deliver(broker.port, BOX, map(run, cut_off), "0" * 15 + "3")
        await deliver(broker.port, BOX, map(run, cut_off), "0" * 15 + "3")  # again
        collector.wait(taken(collector, len(starts)), "the rest")
        _check_history(prometheus, starts)
        collector.end()
        collector.start()  # its mark may be behind: what is sent again is exactly the same
        await deliver(broker.port, BOX, [run(starts[-1] + 60)], "0" * 15 + "4")
        collector.wait(lambda: len(_stored(prometheus)) > len(starts), "the last minute")
        _check_history(prometheus, [*starts, starts[-1] + 60])


async def test_prometheus_that_was_down_gets_all_that_is_within_its_window(
    tmp_path: Path, broker: Mosquitto, collector: CollectorProcess
) -> None:
    prometheus = Prometheus(tmp_path / "prometheus", collector.http, out_of_order_window="1h")
    write_to(collector, prometheus.write_url)
    collector.start()
    old, young = [minute_ago(n) for n in range(100, 90, -1)], [minute_ago(n) for n in range(20, 1, -1)]
    await deliver(broker.port, BOX, map(run, young), "0" * 15 + "1")  # acknowledged: ingest doesn't wait
    collector.wait(lambda: own(collector).get("retries", 0) > 0, "a try")
    assert own(collector)["up"] == 0
    with prometheus:
        collector.wait(taken(collector, len(young)), "what waited")
        await deliver(broker.port, BOX, map(run, [*old, young[-1] + 60]), "0" * 15 + "2")
        collector.wait(taken(collector, len(young) + 1), "what is within the window")
        collector.wait(lambda: own(collector).get("refused", 0) == len(old), "what is not")
        _check_history(prometheus, [*young, young[-1] + 60])


def _stored(prometheus: Prometheus) -> list[tuple[float, float]]:
    found = prometheus.samples(RTT, "3h")
    return found[0][1] if found else []


def _check_history(prometheus: Prometheus, starts: list[int]) -> None:
    ((labels, stored),) = prometheus.samples(RTT, "3h")
    assert labels == {
        "__name__": RTT,
        **BOX._asdict(),
        "interface": "eth0",
        "target": "operator-1",
        "test": "latency",
    }
    assert [at for at, _ in stored] == [start + 60 for start in starts]
    assert [value for _, value in stored] == pytest.approx([rtt_of(start) for start in starts])
    (drawn,) = prometheus.range(RTT, starts[0] + 60, starts[-1] + 60, 60)
    assert drawn == stored
