"""What a preset makes of the targets' roles, and what the config says itself."""

from pathlib import Path

from fibrewatch.results import http, path, stamp
from fibrewatch_agent.config import AgentConfig, Plan, load_config

SITE = """
[agent]
territory = "paris"
site = "cargo"
name = "box-01"
[broker]
host = "broker.example.net"
[schedule]
preset = "site"
[targets.near]
address = "192.0.2.53"
role = "operator"
[targets.far]
address = "198.51.100.1"
role = "neutral"
[targets.r1]
address = "r1.example.net"
role = "responder"
"""


def load(folder: Path, text: str, *, wireless: bool = False) -> AgentConfig:
    """As on a box with or without a radio."""
    (folder / "agent.toml").write_text(text)
    radio = folder / "sys/class/net/wlan0/phy80211"
    if wireless:
        radio.mkdir(parents=True)
    return load_config(folder / "agent.toml", sys=folder / "sys")


def plans(config: AgentConfig, test: str) -> list[Plan]:
    return [plan for plan in config.plans if plan.test == test]


def targets(config: AgentConfig, test: str) -> list[str]:
    return [plan.target.name for plan in plans(config, test) if plan.target]


def test_site_measures_each_stretch_of_the_way(tmp_path: Path) -> None:
    config = load(tmp_path, SITE)
    assert targets(config, "ping") == ["default-gateway", "first-hop", "near", "far"]
    assert targets(config, "stamp") == ["r1"]
    assert plans(config, "stamp")[0].params == stamp.Params(interval_s=0.1)
    assert targets(config, "path") == ["near", "far", "r1"]
    assert all(plan.on_loss and plan.every_s == 300 for plan in plans(config, "path"))
    assert plans(config, "path")[0].params == path.Params()
    assert plans(config, "ping")[1].toward == ("192.0.2.53", "198.51.100.1", "r1.example.net")
    assert plans(config, "ping")[0].toward == ()


def test_radio_is_looked_at_where_there_is_one(tmp_path: Path) -> None:
    config = load(tmp_path, SITE.replace('preset = "site"', 'preset = "site"\ninterface = "eth7"'), wireless=True)
    pace = {
        test: [(plan.every_s, plan.interface) for plan in plans(config, test)] for test in ("wifi_link", "wifi_scan")
    }
    assert pace == {"wifi_link": [(60, None)], "wifi_scan": [(900, None)]}


def test_radio_is_left_out_where_there_is_none_or_it_is_not_wanted(tmp_path: Path) -> None:
    assert not [plan for plan in load(tmp_path, SITE).plans if plan.test.startswith("wifi")]
    without = SITE.replace('preset = "site"', 'preset = "site"\nwithout = ["wifi_scan"]')
    assert {p.test for p in load(tmp_path, without, wireless=True).plans if p.test.startswith("wifi")} == {"wifi_link"}


def test_gateway_and_access_that_are_named_are_not_looked_for(tmp_path: Path) -> None:
    named = (
        '[targets.router]\naddress = "192.0.2.1"\nrole = "gateway"\n'
        '[targets.bng]\naddress = "192.0.2.2"\nrole = "access"\n'
    )
    assert targets(load(tmp_path, SITE + named), "ping") == ["near", "far", "router", "bng"]


def test_test_of_ones_own_stands_instead_of_the_preset_s(tmp_path: Path) -> None:
    config = load(tmp_path, SITE + '[tests.stamp]\nprobe = "stamp"\ntargets = ["r1"]\nparams = { interval = "1 s" }\n')
    assert [plan.params for plan in plans(config, "stamp")] == [stamp.Params(interval_s=1.0)]


def test_tests_left_out_are_not_run(tmp_path: Path) -> None:
    config = load(tmp_path, SITE.replace('"site"', '"site"\nwithout = ["dhcp", "voice"]\ninterface = "eth7"'))
    assert {plan.test for plan in config.plans} == {"ping", "stamp", "path", "lan"}
    assert {plan.interface for plan in config.plans} == {"eth7"}


def test_services_are_what_the_target_says_else_a_web_server(tmp_path: Path) -> None:
    more = """
[targets.www]
address = "www.example.net"
role = "service"
[targets.cache]
address = "2001:db8::7"
role = "service"
[targets.portal]
address = "portal.example.net"
role = "service"
services = ["http"]
[targets.clock]
address = "192.0.2.123"
role = "operator"
services = ["ntp", "dns"]
"""
    config = load(tmp_path, SITE + more)
    found = {test: targets(config, test) for test in ("dns", "tcp", "tls", "http", "https", "ntp")}
    assert found == {
        "dns": ["www", "clock"],
        "tcp": ["www", "cache"],
        "tls": ["www"],
        "http": ["portal"],
        "https": ["www"],
        "ntp": ["clock"],
    }
    assert plans(config, "https")[0].params == http.Params(scheme="https", max_body=65536)


def test_mobile_line_gets_a_tenth_of_the_packets(tmp_path: Path) -> None:
    config = load(tmp_path, SITE.replace('"site"', '"mobile"'))
    assert [plan.params.interval_s for plan in plans(config, "stamp")] == [1.0]
    assert [plan.params.interval_s for plan in plans(config, "ping")] == [5.0] * 4
