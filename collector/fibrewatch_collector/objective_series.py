"""What was promised for each uplink as series, so that dashboards draw the promise beside the measurement. Pure."""

from collections.abc import Iterator, Mapping

from fibrewatch_collector.families import SITE_LABELS, Family, labels_text
from fibrewatch_collector.inventory import Inventory, Uplink
from fibrewatch_collector.sla.objectives import Objective

_LABELS = (*SITE_LABELS, "uplink", "sla", "objective", "kind", "metric", "role", "direction")
_FAMILIES: Mapping[str, str] = {
    "asked_ratio": "Share that an objective asks for: of time, tests or runs; of a loss objective the greatest loss.",
    "limit_seconds": "What the objective's quantile of delays may be at most.",
    "quantile": "The quantile that the limit is for.",
    "rate_bytes_per_second": "What a transfer must reach to count for the objective.",
}


class ObjectiveFamilies:
    """Not thread-safe."""

    def __init__(self) -> None:
        self._families = {
            name: Family(f"fibrewatch_uplink_objective_{name}", "gauge", text, _LABELS)
            for name, text in _FAMILIES.items()
        }

    def set_inventory(self, inventory: Inventory) -> None:
        """Shows the objectives of these uplinks and no others."""
        shown: dict[str, dict[str, float]] = {name: {} for name in self._families}
        for site in inventory.sites.values():
            for uplink in site.uplinks:
                promise = inventory.promise(site, uplink.id)
                for each in promise.objectives if promise else ():
                    labels = _labels((*site.key, uplink.id, promise.sla if promise else ""), each)
                    for name, value in _values(each, uplink):
                        shown[name][labels] = value
        for name, values in shown.items():
            self._families[name].replace(values)

    def families(self) -> Iterator[Family]:
        """In the order of the page."""
        yield from self._families.values()


def _labels(at: tuple[str, ...], each: Objective) -> str:
    told = (*at, each.id, each.kind, each.metric or "", each.role or "", each.direction or "")
    return labels_text(dict(zip(_LABELS, told, strict=True)))


def _values(each: Objective, uplink: Uplink) -> Iterator[tuple[str, float]]:
    contracted = getattr(uplink, each.direction) if each.direction else None
    rate = each.rate if each.of_contract is None else contracted and contracted * each.of_contract
    found = {
        "asked_ratio": each.asked,
        "limit_seconds": each.limit_s,
        "quantile": each.quantile if each.limit_s is not None else None,
        "rate_bytes_per_second": rate,
    }
    yield from ((name, value) for name, value in found.items() if value is not None)
