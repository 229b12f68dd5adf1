"""The collector as a process: real broker, real store, scripted boxes; metrics, API, page, bins, restarts, reloads."""

import gzip
import json
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fibrewatch.measurement import AnyMeasurement
from fibrewatch.wire import AgentId, Inventory, ScheduledTest, Status
from fibrewatch_collector.store.sqlite import SqliteStore
from tests.support.collector import MODULE, CollectorProcess, deliver, publish, run_cli, site
from tests.support.measurements import delivery, good, raw_window
from tests.support.mosquitto import Mosquitto
from tests.unit.collector.runs import window

CARGO, BOURSE = AgentId("paris", "cargo", "box-01"), AgentId("paris", "bourse", "box-01")
STREAMS = {CARGO: "0" * 15 + "1", BOURSE: "0" * 15 + "2"}
PROMTOOL = shutil.which("promtool") or "promtool"
CHROMIUM = shutil.which("chromium") or "chromium"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path) as started:
        yield started


@pytest.fixture
def collector(tmp_path: Path, broker: Mosquitto) -> Iterator[CollectorProcess]:
    sites = site("cargo", "box-01", mobile=True), site("bourse", "box-01")
    with CollectorProcess(tmp_path, broker.port, *sites) as started:
        yield started


def last_minutes(count: int) -> list[int]:
    """Starts of the last whole minutes, oldest first."""
    now = int(time.time()) // 60 * 60
    return [now - 60 * n for n in range(count, 0, -1)]


def windows(said: str, minutes: list[int]) -> list[AnyMeasurement]:
    return [window(name, start, interface="eth0") for start in minutes for name in said.split()]


def minutes_of(collector: CollectorProcess, name: str, uplink: str = "fibre") -> dict[str, int]:
    (found,) = [each for each in collector.site(name)["uplinks"] if each["id"] == uplink]
    minutes: dict[str, int] = found["minutes"]
    return minutes


async def test_results_become_metrics_states_bins_and_pages_and_survive_a_restart(
    collector: CollectorProcess, broker: Mosquitto
) -> None:
    minutes = last_minutes(3)
    await deliver(broker.port, CARGO, windows("gw dns far", minutes), STREAMS[CARGO])
    await deliver(broker.port, BOURSE, windows("gw -dns -far", minutes), STREAMS[BOURSE])
    await deliver(broker.port, BOURSE, windows("gw -dns -far", minutes), STREAMS[BOURSE])  # again: counted once
    collector.wait(lambda: collector.site("bourse")["state"] == "down", "the cut to be seen")
    assert collector.site("bourse")["cause"] == "access"
    assert collector.site("bourse")["lost_targets"] == ["dns", "far"]
    assert collector.site("cargo")["state"] == "up"
    collector.wait(lambda: minutes_of(collector, "bourse")["U"] == 3, "the bins")
    assert minutes_of(collector, "cargo")["A"] == 3
    _check_metrics(collector)
    _check_pages(collector)
    _check_page_in_browser(collector)
    _check_report(collector, minutes)
    row = collector.json("/api/v1/measurements?limit=1")["measurements"][0]

    assert collector.end() == 0
    collector.start()
    collector.wait(lambda: minutes_of(collector, "bourse")["U"] == 3, "the bins of before")
    collector.wait(lambda: collector.site("bourse")["state"] == "down", "the state of before")
    assert collector.json("/api/v1/measurements?limit=1")["measurements"][0] == row
    assert collector.site("bourse")["last_result"] == moment(minutes[-1] + 60)
    found = metrics(collector)
    assert found["fibrewatch_ping_sent_packets_total", "bourse", "far"] == 0
    assert found["fibrewatch_probe_success", "bourse", "far"] == 0


def moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")


def metrics(collector: CollectorProcess) -> dict[tuple[str, ...], float]:
    """(name, site, target or state …) → value."""
    _, body = collector.get("/metrics")
    found: dict[tuple[str, ...], float] = {}
    for family in text_string_to_metric_families(body.decode()):
        for sample in family.samples:
            labels = sample.labels
            key = [labels[name] for name in ("site", "target", "state", "cause", "uplink", "le") if labels.get(name)]
            found[sample.name, *key] = sample.value
    return found


