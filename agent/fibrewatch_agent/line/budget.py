"""A line's monthly byte budget: what was moved, and how the heavy tests pace themselves so that it lasts. Pure."""

import calendar
import math
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

SHORTEST = 0.5
"""Tests are made shorter, down to this share of what they usually move, before they are made rarer."""
_COSTS = 5
_ROUNDING = 1e-9


class Account(Struct, frozen=True, kw_only=True):
    """One uplink's month.

    Attributes:
        month: "2026-11" by the site's clock.
        used: Bytes of frames, both directions, whatever of the box caused them.
        boot: Of the reading `counter`; a counter starts anew with a boot, or when it is less than before.
        costs: What each heavy test moved in its newest runs; a run that was shortened is scaled up.
        credits: Runs that each heavy test has saved up: 1 or more and it may run.
    """

    month: str
    used: int = 0
    boot: str = ""
    counter: int | None = None
    costs: dict[str, tuple[float, ...]] = {}
    credits: dict[str, float] = {}


class Planned(NamedTuple):
    """A test on the uplink, as the schedule has it; `cost` is what a run moves, up and down, bytes."""

    key: str
    every_s: float
    cost: float
    heavy: bool


class Pace(NamedTuple):
    """How the heavy tests have to go on.

    Attributes:
        size: Share of its usual bytes that a test may move.
        stretch: By what its period is multiplied; infinite when nothing is left.
        left: Bytes.
    """

    size: float
    stretch: float
    left: float

    @property
    def adapted(self) -> bool:
        """Whether it is not the configured schedule."""
        return self.size < 1 or self.stretch > 1


def month_of(utc: float, zone: tzinfo | None) -> tuple[str, float]:
    """The month's name and how many seconds of it are left, by the site's clock."""
    local = datetime.fromtimestamp(utc, zone) if zone else datetime.fromtimestamp(utc, UTC).astimezone()
    days = calendar.monthrange(local.year, local.month)[1]
    passed = ((local.day - 1) * 24 + local.hour) * 3600 + local.minute * 60 + local.second
    return f"{local:%Y-%m}", max(0.0, days * 86400.0 - passed)


def observed(account: Account | None, month: str, boot: str, counter: int) -> Account:
    """With what the interface's counter says now; what was moved unseen meanwhile counts, too.

    Nothing is known of the time before the first reading, so that one counts for nothing.
    """
    if account is None:
        return Account(month=month, boot=boot, counter=counter)
    anew = account.boot != boot or account.counter is None or counter < account.counter
    moved = counter if anew else counter - (account.counter or 0)
    before = account.used if account.month == month else 0
    return replace(account, month=month, used=before + moved, boot=boot, counter=counter)


def charged(account: Account, key: str, moved: float, size: float) -> Account:
    """With what a run of a heavy test has moved; `size` is what it was shortened to."""
    costs = (*account.costs.get(key, ()), moved / size)[-_COSTS:]
    return replace(account, costs=account.costs | {key: costs})


def cost_of(account: Account, planned: Planned) -> float:
    """What a run is expected to move: the most of its newest runs, else what the schedule says."""
    return max(account.costs.get(planned.key, ()), default=planned.cost) if planned.heavy else planned.cost


def pace(account: Account, budget: float, left_s: float, tests: Sequence[Planned]) -> Pace:
    """So that the light tests and what becomes of the heavy ones fit into what is left of the month."""
    left = budget - account.used
    heavy, light = (
        sum(cost_of(account, test) * left_s / test.every_s for test in tests if test.heavy is kind)
        for kind in (True, False)
    )
    usable = left - light
    if heavy <= max(usable, 0.0):
        return Pace(1.0, 1.0, left)
    if usable <= 0:
        return Pace(SHORTEST, math.inf, left)
    factor = heavy / usable
    size = max(SHORTEST, 1 / factor)
    return Pace(size, max(1.0, factor * size), left)


def slot(account: Account, test: Planned, now: Pace) -> tuple[Account, bool]:
    """A heavy test's slot has come: whether it may run; runs come as far apart as the pace says, on the average."""
    saved = account.credits.get(test.key, 1.0) if now.stretch > 1 else 1.0
    may = saved >= 1 - _ROUNDING and cost_of(account, test) * now.size <= now.left
    after = min(saved - may + 1 / now.stretch, 2.0)
    return replace(account, credits=account.credits | {test.key: after}), may


def per_month(tests: Sequence[Planned], seconds: float = 30 * 86400.0) -> float:
    """What the schedule as configured moves in a month."""
    return sum(test.cost * seconds / test.every_s for test in tests)
