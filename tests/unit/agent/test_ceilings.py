"""What the box itself reaches: kept, renewed each month, and held against what the line is sold as."""

import time
from pathlib import Path

import pytest

from fibrewatch.errors import ConfigError
from fibrewatch.results.calibration import Result
from fibrewatch_agent import cli
from fibrewatch_agent.config import load_config
from fibrewatch_agent.line import state
from fibrewatch_agent.line.config import LineConfig
from fibrewatch_agent.transfer import ceilings
from fibrewatch_agent.transfer.ceilings import Ceiling, due, keep, load, never_proved

GIGABIT = 125e6
ROUTES = """Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT
eth7 00000000 0100000A 0003 0 0 100 00000000 0 0 0
"""
CONFIG = """
[agent]
territory = "paris"
site = "cargo"
name = "box-01"
state_dir = "{state}"

[broker]
host = "mqtt.example.net"

[targets.far]
address = "responder.example.net"
role = "responder"

[uplinks.fibre]
interface = "eth0"
rate_down = "{rate}"
monthly_budget = "{budget}"

[tests.download]
probe = "throughput"
targets = ["far"]
every = "1 h"
params = {{ direction = "down" }}
"""


def config(folder: Path, rate: str = "1 Gbit/s", budget: str = "1000 GB") -> Path:
    path = folder / "agent.toml"
    path.write_text(CONFIG.format(state=folder, rate=rate, budget=budget))
    return path


def test_each_interface_has_its_own_and_the_newest_counts(tmp_path: Path) -> None:
    keep(tmp_path, "eth0", 1.0, Result(reference="loopback", ceiling_down=1e8, ceiling_up=2e8))
    keep(tmp_path, "wwan0", 2.0, Result(reference="responder", ceiling_down=3e7))
    keep(tmp_path, "eth0", 3.0, Result(reference="responder", ceiling_down=1.1e8, ceiling_up=1.2e8))
    assert load(tmp_path) == {
        "eth0": Ceiling(at=3.0, reference="responder", down=1.1e8, up=1.2e8),
        "wwan0": Ceiling(at=2.0, reference="responder", down=3e7),
    }


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b'{"eth0": {"at": 1', id="cut"),
        pytest.param(b'{"eth0": {"reference": "\xff"}}', id="no text"),
        pytest.param(b'{"eth0": ' * 5000, id="deep"),
        pytest.param(bytes(99), id="zeros"),
    ],
)
def test_a_damaged_file_is_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ceilings.FILE).write_bytes(content)
    (tmp_path / state.FILE).write_bytes(content)
    assert load(tmp_path) == {}
    assert load(None) == {}
    assert state.load(tmp_path) == state.LineState()


@pytest.mark.parametrize(("age_s", "expected"), [(None, True), (86400.0, False), (31 * 86400.0, True), (-60.0, True)])
def test_a_box_is_calibrated_at_first_and_each_month(age_s: float | None, expected: bool) -> None:
    known = {} if age_s is None else {"eth0": Ceiling(at=1e9 - age_s, reference="loopback")}
    assert due(known, "eth0", 1e9) is expected


@pytest.mark.parametrize(
    ("rate", "ceiling", "refused"),
    [
        (GIGABIT, 941e6 / 8, False),  # all that gigabit Ethernet has for 1 Gbit/s
        (GIGABIT, 900e6 / 8, False),
        (GIGABIT, 880e6 / 8, True),
        (10 * GIGABIT, 941e6 / 8, True),
        (GIGABIT / 10, 300e6 / 8, False),
    ],
)
def test_a_rate_beyond_the_boxs_ceiling_could_never_be_proved(rate: float, ceiling: float, refused: bool) -> None:
    known = {"eth0": Ceiling(at=0.0, reference="responder", down=ceiling, up=1e12)}
    line = LineConfig(interface="eth0", rate_down=rate, rate_up=rate)
    assert bool(list(never_proved({"fibre": line}, known))) is refused


def test_an_uplink_without_interface_has_the_default_routes(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net/route").write_text(ROUTES)
    known = {"eth7": Ceiling(at=0.0, reference="responder", down=400e6 / 8, up=400e6 / 8)}
    ((place, problem),) = never_proved({"fibre": LineConfig(rate_down=10 * GIGABIT)}, known, tmp_path)
    assert place == "uplinks.fibre.rate_down"
    assert "400 Mbit/s of payload on eth7" in problem
    assert not list(never_proved({"fibre": LineConfig(rate_down=10 * GIGABIT, interface="eth0")}, known, tmp_path))


def test_check_config_refuses_a_rate_beyond_the_ceiling(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at = time.mktime((2026, 11, 1, 12, 0, 0, 0, 0, 0))
    keep(tmp_path, "eth0", at, Result(reference="responder", ceiling_down=330e6 / 8, ceiling_up=220e6 / 8))
    path = config(tmp_path)
    assert cli.run(["check-config", "--config", str(path)]) == 2
    expected = (
        f"fibrewatch-agent: {path}: uplinks.fibre.rate_down: 1000 Mbit/s could never be proved: this box reaches "
        "330 Mbit/s of payload on eth0 (calibrated 2026-11-01 against responder)\n"
    )
    assert capsys.readouterr().err == expected
    assert cli.run(["check-config", "--config", str(config(tmp_path, rate="300 Mbit/s"))]) == 0


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        ("1000 GB", "a month at most, of 1e+03 GB"),
        ("300 GB", "of 300 GB: heavy tests will move 54 % of that at a time\n"),
        ("10 GB", "of 10 GB: heavy tests will move 50 % of that at a time and run 27.9 times as rarely"),
    ],
)
def test_check_config_tells_the_month_against_the_budget(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], budget: str, said: str
) -> None:
    assert cli.run(["check-config", "--config", str(config(tmp_path, budget=budget))]) == 0
    assert said in capsys.readouterr().out


def test_a_calibration_target_must_be_one(tmp_path: Path) -> None:
    path = config(tmp_path)
    path.write_text(path.read_text().replace("[uplinks.fibre]", '[uplinks.fibre]\ncalibrate_against = "fat"'))
    with pytest.raises(ConfigError, match=r"'fat': no such target \(did you mean far\?\)"):
        load_config(path)