def _check_metrics(collector: CollectorProcess) -> None:
    found = metrics(collector)
    assert found["fibrewatch_ping_sent_packets_total", "bourse", "far"] == 180
    assert found["fibrewatch_ping_lost_packets_total", "bourse", "far"] == 180
    assert found["fibrewatch_ping_lost_packets_total", "cargo", "far"] == 0
    assert found["fibrewatch_site_state", "bourse", "down"] == 1
    assert found["fibrewatch_site_state", "cargo", "down"] == 0
    assert found["fibrewatch_site_cause", "bourse", "access"] == 1
    assert found["fibrewatch_site_bins", "bourse", "U", "fibre"] == 3
    assert found["fibrewatch_collector_received_total",] == 27
    assert found["fibrewatch_collector_stored_total",] == 18
    assert found["fibrewatch_collector_duplicates_total",] == 9
    assert (found["fibrewatch_collector_broker_up",], found["fibrewatch_collector_store_up",]) == (1, 1)
    status, packed = collector.get("/metrics", **{"Accept-Encoding": "gzip"})
    assert status == 200
    text = gzip.decompress(packed)
    assert b"fibrewatch_site_info" in text
    checked = subprocess.run([PROMTOOL, "check", "metrics"], input=text, capture_output=True, timeout=60, check=False)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


def _check_report(collector: CollectorProcess, minutes: list[int]) -> None:
    """Over two days, so that a midnight meanwhile changes nothing; the command asks the API for the same."""
    days = [
        datetime.fromtimestamp(each, ZoneInfo("Europe/Paris")).strftime("%Y-%m-%d")
        for each in (minutes[0], time.time())
    ]
    words = {"site": "bourse", "from": days[0], "to": days[1]}
    found = collector.json(f"/api/v1/report?{urlencode(words)}")
    (uplink,) = found["uplinks"]
    assert (uplink["net"]["available"], uplink["net"]["unavailable"]) == (0, 3)
    status, page = collector.get(f"/sites/paris/bourse/report?lang=fr&{urlencode({'from': days[0], 'to': days[1]})}")
    assert (status, b'lang="fr"' in page) == (200, True)
    assert b"Indisponible" in page
    status, page = collector.get("/sites/paris/bourse/report")
    assert (status, b'lang="en"' in page) == (200, True)
    status, page = collector.get("/sites/paris/borse/report")
    assert (status, b"did you mean paris/bourse?" in page) == (400, True)
    assert sorted((each["target"], each["sent"], each["lost"]) for each in found["series"]) == [
        ("dns", 180, 180),
        ("far", 180, 180),
        ("gw", 180, 0),
    ]
    argv = [
        sys.executable,
        "-m",
        "fibrewatch_collector.operator.cli",
        "report",
        "--api",
        f"http://127.0.0.1:{collector.http}",
    ]
    said = subprocess.run(
        [*argv, "--site", "bourse", "--from", days[0], "--to", days[1], "--format", "csv"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "\nparis,bourse," in said.stdout
    wrong = subprocess.run(
        [*argv, "--site", "borse", "--month", "2026-01"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (wrong.returncode, len(wrong.stderr.splitlines())) == (2, 1)
    assert 'HTTP status 400: site: no "borse" in the inventory (did you mean bourse?)' in wrong.stderr


def _check_pages(collector: CollectorProcess) -> None:
    rows, after = [], 0
    while after is not None:
        page = collector.json(f"/api/v1/measurements?site=bourse&probe=ping&after={after}&limit=4")
        rows += page["measurements"]
        after = page["next"]
    assert [row["sequence"] for row in rows] == list(range(1, 10))
    assert rows[0]["measurement"]["target"] == {"name": "gw", "role": "gateway"}
    newest = max(row["measurement"]["started_at"] for row in rows)
    some = collector.json(f"/api/v1/measurements?site=bourse&target=far&begin={newest}")["measurements"]
    assert [row["measurement"]["target"]["name"] for row in some] == ["far"]
    (agent,) = [each for each in collector.json("/api/v1/agents")["agents"] if each["site"] == "bourse"]
    assert {run["target"]: run["outcome"] for run in agent["latest"]} == {"gw": "ok", "dns": "failed", "far": "failed"}


def _check_page_in_browser(collector: CollectorProcess) -> None:
    """The page as a browser has it after its first look at the API."""
    options = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking"
    options += f" --disable-component-update --disable-sync --user-data-dir={collector.folder}/chromium"
    url = f"http://127.0.0.1:{collector.http}/"
    argv = [CHROMIUM, *options.split(), "--virtual-time-budget=3000", "--dump-dom", url]
    shown = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False).stdout
    (row,) = re.findall(r"<tr><th scope=\"row\">Site bourse.*?</tr>", shown)
    assert 'class="state down"' in row
    assert "access line" in row
    assert "no answer: dns, far" in row
    assert re.search(r"A 0 +U 3 +N [0-5]", row)  # minutes that pass meanwhile are dark
    assert "1 down" in shown
    assert "1 up" in shown


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("limti=3", "limti: no such parameter (did you mean limit?)"),
        ("limit=0", 'limit: "0" is not a whole number from 1 to 1000'),
        ("limit=5000", 'limit: "5000" is not a whole number from 1 to 1000'),
        ("after=-1", f'after: "-1" is not a whole number from 0 to {2**63 - 1}'),
        ("site=Le%20Cargo", 'site: "Le Cargo" can be no site'),
        ("probe=", 'probe: "" can be no probe'),
        ("peer=paris", 'peer: "paris" can be no peer'),
        ("begin=yesterday", 'begin: "yesterday" is no moment such as 2026-10-01T00:00:00Z'),
        ("end=2026-10-01T00:00:00", 'end: "2026-10-01T00:00:00" has no time zone: end it with Z, or +02:00'),
    ],
)
def test_bad_parameter_is_named(shared: CollectorProcess, query: str, problem: str) -> None:
    status, body = shared.get(f"/api/v1/measurements?{query}")
    assert (status, json.loads(body)) == (400, {"error": problem})


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CollectorProcess]:
    folder = tmp_path_factory.mktemp("shared")
    with Mosquitto(folder) as started, CollectorProcess(folder, started.port, site("cargo", "box-01")) as collector:
        yield collector


