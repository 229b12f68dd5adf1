"""Grafana as code: `python -m grafana` writes dashboards/ and provisioning/. Not a part of the installed packages."""
