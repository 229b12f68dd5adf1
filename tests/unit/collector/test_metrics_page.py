"""docs/metrics.md, and what the collector serves of each metric in it, in both formats."""

import json
import re
import subprocess
from pathlib import Path
from random import Random

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from fibrewatch import __version__, wire
from fibrewatch.results import PROBES
from fibrewatch.wire import AgentId
from fibrewatch_collector import metrics_page
from fibrewatch_collector.hub import Hub
from fibrewatch_collector.inventory import load_inventory
from fibrewatch_collector.own_metrics import OwnMetrics
from fibrewatch_collector.store import Committed
from fibrewatch_collector.web.accept import wants_openmetrics
from tests.support.every_probe import run_of
from tests.support.measurements import NOON

ROOT = Path(__file__).parents[3]
BOX = AgentId("paris", "cargo", "box-01")
PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;"
    "q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.fixture(scope="module")
def hub() -> Hub:
    """The example's fleet, whose one box has delivered a result of every probe."""
    made = Hub(load_inventory(ROOT / "deploy/sites.example.toml"), PROBES, OwnMetrics(__version__), lambda: NOON)
    rng = Random(1)
    made.committed(Committed(stored=[(BOX, run_of(probe, NOON, rng)) for probe in PROBES.values()]), 0.01)
    status = (ROOT / "tests/wire/v1/status-online.json").read_bytes()
    made.status(BOX, wire.decode(status, wire.Status), NOON)
    made.set_broker(up=True)
    made.set_store(None)
    made.set_totals({("paris", "cargo", "fibre"): {"A": 1400, "U": 3}})
    made.own.stats.refused["late"] = 1
    made.own.levels.bins_behind_seconds = 1.0
    made.tick()
    return made


def page(hub: Hub, *, openmetrics: bool = False) -> str:
    return b"".join(hub.metrics(openmetrics=openmetrics)).decode()


def samples(families: list[Metric]) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def test_page_is_current() -> None:
    assert (ROOT / "docs/metrics.md").read_text("utf-8") == metrics_page.page(), "run `make golden`"


def test_every_metric_served_is_in_the_catalogue_with_its_labels(hub: Hub) -> None:
    known = {entry.name: entry for group in metrics_page.entries().values() for entry in group}
    served = {family.name: family for family in parse_text(page(hub))}
    for family in served.values():
        if family.name.endswith("_created"):
            continue
        name = family.name if family.type != "counter" else f"{family.name}_total"
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(known[name].labels), name
        kind = "gauge" if known[name].kind == "info" else known[name].kind
        assert (family.type, family.documentation) == (kind, known[name].help), name


def test_every_metric_of_every_probe_is_served_once_it_was_measured(hub: Hub) -> None:
    served = {family.name for family in parse_text(page(hub))}
    groups = metrics_page.entries()
    assert {entry.name.removesuffix("_total") for probe in PROBES for entry in groups[probe]} <= served


def test_objectives_are_told_as_they_hold_for_each_uplink(hub: Hub) -> None:
    line = {("site", "cargo"), ("uplink", "fibre")}
    told = {
        (name, dict(labels)["objective"]): value
        for (name, labels), value in samples(list(parse_text(page(hub)))).items()
        if name.startswith("fibrewatch_uplink_objective") and line <= labels
    }
    assert told["fibrewatch_uplink_objective_asked_ratio", "net"] == 0.999
    assert told["fibrewatch_uplink_objective_limit_seconds", "latency"] == 0.015
    assert told["fibrewatch_uplink_objective_quantile", "latency"] == 0.95
    assert told["fibrewatch_uplink_objective_rate_bytes_per_second", "download"] == 0.9 * 10e9 / 8
    assert ("fibrewatch_uplink_objective_asked_ratio", "wifi") not in told  # the uplink drops it


def test_openmetrics_is_well_formed_and_says_the_same(hub: Hub) -> None:
    text = page(hub, openmetrics=True)
    assert text.endswith("\n# EOF\n")
    families = list(parse_openmetrics(text))
    assert samples(families) == samples(list(parse_text(page(hub))))
    kinds = {family.name: (family.type, family.unit) for family in families}
    assert kinds["fibrewatch_ping_sent_packets"] == ("counter", "packets")
    assert kinds["fibrewatch_ping_rtt_seconds"] == ("histogram", "seconds")
    assert kinds["fibrewatch_site"] == ("info", "")
    assert kinds["fibrewatch_collector"] == ("info", "")


def promtool(text: str) -> tuple[int, str]:
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_promtool_has_nothing_to_object(hub: Hub) -> None:
    assert promtool(page(hub)) == (0, "")


NAME = """L'Été "Nº 1" \\ {{ $x }} $HOME\t<b>%s</b> .*[東京]\n# EOF"""


def test_page_is_well_formed_whatever_sites_and_operators_are_called(tmp_path: Path) -> None:
    text = (ROOT / "deploy/sites.example.toml").read_text("utf-8")
    named = re.compile(r'^(name|city|operator) = "[^"]*"', re.MULTILINE)
    text, count = named.subn(lambda found: f"{found[1]} = {json.dumps(NAME)}", text)
    assert count > 100
    (tmp_path / "sites.toml").write_text(text, "utf-8")
    hub = Hub(load_inventory(tmp_path / "sites.toml"), PROBES, OwnMetrics(__version__), lambda: NOON)
    hub.tick()
    families = list(parse_openmetrics(page(hub, openmetrics=True)))
    assert samples(families) == samples(list(parse_text(page(hub))))
    labels = [sample.labels for family in families for sample in family.samples]
    assert {one[label] for one in labels for label in ("name", "city", "operator") if label in one} == {NAME}
    assert promtool(page(hub)) == (0, "")


def test_names_have_one_unit_that_is_a_base_unit() -> None:
    for group in metrics_page.entries().values():
        for entry in group:
            assert not re.search(r"_(ms|milliseconds|bits|kb|mb|percent|minutes|hours)(_|\Z)", entry.name), entry.name
            assert len(entry.help) > 10


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        (PROMETHEUS_2, True),
        (PROMETHEUS_3, True),
        ("", False),
        ("*/*", False),
        ("text/plain", False),
        ("application/openmetrics-text", True),
        ("application/openmetrics-text; version=2.0.0", False),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=0.1, text/plain;q=0.9", False),
        ("text/html,application/xhtml+xml,*/*;q=0.8", False),
        ("application/openmetrics-text;q=nonsense", False),
        (";;;,,q==", False),
    ],
)
def test_format_is_the_one_that_the_reader_would_rather_have(header: str, wanted: bool) -> None:
    assert wants_openmetrics(header) is wanted
