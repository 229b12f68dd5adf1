"""The traffic of a schedule as `check-config` prints it."""

from collections.abc import Iterable
from pathlib import Path

from fibrewatch_agent.conditions import link_speed, route_interface
from fibrewatch_agent.config import Plan
from fibrewatch_agent.traffic.amounts import HOPS
from fibrewatch_agent.traffic.forecast import MONTH_S, Row, rows, total

_SIGNS = {"exact": "", "about": "~", "at most": "≤"}
_NOTE = f"""\
Bytes as interfaces count them: Ethernet header, IP and all above; on a wire each frame has 24 more. Nothing lost; IPv4
where a name is all that is known. A month has 30 days, both directions together. ≤ is a bound; ~ depends on what
answers: {HOPS} hops, certificates of 3 kB, names without a cache."""


def table(plans: Iterable[Plan], sys: Path = Path("/sys"), proc: Path = Path("/proc")) -> str:
    """A line for each test and target, then the totals."""

    def rate_of(plan: Plan) -> float | None:
        device = plan.interface or route_interface(proc, None)
        return link_speed(sys, device) if device else None

    found = list(rows(plans, rate_of))
    lines = [_line("", "each", "up bit/s", "down bit/s", "GB/month")]
    lines += [_told(row) for row in found]
    lines += [_told(total(found, on_link=on_link)) for on_link in (True, False)]
    unknown = [row.key for row in found if row.amount is None]
    more = [f"Not in it, since nothing is known of their rate: {', '.join(unknown)}."] if unknown else []
    return "\n".join([*lines, "", _NOTE, *more])


def _told(row: Row) -> str:
    each = "" if row.every_s in (None, 1.0) else f"{row.every_s:g} s"
    if row.amount is None:
        return _line(row.key, each, "?", "?", "?")
    up, down = row.rates
    sign = _SIGNS[row.amount.basis]
    month = (up + down) / 8 * MONTH_S / 1e9
    told = _line(row.key, each, f"{sign}{up:,.0f}", f"{sign}{down:,.0f}", f"{sign}{month:.3f}")
    return f"{told}  (site)" if row.amount.on_link and not row.key.startswith("on ") else told


def _line(*cells: str) -> str:
    first, each, *figures = cells
    return f"{first:<34} {each:>8} " + " ".join(f"{figure:>15}" for figure in figures)
