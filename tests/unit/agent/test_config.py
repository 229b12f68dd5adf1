"""Each rule of the agent's config has a bad file, and its exact message."""

from pathlib import Path

import pytest

from fibrewatch.errors import ConfigError
from fibrewatch.results import ping, throughput
from fibrewatch.wire import AgentId
from fibrewatch_agent.config import BrokerConfig, ClockConfig, SpoolConfig, TlsConfig, load_config, runnable
from fibrewatch_agent.tables import Control

BAD = Path(__file__).parent / "bad_configs"
EXAMPLE = Path(__file__).parents[3] / "deploy/agent.example.toml"

MESSAGES = {
    "quiet_hours": 'schedule.quiet_hours: \'8 to 19\' is not hours such as "22:00-06:00" or "mon-fri 08:30-19:00"',
    "time_zone": "schedule.time_zone: 'Europe/Pariss' is no time zone such as \"Europe/Paris\"",
    "quiet_hours_of_test": "tests.down.quiet_hours: '08:00-25:00': 25:00 is not a time of day",
    "unknown_uplink": "tests.down.uplink: 'fiber': no such uplink (did you mean fibre?)",
    "uplink_other_interface": "tests.down.interface: 'wwan0', but uplink 'fibre' is on 'eth0'",
    "uplinks_share_interface": "uplinks.lte.interface: eth0, as 'fibre': each needs its own",
    "router_no_credentials": "uplinks.fibre.router: either community (v2c) or user (v3) is needed",
    "router_both_credentials": "uplinks.fibre.router: either community (v2c) or user (v3) is needed, not both",
    "router_short_password": "uplinks.fibre.router: auth_password: 8 characters at least (RFC 3414 §11.2)",
    "router_no_privacy": "uplinks.fibre.router: privacy_password is missing: "
    "v3 is used with authentication and privacy",
    "small_budget": "uplinks.lte.monthly_budget: 5000: expected `int` >= 1000000",
    "uplink_bad_interface": "uplinks.lte.interface: 'the long interface name' is not an interface's name",
    "control_in_clear": "targets.dc.control: 'http://192.0.2.7:5200' would show the token to everyone on the way: "
    "https://",
    "control_no_url": "targets.dc.control: 'dc.example.net:5200' is not https://host:port",
    "control_unknown_box": "targets.dc.token: missing: without it, or a certificate in [broker.tls], "
    "the box is not known there",
    "token_without_control": "targets.dc.token: of no use without control",
    "bad_id": "agent.site: 'Cargo 12' is not an id of 1 to 20 of a-z, 0-9, -",
    "bad_interface": "tests.wan.interface: 'the very long interface' is not an interface's name",
    "bad_param": "tests.wan.params.intervall: no such key (did you mean interval?)",
    "bad_port": "broker.port: 70000: expected `int` <= 65535",
    "bad_target_name": "targets: 'the gateway' is not a name of 1 to 63 letters, digits, _ . : -",
    "bad_test_name": "tests: 'ping/v4' is not a name of 1 to 63 letters, digits, _ . : -",
    "bad_service": "targets.www.services[1]: 'htpt': invalid enum value 'htpt' (did you mean http?); "
    "one of dns, tcp, tls, http, https, ntp",
    "bad_unit": "spool.max_age: '30 days': no such unit; duration takes ms, s, min, h, d",
    "duplicate_target": "tests.wan.targets: 'gateway' is listed twice",
    "first_hop_of_nothing": 'targets.isp.address: "first-hop" needs a target beyond it: '
    "of role operator, neutral, responder or service",
    "event_probe": "tests.drops.probe: 'spool' is written by the agent itself and can't be scheduled",
    "no_broker": "broker is missing",
    "no_period": 'tests.download.every: missing: how often throughput runs, such as "1 h"',
    "no_such_family": "tests.wan.family: 5: invalid enum value 5; one of 4, 6",
    "no_target": "tests.wan.targets: missing: ping needs a target",
    "no_unit": 'broker.keepalive: 10 has no unit: write it as "60 s"',
    "not_toml": "not TOML: Expected ']' at the end of a table declaration (at line 1, column 7)",
    "on_loss_of_nothing": "tests.way.on_loss: the test has no target to lose",
    "on_loss_of_window": "tests.wan.on_loss: ping runs all the time",
    "param_missing": "tests.download.params: direction is missing",
    "param_out_of_range": "tests.wan.params.dscp: 64: expected `int` <= 63",
    "preset_unknown": "schedule.preset: 'sight': invalid enum value 'sight' (did you mean site?); one of site, mobile",
    "preset_without_targets": 'schedule.preset: "site" needs a target of role operator, neutral, responder or service',
    "preset_without_unknown": "schedule.without: 'dchp': the preset has no such test (did you mean dhcp?)",
    "reserved_test_name": "tests: 'spool' is reserved for the agent's own measurements",
    "short_window": "tests.wan.every: a window of 0.5 s is too short: 1 s at least",
    "small_spool": "spool.max_size: 1000: expected `int` >= 1048576",
    "target_without_role": "targets.gateway: role is missing",
    "tls_without_key": "broker.tls: key is missing: certificate and key go together",
    "unknown_key": "agent.nmae: no such key (did you mean name?)",
    "unknown_probe": "tests.wan.probe: 'pign': no such probe (did you mean ping?); one of " + ", ".join(runnable()),
    "unknown_role": "targets.gateway.role: 'gatway': invalid enum value 'gatway' (did you mean gateway?); "
    "one of gateway, access, operator, neutral, responder, service",
    "unknown_table": "spol: no such key (did you mean spool?)",
    "unknown_target": "tests.wan.targets: 'gatway': no such target (did you mean gateway?)",
    "window_not_in_minute": "tests.wan.every: a window of 45 s does not divide the minute (did you mean 60 s?)",
    "without_no_preset": 'schedule.without: means nothing without a preset: preset = "site"',
    "wrong_family": "tests.wan.targets: 'gateway' is 192.0.2.1, IPv4, but family is 6",
}


