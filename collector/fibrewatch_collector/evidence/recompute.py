"""From a pack's files to its figures: what made a pack and what verifies one both run. Blocks."""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import msgspec

from fibrewatch_collector.evidence import contents, minutes
from fibrewatch_collector.evidence.contents import (
    Context,
    EditionLine,
    GapLine,
    RecordLine,
    ScheduleLine,
    Span,
    StoodLine,
    View,
)
from fibrewatch_collector.evidence.replay import Replay
from fibrewatch_collector.inventory import Inventory, Site
from fibrewatch_collector.report import figures
from fibrewatch_collector.report.model import Report
from fibrewatch_collector.sla import wifi_keeper
from fibrewatch_collector.sla.periods import Period
from fibrewatch_collector.store import Bin

_CHUNK = 1 << 20


class Reader(Protocol):
    """Gives the lines of one of a pack's files."""

    def __call__(self, name: str, kind: Any) -> Iterator[Any]: ...


class Bare:
    """A pack's small files."""

    def __init__(self, read: Reader) -> None:
        self._read = read

    def ledger(self, replay: Replay) -> None:
        """What was scheduled, declared, given out and lost."""
        replay.set_schedules(self._read(contents.SCHEDULES, ScheduleLine))
        replay.set_records(self._read(contents.RECORDS, RecordLine))
        replay.set_editions(self._read(contents.EDITIONS, EditionLine))
        replay.set_gaps(self._read(contents.GAPS, GapLine))
        replay.set_history(self._read(contents.HISTORY, StoodLine))


@contextmanager
def open_replay(folder: Path, site: Site, context: Context) -> Iterator[Replay]:
    """A store to be filled; its file goes at the end."""
    path = folder / "replay.db"
    replay = Replay(path, site.key, context)
    try:
        yield replay
    finally:
        replay.close()
        for each in folder.glob("replay.db*"):
            each.unlink()


def judge(bench: minutes.Bench, replay: Replay, views: Iterable[View]) -> Iterator[Span]:
    """Judges all minutes, gives them to the store, and returns them as stretches."""

    def kept() -> Iterator[list[Bin]]:
        for found in minutes.judge(bench, replay, views):
            replay.save_bins(found)
            yield found

    return minutes.spans(kept())


def report(replay: Replay, inventory: Inventory, site: Site, period: Period, now: datetime) -> Report:
    """All figures."""
    wifi_keeper.judge_site(replay, inventory, site.key, now.timestamp())
    return figures.report(replay, inventory, site, period, now)


def encoded(made: Report) -> bytes:
    """report.json."""
    return msgspec.json.encode(made, order="deterministic") + b"\n"


def objectives(inventory: Inventory, site: Site) -> bytes:
    """objectives.json: what holds for each uplink."""
    found = {uplink.id: inventory.promise(site, uplink.id) for uplink in site.uplinks}
    return msgspec.json.encode(found, order="deterministic") + b"\n"


def sha256(path: Path) -> str:
    """In hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
