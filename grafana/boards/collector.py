"""Is the collector itself well: what comes in, what is stored, what is refused, how far it is behind?"""

from fibrewatch_collector import metrics_page
from grafana.board import Board, Row
from grafana.panels import ALARM, BAD, GOOD, GREY, PLAIN, PRESENT, Query, Steps, by_state, heat, number, plot

UID = "fibrewatch-collector"
OWN = "fibrewatch_collector"
REMOTE = {"off": (-1, GREY), "refused": (0, BAD), "taken": (1, GOOD)}
NOTHING = 'label_replace(vector(0), "reason", "nothing", "", "")'


def board() -> Board:
    """See the module."""
    return Board(
        uid=UID,
        title="Collector",
        text="The collector itself: connections, what came in, what was refused, the store, every counter of its own.",
        rows=(
            Row(title="", panels=_numbers()),
            Row(title="Ingest", panels=[_ingest(), _refused(), _queue(), _commits(), _commit_heat(), _scrape()]),
            Row(title="Remote write", panels=[*_remote()]),
            Row(title="All counters", panels=[_counters()]),
        ),
    )


def _numbers() -> list[object]:
    found: tuple[tuple[str, str, str, str, Steps], ...] = (
        ("Broker", "1 while the collector is connected to it.", "none", f"min({OWN}_broker_up)", PRESENT),
        ("Store", "1 while it takes what it is given.", "none", f"min({OWN}_store_up)", PRESENT),
        ("Inventory", "1 when the last reload was refused.", "none", f"max({OWN}_reload_failed)", ALARM),
        (
            "Clock behind",
            "How far this machine's clock is behind the newest data.",
            "s",
            f"max({OWN}_clock_behind_seconds)",
            ALARM,
        ),
        (
            "Bins behind",
            "Age of the newest minute that was judged.",
            "s",
            f"max({OWN}_bins_behind_seconds)",
            ((None, "green"), (600, "red")),
        ),
        ("Series", "Of the boxes.", "none", f"sum({OWN}_series)", PLAIN),
    )
    return [number(title, text, unit, Query(expr), steps=steps) for title, text, unit, expr, steps in found]


def _ingest() -> object:
    names = ("received", "stored", "duplicates", "conflicts", "untaken", "dropped")
    queries = [Query(f"sum(rate({OWN}_{name}_total[$__rate_interval]))", name) for name in names]
    return plot("Measurements", "Measurements a second; duplicates are those that were sent again.", "cps", *queries)


def _refused() -> object:
    queries = [
        Query(
            f"sum by (reason) (rate({OWN}_{name}_total[$__rate_interval])) or on () {NOTHING}",
            f"{name} {{{{reason}}}}",
        )
        for name in ("refused", "bad_payloads")
    ]
    return plot(
        "Refused",
        "What was kept raw and settled but not taken, and messages that are not of the contract.",
        "cps",
        *queries,
    )


def _queue() -> object:
    return plot("Queue", "Measurements that wait for the store.", "none", Query(f"sum({OWN}_queue_depth)", "waiting"))


def _commits() -> object:
    total, count, buckets = (
        f"rate({OWN}_commit_seconds_{each}[$__rate_interval])" for each in ("sum", "count", "bucket")
    )
    mean, high = f"sum({total}) / sum({count})", f"histogram_quantile(0.99, sum by (le) ({buckets}))"
    return plot("Durable transactions", "Time that one took.", "s", Query(mean, "mean"), Query(high, "p99"))


def _commit_heat() -> object:
    expr = f"sum by (le) (increase({OWN}_commit_seconds_bucket[$__rate_interval]))"
    return heat("Durable transactions, all", "How many took how long.", "s", expr)


def _scrape() -> object:
    query = Query(f"max(scrape_duration_seconds * on (job, instance) group_left () {OWN}_info)", "scrape")
    return plot("Scrape", "How long Prometheus took to fetch the page.", "s", query)


def _remote() -> list[object]:
    """Where it is not switched on: off, and 0."""
    up = Query(f"min({OWN}_remote_write_up) or on () vector(-1)")
    behind = Query(f"max({OWN}_remote_write_behind_seconds) or on () vector(0)", "behind")
    taken = Query(f"sum(rate({OWN}_remote_write_measurements_total[$__rate_interval]))", "taken")
    dropped = f"sum by (reason) (rate({OWN}_remote_write_dropped_total[$__rate_interval])) or on () {NOTHING}"
    late = "How long the oldest measurement that waits has been in the store; the alert is at ten minutes."
    left = "Measurements a second: those that the server took, and by reason those that it will never have."
    return [
        number("Remote write", "What became of the last request.", "none", up, states=REMOTE, steps=by_state(REMOTE)),
        plot("Behind", late, "s", behind, steps=((None, GREY), (600, BAD)), width=8),
        plot("Taken and left out", left, "cps", taken, Query(dropped, "{{reason}}")),
    ]


def _counters() -> object:
    """Every counter of the collector's own that has no label, so that none is forgotten."""
    own = metrics_page.entries()[metrics_page.COLLECTOR]
    counters = [each for each in own if each.kind == "counter" and not each.labels]
    queries = [
        Query(f"sum(increase({each.name}[$__rate_interval]))", each.name.removeprefix(f"{OWN}_").removesuffix("_total"))
        for each in counters
    ]
    text = "\n".join(f"- {each.name}: {each.help}" for each in counters)
    return plot("Counters", text, "short", *queries, width=24, height=10)
