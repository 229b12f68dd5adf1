"""Which pack somebody asks for, and a process of its own that makes it: it keeps a core busy for minutes.

Run as `python -m fibrewatch_collector.evidence.request`: a `Job` as JSON on standard input; the pack goes to a file.
"""

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from fibrewatch.config import nearest
from fibrewatch.errors import FibrewatchError
from fibrewatch_collector.evidence import making
from fibrewatch_collector.evidence.contents import Manifest
from fibrewatch_collector.inventory import Inventory, Site, inventory_of
from fibrewatch_collector.report import asked
from fibrewatch_collector.report.asked import AskError
from fibrewatch_collector.sla.periods import Period

PARAMETERS = ("site", "month", "from", "to")


class Job(Struct, frozen=True, kw_only=True):
    """What the process is to do; moments in UTC seconds.

    Attributes:
        written: The inventory's tables.
        words: Of `PARAMETERS`.
    """

    store: str
    written: dict[str, Any]
    words: dict[str, str]
    now: float
    key: str
    out: str
    scratch: str


def wanted(inventory: Inventory, words: Mapping[str, str]) -> tuple[Site, Period]:
    """One site and one period.

    Raises:
        AskError: Something is missing, too much, or no such thing.
    """
    for name in words:
        if name not in PARAMETERS:
            raise AskError(f"{name[:60]}: no such parameter{nearest(name, PARAMETERS)}")
    question = asked.question(words)
    (site,) = asked.sites(inventory, question)
    return site, question.zoned(site.time_zone)


def file_name(site: Site, period: Period) -> str:
    """What a pack is called where nobody says otherwise."""
    return f"evidence-{'-'.join(site.key)}-{period.label.replace('/', '-to-')}.tar"


def run(job: Job) -> Manifest:
    """Makes the pack that is asked for. Blocks.

    Raises:
        FibrewatchError: It can't be made.
    """
    from fibrewatch_collector.evidence import keys
    from fibrewatch_collector.store.connections import must_be_a_store
    from fibrewatch_collector.store.sqlite import SqliteStore

    inventory = inventory_of(job.written, "sites.toml")
    site, period = wanted(inventory, job.words)
    key = keys.read(Path(job.key))
    must_be_a_store(Path(job.store))
    store = SqliteStore(Path(job.store))
    try:
        with Path(job.out).open("wb") as out:
            now = datetime.fromtimestamp(job.now, UTC)
            return making.make(store, inventory, making.Wanted(site, period, now), key, out, scratch=Path(job.scratch))
    finally:
        store.close()


def main() -> int:
    """The process itself: exit status 2, and why on standard error, where the pack can't be made."""
    try:
        manifest = run(msgspec.json.decode(sys.stdin.buffer.read(), type=Job))
    except FibrewatchError as e:
        print(e, file=sys.stderr)
        return 2
    sys.stdout.buffer.write(msgspec.json.encode(manifest))
    return 0
