"""deploy/: compose file and configurations, held to compose's schema and to the programs that read them."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from grafana import provision
from tests.support.collector import run_cli

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
THE_OPERATORS = ("./secrets/", "./sites.toml", "./rules")
CA = (sys.executable, "-m", "fibrewatch_collector.operator.cli", "ca")
PINNED = re.compile(r":v?\d+\.\d+\.\d+\Z")


def checked(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# ---- compose


def test_compose_file_is_of_composes_schema() -> None:
    checked(
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        str(DEPLOY / "compose.yaml"),
    )


def test_services_are_those_that_a_server_needs() -> None:
    assert set(SERVICES) == {"mosquitto", "collector", "prometheus", "alertmanager", "grafana"}


@pytest.mark.parametrize("name", SERVICES)
def test_service_is_pinned_healthy_and_may_write_into_its_volume_alone(name: str) -> None:
    service = SERVICES[name]
    assert PINNED.search(service["image"])
    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    writable = [each.partition(":")[0] for each in service["volumes"] if not each.endswith(":ro")]
    assert [each for each in writable if each != "./secrets/authority" or name != "collector"] == [name]
    assert name in COMPOSE["volumes"]


def test_only_the_doors_of_boxes_are_open_to_the_network() -> None:
    ports = {name: service["ports"] for name, service in SERVICES.items()}
    found = [port for each in ports.values() for port in each if not port.startswith("127.0.0.1:")]
    assert found == ["8883:8883", "8481:8481"]


def test_there_are_no_passwords_but_in_files_that_must_be_there() -> None:
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|TOKEN", name):
                assert name.endswith("__FILE")
                assert value.removeprefix("/run/secrets/") in service["secrets"]
    assert all(each["file"].startswith("./secrets/") for each in COMPOSE["secrets"].values())
    assert {name for service in SERVICES.values() for name in service.get("secrets", ())} == set(COMPOSE["secrets"])


def test_files_that_are_mounted_are_there_but_for_the_operators_own() -> None:
    for service in SERVICES.values():
        for each in service["volumes"]:
            source = each.partition(":")[0]
            if source.startswith(".") and not source.startswith(THE_OPERATORS):
                assert (DEPLOY / source).exists(), source


def test_grafana_has_the_environment_that_its_files_name() -> None:
    named = {name for text in provision.files().values() for name in re.findall(r"(?<!\$)\$(\w+)", text)}
    assert named <= set(SERVICES["grafana"]["environment"])


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("mosquitto", "/mosquitto/data"),
        ("prometheus", "/prometheus"),
        ("alertmanager", "/alertmanager"),
        ("grafana", "/var/lib/grafana"),
        ("collector", "/var/lib/fibrewatch"),
    ],
)
def test_volume_lies_where_the_image_has_a_folder_of_its_own_user(name: str, path: str) -> None:
    """A new volume takes its owner from there; anywhere else it is root's, and the service can't write."""
    assert f"{name}:{path}" in SERVICES[name]["volumes"]


def test_image_of_the_collector_runs_an_installed_command_and_has_what_reports_need() -> None:
    lines = (DEPLOY / "Containerfile").read_text("utf-8")
    assert all(PINNED.search(each.split("-slim")[0]) for each in re.findall(r"FROM (\S+)", lines))
    command = re.search(r'ENTRYPOINT \["(.+)"\]', lines)
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
    assert command and command[1] in scripts
    demo = re.search(r'demo\) packages="([^"]+)"', (DEPLOY / "set-up").read_text("utf-8"))
    assert demo and {"libpangoft2-1.0-0", "libharfbuzz-subset0", "fonts-lato"} <= set(demo[1].split()) & set(
        lines.split()
    )


# ---- what each program says of its configuration


def test_collector_takes_its_configuration(tmp_path: Path) -> None:
    checked(*CA, "init", "--broker", "broker.example.net", "--join", "localhost", "--folder", str(tmp_path))
    checked(*CA, "collector", "--folder", str(tmp_path), "--out", str(tmp_path / "collector_certificate"))
    shutil.copy(DEPLOY / "sites.example.toml", tmp_path / "sites.toml")
    text = (DEPLOY / "collector.compose.toml").read_text("utf-8")
    for folder in ("/etc/fibrewatch", "/run/secrets", "/var/lib/fibrewatch-authority", "/var/lib/fibrewatch"):
        text = text.replace(f"{folder}/", f"{tmp_path}/").replace(f'{folder}"', f'{tmp_path}"')
    (tmp_path / "collector.toml").write_text(text, "utf-8")
    done = run_cli("check-config", "--config", str(tmp_path / "collector.toml"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_containers_broker_differs_by_where_the_collector_comes_from() -> None:
    """What binds a box to its tree is tested where the broker's configuration is."""
    own, compose = ((DEPLOY / f"mosquitto/{name}.conf").read_text("utf-8") for name in ("fibrewatch", "compose"))
    settings = [[line for line in text.splitlines() if line and line[0] != "#"] for text in (own, compose)]
    changed = {"listener 8884 127.0.0.1": "listener 8884"}
    changed["persistence_location /var/lib/mosquitto/"] = "persistence_location /mosquitto/data/"
    assert [changed.get(line, line) for line in settings[0]] == settings[1]
    mounted = {each.split(":")[1] for each in SERVICES["mosquitto"]["volumes"]}
    named = re.findall(r"^(?:acl|ca|cert|crl|key)_?file (\S+)", compose, re.MULTILINE)
    assert set(named) <= mounted
    assert "/mosquitto/data" in mounted


def test_prometheus_takes_its_configuration() -> None:
    checked("promtool", "check", "config", str(DEPLOY / "prometheus/prometheus.yml"))
    config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text("utf-8"))
    assert (config["global"]["scrape_interval"], config["global"]["evaluation_interval"]) == ("5s", "10s")


def routed(config: Path, **labels: str) -> str:
    words = [f"{name}={value}" for name, value in labels.items()]
    return checked("amtool", "config", "routes", "test", f"--config.file={config}", *words).strip()


def test_alertmanager_takes_its_configuration_and_tickets_are_no_pages() -> None:
    config = DEPLOY / "alertmanager/alertmanager.yml"
    checked("amtool", "check-config", str(config))
    assert routed(config, severity="page", alertname="SiteDown") == "page"
    assert routed(config, severity="ticket", alertname="SpoolGrowing") == "ticket"
    assert routed(config, alertname="Anything") == "page"


def test_grafanas_policies_lead_to_the_same_places(tmp_path: Path) -> None:
    """Written as Alertmanager's routes, which Grafana's policies are."""
    (root,) = provision.policies()["policies"]
    points = [each["name"] for each in provision.contact_points()["contactPoints"]]
    route = {key: value for key, value in root.items() if key != "orgId"}
    route["routes"] = [
        {key: value for key, value in each.items() if key != "object_matchers"}
        | {"matchers": [f'{name}{sign}"{value}"' for name, sign, value in each["object_matchers"]]}
        for each in root["routes"]
    ]
    mutes = [
        {"name": each["name"], "time_intervals": each["time_intervals"]}
        for each in provision.mute_timings()["muteTimes"]
    ]
    config = tmp_path / "alertmanager.yml"
    whole = {"route": route, "receivers": [{"name": name} for name in points], "time_intervals": mutes}
    config.write_text(yaml.safe_dump(whole), "utf-8")
    checked("amtool", "check-config", str(config))
    assert routed(config, severity="page") == provision.PAGE
    assert routed(config, severity="ticket") == provision.TICKET
