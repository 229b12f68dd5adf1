"""The collector is killed (SIGKILL) between commit and acknowledgement, again and again: acknowledged means stored."""

import asyncio
import random
import subprocess
import sys
from pathlib import Path

from fibrewatch_collector.store import Filter
from fibrewatch_collector.store.sqlite import SqliteStore
from tests.support.ingest_rig import DEADLINE_S, ScriptedBox, scripted_box
from tests.support.measurements import NOON, raw_window
from tests.support.mosquitto import Mosquitto
from tests.support.waiting import until

ROUNDS, TOTAL, BATCH, IN_FLIGHT = 6, 600, 10, 4
CHILD = """
import asyncio, sys
from pathlib import Path
from fibrewatch_collector.config import Broker
from fibrewatch_collector.ingest import Ingest
from fibrewatch_collector.store.sqlite import SqliteStore
ingest_of = lambda store: Ingest(Broker(port=int(sys.argv[1])), store, known=lambda agent: True, territories=["paris"],
                                 retention_s=4e7, version="test", clock=lambda: float(sys.argv[3]))
async def main():
    await ingest_of(SqliteStore(Path(sys.argv[2]))).run()
asyncio.run(main())
"""


def collector(port: int, path: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", CHILD, str(port), str(path), str(NOON + 61)])


async def feed(box: ScriptedBox, raws: list[bytes], until_acknowledged: int) -> None:
    """At most four batches in flight, as a box does; sends again what an answer doesn't come for."""
    async with asyncio.timeout(DEADLINE_S):
        while box.through() < until_acknowledged:
            done, seen = box.through(), box.ack_count
            for first in range(done + 1, min(done + IN_FLIGHT * BATCH, len(raws)) + 1, BATCH):
                await box.send(raws[first - 1 : first - 1 + BATCH], first, done + 1)
            for _ in range(200):
                if box.ack_count != seen:
                    break
                await asyncio.sleep(0.01)


def stored_numbers(path: Path) -> list[int]:
    store = SqliteStore(path)
    try:
        return [each.seq for each in store.measurements(Filter(), 0, 10 * TOTAL)]
    finally:
        store.close()


async def test_acknowledged_means_stored_whenever_the_collector_is_killed(tmp_path: Path) -> None:
    raws = [raw_window(NOON - 86_400 + 60 * number) for number in range(TOTAL)]
    path, rng = tmp_path / "store.db", random.Random(20261122)
    with Mosquitto(tmp_path) as broker:
        async with scripted_box(broker.port) as box:
            for number in range(1, ROUNDS + 1):
                child = collector(broker.port, path)
                try:
                    await until(lambda: box.states["paris"][-1:] == ["online"])
                    goal = TOTAL if number == ROUNDS else number * TOTAL // ROUNDS - rng.randrange(BATCH)
                    await feed(box, raws, goal)
                finally:
                    child.kill()
                    child.wait()
                await until(lambda: box.states["paris"][-1:] == ["offline"])
                numbers = await asyncio.to_thread(stored_numbers, path)
                assert set(range(1, box.through() + 1)) <= set(numbers)
                assert len(numbers) == len(set(numbers))
    assert sorted(stored_numbers(path)) == list(range(1, TOTAL + 1))
