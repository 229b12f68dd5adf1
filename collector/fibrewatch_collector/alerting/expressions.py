"""PromQL as rules of both engines need it: every site that is inventoried gives a value, and the threshold decides.

A filter (`… > 1`) makes healthy look like no data, and a series that vanishes would resolve its alert. So what the
collector does not say at present is held for `HOLD`, and what it never said is 0. Pure.
"""

HOLD = "10m"
"""While the collector is away or can't judge, what it said last holds; it has an alert of its own by then."""
SITE = ("territory", "site")
UPLINK = (*SITE, "uplink")
BOX = (*SITE, "agent")
OBJECTIVE = (*UPLINK, "objective")


def held(metric: str, labels: tuple[str, ...], matchers: str = "") -> str:
    """The newest value of each, from whichever collector."""
    return f"max by ({', '.join(labels)}) (last_over_time({metric}{matchers}[{HOLD}]))"


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
