"""What led to an outage's cause, as facts: ids of sentences and the values that fill them (`outages.FACTS`). Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from fibrewatch.wire import AgentId
from fibrewatch_collector.report.model import Fact
from fibrewatch_collector.sla.outages import Kind, Sight
from fibrewatch_collector.store import BinState

_SHOWN = 8
"""So many names are listed; the count says how many there are."""


class Hop(Struct, frozen=True, kw_only=True):
    """The last router that answered on the way to a target that did not."""

    target: str
    hop: int
    address: str


class Scene(Struct, frozen=True, kw_only=True):
    """What is known of one minute of an outage, and of what follows.

    Attributes:
        sights: Of all the site's boxes.
        around: The verdicts on other lines of the same operator, one for each site.
        elsewhere: Of a target that was lost: sites that missed it, and that heard it.
        neighbours: Sites that tried to reach this site's boxes over the line, and whether they did.
        late: Minutes of the outage that were told late.
        back: Boxes that measured before and after, and whether they were restarted in between.
    """

    kind: Kind
    uplink: str
    operator: str | None
    minutes: int
    sights: Sequence[Sight] = ()
    others: Mapping[str, BinState] = {}
    around: Sequence[BinState] = ()
    elsewhere: Mapping[str, tuple[int, int]] = {}
    neighbours: Mapping[tuple[str, str], bool] = {}
    hop: Hop | None = None
    late: int = 0
    back: Mapping[AgentId, bool] = {}
    results_lost: int = 0


def facts(scene: Scene) -> tuple[Fact, ...]:
    """In the order in which one would tell them."""
    mine = [each for each in scene.sights if each.uplink == scene.uplink]
    found = [*_seen(scene, mine), *_beside(scene), *_around(scene), *_afterwards(scene)]
    return tuple(found)


def _seen(scene: Scene, mine: Sequence[Sight]) -> Iterator[Fact]:
    """By the line's own boxes."""
    if not mine:
        if scene.kind == "dark" or scene.sights or scene.neighbours:  # else the measurements are pruned: who knows
            yield Fact(id="boxes_silent", values={"minutes": scene.minutes})
        return
    beyond = [each for each in mine if each.role != "gateway"]
    answering = {each.target for each in beyond if each.answers}
    yield from _named("targets_lost", "targets", {each.target for each in beyond} - answering)
    yield from _named("targets_answering", "targets", answering - {e.target for e in beyond if e.role == "access"})
    yield from _named("access_answering", "targets", {e.target for e in beyond if e.role == "access" and e.answers})
    gateway = [each for each in mine if each.role == "gateway"]
    hear = {each.agent.agent for each in gateway if each.answers}
    yield from _named("gateway_answering", "boxes", hear)
    yield from _named("gateway_lost", "boxes", {each.agent.agent for each in gateway} - hear)
    if not gateway:
        yield Fact(id="gateway_unmeasured")
    boxes = {each.agent.agent for each in mine}
    if len(boxes) > 1:
        yield from _named("boxes_agree", "boxes", boxes)


def _beside(scene: Scene) -> Iterator[Fact]:
    """By the site's other lines."""
    for uplink, state in sorted(scene.others.items()):
        if state != "N":
            yield Fact(id="uplink_up" if state == "A" else "uplink_down", values={"uplink": uplink})


def _around(scene: Scene) -> Iterator[Fact]:
    """By other sites."""
    for target, (missed, heard) in sorted(scene.elsewhere.items()):
        yield Fact(id="target_missed", values={"target": target, "missed": missed, "heard": heard})
    if scene.operator is not None:
        for name, state in (("sites_fine", "A"), ("sites_affected", "U")):
            if count := scene.around.count(state):
                yield Fact(id=name, values={"operator": scene.operator, "count": count})
    for name, reached in (("neighbours_missed", False), ("neighbours_reached", True)):
        yield from _named(name, "sites", {"/".join(at) for at, did in scene.neighbours.items() if did is reached})
    if scene.hop is not None:
        hop = scene.hop
        yield Fact(id="path_last_hop", values={"target": hop.target, "hop": hop.hop, "address": hop.address})


def _afterwards(scene: Scene) -> Iterator[Fact]:
    if scene.late:
        yield Fact(id="results_late", values={"minutes": scene.late})
    if scene.kind == "dark":
        yield from _named("box_back", "boxes", {box.agent for box in scene.back})
        yield from _named("box_restarted", "boxes", {box.agent for box, again in scene.back.items() if again})
        if scene.results_lost:
            yield Fact(id="results_lost", values={"count": scene.results_lost})


def _named(name: str, what: str, names: Iterable[str]) -> Iterator[Fact]:
    """A fact that lists names; none without any."""
    listed = sorted(names)
    if listed:
        more = ["…"] if len(listed) > _SHOWN else []
        yield Fact(id=name, values={what: ", ".join(listed[:_SHOWN] + more), "count": len(listed)})