def test_odd_requests_are_answered(shared: CollectorProcess) -> None:
    assert shared.get("/healthz") == (200, b"alive\n")
    assert shared.get("/nothing")[0] == 404
    assert shared.get("/api/v1/measurements?begin=2026-10-01T00:00:00+02:00")[0] == 200
    assert b"<title>fibrewatch</title>" in shared.get("/")[1]


async def test_box_that_falls_silent_is_unreachable_and_its_values_expire(
    collector: CollectorProcess, broker: Mosquitto
) -> None:
    tests = tuple(
        ScheduledTest(test="ping", probe="ping", mode="window", every_s=1, interval_s=0.1, target=name)
        for name in ("dns", "far")
    )
    await publish(broker.port, CARGO, Inventory(version="1", schedule=tests))
    status = Status(state="online", version="1.2.3", boot="00000000", at=datetime.now(UTC))
    await publish(broker.port, CARGO, status)
    started = time.time() - 1
    runs = [window(name, started, sent=10, duration_s=1.0) for name in ("dns", "far")]
    await deliver(broker.port, CARGO, runs, STREAMS[CARGO])
    name = "fibrewatch_ping_sent_packets_total"
    collector.wait(lambda: (name, "cargo", "far") not in metrics(collector), "the values to expire")
    found = metrics(collector)
    assert found["fibrewatch_probe_last_result_timestamp_seconds", "cargo", "far"] == pytest.approx(started + 1)
    collector.wait(lambda: collector.site("cargo")["state"] == "unreachable", "silence to be noticed")
    assert collector.site("cargo")["cause"] == "line_or_power"
    assert metrics(collector)["fibrewatch_agent_up", "cargo"] == 0
    assert collector.site("bourse")["state"] == "unknown"


async def test_without_its_broker_the_collector_is_not_ready_and_accuses_nobody(
    collector: CollectorProcess, broker: Mosquitto
) -> None:
    await deliver(broker.port, BOURSE, windows("gw -dns -far", last_minutes(1)), STREAMS[BOURSE])
    collector.wait(lambda: collector.site("bourse")["state"] == "down", "the cut to be seen")
    since = collector.site("bourse")["since"]
    broker.kill()
    collector.wait(lambda: collector.get("/readyz")[0] == 503, "the broker to be missed")
    assert collector.get("/readyz")[1] == b"the broker is not connected\n"
    assert (collector.site("bourse")["state"], collector.site("bourse")["cause"]) == ("unknown", "collector")
    assert collector.get("/healthz")[0] == 200
    broker.start()
    collector.wait(lambda: collector.get("/readyz")[0] == 200, "the broker to be back")
    collector.wait(lambda: collector.site("bourse")["state"] == "down", "the state of before")
    assert collector.site("bourse")["since"] == since


