"""Series of boxes and sites themselves: what a box says of its own state, what its site is, and how it stands. Pure."""

from collections.abc import Iterable, Iterator, Mapping

from fibrewatch.wire import AgentId, Status
from fibrewatch_collector.families import BOX_LABELS, SITE_LABELS, Family, labels_text
from fibrewatch_collector.inventory import Inventory, Site, SiteKey
from fibrewatch_collector.sla.bins import Vantage
from fibrewatch_collector.sla.live import CAUSES, STATES, SiteState
from fibrewatch_collector.store import BinState

_AGENT_GAUGES = {
    "spool_depth": "Measurements that the box still holds.",
    "spool_size_bytes": "Size of the box's spool.",
    "spool_full": "1 while the box's disk refuses its spool.",
    "spool_dropped": "Measurements that the box's spool had to drop since the agent's start.",
    "clock_synchronised": "1 when the box's kernel says that its clock is synchronised.",
    "clock_offset_bound_seconds": "How far the box's clock may be off, by its kernel's estimate.",
    "cpu_busy_ratio": "Share of the box's cores that was not idle.",
    "temperature_celsius": "Temperature of the box.",
    "throttled": "1 while the box's firmware says that it is throttled or short of voltage.",
    "config_refused": "1 while the box runs an older configuration because the newest was refused.",
    "start_time_seconds": "When the agent was started.",
    "lost_targets": "Targets that do not answer at present.",
    "certificate_until_timestamp_seconds": "When the certificate expires that the box shows to the broker.",
}


_INFO = (*SITE_LABELS, "name", "city", "latitude", "longitude", "companies")
_CONTRACT = (*SITE_LABELS, "uplink", "kind", "operator")
_STATE, _CAUSE = (*SITE_LABELS, "state"), (*SITE_LABELS, "cause")


def agent_labels(agent: AgentId) -> str:
    """The labels of what concerns a box as a whole."""
    return labels_text(agent._asdict())


class AgentFamilies:
    """What each box says of itself; not thread-safe."""

    def __init__(self) -> None:
        self._gauges = {
            name: Family(f"fibrewatch_agent_{name}", "gauge", text, BOX_LABELS) for name, text in _AGENT_GAUGES.items()
        }
        self._up = Family("fibrewatch_agent_up", "gauge", "1 while the box is online and heard.", BOX_LABELS)
        self._info = Family("fibrewatch_agent_info", "gauge", "The agent's version.", (*BOX_LABELS, "version"))
        self._versions: dict[AgentId, str] = {}

    def set_status(self, agent: AgentId, status: Status) -> None:
        """Shows what a box said; an offline one's values are not known."""
        labels = agent_labels(agent)
        values = _values(status) if status.state == "online" else {}
        for name, family in self._gauges.items():
            family.set(labels, values.get(name))
        if status.state == "online":
            self._info.drop(self._versions.get(agent, ""))
            self._versions[agent] = labels_text(agent._asdict() | {"version": status.version})
            self._info.set(self._versions[agent], 1)

    def set_up(self, up: Mapping[AgentId, bool]) -> None:
        """Shows every box of the inventory, and forgets all others."""
        self._up.replace({agent_labels(agent): is_up for agent, is_up in up.items()})
        for family in self._gauges.values():
            for labels in [each for each in family.lines if each not in self._up.lines]:
                family.drop(labels)
        for agent in [each for each in self._versions if each not in up]:
            self._info.drop(self._versions.pop(agent))

    def families(self) -> Iterator[Family]:
        """In the order of the page."""
        yield self._up
        yield self._info
        yield from self._gauges.values()


def _values(status: Status) -> Mapping[str, float | None]:
    conditions, spool = status.conditions, status.spool
    return {
        "spool_depth": spool.depth if spool else None,
        "spool_size_bytes": spool.size_bytes if spool else None,
        "spool_full": spool.state == "full" if spool else None,
        "spool_dropped": spool.dropped if spool else None,
        "clock_synchronised": conditions.clock_synchronised,
        "clock_offset_bound_seconds": conditions.clock_offset_bound_s,
        "cpu_busy_ratio": conditions.cpu_busy,
        "temperature_celsius": conditions.temperature_celsius,
        "throttled": bool(conditions.throttled) if conditions.throttled is not None else None,
        "config_refused": status.config_error is not None,
        "start_time_seconds": status.started_at.timestamp() if status.started_at else None,
        "lost_targets": len(status.lost_targets),
        "certificate_until_timestamp_seconds": (
            status.certificate_until.timestamp() if status.certificate_until else None
        ),
    }


