"""`check-config` against what boxes have told: objectives that none of them could ever prove."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fibrewatch import wire
from fibrewatch.errors import ConfigError
from fibrewatch.measurement import Measurement
from fibrewatch.results.calibration import Result
from fibrewatch_collector import lint
from fibrewatch_collector.inventory import load_inventory
from fibrewatch_collector.operator.cli import main
from fibrewatch_collector.store.sqlite import SqliteStore
from tests.support.measurements import delivery, good

BOX = wire.AgentId("paris", "cargo", "box-01")
GIGABIT = 125e6
SITES = """
[[territory]]
id = "paris"
name = "Paris"
[[sla]]
id = "gold"
presets = ["quartier-numerique-mobile"]
[[sla]]
id = "label"
presets = ["{preset}"]
[[site]]
territory = "paris"
id = "cargo"
name = "Cargo"
city = "Paris"
latitude = 48.9
longitude = 2.4
time_zone = "Europe/Paris"
[[site.uplink]]
id = "fibre"
kind = "fibre"
download = "1 Gbit/s"
upload = "1 Gbit/s"
sla = "label"
[[site.floor]]
id = "f1"
{agents}
"""
AGENT = '[[site.agent]]\nid = "{}"\ninterfaces = {{ eth0 = "fibre" }}\n'


def sites(folder: Path, preset: str = "quartier-numerique", boxes: tuple[str, ...] = ("box-01",)) -> Path:
    path = folder / "sites.toml"
    path.write_text(SITES.format(preset=preset, agents="".join(AGENT.format(box) for box in boxes)))
    return path


def link(store: SqliteStore, gigabits: float, agent: wire.AgentId = BOX, at: float = 1e9) -> None:
    told = wire.Inventory(
        version="1",
        interfaces=(
            wire.Interface(name="eth0", kind="wired", up=True, link_speed=gigabits * GIGABIT),
            wire.Interface(name="wlan0", kind="wireless", up=True),
            wire.Interface(name="lo", kind="loopback", up=True),
        ),
    )
    store.save_schedule(agent, at, msgspec.json.encode(told))


def calibrate(store: SqliteStore, megabits: float, seq: int = 1, **changes: Any) -> None:
    fitted: dict[str, Any] = {
        "probe": "calibration",
        "test": "calibration",
        "interface": "eth0",
        "started_at": datetime(2026, 11, seq, tzinfo=UTC),
        "boottime_s": 1.0,
        "boot": "0123abcd",
        "duration_s": 3.0,
        "outcome": "ok",
        "result": Result(reference="loopback", ceiling_down=megabits * 1e6 / 8, ceiling_up=megabits * 1e6 / 8),
    }
    raw = wire.encode(Measurement(**fitted | changes))
    store.commit([delivery(good(seq, raw), agent=BOX)])


def problem(folder: Path, store: SqliteStore | None, **site: Any) -> str:
    path = sites(folder, **site)
    try:
        return "\n".join(lint.check(load_inventory(path), path, store))
    except ConfigError as e:
        return f"refused: {e}"


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    return SqliteStore(tmp_path / "collector.db")


def test_gigabit_of_payload_behind_a_gigabit_interface_is_refused(tmp_path: Path, store: SqliteStore) -> None:
    link(store, 1)
    assert problem(tmp_path, store) == (
        f'refused: {tmp_path}/sites.toml: site "cargo".uplink "fibre".objective "label-fixed": 1000 Mbit/s of TCP '
        "payload could never be proved: box-01 on eth0 shows 941 Mbit/s at most, its link is 1000 Mbit/s; "
        'a faster box, a lower rate, or drop = ["label-fixed"]'
    )
    link(store, 2.5, at=2e9)
    assert problem(tmp_path, store) == "", "the newest word counts"


def test_ceiling_of_the_newest_calibration_is_what_the_box_can_prove(tmp_path: Path, store: SqliteStore) -> None:
    link(store, 2.5)
    calibrate(store, 2000, 1)
    assert problem(tmp_path, store) == ""
    calibrate(store, 700, 3)
    calibrate(store, 1, 4, outcome="failed", error="timeout", result=None)
    assert "box-01 on eth0 reaches 700 Mbit/s itself (calibrated 2026-11-03 against loopback)" in problem(
        tmp_path, store
    )
    assert problem(tmp_path, store, preset="quartier-numerique-mobile") == "", "150 Mbit/s it can prove"
    assert problem(tmp_path, store, preset="fcc-caf").startswith("refused: "), "80 % of 1 Gbit/s"


def test_one_box_that_is_fast_enough_or_unknown_is_enough(tmp_path: Path, store: SqliteStore) -> None:
    two, other = ("box-01", "box-02"), wire.AgentId("paris", "cargo", "box-02")
    link(store, 1)
    assert "refused" not in problem(tmp_path, store, boxes=two)
    link(store, 10, other)
    assert problem(tmp_path, store, boxes=two) == ""
    link(store, 0.1, other, at=2e9)
    assert "box-01 on eth0 shows 941" in problem(tmp_path, store, boxes=two), "the best of them"


def test_where_nothing_is_known_more_than_a_gigabit_interface_shows_is_a_warning(tmp_path: Path) -> None:
    said = problem(tmp_path, None)
    assert said == (
        f'{tmp_path}/sites.toml: site "cargo".uplink "fibre".objective "label-fixed": 1000 Mbit/s of TCP payload: '
        "a box behind 1 GbE shows 941 Mbit/s at most and could never prove it; this takes an interface of 2.5 Gbit/s"
    )
    assert problem(tmp_path, None, preset="fcc-caf") == ""


def test_check_config_says_it(tmp_path: Path, store: SqliteStore, capsys: pytest.CaptureFixture[str]) -> None:
    sites(tmp_path)
    config = tmp_path / "collector.toml"
    config.write_text('sites = "sites.toml"\n[store]\npath = "collector.db"\n[broker]\nhost = "127.0.0.1"\n')
    calibrate(store, 300)
    store.close()
    assert main(["check-config", "--config", str(config)]) == 2
    assert "could never be proved: box-01 on eth0 reaches 300 Mbit/s itself" in capsys.readouterr().err
