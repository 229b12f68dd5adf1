"""Each month's reports into a folder: <month>/<territory>/<site>-r<edition>[-provisional].<language>.<format>.

An edition is written once, whole or not at all, and never again: a restart finds what is there. A later edition (final
after provisional, or restated) stands beside it. Blocks on the store and the disk.
"""

import logging
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from fibrewatch.errors import FibrewatchError
from fibrewatch_collector.config import Reports
from fibrewatch_collector.inventory import Inventory, Site
from fibrewatch_collector.report import asked, output
from fibrewatch_collector.report.model import Fleet, Report
from fibrewatch_collector.report.output import Manner
from fibrewatch_collector.store import Store

log = logging.getLogger(__name__)
MONTHS = 2
"""So many past months are looked at: an edition may become final, or be restated, after its month."""


class Tally(NamedTuple):
    """What one round did."""

    written: int
    failed: int


def due(settings: Reports, zone: str, now: datetime) -> list[str]:
    """Months that are over and whose day of writing has come, where the clock is the site's; newest first."""
    here, hour = ZoneInfo(zone), time.fromisoformat(settings.time)
    local, found = now.astimezone(here), []
    for back in range(MONTHS):
        number = local.year * 12 + local.month - 1 - back
        written_on = datetime(number // 12, number % 12 + 1, settings.day, tzinfo=here)
        if datetime.combine(written_on.date(), hour, here) <= local:
            found.append(f"{(number - 1) // 12:04d}-{(number - 1) % 12 + 1:02d}")
    return found


def write_due(
    settings: Reports, store: Store, inventory: Inventory, now: datetime, stopped: Callable[[], bool]
) -> Tally:
    """Writes what is due and not there; a report that fails is logged, counted, and tried again next time."""
    written = failed = 0
    for question, name in _questions(settings, inventory, now):
        if stopped():
            break
        try:
            written += _write(settings, name, question, asked.answer(store, inventory, question, now))
        except (FibrewatchError, OSError) as e:
            failed += 1
            log.warning("a monthly report was not written report=%s: %s", name, e)
    return Tally(written, failed)


def _questions(settings: Reports, inventory: Inventory, now: datetime) -> Iterator[tuple[asked.Question, str]]:
    """Every site, and every territory once all its sites have reached the day."""
    for territory in inventory.territories:
        sites = [site for site in inventory.sites.values() if site.territory == territory]
        for site in sites:
            for month in due(settings, site.time_zone, now):
                yield asked.Question(site="/".join(site.key), month=month), f"{month}/{territory}/{site.id}"
        for month in _of_all(settings, sites, now):
            yield asked.Question(territory=territory, month=month), f"{month}/{territory}/_{territory}"


def _of_all(settings: Reports, sites: Iterable[Site], now: datetime) -> list[str]:
    months = [set(due(settings, zone, now)) for zone in {site.time_zone for site in sites}]
    return sorted(set.intersection(*months), reverse=True) if months else []


def _write(settings: Reports, name: str, question: asked.Question, answer: asked.Answer) -> int:
    """How many files are new."""
    written = 0
    for language in settings.languages:
        for form in settings.formats:
            path = settings.path / f"{name}-{_edition(answer)}.{language}.{form}"
            if not path.exists():
                _put(path, output.FORMATS[form].write(answer, Manner(language)))
                written += 1
    return written


def _edition(answer: asked.Answer) -> str:
    """Of many sites: the newest number, and final when all are."""
    reports = answer.sites if isinstance(answer, Fleet) else [answer] if isinstance(answer, Report) else []
    final = all(each.revision.final for each in reports)
    number = max((each.revision.number for each in reports), default=1)
    return f"r{number}" + ("" if final else "-provisional")


def _put(path: Path, body: bytes) -> None:
    """Whole or not at all, also when the power fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        Path(part).chmod(0o644)
        Path(part).replace(path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


EVERY = timedelta(hours=6)
"""How often a running collector looks what is due."""
