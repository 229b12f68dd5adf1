"""All lines of one moment judged together: the one place where causes come from. Pure.

A minute that is over (binner), the present (tracker) and a minute of an evidence pack differ in where their views come
from, and in nothing else: so page, report and pack can't disagree about the same views.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from fibrewatch_collector.inventory import Inventory
from fibrewatch_collector.sla import bins
from fibrewatch_collector.sla.bins import Flow, Outside, Vantage, Verdict

Views = Mapping[Vantage, Sequence[Flow]]
"""Of each line that its boxes measured over; without enough samples it has no flows."""


class Judged(NamedTuple):
    """What was found.

    Attributes:
        verdicts: Of each line that has views, and of those that were asked for.
        dead: Targets that are themselves to blame.
        outside: What others see of lines.
    """

    verdicts: Mapping[Vantage, Verdict]
    dead: frozenset[str]
    outside: Mapping[Vantage, Outside]


class Judge:
    """By an inventory: it says over which line a box is reached, and whose network a line hangs on."""

    def __init__(self, inventory: Inventory) -> None:
        self._home, self._operators = inventory.reached_over, inventory.operators()

    def together(
        self, views: Views, unseen: Iterable[Vantage], *, fresh: Views | None = None, at: float | None = None
    ) -> Judged:
        """The verdicts.

        Args:
            views: All that is known.
            unseen: Lines that were measured at some time; those without views are judged by what others see of them.
            fresh: The views that tell of other boxes; None: all do.
            at: When that was, UTC seconds; None: now.
        """
        dead = bins.dead_targets(views)
        outside = bins.outside_views(views if fresh is None else fresh, partial(self._home, at=at))
        found = {line: bins.unseen(outside.get(line, bins.ALONE)) for line in unseen if line not in views}
        found |= {line: bins.judge(flows, dead, outside.get(line, bins.ALONE)) for line, flows in views.items()}
        return Judged(bins.shared_faults(found, self._operators), dead, outside)