async def test_reload_takes_a_good_inventory_and_keeps_the_old_one_otherwise(
    collector: CollectorProcess, broker: Mosquitto
) -> None:
    new = AgentId("paris", "sentier", "box-01")
    await publish(broker.port, new, Status(state="online", version="9.9", boot="00000000", at=datetime.now(UTC)))
    collector.write_sites(site("bourse", "box-01"), site("sentier", "box-01"))
    _hang_up(collector)
    collector.wait(lambda: _names(collector) == ["bourse", "sentier"], "the new inventory")
    collector.wait(lambda: b'site="sentier",agent="box-01",version="9.9"' in collector.get("/metrics")[1], "its status")
    await deliver(broker.port, new, windows("gw dns far", last_minutes(1)), "0" * 15 + "3")
    collector.write_sites(site("bourse", "box-01"), site("bourse", "box-01"))
    _hang_up(collector)
    collector.wait(lambda: metrics(collector)["fibrewatch_collector_reload_failed",] == 1, "the refusal")
    assert _names(collector) == ["bourse", "sentier"]
    assert 'site "bourse": there is another site of this id in territory "paris"' in collector.log.read_text()


async def test_two_machines_under_one_id_are_told(collector: CollectorProcess, broker: Mosquitto) -> None:
    """As after a reboot, a second boot is none; the first that comes back is. The last will says nothing."""
    for boot, state in (
        ("aaaa", "online"),
        ("bbbb", "online"),
        ("aaaa", "offline"),
        ("aaaa", "online"),
        ("bbbb", "online"),
    ):
        await publish(broker.port, CARGO, Status(state=state, version="1", boot=boot, at=datetime.now(UTC)))
    collector.wait(lambda: metrics(collector)["fibrewatch_collector_twins_total",] == 2, "both returns")
    told = [line for line in collector.log.read_text().splitlines() if "two machines come under this id" in line]
    assert len(told) == 1 and "agent=paris/cargo/box-01" in told[0] and "(boots bbbb, aaaa)" in told[0]


def _hang_up(collector: CollectorProcess) -> None:
    assert collector.process is not None
    collector.process.send_signal(signal.SIGHUP)


def _names(collector: CollectorProcess) -> list[str]:
    return [each["site"] for each in collector.json("/api/v1/sites")["sites"]]


async def test_export_and_import_carry_measurements_and_bins_over(
    collector: CollectorProcess, broker: Mosquitto, tmp_path: Path
) -> None:
    minutes = last_minutes(3)
    await deliver(broker.port, CARGO, windows("gw dns far", minutes), STREAMS[CARGO])
    window_options = ["--from", moment(minutes[0]), "--to", moment(minutes[-1] + 60)]
    file = tmp_path / "all.ndjson"
    assert collector.run("export", *window_options, "--output", str(file)).returncode == 0
    assert collector.run("export", *window_options).stdout == file.read_text()
    assert len(file.read_text().splitlines()) == 9
    again = collector.run("import", str(file))
    assert (again.returncode, again.stdout.split(": ", 1)[1]) == (
        0,
        "9 lines: 0 stored, 9 were there, 0 conflicts, 0 refused; 0 bins restated\n",
    )


async def test_import_beside_the_running_collector_restates_its_bins(
    collector: CollectorProcess, broker: Mosquitto, tmp_path: Path
) -> None:
    minutes = last_minutes(3)
    other = tmp_path / "other"
    other.mkdir()
    await deliver(broker.port, BOURSE, windows("gw dns far", [minutes[0], minutes[2]]), STREAMS[BOURSE])
    collector.wait(lambda: minutes_of(collector, "bourse").items() >= {"A": 2, "U": 0}.items(), "the bins", 90)
    assert minutes_of(collector, "bourse")["N"] >= 1
    with Mosquitto(other) as there, CollectorProcess(other, there.port, site("bourse", "box-01")) as second:
        await deliver(there.port, BOURSE, windows("gw -dns -far", [minutes[1]]), "f" * 16)
        assert second.end() == 0
        span = ["--from", moment(minutes[0]), "--to", moment(minutes[2] + 60)]
        for new in (3, 0):
            assert f"{new} stored, {3 - new} were there, 0 conflicts, 0 refused" in piped(second, collector, span)
    collector.wait(lambda: minutes_of(collector, "bourse")["U"] == 1, "the restated bin", 90)


