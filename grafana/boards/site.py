"""One site: its state and uplinks, delay and loss to each target, transfers, services, boxes."""

from grafana.board import AT_SITE, OF_SITE, SITE, TERRITORY, Board, Row, link
from grafana.boards.fleet import CAUSE_WORDS
from grafana.panels import (
    ALARM,
    MINUTE_STATES,
    PRESENT,
    RATIO_OF_LOSS,
    SHARE,
    STATES,
    Column,
    Query,
    codes,
    heat,
    number,
    plot,
    rows,
    timeline,
)

UID = "fibrewatch-site"
PROMISE = "promised.*"
TO_BOX = link("fibrewatch-probes", table=True, territory="territory", site="site", agent="agent")


def promised(name: str, metric: str = "") -> Query:
    """What the uplinks' objectives say, as lines of their own."""
    matched = f',metric="{metric}"' if metric else ""
    expr = f"max by (uplink, objective) (fibrewatch_uplink_objective_{name}{{{AT_SITE}{matched}}})"
    return Query(expr, "promised {{objective}} on {{uplink}}")


def per_target(metric: str) -> Query:
    """The site's worst box for each target and interface."""
    return Query(f"max by (target, interface) ({metric}{{{AT_SITE}}})", "{{target}} {{interface}}")


def board() -> Board:
    """See the module."""
    return Board(
        uid=UID,
        title="Site",
        text="One site: state, uplinks, delay, loss, transfers, services and boxes. Dashed red is what was promised.",
        variables=(TERRITORY, SITE),
        annotations=OF_SITE,
        rows=(
            Row(title="", panels=[_state(), _cause(), _since(), _available(), _companies(), _lost()]),
            Row(title="", panels=[_history(), _uplinks()]),
            Row(title="Delay and loss", panels=[_loss(), _rtt(), _heat(), _ipdv()]),
            Row(title="Transfers", panels=[*_transfers()]),
            Row(title="Services", panels=[_dns(), _web()]),
            Row(title="Boxes and tests", panels=[_boxes(), _tests()]),
        ),
    )


def _state() -> object:
    query = Query(codes("fibrewatch_site_state", AT_SITE, STATES, "site"))
    steps = [(None, "#808080"), *((float(code), color) for code, color in STATES.values())]
    return number("State", "What the collector judges now.", "none", query, states=STATES, steps=steps)


def _cause() -> object:
    query = Query(f"fibrewatch_site_cause_code{{{AT_SITE}}}")
    return number(
        "Cause",
        "Whose fault: access line, operator, the site's own network, a target …",
        "none",
        query,
        states=CAUSE_WORDS,
    )


def _since() -> object:
    query = Query(f"time() - fibrewatch_site_state_since_timestamp_seconds{{{AT_SITE}}}")
    return number("For", "How long the state has lasted.", "s", query, decimals=0)


def _available() -> object:
    minutes = "sum(fibrewatch_site_bins{{" + AT_SITE + ",state{}}})"
    query = Query(minutes.format('="A"') + " / " + minutes.format('=~"A|U"'))
    text = "Available minutes of those that were judged, last 24 hours, all uplinks."
    return number("Available, 24 h", text, "percentunit", query, steps=SHARE, decimals=3)


def _companies() -> object:
    query = Query(f"max by (companies) (fibrewatch_site_info{{{AT_SITE}}})", "{{companies}} companies")
    return number("Companies", "How many the site hosts.", "none", query)


def _lost() -> object:
    query = Query(f"sum(fibrewatch_agent_lost_targets{{{AT_SITE}}})")
    return number("Targets lost", "Targets that the site's boxes do not hear now.", "none", query, steps=ALARM)


def _history() -> object:
    query = Query(codes("fibrewatch_site_state", AT_SITE, STATES, "site"), "{{site}}")
    return timeline(
        "State over time", "As judged live; reports may know better once late results are in.", STATES, query, width=12
    )


def _uplinks() -> object:
    query = Query(codes("fibrewatch_uplink_state", AT_SITE, MINUTE_STATES, "uplink"), "{{uplink}}")
    return timeline("Uplinks over time", "A available, U cut, N not judged.", MINUTE_STATES, query, width=12)


