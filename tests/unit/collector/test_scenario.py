"""Every figure of the scenarios' reports is what plain loops over the raw samples say, fault by fault."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from fibrewatch_collector.inventory import Inventory, load_inventory
from fibrewatch_collector.operator import cli
from fibrewatch_collector.operator.scenario import checks
from fibrewatch_collector.report import model
from fibrewatch_collector.store.sqlite import SqliteStore
from tests.support import scenario as holding

SCENARIOS = Path(__file__).parents[3] / "deploy" / "scenarios"


class Played(NamedTuple):
    """A scenario in a store, and its expected answer."""

    store: SqliteStore
    inventory: Inventory
    expected: Mapping[str, Any]
    now: datetime

    def reports(self) -> Iterator[tuple[model.Report, Mapping[str, Any]]]:
        for wanted in self.expected["reports"]:
            for site, expected in wanted["sites"].items():
                yield holding.reported(self.store, self.inventory, site, wanted, self.now), expected


def played(name: str, folder: Path) -> Played:
    """By the command."""
    file = SCENARIOS / f"{name}.toml"
    assert cli.main(["simulate", "--scenario", str(file), "--output", str(folder)]) == 0
    until = checks.read(file)[0].heard_until
    expected = json.loads((folder / "expected.json").read_text("utf-8"))
    store = SqliteStore(folder / "collector.db")
    return Played(store, load_inventory(folder / "sites.toml"), expected, datetime.fromtimestamp(until, UTC))


@pytest.fixture(scope="module")
def autumn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    found = played("autumn", tmp_path_factory.mktemp("autumn"))
    yield found
    found.store.close()


def test_every_figure_of_the_long_day_is_the_expected_one(autumn: Played) -> None:
    for report, expected in autumn.reports():
        holding.hold(report, expected)


def test_month_with_late_results_is_revised_as_expected(tmp_path: Path) -> None:
    """Over the night of 23 hours; what comes after the month was made final makes revision 2, and counts as late."""
    spring = played("spring", tmp_path)
    found = {}
    for report, expected in spring.reports():
        holding.hold(report, expected)
        found[report.period.label, report.site.site] = report
    spring.store.close()
    month = found["2026-03", "soma"]
    assert (month.revision.number, sum(each.counts.late for each in month.series)) == (2, 120)
    assert found["2026-03", "halle"].revision.number == 1
    assert found["2026-03-29/2026-03-29", "halle"].uplinks[0].gross.total == 23 * 60


def test_scripted_faults_get_their_causes(autumn: Played) -> None:
    """What the script put in, written down here once more by hand."""
    (wanted,) = autumn.expected["reports"]
    causes = {
        site: [(each.uplink, each.minutes, each.cause, each.counts) for each in report.outages]
        for site in wanted["sites"]
        for report in [holding.reported(autumn.store, autumn.inventory, site, wanted, autumn.now)]
    }
    network = [("fibre", 14, "operator", True), ("fibre", 9, "operator", True)]
    cut, proved, seen = ("fibre", 46, "access", True), ("fibre", 21, "access", True), ("fibre", 5, "access", True)
    assert causes == {
        "paris/cargo": [cut, proved, seen, *network, ("4g", 20, "probe", False), ("fibre", 20, "probe", False)],
        "paris/halle": [
            *network,
            ("fibre", 17, "lan", False),
            ("fibre", 10, "access", True),
            ("fibre", 20, "access", False),
            ("fibre", 10, "access", True),
        ],
        "paris/soma": [
            *network,
            ("fibre", 12, "access", True),
            ("fibre", 15, "probe", False),
            ("fibre", 20, "probe", False),
            ("fibre", 10, "access", True),
            ("fibre", 40, "probe", False),
        ],
        "paris/lac": [
            ("fibre", 20, "probe", False),
            ("fibre", 20, "probe", False),
            ("fibre", 12, "lan", False),
            ("fibre", 5, "target", False),
        ],
        "sf/pier": [("fibre", 25, "unknown", False), ("fibre", 480, "unknown", False)],
    }


def test_roll_ups_say_the_same_and_outlive_the_measurements(autumn: Played) -> None:
    later = (autumn.now + timedelta(days=3)).timestamp()
    while autumn.store.roll_up(1000, later):
        pass
    for report, expected in autumn.reports():
        holding.hold(report, expected)
    autumn.store.prune((autumn.now + timedelta(days=1)).timestamp())
    for report, expected in autumn.reports():
        holding.hold(report, expected, raw=False)