def piped(source: CollectorProcess, to: CollectorProcess, span: list[str]) -> str:
    """`export | import -`, as two territories' machines do it; what the second printed."""
    argv = [*MODULE, "export", *span, "--config", str(source.config)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as exporting:
        argv = [*MODULE, "import", "-", "--config", str(to.config)]
        done = subprocess.run(argv, stdin=exporting.stdout, capture_output=True, text=True, timeout=60, check=True)
    assert exporting.returncode == 0
    return done.stdout


def _config(folder: Path, text: str = "") -> str:
    (folder / "sites.toml").write_text("")
    (folder / "collector.toml").write_text(text)
    return str(folder / "collector.toml")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["run", "--config", "/nowhere/collector.toml"], "/nowhere/collector.toml: No such file or directory"),
        (["--config", "/nowhere/c.toml", "check-config"], "/nowhere/c.toml: No such file or directory"),
        (["walk"], "invalid choice: 'walk'"),
        ([], "the following arguments are required: COMMAND"),
        (["export", "--from", "2026-10-01", "--to", "2026-11-01T00:00:00Z"], '--from: "2026-10-01" has no time zone'),
        (["export", "--from", "now", "--to", "2026-11-01T00:00:00Z"], '--from: "now" is no moment'),
        (["export", "--from", "2026-11-01T00:00:00Z", "--to", "2026-10-01T00:00:00Z"], "is not after --from"),
        (["import"], "the following arguments are required: FILE"),
    ],
)
def test_command_line_errors_are_one_line_and_status_2(argv: list[str], message: str) -> None:
    done = run_cli(*argv)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("fibrewatch-collector: ")
    assert message in done.stderr


def test_errors_of_files_are_one_line_and_status_2(tmp_path: Path) -> None:
    config = _config(tmp_path, '[store]\npath = "none.db"\n')
    export = ["--from", "2026-10-01T00:00:00Z", "--to", "2026-11-01T00:00:00Z"]
    for argv, message in (
        (["export", "--config", config, *export], "none.db: there is no store"),
        (["--config", config, "import", str(tmp_path / "none.ndjson")], "none.ndjson: No such file or directory"),
        (["check-config", "--config", str(tmp_path)], "Is a directory"),
    ):
        done = run_cli(*argv)
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
        assert message in done.stderr


def test_version_and_check_config(tmp_path: Path) -> None:
    assert run_cli("--version").stdout.startswith("fibrewatch-collector ")
    config = _config(tmp_path)
    assert (
        run_cli("--config", config, "check-config").stdout
        == f"{config}: ok: {tmp_path}/sites.toml: 0 sites, 0 agents\n"
    )
    assert run_cli("check-config", "--config", config).returncode == 0


def test_port_in_use_is_one_line_and_status_2(shared: CollectorProcess, tmp_path: Path) -> None:
    config = _config(tmp_path, f'[store]\npath = "c.db"\n[http]\naddress = "127.0.0.1:{shared.http}"\n')
    done = run_cli("run", "--config", config)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert "address already in use" in done.stderr


def test_interrupt_ends_it_cleanly(collector: CollectorProcess) -> None:
    assert collector.end(signal.SIGINT) == 0
    assert "Traceback" not in collector.log.read_text()


def test_a_machine_whose_clock_is_behind_takes_nothing_until_it_is_set(tmp_path: Path, broker: Mosquitto) -> None:
    """Its data are of the day after tomorrow, so it is today's clock that is wrong; without them it is right again."""
    collector = CollectorProcess(tmp_path, broker.port, site("cargo", "box-01"))
    later = time.time() + 2 * 86400
    store = SqliteStore(tmp_path / "collector.db")
    store.commit([delivery(good(1, raw_window(later)), at=later + 60)])
    store.close()
    try:
        collector.launch()
        collector.wait(lambda: b"this machine's clock says" in collector.get("/readyz")[1], "the complaint")
        assert collector.get("/readyz")[0] == 503
        found = metrics(collector)
        assert found["fibrewatch_collector_clock_behind_seconds",] == pytest.approx(2 * 86400, abs=300)
        assert found["fibrewatch_collector_broker_up",] == 0
        with sqlite3.connect(tmp_path / "collector.db") as db:
            db.execute("DELETE FROM measurement")
        collector.wait(lambda: collector.get("/readyz")[0] == 200, "readiness")
        assert collector.log.read_text().count("this machine's clock says") == 1
    finally:
        assert collector.end() == 0


def test_sites_are_told_in_a_pipe_without_being_cut(collector: CollectorProcess) -> None:
    argv = [sys.executable, "-m", "fibrewatch_collector.operator.cli", "sites", "--api"]
    api = f"http://127.0.0.1:{collector.http}"
    done = subprocess.run([*argv, api], capture_output=True, text=True, timeout=60, check=True)
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert lines[0] == "site state cause since (UTC) minutes of the last day"
    (cargo,) = [line for line in lines if line.startswith("paris/cargo unknown unheard ")]
    assert cargo.endswith(" fibre A 0 U 0 N 0; 4g A 0 U 0 N 0")
    nobody = subprocess.run([*argv, f"{api}9"], check=False, capture_output=True, text=True, timeout=60)
    assert (nobody.returncode, len(nobody.stderr.splitlines())) == (2, 1)
