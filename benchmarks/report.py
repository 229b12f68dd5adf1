"""`python -m benchmarks.report`: a month of one-minute rows of fifty sites, and how long its reports take.

50 sites × 10 series × 43,200 minutes, 21.6 million windows of 60 samples, come as payloads through admission, the
writer's thread and the SQLite store, as MQTT brings them; bins, hours and days are made on the way. That takes about
half an hour of CPU, so a store that is there is used again (--store), and gone on with where it ends; with --days
fewer come that way, and the month's other days are copies of their hours. Then a new process each makes the figures of
all sites, and one site's PDF with its plots.
"""

import json
import os
import resource
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import run as run_process

from benchmarks.report_boxes import Box, inventory_toml
from benchmarks.report_copies import copy_days
from benchmarks.support import options, python, save, table
from fibrewatch_collector import recovery
from fibrewatch_collector.garbage import collect_garbage_seldom
from fibrewatch_collector.inventory import Inventory, load_inventory
from fibrewatch_collector.operator.scenario.collector import VirtualCollector
from fibrewatch_collector.report import asked
from fibrewatch_collector.store.sqlite import SqliteStore

MONTH = "2026-11"
ZONE = "Europe/Paris"
BEGIN = datetime(2026, 10, 31, 23, tzinfo=UTC)
"""1 November in Paris: 30 days of 24 hours."""
DAYS = 30
STEP_MINUTES = 10
RUNS = 5


def fill(path: Path, inventory: Inventory, minutes: int) -> dict[str, float]:
    """Writes what the store does not have yet; returns what it cost."""
    store = SqliteStore(path)
    collector, boxes = VirtualCollector(store, inventory), [Box(agent) for agent in inventory.agents]
    collect_garbage_seldom()
    first = _first_missing(store, collector)
    for box in boxes:
        box.skip(first)
    cpu, wall, judging, rolling = time.process_time(), time.monotonic(), 0.0, 0.0
    for minute in range(first, minutes, STEP_MINUTES):
        _step(collector, boxes, minute)
        if (minute + STEP_MINUTES) % 60 == 0:
            at = time.process_time()
            collector.judge()
            judging += time.process_time() - at
            at = time.process_time()
            collector.roll_up()
            rolling += time.process_time() - at
        if (minute + STEP_MINUTES) % 1440 == 0:
            print(f"day {minute // 1440 + 1}: {collector.stored} rows, {time.monotonic() - wall:.0f} s", flush=True)
    collector.now += 86400.0
    collector.judge()
    collector.roll_up()
    collector.close()
    store.close()
    whole = time.process_time() - cpu
    made = {"rows": collector.stored, "cpu_s": whole, "wall_s": time.monotonic() - wall}
    return made | {"bins_cpu_s": judging, "roll_ups_cpu_s": rolling}


def _first_missing(store: SqliteStore, collector: VirtualCollector) -> int:
    """Whole hours that are there already."""
    judged = recovery.judged(store, (BEGIN + timedelta(days=DAYS)).timestamp())
    if judged.newest is None:
        return 0
    collector.backlog.resume(judged.uplinks, judged.newest)
    return (judged.newest + 60 - int(BEGIN.timestamp())) // 60


def _step(collector: VirtualCollector, boxes: Sequence[Box], minute: int) -> None:
    collector.now = BEGIN.timestamp() + (minute + STEP_MINUTES) * 60 + 6.0
    for box in boxes:
        collector.receive(box.agent, box.payload(BEGIN, minute, STEP_MINUTES))
    collector.settle()


# ---- what is measured


def timed(store: Path, sites: Path, words: dict[str, str]) -> dict[str, float]:
    """Seconds of wall clock and of CPU for one report, in this process, imports apart."""
    inventory = load_inventory(sites)
    question = asked.question(words)
    opened = SqliteStore(store)
    collect_garbage_seldom()
    wall, cpu = time.perf_counter(), _cpu()
    answer = asked.answer(opened, inventory, question, BEGIN + timedelta(days=DAYS + 20))
    figures_wall, figures_cpu = time.perf_counter() - wall, _cpu() - cpu
    size = len(question.write(answer))
    found = {"wall_s": time.perf_counter() - wall, "cpu_s": _cpu() - cpu, "bytes": size}
    opened.close()
    return found | {"figures_wall_s": figures_wall, "figures_cpu_s": figures_cpu}


