"""A store made of a pack's lines alone: whoever asks it for a report gets what the pack says, and nothing else."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from pathlib import Path

from fibrewatch.errors import WireError
from fibrewatch.wire import AgentId, decode_measurement
from fibrewatch_collector.evidence import PackError
from fibrewatch_collector.evidence.contents import (
    Context,
    EditionLine,
    GapLine,
    Line,
    RecordLine,
    ScheduleLine,
    States,
    StoodLine,
)
from fibrewatch_collector.inventory import SiteKey
from fibrewatch_collector.ledger import inventories
from fibrewatch_collector.sla.periods import Period
from fibrewatch_collector.store import Arrival, BinState, Delivery, Edition, Filter, Gap, Record
from fibrewatch_collector.store.sqlite import SqliteStore

_AT_ONCE = 2_000


class Replay(SqliteStore):
    """Measurements and minutes in a file of its own; what is small in memory."""

    def __init__(self, path: Path, site: SiteKey, context: Context) -> None:
        super().__init__(path)
        try:
            self._db.execute("PRAGMA synchronous=OFF")  # it is made anew, not mended
        except sqlite3.Error:
            self.close()
            raise
        self._site, self._context = site, context
        self._records: list[Record] = []
        self._editions: list[EditionLine] = []
        self._gaps_kept: list[Gap] = []
        self._states: list[States] = []

    # ---- filled

    def fill(self, lines: Iterable[Line]) -> None:
        """Takes measurements in the order in which they came.

        Raises:
            PackError: One can't be read, is there twice, or is refused.
        """
        pending = iter(lines)
        while chunk := list(islice(pending, _AT_ONCE)):
            done = self.commit(list(_deliveries(chunk)))
            if len(done.stored) != len(chunk):
                raise PackError("contents", "measurements: one is there twice, or can't be taken")

    def set_schedules(self, lines: Iterable[ScheduleLine]) -> None:
        """What boxes were told to run."""
        for each in lines:
            self.save_schedule(AgentId(*self._site, each.agent), each.since, bytes(each.schedule))

    def set_records(self, lines: Iterable[RecordLine]) -> None:
        """What people declared."""
        self._records = [Record(e.row, e.kind, e.territory, e.site, e.at, bytes(e.body)) for e in lines]

    def set_editions(self, lines: Iterable[EditionLine]) -> None:
        """What was given out of the period before."""
        self._editions = list(lines)

    def set_gaps(self, lines: Iterable[GapLine]) -> None:
        """What is lost for good, newest first."""
        self._gaps_kept = [
            Gap(AgentId(*self._site, each.agent), each.stream, each.first, each.last, each.recorded_at)
            for each in lines
        ]

    def set_states(self, lines: Iterable[States]) -> None:
        """Other sites' minutes."""
        self._states = list(lines)

    def set_history(self, lines: Iterable[StoodLine]) -> None:
        """The inventories that were in force."""
        self._records += [inventories.record(each.at, each.inventory) for each in lines]

    # ---- asked

    def gaps(self, where: Filter, limit: int) -> list[Gap]:
        """See Store."""
        return [each for each in self._gaps_kept if where.site in (None, each.agent.site)][:limit]

    def records(self, kinds: Sequence[str], territory: str | None = None) -> list[Record]:
        """See Store."""
        return [each for each in self._records if each.kind in kinds and territory in (None, each.territory)]

    def editions(self, territory: str, site: str, begin: float, end: float) -> list[Edition]:
        """See Store: of the pack's period, the only one that is asked for."""
        return [
            Edition(territory, site, begin, end, each.number, each.made_at, bytes(each.report))
            for each in self._editions
        ]

    def first_minutes(self) -> Mapping[tuple[str, str, str], int]:
        """See Store."""
        return {(*self._site, uplink): minute for uplink, minute in self._context.first_minutes.items()}

    def bin_totals(self, begin: float, end: float) -> Mapping[tuple[str, str, str], Mapping[BinState, int]]:
        """See Store: of other sites as far as the pack has them."""
        others = {
            (each.territory, each.site, each.uplink): each.states
            for each in self._states
            if (each.begin, each.end) == (begin, end)
        }
        return {**super().bin_totals(begin, end), **others}


def _deliveries(lines: Sequence[Line]) -> Iterator[Delivery]:
    for (box, stream, received_us), group in groupby(lines, lambda each: (each.box, each.stream, each.received_us)):
        yield Delivery(box, stream, 0, received_us / 1e6, [_arrival(each) for each in group])


def _arrival(line: Line) -> Arrival:
    raw = bytes(line.measurement)
    try:
        return Arrival(line.sequence, raw, decode_measurement(raw))
    except WireError as e:
        raise PackError("contents", f"measurement {line.sequence} of {'/'.join(line.box)}: {e}") from e


def begins(period: Period) -> tuple[float, float]:
    """UTC seconds."""
    return period.begin.timestamp(), period.end.timestamp()
