"""What a schedule sends and receives, computed before it runs. Pure.

A probe's module says by `traffic(params, way)` what one run of it moves, a window being one run; of a probe that has no
such function nothing is known.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, NamedTuple

from fibrewatch_agent.config import Plan
from fibrewatch_agent.line import landmarks
from fibrewatch_agent.probes import probe_function
from fibrewatch_agent.traffic.amounts import BASES, HOPS, Amount, Basis, Way, resolution

MONTH_S = 30 * 86400
RESULT_BYTES = 1200
"""Of one measurement on its way to the broker, with its share of the batch and of what MQTT and TCP add."""


class Row(NamedTuple):
    """One test against one target; bits a second each way, on the average. None where nothing is known."""

    key: str
    every_s: float | None
    amount: Amount | None

    @property
    def rates(self) -> tuple[float, float]:
        """Bits a second, up and down."""
        if self.amount is None or not self.every_s:
            return 0.0, 0.0
        return self.amount.up * 8 / self.every_s, self.amount.down * 8 / self.every_s


def rows(plans: Iterable[Plan], rate_of: Callable[[Plan], float | None] = lambda plan: None) -> Iterator[Row]:
    """Each plan's traffic, and what its results take to the broker.

    Args:
        rate_of: The most that can pass over a plan's interface, bytes a second.
    """
    results_s = 0.0
    for plan in plans:
        results_s += RESULT_BYTES / plan.every_s
        yield Row(plan.key, plan.every_s, amount_of(plan, rate_of(plan)))
    yield Row("results to the broker", 1.0, Amount(results_s, results_s / 10, "about"))


def amount_of(plan: Plan, rate: float | None = None, hops: int = HOPS) -> Amount | None:
    """What one run of a plan moves; None where its probe does not say."""
    module = sys.modules[probe_function(plan.probe.name).__module__]
    said: Callable[[Any, Way], Amount | None] | None = getattr(module, "traffic", None)
    version: Literal[4, 6] = 6 if plan.family == 6 or ":" in (plan.address or "") else 4
    way = Way(version, plan.every_s, hops, rate, _name(plan))
    amount = said(plan.params, way) if said is not None else None
    if amount is None:
        return None
    if plan.target is not None and plan.target.role == "gateway":
        amount = amount._replace(on_link=True)
    if way.name is None or not getattr(module, "RESOLVES", True):
        return amount
    return amount.plus(resolution(way, way.name, plan.family))


def total(found: Iterable[Row], *, on_link: bool) -> Row:
    """All rows of the line, or all that stay on the site's network."""
    up = down = 0.0
    basis: Basis = "exact"
    for row in found:
        if row.amount is not None and row.amount.on_link == on_link:
            up, down = up + row.rates[0] / 8, down + row.rates[1] / 8
            basis = max(basis, row.amount.basis, key=BASES.index)
    return Row("on the site's network" if on_link else "on the line", 1.0, Amount(up, down, basis, on_link))


def _name(plan: Plan) -> str | None:
    """What a resolver is asked for; landmarks are not."""
    address = plan.address or ""
    numeric = ":" in address or address.replace(".", "").isdecimal()
    return None if numeric or not address or address in landmarks.NAMES else address
