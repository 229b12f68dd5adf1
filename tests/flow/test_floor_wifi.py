"""A floor's Wi-Fi from MQTT to /metrics and the report, across a restart: the collector as a process, a real broker."""

import time
from pathlib import Path

from fibrewatch.measurement import AnyMeasurement
from fibrewatch.wire import AgentId
from tests.support.collector import CollectorProcess, deliver, site
from tests.support.mosquitto import Mosquitto
from tests.unit.collector.floor_runs import link, onboarding

BOX = AgentId("paris", "cargo", "box-01")
_FLOORS = '[[site.floor]]\nid = "2"\n'
GOOD, WEAK = 12, 4


def runs(end: float) -> list[AnyMeasurement]:
    """Good minutes, then weak ones, the last of which is over."""
    first = end - 60 * (GOOD + WEAK)
    looks = [link(first + 60 * n + 5, -50.0 if n < GOOD else -80.0) for n in range(GOOD + WEAK)]
    return [onboarding(first - 30), *looks]


def on_a_floor() -> str:
    told = site("cargo", "box-01").replace('id = "box-01"', 'id = "box-01"\nfloor = "2"')
    at = told.index("[[site.agent]]")
    return told[:at] + _FLOORS + told[at:]


async def test_a_floors_wifi_is_a_metric_and_survives_a_restart(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, CollectorProcess(tmp_path, broker.port, on_a_floor()) as collector:

        def shown() -> bool:
            text = collector.get("/metrics")[1].decode()
            share = (
                f'fibrewatch_floor_wifi_good_ratio{{territory="paris",site="cargo",floor="2"}} {GOOD / (GOOD + WEAK)}'
            )
            return share in text and f'floor="2",state="weak_signal"}} {WEAK}\n' in text

        await deliver(broker.port, BOX, runs(time.time() // 60 * 60), "0" * 15 + "1")
        collector.wait(shown, "the floor's share")
        assert collector.end() == 0
        collector.start()
        collector.wait(shown, "the floor's share after a restart")
