"""`fibrewatch rules`: recording and alert rules, for one engine at a time."""

import sys
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from fibrewatch.errors import ConfigError
from fibrewatch_collector.alerting import catalogue, grafana, prometheus
from fibrewatch_collector.alerting.links import Links
from fibrewatch_collector.inventory import Inventory
from fibrewatch_collector.sla import burn

Engine = Literal["grafana", "prometheus"]
ENGINES: tuple[Engine, ...] = get_args(Engine)
PROMETHEUS_FILE, GRAFANA_FILE = "fibrewatch.rules.yaml", "fibrewatch-alerts.yaml"
_HEAD = "# Written by `fibrewatch rules --engine {}`: edit sites.toml and write it anew instead.\n"
_SHOWN = 10


def write(
    inventory: Inventory | None, engine: Engine, links: Links, out: Path | None, sites: str = "sites.toml"
) -> int:
    """Prints the alerts, or writes all files of an engine into a folder.

    Args:
        inventory: Whose promises and [[burn]] count; None: the alerts that come without any.
        sites: Its name, for messages.

    Raises:
        ConfigError: An alert could never fire, or would on a single test; the folder can't be written.
    """
    if inventory is not None:
        _refuse_infeasible(inventory, sites)
    files = rendered(inventory.burns if inventory is not None else burn.DEFAULTS, engine, links)
    if out is None:
        sys.stdout.write(files[PROMETHEUS_FILE if engine == "prometheus" else GRAFANA_FILE])
        return 0
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (out / name).write_text(content, "utf-8")
            print(out / name)
    except OSError as e:
        raise ConfigError(str(out), "", e.strerror or str(e)) from e
    return 0


def rendered(burns: tuple[burn.Burn, ...], engine: Engine, links: Links) -> dict[str, str]:
    """Content by file name. Prometheus always records; its file has alerts only where it is the engine."""
    alerts, recordings = catalogue.alerts(burns), catalogue.recordings(burns)
    head = _HEAD.format(engine)
    own = alerts if engine == "prometheus" else []
    files = {PROMETHEUS_FILE: head + _yaml(prometheus.rule_file(recordings, own, links))}
    if engine == "grafana":
        files[GRAFANA_FILE] = head + _yaml(grafana.provisioning(alerts, links))
    return files


def _refuse_infeasible(inventory: Inventory, sites: str) -> None:
    faults = list(burn.faults(inventory.promises, inventory.burns))
    if faults:
        shown = "\n  ".join(faults[:_SHOWN])
        more = f"\n  and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise ConfigError(sites, "", f"{len(faults)} alerts that would be none:\n  {shown}{more}")


def _yaml(content: dict[str, Any]) -> str:
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=140)
