"""Parts of an expected report, as a report has them: minutes, series, hours."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fibrewatch_collector.operator.scenario.truth_minutes import Verdict
from fibrewatch_collector.operator.scenario.truth_tests import Key, Pile, Series, percentiles

_COUNTED = ("valid", "censored", "invalid", "failed", "undated", "late", "sent", "lost", "invalid_by", "failed_by")


def availability(
    judged: Mapping[int, Verdict], minutes: Iterable[int], maintenance: int, floor: float
) -> dict[str, Any]:
    """Minutes as they count; `maintenance`: how many are left out."""
    available, by = 0, dict[str, dict[str, int]](U={}, N={})
    for minute in minutes:
        state, cause = judged.get(minute, Verdict("N", "silent"))
        if state == "A":
            available += 1
        else:
            state = "U" if state == "U" and cause in ("access", "operator") else "N"
            by[state][cause] = by[state].get(cause, 0) + 1
    unavailable, unknown = sum(by["U"].values()), sum(by["N"].values())
    total = available + unavailable + unknown
    coverage = (available + unavailable) / total if total else 0.0
    enough = available + unavailable > 0 and coverage >= floor
    return {
        "available": available,
        "unavailable": unavailable,
        "not_measured": unknown,
        "maintenance": maintenance,
        "total": total,
        "ratio": available / (available + unavailable) if enough else None,
        "coverage": coverage,
        "low": available / total if total else 0.0,
        "high": (available + unknown) / total if total else 1.0,
        "unavailable_by": by["U"],
        "not_measured_by": by["N"],
    }


def day_counts(judged: Mapping[int, Verdict], minutes: Sequence[int], out: set[int]) -> dict[str, int]:
    """Of a day, net."""
    left = [each for each in minutes if each not in out]
    found = availability(judged, left, len(minutes) - len(left), 0.0)
    return {name: found[name] for name in ("available", "unavailable", "not_measured", "maintenance")}


def series_shown(key: Key, series: Series | None, owed: int | None) -> dict[str, Any]:
    """A test's counts and quantiles; `owed`: how many were scheduled, None where nothing was."""
    uplink, probe, test, target = key
    found = series or Series("")
    figures = {name: getattr(found, name) for name in _COUNTED}
    missing = None if owed is None else max(0, owed - found.n)
    return {
        "uplink": uplink,
        "probe": probe,
        "test": test,
        "target": target,
        **figures,
        "missing": missing,
        "fields": {name: percentiles(pile) for name, pile in sorted(found.fields.items())},
    }


def hour(uplink: str, role: str, hour: int, pile: Pile) -> dict[str, Any]:
    """An hour of the local day."""
    return {"uplink": uplink, "role": role, "hour": hour, **percentiles(pile)}
