"""The collector's own pages over a fleet of made-up boxes: `python -m benchmarks.scrape_server --series N --port P`.

Results go the way they go in the collector, from what the store committed to the exposition; SIGUSR1 lets every test of
every box deliver its next window. After each round a line `round K series S boxes B` is printed, S being the lines of
samples.
"""

import argparse
import asyncio
import signal
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from fibrewatch import __version__
from fibrewatch.results import PROBES
from fibrewatch_collector.access.settings import Http
from fibrewatch_collector.config import Config
from fibrewatch_collector.hub import Hub
from fibrewatch_collector.inventory import Inventory, load_inventory
from fibrewatch_collector.operator import generate
from fibrewatch_collector.operator.files import sites_toml
from fibrewatch_collector.own_metrics import OwnMetrics
from fibrewatch_collector.store import Committed
from fibrewatch_collector.store.sqlite import SqliteStore
from fibrewatch_collector.web.server import Server

AGENTS_PER_SITE = 4


class Fleet:
    """Boxes that deliver one window of each of their tests a round, dated now."""

    def __init__(self, boxes: int) -> None:
        agents = generate.fleet(-(-boxes // AGENTS_PER_SITE), AGENTS_PER_SITE)[:boxes]
        self.agents = agents
        self.rounds = 0
        self._plan = generate.Plan(seed="1", begin=time.time() - 60.0, step_s=1.0, variants=2)
        self._sources = [generate.Source(self._plan, agent) for agent in agents]

    def deliver(self, hub: Hub) -> None:
        """One round."""
        first = self.rounds * len(generate.TARGETS)
        for source in self._sources:
            runs = [source.measurement(first + which) for which in range(len(generate.TARGETS))]
            hub.committed(Committed(stored=[(source.agent, run) for run in runs]), 0.0)
        self.rounds += 1


def count_samples(hub: Hub) -> int:
    """Lines of the page that are samples."""
    return sum(chunk.count(b"\n") - 2 * chunk.count(b"# TYPE ") for chunk in hub.metrics())


def inventory_of(fleet: Fleet, folder: Path) -> Inventory:
    """Read from a file, as the collector does."""
    file = folder / "sites.toml"
    file.write_text(sites_toml(fleet.agents), "utf-8")
    return load_inventory(file)


async def serve(series: int, port: int, folder: Path) -> None:
    """Fills up to about so many series, then serves until SIGTERM."""
    per_box = samples_per_box(folder)
    fleet = Fleet(max(1, round(series / per_box)))
    hub = make_hub(fleet, folder)
    store = SqliteStore(folder / "collector.db")
    server = Server(hub, store, asyncio.to_thread, Config(http=Http(address=f"127.0.0.1:{port}")))
    ending, again = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, ending.set)
    loop.add_signal_handler(signal.SIGUSR1, again.set)
    await server.start()
    while not ending.is_set():
        fleet.deliver(hub)
        series_now = count_samples(hub) if fleet.rounds == 1 else "-"
        print(f"round {fleet.rounds} series {series_now} boxes {len(fleet.agents)}", flush=True)
        again.clear()
        waits = [asyncio.create_task(each.wait()) for each in (ending, again)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for each in waits:
            each.cancel()
    await server.stop()
    store.close()


def make_hub(fleet: Fleet, folder: Path) -> Hub:
    """As the collector's, connected and storing."""
    hub = Hub(inventory_of(fleet, folder), PROBES, OwnMetrics(__version__), time.time)
    schedule = generate.inventory(generate.Plan(seed="1", begin=0))
    for agent in fleet.agents:
        hub.schedule(agent, schedule, time.time())
    return hub


def samples_per_box(folder: Path) -> float:
    """How many samples one more box makes."""
    counts = []
    for boxes in (AGENTS_PER_SITE, 3 * AGENTS_PER_SITE):
        fleet = Fleet(boxes)
        hub = make_hub(fleet, folder)
        fleet.deliver(hub)
        counts.append(count_samples(hub))
    return (counts[1] - counts[0]) / (2 * AGENTS_PER_SITE)


def main() -> None:
    """Reads the command line of the benchmark."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--series", type=int, required=True)
    parser.add_argument("--port", type=int, required=True)
    given = parser.parse_args()
    with TemporaryDirectory(prefix="fibrewatch-bench-") as folder:
        asyncio.run(serve(given.series, given.port, Path(folder)))


if __name__ == "__main__":
    main()