def _cpu() -> float:
    """Of this process and of its children that ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def rounds(store: Path, sites: Path, words: dict[str, str]) -> list[dict[str, float]]:
    """Each in a new process: nothing is remembered but by the system's cache of files."""
    found = []
    for _ in range(RUNS):
        argv = python("-m", "benchmarks.report", "--one", json.dumps(words), "--store", str(store), "--inventory")
        done = run_process([*argv, str(sites)], check=True, capture_output=True)
        found.append(json.loads(done.stdout))
    return found


def _row(name: str, taken: Sequence[dict[str, float]], most: str) -> list[str]:
    wall, cpu = (sorted(each[key] for each in taken) for key in ("wall_s", "cpu_s"))
    middle = len(taken) // 2
    return [name, f"{wall[0]:.2f}–{wall[-1]:.2f} s, median {wall[middle]:.2f}", f"{cpu[middle]:.2f} s", most]


def sizes(store: Path, made: dict[str, float]) -> dict[str, float]:
    """What was written and its bytes, noted beside the store before any day is copied into it."""
    note = store.with_suffix(".json")
    if made["rows"] or not note.exists():
        rows = _rows(store)
        note.write_text(json.dumps(made | {"rows": rows, "bytes_each": store.stat().st_size / rows}), "utf-8")
    found: dict[str, float] = json.loads(note.read_text("utf-8"))
    return found


def _rows(store: Path) -> int:
    opened = SqliteStore(store)
    found = opened._db.execute("SELECT count(*) FROM measurement").fetchone()
    opened.close()
    return int(found[0])


def copy_rest(store: Path) -> None:
    """The days of the month that are not there, as the store's own upkeep makes them of copied hours."""
    first = int(BEGIN.timestamp()) // 86400 + 1  # the first UTC day that is whole
    opened = SqliteStore(store)
    (last,) = opened._db.execute("SELECT max(minute) FROM bin").fetchone()
    after = (last + 1) // 1440
    copy_days(store, first, after - first, range(after, first + DAYS))
    while opened.roll_up(500, (BEGIN + timedelta(days=DAYS + 2)).timestamp()):
        pass
    opened.close()


def measure(store: Path, sites: Path, size: dict[str, float]) -> Iterator[list[str]]:
    """The table's rows."""
    load = os.getloadavg()[0]
    everything = {"all": "1", "month": MONTH, "format": "json"}
    yield _row(f"figures of all sites, as JSON (load {load:.1f})", rounds(store, sites, everything), "≤ 2 s")
    one = {"site": "paris/site-07", "month": MONTH, "format": "pdf"}
    load = os.getloadavg()[0]
    yield _row(f"one site with plots, as PDF (load {load:.1f})", rounds(store, sites, one), "≤ 5 s")
    yield [
        f"disk, each of {size['rows']:,.0f} measurements, all in",
        f"{size['bytes_each']:.1f} bytes",
        "",
        "≤ 250 bytes",
    ]


def main() -> None:
    """Prints the table and keeps the figures."""
    parser = options(__doc__ or "")
    parser.add_argument("--store", type=Path, default=Path("build/report-month.db"))
    parser.add_argument("--inventory", type=Path)
    parser.add_argument("--sites", type=int, default=50)
    parser.add_argument("--days", type=int, default=DAYS)
    parser.add_argument("--one", help="a report's parameters as JSON: makes only that, and prints what it took")
    given = parser.parse_args()
    if given.one is not None:
        print(json.dumps(timed(given.store, given.inventory, json.loads(given.one))))
        return
    given.store.parent.mkdir(parents=True, exist_ok=True)
    sites = given.store.with_suffix(".toml")
    sites.write_text(inventory_toml(given.sites), "utf-8")
    made = fill(given.store, load_inventory(sites), given.days * 1440)
    print(json.dumps(made))
    heads = ["report", "wall clock", "CPU", "asked"]
    size = sizes(given.store, made)
    if given.days < DAYS:
        copy_rest(given.store)
    found = list(measure(given.store, sites, size))
    print(table(heads, found))
    save(given.results, "report", {"heads": heads, "rows": found, "ingest": size})


if __name__ == "__main__":
    main()
