"""How promises stand right now, as series: what alerts on them are made of. Pure."""

from collections.abc import Iterator, Mapping

from fibrewatch_collector.families import SITE_LABELS, Family, labels_text
from fibrewatch_collector.inventory import Inventory
from fibrewatch_collector.sla import burn
from fibrewatch_collector.sla.bins import Vantage
from fibrewatch_collector.sla.recent import Key, Lately

PREFIX = "fibrewatch_uplink_objective"


_UPLINK = (*SITE_LABELS, "uplink")
_OBJECTIVE = (*_UPLINK, "objective")


class PromiseFamilies:
    """Not thread-safe."""

    def __init__(self) -> None:
        self._budget = Family(
            f"{PREFIX}_budget_ratio",
            "gauge",
            "Share of faults that an objective allows, once for each `burn` that is an alert.",
            (*_OBJECTIVE, "kind", "burn"),
        )
        self._share = Family(
            "fibrewatch_uplink_unavailable_ratio",
            "gauge",
            "Minutes of the last `window` in which the operator's line was cut; declared work is left out.",
            (*_UPLINK, "window"),
        )
        self._events = Family(
            f"{PREFIX}_events_total", "counter", "Packets that an objective of loss counts.", _OBJECTIVE
        )
        self._bad = Family(f"{PREFIX}_bad_events_total", "counter", "Those of them that were lost.", _OBJECTIVE)
        self._risk = Family(
            f"{PREFIX}_at_risk",
            "gauge",
            "1 when 3 of the last 5 valid tests missed an objective; `peer` is the far site of a pair.",
            (*_OBJECTIVE, "kind", "peer"),
        )
        self._tests = Family(
            f"{PREFIX}_recent_tests",
            "gauge",
            "Of the last 5 valid tests, how many met or missed an objective.",
            (*_OBJECTIVE, "outcome"),
        )

    def set_inventory(self, inventory: Inventory) -> None:
        """Shows what is promised in it and nothing else."""
        self._budget.replace(
            {
                _labels((*at, each.id), kind=each.kind, burn=one.id): burn.budget(each) or 0.0
                for at, promise in inventory.promises.items()
                for each in promise.objectives
                for one in burn.chosen(each, inventory.burns)
            }
        )

    def set_shares(self, shares: Mapping[float, Mapping[Vantage, float]]) -> None:
        """Shares of cut minutes, by the length of the window."""
        self._share.replace(
            {
                _labels(at, window=burn.text(length)): share
                for length, found in shares.items()
                for at, share in found.items()
            }
        )

    def set_events(self, events: Mapping[Key, int], bad: Mapping[Key, int]) -> None:
        """Packets, and lost ones."""
        self._events.replace({_labels(key): count for key, count in events.items()})
        self._bad.replace({_labels(key): bad.get(key, 0) for key in events})

    def set_tests(self, tests: Mapping[Key, Lately]) -> None:
        """Of objectives that rare tests show."""
        self._risk.replace({_labels(key, kind=each.kind, peer=each.peer): each.at_risk for key, each in tests.items()})
        self._tests.replace(
            {
                _labels(key, outcome=outcome): getattr(each, outcome)
                for key, each in tests.items()
                for outcome in ("met", "missed")
            }
        )

    def families(self) -> Iterator[Family]:
        """In the order of the page."""
        yield from (self._budget, self._share, self._events, self._bad, self._risk, self._tests)


def _labels(at: tuple[str, ...], **more: str) -> str:
    """Of an uplink, or of one of its objectives."""
    return labels_text(dict(zip(("territory", "site", "uplink", "objective"), at, strict=False)) | more)
