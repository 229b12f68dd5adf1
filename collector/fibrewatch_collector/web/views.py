"""What the API answers, from the hub: plain structs that become JSON."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from msgspec import Raw, Struct

from fibrewatch.wire import AgentId, SpoolState, Status
from fibrewatch_collector.answers import Page
from fibrewatch_collector.hub import Hub
from fibrewatch_collector.inventory import Site
from fibrewatch_collector.sla.bins import totals
from fibrewatch_collector.store import BinState, Stored


class UplinkView(Struct, frozen=True, kw_only=True):
    """An uplink: contracted rates in bytes per second; `state` is None while it isn't measured.

    Attributes:
        minutes: Of the last 24 hours, by state: available, unavailable, not measured.
    """

    id: str
    kind: str
    operator: str | None
    download: float | None
    upload: float | None
    state: BinState | None
    cause: str | None
    minutes: Mapping[BinState, int]


class SiteAnswer(Struct, frozen=True, kw_only=True):
    """A site and how it stands."""

    territory: str
    site: str
    name: str
    city: str
    latitude: float
    longitude: float
    time_zone: str
    state: str
    cause: str | None
    since: datetime | None
    last_result: datetime | None
    lost_targets: tuple[str, ...]
    uplinks: list[UplinkView]
    agents: list[str]
    companies: list[str]


class LatestView(Struct, frozen=True, kw_only=True):
    """The newest run of a test; `values` by field, in base units, only those that were measured.

    Attributes:
        peer: The box that stands at the target, territory/site/agent.
    """

    probe: str
    test: str
    target: str
    peer: str | None
    interface: str
    ended_at: datetime
    outcome: str
    verdict: str
    error: str | None
    values: Mapping[str, float]


class AgentAnswer(Struct, frozen=True, kw_only=True):
    """A box and what it last said."""

    territory: str
    site: str
    agent: str
    floor: str | None
    up: bool
    heard_at: datetime | None
    last_result: datetime | None
    version: str | None
    spool: SpoolState | None
    clock_synchronised: bool | None
    lost_targets: tuple[str, ...]
    config_error: str | None
    latest: list[LatestView]


class MeasurementView(Struct, frozen=True, kw_only=True):
    """A stored measurement, as the box sent it, with where it came from."""

    row: int
    territory: str
    site: str
    agent: str
    stream: str
    sequence: int
    received_at: datetime
    measurement: Raw


class Sites(Struct, frozen=True, kw_only=True):
    """GET /api/v1/sites."""

    at: datetime
    sites: list[SiteAnswer]


class Agents(Struct, frozen=True, kw_only=True):
    """GET /api/v1/agents."""

    at: datetime
    agents: list[AgentAnswer]


def sites(hub: Hub) -> Sites:
    """All sites of the inventory."""
    return Sites(at=moment(hub.now()), sites=[_site(hub, site) for site in hub.inventory.sites.values()])


def _site(hub: Hub, site: Site) -> SiteAnswer:
    state = hub.states[site.key]
    return SiteAnswer(
        territory=site.territory,
        site=site.id,
        name=site.name,
        city=site.city,
        latitude=site.latitude,
        longitude=site.longitude,
        time_zone=site.time_zone,
        state=state.state,
        cause=state.cause,
        since=_moment(state.since),
        last_result=_moment(hub.last_result(site.key)),
        lost_targets=state.lost,
        uplinks=list(_uplinks(hub, site)),
        agents=[agent.id for agent in site.agents],
        companies=sorted({company for floor in site.floors for company in floor.companies}),
    )


def _uplinks(hub: Hub, site: Site) -> Iterator[UplinkView]:
    verdicts = hub.states[site.key].uplinks
    for uplink in site.uplinks:
        verdict = verdicts.get(uplink.id)
        yield UplinkView(
            id=uplink.id,
            kind=uplink.kind,
            operator=uplink.operator,
            download=uplink.download,
            upload=uplink.upload,
            state=verdict.state if verdict else None,
            cause=verdict.cause if verdict else None,
            minutes=totals(hub.totals.get((*site.key, uplink.id), {})),
        )


def agents(hub: Hub) -> Agents:
    """All boxes of the inventory."""
    return Agents(at=moment(hub.now()), agents=[_agent(hub, agent) for agent in hub.inventory.agents])


def _agent(hub: Hub, agent: AgentId) -> AgentAnswer:
    status = hub.heard[agent].status
    online = status if status is not None and status.state == "online" else None
    return AgentAnswer(
        territory=agent.territory,
        site=agent.site,
        agent=agent.agent,
        floor=hub.inventory.agents[agent].floor,
        up=hub.up(agent),
        heard_at=_moment(hub.tracker.heard_at(agent)),
        last_result=_moment(hub.exposition.last_result(agent)),
        version=status.version if status else None,
        spool=online.spool if online else None,
        clock_synchronised=online.conditions.clock_synchronised if online else None,
        lost_targets=_lost(online),
        config_error=online.config_error if online else None,
        latest=list(_latest(hub, agent)),
    )


def _lost(status: Status | None) -> tuple[str, ...]:
    return tuple(status.lost_targets) if status is not None else ()


def _latest(hub: Hub, agent: AgentId) -> Iterator[LatestView]:
    for run in hub.exposition.latest(agent):
        yield LatestView(
            probe=run.probe,
            test=run.test,
            target=run.target,
            peer=run.peer,
            interface=run.interface,
            ended_at=moment(run.ended_at),
            outcome=run.outcome,
            verdict=run.verdict,
            error=run.error,
            values=run.values,
        )


def measurements(rows: list[Stored], limit: int) -> Page[MeasurementView]:
    """A page of what the store holds."""
    return Page(
        measurements=[
            MeasurementView(
                row=row.row,
                territory=row.agent.territory,
                site=row.agent.site,
                agent=row.agent.agent,
                stream=row.stream,
                sequence=row.seq,
                received_at=moment(row.received_at),
                measurement=Raw(row.raw),
            )
            for row in rows
        ],
        next=rows[-1].row if len(rows) == limit else None,
    )


def moment(at: float) -> datetime:
    """UTC seconds as a datetime."""
    return datetime.fromtimestamp(at, UTC)


def _moment(at: float | None) -> datetime | None:
    return moment(at) if at is not None else None