@pytest.mark.parametrize("name", sorted(path.stem for path in BAD.glob("*.toml")))
def test_bad_file_is_refused_with_file_place_value_and_nearest_word(name: str) -> None:
    path = BAD / f"{name}.toml"
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(caught.value) == f"{path}: {MESSAGES[name]}"
    assert caught.value.file == str(path)


def test_every_message_has_its_file() -> None:
    assert set(MESSAGES) == {path.stem for path in BAD.glob("*.toml")}


def write(folder: Path, text: str) -> Path:
    path = folder / "agent.toml"
    path.write_text(text)
    return path


MINIMAL = """
[agent]
territory = "paris"
site = "cargo"
name = "box-01"
[broker]
host = "broker.example.net"
"""


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml: No such file or directory$"):
        load_config(tmp_path / "nowhere.toml")


def test_minimal_file_takes_the_defaults(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, MINIMAL))
    assert config.agent == AgentId("paris", "cargo", "box-01")
    assert config.state_dir == Path("/var/lib/fibrewatch-agent")
    assert config.broker == BrokerConfig(host="broker.example.net", port=1883, keepalive_s=5.0)
    assert config.clock == ClockConfig(trusted=False, hold_s=600.0)
    assert config.spool == SpoolConfig(max_bytes=256 * 2**20, max_age_s=30 * 86400.0)
    assert config.plans == ()


def test_tls_moves_the_port_unless_it_is_set(tmp_path: Path) -> None:
    tls = '[broker.tls]\nca = "/ca.pem"\n'
    broker = load_config(write(tmp_path, MINIMAL + tls)).broker
    assert (broker.port, broker.tls) == (8883, TlsConfig(ca=Path("/ca.pem")))
    assert load_config(write(tmp_path, f"{MINIMAL}port = 1234\n{tls}")).broker.port == 1234


def test_test_becomes_one_plan_for_each_target(tmp_path: Path) -> None:
    text = """
[targets.gateway]
address = "192.0.2.1"
role = "gateway"
[targets.far]
address = "far.example.net"
role = "neutral"
[tests.wan]
probe = "ping"
targets = ["gateway", "far"]
every = "10 s"
interface = "eth0"
family = 4
[tests.wan.params]
interval = "200 ms"
"""
    first, second = load_config(write(tmp_path, MINIMAL + text)).plans
    assert (first.key, second.key) == ("wan/gateway", "wan/far")
    assert (first.address, second.address) == ("192.0.2.1", "far.example.net")
    assert first.target is not None
    assert (first.target.role, first.interface, first.family, first.every_s) == ("gateway", "eth0", 4, 10.0)
    assert first.params == ping.Params(interval_s=0.2)


