"""Wi-Fi of a site's floors in a period: probe-minutes, less those of work declared in time for the whole site."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from fibrewatch_collector.floor_series import floors
from fibrewatch_collector.inventory import Site
from fibrewatch_collector.report import availability
from fibrewatch_collector.report.model import FloorWifi, Maintenance
from fibrewatch_collector.sla.wifi import Floor
from fibrewatch_collector.store import Filter, FloorBox, Store


def of_site(
    store: Store, site: Site, span: tuple[datetime, datetime], declared: Iterable[Maintenance]
) -> tuple[FloorWifi, ...]:
    """Its floors in their order, as soon as one of them was measured; empty where none was.

    A box that never brought anything in the period is not waited for.
    """
    begin, end = (availability.minute_after(edge) for edge in span)
    if end <= begin:
        return ()
    excluded = availability.excluded([each for each in declared if each.uplink is None], "")
    held = store.floors(Filter(*site.key, begin=begin * 60.0, end=end * 60.0))
    boxes = {box: _without(codes, excluded, begin) for box, codes in held.items() if any(codes)}
    if not boxes:
        return ()
    found = floors(boxes)
    names = [each.id for each in site.floors]
    names += sorted({box.floor for box in boxes} - set(names))
    return tuple(_floor(name, found.get((*site.key, name)), boxes) for name in names)


def _floor(name: str, found: Floor | None, boxes: dict[FloorBox, bytes]) -> FloorWifi:
    expected = sum(len(codes) for box, codes in boxes.items() if box.floor == name)
    good, measured = (found.good, found.measured) if found is not None else (0, 0)
    return FloorWifi(floor=name, good=good, measured=measured, expected=expected)


def _without(codes: bytes, excluded: Sequence[availability.Minutes], begin: int) -> bytes:
    """The minutes that nothing was declared for."""
    for first, last in reversed(excluded):
        low, high = max(0, first - begin), max(0, last - begin)
        codes = codes[:low] + codes[high:]
    return codes
