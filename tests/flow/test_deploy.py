"""deploy/: compose file and configurations, held to compose's schema and to the programs that read them."""

import asyncio
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
import yaml

from grafana import provision
from tests.support.certificates import Authority
from tests.support.collector import run_cli
from tests.support.mosquitto import BINARY, free_port, wait_for_port

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
THE_OPERATORS = ("./secrets/", "./sites.toml", "./rules")
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
    writable = [each for each in service["volumes"] if not each.endswith(":ro")]
    assert [each.partition(":")[0] for each in writable] == [name]
    assert name in COMPOSE["volumes"]


def test_only_the_broker_is_open_to_the_network() -> None:
    ports = {name: service["ports"] for name, service in SERVICES.items()}
    assert ports.pop("mosquitto") == ["8883:8883"]
    assert all(port.startswith("127.0.0.1:") for each in ports.values() for port in each)


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
    for name in ("ca", "collector_certificate", "collector_key"):
        (tmp_path / name).touch()
    shutil.copy(DEPLOY / "sites.example.toml", tmp_path / "sites.toml")
    text = (DEPLOY / "collector.compose.toml").read_text("utf-8")
    for folder in ("/etc/fibrewatch", "/run/secrets", "/var/lib/fibrewatch"):
        text = text.replace(folder, str(tmp_path))
    (tmp_path / "collector.toml").write_text(text, "utf-8")
    done = run_cli("check-config", "--config", str(tmp_path / "collector.toml"))
    assert done.returncode == 0, done.stdout + done.stderr


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


# ---- the broker, with certificates


class Broker:
    """Mosquitto with deploy's own configuration; only paths and port are others."""

    def __init__(self, folder: Path) -> None:
        self.authority, self.port = Authority(folder / "ca"), free_port()
        (folder / "data").mkdir()
        own = self.authority.certificate("broker")
        shutil.copy(DEPLOY / "mosquitto/acl", folder / "acl")
        (folder / "acl").chmod(0o600)
        text = (DEPLOY / "mosquitto/mosquitto.conf").read_text("utf-8")
        for name, path in (
            ("/mosquitto/certs/ca.pem", self.authority.pem),
            ("/mosquitto/certs/broker.pem", own),
            ("/mosquitto/certs/broker.key", own),
            ("/mosquitto/config/acl", folder / "acl"),
            ("/mosquitto/data/", f"{folder / 'data'}/"),
            ("listener 8883", f"user root\nlistener {self.port} 127.0.0.1"),
        ):
            assert name in text
            text = text.replace(name, str(path))
        (folder / "mosquitto.conf").write_text(text, "utf-8")
        self.process = subprocess.Popen([BINARY, "-c", str(folder / "mosquitto.conf")], stderr=subprocess.DEVNULL)
        wait_for_port(self.port)

    def client(self, name: str) -> aiomqtt.Client:
        own = self.authority.certificate(name.replace("/", "-"), subject="/CN=" + name.replace("/", r"\/"))
        tls = aiomqtt.TLSParameters(ca_certs=str(self.authority.pem), certfile=str(own), keyfile=str(own))
        return aiomqtt.Client("127.0.0.1", self.port, tls_params=tls)


async def heard(client: aiomqtt.Client, last: str) -> list[str]:
    """Topics that come until one does."""
    topics: list[str] = []
    async with asyncio.timeout(20):
        async for message in client.messages:
            topics.append(str(message.topic))
            if topics[-1] == last:
                break
    return topics


async def test_broker_lets_a_box_into_its_own_tree_alone(tmp_path: Path) -> None:
    broker = Broker(tmp_path)
    tree, others = "fibrewatch/v1/paris/cargo/box-01", "fibrewatch/v1/paris/cargo/box-02"
    try:
        async with broker.client("collector") as collector, broker.client("paris/cargo/box-01") as box:
            await collector.subscribe("fibrewatch/v1/+/+/+/up/#", qos=1)
            await box.subscribe("fibrewatch/v1/#", qos=1)
            await box.publish(f"{others}/up/results", b"{}", qos=1)
            await box.publish(f"{tree}/up/results", b"{}", qos=1)
            assert await heard(collector, f"{tree}/up/results") == [f"{tree}/up/results"]
            for topic in (f"{others}/down/ack", f"{tree}/down/ack", "fibrewatch/v1/paris/collector"):
                await collector.publish(topic, b"{}", qos=1)
            assert await heard(box, "fibrewatch/v1/paris/collector") == [
                f"{tree}/down/ack",
                "fibrewatch/v1/paris/collector",
            ]
        with pytest.raises(aiomqtt.MqttError):
            async with aiomqtt.Client("127.0.0.1", broker.port, timeout=5):
                pass
    finally:
        broker.process.kill()
        broker.process.wait()
