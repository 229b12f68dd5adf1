"""What was promised and how much of it is used up, of each uplink. The report, not this page, is what counts."""

from grafana.board import AT_SITES, OF_FLEET, SITES, TERRITORIES, Board, Row
from grafana.panels import SHARE, Column, Query, plot, rows

UID = "fibrewatch-sla"
BY = "territory, site, uplink"
ASKED = f'max by ({BY}) (fibrewatch_uplink_objective_asked_ratio{{{AT_SITES},kind="availability"}})'
MONTH = "[30d:1h]"
"""Of what is itself a sum over 24 hours an hourly look is enough."""
LEFT = ((None, "red"), (0.0, "yellow"), (0.5, "green"))


def day(match: str) -> str:
    """Minutes of the last 24 hours."""
    return f"sum by ({BY}) (fibrewatch_site_bins{{{AT_SITES},state{match}}})"


def month(match: str) -> str:
    """Minutes of the last 30 days: each stands in 24 of the hourly looks."""
    return f"sum by ({BY}) (sum_over_time(fibrewatch_site_bins{{{AT_SITES},state{match}}}{MONTH})) / 24"


A, U, JUDGED, ALL = '="A"', '="U"', '=~"A|U"', '=~"A|U|N"'


def budget(used: str, judged: str) -> str:
    """Share of the error budget that is left: below 0 the promise is broken, if every cause is the operator's."""
    return f"1 - ({used} / {judged}) / (1 - {ASKED})"


def board() -> Board:
    """See the module."""
    return Board(
        uid=UID,
        title="SLA and error budget",
        text="Availability against what was promised. But for burn rates, unavailable minutes count whatever their "
        "cause; the report decides by cause, leaves out declared maintenance, and counts.",
        variables=(TERRITORIES, SITES),
        annotations=OF_FLEET,
        since="now-24h",
        refresh="1m",
        rows=(
            Row(title="", panels=[_table()]),
            Row(title="Over time", panels=[_available(), _burn(), _unavailable(), _coverage()]),
            Row(title="Objectives", panels=[_objectives()]),
        ),
    )


def _table() -> object:
    columns = [
        Column("Promised", ASKED, "percentunit", decimals=3),
        Column("Available, 24 h", f"{day(A)} / {day(JUDGED)}", "percentunit", SHARE, decimals=3),
        Column(
            "Measured, 24 h", f"{day(JUDGED)} / {day(ALL)}", "percentunit", ((None, "red"), (0.9, "green")), decimals=1
        ),
        Column("Unavailable, 30 d", f"60 * {month(U)}", "s", decimals=0),
        Column("Available, 30 d", f"({month(A)}) / ({month(JUDGED)})", "percentunit", SHARE, decimals=3),
        Column("Budget left, 30 d", budget(f"({month(U)})", f"({month(JUDGED)})"), "percentunit", LEFT, decimals=0),
    ]
    names = {"territory": "territory", "site": "site", "uplink": "uplink"}
    url = (
        "/d/fibrewatch-site?var-territory=${__data.fields.territory}&var-site=${__data.fields.site}&${__url_time_range}"
    )
    text = (
        "Net availability is A/(A+U); less than 90 % measured is insufficient evidence. 30 days reach as far back as "
        "Prometheus does. Error budget: what the promise leaves to be lost."
    )
    return rows("Uplinks", text, columns, names=names, links={"site": url}, height=12, sort="Unavailable, 30 d")


def _available() -> object:
    query = Query(f"{day(A)} / {day(JUDGED)}", "{{site}} {{uplink}}")
    asked = Query(
        f'max by (sla) (fibrewatch_uplink_objective_asked_ratio{{{AT_SITES},kind="availability"}})', "promised {{sla}}"
    )
    text = "A/(A+U) of the 24 hours before each moment. Dashed: promised."
    return plot("Available in 24 h", text, "percentunit", query, asked, promise="promised.*", least=None, every="2m")


def _burn() -> object:
    share = f"max by ({BY}, window) (fibrewatch_uplink_unavailable_ratio{{{AT_SITES}}})"
    query = Query(f"{share} / on ({BY}) group_left () (1 - {ASKED})", "{{site}} {{uplink}} {{window}}")
    text = (
        "How many times faster than promised the operator's line uses up its error budget, by the window looked at: "
        "1 uses it up exactly. Cut by access or operator alone, declared work left out."
    )
    return plot("Burn rate", text, "none", query, steps=((None, "green"), (1, "yellow"), (6, "red")), every="2m")


def _unavailable() -> object:
    query = Query(f"60 * {day(U)}", "{{site}} {{uplink}}")
    return plot(
        "Unavailable in 24 h", "Minutes in which all targets beyond the gateway were lost.", "s", query, every="2m"
    )


def _coverage() -> object:
    query = Query(f"{day(JUDGED)} / {day(ALL)}", "{{site}} {{uplink}}")
    return plot("Measured in 24 h", "Share of minutes that could be judged.", "percentunit", query, every="2m")


def _objectives() -> object:
    by = f"{BY}, objective, kind, metric, role, direction"
    columns = [
        Column(
            "Asked", f"max by ({by}) (fibrewatch_uplink_objective_asked_ratio{{{AT_SITES}}})", "percentunit", decimals=2
        ),
        Column("Limit", f"max by ({by}) (fibrewatch_uplink_objective_limit_seconds{{{AT_SITES}}})", "s"),
        Column("Quantile", f"max by ({by}) (fibrewatch_uplink_objective_quantile{{{AT_SITES}}})"),
        Column("Rate", f"8 * max by ({by}) (fibrewatch_uplink_objective_rate_bytes_per_second{{{AT_SITES}}})", "bps"),
    ]
    return rows("All objectives", "As sites.toml and its presets say, for each uplink.", columns, height=12)
