"""The directions of imports that DESIGN fixes, read from the source."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {"fibrewatch": ROOT / "core", "fibrewatch_agent": ROOT / "agent", "fibrewatch_collector": ROOT / "collector"}
MQTT = {
    "fibrewatch_agent.uplink",
    "fibrewatch_collector.mqtt",
    "fibrewatch_collector.operator.simulate",
}
PURE = {
    "fibrewatch.emodel",
    "fibrewatch.metric",
    "fibrewatch.measurement",
    "fibrewatch.schedule",
    "fibrewatch.sketch",
    "fibrewatch.stats",
    "fibrewatch.wire",
    "fibrewatch_agent.line.baseline",
    "fibrewatch_agent.line.budget",
    "fibrewatch_agent.line.quiet_hours",
    "fibrewatch_agent.responder.desk",
    "fibrewatch_agent.slots.messages",
    "fibrewatch_agent.stamp.ledger",
    "fibrewatch_agent.stamp.packets",
    "fibrewatch_agent.stamp.tlvs",
    "fibrewatch_agent.transfer.verdict",
    "fibrewatch_agent.radio_helper.messages",
    "fibrewatch_agent.wifi.joining",
    "fibrewatch_agent.line.wan",
    "fibrewatch_collector.admission",
    "fibrewatch_collector.exposition",
    "fibrewatch_collector.mesh",
    "fibrewatch_collector.operator.mesh_files",
    "fibrewatch_collector.orientation",
    "fibrewatch_collector.remote_write.encoding",
    "fibrewatch_collector.remote_write.samples",
    "fibrewatch_collector.sla.bins",
    "fibrewatch_collector.sla.live",
    "fibrewatch_collector.sla.verdicts",
}
MODULES: dict[str, ast.Module] = {}
IMPORTS: dict[str, set[str]] = {}
INPUT_OUTPUT = {"aiohttp", "aiomqtt", "asyncio", "gmqtt", "os", "pathlib", "psutil", "socket", "sqlite3", "subprocess"}


def modules() -> Iterator[tuple[str, ast.Module]]:
    for package, folder in PACKAGES.items():
        for path in sorted((folder / package).rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            yield name, ast.parse(path.read_text("utf-8"))


def imports(tree: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.fixture(scope="module", autouse=True)
def _read() -> None:
    """Only where these tests run: each of the suite's workers loads this file."""
    MODULES.update(modules())
    IMPORTS.update((name, imports(tree)) for name, tree in MODULES.items())


def top(name: str) -> str:
    return name.split(".", maxsplit=1)[0]


def importers(names: set[str]) -> set[str]:
    return {name for name in MODULES if names & IMPORTS[name]}


def test_core_knows_the_standard_library_and_msgspec_only() -> None:
    for name in MODULES:
        if top(name) == "fibrewatch":
            foreign = {top(each) for each in IMPORTS[name]} - set(sys.stdlib_module_names) - {"msgspec", "fibrewatch"}
            assert not foreign, f"{name} imports {foreign}"


@pytest.mark.parametrize(
    ("side", "other"),
    [("fibrewatch_agent", "fibrewatch_collector"), ("fibrewatch_collector", "fibrewatch_agent")],
)
def test_the_two_sides_never_import_each_other(side: str, other: str) -> None:
    for name in MODULES:
        if top(name) == side:
            assert other not in {top(each) for each in IMPORTS[name]}, name


def test_mqtt_has_one_module_on_each_side() -> None:
    users = {name for name in MODULES if {"aiomqtt", "gmqtt", "paho"} & {top(each) for each in IMPORTS[name]}}
    assert users == MQTT


def test_pure_modules_know_no_input_or_output() -> None:
    assert set(MODULES) >= PURE
    for name in PURE:
        assert not INPUT_OUTPUT & {top(each) for each in IMPORTS[name]}, name


def test_nothing_imports_app_but_the_command_line() -> None:
    for name in MODULES:
        if name.endswith((".cli", ".start", ".__main__")):
            continue
        assert not {each for each in IMPORTS[name] if each.endswith((".app", ".cli"))}, name


def test_scapy_is_never_resident() -> None:
    """The DHCP child loads it, and with it the radio helper's cell; nothing loads these: they are started by name."""
    users = {name for name in MODULES if "scapy" in {top(each) for each in IMPORTS[name]}}
    assert users == {"fibrewatch_agent.dhcp.packets"}
    assert importers(users) == {"fibrewatch_agent.dhcp.child"}
    assert importers({"fibrewatch_agent.dhcp.child"}) == {"fibrewatch_agent.radio_helper.joined"}
    assert importers({"fibrewatch_agent.radio_helper.joined"}) == {"fibrewatch_agent.radio_helper.cell"}
    assert not importers({"fibrewatch_agent.radio_helper.cell"})


def test_aiohttp_is_the_responders_only() -> None:
    """An agent's box pays nothing for the server that it might be: the responder alone loads it, and that late."""
    users = {name for name in MODULES if top(name) == "fibrewatch_agent" and "aiohttp" in map(top, IMPORTS[name])}
    assert users == {"fibrewatch_agent.responder.control", "fibrewatch_agent.responder.door"}
    assert importers(users) - users == {"fibrewatch_agent.responder.server", "fibrewatch_agent.responder.service"}
    assert importers(importers(users) - users) == {"fibrewatch_agent.cli", "fibrewatch_agent.responder.service"}


def test_snmp_is_spoken_by_a_child_only() -> None:
    users = {name for name in MODULES if "gufo" in map(top, IMPORTS[name])}
    assert users == {"fibrewatch_agent.line.snmp_child"}
    assert not importers(users)


def test_the_environment_is_read_at_the_edge_only() -> None:
    allowed = {"cli", "config", "__main__", "sdnotify", "snmp_child", "child"}
    for name, tree in MODULES.items():
        used = any(isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"} for node in ast.walk(tree))
        assert not used or name.rsplit(".", maxsplit=1)[-1] in allowed, name
