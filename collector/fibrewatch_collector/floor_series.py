"""Wi-Fi of the floors as series, from the probe-minutes that were judged. Pure."""

from collections.abc import Iterator, Mapping

from fibrewatch_collector.families import SITE_LABELS, Family, labels_text
from fibrewatch_collector.inventory import Inventory
from fibrewatch_collector.sla.wifi import MINUTE_S, Floor, State
from fibrewatch_collector.store import FloorBox

RECENT_MINUTES = 60
_LABELS = (*SITE_LABELS, "floor")
FloorKey = tuple[str, str, str]
"""Territory, site, floor."""


class FloorFamilies:
    """Not thread-safe."""

    def __init__(self) -> None:
        self._minutes = Family(
            "fibrewatch_floor_wifi_bins",
            "gauge",
            "Probe-minutes of the last 24 hours, by what was found; only good ones are good Wi-Fi.",
            (*_LABELS, "state"),
        )
        self._ratio = Family(
            "fibrewatch_floor_wifi_good_ratio",
            "gauge",
            "Good out of all measured probe-minutes of the last hour; no value where none was measured.",
            _LABELS,
        )
        self._signal = Family(
            "fibrewatch_site_wifi_limit_signal_dbm", "gauge", "Signal that good Wi-Fi needs there.", SITE_LABELS
        )
        self._onboarding = Family(
            "fibrewatch_site_wifi_limit_onboarding_seconds", "gauge", "How long the way onto it may take.", SITE_LABELS
        )

    def set_inventory(self, inventory: Inventory) -> None:
        """Shows the limits of sites that have a box on a floor."""
        sites = [site for site in inventory.sites.values() if any(box.floor for box in site.agents)]
        labels = [labels_text(dict(zip(SITE_LABELS, site.key, strict=True))) for site in sites]
        self._signal.replace({text: site.wifi.signal for text, site in zip(labels, sites, strict=True)})
        self._onboarding.replace({text: site.wifi.onboarding_s for text, site in zip(labels, sites, strict=True)})

    def set_minutes(self, boxes: Mapping[FloorBox, bytes]) -> None:
        """Shows the floors of these boxes, each with a state for each minute of the last 24 hours."""
        day = floors(boxes)
        hour = floors({box: codes[-RECENT_MINUTES:] for box, codes in boxes.items()})
        self._minutes.replace(
            {
                labels_text(dict(zip((*_LABELS, "state"), (*key, state.name.lower()), strict=True))): count
                for key, found in day.items()
                for state, count in found.counts.items()
                if state
            }
        )
        self._ratio.replace(
            {
                labels_text(dict(zip(_LABELS, key, strict=True))): found.good / found.measured
                for key, found in hour.items()
                if found.measured
            }
        )

    def families(self) -> Iterator[Family]:
        """In the order of the page."""
        yield from (self._minutes, self._ratio, self._signal, self._onboarding)


def floors(boxes: Mapping[FloorBox, bytes]) -> dict[FloorKey, Floor]:
    """The minutes of each floor's boxes together."""
    counts: dict[FloorKey, dict[State, int]] = {}
    for box, codes in boxes.items():
        mine = counts.setdefault((box.territory, box.site, box.floor), {})
        for state in State:
            mine[state] = mine.get(state, 0) + codes.count(state)
    return {key: Floor(found) for key, found in counts.items()}


def last_day(now: float) -> tuple[float, float]:
    """24 hours up to the last whole minute."""
    end = now // MINUTE_S * MINUTE_S
    return end - 86400.0, end
