"""The systemd units as they are shipped: sound, and exposed no more than the issue of them allows."""

import re
import subprocess
from pathlib import Path

import pytest

UNITS = sorted((Path(__file__).parents[2] / "deploy/systemd").glob("*/*.service"))
EXPOSED = {"fibrewatch-radio-helper.service": 30}
"""In tenths of systemd's score; 20 for all others."""


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_exposure_is_low(unit: Path) -> None:
    threshold = EXPOSED.get(unit.name, 20)
    argv = ["systemd-analyze", "security", "--offline=true", f"--threshold={threshold}", "--no-pager", str(unit)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert re.search(r"Overall exposure level for \S+: \d", done.stdout), done.stderr
    assert done.returncode == 0, done.stdout[-200:]


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_has_nothing_to_say_of_it(unit: Path, tmp_path: Path) -> None:
    """With a program that is there; what the packages install is tried by `make packages`."""
    copy = tmp_path / unit.name
    copy.write_text(re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", unit.read_text()))
    argv = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(copy)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, [line for line in done.stderr.splitlines() if unit.stem in line]) == (0, [])


@pytest.mark.parametrize("name", ["agent", "responder", "reflector"])
def test_the_clock_s_state_may_be_asked(name: str) -> None:
    """ProtectClock= and the set @clock refuse adjtimex(2), and a clock that can't be asked never counts as good."""
    (unit,) = [each for each in UNITS if each.name == f"fibrewatch-{name}.service"]
    settings = [line for line in unit.read_text().splitlines() if not line.startswith("#")]
    filters = [line for line in settings if line.startswith("SystemCallFilter=")]
    assert filters[-1] == "SystemCallFilter=adjtimex clock_adjtime capset"
    assert "ProtectClock=yes" not in settings
    assert not [line for line in settings if "CAP_SYS_TIME" in line]


@pytest.mark.parametrize("name", ["agent", "responder", "reflector", "radio-helper"])
def test_children_may_be_started(name: str) -> None:
    """Each is started by setpriv(1), which asks capset(2) whatever it is told, and ends where that is refused."""
    (unit,) = [each for each in UNITS if each.name == f"fibrewatch-{name}.service"]
    assert re.findall(r"(?m)^SystemCallFilter=(.*)$", unit.read_text())[-1].split()[-1] == "capset"


def test_the_radio_helper_alone_may_administer_the_network() -> None:
    assert len(UNITS) == 5
    for unit in UNITS:
        text = re.sub(r"(?m)^#.*$", "", unit.read_text())
        assert ("CAP_NET_ADMIN" in text) == (unit.name == "fibrewatch-radio-helper.service")
        assert re.search(r"(?m)^User=fibrewatch", text), "nothing runs as root"
        for wanted in ("Type=notify", "WatchdogSec=", "Restart=always", "MemoryMax=", "SystemCallFilter="):
            assert re.search(rf"(?m)^{wanted}", text), f"{unit.name} has no {wanted}"
