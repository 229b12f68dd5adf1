"""Query parameters of the API; what is wrong is said in one line that names parameter and value."""

import re
from collections.abc import Mapping
from datetime import datetime

from fibrewatch.config import nearest
from fibrewatch.wire import ID_PATTERN
from fibrewatch_collector.store import Filter

DEFAULT_LIMIT, MAX_LIMIT = 100, 1000
_IDS = ("territory", "site", "agent")
_LABELS = ("probe", "test", "target")
_TIMES = ("begin", "end")
PARAMETERS = (*_IDS, *_LABELS, "peer", *_TIMES, "after", "limit")
_LABEL = re.compile(r"[A-Za-z0-9_.:-]{1,63}")
_ID = re.compile(ID_PATTERN)
_PEER = re.compile(rf"{ID_PATTERN}/{ID_PATTERN}(/{ID_PATTERN})?")


class QueryError(ValueError):
    """A parameter that can't be used; the text is for whoever asked."""


def instant(text: str, what: str) -> float:
    """An ISO 8601 moment with its zone, in UTC seconds.

    Raises:
        QueryError: It is none, or names no zone: then it would mean another moment to each reader.
    """
    repaired = re.sub(r" (\d\d:?\d\d)$", r"+\1", text)  # an unquoted + arrives as a space
    try:
        at = datetime.fromisoformat(repaired)
    except ValueError as e:
        raise QueryError(f'{what}: "{text[:60]}" is no moment such as 2026-10-01T00:00:00Z') from e
    if at.tzinfo is None:
        raise QueryError(f'{what}: "{text[:60]}" has no time zone: end it with Z, or +02:00')
    return at.timestamp()


def page(query: Mapping[str, str]) -> tuple[Filter, int, int]:
    """Filter, `after` and `limit` of a request for measurements.

    Raises:
        QueryError: A parameter is unknown or wrong.
    """
    for name in query:
        if name not in PARAMETERS:
            raise QueryError(f"{name[:60]}: no such parameter{nearest(name, PARAMETERS)}")
    words = {name: _word(name, query[name]) for name in (*_IDS, *_LABELS, "peer") if name in query}
    times = {name: instant(query[name], name) for name in _TIMES if name in query}
    after = _number("after", query.get("after", "0"), 0, 2**63 - 1)
    limit = _number("limit", query.get("limit", str(DEFAULT_LIMIT)), 1, MAX_LIMIT)
    return Filter(**words, **times), after, limit  # type: ignore[arg-type]  # mypy joins the two to str | float


def _word(name: str, value: str) -> str:
    pattern = _ID if name in _IDS else _PEER if name == "peer" else _LABEL
    if not pattern.fullmatch(value):
        raise QueryError(f'{name}: "{value[:60]}" can be no {name}')
    return value


def _number(name: str, value: str, least: int, most: int) -> int:
    if not re.fullmatch(r"\d{1,19}", value) or not least <= int(value) <= most:
        raise QueryError(f'{name}: "{value[:60]}" is not a whole number from {least} to {most}')
    return int(value)
