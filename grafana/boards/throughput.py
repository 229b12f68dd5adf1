"""What was contracted, what transfers reached: downloads and uploads of a territory's sites."""

from grafana.board import AT_SITES, OF_FLEET, SITES, TERRITORIES, Board, Row, link
from grafana.panels import PLAIN, Column, Query, plot, rows

UID = "fibrewatch-throughput"
TO_SITE = link("fibrewatch-site", table=True, territory="territory", site="site")
OF_CONTRACT = ((None, "red"), (0.8, "yellow"), (0.9, "green"))
DIRECTIONS = (("download", "down.*"), ("upload", "up.*"))
"""Contract, and how the tests of that direction are called."""


def reached(test: str, by: str = "territory, site") -> str:
    """The best box's newest transfer, TCP payload a second; where the box was the limit it is a bound."""
    return f'max by ({by}) (fibrewatch_throughput_goodput_bytes_per_second{{{AT_SITES},test=~"{test}"}})'


def contracted(direction: str) -> str:
    """The fastest uplink's rate."""
    return f"max by (territory, site) (fibrewatch_uplink_contract_{direction}_bytes_per_second{{{AT_SITES}}})"


def board() -> Board:
    """See the module."""
    return Board(
        uid=UID,
        title="Throughput against contract",
        text="Transfers beside the contract. Tests whose names begin with down or up are taken for that direction.",
        variables=(TERRITORIES, SITES),
        annotations=OF_FLEET,
        since="now-24h",
        refresh="1m",
        rows=(
            Row(title="", panels=[_table()]),
            *(
                Row(title=name.capitalize(), panels=[_share(name, test), _rates(name, test)])
                for name, test in DIRECTIONS
            ),
            Row(title="Other methods, and the queue", panels=[_http(), _capacity(), _loaded(), _verdicts()]),
        ),
    )


def _table() -> object:
    columns = []
    for name, test in DIRECTIONS:
        columns += [
            Column(f"{name.capitalize()} contracted", f"8 * {contracted(name)}", "bps"),
            Column(f"{name.capitalize()} reached", f"8 * {reached(test)}", "bps"),
            Column(
                f"{name.capitalize()} of contract",
                f"{reached(test)} / {contracted(name)}",
                "percentunit",
                OF_CONTRACT,
                decimals=1,
            ),
        ]
    columns.append(
        Column("A bound", f'max by (territory, site) (fibrewatch_probe_censored{{{AT_SITES},test=~"down.*|up.*"}})')
    )
    text = (
        "The newest transfer of each site's best box. TCP's payload is 95.6 % of the line's rate at most. "
        "A bound: the box was the limit, the line can do at least that."
    )
    names = {"territory": "territory", "site": "site"}
    return rows("Sites", text, columns, names=names, links={"site": TO_SITE}, height=12)


def _share(name: str, test: str) -> object:
    query = Query(f"{reached(test)} / {contracted(name)}", "{{territory}} {{site}}")
    text = "Newest transfer over the contracted rate of the site's fastest uplink."
    return plot(f"{name.capitalize()}, share of contract", text, "percentunit", query, steps=OF_CONTRACT, every="2m")


def _rates(name: str, test: str) -> object:
    query = Query(f"8 * {reached(test)}", "{{territory}} {{site}}")
    return plot(
        f"{name.capitalize()}, goodput", "TCP payload a second as the receiver counted it.", "bps", query, every="2m"
    )


def _http() -> object:
    query = Query(
        f"8 * max by (site, test) (fibrewatch_http_throughput_goodput_bytes_per_second{{{AT_SITES}}})",
        "{{site}} {{test}}",
    )
    return plot("From web servers", "Goodput to or from a web server.", "bps", query)


def _capacity() -> object:
    query = Query(
        f"8 * max by (site, test) (fibrewatch_capacity_capacity_bytes_per_second{{{AT_SITES}}})", "{{site}} {{test}}"
    )
    return plot("IP-layer capacity", "Maximum IP-layer capacity by UDP (RFC 9097).", "bps", query)


def _loaded() -> object:
    query = Query(
        f"max by (site, test) (fibrewatch_throughput_rtt_inflation_seconds{{{AT_SITES}}})", "{{site}} {{test}}"
    )
    return plot(
        "Delay under load", "Median round trip under load less the one before: the queue.", "s", query, least=None
    )


def _verdicts() -> object:
    names = ("runs", "failures", "skips", "invalid")
    queries = [
        Query(f'sum(increase(fibrewatch_probe_{name}_total{{{AT_SITES},test=~"down.*|up.*"}}[$__rate_interval]))', name)
        for name in names
    ]
    return plot(
        "Transfers", "How many ran, failed, did not take place, or prove nothing.", "short", *queries, steps=PLAIN
    )
