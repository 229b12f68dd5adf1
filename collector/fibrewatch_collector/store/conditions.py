"""A filter as SQL: conditions with `?` for whatever comes from outside."""

from collections.abc import Mapping
from typing import Any

from fibrewatch_collector.store import Filter

AGENT: Mapping[str, str] = {"territory": "a.territory = ?", "site": "a.site = ?", "agent": "a.agent = ?"}
SERIES: Mapping[str, str] = {
    **AGENT,
    "probe": "s.probe = ?",
    "test": "s.test = ?",
    "target": "s.target = ?",
    "peer": "instr(s.peer || '/', ? || '/') = 1",
}


def conditions(where: Filter, columns: Mapping[str, str]) -> tuple[str, list[Any]]:
    """SQL and values of those fields of the filter that are set; `columns` says which count, and their condition."""
    wanted = [(condition, getattr(where, name)) for name, condition in columns.items()]
    found = [(condition, value) for condition, value in wanted if value is not None]
    return " AND ".join(["1", *(condition for condition, _ in found)]), [value for _, value in found]
