"""An inventory without what is nobody's business in a pack: other sites' contracts and the names of their tenants."""

from collections.abc import Mapping, Sequence
from typing import Any

from fibrewatch_collector.inventory import Site

_OTHERS_LINE = ("sla", "objective", "drop", "download", "upload")


def reduced(written: Mapping[str, Any], site: Site) -> dict[str, Any]:
    """Its tables, as far as they matter to a site."""
    sites = [each if _is(each, site) else _outline(each) for each in written.get("site", ())]
    mine: Sequence[Mapping[str, Any]] = [each for each in sites if _is(each, site)]
    classes = {line.get("sla") for each in mine for line in each.get("uplink", ())}
    found = {**written, "site": sites}
    if "sla" in written:
        found["sla"] = [each for each in written["sla"] if each.get("id") in classes]
    return found


def _is(written: Mapping[str, Any], site: Site) -> bool:
    return (written.get("territory"), written.get("id")) == site.key


def _outline(written: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(written)
    found["uplink"] = [
        {name: value for name, value in line.items() if name not in _OTHERS_LINE} for line in written.get("uplink", ())
    ]
    if "floor" in written:
        found["floor"] = [{"id": each.get("id")} for each in written["floor"]]
    return found
