"""A bad scenario is told by file, place and value; the truth asks nothing of what it is held against."""

import ast
from pathlib import Path

import pytest

from fibrewatch.errors import ConfigError
from fibrewatch_collector.operator import cli
from fibrewatch_collector.operator.scenario import checks

ROOT = Path(__file__).parents[3]
SITES = ROOT / "deploy" / "scenarios" / "sites.toml"
GOOD = f"""
name = "small"
sites = "{SITES}"
from = 2026-10-25T00:00:00Z
to = 2026-10-25T01:00:00Z
[[report]]
month = "2026-10"
[[target]]
name = "far"
role = "neutral"
rtt = "5 ms"
[[box]]
agent = "paris/halle/box-01"
targets = ["far"]
[[fault]]
kind = "line_cut"
at = 2026-10-25T00:10:00Z
for = "5 min"
site = "paris/halle"
uplink = "fibre"
"""
BAD = {
    ("line_cut", "line_cuts"): "fault[0].kind: 'line_cuts': invalid enum value 'line_cuts' (did you mean line_cut?)",
    ('uplink = "fibre"', ""): "fault[0] line_cut: uplink is missing",
    (
        'uplink = "fibre"',
        'uplink = "fiber"',
    ): 'line_cut.uplink: no uplink of the site "fiber" (did you mean fibre?)',
    (
        'site = "paris/halle"',
        'site = "paris/hall"',
    ): 'line_cut.site: no site "paris/hall" (did you mean paris/halle?)',
    (
        'uplink = "fibre"',
        'uplink = "fibre"\nloss = 0.5',
    ): "line_cut.loss: line_cut does not take it; it takes site, uplink",
    ("00:10:00Z", "02:10:00Z"): "fault[0] line_cut.at: 2026-10-25T02:10:00+00:00 is outside the scenario",
    (
        "00:10:00Z",
        "00:10:00",
    ): "expected `datetime` with a timezone component",
    ('for = "5 min"', "for = 5"): "fault[0].for: 5 has no unit",
    ('targets = ["far"]', 'targets = ["fat"]'): 'box "paris/halle/box-01".targets: no target "fat" (did you mean far?)',
    (
        'targets = ["far"]',
        'targets = ["far"]\ninterval = "7 s"',
    ): "interval: 7 s does not divide the minute",
    (
        'targets = ["far"]',
        'targets = ["far"]\ntransfer_every = "1 h"',
    ): "none of its targets is of role responder",
    ("halle/box-01", "halle/box-09"): 'no agent of sites.toml "paris/halle/box-09" (did you mean paris/halle/box-01?)',
    ("to = 2026-10-25T01", "to = 2026-10-24T01"): "to: 2026-10-24T01:00:00+00:00 is not after from",
    ("to = 2026-10-25T01:00:00Z", "to = 2026-10-25T01:00:30Z"): "to: 2026-10-25T01:00:30+00:00 is not a whole minute",
    ('month = "2026-10"', "from = 2026-10-01"): "a report is of a month, or from a day to a day",
    (str(SITES), "/nowhere/sites.toml"): "/nowhere/sites.toml: No such file or directory",
    ('name = "small"', 'name = "small"\nsede = 3'): "sede: no such key (did you mean seed?)",
    ('kind = "line_cut"', 'kind = "clock_jump"'): "fault[0] clock_jump: box is missing",
}


@pytest.mark.parametrize(("change", "message"), BAD.items(), ids=lambda each: str(each)[:30])
def test_bad_scenario_names_file_place_and_value(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    assert change[0] in GOOD
    file = tmp_path / "bad.toml"
    file.write_text(GOOD.replace(*change, 1))
    with pytest.raises(ConfigError) as error:
        checks.read(file)
    assert message in str(error.value)
    assert str(error.value).startswith((str(file), "/nowhere"))


def test_good_scenario_is_read(tmp_path: Path) -> None:
    file = tmp_path / "good.toml"
    file.write_text(GOOD)
    assert checks.read(file)[0].name == "small"


def test_scenario_needs_a_folder_and_an_empty_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "good.toml"
    file.write_text(GOOD)
    assert cli.main(["simulate", "--scenario", str(file)]) == 2
    assert "--output: a folder" in capsys.readouterr().err
    (tmp_path / "collector.db").touch()
    assert cli.main(["simulate", "--scenario", str(file), "--output", str(tmp_path)]) == 2
    assert f"{tmp_path / 'collector.db'}: it is there already" in capsys.readouterr().err


def test_truth_shares_no_code_with_what_judges() -> None:
    """It knows the script, the raw samples and plain tables: nothing of sla, report, store, sketches or statistics."""
    folder = ROOT / "collector" / "fibrewatch_collector" / "operator" / "scenario"
    files = [
        *sorted(folder.glob("truth*.py")),
        *(folder / f"{name}.py" for name in ("sites", "samples", "ways", "world")),
    ]
    assert len(files) == 11
    allowed = "fibrewatch_collector.operator.scenario"
    for file in files:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fibrewatch"):
                assert node.module == "fibrewatch.errors" or (node.module or "").startswith(allowed), file
