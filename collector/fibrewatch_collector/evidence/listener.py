"""What figures ask of other sites, overheard: that goes into the pack."""

from collections.abc import Mapping

from fibrewatch_collector.evidence.replay import Replay
from fibrewatch_collector.inventory import SiteKey
from fibrewatch_collector.sla.bins import minute_of
from fibrewatch_collector.store import BinState, Filter, Store, Stored


class Listener(Replay):
    """Answers for the site from the pack, for others from the store, and remembers what was asked of those.

    Attributes:
        measured: Others' measurements, by their row.
        minutes: Those of which it was asked how other lines were.
    """

    def __init__(self, replay: Replay, store: Store, site: SiteKey) -> None:
        self.__dict__ = dict(replay.__dict__)  # the same file and connections: nothing is opened twice
        self._live, self._here = store, site
        self.measured: dict[int, Stored] = {}
        self.minutes: set[int] = set()

    def measurements(self, where: Filter, after: int, limit: int) -> list[Stored]:
        """See Store."""
        if where.site is not None:
            return super().measurements(where, after, limit)
        found = self._live.measurements(where, after, limit)
        self.measured |= {each.row: each for each in found if each.agent[:2] != self._here}
        return found

    def bin_totals(self, begin: float, end: float) -> Mapping[tuple[str, str, str], Mapping[BinState, int]]:
        """See Store: of the site alone, since what others' lines were follows from the pack's views."""
        self.minutes.add(minute_of(begin))
        return super().bin_totals(begin, end)
