"""An hour and a half of four sites with one of each fault, in a store as a collector keeps it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

from fibrewatch import sketch, wire
from fibrewatch.measurement import AnyMeasurement, Target
from fibrewatch.results import ping, throughput, voice
from fibrewatch.wire import AgentId, ScheduledTest
from fibrewatch_collector.inventory import Inventory, load_inventory
from fibrewatch_collector.ledger import books, inventories, maintenance
from fibrewatch_collector.sla import periods, wifi
from fibrewatch_collector.sla.binner import Backlog, judge_all
from fibrewatch_collector.store import Arrival, Delivery, FloorMinute
from fibrewatch_collector.store.sqlite import SqliteStore
from tests.unit.collector.runs import window

ZONE = "Europe/Paris"
DAY = date(2026, 10, 25)
"""It has 25 hours."""
PERIOD = periods.between(DAY, DAY, ZONE)
T0 = int(datetime(2026, 10, 25, 0, 30, tzinfo=UTC).timestamp())
"""Half an hour before the clocks go back."""
MINUTES = 90
MADE = datetime(2026, 11, 20, 12, tzinfo=UTC)
SITES = ("cargo", "halle", "soma", "tank")
CUT, DEAD, DARK, SHARED = range(20, 26), range(30, 34), range(40, 50), range(60, 64)
WORKS = range(70, 75)


def sites_toml() -> str:
    """All four, of one operator; the first has a contract."""
    text = """
