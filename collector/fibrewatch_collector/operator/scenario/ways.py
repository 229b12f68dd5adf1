"""The ways of packets from boxes to targets, and the faults that can hit each of them. Pure."""

import math
from collections.abc import Sequence

from fibrewatch_collector.operator.scenario.script import MINUTE_S, Fault, Scenario, ScriptBox, ScriptTarget
from fibrewatch_collector.operator.scenario.sites import Sites

CUTS = ("line_cut", "operator_down", "lan_cut", "target_down", "power_cut")


class Way:
    """From a box over an interface to a target, and the faults that can hit it."""

    def __init__(self, scenario: Scenario, sites: Sites, box: ScriptBox, interface: str, target: ScriptTarget) -> None:
        self.box, self.interface, self.target = box, interface, target
        self.site = box.agent.rpartition("/")[0]
        self.uplink = sites.uplink_of(box.agent, interface)
        self._sites = sites
        self.faults = [each for each in scenario.faults if self._hit_by(each)]
        self._by_minute: dict[int, list[Fault]] = {}
        for fault in self.faults:
            for minute in range(int(fault.begin // MINUTE_S), math.ceil(fault.end / MINUTE_S)):
                self._by_minute.setdefault(minute, []).append(fault)

    def touched(self, minute: int) -> Sequence[Fault]:
        """The faults of a minute, counted since 1970."""
        return self._by_minute.get(minute, ())

    def cut(self, at: float, length_s: float = 0.0) -> bool:
        """Whether nothing comes through at some moment of a stretch."""
        return any(each.kind in CUTS and each.begin <= at + length_s and at < each.end for each in self.faults)

    def _hit_by(self, fault: Fault) -> bool:
        if fault.kind == "target_down":
            return fault.target == self.target.name
        if fault.kind in ("lan_cut", "wifi_storm"):
            return self._in_lan(fault, self.box.agent, self.uplink) or self._peers(fault)
        if fault.kind == "power_cut":
            return self._peers(fault)
        if self.target.role == "gateway":
            return False
        if fault.kind == "operator_down" and self.target.role == "access" and not fault.access:
            return False
        return self._on_line(fault, self.site, self.uplink) or self._peers(fault)

    def _in_lan(self, fault: Fault, agent: str, uplink: str) -> bool:
        """A modem of the box's own is not in the site's network."""
        site = agent.rpartition("/")[0]
        return (fault.site, uplink) == (site, self._sites.main_uplink(site)) and fault.box in (None, agent)

    def _on_line(self, fault: Fault, site: str, uplink: str) -> bool:
        if fault.kind == "operator_down":
            return self._sites.uplink(site, uplink).get("operator") == fault.operator
        return fault.kind in ("line_cut", "brown_out") and (fault.site, fault.uplink) == (site, uplink)

    def _peers(self, fault: Fault) -> bool:
        """At the far end, where a box of ours stands."""
        peer = self.target.peer
        if peer is None:
            return False
        site, uplink = peer.rpartition("/")[0], self._sites.reached_over(peer)
        if fault.kind == "power_cut":
            return fault.site == site
        if fault.kind in ("lan_cut", "wifi_storm"):
            return self._in_lan(fault, peer, uplink)
        return self._on_line(fault, site, uplink)
