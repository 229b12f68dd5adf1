"""File provisioning in Grafana's own file shapes: data source, dashboards, whom to tell and when.

Alert rules come from `fibrewatch rules`. `$NAME` in a value is an environment variable of Grafana's, `$$` a dollar.
The SDK's alerting types are the HTTP API's, which are not the files'.
"""

from collections.abc import Mapping
from typing import Any

import yaml

from grafana.board import PROMETHEUS_UID

FOLDER, FOLDER_UID = "fibrewatch", "fibrewatch"
PAGE, TICKET = "fibrewatch-page", "fibrewatch-ticket"
NIGHTS = "fibrewatch-nights"
_HEAD = "# Written by `python -m grafana` (make grafana): don't edit.\n"


def files() -> Mapping[str, str]:
    """Name in the folder → text."""
    found = {
        "datasources/fibrewatch.yaml": datasources(),
        "dashboards/fibrewatch.yaml": dashboards(),
        "alerting/contact-points.yaml": contact_points(),
        "alerting/mute-timings.yaml": mute_timings(),
        "alerting/policies.yaml": policies(),
    }
    return {
        f"provisioning/{name}": _HEAD + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
        for name, content in found.items()
    }


def datasources() -> dict[str, Any]:
    """The one Prometheus that dashboards and alert rules ask, by a uid that does not change."""
    source = {
        "name": "fibrewatch",
        "type": "prometheus",
        "uid": PROMETHEUS_UID,
        "orgId": 1,
        "access": "proxy",
        "url": "$FIBREWATCH_PROMETHEUS_URL",
        "isDefault": True,
        "editable": False,
        "version": 1,
        "jsonData": {"httpMethod": "POST", "timeInterval": "5s", "prometheusType": "Prometheus"},
    }
    return {"apiVersion": 1, "prune": True, "datasources": [source]}


def dashboards() -> dict[str, Any]:
    """All of dashboards/, in a folder of their own."""
    provider = {
        "name": "fibrewatch",
        "orgId": 1,
        "folder": FOLDER,
        "folderUid": FOLDER_UID,
        "type": "file",
        "disableDeletion": False,
        "updateIntervalSeconds": 30,
        "allowUiUpdates": False,
        "options": {"path": "/var/lib/grafana/dashboards", "foldersFromFilesStructure": False},
    }
    return {"apiVersion": 1, "providers": [provider]}


def contact_points() -> dict[str, Any]:
    """Webhooks: one that wakes people, one that waits for the morning."""
    found = []
    for name, url in ((PAGE, "$FIBREWATCH_PAGE_WEBHOOK"), (TICKET, "$FIBREWATCH_TICKET_WEBHOOK")):
        receiver = {
            "uid": name,
            "type": "webhook",
            "disableResolveMessage": False,
            "settings": {"url": url, "httpMethod": "POST"},
        }
        found.append({"orgId": 1, "name": name, "receivers": [receiver]})
    return {"apiVersion": 1, "contactPoints": found}


def mute_timings() -> dict[str, Any]:
    """When tickets wait."""
    nights = [
        {"times": [{"start_time": "20:00", "end_time": "24:00"}], "location": "Europe/Paris"},
        {"times": [{"start_time": "00:00", "end_time": "07:00"}], "location": "Europe/Paris"},
        {"weekdays": ["saturday", "sunday"], "location": "Europe/Paris"},
    ]
    return {"apiVersion": 1, "muteTimes": [{"orgId": 1, "name": NIGHTS, "time_intervals": nights}]}


def policies() -> dict[str, Any]:
    """Pages at once, one for each fault; tickets in their time."""
    ticket = {
        "receiver": TICKET,
        "object_matchers": [["severity", "=", "ticket"]],
        "mute_time_intervals": [NIGHTS],
        "group_wait": "1m",
        "group_interval": "10m",
        "repeat_interval": "1d",
    }
    root = {
        "orgId": 1,
        "receiver": PAGE,
        "group_by": ["alertname", "territory", "site"],
        "group_wait": "0s",
        "group_interval": "10s",
        "repeat_interval": "4h",
        "routes": [ticket],
    }
    return {"apiVersion": 1, "policies": [root]}