def test_window_is_a_minute_unless_set(tmp_path: Path) -> None:
    text = (
        '[targets.gateway]\naddress = "192.0.2.1"\nrole = "gateway"\n'
        '[tests.wan]\nprobe = "ping"\ntargets = ["gateway"]\n'
    )
    assert load_config(write(tmp_path, MINIMAL + text)).plans[0].every_s == 60


def test_more_targets_than_a_status_can_name_are_refused(tmp_path: Path) -> None:
    targets = "".join(f'[targets.t{i}]\naddress = "192.0.2.1"\nrole = "neutral"\n' for i in range(201))
    with pytest.raises(ConfigError, match=r"targets: 201 targets, 200 at most$"):
        load_config(write(tmp_path, MINIMAL + targets))


def test_more_tests_than_an_inventory_can_hold_are_refused(tmp_path: Path) -> None:
    names = [f"t{i}" for i in range(101)]
    targets = "".join(f'[targets.{name}]\naddress = "192.0.2.1"\nrole = "neutral"\n' for name in names)
    tests = "".join(f'[tests.p{i}]\nprobe = "ping"\ntargets = {names}\n' for i in range(5))
    with pytest.raises(ConfigError, match=r"tests: 505 tests \(each target counts\), 500 at most$"):
        load_config(write(tmp_path, MINIMAL + targets + tests))


def test_shipped_example_is_good() -> None:
    config = load_config(EXAMPLE)
    assert [plan.key for plan in config.plans] == [
        "ping/default-gateway",
        "ping/first-hop",
        "ping/operator-dns",
        "ping/neutral",
        "stamp/responder-1",
        "stamp/responder-2",
        "voice/responder-1",
        "voice/responder-2",
        "path/operator-dns",
        "path/neutral",
        "path/responder-1",
        "path/responder-2",
        "dns/operator-dns",
        "dns/www",
        "tcp/www",
        "tls/www",
        "https/www",
        "ntp/time",
        "lan",
        "dhcp",
        "download/responder-1",
        "upload/responder-1",
    ]
    assert config.plans[-1].params == throughput.Params(direction="up")


FRAGMENT = """
[targets."san-francisco.soma.box-01"]
address = "198.51.100.51"
role = "responder"
peer = "san-francisco/soma/box-01"
[tests.mesh-stamp]
probe = "stamp"
targets = ["san-francisco.soma.box-01"]
params = { interval = "1 s", port = 8620 }
"""


def with_fragments(folder: Path, text: str = MINIMAL, **fragments: str) -> Path:
    path = write(folder, text)
    (folder / "agent.d").mkdir()
    for name, tables in fragments.items():
        (folder / "agent.d" / f"{name}.toml").write_text(tables)
    return path


def test_fragments_add_their_targets_and_tests(tmp_path: Path) -> None:
    path = with_fragments(tmp_path, a_mesh=FRAGMENT)
    (tmp_path / "agent.d" / ".b.toml").write_text("still being wri")
    (tmp_path / "agent.d" / "notes.txt").write_text("no TOML")
    config = load_config(path)
    (plan,) = config.plans
    assert plan.key == "mesh-stamp/san-francisco.soma.box-01"
    assert plan.target is not None
    assert (plan.target.peer, plan.address) == ("san-francisco/soma/box-01", "198.51.100.51")
    assert (plan.params.interval_s, plan.params.port) == (1.0, 8620)
    assert config.fragments == (str(tmp_path / "agent.d" / "a_mesh.toml"),)


def test_tests_and_targets_of_different_files_fit_together(tmp_path: Path) -> None:
    test = '[tests.wan]\nprobe = "ping"\ntargets = ["far"]\n'
    target = '[targets.far]\naddress = "192.0.2.1"\nrole = "neutral"\n'
    path = with_fragments(tmp_path, MINIMAL + test, b=target, a=test.replace("wan", "more"))
    assert [plan.key for plan in load_config(path).plans] == ["wan/far", "more/far"]


