"""Burn rates: how many times faster than allowed a promise's share of faults is used up, and which of them can be an
alert. After the Site Reliability Workbook (Google, 2018), chapter 5: a long window for proof, a short one to end soon.
Pure.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from fibrewatch.config import Duration
from fibrewatch_collector.sla.objectives import Id, Objective, Promise

Severity = Literal["page", "ticket"]
LONGEST_S = 7 * 86400
Window = Annotated[Duration, Meta(ge=60, le=LONGEST_S)]
SAMPLES_PER_S: Mapping[str, float] = {"availability": 1 / 60, "loss": 1.0}
"""How dense each kind is, which no rarer test can be: one bin a minute; packets of one target, one a second."""
LEAST_BAD = 2
"""A fault of one sample is chance, or a box that was restarted."""


class Burn(Struct, frozen=True, kw_only=True):
    """[[burn]]: an alert when the share of faults is `factor` times what was promised, in both windows."""

    id: Id
    factor: Annotated[float, Meta(gt=0, le=1000)]
    long_s: Window = field(name="long")
    short_s: Window = field(name="short")
    severity: Severity = "ticket"

    def __post_init__(self) -> None:
        if self.short_s >= self.long_s:
            raise ValueError("short is not below long")
        if self.long_s % 60 or self.short_s % 60:
            raise ValueError("long and short are whole minutes")


DEFAULTS = (
    Burn(id="fast", factor=14.4, long_s=7200, short_s=600, severity="page"),
    Burn(id="slow", factor=6, long_s=21600, short_s=1800, severity="page"),
    Burn(id="drift", factor=1, long_s=3 * 86400, short_s=21600, severity="ticket"),
)
"""Two hours, where the book has one: one minute in an hour is 16.7 times what 99.9 % allows, and would fire alone."""


def budget(objective: Objective) -> float | None:
    """The share of faults that a promise allows; None where it has no burn rate."""
    if objective.kind == "availability":
        return 1 - (objective.asked or 0.0)
    return objective.asked or 0.0 if objective.kind == "loss" else None


def chosen(objective: Objective, burns: Iterable[Burn]) -> list[Burn]:
    """The alerts of an objective: those that it names, or all."""
    if budget(objective) is None:
        return []
    return [each for each in burns if objective.burn is None or each.id in objective.burn]


def infeasible(objective: Objective, burn: Burn) -> str | None:
    """Why such an alert would be none; None when it is well."""
    allowed = budget(objective) or 0.0
    share = burn.factor * allowed
    where = f'objective "{objective.id}", burn "{burn.id}" ({burn.factor:g} times in {text(burn.long_s)})'
    if share >= 1 - 1e-9:  # 10 × (1 − 0.9) is a little less than 1
        asked = 1 - 1 / burn.factor
        remedy = f"above {math.ceil(asked * 1e4) / 100:g} %" if objective.kind == "availability" else "a lower one"
        return (
            f"{where}: it can never fire: the promise allows {allowed:.4g} of faults, and {burn.factor:g} times that "
            f"is {share:.4g}, all or more; ask for {remedy}, or leave it out: burn = [...]"
        )
    samples = burn.long_s * SAMPLES_PER_S[objective.kind]
    needed = math.floor(share * samples + 1e-9) + 1
    if needed < LEAST_BAD:
        return (
            f"{where}: it fires on a single sample: one of {samples:g} is {1 / samples:.3g}, more than the "
            f"{share:.3g} that it takes; {_longer(objective, burn)}leave it out: burn = [...]"
        )
    return None


def _longer(objective: Objective, burn: Burn) -> str:
    """The shortest whole minutes in which one bad sample is not enough, as advice; "" where no window is so long."""
    share = burn.factor * (budget(objective) or 0.0)
    if share * LONGEST_S * SAMPLES_PER_S[objective.kind] < LEAST_BAD - 1:
        return ""
    least = math.ceil((LEAST_BAD - 1) / (share * SAMPLES_PER_S[objective.kind]) / 60) * 60
    return f"lengthen the window to {text(least)}, or "


def faults(promises: Mapping[tuple[str, str, str], Promise], burns: Iterable[Burn]) -> Iterator[str]:
    """All that is wrong with the alerts of an inventory, said once for each site and uplink."""
    burns = list(burns)
    for (territory, site, uplink), promise in promises.items():
        for objective in promise.objectives:
            for burn in chosen(objective, burns):
                if (fault := infeasible(objective, burn)) is not None:
                    yield f'site "{territory}/{site}", uplink "{uplink}", {fault}'


def windows(burns: Iterable[Burn]) -> list[float]:
    """The lengths that are needed, shortest first."""
    return sorted({length for burn in burns for length in (burn.short_s, burn.long_s)})


def text(seconds: float) -> str:
    """As Prometheus writes a duration."""
    for length, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:.0f}{unit}"
    return f"{seconds:.0f}s"
