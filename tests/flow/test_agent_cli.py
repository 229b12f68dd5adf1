"""The box's command line as a user meets it: exit statuses, one-line errors, what is printed."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fibrewatch import __version__, wire
from tests.support.mosquitto import Mosquitto, free_port, wait_for_port
from tests.support.small_disk import small_disk

CONFIG = """
[agent]
territory = "paris"
site = "cargo"
name = "box-01"
state_dir = "{folder}/state"
[clock]
trusted = true
[broker]
host = "127.0.0.1"
port = {port}
[targets.loop]
address = "127.0.0.1"
role = "gateway"
[tests.ping]
probe = "ping"
targets = ["loop"]
"""


def agent(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fibrewatch_agent", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    path = tmp_path / "agent.toml"
    path.write_text(CONFIG.format(folder=tmp_path, port=free_port()))
    return path


def test_version_is_printed() -> None:
    done = agent("--version")
    assert (done.returncode, done.stdout) == (0, f"fibrewatch-agent {__version__}\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND; see fibrewatch-agent --help"),
        (["nope"], "argument COMMAND: invalid choice: 'nope'"),
        (["run", "--config", "/nowhere/agent.toml"], "/nowhere/agent.toml: No such file or directory"),
        (["--config", "/nowhere/agent.toml", "check-config"], "/nowhere/agent.toml: No such file or directory"),
        (["once"], "the following arguments are required: PROBE; see fibrewatch-agent once --help"),
        (["once", "pign", "--target", "::1"], "once: 'pign': no such probe (did you mean ping?)"),
        (["once", "spool"], "once: 'spool' is written by the agent itself and can't be scheduled"),
        (["once", "ping"], "--target: missing: ping needs one"),
        (["once", "ping", "--targte", "::1"], "unrecognized arguments: --targte ::1; see fibrewatch-agent --help"),
        (["once", "ping", "--target", "::1", "--family", "5"], "argument --family: invalid choice: 5"),
        (["once", "ping", "--target", "::1", "--interface", "a b"], "--interface: 'a b' is not an interface's name"),
        (["once", "ping", "--target", "::1", "--window", "soon"], "--window: 'soon' is not a duration such as"),
        (["once", "ping", "--target", "::1", "--window", "0 s"], "--window: '0 s' is not between 0 and 1 h"),
        (["once", "ping", "--target", "::1", "--param", "interval"], "--param: 'interval' is not KEY=VALUE"),
        (
            ["once", "ping", "--target", "::1", "--param", "intervall=1 s"],
            "--param.intervall: no such key (did you mean interval?)",
        ),
        (["once", "ping", "--target", "::1", "--param", "interval=1"], "--param.interval: 1 has no unit"),
        (["once", "throughput", "--target", "::1"], "--param: direction is missing"),
        (["responder", "--ports", "9-1"], "--ports: '9-1' is not FIRST-LAST within 1 and 65535"),
        (["responder", "--ports", "1" * 5000], f"--ports: '{'1' * 5000}' is not FIRST-LAST within 1 and 65535"),
        (["responder", "--bind", ""], "--bind: '' is not a numeric address"),
        (["responder", "--bind", "localhost"], "--bind: 'localhost' is not a numeric address"),
        (["responder", "--reflector-key", "/nowhere"], "--reflector-key: /nowhere: No such file or directory"),
        (["responder", "--reflector-key", "/dev/null"], "--reflector-key: /dev/null: a key has 16 bytes at least"),
        (["once", "ping", "--target", "::1", "--param", f"x={'[' * 3000}"], "--param.x: no such key"),
        (["doctor", "--log-level", "loud"], "argument --log-level: invalid choice: 'loud'"),
    ],
)
def test_error_is_one_line_and_exit_status_2(arguments: list[str], message: str) -> None:
    done = agent(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"fibrewatch-agent: {message}")
    assert done.stderr.count("\n") == 1


def test_state_folder_on_a_read_only_disk_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(CONFIG.format(folder=tmp_path, port=1883))
    with small_disk(tmp_path / "state", "1m") as disk:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        done = agent("run", "--config", str(path))
    assert done.returncode == 2
    assert done.stderr == f"fibrewatch-agent: {path}: agent.state_dir: {tmp_path}/state: Read-only file system\n"


def test_state_folder_that_can_not_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file is in the way")
    path = tmp_path / "agent.toml"
    path.write_text(CONFIG.format(folder=tmp_path, port=1883))
    done = agent("run", "--config", str(path))
    assert done.returncode == 2
    assert done.stderr == f"fibrewatch-agent: {path}: agent.state_dir: {tmp_path}/state: File exists\n"


def test_config_is_checked_before_and_after_the_command(config: Path) -> None:
    for arguments in (["--config", str(config), "check-config"], ["check-config", "--config", str(config)]):
        done = agent(*arguments)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines()[0] == f"{config}: ok: paris/cargo/box-01, 1 tests against 1 targets"


def test_once_prints_one_measurement_as_it_would_be_sent() -> None:
    done = agent(
        "once", "ping", "--target", "127.0.0.1", "--window", "1 s", "--param", "interval=100 ms", "--family=4", "--json"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 1
    measurement = wire.decode_measurement(done.stdout.encode())
    assert (measurement.outcome, measurement.test, measurement.family) == ("ok", "once", 4)
    assert measurement.target is not None
    assert measurement.target.address == "127.0.0.1"
    assert 9 <= measurement.result.sent <= 11
    assert measurement.result.lost == 0


def test_once_takes_a_target_by_its_name_in_the_config(config: Path) -> None:
    done = agent("once", "ping", "--target", "loop", "--window", "500 ms", "--config", str(config), "--json")
    target = json.loads(done.stdout)["target"]
    assert target == {"name": "loop", "role": "gateway", "address": "127.0.0.1"}


def test_once_tells_a_person_in_units_that_people_use() -> None:
    done = agent("once", "ping", "--target", "::1", "--window", "500 ms", "--param", "interval=100 ms")
    assert done.returncode == 0
    assert done.stdout.startswith("ping to ::1: ok, valid, 0.5 s from ")
    assert "  rtt_p50            0.0" in done.stdout
    assert " ms\n" in done.stdout


def test_once_that_fails_ends_with_1_and_says_why() -> None:
    done = agent("once", "ping", "--target", "no.such.name.invalid", "--window", "500 ms")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("ping to no.such.name.invalid: failed, ")


def test_interrupt_is_one_line_and_no_traceback() -> None:
    command = [sys.executable, "-m", "fibrewatch_agent", "--log-level", "debug", "once", "ping"]
    with subprocess.Popen([*command, "--target", "::1", "--window", "1 h"], stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        assert "Using selector" in child.stderr.readline()  # the loop is there: the interrupt meets a run
        child.send_signal(signal.SIGINT)
        rest = child.stderr.read()
        assert child.wait(30) == 2
    assert rest.endswith("fibrewatch-agent: interrupted\n")
    assert "Traceback" not in rest


def test_heavy_imports_stay_out_of_the_short_commands(config: Path) -> None:
    code = (
        "import sys\nfrom fibrewatch_agent.cli import run\n"
        f"run(['check-config', '--config', {str(config)!r}])\n"
        "run(['once', 'ping', '--target', '::1', '--window', '100 ms'])\n"
        "print(sorted({'aiomqtt', 'paho', 'psutil', 'sqlite3'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_doctor_is_content_with_a_box_that_lacks_nothing(config: Path, tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:
        config.write_text(CONFIG.format(folder=tmp_path, port=broker.port))
        done = agent("doctor", "--config", str(config))
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    names = [line.split()[1] for line in done.stdout.splitlines() if not line.startswith(" ")]
    host = ["clock", "time", "ICMP", "packets", "capabilities", "IPv6", "radio", "port"]
    assert names == ["config", *host, "iperf3", "scapy", "state", "disk", "gateway", "resolvers", "broker"]


def test_doctor_names_the_command_that_mends_each_fault(config: Path, tmp_path: Path) -> None:
    text = CONFIG.format(folder=tmp_path / "gone", port=free_port()).replace("trusted = true", "")
    config.write_text(f'{text}interface = "fibre9"\n')
    done = agent("doctor", "--config", str(config))
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert not done.stderr
    remedies = {line.split()[1]: lines[i + 1].split("→ ")[1] for i, line in enumerate(lines) if line.startswith("FAIL")}
    assert remedies["interface"] == "ip -br link"
    assert remedies["broker"].startswith("nc -vz 127.0.0.1 ")
    assert remedies["state"].endswith(f"{tmp_path}/gone/state")


def test_doctor_says_what_is_wrong_with_the_config(config: Path) -> None:
    config.write_text(config.read_text().replace('"ping"', '"pign"'))
    done = agent("doctor", "--config", str(config))
    assert done.returncode == 1
    assert f"FAIL  config       {config}: tests.ping.probe: 'pign': no such probe (did you mean ping?)" in done.stdout


def test_responder_is_told_by_a_signal_to_end() -> None:
    port = free_port()
    command = [sys.executable, "-m", "fibrewatch_agent", "responder", "--ports", str(port)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as child:
        wait_for_port(port)
        child.send_signal(signal.SIGTERM)
        assert child.wait(30) == 0
