"""Series that alert rules ask for: alarms as the collector decided them, and what their texts need. Pure."""

from collections.abc import Iterable, Iterator, Mapping

from fibrewatch.wire import AgentId
from fibrewatch_collector.families import BOX_LABELS, SITE_LABELS, Family, labels_text
from fibrewatch_collector.inventory import Inventory, SiteKey
from fibrewatch_collector.sla.alarms import Alarms
from fibrewatch_collector.sla.bins import Vantage
from fibrewatch_collector.sla.live import CAUSES, SiteState, TargetState

_UPLINK, _TARGET = (*SITE_LABELS, "uplink"), ("target",)


class AlarmFamilies:
    """Not thread-safe."""

    def __init__(self) -> None:
        self._down = Family(
            "fibrewatch_site_down",
            "gauge",
            "1 while a site has no line left or says nothing, but for declared work; not there while nobody can tell.",
            SITE_LABELS,
        )
        self._degraded = Family(
            "fibrewatch_site_degraded",
            "gauge",
            "1 while a site works, but not as it should, and nothing else tells why; not there while nobody can tell.",
            SITE_LABELS,
        )
        self._cut = Family(
            "fibrewatch_uplink_down",
            "gauge",
            "1 while an uplink is cut and another one carries on, but for declared work.",
            _UPLINK,
        )
        self._state = Family(
            "fibrewatch_uplink_state",
            "gauge",
            "1 for what the uplink is now: A available, U cut, N not judged.",
            (*_UPLINK, "state"),
        )
        self._cut_since = Family("fibrewatch_uplink_down_since_timestamp_seconds", "gauge", "When it was cut.", _UPLINK)
        self._uplink = Family(
            "fibrewatch_uplink_info",
            "gauge",
            "An uplink's kind, operator and the number of companies that hang on it.",
            (*_UPLINK, "name", "kind", "operator", "companies"),
        )
        self._companies = Family("fibrewatch_uplink_companies", "gauge", "Companies that hang on an uplink.", _UPLINK)
        self._housed = Family("fibrewatch_site_companies", "gauge", "Companies that a site hosts.", SITE_LABELS)
        self._work = Family("fibrewatch_uplink_maintenance", "gauge", "1 while declared work is going on.", _UPLINK)
        self._cause = Family(
            "fibrewatch_site_cause_code",
            "gauge",
            "The cause of a site's state as a number, for texts of alerts: "
            + ", ".join(f"{code} {cause}" for cause, code in CODES.items())
            + ", 0 none.",
            SITE_LABELS,
        )
        self._dark = Family(
            "fibrewatch_agent_dark", "gauge", "1 while a box is silent though its site is not cut off.", BOX_LABELS
        )
        self._target_down = Family(
            "fibrewatch_target_down",
            "gauge",
            "1 while a target is to blame that sites do not hear; of shared ones.",
            _TARGET,
        )
        self._target_since = Family(
            "fibrewatch_target_down_since_timestamp_seconds", "gauge", "When it was lost.", _TARGET
        )
        self._target_missed = Family(
            "fibrewatch_target_missed_sites", "gauge", "Sites that do not hear the target.", _TARGET
        )

    def set_inventory(self, inventory: Inventory) -> None:
        """Shows these uplinks and no others."""
        self._housed.replace({_labels(key): site.companies for key, site in inventory.sites.items()})
        self._companies.replace(
            {
                _labels((*site.key, uplink.id)): site.companies_on(uplink.id)
                for site in inventory.sites.values()
                for uplink in site.uplinks
            }
        )
        self._uplink.replace(
            {
                _labels(
                    (*site.key, uplink.id),
                    name=site.name,
                    kind=uplink.kind,
                    operator=uplink.operator or "",
                    companies=str(site.companies_on(uplink.id)),
                ): 1
                for site in inventory.sites.values()
                for uplink in site.uplinks
            }
        )

    def set_alarms(
        self,
        alarms: Mapping[SiteKey, Alarms | None],
        states: Mapping[SiteKey, SiteState],
        worked_on: Mapping[SiteKey, frozenset[str]],
        inventory: Inventory,
    ) -> None:
        """Shows all sites."""
        known = {key: each for key, each in alarms.items() if each is not None}
        self._down.replace({_labels(key): each.down for key, each in known.items()})
        self._degraded.replace({_labels(key): each.degraded for key, each in known.items()})
        vantages = [(*site.key, uplink.id) for site in inventory.sites.values() for uplink in site.uplinks]
        self._cut.replace({_labels(at): at[2] in known[at[:2]].cut for at in vantages if at[:2] in known})
        self._work.replace({_labels(at): at[2] in worked_on.get(at[:2], ()) for at in vantages})
        self._cause.replace({_labels(key): CODES.get(each.cause or "", 0) for key, each in states.items()})
        judged = {at: states[at[:2]].uplinks.get(at[2]) for at in vantages if at[:2] in states}
        self._state.replace(
            {
                _labels(at, state=each): (verdict.state if verdict else "N") == each
                for at, verdict in judged.items()
                for each in ("A", "U", "N")
            }
        )

    def set_cuts(self, since: Mapping[Vantage, float]) -> None:
        """Shows since when uplinks are cut."""
        self._cut_since.replace({_labels(at): moment for at, moment in since.items()})

    def set_agents(self, agents: Iterable[AgentId], dark: set[tuple[str, ...]]) -> None:
        """Shows every box."""
        self._dark.replace({labels_text(agent._asdict()): agent in dark for agent in agents})

    def set_targets(self, targets: Mapping[str, TargetState]) -> None:
        """Shows the shared targets."""
        labelled = {labels_text({"target": name}): each for name, each in targets.items()}
        self._target_down.replace({labels: each.down for labels, each in labelled.items()})
        self._target_missed.replace({labels: each.missed for labels, each in labelled.items()})
        since = {labels: each.since for labels, each in labelled.items()}
        self._target_since.replace({labels: at for labels, at in since.items() if at is not None})

    def families(self) -> Iterator[Family]:
        """In the order of the page."""
        yield from (self._down, self._degraded, self._cause)
        yield from (self._housed, self._companies)
        yield from (self._uplink, self._state, self._cut, self._cut_since, self._work)
        yield from (self._dark, self._target_down, self._target_since, self._target_missed)


CODES: Mapping[str, int] = {cause: code for code, cause in enumerate(CAUSES, 1)}
"""Numbers of causes: a text of Grafana's can't read another series' label."""


def _labels(at: tuple[str, ...], **more: str) -> str:
    """Of a site, or of an uplink."""
    return labels_text(dict(zip(("territory", "site", "uplink"), at, strict=False)) | more)
