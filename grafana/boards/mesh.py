"""Sites that measure to each other: a cell for each direction of each pair. See docs/mesh.md."""

from grafana.board import Board, Row, Variable
from grafana.panels import RATIO_OF_LOSS, Query, matrix, plot

UID = "fibrewatch-mesh"
JOIN = "on (territory, site, agent, target) group_left (from, to) fibrewatch_mesh_pair_info"
FROM = Variable(name="from", label="From", query="label_values(fibrewatch_mesh_pair_info, from)", every=True)
TO = Variable(name="to", label="To", query="label_values(fibrewatch_mesh_pair_info, to)", every=True)
CHOSEN = 'from=~"$from",to=~"$to"'
DELAYS = ((None, "green"), (0.1, "yellow"), (0.15, "red"))
"""ITU-T G.114: to 150 ms one way most calls are not hurt."""
POINTS = 180
"""Of a plot over all pairs, two for each pair of sites, which are joined anew for each point: 2 min apart in 6 h."""


def one_way(metric: str) -> str:
    """Cells of a metric that is measured for each direction; {} stands for it."""
    return _cells([(metric.format(way), way) for way in ("forward", "backward")], "max")


def both_ways(metric: str, how: str = "max") -> str:
    """Cells of what is measured there and back: it fills both."""
    return _cells([(metric, "forward"), (metric, "backward")], how)


def from_here(metric: str) -> str:
    """Cells of what is only told by the box at the beginning."""
    return _cells([(metric, "forward")], "max")


def _cells(series: list[tuple[str, str]], how: str) -> str:
    joined = " or ".join(f'{metric} * {JOIN}{{direction="{way}",{CHOSEN}}}' for metric, way in series)
    return f"{how} by (from, to) ({joined})"


def board() -> Board:
    """See the module."""
    ready = ((None, "red"), (1, "green"))
    return Board(
        uid=UID,
        title="Site × site",
        text="What sites measure to each other: rows are where packets come from, columns where they go.",
        variables=(FROM, TO),
        rows=(
            Row(
                title="Now",
                panels=[
                    matrix(
                        "Loss",
                        "Lost of the packets sent, each way.",
                        "percentunit",
                        one_way("fibrewatch_stamp_loss_{}_ratio"),
                        steps=RATIO_OF_LOSS,
                    ),
                    matrix(
                        "One-way delay, median",
                        "By synchronised clocks alone.",
                        "s",
                        one_way("fibrewatch_stamp_owd_{}_p50_seconds"),
                        steps=DELAYS,
                    ),
                    matrix(
                        "Delay variation, p95",
                        "RFC 3393, each way.",
                        "s",
                        one_way("fibrewatch_stamp_ipdv_{}_p95_seconds"),
                        steps=((None, "green"), (0.02, "yellow"), (0.05, "red")),
                    ),
                    matrix(
                        "Round trip, median",
                        "There and back: both cells.",
                        "s",
                        both_ways("fibrewatch_stamp_rtt_p50_seconds"),
                        steps=((None, "green"), (0.2, "yellow"), (0.3, "red")),
                    ),
                    matrix(
                        "Fit for a call",
                        "1 when the newest burst met all objectives of its class (Y.1541).",
                        "none",
                        both_ways("fibrewatch_voice_ready", "min"),
                        steps=ready,
                    ),
                    matrix(
                        "Hops",
                        "As the box at the beginning sees them.",
                        "none",
                        from_here("fibrewatch_path_hops"),
                        steps=((None, "blue"),),
                    ),
                ],
            ),
            Row(title="Over time", panels=[_loss(), _rtt(), _silent()]),
        ),
    )


def _loss() -> object:
    query = Query(one_way("fibrewatch_stamp_loss_{}_ratio"), "{{from}} → {{to}}")
    return plot(
        "Loss",
        "Lost of the packets sent, each way.",
        "percentunit",
        query,
        steps=RATIO_OF_LOSS,
        every="2m",
        points=POINTS,
    )


def _rtt() -> object:
    query = Query(from_here("fibrewatch_stamp_rtt_p50_seconds"), "{{from}} ↔ {{to}}")
    return plot("Round trip, median", "There and back, by who measures.", "s", query, every="2m", points=POINTS)


def _silent() -> object:
    pairs = f'fibrewatch_mesh_pair_info{{direction="forward",{CHOSEN}}}'
    peers = 'target=~".+[.].+[.].+"'
    heard = f"max by (territory, site, agent, target) (fibrewatch_probe_last_result_timestamp_seconds{{{peers}}})"
    age = f"max by (from, to) (time() - {heard} * on (territory, site, agent, target) group_left (from, to) {pairs})"
    text = "How old the newest result of each pair is. A planned pair that was never measured has no line."
    return plot("Newest result", text, "s", Query(age, "{{from}} → {{to}}"), width=24, every="2m", points=POINTS)
