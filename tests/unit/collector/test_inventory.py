"""sites.toml: what it says, and each rule with a bad file and its exact message (the file's first line)."""

from pathlib import Path

import pytest

from fibrewatch.errors import ConfigError
from fibrewatch.wire import AgentId
from fibrewatch_collector.inventory import load_inventory

HERE = Path(__file__).parent
EXAMPLE = HERE.parents[2] / "deploy" / "sites.example.toml"
BAD = sorted((HERE / "bad_sites").glob("*.toml"))

TWO_UPLINKS = """
[[territory]]
id = "paris"
name = "Paris"
[[site]]
territory = "paris"
id = "cargo"
name = "Le Cargo"
city = "Paris"
latitude = 48
longitude = 2
time_zone = "Europe/Paris"
default_uplink = "fibre"
[[site.uplink]]
id = "fibre"
kind = "fibre"
download = "1 Gbit/s"
[[site.uplink]]
id = "4g"
kind = "mobile"
[[site.floor]]
id = "1"
companies = ["Vega Santé", "Onde Jeux"]
[[site.floor]]
id = "2"
companies = ["Onde Jeux"]
[[site.agent]]
id = "box-01"
floor = "2"
interfaces = { eth0 = "fibre", wwan0 = "4g" }
"""
BOX = AgentId("paris", "cargo", "box-01")


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_bad_file_is_refused_with_its_message(path: Path) -> None:
    expected = path.read_text("utf-8").splitlines()[0].removeprefix("# ")
    with pytest.raises(ConfigError) as caught:
        load_inventory(path)
    assert str(caught.value) == f"{path}: {expected}"


def test_every_rule_has_a_bad_file() -> None:
    assert len(BAD) == 84


def test_interfaces_ride_on_the_uplinks_they_name_and_all_others_on_the_default(tmp_path: Path) -> None:
    path = tmp_path / "sites.toml"
    path.write_text(TWO_UPLINKS)
    inventory = load_inventory(path)
    assert inventory.uplink_of(BOX, "wwan0") == "4g"
    assert inventory.uplink_of(BOX, "eth0") == "fibre"
    assert inventory.uplink_of(BOX, "wlan0") == "fibre"
    assert inventory.uplink_of(BOX, None) == "fibre"
    assert inventory.uplink_of(AgentId("paris", "cargo", "box-02"), None) is None


def test_who_is_known(tmp_path: Path) -> None:
    path = tmp_path / "sites.toml"
    path.write_text(TWO_UPLINKS)
    inventory = load_inventory(path)
    assert inventory.knows(BOX)
    assert not inventory.knows(AgentId("paris", "cargo", "box-02"))
    assert not inventory.knows(AgentId("lyon", "cargo", "box-01"))
    site = inventory.site_of(BOX)
    assert site is not None
    assert (site.companies, site.uplinks[0].download, site.uplinks[1].download) == (2, 1.25e8, None)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"sites\.toml: No such file or directory"):
        load_inventory(tmp_path / "sites.toml")


def test_shipped_example_has_fifty_paris_sites_and_san_francisco() -> None:
    inventory = load_inventory(EXAMPLE)
    paris = [site for site in inventory.sites.values() if site.territory == "paris"]
    abroad = [site for site in inventory.sites.values() if site.territory == "san-francisco"]
    assert len(paris) == 50
    assert {site.time_zone for site in abroad} == {"America/Los_Angeles"}
    assert all(48.8 < site.latitude < 48.91 and 2.24 < site.longitude < 2.42 for site in paris)
    assert any(uplink.kind == "mobile" for site in paris for uplink in site.uplinks)
    assert all(site.agents and site.companies for site in paris)
