"""The `fibrewatch` command line: what it takes, and that every error is one line and exit status 2."""

from pathlib import Path

import pytest

from fibrewatch import __version__
from fibrewatch_collector.inventory import load_inventory
from fibrewatch_collector.operator import cli
from tests.support.mosquitto import free_port


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    """Exit status, standard output, standard error."""
    try:
        status = cli.main(argv)
    except SystemExit as e:
        status = e.code if isinstance(e.code, int) else 0
    said = capsys.readouterr()
    return status, said.out, said.err


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ((), "the following arguments are required: COMMAND"),
        (("dmeo",), "invalid choice: 'dmeo'"),
        (("demo", "--for", "soon"), "'soon' is not a duration such as \"60 s\""),
        (("demo", "--for", "30 parsecs"), "'30 parsecs': no such unit"),
        (("demo", "--for", "0"), "'0' is not above 0"),
        (("demo", "--port", "0"), "'0' is not a port"),
        (("demo", "--port", "65536"), "'65536' is not a port"),
        (("demo", "--target", 'a"b'), "'a\"b' is not a host name or address"),
        (("simulate",), "one of the arguments --sites --scenario is required"),
        (("simulate", "--sites", "0"), "'0' is not a whole number from 1 to 9999"),
        (("simulate", "--sites", "1", "--rate", "-3"), "'-3' is not above 0"),
        (("simulate", "--sites", "1", "--rate", "nan"), "'nan' is not above 0"),
        (("simulate", "--sites", "1", "--rate", "fast"), "'fast' is not a number"),
        (("simulate", "--sites", "1", "--broker", "here"), "'here' is not HOST:PORT"),
        (("simulate", "--sites", "1", "--probe", "pign"), "invalid choice: 'pign'"),
        (("sites", "--peer", "paris"), "'paris' is not TERRITORY/SITE or TERRITORY/SITE/AGENT"),
        (("mesh",), "one of the arguments --config --sites is required"),
        (("mesh", "--sites", "/nonexistent.toml"), "/nonexistent.toml: No such file or directory"),
        (("mesh", "--sites", "x", "--agent", "a/b/c", "--out", "d"), "not allowed with argument"),
        (("check-config",), "one of the arguments --config --sites is required"),
        (("check-config", "--sites", "/nonexistent.toml"), "/nonexistent.toml: No such file or directory"),
    ],
)
def test_a_wrong_command_line_is_told_in_one_line(
    capsys: pytest.CaptureFixture[str], argv: tuple[str, ...], words: str
) -> None:
    status, out, err = run(capsys, *argv)
    assert (status, out) == (2, "")
    assert words in err
    assert err.startswith("fibrewatch: ")
    assert err.count("\n") == 1


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--version") == (0, f"fibrewatch {__version__}\n", "")


def test_a_broker_that_is_not_there_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    status, _, err = run(capsys, "simulate", "--sites", "1", "--broker", f"127.0.0.1:{port}")
    assert (status, err) == (2, f"fibrewatch: broker 127.0.0.1:{port}: Connection refused\n")


def test_a_collector_that_is_not_there_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    status, _, err = run(capsys, "sites", "--api", f"http://127.0.0.1:{port}")
    assert status == 2
    assert err.startswith(f"fibrewatch: http://127.0.0.1:{port}/api/v1/sites: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("url", ["", "x", "ftp://x", "http://", "http://[::1", "http://x:99999", "http://a\udcff"])
def test_what_is_no_url_is_told_in_one_line(capsys: pytest.CaptureFixture[str], url: str) -> None:
    status, _, err = run(capsys, "sites", "--api", url)
    assert (status, err) == (2, f"fibrewatch: {url!r} is no URL such as http://127.0.0.1:8480\n")


def test_the_sites_of_simulated_boxes_make_a_good_inventory(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "sites.toml"
    assert run(capsys, "simulate", "--sites", "3", "--agents", "2", "--write-sites", str(file))[0] == 0
    assert len(load_inventory(file).agents) == 6
    assert run(capsys, "check-config", "--sites", str(file)) == (0, "ok: 3 sites, 6 agents\n", "")


def test_a_collectors_config_is_checked_with_the_sites_it_names(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "collector.toml").write_text('sites = "nowhere.toml"\n')
    status, _, err = run(capsys, "check-config", "--config", str(tmp_path / "collector.toml"))
    assert (status, err) == (2, f"fibrewatch: {tmp_path}/nowhere.toml: No such file or directory\n")


@pytest.mark.parametrize(("text", "seconds"), [("30", 30), ("30s", 30), ("30 s", 30), ("1.5 min", 90), ("500 ms", 0.5)])
def test_durations_take_a_unit_or_mean_seconds(text: str, seconds: float) -> None:
    arguments = cli.parser().parse_args(["demo", "--for", text])
    assert arguments.for_s == seconds
