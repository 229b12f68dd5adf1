"""Which site, since when, whose fault: all sites on a map and in a table."""

from grafana.board import AT_SITES, OF_FLEET, SITES, TERRITORIES, Board, Row, link
from grafana.panels import (
    ALARM,
    GREY,
    MINUTE_STATES,
    RATIO_OF_LOSS,
    SHARE,
    STATES,
    Column,
    Query,
    codes,
    number,
    plot,
    rows,
    timeline,
    world,
)

UID = "fibrewatch-fleet"
STATE = codes("fibrewatch_site_state", AT_SITES, STATES, "territory, site")
INFO = "name, city, latitude, longitude, companies"
TO_SITE = link("fibrewatch-site", table=True, territory="territory", site="site")
CAUSES = (
    "access",
    "operator",
    "lan",
    "target",
    "unknown",
    "loss",
    "agent",
    "line_or_power",
    "collector",
    "unheard",
    "samples",
)
"""The collector's, in the order of fibrewatch_site_cause_code; a test holds them together."""
CAUSE_WORDS = {"none": (0, GREY)} | {cause: (code, GREY) for code, cause in enumerate(CAUSES, 1)}
MINUTES = "sum by (territory, site) (fibrewatch_site_bins{{" + AT_SITES + ',state{}"{}"}})'


def minutes(match: str, states: str) -> str:
    """Minutes of the last day, of all uplinks of a site."""
    return MINUTES.format(match, states)


def board() -> Board:
    """See the module."""
    return Board(
        uid=UID,
        title="Fleet",
        text="All sites: state, place, since when and whose fault. A click leads to the site.",
        variables=(TERRITORIES, SITES),
        annotations=OF_FLEET,
        rows=(
            Row(title="", panels=[_counts(), _down(), _cut(), _targets_down(), _work(), _silent()]),
            Row(title="", panels=[_map(), _table()]),
            Row(title="Over time", panels=[_states(), _lost()]),
            Row(title="Shared targets and uplinks", panels=[_targets(), _uplinks()]),
        ),
    )


def _counts() -> object:
    query = Query(f"sum by (state) (fibrewatch_site_state{{{AT_SITES}}})", "{{state}}")
    return number("Sites by state", "How many sites are in each state now.", "none", query, width=9)


def _down() -> object:
    query = Query(f"sum(fibrewatch_site_down{{{AT_SITES}}})")
    text = "Sites without a line, or silent, that nobody declared work for."
    return number("Down", text, "none", query, steps=ALARM, width=3)


def _cut() -> object:
    query = Query(f"sum(fibrewatch_uplink_down{{{AT_SITES}}})")
    return number(
        "Uplinks cut", "Uplinks that are cut while another one carries on.", "none", query, steps=ALARM, width=3
    )


def _targets_down() -> object:
    query = Query("sum(fibrewatch_target_down) or vector(0)")
    text = "Shared targets that are themselves to blame: no site is accused for them."
    return number("Targets down", text, "none", query, steps=ALARM, width=3)


def _work() -> object:
    query = Query(f"sum(fibrewatch_uplink_maintenance{{{AT_SITES}}})")
    return number("Under maintenance", "Uplinks on which declared work is going on.", "none", query, width=3)


def _silent() -> object:
    query = Query(f"sum(fibrewatch_agent_dark{{{AT_SITES}}})")
    text = "Silent boxes at sites that are not cut off."
    link_to = "/d/fibrewatch-health?${__url_time_range}"
    return number("Boxes dark", text, "none", query, steps=ALARM, width=3, link=link_to)


def _map() -> object:
    expr = f"{STATE} * on (territory, site) group_left ({INFO}) fibrewatch_site_info{{{AT_SITES}}}"
    text = "Each site where it stands, coloured by its state: " + ", ".join(STATES) + "."
    return world("Map", text, expr, TO_SITE, width=10, height=18)


def _table() -> object:
    least_since = f"time() - max by (territory, site) (fibrewatch_site_state_since_timestamp_seconds{{{AT_SITES}}})"
    age = f"time() - max by (territory, site) (fibrewatch_site_last_result_timestamp_seconds{{{AT_SITES}}})"
    named = f"max by (territory, site, name) (fibrewatch_site_info{{{AT_SITES}}})"
    columns = [
        Column("", named),
        Column("State", STATE, words=STATES),
        Column("Cause", f"fibrewatch_site_cause_code{{{AT_SITES}}}", words=CAUSE_WORDS),
        Column("For", least_since, "s", decimals=0),
        Column("Available, 24 h", f"{minutes('=', 'A')} / {minutes('=~', 'A|U')}", "percentunit", SHARE, decimals=3),
        Column("Measured, 24 h", f"{minutes('=~', 'A|U')} / {minutes('=~', 'A|U|N')}", "percentunit", decimals=1),
        Column("Worst loss", _by_site("max", "fibrewatch_ping_loss_ratio"), "percentunit", RATIO_OF_LOSS),
        Column("RTT p95, median of targets", _by_site("quantile", "fibrewatch_ping_rtt_p95_seconds"), "s"),
        Column("Newest result", age, "s", decimals=0),
    ]
    names = {"territory": "territory", "site": "site", "name": "name"}
    text = "One row a site; a click on it opens it. Figures are of the newest windows; minutes of the last 24 hours."
    return rows("Sites", text, columns, names=names, links={"site": TO_SITE}, sort="State", width=14, height=18)


def _by_site(how: str, metric: str) -> str:
    half = "0.5, " if how == "quantile" else ""
    return f"{how} by (territory, site) ({half}{metric}{{{AT_SITES}}})"


def _states() -> object:
    query = Query(f"sum by (state) (fibrewatch_site_state{{{AT_SITES}}})", "{{state}}")
    return plot("Sites by state", "How many sites were in each state.", "none", query, stack=True)


def _lost() -> object:
    query = Query(f"sum by (territory) (fibrewatch_agent_lost_targets{{{AT_SITES}}})", "{{territory}}")
    return plot("Targets lost", "Targets that boxes do not hear, all boxes added up.", "none", query)


def _targets() -> object:
    columns = [
        Column("Down", "max by (target) (fibrewatch_target_down)", steps=ALARM),
        Column("Sites that miss it", "max by (target) (fibrewatch_target_missed_sites)"),
    ]
    text = "Targets that at least three sites share. One that more sites miss than hear is down itself."
    return rows("Shared targets", text, columns, width=8, height=8, sort="Sites that miss it")


def _uplinks() -> object:
    state = codes("fibrewatch_uplink_state", AT_SITES, MINUTE_STATES, "territory, site, uplink")
    return timeline(
        "Uplinks",
        "A available, U cut, N not judged.",
        MINUTE_STATES,
        Query(state, "{{site}} {{uplink}}"),
        width=16,
        height=8,
        every="2m",
    )