[[territory]]
id = "paris"
name = "Paris"
[[sla]]
id = "gold"
contract = "Contrat 2026-17, annexe 3"
coverage_floor = 0.0
busy = { from = "01:00", to = "04:00", days = ["sun"] }
objective = [
  { id = "net", kind = "availability", asked = 0.99 },
  { id = "rtt", kind = "percentile", metric = "ping.rtt", quantile = 0.95, limit = "20 ms", hours = "busy" },
  { id = "loss", kind = "loss", metric = "ping", asked = 0.01 },
  { id = "down", kind = "compliance", direction = "download", asked = 0.5, of_contract = 0.9 },
  { id = "call", kind = "readiness", peer = "paris/soma", asked = 0.8 },
]
[[sla]]
id = "secret"
contract = "what another site pays"
[[sla]]
id = "easy"
objective = [
  { id = "rtt", kind = "percentile", metric = "ping.rtt", quantile = 0.95, limit = "20 ms" },
  { id = "loss", kind = "loss", metric = "ping", asked = 0.05 },
  { id = "wifi", kind = "coverage", asked = 0.8 },
]
"""
    for name in SITES:
        sla = {"cargo": "gold", "soma": "easy"}.get(name, "secret")
        text += (
            f'[[site]]\nterritory = "paris"\nid = "{name}"\nname = "Site {name}"\ncity = "Paris"\nlatitude = 48.9\n'
            f'longitude = 2.4\ntime_zone = "{ZONE}"\n'
            'uplink = [{ id = "fibre", kind = "fibre", operator = "Réseau", download = "1 Gbit/s", '
            f'sla = "{sla}" }}]\n'
            f'floor = [{{ id = "1", companies = ["{name} & Cie", "Zoé"] }}]\nagent = [{{ id = "box", floor = "1" }}]\n'
        )
    return text


def lost(name: str, minute: int) -> set[str]:
    """What a site does not hear."""
    if name == "cargo" and minute in (*CUT, *WORKS):
        return {"dns", "far", "soma"}
    if minute in SHARED and name != "tank":
        return {"dns", "far", "soma"}
    return {"far"} if minute in DEAD else set()


def runs(name: str, minute: int) -> Iterator[AnyMeasurement]:
    """What a box measures in a minute."""
    at, gone = T0 + 60.0 * minute, lost(name, minute)
    for target in ("gw", "dns", "far"):
        rtt = sketch.of([0.004 + 0.0001 * (minute % 7)] * 60)
        result = None if target in gone else ping.Result(sent=60, lost=minute % 2, deadline=2.0, rtt=rtt)
        fields = {} if result is None else {"result": result}
        yield window(f"-{target}" if target in gone else target, at, **fields)
    if name != "soma":
        yield window("-soma" if "soma" in gone else "soma", at, peer="paris/soma/box")
    if minute % 10 == 5:
        goodput = (125e6 if minute % 20 == 5 else 80e6) + minute
        yield _run("throughput", at + 7, throughput.Result(direction="down", streams=4, goodput=goodput))
    if name in ("cargo", "soma") and minute % 9 == 4:
        peer = "soma" if name == "cargo" else "cargo"
        result = voice.Result(sent=500, lost=0, ready=minute % 18 == 4)
        yield _run("voice", at + 9, result, target=Target(name=peer, role="responder", peer=f"paris/{peer}/box"))


def _run(probe: str, at: float, result: object, **fields: object) -> AnyMeasurement:
    return window("far", at, probe=probe, test=probe, result=result, duration_s=10.0, **fields)


class Collector:
    """Store and backlog, as the app ties them, but for threads and the clock."""

    def __init__(self, folder: Path) -> None:
        path = folder / "sites.toml"
        path.write_text(sites_toml(), "utf-8")
        self.inventory: Inventory = load_inventory(path)
        self.store = SqliteStore(folder / "collector.db")
        self.store._db.execute("PRAGMA synchronous=OFF")  # hundreds of small transactions: no power fails here
        self.backlog = Backlog(lambda: self.inventory)
        self.numbers = dict.fromkeys(SITES, 0)

    def take_in(self, name: str, found: Iterable[AnyMeasurement], now: float) -> None:
        """A batch."""
        first = self.numbers[name] + 1
        arrivals = [Arrival(number, wire.encode(run), run) for number, run in enumerate(found, first)]
        self.numbers[name] += len(arrivals)
        box, stream = AgentId("paris", name, "box"), f"{SITES.index(name):016x}"
        done = self.store.commit([Delivery(box, stream, first, now, arrivals)])
        for who, run in done.stored:
            self.backlog.mark(who, run)

    def judge(self, now: float) -> None:
        """What is due."""
        work = self.backlog.take(now)
        self.store.save_bins(judge_all(work, self.store, self.inventory, self.backlog.intervals()))

    def live(self) -> None:
        """Minute by minute; what cargo measures in the dark comes later. Of soma's Wi-Fi only verdicts are there."""
        self.declare()
        good = [FloorMinute("paris", "soma", "1", "box", T0 + 60 * at, wifi.State.GOOD, 1) for at in range(MINUTES)]
        self.store.save_floors(good)
        kept: list[AnyMeasurement] = []
        for minute in range(MINUTES):
            now = T0 + 60.0 * minute + 65
            for name in SITES:
                if name == "cargo" and minute in DARK:
                    kept += runs(name, minute)
                else:
                    self.take_in(name, [*kept, *runs(name, minute)] if name == "cargo" else runs(name, minute), now)
                    kept = [] if name == "cargo" else kept
            self.judge(now + 5)

    def declare(self) -> None:
        """A schedule, and works."""
        inventories.remember(self.store, self.inventory, T0 - 86400.0)
        tests = tuple(
            ScheduledTest(probe="ping", test="ping", target=target, every_s=60.0, mode="window", interval_s=1.0)
            for target in ("gw", "dns", "far", "soma")
        )
        self.schedule = wire.Inventory(version="0.1.0", schedule=tests)
        self.store.save_schedule(AgentId("paris", "cargo", "box"), T0 - 3600.0, wire.encode(self.schedule))
        begin, end = (datetime.fromtimestamp(T0 + 60 * at, UTC) for at in (WORKS.start, WORKS.stop))
        wish = maintenance.Wish(
            territory="paris", site="cargo", begin=begin.isoformat(), end=end.isoformat(), who="Ann", why="carte"
        )
        books.declare(self.store, self.inventory, wish, T0 - 7200.0)


@contextmanager
def collector(folder: Path) -> Iterator[Collector]:
    """A store in which all of it happened."""
    made = Collector(folder)
    try:
        made.live()
        yield made
    finally:
        made.store.close()
