"""Are the boxes themselves well: online, fresh, on time, with room and a cool head?"""

from grafana.board import AT_SITES, SITES, TERRITORIES, Board, Row, Variable, link
from grafana.panels import ALARM, BAD, ODD, PLAIN, PRESENT, Column, Query, number, plot, rows

UID = "fibrewatch-health"
BY = "territory, site, agent"
TO_BOX = link("fibrewatch-probes", table=True, territory="territory", site="site", agent="agent")
DAY_S = 86400
AGENTS = Variable(
    name="agent", label="Box", query=f"label_values(fibrewatch_agent_up{{{AT_SITES}}}, agent)", every=True
)
AT_BOXES = f'{AT_SITES},agent=~"$agent"'


def of(name: str, how: str = "max") -> str:
    """What each box says."""
    return f"{how} by ({BY}) (fibrewatch_agent_{name}{{{AT_BOXES}}})"


def board() -> Board:
    """See the module."""
    return Board(
        uid=UID,
        title="Fleet health",
        text="The boxes themselves: online, newest result, spool, clock, temperature, version, certificate.",
        variables=(TERRITORIES, SITES, AGENTS),
        rows=(
            Row(title="", panels=_numbers()),
            Row(title="", panels=[_table()]),
            Row(title="Over time", panels=[_age(), _spool(), _clock(), _temperature(), _cpu(), _versions()]),
        ),
    )


def _numbers() -> list[object]:
    total = f"count(fibrewatch_agent_up{{{AT_BOXES}}})"
    found = (
        ("Boxes", "In the inventory.", total, PLAIN),
        ("Online", "Heard lately.", f"sum(fibrewatch_agent_up{{{AT_BOXES}}})", PLAIN),
        ("Dark", "Silent, at sites that are not cut off.", f"sum(fibrewatch_agent_dark{{{AT_BOXES}}})", ALARM),
        (
            "Clock bad",
            "Boxes whose kernel does not call its clock synchronised.",
            f"count(fibrewatch_agent_clock_synchronised{{{AT_BOXES}}} == 0) or vector(0)",
            ALARM,
        ),
        ("Spool full", "Boxes whose disk refuses the spool.", f"sum(fibrewatch_agent_spool_full{{{AT_BOXES}}})", ALARM),
        (
            "Config refused",
            "Boxes that run an older configuration.",
            f"sum(fibrewatch_agent_config_refused{{{AT_BOXES}}})",
            ALARM,
        ),
    )
    return [number(title, text, "none", Query(expr), steps=steps) for title, text, expr, steps in found]


def _table() -> object:
    columns = [
        Column("Online", of("up"), steps=PRESENT),
        Column("Newest result", f"time() - {of('last_result_timestamp_seconds')}", "s", decimals=0),
        Column("Spool", of("spool_depth")),
        Column("Dropped", of("spool_dropped"), steps=ALARM),
        Column("Clock synchronised", of("clock_synchronised"), steps=PRESENT),
        Column("Clock within", of("clock_offset_bound_seconds"), "s", ((None, "green"), (0.05, ODD), (0.5, BAD))),
        Column("CPU", of("cpu_busy_ratio"), "percentunit", ((None, "green"), (0.8, ODD), (0.95, BAD))),
        Column("Temperature", of("temperature_celsius"), "celsius", ((None, "green"), (70, ODD), (80, BAD))),
        Column("Throttled", of("throttled"), steps=ALARM),
        Column("Running for", f"time() - {of('start_time_seconds')}", "s", decimals=0),
        Column(
            "Certificate for",
            f"{of('certificate_until_timestamp_seconds')} - time()",
            "s",
            ((None, BAD), (7 * DAY_S, ODD), (30 * DAY_S, "green")),
            decimals=0,
        ),
    ]
    names = {"territory": "territory", "site": "site", "agent": "agent"}
    text = "One row a box, as it said last; what an offline box said is not shown."
    return rows("Boxes", text, columns, names=names, links={"agent": TO_BOX}, height=14, sort="Newest result")


def _age() -> object:
    query = Query(
        f"time() - min by (territory, site) (fibrewatch_agent_last_result_timestamp_seconds{{{AT_BOXES}}})", "{{site}}"
    )
    return plot("Newest result, the site's stalest box", "How old it is.", "s", query)


def _spool() -> object:
    query = Query(f"sum by (territory, site) (fibrewatch_agent_spool_depth{{{AT_BOXES}}})", "{{site}}")
    return plot("Spools", "Measurements that boxes still hold.", "none", query)


def _clock() -> object:
    query = Query(f"max by (territory, site) (fibrewatch_agent_clock_offset_bound_seconds{{{AT_BOXES}}})", "{{site}}")
    return plot("Clocks within", "How far the site's worst clock may be off.", "s", query)


def _temperature() -> object:
    query = Query(f"max by (territory, site) (fibrewatch_agent_temperature_celsius{{{AT_BOXES}}})", "{{site}}")
    return plot("Temperature", "The site's hottest box.", "celsius", query, least=None)


def _cpu() -> object:
    query = Query(f"max by (territory, site) (fibrewatch_agent_cpu_busy_ratio{{{AT_BOXES}}})", "{{site}}")
    return plot("CPU", "Share of its cores that the site's busiest box used.", "percentunit", query)


def _versions() -> object:
    query = Query(f"count by (version) (fibrewatch_agent_info{{{AT_BOXES}}})", "{{version}}")
    return plot("Versions", "Boxes that run each version.", "none", query, stack=True)
