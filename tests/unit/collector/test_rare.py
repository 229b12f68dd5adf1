"""Objectives whose tests are too rare for their alert, by the schedules that boxes have told."""

from pathlib import Path

import msgspec
import pytest

from fibrewatch.wire import AgentId, Inventory, ScheduledTest
from fibrewatch_collector import lint
from fibrewatch_collector.inventory import load_inventory
from fibrewatch_collector.sla import rare
from fibrewatch_collector.store.sqlite import SqliteStore

ONE, TWO = AgentId("paris", "cargo", "box-01"), AgentId("paris", "cargo", "box-02")
HOUR = 3600.0
RATE = 'kind = "compliance"\nasked = 0.95\ndirection = "download"\nrate = "100 Mbit/s"\n'
CALLS = 'kind = "readiness"\nasked = 0.95\npeer = "us/sf"\n'


def sites(folder: Path, objective: str) -> Path:
    path = folder / "sites.toml"
    path.write_text(
        '[[territory]]\nid = "paris"\nname = "Paris"\n[[territory]]\nid = "us"\nname = "US"\n'
        + "".join(
            f'[[site]]\nterritory = "{territory}"\nid = "{name}"\nname = "x"\ncity = "x"\nlatitude = 48\n'
            f'longitude = 2\ntime_zone = "Europe/Paris"\n[[site.uplink]]\nid = "fibre"\nkind = "fibre"\n{more}'
            for territory, name, more in (
                ("us", "sf", ""),
                ("paris", "cargo", 'sla = "gold"\n[[site.agent]]\nid = "box-01"\n[[site.agent]]\nid = "box-02"\n'),
            )
        )
        + f'[[sla]]\nid = "gold"\n[[sla.objective]]\nid = "it"\n{objective}'
    )
    return path


def transfer(every_h: float, target: str | None = "edge", test: str = "download") -> ScheduledTest:
    return ScheduledTest(test=test, probe="throughput", mode="exclusive", every_s=every_h * HOUR, target=target)


def call(every_h: float, target: str) -> ScheduledTest:
    return ScheduledTest(test="call", probe="voice", mode="burst", every_s=every_h * HOUR, target=target)


@pytest.mark.parametrize(
    ("objective", "tests", "told"),
    [
        (RATE, [transfer(6)], None),
        (RATE, [transfer(12)], "4 of its tests come in 2d, which is as long as one counts, and it takes 5"),
        (RATE, [transfer(12), transfer(24, "far")], None),
        (RATE, [transfer(48), transfer(48, "far")], "2 of its tests come in 2d"),
        (RATE, [transfer(72)], "0 of its tests come in 2d"),
        (RATE, [transfer(12), transfer(1, test="upload")], "4 of its tests come in 2d"),
        (RATE, [transfer(1, test="both-ways")], None),
        (RATE, [], None),
        (CALLS, [call(0.5, "us.sf.box-01")], None),
        (CALLS, [call(1, "us.sf.box-01")], "3 of its tests come in 3h"),
        (CALLS, [call(1, "us.sf.box-01"), call(0.1, "us.ny.box-01")], "3 of its tests come in 3h"),
        ('kind = "loss"\nasked = 0.001\nmetric = "ping"\n', [transfer(72)], None),
        ('kind = "availability"\nasked = 0.99\n', [transfer(72)], None),
        ('kind = "success"\nasked = 0.99\nmetric = "throughput"\n', [transfer(72)], "0 of its tests come in 2d"),
    ],
)
def test_alert_that_takes_more_tests_than_come_is_told(
    tmp_path: Path, objective: str, tests: list[ScheduledTest], told: str | None
) -> None:
    inventory = load_inventory(sites(tmp_path, objective))
    found = list(rare.never_at_risk(inventory, {ONE: tests, TWO: ()}))
    if told is None:
        assert found == []
    else:
        ((place, problem),) = found
        assert place == 'site "cargo".uplink "fibre".objective "it"'
        assert problem.startswith("its alert can never fire: ") and told in problem


def test_nothing_is_said_of_a_line_of_which_a_box_told_nothing(tmp_path: Path) -> None:
    assert list(rare.never_at_risk(load_inventory(sites(tmp_path, RATE)), {ONE: [transfer(72)]})) == []


def test_check_config_says_it_by_the_newest_schedule(tmp_path: Path) -> None:
    path, store = sites(tmp_path, RATE), SqliteStore(tmp_path / "collector.db")
    inventory = load_inventory(path)
    for agent, at, every_h in ((ONE, 1e9, 1), (ONE, 2e9, 72), (TWO, 1e9, 72)):
        told = Inventory(version="1", schedule=(transfer(every_h),))
        store.save_schedule(agent, at, msgspec.json.encode(told))
    (warning,) = lint.check(inventory, path, store)
    assert warning.startswith(f'{path}: site "cargo".uplink "fibre".objective "it": its alert can never fire: 0 of')