class SiteFamilies:
    """What each site is and how it stands; not thread-safe."""

    def __init__(self) -> None:
        self._info = Family("fibrewatch_site_info", "gauge", "A site's name, place and number of companies.", _INFO)
        self._places = Family(
            "fibrewatch_agent_place_info", "gauge", "The floor that a box stands on.", (*BOX_LABELS, "floor")
        )
        self._down = Family(
            "fibrewatch_uplink_contract_download_bytes_per_second",
            "gauge",
            "Contracted rate towards the site.",
            _CONTRACT,
        )
        self._upload = Family(
            "fibrewatch_uplink_contract_upload_bytes_per_second", "gauge", "Contracted rate from the site.", _CONTRACT
        )
        self._state = Family(
            "fibrewatch_site_state", "gauge", "1 for the state that the site is in, 0 for all others.", _STATE
        )
        self._cause = Family(
            "fibrewatch_site_cause", "gauge", "1 for the cause of the state, 0 for all others.", _CAUSE
        )
        self._since = Family(
            "fibrewatch_site_state_since_timestamp_seconds", "gauge", "When the state began.", SITE_LABELS
        )
        self._fresh = Family(
            "fibrewatch_site_last_result_timestamp_seconds",
            "gauge",
            "End of the newest run of the site's boxes.",
            SITE_LABELS,
        )
        self._bins = Family(
            "fibrewatch_site_bins",
            "gauge",
            "Minutes of the last 24 hours: A available, U unavailable, N not measured.",
            (*SITE_LABELS, "uplink", "state"),
        )

    def set_inventory(self, inventory: Inventory) -> None:
        """Shows these sites and no others."""
        sites = list(inventory.sites.values())
        floors = {agent: box.floor or "" for agent, box in inventory.agents.items()}
        self._places.replace({labels_text(agent._asdict() | {"floor": floors[agent]}): 1 for agent in floors})
        self._info.replace({_info_labels(site): 1 for site in sites})
        self._down.replace(dict(_contracts(sites, "download")))
        self._upload.replace(dict(_contracts(sites, "upload")))

    def set_states(self, states: Mapping[SiteKey, SiteState], last: Mapping[SiteKey, float | None]) -> None:
        """Shows how the sites stand, and when each was last measured."""
        self._state.replace(
            {_site_labels(key, state=each): now.state == each for key, now in states.items() for each in STATES}
        )
        self._cause.replace(
            {_site_labels(key, cause=each): now.cause == each for key, now in states.items() for each in CAUSES}
        )
        since = {_site_labels(key): now.since for key, now in states.items()}
        self._since.replace({labels: at for labels, at in since.items() if at is not None})
        self._fresh.replace({_site_labels(key): at for key, at in last.items() if at is not None})

    def set_bins(self, totals: Mapping[Vantage, Mapping[BinState, int]]) -> None:
        """Shows how many minutes of the last 24 hours were in which state."""
        self._bins.replace(
            {
                _site_labels((territory, site), uplink=uplink, state=state): counts.get(state, 0)
                for (territory, site, uplink), counts in totals.items()
                for state in ("A", "U", "N")
            }
        )

    def families(self) -> Iterator[Family]:
        """In the order of the page."""
        yield from (self._info, self._places, self._down, self._upload)
        yield from (self._state, self._cause, self._since, self._fresh, self._bins)


def _site_labels(key: SiteKey, **more: str) -> str:
    return labels_text({"territory": key[0], "site": key[1], **more})


def _info_labels(site: Site) -> str:
    return _site_labels(
        site.key,
        name=site.name,
        city=site.city,
        latitude=repr(site.latitude),
        longitude=repr(site.longitude),
        companies=str(site.companies),
    )


def _contracts(sites: Iterable[Site], direction: str) -> Iterator[tuple[str, float]]:
    for site in sites:
        for uplink in site.uplinks:
            rate = getattr(uplink, direction)
            if rate is not None:
                yield _site_labels(site.key, uplink=uplink.id, kind=uplink.kind, operator=uplink.operator or ""), rate