BAD_FRAGMENTS = {
    "not_toml": ("[targets", "", "not TOML: Expected ']' at the end of a table declaration (at end of document)"),
    "table": ('[broker]\nhost = "192.0.2.1"\n', "broker", "a fragment holds targets and tests only"),
    "word": ("[tests.x]\nprob = 1\n", "tests.x.prob", "no such key (did you mean probe?)"),
    "target_twice": (
        '[targets.gateway]\naddress = "192.0.2.9"\nrole = "gateway"\n',
        "targets.gateway",
        "{0}/agent.toml has one of this name already",
    ),
    "test_twice": (
        '[tests.wan]\nprobe = "ping"\ntargets = ["gateway"]\n',
        "tests.wan",
        "{0}/agent.toml has one of this name already",
    ),
    "no_target": (
        '[tests.x]\nprobe = "ping"\ntargets = ["gatway"]\n',
        "tests.x.targets",
        "'gatway': no such target (did you mean gateway?)",
    ),
    "test_name": (
        '[tests."a/b"]\nprobe = "ping"\n',
        "tests",
        "'a/b' is not a name of 1 to 63 letters, digits, _ . : -",
    ),
    "peer_ids": (
        '[targets.x]\naddress = "192.0.2.9"\nrole = "responder"\npeer = "soma"\n',
        "targets.x.peer",
        "'soma' is not TERRITORY/SITE/AGENT of a-z, 0-9, - (20 characters each at most)",
    ),
    "peer_itself": (
        '[targets.x]\naddress = "192.0.2.9"\nrole = "responder"\npeer = "paris/cargo/box-01"\n',
        "targets.x.peer",
        "'paris/cargo/box-01' is this box itself",
    ),
}


@pytest.mark.parametrize("name", BAD_FRAGMENTS)
def test_bad_fragment_is_refused_with_its_own_name(tmp_path: Path, name: str) -> None:
    text, place, problem = BAD_FRAGMENTS[name]
    own = (
        '[targets.gateway]\naddress = "192.0.2.1"\nrole = "gateway"\n'
        '[tests.wan]\nprobe = "ping"\ntargets = ["gateway"]\n'
    )
    path = with_fragments(tmp_path, MINIMAL + own, a="", **{name: text})
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    expected = [str(tmp_path / "agent.d" / f"{name}.toml"), place, problem.format(tmp_path)]
    assert str(caught.value) == ": ".join(part for part in expected if part)


def test_two_fragments_that_clash_are_both_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(with_fragments(tmp_path, a=FRAGMENT, b=FRAGMENT))
    folder = tmp_path / "agent.d"
    assert str(caught.value) == (
        f"{folder}/b.toml: targets.san-francisco.soma.box-01: {folder}/a.toml has one of this name already"
    )


def test_fragments_count_towards_the_limits(tmp_path: Path) -> None:
    targets = "".join(f'[targets.t{i}]\naddress = "192.0.2.1"\nrole = "neutral"\n' for i in range(200))
    with pytest.raises(ConfigError, match=r"targets: 201 targets, 200 at most$"):
        load_config(with_fragments(tmp_path, MINIMAL + targets, a=FRAGMENT))


def test_fragments_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL)
    (tmp_path / "agent.d").write_text("")
    with pytest.raises(ConfigError, match=r"agent\.d: Not a directory$"):
        load_config(path)


def test_control_shows_the_brokers_certificate_or_a_token_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(
        """
[agent]
territory = "paris"
site = "cargo"
name = "box-01"
[broker]
host = "127.0.0.1"
[broker.tls]
ca = "/ca.pem"
certificate = "/box.pem"
key = "/box.key"
[uplinks.fibre]
rate_down = "800 Mbit/s"
rate_up = "80 Mbit/s"
[targets.first]
address = "dc1.example.net"
role = "responder"
control = ["https://dc1.example.net:5200", "https://dc2.example.net:5200"]
[targets.second]
address = "dc2.example.net"
role = "responder"
control = "https://dc2.example.net:5200"
token = "/token"
[tests.down]
probe = "throughput"
targets = ["first", "second"]
every = "1 h"
params = { direction = "down" }
"""
    )
    first, second = (plan.control for plan in load_config(file).plans)
    assert first == Control(
        urls=("https://dc1.example.net:5200", "https://dc2.example.net:5200"),
        ca=Path("/ca.pem"),
        certificate=Path("/box.pem"),
        key=Path("/box.key"),
        rate_down=1e8,
        rate_up=1e7,
    )
    assert second is not None
    assert (second.certificate, second.key, second.token) == (None, None, Path("/token"))
