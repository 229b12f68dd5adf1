"""A site's floors: which boxes stand on them, the air, the local network, addresses."""

from fibrewatch.results import PROBES
from grafana.board import AT_SITE, OF_SITE, SITE, TERRITORY, Board, Row, Variable, link
from grafana.boards.probes import panels_of
from grafana.panels import PRESENT, RATIO_OF_LOSS, Column, Query, plot, rows

UID = "fibrewatch-wifi"
FLOOR = Variable(
    name="floor",
    label="Floor",
    query=f"label_values(fibrewatch_agent_place_info{{{AT_SITE}}}, floor)",
    every=True,
)
PLACE = f'fibrewatch_agent_place_info{{{AT_SITE},floor=~"$floor"}}'
AIR = 'interface=~"wl.*"'
LOCAL = ("lan", "dhcp")
TO_BOX = link("fibrewatch-probes", table=True, territory="territory", site="site", agent="agent")


def on_floor(expr: str, by: str) -> str:
    """Boxes' series with the floor that the box stands on."""
    return f"max by (floor, {by}) ({expr} * on (territory, site, agent) group_left (floor) {PLACE})"


def board() -> Board:
    """See the module."""
    return Board(
        uid=UID,
        title="Floor and Wi-Fi",
        text="Floors of a site: boxes, the air between them and the access points, the local network, addresses.",
        variables=(TERRITORY, SITE, FLOOR),
        annotations=OF_SITE,
        rows=(
            Row(title="Boxes by floor", panels=[_boxes(), _air_loss(), _air_rtt()]),
            *(Row(title=name, panels=_of(name)) for name in PROBES if name.startswith("wifi")),
            *(Row(title=name, panels=_of(name)) for name in LOCAL),
        ),
    )


def _of(name: str) -> list[object]:
    return panels_of(PROBES[name], AT_SITE, "{{agent}} {{target}} {{interface}}")


def _boxes() -> object:
    columns = [
        Column("Online", on_floor(f"fibrewatch_agent_up{{{AT_SITE}}}", "territory, site, agent"), steps=PRESENT),
        Column("Targets lost", on_floor(f"fibrewatch_agent_lost_targets{{{AT_SITE}}}", "territory, site, agent")),
        Column("Own networks' APs", on_floor(f"fibrewatch_wifi_scan_same_ssid{{{AT_SITE}}}", "territory, site, agent")),
    ]
    names = {"floor": "floor", "territory": "territory", "site": "site", "agent": "agent"}
    text = (
        "The boxes of each floor, and how many access points of the site's networks each hears; a click opens all that"
        " one of them measures."
    )
    return rows("Boxes", text, columns, names=names, links={"agent": TO_BOX}, width=8, height=9)


def _air_loss() -> object:
    expr = on_floor(f"fibrewatch_ping_loss_ratio{{{AT_SITE},{AIR}}}", "agent, target")
    query = Query(expr, "{{floor}} {{agent}} {{target}}")
    text = "Packet loss of what boxes measure over their radio (interfaces wl…)."
    return plot("Loss over Wi-Fi", text, "percentunit", query, steps=RATIO_OF_LOSS, width=8, height=9)


def _air_rtt() -> object:
    expr = on_floor(f"fibrewatch_ping_rtt_p95_seconds{{{AT_SITE},{AIR}}}", "agent, target")
    query = Query(expr, "{{floor}} {{agent}} {{target}}")
    return plot(
        "Round trips over Wi-Fi, p95", "95th percentile of what goes over the radio.", "s", query, width=8, height=9
    )