def _loss() -> object:
    text = "Lost echo requests of each window, by target; the worst box."
    return plot("Packet loss", text, "percentunit", per_target("fibrewatch_ping_loss_ratio"), steps=RATIO_OF_LOSS)


def _rtt() -> object:
    queries = (per_target("fibrewatch_ping_rtt_p95_seconds"), promised("limit_seconds", "ping.rtt"))
    text = "95th percentile of round trips of each window, by target; the worst box. Dashed: promised limits."
    return plot("Round trips, p95", text, "s", *queries, promise=PROMISE)


def _heat() -> object:
    expr = f"sum by (le) (increase(fibrewatch_ping_rtt_seconds_bucket{{{AT_SITE}}}[$__rate_interval]))"
    return heat("Round trips, all packets", "How many packets took how long, all targets and boxes.", "s", expr)


def _ipdv() -> object:
    text = "95th percentile of the differences between consecutive round trips (RFC 3393)."
    return plot("Delay variation, p95", text, "s", per_target("fibrewatch_ping_ipdv_p95_seconds"))


def _transfers() -> list[object]:
    goodput = Query(
        f"8 * max by (test, target) (fibrewatch_throughput_goodput_bytes_per_second{{{AT_SITE}}})",
        "{{test}} {{target}}",
    )
    rate = Query(
        f"8 * max by (uplink, objective) (fibrewatch_uplink_objective_rate_bytes_per_second{{{AT_SITE}}})",
        "promised {{objective}} on {{uplink}}",
    )
    loaded = Query(
        f"max by (test, target) (fibrewatch_throughput_rtt_inflation_seconds{{{AT_SITE}}})", "{{test}} {{target}}"
    )
    return [
        plot(
            "Goodput",
            "TCP payload of the newest transfers; dashed is what a test must reach.",
            "bps",
            goodput,
            rate,
            promise=PROMISE,
        ),
        plot(
            "Delay under load", "Median round trip under load less the one before: the queue.", "s", loaded, least=None
        ),
    ]


def _dns() -> object:
    query = Query(f"max by (test, target) (fibrewatch_dns_lookup_time_seconds{{{AT_SITE}}})", "{{test}} {{target}}")
    return plot("DNS", "Time to the answer.", "s", query)


def _web() -> object:
    query = Query(f"max by (test, target) (fibrewatch_http_total_seconds{{{AT_SITE}}})", "{{test}} {{target}}")
    return plot("Web", "Time from the name to the last byte.", "s", query)


def _boxes() -> object:
    by = "territory, site, agent"
    columns = [
        Column("Online", f"max by ({by}) (fibrewatch_agent_up{{{AT_SITE}}})", steps=PRESENT),
        Column(
            "Newest result",
            f"time() - max by ({by}) (fibrewatch_agent_last_result_timestamp_seconds{{{AT_SITE}}})",
            "s",
            decimals=0,
        ),
        Column("Spool", f"max by ({by}) (fibrewatch_agent_spool_depth{{{AT_SITE}}})"),
        Column(
            "Clock synchronised", f"max by ({by}) (fibrewatch_agent_clock_synchronised{{{AT_SITE}}})", steps=PRESENT
        ),
        Column("CPU", f"max by ({by}) (fibrewatch_agent_cpu_busy_ratio{{{AT_SITE}}})", "percentunit"),
    ]
    names = {"territory": "territory", "site": "site", "agent": "agent"}
    text = "The site's boxes; a click opens all that one of them measures."
    return rows("Boxes", text, columns, names=names, links={"agent": TO_BOX}, width=12, height=9)


def _tests() -> object:
    by = "test, target"
    columns = [
        Column("Ok", f"min by ({by}) (fibrewatch_probe_success{{{AT_SITE}}})", steps=PRESENT),
        Column("Valid", f"min by ({by}) (fibrewatch_probe_valid{{{AT_SITE}}})", steps=PRESENT),
        Column("A bound", f"max by ({by}) (fibrewatch_probe_censored{{{AT_SITE}}})"),
        Column(
            "Age",
            f"time() - min by ({by}) (fibrewatch_probe_last_result_timestamp_seconds{{{AT_SITE}}})",
            "s",
            decimals=0,
        ),
    ]
    text = "The newest run of each test. Not valid: it proves nothing. A bound: the box, not the line, was the limit."
    return rows("Tests", text, columns, width=12, height=9, sort="Age")
