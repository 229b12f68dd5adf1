"""PromQL as rules of both engines need it: every site that is inventoried gives a value, and the threshold decides.

A filter (`… > 1`) makes healthy look like no data, and a series that vanishes would resolve its alert. So what the
collector does not say at present is held for `HOLD`; what it said last before it went blind (it is away, has no broker,
or its store is down) is held until it sees again, by recorded series; and what it never said is 0. Pure.
"""

from collections.abc import Mapping
from typing import NamedTuple

JOB = "fibrewatch"
"""What Prometheus calls its scrape of collectors."""
HOLD = "10m"
"""What one collector does not say of one site is held so long."""
_BLIND, _WAS_BLIND = "fibrewatch:collector_blind:1m", f"fibrewatch:collector_blind:{HOLD}"
"""There while a collector did not see for a minute; and while it did not at some moment of the last ten."""


class Sustained(NamedTuple):
    """A metric whose alert waits for `window`: what had not lasted so long when the collector went blind is forgotten.

    Attributes:
        how: Over the window: what tells that the fault was there all the time.
    """

    how: str
    window: str


SUSTAINED: Mapping[str, Sustained] = {
    "fibrewatch_site_degraded": Sustained("min_over_time", "5m"),
    "fibrewatch_agent_dark": Sustained("min_over_time", "5m"),
    "fibrewatch_agent_spool_full": Sustained("min_over_time", "5m"),
    "fibrewatch_agent_clock_synchronised": Sustained("max_over_time", "15m"),
    "fibrewatch_floor_wifi_good_ratio": Sustained("max_over_time", "15m"),
}
SITE = ("territory", "site")
UPLINK = (*SITE, "uplink")
BOX = (*SITE, "agent")
OBJECTIVE = (*UPLINK, "objective")


def held(metric: str, labels: tuple[str, ...], matchers: str = "") -> str:
    """The newest value of each, from whichever collector; of one that is blind, what it said last."""
    by = f"max by ({', '.join(labels)})"
    latest = f"last_over_time({metric}{matchers}[{HOLD}])"
    if metric in SUSTAINED:
        latest += f" unless on (job, instance) {_BLIND}"
    return f"{by} ({latest}) or {by} ({last(metric)}{matchers})"


def last(metric: str) -> str:
    """The recorded series that keeps a metric while its collector is blind."""
    return f"fibrewatch:{metric.removeprefix('fibrewatch_')}:last"


def blind() -> dict[str, str]:
    """Which collectors do not see, as recorded series: name → expression."""
    told = [f'up{{job="{JOB}"}}', *(f'fibrewatch_collector_{name}_up{{job="{JOB}"}}' for name in ("broker", "store"))]
    lengths = ((_BLIND, "max_over_time", "1m"), (_WAS_BLIND, "min_over_time", HOLD))
    return {name: " or ".join(f"{how}({each}[{window}]) < 1" for each in told) for name, how, window in lengths}


def kept(metric: str) -> str:
    """What `last(metric)` records: itself, once its collector does not see any more."""
    said = f"last_over_time({metric}[{HOLD}])"
    if metric in SUSTAINED:
        how, window = SUSTAINED[metric]
        said = f"({how}({metric}[{window}]) unless on (job, instance) {_BLIND})"
    return f"{said} or ({last(metric)} and on (job, instance) {_WAS_BLIND})"


def kept_everywhere(record: str) -> str:
    """A recorded series that has no collector's labels: itself, while any is blind."""
    return f"({record} and on () {_WAS_BLIND})"


SITES = held("fibrewatch_site_info", (*SITE, "name", "city", "companies"))
UPLINKS = held("fibrewatch_uplink_info", (*UPLINK, "name", "kind", "operator", "companies"))
BOXES = held("fibrewatch_agent_up", BOX)


def of_every(inventory: str, keys: tuple[str, ...], value: str, otherwise: str = "0") -> str:
    """A value for each of an inventory, with the inventory's labels; `value` has `keys` as its labels."""
    rest = f"{by(keys, inventory)} * 0 + {otherwise}"
    return f"({inventory}) * 0 + on ({', '.join(keys)}) group_left () (({value}) or on ({', '.join(keys)}) ({rest}))"


def by(keys: tuple[str, ...], value: str) -> str:
    """One of each."""
    return f"max by ({', '.join(keys)}) ({value})"


def of_every_site(metric: str, otherwise: str = "0") -> str:
    """A metric of sites."""
    return of_every(SITES, SITE, held(metric, SITE), otherwise)


def of_every_uplink(metric: str, otherwise: str = "0") -> str:
    """A metric of uplinks."""
    return of_every(UPLINKS, UPLINK, held(metric, UPLINK), otherwise)


def of_every_box(value: str, otherwise: str = "0") -> str:
    """A value by territory, site and agent."""
    return of_every(BOXES, BOX, value, otherwise)
