"""The dashboards, one module each; `ALL` in the order in which an operator goes down them."""

from grafana.board import Board
from grafana.boards import collector, fleet, floor, health, mesh, probes, site, sla, throughput


def every() -> list[Board]:
    """All of them."""
    modules = (fleet, site, floor, throughput, mesh, sla, health, collector, probes)
    return [module.board() for module in modules]
